// SPDX-License-Identifier: MIT
/*
 * The smallest whole program: two buffers, one copy between them by the
 * device, and a look at the result.
 *
 *	cc copy.c $(pkg-config --cflags --libs libpindrop)
 */
#include <libpindrop.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

static const char text[] = "moved by the device";

static int say(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, pindrop_strerror(err));
	return 1;
}

int main(void)
{
	struct pindrop_job_desc job;
	struct pindrop_buf *src, *dst;
	struct pindrop *dev;
	void *from, *to;
	uint64_t ticket;
	bool same;
	int err;

	/* PINDROP_DEV or PINDROP_ENGINE choose; else it is the first one. */
	err = pindrop_open_default(&dev);
	if (err)
		return say("open", err);

	/* The first allocation makes this process the owner of what follows. */
	err = pindrop_buf_alloc(dev, sizeof(text), 0, &src);
	if (err)
		return say("first buffer", err);
	err = pindrop_buf_alloc(dev, sizeof(text), 0, &dst);
	if (err)
		return say("second buffer", err);
	err = pindrop_buf_map(src, &from);
	if (!err)
		err = pindrop_buf_map(dst, &to);
	if (err)
		return say("mmap", err);

	memcpy(from, text, sizeof(text));
	/* For devices that do not see the CPU's caches. */
	err = pindrop_buf_sync(src, PINDROP_SYNC_END | PINDROP_SYNC_WRITE, 0,
			       sizeof(text));
	if (err)
		return say("sync", err);

	/* Lengths are multiples of INFO's out_align; a whole page always is. */
	pindrop_job_copy(&job, dst, 0, src, 0, pindrop_buf_length(src));
	err = pindrop_submit_jobs(dev, 0, &job, 1, &ticket, NULL, NULL);
	if (err)
		return say("submit", err);
	err = pindrop_wait_jobs(dev, ticket, ticket,
				pindrop_deadline(10 * SECOND), NULL);
	if (err)
		return say("copy", err);

	printf("%s\n", (const char *)to);
	same = !memcmp(text, to, sizeof(text));
	/* Exit would do the same: the driver cleans up after a dead process. */
	pindrop_buf_unref(src);
	pindrop_buf_unref(dst);
	pindrop_unref(dev);
	return same ? 0 : 1;
}
