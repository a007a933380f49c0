// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "pindrop_utils.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * A context is also held by work that retires jobs which were reported
 * already, so its count alone may trail the close by that work.
 */
#define TRAILING_MS 2000

static const char *const counter_names[PD_NR_COUNTERS] = {
	[PD_INFLIGHT] = "inflight",
	[PD_PINNED] = "pinned",
	[PD_QUARANTINED] = "quarantined",
	[PD_BUFFERS] = "buffers",
	[PD_BYTES] = "bytes",
	[PD_CONTEXTS] = "contexts",
	[PD_JOBS_DONE] = "jobs_done",
	[PD_JOBS_FAILED] = "jobs_failed",
	[PD_JOBS_CANCELLED] = "jobs_cancelled",
};

/* Whether a node is driven by the engine that is asked for, if one is. */
static bool engine_fits(const char *path, const char *engine)
{
	struct pindrop_info info;
	bool fits;
	int fd;

	if (!engine)
		return true;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	fits = !pd_info(fd, &info) && !strcmp(info.out_engine, engine);
	close(fd);
	return fits;
}

static bool scan_nodes(struct pd_env *env, const char *engine)
{
	int minor;

	for (minor = 0; minor < 256; minor++) {
		snprintf(env->path, sizeof(env->path), "/dev/pindrop%d", minor);
		if (!access(env->path, F_OK) && engine_fits(env->path, engine))
			return true;
	}
	return false;
}

/* Returns NULL, or why there is nothing to test. */
const char *pd_env_find(struct pd_env *env)
{
	const char *dev = getenv("PINDROP_DEV");
	const char *engine = getenv("PINDROP_ENGINE");

	memset(env, 0, sizeof(*env));
	if (dev && *dev) {
		snprintf(env->path, sizeof(env->path), "%s", dev);
		return access(dev, F_OK) ? "PINDROP_DEV does not exist" : NULL;
	}
	if (engine && !*engine)
		engine = NULL;
	if (scan_nodes(env, engine))
		return NULL;
	return engine ? "no device of PINDROP_ENGINE" : "no /dev/pindropN";
}

int pd_env_init(struct pd_env *env)
{
	struct stat st;
	int fd, err;

	env->page = sysconf(_SC_PAGESIZE);
	if (stat(env->path, &st))
		return -errno;
	snprintf(env->sysfs, sizeof(env->sysfs), "/sys/dev/char/%u:%u",
		 major(st.st_rdev), minor(st.st_rdev));
	pd_count_all(env, &env->before);
	fd = pd_open(env);
	if (fd < 0)
		return fd;
	err = pd_info(fd, &env->info);
	close(fd);
	return err;
}

/* Says what is more or less than before; "" if nothing is. */
const char *pd_env_leaks(const struct pd_env *env)
{
	static char text[256];
	struct pd_counters now;
	size_t used = 0;
	int i;

	text[0] = 0;
	for (i = 0; i < PD_NR_LEAKS; i++)
		now.v[i] = pd_count(env, i);
	if (pd_count_becomes(env, PD_CONTEXTS, env->before.v[PD_CONTEXTS],
			     TRAILING_MS))
		now.v[PD_CONTEXTS] = env->before.v[PD_CONTEXTS];
	for (i = 0; i < PD_NR_LEAKS && used < sizeof(text); i++)
		if (now.v[i] != env->before.v[i])
			used += snprintf(text + used, sizeof(text) - used,
					 "%s was %lld is %lld. ",
					 counter_names[i], env->before.v[i],
					 now.v[i]);
	return text;
}

/* Sets the node's mode as the udev rule's group does, and tells what it was. */
int pd_open_to_members(const struct pd_env *env, mode_t *before)
{
	struct stat st;

	if (stat(env->path, &st) || chmod(env->path, 0666))
		return -errno;
	*before = st.st_mode & 07777;
	return 0;
}

