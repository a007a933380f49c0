/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every structure of the interface, in literal numbers: S(structure, size),
 * and for each of its fields in order F(structure, field, offset, size).
 * The Makefile compiles this file for 64 and, where it can, for 32 bits; what
 * agrees with the same numbers is equal.
 */
#ifndef ABI_LAYOUT_H
#define ABI_LAYOUT_H

#include <linux/pindrop.h>
#include <stddef.h>

#define ABI_LAYOUT(S, F)                              \
	S(pindrop_info, 144)                          \
	F(pindrop_info, size, 0, 4)                   \
	F(pindrop_info, flags, 4, 4)                  \
	F(pindrop_info, out_verbs, 8, 8)              \
	F(pindrop_info, out_caps, 16, 8)              \
	F(pindrop_info, out_iommu, 24, 4)             \
	F(pindrop_info, out_channels, 28, 4)          \
	F(pindrop_info, out_align, 32, 4)             \
	F(pindrop_info, out_depth, 36, 4)             \
	F(pindrop_info, out_max_piece, 40, 8)         \
	F(pindrop_info, out_piece_ms, 48, 4)          \
	F(pindrop_info, out_dma_bits, 52, 4)          \
	F(pindrop_info, out_devmem, 56, 8)            \
	F(pindrop_info, out_max_alloc, 64, 8)         \
	F(pindrop_info, out_max_jobs, 72, 4)          \
	F(pindrop_info, out_max_queued, 76, 4)        \
	F(pindrop_info, out_max_handles, 80, 4)       \
	F(pindrop_info, out_pin_align, 84, 4)         \
	F(pindrop_info, out_engine, 88, 16)           \
	F(pindrop_info, out_device, 104, 32)          \
	F(pindrop_info, out_max_ring, 136, 4)         \
	F(pindrop_info, out_max_cq, 140, 4)           \
	S(pindrop_alloc, 32)                          \
	F(pindrop_alloc, size, 0, 4)                  \
	F(pindrop_alloc, flags, 4, 4)                 \
	F(pindrop_alloc, length, 8, 8)                \
	F(pindrop_alloc, out_offset, 16, 8)           \
	F(pindrop_alloc, out_handle, 24, 4)           \
	F(pindrop_alloc, reserved, 28, 4)             \
	S(pindrop_pin, 32)                            \
	F(pindrop_pin, size, 0, 4)                    \
	F(pindrop_pin, flags, 4, 4)                   \
	F(pindrop_pin, address, 8, 8)                 \
	F(pindrop_pin, length, 16, 8)                 \
	F(pindrop_pin, out_handle, 24, 4)             \
	F(pindrop_pin, reserved, 28, 4)               \
	S(pindrop_import, 24)                         \
	F(pindrop_import, size, 0, 4)                 \
	F(pindrop_import, flags, 4, 4)                \
	F(pindrop_import, fd, 8, 4)                   \
	F(pindrop_import, out_handle, 12, 4)          \
	F(pindrop_import, out_length, 16, 8)          \
	S(pindrop_export, 16)                         \
	F(pindrop_export, size, 0, 4)                 \
	F(pindrop_export, flags, 4, 4)                \
	F(pindrop_export, handle, 8, 4)               \
	F(pindrop_export, out_fd, 12, 4)              \
	S(pindrop_free, 8)                            \
	F(pindrop_free, size, 0, 4)                   \
	F(pindrop_free, handle, 4, 4)                 \
	S(pindrop_sync, 32)                           \
	F(pindrop_sync, size, 0, 4)                   \
	F(pindrop_sync, flags, 4, 4)                  \
	F(pindrop_sync, handle, 8, 4)                 \
	F(pindrop_sync, reserved, 12, 4)              \
	F(pindrop_sync, offset, 16, 8)                \
	F(pindrop_sync, length, 24, 8)                \
	S(pindrop_job_desc, 48)                       \
	F(pindrop_job_desc, op, 0, 4)                 \
	F(pindrop_job_desc, flags, 4, 4)              \
	F(pindrop_job_desc, src, 8, 4)                \
	F(pindrop_job_desc, dst, 12, 4)               \
	F(pindrop_job_desc, src_offset, 16, 8)        \
	F(pindrop_job_desc, dst_offset, 24, 8)        \
	F(pindrop_job_desc, length, 32, 8)            \
	F(pindrop_job_desc, user_data, 40, 8)         \
	S(pindrop_submit, 56)                         \
	F(pindrop_submit, size, 0, 4)                 \
	F(pindrop_submit, flags, 4, 4)                \
	F(pindrop_submit, jobs, 8, 8)                 \
	F(pindrop_submit, count, 16, 4)               \
	F(pindrop_submit, channel, 20, 4)             \
	F(pindrop_submit, in_fence, 24, 4)            \
	F(pindrop_submit, eventfd, 28, 4)             \
	F(pindrop_submit, out_fence, 32, 4)           \
	F(pindrop_submit, out_error_index, 36, 4)     \
	F(pindrop_submit, out_first, 40, 8)           \
	F(pindrop_submit, out_last, 48, 8)            \
	S(pindrop_wait, 56)                           \
	F(pindrop_wait, size, 0, 4)                   \
	F(pindrop_wait, flags, 4, 4)                  \
	F(pindrop_wait, ticket, 8, 8)                 \
	F(pindrop_wait, first, 16, 8)                 \
	F(pindrop_wait, timeout_ns, 24, 8)            \
	F(pindrop_wait, out_ticket, 32, 8)            \
	F(pindrop_wait, out_result, 40, 4)            \
	F(pindrop_wait, out_state, 44, 4)             \
	F(pindrop_wait, out_failed, 48, 8)            \
	S(pindrop_cqe, 16)                            \
	F(pindrop_cqe, user_data, 0, 8)               \
	F(pindrop_cqe, result, 8, 4)                  \
	F(pindrop_cqe, flags, 12, 4)                  \
	S(pindrop_sqe, 64)                            \
	F(pindrop_sqe, job, 0, 48)                    \
	F(pindrop_sqe, reserved, 48, 16)              \
	S(pindrop_ring_header, 256)                   \
	F(pindrop_ring_header, sq_tail, 0, 4)         \
	F(pindrop_ring_header, sq_reserved, 4, 60)    \
	F(pindrop_ring_header, sq_head, 64, 4)        \
	F(pindrop_ring_header, sq_flags, 68, 4)       \
	F(pindrop_ring_header, sq_dropped, 72, 4)     \
	F(pindrop_ring_header, sq_reserved2, 76, 52)  \
	F(pindrop_ring_header, cq_tail, 128, 4)       \
	F(pindrop_ring_header, cq_flags, 132, 4)      \
	F(pindrop_ring_header, cq_overflow, 136, 4)   \
	F(pindrop_ring_header, cq_reserved, 140, 52)  \
	F(pindrop_ring_header, cq_head, 192, 4)       \
	F(pindrop_ring_header, cq_reserved2, 196, 60) \
	S(pindrop_ring_setup, 64)                     \
	F(pindrop_ring_setup, size, 0, 4)             \
	F(pindrop_ring_setup, flags, 4, 4)            \
	F(pindrop_ring_setup, entries, 8, 4)          \
	F(pindrop_ring_setup, cq_entries, 12, 4)      \
	F(pindrop_ring_setup, channel, 16, 4)         \
	F(pindrop_ring_setup, cpu, 20, 4)             \
	F(pindrop_ring_setup, idle_us, 24, 4)         \
	F(pindrop_ring_setup, eventfd, 28, 4)         \
	F(pindrop_ring_setup, out_offset, 32, 8)      \
	F(pindrop_ring_setup, out_length, 40, 8)      \
	F(pindrop_ring_setup, out_cq_entries, 48, 4)  \
	F(pindrop_ring_setup, out_sqes, 52, 4)        \
	F(pindrop_ring_setup, out_cqes, 56, 4)        \
	F(pindrop_ring_setup, reserved, 60, 4)        \
	S(pindrop_ring_enter, 24)                     \
	F(pindrop_ring_enter, size, 0, 4)             \
	F(pindrop_ring_enter, flags, 4, 4)            \
	F(pindrop_ring_enter, to_submit, 8, 4)        \
	F(pindrop_ring_enter, min_complete, 12, 4)    \
	F(pindrop_ring_enter, timeout_ns, 16, 8)      \
	S(pindrop_window, 56)                         \
	F(pindrop_window, state, 0, 4)                \
	F(pindrop_window, reason, 4, 4)               \
	F(pindrop_window, ticket, 8, 8)               \
	F(pindrop_window, submitted, 16, 8)           \
	F(pindrop_window, jobs_done, 24, 8)           \
	F(pindrop_window, jobs_failed, 32, 8)         \
	F(pindrop_window, jobs_cancelled, 40, 8)      \
	F(pindrop_window, buffers, 48, 8)

