// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver's longest section with interrupts off, beside few and beside many of
 * what a user can make grow. It should be the same. The module counts them where it
 * was built to.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNTER "/sys/module/pindrop/parameters/irqsoff"
#define FEW 64
#define MANY 16384
#define USERS 64
/* Of jobs. */
#define CONTEXTS 8
/* Of a context, and of a user. */
#define OF_CONTEXT 4000
#define OF_USER 4000
/* Of a ring; a few less are queued than a context may have. */
#define RING 4096
#define OF_RING 4000
/* Jobs of a SUBMIT, and the most that one may have. */
#define BATCH 64
#define MOST 1024
#define SIZE (64 * KIB)
/* Of a piece; below what it may take, as nothing is to be given up by itself. */
#define SLOW "100000"
/* For all jobs, or for the device to be given up. Idle time costs nothing here. */
#define END_US 3000000
/* For what is over to be told. */
#define SETTLE_US 100000
/*
 * The contract's bounds: instructions of a section, and many's by few's. How many
 * pieces are over at once differs by some; one instruction for each of many is 16,320.
 */
#define MOST_INSN 10000
#define GROWTH 1.1
#define SOME_INSN 2500

/**
 * enum ending - what becomes of the jobs
 * @ENDS: the copy that they wait for ends, and they do nothing
 * @KILLED: their process is
 * @HANGS: the copy never ends, and the device is given up
 */
enum ending {
	ENDS,
	KILLED,
	HANGS
};

/**
 * struct crowd - what a process takes, beside which the sections are measured
 * @name: in the rows
 * @few: how many are few
 * @many: ... and many
 * @take: have the process take @count of them
 * @ending: and then?
 * @constant: many may not cost more than few
 */
struct crowd {
	const char *name;
	unsigned int few;
	unsigned int many;
	int (*take)(const struct bench *b, unsigned int count);
	enum ending ending;
	bool constant;
};

static int set_fault(const struct bench *b, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path),
		 "/sys/kernel/debug/pindrop_sim/%s/chan0/%s", b->sim.name,
		 name);
	return write_file(path, value);
}

/* Opens a context, and queues a copy of @size bytes unless 0. Nothing is closed. */
static int open_behind(const struct bench *b, size_t size, struct pindrop **dev)
{
	struct pindrop_job_desc copy;
	struct pindrop_buf *buf;
	int err;

	err = pindrop_open(b->sim.node, dev);
	if (!err)
		err = pindrop_buf_alloc(*dev, 2 * SIZE, 0, &buf);
	if (err || !size)
		return err;
	pindrop_job_copy(&copy, buf, 0, buf, SIZE, size);
	return pindrop_submit_jobs(*dev, 0, &copy, 1, NULL, NULL, NULL);
}

/* Copies within @buf, or jobs that do nothing without. */
static int queue_jobs(struct pindrop *dev, struct pindrop_buf *buf,
		      unsigned int count)
{
	struct pindrop_job_desc jobs[BATCH];
	unsigned int n;
	int i, err = 0;

	for (i = 0; i < BATCH; i++)
		if (buf)
			pindrop_job_copy(&jobs[i], buf, 0, buf, PAGE, PAGE);
		else
			pindrop_job_nop(&jobs[i]);
	for (; count && !err; count -= n) {
		n = count < BATCH ? count : BATCH;
		err = pindrop_submit_jobs(dev, 0, jobs, n, NULL, NULL, NULL);
	}
	return err;
}

static int take_jobs(const struct bench *b, unsigned int count)
{
	struct pindrop *dev;
	int i, err = 0;

	for (i = 0; i < CONTEXTS && !err; i++) {
		err = open_behind(b, SIZE, &dev);
		if (!err)
			err = queue_jobs(dev, NULL, count / CONTEXTS);
	}
	return err;
}

static int take_copies(const struct bench *b, unsigned int count)
{
	struct pindrop_buf *buf;
	struct pindrop *dev;
	int i, err = 0;

	for (i = 0; i < CONTEXTS && !err; i++) {
		err = open_behind(b, SIZE, &dev);
		if (!err)
			err = pindrop_buf_alloc(dev, 2 * PAGE, 0, &buf);
		if (!err)
			err = queue_jobs(dev, buf, count / CONTEXTS);
	}
	return err;
}

/* All in one SUBMIT. */
static int take_submit(const struct bench *b, unsigned int count)
{
	struct pindrop_job_desc jobs[MOST];
	struct pindrop *dev;
	unsigned int i;
	int err;

	for (i = 0; i < count; i++)
		pindrop_job_nop(&jobs[i]);
	err = open_behind(b, SIZE, &dev);
	return err ? err :
		     pindrop_submit_jobs(dev, 0, jobs, count, NULL, NULL, NULL);
}

