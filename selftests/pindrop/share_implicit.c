// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is shared as a dma-buf carries fences of those who use it. What a
 * job adds to them is seen by the kernel's own poll() and sync_files of a
 * dma-buf; what others add is waited for by jobs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "sim_utils.h"

#define PIECES 4
#define NONE (-1)
#define SOON_MS 1000
#define LONG_MS 30000

/* Its destination is shared, and so is its source. */
struct user {
	int fd, src_fd, dst_fd;
	struct pd_buf src, dst;
};

FIXTURE(implicit)
{
	struct pd_env env;
	size_t piece, pieces; /* more than are on the device at a time */
	struct user a, b;
};

static int user_open(const struct pd_env *env, struct user *u)
{
	size_t len = (PIECES + env->info.out_depth) * env->info.out_max_piece;
	int err;

	len = (len + env->page - 1) / env->page * env->page;
	u->fd = pd_open(env);
	if (u->fd < 0)
		return u->fd;
	err = pd_create(u->fd, len, &u->src) ?: pd_create(u->fd, len, &u->dst);
	err = err ?: pd_export(u->fd, u->src.handle, &u->src_fd);
	return err ?: pd_export(u->fd, u->dst.handle, &u->dst_fd);
}

static void user_close(struct user *u)
{
	pd_unmap(&u->src);
	pd_unmap(&u->dst);
	close(u->src_fd);
	close(u->dst_fd);
	close(u->fd);
}

FIXTURE_SETUP(implicit)
{
	PD_SETUP(&self->env);
	PD_NEEDS_FENCES(&self->env);
	self->piece = self->env.info.out_max_piece;
	self->pieces = PIECES + self->env.info.out_depth;
	MUST(user_open(&self->env, &self->a));
	MUST(user_open(&self->env, &self->b));
	pd_fill(self->a.src.map, self->a.src.len, 1);
	pd_fill(self->b.src.map, self->b.src.len, 2);
}

FIXTURE_TEARDOWN(implicit)
{
	user_close(&self->a);
	user_close(&self->b);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES,
				     self->env.before.v[PD_BYTES], SOON_MS));
	PD_TEARDOWN(&self->env);
}

/* A fence that tells when it is over, or -errno. */
static int copy_on(int fd, unsigned int channel, const struct pd_buf *src,
		   const struct pd_buf *dst, size_t len)
{
	struct pindrop_job_desc job = pd_copy(src, 0, dst, 0, len);
	struct pindrop_submit args = {
		.size = sizeof(args),
		.flags = PINDROP_SUBMIT_OUT_FENCE,
		.jobs = (unsigned long)&job,
		.count = 1,
		.channel = channel,
	};
	int err = pd_ioctl(fd, PINDROP_VERB_SUBMIT, &args);

	return err ? err : args.out_fence;
}

static int copy(int fd, const struct pd_buf *src, const struct pd_buf *dst,
		size_t len)
{
	return copy_on(fd, 0, src, dst, len);
}

#define COPY(u, len) copy((u)->fd, &(u)->src, &(u)->dst, len)

static int status(int fence)
{
	struct sync_file_info info = { 0 };

	if (ioctl(fence, SYNC_IOC_FILE_INFO, &info))
		return -1000 - errno;
	return info.status;
}

static bool ready(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) == 1 && p.revents == events;
}

/* What there is to wait for before one reads it, or writes it. */
static int fence_of(int dmabuf, __u32 flags)
{
	struct dma_buf_export_sync_file args = { .flags = flags };

	if (ioctl(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &args))
		return -errno;
	return args.fd;
}

/* Somebody reads it, or writes it, until the fence comes. */
static int fence_to(int dmabuf, __u32 flags, int fence)
{
	struct dma_buf_import_sync_file args = { .flags = flags, .fd = fence };

	return ioctl(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &args) ? -errno :
								      0;
}

/* What a job reads may be read by others; what it writes is nobody's. */
TEST_F(implicit, others_wait_for_jobs)
{
	struct user *a = &self->a;
	int fence, reads, writes;

	EXPECT_TRUE(ready(a->src_fd, POLLOUT, 0));
	EXPECT_TRUE(ready(a->dst_fd, POLLOUT, 0));
	fence = COPY(a, self->pieces * self->piece);
	ASSERT_LE(0, fence);
	EXPECT_TRUE(ready(a->src_fd, POLLIN, 0));
	EXPECT_FALSE(ready(a->src_fd, POLLOUT, 0));
	EXPECT_FALSE(ready(a->dst_fd, POLLIN, 0));
	EXPECT_FALSE(ready(a->dst_fd, POLLOUT, 0));
	reads = fence_of(a->src_fd, DMA_BUF_SYNC_READ);
	ASSERT_LE(0, reads);
	EXPECT_EQ(1, status(reads));
	writes = fence_of(a->dst_fd, DMA_BUF_SYNC_READ);
	ASSERT_LE(0, writes);
	EXPECT_EQ(0, status(writes));
	EXPECT_EQ(0, status(fence));
	EXPECT_TRUE(ready(a->dst_fd, POLLIN, LONG_MS));
	EXPECT_EQ(-1, pd_wrong(a->dst.map, self->pieces * self->piece, 1));
	EXPECT_EQ(1, status(fence));
	EXPECT_EQ(1, status(writes));
	EXPECT_TRUE(ready(a->src_fd, POLLOUT, SOON_MS));
	close(fence);
	close(reads);
	close(writes);
}

