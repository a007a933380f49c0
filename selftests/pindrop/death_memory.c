// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * The owner's memory runs out, is locked, moved, partly unmapped, or the file
 * closed under it; it is flooded with signals; its name space ends.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"

#define SIGNALS 200
/* Beyond the owner's buffers. */
#define GROUP_BYTES (16UL << 20)

FIXTURE(owner)
{
	struct death_watch w;
};

FIXTURE_VARIANT(owner)
{
	void (*live)(struct death_watch *w);
};

static void lock_all(struct death_watch *w)
{
	struct pd_buf src, dst;

	CHILD(!mlockall(MCL_CURRENT | MCL_FUTURE));
	death_start(w, w->fd, &src, &dst);
}

/* Without a file: the mappings hold it. */
static void close_file(struct death_watch *w)
{
	struct pd_buf src, dst;
	int fd = pd_open(&w->env);

	death_start(w, fd, &src, &dst);
	CHILD(!close(fd));
	CHILD(src.map[src.len - 1] == 0xee);
}

static void unmap_buffers(struct death_watch *w)
{
	struct pd_buf src, dst;

	death_start(w, w->fd, &src, &dst);
	CHILD(!pd_unmap(&src));
	CHILD(!pd_unmap(&dst));
}

static void unmap_halves(struct death_watch *w)
{
	struct pd_buf src, dst;
	const size_t page = w->env.page;

	death_start(w, w->fd, &src, &dst);
	CHILD(!munmap(src.map, page));
	CHILD(!munmap(dst.map + dst.len - page, page));
}

/* To somewhere else, and in two parts. */
static void move_buffers(struct death_watch *w)
{
	struct pd_buf src, dst;
	const size_t page = w->env.page;
	unsigned char *to;

	death_start(w, w->fd, &src, &dst);
	to = mmap(NULL, 2 * src.len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		  0);
	CHILD(to != MAP_FAILED);
	CHILD(mremap(src.map, src.len, src.len, MREMAP_MAYMOVE | MREMAP_FIXED,
		     to) == to);
	CHILD(mremap(dst.map + page, dst.len - page, dst.len - page,
		     MREMAP_MAYMOVE | MREMAP_FIXED,
		     to + src.len + page) == to + src.len + page);
	CHILD(to[0] == 0xee && to[src.len - 1] == 0xee);
}

/* Other memory in their place. */
static void map_over_buffers(struct death_watch *w)
{
	struct pd_buf src, dst;

	death_start(w, w->fd, &src, &dst);
	CHILD(mmap(dst.map, dst.len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1,
		   0) == dst.map);
	CHILD(mmap(src.map, src.len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1,
		   0) == src.map);
}

static void free_handles(struct death_watch *w)
{
	struct pd_buf src, dst;

	death_start(w, w->fd, &src, &dst);
	CHILD(!pd_free(w->fd, src.handle));
	CHILD(!pd_free(w->fd, dst.handle));
}

FIXTURE_VARIANT_ADD(owner, mlockall) { .live = lock_all };
FIXTURE_VARIANT_ADD(owner, closed) { .live = close_file };
FIXTURE_VARIANT_ADD(owner, unmapped) { .live = unmap_buffers };
FIXTURE_VARIANT_ADD(owner, half_unmapped) { .live = unmap_halves };
FIXTURE_VARIANT_ADD(owner, moved) { .live = move_buffers };
FIXTURE_VARIANT_ADD(owner, mapped_over) { .live = map_over_buffers };
FIXTURE_VARIANT_ADD(owner, freed) { .live = free_handles };

/* What is freed on a processor is what is taken there next. */
FIXTURE_SETUP(owner)
{
	DEATH_SETUP(&self->w);
	MUST(death_run_on(0));
}

FIXTURE_TEARDOWN(owner)
{
	DEATH_TEARDOWN(&self->w);
}

