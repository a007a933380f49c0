/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * pindrop: DMA memory and DMA jobs for user space.
 *
 * This header is the whole interface between programs and the driver. Every
 * structure starts with its own size in bytes. A program fills @size with the
 * sizeof() it was built with; fields that only a newer kernel knows may be
 * left out at the end (they count as zero), fields that only a newer program
 * knows must be zero (-E2BIG otherwise). Fields named out_* are written by
 * the kernel, and must be zero on entry like every field called reserved.
 *
 * No pointer, physical address or bus address is ever given to user space.
 */
#ifndef _UAPI_LINUX_PINDROP_H
#define _UAPI_LINUX_PINDROP_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: owner
 *
 * The owner of a context (one open file) is an address space. The first
 * address space to call ALLOC, PIN, IMPORT, SUBMIT or RING_SETUP on the file
 * is bound to it for the life of the file; INFO, WAIT, poll() and the status
 * window bind nothing and may be used by whoever holds the file. When the
 * owner's address space ends (exit, exec, kill), the hardware is quiet before
 * the first of its pages goes back.
 */

/**
 * DOC: errno
 *
 * Every verb may answer the errors listed here; the error alone tells the
 * reason, and after an error nothing was done unless the verb says otherwise.
 *
 * - EFAULT: a structure, or the array it points to, cannot be read or written.
 * - EINVAL: @size is below the mandatory part of the structure; a reserved or
 *   out_ field is not zero; a length is zero or misaligned; an offset plus a
 *   length exceeds 2^64.
 * - E2BIG: the part of the structure that this kernel does not know is not 0,
 *   or @size is above the page size.
 * - EOPNOTSUPP: an unknown or unsupported flag or operation; the engine cannot.
 * - ENOTTY: unknown verb, or one that this kernel does not have (INFO tells).
 * - EPERM: the caller is not the owner.
 * - EOWNERDEAD: the owner's address space is gone, or is going.
 * - ENODEV: the device is gone, and with it all handles. INFO and WAIT still
 *   work, buffers may be unmapped.
 * - ENOENT: no such handle in this context.
 * - ERANGE: beyond the end of the buffer or of the device's memory.
 * - ENOMEM: no memory, or none that the device can reach; pinning more than
 *	RLIMIT_MEMLOCK allows.
 * - EACCES: a job would write memory that is pinned, or was given away, for
 *   reading only.
 * - EDQUOT: a limit of the context (see INFO), of its user, or of a creator of the
 *   user's namespaces: 4,096 open files (open() fails), 65,536 unfinished jobs,
 *   buffers of half of the machine's memory, 64 MiB of COHERENT ones, half of the
 *   bounce pool; or of a device: three quarters of the pool. See pindrop(4).
 * - EBUSY: the device's own memory is leased to another context; the context
 *   has a ring already, or a ring is full of what was not read.
 * - EIO: the device failed or hung; in WAIT's out_result: it failed the job.
 *	From open(): all of its channels hang.
 * - ECANCELED: in WAIT's out_result only: cancelled with its context.
 * - ESTALE: pinned memory is not what the program has there any more; imported
 *   memory was taken back by its exporter. In WAIT's out_result: meanwhile.
 * - EBADF: no such descriptor. EMFILE, ENFILE: no room for another one.
 * - EINTR: interrupted; calling again with the same arguments is right.
 */

#define PINDROP_IOC_TYPE 0xBD

/* Verb numbers are never reused. */
enum pindrop_verb {
	PINDROP_VERB_INFO = 0x00,
	PINDROP_VERB_ALLOC = 0x01,
	PINDROP_VERB_PIN = 0x02,
	PINDROP_VERB_IMPORT = 0x03,
	PINDROP_VERB_EXPORT = 0x04,
	PINDROP_VERB_FREE = 0x05,
	PINDROP_VERB_SYNC = 0x06,
	PINDROP_VERB_SUBMIT = 0x07,
	PINDROP_VERB_WAIT = 0x08,
	PINDROP_VERB_RING_SETUP = 0x09,
	PINDROP_VERB_RING_ENTER = 0x0a,
	PINDROP_VERB_NR
};

/**
 * enum pindrop_cap - what engine, machine and kernel can do (INFO's out_caps)
 * @PINDROP_CAP_MEM_TO_MEM: copies between buffers
 * @PINDROP_CAP_MEM_TO_DEV: copies from a buffer to the device's own memory
 * @PINDROP_CAP_DEV_TO_MEM: copies from the device's own memory to a buffer
 * @PINDROP_CAP_CACHE_COHERENT: SYNC does nothing on this machine
 * @PINDROP_CAP_ALLOC_CONTIG: ALLOC knows PINDROP_ALLOC_CONTIG
 * @PINDROP_CAP_ALLOC_COHERENT: ALLOC knows PINDROP_ALLOC_COHERENT
 * @PINDROP_CAP_ALLOC_HUGE: ALLOC knows PINDROP_ALLOC_HUGE
 * @PINDROP_CAP_SUBMIT_FENCE: SUBMIT knows enum pindrop_submit_flags; a kernel
 *	that is built without CONFIG_SYNC_FILE, as those for virtual machines often
 *	are, has no fences to take or to give
 */
