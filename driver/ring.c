// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rings that a context shares with the kernel. Whatever is in the shared
 * memory may change at any time and be anything: indices are masked, heads and
 * tails that the kernel goes by are its own, an entry is copied once and then
 * looked at.
 *
 * Entries are claimed under ctx::lock while the context is open; those that are
 * claimed are completed by who claimed them, those that are not by the end of
 * the context. A completion without room stays in its job until there is some,
 * so that nothing has to be allocated for it.
 */
#include "pindrop.h"

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

/* Completions posted in one go with interrupts off. */
#define CQE_BATCH 16

/* Completions that there is room for; looks again when there is none. */
static u32 ring_cq_room(struct pindrop_ring *ring)
{
	u32 used = ring->cq_tail - ring->cq_head;

	if (used >= ring->cq_entries) {
		/*
		 * Pairs with the program's release of cq_head: it has read the
		 * entries before that, and they may be written again.
		 */
		ring->cq_head = smp_load_acquire(&ring->shared->cq_head);
		used = ring->cq_tail - ring->cq_head;
	}
	return used < ring->cq_entries ? ring->cq_entries - used : 0;
}

/* Into a place that is free. */
static void ring_write_cqe(struct pindrop_ring *ring, u32 at, u64 user_data,
			   int result)
{
	struct pindrop_cqe *cqe = &ring->cqes[at & (ring->cq_entries - 1)];

	WRITE_ONCE(cqe->user_data, user_data);
	WRITE_ONCE(cqe->result, result);
	WRITE_ONCE(cqe->flags, 0);
}

static void ring_publish_cqes(struct pindrop_ring *ring, u32 count)
{
	WRITE_ONCE(ring->cq_tail, ring->cq_tail + count);
	/* Pairs with the program's acquire of cq_tail: the entries, then this. */
	smp_store_release(&ring->shared->cq_tail, ring->cq_tail);
}

/* False if there is no room. */
static bool ring_put_cqe(struct pindrop_ring *ring, u64 user_data, int result)
{
	if (!ring_cq_room(ring))
		return false;
	ring_write_cqe(ring, ring->cq_tail, user_data, result);
	ring_publish_cqes(ring, 1);
	return true;
}

/**
 * pindrop_ring_signal() - signal the eventfd of a ring, if it has one
 * @ring: the ring
 *
 * The eventfd may have any number of waiters.
 *
 * Context: any; no lock of ours held.
 */
void pindrop_ring_signal(struct pindrop_ring *ring)
{
	if (ring->eventfd)
		eventfd_signal(ring->eventfd);
}

/* Posts up to @max overflowed completions in order; returns their number. */
static u32 ring_flush_locked(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
			     u32 max)
{
	struct pindrop_job *job, *next;
	u32 n = 0;

	lockdep_assert_held(&ctx->lock);
	list_for_each_entry_safe(job, next, &ring->kept, kept) {
		if (n == max)
			break;
		if (!ring_put_cqe(ring, job->user_data, job->result))
			break;
		n++;
		list_del(&job->kept);
		pindrop_user_uncharge(ring->user, PINDROP_QUOTA_JOBS, 1);
		pindrop_job_put(job);
	}
	if (!n || !list_empty(&ring->kept))
		return n;
	WRITE_ONCE(ring->shared->cq_flags,
		   ring->left ? PINDROP_CQ_OVERFLOW : 0);
	/* The ring's thread is the only waiter. */
	if (ring->stalled)
		wake_up_all(&ring->wait);
	return n;
}

/* All of it that there is room for. */
static void ring_flush(struct pindrop_ctx *ctx, struct pindrop_ring *ring)
{
	u32 n;

	do {
		spin_lock_irq(&ctx->lock);
		n = ring_flush_locked(ctx, ring, CQE_BATCH);
		spin_unlock_irq(&ctx->lock);
		if (n)
			pindrop_ring_signal(ring);
	} while (n == CQE_BATCH);
}

