/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs share: finding the device, its verbs as functions, its
 * counters, patterns, children.
 *
 * Functions that wrap a verb return 0 or -errno. MUST() and FAILS() turn any
 * of them into a call that has to succeed, or to fail in one way.
 */
#ifndef PINDROP_UTILS_H
#define PINDROP_UTILS_H

#include <linux/pindrop.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* As one statement: an ASSERT alone ends no loop around it. */
#define MUST(call)                    \
	do {                          \
		ASSERT_EQ(0, (call)); \
	} while (0)
#define FAILS(error, call) EXPECT_EQ(-(error), (call))

/* Before XFAIL_ADD() came the harness went on with a test whose setup skipped. */
#ifdef XFAIL_ADD
#define PD_LEAVE_SETUP return
#else
#define PD_LEAVE_SETUP _exit(255)
#endif

/* The contents of a fixture's setup and teardown: a device, nothing leaked. */
#define PD_SETUP(env)                                           \
	do {                                                    \
		const char *pd_missing = pd_env_find(env);      \
		if (pd_missing)                                 \
			SKIP(PD_LEAVE_SETUP, "%s", pd_missing); \
		MUST(pd_env_init(env));                         \
	} while (0)
#define PD_TEARDOWN(env)                              \
	do {                                          \
		pd_end_children();                    \
		EXPECT_STREQ("", pd_env_leaks(env)); \
	} while (0)

/* Behind PD_SETUP(), for tests of fences, which not every kernel has. */
#define PD_NEEDS_FENCES(env)                                            \
	do {                                                            \
		if (!pd_has_fences(env))                                \
			SKIP(PD_LEAVE_SETUP, "the kernel has no fences"); \
	} while (0)

/* In a child, where the harness cannot be used: say what failed, and end. */
#define CHILD(cond)                                                 \
	do {                                                        \
		if (!(cond))                                        \
			pd_child_failed(__FILE__, __LINE__, #cond); \
	} while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The first PD_NR_LEAKS are zero on a device that nobody uses. */
enum pd_counter {
	PD_INFLIGHT,
	PD_PINNED,
	PD_QUARANTINED,
	PD_BUFFERS,
	PD_BYTES,
	PD_CONTEXTS,
	PD_NR_LEAKS,
	PD_JOBS_DONE = PD_NR_LEAKS,
	PD_JOBS_FAILED,
	PD_JOBS_CANCELLED,
	PD_NR_COUNTERS
};

struct pd_counters {
	long long v[PD_NR_COUNTERS];
};

/* The device under test, and what its counters were before the test. */
struct pd_env {
	char path[256];
	char sysfs[64];
	size_t page;
	struct pindrop_info info;
	struct pd_counters before;
};

/* A buffer; @map is NULL while it is not mapped. Or a pin or an import. */
struct pd_buf {
	__u32 handle;
	__u64 offset;
	size_t len;
	unsigned char *map;
};

/* An ordinary user, who may open the node after pd_open_to_members(). */
#define PD_MEMBER 1000

/* Set in pd_wait() for a wait without end. */
#define PD_FOREVER (-1)

const char *pd_env_find(struct pd_env *env);
int pd_env_init(struct pd_env *env);
const char *pd_env_leaks(const struct pd_env *env);
int pd_open(const struct pd_env *env);
int pd_open_to_members(const struct pd_env *env, mode_t *before);

long long pd_count(const struct pd_env *env, enum pd_counter which);
long long pd_grown(const struct pd_env *env, enum pd_counter which);
void pd_count_all(const struct pd_env *env, struct pd_counters *c);
bool pd_count_becomes(const struct pd_env *env, enum pd_counter which,
		      long long want, long ms);
long long pd_jobs_ended(const struct pd_env *env);
long long pd_value(const char *file, const char *of);
long long pd_vmstat_pins(void);

int pd_ioctl(int fd, unsigned int verb, void *arg);
int pd_info(int fd, struct pindrop_info *info);
int pd_alloc(int fd, __u64 len, __u32 flags, struct pd_buf *buf);
int pd_pin(int fd, const void *mem, size_t len, __u32 flags,
	   struct pd_buf *pin);
int pd_export(int fd, __u32 handle, int *dmabuf);
int pd_import(int fd, int dmabuf, struct pd_buf *buf);
bool pd_has_fences(const struct pd_env *env);
int pd_free(int fd, __u32 handle);
int pd_sync(int fd, __u32 handle, __u32 flags, __u64 offset, __u64 len);
int pd_submit(int fd, const struct pindrop_job_desc *jobs, unsigned int count,
	      struct pindrop_submit *out);
int pd_submit_on(int fd, unsigned int channel,
		 const struct pindrop_job_desc *jobs, unsigned int count,
		 struct pindrop_submit *out);
int pd_wait(int fd, __u64 ticket, int timeout_ms, struct pindrop_wait *out);
int pd_wait_range(int fd, __u64 first, __u64 ticket, int timeout_ms,
		  struct pindrop_wait *out);
__u64 pd_start(int fd, const struct pd_buf *src, const struct pd_buf *dst,
	       size_t len);
__u64 pd_start_on(int fd, unsigned int channel, const struct pd_buf *src,
		  const struct pd_buf *dst, size_t len);
int pd_result(int fd, __u64 ticket);
int pd_run(int fd, const struct pindrop_job_desc *jobs, unsigned int count);

struct pindrop_job_desc pd_nop(__u64 user_data);
struct pindrop_job_desc pd_copy(const struct pd_buf *src, __u64 src_offset,
				const struct pd_buf *dst, __u64 dst_offset,
				__u64 len);

void *pd_mmap(int fd, __u64 offset, size_t len, int prot, int *error);
int pd_map(int fd, struct pd_buf *buf);
int pd_unmap(struct pd_buf *buf);
int pd_create(int fd, size_t len, struct pd_buf *buf);
const volatile struct pindrop_window *pd_window(int fd);

int pd_kmsg_open(void);
int pd_kmsg_count(int fd, const char *text);

int pd_load_module(const char *file, const char *parameters);
int pd_unload_module(const char *name);

__u64 pd_wide(const void *mem, unsigned int n);

void pd_fill(void *mem, size_t len, unsigned int seed);
long pd_wrong(const void *mem, size_t len, unsigned int seed);
long pd_nonzero(const void *mem, size_t len);
int pd_vmflags(const void *addr, const char *flag);

__u64 pd_now_ns(void);
long pd_ms_since(__u64 start_ns);
void pd_sleep_ms(long ms);

int pd_write_file(const char *path, const char *text);
int pd_write_in(const char *dir, const char *name, const char *text);
int pd_read_file(const char *path, char *text, size_t size);
int pd_read_in(const char *dir, const char *name, char *text, size_t size);
long long pd_number_in(const char *dir, const char *name);

void pd_child_failed(const char *file, int line, const char *what)
	__attribute__((noreturn));
int pd_join(pid_t pid);
void pd_end_children(void);

void *pd_shared_page(void);
void pd_post(volatile unsigned int *flag, unsigned int value);
bool pd_await(volatile unsigned int *flag, unsigned int value);

void pd_matrix(const char *scenario, long death_ms, long pins_ms,
	       long long quarantined);

#endif
