// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware that hangs and can be made to stop: by stopping the channel, by a
 * reset, or not at all until the device has gone and come back. Who hung pays,
 * the others' jobs are done again.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "sim_utils.h"

/* The rest is for a slow guest. */
#define SLACK_MS 1000
#define QUARANTINE "/sys/class/pindrop/quarantine"

FIXTURE(recovery)
{
	struct pd_env env;
	char driver[PATH_MAX];
	char reset[128];
	long long resets;
	int fd, other;
	size_t piece;
	long piece_ms;
	struct pd_buf src, dst, from, to;
	unsigned int *flag;
};

FIXTURE_SETUP(recovery)
{
	char link[128];

	SIM_SETUP(&self->env);
	snprintf(link, sizeof(link), "%s/device/driver", self->env.sysfs);
	ASSERT_NE(NULL, realpath(link, self->driver));
	snprintf(self->reset, sizeof(self->reset), "%s/reset", self->env.sysfs);
	self->resets = sim_count(&self->env, "resets");
	self->piece = self->env.info.out_max_piece;
	self->piece_ms = self->env.info.out_piece_ms;
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
	self->fd = pd_open(&self->env);
	self->other = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	MUST(pd_create(self->fd, 8 * self->piece, &self->src));
	MUST(pd_create(self->fd, 8 * self->piece, &self->dst));
	MUST(pd_create(self->other, 4 * self->piece, &self->from));
	MUST(pd_create(self->other, 4 * self->piece, &self->to));
	pd_fill(self->src.map, self->src.len, 1);
	pd_fill(self->from.map, self->from.len, 2);
}

FIXTURE_TEARDOWN(recovery)
{
	/* First: what hangs would be left over. */
	EXPECT_EQ(0, sim_reset(&self->env, 0));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, SLACK_MS));
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	pd_unmap(&self->from);
	pd_unmap(&self->to);
	close(self->fd);
	close(self->other);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, SLACK_MS));
	SIM_TEARDOWN(&self->env);
}

#define SET(fault, value) MUST(sim_set(&self->env, 0, fault, value))

#define RESETS() (sim_count(&self->env, "resets") - self->resets)

#define START(pieces) \
	pd_start_on(self->fd, 0, &self->src, &self->dst, self->piece * (pieces))
#define OTHER(chan) \
	pd_start_on(self->other, chan, &self->from, &self->to, self->to.len)

/* A hang is noticed at the second look after the piece's time, and mended. */
#define HANG_MS (3 * self->piece_ms + SLACK_MS)

/* Lines of the file that name the device, and the bytes in them. */
static int quarantined(const char *device, long long *bytes)
{
	FILE *f = fopen(QUARANTINE, "re");
	unsigned long long n, seconds;
	unsigned int uid;
	char name[64];
	int lines = 0, pid;

	*bytes = 0;
	if (!f)
		return -errno;
	while (fscanf(f, "%63s %llu %llu %d %u\n", name, &n, &seconds, &pid,
		      &uid) == 5) {
		if (strcmp(name, device) || pid != getpid() || uid)
			continue;
		lines++;
		*bytes += n;
	}
	fclose(f);
	return lines;
}

/* K4: what the channel had besides is done again; nobody else is touched. */
TEST_F(recovery, by_stopping_the_channel)
{
	__u64 begin = pd_now_ns(), mine, theirs;

	SET("hang", 2);
	mine = START(1);
	ASSERT_EQ(1, mine);
	theirs = OTHER(0);
	ASSERT_EQ(1, theirs);
	EXPECT_EQ(-EIO, pd_result(self->fd, mine));
	EXPECT_GT(HANG_MS, pd_ms_since(begin));
	EXPECT_EQ(0, pd_result(self->other, theirs));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
	EXPECT_EQ(0, RESETS());
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_DONE));
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
	EXPECT_EQ(0, pd_result(self->fd, START(8)));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->dst.len, 1));
}

/* K5: so are those on the other channels. */
TEST_F(recovery, by_a_reset)
{
	const unsigned int channels = self->env.info.out_channels;
	__u64 begin = pd_now_ns(), mine, last = 0;
	unsigned int chan;

	MUST(sim_set_all(&self->env, "ignore_terminate", 1));
	SET("hang", 2);
	mine = START(1);
	ASSERT_EQ(1, mine);
	/* One behind it, and several that are at work when the reset comes. */
	MUST(sim_set_all(&self->env, "delay_us", 20000));
	for (chan = 0; chan < channels; chan++) {
		last = OTHER(chan);
		ASSERT_EQ(chan + 1, last);
	}
	while (!pd_result(self->other, last) && pd_ms_since(begin) < HANG_MS) {
		struct pindrop_wait wait;

		if (!pd_wait(self->fd, mine, 0, &wait))
			break;
		last = OTHER(1);
	}
	EXPECT_EQ(-EIO, pd_result(self->fd, mine));
	EXPECT_GT(HANG_MS, pd_ms_since(begin));
	EXPECT_EQ(0, pd_result(self->other, last));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
	EXPECT_EQ(1, RESETS());
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
	MUST(sim_set_all(&self->env, "delay_us", 0));
	EXPECT_EQ(0, pd_result(self->fd, START(8)));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->dst.len, 1));
}

