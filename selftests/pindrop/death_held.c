// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * Something of the owner's outlasts it: a file in somebody's hands, in a
 * socket, a ring or a poll, or the address space itself.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"

#define READERS 2
#define ROUNDS 6

FIXTURE(file)
{
	struct death_watch w;
	int pair[2];
};

FIXTURE_SETUP(file)
{
	DEATH_SETUP(&self->w);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				self->pair));
}

FIXTURE_TEARDOWN(file)
{
	close(self->pair[0]);
	close(self->pair[1]);
	DEATH_TEARDOWN(&self->w);
}

/* A file of its own, which only @hold keeps; its mappings would, too. */
static int start_alone(struct death_watch *w)
{
	int fd = pd_open(&w->env);
	struct pd_buf src, dst;

	death_start(w, fd, &src, &dst);
	CHILD(!pd_unmap(&src));
	CHILD(!pd_unmap(&dst));
	return fd;
}

/* The owner is killed; who was given its file is told, and can let it go. */
TEST_F(file, passed_on_by_its_owner)
{
	struct pindrop_job_desc nop = pd_nop(0);
	struct death_watch *w = &self->w;
	struct pollfd p = { .events = POLLIN };
	struct pindrop_wait wait;
	struct pd_buf buf;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = start_alone(w);

		CHILD(!death_send_fds(self->pair[0], &fd, 1));
		CHILD(!close(fd));
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(w));
	p.fd = death_receive_fd(self->pair[1]);
	ASSERT_LE(0, p.fd);
	FAILS(EPERM, pd_submit(p.fd, &nop, 1, NULL));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_EQ(2, pd_grown(&w->env, PD_CONTEXTS));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN | POLLERR | POLLHUP, p.revents);
	FAILS(EOWNERDEAD, pd_submit(p.fd, &nop, 1, NULL));
	FAILS(EOWNERDEAD, pd_alloc(p.fd, w->env.page, 0, &buf));
	MUST(pd_wait(p.fd, w->shared->last, 0, &wait));
	EXPECT_EQ(-ECANCELED, wait.out_result);
	close(p.fd);
	EXPECT_EQ(1, pd_grown(&w->env, PD_CONTEXTS));
}

