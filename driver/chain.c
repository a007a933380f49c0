// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kill chain from K2 on.
 *
 * One chain for death, close, removal, reset, errors of the bus and suspend,
 * and for a piece that is late with nobody dying; it stops at the first proof:
 *   K0 the context leaves OPEN           pindrop_ctx_stop()
 *   K1 what is queued is cancelled       pindrop_chan_cancel()
 *   K2 abort; wait for what is issued, by the engine's own bound
 *   K3 read idle
 *   K4 stop the channel, if the engine can
 *   K5 reset the device, if the engine can, then read idle
 *   K6 cut the device off, then read idle behind the cut
 *   K8 keep everything, refuse new jobs, say so, read idle again every minute
 *
 * Only proof retires a job: a piece reported by the engine, which has then
 * read the hardware idle. What others had on a device that was reset, stopped
 * or cut off is issued again, once.
 *
 * K2 to K4 run per channel: dev::chain is dropped while a channel is made to
 * stop, so that one slow stop delays no other channel's death. From K5 on the
 * chain is the device's, and waits until no stop is under way; the lock is
 * dropped during K5, too. The hooks of dying processes do not take it: they start
 * the chain, and the farewell waits, bounded, for what comes of it.
 */
#include "pindrop.h"

#include <linux/delay.h>
#include <linux/dma-fence.h>
#include <linux/jiffies.h>
#include <linux/sched/mm.h>

#include "trace.h"

/* Tries to get the device's lock for a reset, and the pause between them. */
#define RESET_TRIES 20
#define RESET_TRY_MS 5

#define for_each_chan(chan, dev)     \
	for ((chan) = (dev)->chans; \
	     (chan) < (dev)->chans + (dev)->limits.channels; (chan)++)

static bool chain_is_busy(struct pindrop_dev *dev, bool all)
{
	return READ_ONCE(dev->isolating) || (all && READ_ONCE(dev->stopping));
}

/*
 * The lock is dropped while the bus resets the device: for that it takes locks
 * that it may hold when it calls us. The device is left alone meanwhile.
 */
static void chain_lock(struct pindrop_dev *dev, bool all)
{
	mutex_lock(&dev->chain);
	while (chain_is_busy(dev, all)) {
		mutex_unlock(&dev->chain);
		wait_event_timeout(dev->quiet, !chain_is_busy(dev, all),
				   msecs_to_jiffies(PINDROP_DEADLINE_MS));
		mutex_lock(&dev->chain);
	}
}

/**
 * pindrop_chain_lock_all() - take dev::chain with no channel in K4
 * @dev: the device
 *
 * Context: sleeps, as long as a stop or a reset takes; dev::chain is held
 * afterwards, and released by mutex_unlock().
 */
void pindrop_chain_lock_all(struct pindrop_dev *dev)
{
	chain_lock(dev, true);
}

static bool chain_is_mine(struct pindrop_piece *piece)
{
	return READ_ONCE(piece->job->ctx->state) != PINDROP_STATE_OPEN ||
	       READ_ONCE(piece->queue->dev->closed);
}

/* K2: start nothing more for those who are dying. */
static void chain_abort_locked(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece;

	if (PINDROP_BROKEN(K2))
		return;
	list_for_each_entry(piece, &chan->issued, node)
		if (chain_is_mine(piece))
			pindrop_chan_abort_locked(chan, piece);
}

static unsigned int chain_count_locked(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece;
	unsigned int n = 0;

	list_for_each_entry(piece, &chan->issued, node)
		n++;
	return n;
}

/* How long the oldest piece may still take (jiffies); 0: it is late. */
static unsigned long chain_left_locked(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece =
		list_first_entry(&chan->issued, struct pindrop_piece, node);
	unsigned long now = jiffies;

	return time_before(now, piece->deadline) ? piece->deadline - now : 0;
}

/*
 * Looks at the hardware, interrupt or not; K3 if something is late or over.
 * False if the channel hangs.
 */
