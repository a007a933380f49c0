// SPDX-License-Identifier: GPL-2.0-only
/* A program's own memory, of the pages that are wanted and not of others. */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const pages_names[] = { "4k", "huge", "hugetlb", "scattered" };

void touch(char *at, size_t bytes)
{
	char *end = at + bytes;

	for (; at < end; at += PAGE)
		*(volatile char *)at = 1;
}

/* How much of it the kernel made of huge pages. */
static size_t huge_bytes(const char *at)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	uintptr_t from, to, begin = 0, end = 0;
	size_t kib, found = 0;
	char line[512];

	if (!smaps)
		return 0;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2) {
			begin = from;
			end = to;
		} else if ((uintptr_t)at >= begin && (uintptr_t)at < end &&
			   sscanf(line, "AnonHugePages: %zu", &kib) == 1) {
			found = kib * KIB;
		}
	}
	fclose(smaps);
	return found;
}

static int memory_map(struct memory *memory, int flags)
{
	memory->base = mmap(NULL, memory->length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (memory->base == MAP_FAILED)
		return -errno;
	memory->at = (char *)(((uintptr_t)memory->base + HUGE_PAGE - 1) &
			      ~(HUGE_PAGE - 1));
	return 0;
}

/*
 * What was given back last is given out first, so the order of single pages
 * depends on what ran before. Huge pages that are split are in order.
 */
static void split(const struct memory *memory)
{
	char range[64];

	snprintf(range, sizeof(range), "%d,%p,%p", getpid(), memory->at,
		 memory->at + memory->bytes);
	write_file("/sys/kernel/debug/split_huge_pages", range);
	madvise(memory->base, memory->length, MADV_NOHUGEPAGE);
	touch(memory->at, memory->bytes);
}

/* No page is behind the one that was taken before it: a stride of primes. */
static void touch_scattered(const struct memory *memory)
{
	const size_t pages = memory->bytes / PAGE, stride = 7919;
	size_t i;

	for (i = 0; i < pages; i++)
		touch(memory->at + i * stride % pages * PAGE, PAGE);
}

static int memory_fill(struct memory *memory, enum pages pages)
{
	const bool single = pages == PAGES_4K || pages == PAGES_SCATTERED;

	if (pages == PAGES_SCATTERED) {
		madvise(memory->base, memory->length, MADV_NOHUGEPAGE);
		touch_scattered(memory);
	} else {
		madvise(memory->base, memory->length, MADV_HUGEPAGE);
		touch(memory->at, memory->bytes);
	}
	if (pages == PAGES_4K)
		split(memory);
	return huge_bytes(memory->at) == (single ? 0 : memory->bytes) ? 0 :
									-ENOMEM;
}

/* Touched. */
int memory_get(struct memory *memory, size_t bytes, enum pages pages)
{
	int err;

	memory->bytes = bytes;
	if (pages == PAGES_HUGETLB) {
		memory->length = bytes;
		err = memory_map(memory, MAP_HUGETLB);
		if (!err)
			touch(memory->at, bytes);
		return err;
	}
	memory->length = bytes + HUGE_PAGE;
	err = memory_map(memory, 0);
	if (err)
		return err;
	err = memory_fill(memory, pages);
	if (err)
		memory_put(memory);
	return err;
}

void memory_put(struct memory *memory)
{
	munmap(memory->base, memory->length);
}
