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
 * dev::chain is held from K2 to K8, but for K5. The hooks of dying processes do not take
 * it: they start the chain and wait, bounded, for what comes of it.
 */
#include "pindrop.h"

#include <linux/delay.h>
#include <linux/dma-fence.h>
#include <linux/jiffies.h>
#include <linux/kobject.h>

#include "trace.h"

/* For somebody else to let go of the device's lock. */
#define RESET_TRIES 20
#define RESET_TRY_MS 5

#define for_each_chan(chan, dev)     \
	for ((chan) = (dev)->chans; \
	     (chan) < (dev)->chans + (dev)->limits.channels; (chan)++)

/*
 * The lock is dropped while the bus resets the device: for that it takes locks
 * that it may hold when it calls us. Nobody else does anything meanwhile.
 */
static void chain_lock(struct pindrop_dev *dev)
{
	mutex_lock(&dev->chain);
	while (dev->isolating) {
		mutex_unlock(&dev->chain);
		wait_event_timeout(dev->quiet, !READ_ONCE(dev->isolating),
				   msecs_to_jiffies(PINDROP_DEADLINE_MS));
		mutex_lock(&dev->chain);
	}
}

static void chain_unlock(struct pindrop_dev *dev)
{
	mutex_unlock(&dev->chain);
}

static bool chain_is_mine(struct pindrop_piece *piece)
{
	return READ_ONCE(piece->job->ctx->state) != PINDROP_STATE_OPEN ||
	       READ_ONCE(piece->queue->dev->gone);
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

/* Read from the hardware, though nothing of ours may be on it. */
static bool chain_all_idle(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;
	bool idle = true;

	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		idle &= pindrop_chan_service_locked(chan) > 0;
		spin_unlock_irq(&chan->lock);
	}
	return idle;
}

/* Whether it is worth waiting for: not what is late already. */
static bool chain_hopeful(struct pindrop_chan *chan)
{
	bool hopeful = false;

	spin_lock_irq(&chan->lock);
	if (!list_empty(&chan->issued)) {
		hopeful = chain_left_locked(chan);
		pindrop_chan_service_locked(chan);
	}
	if (list_empty(&chan->issued))
		hopeful = false;
	else
		hopeful |= !!chain_left_locked(chan);
	spin_unlock_irq(&chan->lock);
	return hopeful;
}

/*
 * Reads idle until all channels are so, or the engine's bound has passed so
 * many times since now. They run side by side, so it is the same for all.
 */
static bool chain_poll(struct pindrop_dev *dev, unsigned int bounds,
		       bool only_hopeful)
{
	unsigned long end = jiffies +
			    bounds * msecs_to_jiffies(dev->limits.piece_ms);
	struct pindrop_stall stall;
	struct pindrop_chan *chan;
	bool hopeful;

	pindrop_stall_begin(&stall, dev);
	for (;;) {
		end += pindrop_stall_seen(&stall, dev);
		hopeful = false;
		for_each_chan(chan, dev)
			hopeful |= chain_hopeful(chan);
		if (chain_all_quiet(dev))
			return true;
		if (time_after(jiffies, end) || (only_hopeful && !hopeful))
			return false;
		usleep_range(1000, 2000);
	}
}

/* The oldest is to blame, if it is late: the others come after it. */
static void chain_blame(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece;

	spin_lock_irq(&chan->lock);
	piece = list_first_entry_or_null(&chan->issued, struct pindrop_piece,
					 node);
	if (piece && !chain_left_locked(chan))
		piece->culprit = true;
	spin_unlock_irq(&chan->lock);
}

static void chain_set(struct pindrop_chan *chan, enum pindrop_chan_state state)
{
	spin_lock_irq(&chan->lock);
	chan->state = state;
	spin_unlock_irq(&chan->lock);
}

/* K4 */
static void chain_terminate(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;

	chain_blame(chan);
	if (!dev->ops->terminate || PINDROP_BROKEN(K4))
		return;
	trace_pindrop_kill_step(chan, 0, 4, PINDROP_STEP_START, 0);
	dev->ops->terminate(dev->engine, chan->id);
	chain_hopeful(chan);
	trace_pindrop_kill_step(chan, 0, 4,
				chain_quiet(chan) ? PINDROP_STEP_PROOF :
						    PINDROP_STEP_NONE, 0);
}

