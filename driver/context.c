// SPDX-License-Identifier: GPL-2.0-only
/*
 * An open file: binding it to its owner, ending it, waiting for its end,
 * and what poll() and fdinfo say of it.
 */
#include "pindrop.h"

#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/proc_fs.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "trace.h"

static const char *const state_names[] = {
	[PINDROP_STATE_OPEN] = "open",
	[PINDROP_STATE_DYING] = "dying",
	[PINDROP_STATE_DRAINED] = "drained",
	[PINDROP_STATE_LOST] = "lost",
	[PINDROP_STATE_GONE] = "gone",
};

static struct pindrop_status *status_create(void)
{
	struct pindrop_status *status;

	status = kzalloc(sizeof(*status), GFP_KERNEL_ACCOUNT);
	if (!status)
		return NULL;
	kref_init(&status->ref);
	status->page = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO,
						get_order(PINDROP_WINDOW_PAGES
							  << PAGE_SHIFT));
	if (!status->page) {
		kfree(status);
		return NULL;
	}
	return status;
}

static void status_free(struct kref *ref)
{
	struct pindrop_status *status =
		container_of(ref, struct pindrop_status, ref);

	free_pages((unsigned long)status->page,
		   get_order(PINDROP_WINDOW_PAGES << PAGE_SHIFT));
	kfree(status);
}

/**
 * pindrop_status_put() - drop a reference to a status window
 * @status: the window
 *
 * Context: any process context, under mmap_lock too; does not sleep.
 */
void pindrop_status_put(struct pindrop_status *status)
{
	kref_put(&status->ref, status_free);
}

/* GONE covers the rest: what became of the context no longer matters. */
static void ctx_set_state_locked(struct pindrop_ctx *ctx, unsigned int state)
{
	struct pindrop_window *window = ctx->status->page;
	bool dying = state == PINDROP_STATE_DYING;

	lockdep_assert_held(&ctx->lock);
	/* Not of one that is bound as it is killed: nobody waits for that. */
	if (READ_ONCE(ctx->owner) && dying != ctx->dying) {
		atomic_add(dying ? 1 : -1, &ctx->owner->dying);
		ctx->dying = dying;
	}
	WRITE_ONCE(ctx->state, state);
	WRITE_ONCE(window->reason, ctx->reason);
	if (READ_ONCE(window->state) != PINDROP_STATE_GONE)
		WRITE_ONCE(window->state, state);
}

/**
 * pindrop_ctx_set_gone() - let the window say that the device is gone
 * @ctx: the context
 *
 * Context: process context, takes ctx::lock.
 */
void pindrop_ctx_set_gone(struct pindrop_ctx *ctx)
{
	spin_lock_irq(&ctx->lock);
	WRITE_ONCE(ctx->status->page->state, PINDROP_STATE_GONE);
	spin_unlock_irq(&ctx->lock);
	wake_up_all(&ctx->wait);
}

static struct pindrop_ctx *ctx_create(struct pindrop_dev *dev)
{
	unsigned int i, n = dev->limits.channels;
	struct pindrop_ctx *ctx;

