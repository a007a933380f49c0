// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure the frequency of this machine's time stamp counter, in kHz. A guest
 * under TCG sees the same counter.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define TRIES 64

/* A count and its time, from the shortest of several tries. */
static void look(uint64_t *count, uint64_t *ns)
{
	uint64_t best = UINT64_MAX, before, after;
	struct timespec now;
	int i;

	for (i = 0; i < TRIES; i++) {
		before = __rdtsc();
		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		after = __rdtsc();
		if (after - before >= best)
			continue;
		best = after - before;
		*count = before + best / 2;
		*ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	}
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 200000000 };
	uint64_t count[2], ns[2];

	look(&count[0], &ns[0]);
	nanosleep(&pause, NULL);
	look(&count[1], &ns[1]);
	printf("%.0f\n", (count[1] - count[0]) * 1e6 / (ns[1] - ns[0]));
	return 0;
}