/* Nothing is issued on any channel; or it is again. */
static void chain_hold(struct pindrop_dev *dev, bool held)
{
	struct pindrop_chan *chan;

	WRITE_ONCE(dev->held, held);
	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		/* Proof may have come while it could not be acted upon. */
		if (!held && chan->state == PINDROP_CHAN_WEDGED && !dev->cut &&
		    list_empty(&chan->issued))
			chan->state = PINDROP_CHAN_RUN;
		if (!held && chan->state != PINDROP_CHAN_GONE) {
			pindrop_chan_pump_locked(chan);
			/* Unless it is to run sooner. */
			pindrop_watchdog_arm_locked(chan,
						    pindrop_watchdog_interval(dev));
		}
		spin_unlock_irq(&chan->lock);
	}
}

/* While it is reset, nobody believes what the device says. */
static void chain_set_resetting(struct pindrop_dev *dev, bool resetting)
{
	struct pindrop_chan *chan;

	WRITE_ONCE(dev->resetting, resetting);
	/* Who read it before is through. */
	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		spin_unlock_irq(&chan->lock);
	}
}

static void chain_uevents(struct pindrop_dev *dev, char *state, int count)
{
	char *envp[] = { state, NULL };

	for (; count; count--)
		kobject_uevent_env(&dev->dev.kobj, KOBJ_CHANGE, envp);
}

/**
 * pindrop_tell_work() - let others know that a device hangs, or works again
 * @work: pindrop_dev::tell
 *
 * Not where it is found out: an event takes memory, and memory may have to wait
 * for fences that the chain is about to signal.
 *
 * Context: pindrop_forget_wq.
 */
void pindrop_tell_work(struct work_struct *work)
{
	struct pindrop_dev *dev = container_of(work, struct pindrop_dev, tell);
	int wedged = atomic_xchg(&dev->news_wedged, 0);
	int running = atomic_xchg(&dev->news_running, 0);

	pindrop_failures_print(dev);
	/* What is so comes last. */
	if (READ_ONCE(dev->told))
		chain_uevents(dev, "PINDROP_STATE=running", running);
	chain_uevents(dev, "PINDROP_STATE=wedged", wedged);
	if (!READ_ONCE(dev->told))
		chain_uevents(dev, "PINDROP_STATE=running", running);
}

static void chain_tell_wedged(struct pindrop_dev *dev)
{
	WRITE_ONCE(dev->told, true);
	atomic_inc(&dev->news_wedged);
	queue_work(pindrop_forget_wq, &dev->tell);
}

static void chain_tell_running(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	if (!dev->told || dev->gone)
		return;
	for_each_chan(chan, dev)
		if (chan->state == PINDROP_CHAN_WEDGED)
			return;
	WRITE_ONCE(dev->told, false);
	dev_notice(&dev->dev, "was read idle, works again\n");
	atomic_inc(&dev->news_running);
	queue_work(pindrop_forget_wq, &dev->tell);
}

/* Nothing of the device is under way: as good as new. */
static void chain_revive(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	if (dev->gone)
		return;
	/* What comes to its end from here on has to find all of it undone. */
	chain_hold(dev, true);
	if (dev->cut && dev->ops->uncut)
		dev->ops->uncut(dev->engine);
	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		if (dev->devmem_lost)
			pindrop_chan_lose_devmem_locked(chan);
		chan->state = PINDROP_CHAN_RUN;
		spin_unlock_irq(&chan->lock);
	}
	dev->cut = false;
	dev->devmem_lost = false;
	chain_hold(dev, false);
}

/* Nobody else has anything of it: then a cut costs nobody anything. */
static bool chain_alone(struct pindrop_dev *dev, struct pindrop_chan *hung)
{
	struct pindrop_chan *chan;

	if (dev->gone)
		return true;
	for_each_chan(chan, dev)
		if (chan != hung && chan->state != PINDROP_CHAN_WEDGED)
			return false;
	return true;
}

/*
 * K5: 0 or an error if the device is cut off now, else what reset said. A bus
 * has locks under which others take memory, so what is @signalling fences
 * does not promise as much here as elsewhere: those that wait for a reset wait
 * for these, too.
 */
