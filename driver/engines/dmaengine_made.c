// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that no device tree knows of: made by the module's parameters, or by
 * who writes to the driver's new_device; see dmaengine.c.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "dmaengine.h"

static DEFINE_MUTEX(dmae_made_lock);
static LIST_HEAD(dmae_made); /* dmae_where::node */
static unsigned int dmae_made_id; /* never used again */
static bool dmae_closed;

/**
 * pindrop_dmae_make() - make a device for channels of a controller
 * @name: the device of the controller's driver; "any"
 * @count: how many channels, 1 to DMAE_MAX_CHANS
 * @align: what they need and their driver does not say; a valid one
 *
 * It is probed before this returns, or later, if the controller is not there.
 *
 * Context: may sleep; the driver is registered.
 * Return: 0, or -ENOMEM, -ENODEV (the module goes).
 */
int pindrop_dmae_make(const char *name, unsigned int count, u32 align)
{
	struct platform_device *pdev;
	struct dmae_where *where;
	bool closed;
	int err;

	mutex_lock(&dmae_made_lock);
	pdev = platform_device_alloc(DMAE_NAME, dmae_made_id++);
	mutex_unlock(&dmae_made_lock);
	if (!pdev)
		return -ENOMEM;
	where = kzalloc(sizeof(*where), GFP_KERNEL);
	if (!where) {
		platform_device_put(pdev);
		return -ENOMEM;
	}
	strscpy(where->controller, name, sizeof(where->controller));
	where->channels = count;
	where->align = align;
	where->pdev = pdev;
	pdev->dev.platform_data = where; /* freed with it */
	err = platform_device_add(pdev);
	if (err) {
		platform_device_put(pdev);
		return err;
	}
	/* The lock is not held over a probe: all may have been deleted meanwhile. */
	mutex_lock(&dmae_made_lock);
	closed = dmae_closed;
	if (!closed)
		list_add_tail(&where->node, &dmae_made);
	mutex_unlock(&dmae_made_lock);
	if (closed)
		platform_device_unregister(pdev);
	return closed ? -ENODEV : 0;
}

/* The one of that name, or any, out of the list; or NULL. */
static struct platform_device *dmae_unlist(const char *name)
{
	struct platform_device *pdev = NULL;
	struct dmae_where *where;

	mutex_lock(&dmae_made_lock);
	dmae_closed |= !name;
	list_for_each_entry(where, &dmae_made, node)
		if (!name || sysfs_streq(name, dev_name(&where->pdev->dev))) {
			pdev = where->pdev;
			list_del(&where->node);
			break;
		}
	mutex_unlock(&dmae_made_lock);
	return pdev;
}

/**
 * pindrop_dmae_delete_all() - unmake all devices that were made, and make no more
 *
 * Context: may sleep; before the driver is unregistered.
 */
void pindrop_dmae_delete_all(void)
{
	struct platform_device *pdev;

	while ((pdev = dmae_unlist(NULL)))
		platform_device_unregister(pdev);
}

static ssize_t new_device_store(struct device_driver *driver, const char *buf,
				size_t count)
{
	unsigned int n = 1, align = 1;
	char name[64];
	int err;

	if (sscanf(buf, "%63s %u %u", name, &n, &align) < 1)
		return -EINVAL;
	if (!*name || !n || n > DMAE_MAX_CHANS || !dmae_align_is_valid(align))
		return -EINVAL;
	err = pindrop_dmae_make(name, n, align);
	return err ?: count;
}
static DRIVER_ATTR_WO(new_device);

static ssize_t delete_device_store(struct device_driver *driver,
				   const char *buf, size_t count)
{
	struct platform_device *pdev = dmae_unlist(buf);

	if (!pdev)
		return -ENODEV;
	platform_device_unregister(pdev);
	return count;
}
static DRIVER_ATTR_WO(delete_device);

static struct attribute *dmae_attrs[] = { &driver_attr_new_device.attr,
					  &driver_attr_delete_device.attr,
					  NULL };

static const struct attribute_group dmae_group = { .attrs = dmae_attrs };

const struct attribute_group *dmae_groups[] = { &dmae_group, NULL };
