// SPDX-License-Identifier: GPL-2.0-only
/*
 * SUBMITs that wait for a sync_file, and sync_files that wait for SUBMITs. What
 * the driver says is compared with what the kernel's sync_file tells of a
 * fence: its state, its error and when it was signalled.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "sim_utils.h"

/* Of a copy that is long, and takes that many times what a short one does. */
#define PIECES 4
#define NONE (-1)
/* What needs no hardware takes no longer, in a slow guest. */
#define SOON_MS 1000
#define LONG_MS 30000
#define MODULE "/sys/module/pindrop"

/* A context with a copy of its own. */
struct user {
	int fd;
	struct pd_buf src, dst;
};

FIXTURE(fence)
{
	struct pd_env env;
	long long modules, held;
	int fds;
	size_t piece;
	struct user a, b, c;
};

/* What this process has open, apart from what reads it. */
static int open_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What the next one would be: one that was promised to nobody is not free. */
static int lowest_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static int user_open(const struct pd_env *env, struct user *u, size_t len)
{
	u->fd = pd_open(env);
	if (u->fd < 0)
		return u->fd;
	return pd_create(u->fd, len, &u->src) ?: pd_create(u->fd, len, &u->dst);
}

/* Its context ends with the last mapping. */
static void user_close(struct user *u)
{
	pd_unmap(&u->src);
	pd_unmap(&u->dst);
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}

static long long module_refs(void)
{
	return pd_number_in(MODULE, "refcnt");
}

static bool module_refs_become(long long want)
{
	__u64 start = pd_now_ns();

	while (module_refs() != want) {
		if (pd_ms_since(start) > SOON_MS)
			return false;
		pd_sleep_ms(5);
	}
	return true;
}

FIXTURE_SETUP(fence)
{
	PD_SETUP(&self->env);
	PD_NEEDS_FENCES(&self->env);
	self->modules = module_refs();
	self->fds = open_fds();
	self->piece = self->env.info.out_max_piece;
	MUST(user_open(&self->env, &self->a, PIECES * self->piece));
	MUST(user_open(&self->env, &self->b, PIECES * self->piece));
	MUST(user_open(&self->env, &self->c, PIECES * self->piece));
	pd_fill(self->a.src.map, self->a.src.len, 1);
	pd_fill(self->b.src.map, self->b.src.len, 2);
	self->held = module_refs();
}

/* Whatever became of a fence, it has gone with its descriptors. */
FIXTURE_TEARDOWN(fence)
{
	user_close(&self->a);
	user_close(&self->b);
	user_close(&self->c);
	EXPECT_EQ(self->fds, open_fds());
	EXPECT_TRUE(module_refs_become(self->modules));
	PD_TEARDOWN(&self->env);
}

/*
 * Waits for @in, unless NONE. The new fence, if @last is not NULL and gets the
 * ticket; else 0. Or -errno.
 */
static int submit_on(int fd, unsigned int channel,
		     const struct pindrop_job_desc *jobs, unsigned int count,
		     int in, __u64 *last)
{
	struct pindrop_submit args = {
		.size = sizeof(args),
		.jobs = (unsigned long)jobs,
		.count = count,
		.channel = channel,
	};
	int err;

	if (in != NONE) {
		args.flags |= PINDROP_SUBMIT_IN_FENCE;
		args.in_fence = in;
	}
	if (last)
		args.flags |= PINDROP_SUBMIT_OUT_FENCE;
	err = pd_ioctl(fd, PINDROP_VERB_SUBMIT, &args);
	if (err)
		return err;
	if (last)
		*last = args.out_last;
	return args.out_fence;
}

static int submit(int fd, const struct pindrop_job_desc *jobs,
		  unsigned int count, int in, __u64 *last)
{
	return submit_on(fd, 0, jobs, count, in, last);
}

/* A copy of so many pieces; its fence. */
static int copy(const struct user *u, size_t pieces, size_t piece, int in,
		__u64 *last)
{
	struct pindrop_job_desc job = pd_copy(&u->src, 0, &u->dst, 0,
					      pieces * piece);

	return submit(u->fd, &job, 1, in, last);
}

/* Nothing, which is done at once if nothing is waited for; its fence. */
static int nop(const struct user *u, int in, __u64 *last)
{
	struct pindrop_job_desc job = pd_nop(0);

	return submit(u->fd, &job, 1, in, last);
}

#define LONG(u, in, last) copy(u, PIECES, self->piece, in, last)
#define SHORT(u, in, last) copy(u, 1, self->piece, in, last)
#define NOP(u, in, last) nop(u, in, last)

