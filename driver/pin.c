// SPDX-License-Identifier: GPL-2.0-only
/*
 * The owner's own memory: its pages are pinned, which keeps them allocated
 * and where they are, whatever becomes of the mapping that they were found
 * through. So an end of the process waits for no device, and memory that was
 * replaced under a pin is a matter of what the program meant, not of safety:
 * it is found out at the next job.
 *
 * Where the device reaches the pages they are mapped once, else every job has
 * a mapping of its own part, through the bounce pool.
 */
#include "pindrop.h"

#include <linux/bitmap.h>
#include <linux/capability.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>
#include <linux/uaccess.h>

#include "trace.h"

/* Its works wait for other processors, and must not keep others from theirs. */
struct workqueue_struct *pindrop_forget_wq;

/* Page pointers that fit in a page: so many are pinned in one go. */
#define PIN_BATCH (PAGE_SIZE / sizeof(struct page *))
/* Entries of a scatter list that fit in a page. */
#define PIN_CHUNK (PAGE_SIZE / sizeof(struct scatterlist))

/**
 * struct pin_range - a part of an address space; empty if it ends where it begins
 * @from: its first address
 * @to: its end
 */
struct pin_range {
	unsigned long from;
	unsigned long to;
};

/**
 * struct pindrop_pinned - what makes a buffer a pin
 * @mm: whose memory it is, and who is charged; grabbed, not in use
 * @notifier: tells of what happens to the range
 * @watched: @notifier is inserted
 * @once: for one job, and so neither watched nor pinned for long
 * @limit: pages that the mm may have pinned, if @once
 * @events: how often something happened that may have replaced a page
 * @checked: value of @events for which the pages were seen to be the same
 * @changed: the range of events since the last comparison; under @lock, like writes
 *	of @events
 * @looked: the union of the ranges that jobs compare now; under @lock
 * @looking: the number of those jobs; under @lock
 * @stale: they were not, for good
 * @address: where the range begins
 * @npages: pages it touches
 * @write: the device may write it
 * @charged: they are in the mm's pinned_vm
 * @have: pages pinned so far
 * @bytes: the part of the range that is in them
 * @list: all of them, merged where they follow each other: chunks of
 *	PIN_CHUNK entries, the last of one is the way to the next
 * @chunks: their number; the last one may be smaller
 * @last: the last entry
 * @room: entries that are free behind it
 * @entries: entries in use
 * @follow: the page that can be merged with it
 * @highest: end of the memory that they are in
 * @bounce: the device does not reach them: mapped job by job
 * @lock: guards @written, @changed, @looked and @looking; a leaf, taken with
 *	interrupts off
 * @written: a bit a page, which the device may have written. NULL if it may
 *	only read
 * @wrote: some bit is set
 * @forget: removes @notifier, which waits for other processors
 */
struct pindrop_pinned {
	struct mm_struct *mm;
	struct mmu_interval_notifier notifier;
	bool watched;
	bool once;
	unsigned long limit;
	atomic_t events;
	int checked;
	struct pin_range changed;
	struct pin_range looked;
	unsigned int looking;
	bool stale;
	unsigned long address;
	unsigned long npages;
	bool write;
	bool charged;
	unsigned long have;
	u64 bytes;
	struct scatterlist *list;
	unsigned int chunks;
	struct scatterlist *last;
	unsigned int room;
	unsigned int entries;
	struct page *follow;
	phys_addr_t highest;
	bool bounce;
	spinlock_t lock;
	unsigned long *written;
	bool wrote;
	struct work_struct forget;
};

/**
 * pindrop_pin_align() - what a pin's address and length are multiples of
 * @dev: the device
 *
 * What shares a cache line with memory that the device writes would be hurt.
 *
 * Context: any.
 * Return: bytes, a power of two unless the engine says otherwise.
 */
