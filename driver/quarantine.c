// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that hardware may still touch, because nothing has proved that it does
 * not. While its device is bound, the kill chain asks again every minute. A
 * device that goes without proof takes its mappings with it and leaves the
 * pages here, until a device is found idle in its place before it may access
 * memory. None of it belongs to an engine.
 */
#include "pindrop.h"

#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/sysfs.h>

static DEFINE_SPINLOCK(lost_lock);
static LIST_HEAD(lost_bufs); /* pindrop_buf::lost_node */
static DEFINE_MUTEX(kept_lock);
static LIST_HEAD(kept_devs); /* pindrop_dev::kept, each with a reference */

/**
 * pindrop_quarantine_add() - a LOST job uses this buffer
 * @buf: the buffer; the job's reference stays. NULL is none
 * @ctx: whose job it is
 *
 * Context: any, interrupts off.
 */
void pindrop_quarantine_add(struct pindrop_buf *buf,
			    const struct pindrop_ctx *ctx)
{
	if (!buf)
		return;
	spin_lock(&lost_lock);
	if (!buf->lost++) {
		buf->lost_since = ktime_get_boottime_seconds();
		buf->lost_pid = get_pid(ctx->owner_pid);
		buf->lost_uid = ctx->user->uid;
		list_add_tail(&buf->lost_node, &lost_bufs);
		atomic64_add(buf->bytes, &buf->dev->stats.quarantined);
	}
	spin_unlock(&lost_lock);
}

/**
 * pindrop_quarantine_del() - a LOST job that used it was proved over
 * @buf: the buffer; NULL is none
 *
 * Context: any, interrupts off.
 */
void pindrop_quarantine_del(struct pindrop_buf *buf)
{
	if (!buf)
		return;
	spin_lock(&lost_lock);
	if (!--buf->lost) {
		list_del(&buf->lost_node);
		put_pid(buf->lost_pid);
		atomic64_sub(buf->bytes, &buf->dev->stats.quarantined);
	}
	spin_unlock(&lost_lock);
}

/**
 * pindrop_quarantine_has() - may the hardware still touch this buffer
 * @buf: the buffer
 *
 * Context: any with interrupts on.
 * Return: true if a LOST job uses it.
 */
bool pindrop_quarantine_has(struct pindrop_buf *buf)
{
	bool lost;

	spin_lock_irq(&lost_lock);
	lost = buf->lost;
	spin_unlock_irq(&lost_lock);
	return lost;
}

/**
 * pindrop_quarantine_keep() - a device goes; keep what was not proved over
 * @dev: the device, unmapped, its channels GONE
 *
 * Context: may sleep.
 */
void pindrop_quarantine_keep(struct pindrop_dev *dev)
{
	bool quiet = true;
	unsigned int i;

	for (i = 0; dev->chans && i < dev->limits.channels; i++)
		quiet &= !dev->chans[i].pieces ||
			 list_empty(&dev->chans[i].issued);
	if (quiet)
		return;
	get_device(&dev->dev); /* quarantine's; pindrop_quarantine_prove() */
	mutex_lock(&kept_lock);
	list_add_tail(&dev->kept, &kept_devs);
	mutex_unlock(&kept_lock);
}

/**
 * pindrop_quarantine_prove() - a device was found idle: release what it held
 * @bus: where it is; it may not access memory yet, or does so for the first
 *	time
 * @place: what it is known by there. Another place proves nothing of this one
 *
 * Context: may sleep.
 */
void pindrop_quarantine_prove(const struct bus_type *bus, const char *place)
{
	struct pindrop_dev *dev, *next;
	LIST_HEAD(proved);
	unsigned int i;

	mutex_lock(&kept_lock);
	list_for_each_entry_safe(dev, next, &kept_devs, kept)
		if (dev->bus == bus && !strcmp(dev->place, place))
			list_move_tail(&dev->kept, &proved);
	mutex_unlock(&kept_lock);
	list_for_each_entry_safe(dev, next, &proved, kept) {
		list_del_init(&dev->kept);
		for (i = 0; i < dev->limits.channels; i++)
			pindrop_chan_prove(&dev->chans[i], -EIO);
		put_device(&dev->dev);
	}
}

/*
 * A line a buffer: device on the bus, bytes, seconds, process, user; the last
 * two as the reader knows them, 0 if its namespace does not have the process.
 */
PINDROP_CLASS_SHOW(quarantine)
{
	time64_t now = ktime_get_boottime_seconds();
	struct pindrop_buf *b;
	int len = 0;

	spin_lock_irq(&lost_lock);
	list_for_each_entry(b, &lost_bufs, lost_node) {
		if (len > PAGE_SIZE - 128) {
			len += sysfs_emit_at(buf, len, "...\n");
			break;
		}
		len += sysfs_emit_at(buf, len, "%s %llu %lld %d %u\n",
				     b->dev->parent_name, b->bytes,
				     now - b->lost_since, pid_vnr(b->lost_pid),
				     from_kuid_munged(current_user_ns(),
						      b->lost_uid));
	}
	spin_unlock_irq(&lost_lock);
	return len;
}

static CLASS_ATTR_RO(quarantine);

static struct attribute *quarantine_attrs[] = {
	&class_attr_quarantine.attr,
	NULL
};

static const struct attribute_group quarantine_group = {
	.attrs = quarantine_attrs,
};

const struct attribute_group *pindrop_quarantine_groups[] = {
	&quarantine_group,
	NULL
};