/* The socket is on its way in itself: only the kernel's collector ends that. */
TEST_F(file, in_flight_in_a_dead_socket)
{
	struct death_watch *w = &self->w;
	int pair[2];
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		int fd[3] = { start_alone(w), self->pair[0], self->pair[1] };

		CHILD(!death_send_fds(self->pair[0], fd, 3));
		CHILD(!close(fd[0]));
		CHILD(!close(fd[1]));
		CHILD(!close(fd[2]));
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	close(self->pair[0]);
	close(self->pair[1]);
	ASSERT_TRUE(death_ready(w));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
	/* The next socket that is closed has it look. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	close(pair[0]);
	close(pair[1]);
	EXPECT_TRUE(pd_count_becomes(&w->env, PD_CONTEXTS,
				     w->env.before.v[PD_CONTEXTS] + 1,
				     DEATH_BOUND_MS));
	self->pair[0] = -1;
	self->pair[1] = -1;
}

struct ring {
	int fd;
	unsigned int *tail, *array;
	struct io_uring_sqe *sqes;
};

static int ring_create(struct ring *r)
{
	struct io_uring_params p = {};
	char *sq;

	r->fd = syscall(SYS_io_uring_setup, 4, &p);
	if (r->fd < 0)
		return -errno;
	sq = mmap(NULL, p.sq_off.array + 4 * sizeof(int),
		  PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		  IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, 4 * sizeof(*r->sqes), PROT_READ | PROT_WRITE,
		       MAP_SHARED, r->fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || r->sqes == MAP_FAILED)
		return -errno;
	r->tail = (unsigned int *)(sq + p.sq_off.tail);
	r->array = (unsigned int *)(sq + p.sq_off.array);
	return 0;
}

static void held_by_ring(int fd)
{
	struct ring r;

	CHILD(!ring_create(&r));
	CHILD(!syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_FILES, &fd,
		       1));
}

static void polled_by_ring(int fd)
{
	struct ring r;

	CHILD(!ring_create(&r));
	memset(r.sqes, 0, sizeof(*r.sqes));
	r.sqes->opcode = IORING_OP_POLL_ADD;
	r.sqes->fd = fd;
	r.sqes->poll32_events = POLLIN;
	r.array[0] = 0;
	__atomic_store_n(r.tail, 1, __ATOMIC_RELEASE);
	CHILD(syscall(SYS_io_uring_enter, r.fd, 1, 0, 0, NULL, 0) == 1);
}

/* The kernel waits for these before it tells us of the death. */
static void polled_by_aio(int fd)
{
	struct iocb cb = {
		.aio_fildes = fd,
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_buf = POLLIN,
	};
	struct iocb *list[] = { &cb };
	aio_context_t ctx = 0;

	CHILD(!syscall(SYS_io_setup, 4, &ctx));
	CHILD(syscall(SYS_io_submit, ctx, 1, list) == 1);
}

FIXTURE(async)
{
	struct death_watch w;
};

FIXTURE_VARIANT(async)
{
	void (*hold)(int fd);
};

FIXTURE_VARIANT_ADD(async, io_uring_file) { .hold = held_by_ring };
FIXTURE_VARIANT_ADD(async, io_uring_poll) { .hold = polled_by_ring };
FIXTURE_VARIANT_ADD(async, libaio_poll) { .hold = polled_by_aio };

FIXTURE_SETUP(async)
{
	DEATH_SETUP(&self->w);
}

FIXTURE_TEARDOWN(async)
{
	DEATH_TEARDOWN(&self->w);
}

/* No descriptor is left; what holds the file ends in its own time. */
TEST_F(async, holds_the_file_at_death)
{
	struct death_watch *w = &self->w;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = start_alone(w);

		variant->hold(fd);
		CHILD(!close(fd));
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(w));
	/* It is held, and what was armed has not fired. */
	EXPECT_EQ(2, pd_grown(&w->env, PD_CONTEXTS));
	EXPECT_EQ(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_TRUE(pd_count_becomes(&w->env, PD_CONTEXTS,
				     w->env.before.v[PD_CONTEXTS] + 1,
				     DEATH_BOUND_MS));
}

FIXTURE(space)
{
	struct death_watch w;
	const volatile struct pindrop_window *window;
};

FIXTURE_SETUP(space)
{
	DEATH_SETUP(&self->w);
	self->window = pd_window(self->w.fd);
	ASSERT_NE(NULL, self->window);
}

FIXTURE_TEARDOWN(space)
{
	if (self->window)
		munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	DEATH_TEARDOWN(&self->w);
}

static void copy(struct death_watch *w)
{
	struct pd_buf src, dst;

	death_start(w, w->fd, &src, &dst);
}

/* A copy that gets done, and one behind it. */
static void copy_twice(struct death_watch *w)
{
	struct pd_buf src, dst;

	death_start(w, w->fd, &src, &dst);
	CHILD(pd_start(w->fd, &src, &dst, src.len));
}

static int open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The structure stays, which delays nobody; what it was is gone. */
TEST_F(space, kept_by_an_open_proc_mem)
{
	struct death_watch *w = &self->w;
	char byte;
	pid_t pid;
	int mem;

	pid = death_fork(w, copy);
	ASSERT_LE(0, pid);
	mem = open_proc(pid, "mem");
	ASSERT_LE(0, mem);
	ASSERT_EQ(1, pread(mem, &byte, 1, (unsigned long)w->shared));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_EQ(0, pread(mem, &byte, 1, (unsigned long)w->shared));
	/* All that is ours ends before it does. */
	munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	self->window = NULL;
	close(w->fd);
	w->fd = -1;
	EXPECT_EQ(0, pd_grown(&w->env, PD_CONTEXTS));
	close(mem);
}

struct reader {
	int fd;
	char *to;
	unsigned long from;
	ssize_t len;
};

static void *read_memory(void *arg)
{
	struct reader *r = arg;

	r->len = pread(r->fd, r->to, 1, r->from);
	return NULL;
}

/* A page that whoever touches it waits for. */
static int slow_page(size_t page, char **mem)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	*mem = mmap(NULL, page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (unsigned long)*mem;
	reg.range.len = page;
	if (fd < 0 || *mem == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &reg))
		return -errno;
	return fd;
}

/*
 * P2: who reads its memory holds the address space, here in the middle of the
 * read. It is over when that returns.
 */
TEST_F(space, kept_by_a_reader_of_proc_mem)
{
	struct death_watch *w = &self->w;
	struct uffdio_zeropage zero = { .range.len = w->env.page };
	struct reader r = { .from = (unsigned long)w->shared };
	pthread_t thread;
	struct pollfd p;
	pid_t pid;

	p.fd = slow_page(w->env.page, &r.to);
	p.events = POLLIN;
	ASSERT_LE(0, p.fd);
	pid = death_fork(w, copy);
	ASSERT_LE(0, pid);
	r.fd = open_proc(pid, "mem");
	ASSERT_LE(0, r.fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_memory, &r));
	ASSERT_EQ(1, poll(&p, 1, 10000));
	ASSERT_EQ(POLLIN, p.revents);
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_GT(DEATH_BOUND_MS, pd_ms_since(w->since_ns));
	EXPECT_EQ(PINDROP_STATE_OPEN, self->window->state);
	EXPECT_EQ(1, pd_count(&w->env, PD_INFLIGHT));
	EXPECT_EQ((long long)(2 * death_len(w)), pd_grown(&w->env, PD_BYTES));

	w->since_ns = pd_now_ns();
	zero.range.start = (unsigned long)r.to;
	EXPECT_EQ(0, ioctl(p.fd, UFFDIO_ZEROPAGE, &zero));
	pthread_join(thread, NULL);
	EXPECT_OVER(w, 1);
	EXPECT_EQ(1, r.len);
	EXPECT_EQ(PINDROP_STATE_DRAINED, self->window->state);
	close(p.fd);
	close(r.fd);
	munmap(r.to, w->env.page);
}

