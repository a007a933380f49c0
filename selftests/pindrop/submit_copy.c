// SPDX-License-Identifier: GPL-2.0-only
/* SUBMIT between buffers: the bytes that were asked for, and no others. */
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

FIXTURE(copy)
{
	struct pd_env env;
	int fd;
	struct pd_buf src, dst;
	size_t piece;
};

/* Three pages, or some more than two pieces. */
static size_t buffer_size(const struct pd_env *env)
{
	const size_t pieces = 2 * env->info.out_max_piece / env->page + 1;

	return (pieces < 3 ? 3 : pieces) * env->page;
}

FIXTURE_VARIANT(copy)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(copy, plain)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(copy, contig)
{
	.flags = PINDROP_ALLOC_CONTIG,
};

FIXTURE_VARIANT_ADD(copy, coherent)
{
	.flags = PINDROP_ALLOC_COHERENT,
};

FIXTURE_SETUP(copy)
{
	int err;

	PD_SETUP(&self->env);
	self->piece = self->env.info.out_max_piece;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	err = pd_alloc(self->fd, buffer_size(&self->env), variant->flags,
		       &self->src);
	if (err == -ENOMEM && variant->flags == PINDROP_ALLOC_CONTIG)
		SKIP(PD_LEAVE_SETUP, "no range that long can be bounced");
	MUST(err);
	MUST(pd_alloc(self->fd, buffer_size(&self->env), variant->flags,
		      &self->dst));
	MUST(pd_map(self->fd, &self->src));
	MUST(pd_map(self->fd, &self->dst));
	pd_fill(self->src.map, self->src.len, 1);
}

