// SPDX-License-Identifier: MIT
#include "timeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/**
 * struct phrase - an event in plain words
 * @event: name of the event
 * @key: only if this field, if any ...
 * @value: ... is this
 * @who: whose doing it is
 * @text: the words; {key} stands for the field's value
 *
 * The first that fits is taken. Fields that neither the words nor quiet_keys
 * name are shown behind them, so that nothing new goes unseen.
 */
struct phrase {
	const char *event;
	const char *key;
	const char *value;
	const char *who;
	const char *text;
};

static const struct phrase phrases[] = {
	{ "signal_deliver", NULL, NULL, "kernel",
	  "signal {sig} is delivered to the process" },
	{ "do_exit", NULL, NULL, "kernel", "do_exit: the process begins to die" },
	{ "exit_mmap", NULL, NULL, "kernel",
	  "exit_mmap: its address space begins to go" },
	{ "unmap_vmas", NULL, NULL, "kernel",
	  "unmap_vmas: its memory is unmapped" },
	{ "free_pgtables", NULL, NULL, "kernel",
	  "free_pgtables: its page tables go" },
	{ "sched_process_exit", NULL, NULL, "kernel",
	  "sched_process_exit: the process has exited" },
	{ "mm_page_free", NULL, NULL, "kernel",
	  "page frame {pfn} goes back to the allocator" },

	{ "pindrop_bind", NULL, NULL, "pindrop",
	  "process {owner_pid} owns context {ctx}" },
	{ "pindrop_buf_alloc", NULL, NULL, "pindrop",
	  "buffer {buf}, handle {handle}: {bytes} bytes, mapped for the device" },
	{ "pindrop_buf_pages", NULL, NULL, "pindrop",
	  "buffer {buf}: {npages} pages from page frame {pfn} on" },
	{ "pindrop_buf_map", NULL, NULL, "pindrop",
	  "buffer {buf}: mmap() of {vma_pages} pages" },
	{ "pindrop_vm_open", NULL, NULL, "pindrop",
	  "buffer {buf}: one more mapping, {vmas} in all" },
	{ "pindrop_vm_close", NULL, NULL, "pindrop",
	  "buffer {buf}: a mapping goes, {vmas} left" },
	{ "pindrop_dma_map", NULL, NULL, "pindrop",
	  "buffer {buf}: {bytes} bytes are at bus address {bus}" },
	{ "pindrop_dma_unmap", NULL, NULL, "pindrop",
	  "buffer {buf}: bus address {bus} is given up" },
	{ "pindrop_buf_unmap_dma", NULL, NULL, "pindrop",
	  "buffer {buf}: the device cannot reach its {npages} pages any more" },
	{ "pindrop_buf_free", NULL, NULL, "pindrop",
	  "buffer {buf}: nobody holds it any more, its pages may go" },
	{ "pindrop_job_submit", NULL, NULL, "pindrop",
	  "job {job} is queued: {bytes} bytes" },
	{ "pindrop_job_done", NULL, NULL, "pindrop",
	  "job {job} is over for its owner, result {result}" },
	{ "pindrop_job_retire", NULL, NULL, "pindrop",
	  "job {job} is proved over and lets its memory go" },
	{ "pindrop_ctx_kill", NULL, NULL, "pindrop",
	  "context {ctx} is ended, reason {reason}" },
	{ "pindrop_release_begin", NULL, NULL, "pindrop",
	  "release begins: mm_users {mm_users}, mm_count {mm_count}, contexts {contexts}" },
	{ "pindrop_release_end", "drained", "1", "pindrop",
	  "farewell ends after {us} us, all settled: the process may be reported dead" },
	{ "pindrop_release_end", NULL, NULL, "pindrop",
	  "farewell ends after {us} us, NOT all settled" },
	{ "pindrop_file_release", NULL, NULL, "pindrop",
	  "the last reference to the file goes" },

	{ "pindrop_kill_step", "step", "K0", "pindrop",
	  "K0: nothing new is taken" },
	{ "pindrop_kill_step", "step", "K1", "pindrop",
	  "K1: jobs cancelled: {count}" },
	{ "pindrop_kill_step", "result", "proof", "pindrop",
	  "{step}: proof that the hardware is quiet" },
	{ "pindrop_kill_step", "result", "none", "pindrop",
	  "{step}: no proof" },
	{ "pindrop_kill_step", "result", "timeout", "pindrop",
	  "{step}: not in time" },
	{ "pindrop_kill_step", "step", "K2", "pindrop",
	  "K2: start nothing more, wait for what the hardware has" },
	{ "pindrop_kill_step", "step", "K4", "pindrop",
	  "K4: the channel is stopped, K3 was not enough" },
	{ "pindrop_kill_step", "step", "K5", "pindrop",
	  "K5: the device is reset" },
	{ "pindrop_kill_step", "step", "K6", "pindrop",
	  "K6: the device is cut off from memory" },
	{ "pindrop_kill_step", "step", "K8", "pindrop",
	  "K8: quarantine: the memory is kept" },
	{ "pindrop_kill_step", NULL, NULL, "pindrop", "{step}: {result}" },

	{ "pindrop_piece_issue", NULL, NULL, "hardware",
	  "is given a piece of job {job}: {bytes} bytes, {kind}" },
	{ "pindrop_piece_done", "idle", "1", "hardware",
	  "is read idle: {bytes} bytes of job {job}, status {status}" },
	{ "pindrop_piece_done", NULL, NULL, "hardware",
	  "reports {bytes} bytes of job {job}, status {status}; NOT read idle" },
};

