// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that jobs name by a handle: mapped for the device, and freed when
 * handle, mappings and jobs are all gone. What makes up driver memory is in
 * pages.c, a pin in pin.c, an import in import.c.
 */
#include "pindrop.h"

#include <linux/dma-mapping.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "trace.h"

/* A list of more segments than this has marks, so far from each other. */
#define BUF_MARK_STEP 128

/**
 * pindrop_buf_translated() - does an IOMMU give out the bus addresses
 * @dev: the device
 *
 * Context: any.
 * Return: true if all of memory is within the device's reach.
 */
bool pindrop_buf_translated(struct pindrop_dev *dev)
{
	return dev->iommu == PINDROP_IOMMU_STRICT ||
	       dev->iommu == PINDROP_IOMMU_LAZY;
}

static bool buf_needs_sync(struct pindrop_buf *buf)
{
	struct device *parent = buf->dev->dma_dev;
	struct scatterlist *sg;
	unsigned int i;

	if (!(buf->dev->caps & PINDROP_CAP_CACHE_COHERENT))
		return true;
	/* Reached without a bounce, or it would be mapped job by job. */
	if (buf->pin && !buf->of && !pindrop_buf_translated(buf->dev))
		return false;
	for_each_sgtable_dma_sg(&buf->sgt, sg, i)
		if (dma_need_sync(parent, sg_dma_address(sg)))
			return true;
	return false;
}

/* Where every so many segments begin. Without memory a seek takes longer. */
static void buf_set_marks(struct pindrop_buf *buf)
{
	struct pindrop_mark *marks;
	struct scatterlist *sg;
	unsigned int i;
	u64 at = 0;

	if (buf->sgt.nents <= BUF_MARK_STEP)
		return;
	marks = kvcalloc(DIV_ROUND_UP(buf->sgt.nents, BUF_MARK_STEP),
			 sizeof(*marks), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!marks)
		return;
	for (i = 0, sg = buf->sgt.sgl; i < buf->sgt.nents; i++, sg++) {
		if (sg_is_chain(sg))
			sg = sg_chain_ptr(sg);
		if (i % BUF_MARK_STEP == 0) {
			marks[buf->nmarks].sg = sg;
			marks[buf->nmarks++].offset = at;
		}
		at += sg_dma_len(sg);
	}
	buf->marks = marks;
}

/**
 * pindrop_buf_map_sgt() - map the scatter list
 * @buf: the buffer, its list filled in
 *
 * Context: as a map function of pindrop_buf_map().
 * Return: 0 or -ENOMEM.
 */
int pindrop_buf_map_sgt(struct pindrop_buf *buf)
{
	if (dma_map_sgtable(buf->dev->dma_dev, &buf->sgt, buf->dir, buf->attrs))
		return -ENOMEM;
	buf->need_sync = buf_needs_sync(buf);
	buf_set_marks(buf);
	return 0;
}

/**
 * pindrop_buf_set_list() - take over a list that somebody else has mapped
 * @buf: the buffer
 * @sgt: its list, which stays theirs
 *
 * Context: as a map function of pindrop_buf_map().
 */
void pindrop_buf_set_list(struct pindrop_buf *buf, const struct sg_table *sgt)
{
	buf->sgt = *sgt;
	buf->need_sync = buf_needs_sync(buf);
	buf_set_marks(buf);
}

/* The page list of coherent memory is only for mapping it to user space. */
static int buf_list_coherent(struct pindrop_buf *buf, dma_addr_t dma)
{
	struct sg_table pages = {};
	struct sg_page_iter iter;
	unsigned long n = 0;
	int err;

	err = dma_get_sgtable(buf->dev->dma_dev, &pages, buf->cpu, dma,
			      buf->bytes);
	if (err)
		return err;
	for_each_sgtable_page(&pages, &iter, 0)
		if (n < buf->npages)
			buf->pages[n++] = sg_page_iter_page(&iter);
	sg_free_table(&pages);
	return n == buf->npages ? 0 : -EINVAL;
}

