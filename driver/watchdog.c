// SPDX-License-Identifier: GPL-2.0-only
/*
 * The watchdog's sense of time.
 *
 * A request that is not finished within the engine's bound hangs, but only if
 * the bound has passed for the hardware, too. On a machine that stood still (a
 * guest whose host is busy, a processor in firmware) it has not: then the
 * watchdog's own timer comes late, and so does the sleep of a poll. Each of
 * them gives all requests of the channel their whole time again.
 *
 * That has an end, because fences wait for the watchdog: on a machine that
 * never keeps time a hang is found after PINDROP_STALLS intervals.
 */
#include "pindrop.h"

#include <linux/jiffies.h>

/* The timer of a machine that is merely busy is not as late as this. */
#define STALL_MS 50
/* Intervals that are begun again, one after the other. */
#define PINDROP_STALLS 8

/* The timer wheel rounds a delay up by an eighth of it at most. */
static unsigned long stall_limit(unsigned long delay)
{
	return msecs_to_jiffies(STALL_MS) + delay / 8 + 1;
}

/* The whole time again for what is on the hardware. */
static void chan_restart_locked(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece;

	list_for_each_entry(piece, &chan->issued, node)
		pindrop_piece_progress(piece);
}

static bool watchdog_is_late(const struct pindrop_chan *chan)
{
	unsigned long due = chan->watch_due;

	if (!chan->watch_set)
		return false;
	/* Work of the device's other channels is no sign of a standstill. */
	if (time_after(READ_ONCE(chan->dev->chain_end), due))
		due = READ_ONCE(chan->dev->chain_end);
	return time_after(jiffies, due + stall_limit(chan->watch_delay));
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
 * pindrop_watchdog_arm_locked() - have the chain's work run, unless it is to
 * run sooner
 * @chan: the channel
 * @delay: jiffies
 *
 * Context: channel lock held.
 */
void pindrop_watchdog_arm_locked(struct pindrop_chan *chan, unsigned long delay)
{
	lockdep_assert_held(&chan->lock);
	if (!queue_delayed_work(chan->dev->wq, &chan->chain, delay))
		return;
	/* The work that has begun, and waits for our lock, was late already. */
	chan->watch_late |= watchdog_is_late(chan);
	chan->watch_set = true;
	chan->watch_due = jiffies + delay;
	chan->watch_delay = delay;
}

/**
 * pindrop_watchdog_overslept_locked() - whether the machine stood still
 * @chan: the channel, whose work has begun
 *
 * If so, what is on the hardware has its whole time again: poll the hardware
 * afterwards, and call nothing a hang.
 *
 * Context: channel lock held; once in each run of the work.
 * Return: true if the watchdog's timer was late, and has not been too often.
 */
bool pindrop_watchdog_overslept_locked(struct pindrop_chan *chan)
{
	bool late = chan->watch_late || watchdog_is_late(chan);

	lockdep_assert_held(&chan->lock);
	chan->watch_late = false;
	chan->watch_set = false;
	if (!late || PINDROP_BROKEN(stall)) {
		chan->stalls = 0;
		return false;
	}
	if (chan->stalls >= PINDROP_STALLS)
		return false;
	chan->stalls++;
	chan_restart_locked(chan);
	return true;
}

/**
 * pindrop_stall_begin() - before the first look of a poll
 * @stall: the poll's
 *
 * Context: any.
 */
void pindrop_stall_begin(struct pindrop_stall *stall)
{
	stall->last = jiffies;
	stall->count = 0;
}

/**
 * pindrop_stall_seen() - whether the machine stood still between two looks
 * @stall: the poll's
 * @dev: whose hardware is polled
 *
 * If so, what is on the hardware has its whole time again, and the poll is to
 * have so, too.
 *
 * Context: may sleep; no channel lock held. At most a few milliseconds may
 * have been slept on purpose since the last call.
 * Return: true if it did, and has not too often.
 */
bool pindrop_stall_seen(struct pindrop_stall *stall, struct pindrop_dev *dev)
{
	bool late = time_after(jiffies, stall->last + stall_limit(0));
	unsigned int i;

	stall->last = jiffies;
	if (!late || stall->count >= PINDROP_STALLS || PINDROP_BROKEN(stall))
		return false;
	stall->count++;
	for (i = 0; i < dev->limits.channels; i++) {
		struct pindrop_chan *chan = &dev->chans[i];

		spin_lock_irq(&chan->lock);
		chan_restart_locked(chan);
		spin_unlock_irq(&chan->lock);
	}
	return true;
}