enum pindrop_cap {
	PINDROP_CAP_MEM_TO_MEM = 1 << 0,
	PINDROP_CAP_MEM_TO_DEV = 1 << 1,
	PINDROP_CAP_DEV_TO_MEM = 1 << 2,
	PINDROP_CAP_CACHE_COHERENT = 1 << 3,
	PINDROP_CAP_ALLOC_CONTIG = 1 << 4,
	PINDROP_CAP_ALLOC_COHERENT = 1 << 5,
	PINDROP_CAP_ALLOC_HUGE = 1 << 6,
	PINDROP_CAP_SUBMIT_FENCE = 1 << 7
};

/**
 * enum pindrop_iommu - what stands between the device and memory
 * @PINDROP_IOMMU_NONE: nothing: bus addresses are physical, or bounced
 * @PINDROP_IOMMU_STRICT: an unmapped address is refused at once
 * @PINDROP_IOMMU_LAZY: an unmapped address may stay reachable for a while
 * @PINDROP_IOMMU_IDENTITY: an IOMMU that lets everything through
 */
enum pindrop_iommu {
	PINDROP_IOMMU_NONE = 0,
	PINDROP_IOMMU_STRICT = 1,
	PINDROP_IOMMU_LAZY = 2,
	PINDROP_IOMMU_IDENTITY = 3
};

/**
 * struct pindrop_info - PINDROP_IOC_INFO: what the device is and can do
 * @size: sizeof(struct pindrop_info); less is allowed, down to 8
 * @flags: must be 0
 * @out_verbs: bit n is set if verb n is there
 * @out_caps: enum pindrop_cap
 * @out_iommu: enum pindrop_iommu
 * @out_channels: hardware queues; SUBMIT's channel is below this
 * @out_align: offsets and lengths of a copy are multiples of this (bytes)
 * @out_depth: pieces that one channel works on at a time
 * @out_max_piece: bytes that the hardware copies in one go; longer jobs are
 *	cut into pieces, and contexts take turns piece by piece
 * @out_piece_ms: what one piece takes at most, in milliseconds
 * @out_dma_bits: address bits that the device drives
 * @out_devmem: bytes of the device's own memory that jobs may name; 0: none
 * @out_max_alloc: largest ALLOC in bytes
 * @out_max_jobs: most jobs in one SUBMIT
 * @out_max_queued: most unfinished jobs of one context
 * @out_max_handles: most handles of one context
 * @out_pin_align: PIN's address and length are multiples of this (bytes)
 * @out_engine: name of the engine, ends in 0
 * @out_device: name of the device on its bus, ends in 0
 * @out_max_ring: most entries of a submission ring
 * @out_max_cq: most entries of a completion ring
 *
 * Works without an owner and after the device is gone.
 */
struct pindrop_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 out_verbs;
	__aligned_u64 out_caps;
	__u32 out_iommu;
	__u32 out_channels;
	__u32 out_align;
	__u32 out_depth;
	__aligned_u64 out_max_piece;
	__u32 out_piece_ms;
	__u32 out_dma_bits;
	__aligned_u64 out_devmem;
	__aligned_u64 out_max_alloc;
	__u32 out_max_jobs;
	__u32 out_max_queued;
	__u32 out_max_handles;
	__u32 out_pin_align;
	char out_engine[16];
	char out_device[32];
	__u32 out_max_ring;
	__u32 out_max_cq;
};

#define PINDROP_IOC_INFO _IO(PINDROP_IOC_TYPE, PINDROP_VERB_INFO)

/**
 * enum pindrop_alloc_flags - ALLOC's flags
 * @PINDROP_ALLOC_CONTIG: one range on the device's bus, or -ENOMEM
 * @PINDROP_ALLOC_COHERENT: needs no SYNC on any machine; no O_DIRECT on it
 * @PINDROP_ALLOC_HUGE: mapped in 2 MiB entries; no O_DIRECT on it; not
 *	together with PINDROP_ALLOC_COHERENT
 */
enum pindrop_alloc_flags {
	PINDROP_ALLOC_CONTIG = 1 << 0,
	PINDROP_ALLOC_COHERENT = 1 << 1,
	PINDROP_ALLOC_HUGE = 1 << 2
};

