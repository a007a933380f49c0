// SPDX-License-Identifier: GPL-2.0-only
/*
 * The limits of a user, as an ordinary one: each is reached, passed, and reached
 * again after something was given back, with one file kept open all the time. I7.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "sim_utils.h"

#define CONTEXTS 4096
#define JOBS 65536
#define SLOW_US 300000
#define CHUNK (8 << 20)

FIXTURE(limits)
{
	struct pd_env env;
	mode_t mode;
	bool sim;
	int kept;
};

FIXTURE_SETUP(limits)
{
	const struct rlimit files = { 2 * CONTEXTS, 2 * CONTEXTS };

	PD_SETUP(&self->env);
	self->sim = !sim_find(&self->env);
	if (self->sim)
		MUST(sim_set_all(&self->env, "delay_us", SLOW_US));
	MUST(pd_open_to_members(&self->env, &self->mode));
	/* Of this test's process only. */
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ASSERT_EQ(0, setresuid(PD_MEMBER, PD_MEMBER, 0));
	self->kept = pd_open(&self->env);
	ASSERT_LE(0, self->kept);
}

FIXTURE_TEARDOWN(limits)
{
	close(self->kept);
	EXPECT_EQ(0, setresuid(0, 0, 0));
	if (self->sim)
		EXPECT_EQ(0, sim_reset(&self->env, sim_delay_us()));
	EXPECT_EQ(0, chmod(self->env.path, self->mode));
	PD_TEARDOWN(&self->env);
}

/* The first is self->kept. */
TEST_F_TIMEOUT(limits, contexts_over_the_quota_are_refused, 120)
{
	int *fds = calloc(CONTEXTS, sizeof(*fds));
	unsigned int i, round;

	ASSERT_NE(NULL, fds);
	for (i = 1; i < CONTEXTS; i++) {
		fds[i] = pd_open(&self->env);
		ASSERT_LE(0, fds[i]) TH_LOG("file %u", i);
	}
	for (round = 0; round < 3; round++) {
		EXPECT_EQ(-EDQUOT, pd_open(&self->env));
		close(fds[1]);
		fds[1] = pd_open(&self->env);
		EXPECT_LE(0, fds[1]);
	}
	/* They are a user's own. */
	EXPECT_EQ(0, setresuid(0, 0, 0));
	i = pd_open(&self->env);
	EXPECT_LE(0, (int)i);
	close(i);
	for (i = 1; i < CONTEXTS; i++)
		close(fds[i]);
	free(fds);
}

/* Behind a slow one each, in as many contexts as it takes. */
TEST_F_TIMEOUT(limits, jobs_over_the_quota_are_refused, 120)
{
	const unsigned int queued = self->env.info.out_max_queued;
	const unsigned int max = self->env.info.out_max_jobs;
	/* Long enough that none is over when the last ones are queued. */
	const size_t len = (self->sim ? 8 : 32) * self->env.info.out_max_piece;
	const unsigned int contexts = JOBS / queued;
	struct pindrop_job_desc *nops = calloc(max, sizeof(*nops));
	struct pindrop_submit kept = {};
	struct pd_buf src, dst;
	unsigned int i, round;
	int *fds = calloc(contexts, sizeof(*fds));

	ASSERT_NE(NULL, nops);
	ASSERT_NE(NULL, fds);
	if (!strcmp(self->env.info.out_engine, "dmaengine"))
		SKIP(return, "copies are over too soon");
	for (round = 0; round < 2; round++) {
		unsigned int taken = 0;
		int err = 0;

		for (i = 0; i < contexts; i++) {
			unsigned int n = 1;

			fds[i] = pd_open(&self->env);
			ASSERT_LE(0, fds[i]);
			MUST(pd_create(fds[i], len, &src));
			MUST(pd_create(fds[i], len, &dst));
			ASSERT_EQ(1, pd_start(fds[i], &src, &dst, len));
			while (n + max <= queued) {
				err = pd_submit(fds[i], nops, max, NULL);
				ASSERT_EQ(0, err);
				n += max;
			}
			ASSERT_EQ(0, pd_submit(fds[i], nops, queued - n, NULL));
			taken += queued;
			pd_unmap(&src);
			pd_unmap(&dst);
		}
		EXPECT_EQ(JOBS, taken);
		/* Of another context, which has none yet. */
		EXPECT_EQ(-EDQUOT, pd_submit(self->kept, nops, 1, NULL));
		EXPECT_LE(JOBS, pd_count(&self->env, PD_INFLIGHT));
		close(fds[0]);
		EXPECT_EQ(0, pd_submit(self->kept, nops, max, &kept));
		for (i = 1; i < contexts; i++)
			close(fds[i]);
		EXPECT_EQ(0, pd_result(self->kept, kept.out_last));
	}
	free(nops);
	free(fds);
}

TEST_F_TIMEOUT(limits, bytes_over_the_quota_are_refused, 120)
{
	struct pd_buf buf, last = {};
	unsigned int n, round, before = 0;
	int err;

	for (round = 0; round < 2; round++) {
		int fd = pd_open(&self->env);

		ASSERT_LE(0, fd);
		for (n = 0; !(err = pd_alloc(fd, CHUNK, 0, &buf)); n++)
			last = buf;
		if (err == -ENOMEM) {
			close(fd);
			SKIP(return, "the device reaches less than the quota");
		}
		EXPECT_EQ(-EDQUOT, err);
		EXPECT_EQ(-EDQUOT, pd_alloc(self->kept, CHUNK, 0, &buf));
		MUST(pd_free(fd, last.handle));
		MUST(pd_alloc(self->kept, CHUNK, 0, &buf));
		EXPECT_EQ(-EDQUOT, pd_alloc(fd, CHUNK, 0, &last));
		MUST(pd_free(self->kept, buf.handle));
		if (round) {
			EXPECT_EQ(before, n);
		}
		before = n;
		close(fd);
	}
}

TEST_HARNESS_MAIN
