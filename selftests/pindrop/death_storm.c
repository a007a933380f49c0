// SPDX-License-Identifier: GPL-2.0-only
/*
 * One death after the other, each at a random moment and in a random way: what
 * one of them leaves behind adds up, and shows at the end.
 *
 *     PINDROP_ROUNDS	how many; without it few enough for every day
 *     PINDROP_SEED	of what is random, to see a failure again; printed
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "sim_utils.h"

#define ROUNDS_SIM 200
#define ROUNDS_EDU 10
/* Until caches and the like have what they want. */
#define WARM_UP 500

/* A piece of sim takes so long. */
#define SIM_DELAY_US 1000
/* All of one death has 1 s; the rest is for a slow guest. */
#define BOUND_MS 2000

#define MAX_BUFS 4
#define MAX_PAGES 16
#define MAX_JOBS 32

#define SLAB "/sys/kernel/slab"

/*
 * By how much a figure may have grown in all rounds together; of pinned pages,
 * not at all.
 */
#define SLACK_FREE_PAGES 512
#define SLACK_SLAB_PAGES 256
#define SLACK_OBJECTS 16
#define SLACK_MM 4

/* An object freed through RCU may have to wait so long for others. */
#define BATCHES_MS 15000

#define MAX_CACHES 250
#define MAX_FIGURES 256

struct figure {
	const char *name;
	long long value;
	long slack;
};

struct figures {
	struct figure f[MAX_FIGURES];
	int n;
};

FIXTURE(storm)
{
	struct pd_env env;
	bool sim;
	unsigned int rounds, seed;
	long worst_death, worst_pins;
	struct figures before, after;
};

static unsigned int env_number(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

FIXTURE_SETUP(storm)
{
	PD_SETUP(&self->env);
	self->sim = !sim_find(&self->env);
	if (self->sim)
		MUST(sim_reset(&self->env, SIM_DELAY_US));
	self->rounds = env_number("PINDROP_ROUNDS",
				  self->sim ? ROUNDS_SIM : ROUNDS_EDU);
	self->seed = env_number("PINDROP_SEED", time(NULL) ^ getpid());
}

FIXTURE_TEARDOWN(storm)
{
	if (self->sim)
		EXPECT_EQ(0, sim_reset(&self->env, sim_delay_us()));
	PD_TEARDOWN(&self->env);
}

static unsigned int below(unsigned int *seed, unsigned int limit)
{
	return rand_r(seed) % limit;
}

static void sleep_us(unsigned int us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&ts, NULL);
}

/* Whatever is asked for may fail: the end may come at any moment. */
static void use_device(const struct pd_env *env, int fd, unsigned int *seed)
{
	unsigned int n = 1 + below(seed, MAX_BUFS), i, jobs;
	struct pindrop_job_desc job;
	struct pd_buf buf[MAX_BUFS];
	size_t len;

	for (i = 0; i < n; i++)
		CHILD(!pd_create(fd, (1 + below(seed, MAX_PAGES)) * env->page,
				 &buf[i]));
	for (jobs = below(seed, MAX_JOBS + 1); jobs; jobs--) {
		struct pd_buf *src = &buf[below(seed, n)];
		struct pd_buf *dst = &buf[below(seed, n)];

		len = src->len < dst->len ? src->len : dst->len;
		if (src == dst)
			job = pd_copy(src, 0, dst, len / 2, len / 2);
		else
			job = pd_copy(src, 0, dst, 0, len);
		CHILD(!pd_submit_on(fd, below(seed, env->info.out_channels),
				    &job, 1, NULL));
	}
	/* Some memory is then held by a mapping, or a job, alone. */
	for (i = 0; i < n; i++) {
		if (!below(seed, 4))
			CHILD(!pd_free(fd, buf[i].handle));
		if (!below(seed, 4))
			CHILD(!pd_unmap(&buf[i]));
	}
}

/* The life of one process; all but the parent's signal is decided here. */
static void live(const struct pd_env *env, unsigned int seed, bool killed,
		 unsigned int us)
{
	char *const self[] = { "/proc/self/exe", NULL };
	int fd = pd_open(env);

	CHILD(fd >= 0);
	if (!below(&seed, 2))
		CHILD(!fcntl(fd, F_SETFD, 0));
	use_device(env, fd, &seed);
	sleep_us(killed ? 0 : us);
	if (!below(&seed, 4))
		close(fd);
	if (killed)
		for (;;)
			pause();
	if (below(&seed, 2))
		_exit(7);
	CHILD(!setenv("PD_GONE", "1", 1));
	execv(self[0], self);
	CHILD(!"still here");
}