#define ABI_ASSERT_SIZE(type, size)                                    \
	_Static_assert(sizeof(struct type) == (size), #type);
#define ABI_ASSERT_FIELD(type, field, offset, size)                    \
	_Static_assert(offsetof(struct type, field) == (offset) &&     \
		       sizeof(((struct type *)0)->field) == (size),    \
		       #type "." #field);

ABI_LAYOUT(ABI_ASSERT_SIZE, ABI_ASSERT_FIELD)

_Static_assert(PINDROP_IOC_INFO == 0xbd00, "INFO");
_Static_assert(PINDROP_IOC_ALLOC == 0xbd01, "ALLOC");
_Static_assert(PINDROP_IOC_PIN == 0xbd02, "PIN");
_Static_assert(PINDROP_IOC_IMPORT == 0xbd03, "IMPORT");
_Static_assert(PINDROP_IOC_EXPORT == 0xbd04, "EXPORT");
_Static_assert(PINDROP_IOC_FREE == 0xbd05, "FREE");
_Static_assert(PINDROP_IOC_SYNC == 0xbd06, "SYNC");
_Static_assert(PINDROP_IOC_SUBMIT == 0xbd07, "SUBMIT");
_Static_assert(PINDROP_IOC_WAIT == 0xbd08, "WAIT");
_Static_assert(PINDROP_IOC_RING_SETUP == 0xbd09, "RING_SETUP");
_Static_assert(PINDROP_IOC_RING_ENTER == 0xbd0a, "RING_ENTER");

#endif