/* Of another's fence on what is read, a reader's is no reason to wait. */
TEST_F(implicit, jobs_wait_for_others)
{
	struct user *a = &self->a, *b = &self->b;
	int slow, free, waits;

	slow = COPY(a, self->pieces * self->piece);
	ASSERT_LE(0, slow);
	MUST(fence_to(b->src_fd, DMA_BUF_SYNC_READ, slow));
	free = COPY(b, self->piece);
	ASSERT_LE(0, free);
	EXPECT_TRUE(ready(free, POLLIN, LONG_MS));
	EXPECT_EQ(0, status(slow));
	MUST(fence_to(b->dst_fd, DMA_BUF_SYNC_READ, slow));
	memset(b->dst.map, 0, b->dst.len);
	waits = COPY(b, self->piece);
	ASSERT_LE(0, waits);
	while (!status(slow)) {
		long at = pd_nonzero(b->dst.map, self->piece);

		EXPECT_TRUE(at == -1 || status(slow));
		pd_sleep_ms(1);
	}
	EXPECT_TRUE(ready(waits, POLLIN, LONG_MS));
	EXPECT_EQ(1, status(waits));
	EXPECT_EQ(-1, pd_wrong(b->dst.map, self->piece, 2));
	close(slow);
	close(free);
	close(waits);
}

/* Two of us, by way of a dma-buf: what one writes the other reads afterwards. */
TEST_F(implicit, jobs_wait_for_jobs)
{
	struct user *a = &self->a, *b = &self->b;
	int writes, reads;
	struct pd_buf in;

	MUST(pd_import(b->fd, a->dst_fd, &in));
	writes = COPY(a, self->pieces * self->piece);
	ASSERT_LE(0, writes);
	reads = copy(b->fd, &in, &b->dst, self->pieces * self->piece);
	ASSERT_LE(0, reads);
	EXPECT_TRUE(ready(reads, POLLIN, LONG_MS));
	EXPECT_EQ(1, status(writes));
	EXPECT_EQ(1, status(reads));
	EXPECT_EQ(-1, pd_wrong(b->dst.map, self->pieces * self->piece, 1));
	MUST(pd_free(b->fd, in.handle));
	close(writes);
	close(reads);
}

/* How a context's own channels follow each other is its own business. */
TEST_F(implicit, jobs_do_not_wait_for_their_own)
{
	const unsigned int channels = self->env.info.out_channels;
	struct user *a = &self->a;
	int slow, quick;

	slow = COPY(a, self->pieces * self->piece);
	ASSERT_LE(0, slow);
	quick = copy_on(a->fd, channels - 1, &a->src, &a->dst, self->piece);
	ASSERT_LE(0, quick);
	EXPECT_TRUE(ready(quick, POLLIN, LONG_MS));
	EXPECT_EQ(channels == 1, status(slow));
	EXPECT_TRUE(ready(slow, POLLIN, LONG_MS));
	EXPECT_TRUE(ready(a->dst_fd, POLLOUT, SOON_MS));
	close(slow);
	close(quick);
}

/* Each uses what the other does, the other way round: nobody waits for ever. */
TEST_F(implicit, jobs_wait_in_no_circle)
{
	struct user *a = &self->a, *b = &self->b;
	struct pd_buf x, y;
	int round, one, two;

	MUST(pd_import(b->fd, a->src_fd, &x));
	MUST(pd_import(b->fd, a->dst_fd, &y));
	for (round = 0; round < 4; round++) {
		one = COPY(a, self->piece);
		two = copy(b->fd, &y, &x, self->piece);
		ASSERT_LE(0, one);
		ASSERT_LE(0, two);
		if (round < 3) {
			close(one);
			close(two);
		}
	}
	EXPECT_TRUE(ready(one, POLLIN, LONG_MS));
	EXPECT_TRUE(ready(two, POLLIN, LONG_MS));
	EXPECT_EQ(1, status(one));
	EXPECT_EQ(1, status(two));
	EXPECT_EQ(-1, pd_wrong(a->src.map, self->piece, 1));
	EXPECT_EQ(-1, pd_wrong(a->dst.map, self->piece, 1));
	MUST(pd_free(b->fd, x.handle));
	MUST(pd_free(b->fd, y.handle));
	close(one);
	close(two);
}

