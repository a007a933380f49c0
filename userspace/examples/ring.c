// SPDX-License-Identifier: MIT
/*
 * Many copies without a system call for each: they go into a ring in batches,
 * and their completions come out of another. With an argument a thread of the
 * kernel serves the ring, and there are no system calls at all while it is
 * awake.
 *
 *	cc ring.c $(pkg-config --cflags --libs libpindrop)
 */
#include <errno.h>
#include <libpindrop.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define COPIES 64
#define BATCH 16
#define CHUNK 64

static int say(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, pindrop_strerror(err));
	return 1;
}

/* As many as there is room for; returns where the next one begins. */
static unsigned int fill(struct pindrop_ring *ring, struct pindrop_buf *dst,
			 struct pindrop_buf *src, unsigned int next)
{
	struct pindrop_sqe *sqe;

	while (next < COPIES && (sqe = pindrop_ring_get_sqe(ring))) {
		pindrop_ring_prep_copy(sqe, dst, next * CHUNK, src,
				       next * CHUNK, CHUNK);
		sqe->job.user_data = next++;
	}
	return next;
}

static int copy_all(struct pindrop_ring *ring, struct pindrop_buf *dst,
		    struct pindrop_buf *src)
{
	uint64_t deadline = pindrop_deadline(60 * SECOND);
	unsigned int next = 0, done;
	struct pindrop_cqe *cqe;
	int err;

	for (done = 0; done < COPIES; done++) {
		next = fill(ring, dst, src, next);
		err = pindrop_ring_submit(ring);
		if (err < 0 && err != -EBUSY)
			return say("submit", err);
		err = pindrop_ring_wait_cqe(ring, deadline, &cqe);
		if (err)
			return say("wait", err);
		if (cqe->result) {
			fprintf(stderr, "copy %u: %s\n",
				(unsigned int)cqe->user_data,
				pindrop_strerror(cqe->result));
			return 1;
		}
		pindrop_ring_cqe_seen(ring);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct pindrop_ring_setup setup = {
		.entries = BATCH,
		.flags = argc > 1 ? PINDROP_RING_THREAD : 0,
	};
	struct pindrop_buf *src, *dst;
	struct pindrop_ring *ring;
	unsigned char *from, *to;
	struct pindrop *dev;
	unsigned int i;
	void *data;
	bool same;
	int err;

	(void)argv;
	err = pindrop_open_default(&dev);
	if (err)
		return say("open", err);
	err = pindrop_buf_alloc(dev, COPIES * CHUNK, 0, &src);
	if (!err)
		err = pindrop_buf_alloc(dev, COPIES * CHUNK, 0, &dst);
	if (err)
		return say("buffers", err);
	err = pindrop_buf_map(src, &data);
	from = data;
	if (!err)
		err = pindrop_buf_map(dst, &data);
	to = data;
	if (err)
		return say("mmap", err);
	err = pindrop_ring_setup(dev, &setup, &ring);
	if (err)
		return say("ring", err);

	for (i = 0; i < COPIES * CHUNK; i++)
		from[i] = i % 251;
	err = pindrop_buf_sync(src, PINDROP_SYNC_END | PINDROP_SYNC_WRITE, 0,
			       COPIES * CHUNK);
	if (err)
		return say("sync", err);
	if (copy_all(ring, dst, src))
		return 1;
	same = !memcmp(from, to, COPIES * CHUNK);
	printf("%d copies: %s\n", COPIES, same ? "all there" : "wrong");

	pindrop_ring_exit(ring);
	pindrop_buf_unref(src);
	pindrop_buf_unref(dst);
	pindrop_unref(dev);
	return same ? 0 : 1;
}