	ctx = kzalloc(struct_size(ctx, queues, n), GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return NULL;
	kref_init(&ctx->ref); /* the file's */
	ctx->dev = dev;
	ctx->id = atomic64_inc_return(&dev->ids);
	xa_init_flags(&ctx->handles, XA_FLAGS_ALLOC1);
	init_waitqueue_head(&ctx->wait);
	INIT_WORK(&ctx->reap, pindrop_reap_work);
	mutex_init(&ctx->reaping);
	spin_lock_init(&ctx->lock);
	INIT_LIST_HEAD(&ctx->owner_node);
	INIT_LIST_HEAD(&ctx->done);
	ctx->status = status_create();
	ctx->user = pindrop_user_get();
	if (ctx->user)
		ctx->client = pindrop_client_get(dev, ctx->user);
	for (i = 0; ctx->client && i < n; i++) {
		ctx->queues[i].ctx = ctx;
		ctx->queues[i].chan = &dev->chans[i];
		ctx->queues[i].turn = &ctx->client->turns[i];
		INIT_LIST_HEAD(&ctx->queues[i].node);
		INIT_LIST_HEAD(&ctx->queues[i].jobs);
		INIT_LIST_HEAD(&ctx->queues[i].notify);
	}
	return ctx;
}

static void ctx_destroy(struct pindrop_ctx *ctx)
{
	xa_destroy(&ctx->handles);
	if (ctx->status)
		pindrop_status_put(ctx->status);
	if (ctx->client)
		pindrop_client_put(ctx->dev, ctx->client);
	if (ctx->user)
		pindrop_user_put(ctx->user);
	kvfree(ctx->order);
	kfree_rcu(ctx, rcu);
}

/* Removal sets the flag before it takes the lock: it sees us, or we it. */
static int ctx_add(struct pindrop_ctx *ctx)
{
	struct pindrop_dev *dev = ctx->dev;
	int err;

	err = pindrop_user_charge(ctx->user, PINDROP_QUOTA_CONTEXTS, 1,
				  PINDROP_USER_CONTEXTS);
	if (err)
		return err;
	mutex_lock(&dev->lock);
	if (READ_ONCE(dev->closed))
		err = -ENODEV;
	else
		list_add_tail(&ctx->dev_node, &dev->ctxs);
	mutex_unlock(&dev->lock);
	if (err)
		pindrop_user_uncharge(ctx->user, PINDROP_QUOTA_CONTEXTS, 1);
	return err;
}

static int pindrop_open(struct inode *inode, struct file *file)
{
	struct pindrop_dev *dev =
		container_of(inode->i_cdev, struct pindrop_dev, cdev);
	struct pindrop_ctx *ctx;
	int err;

	if (pindrop_chain_wedged(dev))
		return -EIO;
	ctx = ctx_create(dev);
	if (!ctx)
		return -ENOMEM;
	ctx->mapping = file->f_mapping;
	err = ctx->status && ctx->client ? ctx_add(ctx) : -ENOMEM;
	if (err) {
		ctx_destroy(ctx);
		return err;
	}
	get_device(&dev->dev);
	atomic64_inc(&dev->stats.contexts);
	file->private_data = ctx;
	return nonseekable_open(inode, file);
}

static void ctx_free(struct kref *ref)
{
	struct pindrop_ctx *ctx = container_of(ref, struct pindrop_ctx, ref);
	struct pindrop_dev *dev = ctx->dev;

	if (ctx->ring)
		pindrop_ring_put(ctx->ring);
	if (ctx->owner)
		pindrop_owner_del(ctx);
	put_pid(ctx->owner_pid);
	pindrop_user_uncharge(ctx->user, PINDROP_QUOTA_CONTEXTS, 1);
	ctx_destroy(ctx);
	atomic64_dec(&dev->stats.contexts);
	put_device(&dev->dev);
}

/**
 * pindrop_ctx_put() - drop a reference
 * @ctx: the context
 *
 * Context: may sleep (owner::lock); no lock but mmap_lock held.
 */
void pindrop_ctx_put(struct pindrop_ctx *ctx)
{
	kref_put(&ctx->ref, ctx_free);
}

/**
 * pindrop_ctx_dead_errno() - why a context takes nothing any more
 * @ctx: the context
 *
 * Context: any.
 * Return: 0 if it is open, else -ENODEV or -EOWNERDEAD.
 */
int pindrop_ctx_dead_errno(struct pindrop_ctx *ctx)
{
	if (READ_ONCE(ctx->state) == PINDROP_STATE_OPEN)
		return READ_ONCE(ctx->dev->closed) ? -ENODEV : 0;
	return READ_ONCE(ctx->reason) == PINDROP_REASON_OWNER ? -EOWNERDEAD :
								-ENODEV;
}

/**
 * pindrop_ctx_cancel_errno() - what jobs end with that end with their context
 * @ctx: the context; its reason is known
 *
 * Context: any.
 * Return: -ENODEV or -ECANCELED.
 */
int pindrop_ctx_cancel_errno(struct pindrop_ctx *ctx)
{
	return READ_ONCE(ctx->reason) == PINDROP_REASON_REMOVE ? -ENODEV :
								 -ECANCELED;
}

/**
 * pindrop_ctx_check_owner() - may the caller use what the context has
 * @ctx: the context
 *
 * Context: a user process; any locks.
 * Return: 0 (also if nobody is bound yet), -EPERM, -EOWNERDEAD, -ENODEV.
 */
int pindrop_ctx_check_owner(struct pindrop_ctx *ctx)
{
	struct pindrop_owner *owner = READ_ONCE(ctx->owner);
	int err = pindrop_ctx_dead_errno(ctx);

	if (err || !owner)
		return err;
	return owner->mn.mm == current->mm ? 0 : -EPERM;
}

/**
 * pindrop_ctx_bind() - make the caller the owner, unless there is one
 * @ctx: the context
 *
 * Context: a user process; takes mmap_lock for write, so no lock may be held.
 * Return: 0 if the caller is the owner, else -EPERM, -EOWNERDEAD, -ENODEV,
 * -ENOMEM or -ERESTARTSYS.
 */
int pindrop_ctx_bind(struct pindrop_ctx *ctx)
{
	struct pindrop_owner *owner;
	int err;

	if (!current->mm || (current->flags & PF_KTHREAD))
		return -EPERM;
	err = pindrop_ctx_check_owner(ctx);
	if (err || READ_ONCE(ctx->owner))
		return err;

	owner = pindrop_owner_get();
	if (IS_ERR(owner))
		return PTR_ERR(owner);
	err = pindrop_owner_add(owner, ctx);
	if (err) {
		pindrop_owner_put(owner);
		return err == -EEXIST ? pindrop_ctx_check_owner(ctx) : err;
	}
	trace_pindrop_bind(ctx, task_tgid_nr(current));
	return 0;
}

/* A dead tenant keeps nobody out, even if somebody still holds its file. */
static void ctx_end_lease_locked(struct pindrop_ctx *ctx)
{
	struct pindrop_dev *dev = ctx->dev;

	lockdep_assert_held(&ctx->lock);
	spin_lock(&dev->lease_lock);
	if (dev->lease == ctx->id)
		dev->lease = 0;
	spin_unlock(&dev->lease_lock);
}

/**
 * pindrop_ctx_settle_locked() - move a dying context on, if it can be
 * @ctx: the context
 *
 * To be called when something that keeps it from its next state has gone.
 * Who waits for the context is to be woken.
 *
 * Context: ctx::lock held.
 */
void pindrop_ctx_settle_locked(struct pindrop_ctx *ctx)
{
	unsigned int state = ctx->state;

	lockdep_assert_held(&ctx->lock);
	if (state == PINDROP_STATE_OPEN || !ctx->dropped || ctx->claims ||
	    ctx->untold)
		return;
	if (!ctx->live) {
		state = PINDROP_STATE_DRAINED;
		ctx_end_lease_locked(ctx);
	} else if (ctx->live == ctx->lost) {
		state = PINDROP_STATE_LOST;
	}
	if (state != ctx->state)
		ctx_set_state_locked(ctx, state);
}

/**
 * pindrop_ctx_settled() - is there nothing left to wait for
 * @ctx: the context
 *
 * Context: any.
 * Return: true if its state is DRAINED or LOST.
 */
bool pindrop_ctx_settled(struct pindrop_ctx *ctx)
{
	/* Pairs with the unlock after the counters were written. */
	unsigned int state = smp_load_acquire(&ctx->state);

	return state == PINDROP_STATE_DRAINED || state == PINDROP_STATE_LOST;
}

static bool ctx_has_news(struct pindrop_ctx *ctx)
{
	return pindrop_ctx_settled(ctx) || !list_empty_careful(&ctx->done);
}

/**
 * pindrop_ctx_wait() - wait until a dying context is settled
 * @ctx: the context; the caller holds a reference
 * @deadline: end of the wait (jiffies)
 * @killable: it ends, too, if the caller is killed
 *
 * Retires finished jobs itself: the queue that usually does may be busy with
 * somebody else's kill chain.
 *
 * Context: sleeps, bounded, and uninterruptibly unless @killable; no lock held.
 */
void pindrop_ctx_wait(struct pindrop_ctx *ctx, unsigned long deadline,
		      bool killable)
{
	long left;

	for (;;) {
		pindrop_reap(ctx);
		left = deadline - jiffies;
		if (pindrop_ctx_settled(ctx) || left <= 0)
			return;
		if (!killable)
			wait_event_timeout(ctx->wait, ctx_has_news(ctx), left);
		else if (wait_event_killable_timeout(ctx->wait,
						     ctx_has_news(ctx),
						     left) < 0)
			return;
	}
}

/**
 * pindrop_ctx_end_work() - end a context's reap work, and its reference
 * @ctx: the context; the caller holds a reference
 *
 * Finished jobs that the work was queued for are retired here.
 *
 * Context: process context; waits for the work if it runs.
 */
void pindrop_ctx_end_work(struct pindrop_ctx *ctx)
{
	if (cancel_work_sync(&ctx->reap))
		pindrop_ctx_put(ctx);
	pindrop_reap(ctx);
}

/**
 * pindrop_ctx_stop() - K0 and K1: nothing of a context begins any more
 * @ctx: the context; the caller holds a reference
 * @reason: enum pindrop_reason; the first one counts
 *
 * When it returns nothing of the context is queued, and the rest of the chain
 * has been started for the pieces on the hardware; also if another path has
 * stopped the context only half way. The caller calls pindrop_ctx_drop() next.
 *
 * Context: process context; dev::lock may be held, owner::lock not. Waits for
 * no hardware, and drops no memory.
 * Return: when waits for it end (jiffies).
 */
unsigned long pindrop_ctx_stop(struct pindrop_ctx *ctx, unsigned int reason)
{
	struct pindrop_owner *owner = READ_ONCE(ctx->owner);
	unsigned long deadline = jiffies;
	struct pindrop_dev *dev = ctx->dev;
	unsigned int i;
	bool first;

	/* Without an owner there was never a job. */
	if (owner)
		deadline = pindrop_owner_deadline(owner);

	/*
	 * K0. Submission reads the state under the channel's lock, which K1
	 * takes after this: a job is refused there or cancelled here.
	 */
	spin_lock_irq(&ctx->lock);
	first = ctx->state == PINDROP_STATE_OPEN;
	/* pindrop_notify_end() wakes once for all cancelled jobs. */
	ctx->quiet++;
	if (first) {
		ctx->reason = reason;
		if (!PINDROP_BROKEN(K0))
			ctx_set_state_locked(ctx, PINDROP_STATE_DYING);
	}
	spin_unlock_irq(&ctx->lock);
	if (first)
		trace_pindrop_ctx_kill(ctx);
	else if (READ_ONCE(ctx->stopped))
		goto out;

	for (i = 0; i < dev->limits.channels; i++)
		pindrop_chan_cancel(&dev->chans[i], ctx,
				    pindrop_ctx_cancel_errno(ctx));
	if (PINDROP_BROKEN(K0)) {
		/* Too late, and so that it matters. */
		msleep(100);
		spin_lock_irq(&ctx->lock);
		ctx_set_state_locked(ctx, PINDROP_STATE_DYING);
		spin_unlock_irq(&ctx->lock);
	}
	pindrop_ring_kill(ctx);
	for (i = 0; i < dev->limits.channels; i++)
		pindrop_chain_kick(&dev->chans[i]);
	WRITE_ONCE(ctx->stopped, true);
out:
	pindrop_notify_end(ctx);
	return deadline;
}

/**
 * pindrop_ctx_drop() - drop what a stopped context holds
 * @ctx: the context; the caller holds a reference
 *
 * Unpinning gigabytes takes long. If another path drops the context, too, both
 * share the work, and the context settles when the last one is done.
 *
 * Context: process context; dev::lock may be held, owner::lock not: the last
 * reference but the caller's may go. Waits for no hardware.
 */
void pindrop_ctx_drop(struct pindrop_ctx *ctx)
{
	bool over;

	spin_lock_irq(&ctx->lock);
	over = ctx->dropped;
	if (!over)
		ctx->droppers++;
	spin_unlock_irq(&ctx->lock);
	if (over)
		return;
	/* Pairs with pindrop_buf_publish(): we find its handle, or it our state. */
	smp_mb();
	pindrop_buf_drop_all(ctx);
	spin_lock_irq(&ctx->lock);
	ctx->dropped = !--ctx->droppers;
	spin_unlock_irq(&ctx->lock);
	pindrop_reap(ctx);
}

/**
 * pindrop_ctx_hand_over() - have the reaper do that
 * @ctx: the context, stopped
 *
 * Context: any process context; does not wait.
 */
void pindrop_ctx_hand_over(struct pindrop_ctx *ctx)
{
	WRITE_ONCE(ctx->handed_over, true);
	kref_get(&ctx->ref); /* the work's, if it was not queued */
	if (!queue_work(pindrop_reap_wq, &ctx->reap))
		pindrop_ctx_put(ctx);
}

/*
 * Who closes a file wants to know that it is over. Nobody is left to be told
 * where a task ends, is killed, or is the kernel's own; the owner's death has
 * a wait of its own, and a task with many files would wait for each.
 */
static bool close_waits(void)
{
	return !(current->flags & (PF_EXITING | PF_KTHREAD)) &&
	       !PINDROP_BROKEN(wait);
}

/* The last reference to the file is gone; all its mappings are, too. */
static int pindrop_release(struct inode *inode, struct file *file)
{
	struct pindrop_ctx *ctx = file->private_data;
	struct pindrop_dev *dev = ctx->dev;
	unsigned long deadline;
	bool first;

	trace_pindrop_file_release(ctx);
	/* Who found it dying already has waited for it, or does. */
	first = READ_ONCE(ctx->state) == PINDROP_STATE_OPEN;
	deadline = pindrop_ctx_stop(ctx, PINDROP_REASON_CLOSE);
	pindrop_ctx_drop(ctx);
	mutex_lock(&dev->lock);
	list_del(&ctx->dev_node);
	mutex_unlock(&dev->lock);
	/* A kill ends this wait. The farewell goes on with it, to this deadline. */
	if (first && close_waits())
		pindrop_ctx_wait(ctx, deadline, true);
	/*
	 * The work must not keep the context beyond close(). A work that drops the
	 * handles may unpin gigabytes, and close() does not wait for that.
	 */
	if (!READ_ONCE(ctx->handed_over))
		pindrop_ctx_end_work(ctx);
	pindrop_ctx_put(ctx);
	return 0;
}

static __poll_t pindrop_poll(struct file *file, struct poll_table_struct *wait)
{
	struct pindrop_ctx *ctx = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &ctx->wait, wait);
	if (pindrop_ctx_dead_errno(ctx))
		mask |= EPOLLERR | EPOLLHUP;
	if (READ_ONCE(ctx->plain) > READ_ONCE(ctx->reported) ||
	    pindrop_ring_readable(ctx))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

static u64 ctx_bytes(struct pindrop_ctx *ctx, bool pins)
{
	struct pindrop_buf *buf;
	unsigned long handle;
	u64 bytes = 0;

	rcu_read_lock();
	xa_for_each(&ctx->handles, handle, buf)
		if (!!buf->pin == pins)
			bytes += buf->bytes;
	rcu_read_unlock();
	return bytes;
}

static void pindrop_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct pindrop_ctx *ctx = file->private_data;
	struct pindrop_window *w = ctx->status->page;
	struct pid_namespace *ns = proc_pid_ns(file_inode(m->file)->i_sb);
	/* Pairs with the release in pindrop_ring_commit(). */
	struct pindrop_ring *ring = smp_load_acquire(&ctx->ring);
	u32 overflow = 0;
	u64 consumed = 0;
	unsigned int live;

