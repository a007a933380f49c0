// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows, as "report" reads them: a word, and fields with tabs between them. A
 * field that is not there is "-".
 */
#include "bench.h"

#include <stdio.h>
#include <time.h>

uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void keep_best(double *best, uint64_t ns, double count)
{
	double each = ns / count;

	if (!*best || each < *best)
		*best = each;
}

const char *size_name(size_t bytes)
{
	static char name[16];

	if (bytes >= 1024 * MIB && bytes % (1024 * MIB) == 0)
		snprintf(name, sizeof(name), "%zuG", bytes / 1024 / MIB);
	else if (bytes >= MIB || !bytes)
		snprintf(name, sizeof(name), "%zuM", bytes / MIB);
	else
		snprintf(name, sizeof(name), "%zuK", bytes / KIB);
	return name;
}

void row_of(const char *name, const char *peer, const char *param, double value,
	    const char *unit)
{
	printf("row\t%s\t%s\t%s\t%.2f\t%s\n", name, peer ? peer : "-", param,
	       value, unit);
	fflush(stdout);
}

/* What takes time, or where they are counted, instructions. */
void row(const struct bench *b, const char *name, const char *peer,
	 const char *param, double value, const char *per)
{
	char unit[32];

	snprintf(unit, sizeof(unit), "%s%s%s", b->counted ? "insn" : "ns",
		 *per ? "/" : "", per);
	row_of(name, peer, param, value, unit);
}

int absent(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "bench: without %s: %s\n", what, why);
	return ABSENT;
}
