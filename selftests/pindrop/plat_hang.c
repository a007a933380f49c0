// SPDX-License-Identifier: GPL-2.0-only
/*
 * A controller that does not say that it is through. Its owner dies all the
 * same, in bounded time, and nothing goes back before it is proved idle.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "plat_utils.h"

#define PINS 4 /* pages */

FIXTURE(hang)
{
	struct pd_env env;
	struct plat_bound self, controller;
	unsigned int *flag;
	long long pins;
	bool moved;
};

/* Either we do not listen, or its interrupt goes nowhere. */
FIXTURE_VARIANT(hang)
{
	bool deaf;
};

FIXTURE_VARIANT_ADD(hang, unheard)
{
	.deaf = true,
};

FIXTURE_VARIANT_ADD(hang, without_interrupt)
{
	.deaf = false,
};

/* A tree without the interrupt is for this program only. */
static bool has_interrupt(const struct pd_env *env)
{
	struct pd_buf src, dst;
	struct pindrop_job_desc job;
	struct pindrop_submit sub;
	int fd = pd_open(env);
	bool heard = fd >= 0 && !pd_create(fd, env->page, &src) &&
		     !pd_create(fd, env->page, &dst);

	job = pd_copy(&src, 0, &dst, 0, env->page);
	heard = heard && !pd_submit(fd, &job, 1, &sub) &&
		pd_wait(fd, sub.out_last, 400, NULL) != -ETIME;
	pd_unmap(&src);
	pd_unmap(&dst);
	close(fd);
	if (!heard && !pd_write_in(env->sysfs, "reset", "1"))
		pd_count_becomes(env, PD_CONTEXTS, 0, PLAT_BOUND_MS);
	return heard;
}

FIXTURE_SETUP(hang)
{
	PLAT_SETUP(&self->env);
	if (has_interrupt(&self->env) != variant->deaf)
		SKIP(PD_LEAVE_SETUP, "%s",
		     variant->deaf ? "its interrupt is not heard" :
				     "its interrupt is heard");
	MUST(pd_env_init(&self->env));
	MUST(plat_self(&self->env, &self->self));
	MUST(plat_controller(&self->env, &self->controller));
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
	self->pins = pd_vmstat_pins();
	if (variant->deaf)
		MUST(plat_set_deaf(&self->env, 2));
}

/* For the programs that come: the device is there, and works if it can. */
FIXTURE_TEARDOWN(hang)
{
	plat_set_blind(0);
	if (self->moved) {
		plat_delete_made(&self->self);
		plat_unbind(&self->self);
		/* A reaper may still hold what has its number. */
		pd_sleep_ms(50);
		EXPECT_EQ(0, plat_bind(&self->self));
		EXPECT_TRUE(plat_appears(self->env.path));
		MUST(pd_env_init(&self->env));
	}
	if (variant->deaf) {
		EXPECT_EQ(0, plat_set_deaf(&self->env, 0));
		EXPECT_STREQ("", plat_works(&self->env));
	}
	PD_TEARDOWN(&self->env);
}

/* From a buffer into memory of its own, until somebody ends it. */
static void live_and_hang(const struct pd_env *env, unsigned int *flag)
{
	const size_t len = PINS * env->page;
	struct pd_buf src, dst;
	struct pindrop_job_desc job;
	int fd = pd_open(env);
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHILD(fd >= 0 && mem != MAP_FAILED);
	CHILD(!pd_create(fd, len, &src));
	CHILD(!pd_pin(fd, mem, len, PINDROP_PIN_WRITE, &dst));
	job = pd_copy(&src, 0, &dst, 0, len);
	CHILD(!pd_submit(fd, &job, 1, NULL));
	CHILD(!pd_submit(fd, &job, 1, NULL));
	pd_sleep_ms(20);
	pd_post(flag, 1);
	for (;;)
		pause();
}

/* How long the death took, or less than nothing. */
static long die_hanging(const struct pd_env *env, unsigned int *flag)
{
	pid_t pid = fork();
	__u64 begin;
	long ms;

	if (!pid)
		live_and_hang(env, flag);
	if (pid < 0 || !pd_await(flag, 1))
		return -1;
	begin = pd_now_ns();
	kill(pid, SIGKILL);
	if (pd_join(pid) != -SIGKILL)
		return -1;
	ms = pd_ms_since(begin);
	__atomic_store_n(flag, 0, __ATOMIC_SEQ_CST);
	return ms;
}

