// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/* The file, the mappings and the address space end in different orders. */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "pindrop_utils.h"

#define BOUND_MS 2000
#define FILES 12
#define STACK (64 << 10)

FIXTURE(death)
{
	struct pd_env env;
	unsigned int *flag;
	int fd;
	struct pd_buf src, dst;
	__u64 last;
	size_t len;
};

FIXTURE_SETUP(death)
{
	PD_SETUP(&self->env);
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	self->len = 4 * self->env.info.out_max_piece;
}

FIXTURE_TEARDOWN(death)
{
	if (self->fd >= 0)
		close(self->fd);
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	PD_TEARDOWN(&self->env);
}

/* A copy of several pieces, the first of them on the device. */
static int start(int fd, size_t len, struct pd_buf *src, struct pd_buf *dst,
		 __u64 *last)
{
	struct pindrop_job_desc job;
	struct pindrop_submit sub;
	int err;

	err = pd_create(fd, len, src) ?: pd_create(fd, len, dst);
	if (err)
		return err;
	pd_fill(src->map, len, 3);
	job = pd_copy(src, 0, dst, 0, len);
	err = pd_submit(fd, &job, 1, &sub);
	*last = sub.out_last;
	return err;
}

#define START() start(self->fd, self->len, &self->src, &self->dst, &self->last)

/* I1: neither a handle nor a mapping is left, the device still writes. */
TEST_F(death, of_handles_and_mappings_is_not_of_memory)
{
	const long long bytes = 2 * self->len;

	MUST(START());
	MUST(pd_unmap(&self->src));
	MUST(pd_unmap(&self->dst));
	MUST(pd_free(self->fd, self->src.handle));
	MUST(pd_free(self->fd, self->dst.handle));
	EXPECT_EQ(bytes, pd_count(&self->env, PD_BYTES));
	EXPECT_EQ(1, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ(0, pd_wait(self->fd, self->last, PD_FOREVER, NULL));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, BOUND_MS));
}

TEST_F(death, by_close_is_over_when_close_returns)
{
	__u64 begin;

	MUST(START());
	/* A mapping holds the file like a descriptor does. */
	MUST(pd_unmap(&self->src));
	MUST(pd_unmap(&self->dst));
	pd_sleep_ms(20);
	begin = pd_now_ns();
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ(0, pd_count(&self->env, PD_CONTEXTS) -
			     self->env.before.v[PD_CONTEXTS]);
	EXPECT_EQ(0, pd_count(&self->env, PD_BYTES));
	EXPECT_GT(BOUND_MS, pd_ms_since(begin));
}

TEST_F(death, of_a_duplicate_is_no_death)
{
	int fd = dup(self->fd);

	MUST(START());
	close(fd);
	EXPECT_EQ(0, pd_wait(self->fd, self->last, PD_FOREVER, NULL));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->len, 3));
}

/* It inherits file and mappings, but it is not their owner. */
TEST_F(death, of_a_child_is_no_death_of_the_owner)
{
	struct pindrop_wait wait;
	pid_t pid;

	MUST(START());
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		for (;;)
			pause();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	MUST(pd_wait(self->fd, self->last, PD_FOREVER, &wait));
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->len, 3));
}

static int hold_and_die(void *arg)
{
	(void)arg;
	_exit(0);
}

/* The owner is the address space: one of its processes is not all of it. */
TEST_F(death, of_one_process_of_an_address_space_is_no_death)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pindrop_wait wait;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, stack);
	MUST(START());
	pid = clone(hold_and_die, stack + STACK, CLONE_VM | SIGCHLD, NULL);
	ASSERT_LE(0, pid);
	EXPECT_EQ(0, pd_join(pid));
	MUST(pd_wait(self->fd, self->last, PD_FOREVER, &wait));
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->len, 3));
	munmap(stack, STACK);
}

static int outlive(void *arg)
{
	unsigned int *flag = arg;

	pd_post(flag, 1);
	while (!pd_await(flag, 2))
		;
	_exit(0);
}

/* ... and goes on as long as one of them does. */
TEST_F(death, comes_with_the_last_process_of_an_address_space)
{
	struct pd_buf src, dst;
	struct pindrop_wait wait;
	char *stack;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHILD(stack != MAP_FAILED);
		CHILD(!start(self->fd, self->len, &src, &dst,
			     (__u64 *)(self->flag + 2)));
		CHILD(clone(outlive, stack + STACK, CLONE_VM | SIGCHLD,
			    self->flag) > 0);
		CHILD(pd_await(self->flag, 1));
		raise(SIGKILL);
	}
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	self->last = *(__u64 *)(self->flag + 2);
	MUST(pd_wait(self->fd, self->last, PD_FOREVER, &wait));
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ((long long)(2 * self->len), pd_count(&self->env, PD_BYTES));
	pd_post(self->flag, 2);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, BOUND_MS));
}

