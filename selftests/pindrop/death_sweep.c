// SPDX-License-Identifier: GPL-2.0-only
/*
 * SIGKILL at every place of a piece, in every direction, and before a long
 * queue: what it leaves, how long it takes by the guest's clock, and that the
 * device is given nothing more.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"

#define POINTS 11
/* More than a piece's. */
#define JOBS 8
#define QUEUE 1024
/* Over the rest of the piece. */
#define MEDIAN_MS 20
#define MOST_MS DEATH_SLACK_MS
#define STILL_MS 10000

#define TRACE "/sys/kernel/tracing/instances/pindrop_sweep"

FIXTURE(sweep)
{
	struct death_watch w;
	__u64 step_ns; /* until the hardware can be quiet */
	unsigned int steps; /* of a piece: edu has two from memory to memory */
};

FIXTURE_VARIANT(sweep)
{
	__u64 cap;
	bool from_memory;
	bool to_memory;
};

FIXTURE_VARIANT_ADD(sweep, mem_to_mem) {
	.cap = PINDROP_CAP_MEM_TO_MEM, .from_memory = true, .to_memory = true
};

FIXTURE_VARIANT_ADD(sweep, mem_to_dev) {
	.cap = PINDROP_CAP_MEM_TO_DEV, .from_memory = true
};

FIXTURE_VARIANT_ADD(sweep, dev_to_mem) {
	.cap = PINDROP_CAP_DEV_TO_MEM, .to_memory = true
};

static int trace_start(void)
{
	int err;

	rmdir(TRACE);
	if (mkdir(TRACE, 0700))
		return -errno;
	err = pd_write_file(TRACE "/trace_clock", "mono");
	/* Names of processes would have the kernel patch its scheduler. */
	if (!err)
		err = pd_write_file(TRACE "/trace_options", "norecord-cmd");
	if (!err)
		err = pd_write_file(TRACE
				    "/events/pindrop/pindrop_piece_issue/enable",
				    "1");
	if (!err)
		err = pd_write_file(TRACE
				    "/events/pindrop/pindrop_kill_step/enable",
				    "1");
	return err;
}

static int trace_clear(void)
{
	int fd = open(TRACE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 ? -errno : close(fd);
}

/* What the trace says of one death. */
struct record {
	__u64 issued_ns; /* the last piece before the signal */
	unsigned int after_signal; /* pieces issued, MEDIAN_MS behind it */
	unsigned int after_cancel; /* ... behind K1 */
	bool cancelled;
};

static int trace_read(__u64 signal_ns, struct record *r)
{
	FILE *f = fopen(TRACE "/trace", "re");
	unsigned long long s, us;
	char line[512], *event;
	__u64 ns;

	memset(r, 0, sizeof(*r));
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		event = strstr(line, ": pindrop_");
		if (line[0] == '#' || !event)
			continue;
		while (event > line && event[-1] != ' ')
			event--;
		if (sscanf(event, "%llu.%llu", &s, &us) != 2)
			continue;
		ns = s * 1000000000 + us * 1000;
		if (strstr(event, "step=K1 "))
			r->cancelled = true;
		if (!strstr(event, "pindrop_piece_issue:"))
			continue;
		if (ns <= signal_ns)
			r->issued_ns = ns;
		r->after_signal += ns > signal_ns + MEDIAN_MS * 1000000;
		r->after_cancel += r->cancelled;
	}
	fclose(f);
	return 0;
}

/* A buffer and a job on it, as long as that direction can be. */
static struct pindrop_job_desc job_of(const struct pd_buf *src,
				      const struct pd_buf *dst, size_t len,
				      const struct pindrop_info *info)
{
	const bool devmem = !src || !dst;

	if (devmem && len > info->out_devmem)
		len = info->out_devmem;
	return pd_copy(src, 0, dst, 0, len / info->out_align * info->out_align);
}

/* How long one piece takes at least, from SUBMIT on; 0: it failed. */
static __u64 time_of(int fd, struct pindrop_job_desc job)
{
	__u64 begin, ns, least = 0;
	int i;

	for (i = 0; i < 3; i++) {
		begin = pd_now_ns();
		if (pd_run(fd, &job, 1))
			return 0;
		ns = pd_now_ns() - begin;
		if (!least || ns < least)
			least = ns;
	}
	return least;
}

