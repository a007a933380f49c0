// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fences: what jobs wait for, and what is signalled when they are over.
 *
 * The jobs of a SUBMIT that has to do with fences share a batch. It asks the
 * fences that they wait for to call back. A callback runs under the lock of a
 * fence that is somebody else's, and maybe under locks of a channel of ours:
 * it takes none, but counts; the last one has an interrupt go on with the
 * channel. Nothing that calls back holds a reference. Whoever drops the last one to
 * the batch, with the last job of it, takes the callbacks back: each has
 * then run to its end or never will, for the fence's lock is around it, and so
 * has the interrupt.
 *
 * Each fence of ours is a timeline of its own. On a timeline a fence stands for
 * all those before it, and others forget those; our SUBMITs end in any order,
 * even those of one context and channel, when some are cancelled or LOST.
 *
 * A fence may outlive its job, context and device. Its functions are in this
 * module, which stays while there is one.
 */
#include "pindrop.h"

#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

/**
 * struct pindrop_fence - one that we signal
 * @base: first, and what others hold
 * @lock: @base's
 * @ctx: the context of its jobs; referenced until it is signalled
 * @node: in chan::fences when its signal is due; holds a reference
 * @result: the error to signal it with, or 0
 * @timeline: the node's name
 */
struct pindrop_fence {
	struct dma_fence base;
	spinlock_t lock; /* @base's */
	struct pindrop_ctx *ctx;
	struct list_head node;
	int result;
	char timeline[16];
};

/**
 * struct pindrop_dep - one that we wait for
 * @node: in batch::deps
 * @batch: who waits
 * @fence: what for; referenced
 * @cb: in its list; empty before it is asked and after it has called
 */
struct pindrop_dep {
	struct list_head node;
	struct pindrop_batch *batch;
	struct dma_fence *fence;
	struct dma_fence_cb cb;
};

/**
 * struct pindrop_use - memory that is shared with others
 * @node: in batch::uses
 * @buf: it; referenced, as the jobs may be over before its lock is let go
 * @resv: its fences
 * @write: some job writes it
 * @locked: by us
 */
struct pindrop_use {
	struct list_head node;
	struct pindrop_buf *buf;
	struct dma_resv *resv;
	bool write;
	bool locked;
};

static struct pindrop_fence *to_pindrop_fence(struct dma_fence *fence)
{
	return container_of(fence, struct pindrop_fence, base);
}

static const char *fence_driver_name(struct dma_fence *fence)
{
	return "pindrop";
}

static const char *fence_timeline_name(struct dma_fence *fence)
{
	return to_pindrop_fence(fence)->timeline;
}

/* Module exit waits for this function, too: rcu_barrier(). */
static void fence_free(struct rcu_head *rcu)
{
	kfree(to_pindrop_fence(container_of(rcu, struct dma_fence, rcu)));
	module_put(THIS_MODULE); /* fence_create()'s */
}

/*
 * Before 7.3 a fence is asked for its names until it goes; with this op, later,
 * too. A reader may still look at them, under RCU.
 */
static void fence_release(struct dma_fence *fence)
{
	call_rcu(&fence->rcu, fence_free);
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_driver_name,
	.get_timeline_name = fence_timeline_name,
	.release = fence_release,
};

static struct pindrop_fence *fence_create(struct pindrop_ctx *ctx)
{
	struct pindrop_fence *fence;

