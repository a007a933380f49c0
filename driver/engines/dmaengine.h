/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices for channels of the dmaengine that no device tree knows of. */
#ifndef PINDROP_DMAENGINE_H
#define PINDROP_DMAENGINE_H

#include <linux/list.h>
#include <linux/log2.h>
#include <linux/types.h>

struct attribute_group;
struct platform_device;

#define DMAE_NAME "pindrop_dmaengine"
#define DMAE_MAX_CHANS 16
#define DMAE_CANARY 64

/**
 * struct dmae_where - of a device that no device tree knows of
 * @node: in the list of those that were made
 * @pdev: the device
 * @controller: whose channels it is to have; "any"
 * @channels: how many
 * @align: what they need of addresses and lengths and their driver does not say
 */
struct dmae_where {
	struct list_head node;
	struct platform_device *pdev;
	char controller[64];
	unsigned int channels;
	u32 align;
};

/* The canary is of so many bytes, and not of fewer than a copy has to be. */
static inline bool dmae_align_is_valid(u32 align)
{
	return is_power_of_2(align) && align <= DMAE_CANARY;
}

/* Of the driver: new_device, delete_device. */
extern const struct attribute_group *dmae_groups[];

int pindrop_dmae_make(const char *name, unsigned int count, u32 align);
void pindrop_dmae_delete_all(void);

#endif
