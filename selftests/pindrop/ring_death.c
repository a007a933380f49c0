// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of contexts that have a ring, with and without a thread: what is true
 * right after waitpid(), and what became of each entry.
 */
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "ring_utils.h"

/* On a machine that stands still for a second. */
#define OWNERS_TURN_TRIES 5
#define THREAD_MS 2000
/* The kernel sums up what groups use every two seconds. */
#define GROUP_MS 5000
/* How long processes die in the storm; PD_RING_STORM_MS is for longer ones. */
#define STORM_MS 5000
#define STORM_KILLS 10
#define STORM_RINGS 16

/* What an owner leaves to be looked at. */
struct will {
	struct ring ring;
	struct pd_buf src, dst;
	__u32 consumed;
	pid_t pid;
};

FIXTURE(end)
{
	struct death_watch w;
	struct will *will;
};

FIXTURE_VARIANT(end)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(end, entered) { .flags = 0 };
FIXTURE_VARIANT_ADD(end, threaded) { .flags = PINDROP_RING_THREAD };

FIXTURE_SETUP(end)
{
	DEATH_SETUP(&self->w);
	self->w.test = NULL;
	self->will = pd_shared_page();
	ASSERT_NE(NULL, self->will);
}

FIXTURE_TEARDOWN(end)
{
	munmap(self->will, self->w.env.page);
	death_group_end();
	DEATH_TEARDOWN(&self->w);
}

/*
 * In a child: a ring filled to the brim, which is twice as much as a context
 * may have queued. First comes a copy that takes its time.
 */
static void fill_ring(struct death_watch *w, int fd, struct will *will,
		      __u32 flags)
{
	const __u32 max = w->env.info.out_max_queued;
	struct ring *r = &will->ring;
	struct pd_buf *src = &will->src, *dst = &will->dst;
	struct pindrop_job_desc job;
	__u64 i, begin;

	CHILD(fd >= 0);
	will->pid = getpid();
	/* The copy outlasts an exec on a busy machine. */
	w->pieces *= 8;
	CHILD(!pd_create(fd, death_len(w), src));
	CHILD(!pd_create(fd, death_len(w), dst));
	CHILD(!ring_open(fd, 2 * max, flags, r));
	job = pd_copy(src, 0, dst, 0, death_len(w));
	CHILD(ring_fill(r, &job));
	for (i = 1; i < 2 * max; i++) {
		/* Some of them hold buffers. */
		job = i % 64 ? pd_nop(i) : pd_copy(src, 0, dst, 0, 64);
		job.user_data = i;
		CHILD(ring_fill(r, &job));
	}
	ring_publish(r);
	CHILD(ring_submit(r) >= 0);
	begin = pd_now_ns();
	while (RING_LOAD(r->shared->sq_head) < max &&
	       pd_ms_since(begin) < 10000)
		pd_sleep_ms(1);
	will->consumed = RING_LOAD(r->shared->sq_head);
	pd_post(&w->shared->flag, 1);
}

#define HAVE_FILLED(how)                                            \
	({                                                          \
		pid_t pid_ = fork();                                \
		if (!pid_) {                                        \
			fill_ring(&self->w, self->w.fd, self->will, \
				  variant->flags);                  \
			how;                                        \
			for (;;)                                    \
				pause();                            \
		}                                                   \
		pid_;                                               \
	})

/*
 * Every entry has one completion, and those that nobody had consumed are the
 * last ones; "" if it is so.
 */