FIXTURE_TEARDOWN(copy)
{
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

static int run_copy(int fd, const struct pd_buf *src, size_t from,
		    const struct pd_buf *dst, size_t to, size_t len)
{
	struct pindrop_job_desc job = pd_copy(src, from, dst, to, len);

	return pd_run(fd, &job, 1);
}

/* The copied bytes are there, and all around them is as it was: zero. */
static bool only_these(const struct pd_buf *src, size_t from,
		       const struct pd_buf *dst, size_t to, size_t len)
{
	return !memcmp(src->map + from, dst->map + to, len) &&
	       pd_nonzero(dst->map, to) == -1 &&
	       pd_nonzero(dst->map + to + len, dst->len - to - len) == -1 &&
	       pd_wrong(src->map, src->len, 1) == -1;
}

#define COPIES(from, to, n)                                            \
	do {                                                           \
		memset(self->dst.map, 0, self->dst.len);               \
		EXPECT_EQ(0, run_copy(self->fd, &self->src, from,      \
				      &self->dst, to, n));             \
		EXPECT_TRUE(only_these(&self->src, from, &self->dst,   \
				       to, n))                         \
			TH_LOG("%zu bytes from %zu to %zu", (size_t)(n), \
			       (size_t)(from), (size_t)(to));          \
	} while (0)

TEST_F(copy, of_a_whole_buffer)
{
	COPIES(0, 0, self->src.len);
}

TEST_F(copy, of_one_byte)
{
	const size_t align = self->env.info.out_align;

	COPIES(0, 0, align);
	COPIES(self->src.len - align, 0, align);
	COPIES(0, self->dst.len - align, align);
}

/* About as much as the hardware does in one go. */
TEST_F(copy, of_about_a_piece)
{
	const size_t align = self->env.info.out_align;

	COPIES(0, 0, self->piece - align);
	COPIES(0, 0, self->piece);
	COPIES(0, 0, self->piece + align);
}

/* Neither side begins or ends at a page, and they differ. */
TEST_F(copy, over_page_boundaries)
{
	const size_t page = self->env.page, align = self->env.info.out_align;

	COPIES(page - 5 * align, 2 * page - 3 * align, 8 * align);
	COPIES(page - 7 * align, 11 * align, 2 * page);
	COPIES(13 * align, page - 17 * align, page + 30 * align);
}

TEST_F(copy, inside_one_buffer)
{
	const size_t page = self->env.page;

	EXPECT_EQ(0, run_copy(self->fd, &self->src, 0, &self->src, page, 512));
	EXPECT_EQ(0, memcmp(self->src.map, self->src.map + page, 512));
	/* Side by side is not over each other, either way round. */
	EXPECT_EQ(0, run_copy(self->fd, &self->src, 512, &self->src, 0, 512));
	EXPECT_EQ(0, memcmp(self->src.map, self->src.map + 512, 512));
	EXPECT_EQ(0, run_copy(self->fd, &self->src, page, &self->src,
			      page + 512, 512));
	EXPECT_EQ(0, memcmp(self->src.map + page, self->src.map + page + 512,
			    512));
}

/* Each job of a batch needs what the one before it made. */
TEST_F(copy, in_order)
{
	struct pindrop_job_desc jobs[4];
	const size_t page = self->env.page;

	jobs[0] = pd_copy(&self->src, 0, &self->dst, 0, 256);
	jobs[1] = pd_copy(&self->dst, 0, &self->dst, page, 256);
	jobs[2] = pd_nop(0);
	jobs[3] = pd_copy(&self->dst, page, &self->dst, 2 * page, 256);
	EXPECT_EQ(0, pd_run(self->fd, jobs, ARRAY_LEN(jobs)));
	EXPECT_EQ(-1, pd_wrong(self->dst.map + 2 * page, 256, 1));
}

TEST_F(copy, of_what_was_written_last)
{
	unsigned int seed;

	for (seed = 2; seed < 6; seed++) {
		pd_fill(self->src.map, 512, seed);
		EXPECT_EQ(0, run_copy(self->fd, &self->src, 0, &self->dst, 0,
				      512));
		EXPECT_EQ(-1, pd_wrong(self->dst.map, 512, seed));
	}
}

/* The job holds its memory: the handles may go at once. */
TEST_F(copy, of_handles_freed_at_once)
{
	struct pindrop_job_desc job = pd_copy(&self->src, 0, &self->dst, 0,
					      2 * self->piece);
	struct pindrop_submit sub;
	struct pindrop_wait wait;

	MUST(pd_submit(self->fd, &job, 1, &sub));
	MUST(pd_free(self->fd, self->src.handle));
	MUST(pd_free(self->fd, self->dst.handle));
	FAILS(ENOENT, pd_submit(self->fd, &job, 1, NULL));
	MUST(pd_wait(self->fd, sub.out_last, PD_FOREVER, &wait));
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(-1, pd_wrong(self->dst.map, 2 * self->piece, 1));
}

/* Not mapped by anybody, the data gets through all the same. */
TEST_F(copy, between_what_is_not_mapped)
{
	struct pindrop_job_desc jobs[2];
	struct pd_buf middle;

	MUST(pd_alloc(self->fd, self->env.page, variant->flags, &middle));
	jobs[0] = pd_copy(&self->src, 0, &middle, 64, 512);
	jobs[1] = pd_copy(&middle, 64, &self->dst, 128, 512);
	EXPECT_EQ(0, pd_run(self->fd, jobs, 2));
	EXPECT_TRUE(only_these(&self->src, 0, &self->dst, 128, 512));
	MUST(pd_free(self->fd, middle.handle));
}

/* Tickets, counters and window of jobs that succeed. */
FIXTURE(jobs)
{
	struct pd_env env;
	int fd;
};

FIXTURE_SETUP(jobs)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(jobs)
{
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

TEST_F(jobs, get_tickets_in_turn)
{
	struct pindrop_job_desc nops[3] = { pd_nop(1), pd_nop(2), pd_nop(3) };
	struct pindrop_submit sub;
	__u64 next = 1;
	int i;

	for (i = 0; i < 10; i++) {
		MUST(pd_submit(self->fd, nops, 1 + i % 3, &sub));
		EXPECT_EQ(next, sub.out_first);
		EXPECT_EQ(next + i % 3, sub.out_last);
		EXPECT_EQ(0, sub.out_error_index);
		next = sub.out_last + 1;
	}
	EXPECT_EQ(0, pd_wait(self->fd, next - 1, PD_FOREVER, NULL));
}

TEST_F(jobs, have_tickets_of_their_context)
{
	struct pindrop_job_desc nop = pd_nop(0);
	struct pindrop_submit sub;
	int other = pd_open(&self->env);

	ASSERT_LE(0, other);
	MUST(pd_submit(self->fd, &nop, 1, &sub));
	MUST(pd_submit(other, &nop, 1, &sub));
	EXPECT_EQ(1, sub.out_last);
	close(other);
}

TEST_F(jobs, come_as_many_as_info_says)
{
	const unsigned int n = self->env.info.out_max_jobs;
	struct pindrop_job_desc *nops = calloc(n, sizeof(*nops));
	struct pindrop_submit sub;
	struct pindrop_wait wait;

	ASSERT_NE(NULL, nops);
	MUST(pd_submit(self->fd, nops, n, &sub));
	EXPECT_EQ(n, sub.out_last);
	MUST(pd_wait_range(self->fd, 1, n, PD_FOREVER, &wait));
	EXPECT_EQ(0, wait.out_result);
	EXPECT_EQ(n, wait.out_ticket);
	EXPECT_EQ(n, pd_grown(&self->env, PD_JOBS_DONE));
	free(nops);
}

TEST_F(jobs, are_counted)
{
	struct pindrop_job_desc jobs[2];
	struct pd_buf a, b;

	MUST(pd_create(self->fd, self->env.page, &a));
	MUST(pd_create(self->fd, self->env.page, &b));
	jobs[0] = pd_copy(&a, 0, &b, 0, 64);
	jobs[1] = pd_copy(&b, 0, &a, 64, 64);
	EXPECT_EQ(0, pd_run(self->fd, jobs, 2));
	EXPECT_EQ(2, pd_grown(&self->env, PD_JOBS_DONE));
	EXPECT_EQ(0, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(0, pd_grown(&self->env, PD_JOBS_CANCELLED));
	EXPECT_EQ(0, pd_grown(&self->env, PD_INFLIGHT));
	MUST(pd_unmap(&a));
	MUST(pd_unmap(&b));
}

/* A NOP has its turn behind what is in front of it. */
TEST_F(jobs, without_work_keep_their_place)
{
	struct pindrop_job_desc jobs[2];
	struct pindrop_submit sub;
	struct pd_buf a, b;

	MUST(pd_create(self->fd, buffer_size(&self->env), &a));
	MUST(pd_create(self->fd, buffer_size(&self->env), &b));
	jobs[0] = pd_copy(&a, 0, &b, 0, self->env.info.out_max_piece);
	jobs[1] = pd_nop(0);
	MUST(pd_submit(self->fd, jobs, 2, &sub));
	FAILS(ETIME, pd_wait(self->fd, sub.out_last, 0, NULL));
	EXPECT_EQ(2, pd_grown(&self->env, PD_INFLIGHT));
	EXPECT_EQ(0, pd_wait(self->fd, sub.out_last, PD_FOREVER, NULL));
	EXPECT_EQ(0, pd_grown(&self->env, PD_INFLIGHT));
	MUST(pd_unmap(&a));
	MUST(pd_unmap(&b));
}

TEST_HARNESS_MAIN