int pd_open(const struct pd_env *env)
{
	int fd = open(env->path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A counter's value; -1 if it is not one decimal and a line's end. */
long long pd_count(const struct pd_env *env, enum pd_counter which)
{
	char path[128], text[64], *end;
	long long value;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", env->sysfs, counter_names[which]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return -1;
	text[len] = 0;
	value = strtoll(text, &end, 10);
	return strcmp(end, "\n") ? -1 : value;
}

/* What a counter has gained since the test began. */
long long pd_grown(const struct pd_env *env, enum pd_counter which)
{
	return pd_count(env, which) - env->before.v[which];
}

void pd_count_all(const struct pd_env *env, struct pd_counters *c)
{
	int i;

	for (i = 0; i < PD_NR_COUNTERS; i++)
		c->v[i] = pd_count(env, i);
}

bool pd_count_becomes(const struct pd_env *env, enum pd_counter which,
		      long long want, long ms)
{
	__u64 start = pd_now_ns();

	while (pd_count(env, which) != want) {
		if (pd_ms_since(start) > ms)
			return false;
		pd_sleep_ms(2);
	}
	return true;
}

/* Grows when the end of a job is proved, before its memory is let go. */
long long pd_jobs_ended(const struct pd_env *env)
{
	return pd_count(env, PD_JOBS_DONE) + pd_count(env, PD_JOBS_FAILED) +
	       pd_count(env, PD_JOBS_CANCELLED);
}

/* A value of a file with lines of a name and a number; -1 if no line has the name. */
long long pd_value(const char *file, const char *of)
{
	long long value, found = -1;
	FILE *f = fopen(file, "re");
	char name[64];

	if (!f)
		return -1;
	while (found < 0 && fscanf(f, "%63s %lld", name, &value) == 2)
		if (!strcmp(name, of))
			found = value;
	fclose(f);
	return found;
}

/*
 * Pages that are pinned in the whole system. The kernel adds its counts up
 * every second, or when root asks it to.
 */
long long pd_vmstat_pins(void)
{
	pd_write_file("/proc/sys/vm/stat_refresh", "1");
	return pd_value("/proc/vmstat", "nr_foll_pin_acquired") -
	       pd_value("/proc/vmstat", "nr_foll_pin_released");
}

int pd_ioctl(int fd, unsigned int verb, void *arg)
{
	return ioctl(fd, _IO(PINDROP_IOC_TYPE, verb), arg) ? -errno : 0;
}

int pd_info(int fd, struct pindrop_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return pd_ioctl(fd, PINDROP_VERB_INFO, info);
}

int pd_alloc(int fd, __u64 len, __u32 flags, struct pd_buf *buf)
{
	struct pindrop_alloc args = {
		.size = sizeof(args),
		.flags = flags,
		.length = len,
	};
	int err;

	/* A test that goes on after a failure should not look right. */
	memset(buf, 0xa5, sizeof(*buf));
	buf->map = NULL;
	buf->len = len;
	err = pd_ioctl(fd, PINDROP_VERB_ALLOC, &args);
	if (err)
		return err;
	buf->handle = args.out_handle;
	buf->offset = args.out_offset;
	return 0;
}

/* The memory is the pin's map, for those who look at it. */
int pd_pin(int fd, const void *mem, size_t len, __u32 flags, struct pd_buf *pin)
{
	struct pindrop_pin args = {
		.size = sizeof(args),
		.flags = flags,
		.address = (unsigned long)mem,
		.length = len,
	};
	int err;

	memset(pin, 0xa5, sizeof(*pin));
	pin->map = (unsigned char *)mem;
	pin->len = len;
	err = pd_ioctl(fd, PINDROP_VERB_PIN, &args);
	if (!err)
		pin->handle = args.out_handle;
	return err;
}

int pd_export(int fd, __u32 handle, int *dmabuf)
{
	struct pindrop_export args = {
		.size = sizeof(args),
		.handle = handle,
	};
	int err = pd_ioctl(fd, PINDROP_VERB_EXPORT, &args);

	*dmabuf = err ? -1 : args.out_fd;
	return err;
}

int pd_import(int fd, int dmabuf, struct pd_buf *buf)
{
	struct pindrop_import args = { .size = sizeof(args), .fd = dmabuf };
	int err = pd_ioctl(fd, PINDROP_VERB_IMPORT, &args);

	*buf = (struct pd_buf){
		.handle = args.out_handle,
		.len = args.out_length,
	};
	return err;
}

bool pd_has_fences(const struct pd_env *env)
{
	return env->info.out_caps & PINDROP_CAP_SUBMIT_FENCE;
}

int pd_free(int fd, __u32 handle)
{
	struct pindrop_free args = { .size = sizeof(args), .handle = handle };

	return pd_ioctl(fd, PINDROP_VERB_FREE, &args);
}

int pd_sync(int fd, __u32 handle, __u32 flags, __u64 offset, __u64 len)
{
	struct pindrop_sync args = {
		.size = sizeof(args),
		.flags = flags,
		.handle = handle,
		.offset = offset,
		.length = len,
	};

	return pd_ioctl(fd, PINDROP_VERB_SYNC, &args);
}

int pd_submit(int fd, const struct pindrop_job_desc *jobs, unsigned int count,
	      struct pindrop_submit *out)
{
	return pd_submit_on(fd, 0, jobs, count, out);
}

/* @out may be NULL. */
int pd_submit_on(int fd, unsigned int channel,
		 const struct pindrop_job_desc *jobs, unsigned int count,
		 struct pindrop_submit *out)
{
	struct pindrop_submit args = {
		.size = sizeof(args),
		.jobs = (unsigned long)jobs,
		.count = count,
		.channel = channel,
	};
	int err;

	if (out)
		memset(out, 0xa5, sizeof(*out));
	err = pd_ioctl(fd, PINDROP_VERB_SUBMIT, &args);
	if (out)
		*out = args;
	return err;
}

int pd_wait_range(int fd, __u64 first, __u64 ticket, int timeout_ms,
		  struct pindrop_wait *out)
{
	struct pindrop_wait args = {
		.size = sizeof(args),
		.first = first,
		.ticket = ticket,
		.timeout_ns = pd_now_ns() + timeout_ms * 1000000ULL,
	};
	int err;

	if (timeout_ms == PD_FOREVER)
		args.timeout_ns = ~0ULL;
	if (out)
		memset(out, 0xa5, sizeof(*out));
	err = pd_ioctl(fd, PINDROP_VERB_WAIT, &args);
	if (out)
		*out = args;
	return err;
}

int pd_wait(int fd, __u64 ticket, int timeout_ms, struct pindrop_wait *out)
{
	return pd_wait_range(fd, 0, ticket, timeout_ms, out);
}

/* Submits, waits, and returns the result of the first job that failed. */
int pd_run(int fd, const struct pindrop_job_desc *jobs, unsigned int count)
{
	struct pindrop_submit sub;
	struct pindrop_wait wait;
	int err;

	err = pd_submit(fd, jobs, count, &sub);
	if (!err)
		err = pd_wait_range(fd, sub.out_first, sub.out_last, PD_FOREVER,
				    &wait);
	return err ? err : wait.out_result;
}

struct pindrop_job_desc pd_nop(__u64 user_data)
{
	struct pindrop_job_desc job = {
		.op = PINDROP_OP_NOP,
		.user_data = user_data,
	};

	return job;
}

/* Starts a copy from the beginning; returns its ticket, or 0. */
__u64 pd_start_on(int fd, unsigned int channel, const struct pd_buf *src,
		  const struct pd_buf *dst, size_t len)
{
	struct pindrop_job_desc job = pd_copy(src, 0, dst, 0, len);
	struct pindrop_submit sub;

	return pd_submit_on(fd, channel, &job, 1, &sub) ? 0 : sub.out_last;
}

__u64 pd_start(int fd, const struct pd_buf *src, const struct pd_buf *dst,
	       size_t len)
{
	return pd_start_on(fd, 0, src, dst, len);
}

/* Waits for a job, or all up to it: what became of it, or why not. */
int pd_result(int fd, __u64 ticket)
{
	struct pindrop_wait wait;
	int err = pd_wait(fd, ticket, 30000, &wait);

	return err ? err : wait.out_result;
}

/* NULL stands for the device's own memory. */
struct pindrop_job_desc pd_copy(const struct pd_buf *src, __u64 src_offset,
				const struct pd_buf *dst, __u64 dst_offset,
				__u64 len)
{
	struct pindrop_job_desc job = {
		.op = PINDROP_OP_COPY,
		.src = src ? src->handle : PINDROP_DEVMEM,
		.dst = dst ? dst->handle : PINDROP_DEVMEM,
		.src_offset = src_offset,
		.dst_offset = dst_offset,
		.length = len,
	};

	return job;
}

/* A shared mapping, or NULL and -errno in *error if that is not NULL. */
void *pd_mmap(int fd, __u64 offset, size_t len, int prot, int *error)
{
	void *mem = mmap(NULL, len, prot, MAP_SHARED, fd, offset);

	if (error)
		*error = mem == MAP_FAILED ? -errno : 0;
	return mem == MAP_FAILED ? NULL : mem;
}

/*
 * The @n-th address that no program can have, and that has the lower bits of one
 * that this program has; 0 after the last. Some machines look at no more than
 * 56 bits.
 */
__u64 pd_wide(const void *mem, unsigned int n)
{
	const unsigned int end = sizeof(mem) > 4 ? 56 : 64;
	const __u64 address = (unsigned long)mem;
	unsigned int bit;

	for (bit = sizeof(mem) > 4 ? 48 : 32; bit < end; bit++)
		if (!(address >> bit & 1) && !n--)
			return address | 1ULL << bit;
	return 0;
}

int pd_map(int fd, struct pd_buf *buf)
{
	int err;

	buf->map = pd_mmap(fd, buf->offset, buf->len, PROT_READ | PROT_WRITE,
			   &err);
	return err;
}

int pd_unmap(struct pd_buf *buf)
{
	void *mem = buf->map;

	buf->map = NULL;
	return mem && munmap(mem, buf->len) ? -errno : 0;
}

int pd_create(int fd, size_t len, struct pd_buf *buf)
{
	int err = pd_alloc(fd, len, 0, buf);

	return err ? err : pd_map(fd, buf);
}

const volatile struct pindrop_window *pd_window(int fd)
{
	return pd_mmap(fd, 0, PINDROP_WINDOW_SIZE, PROT_READ, NULL);
}

/* Differs from place to place: data that was moved is not right either. */
static unsigned char pattern(size_t at, unsigned int seed)
{
	return ((at + 1) * 2654435761U >> 11) ^ (seed * 37 + 1);
}

void pd_fill(void *mem, size_t len, unsigned int seed)
{
	unsigned char *p = mem;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = pattern(i, seed);
}

/* The first byte that is not pd_fill()'s, or -1. */
long pd_wrong(const void *mem, size_t len, unsigned int seed)
{
	const volatile unsigned char *p = mem;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != pattern(i, seed))
			return i;
	return -1;
}

long pd_nonzero(const void *mem, size_t len)
{
	const volatile unsigned char *p = mem;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i])
			return i;
	return -1;
}

