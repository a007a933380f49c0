// SPDX-License-Identifier: GPL-2.0-only
/*
 * An owner that dumps core: until the dump is over its memory is, and so are
 * its jobs; the pages that the device writes are no part of it.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"

#define CORE "/tmp/pd_core"
/* There while the reader of a core reads nothing. */
#define HOLD "/tmp/pd_core_held"
#define PATTERN "/proc/sys/kernel/core_pattern"
/* More than a pipe takes. */
#define LOAD (1024UL * 1024)

FIXTURE(dump)
{
	struct death_watch w;
	char pattern[128];
	const volatile struct pindrop_window *window;
};

static int set_pattern(const char *reader)
{
	char self[100] = {}, text[128];

	if (!reader)
		return pd_write_file(PATTERN, CORE);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return -errno;
	snprintf(text, sizeof(text), "|%s %s", self, reader);
	return pd_write_file(PATTERN, text);
}

FIXTURE_SETUP(dump)
{
	int fd;

	DEATH_SETUP(&self->w);
	fd = open(PATTERN, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_LT(0, read(fd, self->pattern, sizeof(self->pattern) - 1));
	close(fd);
	self->window = pd_window(self->w.fd);
	ASSERT_NE(NULL, self->window);
	unlink(CORE);
	unlink(HOLD);
}

FIXTURE_TEARDOWN(dump)
{
	unlink(CORE);
	unlink(HOLD);
	EXPECT_EQ(0, pd_write_file(PATTERN, self->pattern));
	munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	DEATH_TEARDOWN(&self->w);
}

/* A child that ends with a core, in its first copy or in one behind it. */
static pid_t fork_dumper(struct death_watch *w)
{
	const struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	struct pd_buf src, dst;
	pid_t pid = fork();
	void *load;

	if (pid)
		return pid;
	CHILD(!setrlimit(RLIMIT_CORE, &core));
	load = mmap(NULL, LOAD, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	CHILD(load != MAP_FAILED);
	memset(load, 1, LOAD);
	signal(SIGSEGV, SIG_DFL);
	death_start(w, w->fd, &src, &dst);
	CHILD(pd_start(w->fd, &src, &dst, src.len));
	pd_sleep_ms(w->into_ms);
	pd_post(&w->shared->flag, 1);
	raise(SIGSEGV);
	_exit(1);
}

/* Whether a dump has come to the reader. */
static bool dump_is_held(void)
{
	__u64 begin = pd_now_ns();

	while (access(HOLD, F_OK)) {
		if (pd_ms_since(begin) > 10000)
			return false;
		pd_sleep_ms(1);
	}
	return true;
}

/* The longest run of the byte that the owner's buffers are full of. */
static long longest_run(const char *path)
{
	long run = 0, most = 0, len = 0;
	FILE *f = fopen(path, "re");
	int c;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF) {
		len++;
		run = c == 0xee ? run + 1 : 0;
		if (run > most)
			most = run;
	}
	fclose(f);
	return len > (long)LOAD ? most : -1;
}

TEST_F(dump, to_a_file)
{
	pid_t pid;

	MUST(set_pattern(NULL));
	pid = fork_dumper(&self->w);
	ASSERT_LE(0, pid);
	ASSERT_TRUE(pd_await(&self->w.shared->flag, 1));
	self->w.since_ns = pd_now_ns();
	EXPECT_EQ(-SIGSEGV, pd_join(pid));
	EXPECT_OVER(&self->w, 2);
	/* Registers may hold some of it. */
	EXPECT_LE(0, longest_run(CORE));
	EXPECT_GT(1024, longest_run(CORE));
}

/* A reader that takes its time: the owner lives, and is given what it asked. */
TEST_F(dump, to_a_slow_reader_lets_jobs_end)
{
	struct death_watch *w = &self->w;
	struct pindrop_wait wait;
	pid_t pid;

	/* The second one must not be over when it dies, however slow that is. */
	w->pieces = death_kernel_is_slow() ? 16 : 4;
	MUST(set_pattern("slow"));
	pid = fork_dumper(w);
	ASSERT_LE(0, pid);
	ASSERT_TRUE(dump_is_held());
	MUST(pd_wait(w->fd, w->shared->last, 10000, &wait));
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(PINDROP_STATE_OPEN, self->window->state);
	EXPECT_EQ((long long)(2 * death_len(w)), pd_grown(&w->env, PD_BYTES));
	EXPECT_EQ(1, pd_count(&w->env, PD_INFLIGHT));
	w->since_ns = pd_now_ns();
	unlink(HOLD);
	EXPECT_EQ(-SIGSEGV, pd_join(pid));
	EXPECT_OVER(w, 2);
	EXPECT_EQ(1, pd_grown(&w->env, PD_JOBS_DONE));
	EXPECT_EQ(PINDROP_STATE_DRAINED, self->window->state);
}

/* Nobody waits for the reader then. */
TEST_F(dump, killed_in_the_middle)
{
	struct death_watch *w = &self->w;
	pid_t pid;

	MUST(set_pattern("slow"));
	pid = fork_dumper(w);
	ASSERT_LE(0, pid);
	ASSERT_TRUE(dump_is_held());
	EXPECT_EQ(PINDROP_STATE_OPEN, self->window->state);
	EXPECT_EQ(2, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 2);
	EXPECT_EQ(PINDROP_STATE_DRAINED, self->window->state);
	EXPECT_EQ(0, access(HOLD, F_OK));
	EXPECT_EQ(2, pd_grown(&w->env, PD_JOBS_CANCELLED));
}

/* The program that the kernel gives the core to. */
__attribute__((constructor)) static void reader(int argc, char **argv)
{
	char text[4096];
	int fd, tries = 10000;

	if (argc != 2 || strcmp(argv[1], "slow"))
		return;
	fd = open(HOLD, O_CREAT | O_WRONLY, 0600);
	close(fd);
	while (!access(HOLD, F_OK) && tries--)
		pd_sleep_ms(1);
	while (read(STDIN_FILENO, text, sizeof(text)) > 0)
		;
	_exit(0);
}

TEST_HARNESS_MAIN
