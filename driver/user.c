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
#include <linux/user_namespace.h>

static DEFINE_SPINLOCK(users_lock); /* guards the list and lookups on it */
static LIST_HEAD(users);

static struct pindrop_user *user_find_locked(kuid_t uid,
					     struct pindrop_user *parent)
{
	struct pindrop_user *user;

	lockdep_assert_held(&users_lock);
	list_for_each_entry(user, &users, node)
		if (uid_eq(user->uid, uid) && user->parent == parent) {
			kref_get(&user->ref);
			return user;
		}
	return NULL;
}

/* The reference to the parent is taken over, also if there is no memory. */
static struct pindrop_user *user_get(kuid_t uid, struct pindrop_user *parent)
{
	struct pindrop_user *user, *fresh;

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh) {
		if (parent)
			pindrop_user_put(parent);
		return NULL;
	}
	kref_init(&fresh->ref); /* the caller's */
	fresh->uid = uid;
	fresh->parent = parent;
	spin_lock(&users_lock);
	user = user_find_locked(uid, parent);
	if (!user)
		list_add(&fresh->node, &users);
	spin_unlock(&users_lock);
	if (!user)
		return fresh;
	kfree(fresh);
	/* @user has a reference to it already. */
	if (parent)
		pindrop_user_put(parent);
	return user;
}

/* The creator of a user namespace is charged for all users in it. */
static struct pindrop_user *user_get_in(kuid_t uid,
					const struct user_namespace *ns)
{
	const struct user_namespace *chain[33]; /* the kernel nests 32 levels */
	struct pindrop_user *user = NULL;
	unsigned int n = 0;

	for (; ns->parent && n < ARRAY_SIZE(chain); ns = ns->parent)
		chain[n++] = ns;
	while (n--) {
		user = user_get(chain[n]->owner, user);
		if (!user)
			return NULL;
	}
	return user_get(uid, user);
}

/**
 * pindrop_user_get() - the account of the caller's real user
 *
 * Context: a user process; may sleep.
 * Return: a reference, or NULL without memory.
 */
struct pindrop_user *pindrop_user_get(void)
{
	return user_get_in(current_uid(), current_user_ns());
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
	struct pindrop_user *parent;

	do {
		parent = user->parent;
		/* The last reference drops the one to the parent. */
		if (!kref_put_lock(&user->ref, user_free, &users_lock))
			return;
		user = parent;
	} while (user);
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

/**
 * pindrop_user_charge() - charge a user and the creators of its user namespaces
 * @user: the user
 * @what: the quota
 * @amount: in the quota's unit
 * @limit: the most that each of them may hold
 *
 * Context: any.
 * Return: 0, or -EDQUOT with nothing charged.
 */
int pindrop_user_charge(struct pindrop_user *user, enum pindrop_quota what,
			u64 amount, u64 limit)
{
	struct pindrop_user *at;
	s64 held;

	for (at = user; at; at = at->parent) {
		held = atomic64_read(&at->held[what]);
		do {
			if (amount > limit || held > (s64)(limit - amount))
				goto undo;
		} while (!atomic64_try_cmpxchg(&at->held[what], &held,
					       held + amount));
	}
	return 0;

undo:
	for (; user != at; user = user->parent)
		atomic64_sub(amount, &user->held[what]);
	return -EDQUOT;
}

/**
 * pindrop_user_add() - charge without a limit, for resources that exist already
 * @user: the user
 * @what: the quota
 * @amount: in the quota's unit
 *
 * Context: any.
 */
void pindrop_user_add(struct pindrop_user *user, enum pindrop_quota what,
		      u64 amount)
{
	for (; user; user = user->parent)
		atomic64_add(amount, &user->held[what]);
}

/**
 * pindrop_user_uncharge() - end a charge
 * @user: the user
 * @what: the quota
 * @amount: in the quota's unit
 *
 * Context: any.
 */
void pindrop_user_uncharge(struct pindrop_user *user, enum pindrop_quota what,
			   u64 amount)
{
	for (; user; user = user->parent)
		atomic64_sub(amount, &user->held[what]);
}
