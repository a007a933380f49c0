// SPDX-License-Identifier: GPL-2.0-only
/*
 * A job from the ioctl that makes it to the report of its end. What becomes
 * of its memory afterwards is the reaper's.
 */
#include "pindrop.h"

#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "trace.h"

static void job_free(struct kref *ref)
{
	kfree(container_of(ref, struct pindrop_job, ref));
}

/**
 * pindrop_job_put() - drop a reference
 * @job: the job
 *
 * Context: any. The job's memory has been dropped by its retirement.
 */
void pindrop_job_put(struct pindrop_job *job)
{
	kref_put(&job->ref, job_free);
}

/* All else in it is 0. */
static void job_init(struct pindrop_job *job, struct pindrop_ctx *ctx,
		     struct pindrop_chan *chan)
{
	kref_init(&job->ref); /* the channel's, until it is retired */
	job->ctx = ctx;
	job->chan = chan;
	INIT_LIST_HEAD(&job->node);
	INIT_LIST_HEAD(&job->uses[0].node);
	INIT_LIST_HEAD(&job->uses[1].node);
}

static struct pindrop_job *job_create(struct pindrop_ctx *ctx,
				      struct pindrop_chan *chan)
{
	struct pindrop_job *job;

	job = kzalloc(sizeof(*job), GFP_KERNEL_ACCOUNT);
	if (job)
		job_init(job, ctx, chan);
	return job;
}

/**
 * pindrop_job_drop_bufs() - drop the memory of a job that is proved over
 * @job: the job
 *
 * Context: process context, no spinlock held.
 */
void pindrop_job_drop_bufs(struct pindrop_job *job)
{
	if (PINDROP_NO_JOBREF)
		return;
	if (job->src.buf && job->src.buf->import)
		pindrop_import_unuse(job->src.buf, &job->uses[0]);
	if (job->dst.buf && job->dst.buf->import)
		pindrop_import_unuse(job->dst.buf, &job->uses[1]);
	if (job->src.buf)
		pindrop_buf_put(job->src.buf);
	if (job->dst.buf)
		pindrop_buf_put(job->dst.buf);
}

/* Not queued: nobody knows of it. */
static void job_destroy(struct pindrop_job *job)
{
	list_del(&job->node);
	pindrop_job_drop_bufs(job);
	if (job->batch)
		pindrop_batch_put(job->batch);
	pindrop_job_put(job);
}

/* One side of a copy that is an address in the owner's memory. */
static int job_set_address(struct pindrop_job *job, struct pindrop_cursor *cur,
			   u32 handle, u64 address, u64 length, bool write)
{
	unsigned int align = pindrop_pin_align(job->ctx->dev);
	struct pindrop_buf *buf;
	u64 end;

	if (handle || address % align || length % align ||
	    check_add_overflow(address, length, &end))
		return -EINVAL;
	buf = pindrop_ring_memory(job->ctx, address, length, write);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	pindrop_buf_seek(cur, buf, 0);
	if (PINDROP_NO_JOBREF)
		pindrop_buf_put(buf);
	return 0;
}

/* One side of a copy: finds the memory, and holds it for the job. */
static int job_set_side(struct pindrop_job *job, struct pindrop_cursor *cur,
			u32 handle, u64 offset, u64 length, bool write)
{
	struct pindrop_dev *dev = job->ctx->dev;
	struct pindrop_buf *buf;
	u64 end, size;
	int err;

	if (check_add_overflow(offset, length, &end) ||
	    !IS_ALIGNED(offset | length, dev->limits.align))
		return -EINVAL;
	if (handle == PINDROP_DEVMEM) {
		cur->at = offset;
		job->uses_devmem = true;
		return end > dev->limits.devmem ? -ERANGE : 0;
	}
	buf = pindrop_buf_get_handle(job->ctx, handle);
	if (!buf) /* dying contexts have none */
		return pindrop_ctx_dead_errno(job->ctx) ?: -ENOENT;
	size = buf->bytes;
	if (end > size) {
		pindrop_buf_put(buf);
		return -ERANGE;
	}
	if (buf->import) {
		err = pindrop_import_use(buf, write, job, offset);
		if (err) {
			pindrop_buf_put(buf);
			return err;
		}
	} else {
		if (buf->pin)
			buf = pindrop_pin_use(job->ctx, buf, offset, length,
					      write);
		if (IS_ERR(buf))
			return PTR_ERR(buf);
		pindrop_buf_seek(cur, buf, offset - buf->of_offset);
	}
	if (PINDROP_NO_JOBREF)
		pindrop_buf_put(buf);
	return 0;
}

