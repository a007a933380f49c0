// SPDX-License-Identifier: MIT
/*
 * Functions return 0 or -errno, and have then said what was wrong.
 *
 * Instance and kprobe events are named after this process. Those of one that
 * was killed are removed by the next that comes along; those of one that is
 * alive are busy, and stay.
 */
#define _GNU_SOURCE /* asprintf */
#include "tracefs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

#define INSTANCE "pindrop-demo-"
#define GROUP "pindrop_demo_"
/* A CPU; the demo makes a hundred events or two, all filtered. */
#define BUFFER_KB 512

static int path_error(const char *path)
{
	int err = -errno;

	file_error(err, path);
	return err;
}

static int write_path(const char *path, int flags, const char *text)
{
	size_t len = strlen(text);
	int fd, err = 0;
	ssize_t n;

	fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n != (ssize_t)len)
		err = n < 0 ? -errno : -EIO;
	close(fd);
	return err;
}

static char *make_path(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* A file of the instance. */
static int write_file(struct tracefs *tfs, const char *name, const char *text)
{
	char *path = make_path(tfs->dir, name);
	int err;

	if (!path)
		return -ENOMEM;
	err = write_path(path, 0, text);
	if (err)
		file_error(err, path);
	free(path);
	return err;
}

/* Appends: opening it any other way removes everybody's probes. */
static int write_probes(struct tracefs *tfs, const char *line)
{
	char *path = make_path(tfs->root, "kprobe_events");
	int err;

	if (!path)
		return -ENOMEM;
	err = write_path(path, O_APPEND, line);
	free(path);
	return err;
}

/* A whole file; these have no size until they are read. */
static int read_path(const char *path, char **text)
{
	size_t have = 0, size = 1 << 16;
	char *data = NULL, *more;
	ssize_t n;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (;;) {
		more = realloc(data, size);
		if (!more) {
			err = -ENOMEM;
			break;
		}
		data = more;
		n = read(fd, data + have, size - have - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		have += n;
		if (size - have < 1 << 12)
			size *= 2;
	}
	close(fd);
	if (err) {
		free(data);
		return err;
	}
	data[have] = 0;
	*text = data;
	return 0;
}

static int find_root(struct tracefs *tfs)
{
	static const char *const roots[] = {
		"/sys/kernel/tracing",
		"/sys/kernel/debug/tracing",
	};
	size_t i;
	char *path;
	bool there;

	for (i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		path = make_path(roots[i], "instances");
		there = path && !access(path, F_OK);
		free(path);
		if (!there)
			continue;
		tfs->root = roots[i];
		return 0;
	}
	complain("no tracefs that can be read\n"
		 "Be root; if it is not mounted: mount -t tracefs tracefs %s",
		 roots[0]);
	return -ENOENT;
}

/* The process that @name with @prefix was named after is gone. */
static bool is_left_over(const char *name, const char *prefix)
{
	long pid;

	if (strncmp(name, prefix, strlen(prefix)))
		return false;
	pid = strtol(name + strlen(prefix), NULL, 10);
	return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

static void remove_old_instances(struct tracefs *tfs)
{
	char *path = make_path(tfs->root, "instances");
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;

	free(path);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (is_left_over(entry->d_name, INSTANCE))
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	closedir(dir);
}

static bool is_group(const char *name, const char *group)
{
	size_t len = strlen(group);

	return !strncmp(name, group, len) && name[len] == '/';
}

/*
 * Removes a group's kprobe events, or with NULL what is left over from others.
 * Lines are "p:group/event function"; they go one by one.
 */
static int remove_probes(struct tracefs *tfs, const char *group)
{
	char *path = make_path(tfs->root, "kprobe_events");
	char *text = NULL, *line, *next, command[128];
	int err = path ? read_path(path, &text) : -ENOMEM;

	free(path);
	if (err)
		return err;
	for (line = text; *line; line = next) {
		const char *name = line + 2;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (strncmp(line, "p:", 2) ||
		    !(group ? is_group(name, group) : is_left_over(name, GROUP)))
			continue;
		line[strcspn(line, " ")] = 0;
		snprintf(command, sizeof(command), "-:%s\n", name);
		err = write_probes(tfs, command);
	}
	free(text);
	return err;
}

/* Only ever larger: to shrink a buffer is work, and can fail. */
static int size_buffer(struct tracefs *tfs)
{
	char *path = make_path(tfs->dir, "buffer_size_kb");
	char *text = NULL, want[16];
	long have = 0;

	if (path && !read_path(path, &text))
		have = strtol(text, NULL, 10);
	free(path);
	free(text);
	if (have >= BUFFER_KB)
		return 0;
	snprintf(want, sizeof(want), "%d", BUFFER_KB);
	return write_file(tfs, "buffer_size_kb", want);
}

int tracefs_create(struct tracefs *tfs)
{
	int err;

	*tfs = (struct tracefs){};
	err = find_root(tfs);
	if (err)
		return err;
	remove_old_instances(tfs);
	remove_probes(tfs, NULL);
	snprintf(tfs->group, sizeof(tfs->group), GROUP "%d", getpid());
	snprintf(tfs->dir, sizeof(tfs->dir), "%s/instances/" INSTANCE "%d",
		 tfs->root, getpid());
	if (mkdir(tfs->dir, 0700) < 0) {
		err = path_error(tfs->dir);
		tfs->dir[0] = 0;
		return err;
	}
	err = write_file(tfs, "trace_clock", "mono");
	return err ? err : size_buffer(tfs);
}

/* Harmless on what was never created. */
void tracefs_destroy(struct tracefs *tfs)
{
	/* First, since it enables the events. */
	if (tfs->dir[0] && rmdir(tfs->dir) < 0)
		path_error(tfs->dir);
	tfs->dir[0] = 0;
	if (tfs->probes && remove_probes(tfs, tfs->group))
		complain("cannot remove the kprobe events of group %s",
			 tfs->group);
	tfs->probes = 0;
}

/* @event is "system/name"; without a filter every one is recorded. */
int tracefs_event(struct tracefs *tfs, const char *event, const char *filter)
{
	char name[128];
	int err = 0;

	if (filter) {
		snprintf(name, sizeof(name), "events/%s/filter", event);
		err = write_file(tfs, name, filter);
	}
	if (err)
		return err;
	snprintf(name, sizeof(name), "events/%s/enable", event);
	return write_file(tfs, name, "1");
}

/* An event at the beginning of a kernel function, by the function's name. */
int tracefs_probe(struct tracefs *tfs, const char *function,
		  const char *filter)
{
	char line[128];
	int err;

	snprintf(line, sizeof(line), "p:%s/%s %s\n", tfs->group, function,
		 function);
	err = write_probes(tfs, line);
	if (err) {
		complain("no kprobe event on %s: %s%s", function,
			 strerror(-err),
			 err == -EPERM ? " (is the kernel locked down?)" : "");
		return err;
	}
	tfs->probes++;
	snprintf(line, sizeof(line), "%s/%s", tfs->group, function);
	return tracefs_event(tfs, line, filter);
}

int tracefs_stop(struct tracefs *tfs)
{
	return write_file(tfs, "tracing_on", "0");
}

/* The text so far; the caller frees it. */
int tracefs_read(struct tracefs *tfs, char **text)
{
	char *path = make_path(tfs->dir, "trace");
	int err;

	if (!path)
		return -ENOMEM;
	err = read_path(path, text);
	if (err)
		file_error(err, path);
	free(path);
	return err;
}

/* Events that one CPU had no room for, or dropped. */
static uint64_t count_lost(const char *stats)
{
	static const char *const names[] = { "\noverrun: ", "\ncommit overrun: ",
					     "\ndropped events: " };
	uint64_t lost = 0;
	const char *at;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		at = strstr(stats, names[i]);
		/* Without the figure there is nothing to rely on. */
		lost += at ? strtoull(at + strlen(names[i]), NULL, 10) : 1;
	}
	return lost;
}

int tracefs_overrun(struct tracefs *tfs, uint64_t *events)
{
	char *path = make_path(tfs->dir, "per_cpu");
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	int err = dir ? 0 : -ENOENT;

	*events = 0;
	while (!err && (entry = readdir(dir))) {
		char *stats = NULL, *text = NULL;

		if (strncmp(entry->d_name, "cpu", 3))
			continue;
		if (asprintf(&stats, "%s/%s/stats", path, entry->d_name) < 0) {
			err = -ENOMEM;
			break;
		}
		err = read_path(stats, &text);
		if (!err)
			*events += count_lost(text);
		free(text);
		free(stats);
	}
	if (err)
		file_error(err, "per_cpu/*/stats");
	if (dir)
		closedir(dir);
	free(path);
	return err;
}