/**
 * pindrop_ring_post_locked() - a job of the ring is over: say so there
 * @ctx: the context
 * @job: the job, with its result
 *
 * The caller signals the ring's eventfd after it has released the lock.
 *
 * Context: ctx::lock held; any, hard interrupts included.
 */
void pindrop_ring_post_locked(struct pindrop_ctx *ctx, struct pindrop_job *job)
{
	struct pindrop_ring *ring = ctx->ring;

	lockdep_assert_held(&ctx->lock);
	/* Two for each new one, so that the overflow list shrinks. */
	ring_flush_locked(ctx, ring, 2);
	if (!list_empty(&ring->kept) ||
	    !ring_put_cqe(ring, job->user_data, job->result)) {
		kref_get(&job->ref); /* ring::kept's */
		list_add_tail(&job->kept, &ring->kept);
		/* It takes memory, so it counts; that it is over is a fact. */
		pindrop_user_add(ring->user, PINDROP_QUOTA_JOBS, 1);
		WRITE_ONCE(ring->shared->cq_overflow, ++ring->overflow);
		WRITE_ONCE(ring->shared->cq_flags, PINDROP_CQ_OVERFLOW);
	}
}

/* Entries that are there; none while the tail is one that cannot be. */
static u32 ring_filled_locked(struct pindrop_ring *ring)
{
	u32 n;

	/* Pairs with the program's release of sq_tail: the entries, then that. */
	n = smp_load_acquire(&ring->shared->sq_tail) - ring->sq_head;
	if (n <= ring->entries) {
		ring->sq_bad = false;
		return n;
	}
	if (!ring->sq_bad)
		WRITE_ONCE(ring->shared->sq_dropped, ++ring->dropped);
	ring->sq_bad = true;
	return 0;
}

/**
 * pindrop_ring_stash_locked() - keep jobs that are retired for the next ones
 * @ctx: the context; without a ring nothing is kept
 * @jobs: pindrop_job::node, nobody else has them; what stays here is too many
 *
 * Making and freeing one takes longer than all else that a NOP needs.
 *
 * Context: ctx::lock held.
 */
void pindrop_ring_stash_locked(struct pindrop_ctx *ctx, struct list_head *jobs)
{
	struct pindrop_ring *ring = ctx->ring;

	lockdep_assert_held(&ctx->lock);
	while (ring && !list_empty(jobs) && ring->nspare < PINDROP_RING_BATCH) {
		list_move(jobs->next, &ring->spare);
		ring->nspare++;
	}
}

/**
 * pindrop_ring_reuse() - take jobs that were kept
 * @ctx: the context; has a ring
 * @jobs: where they go, as they were left
 * @count: how many are wanted
 *
 * Context: process context; takes ctx::lock.
 * Return: how many there are.
 */
u32 pindrop_ring_reuse(struct pindrop_ctx *ctx, struct pindrop_job **jobs,
		       u32 count)
{
	struct pindrop_ring *ring = ctx->ring;
	u32 i;

	spin_lock_irq(&ctx->lock);
	for (i = 0; i < count && ring->nspare; i++) {
		jobs[i] = list_first_entry(&ring->spare, struct pindrop_job,
					   node);
		list_del(&jobs[i]->node);
		ring->nspare--;
	}
	spin_unlock_irq(&ctx->lock);
	return i;
}

static u32 ring_room(struct pindrop_ctx *ctx, struct pindrop_ring *ring)
{
	unsigned int live = READ_ONCE(ctx->live);

	if (!list_empty_careful(&ring->kept) || live >= PINDROP_MAX_QUEUED)
		return 0;
	return min(PINDROP_MAX_QUEUED - live, pindrop_order_open(ctx));
}

/**
 * pindrop_ring_ready() - are there entries to be consumed, and may they be
 * @ctx: the context
 * @ring: its ring
 *
 * Context: any; a look without a lock, to be repeated with it.
 * Return: true if it is worth trying.
 */