static int buf_map_coherent(struct pindrop_buf *buf)
{
	struct device *parent = buf->dev->dma_dev;
	dma_addr_t dma;
	int err;

	buf->pages = kvcalloc(buf->npages, sizeof(*buf->pages),
			      GFP_KERNEL_ACCOUNT);
	if (!buf->pages)
		return -ENOMEM;
	err = sg_alloc_table(&buf->sgt, 1, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	buf->cpu = dma_alloc_coherent(parent, buf->bytes, &dma,
				      GFP_KERNEL | __GFP_NOWARN);
	if (!buf->cpu)
		return -ENOMEM;
	sg_dma_address(buf->sgt.sgl) = dma;
	sg_dma_len(buf->sgt.sgl) = buf->bytes;
	buf->sgt.nents = 1;
	err = buf_list_coherent(buf, dma);
	if (err) {
		dma_free_coherent(parent, buf->bytes, buf->cpu, dma);
		buf->cpu = NULL;
	}
	return err;
}

static void buf_trace_map(struct pindrop_buf *buf)
{
	struct scatterlist *sg;
	unsigned int i;

	if (trace_pindrop_dma_map_enabled())
		for_each_sgtable_dma_sg(&buf->sgt, sg, i)
			trace_pindrop_dma_map(buf->dev, buf, sg_dma_address(sg),
					      sg_dma_len(sg));
}

static void buf_trace_unmap(struct pindrop_buf *buf)
{
	struct scatterlist *sg;
	unsigned int i;

	if (trace_pindrop_dma_unmap_enabled())
		for_each_sgtable_dma_sg(&buf->sgt, sg, i)
			trace_pindrop_dma_unmap(buf->dev, buf,
						sg_dma_address(sg),
						sg_dma_len(sg));
}

/* Whether the device writes to the bounce pool, and not to the pages. */
static bool buf_bounces(struct pindrop_buf *buf)
{
	if (pindrop_buf_translated(buf->dev))
		return buf->of;
	/* Of an import nobody knows; what need not be synced does not. */
	return buf->of || (buf->import && buf->need_sync) ||
	       is_swiotlb_force_bounce(buf->dev->dma_dev);
}

/*
 * Each job has synced the bytes that the device wrote. A sync here would copy older
 * bytes from the bounce buffer over newer ones in a page that outlives the buffer.
 */
static void buf_unmap_list(struct pindrop_buf *buf)
{
	dma_unmap_sgtable(buf->dev->dma_dev, &buf->sgt, buf->dir,
			  buf->attrs | DMA_ATTR_SKIP_CPU_SYNC);
}

/**
 * pindrop_buf_unmap() - take a buffer from the device, for good
 * @buf: the buffer; nothing is issued with it any more
 *
 * Idempotent; whoever clears the flag does it.
 *
 * Context: process context, no spinlock held; the parent is bound, unless it
 * was unmapped before.
 */
void pindrop_buf_unmap(struct pindrop_buf *buf)
{
	struct pindrop_dev *dev = buf->dev;

	if (!atomic_xchg(&buf->mapped, 0))
		return;
	trace_pindrop_buf_unmap_dma(buf, buf->npages);
	buf_trace_unmap(buf);
	spin_lock(&dev->bufs_lock);
	list_del(&buf->node);
	spin_unlock(&dev->bufs_lock);
	/*
	 * With its mapping, where what the device may write is part of that: a
	 * bounce buffer would be somebody else's at once.
	 */
	if ((buf->cpu || (READ_ONCE(dev->closed) && buf_bounces(buf))) &&
	    pindrop_quarantine_has(buf))
		buf->kept = true;
	else if (buf->import)
		pindrop_import_unmap(buf);
	else if (!buf->cpu)
		buf_unmap_list(buf);
	else
		dma_free_coherent(dev->dma_dev, buf->bytes, buf->cpu,
				  sg_dma_address(buf->sgt.sgl));
	/* Removal goes on when it has seen the last one. */
	if (atomic_dec_and_test(&dev->nmapped))
		wake_up_all(&dev->quiet);
}

/* Proved over while the device in its place is being bound, or too late. */
static void buf_free_kept(struct pindrop_buf *buf)
{
	struct device *parent = buf->dev->dma_dev;

	/* An exporter unmaps it: what is not done now, nobody can do later. */
	if (buf->import)
		pindrop_import_unmap(buf);
	else if (!parent->driver)
		dev_warn(parent, "%llu bytes of coherent or bounce memory are lost: the device went as it hung\n",
			 buf->bytes);
	else if (buf->cpu)
		dma_free_coherent(parent, buf->bytes, buf->cpu,
				  sg_dma_address(buf->sgt.sgl));
	else
		buf_unmap_list(buf);
}

static void buf_free_pages(struct pindrop_buf *buf)
{
	struct pindrop_dev *dev = buf->dev;

	trace_pindrop_buf_free(buf, buf->bytes);
	pindrop_export_free(buf);
	pindrop_pages_free(buf);
	atomic64_dec(&dev->stats.buffers);
	atomic64_sub(buf->bytes, &dev->stats.bytes);
	pindrop_bounce_uncharge(buf);
	if (buf->coherent)
		pindrop_user_uncharge(buf->user, PINDROP_QUOTA_COHERENT,
				      buf->bytes);
	pindrop_user_uncharge(buf->user, PINDROP_QUOTA_BYTES, buf->charged);
}

static void buf_destroy(struct pindrop_buf *buf)
{
	struct pindrop_dev *dev = buf->dev;

	pindrop_buf_unmap(buf);
	if (buf->kept)
		buf_free_kept(buf);
	if (buf->pin)
		pindrop_pin_free(buf);
	else
		buf_free_pages(buf);
	if (buf->import) {
		pindrop_import_drop(buf);
		buf->sgt.sgl = NULL; /* the exporter's */
	}
	pindrop_user_put(buf->user);
	/* Without job references jobs still read these; only the pages go. */
	if (PINDROP_NO_JOBREF) {
		put_device(&dev->dev);
		return;
	}
	kvfree(buf->marks);
	sg_free_table(&buf->sgt);
	if (buf->offsets)
		pindrop_offset_free(buf);
	else
		kfree_rcu(buf, rcu);
	put_device(&dev->dev);
}

/* May run under mmap_lock, in exit_mmap() and in the release hook. */
static void buf_free(struct kref *ref)
{
	struct pindrop_buf *buf = container_of(ref, struct pindrop_buf, ref);

	if (buf->import)
		pindrop_import_give_back(buf, buf_destroy);
	else
		buf_destroy(buf);
}

/**
 * pindrop_buf_put() - drop a reference
 * @buf: the buffer
 *
 * Context: any process context, under mmap_lock too; no spinlock held.
 */
void pindrop_buf_put(struct pindrop_buf *buf)
{
	kref_put(&buf->ref, buf_free);
}

static void buf_trace(struct pindrop_buf *buf)
{
	unsigned long i, n;

	if (buf->pin) {
		trace_pindrop_pin(buf);
		return;
	}
	if (buf->import) {
		trace_pindrop_import(buf);
		return;
	}
	trace_pindrop_buf_alloc(buf);
	if (!trace_pindrop_buf_pages_enabled())
		return;
	for (i = 0; i < buf->npages; i += n) {
		unsigned long pfn = page_to_pfn(buf->pages[i]);

		for (n = 1; i + n < buf->npages; n++)
			if (page_to_pfn(buf->pages[i + n]) != pfn + n)
				break;
		trace_pindrop_buf_pages(buf, i, pfn, n);
	}
}

/**
 * pindrop_buf_map() - map a buffer for the device, unless it goes
 * @buf: the buffer
 * @map: does it, and returns 0 or -errno with nothing mapped
 *
 * Context: may sleep; not inside the gate.
 * Return: 0, -ENODEV, or what @map returned.
 */
int pindrop_buf_map(struct pindrop_buf *buf,
		    int (*map)(struct pindrop_buf *buf))
{
	struct pindrop_dev *dev = buf->dev;
	int err;

	/*
	 * Counted first, and only then a look at the flag: removal, which sets
	 * it and then waits for the count, has this one mapped or refused. The
	 * long part is before.
	 */
	atomic_inc(&dev->nmapped);
	smp_mb__after_atomic(); /* pairs with synchronize_srcu() in removal */
	err = READ_ONCE(dev->closed) ? -ENODEV : map(buf);
	if (err) {
		if (atomic_dec_and_test(&dev->nmapped))
			wake_up_all(&dev->quiet);
		return err;
	}
	buf_trace_map(buf);
	atomic_set(&buf->mapped, 1);
	spin_lock(&dev->bufs_lock);
	list_add_tail(&buf->node, &dev->bufs);
	spin_unlock(&dev->bufs_lock);
	return 0;
}

/* Whatever the segments that the device is given at most. */
static bool buf_is_one_range(struct pindrop_buf *buf)
{
	struct scatterlist *sg;
	dma_addr_t next = 0;
	unsigned int i;

	for_each_sgtable_dma_sg(&buf->sgt, sg, i) {
		if (i && sg_dma_address(sg) != next)
			return false;
		next = sg_dma_address(sg) + sg_dma_len(sg);
	}
	return true;
}

static int buf_make(struct pindrop_buf *buf)
{
	int err;

	if (buf->flags & PINDROP_ALLOC_COHERENT)
		return pindrop_buf_map(buf, buf_map_coherent);
	err = pindrop_pages_alloc(buf);
	if (!err)
		err = pindrop_buf_map(buf, pindrop_pages_map);
	if (!err && (buf->flags & PINDROP_ALLOC_CONTIG) &&
	    !buf_is_one_range(buf))
		err = -ENOMEM;
	return err;
}

/**
 * pindrop_buf_charge_bytes() - count a buffer against its user's limits
 * @buf: the buffer; not mapped
 *
 * With swiotlb=force it is charged for the bounce pool, too.
 *
 * Context: any.
 * Return: 0 or -EDQUOT; the charges end with the buffer.
 */
int pindrop_buf_charge_bytes(struct pindrop_buf *buf)
{
	int err;

	err = pindrop_user_charge(buf->user, PINDROP_QUOTA_BYTES, buf->bytes,
				  pindrop_user_max_bytes());
	if (err)
		return err;
	buf->charged = buf->bytes;
	if (buf->flags & PINDROP_ALLOC_COHERENT ||
	    !is_swiotlb_force_bounce(buf->dev->dma_dev))
		return 0;
	return pindrop_bounce_charge(buf, buf->bytes);
}

/* The limits first: they are what a large request should fail at. */
static int buf_charge(struct pindrop_buf *buf)
{
	int err;

	err = pindrop_buf_charge_bytes(buf);
	if (!err && (buf->flags & PINDROP_ALLOC_COHERENT)) {
		err = pindrop_user_charge(buf->user, PINDROP_QUOTA_COHERENT,
					  buf->bytes, PINDROP_USER_COHERENT);
		buf->coherent = !err;
	}
	return err;
}

/**
 * pindrop_buf_create() - an object that can have a handle, without memory
 * @ctx: for whom
 * @bytes: its size
 *
 * Context: may sleep.
 * Return: the buffer with one reference, the handle's, or NULL.
 */
struct pindrop_buf *pindrop_buf_create(struct pindrop_ctx *ctx, u64 bytes)
{
	struct pindrop_dev *dev = ctx->dev;
	struct pindrop_buf *buf;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return NULL;
	kref_init(&buf->ref); /* the handle's, or the job's of which it is */
	buf->dev = dev;
	get_device(&dev->dev);
	buf->user = ctx->user;
	/* The buffer's: it may outlive the context. */
	kref_get(&buf->user->ref);
	buf->id = atomic64_inc_return(&dev->ids);
	buf->ctx_id = ctx->id;
	buf->bytes = bytes;
	buf->dir = DMA_BIDIRECTIONAL;
	INIT_LIST_HEAD(&buf->node);
	return buf;
}

/**
 * pindrop_buf_abort() - give an object up that was never anything
 * @buf: from pindrop_buf_create()
 *
 * Context: process context.
 */
void pindrop_buf_abort(struct pindrop_buf *buf)
{
	struct pindrop_dev *dev = buf->dev;

	pindrop_user_put(buf->user);
	kfree(buf);
	put_device(&dev->dev);
}

/**
 * pindrop_buf_alloc() - allocate memory and map it for the device
 * @ctx: for whom; open
 * @bytes: a multiple of the page size
 * @flags: enum pindrop_alloc_flags, checked
 *
 * Context: a user process; long; no lock held, not inside the gate.
 * Return: a buffer without a handle, or ERR_PTR(): -ENOMEM, -EDQUOT, -EINTR
 * (killed), -EOPNOTSUPP (no page to a segment), -ENODEV.
 */
struct pindrop_buf *pindrop_buf_alloc(struct pindrop_ctx *ctx, u64 bytes,
				      u32 flags)
{
	struct pindrop_dev *dev = ctx->dev;
	struct pindrop_buf *buf;
	int err;

	buf = pindrop_buf_create(ctx, bytes);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->flags = flags;
	buf->npages = bytes >> PAGE_SHIFT;
	atomic64_inc(&dev->stats.buffers);
	atomic64_add(bytes, &dev->stats.bytes);

	err = buf_charge(buf);
	if (!err)
		err = buf_make(buf);
	if (err) {
		pindrop_buf_put(buf);
		return ERR_PTR(err);
	}
	return buf;
}

/* A handle more, or less, and where mmap() finds its buffer. */
static unsigned int count_handle(struct pindrop_ctx *ctx,
				 struct pindrop_buf *buf, bool more)
{
	unsigned int n;

	spin_lock_irq(&ctx->lock);
	n = ctx->nhandles += more ? 1 : -1;
	if (buf->offsets && more)
		interval_tree_insert(&buf->place, &ctx->places);
	else if (buf->offsets)
		interval_tree_remove(&buf->place, &ctx->places);
	WRITE_ONCE(ctx->status->page->buffers, n);
	spin_unlock_irq(&ctx->lock);
	return n;
}

/**
 * pindrop_buf_publish() - give a buffer its handle
 * @ctx: the context
 * @buf: the buffer; its reference becomes the handle's, or is dropped
 * @handle: the handle
 *
 * Context: a user process; may sleep.
 * Return: 0, or -EDQUOT, -ENOMEM, -EOWNERDEAD, -ENODEV.
 */
int pindrop_buf_publish(struct pindrop_ctx *ctx, struct pindrop_buf *buf,
			u32 *handle)
{
	int err = -EDQUOT;

	kref_get(&buf->ref); /* ours: a guessed handle may be freed at once */
	if (count_handle(ctx, buf, true) <= PINDROP_MAX_HANDLES)
		err = xa_alloc_cyclic(&ctx->handles, handle, buf,
				      XA_LIMIT(1, PINDROP_DEVMEM - 1),
				      &ctx->next_handle, GFP_KERNEL_ACCOUNT);
	if (err < 0) {
		count_handle(ctx, buf, false);
		pindrop_buf_put(buf);
		goto out;
	}
	WRITE_ONCE(buf->handle, *handle);
	buf_trace(buf);

	/* Pairs with pindrop_ctx_drop(): it finds the handle, or we its state. */
	smp_mb();
	err = pindrop_ctx_dead_errno(ctx);
	if (err)
		pindrop_buf_drop_handle(ctx, *handle);
out:
	pindrop_buf_put(buf);
	return err;
}

/**
 * pindrop_buf_drop_handle() - drop a handle and its reference
 * @ctx: the context
 * @handle: the handle
 *
 * Context: process context, no spinlock held.
 * Return: 0, or -ENOENT; of a dying context, -EOWNERDEAD or -ENODEV.
 */
int pindrop_buf_drop_handle(struct pindrop_ctx *ctx, u32 handle)
{
	struct pindrop_buf *buf = xa_erase(&ctx->handles, handle);

	if (!buf)
		return pindrop_ctx_dead_errno(ctx) ?: -ENOENT;
	count_handle(ctx, buf, false);
	if (PINDROP_BROKEN(I3))
		pindrop_buf_unmap(buf);
	pindrop_buf_put(buf);
	return 0;
}

/**
 * pindrop_buf_drop_all() - drop all handles of a dying context
 * @ctx: the context
 *
 * Context: process context, no spinlock held.
 */
void pindrop_buf_drop_all(struct pindrop_ctx *ctx)
{
	struct pindrop_buf *buf;
	unsigned long handle;

	xa_for_each(&ctx->handles, handle, buf)
		pindrop_buf_drop_handle(ctx, handle);
}

/**
 * pindrop_buf_get_handle() - find a buffer by its handle
 * @ctx: the context
 * @handle: the handle
 *
 * Context: any.
 * Return: a reference, or NULL.
 */
struct pindrop_buf *pindrop_buf_get_handle(struct pindrop_ctx *ctx, u32 handle)
{
	struct pindrop_buf *buf;

	rcu_read_lock();
	buf = xa_load(&ctx->handles, handle);
	if (buf && !kref_get_unless_zero(&buf->ref))
		buf = NULL;
	rcu_read_unlock();
	return buf;
}

/* A mapped buffer that is not being unmapped, with a reference; or NULL. */
static struct pindrop_buf *buf_find_mapped(struct pindrop_dev *dev)
{
	struct pindrop_buf *buf, *found = NULL;

	spin_lock(&dev->bufs_lock);
	list_for_each_entry(buf, &dev->bufs, node) {
		if (buf->leaving || !kref_get_unless_zero(&buf->ref))
			continue; /* the work, or its last holder, unmaps it */
		buf->leaving = true;
		found = buf;
		break;
	}
	spin_unlock(&dev->bufs_lock);
	return found;
}

/**
 * pindrop_buf_unmap_all() - take all buffers from a device that goes
 * @dev: the device; the gate is shut
 *
 * An import is unmapped under its exporter's lock, for which others may make it
 * wait without a bound: a mapping left behind would break the promise, so this
 * waits, too, and says so each second.
 *
 * Context: sleeps until those who are freeing a buffer, or were allocating
 * one, are done with it.
 */
void pindrop_buf_unmap_all(struct pindrop_dev *dev)
{
	unsigned long told = jiffies;
	struct pindrop_buf *buf;

	do {
		while ((buf = buf_find_mapped(dev))) {
			if (buf->import)
				pindrop_import_leave(buf);
			else
				pindrop_buf_unmap(buf);
			pindrop_buf_put(buf);
		}
		if (time_before(jiffies, told + HZ))
			continue;
		told = jiffies;
		dev_warn(dev->parent,
			 "removal waits: %d buffers are mapped, whose exporters are busy\n",
			 atomic_read(&dev->nmapped));
	} while (!wait_event_timeout(dev->quiet, !atomic_read(&dev->nmapped),
				     msecs_to_jiffies(10)));
}

/**
 * pindrop_buf_seek() - put a cursor at a place in a buffer
 * @cur: the cursor
 * @buf: the buffer, mapped; the caller keeps a reference while it uses @cur
 * @offset: bytes, below the buffer's size
 *
 * Context: any; takes time with the logarithm of the number of segments.
 */
void pindrop_buf_seek(struct pindrop_cursor *cur, struct pindrop_buf *buf,
		      u64 offset)
{
	unsigned int low = 0, high = buf->nmarks, middle;

	cur->buf = buf;
	cur->sg = buf->sgt.sgl;
	cur->at = 0;
	cur->offset = 0;
	while (low < high) {
		middle = low + (high - low) / 2;
		if (buf->marks[middle].offset > offset) {
			high = middle;
			continue;
		}
		cur->sg = buf->marks[middle].sg;
		cur->offset = buf->marks[middle].offset;
		low = middle + 1;
	}
	pindrop_buf_advance(cur, offset - cur->offset);
}

/**
 * pindrop_buf_bus() - where a cursor's place is on the device's bus
 * @cur: the cursor
 * @contiguous: bytes that follow it there without a gap
 *
 * Context: any.
 * Return: the bus address.
 */
u64 pindrop_buf_bus(const struct pindrop_cursor *cur, u64 *contiguous)
{
	*contiguous = sg_dma_len(cur->sg) - cur->at;
	return sg_dma_address(cur->sg) + cur->at;
}

/**
 * pindrop_buf_advance() - move a cursor on
 * @cur: the cursor
 * @bytes: at most to the buffer's end
 *
 * Context: any.
 */
void pindrop_buf_advance(struct pindrop_cursor *cur, u64 bytes)
{
	cur->offset += bytes;
	cur->at += bytes;
	/* What an IOMMU merged leaves empty entries behind: the end is at 0. */
	while (cur->at && cur->at >= sg_dma_len(cur->sg) &&
	       !sg_is_last(cur->sg)) {
		cur->at -= sg_dma_len(cur->sg);
		cur->sg = sg_next(cur->sg);
	}
}

/**
 * pindrop_buf_sync() - hand a range to the CPU or to the device
 * @buf: the buffer, mapped
 * @offset: first byte
 * @length: bytes, within the buffer
 * @for_cpu: to the CPU, else to the device
 * @dir: what the device does with it; both ways, and it only reads: it reads
 *
 * Page by page: a range that is contiguous on the bus need not be in memory.
 *
 * Context: any; the device is there (gate, or its channel's lock with a piece
 * on the hardware).
 */
void pindrop_buf_sync(struct pindrop_buf *buf, u64 offset, u64 length,
		      bool for_cpu, enum dma_data_direction dir)
{
	struct device *parent = buf->dev->dma_dev;
	struct pindrop_cursor cur;
	u64 len, room, bus;

	if (!buf->need_sync || !atomic_read(&buf->mapped))
		return;
	if (dir == DMA_BIDIRECTIONAL)
		dir = buf->dir;
	pindrop_buf_seek(&cur, buf, offset);
	for (; length; length -= len) {
		bus = pindrop_buf_bus(&cur, &room);
		len = min3(length, room,
			   (u64)PAGE_SIZE -
				   offset_in_page(cur.offset + buf->first));
		if (for_cpu)
			dma_sync_single_for_cpu(parent, bus, len, dir);
		else
			dma_sync_single_for_device(parent, bus, len, dir);
		pindrop_buf_advance(&cur, len);
	}
}

/**
 * pindrop_zero_alloc() - what the device clears its own memory with
 * @dev: the device; has memory that jobs may name
 *
 * Pages, not coherent memory: without proof they outlive the mapping.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_zero_alloc(struct pindrop_dev *dev)
{
	unsigned int order = get_order(dev->limits.devmem);
	size_t bytes = PAGE_SIZE << order;

	dev->zero = pindrop_pages_chunk(dev, order, __GFP_RETRY_MAYFAIL);
	if (!dev->zero)
		return -ENOMEM;
	dev->zero_order = order;
	dev->zero_dma = dma_map_page(dev->dma_dev, dev->zero, 0, bytes,
				     DMA_TO_DEVICE);
	if (!dma_mapping_error(dev->dma_dev, dev->zero_dma)) {
		trace_pindrop_dma_map(dev, NULL, dev->zero_dma, bytes);
		return 0;
	}
	__free_pages(dev->zero, order);
	dev->zero = NULL;
	return -ENOMEM;
}

/**
 * pindrop_zero_unmap() - take it from a device that goes
 * @dev: the device; frees the pages with the device
 *
 * Context: any; the parent is bound.
 */
void pindrop_zero_unmap(struct pindrop_dev *dev)
{
	size_t bytes = PAGE_SIZE << dev->zero_order;

	if (!dev->zero)
		return;
	trace_pindrop_dma_unmap(dev, NULL, dev->zero_dma, bytes);
	dma_unmap_page(dev->dma_dev, dev->zero_dma, bytes, DMA_TO_DEVICE);
}
