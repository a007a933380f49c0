// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * EXPORT: what it gives and refuses, that the memory behind it is the buffer's,
 * and that it outlives everything but the last who has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dma-buf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "share_utils.h"

#define RW (PROT_READ | PROT_WRITE)
#define HUGE_SIZE (2UL << 20)
#define SLACK_MS 2000

FIXTURE(export)
{
	struct pd_env env;
	size_t page;
	int fd;
	struct pd_buf buf; /* two pages, pattern 1 */
	int dmabuf;
};

FIXTURE_SETUP(export)
{
	self->dmabuf = -1;
	PD_SETUP(&self->env);
	self->page = self->env.page;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, 2 * self->page, &self->buf));
	pd_fill(self->buf.map, self->buf.len, 1);
	MUST(pd_export(self->fd, self->buf.handle, &self->dmabuf));
}

FIXTURE_TEARDOWN(export)
{
	pd_unmap(&self->buf);
	if (self->dmabuf >= 0)
		close(self->dmabuf);
	if (self->fd >= 0)
		close(self->fd);
	/* The last file is put after the call that dropped it. */
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BUFFERS, 0, SLACK_MS));
	PD_TEARDOWN(&self->env);
}

TEST_F(export, gives_a_descriptor)
{
	const off_t len = self->buf.len;

	EXPECT_EQ(FD_CLOEXEC, fcntl(self->dmabuf, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(self->dmabuf, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(len, lseek(self->dmabuf, 0, SEEK_END));
	/* There is one buffer, whoever has it. */
	EXPECT_EQ(1, pd_count(&self->env, PD_BUFFERS));
	EXPECT_EQ(len, pd_count(&self->env, PD_BYTES));
}

TEST_F(export, refuses)
{
	struct pd_buf buf;
	int dmabuf;

	FAILS(ENOENT, pd_export(self->fd, self->buf.handle + 1, &dmabuf));
	FAILS(ENOENT, pd_export(self->fd, 0, &dmabuf));
	FAILS(ENOENT, pd_export(self->fd, PINDROP_DEVMEM, &dmabuf));
	MUST(pd_pin(self->fd, self->buf.map, self->page, 0, &buf));
	FAILS(EOPNOTSUPP, pd_export(self->fd, buf.handle, &dmabuf));
	MUST(pd_free(self->fd, buf.handle));
	MUST(pd_alloc(self->fd, self->page, PINDROP_ALLOC_COHERENT, &buf));
	FAILS(EOPNOTSUPP, pd_export(self->fd, buf.handle, &dmabuf));
	MUST(pd_free(self->fd, buf.handle));
	MUST(pd_free(self->fd, self->buf.handle));
	FAILS(ENOENT, pd_export(self->fd, self->buf.handle, &dmabuf));
}

TEST_F(export, maps_the_same_memory)
{
	unsigned char *map;
	int err;

	map = share_map(self->dmabuf, self->buf.len, &err);
	MUST(err);
	EXPECT_EQ(-1, pd_wrong(map, self->buf.len, 1));
	pd_fill(map, self->buf.len, 2);
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 2));
	munmap(map, self->buf.len);
	/* From the second page on. */
	map = pd_mmap(self->dmabuf, self->page, self->page, RW, &err);
	MUST(err);
	EXPECT_EQ(0, memcmp(map, self->buf.map + self->page, self->page));
	munmap(map, self->page);
}

TEST_F(export, of_every_kind_of_memory)
{
	static const struct {
		__u32 flags;
		size_t len;
	} kinds[] = {
		{ 0, 65536 },
		{ PINDROP_ALLOC_CONTIG, 65536 },
		{ PINDROP_ALLOC_HUGE, HUGE_SIZE },
	};
	unsigned char *map;
	struct pd_buf buf;
	unsigned int i;
	int dmabuf, err;

	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		if ((kinds[i].flags & PINDROP_ALLOC_HUGE) &&
		    !(self->env.info.out_caps & PINDROP_CAP_ALLOC_HUGE))
			continue;
		MUST(pd_alloc(self->fd, kinds[i].len, kinds[i].flags, &buf));
		MUST(pd_export(self->fd, buf.handle, &dmabuf));
		MUST(pd_map(self->fd, &buf));
		map = share_map(dmabuf, buf.len, &err);
		MUST(err);
		pd_fill(map, buf.len, 3 + i);
		EXPECT_EQ(-1, pd_wrong(buf.map, buf.len, 3 + i));
		munmap(map, buf.len);
		pd_unmap(&buf);
		close(dmabuf);
		MUST(pd_free(self->fd, buf.handle));
	}
}