/* 0: not signalled, 1: signalled, or the error that it was signalled with. */
static int status(int fence)
{
	struct sync_file_info info = { 0 };

	if (ioctl(fence, SYNC_IOC_FILE_INFO, &info))
		return -1000 - errno;
	return info.status;
}

/* Of a fence that is one, not several. */
static int info_of(int fence, struct sync_fence_info *one)
{
	struct sync_file_info info = {
		.num_fences = 1,
		.sync_fence_info = (unsigned long)one,
	};

	memset(one, 0, sizeof(*one));
	return ioctl(fence, SYNC_IOC_FILE_INFO, &info) ? -errno : 0;
}

static int fences_in(int fence)
{
	struct sync_file_info info = { 0 };

	return ioctl(fence, SYNC_IOC_FILE_INFO, &info) ? -errno :
							 (int)info.num_fences;
}

static __u64 signalled_ns(int fence)
{
	struct sync_fence_info one;

	return info_of(fence, &one) ? 0 : one.timestamp_ns;
}

static bool signalled(int fence, int ms)
{
	struct pollfd p = { .fd = fence, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && p.revents == POLLIN;
}

static int merge(int fence, int other)
{
	struct sync_merge_data data = { .name = "both", .fd2 = other };

	return ioctl(fence, SYNC_IOC_MERGE, &data) ? -errno : data.fence;
}

/* The job is over, and what it wrote is there, when its fence says so. */
TEST_F(fence, comes_after_the_result_and_the_data)
{
	const volatile struct pindrop_window *w = pd_window(self->a.fd);
	struct sync_fence_info one;
	struct pindrop_wait wait;
	__u64 last, begin = pd_now_ns();
	int fence;

	ASSERT_NE(NULL, w);
	fence = LONG(&self->a, NONE, &last);
	ASSERT_LE(0, fence);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fence, F_GETFD));
	EXPECT_EQ(0, status(fence));
	EXPECT_FALSE(signalled(fence, 0));
	/* From 7.3 on, nobody is told whose it was once it has signalled. */
	MUST(info_of(fence, &one));
	EXPECT_STREQ("pindrop", one.driver_name);
	EXPECT_TRUE(signalled(fence, LONG_MS));
	EXPECT_EQ(last, w->ticket);
	EXPECT_EQ(1, w->jobs_done);
	EXPECT_EQ(-1, pd_wrong(self->a.dst.map, self->a.dst.len, 1));
	MUST(pd_wait(self->a.fd, last, 0, &wait));
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(1, status(fence));
	MUST(info_of(fence, &one));
	EXPECT_EQ(1, one.status);
	EXPECT_LT(begin, one.timestamp_ns);
	EXPECT_GT(pd_now_ns(), one.timestamp_ns);
	close(fence);
	munmap((void *)w, PINDROP_WINDOW_SIZE);
}

/* One for all jobs of a SUBMIT, and for no others. */
TEST_F(fence, is_of_all_jobs_of_its_submit)
{
	const volatile struct pindrop_window *w = pd_window(self->a.fd);
	struct pindrop_job_desc jobs[3] = {
		pd_nop(0),
		pd_copy(&self->a.src, 0, &self->a.dst, 0, self->piece),
		pd_copy(&self->a.src, 0, &self->a.dst, 0, PIECES * self->piece),
	};
	__u64 last, end;
	int fence, after;

	ASSERT_NE(NULL, w);
	fence = submit(self->a.fd, jobs, ARRAY_LEN(jobs), NONE, &last);
	ASSERT_LE(0, fence);
	after = LONG(&self->a, NONE, &end);
	ASSERT_LE(0, after);
	for (; w->ticket < last - 1; pd_sleep_ms(1))
		EXPECT_EQ(0, status(fence));
	EXPECT_TRUE(signalled(fence, LONG_MS));
	EXPECT_EQ(last, w->ticket);
	EXPECT_EQ(0, status(after));
	EXPECT_TRUE(signalled(after, LONG_MS));
	EXPECT_EQ(end, w->ticket);
	EXPECT_LT(signalled_ns(fence), signalled_ns(after));
	close(fence);
	close(after);
	munmap((void *)w, PINDROP_WINDOW_SIZE);
}

