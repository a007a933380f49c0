// SPDX-License-Identifier: GPL-2.0-only
/*
 * The wait of a death is nobody else's: another process that dies meanwhile,
 * the next one, the close() that was waiting when the kill came, and who
 * unloads the module right after.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "sim_utils.h"

#define OWNERS 12
#define APART_MS 200
/* Into a wait of 300 ms and more. */
#define CLOSE_MS 50
#define ROUNDS 100
/* From SIGKILL to waitpid: 1 s, and what a slow machine takes. */
#define HUNG_MS 1500
#define TRIES 8
#define MODULE "/lib/modules/pindrop_sim.ko"
#define INSTANCES "/sys/kernel/tracing/instances"
#define TRACE INSTANCES "/pindrop_test"

/* Of a device whose requests have no end. */
FIXTURE(farewell)
{
	struct death_watch w;
};

FIXTURE_SETUP(farewell)
{
	const char *missing;

	DEATH_SETUP(&self->w);
	missing = sim_find(&self->w.env);
	if (missing)
		SKIP(PD_LEAVE_SETUP, "%s", missing);
}

FIXTURE_TEARDOWN(farewell)
{
	if (!sim_find(&self->w.env)) {
		EXPECT_EQ(0, sim_reset(&self->w.env, sim_delay_us()));
		EXPECT_TRUE(pd_count_becomes(&self->w.env, PD_BYTES,
					     self->w.env.before.v[PD_BYTES],
					     DEATH_BOUND_MS));
	}
	DEATH_TEARDOWN(&self->w);
}

/* In a child: a file with one page to copy, which will not end. */
static int start_hanging(struct death_watch *w)
{
	const struct pd_env *env = &w->env;
	struct pindrop_job_desc job;
	struct pd_buf src, dst;
	int fd = pd_open(env);

	CHILD(fd >= 0);
	CHILD(!pd_create(fd, env->page, &src));
	CHILD(!pd_create(fd, env->page, &dst));
	job = pd_copy(&src, 0, &dst, 0, env->page);
	CHILD(!pd_submit_on(fd, 0, &job, 1, NULL));
	pd_unmap(&src);
	pd_unmap(&dst);
	return fd;
}

static void hang(struct death_watch *w)
{
	start_hanging(w);
}

