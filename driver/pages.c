// SPDX-License-Identifier: GPL-2.0-only
/*
 * Driver memory: pages of the page allocator, in chunks as large as there are.
 * Blocks of 2 MiB stay whole, which makes them cheap to list and to free. Who
 * holds a page of one, as O_DIRECT does, holds all of it; when the buffer has
 * gone that is on its memory cgroup's bill alone, as of any huge page.
 */
#include "pindrop.h"

#include <linux/dma-direct.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

/* The largest chunk asked for: what a huge mapping needs, no more. */
#define PAGES_BLOCK (PMD_SHIFT - PAGE_SHIFT)

/**
 * pindrop_buf_reachable() - can the device address memory that nobody translates
 * @dev: the device
 * @phys: where it is
 * @bytes: its size, not 0
 *
 * What it cannot would be bounced, or refused with a warning: found out before
 * anything is mapped.
 *
 * Context: any.
 * Return: true if it can.
 */
bool pindrop_buf_reachable(struct pindrop_dev *dev, phys_addr_t phys, u64 bytes)
{
	struct device *parent = dev->dma_dev;
	u64 mask = min_not_zero(dma_get_mask(parent), parent->bus_dma_limit);

	return phys_to_dma(parent, phys) + bytes - 1 <= mask;
}

/**
 * pindrop_buf_max_segment() - the largest segment of a scatter list
 * @dev: the device
 *
 * A segment is bounced as a whole, if it has to be.
 *
 * Context: any; the parent is bound.
 * Return: bytes, a multiple of the page size.
 */
unsigned int pindrop_buf_max_segment(struct pindrop_dev *dev)
{
	size_t max = min_t(size_t, dma_get_max_seg_size(dev->dma_dev),
			   dma_max_mapping_size(dev->dma_dev));

	return round_down(min_t(size_t, max, UINT_MAX), PAGE_SIZE);
}

/* Where to look for pages, best first; the last one is 0. */
static const gfp_t pages_zones[] = { GFP_DMA32, GFP_DMA, 0 };

/**
 * pindrop_pages_chunk() - zeroed memory that the device can reach
 * @dev: the device
 * @order: of pages that follow each other
 * @how: __GFP_RETRY_MAYFAIL, or __GFP_NORETRY for what is only a wish: nobody is
 *	pushed out for that; with __GFP_COMP it is freed in one go, by its last
 *	reference
 *
 * Context: may sleep.
 * Return: the first page, or NULL.
 */
struct page *pindrop_pages_chunk(struct pindrop_dev *dev, unsigned int order,
				 gfp_t how)
{
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN | how;
	bool translated = pindrop_buf_translated(dev);
	const gfp_t *zone = pages_zones;
	gfp_t where = 0;
	struct page *page;

	for (;;) {
		page = alloc_pages_node(dev_to_node(dev->dma_dev), gfp | where,
					order);
		if (page && (translated ||
			     pindrop_buf_reachable(dev, page_to_phys(page),
						   PAGE_SIZE << order)))
			return page;
		if (page)
			__free_pages(page, order);
		where = *zone++;
		if (translated || !where)
			return NULL;
	}
}

/* One range of memory, where that is what makes one range on the bus. */
static int pages_alloc_contig(struct pindrop_buf *buf)
{
	unsigned int order = get_order(buf->bytes);
	struct page *page;
	unsigned long i;

	/* Each segment finds a place of its own in the pool. */
	if (is_swiotlb_force_bounce(buf->dev->dma_dev) &&
	    buf->bytes > pindrop_buf_max_segment(buf->dev))
		return -ENOMEM;
	page = pindrop_pages_chunk(buf->dev, order, __GFP_RETRY_MAYFAIL);
	if (!page)
		return -ENOMEM;
	split_page(page, order);
	for (i = 0; i < buf->npages; i++)
		buf->pages[i] = page + i;
	for (; i < 1UL << order; i++)
		__free_page(page + i);
	return 0;
}

/* Of a page that is the head of a block, all of it. */
static unsigned long pages_at(struct page *page)
{
	return 1UL << compound_order(page);
}

