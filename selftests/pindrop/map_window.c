// SPDX-License-Identifier: GPL-2.0-only
/* The status window: who may map it, and what it says. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define RW (PROT_READ | PROT_WRITE)

/* @w is the window of @fd, which is not bound yet. */
FIXTURE(window)
{
	struct pd_env env;
	int fd;
	size_t page;
	const volatile struct pindrop_window *w;
};

FIXTURE_SETUP(window)
{
	PD_SETUP(&self->env);
	self->page = self->env.page;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	self->w = pd_window(self->fd);
	ASSERT_NE(NULL, self->w);
}

FIXTURE_TEARDOWN(window)
{
	munmap((void *)self->w, PINDROP_WINDOW_SIZE);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define REFUSED(error, fd, offset, len, prot)                                  \
	do {                                                                   \
		int refused_err;                                               \
		EXPECT_EQ(NULL, pd_mmap(fd, offset, len, prot, &refused_err)); \
		EXPECT_EQ(-(error), refused_err);                              \
	} while (0)

/* With acquire semantics, as the header asks for. */
static __u64 ticket(const volatile struct pindrop_window *w)
{
	return __atomic_load_n(&w->ticket, __ATOMIC_ACQUIRE);
}

static __u64 ended(const volatile struct pindrop_window *w)
{
	return w->jobs_done + w->jobs_failed + w->jobs_cancelled;
}

/* All of the window behind the fields, and the second page. */
static long rest(const volatile struct pindrop_window *w)
{
	return pd_nonzero((const char *)w + sizeof(*w),
			  PINDROP_WINDOW_SIZE - sizeof(*w));
}

TEST_F(window, is_new)
{
	EXPECT_EQ((__u32)PINDROP_STATE_OPEN, self->w->state);
	EXPECT_EQ((__u32)PINDROP_REASON_NONE, self->w->reason);
	EXPECT_EQ(-1, pd_nonzero((void *)self->w, PINDROP_WINDOW_SIZE));
}

TEST_F(window, writing_is_refused)
{
	REFUSED(EACCES, self->fd, 0, PINDROP_WINDOW_SIZE, RW);
	REFUSED(EACCES, self->fd, 0, PINDROP_WINDOW_SIZE, PROT_WRITE);
	REFUSED(EACCES, self->fd, self->page, self->page, RW);
}

TEST_F(window, writing_later_is_refused)
{
	void *w = (void *)self->w;

	EXPECT_EQ(-1, mprotect(w, PINDROP_WINDOW_SIZE, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(w, self->page, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, pd_vmflags(w, "wr"));
	EXPECT_EQ(0, pd_vmflags(w, "mw"));
}

TEST_F(window, write_is_a_fault)
{
	pid_t pid = fork();

	if (!pid) {
		*(volatile __u32 *)self->w = PINDROP_STATE_GONE;
		_exit(0);
	}
	EXPECT_EQ(-SIGSEGV, pd_join(pid));
	EXPECT_EQ((__u32)PINDROP_STATE_OPEN, self->w->state);
}

/* Another's memory, written by its address: a debugger is refused as well. */
TEST_F(window, debugger_cannot_write)
{
	__u32 state = PINDROP_STATE_GONE;
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, pwrite(fd, &state, sizeof(state),
			     (unsigned long)self->w));
	EXPECT_EQ((__u32)PINDROP_STATE_OPEN, self->w->state);
	close(fd);
}

TEST_F(window, exec_is_refused)
{
	struct statvfs fs;

	/* A mount without exec answers before the driver is asked. */
	ASSERT_EQ(0, statvfs(self->env.path, &fs));
	REFUSED(fs.f_flag & ST_NOEXEC ? EPERM : EACCES, self->fd, 0,
		PINDROP_WINDOW_SIZE, PROT_READ | PROT_EXEC);
	EXPECT_EQ(-1, mprotect((void *)self->w, PINDROP_WINDOW_SIZE,
			       PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

/* A copy would not change any more. */
TEST_F(window, private_is_refused)
{
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PINDROP_WINDOW_SIZE, PROT_READ,
				   MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PINDROP_WINDOW_SIZE, RW, MAP_PRIVATE,
				   self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(window, ends_after_its_size)
{
	const size_t size = PINDROP_WINDOW_SIZE;

	REFUSED(EINVAL, self->fd, 0, size + self->page, PROT_READ);
	REFUSED(EINVAL, self->fd, self->page, size, PROT_READ);
	REFUSED(EINVAL, self->fd, size, self->page, PROT_READ);
	REFUSED(EINVAL, self->fd, 0, 1 << 20, PROT_READ);
	EXPECT_EQ(MAP_FAILED, mremap((void *)self->w, size, size + self->page,
				     MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(window, parts_can_be_mapped)
{
	const volatile struct pindrop_window *w;
	unsigned char *second;

	w = pd_mmap(self->fd, 0, sizeof(*w), PROT_READ, NULL);
	ASSERT_NE(NULL, w);
	second = pd_mmap(self->fd, self->page,
			 PINDROP_WINDOW_SIZE - self->page, PROT_READ, NULL);
	ASSERT_NE(NULL, second);
	MUST(pd_run(self->fd, (struct pindrop_job_desc[]){ pd_nop(1) }, 1));
	EXPECT_EQ(1, w->jobs_done);
	/* It is the second page, and not the first again. */
	EXPECT_EQ(-1, pd_nonzero(second, PINDROP_WINDOW_SIZE - self->page));
	munmap(second, PINDROP_WINDOW_SIZE - self->page);
	munmap((void *)w, sizeof(*w));
	EXPECT_EQ(1, self->w->jobs_done);
}

TEST_F(window, is_kept_out_of_dumps)
{
	EXPECT_EQ(1, pd_vmflags((void *)self->w, "dd"));
	EXPECT_EQ(1, pd_vmflags((void *)self->w, "de"));
}

TEST_F(window, read_only_file_has_one)
{
	int fd = open(self->env.path, O_RDONLY | O_CLOEXEC);
	const volatile struct pindrop_window *w;

	ASSERT_LE(0, fd);
	w = pd_window(fd);
	ASSERT_NE(NULL, w);
	EXPECT_EQ((__u32)PINDROP_STATE_OPEN, w->state);
	EXPECT_EQ(-1, mprotect((void *)w, PINDROP_WINDOW_SIZE, RW));
	EXPECT_EQ(EACCES, errno);
	munmap((void *)w, PINDROP_WINDOW_SIZE);
	close(fd);
}

TEST_F(window, counts_handles)
{
	struct pd_buf bufs[5];
	int i;

	for (i = 0; i < 5; i++) {
		MUST(pd_alloc(self->fd, self->page, 0, &bufs[i]));
		EXPECT_EQ(i + 1, self->w->buffers);
	}
	/* Not buffers that are mapped only, nor what was refused. */
	MUST(pd_map(self->fd, &bufs[0]));
	FAILS(EINVAL, pd_alloc(self->fd, 1, 0, &bufs[4]));
	EXPECT_EQ(5, self->w->buffers);
	MUST(pd_free(self->fd, bufs[0].handle));
	EXPECT_EQ(4, self->w->buffers);
	FAILS(ENOENT, pd_free(self->fd, bufs[0].handle));
	EXPECT_EQ(4, self->w->buffers);
	MUST(pd_unmap(&bufs[0]));
	EXPECT_EQ(4, self->w->buffers);
	for (i = 1; i < 4; i++)
		MUST(pd_free(self->fd, bufs[i].handle));
	EXPECT_EQ(1, self->w->buffers);
}

TEST_F(window, refused_handle_is_not_counted)
{
	unsigned int max = self->env.info.out_max_handles, i;
	struct pd_buf buf;

	for (i = 0; i < max; i++)
		MUST(pd_alloc(self->fd, self->page, 0, &buf));
	EXPECT_EQ(max, self->w->buffers);
	FAILS(EDQUOT, pd_alloc(self->fd, self->page, 0, &buf));
	EXPECT_EQ(max, self->w->buffers);
}

TEST_F(window, follows_jobs)
{
	struct pindrop_job_desc jobs[5];
	struct pindrop_submit sub;
	__u64 total = 0;
	unsigned int n, i;

	for (n = 1; n <= ARRAY_LEN(jobs); n++) {
		for (i = 0; i < n; i++)
			jobs[i] = pd_nop(i);
		MUST(pd_submit(self->fd, jobs, n, &sub));
		EXPECT_EQ(sub.out_last, self->w->submitted);
		MUST(pd_wait(self->fd, sub.out_last, PD_FOREVER, NULL));
		total += n;
		EXPECT_EQ(sub.out_last, ticket(self->w));
		EXPECT_EQ(sub.out_last, self->w->submitted);
		EXPECT_EQ(total, self->w->jobs_done);
		EXPECT_EQ(0, self->w->jobs_failed);
		EXPECT_EQ(0, self->w->jobs_cancelled);
	}
	EXPECT_EQ(-1, rest(self->w));
	EXPECT_EQ((__u32)PINDROP_STATE_OPEN, self->w->state);
}

/* It is enough to look: no system call is needed to see the end. */
TEST_F(window, ticket_comes_without_wait)
{
	struct pindrop_job_desc job = pd_nop(1);
	__u64 start = pd_now_ns();
	struct pindrop_submit sub;

	MUST(pd_submit(self->fd, &job, 1, &sub));
	while (ticket(self->w) < sub.out_last && pd_ms_since(start) < 5000)
		pd_sleep_ms(1);
	EXPECT_EQ(sub.out_last, ticket(self->w));
	EXPECT_EQ(1, self->w->jobs_done);
}

TEST_F(window, refused_jobs_are_not_counted)
{
	struct pindrop_job_desc jobs[2] = { pd_nop(1), pd_nop(2) };

	jobs[1].op = 77;
	FAILS(EOPNOTSUPP, pd_submit(self->fd, jobs, 2, NULL));
	EXPECT_EQ(0, self->w->submitted);
	EXPECT_EQ(0, ticket(self->w));
	EXPECT_EQ(0, ended(self->w));
}

TEST_F(window, is_of_one_context)
{
	struct pindrop_job_desc job = pd_nop(1);
	int other = pd_open(&self->env);
	struct pd_buf buf;

	ASSERT_LE(0, other);
	MUST(pd_alloc(other, self->page, 0, &buf));
	MUST(pd_run(other, &job, 1));
	EXPECT_EQ(-1, pd_nonzero((void *)self->w, PINDROP_WINDOW_SIZE));
	close(other);
}

TEST_F(window, foreign_process_may_look)
{
	unsigned int *talk = pd_shared_page();
	struct pindrop_job_desc job = pd_nop(1);
	struct pd_buf buf;
	pid_t pid;

	ASSERT_NE(NULL, talk);
	pid = fork();
	if (!pid) {
		const volatile struct pindrop_window *w;

		/* Before there is an owner, and looking makes none. */
		w = pd_window(self->fd);
		CHILD(w);
		CHILD(w->state == PINDROP_STATE_OPEN && !w->buffers);
		pd_post(&talk[0], 1);
		CHILD(pd_await(&talk[1], 1));
		CHILD(w->buffers == 1 && w->jobs_done == 1);
		CHILD(self->w->buffers == 1 && self->w->jobs_done == 1);
		w = pd_window(self->fd);
		CHILD(w);
		CHILD(w->buffers == 1 && w->jobs_done == 1);
		_exit(0);
	}
	EXPECT_TRUE(pd_await(&talk[0], 1));
	EXPECT_EQ(0, pd_alloc(self->fd, self->page, 0, &buf));
	EXPECT_EQ(0, pd_run(self->fd, &job, 1));
	pd_post(&talk[1], 1);
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ((__u32)PINDROP_STATE_OPEN, self->w->state);
}

/* Copies that take the engine a while, in whichever direction it has. */
static int start_copies(const struct pd_env *env, int fd, unsigned int n)
{
	const __u64 caps = env->info.out_caps;
	struct pindrop_job_desc jobs[8];
	size_t len = env->page / 4;
	struct pd_buf a, b;
	unsigned int i;
	int err;

	err = pd_alloc(fd, env->page, 0, &a);
	if (!err)
		err = pd_alloc(fd, env->page, 0, &b);
	if (err)
		return err;
	for (i = 0; i < n; i++)
		jobs[i] = caps & PINDROP_CAP_MEM_TO_MEM ?
				  pd_copy(&a, 0, &b, 0, len) :
				  pd_copy(&a, 0, NULL, 0, len);
	return pd_submit(fd, jobs, n, NULL);
}

TEST_F(window, tells_of_the_owners_death)
{
	const volatile struct pindrop_window *w;
	pid_t pid = fork();

	if (!pid) {
		CHILD(!start_copies(&self->env, self->fd, 8));
		_exit(0);
	}
	ASSERT_EQ(0, pd_join(pid));
	/* As far as it is when a process is gone, on a healthy device. */
	EXPECT_EQ((__u32)PINDROP_STATE_DRAINED, self->w->state);
	EXPECT_EQ((__u32)PINDROP_REASON_OWNER, self->w->reason);
	EXPECT_EQ(0, self->w->buffers);
	EXPECT_EQ(8, self->w->submitted);
	EXPECT_EQ(8, ticket(self->w));
	EXPECT_EQ(8, ended(self->w));
	EXPECT_EQ(0, self->w->jobs_failed);
	EXPECT_EQ(-1, rest(self->w));
	/* It can still be mapped. */
	w = pd_window(self->fd);
	ASSERT_NE(NULL, w);
	EXPECT_EQ((__u32)PINDROP_STATE_DRAINED, w->state);
	EXPECT_EQ((__u32)PINDROP_REASON_OWNER, w->reason);
	munmap((void *)w, PINDROP_WINDOW_SIZE);
}

/* What was queued behind the first copy never starts. */
TEST_F(window, counts_cancelled_jobs)
{
	pid_t pid = fork();

	if (!pid) {
		CHILD(!start_copies(&self->env, self->fd, 8));
		kill(getpid(), SIGKILL);
		_exit(0);
	}
	ASSERT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_LT(0, self->w->jobs_cancelled);
	EXPECT_EQ(8, ended(self->w));
}

/*
 * A mapping holds the file: closing the last descriptor is not its end, and
 * its context goes on.
 */
TEST_F(window, holds_the_file)
{
	const volatile struct pindrop_window *w = self->w;
	struct pindrop_job_desc job = pd_nop(1);
	__u64 start = pd_now_ns();
	struct pd_buf buf;

	MUST(pd_alloc(self->fd, self->page, 0, &buf));
	MUST(pd_submit(self->fd, &job, 1, NULL));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(1, pd_grown(&self->env, PD_CONTEXTS));
	EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
	while (ticket(w) < 1 && pd_ms_since(start) < 5000)
		pd_sleep_ms(1);
	EXPECT_EQ(1, ticket(w));
	EXPECT_EQ(1, w->jobs_done);
	EXPECT_EQ(1, w->buffers);
	EXPECT_EQ((__u32)PINDROP_STATE_OPEN, w->state);
	EXPECT_EQ((__u32)PINDROP_REASON_NONE, w->reason);
	munmap((void *)w, PINDROP_WINDOW_SIZE);
	self->w = NULL;
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_CONTEXTS,
				     self->env.before.v[PD_CONTEXTS], 2000));
}

/* Page by page, in both orders: the rest stays readable. */
TEST_F(window, outlives_a_part_of_it)
{
	struct pindrop_job_desc job = pd_nop(1);
	const volatile struct pindrop_window *w;

	w = pd_window(self->fd);
	ASSERT_NE(NULL, w);
	ASSERT_EQ(0, munmap((char *)w + self->page, self->page));
	ASSERT_EQ(0, munmap((void *)self->w, self->page));
	MUST(pd_run(self->fd, &job, 1));
	EXPECT_EQ(1, w->jobs_done);
	EXPECT_EQ(-1, pd_nonzero((char *)self->w + self->page, self->page));
	munmap((void *)w, self->page);
}

TEST_F(window, outlives_fork_and_moves)
{
	const size_t size = PINDROP_WINDOW_SIZE;
	struct pindrop_job_desc job = pd_nop(1);
	const volatile struct pindrop_window *w;
	void *to;
	pid_t pid;

	MUST(pd_run(self->fd, &job, 1));
	pid = fork();
	if (!pid) {
		CHILD(self->w->jobs_done == 1);
		CHILD(!munmap((void *)self->w, size));
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, to);
	w = mremap((void *)self->w, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to);
	ASSERT_EQ(to, (void *)w);
	self->w = w;
	EXPECT_EQ(1, w->jobs_done);
	MUST(pd_run(self->fd, &job, 1));
	EXPECT_EQ(2, w->jobs_done);
}

TEST_HARNESS_MAIN
