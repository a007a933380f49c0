// SPDX-License-Identifier: GPL-2.0-only
/* What a job costs that does nothing: by SUBMIT and WAIT, and through a ring. */
#include "bench.h"

#include <errno.h>
#include <unistd.h>

#define BATCH 32
#define ENTRIES 1024
#define IDLE_US 100000
#define COUNT 8192

/* A way to have @count jobs done, @batch at a time. */
struct way {
	const char *peer;
	const char *param;
	int (*go)(const struct bench *b, unsigned int batch, uint64_t *ns);
	bool threaded;
};

static int submit_round(struct pindrop *dev, struct pindrop_job_desc *jobs,
			unsigned int batch)
{
	uint64_t last;
	int err;

	err = pindrop_submit_jobs(dev, 0, jobs, batch, NULL, &last, NULL);
	if (err)
		return err;
	return pindrop_wait_jobs(dev, last, last, PINDROP_FOREVER, NULL);
}

static int submit_nops(const struct bench *b, unsigned int batch, uint64_t *ns)
{
	struct pindrop_job_desc jobs[BATCH];
	struct pindrop *dev;
	unsigned int i, n;
	uint64_t begin;
	int err;

	err = pindrop_open(b->sim.node, &dev);
	if (err)
		return err;
	for (i = 0; i < batch; i++)
		pindrop_job_nop(&jobs[i]);
	err = submit_round(dev, jobs, batch);
	begin = now();
	for (n = 0; n < COUNT && !err; n += batch)
		err = submit_round(dev, jobs, batch);
	*ns = now() - begin;
	pindrop_unref(dev);
	return err;
}

static int ring_round(struct pindrop_ring *ring, unsigned int batch)
{
	struct pindrop_sqe *sqe;
	struct pindrop_cqe *cqe;
	unsigned int i;
	int n;

	for (i = 0; i < batch; i++) {
		sqe = pindrop_ring_get_sqe(ring);
		if (!sqe)
			return -EBUSY;
		pindrop_ring_prep_nop(sqe);
	}
	n = pindrop_ring_submit_and_wait(ring, batch);
	if (n < 0)
		return n;
	for (i = 0; i < batch; i++) {
		n = pindrop_ring_wait_cqe(ring, PINDROP_FOREVER, &cqe);
		if (n)
			return n;
		n = cqe->result;
		pindrop_ring_cqe_seen(ring);
		if (n)
			return n;
	}
	return 0;
}

int ring_nops(const struct bench *b, uint32_t flags, unsigned int batch,
	      unsigned int count, uint64_t *ns)
{
	struct pindrop_ring_setup setup = {
		.size = sizeof(setup),
		.flags = flags,
		.entries = ENTRIES,
		.idle_us = flags & PINDROP_RING_THREAD ? IDLE_US : 0,
	};
	struct pindrop_ring *ring;
	struct pindrop *dev;
	uint64_t begin;
	unsigned int n;
	int err;

	err = pindrop_open(b->sim.node, &dev);
	if (err)
		return err;
	err = pindrop_ring_setup(dev, &setup, &ring);
	/* The ring holds it. */
	pindrop_unref(dev);
	if (err)
		return err;
	err = ring_round(ring, batch);
	begin = now();
	for (n = 0; n < count && !err; n += batch)
		err = ring_round(ring, batch);
	*ns = now() - begin;
	pindrop_ring_exit(ring);
	return err;
}

static int own_ring(const struct bench *b, unsigned int batch, uint64_t *ns)
{
	return ring_nops(b, 0, batch, COUNT, ns);
}

static int thread_ring(const struct bench *b, unsigned int batch, uint64_t *ns)
{
	return ring_nops(b, PINDROP_RING_THREAD, batch, COUNT, ns);
}

static int uring(const struct bench *b, unsigned int batch, uint64_t *ns)
{
	(void)b;
	return uring_nops(false, batch, COUNT, ns);
}

static int uring_polled(const struct bench *b, unsigned int batch, uint64_t *ns)
{
	(void)b;
	return uring_nops(true, batch, COUNT, ns);
}

static const struct way ways[] = {
	{ .param = "ring", .go = own_ring },
	{ .param = "ring", .go = uring, .peer = "io_uring" },
	{ .param = "submit", .go = submit_nops },
	{ .param = "thread", .go = thread_ring, .threaded = true },
	{ .param = "thread",
	  .go = uring_polled,
	  .peer = "io_uring",
	  .threaded = true },
};

static int measure_way(const struct bench *b, const struct way *way,
		       unsigned int batch)
{
	double best = 0;
	uint64_t ns;
	int i, err;

	for (i = 0; i < b->rounds; i++) {
		err = way->go(b, batch, &ns);
		if (err)
			return err;
		keep_best(&best, ns, COUNT);
	}
	row(b, batch == 1 ? "nop_single" : "nop_batch32", way->peer, way->param,
	    best, "job");
	return 0;
}

int measure_nop(const struct bench *b)
{
	/* A thread that looks for entries needs a processor for itself. */
	const bool alone = sysconf(_SC_NPROCESSORS_ONLN) < 2;
	int err, status = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways) && status >= 0; i++) {
		if (ways[i].threaded && alone)
			continue;
		err = measure_way(b, &ways[i], BATCH);
		if (err >= 0)
			err = measure_way(b, &ways[i], 1);
		status = err ? err : status;
	}
	return status;
}
