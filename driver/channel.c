// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hardware queue: jobs are cut into pieces, contexts take turns piece by
 * piece, and only a piece is ever on the hardware.
 */
#include "pindrop.h"

#include <linux/jiffies.h>
#include <linux/slab.h>

#include "trace.h"

/**
 * pindrop_chan_init() - make a channel ready
 * @dev: its device
 * @id: its number
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_chan_init(struct pindrop_dev *dev, unsigned int id)
{
	struct pindrop_chan *chan = &dev->chans[id];
	unsigned int i;

	chan->dev = dev;
	chan->id = id;
	spin_lock_init(&chan->lock);
	chan->budget = PINDROP_END_BATCH;
	INIT_LIST_HEAD(&chan->runq);
	INIT_LIST_HEAD(&chan->waitq);
	INIT_LIST_HEAD(&chan->notify);
	INIT_LIST_HEAD(&chan->fences);
	INIT_LIST_HEAD(&chan->issued);
	INIT_LIST_HEAD(&chan->replay);
	INIT_LIST_HEAD(&chan->free_pieces);
	INIT_WORK(&chan->chain, pindrop_chain_work);
	pindrop_watchdog_init(chan);
	chan->pieces = kcalloc(dev->limits.depth, sizeof(*chan->pieces),
			       GFP_KERNEL);
	if (!chan->pieces)
		return -ENOMEM;
	for (i = 0; i < dev->limits.depth; i++) {
		chan->pieces[i].chan = id;
		chan->pieces[i].queue = chan;
		list_add_tail(&chan->pieces[i].node, &chan->free_pieces);
	}
	return 0;
}

/**
 * pindrop_chan_fini() - let go of the engine
 * @chan: the channel
 *
 * Pieces that are not proved over stay, and with them their jobs.
 *
 * Context: may sleep; the kill chain is over. When it returns the engine is
 * not called any more, an interrupt that is late does nothing.
 */
void pindrop_chan_fini(struct pindrop_chan *chan)
{
	pindrop_watchdog_fini(chan);
}

/* Its exporter has taken it back. */
static bool cursor_revoked(const struct pindrop_cursor *cur)
{
	return cur->buf && READ_ONCE(cur->buf->revoked);
}

/* The next piece of a job; false if the job may not run. */
static bool piece_fill(struct pindrop_chan *chan, struct pindrop_job *job,
		       struct pindrop_piece *piece)
{
	struct pindrop_dev *dev = chan->dev;
	u64 len = min_t(u64, job->left, dev->limits.max_piece);
	u64 room;

	/* The clearing failed: what is in there is somebody else's. */
	if (job->uses_devmem && !job->zero && !dev->lease_clean) {
		dev->lease_broken = false; /* this job's failure tells */
		pindrop_job_give_up(job, "the device's memory is not cleared");
		return false;
	}
	if (cursor_revoked(&job->src) || cursor_revoked(&job->dst)) {
		job->error = -ESTALE;
		return false;
	}

	piece->job = job;
	piece->kind = job->kind;
	piece->aborting = false;
	piece->culprit = false;
	piece->replayed = false;
	piece->src_offset = job->src.offset;
	piece->src = job->src.at;
	piece->dst = job->dst.at;
	if (job->src.buf) {
		piece->src = pindrop_buf_bus(&job->src, &room);
		len = min(len, room);
	}
	if (job->dst.buf) {
		piece->dst = pindrop_buf_bus(&job->dst, &room);
		len = min(len, room);
	}
	if (job->zero)
		piece->src += dev->zero_dma;
	piece->len = len;
	piece->dst_offset = job->dst.offset;
	return true;
}

static void cursor_advance(struct pindrop_cursor *cur, u64 bytes)
{
	if (cur->buf)
		pindrop_buf_advance(cur, bytes);
	else
		cur->at += bytes;
}

/**
 * pindrop_piece_progress() - a piece got further and has its time again
 * @piece: on the hardware
 *
 * Context: in the engine's service op (channel lock held).
 */
void pindrop_piece_progress(struct pindrop_piece *piece)
{
	unsigned int ms = piece->queue->dev->limits.piece_ms;

	piece->deadline = jiffies + msecs_to_jiffies(ms);
	piece->restarts = 0;
	piece->given = 0;
}
EXPORT_SYMBOL_GPL(pindrop_piece_progress);