static const char *settled(int fd, const struct will *will)
{
	const __u32 n = will->ring.setup.entries;
	unsigned char *seen = calloc(n, 1);
	const char *wrong = "";
	struct pindrop_cqe *cqe;
	__u64 dead = n, other = 0;
	struct ring r;
	__u32 i, tail;

	if (!seen || ring_look(fd, &will->ring, PROT_READ, &r))
		return "the ring cannot be looked at";
	tail = r.shared->cq_tail;
	if (tail != n)
		wrong = "there are not as many completions as entries";
	if (r.shared->sq_head != n)
		wrong = "entries are left";
	for (i = 0; i < tail && i < n; i++) {
		cqe = &r.cqes[i];
		if (cqe->user_data >= n || seen[cqe->user_data]++)
			wrong = "an entry was completed twice";
		else if (cqe->result && cqe->result != -EOWNERDEAD &&
			 cqe->result != -ECANCELED)
			wrong = "an entry ended with something else";
		else if (cqe->result != -EOWNERDEAD && cqe->user_data > other)
			other = cqe->user_data;
		else if (cqe->result == -EOWNERDEAD && cqe->user_data < dead)
			dead = cqe->user_data;
	}
	if (dead == n || dead < will->consumed || other > dead)
		wrong = "the wrong entries ended with EOWNERDEAD";
	ring_close(&r);
	free(seen);
	return wrong;
}

TEST_F(end, of_an_owner_with_a_full_ring)
{
	pid_t pid = HAVE_FILLED();

	ASSERT_LE(0, pid);
	ASSERT_TRUE(death_ready(&self->w));
	EXPECT_EQ(self->w.env.info.out_max_queued, self->will->consumed);
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	EXPECT_OVER(&self->w, DEATH_ANY_JOBS);
	EXPECT_STREQ("", settled(self->w.fd, self->will));
	EXPECT_TRUE(ring_thread_gone(self->will->pid, THREAD_MS));
}

TEST_F(end, by_exit)
{
	pid_t pid = HAVE_FILLED(_exit(7));

	ASSERT_LE(0, pid);
	ASSERT_TRUE(death_ready(&self->w));
	EXPECT_EQ(7, pd_join(pid));
	EXPECT_STREQ("", death_left(&self->w, DEATH_ANY_JOBS));
	EXPECT_STREQ("", settled(self->w.fd, self->will));
	EXPECT_TRUE(ring_thread_gone(self->will->pid, THREAD_MS));
}

/* The old memory ends, the process does not; it has a file without owner. */
TEST_F(end, by_exec)
{
	char *const argv[] = { "/proc/self/exe", NULL };
	pid_t pid = HAVE_FILLED(setenv("PD_GONE", "1", 1);
				execv(argv[0], argv));

	ASSERT_LE(0, pid);
	ASSERT_TRUE(death_ready(&self->w));
	EXPECT_EQ(9, pd_join(pid));
	EXPECT_STREQ("", death_left(&self->w, DEATH_ANY_JOBS));
	EXPECT_STREQ("", settled(self->w.fd, self->will));
	EXPECT_TRUE(ring_thread_gone(self->will->pid, THREAD_MS));
}

/* All that the heir may do is look. */
TEST_F(end, leaves_the_ring_to_be_read)
{
	pid_t pid = HAVE_FILLED();
	struct ring heir, second;

	ASSERT_LE(0, pid);
	ASSERT_TRUE(death_ready(&self->w));
	FAILS(EPERM,
	      ring_look(self->w.fd, &self->will->ring, PROT_READ, &heir));
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	FAILS(EOWNERDEAD, ring_look(self->w.fd, &self->will->ring,
				    PROT_READ | PROT_WRITE, &heir));
	MUST(ring_look(self->w.fd, &self->will->ring, PROT_READ, &heir));
	EXPECT_EQ(-1, mprotect(heir.shared, heir.setup.out_length,
			       PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	FAILS(EOWNERDEAD, ring_enter(&heir, 0, 1, 0, 0));
	FAILS(EOWNERDEAD,
	      ring_enter(&heir, PINDROP_ENTER_GETEVENTS, 0, 1, PD_FOREVER));
	FAILS(EOWNERDEAD, ring_open(self->w.fd, 8, 0, &second));
	ring_close(&heir);
}

/* With the last file: nobody is left to look, and nothing else. */
TEST_F(end, with_the_file)
{
	pid_t pid;

	close(self->w.fd);
	self->w.fd = -1;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fill_ring(&self->w, pd_open(&self->w.env), self->will,
			  variant->flags);
		raise(SIGKILL);
	}
	ASSERT_TRUE(death_ready(&self->w));
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_STREQ("", death_left(&self->w, DEATH_ANY_JOBS));
	EXPECT_TRUE(ring_thread_gone(self->will->pid, THREAD_MS));
}

/* close() by a process that lives on. */
TEST_F(end, by_close)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = pd_open(&self->w.env);

		fill_ring(&self->w, fd, self->will, variant->flags);
		ring_close(&self->will->ring);
		CHILD(!pd_unmap(&self->will->src));
		CHILD(!pd_unmap(&self->will->dst));
		CHILD(!close(fd));
		CHILD(!pd_grown(&self->w.env, PD_INFLIGHT));
		CHILD(!pd_grown(&self->w.env, PD_BUFFERS));
		CHILD(ring_thread_gone(getpid(), THREAD_MS));
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
}