/* The mappings of a child outlive the owner; its jobs do not. */
TEST_F(death, leaves_the_mappings_of_a_child)
{
	struct pd_buf src, dst;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		__u64 last;

		CHILD(!start(self->fd, self->len, &src, &dst, &last));
		if (!fork()) {
			pd_post(self->flag, 1);
			CHILD(pd_await(self->flag, 2));
			pd_post(self->flag,
				pd_wrong(src.map, self->len, 3) == -1 ? 3 : 4);
			_exit(0);
		}
		CHILD(pd_await(self->flag, 1));
		raise(SIGKILL);
	}
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ((long long)(2 * self->len), pd_count(&self->env, PD_BYTES));
	pd_post(self->flag, 2);
	EXPECT_TRUE(pd_await(self->flag, 3));
	EXPECT_EQ(3, *self->flag);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, BOUND_MS));
}

/* The file is on its way in a socket: nobody has it, no release is called. */
TEST_F(death, with_the_file_in_flight)
{
	struct pd_buf src, dst;
	int pair[2];
	__u64 begin, last;
	pid_t pid;

	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = pd_open(&self->env);

		CHILD(fd >= 0);
		CHILD(!start(fd, self->len, &src, &dst, &last));
		CHILD(!death_send_fds(pair[0], &fd, 1));
		close(fd);
		raise(SIGKILL);
	}
	begin = pd_now_ns();
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ(0, pd_count(&self->env, PD_BYTES));
	EXPECT_EQ(self->env.before.v[PD_CONTEXTS] + 1,
		  pd_count(&self->env, PD_CONTEXTS));
	EXPECT_GT(BOUND_MS, pd_ms_since(begin));
	close(pair[0]);
	close(pair[1]);
}

/* P3: one deadline for all files of a process, not one for each. */
TEST_F(death, with_many_files_takes_no_longer)
{
	struct pd_buf src, dst;
	__u64 begin, last;
	pid_t pid;
	int i;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < FILES; i++)
			CHILD(!start(pd_open(&self->env), self->len, &src,
				     &dst, &last));
		pd_post(self->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(pd_await(self->flag, 1));
	begin = pd_now_ns();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_GT(BOUND_MS, pd_ms_since(begin));
	EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ(0, pd_count(&self->env, PD_BYTES));
}

/*
 * P3: whoever holds the last descriptors of somebody else's files, and dies.
 * Files end in the order of their numbers or the other way round: one of them
 * is that in which the device comes to their jobs.
 */
TEST_F(death, of_an_heir_of_many_files_does_not_wait)
{
	const long piece_ms = self->env.info.out_piece_ms;
	struct pd_buf src[FILES], dst[FILES];
	int fd[FILES], i, at, round;
	__u64 begin, last;
	pid_t pid;

	for (round = 1; round <= 2; round++) {
		for (i = 0; i < FILES; i++) {
			fd[i] = pd_open(&self->env);
			ASSERT_LE(0, fd[i]);
		}
		for (i = 0; i < FILES; i++) {
			at = round == 1 ? i : FILES - 1 - i;
			ASSERT_EQ(0, start(fd[at], self->len, &src[at],
					   &dst[at], &last));
			/* A mapping holds the file, too. */
			MUST(pd_unmap(&src[at]));
			MUST(pd_unmap(&dst[at]));
		}
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			pd_post(self->flag, round);
			for (;;)
				pause();
		}
		ASSERT_TRUE(pd_await(self->flag, round));
		for (i = 0; i < FILES; i++)
			close(fd[i]);
		begin = pd_now_ns();
		kill(pid, SIGKILL);
		EXPECT_EQ(-SIGKILL, pd_join(pid));
		EXPECT_GT(2 * piece_ms, pd_ms_since(begin));
		EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0,
					     BOUND_MS));
		EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
	}
}

/* P4: the other's copy runs through, and is right. */
TEST_F(death, costs_a_neighbour_nothing)
{
	struct pindrop_wait wait;
	struct pd_buf src, dst;
	__u64 last;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(!start(pd_open(&self->env), self->len, &src, &dst,
			     &last));
		pd_post(self->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(pd_await(self->flag, 1));
	MUST(START());
	pd_sleep_ms(30);
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	MUST(pd_wait(self->fd, self->last, PD_FOREVER, &wait));
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->len, 3));
}

TEST_HARNESS_MAIN
