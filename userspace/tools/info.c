// SPDX-License-Identifier: MIT
/* pindrop info: what a device is and can do. */
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

struct bit_name {
	uint64_t bit;
	const char *name;
};

static const struct bit_name caps[] = {
	{ PINDROP_CAP_MEM_TO_MEM, "mem-to-mem" },
	{ PINDROP_CAP_MEM_TO_DEV, "mem-to-dev" },
	{ PINDROP_CAP_DEV_TO_MEM, "dev-to-mem" },
	{ PINDROP_CAP_CACHE_COHERENT, "cache-coherent" },
	{ PINDROP_CAP_ALLOC_CONTIG, "alloc-contig" },
	{ PINDROP_CAP_ALLOC_COHERENT, "alloc-coherent" },
	{ PINDROP_CAP_ALLOC_HUGE, "alloc-huge" },
	{ PINDROP_CAP_SUBMIT_FENCE, "submit-fence" },
	{ 0, NULL },
};

#define VERB(name, text) { UINT64_C(1) << PINDROP_VERB_##name, text }

static const struct bit_name verbs[] = {
	VERB(INFO, "info"),
	VERB(ALLOC, "alloc"),
	VERB(PIN, "pin"),
	VERB(IMPORT, "import"),
	VERB(EXPORT, "export"),
	VERB(FREE, "free"),
	VERB(SYNC, "sync"),
	VERB(SUBMIT, "submit"),
	VERB(WAIT, "wait"),
	VERB(RING_SETUP, "ring-setup"),
	VERB(RING_ENTER, "ring-enter"),
	{ 0, NULL },
};

static const char *iommu_name(unsigned int iommu)
{
	switch (iommu) {
	case PINDROP_IOMMU_NONE:
		return "none";
	case PINDROP_IOMMU_STRICT:
		return "strict";
	case PINDROP_IOMMU_LAZY:
		return "lazy";
	case PINDROP_IOMMU_IDENTITY:
		return "identity";
	default:
		return "unknown";
	}
}

struct number {
	const char *name;
	const char *label;
	uint64_t value;
	const char *unit;
};

#define NUMBERS 13

static void numbers(const struct pindrop_info *info, struct number *n)
{
	const struct number all[NUMBERS] = {
		{ "channels", "channels", info->out_channels, "" },
		{ "depth", "pieces a channel works on", info->out_depth, "" },
		{ "max_piece", "largest piece", info->out_max_piece,
		  " bytes" },
		{ "piece_ms", "a piece takes at most", info->out_piece_ms,
		  " ms" },
		{ "align", "alignment of copies", info->out_align, " bytes" },
		{ "pin_align", "alignment of pinned memory",
		  info->out_pin_align, " bytes" },
		{ "dma_bits", "address bits", info->out_dma_bits, "" },
		{ "devmem", "device memory", info->out_devmem, " bytes" },
		{ "max_alloc", "largest buffer", info->out_max_alloc,
		  " bytes" },
		{ "max_jobs", "jobs in one submission", info->out_max_jobs,
		  "" },
		{ "max_queued", "unfinished jobs", info->out_max_queued, "" },
		{ "max_handles", "buffers", info->out_max_handles, "" },
		{ NULL, NULL, 0, NULL },
	};

	memcpy(n, all, sizeof(all));
}

static void print_names(const char *label, const struct bit_name *names,
			uint64_t bits)
{
	printf("%-26s", label);
	for (; names->name; names++) {
		if (bits & names->bit)
			printf(" %s", names->name);
		bits &= ~names->bit;
	}
	if (bits)
		printf(" %#" PRIx64, bits);
	putchar('\n');
}

static void print_text(const char *node, const struct pindrop_info *info)
{
	struct number list[NUMBERS], *n;

	printf("%-26s %s\n", "node", node);
	printf("%-26s %s\n", "engine", info->out_engine);
	printf("%-26s %s\n", "device", info->out_device);
	printf("%-26s %s\n", "IOMMU", iommu_name(info->out_iommu));
	print_names("capabilities", caps, info->out_caps);
	print_names("verbs", verbs, info->out_verbs);
	numbers(info, list);
	for (n = list; n->name; n++)
		printf("%-26s %" PRIu64 "%s\n", n->label, n->value, n->unit);
}

static void json_names(struct json *json, const char *label,
		       const struct bit_name *names, uint64_t bits)
{
	json_open(json, label, '[');
	for (; names->name; names++)
		if (bits & names->bit)
			json_string(json, NULL, names->name);
	json_close(json, ']');
}

static void print_json(const char *node, const struct pindrop_info *info)
{
	struct number list[NUMBERS], *n;
	struct json json = { .out = stdout };

	json_open(&json, NULL, '{');
	json_string(&json, "node", node);
	json_string(&json, "engine", info->out_engine);
	json_string(&json, "device", info->out_device);
	json_string(&json, "iommu", iommu_name(info->out_iommu));
	json_names(&json, "capabilities", caps, info->out_caps);
	json_names(&json, "verbs", verbs, info->out_verbs);
	numbers(info, list);
	for (n = list; n->name; n++)
		json_uint(&json, n->name, n->value);
	json_close(&json, '}');
}

static int show(const struct device_options *want, bool as_json)
{
	struct pindrop_info info;
	struct pindrop *dev;
	int status, err;

	status = open_device(want, &dev);
	if (status)
		return status;
	err = pindrop_get_info(dev, &info, sizeof(info));
	if (err)
		status = device_error(err, pindrop_node(dev));
	else if (as_json)
		print_json(pindrop_node(dev), &info);
	else
		print_text(pindrop_node(dev), &info);
	pindrop_unref(dev);
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

const struct command cmd_info = {
	.name = "info",
	.args = "",
	.summary = "Show what a device is and can do",
	.options = DEVICE_HELP
		"  -j, --json          for programs\n",
	.run = run,
};