/* Said already, or no news to people. */
static const char *const quiet_keys[] = {
	"dev",	 "ctx",	  "chan",   "op",   "flags", "index", "idle",
	"count", "page",  "order",  "comm", "prio",  "errno", "code",
	"result", "drained", "step", "sa_handler", "sa_flags", "pid",
	"group_dead", "bytes",
};

static const struct phrase *find_phrase(const struct trace_event *event)
{
	const struct phrase *p = phrases;
	const struct phrase *end = p + sizeof(phrases) / sizeof(phrases[0]);

	for (; p < end; p++)
		if (event_is(event, p->event) &&
		    (!p->key || event_says(event, p->key, p->value)))
			return p;
	return NULL;
}

/* Room for words; what does not fit is cut off. */
struct words {
	char *text;
	size_t size;
	size_t len;
};

static void add(struct words *words, const char *text, size_t len)
{
	size_t room = words->size - 1 - words->len;

	if (len > room)
		len = room;
	memcpy(words->text + words->len, text, len);
	words->len += len;
	words->text[words->len] = 0;
}

/* Page frames come in two notations, and errors as numbers. */
static void add_value(struct words *words, const struct trace_event *event,
		      const char *key)
{
	struct trace_slice value = { "?", 1 };
	char text[100];
	int64_t n;

	event_text(event, key, &value);
	if (!strcmp(key, "pfn") && event_number(event, key, &n)) {
		snprintf(text, sizeof(text), "%" PRId64, n);
		value = (struct trace_slice){ text, strlen(text) };
	} else if ((!strcmp(key, "result") || !strcmp(key, "status")) &&
		   event_number(event, key, &n) && n < 0 && n > -4096) {
		snprintf(text, sizeof(text), "%" PRId64 " (%s)", n,
			 pindrop_strerror(n));
		value = (struct trace_slice){ text, strlen(text) };
	}
	add(words, value.at, value.len);
}

/* @text with its {key}s filled in. */
static void add_filled(struct words *words, const struct trace_event *event,
		       const char *text)
{
	while (*text) {
		size_t plain = strcspn(text, "{");
		char key[32];
		size_t len;

		add(words, text, plain);
		text += plain;
		if (!*text)
			return;
		len = strcspn(++text, "}");
		snprintf(key, sizeof(key), "%.*s", (int)len, text);
		add_value(words, event, key);
		text += len + (text[len] == '}');
	}
}

static bool is_quiet(struct trace_slice key)
{
	size_t i;

	for (i = 0; i < sizeof(quiet_keys) / sizeof(quiet_keys[0]); i++)
		if (slice_is(key, quiet_keys[i]))
			return true;
	return false;
}

static bool is_in(const char *text, struct trace_slice key)
{
	char braced[36];

	snprintf(braced, sizeof(braced), "{%.*s}", (int)key.len, key.at);
	return strstr(text, braced);
}

static void add_others(struct words *words, const struct trace_event *event,
		       const char *text)
{
	unsigned int i;

	for (i = 0; i < event->nfields; i++) {
		const struct trace_field *f = &event->fields[i];

		if (is_quiet(f->key) || is_in(text, f->key))
			continue;
		add(words, " ", 1);
		add(words, f->key.at, f->key.len);
		add(words, "=", 1);
		add(words, f->value.at, f->value.len);
	}
}

/* Fills in who and what; an event without words is shown as it is. */
void timeline_explain(const struct trace_event *event, struct row *row)
{
	struct words words = { row->what, sizeof(row->what), 0 };
	const struct phrase *phrase = find_phrase(event);

	row->what[0] = 0;
	row->event = event;
	if (phrase) {
		row->who = phrase->who;
		add_filled(&words, event, phrase->text);
		add_others(&words, event, phrase->text);
		return;
	}
	row->who = event->name.len > 8 && !memcmp(event->name.at, "pindrop_", 8) ?
			   "pindrop" :
			   "kernel";
	if (event->name.len) {
		add(&words, event->name.at, event->name.len);
		add(&words, ": ", 2);
	}
	add(&words, event->text.at, event->text.len);
}

static void tell(int64_t us, const char *what, row_fn fn, void *data)
{
	struct row row = { .us = us, .who = "demo" };

	snprintf(row.what, sizeof(row.what), "%s", what);
	fn(&row, data);
}

/* Every row in the order of time, with what we did at its place. */
void timeline_walk(const struct story *story, const struct trace *trace,
		   const struct facts *facts, row_fn fn, void *data)
{
	bool killed = false, waited = false;
	struct row row;
	size_t i;

	for (i = 0; i <= trace->count; i++) {
		const struct trace_event *event = &trace->events[i];
		bool end = i == trace->count;

		if (!end && !story_has_event(story, facts, event))
			continue;
		if (!killed && (end || event->us >= facts->kill_us)) {
			killed = true;
			tell(0, "SIGKILL is sent", fn, data);
		}
		if (!waited && (end || event->us > facts->wait_us)) {
			waited = true;
			tell(facts->wait_us - facts->kill_us,
			     "waitpid() has returned", fn, data);
		}
		if (end)
			return;
		row.us = event->us - facts->kill_us;
		timeline_explain(event, &row);
		fn(&row, data);
	}
}
