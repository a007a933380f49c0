// SPDX-License-Identifier: GPL-2.0-only
/* SUBMIT to and from the device's own memory, and who may. */
#include <sys/mman.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

FIXTURE(devmem)
{
	struct pd_env env;
	int fd;
	struct pd_buf buf;
	size_t size, align, pages;
};

FIXTURE_SETUP(devmem)
{
	PD_SETUP(&self->env);
	self->size = self->env.info.out_devmem;
	self->align = self->env.info.out_align;
	if (!self->size)
		SKIP(PD_LEAVE_SETUP, "the device has no memory of its own");
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	/* All of the device's memory and a byte more, in whole pages. */
	self->pages = (self->size / self->env.page + 1) * self->env.page;
	MUST(pd_create(self->fd, 2 * self->pages, &self->buf));
}

FIXTURE_TEARDOWN(devmem)
{
	pd_unmap(&self->buf);
	if (self->fd >= 0)
		close(self->fd);
	PD_TEARDOWN(&self->env);
}

/* What goes out lies in the first half of the buffer, what comes back behind. */
#define OUT 0
#define IN (self->buf.len / 2)

static int put(int fd, const struct pd_buf *buf, __u64 from, __u64 to,
	       __u64 len)
{
	struct pindrop_job_desc job = pd_copy(buf, from, NULL, to, len);

	return pd_run(fd, &job, 1);
}

static int get(int fd, const struct pd_buf *buf, __u64 from, __u64 to,
	       __u64 len)
{
	struct pindrop_job_desc job = pd_copy(NULL, from, buf, to, len);

	return pd_run(fd, &job, 1);
}

/* Writes a part of the device's memory, reads all of it, compares. */
static bool only_there(int fd, struct pd_buf *buf, size_t size, size_t at,
		       size_t len)
{
	unsigned char *back = buf->map + buf->len / 2;

	pd_fill(buf->map, len, 1);
	memset(back, 0xee, buf->len / 2);
	return !put(fd, buf, 0, at, len) &&
	       !get(fd, buf, 0, buf->len / 2, size) &&
	       pd_nonzero(back, at) == -1 &&
	       pd_wrong(back + at, len, 1) == -1 &&
	       pd_nonzero(back + at + len, size - at - len) == -1 &&
	       back[size] == 0xee;
}

TEST_F(devmem, at_its_start)
{
	EXPECT_TRUE(only_there(self->fd, &self->buf, self->size, 0,
			       16 * self->align));
}

TEST_F(devmem, at_its_end)
{
	const size_t len = 16 * self->align;

	EXPECT_TRUE(only_there(self->fd, &self->buf, self->size,
			       self->size / self->align * self->align - len,
			       len));
}

TEST_F(devmem, in_its_middle)
{
	EXPECT_TRUE(only_there(self->fd, &self->buf, self->size,
			       9 * self->align, 100 * self->align));
}

TEST_F(devmem, from_start_to_end)
{
	EXPECT_TRUE(only_there(self->fd, &self->buf, self->size, 0,
			       self->size / self->align * self->align));
}

TEST_F(devmem, first_and_last_alone)
{
	const size_t last = self->size / self->align * self->align - self->align;

	pd_fill(self->buf.map, 2 * self->align, 1);
	EXPECT_EQ(0, put(self->fd, &self->buf, OUT, 0, self->align));
	EXPECT_EQ(0, put(self->fd, &self->buf, OUT + self->align, last,
			 self->align));
	EXPECT_EQ(0, get(self->fd, &self->buf, 0, IN, self->align));
	EXPECT_EQ(0, get(self->fd, &self->buf, last, IN + self->align,
			 self->align));
	EXPECT_EQ(-1, pd_wrong(self->buf.map + IN, 2 * self->align, 1));
}

