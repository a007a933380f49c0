// SPDX-License-Identifier: GPL-2.0-only
/* Contexts that share a channel, and how the hardware's answers come. */
#include <ctype.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define USERS 3

struct user {
	int fd;
	struct pd_buf src, dst;
	__u64 last;
};

FIXTURE(turns)
{
	struct pd_env env;
	struct user user[USERS];
	size_t piece;
	/*
	 * Pieces that the hardware has before anybody else's turn comes. One
	 * that may follow, and one that is under way, are not behind either.
	 */
	size_t in_front;
};

FIXTURE_SETUP(turns)
{
	int i;

	PD_SETUP(&self->env);
	self->piece = self->env.info.out_max_piece;
	self->in_front = self->env.info.out_depth;
	for (i = 0; i < USERS; i++) {
		struct user *u = &self->user[i];

		u->fd = pd_open(&self->env);
		ASSERT_LE(0, u->fd);
		MUST(pd_create(u->fd, 16 * self->piece, &u->src));
		MUST(pd_create(u->fd, 16 * self->piece, &u->dst));
		pd_fill(u->src.map, u->src.len, i + 1);
	}
}

FIXTURE_TEARDOWN(turns)
{
	int i;

	for (i = 0; i < USERS; i++) {
		pd_unmap(&self->user[i].src);
		pd_unmap(&self->user[i].dst);
		close(self->user[i].fd);
	}
	PD_TEARDOWN(&self->env);
}

static int start(struct user *u, size_t len)
{
	struct pindrop_job_desc job = pd_copy(&u->src, 0, &u->dst, 0, len);
	struct pindrop_submit sub;
	int err = pd_submit(u->fd, &job, 1, &sub);

	u->last = sub.out_last;
	return err;
}

static int finish(struct user *u)
{
	struct pindrop_wait wait;
	int err = pd_wait(u->fd, u->last, PD_FOREVER, &wait);

	return err ? err : wait.out_result;
}

static size_t pieces_done(const struct user *u, size_t piece)
{
	size_t n = 0;

	while (n < 16 && pd_nonzero(u->dst.map + n * piece, piece) >= 0)
		n++;
	return n;
}

/* Who came later with less is not behind all that came before. */
TEST_F(turns, go_by_pieces)
{
	struct user *large = &self->user[0], *small = &self->user[1];

	MUST(start(large, 16 * self->piece));
	MUST(start(small, self->piece));
	EXPECT_EQ(0, finish(small));
	EXPECT_EQ(-1, pd_wrong(small->dst.map, self->piece, 2));
	EXPECT_GE(self->in_front + 2, pieces_done(large, self->piece));
	EXPECT_EQ(0, finish(large));
	EXPECT_EQ(-1, pd_wrong(large->dst.map, large->dst.len, 1));
}

TEST_F(turns, are_equal)
{
	size_t least = 16, most = 0, n;
	int i;

	for (i = 0; i < USERS; i++)
		MUST(start(&self->user[i], (i == 2 ? 4 : 16) * self->piece));
	EXPECT_EQ(0, finish(&self->user[2]));
	for (i = 0; i < USERS; i++) {
		n = pieces_done(&self->user[i], self->piece);
		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	EXPECT_LE(3, least);
	EXPECT_GE(self->in_front + 5, most);
}

/* Many jobs of one context are one context's jobs. */
TEST_F(turns, do_not_go_by_jobs)
{
	struct user *many = &self->user[0], *one = &self->user[1];
	struct pindrop_job_desc jobs[16];
	struct pindrop_submit sub;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(jobs); i++)
		jobs[i] = pd_copy(&many->src, i * self->piece, &many->dst,
				  i * self->piece, self->piece);
	MUST(pd_submit(many->fd, jobs, ARRAY_LEN(jobs), &sub));
	MUST(start(one, self->piece));
	EXPECT_EQ(0, finish(one));
	EXPECT_GE(self->in_front + 2, pieces_done(many, self->piece));
}

