// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lease of the device's own memory. The first context that names it has it, on
 * one channel only: the channel's order puts the clearing before the first use.
 */
#include "pindrop.h"

/**
 * pindrop_lease_take() - lease the device's memory to a context
 * @chan: the channel that the context uses it on
 * @ctx: the context
 * @clear: set if a clearing job has to come first
 *
 * Context: channel lock held.
 * Return: 0; -EBUSY if another context has it, or this one on another channel;
 * -EIO, once, if a reset took what the context had stored.
 */
int pindrop_lease_take(struct pindrop_chan *chan, struct pindrop_ctx *ctx,
		       bool *clear)
{
	struct pindrop_dev *dev = chan->dev;
	int err = 0;

	lockdep_assert_held(&chan->lock);
	spin_lock(&dev->lease_lock);
	if (!dev->lease) {
		dev->lease = ctx->id;
		dev->lease_chan = chan->id;
		dev->lease_clean = false;
		dev->lease_broken = false;
	} else if (dev->lease != ctx->id || dev->lease_chan != chan->id) {
		err = -EBUSY;
	}
	spin_unlock(&dev->lease_lock);
	if (err)
		return err;
	if (dev->lease_broken) {
		/* Once: the error has told the tenant. */
		dev->lease_broken = false;
		return -EIO;
	}
	/* A clearing job that was cancelled or failed is repeated. */
	*clear = !dev->lease_clean && !dev->lease_clearing;
	dev->lease_clearing |= *clear;
	return 0;
}

/**
 * pindrop_chan_cleared_locked() - record the end of a clearing job
 * @chan: its channel
 * @clean: all of the memory was cleared
 *
 * Context: channel lock held.
 */
void pindrop_chan_cleared_locked(struct pindrop_chan *chan, bool clean)
{
	lockdep_assert_held(&chan->lock);
	chan->dev->lease_clearing = false;
	chan->dev->lease_clean = clean;
}

/**
 * pindrop_chan_lose_devmem_locked() - record that a reset took the device's memory
 * @chan: any channel of the device
 *
 * The tenant's next job, queued ones included, fails with -EIO.
 *
 * Context: channel lock held.
 */
void pindrop_chan_lose_devmem_locked(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;

	lockdep_assert_held(&chan->lock);
	spin_lock(&dev->lease_lock);
	if (dev->lease && dev->lease_chan == chan->id) {
		dev->lease_broken |= dev->lease_clean;
		dev->lease_clean = false;
	}
	spin_unlock(&dev->lease_lock);
}
