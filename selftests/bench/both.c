// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two processes that do the same at the same time, on a processor each: what one
 * of them costs then, beside what it costs alone. What they share shows.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 2
#define BYTES (32 * MIB)
#define TIMES 8
#define NOPS 16384
#define BATCH 32

/**
 * struct shared - what they have in common
 * @ready: how many are
 * @err: what came of it, of each
 * @ns: what one took, of each
 */
struct shared {
	int ready;
	int err[MOST];
	uint64_t ns[MOST];
};

/**
 * struct work - what they do
 * @name: of the row
 * @per: ... and of its unit
 * @count: of these in one go
 * @go: prepares, waits for the others, does it, says how long it took
 * @peer: who does it
 * @source: of memory
 * @pinner: of pins
 */
struct work {
	const char *name;
	const char *per;
	size_t count;
	int (*go)(const struct bench *b, const struct work *work,
		  struct shared *shared, int processes, uint64_t *ns);
	const char *peer;
	const struct source *source;
	const struct pinner *pinner;
};

static void wait_for_others(struct shared *shared, int processes)
{
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < processes)
		;
}

static int pin_again(const struct bench *b, const struct work *work,
		     struct shared *shared, int processes, uint64_t *ns)
{
	struct memory memory;
	struct pins pins = {};
	uint64_t begin;
	int i, err;

	err = work->pinner->open(&b->sim, &pins);
	if (!err)
		err = memory_get(&memory, BYTES, PAGES_4K);
	wait_for_others(shared, processes);
	begin = now();
	for (i = 0; i < TIMES && !err; i++) {
		err = work->pinner->pin(&pins, &memory);
		/* The counter is of both. */
		if (!err && pins.buf)
			pindrop_buf_unref(pins.buf);
		else if (!err)
			err = work->pinner->unpin(&pins);
	}
	*ns = (now() - begin) / TIMES;
	return err;
}

static int take_again(const struct bench *b, const struct work *work,
		      struct shared *shared, int processes, uint64_t *ns)
{
	struct held held = {
		.dev = &b->sim, .bytes = BYTES, .fd = -1, .memfd = -1
	};
	uint64_t begin;
	int i, err = 0;

	wait_for_others(shared, processes);
	begin = now();
	for (i = 0; i < TIMES && !err; i++) {
		err = work->source->get(&held);
		if (!err)
			err = work->source->map(&held);
		if (err)
			break;
		touch(held.at, BYTES);
		if (held.buf)
			pindrop_buf_unref(held.buf);
		else
			work->source->put(&held);
	}
	*ns = (now() - begin) / TIMES;
	return err;
}

static int nops_again(const struct bench *b, const struct work *work,
		      struct shared *shared, int processes, uint64_t *ns)
{
	wait_for_others(shared, processes);
	if (work->peer)
		return uring_nops(false, BATCH, NOPS, ns);
	return ring_nops(b, 0, BATCH, NOPS, ns);
}

static const struct work works[] = {
	{ .name = "both_pin_unpin_4k", .per = "page", .count = BYTES / PAGE,
	  .go = pin_again, .pinner = &pinner_pindrop },
	{ .name = "both_pin_unpin_4k", .per = "page", .count = BYTES / PAGE,
	  .go = pin_again, .pinner = &pinner_uring, .peer = "io_uring" },
	{ .name = "both_alloc_map_free", .per = "page", .count = BYTES / PAGE,
	  .go = take_again, .source = &source_pindrop_4k },
	{ .name = "both_alloc_map_free", .per = "page", .count = BYTES / PAGE,
	  .go = take_again, .source = &source_heap, .peer = "dma-heap" },
	{ .name = "both_nop_batch32", .per = "job", .count = NOPS,
	  .go = nops_again },
	{ .name = "both_nop_batch32", .per = "job", .count = NOPS,
	  .go = nops_again, .peer = "io_uring" },
};

/* What the slowest of them took. */
static int together(const struct bench *b, const struct work *work,
		    struct shared *shared, int processes, uint64_t *ns)
{
	int i, err = 0;

	*ns = 0;
	shared->ready = 0;
	for (i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (!pid) {
			shared->err[i] = work->go(b, work, shared, processes,
						  &shared->ns[i]);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (i = 0; i < processes; i++) {
		err = err ? err : shared->err[i];
		*ns = shared->ns[i] > *ns ? shared->ns[i] : *ns;
	}
	return err;
}

static int measure_work(const struct bench *b, const struct work *work,
			struct shared *shared)
{
	int processes, i, err;
	double best;
	uint64_t ns;

	for (processes = 1; processes <= MOST; processes++) {
		for (best = 0, i = 0; i < b->rounds; i++) {
			err = together(b, work, shared, processes, &ns);
			if (err)
				return err;
			keep_best(&best, ns, work->count);
		}
		row(b, work->name, work->peer, processes == 1 ? "one" : "two",
		    best, work->per);
	}
	return 0;
}

int measure_both(const struct bench *b)
{
	struct shared *shared;
	int err, status = 0;
	size_t i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < MOST)
		return absent("both", "there is one processor");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	for (i = 0; i < ARRAY_SIZE(works) && status >= 0; i++) {
		err = measure_work(b, &works[i], shared);
		status = err ? err : status;
	}
	munmap(shared, sizeof(*shared));
	return status;
}
