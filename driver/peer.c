// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver for tests alone, which gives away dma-bufs as others do, and as
 * badly: it takes them back, refuses, tells half of what they are, keeps its
 * lock. It counts who holds them, and puts a pattern into what it got back.
 * Each open file of /dev/pindrop_peer has one dma-buf, or borrows somebody
 * else's; see enum peer_call, which is what the tests know of it, too.
 */
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iosys-map.h>
#include <linux/kref.h>
#include <linux/log2.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "../uapi/pindrop_peer.h"
#include "compat.h"

#define PEER_MAX_PAGES 1024

struct peer {
	struct kref ref; /* file, dma-buf */
	struct dma_buf *dmabuf; /* the file's; ours, or borrowed */
	struct dma_buf_attachment *attach; /* of what is borrowed */
	struct sg_table *sgt;
	struct iosys_map map;
	unsigned int flags;
	unsigned int npages;
	struct page **pages;
	bool revoked;
	atomic_t counts[PEER_NR_COUNTS];
};

static void peer_free(struct kref *ref)
{
	struct peer *peer = container_of(ref, struct peer, ref);
	unsigned int i;

	for (i = 0; i < peer->npages; i++)
		__free_page(peer->pages[i]);
	kvfree(peer->pages);
	kfree(peer);
}

static void peer_fill(struct peer *peer)
{
	unsigned int i;

	for (i = 0; i < peer->npages; i++)
		memset(page_address(peer->pages[i]), PEER_PATTERN, PAGE_SIZE);
}

static int peer_check(struct peer *peer)
{
	unsigned int i;

	for (i = 0; i < peer->npages; i++)
		if (memchr_inv(page_address(peer->pages[i]), PEER_PATTERN,
			       PAGE_SIZE))
			return i + 1;
	return 0;
}

static int peer_attach(struct dma_buf *dmabuf,
		       struct dma_buf_attachment *attach)
{
	struct peer *peer = dmabuf->priv;

	if (peer->flags & PEER_NO_ATTACH)
		return -EBUSY;
	atomic_inc(&peer->counts[PEER_ATTACHED]);
	return 0;
}

static void peer_detach(struct dma_buf *dmabuf,
			struct dma_buf_attachment *attach)
{
	struct peer *peer = dmabuf->priv;

	atomic_dec(&peer->counts[PEER_ATTACHED]);
}

static int peer_pin(struct dma_buf_attachment *attach)
{
	struct peer *peer = attach->dmabuf->priv;

	if (peer->flags & PEER_NO_PIN)
		return -EINVAL;
	atomic_inc(&peer->counts[PEER_PINNED]);
	return 0;
}

static void peer_unpin(struct dma_buf_attachment *attach)
{
	struct peer *peer = attach->dmabuf->priv;

	atomic_dec(&peer->counts[PEER_PINNED]);
}

static struct sg_table *peer_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction dir)
{
	struct peer *peer = attach->dmabuf->priv;
	unsigned int npages = peer->npages, skip = 0;
	struct sg_table *sgt;
	int err;

	if (peer->flags & PEER_NO_MAP)
		return ERR_PTR(-ENODEV);
	npages -= !!(peer->flags & PEER_SHORT);
	skip += !!(peer->flags & PEER_ODD);
	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	/* Mostly no page with another, so that there is much to look at. */
	err = sg_alloc_table_from_pages_segment(sgt, peer->pages, npages, skip,
						npages * PAGE_SIZE - skip,
						peer->flags & PEER_RANGE ?
							UINT_MAX & PAGE_MASK :
							PAGE_SIZE,
						GFP_KERNEL);
	if (err)
		goto err_free;
	err = dma_map_sgtable(attach->dev, sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (err)
		goto err_table;
	atomic_inc(&peer->counts[PEER_MAPPED]);
	return sgt;

err_table:
	sg_free_table(sgt);
err_free:
	kfree(sgt);
	return ERR_PTR(err);
}

/* What was taken back is used for something else at once. */
static void peer_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		       enum dma_data_direction dir)
{
	struct peer *peer = attach->dmabuf->priv;

	if (peer->flags & PEER_SLOW)
		msleep(PEER_SLOW_MS);
	dma_unmap_sgtable(attach->dev, sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(sgt);
	kfree(sgt);
	if (READ_ONCE(peer->revoked))
		peer_fill(peer);
	atomic_inc(&peer->counts[PEER_UNMAPPED]);
	atomic_dec(&peer->counts[PEER_MAPPED]);
}

static int peer_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct peer *peer = dmabuf->priv;

	return vm_map_pages(vma, peer->pages, peer->npages);
}

