// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's life: registration, the gate, the node, the counters in sysfs,
 * removal; and the module's own beginning and end.
 */
#include "pindrop.h"

#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

#define PINDROP_MINORS 256

static dev_t pindrop_devt;
static DEFINE_IDA(pindrop_minors);

/**
 * pindrop_enter() - pass the gate: the device stays registered until the exit
 * @dev: the device
 * @idx: to be given to pindrop_exit()
 *
 * Context: any that may not be under channel locks; does not sleep. Inside,
 * never wait, copy from or to user space, pin or make a long allocation.
 * Return: false if the device is gone; then there is no exit to call.
 */
bool pindrop_enter(struct pindrop_dev *dev, int *idx)
{
	*idx = srcu_read_lock(&dev->gate);
	/* For sparse, which knows no function that may or may not lock. */
	__release(&dev->gate);
	if (!READ_ONCE(dev->closed))
		return true;
	pindrop_exit(dev, *idx);
	return false;
}

/**
 * pindrop_exit() - leave the gate
 * @dev: the device
 * @idx: from pindrop_enter()
 */
void pindrop_exit(struct pindrop_dev *dev, int idx)
{
	__acquire(&dev->gate); /* see pindrop_enter() */
	srcu_read_unlock(&dev->gate, idx);
}

static struct pindrop_dev *to_pindrop_dev(struct device *d)
{
	return container_of(d, struct pindrop_dev, dev);
}

static ssize_t engine_show(struct device *d, struct device_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%s\n", to_pindrop_dev(d)->limits.name);
}
static DEVICE_ATTR_RO(engine);

#define PINDROP_COUNTER(field)                                               \
	static ssize_t field##_show(struct device *d,                        \
				    struct device_attribute *attr, char *buf)\
	{                                                                    \
		struct pindrop_stats *stats = &to_pindrop_dev(d)->stats;     \
									     \
		return sysfs_emit(buf, "%lld\n",                             \
				  (s64)atomic64_read(&stats->field));        \
	}                                                                    \
	static DEVICE_ATTR_RO(field)

PINDROP_COUNTER(contexts);
PINDROP_COUNTER(buffers);
PINDROP_COUNTER(bytes);
PINDROP_COUNTER(inflight);
PINDROP_COUNTER(pinned);
PINDROP_COUNTER(quarantined);
PINDROP_COUNTER(jobs_done);
PINDROP_COUNTER(jobs_failed);
PINDROP_COUNTER(jobs_cancelled);

/* K5 at the administrator's wish: only 1 is taken. */
static ssize_t reset_store(struct device *d, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	bool wanted;
	int err;

	err = kstrtobool(buf, &wanted);
	if (err || !wanted)
		return -EINVAL;
	err = pindrop_chain_reset(to_pindrop_dev(d));
	return err ?: count;
}
static DEVICE_ATTR_WO(reset);

static ssize_t ring_threads_show(struct device *d,
				 struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(to_pindrop_dev(d)->threads));
}

/* The threads' processor time is not charged to their owner's cgroup. */
static ssize_t ring_threads_store(struct device *d,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	bool leave;

	if (kstrtobool(buf, &leave))
		return -EINVAL;
	WRITE_ONCE(to_pindrop_dev(d)->threads, leave);
	return count;
}
static DEVICE_ATTR_RW(ring_threads);

static struct attribute *pindrop_attrs[] = {
	&dev_attr_reset.attr,	    &dev_attr_ring_threads.attr,
	&dev_attr_engine.attr,	    &dev_attr_contexts.attr,
	&dev_attr_buffers.attr,	    &dev_attr_bytes.attr,
	&dev_attr_inflight.attr,    &dev_attr_pinned.attr,
	&dev_attr_quarantined.attr, &dev_attr_jobs_done.attr,
	&dev_attr_jobs_failed.attr, &dev_attr_jobs_cancelled.attr,
	NULL
};
ATTRIBUTE_GROUPS(pindrop);

/* The last context, buffer and registration are gone. May sleep. */
static void pindrop_dev_release(struct device *d)
{
	struct pindrop_dev *dev = to_pindrop_dev(d);
	unsigned int i;

	pindrop_offsets_put(dev->offsets);
	cleanup_srcu_struct(&dev->gate);
	if (dev->dev.devt)
		ida_free(&pindrop_minors, MINOR(dev->dev.devt));
	for (i = 0; dev->chans && i < dev->limits.channels; i++)
		kfree(dev->chans[i].pieces);
	kfree(dev->chans);
	if (dev->zero)
		__free_pages(dev->zero, dev->zero_order);
	put_device(dev->dma_dev);
	put_device(dev->parent);
	kfree(dev->place);
	kfree(dev);
}

