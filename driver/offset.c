// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap offsets. Each buffer that user space may map has a range of pages in the
 * device's file. The kernel's maple tree finds a gap without a walk; the mutex keeps
 * it while mas_store_gfp() drops the tree's own lock to allocate. Linux 6.1's
 * mtree_alloc_range(), which does both, dereferences NULL.
 *
 * Erasing a range may allocate memory, and a death must not wait for that: a worker
 * erases it and frees the buffer's struct. The tree has references of its own, so
 * that a pending worker does not keep the device.
 */
#include "pindrop.h"

#include <linux/llist.h>
#include <linux/maple_tree.h>
#include <linux/slab.h>

/**
 * struct pindrop_offsets - the offsets of a device's file
 * @ref: the device, and every buffer that has some
 * @lock: guards @tree; a leaf, under which memory is allocated
 * @tree: those in use, in pages
 * @gone: pindrop_buf::gone, freed buffers with a range that is still in @tree
 * @work: erases them
 */
struct pindrop_offsets {
	struct kref ref;
	struct mutex lock; /* @tree's */
	struct maple_tree tree;
	struct llist_head gone;
	struct work_struct work;
};

static void offsets_free(struct kref *ref)
{
	struct pindrop_offsets *offsets =
		container_of(ref, struct pindrop_offsets, ref);

	mtree_destroy(&offsets->tree);
	kfree(offsets);
}

/**
 * pindrop_offsets_put() - drop a reference
 * @offsets: the offsets; NULL is none
 *
 * Context: may sleep.
 */
void pindrop_offsets_put(struct pindrop_offsets *offsets)
{
	if (offsets)
		kref_put(&offsets->ref, offsets_free);
}

static void offsets_work(struct work_struct *work)
{
	struct pindrop_offsets *offsets =
		container_of(work, struct pindrop_offsets, work);
	struct llist_node *gone = llist_del_all(&offsets->gone);
	struct pindrop_buf *buf, *next;

	llist_for_each_entry_safe(buf, next, gone, gone) {
		mutex_lock(&offsets->lock);
		mtree_erase(&offsets->tree, buf->pgoff);
		mutex_unlock(&offsets->lock);
		kfree_rcu(buf, rcu);
		/* The buffer's. Only the last buffer can free @offsets. */
		pindrop_offsets_put(offsets);
		cond_resched();
	}
}

/**
 * pindrop_offsets_create() - create the offsets of a device's file
 *
 * The pages below the first offset are stored as taken.
 *
 * Context: may sleep.
 * Return: a reference, or NULL without memory.
 */
struct pindrop_offsets *pindrop_offsets_create(void)
{
	struct pindrop_offsets *offsets =
		kzalloc(sizeof(*offsets), GFP_KERNEL);

	if (!offsets)
		return NULL;
	kref_init(&offsets->ref); /* the device's */
	mutex_init(&offsets->lock);
	mt_init_flags(&offsets->tree, MT_FLAGS_ALLOC_RANGE);
	init_llist_head(&offsets->gone);
	INIT_WORK(&offsets->work, offsets_work);
	if (!mtree_store_range(&offsets->tree, 0, PINDROP_FIRST_PGOFF - 1,
			       offsets, GFP_KERNEL))
		return offsets;
	pindrop_offsets_put(offsets);
	return NULL;
}

/**
 * pindrop_offset_alloc() - allocate a buffer's range of mmap offsets
 * @buf: the buffer, not published yet
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_offset_alloc(struct pindrop_buf *buf)
{
	MA_STATE(mas, &buf->dev->offsets->tree, 0, 0);
	struct pindrop_offsets *offsets = buf->dev->offsets;
	/* A huge entry needs an aligned offset. */
	unsigned long align = buf->flags & PINDROP_ALLOC_HUGE ? PMD_SIZE :
								PAGE_SIZE;
	unsigned long pages = align >> PAGE_SHIFT, start;
	unsigned long want = buf->npages + pages - 1;
	int err;

	mutex_lock(&offsets->lock);
	mas_lock(&mas);
	err = mas_empty_area(&mas, PINDROP_FIRST_PGOFF, PINDROP_LAST_PGOFF,
			     want);
	if (!err) {
		start = mas.index;
		mas_set_range(&mas, start, start + want - 1);
		/*
		 * Not charged to the caller's memory cgroup: a charge over its
		 * limit waits, and every other ALLOC would wait for the mutex.
		 */
		err = mas_store_gfp(&mas, buf, GFP_KERNEL);
	}
	mas_unlock(&mas);
	mutex_unlock(&offsets->lock);
	if (err)
		return -ENOMEM;
	buf->pgoff = ALIGN(start, pages);
	buf->place.start = buf->pgoff;
	buf->place.last = buf->pgoff + buf->npages - 1;
	kref_get(&offsets->ref); /* the buffer's; offsets_work() */
	buf->offsets = offsets;
	return 0;
}

/**
 * pindrop_offset_free() - free a buffer's range, and then the buffer's struct
 * @buf: has a range, and no reference
 *
 * Context: any.
 */
void pindrop_offset_free(struct pindrop_buf *buf)
{
	struct pindrop_offsets *offsets = buf->offsets;

	if (llist_add(&buf->gone, &offsets->gone))
		queue_work(pindrop_forget_wq, &offsets->work);
}