static bool chain_idle_locked(struct pindrop_chan *chan)
{
	unsigned int before = chain_count_locked(chan);
	bool late = !chain_left_locked(chan);
	int idle = 0;
	bool hangs;

	if (!PINDROP_BROKEN(K3))
		idle = pindrop_chan_service_locked(chan);
	/* A piece that became late during the look above gets another look. */
	hangs = late && !list_empty(&chan->issued) && !chain_left_locked(chan);
	if (late || idle > 0)
		trace_pindrop_kill_step(chan, 0, 3,
					hangs ? PINDROP_STEP_NONE :
						PINDROP_STEP_PROOF, before);
	return !hangs;
}

static bool chain_quiet(struct pindrop_chan *chan)
{
	unsigned long flags;
	bool quiet;

	spin_lock_irqsave(&chan->lock, flags);
	quiet = list_empty(&chan->issued);
	spin_unlock_irqrestore(&chan->lock, flags);
	return quiet;
}

static bool chain_all_quiet(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;
	bool quiet = true;

	for_each_chan(chan, dev)
		quiet &= chain_quiet(chan);
	return quiet;
}

static void chain_trace(struct pindrop_dev *dev, int step, int result)
{
	struct pindrop_chan *chan;

	for_each_chan(chan, dev)
		trace_pindrop_kill_step(chan, 0, step,
					result != PINDROP_STEP_START &&
					!chain_quiet(chan) ? PINDROP_STEP_NONE :
							     result, 0);
}

/**
 * pindrop_chain_read_idle() - read all channels, with pieces issued or without
 * @dev: the device
 *
 * Context: process context; dev::chain held.
 * Return: true if the engine reads each of them idle.
 */
bool pindrop_chain_read_idle(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;
	bool idle = true;

	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		idle &= pindrop_chan_service_locked(chan) > 0;
		pindrop_chan_unlock_irq(chan);
	}
	return idle;
}

/* Whether waiting makes sense: not if the oldest piece is late already. */
static bool chain_within_timeout(struct pindrop_chan *chan)
{
	bool in_time = false;

	spin_lock_irq(&chan->lock);
	if (!list_empty(&chan->issued)) {
		in_time = chain_left_locked(chan);
		pindrop_chan_service_locked(chan);
	}
	if (list_empty(&chan->issued))
		in_time = false;
	else
		in_time |= !!chain_left_locked(chan);
	pindrop_chan_unlock_irq(chan);
	return in_time;
}

/**
 * pindrop_chain_poll() - read idle until all channels are
 * @dev: the device
 * @bounds: times that the engine's bound may pass. The channels work side by
 *	side, so it is the same for all
 * @only_in_time: give up as soon as no channel is within its time
 *
 * Context: sleeps, bounded; dev::chain held.
 * Return: true if no piece is issued on any channel.
 */
bool pindrop_chain_poll(struct pindrop_dev *dev, unsigned int bounds,
			bool only_in_time)
{
	unsigned long end = jiffies +
			    bounds * msecs_to_jiffies(dev->limits.piece_ms);
	struct pindrop_stall stall;
	struct pindrop_chan *chan;
	bool in_time;

	pindrop_stall_begin(&stall, dev);
	for (;;) {
		end += pindrop_stall_seen(&stall, dev);
		in_time = false;
		for_each_chan(chan, dev)
			in_time |= chain_within_timeout(chan);
		if (chain_all_quiet(dev))
			return true;
		if (time_after(jiffies, end) || (only_in_time && !in_time))
			return false;
		usleep_range(1000, 2000);
	}
}

/* The oldest piece is guilty if it is late: the others come after it. */
static void chain_mark_guilty(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece;

	spin_lock_irq(&chan->lock);
	piece = list_first_entry_or_null(&chan->issued, struct pindrop_piece,
					 node);
	if (piece && !chain_left_locked(chan))
		piece->culprit = true;
	pindrop_chan_unlock_irq(chan);
}

