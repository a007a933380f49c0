// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * Owners of pins die: of pins alone, with jobs that use them, of want of
 * memory, half way through pinning. When waitpid() returns, nothing is pinned.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "pin_utils.h"
#include "sim_utils.h"

#define RW (PROT_READ | PROT_WRITE)
#define WRITE PINDROP_PIN_WRITE
#define NOBODY 65534
#define MANY 250
#define ROUNDS 5
#define LARGE (512UL << 20)
#define KILL_MS 100
#define GROUP_BYTES (16UL << 20)
#define PROGRAM_STATUS 9
#define DEVMEM_COPIES 8
#define SYSCTL "/proc/sys/kernel"
#define RMID_FORCED "shm_rmid_forced"

/* What the owner has pinned, and so many of its pages. */
static struct pin_mem memory;

FIXTURE(pins)
{
	struct death_watch w;
};

/* live: pins, and says in answer how many pages. jobs: it has started. */
FIXTURE_VARIANT(pins)
{
	void (*live)(struct death_watch *w);
	int jobs;
};

/* In a child: memory as long as a copy, that is pinned. */
static void pin_some(struct death_watch *w, int fd,
		     int (*make)(struct pin_mem *m, size_t len), size_t len,
		     __u32 flags, struct pd_buf *pin)
{
	CHILD(fd >= 0);
	CHILD(!make(&memory, len));
	memset(memory.mem, 0xee, memory.len);
	CHILD(!pd_pin(fd, memory.mem, memory.len, flags, pin));
	w->shared->answer += memory.len / w->env.page;
}

static void start(struct death_watch *w, int fd, const struct pd_buf *src,
		  const struct pd_buf *dst)
{
	size_t len = death_len(w);

	if (len > src->len)
		len = src->len;
	if (len > dst->len)
		len = dst->len;
	w->shared->last = pd_start(fd, src, dst, len);
	CHILD(w->shared->last);
}

/* Nothing of the device is mapped, nothing is on it. */
static void pin_only(struct death_watch *w)
{
	struct pd_buf p;

	pin_some(w, w->fd, pin_anon, 64 * w->env.page, WRITE, &p);
	pin_some(w, w->fd, pin_anon, 64 * w->env.page, 0, &p);
}

/*
 * Over each other as well; but those to be written no more than twice, which
 * is what the kernel's DMA checker puts up with.
 */
static void pin_many(struct death_watch *w)
{
	const size_t align = w->env.info.out_pin_align, page = w->env.page;
	struct pd_buf p;
	int i;

	pin_some(w, w->fd, pin_anon, MANY * page, WRITE, &p);
	for (i = 0; i < MANY; i++) {
		CHILD(!pd_pin(w->fd, memory.mem + i * page, page, WRITE, &p));
		CHILD(!pd_pin(w->fd, memory.mem + i % 4 * align, 2 * page, 0,
			      &p));
		w->shared->answer += 1 + (i % 4 ? 3 : 2);
	}
}

static void pin_thps(struct death_watch *w)
{
	struct pd_buf p;

	pin_some(w, w->fd, pin_thp, 4 * PIN_HUGE, WRITE, &p);
}

static void read_pin(struct death_watch *w)
{
	struct pd_buf p, dst;

	pin_some(w, w->fd, pin_anon, death_len(w), 0, &p);
	CHILD(!pd_create(w->fd, death_len(w), &dst));
	start(w, w->fd, &p, &dst);
}

static void write_kind(struct death_watch *w,
		       int (*make)(struct pin_mem *m, size_t len), size_t len)
{
	struct pd_buf p, src;

	pin_some(w, w->fd, make, len, WRITE, &p);
	CHILD(!pd_create(w->fd, death_len(w), &src));
	memset(src.map, 0xdd, src.len);
	start(w, w->fd, &src, &p);
}

static void write_pin(struct death_watch *w)
{
	write_kind(w, pin_anon, death_len(w));
}

static void write_thp(struct death_watch *w)
{
	write_kind(w, pin_thp, PIN_HUGE);
}

static void write_memfd(struct death_watch *w)
{
	write_kind(w, pin_memfd, death_len(w));
}