static struct class pindrop_class = {
	.name = "pindrop",
	.dev_groups = pindrop_groups,
	.class_groups = pindrop_quarantine_groups,
	.dev_release = pindrop_dev_release,
};

static u32 iommu_kind(struct device *parent)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(parent);

	if (!domain)
		return PINDROP_IOMMU_NONE;
	switch (domain->type) {
	case IOMMU_DOMAIN_IDENTITY:
		return PINDROP_IOMMU_IDENTITY;
	case IOMMU_DOMAIN_DMA_FQ:
		return PINDROP_IOMMU_LAZY;
	default:
		return PINDROP_IOMMU_STRICT;
	}
}

static int pindrop_dev_init(struct pindrop_dev *dev, struct device *parent)
{
	unsigned int i;
	int minor, err;

	minor = ida_alloc_max(&pindrop_minors, PINDROP_MINORS - 1, GFP_KERNEL);
	if (minor < 0)
		return minor;
	dev->dev.devt = MKDEV(MAJOR(pindrop_devt), minor);
	err = dev_set_name(&dev->dev, "pindrop%d", minor);
	if (err)
		return err;

	/*
	 * Unbound: a stop of one channel delays no other's. High priority: a
	 * user's busy processors must not delay a death.
	 */
	dev->wq = alloc_workqueue("%s_chain",
				  WQ_MEM_RECLAIM | WQ_HIGHPRI | WQ_UNBOUND, 0,
				  dev_name(&dev->dev));
	dev->chans = kcalloc(dev->limits.channels, sizeof(*dev->chans),
			     GFP_KERNEL);
	if (!dev->wq || !dev->chans)
		return -ENOMEM;
	for (i = 0; i < dev->limits.channels; i++) {
		err = pindrop_chan_init(dev, i);
		if (err)
			return err;
	}
	return dev->limits.devmem ? pindrop_zero_alloc(dev) : 0;
}

/* What is bound to the parent: goes when the parent does, proof or not. */
static void pindrop_dev_fini(struct pindrop_dev *dev)
{
	unsigned int i;

	/* Pairs with the RCU section of notify_send(), which queues channels' work. */
	synchronize_rcu();
	for (i = 0; dev->chans && i < dev->limits.channels; i++)
		if (dev->chans[i].pieces)
			pindrop_chan_fini(&dev->chans[i]);
	/* Not armed once the device is gone. */
	cancel_delayed_work_sync(&dev->pause_work);
	/* While there is something to tell it of. */
	flush_work(&dev->tell);
	pindrop_zero_unmap(dev);
	if (dev->wq)
		destroy_workqueue(dev->wq);
	dev->wq = NULL;
}

/*
 * Call @fn for each context whose file is open, without dev::lock: a concurrent
 * close() must not wait until @fn has visited all other contexts. The device is
 * closed, so no context is added.
 */
static void visit_ctxs(struct pindrop_dev *dev,
		       void (*fn)(struct pindrop_ctx *ctx, void *data),
		       void *data)
{
	struct pindrop_ctx *ctx;
	struct super_block *sb;
	struct inode *inode;
	LIST_HEAD(done);

	mutex_lock(&dev->lock);
	while ((ctx = list_first_entry_or_null(&dev->ctxs, struct pindrop_ctx,
					       dev_node))) {
		list_move_tail(&ctx->dev_node, &done);
		/* Across fn(). The file is open, and so holds the other two. */
		inode = ctx->mapping->host;
		sb = inode->i_sb;
		atomic_inc(&sb->s_active);
		ihold(inode);
		kref_get(&ctx->ref);
		mutex_unlock(&dev->lock);
		fn(ctx, data);
		pindrop_ctx_put(ctx);
		iput(inode);
		deactivate_super(sb);
		mutex_lock(&dev->lock);
	}
	list_splice(&done, &dev->ctxs);
	mutex_unlock(&dev->lock);
}

static void ctx_stop(struct pindrop_ctx *ctx, void *data)
{
	pindrop_ctx_set_gone(ctx);
	pindrop_ctx_stop(ctx, PINDROP_REASON_REMOVE);
}

/* All files of one node share its mapping. */
static void ctx_zap(struct pindrop_ctx *ctx, void *data)
{
	struct address_space **zapped = data;

	if (ctx->mapping != *zapped)
		pindrop_zap(ctx);
	*zapped = ctx->mapping;
}

static void ctx_drop(struct pindrop_ctx *ctx, void *data)
{
	pindrop_ctx_drop(ctx);
}

/*
 * Shut the gate, end all jobs, and quarantine what the hardware does not finish.
 * The gate's readers may allocate page tables, so reclaim memory, and so wait for
 * our fences: the chain signals all of them before synchronize_srcu().
 */
