// SPDX-License-Identifier: GPL-2.0-only
/*
 * The states of a device and of its queues: who is harmed by a hang, a slow stop
 * or a reset that is busy, on a device that can be cut off from memory and on one
 * that cannot; and what ends with a device that goes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "share_utils.h"
#include "sim_utils.h"

/* For a slow guest. */
#define SLACK_MS 1000
#define INNOCENT_JOBS 40
#define SLOW_STOP_MS 2000
#define LOCKED_MS 3500
#define QUARANTINE "/sys/class/pindrop/quarantine"

/* Two owners, of the same process: one whose job hangs, and an innocent one. */
FIXTURE(states)
{
	struct pd_env env;
	char reset[128];
	int fd, other;
	size_t piece;
	long piece_ms;
	struct pd_buf src, dst, from, to;
	int *shared;
};

FIXTURE_VARIANT(states)
{
	bool no_cut;
};

FIXTURE_VARIANT_ADD(states, cut) {};
FIXTURE_VARIANT_ADD(states, no_cut) { .no_cut = true };

FIXTURE_SETUP(states)
{
	self->fd = -1;
	self->other = -1;
	SIM_SETUP(&self->env);
	if (variant->no_cut)
		MUST(sim_rebind(&self->env, true));
	MUST(sim_reset(&self->env, 0));
	snprintf(self->reset, sizeof(self->reset), "%s/reset", self->env.sysfs);
	self->piece = self->env.info.out_max_piece;
	self->piece_ms = self->env.info.out_piece_ms;
	self->shared = pd_shared_page();
	ASSERT_NE(NULL, self->shared);
	self->fd = pd_open(&self->env);
	self->other = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	MUST(pd_create(self->fd, self->piece, &self->src));
	MUST(pd_create(self->fd, self->piece, &self->dst));
	MUST(pd_create(self->other, self->piece, &self->from));
	MUST(pd_create(self->other, self->piece, &self->to));
	pd_fill(self->src.map, self->src.len, 1);
	pd_fill(self->from.map, self->from.len, 2);
}

FIXTURE_TEARDOWN(states)
{
	/* First: what hangs would be left over. */
	EXPECT_EQ(0, sim_reset(&self->env, 0));
	pd_write_file(self->reset, "1");
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0,
				     2 * SLACK_MS));
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	pd_unmap(&self->from);
	pd_unmap(&self->to);
	close(self->fd);
	close(self->other);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, SLACK_MS));
	if (variant->no_cut)
		EXPECT_EQ(0, sim_rebind(&self->env, false));
	SIM_TEARDOWN(&self->env);
}

#define SET(fault, value) MUST(sim_set(&self->env, 0, fault, value))
#define START(chan) \
	pd_start_on(self->fd, chan, &self->src, &self->dst, self->piece)
#define OTHER(chan) \
	pd_start_on(self->other, chan, &self->from, &self->to, self->piece)

/* Nothing of the test keeps the device's node any more. */
#define LET_GO()                      \
	do {                          \
		close(self->fd);      \
		close(self->other);   \
		pd_unmap(&self->src); \
		pd_unmap(&self->dst); \
		pd_unmap(&self->from);\
		pd_unmap(&self->to);  \
		pd_sleep_ms(50);      \
	} while (0)

/* For the teardown. */
#define BIND_AGAIN()                             \
	do {                                     \
		MUST(sim_bind(&self->env, true));\
		self->fd = pd_open(&self->env);  \
		self->other = pd_open(&self->env);\
		EXPECT_LE(0, self->fd);          \
		EXPECT_LE(0, self->other);       \
	} while (0)

