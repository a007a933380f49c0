// SPDX-License-Identifier: GPL-2.0-only
/* Hardware that hangs, fails, keeps quiet or is gone, and who pays for it. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "sim_utils.h"

/* The rest is for a slow guest. */
#define SLACK_MS 1000

FIXTURE(faults)
{
	struct pd_env env;
	int fd, other;
	size_t piece;
	long piece_ms;
	struct pd_buf src, dst, from, to;
	unsigned int *flag;
};

FIXTURE_SETUP(faults)
{
	SIM_SETUP(&self->env);
	/* See sim_recovery for what the driver can mend. */
	MUST(sim_incurable(&self->env));
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
	MUST(pd_create(self->other, self->env.page, &self->from));
	MUST(pd_create(self->other, self->env.page, &self->to));
	pd_fill(self->src.map, self->src.len, 1);
	pd_fill(self->from.map, self->from.len, 2);
}

FIXTURE_TEARDOWN(faults)
{
	/* First: what hangs would be left over. */
	EXPECT_EQ(0, sim_reset(&self->env, 0));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, SLACK_MS));
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	pd_unmap(&self->from);
	pd_unmap(&self->to);
	if (self->fd >= 0)
		close(self->fd);
	close(self->other);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, 0, SLACK_MS));
	SIM_TEARDOWN(&self->env);
}

#define SET(fault, value) MUST(sim_set(&self->env, 0, fault, value))

/* A job of so many pieces, or of a page of the other's. */
#define START(pieces) \
	pd_start_on(self->fd, 0, &self->src, &self->dst, self->piece * (pieces))
#define OTHER(chan) \
	pd_start_on(self->other, chan, &self->from, &self->to, self->to.len)

/* A hang is noticed at the second look after the piece's time. */
#define HANG_MS (2 * self->piece_ms + SLACK_MS)

/* It works again, and what it was late with is of no account. */
#define EXPECT_RECOVERED()                                                  \
	do {                                                                \
		EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, \
					     SLACK_MS));                    \
		EXPECT_TRUE(pd_count_becomes(&self->env, PD_INFLIGHT, 0,    \
					     SLACK_MS));                    \
		EXPECT_EQ(0, pd_result(self->other, OTHER(0)));             \
		EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));     \
	} while (0)

TEST_F(faults, are_set_by_root_alone)
{
	static const char *const all[] = {
		"delay_us", "hang",	    "error",	     "lost_irq",
		"all_ones", "ignore_abort", "lie_terminate", "late_write_ms",
		"ignore_terminate",
	};
	char path[256];
	struct stat st;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(all); i++) {
		snprintf(path, sizeof(path),
			 "/sys/kernel/debug/pindrop_sim/%s/chan0/%s",
			 self->env.info.out_device, all[i]);
		ASSERT_EQ(0, stat(path, &st)) TH_LOG("%s", path);
		EXPECT_EQ(0600, st.st_mode & 07777) TH_LOG("%s", path);
		FAILS(ERANGE, sim_set(&self->env, 0, all[i], 1LL << 32));
		EXPECT_EQ(!strcmp(all[i], "ignore_terminate"),
			  sim_get(&self->env, 0, all[i]));
	}
}

static int listen_to_uevents(void)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (void *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Events of the device with this in their environment. */
static int uevents_with(int fd, const char *device, const char *what)
{
	char text[4096], *p;
	ssize_t len;
	int n = 0;

	while ((len = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
		text[len] = 0;
		if (!strstr(text, device))
			continue;
		for (p = text; p < text + len; p += strlen(p) + 1)
			n += !strcmp(p, what);
	}
	return n;
}

/* P1, P5: told once each, and nothing goes back while it may be written. */
TEST_F(faults, hang_costs_the_job_and_keeps_its_memory)
{
	const long long bytes = self->src.len + self->dst.len;
	int uevents = listen_to_uevents();
	__u64 begin = pd_now_ns(), last;

	ASSERT_LE(0, uevents);
	SET("hang", 1);
	last = START(1);
	ASSERT_EQ(1, last);
	EXPECT_EQ(-EIO, pd_result(self->fd, last));
	EXPECT_LE(self->piece_ms, pd_ms_since(begin));
	EXPECT_GT(HANG_MS, pd_ms_since(begin));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(1, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ(bytes, pd_count(&self->env, PD_QUARANTINED));

	MUST(pd_unmap(&self->src));
	MUST(pd_unmap(&self->dst));
	MUST(pd_free(self->fd, self->src.handle));
	MUST(pd_free(self->fd, self->dst.handle));
	EXPECT_EQ(bytes + 2 * (long long)self->env.page,
		  pd_count(&self->env, PD_BYTES));
	EXPECT_EQ(0, START(1));
	/* Told behind the lock under which it is counted. */
	pd_sleep_ms(50);
	EXPECT_EQ(1, uevents_with(uevents, strrchr(self->env.path, '/') + 1,
				  "PINDROP_STATE=wedged"));
	SET("hang", 0);
	EXPECT_RECOVERED();
	pd_sleep_ms(50);
	EXPECT_EQ(1, uevents_with(uevents, strrchr(self->env.path, '/') + 1,
				  "PINDROP_STATE=running"));
	close(uevents);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES,
				     2 * (long long)self->env.page, SLACK_MS));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_DONE));
}

