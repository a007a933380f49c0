// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * What makes a pin stale: other memory in its place, or none. And what does
 * not: all that the kernel does to memory while it stays the same.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pin_utils.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define MPOL_MF_MOVE_ALL 4

#define RW (PROT_READ | PROT_WRITE)
#define WRITE PINDROP_PIN_WRITE
#define PAGES 8
#define THP "/sys/kernel/mm/transparent_hugepage/khugepaged"
#define KSM "/sys/kernel/mm/ksm"
#define SPLIT "/sys/kernel/debug/split_huge_pages"
/* For a thread of the kernel's to come round. */
#define ROUNDS_MS 20000

/*
 * PAGES pages are pinned, with more of the same kind on both sides: twice, to
 * be written and to be read.
 */
FIXTURE(stale)
{
	struct pin_watch w;
	size_t page;
	struct pin_mem m;
	unsigned char *mem;
	size_t len;
	struct pd_buf p, r;
};

FIXTURE_VARIANT(stale)
{
	int (*make)(struct pin_mem *m, size_t len);
	size_t len; /* 0: what it takes */
};

#define KIND(name, ...)                  \
	FIXTURE_VARIANT_ADD(stale, name) \
	{                                \
		__VA_ARGS__              \
	}

KIND(anonymous, .make = pin_anon);
KIND(thp, .make = pin_thp, .len = PIN_HUGE);
KIND(memfd, .make = pin_memfd);

FIXTURE_SETUP(stale)
{
	int err;

	self->m = PIN_NO_MEM;
	PIN_SETUP(&self->w);
	self->page = self->w.env.page;
	self->len = PAGES * self->page;
	err = variant->make(&self->m, variant->len ?: 3 * self->len);
	if (err == -ENODATA) {
		pin_drop(&self->m);
		pin_unwatch(&self->w);
		SKIP(PD_LEAVE_SETUP, "the kernel has no such memory");
	}
	MUST(err);
	self->mem = self->m.mem + self->len;
	pd_fill(self->m.mem, self->m.len, 1);
	MUST(pd_pin(self->w.fd, self->mem, self->len, WRITE, &self->p));
	MUST(pd_pin(self->w.fd, self->mem, self->len, 0, &self->r));
}

FIXTURE_TEARDOWN(stale)
{
	pin_drop(&self->m);
	PIN_TEARDOWN(&self->w);
}

static int submit(const struct pin_watch *w, const struct pd_buf *pin)
{
	struct pindrop_job_desc job = pd_copy(pin, 0, &w->buf, 0, 64);

	return pd_submit(w->fd, &job, 1, NULL);
}

/* Either pin, wherever in it, in each role, and for good. */
#define IS_STALE()                                                    \
	do {                                                          \
		struct pindrop_job_desc stale[2];                     \
		struct pindrop_submit sub;                            \
		const long long done = pd_jobs_ended(&self->w.env);   \
		FAILS(ESTALE, submit(&self->w, &self->p));            \
		FAILS(ESTALE, submit(&self->w, &self->r));            \
		stale[0] = pd_nop(0);                                 \
		stale[1] = pd_copy(&self->w.buf, 0, &self->p,         \
				   self->len - PIN_COPY, PIN_COPY);   \
		FAILS(ESTALE, pd_submit(self->w.fd, stale, 2, &sub)); \
		EXPECT_EQ(1, sub.out_error_index);                    \
		/* Neither of the two was queued. */                  \
		EXPECT_EQ(0, pd_count(&self->w.env, PD_INFLIGHT));    \
		EXPECT_EQ(done, pd_jobs_ended(&self->w.env));         \
	} while (0)

/*
 * Both work: what the program writes now is read by way of the one, and comes
 * back by way of the other.
 */
static int both_work(const struct pin_watch *w, const struct pd_buf *p,
		     const struct pd_buf *r)
{
	const size_t from = 3 * w->env.page, to = w->env.page;
	struct pindrop_job_desc job = pd_copy(r, from, p, to, PIN_COPY);
	static unsigned int seed = 100;
	int err;

	pd_fill(r->map + from, PIN_COPY, ++seed);
	err = pd_run(w->fd, &job, 1);
	if (err)
		return err;
	return pd_wrong(p->map + to, PIN_COPY, seed) == -1 ? 0 : 1;
}