static int job_set_src(struct pindrop_job *job,
		       const struct pindrop_job_desc *d)
{
	if (d->flags & PINDROP_SQE_SRC_ADDR)
		return job_set_address(job, &job->src, d->src, d->src_offset,
				       d->length, false);
	return job_set_side(job, &job->src, d->src, d->src_offset, d->length,
			    false);
}

static int job_set_dst(struct pindrop_job *job,
		       const struct pindrop_job_desc *d)
{
	if (d->flags & PINDROP_SQE_DST_ADDR)
		return job_set_address(job, &job->dst, d->dst, d->dst_offset,
				       d->length, true);
	return job_set_side(job, &job->dst, d->dst, d->dst_offset, d->length,
			    true);
}

static int job_set_kind(struct pindrop_job *job, const struct pindrop_job_desc *d)
{
	u64 caps = job->ctx->dev->limits.caps;
	u64 need;

	if (d->src == PINDROP_DEVMEM && d->dst == PINDROP_DEVMEM)
		return -EOPNOTSUPP;
	if (d->src == PINDROP_DEVMEM) {
		job->kind = PINDROP_PIECE_DEV_TO_MEM;
		need = PINDROP_CAP_DEV_TO_MEM;
	} else if (d->dst == PINDROP_DEVMEM) {
		job->kind = PINDROP_PIECE_MEM_TO_DEV;
		need = PINDROP_CAP_MEM_TO_DEV;
	} else {
		job->kind = PINDROP_PIECE_MEM_TO_MEM;
		need = PINDROP_CAP_MEM_TO_MEM;
	}
	return caps & need ? 0 : -EOPNOTSUPP;
}

static int job_fill(struct pindrop_job *job, const struct pindrop_job_desc *d)
{
	const u32 addresses = PINDROP_SQE_SRC_ADDR | PINDROP_SQE_DST_ADDR;
	u64 gap;
	int err;

	job->op = d->op;
	job->user_data = d->user_data;
	if (d->op > PINDROP_OP_COPY ||
	    (d->flags & ~(job->ring ? addresses : 0)))
		return -EOPNOTSUPP;
	if (d->op == PINDROP_OP_NOP)
		return d->flags || d->src || d->dst || d->src_offset ||
		       d->dst_offset || d->length ? -EINVAL : 0;
	if (!d->length)
		return -EINVAL;
	job->length = d->length;
	job->left = d->length;
	err = job_set_kind(job, d);
	if (!err)
		err = job_set_src(job, d);
	if (!err)
		err = job_set_dst(job, d);
	if (err || d->src != d->dst)
		return err;
	gap = d->src_offset > d->dst_offset ? d->src_offset - d->dst_offset :
					      d->dst_offset - d->src_offset;
	return gap < d->length ? -EINVAL : 0;
}

/* Clears the device's memory for its next tenant. */
static int job_add_zero(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
			struct list_head *jobs)
{
	struct pindrop_job *job = job_create(ctx, chan);

	if (!job)
		return -ENOMEM;
	job->op = PINDROP_OP_COPY;
	job->zero = true;
	job->uses_devmem = true;
	job->kind = PINDROP_PIECE_MEM_TO_DEV;
	job->length = ctx->dev->limits.devmem;
	job->left = job->length;
	list_add(&job->node, jobs);
	return 0;
}