struct storm {
	int fd;
	bool stop;
};

static void *read_maps(void *arg)
{
	struct storm *s = arg;
	char text[4096];

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE))
		if (pread(s->fd, text, sizeof(text), 0) < 0)
			break;
	return NULL;
}

/* Readers that come and go: one of them may be the last to leave. */
TEST_F(space, kept_by_readers_of_proc_maps)
{
	struct death_watch *w = &self->w;
	pthread_t thread[READERS];
	struct storm s;
	int round, i;
	pid_t pid;

	for (round = 0; round < ROUNDS; round++) {
		if (w->fd < 0)
			w->fd = pd_open(&w->env);
		w->ended = pd_jobs_ended(&w->env);
		w->shared->flag = 0;
		pid = death_fork(w, copy);
		ASSERT_LE(0, pid);
		s.stop = false;
		s.fd = open_proc(pid, "maps");
		ASSERT_LE(0, s.fd);
		for (i = 0; i < READERS; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, read_maps,
						    &s));
		pd_sleep_ms(2);
		EXPECT_EQ(-SIGKILL, death_kill(w, pid));
		__atomic_store_n(&s.stop, true, __ATOMIC_RELEASE);
		for (i = 0; i < READERS; i++)
			pthread_join(thread[i], NULL);
		EXPECT_STREQ("", death_left(w, 1));
		close(s.fd);
		close(w->fd);
		w->fd = -1;
	}
	EXPECT_STREQ("", death_strays(w));
}

static void copy_elsewhere(struct death_watch *w)
{
	CHILD(!death_run_on(1));
	copy(w);
}

/*
 * It ends on a processor that has nothing else to do: the kernel's own threads
 * go on with its page tables.
 */
TEST_F(space, kept_by_an_idle_processor)
{
	struct death_watch *w = &self->w;
	pid_t pid;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one processor only");
	MUST(death_run_on(0));
	pid = death_fork(w, copy_elsewhere);
	ASSERT_LE(0, pid);
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_OVER(w, 1);
	EXPECT_EQ(PINDROP_STATE_DRAINED, self->window->state);
}

/* The owner is as alive as it was; then it is not. */
#define EXPECT_ALIVE(w)                                                   \
	do {                                                              \
		struct pindrop_wait alive;                                \
		MUST(pd_wait((w)->fd, (w)->shared->last, 10000, &alive)); \
		EXPECT_EQ(0, alive.out_result);                           \
		EXPECT_EQ(PINDROP_STATE_OPEN, self->window->state);       \
		EXPECT_EQ((long long)(2 * death_len(w)),                  \
			  pd_grown(&(w)->env, PD_BYTES));                 \
		pd_sleep_ms((w)->into_ms);                                \
		EXPECT_EQ(1, pd_count(&(w)->env, PD_INFLIGHT));           \
	} while (0)

TEST_F(space, kept_by_a_debugger_at_exit)
{
	struct death_watch *w = &self->w;
	pid_t pid;

	w->pieces = 2;
	pid = death_fork(w, copy_twice);
	ASSERT_LE(0, pid);
	ASSERT_TRUE(death_stop_at_exit(w, pid));
	EXPECT_ALIVE(w);
	w->since_ns = pd_now_ns();
	EXPECT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, 0));
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_OVER(w, 2);
}

/* What can be had of it is taken before it ends: not what the device uses. */
TEST_F(space, reaped_by_process_mrelease)
{
	struct death_watch *w = &self->w;
	int pidfd;
	pid_t pid;

	w->pieces = 2;
	pid = death_fork(w, copy_twice);
	ASSERT_LE(0, pid);
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	ASSERT_LE(0, pidfd);
	ASSERT_TRUE(death_stop_at_exit(w, pid));
	EXPECT_EQ(0, syscall(SYS_process_mrelease, pidfd, 0));
	EXPECT_ALIVE(w);
	w->since_ns = pd_now_ns();
	EXPECT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, 0));
	/* It is on its way, and may be gone. */
	if (syscall(SYS_process_mrelease, pidfd, 0))
		EXPECT_EQ(ESRCH, errno);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_OVER(w, 2);
	close(pidfd);
}

TEST_HARNESS_MAIN
