// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a member of the group can take from others with jobs: processor time,
 * memory for jobs that are over, turns on a queue. P6 and P4.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "death_utils.h"

/*
 * With a wake-up a batch it is 0.1 and 1.9 s; with one a job, 1.4 and 5.6. A kernel
 * that debugs itself takes longer.
 */
#define SLOWER (death_kernel_is_slow() ? 10 : 1)
#define DEATH_MS (700L * SLOWER)
#define JOBS_MS (4000L * SLOWER)
/* What jobs wait behind, in pieces: long enough to queue as many as there can be. */
#define LONG (death_kernel_is_slow() ? 32 : 8)
#define ENTRIES 4000
#define CROWD 64

FIXTURE(jobs)
{
	struct pd_env env;
	int fd;
	struct pd_buf src, dst;
	struct pindrop_job_desc *nops;
	unsigned int max, queued;
	unsigned int *flag;
	const volatile struct pindrop_window *window;
	struct rlimit files;
};

FIXTURE_SETUP(jobs)
{
	struct rlimit more;

	PD_SETUP(&self->env);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &self->files));
	more = self->files;
	more.rlim_cur = more.rlim_max;
	if (more.rlim_cur < 2 * ENTRIES) {
		more.rlim_cur = 2 * ENTRIES;
		more.rlim_max = more.rlim_cur;
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &more));
	self->max = self->env.info.out_max_jobs;
	self->queued = self->env.info.out_max_queued;
	self->nops = calloc(self->max, sizeof(*self->nops));
	ASSERT_NE(NULL, self->nops);
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	self->window = pd_window(self->fd);
	ASSERT_NE(NULL, self->window);
	MUST(pd_create(self->fd, LONG * self->env.info.out_max_piece,
		       &self->src));
	MUST(pd_create(self->fd, LONG * self->env.info.out_max_piece,
		       &self->dst));
}

FIXTURE_TEARDOWN(jobs)
{
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	close(self->fd);
	free(self->nops);
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &self->files));
	PD_TEARDOWN(&self->env);
}

/* So many NOPs on a channel: how many were taken. */
static unsigned int queue_nops(int fd, unsigned int channel,
			       const struct pindrop_job_desc *nops,
			       unsigned int max, unsigned int count, int *err)
{
	unsigned int done = 0, n;

	*err = 0;
	while (done < count) {
		n = count - done < max ? count - done : max;
		*err = pd_submit_on(fd, channel, nops, n, NULL);
		/* The last few one by one: a SUBMIT is all or nothing. */
		if (*err == -EDQUOT && max > 1) {
			max = 1;
			continue;
		}
		if (*err)
			break;
		done += n;
	}
	return done;
}

/* Whoever waits costs a wake-up, once a batch of jobs: not once a job. */
TEST_F_TIMEOUT(jobs, epoll_entries_do_not_lengthen_a_death, 120)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	pid_t pid = fork();
	__u64 begin;

	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = pd_open(&self->env), ep = epoll_create1(EPOLL_CLOEXEC);
		struct pd_buf src, dst;
		int i, err;

		CHILD(!pd_create(fd, self->src.len, &src));
		CHILD(!pd_create(fd, self->src.len, &dst));
		for (i = 0; i < ENTRIES; i++)
			CHILD(!epoll_ctl(ep, EPOLL_CTL_ADD, dup(fd), &event));
		CHILD(pd_start(fd, &src, &dst, src.len) == 1);
		CHILD(queue_nops(fd, 0, self->nops, self->max, self->queued - 1,
				 &err) == self->queued - 1);
		pd_post(self->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(pd_await(self->flag, 1));
	begin = pd_now_ns();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_GT(DEATH_MS, pd_ms_since(begin));
	EXPECT_EQ(0, pd_grown(&self->env, PD_INFLIGHT));
}

/* The same while they are done, one batch after the other. */
TEST_F_TIMEOUT(jobs, epoll_entries_do_not_slow_jobs_down, 120)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(EPOLL_CLOEXEC), fds[ENTRIES], i, err;
	__u64 begin;

	for (i = 0; i < ENTRIES; i++) {
		fds[i] = dup(self->fd);
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &event));
	}
	ASSERT_EQ(1, pd_start(self->fd, &self->src, &self->dst, self->src.len));
	ASSERT_EQ(self->queued - 1,
		  queue_nops(self->fd, 0, self->nops, self->max,
			     self->queued - 1, &err));
	begin = pd_now_ns();
	EXPECT_EQ(0, pd_wait(self->fd, self->queued, PD_FOREVER, NULL));
	EXPECT_GT(JOBS_MS, pd_ms_since(begin));
	for (i = 0; i < ENTRIES; i++)
		close(fds[i]);
	close(ep);
}

