// SPDX-License-Identifier: GPL-2.0-only
/*
 * The owner of contexts is an address space. The notifier's release is the
 * only hook that fires in every death: with the file passed on, with nothing
 * mapped, in exec and under the OOM killer. It runs before the first page
 * table entry goes.
 */
#include "pindrop.h"

#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "trace.h"

static struct pindrop_owner *to_pindrop_owner(struct mmu_notifier *mn)
{
	return container_of(mn, struct pindrop_owner, mn);
}

/**
 * pindrop_owner_deadline() - when the waits of a death end
 * @owner: whose context is about to be killed, or was
 *
 * A process with many files waits once for all of them, not once for each.
 * A context that outlasts a deadline takes nothing from the next death's.
 *
 * Context: may sleep (owner::lock).
 * Return: jiffies.
 */
unsigned long pindrop_owner_deadline(struct pindrop_owner *owner)
{
	unsigned long deadline;

	mutex_lock(&owner->lock);
	if (!atomic_read(&owner->dying) ||
	    time_after_eq(jiffies, owner->deadline))
		owner->deadline = jiffies +
				  msecs_to_jiffies(PINDROP_DEADLINE_MS);
	deadline = owner->deadline;
	mutex_unlock(&owner->lock);
	return deadline;
}

static bool ctx_is_open(struct pindrop_ctx *ctx)
{
	return READ_ONCE(ctx->state) == PINDROP_STATE_OPEN;
}

static bool ctx_is_unsettled(struct pindrop_ctx *ctx)
{
	return !pindrop_ctx_settled(ctx);
}

/*
 * A context that is as asked for, with a reference. The lock is dropped in
 * between: with its last reference a context leaves the list under the lock.
 * What was looked at is behind what was not the next time.
 */
static struct pindrop_ctx *owner_find(struct pindrop_owner *owner,
				      bool (*wanted)(struct pindrop_ctx *ctx))
{
	struct pindrop_ctx *ctx, *found = NULL;

	mutex_lock(&owner->lock);
	list_for_each_entry(ctx, &owner->ctxs, owner_node) {
		if (!wanted(ctx) || !kref_get_unless_zero(&ctx->ref))
			continue;
		found = ctx;
		list_move(&owner->ctxs, &ctx->owner_node);
		break;
	}
	mutex_unlock(&owner->lock);
	return found;
}

/* False if the deadline passed before every context was settled. */
static bool owner_wait(struct pindrop_owner *owner, unsigned long deadline)
{
	struct pindrop_ctx *ctx;
	bool settled;

	while ((ctx = owner_find(owner, ctx_is_unsettled))) {
		pindrop_ctx_wait(ctx, deadline);
		settled = pindrop_ctx_settled(ctx);
		pindrop_ctx_put(ctx);
		if (!settled)
			return false;
	}
	return true;
}

/*
 * The address space ends. Called without mmap_lock, inside the SRCU section
 * that all address spaces share: the stay is short and bounded. May be called
 * once only for a notifier from mmu_notifier_get().
 */
static void owner_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct pindrop_owner *owner = to_pindrop_owner(mn);
	ktime_t begin = ktime_get();
	struct pindrop_ctx *ctx;
	unsigned int contexts = 0;
	unsigned long deadline;
	bool drained = false;

	mutex_lock(&owner->lock);
	list_for_each_entry(ctx, &owner->ctxs, owner_node)
		contexts++;
	trace_pindrop_release_begin(atomic_read(&mm->mm_users),
				    atomic_read(&mm->mm_count), contexts);
	mutex_unlock(&owner->lock);
	deadline = pindrop_owner_deadline(owner);

	while ((ctx = owner_find(owner, ctx_is_open))) {
		pindrop_ctx_kill(ctx, PINDROP_REASON_OWNER);
		pindrop_ctx_put(ctx);
	}
	if (!PINDROP_BROKEN(wait))
		drained = owner_wait(owner, deadline);
	trace_pindrop_release_end(ktime_us_delta(ktime_get(), begin), drained);
}

/* Called with mmap_lock held for write. */
static struct mmu_notifier *owner_alloc(struct mm_struct *mm)
{
	struct pindrop_owner *owner;

	owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);
	if (!owner)
		return ERR_PTR(-ENOMEM);
	mutex_init(&owner->lock);
	INIT_LIST_HEAD(&owner->ctxs);
	return &owner->mn;
}

static void owner_free(struct mmu_notifier *mn)
{
	kfree(to_pindrop_owner(mn));
}

static const struct mmu_notifier_ops owner_ops = {
	.release = owner_release,
	.alloc_notifier = owner_alloc,
	.free_notifier = owner_free,
};

/**
 * pindrop_owner_get() - the owner that stands for the caller's address space
 *
 * Context: a user process; takes mmap_lock for write, so no lock may be held.
 * Return: a reference, or ERR_PTR(): -ENOMEM, -ERESTARTSYS for a signal.
 */
struct pindrop_owner *pindrop_owner_get(void)
{
	struct mmu_notifier *mn = mmu_notifier_get(&owner_ops, current->mm);

	if (IS_ERR(mn))
		return PTR_ERR(mn) == -EINTR ? ERR_PTR(-ERESTARTSYS) :
					       ERR_CAST(mn);
	return to_pindrop_owner(mn);
}

/**
 * pindrop_owner_put() - drop a reference
 * @owner: from pindrop_owner_get()
 *
 * Context: process context, does not sleep. Right inside the release hook too:
 * the owner is freed after that hook's SRCU section.
 */
void pindrop_owner_put(struct pindrop_owner *owner)
{
	mmu_notifier_put(&owner->mn);
}
