// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kill chain from K2 on, and retirement.
 *
 * One chain for death, close and removal, and for a piece that is late with
 * nobody dying; it stops at the first proof:
 *   K0 the context leaves OPEN           pindrop_ctx_kill()
 *   K1 what is queued is cancelled       pindrop_chan_cancel()
 *   K2 abort; wait for what is issued, by the engine's own bound
 *   K3 read idle
 *   K6 removal only: cut the device off, then read idle behind the cut
 *   K8 keep everything, refuse new jobs, say so, read idle again every minute
 * The numbers in between are the places of terminate (K4), reset (K5) and the
 * IOMMU (K7).
 *
 * Only proof retires a job: a piece reported by the engine, which has then
 * read the hardware idle. Memory is dropped here and nowhere else.
 */
#include "pindrop.h"

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kobject.h>

#include "trace.h"

struct workqueue_struct *pindrop_reap_wq;

static void job_retire(struct pindrop_job *job)
{
	struct pindrop_ctx *ctx = job->ctx;
	struct pindrop_dev *dev = ctx->dev;

	trace_pindrop_job_retire(job, job->result);
	pindrop_job_drop_bufs(job);
	atomic64_dec(&dev->stats.inflight);
	if (!job->zero) /* the user did not ask for that one */
		atomic64_dec(&ctx->user->jobs);
	spin_lock_irq(&ctx->lock);
	ctx->live--;
	spin_unlock_irq(&ctx->lock);
	pindrop_job_put(job);
	pindrop_ctx_put(ctx);
}

/**
 * pindrop_reap() - retire a context's finished jobs
 * @ctx: the context; the caller holds a reference besides the jobs'
 *
 * When it returns, all that were finished before are retired, whoever did it.
 *
 * Context: process context; waits for others who do the same, for no hardware.
 * dev::lock may be held, owner::lock not.
 */
void pindrop_reap(struct pindrop_ctx *ctx)
{
	struct pindrop_job *job, *next;
	LIST_HEAD(done);

	mutex_lock(&ctx->reaping);
	spin_lock_irq(&ctx->lock);
	list_splice_init(&ctx->done, &done);
	spin_unlock_irq(&ctx->lock);
	list_for_each_entry_safe(job, next, &done, node)
		job_retire(job);
	spin_lock_irq(&ctx->lock);
	pindrop_ctx_settle_locked(ctx);
	spin_unlock_irq(&ctx->lock);
	mutex_unlock(&ctx->reaping);
	wake_up_all(&ctx->wait);
}

/**
 * pindrop_reap_work() - the same, for those who need not wait for it
 * @work: pindrop_ctx::reap
 */
void pindrop_reap_work(struct work_struct *work)
{
	struct pindrop_ctx *ctx = container_of(work, struct pindrop_ctx, reap);

	pindrop_reap(ctx);
	pindrop_ctx_put(ctx); /* the work's own */
}

/* K2: start nothing more for those who are dying. */
static void chain_abort_locked(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	struct pindrop_piece *piece;

	list_for_each_entry(piece, &chan->issued, node) {
		struct pindrop_ctx *ctx = piece->job->ctx;

		if (piece->aborting ||
		    (READ_ONCE(ctx->state) == PINDROP_STATE_OPEN &&
		     !READ_ONCE(dev->gone)))
			continue;
		piece->aborting = true;
		trace_pindrop_kill_step(chan, ctx->id, 2, PINDROP_STEP_START, 1);
		if (dev->ops->abort)
			dev->ops->abort(dev->engine, piece);
	}
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
	int idle = pindrop_chan_service_locked(chan);
	bool hangs = !list_empty(&chan->issued) && !chain_left_locked(chan);

	if (late || idle > 0)
		trace_pindrop_kill_step(chan, 0, 3,
					hangs ? PINDROP_STEP_NONE :
						PINDROP_STEP_PROOF, before);
	return !hangs;
}

/* K8: fail everybody once, keep what the hardware may still touch. */
static void chain_wedge_locked(struct pindrop_chan *chan)
{
	struct pindrop_queue *queue, *next_queue;
	struct pindrop_job *job, *next;
	struct pindrop_piece *piece;
	LIST_HEAD(jobs);

	trace_pindrop_kill_step(chan, 0, 8, PINDROP_STEP_START,
				chain_count_locked(chan));
	chan->state = PINDROP_CHAN_WEDGED;
	list_for_each_entry_safe(queue, next_queue, &chan->runq, node) {
		list_del_init(&queue->node);
		list_splice_tail_init(&queue->jobs, &jobs);
	}
	/* The queue is part of a context that may go with its last job. */
	list_for_each_entry_safe(job, next, &jobs, node) {
		list_del_init(&job->node);
		if (!job->error)
			job->error = -EIO;
		if (!job->pieces)
			pindrop_job_finish(job, job->error);
	}
	list_for_each_entry(piece, &chan->issued, node)
		if (piece->job->state == PINDROP_JOB_QUEUED)
			pindrop_job_lose(piece->job);
}

