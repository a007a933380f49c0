// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel keeps of a buffer, a pin and a context, beside their pages. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT 3000

/* Memory is given back a little later. */
#define SETTLE_US 200000

/* Free, and free for one processor alone. */
long long free_memory(void)
{
	FILE *file = fopen("/proc/zoneinfo", "re");
	long long pages = 0, n;
	char line[128];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %lld", &n) == 1 ||
		    sscanf(line, " count: %lld", &n) == 1)
			pages += n;
	fclose(file);
	return pages * (long long)PAGE;
}

/**
 * struct things - what is counted
 * @node: of the device
 * @devs: contexts
 * @bufs: what they have
 * @page: what is pinned
 */
struct things {
	const char *node;
	struct pindrop *devs[COUNT];
	struct pindrop_buf *bufs[COUNT];
	struct memory page;
};

static int make_buffer(struct things *things, size_t i)
{
	return pindrop_buf_alloc(things->devs[0], PAGE, 0, &things->bufs[i]);
}

static int make_pin(struct things *things, size_t i)
{
	return pindrop_buf_pin(things->devs[0], things->page.at, PAGE, 0,
			       &things->bufs[i]);
}

/* Bound to this process, which takes an allocation. */
static int make_context(struct things *things, size_t i)
{
	struct pindrop_buf *buf;
	int err;

	if (!i)
		return 0;
	err = pindrop_open(things->node, &things->devs[i]);
	if (!err)
		err = pindrop_buf_alloc(things->devs[i], PAGE, 0, &buf);
	if (!err)
		pindrop_buf_unref(buf);
	return err;
}

static const struct {
	const char *name;
	int (*make)(struct things *things, size_t i);
	size_t pages;
} kinds[] = {
	{ "memory_buffer", make_buffer, 1 },
	{ "memory_pin", make_pin, 0 },
	{ "memory_context", make_context, 0 },
};

/* With the library's handle of some words. */
static int measure_kind(struct things *things, size_t kind)
{
	long long before, after;
	int err = 0;
	size_t i;

	usleep(SETTLE_US);
	before = free_memory();
	for (i = 0; i < COUNT && !err; i++)
		err = kinds[kind].make(things, i);
	usleep(SETTLE_US);
	after = free_memory();
	if (!err)
		row_of(kinds[kind].name, NULL, "",
		       (double)(before - after) / COUNT -
			       kinds[kind].pages * PAGE,
		       "bytes");
	for (i = 0; i < COUNT; i++) {
		things->bufs[i] = pindrop_buf_unref(things->bufs[i]);
		if (i)
			things->devs[i] = pindrop_unref(things->devs[i]);
	}
	return err;
}

/* The library's, of a page. */
static int measure_pages(struct things *things, enum pages pages,
			 const char *param)
{
	const size_t bytes = 256 * MIB;
	struct pindrop_buf *buf;
	struct memory memory;
	long long before;
	int err;

	err = memory_get(&memory, bytes, pages);
	if (err)
		return err;
	usleep(SETTLE_US);
	before = free_memory();
	err = pindrop_buf_pin(things->devs[0], memory.at, bytes, 0, &buf);
	if (!err) {
		row_of("memory_pinned_page", NULL, param,
		       (double)(before - free_memory()) * PAGE / bytes,
		       "bytes");
		pindrop_buf_unref(buf);
	}
	memory_put(&memory);
	return err;
}

static int measure_things(struct things *things)
{
	int err;
	size_t i;

	err = pindrop_open(things->node, &things->devs[0]);
	if (!err)
		err = memory_get(&things->page, HUGE_PAGE, PAGES_4K);
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(kinds) && !err; i++)
		err = measure_kind(things, i);
	memory_put(&things->page);
	if (!err)
		err = measure_pages(things, PAGES_4K, "4k");
	if (!err)
		err = measure_pages(things, PAGES_SCATTERED, "scattered");
	pindrop_unref(things->devs[0]);
	return err;
}

int measure_footprint(const struct bench *b)
{
	struct things *things;
	int err;

	things = calloc(1, sizeof(*things));
	if (!things)
		return -ENOMEM;
	touch((char *)things, sizeof(*things));
	memset(things, 0, sizeof(*things));
	things->node = b->sim.node;
	err = measure_things(things);
	free(things);
	return err;
}