/* Onto the hardware, for the first time or again. */
static int piece_start(struct pindrop_chan *chan, struct pindrop_piece *piece)
{
	struct pindrop_dev *dev = chan->dev;
	struct pindrop_job *job = piece->job;
	int err;

	if (job->src.buf)
		pindrop_buf_sync(job->src.buf, piece->src_offset, piece->len,
				 false, DMA_TO_DEVICE);
	if (job->dst.buf) {
		pindrop_buf_sync(job->dst.buf, piece->dst_offset, piece->len,
				 false, DMA_FROM_DEVICE);
		if (job->dst.buf->pin)
			pindrop_pin_written(job->dst.buf, piece->dst_offset,
					    piece->len);
	}
	pindrop_piece_progress(piece);
	trace_pindrop_piece_issue(piece);
	err = dev->ops->issue(dev->engine, piece);
	if (err == -EIO)
		pindrop_job_give_up(job, "the engine refuses it");
	if (err)
		return err;
	list_move_tail(&piece->node, &chan->issued);
	/* The watchdog; if it is on already, it comes back for this one. */
	pindrop_watchdog_arm_locked(chan, pindrop_watchdog_interval(dev));
	return 0;
}

/* It was thrown away, maybe before a reset took what it was to use. */
static int piece_start_again(struct pindrop_chan *chan,
			     struct pindrop_piece *piece)
{
	struct pindrop_job *job = piece->job;

	if (job->uses_devmem && !job->zero && !chan->dev->lease_clean) {
		pindrop_job_give_up(job, "a reset took the device's memory");
		return -EIO;
	}
	return piece_start(chan, piece);
}

static int piece_issue(struct pindrop_chan *chan, struct pindrop_queue *queue,
		       struct pindrop_piece *piece)
{
	struct pindrop_job *job = piece->job;
	int err = piece_start(chan, piece);

	if (err)
		return err;
	queue->pieces++;
	job->pieces++;
	job->left -= piece->len;
	cursor_advance(&job->src, piece->len);
	cursor_advance(&job->dst, piece->len);
	return 0;
}

/**
 * pindrop_job_take_off() - take a job off its queue
 * @queue: its context's, on its channel
 * @job: the job, on that queue
 *
 * Context: channel lock held.
 */
void pindrop_job_take_off(struct pindrop_queue *queue, struct pindrop_job *job)
{
	lockdep_assert_held(&queue->chan->lock);
	list_del_init(&job->node);
	if (list_empty(&queue->jobs))
		pindrop_turn_del_locked(queue);
}

/**
 * pindrop_job_unqueue() - take a job with nothing more to issue off its queue
 * @queue: its context's, on its channel
 * @job: the job, on that queue; finished if no piece of it is issued
 *
 * Context: channel lock held.
 */
void pindrop_job_unqueue(struct pindrop_queue *queue, struct pindrop_job *job)
{
	pindrop_job_take_off(queue, job);
	if (!job->pieces)
		pindrop_job_finish(job, job->error);
}

/*
 * Pieces are done in order, so a copy may follow its context's others at once.
 * What needs no hardware, or what the device's memory must be clear for, comes
 * behind all that went before.
 */
static bool queue_waits(struct pindrop_chan *chan, struct pindrop_queue *queue)
{
	struct pindrop_job *job = list_first_entry(&queue->jobs,
						   struct pindrop_job, node);

	if (!queue->pieces)
		return false;
	return job->op == PINDROP_OP_NOP ||
	       (job->uses_devmem && !job->zero && chan->dev->lease_clearing);
}

/*
 * The next job is not to begin yet. What a fence that failed stands for did not
 * happen, and neither does what was to follow.
 */
static bool queue_waits_for_fence(struct pindrop_queue *queue)
{
	struct pindrop_job *job = list_first_entry(&queue->jobs,
						   struct pindrop_job, node);

	if (job->state != PINDROP_JOB_WAITING)
		return false;
	if (pindrop_batch_waits(job->batch))
		return true;
	job->state = PINDROP_JOB_QUEUED;
	if (job->batch->error == -EIO)
		pindrop_job_give_up(job, "a fence that it waited for failed");
	job->error = job->batch->error;
	if (!list_empty(&job->batch->deps))
		trace_pindrop_job_ready(job, job->error);
	return false;
}

