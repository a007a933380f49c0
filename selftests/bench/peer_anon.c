// SPDX-License-Identifier: GPL-2.0-only
/* Anonymous memory: allocated as it is touched. */
#include "bench.h"

#include <errno.h>
#include <sys/mman.h>

/* With room to be aligned; what is not touched costs nothing. */
static int anon_map(struct held *held, int advice)
{
	char *base = mmap(NULL, held->bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (base == MAP_FAILED)
		return -errno;
	before = -(uintptr_t)base & (HUGE_PAGE - 1);
	if (before)
		munmap(base, before);
	if (before != HUGE_PAGE)
		munmap(base + before + held->bytes, HUGE_PAGE - before);
	held->at = base + before;
	madvise(held->at, held->bytes, advice);
	return 0;
}

static int anon_map_4k(struct held *held)
{
	return anon_map(held, MADV_NOHUGEPAGE);
}

static int anon_map_huge(struct held *held)
{
	return anon_map(held, MADV_HUGEPAGE);
}

static void anon_put(struct held *held)
{
	munmap(held->at, held->bytes);
}

const struct source source_anon_4k = {
	.peer = "anonymous",
	.pages = PAGES_4K,
	.map = anon_map_4k,
	.put = anon_put,
};

const struct source source_anon_huge = {
	.peer = "anonymous",
	.pages = PAGES_HUGE,
	.map = anon_map_huge,
	.put = anon_put,
};
