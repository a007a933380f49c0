// SPDX-License-Identifier: MIT
/*
 * The demo's verdict, on a trace that was recorded in a guest: it is a yes,
 * and a no as soon as a line of it is missing, late or different.
 */
#define _GNU_SOURCE /* asprintf */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tools/story.h"
#include "../tools/timeline.h"

static const struct facts recorded = {
	.pid = 113,
	.minor = 0,
	.pages = 4,
	.kill_us = 2927901,
	.wait_us = 3008008,
};

/**
 * struct edit - how a case differs from the recording
 * @name: of the case
 * @drop: lines with this are left out
 * @from: in every line this ...
 * @to: ... becomes this
 * @take: the first line with this is moved ...
 * @before: ... before the first one with this
 * @add: a line at the end
 * @reason: a no for this reason, or NULL for a yes
 */
struct edit {
	const char *name;
	const char *drop;
	const char *from;
	const char *to;
	const char *take;
	const char *before;
	const char *add;
	const char *reason;
};

#define MISSING(what, why) { .name = "no " what, .drop = what, .reason = why }
#define IDLE "    <idle>-0       [000] d.h2.     3.000000: "
#define LATE "    <idle>-0       [000] d.h2.     3.007900: "
#define DEAD "   pindrop-113     [000] .....     2.990000: "

static const struct edit edits[] = {
	{ .name = "as recorded" },

	MISSING("signal_deliver", "no delivery of the signal"),
	MISSING(" do_exit:", "no do_exit"),
	MISSING(" exit_mmap:", "no exit_mmap"),
	MISSING(" unmap_vmas:", "no unmap_vmas"),
	MISSING(" free_pgtables:", "no free_pgtables"),
	MISSING("sched_process_exit", "no exit of the process"),
	MISSING("release_begin", "no begin of pindrop's release"),
	MISSING("release_end", "no end of pindrop's farewell"),
	MISSING("ctx_kill", "no end of the context"),
	MISSING("step=K0", "no step K0"),
	MISSING("step=K1", "no step K1"),
	MISSING("step=K2", "no step K2"),
	MISSING("result=proof", "no proof by the chain"),
	MISSING("piece_issue", "nothing was on the hardware"),
	MISSING("piece_done", "read idle after 0"),
	MISSING("pindrop_bind", "names 0 pages"),
	MISSING("pfn=6970", "names 2 pages"),
	MISSING("pfn=0x1b3a", "saw 3 go back"),
	MISSING("pfn=0x1b3b", "saw 3 go back"),
	MISSING("pfn=0x1b3c", "saw 3 go back"),
	MISSING("pfn=0x1b3d", "saw 3 go back"),
	{ .name = "nothing at all", .drop = ":", .reason = "no do_exit" },

	{ .name = "a page goes back before idle", .take = "pfn=0x1b3c",
	  .before = "piece_done", .reason = "before the hardware was read idle" },
	{ .name = "a page goes back before the kill", .take = "pfn=0x1b3c",
	  .before = "signal_deliver",
	  .reason = "before the hardware was read idle" },
	{ .name = "proof after a page", .take = "pfn=0x1b3c",
	  .before = "result=proof", .reason = "no proof by the chain" },
	{ .name = "done, but not idle", .from = "idle=1", .to = "idle=0",
	  .reason = "read idle after 0" },
	{ .name = "done before the kill", .take = "piece_done",
	  .before = "signal_deliver", .from = "2.985437", .to = "2.920000",
	  .reason = "nothing was on the hardware" },
	{ .name = "a piece after a page",
	  .add = LATE "pindrop_piece_issue: dev=0 ctx=1 chan=0 job=1 bytes=1 kind=x\n"
		 LATE "pindrop_piece_done: dev=0 ctx=1 chan=0 job=1 bytes=1 status=0 idle=1",
	  .reason = "given a piece after" },
	{ .name = "not drained", .from = "drained=1", .to = "drained=0",
	  .reason = "ended before all was settled" },
	{ .name = "another signal", .from = "sig=9", .to = "sig=15",
	  .reason = "no delivery of the signal" },
	{ .name = "another device", .from = "dev=0", .to = "dev=1",
	  .reason = "names 0 pages" },
	{ .name = "another process", .from = "-113 ", .to = "-114 ",
	  .reason = "no do_exit" },
	{ .name = "quarantine",
	  .add = LATE "pindrop_kill_step: dev=0 ctx=0 chan=0 step=K8 result=start count=1",
	  .reason = "step K8" },
	{ .name = "lost events", .add = "CPU:1 [LOST 3 EVENTS]",
	  .reason = "lost events" },

	{ .name = "pages that go back once more",
	  .add = LATE "mm_page_free: page=00000000482ee018 pfn=0x1b3d order=0" },
	{ .name = "somebody else's piece over the end", .take = "ctx=77",
	  .before = "piece_done",
	  .add = IDLE "pindrop_piece_issue: dev=0 ctx=77 chan=0 job=1 bytes=1 kind=x" },
	{ .name = "events and keys that nobody knows",
	  .from = "mm_users=0", .to = "mm_users=0 shiny=1",
	  .add = DEAD "pindrop_new_thing: dev=0 ctx=1 colour=blue\n"
		 DEAD "brand_new: (brand_new+0x0/0x10)\n"
		 "what is this [000] supposed to be" },
	{ .name = "odd command names", .from = "pindrop-113",
	  .to = "a [9] 1.000000: b-113" },
	{ .name = "thread groups shown", .from = "-113     [",
	  .to = "-113 (    113) [" },
	{ .name = "a page of a larger order", .drop = "pfn=0x1b3b",
	  .from = "pfn=0x1b3a order=0", .to = "pfn=0x1b3a order=1" },
};