/* It does nothing, so it would be over if it did not wait; as others are. */
TEST_F(fence, is_waited_for)
{
	int slow, waits, free;
	__u64 last;

	slow = LONG(&self->a, NONE, &last);
	ASSERT_LE(0, slow);
	waits = NOP(&self->b, slow, &last);
	ASSERT_LE(0, waits);
	free = NOP(&self->c, NONE, &last);
	ASSERT_LE(0, free);
	EXPECT_TRUE(signalled(free, SOON_MS));
	EXPECT_EQ(1, status(free));
	EXPECT_EQ(0, status(slow));
	EXPECT_EQ(0, status(waits));
	FAILS(ETIME, pd_wait(self->b.fd, 1, 10, NULL));
	EXPECT_EQ(2, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_TRUE(signalled(waits, LONG_MS));
	EXPECT_EQ(1, status(waits));
	EXPECT_EQ(1, status(slow));
	EXPECT_LT(signalled_ns(free), signalled_ns(slow));
	EXPECT_LE(signalled_ns(slow), signalled_ns(waits));
	EXPECT_GT(signalled_ns(slow) + SOON_MS * 1000000ULL,
		  signalled_ns(waits));
	close(slow);
	close(waits);
	close(free);
}

/* A copy that waits: not a byte of it before. */
TEST_F(fence, is_waited_for_by_the_device)
{
	int slow, waits;
	__u64 last;

	slow = LONG(&self->a, NONE, &last);
	ASSERT_LE(0, slow);
	waits = LONG(&self->b, slow, &last);
	ASSERT_LE(0, waits);
	while (!status(slow)) {
		long written = pd_nonzero(self->b.dst.map, self->b.dst.len);

		EXPECT_TRUE(written == -1 || status(slow));
		pd_sleep_ms(1);
	}
	EXPECT_EQ(-1, pd_wrong(self->a.dst.map, self->a.dst.len, 1));
	EXPECT_TRUE(signalled(waits, LONG_MS));
	EXPECT_EQ(-1, pd_wrong(self->b.dst.map, self->b.dst.len, 2));
	close(slow);
	close(waits);
}

/* Of all jobs of the SUBMIT, and of what its context queues behind them. */
TEST_F(fence, keeps_the_order_of_who_waits)
{
	struct pindrop_job_desc jobs[2] = { pd_nop(0), pd_nop(1) };
	int slow, waits, behind;
	__u64 last, end;

	slow = LONG(&self->a, NONE, &last);
	ASSERT_LE(0, slow);
	waits = submit(self->b.fd, jobs, 2, slow, &last);
	ASSERT_LE(0, waits);
	behind = NOP(&self->b, NONE, &end);
	ASSERT_LE(0, behind);
	EXPECT_EQ(last + 1, end);
	pd_sleep_ms(10);
	EXPECT_EQ(0, status(slow));
	EXPECT_EQ(0, status(waits));
	EXPECT_EQ(0, status(behind));
	EXPECT_TRUE(signalled(behind, LONG_MS));
	EXPECT_EQ(1, status(waits));
	EXPECT_LE(signalled_ns(slow), signalled_ns(waits));
	EXPECT_LE(signalled_ns(waits), signalled_ns(behind));
	close(slow);
	close(waits);
	close(behind);
}

/* Signalled under the very lock that who waits for it needs. */
TEST_F(fence, of_its_own_context_is_waited_for)
{
	const unsigned int channels = self->env.info.out_channels;
	struct pindrop_job_desc job = pd_nop(0);
	int first, second, other;
	__u64 last;

	first = SHORT(&self->a, NONE, &last);
	ASSERT_LE(0, first);
	second = SHORT(&self->a, first, &last);
	ASSERT_LE(0, second);
	other = submit_on(self->a.fd, channels - 1, &job, 1, second, &last);
	ASSERT_LE(0, other);
	EXPECT_EQ(0, status(other));
	EXPECT_TRUE(signalled(other, LONG_MS));
	EXPECT_EQ(1, status(first));
	EXPECT_EQ(1, status(second));
	EXPECT_LE(signalled_ns(first), signalled_ns(second));
	EXPECT_LE(signalled_ns(second), signalled_ns(other));
	EXPECT_EQ(0, pd_result(self->a.fd, last));
	close(first);
	close(second);
	close(other);
}

/* What is over already holds nobody up, if it was signalled with success. */
TEST_F(fence, that_has_come_is_not_waited_for)
{
	int first, second;
	__u64 last;

	first = NOP(&self->a, NONE, &last);
	ASSERT_LE(0, first);
	EXPECT_TRUE(signalled(first, SOON_MS));
	second = NOP(&self->b, first, &last);
	ASSERT_LE(0, second);
	EXPECT_TRUE(signalled(second, SOON_MS));
	EXPECT_EQ(1, status(second));
	EXPECT_EQ(0, submit(self->b.fd, &(struct pindrop_job_desc){ 0 }, 1,
			    first, NULL));
	EXPECT_EQ(0, pd_result(self->b.fd, last + 1));
	close(first);
	close(second);
}

/* Each is a timeline of its own: none stands for another. */
TEST_F(fence, is_not_lost_when_merged)
{
	const unsigned int channels = self->env.info.out_channels;
	int slow, quick, both, waits;
	struct pindrop_job_desc job;
	__u64 last;

	job = pd_copy(&self->a.src, 0, &self->a.dst, 0, self->piece);
	slow = LONG(&self->a, NONE, &last);
	ASSERT_LE(0, slow);
	quick = submit_on(self->a.fd, channels - 1, &job, 1, NONE, &last);
	ASSERT_LE(0, quick);
	both = merge(slow, quick);
	ASSERT_LE(0, both);
	EXPECT_EQ(2, fences_in(both));
	waits = NOP(&self->b, both, &last);
	ASSERT_LE(0, waits);
	EXPECT_EQ(0, status(waits));
	EXPECT_TRUE(signalled(waits, LONG_MS));
	EXPECT_EQ(1, status(slow));
	EXPECT_EQ(1, status(quick));
	EXPECT_LE(signalled_ns(slow), signalled_ns(waits));
	EXPECT_LE(signalled_ns(quick), signalled_ns(waits));
	close(slow);
	close(quick);
	close(both);
	close(waits);
}

/* What it stands for did not happen, and neither does what was to follow. */
TEST_F(fence, that_failed_fails_who_waits)
{
	struct pindrop_job_desc jobs[2] = {
		pd_copy(&self->b.src, 0, &self->b.dst, 0, self->piece),
		pd_nop(0),
	};
	struct pindrop_wait wait;
	int slow, waits, late;
	__u64 last;

	slow = LONG(&self->a, NONE, &last);
	ASSERT_LE(0, slow);
	waits = submit(self->b.fd, jobs, 2, slow, &last);
	ASSERT_LE(0, waits);
	user_close(&self->a);
	EXPECT_EQ(-ECANCELED, status(slow));
	EXPECT_TRUE(signalled(waits, SOON_MS));
	EXPECT_EQ(-ECANCELED, status(waits));
	MUST(pd_wait_range(self->b.fd, 1, last, SOON_MS, &wait));
	EXPECT_EQ(-ECANCELED, wait.out_result);
	EXPECT_EQ(1, wait.out_failed);
	MUST(pd_wait_range(self->b.fd, last, last, SOON_MS, &wait));
	EXPECT_EQ(-ECANCELED, wait.out_result);
	EXPECT_EQ(PINDROP_STATE_OPEN, wait.out_state);
	EXPECT_EQ(-1, pd_nonzero(self->b.dst.map, self->b.dst.len));
	/* Also if that was known before. */
	late = submit(self->b.fd, jobs, 2, slow, &last);
	ASSERT_LE(0, late);
	EXPECT_TRUE(signalled(late, SOON_MS));
	EXPECT_EQ(-ECANCELED, status(late));
	EXPECT_EQ(-ECANCELED, pd_result(self->b.fd, last));
	EXPECT_EQ(-1, pd_nonzero(self->b.dst.map, self->b.dst.len));
	/* And nothing else is lost. */
	EXPECT_EQ(0, pd_run(self->b.fd, jobs, 2));
	EXPECT_EQ(-1, pd_wrong(self->b.dst.map, self->piece, 2));
	close(slow);
	close(waits);
	close(late);
}

/* Of who waits, while what it waits for goes on. */
TEST_F(fence, is_given_up_by_close)
{
	struct pindrop_job_desc jobs[64];
	int slow, waits;
	__u64 last, begin;
	size_t i;

	for (i = 0; i < ARRAY_LEN(jobs); i++)
		jobs[i] = pd_nop(i);
	slow = LONG(&self->a, NONE, &last);
	ASSERT_LE(0, slow);
	waits = submit(self->b.fd, jobs, ARRAY_LEN(jobs), slow, &last);
	ASSERT_LE(0, waits);
	begin = pd_now_ns();
	user_close(&self->b);
	EXPECT_EQ(-ECANCELED, status(waits));
	EXPECT_EQ(0, status(slow));
	EXPECT_GT(self->env.info.out_piece_ms, pd_ms_since(begin));
	EXPECT_EQ(1, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_TRUE(signalled(slow, LONG_MS));
	EXPECT_EQ(1, status(slow));
	EXPECT_EQ(-1, pd_wrong(self->a.dst.map, self->a.dst.len, 1));
	close(slow);
	close(waits);
}

/* The fence comes when who waits for it is being closed. */
TEST_F(fence, comes_while_it_is_given_up)
{
	const bool slow_pieces = !strcmp(self->env.info.out_engine, "edu");
	unsigned int round, rounds = slow_pieces ? 8 : 40;
	__u64 last, begin, end;
	int fence, waits;
	long ms = 0;

	for (round = 0; round < rounds; round++) {
		begin = pd_now_ns();
		fence = SHORT(&self->a, NONE, &last);
		ASSERT_LE(0, fence);
		waits = SHORT(&self->b, fence, &last);
		ASSERT_LE(0, waits);
		if (!round) {
			EXPECT_TRUE(signalled(fence, LONG_MS));
			ms = pd_ms_since(begin);
		}
		/* From just before to just after. */
		end = begin + ms * 1000000ULL + round % 8 * 300000ULL;
		while (pd_now_ns() + 1200000ULL < end)
			;
		user_close(&self->b);
		EXPECT_TRUE(signalled(waits, SOON_MS));
		EXPECT_TRUE(status(waits) == 1 || status(waits) == -ECANCELED);
		EXPECT_TRUE(signalled(fence, LONG_MS));
		EXPECT_EQ(1, status(fence));
		close(fence);
		close(waits);
		MUST(user_open(&self->env, &self->b, PIECES * self->piece));
	}
}

/* Whoever has it may wait: it is a file like others. */
TEST_F(fence, is_seen_by_other_processes)
{
	int fence, seen;
	__u64 last;
	pid_t pid;

	fence = LONG(&self->a, NONE, &last);
	ASSERT_LE(0, fence);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(status(fence) == 0);
		CHILD(signalled(fence, LONG_MS));
		CHILD(status(fence) == 1);
		_exit(7);
	}
	seen = pd_join(pid);
	EXPECT_EQ(7, seen);
	EXPECT_EQ(1, status(fence));
	close(fence);
}

/* ... also if it has nothing to do with the device: it may let jobs wait for it. */
TEST_F(fence, outlives_its_context)
{
	struct sync_fence_info one;
	__u64 last, end;
	int fence, waits;

	fence = NOP(&self->a, NONE, &last);
	ASSERT_LE(0, fence);
	EXPECT_TRUE(signalled(fence, SOON_MS));
	user_close(&self->a);
	user_close(&self->c);
	EXPECT_EQ(1, status(fence));
	MUST(info_of(fence, &one));
	/* Whatever the kernel says of whose it was, it can be read. */
	EXPECT_NE(0, one.driver_name[0]);
	EXPECT_TRUE(signalled(fence, 0));
	waits = NOP(&self->b, fence, &end);
	ASSERT_LE(0, waits);
	EXPECT_TRUE(signalled(waits, SOON_MS));
	user_close(&self->b);
	EXPECT_EQ(0, pd_grown(&self->env, PD_CONTEXTS));
	/* Its functions are in the module. */
	EXPECT_TRUE(module_refs_become(self->modules + 2));
	close(fence);
	EXPECT_TRUE(module_refs_become(self->modules + 1));
	close(waits);
	EXPECT_TRUE(module_refs_become(self->modules));
}

/* A SUBMIT with all that is right, to be spoiled. */
static struct pindrop_submit good(const struct pindrop_job_desc *job, int fence)
{
	return (struct pindrop_submit){
		.size = sizeof(struct pindrop_submit),
		.flags = PINDROP_SUBMIT_IN_FENCE | PINDROP_SUBMIT_OUT_FENCE,
		.jobs = (unsigned long)job,
		.count = 1,
		.in_fence = fence,
	};
}

#define REFUSED(error, change)                                               \
	do {                                                                 \
		struct pindrop_submit s = good(&job, fence);                 \
		struct pindrop_job_desc bad = { .op = 2 };                   \
		int before = open_fds();                                     \
		int next = lowest_fd();                                      \
		(void)bad;                                                   \
		change;                                                      \
		FAILS(error, pd_ioctl(self->b.fd, PINDROP_VERB_SUBMIT, &s)); \
		EXPECT_EQ(before, open_fds());                               \
		EXPECT_EQ(next, lowest_fd());                                \
		EXPECT_EQ(0, s.out_last);                                    \
	} while (0)

/* And then there is nothing: no job, no descriptor. */
TEST_F(fence, that_is_none_is_refused)
{
	const volatile struct pindrop_window *w = pd_window(self->b.fd);
	struct pindrop_job_desc job = pd_nop(0);
	struct rlimit limit, few;
	int fence, event, used;
	__u64 last;

	ASSERT_NE(NULL, w);
	fence = NOP(&self->a, NONE, &last);
	ASSERT_LE(0, fence);
	event = eventfd(0, 0);
	ASSERT_LE(0, event);
	REFUSED(EBADF, s.in_fence = 255);
	REFUSED(EBADF, s.in_fence = -1);
	REFUSED(EBADF, s.in_fence = event);
	REFUSED(EBADF, s.in_fence = self->b.fd);
	REFUSED(EINVAL, s.flags = PINDROP_SUBMIT_OUT_FENCE);
	REFUSED(EINVAL, s.out_fence = 1);
	REFUSED(EINVAL, s.out_fence = -1);
	REFUSED(EINVAL, s.eventfd = event);
	REFUSED(EINVAL, s.channel = self->env.info.out_channels);
	REFUSED(EOPNOTSUPP, s.flags |= 1 << 2);
	REFUSED(EOPNOTSUPP, s.jobs = (unsigned long)&bad);
	REFUSED(EFAULT, s.jobs = 8);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	/* The lowest that is free. */
	used = dup(fence);
	close(used);
	few = limit;
	few.rlim_cur = used;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	REFUSED(EMFILE, (void)0);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(0, w->submitted);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_INFLIGHT, 0, SOON_MS));
	EXPECT_TRUE(module_refs_become(self->held + 1));
	close(event);
	close(fence);
	munmap((void *)w, PINDROP_WINDOW_SIZE);
}