/* P4: what is half done ends with its context, the others get their data. */
TEST_F(turns, of_a_closed_file_go_to_the_others)
{
	struct user *gone = &self->user[0], *stays = &self->user[1];
	__u64 begin = pd_now_ns();

	MUST(start(gone, 16 * self->piece));
	MUST(start(stays, 2 * self->piece));
	MUST(pd_unmap(&gone->src));
	MUST(pd_unmap(&gone->dst));
	close(gone->fd);
	gone->fd = -1;
	EXPECT_EQ(0, finish(stays));
	EXPECT_EQ(-1, pd_wrong(stays->dst.map, 2 * self->piece, 2));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_CANCELLED));
	EXPECT_GT(8 * (long)self->env.info.out_piece_ms, pd_ms_since(begin));
}

/* Interrupts of the engine's driver, on all processors; -1: it has none. */
static long interrupt_count(const struct pd_env *env)
{
	char name[64], line[1024], *p, *end;
	FILE *f = fopen("/proc/interrupts", "re");
	long sum = -1, n;

	if (!f)
		return -1;
	snprintf(name, sizeof(name), "pindrop_%s", env->info.out_engine);
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, name))
			continue;
		sum = sum < 0 ? 0 : sum;
		for (p = strchr(line, ':') + 1;; p = end) {
			n = strtol(p, &end, 10);
			if (end == p || !isspace((unsigned char)*end))
				break;
			sum += n;
		}
	}
	fclose(f);
	return sum;
}

/* By the watchdog alone they would take as long as they may at most. */
TEST_F(turns, end_by_interrupt)
{
	struct user *u = &self->user[0];
	long before = interrupt_count(&self->env), ms, least = 10000;
	__u64 begin;
	int i;

	if (before < 0)
		SKIP(return, "the engine is not in /proc/interrupts");
	for (i = 0; i < 6; i++) {
		begin = pd_now_ns();
		MUST(start(u, 1));
		EXPECT_EQ(0, finish(u));
		ms = pd_ms_since(begin);
		least = ms < least ? ms : least;
	}
	EXPECT_LE(before + 6, interrupt_count(&self->env));
	EXPECT_GT(self->env.info.out_piece_ms * 9 / 10, least);
}

/* The register that lets a PCI device send messages, or -1. */
static int msi_control(const struct pd_env *env, int *at)
{
	unsigned char config[256];
	char path[128];
	int fd, pos;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config",
		 env->info.out_device);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (pread(fd, config, sizeof(config), 0) == sizeof(config))
		for (pos = config[0x34]; pos; pos = config[pos + 1])
			if (config[pos] == 0x05) {
				*at = pos + 2;
				return fd;
			}
	close(fd);
	return -1;
}

/* The device cannot tell: somebody has to go and look. */
TEST_F(turns, end_without_interrupts_too)
{
	struct user *u = &self->user[0];
	unsigned char on, off;
	int fd, at;
	long before;

	fd = msi_control(&self->env, &at);
	if (fd < 0)
		SKIP(return, "no PCI device that sends messages");
	ASSERT_EQ(1, pread(fd, &on, 1, at));
	ASSERT_EQ(1, on & 1);
	off = on & ~1;
	before = interrupt_count(&self->env);
	ASSERT_EQ(1, pwrite(fd, &off, 1, at));
	EXPECT_EQ(0, start(u, 2 * self->piece));
	EXPECT_EQ(0, finish(u));
	EXPECT_EQ(1, pwrite(fd, &on, 1, at));
	EXPECT_EQ(before, interrupt_count(&self->env));
	EXPECT_EQ(-1, pd_wrong(u->dst.map, 2 * self->piece, 1));
	/* ... and afterwards as before. */
	EXPECT_EQ(0, start(u, 2 * self->piece));
	EXPECT_EQ(0, finish(u));
	EXPECT_LT(before, interrupt_count(&self->env));
	close(fd);
}

TEST_HARNESS_MAIN