/**
 * struct pindrop_alloc - PINDROP_IOC_ALLOC: memory for the device, zeroed
 * @size: sizeof(struct pindrop_alloc)
 * @flags: enum pindrop_alloc_flags
 * @length: bytes, a multiple of the page size, with PINDROP_ALLOC_HUGE of
 *	2 MiB; not above INFO's out_max_alloc (-ENOMEM)
 * @out_offset: where mmap() of the file finds it; unique on the device while
 *	the memory lives
 * @out_handle: its name in this context, never 0; given out in turn
 * @reserved: must be 0
 *
 * Binds the context. Errors: EINVAL (length), EOPNOTSUPP (flag; the device
 * takes less than a page at a time), ENOMEM, EDQUOT (handles, bytes), EPERM,
 * EOWNERDEAD, ENODEV, EINTR (a signal while binding).
 *
 * mmap(out_offset) takes MAP_SHARED only (-EINVAL) and no PROT_EXEC
 * (-EACCES), by the owner only (-EPERM, after its death -EOWNERDEAD), within
 * the buffer (-EINVAL). A mapping cannot grow (mremap: -EFAULT); it survives
 * FREE, close() and fork(), and the memory lives until it is gone. When the
 * device goes, touching it raises SIGBUS.
 */
struct pindrop_alloc {
	__u32 size;
	__u32 flags;
	__aligned_u64 length;
	__aligned_u64 out_offset;
	__u32 out_handle;
	__u32 reserved;
};

#define PINDROP_IOC_ALLOC _IO(PINDROP_IOC_TYPE, PINDROP_VERB_ALLOC)

/**
 * enum pindrop_pin_flags - PIN's flags
 * @PINDROP_PIN_WRITE: jobs may write the memory, which needs PROT_WRITE
 */
enum pindrop_pin_flags {
	PINDROP_PIN_WRITE = 1 << 0
};

/**
 * struct pindrop_pin - PINDROP_IOC_PIN: the program's own memory for jobs
 * @size: sizeof(struct pindrop_pin)
 * @flags: enum pindrop_pin_flags
 * @address: where it begins
 * @length: bytes, not 0; both are multiples of INFO's out_pin_align
 * @out_handle: its name in this context, as ALLOC's
 * @reserved: must be 0
 *
 * Binds the context. Anonymous, shared and huge memory, buffers of ALLOC
 * without PINDROP_ALLOC_HUGE and PINDROP_ALLOC_COHERENT, and of files what the
 * kernel lets be pinned for long. The pages stay in memory, and count against
 * RLIMIT_MEMLOCK, page by page and pin by pin, until FREE and the end of all
 * jobs with them. Nothing is lost if a job or FREE comes when the memory is
 * unmapped: but what the program maps there instead is not what was pinned. A
 * SUBMIT that names a pin whose range holds other pages by then, or none, is
 * -ESTALE, from then on. That SUBMIT looks the range up as if the program read
 * it, and may wait for a userfaultfd's handler, killably. PINDROP_DEVMEM
 * apart, all that takes a handle of ALLOC takes one of PIN.
 *
 * Errors: EINVAL (length, alignment, overflow), EOPNOTSUPP (flag; the device
 * reaches some of it not even by way of a bounce buffer), EFAULT (not mapped,
 * not with that access, or nothing that may be pinned), ENOMEM, EDQUOT
 * (handles), EPERM, EOWNERDEAD, ENODEV, EINTR (killed, or a signal while
 * binding).
 */
struct pindrop_pin {
	__u32 size;
	__u32 flags;
	__aligned_u64 address;
	__aligned_u64 length;
	__u32 out_handle;
	__u32 reserved;
};

#define PINDROP_IOC_PIN _IO(PINDROP_IOC_TYPE, PINDROP_VERB_PIN)

/**
 * struct pindrop_import - PINDROP_IOC_IMPORT: somebody else's dma-buf for jobs
 * @size: sizeof(struct pindrop_import)
 * @flags: must be 0 (-EOPNOTSUPP)
 * @fd: descriptor of the dma-buf; it may be closed afterwards
 * @out_handle: its name in this context, as ALLOC's
 * @out_length: bytes
 *
 * Binds the context. The memory is mapped for the device, and held, until FREE
 * and the end of all jobs with it; its size counts for the user as ALLOC's does.
 * Jobs may write it if the descriptor was opened for writing (else -EACCES).
 * Programs map the dma-buf itself, there is no offset for it here. SYNC is of all
 * of it, and what DMA_BUF_IOCTL_SYNC does: its beginning waits for others'
 * jobs, and may be interrupted. EXPORT of it is a descriptor of the same dma-buf.
 *
 * Jobs of a SUBMIT wait for what others do with the memory, as far as its
 * reservation object tells, and others wait for them; those of a ring do not.
 *
 * If the exporter takes the memory back, jobs with it end with -ESTALE, and new
 * ones are refused with that; it has it when the device cannot touch it any
 * more.
 *
 * Errors: EBADF, EINVAL (no dma-buf), EOPNOTSUPP (flag; the exporter does not
 * give it to this device, or as what it cannot use), ESTALE, ENOMEM, EDQUOT
 * (handles, bytes), EPERM, EOWNERDEAD, ENODEV, EINTR.
 */
