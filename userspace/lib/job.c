// SPDX-License-Identifier: MIT
/* Jobs: describing them, queueing them, waiting for them. */
#include "private.h"

#include <string.h>
#include <time.h>

#define NSEC_PER_SEC UINT64_C(1000000000)

static void job_fill(struct pindrop_job_desc *job, uint32_t dst,
		     uint64_t dst_offset, uint32_t src, uint64_t src_offset,
		     uint64_t length)
{
	memset(job, 0, sizeof(*job));
	job->op = PINDROP_OP_COPY;
	job->src = src;
	job->dst = dst;
	job->src_offset = src_offset;
	job->dst_offset = dst_offset;
	job->length = length;
}

/**
 * pindrop_job_nop() - describe a job that does nothing, in its turn
 * @job: filled in; @user_data is 0 and may be set afterwards
 *
 * Context: any thread, on a @job of its own; does not block.
 */
PINDROP_EXPORT void pindrop_job_nop(struct pindrop_job_desc *job)
{
	memset(job, 0, sizeof(*job));
	job->op = PINDROP_OP_NOP;
}

/**
 * pindrop_job_copy() - describe a copy between buffers
 * @job: filled in; @user_data is 0 and may be set afterwards
 * @dst: buffer to write to
 * @dst_offset: first byte there
 * @src: buffer to read from, may be @dst if the ranges do not overlap
 * @src_offset: first byte there
 * @length: bytes
 *
 * Offsets and length are multiples of INFO's out_align. The buffers have to be
 * held until the job is submitted, not longer.
 *
 * Context: any thread, on a @job of its own; does not block.
 */
PINDROP_EXPORT void pindrop_job_copy(struct pindrop_job_desc *job,
				     const struct pindrop_buf *dst,
				     uint64_t dst_offset,
				     const struct pindrop_buf *src,
				     uint64_t src_offset, uint64_t length)
{
	job_fill(job, dst->handle, dst_offset, src->handle, src_offset,
		 length);
}

/**
 * pindrop_job_to_device() - describe a copy to the device's own memory
 * @job: filled in; @user_data is 0 and may be set afterwards
 * @dev_offset: first byte in the device's memory
 * @src: buffer to read from
 * @src_offset: first byte there
 * @length: bytes
 *
 * Context: any thread, on a @job of its own; does not block.
 */
PINDROP_EXPORT void pindrop_job_to_device(struct pindrop_job_desc *job,
					  uint64_t dev_offset,
					  const struct pindrop_buf *src,
					  uint64_t src_offset, uint64_t length)
{
	job_fill(job, PINDROP_DEVMEM, dev_offset, src->handle, src_offset,
		 length);
}

/**
 * pindrop_job_from_device() - describe a copy from the device's own memory
 * @job: filled in; @user_data is 0 and may be set afterwards
 * @dst: buffer to write to
 * @dst_offset: first byte there
 * @dev_offset: first byte in the device's memory
 * @length: bytes
 *
 * Context: any thread, on a @job of its own; does not block.
 */
PINDROP_EXPORT void pindrop_job_from_device(struct pindrop_job_desc *job,
					    const struct pindrop_buf *dst,
					    uint64_t dst_offset,
					    uint64_t dev_offset,
					    uint64_t length)
{
	job_fill(job, dst->handle, dst_offset, PINDROP_DEVMEM, dev_offset,
		 length);
}

/**
 * pindrop_submit_jobs() - queue jobs, all or none
 * @dev: the device
 * @channel: below INFO's out_channels
 * @jobs: the jobs; read before the call returns
 * @count: how many, 1 to INFO's out_max_jobs
 * @first: ticket of the first one; may be NULL
 * @last: ticket of the last one; may be NULL
 * @refused: if the call fails for one of them: which; may be NULL
 *
 * Makes the caller's address space the owner of @dev if it has none. Jobs of
 * one device and channel run in order.
 *
 * Context: any thread; does not wait for the device.
 * Return: 0, or
 * -EINVAL (@count is 0, no such channel, a job's length, alignment or overlap),
 * -EOPNOTSUPP (an operation, flag or direction that the engine does not have),
 * -ENOENT (no such buffer), -ERANGE (beyond an end), -EBUSY (the device's
 * memory belongs to another context), -EDQUOT (too many jobs), -ENOMEM,
 * -EPERM (not the owner), -EOWNERDEAD, -ENODEV, -EIO (the channel hangs),
 * -EFAULT, -EINTR (call again).
 */
PINDROP_EXPORT int pindrop_submit_jobs(struct pindrop *dev, uint32_t channel,
				       const struct pindrop_job_desc *jobs,
				       uint32_t count, uint64_t *first,
				       uint64_t *last, uint32_t *refused)
{
	return pindrop_submit_fenced(dev, channel, jobs, count, -1, NULL, first,
				     last, refused);
}

/**
 * pindrop_wait_jobs() - wait for jobs and learn how they ended
 * @dev: the device
 * @first: ticket of the first job
 * @last: ticket of the last job; all jobs before it are waited for, too
 * @deadline: when to give up; PINDROP_NOW asks without waiting,
 *	PINDROP_FOREVER never gives up
 * @failed: ticket of the first job of these that failed, 0 if none is known
 *	to; may be NULL
 *
 * Anybody who has the file may wait, also after the owner's death and on a
 * device that is gone: every job ends in bounded time.
 *
 * Context: any thread; blocks until @deadline at most.
 * Return: 0 if all have succeeded; -ETIME at the deadline, -EINTR (call
 * again), -EINVAL (a ticket not given out yet, @first above @last); else what
 * the job @failed ended with:
 * -EIO (the device failed it or hangs), -ECANCELED (its context was killed),
 * -EOWNERDEAD, -ENODEV (the device is gone), -ENODATA (so long ago that the
 * result is forgotten).
 */
PINDROP_EXPORT int pindrop_wait_jobs(struct pindrop *dev, uint64_t first,
				     uint64_t last, uint64_t deadline,
				     uint64_t *failed)
{
	struct pindrop_wait args = {
		.size = sizeof(args),
		.ticket = last,
		.first = first,
		.timeout_ns = deadline,
	};
	int err = pindrop_ioctl(dev, PINDROP_IOC_WAIT, &args);

	if (failed)
		*failed = err ? 0 : args.out_failed;
	return err ? err : args.out_result;
}

/**
 * pindrop_deadline() - a point in time, from now
 * @from_now: nanoseconds
 *
 * Context: any thread; does not block.
 * Return: the deadline; PINDROP_FOREVER if it is too far off.
 */
PINDROP_EXPORT uint64_t pindrop_deadline(uint64_t from_now)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	return from_now > UINT64_MAX - now ? PINDROP_FOREVER : now + from_now;
}