unsigned int pindrop_pin_align(struct pindrop_dev *dev)
{
	unsigned int line = 1;

	if (!(dev->caps & PINDROP_CAP_CACHE_COHERENT))
		line = dma_get_cache_alignment();
	return max(dev->limits.align, line);
}

static void range_add(struct pin_range *range, const struct pin_range *more)
{
	if (more->from == more->to)
		return;
	if (range->from == range->to) {
		*range = *more;
		return;
	}
	range->from = min(range->from, more->from);
	range->to = max(range->to, more->to);
}

/*
 * Never waits and never refuses: the pages are ours whatever happens to the
 * range. Protection apart, one event may come from what replaces a page and
 * from what does not: the next job looks.
 */
static bool pin_invalidate(struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range,
			   unsigned long seq)
{
	struct pindrop_pinned *pin =
		container_of(notifier, struct pindrop_pinned, notifier);
	const struct pin_range changed = { range->start, range->end };
	unsigned long flags;

	mmu_interval_set_seq(notifier, seq);
	switch (range->event) {
	case MMU_NOTIFY_PROTECTION_VMA:
	case MMU_NOTIFY_PROTECTION_PAGE:
	case MMU_NOTIFY_SOFT_DIRTY:
		return true;
	default:
		break;
	}
	/* Pairs with pin_look_begin() and mmu_interval_read_begin() behind it. */
	spin_lock_irqsave(&pin->lock, flags);
	range_add(&pin->changed, &changed);
	atomic_inc(&pin->events);
	spin_unlock_irqrestore(&pin->lock, flags);
	return true;
}

static const struct mmu_interval_notifier_ops pin_notifier_ops = {
	.invalidate = pin_invalidate,
};

/* Against the limit as everybody counts: each pin for itself. */
static int pin_charge(struct pindrop_pinned *pin)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	u64 pages = atomic64_add_return(pin->npages, &pin->mm->pinned_vm);

	pin->charged = true;
	if (pin->once)
		return pages <= pin->limit ? 0 : -ENOMEM;
	return pages <= limit || capable(CAP_IPC_LOCK) ? 0 : -ENOMEM;
}

static int pin_watch(struct pindrop_pinned *pin)
{
	int err;

	err = mmu_interval_notifier_insert(&pin->notifier, pin->mm,
					   pin->address & PAGE_MASK,
					   pin->npages << PAGE_SHIFT,
					   &pin_notifier_ops);
	if (err)
		return err == -EINTR ? -ERESTARTSYS : err;
	pin->watched = true;
	/*
	 * While others change the page tables insertion is put off, and what
	 * goes on is not told: no page is looked up before that is over.
	 */
	mmu_interval_read_begin(&pin->notifier);
	return 0;
}

/*
 * For one job. The owner may fault; a thread of ours borrows the address space,
 * takes what is there, and gives it back at once: never with mmput(), which
 * could be the end of it in here, where it would wait for us.
 */
static long pin_now(struct pindrop_pinned *pin, unsigned long address, int n,
		    struct page **pages)
{
	struct mm_struct *mm = pin->mm;
	long got = 0;

	if (current->mm == mm)
		return pin_user_pages_fast(address, n,
					   pin->write ? FOLL_WRITE : 0, pages);
	if (!mmget_not_zero(mm))
		return -EOWNERDEAD;
	if (mmap_read_trylock(mm)) {
		got = pindrop_pin_borrowed(mm, address, n, pin->write, pages);
		mmap_read_unlock(mm);
	}
	mmput_async(mm);
	if (got == n)
		return n;
	if (got > 0)
		unpin_user_pages(pages, got);
	return -EAGAIN;
}

/* What pinning for long refuses, and for one job does not. */
static int pin_refuse_files(struct pindrop_pinned *pin, struct page **pages,
			    int n)
{
	int i;

	for (i = 0; pin->write && i < n; i++) {
		if (pindrop_may_dirty(pages[i]))
			continue;
		unpin_user_pages(pages, n);
		return -EFAULT;
	}
	return n;
}

