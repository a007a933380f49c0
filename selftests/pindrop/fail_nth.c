// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation that a call makes fails once, and each access to the caller's
 * memory: the first, then the second, until the call has no more of them.
 * Whatever it answers, nothing is left.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"
#include "ioctl_table.h"

#define TOO_MANY 3000
#define TRAILING_MS 2000
#define HUGE_SIZE (2UL << 20)
#define DEBUGFS "/sys/kernel/debug/"

/* What a call works with; made anew for each time that it is called. */
struct scene {
	const struct pd_env *env;
	const struct ioctl_verb *verb;
	__u32 flags, new_flags;
	size_t len, new_len;
	int fd;
	struct pd_buf buf, dst, pin;
	int dmabuf; /* or 0 */
	unsigned char *mem;
	const volatile struct pindrop_window *window;
	struct pindrop_job_desc jobs[3];
	unsigned int njobs;
	int fence;
};

FIXTURE(nth)
{
	struct pd_env env;
	int fail;
	struct scene scene;
};

/*
 * prepare: up to where the call can be made. call: 0 or -errno. len and flags:
 * of the buffer that there is then; new_: of the one that is asked for.
 * may_not_fail: the call has no way to say so. pins: pages of the program's own
 * may fail, too. Elsewhere they must not: what strikes the program itself, or the
 * kernel on its way back to it, is a fault that nobody can be told of.
 */
FIXTURE_VARIANT(nth)
{
	int (*prepare)(struct scene *s);
	int (*call)(struct scene *s);
	unsigned int verb;
	__u32 flags, new_flags;
	size_t len, new_len;
	bool may_not_fail;
	bool pins;
};

static int open_file(struct scene *s)
{
	s->fd = pd_open(s->env);
	return s->fd < 0 ? s->fd : 0;
}

/* A file that is bound, with two buffers. */
static int make_buffers(struct scene *s)
{
	size_t len = s->len ? s->len : 4 * s->env->page;

	return open_file(s) ?: pd_alloc(s->fd, len, s->flags, &s->buf) ?:
	       pd_alloc(s->fd, len, 0, &s->dst);
}

static int make_mapping(struct scene *s)
{
	return make_buffers(s) ?: pd_map(s->fd, &s->buf);
}

static int make_touched(struct scene *s)
{
	int err = make_mapping(s);

	if (!err)
		pd_fill(s->buf.map, s->buf.len, 1);
	return err;
}

static int call_verb(struct scene *s)
{
	union ioctl_args args = {};

	s->verb->good(&args, s->buf.handle);
	args.size = s->verb->size;
	return pd_ioctl(s->fd, s->verb->nr, &args);
}

static int call_alloc(struct scene *s)
{
	return pd_alloc(s->fd, s->new_len, s->new_flags, &s->dst);
}

/* What it gives out is closed again, and freed with its buffer. */
static int call_export(struct scene *s)
{
	int dmabuf;
	int err = pd_export(s->fd, s->buf.handle, &dmabuf);

	if (err)
		return err;
	if (s->dmabuf > 0)
		close(s->dmabuf);
	s->dmabuf = dmabuf;
	return 0;
}

static int make_exported(struct scene *s)
{
	return make_buffers(s) ?: call_export(s);
}

static int call_import(struct scene *s)
{
	return pd_import(s->fd, s->dmabuf, &s->dst);
}

static int call_submit(struct scene *s)
{
	return pd_submit(s->fd, s->jobs, s->njobs, NULL);
}

static int make_copies(struct scene *s)
{
	int err = make_buffers(s);

	s->jobs[0] = pd_copy(&s->buf, 0, &s->dst, 0, 64);
	s->jobs[1] = pd_nop(0);
	s->jobs[2] = pd_copy(&s->dst, 0, &s->buf, 64, 64);
	s->njobs = 3;
	return err;
}

/* Between a fence that has come and one that is new. */
static int call_fenced(struct scene *s)
{
	struct pindrop_submit args = {
		.size = sizeof(args),
		.flags = PINDROP_SUBMIT_OUT_FENCE,
		.jobs = (unsigned long)s->jobs,
		.count = s->njobs,
		.in_fence = s->fence,
	};
	int err;

	if (s->fence)
		args.flags |= PINDROP_SUBMIT_IN_FENCE;
	err = pd_ioctl(s->fd, PINDROP_VERB_SUBMIT, &args);
	if (!err && s->fence)
		close(args.out_fence);
	else if (!err)
		s->fence = args.out_fence;
	return err;
}

static int make_fence(struct scene *s)
{
	return make_copies(s) ?: call_fenced(s);
}

