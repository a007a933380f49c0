/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs about sharing have in common: somebody to share with.
 * Functions return 0 or -errno, where they say nothing else.
 */
#ifndef SHARE_UTILS_H
#define SHARE_UTILS_H

#include <linux/pindrop_peer.h>

#include "pindrop_utils.h"

/* One dma-buf of the driver's peer.c, which gives them away for tests. */
struct share_peer {
	int fd;
	int dmabuf;
	size_t len;
	unsigned char *map;
};

#define SHARE_NO_PEER ((struct share_peer){ .fd = -1, .dmabuf = -1 })

int share_peer(struct share_peer *p, unsigned int pages, unsigned int flags);
void share_peer_end(struct share_peer *p);
int share_revoke(const struct share_peer *p);
int share_count(const struct share_peer *p, enum peer_count which);
bool share_count_becomes(const struct share_peer *p, enum peer_count which,
			 int want, long ms);
int share_lock(const struct share_peer *p, long ms);
int share_fill(const struct share_peer *p);
int share_check(const struct share_peer *p);

int share_borrow(struct share_peer *p, int dmabuf);
long share_wrong(const struct share_peer *p, size_t len,
		 const unsigned char *want);
int share_write(const struct share_peer *p, size_t at, unsigned char byte);
int share_read(const struct share_peer *p, size_t at);

int share_udmabuf(int memfd, size_t len, int *dmabuf);
int share_heap(size_t len, int *dmabuf);
int share_cpu(int dmabuf, unsigned long flags);
unsigned char *share_map(int dmabuf, size_t len, int *error);

#endif