/* Some of the next pages: their number, or -errno. */
static long pin_some(struct pindrop_buf *buf, struct page **pages)
{
	struct pindrop_pinned *pin = buf->pin;
	unsigned long left = pin->npages - pin->have;
	unsigned long address = (pin->address & PAGE_MASK) +
				(pin->have << PAGE_SHIFT);
	int n;

	if (fatal_signal_pending(current))
		return -EINTR;
	left = min_t(unsigned long, left, PIN_BATCH);
	if (pin->once)
		n = pin_refuse_files(pin, pages,
				     pin_now(pin, address, left, pages));
	else
		n = pindrop_pin_pages(address, left, pin->write, pages);
	if (n > 0)
		return n;
	/* Killed, while it waited for a lock: that can be -EAGAIN, too. */
	if (fatal_signal_pending(current))
		return -EINTR;
	switch (n) {
	case -EINTR:
	case -ENOMEM:
	case -EAGAIN:
	case -EOWNERDEAD:
		return n;
	default:
		return -EFAULT;
	}
}

/*
 * A free entry, or NULL without memory. The kernel's own functions, which make
 * a list from an array of pages, look at each page twice, and an array of all
 * would take a quarter more memory.
 */
static struct scatterlist *pin_next_entry(struct pindrop_pinned *pin)
{
	unsigned int n = min_t(unsigned long, pin->npages - pin->have,
			       PIN_CHUNK);
	struct scatterlist *chunk;

	pin->entries++;
	if (pin->room) {
		pin->room--;
		return ++pin->last;
	}
	chunk = kmalloc_array(n, sizeof(*chunk), GFP_KERNEL_ACCOUNT);
	if (!chunk) {
		pin->entries--;
		return NULL;
	}
	sg_init_table(chunk, n);
	if (pin->last)
		sg_chain(pin->last + 1, 1, chunk);
	else
		pin->list = chunk;
	pin->chunks++;
	/* One is for the way on, unless the rest fits. */
	pin->room = n - 1 - (n == PIN_CHUNK && pin->npages - pin->have > n);
	pin->last = chunk;
	return chunk;
}

/* Elsewhere neighbours in the array of all pages need not be so in memory. */
static bool pin_is_flat(void)
{
	return IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) ||
	       IS_ENABLED(CONFIG_FLATMEM);
}

#define PIN_STRIDE 8

/* So many at once take half the instructions. */
static bool pin_stride_follows(struct page **pages, struct page *page)
{
	unsigned long differ = 0;
	unsigned int i;

#pragma GCC unroll 8
	for (i = 0; i < PIN_STRIDE; i++)
		differ |= (unsigned long)pages[i] ^ (unsigned long)(page + i);
	return !differ;
}

/* Pages that follow each other, from the first to where they do not. */
static unsigned long pin_run(struct page **pages, unsigned long n)
{
	struct page *page = *pages;
	unsigned long i = 1;

	if (!pin_is_flat())
		return 1;
	while (i < n && pages[i] == page + i) {
		i++;
		while (i + PIN_STRIDE <= n &&
		       pin_stride_follows(pages + i, page + i))
			i += PIN_STRIDE;
	}
	return i;
}

/*
 * Pages that follow each other, not more than a segment may have: to the last
 * entry, or to a new one. Their number, not all of them perhaps, or -ENOMEM.
 */
