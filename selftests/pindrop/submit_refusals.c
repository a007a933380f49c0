// SPDX-License-Identifier: GPL-2.0-only
/* What SUBMIT refuses, with which errno, and that it then did nothing. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

/* Stands for a handle, in a variant. */
enum side { BUF, SAME, DEVMEM, NOTHING, FREED, FOREIGN, NEVER };

#define PAGE 4096ULL
#define TOP (~0ULL)

FIXTURE(refusal)
{
	struct pd_env env;
	int fd, other;
	struct pd_buf src, dst, freed, foreign;
	struct pindrop_job_desc good, bad;
	const volatile struct pindrop_window *window;
};

/* One job that is refused; buffers are of two pages. */
FIXTURE_VARIANT(refusal)
{
	int error;
	__u32 op, flags;
	enum side src, dst;
	__u64 from, to, len;
};

#define REFUSAL(name, ...) \
	FIXTURE_VARIANT_ADD(refusal, name) { __VA_ARGS__ }
#define COPY(...) .op = PINDROP_OP_COPY, __VA_ARGS__
#define OVER(...) COPY(.src = BUF, .dst = SAME, __VA_ARGS__)

REFUSAL(unknown_op, .error = EOPNOTSUPP, .op = 2, .len = 1);
REFUSAL(absurd_op, .error = EOPNOTSUPP, .op = ~0U, .len = 1);
REFUSAL(flags, .error = EOPNOTSUPP, COPY(.flags = 1, .len = 1));
REFUSAL(flags_of_nop, .error = EOPNOTSUPP, .flags = 1U << 31, .src = NOTHING,
	.dst = NOTHING);
REFUSAL(nop_with_source, .error = EINVAL, .src = BUF, .dst = NOTHING);
REFUSAL(nop_with_destination, .error = EINVAL, .src = NOTHING, .dst = BUF);
REFUSAL(nop_with_source_offset, .error = EINVAL, .src = NOTHING, .dst = NOTHING,
	.from = 1);
REFUSAL(nop_with_destination_offset, .error = EINVAL, .src = NOTHING,
	.dst = NOTHING, .to = 1);
REFUSAL(nop_with_length, .error = EINVAL, .src = NOTHING, .dst = NOTHING,
	.len = 1);

REFUSAL(no_length, .error = EINVAL, COPY(.len = 0));
REFUSAL(source_sum_overflows, .error = EINVAL, COPY(.from = TOP, .len = 1));
REFUSAL(destination_sum_overflows, .error = EINVAL, COPY(.to = TOP, .len = 1));
REFUSAL(length_overflows, .error = EINVAL, COPY(.from = 1, .len = TOP));
REFUSAL(length_of_all, .error = ERANGE, COPY(.len = TOP));
REFUSAL(source_near_the_top, .error = ERANGE, COPY(.from = TOP - 1, .len = 1));
REFUSAL(destination_near_the_top, .error = ERANGE,
	COPY(.to = TOP - 1, .len = 1));
REFUSAL(source_above_32_bits, .error = ERANGE,
	COPY(.from = 1ULL << 32, .len = 1));
REFUSAL(length_above_32_bits, .error = ERANGE, COPY(.len = (1ULL << 32) + 1));
REFUSAL(source_at_the_end, .error = ERANGE, COPY(.from = 2 * PAGE, .len = 1));
REFUSAL(destination_at_the_end, .error = ERANGE,
	COPY(.to = 2 * PAGE, .len = 1));
REFUSAL(source_over_the_end, .error = ERANGE,
	COPY(.from = 2 * PAGE - 1, .len = 2));
REFUSAL(destination_over_the_end, .error = ERANGE,
	COPY(.to = PAGE, .len = PAGE + 1));
REFUSAL(too_long, .error = ERANGE, COPY(.len = 2 * PAGE + 1));

REFUSAL(onto_itself, .error = EINVAL, OVER(.len = 1));
REFUSAL(overlap_upwards, .error = EINVAL,
	OVER(.from = 0, .to = PAGE - 1, .len = PAGE));
REFUSAL(overlap_downwards, .error = EINVAL,
	OVER(.from = PAGE - 1, .to = 0, .len = PAGE));

