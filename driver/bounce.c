// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quotas for the bounce pool, which disks and network cards share. Driver memory,
 * imports and pins of one user take at most half of it, those of one device at most
 * three quarters.
 */
#include "pindrop.h"

#include <linux/swiotlb.h>

/* Bytes of the pool that a device bounces through, or 0. */
static u64 bounce_pool(const struct device *parent)
{
#ifdef CONFIG_SWIOTLB
	if (parent->dma_io_tlb_mem)
		return (u64)parent->dma_io_tlb_mem->nslabs << IO_TLB_SHIFT;
#endif
	return 0;
}

/**
 * pindrop_bounce_charge() - charge a buffer for bytes of the pool
 * @buf: the buffer; nothing is charged for it yet
 * @bytes: how much
 *
 * Context: any.
 * Return: 0 or -EDQUOT, with nothing taken.
 */
int pindrop_bounce_charge(struct pindrop_buf *buf, u64 bytes)
{
	struct pindrop_dev *dev = buf->dev;
	u64 pool = bounce_pool(dev->dma_dev);

	if (pindrop_user_charge(buf->user, PINDROP_QUOTA_BOUNCED, bytes,
				pool / 2))
		return -EDQUOT;
	if (atomic64_add_return(bytes, &dev->bounced) > pool / 4 * 3) {
		atomic64_sub(bytes, &dev->bounced);
		pindrop_user_uncharge(buf->user, PINDROP_QUOTA_BOUNCED, bytes);
		return -EDQUOT;
	}
	buf->bounced = bytes;
	return 0;
}

/**
 * pindrop_bounce_uncharge() - end a buffer's charge for the pool
 * @buf: the buffer, not mapped; nothing happens if it was not charged
 *
 * Context: any.
 */
void pindrop_bounce_uncharge(struct pindrop_buf *buf)
{
	if (!buf->bounced)
		return;
	atomic64_sub(buf->bounced, &buf->dev->bounced);
	pindrop_user_uncharge(buf->user, PINDROP_QUOTA_BOUNCED, buf->bounced);
	buf->bounced = 0;
}
