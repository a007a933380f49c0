// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * The owner is an address space: exec ends it, the death of one of those who
 * share it does not, and what is no exec costs nothing.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"

#define THREADS 16
#define STACK (64UL << 10)
#define NO_PROGRAM "/tmp/pd_no_program"
#define PROGRAM_STATUS 9

FIXTURE(exec)
{
	struct death_watch w;
};

FIXTURE_SETUP(exec)
{
	DEATH_SETUP(&self->w);
}

FIXTURE_TEARDOWN(exec)
{
	DEATH_TEARDOWN(&self->w);
}

static void set_number(const char *name, unsigned long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", value);
	CHILD(!setenv(name, text, 1));
}

/* Becomes program(), below, in the middle of a piece. */
static void become(struct death_watch *w, int fd, bool keep)
{
	char *self[] = { "/proc/self/exe", NULL };
	struct pd_buf src, dst;

	CHILD(keep ? !fcntl(fd, F_SETFD, 0) : 1);
	death_start(w, fd, &src, &dst);
	set_number("PD_NEXT_FD", fd);
	set_number("PD_NEXT_LAST", w->shared->last);
	set_number("PD_NEXT_OFFSET", src.offset);
	set_number("PD_NEXT_KEPT", keep);
	pd_sleep_ms(w->into_ms);
	execv(self[0], self);
	CHILD(!"exec");
}

/* The file goes on without an owner. */
TEST_F(exec, with_the_file_kept)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		become(&self->w, self->w.fd, true);
	EXPECT_EQ(PROGRAM_STATUS, pd_join(pid));
	EXPECT_OVER(&self->w, 1);
}

/* Nobody else has the file: it is closed before the address space ends. */
TEST_F(exec, with_the_file_closed)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		become(&self->w, pd_open(&self->w.env), false);
	EXPECT_EQ(PROGRAM_STATUS, pd_join(pid));
	EXPECT_EQ(1, pd_grown(&self->w.env, PD_CONTEXTS));
	EXPECT_OVER(&self->w, 1);
}

/* What takes the owner's place finds nothing of its left. */
static void program(int fd, bool kept)
{
	struct pindrop_job_desc nop = pd_nop(0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct pindrop_wait wait;
	struct pd_env env;
	struct pd_buf buf;
	int error;

	CHILD(!pd_env_find(&env));
	CHILD(!pd_env_init(&env));
	CHILD(!env.before.v[PD_INFLIGHT]);
	CHILD(!env.before.v[PD_BUFFERS]);
	CHILD(!env.before.v[PD_BYTES]);
	CHILD(!env.before.v[PD_QUARANTINED]);
	if (!kept) {
		CHILD(fcntl(fd, F_GETFD) < 0);
		return;
	}
	CHILD(pd_alloc(fd, env.page, 0, &buf) == -EOWNERDEAD);
	CHILD(pd_submit(fd, &nop, 1, NULL) == -EOWNERDEAD);
	CHILD(!pd_mmap(fd, strtoull(getenv("PD_NEXT_OFFSET"), NULL, 10),
		       env.page, PROT_READ, &error));
	CHILD(error == -EOWNERDEAD);
	CHILD(!pd_wait(fd, strtoull(getenv("PD_NEXT_LAST"), NULL, 10), 0,
		       &wait));
	CHILD(wait.out_result == -ECANCELED);
	CHILD(poll(&p, 1, 0) == 1);
	CHILD((p.revents & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP));
}

__attribute__((constructor)) static void next(void)
{
	const char *fd = getenv("PD_NEXT_FD");

	if (!fd)
		return;
	if (atoi(fd) >= 0)
		program(atoi(fd), atoi(getenv("PD_NEXT_KEPT")));
	_exit(PROGRAM_STATUS);
}

/* Nothing dies of a program that is not there, or is none. */
TEST_F(exec, that_fails)
{
	char *argv[] = { NO_PROGRAM, NULL };
	struct death_watch *w = &self->w;
	pid_t pid;

	w->pieces = 2;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pindrop_wait wait;
		struct pd_buf src, dst;
		int fd = open(NO_PROGRAM, O_CREAT | O_WRONLY, 0700);

		CHILD(fd >= 0);
		CHILD(write(fd, "nothing\n", 8) == 8);
		CHILD(!close(fd));
		death_start(w, w->fd, &src, &dst);
		CHILD(execv(argv[0], argv) < 0 && errno == ENOEXEC);
		CHILD(execv("/dev/null", argv) < 0 && errno == EACCES);
		CHILD(!unlink(NO_PROGRAM));
		CHILD(execv(argv[0], argv) < 0 && errno == ENOENT);
		CHILD(!pd_wait(w->fd, w->shared->last, 10000, &wait));
		CHILD(!wait.out_result);
		CHILD(!memcmp(src.map, dst.map, src.len));
		death_start(w, w->fd, &src, &dst);
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(w));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 2);
}

