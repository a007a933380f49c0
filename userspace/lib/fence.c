// SPDX-License-Identifier: MIT
/* Fences: jobs that wait for others' work, and others that wait for jobs. */
#define _GNU_SOURCE /* ppoll */
#include "private.h"

#include <errno.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define NSEC_PER_SEC UINT64_C(1000000000)
/* A poll() may last so long. */
#define HOUR_NS (3600 * NSEC_PER_SEC)

/**
 * pindrop_submit_fenced() - queue jobs, all or none, between fences
 * @dev: the device
 * @channel: below INFO's out_channels
 * @jobs: the jobs; read before the call returns
 * @count: how many, 1 to INFO's out_max_jobs
 * @in_fence: a sync_file that they wait for, which remains the caller's; -1: none
 * @out_fence: a new sync_file, signalled when all of them are over; the
 *	caller's, to be closed. NULL: none
 * @first: ticket of the first one; may be NULL
 * @last: ticket of the last one; may be NULL
 * @refused: if the call fails for one of them: which; may be NULL
 *
 * As pindrop_submit_jobs(). While jobs wait for @in_fence, so does what @dev
 * queues behind them on @channel. If it is signalled with an error, they end
 * with that error and do nothing.
 *
 * Context: any thread; waits neither for the device nor for the fence.
 * Return: as pindrop_submit_jobs(), or
 * -EBADF (@in_fence is no sync_file), -EMFILE (too many descriptors),
 * -EOPNOTSUPP (also a fence on a kernel without them: INFO has no
 * PINDROP_CAP_SUBMIT_FENCE).
 */
PINDROP_EXPORT int pindrop_submit_fenced(struct pindrop *dev, uint32_t channel,
					 const struct pindrop_job_desc *jobs,
					 uint32_t count, int in_fence,
					 int *out_fence, uint64_t *first,
					 uint64_t *last, uint32_t *refused)
{
	struct pindrop_submit args = {
		.size = sizeof(args),
		.jobs = (uintptr_t)jobs,
		.count = count,
		.channel = channel,
	};
	int err;

	if (in_fence != -1) {
		args.flags |= PINDROP_SUBMIT_IN_FENCE;
		args.in_fence = in_fence;
	}
	if (out_fence)
		args.flags |= PINDROP_SUBMIT_OUT_FENCE;
	err = pindrop_ioctl(dev, PINDROP_IOC_SUBMIT, &args);
	if (err) {
		if (refused)
			*refused = args.out_error_index;
		return err;
	}
	if (out_fence)
		*out_fence = args.out_fence;
	if (first)
		*first = args.out_first;
	if (last)
		*last = args.out_last;
	return 0;
}

/* What is left until a deadline, of which poll() gets an hour at most. */
static struct timespec left_until(uint64_t deadline)
{
	struct timespec ts;
	uint64_t now, left;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	left = deadline > now ? deadline - now : 0;
	if (left > HOUR_NS)
		left = HOUR_NS;
	ts.tv_sec = (time_t)(left / NSEC_PER_SEC);
	ts.tv_nsec = (long)(left % NSEC_PER_SEC);
	return ts;
}

/**
 * pindrop_fence_wait() - wait for a fence, and learn how it ended
 * @fence: a sync_file, of this library or any other
 * @deadline: when to give up; PINDROP_NOW asks without waiting,
 *	PINDROP_FOREVER never gives up
 *
 * Needs no device: whoever has the descriptor may wait, as with poll().
 *
 * Context: any thread; blocks until @deadline at most.
 * Return: 0 if it was signalled with success; -ETIME at the deadline, -EINTR
 * (call again), -EBADF, -ENOTTY (not a sync_file); else what it was signalled
 * with: of jobs what pindrop_wait_jobs() says of the first that failed.
 */
PINDROP_EXPORT int pindrop_fence_wait(int fence, uint64_t deadline)
{
	struct pollfd p = { .fd = fence, .events = POLLIN };
	struct sync_file_info info;
	struct timespec left;
	int ready;

	for (;;) {
		memset(&info, 0, sizeof(info));
		if (ioctl(fence, SYNC_IOC_FILE_INFO, &info))
			return -errno;
		if (info.status)
			return info.status < 0 ? info.status : 0;
		left = left_until(deadline);
		if (!left.tv_sec && !left.tv_nsec)
			return -ETIME;
		ready = ppoll(&p, 1, &left, NULL);
		if (ready < 0)
			return -errno;
	}
}

/**
 * pindrop_fence_merge() - make one fence of two
 * @fence: a sync_file
 * @other: another; both remain the caller's
 * @both: a new one, signalled when both are; the caller's, to be closed
 *
 * Context: any thread; does not wait.
 * Return: 0, -EBADF, -ENOTTY (@fence is not a sync_file), -ENOENT (@other is
 * none), -ENOMEM, -EMFILE.
 */
PINDROP_EXPORT int pindrop_fence_merge(int fence, int other, int *both)
{
	struct sync_merge_data data = { .name = "pindrop", .fd2 = other };

	if (ioctl(fence, SYNC_IOC_MERGE, &data))
		return -errno;
	*both = data.fence;
	return 0;
}
