// SPDX-License-Identifier: MIT
/* Finding devices and reading their attributes in sysfs; opens no node. */
#define _GNU_SOURCE /* secure_getenv */
#include "private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CLASS_DIR "/sys/class/pindrop"
#define PREFIX "pindrop"

/* One line of text; -ENODEV if the device went while it was read. */
static int read_attr(int dir, const char *name, char *text, size_t size)
{
	ssize_t n;
	int err = 0;
	int fd;

	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		err = -errno;
	close(fd);
	if (err)
		return err;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return 0;
}

/* The number behind the name; -1 for names that are no device's. */
static long device_number(const char *name)
{
	size_t len = strlen(PREFIX);
	char *end;
	long n;

	if (strncmp(name, PREFIX, len) || name[len] < '0' || name[len] > '9')
		return -1;
	errno = 0;
	n = strtol(name + len, &end, 10);
	return *end || errno ? -1 : n;
}

static bool engine_matches(int class, const char *name, const char *engine)
{
	char path[PINDROP_NODE_MAX + sizeof("/engine")];
	char text[64];

	if (!engine)
		return true;
	snprintf(path, sizeof(path), "%.*s/engine", PINDROP_NODE_MAX, name);
	return !read_attr(class, path, text, sizeof(text)) &&
	       !strcmp(text, engine);
}

/* The lowest number above @above, or -1. */
static long next_device(DIR *class, const char *engine, long above)
{
	struct dirent *entry;
	long best = -1, n;

	rewinddir(class);
	while ((entry = readdir(class))) {
		n = device_number(entry->d_name);
		if (n <= above || (best >= 0 && n > best))
			continue;
		if (engine_matches(dirfd(class), entry->d_name, engine))
			best = n;
	}
	return best;
}

/**
 * pindrop_find() - the node of a device
 * @engine: only devices of this engine; NULL: of any
 * @index: which of them, in the order of their numbers, from 0
 * @node: its path
 * @size: room in @node, PINDROP_NODE_MAX is enough
 *
 * Context: any thread.
 * Return: 0, or -ENODEV (there are not so many, or no driver), -ENAMETOOLONG
 * (@size), -ENOMEM, -EMFILE, -ENFILE, -EACCES.
 */
PINDROP_EXPORT int pindrop_find(const char *engine, unsigned int index,
				char *node, size_t size)
{
	long found = -1;
	DIR *class;
	int n;

	class = opendir(CLASS_DIR);
	if (!class)
		return errno == ENOENT ? -ENODEV : -errno;
	do
		found = next_device(class, engine, found);
	while (found >= 0 && index--);
	closedir(class);
	if (found < 0)
		return -ENODEV;
	n = snprintf(node, size, "/dev/" PREFIX "%ld", found);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/**
 * pindrop_find_default() - the node that the environment asks for
 * @node: its path
 * @size: room in @node
 *
 * PINDROP_DEV is the path itself, else PINDROP_ENGINE names the engine whose
 * first device is taken, else it is the first of all. Empty variables count as
 * unset, and programs with raised privileges ignore both.
 *
 * Context: any thread that does not change the environment meanwhile.
 * Return: 0, or as pindrop_find().
 */
PINDROP_EXPORT int pindrop_find_default(char *node, size_t size)
{
	const char *path = secure_getenv("PINDROP_DEV");
	const char *engine = secure_getenv("PINDROP_ENGINE");

	if (!path || !*path)
		return pindrop_find(engine && *engine ? engine : NULL, 0, node,
				    size);
	if (strlen(path) >= size)
		return -ENAMETOOLONG;
	strcpy(node, path);
	return 0;
}

/* The directory of a node's attributes; by its number, however it is called. */
static int open_attrs(const char *node)
{
	char path[64];
	struct stat st;
	int dir;

	if (stat(node, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode))
		return -ENOTTY;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u", major(st.st_rdev),
		 minor(st.st_rdev));
	dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	return dir;
}

/**
 * pindrop_get_engine() - the name of a device's engine
 * @node: path of the node
 * @engine: the name
 * @size: room in @engine; 16 is enough
 *
 * Context: any thread.
 * Return: 0, or -ENOENT (no such node), -ENODEV (no such device), -ENOTTY (not
 * a device node), -EMFILE, -ENFILE, -ENOMEM, -EACCES.
 */
PINDROP_EXPORT int pindrop_get_engine(const char *node, char *engine,
				      size_t size)
{
	int dir = open_attrs(node);
	int err;

	if (dir < 0)
		return dir;
	err = read_attr(dir, "engine", engine, size);
	close(dir);
	return err;
}

static const char *const counter_names[] = {
	"contexts",    "buffers",   "bytes",	   "inflight",	     "pinned",
	"quarantined", "jobs_done", "jobs_failed", "jobs_cancelled",
};

_Static_assert(sizeof(counter_names) / sizeof(counter_names[0]) *
			       sizeof(uint64_t) ==
		       sizeof(struct pindrop_counters),
	       "a name for every counter, in order");

/**
 * pindrop_get_counters() - read a device's counters
 * @node: path of the node; it is not opened, and need not be permitted
 * @counters: filled in
 * @size: sizeof(*@counters)
 *
 * The counters are read one after the other. What this library does not know
 * of @counters is 0.
 *
 * Context: any thread.
 * Return: 0, or -ENOENT (no such node), -ENODEV (no such device), -ENOTTY (not
 * a device node), -EINVAL (an attribute is not a number), -EMFILE, -ENFILE,
 * -ENOMEM, -EACCES.
 */
PINDROP_EXPORT int pindrop_get_counters(const char *node,
					struct pindrop_counters *counters,
					size_t size)
{
	struct pindrop_counters have = {};
	uint64_t *value = (uint64_t *)&have;
	int dir = open_attrs(node);
	size_t i, n = sizeof(counter_names) / sizeof(counter_names[0]);
	char text[32], *end;
	int err = 0;

	if (dir < 0)
		return dir;
	for (i = 0; i < n && !err; i++) {
		err = read_attr(dir, counter_names[i], text, sizeof(text));
		if (err)
			break;
		value[i] = strtoull(text, &end, 10);
		if (end == text || *end)
			err = -EINVAL;
	}
	close(dir);
	if (err)
		return err;
	memset(counters, 0, size);
	memcpy(counters, &have, size < sizeof(have) ? size : sizeof(have));
	return 0;
}