static bool opens(const struct pd_env *env, long ms)
{
	__u64 since = pd_now_ns();
	int fd;

	while ((fd = pd_open(env)) < 0 && pd_ms_since(since) < ms)
		pd_sleep_ms(5);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * P4: without a cut, a reset that fails costs only the owner whose queue hangs.
 * Behind a cut each innocent job is done or fails once.
 */
TEST_F(states, failed_reset_fails_innocent_jobs_only_behind_a_cut)
{
	const unsigned int channels = self->env.info.out_channels;
	__u64 mine, theirs[INNOCENT_JOBS];
	int result, failed = 0;
	unsigned int i;

	ASSERT_LT(1, channels);
	MUST(sim_incurable(&self->env));
	MUST(sim_fail_reset(&self->env, 2));
	/* Long enough for some to be at work when the reset fails. */
	MUST(sim_set_all(&self->env, "delay_us", 100000));
	SET("hang", 1);
	mine = START(0);
	ASSERT_EQ(1, mine);
	for (i = 0; i < INNOCENT_JOBS; i++) {
		theirs[i] = OTHER(1 + i % (channels - 1));
		ASSERT_NE(0, theirs[i]);
	}
	EXPECT_EQ(-EIO, pd_result(self->fd, mine));
	for (i = 0; i < INNOCENT_JOBS; i++) {
		result = pd_result(self->other, theirs[i]);
		failed += result == -EIO;
		if (result != -EIO)
			EXPECT_EQ(0, result);
	}
	EXPECT_EQ(1 + failed, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(variant->no_cut, !failed);
	EXPECT_EQ(variant->no_cut, opens(&self->env, 0));
	if (variant->no_cut)
		EXPECT_EQ(0, pd_result(self->other, OTHER(1)));
	EXPECT_LT(0, pd_count(&self->env, PD_QUARANTINED));
}

/*
 * I5: poll() on a dma-buf that a LOST job writes returns, cut or not. Where there
 * is a cut it comes first, although other queues work.
 */
TEST_F(states, reservation_fence_of_a_lost_job_ends)
{
	struct pollfd p = { .events = POLLIN };

	MUST(pd_export(self->fd, self->dst.handle, &p.fd));
	MUST(sim_incurable(&self->env));
	SET("hang", 1);
	ASSERT_EQ(1, START(0));
	EXPECT_EQ(0, poll(&p, 1, 20));
	EXPECT_EQ(-EIO, pd_result(self->fd, 1));
	EXPECT_EQ(1, poll(&p, 1, SLACK_MS));
	EXPECT_LT(0, pd_count(&self->env, PD_QUARANTINED));
	EXPECT_EQ(variant->no_cut, opens(&self->env, 0));
	close(p.fd);
}

/* Threads of the kernel that are at work for the driver's shared workqueue. */
static int workers(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[300], comm[64];
	int n = 0;

	while (proc && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
		    !pd_read_file(path, comm, sizeof(comm)))
			n += !!strstr(comm, "+pindrop_impo");
	}
	if (proc)
		closedir(proc);
	return n;
}

/* P4: hundreds of these would take each worker that there is. */
TEST_F(states, revoke_of_a_lost_import_keeps_no_worker)
{
	struct share_peer p = SHARE_NO_PEER;
	struct pd_buf in;
	int i, busy = 0;

	MUST(share_peer(&p, 4, PEER_DYNAMIC));
	MUST(pd_import(self->fd, p.dmabuf, &in));
	MUST(sim_incurable(&self->env));
	SET("ignore_abort", 1);
	SET("hang", 1);
	ASSERT_EQ(1, pd_start_on(self->fd, 0, &self->src, &in, in.len));
	EXPECT_EQ(-EIO, pd_result(self->fd, 1));
	MUST(share_revoke(&p));
	pd_sleep_ms(50);
	for (i = 0; i < 20; i++) {
		busy += workers();
		pd_sleep_ms(23);
	}
	EXPECT_GT(10, busy);
	/* Without a cut it is not given back before there is proof. */
	EXPECT_EQ(variant->no_cut, share_count(&p, PEER_MAPPED));
	MUST(sim_set_all(&self->env, "hang", 0));
	EXPECT_TRUE(share_count_becomes(&p, PEER_MAPPED, 0, 3 * SLACK_MS));
	MUST(pd_free(self->fd, in.handle));
	share_peer_end(&p);
}

/* A reset that was only busy is had later, behind the cut, by nobody's order. */
TEST_F(states, busy_reset_is_tried_again)
{
	const unsigned int channels = self->env.info.out_channels;
	long long resets = sim_count(&self->env, "resets");
	unsigned int chan;

	MUST(sim_set_all(&self->env, "ignore_terminate", 1));
	MUST(sim_fail_reset(&self->env, 3));
	/* All of them: with one at work the device would not be cut off. */
	MUST(sim_set_all(&self->env, "hang", 1));
	for (chan = 0; chan < channels; chan++)
		ASSERT_EQ(chan + 1, START(chan));
	for (chan = 0; chan < channels; chan++)
		EXPECT_EQ(-EIO, pd_result(self->fd, chan + 1));
	EXPECT_TRUE(!opens(&self->env, 0) || variant->no_cut);
	EXPECT_LT(0, pd_count(&self->env, PD_QUARANTINED));
	MUST(sim_fail_reset(&self->env, 0));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0,
				     3 * SLACK_MS));
	EXPECT_TRUE(opens(&self->env, SLACK_MS));
	EXPECT_LT(resets, sim_count(&self->env, "resets"));
	for (chan = 0; chan < channels; chan++)
		EXPECT_EQ(0, pd_result(self->other, OTHER(chan)));
}

/* In a child: a copy whose end no interrupt tells. */
static void live_on_channel_1(struct pd_env *env, int *shared)
{
	struct pd_buf src, dst;
	int fd = pd_open(env);

	CHILD(fd >= 0);
	CHILD(!pd_create(fd, env->page, &src));
	CHILD(!pd_create(fd, env->page, &dst));
	CHILD(pd_start_on(fd, 1, &src, &dst, env->page) == 1);
	*(volatile int *)shared = 1;
	for (;;)
		pause();
}