struct pindrop_import {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 out_handle;
	__aligned_u64 out_length;
};

#define PINDROP_IOC_IMPORT _IO(PINDROP_IOC_TYPE, PINDROP_VERB_IMPORT)

/**
 * struct pindrop_export - PINDROP_IOC_EXPORT: a dma-buf of a buffer
 * @size: sizeof(struct pindrop_export)
 * @flags: must be 0 (-EOPNOTSUPP)
 * @handle: a buffer of this context
 * @out_fd: a new file descriptor, to be read and written, and closed by exec
 *
 * Whoever has the descriptor, in whatever process or driver, holds the memory:
 * it outlives FREE, this file, the owner and the device, and stays as it is
 * while they have it. It is charged to who allocated it. mmap() of the
 * descriptor takes MAP_SHARED only (-EINVAL), no PROT_EXEC (-EACCES, of newer
 * kernels -EPERM), and is for anybody; when the device goes, touching the
 * mapping raises SIGBUS, and mmap() is -ENODEV. What other devices have mapped
 * stays. DMA_BUF_IOCTL_SYNC is for CPU accesses as SYNC is, and any device's.
 * Jobs that are submitted later wait for others, and others for them, as for an
 * import.
 *
 * EOPNOTSUPP: what has PINDROP_ALLOC_COHERENT goes with the device, and pinned
 * memory is the owner's, who may put other pages in its place. Other errors:
 * EINVAL, ENOENT, ENOMEM, EMFILE, ENFILE, EPERM, EOWNERDEAD, ENODEV.
 */
struct pindrop_export {
	__u32 size;
	__u32 flags;
	__u32 handle;
	__s32 out_fd;
};

#define PINDROP_IOC_EXPORT _IO(PINDROP_IOC_TYPE, PINDROP_VERB_EXPORT)

/**
 * struct pindrop_free - PINDROP_IOC_FREE: drop a handle
 * @size: sizeof(struct pindrop_free)
 * @handle: what to drop
 *
 * The memory lives on while it is mapped, exported or a job uses it. Errors:
 * ENOENT, EPERM, EOWNERDEAD, ENODEV.
 */
struct pindrop_free {
	__u32 size;
	__u32 handle;
};

#define PINDROP_IOC_FREE _IO(PINDROP_IOC_TYPE, PINDROP_VERB_FREE)

/**
 * enum pindrop_sync_flags - SYNC's flags: exactly one of the first two
 * @PINDROP_SYNC_BEGIN: the CPU is about to access the range
 * @PINDROP_SYNC_END: the CPU is done with it
 * @PINDROP_SYNC_READ: the CPU reads (at least one of these two)
 * @PINDROP_SYNC_WRITE: the CPU writes
 */
enum pindrop_sync_flags {
	PINDROP_SYNC_BEGIN = 1 << 0,
	PINDROP_SYNC_END = 1 << 1,
	PINDROP_SYNC_READ = 1 << 2,
	PINDROP_SYNC_WRITE = 1 << 3
};

/**
 * struct pindrop_sync - PINDROP_IOC_SYNC: bracket CPU access to a buffer
 * @size: sizeof(struct pindrop_sync)
 * @flags: enum pindrop_sync_flags; any other combination is -EINVAL
 * @handle: a buffer of this context
 * @reserved: must be 0
 * @offset: first byte
 * @length: bytes, not 0
 *
 * Needed where the device does not see the CPU's caches, harmless elsewhere.
 * Jobs do their own syncing of the bytes they write, before they are reported
 * as finished. Errors: EINVAL, EOPNOTSUPP (flag), ENOENT, ERANGE, EPERM,
 * EOWNERDEAD, ENODEV.
 */
struct pindrop_sync {
	__u32 size;
	__u32 flags;
	__u32 handle;
	__u32 reserved;
	__aligned_u64 offset;
	__aligned_u64 length;
};

#define PINDROP_IOC_SYNC _IO(PINDROP_IOC_TYPE, PINDROP_VERB_SYNC)

/**
 * enum pindrop_op - what a job does
 * @PINDROP_OP_NOP: nothing; takes its turn in the queue and is completed
 * @PINDROP_OP_COPY: copies @length bytes from src to dst
 */
enum pindrop_op {
	PINDROP_OP_NOP = 0,
	PINDROP_OP_COPY = 1
};

/* In a job's src or dst: the device's own memory. */
#define PINDROP_DEVMEM 0xffffffffu