/* P5: also if a suspend finds it. The machine is suspended all the same. */
TEST_F(faults, hang_found_by_a_suspend_is_told)
{
	int uevents;

	if (access("/sys/power/pm_test", F_OK))
		SKIP(return, "the kernel cannot be woken by itself");
	uevents = listen_to_uevents();
	ASSERT_LE(0, uevents);
	MUST(pd_write_file("/sys/module/suspend/parameters/pm_test_delay",
			   "0"));
	MUST(pd_write_file("/sys/power/pm_test", "devices"));
	SET("hang", 1);
	ASSERT_EQ(1, START(1));
	MUST(pd_write_file("/sys/power/state", "freeze"));
	MUST(pd_write_file("/sys/power/pm_test", "none"));
	EXPECT_EQ(-EIO, pd_result(self->fd, 1));
	pd_sleep_ms(50);
	EXPECT_EQ(1, uevents_with(uevents, strrchr(self->env.path, '/') + 1,
				  "PINDROP_STATE=wedged"));
	close(uevents);
}

/* The rest of the job, and of the queue, fails with it, each job once. */
TEST_F(faults, hang_of_all_fails_each_job_once)
{
	struct pindrop_job_desc nops[2] = { pd_nop(0), pd_nop(0) };
	const unsigned int depth = self->env.info.out_depth;
	struct pindrop_submit sub;
	struct pindrop_wait wait;
	__u64 i, theirs;

	SET("hang", 2);
	/* More than the hardware takes, so that some is still queued. */
	ASSERT_EQ(1, START(depth + 2));
	MUST(pd_submit(self->fd, nops, 2, &sub));
	theirs = OTHER(0);
	ASSERT_EQ(1, theirs);
	for (i = 1; i <= 3; i++) {
		MUST(pd_wait(self->fd, i, 30000, &wait));
		EXPECT_EQ(-EIO, wait.out_result);
		EXPECT_EQ(i, wait.out_failed);
	}
	EXPECT_EQ(-EIO, pd_result(self->other, theirs));
	EXPECT_EQ(4, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_INFLIGHT, 1, SLACK_MS));
	SET("hang", 0);
	EXPECT_RECOVERED();
	EXPECT_EQ(4, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_DONE));
	EXPECT_EQ(0, pd_grown(&self->env, PD_JOBS_CANCELLED));
}

/* Twice: the first time has left nothing behind. */
TEST_F(faults, hang_can_happen_again)
{
	int i;

	for (i = 1; i <= 2; i++) {
		SET("hang", 1);
		EXPECT_EQ(-EIO, pd_result(self->fd, START(2)));
		EXPECT_EQ(i, pd_grown(&self->env, PD_JOBS_FAILED));
		SET("hang", 0);
		EXPECT_RECOVERED();
	}
}

