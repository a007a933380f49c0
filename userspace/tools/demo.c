// SPDX-License-Identifier: MIT
/*
 * pindrop demo: a process is killed in the middle of a transfer, and the
 * kernel's own trace tells what came to its end when.
 */
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "stop.h"
#include "story.h"
#include "timeline.h"
#include "tracefs.h"
#include "victim.h"

#define NSEC_PER_MSEC INT64_C(1000000)
#define KILL_AFTER_MS 40
#define STRAGGLERS_MS 2000
#define LOOK_MS 20

/**
 * struct demo - a run
 * @node: the device
 * @engine: its engine
 * @tfs: where the trace is made
 * @victim: who is killed
 * @facts: what we know ourselves
 * @trace: what the kernel says
 * @story: what that means
 * @verdict: and what follows
 */
struct demo {
	char node[PINDROP_NODE_MAX];
	char engine[16];
	struct tracefs tfs;
	struct victim victim;
	struct facts facts;
	struct trace trace;
	struct story story;
	struct verdict verdict;
};

/* As the trace shows it: rounded. */
static int64_t to_us(int64_t ns)
{
	return (ns + 500) / 1000;
}

/* False if a signal came. */
static bool pause_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
			       .tv_nsec = ms % 1000 * NSEC_PER_MSEC };

	return !stop_asked() && !nanosleep(&ts, NULL);
}

static int read_story(struct demo *demo)
{
	char *text;
	int err;

	trace_free(&demo->trace);
	err = tracefs_read(&demo->tfs, &text);
	if (!err)
		err = trace_parse(&demo->trace, text);
	if (!err)
		story_read(&demo->story, &demo->trace, &demo->facts);
	return err;
}

/* All that concerns the process alone; the pages are not known yet. */
static int trace_process(struct demo *demo)
{
	static const char *const events[] = { "signal/signal_deliver",
					      "sched/sched_process_exit" };
	static const char *const probes[] = { "do_exit", "exit_mmap",
					      "unmap_vmas", "free_pgtables" };
	struct tracefs *tfs = &demo->tfs;
	char filter[40];
	size_t i;
	int err;

	err = tracefs_create(tfs);
	snprintf(filter, sizeof(filter), "common_pid == %ld", demo->facts.pid);
	for (i = 0; !err && i < sizeof(events) / sizeof(events[0]); i++)
		err = tracefs_event(tfs, events[i], filter);
	for (i = 0; !err && i < sizeof(probes) / sizeof(probes[0]); i++)
		err = tracefs_probe(tfs, probes[i], filter);
	/* These come from interrupts and workers, too. */
	return err ? err : tracefs_event(tfs, "pindrop", NULL);
}

/* Only these page frames: all of them would be more than any buffer holds. */
static int trace_pages(struct demo *demo)
{
	const struct story *story = &demo->story;
	char filter[STORY_PAGES * 32];
	unsigned int i;
	int len = 0;

	for (i = 0; i < story->npages; i++)
		len += snprintf(filter + len, sizeof(filter) - len,
				"%spfn == %" PRId64, i ? " || " : "",
				story->page[i].pfn);
	return tracefs_event(&demo->tfs, "kmem/mm_page_free", filter);
}

/* Other users' jobs would be in the counters, and before ours in the queue. */
static int wait_until_unused(struct demo *demo)
{
	unsigned int looks = STRAGGLERS_MS / LOOK_MS;
	struct pindrop_counters c;
	int err;

	do {
		err = pindrop_get_counters(demo->node, &c, sizeof(c));
		if (err)
			return device_error(err, demo->node);
		if (!c.inflight && !c.pinned && !c.quarantined)
			return EXIT_OK;
	} while (--looks && pause_ms(LOOK_MS));
	if (!stop_asked())
		complain("%s is in use: inflight %" PRIu64 ", pinned %" PRIu64
			 ", quarantined %" PRIu64,
			 demo->node, c.inflight, c.pinned, c.quarantined);
	return EXIT_FAILED;
}

static int victim_error(struct demo *demo, int err, const char *what)
{
	if (stop_asked())
		return EXIT_FAILED;
	complain("the process that is to be killed cannot %s", what);
	return device_error(err, demo->node);
}