/* P4: K2 to K4 are each queue's own. */
TEST_F(states, slow_stop_of_a_queue_delays_no_death_on_another)
{
	__u64 since;
	pid_t pid;
	long ms;

	SET("terminate_ms", SLOW_STOP_MS);
	SET("hang", 1);
	MUST(sim_set(&self->env, 1, "lost_irq", 1000));
	MUST(sim_set(&self->env, 1, "delay_us", 100000));
	ASSERT_EQ(1, START(0));
	/* It is late at the second look, and is being stopped from then on. */
	pd_sleep_ms(2 * self->piece_ms);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		live_on_channel_1(&self->env, self->shared);
	while (!*(volatile int *)self->shared)
		pd_sleep_ms(1);
	since = pd_now_ns();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	ms = pd_ms_since(since);
	fprintf(stderr, "# states: death beside a stop of %d ms: %ld ms\n",
		SLOW_STOP_MS, ms);
	EXPECT_GT(self->piece_ms + SLACK_MS / 2, ms);
	EXPECT_EQ(1, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ(-EIO, pd_result(self->fd, 1));
}

/* P3: a queue that came back is watched as before, and not once a minute. */
TEST_F(states, lost_interrupt_after_a_reset_costs_half_a_request)
{
	__u64 since;

	MUST(sim_incurable(&self->env));
	SET("hang", 1);
	ASSERT_EQ(1, START(0));
	EXPECT_EQ(-EIO, pd_result(self->fd, 1));
	/* By now it is looked at once a minute. */
	pd_sleep_ms(2 * self->piece_ms);
	MUST(sim_reset(&self->env, 0));
	MUST(pd_write_file(self->reset, "1"));
	SET("lost_irq", 1);
	since = pd_now_ns();
	EXPECT_EQ(0, pd_result(self->fd, START(0)));
	EXPECT_GT(2 * self->piece_ms + SLACK_MS, pd_ms_since(since));
}

/* Lines of the quarantine with that pid. */
static int lost_of(int wanted)
{
	FILE *f = fopen(QUARANTINE, "re");
	unsigned long long n, seconds;
	unsigned int uid;
	char name[64];
	int lines = 0, pid;

	while (f && fscanf(f, "%63s %llu %llu %d %u\n", name, &n, &seconds,
			   &pid, &uid) == 5)
		lines += pid == wanted;
	if (f)
		fclose(f);
	return lines;
}

/* The pid is the one by which the reader knows the owner. */
TEST_F(states, quarantine_tells_pids_of_the_readers_namespace)
{
	int outside[2];
	pid_t pid, first;
	char c;

	MUST(sim_incurable(&self->env));
	SET("hang", 1);
	MUST(pipe(outside) ? -errno : 0);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(!unshare(CLONE_NEWPID));
		first = fork();
		CHILD(first >= 0);
		if (!first) {
			struct pd_buf src, dst;
			int fd = pd_open(&self->env);

			CHILD(fd >= 0);
			CHILD(!pd_create(fd, self->piece, &src));
			CHILD(!pd_create(fd, self->piece, &dst));
			CHILD(pd_start_on(fd, 0, &src, &dst, self->piece) == 1);
			CHILD(pd_result(fd, 1) == -EIO);
			self->shared[1] = lost_of(1);
			CHILD(write(outside[1], "x", 1) == 1);
			for (;;)
				pause();
		}
		self->shared[0] = first;
		CHILD(pd_join(first) == -SIGKILL);
		_exit(0);
	}
	close(outside[1]);
	ASSERT_EQ(1, read(outside[0], &c, 1));
	close(outside[0]);
	EXPECT_EQ(2, self->shared[1]);
	EXPECT_EQ(0, lost_of(1));
	EXPECT_EQ(2, lost_of(self->shared[0]));
	kill(self->shared[0], SIGKILL);
	EXPECT_EQ(0, pd_join(pid));
}

/* What the bus has lost reaches nothing: there is nothing to be kept. */
TEST_F(states, surprise_removal_leaves_no_quarantine)
{
	const char *device = self->env.info.out_device;
	char text[4096];

	MUST(sim_incurable(&self->env));
	SET("hang", 1);
	ASSERT_EQ(1, START(0));
	EXPECT_EQ(-EIO, pd_result(self->fd, 1));
	EXPECT_LT(0, pd_count(&self->env, PD_QUARANTINED));
	MUST(sim_unplug(&self->env));
	MUST(sim_bind(&self->env, false));
	MUST(pd_read_file(QUARANTINE, text, sizeof(text)));
	EXPECT_EQ(NULL, strstr(text, device));
	LET_GO();
	BIND_AGAIN();
}

