// SPDX-License-Identifier: GPL-2.0-only
/* RING_SETUP and RING_ENTER, of programs that live and know what they do. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "ring_utils.h"

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
	/* What has ended does not count. */
	fd[0] = pd_open(&self->env);
	ASSERT_LE(0, fd[0]);
	EXPECT_EQ(0, ring_open(fd[0], 1, PINDROP_RING_THREAD, &ring));
	ring_close(&ring);
	close(fd[0]);
}

/* More than a user may have, one after the other, told of or not. */
TEST_F_TIMEOUT(setup, gives_its_memory_back, 240)
{
	const struct pindrop_ring_setup want = {
		.size = sizeof(want),
		.entries = self->env.info.out_max_ring,
		.cq_entries = self->env.info.out_max_cq,
	};
	struct pindrop_ring_setup *args;
	struct sysinfo info;
	struct ring ring;
	__u64 begin;
	long rounds;
	int fd, err;

	ASSERT_EQ(0, sysinfo(&info));
	args = mmap(NULL, self->env.page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, args);
	*args = want;
	ASSERT_EQ(0, mprotect(args, self->env.page, PROT_READ));
	rounds = info.totalram / 2 * info.mem_unit /
			 (want.entries * sizeof(struct pindrop_sqe)) +
		 1;
	while (rounds--) {
		ASSERT_EQ(-EFAULT,
			  pd_ioctl(self->fd, PINDROP_VERB_RING_SETUP, args));
		fd = pd_open(&self->env);
		ASSERT_LE(0, fd);
		begin = pd_now_ns();
		/* The last one goes with its file, or soon after. */
		do
			err = ring_make(fd, &want, &ring);
		while (err == -EDQUOT && pd_ms_since(begin) < 2000);
		ASSERT_EQ(0, err);
		ring_close(&ring);
		close(fd);
	}
	munmap(args, self->env.page);
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
#define AWAIT(cqe) ring_await(&self->ring, (cqe), RING_LONG_MS)

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
	       pd_ms_since(begin) < RING_LONG_MS) {
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
		EXPECT_EQ(POLLIN, events(self->eventfd, RING_LONG_MS));
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
	EXPECT_EQ(POLLIN, events(self->fd, RING_LONG_MS));
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
	EXPECT_EQ(POLLIN, events(self->fd, RING_LONG_MS));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 2 * self->piece, 1));
}

/* That there is more, and that it was posted. */
TEST_F(setup, tells_of_what_was_kept)
{
	const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pindrop_cqe cqe;
	__u64 i, count;

	ASSERT_LE(0, event);
	MUST(SETUP(.entries = 4, .cq_entries = 2, .flags = PINDROP_RING_EVENTFD,
		   .eventfd = event));
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
	}
	ASSERT_EQ(4, ring_submit(&self->ring));
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(ring_await(&self->ring, &cqe, RING_LONG_MS));
	}
	ASSERT_EQ(8, read(event, &count, 8));
	EXPECT_FALSE(ring_get(&self->ring, &cqe));
	EXPECT_EQ(POLLIN, events(self->fd, 0));
	EXPECT_EQ(0, ring_enter(&self->ring, GETEVENTS, 0, 0, 0));
	EXPECT_EQ(POLLIN, events(event, 0));
	ASSERT_TRUE(ring_get(&self->ring, &cqe));
	EXPECT_EQ(2, cqe.user_data);
	close(event);
}

/* All that has room is posted at once, however much that is. */
TEST_F(setup, posts_all_that_was_kept)
{
	const size_t len = 4 * self->env.info.out_max_piece;
	const unsigned int n = 1024, room = 512;
	__u64 i, begin = pd_now_ns();
	struct pindrop_job_desc job;
	struct pd_buf src, dst;
	struct pindrop_cqe cqe;

	MUST(pd_create(self->fd, len, &src));
	MUST(pd_create(self->fd, len, &dst));
	MUST(SETUP(.entries = n, .cq_entries = room));
	/* The others are over when this is. */
	job = pd_copy(&src, 0, &dst, 0, len);
	ASSERT_TRUE(ring_fill(&self->ring, &job));
	for (i = 1; i < n; i++) {
		job = pd_nop(i);
		ASSERT_TRUE(ring_fill(&self->ring, &job));
	}
	ring_publish(&self->ring);
	ASSERT_EQ(n, ring_submit(&self->ring));
	while (RING_LOAD(self->ring.shared->cq_overflow) < n - room &&
	       pd_ms_since(begin) < RING_LONG_MS)
		pd_sleep_ms(1);
	ASSERT_EQ(n - room, RING_LOAD(self->ring.shared->cq_overflow));
	for (i = 0; i < room; i++) {
		ASSERT_TRUE(ring_get(&self->ring, &cqe));
	}
	EXPECT_EQ(0, ring_enter(&self->ring, GETEVENTS, 0, 0, 0));
	EXPECT_EQ(n, RING_LOAD(self->ring.shared->cq_tail));
	EXPECT_EQ(0, RING_LOAD(self->ring.shared->cq_flags));
	for (i = room; i < n && ring_get(&self->ring, &cqe); i++) {
		EXPECT_EQ(i, cqe.user_data);
	}
	pd_unmap(&src);
	pd_unmap(&dst);
}

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
					   wake ? 0 : 2, 1, RING_LONG_MS));
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
	EXPECT_EQ(0, ring_enter(&self->ring, GETEVENTS, 0, ~0U, RING_LONG_MS));
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
	       pd_ms_since(begin) < RING_LONG_MS)
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
			/* A thread finds out by itself that there is room. */
			if (!variant->flags) {
				n = ring_submit(&self->ring);
				ASSERT_TRUE(n >= 0 || n == -EBUSY);
			}
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
			       pd_ms_since(begin) < RING_LONG_MS)
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

TEST_HARNESS_MAIN
