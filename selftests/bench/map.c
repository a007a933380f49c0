// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for a device from its beginning to its end: allocated, mapped and
 * touched, unmapped and given back.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int pindrop_get(struct held *held, uint32_t flags)
{
	struct pindrop *dev;
	int err;

	err = pindrop_open(held->dev->node, &dev);
	if (err)
		return err;
	err = pindrop_buf_alloc(dev, held->bytes, flags, &held->buf);
	/* The buffer holds it. */
	pindrop_unref(dev);
	if (err == -EOPNOTSUPP && flags)
		return absent("huge buffers", "the driver has none here");
	return err;
}

static int pindrop_get_4k(struct held *held)
{
	return pindrop_get(held, 0);
}

static int pindrop_get_huge(struct held *held)
{
	return pindrop_get(held, PINDROP_ALLOC_HUGE);
}

static int pindrop_map(struct held *held)
{
	void *at;
	int err = pindrop_buf_map(held->buf, &at);

	held->at = at;
	return err;
}

static void pindrop_put(struct held *held)
{
	pindrop_buf_unref(held->buf);
	wait_until_ours_is_gone(&held->dev->bytes);
}

const struct source source_pindrop_4k = {
	.pages = PAGES_4K,
	.get = pindrop_get_4k,
	.map = pindrop_map,
	.put = pindrop_put,
};

const struct source source_pindrop_huge = {
	.pages = PAGES_HUGE,
	.get = pindrop_get_huge,
	.map = pindrop_map,
	.put = pindrop_put,
};

/**
 * struct costs - of a page, the best of all rounds
 * @get: allocated
 * @map: mapped and touched
 * @ready: both, which is all that can be said where they are one
 * @put: unmapped and freed
 */
struct costs {
	double get;
	double map;
	double ready;
	double put;
};

static int go_round(const struct bench *b, const struct source *source,
		    size_t bytes, struct costs *costs)
{
	struct held held = {
		.dev = &b->sim, .bytes = bytes, .fd = -1, .memfd = -1
	};
	uint64_t begin = now(), got, mapped;
	int err = source->get ? source->get(&held) : 0;

	if (err)
		return err;
	got = now();
	err = source->map(&held);
	if (err) {
		source->put(&held);
		return err;
	}
	touch(held.at, bytes);
	mapped = now();
	source->put(&held);
	keep_best(&costs->put, now() - mapped, bytes / PAGE);
	keep_best(&costs->map, mapped - got, bytes / PAGE);
	keep_best(&costs->ready, mapped - begin, bytes / PAGE);
	keep_best(&costs->get, got - begin, bytes / PAGE);
	return 0;
}

static int measure_source(const struct bench *b, const struct source *source,
			  size_t bytes)
{
	struct costs costs = {};
	char param[32];
	int i, err = 0;

	for (i = 0; i < rounds_of(b, bytes) && !err; i++)
		err = go_round(b, source, bytes, &costs);
	if (err)
		return err;
	snprintf(param, sizeof(param), "%s %s", size_name(bytes),
		 pages_names[source->pages]);
	if (source->get) {
		row(b, "alloc", source->peer, param, costs.get, "page");
		row(b, "map_touch", source->peer, param, costs.map, "page");
	}
	row(b, "alloc_map_touch", source->peer, param, costs.ready, "page");
	row(b, "unmap_free", source->peer, param, costs.put, "page");
	return 0;
}

/* As the kernel does it, so that they can be compared. */
static void zero(char *at, size_t bytes)
{
#ifdef __x86_64__
	char *end = at + bytes;

	for (; at < end; at += PAGE) {
		char *to = at;
		size_t n = PAGE;

		asm volatile("rep stosb"
			     : "+D"(to), "+c"(n)
			     : "a"(0)
			     : "memory");
	}
#else
	memset(at, 0, bytes);
#endif
}

static int measure_zero(const struct bench *b, size_t bytes)
{
	struct memory memory;
	double best = 0;
	uint64_t begin;
	int i, err;

	err = memory_get(&memory, bytes, PAGES_HUGE);
	if (err)
		return err;
	for (i = 0; i < b->rounds; i++) {
		begin = now();
		zero(memory.at, bytes);
		keep_best(&best, now() - begin, bytes / PAGE);
	}
	memory_put(&memory);
	row(b, "zero", "memset", size_name(bytes), best, "page");
	return 0;
}

int measure_map(const struct bench *b)
{
	static const size_t sizes[] = { 256 * MIB, 2 * MIB, 1024 * MIB };
	static const struct source *const sources[] = {
		&source_pindrop_4k, &source_pindrop_huge, &source_heap,
		&source_udmabuf,    &source_anon_4k,	  &source_anon_huge,
	};
	size_t i, j;
	int err, status;

	status = measure_zero(b, sizes[0]);
	for (i = 0; i < (b->quick ? 1 : ARRAY_SIZE(sizes)); i++)
		for (j = 0; j < ARRAY_SIZE(sources) && status >= 0; j++) {
			err = measure_source(b, sources[j], sizes[i]);
			status = err ? err : status;
		}
	return status;
}
