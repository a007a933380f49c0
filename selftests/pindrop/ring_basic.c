// SPDX-License-Identifier: GPL-2.0-only
/* RING_SETUP and RING_ENTER, of programs that live and know what they do. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "ring_utils.h"

#define LONG_MS 20000
#define CALLS "raw_syscalls/sys_enter"

/* Without a ring yet. */
FIXTURE(setup)
{
	struct pd_env env;
	int fd;
	struct ring ring;
};

FIXTURE_SETUP(setup)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(setup)
{
	ring_close(&self->ring);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define SETUP(...)                                                       \
	ring_make(self->fd, &(struct pindrop_ring_setup){ __VA_ARGS__ }, \
		  &self->ring)

TEST_F(setup, refuses_sizes)
{
	const __u32 most = self->env.info.out_max_ring;
	const __u32 most_cq = self->env.info.out_max_cq;

	EXPECT_EQ(32768, most);
	EXPECT_EQ(65536, most_cq);
	FAILS(EINVAL, SETUP(.entries = 0));
	FAILS(EINVAL, SETUP(.entries = 3));
	FAILS(EINVAL, SETUP(.entries = 2 * most));
	FAILS(EINVAL, SETUP(.entries = 1U << 31));
	FAILS(EINVAL, SETUP(.entries = 8, .cq_entries = 12));
	FAILS(EINVAL, SETUP(.entries = 8, .cq_entries = 2 * most_cq));
	FAILS(EINVAL,
	      SETUP(.entries = 8, .channel = self->env.info.out_channels));
	/* None of them was in the way of a good one. */
	EXPECT_EQ(0, SETUP(.entries = most));
	EXPECT_EQ(2 * most, self->ring.setup.out_cq_entries);
}

TEST_F(setup, refuses_what_needs_a_thread)
{
	FAILS(EINVAL, SETUP(.entries = 8, .idle_us = 1));
	FAILS(EINVAL, SETUP(.entries = 8, .flags = PINDROP_RING_CPU));
	FAILS(EINVAL, SETUP(.entries = 8, .cpu = 1));
	FAILS(EINVAL,
	      SETUP(.entries = 8, .flags = PINDROP_RING_THREAD, .cpu = 1));
	FAILS(EINVAL, SETUP(.entries = 8, .flags = PINDROP_RING_THREAD,
			    .idle_us = 1000001));
	FAILS(EINVAL, SETUP(.entries = 8,
			    .flags = PINDROP_RING_THREAD | PINDROP_RING_CPU,
			    .cpu = 100000));
	FAILS(EINVAL, SETUP(.entries = 8,
			    .flags = PINDROP_RING_THREAD | PINDROP_RING_CPU,
			    .cpu = ~0U));
	EXPECT_EQ(0, ring_thread(getpid()));
}

TEST_F(setup, refuses_what_is_no_eventfd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	FAILS(EINVAL, SETUP(.entries = 8, .eventfd = null));
	FAILS(EBADF, SETUP(.entries = 8, .flags = PINDROP_RING_EVENTFD,
			   .eventfd = -1));
	FAILS(EINVAL, SETUP(.entries = 8, .flags = PINDROP_RING_EVENTFD,
			    .eventfd = null));
	/* With a thread, which was not made for nothing. */
	FAILS(EBADF,
	      SETUP(.entries = 8, .eventfd = -1,
		    .flags = PINDROP_RING_EVENTFD | PINDROP_RING_THREAD));
	EXPECT_TRUE(ring_thread_gone(getpid(), 2000));
	EXPECT_EQ(0, SETUP(.entries = 8));
	close(null);
}

TEST_F(setup, happens_once)
{
	struct ring second;

	MUST(SETUP(.entries = 8));
	FAILS(EBUSY, ring_open(self->fd, 8, 0, &second));
	FAILS(EBUSY, ring_open(self->fd, 16, PINDROP_RING_THREAD, &second));
}

/* The driver forgets what it could not tell. */
TEST_F(setup, that_cannot_be_written_back_leaves_nothing)
{
	struct pindrop_ring_setup *args;

	args = mmap(NULL, self->env.page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, args);
	args->size = sizeof(*args);
	args->entries = 8;
	args->flags = PINDROP_RING_THREAD;
	ASSERT_EQ(0, mprotect(args, self->env.page, PROT_READ));
	FAILS(EFAULT, pd_ioctl(self->fd, PINDROP_VERB_RING_SETUP, args));
	EXPECT_TRUE(ring_thread_gone(getpid(), 2000));
	EXPECT_EQ(0, SETUP(.entries = 8));
	munmap(args, self->env.page);
}

TEST_F(setup, limits_the_threads_of_a_user)
{
	int fd[80], n, i, err = 0;
	struct ring ring;

	for (n = 0; n < (int)ARRAY_LEN(fd) && !err; n++) {
		fd[n] = pd_open(&self->env);
		ASSERT_LE(0, fd[n]);
		err = ring_open(fd[n], 1, PINDROP_RING_THREAD, &ring);
		if (!err)
			ring_close(&ring);
	}
	EXPECT_EQ(-EDQUOT, err);
	EXPECT_EQ(65, n);
	/* Not of rings without one. */
	EXPECT_EQ(0, SETUP(.entries = 1));
	for (i = 0; i < n; i++)
		close(fd[i]);
	EXPECT_TRUE(ring_thread_gone(getpid(), 2000));
}

TEST_F(setup, enter_without_it)
{
	struct ring none = { .fd = self->fd };

	FAILS(ENOENT, ring_enter(&none, 0, 1, 0, 0));
	FAILS(EINVAL, ring_look(self->fd,
				&(struct ring){
					.setup.out_offset = 1ULL << 43,
					.setup.out_length = self->env.page,
				},
				PROT_READ, &none));
}

TEST_F(setup, memory_is_mapped_as_promised)
{
	struct ring other;
	unsigned char *at;
	size_t len;
	int err;

	MUST(SETUP(.entries = 256));
	len = self->ring.setup.out_length;
	at = (void *)self->ring.shared;
	EXPECT_EQ(1, pd_vmflags(at, "dc"));
	EXPECT_EQ(1, pd_vmflags(at, "dd"));
	EXPECT_EQ(1, pd_vmflags(at, "de"));
	EXPECT_EQ(-1, mprotect(at, len, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mremap(at, len, 2 * len, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, len, PROT_READ, MAP_PRIVATE, self->fd,
				   self->ring.setup.out_offset));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, pd_mmap(self->fd, self->ring.setup.out_offset, len,
				PROT_READ | PROT_EXEC, &err));
	EXPECT_EQ(-EACCES, err);
	EXPECT_EQ(NULL, pd_mmap(self->fd, self->ring.setup.out_offset,
				len + self->env.page, PROT_READ, &err));
	EXPECT_EQ(-EINVAL, err);
	EXPECT_EQ(NULL, pd_mmap(self->fd, self->ring.setup.out_offset + len,
				self->env.page, PROT_READ, &err));
	EXPECT_EQ(-EINVAL, err);

	/* It is one memory, whatever becomes of the mappings. */
	MUST(ring_look(self->fd, &self->ring, PROT_READ | PROT_WRITE, &other));
	ASSERT_TRUE(ring_put_nop(&self->ring, 7));
	EXPECT_EQ(1, other.shared->sq_tail);
	EXPECT_EQ(7, other.sqes[0].job.user_data);
	ASSERT_EQ(0, madvise(at, len, MADV_DONTNEED));
	EXPECT_EQ(1, self->ring.shared->sq_tail);
	EXPECT_EQ(7, self->ring.sqes[0].job.user_data);
	ring_close(&other);
	ASSERT_EQ(0, munmap(at + self->env.page, self->env.page));
	EXPECT_EQ(1, self->ring.shared->sq_tail);
}

TEST_F(setup, is_for_the_owner)
{
	pid_t pid;

	MUST(SETUP(.entries = 8));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct ring other;

		CHILD(ring_look(self->fd, &self->ring, PROT_READ, &other) ==
		      -EPERM);
		CHILD(ring_enter(&self->ring, 0, 1, 0, 0) == -EPERM);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
}

TEST_F(setup, is_told_in_fdinfo)
{
	char path[64], text[2048];
	ssize_t len;
	int fd;

	MUST(SETUP(.entries = 8, .cq_entries = 1));
	ASSERT_TRUE(ring_put_nop(&self->ring, 1));
	ASSERT_TRUE(ring_put_nop(&self->ring, 2));
	ASSERT_EQ(2, ring_enter(&self->ring, 0, 2, 0, 0));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	ASSERT_LT(0, len);
	text[len] = 0;
	EXPECT_NE(NULL, strstr(text, "\npindrop-ring-entries:\t8\n"));
	EXPECT_NE(NULL, strstr(text, "\npindrop-ring-consumed:\t2\n"));
	EXPECT_NE(NULL, strstr(text, "\npindrop-ring-overflow:\t1\n"));
}

/* With a ring, and with or without a thread behind it. */
FIXTURE(ring)
{
	struct pd_env env;
	int fd, eventfd;
	struct ring ring;
	struct pd_buf src, dst;
	size_t piece;
};

FIXTURE_VARIANT(ring)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(ring, entered) { .flags = 0 };
FIXTURE_VARIANT_ADD(ring, threaded) { .flags = PINDROP_RING_THREAD };

FIXTURE_SETUP(ring)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	self->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->eventfd);
	self->piece = self->env.info.out_max_piece;
	MUST(pd_create(self->fd, 8 * self->piece, &self->src));
	MUST(pd_create(self->fd, 8 * self->piece, &self->dst));
	pd_fill(self->src.map, self->src.len, 1);
}