static void copy_pins(struct death_watch *w)
{
	struct pd_buf p, q;

	pin_some(w, w->fd, pin_anon, death_len(w), 0, &p);
	pin_some(w, w->fd, pin_shmem, death_len(w), WRITE, &q);
	start(w, w->fd, &p, &q);
}

/* I1: the job alone has it. */
static void free_pin(struct death_watch *w)
{
	struct pd_buf p, src;

	pin_some(w, w->fd, pin_anon, death_len(w), WRITE, &p);
	CHILD(!pd_create(w->fd, death_len(w), &src));
	start(w, w->fd, &src, &p);
	CHILD(!pd_free(w->fd, p.handle));
	CHILD(!pd_free(w->fd, src.handle));
	CHILD(!pd_unmap(&src));
	pin_drop(&memory);
}

/* Other memory in its place, which has nothing to do with it. */
static void replace_memory(struct death_watch *w)
{
	struct pd_buf p, src;

	pin_some(w, w->fd, pin_anon, death_len(w), WRITE, &p);
	CHILD(!pd_create(w->fd, death_len(w), &src));
	start(w, w->fd, &src, &p);
	CHILD(mmap(memory.mem, memory.len, RW,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1,
		   0) == memory.mem);
	CHILD(pd_start(w->fd, &src, &p, p.len) == 0 && errno == ESTALE);
}

/* A child of it has the same memory by then, and lives on. */
static void leave_child(struct death_watch *w)
{
	struct pd_buf p, src;
	pid_t pid;

	pin_some(w, w->fd, pin_anon, death_len(w), WRITE, &p);
	CHILD(!pd_create(w->fd, death_len(w), &src));
	CHILD(!pd_unmap(&src));
	start(w, w->fd, &src, &p);
	pid = fork();
	CHILD(pid >= 0);
	/* By one of them: it is shared. */
	if (pid)
		w->shared->pid = pid;
	if (!pid) {
		memset(memory.mem, 0x33, memory.len);
		for (;;)
			pause();
	}
}

/* One file of several, closed by then: all of it was that file's. */
static void close_file(struct death_watch *w)
{
	struct pd_buf p, src;
	int fd = pd_open(&w->env);

	write_pin(w);
	CHILD(fd >= 0);
	CHILD(!pd_alloc(fd, death_len(w), 0, &src));
	CHILD(!pd_pin(fd, memory.mem, memory.len, WRITE, &p));
	CHILD(pd_start(fd, &src, &p, p.len));
	CHILD(!close(fd));
}

#define VARIANT(name, ...)              \
	FIXTURE_VARIANT_ADD(pins, name) \
	{                               \
		__VA_ARGS__             \
	}

VARIANT(alone, .live = pin_only);
VARIANT(many, .live = pin_many);
VARIANT(of_huge_pages, .live = pin_thps);
VARIANT(read, .live = read_pin, .jobs = 1);
VARIANT(written, .live = write_pin, .jobs = 1);
VARIANT(written_thp, .live = write_thp, .jobs = 1);
VARIANT(written_memfd, .live = write_memfd, .jobs = 1);
VARIANT(copied, .live = copy_pins, .jobs = 1);
VARIANT(freed, .live = free_pin, .jobs = 1);
VARIANT(replaced, .live = replace_memory, .jobs = 1);
VARIANT(inherited, .live = leave_child, .jobs = 1);
VARIANT(of_a_closed_file_too, .live = close_file, .jobs = 2);

/* What is freed on a processor is what is taken there next. */
FIXTURE_SETUP(pins)
{
	DEATH_SETUP(&self->w);
	MUST(death_run_on(0));
}

FIXTURE_TEARDOWN(pins)
{
	if (self->w.shared->pid > 0)
		kill(self->w.shared->pid, SIGKILL);
	DEATH_TEARDOWN(&self->w);
}

