// SPDX-License-Identifier: GPL-2.0-only
/* Sleeps with a spinlock held: for DEBUG_ATOMIC_SLEEP. */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(lock);

static int __init plant_init(void)
{
	spin_lock(&lock);
	msleep(1);
	spin_unlock(&lock);
	return 0;
}

static void __exit plant_exit(void)
{
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("pindrop: a planted fault");
MODULE_LICENSE("GPL");