static char *replace(char *text, const char *from, const char *to)
{
	char *at = text, *next, *out = strdup("");

	while (from && (next = strstr(at, from))) {
		char *more;

		if (asprintf(&more, "%s%.*s%s", out, (int)(next - at), at,
			     to) < 0)
			abort();
		free(out);
		out = more;
		at = next + strlen(from);
	}
	next = NULL;
	if (asprintf(&next, "%s%s", out, at) < 0)
		abort();
	free(out);
	free(text);
	return next;
}

/* The lines of @text with @with, or those without it. */
static char *lines(const char *text, const char *with, bool wanted, bool once)
{
	char *out = malloc(strlen(text) + 1), *end = out;

	while (*text) {
		size_t len = strcspn(text, "\n") + 1;
		char *line = strndup(text, len);

		if (!strstr(line, with) != wanted) {
			end = stpcpy(end, line);
			if (once && wanted)
				text += strlen(text) - len;
		} else if (once && !wanted) {
			/* Only the first one goes. */
			end = stpcpy(end, text + len);
			text += strlen(text) - len;
		}
		free(line);
		text += len;
	}
	*end = 0;
	return out;
}

static char *move(char *text, const char *take, const char *before)
{
	char *line = lines(text, take, true, true);
	char *rest = lines(text, take, false, true);
	char *at = strstr(rest, before);
	char *out;

	while (at > rest && at[-1] != '\n')
		at--;
	if (asprintf(&out, "%.*s%s%s", (int)(at - rest), rest, line, at) < 0)
		abort();
	free(line);
	free(rest);
	free(text);
	return out;
}

static char *edit(const char *recording, const struct edit *e)
{
	char *text = strdup(recording), *more;

	if (e->add) {
		if (asprintf(&more, "%s%s\n", text, e->add) < 0)
			abort();
		free(text);
		text = more;
	}
	if (e->drop) {
		more = lines(text, e->drop, false, false);
		free(text);
		text = more;
	}
	text = replace(text, e->from, e->to);
	return e->take ? move(text, e->take, e->before) : text;
}

