/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One event for every step on the way in and on the way out. The text is
 * key=value; programs read it by key. dev is the minor number of the node.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM pindrop

#if !defined(PINDROP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PINDROP_TRACE_H

#include <linux/tracepoint.h>

#include "pindrop.h"

/*
 * trace-cmd and perf know no names of the kernel's: with this the format in
 * tracefs holds the numbers. Each name in a __print_symbolic() needs it.
 */
TRACE_DEFINE_ENUM(PINDROP_REASON_NONE);
TRACE_DEFINE_ENUM(PINDROP_REASON_CLOSE);
TRACE_DEFINE_ENUM(PINDROP_REASON_OWNER);
TRACE_DEFINE_ENUM(PINDROP_REASON_REMOVE);
TRACE_DEFINE_ENUM(PINDROP_REASON_FAULT);

#define pindrop_show_reason(reason)                  \
	__print_symbolic(reason,                     \
			 { PINDROP_REASON_NONE, "NONE" },     \
			 { PINDROP_REASON_CLOSE, "CLOSE" },   \
			 { PINDROP_REASON_OWNER, "OWNER" },   \
			 { PINDROP_REASON_REMOVE, "REMOVE" }, \
			 { PINDROP_REASON_FAULT, "FAULT" })

/* How a step of the kill chain went. */
#ifndef PINDROP_STEP_RESULTS
#define PINDROP_STEP_RESULTS
enum pindrop_step_result {
	PINDROP_STEP_START,
	PINDROP_STEP_PROOF,
	PINDROP_STEP_TIMEOUT,
	PINDROP_STEP_NONE,
};
#endif

TRACE_DEFINE_ENUM(PINDROP_STEP_START);
TRACE_DEFINE_ENUM(PINDROP_STEP_PROOF);
TRACE_DEFINE_ENUM(PINDROP_STEP_TIMEOUT);
TRACE_DEFINE_ENUM(PINDROP_STEP_NONE);

#define pindrop_show_step(result)                      \
	__print_symbolic(result,                       \
			 { PINDROP_STEP_START, "start" },     \
			 { PINDROP_STEP_PROOF, "proof" },     \
			 { PINDROP_STEP_TIMEOUT, "timeout" }, \
			 { PINDROP_STEP_NONE, "none" })

TRACE_DEFINE_ENUM(PINDROP_DEV_RUNNING);
TRACE_DEFINE_ENUM(PINDROP_DEV_RESETTING);
TRACE_DEFINE_ENUM(PINDROP_DEV_CUT);
TRACE_DEFINE_ENUM(PINDROP_DEV_FROZEN);
TRACE_DEFINE_ENUM(PINDROP_DEV_GONE);

#define pindrop_show_dev_state(state)                         \
	__print_symbolic(state,                               \
			 { PINDROP_DEV_RUNNING, "running" },     \
			 { PINDROP_DEV_RESETTING, "resetting" }, \
			 { PINDROP_DEV_CUT, "cut" },             \
			 { PINDROP_DEV_FROZEN, "frozen" },       \
			 { PINDROP_DEV_GONE, "gone" })

TRACE_DEFINE_ENUM(PINDROP_CHAN_RUNNING);
TRACE_DEFINE_ENUM(PINDROP_CHAN_STOPPING);
TRACE_DEFINE_ENUM(PINDROP_CHAN_WEDGED);
TRACE_DEFINE_ENUM(PINDROP_CHAN_GONE);

#define pindrop_show_chan_state(state)                        \
	__print_symbolic(state,                               \
			 { PINDROP_CHAN_RUNNING, "running" },    \
			 { PINDROP_CHAN_STOPPING, "stopping" },  \
			 { PINDROP_CHAN_WEDGED, "wedged" },      \
			 { PINDROP_CHAN_GONE, "gone" })

TRACE_DEFINE_ENUM(PINDROP_PIECE_MEM_TO_MEM);
TRACE_DEFINE_ENUM(PINDROP_PIECE_MEM_TO_DEV);
TRACE_DEFINE_ENUM(PINDROP_PIECE_DEV_TO_MEM);