/* So many wait that one more may not: it has no fence either. */
TEST_F(fence, of_one_too_many_is_none)
{
	const unsigned int batch = self->env.info.out_max_jobs;
	unsigned int left = self->env.info.out_max_queued;
	struct pindrop_job_desc slows[64], *nops;
	struct pindrop_submit s;
	__u64 last;
	unsigned int i;
	int slow, fds, next;

	nops = calloc(batch, sizeof(*nops));
	ASSERT_NE(NULL, nops);
	/* Takes longer than the making of so many. */
	for (i = 0; i < ARRAY_LEN(slows); i++)
		slows[i] = pd_copy(&self->a.src, 0, &self->a.dst, 0,
				   PIECES * self->piece);
	slow = submit(self->a.fd, slows, ARRAY_LEN(slows), NONE, &last);
	ASSERT_LE(0, slow);
	for (; left >= batch; left -= batch)
		MUST(submit(self->b.fd, nops, batch, slow, NULL));
	s = good(nops, slow);
	s.count = left + 1;
	fds = open_fds();
	next = lowest_fd();
	FAILS(EDQUOT, pd_ioctl(self->b.fd, PINDROP_VERB_SUBMIT, &s));
	EXPECT_EQ(fds, open_fds());
	EXPECT_EQ(next, lowest_fd());
	EXPECT_EQ(0, s.out_fence);
	EXPECT_EQ(0, status(slow));
	EXPECT_TRUE(module_refs_become(self->held + 1));
	last = self->env.info.out_max_queued - left;
	FAILS(ETIME, pd_wait(self->b.fd, 1, 0, NULL));
	user_close(&self->a);
	EXPECT_EQ(-ECANCELED, status(slow));
	EXPECT_EQ(-ECANCELED, pd_result(self->b.fd, last));
	close(slow);
	free(nops);
}

