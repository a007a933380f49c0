// SPDX-License-Identifier: GPL-2.0-only
/*
 * IMPORT: somebody else's dma-buf as memory that jobs name. It is mapped for
 * the device as long as the buffer lives, and kept where it is; its pages are
 * the exporter's, so nothing here looks at one, and user space maps it there.
 *
 * The exporter may take it back. Then what is queued fails, what is on the
 * hardware is stopped as in a death, and only when nothing of it can reach the
 * memory any more, by proof or behind a cut, it is unmapped: never because
 * time has passed.
 *
 * What is given back needs the reservation's lock, which others may have for
 * long: a work does it, and who dies waits for that a moment, and no longer,
 * however many imports there are.
 */
#include "pindrop.h"

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "trace.h"

/*
 * How long those who die wait in all until exporters have their memory: so much,
 * and again when ten times that has passed.
 */
#define IMPORT_PATIENCE_US 100000
#define IMPORT_PATIENCE_SHARE 10
/* How often a revoke looks whether the hardware is done, at first and later. */
#define IMPORT_LOOK_MS 5
#define IMPORT_LOOK_LATE_MS 1000

/**
 * struct pindrop_imported - what makes a buffer an import
 * @buf: the buffer
 * @dmabuf: where the memory is from; referenced
 * @attach: our place in there, pinned; NULL before and after
 * @keeper: one without a mapping, which keeps the memory of a device that
 *	went without proof, or NULL
 * @sgt: the exporter's list, while it is mapped
 * @lock: guards @uses; a leaf
 * @uses: pindrop_import_use::node, jobs that name it and are not retired
 * @revoke: stops jobs and unmaps; looks again until nothing of it is on the
 *	hardware, and keeps no worker meanwhile
 * @looked: how often it has looked
 * @unmap: unmaps, as the device goes
 * @free: runs @destroy
 * @destroy: the rest of the buffer's end
 * @waiter: somebody waits for that; under import_lock
 */
struct pindrop_imported {
	struct pindrop_buf *buf;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct dma_buf_attachment *keeper;
	struct sg_table *sgt;
	spinlock_t lock; /* @uses's; a leaf */
	struct list_head uses;
	struct delayed_work revoke;
	unsigned int looked;
	struct work_struct unmap;
	struct work_struct free;
	void (*destroy)(struct pindrop_buf *buf);
	struct completion *waiter;
};

/* Of its own: these works may wait for exporters' locks. */
struct workqueue_struct *pindrop_import_wq;

static DEFINE_SPINLOCK(import_lock);
/* When what was waited will be made up for (us); under import_lock. */
static u64 import_even;

static void import_detach(struct pindrop_imported *imp)
{
	dma_buf_detach(imp->dmabuf, imp->attach);
	imp->attach = NULL;
}

static void import_unpin(struct pindrop_imported *imp)
{
	dma_resv_lock(imp->dmabuf->resv, NULL);
	dma_buf_unpin(imp->attach);
	dma_resv_unlock(imp->dmabuf->resv);
}

/*
 * Who copies a bounce buffer back when it is unmapped copies what the CPU had
 * there when a job last used it: make that the present.
 */
static void import_refresh(struct pindrop_buf *buf, struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;

	if (!buf->need_sync || pindrop_buf_translated(buf->dev))
		return;
	for_each_sgtable_dma_sg(sgt, sg, i)
		dma_sync_single_for_device(buf->dev->dma_dev,
					   sg_dma_address(sg), sg_dma_len(sg),
					   buf->dir);
}

/* Who saw it mapped is done with the list, which goes with the mapping. */
static void import_pass_channels(struct pindrop_dev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->limits.channels; i++) {
		spin_lock_irq(&dev->chans[i].lock);
		spin_unlock_irq(&dev->chans[i].lock);
	}
}

/**
 * pindrop_import_unmap() - take an import from the device
 * @buf: the import; no longer said to be mapped
 *
 * Without proof the exporter does not get the memory back yet, unless it asked
 * for it. Some kernels unmap only what is detached: then something else keeps
 * it.
 *
 * Context: process context, no lock held but the chain's and the device's; the
 * parent is bound, or it bounces, and was proved over since.
 */