/* P4: the other channels do not notice. */
TEST_F(faults, hang_is_of_one_channel)
{
	const unsigned int channels = self->env.info.out_channels;
	unsigned int chan;
	__u64 hung, begin;

	SET("hang", 2);
	hung = START(1);
	ASSERT_EQ(1, hung);
	/* Before it is known, and after. */
	for (chan = 1; chan < channels; chan++) {
		begin = pd_now_ns();
		EXPECT_EQ(0, pd_result(self->other, OTHER(chan)));
		EXPECT_GT(self->piece_ms, pd_ms_since(begin));
		EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
		memset(self->to.map, 0, self->to.len);
	}
	EXPECT_EQ(-EIO, pd_result(self->fd, hung));
	for (chan = 1; chan < channels; chan++) {
		EXPECT_EQ(0, pd_result(self->other, OTHER(chan)));
		EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
		/* Also for whom the other one hangs. */
		EXPECT_EQ(0, pd_result(self->fd,
				       pd_start_on(self->fd, chan, &self->src,
						   &self->dst, self->piece)));
	}
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
}

/* One piece hangs, the others of the channel are done: they are not failed. */
TEST_F(faults, hang_of_one_piece_costs_no_neighbour)
{
	__u64 hung;

	SET("hang", 1);
	hung = START(1);
	ASSERT_EQ(1, hung);
	EXPECT_EQ(0, pd_result(self->other, OTHER(0)));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
	EXPECT_EQ(-EIO, pd_result(self->fd, hung));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
}

/* ... nor does it live on what they do: its time is its own. */
TEST_F(faults, hang_is_noticed_in_a_busy_channel)
{
	__u64 begin = pd_now_ns(), hung;
	struct pindrop_wait wait;

	SET("delay_us", 10000);
	SET("hang", 1);
	hung = START(1);
	ASSERT_EQ(1, hung);
	while (OTHER(0) && pd_ms_since(begin) < 2 * HANG_MS)
		pd_sleep_ms(5);
	EXPECT_GT(HANG_MS, pd_ms_since(begin));
	MUST(pd_wait(self->fd, hung, 0, &wait));
	EXPECT_EQ(-EIO, wait.out_result);
}

/* P2, P3: death does not hang, and what it left behind is known. */
TEST_F(faults, hang_does_not_hold_a_death_up)
{
	const volatile struct pindrop_window *w;
	struct pd_buf src, dst;
	long long bytes;
	__u64 begin;
	pid_t pid;
	int fd;

	fd = pd_open(&self->env);
	ASSERT_LE(0, fd);
	w = pd_window(fd);
	ASSERT_NE(NULL, w);
	bytes = pd_count(&self->env, PD_BYTES);
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
	ASSERT_TRUE(pd_await(self->flag, 1));
	begin = pd_now_ns();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_GT(HANG_MS, pd_ms_since(begin));
	EXPECT_EQ(1, pd_count(&self->env, PD_INFLIGHT));
	EXPECT_EQ((long long)(2 * self->piece),
		  pd_count(&self->env, PD_QUARANTINED));
	EXPECT_EQ(bytes + (long long)(2 * self->piece),
		  pd_count(&self->env, PD_BYTES));
	EXPECT_EQ(PINDROP_STATE_LOST, w->state);
	EXPECT_EQ(PINDROP_REASON_OWNER, w->reason);
	EXPECT_EQ(1, w->ticket);
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));

	SET("hang", 0);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BYTES, bytes, SLACK_MS));
	EXPECT_EQ(PINDROP_STATE_DRAINED, w->state);
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_RECOVERED();
	munmap((void *)w, PINDROP_WINDOW_SIZE);
	close(fd);
}

/* A channel that is known to hang is not waited for again. */
TEST_F(faults, hang_holds_up_no_close_twice)
{
	struct pd_buf buf;
	__u64 begin;
	int fd;

	SET("hang", 2);
	EXPECT_EQ(-EIO, pd_result(self->fd, START(1)));
	begin = pd_now_ns();
	MUST(pd_unmap(&self->src));
	MUST(pd_unmap(&self->dst));
	close(self->fd);
	self->fd = -1;
	fd = pd_open(&self->env);
	ASSERT_LE(0, fd);
	MUST(pd_alloc(fd, self->env.page, 0, &buf));
	close(fd);
	EXPECT_GT(self->piece_ms / 2, pd_ms_since(begin));
	EXPECT_EQ(self->env.before.v[PD_CONTEXTS] + 2,
		  pd_count(&self->env, PD_CONTEXTS));
}

