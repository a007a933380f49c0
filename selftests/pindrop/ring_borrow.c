// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plain addresses in a ring, and an owner that dies while somebody is at them:
 * the thread with his address space borrowed, or he himself on a page that
 * never comes.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "ring_utils.h"

#define THREAD_MS 2000
/* How often an owner dies until the thread was the last to have his memory. */
#define ROUNDS 100

#define EVENT "workqueue/workqueue_execute_start"

FIXTURE(borrow)
{
	struct death_watch w;
	/* Pages that the thread can pin in one go, as many as it will. */
	size_t most;
};

FIXTURE_SETUP(borrow)
{
	DEATH_SETUP(&self->w);
	self->most = 512 * self->w.env.page;
}

FIXTURE_TEARDOWN(borrow)
{
	ring_trace_end();
	DEATH_TEARDOWN(&self->w);
}

/*
 * In a child: entries that have the thread pin as much as it does in one go,
 * and let go of it at once, since the other side does not exist.
 */
static void keep_borrowed(struct death_watch *w, size_t len)
{
	struct pindrop_job_desc job = { .op = PINDROP_OP_COPY,
					.flags = PINDROP_SQE_SRC_ADDR,
					.dst = 12345,
					.length = len };
	struct pindrop_cqe cqe;
	struct ring r;
	void *mem;

	mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHILD(mem != MAP_FAILED);
	/* Small pages take the thread longer than all else that it does. */
	madvise(mem, len, MADV_NOHUGEPAGE);
	memset(mem, 1, len);
	job.src_offset = (unsigned long)mem;
	CHILD(!ring_open(w->fd, 8192, PINDROP_RING_THREAD, &r));
	while (ring_fill(&r, &job))
		;
	ring_publish(&r);
	CHILD(ring_submit(&r) >= 0);
	CHILD(ring_await(&r, &cqe, 10000));
	CHILD(cqe.result == -ENOENT);
	pd_post(&w->shared->flag, 1);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(borrow, last_reference_is_the_threads, 100)
{
	struct death_watch *w = &self->w;
	long long pins = pd_vmstat_pins();
	unsigned int seed = 7, last = 0;
	pid_t pid;
	int i;

	if (!(w->env.info.out_caps & PINDROP_CAP_MEM_TO_MEM))
		SKIP(return, "the device does not copy from memory to memory");
	/* The kernel's own word on who was: it is put elsewhere. */
	MUST(ring_trace_start());
	MUST(ring_trace_enable(EVENT, "1"));
	for (i = 0; i < ROUNDS && !last; i++) {
		w->shared->flag = 0;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			keep_borrowed(w, self->most);
		ASSERT_TRUE(pd_await(&w->shared->flag, 1));
		usleep(rand_r(&seed) % 5000);
		kill(pid, SIGKILL);
		EXPECT_EQ(-SIGKILL, pd_join(pid));
		EXPECT_TRUE(pd_count_becomes(&w->env, PD_PINNED, 0, 2000));
		EXPECT_TRUE(pd_count_becomes(&w->env, PD_BUFFERS,
					     w->env.before.v[PD_BUFFERS],
					     2000));
		EXPECT_TRUE(ring_thread_gone(pid, THREAD_MS));
		close(w->fd);
		w->fd = pd_open(&w->env);
		ASSERT_LE(0, w->fd);
		last = ring_trace_count("function mmput_async_fn");
	}
	fprintf(stderr, "# borrow: the thread was the last in round %d\n", i);
	EXPECT_LT(0, last);
	EXPECT_EQ(pins, pd_vmstat_pins());
}

FIXTURE(absent)
{
	struct death_watch w;
};

FIXTURE_VARIANT(absent)
{
	__u32 ring_flags;
	__u32 job_flags;
};

/* What is read is copied, what is written is pinned. */
FIXTURE_VARIANT_ADD(absent, copied) {
	.job_flags = PINDROP_SQE_SRC_ADDR
};

FIXTURE_VARIANT_ADD(absent, pinned) {
	.job_flags = PINDROP_SQE_DST_ADDR
};

FIXTURE_VARIANT_ADD(absent, copied_threaded) {
	.ring_flags = PINDROP_RING_THREAD, .job_flags = PINDROP_SQE_SRC_ADDR
};

FIXTURE_VARIANT_ADD(absent, pinned_threaded) {
	.ring_flags = PINDROP_RING_THREAD, .job_flags = PINDROP_SQE_DST_ADDR
};

FIXTURE_SETUP(absent)
{
	DEATH_SETUP(&self->w);
}

FIXTURE_TEARDOWN(absent)
{
	DEATH_TEARDOWN(&self->w);
}

struct handler {
	int fd;
	struct death_watch *w;
};

/* Is told of the page that is missing, and does nothing about it. */
static void *handle_nothing(void *data)
{
	struct handler *h = data;
	struct uffd_msg msg;

	if (read(h->fd, &msg, sizeof(msg)) == sizeof(msg) &&
	    msg.event == UFFD_EVENT_PAGEFAULT)
		pd_post(&h->w->shared->flag, 1);
	for (;;)
		pause();
	return NULL;
}

static void *absent_page(struct handler *h)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	pthread_t thread;
	void *mem;

	h->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	CHILD(h->fd >= 0);
	CHILD(!ioctl(h->fd, UFFDIO_API, &api));
	mem = mmap(NULL, h->w->env.page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHILD(mem != MAP_FAILED);
	reg.range.start = (unsigned long)mem;
	reg.range.len = h->w->env.page;
	CHILD(!ioctl(h->fd, UFFDIO_REGISTER, &reg));
	CHILD(!pthread_create(&thread, NULL, handle_nothing, h));
	return mem;
}

static void wait_for_page(struct death_watch *w, __u32 ring_flags,
			  __u32 job_flags)
{
	struct handler h = { .w = w };
	struct pindrop_cqe cqe;
	struct pd_buf buf;
	struct pindrop_job_desc job = { .op = PINDROP_OP_COPY,
					.flags = job_flags,
					.length = 256 };
	unsigned long page = (unsigned long)absent_page(&h);
	struct ring r;

	CHILD(!pd_alloc(w->fd, w->env.page, 0, &buf));
	if (job_flags == PINDROP_SQE_SRC_ADDR) {
		job.src_offset = page;
		job.dst = buf.handle;
	} else {
		job.dst_offset = page;
		job.src = buf.handle;
	}
	CHILD(!ring_open(w->fd, 8, ring_flags, &r));
	CHILD(ring_put(&r, &job));
	ring_submit(&r);
	ring_collect(&r, &cqe, 60000);
	CHILD(!"nobody brings the page");
}

/* The thread does not wait for it but gives it to the owner, who dies there. */
TEST_F(absent, page_of_a_killed_owner)
{
	struct death_watch *w = &self->w;
	long long pins = pd_vmstat_pins();
	pid_t pid;

	if (!(w->env.info.out_caps & PINDROP_CAP_MEM_TO_MEM))
		SKIP(return, "the device does not copy from memory to memory");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		wait_for_page(w, variant->ring_flags, variant->job_flags);
	ASSERT_TRUE(death_ready(w));
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	EXPECT_STREQ("", death_left(w, 0));
	EXPECT_TRUE(ring_thread_gone(pid, THREAD_MS));
	EXPECT_EQ(pins, pd_vmstat_pins());
	EXPECT_EQ(0, pd_count(&w->env, PD_QUARANTINED));
}

TEST_HARNESS_MAIN
