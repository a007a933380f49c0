/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs, as a table: ioctl_abi makes the same tests for each of them.
 * Each has an entry in ioctl_verbs and a function that fills in good arguments.
 */
#ifndef IOCTL_TABLE_H
#define IOCTL_TABLE_H

#include <linux/pindrop.h>
#include <stdbool.h>
#include <stddef.h>

/* V(verb, VERB) */
#define IOCTL_BUILT(V)            \
	V(info, INFO)             \
	V(alloc, ALLOC)           \
	V(pin, PIN)               \
	V(import, IMPORT)         \
	V(export, EXPORT)         \
	V(free, FREE)             \
	V(sync, SYNC)             \
	V(submit, SUBMIT)         \
	V(wait, WAIT)             \
	V(ring_setup, RING_SETUP) \
	V(ring_enter, RING_ENTER)

union ioctl_args {
	__u32 size;
	struct pindrop_info info;
	struct pindrop_alloc alloc;
	struct pindrop_pin pin;
	struct pindrop_import import;
	struct pindrop_export export;
	struct pindrop_free free;
	struct pindrop_sync sync;
	struct pindrop_submit submit;
	struct pindrop_wait wait;
	struct pindrop_ring_setup ring_setup;
	struct pindrop_ring_enter ring_enter;
};

/* A field of a structure; the list of them ends with size 0. */
struct ioctl_field {
	__u16 offset;
	__u16 size;
};

/**
 * struct ioctl_verb - what the tests have to know of a verb
 * @nr: enum pindrop_verb
 * @size: of its structure
 * @min: up to the end of the last field that has to be given
 * @flags: offset of its flags, of which bit 30 is unknown; 0: has none
 * @owner: for the owner alone
 * @binds: makes an owner of the first who calls it
 * @ring: is for a context that has a ring
 * @dmabuf: needs good_dmabuf
 * @zero: fields that have to be zero on entry
 * @good: fills in arguments that succeed; @handle names a buffer of a page
 */
struct ioctl_verb {
	unsigned int nr;
	__u32 size;
	__u32 min;
	__u16 flags;
	bool owner;
	bool binds;
	bool ring;
	bool dmabuf;
	struct ioctl_field zero[24];
	void (*good)(union ioctl_args *args, __u32 handle);
};

#define IOCTL_SIZE(type, last)                                         \
	.size = sizeof(struct type),                                   \
	.min = offsetof(struct type, last) +                           \
	       sizeof(((struct type *)0)->last)
#define IOCTL_FIELD(type, field)                                       \
	{ offsetof(struct type, field), sizeof(((struct type *)0)->field) }

static void good_info(union ioctl_args *args, __u32 handle)
{
	(void)args;
	(void)handle;
}

static void good_alloc(union ioctl_args *args, __u32 handle)
{
	(void)handle;
	args->alloc.length = sysconf(_SC_PAGESIZE);
}

/* Its address is the same in a child. */
static unsigned char good_page[4096] __attribute__((aligned(4096)));

static void good_pin(union ioctl_args *args, __u32 handle)
{
	(void)handle;
	args->pin.flags = PINDROP_PIN_WRITE;
	args->pin.address = (unsigned long)good_page;
	args->pin.length = sizeof(good_page);
}

/* A descriptor of a dma-buf, the same in a child; whoever tests has put it here. */
static int good_dmabuf = -1;

static void good_import(union ioctl_args *args, __u32 handle)
{
	(void)handle;
	args->import.fd = good_dmabuf;
}

static void good_export(union ioctl_args *args, __u32 handle)
{
	args->export.handle = handle;
}

static void good_free(union ioctl_args *args, __u32 handle)
{
	args->free.handle = handle;
}

static void good_sync(union ioctl_args *args, __u32 handle)
{
	args->sync.handle = handle;
	args->sync.flags = PINDROP_SYNC_BEGIN | PINDROP_SYNC_READ;
	args->sync.length = sysconf(_SC_PAGESIZE);
}

static const struct pindrop_job_desc good_job = { .op = PINDROP_OP_NOP };

static void good_submit(union ioctl_args *args, __u32 handle)
{
	(void)handle;
	args->submit.jobs = (unsigned long)&good_job;
	args->submit.count = 1;
}

/* Ticket 0 is always over. */
static void good_wait(union ioctl_args *args, __u32 handle)
{
	(void)args;
	(void)handle;
}

static void good_ring_setup(union ioctl_args *args, __u32 handle)
{
	(void)handle;
	args->ring_setup.entries = 8;
}

/* There is nothing in it. */
static void good_ring_enter(union ioctl_args *args, __u32 handle)
{
	(void)handle;
	args->ring_enter.to_submit = 1;
}