/* The job is done all the same; who is not told has no descriptor either. */
TEST_F(fence, that_nobody_hears_of_is_none)
{
	const volatile struct pindrop_window *w = pd_window(self->a.fd);
	struct pindrop_job_desc job = pd_nop(0);
	struct pindrop_submit *args;
	int fds, next;

	ASSERT_NE(NULL, w);
	args = mmap(NULL, self->env.page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, args);
	*args = good(&job, 0);
	args->flags = PINDROP_SUBMIT_OUT_FENCE;
	ASSERT_EQ(0, mprotect(args, self->env.page, PROT_READ));
	fds = open_fds();
	next = lowest_fd();
	FAILS(EFAULT, pd_ioctl(self->a.fd, PINDROP_VERB_SUBMIT, args));
	EXPECT_EQ(fds, open_fds());
	EXPECT_EQ(next, lowest_fd());
	EXPECT_EQ(1, w->submitted);
	EXPECT_EQ(0, pd_result(self->a.fd, 1));
	EXPECT_TRUE(module_refs_become(self->held));
	munmap(args, self->env.page);
	munmap((void *)w, PINDROP_WINDOW_SIZE);
}

/* The owner dies, and others wait. */
FIXTURE(dead)
{
	struct death_watch w;
	int sock[2];
	int slow; /* for the owner to wait for */
	struct user user;
};