/**
 * struct pindrop_job_desc - one job, element of SUBMIT's array
 * @op: enum pindrop_op (-EOPNOTSUPP if unknown)
 * @flags: must be 0 (-EOPNOTSUPP)
 * @src: handle to read from, or PINDROP_DEVMEM
 * @dst: handle to write to, or PINDROP_DEVMEM
 * @src_offset: first byte in src
 * @dst_offset: first byte in dst
 * @length: bytes, not 0
 * @user_data: given back with the completion, never looked at
 *
 * In a NOP all fields but @op and @user_data are 0 (-EINVAL). PINDROP_DEVMEM
 * on both sides, or in a direction that INFO's out_caps does not have, is
 * -EOPNOTSUPP. Ranges that overlap in one handle are -EINVAL; that two handles
 * may name the same memory is the program's business. The device's
 * memory is leased to the context that first names it until that context
 * ends, and is zeroed before: -EBUSY for the others.
 */
struct pindrop_job_desc {
	__u32 op;
	__u32 flags;
	__u32 src;
	__u32 dst;
	__aligned_u64 src_offset;
	__aligned_u64 dst_offset;
	__aligned_u64 length;
	__aligned_u64 user_data;
};

/**
 * enum pindrop_submit_flags - SUBMIT's flags
 * @PINDROP_SUBMIT_IN_FENCE: the jobs wait for @in_fence
 * @PINDROP_SUBMIT_OUT_FENCE: @out_fence is made
 *
 * Without PINDROP_CAP_SUBMIT_FENCE each of them is -EOPNOTSUPP, and nothing is
 * bound or queued.
 */
enum pindrop_submit_flags {
	PINDROP_SUBMIT_IN_FENCE = 1 << 0,
	PINDROP_SUBMIT_OUT_FENCE = 1 << 1
};

/**
 * struct pindrop_submit - PINDROP_IOC_SUBMIT: queue jobs, all or none
 * @size: sizeof(struct pindrop_submit)
 * @flags: enum pindrop_submit_flags; others are -EOPNOTSUPP
 * @jobs: address of an array of struct pindrop_job_desc
 * @count: its elements, 1 (-EINVAL) to INFO's out_max_jobs (-EDQUOT)
 * @channel: below INFO's out_channels (-EINVAL)
 * @in_fence: for PINDROP_SUBMIT_IN_FENCE: a sync_file (-EBADF); else 0
 * @eventfd: reserved for an eventfd to signal; must be 0
 * @out_fence: for PINDROP_SUBMIT_OUT_FENCE: a new sync_file, close-on-exec; 0 on
 *	entry, and if SUBMIT fails
 * @out_error_index: element that was refused, when SUBMIT fails for one
 * @out_first: ticket of the first job
 * @out_last: ticket of the last one; tickets go up by 1 and are never reused
 *
 * Binds the context, even if a job is then refused. The jobs of one context
 * and channel run in order.
 *
 * With @in_fence none of the jobs begins, nor any that the context queues on
 * this channel later, before it is signalled; other contexts and channels do
 * not wait. It may be that of an earlier SUBMIT. If it is signalled with an
 * error, the jobs end with that error and do nothing. The jobs are
 * cancelled at once, like all that is queued, when their context ends.
 *
 * @out_fence is signalled when all jobs of this SUBMIT are over, in whatever
 * order SUBMITs end; with the error of the first of them that failed, if one
 * did: what WAIT tells in out_result. It may outlive the context and the
 * device, and be waited for by whoever has it (poll()). Every job ends in
 * bounded time once it has begun: one that the device does not finish with
 * -EIO, which says nothing of its memory.
 *
 * Errors:
 * EINVAL, EOPNOTSUPP, ENOENT, ERANGE, EACCES, ESTALE, EBUSY, EDQUOT, ENOMEM,
 * EPERM, EOWNERDEAD, ENODEV, EIO (the channel hangs; or, once, the device was reset
 * and what this context had stored in its memory is lost), EFAULT (nothing is
 * queued unless only the writing back failed, and then there is no @out_fence),
 * EBADF, EMFILE (no descriptor for @out_fence), EINTR. @out_error_index is
 * written back on errors too.
 */
struct pindrop_submit {
	__u32 size;
	__u32 flags;
	__aligned_u64 jobs;
	__u32 count;
	__u32 channel;
	__s32 in_fence;
	__s32 eventfd;
	__s32 out_fence;
	__u32 out_error_index;
	__aligned_u64 out_first;
	__aligned_u64 out_last;
};

#define PINDROP_IOC_SUBMIT _IO(PINDROP_IOC_TYPE, PINDROP_VERB_SUBMIT)