/* K4. The engine may be asked for several channels at a time. */
static void chain_terminate(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	unsigned int reclaim;

	chain_mark_guilty(chan);
	if (!dev->ops->terminate || PINDROP_BROKEN(K4))
		return;
	trace_pindrop_kill_step(chan, 0, 4, PINDROP_STEP_START, 0);
	reclaim = memalloc_noreclaim_save();
	dev->ops->terminate(dev->engine, chan->id);
	memalloc_noreclaim_restore(reclaim);
	chain_within_timeout(chan);
	trace_pindrop_kill_step(chan, 0, 4,
				chain_quiet(chan) ? PINDROP_STEP_PROOF :
						    PINDROP_STEP_NONE, 0);
}

/* A channel takes pieces again, unless it hangs or is made to stop. */
static void chain_kick_locked(struct pindrop_chan *chan)
{
	if (chan->state != PINDROP_CHAN_RUNNING)
		return;
	pindrop_chan_pump_locked(chan);
	pindrop_watchdog_arm_locked(chan, pindrop_watchdog_interval(chan->dev));
}

/* The device is as it was. Interrupts and proof may have come meanwhile, unseen. */
static void chain_resume(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		pindrop_chan_service_locked(chan);
		if (chan->state == PINDROP_CHAN_WEDGED &&
		    list_empty(&chan->issued))
			pindrop_chan_set_state_locked(chan,
						      PINDROP_CHAN_RUNNING);
		chain_kick_locked(chan);
		pindrop_chan_unlock_irq(chan);
	}
}

/* Before the first request is issued: a reset took what the device had stored. */
static void chain_lose_devmem(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		if (dev->devmem_lost)
			pindrop_chan_lose_devmem_locked(chan);
		pindrop_chan_unlock_irq(chan);
	}
	dev->devmem_lost = false;
}

/**
 * pindrop_chain_restart() - a device that is CUT was read idle: it is as new
 * @dev: the device; nothing is issued on any channel
 *
 * Context: may sleep; dev::chain held, no channel in K4.
 */
void pindrop_chain_restart(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	if (READ_ONCE(dev->closed))
		return;
	if (dev->ops->uncut)
		dev->ops->uncut(dev->engine);
	chain_lose_devmem(dev);
	WRITE_ONCE(dev->reset_pending_ms, 0);
	pindrop_dev_set_state(dev, PINDROP_DEV_RUNNING);
	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		if (chan->state != PINDROP_CHAN_RUNNING)
			pindrop_chan_set_state_locked(chan,
						      PINDROP_CHAN_RUNNING);
		chain_kick_locked(chan);
		pindrop_chan_unlock_irq(chan);
	}
}

/*
 * Whether the device may be cut off without a reset: no other channel is usable,
 * so that a cut harms no other owner; or a hung job has a reservation fence, which
 * the chain must signal, and behind the cut only.
 */
static bool chain_may_cut(struct pindrop_dev *dev, struct pindrop_chan *hung)
{
	struct pindrop_chan *chan;
	bool shares = false, usable = false;

	if (READ_ONCE(dev->closed))
		return true;
	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		if (chan == hung)
			shares = pindrop_chan_shares_locked(chan);
		else
			usable |= chan->state == PINDROP_CHAN_RUNNING ||
				  (chan->state == PINDROP_CHAN_STOPPING &&
				   list_empty(&chan->issued));
		pindrop_chan_unlock_irq(chan);
	}
	return shares || !usable;
}

/*
 * K5: 0 or an error if the device is cut off now, else what reset said. A bus
 * has locks under which others take memory, so what signals fences does not
 * promise as much here as elsewhere: those that wait for a reset wait for these,
 * too. Its own allocations do not reclaim.
 */