#define pindrop_show_kind(kind)                                     \
	__print_symbolic(kind,                                      \
			 { PINDROP_PIECE_MEM_TO_MEM, "mem_to_mem" }, \
			 { PINDROP_PIECE_MEM_TO_DEV, "mem_to_dev" }, \
			 { PINDROP_PIECE_DEV_TO_MEM, "dev_to_mem" })

#define pindrop_minor(pd) MINOR((pd)->dev.devt)

/* A context gets its owner. Fires in the owner, once a context. */
TRACE_EVENT(pindrop_bind,
	TP_PROTO(const struct pindrop_ctx *ctx, int pid),
	TP_ARGS(ctx, pid),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(int, pid)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(ctx->dev);
		__entry->ctx = ctx->id;
		__entry->pid = pid;
	),
	TP_printk("dev=%d ctx=%llu owner_pid=%d",
		  __entry->dev, __entry->ctx, __entry->pid)
);

/* A buffer is allocated, mapped for the device and has its handle. */
TRACE_EVENT(pindrop_buf_alloc,
	TP_PROTO(const struct pindrop_buf *buf),
	TP_ARGS(buf),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(u64, buf)
		__field(u32, handle)
		__field(u64, bytes)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(buf->dev);
		__entry->ctx = buf->ctx_id;
		__entry->buf = buf->id;
		__entry->handle = buf->handle;
		__entry->bytes = buf->bytes;
		__entry->flags = buf->flags;
	),
	TP_printk("dev=%d ctx=%llu buf=%llu handle=%u bytes=%llu flags=%#x",
		  __entry->dev, __entry->ctx, __entry->buf, __entry->handle,
		  __entry->bytes, __entry->flags)
);

DECLARE_EVENT_CLASS(
	pindrop_pin, TP_PROTO(const struct pindrop_buf *buf), TP_ARGS(buf),
	TP_STRUCT__entry(__field(int, dev) __field(u64, ctx) __field(u64, buf)
				 __field(u32, handle) __field(u64, bytes)
					 __field(unsigned long, npages)
						 __field(unsigned int,
							 segments)),
	TP_fast_assign(__entry->dev = pindrop_minor(buf->dev);
		       __entry->ctx = buf->ctx_id; __entry->buf = buf->id;
		       __entry->handle = buf->handle;
		       __entry->bytes = buf->bytes;
		       __entry->npages = buf->npages;
		       __entry->segments = buf->sgt.orig_nents;),
	TP_printk(
		"dev=%d ctx=%llu buf=%llu handle=%u bytes=%llu npages=%lu segments=%u",
		__entry->dev, __entry->ctx, __entry->buf, __entry->handle,
		__entry->bytes, __entry->npages, __entry->segments));

/* Memory of the owner is pinned and has its handle. */
DEFINE_EVENT(pindrop_pin, pindrop_pin, TP_PROTO(const struct pindrop_buf *buf),
	     TP_ARGS(buf));

/* A dma-buf is mapped for the device and has its handle. */
DEFINE_EVENT(pindrop_pin, pindrop_import,
	     TP_PROTO(const struct pindrop_buf *buf), TP_ARGS(buf));

/* Its pages are about to be unpinned. */
DEFINE_EVENT(pindrop_pin, pindrop_unpin,
	     TP_PROTO(const struct pindrop_buf *buf), TP_ARGS(buf));

/* One physically contiguous run of a buffer's pages, right after the above. */
TRACE_EVENT(pindrop_buf_pages,
	TP_PROTO(const struct pindrop_buf *buf, unsigned long index,
		 unsigned long pfn, unsigned long npages),
	TP_ARGS(buf, index, pfn, npages),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(u64, buf)
		__field(unsigned long, index)
		__field(unsigned long, pfn)
		__field(unsigned long, npages)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(buf->dev);
		__entry->ctx = buf->ctx_id;
		__entry->buf = buf->id;
		__entry->index = index;
		__entry->pfn = pfn;
		__entry->npages = npages;
	),
	TP_printk("dev=%d ctx=%llu buf=%llu index=%lu pfn=%lu npages=%lu",
		  __entry->dev, __entry->ctx, __entry->buf, __entry->index,
		  __entry->pfn, __entry->npages)
);