/* pindrop_chan_go_on() puts it back into its turn when the fence has signalled. */
static void queue_set_waiting(struct pindrop_chan *chan,
			      struct pindrop_queue *queue)
{
	pindrop_turn_del_locked(queue);
	list_add_tail(&queue->node, &chan->waitq);
}

/*
 * The first queue in turn that can issue, or NULL. Each queue that is moved to the
 * waiting ones costs one of chan::budget. Queues that are skipped have a piece on the
 * hardware or the lease of the device's memory, so their number is bounded.
 */
static struct pindrop_queue *queue_next(struct pindrop_chan *chan)
{
	struct pindrop_turn *turn, *next_turn;
	struct pindrop_queue *queue, *next;

	list_for_each_entry_safe(turn, next_turn, &chan->runq, node)
		list_for_each_entry_safe(queue, next, &turn->queues, node) {
			if (!chan->budget)
				return NULL;
			if (!queue_waits_for_fence(queue)) {
				if (!queue_waits(chan, queue))
					return queue;
				continue;
			}
			queue_set_waiting(chan, queue);
			chan->budget--;
		}
	return NULL;
}

/**
 * pindrop_piece_end() - take a piece from its job, and finish a job without pieces
 * @chan: the channel
 * @piece: issued before; proved over, or taken off the replay list
 * @status: 0, or the job's error unless it has one
 *
 * Context: channel lock held.
 */
void pindrop_piece_end(struct pindrop_chan *chan, struct pindrop_piece *piece,
		       int status)
{
	struct pindrop_job *job = piece->job;
	struct pindrop_queue *queue = &job->ctx->queues[chan->id];

	list_move_tail(&piece->node, &chan->free_pieces);
	if (status && !job->error)
		job->error = status;
	queue->pieces--;
	if (--job->pieces)
		return;
	if (job->state == PINDROP_JOB_LOST || list_empty(&job->node))
		pindrop_job_finish(job, job->error);
	else if (job->error)
		pindrop_job_unqueue(queue, job);
}

/**
 * pindrop_chan_go_on() - what a context's jobs waited for may have come
 * @chan: the channel
 * @ctx: whose; has jobs that are not retired, or is making them
 *
 * Context: any, hard interrupts included. Not inside the gate: nothing is
 * issued once the device is gone, and until then its removal has not come to
 * the end of the context's jobs.
 */
void pindrop_chan_go_on(struct pindrop_chan *chan, struct pindrop_ctx *ctx)
{
	struct pindrop_queue *queue = &ctx->queues[chan->id];
	unsigned long flags;

	spin_lock_irqsave(&chan->lock, flags);
	if (!list_empty(&queue->node))
		pindrop_turn_add_locked(queue);
	pindrop_chan_pump_locked(chan);
	pindrop_chan_unlock_irqrestore(chan, flags);
}

/*
 * Each user in turn issues one piece, from each of the user's contexts in turn. True
 * if chan::budget ran out.
 */
static bool pump_some_locked(struct pindrop_chan *chan)
{
	struct pindrop_piece *piece;
	struct pindrop_queue *queue;
	struct pindrop_job *job;
	int err;

	lockdep_assert_held(&chan->lock);
	/* A writer of these takes the lock afterwards: then nothing new is issued. */
	while (chan->state == PINDROP_CHAN_RUNNING &&
	       READ_ONCE(chan->dev->state) == PINDROP_DEV_RUNNING &&
	       !READ_ONCE(chan->dev->closed)) {
		/* First what was thrown away, in the order that it had. */
		piece = list_first_entry_or_null(&chan->replay,
						 struct pindrop_piece, node);
		if (piece) {
			job = piece->job;
			err = piece_start_again(chan, piece);
			if (err)
				pindrop_piece_end(chan, piece, err);
			continue;
		}
		if (list_empty(&chan->free_pieces))
			break;
		queue = queue_next(chan);
		if (!queue && list_empty(&chan->runq))
			break;
		if (!chan->budget)
			return true;
		if (!queue)
			break;
		chan->budget--;
		job = list_first_entry(&queue->jobs, struct pindrop_job, node);
		piece = list_first_entry(&chan->free_pieces,
					 struct pindrop_piece, node);
		list_move_tail(&queue->node, &queue->turn->queues);
		list_move_tail(&queue->turn->node, &chan->runq);
		if (job->op == PINDROP_OP_COPY && !job->error) {
			if (piece_fill(chan, job, piece))
				job->error = piece_issue(chan, queue, piece);
		}
		if (job->error || !job->left)
			pindrop_job_unqueue(queue, job);
	}
	return false;
}