TEST_F(owner, is_killed)
{
	struct death_watch *w = &self->w;
	pid_t pid = death_fork(w, variant->live);

	ASSERT_LE(0, pid);
	EXPECT_EQ(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ((long long)(2 * death_len(w)), pd_grown(&w->env, PD_BYTES));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_EQ(1, pd_grown(&w->env, PD_CONTEXTS));
}

/* P1: the device still writes, and who dies has given up all it could. */
TEST_F(owner, gives_nothing_back_while_dying)
{
	struct death_watch *w = &self->w;
	pid_t pid = death_fork(w, variant->live);

	ASSERT_LE(0, pid);
	kill(pid, SIGKILL);
	pd_sleep_ms(5);
	EXPECT_STREQ("", death_strays(w));
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	w->since_ns = pd_now_ns();
	EXPECT_STREQ("", death_left(w, 1));
}

FIXTURE(memory)
{
	struct death_watch w;
};

FIXTURE_SETUP(memory)
{
	DEATH_SETUP(&self->w);
}

FIXTURE_TEARDOWN(memory)
{
	death_group_end();
	DEATH_TEARDOWN(&self->w);
}

/* The kernel chooses the moment, and kills by itself. */
TEST_F(memory, of_its_group_runs_out)
{
	struct death_watch *w = &self->w;
	const char *missing;
	pid_t pid;

	missing = death_group(GROUP_BYTES + 2 * death_len(w));
	if (missing)
		SKIP(return, "%s", missing);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pd_buf src, dst;

		CHILD(!death_group_join());
		death_start(w, w->fd, &src, &dst);
		pd_post(&w->shared->flag, 1);
		pd_sleep_ms(w->into_ms);
		mmap(NULL, 2 * GROUP_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		CHILD(!"memory ran out");
	}
	ASSERT_TRUE(death_ready(w));
	EXPECT_EQ(-SIGKILL, death_out_of_memory(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_EQ(1, death_group_kills());
}

static void volunteer(struct death_watch *w)
{
	struct pd_buf src, dst;

	CHILD(!pd_write_file("/proc/self/oom_score_adj", "1000"));
	death_start(w, w->fd, &src, &dst);
}

/* As if that of the machine had run out: the owner is who has to go. */
TEST_F(memory, of_the_machine_runs_out)
{
	struct death_watch *w = &self->w;
	pid_t pid = death_fork(w, volunteer);

	ASSERT_LE(0, pid);
	MUST(pd_write_file("/proc/sysrq-trigger", "f"));
	EXPECT_EQ(-SIGKILL, death_out_of_memory(w, pid));
	EXPECT_OVER(w, 1);
}

/* Living, it closes and unmaps: the second of the two ends the file. */
TEST_F(memory, is_unmapped_after_close)
{
	struct death_watch *w = &self->w;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pd_buf src, dst;
		int fd = pd_open(&w->env);

		death_start(w, fd, &src, &dst);
		pd_sleep_ms(w->into_ms);
		w->since_ns = pd_now_ns();
		CHILD(!close(fd));
		CHILD(!pd_unmap(&src));
		CHILD(pd_count(&w->env, PD_INFLIGHT) == 1);
		/* Nothing of it goes while it is mapped. */
		CHILD(pd_grown(&w->env, PD_BYTES) == (long)(2 * src.len));
		CHILD(dst.map[0] == 0 || dst.map[0] == 0xee);
		CHILD(!pd_unmap(&dst));
		CHILD(!*death_left(w, 1));
		CHILD(pd_grown(&w->env, PD_CONTEXTS) == 1);
		CHILD(!*death_strays(w));
		_exit(7);
	}
	EXPECT_EQ(7, pd_join(pid));
	w->since_ns = pd_now_ns();
	EXPECT_STREQ("", death_left(w, 1));
}

static void ignore(int sig)
{
	(void)sig;
}

/* Nothing fails of a signal but with EINTR, or is half done then. */
static void suffer(struct death_watch *w)
{
	const struct sigaction sa = { .sa_handler = ignore };
	struct pd_buf src, dst;
	int fd, err;

	CHILD(!sigaction(SIGUSR1, &sa, NULL));
	pd_post(&w->shared->flag, 1);
	for (;;) {
		fd = pd_open(&w->env);
		CHILD(fd >= 0 || fd == -EINTR);
		if (fd < 0)
			continue;
		do {
			err = pd_create(fd, death_len(w), &src);
			CHILD(!err || err == -EINTR);
		} while (err);
		do {
			err = pd_create(fd, death_len(w), &dst);
			CHILD(!err || err == -EINTR);
		} while (err);
		while (!pd_start(fd, &src, &dst, src.len))
			CHILD(errno == EINTR);
		err = pd_wait(fd, 1, 10, NULL);
		CHILD(!err || err == -EINTR || err == -ETIME);
		CHILD(!pd_unmap(&src));
		CHILD(!pd_free(fd, dst.handle));
		CHILD(!pd_unmap(&dst));
		__atomic_fetch_add(&w->shared->answer, 1, __ATOMIC_RELAXED);
		CHILD(!close(fd));
	}
}

/* A storm, and then the one that counts. */
TEST_F(memory, of_one_flooded_with_signals)
{
	struct death_watch *w = &self->w;
	pid_t pid;
	int i;

	w->pieces = 1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		suffer(w);
	ASSERT_TRUE(death_ready(w));
	for (i = 0; i < SIGNALS; i++) {
		EXPECT_EQ(0, kill(pid, SIGUSR1));
		usleep(i % 7 * 500);
	}
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, DEATH_ANY_JOBS);
	EXPECT_LT(0, w->shared->answer);
}

/* All in a name space die with its first process, which waits for them. */
TEST_F(memory, of_one_whose_pid_namespace_ends)
{
	struct death_watch *w = &self->w;
	pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL,
			    NULL);

	ASSERT_LE(0, pid);
	if (!pid) {
		struct pd_buf src, dst;

		CHILD(getpid() == 1);
		if (!fork()) {
			death_start(w, w->fd, &src, &dst);
			pd_post(&w->shared->flag, 1);
		}
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(w));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
}

TEST_HARNESS_MAIN
