// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings that are cut, moved and protected. The handle is dropped first: the
 * areas alone hold the memory, and the last of them lets it go.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define PAGES 256
#define HUGE_SIZE (2UL << 20)
#define RW (PROT_READ | PROT_WRITE)

/* @map is @len bytes with pattern 1 in them, @spare as much reserved. */
FIXTURE(layout)
{
	struct pd_env env;
	int fd;
	size_t page;
	size_t len;
	unsigned char *want;
	unsigned char *map;
	unsigned char *spare;
};

FIXTURE_VARIANT(layout)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(layout, plain)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(layout, coherent)
{
	.flags = PINDROP_ALLOC_COHERENT,
};

static unsigned char *anonymous(size_t len, int prot)
{
	void *mem = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

FIXTURE_SETUP(layout)
{
	struct pd_buf buf;

	PD_SETUP(&self->env);
	self->page = self->env.page;
	self->len = PAGES * self->page;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_alloc(self->fd, self->len, variant->flags, &buf));
	MUST(pd_map(self->fd, &buf));
	MUST(pd_free(self->fd, buf.handle));
	self->map = buf.map;
	pd_fill(self->map, self->len, 1);
	self->want = anonymous(self->len, RW);
	ASSERT_NE(NULL, self->want);
	pd_fill(self->want, self->len, 1);
	self->spare = anonymous(self->len, PROT_NONE);
	ASSERT_NE(NULL, self->spare);
}

