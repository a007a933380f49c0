// SPDX-License-Identifier: GPL-2.0-only
/* SYNC: what it takes, what it refuses, and that it costs no data. */
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define PAGES 2
#define RW (PINDROP_SYNC_READ | PINDROP_SYNC_WRITE)

FIXTURE(sync)
{
	struct pd_env env;
	int fd;
	struct pd_buf buf, dst;
};

FIXTURE_VARIANT(sync)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(sync, plain)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(sync, coherent)
{
	.flags = PINDROP_ALLOC_COHERENT,
};

FIXTURE_SETUP(sync)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_alloc(self->fd, PAGES * self->env.page, variant->flags,
		      &self->buf));
	MUST(pd_alloc(self->fd, PAGES * self->env.page, variant->flags,
		      &self->dst));
	MUST(pd_map(self->fd, &self->buf));
	MUST(pd_map(self->fd, &self->dst));
}

FIXTURE_TEARDOWN(sync)
{
	pd_unmap(&self->buf);
	pd_unmap(&self->dst);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define SYNC(flags, offset, len) \
	pd_sync(self->fd, self->buf.handle, flags, offset, len)

/* Every combination of the four flags; two halves make a right one. */
TEST_F(sync, flags)
{
	const __u32 when = PINDROP_SYNC_BEGIN | PINDROP_SYNC_END;
	__u32 flags;

	for (flags = 0; flags < 16; flags++) {
		bool right = __builtin_popcount(flags & when) == 1 &&
			     flags & RW;

		EXPECT_EQ(right ? 0 : -EINVAL, SYNC(flags, 0, 64))
			TH_LOG("flags %#x", flags);
		FAILS(EOPNOTSUPP, SYNC(flags | 16, 0, 64));
		FAILS(EOPNOTSUPP, SYNC(flags | 1U << 31, 0, 64));
	}
}

TEST_F(sync, ranges)
{
	const __u32 begin = PINDROP_SYNC_BEGIN | RW;
	const __u64 len = self->buf.len, top = ~0ULL;

	EXPECT_EQ(0, SYNC(begin, 0, len));
	EXPECT_EQ(0, SYNC(begin, 0, 1));
	EXPECT_EQ(0, SYNC(begin, len - 1, 1));
	EXPECT_EQ(0, SYNC(begin, self->env.page - 1, 2));
	FAILS(EINVAL, SYNC(begin, 0, 0));
	FAILS(EINVAL, SYNC(begin, len, 0));
	FAILS(EINVAL, SYNC(begin, top, 1));
	FAILS(EINVAL, SYNC(begin, 1, top));
	FAILS(ERANGE, SYNC(begin, 0, len + 1));
	FAILS(ERANGE, SYNC(begin, len, 1));
	FAILS(ERANGE, SYNC(begin, len - 1, 2));
	FAILS(ERANGE, SYNC(begin, 0, top));
	FAILS(ERANGE, SYNC(begin, top - 1, 1));
	FAILS(ERANGE, SYNC(begin, 1ULL << 32, 1));
	FAILS(ERANGE, SYNC(begin, 0, (1ULL << 32) + 1));
}

TEST_F(sync, handles)
{
	const __u32 end = PINDROP_SYNC_END | PINDROP_SYNC_WRITE;
	int other = pd_open(&self->env);

	ASSERT_LE(0, other);
	FAILS(ENOENT, pd_sync(self->fd, 0, end, 0, 1));
	FAILS(ENOENT, pd_sync(self->fd, PINDROP_DEVMEM, end, 0, 1));
	FAILS(ENOENT, pd_sync(other, self->buf.handle, end, 0, 1));
	MUST(pd_free(self->fd, self->buf.handle));
	FAILS(ENOENT, SYNC(end, 0, 1));
	close(other);
}

/* Around a copy, as a program for any machine has to. */
TEST_F(sync, brackets_a_copy)
{
	struct pindrop_job_desc job = pd_copy(&self->buf, 64, &self->dst, 0,
					      512);

	MUST(SYNC(PINDROP_SYNC_BEGIN | PINDROP_SYNC_WRITE, 0, self->buf.len));
	pd_fill(self->buf.map + 64, 512, 1);
	MUST(SYNC(PINDROP_SYNC_END | PINDROP_SYNC_WRITE, 0, self->buf.len));
	EXPECT_EQ(0, pd_run(self->fd, &job, 1));
	MUST(pd_sync(self->fd, self->dst.handle,
		     PINDROP_SYNC_BEGIN | PINDROP_SYNC_READ, 0, 512));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 512, 1));
	EXPECT_EQ(-1, pd_wrong(self->buf.map + 64, 512, 1));
	MUST(pd_sync(self->fd, self->dst.handle,
		     PINDROP_SYNC_END | PINDROP_SYNC_READ, 0, 512));
}

TEST_HARNESS_MAIN