FIXTURE_SETUP(sweep)
{
	const size_t len = 256;
	struct pd_buf a, b;
	__u64 piece;
	int fd;

	DEATH_SETUP(&self->w);
	if (!(self->w.env.info.out_caps & variant->cap))
		SKIP(PD_LEAVE_SETUP, "the engine has not this direction");
	fd = pd_open(&self->w.env);
	ASSERT_LE(0, fd);
	MUST(pd_create(fd, self->w.env.page, &a));
	MUST(pd_create(fd, self->w.env.page, &b));
	piece = time_of(fd, pd_copy(&a, 0, &b, 0, len));
	ASSERT_NE(0, piece);
	self->step_ns = piece;
	if (self->w.env.info.out_devmem) {
		/* The first time the device's memory is cleared as well. */
		self->step_ns = time_of(fd, pd_copy(&a, 0, NULL, 0, len));
		ASSERT_NE(0, self->step_ns);
	}
	self->steps = 1;
	if (variant->from_memory && variant->to_memory)
		self->steps = (piece + self->step_ns / 2) / self->step_ns;
	MUST(pd_unmap(&a));
	MUST(pd_unmap(&b));
	close(fd);
	self->w.ended = pd_jobs_ended(&self->w.env);
	MUST(trace_start());
}

FIXTURE_TEARDOWN(sweep)
{
	EXPECT_EQ(0, rmdir(TRACE));
	DEATH_TEARDOWN(&self->w);
}

/* So many jobs that the device cannot be done with them. */
static void queue(struct death_watch *w, bool from_memory, bool to_memory,
		  unsigned int count)
{
	const size_t len = death_len(w);
	struct pindrop_job_desc jobs[count];
	struct pd_buf src, dst;
	unsigned int i;

	CHILD(!pd_create(w->fd, len, &src));
	CHILD(!pd_create(w->fd, len, &dst));
	memset(src.map, 0xee, len);
	if (!from_memory || !to_memory) {
		jobs[0] = job_of(&src, NULL, 256, &w->env.info);
		CHILD(!pd_run(w->fd, jobs, 1));
		/* Its own job, that it says has ended. */
		w->shared->answer = 1;
	}
	for (i = 0; i < count; i++)
		jobs[i] = job_of(from_memory ? &src : NULL,
				 to_memory ? &dst : NULL, len, &w->env.info);
	CHILD(!pd_submit(w->fd, jobs, count, NULL));
}

