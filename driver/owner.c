// SPDX-License-Identifier: GPL-2.0-only
/*
 * The owner of contexts is an address space. The notifier's release is the
 * only hook that fires in every death: with the file passed on, with nothing
 * mapped, in exec and under the OOM killer. It runs before the first page
 * table entry goes.
 */
#include "pindrop.h"

#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "trace.h"

static struct pindrop_owner *to_pindrop_owner(struct mmu_notifier *mn)
{
	return container_of(mn, struct pindrop_owner, mn);
}

/*
 * mmu_notifier_put() keeps the SRCU busy that the next death has to wait for.
 * So references are put a while later, and many together.
 */
#define LATE_MAX 64
static void owners_put(struct work_struct *work);
static DECLARE_DELAYED_WORK(late_work, owners_put);
static DEFINE_SPINLOCK(late_lock);
static LIST_HEAD(late); /* pindrop_owner::late_node; under late_lock */
static unsigned int late_count; /* of references; the same */

static void owner_set_deadline_locked(struct pindrop_owner *owner)
{
	lockdep_assert_held(&owner->lock);
	/* However long it takes to stop all, the death has but one. */
	if (!owner->over && (!atomic_read(&owner->dying) ||
			     time_after_eq(jiffies, owner->deadline)))
		owner->deadline = jiffies +
				  msecs_to_jiffies(PINDROP_DEADLINE_MS);
}

/**
 * pindrop_owner_deadline() - when the waits of a death end
 * @owner: whose context is about to be stopped, or was
 *
 * A process with many files waits once for all of them, not once for each; and
 * a close() that is waiting when its process is killed has begun that wait.
 * A context that outlasts a deadline takes nothing from the next death's.
 *
 * Context: may sleep (owner::lock).
 * Return: jiffies.
 */
unsigned long pindrop_owner_deadline(struct pindrop_owner *owner)
{
	unsigned long deadline;

	mutex_lock(&owner->lock);
	owner_set_deadline_locked(owner);
	deadline = owner->deadline;
	mutex_unlock(&owner->lock);
	return deadline;
}

/**
 * pindrop_owner_find() - one of an owner's contexts
 * @owner: the owner
 * @wanted: says whether it is one that is looked for
 *
 * The lock is dropped in between: with its last reference a context leaves the
 * list under the lock. What was looked at is behind what was not the next time.
 *
 * Context: may sleep (owner::lock).
 * Return: a reference to a context, or NULL.
 */
struct pindrop_ctx *pindrop_owner_find(struct pindrop_owner *owner,
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

/* Somebody else may be about to stop it, and have no time to. */
static bool ctx_is_unstopped(struct pindrop_ctx *ctx)
{
	return !READ_ONCE(ctx->stopped);
}

/*
 * The address space ends. Called without mmap_lock, inside the SRCU section
 * that all address spaces share: nothing is waited for here, and all contexts
 * are stopped before the handles of the first one are dropped. May be called
 * once only for a notifier from mmu_notifier_get().
 */
static void owner_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct pindrop_owner *owner = to_pindrop_owner(mn);
	unsigned int contexts = 0;
	struct pindrop_ctx *ctx;

	owner->begin = ktime_get();
	owner->killable = !(current->flags & PF_EXITING) && !current->in_execve;
	mutex_lock(&owner->lock);
	list_for_each_entry(ctx, &owner->ctxs, owner_node)
		contexts++;
	trace_pindrop_release_begin(atomic_read(&mm->mm_users),
				    atomic_read(&mm->mm_count), contexts);
	owner_set_deadline_locked(owner);
	owner->over = true;
	mutex_unlock(&owner->lock);

	while ((ctx = pindrop_owner_find(owner, ctx_is_unstopped))) {
		pindrop_ctx_stop(ctx, PINDROP_REASON_OWNER);
		pindrop_ctx_put(ctx);
	}
	pindrop_farewell_give(owner);
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
	INIT_LIST_HEAD(&owner->late_node);
	INIT_DELAYED_WORK(&owner->backstop, pindrop_farewell_backstop);
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
 * pindrop_owner_add() - let a context have its owner
 * @owner: the caller's; ctx::owner is its reference from here on
 * @ctx: the context
 *
 * An owner has a farewell file as long as it has contexts.
 *
 * Context: a user process; takes mmap_lock for write, so no lock may be held.
 * Return: 0; -EEXIST: it has an owner, and @owner is still the caller's;
 * -ENOMEM or -ERESTARTSYS: the same.
 */
int pindrop_owner_add(struct pindrop_owner *owner, struct pindrop_ctx *ctx)
{
	struct file *file = NULL;
	int err = 0;

	mutex_lock(&owner->lock);
	if (!owner->farewell) {
		mutex_unlock(&owner->lock);
		file = pindrop_farewell_create();
		if (IS_ERR(file))
			return PTR_ERR(file);
		mutex_lock(&owner->lock);
	}
	if (cmpxchg(&ctx->owner, NULL, owner)) {
		err = -EEXIST;
	} else {
		ctx->owner_pid = get_task_pid(current, PIDTYPE_TGID);
		list_add_tail(&ctx->owner_node, &owner->ctxs);
		if (!owner->farewell)
			swap(owner->farewell, file);
	}
	mutex_unlock(&owner->lock);
	if (file)
		fput(file);
	return err;
}

/**
 * pindrop_owner_del() - take a context that ends from its owner
 * @ctx: the context; its reference to its owner is dropped
 *
 * Context: may sleep (owner::lock).
 */
void pindrop_owner_del(struct pindrop_ctx *ctx)
{
	struct pindrop_owner *owner = ctx->owner;
	struct file *farewell = NULL;

	mutex_lock(&owner->lock);
	list_del(&ctx->owner_node);
	if (list_empty(&owner->ctxs))
		swap(owner->farewell, farewell);
	mutex_unlock(&owner->lock);
	if (farewell)
		pindrop_farewell_put(farewell);
	pindrop_owner_put(owner);
}

/* The next owner to put, and how many references of it; or NULL. */
static struct pindrop_owner *late_first(unsigned int *count)
{
	struct pindrop_owner *owner;

	spin_lock(&late_lock);
	owner = list_first_entry_or_null(&late, struct pindrop_owner,
					 late_node);
	if (owner) {
		list_del_init(&owner->late_node);
		*count = owner->late_puts;
		owner->late_puts = 0;
		late_count -= *count;
	}
	spin_unlock(&late_lock);
	return owner;
}

static void owners_put(struct work_struct *work)
{
	struct pindrop_owner *owner;
	unsigned int count;

	while ((owner = late_first(&count)))
		while (count--)
			mmu_notifier_put(&owner->mn);
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
	spin_lock(&late_lock);
	if (!owner->late_puts++)
		list_add_tail(&owner->late_node, &late);
	if (++late_count == LATE_MAX)
		mod_delayed_work(pindrop_forget_wq, &late_work, 0);
	else if (late_count == 1)
		queue_delayed_work(pindrop_forget_wq, &late_work, HZ);
	spin_unlock(&late_lock);
}

/**
 * pindrop_owner_flush() - put what is to be put later
 *
 * Context: may sleep; no context is left.
 */
void pindrop_owner_flush(void)
{
	cancel_delayed_work_sync(&late_work);
	owners_put(NULL);
}