/* The DMA checker warns of a page that is mapped 8 times at once. */
#define BORROWERS 6

/*
 * While the thread has its memory in hand. If that was the last reference, the
 * rest of the end is after waitpid(), and still soon.
 */
TEST_F(end, with_memory_borrowed)
{
	const size_t page = self->w.env.page;
	long long pins = pd_vmstat_pins();
	unsigned int seed = 3;
	pid_t pid;
	int i;

	for (i = 0; i < 12; i++) {
		pd_post(&self->w.shared->flag, 0);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			unsigned char *mem =
				mmap(NULL, 8 * page, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
				     -1, 0);
			struct pindrop_job_desc job = {
				.op = PINDROP_OP_COPY,
				.flags = RING_ADDRESSES,
				.src_offset = (unsigned long)mem,
				.dst_offset = (unsigned long)mem + 4 * page,
			};
			unsigned int busy = 0;
			struct pindrop_cqe cqe;
			struct ring r;

			CHILD(!ring_open(pd_open(&self->w.env), 16,
					 variant->flags, &r));
			for (;;) {
				job.length = job.length == 256 ? 2 * page : 256;
				CHILD(ring_put(&r, &job));
				ring_submit(&r);
				for (busy++; busy;) {
					if (ring_flushed(&r, &cqe) == 1) {
						CHILD(!cqe.result);
						busy--;
					} else if (busy < BORROWERS) {
						break;
					}
				}
				pd_post(&self->w.shared->flag, 1);
			}
		}
		ASSERT_TRUE(pd_await(&self->w.shared->flag, 1));
		usleep(rand_r(&seed) % 20000);
		kill(pid, SIGKILL);
		EXPECT_EQ(-SIGKILL, pd_join(pid));
		EXPECT_TRUE(pd_count_becomes(&self->w.env, PD_PINNED, 0, 1500));
		EXPECT_TRUE(pd_count_becomes(&self->w.env, PD_INFLIGHT, 0,
					     1500));
		EXPECT_TRUE(ring_thread_gone(pid, THREAD_MS));
	}
	EXPECT_EQ(pins, pd_vmstat_pins());
	EXPECT_EQ(0, pd_count(&self->w.env, PD_QUARANTINED));
}

/* What a job is at the least. */
#define JOB_BYTES 192

/* Whoever consumes its entries: the jobs are its owner's. */
TEST_F(end, is_charged_to_its_group)
{
	const long jobs = self->w.env.info.out_max_queued;
	const char *missing = death_group(256 << 20);
	__u64 begin;
	pid_t pid;

	if (missing)
		SKIP(return, "%s", missing);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(!death_group_join());
		fill_ring(&self->w, self->w.fd, self->will, variant->flags);
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(&self->w));
	begin = pd_now_ns();
	while (death_group_objects() < jobs * JOB_BYTES &&
	       pd_ms_since(begin) < GROUP_MS)
		pd_sleep_ms(10);
	EXPECT_LE(jobs * JOB_BYTES, death_group_objects());
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	EXPECT_OVER(&self->w, DEATH_ANY_JOBS);
	EXPECT_TRUE(ring_thread_gone(self->will->pid, THREAD_MS));
}

