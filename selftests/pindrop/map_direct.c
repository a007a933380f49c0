// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT between a block device and a mapping: driver memory is made of
 * ordinary pages, which the kernel may pin. PINDROP_DIRECT_FILE says where to;
 * what is in the first pages there is lost.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define PAGES 80
#define HUGE_SIZE (2UL << 20)
#define RW (PROT_READ | PROT_WRITE)

/* @mem is as large as the buffer, and ordinary memory. */
FIXTURE(direct)
{
	struct pd_env env;
	int fd;
	int file;
	size_t len;
	struct pd_buf buf;
	unsigned char *mem;
	long long pins;
};

/* Files in memory take the flag, and copy nevertheless. */
static int open_direct(void)
{
	const char *path = getenv("PINDROP_DIRECT_FILE");
	struct statfs fs;
	int fd;

	if (path && *path)
		return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	fd = open(".", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (fd >= 0 && !fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC) {
		close(fd);
		return -1;
	}
	return fd;
}

FIXTURE_SETUP(direct)
{
	PD_SETUP(&self->env);
	self->file = open_direct();
	if (self->file < 0)
		SKIP(PD_LEAVE_SETUP, "nothing here knows O_DIRECT");
	self->len = PAGES * self->env.page;
	self->pins = pd_vmstat_pins();
	ASSERT_LE(0, self->pins);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, self->len, &self->buf));
	self->mem = mmap(NULL, self->len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(direct)
{
	pd_unmap(&self->buf);
	munmap(self->mem, self->len);
	close(self->file);
	close(self->fd);
	EXPECT_EQ(self->pins, pd_vmstat_pins());
	PD_TEARDOWN(&self->env);
}

TEST_F(direct, writes_what_is_in_the_buffer)
{
	pd_fill(self->buf.map, self->len, 1);
	ASSERT_EQ(self->len,
		  pwrite(self->file, self->buf.map, self->len, 0));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
	ASSERT_EQ(self->len, pread(self->file, self->mem, self->len, 0));
	EXPECT_EQ(-1, pd_wrong(self->mem, self->len, 1));
}

TEST_F(direct, reads_into_the_buffer)
{
	pd_fill(self->mem, self->len, 2);
	ASSERT_EQ(self->len, pwrite(self->file, self->mem, self->len, 0));
	pd_fill(self->buf.map, self->len, 1);
	ASSERT_EQ(self->len, pread(self->file, self->buf.map, self->len, 0));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 2));
}

/* The kernel's own faults are the first ones. */
TEST_F(direct, reads_into_what_was_never_touched)
{
	struct pd_buf fresh;

	pd_fill(self->mem, self->len, 3);
	ASSERT_EQ(self->len, pwrite(self->file, self->mem, self->len, 0));
	MUST(pd_create(self->fd, self->len, &fresh));
	ASSERT_EQ(self->len, pread(self->file, fresh.map, self->len, 0));
	EXPECT_EQ(-1, pd_wrong(fresh.map, self->len, 3));
	MUST(pd_unmap(&fresh));
}

TEST_F(direct, touches_no_other_page)
{
	const size_t page = self->env.page;

	pd_fill(self->mem, self->len, 2);
	ASSERT_EQ(self->len, pwrite(self->file, self->mem, self->len, 0));
	memset(self->buf.map, 0x77, self->len);
	ASSERT_EQ(3 * page,
		  pread(self->file, self->buf.map + 63 * page, 3 * page, 0));
	memset(self->mem, 0x77, self->len);
	pd_fill(self->mem + 63 * page, 3 * page, 2);
	EXPECT_EQ(0, memcmp(self->mem, self->buf.map, self->len));
}

TEST_F(direct, works_through_a_second_mapping)
{
	unsigned char *other = pd_mmap(self->fd, self->buf.offset, self->len,
				       RW, NULL);

	ASSERT_NE(NULL, other);
	pd_fill(self->mem, self->len, 4);
	ASSERT_EQ(self->len, pwrite(self->file, self->mem, self->len, 0));
	ASSERT_EQ(self->len, pread(self->file, other, self->len, 0));
	munmap(other, self->len);
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 4));
}

/* The device reads what the disk wrote, and the disk what the device wrote. */
TEST_F(direct, device_and_disk_share_the_buffer)
{
	const struct pindrop_info *i = &self->env.info;
	struct pindrop_job_desc jobs[2];
	size_t len = self->env.page;
	unsigned int count = 0;
	struct pd_buf dst;

	MUST(pd_create(self->fd, self->env.page, &dst));
	if (i->out_caps & PINDROP_CAP_MEM_TO_MEM) {
		jobs[count++] = pd_copy(&self->buf, 0, &dst, 0, len);
	} else {
		ASSERT_LT(0, i->out_devmem);
		if (len > i->out_devmem)
			len = i->out_devmem & -(__u64)i->out_align;
		jobs[count++] = pd_copy(&self->buf, 0, NULL, 0, len);
		jobs[count++] = pd_copy(NULL, 0, &dst, 0, len);
	}
	pd_fill(self->mem, self->len, 5);
	ASSERT_EQ(self->len, pwrite(self->file, self->mem, self->len, 0));
	ASSERT_EQ(self->len, pread(self->file, self->buf.map, self->len, 0));
	MUST(pd_run(self->fd, jobs, count));
	EXPECT_EQ(-1, pd_wrong(dst.map, len, 5));

	memset(self->mem, 0, self->env.page);
	ASSERT_EQ(self->env.page,
		  pwrite(self->file, dst.map, self->env.page, 0));
	ASSERT_EQ(self->env.page,
		  pread(self->file, self->mem, self->env.page, 0));
	EXPECT_EQ(-1, pd_wrong(self->mem, len, 5));
	MUST(pd_unmap(&dst));
}

