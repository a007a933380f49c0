// SPDX-License-Identifier: GPL-2.0-only
/* Forgets memory: for kmemleak. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init plant_init(void)
{
	unsigned int i;

	/* Several, for a stale register or stack may still point to one. */
	for (i = 0; i < 10; i++)
		if (!kmalloc(128, GFP_KERNEL))
			return -ENOMEM;
	return 0;
}

static void __exit plant_exit(void)
{
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("pindrop: a planted fault");
MODULE_LICENSE("GPL");