/* Up to where a piece is on the hardware and everything is traced. */
static int set_up(struct demo *demo)
{
	int err;

	err = victim_create(&demo->victim, demo->node);
	if (err)
		return victim_error(demo, err, "be made");
	demo->facts.pid = demo->victim.pid;
	demo->facts.kill_us = INT64_MAX;
	if (trace_process(demo))
		return EXIT_FAILED;
	err = victim_next(&demo->victim);
	if (err)
		return victim_error(demo, err, "make its buffers");
	if (read_story(demo))
		return EXIT_FAILED;
	if (!demo->story.npages) {
		complain("the trace does not say which pages the buffers have");
		return EXIT_FAILED;
	}
	if (trace_pages(demo))
		return EXIT_FAILED;
	err = victim_next(&demo->victim);
	return err ? victim_error(demo, err, "start its copy") : EXIT_OK;
}

static int kill_it(struct demo *demo)
{
	struct facts *facts = &demo->facts;
	int64_t killed, gone;
	int err, counters;

	if (!pause_ms(KILL_AFTER_MS))
		return EXIT_FAILED;
	err = victim_kill(&demo->victim, &killed, &gone);
	/* At once: it is what a program would see that waited for its child. */
	counters = pindrop_get_counters(demo->node, &facts->counters,
					sizeof(facts->counters));
	facts->hangs = err == -ETIMEDOUT;
	if (err && !facts->hangs)
		return victim_error(demo, err, "be killed");
	if (counters)
		return device_error(counters, demo->node);
	facts->kill_us = to_us(killed);
	facts->wait_us = to_us(gone);
	return EXIT_OK;
}

/* What comes late is part of the story: a page, or the hardware after it. */
static int wait_for_stragglers(struct demo *demo)
{
	unsigned int looks = STRAGGLERS_MS / LOOK_MS;

	do {
		if (!pause_ms(LOOK_MS) || read_story(demo))
			return EXIT_FAILED;
	} while (--looks && !story_is_over(&demo->story, &demo->facts));
	if (tracefs_stop(&demo->tfs) ||
	    tracefs_overrun(&demo->tfs, &demo->facts.overrun) ||
	    read_story(demo))
		return EXIT_FAILED;
	return EXIT_OK;
}

static void print_row(const struct row *row, void *data)
{
	(void)data;
	printf("%10" PRId64 "  %-9s %s\n", row->us, row->who, row->what);
}

static void print_text(const struct demo *demo)
{
	const struct pindrop_counters *c = &demo->facts.counters;
	unsigned int i;

	printf("%s (%s): process %ld copies between two buffers and is killed after %d ms\n\n",
	       demo->node, demo->engine, demo->facts.pid, KILL_AFTER_MS);
	printf("%10s  %-9s %s\n", "us", "who", "what");
	timeline_walk(&demo->story, &demo->trace, &demo->facts, print_row,
		      NULL);
	printf("\ncounters after waitpid: inflight %" PRIu64 ", pinned %" PRIu64
	       ", quarantined %" PRIu64 "\n",
	       c->inflight, c->pinned, c->quarantined);
	printf("verdict: quiet before free: %s\n",
	       demo->verdict.count ? "no" : "yes");
	for (i = 0; i < demo->verdict.count; i++)
		printf("  because %s\n", demo->verdict.reason[i]);
}

static void json_slice(struct json *json, const char *name,
		       struct trace_slice slice)
{
	char text[160];

	snprintf(text, sizeof(text), "%.*s", (int)slice.len, slice.at);
	json_string(json, name, text);
}

static void json_row(const struct row *row, void *data)
{
	const struct trace_event *event = row->event;
	struct json *json = data;
	char key[40];
	unsigned int i;

	json_open(json, NULL, '{');
	json_int(json, "us", row->us);
	json_string(json, "who", row->who);
	json_string(json, "what", row->what);
	if (event) {
		json_slice(json, "event", event->name);
		json_open(json, "fields", '{');
		for (i = 0; i < event->nfields; i++) {
			snprintf(key, sizeof(key), "%.*s",
				 (int)event->fields[i].key.len,
				 event->fields[i].key.at);
			json_slice(json, key, event->fields[i].value);
		}
		json_close(json, '}');
	}
	json_close(json, '}');
}

