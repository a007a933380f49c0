// SPDX-License-Identifier: GPL-2.0-only
/* The thread of a ring: that it needs no calls, sleeps, and is woken. */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "ring_utils.h"

#define CALLS "raw_syscalls/sys_enter"
/* The longest idle time that a thread can have. */
#define AWAKE_MS 1000

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

#define AWAIT(cqe) ring_await(&self->ring, (cqe), RING_LONG_MS)

/*
 * The thread completes each entry without a system call. It may sleep only if
 * the test itself did not run for the thread's idle time.
 */
TEST_F(thread, serves_without_being_asked)
{
	__u64 last = pd_now_ns(), begin, i;
	struct pindrop_cqe cqe;

	MUST(THREAD(0, .idle_us = AWAKE_MS * 1000));
	for (i = 0; i < 2000; i++) {
		begin = pd_now_ns();
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
		/* Pairs with the barrier between the thread's flag and its last look. */
		__sync_synchronize();
		if (RING_LOAD(self->ring.shared->sq_flags)) {
			ASSERT_LE(AWAKE_MS, pd_ms_since(last));
			ASSERT_EQ(0, ring_enter(&self->ring, WAKEUP, 0, 0, 0));
		}
		ASSERT_TRUE(ring_await(&self->ring, &cqe, RING_LONG_MS));
		ASSERT_EQ(i, cqe.user_data);
		last = begin;
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
		ASSERT_TRUE(ring_sleeps(&self->ring, RING_LONG_MS));
		/* It says so first, and then has a last look. */
		ASSERT_TRUE(is_idle(ring_thread(getpid()), RING_LONG_MS));
		ASSERT_TRUE(ring_put_nop(&self->ring, i));
		EXPECT_FALSE(ring_await(&self->ring, &cqe, 20));
		ASSERT_EQ(0, ring_enter(&self->ring, WAKEUP, 0, 0, 0));
		ASSERT_TRUE(ring_await(&self->ring, &cqe, RING_LONG_MS));
		ASSERT_EQ(i, cqe.user_data);
	}
}

/* A thousand times as long would be a second. */
TEST_F(thread, sleeps_after_its_time)
{
	MUST(THREAD(0, .idle_us = 1000));
	EXPECT_TRUE(ring_sleeps(&self->ring, 800));
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
		ASSERT_TRUE(ring_await(&self->ring, &cqe, RING_LONG_MS));
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
	ASSERT_TRUE(ring_sleeps(&self->ring, RING_LONG_MS));
	/* From here on nobody says WAKEUP. */
	while (got < put) {
		if (ring_flushed(&self->ring, &cqe) != 1) {
			ASSERT_TRUE(AWAIT(&cqe));
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
	const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	struct pindrop_job_desc job;
	struct pd_buf pinned = {}, dst;
	struct pindrop_cqe cqe;
	unsigned char *at;
	__u64 i, told, begin = pd_now_ns();

	ASSERT_LE(0, event);
	MUST(THREAD(PINDROP_RING_EVENTFD, .eventfd = event,
		    .idle_us = 1000000));
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
	ASSERT_TRUE(ring_await(&self->ring, &cqe, RING_LONG_MS));
	EXPECT_EQ(0, cqe.user_data);
	while (!(RING_LOAD(self->ring.shared->sq_flags) &
		 PINDROP_SQ_NEED_ENTER) &&
	       pd_ms_since(begin) < RING_LONG_MS)
		pd_sleep_ms(1);
	EXPECT_FALSE(ring_await(&self->ring, &cqe, 20));
	/* Of one completion, and that it is his turn. */
	EXPECT_EQ(8, read(event, &told, 8));
	EXPECT_EQ(2, told);
	/* What was taken is the kernel's, and these are free again. */
	memset(self->ring.sqes, 0xff, 3 * sizeof(*self->ring.sqes));
	/* And what comes behind it waits, too. */
	ASSERT_TRUE(ring_put_nop(&self->ring, 3));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN, p.revents);
	ASSERT_EQ(0, ring_enter(&self->ring, 0, 0, 0, 0));
	for (i = 1; i < 4; i++) {
		ASSERT_TRUE(ring_await(&self->ring, &cqe, RING_LONG_MS));
		EXPECT_EQ(i, cqe.user_data);
		EXPECT_EQ(0, cqe.result);
	}
	EXPECT_EQ(-1, pd_wrong(dst.map, 256, 3));
	EXPECT_EQ(0, self->ring.shared->sq_flags & PINDROP_SQ_NEED_ENTER);
	close(event);
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
	ASSERT_TRUE(ring_sleeps(&self->ring, RING_LONG_MS));
	job = pd_copy(&pinned, 0, &dst, 0, 256);
	ASSERT_TRUE(ring_put(&self->ring, &job));
	ASSERT_EQ(0, ring_enter(&self->ring, WAKEUP | GETEVENTS, 0, 1,
				RING_LONG_MS));
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
		 PINDROP_SQ_NEED_ENTER) &&
	       pd_ms_since(begin) < RING_LONG_MS)
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
	unsigned char *mem = ring_anon(2 * len, PROT_READ | PROT_WRITE);
	struct pindrop_job_desc job;
	struct pindrop_cqe cqe;
	__u64 begin;
	int i;

	ASSERT_NE(NULL, mem);
	pd_fill(mem, len, 6);
	memset(mem + len, 0, len);
	MUST(THREAD(0, .idle_us = 1000000));
	for (i = 0; i < 2; i++) {
		job = ring_by_address(NULL, mem, NULL, mem + len,
				      i ? page : 256);
		ASSERT_TRUE(ring_put(&self->ring, &job));
		/* Another may hold the address space's lock for a moment. */
		begin = pd_now_ns();
		while (!ring_get(&self->ring, &cqe) &&
		       pd_ms_since(begin) < RING_LONG_MS)
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
	EXPECT_TRUE(ring_await(&self->ring, &cqe, RING_LONG_MS));
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
	ASSERT_TRUE(ring_sleeps(&self->ring, RING_LONG_MS));
	ring_close(&self->ring);
	close(self->fd);
	EXPECT_TRUE(ring_thread_gone(getpid(), 2000));
	self->fd = pd_open(&self->env);
}

TEST_HARNESS_MAIN