	fence = kzalloc(sizeof(*fence), GFP_KERNEL_ACCOUNT);
	if (!fence)
		return NULL;
	__module_get(THIS_MODULE); /* the fence's: see fence_free() */
	spin_lock_init(&fence->lock);
	fence->ctx = ctx;
	strscpy(fence->timeline, dev_name(&ctx->dev->dev),
		sizeof(fence->timeline));
	dma_fence_init(&fence->base, &fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	return fence;
}

static void fence_signal(struct pindrop_fence *fence, int result)
{
	if (result)
		dma_fence_set_error(&fence->base, result);
	dma_fence_signal(&fence->base);
}

/* The release of the channel's lock signals it: see notify.c. */
static void fence_queue_locked(struct pindrop_fence *fence,
			       struct pindrop_chan *chan, int result)
{
	lockdep_assert_held(&chan->lock);
	dma_fence_get(&fence->base); /* pindrop_fences_signal()'s */
	pindrop_notify_hold_locked(fence->ctx);
	fence->result = result;
	list_add_tail(&fence->node, &chan->fences);
}

/**
 * pindrop_fences_signal() - signal fences of jobs that have ended
 * @fences: pindrop_fence::node, taken from chan::fences
 *
 * Context: any, no lock of ours held; under RCU.
 */
void pindrop_fences_signal(struct list_head *fences)
{
	struct pindrop_fence *fence, *next;

	list_for_each_entry_safe(fence, next, fences, node) {
		struct pindrop_ctx *ctx = fence->ctx;

		fence_signal(fence, fence->result);
		dma_fence_put(&fence->base);
		pindrop_notify_fence(ctx);
	}
}

/**
 * pindrop_batch_create() - for the jobs of a SUBMIT
 * @ctx: the context; the caller keeps it
 * @chan: their channel
 * @batch: a reference
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_batch_create(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
			 struct pindrop_batch **batch)
{
	*batch = kzalloc(sizeof(**batch), GFP_KERNEL_ACCOUNT);
	if (!*batch)
		return -ENOMEM;
	kref_init(&(*batch)->ref); /* the caller's; each job takes its own */
	(*batch)->chan = chan;
	(*batch)->ctx = ctx;
	INIT_LIST_HEAD(&(*batch)->deps);
	INIT_LIST_HEAD(&(*batch)->uses);
	return 0;
}

/**
 * pindrop_batch_add_dep() - the jobs wait for a fence
 * @batch: not begun
 * @fence: it; the reference is taken over, also if the call fails
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_batch_add_dep(struct pindrop_batch *batch, struct dma_fence *fence)
{
	struct pindrop_dep *dep;

	dep = kzalloc(sizeof(*dep), GFP_KERNEL_ACCOUNT);
	if (!dep) {
		dma_fence_put(fence);
		return -ENOMEM;
	}
	dep->batch = batch;
	dep->fence = fence;
	INIT_LIST_HEAD(&dep->cb.node);
	list_add_tail(&dep->node, &batch->deps);
	return 0;
}

/**
 * pindrop_batch_make_out() - make what is signalled when the jobs are over
 * @batch: not begun; holds the fence
 *
 * Context: may sleep.
 * Return: the fence, or NULL if there is no memory.
 */
struct dma_fence *pindrop_batch_make_out(struct pindrop_batch *batch)
{
	batch->out = fence_create(batch->ctx);
	return batch->out ? &batch->out->base : NULL;
}

/**
 * pindrop_batch_share() - the jobs use memory that is shared with others
 * @batch: not begun
 * @buf: the memory, which has a reservation object; a reference is taken
 * @write: they write it
 *
 * They wait for what others do with it, as far as that matters, and others for
 * them.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_batch_share(struct pindrop_batch *batch, struct pindrop_buf *buf,
			bool write)
{
	struct dma_resv *resv = pindrop_buf_resv(buf);
	struct pindrop_use *use;

	list_for_each_entry(use, &batch->uses, node) {
		if (use->resv != resv)
			continue;
		use->write |= write;
		return 0;
	}
	if (!batch->guard)
		batch->guard = fence_create(batch->ctx);
	use = kzalloc(sizeof(*use), GFP_KERNEL_ACCOUNT);
	if (!use || !batch->guard) {
		kfree(use);
		return -ENOMEM;
	}
	kref_get(&buf->ref); /* the use's; uses_drop() */
	use->buf = buf;
	use->resv = resv;
	use->write = write;
	list_add_tail(&use->node, &batch->uses);
	return 0;
}

static void uses_unlock(struct pindrop_batch *batch)
{
	struct pindrop_use *use;

	list_for_each_entry(use, &batch->uses, node) {
		if (use->locked)
			dma_resv_unlock(use->resv);
		use->locked = false;
	}
}

static void uses_drop(struct pindrop_batch *batch)
{
	struct pindrop_use *use, *next;

	list_for_each_entry_safe(use, next, &batch->uses, node) {
		list_del(&use->node);
		pindrop_buf_put(use->buf);
		kfree(use);
	}
}