FIXTURE_TEARDOWN(ring)
{
	ring_close(&self->ring);
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	close(self->eventfd);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define RING(...)                                                              \
	ring_make(self->fd,                                                    \
		  &(struct pindrop_ring_setup){ .flags = variant->flags |      \
							 PINDROP_RING_EVENTFD, \
						.eventfd = self->eventfd,      \
						__VA_ARGS__ },                 \
		  &self->ring)
#define AWAIT(cqe) ring_await(&self->ring, (cqe), LONG_MS)

TEST_F(ring, of_one_nop)
{
	struct pindrop_cqe cqe;

	MUST(RING(.entries = 1, .cq_entries = 1));
	EXPECT_FALSE(ring_get(&self->ring, &cqe));
	ASSERT_TRUE(ring_put_nop(&self->ring, 0x1122334455667788));
	ASSERT_LE(0, ring_submit(&self->ring));
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(0x1122334455667788, cqe.user_data);
	EXPECT_EQ(0, cqe.result);
	EXPECT_EQ(0, cqe.flags);
	EXPECT_FALSE(ring_get(&self->ring, &cqe));
}

/* What is consumed is free, what is posted is there: many times around. */
TEST_F(ring, goes_around_and_around)
{
	const unsigned int rounds = 3000;
	__u64 next = 0, want = 0;
	struct pindrop_cqe cqe;

	MUST(RING(.entries = 4, .cq_entries = 8));
	while (want < rounds) {
		while (next < rounds && next - want < 8 &&
		       ring_put_nop(&self->ring, next))
			next++;
		ASSERT_LE(0, ring_submit(&self->ring));
		ASSERT_TRUE(AWAIT(&cqe));
		ASSERT_EQ(want, cqe.user_data);
		ASSERT_EQ(0, cqe.result);
		want++;
	}
	EXPECT_EQ(rounds, self->ring.shared->sq_head);
	EXPECT_EQ(rounds, self->ring.shared->cq_tail);
	EXPECT_EQ(0, self->ring.shared->cq_overflow);
	EXPECT_EQ(rounds, pd_grown(&self->env, PD_JOBS_DONE));
}

TEST_F(ring, in_batches)
{
	struct pindrop_job_desc nop;
	struct pindrop_cqe cqe;
	__u64 i, round;

	MUST(RING(.entries = 64));
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 64; i++) {
			nop = pd_nop(round << 32 | i);
			ASSERT_TRUE(ring_fill(&self->ring, &nop));
		}
		EXPECT_FALSE(ring_fill(&self->ring, &nop));
		ring_publish(&self->ring);
		if (!variant->flags) {
			ASSERT_EQ(64, ring_submit(&self->ring));
		} else {
			ASSERT_LE(0, ring_submit(&self->ring));
		}
		for (i = 0; i < 64; i++) {
			ASSERT_TRUE(AWAIT(&cqe));
			ASSERT_EQ(round << 32 | i, cqe.user_data);
			ASSERT_EQ(0, cqe.result);
		}
	}
}

/* The data is there when its completion is. */
TEST_F(ring, of_copies)
{
	const size_t len = self->env.info.out_align * 64;
	struct pindrop_job_desc job;
	struct pindrop_cqe cqe;
	__u64 i;

	MUST(RING(.entries = 8));
	for (i = 0; i < 4; i++) {
		job = pd_copy(&self->src, i * len, &self->dst, i * len, len);
		job.user_data = i;
		ASSERT_TRUE(ring_put(&self->ring, &job));
	}
	ASSERT_LE(0, ring_submit(&self->ring));
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(AWAIT(&cqe));
		EXPECT_EQ(i, cqe.user_data);
		EXPECT_EQ(0, cqe.result);
		EXPECT_EQ(-1, pd_wrong(self->dst.map, (i + 1) * len, 1));
	}
	EXPECT_EQ(-1,
		  pd_nonzero(self->dst.map + 4 * len, self->dst.len - 4 * len));
}