/* Over while nobody was told: the next death looks, and so does the minute. */
TEST_F(faults, hang_that_ends_unheard_is_found_by_the_next_death)
{
	struct pd_buf buf;
	int fd;

	SET("hang", 1);
	EXPECT_EQ(-EIO, pd_result(self->fd, START(1)));
	/* The driver looks again soon, and then only after a minute. */
	pd_sleep_ms(self->piece_ms);
	SET("delay_us", 50000);
	SET("lost_irq", 1);
	SET("hang", 0);
	pd_sleep_ms(300);
	EXPECT_EQ(0, sim_get(&self->env, 0, "lost_irq"));
	EXPECT_NE(0, pd_count(&self->env, PD_QUARANTINED));
	fd = pd_open(&self->env);
	ASSERT_LE(0, fd);
	MUST(pd_alloc(fd, self->env.page, 0, &buf));
	close(fd);
	EXPECT_RECOVERED();
}

TEST_F(faults, error_fails_the_job_once)
{
	SET("error", 1);
	EXPECT_EQ(-EIO, pd_result(self->fd, START(1)));
	EXPECT_EQ(0, sim_get(&self->env, 0, "error"));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(-1, pd_nonzero(self->dst.map, self->piece));
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
	EXPECT_EQ(0, pd_result(self->fd, START(1)));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->piece, 1));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
}

/* Several pieces fail, and are one failure; nobody else's. */
/* How many tickets later WAIT has forgotten it: see the uapi header. */
#define FORGOTTEN 8192

TEST_F(faults, error_of_long_ago_is_forgotten)
{
	const unsigned int max = self->env.info.out_max_jobs;
	struct pindrop_job_desc *nops = calloc(max, sizeof(*nops));
	struct pindrop_wait wait;
	__u64 i;

	ASSERT_NE(NULL, nops);
	SET("error", 1);
	ASSERT_EQ(1, START(1));
	EXPECT_EQ(-EIO, pd_result(self->fd, 1));
	SET("error", 0);
	for (i = max; i < FORGOTTEN; i += max)
		EXPECT_EQ(0, pd_run(self->fd, nops, max));
	EXPECT_EQ(0, pd_run(self->fd, nops, max - 1));
	MUST(pd_wait_range(self->fd, 1, FORGOTTEN, 0, &wait));
	EXPECT_EQ(-EIO, wait.out_result);
	EXPECT_EQ(1, wait.out_failed);
	EXPECT_EQ(0, pd_run(self->fd, nops, 1));
	MUST(pd_wait_range(self->fd, 1, FORGOTTEN + 1, 0, &wait));
	EXPECT_EQ(-ENODATA, wait.out_result);
	EXPECT_EQ(1, wait.out_failed);
	MUST(pd_wait_range(self->fd, 2, FORGOTTEN + 1, 0, &wait));
	EXPECT_EQ(0, wait.out_result);
	free(nops);
}

TEST_F(faults, error_of_pieces_is_one_failure)
{
	const unsigned int depth = self->env.info.out_depth;
	__u64 mine, theirs;

	SET("delay_us", 20000);
	SET("error", 2);
	mine = START(depth + 3);
	theirs = OTHER(0);
	ASSERT_EQ(1, mine);
	ASSERT_EQ(1, theirs);
	EXPECT_EQ(-EIO, pd_result(self->fd, mine));
	EXPECT_EQ(0, pd_result(self->other, theirs));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->to.len, 2));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_DONE));
	EXPECT_EQ(0, pd_count(&self->env, PD_INFLIGHT));
}

/* What could not be cleared is not shown, and is cleared the next time. */
TEST_F(faults, error_of_the_clearing_is_no_leak)
{
	struct pindrop_job_desc job;

	job = pd_copy(NULL, 0, &self->dst, 0, self->env.info.out_devmem);
	memset(self->dst.map, 0xee, job.length);
	SET("error", 1);
	EXPECT_EQ(-EIO, pd_run(self->fd, &job, 1));
	EXPECT_EQ(0xee, self->dst.map[0]);
	EXPECT_EQ(0xee, self->dst.map[job.length - 1]);
	EXPECT_EQ(0, pd_run(self->fd, &job, 1));
	EXPECT_EQ(-1, pd_nonzero(self->dst.map, job.length));
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
}

