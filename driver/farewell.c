// SPDX-License-Identifier: GPL-2.0-only
/*
 * The wait of a death.
 *
 * The notifier's release hook runs inside an SRCU section that all address
 * spaces of the machine share: a wait there delays every other process's death.
 * So the hook only stops the contexts, and gives away a file without a
 * descriptor. Its release runs as task work of the task that dropped the last
 * use of the address space, after exit_mmap() and before that task is reported
 * dead (or before the new program of an exec begins): it drops the handles and
 * waits for the hardware. The page frames of the address space are freed
 * meanwhile; those that the device can reach are held by their buffers.
 */
#include "pindrop.h"

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "trace.h"

static bool ctx_is_unparted(struct pindrop_ctx *ctx)
{
	return !READ_ONCE(ctx->parted);
}

static bool ctx_is_unsettled(struct pindrop_ctx *ctx)
{
	return !pindrop_ctx_settled(ctx);
}

/* Drops the handles of all contexts, or has the reaper do it. */
static void part(struct pindrop_owner *owner,
		 void (*drop)(struct pindrop_ctx *ctx))
{
	struct pindrop_ctx *ctx;

	while ((ctx = pindrop_owner_find(owner, ctx_is_unparted))) {
		WRITE_ONCE(ctx->parted, true);
		drop(ctx);
		pindrop_ctx_put(ctx);
	}
}

static bool ctx_is_unended(struct pindrop_ctx *ctx)
{
	return !READ_ONCE(ctx->ended);
}

/*
 * If a file was closed while the hardware had one of its requests, the reap work may
 * hold the context's last reference after it has settled.
 */
static void end_works(struct pindrop_owner *owner)
{
	struct pindrop_ctx *ctx;

	while ((ctx = pindrop_owner_find(owner, ctx_is_unended))) {
		WRITE_ONCE(ctx->ended, true);
		/* A work that drops the handles may unpin gigabytes. */
		if (pindrop_ctx_settled(ctx) && !READ_ONCE(ctx->handed_over))
			pindrop_ctx_end_work(ctx);
		pindrop_ctx_put(ctx);
	}
}

/* False if the deadline passed before every context was settled. */
static bool wait_for_all(struct pindrop_owner *owner)
{
	struct pindrop_ctx *ctx;
	unsigned int left = 0;
	bool settled = true;

	mutex_lock(&owner->lock);
	list_for_each_entry(ctx, &owner->ctxs, owner_node)
		left++;
	mutex_unlock(&owner->lock);
	/* Also when the time is up each of them is looked at, and reaped. */
	while (left-- && (ctx = pindrop_owner_find(owner, ctx_is_unsettled))) {
		pindrop_ctx_wait(ctx, owner->deadline, owner->killable);
		settled &= pindrop_ctx_settled(ctx);
		pindrop_ctx_put(ctx);
	}
	return settled;
}

static int farewell_release(struct inode *inode, struct file *file)
{
	struct pindrop_owner *owner = file->private_data;
	bool drained = false;

	/* With one that was not needed nothing ends. */
	if (READ_ONCE(owner->given) != file)
		goto out;
	cancel_delayed_work_sync(&owner->backstop);
	if (current->flags & PF_KTHREAD) {
		/* The worker that runs those of kernel threads is everybody's. */
		part(owner, pindrop_ctx_hand_over);
	} else {
		part(owner, pindrop_ctx_drop);
		if (!PINDROP_BROKEN(wait))
			drained = wait_for_all(owner);
		end_works(owner);
	}
	trace_pindrop_release_end(ktime_us_delta(ktime_get(), owner->begin),
				  drained);
out:
	pindrop_owner_put(owner);
	return 0;
}

static const struct file_operations farewell_fops = {
	.owner = THIS_MODULE,
	.release = farewell_release,
};

/**
 * pindrop_farewell_backstop() - the deadline has passed without a farewell
 * @work: pindrop_owner::backstop
 *
 * The dying task closes its other files before, and some of those may take
 * their time. What it has of ours goes back in ours.
 *
 * Context: pindrop_reap_wq. The file holds the owner, and its release waits for
 * this.
 */
void pindrop_farewell_backstop(struct work_struct *work)
{
	struct pindrop_owner *owner = container_of(to_delayed_work(work),
						   struct pindrop_owner,
						   backstop);

	part(owner, pindrop_ctx_hand_over);
}

/**
 * pindrop_farewell_give() - an address space has ended: let its farewell come
 * @owner: the owner, all of whose contexts are stopped
 *
 * Context: the notifier's release hook; does not wait.
 */
void pindrop_farewell_give(struct pindrop_owner *owner)
{
	struct file *file;
	long left;

	mutex_lock(&owner->lock);
	file = owner->farewell;
	owner->farewell = NULL;
	WRITE_ONCE(owner->given, file);
	left = owner->deadline - jiffies;
	mutex_unlock(&owner->lock);
	if (!file)
		return;
	queue_delayed_work(pindrop_reap_wq, &owner->backstop, max(left, 0L));
	fput(file);
}

/**
 * pindrop_farewell_put() - an owner has no contexts any more, and lives
 * @file: its farewell file, which is not needed
 *
 * Context: process context; no lock held. The module is not in use by it when
 * a kernel thread returns from here, or a task to its program.
 */
void pindrop_farewell_put(struct file *file)
{
	if (current->flags & PF_KTHREAD)
		__fput_sync(file);
	else
		fput(file);
}

/**
 * pindrop_farewell_create() - make the farewell file of the caller's owner
 *
 * It holds the owner. It is made at binding, so that a death allocates nothing.
 *
 * Context: a user process; takes mmap_lock for write, so no lock may be held.
 * Return: the file, to be put in owner::farewell or given to fput(); or
 * ERR_PTR(): -ENOMEM (also at the system's limit of files), -ERESTARTSYS.
 */
struct file *pindrop_farewell_create(void)
{
	struct pindrop_owner *owner;
	struct file *file;

	owner = pindrop_owner_get();
	if (IS_ERR(owner))
		return ERR_CAST(owner);
	file = anon_inode_getfile("[pindrop-farewell]", &farewell_fops, owner,
				  O_RDWR);
	if (!IS_ERR(file))
		return file;
	pindrop_owner_put(owner);
	return ERR_PTR(-ENOMEM);
}
