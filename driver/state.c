// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of a device and of each of its queues.
 *
 *   device                                queue
 *   RUNNING   takes requests              RUNNING   takes requests
 *   RESETTING on its way to a cut         STOPPING  K4 is under way
 *   CUT       reaches no memory           WEDGED    hangs, refuses jobs
 *   FROZEN    the bus has it              GONE      not looked at any more
 *   GONE      not looked at any more
 *
 * A request is issued only on a RUNNING queue of a RUNNING device. A state is
 * read under the lock of a queue. A device's is written with dev::chain held, and
 * the transition then takes and drops the locks of all queues: a reader of the old
 * state is done when it returns.
 *
 * Only pindrop_dev_try_state() and pindrop_chan_try_state_locked() write a state.
 * They refuse a transition that states.h does not have, set the queue's watchdog,
 * and emit the tracepoint.
 */
#include "states.h"

#include "trace.h"

/**
 * pindrop_dev_try_state() - take a device to another state, if it may go there
 * @dev: the device
 * @to: the state
 *
 * Context: process context; dev::chain held, no queue's lock.
 * Return: false if there is no such transition; then nothing is done.
 */
bool pindrop_dev_try_state(struct pindrop_dev *dev, enum pindrop_dev_state to)
{
	unsigned int i;

	lockdep_assert_held(&dev->chain);
	if (!pindrop_dev_may_become(dev->state, to))
		return false;
	trace_pindrop_dev_state(dev, dev->state, to);
	/* Pairs with the reads under the queues' locks. */
	WRITE_ONCE(dev->state, to);
	for (i = 0; i < dev->limits.channels; i++) {
		spin_lock_irq(&dev->chans[i].lock);
		spin_unlock_irq(&dev->chans[i].lock);
	}
	return true;
}
EXPORT_SYMBOL_FOR_KUNIT(pindrop_dev_try_state);

/**
 * pindrop_dev_set_state() - take a device to another state
 * @dev: the device; may go there
 * @to: the state
 *
 * Context: as pindrop_dev_try_state().
 */
void pindrop_dev_set_state(struct pindrop_dev *dev, enum pindrop_dev_state to)
{
	WARN_ON_ONCE(!pindrop_dev_try_state(dev, to));
}

/**
 * pindrop_dev_freeze() - the bus takes a device that is CUT or FROZEN
 * @dev: the device
 *
 * Context: as pindrop_dev_try_state().
 */
void pindrop_dev_freeze(struct pindrop_dev *dev)
{
	lockdep_assert_held(&dev->chain);
	if (!dev->frozen++)
		pindrop_dev_set_state(dev, PINDROP_DEV_FROZEN);
}
EXPORT_SYMBOL_FOR_KUNIT(pindrop_dev_freeze);

/**
 * pindrop_dev_thaw() - the bus gives a FROZEN device back
 * @dev: the device
 *
 * Context: as pindrop_dev_try_state().
 * Return: false if something else still has it; otherwise the device is CUT.
 */
bool pindrop_dev_thaw(struct pindrop_dev *dev)
{
	lockdep_assert_held(&dev->chain);
	if (--dev->frozen)
		return false;
	pindrop_dev_set_state(dev, PINDROP_DEV_CUT);
	return true;
}
EXPORT_SYMBOL_FOR_KUNIT(pindrop_dev_thaw);

/**
 * pindrop_chan_try_state_locked() - take a queue to another state, if it may go
 * there
 * @chan: the queue
 * @to: the state
 *
 * A queue that is RUNNING or WEDGED from here on has its watchdog set to the
 * short interval: a lost interrupt costs no more than that, and proof that a
 * queue hangs no longer may be on its way.
 *
 * Context: the queue's lock held.
 * Return: false if there is no such transition; then nothing is done.
 */
bool pindrop_chan_try_state_locked(struct pindrop_chan *chan,
				   enum pindrop_chan_state to)
{
	struct pindrop_dev *dev = chan->dev;

	lockdep_assert_held(&chan->lock);
	if (!pindrop_chan_may_become(chan->state, to))
		return false;
	trace_pindrop_chan_state(chan, chan->state, to);
	WRITE_ONCE(chan->state, to);
	if ((to == PINDROP_CHAN_RUNNING || to == PINDROP_CHAN_WEDGED) &&
	    !READ_ONCE(dev->closed))
		pindrop_watchdog_arm_locked(chan,
					    pindrop_watchdog_interval(dev));
	return true;
}
EXPORT_SYMBOL_FOR_KUNIT(pindrop_chan_try_state_locked);

/**
 * pindrop_chan_set_state_locked() - take a queue to another state
 * @chan: the queue; may go there
 * @to: the state
 *
 * Context: the queue's lock held.
 */
void pindrop_chan_set_state_locked(struct pindrop_chan *chan,
				   enum pindrop_chan_state to)
{
	WARN_ON_ONCE(!pindrop_chan_try_state_locked(chan, to));
}
