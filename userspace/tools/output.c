// SPDX-License-Identifier: MIT
#define _GNU_SOURCE /* asprintf, mkostemp */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new file is as open(2) would make it, a replaced one stays as it was. */
static mode_t output_mode(const struct stat *old)
{
	mode_t mask;

	if (old)
		return old->st_mode & 07777;
	mask = umask(0);
	umask(mask);
	return 0666 & ~mask;
}

/* Beside its final place, since rename() stays within a file system. */
static int make_temp(struct output *out, const struct stat *old)
{
	const char *slash = strrchr(out->path, '/');
	const char *name = slash ? slash + 1 : out->path;
	int dir = name - out->path;
	int err;

	if (asprintf(&out->temp, "%.*s.%s.XXXXXX", dir, out->path, name) < 0) {
		out->temp = NULL;
		return -ENOMEM;
	}
	out->fd = mkostemp(out->temp, O_CLOEXEC);
	if (out->fd < 0) {
		err = -errno;
		free(out->temp);
		out->temp = NULL;
		return err;
	}
	return fchmod(out->fd, output_mode(old)) < 0 ? -errno : 0;
}

/* -errno, and then there is nothing to abort. */
int output_open(struct output *out, const char *path)
{
	struct stat st;
	bool exists = !stat(path, &st);
	int err;

	*out = (struct output){ .fd = -1 };
	if (exists && !S_ISREG(st.st_mode)) {
		out->fd = open(path, O_WRONLY | O_CLOEXEC);
		return out->fd < 0 ? -errno : 0;
	}
	/* A link stays a link. */
	out->path = exists ? realpath(path, NULL) : strdup(path);
	err = out->path ? make_temp(out, exists ? &st : NULL) : -errno;
	if (err)
		output_abort(out);
	return err;
}

int output_commit(struct output *out)
{
	int err = 0;

	if (out->path && (fsync(out->fd) < 0 || rename(out->temp, out->path) < 0))
		err = -errno;
	if (err) {
		output_abort(out);
		return err;
	}
	if (close(out->fd) < 0)
		err = -errno;
	free(out->temp);
	free(out->path);
	return err;
}

void output_abort(struct output *out)
{
	if (out->temp)
		unlink(out->temp);
	if (out->fd >= 0)
		close(out->fd);
	free(out->temp);
	free(out->path);
}