/**
 * struct pindrop_wait - PINDROP_IOC_WAIT: wait for a ticket
 * @size: sizeof(struct pindrop_wait)
 * @flags: must be 0 (-EOPNOTSUPP)
 * @ticket: wait until it and all before it are finished; one that was not
 *	given out yet is -EINVAL
 * @first: report the jobs from this ticket on; 0 means @ticket alone; above
 *	@ticket is -EINVAL
 * @timeout_ns: absolute CLOCK_MONOTONIC time; past or 0: do not wait;
 *	2^63 - 1 or more: for ever
 * @out_ticket: all up to here are finished
 * @out_result: 0, or the negative errno of the first job in @first to @ticket
 *	that failed (-EIO, -ECANCELED, -EOWNERDEAD, -ENODEV, -ESTALE; -ENODATA: a job
 *	from @first on failed, but its result is more than 8,192 tickets old and lost)
 * @out_state: enum pindrop_state of the context
 * @out_failed: ticket of that job, or 0
 *
 * Returns 0 when the jobs are finished, whatever their result; -ETIME at the
 * time-out (out_ticket and out_state are then valid); -EINTR never where the
 * call can be restarted. Works for whoever holds the file, after the owner's
 * death and on a device that is gone: every job is finished in bounded time.
 */
struct pindrop_wait {
	__u32 size;
	__u32 flags;
	__aligned_u64 ticket;
	__aligned_u64 first;
	__aligned_u64 timeout_ns;
	__aligned_u64 out_ticket;
	__s32 out_result;
	__u32 out_state;
	__aligned_u64 out_failed;
};

#define PINDROP_IOC_WAIT _IO(PINDROP_IOC_TYPE, PINDROP_VERB_WAIT)

/**
 * DOC: ring
 *
 * A context can have one pair of rings in memory that it shares with the
 * kernel: jobs go in and completions come out without a system call each. Each
 * side has one producer and one consumer and no lock; threads of one program
 * that share a side lock among themselves. All words are of the machine's byte
 * order, and indices run freely: the entry is at index & (entries - 1).
 *
 * To submit: fill entries from sq_tail on, at most entries ahead of sq_head
 * (read with acquire semantics: an entry before it was copied and is free),
 * store sq_tail with release semantics, then call RING_ENTER; with
 * PINDROP_RING_THREAD only if sq_flags, read behind a full barrier, has
 * PINDROP_SQ_NEED_WAKEUP. To complete: read cq_tail with acquire semantics,
 * look at the entries before it, store cq_head with release semantics.
 *
 * Every entry that is consumed has one completion, unless it is refused with
 * the same: what SUBMIT would answer is the result, and does not keep the
 * entries after it from being done. Jobs of a ring have tickets as those of SUBMIT,
 * WAIT waits for them, but poll() counts them by their completions. A
 * completion that finds no room is kept until there is some, and its job
 * counts for the user as unfinished until then; sq_tail that is
 * more than entries ahead of sq_head, or cq_head that is not within cq_entries
 * behind cq_tail, is waited out.
 */

/**
 * enum pindrop_sqe_flags - a ring's flags in pindrop_job_desc's @flags
 * @PINDROP_SQE_SRC_ADDR: @src_offset is an address in the owner's memory, and
 *	@src is 0
 * @PINDROP_SQE_DST_ADDR: @dst_offset is one, and @dst is 0
 *
 * The memory is the program's as it is when the entry is consumed: little of
 * it is copied then, more is pinned for the job, and counts against the
 * RLIMIT_MEMLOCK that held at RING_SETUP (-ENOMEM). Addresses and length are
 * multiples of INFO's out_pin_align (-EINVAL). What would fault is not for the
 * thread: PINDROP_SQ_NEED_ENTER. -EFAULT: there is no such memory.
 */
enum pindrop_sqe_flags {
	PINDROP_SQE_SRC_ADDR = 1 << 0,
	PINDROP_SQE_DST_ADDR = 1 << 1
};

/**
 * struct pindrop_sqe - submission entry: a job of 64 bytes
 * @job: what to do; as SUBMIT's, and enum pindrop_sqe_flags
 * @reserved: must be 0 (-EINVAL)
 */
struct pindrop_sqe {
	struct pindrop_job_desc job;
	__aligned_u64 reserved[2];
};

/**
 * struct pindrop_cqe - completion entry
 * @user_data: of the job
 * @result: 0, or a negative errno: what SUBMIT would have answered, or what
 *	WAIT would; -EOWNERDEAD and -ENODEV also of entries that the end of the
 *	context was faster than
 * @flags: 0 for now
 */
struct pindrop_cqe {
	__aligned_u64 user_data;
	__s32 result;
	__u32 flags;
};

/**
 * enum pindrop_sq_flags - sq_flags of a ring
 * @PINDROP_SQ_NEED_WAKEUP: the thread sleeps, or has ended: RING_ENTER with
 *	PINDROP_ENTER_WAKEUP
 * @PINDROP_SQ_NEED_ENTER: the next entry is one that only the owner can do, as
 *	with a pin that has to be looked up again: RING_ENTER by him, whatever
 *	its arguments. poll() and the eventfd tell of it, too
 */
