// SPDX-License-Identifier: GPL-2.0-only
/* The device is taken from its driver while it is in use, and given back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define BOUND_MS 2000

FIXTURE(removal)
{
	struct pd_env env;
	char driver[PATH_MAX];
	int fd, other;
	struct pd_buf src, dst;
	const volatile struct pindrop_window *window;
	bool bound;
	unsigned int *flag;
};

struct submitter {
	int fd;
	const struct pd_buf *src, *dst;
	struct pindrop_job_desc *jobs;
	__u64 last;
	int error;
};

#define UNBIND() pd_write_in(self->driver, "unbind", self->env.info.out_device)
#define BIND() pd_write_in(self->driver, "bind", self->env.info.out_device)

FIXTURE_SETUP(removal)
{
	char link[128];

	PD_SETUP(&self->env);
	snprintf(link, sizeof(link), "%s/device/driver", self->env.sysfs);
	ASSERT_NE(NULL, realpath(link, self->driver));
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
	self->fd = pd_open(&self->env);
	self->other = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	MUST(pd_create(self->fd, 8 * self->env.page, &self->src));
	MUST(pd_create(self->fd, 8 * self->env.page, &self->dst));
	pd_fill(self->src.map, self->src.len, 1);
	self->window = pd_window(self->fd);
	ASSERT_NE(NULL, self->window);
	self->bound = true;
}

/* Nobody holds the old node when the device comes back: it has the same. */
FIXTURE_TEARDOWN(removal)
{
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	close(self->fd);
	close(self->other);
	if (!self->bound) {
		__u64 begin = pd_now_ns();

		/* A reaper may still hold it. */
		pd_sleep_ms(50);
		EXPECT_EQ(0, BIND());
		while (access(self->env.path, F_OK) &&
		       pd_ms_since(begin) < BOUND_MS)
			pd_sleep_ms(5);
	}
	PD_TEARDOWN(&self->env);
}

static sigjmp_buf after_fault;

static void on_fault(int sig)
{
	siglongjmp(after_fault, sig);
}

/* The signal that reading a byte raises, or 0. */
static int reading(const volatile unsigned char *byte)
{
	struct sigaction sa = { .sa_handler = on_fault }, bus, segv;
	int sig;

	sigaction(SIGBUS, &sa, &bus);
	sigaction(SIGSEGV, &sa, &segv);
	sig = sigsetjmp(after_fault, 1);
	if (!sig)
		(void)*byte;
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return sig;
}

/* P5: all who use it are told, each in the way that they look. */
TEST_F(removal, tells_everybody)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	struct pindrop_job_desc nop = pd_nop(0);
	struct pindrop_info info;
	struct pindrop_wait wait;
	struct pd_buf buf, src, dst;
	__u64 begin = pd_now_ns();
	size_t jobs_len;

	/* More than the hardware is given at a time. */
	jobs_len = (self->env.info.out_depth + 2) *
			   self->env.info.out_max_piece +
		   self->env.page - 1;
	jobs_len -= jobs_len % self->env.page;
	MUST(pd_alloc(self->fd, jobs_len, 0, &src));
	MUST(pd_alloc(self->fd, jobs_len, 0, &dst));
	ASSERT_EQ(1, pd_start(self->fd, &src, &dst, jobs_len));
	MUST(UNBIND());
	self->bound = false;
	EXPECT_GT(BOUND_MS, pd_ms_since(begin));

	EXPECT_EQ(PINDROP_STATE_GONE, self->window->state);
	EXPECT_EQ(PINDROP_REASON_REMOVE, self->window->reason);
	EXPECT_EQ(1, self->window->ticket);
	EXPECT_EQ(1, self->window->jobs_cancelled);
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN | POLLERR | POLLHUP, p.revents);
	MUST(pd_wait(self->fd, 1, 0, &wait));
	EXPECT_EQ(-ENODEV, wait.out_result);
	EXPECT_EQ(PINDROP_STATE_GONE, wait.out_state);
	MUST(pd_info(self->fd, &info));
	EXPECT_STREQ(self->env.info.out_device, info.out_device);

	FAILS(ENODEV, pd_alloc(self->fd, self->env.page, 0, &buf));
	FAILS(ENODEV, pd_submit(self->fd, &nop, 1, NULL));
	FAILS(ENODEV, pd_free(self->fd, self->src.handle));
	FAILS(ENODEV, pd_sync(self->fd, self->src.handle,
			      PINDROP_SYNC_BEGIN | PINDROP_SYNC_READ, 0, 1));
	/* It had never been used. */
	FAILS(ENODEV, pd_alloc(self->other, self->env.page, 0, &buf));
	EXPECT_EQ(NULL, pd_mmap(self->fd, self->src.offset, self->src.len,
				PROT_READ, NULL));
}

