// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "ring_utils.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRACE "/sys/kernel/tracing/instances/pindrop_ring"

static void ring_place(struct ring *r, void *at)
{
	r->shared = at;
	r->sqes = (void *)((char *)at + r->setup.out_sqes);
	r->cqes = (void *)((char *)at + r->setup.out_cqes);
}

/* Makes a ring and maps it. */
int ring_make(int fd, const struct pindrop_ring_setup *want, struct ring *r)
{
	void *at;
	int err;

	memset(r, 0, sizeof(*r));
	r->fd = fd;
	r->setup = *want;
	r->setup.size = sizeof(r->setup);
	err = pd_ioctl(fd, PINDROP_VERB_RING_SETUP, &r->setup);
	if (err)
		return err;
	at = pd_mmap(fd, r->setup.out_offset, r->setup.out_length,
		     PROT_READ | PROT_WRITE, &err);
	if (at)
		ring_place(r, at);
	return err;
}

int ring_open(int fd, __u32 entries, __u32 flags, struct ring *r)
{
	struct pindrop_ring_setup want = {
		.entries = entries,
		.flags = flags,
	};

	return ring_make(fd, &want, r);
}

/* Another mapping, perhaps of somebody else, of a ring that was made. */
int ring_look(int fd, const struct ring *of, int prot, struct ring *r)
{
	void *at;
	int err;

	*r = *of;
	r->fd = fd;
	r->head = 0;
	r->shared = NULL;
	at = pd_mmap(fd, of->setup.out_offset, of->setup.out_length, prot,
		     &err);
	if (at)
		ring_place(r, at);
	return err;
}

void ring_close(struct ring *r)
{
	if (r->shared)
		munmap(r->shared, r->setup.out_length);
	r->shared = NULL;
}

/* Fills the next entry; false if there is none. */
bool ring_fill(struct ring *r, const struct pindrop_job_desc *job)
{
	struct pindrop_sqe *sqe = &r->sqes[r->tail & (r->setup.entries - 1)];

	if (r->tail - RING_LOAD(r->shared->sq_head) >= r->setup.entries)
		return false;
	memset(sqe, 0, sizeof(*sqe));
	sqe->job = *job;
	r->tail++;
	return true;
}

void ring_publish(struct ring *r)
{
	RING_STORE(r->shared->sq_tail, r->tail);
}

bool ring_put(struct ring *r, const struct pindrop_job_desc *job)
{
	if (!ring_fill(r, job))
		return false;
	ring_publish(r);
	return true;
}

bool ring_put_nop(struct ring *r, __u64 user_data)
{
	struct pindrop_job_desc nop = pd_nop(user_data);

	return ring_put(r, &nop);
}

/* What the verb returns: a number, or -errno. */
int ring_enter(struct ring *r, __u32 flags, __u32 to_submit, __u32 min_complete,
	       int timeout_ms)
{
	struct pindrop_ring_enter args = {
		.size = sizeof(args),
		.flags = flags,
		.to_submit = to_submit,
		.min_complete = min_complete,
		.timeout_ns = pd_now_ns() + timeout_ms * 1000000ULL,
	};
	int n;

	if (timeout_ms == PD_FOREVER)
		args.timeout_ns = ~0ULL;
	n = ioctl(r->fd, PINDROP_IOC_RING_ENTER, &args);
	return n < 0 ? -errno : n;
}

/* As a program does: with a thread only if it sleeps. */
int ring_submit(struct ring *r)
{
	__u32 pending = r->tail - RING_LOAD(r->shared->sq_head);

	if (!(r->setup.flags & PINDROP_RING_THREAD))
		return ring_enter(r, 0, pending, 0, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(RING_LOAD(r->shared->sq_flags) & PINDROP_SQ_NEED_WAKEUP))
		return 0;
	return ring_enter(r, PINDROP_ENTER_WAKEUP, 0, 0, 0);
}

/* The next completion, if it is there; no system call. */
bool ring_get(struct ring *r, struct pindrop_cqe *cqe)
{
	__u32 mask = r->setup.out_cq_entries - 1;

	if (RING_LOAD(r->shared->cq_tail) == r->head)
		return false;
	*cqe = r->cqes[r->head++ & mask];
	RING_STORE(r->shared->cq_head, r->head);
	return true;
}

