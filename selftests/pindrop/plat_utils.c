// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "plat_utils.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEBUGFS "/sys/kernel/debug/pindrop_dmaengine"
#define QUARANTINE "/sys/class/pindrop/quarantine"
#define CHANNELS "/sys/class/dma"

/* Returns NULL, or why there is nothing to test. */
const char *plat_find(const struct pd_env *env)
{
	if (strcmp(env->info.out_engine, "dmaengine"))
		return "the engine is not dmaengine";
	return access(DEBUGFS "/blind", W_OK) ? "no debugfs, or locked down" :
						NULL;
}

int plat_self(const struct pd_env *env, struct plat_bound *self)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/device/driver", env->sysfs);
	if (!realpath(path, self->driver))
		return -errno;
	snprintf(self->device, sizeof(self->device), "%s",
		 env->info.out_device);
	return 0;
}

static int bound_of(const char *device, struct plat_bound *bound)
{
	char path[PATH_MAX], real[PATH_MAX];

	if (!realpath(device, real) ||
	    snprintf(path, sizeof(path), "%s/driver", real) >= sizeof(path) ||
	    !realpath(path, bound->driver))
		return -ENODEV;
	snprintf(bound->device, sizeof(bound->device), "%s",
		 strrchr(real, '/') + 1);
	return 0;
}

/* Whose channels it has: the only one that it depends on. */
int plat_controller(const struct pd_env *env, struct plat_bound *controller)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int err = -ENODEV;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/device", env->sysfs);
	dir = opendir(path);
	while (dir && err && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "supplier:", 9))
			continue;
		snprintf(path, sizeof(path), "%s/device/%s/supplier",
			 env->sysfs, entry->d_name);
		err = bound_of(path, controller);
	}
	if (dir)
		closedir(dir);
	return err;
}

/* Some drivers stay registered with memory that is freed when they are unbound. */
bool plat_can_unbind(const struct plat_bound *controller)
{
	return !strstr(controller->driver, "/bcm2835-dma");
}

/* The device of a controller with a channel that nobody uses. */
int plat_idle_controller(struct plat_bound *idle)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int err = -ENODEV;
	DIR *dir = opendir(CHANNELS);

	while (dir && err && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), CHANNELS "/%s", entry->d_name);
		if (entry->d_name[0] == '.' || pd_number_in(path, "in_use"))
			continue;
		snprintf(path, sizeof(path), CHANNELS "/%s/device",
			 entry->d_name);
		err = bound_of(path, idle);
	}
	if (dir)
		closedir(dir);
	return err;
}

int plat_unbind(const struct plat_bound *what)
{
	return pd_write_in(what->driver, "unbind", what->device);
}

int plat_bind(const struct plat_bound *what)
{
	return pd_write_in(what->driver, "bind", what->device);
}

/* Who waits for a controller is bound some time after it. */
bool plat_appears(const char *path)
{
	__u64 begin = pd_now_ns();

	while (access(path, F_OK)) {
		if (pd_ms_since(begin) > PLAT_BOUND_MS)
			return false;
		pd_sleep_ms(10);
	}
	return true;
}

/* How many there were that programs asked for. */
int plat_delete_made(const struct plat_bound *self)
{
	DIR *dir = opendir("/sys/bus/platform/devices");
	struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "pindrop_dmaengine.", 18))
			n += !pd_write_in(self->driver, "delete_device",
					  entry->d_name);
	if (dir)
		closedir(dir);
	return n;
}

int plat_set_deaf(const struct pd_env *env, int how)
{
	char path[256], text[16];

	snprintf(path, sizeof(path), DEBUGFS "/%s/deaf", env->info.out_device);
	snprintf(text, sizeof(text), "%d", how);
	return pd_write_file(path, text);
}

int plat_set_blind(int how)
{
	return pd_write_file(DEBUGFS "/blind", how ? "1" : "0");
}

/* Whether memory of it is kept, although it may be gone. */
bool plat_in_quarantine(const char *device)
{
	char text[4096], start[160];

	if (pd_read_file(QUARANTINE, text, sizeof(text)))
		return false;
	snprintf(start, sizeof(start), "%s ", device);
	return strstr(text, start);
}

bool plat_leaves_quarantine(const char *device)
{
	__u64 begin = pd_now_ns();

	while (plat_in_quarantine(device)) {
		if (pd_ms_since(begin) > PLAT_BOUND_MS)
			return false;
		pd_sleep_ms(10);
	}
	return true;
}

/* "", or what does not work. */
const char *plat_works(const struct pd_env *env)
{
	struct pd_buf src, dst;
	struct pindrop_job_desc job;
	int fd = pd_open(env);
	const char *wrong = "";

	if (fd < 0 || pd_create(fd, env->info.out_max_piece, &src) ||
	    pd_create(fd, env->info.out_max_piece, &dst))
		return "no memory";
	pd_fill(src.map, src.len, 9);
	job = pd_copy(&src, 0, &dst, 0, src.len);
	if (pd_run(fd, &job, 1))
		wrong = "it fails";
	else if (pd_wrong(dst.map, dst.len, 9) >= 0)
		wrong = "it copies nonsense";
	pd_unmap(&src);
	pd_unmap(&dst);
	close(fd);
	return wrong;
}