static int by_size(const void *a, const void *b)
{
	const long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* Puts them in order. */
static long median(long *list, unsigned int n)
{
	qsort(list, n, sizeof(*list), by_size);
	return list[n / 2];
}

/* To the microsecond, where pd_await() sleeps in between. */
static bool spin_for(const unsigned int *flag)
{
	__u64 begin = pd_now_ns();

	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
		if (pd_ms_since(begin) > 10000)
			return false;
	return true;
}

/* Of one sweep. */
struct times {
	long total_us, most_us; /* SIGKILL to waitpid, median and longest */
	long over_us, most_over_us; /* ... over the rest of the piece */
	unsigned int late; /* pieces issued when the signal was long there */
	unsigned int slow; /* deaths over the bound */
};

static bool in_time(const struct times *t)
{
	return t->over_us <= MEDIAN_MS * 1000 &&
	       t->most_over_us <= MOST_MS * 1000 && !t->late && !t->slow;
}

/* An owner of its own, killed so long after its first piece began. */
static void kill_at(struct __test_metadata *_metadata, struct death_watch *w,
		    const FIXTURE_VARIANT(sweep) * variant, __u64 after_ns)
{
	__u64 at;
	pid_t pid;

	MUST(trace_clear());
	w->ended = pd_jobs_ended(&w->env);
	w->shared->flag = 0;
	w->shared->answer = 0;
	if (w->fd < 0)
		w->fd = pd_open(&w->env);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		queue(w, variant->from_memory, variant->to_memory, JOBS);
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(spin_for(&w->shared->flag));
	at = pd_now_ns() + after_ns;
	if (after_ns > 2000000)
		pd_sleep_ms(after_ns / 1000000 - 1);
	while (pd_now_ns() < at)
		;
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
}

static void kill_everywhere(struct __test_metadata *_metadata,
			    FIXTURE_DATA(sweep) * self,
			    const FIXTURE_VARIANT(sweep) * variant,
			    struct times *t)
{
	struct death_watch *w = &self->w;
	long total_us[POINTS], over_us[POINTS], rest_us;
	const char *left;
	struct record r;
	unsigned int i;

	t->late = 0;
	t->slow = 0;
	for (i = 0; i < POINTS; i++) {
		kill_at(_metadata, w, variant,
			self->steps * self->step_ns * i / (POINTS - 1));
		total_us[i] = (pd_now_ns() - w->since_ns) / 1000;
		left = death_left(w, JOBS + w->shared->answer);
		/* A late death repeats the sweep; the last sweep may have none. */
		if (total_us[i] > w->bound_ms * 1000) {
			t->slow++;
			EXPECT_TRUE(pd_count_becomes(&w->env, PD_INFLIGHT, 0,
						     STILL_MS));
		} else {
			EXPECT_STREQ("", left);
		}

		MUST(trace_read(w->since_ns, &r));
		EXPECT_TRUE(r.cancelled);
		EXPECT_EQ(0, r.after_cancel);
		ASSERT_NE(0, r.issued_ns);
		t->late += r.after_signal;
		rest_us = (w->since_ns - r.issued_ns) % self->step_ns;
		rest_us = (self->step_ns - rest_us) / 1000;
		over_us[i] = total_us[i] - rest_us;
		/* The next one is a context that nobody owns. */
		close(w->fd);
		w->fd = -1;
		if (variant->to_memory)
			EXPECT_STREQ("", death_strays(w));
	}
	t->total_us = median(total_us, POINTS);
	t->most_us = total_us[POINTS - 1];
	t->over_us = median(over_us, POINTS);
	t->most_over_us = over_us[POINTS - 1];
	fprintf(stderr,
		"# sweep: %u kills over %u x %llu us; SIGKILL to waitpid: median %ld us, max %ld us; over the rest: median %ld us, max %ld us; %u late pieces\n",
		POINTS, self->steps, self->step_ns / 1000, t->total_us,
		t->most_us, t->over_us, t->most_over_us, t->late);
}

/* P1 to P3, wherever the signal comes. A host is not always busy. */
TEST_F_TIMEOUT(sweep, of_a_piece, 110)
{
	struct times t;
	int tries = 3;

	do
		kill_everywhere(_metadata, self, variant, &t);
	while ((death_kernel_is_slow() ? t.slow : !in_time(&t)) && --tries);
	EXPECT_EQ(0, t.slow);
	if (death_kernel_is_slow())
		return;
	EXPECT_GE(MEDIAN_MS * 1000, t.over_us);
	EXPECT_GE(MOST_MS * 1000, t.most_over_us);
	EXPECT_EQ(0, t.late);
}

/* The queue is not waited for, and what was on the device is. */
TEST_F(sweep, of_a_queue)
{
	struct death_watch *w = &self->w;
	long long over;
	struct record r;
	pid_t pid;
	long ms;

	w->pieces = 1;
	/* Into the first job, whatever a piece is made of. */
	w->into_ms = 30;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		queue(w, variant->from_memory, variant->to_memory, QUEUE);
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(w));
	/* Under load, further jobs complete before this line runs. */
	over = pd_grown(&w->env, PD_JOBS_DONE) - w->shared->answer;
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	ms = pd_ms_since(w->since_ns);
	EXPECT_OVER(w, QUEUE + w->shared->answer);
	EXPECT_LE(QUEUE - over - (long long)w->env.info.out_depth,
		  pd_grown(&w->env, PD_JOBS_CANCELLED));
	MUST(trace_read(w->since_ns, &r));
	EXPECT_TRUE(r.cancelled);
	EXPECT_EQ(0, r.after_cancel);
	fprintf(stderr, "# sweep: %u queued jobs: %ld ms\n", QUEUE, ms);
	if (!death_kernel_is_slow())
		EXPECT_GE(self->step_ns / 1000000 + MOST_MS, ms);
}

TEST_HARNESS_MAIN
