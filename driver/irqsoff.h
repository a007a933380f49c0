/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long sections with interrupts off are, measured: included by force where
 * PINDROP_IRQSOFF is set, for "make bench ONLY=irqsoff", and never installed.
 *
 * A section begins where a lock that turns interrupts off has been taken, and ends
 * with that lock; the wait for the lock is not in it. Places in modules stay in the
 * list: these modules are not to be unloaded.
 */
#ifndef PINDROP_IRQSOFF_H
#define PINDROP_IRQSOFF_H

#include <linux/spinlock.h>
#include <linux/wait.h>

/**
 * struct pindrop_irqsoff - a place in the source where sections begin
 * @file: its file
 * @line: its line
 * @longest: nanoseconds of the longest section, which are instructions where those
 *	are counted
 * @next: the next place that a section has begun at
 * @known: it is in the list of places
 */
struct pindrop_irqsoff {
	const char *file;
	unsigned int line;
	u64 longest;
	struct pindrop_irqsoff *next;
	unsigned long known;
};

void pindrop_irqsoff_begin(struct pindrop_irqsoff *site);
void pindrop_irqsoff_end(void);

#define PINDROP_IRQSOFF_BEGIN()                                \
	do {                                                   \
		static struct pindrop_irqsoff irqsoff_site = { \
			.file = __FILE__,                      \
			.line = __LINE__,                      \
		};                                             \
		pindrop_irqsoff_begin(&irqsoff_site);          \
	} while (0)

/* The kernel's walk over a wait queue, recorded apart from sections under our locks. */
#define PINDROP_IRQSOFF_WAKE(call)                             \
	do {                                                   \
		static struct pindrop_irqsoff irqsoff_wake = { \
			.file = "wake",                        \
		};                                             \
		unsigned long irqsoff_flags;                   \
		local_irq_save(irqsoff_flags);                 \
		pindrop_irqsoff_begin(&irqsoff_wake);          \
		call;                                          \
		pindrop_irqsoff_end();                         \
		local_irq_restore(irqsoff_flags);              \
	} while (0)

#undef spin_lock_irqsave
#define spin_lock_irqsave(lock, flags)                              \
	do {                                                        \
		raw_spin_lock_irqsave(spinlock_check(lock), flags); \
		PINDROP_IRQSOFF_BEGIN();                            \
	} while (0)
#undef wake_up_all
#define wake_up_all(queue) \
	PINDROP_IRQSOFF_WAKE(__wake_up(queue, TASK_NORMAL, 0, NULL))
#define spin_lock_irq(lock)              \
	do {                             \
		spin_lock_irq(lock);     \
		PINDROP_IRQSOFF_BEGIN(); \
	} while (0)
#define spin_unlock_irq(lock)          \
	do {                           \
		pindrop_irqsoff_end(); \
		spin_unlock_irq(lock); \
	} while (0)
#define spin_unlock_irqrestore(lock, flags)          \
	do {                                         \
		pindrop_irqsoff_end();               \
		spin_unlock_irqrestore(lock, flags); \
	} while (0)

#endif /* PINDROP_IRQSOFF_H */