enum pindrop_sq_flags {
	PINDROP_SQ_NEED_WAKEUP = 1 << 0,
	PINDROP_SQ_NEED_ENTER = 1 << 1
};

/**
 * enum pindrop_cq_flags - cq_flags of a ring
 * @PINDROP_CQ_OVERFLOW: completions are kept for want of room: RING_ENTER with
 *	PINDROP_ENTER_GETEVENTS. Until then nothing more is consumed
 */
enum pindrop_cq_flags {
	PINDROP_CQ_OVERFLOW = 1 << 0
};

/**
 * struct pindrop_ring_header - at the beginning of a ring's memory
 * @sq_tail: entries filled; the program's
 * @sq_reserved: not used
 * @sq_head: entries consumed
 * @sq_flags: enum pindrop_sq_flags
 * @sq_dropped: how often sq_tail was not one of a program that knows what it
 *	does
 * @sq_reserved2: not used
 * @cq_tail: completions posted
 * @cq_flags: enum pindrop_cq_flags
 * @cq_overflow: how many had no room at first
 * @cq_reserved: not used
 * @cq_head: completions read; the program's
 * @cq_reserved2: not used
 *
 * What the kernel goes by is its own; what it wrote here it does not read.
 */
struct pindrop_ring_header {
	__u32 sq_tail;
	__u32 sq_reserved[15];
	__u32 sq_head;
	__u32 sq_flags;
	__u32 sq_dropped;
	__u32 sq_reserved2[13];
	__u32 cq_tail;
	__u32 cq_flags;
	__u32 cq_overflow;
	__u32 cq_reserved[13];
	__u32 cq_head;
	__u32 cq_reserved2[15];
};

/**
 * enum pindrop_ring_flags - RING_SETUP's flags
 * @PINDROP_RING_THREAD: a kernel thread consumes the entries. Its processor time
 *	is not charged to the caller's cgroup, so this needs CAP_SYS_NICE, or 1 in the
 *	device's sysfs attribute ring_threads (-EPERM)
 * @PINDROP_RING_CPU: ... on the CPU that @cpu says; needs PINDROP_RING_THREAD
 * @PINDROP_RING_EVENTFD: completions are signalled to @eventfd
 */
enum pindrop_ring_flags {
	PINDROP_RING_THREAD = 1 << 0,
	PINDROP_RING_CPU = 1 << 1,
	PINDROP_RING_EVENTFD = 1 << 2
};

/**
 * struct pindrop_ring_setup - PINDROP_IOC_RING_SETUP: make the context's ring
 * @size: sizeof(struct pindrop_ring_setup)
 * @flags: enum pindrop_ring_flags
 * @entries: of the submission ring, a power of two up to INFO's out_max_ring
 * @cq_entries: of the completion ring, a power of two up to out_max_cq; 0:
 *	twice @entries
 * @channel: of all its jobs; below INFO's out_channels
 * @cpu: for PINDROP_RING_CPU, online and one that the caller may run on; else
 *	0
 * @idle_us: for PINDROP_RING_THREAD: so long it looks for entries before it
 *	sleeps, up to 1,000,000; 0: 1,000. Else 0
 * @eventfd: for PINDROP_RING_EVENTFD; else 0
 * @out_offset: where mmap() of the file finds the ring
 * @out_length: bytes to be mapped
 * @out_cq_entries: of the completion ring
 * @out_sqes: where in there the array of struct pindrop_sqe begins
 * @out_cqes: ... and that of struct pindrop_cqe
 * @reserved: must be 0
 *
 * Binds the context. There is no verb to take a ring down: it ends with its
 * context. Errors: EINVAL, EOPNOTSUPP (flag), EBUSY (there is one), EBADF (no
 * eventfd), EDQUOT (bytes; 64 threads of a user), ENOMEM, EPERM, EOWNERDEAD,
 * ENODEV, EINTR.
 *
 * mmap(out_offset) is for the owner, MAP_SHARED (-EINVAL) without PROT_EXEC
 * (-EACCES), within out_length (-EINVAL); a child does not inherit it. It
 * stays when the device goes. Once the owner is dead (with PROT_WRITE then
 * -EOWNERDEAD) or the device gone (-ENODEV), whoever holds the file may map it
 * to read what became of the entries.
 */
struct pindrop_ring_setup {
	__u32 size;
	__u32 flags;
	__u32 entries;
	__u32 cq_entries;
	__u32 channel;
	__u32 cpu;
	__u32 idle_us;
	__s32 eventfd;
	__aligned_u64 out_offset;
	__aligned_u64 out_length;
	__u32 out_cq_entries;
	__u32 out_sqes;
	__u32 out_cqes;
	__u32 reserved;
};

#define PINDROP_IOC_RING_SETUP _IO(PINDROP_IOC_TYPE, PINDROP_VERB_RING_SETUP)

