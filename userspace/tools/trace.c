// SPDX-License-Identifier: MIT
/*
 * A line is "comm-pid [cpu] flags seconds.micros: name: text". The command
 * name may hold anything, so that the place to begin at is the "[cpu]" that a
 * time stamp follows. What is not understood is kept for the reader, not
 * refused.
 */
#include "trace.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_digits(const char *at)
{
	while (isdigit((unsigned char)*at))
		at++;
	return at;
}

static const char *skip_spaces(const char *at)
{
	while (*at == ' ')
		at++;
	return at;
}

/* "seconds.micros: "; what follows it, or NULL. */
static const char *parse_time(const char *at, int64_t *us)
{
	const char *dot = skip_digits(at);
	const char *end = *dot == '.' ? skip_digits(dot + 1) : dot;

	if (dot == at || end - dot != 7 || end[0] != ':' || end[1] != ' ')
		return NULL;
	*us = strtoll(at, NULL, 10) * 1000000 + strtoll(dot + 1, NULL, 10);
	return end + 2;
}

/* "[cpu] flags seconds.micros: " at @at; what follows it, or NULL. */
static const char *parse_where(const char *at, int64_t *us)
{
	const char *end = skip_digits(at + 1);

	if (end == at + 1 || *end != ']')
		return NULL;
	at = skip_spaces(end + 1);
	at = skip_spaces(at + strcspn(at, " "));
	return parse_time(at, us);
}

static const char *back_over(const char *line, const char *end, const char *set)
{
	while (end > line && strchr(set, end[-1]))
		end--;
	return end;
}

/* The number at the end of "comm-pid " or "comm-pid (tgid) ". */
static long parse_pid(const char *line, const char *end)
{
	static const char digits[] = "0123456789";
	const char *at, *open;

	end = back_over(line, end, " )");
	at = back_over(line, end, digits);
	open = back_over(line, at, " ");
	if (open > line && open[-1] == '(') {
		end = back_over(line, open - 1, " ");
		at = back_over(line, end, digits);
	}
	return at > line && at[-1] == '-' && at < end ? strtol(at, NULL, 10) :
							-1;
}

static void parse_fields(struct trace_event *event)
{
	const char *at = event->text.at, *end = at + event->text.len;

	while (at < end && event->nfields < TRACE_FIELDS) {
		const char *word = at;
		const char *stop = memchr(at, ' ', end - at);
		const char *equals;

		if (!stop)
			stop = end;
		at = stop + 1;
		equals = memchr(word, '=', stop - word);
		if (!equals || equals == word)
			continue;
		event->fields[event->nfields++] = (struct trace_field){
			.key = { word, equals - word },
			.value = { equals + 1, stop - equals - 1 },
		};
	}
}

/* @line ends in 0. Without a time of its own it has that of the one before. */
static void parse_event(struct trace_event *event, const char *line,
			int64_t before)
{
	const char *at, *rest = NULL, *colon;

	*event = (struct trace_event){ .us = before, .pid = -1 };
	for (at = line; (at = strstr(at, " [")); at++) {
		rest = parse_where(at + 1, &event->us);
		if (rest)
			break;
	}
	event->text = (struct trace_slice){ line, strlen(line) };
	colon = rest ? strchr(rest, ':') : NULL;
	if (!colon)
		return;
	event->pid = parse_pid(line, at);
	event->name = (struct trace_slice){ rest, colon - rest };
	rest = skip_spaces(colon + 1);
	event->text = (struct trace_slice){ rest, strlen(rest) };
	parse_fields(event);
}

/* @text becomes the trace's, whatever happens. */
int trace_parse(struct trace *trace, char *text)
{
	struct trace_event *event;
	size_t lines = 1;
	char *line, *next;

	*trace = (struct trace){ .text = text };
	for (line = text; (line = strchr(line, '\n')); line++)
		lines++;
	trace->events = calloc(lines, sizeof(*trace->events));
	if (!trace->events) {
		trace_free(trace);
		return -ENOMEM;
	}
	for (line = text; *line; line = next) {
		event = &trace->events[trace->count];
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		if (strstr(line, "[LOST ") && strstr(line, " EVENTS]"))
			trace->lost++;
		else if (*line && *line != '#')
			parse_event(event, line,
				    trace->count++ ? event[-1].us : 0);
	}
	return 0;
}

void trace_free(struct trace *trace)
{
	free(trace->events);
	free(trace->text);
	*trace = (struct trace){};
}

bool slice_is(struct trace_slice slice, const char *text)
{
	return strlen(text) == slice.len && !memcmp(slice.at, text, slice.len);
}

bool event_is(const struct trace_event *event, const char *name)
{
	return slice_is(event->name, name);
}

bool event_text(const struct trace_event *event, const char *key,
		struct trace_slice *value)
{
	unsigned int i;

	for (i = 0; i < event->nfields; i++) {
		if (!slice_is(event->fields[i].key, key))
			continue;
		*value = event->fields[i].value;
		return true;
	}
	return false;
}

/* The value, if it is a number and nothing else: 12, -5, 0x1f. */
bool event_number(const struct trace_event *event, const char *key,
		  int64_t *value)
{
	struct trace_slice text;
	char *end;

	if (!event_text(event, key, &text) || !text.len)
		return false;
	*value = strtoll(text.at, &end, 0);
	return end == text.at + text.len;
}

bool event_has(const struct trace_event *event, const char *key, int64_t value)
{
	int64_t have;

	return event_number(event, key, &have) && have == value;
}

bool event_says(const struct trace_event *event, const char *key,
		const char *value)
{
	struct trace_slice text;

	return event_text(event, key, &text) && slice_is(text, value);
}