DECLARE_EVENT_CLASS(pindrop_buf_count,
	TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
	TP_ARGS(buf, count),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(u64, buf)
		__field(unsigned long, count)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(buf->dev);
		__entry->ctx = buf->ctx_id;
		__entry->buf = buf->id;
		__entry->count = count;
	),
	TP_printk("dev=%d ctx=%llu buf=%llu vmas=%lu",
		  __entry->dev, __entry->ctx, __entry->buf, __entry->count)
);

/* mmap() of a buffer. */
DEFINE_EVENT_PRINT(pindrop_buf_count, pindrop_buf_map,
	TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
	TP_ARGS(buf, count),
	TP_printk("dev=%d ctx=%llu buf=%llu vma_pages=%lu",
		  __entry->dev, __entry->ctx, __entry->buf, __entry->count));

/* A mapping of a buffer is made by split, move or fork. */
DEFINE_EVENT(pindrop_buf_count, pindrop_vm_open,
	TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
	TP_ARGS(buf, count));

/* A mapping of a buffer goes; its page table entries are gone already. */
DEFINE_EVENT(pindrop_buf_count, pindrop_vm_close,
	TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
	TP_ARGS(buf, count));

/* The device cannot reach a buffer any more. */
DEFINE_EVENT_PRINT(pindrop_buf_count, pindrop_buf_unmap_dma,
	TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
	TP_ARGS(buf, count),
	TP_printk("dev=%d ctx=%llu buf=%llu npages=%lu",
		  __entry->dev, __entry->ctx, __entry->buf, __entry->count));

/* A buffer's last reference has gone; its pages go back next. */
DEFINE_EVENT_PRINT(pindrop_buf_count, pindrop_buf_free,
	TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
	TP_ARGS(buf, count),
	TP_printk("dev=%d ctx=%llu buf=%llu bytes=%lu",
		  __entry->dev, __entry->ctx, __entry->buf, __entry->count));

/* An import is taken back; it is unmapped when no job can touch it any more. */
DEFINE_EVENT_PRINT(pindrop_buf_count, pindrop_revoke,
		   TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
		   TP_ARGS(buf, count),
		   TP_printk("dev=%d ctx=%llu buf=%llu npages=%lu",
			     __entry->dev, __entry->ctx, __entry->buf,
			     __entry->count));

/* A dma-buf is made of a buffer; so many there are now. */
DEFINE_EVENT_PRINT(pindrop_buf_count, pindrop_export,
		   TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
		   TP_ARGS(buf, count),
		   TP_printk("dev=%d ctx=%llu buf=%llu exports=%lu",
			     __entry->dev, __entry->ctx, __entry->buf,
			     __entry->count));

/* A dma-buf goes: nobody has it any more. */
DEFINE_EVENT_PRINT(pindrop_buf_count, pindrop_unexport,
		   TP_PROTO(const struct pindrop_buf *buf, unsigned long count),
		   TP_ARGS(buf, count),
		   TP_printk("dev=%d ctx=%llu buf=%llu exports=%lu",
			     __entry->dev, __entry->ctx, __entry->buf,
			     __entry->count));

/*
 * One range of bus addresses, without a gap: the device may use it from the
 * first of the two events to the second. buf is 0 for the zeroes that it reads
 * to clear its own memory.
 */
DECLARE_EVENT_CLASS(pindrop_dma,
	TP_PROTO(const struct pindrop_dev *pd, const struct pindrop_buf *buf,
		 u64 bus, u64 bytes),
	TP_ARGS(pd, buf, bus, bytes),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(u64, buf)
		__field(u64, bus)
		__field(u64, bytes)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(pd);
		__entry->ctx = buf ? buf->ctx_id : 0;
		__entry->buf = buf ? buf->id : 0;
		__entry->bus = bus;
		__entry->bytes = bytes;
	),
	TP_printk("dev=%d ctx=%llu buf=%llu bus=%#llx bytes=%llu",
		  __entry->dev, __entry->ctx, __entry->buf, __entry->bus,
		  __entry->bytes)
);