/* What is over behind an older job takes room until that is over, too. */
TEST_F(jobs, over_behind_a_slow_one_count_for_the_limit)
{
	const unsigned int channels = self->env.info.out_channels;
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	struct pindrop_wait wait;
	int err;

	if (channels < 2)
		SKIP(return, "the device has one channel");
	ASSERT_EQ(1, pd_start(self->fd, &self->src, &self->dst, self->src.len));
	EXPECT_EQ(self->queued - 1,
		  queue_nops(self->fd, 1, self->nops, self->max,
			     2 * self->queued, &err));
	EXPECT_EQ(-EDQUOT, err);
	FAILS(ETIME, pd_wait(self->fd, self->queued, 0, &wait));
	EXPECT_EQ(0, wait.out_ticket);
	/* Then all of them have passed, which poll() says, and as many have room. */
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(1, poll(&p, 1, JOBS_MS));
	MUST(pd_wait(self->fd, self->queued, PD_FOREVER, &wait));
	EXPECT_EQ(self->queued, wait.out_ticket);
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(self->queued, queue_nops(self->fd, 1, self->nops, self->max,
					   self->queued, &err));
}

/* Reached, passed, freed and reached again, with one file kept open. */
TEST_F_TIMEOUT(jobs, over_a_contexts_limit_are_refused, 120)
{
	unsigned int round, i;
	int err;

	for (round = 0; round < 3; round++) {
		ASSERT_NE(0, pd_start(self->fd, &self->src, &self->dst,
				      self->src.len));
		/* Some may be over by now, if the first one is. */
		for (i = 0; i < 4; i++)
			if (queue_nops(self->fd, 0, self->nops, self->max,
				       self->queued, &err) < self->queued)
				break;
		EXPECT_GT(4, i);
		EXPECT_EQ(-EDQUOT, err);
		EXPECT_EQ(0, pd_wait(self->fd, self->window->submitted,
				     PD_FOREVER, NULL));
	}
}

/* So many contexts of a member, all at work. */
static void crowd(const struct pd_env *env, unsigned int *flag)
{
	const size_t len = 2 * env->info.out_max_piece;
	unsigned int i;

	for (i = 0; i < CROWD; i++) {
		int fd = pd_open(env);
		struct pd_buf src, dst;

		CHILD(!pd_create(fd, len, &src));
		CHILD(!pd_create(fd, len, &dst));
		CHILD(pd_start(fd, &src, &dst, len) == 1);
		CHILD(pd_start(fd, &src, &dst, len) == 2);
	}
	pd_post(flag, 1);
	for (;;)
		pause();
}

/* The device goes from user to user, and only then from context to context. */
TEST_F(jobs, other_users_wait_one_turn_beside_many_contexts)
{
	const size_t piece = self->env.info.out_max_piece;
	long alone, beside;
	__u64 begin;
	mode_t mode;
	pid_t pid;

	begin = pd_now_ns();
	ASSERT_EQ(1, pd_start(self->fd, &self->src, &self->dst, piece));
	EXPECT_EQ(0, pd_result(self->fd, 1));
	alone = pd_ms_since(begin);
	MUST(pd_open_to_members(&self->env, &mode));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(!setresuid(PD_MEMBER, PD_MEMBER, PD_MEMBER));
		crowd(&self->env, self->flag);
	}
	ASSERT_TRUE(pd_await(self->flag, 1));
	begin = pd_now_ns();
	ASSERT_EQ(2, pd_start(self->fd, &self->src, &self->dst, piece));
	EXPECT_EQ(0, pd_result(self->fd, 2));
	beside = pd_ms_since(begin);
	/* All of the crowd's would be CROWD times as long, and more. */
	EXPECT_GT((2 + self->env.info.out_depth) * (alone + 10) + 200, beside)
	TH_LOG("alone %ld ms, beside %d contexts %ld ms", alone, CROWD, beside);
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_EQ(0, chmod(self->env.path, mode));
}

TEST_HARNESS_MAIN
