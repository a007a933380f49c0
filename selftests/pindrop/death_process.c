// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process ends, in every way there is, while the device writes into its
 * memory. What counts is what is true right after waitpid(), without waiting.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

/* All of one death has 1 s; the rest is for a slow guest. */
#define BOUND_MS 2000

#define PIECES 8
#define CANARY_BYTES (32UL << 20)

enum way { EXIT, KILL, SEGV, ABORT, EXEC, THREAD_EXIT, KILL_THREADED };

static const char *const way_names[] = {
	[EXIT] = "exit",
	[KILL] = "kill",
	[SEGV] = "segv",
	[ABORT] = "core_dump",
	[EXEC] = "exec",
	[THREAD_EXIT] = "exit_in_a_thread",
	[KILL_THREADED] = "kill_with_threads",
};

/* What parent and child know of each other. */
struct shared {
	unsigned int ready;
	__u64 last;
	__u64 ended_at;
};

FIXTURE(death)
{
	struct pd_env env;
	struct shared *shared;
	int fd;
};

FIXTURE_VARIANT(death)
{
	enum way way;
	int status; /* of pd_join() */
};

FIXTURE_VARIANT_ADD(death, exit) { .way = EXIT, .status = 7 };
FIXTURE_VARIANT_ADD(death, kill) { .way = KILL, .status = -SIGKILL };
FIXTURE_VARIANT_ADD(death, segv) { .way = SEGV, .status = -SIGSEGV };
FIXTURE_VARIANT_ADD(death, core_dump) { .way = ABORT, .status = -SIGABRT };
FIXTURE_VARIANT_ADD(death, exec) { .way = EXEC, .status = 9 };
FIXTURE_VARIANT_ADD(death, exit_in_a_thread) {
	.way = THREAD_EXIT, .status = 7
};

FIXTURE_VARIANT_ADD(death, kill_with_threads) {
	.way = KILL_THREADED, .status = -SIGKILL
};

