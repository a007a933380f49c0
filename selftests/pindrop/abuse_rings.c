// SPDX-License-Identifier: GPL-2.0-only
/* What a member of the group can take from others with rings. P6. */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "ring_utils.h"

FIXTURE(rings)
{
	struct pd_env env;
	int fd, other;
};

FIXTURE_SETUP(rings)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	self->other = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
}

FIXTURE_TEARDOWN(rings)
{
	close(self->fd);
	close(self->other);
	EXPECT_EQ(0, pd_write_in(self->env.sysfs, "ring_threads", "0"));
	PD_TEARDOWN(&self->env);
}

/* Their time is not that of his control group. */
TEST_F(rings, threads_take_the_administrators_leave)
{
	struct ring r;

	EXPECT_EQ(0, pd_number_in(self->env.sysfs, "ring_threads"));
	EXPECT_EQ(-EINVAL,
		  pd_write_in(self->env.sysfs, "ring_threads", "perhaps"));
	ASSERT_EQ(0, setresuid(PD_MEMBER, PD_MEMBER, 0));
	EXPECT_EQ(-EPERM, ring_open(self->fd, 8, PINDROP_RING_THREAD, &r));
	EXPECT_EQ(-EACCES, pd_write_in(self->env.sysfs, "ring_threads", "1"));
	/* Refused, it has no ring yet. */
	EXPECT_EQ(0, ring_open(self->fd, 8, 0, &r));
	ring_close(&r);
	ASSERT_EQ(0, setresuid(0, 0, 0));
	MUST(pd_write_in(self->env.sysfs, "ring_threads", "1"));
	ASSERT_EQ(0, setresuid(PD_MEMBER, PD_MEMBER, 0));
	EXPECT_EQ(0, ring_open(self->other, 8, PINDROP_RING_THREAD, &r));
	ring_close(&r);
	ASSERT_EQ(0, setresuid(0, 0, 0));
}

TEST_HARNESS_MAIN
