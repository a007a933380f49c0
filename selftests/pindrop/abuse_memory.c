// SPDX-License-Identifier: GPL-2.0-only
/* What a member of the group can take from others of memory. P6, I7. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define BLOCK (2UL << 20)
#define SLOTS 16 /* of a pipe */
#define COHERENT (64UL << 20)
#define CHUNK (1024UL * 1024)

FIXTURE(memory)
{
	struct pd_env env;
	mode_t mode;
	int fd;
	unsigned int *flag;
};

FIXTURE_SETUP(memory)
{
	PD_SETUP(&self->env);
	MUST(pd_open_to_members(&self->env, &self->mode));
	ASSERT_EQ(0, setresuid(PD_MEMBER, PD_MEMBER, 0));
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(memory)
{
	close(self->fd);
	EXPECT_EQ(0, setresuid(0, 0, 0));
	EXPECT_EQ(0, chmod(self->env.path, self->mode));
	PD_TEARDOWN(&self->env);
}

/* Half of the machine's. */
static unsigned long quota(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? 0 : info.totalram / 2 * info.mem_unit;
}

/* A block of which one page stays in a pipe. */
static int leave_a_block(int fd, int pipe_fd, size_t page)
{
	struct pd_buf buf;
	struct iovec iov;
	int err = pd_alloc(fd, BLOCK, 0, &buf);

	if (!err)
		err = pd_map(fd, &buf);
	if (err)
		return err;
	buf.map[5 * page] = 1;
	iov = (struct iovec){ buf.map + 5 * page, page };
	if (vmsplice(pipe_fd, &iov, 1, 0) != (ssize_t)page)
		err = -EIO;
	pd_unmap(&buf);
	return err ?: pd_free(fd, buf.handle);
}

/* One page of it keeps all of a block, and so all of it counts. */
TEST_F_TIMEOUT(memory, blocks_in_pipes_are_charged, 120)
{
	const unsigned int most = quota() / BLOCK;
	const unsigned int npipes = most / SLOTS + 2;
	int (*pipes)[2] = calloc(npipes, sizeof(*pipes));
	unsigned int n, round;
	struct pd_buf buf;
	int err = 0;

	ASSERT_NE(NULL, pipes);
	for (round = 0; round < 2; round++) {
		__u64 since;

		for (n = 0; n < npipes; n++)
			ASSERT_EQ(0, pipe2(pipes[n], O_CLOEXEC | O_NONBLOCK));
		for (n = 0; n < npipes * SLOTS; n++) {
			err = leave_a_block(self->fd, pipes[n / SLOTS][1],
					    self->env.page);
			if (err)
				break;
		}
		EXPECT_EQ(-EDQUOT, err) TH_LOG("after %u of %u", n, most);
		EXPECT_GE(most, n);
		EXPECT_LE(most - 2, n);
		for (n = 0; n < npipes; n++) {
			close(pipes[n][0]);
			close(pipes[n][1]);
		}
		/* They are looked at every second. */
		since = pd_now_ns();
		do {
			pd_sleep_ms(50);
			err = pd_alloc(self->fd, 16 * BLOCK, 0, &buf);
		} while (err == -EDQUOT && pd_ms_since(since) < 3000);
		EXPECT_EQ(0, err);
		MUST(pd_free(self->fd, buf.handle));
		pd_sleep_ms(1100);
	}
	free(pipes);
}

/* No memory cgroup is charged for it. */
TEST_F_TIMEOUT(memory, coherent_has_a_quota_of_its_own, 120)
{
	const __u64 chunk = CHUNK;
	struct pd_buf buf, first = {};
	unsigned int n, round;
	int err;

	for (round = 0; round < 2; round++) {
		int fd = pd_open(&self->env);

		ASSERT_LE(0, fd);
		for (n = 0; n <= COHERENT / chunk; n++) {
			err = pd_alloc(fd, chunk, PINDROP_ALLOC_COHERENT, &buf);
			if (err)
				break;
			if (!n)
				first = buf;
		}
		if (err == -ENOMEM) {
			close(fd);
			SKIP(return, "there is not so much");
		}
		EXPECT_EQ(-EDQUOT, err);
		EXPECT_EQ(COHERENT / chunk, n);
		MUST(pd_free(fd, first.handle));
		EXPECT_EQ(0, pd_alloc(fd, chunk, PINDROP_ALLOC_COHERENT, &buf));
		EXPECT_EQ(-EDQUOT, pd_alloc(fd, chunk, PINDROP_ALLOC_COHERENT,
					    &buf));
		close(fd);
	}
}

#define PINNED (32UL << 20)
#define LOOKS 20

/* So many jobs, each after that advice on so much: ns. */
static __u64 look_after(int fd, const struct pindrop_job_desc *job,
			unsigned char *mem, size_t len, int *err)
{
	__u64 begin = 0, spent = 0;
	unsigned int i;

	for (i = 0; i < LOOKS && !*err; i++) {
		madvise(mem, len, MADV_FREE);
		begin = pd_now_ns();
		*err = pd_submit(fd, job, 1, NULL);
		spent += pd_now_ns() - begin;
	}
	return spent;
}

/* After a change of one page one page is looked at, and not all of the pin. */
TEST_F_TIMEOUT(memory, pins_are_looked_at_where_they_changed, 120)
{
	const struct rlimit lock = { PINNED, PINNED };
	const size_t page = self->env.page;
	struct pindrop_job_desc job;
	struct pd_buf pin, buf;
	unsigned char *mem;
	__u64 one, all;
	int err = 0;

	ASSERT_EQ(0, setresuid(0, 0, 0));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &lock));
	ASSERT_EQ(0, setresuid(PD_MEMBER, PD_MEMBER, 0));
	mem = mmap(NULL, PINNED, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	madvise(mem, PINNED, MADV_NOHUGEPAGE);
	memset(mem, 1, PINNED);
	MUST(pd_alloc(self->fd, page, 0, &buf));
	err = pd_pin(self->fd, mem, PINNED, 0, &pin);
	if (err == -ENOMEM)
		SKIP(return, "the device reaches less");
	ASSERT_EQ(0, err);
	job = pd_copy(&pin, 0, &buf, 0, 64);
	look_after(self->fd, &job, mem, PINNED, &err);
	all = look_after(self->fd, &job, mem, PINNED, &err);
	one = look_after(self->fd, &job, mem + PINNED / 2, page, &err);
	EXPECT_EQ(0, err);
	/* 8,192 pages, and one with all else that a job takes. */
	EXPECT_LT(4 * one, all) TH_LOG("one %llu ns, all %llu", one, all);
	munmap(mem, PINNED);
}

