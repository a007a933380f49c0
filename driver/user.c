// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one user may hold of all devices together, so that nobody has to be
 * trusted with the node. Memory is charged to the memory cgroup besides.
 */
#include "pindrop.h"

#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>

static DEFINE_SPINLOCK(users_lock); /* guards the list and lookups on it */
static LIST_HEAD(users);

static struct pindrop_user *user_find_locked(kuid_t uid)
{
	struct pindrop_user *user;

	lockdep_assert_held(&users_lock);
	list_for_each_entry(user, &users, node)
		if (uid_eq(user->uid, uid)) {
			kref_get(&user->ref);
			return user;
		}
	return NULL;
}

/**
 * pindrop_user_get() - the account of the caller's real user
 *
 * Context: a user process; may sleep.
 * Return: a reference, or NULL without memory.
 */
struct pindrop_user *pindrop_user_get(void)
{
	struct pindrop_user *user, *fresh;

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return NULL;
	kref_init(&fresh->ref); /* the caller's */
	fresh->uid = current_uid();
	spin_lock(&users_lock);
	user = user_find_locked(fresh->uid);
	if (!user)
		list_add(&fresh->node, &users);
	spin_unlock(&users_lock);
	if (!user)
		return fresh;
	kfree(fresh);
	return user;
}

static void user_free(struct kref *ref)
	__releases(&users_lock)
{
	struct pindrop_user *user = container_of(ref, struct pindrop_user, ref);

	lockdep_assert_held(&users_lock);
	list_del(&user->node);
	spin_unlock(&users_lock);
	kfree(user);
}

/**
 * pindrop_user_put() - drop a reference
 * @user: the account
 *
 * Context: process context, under mmap_lock too; does not sleep.
 */
void pindrop_user_put(struct pindrop_user *user)
{
	kref_put_lock(&user->ref, user_free, &users_lock);
}

/**
 * pindrop_user_charge() - take from an account
 * @count: one of the account's counters
 * @amount: how much
 * @limit: what it may come to
 *
 * Context: any.
 * Return: 0 or -EDQUOT, with nothing taken.
 */
int pindrop_user_charge(atomic64_t *count, u64 amount, u64 limit)
{
	if (atomic64_add_return(amount, count) <= limit)
		return 0;
	atomic64_sub(amount, count);
	return -EDQUOT;
}

/**
 * pindrop_user_max_bytes() - driver memory that one user may hold
 *
 * Context: any.
 * Return: bytes: half of the machine's memory.
 */
u64 pindrop_user_max_bytes(void)
{
	return (u64)totalram_pages() << (PAGE_SHIFT - 1);
}
