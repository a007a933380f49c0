/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A context's rings, without the library: a test has to be able to do what no
 * library would. Functions return 0 or -errno, where they say nothing else.
 */
#ifndef RING_UTILS_H
#define RING_UTILS_H

#include "pindrop_utils.h"

/* More than anything here takes. */
#define RING_LONG_MS 20000
#define RING_ADDRESSES (PINDROP_SQE_SRC_ADDR | PINDROP_SQE_DST_ADDR)

/* @tail and @head are the test's own; what others see is in @shared. */
struct ring {
	int fd;
	struct pindrop_ring_setup setup;
	struct pindrop_ring_header *shared;
	struct pindrop_sqe *sqes;
	struct pindrop_cqe *cqes;
	__u32 tail;
	__u32 head;
};

/* Flags of ring_enter(). */
#define GETEVENTS PINDROP_ENTER_GETEVENTS
#define WAKEUP PINDROP_ENTER_WAKEUP

/* Of the words in @shared. */
#define RING_LOAD(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define RING_STORE(word, value) \
	__atomic_store_n(&(word), (value), __ATOMIC_RELEASE)

int ring_make(int fd, const struct pindrop_ring_setup *want, struct ring *r);
int ring_open(int fd, __u32 entries, __u32 flags, struct ring *r);
int ring_look(int fd, const struct ring *of, int prot, struct ring *r);
void ring_close(struct ring *r);

bool ring_fill(struct ring *r, const struct pindrop_job_desc *job);
void ring_publish(struct ring *r);
bool ring_put(struct ring *r, const struct pindrop_job_desc *job);
bool ring_put_nop(struct ring *r, __u64 user_data);
int ring_enter(struct ring *r, __u32 flags, __u32 to_submit, __u32 min_complete,
	       int timeout_ms);
int ring_submit(struct ring *r);

bool ring_get(struct ring *r, struct pindrop_cqe *cqe);
bool ring_await(struct ring *r, struct pindrop_cqe *cqe, long ms);
int ring_flushed(struct ring *r, struct pindrop_cqe *cqe);
bool ring_collect(struct ring *r, struct pindrop_cqe *cqe, long ms);
struct pindrop_job_desc ring_by_address(const struct pd_buf *src,
					const void *from,
					const struct pd_buf *dst, void *to,
					size_t len);
int ring_do_one(struct ring *r, const struct pindrop_job_desc *job);
void *ring_anon(size_t len, int prot);
bool ring_sleeps(struct ring *r, long ms);
pid_t ring_thread(pid_t owner);
bool ring_thread_gone(pid_t owner, long ms);

int ring_trace_start(void);
int ring_trace_write(const char *file, const char *text);
int ring_trace_enable(const char *event, const char *value);
unsigned int ring_trace_count(const char *what);
void ring_trace_end(void);

#endif