/* It is noticed by a death: the same chain, and over in its time. */
TEST_F(recovery, in_a_death)
{
	struct pd_buf src, dst;
	__u64 begin, theirs;
	pid_t pid;
	int fd;

	MUST(sim_set_all(&self->env, "ignore_terminate", 1));
	/* An abort before it is taken up would end it, and the neighbour's hang. */
	MUST(sim_set_all(&self->env, "ignore_abort", 1));
	fd = pd_open(&self->env);
	ASSERT_LE(0, fd);
	SET("hang", 2);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(!pd_create(fd, self->piece, &src));
		CHILD(!pd_create(fd, self->piece, &dst));
		CHILD(pd_start_on(fd, 0, &src, &dst, self->piece) == 1);
		pd_post(self->flag, 1);
		for (;;)
			pause();
	}
	close(fd);
	ASSERT_TRUE(pd_await(self->flag, 1));
	theirs = OTHER(0);
	begin = pd_now_ns();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_GT(1500, pd_ms_since(begin));
	EXPECT_EQ(0, pd_result(self->other, theirs));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_INFLIGHT, 0, SLACK_MS));
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
	EXPECT_EQ(1, RESETS());
}

/* Copies on its own channel, and looks at every byte, until it is told. */
static void work_on(const struct pd_env *env, unsigned int *flag)
{
	struct pd_buf src, dst;
	int fd = pd_open(env);
	unsigned int round;

	CHILD(fd >= 0);
	CHILD(!pd_create(fd, 4 * env->info.out_max_piece, &src));
	CHILD(!pd_create(fd, 4 * env->info.out_max_piece, &dst));
	for (round = 1; *(volatile unsigned int *)flag != 2; round++) {
		pd_fill(src.map, src.len, round);
		CHILD(!pd_result(fd, pd_start_on(fd, 1, &src, &dst, src.len)));
		CHILD(pd_wrong(dst.map, dst.len, round) == -1);
		if (round == 1)
			pd_post(flag, 1);
	}
}

/* P4: one hangs, dies and is reset, again and again; the other works on. */
TEST_F(recovery, leaves_a_neighbour_alone)
{
	struct pd_buf src, dst;
	pid_t worker, pid;
	__u64 begin;
	int i;

	MUST(sim_set_all(&self->env, "ignore_terminate", 1));
	MUST(sim_set(&self->env, 1, "delay_us", 2000));
	worker = fork();
	ASSERT_LE(0, worker);
	if (!worker) {
		work_on(&self->env, self->flag);
		_exit(0);
	}
	ASSERT_TRUE(pd_await(self->flag, 1));
	for (i = 0; i < 3; i++) {
		SET("hang", 2);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			int fd = pd_open(&self->env);

			CHILD(fd >= 0);
			CHILD(!pd_create(fd, self->piece, &src));
			CHILD(!pd_create(fd, self->piece, &dst));
			CHILD(pd_start_on(fd, 0, &src, &dst, self->piece) == 1);
			/* Before it is begun it can still be aborted. */
			pd_sleep_ms(20);
			kill(getpid(), SIGKILL);
		}
		begin = pd_now_ns();
		EXPECT_EQ(-SIGKILL, pd_join(pid));
		EXPECT_GT(1500, pd_ms_since(begin));
		EXPECT_TRUE(pd_count_becomes(&self->env, PD_CONTEXTS, 3,
					     HANG_MS));
	}
	EXPECT_EQ(3, RESETS());
	pd_post(self->flag, 2);
	EXPECT_EQ(0, pd_join(worker));
	/* Those of the dead were cancelled. */
	EXPECT_EQ(0, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(3, pd_grown(&self->env, PD_JOBS_CANCELLED));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_INFLIGHT, 0, SLACK_MS));
}