static void peer_release(struct dma_buf *dmabuf)
{
	struct peer *peer = dmabuf->priv;

	kref_put(&peer->ref, peer_free);
}

static const struct dma_buf_ops peer_ops = {
	.attach = peer_attach,
	.detach = peer_detach,
	.map_dma_buf = peer_map,
	.unmap_dma_buf = peer_unmap,
	.mmap = peer_mmap,
	.release = peer_release,
};

static const struct dma_buf_ops peer_dynamic_ops = {
	.attach = peer_attach,
	.detach = peer_detach,
	.pin = peer_pin,
	.unpin = peer_unpin,
	.map_dma_buf = peer_map,
	.unmap_dma_buf = peer_unmap,
	.mmap = peer_mmap,
	.release = peer_release,
};

/* Some of the next ones: their number, or 0. */
static unsigned int peer_add(struct peer *peer, unsigned int npages)
{
	unsigned int order = peer->flags & PEER_RANGE ? ilog2(npages) : 0, i;
	struct page *page;

	page = alloc_pages(GFP_KERNEL | GFP_DMA32 | __GFP_ZERO, order);
	if (!page)
		return 0;
	split_page(page, order);
	for (i = 0; i < 1U << order; i++)
		peer->pages[peer->npages++] = page + i;
	return i;
}

static struct peer *peer_alloc(unsigned int npages, unsigned int flags)
{
	struct peer *peer = kzalloc(sizeof(*peer), GFP_KERNEL);

	if (!peer)
		return NULL;
	kref_init(&peer->ref); /* the file's */
	peer->flags = flags;
	peer->pages = kvcalloc(npages, sizeof(*peer->pages), GFP_KERNEL);
	while (peer->pages && peer->npages < npages)
		if (!peer_add(peer, npages))
			break;
	if (peer->npages == npages)
		return peer;
	kref_put(&peer->ref, peer_free);
	return NULL;
}

static int peer_create(struct file *file, unsigned long arg)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	unsigned int npages = arg & 0xffff, flags = arg >> 16;
	struct dma_buf *dmabuf;
	struct peer *peer;
	int fd;

	if (file->private_data || !npages || npages > PEER_MAX_PAGES ||
	    ((flags & PEER_RANGE) && !is_power_of_2(npages)))
		return -EINVAL;
	peer = peer_alloc(npages, flags);
	if (!peer)
		return -ENOMEM;
	info.ops = flags & PEER_DYNAMIC ? &peer_dynamic_ops : &peer_ops;
	info.size = npages * PAGE_SIZE;
	info.flags = flags & PEER_READ_ONLY ? O_RDONLY : O_RDWR;
	info.priv = peer;
	kref_get(&peer->ref); /* the dma-buf's */
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		kref_put(&peer->ref, peer_free);
		kref_put(&peer->ref, peer_free);
		return PTR_ERR(dmabuf);
	}
	peer->dmabuf = dmabuf;
	file->private_data = peer;
	get_dma_buf(dmabuf); /* the descriptor's */
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

static struct miscdevice peer_device;

static int peer_borrow_dmabuf(struct peer *peer)
{
	int err;

	peer->attach = dma_buf_attach(peer->dmabuf, peer_device.this_device);
	if (IS_ERR(peer->attach))
		return PTR_ERR(peer->attach);
	peer->sgt = dma_buf_map_attachment_unlocked(peer->attach,
						    DMA_BIDIRECTIONAL);
	if (IS_ERR(peer->sgt)) {
		err = PTR_ERR(peer->sgt);
		goto err_detach;
	}
	err = pindrop_vmap(peer->dmabuf, &peer->map);
	if (!err)
		return 0;
	dma_buf_unmap_attachment_unlocked(peer->attach, peer->sgt,
					  DMA_BIDIRECTIONAL);
err_detach:
	dma_buf_detach(peer->dmabuf, peer->attach);
	return err;
}

static void peer_return(struct peer *peer)
{
	pindrop_vunmap(peer->dmabuf, &peer->map);
	dma_buf_unmap_attachment_unlocked(peer->attach, peer->sgt,
					  DMA_BIDIRECTIONAL);
	dma_buf_detach(peer->dmabuf, peer->attach);
}

static int peer_borrow(struct file *file, unsigned long arg)
{
	struct peer *peer;
	int err;

	if (file->private_data)
		return -EINVAL;
	peer = kzalloc(sizeof(*peer), GFP_KERNEL);
	if (!peer)
		return -ENOMEM;
	kref_init(&peer->ref); /* the file's */
	peer->dmabuf = dma_buf_get(arg);
	if (IS_ERR(peer->dmabuf)) {
		err = PTR_ERR(peer->dmabuf);
		goto err_free;
	}
	err = peer_borrow_dmabuf(peer);
	if (err)
		goto err_put;
	file->private_data = peer;
	return 0;

err_put:
	dma_buf_put(peer->dmabuf);
err_free:
	kfree(peer);
	return err;
}

