// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * What the device did to memory, by its own log: all of what it was asked for,
 * nothing else, and nothing when the memory is somebody else's.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "sim_utils.h"

#define MODULE "/lib/modules/pindrop_sim.ko"
#define MAX_LOG 4096
#define MAX_RANGES 4096
#define BOUND_MS 3000

/* For a slow guest; one channel after the other would take longer than that. */
#define SLACK_MS 1000

FIXTURE(memory)
{
	struct pd_env env;
	int fd;
	size_t piece;
	struct pd_buf src, dst;
	struct sim_access *log;
	struct sim_range *ranges;
	unsigned int *flag;
	long long seq, misses, late_writes;
};

FIXTURE_SETUP(memory)
{
	SIM_SETUP(&self->env);
	self->piece = self->env.info.out_max_piece;
	self->log = calloc(MAX_LOG, sizeof(*self->log));
	self->ranges = calloc(MAX_RANGES, sizeof(*self->ranges));
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->log);
	ASSERT_NE(NULL, self->ranges);
	ASSERT_NE(NULL, self->flag);
	MUST(sim_trace_start());
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	self->seq = sim_count(&self->env, "accesses");
	self->misses = sim_count(&self->env, "misses");
	self->late_writes = sim_count(&self->env, "late_writes");
	ASSERT_LE(0, self->seq);
	ASSERT_LE(0, self->misses);
	ASSERT_LE(0, self->late_writes);
}

FIXTURE_TEARDOWN(memory)
{
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	close(self->fd);
	EXPECT_EQ(0, sim_trace_stop());
	SIM_TEARDOWN(&self->env);
}

#define ACCESSES() (sim_count(&self->env, "accesses") - self->seq)
#define MISSES() (sim_count(&self->env, "misses") - self->misses)
#define LATE_WRITES() (sim_count(&self->env, "late_writes") - self->late_writes)

static int make(int fd, struct pd_buf *buf, size_t len, __u32 flags)
{
	int err = pd_alloc(fd, len, flags, buf);

	return err ? err : pd_map(fd, buf);
}

/* The trace's range of a buffer that has only one. */
static const struct sim_range *range_of(const struct sim_range *list, int n,
					size_t bytes, int skip)
{
	const struct sim_range *r;

	for (r = list; r < list + n; r++)
		if (r->bytes == bytes && !skip--)
			return r;
	return NULL;
}

/* Byte by byte: what is read and written is where the buffers are. */
TEST_F(memory, accesses_are_those_of_the_copy)
{
	const size_t len = 2 * self->piece + self->env.page;
	const size_t from = 100, to = 200;
	const size_t all = 2 * self->piece + 33;
	const struct sim_range *src, *dst;
	struct pindrop_job_desc job;
	size_t at, n;
	int i, count;

	MUST(make(self->fd, &self->src, len, PINDROP_ALLOC_CONTIG));
	MUST(make(self->fd, &self->dst, len, PINDROP_ALLOC_CONTIG));
	pd_fill(self->src.map, len, 1);
	job = pd_copy(&self->src, from, &self->dst, to, all);
	EXPECT_EQ(0, pd_run(self->fd, &job, 1));
	EXPECT_EQ(0, memcmp(self->src.map + from, self->dst.map + to, all));

	count = sim_trace_ranges(self->ranges, MAX_RANGES);
	src = range_of(self->ranges, count, len, 0);
	dst = range_of(self->ranges, count, len, 1);
	ASSERT_NE(NULL, src);
	ASSERT_NE(NULL, dst);
	ASSERT_EQ(6, sim_log(&self->env, self->seq, self->log, MAX_LOG));
	for (i = 0, at = 0; i < 6; i += 2, at += n) {
		const struct sim_access *r = &self->log[i], *w = r + 1;

		n = i < 4 ? self->piece : 33;
		EXPECT_EQ(src->bus + from + at, r->bus);
		EXPECT_EQ(dst->bus + to + at, w->bus);
		EXPECT_EQ(n, r->bytes);
		EXPECT_EQ(n, w->bytes);
		EXPECT_FALSE(r->write);
		EXPECT_TRUE(w->write);
		EXPECT_EQ(0, r->chan);
		EXPECT_STREQ("hit", r->outcome);
		EXPECT_STREQ("hit", w->outcome);
		EXPECT_FALSE(w->late);
	}
	EXPECT_EQ(0, MISSES());
}

