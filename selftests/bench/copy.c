// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies by the engine in software: of memory that was pinned before, or that
 * is pinned for each of them, which is how drivers such as XDMA's do it.
 */
#include "bench.h"

#include <errno.h>
#include <string.h>

/* So much is copied in all for one figure, or one job. */
#define TOTAL (16 * MIB)

static int copy_job(struct pindrop *dev, struct pindrop_buf *dst,
		    struct pindrop_buf *src, size_t bytes)
{
	struct pindrop_job_desc job;
	uint64_t last;
	int err;

	pindrop_job_copy(&job, dst, 0, src, 0, bytes);
	err = pindrop_submit_jobs(dev, 0, &job, 1, NULL, &last, NULL);
	if (err)
		return err;
	return pindrop_wait_jobs(dev, last, last, PINDROP_FOREVER, NULL);
}

static int copy_pinned(struct pindrop *dev, char *to, char *from, size_t bytes,
		       size_t count)
{
	struct pindrop_buf *dst = NULL, *src = NULL;
	int err;

	err = pindrop_buf_pin(dev, from, bytes, 0, &src);
	if (!err)
		err = pindrop_buf_pin(dev, to, bytes, PINDROP_PIN_WRITE, &dst);
	while (count-- && !err)
		err = copy_job(dev, dst, src, bytes);
	pindrop_buf_unref(dst);
	pindrop_buf_unref(src);
	return err;
}

static int copy_pin_each(struct pindrop *dev, char *to, char *from,
			 size_t bytes, size_t count)
{
	int err = 0;

	while (count-- && !err)
		err = copy_pinned(dev, to, from, bytes, 1);
	return err;
}

static int copy_memcpy(struct pindrop *dev, char *to, char *from, size_t bytes,
		       size_t count)
{
	(void)dev;
	while (count--) {
		memcpy(to, from, bytes);
		/* So that each is done. */
		asm volatile("" : : : "memory");
	}
	return 0;
}

static const struct {
	const char *peer;
	int (*go)(struct pindrop *dev, char *to, char *from, size_t bytes,
		  size_t count);
} ways[] = {
	{ NULL, copy_pinned },
	{ "pin for each", copy_pin_each },
	{ "memcpy", copy_memcpy },
};

static int measure_size(const struct bench *b, struct pindrop *dev,
			struct memory *memory, size_t bytes)
{
	const size_t count = bytes < TOTAL ? TOTAL / bytes : 1;
	char *to = memory->at + memory->bytes / 2;
	uint64_t begin;
	double best;
	int r, err = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways) && !err; i++) {
		/* Those for many bytes would count as one. */
		if (ways[i].go == copy_memcpy && b->counted)
			continue;
		for (best = 0, r = 0; r < b->rounds && !err; r++) {
			begin = now();
			err = ways[i].go(dev, to, memory->at, bytes, count);
			keep_best(&best, now() - begin, count * bytes / PAGE);
		}
		if (!err)
			row(b, "copy", ways[i].peer, size_name(bytes), best,
			    "page");
	}
	return err;
}

int measure_copy(const struct bench *b)
{
	struct pindrop_info info = {};
	struct memory memory;
	struct pindrop *dev;
	size_t bytes;
	int err;

	err = pindrop_open(b->sim.node, &dev);
	if (err)
		return err;
	err = pindrop_get_info(dev, &info, sizeof(info));
	if (!err && !(info.out_caps & PINDROP_CAP_MEM_TO_MEM))
		err = absent("copy", "the device does not copy in memory");
	if (!err)
		err = memory_get(&memory, 128 * MIB, PAGES_4K);
	if (!err) {
		for (bytes = 4 * KIB; bytes <= 64 * MIB && !err; bytes *= 16)
			err = measure_size(b, dev, &memory, bytes);
		if (!err)
			err = measure_size(b, dev, &memory, 64 * MIB);
		memory_put(&memory);
	}
	pindrop_unref(dev);
	return err;
}