bool pindrop_ring_ready(struct pindrop_ctx *ctx, struct pindrop_ring *ring)
{
	u32 n = READ_ONCE(ring->shared->sq_tail) - READ_ONCE(ring->sq_head);

	return n && n <= ring->entries && ring_room(ctx, ring) &&
	       !READ_ONCE(ring->nback) && !test_bit(0, &ring->busy);
}

/* Takes entries: a number, 0 if there are none, or why it may not. */
static int ring_claim(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
		      u32 max)
{
	u32 mask = ring->entries - 1;
	u32 n, i, flushed;
	int ret;

	spin_lock_irq(&ctx->lock);
	flushed = ring_flush_locked(ctx, ring, CQE_BATCH);
	ret = pindrop_ctx_dead_errno(ctx);
	n = ret ? 0 : ring_filled_locked(ring);
	if (!ret && ring->sq_bad)
		ret = -EINVAL;
	if (n && (!max || !ring_room(ctx, ring)))
		ret = -EBUSY;
	if (!n || ret)
		goto out;
	n = min3(n, max, ring_room(ctx, ring));
	for (i = 0; i < n; i++)
		memcpy(&ring->batch[i], &ring->sqes[(ring->sq_head + i) & mask],
		       sizeof(ring->batch[i]));
	WRITE_ONCE(ring->sq_head, ring->sq_head + n);
	ring->consumed += n;
	/* Pairs with the program's acquire of sq_head: copied, then free. */
	smp_store_release(&ring->shared->sq_head, ring->sq_head);
	ctx->claims++;
	ret = n;
out:
	spin_unlock_irq(&ctx->lock);
	if (flushed)
		pindrop_ring_signal(ring);
	return ret;
}

/* A NOP, and nothing else in it than what comes back. Reads each word once. */
static bool ring_sqe_is_nop(const struct pindrop_sqe *sqe, u64 *user_data)
{
	const u64 *word = (const u64 *)sqe;
	const unsigned int spared =
		offsetof(struct pindrop_sqe, job.user_data) / sizeof(*word);
	unsigned int i;
	u64 bits = 0;

	BUILD_BUG_ON(PINDROP_OP_NOP);
#pragma GCC unroll 16
	for (i = 0; i < sizeof(*sqe) / sizeof(*word); i++)
		if (i != spared)
			bits |= READ_ONCE(word[i]);
	*user_data = READ_ONCE(word[spared]);
	return !bits;
}

/*
 * NOPs that come when all before them is over are over, too: no jobs are made
 * of them. What is none is left, and read again by who consumes it.
 */
static u32 ring_pass_nops_locked(struct pindrop_ctx *ctx,
				 struct pindrop_ring *ring, u32 max)
{
	u32 mask = ring->entries - 1;
	u64 user_data;
	u32 n;

	if (!list_empty(&ring->kept))
		return 0;
	max = min(max, ring_filled_locked(ring));
	max = min(max, ring_cq_room(ring));
	for (n = 0; n < max; n++) {
		if (!ring_sqe_is_nop(&ring->sqes[(ring->sq_head + n) & mask],
				     &user_data))
			break;
		ring_write_cqe(ring, ring->cq_tail + n, user_data, 0);
	}
	if (!n)
		return 0;
	WRITE_ONCE(ring->sq_head, ring->sq_head + n);
	ring->consumed += n;
	/* As in ring_claim(). */
	smp_store_release(&ring->shared->sq_head, ring->sq_head);
	pindrop_job_pass_locked(ctx, n);
	ring_publish_cqes(ring, n);
	return n;
}

