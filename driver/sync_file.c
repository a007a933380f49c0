// SPDX-License-Identifier: GPL-2.0-only
/*
 * sync_files: fences as file descriptors, which is how SUBMIT takes one and gives
 * one. Not every kernel has them. fence.c works without: memory that is shared
 * carries fences of its own.
 */
#include "pindrop.h"

#include <linux/dma-fence.h>
#include <linux/file.h>
#include <linux/sync_file.h>

/**
 * pindrop_batch_wait_fd() - the jobs wait for a sync_file
 * @batch: not begun
 * @fd: the caller's
 *
 * Context: a user process.
 * Return: 0, -EBADF or -ENOMEM.
 */
int pindrop_batch_wait_fd(struct pindrop_batch *batch, int fd)
{
	struct dma_fence *fence = sync_file_get_fence(fd);

	return fence ? pindrop_batch_add_dep(batch, fence) : -EBADF;
}

/**
 * pindrop_batch_add_out() - make a sync_file, signalled when the jobs are over
 * @batch: not begun
 * @call: gets the file, and the number that it is to have
 *
 * The file is not visible to the program before pindrop_fence_install().
 *
 * Context: a user process.
 * Return: 0, -ENOMEM or -EMFILE.
 */
int pindrop_batch_add_out(struct pindrop_batch *batch,
			  struct pindrop_submit_call *call)
{
	struct dma_fence *out = pindrop_batch_make_out(batch);
	struct sync_file *file;
	int fd;

	if (!out)
		return -ENOMEM;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = sync_file_create(out);
	if (!file) {
		put_unused_fd(fd);
		return -ENOMEM;
	}
	call->fence = file->file;
	call->args.out_fence = fd;
	return 0;
}

/**
 * pindrop_fence_install() - the program knows of its fence: it is there
 * @call: a SUBMIT that succeeded
 *
 * Context: the process that called it.
 */
void pindrop_fence_install(struct pindrop_submit_call *call)
{
	if (call->fence)
		fd_install(call->args.out_fence, call->fence);
}

/**
 * pindrop_fence_undo() - the program gets no fence
 * @call: a SUBMIT that failed, or that cannot be told of
 *
 * Context: the process that called it.
 */
void pindrop_fence_undo(struct pindrop_submit_call *call)
{
	if (!call->fence)
		return;
	put_unused_fd(call->args.out_fence);
	fput(call->fence);
	call->fence = NULL;
	call->args.out_fence = 0;
}