/* What is not back right after waitpid(); "" if nothing is missing. */
static const char *one_death(FIXTURE_DATA(storm) * self, unsigned int round)
{
	static char text[128];
	unsigned int seed = self->seed + round;
	bool killed = below(&seed, 2);
	/* From its start to a while after its last copy. */
	unsigned int us = below(&seed,
				self->sim ? 12000 :
					    1500 * self->env.info.out_piece_ms);
	int status;
	__u64 start;
	pid_t pid = fork();
	long ms;

	if (!pid)
		live(&self->env, seed, killed, us);
	sleep_us(us);
	start = pd_now_ns();
	if (killed)
		kill(pid, SIGKILL);
	status = pd_join(pid);
	ms = pd_ms_since(start);
	if (pd_count(&self->env, PD_PINNED))
		return "pages are pinned";
	if (killed && ms > self->worst_death)
		self->worst_death = ms;
	ms = pd_ms_since(start);
	if (killed && ms > self->worst_pins)
		self->worst_pins = ms;
	if (killed ? status != -SIGKILL : status != 7 && status != 9) {
		snprintf(text, sizeof(text), "the child's status is %d",
			 status);
		return text;
	}
	return pd_env_leaks(&self->env);
}

/*
 * A cache's files stay open: to open one takes an object, which the kernel then
 * frees in a batch with others, when nobody knows.
 */
struct cache {
	char name[256];
	int objects, shrink;
};

static struct cache caches[MAX_CACHES];
static int nr_caches;

static int open_in(const char *cache, const char *file, int flags)
{
	char path[320];

	snprintf(path, sizeof(path), SLAB "/%s/%s", cache, file);
	return open(path, flags | O_CLOEXEC);
}

/*
 * The kernel calls all objects used that lie in the slab a processor takes from
 * at the moment, so it is asked after such slabs are given back, and what that
 * needs itself comes out of the largest cache, which has the smallest slabs.
 */
static void shrink_cache(const struct cache *c)
{
	static char one[4000] = "1";

	memset(one + 1, '\n', sizeof(one) - 1);
	if (pwrite(c->shrink, one, sizeof(one), 0) < 0)
		dprintf(STDOUT_FILENO, "# storm: %s keeps its slabs\n",
			c->name);
}

/* Objects that somebody holds; -1 if the kernel does not say. */
static long long objects_now(const struct cache *c)
{
	char text[64];
	ssize_t len;

	shrink_cache(c);
	len = pread(c->objects, text, sizeof(text) - 1, 0);
	if (len <= 0)
		return -1;
	text[len] = 0;
	return atoll(text);
}

static void watch(const char *name)
{
	struct cache *c = &caches[nr_caches];

	if (nr_caches == MAX_CACHES)
		return;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->objects = open_in(name, "objects", O_RDONLY);
	c->shrink = open_in(name, "shrink", O_WRONLY);
	/* The first read of a file takes memory for all of them. */
	if (c->objects >= 0 && c->shrink >= 0 && objects_now(c) >= 0)
		nr_caches++;
}

/* Returns how many there are to count in. */
static int watch_all(void)
{
	struct dirent *entry;
	DIR *dir;

	watch("mm_struct");
	watch("vm_area_struct");
	dir = opendir(SLAB);
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "kmalloc-", 8) ||
		    !strncmp(entry->d_name, "pindrop", 7))
			watch(entry->d_name);
	if (dir)
		closedir(dir);
	return nr_caches;
}

/* Too many by chance, but never too few. */
static long long objects(const struct cache *cache)
{
	long long least = objects_now(cache), now;
	int i;

	for (i = 1; i < 5 && least > 0; i++) {
		now = objects_now(cache);
		if (now < least)
			least = now;
	}
	return least;
}

/* With those that each processor keeps for itself. */
static long long free_pages(void)
{
	FILE *f = fopen("/proc/zoneinfo", "re");
	long long value, sum = 0;
	char line[256];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " nr_free_pages %lld", &value) == 1 ||
		    sscanf(line, " count: %lld", &value) == 1)
			sum += value;
	fclose(f);
	return sum;
}

