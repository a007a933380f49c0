/* SPDX-License-Identifier: MIT */
/* The story as people read it: one row per event. */
#ifndef PINDROP_TOOL_TIMELINE_H
#define PINDROP_TOOL_TIMELINE_H

#include "json.h"
#include "story.h"

/**
 * struct row - a row of the timeline
 * @us: relative to the kill
 * @who: whose doing it is
 * @what: what it means
 * @event: what it comes from, or NULL for what we did ourselves
 */
struct row {
	int64_t us;
	const char *who;
	char what[200];
	const struct trace_event *event;
};

typedef void (*row_fn)(const struct row *row, void *data);

void timeline_walk(const struct story *story, const struct trace *trace,
		   const struct facts *facts, row_fn fn, void *data);
void timeline_explain(const struct trace_event *event, struct row *row);

#endif /* PINDROP_TOOL_TIMELINE_H */
