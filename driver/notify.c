// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is told that jobs are over, and when: not job by job under the locks that
 * the jobs end under, but once for all that ended while a queue's lock was held,
 * after it was released. How many wait is theirs to choose: threads, epoll
 * entries, callbacks of a fence.
 *
 * What is to be told holds a reference to its context, and keeps it from being
 * settled.
 */
#include "pindrop.h"

#include <linux/dma-fence.h>
#include <linux/eventfd.h>
#include <linux/rcupdate.h>

/**
 * pindrop_notify_locked() - jobs of a context have news for those who wait
 * @queue: the context's, on the channel
 * @event: the ring's eventfd is to be signalled
 * @lost: a job was LOST
 *
 * Told by whoever releases the channel's lock; what is over, unless somebody tells
 * of it later, for all: see ctx::quiet.
 *
 * Context: the channel's lock and ctx::lock held.
 */
void pindrop_notify_locked(struct pindrop_queue *queue, bool event, bool lost)
{
	struct pindrop_ctx *ctx = queue->ctx;

	lockdep_assert_held(&queue->chan->lock);
	lockdep_assert_held(&ctx->lock);
	queue->event |= event;
	queue->lost |= lost;
	if (!list_empty(&queue->notify) || (ctx->quiet && !event && !lost))
		return;
	kref_get(&ctx->ref); /* until it is told; told_locked() */
	ctx->untold++;
	list_add_tail(&queue->notify, &queue->chan->notify);
}

/**
 * pindrop_notify_hold_locked() - a fence of a context is to be signalled
 * @ctx: the context
 *
 * Context: ctx::lock held.
 */
void pindrop_notify_hold_locked(struct pindrop_ctx *ctx)
{
	lockdep_assert_held(&ctx->lock);
	kref_get(&ctx->ref); /* the same */
	ctx->untold++;
}

/*
 * The reference goes to the work, which retires the jobs. Where it is not needed
 * it is not the last: the work that is queued already, or who keeps the context
 * quiet, takes ctx::lock before he drops his.
 */
static bool told_locked(struct pindrop_ctx *ctx, bool lost)
{
	bool wake;

	lockdep_assert_held(&ctx->lock);
	ctx->untold--;
	pindrop_ctx_settle_locked(ctx);
	/* A thread that keeps the context quiet looks at finished jobs only. */
	wake = lost || !ctx->quiet || pindrop_ctx_settled(ctx);
	if (!wake || !queue_work(pindrop_reap_wq, &ctx->reap))
		pindrop_ctx_put(ctx);
	return wake;
}

/*
 * Under RCU, which keeps the context's memory. What comes once the queue is taken
 * off is told by who it comes from: nobody is kept here by others' jobs.
 */
static void tell_queue(struct pindrop_queue *queue)
{
	struct pindrop_ctx *ctx = queue->ctx;
	unsigned long flags;
	bool event, lost, wake;

	spin_lock_irqsave(&ctx->lock, flags);
	list_del_init(&queue->notify);
	event = queue->event;
	lost = queue->lost;
	queue->event = false;
	queue->lost = false;
	spin_unlock_irqrestore(&ctx->lock, flags);
	if (event)
		eventfd_signal(ctx->ring->eventfd);
	spin_lock_irqsave(&ctx->lock, flags);
	wake = told_locked(ctx, lost);
	spin_unlock_irqrestore(&ctx->lock, flags);
	if (wake)
		wake_up_all(&ctx->wait);
}

/**
 * pindrop_notify_fence() - a fence of a context has been signalled
 * @ctx: the context, held by pindrop_notify_hold_locked()
 *
 * Context: any; under RCU.
 */
void pindrop_notify_fence(struct pindrop_ctx *ctx)
{
	unsigned long flags;
	bool wake;

	spin_lock_irqsave(&ctx->lock, flags);
	wake = told_locked(ctx, false);
	spin_unlock_irqrestore(&ctx->lock, flags);
	if (wake)
		wake_up_all(&ctx->wait);
}

/**
 * pindrop_notify_end() - a context is not quiet any more
 * @ctx: the context; the caller holds a reference, and has made it quiet
 *
 * Context: process context, no lock held.
 */
void pindrop_notify_end(struct pindrop_ctx *ctx)
{
	spin_lock_irq(&ctx->lock);
	ctx->quiet--;
	pindrop_ctx_settle_locked(ctx);
	if (!list_empty(&ctx->done)) {
		kref_get(&ctx->ref); /* the work's, if it was not queued */
		if (!queue_work(pindrop_reap_wq, &ctx->reap))
			pindrop_ctx_put(ctx);
	}
	spin_unlock_irq(&ctx->lock);
	wake_up_all(&ctx->wait);
}

/*
 * Others wait for what is told here: who tells is not preempted before that,
 * however little of the processor is his. Where spinlocks sleep he may be.
 */
static void tell_begin(void)
	__acquires(RCU)
{
	rcu_read_lock();
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
}

static void tell(struct list_head *queues, struct list_head *fences)
	__releases(RCU)
{
	pindrop_fences_signal(fences);
	while (!list_empty(queues))
		tell_queue(list_first_entry(queues, struct pindrop_queue,
					    notify));
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
	rcu_read_unlock();
}

/**
 * pindrop_chan_unlock_irqrestore() - release a channel's lock, and tell
 * @chan: the channel
 * @flags: as from spin_lock_irqsave()
 *
 * To be used wherever jobs may have ended.
 *
 * Context: the channel's lock held, and no other spinlock.
 */
void pindrop_chan_unlock_irqrestore(struct pindrop_chan *chan,
				    unsigned long flags)
	__releases(&chan->lock)
{
	LIST_HEAD(queues);
	LIST_HEAD(fences);

	list_splice_init(&chan->notify, &queues);
	list_splice_init(&chan->fences, &fences);
	tell_begin();
	spin_unlock_irqrestore(&chan->lock, flags);
	tell(&queues, &fences);
}

/**
 * pindrop_chan_unlock_irq() - the same, with interrupts on afterwards
 * @chan: the channel
 *
 * Context: the channel's lock held, and no other spinlock.
 */
void pindrop_chan_unlock_irq(struct pindrop_chan *chan)
	__releases(&chan->lock)
{
	LIST_HEAD(queues);
	LIST_HEAD(fences);

	list_splice_init(&chan->notify, &queues);
	list_splice_init(&chan->fences, &fences);
	tell_begin();
	spin_unlock_irq(&chan->lock);
	tell(&queues, &fences);
}