/* Bus addresses that could be physical ones prove nothing. */
TEST_F(memory, has_addresses_of_its_own)
{
	int i, n;

	if (sim_is_direct())
		SKIP(return, "with mode=direct they are the machine's");
	MUST(make(self->fd, &self->src, 64 * self->env.page, 0));
	n = sim_trace_ranges(self->ranges, MAX_RANGES);
	ASSERT_LT(0, n);
	for (i = 0; i < n; i++)
		EXPECT_LE(1ULL << 60, self->ranges[i].bus);
}

/* All channels, with what is and what is not in one range. */
TEST_F(memory, copies_are_right_on_each_channel)
{
	const size_t len = 3 * self->piece + 5 * self->env.page;
	unsigned int chan;

	MUST(make(self->fd, &self->src, len, 0));
	MUST(make(self->fd, &self->dst, len, 0));
	for (chan = 0; chan < self->env.info.out_channels; chan++) {
		pd_fill(self->src.map, len, chan + 1);
		EXPECT_EQ(0, pd_result(self->fd,
				       pd_start_on(self->fd, chan, &self->src,
						   &self->dst, len - chan)));
		EXPECT_EQ(-1, pd_wrong(self->dst.map, len - chan, chan + 1));
	}
	EXPECT_EQ(0, MISSES());
}

static int ranges_of(const struct sim_range *list, int n, __u64 buf)
{
	int count = 0;

	while (n--)
		count += list[n].buf == buf && !list[n].to_ns;
	return count;
}

/*
 * A buffer of several ranges: their number, or -1. Single pages that were in
 * use are good for that.
 */
static int make_in_pieces(int fd, const struct pd_env *env, struct pd_buf *buf,
			  struct sim_range *ranges)
{
	struct pd_buf single[32];
	unsigned int i, tries;
	int n;

	for (tries = 0; tries < 64; tries++) {
		for (i = 0; i < ARRAY_LEN(single); i++)
			if (pd_alloc(fd, env->page, 0, &single[i]))
				return -1;
		for (i = 0; i < ARRAY_LEN(single); i++)
			pd_free(fd, single[i].handle);
		if (make(fd, buf, 3 * env->page, 0))
			return -1;
		n = sim_trace_ranges(ranges, MAX_RANGES);
		if (n <= 0)
			return -1;
		n = ranges_of(ranges, n, ranges[n - 1].buf);
		if (n > 1)
			return n;
		/* It stays, so that the next one is somewhere else. */
		pd_unmap(buf);
	}
	return -1;
}

/* What follows in a buffer need not follow on the bus. */
TEST_F(memory, copies_are_right_across_ranges)
{
	const size_t len = 3 * self->env.page;
	int ranges;

	MUST(make(self->fd, &self->src, len, PINDROP_ALLOC_CONTIG));
	ranges = make_in_pieces(self->fd, &self->env, &self->dst, self->ranges);
	ASSERT_LT(1, ranges);
	pd_fill(self->src.map, len, 1);
	EXPECT_EQ(0, pd_result(self->fd, pd_start_on(self->fd, 0, &self->src,
						     &self->dst, len)));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, len, 1));
	EXPECT_EQ(0, pd_result(self->fd, pd_start_on(self->fd, 0, &self->dst,
						     &self->src, len)));
	EXPECT_EQ(-1, pd_wrong(self->src.map, len, 1));
	EXPECT_EQ(0, MISSES());
	/* Twice a piece for each, which is read and written. */
	EXPECT_EQ(4 * ranges, ACCESSES());
}