/* Room for so much, at an address at which huge pages can be. */
static int make_room(struct scene *s)
{
	unsigned char *at;

	at = mmap(NULL, s->new_len + HUGE_SIZE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	s->mem = at;
	s->pin.map = (void *)(((unsigned long)at + HUGE_SIZE - 1) & -HUGE_SIZE);
	return make_buffers(s);
}

/* Memory to pin, of which the last page is not there yet. */
static int make_memory(struct scene *s)
{
	int err = make_room(s);

	if (err)
		return err;
	madvise(s->pin.map, s->new_len,
		s->new_len % HUGE_SIZE ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	memset(s->pin.map, 1, s->new_len - s->env->page);
	return 0;
}

static int call_pin(struct scene *s)
{
	return pd_pin(s->fd, s->pin.map, s->new_len, PINDROP_PIN_WRITE,
		      &s->pin);
}

static int make_pin(struct scene *s)
{
	return make_memory(s) ?: call_pin(s);
}

static int call_unpin(struct scene *s)
{
	return pd_free(s->fd, s->pin.handle);
}

static int make_pin_copies(struct scene *s)
{
	int err = make_pin(s);

	s->jobs[0] = pd_copy(&s->pin, s->env->page - 32, &s->buf, 0, 64);
	s->jobs[1] = pd_copy(&s->buf, 0, &s->pin, 2 * s->env->page - 32, 64);
	s->njobs = 2;
	return err;
}

/*
 * The same memory is mapped anew: it has to be looked up, for which the kernel
 * has to map it. That this fails does not make it other memory.
 */
static int make_suspect_copies(struct scene *s)
{
	int file = memfd_create("pd_memfd", MFD_CLOEXEC), err = -ENOMEM, i;

	if (file < 0 || ftruncate(file, s->new_len) || make_room(s))
		goto out;
	for (i = 0; i < 2; i++) {
		if (mmap(s->pin.map, s->new_len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
			goto out;
		if (!i && call_pin(s))
			goto out;
	}
	s->jobs[0] = pd_copy(&s->pin, 0, &s->buf, 0, 64);
	s->njobs = 1;
	err = 0;
out:
	close(file);
	return err;
}

/* With the file everything goes, a job on it included. */
static int make_pin_busy(struct scene *s)
{
	return make_pin_copies(s) ?: call_submit(s);
}

static int make_devmem(struct scene *s)
{
	int err = make_buffers(s);

	s->jobs[0] = pd_copy(&s->buf, 0, NULL, 0, 64);
	s->njobs = 1;
	return err;
}

/* Somebody's first job makes them the owner. */
static int make_first_job(struct scene *s)
{
	s->jobs[0] = pd_nop(0);
	s->njobs = 1;
	return open_file(s);
}

static int call_window(struct scene *s)
{
	int err;

	s->window = pd_mmap(s->fd, 0, PINDROP_WINDOW_SIZE, PROT_READ, &err);
	return err;
}

static int make_window(struct scene *s)
{
	return open_file(s) ?: call_window(s);
}

static int call_window_fault(struct scene *s)
{
	return s->window->state == PINDROP_STATE_OPEN ? 0 : -EIO;
}

static int call_map(struct scene *s)
{
	return pd_map(s->fd, &s->buf);
}

/* The kernel comes back to a fault that had no memory. */
static int call_fault(struct scene *s)
{
	size_t at;

	for (at = 0; at < s->buf.len; at += s->env->page)
		*(volatile unsigned char *)(s->buf.map + at) = 1;
	return 0;
}

static int call_split(struct scene *s)
{
	return munmap(s->buf.map + s->env->page, s->env->page) ? -errno : 0;
}

static int call_move(struct scene *s)
{
	void *to = mmap(NULL, s->buf.len, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *at;

	if (to == MAP_FAILED)
		return -errno;
	at = mremap(s->buf.map, s->buf.len, s->buf.len,
		    MREMAP_MAYMOVE | MREMAP_FIXED, to);
	if (at == MAP_FAILED) {
		int err = -errno;

		munmap(to, s->buf.len);
		return err;
	}
	s->buf.map = at;
	return 0;
}

static int call_protect(struct scene *s)
{
	return mprotect(s->buf.map + s->env->page, s->env->page, PROT_READ) ?
		       -errno : 0;
}

/* A child that is cut short gives back what it has taken of the mappings. */
static int call_fork(struct scene *s)
{
	pid_t pid = fork();

	(void)s;
	if (!pid)
		_exit(0);
	return pid < 0 ? -errno : pd_join(pid);
}

static int call_poll(struct scene *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	return poll(&p, 1, 0) < 0 ? -errno : 0;
}

static int call_fdinfo(struct scene *s)
{
	char path[64], text[1024];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", s->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n < 0 ? -errno : 0;
}

static int call_close(struct scene *s)
{
	int fd = s->fd;

	s->fd = -1;
	return close(fd) ? -errno : 0;
}

/* With something on the device, and more behind it. */
static int make_busy(struct scene *s)
{
	return make_copies(s) ?: call_submit(s);
}

static int call_unmap(struct scene *s)
{
	return pd_unmap(&s->buf);
}

#define VARIANT(name, ...) FIXTURE_VARIANT_ADD(nth, name) { __VA_ARGS__ }

VARIANT(open, .call = open_file);
VARIANT(bind, .prepare = make_first_job, .call = call_submit);
VARIANT(verb_info, .prepare = make_buffers, .call = call_verb,
	.verb = PINDROP_VERB_INFO);
VARIANT(verb_alloc, .prepare = make_buffers, .call = call_verb,
	.verb = PINDROP_VERB_ALLOC);
VARIANT(verb_export, .prepare = make_buffers, .call = call_export);
VARIANT(verb_export_again, .prepare = make_exported, .call = call_export);
VARIANT(verb_import, .prepare = make_exported, .call = call_import);
VARIANT(verb_free, .prepare = make_buffers, .call = call_verb,
	.verb = PINDROP_VERB_FREE);
VARIANT(verb_sync, .prepare = make_buffers, .call = call_verb,
	.verb = PINDROP_VERB_SYNC);
VARIANT(verb_submit, .prepare = make_buffers, .call = call_verb,
	.verb = PINDROP_VERB_SUBMIT);
VARIANT(verb_wait, .prepare = make_buffers, .call = call_verb,
	.verb = PINDROP_VERB_WAIT);
VARIANT(alloc_and_bind, .prepare = open_file, .call = call_alloc,
	.new_len = 8 << 12);
VARIANT(alloc_odd, .prepare = make_buffers, .call = call_alloc,
	.new_len = 13 << 12);
VARIANT(alloc_large, .prepare = make_buffers, .call = call_alloc,
	.new_len = 5 << 20);
VARIANT(alloc_contig, .prepare = make_buffers, .call = call_alloc,
	.new_len = 5 << 12, .new_flags = PINDROP_ALLOC_CONTIG);
VARIANT(alloc_coherent, .prepare = make_buffers, .call = call_alloc,
	.new_len = 5 << 12, .new_flags = PINDROP_ALLOC_COHERENT);
VARIANT(alloc_huge, .prepare = make_buffers, .call = call_alloc,
	.new_len = HUGE_SIZE, .new_flags = PINDROP_ALLOC_HUGE);
VARIANT(verb_pin, .prepare = make_buffers, .call = call_verb,
	.verb = PINDROP_VERB_PIN,
	.pins = true);
VARIANT(pin_and_bind, .prepare = open_file, .call = call_verb,
	.verb = PINDROP_VERB_PIN,
	.pins = true);
VARIANT(pin, .prepare = make_memory, .call = call_pin, .new_len = 5 << 12,
	.pins = true);
VARIANT(pin_more, .prepare = make_memory, .call = call_pin,
	.new_len = 1100 << 12, .pins = true);
VARIANT(pin_huge, .prepare = make_memory, .call = call_pin,
	.new_len = 2 * HUGE_SIZE, .pins = true);
VARIANT(unpin, .prepare = make_pin, .call = call_unpin, .new_len = 5 << 12);
VARIANT(submit_pin, .prepare = make_pin_copies, .call = call_submit,
	.new_len = 5 << 12, .pins = true);
VARIANT(submit_suspect_pin, .prepare = make_suspect_copies, .call = call_submit,
	.new_len = 5 << 12, .pins = true);
VARIANT(close_pin, .prepare = make_pin_busy, .call = call_close,
	.new_len = 5 << 12, .may_not_fail = true);
VARIANT(submit_fenced, .prepare = make_fence, .call = call_fenced);
VARIANT(submit_copies, .prepare = make_copies, .call = call_submit);
VARIANT(submit_devmem, .prepare = make_devmem, .call = call_submit);
VARIANT(window_map, .prepare = open_file, .call = call_window);
VARIANT(window_fault, .prepare = make_window, .call = call_window_fault,
	.may_not_fail = true);
VARIANT(map, .prepare = make_buffers, .call = call_map);
VARIANT(fault, .prepare = make_mapping, .call = call_fault,
	.may_not_fail = true);
VARIANT(fault_coherent, .prepare = make_mapping, .call = call_fault,
	.flags = PINDROP_ALLOC_COHERENT, .may_not_fail = true);
VARIANT(fault_huge, .prepare = make_mapping, .call = call_fault,
	.len = HUGE_SIZE, .flags = PINDROP_ALLOC_HUGE, .may_not_fail = true);
VARIANT(split, .prepare = make_touched, .call = call_split);
VARIANT(move, .prepare = make_touched, .call = call_move);
VARIANT(protect, .prepare = make_touched, .call = call_protect);
VARIANT(fork, .prepare = make_touched, .call = call_fork);
VARIANT(poll, .prepare = make_buffers, .call = call_poll);
VARIANT(fdinfo, .prepare = make_buffers, .call = call_fdinfo);
VARIANT(unmap, .prepare = make_touched, .call = call_unmap);
VARIANT(close, .prepare = make_busy, .call = call_close, .may_not_fail = true);

static int set_knob(const char *knob, const char *value)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), DEBUGFS "%s", knob);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

FIXTURE_SETUP(nth)
{
	static const char *const knobs[][2] = {
		/* Without it allocations that may wait never fail. */
		{ "failslab/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/min-order", "0" },
		/* A failure that was asked for is nothing for the log. */
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/verbose", "0" },
	};
	unsigned int i;

	self->scene.fd = -1;
	self->fail = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->fail < 0)
		SKIP(PD_LEAVE_SETUP, "the kernel cannot inject failures");
	PD_SETUP(&self->env);
	for (i = 0; i < ARRAY_LEN(knobs); i++) {
		MUST(set_knob(knobs[i][0], knobs[i][1]));
	}
	MUST(set_knob("fail_page_alloc/ignore-gfp-highmem",
		      variant->pins ? "N" : "Y"));
	/* Not every kernel lets these fail. */
	set_knob("fail_usercopy/verbose", "0");
}

FIXTURE_TEARDOWN(nth)
{
	PD_TEARDOWN(&self->env);
}

static void end(struct scene *s)
{
	pd_unmap(&s->buf);
	if (s->mem)
		munmap(s->mem, s->new_len + HUGE_SIZE);
	if (s->window)
		munmap((void *)s->window, PINDROP_WINDOW_SIZE);
	if (s->fence)
		close(s->fence);
	if (s->dmabuf > 0)
		close(s->dmabuf);
	if (s->fd >= 0)
		close(s->fd);
}

/* The lowest descriptor that is free. */
static int lowest_fd(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

static int arm(int fail, unsigned int nth)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", nth);
	return pwrite(fail, text, strlen(text), 0) < 0 ? -errno : 0;
}

/* Disarms, and says whether it struck. */
static bool struck(int fail)
{
	char text[16] = "";

	if (pread(fail, text, sizeof(text) - 1, 0) <= 0)
		return false;
	arm(fail, 0);
	return atoi(text) == 0;
}

/* What the call has taken if it failed, once jobs that it queued are over. */
static bool nothing_taken(const struct pd_env *env,
			  const struct pd_counters *before)
{
	int i;

	for (i = 0; i < PD_NR_LEAKS; i++)
		if (!pd_count_becomes(env, i, before->v[i], TRAILING_MS))
			return false;
	return true;
}

TEST_F(nth, thing_fails)
{
	struct scene *s = &self->scene;
	unsigned int n, failed = 0;
	struct pd_counters before;
	bool hit = true;
	int err, fd;

	for (n = 1; hit && n < TOO_MANY; n++) {
		*s = (struct scene) {
			.env = &self->env,
			.verb = &ioctl_verbs[variant->verb],
			.flags = variant->flags,
			.len = variant->len,
			.new_flags = variant->new_flags,
			.new_len = variant->new_len,
			.fd = -1,
		};
		if (variant->prepare)
			MUST(variant->prepare(s));
		pd_count_all(&self->env, &before);
		fd = lowest_fd();
		MUST(arm(self->fail, n));
		err = variant->call(s);
		hit = struck(self->fail);
		if (!hit || variant->may_not_fail) {
			EXPECT_EQ(0, err)
				TH_LOG("failure %u", n);
		}
		if (err) {
			failed++;
			EXPECT_TRUE(err == -ENOMEM || err == -EFAULT)
				TH_LOG("failure %u: %d", n, err);
			EXPECT_TRUE(nothing_taken(&self->env, &before))
				TH_LOG("failure %u", n);
				EXPECT_EQ(fd, lowest_fd())
				TH_LOG("failure %u", n);
		}
		end(s);
		ASSERT_STREQ("", pd_env_leaks(&self->env))
			TH_LOG("failure %u", n);
	}
	ASSERT_FALSE(hit);
	TH_LOG("%u failures injected, %u told by the call", n - 2, failed);
}

TEST_HARNESS_MAIN
