// SPDX-License-Identifier: GPL-2.0-only
/* WAIT and poll(): when jobs are over, and for whom. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

/* Failures that WAIT can still tell; see the header. */

FIXTURE(wait)
{
	struct pd_env env;
	int fd;
	struct pd_buf src, dst;
	size_t piece;
	long piece_ms;
};

FIXTURE_SETUP(wait)
{
	PD_SETUP(&self->env);
	self->piece = self->env.info.out_max_piece;
	self->piece_ms = self->env.info.out_piece_ms;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, 8 * self->piece, &self->src));
	MUST(pd_create(self->fd, 8 * self->piece, &self->dst));
	pd_fill(self->src.map, self->src.len, 1);
}

FIXTURE_TEARDOWN(wait)
{
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define START(pieces) \
	pd_start(self->fd, &self->src, &self->dst, (pieces) * self->piece)

/* With out_ fields and state, though it is too early. */
TEST_F(wait, that_is_too_short)
{
	struct pindrop_job_desc nop = pd_nop(0);
	struct pindrop_wait wait;

	EXPECT_EQ(0, pd_run(self->fd, &nop, 1));
	ASSERT_EQ(2, START(2));
	FAILS(ETIME, pd_wait(self->fd, 2, 0, &wait));
	EXPECT_EQ(1, wait.out_ticket);
	EXPECT_EQ(PINDROP_STATE_OPEN, wait.out_state);
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(0, wait.out_failed);
	FAILS(ETIME, pd_wait(self->fd, 2, 20, &wait));
	MUST(pd_wait(self->fd, 2, PD_FOREVER, &wait));
	EXPECT_EQ(2, wait.out_ticket);
}

/* timeout_ns is a point in time: what is past does not wait. */
TEST_F(wait, until_a_point_in_time)
{
	struct pindrop_wait args = { .size = sizeof(args), .ticket = 1 };
	__u64 begin = pd_now_ns();

	ASSERT_EQ(1, START(8));
	args.timeout_ns = begin - 1000000000;
	FAILS(ETIME, pd_ioctl(self->fd, PINDROP_VERB_WAIT, &args));
	EXPECT_GT(100, pd_ms_since(begin));
	args = (struct pindrop_wait) { .size = sizeof(args), .ticket = 1 };
	args.timeout_ns = begin + 150000000;
	FAILS(ETIME, pd_ioctl(self->fd, PINDROP_VERB_WAIT, &args));
	EXPECT_LE(150, pd_ms_since(begin));
	EXPECT_GT(600, pd_ms_since(begin));
}

TEST_F(wait, for_ever_ends_with_the_job)
{
	static const __u64 ever[] = { ~0ULL, 1ULL << 63, (1ULL << 63) - 1 };
	struct pindrop_wait args;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(ever); i++) {
		args = (struct pindrop_wait) {
			.size = sizeof(args),
			.ticket = START(1),
			.timeout_ns = ever[i],
		};
		MUST(pd_ioctl(self->fd, PINDROP_VERB_WAIT, &args));
		EXPECT_EQ(i + 1, args.out_ticket);
	}
}

TEST_F(wait, for_nothing)
{
	struct pindrop_wait wait;

	MUST(pd_wait(self->fd, 0, 0, &wait));
	EXPECT_EQ(0, wait.out_ticket);
	EXPECT_EQ(PINDROP_STATE_OPEN, wait.out_state);
}

TEST_F(wait, for_what_was_not_given_out)
{
	FAILS(EINVAL, pd_wait(self->fd, 1, 0, NULL));
	FAILS(EINVAL, pd_wait(self->fd, ~0ULL, 0, NULL));
	ASSERT_EQ(1, START(1));
	FAILS(EINVAL, pd_wait(self->fd, 2, 0, NULL));
	EXPECT_EQ(0, pd_wait(self->fd, 1, PD_FOREVER, NULL));
}

TEST_F(wait, from_behind_to_in_front)
{
	ASSERT_EQ(1, START(1));
	FAILS(EINVAL, pd_wait_range(self->fd, 2, 1, PD_FOREVER, NULL));
	EXPECT_EQ(0, pd_wait_range(self->fd, 1, 1, PD_FOREVER, NULL));
}

/* The data is there when WAIT says so. */
TEST_F(wait, brings_the_data)
{
	ASSERT_EQ(1, START(2));
	EXPECT_EQ(0, pd_wait(self->fd, 1, PD_FOREVER, NULL));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 2 * self->piece, 1));
	EXPECT_EQ(-1, pd_nonzero(self->dst.map + 2 * self->piece,
				 6 * self->piece));
}

