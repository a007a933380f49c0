// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks that outlive their buffer. A page of a 2 MiB block in a pipe, or pinned by
 * another driver, keeps all of the block allocated. The user stays charged until a
 * look, once a second, finds no other reference.
 */
#include "pindrop.h"

#include <linux/mm.h>
#include <linux/slab.h>

/**
 * struct left_block - a block with foreign references
 * @node: in left_blocks
 * @page: its first page; with a reference of ours
 * @bytes: its size
 * @user: is charged; referenced
 */
struct left_block {
	struct list_head node;
	struct page *page;
	u64 bytes;
	struct pindrop_user *user;
};

static void left_look(struct work_struct *work);

static DECLARE_DELAYED_WORK(left_work, left_look);
static DEFINE_SPINLOCK(left_lock);
static LIST_HEAD(left_blocks); /* left_block::node; under left_lock */

static void left_free(struct left_block *block)
{
	put_page(block->page);
	pindrop_user_uncharge(block->user, PINDROP_QUOTA_BYTES, block->bytes);
	pindrop_user_put(block->user);
	kfree(block);
}

/* Moves the blocks without foreign references, or all blocks, to @gone. */
static void left_take(struct list_head *gone, bool all)
{
	struct left_block *block, *next;

	spin_lock(&left_lock);
	list_for_each_entry_safe(block, next, &left_blocks, node)
		if (all || page_count(block->page) == 1)
			list_move(&block->node, gone);
	if (!list_empty(&left_blocks))
		queue_delayed_work(pindrop_forget_wq, &left_work, HZ);
	spin_unlock(&left_lock);
}

static void left_drop(bool all)
{
	struct left_block *block, *next;
	LIST_HEAD(gone);

	left_take(&gone, all);
	list_for_each_entry_safe(block, next, &gone, node)
		left_free(block);
}

static void left_look(struct work_struct *work)
{
	left_drop(false);
}

/**
 * pindrop_left_keep() - keep a block and its charge while it has foreign references
 * @buf: its buffer; the charge moves from it to the block
 * @page: its first page
 * @npages: its size
 *
 * The allocation does not wait, as this runs in a death. If it fails the block is
 * not kept, and the charge ends with the buffer.
 *
 * Context: process context, under mmap_lock too; does not sleep.
 * Return: true if it is kept, with the reference.
 */
bool pindrop_left_keep(struct pindrop_buf *buf, struct page *page,
		       unsigned long npages)
{
	struct left_block *block;

	if (page_count(page) == 1 || !buf->charged)
		return false;
	block = kmalloc(sizeof(*block), GFP_NOWAIT | __GFP_NOWARN);
	if (!block)
		return false;
	block->page = page;
	block->bytes = (u64)npages << PAGE_SHIFT;
	block->user = buf->user;
	kref_get(&buf->user->ref); /* the block's */
	buf->charged -= block->bytes;
	spin_lock(&left_lock);
	list_add(&block->node, &left_blocks);
	queue_delayed_work(pindrop_forget_wq, &left_work, HZ);
	spin_unlock(&left_lock);
	return true;
}

/**
 * pindrop_left_flush() - let go of all blocks: the module goes
 *
 * Context: may sleep; no buffer is left.
 */
void pindrop_left_flush(void)
{
	left_drop(true);
	cancel_delayed_work_sync(&left_work);
}
