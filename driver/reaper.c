// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of jobs that are over: their memory is dropped, here and
 * nowhere else. Only proof makes a job be over: see chain.c.
 */
#include "pindrop.h"

#include "trace.h"

struct workqueue_struct *pindrop_reap_wq;

static void job_retire(struct pindrop_job *job)
{
	struct pindrop_ctx *ctx = job->ctx;
	struct pindrop_dev *dev = ctx->dev;

	trace_pindrop_job_retire(job, job->result);
	pindrop_job_drop_bufs(job);
	if (job->batch)
		pindrop_batch_put(job->batch);
	atomic64_dec(&dev->stats.inflight);
	if (!job->zero) /* the user did not ask for that one */
		pindrop_user_uncharge(ctx->user, PINDROP_QUOTA_JOBS, 1);
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
	struct pindrop_ring *stalled = NULL;
	struct pindrop_job *job, *next;
	unsigned int count = 0;
	LIST_HEAD(spare);
	LIST_HEAD(done);

	mutex_lock(&ctx->reaping);
	spin_lock_irq(&ctx->lock);
	list_splice_init(&ctx->done, &done);
	spin_unlock_irq(&ctx->lock);
	list_for_each_entry_safe(job, next, &done, node) {
		job_retire(job);
		list_del(&job->node);
		/* Nobody else can get at it: its ring may have it again. */
		if (job->ring && kref_read(&job->ref) == 1)
			list_add(&job->node, &spare);
		else
			pindrop_job_put(job);
		count++;
	}
	spin_lock_irq(&ctx->lock);
	ctx->live -= count;
	pindrop_ring_stash_locked(ctx, &spare);
	if (ctx->ring && ctx->ring->stalled &&
	    pindrop_ring_ready(ctx, ctx->ring))
		stalled = ctx->ring;
	pindrop_ctx_settle_locked(ctx);
	spin_unlock_irq(&ctx->lock);
	/* First: a dying process may wait for this. */
	wake_up_all(&ctx->wait);
	if (stalled)
		wake_up_all(&stalled->wait);
	mutex_unlock(&ctx->reaping);
	list_for_each_entry_safe(job, next, &spare, node)
		pindrop_job_put(job);
}

/**
 * pindrop_reap_work() - the same, for those who need not wait for it
 * @work: pindrop_ctx::reap
 */
void pindrop_reap_work(struct work_struct *work)
{
	struct pindrop_ctx *ctx = container_of(work, struct pindrop_ctx, reap);

	/* Pairs with the queueing in pindrop_ctx_hand_over(). */
	if (READ_ONCE(ctx->handed_over))
		pindrop_ctx_drop(ctx);
	pindrop_reap(ctx);
	pindrop_ctx_put(ctx); /* the work's own */
}
