/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs about deaths share: an owner with a copy under way, its
 * end, and what has to be true right after it.
 */
#ifndef DEATH_UTILS_H
#define DEATH_UTILS_H

#include <sys/syscall.h>

#include "pindrop_utils.h"
#include "still_utils.h"

/* The same everywhere but on alpha. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

/* All of one death has 1 s; the rest is for a slow guest. */
#define DEATH_BOUND_MS 2000
/* Over the rest of a piece, which is all that hardware that works needs. */
#define DEATH_SLACK_MS 250
/* For death_left(): nobody has counted them. */
#define DEATH_ANY_JOBS (-1)

/* What the owner, its heirs and the test know of each other. */
struct death_shared {
	unsigned int flag; /* of pd_post() */
	int answer;
	pid_t pid;
	__u64 last;
};

/* A device on which somebody will die. */
struct death_watch {
	struct pd_env env;
	const char *test;
	struct death_shared *shared;
	struct still *still;
	int fd; /* kept open, so that only the owner's end ends its jobs */
	size_t pieces; /* that a copy has at least */
	long into_ms; /* after that long the device is writing */
	long bound_ms; /* from since_ns on */
	__u64 since_ns;
	long long pins;
	long long ended;
	long long out_of_memory; /* OOM kills in the system before the test */
};

/* The contents of a fixture's setup and teardown. */
#define DEATH_SETUP(w)                       \
	do {                                 \
		PD_SETUP(&(w)->env);         \
		MUST(death_watch(w));        \
		(w)->test = _metadata->name; \
	} while (0)
#define DEATH_TEARDOWN(w)               \
	do {                            \
		if ((w)->fd >= 0)       \
			close((w)->fd); \
		still_end((w)->still);  \
		PD_TEARDOWN(&(w)->env); \
	} while (0)

/*
 * Right after waitpid(): nothing is left, so many jobs have ended, in time,
 * and what was freed is not written any more.
 */
#define EXPECT_OVER(w, jobs)                           \
	do {                                           \
		EXPECT_STREQ("", death_left(w, jobs)); \
		EXPECT_STREQ("", death_strays(w));     \
	} while (0)

int death_watch(struct death_watch *w);
size_t death_len(const struct death_watch *w);
void death_start(struct death_watch *w, int fd, struct pd_buf *src,
		 struct pd_buf *dst);
pid_t death_fork(struct death_watch *w, void (*live)(struct death_watch *w));
bool death_ready(struct death_watch *w);
int death_kill(struct death_watch *w, pid_t pid);
int death_out_of_memory(struct death_watch *w, pid_t pid);
bool death_stop_at_exit(struct death_watch *w, pid_t pid);
const char *death_left(struct death_watch *w, long long jobs);
const char *death_strays(const struct death_watch *w);
int death_run_on(int cpu);
bool death_kernel_is_slow(void);

const char *death_group(unsigned long bytes);
int death_group_join(void);
long death_group_kills(void);
long death_group_objects(void);
void death_group_end(void);

int death_send_fds(int sock, const int *fd, unsigned int count);
int death_receive_fd(int sock);

#endif