/* P1, P2: all that it could still touch is kept, and known to be. */
#define EXPECT_KEPT()                                                    \
	do {                                                             \
		EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, \
					     2 * PINS * self->env.page,  \
					     PLAT_BOUND_MS));            \
		EXPECT_EQ(self->pins + PINS, pd_vmstat_pins());          \
		EXPECT_EQ(PINS, pd_grown(&self->env, PD_PINNED));        \
	} while (0)

#define EXPECT_NOT_KEPT()                                                   \
	do {                                                                \
		EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, \
					     PLAT_BOUND_MS));               \
		EXPECT_TRUE(pd_count_becomes(&self->env, PD_PINNED, 0,      \
					     PLAT_BOUND_MS));               \
		EXPECT_EQ(self->pins, pd_vmstat_pins());                    \
	} while (0)

TEST_F(hang, ends_by_a_canary)
{
	long ms = die_hanging(&self->env, self->flag);

	EXPECT_LE(0, ms);
	EXPECT_GT(PLAT_BOUND_MS / 2, ms);
	EXPECT_KEPT();
	pd_matrix(variant->deaf ? "plat: unheard" : "plat: no interrupt", ms,
		  -1, pd_count(&self->env, PD_QUARANTINED));
	EXPECT_EQ(0, pd_write_in(self->env.sysfs, "reset", "1"));
	EXPECT_NOT_KEPT();
}

/* The proof is in memory, and nowhere else. */
TEST_F(hang, does_not_end_by_a_canary_that_nobody_sees)
{
	EXPECT_LE(0, die_hanging(&self->env, self->flag));
	EXPECT_KEPT();
	MUST(plat_set_blind(1));
	EXPECT_EQ(-EIO, pd_write_in(self->env.sysfs, "reset", "1"));
	EXPECT_KEPT();
	MUST(plat_set_blind(0));
	EXPECT_EQ(0, pd_write_in(self->env.sysfs, "reset", "1"));
	EXPECT_NOT_KEPT();
}

/* Nor by being bound again, if that proves nothing. */
TEST_F(hang, outlives_the_device)
{
	__u64 begin;

	EXPECT_LE(0, die_hanging(&self->env, self->flag));
	EXPECT_KEPT();
	self->moved = true;
	begin = pd_now_ns();
	MUST(plat_unbind(&self->self));
	EXPECT_GT(PLAT_BOUND_MS, pd_ms_since(begin));
	EXPECT_TRUE(plat_in_quarantine(self->env.info.out_device));
	EXPECT_EQ(self->pins + PINS, pd_vmstat_pins());
	MUST(plat_set_blind(1));
	plat_bind(&self->self);
	EXPECT_NE(0, access(self->env.path, F_OK));
	EXPECT_TRUE(plat_in_quarantine(self->env.info.out_device));
	EXPECT_EQ(self->pins + PINS, pd_vmstat_pins());
	MUST(plat_set_blind(0));
	EXPECT_EQ(0, plat_bind(&self->self));
	EXPECT_TRUE(plat_leaves_quarantine(self->env.info.out_device));
	EXPECT_EQ(self->pins, pd_vmstat_pins());
}

/* Nor does another device of the same name prove it, only the same channel. */
TEST_F(hang, is_not_proved_by_another_controller)
{
	struct plat_bound other;
	char again[160];

	if (plat_idle_controller(&other) ||
	    !strcmp(other.device, self->controller.device))
		SKIP(return, "there is no other controller");
	self->moved = true;
	MUST(plat_unbind(&self->self));
	snprintf(again, sizeof(again), "%s 1 %u", self->controller.device,
		 self->env.info.out_align);
	MUST(pd_write_in(self->self.driver, "new_device", again));
	EXPECT_TRUE(plat_appears(self->env.path));
	MUST(pd_env_init(&self->env));
	if (variant->deaf)
		MUST(plat_set_deaf(&self->env, 2));
	EXPECT_LE(0, die_hanging(&self->env, self->flag));
	EXPECT_KEPT();
	MUST(pd_write_in(self->self.driver, "delete_device",
			 self->env.info.out_device));
	EXPECT_TRUE(plat_in_quarantine(self->env.info.out_device));
	MUST(pd_write_in(self->self.driver, "new_device", other.device));
	EXPECT_TRUE(plat_appears("/dev/pindrop1"));
	EXPECT_TRUE(plat_in_quarantine(self->env.info.out_device));
	EXPECT_EQ(self->pins + PINS, pd_vmstat_pins());
	/* The same channel, though by another name. */
	EXPECT_EQ(0, plat_bind(&self->self));
	EXPECT_TRUE(plat_leaves_quarantine(self->env.info.out_device));
	EXPECT_EQ(self->pins, pd_vmstat_pins());
}

TEST_HARNESS_MAIN