FIXTURE_SETUP(dead)
{
	DEATH_SETUP(&self->w);
	PD_NEEDS_FENCES(&self->w.env);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->sock));
	self->slow = NONE;
	self->user.fd = -1;
}

FIXTURE_TEARDOWN(dead)
{
	close(self->sock[0]);
	close(self->sock[1]);
	if (self->slow >= 0)
		close(self->slow);
	user_close(&self->user);
	DEATH_TEARDOWN(&self->w);
}

/* The copy is on the device, and one waits for it. */
static void live_and_wait(struct death_watch *w)
{
	int sock = w->shared->answer, fence[2], fd = pd_open(&w->env);
	const size_t len = death_len(w);
	struct user u = { .fd = fd };
	__u64 last;

	CHILD(fd >= 0);
	CHILD(!pd_create(fd, len, &u.src) && !pd_create(fd, len, &u.dst));
	fence[0] = copy(&u, 1, len, NONE, &last);
	CHILD(fence[0] >= 0);
	fence[1] = copy(&u, 1, len, fence[0], &last);
	CHILD(fence[1] >= 0);
	CHILD(!death_send_fds(sock, &fence[0], 1));
	CHILD(!death_send_fds(sock, &fence[1], 1));
}

/* Right after waitpid() nobody has to wait for it any more. */
TEST_F(dead, owners_fences_are_signalled)
{
	int fence[2], i;
	pid_t pid;

	self->w.shared->answer = self->sock[1];
	pid = death_fork(&self->w, live_and_wait);
	ASSERT_LT(0, pid);
	for (i = 0; i < 2; i++) {
		fence[i] = death_receive_fd(self->sock[0]);
		ASSERT_LE(0, fence[i]);
		EXPECT_EQ(0, status(fence[i]));
	}
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(-ECANCELED, status(fence[i]));
	EXPECT_OVER(&self->w, 2);
	for (i = 0; i < 2; i++) {
		EXPECT_TRUE(signalled(fence[i], 0));
		close(fence[i]);
	}
}