TEST_F(pins, die)
{
	struct death_watch *w = &self->w;
	pid_t pid = death_fork(w, variant->live);

	ASSERT_LE(0, pid);
	EXPECT_LT(0, w->shared->answer);
	EXPECT_EQ(w->shared->answer, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(w->shared->answer, pd_vmstat_pins() - w->pins);
	EXPECT_EQ(!!variant->jobs, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, variant->jobs);
	EXPECT_EQ(1, pd_grown(&w->env, PD_CONTEXTS));
}

/* P1: the device still writes, and who dies has given up all it could. */
TEST_F(pins, give_nothing_back_while_dying)
{
	struct death_watch *w = &self->w;
	pid_t pid = death_fork(w, variant->live);

	ASSERT_LE(0, pid);
	kill(pid, SIGKILL);
	pd_sleep_ms(5);
	EXPECT_STREQ("", death_strays(w));
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	w->since_ns = pd_now_ns();
	EXPECT_STREQ("", death_left(w, variant->jobs));
}

FIXTURE(owner)
{
	struct death_watch w;
};

FIXTURE_SETUP(owner)
{
	DEATH_SETUP(&self->w);
}

FIXTURE_TEARDOWN(owner)
{
	death_group_end();
	DEATH_TEARDOWN(&self->w);
}

/*
 * Copies from the device's own memory, or to it. Under load a single copy of 100 ms can
 * complete before the test reads the counters, so several are queued.
 */
static void use_devmem(struct death_watch *w)
{
	struct pindrop_job_desc jobs[2], last[DEVMEM_COPIES];
	struct pd_buf p;
	size_t len = death_len(w);
	int i;

	if (len > w->env.info.out_devmem)
		len = w->env.info.out_devmem;
	pin_some(w, w->fd, pin_anon, death_len(w), WRITE, &p);
	jobs[0] = pd_copy(&p, 0, NULL, 0, len);
	jobs[1] = pd_copy(NULL, 0, &p, 0, len);
	CHILD(!pd_run(w->fd, jobs, 1));
	for (i = 0; i < DEVMEM_COPIES; i++)
		last[i] = jobs[w->shared->last];
	CHILD(!pd_submit(w->fd, last, DEVMEM_COPIES, NULL));
}

TEST_F(owner, of_what_goes_to_the_device)
{
	struct death_watch *w = &self->w;
	pid_t pid;

	if (!w->env.info.out_devmem)
		SKIP(return, "the device has no memory");
	w->into_ms = 30;
	pid = death_fork(w, use_devmem);
	ASSERT_LE(0, pid);
	EXPECT_LE(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1 + DEVMEM_COPIES);
}

TEST_F(owner, of_what_comes_from_the_device)
{
	struct death_watch *w = &self->w;
	pid_t pid;

	if (!w->env.info.out_devmem)
		SKIP(return, "the device has no memory");
	w->into_ms = 30;
	w->shared->last = 1;
	pid = death_fork(w, use_devmem);
	ASSERT_LE(0, pid);
	EXPECT_LE(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1 + DEVMEM_COPIES);
}

/* As an ordinary user, who has so much and no more. */
static void pin_to_the_limit(struct death_watch *w)
{
	const size_t len = 32 * w->env.page;
	const struct rlimit limit = { len, len };
	struct pd_buf p, src;

	CHILD(!setrlimit(RLIMIT_MEMLOCK, &limit));
	CHILD(!setresgid(NOBODY, NOBODY, NOBODY));
	CHILD(!setresuid(NOBODY, NOBODY, NOBODY));
	pin_some(w, w->fd, pin_anon, len, WRITE, &p);
	CHILD(pd_pin(w->fd, memory.mem, w->env.page, 0, &src) == -ENOMEM);
	CHILD(!pd_create(w->fd, death_len(w), &src));
	start(w, w->fd, &src, &p);
}

/* What one has used up until its death the next one has. */
TEST_F(owner, whose_limit_is_exhausted)
{
	struct death_watch *w = &self->w;
	int round;
	pid_t pid;

	for (round = 0; round < ROUNDS; round++) {
		if (w->fd < 0)
			w->fd = pd_open(&w->env);
		w->ended = pd_jobs_ended(&w->env);
		w->shared->flag = 0;
		pid = death_fork(w, pin_to_the_limit);
		ASSERT_LE(0, pid);
		EXPECT_EQ(32, pd_grown(&w->env, PD_PINNED));
		EXPECT_EQ(-SIGKILL, death_kill(w, pid));
		EXPECT_STREQ("", death_left(w, 1));
		close(w->fd);
		w->fd = -1;
	}
	EXPECT_STREQ("", death_strays(w));
}

/* The owner is killed; who was given its file is told, and holds nothing. */
TEST_F(owner, who_passed_the_file_on)
{
	struct pindrop_job_desc nop = pd_nop(0);
	struct death_watch *w = &self->w;
	struct pollfd p = { .events = POLLIN };
	struct pd_buf pin;
	int pair[2];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = pd_open(&w->env);
		struct pd_buf src;

		pin_some(w, fd, pin_anon, death_len(w), WRITE, &pin);
		CHILD(!pd_alloc(fd, death_len(w), 0, &src));
		start(w, fd, &src, &pin);
		CHILD(!death_send_fds(pair[0], &fd, 1));
		CHILD(!close(fd));
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(w));
	p.fd = death_receive_fd(pair[1]);
	ASSERT_LE(0, p.fd);
	FAILS(EPERM, pd_pin(p.fd, w->shared, w->env.page, 0, &pin));
	EXPECT_EQ(w->shared->answer, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN | POLLERR | POLLHUP, p.revents);
	FAILS(EOWNERDEAD, pd_submit(p.fd, &nop, 1, NULL));
	FAILS(EOWNERDEAD, pd_pin(p.fd, w->shared, w->env.page, 0, &pin));
	close(p.fd);
	close(pair[0]);
	close(pair[1]);
}

