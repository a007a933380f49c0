// SPDX-License-Identifier: GPL-2.0-only
/* Reads memory that it has freed: for KASAN. */
#include <linux/module.h>
#include <linux/slab.h>

static int __init plant_init(void)
{
	u32 *p = kmalloc(sizeof(*p), GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	WRITE_ONCE(*p, 1);
	kfree(p);
	pr_info("planted: %u\n", READ_ONCE(*p));
	return 0;
}

static void __exit plant_exit(void)
{
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("pindrop: a planted fault");
MODULE_LICENSE("GPL");
