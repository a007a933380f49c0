/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long the machine stood still. A guest whose host is busy has all its processors
 * taken away now and then, its clock goes on, and whatever is bounded in time is late.
 * A child on each processor does nothing but sleep, and notes when that took too long.
 */
#ifndef STILL_UTILS_H
#define STILL_UTILS_H

#include <linux/types.h>

/* What the children know; shared with them. */
struct still;

struct still *still_watch(void);
void still_end(struct still *s);
long still_ms(const struct still *s, __u64 since_ns);

#endif