/* It is mapped; jobs may follow. */
DEFINE_EVENT(pindrop_dma, pindrop_dma_map,
	TP_PROTO(const struct pindrop_dev *pd, const struct pindrop_buf *buf,
		 u64 bus, u64 bytes),
	TP_ARGS(pd, buf, bus, bytes));

/* It is about to be unmapped: any access that comes later is a stray one. */
DEFINE_EVENT(pindrop_dma, pindrop_dma_unmap,
	TP_PROTO(const struct pindrop_dev *pd, const struct pindrop_buf *buf,
		 u64 bus, u64 bytes),
	TP_ARGS(pd, buf, bus, bytes));

DECLARE_EVENT_CLASS(pindrop_job,
	TP_PROTO(const struct pindrop_job *job, int result),
	TP_ARGS(job, result),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(unsigned int, chan)
		__field(u64, job)
		__field(u32, op)
		__field(u64, bytes)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(job->ctx->dev);
		__entry->ctx = job->ctx->id;
		__entry->chan = job->chan->id;
		__entry->job = job->ticket;
		__entry->op = job->op;
		__entry->bytes = job->length;
		__entry->result = result;
	),
	TP_printk("dev=%d ctx=%llu chan=%u job=%llu op=%u bytes=%llu result=%d",
		  __entry->dev, __entry->ctx, __entry->chan, __entry->job,
		  __entry->op, __entry->bytes, __entry->result)
);

/* A job is queued. job is its ticket; 0 is the clearing of device memory. */
DEFINE_EVENT(pindrop_job, pindrop_job_submit,
	TP_PROTO(const struct pindrop_job *job, int result),
	TP_ARGS(job, result));

/* A job's turn has come, and its fences have; result is how they ended. */
DEFINE_EVENT(pindrop_job, pindrop_job_ready,
	     TP_PROTO(const struct pindrop_job *job, int result),
	     TP_ARGS(job, result));

/* A job is finished for its owner: result is 0 or -errno. */
DEFINE_EVENT(pindrop_job, pindrop_job_done,
	TP_PROTO(const struct pindrop_job *job, int result),
	TP_ARGS(job, result));

/* A job is proved over and about to drop its memory. */
DEFINE_EVENT(pindrop_job, pindrop_job_retire,
	TP_PROTO(const struct pindrop_job *job, int result),
	TP_ARGS(job, result));

/* A piece is about to be given to the hardware. */
TRACE_EVENT(pindrop_piece_issue,
	TP_PROTO(const struct pindrop_piece *piece),
	TP_ARGS(piece),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(unsigned int, chan)
		__field(u64, job)
		__field(u32, bytes)
		__field(int, kind)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(piece->job->ctx->dev);
		__entry->ctx = piece->job->ctx->id;
		__entry->chan = piece->chan;
		__entry->job = piece->job->ticket;
		__entry->bytes = piece->len;
		__entry->kind = piece->kind;
	),
	TP_printk("dev=%d ctx=%llu chan=%u job=%llu bytes=%u kind=%s",
		  __entry->dev, __entry->ctx, __entry->chan, __entry->job,
		  __entry->bytes,
		  pindrop_show_kind(__entry->kind))
);

/*
 * The engine has seen the hardware finish a piece: it read the idle state
 * back (idle=1), which is what lets its memory go.
 */
TRACE_EVENT(pindrop_piece_done,
	TP_PROTO(const struct pindrop_piece *piece, int status),
	TP_ARGS(piece, status),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(unsigned int, chan)
		__field(u64, job)
		__field(u32, bytes)
		__field(int, status)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(piece->job->ctx->dev);
		__entry->ctx = piece->job->ctx->id;
		__entry->chan = piece->chan;
		__entry->job = piece->job->ticket;
		__entry->bytes = piece->len;
		__entry->status = status;
	),
	TP_printk("dev=%d ctx=%llu chan=%u job=%llu bytes=%u status=%d idle=1",
		  __entry->dev, __entry->ctx, __entry->chan, __entry->job,
		  __entry->bytes, __entry->status)
);