static void dev_quiesce(struct pindrop_dev *dev)
{
	struct address_space *zapped = NULL;

	/* K0 for all. Pairs with the read in pindrop_enter(). */
	if (!PINDROP_BROKEN(K0))
		WRITE_ONCE(dev->closed, true);
	visit_ctxs(dev, ctx_stop, NULL);
	WRITE_ONCE(dev->closed, true);
	pindrop_chain_remove(dev);

	synchronize_srcu(&dev->gate);
	visit_ctxs(dev, ctx_zap, &zapped);
	pindrop_export_zap(dev);
	visit_ctxs(dev, ctx_drop, NULL);
}

static void dev_shut_down(struct pindrop_dev *dev)
{
	dev_quiesce(dev);
	pindrop_buf_unmap_all(dev);
	pindrop_dev_fini(dev);
	pindrop_quarantine_keep(dev);
}

/**
 * pindrop_register() - make a device known to user space
 * @parent: what the engine is bound to. It does the DMA, its masks set, unless
 *	@limits names another
 * @ops: the engine
 * @limits: its figures; copied
 * @engine: given back to @ops
 *
 * The hardware has been read idle, before it was let at memory: what a driver
 * before this one left in quarantine for it is released; see limits::place.
 * From here on @ops may be called.
 *
 * Context: may sleep.
 * Return: the device, to be given to pindrop_unregister(), or ERR_PTR():
 * -ENOMEM, -ENOSPC (256 devices), or what the driver core says.
 */
