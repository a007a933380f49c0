/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a piece of hardware has to provide, and all that it ever sees. An
 * engine knows no mm, no vma and no file; the core knows no hardware.
 */
#ifndef PINDROP_ENGINE_H
#define PINDROP_ENGINE_H

#include <linux/device.h>
#include <linux/dma-fence.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct pindrop_chan;
struct pindrop_dev;
struct pindrop_job;

/**
 * enum pindrop_piece_kind - direction of a piece
 * @PINDROP_PIECE_MEM_TO_MEM: both addresses are bus addresses
 * @PINDROP_PIECE_MEM_TO_DEV: @dst is an offset into the device's memory
 * @PINDROP_PIECE_DEV_TO_MEM: @src is an offset into the device's memory
 */
enum pindrop_piece_kind {
	PINDROP_PIECE_MEM_TO_MEM,
	PINDROP_PIECE_MEM_TO_DEV,
	PINDROP_PIECE_DEV_TO_MEM,
};

/**
 * struct pindrop_piece - what the hardware does in one go
 * @kind: direction
 * @chan: number of the channel it is issued on
 * @src: bus address, or offset into the device's memory
 * @dst: the same
 * @len: bytes; within the engine's limits, not 0
 * @engine_data: the engine's own, from issue to done
 * @queue: core: the channel
 * @node: core: chan::issued or chan::free_pieces
 * @job: core: what it is a part of; the piece keeps the job from retiring
 * @src_offset: core: first byte in the job's source buffer
 * @dst_offset: core: ... and in its destination
 * @deadline: core: when it is late (jiffies)
 * @restarts: core: standstills of the machine for which @deadline was moved
 * @given: core: shorter delays that @deadline was moved by (jiffies)
 * @aborting: core: abort was called for it
 * @culprit: core: the channel hung over it; it is not tried again
 * @replayed: core: it is tried for the second time
 */
struct pindrop_piece {
	enum pindrop_piece_kind kind;
	unsigned int chan;
	u64 src;
	u64 dst;
	u32 len;
	unsigned long engine_data;

	struct pindrop_chan *queue;
	struct list_head node;
	struct pindrop_job *job;
	u64 src_offset;
	u64 dst_offset;
	unsigned long deadline;
	unsigned int restarts;
	unsigned long given;
	bool aborting;
	bool culprit;
	bool replayed;
};

/**
 * struct pindrop_engine_limits - what the hardware can do
 * @name: short name, at most 15 characters
 * @caps: PINDROP_CAP_*_TO_* of enum pindrop_cap
 * @channels: queues
 * @depth: pieces that one queue takes at a time. It works on them in the order
 *	in which they were issued: one may need what the one before it wrote
 * @align: of addresses and lengths, a power of two
 * @max_piece: bytes of one piece
 * @piece_ms: within this time a piece is finished or makes progress (see
 *	pindrop_piece_progress()), or the hardware hangs. Its turn after the one
 *	before it is progress
 * @dma_bits: address bits
 * @devmem: bytes of device memory that jobs may name
 * @dma_dev: what does the DMA, if it is not the device that the engine is bound
 *	to: memory is mapped for it. It stays bound until
 *	pindrop_unregister() returns
 * @place: what the hardware is known by, on the parent's bus: registration says
 *	that what is there was read idle. NULL: the parent's name
 * @reset_by_order: a reset may do harm of its own: nobody but the administrator
 *	has it done
 */
struct pindrop_engine_limits {
	const char *name;
	u64 caps;
	unsigned int channels;
	unsigned int depth;
	unsigned int align;
	u32 max_piece;
	unsigned int piece_ms;
	unsigned int dma_bits;
	u32 devmem;
	struct device *dma_dev;
	const char *place;
	bool reset_by_order;
};

/**
 * struct pindrop_engine_ops - the hardware's side of the contract
 * @issue: start @piece. Its addresses are used from here until @service has
 *	reported it done, and never after. 0, or -errno with nothing started
 * @service: look at the hardware as an interrupt would: go on with what is
 *	half done, call pindrop_piece_done() for each piece that the hardware
 *	has been seen to be finished with. Returns 1 if the channel was read
 *	idle (then no piece of it is left), 0 if busy, -ENODEV if the device
 *	does not answer (all-ones is never proof of anything)
 * @abort: start nothing more for @piece; it is still reported by @service,
 *	with -ECANCELED if it did not get to its end. Optional
 * @terminate: stop all that is on a channel, and forget it. Where that proves
 *	that nothing is under way any more, @service reports it afterwards, with
 *	-ECANCELED; where it proves nothing, @service goes on as before.
 *	Optional, may sleep, for a bounded time: a reset, a pause and removal wait
 *	for it. It is asked for when a channel hangs. Several channels may be
 *	stopped at a time, but not while one of the next three runs
 * @reset: cut the device off as @cut does, then reset all of it; it stays cut
 *	off. 0, or -errno if the reset failed; -EAGAIN (not now) and -EOPNOTSUPP
 *	(never) if nothing was done, not even the cut. @locked: the caller holds
 *	the device's lock, else it may only be tried. Optional, may sleep. Where
 *	there is no @cut a failure leaves each channel as it is, and @service
 *	reports what was proved over all the same
 * @cut: let no access of the device reach memory any more, wait for those
 *	under way; interrupts may stop too. May sleep. Optional, for there may
 *	be no such way
 * @uncut: undo it: every channel was read idle behind the cut. May sleep
 *
 * @issue, @service and @abort are called with the channel's lock held and
 * interrupts off, the others one at a time; from registration until
 * pindrop_unregister() returns, and never after. The interrupt may stay until
 * pindrop_put().
 */
struct pindrop_engine_ops {
	int (*issue)(void *engine, struct pindrop_piece *piece);
	int (*service)(void *engine, unsigned int chan);
	void (*abort)(void *engine, struct pindrop_piece *piece);
	void (*terminate)(void *engine, unsigned int chan);
	int (*reset)(void *engine, bool locked);
	void (*cut)(void *engine);
	void (*uncut)(void *engine);
};

/**
 * pindrop_work_signals() - tell lockdep that fences wait for a work item
 * @work: one of the engine, on which its requests depend; initialized
 *
 * As if it was flushed by what signals fences: then nothing that waits for a fence
 * may be done in it, such as an allocation that reclaims.
 *
 * Context: process context.
 */
static inline void pindrop_work_signals(struct work_struct *work)
{
#ifdef CONFIG_LOCKDEP
	bool signalling = dma_fence_begin_signalling();

	lock_map_acquire(&work->lockdep_map);
	lock_map_release(&work->lockdep_map);
	dma_fence_end_signalling(signalling);
#endif
}

struct pindrop_dev *pindrop_register(struct device *parent,
				     const struct pindrop_engine_ops *ops,
				     const struct pindrop_engine_limits *limits,
				     void *engine);
void pindrop_unplugged(struct pindrop_dev *dev);
void pindrop_unregister(struct pindrop_dev *dev);
void pindrop_put(struct pindrop_dev *dev);
void pindrop_pause(struct pindrop_dev *dev);
void pindrop_unpause(struct pindrop_dev *dev, bool idle);
void pindrop_shutdown(struct pindrop_dev *dev);
void pindrop_service(struct pindrop_dev *dev, unsigned int chan);
void pindrop_piece_progress(struct pindrop_piece *piece);
void pindrop_piece_done(struct pindrop_piece *piece, int status);

#endif /* PINDROP_ENGINE_H */