/* They have tickets, as other jobs, and WAIT knows how they ended. */
TEST_F(ring, jobs_are_jobs)
{
	struct pindrop_job_desc job = pd_nop(0);
	const volatile struct pindrop_window *w = pd_window(self->fd);
	struct pindrop_submit sub;
	struct pindrop_cqe cqe;

	ASSERT_NE(NULL, w);
	MUST(RING(.entries = 8));
	MUST(pd_submit(self->fd, &job, 1, &sub));
	ASSERT_EQ(1, sub.out_last);
	ASSERT_TRUE(ring_put_nop(&self->ring, 0));
	job = pd_copy(&self->src, 0, &self->dst, 0, self->piece);
	ASSERT_TRUE(ring_put(&self->ring, &job));
	ASSERT_LE(0, ring_submit(&self->ring));
	ASSERT_TRUE(AWAIT(&cqe));
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(3, w->submitted);
	/* The ticket comes before the entry. */
	EXPECT_EQ(3, w->ticket);
	EXPECT_EQ(0, pd_result(self->fd, 3));
	EXPECT_EQ(3, w->jobs_done);
	EXPECT_EQ(0, pd_grown(&self->env, PD_INFLIGHT));
	munmap((void *)w, PINDROP_WINDOW_SIZE);
}

/* Kept, counted, and posted in their order as room comes. */
TEST_F(ring, overflow_loses_nothing)
{
	const unsigned int n = 32, room = 8;
	struct pindrop_cqe cqe;
	__u64 i, begin;

	MUST(RING(.entries = n, .cq_entries = room));
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
	}
	ASSERT_LE(0, ring_submit(&self->ring));
	begin = pd_now_ns();
	while (RING_LOAD(self->ring.shared->cq_overflow) < n - room &&
	       pd_ms_since(begin) < LONG_MS) {
		/* A thread may have begun with fewer of them. */
		pd_sleep_ms(1);
		if (RING_LOAD(self->ring.shared->cq_flags) &&
		    RING_LOAD(self->ring.shared->sq_head) < n)
			break;
	}
	EXPECT_EQ(room, RING_LOAD(self->ring.shared->cq_tail));
	EXPECT_EQ(PINDROP_CQ_OVERFLOW, self->ring.shared->cq_flags);
	EXPECT_LT(0, self->ring.shared->cq_overflow);
	/* Nothing more is consumed. */
	if (!variant->flags) {
		EXPECT_EQ(n - room, self->ring.shared->cq_overflow);
		ASSERT_TRUE(ring_put_nop(&self->ring, n));
		EXPECT_EQ(-EBUSY, ring_submit(&self->ring));
		EXPECT_EQ(n, self->ring.shared->sq_head);
	}
	for (i = 0; i < n; i++) {
		if (ring_flushed(&self->ring, &cqe) != 1) {
			ASSERT_TRUE(AWAIT(&cqe));
		}
		ASSERT_EQ(i, cqe.user_data);
		ASSERT_EQ(0, cqe.result);
	}
	if (variant->flags)
		return;
	EXPECT_EQ(0, self->ring.shared->cq_flags);
	EXPECT_EQ(1, ring_submit(&self->ring));
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(n, cqe.user_data);
}

/* Each for itself: those after it are done. */
TEST_F(ring, entries_that_are_refused)
{
	const __u64 size = self->src.len;
	const size_t len = self->env.info.out_align;
	struct {
		struct pindrop_job_desc job;
		__u64 reserved;
		int result;
	} list[] = {
		{ pd_nop(0), 0, 0 },
		{ pd_copy(&self->src, 0, &self->dst, 0, len), 0, 0 },
		{ pd_copy(&self->src, 0, &self->dst, size, len), 0, -ERANGE },
		{ pd_copy(&self->src, 0, &self->src, 0, len), 0, -EINVAL },
		{ pd_copy(&self->src, 0, &self->dst, 0, 0), 0, -EINVAL },
		{ pd_nop(0), 1, -EINVAL },
		{ { .op = 99 }, 0, -EOPNOTSUPP },
		{ { .op = PINDROP_OP_NOP, .flags = 1U << 31 }, 0, -EOPNOTSUPP },
		{ { .op = PINDROP_OP_COPY,
		    .src = self->src.handle,
		    .dst = 77,
		    .length = len },
		  0,
		  -ENOENT },
		{ pd_copy(&self->src, len, &self->dst, len, len), 0, 0 },
		{ pd_nop(0), 0, 0 },
	};
	const unsigned int n = ARRAY_LEN(list);
	unsigned int i, seen = 0;
	struct pindrop_cqe cqe;

	MUST(RING(.entries = 32));
	for (i = 0; i < n; i++) {
		list[i].job.user_data = i;
		ASSERT_TRUE(ring_fill(&self->ring, &list[i].job));
		self->ring.sqes[i].reserved[i & 1] = list[i].reserved;
	}
	ring_publish(&self->ring);
	ASSERT_LE(0, ring_submit(&self->ring));
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(AWAIT(&cqe));
		ASSERT_GT(n, cqe.user_data);
		EXPECT_EQ(0, seen >> cqe.user_data & 1);
		seen |= 1U << cqe.user_data;
		EXPECT_EQ(list[cqe.user_data].result, cqe.result)
		TH_LOG("entry %llu", cqe.user_data);
	}
	EXPECT_EQ((1U << n) - 1, seen);
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 2 * len, 1));
	EXPECT_EQ(4, pd_grown(&self->env, PD_JOBS_DONE));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_INFLIGHT,
				     self->env.before.v[PD_INFLIGHT], 2000));
}

