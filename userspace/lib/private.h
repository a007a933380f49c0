/* SPDX-License-Identifier: MIT */
/* What the library's files share; not installed. */
#ifndef LIBPINDROP_PRIVATE_H
#define LIBPINDROP_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "libpindrop.h"

#define PINDROP_EXPORT __attribute__((visibility("default")))

/**
 * struct pindrop - an open device
 * @refs: the user's references, and one of every buffer
 * @fd: the node; fixed
 * @node: its path; fixed
 * @lock: guards @window
 * @window: the status window, mapped when it is first asked for, or NULL
 */
struct pindrop {
	atomic_uint refs;
	int fd;
	char *node;
	pthread_mutex_t lock;
	struct pindrop_window *window;
};

/**
 * struct pindrop_buf - a buffer
 * @refs: the user's references
 * @dev: its device, with a reference; fixed, like all but @data
 * @length: its size
 * @offset: where mmap() finds it
 * @handle: its name in the driver
 * @lock: guards @data
 * @data: the mapping, made when it is first asked for, or NULL
 * @pinned: @data is the program's own
 * @dmabuf: of an import, a descriptor of it; else -1
 */
struct pindrop_buf {
	atomic_uint refs;
	struct pindrop *dev;
	uint64_t length;
	uint64_t offset;
	uint32_t handle;
	pthread_mutex_t lock;
	void *data;
	bool pinned;
	int dmabuf;
};

/**
 * struct pindrop_ring - a ring, as the program sees it
 * @dev: its device, with a reference; fixed, like all but the last three
 * @threaded: the driver has a thread for it
 * @length: of the mapping
 * @pid: who has it
 * @shared: its beginning
 * @sqes: in there
 * @cqes: in there
 * @entries: of @sqes
 * @cq_entries: of @cqes
 * @sq_tail: behind the last entry that was got; this and the next by who
 *	submits
 * @sq_published: behind the last that was submitted
 * @cq_head: next completion to read; by who reads them
 */
struct pindrop_ring {
	struct pindrop *dev;
	bool threaded;
	uint64_t length;
	pid_t pid;
	struct pindrop_ring_header *shared;
	struct pindrop_sqe *sqes;
	struct pindrop_cqe *cqes;
	uint32_t entries;
	uint32_t cq_entries;
	uint32_t sq_tail;
	uint32_t sq_published;
	uint32_t cq_head;
};

int pindrop_ioctl(const struct pindrop *dev, unsigned int verb, void *args);
int pindrop_ioctl_count(const struct pindrop *dev, unsigned int verb,
			void *args);
int pindrop_mmap(const struct pindrop *dev, uint64_t length, int prot,
		 uint64_t offset, void **data);

#endif /* LIBPINDROP_PRIVATE_H */