static void chain_tell(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	char state[] = "PINDROP_STATE=wedged";
	char *envp[] = { state, NULL };

	dev_crit(&dev->dev,
		 "channel %u hangs: its memory is kept until it is read idle\n",
		 chan->id);
	kobject_uevent_env(&dev->dev.kobj, KOBJ_CHANGE, envp);
}

/**
 * pindrop_chain_interval() - how often the watchdog looks at the hardware
 * @dev: the device
 *
 * Twice in a piece's time: a lost interrupt then costs half of it.
 *
 * Context: any.
 * Return: jiffies.
 */
unsigned long pindrop_chain_interval(struct pindrop_dev *dev)
{
	return msecs_to_jiffies(dev->limits.piece_ms / 2) + 1;
}

/**
 * pindrop_chain_work() - watchdog and K2 to K8 for a channel
 * @work: pindrop_chan::chain
 *
 * Runs twice in a piece's time while there is one, and at once when a context
 * was killed.
 *
 * Context: dev::wq, which is ordered; allocates nothing but the uevent.
 */
void pindrop_chain_work(struct work_struct *work)
{
	struct pindrop_chan *chan = container_of(to_delayed_work(work),
						 struct pindrop_chan, chain);
	struct pindrop_dev *dev = chan->dev;
	unsigned long again = 0;
	bool wedged = false;
	int idx;

	if (!pindrop_enter(dev, &idx))
		return;
	spin_lock_irq(&chan->lock);
	chain_abort_locked(chan);
	pindrop_chan_pump_locked(chan);
	if (!list_empty(&chan->issued) && !chain_idle_locked(chan)) {
		wedged = chan->state != PINDROP_CHAN_WEDGED;
		if (wedged)
			chain_wedge_locked(chan);
	}
	if (chan->state == PINDROP_CHAN_WEDGED)
		again = msecs_to_jiffies(PINDROP_RETRY_MS);
	else if (!list_empty(&chan->issued))
		again = pindrop_chain_interval(dev);
	if (again) /* unless it is to run sooner */
		queue_delayed_work(dev->wq, &chan->chain, again);
	spin_unlock_irq(&chan->lock);
	pindrop_exit(dev, idx);

	if (wedged)
		chain_tell(chan);
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
	mod_delayed_work(chan->dev->wq, &chan->chain, 0);
	pindrop_exit(chan->dev, idx);
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

/* By then all channels, which run side by side, have had the engine's bound. */
static unsigned long chain_end(struct pindrop_dev *dev)
{
	return jiffies + msecs_to_jiffies(dev->limits.piece_ms);
}

/* Reads idle until it is so, or its time is up. */
static bool chain_poll(struct pindrop_chan *chan, unsigned long end)
{
	for (;;) {
		spin_lock_irq(&chan->lock);
		if (!list_empty(&chan->issued))
			pindrop_chan_service_locked(chan);
		spin_unlock_irq(&chan->lock);
		if (chain_quiet(chan))
			return true;
		if (time_after(jiffies, end))
			return false;
		usleep_range(1000, 2000);
	}
}

/* K6: nothing of the device reaches memory any more; is it quiet behind that? */
static void chain_cut(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;
	unsigned long end;
	unsigned int i;
	bool quiet;

	dev->cut = true;
	dev->ops->cut(dev->engine);
	end = chain_end(dev);
	for (i = 0; i < dev->limits.channels; i++) {
		chan = &dev->chans[i];
		quiet = chain_poll(chan, end);
		trace_pindrop_kill_step(chan, 0, 6,
					quiet ? PINDROP_STEP_PROOF :
						PINDROP_STEP_NONE, 0);
		if (quiet)
			continue;
		spin_lock_irq(&chan->lock);
		chain_wedge_locked(chan);
		spin_unlock_irq(&chan->lock);
		chain_tell(chan);
	}
}

/**
 * pindrop_chain_remove() - the chain, inline, for a device that goes
 * @dev: the device; the gate is shut, all contexts are killed
 *
 * When it returns, no channel is looked at any more.
 *
 * Context: sleeps, for twice the engine's bound at most.
 */
void pindrop_chain_remove(struct pindrop_dev *dev)
{
	struct pindrop_chan *chan;
	unsigned long end;
	unsigned int i;
	bool quiet = true;

	for (i = 0; i < dev->limits.channels; i++) {
		chan = &dev->chans[i];
		cancel_delayed_work_sync(&chan->chain);
		spin_lock_irq(&chan->lock);
		chain_abort_locked(chan);
		spin_unlock_irq(&chan->lock);
	}
	end = chain_end(dev);
	for (i = 0; i < dev->limits.channels; i++)
		quiet &= chain_poll(&dev->chans[i], end);
	if (!quiet)
		chain_cut(dev);
	/* Before a mapping goes: what is not proved over by now never will be. */
	for (i = 0; i < dev->limits.channels; i++) {
		chan = &dev->chans[i];
		spin_lock_irq(&chan->lock);
		chan->state = PINDROP_CHAN_GONE;
		spin_unlock_irq(&chan->lock);
	}
}
