// SPDX-License-Identifier: GPL-2.0-only
/* Leaves the kernel with a lock held: for lockdep. */
#include <linux/module.h>
#include <linux/mutex.h>

static DEFINE_MUTEX(held);

static int __init plant_init(void)
{
	mutex_lock(&held);
	return 0;
}

static void __exit plant_exit(void)
{
	mutex_unlock(&held);
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("pindrop: a planted fault");
MODULE_LICENSE("GPL");