/* Queues NOPs of a ring, of which most completions overflow, and reads all of them. */
static int take_ring(const struct bench *b, unsigned int count)
{
	struct pindrop_ring_setup setup = {
		.size = sizeof(setup),
		.entries = RING,
		.cq_entries = FEW,
	};
	struct pindrop_ring *ring;
	struct pindrop_sqe *sqe;
	struct pindrop_cqe *cqe;
	struct pindrop *dev;
	unsigned int i;
	int err;

	err = open_behind(b, SIZE, &dev);
	if (!err)
		err = pindrop_ring_setup(dev, &setup, &ring);
	for (i = 0; i < count && !err; i++) {
		sqe = pindrop_ring_get_sqe(ring);
		if (!sqe)
			return -EBUSY;
		pindrop_ring_prep_nop(sqe);
	}
	if (!err)
		err = pindrop_ring_submit(ring);
	for (i = 0; i < count && err >= 0; i++) {
		err = pindrop_ring_wait_cqe(ring, PINDROP_FOREVER, &cqe);
		if (!err)
			pindrop_ring_cqe_seen(ring);
	}
	return err < 0 ? err : 0;
}

/* In four contexts, as any of them are of a process. */
static int take_buffers(const struct bench *b, unsigned int count)
{
	struct pindrop_buf *buf;
	struct pindrop *dev;
	unsigned int i;
	int err = 0;

	for (i = 0; i < count && !err; i++) {
		if (i % OF_CONTEXT == 0)
			err = open_behind(b, i ? 0 : SIZE, &dev);
		if (!err)
			err = pindrop_buf_alloc(dev, PAGE, 0, &buf);
	}
	return err;
}

static int take_pins(const struct bench *b, unsigned int count)
{
	struct pindrop_buf *buf;
	struct memory page;
	struct pindrop *dev;
	unsigned int i;
	int err;

	err = memory_get(&page, HUGE_PAGE, PAGES_4K);
	for (i = 0; i < count && !err; i++) {
		if (i % OF_CONTEXT == 0)
			err = open_behind(b, i ? 0 : SIZE, &dev);
		if (!err)
			err = pindrop_buf_pin(dev, page.at, PAGE, 0, &buf);
	}
	return err;
}

/* Each with a job. */
static int take_contexts(const struct bench *b, unsigned int count)
{
	struct pindrop *dev;
	unsigned int i;
	int err = 0;

	for (i = 0; i < count && !err; i++) {
		if (setreuid(i / OF_USER, -1))
			return -errno;
		err = i ? pindrop_open(b->sim.node, &dev) :
			  open_behind(b, SIZE, &dev);
		if (setreuid(0, -1) && !err)
			err = -errno;
		if (!err)
			err = queue_jobs(dev, NULL, 1);
	}
	return err;
}

static int take_waiters(const struct bench *b, unsigned int count)
{
	struct epoll_event event = { .events = EPOLLIN };
	int poll = epoll_create1(EPOLL_CLOEXEC), fd, err;
	struct pindrop *dev;

	if (poll < 0)
		return -errno;
	err = open_behind(b, SIZE, &dev);
	while (!err && count--) {
		fd = fcntl(pindrop_fd(dev), F_DUPFD_CLOEXEC, 0);
		if (fd < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event))
			err = -errno;
	}
	return err ? err : queue_jobs(dev, NULL, FEW);
}

/* As many contexts and jobs, of so many users. */
static int take_users(const struct bench *b, unsigned int count)
{
	struct pindrop *dev;
	unsigned int i;
	int err = 0;

	for (i = 0; i < USERS && !err; i++) {
		if (setreuid(i % count, -1))
			return -errno;
		err = open_behind(b, SIZE, &dev);
		if (setreuid(0, -1) && !err)
			err = -errno;
		if (!err)
			err = queue_jobs(dev, NULL, FEW);
	}
	return err;
}

/* Of a SUBMIT's jobs, each has its ticket written in one section. */
static const struct crowd crowds[] = {
	{ "jobs_end", FEW, MANY, take_jobs, ENDS, true },
	{ "jobs_killed", FEW, MANY, take_jobs, KILLED, true },
	{ "jobs_hang", FEW, MANY, take_jobs, HANGS, true },
	{ "copies_end", FEW, MANY, take_copies, ENDS, true },
	{ "copies_killed", FEW, MANY, take_copies, KILLED, true },
	{ "submit", FEW, MOST, take_submit, KILLED, false },
	{ "ring", FEW, OF_RING, take_ring, KILLED, true },
	{ "buffers", FEW, MANY, take_buffers, KILLED, true },
	{ "pins", FEW, MANY, take_pins, KILLED, true },
	{ "contexts_end", FEW, MANY, take_contexts, ENDS, true },
	{ "contexts_killed", FEW, MANY, take_contexts, KILLED, true },
	{ "waiters_end", FEW, MANY, take_waiters, ENDS, true },
	{ "waiters_killed", FEW, MANY, take_waiters, KILLED, true },
	{ "users", 1, USERS, take_users, ENDS, true },
};