/* All of them at once: two who each see the other's fence wait for ever. */
static int uses_lock(struct pindrop_batch *batch)
{
	struct pindrop_use *use;
	int err;

again:
	list_for_each_entry(use, &batch->uses, node) {
		if (use->locked)
			continue;
		err = dma_resv_lock_interruptible(use->resv, &batch->acquire);
		if (err == -EDEADLK) {
			uses_unlock(batch);
			err = dma_resv_lock_slow_interruptible(use->resv,
							       &batch->acquire);
			use->locked = !err;
			if (!err)
				goto again;
		}
		if (err) {
			uses_unlock(batch);
			return err == -EINTR ? -ERESTARTSYS : err;
		}
		use->locked = true;
	}
	return 0;
}

/* A program that uses two channels orders its own jobs as it likes. */
static bool fence_is_of(struct dma_fence *fence, const struct pindrop_ctx *ctx)
{
	return pindrop_fence_ops(fence) == &fence_ops &&
	       to_pindrop_fence(fence)->ctx == ctx;
}

/* What others do with the memory; and room for what we do. */
static int uses_collect(struct pindrop_batch *batch)
{
	struct dma_resv_iter iter;
	struct dma_fence *fence;
	struct pindrop_use *use;
	int err;

	list_for_each_entry(use, &batch->uses, node) {
		dma_resv_for_each_fence(&iter, use->resv,
					dma_resv_usage_rw(use->write), fence) {
			if (fence_is_of(fence, batch->ctx))
				continue;
			err = pindrop_batch_add_dep(batch, dma_fence_get(fence));
			if (err)
				return err;
		}
		err = dma_resv_reserve_fences(use->resv, 1);
		if (err)
			return err;
	}
	return 0;
}

/* A fence has signalled. Writes come before the count, which others look at. */
static void dep_over(struct pindrop_dep *dep, int status)
{
	struct pindrop_batch *batch = dep->batch;

	if (status < 0)
		cmpxchg(&batch->error, 0, status);
	/* Full barrier; pairs with the acquire in pindrop_batch_waits(). */
	if (atomic_dec_and_test(&batch->pending))
		irq_work_queue(&batch->work);
}

/* Under the fence's lock, interrupts off. */
static void dep_called(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	dep_over(container_of(cb, struct pindrop_dep, cb),
		 dma_fence_get_status_locked(fence));
}

/* The last fence has come: part of the way to our own being signalled. */
static void batch_go_on(struct irq_work *work)
{
	struct pindrop_batch *batch = container_of(work, struct pindrop_batch,
						   work);
	bool signalling = dma_fence_begin_signalling();

	pindrop_chan_go_on(batch->chan, batch->ctx);
	dma_fence_end_signalling(signalling);
}

/* Before the jobs are queued: then it may be all over already. */
static void deps_ask(struct pindrop_batch *batch)
{
	struct pindrop_dep *dep;

	init_irq_work(&batch->work, batch_go_on);
	atomic_set(&batch->pending, 1);
	list_for_each_entry(dep, &batch->deps, node) {
		if (PINDROP_BROKEN(infence))
			continue;
		atomic_inc(&batch->pending);
		if (dma_fence_add_callback(dep->fence, &dep->cb, dep_called))
			dep_over(dep, dma_fence_get_status(dep->fence));
	}
	atomic_dec(&batch->pending);
}

/**
 * pindrop_batch_begin() - the jobs are made; ask what they wait for
 * @batch: what is to be in it is; nobody else knows of it
 *
 * Context: a user process; sleeps, interruptibly, for the locks of memory that
 * is shared with others. No lock held; if it succeeds those are,
 * until pindrop_batch_end(), which has to follow.
 * Return: 0, -ENOMEM or -ERESTARTSYS.
 */
int pindrop_batch_begin(struct pindrop_batch *batch)
{
	int err = 0;

	if (!list_empty(&batch->uses)) {
		ww_acquire_init(&batch->acquire, &reservation_ww_class);
		err = uses_lock(batch);
		if (!err) {
			ww_acquire_done(&batch->acquire);
			err = uses_collect(batch);
		}
		if (err) {
			uses_unlock(batch);
			ww_acquire_fini(&batch->acquire);
		}
	}
	if (!err)
		deps_ask(batch);
	return err;
}