static int peer_look(struct peer *peer, unsigned long at)
{
	unsigned char *data = peer->map.vaddr;
	int byte;

	if (!peer->attach || at >= peer->dmabuf->size)
		return -EINVAL;
	dma_buf_begin_cpu_access(peer->dmabuf, DMA_FROM_DEVICE);
	byte = READ_ONCE(data[at]);
	dma_buf_end_cpu_access(peer->dmabuf, DMA_FROM_DEVICE);
	return byte;
}

/*
 * What a device of ours has at a place of what is borrowed: no IOMMU is in its
 * way, but the memory may be another than the CPU's.
 */
static unsigned char *peer_at(struct peer *peer, unsigned long at)
{
	struct device *dev = peer_device.this_device;
	struct scatterlist *sg;
	dma_addr_t bus;
	unsigned int i;

	if (!peer->attach)
		return NULL;
	for_each_sgtable_dma_sg(peer->sgt, sg, i) {
		bus = sg_dma_address(sg) + at;
		if (at < sg_dma_len(sg))
			return phys_to_virt(dma_to_phys(dev, bus));
		at -= sg_dma_len(sg);
	}
	return NULL;
}

static int peer_write(struct peer *peer, unsigned long at, unsigned char byte)
{
	unsigned char *data = peer_at(peer, at);

	if (!data)
		return -EINVAL;
	WRITE_ONCE(*data, byte);
	return 0;
}

static int peer_read(struct peer *peer, unsigned long at)
{
	unsigned char *data = peer_at(peer, at);

	return data ? READ_ONCE(*data) : -EINVAL;
}

static long peer_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct peer *peer = file->private_data;

	if (cmd == PEER_IO(PEER_CREATE))
		return peer_create(file, arg);
	if (cmd == PEER_IO(PEER_BORROW))
		return peer_borrow(file, arg);
	if (!peer)
		return -EINVAL;
	switch (cmd) {
	case PEER_IO(PEER_REVOKE):
		dma_resv_lock(peer->dmabuf->resv, NULL);
		WRITE_ONCE(peer->revoked, true);
		pindrop_take_back(peer->dmabuf);
		dma_resv_unlock(peer->dmabuf->resv);
		return 0;
	case PEER_IO(PEER_COUNT):
		return arg < ARRAY_SIZE(peer->counts) ?
			       atomic_read(&peer->counts[arg]) :
			       -EINVAL;
	case PEER_IO(PEER_LOCK):
		dma_resv_lock(peer->dmabuf->resv, NULL);
		msleep(arg);
		dma_resv_unlock(peer->dmabuf->resv);
		return 0;
	case PEER_IO(PEER_FILL):
		peer_fill(peer);
		return 0;
	case PEER_IO(PEER_CHECK):
		return peer_check(peer);
	case PEER_IO(PEER_LOOK):
		return peer_look(peer, arg);
	case PEER_IO(PEER_WRITE):
		return peer_write(peer, arg >> 8, arg & 0xff);
	case PEER_IO(PEER_READ):
		return peer_read(peer, arg);
	default:
		return -ENOTTY;
	}
}

static int peer_close(struct inode *inode, struct file *file)
{
	struct peer *peer = file->private_data;

	if (!peer)
		return 0;
	if (peer->attach)
		peer_return(peer);
	dma_buf_put(peer->dmabuf);
	kref_put(&peer->ref, peer_free);
	return 0;
}

static int peer_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL; /* misc_open() has put the device there */
	return 0;
}

static const struct file_operations peer_fops = {
	.owner = THIS_MODULE,
	.open = peer_open,
	.release = peer_close,
	.unlocked_ioctl = peer_ioctl,
	.compat_ioctl = peer_ioctl,
};

static struct miscdevice peer_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "pindrop_peer",
	.fops = &peer_fops,
};

static int __init peer_init(void)
{
	int err = misc_register(&peer_device);

	if (err)
		return err;
	err = dma_coerce_mask_and_coherent(peer_device.this_device,
					   DMA_BIT_MASK(64));
	if (err)
		misc_deregister(&peer_device);
	return err;
}

static void __exit peer_exit(void)
{
	misc_deregister(&peer_device);
}

module_init(peer_init);
module_exit(peer_exit);

MODULE_DESCRIPTION("pindrop: somebody to share memory with, for tests");
MODULE_LICENSE("GPL");
PINDROP_IMPORT_NS(DMA_BUF);