REFUSAL(source_without_handle, .error = ENOENT, COPY(.src = NOTHING, .len = 1));
REFUSAL(destination_without_handle, .error = ENOENT,
	COPY(.dst = NOTHING, .len = 1));
REFUSAL(source_freed, .error = ENOENT, COPY(.src = FREED, .len = 1));
REFUSAL(destination_freed, .error = ENOENT, COPY(.dst = FREED, .len = 1));
REFUSAL(source_of_another_context, .error = ENOENT,
	COPY(.src = FOREIGN, .len = 1));
REFUSAL(destination_of_another_context, .error = ENOENT,
	COPY(.dst = FOREIGN, .len = 1));
REFUSAL(handle_never_given, .error = ENOENT, COPY(.src = NEVER, .len = 1));
REFUSAL(device_on_both_sides, .error = EOPNOTSUPP,
	COPY(.src = DEVMEM, .dst = DEVMEM, .to = 64, .len = 1));

/* Bytes before or after a page's end are words where copies are of words. */
static __u64 by_words(const struct pd_env *env, __u64 value)
{
	const __u64 near = (value + PAGE / 2) & -PAGE;

	return near + (value - near) * env->info.out_align;
}

FIXTURE_SETUP(refusal)
{
	__u32 handles[] = { [DEVMEM] = PINDROP_DEVMEM, [NOTHING] = 0,
			    [NEVER] = PINDROP_DEVMEM - 1 };

	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	self->other = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	MUST(pd_alloc(self->fd, 2 * PAGE, 0, &self->src));
	MUST(pd_alloc(self->fd, 2 * PAGE, 0, &self->dst));
	MUST(pd_alloc(self->fd, 2 * PAGE, 0, &self->freed));
	MUST(pd_free(self->fd, self->freed.handle));
	/* So many that the last one's number is not one of ours. */
	do {
		MUST(pd_alloc(self->other, 2 * PAGE, 0, &self->foreign));
	} while (self->foreign.handle <= self->freed.handle);
	self->window = pd_window(self->fd);
	ASSERT_NE(NULL, self->window);

	handles[FREED] = self->freed.handle;
	handles[FOREIGN] = self->foreign.handle;
	self->good = pd_copy(&self->src, 0, &self->dst, 0, 64);
	self->bad = (struct pindrop_job_desc){
		.op = variant->op,
		.flags = variant->flags,
		.src = variant->src == BUF ? self->src.handle :
					     handles[variant->src],
		.dst = variant->dst == BUF  ? self->dst.handle :
		       variant->dst == SAME ? self->src.handle :
					      handles[variant->dst],
		.src_offset = by_words(&self->env, variant->from),
		.dst_offset = by_words(&self->env, variant->to),
		.length = by_words(&self->env, variant->len),
	};
}

FIXTURE_TEARDOWN(refusal)
{
	munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	close(self->other);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define EXPECT_NOTHING_DONE()                                    \
	do {                                                     \
		EXPECT_EQ(0, self->window->submitted);           \
		EXPECT_EQ(0, pd_grown(&self->env, PD_INFLIGHT)); \
		EXPECT_EQ(0, pd_jobs_ended(&self->env) - ended); \
	} while (0)

/* Alone, first, in the middle and last: nothing of the batch is done. */
TEST_F(refusal, takes_all_of_the_batch)
{
	struct pindrop_job_desc jobs[3];
	long long ended = pd_jobs_ended(&self->env);
	struct pindrop_submit sub;
	unsigned int at, i;

	FAILS(variant->error, pd_submit(self->fd, &self->bad, 1, &sub));
	EXPECT_EQ(0, sub.out_error_index);
	for (at = 0; at < ARRAY_LEN(jobs); at++) {
		for (i = 0; i < ARRAY_LEN(jobs); i++)
			jobs[i] = i == at ? self->bad : self->good;
		FAILS(variant->error,
		      pd_submit(self->fd, jobs, ARRAY_LEN(jobs), &sub));
		EXPECT_EQ(at, sub.out_error_index);
		EXPECT_EQ(0, sub.out_first);
		EXPECT_EQ(0, sub.out_last);
	}
	EXPECT_NOTHING_DONE();
}

/* ... and the context is as good as before. */
TEST_F(refusal, costs_nothing)
{
	struct pindrop_job_desc jobs[2] = { self->good, pd_nop(0) };
	struct pindrop_submit sub;

	FAILS(variant->error, pd_submit(self->fd, &self->bad, 1, NULL));
	MUST(pd_submit(self->fd, jobs + 1, 1, &sub));
	EXPECT_EQ(1, sub.out_last);
	EXPECT_EQ(0, pd_wait(self->fd, 1, PD_FOREVER, NULL));
	/* No reference is left: the buffers go with their handles. */
	MUST(pd_free(self->fd, self->src.handle));
	MUST(pd_free(self->fd, self->dst.handle));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BYTES) -
			     (long long)(2 * PAGE * self->foreign.handle));
}