/**
 * pindrop_batch_publish() - others see that the memory is used
 * @batch: begun
 *
 * From here to pindrop_batch_end() nothing may allocate, sleep or take a lock that
 * somebody may hold who waits for a fence.
 *
 * Context: inside the gate.
 */
void pindrop_batch_publish(struct pindrop_batch *batch)
{
	struct pindrop_use *use;

	batch->published = true;
	batch->signalling = dma_fence_begin_signalling();
	list_for_each_entry(use, &batch->uses, node)
		dma_resv_add_fence(use->resv, &batch->guard->base,
				   use->write ? DMA_RESV_USAGE_WRITE :
						DMA_RESV_USAGE_READ);
}

/**
 * pindrop_batch_end() - the jobs are queued, or will never be
 * @batch: begun, and published if they are queued
 * @result: 0, or why not
 *
 * Context: a user process.
 */
void pindrop_batch_end(struct pindrop_batch *batch, int result)
{
	if (batch->published) {
		/* Before a buffer is let go, for which others may have to wait. */
		if (result && batch->guard)
			fence_signal(batch->guard, result);
		dma_fence_end_signalling(batch->signalling);
	}
	if (list_empty(&batch->uses))
		return;
	uses_unlock(batch);
	ww_acquire_fini(&batch->acquire);
	uses_drop(batch);
}

/**
 * pindrop_batch_waits() - is there a fence that has not signalled
 * @batch: begun
 *
 * Context: any.
 * Return: true if its jobs may not begin. If not, batch::error says how the
 * fences ended.
 */
bool pindrop_batch_waits(struct pindrop_batch *batch)
{
	/* Pairs with the decrement in dep_over(). */
	return atomic_read_acquire(&batch->pending);
}

/**
 * pindrop_batch_over_locked() - a job is over, as its owner sees it
 * @job: one that has a batch
 * @result: 0 or -errno
 *
 * Context: the channel's lock and ctx::lock held, the job's result was written;
 * any, hard interrupts included.
 */
void pindrop_batch_over_locked(struct pindrop_job *job, int result)
{
	struct pindrop_batch *batch = job->batch;

	lockdep_assert_held(&job->ctx->lock);
	if (!batch->result)
		batch->result = result;
	if (PINDROP_BROKEN(I5) && job->state == PINDROP_JOB_LOST)
		return;
	if (!--batch->left && batch->out)
		fence_queue_locked(batch->out, batch->chan, batch->result);
}

/**
 * pindrop_batch_proved_locked() - a job does not touch memory any more
 * @job: one that has a batch; it was reported before, and this is not called twice
 *
 * Context: as pindrop_batch_over_locked().
 */
void pindrop_batch_proved_locked(struct pindrop_job *job)
{
	struct pindrop_batch *batch = job->batch;

	lockdep_assert_held(&job->ctx->lock);
	if (!--batch->unproved && batch->guard)
		fence_queue_locked(batch->guard, batch->chan, batch->result);
}

static void batch_free(struct kref *ref)
{
	struct pindrop_batch *batch = container_of(ref, struct pindrop_batch,
						   ref);
	struct pindrop_dep *dep, *next_dep;
	bool asked = batch->work.func;

	list_for_each_entry_safe(dep, next_dep, &batch->deps, node) {
		if (asked)
			dma_fence_remove_callback(dep->fence, &dep->cb);
		dma_fence_put(dep->fence);
		kfree(dep);
	}
	/* No callback any more that would have it run again. */
	if (asked)
		irq_work_sync(&batch->work);
	uses_drop(batch); /* it was never begun */
	if (batch->out)
		dma_fence_put(&batch->out->base);
	if (batch->guard)
		dma_fence_put(&batch->guard->base);
	kfree(batch);
}

/**
 * pindrop_batch_put() - drop a reference
 * @batch: the batch
 *
 * Fences that its jobs were cancelled without are not waited for any more.
 *
 * Context: process context, no spinlock held; what is waited for is a callback, or
 * an interrupt of our own, that has begun. The context is still there.
 */
void pindrop_batch_put(struct pindrop_batch *batch)
{
	kref_put(&batch->ref, batch_free);
}
