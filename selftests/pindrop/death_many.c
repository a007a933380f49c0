// SPDX-License-Identifier: GPL-2.0-only
/*
 * An owner of 16 files on as many devices of the engine as there are dies once,
 * not 16 times: also where every one of them hangs.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "sim_utils.h"

#define FILES 16
#define MOST_DEVICES 8
/* From SIGKILL to waitpid: 1 s, and what a slow machine takes. */
#define HUNG_MS 1500

FIXTURE(many)
{
	struct death_watch w[MOST_DEVICES];
	unsigned int devices;
};

/* All devices of the engine that the one under test has. */
static int watch_all(struct death_watch *w, unsigned int *count)
{
	struct pd_env other;
	int minor, err;

	for (*count = 1, minor = 0; minor < 256; minor++) {
		memset(&other, 0, sizeof(other));
		snprintf(other.path, sizeof(other.path), "/dev/pindrop%d",
			 minor);
		if (*count == MOST_DEVICES || access(other.path, F_OK) ||
		    !strcmp(other.path, w[0].env.path) || pd_env_init(&other) ||
		    strcmp(other.info.out_engine, w[0].env.info.out_engine))
			continue;
		w[*count].env = other;
		err = death_watch(&w[*count]);
		if (err)
			return err;
		++*count;
	}
	return 0;
}

FIXTURE_SETUP(many)
{
	DEATH_SETUP(&self->w[0]);
	MUST(watch_all(self->w, &self->devices));
	fprintf(stderr, "# many: %u files on %u devices\n", FILES,
		self->devices);
}

FIXTURE_TEARDOWN(many)
{
	unsigned int i;

	for (i = 0; i < self->devices; i++)
		DEATH_TEARDOWN(&self->w[i]);
}

/* Each file has one page to copy; they use all channels. */
static void start_all(struct death_watch *w, unsigned int devices)
{
	struct pindrop_job_desc job;
	struct pd_buf src, dst;
	unsigned int i, chan;
	int fd;

	for (i = 0; i < FILES; i++) {
		const struct pd_env *env = &w[i % devices].env;

		fd = pd_open(env);
		CHILD(fd >= 0);
		CHILD(!pd_create(fd, env->page, &src));
		CHILD(!pd_create(fd, env->page, &dst));
		job = pd_copy(&src, 0, &dst, 0, env->page);
		chan = i / devices % env->info.out_channels;
		CHILD(!pd_submit_on(fd, chan, &job, 1, NULL));
	}
	pd_post(&w->shared->flag, 1);
	for (;;)
		pause();
}

static long kill_all(struct death_watch *w, pid_t pid)
{
	return death_kill(w, pid) == -SIGKILL ? pd_ms_since(w->since_ns) : -1;
}

static int jobs_of(unsigned int device, unsigned int devices)
{
	return (FILES + devices - 1 - device) / devices;
}

TEST_F(many, files_die_once)
{
	const struct pindrop_info *info = &self->w[0].env.info;
	unsigned int i;
	pid_t pid;
	long ms;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		start_all(self->w, self->devices);
	ASSERT_TRUE(death_ready(&self->w[0]));
	ms = kill_all(self->w, pid);
	for (i = 0; i < self->devices; i++) {
		self->w[i].since_ns = self->w[0].since_ns;
		EXPECT_STREQ("", death_left(&self->w[i],
					    jobs_of(i, self->devices)));
	}
	EXPECT_STREQ("", death_strays(&self->w[0]));
	EXPECT_LE(0, ms);
	if (!death_kernel_is_slow())
		EXPECT_GE((long)info->out_piece_ms, ms);
}

/* P3, P2: the wait is bounded, and all is in quarantine that was on a device. */
TEST_F(many, files_of_hung_devices_die_once)
{
	unsigned int i, jobs;
	long long bytes = 0;
	const char *missing;
	pid_t pid;
	long ms;

	missing = sim_find(&self->w[0].env);
	if (missing)
		SKIP(return, "%s", missing);
	for (i = 0; i < self->devices; i++) {
		MUST(sim_incurable(&self->w[i].env));
		MUST(sim_set_all(&self->w[i].env, "hang", 1000));
	}
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		start_all(self->w, self->devices);
	ASSERT_TRUE(death_ready(&self->w[0]));
	ms = kill_all(self->w, pid);
	for (i = 0; i < self->devices; i++) {
		jobs = jobs_of(i, self->devices);
		bytes = 2LL * jobs * self->w[i].env.page;
		EXPECT_EQ(jobs, pd_grown(&self->w[i].env, PD_INFLIGHT));
		EXPECT_EQ(bytes, pd_grown(&self->w[i].env, PD_QUARANTINED));
		EXPECT_EQ(bytes, pd_grown(&self->w[i].env, PD_BYTES));
		EXPECT_EQ(jobs, pd_grown(&self->w[i].env, PD_JOBS_FAILED));
	}
	EXPECT_LE(0, ms);
	fprintf(stderr, "# many: hung, from SIGKILL to waitpid: %ld ms\n", ms);
	if (!death_kernel_is_slow())
		EXPECT_GE(HUNG_MS, ms);

	for (i = 0; i < self->devices; i++) {
		struct death_watch *w = &self->w[i];

		EXPECT_EQ(0, sim_reset(&w->env, sim_delay_us()));
		EXPECT_TRUE(pd_count_becomes(&w->env, PD_BYTES,
					     w->env.before.v[PD_BYTES],
					     DEATH_BOUND_MS));
		w->since_ns = pd_now_ns();
		EXPECT_OVER(w, jobs_of(i, self->devices));
	}
}

TEST_HARNESS_MAIN