static int chain_try_reset(struct pindrop_dev *dev, struct pindrop_chan *hung,
			   bool locked, bool ordered)
{
	/* The device is stopped meanwhile: a repeated attempt is to be short. */
	bool repeated = hung && hung->state == PINDROP_CHAN_WEDGED;
	unsigned int tries = repeated ? 1 : RESET_TRIES;
	/* Only the chain's own work has a hung channel, and signals fences. */
	bool signalling = hung;
	int err = -EOPNOTSUPP;
	unsigned int reclaim;

	if (!dev->ops->reset || PINDROP_BROKEN(K5) ||
	    (dev->limits.reset_by_order && !ordered))
		return err;
	chain_trace(dev, 5, PINDROP_STEP_START);
	dev->isolating = true;
	mutex_unlock(&dev->chain);
	if (signalling)
		dma_fence_end_signalling(false);
	reclaim = memalloc_noreclaim_save();
	while ((err = dev->ops->reset(dev->engine, locked)) == -EAGAIN) {
		if (!--tries || READ_ONCE(dev->closed))
			break;
		msleep(RESET_TRY_MS);
	}
	memalloc_noreclaim_restore(reclaim);
	if (signalling)
		dma_fence_begin_signalling();
	mutex_lock(&dev->chain);
	WRITE_ONCE(dev->isolating, false);
	wake_up_all(&dev->quiet);
	return err;
}

/* Not sooner, however often the chain is kicked: a try stops the whole device. */
static void chain_set_pending(struct pindrop_dev *dev, unsigned int ms)
{
	WRITE_ONCE(dev->reset_due, jiffies + msecs_to_jiffies(ms));
	WRITE_ONCE(dev->reset_pending_ms, ms);
}

/**
 * pindrop_chain_want_reset() - have the chain reset a device that it did not find
 * hanging itself
 * @dev: the device, wedged
 *
 * Context: dev::chain held.
 */
void pindrop_chain_want_reset(struct pindrop_dev *dev)
{
	if (dev->ops->reset && !dev->limits.reset_by_order)
		chain_set_pending(dev, PINDROP_RESET_RETRY_MS);
}

/* A reset that was busy is tried again, after longer and longer pauses. */
static void chain_retry_reset(struct pindrop_dev *dev,
			      struct pindrop_chan *hung, int err)
{
	if (err != -EAGAIN)
		chain_set_pending(dev, 0);
	else if (hung && hung->state == PINDROP_CHAN_WEDGED)
		chain_set_pending(dev, min(2 * dev->reset_pending_ms,
					   PINDROP_RETRY_MS));
	else if (hung && !dev->reset_pending_ms)
		chain_set_pending(dev, PINDROP_RESET_RETRY_MS);
}

static bool chain_reset_is_due(struct pindrop_dev *dev)
{
	return dev->reset_pending_ms &&
	       time_after_eq(jiffies, dev->reset_due);
}

/* Nothing was done to the device, or nothing that keeps it from memory. */
static int chain_isolate_undo(struct pindrop_dev *dev,
			      enum pindrop_dev_state before, int err)
{
	/* Without a cut some channels may be proved idle all the same. */
	if (!dev->ops->cut)
		pindrop_chain_poll(dev, 1, true);
	pindrop_dev_set_state(dev, before);
	if (before == PINDROP_DEV_RUNNING) {
		chain_resume(dev);
	} else if (pindrop_chain_read_idle(dev) && chain_all_quiet(dev)) {
		pindrop_chain_restart(dev); /* unseen meanwhile */
		return 0;
	}
	return err;
}

/* Whether what hung has come to its end while the chain waited for others. */
static bool chain_hung_is_over(struct pindrop_chan *hung)
{
	if (!hung)
		return false;
	chain_within_timeout(hung);
	return chain_quiet(hung);
}

/*
 * K5 and K6. @hung is the channel that made it necessary, or NULL; @ordered, if
 * that was an administrator. Returns 0 for proof, and the device is RUNNING unless
 * it is closed; otherwise an error, and the device is CUT, or as it was before.
 */
