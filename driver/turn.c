// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns on a channel. Users take turns request by request, and the contexts of one
 * user share that user's turns, so a user gains nothing by opening more contexts.
 */
#include "pindrop.h"

#include <linux/slab.h>

/* Users inside a user namespace share the turns of the namespace's creator. */
static struct pindrop_user *client_user(struct pindrop_user *user)
{
	while (user->parent)
		user = user->parent;
	return user;
}

static struct pindrop_client *client_find_locked(struct pindrop_dev *dev,
						 struct pindrop_user *user)
{
	struct pindrop_client *client;

	lockdep_assert_held(&dev->clients_lock);
	list_for_each_entry(client, &dev->clients, node)
		if (client->user == user) {
			kref_get(&client->ref);
			return client;
		}
	return NULL;
}

/**
 * pindrop_client_get() - get the turns of a user on a device
 * @dev: the device
 * @user: the user; the caller keeps its reference longer than this one
 *
 * Context: may sleep.
 * Return: a reference, or NULL without memory.
 */
struct pindrop_client *pindrop_client_get(struct pindrop_dev *dev,
					  struct pindrop_user *user)
{
	unsigned int i, n = dev->limits.channels;
	struct pindrop_client *client, *fresh;

	fresh = kzalloc(struct_size(fresh, turns, n), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return NULL;
	kref_init(&fresh->ref); /* the caller's */
	user = client_user(user);
	fresh->user = user;
	for (i = 0; i < n; i++) {
		INIT_LIST_HEAD(&fresh->turns[i].node);
		INIT_LIST_HEAD(&fresh->turns[i].queues);
	}
	spin_lock(&dev->clients_lock);
	client = client_find_locked(dev, user);
	if (!client)
		list_add(&fresh->node, &dev->clients);
	spin_unlock(&dev->clients_lock);
	if (!client)
		return fresh;
	kfree(fresh);
	return client;
}

static void client_free(struct kref *ref)
{
	struct pindrop_client *client =
		container_of(ref, struct pindrop_client, ref);

	list_del(&client->node);
}

/**
 * pindrop_client_put() - drop a reference
 * @dev: the device
 * @client: of that
 *
 * Context: process context.
 */
void pindrop_client_put(struct pindrop_dev *dev, struct pindrop_client *client)
{
	int last;

	spin_lock(&dev->clients_lock);
	last = kref_put(&client->ref, client_free);
	spin_unlock(&dev->clients_lock);
	if (last)
		kfree(client);
}

/**
 * pindrop_turn_add_locked() - put a context's queue last in its user's turn
 * @queue: the queue, on any list of the channel or on none
 *
 * Context: the channel's lock held.
 */
void pindrop_turn_add_locked(struct pindrop_queue *queue)
{
	struct pindrop_turn *turn = queue->turn;

	lockdep_assert_held(&queue->chan->lock);
	list_move_tail(&queue->node, &turn->queues);
	if (list_empty(&turn->node))
		list_add_tail(&turn->node, &queue->chan->runq);
}

/**
 * pindrop_turn_del_locked() - take a context's queue off the channel's lists
 * @queue: the queue, on any list of the channel or on none
 *
 * Context: the channel's lock held.
 */
void pindrop_turn_del_locked(struct pindrop_queue *queue)
{
	struct pindrop_turn *turn = queue->turn;

	lockdep_assert_held(&queue->chan->lock);
	list_del_init(&queue->node);
	if (list_empty(&turn->queues))
		list_del_init(&turn->node);
}
