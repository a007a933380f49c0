// SPDX-License-Identifier: GPL-2.0-only
/* Controllers come and go, with their drivers, whoever uses their channels. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "plat_utils.h"

#define OWNERS 3
#define ROUNDS 8
#define NO_UNBIND "the controller's driver cannot be unbound"
#define MODULE_NAME "pindrop_dmaengine"
#define MODULE "/lib/modules/" MODULE_NAME ".ko"

FIXTURE(plat)
{
	struct pd_env env;
	struct plat_bound self, controller;
	unsigned int *flag;
};

FIXTURE_SETUP(plat)
{
	PLAT_SETUP(&self->env);
	MUST(plat_self(&self->env, &self->self));
	MUST(plat_controller(&self->env, &self->controller));
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
}

FIXTURE_TEARDOWN(plat)
{
	plat_set_deaf(&self->env, 0);
	EXPECT_TRUE(plat_appears(self->env.path));
	PD_TEARDOWN(&self->env);
}

/* As much as it can be given, on pinned memory, until it is taken away. */
static void work_until_it_goes(const struct pd_env *env, unsigned int *flag)
{
	const size_t len = 4 * env->info.out_max_piece;
	struct pindrop_job_desc jobs[16];
	struct pindrop_wait wait;
	struct pindrop_submit sub;
	struct pd_buf src, dst;
	int fd = pd_open(env), err, i;
	unsigned char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHILD(fd >= 0 && mem != MAP_FAILED);
	CHILD(!pd_create(fd, len, &src));
	pd_fill(src.map, len, 4);
	CHILD(!pd_pin(fd, mem, len, PINDROP_PIN_WRITE, &dst));
	for (i = 0; i < ARRAY_LEN(jobs); i++)
		jobs[i] = pd_copy(&src, 0, &dst, 0, len);
	__atomic_add_fetch(flag, 1, __ATOMIC_SEQ_CST);
	do {
		err = pd_submit(fd, jobs, ARRAY_LEN(jobs), &sub);
		/* The others have all that may bounce. */
		if (err == -EDQUOT) {
			err = 0;
		} else if (!err) {
			CHILD(!pd_wait(fd, sub.out_last, PLAT_BOUND_MS, &wait));
			CHILD(!wait.out_result || wait.out_result == -ENODEV);
		}
	} while (!err);
	CHILD(err == -ENODEV);
	/* Whatever was begun is over: this is ours, and stays as it is. */
	memset(mem, 0x5a, len);
	pd_sleep_ms(100);
	for (i = 0; i < len; i++)
		CHILD(mem[i] == 0x5a);
	_exit(0);
}

/* P1, P2: nobody is left waiting, nothing is written after the end. */
TEST_F(plat, controller_goes_under_load)
{
	long long pins = pd_vmstat_pins();
	pid_t pid[OWNERS];
	int i, round;
	__u64 begin;

	if (!plat_can_unbind(&self->controller))
		SKIP(return, NO_UNBIND);
	for (round = 0; round < ROUNDS; round++) {
		__atomic_store_n(self->flag, 0, __ATOMIC_SEQ_CST);
		for (i = 0; i < OWNERS; i++) {
			pid[i] = fork();
			ASSERT_LE(0, pid[i]);
			if (!pid[i])
				work_until_it_goes(&self->env, self->flag);
		}
		EXPECT_TRUE(pd_await(self->flag, OWNERS));
		pd_sleep_ms(7 * round);
		begin = pd_now_ns();
		EXPECT_EQ(0, plat_unbind(&self->controller));
		EXPECT_GT(PLAT_BOUND_MS, pd_ms_since(begin));
		EXPECT_NE(0, access(self->env.path, F_OK));
		for (i = 0; i < OWNERS; i++)
			EXPECT_EQ(0, pd_join(pid[i]));
		EXPECT_EQ(pins, pd_vmstat_pins());
		EXPECT_FALSE(plat_in_quarantine(self->env.info.out_device));
		/* A reaper may still hold what has its number. */
		pd_sleep_ms(50);
		MUST(plat_bind(&self->controller));
		ASSERT_TRUE(plat_appears(self->env.path));
	}
	EXPECT_STREQ("", plat_works(&self->env));
}