static sigjmp_buf after_fault;

static void on_fault(int sig)
{
	siglongjmp(after_fault, sig);
}

/* A child has the file, but neither the ring nor a say in it. */
TEST_F(end, of_a_child_is_none)
{
	struct pindrop_cqe cqe;
	struct ring r;
	pid_t pid;
	int fd;

	fd = pd_open(&self->w.env);
	ASSERT_LE(0, fd);
	MUST(ring_open(fd, 8, variant->flags, &r));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		signal(SIGSEGV, on_fault);
		if (!sigsetjmp(after_fault, 1)) {
			RING_STORE(r.shared->sq_tail, 5);
			CHILD(!"the ring is there");
		}
		CHILD(ring_enter(&r, 0, 0, 0, 0) == -EPERM);
		raise(SIGKILL);
	}
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	ASSERT_TRUE(ring_put_nop(&r, 1));
	ASSERT_LE(0, ring_submit(&r));
	ASSERT_TRUE(ring_await(&r, &cqe, 10000));
	EXPECT_EQ(0, cqe.result);
	ring_close(&r);
	close(fd);
}

/* Somebody waits in RING_ENTER, or sleeps as the thread. */
TEST_F(end, of_who_waits)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		struct ring r;

		CHILD(!ring_open(self->w.fd, 8, variant->flags, &r));
		pd_post(&self->w.shared->flag, 1);
		ring_enter(&r, PINDROP_ENTER_GETEVENTS, 0, 1, PD_FOREVER);
		CHILD(!"nothing to wait for");
	}
	ASSERT_TRUE(death_ready(&self->w));
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	EXPECT_STREQ("", death_left(&self->w, 0));
	EXPECT_TRUE(ring_thread_gone(pid, THREAD_MS));
}

/*
 * In a child: an entry with memory that is not present, which the ring thread returns.
 * Posts 2 if the thread slept before the entry came, or consumed it.
 */
static void leave_entry(struct death_watch *w, struct will *will, int event,
			__u32 flags)
{
	const size_t len = 2 * w->env.page;
	/* It stays awake: RING_ENTER, which would wake it, also consumes returned entries. */
	const struct pindrop_ring_setup want = {
		.entries = 8,
		.flags = flags | PINDROP_RING_EVENTFD,
		.eventfd = event,
		.idle_us = flags ? 1000000 : 0,
	};
	struct ring *r = &will->ring;
	struct pindrop_job_desc job = {
		.op = PINDROP_OP_COPY,
		.flags = PINDROP_SQE_SRC_ADDR,
		.length = len,
		.user_data = 5,
	};
	const __u32 ended = PINDROP_SQ_NEED_ENTER | PINDROP_SQ_NEED_WAKEUP;
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool returned;

	CHILD(mem != MAP_FAILED);
	CHILD(!pd_create(w->fd, len, &will->dst));
	CHILD(!ring_make(w->fd, &want, r));
	job.src_offset = (unsigned long)mem;
	job.dst = will->dst.handle;
	CHILD(ring_put(r, &job));
	while (flags && !(RING_LOAD(r->shared->sq_flags) & ended) &&
	       !RING_LOAD(r->shared->cq_tail))
		pd_sleep_ms(1);
	returned = RING_LOAD(r->shared->sq_flags) & PINDROP_SQ_NEED_ENTER;
	pd_post(&w->shared->flag,
		RING_LOAD(r->shared->cq_tail) || (flags && !returned) ? 2 : 1);
	for (;;)
		pause();
}

/*
 * Given back to the owner or never consumed: he does not come, and who waits
 * for an eventfd is told.
 */
