// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a death costs those who have nothing to do with it: another process's
 * death, fault, SYNC and job on another device, while the device of the one that
 * died hangs, or gigabytes of its pins are dropped; and a death right after
 * another. Medians, and the longest.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAMPLES 50
/* ... of which so many are taken beside one victim at most. */
#define BATCH 10
/* Into the death of the victim. */
#define INTO_US 5000
/* Pinned by a victim, and dropped in its death. */
#define PINNED (4096 * MIB)

/**
 * struct bystander - a process with a file of the card
 * @dev: its context
 * @buf: memory
 * @at: where that is mapped
 */
struct bystander {
	struct pindrop *dev;
	struct pindrop_buf *buf;
	char *at;
};

static int bystander_buf(struct bystander *by)
{
	int err;

	by->buf = pindrop_buf_unref(by->buf);
	err = pindrop_buf_alloc(by->dev, PAGE, 0, &by->buf);
	return err ? err : pindrop_buf_map(by->buf, (void **)&by->at);
}

static int bystander_begin(const struct bench *b, struct bystander *by)
{
	int err = pindrop_open(b->edu.node, &by->dev);

	return err ? err : bystander_buf(by);
}

static void bystander_end(struct bystander *by)
{
	pindrop_buf_unref(by->buf);
	pindrop_unref(by->dev);
}

