// SPDX-License-Identifier: GPL-2.0-only
/* Mappings in more than one process, whoever dies first. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define PAGES 80 /* more than one fault's batch */
#define RW (PROT_READ | PROT_WRITE)

/* What the processes of a test tell each other. */
struct talk {
	unsigned int said;
	unsigned int answered;
	pid_t pid;
	struct pd_buf buf;
};

/* @buf is mapped, with pattern 1 in it. */
FIXTURE(shared)
{
	struct pd_env env;
	int fd;
	size_t len;
	struct pd_buf buf;
	struct talk *talk;
};

FIXTURE_VARIANT(shared)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(shared, plain)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(shared, coherent)
{
	.flags = PINDROP_ALLOC_COHERENT,
};

FIXTURE_SETUP(shared)
{
	PD_SETUP(&self->env);
	self->len = PAGES * self->env.page;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_alloc(self->fd, self->len, variant->flags, &self->buf));
	MUST(pd_map(self->fd, &self->buf));
	pd_fill(self->buf.map, self->len, 1);
	self->talk = pd_shared_page();
	ASSERT_NE(NULL, self->talk);
	/* Grandchildren are to be waited for, too. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(shared)
{
	pd_unmap(&self->buf);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define HELD() pd_grown(&self->env, PD_BUFFERS)
#define BYTES() pd_grown(&self->env, PD_BYTES)

TEST_F(shared, child_reads_and_writes)
{
	pid_t pid = fork();

	if (!pid) {
		CHILD(pd_wrong(self->buf.map, self->len, 1) == -1);
		pd_fill(self->buf.map, self->len, 2);
		CHILD(pd_wrong(self->buf.map, self->len, 2) == -1);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 2));
}

/* Also where neither of them has touched it before. */
TEST_F(shared, child_touches_first)
{
	struct pd_buf fresh;
	pid_t pid;

	MUST(pd_alloc(self->fd, self->len, variant->flags, &fresh));
	MUST(pd_map(self->fd, &fresh));
	pid = fork();
	if (!pid) {
		CHILD(pd_nonzero(fresh.map, self->len) == -1);
		pd_fill(fresh.map, self->len, 3);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(-1, pd_wrong(fresh.map, self->len, 3));
	MUST(pd_unmap(&fresh));
}

TEST_F(shared, parent_writes_show_in_the_child)
{
	struct talk *talk = self->talk;
	pid_t pid = fork();

	if (!pid) {
		CHILD(pd_wrong(self->buf.map, self->len, 1) == -1);
		pd_post(&talk->said, 1);
		CHILD(pd_await(&talk->answered, 1));
		CHILD(pd_wrong(self->buf.map, self->len, 2) == -1);
		_exit(0);
	}
	EXPECT_TRUE(pd_await(&talk->said, 1));
	pd_fill(self->buf.map, self->len, 2);
	pd_post(&talk->answered, 1);
	EXPECT_EQ(0, pd_join(pid));
}

TEST_F(shared, killed_child_leaves_the_parent_alone)
{
	struct talk *talk = self->talk;
	pid_t pid = fork();

	if (!pid) {
		pd_fill(self->buf.map, self->len, 2);
		pd_post(&talk->said, 1);
		pause();
		_exit(0);
	}
	EXPECT_TRUE(pd_await(&talk->said, 1));
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 2));
	/* The context is the parent's, and as good as before. */
	MUST(pd_free(self->fd, self->buf.handle));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 2));
	MUST(pd_unmap(&self->buf));
	EXPECT_EQ(0, HELD());
	EXPECT_EQ(0, BYTES());
}

