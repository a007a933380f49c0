// SPDX-License-Identifier: GPL-2.0-only
/*
 * The longest sections with interrupts off, by the place where they begin: see
 * irqsoff.h. /sys/module/pindrop/parameters/irqsoff lists them, and forgets them when
 * anything is written to it.
 */
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>

/**
 * struct irqsoff_now - the section that a processor is in
 * @site: where it began
 * @begin: when, in nanoseconds
 * @depth: sections within it, itself included
 */
struct irqsoff_now {
	struct pindrop_irqsoff *site;
	u64 begin;
	unsigned int depth;
};

static DEFINE_PER_CPU(struct irqsoff_now, irqsoff_now);
static struct pindrop_irqsoff *irqsoff_sites;

/**
 * pindrop_irqsoff_begin() - a lock was taken with interrupts off
 * @site: the place
 *
 * Context: interrupts off.
 */
void pindrop_irqsoff_begin(struct pindrop_irqsoff *site)
{
	struct irqsoff_now *now = this_cpu_ptr(&irqsoff_now);

	if (now->depth++)
		return;
	if (!test_and_set_bit(0, &site->known)) {
		do {
			site->next = READ_ONCE(irqsoff_sites);
		} while (cmpxchg(&irqsoff_sites, site->next, site) !=
			 site->next);
	}
	now->site = site;
	now->begin = ktime_get_mono_fast_ns();
}
EXPORT_SYMBOL_GPL(pindrop_irqsoff_begin);

/**
 * pindrop_irqsoff_end() - the lock is about to be released
 *
 * Context: interrupts off.
 */
void pindrop_irqsoff_end(void)
{
	u64 end = ktime_get_mono_fast_ns();
	struct irqsoff_now *now = this_cpu_ptr(&irqsoff_now);

	if (!--now->depth && end - now->begin > now->site->longest)
		now->site->longest = end - now->begin;
}
EXPORT_SYMBOL_GPL(pindrop_irqsoff_end);

/* Places that no section has begun at since the last write are left out. */
static int irqsoff_get(char *text, const struct kernel_param *kp)
{
	struct pindrop_irqsoff *site;
	int n = 0;

	for (site = READ_ONCE(irqsoff_sites); site; site = site->next)
		if (site->longest)
			n += sysfs_emit_at(text, n, "%s:%u %llu\n",
					   kbasename(site->file), site->line,
					   site->longest);
	return n;
}

static int irqsoff_set(const char *text, const struct kernel_param *kp)
{
	struct pindrop_irqsoff *site;

	for (site = READ_ONCE(irqsoff_sites); site; site = site->next)
		site->longest = 0;
	return 0;
}

static const struct kernel_param_ops irqsoff_ops = {
	.get = irqsoff_get,
	.set = irqsoff_set,
};
module_param_cb(irqsoff, &irqsoff_ops, NULL, 0600);