static int chain_try_reset(struct pindrop_dev *dev, bool locked, bool ordered,
			   bool signalling)
{
	unsigned int tries = RESET_TRIES;
	int err = -EOPNOTSUPP;

	if (!dev->ops->reset || PINDROP_BROKEN(K5) ||
	    (dev->limits.reset_by_order && !ordered))
		return err;
	chain_trace(dev, 5, PINDROP_STEP_START);
	dev->isolating = true;
	mutex_unlock(&dev->chain);
	if (signalling)
		dma_fence_end_signalling(false);
	while ((err = dev->ops->reset(dev->engine, locked)) == -EAGAIN) {
		if (!--tries || READ_ONCE(dev->gone))
			break;
		msleep(RESET_TRY_MS);
	}
	if (signalling)
		dma_fence_begin_signalling();
	mutex_lock(&dev->chain);
	WRITE_ONCE(dev->isolating, false);
	wake_up_all(&dev->quiet);
	return err;
}

/*
 * K5 and K6. @hung is the channel that made it necessary, or NULL; @ordered, if
 * that was an administrator. Returns 0 for proof, and the device works again
 * unless it is gone; -EIO if it is not known to be idle, and cut off if there
 * is a way; other errors if nothing was done.
 */
static int chain_isolate(struct pindrop_dev *dev, struct pindrop_chan *hung,
			 bool locked, bool ordered)
{
	int step = 5, err;
	bool quiet, undone;

	chain_hold(dev, true);
	/* What comes to its end now need not be done again. */
	chain_poll(dev, 1, true);
	chain_set_resetting(dev, true);
	/* The chain's own work is who has a channel that hangs. */
	err = chain_try_reset(dev, locked, ordered, hung);
	undone = err &&
		 (err == -EAGAIN || err == -EOPNOTSUPP || !dev->ops->cut);
	if (undone && dev->ops->cut && !PINDROP_BROKEN(K6) &&
	    chain_alone(dev, hung)) {
		step = 6;
		dev->ops->cut(dev->engine);
		err = -EIO;
		undone = false;
	}
	if (!undone) {
		dev->cut = true;
		dev->devmem_lost |= step == 5;
	}
	dev->try_again = err == -EAGAIN;
	chain_set_resetting(dev, false);
	if (undone) {
		/* Where nothing is cut off some channels may be proved idle. */
		if (!dev->ops->cut)
			chain_poll(dev, 1, true);
		chain_hold(dev, false);
		return err;
	}
	quiet = chain_poll(dev, 1, false) && chain_all_idle(dev);
	chain_trace(dev, step, PINDROP_STEP_PROOF);
	if (!quiet)
		return -EIO;
	chain_revive(dev);
	return 0;
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
	wedged = dev->cut || !list_empty(&chan->issued);
	if (!wedged) {
		chan->state = PINDROP_CHAN_RUN;
		pindrop_chan_pump_locked(chan);
	} else {
		if (chan->state != PINDROP_CHAN_WEDGED)
			trace_pindrop_kill_step(chan, 0, 8, PINDROP_STEP_START,
						chain_count_locked(chan));
		chan->state = PINDROP_CHAN_WEDGED;
		pindrop_chan_fail_locked(chan);
		if (dev->cut && dev->ops->cut)
			pindrop_chan_cut_locked(chan);
		/* Soon: proof may be on its way. Then every minute. */
		if (!READ_ONCE(dev->gone))
			pindrop_watchdog_arm_locked(chan,
						    pindrop_watchdog_interval(dev));
	}
	spin_unlock_irq(&chan->lock);
	return wedged;
}

/* K8 for a device that is cut off, without proof. */
static void chain_wedge_all(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;
	bool before = true;

	for_each_chan(chan, dev) {
		before &= chan->state == PINDROP_CHAN_WEDGED;
		chain_wedge(chan);
	}
	if (!dev->paused)
		WRITE_ONCE(dev->held, false);
	if (before && !dev->gone)
		return;
	dev_crit(&dev->dev,
		 "hangs%s: memory in use is kept until it is read idle\n",
		 dev->ops->cut ? ", cut off" : "");
	chain_tell_wedged(dev);
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
	chain_tell_wedged(dev);
}