/* *index is the element that is refused; if none is, it is left alone. */
static int jobs_create(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
		       const struct pindrop_job_desc *descs, u32 count,
		       struct list_head *jobs, u32 *index)
{
	bool devmem = false;
	struct pindrop_job *job;
	u32 i;
	int err;

	for (i = 0; i < count; i++) {
		/* A pin takes its time, if it has to be looked up. */
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		job = job_create(ctx, chan);
		if (!job)
			return -ENOMEM;
		list_add_tail(&job->node, jobs);
		err = job_fill(job, &descs[i]);
		if (err) {
			*index = i;
			return err;
		}
		devmem |= job->uses_devmem;
	}
	return devmem ? job_add_zero(ctx, chan, jobs) : 0;
}

static int submit_check(struct pindrop_ctx *ctx,
			const struct pindrop_submit *args)
{
	if (args->flags & ~PINDROP_SUBMIT_FLAGS)
		return -EOPNOTSUPP;
	if (args->in_fence && !(args->flags & PINDROP_SUBMIT_IN_FENCE))
		return -EINVAL;
	if (args->eventfd || args->out_fence || args->out_error_index ||
	    args->out_first || args->out_last || !args->count ||
	    args->channel >= ctx->dev->limits.channels)
		return -EINVAL;
	return args->count > PINDROP_MAX_JOBS ? -EDQUOT : 0;
}

/* Whether others have a say in when a buffer may be touched. */
static int batch_share(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
		       struct pindrop_batch **batch, struct pindrop_buf *buf,
		       bool write)
{
	int err = 0;

	if (!buf || !pindrop_buf_resv(buf))
		return 0;
	if (!*batch)
		err = pindrop_batch_create(ctx, chan, batch);
	return err ?: pindrop_batch_share(*batch, buf, write);
}

/* What the jobs have in common, if there is anything. */
static int batch_make(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
		      struct list_head *jobs, struct pindrop_submit_call *call,
		      struct pindrop_batch **batch)
{
	const struct pindrop_submit *args = &call->args;
	struct pindrop_job *job;
	int err = 0;

	if (args->flags)
		err = pindrop_batch_create(ctx, chan, batch);
	if (!err && (args->flags & PINDROP_SUBMIT_IN_FENCE))
		err = pindrop_batch_wait_fd(*batch, args->in_fence);
	if (!err && (args->flags & PINDROP_SUBMIT_OUT_FENCE))
		err = pindrop_batch_add_out(*batch, call);
	list_for_each_entry(job, jobs, node) {
		if (err)
			return err;
		err = batch_share(ctx, chan, batch, job->src.buf, false);
		if (!err)
			err = batch_share(ctx, chan, batch, job->dst.buf, true);
	}
	if (err || !*batch)
		return err;
	list_for_each_entry(job, jobs, node) {
		if (job->zero)
			continue;
		job->batch = *batch;
		kref_get(&job->batch->ref); /* the job's, until it is retired */
		job->batch->left++;
		job->batch->unproved++;
	}
	return 0;
}

/* What was over at once: see ctx::quiet. */
static void reap_done(struct pindrop_ctx *ctx)
{
	if (!list_empty_careful(&ctx->done))
		pindrop_reap(ctx);
}

static int submit_queue(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
			struct list_head *jobs, struct pindrop_batch *batch,
			struct pindrop_submit *args)
{
	int err = -ENODEV, idx;

	if (PINDROP_BROKEN(I4))
		return pindrop_chan_submit(chan, ctx, jobs, args->count,
					   &args->out_first, &args->out_last);
	if (!pindrop_enter(ctx->dev, &idx))
		return err;
	/* Others see that there are jobs: they are queued or fail, at once. */
	if (batch)
		pindrop_batch_publish(batch);
	err = pindrop_chan_submit(chan, ctx, jobs, args->count,
				  &args->out_first, &args->out_last);
	pindrop_exit(ctx->dev, idx);
	return err;
}