/* No access at a time, or to a place, that was not the device's. */
static long strays(struct sim_access *log, int accesses,
		   const struct sim_range *ranges, int n)
{
	long bad = 0;

	while (accesses--)
		bad += !sim_range_of(ranges, n, &log[accesses]);
	return bad;
}

#define EXPECT_NO_STRAYS()                                                \
	do {                                                              \
		int _n = sim_trace_ranges(self->ranges, MAX_RANGES);      \
		int _a = sim_log(&self->env, self->seq, self->log,        \
				 MAX_LOG);                                \
		EXPECT_LT(0, _n);                                         \
		EXPECT_LT(0, _a);                                         \
		EXPECT_EQ(0, strays(self->log, _a, self->ranges, _n));    \
		EXPECT_EQ(0, MISSES());                                   \
	} while (0)

/* Jobs on all channels, for as long as the child lives. */
static void busy(const struct pd_env *env, volatile unsigned int *flag)
{
	const unsigned int channels = env->info.out_channels;
	const size_t len = env->info.out_max_piece * 3 / 2;
	struct pd_buf src, dst;
	unsigned int chan = 0;
	int fd = pd_open(env);

	CHILD(fd >= 0);
	for (;; chan = (chan + 1) % channels) {
		CHILD(!make(fd, &src, len, 0));
		CHILD(!make(fd, &dst, len, 0));
		CHILD(pd_start_on(fd, chan, &src, &dst, len));
		CHILD(!pd_free(fd, src.handle) && !pd_free(fd, dst.handle));
		CHILD(!pd_unmap(&src) && !pd_unmap(&dst));
		pd_post(flag, 1);
		pd_sleep_ms(2);
	}
}

/* P1 by the log: killed at any time, nothing is touched after its end. */
TEST_F(memory, is_left_alone_after_a_kill)
{
	__u64 over;
	pid_t pid;
	int i, n;

	MUST(sim_set_all(&self->env, "delay_us", 3000));
	for (i = 0; i < 10; i++) {
		pd_post(self->flag, 0);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			busy(&self->env, self->flag);
		ASSERT_TRUE(pd_await(self->flag, 1));
		pd_sleep_ms(3 * i);
		kill(pid, SIGKILL);
		EXPECT_EQ(-SIGKILL, pd_join(pid));
		over = pd_now_ns();
		EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
		EXPECT_EQ(0, pd_count(&self->env, PD_BYTES));
		pd_sleep_ms(20);
		n = sim_log(&self->env, self->seq, self->log, MAX_LOG);
		ASSERT_LE(0, n);
		/* The first is killed before the device has touched anything. */
		if (n)
			EXPECT_GE(over, self->log[n - 1].ns);
	}
	EXPECT_NO_STRAYS();
}

