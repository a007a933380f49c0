// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of jobs that the hardware does not finish: K1 of a context, the revoke of
 * an import, and K8 of a queue. Each ends at most PINDROP_END_BATCH queued jobs per
 * hold of the queue's lock, however many one user has queued.
 */
#include "pindrop.h"

#include <linux/sched.h>

#include "trace.h"

/* Cancels jobs while chan::budget lasts; true if jobs are left on the queue. */
static bool cancel_some(struct pindrop_queue *queue, int error,
			unsigned int *count)
{
	struct pindrop_job *job;

	while ((job = list_first_entry_or_null(&queue->jobs, struct pindrop_job,
					       node))) {
		if (!queue->chan->budget)
			return true;
		queue->chan->budget--;
		++*count;
		if (!job->error)
			job->error = error;
		pindrop_job_unqueue(queue, job);
	}
	return false;
}

/**
 * pindrop_chan_cancel() - K1: cancel all queued jobs of a context
 * @chan: the channel
 * @ctx: the context; it has left OPEN
 * @error: for the jobs
 *
 * A job with pieces on the hardware is cancelled, too; the rest of the chain waits
 * for those pieces.
 *
 * Context: process context; takes the channel's lock.
 */
void pindrop_chan_cancel(struct pindrop_chan *chan, struct pindrop_ctx *ctx,
			 int error)
{
	struct pindrop_queue *queue = &ctx->queues[chan->id];
	struct pindrop_piece *piece, *next;
	unsigned int count = 0;
	bool more;

	spin_lock_irq(&chan->lock);
	trace_pindrop_kill_step(chan, ctx->id, 0, PINDROP_STEP_START, 0);
	/* First: between the batches the pump would begin jobs of this queue. */
	if (!PINDROP_BROKEN(K1))
		pindrop_turn_del_locked(queue);
	/* Pieces that a reset threw away are not replayed for a dying context. */
	list_for_each_entry_safe(piece, next, &chan->replay, node)
		if (piece->job->ctx == ctx)
			pindrop_piece_end(chan, piece, error);
	do {
		more = !PINDROP_BROKEN(K1) &&
		       cancel_some(queue, error, &count);
		if (!more)
			trace_pindrop_kill_step(chan, ctx->id, 1,
						PINDROP_STEP_START, count);
		pindrop_chan_unlock_irq(chan);
		cond_resched();
		if (more)
			spin_lock_irq(&chan->lock);
	} while (more);
}

static bool job_names(const struct pindrop_job *job,
		      const struct pindrop_buf *buf)
{
	return job->src.buf == buf || job->dst.buf == buf;
}

/**
 * pindrop_chan_abort_locked() - K2: have the engine abort a piece
 * @chan: its channel
 * @piece: on the hardware
 *
 * Context: channel lock held; the engine is there.
 */
void pindrop_chan_abort_locked(struct pindrop_chan *chan,
			       struct pindrop_piece *piece)
{
	struct pindrop_dev *dev = chan->dev;

	lockdep_assert_held(&chan->lock);
	if (piece->aborting)
		return;
	piece->aborting = true;
	trace_pindrop_kill_step(chan, piece->job->ctx->id, 2,
				PINDROP_STEP_START, 1);
	if (dev->ops->abort)
		dev->ops->abort(dev->engine, piece);
}

/* Sets the job's error; pieces that are not issued yet never are. */
static void job_revoke(struct pindrop_job *job)
{
	if (!job->error)
		job->error = -ESTALE;
}

/* Aborts the buffer's pieces; true if the hardware has any. */
static bool revoke_pieces(struct pindrop_chan *chan, struct pindrop_buf *buf)
{
	struct pindrop_piece *piece, *next;
	bool busy = false;

	/* Pieces that a reset threw away are not replayed with revoked memory. */
	list_for_each_entry_safe(piece, next, &chan->replay, node)
		if (job_names(piece->job, buf))
			pindrop_piece_end(chan, piece, -ESTALE);
	list_for_each_entry(piece, &chan->issued, node) {
		if (!job_names(piece->job, buf))
			continue;
		busy = true;
		job_revoke(piece->job);
		if (chan->state != PINDROP_CHAN_GONE)
			pindrop_chan_abort_locked(chan, piece);
	}
	return busy;
}

/**
 * pindrop_chan_revoke_jobs() - K1 for jobs that use a revoked buffer
 * @chan: their channel
 * @buf: the buffer, marked as revoked
 * @jobs: the jobs; the caller holds references
 * @count: at most PINDROP_END_BATCH
 *
 * Queued jobs fail now. Jobs that SUBMIT is still making fail when their turn comes.
 *
 * Context: process context; takes the channel's lock.
 */
void pindrop_chan_revoke_jobs(struct pindrop_chan *chan,
			      const struct pindrop_buf *buf,
			      struct pindrop_job **jobs, unsigned int count)
{
	struct pindrop_queue *queue;
	struct pindrop_job *job;

	spin_lock_irq(&chan->lock);
	while (count--) {
		job = *jobs++;
		/* A ring may have reused the job for other memory. */
		if (!job->ticket || job->state == PINDROP_JOB_FINISHED ||
		    list_empty(&job->node) || !job_names(job, buf))
			continue;
		queue = &job->ctx->queues[chan->id];
		job_revoke(job);
		pindrop_job_unqueue(queue, job);
		/* The next job may not wait for the fence that this one did. */
		if (!list_empty(&queue->node))
			pindrop_turn_add_locked(queue);
	}
	pindrop_chan_unlock_irq(chan);
}