/* The new program finds nothing of it; it is not the owner's address space. */
static void become(struct death_watch *w)
{
	char *argv[] = { "/proc/self/exe", NULL };

	write_pin(w);
	CHILD(!setenv("PD_PIN_NEXT", w->env.path, 1));
	CHILD(!fcntl(w->fd, F_SETFD, 0));
	pd_sleep_ms(w->into_ms);
	execv(argv[0], argv);
	CHILD(!"exec");
}

__attribute__((constructor)) static void next(void)
{
	struct pd_env env = {};

	if (!getenv("PD_PIN_NEXT"))
		return;
	CHILD(!pd_env_find(&env));
	CHILD(!pd_env_init(&env));
	CHILD(!env.before.v[PD_PINNED]);
	CHILD(!env.before.v[PD_INFLIGHT]);
	CHILD(!env.before.v[PD_QUARANTINED]);
	_exit(PROGRAM_STATUS);
}

TEST_F(owner, who_becomes_another_program)
{
	struct death_watch *w = &self->w;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		become(w);
	EXPECT_EQ(PROGRAM_STATUS, pd_join(pid));
	w->since_ns = pd_now_ns();
	EXPECT_OVER(w, 1);
}

/* Where the segment is nobody's with its last process, and yet pinned. */
static int make_segment(struct pin_mem *m, size_t len)
{
	int id = shmget(IPC_PRIVATE, len, IPC_CREAT | 0600);

	*m = PIN_NO_MEM;
	if (id < 0)
		return -errno;
	m->mem = shmat(id, NULL, 0);
	m->len = len;
	return m->mem == (void *)-1 ? -errno : 0;
}

static void pin_segment(struct death_watch *w)
{
	write_kind(w, make_segment, death_len(w));
}

/* Segments that there are. */
static int segments(void)
{
	struct shm_info used;

	if (shmctl(0, SHM_INFO, (struct shmid_ds *)&used) < 0)
		return -1;
	return used.used_ids;
}