/* Somebody goes and looks, in half of a piece's time. */
TEST_F(faults, lost_interrupt_costs_time_only)
{
	__u64 begin;

	/* The watchdog of what went before would look sooner. */
	pd_sleep_ms(self->piece_ms);
	begin = pd_now_ns();
	SET("lost_irq", 1);
	EXPECT_EQ(0, pd_result(self->fd, START(1)));
	EXPECT_LE(self->piece_ms / 4, pd_ms_since(begin));
	EXPECT_GT(self->piece_ms + SLACK_MS, pd_ms_since(begin));
	EXPECT_EQ(0, sim_get(&self->env, 0, "lost_irq"));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->piece, 1));
	/* ... and afterwards as before. */
	begin = pd_now_ns();
	EXPECT_EQ(0, pd_result(self->fd, START(1)));
	EXPECT_GT(self->piece_ms / 4, pd_ms_since(begin));
}

/* Done or not: who does not answer has proved nothing. */
TEST_F(faults, all_ones_is_no_proof)
{
	SET("all_ones", 1);
	EXPECT_EQ(-EIO, pd_result(self->fd, START(1)));
	EXPECT_NE(0, pd_count(&self->env, PD_QUARANTINED));
	/* It was copied long ago. */
	EXPECT_EQ(-1, pd_wrong(self->dst.map, self->piece, 1));
	pd_sleep_ms(self->piece_ms);
	EXPECT_NE(0, pd_count(&self->env, PD_QUARANTINED));
	SET("all_ones", 0);
	EXPECT_RECOVERED();
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
}

/* Closes with a piece half done. How long it takes, and what it has copied. */
static long close_at_work(int fd, const struct pd_env *env, long long *accesses)
{
	long long before = sim_count(env, "accesses");
	struct pd_buf src, dst;
	__u64 begin;

	if (pd_alloc(fd, env->page, 0, &src) ||
	    pd_alloc(fd, env->page, 0, &dst) ||
	    pd_start_on(fd, 0, &src, &dst, env->page) != 1)
		return -1;
	pd_sleep_ms(20);
	begin = pd_now_ns();
	close(fd);
	*accesses = sim_count(env, "accesses") - before;
	return pd_ms_since(begin);
}

TEST_F(faults, abort_stops_what_is_not_copied)
{
	long long accesses;
	long ms;

	SET("delay_us", 280000);
	ms = close_at_work(pd_open(&self->env), &self->env, &accesses);
	EXPECT_LE(0, ms);
	EXPECT_GT(200, ms);
	EXPECT_EQ(0, accesses);
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_CANCELLED));
	pd_sleep_ms(300);
	EXPECT_EQ(0, sim_count(&self->env, "misses"));
}

/* ... and if it does not, it is waited for. */
TEST_F(faults, abort_that_is_ignored_is_waited_for)
{
	long long accesses;
	long ms;

	SET("delay_us", 200000);
	SET("ignore_abort", 1);
	ms = close_at_work(pd_open(&self->env), &self->env, &accesses);
	EXPECT_LE(100, ms);
	EXPECT_GT(self->piece_ms + SLACK_MS, ms);
	EXPECT_EQ(2, accesses);
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
}

/* Channels work side by side, and each in the order of what it was given. */
TEST_F(faults, none_is_as_fast_as_it_should_be)
{
	const unsigned int channels = self->env.info.out_channels;
	const unsigned int depth = self->env.info.out_depth;
	__u64 begin = pd_now_ns(), last = 0;
	unsigned int chan;
	long ms;

	MUST(sim_set_all(&self->env, "delay_us", 50000));
	for (chan = 0; chan < channels; chan++)
		last = pd_start_on(self->fd, chan, &self->src, &self->dst,
				   depth * self->piece);
	EXPECT_EQ(channels, last);
	EXPECT_EQ(0, pd_result(self->fd, last));
	ms = pd_ms_since(begin);
	EXPECT_LE(50 * depth, ms);
	EXPECT_GT(50 * depth * channels, ms);
	EXPECT_EQ(-1, pd_wrong(self->dst.map, depth * self->piece, 1));
}

/* Full of pieces that take long one after the other, no one is late. */
TEST_F(faults, none_is_where_pieces_wait_for_each_other)
{
	const unsigned int depth = self->env.info.out_depth;

	/* Together longer than a piece may take. */
	SET("delay_us", self->piece_ms * 1000 / 2);
	EXPECT_EQ(0, pd_result(self->fd, START(depth + 1)));
	EXPECT_EQ(0, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(-1, pd_wrong(self->dst.map, (depth + 1) * self->piece, 1));
}

TEST_HARNESS_MAIN