void pindrop_import_unmap(struct pindrop_buf *buf)
{
	struct pindrop_imported *imp = buf->import;
	bool keep = pindrop_quarantine_has(buf) && !READ_ONCE(buf->revoked);

	import_pass_channels(buf->dev);
	/* Pairs with pindrop_import_use(), which walks the list under this lock. */
	spin_lock(&imp->lock);
	spin_unlock(&imp->lock);
	import_refresh(buf, imp->sgt);
	dma_resv_lock(imp->dmabuf->resv, NULL);
	dma_buf_unmap_attachment(imp->attach, imp->sgt, buf->dir);
	dma_resv_unlock(imp->dmabuf->resv);
	imp->sgt = NULL;
	if (keep && dma_buf_is_dynamic(imp->dmabuf))
		return;
	if (keep) {
		imp->keeper = dma_buf_attach(imp->dmabuf, &buf->dev->dev);
		if (IS_ERR(imp->keeper))
			imp->keeper = NULL;
	}
	import_unpin(imp);
	import_detach(imp);
}

/**
 * pindrop_import_drop() - the exporter gets it all back
 * @buf: the import; not mapped
 *
 * Context: process context, no lock held; may sleep for others.
 */
void pindrop_import_drop(struct pindrop_buf *buf)
{
	struct pindrop_imported *imp = buf->import;

	if (imp->attach) {
		import_unpin(imp);
		import_detach(imp);
	}
	if (imp->keeper)
		dma_buf_detach(imp->dmabuf, imp->keeper);
	dma_buf_put(imp->dmabuf);
}

static void import_free_work(struct work_struct *work)
{
	struct pindrop_imported *imp =
		container_of(work, struct pindrop_imported, free);

	imp->destroy(imp->buf);
	spin_lock(&import_lock);
	if (imp->waiter)
		complete(imp->waiter);
	spin_unlock(&import_lock);
	kfree(imp);
}

/*
 * The rest of the patience. Less than half counts as none: each wait takes a tick
 * or two, and hundreds of imports would each wait for a remainder of microseconds.
 */
static unsigned int import_patience_us(void)
{
	u64 now = ktime_to_us(ktime_get()), spent;

	spin_lock(&import_lock);
	spent = import_even > now ?
			div_u64(import_even - now, IMPORT_PATIENCE_SHARE) :
			0;
	spin_unlock(&import_lock);
	return spent < IMPORT_PATIENCE_US / 2 ? IMPORT_PATIENCE_US - spent : 0;
}

/* If it is done by now, there is no import any more. */
static void import_stop_waiting(struct pindrop_imported *imp,
				struct completion *done, u64 since,
				bool in_time)
{
	u64 now = ktime_to_us(ktime_get());

	spin_lock(&import_lock);
	import_even = max(import_even, since) +
		      (now - since) * IMPORT_PATIENCE_SHARE;
	/* Several may have waited at a time. */
	import_even = min(import_even, now + (u64)IMPORT_PATIENCE_US *
						       IMPORT_PATIENCE_SHARE);
	if (!in_time && !completion_done(done))
		imp->waiter = NULL;
	spin_unlock(&import_lock);
}

/**
 * pindrop_import_give_back() - the last reference to an import is gone
 * @buf: the import
 * @destroy: what there is to be done, with the exporter's locks
 *
 * Waits for it, as far as there is patience left.
 *
 * Context: process context; sleeps, uninterruptibly and bounded.
 */
void pindrop_import_give_back(struct pindrop_buf *buf,
			      void (*destroy)(struct pindrop_buf *buf))
{
	unsigned long patience = usecs_to_jiffies(import_patience_us());
	struct pindrop_imported *imp = buf->import;
	struct dma_buf *dmabuf = imp->dmabuf;
	DECLARE_COMPLETION_ONSTACK(done);
	bool in_time;
	u64 since;

	/* So that the last one is put here, where nothing puts it off. */
	get_dma_buf(dmabuf);
	imp->destroy = destroy;
	imp->waiter = patience ? &done : NULL; /* the work is not queued yet */
	since = ktime_to_us(ktime_get());
	queue_work(pindrop_import_wq, &imp->free);
	if (patience) {
		in_time = wait_for_completion_timeout(&done, patience);
		import_stop_waiting(imp, &done, since, in_time);
	}
	dma_buf_put(dmabuf);
}

/*
 * Takes up to PINDROP_END_BATCH jobs of one channel off the import's list, with a
 * reference each. Returns their number.
 */