/* It has an owner, and does nothing. */
static void idle(struct death_watch *w)
{
	struct pd_buf pin;
	void *mem = mmap(NULL, w->env.page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = pd_open(&w->env);

	CHILD(mem != MAP_FAILED);
	CHILD(fd >= 0);
	CHILD(!pd_pin(fd, mem, w->env.page, PINDROP_PIN_WRITE, &pin));
}

static pid_t begin(struct death_watch *w, void (*live)(struct death_watch *w))
{
	w->shared->flag = 0;
	return death_fork(w, live);
}

static long death_ms(pid_t pid)
{
	__u64 since = pd_now_ns();

	kill(pid, SIGKILL);
	return pd_join(pid) == -SIGKILL ? pd_ms_since(since) : -1;
}

/* Again: on a busy machine the other one was too early, or too late. */
static bool rearm(struct death_watch *w)
{
	return !sim_reset(&w->env, sim_delay_us()) &&
	       pd_count_becomes(&w->env, PD_BYTES, 0, DEATH_BOUND_MS) &&
	       !sim_incurable(&w->env) && !sim_set_all(&w->env, "hang", 1000);
}

/* P4. */
TEST_F(farewell, bystander_dies_at_once_beside_a_hung_death)
{
	struct death_watch *w = &self->w;
	pid_t bystander, victim, ended;
	unsigned int tries = TRIES;
	long ms;

	do {
		ASSERT_TRUE(rearm(w));
		bystander = begin(w, idle);
		ASSERT_LT(0, bystander);
		victim = begin(w, hang);
		ASSERT_LT(0, victim);
		kill(victim, SIGKILL);
		/* It is under way, and has most of its time before it. */
		pd_sleep_ms(20);
		ms = death_ms(bystander);
		EXPECT_LE(0, ms);
		ended = waitpid(victim, NULL, WNOHANG);
		if (!ended)
			ASSERT_EQ(-SIGKILL, pd_join(victim));
	} while (ended && --tries);
	fprintf(stderr, "# farewell: bystander %ld ms, %u tries left\n", ms,
		tries);
	EXPECT_EQ(0, ended);
}

static void hang_and_close(struct death_watch *w)
{
	int fd = start_hanging(w);

	pd_post(&w->shared->flag, 1);
	close(fd);
	w->shared->answer = 1;
	pause();
}

/* Its address space is gone, says the kernel. */
static bool has_no_memory(pid_t pid)
{
	char path[64], text[2048];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return !pd_read_file(path, text, sizeof(text)) &&
	       !strstr(text, "VmSize");
}

/* P3: what is left of the close's wait is the death's, which has begun. */
TEST_F(farewell, takes_over_from_a_close_that_was_waiting)
{
	struct death_watch *w = &self->w;
	unsigned int tries = TRIES;
	long begun, over;
	__u64 since;
	pid_t pid;

	do {
		ASSERT_TRUE(rearm(w));
		w->shared->flag = 0;
		w->shared->answer = 0;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			hang_and_close(w);
		ASSERT_TRUE(pd_await(&w->shared->flag, 1));
		pd_sleep_ms(CLOSE_MS);
		since = pd_now_ns();
		kill(pid, SIGKILL);
		while (!has_no_memory(pid) && pd_ms_since(since) < HUNG_MS)
			pd_sleep_ms(1);
		begun = pd_ms_since(since);
		EXPECT_EQ(-SIGKILL, pd_join(pid));
		over = pd_ms_since(since);
	} while ((w->shared->answer || 2 * begun >= over) && --tries);
	fprintf(stderr, "# farewell: killed close, %ld of %ld ms, %u tries left\n",
		begun, over, tries);
	EXPECT_LT(0, tries);
	if (!death_kernel_is_slow())
		EXPECT_GE(HUNG_MS, over);
}

/* As many devices as owners, each with one that hangs. */
FIXTURE(crowd)
{
	struct death_watch w;
	struct pd_env env[OWNERS];
	long *ms; /* of each owner's death */
	long long devices; /* that there were */
};

static bool load_sim(long long devices)
{
	char parameters[128];
	struct pd_env env;
	int tries = 200;

	snprintf(parameters, sizeof(parameters),
		 "mode=%s delay_us=%lld devices=%lld",
		 sim_is_direct() ? "direct" : "iommu", sim_delay_us(), devices);
	if (pd_unload_module("pindrop_sim") ||
	    pd_load_module(MODULE, parameters))
		return false;
	do {
		memset(&env, 0, sizeof(env));
		snprintf(env.path, sizeof(env.path), "/dev/pindrop%lld",
			 devices - 1);
		if (!pd_env_init(&env))
			return true;
		pd_sleep_ms(10);
	} while (--tries);
	return false;
}

FIXTURE_SETUP(crowd)
{
	const char *missing;

	DEATH_SETUP(&self->w);
	missing = sim_find(&self->w.env);
	if (!missing && access(MODULE, R_OK))
		missing = "no " MODULE;
	if (missing)
		SKIP(PD_LEAVE_SETUP, "%s", missing);
	self->ms = pd_shared_page();
	ASSERT_NE(NULL, self->ms);
	MUST(close(self->w.fd));
	self->w.fd = -1;
	self->devices = sim_devices();
	ASSERT_TRUE(load_sim(OWNERS));
}

FIXTURE_TEARDOWN(crowd)
{
	if (self->devices)
		EXPECT_TRUE(load_sim(self->devices));
	DEATH_TEARDOWN(&self->w);
}

/* The parent of one owner, who waits for it, and knows how long. */
static void end_in_turn(struct death_watch w, const struct pd_env *env,
			long *ms, unsigned int turn)
{
	pid_t pid;

	w.env = *env;
	w.shared = pd_shared_page();
	CHILD(w.shared);
	pd_sleep_ms(APART_MS * turn);
	pid = begin(&w, hang);
	CHILD(pid > 0);
	*ms = death_ms(pid);
	_exit(0);
}

/* P3: each of them as if it were alone. */
TEST_F(crowd, each_death_on_a_hung_device_ends_as_if_alone)
{
	pid_t parents[OWNERS];
	struct pd_env *env;
	unsigned int i;
	long most = 0;

	for (i = 0; i < OWNERS; i++) {
		env = &self->env[i];
		snprintf(env->path, sizeof(env->path), "/dev/pindrop%u", i);
		MUST(pd_env_init(env));
		MUST(sim_incurable(env));
		MUST(sim_set_all(env, "hang", 1000));
	}
	for (i = 0; i < OWNERS; i++) {
		parents[i] = fork();
		ASSERT_LE(0, parents[i]);
		if (!parents[i])
			end_in_turn(self->w, &self->env[i], &self->ms[i], i);
	}
	for (i = 0; i < OWNERS; i++) {
		EXPECT_EQ(0, pd_join(parents[i]));
		EXPECT_LE(0, self->ms[i]);
		if (self->ms[i] > most)
			most = self->ms[i];
		EXPECT_EQ(0, sim_reset(&self->env[i], sim_delay_us()));
		EXPECT_TRUE(pd_count_becomes(&self->env[i], PD_BYTES, 0,
					     DEATH_BOUND_MS));
	}
	fprintf(stderr, "# farewell: of %u, the longest took %ld ms\n", OWNERS,
		most);
	if (!death_kernel_is_slow())
		EXPECT_GE(HUNG_MS, most);
}

FIXTURE(module)
{
	struct death_watch w;
};

FIXTURE_SETUP(module)
{
	DEATH_SETUP(&self->w);
}

FIXTURE_TEARDOWN(module)
{
	DEATH_TEARDOWN(&self->w);
}

/* What a death leaves behind would keep rmmod from it. */
TEST_F(module, is_not_in_use_after_waitpid)
{
	struct death_watch *w = &self->w;
	long long before;
	pid_t pid;
	int i;

	MUST(close(w->fd));
	w->fd = -1;
	before = pd_number_in("/sys/module/pindrop", "refcnt");
	ASSERT_LE(0, before);
	for (i = 0; i < ROUNDS; i++) {
		pid = begin(w, idle);
		ASSERT_LT(0, pid);
		EXPECT_LE(0, death_ms(pid));
		ASSERT_EQ(before,
			  pd_number_in("/sys/module/pindrop", "refcnt"));
	}
}

static void idle_with_three_files(struct death_watch *w)
{
	idle(w);
	idle(w);
	idle(w);
}

/* Lines of the trace that tell of a stop after one that tells of an unpin. */
static int stops_after_unpins(int *stops, int *unpins)
{
	FILE *f = fopen(TRACE "/trace", "re");
	char line[512];
	int late = 0;

	*stops = 0;
	*unpins = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "pindrop_unpin:"))
			++*unpins;
		if (!strstr(line, "pindrop_ctx_kill:"))
			continue;
		++*stops;
		late += *unpins > 0;
	}
	if (f)
		fclose(f);
	return late;
}

/* Unpinning gigabytes takes its time: the hardware of no file runs meanwhile. */
TEST_F(module, stops_all_files_before_it_drops_memory)
{
	struct death_watch *w = &self->w;
	int stops, unpins;
	pid_t pid;

	if (access(INSTANCES, F_OK))
		SKIP(return, "the kernel has no tracing instances");
	rmdir(TRACE);
	MUST(mkdir(TRACE, 0700) ? -errno : 0);
	MUST(pd_write_file(TRACE "/events/pindrop/pindrop_ctx_kill/enable",
			   "1"));
	MUST(pd_write_file(TRACE "/events/pindrop/pindrop_unpin/enable", "1"));
	pid = begin(w, idle_with_three_files);
	ASSERT_LT(0, pid);
	EXPECT_LE(0, death_ms(pid));
	EXPECT_EQ(0, stops_after_unpins(&stops, &unpins));
	EXPECT_EQ(3, stops);
	EXPECT_EQ(3, unpins);
	EXPECT_EQ(0, rmdir(TRACE));
}

TEST_HARNESS_MAIN
