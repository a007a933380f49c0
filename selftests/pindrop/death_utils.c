// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "death_utils.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANARY_BYTES (8UL << 20)
#define CANARY_BYTE 0x5c
/* Buffers. */
#define TAKEN 64
/* Limit for reclaim and the OOM report, which are slow on a debug kernel. */
#define OUT_OF_MEMORY_MS 20000
#define CGROUPS "/tmp/pd_cgroups"
#define GROUP CGROUPS "/death"

int death_watch(struct death_watch *w)
{
	w->shared = pd_shared_page();
	if (!w->shared)
		return -ENOMEM;
	w->still = still_watch();
	w->fd = pd_open(&w->env);
	w->pieces = 4;
	/* It reads for 100 ms, and then writes for as long. */
	w->into_ms = strcmp(w->env.info.out_engine, "edu") ? 30 : 130;
	w->bound_ms = DEATH_BOUND_MS;
	if (!death_kernel_is_slow())
		w->bound_ms = w->env.info.out_piece_ms + DEATH_SLACK_MS;
	w->pins = pd_vmstat_pins();
	w->ended = pd_jobs_ended(&w->env);
	w->out_of_memory = pd_value("/proc/vmstat", "oom_kill");
	w->since_ns = pd_now_ns();
	return w->fd < 0 ? w->fd : 0;
}

/* Of a copy and its buffers. */
size_t death_len(const struct death_watch *w)
{
	const size_t page = w->env.page;

	return (w->pieces * w->env.info.out_max_piece + page - 1) / page * page;
}

/* In a child: a copy, the first piece of which is on the device. */
void death_start(struct death_watch *w, int fd, struct pd_buf *src,
		 struct pd_buf *dst)
{
	const size_t len = death_len(w);

	CHILD(fd >= 0);
	CHILD(!pd_create(fd, len, src));
	CHILD(!pd_create(fd, len, dst));
	memset(src->map, 0xee, len);
	w->shared->last = pd_start(fd, src, dst, len);
	CHILD(w->shared->last);
}

/* A child that does as it is told and then waits to be ended; -1: no child. */
pid_t death_fork(struct death_watch *w, void (*live)(struct death_watch *w))
{
	pid_t pid = fork();

	if (!pid) {
		live(w);
		pd_post(&w->shared->flag, 1);
		for (;;)
			pause();
	}
	return pid > 0 && death_ready(w) ? pid : -1;
}

/* Whether an owner has come to where it may be ended, in a piece. */
bool death_ready(struct death_watch *w)
{
	if (!pd_await(&w->shared->flag, 1))
		return false;
	pd_sleep_ms(w->into_ms);
	w->since_ns = pd_now_ns();
	return true;
}

/* As pd_join(). */
int death_kill(struct death_watch *w, pid_t pid)
{
	w->since_ns = pd_now_ns();
	kill(pid, SIGKILL);
	return pd_join(pid);
}

/*
 * pd_join() for a child that the OOM killer ends. The kernel counts the kill right before
 * it sends the signal, so since_ns excludes reclaim and the report. Without a counted
 * kill the result is -ETIME: the death would not be timed.
 */
int death_out_of_memory(struct death_watch *w, pid_t pid)
{
	const __u64 begin = pd_now_ns();
	__u64 now = begin;
	bool counted;
	int status;

	w->bound_ms = DEATH_BOUND_MS;
	for (;;) {
		counted = pd_value("/proc/vmstat", "oom_kill") !=
			  w->out_of_memory;
		if (counted || pd_ms_since(begin) > OUT_OF_MEMORY_MS)
			break;
		w->since_ns = now;
		pd_sleep_ms(1);
		now = pd_now_ns();
	}
	status = pd_join(pid);
	return counted ? status : -ETIME;
}

/* To where a traced task has taken its signal and not yet given up anything. */
bool death_stop_at_exit(struct death_watch *w, pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT))
		return false;
	w->since_ns = pd_now_ns();
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
	       status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8);
}

__attribute__((format(printf, 2, 3)))
static void add(char (*text)[256], const char *format, ...)
{
	size_t used = strlen(*text);
	va_list args;

	va_start(args, format);
	vsnprintf(*text + used, sizeof(*text) - used, format, args);
	va_end(args);
}

/*
 * What a death that is over has left, or ""; to be called first. Contexts are
 * not looked at: somebody else may hold the file.
 */