/* The child; it stays until it is killed. */
static void be_crowd(const struct bench *b, const struct crowd *crowd,
		     unsigned int count, int told)
{
	int err = crowd->take(b, count);

	if (write(told, &err, sizeof(err)) != sizeof(err))
		_exit(1);
	for (;;)
		pause();
}

static int child_start(const struct bench *b, const struct crowd *crowd,
		       unsigned int count, pid_t *child)
{
	int told[2], err = 0;

	if (pipe(told))
		return -errno;
	*child = fork();
	if (!*child)
		be_crowd(b, crowd, count, told[1]);
	close(told[1]);
	if (*child < 0 || read(told[0], &err, sizeof(err)) != sizeof(err))
		err = -EIO;
	close(told[0]);
	return err;
}

/* The longest but for the wake-ups, which are others'; and those. */
static int read_longest(const char *name, unsigned int count,
			unsigned long long *longest, unsigned long long *wake)
{
	FILE *file = fopen(COUNTER, "re");
	unsigned long long ns;
	char site[64], at[64] = "";

	if (!file)
		return -errno;
	*longest = *wake = 0;
	while (fscanf(file, "%63s %llu", site, &ns) == 2) {
		if (!strncmp(site, "wake:", 5)) {
			*wake = ns > *wake ? ns : *wake;
		} else if (ns > *longest) {
			*longest = ns;
			memcpy(at, site, sizeof(at));
		}
	}
	fclose(file);
	fprintf(stderr, "bench: %s %u: %llu from %s on\n", name, count,
		*longest, at);
	return *longest ? 0 : -ENODATA;
}

static int measure_crowd(const struct bench *b, const struct crowd *crowd,
			 unsigned int count, unsigned long long *longest,
			 unsigned long long *wake)
{
	pid_t child = -1;
	int err;

	err = set_fault(b, "delay_us", SLOW);
	if (!err && crowd->ending == HANGS)
		err = set_fault(b, "hang", "2");
	if (!err)
		err = write_file(COUNTER, "0");
	if (!err)
		err = child_start(b, crowd, count, &child);
	if (!err && crowd->ending == ENDS)
		err = set_fault(b, "delay_us", "0");
	if (!err && crowd->ending != KILLED)
		usleep(END_US);
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	set_fault(b, "hang", "0");
	set_fault(b, "delay_us", "0");
	wait_until_ours_is_gone(&b->sim.bytes);
	usleep(SETTLE_US);
	return err ? err : read_longest(crowd->name, count, longest, wake);
}

/* Where instructions are counted, for time has no bound. */
static bool within_bounds(const struct bench *b, const struct crowd *crowd,
			  unsigned long long few, unsigned long long many)
{
	if (!b->counted ||
	    (many <= MOST_INSN &&
	     (!crowd->constant || many <= few * GROWTH + SOME_INSN)))
		return true;
	fprintf(stderr,
		"bench: %s: %llu instructions beside few, %llu beside many: that is too long\n",
		crowd->name, few, many);
	return false;
}

static int measure_growth_of(const struct bench *b, const struct crowd *crowd,
			     unsigned long long *most)
{
	unsigned long long few, many, wake_few, wake_many;
	char peer[16];
	int err;

	err = measure_crowd(b, crowd, crowd->few, &few, &wake_few);
	if (!err)
		err = measure_crowd(b, crowd, crowd->many, &many, &wake_many);
	if (err)
		return err;
	snprintf(peer, sizeof(peer), "%u", crowd->few);
	row(b, "irqsoff", peer, crowd->name, few, "");
	row(b, "irqsoff", NULL, crowd->name, many, "");
	if (crowd->take == take_waiters && crowd->ending == ENDS)
		row(b, "wake_waiter", NULL, "",
		    (double)(wake_many - wake_few) / (MANY - FEW), "");
	*most = many > *most ? many : *most;
	return within_bounds(b, crowd, few, many) ? 0 : -ERANGE;
}

int measure_irqsoff(const struct bench *b)
{
	unsigned long long most = 0;
	int err = 0, one;
	size_t i;

	if (access(COUNTER, W_OK))
		return absent("irqsoff",
			      "that takes root, and a module that measures it");
	if (set_fault(b, "delay_us", "0"))
		return absent("irqsoff", "debugfs has nothing of pindrop_sim");
	for (i = 0; i < ARRAY_SIZE(crowds); i++) {
		one = measure_growth_of(b, &crowds[i], &most);
		err = err ? err : one;
	}
	row(b, "irqsoff_longest", NULL, "all", most, "");
	return err;
}