FIXTURE_TEARDOWN(layout)
{
	munmap(self->map, self->len);
	munmap(self->spare, self->len);
	munmap(self->want, self->len);
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define AT(n) ((n) * self->page)
#define HELD() pd_grown(&self->env, PD_BUFFERS)
#define BYTES() pd_grown(&self->env, PD_BYTES)
/* That @n pages at @mem are the buffer's from page @first on. */
#define SHOWS(mem, first, n) \
	EXPECT_EQ(0, memcmp((mem), self->want + AT(first), AT(n)))
#define UNMAP(first, n) ASSERT_EQ(0, munmap(self->map + AT(first), AT(n)))

static bool is_mapped(void *mem, size_t page)
{
	return !msync(mem, page, MS_ASYNC);
}

/* How a child ends that reads, or writes, a byte. */
static int touch(volatile unsigned char *mem, bool write)
{
	pid_t pid = fork();

	if (!pid) {
		if (write)
			*mem = 0x5a;
		else
			(void)*mem;
		_exit(0);
	}
	return pd_join(pid);
}

TEST_F(layout, hole_in_the_middle)
{
	UNMAP(64, 100);
	EXPECT_FALSE(is_mapped(self->map + AT(64), self->page));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(self->len, BYTES());
	SHOWS(self->map, 0, 64);
	SHOWS(self->map + AT(164), 164, PAGES - 164);
}

TEST_F(layout, head_goes_first)
{
	UNMAP(0, 100);
	EXPECT_EQ(1, HELD());
	SHOWS(self->map + AT(100), 100, PAGES - 100);
	UNMAP(100, PAGES - 101);
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(self->len, BYTES());
	SHOWS(self->map + AT(PAGES - 1), PAGES - 1, 1);
	UNMAP(PAGES - 1, 1);
	EXPECT_EQ(0, HELD());
	EXPECT_EQ(0, BYTES());
}

TEST_F(layout, tail_goes_first)
{
	UNMAP(100, PAGES - 100);
	EXPECT_EQ(1, HELD());
	SHOWS(self->map, 0, 100);
	UNMAP(1, 99);
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(self->len, BYTES());
	SHOWS(self->map, 0, 1);
	UNMAP(0, 1);
	EXPECT_EQ(0, HELD());
	EXPECT_EQ(0, BYTES());
}

/* Every second page, so that each of the rest is an area of its own. */
TEST_F(layout, comb)
{
	int i;

	for (i = 0; i < PAGES; i += 2)
		UNMAP(i, 1);
	for (i = 1; i < PAGES; i += 2)
		SHOWS(self->map + AT(i), i, 1);
	for (i = 1; i < PAGES; i += 2) {
		EXPECT_EQ(1, HELD());
		UNMAP(i, 1);
	}
	EXPECT_EQ(0, HELD());
}

TEST_F(layout, mapping_over_it_ends_it)
{
	ASSERT_EQ(self->map, mmap(self->map, self->len, RW,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
				  0));
	EXPECT_EQ(0, HELD());
	EXPECT_EQ(-1, pd_nonzero(self->map, self->len));
}

TEST_F(layout, move_takes_the_data_along)
{
	ASSERT_EQ(self->spare, mremap(self->map, self->len, self->len,
				      MREMAP_MAYMOVE | MREMAP_FIXED,
				      self->spare));
	EXPECT_FALSE(is_mapped(self->map, self->page));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(self->len, BYTES());
	SHOWS(self->spare, 0, PAGES);
	pd_fill(self->spare, self->len, 2);
	EXPECT_EQ(-1, pd_wrong(self->spare, self->len, 2));
	ASSERT_EQ(0, munmap(self->spare, self->len));
	EXPECT_EQ(0, HELD());
}

/* Faults in what was moved find the same pages as before. */
TEST_F(layout, move_of_what_is_not_touched)
{
	ASSERT_EQ(0, mprotect(self->map, self->len, PROT_NONE));
	madvise(self->map, self->len, MADV_DONTNEED);
	ASSERT_EQ(self->spare, mremap(self->map, self->len, self->len,
				      MREMAP_MAYMOVE | MREMAP_FIXED,
				      self->spare));
	ASSERT_EQ(0, mprotect(self->spare, self->len, RW));
	SHOWS(self->spare, 0, PAGES);
}

TEST_F(layout, move_of_the_middle)
{
	ASSERT_EQ(self->spare + AT(7),
		  mremap(self->map + AT(50), AT(100), AT(100),
			 MREMAP_MAYMOVE | MREMAP_FIXED, self->spare + AT(7)));
	SHOWS(self->map, 0, 50);
	SHOWS(self->spare + AT(7), 50, 100);
	SHOWS(self->map + AT(150), 150, PAGES - 150);
	EXPECT_FALSE(is_mapped(self->map + AT(50), self->page));
	UNMAP(0, PAGES);
	EXPECT_EQ(1, HELD());
	SHOWS(self->spare + AT(7), 50, 100);
	ASSERT_EQ(0, munmap(self->spare, self->len));
	EXPECT_EQ(0, HELD());
}

TEST_F(layout, shrink)
{
	ASSERT_EQ(self->map, mremap(self->map, self->len, AT(100), 0));
	EXPECT_FALSE(is_mapped(self->map + AT(100), self->page));
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(self->len, BYTES());
	SHOWS(self->map, 0, 100);
	UNMAP(0, 100);
	EXPECT_EQ(0, HELD());
}

TEST_F(layout, growing_is_refused)
{
	int flags;

	for (flags = 0; flags <= MREMAP_MAYMOVE; flags += MREMAP_MAYMOVE) {
		errno = 0;
		EXPECT_EQ(MAP_FAILED, mremap(self->map, self->len,
					     self->len + self->page, flags));
		EXPECT_EQ(EFAULT, errno);
	}
	/* Also where it was as large before. */
	UNMAP(100, PAGES - 100);
	for (flags = 0; flags <= MREMAP_MAYMOVE; flags += MREMAP_MAYMOVE) {
		errno = 0;
		EXPECT_EQ(MAP_FAILED, mremap(self->map, AT(100), self->len,
					     flags));
		EXPECT_EQ(EFAULT, errno);
	}
	EXPECT_EQ(1, HELD());
	SHOWS(self->map, 0, 100);
}

/* From no bytes to some is growing, too. */
TEST_F(layout, duplicate_by_mremap_is_refused)
{
	errno = 0;
	EXPECT_EQ(MAP_FAILED, mremap(self->map, 0, self->len, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	errno = 0;
	EXPECT_EQ(MAP_FAILED, mremap(self->map, 0, self->page, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	SHOWS(self->map, 0, PAGES);
	UNMAP(0, PAGES);
	EXPECT_EQ(0, HELD());
}

TEST_F(layout, read_only_is_kept)
{
	ASSERT_EQ(0, mprotect(self->map, self->len, PROT_READ));
	EXPECT_EQ(0, touch(self->map + AT(9), false));
	EXPECT_EQ(-SIGSEGV, touch(self->map + AT(9), true));
	SHOWS(self->map, 0, PAGES);
	ASSERT_EQ(0, mprotect(self->map, self->len, RW));
	EXPECT_EQ(0, touch(self->map + AT(9), true));
	EXPECT_EQ(0x5a, self->map[AT(9)]);
	pd_fill(self->map, self->len, 2);
	EXPECT_EQ(-1, pd_wrong(self->map, self->len, 2));
}

/* What is faulted in while it cannot be written must not stay so. */
TEST_F(layout, first_touched_read_only)
{
	ASSERT_EQ(0, mprotect(self->map, self->len, PROT_READ));
	madvise(self->map, self->len, MADV_DONTNEED);
	SHOWS(self->map, 0, PAGES);
	EXPECT_EQ(-SIGSEGV, touch(self->map, true));
	ASSERT_EQ(0, mprotect(self->map, self->len, RW));
	pd_fill(self->map, self->len, 2);
	EXPECT_EQ(-1, pd_wrong(self->map, self->len, 2));
}

TEST_F(layout, no_access_is_kept)
{
	ASSERT_EQ(0, mprotect(self->map + AT(10), AT(20), PROT_NONE));
	EXPECT_EQ(-SIGSEGV, touch(self->map + AT(10), false));
	EXPECT_EQ(-SIGSEGV, touch(self->map + AT(29), true));
	EXPECT_EQ(0, touch(self->map + AT(30), false));
	SHOWS(self->map, 0, 10);
	ASSERT_EQ(0, mprotect(self->map + AT(10), AT(20), RW));
	SHOWS(self->map, 0, PAGES);
}

/* Driver memory is not the kernel's to drop: at most the entries go. */
TEST_F(layout, advice_loses_nothing)
{
	/* By number where an older header has no name for it. */
	const int advice[] = {
		MADV_DONTNEED, MADV_WILLNEED, MADV_FREE, MADV_MERGEABLE,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, 20 /* COLD */, 21 /* PAGEOUT */,
		22 /* POPULATE_READ */, 23 /* POPULATE_WRITE */,
		24 /* DONTNEED_LOCKED */, 25 /* COLLAPSE */,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(advice); i++) {
		madvise(self->map, self->len, advice[i]);
		SHOWS(self->map, 0, PAGES)
			TH_LOG("advice %d", advice[i]);
	}
	if (!mlock(self->map, self->len))
		munlock(self->map, self->len);
	SHOWS(self->map, 0, PAGES);
}

TEST_F(layout, dropped_entries_come_back)
{
	int i;

	/* Not for memory without struct pages that the kernel may look at. */
	ASSERT_EQ(variant->flags ? -1 : 0,
		  madvise(self->map, self->len, MADV_DONTNEED));
	for (i = PAGES - 1; i >= 0; i--)
		SHOWS(self->map + AT(i), i, 1);
	pd_fill(self->map, self->len, 2);
	madvise(self->map, self->len, MADV_DONTNEED);
	EXPECT_EQ(-1, pd_wrong(self->map, self->len, 2));
}

TEST_F(layout, remove_is_refused)
{
	EXPECT_EQ(-1, madvise(self->map, self->len, MADV_REMOVE));
	SHOWS(self->map, 0, PAGES);
}

/* It is no core file's business what a device wrote. */
TEST_F(layout, cannot_be_put_into_dumps)
{
	EXPECT_EQ(-1, madvise(self->map, self->len, MADV_DODUMP));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(1, pd_vmflags(self->map, "dd"));
}

/* Newer kernels take DONTFORK back for no area that is as special as ours. */
TEST_F(layout, dontfork_and_dofork)
{
	ASSERT_EQ(0, madvise(self->map, self->len, MADV_DONTFORK));
	EXPECT_EQ(-SIGSEGV, touch(self->map, false));
	if (madvise(self->map, self->len, MADV_DOFORK)) {
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-SIGSEGV, touch(self->map, false));
	} else {
		EXPECT_EQ(0, touch(self->map, true));
		EXPECT_EQ(0x5a, self->map[0]);
	}
	EXPECT_EQ(1, HELD());
}

/* From 256 KiB to one page, each page is where it belongs. */
TEST_F(layout, any_order_of_faults)
{
	static const int steps[] = { 1, 3, 63, 65, 127, 167, 255 };
	size_t s;
	int i;

	for (s = 0; s < ARRAY_LEN(steps); s++) {
		madvise(self->map, self->len, MADV_DONTNEED);
		for (i = 0; i < PAGES; i++) {
			int at = (i * steps[s] + 13) % PAGES;

			ASSERT_EQ(self->want[AT(at) + 77],
				  self->map[AT(at) + 77])
				TH_LOG("step %d, page %d", steps[s], at);
		}
		SHOWS(self->map, 0, PAGES);
	}
}

/* Nothing of this buffer was ever touched before the faults come. */
TEST_F(layout, any_order_of_first_faults)
{
	struct pd_buf buf;
	int i;

	MUST(pd_alloc(self->fd, self->len, variant->flags, &buf));
	MUST(pd_map(self->fd, &buf));
	for (i = 0; i < PAGES; i++) {
		int at = (i * 167 + 13) % PAGES;

		ASSERT_EQ(0, buf.map[AT(at)]);
		buf.map[AT(at)] = at + 1;
		buf.map[AT(at) + 1] = (at + 1) >> 8;
	}
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(i + 1, buf.map[AT(i)] | buf.map[AT(i) + 1] << 8);
	MUST(pd_unmap(&buf));
	MUST(pd_free(self->fd, buf.handle));
	EXPECT_EQ(1, HELD());
}

/* What is larger than a fault's batch, and begins in its middle. */
TEST_F(layout, areas_of_any_place)
{
	struct pd_buf buf;
	int first, n;

	MUST(pd_alloc(self->fd, self->len, variant->flags, &buf));
	MUST(pd_map(self->fd, &buf));
	pd_fill(buf.map, buf.len, 1);
	for (first = 0; first < PAGES; first += 37)
		for (n = 1; first + n <= PAGES; n += 61) {
			unsigned char *part;

			part = pd_mmap(self->fd, buf.offset + AT(first), AT(n),
				       RW, NULL);
			ASSERT_NE(NULL, part);
			ASSERT_EQ(0, memcmp(part, self->want + AT(first),
					    AT(n)))
				TH_LOG("%d pages from %d", n, first);
			munmap(part, AT(n));
		}
	MUST(pd_unmap(&buf));
	MUST(pd_free(self->fd, buf.handle));
}

/* The same for what is mapped 2 MiB at a time. */
FIXTURE(layout_huge)
{
	struct pd_env env;
	int fd;
	size_t page;
	bool there;
	unsigned char *want;
	struct pd_buf buf;
};

FIXTURE_SETUP(layout_huge)
{
	const size_t len = 2 * HUGE_SIZE;
	int err;

	PD_SETUP(&self->env);
	self->page = self->env.page;
	self->there = self->env.info.out_caps & PINDROP_CAP_ALLOC_HUGE;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	err = pd_alloc(self->fd, len, PINDROP_ALLOC_HUGE, &self->buf);
	ASSERT_EQ(self->there ? 0 : -EOPNOTSUPP, err);
	if (self->there) {
		MUST(pd_map(self->fd, &self->buf));
		MUST(pd_free(self->fd, self->buf.handle));
		pd_fill(self->buf.map, len, 1);
	}
	self->want = anonymous(len, RW);
	ASSERT_NE(NULL, self->want);
	pd_fill(self->want, len, 1);
}

FIXTURE_TEARDOWN(layout_huge)
{
	pd_unmap(&self->buf);
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	munmap(self->want, 2 * HUGE_SIZE);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

TEST_F(layout_huge, hole_in_an_entry)
{
	unsigned char *map = self->buf.map;
	const size_t from = AT(100), to = AT(300);

	if (!self->there)
		return;
	ASSERT_EQ(0, munmap(map + from, to - from));
	EXPECT_FALSE(is_mapped(map + from, self->page));
	EXPECT_EQ(1, HELD());
	SHOWS(map, 0, 100);
	EXPECT_EQ(0, memcmp(map + to, self->want + to, self->buf.len - to));
}

/* Where a program would only fault again, the kernel gives up. */
TEST_F(layout_huge, kernel_reads_next_to_an_entry)
{
	unsigned char *last = self->buf.map + HUGE_SIZE - self->page;
	int file;

	if (!self->there)
		return;
	file = memfd_create("pindrop", MFD_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, munmap(self->buf.map, self->page));
	EXPECT_EQ(self->page, write(file, last, self->page));
	EXPECT_EQ(0, memcmp(last, self->want + HUGE_SIZE - self->page,
			    self->page));
	close(file);
}

TEST_F(layout_huge, protection_of_a_part)
{
	unsigned char *map = self->buf.map;

	if (!self->there)
		return;
	ASSERT_EQ(0, mprotect(map + AT(100), AT(1), PROT_READ));
	EXPECT_EQ(-SIGSEGV, touch(map + AT(100), true));
	EXPECT_EQ(0, memcmp(map, self->want, self->buf.len));
	EXPECT_EQ(0, touch(map + AT(99), true));
	EXPECT_EQ(0, touch(map + AT(101), true));
	ASSERT_EQ(0, mprotect(map + AT(100), AT(1), RW));
	pd_fill(map, self->buf.len, 2);
	EXPECT_EQ(-1, pd_wrong(map, self->buf.len, 2));
}

TEST_F(layout_huge, whole_read_only)
{
	unsigned char *map = self->buf.map;

	if (!self->there)
		return;
	ASSERT_EQ(0, mprotect(map, self->buf.len, PROT_READ));
	EXPECT_EQ(-SIGSEGV, touch(map, true));
	EXPECT_EQ(0, memcmp(map, self->want, self->buf.len));
	ASSERT_EQ(0, mprotect(map, self->buf.len, RW));
	pd_fill(map, self->buf.len, 2);
	EXPECT_EQ(-1, pd_wrong(map, self->buf.len, 2));
}

TEST_F(layout_huge, move_to_where_entries_do_not_fit)
{
	unsigned char *map = self->buf.map, *to;
	const size_t len = self->buf.len;

	if (!self->there)
		return;
	to = anonymous(len + 2 * HUGE_SIZE, PROT_NONE);
	ASSERT_NE(NULL, to);
	to = (void *)(((unsigned long)to | (HUGE_SIZE - 1)) + 1 + self->page);
	ASSERT_EQ(to, mremap(map, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	self->buf.map = to;
	EXPECT_EQ(1, HELD());
	EXPECT_EQ(0, memcmp(to, self->want, len));
	pd_fill(to, len, 2);
	EXPECT_EQ(-1, pd_wrong(to, len, 2));
}

TEST_F(layout_huge, fork_shares_it)
{
	pid_t pid;

	if (!self->there)
		return;
	pid = fork();
	if (!pid) {
		CHILD(!memcmp(self->buf.map, self->want, self->buf.len));
		pd_fill(self->buf.map, self->buf.len, 2);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 2));
}

/* Memory in whole blocks, mapped page by page: each page is a part of one. */
FIXTURE(layout_block)
{
	struct pd_env env;
	int fd;
	size_t page;
	unsigned char *want;
	struct pd_buf buf;
};

FIXTURE_SETUP(layout_block)
{
	const size_t len = 2 * HUGE_SIZE;

	PD_SETUP(&self->env);
	self->page = self->env.page;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, len, &self->buf));
	MUST(pd_free(self->fd, self->buf.handle));
	pd_fill(self->buf.map, len, 1);
	self->want = anonymous(len, RW);
	ASSERT_NE(NULL, self->want);
	pd_fill(self->want, len, 1);
}

FIXTURE_TEARDOWN(layout_block)
{
	pd_unmap(&self->buf);
	munmap(self->want, 2 * HUGE_SIZE);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

/* What the kernel would take apart first, if it were the kernel's. */
TEST_F(layout_block, advice_on_a_part_loses_nothing)
{
	const int advice[] = { 20 /* COLD */, 21 /* PAGEOUT */, MADV_FREE,
			       MADV_DONTNEED };
	unsigned char *map = self->buf.map;
	size_t i;

	for (i = 0; i < ARRAY_LEN(advice); i++) {
		madvise(map + AT(16), AT(16), advice[i]);
		madvise(map + AT(500), AT(30), advice[i]);
		EXPECT_EQ(0, memcmp(map, self->want, self->buf.len))
		TH_LOG("advice %d", advice[i]);
	}
}

/* Of the whole buffer one page is left, in a pipe: nobody else gets it. */
TEST_F(layout_block, page_in_a_pipe_is_kept)
{
	struct iovec iov = { self->buf.map + AT(100), self->page };
	unsigned char *got = anonymous(self->page, RW);
	struct pd_buf others[4];
	unsigned int i;
	int fds[2];

	ASSERT_NE(NULL, got);
	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	ASSERT_EQ(self->page, vmsplice(fds[1], &iov, 1, 0));
	pd_unmap(&self->buf);
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	/* What is free is given out again, the last first. */
	for (i = 0; i < ARRAY_LEN(others); i++) {
		MUST(pd_create(self->fd, 2 * HUGE_SIZE, &others[i]));
		memset(others[i].map, 0xee, others[i].len);
	}
	EXPECT_EQ(self->page, read(fds[0], got, self->page));
	EXPECT_EQ(0, memcmp(got, self->want + AT(100), self->page));
	for (i = 0; i < ARRAY_LEN(others); i++)
		pd_unmap(&others[i]);
	munmap(got, self->page);
	close(fds[0]);
	close(fds[1]);
}

TEST_HARNESS_MAIN