/* The owner goes, and nobody waits for what it had begun. */
TEST_F(implicit, closing_holds_nobody_up)
{
	struct user *a = &self->a, *b = &self->b;
	struct pd_buf in;
	int dmabuf = dup(a->dst_fd), writes, waits;

	MUST(pd_import(b->fd, dmabuf, &in));
	writes = COPY(a, self->pieces * self->piece);
	ASSERT_LE(0, writes);
	waits = copy(b->fd, &in, &b->dst, self->piece);
	ASSERT_LE(0, waits);
	pd_unmap(&a->src);
	pd_unmap(&a->dst);
	close(a->fd);
	a->fd = -1;
	EXPECT_EQ(-ECANCELED, status(writes));
	EXPECT_TRUE(ready(dmabuf, POLLIN, SOON_MS));
	EXPECT_TRUE(ready(waits, POLLIN, LONG_MS));
	MUST(pd_free(b->fd, in.handle));
	close(writes);
	close(waits);
	close(dmabuf);
}

/* Also on kernels whose sync_files cannot show it: by poll(), and by the data. */
FIXTURE(plain)
{
	struct pd_env env;
	struct user a, b;
};

FIXTURE_SETUP(plain)
{
	PD_SETUP(&self->env);
	MUST(user_open(&self->env, &self->a));
	MUST(user_open(&self->env, &self->b));
	pd_fill(self->a.src.map, self->a.src.len, 3);
}

FIXTURE_TEARDOWN(plain)
{
	user_close(&self->a);
	user_close(&self->b);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES,
				     self->env.before.v[PD_BYTES], SOON_MS));
	PD_TEARDOWN(&self->env);
}

/* What is written last is there when it is read. */
TEST_F(plain, jobs_and_others_wait_for_jobs)
{
	const size_t piece = self->env.info.out_max_piece;
	const size_t len = (PIECES + self->env.info.out_depth) * piece;
	struct user *a = &self->a, *b = &self->b;
	struct pindrop_job_desc job;
	struct pindrop_submit sub;
	struct pd_buf in;
	__u64 written;

	MUST(pd_import(b->fd, a->dst_fd, &in));
	EXPECT_TRUE(ready(a->dst_fd, POLLIN, 0));
	written = pd_start(a->fd, &a->src, &a->dst, len);
	ASSERT_NE(0, written);
	EXPECT_FALSE(ready(a->dst_fd, POLLIN, 0));
	EXPECT_FALSE(ready(a->src_fd, POLLOUT, 0));
	EXPECT_TRUE(ready(a->src_fd, POLLIN, 0));
	job = pd_copy(&in, len - piece, &b->dst, 0, piece);
	MUST(pd_submit(b->fd, &job, 1, &sub));
	EXPECT_EQ(0, pd_result(b->fd, sub.out_last));
	EXPECT_EQ(0, memcmp(b->dst.map, (char *)a->src.map + len - piece,
			    piece));
	EXPECT_EQ(0, pd_result(a->fd, written));
	EXPECT_TRUE(ready(a->dst_fd, POLLIN, SOON_MS));
	EXPECT_TRUE(ready(a->src_fd, POLLOUT, SOON_MS));
}

/* I5: a reservation fence has an end, also if the job it stands for has none. */
FIXTURE(hung)
{
	struct pd_env env;
	struct user a;
};

FIXTURE_SETUP(hung)
{
	/* Before anything is set that only the teardown would reset. */
	PD_SETUP(&self->env);
	PD_NEEDS_FENCES(&self->env);
	SIM_SETUP(&self->env);
	MUST(user_open(&self->env, &self->a));
}

FIXTURE_TEARDOWN(hung)
{
	EXPECT_EQ(0, sim_reset(&self->env, 0));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, LONG_MS));
	user_close(&self->a);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, SOON_MS));
	SIM_TEARDOWN(&self->env);
}

TEST_F(hung, jobs_end_their_fences_and_keep_their_memory)
{
	const long hang_ms = 3 * self->env.info.out_piece_ms + SOON_MS;
	struct user *a = &self->a;
	int fence;

	MUST(sim_incurable(&self->env));
	MUST(sim_set(&self->env, 0, "hang", 2));
	fence = copy(a->fd, &a->src, &a->dst, self->env.info.out_max_piece);
	ASSERT_LE(0, fence);
	EXPECT_TRUE(ready(fence, POLLIN, hang_ms));
	EXPECT_EQ(-EIO, status(fence));
	EXPECT_TRUE(ready(a->dst_fd, POLLIN, SOON_MS));
	EXPECT_TRUE(ready(a->src_fd, POLLOUT, SOON_MS));
	EXPECT_NE(0, pd_count(&self->env, PD_QUARANTINED));
	close(fence);
}

TEST_HARNESS_MAIN