static long pin_add(struct pindrop_buf *buf, struct page *page,
		    unsigned long run, unsigned int max)
{
	struct pindrop_pinned *pin = buf->pin;
	unsigned int offset = pin->have ? 0 : buf->first;
	u64 left = buf->bytes - pin->bytes, len;
	struct scatterlist *sg = pin->last;
	unsigned long room = 0;

	if (page == pin->follow)
		room = (max - sg->offset - sg->length) >> PAGE_SHIFT;
	if (room) {
		run = min(run, room);
		len = min_t(u64, run << PAGE_SHIFT, left);
		sg->length += len;
	} else {
		sg = pin_next_entry(pin);
		if (!sg)
			return -ENOMEM;
		len = min_t(u64, (run << PAGE_SHIFT) - offset, left);
		sg_set_page(sg, page, len, offset);
	}
	pin->bytes += len;
	pin->have += run;
	pin->follow = pin_is_flat() ? page + run : NULL;
	pin->highest = max(pin->highest,
			   page_to_phys(page) + (run << PAGE_SHIFT));
	return run;
}

/* To the scatter list, which has the only record of them. */
static int pin_append(struct pindrop_buf *buf, struct page **pages, long n,
		      unsigned int max)
{
	long i, got;

	for (i = 0; i < n; i += got) {
		got = pin_run(pages + i,
			      min_t(unsigned long, n - i, max >> PAGE_SHIFT));
		got = pin_add(buf, pages[i], got, max);
		if (got < 0) {
			unpin_user_pages(pages + i, n - i);
			break;
		}
	}
	atomic64_add(i, &buf->dev->stats.pinned);
	return got < 0 ? got : 0;
}

static int pin_pages(struct pindrop_buf *buf)
{
	unsigned int max = 0;
	struct page **pages;
	int err = 0, idx;
	long n;

	if (!pindrop_enter(buf->dev, &idx))
		return -ENODEV;
	max = pindrop_buf_max_segment(buf->dev);
	pindrop_exit(buf->dev, idx);
	if (!max)
		return -EOPNOTSUPP;
	pages = (struct page **)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	while (!err && buf->pin->have < buf->pin->npages) {
		n = pin_some(buf, pages);
		err = n < 0 ? n : pin_append(buf, pages, n, max);
		/* A thread of ours does not fault in the meantime. */
		cond_resched();
	}
	free_page((unsigned long)pages);
	if (!err) {
		sg_mark_end(buf->pin->last);
		buf->sgt.sgl = buf->pin->list;
		buf->sgt.nents = buf->pin->entries;
		buf->sgt.orig_nents = buf->pin->entries;
	}
	return err;
}

/* Whether the device gets at the pages, and by which way. */
static int pin_choose_way(struct pindrop_buf *buf)
{
	struct device *parent = buf->dev->dma_dev;
	int err = 0, idx;

	if (pindrop_buf_translated(buf->dev))
		return 0;
	if (!pindrop_enter(buf->dev, &idx))
		return -ENODEV;
	/* Bus addresses rise with physical ones: the highest tells of all. */
	buf->pin->bounce = is_swiotlb_force_bounce(parent) ||
			   !pindrop_buf_reachable(buf->dev,
						  buf->pin->highest - 1, 1);
	if (buf->pin->bounce && dma_max_mapping_size(parent) == SIZE_MAX)
		err = -EOPNOTSUPP; /* and no bounce pool */
	pindrop_exit(buf->dev, idx);
	return err;
}

static int pin_make(struct pindrop_buf *buf)
{
	struct pindrop_pinned *pin = buf->pin;
	int err;

	/* The limit first: it is what a large request should fail at. */
	err = pin_charge(pin);
	if (!err && pin->write) {
		pin->written = kvcalloc(BITS_TO_LONGS(pin->npages),
					sizeof(long), GFP_KERNEL_ACCOUNT);
		err = pin->written ? 0 : -ENOMEM;
	}
	/* Before the pages, so that nothing goes unseen. */
	if (!err && !pin->once)
		err = pin_watch(pin);
	if (!err)
		err = pin_pages(buf);
	if (!err)
		err = pin_choose_way(buf);
	if (!err && !pin->bounce)
		err = pindrop_buf_map(buf, pindrop_buf_map_sgt);
	return err;
}