static void print_json(const struct demo *demo)
{
	const struct pindrop_counters *c = &demo->facts.counters;
	struct json json = { .out = stdout };
	unsigned int i;

	json_open(&json, NULL, '{');
	json_string(&json, "node", demo->node);
	json_string(&json, "engine", demo->engine);
	json_int(&json, "pid", demo->facts.pid);
	json_open(&json, "timeline", '[');
	timeline_walk(&demo->story, &demo->trace, &demo->facts, json_row,
		      &json);
	json_close(&json, ']');
	json_int(&json, "mm_users", demo->story.mm_users);
	json_int(&json, "mm_count", demo->story.mm_count);
	json_int(&json, "waitpid_us",
		 demo->facts.wait_us - demo->facts.kill_us);
	json_open(&json, "counters_after_waitpid", '{');
	json_uint(&json, "inflight", c->inflight);
	json_uint(&json, "pinned", c->pinned);
	json_uint(&json, "quarantined", c->quarantined);
	json_close(&json, '}');
	json_uint(&json, "lost_events",
		  demo->facts.overrun + demo->trace.lost);
	json_bool(&json, "quiet_before_free", !demo->verdict.count);
	json_open(&json, "reasons", '[');
	for (i = 0; i < demo->verdict.count; i++)
		json_string(&json, NULL, demo->verdict.reason[i]);
	json_close(&json, ']');
	json_close(&json, '}');
}

static int choose_device(struct demo *demo, const struct device_options *want)
{
	struct stat st;
	int status, err;

	status = find_device(want, demo->node, sizeof(demo->node));
	if (status)
		return status;
	err = pindrop_get_engine(demo->node, demo->engine,
				 sizeof(demo->engine));
	if (!err && stat(demo->node, &st) < 0)
		err = -errno;
	if (err)
		return device_error(err, demo->node);
	demo->facts.minor = minor(st.st_rdev);
	demo->facts.pages = VICTIM_BUFFERS * VICTIM_PAGES;
	return EXIT_OK;
}

static int demonstrate(const struct device_options *want, bool as_json)
{
	struct demo demo = { .victim = { .pidfd = -1, .talk = -1 } };
	int status;

	if (geteuid()) {
		complain("demo reads the kernel's trace: be root");
		return EXIT_FAILED;
	}
	status = choose_device(&demo, want);
	if (status)
		return status;
	stop_catch();
	status = wait_until_unused(&demo);
	if (!status)
		status = set_up(&demo);
	if (!status)
		status = kill_it(&demo);
	if (!status)
		status = wait_for_stragglers(&demo);
	victim_destroy(&demo.victim);
	tracefs_destroy(&demo.tfs);
	if (!status) {
		story_judge(&demo.verdict, &demo.story, &demo.trace,
			    &demo.facts);
		if (as_json)
			print_json(&demo);
		else
			print_text(&demo);
		status = demo.verdict.count ? EXIT_VERDICT_NO : EXIT_OK;
	}
	trace_free(&demo.trace);
	stop_obey();
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		DEVICE_LONG,
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct device_options want = {};
	bool as_json = false;
	int option;

	while ((option = getopt_long(argc, argv, DEVICE_SHORT "jh", options,
				     NULL)) != -1) {
		if (device_option(&want, option, optarg))
			continue;
		if (option == 'h')
			return show_help(self);
		if (option != 'j')
			return bad_usage(self);
		as_json = true;
	}
	if (optind != argc)
		return bad_arguments(self, argc - optind, argv + optind);
	return demonstrate(&want, as_json);
}

const struct command cmd_demo = {
	.name = "demo",
	.args = "",
	.summary = "Kill a process in the middle of a transfer, show what happens",
	.options = DEVICE_HELP
		"  -j, --json          for programs\n"
		"\n"
		"Needs root and tracefs. Exit status 4: the hardware was not proved quiet before\n"
		"the first page went back, or a part of the proof is missing.\n\n",
	.run = run,
};