TEST_F(owner, of_a_sysv_segment)
{
	struct death_watch *w = &self->w;
	const int before = segments();
	char forced[32];
	pid_t pid;

	if (before < 0 ||
	    pd_read_in(SYSCTL, RMID_FORCED, forced, sizeof(forced)))
		SKIP(return, "the kernel has no SysV memory");
	MUST(pd_write_in(SYSCTL, RMID_FORCED, "1"));
	pid = death_fork(w, pin_segment);
	EXPECT_LE(0, pid);
	EXPECT_EQ(before + 1, segments());
	EXPECT_EQ(w->shared->answer, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_EQ(before, segments());
	MUST(pd_write_in(SYSCTL, RMID_FORCED, forced));
}

/* The kernel chooses the moment, and what it reaps is not what is pinned. */
TEST_F(owner, whose_group_runs_out_of_memory)
{
	struct death_watch *w = &self->w;
	const char *missing;
	pid_t pid;

	missing = death_group(GROUP_BYTES + 3 * PIN_HUGE);
	if (missing)
		SKIP(return, "%s", missing);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pd_buf p;

		CHILD(!death_group_join());
		write_pin(w);
		pin_some(w, w->fd, pin_anon, PIN_HUGE, WRITE, &p);
		pd_post(&w->shared->flag, 1);
		pd_sleep_ms(w->into_ms);
		mmap(NULL, 2 * GROUP_BYTES, RW,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		CHILD(!"memory ran out");
	}
	ASSERT_TRUE(pd_await(&w->shared->flag, 1));
	EXPECT_EQ(w->shared->answer, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(-SIGKILL, death_out_of_memory(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_EQ(1, death_group_kills());
}

/* ... in the middle of pinning. */
TEST_F(owner, who_pins_more_than_its_group_has)
{
	struct death_watch *w = &self->w;
	const char *missing;
	pid_t pid;

	missing = death_group(GROUP_BYTES);
	if (missing)
		SKIP(return, "%s", missing);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pin_mem m;
		struct pd_buf p;

		CHILD(!death_group_join());
		CHILD(!pin_anon(&m, 2 * GROUP_BYTES));
		pd_post(&w->shared->flag, 1);
		pd_pin(w->fd, m.mem, m.len, WRITE, &p);
		CHILD(!"memory ran out");
	}
	ASSERT_TRUE(pd_await(&w->shared->flag, 1));
	EXPECT_EQ(-SIGKILL, death_out_of_memory(w, pid));
	EXPECT_OVER(w, 0);
	EXPECT_EQ(1, death_group_kills());
}

static void volunteer(struct death_watch *w)
{
	CHILD(!pd_write_file("/proc/self/oom_score_adj", "1000"));
	write_pin(w);
}

/* As if that of the machine had run out: the owner is who has to go. */
TEST_F(owner, whose_machine_runs_out_of_memory)
{
	struct death_watch *w = &self->w;
	pid_t pid = death_fork(w, volunteer);

	ASSERT_LE(0, pid);
	MUST(pd_write_file("/proc/sysrq-trigger", "f"));
	EXPECT_EQ(-SIGKILL, death_out_of_memory(w, pid));
	EXPECT_OVER(w, 1);
}

/* Two pieces, however scattered: somebody waits for the end of it. */
static void write_and_wait(struct death_watch *w)
{
	struct pd_buf p;

	write_kind(w, pin_anon, 2 * w->env.page);
	pin_some(w, w->fd, pin_thp, PIN_HUGE, 0, &p);
}

/*
 * Who reaps is never refused, takes the memory from the program, and gets
 * nothing of it that is pinned: not while the device writes, and not later.
 */
TEST_F(owner, reaped_by_process_mrelease)
{
	struct death_watch *w = &self->w;
	int pidfd, pages;
	pid_t pid;

	w->pieces = 2;
	MUST(death_run_on(0));
	pid = death_fork(w, write_and_wait);
	ASSERT_LE(0, pid);
	pages = w->shared->answer;
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	ASSERT_LE(0, pidfd);
	ASSERT_TRUE(death_stop_at_exit(w, pid));
	EXPECT_EQ(0, syscall(SYS_process_mrelease, pidfd, 0));
	EXPECT_EQ(pages, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(pages, pd_vmstat_pins() - w->pins);
	EXPECT_STREQ("", death_strays(w));
	EXPECT_EQ(0, pd_result(w->fd, w->shared->last));
	EXPECT_EQ(pages, pd_grown(&w->env, PD_PINNED));
	w->since_ns = pd_now_ns();
	EXPECT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, 0));
	/* It is on its way, and may be gone. */
	if (syscall(SYS_process_mrelease, pidfd, 0))
		EXPECT_EQ(ESRCH, errno);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_OVER(w, 1);
	close(pidfd);
}

FIXTURE(large)
{
	struct death_watch w;
	size_t len;
};

FIXTURE_VARIANT(large)
{
	int advice;
};

FIXTURE_VARIANT_ADD(large, small_pages) { .advice = MADV_NOHUGEPAGE };
FIXTURE_VARIANT_ADD(large, huge_pages) { .advice = MADV_HUGEPAGE };

/*
 * What a machine of 1 GiB has to spare; less where there is less, or where the
 * device has no more bus addresses.
 */
FIXTURE_SETUP(large)
{
	struct sysinfo info;
	__u64 reach;

	DEATH_SETUP(&self->w);
	/* So much memory takes its time to go back, too. */
	self->w.bound_ms = DEATH_BOUND_MS;
	ASSERT_EQ(0, sysinfo(&info));
	reach = 1ULL << (self->w.env.info.out_dma_bits - 2);
	self->len = LARGE;
	/* Debug kernels need 50 ms per MiB; the time is asserted on other kernels only. */
	if (death_kernel_is_slow())
		self->len /= 16;
	while (self->len > info.freeram / 3 * 2 * info.mem_unit ||
	       self->len > reach)
		self->len /= 2;
}

FIXTURE_TEARDOWN(large)
{
	DEATH_TEARDOWN(&self->w);
}

/* In a child: begins to pin what was never touched; flag 2 when it is done. */
static void pin_large(struct death_watch *w, size_t len, int advice)
{
	struct pd_buf p;
	void *mem;

	mem = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHILD(mem != MAP_FAILED);
	madvise(mem, len, advice);
	/* Bound before: that is not what is timed. */
	CHILD(!pd_pin(w->fd, w->shared, w->env.page, 0, &p));
	pd_post(&w->shared->flag, 1);
	CHILD(!pd_pin(w->fd, mem, len, WRITE, &p));
	pd_post(&w->shared->flag, 2);
	for (;;)
		pause();
}

static pid_t fork_large(struct death_watch *w, size_t len, int advice)
{
	pid_t pid;

	if (w->fd < 0)
		w->fd = pd_open(&w->env);
	w->shared->flag = 0;
	pid = fork();
	if (!pid)
		pin_large(w, len, advice);
	return pid > 0 && pd_await(&w->shared->flag, 1) ? pid : -1;
}

static int by_size(const void *a, const void *b)
{
	const long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* P3: a signal is seen in the middle of it, wherever that is. */
TEST_F_TIMEOUT(large, pin_is_cut_short, 110)
{
	struct death_watch *w = &self->w;
	const long long pages = self->len / w->env.page;
	long ms[ROUNDS], whole_ms, took, exit_ms = 0;
	int i, inside = 0;
	long long part;
	__u64 begin;
	pid_t pid;

	pid = fork_large(w, self->len, variant->advice);
	ASSERT_LE(0, pid);
	begin = pd_now_ns();
	ASSERT_TRUE(pd_await(&w->shared->flag, 2));
	whole_ms = pd_ms_since(begin);
	EXPECT_LE(pages, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_STREQ("", death_left(w, 0));
	for (i = 0; i < ROUNDS; i++) {
		close(w->fd);
		w->fd = -1;
		pid = fork_large(w, self->len, variant->advice);
		ASSERT_LE(0, pid);
		/* Somewhere in its first half, as far as it has come. */
		part = pages * (i + 1) / (2 * ROUNDS);
		begin = pd_now_ns();
		while (pd_grown(&w->env, PD_PINNED) < part &&
		       pd_ms_since(begin) < 5000)
			sched_yield();
		inside += *(volatile unsigned int *)&w->shared->flag == 1;
		w->since_ns = pd_now_ns();
		kill(pid, SIGKILL);
		/* The end of it; what its memory then takes is the kernel's. */
		EXPECT_TRUE(pd_count_becomes(&w->env, PD_PINNED,
					     w->env.before.v[PD_PINNED], 5000));
		ms[i] = pd_ms_since(w->since_ns);
		EXPECT_EQ(-SIGKILL, pd_join(pid));
		took = pd_ms_since(w->since_ns);
		if (took > exit_ms)
			exit_ms = took;
		EXPECT_STREQ("", death_left(w, 0));
	}
	EXPECT_STREQ("", death_strays(w));
	qsort(ms, ROUNDS, sizeof(*ms), by_size);
	fprintf(stderr,
		"# large: %zu MiB take %ld ms; SIGKILL to no pin: median %ld ms, max %ld ms, to waitpid %ld ms; %d of %d inside\n",
		self->len >> 20, whole_ms, ms[ROUNDS / 2], ms[ROUNDS - 1],
		exit_ms, inside, ROUNDS);
	/* Else it was none of a pin in the middle. */
	EXPECT_LE(ROUNDS / 2 + 1, inside);
	if (!death_kernel_is_slow())
		EXPECT_GE(KILL_MS, ms[ROUNDS / 2]);
}

/* Hardware that does not stop: what is pinned stays so, and is not lost. */
FIXTURE(hung)
{
	struct death_watch w;
};

FIXTURE_SETUP(hung)
{
	const char *missing;

	DEATH_SETUP(&self->w);
	missing = sim_find(&self->w.env);
	if (missing)
		SKIP(PD_LEAVE_SETUP, "%s", missing);
}

FIXTURE_TEARDOWN(hung)
{
	EXPECT_EQ(0, sim_reset(&self->w.env, sim_delay_us()));
	DEATH_TEARDOWN(&self->w);
}

/* One pin is on the device, one is not. */
static void hang(struct death_watch *w)
{
	struct pd_buf p, idle, src;

	pin_some(w, w->fd, pin_anon, 4 * w->env.page, 0, &idle);
	pin_some(w, w->fd, pin_anon, death_len(w), WRITE, &p);
	CHILD(!pd_alloc(w->fd, death_len(w), 0, &src));
	start(w, w->fd, &src, &p);
}

TEST_F(hung, device_keeps_them)
{
	struct death_watch *w = &self->w;
	const long long pages = death_len(w) / w->env.page;
	const long long bytes = 2 * death_len(w);
	pid_t pid;

	MUST(sim_incurable(&w->env));
	MUST(sim_set_all(&w->env, "hang", 1000));
	pid = death_fork(w, hang);
	ASSERT_LE(0, pid);
	EXPECT_EQ(pages + 4, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	pd_matrix("pin_death:hung", pd_ms_since(w->since_ns), -1,
		  pd_grown(&w->env, PD_QUARANTINED));
	if (!death_kernel_is_slow())
		EXPECT_GE(1500, pd_ms_since(w->since_ns));
	EXPECT_EQ(pages, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(pages, pd_vmstat_pins() - w->pins);
	EXPECT_EQ(bytes, pd_grown(&w->env, PD_QUARANTINED));
	EXPECT_EQ(1, pd_grown(&w->env, PD_JOBS_FAILED));
	/* As long as it takes, and whoever asks for memory. */
	EXPECT_STREQ("", death_strays(w));
	EXPECT_EQ(pages, pd_grown(&w->env, PD_PINNED));

	MUST(sim_reset(&w->env, sim_delay_us()));
	EXPECT_TRUE(pd_count_becomes(&w->env, PD_PINNED,
				     w->env.before.v[PD_PINNED],
				     DEATH_BOUND_MS));
	/* Its memory goes first, then the job. */
	EXPECT_TRUE(pd_count_becomes(&w->env, PD_INFLIGHT,
				     w->env.before.v[PD_INFLIGHT],
				     DEATH_BOUND_MS));
	w->since_ns = pd_now_ns();
	EXPECT_OVER(w, 1);
}

/* ... a pin that has no handle and no memory behind it any more, too. */
TEST_F(hung, device_keeps_what_was_freed)
{
	struct death_watch *w = &self->w;
	const long long pages = death_len(w) / w->env.page;
	pid_t pid;

	MUST(sim_incurable(&w->env));
	MUST(sim_set_all(&w->env, "hang", 1000));
	pid = death_fork(w, free_pin);
	ASSERT_LE(0, pid);
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_EQ(pages, pd_grown(&w->env, PD_PINNED));
	EXPECT_EQ(pages, pd_vmstat_pins() - w->pins);
	MUST(sim_reset(&w->env, sim_delay_us()));
	EXPECT_TRUE(pd_count_becomes(&w->env, PD_PINNED,
				     w->env.before.v[PD_PINNED],
				     DEATH_BOUND_MS));
	/* Its memory goes first, then the job. */
	EXPECT_TRUE(pd_count_becomes(&w->env, PD_INFLIGHT,
				     w->env.before.v[PD_INFLIGHT],
				     DEATH_BOUND_MS));
	w->since_ns = pd_now_ns();
	EXPECT_OVER(w, 1);
}

TEST_HARNESS_MAIN