/* The device's memory is somebody else's: that is one entry's business. */
TEST_F(ring, entries_without_the_lease)
{
	const size_t len = self->env.info.out_align;
	struct pindrop_job_desc job;
	struct pindrop_cqe cqe;
	struct pd_buf buf;
	int other, i;

	if (!(self->env.info.out_caps & PINDROP_CAP_MEM_TO_DEV))
		SKIP(return, "the device has no memory of its own");
	other = pd_open(&self->env);
	ASSERT_LE(0, other);
	MUST(pd_create(other, self->env.page, &buf));
	job = pd_copy(&buf, 0, NULL, 0, len);
	ASSERT_EQ(0, pd_run(other, &job, 1));

	MUST(RING(.entries = 4));
	job = pd_nop(0);
	ASSERT_TRUE(ring_fill(&self->ring, &job));
	job = pd_copy(&self->src, 0, NULL, 0, len);
	job.user_data = 1;
	ASSERT_TRUE(ring_fill(&self->ring, &job));
	job = pd_nop(2);
	ASSERT_TRUE(ring_fill(&self->ring, &job));
	ring_publish(&self->ring);
	ASSERT_LE(0, ring_submit(&self->ring));
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(AWAIT(&cqe));
		EXPECT_EQ(cqe.user_data == 1 ? -EBUSY : 0, cqe.result);
	}
	pd_unmap(&buf);
	close(other);

	/* And when it is free, it works. */
	job = pd_copy(&self->src, 0, NULL, 0, len);
	job.user_data = 3;
	ASSERT_TRUE(ring_put(&self->ring, &job));
	ASSERT_LE(0, ring_submit(&self->ring));
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(3, cqe.user_data);
	EXPECT_EQ(0, cqe.result);
}

static short events(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

TEST_F(ring, tells_an_eventfd)
{
	struct pindrop_cqe cqe;
	__u64 count;
	int i;

	MUST(RING(.entries = 8));
	EXPECT_EQ(0, events(self->eventfd, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
		ASSERT_LE(0, ring_submit(&self->ring));
		EXPECT_EQ(POLLIN, events(self->eventfd, LONG_MS));
		ASSERT_EQ(8, read(self->eventfd, &count, 8));
		/* The entry is posted first. */
		EXPECT_TRUE(ring_get(&self->ring, &cqe));
	}
	EXPECT_EQ(0, events(self->eventfd, 0));
}

/* By what was not read, and not by tickets that nobody waits for. */
TEST_F(ring, tells_poll)
{
	struct pindrop_job_desc nop = pd_nop(0);
	struct pindrop_cqe cqe;

	MUST(RING(.entries = 8));
	EXPECT_EQ(0, events(self->fd, 0));
	ASSERT_TRUE(ring_put_nop(&self->ring, 0));
	ASSERT_LE(0, ring_submit(&self->ring));
	EXPECT_EQ(POLLIN, events(self->fd, LONG_MS));
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(0, events(self->fd, 0));
	/* A job of SUBMIT is still WAIT's to tell. */
	MUST(pd_submit(self->fd, &nop, 1, NULL));
	EXPECT_EQ(POLLIN, events(self->fd, 1000));
	ASSERT_TRUE(ring_put_nop(&self->ring, 0));
	ASSERT_LE(0, ring_submit(&self->ring));
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(POLLIN, events(self->fd, 0));
	EXPECT_EQ(0, pd_wait(self->fd, 2, 1000, NULL));
	EXPECT_EQ(0, events(self->fd, 0));
}

TEST_F(ring, poll_sleeps_until_the_end)
{
	struct pindrop_job_desc job = pd_copy(&self->src, 0, &self->dst, 0,
					      2 * self->piece);

	MUST(RING(.entries = 8));
	ASSERT_TRUE(ring_put(&self->ring, &job));
	ASSERT_LE(0, ring_submit(&self->ring));
	EXPECT_EQ(0, events(self->fd, 0));
	EXPECT_EQ(POLLIN, events(self->fd, LONG_MS));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 2 * self->piece, 1));
}

#define GETEVENTS PINDROP_ENTER_GETEVENTS
#define WAKEUP PINDROP_ENTER_WAKEUP

TEST_F(ring, arguments_that_do_not_fit)
{
	MUST(RING(.entries = 8));
	FAILS(EOPNOTSUPP, ring_enter(&self->ring, 1U << 5, 0, 0, 0));
	FAILS(EINVAL, ring_enter(&self->ring, 0, 0, 1, 0));
	if (variant->flags) {
		FAILS(EINVAL, ring_enter(&self->ring, 0, 1, 0, 0));
		EXPECT_EQ(0, ring_enter(&self->ring, WAKEUP, 0, 0, 0));
	} else {
		FAILS(EINVAL, ring_enter(&self->ring, WAKEUP, 0, 0, 0));
		EXPECT_EQ(0, ring_enter(&self->ring, 0, 1, 0, 0));
	}
	EXPECT_EQ(0, ring_enter(&self->ring, GETEVENTS, 0, 0, 0));
	/* It was not looked at. */
	EXPECT_EQ(0, self->ring.shared->sq_dropped);
}

static void on_signal(int sig)
{
	(void)sig;
}

TEST_F(ring, waits_for_so_many)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct itimerval timer = { .it_value.tv_usec = 30000 };
	const __u32 wake = variant->flags ? WAKEUP : 0;
	struct pindrop_job_desc job;
	struct pindrop_cqe cqe;
	__u64 begin = pd_now_ns();

	MUST(RING(.entries = 8));
	FAILS(ETIME, ring_enter(&self->ring, GETEVENTS, 0, 1, 0));
	FAILS(ETIME, ring_enter(&self->ring, GETEVENTS, 0, 1, 50));
	EXPECT_LE(50, pd_ms_since(begin));

	job = pd_copy(&self->src, 0, &self->dst, 0, 4 * self->piece);
	ASSERT_TRUE(ring_put_nop(&self->ring, 0));
	ASSERT_TRUE(ring_put(&self->ring, &job));
	/* What was consumed counts more than that the time was up. */
	EXPECT_EQ(wake ? 0 : 2, ring_enter(&self->ring, GETEVENTS | wake,
					   wake ? 0 : 2, 1, LONG_MS));
	FAILS(ETIME, ring_enter(&self->ring, GETEVENTS, 0, 2, 0));
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	FAILS(EINTR, ring_enter(&self->ring, GETEVENTS, 0, 2, PD_FOREVER));
	EXPECT_EQ(0, ring_enter(&self->ring, GETEVENTS, 0, 2, PD_FOREVER));
	EXPECT_TRUE(ring_get(&self->ring, &cqe));
	EXPECT_TRUE(ring_get(&self->ring, &cqe));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 4 * self->piece, 1));
}

/* No more than a completion ring holds can be waited for. */
TEST_F(ring, waits_for_what_there_can_be)
{
	MUST(RING(.entries = 4, .cq_entries = 4));
	ASSERT_TRUE(ring_put_nop(&self->ring, 0));
	ASSERT_TRUE(ring_put_nop(&self->ring, 1));
	ASSERT_TRUE(ring_put_nop(&self->ring, 2));
	ASSERT_TRUE(ring_put_nop(&self->ring, 3));
	ASSERT_LE(0, ring_submit(&self->ring));
	EXPECT_EQ(0, ring_enter(&self->ring, GETEVENTS, 0, ~0U, LONG_MS));
}

