// SPDX-License-Identifier: GPL-2.0-only
/*
 * The watchdog's sense of time.
 *
 * A request that is not finished within the engine's bound hangs, but only if
 * the bound has passed for the hardware, too. On a machine that stood still (a
 * guest whose host is busy, a processor in firmware) it has not: then the
 * watchdog's timer comes late, and so does the sleep of a poll. The requests on
 * the hardware get this delay back.
 *
 * The timer callback measures the delay, because work is also late on a machine
 * with busy processors. The callback only counts and queues the work, which
 * polls the hardware.
 *
 * Each request gets back a bounded amount, because fences wait for the watchdog:
 * a hang is found on a machine that never keeps time, too.
 */
#include "pindrop.h"

#include <linux/jiffies.h>
#include <linux/timer.h>

/* A timer that is this late means a standstill. */
#define STALL_MS 50
/* Standstills that are given back to one request. */
#define MAX_RESTARTS 8

static unsigned long piece_time(const struct pindrop_piece *piece)
{
	return msecs_to_jiffies(piece->queue->dev->limits.piece_ms);
}

/*
 * Later than this (jiffies), and the machine stood still. The timer wheel
 * rounds a delay up by an eighth of it at most, which is no standstill.
 */
static unsigned long stall_limit(unsigned long delay)
{
	return msecs_to_jiffies(STALL_MS) + delay / 8;
}

/*
 * The machine was @late by so many jiffies while the piece was on the hardware.
 * A death has a deadline of its own that no standstill moves: its pieces get
 * back the time that was lost, and no more.
 */
static void piece_give_back(struct pindrop_piece *piece, unsigned long late,
			    unsigned long limit)
{
	unsigned long whole = piece_time(piece);

	if (late > limit) {
		if (piece->restarts >= MAX_RESTARTS)
			return;
		piece->restarts++;
		piece->deadline += late;
		if (!piece->aborting &&
		    time_before(piece->deadline, jiffies + whole / 2))
			piece->deadline = jiffies + whole / 2;
	} else if (piece->given < whole) {
		piece->given += late;
		piece->deadline += late;
	}
}

static void chan_give_back_locked(struct pindrop_chan *chan, unsigned long late,
				  unsigned long limit)
{
	struct pindrop_piece *piece;

	if (!late || PINDROP_BROKEN(stall))
		return;
	list_for_each_entry(piece, &chan->issued, node)
		piece_give_back(piece, late, limit);
}

static void watchdog_timer(struct timer_list *timer)
{
	struct pindrop_chan *chan = container_of(timer, struct pindrop_chan,
						 watch);
	unsigned long flags;

	spin_lock_irqsave(&chan->lock, flags);
	/* Otherwise the timer was set again meanwhile, and will fire again. */
	if (chan->watch_set && !time_before(jiffies, chan->watch_due)) {
		pindrop_watchdog_look_locked(chan);
		chan->watch_set = false;
		/* Here and not in the work, to see a standstill before that runs. */
		pindrop_watchdog_rearm_locked(chan);
		chan->again = true;
	}
	pindrop_chan_unlock_irqrestore(chan, flags);
}

/**
 * pindrop_watchdog_look_locked() - give back the time by which the timer is late
 * @chan: the channel
 *
 * The chain calls this before it judges requests: after a standstill the work
 * may run before the timer, which belongs to another processor.
 *
 * Context: channel lock held.
 */
void pindrop_watchdog_look_locked(struct pindrop_chan *chan)
{
	unsigned long now = jiffies;

	lockdep_assert_held(&chan->lock);
	if (!chan->watch_set || !time_after(now, chan->watch_due))
		return;
	chan_give_back_locked(chan, now - chan->watch_due,
			      stall_limit(chan->watch_delay));
	/* The timer callback counts nothing twice. */
	chan->watch_due = now;
}

/* A reset that was busy is wanted sooner than another look at the hardware. */
static unsigned long retry_interval(struct pindrop_dev *dev)
{
	unsigned int ms = READ_ONCE(dev->reset_pending_ms);
	unsigned long due = READ_ONCE(dev->reset_due), now = jiffies;

	if (ms && time_before(now, due))
		return due - now + 1;
	return msecs_to_jiffies(ms ?: PINDROP_RETRY_MS);
}