/* As one of those that the maker of a user namespace can be. */
static int alloc_as(const struct pd_env *env, uid_t uid, __u64 bytes, int *fd)
{
	struct pd_buf buf;
	int err = 0;

	if (setresuid(uid, uid, 0))
		return -errno;
	*fd = pd_open(env);
	for (; bytes && !err; bytes -= CHUNK)
		err = pd_alloc(*fd, CHUNK, PINDROP_ALLOC_COHERENT, &buf);
	if (setresuid(0, 0, 0))
		return -errno;
	return err;
}

/* Who makes a user namespace is charged for all who are in it. */
TEST_F(memory, users_of_a_namespace_are_its_makers)
{
	const __u64 half = COHERENT / 2;
	char path[64];
	unsigned int i;
	int fds[3];
	pid_t pid;

	ASSERT_EQ(0, setresuid(0, 0, 0));
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(!setresuid(PD_MEMBER, PD_MEMBER, PD_MEMBER));
		CHILD(!unshare(CLONE_NEWUSER));
		pd_post(self->flag, 1);
		CHILD(pd_await(self->flag, 2));
		CHILD(!alloc_as(&self->env, 1, half, &fds[0]));
		CHILD(!alloc_as(&self->env, 2, half, &fds[1]));
		CHILD(alloc_as(&self->env, 3, half, &fds[2]) ==
		      -EDQUOT);
		pd_post(self->flag, 3);
		CHILD(pd_await(self->flag, 4));
		_exit(0);
	}
	ASSERT_TRUE(pd_await(self->flag, 1));
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	MUST(pd_write_file(path, "0 100000 65536"));
	pd_post(self->flag, 2);
	ASSERT_TRUE(pd_await(self->flag, 3));
	/* So is he himself, and nobody else. */
	EXPECT_EQ(-EDQUOT, alloc_as(&self->env, PD_MEMBER, half, &fds[0]));
	EXPECT_EQ(0, alloc_as(&self->env, PD_MEMBER + 1, half, &fds[1]));
	pd_post(self->flag, 4);
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(0, alloc_as(&self->env, PD_MEMBER, half, &fds[2]));
	for (i = 0; i < 3; i++)
		close(fds[i]);
}

/* Not all of the bounce pool, which the machine's disks need, too. */
TEST_F(memory, bounce_pool_is_shared)
{
	const __u64 chunk = 256 << 10;
	unsigned long most = quota() / chunk;
	unsigned int n;
	struct pd_buf buf, last = {};
	char cmdline[1024] = "";
	int err = 0, other;

	pd_read_file("/proc/cmdline", cmdline, sizeof(cmdline));
	if (!strstr(cmdline, "swiotlb=") || !strstr(cmdline, "force"))
		SKIP(return, "not all memory bounces");
	for (n = 0; n < most; n++) {
		err = pd_alloc(self->fd, chunk, 0, &buf);
		if (err)
			break;
		last = buf;
	}
	/* There is room in the pool, and not for him. */
	EXPECT_EQ(-EDQUOT, err);
	EXPECT_LT(16, n);
	ASSERT_EQ(0, setresuid(0, 0, 0));
	other = pd_open(&self->env);
	EXPECT_EQ(0, pd_alloc(other, chunk, 0, &buf));
	close(other);
	ASSERT_EQ(0, setresuid(PD_MEMBER, PD_MEMBER, 0));
	MUST(pd_free(self->fd, last.handle));
	EXPECT_EQ(0, pd_alloc(self->fd, chunk, 0, &buf));
}

TEST_HARNESS_MAIN