static int submit_jobs(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
		       struct list_head *jobs, struct pindrop_submit_call *call)
{
	struct pindrop_batch *batch = NULL;
	int err;

	err = batch_make(ctx, chan, jobs, call, &batch);
	if (!err && batch)
		err = pindrop_batch_begin(batch);
	if (!err) {
		err = submit_queue(ctx, chan, jobs, batch, &call->args);
		if (batch)
			pindrop_batch_end(batch, err);
	}
	if (err)
		pindrop_fence_undo(call);
	else
		reap_done(ctx);
	if (batch)
		pindrop_batch_put(batch);
	return err;
}

/**
 * pindrop_submit() - SUBMIT
 * @ctx: the context
 * @call: see the uapi header; if there is a fence in it afterwards, it is to be
 *	given to pindrop_fence_install() or pindrop_fence_undo()
 *
 * Context: a user process; binds, so no lock may be held.
 * Return: 0 or an errno of the uapi header.
 */
int pindrop_submit(struct pindrop_ctx *ctx, struct pindrop_submit_call *call)
{
	struct pindrop_submit *args = &call->args;
	struct pindrop_chan *chan;
	struct pindrop_job_desc *descs;
	struct pindrop_job *job, *next;
	LIST_HEAD(jobs);
	int err;

	call->fence = NULL;
	err = submit_check(ctx, args);
	if (err)
		return err;
	err = pindrop_ctx_bind(ctx);
	if (!err)
		err = pindrop_order_create(ctx);
	if (err)
		return err;
	descs = vmemdup_user(u64_to_user_ptr(args->jobs),
			     args->count * sizeof(*descs));
	if (IS_ERR(descs))
		return PTR_ERR(descs);

	chan = &ctx->dev->chans[args->channel];
	err = jobs_create(ctx, chan, descs, args->count, &jobs,
			  &args->out_error_index);
	if (!err)
		err = submit_jobs(ctx, chan, &jobs, call);
	list_for_each_entry_safe(job, next, &jobs, node)
		job_destroy(job);
	kvfree(descs);
	return err;
}

/**
 * pindrop_jobs_alloc() - make empty jobs for a ring
 * @ctx: the context
 * @chan: their channel
 * @jobs: where they go
 * @count: how many are wanted
 *
 * Each is to be given to pindrop_submit_each(), or put.
 *
 * Context: process context; may sleep.
 * Return: how many there are.
 */
u32 pindrop_jobs_alloc(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
		       struct pindrop_job **jobs, u32 count)
{
	u32 spare = pindrop_ring_reuse(ctx, jobs, count);
	u32 i;

	for (i = 0; i < count; i++) {
		if (i < spare) {
			memset(jobs[i], 0, sizeof(*jobs[i]));
			job_init(jobs[i], ctx, chan);
		} else {
			jobs[i] = job_create(ctx, chan);
		}
		if (!jobs[i])
			break;
		jobs[i]->ring = true;
	}
	return i;
}

/* Nobody but the ring ever hears of it. */
static void job_refuse(struct pindrop_job *job, int err)
{
	struct pindrop_ctx *ctx = job->ctx;

	pindrop_job_drop_bufs(job);
	job->result = err;
	spin_lock_irq(&ctx->lock);
	pindrop_ring_post_locked(ctx, job);
	spin_unlock_irq(&ctx->lock);
	pindrop_ring_signal(ctx->ring);
	wake_up_all(&ctx->wait);
	pindrop_job_put(job);
}

/* To be filled again. */
static void job_empty(struct pindrop_job *job)
{
	pindrop_job_drop_bufs(job);
	memset(&job->src, 0, sizeof(job->src));
	memset(&job->dst, 0, sizeof(job->dst));
	job->uses_devmem = false;
}