TEST_F(export, is_mapped_as_the_file_is)
{
	const size_t len = self->buf.len;
	unsigned char *map;
	int err;

	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, len, RW, MAP_PRIVATE, self->dmabuf, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, len, PROT_READ | PROT_EXEC, MAP_SHARED,
				   self->dmabuf, 0));
	/* The kernel may be faster: newer ones let no dma-buf be executed. */
	EXPECT_TRUE(errno == EACCES || errno == EPERM);
	pd_mmap(self->dmabuf, 0, len + self->page, RW, &err);
	EXPECT_EQ(-EINVAL, err);
	pd_mmap(self->dmabuf, self->page, len, RW, &err);
	EXPECT_EQ(-EINVAL, err);
	map = share_map(self->dmabuf, len, &err);
	MUST(err);
	EXPECT_EQ(-1, mprotect(map, len, PROT_READ | PROT_EXEC));
	EXPECT_EQ(MAP_FAILED,
		  mremap(map, len, len + self->page, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, pd_vmflags(map, "dd"));
	munmap(map, len);
}

/* A pattern, for all devices that have the memory. */
static int fill(int dmabuf, const struct pd_buf *buf, unsigned int seed)
{
	int err = share_cpu(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);

	pd_fill(buf->map, buf->len, seed);
	return err ?: share_cpu(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
}

/* Another driver has it mapped, and keeps it when all else is closed. */
TEST_F(export, is_borrowed_by_another_driver)
{
	unsigned char want[256];
	struct share_peer peer;
	long long len = self->buf.len;

	MUST(fill(self->dmabuf, &self->buf, 4));
	memcpy(want, self->buf.map, sizeof(want));
	MUST(share_borrow(&peer, self->dmabuf));
	EXPECT_EQ(-1, share_wrong(&peer, sizeof(want), want));
	/* It is the same memory, not a copy. */
	MUST(fill(self->dmabuf, &self->buf, 5));
	memcpy(want, self->buf.map, sizeof(want));
	EXPECT_EQ(-1, share_wrong(&peer, sizeof(want), want));
	pd_unmap(&self->buf);
	close(self->dmabuf);
	close(self->fd);
	self->dmabuf = -1;
	self->fd = -1;
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_CONTEXTS, 0, SLACK_MS));
	EXPECT_EQ(len, pd_count(&self->env, PD_BYTES));
	EXPECT_EQ(-1, share_wrong(&peer, sizeof(want), want));
	share_peer_end(&peer);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BUFFERS, 0, SLACK_MS));
}

/* What the device writes is what the dma-buf shows. */
TEST_F(export, shows_what_the_device_writes)
{
	struct pindrop_job_desc job;
	struct pd_buf src;
	unsigned char *map;
	int err;

	MUST(fill(self->dmabuf, &self->buf, 1));
	MUST(pd_create(self->fd, self->page, &src));
	pd_fill(src.map, src.len, 4);
	job = pd_copy(&src, 0, &self->buf, self->page, self->page);
	MUST(pd_run(self->fd, &job, 1));
	map = share_map(self->dmabuf, self->buf.len, &err);
	MUST(err);
	MUST(share_cpu(self->dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ));
	EXPECT_EQ(-1, pd_wrong(map, self->page, 1));
	EXPECT_EQ(-1, pd_wrong(map + self->page, self->page, 4));
	MUST(share_cpu(self->dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ));
	munmap(map, self->buf.len);
	pd_unmap(&src);
}

/*
 * Around what the CPU does, each device gives and takes, where its memory is
 * apart: what it wrote is there from the beginning on, what it is to read is
 * there at the end. Ours is one of them.
 */
TEST_F(export, sync_is_for_any_device)
{
	const unsigned long read = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ;
	const size_t last = self->buf.len - 1;
	struct pindrop_job_desc job;
	struct share_peer peer;
	struct pd_buf dst;
	unsigned char *map;
	int err;

	map = share_map(self->dmabuf, self->buf.len, &err);
	MUST(err);
	MUST(share_borrow(&peer, self->dmabuf));
	MUST(fill(self->dmabuf, &self->buf, 6));
	EXPECT_EQ(map[0], share_read(&peer, 0));
	EXPECT_EQ(map[last], share_read(&peer, last));
	MUST(share_write(&peer, 0, 0xa1));
	MUST(share_write(&peer, last, 0xa2));
	MUST(share_cpu(self->dmabuf, read));
	EXPECT_EQ(0xa1, map[0]);
	EXPECT_EQ(0xa2, map[last]);
	MUST(share_cpu(self->dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ));
	MUST(pd_create(self->fd, self->buf.len, &dst));
	job = pd_copy(&self->buf, 0, &dst, 0, self->buf.len);
	MUST(pd_run(self->fd, &job, 1));
	EXPECT_EQ(0xa1, dst.map[0]);
	EXPECT_EQ(0xa2, dst.map[last]);
	pd_unmap(&dst);
	munmap(map, self->buf.len);
	share_peer_end(&peer);
}

