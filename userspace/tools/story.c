// SPDX-License-Identifier: MIT
/*
 * Order is what counts, and the order of the lines is the kernel's: it sorts
 * by nanoseconds, the text shows microseconds.
 */
#include "story.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One of the pages that an event gives back, and that had not gone before. */
static bool frees_page(const struct story_page *page,
		       const struct trace_event *event)
{
	int64_t pfn, order = 0;

	if (!event_number(event, "pfn", &pfn))
		return false;
	event_number(event, "order", &order);
	return page->pfn >= pfn && (page->pfn - pfn) >> (order & 31) == 0 &&
	       (!page->freed || page->freed == event);
}

static bool frees_any(const struct story *story,
		      const struct trace_event *event)
{
	unsigned int i;

	for (i = 0; i < story->npages; i++)
		if (frees_page(&story->page[i], event))
			return true;
	return false;
}

static bool is_pindrop(const struct trace_event *event)
{
	return event->name.len > 8 && !memcmp(event->name.at, "pindrop_", 8);
}

/* Of this process's context; a channel's own steps have ctx=0. */
static bool is_ours(const struct story *story, const struct facts *facts,
		    const struct trace_event *event)
{
	int64_t ctx;

	if (!event_number(event, "ctx", &ctx))
		return event->pid == facts->pid;
	return event_has(event, "dev", facts->minor) && story->ctx >= 0 &&
	       (ctx == story->ctx || !ctx);
}

/* Does an event belong to the story, and to what is shown? */
bool story_has_event(const struct story *story, const struct facts *facts,
		     const struct trace_event *event)
{
	if (is_pindrop(event))
		return is_ours(story, facts, event);
	if (event_is(event, "mm_page_free"))
		return frees_any(story, event);
	/* Unmapping goes on all through a life; here it is the end's. */
	return event->us >= facts->kill_us &&
	       (event->pid == facts->pid || !event->name.len);
}

static void read_pages(struct story *story, const struct trace_event *event)
{
	int64_t pfn, n;

	if (!event_number(event, "pfn", &pfn) ||
	    !event_number(event, "npages", &n))
		return;
	for (; n > 0 && story->npages < STORY_PAGES; n--)
		story->page[story->npages++].pfn = pfn++;
}

static void read_free(struct story *story, const struct trace_event *event)
{
	unsigned int i;

	for (i = 0; i < story->npages; i++) {
		if (!frees_page(&story->page[i], event))
			continue;
		story->page[i].freed = event;
		story->nfreed++;
		if (story->issued != story->idle)
			story->busy_free = true;
	}
}

static void read_step(struct story *story, const struct trace_event *event)
{
	struct trace_slice step;

	if (!event_text(event, "step", &step) || step.len != 2 ||
	    step.at[1] < '0' || step.at[1] > '8')
		return;
	story->steps |= 1u << (step.at[1] - '0');
	if (event_says(event, "result", "proof") && !story->nfreed)
		story->proof = true;
}

static void read_kernel(struct story *story, const struct trace_event *event)
{
	if (event_is(event, "signal_deliver"))
		story->delivered |= event_has(event, "sig", 9);
	else if (event_is(event, "do_exit"))
		story->do_exit = true;
	else if (event_is(event, "exit_mmap"))
		story->exit_mmap = true;
	else if (event_is(event, "unmap_vmas"))
		story->unmap_vmas = true;
	else if (event_is(event, "free_pgtables"))
		story->free_pgtables = true;
	else if (event_is(event, "sched_process_exit"))
		story->process_exit = true;
}

static void read_issue(struct story *story, const struct facts *facts,
		       const struct trace_event *event)
{
	story->issued++;
	if (event->us < facts->kill_us)
		story->flying++;
	if (story->nfreed)
		story->late_issue = true;
}

static void read_done(struct story *story, const struct facts *facts,
		      const struct trace_event *event)
{
	if (event->us < facts->kill_us && story->flying)
		story->flying--;
	if (event_has(event, "idle", 1))
		story->idle++;
}

static void read_pindrop(struct story *story, const struct facts *facts,
			 const struct trace_event *event)
{
	if (event_is(event, "pindrop_buf_pages")) {
		read_pages(story, event);
	} else if (event_is(event, "pindrop_piece_issue")) {
		read_issue(story, facts, event);
	} else if (event_is(event, "pindrop_piece_done")) {
		read_done(story, facts, event);
	} else if (event_is(event, "pindrop_ctx_kill")) {
		story->killed = true;
	} else if (event_is(event, "pindrop_kill_step")) {
		read_step(story, event);
	} else if (event_is(event, "pindrop_release_begin")) {
		story->release_begin = true;
		event_number(event, "mm_users", &story->mm_users);
		event_number(event, "mm_count", &story->mm_count);
	} else if (event_is(event, "pindrop_release_end")) {
		story->release_end = true;
		story->drained = event_has(event, "drained", 1);
	}
}

