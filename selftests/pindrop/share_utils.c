// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "share_utils.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NODE "/dev/pindrop_peer"
#define MODULE "/lib/modules/pindrop_peer.ko"
#define UDMABUF "/dev/udmabuf"
#define HEAP "/dev/dma_heap/system"

static int call(int fd, enum peer_call nr, unsigned long arg)
{
	int ret = ioctl(fd, PEER_IO(nr), arg);

	return ret < 0 ? -errno : ret;
}

static int open_peer(void)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC), err, tries;

	if (fd >= 0)
		return fd;
	/* Another program may be faster. */
	err = pd_load_module(MODULE, "");
	if (err && err != -EEXIST)
		return err;
	for (tries = 0; tries < 100; tries++) {
		fd = open(NODE, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		pd_sleep_ms(10);
	}
	return -errno;
}

/* Mapped, if it can be written. */
int share_peer(struct share_peer *p, unsigned int pages, unsigned int flags)
{
	int err = 0;

	*p = SHARE_NO_PEER;
	p->fd = open_peer();
	if (p->fd < 0)
		return p->fd;
	p->dmabuf = call(p->fd, PEER_CREATE, pages | flags << 16);
	if (p->dmabuf < 0)
		return p->dmabuf;
	p->len = pages * (size_t)sysconf(_SC_PAGESIZE);
	if (!(flags & PEER_READ_ONLY))
		p->map = share_map(p->dmabuf, p->len, &err);
	return err;
}

void share_peer_end(struct share_peer *p)
{
	if (p->map)
		munmap(p->map, p->len);
	if (p->dmabuf >= 0)
		close(p->dmabuf);
	if (p->fd >= 0)
		close(p->fd);
	*p = SHARE_NO_PEER;
}

int share_revoke(const struct share_peer *p)
{
	return call(p->fd, PEER_REVOKE, 0);
}

int share_count(const struct share_peer *p, enum peer_count which)
{
	return call(p->fd, PEER_COUNT, which);
}

bool share_count_becomes(const struct share_peer *p, enum peer_count which,
			 int want, long ms)
{
	__u64 begin = pd_now_ns();

	while (share_count(p, which) != want) {
		if (pd_ms_since(begin) > ms)
			return false;
		pd_sleep_ms(1);
	}
	return true;
}

/* Returns when so much time has passed. */
int share_lock(const struct share_peer *p, long ms)
{
	return call(p->fd, PEER_LOCK, ms);
}

int share_fill(const struct share_peer *p)
{
	return call(p->fd, PEER_FILL, 0);
}

/* The first page, from 1, that was written since share_fill(), or 0. */
int share_check(const struct share_peer *p)
{
	return call(p->fd, PEER_CHECK, 0);
}

/* The other way round: the kernel has it mapped, for a device of its own, too. */
int share_borrow(struct share_peer *p, int dmabuf)
{
	*p = SHARE_NO_PEER;
	p->fd = open_peer();
	return p->fd < 0 ? p->fd : call(p->fd, PEER_BORROW, dmabuf);
}

/* The first byte of what is borrowed that is not as it should be, or -1. */
long share_wrong(const struct share_peer *p, size_t len,
		 const unsigned char *want)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (call(p->fd, PEER_LOOK, i) != want[i])
			return i;
	return -1;
}

/* By a device, which has heard of nothing. */
int share_write(const struct share_peer *p, size_t at, unsigned char byte)
{
	return call(p->fd, PEER_WRITE, at << 8 | byte);
}

int share_read(const struct share_peer *p, size_t at)
{
	return call(p->fd, PEER_READ, at);
}

/* -ENOENT where the kernel has none. */
int share_udmabuf(int memfd, size_t len, int *dmabuf)
{
	struct udmabuf_create args = {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = len,
	};
	int fd = open(UDMABUF, O_RDWR | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		err = -errno;
	*dmabuf = err ? -1 : ioctl(fd, UDMABUF_CREATE, &args);
	if (!err && *dmabuf < 0)
		err = -errno;
	close(fd);
	return err;
}

/* The same. */
int share_heap(size_t len, int *dmabuf)
{
	struct dma_heap_allocation_data args = {
		.len = len,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int fd = open(HEAP, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &args))
		err = -errno;
	*dmabuf = err ? -1 : (int)args.fd;
	close(fd);
	return err;
}

/* DMA_BUF_SYNC_* */
int share_cpu(int dmabuf, unsigned long flags)
{
	struct dma_buf_sync args = { .flags = flags };

	return ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &args) ? -errno : 0;
}

unsigned char *share_map(int dmabuf, size_t len, int *error)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf,
			 0);

	*error = map == MAP_FAILED ? -errno : 0;
	return map == MAP_FAILED ? NULL : map;
}