static void *submitter(void *arg)
{
	struct death_watch *w = arg;
	struct pd_buf src, dst;

	CHILD(!pd_create(w->fd, death_len(w), &src));
	CHILD(!pd_create(w->fd, death_len(w), &dst));
	memset(src.map, 0xee, src.len);
	for (;;) {
		CHILD(pd_start(w->fd, &src, &dst, src.len));
		__atomic_fetch_add(&w->shared->flag, 1, __ATOMIC_RELEASE);
		CHILD(!pd_wait(w->fd, pd_start(w->fd, &src, &dst, src.len),
			       PD_FOREVER, NULL));
	}
	return NULL;
}

/* The others are in the middle of submitting and waiting. */
TEST_F(exec, is_none_when_one_of_16_threads_leaves)
{
	struct death_watch *w = &self->w;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		pthread_t thread;
		int i;

		for (i = 1; i < THREADS; i++)
			CHILD(!pthread_create(&thread, NULL, submitter, w));
		CHILD(pd_await(&w->shared->flag, THREADS - 1));
		pd_sleep_ms(w->into_ms);
		_exit(7);
	}
	ASSERT_TRUE(pd_await(&w->shared->flag, THREADS - 1));
	w->since_ns = pd_now_ns();
	EXPECT_EQ(7, pd_join(pid));
	EXPECT_OVER(w, DEATH_ANY_JOBS);
	EXPECT_LE(THREADS - 2, pd_jobs_ended(&w->env) - w->ended);
}

/* Who vforks shares the owner's address space until it leaves or execs. */
TEST_F(exec, of_a_vforked_child_is_no_death)
{
	struct death_watch *w = &self->w;
	pid_t pid;

	w->pieces = 2;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		static struct pindrop_job_desc nop;
		char *argv[] = { "/proc/self/exe", NULL };
		char *envp[] = { "PD_NEXT_FD=-1", NULL };
		struct pindrop_wait wait;
		struct pd_buf src, dst;
		pid_t child;

		death_start(w, w->fd, &src, &dst);
		child = vfork();
		if (!child)
			_exit(pd_submit(w->fd, &nop, 1, NULL) ? 1 : 8);
		CHILD(pd_join(child) == 8);
		child = vfork();
		if (!child) {
			execve(argv[0], argv, envp);
			_exit(1);
		}
		CHILD(pd_join(child) == PROGRAM_STATUS);
		CHILD(!pd_wait(w->fd, w->shared->last, 10000, &wait));
		CHILD(!wait.out_result);
		CHILD(!memcmp(src.map, dst.map, src.len));
		death_start(w, w->fd, &src, &dst);
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(w));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 3);
}

FIXTURE(sharers)
{
	struct death_watch w;
};

FIXTURE_VARIANT(sharers)
{
	int flags;
};

FIXTURE_VARIANT_ADD(sharers, memory) { .flags = CLONE_VM };
FIXTURE_VARIANT_ADD(sharers, memory_and_files) {
	.flags = CLONE_VM | CLONE_FILES
};

FIXTURE_VARIANT_ADD(sharers, memory_in_vfork) {
	.flags = CLONE_VM | CLONE_VFORK
};

FIXTURE_SETUP(sharers)
{
	DEATH_SETUP(&self->w);
	self->w.pieces = 2;
}

FIXTURE_TEARDOWN(sharers)
{
	DEATH_TEARDOWN(&self->w);
}

struct sharer {
	struct death_watch *w;
	struct pd_buf src, dst;
	int fd;
};