TEST_F(devmem, beyond_its_end)
{
	const __u64 size = self->size, align = self->align;
	const __u64 last = size / align * align;

	FAILS(ERANGE, put(self->fd, &self->buf, OUT, last, align));
	FAILS(ERANGE, get(self->fd, &self->buf, last, IN, align));
	FAILS(ERANGE, put(self->fd, &self->buf, OUT, last - align, 2 * align));
	FAILS(ERANGE, get(self->fd, &self->buf, last - align, IN, 2 * align));
	FAILS(ERANGE, put(self->fd, &self->buf, OUT, 0, last + align));
	FAILS(ERANGE, get(self->fd, &self->buf, 0, IN, last + align));
	FAILS(ERANGE, put(self->fd, &self->buf, OUT, 1ULL << 32, align));
	FAILS(ERANGE, get(self->fd, &self->buf, 1ULL << 63, IN, align));
	FAILS(EINVAL, put(self->fd, &self->buf, OUT, -align, align));
	FAILS(EINVAL, get(self->fd, &self->buf, -align, IN, 2 * align));
}

/* What engines need for themselves cannot be named: nothing is shown of it. */
TEST_F(devmem, is_zero_for_a_new_tenant)
{
	memset(self->buf.map, 0xee, self->buf.len);
	EXPECT_EQ(0, get(self->fd, &self->buf, 0, IN, self->size));
	EXPECT_EQ(-1, pd_nonzero(self->buf.map + IN, self->size));
}

TEST_F(devmem, is_leased_to_one)
{
	int other = pd_open(&self->env);
	struct pd_buf buf;

	ASSERT_LE(0, other);
	MUST(pd_create(other, self->env.page, &buf));
	EXPECT_EQ(0, put(self->fd, &self->buf, OUT, 0, 64));
	FAILS(EBUSY, put(other, &buf, 0, 0, 64));
	FAILS(EBUSY, get(other, &buf, 0, 0, 64));
	/* The first one still may, and the other's copies go on. */
	EXPECT_EQ(0, get(self->fd, &self->buf, 0, IN, 64));
	MUST(pd_unmap(&buf));
	close(other);
}

/* Closing it is the end of the lease, and of what was in there. */
TEST_F(devmem, changes_hands_cleared)
{
	int other = pd_open(&self->env);
	struct pd_buf buf;

	ASSERT_LE(0, other);
	MUST(pd_create(other, self->pages, &buf));
	memset(self->buf.map, 0xdd, self->buf.len);
	EXPECT_EQ(0, put(self->fd, &self->buf, OUT, 0, self->size));
	FAILS(EBUSY, get(other, &buf, 0, 0, self->size));
	MUST(pd_unmap(&self->buf));
	close(self->fd);
	self->fd = -1;
	memset(buf.map, 0xee, buf.len);
	EXPECT_EQ(0, get(other, &buf, 0, 0, self->size));
	EXPECT_EQ(-1, pd_nonzero(buf.map, self->size));
	MUST(pd_unmap(&buf));
	close(other);
}

/* ... and so is the owner's death, whoever still holds the file. */
TEST_F(devmem, is_free_when_its_tenant_died)
{
	int dead = pd_open(&self->env);
	pid_t pid;

	ASSERT_LE(0, dead);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pd_buf buf;

		CHILD(!pd_create(dead, self->env.page, &buf));
		CHILD(!put(dead, &buf, 0, 0, 64));
		raise(SIGKILL);
	}
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_EQ(0, put(self->fd, &self->buf, OUT, 0, 64));
	close(dead);
}

/* A batch that is refused takes no lease along. */
TEST_F(devmem, is_not_leased_by_what_is_refused)
{
	struct pindrop_job_desc jobs[2];
	int other = pd_open(&self->env);
	struct pd_buf buf;

	ASSERT_LE(0, other);
	MUST(pd_create(other, self->env.page, &buf));
	jobs[0] = pd_copy(&self->buf, 0, NULL, 0, 64);
	jobs[1] = pd_copy(&self->buf, 0, &self->buf, 0, 64);
	FAILS(EINVAL, pd_submit(self->fd, jobs, 2, NULL));
	EXPECT_EQ(0, put(other, &buf, 0, 0, 64));
	MUST(pd_unmap(&buf));
	close(other);
}

TEST_F(devmem, cannot_be_both_sides)
{
	struct pindrop_job_desc job = pd_copy(NULL, 0, NULL, 64, 64);

	FAILS(EOPNOTSUPP, pd_submit(self->fd, &job, 1, NULL));
}

TEST_HARNESS_MAIN