/* A reset that does not help ends it for everybody, once each. */
TEST_F(recovery, that_fails_is_told_to_all)
{
	const long long bytes = self->src.len + self->dst.len;
	long long listed;
	__u64 mine, theirs;

	MUST(sim_set_all(&self->env, "ignore_terminate", 1));
	MUST(sim_set_all(&self->env, "delay_us", 280000));
	MUST(sim_fail_reset(&self->env, 2));
	SET("hang", 2);
	mine = START(1);
	ASSERT_EQ(1, mine);
	theirs = OTHER(1);
	EXPECT_EQ(-EIO, pd_result(self->fd, mine));
	EXPECT_EQ(-EIO, pd_result(self->other, theirs));
	EXPECT_EQ(2, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(bytes, pd_count(&self->env, PD_QUARANTINED));
	EXPECT_EQ(2, quarantined(self->env.info.out_device, &listed));
	EXPECT_EQ(bytes, listed);
	/* Nobody gets anything of it. */
	EXPECT_EQ(-EIO, pd_open(&self->env));
	EXPECT_EQ(0, OTHER(1));
	EXPECT_EQ(0, OTHER(0));
	/* It is asked for proof again, and then it works. */
	MUST(sim_reset(&self->env, 0));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, SLACK_MS));
	pd_sleep_ms(50);
	EXPECT_EQ(0, pd_result(self->other, OTHER(1)));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
	EXPECT_EQ(0, quarantined(self->env.info.out_device, &listed));
	EXPECT_EQ(2, pd_grown(&self->env, PD_JOBS_FAILED));
}

/* What hangs for ever is mended by hand, and others' work goes on. */
TEST_F(recovery, at_the_administrators_wish)
{
	__u64 mine, theirs;

	FAILS(EINVAL, pd_write_file(self->reset, "0"));
	FAILS(EINVAL, pd_write_file(self->reset, "x"));
	MUST(sim_incurable(&self->env));
	FAILS(EOPNOTSUPP, pd_write_file(self->reset, "1"));
	SET("hang", 1);
	mine = START(1);
	EXPECT_EQ(-EIO, pd_result(self->fd, mine));
	EXPECT_LT(0, pd_count(&self->env, PD_QUARANTINED));
	MUST(sim_fail_reset(&self->env, 0));
	MUST(sim_set(&self->env, 1, "delay_us", 50000));
	theirs = OTHER(1);
	MUST(pd_write_file(self->reset, "1"));
	EXPECT_EQ(1, RESETS());
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, SLACK_MS));
	EXPECT_EQ(0, pd_result(self->other, theirs));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
	EXPECT_EQ(0, pd_result(self->fd, START(8)));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->dst.len, 1));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
}

/* P5: a reset takes what the device had stored, and its tenant is told. */
TEST_F(recovery, loses_the_devices_memory_and_says_so)
{
	const size_t len = 4096;
	struct pindrop_job_desc in = pd_copy(&self->src, 0, &self->dst, 0, len);
	struct pindrop_job_desc out = in;

	in.dst = PINDROP_DEVMEM;
	out.src = PINDROP_DEVMEM;
	EXPECT_EQ(0, pd_run(self->fd, &in, 1));
	EXPECT_EQ(0, pd_run(self->fd, &out, 1));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, len, 1));
	MUST(pd_write_file(self->reset, "1"));
	FAILS(EIO, pd_submit(self->fd, &out, 1, NULL));
	EXPECT_EQ(0, pd_run(self->fd, &out, 1));
	EXPECT_EQ(-1, pd_nonzero(self->dst.map, len));
	EXPECT_EQ(0, pd_run(self->fd, &in, 1));
	EXPECT_EQ(0, pd_run(self->fd, &out, 1));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, len, 1));
	/* A neighbour has lost nothing, and is told nothing. */
	MUST(pd_write_file(self->reset, "1"));
	EXPECT_EQ(0, pd_result(self->other, OTHER(0)));
}

/* P1: it goes as it hangs; its memory is kept until it has come back idle. */
TEST_F(recovery, is_left_to_the_next_driver)
{
	const char *device = self->env.info.out_device;
	const long long bytes = 2 * self->piece;
	struct pd_buf src, dst;
	long long listed;
	__u64 begin;
	int fd;

	fd = pd_open(&self->env);
	ASSERT_LE(0, fd);
	MUST(pd_alloc(fd, self->piece, 0, &src));
	MUST(pd_alloc(fd, self->piece, 0, &dst));
	MUST(sim_incurable(&self->env));
	SET("hang", 2);
	ASSERT_EQ(1, pd_start_on(fd, 0, &src, &dst, self->piece));
	EXPECT_EQ(-EIO, pd_result(fd, 1));
	begin = pd_now_ns();
	MUST(pd_write_in(self->driver, "unbind", device));
	EXPECT_GT(HANG_MS, pd_ms_since(begin));
	close(fd);
	/* Nobody holds the old node any more, but for the quarantine. */
	close(self->fd);
	close(self->other);
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	pd_unmap(&self->from);
	pd_unmap(&self->to);
	pd_sleep_ms(50);
	EXPECT_EQ(2, quarantined(device, &listed));
	EXPECT_EQ(bytes, listed);
	MUST(pd_write_in(self->driver, "bind", device));
	EXPECT_EQ(0, quarantined(device, &listed));
	/* Its number was taken: the first one again, for those who come. */
	pd_sleep_ms(100);
	MUST(pd_write_in(self->driver, "unbind", device));
	pd_sleep_ms(50);
	MUST(pd_write_in(self->driver, "bind", device));
	begin = pd_now_ns();
	while (access(self->env.path, F_OK) && pd_ms_since(begin) < SLACK_MS)
		pd_sleep_ms(5);
	self->fd = pd_open(&self->env);
	self->other = pd_open(&self->env);
	EXPECT_LE(0, self->fd);
	EXPECT_LE(0, self->other);
}