TEST_F(shared, childs_munmap_leaves_the_parent_alone)
{
	pid_t pid = fork();

	if (!pid) {
		const size_t page = self->env.page;

		CHILD(!munmap(self->buf.map + 5 * page, 7 * page));
		CHILD(!munmap(self->buf.map, self->len));
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
	MUST(pd_free(self->fd, self->buf.handle));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
}

TEST_F(shared, parents_munmap_leaves_the_child_alone)
{
	struct talk *talk = self->talk;
	pid_t pid = fork();

	if (!pid) {
		CHILD(pd_await(&talk->answered, 1));
		CHILD(pd_wrong(self->buf.map, self->len, 1) == -1);
		CHILD(HELD() == 1);
		_exit(0);
	}
	MUST(pd_free(self->fd, self->buf.handle));
	MUST(pd_unmap(&self->buf));
	EXPECT_EQ(1, HELD());
	pd_post(&talk->answered, 1);
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(0, HELD());
	EXPECT_EQ(0, BYTES());
}

/* Holds nothing but a mapping; looks at it when it is told to. */
static void heir(struct talk *talk, size_t len, int fd)
{
	unsigned char *map = talk->buf.map;

	close(fd);
	pd_post(&talk->said, 1);
	CHILD(pd_await(&talk->answered, 1));
	CHILD(pd_wrong(map, len, 4) == -1);
	pd_fill(map, len, 5);
	CHILD(pd_wrong(map, len, 5) == -1);
	pd_post(&talk->said, 2);
	CHILD(pd_await(&talk->answered, 2));
	CHILD(pd_wrong(map, len, 5) == -1);
	_exit(0);
}

/* Maps a buffer, leaves it to a child, and waits for the end. */
static void owner(struct talk *talk, size_t len, __u32 flags, int fd)
{
	CHILD(!pd_alloc(fd, len, flags, &talk->buf));
	CHILD(!pd_map(fd, &talk->buf));
	pd_fill(talk->buf.map, len, 4);
	talk->pid = fork();
	CHILD(talk->pid >= 0);
	if (!talk->pid)
		heir(talk, len, fd);
	CHILD(pd_await(&talk->said, 1));
}

TEST_F(shared, heir_keeps_what_a_dead_owner_mapped)
{
	struct talk *talk = self->talk;
	pid_t pid = fork();

	if (!pid) {
		int fd = pd_open(&self->env);

		CHILD(!munmap(self->buf.map, self->len));
		close(self->fd);
		owner(talk, self->len, variant->flags, fd);
		_exit(0);
	}
	ASSERT_EQ(0, pd_join(pid));
	/* Its own and the dead owner's. */
	EXPECT_EQ(2, HELD());
	EXPECT_EQ(2 * self->len, BYTES());
	pd_post(&talk->answered, 1);
	EXPECT_TRUE(pd_await(&talk->said, 2));
	EXPECT_EQ(2, HELD());
	pd_post(&talk->answered, 2);
	EXPECT_EQ(0, pd_join(talk->pid));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(self->len, BYTES());
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
}

TEST_F(shared, heir_keeps_what_a_killed_owner_mapped)
{
	struct talk *talk = self->talk;
	pid_t pid = fork();

	if (!pid) {
		int fd = pd_open(&self->env);

		owner(talk, self->len, variant->flags, fd);
		pause();
		_exit(0);
	}
	EXPECT_TRUE(pd_await(&talk->said, 1));
	kill(pid, SIGKILL);
	ASSERT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_EQ(2, HELD());
	pd_post(&talk->answered, 1);
	pd_post(&talk->answered, 2);
	EXPECT_EQ(0, pd_join(talk->pid));
	EXPECT_EQ(1, HELD());
}

/* exec ends the address space as death does, in a process that lives on. */
TEST_F(shared, heir_keeps_what_an_owner_mapped_before_exec)
{
	struct talk *talk = self->talk;
	int pipe_fds[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(pipe_fds));
	pid = fork();
	if (!pid) {
		int fd = pd_open(&self->env);

		owner(talk, self->len, variant->flags, fd);
		dup2(pipe_fds[0], 0);
		close(pipe_fds[1]);
		execl("/bin/cat", "cat", NULL);
		CHILD(false);
	}
	close(pipe_fds[0]);
	EXPECT_TRUE(pd_await(&talk->said, 1));
	pd_post(&talk->answered, 1);
	EXPECT_TRUE(pd_await(&talk->said, 2));
	EXPECT_EQ(2, HELD());
	/* The heir has the other end of the pipe as well. */
	pd_post(&talk->answered, 2);
	close(pipe_fds[1]);
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(1, HELD());
}

TEST_F(shared, owner_death_does_not_end_others)
{
	int fd = pd_open(&self->env), err;
	struct talk *talk = self->talk;
	pid_t pid;

	ASSERT_LE(0, fd);
	pid = fork();
	if (!pid) {
		owner(talk, self->len, variant->flags, fd);
		_exit(0);
	}
	ASSERT_EQ(0, pd_join(pid));
	/* Dead is the context of that process; this one's is not. */
	FAILS(EOWNERDEAD, pd_free(fd, talk->buf.handle));
	EXPECT_EQ(NULL, pd_mmap(fd, talk->buf.offset, self->len, RW, &err));
	EXPECT_EQ(-EOWNERDEAD, err);
	MUST(pd_unmap(&self->buf));
	MUST(pd_map(self->fd, &self->buf));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
	pd_post(&talk->answered, 2);
	EXPECT_EQ(0, pd_join(talk->pid));
	EXPECT_EQ(1, HELD());
	close(fd);
}

/* Many that come and go at the same time: the count of areas is right. */
TEST_F(shared, many_children)
{
	pid_t pids[16];
	int i, n;

	for (n = 0; n < 3; n++) {
		for (i = 0; i < (int)ARRAY_LEN(pids); i++) {
			pids[i] = fork();
			if (!pids[i]) {
				CHILD(pd_wrong(self->buf.map, self->len, 1) ==
				      -1);
				if (i % 2)
					munmap(self->buf.map +
					       i * self->env.page,
					       self->env.page);
				_exit(0);
			}
		}
		for (i = 0; i < (int)ARRAY_LEN(pids); i++)
			EXPECT_EQ(0, pd_join(pids[i]));
		EXPECT_EQ(1, HELD());
	}
	MUST(pd_free(self->fd, self->buf.handle));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
	MUST(pd_unmap(&self->buf));
	EXPECT_EQ(0, HELD());
}

/* In the same address space, thus the owner. Must not return. */
static void vfork_child(FIXTURE_DATA(shared) *self)
{
	self->buf.map[0] ^= 0xff;
	_exit(0);
}

TEST_F(shared, vfork_child_is_the_owner)
{
	unsigned char was = self->buf.map[0];
	pid_t pid = vfork();

	if (!pid)
		vfork_child(self);
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(was ^ 0xff, self->buf.map[0]);
	/* Its end is no death of the address space. */
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(0, pd_free(self->fd, self->buf.handle));
}

TEST_F(shared, vfork_and_exec_leave_the_parent_alone)
{
	pid_t pid = vfork();

	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
	EXPECT_EQ(0, pd_free(self->fd, self->buf.handle));
}

/* Returns 0, or where it failed. */
static long as_owner(void *arg)
{
	FIXTURE_DATA(shared) *self = arg;
	struct pd_buf fresh;
	void *again;

	again = pd_mmap(self->fd, self->buf.offset, self->len, RW, NULL);
	if (!again)
		return 1;
	if (pd_wrong(again, self->len, 1) != -1)
		return 2;
	if (munmap(again, self->len))
		return 3;
	if (pd_alloc(self->fd, self->len, 0, &fresh))
		return 4;
	if (pd_free(self->fd, fresh.handle))
		return 5;
	return 0;
}

static void *thread(void *arg)
{
	return (void *)as_owner(arg);
}

static int process(void *arg)
{
	return as_owner(arg);
}

TEST_F(shared, thread_is_the_owner)
{
	pthread_t t;
	void *result;

	ASSERT_EQ(0, pthread_create(&t, NULL, thread, self));
	ASSERT_EQ(0, pthread_join(t, &result));
	EXPECT_EQ(NULL, result);
	EXPECT_EQ(1, HELD());
}

/* Another process, the same address space. */
TEST_F(shared, clone_vm_process_is_the_owner)
{
	const size_t size = 256 << 10;
	char *stack = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, stack);
	pid = clone(process, stack + size, CLONE_VM | SIGCHLD, self);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
	EXPECT_EQ(0, pd_free(self->fd, self->buf.handle));
	munmap(stack, size);
}

