// SPDX-License-Identifier: GPL-2.0-only
/* Entries that name addresses: memory that is copied, or pinned for one job. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pin_utils.h"
#include "ring_utils.h"

#define KPF_DIRTY 4

/* With a ring, and with or without a thread behind it. */
FIXTURE(memory)
{
	struct pd_env env;
	int fd;
	struct ring ring;
	struct pd_buf src, dst;
	size_t piece;
};

FIXTURE_VARIANT(memory)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(memory, entered) { .flags = 0 };

FIXTURE_VARIANT_ADD(memory, threaded) { .flags = PINDROP_RING_THREAD };

FIXTURE_SETUP(memory)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	self->piece = self->env.info.out_max_piece;
	MUST(pd_create(self->fd, 8 * self->piece, &self->src));
	MUST(pd_create(self->fd, 8 * self->piece, &self->dst));
	pd_fill(self->src.map, self->src.len, 1);
}

FIXTURE_TEARDOWN(memory)
{
	ring_close(&self->ring);
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define RING(...)                                                        \
	ring_make(self->fd,                                              \
		  &(struct pindrop_ring_setup){ .flags = variant->flags, \
						__VA_ARGS__ },           \
		  &self->ring)

#define DO(...)                                               \
	ring_do_one(&self->ring, (struct pindrop_job_desc[]){ \
					 ring_by_address(__VA_ARGS__) })

/* Little is copied, more is pinned, not all of it begins with a page. */
TEST_F(memory, of_plain_memory)
{
	const size_t page = self->env.page, big = 4 * page;
	const size_t lengths[] = { 256, 2048, 2304, 2 * page };
	unsigned char *from = ring_anon(big, PROT_READ | PROT_WRITE);
	unsigned char *to = ring_anon(big, PROT_READ | PROT_WRITE);
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
TEST_F(memory, of_memory_that_was_never_touched)
{
	const size_t len = 2 * self->env.page;
	unsigned char *from = ring_anon(len, PROT_READ | PROT_WRITE);
	unsigned char *to = ring_anon(len, PROT_READ | PROT_WRITE);

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

TEST_F(memory, of_memory_that_is_not_to_be_had)
{
	const size_t page = self->env.page;
	unsigned char *none = ring_anon(2 * page, PROT_NONE);
	unsigned char *only = ring_anon(2 * page, PROT_READ);
	unsigned char *good = ring_anon(2 * page, PROT_READ | PROT_WRITE);
	struct pindrop_job_desc job;
	unsigned int i = 0;
	__u64 wide;

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
	job = ring_by_address(NULL, NULL, &self->dst, NULL, 8192);
	job.src_offset = -4096LL;
	FAILS(EINVAL, ring_do_one(&self->ring, &job));
	/* What a narrow type would take for memory: copied, pinned, written. */
	while ((wide = pd_wide(good, i++))) {
		job = ring_by_address(NULL, NULL, &self->dst, NULL, 256);
		job.src_offset = wide;
		FAILS(EFAULT, ring_do_one(&self->ring, &job));
		job.length = page;
		FAILS(EFAULT, ring_do_one(&self->ring, &job));
		job = ring_by_address(&self->src, NULL, NULL, NULL, 256);
		job.dst_offset = wide;
		FAILS(EFAULT, ring_do_one(&self->ring, &job));
	}
	/* The same memory on both sides. */
	FAILS(EINVAL, DO(NULL, good, NULL, good + 64, 256));
	/* A handle besides. */
	job = ring_by_address(NULL, good, &self->dst, NULL, 256);
	job.src = self->src.handle;
	FAILS(EINVAL, ring_do_one(&self->ring, &job));
	job = pd_nop(0);
	job.flags = PINDROP_SQE_SRC_ADDR;
	FAILS(EINVAL, ring_do_one(&self->ring, &job));
	EXPECT_EQ(0, DO(NULL, good, &self->dst, NULL, 256));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_PINNED, 0, 2000));
	munmap(none, 2 * page);
	munmap(only, 2 * page);
	munmap(good, 2 * page);
}

static bool dirty(const void *mem)
{
	return pin_kpageflags(mem) >> KPF_DIRTY & 1;
}

/* What is worthless to the program is clean, until the device writes it. */
TEST_F(memory, of_memory_leaves_dirty_what_it_wrote)
{
	const size_t page = self->env.page;
	unsigned char *mem = ring_anon(2 * page, PROT_READ | PROT_WRITE);

	ASSERT_NE(NULL, mem);
	MUST(RING(.entries = 8));
	memset(mem, 0x77, 2 * page);
	if (madvise(mem, 2 * page, MADV_FREE) || pin_kpageflags(mem) < 0)
		SKIP(return, "the kernel does not tell what is dirty");
	ASSERT_FALSE(dirty(mem) || dirty(mem + page));
	EXPECT_EQ(0, DO(&self->src, NULL, NULL, mem, page));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_PINNED, 0, 2000));
	EXPECT_TRUE(dirty(mem));
	EXPECT_FALSE(dirty(mem + page));
	munmap(mem, 2 * page);
}

/* An ordinary user, who may pin nothing: what is copied is none of that. */
TEST_F(memory, of_memory_is_limited)
{
	const struct rlimit none = {};
	const size_t page = self->env.page;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		unsigned char *mem = ring_anon(4 * page,
					       PROT_READ | PROT_WRITE);
		struct pindrop_job_desc job;
		struct pd_buf dst;
		struct ring r;
		int fd = pd_open(&self->env);

		CHILD(fd >= 0 && mem);
		CHILD(!setrlimit(RLIMIT_MEMLOCK, &none));
		memset(mem, 1, 4 * page);
		/* Who may lock all of memory is not limited. */
		CHILD(!ring_open(pd_open(&self->env), 8, variant->flags, &r));
		job = ring_by_address(NULL, mem, NULL, mem + 2 * page,
				      2 * page);
		CHILD(!ring_do_one(&r, &job));
		CHILD(!pd_write_in(self->env.sysfs, "ring_threads", "1"));
		CHILD(!setresuid(65534, 65534, 65534));
		CHILD(!pd_create(fd, 4 * page, &dst));
		CHILD(!ring_open(fd, 8, variant->flags, &r));
		memset(mem, 1, 4 * page);
		job = ring_by_address(NULL, mem, &dst, NULL, 256);
		CHILD(!ring_do_one(&r, &job));
		job = ring_by_address(NULL, mem, &dst, NULL, 2 * page);
		CHILD(ring_do_one(&r, &job) == -ENOMEM);
		job = ring_by_address(&dst, NULL, NULL, mem, 256);
		CHILD(ring_do_one(&r, &job) == -ENOMEM);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	MUST(pd_write_in(self->env.sysfs, "ring_threads", "0"));
}

TEST_HARNESS_MAIN
