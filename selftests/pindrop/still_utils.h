/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Time during which a processor of the machine did not run. A busy host deschedules a
 * guest's processors while its clock runs on, so operations exceed their time limits.
 * A child on each processor sleeps in a loop, and records sleeps that ended late. A
 * driver that disables interrupts delays them, too: bench irqsoff counts those sections.
 */
#ifndef STILL_UTILS_H
#define STILL_UTILS_H

#include <linux/types.h>

/* The records, in memory that the children share. */
struct still;

struct still *still_watch(void);
void still_end(struct still *s);
long still_ms(const struct still *s, __u64 since_ns);

#endif