/* Whether the mapping at @addr has a flag in smaps: 1, 0, or -1: no answer. */
int pd_vmflags(const void *addr, const char *flag)
{
	unsigned long start, end, want = (unsigned long)addr;
	FILE *f = fopen("/proc/self/smaps", "re");
	bool here = false;
	char line[512];
	int found = -1;

	if (!f)
		return -1;
	while (found < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = want >= start && want < end;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found = !!strstr(line, flag);
	}
	fclose(f);
	return found;
}

__u64 pd_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

long pd_ms_since(__u64 start_ns)
{
	return (pd_now_ns() - start_ns) / 1000000;
}

void pd_sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* A comment of the test's output, and a status that no test expects. */
void pd_child_failed(const char *file, int line, const char *what)
{
	dprintf(STDERR_FILENO, "# child: %s:%d: %s (errno %d)\n", file, line,
		what, errno);
	_exit(200);
}

/* The status of a child that ended, or minus the signal that ended it. */
int pd_join(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The parent of a process, by its entry in /proc; 0 where there is none. */
static pid_t parent_of(const char *name)
{
	char path[300], text[512], *p;

	snprintf(path, sizeof(path), "/proc/%s/stat", name);
	if (pd_read_file(path, text, sizeof(text)))
		return 0;
	/* Its name is in brackets, and may have some of its own. */
	p = strrchr(text, ')');
	return p && strlen(p) > 4 ? atoi(p + 4) : 0;
}

/* A test that was given up leaves its children, and they what they hold. */
void pd_end_children(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	pid_t pid;

	while (dir && (entry = readdir(dir))) {
		pid = atoi(entry->d_name);
		if (pid <= 0 || parent_of(entry->d_name) != getpid())
			continue;
		kill(pid, SIGKILL);
		pd_join(pid);
	}
	if (dir)
		closedir(dir);
}

/* A page for a test and its children. Ends with the processes. */
void *pd_shared_page(void)
{
	void *mem = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

void pd_post(volatile unsigned int *flag, unsigned int value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

/* False after ten seconds: the other side is not there. */
bool pd_await(volatile unsigned int *flag, unsigned int value)
{
	__u64 start = pd_now_ns();

	while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) < value) {
		if (pd_ms_since(start) > 10000)
			return false;
		pd_sleep_ms(1);
	}
	return true;
}

/*
 * One death for the table of "make test-matrix": how long after it waitpid()
 * returned and no page was pinned any more (-1: never seen), and the bytes in
 * quarantine then. @scenario is one word. Written at once: the harness leaves
 * tests with _exit(), which would lose what stdio holds.
 */
void pd_matrix(const char *scenario, long death_ms, long pins_ms,
	       long long quarantined)
{
	dprintf(STDOUT_FILENO,
		"# matrix: %s death_ms=%ld pins_ms=%ld quarantined=%lld\n",
		scenario, death_ms, pins_ms, quarantined);
}

int pd_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* The same, of a file in a directory. */
int pd_write_in(const char *dir, const char *name, const char *text)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	return pd_write_file(path, text);
}