/* Never enters the driver. */
bool ring_await(struct ring *r, struct pindrop_cqe *cqe, long ms)
{
	__u64 start = pd_now_ns();

	while (!ring_get(r, cqe)) {
		if (pd_ms_since(start) > ms)
			return false;
		usleep(50);
	}
	return true;
}

/* The next one, asking for those that were kept: 1, 0 or -errno. */
int ring_flushed(struct ring *r, struct pindrop_cqe *cqe)
{
	int n;

	if (ring_get(r, cqe))
		return 1;
	if (!(RING_LOAD(r->shared->cq_flags) & PINDROP_CQ_OVERFLOW) &&
	    !(RING_LOAD(r->shared->sq_flags) & PINDROP_SQ_NEED_ENTER))
		return 0;
	n = ring_enter(r, PINDROP_ENTER_GETEVENTS, 0, 0, 0);
	return ring_get(r, cqe) ? 1 : n;
}

/* The next one; enters the driver if that asks for it. */
bool ring_collect(struct ring *r, struct pindrop_cqe *cqe, long ms)
{
	__u64 start = pd_now_ns();

	while (ring_flushed(r, cqe) != 1) {
		if (pd_ms_since(start) > ms)
			return false;
		usleep(50);
	}
	return true;
}

bool ring_sleeps(struct ring *r, long ms)
{
	__u64 start = pd_now_ns();

	while (!(RING_LOAD(r->shared->sq_flags) & PINDROP_SQ_NEED_WAKEUP)) {
		if (pd_ms_since(start) > ms)
			return false;
		pd_sleep_ms(1);
	}
	return true;
}

/* The thread that serves a process's ring, or 0. */
pid_t ring_thread(pid_t owner)
{
	char path[64], name[32], want[32];
	struct dirent *entry;
	pid_t found = 0;
	DIR *proc;
	FILE *f;

	snprintf(want, sizeof(want), "pindrop/%d\n", owner);
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		if (atoi(entry->d_name) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm",
			 atoi(entry->d_name));
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && !strcmp(name, want))
			found = atoi(entry->d_name);
		fclose(f);
	}
	if (proc)
		closedir(proc);
	return found;
}

bool ring_thread_gone(pid_t owner, long ms)
{
	__u64 start = pd_now_ns();

	while (ring_thread(owner)) {
		if (pd_ms_since(start) > ms)
			return false;
		pd_sleep_ms(2);
	}
	return true;
}

/* What the kernel itself says, in an instance of its tracing of our own. */
int ring_trace_start(void)
{
	rmdir(TRACE);
	if (mkdir(TRACE, 0700))
		return -errno;
	/* Names of processes would have the kernel patch its scheduler. */
	return pd_write_file(TRACE "/trace_options", "norecord-cmd");
}

int ring_trace_write(const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), TRACE "/%s", file);
	return pd_write_file(path, text);
}

int ring_trace_enable(const char *event, const char *value)
{
	char file[128];

	snprintf(file, sizeof(file), "events/%s/enable", event);
	return ring_trace_write(file, value);
}

/* Lines that say so. */
unsigned int ring_trace_count(const char *what)
{
	FILE *f = fopen(TRACE "/trace", "re");
	unsigned int n = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		n += line[0] != '#' && strstr(line, what);
	if (f)
		fclose(f);
	return n;
}

void ring_trace_end(void)
{
	rmdir(TRACE);
}

/* One side or both are addresses, where there is no buffer. */
struct pindrop_job_desc ring_by_address(const struct pd_buf *src,
					const void *from,
					const struct pd_buf *dst, void *to,
					size_t len)
{
	struct pindrop_job_desc job = { .op = PINDROP_OP_COPY, .length = len };

	if (src) {
		job.src = src->handle;
	} else {
		job.flags |= PINDROP_SQE_SRC_ADDR;
		job.src_offset = (unsigned long)from;
	}
	if (dst) {
		job.dst = dst->handle;
	} else {
		job.flags |= PINDROP_SQE_DST_ADDR;
		job.dst_offset = (unsigned long)to;
	}
	return job;
}

int ring_do_one(struct ring *r, const struct pindrop_job_desc *job)
{
	struct pindrop_cqe cqe;
	int n;

	if (!ring_put(r, job))
		return -1000;
	n = ring_submit(r);
	if (n < 0)
		return n;
	return ring_collect(r, &cqe, RING_LONG_MS) ? cqe.result : -1001;
}

void *ring_anon(size_t len, int prot)
{
	void *at = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}