/* Mapped memory stays where it is, but nobody gets at it any more. */
TEST_F(removal, takes_the_mappings)
{
	unsigned char *never = pd_mmap(self->fd, self->src.offset,
				       self->src.len, PROT_READ, NULL);

	ASSERT_NE(NULL, never);
	EXPECT_EQ(0, reading(self->src.map));
	MUST(UNBIND());
	self->bound = false;
	EXPECT_EQ(SIGBUS, reading(self->src.map));
	EXPECT_EQ(SIGBUS, reading(self->dst.map + self->dst.len - 1));
	EXPECT_EQ(SIGBUS, reading(never));
	munmap(never, self->src.len);
}

/* An old file stays dead, a new one has nothing of it. */
TEST_F(removal, is_for_good)
{
	struct pindrop_job_desc nop = pd_nop(0);
	char name[280];
	int fd, minor;

	MUST(UNBIND());
	self->bound = false;
	MUST(BIND());
	self->bound = true;
	FAILS(ENODEV, pd_submit(self->fd, &nop, 1, NULL));
	EXPECT_EQ(PINDROP_STATE_GONE, self->window->state);
	/* The old node's number is taken while its files are open. */
	for (minor = 0, fd = -1; minor < 256 && fd < 0; minor++) {
		snprintf(name, sizeof(name), "/dev/pindrop%d", minor);
		fd = open(name, O_RDWR | O_CLOEXEC);
	}
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, pd_run(fd, &nop, 1));
	close(fd);
	/* For the programs that come: the first number again. */
	MUST(UNBIND());
	self->bound = false;
}

/*
 * P2: the owner dies while its device is being removed. The removal has begun
 * to wait for the hardware; the death waits as well.
 */
TEST_F(removal, does_not_shorten_a_death)
{
	const volatile struct pindrop_window *window = pd_window(self->other);
	pid_t owner, remover;

	ASSERT_NE(NULL, window);
	owner = fork();
	ASSERT_LE(0, owner);
	if (!owner) {
		struct pd_buf src, dst;
		const size_t len = self->env.info.out_max_piece;

		CHILD(!pd_create(self->other, len * 2, &src));
		CHILD(!pd_create(self->other, len * 2, &dst));
		CHILD(pd_start(self->other, &src, &dst, len) == 1);
		pd_post(self->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(pd_await(self->flag, 1));
	remover = fork();
	ASSERT_LE(0, remover);
	if (!remover) {
		CHILD(!UNBIND());
		_exit(0);
	}
	while (window->state != PINDROP_STATE_GONE)
		pd_sleep_ms(1);
	self->bound = false;
	kill(owner, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(owner));
	EXPECT_EQ(1, window->ticket);
	EXPECT_EQ(0, pd_join(remover));
	munmap((void *)window, PINDROP_WINDOW_SIZE);
}

/* All that can be done while the device goes, as often as possible. */
static void *submit_on_and_on(void *data)
{
	static struct pindrop_job_desc jobs[1024];
	struct submitter *s = data;
	struct pindrop_submit sub;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_LEN(jobs); i++)
		jobs[i] = pd_copy(s->src, 0, s->dst, 0, 64);
	do {
		err = pd_submit(s->fd, jobs, ARRAY_LEN(jobs), &sub);
		if (!err)
			s->last = sub.out_last;
	} while (!err || err == -EDQUOT);
	s->error = err;
	return NULL;
}

/* K0: each job that was taken has an end, though it came with the removal. */
TEST_F(removal, cuts_submission_off)
{
	struct submitter s = {
		.fd = self->fd, .src = &self->src, .dst = &self->dst,
	};
	struct pindrop_wait wait;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_on_and_on, &s));
	while (self->window->submitted < 4096)
		pd_sleep_ms(1);
	MUST(UNBIND());
	self->bound = false;
	pthread_join(thread, NULL);
	EXPECT_EQ(-ENODEV, s.error);
	MUST(pd_wait(self->fd, s.last, BOUND_MS, &wait));
	EXPECT_EQ(s.last, self->window->jobs_done +
				  self->window->jobs_cancelled);
}

