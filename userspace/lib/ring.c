// SPDX-License-Identifier: MIT
/*
 * Rings: jobs and completions through memory that is shared with the driver.
 * Indices run freely; what the other side writes is read with acquire, what it
 * reads is written with release semantics.
 */
#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int ring_enter(struct pindrop_ring *ring, uint32_t flags,
		      uint32_t to_submit, uint32_t min_complete,
		      uint64_t deadline)
{
	struct pindrop_ring_enter args = {
		.size = sizeof(args),
		.flags = flags,
		.to_submit = to_submit,
		.min_complete = min_complete,
		.timeout_ns = deadline,
	};

	return pindrop_ioctl_count(ring->dev, PINDROP_IOC_RING_ENTER, &args);
}

/**
 * pindrop_ring_setup() - make a device's ring
 * @dev: the device
 * @setup: what it is to be: entries and, where they are not 0, flags,
 *	cq_entries, channel, cpu, idle_us and eventfd; the rest is filled in
 * @ring: the ring
 *
 * A device that was opened once has at most one ring. Makes the caller's
 * address space the owner of @dev if it has none.
 *
 * Context: any thread; may block until there is memory.
 * Return: 0, with a ring that pindrop_ring_exit() ends and that holds a
 * reference to @dev; or -EINVAL (a number in @setup), -EOPNOTSUPP (its flags),
 * -EBUSY (there is a ring), -EBADF (no eventfd), -ENOTTY (the driver has no
 * rings), -ENOMEM, -EDQUOT (a limit of the user), -EPERM (@dev has another
 * owner), -EOWNERDEAD, -ENODEV, -EINTR (call again).
 */
PINDROP_EXPORT int pindrop_ring_setup(struct pindrop *dev,
				      struct pindrop_ring_setup *setup,
				      struct pindrop_ring **ring)
{
	struct pindrop_ring *new;
	void *data;
	int err;

	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	setup->size = sizeof(*setup);
	err = pindrop_ioctl(dev, PINDROP_IOC_RING_SETUP, setup);
	if (!err)
		err = pindrop_mmap(dev, setup->out_length,
				   PROT_READ | PROT_WRITE, setup->out_offset,
				   &data);
	if (err) {
		free(new);
		return err;
	}
	new->dev = pindrop_ref(dev);
	new->threaded = setup->flags &PINDROP_RING_THREAD;
	new->length = setup->out_length;
	new->pid = getpid();
	new->shared = data;
	new->sqes = (void *)((char *)data + setup->out_sqes);
	new->cqes = (void *)((char *)data + setup->out_cqes);
	new->entries = setup->entries;
	new->cq_entries = setup->out_cq_entries;
	*ring = new;
	return 0;
}

/**
 * pindrop_ring_exit() - let go of a ring
 * @ring: the ring, or NULL
 *
 * What was submitted goes on. In the driver the ring lives on with its device,
 * which gets no other. In a forked child, which does not inherit the ring's
 * memory, this is the only function that may be called.
 *
 * Context: any thread, once, when no other uses @ring; may block like
 * pindrop_unref().
 * Return: NULL, to be assigned to the variable that held the ring.
 */
PINDROP_EXPORT struct pindrop_ring *pindrop_ring_exit(struct pindrop_ring *ring)
{
	if (!ring)
		return NULL;
	/* A child may have other memory there by now. */
	if (ring->pid == getpid())
		munmap(ring->shared, ring->length);
	pindrop_unref(ring->dev);
	free(ring);
	return NULL;
}

/**
 * pindrop_ring_get_sqe() - the next free entry
 * @ring: the ring
 *
 * It is the caller's to fill in until pindrop_ring_submit(), which submits all
 * that were got; in that order.
 *
 * Context: one thread at a time; no system call.
 * Return: the entry, all 0; NULL if there is none: submit, or wait.
 */