TEST_F(export, outlives_handle_and_file)
{
	unsigned char *map;
	int err;

	MUST(pd_free(self->fd, self->buf.handle));
	pd_unmap(&self->buf);
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_CONTEXTS, 0, SLACK_MS));
	EXPECT_EQ(1, pd_count(&self->env, PD_BUFFERS));
	map = share_map(self->dmabuf, self->buf.len, &err);
	MUST(err);
	EXPECT_EQ(-1, pd_wrong(map, self->buf.len, 1));
	/* The mapping alone is enough. */
	close(self->dmabuf);
	self->dmabuf = -1;
	pd_sleep_ms(50);
	EXPECT_EQ(1, pd_count(&self->env, PD_BUFFERS));
	EXPECT_EQ(-1, pd_wrong(map, self->buf.len, 1));
	munmap(map, self->buf.len);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BUFFERS, 0, SLACK_MS));
}

/* Each descriptor is one holder; the buffer is one. */
TEST_F(export, more_than_once)
{
	int second, third;

	MUST(pd_export(self->fd, self->buf.handle, &second));
	third = dup(self->dmabuf);
	ASSERT_LE(0, third);
	MUST(pd_free(self->fd, self->buf.handle));
	pd_unmap(&self->buf);
	close(self->dmabuf);
	self->dmabuf = -1;
	close(second);
	pd_sleep_ms(50);
	EXPECT_EQ(1, pd_count(&self->env, PD_BUFFERS));
	close(third);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BUFFERS, 0, SLACK_MS));
}

static long long module_users(void)
{
	return pd_number_in("/sys/module/pindrop", "refcnt");
}

TEST_F(export, keeps_the_module)
{
	long long users = module_users();
	int second;

	MUST(pd_export(self->fd, self->buf.handle, &second));
	EXPECT_EQ(users + 1, module_users());
	close(second);
	EXPECT_EQ(users, module_users());
}

/* In whose table there is no room for it: it is as if nothing had been. */
TEST_F(export, without_a_free_descriptor)
{
	long long users = module_users();
	int fds[1024], second;
	unsigned int n = 0;

	while (n < ARRAY_LEN(fds) && (fds[n] = dup(self->fd)) >= 0)
		n++;
	ASSERT_GT(ARRAY_LEN(fds), n);
	FAILS(EMFILE, pd_export(self->fd, self->buf.handle, &second));
	while (n)
		close(fds[--n]);
	EXPECT_EQ(users, module_users());
	EXPECT_EQ(1, pd_count(&self->env, PD_BUFFERS));
}

FIXTURE(owner)
{
	struct death_watch w;
	int sock[2];
	int dmabuf;
	unsigned char *map;
	size_t len;
};

FIXTURE_SETUP(owner)
{
	self->dmabuf = -1;
	DEATH_SETUP(&self->w);
	self->len = death_len(&self->w);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->sock));
}

FIXTURE_TEARDOWN(owner)
{
	if (self->map)
		munmap(self->map, self->len);
	if (self->dmabuf >= 0)
		close(self->dmabuf);
	EXPECT_TRUE(pd_count_becomes(&self->w.env, PD_BUFFERS, 0, SLACK_MS));
	DEATH_TEARDOWN(&self->w);
}

/*
 * The owner dies in the middle of a copy into what it gave away: when it is
 * waited for the memory is there, and nothing changes it any more.
 */
TEST_F(owner, dies_and_the_memory_is_still)
{
	struct pd_buf src, dst;
	unsigned char *copy;
	int fd, dmabuf, err;
	pid_t pid;
	long ms;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fd = pd_open(&self->w.env);
		death_start(&self->w, fd, &src, &dst);
		CHILD(!pd_export(fd, dst.handle, &dmabuf));
		CHILD(!death_send_fds(self->sock[0], &dmabuf, 1));
		pd_post(&self->w.shared->flag, 1);
		for (;;)
			pause();
	}
	self->dmabuf = death_receive_fd(self->sock[1]);
	ASSERT_LE(0, self->dmabuf);
	self->map = share_map(self->dmabuf, self->len, &err);
	MUST(err);
	ASSERT_TRUE(death_ready(&self->w));
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	ms = pd_ms_since(self->w.since_ns);
	pd_matrix("share_export:owner", ms, ms, 0);
	copy = malloc(self->len);
	ASSERT_NE(NULL, copy);
	memcpy(copy, self->map, self->len);
	/* What was read right after it, and later. */
	EXPECT_EQ(0, pd_count(&self->w.env, PD_INFLIGHT));
	EXPECT_EQ(1, pd_count(&self->w.env, PD_BUFFERS));
	EXPECT_EQ(self->len, pd_count(&self->w.env, PD_BYTES));
	pd_sleep_ms(3 * self->w.env.info.out_piece_ms);
	EXPECT_EQ(0, memcmp(copy, self->map, self->len));
	/* And it is memory as before. */
	pd_fill(self->map, self->len, 9);
	EXPECT_EQ(-1, pd_wrong(self->map, self->len, 9));
	free(copy);
}