/**
 * pindrop_chan_pump_locked() - give the hardware what it can take
 * @chan: the channel
 *
 * Jobs without hardware end in batches; the chain's work runs the next batch.
 *
 * Context: channel lock held, to be released by pindrop_chan_unlock_irq() or
 * pindrop_chan_unlock_irqrestore(); inside the gate, or called by the engine.
 */
void pindrop_chan_pump_locked(struct pindrop_chan *chan)
{
	lockdep_assert_held(&chan->lock);
	if (pump_some_locked(chan))
		chan->again = true;
}

/**
 * pindrop_chan_pump() - give the hardware what it can take, in several sections
 * @chan: the channel
 *
 * Context: dev::chain held, which keeps the engine; channel lock held, released and
 * taken again; may sleep.
 */
void pindrop_chan_pump(struct pindrop_chan *chan)
{
	unsigned int sections = PINDROP_WAKE_SECTIONS;

	while (--sections && pump_some_locked(chan))
		pindrop_chan_breathe(chan);
	if (!sections)
		pindrop_chan_pump_locked(chan);
}

/*
 * Thrown away through no fault of its own, it is done again, once. Source and
 * destination do not overlap: half of it done twice is as good as once. What
 * was in the device's memory may be gone.
 */
static bool piece_replays(struct pindrop_chan *chan,
			  struct pindrop_piece *piece)
{
	struct pindrop_job *job = piece->job;

	return !piece->culprit && !piece->replayed && !job->error &&
	       !(job->uses_devmem && chan->dev->devmem_lost) &&
	       job->state == PINDROP_JOB_QUEUED &&
	       !pindrop_ctx_dead_errno(job->ctx);
}

/**
 * pindrop_piece_done() - the hardware is finished with a piece
 * @piece: as given to issue
 * @status: 0, or -errno if it is not copied; -ECANCELED if it was stopped
 *
 * This is proof: the engine has seen that nothing of @piece is under way.
 *
 * Context: in the engine's service op only (channel lock held).
 */
void pindrop_piece_done(struct pindrop_piece *piece, int status)
{
	struct pindrop_chan *chan = piece->queue;
	struct pindrop_job *job = piece->job;

	lockdep_assert_held(&chan->lock);
	trace_pindrop_piece_done(piece, status);
	if (piece->aborting)
		trace_pindrop_kill_step(chan, job->ctx->id, 2,
					PINDROP_STEP_PROOF, 1);
	if (job->dst.buf)
		pindrop_buf_sync(job->dst.buf, piece->dst_offset, piece->len,
				 true, DMA_FROM_DEVICE);
	/* Behind a cut the hardware is finished, but with what? */
	if (!status && READ_ONCE(chan->dev->state) == PINDROP_DEV_CUT)
		status = -ECANCELED;
	if (status == -ECANCELED && piece_replays(chan, piece)) {
		piece->replayed = true;
		list_move_tail(&piece->node, &chan->replay);
		return;
	}
	if (status == -EIO) {
		pindrop_job_give_up(job, "the hardware reports an error");
	} else if (status == -ECANCELED) {
		status = pindrop_ctx_dead_errno(job->ctx) ?
			 pindrop_ctx_cancel_errno(job->ctx) : -EIO;
		if (status == -EIO)
			pindrop_job_give_up(job, "it was stopped by a reset");
	}
	pindrop_piece_end(chan, piece, status);
}
EXPORT_SYMBOL_GPL(pindrop_piece_done);

static bool chan_has_queued(const struct pindrop_chan *chan)
{
	return !list_empty(&chan->runq) || !list_empty(&chan->waitq);
}

