// SPDX-License-Identifier: GPL-2.0-only
/* Copies by a controller that the kernel drives: within its limits, no others. */
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "plat_utils.h"

#define DELAY "/sys/module/pindrop_dmaengine/parameters/delay_us"

FIXTURE(plat)
{
	char delay[32];
	struct pd_env env;
	int fd;
	struct pd_buf src, dst;
	size_t align;
};

FIXTURE_VARIANT(plat)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(plat, pages)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(plat, coherent)
{
	.flags = PINDROP_ALLOC_COHERENT,
};

FIXTURE_SETUP(plat)
{
	PLAT_SETUP(&self->env);
	/* Nobody dies here: there are many copies, and none is waited for. */
	MUST(pd_read_file(DELAY, self->delay, sizeof(self->delay)));
	MUST(pd_write_file(DELAY, "0"));
	self->align = self->env.info.out_align;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_alloc(self->fd,
		      2 * self->env.info.out_max_piece + self->env.page,
		      variant->flags, &self->src));
	MUST(pd_alloc(self->fd, self->src.len, variant->flags, &self->dst));
	MUST(pd_map(self->fd, &self->src));
	MUST(pd_map(self->fd, &self->dst));
	pd_fill(self->src.map, self->src.len, 7);
}

FIXTURE_TEARDOWN(plat)
{
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	close(self->fd);
	MUST(pd_write_file(DELAY, self->delay));
	PD_TEARDOWN(&self->env);
}

/* These bytes, and none around them: "", or what is wrong. */
static const char *copies(int fd, const struct pd_buf *src, size_t from,
			  const struct pd_buf *dst, size_t to, size_t len)
{
	struct pindrop_job_desc job = pd_copy(src, from, dst, to, len);

	memset(dst->map, 0, dst->len);
	if (pd_run(fd, &job, 1))
		return "it failed";
	if (memcmp(src->map + from, dst->map + to, len))
		return "other bytes came";
	if (pd_nonzero(dst->map, to) >= 0 ||
	    pd_nonzero(dst->map + to + len, dst->len - to - len) >= 0)
		return "more was written";
	return pd_wrong(src->map, src->len, 7) >= 0 ? "the source changed" : "";
}

#define COPIES(from, to, n)                                            \
	do {                                                           \
		const char *wrong = copies(self->fd, &self->src, from, \
					   &self->dst, to, n);         \
		EXPECT_STREQ("", wrong)                                \
		TH_LOG("%zu bytes from %zu to %zu: %s", (size_t)(n),   \
		       (size_t)(from), (size_t)(to), wrong);           \
	} while (0)

/* Around each power of two, which is where controllers have their corners. */
TEST_F(plat, of_all_sizes)
{
	const size_t a = self->align, last = self->src.len - 3 * a;
	size_t n;

	for (n = a; n <= 4096; n += n < 64 * a ? a : 61 * a)
		COPIES(a, 2 * a, n);
	for (n = 8192; n <= last; n *= 2) {
		COPIES(0, a, n - a);
		COPIES(a, 0, n);
		if (n + a <= last)
			COPIES(2 * a, a, n + a);
	}
	COPIES(0, 0, self->src.len);
}

TEST_F(plat, of_all_alignments)
{
	const size_t a = self->align;
	size_t from, to;

	for (from = 0; from < 16 * a; from += a)
		for (to = 0; to < 16 * a; to += 3 * a)
			COPIES(from, to, 21 * a);
	/* Across what the controller does in one go. */
	from = self->env.info.out_max_piece;
	COPIES(from - a, from - 2 * a, 5 * a);
}

TEST_F(plat, not_beyond_its_alignment)
{
	struct pindrop_job_desc job;
	const size_t a = self->align;
	size_t bad;

	for (bad = 1; bad < a; bad++) {
		job = pd_copy(&self->src, bad, &self->dst, 0, a);
		FAILS(EINVAL, pd_submit(self->fd, &job, 1, NULL));
		job = pd_copy(&self->src, 0, &self->dst, bad, a);
		FAILS(EINVAL, pd_submit(self->fd, &job, 1, NULL));
		job = pd_copy(&self->src, 0, &self->dst, 0, a + bad);
		FAILS(EINVAL, pd_submit(self->fd, &job, 1, NULL));
	}
	job = pd_copy(&self->src, 0, &self->dst, self->dst.len, a);
	FAILS(ERANGE, pd_submit(self->fd, &job, 1, NULL));
	EXPECT_EQ(-1, pd_nonzero(self->dst.map, self->dst.len));
}

/* Each channel works, and none waits for another. */
TEST_F(plat, on_each_channel)
{
	struct pindrop_job_desc job;
	struct pindrop_submit sub;
	unsigned int i;

	for (i = 0; i < self->env.info.out_channels; i++) {
		memset(self->dst.map, 0, self->dst.len);
		job = pd_copy(&self->src, 0, &self->dst, 0, self->src.len);
		MUST(pd_submit_on(self->fd, i, &job, 1, &sub));
		EXPECT_EQ(0, pd_result(self->fd, sub.out_last));
		EXPECT_EQ(-1, pd_wrong(self->dst.map, self->dst.len, 7));
	}
	FAILS(EINVAL, pd_submit_on(self->fd, i, &job, 1, &sub));
}

/* Memory of one's own, more than fits in any bounce buffer. */
TEST_F(plat, of_pinned_memory)
{
	const size_t len = 1 << 20;
	unsigned char *from = mmap(NULL, len, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *to = mmap(NULL, len, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pd_buf src, dst;
	struct pindrop_job_desc job;

	ASSERT_NE(MAP_FAILED, from);
	ASSERT_NE(MAP_FAILED, to);
	pd_fill(from, len, 5);
	MUST(pd_pin(self->fd, from, len, 0, &src));
	MUST(pd_pin(self->fd, to, len, PINDROP_PIN_WRITE, &dst));
	job = pd_copy(&src, 0, &dst, 0, len);
	EXPECT_EQ(0, pd_run(self->fd, &job, 1));
	EXPECT_EQ(-1, pd_wrong(to, len, 5));
	MUST(pd_free(self->fd, src.handle));
	MUST(pd_free(self->fd, dst.handle));
	munmap(from, len);
	munmap(to, len);
}

TEST_HARNESS_MAIN
