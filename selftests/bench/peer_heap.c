// SPDX-License-Identifier: GPL-2.0-only
/* A dma-buf of the system's heap. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAP "/dev/dma_heap/system"

static int heap_get(struct held *held)
{
	struct dma_heap_allocation_data data = {
		.len = held->bytes,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap = open(HEAP, O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (heap < 0)
		return absent("dma-heap", "there is no " HEAP);
	if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data))
		err = -errno;
	close(heap);
	held->fd = data.fd;
	return err;
}

static int heap_map(struct held *held)
{
	held->at = mmap(NULL, held->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			held->fd, 0);
	return held->at == MAP_FAILED ? -errno : 0;
}

static void heap_put(struct held *held)
{
	munmap(held->at, held->bytes);
	close(held->fd);
}

const struct source source_heap = {
	.peer = "dma-heap",
	.pages = PAGES_4K,
	.get = heap_get,
	.map = heap_map,
	.put = heap_put,
};