/* The same where nothing can be stopped that was issued. */
TEST_F(memory, is_left_alone_where_aborts_are_ignored)
{
	pid_t pid;

	MUST(sim_set_all(&self->env, "delay_us", 20000));
	MUST(sim_set_all(&self->env, "ignore_abort", 1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		busy(&self->env, self->flag);
	ASSERT_TRUE(pd_await(self->flag, 1));
	pd_sleep_ms(30);
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_EQ(0, pd_count(&self->env, PD_BYTES));
	EXPECT_NO_STRAYS();
}

/* An engine that says it is done, and writes when the memory is gone. */
TEST_F(memory, written_late_is_seen)
{
	struct sim_access *last;
	int n;

	if (sim_is_direct())
		SKIP(return, "with mode=direct it would be somebody's");
	MUST(make(self->fd, &self->src, self->env.page, 0));
	MUST(make(self->fd, &self->dst, self->env.page, 0));
	MUST(sim_set(&self->env, 0, "late_write_ms", 100));
	EXPECT_EQ(0, pd_result(self->fd, pd_start_on(self->fd, 0, &self->src,
						     &self->dst, 64)));
	MUST(pd_free(self->fd, self->dst.handle));
	MUST(pd_unmap(&self->dst));
	EXPECT_EQ(0, MISSES());
	pd_sleep_ms(300);
	EXPECT_EQ(1, MISSES());
	EXPECT_EQ(1, LATE_WRITES());
	n = sim_log(&self->env, self->seq, self->log, MAX_LOG);
	ASSERT_EQ(2, n);
	last = &self->log[1];
	EXPECT_TRUE(last->write);
	EXPECT_TRUE(last->late);
	EXPECT_STREQ("miss", last->outcome);
	EXPECT_EQ(64, last->bytes);
	/* ... by the other oracle, too. */
	n = sim_trace_ranges(self->ranges, MAX_RANGES);
	EXPECT_NE(NULL, sim_range_of(self->ranges, n, &self->log[0]));
	EXPECT_EQ(NULL, sim_range_of(self->ranges, n, last));
}

/* As long as it is mapped, late is late and no miss. */
TEST_F(memory, written_late_is_written)
{
	MUST(make(self->fd, &self->src, self->env.page, 0));
	MUST(make(self->fd, &self->dst, self->env.page, 0));
	pd_fill(self->src.map, 64, 1);
	MUST(sim_set(&self->env, 0, "late_write_ms", 200));
	EXPECT_EQ(0, pd_result(self->fd, pd_start_on(self->fd, 0, &self->src,
						     &self->dst, 64)));
	EXPECT_EQ(-1, pd_nonzero(self->dst.map, 64));
	pd_sleep_ms(400);
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 64, 1));
	EXPECT_EQ(1, LATE_WRITES());
	EXPECT_EQ(0, MISSES());
}

/* Aborted, by its own words, it goes on: with the rest of its time, or later. */
TEST_F(memory, aborted_by_a_liar_is_seen)
{
	static const char *const lies[] = { "lie_terminate", "late_write_ms" };
	unsigned int i;
	int fd;

	if (sim_is_direct())
		SKIP(return, "with mode=direct it would be somebody's");
	MUST(sim_set(&self->env, 0, "delay_us", 200000));
	for (i = 0; i < ARRAY_LEN(lies); i++) {
		struct pd_buf src, dst;
		__u64 begin;

		MUST(sim_set(&self->env, 0, lies[i], 200));
		fd = pd_open(&self->env);
		ASSERT_LE(0, fd);
		MUST(pd_alloc(fd, self->env.page, 0, &src));
		MUST(pd_alloc(fd, self->env.page, 0, &dst));
		ASSERT_EQ(1, pd_start_on(fd, 0, &src, &dst, 64));
		pd_sleep_ms(20);
		begin = pd_now_ns();
		close(fd);
		EXPECT_GT(150, pd_ms_since(begin));
		EXPECT_EQ(0, pd_count(&self->env, PD_BYTES));
		pd_sleep_ms(500);
		EXPECT_EQ(i + 1, LATE_WRITES());
		EXPECT_EQ(2 * (i + 1), MISSES());
		MUST(sim_set(&self->env, 0, lies[i], 0));
	}
}

/* A device that goes, while all of its channels are at work. */
FIXTURE(removal)
{
	struct pd_env env;
	char driver[PATH_MAX];
	unsigned int *flag;
	int kmsg;
};

FIXTURE_SETUP(removal)
{
	char link[128];

	SIM_SETUP(&self->env);
	snprintf(link, sizeof(link), "%s/device/driver", self->env.sysfs);
	ASSERT_NE(NULL, realpath(link, self->driver));
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
	self->kmsg = pd_kmsg_open();
	ASSERT_LE(0, self->kmsg);
}

FIXTURE_TEARDOWN(removal)
{
	/* The counts go with the device; the kernel log stays. */
	EXPECT_EQ(0, pd_kmsg_count(self->kmsg, "which is not mapped"));
	close(self->kmsg);
	SIM_TEARDOWN(&self->env);
}

