/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benchmark's files share. A measure finds what it needs, goes its
 * rounds, and writes rows; a peer is what a program would take instead.
 */
#ifndef PINDROP_BENCH_H
#define PINDROP_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpindrop.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define HUGE_PAGE (2 * MIB)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Beside 0 and negative errno values: the machine lacks it, which was said. */
#define ABSENT 1

/**
 * struct counter - one of a device's
 * @fd: its file
 * @others: what others had before
 */
struct counter {
	int fd;
	long long others;
};

/**
 * struct device - one of pindrop's, or its node is empty
 * @node: its path
 * @name: on its bus
 * @bytes: of memory
 * @pinned: of pinned pages
 */
struct device {
	char node[PINDROP_NODE_MAX];
	char name[32];
	struct counter bytes;
	struct counter pinned;
};

/**
 * struct bench - the machine, and how much of it is wanted
 * @sim: of the engine in software, that reaches memory by itself; without it,
 *	any
 * @edu: a card
 * @behind_iommu: @edu is behind one
 * @quick: only what has a goal, and fewer rounds
 * @rounds: of each figure, of which the best is taken
 * @counted: a nanosecond is an instruction
 */
struct bench {
	struct device sim;
	struct device edu;
	bool behind_iommu;
	bool quick;
	bool counted;
	int rounds;
};

/**
 * enum pages - what memory is made of
 * @PAGES_4K: single pages, neighbours in memory as far as can be had
 * @PAGES_HUGE: transparent huge pages
 * @PAGES_HUGETLB: huge pages that were set aside
 * @PAGES_SCATTERED: single pages of which no two are neighbours
 */
enum pages {
	PAGES_4K,
	PAGES_HUGE,
	PAGES_HUGETLB,
	PAGES_SCATTERED
};

/**
 * struct memory - memory of a program's own
 * @at: where it begins, aligned to a huge page
 * @bytes: its size
 * @base: what was mapped for it
 * @length: ... and of what length
 */
struct memory {
	char *at;
	size_t bytes;
	void *base;
	size_t length;
};

/**
 * struct held - memory from a source
 * @dev: which device's it is, if a device's
 * @bytes: how much
 * @at: where it is mapped
 * @buf: pindrop's
 * @fd: the descriptor to be mapped
 * @memfd: what is behind that, or -1
 */
struct held {
	const struct device *dev;
	size_t bytes;
	char *at;
	struct pindrop_buf *buf;
	int fd;
	int memfd;
};

/**
 * struct source - where a program may get memory for devices from
 * @peer: its name, or NULL: pindrop
 * @pages: how it is mapped
 * @get: take @bytes; ABSENT if there is no such source. NULL: comes with @map
 * @map: where the program sees it
 * @put: unmap and give back
 */
struct source {
	const char *peer;
	enum pages pages;
	int (*get)(struct held *held);
	int (*map)(struct held *held);
	void (*put)(struct held *held);
};

extern const struct source source_pindrop_4k;
extern const struct source source_pindrop_huge;
extern const struct source source_heap;
extern const struct source source_udmabuf;
extern const struct source source_anon_4k;
extern const struct source source_anon_huge;

/**
 * struct pins - an open way to pin memory
 * @dev: pindrop's
 * @device: ... and its counters
 * @buf: what is pinned
 * @ring: io_uring's, or NULL
 * @fd: of what else is open
 * @group: vfio's
 * @bytes: what is mapped there
 */
struct pins {
	struct pindrop *dev;
	const struct device *device;
	struct pindrop_buf *buf;
	struct io_uring *ring;
	int fd;
	int group;
	size_t bytes;
};

/**
 * struct pinner - how a program may have its memory pinned
 * @peer: its name, or NULL: pindrop
 * @open: what is done once; ABSENT if there is no such way
 * @pin: pin it
 * @unpin: ... and let it go
 * @close: undo @open
 */
struct pinner {
	const char *peer;
	int (*open)(const struct device *device, struct pins *pins);
	int (*pin)(struct pins *pins, const struct memory *memory);
	int (*unpin)(struct pins *pins);
	void (*close)(struct pins *pins);
};

extern const struct pinner pinner_pindrop;
extern const struct pinner pinner_uring;
extern const struct pinner pinner_vfio;

/* machine.c */
int machine_find(struct bench *b);
void wait_until_ours_is_gone(const struct counter *counter);
int write_file(const char *path, const char *text);
int rounds_of(const struct bench *b, size_t bytes);

/* memory.c */
extern const char *const pages_names[];
int memory_get(struct memory *memory, size_t bytes, enum pages pages);
void memory_put(struct memory *memory);
void touch(char *at, size_t bytes);

/* row.c */
uint64_t now(void);
void keep_best(double *best, uint64_t ns, double count);
const char *size_name(size_t bytes);
void row(const struct bench *b, const char *name, const char *peer,
	 const char *param, double value, const char *per);
void row_of(const char *name, const char *peer, const char *param, double value,
	    const char *unit);
int absent(const char *what, const char *why);

/* The measures; 0, ABSENT or a negative errno value. */
int measure_map(const struct bench *b);
int measure_pin(const struct bench *b);
int measure_iommu(const struct bench *b);
int measure_nop(const struct bench *b);
int measure_death(const struct bench *b);
int measure_bystander(const struct bench *b);
int measure_growth(const struct bench *b);
int measure_jobs(const struct bench *b);
int measure_footprint(const struct bench *b);
int measure_copy(const struct bench *b);
int measure_both(const struct bench *b);
int measure_idle(const struct bench *b);
int measure_irqsoff(const struct bench *b);

/* nop.c */
int ring_nops(const struct bench *b, uint32_t flags, unsigned int batch,
	      unsigned int count, uint64_t *ns);

/* footprint.c */
long long free_memory(void);

/* peer_uring.c */
int uring_nops(bool polled, unsigned int batch, unsigned int count,
	       uint64_t *ns);

#endif /* PINDROP_BENCH_H */