static bool has_reason(const struct verdict *verdict, const char *reason)
{
	unsigned int i;

	if (!reason)
		return !verdict->count;
	for (i = 0; i < verdict->count; i++)
		if (strstr(verdict->reason[i], reason))
			return true;
	return false;
}

static bool judge(const char *name, char *text, const struct facts *facts,
		  const char *reason)
{
	struct verdict verdict;
	struct story story;
	struct trace trace;
	unsigned int i;
	bool ok;

	if (trace_parse(&trace, text))
		abort();
	story_read(&story, &trace, facts);
	story_judge(&verdict, &story, &trace, facts);
	trace_free(&trace);
	ok = has_reason(&verdict, reason);
	if (!ok)
		printf("not ok: %s: expected %s\n", name,
		       reason ? reason : "yes");
	for (i = 0; !ok && i < verdict.count; i++)
		printf("  because %s\n", verdict.reason[i]);
	return ok;
}

/* What the trace does not tell. */
static bool judge_facts(const char *recording)
{
	struct facts facts;
	bool ok = true;

#define FACT(field, value, why)                                             \
	facts = recorded;                                                   \
	facts.field = value;                                                \
	ok &= judge(#field, strdup(recording), &facts, why)

	FACT(counters.inflight, 1, "inflight is 1");
	FACT(counters.pinned, 2, "pinned is 2");
	FACT(counters.quarantined, 3, "quarantined is 3");
	FACT(overrun, 1, "lost events");
	FACT(hangs, true, "has not ended");
	FACT(pages, 5, "the buffers have 5");
	FACT(counters.inflight, 0, NULL);
	return ok;
}

struct rows {
	unsigned int count;
	unsigned int frees;
	bool raw;
	bool key;
	bool in_order;
	int64_t last;
};

static void look(const struct row *row, void *data)
{
	struct rows *rows = data;

	rows->count++;
	rows->frees += !strncmp(row->what, "page frame", 10);
	rows->raw |= !strcmp(row->what,
			     "pindrop_new_thing: dev=0 ctx=1 colour=blue");
	rows->key |= strstr(row->what, " shiny=1") != NULL;
	rows->in_order &= row->us >= rows->last;
	rows->last = row->us;
}

/* 38 events, of which 4 are pages gone back once more; and two of our own. */
static bool judge_rows(const char *recording)
{
	const struct edit e = {
		.from = "mm_users=0", .to = "mm_users=0 shiny=1",
		.add = LATE "pindrop_new_thing: dev=0 ctx=1 colour=blue",
	};
	struct rows rows = { .in_order = true, .last = INT64_MIN };
	struct story story;
	struct trace trace;
	bool ok;

	if (trace_parse(&trace, edit(recording, &e)))
		abort();
	story_read(&story, &trace, &recorded);
	timeline_walk(&story, &trace, &recorded, look, &rows);
	ok = rows.count == trace.count - 4 + 2 && rows.frees == 4 &&
	     rows.raw && rows.key && story.mm_users == 0 &&
	     story.mm_count == 3;
	trace_free(&trace);
	if (!ok)
		printf("not ok: rows: %u in all, %u pages, raw %d, key %d\n",
		       rows.count, rows.frees, rows.raw, rows.key);
	return ok;
}

static char *read_all(const char *path)
{
	static char text[1 << 16];
	FILE *file = fopen(path, "r");
	size_t n;

	if (!file)
		return NULL;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = 0;
	return n ? text : NULL;
}

int main(int argc, char **argv)
{
	char *recording = argc == 2 ? read_all(argv[1]) : NULL;
	size_t i, n = sizeof(edits) / sizeof(edits[0]);
	bool ok = true;

	if (!recording) {
		fprintf(stderr, "usage: verdict RECORDING\n");
		return 2;
	}
	for (i = 0; i < n; i++)
		ok &= judge(edits[i].name, edit(recording, &edits[i]),
			    &recorded, edits[i].reason);
	ok &= judge_facts(recording);
	ok &= judge_rows(recording);
	if (ok)
		printf("ok: verdict: %zu timelines\n", n);
	return !ok;
}