TEST_F(end, of_what_is_the_owners_turn)
{
	const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = { .fd = event, .events = POLLIN };
	unsigned int tries = OWNERS_TURN_TRIES;
	struct ring heir;
	__u64 count;
	pid_t pid;

	ASSERT_LE(0, event);
	for (;;) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			leave_entry(&self->w, self->will, event,
				    variant->flags);
		ASSERT_TRUE(death_ready(&self->w));
		if (self->w.shared->flag == 1)
			break;
		ASSERT_LT(0, --tries);
		EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
		close(self->w.fd);
		self->w.fd = pd_open(&self->w.env);
		ASSERT_LE(0, self->w.fd);
		self->w.shared->flag = 0;
	}
	pd_sleep_ms(5);
	if (read(event, &count, 8) < 0)
		EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	EXPECT_STREQ("", death_left(&self->w, DEATH_ANY_JOBS));
	EXPECT_EQ(1, poll(&p, 1, 0));
	MUST(ring_look(self->w.fd, &self->will->ring, PROT_READ, &heir));
	EXPECT_EQ(1, heir.shared->cq_tail);
	EXPECT_EQ(5, heir.cqes[0].user_data);
	EXPECT_EQ(-EOWNERDEAD, heir.cqes[0].result);
	ring_close(&heir);
	EXPECT_TRUE(ring_thread_gone(pid, THREAD_MS));
	close(event);
}

/* The device goes, and the owner lives to see it. */
TEST_F(end, of_the_device)
{
	char driver[PATH_MAX], link[128];
	struct pindrop_job_desc job;
	struct pd_buf src, dst;
	struct pindrop_cqe cqe;
	unsigned int i, got = 0;
	struct ring r;
	int fd;

	snprintf(link, sizeof(link), "%s/device/driver", self->w.env.sysfs);
	ASSERT_NE(NULL, realpath(link, driver));
	close(self->w.fd);
	self->w.fd = -1;
	fd = pd_open(&self->w.env);
	ASSERT_LE(0, fd);
	MUST(pd_create(fd, death_len(&self->w), &src));
	MUST(pd_create(fd, death_len(&self->w), &dst));
	/* One completion fits, the others are kept. */
	MUST(ring_make(fd,
		       &(struct pindrop_ring_setup){ .entries = 8,
						     .cq_entries = 1,
						     .flags = variant->flags },
		       &r));
	job = pd_copy(&src, 0, &dst, 0, death_len(&self->w));
	ASSERT_TRUE(ring_put(&r, &job));
	ASSERT_LE(0, ring_submit(&r));
	pd_sleep_ms(20);
	if (!variant->flags) {
		for (i = 1; i < 8; i++) {
			ASSERT_TRUE(ring_put_nop(&r, i));
		}
	}
	MUST(pd_write_in(driver, "unbind", self->w.env.info.out_device));

	for (i = 0; i < 20; i++)
		if (ring_flushed(&r, &cqe) == 1) {
			EXPECT_EQ(-ENODEV, cqe.result);
			got++;
		}
	EXPECT_EQ(variant->flags ? 1 : 8, got);
	/* Each that had no room is counted, however often it was tried. */
	EXPECT_EQ(variant->flags ? 0 : 7, r.shared->cq_overflow);
	EXPECT_EQ(r.tail, r.shared->sq_head);
	FAILS(ENODEV,
	      ring_enter(&r, PINDROP_ENTER_GETEVENTS, 0, 1, PD_FOREVER));
	EXPECT_TRUE(ring_thread_gone(getpid(), THREAD_MS));
	/* Program and ring do not care. */
	RING_STORE(r.shared->sq_tail, r.tail);
	ring_close(&r);
	pd_unmap(&src);
	pd_unmap(&dst);
	close(fd);
	pd_sleep_ms(50);
	EXPECT_EQ(0, pd_write_in(driver, "bind", self->w.env.info.out_device));
	for (i = 0; i < 400 && access(self->w.env.path, F_OK); i++)
		pd_sleep_ms(5);
}

