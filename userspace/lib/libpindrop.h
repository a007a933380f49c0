/* SPDX-License-Identifier: MIT */
/*
 * libpindrop: DMA memory and DMA jobs through /dev/pindropN.
 *
 * Every function may be called from any thread at any time, with handles that
 * the caller holds a reference to; those of rings say otherwise. Functions that can fail return 0 or a
 * negative errno value; what each value means is said at the function, in its
 * source file. The library prints nothing, ends nothing and keeps nothing
 * outside its handles.
 *
 * Times are nanoseconds, deadlines are absolute CLOCK_MONOTONIC, sizes and
 * offsets are bytes.
 */
#ifndef LIBPINDROP_H
#define LIBPINDROP_H

#include <stddef.h>
#include <stdint.h>

#include <linux/pindrop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A deadline that never comes, and one that has passed. */
#define PINDROP_FOREVER UINT64_MAX
#define PINDROP_NOW UINT64_C(0)

/* Room for the path of a device node. */
#define PINDROP_NODE_MAX 64

/* An open device: one context of the driver. */
struct pindrop;

/* Memory that the device can reach. Holds a reference to its struct pindrop. */
struct pindrop_buf;

/* Queues shared with the driver. Holds a reference to its struct pindrop. */
struct pindrop_ring;

/**
 * struct pindrop_counters - a device's counters, as in /sys/class/pindrop
 * @contexts: open contexts, and those that still have something to finish
 * @buffers: buffers that are not freed yet
 * @bytes: what they take
 * @inflight: jobs that hold memory: queued, on the hardware, or just over
 * @pinned: pages of user memory that are pinned
 * @quarantined: bytes kept because the hardware was not proved quiet
 * @jobs_done: jobs that succeeded, since the device is there
 * @jobs_failed: jobs that the device failed or lost
 * @jobs_cancelled: jobs that ended with their context
 */
struct pindrop_counters {
	uint64_t contexts;
	uint64_t buffers;
	uint64_t bytes;
	uint64_t inflight;
	uint64_t pinned;
	uint64_t quarantined;
	uint64_t jobs_done;
	uint64_t jobs_failed;
	uint64_t jobs_cancelled;
};

/* device.c */
int pindrop_open(const char *node, struct pindrop **dev);
int pindrop_open_engine(const char *engine, struct pindrop **dev);
int pindrop_open_default(struct pindrop **dev);
struct pindrop *pindrop_ref(struct pindrop *dev);
struct pindrop *pindrop_unref(struct pindrop *dev);
int pindrop_fd(const struct pindrop *dev);
const char *pindrop_node(const struct pindrop *dev);
int pindrop_get_info(struct pindrop *dev, struct pindrop_info *info,
		     size_t size);

/* window.c */
int pindrop_get_window(struct pindrop *dev,
		       const struct pindrop_window **window);
uint64_t pindrop_window_ticket(const struct pindrop_window *window);
unsigned int pindrop_window_state(const struct pindrop_window *window);

/* buffer.c */
int pindrop_buf_alloc(struct pindrop *dev, uint64_t length, uint32_t flags,
		      struct pindrop_buf **buf);
int pindrop_buf_pin(struct pindrop *dev, void *data, uint64_t length,
		    uint32_t flags, struct pindrop_buf **buf);
int pindrop_buf_import(struct pindrop *dev, int fd, struct pindrop_buf **buf);
int pindrop_buf_export(struct pindrop_buf *buf, int *fd);
struct pindrop_buf *pindrop_buf_ref(struct pindrop_buf *buf);
struct pindrop_buf *pindrop_buf_unref(struct pindrop_buf *buf);
int pindrop_buf_map(struct pindrop_buf *buf, void **data);
uint64_t pindrop_buf_length(const struct pindrop_buf *buf);
uint64_t pindrop_buf_offset(const struct pindrop_buf *buf);
uint32_t pindrop_buf_handle(const struct pindrop_buf *buf);
int pindrop_buf_sync(struct pindrop_buf *buf, uint32_t flags, uint64_t offset,
		     uint64_t length);

/* job.c */
void pindrop_job_nop(struct pindrop_job_desc *job);
void pindrop_job_copy(struct pindrop_job_desc *job,
		      const struct pindrop_buf *dst, uint64_t dst_offset,
		      const struct pindrop_buf *src, uint64_t src_offset,
		      uint64_t length);
void pindrop_job_to_device(struct pindrop_job_desc *job, uint64_t dev_offset,
			   const struct pindrop_buf *src, uint64_t src_offset,
			   uint64_t length);
void pindrop_job_from_device(struct pindrop_job_desc *job,
			     const struct pindrop_buf *dst,
			     uint64_t dst_offset, uint64_t dev_offset,
			     uint64_t length);
int pindrop_submit_jobs(struct pindrop *dev, uint32_t channel,
			const struct pindrop_job_desc *jobs, uint32_t count,
			uint64_t *first, uint64_t *last, uint32_t *refused);
int pindrop_wait_jobs(struct pindrop *dev, uint64_t first, uint64_t last,
		      uint64_t deadline, uint64_t *failed);
uint64_t pindrop_deadline(uint64_t from_now);

/* fence.c: fences are file descriptors, the kernel's sync_file */
int pindrop_submit_fenced(struct pindrop *dev, uint32_t channel,
			  const struct pindrop_job_desc *jobs, uint32_t count,
			  int in_fence, int *out_fence, uint64_t *first,
			  uint64_t *last, uint32_t *refused);
int pindrop_fence_wait(int fence, uint64_t deadline);
int pindrop_fence_merge(int fence, int other, int *both);

/*
 * ring.c: one thread at a time may get and submit entries of a ring, and one
 * may read its completions; those two need not know of each other
 */
int pindrop_ring_setup(struct pindrop *dev, struct pindrop_ring_setup *setup,
		       struct pindrop_ring **ring);
struct pindrop_ring *pindrop_ring_exit(struct pindrop_ring *ring);
struct pindrop_sqe *pindrop_ring_get_sqe(struct pindrop_ring *ring);
void pindrop_ring_prep_nop(struct pindrop_sqe *sqe);
void pindrop_ring_prep_copy(struct pindrop_sqe *sqe,
			    const struct pindrop_buf *dst, uint64_t dst_offset,
			    const struct pindrop_buf *src, uint64_t src_offset,
			    uint64_t length);
void pindrop_ring_prep_memory(struct pindrop_sqe *sqe, void *dst,
			      const void *src, uint64_t length);
int pindrop_ring_submit(struct pindrop_ring *ring);
int pindrop_ring_submit_and_wait(struct pindrop_ring *ring, uint32_t count);
int pindrop_ring_peek_cqe(struct pindrop_ring *ring, struct pindrop_cqe **cqe);
int pindrop_ring_wait_cqe(struct pindrop_ring *ring, uint64_t deadline,
			  struct pindrop_cqe **cqe);
void pindrop_ring_cqe_seen(struct pindrop_ring *ring);
void pindrop_ring_cq_advance(struct pindrop_ring *ring, uint32_t count);

/* find.c: these open nothing */
int pindrop_find(const char *engine, unsigned int index, char *node,
		 size_t size);
int pindrop_find_default(char *node, size_t size);
int pindrop_get_engine(const char *node, char *engine, size_t size);
int pindrop_get_counters(const char *node, struct pindrop_counters *counters,
			 size_t size);

/* text.c */
const char *pindrop_strerror(int err);
const char *pindrop_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBPINDROP_H */
