// SPDX-License-Identifier: GPL-2.0-only
/*
 * A second thread writes anything into the rings while they are in use. What it
 * may bring about are errors; what it may not is for the kernel's log.
 */
#include <pthread.h>
#include <stdlib.h>

#include "../kselftest_harness.h"
#include "ring_utils.h"

#define FUZZ_MS 2000

FIXTURE(fuzz)
{
	struct pd_env env;
	int fd;
	struct ring ring;
	struct pd_buf buf;
	bool stop;
	bool everything;
};

FIXTURE_VARIANT(fuzz)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(fuzz, entered) { .flags = 0 };
FIXTURE_VARIANT_ADD(fuzz, threaded) { .flags = PINDROP_RING_THREAD };

FIXTURE_SETUP(fuzz)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, 2 * self->env.page, &self->buf));
	MUST(ring_make(self->fd,
		       &(struct pindrop_ring_setup){
			       .entries = 64,
			       .cq_entries = 32,
			       .flags = variant->flags,
			       .idle_us = variant->flags ? 50 : 0 },
		       &self->ring));
}

FIXTURE_TEARDOWN(fuzz)
{
	ring_close(&self->ring);
	pd_unmap(&self->buf);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

/* An entry that is nearly one: most are refused, and not all for one reason. */
static void scribble_entry(struct pindrop_sqe *sqe, unsigned int *seed,
			   const struct pd_buf *buf)
{
	static const __u64 odd[] = { 0,	    1,	       64,	   4095,
				     4096,  8192,      1ULL << 32, 1ULL << 63,
				     ~0ULL, ~0ULL - 63 };
	volatile struct pindrop_job_desc *job = &sqe->job;

	switch (rand_r(seed) % 10) {
	case 0:
		job->op = rand_r(seed) % 4;
		break;
	case 1:
		job->flags = rand_r(seed) % 8 ? rand_r(seed) % 4 : rand_r(seed);
		break;
	case 2:
		job->src = rand_r(seed) % 3 ? buf->handle : rand_r(seed) % 4;
		break;
	case 3:
		job->dst = rand_r(seed) % 3 ? buf->handle : PINDROP_DEVMEM;
		break;
	case 4:
		job->src_offset = odd[rand_r(seed) % ARRAY_LEN(odd)];
		break;
	case 5:
		job->dst_offset = odd[rand_r(seed) % ARRAY_LEN(odd)];
		break;
	case 6:
	case 7:
		job->length = rand_r(seed) % 4 ?
				      64 :
				      odd[rand_r(seed) % ARRAY_LEN(odd)];
		break;
	case 8:
		memset(sqe, 0, sizeof(*sqe));
		break;
	case 9:
		((volatile __u8 *)sqe)[rand_r(seed) % 64] = rand_r(seed);
		break;
	}
}

static void *scribble(void *arg)
{
	FIXTURE_DATA(fuzz) *self = arg;
	volatile __u32 *words = (volatile __u32 *)self->ring.shared;
	unsigned int seed = 4711, i;

	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		for (i = 0; i < 64; i++)
			scribble_entry(&self->ring.sqes[rand_r(&seed) % 64],
				       &seed, &self->buf);
		if (!self->everything)
			continue;
		/* Heads, tails and flags: near to what is right, or not. */
		i = rand_r(&seed) % (sizeof(*self->ring.shared) / 4);
		if (rand_r(&seed) % 2)
			words[i] += rand_r(&seed) % 70;
		else
			words[i] = rand_r(&seed);
		RING_STORE(self->ring.shared->cq_head,
			   RING_LOAD(self->ring.shared->cq_tail));
	}
	return NULL;
}

static bool allowed(int n)
{
	return n >= 0 || n == -EINVAL || n == -EBUSY || n == -ETIME ||
	       n == -ENOMEM;
}

/* Enters, or has the thread do it, with whatever tail there is. */
static int go(struct ring *r, unsigned int *seed)
{
	__u32 flags = rand_r(seed) % 2 ? PINDROP_ENTER_GETEVENTS : 0;
	__u32 want = flags ? rand_r(seed) % 3 : 0;

	if (r->setup.flags & PINDROP_RING_THREAD)
		return ring_enter(r, flags | PINDROP_ENTER_WAKEUP, 0, want, 1);
	return ring_enter(r, flags, rand_r(seed) % 100, want, 1);
}

static bool works(const struct pd_env *env)
{
	struct pindrop_job_desc nop = pd_nop(1);
	int fd = pd_open(env);
	bool ok = fd >= 0 && !pd_run(fd, &nop, 1);

	close(fd);
	return ok;
}

/* Entries change while they are read; heads and tails are a program's. */
TEST_F(fuzz, entries)
{
	struct pindrop_cqe cqe;
	unsigned int seed = 1;
	unsigned long ended = 0;
	pthread_t thread;
	__u64 begin;

	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, self));
	begin = pd_now_ns();
	while (pd_ms_since(begin) < FUZZ_MS) {
		self->ring.tail = RING_LOAD(self->ring.shared->sq_head) +
				  rand_r(&seed) % 65;
		ring_publish(&self->ring);
		ASSERT_TRUE(allowed(go(&self->ring, &seed)));
		while (ring_flushed(&self->ring, &cqe) == 1) {
			ASSERT_GE(0, cqe.result);
			ended++;
		}
	}
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_LT(0, ended);
	EXPECT_TRUE(works(&self->env));
}

/* Everything does. */
TEST_F(fuzz, everything)
{
	unsigned int seed = 1;
	pthread_t thread;
	__u64 begin;

	self->everything = true;
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, self));
	begin = pd_now_ns();
	while (pd_ms_since(begin) < FUZZ_MS) {
		ASSERT_TRUE(allowed(go(&self->ring, &seed)));
	}
	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_TRUE(works(&self->env));
}

TEST_HARNESS_MAIN