#define IS_FRESH() EXPECT_EQ(0, both_work(&self->w, &self->p, &self->r))

/* What was never stale stays pinned, as what is. */
#define STILL_PINNED() EXPECT_PINNED(&self->w, 2 * PAGES)

TEST_F(stale, is_not_untouched_memory)
{
	IS_FRESH();
	STILL_PINNED();
}

TEST_F(stale, is_what_was_unmapped)
{
	ASSERT_EQ(0, munmap(self->mem, self->len));
	IS_STALE();
	STILL_PINNED();
	/* What comes in its place is something else. */
	ASSERT_EQ(self->mem,
		  mmap(self->mem, self->len, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE,
		       -1, 0));
	IS_STALE();
	IS_STALE();
	STILL_PINNED();
}

/* It was never seen without memory there. */
TEST_F(stale, is_what_was_mapped_over)
{
	struct pd_buf again;

	ASSERT_EQ(self->mem,
		  mmap(self->mem, self->len, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE,
		       -1, 0));
	IS_STALE();
	/* The new memory is as good as any. */
	MUST(pd_pin(self->w.fd, self->mem, self->len, WRITE, &again));
	EXPECT_EQ(0, pin_in(&self->w, &again, 0, PIN_COPY, 3));
	IS_STALE();
	/* It is not lost, and can be let go. */
	MUST(pd_free(self->w.fd, self->p.handle));
	MUST(pd_free(self->w.fd, self->r.handle));
	EXPECT_PINNED(&self->w, PAGES);
	EXPECT_EQ(0, pin_out(&self->w, &again, 0, PIN_COPY));
}

/* One page of it, anywhere, also where no job goes. */
TEST_F(stale, is_what_lost_one_page)
{
	struct pd_buf half;

	MUST(pd_pin(self->w.fd, self->mem, self->len / 2, WRITE, &half));
	ASSERT_NE(MAP_FAILED,
		  mmap(self->mem + (PAGES - 2) * self->page, self->page, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE,
		       -1, 0));
	IS_STALE();
	EXPECT_EQ(0, pin_in(&self->w, &half, self->page, PIN_COPY, 3));
	EXPECT_EQ(0, pin_out(&self->w, &half, self->page, PIN_COPY));
}

/* Only what changed is looked at: each page in its turn, and two far ones. */
TEST_F(stale, is_what_lost_any_of_its_pages)
{
	unsigned int i, other;

	for (i = 0; i < PAGES; i++) {
		for (other = 0; other < PAGES; other += PAGES - 1) {
			struct pd_buf p;
			unsigned char *mem = mmap(NULL, self->len, RW,
						  MAP_PRIVATE | MAP_ANONYMOUS |
							  MAP_POPULATE,
						  -1, 0);

			ASSERT_NE(MAP_FAILED, mem);
			MUST(pd_pin(self->w.fd, mem, self->len, 0, &p));
			EXPECT_EQ(0, submit(&self->w, &p));
			/* The same page as before: a change, and none. */
			ASSERT_EQ(0, mprotect(mem + other * self->page,
					      self->page, PROT_READ));
			madvise(mem + other * self->page, self->page,
				MADV_FREE);
			EXPECT_EQ(0, submit(&self->w, &p));
			ASSERT_EQ(0, madvise(mem + i * self->page, self->page,
					     MADV_DONTNEED));
			EXPECT_EQ(-ESTALE, submit(&self->w, &p))
			TH_LOG("page %u after %u", i, other);
			MUST(pd_free(self->w.fd, p.handle));
			munmap(mem, self->len);
		}
	}
}

TEST_F(stale, is_not_what_lost_its_neighbours)
{
	ASSERT_EQ(0, munmap(self->m.mem, self->len));
	IS_FRESH();
	ASSERT_EQ(0, munmap(self->mem + self->len, self->page));
	ASSERT_EQ(0, madvise(self->mem + self->len + self->page, self->page,
			     MADV_DONTNEED));
	IS_FRESH();
	STILL_PINNED();
}