/* More than a context may have queued: the rest stays where it is. */
TEST_F(ring, deeper_than_the_queue)
{
	const volatile struct pindrop_window *w = pd_window(self->fd);
	const __u32 max = self->env.info.out_max_queued;
	struct pindrop_job_desc job;
	struct pindrop_cqe cqe;
	__u64 i, begin;
	int n;

	ASSERT_NE(NULL, w);
	MUST(RING(.entries = 2 * max));
	job = pd_copy(&self->src, 0, &self->dst, 0, 4 * self->piece);
	ASSERT_TRUE(ring_fill(&self->ring, &job));
	for (i = 1; i < 2 * max; i++) {
		job = pd_nop(i);
		ASSERT_TRUE(ring_fill(&self->ring, &job));
	}
	ring_publish(&self->ring);
	n = ring_submit(&self->ring);
	begin = pd_now_ns();
	while (variant->flags && RING_LOAD(self->ring.shared->sq_head) < max &&
	       pd_ms_since(begin) < LONG_MS)
		pd_sleep_ms(1);
	if (!w->ticket) {
		EXPECT_EQ(max, self->ring.shared->sq_head);
		if (!variant->flags) {
			EXPECT_EQ(max, n);
		}
		n = ring_submit(&self->ring);
		if (!variant->flags && !w->ticket) {
			EXPECT_EQ(-EBUSY, n);
		}
	}
	for (i = 0; i < 2 * max; i++) {
		if (ring_flushed(&self->ring, &cqe) != 1) {
			n = ring_submit(&self->ring);
			ASSERT_TRUE(n >= 0 || n == -EBUSY);
			ASSERT_TRUE(AWAIT(&cqe));
		}
		ASSERT_EQ(i, cqe.user_data);
		ASSERT_EQ(0, cqe.result);
	}
	EXPECT_EQ(2 * max, self->ring.shared->sq_head);
	munmap((void *)w, PINDROP_WINDOW_SIZE);
}

/* A tail that is out of range is no reason to do anything. */
TEST_F(ring, tail_that_cannot_be)
{
	static const __u32 wild[] = { 9, 1000, 1U << 31, ~0U };
	struct pindrop_cqe cqe;
	unsigned int i;
	__u64 begin;

	MUST(RING(.entries = 8));
	for (i = 0; i < ARRAY_LEN(wild); i++) {
		RING_STORE(self->ring.shared->sq_tail, wild[i]);
		if (variant->flags) {
			begin = pd_now_ns();
			EXPECT_LE(0, ring_enter(&self->ring, WAKEUP, 0, 0, 0));
			while (!RING_LOAD(self->ring.shared->sq_dropped) &&
			       pd_ms_since(begin) < LONG_MS)
				pd_sleep_ms(1);
		} else {
			FAILS(EINVAL, ring_enter(&self->ring, 0, 8, 0, 0));
		}
		EXPECT_EQ(0, self->ring.shared->sq_head);
		EXPECT_EQ(1, self->ring.shared->sq_dropped);
	}
	ASSERT_TRUE(ring_put_nop(&self->ring, 5));
	ASSERT_LE(0, ring_submit(&self->ring));
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(5, cqe.user_data);
	RING_STORE(self->ring.shared->sq_tail, self->ring.tail - 1);
	if (variant->flags)
		return;
	FAILS(EINVAL, ring_enter(&self->ring, 0, 8, 0, 0));
	EXPECT_EQ(2, self->ring.shared->sq_dropped);
}

/* A head that is out of range is a full ring, until it is put right. */
TEST_F(ring, head_that_cannot_be)
{
	struct pindrop_cqe cqe;

	MUST(RING(.entries = 4, .cq_entries = 2));
	RING_STORE(self->ring.shared->cq_head, 1000);
	ASSERT_TRUE(ring_put_nop(&self->ring, 0));
	ASSERT_TRUE(ring_put_nop(&self->ring, 1));
	ASSERT_TRUE(ring_put_nop(&self->ring, 2));
	ASSERT_LE(0, ring_submit(&self->ring));
	pd_sleep_ms(20);
	RING_STORE(self->ring.shared->cq_head, 0);
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(0, cqe.user_data);
	ASSERT_TRUE(AWAIT(&cqe));
	EXPECT_EQ(1, cqe.user_data);
	while (ring_flushed(&self->ring, &cqe) != 1)
		pd_sleep_ms(1);
	EXPECT_EQ(2, cqe.user_data);
}

/* What the kernel wrote is not what it goes by. */
TEST_F(ring, words_of_the_kernel_are_not_read)
{
	struct pindrop_cqe cqe;
	__u64 i;

	MUST(RING(.entries = 8));
	for (i = 0; i < 30; i++) {
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
		/* In the other case it is read before it is right again. */
		if (!variant->flags)
			RING_STORE(self->ring.shared->cq_tail,
				   self->ring.head + 5);
		ASSERT_LE(0, ring_submit(&self->ring));
		ASSERT_TRUE(AWAIT(&cqe));
		ASSERT_EQ(i, cqe.user_data);
		RING_STORE(self->ring.shared->sq_head, self->ring.tail - 1);
		self->ring.shared->sq_dropped = 99;
		self->ring.shared->cq_overflow = 99;
	}
	EXPECT_EQ(30, pd_grown(&self->env, PD_JOBS_DONE));
}

/* A job that names addresses on one side or on both. */
static struct pindrop_job_desc by_address(const struct pd_buf *src,
					  const void *from,
					  const struct pd_buf *dst, void *to,
					  size_t len)
{
	struct pindrop_job_desc job = { .op = PINDROP_OP_COPY, .length = len };

	if (src) {
		job.src = src->handle;
	} else {
		job.flags |= PINDROP_SQE_SRC_ADDR;
		job.src_offset = (unsigned long)from;
	}
	if (dst) {
		job.dst = dst->handle;
	} else {
		job.flags |= PINDROP_SQE_DST_ADDR;
		job.dst_offset = (unsigned long)to;
	}
	return job;
}

static int do_one(struct ring *r, const struct pindrop_job_desc *job)
{
	struct pindrop_cqe cqe;
	int n;

	if (!ring_put(r, job))
		return -1000;
	n = ring_submit(r);
	if (n < 0)
		return n;
	return ring_collect(r, &cqe, LONG_MS) ? cqe.result : -1001;
}

