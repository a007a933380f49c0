// SPDX-License-Identifier: GPL-2.0-only
/*
 * Jobs that wait: what one more costs behind how many others, and what the
 * kernel keeps of each. They wait behind copies that take long.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONTEXTS 9
#define OF_CONTEXT 4095
#define BATCH 32
#define TIMES 8
/* Of a piece; below what it may take. */
#define DELAY "250000"
#define SIZE (4 * MIB)

/**
 * struct queue - contexts with jobs that wait; the last one has room for more
 * @devs: the contexts
 * @bufs: what is copied in each
 * @count: jobs that wait in all of them
 */
struct queue {
	struct pindrop *devs[CONTEXTS];
	struct pindrop_buf *bufs[CONTEXTS];
	size_t count;
};

static int set_delay(const struct bench *b, const char *us)
{
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/kernel/debug/pindrop_sim/%s/chan0/delay_us",
		 b->sim.name);
	return write_file(path, us);
}

/* Each of them waits behind a copy of its own. */
static int queue_make(const struct bench *b, struct queue *queue)
{
	struct pindrop_job_desc copy;
	int i, err = 0;

	for (i = 0; i < CONTEXTS && !err; i++) {
		err = pindrop_open(b->sim.node, &queue->devs[i]);
		if (!err)
			err = pindrop_buf_alloc(queue->devs[i], 2 * SIZE, 0,
						&queue->bufs[i]);
		if (err)
			break;
		pindrop_job_copy(&copy, queue->bufs[i], 0, queue->bufs[i], SIZE,
				 SIZE);
		err = pindrop_submit_jobs(queue->devs[i], 0, &copy, 1, NULL,
					  NULL, NULL);
	}
	return err;
}

static void queue_end(struct queue *queue)
{
	int i;

	for (i = 0; i < CONTEXTS; i++) {
		pindrop_buf_unref(queue->bufs[i]);
		pindrop_unref(queue->devs[i]);
	}
}

/* As many as fit, up to @count. */
static int queue_fill(struct queue *queue, size_t count)
{
	struct pindrop_job_desc jobs[BATCH];
	size_t n;
	int i, err = 0;

	for (i = 0; i < BATCH; i++)
		pindrop_job_nop(&jobs[i]);
	for (; queue->count < count && !err; queue->count += n) {
		n = OF_CONTEXT - queue->count % OF_CONTEXT;
		n = n < BATCH ? n : BATCH;
		n = n < count - queue->count ? n : count - queue->count;
		err = pindrop_submit_jobs(queue->devs[queue->count / OF_CONTEXT],
					  0, jobs, n, NULL, NULL, NULL);
	}
	return err;
}

static int measure_more(const struct bench *b, struct queue *queue)
{
	struct pindrop_job_desc jobs[BATCH];
	double best = 0;
	uint64_t begin;
	char param[16];
	int i, err = 0;

	for (i = 0; i < BATCH; i++)
		pindrop_job_nop(&jobs[i]);
	for (i = 0; i < TIMES && !err; i++) {
		begin = now();
		err = pindrop_submit_jobs(queue->devs[CONTEXTS - 1], 0, jobs,
					  BATCH, NULL, NULL, NULL);
		keep_best(&best, now() - begin, BATCH);
	}
	snprintf(param, sizeof(param), "%zu", queue->count);
	if (!err)
		row(b, "grow_jobs", NULL, param, best, "");
	return err;
}

static int measure_queue(const struct bench *b, struct queue *queue)
{
	static const size_t steps[] = { 1, 32, 1024, 32768 };
	long long before;
	int err = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps) && !err; i++) {
		before = free_memory();
		err = queue_fill(queue, steps[i]);
		if (!err && i + 1 == ARRAY_SIZE(steps))
			row_of("memory_job", NULL, "",
			       (double)(before - free_memory()) /
				       (steps[i] - steps[i - 1]),
			       "bytes");
		if (!err)
			err = measure_more(b, queue);
	}
	return err;
}

int measure_jobs(const struct bench *b)
{
	struct queue queue = {};
	int err;

	err = set_delay(b, DELAY);
	if (err)
		return absent("jobs", "debugfs has nothing of pindrop_sim");
	err = queue_make(b, &queue);
	if (!err)
		err = measure_queue(b, &queue);
	queue_end(&queue);
	set_delay(b, "0");
	wait_until_ours_is_gone(&b->sim.bytes);
	return err;
}
