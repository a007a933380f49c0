// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap offsets: each buffer has a range of a device's file. They are kept in a
 * maple tree of the kernel's, which finds a gap without a walk. Its own lock is
 * dropped for memory between that and writing it down, so there is a mutex. Its
 * mtree_alloc_range() does the same, but not reliably in Linux 6.1.
 *
 * To take a range out may take memory, which a death does not wait for: a worker
 * does, and frees the buffer's own memory.
 */
#include "pindrop.h"

#include <linux/llist.h>
#include <linux/maple_tree.h>
#include <linux/slab.h>

/**
 * pindrop_offset_alloc() - give a buffer a range of mmap offsets
 * @buf: the buffer; nobody else knows of it. Those that user space never maps, such
 *	as copies for single jobs, have none
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_offset_alloc(struct pindrop_buf *buf)
{
	MA_STATE(mas, &buf->dev->offsets, 0, 0);
	/* What is mapped by huge entries begins at one. */
	unsigned long align = buf->flags & PINDROP_ALLOC_HUGE ? PMD_SIZE :
								PAGE_SIZE;
	unsigned long pages = align >> PAGE_SHIFT, start;
	unsigned long want = buf->npages + pages - 1;
	struct pindrop_dev *dev = buf->dev;
	int err;

	mutex_lock(&dev->offset_lock);
	mas_lock(&mas);
	err = mas_empty_area(&mas, PINDROP_FIRST_PGOFF, PINDROP_LAST_PGOFF,
			     want);
	if (!err) {
		start = mas.index;
		mas_set_range(&mas, start, start + want - 1);
		err = mas_store_gfp(&mas, buf, GFP_KERNEL_ACCOUNT);
	}
	mas_unlock(&mas);
	mutex_unlock(&dev->offset_lock);
	if (err)
		return -ENOMEM;
	buf->pgoff = ALIGN(start, pages);
	buf->place.start = buf->pgoff;
	buf->place.last = buf->pgoff + buf->npages - 1;
	buf->has_offset = true;
	return 0;
}

/**
 * pindrop_offset_free_work() - take ranges out of the tree
 * @work: pindrop_dev::offset_work
 *
 * Context: pindrop_forget_wq.
 */
void pindrop_offset_free_work(struct work_struct *work)
{
	struct pindrop_dev *dev = container_of(work, struct pindrop_dev,
					       offset_work);
	struct pindrop_buf *buf, *next;
	struct llist_node *gone = llist_del_all(&dev->offset_gone);

	llist_for_each_entry_safe(buf, next, gone, gone) {
		mutex_lock(&dev->offset_lock);
		mtree_erase(&dev->offsets, buf->pgoff);
		mutex_unlock(&dev->offset_lock);
		kfree_rcu(buf, rcu);
		/* The last one may be the device's own. */
		put_device(&dev->dev);
		cond_resched();
	}
}

/**
 * pindrop_offset_init() - have a device give out mmap offsets
 * @dev: the device
 *
 * What no buffer is mapped at is taken, so that the tree is never empty.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_offset_init(struct pindrop_dev *dev)
{
	mt_init_flags(&dev->offsets, MT_FLAGS_ALLOC_RANGE);
	mutex_init(&dev->offset_lock);
	init_llist_head(&dev->offset_gone);
	INIT_WORK(&dev->offset_work, pindrop_offset_free_work);
	return mtree_store_range(&dev->offsets, 0, PINDROP_FIRST_PGOFF - 1,
				 dev, GFP_KERNEL);
}

/**
 * pindrop_offset_free() - have the range of a buffer that is gone taken out
 * @buf: has one; the reference to the device, and its memory, are taken over
 *
 * Context: any.
 */
void pindrop_offset_free(struct pindrop_buf *buf)
{
	struct pindrop_dev *dev = buf->dev;

	if (llist_add(&buf->gone, &dev->offset_gone))
		queue_work(pindrop_forget_wq, &dev->offset_work);
}