static int chain_isolate(struct pindrop_dev *dev, struct pindrop_chan *hung,
			 bool locked, bool ordered)
{
	enum pindrop_dev_state before = dev->state;
	int step = 5, err;
	bool nothing;

	if (before == PINDROP_DEV_RESETTING)
		before = PINDROP_DEV_RUNNING; /* pindrop_chain_stop() began it */
	else
		pindrop_dev_set_state(dev, PINDROP_DEV_RESETTING);
	/* A piece that ends now need not be done again. Behind a cut it must. */
	if (before == PINDROP_DEV_RUNNING) {
		pindrop_chain_poll(dev, 1, true);
		if (chain_hung_is_over(hung))
			return chain_isolate_undo(dev, before, -EALREADY);
	}
	err = chain_try_reset(dev, hung, locked, ordered);
	chain_retry_reset(dev, hung, err);
	nothing = err == -EAGAIN || err == -EOPNOTSUPP;
	if (nothing && before == PINDROP_DEV_RUNNING &&
	    chain_hung_is_over(hung))
		return chain_isolate_undo(dev, before, err);
	if (!nothing && (!err || dev->ops->cut))
		dev->devmem_lost = true;
	if (nothing && before == PINDROP_DEV_RUNNING && dev->ops->cut &&
	    !PINDROP_BROKEN(K6) && chain_may_cut(dev, hung)) {
		step = 6;
		dev->ops->cut(dev->engine);
		err = -EIO;
		nothing = false;
	}
	if (nothing || (err && !dev->ops->cut))
		return chain_isolate_undo(dev, before, err);
	pindrop_dev_set_state(dev, PINDROP_DEV_CUT);
	if (pindrop_chain_poll(dev, 1, false) && pindrop_chain_read_idle(dev)) {
		chain_trace(dev, step, PINDROP_STEP_PROOF);
		pindrop_chain_restart(dev);
		return 0;
	}
	chain_trace(dev, step, PINDROP_STEP_PROOF);
	return -EIO;
}

/**
 * pindrop_chain_cut() - cut a device off, and read what is over behind the cut
 * @dev: the device, RESETTING
 *
 * Context: sleeps, bounded; dev::chain held, no channel in K4.
 */
void pindrop_chain_cut(struct pindrop_dev *dev)
{
	if (dev->ops->cut)
		dev->ops->cut(dev->engine);
	pindrop_dev_set_state(dev, PINDROP_DEV_CUT);
	if (!chain_all_quiet(dev))
		pindrop_chain_poll(dev, 1, false);
	chain_trace(dev, 6, PINDROP_STEP_PROOF);
}

/*
 * K8 for a channel: fail everybody once, keep what may still be touched. False
 * if it has become quiet after all, which counts unless all is cut off.
 */
static bool chain_wedge(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	bool wedged;

	spin_lock_irq(&chan->lock);
	wedged = dev->state != PINDROP_DEV_RUNNING ||
		 !list_empty(&chan->issued);
	if (!wedged) {
		if (chan->state != PINDROP_CHAN_RUNNING)
			pindrop_chan_set_state_locked(chan,
						      PINDROP_CHAN_RUNNING);
		chain_kick_locked(chan);
	} else {
		if (chan->state != PINDROP_CHAN_WEDGED) {
			trace_pindrop_kill_step(chan, 0, 8, PINDROP_STEP_START,
						chain_count_locked(chan));
			pindrop_chan_set_state_locked(chan,
						      PINDROP_CHAN_WEDGED);
		} else if (!READ_ONCE(dev->closed)) {
			/* Proof may be on its way. */
			pindrop_watchdog_arm_locked(chan,
						    pindrop_watchdog_interval(dev));
		}
		pindrop_chan_fail_locked(chan);
		if (!dev->ops->cut || dev->state != PINDROP_DEV_RUNNING ||
		    PINDROP_BROKEN(K6))
			pindrop_chan_signal_lost_locked(chan);
	}
	pindrop_chan_unlock_irq(chan);
	if (wedged) {
		pindrop_chan_fail_queued(chan);
		/* Proof may have come meanwhile. */
		wedged = READ_ONCE(chan->state) == PINDROP_CHAN_WEDGED;
	}
	return wedged;
}