static unsigned int import_next_jobs(struct pindrop_imported *imp,
				     struct pindrop_job **jobs)
{
	struct pindrop_import_use *use, *next;
	unsigned int n = 0;

	spin_lock(&imp->lock);
	list_for_each_entry_safe(use, next, &imp->uses, node) {
		if (n == PINDROP_END_BATCH ||
		    (n && use->job->chan != jobs[0]->chan))
			break;
		kref_get(&use->job->ref); /* import_stop_queued()'s */
		jobs[n++] = use->job;
		list_del_init(&use->node);
	}
	spin_unlock(&imp->lock);
	return n;
}

/* Jobs that SUBMIT adds later see buf::revoked in their turn. */
static void import_stop_queued(struct pindrop_buf *buf)
{
	struct pindrop_job *jobs[PINDROP_END_BATCH];
	unsigned int n;

	while ((n = import_next_jobs(buf->import, jobs))) {
		pindrop_chan_revoke_jobs(jobs[0]->chan, buf, jobs, n);
		while (n--)
			pindrop_job_put(jobs[n]);
		cond_resched();
	}
}

/* False while some of it is on the hardware, which is not cut off. */
static bool import_stop_jobs(struct pindrop_buf *buf)
{
	struct pindrop_dev *dev = buf->dev;
	bool busy = false;
	unsigned int i;

	if (!buf->import->looked)
		import_stop_queued(buf);
	for (i = 0; i < dev->limits.channels; i++)
		busy |= pindrop_chan_revoke(&dev->chans[i], buf);
	if (!busy || PINDROP_BROKEN(revoke) || !atomic_read(&buf->mapped) ||
	    pindrop_chain_is_cut(dev))
		return true;
	if (!buf->import->looked)
		for (i = 0; i < dev->limits.channels; i++)
			pindrop_chain_kick(&dev->chans[i]);
	return false;
}

static void import_revoke_work(struct work_struct *work)
{
	struct pindrop_imported *imp = container_of(to_delayed_work(work),
						    struct pindrop_imported,
						    revoke);
	struct pindrop_buf *buf = imp->buf;
	unsigned int often = 10 * buf->dev->limits.piece_ms / IMPORT_LOOK_MS;

	if (!import_stop_jobs(buf)) {
		queue_delayed_work(pindrop_import_wq, &imp->revoke,
				   msecs_to_jiffies(imp->looked++ < often ?
							    IMPORT_LOOK_MS :
							    IMPORT_LOOK_LATE_MS));
		return;
	}
	pindrop_buf_unmap(buf);
	pindrop_buf_put(buf); /* import_revoked()'s */
	module_put(THIS_MODULE);
}

static void import_unmap_work(struct work_struct *work)
{
	struct pindrop_imported *imp =
		container_of(work, struct pindrop_imported, unmap);
	struct pindrop_buf *buf = imp->buf;

	pindrop_buf_unmap(buf);
	pindrop_buf_put(buf); /* pindrop_import_leave()'s */
}

/**
 * pindrop_import_leave() - have a worker unmap an import from a device that goes
 * @buf: the import
 *
 * The exporter's lock is needed for that, and others may hold it for long.
 *
 * Context: any; does nothing if it was called before.
 */
void pindrop_import_leave(struct pindrop_buf *buf)
{
	kref_get(&buf->ref); /* the work's */
	if (!queue_work(pindrop_import_wq, &buf->import->unmap))
		pindrop_buf_put(buf);
}

/* The exporter wants it back, and has the reservation's lock. */
static void import_revoked(struct dma_buf_attachment *attach)
{
	struct pindrop_buf *buf = attach->importer_priv;

	if (READ_ONCE(buf->revoked) || !kref_get_unless_zero(&buf->ref))
		return; /* it is on its way */
	/* Pairs with the channel's lock: what is queued is found, or sees it. */
	WRITE_ONCE(buf->revoked, true);
	trace_pindrop_revoke(buf, buf->npages);
	__module_get(THIS_MODULE);
	queue_delayed_work(pindrop_import_wq, &buf->import->revoke, 0);
}

static const struct dma_buf_attach_ops import_ops = {
	PINDROP_REVOKED(import_revoked),
};