/* K4 to K8 for a channel that hangs with the device there. */
static void chain_escalate(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	bool known = chan->state == PINDROP_CHAN_WEDGED;
	int err;

	if (PINDROP_BROKEN(I2))
		pindrop_chan_prove(chan);
	chain_set(chan, PINDROP_CHAN_STOPPING);
	chain_terminate(chan);
	if (chain_quiet(chan)) {
		chain_set(chan, PINDROP_CHAN_RUN);
		pindrop_chain_kick(chan);
		return;
	}
	err = chain_isolate(dev, chan, false, false);
	if (!err)
		return;
	if (err == -EIO || dev->cut) {
		chain_wedge_all(dev);
		return;
	}
	chain_give_up(chan, known);
}

static void chain_run(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	bool hangs;

	spin_lock_irq(&chan->lock);
	pindrop_watchdog_look_locked(chan);
	chain_abort_locked(chan);
	pindrop_chan_pump_locked(chan);
	hangs = !list_empty(&chan->issued) && !chain_idle_locked(chan) &&
		(chan->state != PINDROP_CHAN_WEDGED || dev->try_again);
	pindrop_watchdog_rearm_locked(chan);
	spin_unlock_irq(&chan->lock);

	if (hangs)
		chain_escalate(chan);
	else if (dev->cut && chain_all_quiet(dev) && chain_all_idle(dev))
		chain_revive(dev); /* late, but proof */
	chain_tell_running(dev);
}

/**
 * pindrop_chain_work() - watchdog and K2 to K8 for a channel
 * @work: pindrop_chan::chain
 *
 * Runs twice in a piece's time while there is one, and at once when a context
 * was killed.
 *
 * Context: dev::wq, which is ordered; allocates nothing: fences of jobs that
 * hang wait for this. Takes dev::chain; whoever takes the device away waits for that, so that the
 * engine is there although the gate is not held.
 */
