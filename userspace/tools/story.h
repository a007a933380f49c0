/* SPDX-License-Identifier: MIT */
/* What a trace says about one process's end, and what follows from it. */
#ifndef PINDROP_TOOL_STORY_H
#define PINDROP_TOOL_STORY_H

#include <libpindrop.h>

#include "trace.h"

#define STORY_PAGES 64
#define STORY_REASONS 32

/**
 * struct facts - what is known without the trace
 * @pid: the process that was killed
 * @minor: number of the device's node
 * @pages: pages that its buffers have
 * @kill_us: when it was killed
 * @wait_us: when waitpid() had returned
 * @counters: read right after that
 * @hangs: the process had not ended when we gave up waiting for it
 * @overrun: events that the trace has no room for, or dropped
 */
struct facts {
	long pid;
	long minor;
	unsigned int pages;
	int64_t kill_us;
	int64_t wait_us;
	struct pindrop_counters counters;
	bool hangs;
	uint64_t overrun;
};

/**
 * struct story_page - a page of the process's buffers
 * @pfn: its number
 * @freed: the event that saw it go back, or NULL; later ones are of those who
 *	got it next
 */
struct story_page {
	int64_t pfn;
	const struct trace_event *freed;
};

/**
 * struct story - what the trace says
 * @ctx: the process's context, or -1
 * @page: its buffers' pages
 * @npages: how many of them the trace names
 * @nfreed: how many of them went back
 * @issued: pieces that the hardware was given
 * @idle: pieces after which it was read idle
 * @flying: pieces on the hardware when the process was killed
 * @busy_free: a page went back while the hardware was not known to be idle
 * @late_issue: the hardware was given a piece after a page had gone back
 * @delivered: the signal was
 * @do_exit: the process began to die
 * @exit_mmap: its address space began to go
 * @unmap_vmas: its memory was unmapped
 * @free_pgtables: its page tables went
 * @process_exit: it exited
 * @killed: its context was ended
 * @release_begin: the release hook began
 * @release_end: the farewell ended
 * @drained: ... with everything settled
 * @proof: a step of the chain ended in proof, before a page went back
 * @steps: bit n: step Kn of the kill chain was there
 * @mm_users: at release; -1 if the trace does not say
 * @mm_count: at release; -1 if the trace does not say
 */
struct story {
	int64_t ctx;
	struct story_page page[STORY_PAGES];
	unsigned int npages;
	unsigned int nfreed;
	unsigned int issued;
	unsigned int idle;
	unsigned int flying;
	bool busy_free;
	bool late_issue;
	bool delivered;
	bool do_exit;
	bool exit_mmap;
	bool unmap_vmas;
	bool free_pgtables;
	bool process_exit;
	bool killed;
	bool release_begin;
	bool release_end;
	bool drained;
	bool proof;
	unsigned int steps;
	int64_t mm_users;
	int64_t mm_count;
};

/**
 * struct verdict - was the hardware quiet before the first page went back
 * @reason: why not
 * @count: how many reasons; 0: it was
 */
struct verdict {
	char reason[STORY_REASONS][120];
	unsigned int count;
};

void story_read(struct story *story, const struct trace *trace,
		const struct facts *facts);
bool story_has_event(const struct story *story, const struct facts *facts,
		     const struct trace_event *event);
bool story_is_over(const struct story *story, const struct facts *facts);
void story_judge(struct verdict *verdict, const struct story *story,
		 const struct trace *trace, const struct facts *facts);

#endif /* PINDROP_TOOL_STORY_H */