	spin_lock_irq(&ctx->lock);
	live = ctx->live;
	if (ring) {
		consumed = ring->consumed;
		overflow = ring->overflow;
	}
	spin_unlock_irq(&ctx->lock);
	seq_puts(m, "pindrop-driver:\tpindrop\n");
	seq_printf(m, "pindrop-engine:\t%s\n", ctx->dev->limits.name);
	seq_printf(m, "pindrop-pdev:\t%s\n", ctx->dev->parent_name);
	seq_printf(m, "pindrop-client-id:\t%llu\n", ctx->id);
	seq_printf(m, "pindrop-state:\t%s\n",
		   state_names[READ_ONCE(w->state)]);
	seq_printf(m, "pindrop-owner:\t%d\n",
		   pid_nr_ns(READ_ONCE(ctx->owner_pid), ns));
	seq_printf(m, "pindrop-total-memory:\t%llu KiB\n",
		   ctx_bytes(ctx, false) >> 10);
	seq_printf(m, "pindrop-pinned-memory:\t%llu KiB\n",
		   ctx_bytes(ctx, true) >> 10);
	seq_printf(m, "pindrop-handles:\t%llu\n", READ_ONCE(w->buffers));
	seq_printf(m, "pindrop-inflight:\t%u\n", live);
	seq_printf(m, "pindrop-jobs-done:\t%llu\n", READ_ONCE(w->jobs_done));
	seq_printf(m, "pindrop-jobs-failed:\t%llu\n",
		   READ_ONCE(w->jobs_failed));
	seq_printf(m, "pindrop-jobs-cancelled:\t%llu\n",
		   READ_ONCE(w->jobs_cancelled));
	if (!ring)
		return;
	seq_printf(m, "pindrop-ring-entries:\t%u\n", ring->entries);
	seq_printf(m, "pindrop-ring-consumed:\t%llu\n", consumed);
	seq_printf(m, "pindrop-ring-overflow:\t%u\n", overflow);
}

/* Called by living processes, too: a hint, which ends nothing. */
static int pindrop_flush(struct file *file, fl_owner_t id)
{
	if (current->flags & PF_EXITING)
		pindrop_ring_wake(file->private_data);
	return 0;
}

const struct file_operations pindrop_fops = {
	.owner = THIS_MODULE,
	.open = pindrop_open,
	.flush = pindrop_flush,
	.release = pindrop_release,
	.poll = pindrop_poll,
	.mmap = pindrop_mmap,
	.get_unmapped_area = pindrop_get_unmapped_area,
	.unlocked_ioctl = pindrop_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = pindrop_show_fdinfo,
};