/* What a file says, at most a buffer full and a 0. */
int pd_read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, size - 1);
	if (len < 0)
		err = -errno;
	text[len < 0 ? 0 : len] = 0;
	close(fd);
	return err;
}

/* The same of one in a directory. */
int pd_read_in(const char *dir, const char *name, char *text, size_t size)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    sizeof(path))
		return -ENAMETOOLONG;
	return pd_read_file(path, text, size);
}

/* The number that it begins with; -1: there is none. */
long long pd_number_in(const char *dir, const char *name)
{
	char text[64], *end;
	long long value;

	if (pd_read_in(dir, name, text, sizeof(text)))
		return -1;
	value = strtoll(text, &end, 10);
	return end == text ? -1 : value;
}

/* The kernel log from here on; a file descriptor or -errno. */
int pd_kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	lseek(fd, 0, SEEK_END);
	return fd;
}

/* How many records with this in them have come since the last call. */
int pd_kmsg_count(int fd, const char *text)
{
	char record[8192];
	ssize_t len;
	int n = 0;

	/* EPIPE: some were overwritten; the rest is there. */
	while ((len = read(fd, record, sizeof(record) - 1)) > 0 ||
	       (len < 0 && errno == EPIPE)) {
		record[len > 0 ? len : 0] = 0;
		n += !!strstr(record, text);
	}
	return n;
}

int pd_load_module(const char *file, const char *parameters)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return err;
}

int pd_unload_module(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}