/*
 * A debugger's way to memory pins pages: right for ordinary ones, refused
 * for coherent memory, which nobody may pin.
 */
TEST_F(shared, other_process_reads_and_writes_by_pid)
{
	bool coherent = variant->flags & PINDROP_ALLOC_COHERENT;
	const ssize_t want = coherent ? -1 : (ssize_t)self->len;
	struct iovec there = { self->buf.map, self->len }, here;
	struct talk *talk = self->talk;
	void *mem = malloc(self->len);
	pid_t pid;

	ASSERT_NE(NULL, mem);
	here = (struct iovec){ mem, self->len };
	pid = fork();
	if (!pid) {
		CHILD(pd_await(&talk->answered, 1));
		CHILD(pd_wrong(self->buf.map, self->len, coherent ? 1 : 6) ==
		      -1);
		_exit(0);
	}
	memset(mem, 0, self->len);
	errno = 0;
	EXPECT_EQ(want, process_vm_readv(pid, &here, 1, &there, 1, 0));
	EXPECT_EQ(coherent ? EFAULT : 0, errno);
	if (!coherent) {
		EXPECT_EQ(-1, pd_wrong(mem, self->len, 1));
	}
	pd_fill(mem, self->len, 6);
	errno = 0;
	EXPECT_EQ(want, process_vm_writev(pid, &here, 1, &there, 1, 0));
	EXPECT_EQ(coherent ? EFAULT : 0, errno);
	pd_post(&talk->answered, 1);
	EXPECT_EQ(0, pd_join(pid));
	free(mem);
}

TEST_HARNESS_MAIN