/* What only waits to be used again, or to be given back, is no leak. */
static void settle(void)
{
	int i;

	/* What is freed after a grace period, by a worker. */
	pd_sleep_ms(500);
	pd_write_file("/proc/sys/vm/drop_caches", "3");
	for (i = 0; i < nr_caches; i++)
		shrink_cache(&caches[i]);
}

static void add(struct figures *now, const char *name, long long value,
		long slack)
{
	struct figure *f = &now->f[now->n];

	if (now->n == MAX_FIGURES)
		return;
	f->name = name;
	f->value = value;
	f->slack = slack;
	now->n++;
}

static void count(struct figures *now)
{
	int i;

	settle();
	now->n = 0;
	add(now, "pins", pd_vmstat_pins(), 0);
	add(now, "pages not free", -free_pages(), SLACK_FREE_PAGES);
	add(now, "nr_slab_unreclaimable",
	    pd_value("/proc/vmstat", "nr_slab_unreclaimable"),
	    SLACK_SLAB_PAGES);
	/* The first is mm_struct. */
	for (i = 0; i < nr_caches; i++)
		add(now, caches[i].name, objects(&caches[i]),
		    i ? SLACK_OBJECTS : SLACK_MM);
}

/* How many figures have grown too much. */
static int too_much(const struct figures *before, const struct figures *after)
{
	int i, bad = 0;

	for (i = 0; i < before->n; i++)
		bad += strcmp(before->f[i].name, after->f[i].name) ||
		       after->f[i].value - before->f[i].value >
			       before->f[i].slack;
	return bad;
}

/* What the kernel frees in batches takes it some seconds. */
static int count_again(const struct figures *before, struct figures *after)
{
	__u64 start = pd_now_ns();
	int bad;

	do {
		count(after);
		bad = too_much(before, after);
	} while (bad && pd_ms_since(start) < BATCHES_MS);
	return bad;
}

static void tell(const struct figures *before, const struct figures *after)
{
	long long grown;
	int i;

	for (i = 0; i < before->n; i++) {
		grown = after->f[i].value - before->f[i].value;
		if (grown)
			dprintf(STDOUT_FILENO, "# storm: %s grew by %lld%s\n",
				before->f[i].name, grown,
				grown > before->f[i].slack ? ", too much" : "");
	}
}

static const char *run_rounds(FIXTURE_DATA(storm) * self, unsigned int from,
			      unsigned int to)
{
	const char *missing = "";
	__u64 start = pd_now_ns();
	unsigned int round;
	long ms;

	for (round = from; round < to && !*missing; round++) {
		missing = one_death(self, round);
		if (*missing)
			dprintf(STDOUT_FILENO, "# storm: round %u\n", round);
		if (round % 1000 == 999)
			dprintf(STDOUT_FILENO, "# storm: %u rounds\n",
				round + 1);
	}
	ms = pd_ms_since(start) + 1;
	dprintf(STDOUT_FILENO, "# storm: %u rounds in %ld ms, %ld a second\n",
		round - from, ms, (round - from) * 1000L / ms);
	return missing;
}

TEST_F_TIMEOUT(storm, leaves_nothing, 24 * 3600)
{
	unsigned int warm = self->rounds / 4;
	int bad;

	if (watch_all() < 3)
		SKIP(return, "the kernel does not count objects");
	if (warm > WARM_UP)
		warm = WARM_UP;
	dprintf(STDOUT_FILENO, "# storm: %u rounds, PINDROP_SEED=%u\n",
		self->rounds, self->seed);
	ASSERT_STREQ("", run_rounds(self, 0, warm));
	count(&self->before);
	ASSERT_STREQ("", run_rounds(self, warm, self->rounds));
	bad = count_again(&self->before, &self->after);
	tell(&self->before, &self->after);
	pd_matrix("storm", self->worst_death, self->worst_pins,
		  pd_count(&self->env, PD_QUARANTINED));
	EXPECT_LT(0, self->before.n);
	EXPECT_EQ(self->before.n, self->after.n);
	EXPECT_EQ(0, bad);
	EXPECT_GT(BOUND_MS, self->worst_death);
}

/* The program that takes the place of the owner in exec. */
__attribute__((constructor)) static void gone(void)
{
	if (getenv("PD_GONE"))
		_exit(9);
}

TEST_HARNESS_MAIN
