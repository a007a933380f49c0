// SPDX-License-Identifier: GPL-2.0-only
/*
 * EXPORT: driver memory as a dma-buf. Who has one, in whatever process or
 * driver, holds the buffer and not the context: it outlives the file, the
 * owner and the device. It is mapped for the importer's device alone, and
 * never moves, so nobody has to be told of anything.
 *
 * All dma-bufs of one buffer share its reservation object.
 */
#include "pindrop.h"

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/iosys-map.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "trace.h"

/**
 * struct pindrop_exported - what a buffer has since its first EXPORT
 * @resv: of all its dma-bufs; goes with the buffer
 * @lock: guards @maps; a leaf, taken with @resv held or without
 * @maps: export_map::node, for whom the memory is mapped
 */
struct pindrop_exported {
	struct dma_resv resv;
	struct mutex lock; /* see above */
	struct list_head maps;
};

/* A dma-buf of ours; it holds the buffer. The inode is what user space maps. */
struct export_file {
	struct pindrop_share share;
	struct pindrop_buf *buf;
};

struct export_map {
	struct sg_table sgt;
	struct device *dev;
	enum dma_data_direction dir;
	struct list_head node;
};

static struct pindrop_buf *export_buf(struct dma_buf *dmabuf)
{
	struct export_file *given = dmabuf->priv;

	return given->buf;
}

/* The importer's own limits; our device has no part in it. */
static int export_list(struct pindrop_buf *buf, struct export_map *map)
{
	size_t max = min_t(size_t, dma_get_max_seg_size(map->dev),
			   dma_max_mapping_size(map->dev));

	max = round_down(min_t(size_t, max, UINT_MAX), PAGE_SIZE);
	if (!max)
		return -EOPNOTSUPP;
	return sg_alloc_table_from_pages_segment(&map->sgt, buf->pages,
						 buf->npages, 0, buf->bytes,
						 max, GFP_KERNEL);
}

static struct sg_table *export_map(struct dma_buf_attachment *attach,
				   enum dma_data_direction dir)
{
	struct pindrop_buf *buf = export_buf(attach->dmabuf);
	struct pindrop_exported *exported = buf->exported;
	struct export_map *map;
	int err;

	map = kzalloc(sizeof(*map), GFP_KERNEL);
	if (!map)
		return ERR_PTR(-ENOMEM);
	map->dev = attach->dev;
	map->dir = dir;
	err = export_list(buf, map);
	if (err)
		goto err_free;
	/* Synced apart: another mapping of the memory is no mistake here. */
	err = dma_map_sgtable(map->dev, &map->sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (err)
		goto err_table;
	dma_sync_sgtable_for_device(map->dev, &map->sgt, dir);
	mutex_lock(&exported->lock);
	list_add_tail(&map->node, &exported->maps);
	mutex_unlock(&exported->lock);
	return &map->sgt;

err_table:
	sg_free_table(&map->sgt);
err_free:
	kfree(map);
	return ERR_PTR(err);
}

static void export_unmap(struct dma_buf_attachment *attach,
			 struct sg_table *sgt, enum dma_data_direction dir)
{
	struct export_map *map = container_of(sgt, struct export_map, sgt);
	struct pindrop_exported *exported =
		export_buf(attach->dmabuf)->exported;

	mutex_lock(&exported->lock);
	list_del(&map->node);
	mutex_unlock(&exported->lock);
	dma_sync_sgtable_for_cpu(map->dev, &map->sgt, map->dir);
	dma_unmap_sgtable(map->dev, &map->sgt, map->dir,
			  DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(&map->sgt);
	kfree(map);
}

/*
 * By bus addresses, page by page: while somebody has the list, debugging of
 * dma-bufs makes its pages unusable.
 */
static void export_sync_map(struct export_map *map, bool for_cpu)
{
	struct scatterlist *sg;
	unsigned int i, at;
	dma_addr_t bus;

	for_each_sgtable_dma_sg(&map->sgt, sg, i) {
		for (at = 0; at < sg_dma_len(sg); at += PAGE_SIZE) {
			bus = sg_dma_address(sg) + at;
			if (!dma_need_sync(map->dev, bus))
				break;
			if (for_cpu)
				dma_sync_single_for_cpu(map->dev, bus,
							PAGE_SIZE, map->dir);
			else
				dma_sync_single_for_device(map->dev, bus,
							   PAGE_SIZE, map->dir);
		}
	}
}

/* Our own device, unless it is gone, and all others. */
static void export_sync(struct dma_buf *dmabuf, bool for_cpu)
{
	struct pindrop_buf *buf = export_buf(dmabuf);
	struct pindrop_exported *exported = buf->exported;
	struct export_map *map;
	int idx;

	if (pindrop_enter(buf->dev, &idx)) {
		pindrop_buf_sync(buf, 0, buf->bytes, for_cpu,
				 DMA_BIDIRECTIONAL);
		pindrop_exit(buf->dev, idx);
	}
	mutex_lock(&exported->lock);
	list_for_each_entry(map, &exported->maps, node)
		export_sync_map(map, for_cpu);
	mutex_unlock(&exported->lock);
}

static int export_begin_cpu(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	export_sync(dmabuf, true);
	return 0;
}

static int export_end_cpu(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	export_sync(dmabuf, false);
	return 0;
}

static int export_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	return pindrop_mmap_shared(export_buf(dmabuf), vma);
}

static int export_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct pindrop_buf *buf = export_buf(dmabuf);
	void *address = vmap(buf->pages, buf->npages, VM_MAP, PAGE_KERNEL);