/* Lines of the kernel's log that say so. */
static int log_says(const char *what)
{
	int size = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
	char *text = size > 0 ? calloc(1, size + 1) : NULL, *at = text;
	int n = 0;

	if (!text || klogctl(3 /* SYSLOG_ACTION_READ_ALL */, text, size) < 0)
		return -1;
	while ((at = strstr(at, what))) {
		at++;
		n++;
	}
	free(text);
	return n;
}

/*
 * One child holds the exporter's lock for LOCKED_MS, then another removes the
 * device: when the removal began, or 0 if it did not.
 */
static __u64 remove_behind_a_lock(const struct pd_env *env,
				  const struct share_peer *p, pid_t *holder,
				  pid_t *remover)
{
	__u64 since;

	*holder = fork();
	if (!*holder)
		_exit(!!share_lock(p, LOCKED_MS));
	pd_sleep_ms(50);
	since = pd_now_ns();
	*remover = fork();
	if (!*remover)
		_exit(!!sim_bind(env, false));
	return *holder < 0 || *remover < 0 ? 0 : since;
}

/* The removal is under way, and ends after the lock was released. */
#define EXPECT_WAITED_FOR_THE_LOCK(holder, remover, since)          \
	do {                                                        \
		EXPECT_EQ(0, waitpid(remover, NULL, WNOHANG));      \
		EXPECT_EQ(0, pd_join(holder));                      \
		EXPECT_EQ(0, pd_join(remover));                     \
		EXPECT_LT(LOCKED_MS - 200, pd_ms_since(since));     \
	} while (0)

/* It waits for the lock, says so, and only its own removal does. */
TEST_F(states, removal_waits_for_an_exporters_lock_alone)
{
	struct share_peer p = SHARE_NO_PEER;
	struct pd_buf in;
	pid_t holder, remover;
	__u64 since;
	int said = log_says("removal waits:");

	ASSERT_LE(0, said);
	MUST(share_peer(&p, 4, PEER_DYNAMIC));
	MUST(pd_import(self->fd, p.dmabuf, &in));
	pd_fill(self->src.map, self->src.len, 1);
	MUST(sim_set_all(&self->env, "delay_us", 200000));
	ASSERT_EQ(1, pd_start_on(self->fd, 0, &self->src, &in, in.len));
	since = remove_behind_a_lock(&self->env, &p, &holder, &remover);
	ASSERT_NE(0, since);
	/* Jobs end at once, and so does a close. */
	EXPECT_EQ(-ENODEV, pd_result(self->fd, 1));
	EXPECT_GT(LOCKED_MS - SLACK_MS, pd_ms_since(since));
	close(self->other);
	self->other = -1;
	EXPECT_GT(LOCKED_MS - SLACK_MS, pd_ms_since(since));
	EXPECT_WAITED_FOR_THE_LOCK(holder, remover, since);
	/* Once a second. */
	EXPECT_LE(said + 2, log_says("removal waits:"));
	EXPECT_EQ(0, share_count(&p, PEER_MAPPED));
	share_peer_end(&p);
	LET_GO();
	BIND_AGAIN();
}

/*
 * The same with memory that a LOST job keeps: its owner's death has not unmapped
 * it, so the removal does, and the exporter has its pages when there is proof.
 */
TEST_F(states, removal_unmaps_an_import_of_a_lost_job)
{
	struct share_peer p = SHARE_NO_PEER;
	struct pd_buf in;
	pid_t holder, remover;
	__u64 since;
	int said = log_says("removal waits:");

	ASSERT_LE(0, said);
	MUST(share_peer(&p, 4, PEER_DYNAMIC));
	MUST(pd_import(self->fd, p.dmabuf, &in));
	MUST(sim_incurable(&self->env));
	SET("hang", 1);
	ASSERT_EQ(1, pd_start_on(self->fd, 0, &self->src, &in, in.len));
	EXPECT_EQ(-EIO, pd_result(self->fd, 1));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(1, share_count(&p, PEER_MAPPED));
	since = remove_behind_a_lock(&self->env, &p, &holder, &remover);
	ASSERT_NE(0, since);
	/* The other owner's close does not wait for the exporter. */
	close(self->other);
	self->other = -1;
	EXPECT_GT(LOCKED_MS - SLACK_MS, pd_ms_since(since));
	EXPECT_WAITED_FOR_THE_LOCK(holder, remover, since);
	EXPECT_LE(said + 2, log_says("removal waits:"));
	EXPECT_EQ(0, share_count(&p, PEER_MAPPED));
	LET_GO();
	/* Found idle it frees the old node, and may have come too early for its number. */
	sim_bind(&self->env, true);
	MUST(sim_bind(&self->env, false));
	pd_sleep_ms(50);
	BIND_AGAIN();
	share_peer_end(&p);
}

TEST_HARNESS_MAIN