/* A context leaves OPEN: nothing new is taken from here on. */
TRACE_EVENT(pindrop_ctx_kill,
	TP_PROTO(const struct pindrop_ctx *ctx),
	TP_ARGS(ctx),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(unsigned int, reason)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(ctx->dev);
		__entry->ctx = ctx->id;
		__entry->reason = ctx->reason;
	),
	TP_printk("dev=%d ctx=%llu reason=%s",
		  __entry->dev, __entry->ctx,
		  pindrop_show_reason(__entry->reason))
);

/* A device goes from one state to another. */
TRACE_EVENT(pindrop_dev_state,
	TP_PROTO(const struct pindrop_dev *pd, unsigned int from,
		 unsigned int to),
	TP_ARGS(pd, from, to),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(unsigned int, from)
		__field(unsigned int, to)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(pd);
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("dev=%d from=%s to=%s", __entry->dev,
		  pindrop_show_dev_state(__entry->from),
		  pindrop_show_dev_state(__entry->to))
);

/* A queue goes from one state to another. */
TRACE_EVENT(pindrop_chan_state,
	TP_PROTO(const struct pindrop_chan *chan, unsigned int from,
		 unsigned int to),
	TP_ARGS(chan, from, to),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(unsigned int, chan)
		__field(unsigned int, from)
		__field(unsigned int, to)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(chan->dev);
		__entry->chan = chan->id;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("dev=%d chan=%u from=%s to=%s", __entry->dev, __entry->chan,
		  pindrop_show_chan_state(__entry->from),
		  pindrop_show_chan_state(__entry->to))
);

/*
 * A step of the kill chain. ctx is 0 where a step is the channel's; count is
 * the number of jobs (K1) or pieces (from K2 on) that it dealt with.
 */
TRACE_EVENT(pindrop_kill_step,
	TP_PROTO(const struct pindrop_chan *chan, u64 ctx, int step, int result,
		 unsigned int count),
	TP_ARGS(chan, ctx, step, result, count),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
		__field(unsigned int, chan)
		__field(int, step)
		__field(int, result)
		__field(unsigned int, count)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(chan->dev);
		__entry->ctx = ctx;
		__entry->chan = chan->id;
		__entry->step = step;
		__entry->result = result;
		__entry->count = count;
	),
	TP_printk("dev=%d ctx=%llu chan=%u step=K%d result=%s count=%u",
		  __entry->dev, __entry->ctx, __entry->chan, __entry->step,
		  pindrop_show_step(__entry->result), __entry->count)
);

/* The kernel tells us that an owner's address space ends. */
TRACE_EVENT(pindrop_release_begin,
	TP_PROTO(int mm_users, int mm_count, unsigned int contexts),
	TP_ARGS(mm_users, mm_count, contexts),
	TP_STRUCT__entry(
		__field(int, mm_users)
		__field(int, mm_count)
		__field(unsigned int, contexts)
	),
	TP_fast_assign(
		__entry->mm_users = mm_users;
		__entry->mm_count = mm_count;
		__entry->contexts = contexts;
	),
	TP_printk("mm_users=%d mm_count=%d contexts=%u",
		  __entry->mm_users, __entry->mm_count, __entry->contexts)
);

/* ... and we let it go on; drained=0 if some hardware was not proved quiet. */
TRACE_EVENT(pindrop_release_end,
	TP_PROTO(s64 us, bool drained),
	TP_ARGS(us, drained),
	TP_STRUCT__entry(
		__field(s64, us)
		__field(bool, drained)
	),
	TP_fast_assign(
		__entry->us = us;
		__entry->drained = drained;
	),
	TP_printk("us=%lld drained=%d", __entry->us, __entry->drained)
);

/* The last reference to the file is gone. */
TRACE_EVENT(pindrop_file_release,
	TP_PROTO(const struct pindrop_ctx *ctx),
	TP_ARGS(ctx),
	TP_STRUCT__entry(
		__field(int, dev)
		__field(u64, ctx)
	),
	TP_fast_assign(
		__entry->dev = pindrop_minor(ctx->dev);
		__entry->ctx = ctx->id;
	),
	TP_printk("dev=%d ctx=%llu", __entry->dev, __entry->ctx)
);

#endif /* PINDROP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