/* The batch itself. */
FIXTURE(batch)
{
	struct pd_env env;
	int fd;
	struct pd_buf src, dst;
	const volatile struct pindrop_window *window;
};

FIXTURE_SETUP(batch)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_alloc(self->fd, 8 * PAGE, 0, &self->src));
	MUST(pd_alloc(self->fd, 8 * PAGE, 0, &self->dst));
	self->window = pd_window(self->fd);
	ASSERT_NE(NULL, self->window);
}

FIXTURE_TEARDOWN(batch)
{
	munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

static int submit_at(int fd, __u64 jobs, __u32 count, __u32 channel)
{
	struct pindrop_submit args = {
		.size = sizeof(args),
		.jobs = jobs,
		.count = count,
		.channel = channel,
	};

	return pd_ioctl(fd, PINDROP_VERB_SUBMIT, &args);
}

/* It becomes the owner, if there is none yet. */
static bool child_can_alloc(int fd, size_t len)
{
	struct pd_buf buf;
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(-pd_alloc(fd, len, 0, &buf));
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

TEST_F(batch, of_none)
{
	struct pindrop_job_desc nop = pd_nop(0);
	long long ended = pd_jobs_ended(&self->env);

	FAILS(EINVAL, submit_at(self->fd, (unsigned long)&nop, 0, 0));
	EXPECT_NOTHING_DONE();
}

TEST_F(batch, of_too_many)
{
	const __u32 max = self->env.info.out_max_jobs;
	struct pindrop_job_desc *jobs = calloc(max + 1, sizeof(*jobs));
	long long ended = pd_jobs_ended(&self->env);

	ASSERT_NE(NULL, jobs);
	FAILS(EDQUOT, submit_at(self->fd, (unsigned long)jobs, max + 1, 0));
	FAILS(EDQUOT, submit_at(self->fd, (unsigned long)jobs, ~0U, 0));
	EXPECT_NOTHING_DONE();
	free(jobs);
}

TEST_F(batch, for_no_such_channel)
{
	struct pindrop_job_desc nop = pd_nop(0);
	const __u32 n = self->env.info.out_channels;
	long long ended = pd_jobs_ended(&self->env);

	FAILS(EINVAL, submit_at(self->fd, (unsigned long)&nop, 1, n));
	FAILS(EINVAL, submit_at(self->fd, (unsigned long)&nop, 1, ~0U));
	EXPECT_NOTHING_DONE();
}

TEST_F(batch, that_cannot_be_read)
{
	long long ended = pd_jobs_ended(&self->env);
	const size_t page = self->env.page;
	unsigned int i = 0;
	__u64 wide;
	char *mem = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, mem);
	munmap(mem + page, page);
	FAILS(EFAULT, submit_at(self->fd, 0, 1, 0));
	FAILS(EFAULT, submit_at(self->fd, 16, 1, 0));
	FAILS(EFAULT, submit_at(self->fd, TOP, 1, 0));
	FAILS(EFAULT, submit_at(self->fd, 1ULL << 63, 1, 0));
	FAILS(EFAULT, submit_at(self->fd, (unsigned long)mem + page, 1, 0));
	/* Read as if it were narrower it would be a NOP. */
	while ((wide = pd_wide(mem, i++)))
		FAILS(EFAULT, submit_at(self->fd, wide, 1, 0));
	/* The first two can be read, the third one in half. */
	FAILS(EFAULT, submit_at(self->fd,
				(unsigned long)mem + page -
					5 * sizeof(struct pindrop_job_desc) / 2,
				3, 0));
	EXPECT_NOTHING_DONE();
	munmap(mem, page);
}

/* As many unfinished jobs as INFO says, and not one more. */
TEST_F(batch, beyond_the_limit_of_unfinished_jobs)
{
	struct pindrop_job_desc *nops, copies[8];
	const __u32 max = self->env.info.out_max_queued;
	const __u32 n = self->env.info.out_max_jobs;
	struct pindrop_submit sub;
	__u32 queued = ARRAY_LEN(copies), more;

	nops = calloc(n, sizeof(*nops));
	ASSERT_NE(NULL, nops);
	/* These keep all behind them from ending. */
	for (more = 0; more < queued; more++)
		copies[more] = pd_copy(&self->src, 0, &self->dst, 0, 8 * PAGE);
	MUST(pd_submit(self->fd, copies, queued, NULL));
	for (; queued < max; queued += more) {
		more = queued + n <= max ? n : max - queued;
		MUST(pd_submit(self->fd, nops, more, &sub));
	}
	EXPECT_EQ(max, sub.out_last);
	FAILS(EDQUOT, pd_submit(self->fd, nops, 1, NULL));
	FAILS(EDQUOT, pd_submit(self->fd, nops, n, NULL));
	EXPECT_EQ(max, pd_grown(&self->env, PD_INFLIGHT));
	EXPECT_EQ(max, self->window->submitted);
	free(nops);
}

/* ... before anything else about them is looked at, and binds no owner. */
TEST_F(batch, fence_flags_are_eopnotsupp_without_sync_files)
{
	const __u32 in = PINDROP_SUBMIT_IN_FENCE;
	const __u32 out = PINDROP_SUBMIT_OUT_FENCE;
	const bool there = pd_has_fences(&self->env);
	long long ended = pd_jobs_ended(&self->env);
	struct pindrop_job_desc nop = pd_nop(0);
	struct pindrop_submit args = {
		.size = sizeof(args),
		.jobs = (unsigned long)&nop,
		.count = 1,
	};
	int fd = pd_open(&self->env);

	ASSERT_LE(0, fd);
	args.flags = in;
	args.in_fence = self->fd; /* which is no sync_file */
	FAILS(there ? EBADF : EOPNOTSUPP,
	      pd_ioctl(self->fd, PINDROP_VERB_SUBMIT, &args));
	args.flags = in | out;
	FAILS(there ? EBADF : EOPNOTSUPP,
	      pd_ioctl(self->fd, PINDROP_VERB_SUBMIT, &args));
	EXPECT_EQ(0, args.out_fence);
	EXPECT_NOTHING_DONE();
	args.flags = out;
	args.in_fence = 0;
	if (there) {
		MUST(pd_ioctl(fd, PINDROP_VERB_SUBMIT, &args));
		EXPECT_LT(0, args.out_fence);
		close(args.out_fence);
		EXPECT_EQ(0, pd_result(fd, 1));
	} else {
		FAILS(EOPNOTSUPP, pd_ioctl(fd, PINDROP_VERB_SUBMIT, &args));
		EXPECT_EQ(0, args.out_fence);
		EXPECT_NOTHING_DONE();
		EXPECT_TRUE(child_can_alloc(fd, self->env.page));
	}
	close(fd);
}

/* FREE and its errors. */
TEST_F(batch, free_of_what_is_not_there)
{
	struct pd_buf buf;
	int other = pd_open(&self->env);

	ASSERT_LE(0, other);
	FAILS(ENOENT, pd_free(self->fd, 0));
	FAILS(ENOENT, pd_free(self->fd, PINDROP_DEVMEM));
	FAILS(ENOENT, pd_free(self->fd, PINDROP_DEVMEM - 1));
	MUST(pd_alloc(self->fd, PAGE, 0, &buf));
	FAILS(ENOENT, pd_free(other, buf.handle));
	MUST(pd_free(self->fd, buf.handle));
	FAILS(ENOENT, pd_free(self->fd, buf.handle));
	close(other);
}

TEST_HARNESS_MAIN
