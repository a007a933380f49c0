/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs about pins share: memory of every kind, who counts pins,
 * and the device reading and writing through one. Functions return 0 or
 * -errno, where they say nothing else.
 */
#ifndef PIN_UTILS_H
#define PIN_UTILS_H

#include "pindrop_utils.h"

#define PIN_HUGE (2UL << 20)
/* Bytes of one copy: less than a piece, and than a page. */
#define PIN_COPY 256

/* Memory that pin_drop() knows how to give back. */
struct pin_mem {
	unsigned char *mem;
	size_t len;
	int file; /* that it is of, or -1 */
	long pool; /* huge pages that the system had before; -1: not asked */
};

#define PIN_NO_MEM ((struct pin_mem){ .file = -1, .pool = -1 })

/* A device, a file of it with a buffer, and what is pinned without a pin. */
struct pin_watch {
	struct pd_env env;
	int fd;
	struct pd_buf buf;
	long long in_system;
	long long of_mine;
};

/* The contents of a fixture's setup and teardown. */
#define PIN_SETUP(w)                 \
	do {                         \
		PD_SETUP(&(w)->env); \
		MUST(pin_watch(w));  \
	} while (0)
#define PIN_TEARDOWN(w)                            \
	do {                                       \
		pin_unwatch(w);                    \
		EXPECT_STREQ("", pin_count(w, 0)); \
		PD_TEARDOWN(&(w)->env);            \
	} while (0)

/* All who count pinned pages say so many; jobs are over that held some. */
#define EXPECT_PINNED(w, pages) EXPECT_STREQ("", pin_count(w, pages))

int pin_watch(struct pin_watch *w);
void pin_unwatch(struct pin_watch *w);
const char *pin_count(const struct pin_watch *w, long long pages);
long long pin_told_kib(const struct pin_watch *w);

int pin_anon(struct pin_mem *m, size_t len);
int pin_thp(struct pin_mem *m, size_t len);
int pin_hugetlb(struct pin_mem *m, size_t len);
int pin_memfd(struct pin_mem *m, size_t len);
int pin_shmem(struct pin_mem *m, size_t len);
int pin_file(struct pin_mem *m, size_t len);
int pin_device(struct pin_mem *m, size_t len);
void pin_drop(struct pin_mem *m);
bool pin_is_thp(const void *mem);
long long pin_kpageflags(const void *mem);

int pin_out(const struct pin_watch *w, const struct pd_buf *pin, size_t at,
	    size_t len);
int pin_in(const struct pin_watch *w, const struct pd_buf *pin, size_t at,
	   size_t len, unsigned int seed);

#endif