/* What the engine is given has to be what it can do. */
static int import_check(struct pindrop_buf *buf, struct sg_table *sgt)
{
	struct device *parent = buf->dev->dma_dev;
	u64 mask = dma_get_mask(parent), total = 0;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 at = sg_dma_address(sg), len = sg_dma_len(sg);

		if (!IS_ALIGNED(at | len, buf->dev->limits.align) ||
		    (len && at + len - 1 > mask))
			return -EOPNOTSUPP;
		total += len;
	}
	return total < buf->bytes ? -EOPNOTSUPP : 0;
}

/* Why an exporter refuses is told in many ways. */
static int import_errno(int err)
{
	switch (err) {
	case -ENOMEM:
	case -ERESTARTSYS:
		return err;
	case -EINTR:
		return -ERESTARTSYS;
	default:
		return -EOPNOTSUPP;
	}
}

/* Pinned and mapped, or neither. */
static int import_map_locked(struct pindrop_buf *buf)
{
	struct pindrop_imported *imp = buf->import;
	struct sg_table *sgt;
	int err;

	err = dma_buf_pin(imp->attach);
	if (err)
		return import_errno(err);
	sgt = dma_buf_map_attachment(imp->attach, buf->dir);
	if (IS_ERR(sgt)) {
		err = import_errno(PTR_ERR(sgt));
		goto err_unpin;
	}
	err = import_check(buf, sgt);
	if (err)
		goto err_unmap;
	imp->sgt = sgt;
	return 0;

err_unmap:
	dma_buf_unmap_attachment(imp->attach, sgt, buf->dir);
err_unpin:
	dma_buf_unpin(imp->attach);
	return err;
}

static int import_map(struct pindrop_buf *buf)
{
	struct pindrop_imported *imp = buf->import;
	struct dma_buf_attachment *attach;
	int err;

	attach = dma_buf_dynamic_attach(imp->dmabuf, buf->dev->dma_dev,
					&import_ops, buf);
	if (IS_ERR(attach))
		return import_errno(PTR_ERR(attach));
	imp->attach = attach;
	err = dma_resv_lock_interruptible(imp->dmabuf->resv, NULL);
	if (!err) {
		err = import_map_locked(buf);
		dma_resv_unlock(imp->dmabuf->resv);
	} else {
		err = -ERESTARTSYS;
	}
	if (err) {
		import_detach(imp);
		return err;
	}
	pindrop_buf_set_list(buf, imp->sgt);
	return 0;
}

/* Who attaches as we do is to wait until the exporter has moved it. */
static int import_settle(struct pindrop_buf *buf)
{
	long left = dma_resv_wait_timeout(buf->resv, DMA_RESV_USAGE_KERNEL,
					  true, MAX_SCHEDULE_TIMEOUT);

	if (left < 0)
		return left;
	/* It was taken back while nobody could know that it was mapped. */
	return READ_ONCE(buf->revoked) ? -ESTALE : 0;
}

static int import_make(struct pindrop_buf *buf)
{
	int err;

	err = pindrop_buf_charge_bytes(buf);
	if (!err)
		err = pindrop_buf_map(buf, import_map);
	/*
	 * Without swiotlb=force only the mapping tells whether it bounces. With
	 * DMA_API_DEBUG every mapping needs a sync, so nothing tells.
	 */
	if (!err && buf->need_sync && !buf->bounced &&
	    !IS_ENABLED(CONFIG_DMA_API_DEBUG) &&
	    !pindrop_buf_translated(buf->dev) &&
	    dev_is_dma_coherent(buf->dev->dma_dev))
		err = pindrop_bounce_charge(buf, buf->bytes);
	return err ?: import_settle(buf);
}

static struct pindrop_buf *import_create(struct pindrop_ctx *ctx,
					 struct dma_buf *dmabuf)
{
	struct pindrop_imported *imp;
	struct pindrop_buf *buf;

	imp = kzalloc(sizeof(*imp), GFP_KERNEL_ACCOUNT);
	if (!imp)
		return NULL;
	buf = pindrop_buf_create(ctx, dmabuf->size);
	if (!buf) {
		kfree(imp);
		return NULL;
	}
	spin_lock_init(&imp->lock);
	INIT_LIST_HEAD(&imp->uses);
	INIT_DELAYED_WORK(&imp->revoke, import_revoke_work);
	INIT_WORK(&imp->unmap, import_unmap_work);
	INIT_WORK(&imp->free, import_free_work);
	imp->buf = buf;
	imp->dmabuf = dmabuf;
	get_dma_buf(dmabuf); /* the import's; pindrop_import_drop() */
	buf->import = imp;
	buf->resv = dmabuf->resv;
	buf->npages = PFN_UP(dmabuf->size);
	/* Who was given it to read does not get it written by a device. */
	if (!(dmabuf->file->f_mode & FMODE_WRITE))
		buf->dir = DMA_TO_DEVICE;
	atomic64_inc(&ctx->dev->stats.buffers);
	atomic64_add(buf->bytes, &ctx->dev->stats.bytes);
	return buf;
}