/**
 * pindrop_chain_wedge_all() - K8 for a device that is CUT or FROZEN
 * @dev: the device; nothing has proved it idle
 *
 * All its channels are out of order until it is read idle.
 *
 * Context: process context; dev::chain held, no channel in K4.
 */
void pindrop_chain_wedge_all(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;
	bool before = true;

	for_each_chan(chan, dev) {
		before &= chan->state == PINDROP_CHAN_WEDGED;
		chain_wedge(chan);
	}
	if (before && !READ_ONCE(dev->closed))
		return;
	dev_crit(&dev->dev,
		 "hangs%s: memory in use is kept until it is read idle\n",
		 dev->ops->cut ? ", cut off" : "");
	pindrop_tell_wedged(dev);
}

/* K8 for a channel, told unless it is known already. */
static void chain_give_up(struct pindrop_chan *chan, bool known)
{
	struct pindrop_dev *dev = chan->dev;

	if (!chain_wedge(chan) || known)
		return;
	dev_crit(&dev->dev,
		 "channel %u hangs: its memory is kept until it is read idle\n",
		 chan->id);
	pindrop_tell_wedged(dev);
}

/**
 * pindrop_chain_unproved() - K8 for a device that answers, but is not proved idle
 * @dev: the device, CUT or RUNNING
 *
 * A device that cannot be cut off has no more than the channels out of order on
 * which something is issued.
 *
 * Context: process context; dev::chain held, no channel in K4.
 */
void pindrop_chain_unproved(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	if (dev->state == PINDROP_DEV_CUT && dev->ops->cut) {
		pindrop_chain_wedge_all(dev);
		return;
	}
	chain_lose_devmem(dev);
	if (dev->state != PINDROP_DEV_RUNNING)
		pindrop_dev_set_state(dev, PINDROP_DEV_RUNNING);
	for_each_chan(chan, dev)
		chain_give_up(chan, chan->state == PINDROP_CHAN_WEDGED);
}

/*
 * K4 with dev::chain dropped. Returns true if the channel hangs all the same, and
 * is still this chain's: then no other channel is in K4.
 */
static bool chain_stop_chan(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	bool quiet;

	spin_lock_irq(&chan->lock);
	/* An interrupt may have proved it over by now. */
	quiet = list_empty(&chan->issued) ||
		chan->state != PINDROP_CHAN_RUNNING;
	if (!quiet)
		pindrop_chan_set_state_locked(chan, PINDROP_CHAN_STOPPING);
	pindrop_chan_unlock_irq(chan);
	if (quiet)
		return false;
	WRITE_ONCE(dev->stopping, dev->stopping + 1);
	mutex_unlock(&dev->chain);
	chain_terminate(chan);
	chain_lock(dev, false);
	WRITE_ONCE(dev->stopping, dev->stopping - 1);
	wake_up_all(&dev->quiet);
	quiet = chain_quiet(chan);
	if (!quiet) {
		mutex_unlock(&dev->chain);
		chain_lock(dev, true);
		quiet = chain_quiet(chan);
	}
	/* Another channel's reset, a pause or removal may have been faster. */
	if (chan->state != PINDROP_CHAN_STOPPING ||
	    dev->state != PINDROP_DEV_RUNNING || READ_ONCE(dev->closed))
		return false;
	if (quiet) {
		chain_wedge(chan);
		return false;
	}
	return true;
}

/* A reset is due that was busy before; it waits until no channel is in K4. */
static bool chain_still_wedged(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	bool wedged;

	mutex_unlock(&dev->chain);
	chain_lock(dev, true);
	spin_lock_irq(&chan->lock);
	wedged = chan->state == PINDROP_CHAN_WEDGED &&
		 (!list_empty(&chan->issued) ||
		  dev->state == PINDROP_DEV_CUT) &&
		 chain_reset_is_due(dev) &&
		 (dev->state == PINDROP_DEV_RUNNING ||
		  dev->state == PINDROP_DEV_CUT) &&
		 !READ_ONCE(dev->closed);
	pindrop_chan_unlock_irq(chan);
	return wedged;
}