static void *sync_on_and_on(void *data)
{
	struct submitter *s = data;
	const __u64 begin = pd_now_ns();

	do {
		s->error = pd_sync(s->fd, s->dst->handle,
				   PINDROP_SYNC_BEGIN | PINDROP_SYNC_READ, 0,
				   s->dst->len);
		s->last++;
	} while (!s->error && pd_ms_since(begin) < 2 * BOUND_MS);
	return NULL;
}

/* The mapping that SYNC goes by is there as long as it is let in. */
TEST_F(removal, ends_a_sync)
{
	struct pd_buf large;
	struct submitter s = { .fd = self->fd, .dst = &large };
	pthread_t thread;
	__u64 begin;

	MUST(pd_create(self->fd, 4 << 20, &large));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sync_on_and_on, &s));
	while (!*(volatile __u64 *)&s.last)
		pd_sleep_ms(1);
	begin = pd_now_ns();
	MUST(UNBIND());
	self->bound = false;
	pthread_join(thread, NULL);
	EXPECT_GT(BOUND_MS, pd_ms_since(begin));
	EXPECT_EQ(-ENODEV, s.error);
	pd_unmap(&large);
}

/* A page that is not there until somebody says what is in it. */
static void *slow_page(size_t page, int *uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;
	void *mem;

	*uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (*uffd < 0 || ioctl(*uffd, UFFDIO_API, &api))
		return NULL;
	mem = mmap(NULL, page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg = (struct uffdio_register){
		.range = { .start = (unsigned long)mem, .len = page },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	return ioctl(*uffd, UFFDIO_REGISTER, &reg) ? NULL : mem;
}

static void *submit_slowly(void *data)
{
	struct submitter *s = data;

	s->error = pd_submit(s->fd, s->jobs, 1, NULL);
	return NULL;
}

/*
 * I4: who has been let in and reads his jobs from slow memory does not hold the
 * removal up, and gets nothing in after it.
 */
TEST_F(removal, does_not_wait_for_slow_memory)
{
	struct pindrop_job_desc nop = pd_nop(0);
	struct uffdio_copy copy = { .len = self->env.page };
	struct submitter s = { .fd = self->fd };
	void *page = malloc(self->env.page);
	struct uffd_msg msg;
	pthread_t thread;
	__u64 begin;
	int uffd;

	ASSERT_NE(NULL, page);
	memcpy(page, &nop, sizeof(nop));
	s.jobs = slow_page(self->env.page, &uffd);
	ASSERT_NE(NULL, s.jobs);
	/* Binding is over. */
	EXPECT_EQ(0, pd_run(self->fd, &nop, 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_slowly, &s));
	ASSERT_EQ(sizeof(msg), read(uffd, &msg, sizeof(msg)));
	begin = pd_now_ns();
	MUST(UNBIND());
	self->bound = false;
	EXPECT_GT(BOUND_MS, pd_ms_since(begin));
	copy.dst = (unsigned long)s.jobs;
	copy.src = (unsigned long)page;
	EXPECT_EQ(0, ioctl(uffd, UFFDIO_COPY, &copy));
	pthread_join(thread, NULL);
	EXPECT_EQ(-ENODEV, s.error);
	EXPECT_EQ(1, self->window->submitted);
	close(uffd);
	munmap(s.jobs, self->env.page);
	free(page);
}

TEST_HARNESS_MAIN