/* Leaves the list empty. */
static void jobs_submit(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
			struct list_head *jobs, unsigned int count)
{
	struct pindrop_job *job, *next;
	int err = -ENODEV, idx;
	u64 first, last;

	if (!count)
		return;
	if (pindrop_enter(ctx->dev, &idx)) {
		err = pindrop_chan_submit(chan, ctx, jobs, count, &first,
					  &last);
		pindrop_exit(ctx->dev, idx);
	}
	if (!err)
		reap_done(ctx);
	list_for_each_entry_safe(job, next, jobs, node) {
		if (job->zero) {
			job_destroy(job);
			continue;
		}
		list_del_init(&job->node);
		job_refuse(job, err);
	}
}

/**
 * pindrop_submit_each() - queue a ring's jobs, each for itself
 * @ctx: the context; the caller keeps its claims up
 * @chan: the channel
 * @jobs: from pindrop_jobs_alloc(); taken over
 * @sqes: what they are to do; the kernel's own copy
 * @count: how many
 *
 * Each is queued, or refused with a completion.
 *
 * Context: the owner, or a thread of ours for him; no lock held.
 * Return: how many; less than @count if the next one is for the owner to do,
 * who did not call. That and what follows is as if it had not been given.
 */
u32 pindrop_submit_each(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
			struct pindrop_job **jobs,
			const struct pindrop_sqe *sqes, u32 count)
{
	unsigned int n = 0;
	LIST_HEAD(list);
	u32 i;
	int err;

	for (i = 0; i < count; i++) {
		err = job_fill(jobs[i], &sqes[i].job);
		if (err == -EAGAIN) {
			job_empty(jobs[i]);
			break;
		}
		if (!err && (sqes[i].reserved[0] || sqes[i].reserved[1]))
			err = -EINVAL;
		if (err) {
			job_refuse(jobs[i], err);
			continue;
		}
		if (jobs[i]->uses_devmem) {
			/* The lease may refuse it, but no other. */
			jobs_submit(ctx, chan, &list, n);
			n = 0;
			err = job_add_zero(ctx, chan, &list);
			if (err) {
				job_refuse(jobs[i], err);
				continue;
			}
		}
		list_add_tail(&jobs[i]->node, &list);
		n++;
		if (jobs[i]->uses_devmem) {
			jobs_submit(ctx, chan, &list, n);
			n = 0;
		}
	}
	jobs_submit(ctx, chan, &list, n);
	return i;
}

static void count_result(struct pindrop_ctx *ctx, int result)
{
	struct pindrop_window *w = ctx->status->page;
	struct pindrop_stats *stats = &ctx->dev->stats;

	lockdep_assert_held(&ctx->lock);
	if (!result) {
		WRITE_ONCE(w->jobs_done, w->jobs_done + 1);
		atomic64_inc(&stats->jobs_done);
	} else if (result == -ECANCELED || result == -ENODEV) {
		WRITE_ONCE(w->jobs_cancelled, w->jobs_cancelled + 1);
		atomic64_inc(&stats->jobs_cancelled);
	} else {
		WRITE_ONCE(w->jobs_failed, w->jobs_failed + 1);
		atomic64_inc(&stats->jobs_failed);
	}
}

/**
 * pindrop_job_pass_locked() - jobs that nothing was made of are done
 * @ctx: the context, of which pindrop_chan_passes() is true
 * @count: how many
 *
 * Context: ctx::lock held.
 */
void pindrop_job_pass_locked(struct pindrop_ctx *ctx, u32 count)
{
	struct pindrop_window *w = ctx->status->page;

	lockdep_assert_held(&ctx->lock);
	WRITE_ONCE(w->jobs_done, w->jobs_done + count);
	atomic64_add(count, &ctx->dev->stats.jobs_done);
	pindrop_order_pass_locked(ctx, count);
	WRITE_ONCE(w->submitted, ctx->last_ticket);
	/* As in job_report(). */
	smp_store_release(&w->ticket, ctx->last_ticket);
}