/* A file's page is the same when it comes back, others are not. */
TEST_F(stale, is_what_was_not_needed)
{
	const bool same = self->m.file >= 0;

	ASSERT_EQ(0, madvise(self->mem, self->len, MADV_DONTNEED));
	if (same) {
		IS_FRESH();
	} else {
		IS_STALE();
		memset(self->mem, 1, self->len);
		IS_STALE();
	}
	STILL_PINNED();
}

/* Moved away and back it is the same; but not if it was missed meanwhile. */
TEST_F(stale, is_what_moved_away)
{
	unsigned char *to = mmap(NULL, self->len, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, to);
	ASSERT_EQ(to, mremap(self->mem, self->len, self->len,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(self->mem, mremap(to, self->len, self->len,
				    MREMAP_MAYMOVE | MREMAP_FIXED, self->mem));
	IS_FRESH();
	ASSERT_EQ(to, mremap(self->mem, self->len, self->len,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	IS_STALE();
	ASSERT_EQ(self->mem, mremap(to, self->len, self->len,
				    MREMAP_MAYMOVE | MREMAP_FIXED, self->mem));
	IS_STALE();
	STILL_PINNED();
}

/* What is queued was judged when it came. */
TEST_F(stale, is_not_what_is_queued)
{
	struct pindrop_job_desc jobs[2];
	struct pindrop_submit sub;

	jobs[0] = pd_copy(&self->r, 0, &self->w.buf, 0, PIN_COPY);
	jobs[1] = pd_copy(&self->r, self->page, &self->w.buf, self->page,
			  PIN_COPY);
	MUST(pd_submit(self->w.fd, jobs, 2, &sub));
	ASSERT_EQ(0, munmap(self->mem, self->len));
	FAILS(ESTALE, submit(&self->w, &self->r));
	EXPECT_EQ(0, pd_result(self->w.fd, sub.out_first));
	EXPECT_EQ(0, pd_result(self->w.fd, sub.out_last));
	/* What was pinned is what was read. */
	ASSERT_EQ(self->mem,
		  mmap(self->mem, self->len, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	pd_fill(self->m.mem, self->m.len, 1);
	EXPECT_EQ(0, memcmp(self->w.buf.map, self->mem, PIN_COPY));
	EXPECT_EQ(0, memcmp(self->w.buf.map + self->page,
			    self->mem + self->page, PIN_COPY));
	IS_STALE();
}

/* Rights are nothing to the device, which had them. */
TEST_F(stale, is_not_what_was_protected)
{
	unsigned char *mem = self->mem;

	ASSERT_EQ(0, mprotect(mem, self->len, PROT_READ));
	EXPECT_EQ(0, pin_in(&self->w, &self->p, 0, PIN_COPY, 3));
	EXPECT_EQ(0, pin_out(&self->w, &self->r, 0, PIN_COPY));
	ASSERT_EQ(0, mprotect(mem, self->len, PROT_NONE));
	EXPECT_EQ(0, submit(&self->w, &self->r));
	EXPECT_EQ(0, submit(&self->w, &self->p));
	ASSERT_EQ(0, mprotect(mem, self->len, RW));
	IS_FRESH();
	/* One page of it, in the middle: the mapping is three then. */
	ASSERT_EQ(0, mprotect(mem + 4 * self->page, self->page, PROT_NONE));
	EXPECT_EQ(0, pin_in(&self->w, &self->p, 0, PIN_COPY, 4));
	ASSERT_EQ(0, mprotect(mem + 4 * self->page, self->page, RW));
	IS_FRESH();
	STILL_PINNED();
}

/* Its pages moved and back, and then nobody may write, or touch, it. */
TEST_F(stale, is_not_what_was_moved_and_protected)
{
	unsigned char *to = mmap(NULL, self->len, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, to);
	ASSERT_EQ(to, mremap(self->mem, self->len, self->len,
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(self->mem, mremap(to, self->len, self->len,
				    MREMAP_MAYMOVE | MREMAP_FIXED, self->mem));
	ASSERT_EQ(0, mprotect(self->mem, self->len, PROT_READ));
	EXPECT_EQ(0, pin_in(&self->w, &self->p, 0, PIN_COPY, 3));
	EXPECT_EQ(0, pin_out(&self->w, &self->r, 0, PIN_COPY));
	ASSERT_EQ(0, mprotect(self->mem, self->len, RW));
	IS_FRESH();
}

/* A huge page is mapped by small ones, and stays what it was. */
TEST_F(stale, is_not_what_was_split)
{
	char text[128];

	/* Of those that are not huge it is one more mapping. */
	ASSERT_EQ(0, mprotect(self->m.mem + 1 * self->page, self->page,
			      PROT_READ));
	IS_FRESH();
	ASSERT_EQ(0, munmap(self->m.mem + 3 * self->page, self->page));
	IS_FRESH();
	snprintf(text, sizeof(text), "%d,0x%lx,0x%lx", getpid(),
		 (long)self->mem, (long)(self->mem + self->len));
	pd_write_file(SPLIT, text);
	IS_FRESH();
	STILL_PINNED();
}

/* The kernel tries to make it a huge page, or is asked to. */
TEST_F(stale, is_not_what_should_collapse)
{
	static const char *const knobs[][2] = {
		{ "scan_sleep_millisecs", "10" },
		{ "alloc_sleep_millisecs", "10" },
		{ "pages_to_scan", "100000" },
	};
	char old[ARRAY_LEN(knobs)][32] = {};
	struct pin_mem room = PIN_NO_MEM;
	const __u64 begin = pd_now_ns();
	unsigned char *at;
	struct pd_buf p;
	unsigned int i;
	int rounds;

	if (access(THP, F_OK))
		SKIP(return, "no huge pages");
	/* A place for a huge page, with small ones in it and a pin on some. */
	MUST(variant->make(&room, 2 * PIN_HUGE));
	at = (void *)(((uintptr_t)room.mem + PIN_HUGE - 1) & -PIN_HUGE);
	if (variant->make == pin_anon) {
		memset(at, 1, PIN_HUGE);
	} else {
		for (i = 0; i < PIN_HUGE; i += self->page)
			at[i] = 1;
	}
	MUST(pd_pin(self->w.fd, at + 5 * self->page, self->len, WRITE, &p));
	for (i = 0; i < ARRAY_LEN(knobs); i++) {
		pd_read_in(THP, knobs[i][0], old[i], sizeof(old[i]));
		MUST(pd_write_in(THP, knobs[i][0], knobs[i][1]));
	}
	rounds = pd_number_in(THP, "full_scans");
	madvise(at, PIN_HUGE, MADV_HUGEPAGE);
	madvise(at, PIN_HUGE, MADV_COLLAPSE);
	/* Shared memory it has to be asked about, unless it was allowed. */
	if (variant->make != pin_anon)
		rounds = -3;
	while (pd_number_in(THP, "full_scans") < rounds + 3 &&
	       pd_ms_since(begin) < ROUNDS_MS)
		pd_sleep_ms(10);
	EXPECT_EQ(0, pin_in(&self->w, &p, self->page - 64, PIN_COPY, 3));
	EXPECT_EQ(0, pin_out(&self->w, &p, self->page - 64, PIN_COPY));
	EXPECT_LE(rounds + 3, pd_number_in(THP, "full_scans"));
	for (i = 0; i < ARRAY_LEN(knobs); i++)
		MUST(pd_write_in(THP, knobs[i][0], old[i]));
	MUST(pd_free(self->w.fd, p.handle));
	pin_drop(&room);
	IS_FRESH();
}

/* The same bytes elsewhere: only what is not pinned may become one page. */
TEST_F(stale, is_not_what_could_be_merged)
{
	const __u64 begin = pd_now_ns();
	struct pin_mem twin = PIN_NO_MEM;
	char run[32], nap[32], scan[32];
	int rounds;

	if (pd_read_in(KSM, "run", run, sizeof(run)))
		SKIP(return, "the kernel does not merge pages");
	if (madvise(self->mem, self->len, MADV_MERGEABLE))
		SKIP(return, "not memory that is merged");
	MUST(pin_anon(&twin, self->len));
	memset(self->mem, 0x33, self->len);
	memset(twin.mem, 0x33, self->len);
	ASSERT_EQ(0, madvise(twin.mem, self->len, MADV_MERGEABLE));
	MUST(pd_read_in(KSM, "sleep_millisecs", nap, sizeof(nap)));
	MUST(pd_read_in(KSM, "pages_to_scan", scan, sizeof(scan)));
	MUST(pd_write_in(KSM, "sleep_millisecs", "1"));
	MUST(pd_write_in(KSM, "pages_to_scan", "10000"));
	rounds = pd_number_in(KSM, "full_scans");
	MUST(pd_write_in(KSM, "run", "1"));
	while (pd_number_in(KSM, "full_scans") < rounds + 4 &&
	       pd_ms_since(begin) < ROUNDS_MS)
		pd_sleep_ms(10);
	EXPECT_LE(rounds + 4, pd_number_in(KSM, "full_scans"));
	IS_FRESH();
	/* 2 undoes it for all. */
	MUST(pd_write_in(KSM, "run", "2"));
	MUST(pd_write_in(KSM, "run", run));
	MUST(pd_write_in(KSM, "sleep_millisecs", nap));
	MUST(pd_write_in(KSM, "pages_to_scan", scan));
	IS_FRESH();
	STILL_PINNED();
	pin_drop(&twin);
}

/* Nothing that is pinned can be moved; that it is tried changes nothing. */
TEST_F(stale, is_not_what_should_move)
{
	const unsigned long from = 1, to = 1;
	void *pages[PAGES];
	int node[PAGES], status[PAGES], i, round;

	for (i = 0; i < PAGES; i++) {
		pages[i] = self->mem + i * self->page;
		node[i] = 0;
	}
	for (round = 0; round < 3; round++) {
		/* Holes all over the place, for it to have a reason. */
		struct pin_mem holes;

		MUST(pin_anon(&holes, PIN_HUGE));
		memset(holes.mem, 1, PIN_HUGE);
		for (i = 0; i < (int)(PIN_HUGE / self->page); i += 2)
			madvise(holes.mem + i * self->page, self->page,
				MADV_DONTNEED);
		pd_write_file("/proc/sys/vm/compact_memory", "1");
		/* A kernel that knows one node only has neither. */
		syscall(SYS_move_pages, 0, PAGES, pages, node, status,
			MPOL_MF_MOVE_ALL);
		syscall(SYS_migrate_pages, 0, 8 * sizeof(from), &from, &to);
		pin_drop(&holes);
		IS_FRESH();
	}
	STILL_PINNED();
}

/* It is taken from the program, and is still the same. */
TEST_F(stale, is_not_what_should_be_swapped_out)
{
	int round;

	for (round = 0; round < 2; round++) {
		madvise(self->m.mem, self->m.len, MADV_COLD);
		EXPECT_EQ(0, submit(&self->w, &self->p));
		madvise(self->m.mem, self->m.len, MADV_PAGEOUT);
		EXPECT_EQ(0, submit(&self->w, &self->p));
		EXPECT_EQ(0, submit(&self->w, &self->r));
		IS_FRESH();
	}
	STILL_PINNED();
}

TEST_F(stale, is_not_what_was_locked_or_looked_at)
{
	ASSERT_EQ(0, mlock(self->m.mem, self->len + self->page));
	IS_FRESH();
	ASSERT_EQ(0, munlock(self->m.mem, self->len + self->page));
	IS_FRESH();
	/* 1: referenced; 4: soft-dirty, of kernels that know it. */
	MUST(pd_write_file("/proc/self/clear_refs", "1"));
	IS_FRESH();
	pd_write_file("/proc/self/clear_refs", "4");
	IS_FRESH();
	STILL_PINNED();
}

/*
 * Fork under DMA: the pinned pages stay the parent's, whoever writes first, and
 * nothing that the device does is seen by the child.
 */
TEST_F(stale, is_not_what_was_forked)
{
	const bool shared = self->m.file >= 0;
	volatile unsigned int *flag = pd_shared_page();
	struct pindrop_job_desc job;
	struct pindrop_submit sub;
	pid_t pid;

	ASSERT_NE(NULL, flag);
	memset(self->mem, 0x77, self->len);
	pd_fill(self->w.buf.map, 2 * self->page, 5);
	job = pd_copy(&self->w.buf, 0, &self->p, 0, 2 * self->page);
	MUST(pd_submit(self->w.fd, &job, 1, &sub));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (!shared)
			memset(self->mem, 0x33, self->len);
		pd_post(flag, 1);
		CHILD(pd_await(flag, 2));
		if (!shared) {
			CHILD(self->mem[0] == 0x33);
			CHILD(!memcmp(self->mem, self->mem + 1, self->len - 1));
		} else {
			CHILD(pd_wrong(self->mem, 2 * self->page, 5) == -1);
		}
		CHILD(submit(&self->w, &self->p) == -EPERM);
		_exit(0);
	}
	EXPECT_TRUE(pd_await(flag, 1));
	EXPECT_EQ(0, pd_result(self->w.fd, sub.out_last));
	EXPECT_EQ(-1, pd_wrong(self->mem, 2 * self->page, 5));
	EXPECT_EQ(0x77, self->mem[2 * self->page]);
	pd_post(flag, 2);
	EXPECT_EQ(0, pd_join(pid));
	IS_FRESH();
	STILL_PINNED();
}

/* The parent is the first to write, with the child still there. */
TEST_F(stale, is_not_what_was_written_after_fork)
{
	volatile unsigned int *flag = pd_shared_page();
	pid_t pid;

	ASSERT_NE(NULL, flag);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(pd_await(flag, 1));
		_exit(0);
	}
	pd_fill(self->mem, self->len, 6);
	EXPECT_EQ(0, pin_out(&self->w, &self->r, self->page - 64, PIN_COPY));
	EXPECT_EQ(0, pin_out(&self->w, &self->p, 2 * self->page, PIN_COPY));
	IS_FRESH();
	pd_post(flag, 1);
	EXPECT_EQ(0, pd_join(pid));
	IS_FRESH();
}

/* Memory of a file that can become shorter. */
FIXTURE(file)
{
	struct pin_watch w;
	size_t page, len;
	unsigned char *mem;
	struct pin_mem m;
	struct pd_buf p, r;
};

FIXTURE_SETUP(file)
{
	self->m = PIN_NO_MEM;
	PIN_SETUP(&self->w);
	self->page = self->w.env.page;
	self->len = PAGES * self->page;
	MUST(pin_memfd(&self->m, self->len));
	self->mem = self->m.mem;
	pd_fill(self->mem, self->len, 1);
	MUST(pd_pin(self->w.fd, self->mem, self->len, WRITE, &self->p));
	MUST(pd_pin(self->w.fd, self->mem, self->len, 0, &self->r));
}

FIXTURE_TEARDOWN(file)
{
	pin_drop(&self->m);
	PIN_TEARDOWN(&self->w);
}

TEST_F(file, was_truncated)
{
	ASSERT_EQ(0, ftruncate(self->m.file, 0));
	IS_STALE();
	ASSERT_EQ(0, ftruncate(self->m.file, self->len));
	memset(self->mem, 1, self->len);
	IS_STALE();
	STILL_PINNED();
}

TEST_F(file, was_truncated_and_is_long_again)
{
	ASSERT_EQ(0, ftruncate(self->m.file, self->len - self->page));
	ASSERT_EQ(0, ftruncate(self->m.file, self->len));
	memset(self->mem, 1, self->len);
	IS_STALE();
}

TEST_F(file, has_a_hole)
{
	ASSERT_EQ(0, fallocate(self->m.file,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       3 * self->page, self->page));
	IS_STALE();
	self->mem[3 * self->page] = 1;
	IS_STALE();
	STILL_PINNED();
}

TEST_F(file, has_a_hole_by_advice)
{
	ASSERT_EQ(0, madvise(self->mem, self->page, MADV_REMOVE));
	self->mem[0] = 1;
	IS_STALE();
}

TEST_F(file, was_truncated_under_a_job)
{
	struct pindrop_job_desc job;
	struct pindrop_submit sub;

	pd_fill(self->w.buf.map, 2 * self->page, 5);
	job = pd_copy(&self->w.buf, 0, &self->p, 0, 2 * self->page);
	MUST(pd_submit(self->w.fd, &job, 1, &sub));
	ASSERT_EQ(0, ftruncate(self->m.file, 0));
	ASSERT_EQ(0, ftruncate(self->m.file, self->len));
	memset(self->mem, 0x5c, self->len);
	EXPECT_EQ(0, pd_result(self->w.fd, sub.out_last));
	/* Into what was pinned, and not into what is there now. */
	EXPECT_EQ(0x5c, self->mem[0]);
	EXPECT_EQ(0, memcmp(self->mem, self->mem + 1, self->len - 1));
	IS_STALE();
	STILL_PINNED();
}

/* Mapped anew at the same place it is the same memory. */
TEST_F(file, was_mapped_again)
{
	ASSERT_EQ(self->mem,
		  mmap(self->mem, self->len, RW,
		       MAP_SHARED | MAP_FIXED | MAP_POPULATE, self->m.file, 0));
	IS_FRESH();
	/* But not from another place of the file. */
	ASSERT_EQ(self->mem, mmap(self->mem, self->page, RW,
				  MAP_SHARED | MAP_FIXED | MAP_POPULATE,
				  self->m.file, self->page));
	IS_STALE();
}

/* The mapping came from a file that others write, too: no news to the pin. */
TEST_F(file, is_written_by_others)
{
	unsigned char *other;

	other = mmap(NULL, self->len, RW, MAP_SHARED, self->m.file, 0);
	ASSERT_NE(MAP_FAILED, other);
	pd_fill(other, self->len, 7);
	EXPECT_EQ(0, pin_out(&self->w, &self->r, self->page - 64, PIN_COPY));
	EXPECT_EQ(-1, pd_wrong(self->mem, self->len, 7));
	ASSERT_EQ(0, munmap(other, self->len));
	IS_FRESH();
	STILL_PINNED();
}

/* A private page of the file becomes the program's own when it is written. */
TEST_F(file, is_private_and_was_written)
{
	unsigned char *mem = mmap(NULL, self->len, RW, MAP_PRIVATE,
				  self->m.file, 0);
	struct pd_buf p;

	ASSERT_NE(MAP_FAILED, mem);
	MUST(pd_pin(self->w.fd, mem, self->len, 0, &p));
	EXPECT_EQ(0, pin_out(&self->w, &p, 0, PIN_COPY));
	pd_fill(mem, self->len, 8);
	EXPECT_EQ(0, pin_out(&self->w, &p, self->page - 64, PIN_COPY));
	EXPECT_EQ(-1, pd_wrong(self->mem, self->len, 1));
	munmap(mem, self->len);
	MUST(pd_free(self->w.fd, p.handle));
}

/* Huge pages of the pool. */
FIXTURE(pool)
{
	struct pin_watch w;
	size_t page;
	struct pin_mem m;
	struct pd_buf p, r;
	unsigned char *mem;
	size_t len;
};

FIXTURE_SETUP(pool)
{
	int err;

	self->m = PIN_NO_MEM;
	PIN_SETUP(&self->w);
	self->page = self->w.env.page;
	err = pin_hugetlb(&self->m, 2 * PIN_HUGE);
	if (err == -ENODATA) {
		pin_drop(&self->m);
		pin_unwatch(&self->w);
		SKIP(PD_LEAVE_SETUP, "the kernel has no such memory");
	}
	MUST(err);
	self->mem = self->m.mem;
	self->len = self->m.len;
	memset(self->mem, 1, self->len);
	MUST(pd_pin(self->w.fd, self->mem, self->len, WRITE, &self->p));
	MUST(pd_pin(self->w.fd, self->mem, self->len, 0, &self->r));
}

FIXTURE_TEARDOWN(pool)
{
	pin_drop(&self->m);
	PIN_TEARDOWN(&self->w);
}

TEST_F(pool, was_unmapped)
{
	IS_FRESH();
	ASSERT_EQ(0, munmap(self->mem, self->len));
	self->m.mem = NULL;
	IS_STALE();
}

TEST_F(pool, was_protected_and_forked)
{
	pid_t pid;

	ASSERT_EQ(0, mprotect(self->mem, self->len, PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem, self->len, RW));
	IS_FRESH();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(self->mem[self->page * 5] != 1);
	EXPECT_EQ(0, pd_join(pid));
	IS_FRESH();
}

TEST_HARNESS_MAIN