/**
 * pindrop_chan_service_locked() - look at the hardware, go on with what there is
 * @chan: the channel
 *
 * Context: as pindrop_chan_pump_locked(), or from removal.
 * Return: as the engine's service op.
 */
int pindrop_chan_service_locked(struct pindrop_chan *chan)
{
	struct pindrop_dev *dev = chan->dev;
	bool busy;
	int idle;

	lockdep_assert_held(&chan->lock);
	busy = !list_empty(&chan->issued);
	idle = dev->ops->service(dev->engine, chan->id);
	if (chan->state == PINDROP_CHAN_WEDGED && busy &&
	    list_empty(&chan->issued) && !READ_ONCE(dev->closed)) {
		/*
		 * Proof, though late. The channel stays WEDGED while the device
		 * is cut off, or while pindrop_chan_fail_queued() has jobs left.
		 */
		if (READ_ONCE(dev->state) == PINDROP_DEV_RUNNING &&
		    !chan_has_queued(chan))
			pindrop_chan_set_state_locked(chan,
						      PINDROP_CHAN_RUNNING);
		chan->again = true;
	}
	pindrop_chan_pump_locked(chan);
	return idle;
}

/**
 * pindrop_service() - the engine's interrupt: something may be finished
 * @dev: the device
 * @chan: its channel
 *
 * Context: any, hard interrupts included; calls the engine's service op. Does
 * nothing during a reset, when registers may read as anything, nor after
 * pindrop_unregister(); not to be called after pindrop_put().
 */
void pindrop_service(struct pindrop_dev *dev, unsigned int chan)
{
	enum pindrop_dev_state state;
	unsigned long flags;

	spin_lock_irqsave(&dev->chans[chan].lock, flags);
	state = READ_ONCE(dev->state);
	if (dev->chans[chan].state != PINDROP_CHAN_GONE &&
	    (state == PINDROP_DEV_RUNNING || state == PINDROP_DEV_CUT))
		pindrop_chan_service_locked(&dev->chans[chan]);
	pindrop_chan_unlock_irqrestore(&dev->chans[chan], flags);
}
EXPORT_SYMBOL_GPL(pindrop_service);

/**
 * pindrop_chan_passes() - would what needs no hardware be done at once
 * @chan: the channel
 * @ctx: whose
 *
 * Context: ctx::lock held. The channel's is not: whoever stops it now comes
 * too late for what has nothing to do with it.
 * Return: true if all that the context ever queued is over, and the channel
 * takes more. False while jobs are traced, which such a one would not be.
 */
bool pindrop_chan_passes(struct pindrop_chan *chan, struct pindrop_ctx *ctx)
{
	lockdep_assert_held(&ctx->lock);
	return !ctx->live && !pindrop_ctx_dead_errno(ctx) &&
	       READ_ONCE(chan->state) == PINDROP_CHAN_RUNNING &&
	       READ_ONCE(chan->dev->state) == PINDROP_DEV_RUNNING &&
	       !trace_pindrop_job_submit_enabled() &&
	       !trace_pindrop_job_done_enabled() &&
	       !trace_pindrop_job_retire_enabled();
}

/*
 * Sets the state that jobs have on a queue. The loop has up to PINDROP_MAX_JOBS steps,
 * so it runs before the lock is taken.
 */
static void jobs_prepare(struct list_head *jobs)
{
	struct pindrop_job *job;

	/* A job with fences stays WAITING: one may have failed. */
	list_for_each_entry(job, jobs, node)
		if (!job->batch)
			job->state = PINDROP_JOB_QUEUED;
}

/*
 * Queues a list in one splice. The loop writes tickets only, five instructions a job.
 * With tracing on, each job's event is written under the lock, too.
 */
static u64 chan_enqueue(struct pindrop_chan *chan, struct pindrop_ctx *ctx,
			struct list_head *jobs, unsigned int count)
{
	struct pindrop_job *job =
		list_first_entry(jobs, struct pindrop_job, node);
	struct pindrop_queue *queue = &ctx->queues[chan->id];
	unsigned int n = count + job->zero;
	u64 first, ticket;