static void pin_forget(struct work_struct *work)
{
	struct pindrop_pinned *pin = container_of(work, struct pindrop_pinned,
						  forget);

	if (pin->watched)
		mmu_interval_notifier_remove(&pin->notifier);
	mmdrop(pin->mm);
	if (PINDROP_NO_JOBREF)
		return; /* jobs still look at it */
	kvfree(pin->written);
	kfree(pin);
}

static struct pindrop_pinned *pinned_create(struct mm_struct *mm,
					    unsigned long address,
					    unsigned long npages, bool write)
{
	struct pindrop_pinned *pin;

	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return NULL;
	pin->write = write;
	spin_lock_init(&pin->lock);
	INIT_WORK(&pin->forget, pin_forget);
	pin->address = address;
	pin->npages = npages;
	pin->mm = mm;
	mmgrab(pin->mm); /* until the charge is taken back; pin_forget() */
	return pin;
}

static struct pindrop_buf *pin_create(struct pindrop_ctx *ctx,
				      struct mm_struct *mm, u64 address,
				      u64 length, bool write,
				      const unsigned long *limit)
{
	unsigned int first = offset_in_page(address);
	u64 npages = PFN_UP(first + length);
	struct pindrop_buf *buf;
	int err;

	if (npages > INT_MAX)
		return ERR_PTR(-ENOMEM);
	buf = pindrop_buf_create(ctx, length);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->pin = pinned_create(mm, address, npages, write);
	if (!buf->pin) {
		pindrop_buf_abort(buf);
		return ERR_PTR(-ENOMEM);
	}
	buf->npages = npages;
	buf->first = first;
	/* What shares cache lines with others is synced by jobs, not by this. */
	buf->attrs = DMA_ATTR_SKIP_CPU_SYNC;
	if (!write)
		buf->dir = DMA_TO_DEVICE;
	if (limit) {
		buf->pin->once = true;
		buf->pin->limit = *limit;
	}
	err = pin_make(buf);
	if (err) {
		pindrop_buf_put(buf);
		return ERR_PTR(err);
	}
	return buf;
}

/**
 * pindrop_pin_create() - pin memory of the caller
 * @ctx: for whom; the caller is its owner
 * @address: where it begins
 * @length: bytes, not 0; the end does not overflow
 * @write: the device may write it
 *
 * Context: a user process; long, killable; no lock held, not inside the gate.
 * Return: a buffer without a handle, or ERR_PTR(): -EFAULT, -ENOMEM,
 * -EOPNOTSUPP (the device does not reach it), -EINTR (killed), -ERESTARTSYS,
 * -ENODEV.
 */
struct pindrop_buf *pindrop_pin_create(struct pindrop_ctx *ctx, u64 address,
				       u64 length, bool write)
{
	address = untagged_addr(address);
	if (address + length > TASK_SIZE)
		return ERR_PTR(-EFAULT);
	return pin_create(ctx, current->mm, address, length, write, NULL);
}

/**
 * pindrop_pin_once() - pin memory of a context's owner for one job
 * @ctx: the context
 * @address: where it begins
 * @length: bytes, not 0; it ends below TASK_SIZE_MAX
 * @write: the device may write it
 * @limit: pages that the owner may have pinned, this included
 *
 * It is not looked at again, and counts for as long as the job.
 *
 * Context: the owner, who may fault; or a thread of ours, which may not: it
 * borrows the owner's address space for a moment in which it does not sleep.
 * No lock held, not inside the gate.
 * Return: what the job is to use, from its first byte on; or ERR_PTR(): as
 * pindrop_pin_create(), and of a thread -EAGAIN (for the owner to do) and
 * -EOWNERDEAD.
 */
