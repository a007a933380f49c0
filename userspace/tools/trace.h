/* SPDX-License-Identifier: MIT */
/* The text of a trace, as events with fields. */
#ifndef PINDROP_TOOL_TRACE_H
#define PINDROP_TOOL_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_FIELDS 16

/* A part of the text; not terminated. */
struct trace_slice {
	const char *at;
	size_t len;
};

struct trace_field {
	struct trace_slice key;
	struct trace_slice value;
};

/**
 * struct trace_event - a line of the trace
 * @us: when, in microseconds of CLOCK_MONOTONIC
 * @pid: the task that was running
 * @name: of the event; empty for a line that is not understood
 * @text: what follows the name, or the whole line
 * @fields: the key=value pairs in @text; more than there is room for are left
 *	out
 * @nfields: how many
 */
struct trace_event {
	int64_t us;
	long pid;
	struct trace_slice name;
	struct trace_slice text;
	struct trace_field fields[TRACE_FIELDS];
	unsigned int nfields;
};

/**
 * struct trace - a trace, in the order of time
 * @text: what the events point into; owned
 * @events: the events
 * @count: how many
 * @lost: lines that say that events were lost
 */
struct trace {
	char *text;
	struct trace_event *events;
	size_t count;
	unsigned int lost;
};

int trace_parse(struct trace *trace, char *text);
void trace_free(struct trace *trace);

bool slice_is(struct trace_slice slice, const char *text);
bool event_is(const struct trace_event *event, const char *name);
bool event_text(const struct trace_event *event, const char *key,
		struct trace_slice *value);
bool event_number(const struct trace_event *event, const char *key,
		  int64_t *value);
bool event_has(const struct trace_event *event, const char *key,
	       int64_t value);
bool event_says(const struct trace_event *event, const char *key,
		const char *value);

#endif /* PINDROP_TOOL_TRACE_H */
