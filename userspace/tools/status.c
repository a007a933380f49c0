// SPDX-License-Identifier: MIT
/* pindrop status: the counters of one device, or of all. Opens no node. */
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "json.h"

struct counter {
	const char *name;
	uint64_t value;
};

#define COUNTERS 9

static void counters_list(const struct pindrop_counters *c,
			  struct counter list[COUNTERS])
{
	list[0] = (struct counter){ "contexts", c->contexts };
	list[1] = (struct counter){ "buffers", c->buffers };
	list[2] = (struct counter){ "bytes", c->bytes };
	list[3] = (struct counter){ "inflight", c->inflight };
	list[4] = (struct counter){ "pinned", c->pinned };
	list[5] = (struct counter){ "quarantined", c->quarantined };
	list[6] = (struct counter){ "jobs_done", c->jobs_done };
	list[7] = (struct counter){ "jobs_failed", c->jobs_failed };
	list[8] = (struct counter){ "jobs_cancelled", c->jobs_cancelled };
}

static int show_one(const char *node, struct json *json)
{
	struct counter list[COUNTERS];
	struct pindrop_counters c;
	char engine[16];
	int err, i;

	err = pindrop_get_engine(node, engine, sizeof(engine));
	if (!err)
		err = pindrop_get_counters(node, &c, sizeof(c));
	if (err)
		return device_error(err, node);
	counters_list(&c, list);
	if (json->out) {
		json_open(json, NULL, '{');
		json_string(json, "node", node);
		json_string(json, "engine", engine);
		for (i = 0; i < COUNTERS; i++)
			json_uint(json, list[i].name, list[i].value);
		json_close(json, '}');
		return EXIT_OK;
	}
	printf("%s (%s)\n", node, engine);
	for (i = 0; i < COUNTERS; i++)
		printf("  %-16s %" PRIu64 "\n", list[i].name, list[i].value);
	return EXIT_OK;
}

static int show_all(struct json *json)
{
	char node[PINDROP_NODE_MAX];
	int status = EXIT_OK;
	unsigned int i;
	int err;

	for (i = 0; !status; i++) {
		err = pindrop_find(NULL, i, node, sizeof(node));
		if (err == -ENODEV && i)
			break;
		status = err ? device_error(err, NULL) :
			       show_one(node, json);
	}
	return status;
}

static int show(const struct device_options *want, bool as_json)
{
	struct json json = { .out = as_json ? stdout : NULL };
	char node[PINDROP_NODE_MAX];
	int status;

	if (as_json)
		json_open(&json, NULL, '[');
	if (want->node || want->engine) {
		status = find_device(want, node, sizeof(node));
		if (!status)
			status = show_one(node, &json);
	} else {
		status = show_all(&json);
	}
	if (as_json)
		json_close(&json, ']');
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
	return show(&want, as_json);
}

const struct command cmd_status = {
	.name = "status",
	.args = "",
	.summary = "Show the counters of all devices, or of one",
	.options = DEVICE_HELP
		"  -j, --json          for programs\n",
	.run = run,
};
