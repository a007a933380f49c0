// SPDX-License-Identifier: MIT
/*
 * pindrop bench: what pinning, a job and a copy cost on this machine. Each
 * figure is the best of some rounds.
 */
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

#define ROUNDS 3
#define HUGE_PAGE ((size_t)2 << 20)
#define BATCH 32
#define RING 1024
/* A device that is slow is not asked for more than it does in this time. */
#define COPY_NS UINT64_C(500000000)
#define DEFAULT_MIB 64
#define DEFAULT_JOBS 20000

/**
 * struct bench - what is measured
 * @dev: with a context of its own for each row that needs one
 * @node: its node
 * @info: what it says of itself
 * @bytes: memory to be pinned, whole huge pages
 * @jobs: jobs to be done
 * @json: where the figures go, or its out is NULL: a table
 */
struct bench {
	struct pindrop *dev;
	char node[PINDROP_NODE_MAX];
	struct pindrop_info info;
	size_t bytes;
	unsigned int jobs;
	struct json json;
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void show(struct bench *b, const char *row, double value,
		 const char *unit)
{
	if (b->json.out)
		json_number(&b->json, row, value);
	else
		printf("%-18s %12.1f %s\n", row, value, unit);
}

static void keep_best(double *best, uint64_t ns, uint64_t count)
{
	double each = (double)ns / count;

	if (!*best || each < *best)
		*best = each;
}

/* Touched, and of pages as they are wanted. */
static char *memory_get(size_t bytes, bool huge)
{
	char *p = aligned_alloc(HUGE_PAGE, bytes);
	size_t i;

	if (!p)
		return NULL;
	madvise(p, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (i = 0; i < bytes; i += 4096)
		p[i] = 1;
	return p;
}

static int bench_pin(struct bench *b, bool huge)
{
	const size_t pages = b->bytes / (size_t)sysconf(_SC_PAGESIZE);
	char *memory = memory_get(b->bytes, huge);
	double pin = 0, unpin = 0;
	struct pindrop_buf *buf;
	int err = memory ? 0 : -ENOMEM;
	uint64_t begin, middle;
	int i;

	for (i = 0; i < ROUNDS && !err; i++) {
		begin = now();
		err = pindrop_buf_pin(b->dev, memory, b->bytes,
				      PINDROP_PIN_WRITE, &buf);
		middle = now();
		if (err)
			break;
		pindrop_buf_unref(buf);
		keep_best(&unpin, now() - middle, pages);
		keep_best(&pin, middle - begin, pages);
	}
	free(memory);
	if (err)
		return err;
	show(b, huge ? "pin_thp" : "pin_4k", pin, "ns a page");
	show(b, huge ? "unpin_thp" : "unpin_4k", unpin, "ns a page");
	return 0;
}

static int bench_submit(struct bench *b, unsigned int batch, const char *row)
{
	struct pindrop_job_desc jobs[BATCH];
	uint64_t begin, last = 0;
	unsigned int i, n;
	double best = 0;
	int err = 0;

	for (i = 0; i < batch; i++)
		pindrop_job_nop(&jobs[i]);
	for (i = 0; i < ROUNDS && !err; i++) {
		begin = now();
		for (n = 0; n < b->jobs && !err; n += batch) {
			err = pindrop_submit_jobs(b->dev, 0, jobs, batch, NULL,
						  &last, NULL);
			if (!err)
				err = pindrop_wait_jobs(b->dev, last, last,
							PINDROP_FOREVER, NULL);
		}
		keep_best(&best, now() - begin, n);
	}
	if (!err)
		show(b, row, best, "ns a job");
	return err;
}

/* As many as were submitted: seen, and what they say. */
static int ring_reap(struct pindrop_ring *ring, unsigned int count)
{
	struct pindrop_cqe *cqe;
	int err = 0;

	while (count && !err) {
		err = pindrop_ring_wait_cqe(ring, PINDROP_FOREVER, &cqe);
		if (err)
			break;
		err = cqe->result;
		pindrop_ring_cqe_seen(ring);
		count--;
	}
	return err;
}

static int ring_go_round(struct bench *b, struct pindrop_ring *ring,
			 unsigned int batch)
{
	struct pindrop_sqe *sqe;
	unsigned int n, i;
	int err = 0;

	for (n = 0; n < b->jobs && err >= 0; n += batch) {
		for (i = 0; i < batch; i++) {
			sqe = pindrop_ring_get_sqe(ring);
			if (!sqe)
				return -EBUSY;
			pindrop_ring_prep_nop(sqe);
		}
		err = pindrop_ring_submit(ring);
		if (err >= 0)
			err = ring_reap(ring, batch);
	}
	return err < 0 ? err : 0;
}

static int bench_ring(struct bench *b, uint32_t flags, unsigned int batch,
		      const char *row)
{
	struct pindrop_ring_setup setup = {
		.size = sizeof(setup),
		.flags = flags,
		.entries = RING,
		.idle_us = flags & PINDROP_RING_THREAD ? 100000 : 0,
	};
	struct pindrop_ring *ring;
	struct pindrop *dev;
	double best = 0;
	uint64_t begin;
	int err, i;

	/* A context has one ring. */
	err = pindrop_open(b->node, &dev);
	if (err)
		return err;
	err = pindrop_ring_setup(dev, &setup, &ring);
	for (i = 0; i < ROUNDS && !err; i++) {
		begin = now();
		err = ring_go_round(b, ring, batch);
		keep_best(&best, now() - begin, b->jobs);
	}
	if (!err) {
		show(b, row, best, "ns a job");
		pindrop_ring_exit(ring);
	}
	pindrop_unref(dev);
	return err;
}

/* Goes on until there was time enough to tell. */
static int copy_for_a_while(struct bench *b, struct pindrop_buf *dst,
			    struct pindrop_buf *src, uint64_t length,
			    double *speed)
{
	uint64_t begin = now(), took = 0, bytes = 0, last;
	struct pindrop_job_desc job;
	int err = 0;

	pindrop_job_copy(&job, dst, 0, src, 0, length);
	while (!err && took < COPY_NS) {
		err = pindrop_submit_jobs(b->dev, 0, &job, 1, NULL, &last,
					  NULL);
		if (!err)
			err = pindrop_wait_jobs(b->dev, last, last,
						PINDROP_FOREVER, NULL);
		bytes += length;
		took = now() - begin;
	}
	*speed = bytes * 1e9 / took / 1024;
	return err;
}

static int bench_copy(struct bench *b, bool pinned)
{
	const uint64_t length = b->info.out_max_piece < HUGE_PAGE ?
					b->info.out_max_piece :
					HUGE_PAGE;
	char *memory = pinned ? memory_get(2 * HUGE_PAGE, false) : NULL;
	struct pindrop_buf *src = NULL, *dst = NULL;
	double speed;
	int err;

	if (pinned) {
		err = pindrop_buf_pin(b->dev, memory, HUGE_PAGE, 0, &src);
		if (!err)
			err = pindrop_buf_pin(b->dev, memory + HUGE_PAGE,
					      HUGE_PAGE, PINDROP_PIN_WRITE,
					      &dst);
	} else {
		err = pindrop_buf_alloc(b->dev, HUGE_PAGE, 0, &src);
		if (!err)
			err = pindrop_buf_alloc(b->dev, HUGE_PAGE, 0, &dst);
	}
	if (!err)
		err = copy_for_a_while(b, dst, src, length, &speed);
	if (!err)
		show(b, pinned ? "copy_pinned" : "copy", speed, "KiB/s");
	pindrop_buf_unref(src);
	pindrop_buf_unref(dst);
	free(memory);
	return err;
}

static int bench_all(struct bench *b)
{
	int err;

	err = bench_pin(b, false);
	if (!err)
		err = bench_pin(b, true);
	if (!err)
		err = bench_submit(b, 1, "nop_submit");
	if (!err)
		err = bench_submit(b, BATCH, "nop_submit_32");
	if (!err)
		err = bench_ring(b, 0, 1, "nop_ring");
	if (!err)
		err = bench_ring(b, 0, BATCH, "nop_ring_32");
	if (!err && sysconf(_SC_NPROCESSORS_ONLN) > 1)
		err = bench_ring(b, PINDROP_RING_THREAD, BATCH,
				 "nop_ring_thread");
	if (!err && b->info.out_caps & PINDROP_CAP_MEM_TO_MEM) {
		err = bench_copy(b, false);
		if (!err)
			err = bench_copy(b, true);
	}
	return err;
}

static int bench(struct bench *b)
{
	int err;

	err = pindrop_open(b->node, &b->dev);
	if (err)
		return device_error(err, b->node);
	err = pindrop_get_info(b->dev, &b->info, sizeof(b->info));
	if (b->json.out) {
		json_open(&b->json, NULL, '{');
		json_string(&b->json, "engine", b->info.out_engine);
		json_uint(&b->json, "iommu", b->info.out_iommu);
	}
	if (!err)
		err = bench_all(b);
	if (b->json.out)
		json_close(&b->json, '}');
	pindrop_unref(b->dev);
	if (err == -ENOMEM) {
		complain(
			"no memory, or RLIMIT_MEMLOCK is below %zu MiB: see --size",
			b->bytes >> 20);
		return EXIT_FAILED;
	}
	return err ? device_error(err, b->node) : EXIT_OK;
}

static bool number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	if (!errno && !*end && end != text && *value && *value <= max)
		return true;
	complain("invalid number '%s': must be from 1 to %lu", text, max);
	return false;
}

static int run(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		DEVICE_LONG,
		{ "size", required_argument, NULL, 's' },
		{ "jobs", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long mib = DEFAULT_MIB, jobs = DEFAULT_JOBS;
	struct device_options want = {};
	struct bench b = {};
	int option, status;

	while ((option = getopt_long(argc, argv, DEVICE_SHORT "s:n:jh", options,
				     NULL)) != -1) {
		if (device_option(&want, option, optarg))
			continue;
		if (option == 'h')
			return show_help(self);
		if (option == 's' && number(optarg, 1 << 20, &mib))
			continue;
		if (option == 'n' && number(optarg, 100000000, &jobs))
			continue;
		if (option != 'j')
			return bad_usage(self);
		b.json.out = stdout;
	}
	if (optind != argc)
		return bad_arguments(self, argc - optind, argv + optind);
	status = find_device(&want, b.node, sizeof(b.node));
	if (status)
		return status;
	/* Whole huge pages, whole batches. */
	b.bytes = (mib + 1) / 2 * HUGE_PAGE;
	b.jobs = (jobs + BATCH - 1) / BATCH * BATCH;
	return bench(&b);
}

const struct command cmd_bench = {
	.name = "bench",
	.args = "",
	.summary = "Measure what pinning, a job and a copy cost here",
	.options = DEVICE_HELP
	"  -s, --size MIB      memory to pin; 64\n"
	"  -n, --jobs N        jobs to do for each row; 20000\n"
	"  -j, --json          for programs\n",
	.run = run,
};