struct pindrop_dev *pindrop_register(struct device *parent,
				     const struct pindrop_engine_ops *ops,
				     const struct pindrop_engine_limits *limits,
				     void *engine)
{
	const char *place = limits->place ?: dev_name(parent);
	struct pindrop_dev *dev;
	int err = -ENOMEM;

	pindrop_quarantine_prove(parent->bus, place);
	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	dev->place = kstrdup(place, GFP_KERNEL);
	if (dev->place)
		err = init_srcu_struct(&dev->gate);
	if (err) {
		kfree(dev->place);
		kfree(dev);
		return ERR_PTR(err);
	}
	device_initialize(&dev->dev);
	dev->dev.class = &pindrop_class;
	dev->dev.parent = parent;
	dev->parent = get_device(parent);
	dev->dma_dev = get_device(limits->dma_dev ?: parent);
	strscpy(dev->parent_name, dev_name(parent), sizeof(dev->parent_name));
	dev->bus = parent->bus;
	dev->ops = ops;
	dev->has_cut = ops->cut;
	dev->limits = *limits;
	strscpy(dev->engine_name, limits->name, sizeof(dev->engine_name));
	dev->limits.name = dev->engine_name;
	dev->limits.place = dev->place;
	dev->engine = engine;
	dev->iommu = iommu_kind(dev->dma_dev);
	dev->caps = PINDROP_CAP_ALLOC_CONTIG | PINDROP_CAP_ALLOC_COHERENT;
	if (PINDROP_SYNC_FILE)
		dev->caps |= PINDROP_CAP_SUBMIT_FENCE;
	if (PINDROP_HUGE)
		dev->caps |= PINDROP_CAP_ALLOC_HUGE;
	if (dev_is_dma_coherent(dev->dma_dev))
		dev->caps |= PINDROP_CAP_CACHE_COHERENT;
	mutex_init(&dev->chain);
	spin_lock_init(&dev->failures_lock);
	INIT_DELAYED_WORK(&dev->pause_work, pindrop_pause_work);
	INIT_WORK(&dev->tell, pindrop_tell_work);
	mutex_init(&dev->lock);
	INIT_LIST_HEAD(&dev->kept);
	INIT_LIST_HEAD(&dev->clients);
	spin_lock_init(&dev->clients_lock);
	INIT_LIST_HEAD(&dev->ctxs);
	INIT_LIST_HEAD(&dev->shares);
	spin_lock_init(&dev->lease_lock);
	spin_lock_init(&dev->bufs_lock);
	INIT_LIST_HEAD(&dev->bufs);
	init_waitqueue_head(&dev->quiet);

	dev->offsets = pindrop_offsets_create();
	err = dev->offsets ? pindrop_dev_init(dev, parent) : -ENOMEM;
	if (err)
		goto err_put;
	cdev_init(&dev->cdev, &pindrop_fops);
	dev->cdev.owner = THIS_MODULE;
	err = cdev_device_add(&dev->cdev, &dev->dev);
	if (err) {
		/* It was there for a moment: somebody may have opened it. */
		dev_shut_down(dev);
		put_device(&dev->dev);
		return ERR_PTR(err);
	}
	return dev;

err_put:
	pindrop_dev_fini(dev);
	put_device(&dev->dev);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(pindrop_register);

/**
 * pindrop_unplugged() - the hardware has left the bus, and the bus says so
 * @dev: from pindrop_register()
 *
 * A link that is down carries no access any more, so that all that was on the
 * hardware is over, and nothing is kept for a device that may never come back. Not
 * for a removal by an administrator, an orderly eject (the slot has power until
 * the driver is unbound) or a virtual function that is disabled: their hardware is
 * still there.
 *
 * Context: any; before pindrop_unregister().
 */
void pindrop_unplugged(struct pindrop_dev *dev)
{
	WRITE_ONCE(dev->unplugged, true);
}
EXPORT_SYMBOL_GPL(pindrop_unplugged);

/**
 * pindrop_unregister() - take a device away, whoever uses it
 * @dev: from pindrop_register()
 *
 * When it returns no engine op is running or will be called, no DMA mapping
 * is left, no buffer is mapped in user space. Memory whose jobs could not be
 * proved over is kept until a device in the same place is registered.
 *
 * Context: may sleep, for a few of the engine's piece times at most. The
 * interrupt is better left on until then; pindrop_put() is still to be called.
 */
void pindrop_unregister(struct pindrop_dev *dev)
{
	dev_shut_down(dev);
	cdev_device_del(&dev->cdev, &dev->dev);
}
EXPORT_SYMBOL_GPL(pindrop_unregister);

/**
 * pindrop_shutdown() - the machine goes down, or another kernel takes over
 * @dev: from pindrop_register()
 *
 * As at removal, but mappings stay, and the device is cut off in any case, if
 * there is a way.
 *
 * Context: as pindrop_unregister(), which is not called any more.
 */
void pindrop_shutdown(struct pindrop_dev *dev)
{
	dev_quiesce(dev);
	if (dev->ops->cut)
		dev->ops->cut(dev->engine);
}
EXPORT_SYMBOL_GPL(pindrop_shutdown);

/**
 * pindrop_put() - the engine forgets the device
 * @dev: unregistered; the interrupt is off
 *
 * Context: may sleep.
 */
void pindrop_put(struct pindrop_dev *dev)
{
	put_device(&dev->dev);
}
EXPORT_SYMBOL_GPL(pindrop_put);

static int __init pindrop_init(void)
{
	int err = -ENOMEM;

	/* Deaths wait for it, and their bound is no matter of priorities. */
	pindrop_reap_wq = alloc_workqueue("pindrop_reap",
					  WQ_MEM_RECLAIM | WQ_UNBOUND |
						  WQ_HIGHPRI, 0);
	if (!pindrop_reap_wq)
		return err;
	pindrop_forget_wq = alloc_workqueue("pindrop_forget", WQ_UNBOUND, 0);
	if (!pindrop_forget_wq)
		goto err_reap;
	pindrop_import_wq = alloc_workqueue("pindrop_import", WQ_UNBOUND, 0);
	if (!pindrop_import_wq)
		goto err_forget;
	err = class_register(&pindrop_class);
	if (err)
		goto err_wq;
	err = alloc_chrdev_region(&pindrop_devt, 0, PINDROP_MINORS, "pindrop");
	if (err)
		goto err_class;
	return 0;

err_class:
	class_unregister(&pindrop_class);
err_wq:
	destroy_workqueue(pindrop_import_wq);
err_forget:
	destroy_workqueue(pindrop_forget_wq);
err_reap:
	destroy_workqueue(pindrop_reap_wq);
	return err;
}

static void __exit pindrop_exit_module(void)
{
	/* A hook may still be on its way, and queue the last contexts' work. */
	mmu_notifier_synchronize();
	destroy_workqueue(pindrop_reap_wq);
	pindrop_owner_flush();
	/* The reaper's works filled these. */
	destroy_workqueue(pindrop_import_wq);
	pindrop_left_flush();
	destroy_workqueue(pindrop_forget_wq);
	/* Owners are freed by the notifiers' grace period, buffers by RCU's. */
	mmu_notifier_synchronize();
	rcu_barrier();
	/* Who let a fence go may be on the last step out of fence_release(). */
	synchronize_rcu_tasks();
	unregister_chrdev_region(pindrop_devt, PINDROP_MINORS);
	class_unregister(&pindrop_class);
	ida_destroy(&pindrop_minors);
}

module_init(pindrop_init);
module_exit(pindrop_exit_module);
MODULE_DESCRIPTION("DMA memory and DMA jobs for user space");
MODULE_LICENSE("GPL");
