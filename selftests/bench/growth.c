// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one more costs where there are many already: buffers, pins, contexts,
 * mappings of a buffer, jobs that wait. It should not be more for that.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of a context and of a user, with some to spare. */
#define OF_CONTEXT 4000
#define OF_USER 4000
#define MOST 10000
#define TIMES 32
#define MAPPINGS 64

/**
 * struct crowd - those that are there
 * @b: the benchmark
 * @count: how many
 * @devs: their contexts, or they are these
 * @bufs: they, of memory
 * @page: what is pinned
 */
struct crowd {
	const struct bench *b;
	size_t count;
	struct pindrop *devs[MOST + 1];
	struct pindrop_buf *bufs[MOST + 1];
	struct memory page;
};

/* How one of them comes, as number @i, and goes. */
struct kind {
	const char *name;
	int (*come)(struct crowd *crowd, size_t i);
	void (*go)(struct crowd *crowd, size_t i);
};

/* Who holds handles has some thousand for each context. */
static int context_of(struct crowd *crowd, size_t i, struct pindrop **dev)
{
	size_t n = i / OF_CONTEXT;
	int err = 0;

	if (!crowd->devs[n])
		err = pindrop_open(crowd->b->sim.node, &crowd->devs[n]);
	*dev = crowd->devs[n];
	return err;
}

static int buffer_comes(struct crowd *crowd, size_t i)
{
	struct pindrop *dev;
	int err = context_of(crowd, i, &dev);

	return err ? err : pindrop_buf_alloc(dev, PAGE, 0, &crowd->bufs[i]);
}

static int pin_comes(struct crowd *crowd, size_t i)
{
	struct pindrop *dev;
	int err = context_of(crowd, i, &dev);

	return err ? err :
		     pindrop_buf_pin(dev, crowd->page.at, PAGE, 0,
				     &crowd->bufs[i]);
}

static void handle_goes(struct crowd *crowd, size_t i)
{
	crowd->bufs[i] = pindrop_buf_unref(crowd->bufs[i]);
}

/* Bound to this process, as one that is used is. More than one user's share. */
static int context_comes(struct crowd *crowd, size_t i)
{
	struct pindrop_buf *buf;
	int err;

	if (setreuid(i / OF_USER, -1))
		return -errno;
	err = pindrop_open(crowd->b->sim.node, &crowd->devs[i]);
	if (setreuid(0, -1) && !err)
		err = -errno;
	if (!err)
		err = pindrop_buf_alloc(crowd->devs[i], PAGE, 0, &buf);
	if (!err)
		pindrop_buf_unref(buf);
	return err;
}

static void context_goes(struct crowd *crowd, size_t i)
{
	crowd->devs[i] = pindrop_unref(crowd->devs[i]);
}

static const struct kind kinds[] = {
	{ "grow_buffers", buffer_comes, handle_goes },
	{ "grow_pins", pin_comes, handle_goes },
	{ "grow_contexts", context_comes, context_goes },
};

/* Comes and goes, @count being there. */
static int measure_one(const struct kind *kind, struct crowd *crowd)
{
	double best = 0;
	uint64_t begin;
	char param[16];
	int i, err;

	for (i = 0; i < TIMES; i++) {
		begin = now();
		err = kind->come(crowd, crowd->count);
		if (err)
			return err;
		kind->go(crowd, crowd->count);
		keep_best(&best, now() - begin, 1);
	}
	snprintf(param, sizeof(param), "%zu", crowd->count);
	row(crowd->b, kind->name, NULL, param, best, "");
	return 0;
}

static int grow(const struct kind *kind, struct crowd *crowd)
{
	static const size_t steps[] = { 1, 10, 100, 1000, MOST };
	int err = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps) && !err; i++) {
		while (crowd->count < steps[i] && !err)
			err = kind->come(crowd, crowd->count++);
		if (!err)
			err = measure_one(kind, crowd);
	}
	for (i = 0; i < crowd->count; i++)
		kind->go(crowd, i);
	for (i = 0; i < ARRAY_SIZE(crowd->devs); i++)
		crowd->devs[i] = pindrop_unref(crowd->devs[i]);
	return err;
}

static int grow_all(const struct bench *b)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	int err = crowd ? 0 : -ENOMEM;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds) && !err; i++) {
		memset(crowd, 0, sizeof(*crowd));
		crowd->b = b;
		err = memory_get(&crowd->page, HUGE_PAGE, PAGES_4K);
		if (err)
			break;
		err = grow(&kinds[i], crowd);
		memory_put(&crowd->page);
	}
	free(crowd);
	return err;
}

/* One more mapping of a page of @buf, touched, and its end. */
static int map_once(struct pindrop *dev, struct pindrop_buf *buf, char **at)
{
	*at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   pindrop_fd(dev), pindrop_buf_offset(buf));
	if (*at == MAP_FAILED)
		return -errno;
	touch(*at, PAGE);
	return 0;
}

static int measure_mappings(const struct bench *b, struct pindrop *dev,
			    struct pindrop_buf *buf)
{
	char *maps[MAPPINGS], *at, param[16];
	int i, n, err = 0, count = 0;
	uint64_t begin;
	double best;

	for (n = 1; n <= MAPPINGS && !err; n *= 8) {
		while (count < n && !err)
			err = map_once(dev, buf, &maps[count++]);
		for (best = 0, i = 0; i < TIMES && !err; i++) {
			begin = now();
			err = map_once(dev, buf, &at);
			if (!err)
				munmap(at, PAGE);
			keep_best(&best, now() - begin, 1);
		}
		snprintf(param, sizeof(param), "%d", n);
		if (!err)
			row(b, "grow_mappings", NULL, param, best, "");
	}
	while (count && !err)
		munmap(maps[--count], PAGE);
	return err;
}

static int grow_mappings(const struct bench *b)
{
	struct pindrop_buf *buf;
	struct pindrop *dev;
	int err;

	err = pindrop_open(b->sim.node, &dev);
	if (err)
		return err;
	err = pindrop_buf_alloc(dev, HUGE_PAGE, 0, &buf);
	if (!err) {
		err = measure_mappings(b, dev, buf);
		pindrop_buf_unref(buf);
	}
	pindrop_unref(dev);
	return err;
}

int measure_growth(const struct bench *b)
{
	int err;

	if (getuid())
		return absent("growth", "that takes root, for several users");
	err = grow_all(b);
	return err ? err : grow_mappings(b);
}