FIXTURE(unplug)
{
	struct pd_env env;
	char driver[PATH_MAX];
	int fd, dmabuf;
	struct pd_buf buf;
	bool bound;
};

FIXTURE_SETUP(unplug)
{
	char link[128];

	self->dmabuf = -1;
	PD_SETUP(&self->env);
	snprintf(link, sizeof(link), "%s/device/driver", self->env.sysfs);
	ASSERT_NE(NULL, realpath(link, self->driver));
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, self->env.page, &self->buf));
	pd_fill(self->buf.map, self->buf.len, 1);
	MUST(pd_export(self->fd, self->buf.handle, &self->dmabuf));
	self->bound = true;
}

/* Any node that there is, but for other engines'; NULL in time. */
static const char *find_node(const struct pd_env *env)
{
	__u64 begin = pd_now_ns();
	struct pd_env other;
	int minor;

	while (pd_ms_since(begin) < SLACK_MS) {
		for (minor = 0; minor < 16; minor++) {
			static char path[sizeof(other.path)];

			memset(&other, 0, sizeof(other));
			snprintf(path, sizeof(path), "/dev/pindrop%d", minor);
			memcpy(other.path, path, sizeof(path));
			if (!access(path, F_OK) && !pd_env_init(&other) &&
			    !strcmp(other.info.out_device,
				    env->info.out_device))
				return path;
		}
		pd_sleep_ms(10);
	}
	return NULL;
}

static int bind_again(const char *driver, const struct pd_env *env)
{
	/* A reaper may still hold it. */
	pd_sleep_ms(50);
	return pd_write_in(driver, "bind", env->info.out_device);
}

FIXTURE_TEARDOWN(unplug)
{
	pd_unmap(&self->buf);
	if (self->fd >= 0)
		close(self->fd);
	if (self->dmabuf >= 0)
		close(self->dmabuf);
	/* Who has a dma-buf has the number of the node: now it is free again. */
	if (self->bound)
		EXPECT_EQ(0, pd_write_in(self->driver, "unbind",
					 self->env.info.out_device));
	EXPECT_EQ(0, bind_again(self->driver, &self->env));
	EXPECT_STREQ(self->env.path, find_node(&self->env));
	PD_TEARDOWN(&self->env);
}

static sigjmp_buf after_fault;

static void on_fault(int sig)
{
	siglongjmp(after_fault, sig);
}

/* The signal that reading a byte raises, or 0. */
static int reading(const volatile unsigned char *byte)
{
	struct sigaction sa = { .sa_handler = on_fault }, bus;
	int sig;

	sigaction(SIGBUS, &sa, &bus);
	sig = sigsetjmp(after_fault, 1);
	if (!sig)
		(void)*byte;
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

/*
 * The device goes, and all of the driver that knew the buffer but the dma-buf.
 * When it comes back it is another device, which imports what is left.
 */
TEST_F(unplug, leaves_the_memory)
{
	const size_t len = self->buf.len;
	struct pindrop_job_desc job;
	unsigned char *map;
	unsigned char want[64];
	struct share_peer peer;
	struct pd_buf in;
	const char *node;
	int err, none;

	map = share_map(self->dmabuf, len, &err);
	MUST(err);
	EXPECT_EQ(-1, pd_wrong(map, len, 1));
	memcpy(want, map, sizeof(want));
	MUST(share_borrow(&peer, self->dmabuf));
	MUST(pd_write_in(self->driver, "unbind", self->env.info.out_device));
	self->bound = false;
	EXPECT_EQ(SIGBUS, reading(map));
	munmap(map, len);
	share_map(self->dmabuf, len, &err);
	EXPECT_EQ(-ENODEV, err);
	MUST(share_cpu(self->dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW));
	MUST(share_cpu(self->dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
	EXPECT_EQ(len, lseek(self->dmabuf, 0, SEEK_END));
	EXPECT_EQ(-1, share_wrong(&peer, sizeof(want), want));
	share_peer_end(&peer);
	FAILS(ENODEV, pd_export(self->fd, self->buf.handle, &none));
	pd_unmap(&self->buf);
	close(self->fd);
	MUST(bind_again(self->driver, &self->env));
	self->bound = true;
	node = find_node(&self->env);
	ASSERT_NE(NULL, node);
	self->fd = open(node, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, len, &self->buf));
	MUST(pd_import(self->fd, self->dmabuf, &in));
	job = pd_copy(&in, 0, &self->buf, 0, len);
	MUST(pd_run(self->fd, &job, 1));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, len, 1));
	MUST(pd_free(self->fd, in.handle));
}

TEST_HARNESS_MAIN