/* K4 to K8 for a channel that hangs with the device there. */
static void chain_escalate(struct pindrop_chan *chan, bool known)
{
	struct pindrop_dev *dev = chan->dev;
	enum pindrop_dev_state before;

	if (PINDROP_BROKEN(I2))
		pindrop_chan_prove(chan, -EIO);
	if (!(known ? chain_still_wedged(chan) : chain_stop_chan(chan)))
		return;
	before = dev->state;
	if (!chain_isolate(dev, chan, false, false))
		return;
	/* Nothing new: the watchdog tries again. */
	if (known && dev->state == before)
		return;
	if (dev->state == PINDROP_DEV_CUT)
		pindrop_chain_unproved(dev);
	else
		chain_give_up(chan, known);
}

static bool chain_is_wedged(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	for_each_chan(chan, dev)
		if (READ_ONCE(chan->state) == PINDROP_CHAN_WEDGED)
			return true;
	return false;
}

static void chain_run(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	bool hangs, known;

	spin_lock_irq(&chan->lock);
	pindrop_watchdog_look_locked(chan);
	chain_abort_locked(chan);
	pindrop_chan_pump(chan);
	/* Another section, so that neither is long; what is issued is judged in it. */
	pindrop_chan_breathe(chan);
	pindrop_watchdog_look_locked(chan);
	hangs = !list_empty(&chan->issued) && !chain_idle_locked(chan);
	known = chan->state == PINDROP_CHAN_WEDGED;
	pindrop_watchdog_rearm_locked(chan);
	pindrop_chan_unlock_irq(chan);

	if (dev->state == PINDROP_DEV_CUT && chain_all_quiet(dev) &&
	    pindrop_chain_read_idle(dev))
		pindrop_chain_restart(dev); /* late, but proof */
	else if (known && chain_reset_is_due(dev) &&
		 (hangs || dev->state == PINDROP_DEV_CUT))
		chain_escalate(chan, true);
	else if (hangs && !known)
		chain_escalate(chan, false);
	if (dev->state == PINDROP_DEV_RUNNING && !chain_is_wedged(dev))
		chain_set_pending(dev, 0);
	pindrop_tell_running(dev);
}

/**
 * pindrop_chain_work() - watchdog and K2 to K8 for a channel
 * @work: pindrop_chan::chain
 *
 * Runs twice in a piece's time while there is one, and at once when a context
 * was killed.
 *
 * Context: dev::wq; allocates nothing: fences of jobs that hang wait for this.
 * Takes dev::chain, which removal waits for, so that the engine is there although
 * the gate is not held.
 */
void pindrop_chain_work(struct work_struct *work)
{
	struct pindrop_chan *chan = container_of(work, struct pindrop_chan,
						 chain);
	struct pindrop_dev *dev = chan->dev;
	bool signalling = dma_fence_begin_signalling();

	chain_lock(dev, false);
	if (!READ_ONCE(dev->closed) && dev->state != PINDROP_DEV_FROZEN)
		chain_run(chan);
	mutex_unlock(&dev->chain);
	dma_fence_end_signalling(signalling);
}

/**
 * pindrop_chain_kick() - run the chain now
 * @chan: the channel
 *
 * Context: any; does nothing when the device is gone.
 */
void pindrop_chain_kick(struct pindrop_chan *chan)
{
	int idx;

	if (!pindrop_enter(chan->dev, &idx))
		return;
	queue_work(chan->dev->wq, &chan->chain);
	pindrop_exit(chan->dev, idx);
}

/**
 * pindrop_chain_stop() - K2 to K4 for all channels
 * @dev: the device
 * @patient: pieces may end one after the other; otherwise within one bound
 *
 * Nothing new begins: a device that was RUNNING is RESETTING afterwards.
 *
 * Context: sleeps, bounded; dev::chain held, no channel in K4.
 * Return: true if nothing is issued on any channel.
 */