struct pindrop_buf *pindrop_pin_once(struct pindrop_ctx *ctx, u64 address,
				     u64 length, bool write,
				     unsigned long limit)
{
	struct mm_struct *mm = ctx->owner->mn.mm;
	struct pindrop_buf *buf;

	/* One moment is enough for so much. */
	if (current->mm != mm &&
	    PFN_UP(offset_in_page(address) + length) > PIN_BATCH)
		return ERR_PTR(-EAGAIN);
	buf = pin_create(ctx, mm, address, length, write, &limit);
	if (IS_ERR(buf))
		return buf;
	trace_pindrop_pin(buf);
	return pindrop_pin_use(ctx, buf, 0, length, write);
}

/* Dirty is what the device wrote, page by page, and no other. */
static void pin_unpin_dirty(struct pindrop_pinned *pin, struct page *page,
			    unsigned long at, unsigned long end)
{
	unsigned long next;

	for (; at < end; at = next) {
		if (!test_bit(at, pin->written)) {
			next = find_next_bit(pin->written, end, at);
			unpin_user_page_range_dirty_lock(page, next - at,
							 false);
			page += next - at;
			continue;
		}
		/*
		 * Without the folio's lock, which somebody may have for ever.
		 * What can be pinned for writing has no file system behind it:
		 * dirty is no more than this flag.
		 */
		folio_set_dirty(page_folio(page));
		unpin_user_page(page++);
		next = at + 1;
	}
}

static void pin_unpin_clean(struct page *page, unsigned long n)
{
	/* Many pages of a large folio are one step; small ones are more each. */
	if (n > 1 && PageCompound(page))
		unpin_user_page_range_dirty_lock(page, n, false);
	else
		for (; n; n--)
			unpin_user_page(page++);
}

static void pin_unpin(struct pindrop_pinned *pin)
{
	struct scatterlist *sg = pin->list;
	unsigned long at = 0, n;
	unsigned int i;

	for (i = 0; i < pin->entries; i++) {
		if (sg_is_chain(sg)) {
			sg = sg_chain_ptr(sg);
			cond_resched();
		}
		n = PFN_UP(sg->offset + sg->length);
		if (pin->wrote)
			pin_unpin_dirty(pin, sg_page(sg), at, at + n);
		else
			pin_unpin_clean(sg_page(sg), n);
		at += n;
		sg++;
	}
}

static void pin_free_list(struct pindrop_pinned *pin)
{
	struct scatterlist *chunk = pin->list, *next;

	for (; pin->chunks; pin->chunks--) {
		next = pin->chunks > 1 ? sg_chain_ptr(chunk + PIN_CHUNK - 1) :
					 NULL;
		kfree(chunk);
		chunk = next;
	}
}

static void pin_free_part(struct pindrop_buf *buf)
{
	pindrop_bounce_uncharge(buf);
	pindrop_buf_put(buf->of);
}

/**
 * pindrop_pin_free() - unpin what nobody uses any more
 * @buf: a pin, or a job's part of one; not mapped
 *
 * Context: process context; may sleep, waits for nobody. Takes nothing of the
 * mm, which may be on its way out.
 */
void pindrop_pin_free(struct pindrop_buf *buf)
{
	struct pindrop_pinned *pin = buf->pin;

	if (buf->of) {
		pin_free_part(buf);
		return;
	}
	trace_pindrop_unpin(buf);
	pin_unpin(pin);
	/* See pin_forget() for what jobs still look at. */
	if (!PINDROP_NO_JOBREF) {
		pin_free_list(pin);
		buf->sgt.sgl = NULL;
	}
	atomic64_sub(pin->have, &buf->dev->stats.pinned);
	if (pin->charged)
		atomic64_sub(pin->npages, &pin->mm->pinned_vm);
	/* Not here: it waits until nobody changes the mm's page tables. */
	if (pin->watched)
		queue_work(pindrop_forget_wq, &pin->forget);
	else
		pin_forget(&pin->forget);
}

/* The same pages as then? 0 or -ESTALE. */
static int pin_compare_some(struct page **found, unsigned long n,
			    struct sg_page_iter *iter)
{
	unsigned long i;
	int err = 0;