/* Outlives the process that it shares with, and goes on where that was. */
static int share(void *arg)
{
	struct sharer *s = arg;
	struct death_watch *w = s->w;
	struct pindrop_wait wait;

	pd_post(&w->shared->flag, 1);
	CHILD(pd_await(&w->shared->flag, 2));
	CHILD(!pd_wait(s->fd, w->shared->last, 10000, &wait));
	CHILD(!wait.out_result);
	CHILD(!memcmp(s->src.map, s->dst.map, s->src.len));
	CHILD(pd_start(s->fd, &s->src, &s->dst, s->src.len));
	pd_post(&w->shared->flag, 3);
	for (;;)
		pause();
}

static void lead(struct death_watch *w, int flags)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static struct sharer s;

	CHILD(stack != MAP_FAILED);
	s.w = w;
	s.fd = pd_open(&w->env);
	death_start(w, s.fd, &s.src, &s.dst);
	/* The pid as written before either goes on. */
	CHILD(clone(share, stack + STACK,
		    flags | CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD, &s,
		    &w->shared->pid) > 0);
	for (;;)
		pause();
}

/* The owner is who is left, whichever process that was. */
TEST_F(sharers, end_with_the_last)
{
	struct death_watch *w = &self->w;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		lead(w, variant->flags);
	ASSERT_TRUE(death_ready(w));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_EQ(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ((long long)(2 * death_len(w)), pd_grown(&w->env, PD_BYTES));
	pd_post(&w->shared->flag, 2);
	ASSERT_TRUE(pd_await(&w->shared->flag, 3));
	pd_sleep_ms(w->into_ms);
	EXPECT_EQ(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ(-SIGKILL, death_kill(w, w->shared->pid));
	EXPECT_OVER(w, 2);
	EXPECT_EQ(1, pd_grown(&w->env, PD_JOBS_DONE));
	EXPECT_EQ(1, pd_grown(&w->env, PD_JOBS_CANCELLED));
}

FIXTURE(family)
{
	struct death_watch w;
	const volatile struct pindrop_window *window;
};

FIXTURE_SETUP(family)
{
	DEATH_SETUP(&self->w);
	self->window = pd_window(self->w.fd);
	ASSERT_NE(NULL, self->window);
}

FIXTURE_TEARDOWN(family)
{
	munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	DEATH_TEARDOWN(&self->w);
}

/* A child of the owner's, for the test to wait for; it has file and mappings. */
static void raise_heir(struct death_watch *w)
{
	struct pd_buf src, dst, buf;
	pid_t pid;

	death_start(w, w->fd, &src, &dst);
	pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL,
		      NULL);
	CHILD(pid >= 0);
	if (pid) {
		w->shared->pid = pid;
		return;
	}
	CHILD(pd_alloc(w->fd, w->env.page, 0, &buf) == -EPERM);
	CHILD(pd_await(&w->shared->flag, 2));
	CHILD(pd_alloc(w->fd, w->env.page, 0, &buf) == -EOWNERDEAD);
	CHILD(!pd_mmap(w->fd, src.offset, src.len, PROT_READ, NULL));
	CHILD(src.map[0] == 0xee && src.map[src.len - 1] == 0xee);
	_exit(5);
}

TEST_F(family, loses_the_owner_first)
{
	struct death_watch *w = &self->w;
	pid_t pid = death_fork(w, raise_heir);

	ASSERT_LE(0, pid);
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	/* What the heir has mapped is all that is left. */
	EXPECT_EQ(0, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ((long long)(2 * death_len(w)), pd_grown(&w->env, PD_BYTES));
	pd_post(&w->shared->flag, 2);
	w->since_ns = pd_now_ns();
	EXPECT_EQ(5, pd_join(w->shared->pid));
	EXPECT_OVER(w, 1);
}

TEST_F(family, loses_the_child_first)
{
	struct death_watch *w = &self->w;
	pid_t pid = death_fork(w, raise_heir);

	ASSERT_LE(0, pid);
	EXPECT_EQ(-SIGKILL, death_kill(w, w->shared->pid));
	EXPECT_EQ(PINDROP_STATE_OPEN, self->window->state);
	EXPECT_EQ(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ((long long)(2 * death_len(w)), pd_grown(&w->env, PD_BYTES));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
}

TEST_HARNESS_MAIN