	lockdep_assert_held(&chan->lock);
	if (job->zero)
		job = list_next_entry(job, node);
	first = pindrop_order_begin_locked(ctx, count, !job->ring);
	ticket = first;
	list_for_each_entry_from(job, jobs, node)
		job->ticket = ticket++;
	if (trace_pindrop_job_submit_enabled())
		list_for_each_entry(job, jobs, node)
			trace_pindrop_job_submit(job, 0);
	/* The jobs' references, until they are retired. */
	refcount_add(n, &ctx->ref.refcount);
	ctx->live += n;
	atomic64_add(n, &chan->dev->stats.inflight);
	if (list_empty(&queue->jobs))
		pindrop_turn_add_locked(queue);
	list_splice_tail_init(jobs, &queue->jobs);
	return first;
}

/*
 * The submitter runs as many batches as its own jobs fill, so that jobs without
 * hardware cost its processor time and not a worker's. Releases the lock.
 */
static void submit_pump_locked(struct pindrop_chan *chan,
			       struct pindrop_ctx *ctx, unsigned int count)
	__releases(&chan->lock)
{
	unsigned int more = count / PINDROP_END_BATCH;

	while (pump_some_locked(chan)) {
		if (!more--) {
			chan->again = true;
			break;
		}
		pindrop_chan_unlock_irq(chan);
		cond_resched();
		spin_lock_irq(&chan->lock);
	}
	spin_lock(&ctx->lock);
	ctx->quiet--;
	spin_unlock(&ctx->lock);
	pindrop_chan_unlock_irq(chan);
}

/* The errno that refuses @count more jobs of a context, or 0. */
static int chan_refuses(struct pindrop_chan *chan, struct pindrop_ctx *ctx,
			unsigned int count)
{
	/* I4. Pairs with the end of the context: see pindrop_ctx_stop(). */
	int err = PINDROP_BROKEN(I4) ? 0 : pindrop_ctx_dead_errno(ctx);

	if (err)
		return err;
	if (chan->state == PINDROP_CHAN_WEDGED)
		return -EIO;
	/* Jobs that are over count until the older jobs' tickets have passed. */
	if (ctx->live + count > PINDROP_MAX_QUEUED ||
	    count > pindrop_order_open(ctx))
		return -EDQUOT;
	return 0;
}

/**
 * pindrop_chan_submit() - queue jobs, all or none
 * @chan: the channel
 * @ctx: whose
 * @jobs: pindrop_job::node, in order; taken over if queued. A clearing job may
 *	come first, and is left on the list if it is not needed
 * @count: jobs without the clearing one
 * @first: ticket of the first
 * @last: ticket of the last
 *
 * Who queues reaps soon after, see ctx::quiet.
 *
 * Context: inside the gate; takes the channel's lock.
 * Return: 0, or -EOWNERDEAD, -ENODEV, -EIO, -EDQUOT, -EBUSY with nothing
 * queued.
 */
int pindrop_chan_submit(struct pindrop_chan *chan, struct pindrop_ctx *ctx,
			struct list_head *jobs, unsigned int count,
			u64 *first, u64 *last)
{
	struct pindrop_job *zero =
		list_first_entry(jobs, struct pindrop_job, node);
	bool clear = false;
	int err;

	if (!zero->zero)
		zero = NULL;
	jobs_prepare(jobs);
	spin_lock_irq(&chan->lock);
	spin_lock(&ctx->lock);
	err = chan_refuses(chan, ctx, count);
	if (err)
		goto out;
	err = pindrop_user_charge(ctx->user, PINDROP_QUOTA_JOBS, count,
				  PINDROP_USER_JOBS);
	if (err)
		goto out;
	if (zero)
		err = pindrop_lease_take(chan, ctx, &clear);
	if (err) {
		pindrop_user_uncharge(ctx->user, PINDROP_QUOTA_JOBS, count);
		goto out;
	}
	if (zero && !clear)
		list_del_init(&zero->node);
	*first = chan_enqueue(chan, ctx, jobs, count);
	*last = ctx->last_ticket;
	if (zero && !clear)
		list_add(&zero->node, jobs);
	WRITE_ONCE(ctx->status->page->submitted, ctx->last_ticket);
	ctx->quiet++;
out:
	spin_unlock(&ctx->lock);
	if (!err)
		submit_pump_locked(chan, ctx, count);
	else
		pindrop_chan_unlock_irq(chan);
	return err;
}