/* The end of a job, as its owner sees it. Its data is in memory. */
static void job_report(struct pindrop_job *job, int result)
{
	struct pindrop_ctx *ctx = job->ctx;
	struct pindrop_queue *queue = &ctx->queues[job->chan->id];
	bool event = false;

	lockdep_assert_held(&ctx->lock);
	trace_pindrop_job_done(job, result);
	if (job->zero)
		return;
	count_result(ctx, result);
	job->result = result;
	pindrop_order_end_locked(ctx, job->ticket, result);
	/* Pairs with user space's acquire: the data, then the ticket. */
	smp_store_release(&ctx->status->page->ticket, ctx->ticket);
	if (job->ring) {
		pindrop_ring_post_locked(ctx, job);
		event = ctx->ring->eventfd;
	}
	if (job->batch)
		pindrop_batch_over_locked(job, result);
	pindrop_notify_locked(queue, event, false);
}

/* The console may be slow: pindrop_failures_print() writes the line. */
static void note_failure(struct pindrop_job *job, const char *reason)
{
	struct pindrop_dev *dev = job->chan->dev;
	struct pindrop_failure *failure;

	/* The clearing of the device's memory is told by the job it was for. */
	if (job->zero)
		return;
	spin_lock(&dev->failures_lock);
	if (dev->nfailures < PINDROP_FAILURES) {
		failure = &dev->failures[dev->nfailures++];
		failure->reason = reason;
		failure->ctx = job->ctx->id;
		failure->ticket = job->ticket;
		failure->chan = job->chan->id;
	} else {
		dev->more_failures++;
	}
	spin_unlock(&dev->failures_lock);
	queue_work(pindrop_forget_wq, &dev->tell);
}

/**
 * pindrop_failures_print() - a line in the log for each job that failed
 * @dev: its device
 *
 * Context: process context; no lock held.
 */
void pindrop_failures_print(struct pindrop_dev *dev)
{
	struct pindrop_failure failures[PINDROP_FAILURES];
	unsigned int n, more, i;

	spin_lock_irq(&dev->failures_lock);
	memcpy(failures, dev->failures, sizeof(failures));
	n = dev->nfailures;
	more = dev->more_failures;
	dev->nfailures = 0;
	dev->more_failures = 0;
	spin_unlock_irq(&dev->failures_lock);
	for (i = 0; i < n; i++)
		dev_warn_ratelimited(&dev->dev,
				     "queue %u: job %llu of context %llu fails: %s\n",
				     failures[i].chan, failures[i].ticket,
				     failures[i].ctx, failures[i].reason);
	if (more)
		dev_warn_ratelimited(&dev->dev, "%u more jobs fail\n", more);
}

/**
 * pindrop_job_give_up() - have a job fail with -EIO, and the log say why
 * @job: the job; one that fails already keeps its error
 * @reason: constant
 *
 * Context: channel lock held.
 */
void pindrop_job_give_up(struct pindrop_job *job, const char *reason)
{
	lockdep_assert_held(&job->chan->lock);
	if (job->error)
		return;
	job->error = -EIO;
	note_failure(job, reason);
}

/**
 * pindrop_job_finish() - a job is over: report it, let the reaper have it
 * @job: the job; nothing of it is queued or on the hardware
 * @result: 0 or -errno; a job that was LOST has been reported before
 *
 * Context: channel lock held, and released by pindrop_chan_unlock_irq() or
 * pindrop_chan_unlock_irqrestore().
 */