/* A fence that is somebody else's, and goes on. */
static void live_and_wait_for_others(struct death_watch *w)
{
	int sock = w->shared->answer, fence, fd = pd_open(&w->env);
	struct user u = { .fd = fd };
	__u64 last;

	CHILD(fd >= 0);
	fence = death_receive_fd(sock);
	CHILD(fence >= 0);
	fence = nop(&u, fence, &last);
	CHILD(fence >= 0);
	CHILD(!death_send_fds(sock, &fence, 1));
}

TEST_F(dead, owner_waits_for_nothing)
{
	struct death_watch *w = &self->w;
	const size_t len = 4 * death_len(w);
	int fence;
	__u64 last;
	pid_t pid;

	MUST(user_open(&w->env, &self->user, len));
	pd_fill(self->user.src.map, len, 5);
	self->slow = copy(&self->user, 1, len, NONE, &last);
	ASSERT_LE(0, self->slow);
	w->shared->answer = self->sock[1];
	MUST(death_send_fds(self->sock[0], &self->slow, 1));
	pid = death_fork(w, live_and_wait_for_others);
	ASSERT_LT(0, pid);
	fence = death_receive_fd(self->sock[0]);
	ASSERT_LE(0, fence);
	EXPECT_EQ(0, status(fence));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_GT(w->bound_ms, pd_ms_since(w->since_ns));
	EXPECT_EQ(-ECANCELED, status(fence));
	EXPECT_EQ(0, status(self->slow));
	EXPECT_EQ(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_TRUE(signalled(self->slow, LONG_MS));
	EXPECT_EQ(1, status(self->slow));
	EXPECT_EQ(-1, pd_wrong(self->user.dst.map, len, 5));
	close(fence);
}

/* The device goes, with one on it and one that waits for that. */
TEST_F_TIMEOUT(dead, devices_fences_are_signalled, 60)
{
	struct death_watch *w = &self->w;
	const size_t len = death_len(w);
	char link[128], driver[PATH_MAX], device[64];
	struct sync_fence_info one;
	int fence[2], i;
	__u64 last;

	snprintf(link, sizeof(link), "%s/device/driver", w->env.sysfs);
	ASSERT_NE(NULL, realpath(link, driver));
	snprintf(device, sizeof(device), "%s", w->env.info.out_device);
	MUST(user_open(&w->env, &self->user, len));
	fence[0] = copy(&self->user, 1, len, NONE, &last);
	ASSERT_LE(0, fence[0]);
	fence[1] = copy(&self->user, 1, len, fence[0], &last);
	ASSERT_LE(0, fence[1]);
	MUST(pd_write_in(driver, "unbind", device));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ENODEV, status(fence[i]));
		EXPECT_TRUE(signalled(fence[i], 0));
		MUST(info_of(fence[i], &one));
		EXPECT_EQ(-ENODEV, one.status);
	}
	user_close(&self->user);
	close(w->fd);
	w->fd = -1;
	MUST(pd_write_in(driver, "bind", device));
	for (i = 0; i < 2; i++)
		close(fence[i]);
	EXPECT_EQ(NULL, pd_env_find(&w->env));
	MUST(pd_env_init(&w->env));
}