PINDROP_EXPORT struct pindrop_sqe *
pindrop_ring_get_sqe(struct pindrop_ring *ring)
{
	struct pindrop_sqe *sqe;
	uint32_t head;

	/* Pairs with the driver's release: entries before it were copied. */
	head = __atomic_load_n(&ring->shared->sq_head, __ATOMIC_ACQUIRE);
	if (ring->sq_tail - head >= ring->entries)
		return NULL;
	sqe = &ring->sqes[ring->sq_tail++ & (ring->entries - 1)];
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

/**
 * pindrop_ring_prep_nop() - let an entry be a job that does nothing
 * @sqe: from pindrop_ring_get_sqe(); its job.user_data is 0 and may be set
 *	afterwards
 *
 * Context: the thread that got @sqe; no system call.
 */
PINDROP_EXPORT void pindrop_ring_prep_nop(struct pindrop_sqe *sqe)
{
	sqe->job.op = PINDROP_OP_NOP;
}

/**
 * pindrop_ring_prep_copy() - let an entry be a copy between buffers
 * @sqe: from pindrop_ring_get_sqe(); its job.user_data is 0 and may be set
 *	afterwards
 * @dst: as of pindrop_job_copy()
 * @dst_offset: first byte there
 * @src: buffer to read from
 * @src_offset: first byte there
 * @length: bytes
 *
 * Other jobs are filled into sqe->job by the functions that describe them.
 *
 * Context: the thread that got @sqe; no system call.
 */
PINDROP_EXPORT void pindrop_ring_prep_copy(struct pindrop_sqe *sqe,
					   const struct pindrop_buf *dst,
					   uint64_t dst_offset,
					   const struct pindrop_buf *src,
					   uint64_t src_offset, uint64_t length)
{
	pindrop_job_copy(&sqe->job, dst, dst_offset, src, src_offset, length);
}

/**
 * pindrop_ring_prep_memory() - let an entry be a copy in the caller's memory
 * @sqe: from pindrop_ring_get_sqe(); its job.user_data is 0 and may be set
 *	afterwards
 * @dst: where to write to
 * @src: where to read from
 * @length: bytes
 *
 * No buffers: any memory of the program, which has to be there until the
 * completion is. Addresses and @length are multiples of INFO's out_pin_align.
 *
 * Context: the thread that got @sqe; no system call.
 */
PINDROP_EXPORT void pindrop_ring_prep_memory(struct pindrop_sqe *sqe, void *dst,
					     const void *src, uint64_t length)
{
	sqe->job.op = PINDROP_OP_COPY;
	sqe->job.flags = PINDROP_SQE_SRC_ADDR | PINDROP_SQE_DST_ADDR;
	sqe->job.src_offset = (uintptr_t)src;
	sqe->job.dst_offset = (uintptr_t)dst;
	sqe->job.length = length;
}

/* What was got becomes visible; returns how many. */
static uint32_t ring_publish(struct pindrop_ring *ring)
{
	uint32_t count = ring->sq_tail - ring->sq_published;

	ring->sq_published = ring->sq_tail;
	/* Pairs with the driver's acquire: the entries, then the tail. */
	__atomic_store_n(&ring->shared->sq_tail, ring->sq_tail,
			 __ATOMIC_RELEASE);
	return count;
}

/* With a thread, the driver may have to be told. */
static bool ring_sleeps(struct pindrop_ring *ring)
{
	/*
	 * Pairs with the driver's barrier between setting the flag and looking
	 * at the tail: it sees the entries, or we the flag.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&ring->shared->sq_flags, __ATOMIC_RELAXED) &
	       PINDROP_SQ_NEED_WAKEUP;
}

/* Published, and not consumed yet. */
static uint32_t ring_pending(struct pindrop_ring *ring)
{
	return ring->sq_published -
	       __atomic_load_n(&ring->shared->sq_head, __ATOMIC_RELAXED);
}

static int ring_submit(struct pindrop_ring *ring, uint32_t count)
{
	uint32_t flags = count ? PINDROP_ENTER_GETEVENTS : 0;
	uint32_t submitted = ring_publish(ring);
	int n;

	if (!ring->threaded) {
		if (!ring_pending(ring) && !count)
			return 0;
		return ring_enter(ring, flags, ring_pending(ring), count,
				  PINDROP_FOREVER);
	}
	if (ring_sleeps(ring))
		flags |= PINDROP_ENTER_WAKEUP;
	if (!flags)
		return submitted;
	n = ring_enter(ring, flags, 0, count, PINDROP_FOREVER);
	return n < 0 ? n : (int)submitted;
}

/**
 * pindrop_ring_submit() - submit the entries that were got
 * @ring: the ring
 *
 * Entries that the driver did not take stay submitted; the next call offers
 * them again. With PINDROP_RING_THREAD this is a system call only if the thread
 * sleeps.
 *
 * Context: one thread at a time, the same as pindrop_ring_get_sqe().
 * Return: the number of entries that the driver has consumed, with
 * PINDROP_RING_THREAD the number of those submitted; or -EBUSY (too many
 * unfinished jobs, or completions that nobody read), -ENOMEM, -EPERM,
 * -EOWNERDEAD, -ENODEV.
 */
PINDROP_EXPORT int pindrop_ring_submit(struct pindrop_ring *ring)
{
	return ring_submit(ring, 0);
}

/**
 * pindrop_ring_submit_and_wait() - submit, and wait for completions
 * @ring: the ring
 * @count: how many, at least
 *
 * Context: one thread at a time, the same as pindrop_ring_get_sqe(); blocks.
 * Return: as pindrop_ring_submit(), and -EINTR (call again).
 */
PINDROP_EXPORT int pindrop_ring_submit_and_wait(struct pindrop_ring *ring,
						uint32_t count)
{
	return ring_submit(ring, count);
}

static struct pindrop_cqe *ring_next(struct pindrop_ring *ring)
{
	/* Pairs with the driver's release: the completion, then the tail. */
	uint32_t tail = __atomic_load_n(&ring->shared->cq_tail,
					__ATOMIC_ACQUIRE);

	if (tail == ring->cq_head)
		return NULL;
	return &ring->cqes[ring->cq_head & (ring->cq_entries - 1)];
}

/* Whether there is something that only a system call brings about. */
static bool ring_asks(struct pindrop_ring *ring)
{
	return __atomic_load_n(&ring->shared->cq_flags, __ATOMIC_RELAXED) &
		       PINDROP_CQ_OVERFLOW ||
	       __atomic_load_n(&ring->shared->sq_flags, __ATOMIC_RELAXED) &
		       PINDROP_SQ_NEED_ENTER;
}

/**
 * pindrop_ring_peek_cqe() - the next completion, if there is one
 * @ring: the ring
 * @cqe: the completion, until pindrop_ring_cqe_seen()
 *
 * No system call, unless completions are kept that had no room, or there is an
 * entry that the driver's thread cannot do.
 *
 * Context: one thread at a time, which may be another than the one that
 * submits; does not block.
 * Return: 0, or -EAGAIN.
 */
PINDROP_EXPORT int pindrop_ring_peek_cqe(struct pindrop_ring *ring,
					 struct pindrop_cqe **cqe)
{
	*cqe = ring_next(ring);
	if (!*cqe && ring_asks(ring)) {
		/* On a dead device it fails, and has done it all the same. */
		ring_enter(ring, PINDROP_ENTER_GETEVENTS, 0, 0, PINDROP_NOW);
		*cqe = ring_next(ring);
	}
	return *cqe ? 0 : -EAGAIN;
}

/**
 * pindrop_ring_wait_cqe() - wait for the next completion
 * @ring: the ring
 * @deadline: when to give up, as of pindrop_wait_jobs()
 * @cqe: the completion, until pindrop_ring_cqe_seen()
 *
 * Submits nothing.
 *
 * Context: as pindrop_ring_peek_cqe(), but blocks until @deadline at most.
 * Return: 0, or -ETIME, -EINTR (call again), -EPERM, -EOWNERDEAD, -ENODEV (the
 * device is gone, and there are no more completions).
 */
PINDROP_EXPORT int pindrop_ring_wait_cqe(struct pindrop_ring *ring,
					 uint64_t deadline,
					 struct pindrop_cqe **cqe)
{
	int err = 0;

	while (pindrop_ring_peek_cqe(ring, cqe)) {
		if (err)
			return err;
		err = ring_enter(ring, PINDROP_ENTER_GETEVENTS, 0, 1, deadline);
	}
	return 0;
}

/**
 * pindrop_ring_cqe_seen() - a completion has been looked at
 * @ring: the ring
 *
 * Context: the thread that peeked or waited; no system call.
 */
PINDROP_EXPORT void pindrop_ring_cqe_seen(struct pindrop_ring *ring)
{
	pindrop_ring_cq_advance(ring, 1);
}

/**
 * pindrop_ring_cq_advance() - so many completions have been looked at
 * @ring: the ring
 * @count: how many, that are there
 *
 * Context: the thread that peeked or waited; no system call.
 */
PINDROP_EXPORT void pindrop_ring_cq_advance(struct pindrop_ring *ring,
					    uint32_t count)
{
	ring->cq_head += count;
	/* Pairs with the driver's acquire: read, then free. */
	__atomic_store_n(&ring->shared->cq_head, ring->cq_head,
			 __ATOMIC_RELEASE);
}