/* All devices are suspended, and at once resumed. */
static int suspend_for_a_moment(void)
{
	int err, end;

	err = pd_write_file("/sys/module/suspend/parameters/pm_test_delay",
			    "0");
	if (!err)
		err = pd_write_file("/sys/power/pm_test", "devices");
	if (!err)
		err = pd_write_file("/sys/power/state", "freeze");
	end = pd_write_file("/sys/power/pm_test", "none");
	return err ? err : end;
}

/* Jobs outlive it. */
TEST_F(recovery, of_what_was_suspended)
{
	__u64 mine;

	MUST(sim_set_all(&self->env, "delay_us", 50000));
	mine = START(8);
	ASSERT_EQ(1, mine);
	MUST(suspend_for_a_moment());
	EXPECT_EQ(0, pd_result(self->fd, mine));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->dst.len, 1));
}

/* A device that hangs is cut off and suspends, and stays so until it is idle. */
TEST_F(recovery, hung_device_suspends_and_stays_cut_off_until_idle)
{
	__u64 mine, begin;
	int fd;

	MUST(sim_incurable(&self->env));
	SET("hang", 1);
	mine = START(1);
	EXPECT_EQ(-EIO, pd_result(self->fd, mine));
	MUST(suspend_for_a_moment());
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_LT(0, pd_count(&self->env, PD_QUARANTINED));
	EXPECT_EQ(-EIO, pd_open(&self->env));
	SET("hang", 0);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, SLACK_MS));
	begin = pd_now_ns();
	while ((fd = pd_open(&self->env)) < 0 && pd_ms_since(begin) < SLACK_MS)
		pd_sleep_ms(5);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(0, pd_result(self->other, OTHER(1)));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
}

/* P5: what waited behind one that hangs finds the device's memory gone. */
TEST_F(recovery, does_not_do_again_what_is_lost)
{
	const size_t len = 4096;
	struct pindrop_job_desc hang = pd_copy(&self->from, 0, &self->to, 0, len);
	struct pindrop_job_desc in = pd_copy(&self->src, 0, &self->dst, 0, len);
	struct pindrop_job_desc out = in;
	struct pindrop_submit theirs, mine;

	in.dst = PINDROP_DEVMEM;
	out.src = PINDROP_DEVMEM;
	EXPECT_EQ(0, pd_run(self->fd, &in, 1));
	SET("hang", 2);
	MUST(pd_submit_on(self->other, 0, &hang, 1, &theirs));
	MUST(pd_submit_on(self->fd, 0, &out, 1, &mine));
	MUST(suspend_for_a_moment());
	EXPECT_EQ(-EIO, pd_result(self->other, theirs.out_last));
	EXPECT_EQ(-EIO, pd_result(self->fd, mine.out_last));
}

/* It ends by itself while the driver still waits for others: it counts. */
TEST_F(recovery, that_comes_by_itself)
{
	__u64 begin, mine, theirs;

	MUST(sim_incurable(&self->env));
	MUST(sim_set(&self->env, 1, "delay_us", 250000));
	SET("hang", 1);
	begin = pd_now_ns();
	mine = START(1);
	ASSERT_EQ(1, mine);
	theirs = OTHER(1);
	while (pd_ms_since(begin) < 2 * self->piece_ms - 30)
		pd_sleep_ms(1);
	SET("hang", 0);
	/* Copied, or given up a moment before. */
	EXPECT_LE(-EIO, pd_result(self->fd, mine));
	EXPECT_EQ(0, pd_result(self->other, theirs));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, SLACK_MS));
	pd_sleep_ms(200);
	EXPECT_EQ(0, pd_result(self->fd, START(1)));
}

TEST_HARNESS_MAIN