#define DO(...)             \
	do_one(&self->ring, \
	       (struct pindrop_job_desc[]) { by_address(__VA_ARGS__) })

static void *memory(size_t len, int prot)
{
	void *at = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* Little is copied, more is pinned, not all of it begins with a page. */
TEST_F(ring, of_plain_memory)
{
	const size_t page = self->env.page, big = 4 * page;
	const size_t lengths[] = { 256, 2048, 2304, 2 * page };
	unsigned char *from = memory(big, PROT_READ | PROT_WRITE);
	unsigned char *to = memory(big, PROT_READ | PROT_WRITE);
	size_t len, at = 256;
	unsigned int i;

	ASSERT_NE(NULL, from);
	ASSERT_NE(NULL, to);
	MUST(RING(.entries = 8));
	for (i = 0; i < ARRAY_LEN(lengths); i++) {
		len = lengths[i];
		pd_fill(from + at, len, i);
		memset(self->dst.map, 0, big);
		EXPECT_EQ(0, DO(NULL, from + at, &self->dst, NULL, len));
		EXPECT_EQ(-1, pd_wrong(self->dst.map, len, i));
		EXPECT_EQ(-1, pd_nonzero(self->dst.map + len, big - len));
		memset(to, 0, big);
		EXPECT_EQ(0, DO(&self->src, NULL, NULL, to + at, len));
		EXPECT_EQ(-1, pd_wrong(to + at, len, 1));
		EXPECT_EQ(-1, pd_nonzero(to, at));
		EXPECT_EQ(-1, pd_nonzero(to + at + len, big - at - len));
		memset(to, 0, big);
		EXPECT_EQ(0, DO(NULL, from + at, NULL, to + at, len));
		EXPECT_EQ(-1, pd_wrong(to + at, len, i));
	}
	/* Nothing of it is held for longer than the job. */
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_PINNED, 0, 2000));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BUFFERS,
				     self->env.before.v[PD_BUFFERS] + 2, 2000));
	munmap(from, big);
	munmap(to, big);
}

/* Memory that is not there yet is only a matter of who asks for it. */
TEST_F(ring, of_memory_that_was_never_touched)
{
	const size_t len = 2 * self->env.page;
	unsigned char *from = memory(len, PROT_READ | PROT_WRITE);
	unsigned char *to = memory(len, PROT_READ | PROT_WRITE);

	ASSERT_NE(NULL, from);
	ASSERT_NE(NULL, to);
	MUST(RING(.entries = 8));
	memset(self->dst.map, 1, len);
	EXPECT_EQ(0, DO(NULL, from, &self->dst, NULL, 256));
	EXPECT_EQ(-1, pd_nonzero(self->dst.map, 256));
	EXPECT_EQ(0, DO(&self->src, NULL, NULL, to, len));
	EXPECT_EQ(-1, pd_wrong(to, len, 1));
	munmap(from, len);
	munmap(to, len);
}

TEST_F(ring, of_memory_that_is_not_to_be_had)
{
	const size_t page = self->env.page;
	unsigned char *none = memory(2 * page, PROT_NONE);
	unsigned char *only = memory(2 * page, PROT_READ);
	unsigned char *good = memory(2 * page, PROT_READ | PROT_WRITE);
	struct pindrop_job_desc job;

	ASSERT_NE(NULL, none);
	ASSERT_NE(NULL, only);
	ASSERT_NE(NULL, good);
	MUST(RING(.entries = 8));
	FAILS(EFAULT, DO(NULL, none, &self->dst, NULL, 256));
	FAILS(EFAULT, DO(NULL, none, &self->dst, NULL, page));
	FAILS(EFAULT, DO(&self->src, NULL, NULL, none, 256));
	FAILS(EFAULT, DO(&self->src, NULL, NULL, only, 256));
	FAILS(EFAULT, DO(NULL, NULL, &self->dst, NULL, 256));
	FAILS(EFAULT, DO(NULL, (void *)-8192L, &self->dst, NULL, 4096));
	FAILS(EFAULT, DO(&self->src, NULL, NULL, (void *)-8192L, 4096));
	FAILS(EINVAL, DO(NULL, (void *)-4096L, &self->dst, NULL, 8192));
	/* The same memory on both sides. */
	FAILS(EINVAL, DO(NULL, good, NULL, good + 64, 256));
	/* A handle besides. */
	job = by_address(NULL, good, &self->dst, NULL, 256);
	job.src = self->src.handle;
	FAILS(EINVAL, do_one(&self->ring, &job));
	job = pd_nop(0);
	job.flags = PINDROP_SQE_SRC_ADDR;
	FAILS(EINVAL, do_one(&self->ring, &job));
	EXPECT_EQ(0, DO(NULL, good, &self->dst, NULL, 256));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_PINNED, 0, 2000));
	munmap(none, 2 * page);
	munmap(only, 2 * page);
	munmap(good, 2 * page);
}

/* An ordinary user, who may pin nothing: what is copied is none of that. */
TEST_F(ring, of_memory_is_limited)
{
	const struct rlimit none = {};
	const size_t page = self->env.page;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		unsigned char *mem = memory(4 * page, PROT_READ | PROT_WRITE);
		struct pindrop_job_desc job;
		struct pd_buf dst;
		struct ring r;
		int fd = pd_open(&self->env);

		CHILD(fd >= 0 && mem);
		CHILD(!setrlimit(RLIMIT_MEMLOCK, &none));
		CHILD(!setresuid(65534, 65534, 65534));
		CHILD(!pd_create(fd, 4 * page, &dst));
		CHILD(!ring_open(fd, 8, variant->flags, &r));
		memset(mem, 1, 4 * page);
		job = by_address(NULL, mem, &dst, NULL, 256);
		CHILD(!do_one(&r, &job));
		job = by_address(NULL, mem, &dst, NULL, 2 * page);
		CHILD(do_one(&r, &job) == -ENOMEM);
		job = by_address(&dst, NULL, NULL, mem, 256);
		CHILD(do_one(&r, &job) == -ENOMEM);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
}

/* With a thread, and idle times that matter. */
FIXTURE(thread)
{
	struct pd_env env;
	int fd;
	struct ring ring;
};