static void on_signal(int sig)
{
	(void)sig;
}

static void signal_after(long ms, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	struct itimerval timer = { .it_value.tv_usec = ms * 1000 };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* With something to tell already, which is not for the structure yet. */
TEST_F(wait, goes_on_after_a_signal)
{
	struct pindrop_job_desc nop = pd_nop(0);
	struct pindrop_wait wait;

	EXPECT_EQ(0, pd_run(self->fd, &nop, 1));
	ASSERT_EQ(2, START(2));
	signal_after(30, SA_RESTART);
	MUST(pd_wait(self->fd, 2, PD_FOREVER, &wait));
	EXPECT_EQ(2, wait.out_ticket);
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 2 * self->piece, 1));
}

TEST_F(wait, can_be_interrupted)
{
	struct pindrop_wait args = { .size = sizeof(args), .ticket = 2,
				     .timeout_ns = ~0ULL };
	struct pindrop_job_desc nop = pd_nop(0);

	EXPECT_EQ(0, pd_run(self->fd, &nop, 1));
	ASSERT_EQ(2, START(8));
	signal_after(30, 0);
	FAILS(EINTR, pd_ioctl(self->fd, PINDROP_VERB_WAIT, &args));
	/* The same arguments are right. */
	MUST(pd_ioctl(self->fd, PINDROP_VERB_WAIT, &args));
	EXPECT_EQ(2, args.out_ticket);
}

/* What WAIT has told of is not in the way of what comes next. */
TEST_F(wait, makes_room_in_the_queue)
{
	const unsigned int n = self->env.info.out_max_jobs;
	const unsigned int rounds = self->env.info.out_max_queued / n;
	struct pindrop_job_desc *nops = calloc(n, sizeof(*nops));
	struct pindrop_submit sub;
	unsigned int i;

	ASSERT_NE(NULL, nops);
	for (i = 0; i < 8 * rounds; i++) {
		MUST(pd_submit(self->fd, nops, n, &sub));
		if (i % rounds == rounds - 1)
			MUST(pd_wait(self->fd, sub.out_last, PD_FOREVER, NULL));
	}
	EXPECT_EQ(0, pd_grown(&self->env, PD_INFLIGHT));
	free(nops);
}

static void *waiter(void *arg)
{
	int *fd = arg;

	return (void *)(long)pd_wait(*fd, 1, PD_FOREVER, NULL);
}

TEST_F(wait, of_several_threads)
{
	pthread_t thread[4];
	unsigned int i;
	void *err;

	ASSERT_EQ(1, START(2));
	for (i = 0; i < ARRAY_LEN(thread); i++) {
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, waiter,
					    &self->fd));
	}
	for (i = 0; i < ARRAY_LEN(thread); i++) {
		EXPECT_EQ(0, pthread_join(thread[i], &err));
		EXPECT_EQ(NULL, err);
	}
}

/* Whoever holds the file may wait, and binds nothing by it. */
TEST_F(wait, of_another_process)
{
	pid_t pid;

	ASSERT_EQ(1, START(2));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pindrop_wait wait;

		CHILD(!pd_wait(self->fd, 1, PD_FOREVER, &wait));
		CHILD(wait.out_ticket == 1 && !wait.out_result);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(0, pd_wait(self->fd, 1, 0, NULL));
}

/* A file whose owner died with @count jobs, the first of them on the device. */
static int dead_with(const struct pd_env *env, unsigned int count)
{
	struct pindrop_job_desc *nops = calloc(count, sizeof(*nops));
	int fd = pd_open(env);
	pid_t pid = fork();

	if (!pid) {
		const unsigned int max = env->info.out_max_jobs;
		struct pd_buf src, dst;
		unsigned int n;

		CHILD(!pd_create(fd, 8 * env->info.out_max_piece, &src));
		CHILD(!pd_create(fd, 8 * env->info.out_max_piece, &dst));
		CHILD(pd_start(fd, &src, &dst, src.len) == 1);
		for (count--; count; count -= n) {
			n = count < max ? count : max;
			CHILD(!pd_submit(fd, nops, n, NULL));
		}
		raise(SIGKILL);
	}
	free(nops);
	return pd_join(pid) == -SIGKILL ? fd : -1;
}

