// SPDX-License-Identifier: GPL-2.0-only
/* A machine that stands still: the hardware is not late if the clock ran on. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "sim_utils.h"

/* The rest is for a slow guest. */
#define SLACK_MS 2000

FIXTURE(stall)
{
	struct pd_env env;
	int fd;
	long piece_ms;
	struct pd_buf src, dst;
};

FIXTURE_SETUP(stall)
{
	SIM_SETUP(&self->env);
	self->piece_ms = self->env.info.out_piece_ms;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, self->env.page, &self->src));
	MUST(pd_create(self->fd, self->env.page, &self->dst));
	pd_fill(self->src.map, self->src.len, 1);
}

FIXTURE_TEARDOWN(stall)
{
	/* First: a hang would be left over. */
	EXPECT_EQ(0, sim_reset(&self->env, 0));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, SLACK_MS));
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	close(self->fd);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, SLACK_MS));
	SIM_TEARDOWN(&self->env);
}

#define START_ON(chan) \
	pd_start_on(self->fd, chan, &self->src, &self->dst, self->dst.len)
#define START() START_ON(0)

/* A job that never ends, and that no recovery stops. */
#define HANG(ticket)                                         \
	do {                                                 \
		MUST(sim_incurable(&self->env));             \
		MUST(sim_set(&self->env, 0, "hang", 1));     \
		(ticket) = START();                          \
		ASSERT_LT(0, (__s64)(ticket));               \
	} while (0)

/* The bound of the engine passes twice while the device has no time at all. */
TEST_F(stall, of_600_ms_fails_no_job_on_any_channel)
{
	__u64 ticket, other;
	int i;

	MUST(sim_set_all(&self->env, "delay_us", 1000 * self->piece_ms / 3));
	for (i = 0; i < 5; i++) {
		memset(self->dst.map, 0, self->dst.len);
		/* Each channel has its own time. */
		other = START_ON(self->env.info.out_channels - 1);
		ticket = START();
		ASSERT_LT(0, (__s64)other);
		ASSERT_LT(0, (__s64)ticket);
		usleep(10000 + 20000 * i);
		MUST(sim_stall(&self->env, 2 * self->piece_ms));
		EXPECT_EQ(0, pd_result(self->fd, other)) TH_LOG("round %d", i);
		EXPECT_EQ(0, pd_result(self->fd, ticket)) TH_LOG("round %d", i);
		EXPECT_EQ(-1, pd_wrong(self->dst.map, self->dst.len, 1));
	}
	EXPECT_EQ(0, pd_grown(&self->env, PD_JOBS_FAILED));
}

/* I5: fences wait for the watchdog, also on a machine that keeps no time. */
TEST_F(stall, without_end_does_not_hide_a_hang)
{
	__u64 ticket;
	int i;

	HANG(ticket);
	for (i = 0; i < 80 && !pd_grown(&self->env, PD_JOBS_FAILED); i++)
		MUST(sim_stall(&self->env, self->piece_ms - 50));
	EXPECT_GT(80, i);
	/* Some of them are not to count. */
	EXPECT_LT(6, i);
	EXPECT_EQ(-EIO, pd_result(self->fd, ticket));
}

/* The same where the watchdog is in time now and then. */
TEST_F(stall, every_375_ms_does_not_hide_a_hang)
{
	__u64 ticket;
	int i;

	HANG(ticket);
	for (i = 0; i < 40 && !pd_grown(&self->env, PD_JOBS_FAILED); i++) {
		MUST(sim_stall(&self->env, self->piece_ms / 2));
		pd_sleep_ms(self->piece_ms * 3 / 4);
	}
	EXPECT_GT(40, i);
	EXPECT_EQ(-EIO, pd_result(self->fd, ticket));
}

/* The job's owner, device and the reason are in the kernel log. */
TEST_F(stall, leaves_no_line_in_the_log_but_a_hang_does)
{
	char wanted[128];
	int log = pd_kmsg_open(), lines = 0, i;
	__u64 ticket;

	ASSERT_LE(0, log);
	MUST(sim_set(&self->env, 0, "delay_us", 1000 * self->piece_ms / 3));
	ticket = START();
	usleep(10000);
	MUST(sim_stall(&self->env, 2 * self->piece_ms));
	EXPECT_EQ(0, pd_result(self->fd, ticket));
	EXPECT_EQ(0, pd_kmsg_count(log, "fails: "));

	HANG(ticket);
	EXPECT_EQ(-EIO, pd_result(self->fd, ticket));
	snprintf(wanted, sizeof(wanted), "queue 0: job %llu of context ",
		 (unsigned long long)ticket);
	/* It is written a little later. */
	for (i = 0; i < 100 && !lines; i++) {
		pd_sleep_ms(10);
		lines = pd_kmsg_count(log, wanted);
	}
	EXPECT_EQ(1, lines);
	close(log);
}

TEST_F(stall, of_0_or_over_1000_ms_is_einval)
{
	FAILS(EINVAL, sim_stall(&self->env, 0));
	FAILS(EINVAL, sim_stall(&self->env, 1001));
}

TEST_HARNESS_MAIN