FIXTURE_SETUP(thread)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(thread)
{
	ring_close(&self->ring);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define THREAD(more, ...)                                                      \
	ring_make(self->fd,                                                    \
		  &(struct pindrop_ring_setup){ .entries = 8,                  \
						.flags = PINDROP_RING_THREAD | \
							 (more),               \
						__VA_ARGS__ },                 \
		  &self->ring)

/* Nobody enters the driver, all the same it is done. */
TEST_F(thread, serves_without_being_asked)
{
	struct pindrop_cqe cqe;
	__u64 i;

	MUST(THREAD(0, .idle_us = 1000000));
	for (i = 0; i < 2000; i++) {
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
		ASSERT_TRUE(ring_await(&self->ring, &cqe, LONG_MS));
		ASSERT_EQ(i, cqe.user_data);
		ASSERT_EQ(0, RING_LOAD(self->ring.shared->sq_flags));
	}
}

/* So many NOPs, and nothing else than looking at memory. */
static __u64 done_by_looking(struct ring *r, __u64 jobs)
{
	unsigned long looks = 0;
	struct pindrop_cqe cqe;
	__u64 i = 0;

	while (i < jobs && ring_put_nop(r, i)) {
		while (!ring_get(r, &cqe))
			if (++looks > 1000000000)
				return i;
		i++;
	}
	return i;
}

/* As the kernel counts: all that it sees is the end of the counting. */
TEST_F(thread, needs_no_call_while_it_is_awake)
{
	char pid[16];
	__u64 done;

	snprintf(pid, sizeof(pid), "%d", getpid());
	MUST(ring_trace_start());
	MUST(ring_trace_write("set_event_pid", pid));
	MUST(THREAD(0, .idle_us = 1000000));
	EXPECT_EQ(1, done_by_looking(&self->ring, 1));
	MUST(ring_trace_enable(CALLS, "1"));
	done = done_by_looking(&self->ring, 2000);
	MUST(ring_trace_enable(CALLS, "0"));
	EXPECT_EQ(2000, done);
	EXPECT_EQ(0, RING_LOAD(self->ring.shared->sq_flags));
	/* close() after it began; open() and write() to end it. */
	EXPECT_EQ(3, ring_trace_count("sys_enter"));
	ring_trace_end();
}

/* The kernel's own word that a thread sleeps. */
static bool is_idle(pid_t tid, long ms)
{
	__u64 start = pd_now_ns();
	char dir[64], text[256], *state;

	snprintf(dir, sizeof(dir), "/proc/%d", tid);
	while (pd_ms_since(start) <= ms) {
		if (pd_read_in(dir, "stat", text, sizeof(text)))
			return false;
		state = strrchr(text, ')');
		if (state && state[2] == 'I')
			return true;
		pd_sleep_ms(1);
	}
	return false;
}

TEST_F(thread, sleeps_and_is_woken)
{
	struct pindrop_cqe cqe;
	int i;

	MUST(THREAD(0, .idle_us = 100));
	for (i = 0; i < 20; i++) {
		ASSERT_TRUE(ring_sleeps(&self->ring, LONG_MS));
		/* It says so first, and then has a last look. */
		ASSERT_TRUE(is_idle(ring_thread(getpid()), LONG_MS));
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
		EXPECT_FALSE(ring_await(&self->ring, &cqe, 20));
		ASSERT_EQ(0, ring_enter(&self->ring, WAKEUP, 0, 0, 0));
		ASSERT_TRUE(ring_await(&self->ring, &cqe, LONG_MS));
		ASSERT_EQ(i, cqe.user_data);
	}
}

/* Whatever the moment: who sees no flag need not wake it. */
TEST_F(thread, no_wake_up_is_lost)
{
	struct pindrop_cqe cqe;
	int i;

	MUST(THREAD(0, .idle_us = 50));
	for (i = 0; i < 2000; i++) {
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
		ASSERT_LE(0, ring_submit(&self->ring));
		ASSERT_TRUE(ring_await(&self->ring, &cqe, LONG_MS));
		ASSERT_EQ(i, cqe.user_data);
		if (i % 7 == 0)
			usleep(i % 100);
	}
}

/* It sleeps for want of room, with entries left; room wakes it. */
TEST_F(thread, is_woken_by_room)
{
	struct pindrop_cqe cqe;
	int put = 0, got = 0;
	__u64 begin = pd_now_ns();

	MUST(THREAD(0, .idle_us = 100, .cq_entries = 1));
	/* It takes some, two completions at the least, and then no more. */
	while (pd_ms_since(begin) < 100) {
		while (ring_put_nop(&self->ring, put))
			put++;
		ASSERT_LE(0, ring_submit(&self->ring));
		pd_sleep_ms(1);
	}
	EXPECT_EQ(8, put - RING_LOAD(self->ring.shared->sq_head));
	ASSERT_TRUE(ring_sleeps(&self->ring, LONG_MS));
	/* From here on nobody says WAKEUP. */
	while (got < put) {
		if (ring_flushed(&self->ring, &cqe) != 1) {
			ASSERT_TRUE(ring_await(&self->ring, &cqe, LONG_MS));
		}
		ASSERT_EQ(got, cqe.user_data);
		got++;
	}
}

/* A page of shared memory that is pinned, and was not mapped in between. */
static int suspect_pin(int fd, size_t page, unsigned char **at,
		       struct pd_buf *buf)
{
	struct pindrop_pin pin = { .size = sizeof(pin), .length = page };
	int err;

	*at = mmap(NULL, page, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (*at == MAP_FAILED)
		return -errno;
	pd_fill(*at, page, 3);
	pin.address = (unsigned long)*at;
	err = pd_ioctl(fd, PINDROP_VERB_PIN, &pin);
	if (err)
		return err;
	buf->handle = pin.out_handle;
	return madvise(*at, page, MADV_DONTNEED) ? -errno : 0;
}

/* Only the owner can look it up: his turn, and then the thread's again. */
TEST_F(thread, gives_back_what_is_the_owners)
{
	const size_t page = self->env.page;
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	struct pindrop_job_desc job;
	struct pd_buf pinned = {}, dst;
	struct pindrop_cqe cqe;
	unsigned char *at;
	__u64 i, begin = pd_now_ns();

	MUST(THREAD(0, .idle_us = 1000000));
	MUST(pd_create(self->fd, page, &dst));
	MUST(suspect_pin(self->fd, page, &at, &pinned));
	job = pd_nop(0);
	ASSERT_TRUE(ring_fill(&self->ring, &job));
	job = pd_copy(&pinned, 0, &dst, 0, 256);
	job.user_data = 1;
	ASSERT_TRUE(ring_fill(&self->ring, &job));
	job = pd_nop(2);
	ASSERT_TRUE(ring_fill(&self->ring, &job));
	ring_publish(&self->ring);
	ASSERT_TRUE(ring_await(&self->ring, &cqe, LONG_MS));
	EXPECT_EQ(0, cqe.user_data);
	while (!(RING_LOAD(self->ring.shared->sq_flags) &
		 PINDROP_SQ_NEED_ENTER) && pd_ms_since(begin) < LONG_MS)
		pd_sleep_ms(1);
	EXPECT_FALSE(ring_await(&self->ring, &cqe, 20));
	/* And what comes behind it waits, too. */
	ASSERT_TRUE(ring_put_nop(&self->ring, 3));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN, p.revents);
	ASSERT_EQ(0, ring_enter(&self->ring, 0, 0, 0, 0));
	for (i = 1; i < 4; i++) {
		ASSERT_TRUE(ring_await(&self->ring, &cqe, LONG_MS));
		EXPECT_EQ(i, cqe.user_data);
		EXPECT_EQ(0, cqe.result);
	}
	EXPECT_EQ(-1, pd_wrong(dst.map, 256, 3));
	EXPECT_EQ(0, self->ring.shared->sq_flags & PINDROP_SQ_NEED_ENTER);
	munmap(at, page);
	pd_unmap(&dst);
}

/* Asleep in the driver is as good. */
TEST_F(thread, has_the_owner_do_it_who_waits)
{
	const size_t page = self->env.page;
	struct pindrop_job_desc job;
	struct pd_buf pinned = {}, dst;
	struct pindrop_cqe cqe;
	unsigned char *at;

	MUST(THREAD(0, .idle_us = 1));
	MUST(pd_create(self->fd, page, &dst));
	MUST(suspect_pin(self->fd, page, &at, &pinned));
	ASSERT_TRUE(ring_sleeps(&self->ring, LONG_MS));
	job = pd_copy(&pinned, 0, &dst, 0, 256);
	ASSERT_TRUE(ring_put(&self->ring, &job));
	ASSERT_EQ(0, ring_enter(&self->ring, WAKEUP | GETEVENTS, 0, 1,
				LONG_MS));
	ASSERT_TRUE(ring_get(&self->ring, &cqe));
	EXPECT_EQ(0, cqe.result);
	EXPECT_EQ(-1, pd_wrong(dst.map, 256, 3));
	munmap(at, page);
	pd_unmap(&dst);
}

/* Nobody looks it up any more: it ends with its context. */
TEST_F(thread, what_was_given_back_ends_with_the_context)
{
	const size_t page = self->env.page;
	struct pindrop_job_desc job;
	struct pd_buf pinned = {}, dst;
	unsigned char *at;
	__u64 begin = pd_now_ns();

	MUST(THREAD(0, .idle_us = 1000000));
	MUST(pd_create(self->fd, page, &dst));
	MUST(suspect_pin(self->fd, page, &at, &pinned));
	job = pd_copy(&pinned, 0, &dst, 0, 256);
	ASSERT_TRUE(ring_put(&self->ring, &job));
	while (!(RING_LOAD(self->ring.shared->sq_flags) &
		 PINDROP_SQ_NEED_ENTER) && pd_ms_since(begin) < LONG_MS)
		pd_sleep_ms(1);
	pd_unmap(&dst);
	munmap(at, page);
	ring_close(&self->ring);
	close(self->fd);
	EXPECT_EQ(0, pd_grown(&self->env, PD_INFLIGHT));
	EXPECT_EQ(0, pd_grown(&self->env, PD_PINNED));
	EXPECT_TRUE(ring_thread_gone(getpid(), 2000));
	self->fd = pd_open(&self->env);
}

/* What is there the thread takes by itself, awake for longer than a job is. */
TEST_F(thread, borrows_memory)
{
	const size_t page = self->env.page, len = 4 * page;
	unsigned char *mem = memory(2 * len, PROT_READ | PROT_WRITE);
	struct pindrop_job_desc job;
	struct pindrop_cqe cqe;
	__u64 begin;
	int i;

	ASSERT_NE(NULL, mem);
	pd_fill(mem, len, 6);
	memset(mem + len, 0, len);
	MUST(THREAD(0, .idle_us = 1000000));
	for (i = 0; i < 2; i++) {
		job = by_address(NULL, mem, NULL, mem + len, i ? page : 256);
		ASSERT_TRUE(ring_put(&self->ring, &job));
		/* Another may hold the address space's lock for a moment. */
		begin = pd_now_ns();
		while (!ring_get(&self->ring, &cqe) &&
		       pd_ms_since(begin) < LONG_MS)
			EXPECT_EQ(0, RING_LOAD(self->ring.shared->sq_flags));
		EXPECT_EQ(0, cqe.result);
		EXPECT_EQ(-1, pd_wrong(mem + len, job.length, 6));
	}
	munmap(mem, 2 * len);
}

/* Whether that CPU is the only one on which a thread may run. */
static bool bound_to(pid_t tid, long cpu)
{
	char path[64], line[256], want[64];
	bool bound = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	snprintf(want, sizeof(want), "Cpus_allowed_list:\t%ld\n", cpu);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		bound |= !strcmp(line, want);
	if (f)
		fclose(f);
	return bound;
}

TEST_F(thread, runs_where_it_is_told_to)
{
	const long last = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	struct pindrop_cqe cqe;
	cpu_set_t old, first;
	pid_t tid;

	/* But nowhere else than who asks for it. */
	ASSERT_LT(0, last);
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(old), &old));
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(first), &first));
	FAILS(EINVAL, THREAD(PINDROP_RING_CPU, .cpu = last));
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(old), &old));
	MUST(THREAD(PINDROP_RING_CPU, .cpu = last));
	tid = ring_thread(getpid());
	ASSERT_LT(0, tid);
	EXPECT_TRUE(bound_to(tid, last));
	ASSERT_TRUE(ring_put_nop(&self->ring, 1));
	ASSERT_LE(0, ring_submit(&self->ring));
	EXPECT_TRUE(ring_await(&self->ring, &cqe, LONG_MS));
}

TEST_F(thread, ends_with_the_file)
{
	MUST(THREAD(0, .idle_us = 1000000));
	EXPECT_LT(0, ring_thread(getpid()));
	ring_close(&self->ring);
	close(self->fd);
	EXPECT_TRUE(ring_thread_gone(getpid(), 2000));
	EXPECT_STREQ("", pd_env_leaks(&self->env));
	self->fd = pd_open(&self->env);
	/* The same asleep. */
	MUST(THREAD(0, .idle_us = 1));
	ASSERT_TRUE(ring_sleeps(&self->ring, LONG_MS));
	ring_close(&self->ring);
	close(self->fd);
	EXPECT_TRUE(ring_thread_gone(getpid(), 2000));
	self->fd = pd_open(&self->env);
}

TEST_HARNESS_MAIN