	if (!address)
		return -ENOMEM;
	iosys_map_set_vaddr(map, address);
	return 0;
}

static void export_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

static void export_free(struct export_file *given)
{
	struct pindrop_buf *buf = given->buf;

	trace_pindrop_unexport(buf, atomic_dec_return(&buf->exports));
	pindrop_buf_put(buf);
	kfree(given);
}

/* The last file, mapping and attachment are gone. Any process, or a work. */
static void export_release(struct dma_buf *dmabuf)
{
	struct export_file *given = dmabuf->priv;
	struct pindrop_dev *dev = given->buf->dev;

	mutex_lock(&dev->lock);
	list_del(&given->share.node);
	mutex_unlock(&dev->lock);
	iput(given->share.inode);
	export_free(given);
}

static const struct dma_buf_ops export_ops = {
	.map_dma_buf = export_map,
	.unmap_dma_buf = export_unmap,
	.begin_cpu_access = export_begin_cpu,
	.end_cpu_access = export_end_cpu,
	.mmap = export_mmap,
	.vmap = export_vmap,
	.vunmap = export_vunmap,
	.release = export_release,
};

/* Whoever comes first makes it. */
static int export_prepare(struct pindrop_buf *buf)
{
	struct pindrop_exported *new;

	if (READ_ONCE(buf->exported))
		return 0;
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	dma_resv_init(&new->resv);
	mutex_init(&new->lock);
	INIT_LIST_HEAD(&new->maps);
	if (cmpxchg(&buf->exported, NULL, new)) {
		dma_resv_fini(&new->resv);
		kfree(new);
		return 0;
	}
	/* Pairs with pindrop_buf_resv(). */
	smp_store_release(&buf->resv, &new->resv);
	return 0;
}

/**
 * pindrop_export_free() - what is left of a buffer's exports goes with it
 * @buf: the buffer; nobody has a dma-buf of it any more
 *
 * Context: process context.
 */
void pindrop_export_free(struct pindrop_buf *buf)
{
	if (!buf->exported)
		return;
	dma_resv_fini(&buf->exported->resv);
	kfree(buf->exported);
}

/* Removal sets the flag before it takes the lock: it sees us, or we it. */
static int export_add(struct export_file *given, struct dma_buf *dmabuf)
{
	struct pindrop_dev *dev = given->buf->dev;
	int err = 0;

	/* Not the file's, which ends before the dma-buf does. */
	given->share.inode = file_inode(dmabuf->file);
	ihold(given->share.inode);
	mutex_lock(&dev->lock);
	list_add_tail(&given->share.node, &dev->shares);
	if (READ_ONCE(dev->closed))
		err = -ENODEV;
	mutex_unlock(&dev->lock);
	return err;
}

static struct dma_buf *export_create(struct pindrop_buf *buf)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct export_file *given;
	int err;

	given = kzalloc(sizeof(*given), GFP_KERNEL_ACCOUNT);
	if (!given)
		return ERR_PTR(-ENOMEM);
	given->buf = buf;
	kref_get(&buf->ref); /* the dma-buf's; export_free() */
	trace_pindrop_export(buf, atomic_inc_return(&buf->exports));
	info.ops = &export_ops;
	info.size = buf->bytes;
	info.flags = O_RDWR | O_CLOEXEC;
	info.resv = buf->resv;
	info.priv = given;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		export_free(given);
		return dmabuf;
	}
	err = export_add(given, dmabuf);
	if (err) {
		dma_buf_put(dmabuf);
		return ERR_PTR(err);
	}
	return dmabuf;
}

/**
 * pindrop_export() - EXPORT: a dma-buf of a buffer
 * @buf: the buffer; the caller has a reference
 *
 * Memory that goes with the device cannot outlive it, and what is pinned is the
 * owner's, who may put other pages in its place. Of an import it is the dma-buf
 * that it came from.
 *
 * Context: a user process; may sleep; no lock held, not inside the gate.
 * Return: the dma-buf with a reference, or ERR_PTR(): -EOPNOTSUPP, -ENODEV,
 * -ENOMEM or what the kernel says for want of a file.
 */
struct dma_buf *pindrop_export(struct pindrop_buf *buf)
{
	int err;

	if (buf->pin || buf->cpu)
		return ERR_PTR(-EOPNOTSUPP);
	if (buf->import)
		return pindrop_import_dmabuf(buf);
	err = export_prepare(buf);
	return err ? ERR_PTR(err) : export_create(buf);
}

/**
 * pindrop_export_zap() - take all that was exported out of user space's tables
 * @dev: the device; the gate is shut, so that no fault puts it back
 *
 * Context: may sleep; takes dev::lock, but not over the zapping.
 */
void pindrop_export_zap(struct pindrop_dev *dev)
{
	struct pindrop_share *share;
	struct inode *inode;
	LIST_HEAD(done);

	mutex_lock(&dev->lock);
	while ((share = list_first_entry_or_null(&dev->shares,
						 struct pindrop_share, node))) {
		list_move_tail(&share->node, &done);
		inode = share->inode;
		ihold(inode);
		mutex_unlock(&dev->lock);
		unmap_mapping_range(inode->i_mapping, 0, 0, 1);
		iput(inode);
		mutex_lock(&dev->lock);
	}
	list_splice(&done, &dev->shares);
	mutex_unlock(&dev->lock);
}

PINDROP_IMPORT_NS(DMA_BUF);
