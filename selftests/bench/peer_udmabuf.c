// SPDX-License-Identifier: GPL-2.0-only
/* A dma-buf of a memfd. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define UDMABUF "/dev/udmabuf"
#define LIMIT "/sys/module/udmabuf/parameters/size_limit_mb"

static int udmabuf_of(struct held *held)
{
	struct udmabuf_create create = {
		.memfd = held->memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = held->bytes,
	};
	int fd, err = 0;

	/* It makes 64 MiB at most if it is not told otherwise. */
	write_file(LIMIT, "4096");
	fd = open(UDMABUF, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return absent("udmabuf", "there is no " UDMABUF);
	held->fd = ioctl(fd, UDMABUF_CREATE, &create);
	if (held->fd < 0)
		err = -errno;
	close(fd);
	return err;
}

static int udmabuf_get(struct held *held)
{
	int err = 0;

	held->memfd = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (held->memfd < 0)
		return -errno;
	if (ftruncate(held->memfd, held->bytes) ||
	    fcntl(held->memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		err = -errno;
	if (!err)
		err = udmabuf_of(held);
	if (err)
		close(held->memfd);
	return err;
}

static int udmabuf_map(struct held *held)
{
	held->at = mmap(NULL, held->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			held->fd, 0);
	return held->at == MAP_FAILED ? -errno : 0;
}

static void udmabuf_put(struct held *held)
{
	munmap(held->at, held->bytes);
	close(held->fd);
	close(held->memfd);
}

const struct source source_udmabuf = {
	.peer = "udmabuf",
	.pages = PAGES_4K,
	.get = udmabuf_get,
	.map = udmabuf_map,
	.put = udmabuf_put,
};
