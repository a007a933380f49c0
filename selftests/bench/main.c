// SPDX-License-Identifier: GPL-2.0-only
/* What pindrop costs on this machine, beside what a program would take instead. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define DESCRIPTORS 20000

/**
 * struct measure - a part of the whole
 * @name: as the user has it
 * @go: returns 0, ABSENT or a negative errno value
 * @what: for the help
 * @slow: not of a quick run
 */
struct measure {
	const char *name;
	int (*go)(const struct bench *b);
	const char *what;
	bool slow;
};

static const struct measure measures[] = {
	{ "pin", measure_pin, "a program's own memory pinned", false },
	{ "iommu", measure_iommu, "... and mapped in an IOMMU", false },
	{ "map", measure_map, "memory allocated, mapped, freed", false },
	{ "nop", measure_nop, "jobs that do nothing", false },
	{ "death", measure_death, "from SIGKILL to waitpid()", false },
	{ "bystander", measure_bystander,
	  "a death, fault, SYNC and job beside another's death", true },
	{ "growth", measure_growth, "what one more costs where there are many",
	  true },
	{ "jobs", measure_jobs, "... of jobs that wait", true },
	{ "memory", measure_footprint, "what the kernel keeps of each", true },
	{ "copy", measure_copy, "copies by the engine in software", true },
	{ "both", measure_both, "two processes at a time", true },
	{ "irqsoff", measure_irqsoff,
	  "the longest sections with interrupts off", true },
	{ "idle", measure_idle, "what edu could do more", true },
};

static void show_help(FILE *out)
{
	size_t i;

	fputs("usage: pindrop-bench [-c] [-q] [-r ROUNDS] [MEASURE]...\n"
	      "  -c, --counted    a nanosecond is an instruction\n"
	      "  -q, --quick      only what has a goal\n"
	      "  -r, --rounds N   the best of N is taken; 3, counted 2, quick 1\n"
	      "  -h, --help       this\n"
	      "Measures, without one all:\n",
	      out);
	for (i = 0; i < ARRAY_SIZE(measures); i++)
		fprintf(out, "  %-16s %s\n", measures[i].name,
			measures[i].what);
}

static bool wanted(const struct bench *b, const struct measure *measure,
		   char **names)
{
	if (!*names)
		return !b->quick || !measure->slow;
	for (; *names; names++)
		if (!strcmp(*names, measure->name))
			return true;
	return false;
}

static bool all_known(char **names)
{
	size_t i;

	for (; *names; names++) {
		for (i = 0; i < ARRAY_SIZE(measures); i++)
			if (!strcmp(*names, measures[i].name))
				break;
		if (i == ARRAY_SIZE(measures))
			return false;
	}
	return true;
}

/* Of contexts there are many; who may not raise it has to do with less. */
static void raise_limits(void)
{
	const struct rlimit limit = { DESCRIPTORS, DESCRIPTORS };

	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const struct bench *b, char **names)
{
	int err, status = 0;
	uint64_t begin;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(measures); i++) {
		if (!wanted(b, &measures[i], names))
			continue;
		begin = now();
		err = measures[i].go(b);
		fprintf(stderr, "bench: %s took %.1f s\n", measures[i].name,
			(now() - begin) / 1e9);
		if (err >= 0)
			continue;
		fprintf(stderr, "bench: %s: %s\n", measures[i].name,
			strerror(-err));
		status = 1;
	}
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "counted", no_argument, NULL, 'c' },
		{ "quick", no_argument, NULL, 'q' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct bench b = {};
	int option, err;

	while ((option = getopt_long(argc, argv, "cqr:h", options, NULL)) !=
	       -1) {
		switch (option) {
		case 'c':
			b.counted = true;
			break;
		case 'q':
			b.quick = true;
			break;
		case 'r':
			b.rounds = atoi(optarg);
			break;
		case 'h':
			show_help(stdout);
			return 0;
		default:
			show_help(stderr);
			return 2;
		}
	}
	if (b.rounds < 0 || !all_known(argv + optind)) {
		show_help(stderr);
		return 2;
	}
	if (!b.rounds)
		b.rounds = b.quick ? 1 : b.counted ? 2 : 3;
	raise_limits();
	err = machine_find(&b);
	if (err) {
		fprintf(stderr, "bench: pindrop's devices: %s\n",
			strerror(-err));
		return 1;
	}
	return run(&b, argv + optind);
}