/* With ring::busy. */
static u32 ring_pass_nops(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
			  u32 max)
{
	u32 n = 0;

	spin_lock_irq(&ctx->lock);
	if (pindrop_chan_passes(ring->chan, ctx))
		n = ring_pass_nops_locked(ctx, ring, max);
	spin_unlock_irq(&ctx->lock);
	if (n)
		pindrop_ring_signal(ring);
	/* Pairs with the barrier of who puts himself on ctx::wait. */
	if (n && wq_has_sleeper(&ctx->wait))
		wake_up_all(&ctx->wait);
	return n;
}

/*
 * Copies out of an address space that is borrowed for that long. No lock is
 * held and no fault taken, so that nothing sleeps; mmput() might be the end of
 * it, in here.
 */
static int copy_borrowed(struct mm_struct *mm, void *to, u64 address,
			 size_t length)
{
	void __user *from = u64_to_user_ptr(address);
	unsigned long left = length;

	if (!mmget_not_zero(mm))
		return -EOWNERDEAD;
	kthread_use_mm(mm);
	pagefault_disable();
	if (access_ok(from, length))
		left = __copy_from_user_inatomic(to, from, length);
	pagefault_enable();
	kthread_unuse_mm(mm);
	mmput_async(mm);
	return left ? -EAGAIN : 0;
}

/* A page of ours, with what the job is to read. */
static struct pindrop_buf *ring_copy(struct pindrop_ctx *ctx, u64 address,
				     u64 length)
{
	struct mm_struct *mm = ctx->owner->mn.mm;
	struct pindrop_buf *buf;
	int err = 0;
	void *to;

	buf = pindrop_buf_alloc(ctx, PAGE_SIZE, 0);
	if (IS_ERR(buf))
		return buf;
	to = page_address(buf->pages[0]);
	if (current->mm != mm)
		err = copy_borrowed(mm, to, address, length);
	else if (copy_from_user(to, u64_to_user_ptr(address), length))
		err = -EFAULT;
	if (err) {
		pindrop_buf_put(buf);
		return ERR_PTR(err);
	}
	return buf;
}

/**
 * pindrop_ring_memory() - memory of the owner for one job of a ring
 * @ctx: the context; has a ring
 * @address: where it begins
 * @length: bytes, not 0; the end does not overflow
 * @write: the device is to write it
 *
 * Little that is only read is copied; all else is pinned.
 *
 * Context: as pindrop_pin_once().
 * Return: as pindrop_pin_once().
 */
struct pindrop_buf *pindrop_ring_memory(struct pindrop_ctx *ctx, u64 address,
					u64 length, bool write)
{
	/* First: u64_to_user_ptr() drops what a pointer has no room for. */
	if (address + length > TASK_SIZE_MAX)
		return ERR_PTR(-EFAULT);
	if (!write && length <= PINDROP_COPY_MAX)
		return ring_copy(ctx, address, length);
	return pindrop_pin_once(ctx, address, length, write,
				ctx->ring->pin_limit);
}

/**
 * pindrop_ring_wake() - the owner's task ends: have the thread look around
 * @ctx: the context
 *
 * Context: process context.
 */
void pindrop_ring_wake(struct pindrop_ctx *ctx)
{
	/* Pairs with the release in pindrop_ring_commit(). */
	struct pindrop_ring *ring = smp_load_acquire(&ctx->ring);

	if (ring && ring->threaded)
		wake_up_all(&ring->wait);
}

/* Complete what was claimed, and comes too late. */
static void ring_refuse_locked(struct pindrop_ctx *ctx,
			       struct pindrop_ring *ring, u32 first, u32 count)
{
	int err = pindrop_ctx_dead_errno(ctx);
	struct pindrop_job *job;

	for (; count; count--, first++) {
		job = ring->jobs[first];
		job->user_data = ring->batch[first].job.user_data;
		job->result = err;
		pindrop_ring_post_locked(ctx, job);
		pindrop_job_put(job);
	}
}

/*
 * Makes jobs of what was claimed, and lets somebody else consume. What the
 * thread cannot do goes back to the owner, who is told, or completed if it is
 * too late for that.
 */