/* A device has one owner's context for each of its files; the child has one. */
static void read_bind(struct story *story, const struct facts *facts,
		      const struct trace_event *event)
{
	if (story->ctx < 0 && event_has(event, "dev", facts->minor) &&
	    event_has(event, "owner_pid", facts->pid))
		event_number(event, "ctx", &story->ctx);
}

void story_read(struct story *story, const struct trace *trace,
		const struct facts *facts)
{
	size_t i;

	*story = (struct story){ .ctx = -1, .mm_users = -1, .mm_count = -1 };
	for (i = 0; i < trace->count; i++) {
		const struct trace_event *event = &trace->events[i];

		if (event_is(event, "pindrop_bind"))
			read_bind(story, facts, event);
		if (!story_has_event(story, facts, event))
			continue;
		if (is_pindrop(event))
			read_pindrop(story, facts, event);
		else if (event_is(event, "mm_page_free"))
			read_free(story, event);
		else
			read_kernel(story, event);
	}
}

/* Is there nothing left to wait for? */
bool story_is_over(const struct story *story, const struct facts *facts)
{
	return story->npages == facts->pages &&
	       story->nfreed == story->npages &&
	       story->issued == story->idle && story->process_exit &&
	       story->release_end;
}

static void __attribute__((format(printf, 2, 3)))
because(struct verdict *verdict, const char *format, ...)
{
	va_list args;

	if (verdict->count == STORY_REASONS)
		return;
	va_start(args, format);
	vsnprintf(verdict->reason[verdict->count++],
		  sizeof(verdict->reason[0]), format, args);
	va_end(args);
}

static void need(struct verdict *verdict, bool there, const char *what)
{
	if (!there)
		because(verdict, "the trace has no %s", what);
}

static void judge_steps(struct verdict *verdict, const struct story *story)
{
	need(verdict, story->killed, "end of the context");
	need(verdict, story->steps & 1u << 0, "step K0");
	need(verdict, story->steps & 1u << 1, "step K1");
	/* With something on the hardware, the rest of the chain has work. */
	if (!story->flying)
		return;
	need(verdict, story->steps & 1u << 2, "step K2");
	need(verdict, story->proof, "proof by the chain before a page went back");
	if (story->steps & 1u << 8)
		because(verdict, "step K8: the device hangs");
}

static void judge_memory(struct verdict *verdict, const struct story *story,
			 const struct facts *facts)
{
	if (story->npages != facts->pages)
		because(verdict, "the trace names %u pages, the buffers have %u",
			story->npages, facts->pages);
	if (story->nfreed != story->npages)
		because(verdict, "of %u pages the trace saw %u go back",
			story->npages, story->nfreed);
	if (!story->flying)
		because(verdict,
			"nothing was on the hardware when the process was killed");
	if (story->issued != story->idle)
		because(verdict, "of %u pieces the hardware was read idle after %u",
			story->issued, story->idle);
	if (story->busy_free)
		because(verdict,
			"a page went back before the hardware was read idle");
	if (story->late_issue)
		because(verdict,
			"the hardware was given a piece after a page went back");
}

static void judge_counter(struct verdict *verdict, const char *name,
			  uint64_t value)
{
	if (value)
		because(verdict, "after waitpid %s is %llu, not 0", name,
			(unsigned long long)value);
}

void story_judge(struct verdict *verdict, const struct story *story,
		 const struct trace *trace, const struct facts *facts)
{
	verdict->count = 0;
	if (facts->hangs)
		because(verdict, "the process has not ended");
	need(verdict, story->delivered, "delivery of the signal");
	need(verdict, story->do_exit, "do_exit");
	need(verdict, story->exit_mmap, "exit_mmap");
	need(verdict, story->unmap_vmas, "unmap_vmas");
	need(verdict, story->free_pgtables, "free_pgtables");
	need(verdict, story->process_exit, "exit of the process");
	need(verdict, story->release_begin, "begin of pindrop's release");
	need(verdict, story->release_end, "end of pindrop's farewell");
	if (story->release_end && !story->drained)
		because(verdict,
			"pindrop's farewell ended before all was settled");
	judge_steps(verdict, story);
	judge_memory(verdict, story, facts);
	judge_counter(verdict, "inflight", facts->counters.inflight);
	judge_counter(verdict, "pinned", facts->counters.pinned);
	judge_counter(verdict, "quarantined", facts->counters.quarantined);
	if (facts->overrun || trace->lost)
		because(verdict, "the trace has lost events");
}