/**
 * pindrop_chan_revoke() - K2 for the issued pieces of a revoked buffer
 * @chan: the channel
 * @buf: the buffer, marked as revoked
 *
 * Context: process context; takes the channel's lock.
 * Return: true while the hardware has such a piece.
 */
bool pindrop_chan_revoke(struct pindrop_chan *chan, struct pindrop_buf *buf)
{
	bool busy;

	spin_lock_irq(&chan->lock);
	busy = revoke_pieces(chan, buf);
	pindrop_chan_pump_locked(chan);
	pindrop_chan_unlock_irq(chan);
	return busy;
}

static void chan_end_issued_locked(struct pindrop_chan *chan, int error)
{
	struct pindrop_piece *piece, *next;

	list_for_each_entry_safe(piece, next, &chan->issued, node)
		pindrop_piece_end(chan, piece, error);
}

/**
 * pindrop_chan_fail_locked() - K8: make the issued jobs of a channel LOST
 * @chan: the channel, WEDGED
 *
 * The caller calls pindrop_chan_fail_queued() next, which fails the queued jobs.
 *
 * Context: channel lock held.
 */
void pindrop_chan_fail_locked(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece, *next_piece;
	struct pindrop_job *job;

	lockdep_assert_held(&chan->lock);
	list_for_each_entry_safe(piece, next_piece, &chan->replay, node) {
		pindrop_job_give_up(piece->job, "the queue hangs");
		pindrop_piece_end(chan, piece, -EIO);
	}
	if (PINDROP_BROKEN(K8))
		chan_end_issued_locked(chan, -EIO);
	list_for_each_entry(piece, &chan->issued, node) {
		job = piece->job;
		if (job->state != PINDROP_JOB_QUEUED)
			continue;
		if (!list_empty(&job->node))
			pindrop_job_take_off(&job->ctx->queues[chan->id], job);
		pindrop_job_lose(job);
	}
}

/* The first queue with jobs, of those in turn and those that wait; or NULL. */
static struct pindrop_queue *chan_first_queue(struct pindrop_chan *chan)
{
	struct pindrop_turn *turn =
		list_first_entry_or_null(&chan->runq, struct pindrop_turn, node);

	if (turn)
		return list_first_entry(&turn->queues, struct pindrop_queue,
					node);
	return list_first_entry_or_null(&chan->waitq, struct pindrop_queue,
					node);
}

/* Fails jobs while chan::budget lasts; true if the channel has more. */
static bool fail_some(struct pindrop_chan *chan)
{
	struct pindrop_queue *queue;
	struct pindrop_job *job;

	while ((queue = chan_first_queue(chan))) {
		if (!chan->budget)
			return true;
		chan->budget--;
		job = list_first_entry(&queue->jobs, struct pindrop_job, node);
		pindrop_job_give_up(job, "the queue hangs");
		pindrop_job_unqueue(queue, job);
	}
	return false;
}

/**
 * pindrop_chan_fail_queued() - K8: fail all queued jobs of a channel, each once
 * @chan: the channel; nothing happens unless it is WEDGED
 *
 * The channel stays WEDGED, which refuses new jobs, until all have failed, even if
 * the hardware is proved idle meanwhile.
 *
 * Context: process context; dev::chain held; takes the channel's lock.
 */
void pindrop_chan_fail_queued(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;

	spin_lock_irq(&chan->lock);
	while (chan->state == PINDROP_CHAN_WEDGED && fail_some(chan))
		pindrop_chan_breathe(chan);
	if (chan->state == PINDROP_CHAN_WEDGED && list_empty(&chan->issued) &&
	    dev->state == PINDROP_DEV_RUNNING && !READ_ONCE(dev->closed)) {
		pindrop_chan_set_state_locked(chan, PINDROP_CHAN_RUNNING);
		chan->again = true;
	}
	pindrop_chan_unlock_irq(chan);
}

/**
 * pindrop_chan_shares_locked() - has an issued job an unsignalled reservation fence
 * @chan: the channel
 *
 * Context: channel lock held.
 * Return: true if it has.
 */
bool pindrop_chan_shares_locked(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece;

	lockdep_assert_held(&chan->lock);
	list_for_each_entry(piece, &chan->issued, node)
		if (piece->job->batch && piece->job->batch->guard &&
		    !piece->job->guard_signalled)
			return true;
	return false;
}

/**
 * pindrop_chan_signal_lost_locked() - signal the reservation fences of LOST jobs
 * @chan: the channel, WEDGED
 *
 * Every fence is signalled in bounded time, here with -EIO. That says nothing
 * about the pages: attachment, pin and references stay until there is proof. Where
 * the engine has a cut, it came before.
 *
 * Context: channel lock held.
 */
void pindrop_chan_signal_lost_locked(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece;

	lockdep_assert_held(&chan->lock);
	list_for_each_entry(piece, &chan->issued, node) {
		struct pindrop_job *job = piece->job;

		if (job->state != PINDROP_JOB_LOST || !job->batch ||
		    job->guard_signalled)
			continue;
		job->guard_signalled = true;
		spin_lock(&job->ctx->lock);
		pindrop_batch_proved_locked(job);
		spin_unlock(&job->ctx->lock);
	}
}

/**
 * pindrop_chan_prove() - end all issued pieces after proof
 * @chan: a channel, GONE; its device was read idle since, or has left the bus
 * @error: for jobs that were not reported yet
 *
 * Context: process context; takes the channel's lock.
 */
void pindrop_chan_prove(struct pindrop_chan *chan, int error)
{
	spin_lock_irq(&chan->lock);
	chan_end_issued_locked(chan, error);
	pindrop_chan_unlock_irq(chan);
}