void pindrop_job_finish(struct pindrop_job *job, int result)
{
	bool lost = job->state == PINDROP_JOB_LOST;
	struct pindrop_ctx *ctx = job->ctx;

	lockdep_assert_held(&job->chan->lock);
	job->state = PINDROP_JOB_FINISHED;
	if (job->zero)
		pindrop_chan_cleared_locked(job->chan, !result);
	spin_lock(&ctx->lock);
	if (lost) {
		ctx->lost--;
		pindrop_quarantine_del(job->src.buf);
		pindrop_quarantine_del(job->dst.buf);
		module_put(THIS_MODULE); /* pindrop_job_lose()'s */
	} else {
		job_report(job, result);
	}
	if (job->batch && !job->guard_signalled)
		pindrop_batch_proved_locked(job);
	list_add_tail(&job->node, &ctx->done);
	pindrop_notify_locked(&ctx->queues[job->chan->id], false, false);
	spin_unlock(&ctx->lock);
}

/**
 * pindrop_job_lose() - report a job whose piece the hardware does not finish
 * @job: the job, with pieces on the hardware and none queued
 *
 * Its memory stays where it is until there is proof.
 *
 * Context: channel lock held.
 */
void pindrop_job_lose(struct pindrop_job *job)
{
	struct pindrop_ctx *ctx = job->ctx;

	lockdep_assert_held(&job->chan->lock);
	/* The result is -EIO, also for a job that was cancelled or revoked. */
	if (job->error != -EIO)
		note_failure(job, "the hardware does not finish it");
	job->error = -EIO;
	job->state = PINDROP_JOB_LOST;
	__module_get(THIS_MODULE); /* quarantine's: code that can free it stays */
	pindrop_quarantine_add(job->src.buf, ctx);
	pindrop_quarantine_add(job->dst.buf, ctx);
	spin_lock(&ctx->lock);
	ctx->lost++;
	job_report(job, -EIO);
	pindrop_notify_locked(&ctx->queues[job->chan->id], false, true);
	spin_unlock(&ctx->lock);
}

static void wait_result(struct pindrop_ctx *ctx, struct pindrop_wait *args)
{
	u64 first = args->first ?: args->ticket;

	spin_lock_irq(&ctx->lock);
	args->out_ticket = ctx->ticket;
	args->out_state = ctx->status->page->state;
	if (ctx->ticket < args->ticket) {
		spin_unlock_irq(&ctx->lock);
		return;
	}
	WRITE_ONCE(ctx->reported, max(ctx->reported, args->ticket));
	args->out_result = pindrop_order_find_locked(ctx, first, args->ticket,
						     &args->out_failed);
	spin_unlock_irq(&ctx->lock);
}

static bool wait_over(struct pindrop_ctx *ctx, u64 ticket)
{
	/* Pairs with the release in job_report(), through the lock around it. */
	return smp_load_acquire(&ctx->ticket) >= ticket;
}

/**
 * pindrop_wait() - WAIT
 * @ctx: the context
 * @args: see the uapi header
 *
 * Retires what has finished, so that after it a job's memory is gone too.
 *
 * Context: a process; sleeps, interruptibly; no lock held.
 * Return: 0, -ETIME, -EINVAL, -EOPNOTSUPP or -ERESTARTSYS.
 */
int pindrop_wait(struct pindrop_ctx *ctx, struct pindrop_wait *args)
{
	ktime_t left = KTIME_MAX;
	int err = 0;

	if (args->flags)
		return -EOPNOTSUPP;
	if (args->out_ticket || args->out_result || args->out_state ||
	    args->out_failed || args->first > args->ticket)
		return -EINVAL;
	spin_lock_irq(&ctx->lock);
	if (args->ticket > ctx->last_ticket)
		err = -EINVAL;
	spin_unlock_irq(&ctx->lock);
	if (err)
		return err;

	if (args->timeout_ns < KTIME_MAX)
		left = ktime_sub(args->timeout_ns, ktime_get());
	if (!wait_over(ctx, args->ticket))
		err = left <= 0 ? -ETIME :
		      wait_event_interruptible_hrtimeout(ctx->wait,
							 wait_over(ctx, args->ticket),
							 left);
	pindrop_reap(ctx);
	/* Called again with the same arguments: they have to be good ones. */
	if (err != -ERESTARTSYS)
		wait_result(ctx, args);
	return err;
}