/* Each of them is told, and where the first one was. */
TEST_F(wait, for_what_was_cancelled)
{
	int fd = dead_with(&self->env, 3);
	struct pindrop_wait wait;
	__u64 i;

	ASSERT_LE(0, fd);
	for (i = 1; i <= 3; i++) {
		MUST(pd_wait(fd, i, 0, &wait));
		EXPECT_EQ(-ECANCELED, wait.out_result);
		EXPECT_EQ(i, wait.out_failed);
		EXPECT_EQ(3, wait.out_ticket);
		EXPECT_EQ(PINDROP_STATE_DRAINED, wait.out_state);
	}
	MUST(pd_wait_range(fd, 2, 3, 0, &wait));
	EXPECT_EQ(2, wait.out_failed);
	FAILS(EINVAL, pd_wait(fd, 4, 0, NULL));
	EXPECT_EQ(3, pd_grown(&self->env, PD_JOBS_CANCELLED));
	close(fd);
}

/* As many as there can be at a time. */
TEST_F(wait, result_of_each_of_4096_cancelled_jobs_is_kept)
{
	const unsigned int count = self->env.info.out_max_queued;
	int fd = dead_with(&self->env, count);
	struct pindrop_wait wait;
	__u64 i;

	ASSERT_LE(0, fd);
	for (i = 1; i <= count; i++) {
		MUST(pd_wait(fd, i, 0, &wait));
		ASSERT_EQ(-ECANCELED, wait.out_result);
		ASSERT_EQ(i, wait.out_failed);
	}
	MUST(pd_wait_range(fd, 1, count, 0, &wait));
	EXPECT_EQ(-ECANCELED, wait.out_result);
	EXPECT_EQ(1, wait.out_failed);
	close(fd);
}

static short events(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

TEST_F(wait, poll_tells_once_of_each_end)
{
	struct pindrop_job_desc nop = pd_nop(0);

	EXPECT_EQ(0, events(self->fd, 0));
	MUST(pd_submit(self->fd, &nop, 1, NULL));
	EXPECT_EQ(POLLIN, events(self->fd, 1000));
	/* It stays until somebody has asked. */
	EXPECT_EQ(POLLIN, events(self->fd, 0));
	EXPECT_EQ(0, pd_wait(self->fd, 1, 0, NULL));
	EXPECT_EQ(0, events(self->fd, 0));
	MUST(pd_submit(self->fd, &nop, 1, NULL));
	EXPECT_EQ(POLLIN, events(self->fd, 1000));
	EXPECT_EQ(0, pd_wait(self->fd, 1, 0, NULL));
	EXPECT_EQ(POLLIN, events(self->fd, 0));
	EXPECT_EQ(0, pd_wait(self->fd, 2, 0, NULL));
	EXPECT_EQ(0, events(self->fd, 0));
}

TEST_F(wait, poll_sleeps_until_the_end)
{
	__u64 begin = pd_now_ns();

	ASSERT_EQ(1, START(2));
	EXPECT_EQ(0, events(self->fd, 0));
	EXPECT_EQ(POLLIN, events(self->fd, 30 * self->piece_ms));
	EXPECT_GT(4 * self->piece_ms, pd_ms_since(begin));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 2 * self->piece, 1));
}

TEST_F(wait, epoll_by_edges)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET }, got;
	struct pindrop_job_desc nop = pd_nop(0);
	int ep = epoll_create1(EPOLL_CLOEXEC);

	ASSERT_LE(0, ep);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->fd, &e));
	EXPECT_EQ(0, epoll_wait(ep, &got, 1, 0));
	MUST(pd_submit(self->fd, &nop, 1, NULL));
	EXPECT_EQ(1, epoll_wait(ep, &got, 1, 1000));
	EXPECT_EQ(EPOLLIN, got.events);
	close(ep);
}

/* Asleep in poll() when the owner dies. */
TEST_F(wait, poll_wakes_at_the_owners_death)
{
	int fd = pd_open(&self->env);
	struct pollfd p = { .fd = fd, .events = 0 };
	unsigned int *flag = pd_shared_page();
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, flag);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pd_buf buf;

		CHILD(!pd_alloc(fd, self->env.page, 0, &buf));
		CHILD(pd_await(flag, 1));
		pd_sleep_ms(50);
		raise(SIGKILL);
	}
	pd_post(flag, 1);
	EXPECT_EQ(1, poll(&p, 1, 10000));
	EXPECT_EQ(POLLERR | POLLHUP, p.revents);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	close(fd);
}

TEST_HARNESS_MAIN