/**
 * pindrop_watchdog_rearm_locked() - arm the timer while requests are issued
 * @chan: the channel
 *
 * Context: channel lock held.
 */
void pindrop_watchdog_rearm_locked(struct pindrop_chan *chan)
{
	lockdep_assert_held(&chan->lock);
	if (chan->state == PINDROP_CHAN_WEDGED)
		pindrop_watchdog_arm_locked(chan, retry_interval(chan->dev));
	else if (!list_empty(&chan->issued))
		pindrop_watchdog_arm_locked(chan,
					    pindrop_watchdog_interval(chan->dev));
}

/**
 * pindrop_watchdog_init() - make a channel's watchdog ready
 * @chan: the channel
 *
 * Context: any.
 */
void pindrop_watchdog_init(struct pindrop_chan *chan)
{
	timer_setup(&chan->watch, watchdog_timer, 0);
}

/**
 * pindrop_watchdog_fini() - end it
 * @chan: the channel, GONE; an RCU grace period has passed since
 *
 * Context: may sleep. When it returns, neither timer nor work run any more.
 */
void pindrop_watchdog_fini(struct pindrop_chan *chan)
{
	/* Armed under the lock, and not once the channel is GONE. */
	timer_delete_sync(&chan->watch);
	cancel_work_sync(&chan->chain);
}

/**
 * pindrop_watchdog_interval() - how often the watchdog looks at the hardware
 * @dev: the device
 *
 * Twice in a request's time: a lost interrupt then costs half of it.
 *
 * Context: any.
 * Return: jiffies.
 */
unsigned long pindrop_watchdog_interval(struct pindrop_dev *dev)
{
	return msecs_to_jiffies(dev->limits.piece_ms / 2) + 1;
}

/**
 * pindrop_watchdog_arm_locked() - queue the chain's work after a delay, unless it
 * runs sooner anyway
 * @chan: the channel
 * @delay: jiffies
 *
 * Context: channel lock held.
 */
void pindrop_watchdog_arm_locked(struct pindrop_chan *chan, unsigned long delay)
{
	unsigned long due = jiffies + delay;

	lockdep_assert_held(&chan->lock);
	if (chan->state == PINDROP_CHAN_GONE ||
	    (chan->watch_set && !time_before(due, chan->watch_due)))
		return;
	chan->watch_set = true;
	chan->watch_due = due;
	chan->watch_delay = delay;
	mod_timer(&chan->watch, due);
}

/**
 * pindrop_stall_begin() - before the first look of a poll
 * @stall: state of the poll
 * @dev: the device that is polled
 *
 * Context: may sleep; no channel lock held.
 */
void pindrop_stall_begin(struct pindrop_stall *stall, struct pindrop_dev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->limits.channels; i++) {
		spin_lock_irq(&dev->chans[i].lock);
		pindrop_watchdog_look_locked(&dev->chans[i]);
		spin_unlock_irq(&dev->chans[i].lock);
	}
	stall->last = jiffies;
	stall->count = 0;
}

/**
 * pindrop_stall_seen() - how long the machine stood still between two looks
 * @stall: state of the poll
 * @dev: the device that is polled
 *
 * The requests on the hardware get that time back. The poll has to last longer
 * by the same time, in which the machine did not run.
 *
 * Context: may sleep; no channel lock held. At most a few milliseconds may
 * have been slept on purpose since the last call.
 * Return: jiffies; 0 if it did not, or too often to count.
 */
unsigned long pindrop_stall_seen(struct pindrop_stall *stall,
				 struct pindrop_dev *dev)
{
	unsigned long late = jiffies - stall->last;
	unsigned int i;

	stall->last += late;
	if (late <= stall_limit(0) || stall->count >= MAX_RESTARTS ||
	    PINDROP_BROKEN(stall))
		return 0;
	stall->count++;
	for (i = 0; i < dev->limits.channels; i++) {
		struct pindrop_chan *chan = &dev->chans[i];

		spin_lock_irq(&chan->lock);
		chan_give_back_locked(chan, late, stall_limit(0));
		spin_unlock_irq(&chan->lock);
	}
	return late;
}
