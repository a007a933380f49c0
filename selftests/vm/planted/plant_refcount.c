// SPDX-License-Identifier: GPL-2.0-only
/* Drops a reference too many: for refcount_t. */
#include <linux/module.h>
#include <linux/refcount.h>

static refcount_t count;

static int __init plant_init(void)
{
	refcount_set(&count, 1);
	if (refcount_dec_and_test(&count))
		refcount_dec(&count);
	return 0;
}

static void __exit plant_exit(void)
{
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("pindrop: a planted fault");
MODULE_LICENSE("GPL");