/**
 * pindrop_import() - IMPORT: let jobs use a dma-buf
 * @ctx: for whom; open
 * @fd: descriptor of the dma-buf
 *
 * Context: a user process; may sleep for the exporter; no lock held, not
 * inside the gate.
 * Return: a buffer without a handle, or ERR_PTR(): -EBADF, -EINVAL (no dma-buf),
 * -EOPNOTSUPP (the exporter refuses, or the device cannot have it), -EDQUOT,
 * -ENOMEM, -ESTALE, -ERESTARTSYS, -ENODEV.
 */
struct pindrop_buf *pindrop_import(struct pindrop_ctx *ctx, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	struct pindrop_buf *buf;
	int err;

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	buf = dmabuf->size ? import_create(ctx, dmabuf) : ERR_PTR(-EOPNOTSUPP);
	dma_buf_put(dmabuf);
	if (IS_ERR_OR_NULL(buf))
		return buf ?: ERR_PTR(-ENOMEM);
	err = import_make(buf);
	if (err) {
		pindrop_buf_put(buf);
		return ERR_PTR(err);
	}
	return buf;
}

/**
 * pindrop_import_dmabuf() - what an import is of
 * @buf: the import
 *
 * Context: any.
 * Return: the dma-buf, with a reference.
 */
struct dma_buf *pindrop_import_dmabuf(struct pindrop_buf *buf)
{
	get_dma_buf(buf->import->dmabuf);
	return buf->import->dmabuf;
}

/**
 * pindrop_import_use() - a job is going to use an import
 * @buf: the import
 * @write: the device is to write it
 * @job: the job, not queued yet
 * @offset: the first byte that it uses; the job's cursor is set to it
 *
 * Context: process context.
 * Return: 0 (then pindrop_import_unuse() is to be called), -ESTALE (taken back),
 * -ENODEV or -EACCES (not to be written).
 */
int pindrop_import_use(struct pindrop_buf *buf, bool write,
		       struct pindrop_job *job, u64 offset)
{
	struct pindrop_import_use *use = &job->uses[write];
	struct pindrop_imported *imp = buf->import;
	int err = 0;

	if (write && buf->dir == DMA_TO_DEVICE)
		return -EACCES;
	use->job = job;
	/* Pairs with pindrop_import_unmap(), after which the list is freed. */
	spin_lock(&imp->lock);
	if (READ_ONCE(buf->revoked))
		err = -ESTALE;
	else if (!atomic_read(&buf->mapped))
		err = -ENODEV;
	if (!err) {
		pindrop_buf_seek(write ? &job->dst : &job->src, buf, offset);
		list_add_tail(&use->node, &imp->uses);
	}
	spin_unlock(&imp->lock);
	return err;
}

/**
 * pindrop_import_unuse() - take a job off an import's list
 * @buf: the import
 * @use: the job's, as set by pindrop_import_use()
 *
 * Context: process context; before the job's reference to the import goes.
 */
void pindrop_import_unuse(struct pindrop_buf *buf,
			  struct pindrop_import_use *use)
{
	spin_lock(&buf->import->lock);
	list_del_init(&use->node);
	spin_unlock(&buf->import->lock);
}

/**
 * pindrop_import_sync() - SYNC of an import is the exporter's business
 * @buf: the import
 * @begin: of the CPU's access, else its end
 * @dir: what the CPU does: DMA_FROM_DEVICE, it reads
 *
 * The beginning waits for those who use it, interruptibly.
 *
 * Context: a user process; no lock held, not inside the gate.
 * Return: 0 or what the exporter says.
 */
int pindrop_import_sync(struct pindrop_buf *buf, bool begin,
			enum dma_data_direction dir)
{
	struct dma_buf *dmabuf = buf->import->dmabuf;

	return begin ? dma_buf_begin_cpu_access(dmabuf, dir) :
		       dma_buf_end_cpu_access(dmabuf, dir);
}
