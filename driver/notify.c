// SPDX-License-Identifier: GPL-2.0-only
/*
 * Notification of finished jobs. Waiters are woken, eventfds and fences signalled
 * once per hold of a queue's lock, after the lock is released: the number of
 * waiters (threads, epoll entries, fence callbacks) is the program's choice and has
 * no bound.
 *
 * A pending notification holds a reference to its context, and a context with one
 * does not settle.
 */
#include "pindrop.h"

#include <linux/dma-fence.h>
#include <linux/eventfd.h>
#include <linux/rcupdate.h>

/**
 * pindrop_notify_locked() - queue a notification for a context
 * @queue: the context's queue on the channel
 * @event: the ring's eventfd needs a signal
 * @lost: a job was LOST
 *
 * The release of the channel's lock sends it. While ctx::quiet is set only an event
 * and a LOST job need one: the thread that set it reaps finished jobs, which wakes.
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
	kref_get(&ctx->ref); /* the notification's; told_locked() */
	ctx->untold++;
	list_add_tail(&queue->notify, &queue->chan->notify);
}

/**
 * pindrop_notify_hold_locked() - count a queued fence as a notification
 * @ctx: the context
 *
 * Context: ctx::lock held.
 */
void pindrop_notify_hold_locked(struct pindrop_ctx *ctx)
{
	lockdep_assert_held(&ctx->lock);
	kref_get(&ctx->ref); /* the notification's; told_locked() */
	ctx->untold++;
}

/*
 * The reap work takes over the notification's reference. If the work is queued
 * already, or ctx::quiet is set, the put here is not the last one: the work, and the
 * thread that set ctx::quiet, take ctx::lock before they drop their references.
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
 * RCU keeps the context's memory after told_locked(). Notifications that other
 * processors queue after list_del_init() are theirs to send, so this does not loop.
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
 * pindrop_notify_fence() - end the notification of a fence that was signalled
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
 * pindrop_notify_end() - drop ctx::quiet, and notify of the jobs finished meanwhile
 * @ctx: the context; the caller holds a reference, and has raised ctx::quiet
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

/* Notifications taken off a channel, on the stack of the lock's holder. */
struct notifications {
	struct list_head queues;
	struct list_head fences;
	bool again;
};

/*
 * Preemption would delay other contexts' waiters, and jobs that the chain's work is to
 * issue, by the sender's scheduling class, so it is off until notify_send().
 * PREEMPT_RT's spinlocks sleep and forbid that.
 */
static void notify_take(struct pindrop_chan *chan, struct notifications *taken)
	__acquires(RCU)
{
	INIT_LIST_HEAD(&taken->queues);
	INIT_LIST_HEAD(&taken->fences);
	list_splice_init(&chan->notify, &taken->queues);
	list_splice_init(&chan->fences, &taken->fences);
	taken->again = chan->again;
	chan->again = false;
	chan->silent = 0;
	chan->budget = PINDROP_END_BATCH;
	rcu_read_lock();
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
}

static void notify_send(struct pindrop_chan *chan, struct notifications *taken)
	__releases(RCU)
{
	/* Pairs with synchronize_rcu() in pindrop_dev_fini(). */
	if (taken->again)
		queue_work(chan->dev->wq, &chan->chain);
	pindrop_fences_signal(&taken->fences);
	while (!list_empty(&taken->queues))
		tell_queue(list_first_entry(&taken->queues,
					    struct pindrop_queue, notify));
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
	rcu_read_unlock();
}

/**
 * pindrop_chan_unlock_irqrestore() - release a channel's lock, then notify
 * @chan: the channel
 * @flags: as from spin_lock_irqsave()
 *
 * Every section that may finish jobs, or that sets chan::again, releases the lock
 * with this or pindrop_chan_unlock_irq().
 *
 * Context: the channel's lock held, and no other spinlock.
 */
void pindrop_chan_unlock_irqrestore(struct pindrop_chan *chan,
				    unsigned long flags)
	__releases(&chan->lock)
{
	struct notifications taken;

	notify_take(chan, &taken);
	spin_unlock_irqrestore(&chan->lock, flags);
	notify_send(chan, &taken);
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
	struct notifications taken;

	notify_take(chan, &taken);
	spin_unlock_irq(&chan->lock);
	notify_send(chan, &taken);
}

/**
 * pindrop_chan_breathe() - end a section, and begin the next
 * @chan: the channel
 *
 * Loops that end many jobs call this between batches. One of PINDROP_WAKE_SECTIONS
 * releases notifies, which bounds the wake-ups of a waiter and the fences of a
 * release; so does the caller's last release.
 *
 * Context: process context; the channel's lock held, and no other spinlock;
 * releases it, may sleep, and takes it again.
 */
void pindrop_chan_breathe(struct pindrop_chan *chan)
	__must_hold(&chan->lock)
{
	if (++chan->silent < PINDROP_WAKE_SECTIONS) {
		chan->budget = PINDROP_END_BATCH;
		spin_unlock_irq(&chan->lock);
	} else {
		pindrop_chan_unlock_irq(chan);
	}
	cond_resched();
	spin_lock_irq(&chan->lock);
}
