/* SPDX-License-Identifier: MIT */
/* How far a copy is, on stderr. */
#ifndef PINDROP_TOOL_PROGRESS_H
#define PINDROP_TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct progress - what is shown and when
 * @on: anything at all
 * @tty: over itself on one line; else a line every second
 * @total: bytes in all, 0 if it is not known
 * @done: bytes so far
 * @start: when it began (ns)
 * @next: when to show the next state (ns)
 */
struct progress {
	bool on;
	bool tty;
	uint64_t total;
	uint64_t done;
	uint64_t start;
	uint64_t next;
};

void progress_begin(struct progress *p, bool wanted, uint64_t total);
void progress_show(struct progress *p, uint64_t done);
void progress_end(struct progress *p);

#endif /* PINDROP_TOOL_PROGRESS_H */