/*
 * The device hangs. It is known after that long; and later by what a busy
 * machine stands still meanwhile.
 */
#define HANG_MS (3 * self->env.info.out_piece_ms + 3 * SOON_MS)

FIXTURE(lost)
{
	struct pd_env env;
	struct user a, b;
};

FIXTURE_SETUP(lost)
{
	/* Before anything is set that only the teardown would reset. */
	PD_SETUP(&self->env);
	PD_NEEDS_FENCES(&self->env);
	SIM_SETUP(&self->env);
	MUST(user_open(&self->env, &self->a, self->env.info.out_max_piece));
	MUST(user_open(&self->env, &self->b, self->env.info.out_max_piece));
}

FIXTURE_TEARDOWN(lost)
{
	EXPECT_EQ(0, sim_reset(&self->env, 0));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, LONG_MS));
	user_close(&self->a);
	user_close(&self->b);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, SOON_MS));
	SIM_TEARDOWN(&self->env);
}

/* I5: in bounded time, though its memory stays where it is. */
TEST_F(lost, jobs_fences_are_signalled)
{
	const size_t piece = self->env.info.out_max_piece;
	__u64 begin = pd_now_ns(), last;
	int fence, waits;

	MUST(sim_incurable(&self->env));
	MUST(sim_set(&self->env, 0, "hang", 2));
	fence = copy(&self->a, 1, piece, NONE, &last);
	ASSERT_LE(0, fence);
	waits = nop(&self->b, fence, &last);
	ASSERT_LE(0, waits);
	EXPECT_TRUE(signalled(fence, HANG_MS));
	EXPECT_EQ(-EIO, status(fence));
	EXPECT_TRUE(signalled(waits, SOON_MS));
	EXPECT_EQ(-EIO, status(waits));
	EXPECT_GT(HANG_MS + SOON_MS, pd_ms_since(begin));
	EXPECT_NE(0, pd_count(&self->env, PD_QUARANTINED));
	close(fence);
	close(waits);
}

/* What hangs takes nothing more, and that is not to be waited for. */
TEST_F(lost, channels_jobs_do_not_wait)
{
	const size_t piece = self->env.info.out_max_piece;
	struct pindrop_job_desc slow = pd_copy(&self->b.src, 0, &self->b.dst, 0,
					       piece);
	struct pindrop_job_desc slows[64];
	int other, hangs, waits;
	unsigned int i;
	__u64 last;

	ASSERT_LE(2, self->env.info.out_channels);
	for (i = 0; i < ARRAY_LEN(slows); i++)
		slows[i] = slow;
	MUST(sim_incurable(&self->env));
	MUST(sim_set(&self->env, 1, "delay_us",
		     self->env.info.out_piece_ms * 1000 / 3));
	MUST(sim_set(&self->env, 0, "hang", 2));
	other = submit_on(self->b.fd, 1, slows, ARRAY_LEN(slows), NONE, &last);
	ASSERT_LE(0, other);
	waits = NOP(&self->b, other, &last);
	ASSERT_LE(0, waits);
	hangs = copy(&self->a, 1, piece, NONE, &last);
	ASSERT_LE(0, hangs);
	EXPECT_TRUE(signalled(waits, HANG_MS));
	EXPECT_EQ(-EIO, status(waits));
	EXPECT_EQ(-EIO, status(hangs));
	EXPECT_EQ(0, status(other));
	user_close(&self->b);
	EXPECT_EQ(-ECANCELED, status(other));
	close(other);
	close(waits);
	close(hangs);
}

TEST_HARNESS_MAIN