TEST_F(direct, works_after_free_and_close)
{
	MUST(pd_free(self->fd, self->buf.handle));
	close(self->fd);
	self->fd = -1;
	pd_fill(self->buf.map, self->len, 6);
	ASSERT_EQ(self->len,
		  pwrite(self->file, self->buf.map, self->len, 0));
	memset(self->buf.map, 0, self->len);
	ASSERT_EQ(self->len, pread(self->file, self->buf.map, self->len, 0));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 6));
	MUST(pd_unmap(&self->buf));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
}

TEST_F(direct, works_in_a_child)
{
	pid_t pid = fork();

	if (!pid) {
		pd_fill(self->buf.map, self->len, 7);
		CHILD(pwrite(self->file, self->buf.map, self->len, 0) ==
		      (ssize_t)self->len);
		memset(self->buf.map, 0, self->len);
		CHILD(pread(self->file, self->buf.map, self->len, 0) ==
		      (ssize_t)self->len);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 7));
}

TEST_F(direct, read_only_mapping_is_not_written)
{
	pd_fill(self->buf.map, self->len, 1);
	ASSERT_EQ(0, mprotect(self->buf.map, self->len, PROT_READ));
	ASSERT_EQ(self->len,
		  pwrite(self->file, self->buf.map, self->len, 0));
	EXPECT_EQ(-1, pread(self->file, self->buf.map, self->len, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
}

/* Both ways, for memory that says it has no O_DIRECT. */
static int refused(int fd, int file, const struct pd_env *env, __u32 flags,
		   size_t len)
{
	struct pd_buf buf;
	int err;

	err = pd_alloc(fd, len, flags, &buf);
	if (!err)
		err = pd_map(fd, &buf);
	if (err)
		return err;
	pd_fill(buf.map, buf.len, 8);
	if (pwrite(file, buf.map, env->page, 0) != -1 || errno != EFAULT)
		return 1;
	if (pread(file, buf.map, env->page, 0) != -1 || errno != EFAULT)
		return 2;
	if (pd_wrong(buf.map, buf.len, 8) != -1)
		return 3;
	return pd_unmap(&buf);
}

TEST_F(direct, coherent_is_refused)
{
	EXPECT_EQ(0, refused(self->fd, self->file, &self->env,
			     PINDROP_ALLOC_COHERENT, self->env.page));
}

TEST_F(direct, huge_is_refused)
{
	bool there = self->env.info.out_caps & PINDROP_CAP_ALLOC_HUGE;

	EXPECT_EQ(there ? 0 : -EOPNOTSUPP,
		  refused(self->fd, self->file, &self->env, PINDROP_ALLOC_HUGE,
			  HUGE_SIZE));
}

/* Transfers until there is nothing left to transfer to. */
struct stream {
	int file;
	unsigned char *map;
	size_t len;
	bool write;
	unsigned int done;
	int error;
};

static void *run_stream(void *arg)
{
	struct stream *s = arg;
	ssize_t n;

	for (;;) {
		n = s->write ? pwrite(s->file, s->map, s->len, 0) :
			       pread(s->file, s->map, s->len, 0);
		if (n < 0)
			break;
		pd_post(&s->done, s->done + 1);
	}
	s->error = errno;
	return NULL;
}

/*
 * A page that is being transferred outlives the buffer it was part of, and
 * nobody else is given it before: not the canaries here.
 */
TEST_F(direct, buffer_goes_in_the_middle_of_transfers)
{
	struct stream s = { .file = self->file, .len = self->len };
	struct pd_buf canary;
	pthread_t t;
	int round;

	pd_fill(self->mem, self->len, 9);
	ASSERT_EQ(self->len, pwrite(self->file, self->mem, self->len, 0));
	for (round = 0; round < 20; round++) {
		s.map = self->buf.map;
		s.write = round % 2;
		s.done = 0;
		if (s.write)
			pd_fill(s.map, s.len, 9);
		ASSERT_EQ(0, pthread_create(&t, NULL, run_stream, &s));
		EXPECT_TRUE(pd_await(&s.done, 2));
		MUST(pd_free(self->fd, self->buf.handle));
		/* At once something else, so that the place stays taken. */
		ASSERT_EQ(s.map, mmap(s.map, s.len, PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				      -1, 0));
		MUST(pd_create(self->fd, self->len, &canary));
		pd_fill(canary.map, canary.len, round);
		ASSERT_EQ(0, pthread_join(t, NULL));
		EXPECT_EQ(EFAULT, s.error);
		EXPECT_EQ(-1, pd_wrong(canary.map, canary.len, round));
		EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
		munmap(s.map, s.len);
		self->buf = canary;
	}
}

TEST_HARNESS_MAIN