/* Works until it is killed or told to stop, and looks at all it gets. */
static void storm_live(const struct pd_env *env, unsigned int *stop,
		       __u32 flags)
{
	const size_t len = env->info.out_align * 16;
	struct pindrop_job_desc job;
	struct pd_buf src, dst;
	__u64 next = 0, seen = 0;
	struct pindrop_cqe cqe;
	struct ring r;
	int fd = pd_open(env), n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHILD(fd >= 0);
	CHILD(!pd_create(fd, env->page, &src));
	CHILD(!pd_create(fd, env->page, &dst));
	pd_fill(src.map, env->page, getpid());
	CHILD(!ring_open(fd, 16, flags, &r));
	while (!__atomic_load_n(stop, __ATOMIC_RELAXED) || seen < next) {
		/* Not more than a slow device ends in time. */
		while (!__atomic_load_n(stop, __ATOMIC_RELAXED) &&
		       next - seen < 2 * STORM_RINGS) {
			job = next % 16 ? pd_nop(next) :
					  pd_copy(&src, 0, &dst, 0, len);
			job.user_data = next;
			if (!ring_fill(&r, &job))
				break;
			next++;
		}
		ring_publish(&r);
		n = ring_submit(&r);
		CHILD(n >= 0 || n == -EBUSY);
		while (ring_flushed(&r, &cqe) == 1) {
			if (cqe.user_data != seen || cqe.result)
				dprintf(STDERR_FILENO,
					"# storm: completion %llu is of %llu, with %d\n",
					seen, cqe.user_data, cqe.result);
			CHILD(cqe.user_data == seen && !cqe.result);
			seen++;
		}
		usleep(1000);
	}
	CHILD(pd_wrong(dst.map, seen ? len : 0, getpid()) == -1);
	_exit(0);
}

static pid_t storm_fork(const struct pd_env *env, unsigned int *stop, int i)
{
	pid_t pid = fork();

	if (!pid)
		storm_live(env, stop, i & 2 ? PINDROP_RING_THREAD : 0);
	return pid;
}

FIXTURE(storm)
{
	struct death_watch w;
};

FIXTURE_SETUP(storm)
{
	DEATH_SETUP(&self->w);
	self->w.test = NULL;
}

FIXTURE_TEARDOWN(storm)
{
	DEATH_TEARDOWN(&self->w);
}

/* One half of them dies at random, and others take their places. */
TEST_F_TIMEOUT(storm, of_rings, 120)
{
	const char *text = getenv("PD_RING_STORM_MS");
	const long ms = text ? atol(text) : STORM_MS;
	unsigned int *stop = pd_shared_page();
	pid_t pid[STORM_RINGS];
	__u64 begin = pd_now_ns();
	unsigned int seed = 1;
	int i, kills = 0;

	ASSERT_NE(NULL, stop);
	for (i = 0; i < STORM_RINGS; i++)
		pid[i] = storm_fork(&self->w.env, stop, i);
	/* So many at least, however slow the machine is. */
	while (pd_ms_since(begin) < ms || kills < STORM_KILLS) {
		/* The odd ones. */
		i = rand_r(&seed) % STORM_RINGS | 1;
		pd_sleep_ms(rand_r(&seed) % 50);
		kill(pid[i], SIGKILL);
		ASSERT_EQ(-SIGKILL, pd_join(pid[i]));
		pid[i] = storm_fork(&self->w.env, stop, i);
		kills++;
	}
	__atomic_store_n(stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < STORM_RINGS; i++) {
		EXPECT_EQ(0, pd_join(pid[i]));
	}
	self->w.bound_ms = LONG_MAX;
	EXPECT_STREQ("", death_left(&self->w, DEATH_ANY_JOBS));
}

/* The program that takes the place of the owner in exec. */
__attribute__((constructor)) static void gone(void)
{
	if (getenv("PD_GONE"))
		_exit(9);
}

TEST_HARNESS_MAIN