static void ring_work(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
		      u32 first, u32 count)
{
	u32 done = pindrop_submit_each(ctx, ring->chan, ring->jobs + first,
				       ring->batch + first, count);
	bool dead;

	first += done;
	count -= done;
	spin_lock_irq(&ctx->lock);
	ctx->claims--;
	dead = pindrop_ctx_dead_errno(ctx);
	if (count && dead) {
		ring_refuse_locked(ctx, ring, first, count);
	} else if (count) {
		ring->back = first;
		WRITE_ONCE(ring->nback, count);
		ring->asks = true;
		/* Only a thread gives back, and only it writes these. */
		WRITE_ONCE(ring->shared->sq_flags, PINDROP_SQ_NEED_ENTER);
	}
	/* With the lock: who sees nback does not have to wait for this. */
	clear_bit_unlock(0, &ring->busy);
	spin_unlock_irq(&ctx->lock);
	if (count)
		pindrop_ring_signal(ring);
	/* A dying context waits for its claims. */
	if (dead)
		pindrop_reap(ctx);
	else if (count)
		wake_up_all(&ctx->wait);
}

/* With ring::busy: as pindrop_ring_consume(), but makes no jobs yet. */
static int ring_take(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
		     u32 max)
{
	u32 filled = READ_ONCE(ring->shared->sq_tail) -
		     READ_ONCE(ring->sq_head);
	u32 want, have, i;
	int n;

	if (filled > ring->entries)
		filled = 0;
	/* The jobs first: what is claimed is not put back. */
	want = min3(filled, ring_room(ctx, ring), max);
	have = want ? pindrop_jobs_alloc(ctx, ring->chan, ring->jobs, want) : 0;
	if (want && !have)
		return -ENOMEM;
	n = ring_claim(ctx, ring, have);
	for (i = max(n, 0); i < have; i++)
		pindrop_job_put(ring->jobs[i]);
	return n;
}

/**
 * pindrop_ring_consume() - make jobs of some entries
 * @ctx: the context
 * @ring: its ring
 * @max: entries at most, not 0
 *
 * Context: the owner, or the ring's thread; no lock held.
 * Return: entries consumed, up to PINDROP_RING_BATCH, 0 if there are none; or
 * -EBUSY (no room, or somebody else is at it), -EAGAIN (the owner has to enter
 * first), -EINVAL (sq_tail is out of range), -ENOMEM, -EOWNERDEAD, -ENODEV.
 */
int pindrop_ring_consume(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
			 u32 max)
{
	int n;

	/* For the owner, whoever gave them back. */
	if (READ_ONCE(ring->nback))
		return -EAGAIN;
	if (READ_ONCE(ring->shared->sq_tail) == READ_ONCE(ring->sq_head) &&
	    list_empty_careful(&ring->kept))
		return 0;
	if (test_and_set_bit_lock(0, &ring->busy))
		return -EBUSY;
	max = min_t(u32, max, PINDROP_RING_BATCH);
	/* Who was at it may have given back, and jobs and batch are in use. */
	if (READ_ONCE(ring->nback))
		n = -EAGAIN;
	else
		n = ring_pass_nops(ctx, ring, max);
	if (n) {
		clear_bit_unlock(0, &ring->busy);
		return n;
	}
	n = ring_take(ctx, ring, max);
	if (n > 0)
		ring_work(ctx, ring, 0, n);
	else
		clear_bit_unlock(0, &ring->busy);
	return n;
}

/*
 * Entries that nobody consumes any more, with the error of the context's end,
 * as far as there is room for it.
 */