	for (i = 0; i < n; i++) {
		if (!__sg_page_iter_next(iter) ||
		    sg_page_iter_page(iter) != found[i])
			err = -ESTALE;
		put_page(found[i]);
	}
	return err;
}

/*
 * Looks the range up, as the program would by reading it. What is not mapped
 * for the moment, though it is still there (shared memory that was to be
 * swapped out, a page that was to be moved), is so again after that. Memory
 * that may not be read at the moment is looked up all the same.
 */
static int pin_compare(struct pindrop_pinned *pin, const struct pin_range *where)
{
	unsigned long begin = pin->address & PAGE_MASK;
	unsigned long end = begin + (pin->npages << PAGE_SHIFT);
	unsigned long address = max(begin, where->from & PAGE_MASK), left;
	struct sg_page_iter iter;
	struct page **found;
	int err = 0, n;

	end = min(end, where->to);
	if (address >= end)
		return 0;
	left = PFN_UP(end - address);
	found = (struct page **)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!found)
		return -ENOMEM;
	__sg_page_iter_start(&iter, pin->list, pin->entries,
			     (address - begin) >> PAGE_SHIFT);
	while (left && !err) {
		cond_resched();
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		n = get_user_pages_fast(address,
					min_t(unsigned long, left, PIN_BATCH),
					FOLL_FORCE, found);
		/* Killed, or without memory: that says nothing of the pages. */
		if (n <= 0 && fatal_signal_pending(current))
			err = -EINTR;
		else if (n == -ENOMEM)
			err = n;
		else if (n <= 0)
			err = -ESTALE;
		else
			err = pin_compare_some(found, n, &iter);
		address += (unsigned long)n << PAGE_SHIFT;
		left -= n;
	}
	free_page((unsigned long)found);
	return err;
}

/*
 * Returns in @where the range to compare: all changes since the last comparison, and
 * the ranges of comparisons that have not ended. A job cannot wait for their results.
 */
static int pin_look_begin(struct pindrop_pinned *pin, struct pin_range *where)
{
	int events;

	spin_lock_irq(&pin->lock);
	events = atomic_read(&pin->events);
	range_add(&pin->looked, &pin->changed);
	pin->changed = (struct pin_range){};
	*where = pin->looked;
	pin->looking++;
	spin_unlock_irq(&pin->lock);
	return events;
}

/* The next job repeats a comparison that was interrupted. */
static void pin_look_end(struct pindrop_pinned *pin,
			 const struct pin_range *where, bool done)
{
	spin_lock_irq(&pin->lock);
	if (!done)
		range_add(&pin->changed, where);
	if (!--pin->looking)
		pin->looked = (struct pin_range){};
	spin_unlock_irq(&pin->lock);
}

/* Whether the pages are still what the program has there. */
static int pin_check(struct pindrop_pinned *pin)
{
	struct pin_range where;
	int events, err;

	if (READ_ONCE(pin->stale))
		return -ESTALE;
	if (atomic_read_acquire(&pin->events) == READ_ONCE(pin->checked))
		return 0;
	if (current->mm != pin->mm)
		return -EAGAIN;
	/*
	 * Each event in the range has begun, and mmu_interval_read_begin() waits
	 * for its end. Later events are in the next job's range.
	 */
	events = pin_look_begin(pin, &where);
	mmu_interval_read_begin(&pin->notifier);
	err = pin_compare(pin, &where);
	if (err == -ESTALE)
		WRITE_ONCE(pin->stale, true);
	pin_look_end(pin, &where, !err);
	if (!err)
		WRITE_ONCE(pin->checked, events);
	return err;
}