/**
 * enum pindrop_enter_flags - RING_ENTER's flags
 * @PINDROP_ENTER_GETEVENTS: post what was kept, wait for @min_complete
 * @PINDROP_ENTER_WAKEUP: wake the thread; of a ring that has one
 */
enum pindrop_enter_flags {
	PINDROP_ENTER_GETEVENTS = 1 << 0,
	PINDROP_ENTER_WAKEUP = 1 << 1
};

/**
 * struct pindrop_ring_enter - PINDROP_IOC_RING_ENTER: consume, wake, wait
 * @size: sizeof(struct pindrop_ring_enter)
 * @flags: enum pindrop_enter_flags
 * @to_submit: entries to consume at most; 0 with PINDROP_RING_THREAD (-EINVAL)
 * @min_complete: unread completions to wait for; counts as the completion
 *	ring's size if it is more; 0 without PINDROP_ENTER_GETEVENTS (-EINVAL)
 * @timeout_ns: when to give up, as WAIT's
 *
 * Returns the number of entries consumed, which may be less than there are:
 * a context has at most INFO's out_max_queued unfinished jobs. If it is 0, an
 * error instead: EBUSY (to_submit, but there is no room for one), EINVAL
 * (sq_tail, too), ENOMEM, ETIME (time-out), EINTR (restarted where it can
 * be). Threads that consume at the same time are in each other's way (EBUSY).
 * Others, with nothing consumed: EOPNOTSUPP (flag), EPERM, EOWNERDEAD, ENODEV,
 * ENOENT (no ring).
 */
struct pindrop_ring_enter {
	__u32 size;
	__u32 flags;
	__u32 to_submit;
	__u32 min_complete;
	__aligned_u64 timeout_ns;
};

#define PINDROP_IOC_RING_ENTER _IO(PINDROP_IOC_TYPE, PINDROP_VERB_RING_ENTER)

/**
 * enum pindrop_state - where a context stands
 * @PINDROP_STATE_OPEN: usable
 * @PINDROP_STATE_DYING: being ended; nothing new is taken
 * @PINDROP_STATE_DRAINED: ended, nothing of it is on the hardware
 * @PINDROP_STATE_LOST: ended, but the hardware has not been proved quiet: the
 *	memory of its jobs is kept in quarantine
 * @PINDROP_STATE_GONE: the device is gone
 */
enum pindrop_state {
	PINDROP_STATE_OPEN = 0,
	PINDROP_STATE_DYING = 1,
	PINDROP_STATE_DRAINED = 2,
	PINDROP_STATE_LOST = 3,
	PINDROP_STATE_GONE = 4
};

/**
 * enum pindrop_reason - why a context is not OPEN
 * @PINDROP_REASON_NONE: it is
 * @PINDROP_REASON_CLOSE: its file was closed
 * @PINDROP_REASON_OWNER: the owner's address space ended
 * @PINDROP_REASON_REMOVE: the device was removed
 * @PINDROP_REASON_FAULT: reserved
 */
enum pindrop_reason {
	PINDROP_REASON_NONE = 0,
	PINDROP_REASON_CLOSE = 1,
	PINDROP_REASON_OWNER = 2,
	PINDROP_REASON_REMOVE = 3,
	PINDROP_REASON_FAULT = 4
};

/**
 * struct pindrop_window - the status window: mmap() of offset 0, read-only
 * @state: enum pindrop_state
 * @reason: enum pindrop_reason
 * @ticket: all jobs up to here are finished, and their data is in memory. Read
 *	it with acquire semantics: what a finished job wrote is then visible
 * @submitted: last ticket given out
 * @jobs_done: jobs that succeeded
 * @jobs_failed: jobs that the device failed or lost
 * @jobs_cancelled: jobs cancelled with the context
 * @buffers: handles of this context
 *
 * PINDROP_WINDOW_SIZE bytes; the rest is 0. Anyone who holds the file may map
 * it, before binding and after death; it stays readable when the device is
 * gone (@state says so) until the last mapping of it goes.
 */
struct pindrop_window {
	__u32 state;
	__u32 reason;
	__aligned_u64 ticket;
	__aligned_u64 submitted;
	__aligned_u64 jobs_done;
	__aligned_u64 jobs_failed;
	__aligned_u64 jobs_cancelled;
	__aligned_u64 buffers;
};

/* Two pages on every architecture with 4 KiB pages. */
#define PINDROP_WINDOW_SIZE 8192

/**
 * DOC: poll
 *
 * EPOLLIN | EPOLLRDNORM: jobs have finished that no WAIT has reported yet, or
 * the ring has completions that were not read.
 * EPOLLERR | EPOLLHUP: the owner is dead or the device is gone.
 */

#endif /* _UAPI_LINUX_PINDROP_H */