static void ring_abandon(struct pindrop_ctx *ctx, struct pindrop_ring *ring)
{
	int err = pindrop_ctx_dead_errno(ctx);
	u32 mask = ring->entries - 1;
	struct pindrop_sqe *sqe;
	u32 left, i;
	bool room;

	ring_flush(ctx, ring);
	spin_lock_irq(&ctx->lock);
	left = ring_filled_locked(ring);
	room = list_empty(&ring->kept);
	spin_unlock_irq(&ctx->lock);
	do {
		spin_lock_irq(&ctx->lock);
		/* Others may be at it; what is new is not ours. */
		left = min(left, ring_filled_locked(ring));
		for (i = 0; i < CQE_BATCH && left && room; i++) {
			sqe = &ring->sqes[ring->sq_head & mask];
			room = ring_put_cqe(ring, READ_ONCE(sqe->job.user_data),
					    err);
			if (!room)
				break;
			WRITE_ONCE(ring->sq_head, ring->sq_head + 1);
			left--;
		}
		/* As in ring_claim(). */
		smp_store_release(&ring->shared->sq_head, ring->sq_head);
		/* Counted once, when they are not posted for the first time. */
		if (!room && left > ring->left)
			WRITE_ONCE(ring->shared->cq_overflow,
				   ring->overflow += left - ring->left);
		if (!room || !left)
			ring->left = left;
		WRITE_ONCE(ring->shared->cq_flags,
			   left || !list_empty(&ring->kept) ?
				   PINDROP_CQ_OVERFLOW :
				   0);
		spin_unlock_irq(&ctx->lock);
		pindrop_ring_signal(ring);
	} while (left && room);
}

/**
 * pindrop_ring_kill() - the end of a context: complete what is left in its ring
 * @ctx: the context; it has left OPEN, so that nothing is claimed any more
 *
 * What is claimed counts for the context until it is completed, too. The thread
 * is told to end, and not waited for.
 *
 * Context: process context; takes ctx::lock.
 */
void pindrop_ring_kill(struct pindrop_ctx *ctx)
{
	struct pindrop_ring *ring;

	spin_lock_irq(&ctx->lock);
	ring = ctx->ring;
	if (ring) {
		WRITE_ONCE(ring->stop, true);
		ring_refuse_locked(ctx, ring, ring->back, ring->nback);
		WRITE_ONCE(ring->nback, 0);
	}
	spin_unlock_irq(&ctx->lock);
	if (!ring)
		return;
	if (!PINDROP_BROKEN(ring))
		ring_abandon(ctx, ring);
	pindrop_ring_signal(ring);
	wake_up_all(&ring->wait);
}

/* Completions that the program has not read. */
static u32 ring_unread(struct pindrop_ring *ring)
{
	return min(READ_ONCE(ring->cq_tail) - READ_ONCE(ring->shared->cq_head),
		   ring->cq_entries);
}

/**
 * pindrop_ring_readable() - has the ring something for the program
 * @ctx: the context
 *
 * Context: any.
 * Return: true if poll() is to say so.
 */
bool pindrop_ring_readable(struct pindrop_ctx *ctx)
{
	/* Pairs with the release in pindrop_ring_commit(). */
	struct pindrop_ring *ring = smp_load_acquire(&ctx->ring);

	return ring && (ring_unread(ring) || READ_ONCE(ring->nback) ||
			!list_empty_careful(&ring->kept));
}

/* As many as are there, up to @max: their number, or why there were none. */
static int enter_submit(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
			u32 max)
{
	u32 done = 0;
	int n = 0;

	while (done < max) {
		n = -EINTR;
		if (fatal_signal_pending(current))
			break;
		n = pindrop_ring_consume(ctx, ring, max - done);
		if (n == -EBUSY) {
			/* What is over is in nobody's way. */
			pindrop_reap(ctx);
			ring_flush(ctx, ring);
			n = pindrop_ring_consume(ctx, ring, max - done);
		}
		if (n <= 0)
			break;
		done += n;
		cond_resched();
	}
	return done ?: n;
}