static bool comes_back(const char *path)
{
	__u64 begin = pd_now_ns();

	while (access(path, F_OK) && pd_ms_since(begin) < BOUND_MS)
		pd_sleep_ms(5);
	return !access(path, F_OK);
}

/* Copies on all channels until it may not any more, and why. */
static int copy_until_it_fails(const struct pd_env *env,
			       volatile unsigned int *flag)
{
	const unsigned int channels = env->info.out_channels;
	const size_t len = env->info.out_max_piece * 4;
	struct pd_buf src, dst;
	unsigned int chan;
	int fd = pd_open(env), err;

	CHILD(fd >= 0);
	CHILD(!pd_alloc(fd, len, 0, &src));
	CHILD(!pd_alloc(fd, len, 0, &dst));
	for (;;) {
		struct pindrop_job_desc job = pd_copy(&src, 0, &dst, 0, len);
		struct pindrop_submit sub = {};

		for (chan = 0; chan < channels; chan++) {
			err = pd_submit_on(fd, chan, &job, 1, &sub);
			if (err)
				return err;
		}
		pd_post(flag, 1);
		err = pd_result(fd, sub.out_last);
		if (err)
			return err;
	}
}

static pid_t start_copier(const struct pd_env *env, unsigned int *flag)
{
	pid_t pid = fork();

	if (!pid)
		_exit(-copy_until_it_fails(env, flag));
	return pid;
}

TEST_F(removal, in_the_middle_of_copies)
{
	const char *device = self->env.info.out_device;
	int i, status;
	__u64 begin;
	pid_t pid;

	for (i = 0; i < 4; i++) {
		MUST(sim_set_all(&self->env, "delay_us", 5000));
		/* Then nothing but the cut ends them in time. */
		MUST(sim_set_all(&self->env, "ignore_abort", i % 2));
		MUST(sim_incurable(&self->env));
		if (i == 3)
			MUST(sim_set_all(&self->env, "delay_us", 280000));
		pd_post(self->flag, 0);
		pid = start_copier(&self->env, self->flag);
		ASSERT_LE(0, pid);
		ASSERT_TRUE(pd_await(self->flag, 1));
		pd_sleep_ms(10);
		begin = pd_now_ns();
		MUST(pd_write_in(self->driver, "unbind", device));
		/* The channels are waited for together, before and after it. */
		EXPECT_GT(3 * self->env.info.out_piece_ms + SLACK_MS,
			  pd_ms_since(begin));
		/* What was cut off is not known to have been copied. */
		status = pd_join(pid);
		EXPECT_TRUE(status == ENODEV || (i == 3 && status == EIO))
			TH_LOG("round %d: status %d", i, status);
		/* A reaper may still hold the node's number. */
		pd_sleep_ms(50);
		MUST(pd_write_in(self->driver, "bind", device));
		ASSERT_TRUE(comes_back(self->env.path));
	}
}

/* Open files do not keep the engine's module. */
TEST_F(removal, by_unloading_the_module)
{
	char parameters[128];
	pid_t pid;

	if (access(MODULE, R_OK))
		SKIP(return, "no " MODULE);
	snprintf(parameters, sizeof(parameters), "mode=%s delay_us=%lld devices=%lld",
		 sim_is_direct() ? "direct" : "iommu", sim_delay_us(),
		 sim_devices());
	MUST(sim_set_all(&self->env, "delay_us", 5000));
	pid = start_copier(&self->env, self->flag);
	ASSERT_LE(0, pid);
	ASSERT_TRUE(pd_await(self->flag, 1));
	EXPECT_EQ(0, pd_unload_module("pindrop_sim"));
	EXPECT_EQ(ENODEV, pd_join(pid));
	pd_sleep_ms(50);
	MUST(pd_load_module(MODULE, parameters));
	ASSERT_TRUE(comes_back(self->env.path));
}

TEST_HARNESS_MAIN