/* A child that has said that it is ready; it does what it does until killed. */
static pid_t child(const struct bench *b, int (*prepare)(const struct bench *b))
{
	int fds[2], err = -EPIPE;
	pid_t pid;

	if (pipe(fds))
		return -errno;
	pid = fork();
	if (!pid) {
		err = prepare(b);
		if (write(fds[1], &err, sizeof(err)) != sizeof(err))
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	if (pid > 0 && (read(fds[0], &err, sizeof(err)) != sizeof(err) || err)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		pid = err < 0 ? err : -EPIPE;
	}
	close(fds[0]);
	return pid;
}

static int be_idle(const struct bench *b)
{
	struct pindrop_buf *buf;
	struct pindrop *dev;
	int err = pindrop_open(b->edu.node, &dev);

	return err ? err : pindrop_buf_alloc(dev, PAGE, 0, &buf);
}

static uint64_t end_of(pid_t pid)
{
	uint64_t begin = now();

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return now() - begin;
}

static int act_death(const struct bench *b, struct bystander *by, pid_t idle,
		     double *ns)
{
	(void)b;
	(void)by;
	*ns = end_of(idle);
	return 0;
}

static int act_fault(const struct bench *b, struct bystander *by, pid_t idle,
		     double *ns)
{
	uint64_t begin;
	int err;

	(void)b;
	(void)idle;
	/* A fault maps the pages around, too: each takes a new mapping. */
	err = bystander_buf(by);
	begin = now();
	if (!err)
		*by->at = 1;
	*ns = now() - begin;
	return err;
}

static int act_sync(const struct bench *b, struct bystander *by, pid_t idle,
		    double *ns)
{
	uint64_t begin = now();
	int err;

	(void)b;
	(void)idle;
	err = pindrop_buf_sync(by->buf, PINDROP_SYNC_BEGIN | PINDROP_SYNC_READ,
			       0, PAGE);
	*ns = now() - begin;
	return err;
}

static int act_submit(const struct bench *b, struct bystander *by, pid_t idle,
		      double *ns)
{
	struct pindrop_job_desc job;
	uint64_t begin, last;
	int err;

	(void)b;
	(void)idle;
	pindrop_job_nop(&job);
	begin = now();
	err = pindrop_submit_jobs(by->dev, 0, &job, 1, NULL, &last, NULL);
	if (!err)
		err = pindrop_wait_jobs(by->dev, last, last, PINDROP_FOREVER,
					NULL);
	*ns = now() - begin;
	return err;
}

static int set_faults(const struct bench *b, bool hangs)
{
	static const char *const names[] = { "hang", "ignore_terminate" };
	char path[160];
	int err;
	size_t i;

	snprintf(path, sizeof(path),
		 "/sys/kernel/debug/pindrop_sim/%s/fail_reset", b->sim.name);
	err = write_file(path, hangs ? "1" : "0");
	for (i = 0; i < ARRAY_SIZE(names) && !err; i++) {
		snprintf(path, sizeof(path),
			 "/sys/kernel/debug/pindrop_sim/%s/chan0/%s",
			 b->sim.name, names[i]);
		err = write_file(path, hangs ? "1" : "0");
	}
	return err;
}

static int victim_hangs(const struct bench *b)
{
	struct pindrop_job_desc job;
	struct pindrop_buf *buf;
	struct pindrop *dev;
	int err;

	err = set_faults(b, true);
	if (!err)
		err = pindrop_open(b->sim.node, &dev);
	if (!err)
		err = pindrop_buf_alloc(dev, 2 * PAGE, 0, &buf);
	if (err)
		return err;
	pindrop_job_copy(&job, buf, 0, buf, PAGE, PAGE);
	return pindrop_submit_jobs(dev, 0, &job, 1, NULL, NULL, NULL);
}

static int victim_has_pins(const struct bench *b)
{
	struct pindrop_buf *buf;
	struct memory memory;
	struct pindrop *dev;
	int err = pindrop_open(b->sim.node, &dev);

	if (!err)
		err = memory_get(&memory, PINNED, PAGES_4K);
	if (!err)
		touch(memory.at, PINNED);
	return err ? err :
		     pindrop_buf_pin(dev, memory.at, PINNED, PINDROP_PIN_WRITE,
				     &buf);
}

static const struct {
	const char *name;
	int (*go)(const struct bench *b, struct bystander *by, pid_t idle,
		  double *ns);
	bool needs_idle;
} acts[] = {
	{ "death", act_death, true },
	{ "fault", act_fault, false },
	{ "sync", act_sync, false },
	{ "submit", act_submit, false },
};

static const struct {
	const char *param;
	int (*victim)(const struct bench *b);
} troubles[] = {
	{ "hang", victim_hangs },
	{ "drop4G", victim_has_pins },
};

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void report(const struct bench *b, const char *name, const char *peer,
		   const char *param, double *ns)
{
	char longest[48];

	qsort(ns, SAMPLES, sizeof(*ns), by_size);
	snprintf(longest, sizeof(longest), "%s_max", name);
	row(b, name, peer, param, ns[SAMPLES / 2], "");
	row(b, longest, peer, param, ns[SAMPLES - 1], "");
}

/*
 * Up to BATCH samples beside one victim that dies, or alone. Only those count
 * during all of which its death was under way.
 */
static int sample(const struct bench *b, struct bystander *by, size_t act,
		  int (*victim_of)(const struct bench *b), double *ns,
		  unsigned int *count)
{
	unsigned int i, n = SAMPLES - *count < BATCH ? SAMPLES - *count : BATCH;
	pid_t idle[BATCH] = {}, victim = 0;
	bool gone = false;
	int err = 0;

	for (i = 0; acts[act].needs_idle && i < n; i++) {
		idle[i] = child(b, be_idle);
		if (idle[i] < 0)
			return idle[i];
	}
	if (victim_of)
		victim = child(b, victim_of);
	if (victim < 0)
		return victim;
	if (victim) {
		kill(victim, SIGKILL);
		usleep(INTO_US);
	}
	for (i = 0; i < n && !err; i++) {
		err = acts[act].go(b, by, idle[i], &ns[*count]);
		gone = gone || (victim && waitpid(victim, NULL, WNOHANG));
		if (!gone)
			++*count;
	}
	if (victim && !gone)
		waitpid(victim, NULL, 0);
	if (victim_of == victim_hangs)
		err = set_faults(b, false) ? -EIO : err;
	wait_until_ours_is_gone(&b->sim.bytes);
	wait_until_ours_is_gone(&b->sim.pinned);
	return err;
}

static int measure_act(const struct bench *b, size_t act, const char *param,
		       int (*victim)(const struct bench *b))
{
	unsigned int count = 0, tries = 4 * SAMPLES;
	struct bystander by = {};
	double ns[SAMPLES];
	char name[32];
	int err;

	err = bystander_begin(b, &by);
	while (count < SAMPLES && !err)
		err = tries-- ? sample(b, &by, act, victim, ns, &count) :
				-ETIME;
	bystander_end(&by);
	if (err)
		return err;
	snprintf(name, sizeof(name), "bystander_%s", acts[act].name);
	report(b, name, victim ? NULL : "alone", param, ns);
	return 0;
}

static int measure_back_to_back(const struct bench *b, bool alone)
{
	double ns[SAMPLES];
	pid_t first, second;
	unsigned int i;

	for (i = 0; i < SAMPLES; i++) {
		first = alone ? 0 : child(b, be_idle);
		second = child(b, be_idle);
		if (first < 0 || second < 0)
			return first < 0 ? first : second;
		if (first)
			end_of(first);
		ns[i] = end_of(second);
		/* The notifiers' grace periods are over. */
		usleep(100000);
	}
	report(b, "back_to_back", alone ? "alone" : NULL, "idle", ns);
	return 0;
}

int measure_bystander(const struct bench *b)
{
	size_t act, i;
	int err;

	if (!*b->edu.node || !*b->sim.node)
		return absent("bystander", "it takes two devices");
	err = measure_back_to_back(b, true);
	if (!err)
		err = measure_back_to_back(b, false);
	for (i = 0; i < ARRAY_SIZE(troubles) && !err; i++)
		for (act = 0; act < ARRAY_SIZE(acts) && !err; act++) {
			err = measure_act(b, act, troubles[i].param, NULL);
			if (!err)
				err = measure_act(b, act, troubles[i].param,
						  troubles[i].victim);
		}
	return err;
}