/* It waits for its controller, and is there when that is. */
TEST_F(plat, controller_comes_later)
{
	if (!plat_can_unbind(&self->controller))
		SKIP(return, NO_UNBIND);
	MUST(plat_unbind(&self->controller));
	EXPECT_NE(0, access(self->env.path, F_OK));
	/* It cannot be had now. */
	EXPECT_NE(0, plat_bind(&self->self));
	EXPECT_NE(0, access(self->env.path, F_OK));
	MUST(plat_bind(&self->controller));
	ASSERT_TRUE(plat_appears(self->env.path));
	EXPECT_STREQ("", plat_works(&self->env));
}

/* Deaths with as much queued as there can be. */
TEST_F(plat, owner_dies_with_jobs_queued)
{
	long long pins = pd_vmstat_pins();
	int round;
	pid_t pid;

	for (round = 0; round < ROUNDS; round++) {
		__atomic_store_n(self->flag, 0, __ATOMIC_SEQ_CST);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			work_until_it_goes(&self->env, self->flag);
		EXPECT_TRUE(pd_await(self->flag, 1));
		pd_sleep_ms(3 * round);
		kill(pid, SIGKILL);
		EXPECT_EQ(-SIGKILL, pd_join(pid));
		EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
		EXPECT_EQ(0, pd_count(&self->env, PD_PINNED));
		EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
		EXPECT_EQ(pins, pd_vmstat_pins());
	}
	EXPECT_STREQ("", plat_works(&self->env));
}

/* With nobody's job lost, and as often as one likes. */
TEST_F(plat, is_reset_by_its_administrator)
{
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, pd_write_in(self->env.sysfs, "reset", "1"));
		EXPECT_STREQ("", plat_works(&self->env));
	}
}

/* A lost interrupt is asked for before it is taken for a hang. */
TEST_F(plat, interrupt_is_lost)
{
	__u64 begin = pd_now_ns();

	MUST(plat_set_deaf(&self->env, 1));
	EXPECT_STREQ("", plat_works(&self->env));
	EXPECT_GT(PLAT_BOUND_MS / 2, pd_ms_since(begin));
	EXPECT_EQ(0, pd_grown(&self->env, PD_JOBS_FAILED));
	MUST(plat_set_deaf(&self->env, 0));
}

/* The parameters that the engine's module has now. */
static void as_loaded(char *parameters, size_t size)
{
	char delay[32] = "";

	pd_read_file("/sys/module/pindrop_dmaengine/parameters/delay_us", delay,
		     sizeof(delay));
	snprintf(parameters, size, "delay_us=%d", atoi(delay));
}

/* Either may be there first. */
TEST_F(plat, engine_comes_after_its_controller)
{
	char parameters[48];

	if (access(MODULE, R_OK))
		SKIP(return, "there is no " MODULE);
	as_loaded(parameters, sizeof(parameters));
	MUST(pd_unload_module(MODULE_NAME));
	EXPECT_NE(0, access(self->env.path, F_OK));
	MUST(pd_load_module(MODULE, parameters));
	ASSERT_TRUE(plat_appears(self->env.path));
	EXPECT_STREQ("", plat_works(&self->env));
}

TEST_F(plat, engine_comes_before_its_controller)
{
	char parameters[48];

	if (access(MODULE, R_OK))
		SKIP(return, "there is no " MODULE);
	if (!plat_can_unbind(&self->controller))
		SKIP(return, NO_UNBIND);
	as_loaded(parameters, sizeof(parameters));
	MUST(pd_unload_module(MODULE_NAME));
	MUST(plat_unbind(&self->controller));
	MUST(pd_load_module(MODULE, parameters));
	EXPECT_NE(0, access(self->env.path, F_OK));
	MUST(plat_bind(&self->controller));
	ASSERT_TRUE(plat_appears(self->env.path));
	EXPECT_STREQ("", plat_works(&self->env));
}