const char *death_left(struct death_watch *w, long long jobs)
{
	static const struct {
		enum pd_counter which;
		const char *name;
	} list[] = {
		{ PD_INFLIGHT, "jobs in flight" },
		{ PD_PINNED, "pages pinned" },
		{ PD_QUARANTINED, "bytes in quarantine" },
		{ PD_BUFFERS, "buffers" },
		{ PD_BYTES, "bytes" },
	};
	long ms = pd_ms_since(w->since_ns);
	long long now[ARRAY_LEN(list)], pins, ended;
	static char text[256];
	const char *program = program_invocation_short_name;
	char scenario[64];
	unsigned int i;
	long still;

	for (i = 0; i < ARRAY_LEN(list); i++)
		now[i] = pd_grown(&w->env, list[i].which);
	pins = pd_vmstat_pins() - w->pins;
	ended = pd_jobs_ended(&w->env) - w->ended;

	text[0] = 0;
	for (i = 0; i < ARRAY_LEN(list); i++)
		if (now[i])
			add(&text, "%lld %s. ", now[i], list[i].name);
	if (pins)
		add(&text, "%lld pages pinned in the system. ", pins);
	if (jobs != DEATH_ANY_JOBS && ended != jobs)
		add(&text, "%lld of %lld jobs ended. ", ended, jobs);
	if (ms > w->bound_ms) {
		still = still_ms(w->still, w->since_ns);
		fprintf(stderr, "# the machine stood still for %ld of %ld ms\n",
			still, ms);
		if (ms - still > w->bound_ms)
			add(&text, "it took %ld ms. ", ms);
	}
	if (w->test) {
		if (!strncmp(program, "death_", strlen("death_")))
			program += strlen("death_");
		snprintf(scenario, sizeof(scenario), "%s:%s", program, w->test);
		pd_matrix(scenario, ms, pins ? -1 : ms, now[2]);
	}
	return text;
}

static bool written(const unsigned char *mem, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (mem[i] != CANARY_BYTE)
			return true;
	return false;
}

/*
 * P1: what was freed is taken at once, by the driver (which asks where the
 * freed memory came from, and gives it the same bus addresses) and by the
 * caller, and watched for as long as a device that was forgotten may write.
 */
const char *death_strays(const struct death_watch *w)
{
	struct pd_buf taken[TAKEN] = {}, *buf;
	const char *text = "";
	unsigned char *mem;
	size_t len;
	int fd;

	fd = pd_open(&w->env);
	if (fd < 0)
		return "the device cannot be opened any more";
	for (buf = taken; buf < taken + TAKEN; buf++) {
		/* Most by the page, as it was given back. */
		len = buf < taken + 2 ? death_len(w) : w->env.page;
		if (pd_create(fd, len, buf))
			text = "no memory for the canary";
		else
			memset(buf->map, CANARY_BYTE, len);
	}
	mem = mmap(NULL, CANARY_BYTES, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (mem == MAP_FAILED)
		return "no memory for the canary";
	memset(mem, CANARY_BYTE, CANARY_BYTES);
	pd_sleep_ms(w->env.info.out_piece_ms);
	if (written(mem, CANARY_BYTES))
		text = "freed memory was written";
	munmap(mem, CANARY_BYTES);
	for (buf = taken; buf < taken + TAKEN; buf++) {
		if (buf->map && written(buf->map, buf->len))
			text = "somebody else's buffer was written";
		pd_unmap(buf);
	}
	close(fd);
	return text;
}

/* The caller and its children, with nobody beside them. */
int death_run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* Whether it is a kernel that looks for mistakes, and takes its time. */
bool death_kernel_is_slow(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

/* A group in which memory is counted; why not, or NULL. */
const char *death_group(unsigned long bytes)
{
	char text[32];

	mkdir(CGROUPS, 0700);
	if (mount("none", CGROUPS, "cgroup2", 0, NULL))
		return "no control groups";
	if (pd_write_file(CGROUPS "/cgroup.subtree_control", "+memory"))
		return "control groups do not count memory";
	if (mkdir(GROUP, 0700))
		return "no control group";
	snprintf(text, sizeof(text), "%lu", bytes);
	return pd_write_file(GROUP "/memory.max", text) ?
		       "the group has no limit" :
		       NULL;
}

/* Of the caller. */
int death_group_join(void)
{
	return pd_write_file(GROUP "/cgroup.procs", "0");
}

/* How often the kernel has killed in the group. */
long death_group_kills(void)
{
	return pd_value(GROUP "/memory.events", "oom_kill");
}

/* Bytes of the kernel's objects that the group is charged with; lags behind. */
long death_group_objects(void)
{
	return pd_value(GROUP "/memory.stat", "slab_unreclaimable");
}

/* Whatever there is of it. */
void death_group_end(void)
{
	rmdir(GROUP);
	umount2(CGROUPS, MNT_DETACH);
	rmdir(CGROUPS);
}

union rights {
	struct cmsghdr align;
	char space[CMSG_SPACE(3 * sizeof(int))];
};

/* At most three. */
int death_send_fds(int sock, const int *fd, unsigned int count)
{
	char byte = 0;
	union rights u = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = u.space,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fd, count * sizeof(int));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -errno;
}

/* The first of them. */
int death_receive_fd(int sock)
{
	char byte;
	union rights u = {};
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = u.space,
		.msg_controllen = sizeof(u.space),
	};
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}