FIXTURE_SETUP(death)
{
	PD_SETUP(&self->env);
	self->shared = pd_shared_page();
	ASSERT_NE(NULL, self->shared);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(death)
{
	if (self->fd >= 0)
		close(self->fd);
	PD_TEARDOWN(&self->env);
}

static void *sleeper(void *arg)
{
	pause();
	return arg;
}

static void *leaver(void *arg)
{
	exit(7);
	return arg;
}

static void end_by(enum way way, struct shared *shared)
{
	char *self[] = { "/proc/self/exe", "--gone", NULL };
	const struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	pthread_t thread;

	switch (way) {
	case EXIT:
		_exit(7);
	case SEGV:
		raise(SIGSEGV);
		break;
	case ABORT:
		setrlimit(RLIMIT_CORE, &core);
		CHILD(!chdir("/tmp"));
		signal(SIGABRT, SIG_DFL);
		abort();
	case EXEC:
		CHILD(!setenv("PD_GONE", "1", 1));
		execv(self[0], self);
		break;
	case THREAD_EXIT:
		CHILD(!pthread_create(&thread, NULL, leaver, NULL));
		pause();
		break;
	case KILL_THREADED:
		CHILD(!pthread_create(&thread, NULL, sleeper, NULL));
		CHILD(!pthread_create(&thread, NULL, sleeper, NULL));
		/* fall through */
	case KILL:
		pd_post(&shared->ready, 2);
		for (;;)
			pause();
	}
	CHILD(!"still here");
}

/* Several pieces, so that one is on the device and others wait. */
static __u64 start_copy(int fd, struct pd_buf *src, struct pd_buf *dst,
			const struct pindrop_info *info)
{
	size_t len = PIECES * info->out_max_piece;
	struct pindrop_job_desc job;
	struct pindrop_submit sub;

	CHILD(!pd_create(fd, len, src));
	CHILD(!pd_create(fd, len, dst));
	memset(src->map, 0xee, len);
	job = pd_copy(src, 0, dst, 0, len);
	CHILD(!pd_submit(fd, &job, 1, &sub));
	return sub.out_last;
}

/* Runs a child to its end, as @way says, with a copy half done. */
static int run(struct pd_env *env, int fd, struct shared *shared, enum way way,
	       bool keep_mappings)
{
	struct pd_buf src, dst;
	pid_t pid = fork();

	if (!pid) {
		shared->last = start_copy(fd, &src, &dst, &env->info);
		if (!keep_mappings) {
			CHILD(!pd_unmap(&src));
			CHILD(!pd_unmap(&dst));
			CHILD(!pd_free(fd, src.handle));
			CHILD(!pd_free(fd, dst.handle));
		}
		/* Into the middle of a piece. */
		pd_sleep_ms(env->info.out_piece_ms / 4);
		shared->ended_at = pd_now_ns();
		pd_post(&shared->ready, 1);
		end_by(way, shared);
	}
	if (way == KILL || way == KILL_THREADED) {
		if (!pd_await(&shared->ready, 2))
			return -1001;
		shared->ended_at = pd_now_ns();
		kill(pid, SIGKILL);
	}
	return pd_join(pid);
}

#define RUN(keep) run(&self->env, self->fd, self->shared, variant->way, (keep))

/* P2 and P3: the parent holds the file, so only the owner's end did this. */
TEST_F(death, is_over_at_waitpid)
{
	long long ended = pd_jobs_ended(&self->env);
	int status = RUN(true);
	long death_ms = pd_ms_since(self->shared->ended_at);
	struct pd_counters now;
	bool unpinned;

	pd_count_all(&self->env, &now);
	unpinned = pd_count_becomes(&self->env, PD_PINNED, 0, BOUND_MS);
	pd_matrix(way_names[variant->way], death_ms,
		  unpinned ? pd_ms_since(self->shared->ended_at) : -1,
		  now.v[PD_QUARANTINED]);
	EXPECT_EQ(0, now.v[PD_INFLIGHT]);
	EXPECT_EQ(0, now.v[PD_PINNED]);
	EXPECT_EQ(0, now.v[PD_QUARANTINED]);
	EXPECT_EQ(0, now.v[PD_BUFFERS]);
	EXPECT_EQ(0, now.v[PD_BYTES]);
	EXPECT_EQ(ended + 1, pd_jobs_ended(&self->env));
	EXPECT_EQ(variant->status, status);
	EXPECT_GT(BOUND_MS, death_ms);
}

/* A job keeps its memory when nothing else does, until the device is quiet. */
TEST_F(death, of_memory_only_the_job_holds)
{
	EXPECT_EQ(variant->status, RUN(false));
	EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ(0, pd_count(&self->env, PD_BYTES));
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
}

/* P1: what was freed is taken at once, and must not change. */
TEST_F(death, leaves_freed_memory_alone)
{
	unsigned char *canary;

	EXPECT_EQ(variant->status, RUN(true));
	canary = mmap(NULL, CANARY_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, canary);
	/* Longer than a piece that was forgotten needs. */
	pd_sleep_ms(3 * self->env.info.out_piece_ms);
	EXPECT_EQ(-1, pd_nonzero(canary, CANARY_BYTES));
	munmap(canary, CANARY_BYTES);
}

/* P5: whoever still holds the file is told. */
TEST_F(death, is_seen_by_who_holds_the_file)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	const volatile struct pindrop_window *w = pd_window(self->fd);
	struct pindrop_wait wait;
	struct pd_buf buf;

	ASSERT_NE(NULL, w);
	EXPECT_EQ(variant->status, RUN(true));
	EXPECT_EQ(PINDROP_STATE_DRAINED, w->state);
	EXPECT_EQ(PINDROP_REASON_OWNER, w->reason);
	EXPECT_EQ(self->shared->last, w->ticket);
	EXPECT_EQ(0, w->buffers);
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN | POLLERR | POLLHUP, p.revents);
	MUST(pd_wait(self->fd, self->shared->last, 0, &wait));
	EXPECT_EQ(-ECANCELED, wait.out_result);
	EXPECT_EQ(self->shared->last, wait.out_failed);
	FAILS(EOWNERDEAD, pd_alloc(self->fd, self->env.page, 0, &buf));
	munmap((void *)w, PINDROP_WINDOW_SIZE);
}

/* The file ends with the process: its release finds the work done. */
TEST_F(death, with_the_last_file)
{
	pid_t pid;
	int status;

	close(self->fd);
	self->fd = -1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = pd_open(&self->env);

		CHILD(fd >= 0);
		status = run(&self->env, fd, self->shared, variant->way, true);
		_exit(status == variant->status ? 0 : 1);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_STREQ("", pd_env_leaks(&self->env));
}

/* The device is as good as before. */
TEST_F(death, costs_the_next_nothing)
{
	struct pd_buf a, b;
	struct pindrop_job_desc job;
	int fd;

	EXPECT_EQ(variant->status, RUN(true));
	fd = pd_open(&self->env);
	ASSERT_LE(0, fd);
	MUST(pd_create(fd, self->env.page, &a));
	MUST(pd_create(fd, self->env.page, &b));
	pd_fill(a.map, 256, 5);
	job = pd_copy(&a, 0, &b, 0, 256);
	EXPECT_EQ(0, pd_run(fd, &job, 1));
	EXPECT_EQ(-1, pd_wrong(b.map, 256, 5));
	MUST(pd_unmap(&a));
	MUST(pd_unmap(&b));
	close(fd);
}

/* The program that takes the place of the owner in exec. */
__attribute__((constructor)) static void gone(void)
{
	if (getenv("PD_GONE"))
		_exit(9);
}

TEST_HARNESS_MAIN