void pindrop_chain_work(struct work_struct *work)
{
	struct pindrop_chan *chan = container_of(work, struct pindrop_chan,
						 chain);
	struct pindrop_dev *dev = chan->dev;
	bool signalling = dma_fence_begin_signalling();

	chain_lock(dev);
	if (!READ_ONCE(dev->gone) && !dev->paused)
		chain_run(chan);
	chain_unlock(dev);
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

/*
 * K2 to K4 for all: nothing new begins, what is there may end; one after the
 * other, if there is patience for that.
 */
static bool chain_stop(struct pindrop_dev *dev, bool patient)
{
	struct pindrop_chan *chan;

	chain_hold(dev, true);
	for_each_chan(chan, dev) {
		spin_lock_irq(&chan->lock);
		chain_abort_locked(chan);
		spin_unlock_irq(&chan->lock);
	}
	if (chain_poll(dev, patient ? dev->limits.depth : 1, patient))
		return true;
	for_each_chan(chan, dev)
		if (!chain_quiet(chan))
			chain_terminate(chan);
	return chain_all_quiet(dev);
}

/**
 * pindrop_chain_remove() - the chain, inline, for a device that goes
 * @dev: the device; the gate is shut, all contexts are killed
 *
 * When it returns, no channel is looked at any more.
 *
 * Context: sleeps, for twice the engine's bound, a reset and the time in which
 * the machine stood still at most; the parent's device lock is held.
 */
void pindrop_chain_remove(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;

	chain_lock(dev);
	if (!chain_stop(dev, false) && chain_isolate(dev, NULL, true, false))
		chain_wedge_all(dev);
	/* Before a mapping goes: what is not proved over by now never will be. */
	for_each_chan(chan, dev)
		chain_set(chan, PINDROP_CHAN_GONE);
	chain_unlock(dev);
}

/**
 * pindrop_chain_reset() - reset a device because somebody wants it
 * @dev: the device
 *
 * Context: sleeps, bounded; the caller keeps @dev, and may hold no lock.
 * Return: 0 if it is idle and works; -EIO if it is not, or only some of its
 * channels are; -ENODEV if it is gone; -EBUSY if the bus has it, or somebody
 * its lock; -EOPNOTSUPP.
 */
int pindrop_chain_reset(struct pindrop_dev *dev)
{
	int err = -ENODEV;

	chain_lock(dev);
	if (!READ_ONCE(dev->gone))
		err = dev->paused ? -EBUSY :
				    chain_isolate(dev, NULL, false, true);
	if (err == -EIO && dev->cut)
		chain_wedge_all(dev);
	chain_tell_running(dev);
	chain_unlock(dev);
	return err == -EAGAIN ? -EBUSY : err;
}

/**
 * pindrop_chain_is_cut() - can the device reach no memory at all
 * @dev: the device
 *
 * A cut that is asked for is not one yet: the chain is waited for.
 *
 * Context: may sleep, as long as the chain takes; the caller holds no lock.
 * Return: true if it is cut off, and stays so until it was read idle.
 */
bool pindrop_chain_is_cut(struct pindrop_dev *dev)
{
	bool cut;

	chain_lock(dev);
	cut = dev->cut && dev->ops->cut;
	chain_unlock(dev);
	return cut;
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

/* The bus does not give it back: nobody has to wait for it any longer. */
static void chain_pause_is_late(struct pindrop_dev *dev)
{
	if (!dev->paused || time_before(jiffies, dev->pause_end) || dev->gone)
		return;
	chain_wedge_all(dev);
}

/**
 * pindrop_pause_work() - see that a pause has an end
 * @work: pindrop_dev::pause_work
 *
 * Context: dev::wq; takes dev::chain.
 */
void pindrop_pause_work(struct work_struct *work)
{
	struct pindrop_dev *dev = container_of(to_delayed_work(work),
					       struct pindrop_dev, pause_work);
	bool signalling = dma_fence_begin_signalling();

	chain_lock(dev);
	chain_pause_is_late(dev);
	chain_unlock(dev);
	dma_fence_end_signalling(signalling);
}

static void chain_pause(struct pindrop_dev *dev)
{
	chain_set_resetting(dev, true);
	dev->cut = true;
	if (dev->ops->cut)
		dev->ops->cut(dev->engine);
	chain_set_resetting(dev, false);
	if (!chain_all_quiet(dev))
		chain_poll(dev, 1, false);
	chain_trace(dev, 6, PINDROP_STEP_PROOF);
	chain_set_resetting(dev, true);
	dev->pause_end = jiffies + msecs_to_jiffies(PINDROP_PAUSE_MS);
	mod_delayed_work(dev->wq, &dev->pause_work,
			 msecs_to_jiffies(PINDROP_PAUSE_MS));
}

/**
 * pindrop_pause() - quiet a device that the bus is going to reset
 * @dev: the device, registered
 *
 * What is on the hardware may end, each within the engine's bound; then the
 * device is cut off. Jobs that are queued, or come, wait for pindrop_unpause(),
 * which has to follow; if that takes a minute, they fail. Pauses may overlap.
 * Registers and configuration are the caller's until then.
 *
 * Context: the parent's device lock is held; sleeps, for the engine's bound
 * times its depth, once more, and the time in which the machine stood still at
 * most.
 */
void pindrop_pause(struct pindrop_dev *dev)
{
	chain_lock(dev);
	if (!dev->gone && !dev->paused++) {
		chain_stop(dev, true);
		chain_pause(dev);
	}
	chain_unlock(dev);
}
EXPORT_SYMBOL_GPL(pindrop_pause);

/**
 * pindrop_suspend() - the same, unless the hardware hangs
 * @dev: the device, registered
 *
 * Context: as pindrop_pause().
 * Return: 0, or -EBUSY if the hardware is not quiet: then nothing is paused.
 */
int pindrop_suspend(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;
	int err = 0;

	chain_lock(dev);
	if (dev->gone || dev->paused) {
		err = dev->gone ? 0 : -EBUSY;
	} else if (chain_stop(dev, true)) {
		dev->paused++;
		chain_pause(dev);
	} else {
		err = -EBUSY;
		for_each_chan(chan, dev)
			if (!chain_quiet(chan))
				chain_give_up(chan, chan->state ==
						    PINDROP_CHAN_WEDGED);
		chain_hold(dev, false);
	}
	chain_unlock(dev);
	return err;
}
EXPORT_SYMBOL_GPL(pindrop_suspend);

/**
 * pindrop_unpause() - go on after pindrop_pause() or pindrop_suspend()
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
	chain_lock(dev);
	if (dev->gone || !dev->paused)
		goto out;
	dev->devmem_lost = true;
	if (--dev->paused)
		goto out;
	cancel_delayed_work(&dev->pause_work);
	chain_set_resetting(dev, false);
	if (idle && chain_poll(dev, 1, false) &&
	    chain_all_idle(dev))
		chain_revive(dev);
	else
		chain_wedge_all(dev);
	chain_tell_running(dev);
out:
	chain_unlock(dev);
}
EXPORT_SYMBOL_GPL(pindrop_unpause);