/* What the thread has given back; it is then woken to go on. */
static void enter_back(struct pindrop_ctx *ctx, struct pindrop_ring *ring)
{
	u32 first, count;

	if (!READ_ONCE(ring->nback) || test_and_set_bit_lock(0, &ring->busy))
		return;
	spin_lock_irq(&ctx->lock);
	first = ring->back;
	count = ring->nback;
	WRITE_ONCE(ring->nback, 0);
	ctx->claims += !!count;
	spin_unlock_irq(&ctx->lock);
	if (count)
		ring_work(ctx, ring, first, count);
	else
		clear_bit_unlock(0, &ring->busy);
	WRITE_ONCE(ring->kicked, true);
	wake_up_all(&ring->wait);
}

static bool enter_over(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
		       u32 count)
{
	return ring_unread(ring) >= count || READ_ONCE(ring->nback) ||
	       pindrop_ctx_dead_errno(ctx);
}

static int enter_wait(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
		      u32 count, u64 timeout_ns)
{
	ktime_t left = KTIME_MAX;
	int err = 0;

	count = min(count, ring->cq_entries);
	for (;;) {
		enter_back(ctx, ring);
		if (ring_unread(ring) >= count)
			return 0;
		if (!err)
			err = pindrop_ctx_dead_errno(ctx);
		if (err)
			return err;
		if (timeout_ns < KTIME_MAX)
			left = ktime_sub(timeout_ns, ktime_get());
		if (left <= 0)
			return -ETIME;
		err = wait_event_interruptible_hrtimeout(ctx->wait,
							 enter_over(ctx, ring, count),
							 left);
		pindrop_reap(ctx);
	}
}

/* What was kept; and on a dead context, what nobody consumes any more. */
static void enter_flush(struct pindrop_ctx *ctx, struct pindrop_ring *ring)
{
	if (READ_ONCE(ring->stop))
		ring_abandon(ctx, ring);
	else
		ring_flush(ctx, ring);
}

static int enter_check(const struct pindrop_ring_enter *args)
{
	if (args->flags & ~(PINDROP_ENTER_GETEVENTS | PINDROP_ENTER_WAKEUP))
		return -EOPNOTSUPP;
	if (args->min_complete && !(args->flags & PINDROP_ENTER_GETEVENTS))
		return -EINVAL;
	return 0;
}

/**
 * pindrop_ring_enter() - RING_ENTER
 * @ctx: the context
 * @args: see the uapi header
 *
 * Context: a user process; sleeps, interruptibly; no lock held.
 * Return: entries consumed, or an errno of the uapi header.
 */
int pindrop_ring_enter(struct pindrop_ctx *ctx,
		       const struct pindrop_ring_enter *args)
{
	/* Pairs with the release in pindrop_ring_commit(). */
	struct pindrop_ring *ring = smp_load_acquire(&ctx->ring);
	int err, submitted = 0;

	err = enter_check(args);
	if (err)
		return err;
	err = pindrop_ctx_check_owner(ctx);
	if (!ring || err == -EPERM)
		return err ?: -ENOENT;
	if (err) {
		enter_flush(ctx, ring);
		return err;
	}
	if (ring->threaded ? args->to_submit :
			     args->flags & PINDROP_ENTER_WAKEUP)
		return -EINVAL;
	enter_back(ctx, ring);
	if (args->to_submit)
		submitted = enter_submit(ctx, ring,
					 min(args->to_submit, ring->entries));
	if (submitted < 0)
		return submitted;
	if (args->flags & PINDROP_ENTER_WAKEUP) {
		WRITE_ONCE(ring->kicked, true);
		wake_up_all(&ring->wait);
	}
	if (args->flags & PINDROP_ENTER_GETEVENTS) {
		if (!list_empty_careful(&ring->kept))
			enter_flush(ctx, ring);
		if (ring_unread(ring) < args->min_complete)
			err = enter_wait(ctx, ring, args->min_complete,
					 args->timeout_ns);
	}
	return submitted ?: err;
}
