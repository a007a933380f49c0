// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bus takes a device (reset, AER, suspend) and gives it back. Jobs wait
 * meanwhile, for a minute at most.
 */
#include "pindrop.h"

#include <linux/dma-fence.h>
#include <linux/jiffies.h>

/* The bus has not given it back: its jobs have waited long enough. */
static bool pause_is_late(struct pindrop_dev *dev)
{
	return dev->state == PINDROP_DEV_FROZEN && !READ_ONCE(dev->closed) &&
	       !time_before(jiffies, dev->pause_end);
}

/**
 * pindrop_pause_work() - end the wait of the jobs of a device that is FROZEN
 * @work: pindrop_dev::pause_work
 *
 * Context: dev::wq; takes dev::chain.
 */
void pindrop_pause_work(struct work_struct *work)
{
	struct pindrop_dev *dev = container_of(to_delayed_work(work),
					       struct pindrop_dev, pause_work);
	bool signalling = dma_fence_begin_signalling();

	pindrop_chain_lock_all(dev);
	if (pause_is_late(dev))
		pindrop_chain_wedge_all(dev);
	mutex_unlock(&dev->chain);
	dma_fence_end_signalling(signalling);
}

static void freeze(struct pindrop_dev *dev)
{
	if (dev->state == PINDROP_DEV_RUNNING) {
		pindrop_chain_stop(dev, true);
		pindrop_chain_cut(dev);
	}
	if (dev->state == PINDROP_DEV_CUT) {
		dev->pause_end = jiffies + msecs_to_jiffies(PINDROP_PAUSE_MS);
		mod_delayed_work(dev->wq, &dev->pause_work,
				 msecs_to_jiffies(PINDROP_PAUSE_MS));
	}
	pindrop_dev_freeze(dev);
}

/**
 * pindrop_pause() - quiet a device that the bus is going to reset or suspend
 * @dev: the device, registered
 *
 * What is on the hardware may end, each within the engine's bound; then the
 * device is cut off. Jobs that are queued, or come, wait for pindrop_unpause(),
 * which has to follow; if that takes a minute, they fail. Pauses may overlap.
 * Registers and configuration are the caller's until then. Hardware that hangs
 * does not keep the bus from it: its memory stays where it is.
 *
 * Context: the parent's device lock is held; sleeps, for the engine's bound
 * times its depth, once more, and the time in which the machine stood still at
 * most.
 */
void pindrop_pause(struct pindrop_dev *dev)
{
	pindrop_chain_lock_all(dev);
	if (!READ_ONCE(dev->closed))
		freeze(dev);
	mutex_unlock(&dev->chain);
}
EXPORT_SYMBOL_GPL(pindrop_pause);

/**
 * pindrop_unpause() - go on after pindrop_pause()
 * @dev: the device
 * @idle: it answers, is still cut off as by the cut op, and was read idle
 *
 * Calls uncut, if it ends the last pause: what was read then counts. If the
 * device is not idle all its jobs fail, and what they use is kept.
 *
 * Context: as pindrop_pause().
 */
void pindrop_unpause(struct pindrop_dev *dev, bool idle)
{
	pindrop_chain_lock_all(dev);
	if (READ_ONCE(dev->closed) || dev->state != PINDROP_DEV_FROZEN)
		goto out;
	dev->devmem_lost = true;
	if (!pindrop_dev_thaw(dev))
		goto out;
	cancel_delayed_work(&dev->pause_work);
	if (idle && pindrop_chain_poll(dev, 1, false) &&
	    pindrop_chain_read_idle(dev))
		pindrop_chain_restart(dev);
	else if (idle)
		pindrop_chain_unproved(dev);
	else
		pindrop_chain_wedge_all(dev);
	if (dev->state == PINDROP_DEV_CUT)
		pindrop_chain_want_reset(dev);
	pindrop_tell_running(dev);
out:
	mutex_unlock(&dev->chain);
}
EXPORT_SYMBOL_GPL(pindrop_unpause);