static const struct ioctl_verb ioctl_verbs[PINDROP_VERB_NR] = {
	[PINDROP_VERB_INFO] = {
		.nr = PINDROP_VERB_INFO,
		IOCTL_SIZE(pindrop_info, flags),
		.flags = offsetof(struct pindrop_info, flags),
		.zero = {
			IOCTL_FIELD(pindrop_info, out_verbs),
			IOCTL_FIELD(pindrop_info, out_caps),
			IOCTL_FIELD(pindrop_info, out_iommu),
			IOCTL_FIELD(pindrop_info, out_channels),
			IOCTL_FIELD(pindrop_info, out_align),
			IOCTL_FIELD(pindrop_info, out_depth),
			IOCTL_FIELD(pindrop_info, out_max_piece),
			IOCTL_FIELD(pindrop_info, out_piece_ms),
			IOCTL_FIELD(pindrop_info, out_dma_bits),
			IOCTL_FIELD(pindrop_info, out_devmem),
			IOCTL_FIELD(pindrop_info, out_max_alloc),
			IOCTL_FIELD(pindrop_info, out_max_jobs),
			IOCTL_FIELD(pindrop_info, out_max_queued),
			IOCTL_FIELD(pindrop_info, out_max_handles),
			IOCTL_FIELD(pindrop_info, out_pin_align),
			IOCTL_FIELD(pindrop_info, out_engine),
			IOCTL_FIELD(pindrop_info, out_device),
			IOCTL_FIELD(pindrop_info, out_max_ring),
			IOCTL_FIELD(pindrop_info, out_max_cq),
		},
		.good = good_info,
	},
	[PINDROP_VERB_ALLOC] = {
		.nr = PINDROP_VERB_ALLOC,
		IOCTL_SIZE(pindrop_alloc, reserved),
		.flags = offsetof(struct pindrop_alloc, flags),
		.owner = true,
		.binds = true,
		.zero = {
			IOCTL_FIELD(pindrop_alloc, out_offset),
			IOCTL_FIELD(pindrop_alloc, out_handle),
			IOCTL_FIELD(pindrop_alloc, reserved),
		},
		.good = good_alloc,
	},
	[PINDROP_VERB_PIN] = {
		.nr = PINDROP_VERB_PIN,
		IOCTL_SIZE(pindrop_pin, reserved),
		.flags = offsetof(struct pindrop_pin, flags),
		.owner = true,
		.binds = true,
		.zero = {
			IOCTL_FIELD(pindrop_pin, out_handle),
			IOCTL_FIELD(pindrop_pin, reserved),
		},
		.good = good_pin,
	},
	[PINDROP_VERB_IMPORT] = {
		.nr = PINDROP_VERB_IMPORT,
		IOCTL_SIZE(pindrop_import, out_length),
		.flags = offsetof(struct pindrop_import, flags),
		.owner = true,
		.binds = true,
		.dmabuf = true,
		.zero = {
			IOCTL_FIELD(pindrop_import, out_handle),
			IOCTL_FIELD(pindrop_import, out_length),
		},
		.good = good_import,
	},
	[PINDROP_VERB_EXPORT] = {
		.nr = PINDROP_VERB_EXPORT,
		IOCTL_SIZE(pindrop_export, out_fd),
		.flags = offsetof(struct pindrop_export, flags),
		.owner = true,
		.zero = {
			IOCTL_FIELD(pindrop_export, out_fd),
		},
		.good = good_export,
	},
	[PINDROP_VERB_FREE] = {
		.nr = PINDROP_VERB_FREE,
		IOCTL_SIZE(pindrop_free, handle),
		.owner = true,
		.good = good_free,
	},
	[PINDROP_VERB_SYNC] = {
		.nr = PINDROP_VERB_SYNC,
		IOCTL_SIZE(pindrop_sync, length),
		.flags = offsetof(struct pindrop_sync, flags),
		.owner = true,
		.zero = {
			IOCTL_FIELD(pindrop_sync, reserved),
		},
		.good = good_sync,
	},
	[PINDROP_VERB_SUBMIT] = {
		.nr = PINDROP_VERB_SUBMIT,
		IOCTL_SIZE(pindrop_submit, out_last),
		.flags = offsetof(struct pindrop_submit, flags),
		.owner = true,
		.binds = true,
		.zero = {
			IOCTL_FIELD(pindrop_submit, in_fence),
			IOCTL_FIELD(pindrop_submit, eventfd),
			IOCTL_FIELD(pindrop_submit, out_fence),
			IOCTL_FIELD(pindrop_submit, out_error_index),
			IOCTL_FIELD(pindrop_submit, out_first),
			IOCTL_FIELD(pindrop_submit, out_last),
		},
		.good = good_submit,
	},
	[PINDROP_VERB_WAIT] = {
		.nr = PINDROP_VERB_WAIT,
		IOCTL_SIZE(pindrop_wait, out_failed),
		.flags = offsetof(struct pindrop_wait, flags),
		.zero = {
			IOCTL_FIELD(pindrop_wait, out_ticket),
			IOCTL_FIELD(pindrop_wait, out_result),
			IOCTL_FIELD(pindrop_wait, out_state),
			IOCTL_FIELD(pindrop_wait, out_failed),
		},
		.good = good_wait,
	},
	[PINDROP_VERB_RING_SETUP] = {
		.nr = PINDROP_VERB_RING_SETUP,
		IOCTL_SIZE(pindrop_ring_setup, reserved),
		.flags = offsetof(struct pindrop_ring_setup, flags),
		.owner = true,
		.binds = true,
		.zero = {
			IOCTL_FIELD(pindrop_ring_setup, out_offset),
			IOCTL_FIELD(pindrop_ring_setup, out_length),
			IOCTL_FIELD(pindrop_ring_setup, out_cq_entries),
			IOCTL_FIELD(pindrop_ring_setup, out_sqes),
			IOCTL_FIELD(pindrop_ring_setup, out_cqes),
			IOCTL_FIELD(pindrop_ring_setup, reserved),
		},
		.good = good_ring_setup,
	},
	[PINDROP_VERB_RING_ENTER] = {
		.nr = PINDROP_VERB_RING_ENTER,
		IOCTL_SIZE(pindrop_ring_enter, timeout_ns),
		.flags = offsetof(struct pindrop_ring_enter, flags),
		.owner = true,
		.ring = true,
		.good = good_ring_enter,
	},
};

#endif