bool pindrop_chain_stop(struct pindrop_dev *dev, bool patient)
{
	struct pindrop_chan *chan;

	if (dev->state == PINDROP_DEV_RUNNING)
		pindrop_dev_set_state(dev, PINDROP_DEV_RESETTING);
	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		chain_abort_locked(chan);
		pindrop_chan_unlock_irq(chan);
	}
	if (pindrop_chain_poll(dev, patient ? dev->limits.depth : 1, patient))
		return true;
	for_each_chan(chan, dev)
		if (!chain_quiet(chan))
			chain_terminate(chan);
	return chain_all_quiet(dev);
}

/**
 * pindrop_chain_remove() - the chain, inline, for a device that goes
 * @dev: the device; closed, all contexts are stopped
 *
 * When it returns, no channel is looked at any more, and every fence of its jobs
 * is signalled.
 *
 * Context: sleeps, for twice the engine's bound, a reset and the time in which
 * the machine stood still at most; the parent's device lock is held.
 */
void pindrop_chain_remove(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	chain_lock(dev, true);
	if (dev->state == PINDROP_DEV_FROZEN) {
		dev->frozen = 1; /* the bus does not give it back any more */
		pindrop_dev_thaw(dev);
	}
	/* Waiting for hardware that is not there would be in vain. */
	if (!READ_ONCE(dev->unplugged) && !pindrop_chain_stop(dev, false) &&
	    chain_isolate(dev, NULL, true, false))
		pindrop_chain_unproved(dev);
	/* Before a mapping goes: what is not proved over by now never will be. */
	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		pindrop_chan_set_state_locked(chan, PINDROP_CHAN_GONE);
		pindrop_chan_unlock_irq(chan);
	}
	pindrop_dev_set_state(dev, PINDROP_DEV_GONE);
	/* Not before that: an interrupt could report what is over by then. */
	for_each_chan(chan, dev)
		if (READ_ONCE(dev->unplugged))
			pindrop_chan_prove(chan, -ENODEV);
	mutex_unlock(&dev->chain);
}

/**
 * pindrop_chain_reset() - reset a device because an administrator wants it
 * @dev: the device
 *
 * Context: sleeps, bounded; the caller keeps @dev, and may hold no lock.
 * Return: 0 if it is idle and works; -EIO if it is not, or only some of its
 * channels are; -ENODEV if it is gone; -EBUSY if the bus has it, or somebody
 * its lock; -EOPNOTSUPP.
 */
int pindrop_chain_reset(struct pindrop_dev *dev)
{
	int err;

	chain_lock(dev, true);
	if (READ_ONCE(dev->closed))
		err = -ENODEV;
	else if (dev->state == PINDROP_DEV_FROZEN)
		err = -EBUSY;
	else
		err = chain_isolate(dev, NULL, false, true);
	if (err && dev->state == PINDROP_DEV_CUT)
		pindrop_chain_unproved(dev);
	pindrop_tell_running(dev);
	mutex_unlock(&dev->chain);
	return err == -EAGAIN ? -EBUSY : err;
}

/**
 * pindrop_chain_is_cut() - can the device reach no memory at all
 * @dev: the device
 *
 * It is CUT only when the cut is done, and taken out of it only when all that was
 * on the hardware is proved over.
 *
 * Context: any.
 * Return: true if what is on the hardware now never reaches memory.
 */
bool pindrop_chain_is_cut(struct pindrop_dev *dev)
{
	/* Pairs with the queues' locks in pindrop_dev_try_state(). */
	enum pindrop_dev_state state = smp_load_acquire(&dev->state);

	return dev->has_cut && (state == PINDROP_DEV_CUT ||
				state == PINDROP_DEV_FROZEN);
}

/**
 * pindrop_chain_wedged() - is there no channel that takes jobs
 * @dev: the device
 *
 * Context: any; the answer is of the past.
 * Return: true if all channels hang.
 */
bool pindrop_chain_wedged(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	for_each_chan(chan, dev)
		if (READ_ONCE(chan->state) != PINDROP_CHAN_WEDGED)
			return false;
	return true;
}