TEST_F(plat, is_not_made_of_what_cannot_be)
{
	FAILS(EINVAL, pd_write_in(self->self.driver, "new_device", "any 0"));
	FAILS(EINVAL, pd_write_in(self->self.driver, "new_device", "any 17"));
	FAILS(EINVAL, pd_write_in(self->self.driver, "new_device", "any 1 3"));
	FAILS(EINVAL,
	      pd_write_in(self->self.driver, "new_device", "any 1 128"));
	FAILS(EINVAL, pd_write_in(self->self.driver, "new_device", "\n"));
	FAILS(ENODEV, pd_write_in(self->self.driver, "delete_device",
				  self->self.device));
	EXPECT_EQ(0, plat_delete_made(&self->self));
}

/* The other device than this one, when it is there. */
static int find_made(const struct pd_env *env, struct pd_env *made)
{
	__u64 begin = pd_now_ns();
	int minor;

	do {
		for (minor = 0; minor < 256; minor++) {
			snprintf(made->path, sizeof(made->path),
				 "/dev/pindrop%d", minor);
			if (strcmp(made->path, env->path) &&
			    !access(made->path, F_OK))
				return pd_env_init(made);
		}
		pd_sleep_ms(10);
	} while (pd_ms_since(begin) < PLAT_BOUND_MS);
	return -ENOENT;
}

/* One that no tree knows of waits for its controller as the others do. */
TEST_F(plat, made_one_waits_for_its_controller)
{
	struct pd_env made = self->env;
	struct plat_bound idle;
	char line[192];

	if (plat_idle_controller(&idle))
		SKIP(return, "there is no channel that nobody uses");
	if (!plat_can_unbind(&idle))
		SKIP(return, NO_UNBIND);
	snprintf(line, sizeof(line), "%s 1 %u", idle.device,
		 self->env.info.out_align);
	MUST(plat_unbind(&idle));
	EXPECT_EQ(0, pd_write_in(self->self.driver, "new_device", line));
	EXPECT_EQ(-ENOENT, find_made(&self->env, &made));
	MUST(plat_bind(&idle));
	EXPECT_EQ(0, find_made(&self->env, &made));
	EXPECT_STREQ("", plat_works(&made));
	EXPECT_EQ(1, plat_delete_made(&self->self));
}

/* Without a device tree: whose channels, how many, their alignment. */
TEST_F(plat, is_made_by_sysfs)
{
	struct pd_env made = self->env;
	struct plat_bound idle;
	char line[192];

	if (plat_idle_controller(&idle))
		SKIP(return, "there is no channel that nobody uses");
	snprintf(line, sizeof(line), "%s 1 %u", idle.device,
		 self->env.info.out_align);
	MUST(pd_write_in(self->self.driver, "new_device", line));
	MUST(find_made(&self->env, &made));
	EXPECT_EQ(1, made.info.out_channels);
	EXPECT_STREQ("", plat_works(&made));
	EXPECT_STREQ("", plat_works(&self->env));
	MUST(pd_write_in(self->self.driver, "delete_device",
			 made.info.out_device));
	EXPECT_NE(0, access(made.path, F_OK));
	FAILS(ENODEV, pd_write_in(self->self.driver, "delete_device",
				  made.info.out_device));
	/* It waits for what is not there, and can be taken back. */
	MUST(pd_write_in(self->self.driver, "new_device", "no-controller"));
	EXPECT_NE(0, access(made.path, F_OK));
	EXPECT_STREQ("", plat_works(&self->env));
	EXPECT_EQ(1, plat_delete_made(&self->self));
}

TEST_HARNESS_MAIN
