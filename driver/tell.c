// SPDX-License-Identifier: GPL-2.0-only
/*
 * What user space and the log are told of a device: that it hangs, that it
 * works again, which jobs failed.
 */
#include "pindrop.h"

#include <linux/kobject.h>

static void send_uevents(struct pindrop_dev *dev, char *state, int count)
{
	char *envp[] = { state, NULL };

	for (; count; count--)
		kobject_uevent_env(&dev->dev.kobj, KOBJ_CHANGE, envp);
}

/**
 * pindrop_tell_work() - send the uevents and write the lines that are due
 * @work: pindrop_dev::tell
 *
 * The chain does not: a uevent allocates memory, and an allocation may wait for
 * fences that the chain is about to signal.
 *
 * Context: pindrop_forget_wq.
 */
void pindrop_tell_work(struct work_struct *work)
{
	struct pindrop_dev *dev = container_of(work, struct pindrop_dev, tell);
	int wedged = atomic_xchg(&dev->news_wedged, 0);
	int running = atomic_xchg(&dev->news_running, 0);

	pindrop_failures_print(dev);
	/* The event for the current state comes last. */
	if (READ_ONCE(dev->told))
		send_uevents(dev, "PINDROP_STATE=running", running);
	send_uevents(dev, "PINDROP_STATE=wedged", wedged);
	if (!READ_ONCE(dev->told))
		send_uevents(dev, "PINDROP_STATE=running", running);
}

/**
 * pindrop_tell_wedged() - a device, or a channel of it, hangs
 * @dev: the device
 *
 * Context: any; dev::chain held.
 */
void pindrop_tell_wedged(struct pindrop_dev *dev)
{
	WRITE_ONCE(dev->told, true);
	atomic_inc(&dev->news_wedged);
	queue_work(pindrop_forget_wq, &dev->tell);
}

/**
 * pindrop_tell_running() - a device may work again: say so, if the last word was
 * that it hangs
 * @dev: the device
 *
 * Context: any; dev::chain held.
 */
void pindrop_tell_running(struct pindrop_dev *dev)
{
	unsigned int i;

	if (!dev->told || READ_ONCE(dev->closed))
		return;
	for (i = 0; i < dev->limits.channels; i++)
		if (READ_ONCE(dev->chans[i].state) == PINDROP_CHAN_WEDGED)
			return;
	WRITE_ONCE(dev->told, false);
	dev_notice(&dev->dev, "was read idle, works again\n");
	atomic_inc(&dev->news_running);
	queue_work(pindrop_forget_wq, &dev->tell);
}