/* The segments that a part consists of: puts them at @to, or counts them. */
static unsigned int part_walk(struct pindrop_buf *part, struct scatterlist *to)
{
	u64 skip = part->of_offset, left = part->bytes, len;
	unsigned int i, n = 0;
	struct scatterlist *sg;
	phys_addr_t at;

	for_each_sg(part->pin->list, sg, part->pin->entries, i) {
		if (!left)
			break;
		if (skip >= sg->length) {
			skip -= sg->length;
			continue;
		}
		len = min_t(u64, sg->length - skip, left);
		at = sg_phys(sg) + skip;
		if (to) {
			sg_set_page(to, pfn_to_page(PHYS_PFN(at)), len,
				    offset_in_page(at));
			to = sg_next(to);
		}
		n++;
		left -= len;
		skip = 0;
	}
	return n;
}

static int part_list(struct pindrop_buf *part)
{
	int err = sg_alloc_table(&part->sgt, part_walk(part, NULL),
				 GFP_KERNEL_ACCOUNT);

	if (!err)
		part_walk(part, part->sgt.sgl);
	return err;
}

/* A mapping of a part for one job. Takes over the reference to the pin. */
static struct pindrop_buf *part_create(struct pindrop_ctx *ctx,
				       struct pindrop_buf *pin, u64 offset,
				       u64 length, bool write)
{
	struct pindrop_buf *part = pindrop_buf_create(ctx, length);
	int err;

	if (!part) {
		pindrop_buf_put(pin);
		return ERR_PTR(-ENOMEM);
	}
	part->pin = pin->pin;
	part->of = pin; /* the part's reference */
	part->of_offset = offset;
	part->first = offset_in_page(pin->first + offset);
	part->npages = PFN_UP(part->first + length);
	part->dir = write ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
	part->attrs = pin->attrs | DMA_ATTR_NO_WARN;
	/* The pool has slots, and the shortest job takes one. */
	err = pindrop_bounce_charge(part, (u64)part->npages << PAGE_SHIFT);
	if (!err)
		err = part_list(part);
	if (!err)
		err = pindrop_buf_map(part, pindrop_buf_map_sgt);
	if (err) {
		pindrop_buf_put(part);
		return ERR_PTR(err);
	}
	return part;
}

/**
 * pindrop_pin_use() - a job is going to use a pin
 * @ctx: whose
 * @buf: the pin; the reference is taken over
 * @offset: first byte
 * @length: bytes, within the pin
 * @write: the device is to write it
 *
 * Context: the owner, or a thread of ours for him; may fault, long if
 * something happened to the range; no lock held, not inside the gate.
 * Return: what the job is to use, with a reference: the pin, or a mapping of
 * that part of it, which begins at its of_offset; or ERR_PTR(): -EACCES,
 * -ESTALE, -EINTR (killed), -ENOMEM, -ENODEV, -EAGAIN (only the owner can tell
 * whether it is stale, and the caller is not).
 */
struct pindrop_buf *pindrop_pin_use(struct pindrop_ctx *ctx,
				    struct pindrop_buf *buf, u64 offset,
				    u64 length, bool write)
{
	int err = 0;

	if (write && !buf->pin->write)
		err = -EACCES;
	if (!err)
		err = pin_check(buf->pin);
	if (err) {
		pindrop_buf_put(buf);
		return ERR_PTR(err);
	}
	return buf->pin->bounce ? part_create(ctx, buf, offset, length, write) :
				  buf;
}

/**
 * pindrop_pin_written() - the device is about to write a part
 * @buf: a writable pin, or a job's part of one
 * @offset: first byte
 * @length: bytes
 *
 * Context: any, interrupts off.
 */
void pindrop_pin_written(struct pindrop_buf *buf, u64 offset, u64 length)
{
	struct pindrop_pinned *pin = buf->pin;
	unsigned long begin, end;

	if (buf->of) {
		offset += buf->of_offset;
		buf = buf->of;
	}
	begin = (buf->first + offset) >> PAGE_SHIFT;
	end = PFN_UP(buf->first + offset + length);
	spin_lock(&pin->lock);
	bitmap_set(pin->written, begin, end - begin);
	pin->wrote = true;
	spin_unlock(&pin->lock);
}