/* As large a chunk as there is; each of its pages then stands alone, but in blocks. */
static struct page *pages_alloc_some(struct pindrop_buf *buf,
				     unsigned int *order)
{
	unsigned int lowest = buf->flags & PINDROP_ALLOC_HUGE ? PAGES_BLOCK : 0;
	struct page *page;
	gfp_t how;

	for (;; --*order) {
		how = *order > lowest ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL;
		if (*order == PAGES_BLOCK)
			how |= __GFP_COMP;
		page = pindrop_pages_chunk(buf->dev, *order, how);
		if (page || *order <= lowest)
			break;
	}
	if (page && *order && *order < PAGES_BLOCK)
		split_page(page, *order);
	return page;
}

/**
 * pindrop_pages_alloc() - find the pages of a buffer
 * @buf: the buffer; has what is found also after an error
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM or -EINTR (killed).
 */
int pindrop_pages_alloc(struct pindrop_buf *buf)
{
	unsigned int order = PAGES_BLOCK;
	unsigned long have = 0, i;
	struct page *page;

	buf->pages = kvcalloc(buf->npages, sizeof(*buf->pages),
			      GFP_KERNEL_ACCOUNT);
	if (!buf->pages)
		return -ENOMEM;
	if ((buf->flags & PINDROP_ALLOC_CONTIG) &&
	    !pindrop_buf_translated(buf->dev))
		return pages_alloc_contig(buf);
	while (have < buf->npages) {
		order = min_t(unsigned int, order, ilog2(buf->npages - have));
		if (fatal_signal_pending(current))
			return -EINTR;
		page = pages_alloc_some(buf, &order);
		if (!page)
			return -ENOMEM;
		for (i = 0; i < 1UL << order; i++)
			buf->pages[have++] = page + i;
		cond_resched();
	}
	return 0;
}

/**
 * pindrop_pages_free() - the pages go back, unless others hold them
 * @buf: the buffer; of coherent memory only the list goes
 *
 * A 2 MiB block with foreign references stays charged to the user: see left.c.
 *
 * Context: may sleep.
 */
void pindrop_pages_free(struct pindrop_buf *buf)
{
	unsigned long i, n;

	if (buf->pages && !(buf->flags & PINDROP_ALLOC_COHERENT)) {
		for (i = 0; i < buf->npages && buf->pages[i]; i += n) {
			n = pages_at(buf->pages[i]);
			if (n > 1 && pindrop_left_keep(buf, buf->pages[i], n))
				continue;
			__free_pages(buf->pages[i], ilog2(n));
		}
	}
	kvfree(buf->pages);
}

/* From a page to where the next does not follow in memory. */
static unsigned long pages_run(struct pindrop_buf *buf, unsigned long first,
			       unsigned long max)
{
	unsigned long pfn = page_to_pfn(buf->pages[first]), n = 0;

	do
		n += pages_at(buf->pages[first + n]);
	while (n < max && first + n < buf->npages &&
	       page_to_pfn(buf->pages[first + n]) == pfn + n);
	return min(n, max);
}

/* Segments that the buffer makes; they go to the list, if there is one. */
static unsigned int pages_list(struct pindrop_buf *buf, unsigned long max,
			       struct scatterlist *sg)
{
	unsigned int segments = 0;
	unsigned long i, n;

	for (i = 0; i < buf->npages; i += n, segments++) {
		n = pages_run(buf, i, max);
		cond_resched();
		if (!sg)
			continue;
		sg_set_page(sg, buf->pages[i], n << PAGE_SHIFT, 0);
		sg = sg_next(sg);
	}
	return segments;
}

/**
 * pindrop_pages_map() - map driver memory
 * @buf: the buffer, with its pages
 *
 * Context: as a map function of pindrop_buf_map().
 * Return: 0, -ENOMEM, or -EOPNOTSUPP where a segment is less than a page.
 */
int pindrop_pages_map(struct pindrop_buf *buf)
{
	unsigned long max = pindrop_buf_max_segment(buf->dev) >> PAGE_SHIFT;
	int err;

	if (!max)
		return -EOPNOTSUPP;
	err = sg_alloc_table(&buf->sgt, pages_list(buf, max, NULL),
			     GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	pages_list(buf, max, buf->sgt.sgl);
	return pindrop_buf_map_sgt(buf);
}
