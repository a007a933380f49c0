// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * IMPORT: dma-bufs of udmabuf, of a heap, of our own and of a peer that behaves badly as
 * memory of jobs; what becomes of them when somebody dies, and when they are
 * taken back.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "death_utils.h"
#include "share_utils.h"
#include "sim_utils.h"

#define SLACK_MS 2000
/* Hundreds of imports, one given back after the other. */
#define ALL_BACK_MS 30000
/* What giving back may take if nobody is in the way. */
#define SOON_MS 500
/* ... and what thousands of them may. */
#define MANY_MS 20000
/* P3, of a death that waits for some exporters only. */
#define PATIENT_MS 1000

FIXTURE(import)
{
	struct pd_env env;
	size_t page;
	long piece_ms;
	int fd;
	struct pd_buf buf; /* a page, pattern 1 */
	struct share_peer peer;
};

FIXTURE_SETUP(import)
{
	self->peer = SHARE_NO_PEER;
	PD_SETUP(&self->env);
	self->page = self->env.page;
	self->piece_ms = self->env.info.out_piece_ms;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, self->page, &self->buf));
	pd_fill(self->buf.map, self->buf.len, 1);
}

FIXTURE_TEARDOWN(import)
{
	pd_unmap(&self->buf);
	if (self->fd >= 0)
		close(self->fd);
	if (self->peer.fd >= 0) {
		EXPECT_TRUE(share_count_becomes(&self->peer, PEER_ATTACHED, 0,
						ALL_BACK_MS));
		EXPECT_EQ(0, share_count(&self->peer, PEER_PINNED));
		EXPECT_EQ(0, share_count(&self->peer, PEER_MAPPED));
	}
	share_peer_end(&self->peer);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BUFFERS, 0, ALL_BACK_MS));
	PD_TEARDOWN(&self->env);
}

static int copy(int fd, const struct pd_buf *src, __u64 from,
		const struct pd_buf *dst, __u64 to, size_t len)
{
	struct pindrop_job_desc job = pd_copy(src, from, dst, to, len);

	return pd_run(fd, &job, 1);
}

/*
 * A page of ours goes into the second page of an import, and the first page
 * comes back; @map is how its exporter shows it.
 */
static const char *there_and_back(int fd, const struct pd_buf *buf, int dmabuf,
				  unsigned char *map)
{
	const size_t page = buf->len;
	struct pd_buf in;

	pd_fill(map, page, 5);
	memset(map + page, 0, page);
	if (pd_import(fd, dmabuf, &in) || in.len < 2 * page)
		return "cannot be imported";
	if (copy(fd, buf, 0, &in, page, page))
		return "cannot be written";
	share_cpu(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	if (pd_wrong(map + page, page, 1) != -1)
		return "was not written";
	if (pd_wrong(map, page, 5) != -1)
		return "was written in front";
	share_cpu(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	if (copy(fd, &in, 0, buf, 0, page))
		return "cannot be read";
	if (pd_wrong(buf->map, page, 5) != -1)
		return "was not read";
	pd_fill(buf->map, page, 1);
	return pd_free(fd, in.handle) ? "cannot be freed" : "";
}

TEST_F(import, of_udmabuf)
{
	int memfd = memfd_create("share", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const size_t len = 2 * self->page;
	unsigned char *map;
	int dmabuf, err;

	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, ftruncate(memfd, len));
	err = share_udmabuf(memfd, len, &dmabuf);
	if (err == -ENOENT)
		SKIP(return, "the kernel has no udmabuf");
	MUST(err);
	/* By way of the file: nothing of it knows of dma-bufs. */
	map = share_map(memfd, len, &err);
	MUST(err);
	EXPECT_STREQ("", there_and_back(self->fd, &self->buf, dmabuf, map));
	munmap(map, len);
	close(dmabuf);
	close(memfd);
}

/*
 * The CPU is at it while nobody has it imported: for the beginning of an access a
 * heap looks at pages that debugging of dma-bufs hides meanwhile, and crashes.
 */
TEST_F(import, of_dma_heap)
{
	const size_t len = 2 * self->page;
	struct pd_buf in;
	unsigned char *map;
	int dmabuf, err;

	err = share_heap(len, &dmabuf);
	if (err == -ENOENT)
		SKIP(return, "the kernel has no heap");
	MUST(err);
	map = share_map(dmabuf, len, &err);
	MUST(err);
	pd_fill(map, self->page, 5);
	MUST(pd_import(self->fd, dmabuf, &in));
	EXPECT_EQ(len, in.len);
	MUST(copy(self->fd, &self->buf, 0, &in, self->page, self->page));
	MUST(pd_free(self->fd, in.handle));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BUFFERS, 1, SOON_MS));
	EXPECT_EQ(-1, pd_wrong(map, self->page, 5));
	EXPECT_EQ(-1, pd_wrong(map + self->page, self->page, 1));
	MUST(pd_import(self->fd, dmabuf, &in));
	MUST(copy(self->fd, &in, 0, &self->buf, 0, self->page));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->page, 5));
	MUST(pd_free(self->fd, in.handle));
	munmap(map, len);
	close(dmabuf);
}

TEST_F(import, of_our_own)
{
	struct pd_buf own;
	int dmabuf;

	MUST(pd_create(self->fd, 2 * self->page, &own));
	MUST(pd_export(self->fd, own.handle, &dmabuf));
	MUST(pd_free(self->fd, own.handle));
	EXPECT_STREQ("", there_and_back(self->fd, &self->buf, dmabuf, own.map));
	pd_unmap(&own);
	close(dmabuf);
}

TEST_F(import, of_somebody_who_does_not_move_it)
{
	MUST(share_peer(&self->peer, 2, 0));
	EXPECT_STREQ("", there_and_back(self->fd, &self->buf, self->peer.dmabuf,
					self->peer.map));
}

TEST_F(import, of_somebody_who_would_move_it)
{
	MUST(share_peer(&self->peer, 2, PEER_DYNAMIC));
	EXPECT_STREQ("", there_and_back(self->fd, &self->buf, self->peer.dmabuf,
					self->peer.map));
}

/* Held, and where it has to be, for as long as the handle is there. */
TEST_F(import, is_pinned_and_mapped)
{
	struct share_peer *p = &self->peer;
	struct pd_buf in;

	MUST(share_peer(p, 3, PEER_DYNAMIC));
	MUST(pd_import(self->fd, p->dmabuf, &in));
	EXPECT_EQ(3 * self->page, in.len);
	EXPECT_EQ(1, share_count(p, PEER_ATTACHED));
	EXPECT_LE(1, share_count(p, PEER_PINNED));
	EXPECT_EQ(1, share_count(p, PEER_MAPPED));
	EXPECT_EQ(2, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(4 * self->page, pd_grown(&self->env, PD_BYTES));
	MUST(pd_free(self->fd, in.handle));
	EXPECT_EQ(0, share_count(p, PEER_MAPPED));
	EXPECT_EQ(0, share_count(p, PEER_PINNED));
	EXPECT_EQ(0, share_count(p, PEER_ATTACHED));
	EXPECT_EQ(self->page, pd_grown(&self->env, PD_BYTES));
}

TEST_F(import, holds_the_memory)
{
	struct pd_buf in;

	MUST(share_peer(&self->peer, 1, 0));
	pd_fill(self->peer.map, self->page, 6);
	MUST(pd_import(self->fd, self->peer.dmabuf, &in));
	munmap(self->peer.map, self->peer.len);
	close(self->peer.dmabuf);
	close(self->peer.fd);
	self->peer = SHARE_NO_PEER;
	MUST(copy(self->fd, &in, 0, &self->buf, 0, self->page));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->page, 6));
	MUST(pd_free(self->fd, in.handle));
}

TEST_F(import, refuses_what_is_no_dma_buf)
{
	struct pd_buf in;
	int memfd = memfd_create("share", MFD_CLOEXEC);

	ASSERT_LE(0, memfd);
	FAILS(EBADF, pd_import(self->fd, -1, &in));
	FAILS(EBADF, pd_import(self->fd, INT_MAX, &in));
	FAILS(EINVAL, pd_import(self->fd, memfd, &in));
	FAILS(EINVAL, pd_import(self->fd, self->fd, &in));
	EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
	close(memfd);
}

/* Whatever the exporter does not do: nothing is left, with nobody. */
TEST_F(import, is_refused)
{
	static const unsigned int why[] = {
		PEER_NO_ATTACH,
		PEER_NO_MAP,
		PEER_NO_MAP | PEER_DYNAMIC,
		PEER_NO_PIN | PEER_DYNAMIC,
		PEER_SHORT,
		PEER_SHORT | PEER_DYNAMIC,
	};
	const struct pd_env *env = &self->env;
	const size_t page = self->page;
	struct pd_buf in;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(why); i++) {
		struct share_peer p;

		MUST(share_peer(&p, 2, why[i]));
		FAILS(EOPNOTSUPP, pd_import(self->fd, p.dmabuf, &in))
		TH_LOG("flags %#x", why[i]);
		EXPECT_EQ(0, share_count(&p, PEER_ATTACHED));
		EXPECT_EQ(0, share_count(&p, PEER_PINNED));
		EXPECT_EQ(0, share_count(&p, PEER_MAPPED));
		share_peer_end(&p);
		/* Whose patience is used up is told before it has gone. */
		EXPECT_TRUE(pd_count_becomes(env, PD_BUFFERS, 1, SOON_MS));
		EXPECT_TRUE(pd_count_becomes(env, PD_BYTES, page, SOON_MS));
	}
}

/* The engine is never given an address that it cannot take. */
TEST_F(import, misaligned)
{
	struct pd_buf in;

	MUST(share_peer(&self->peer, 2, PEER_ODD));
	/* It is a byte too short as well: that is told apart by nobody. */
	FAILS(EOPNOTSUPP, pd_import(self->fd, self->peer.dmabuf, &in));
}

/* Who may only read it cannot have a device write it. */
TEST_F(import, to_read_only)
{
	struct pd_buf in;

	MUST(share_peer(&self->peer, 1, PEER_READ_ONLY));
	MUST(share_fill(&self->peer));
	MUST(pd_import(self->fd, self->peer.dmabuf, &in));
	FAILS(EACCES, copy(self->fd, &self->buf, 0, &in, 0, self->page));
	MUST(share_check(&self->peer));
	MUST(copy(self->fd, &in, 0, &self->buf, 0, self->page));
	EXPECT_EQ(PEER_PATTERN, self->buf.map[0]);
	EXPECT_EQ(PEER_PATTERN, self->buf.map[self->page - 1]);
}

/* It has no place among the offsets of the file, however large it is. */
TEST_F(import, is_not_mapped_here)
{
	struct pd_buf in, next;
	__u64 offset;
	int err;

	MUST(share_peer(&self->peer, 600, 0));
	MUST(pd_import(self->fd, self->peer.dmabuf, &in));
	MUST(pd_alloc(self->fd, self->page, 0, &next));
	/* Wherever no buffer of ours is. */
	for (offset = 1 << 20; offset < 32 << 20; offset += self->page) {
		void *map = pd_mmap(self->fd, offset, self->page, PROT_READ,
				    &err);

		if (err) {
			ASSERT_EQ(-EINVAL, err);
			continue;
		}
		munmap(map, self->page);
		EXPECT_TRUE((offset >= self->buf.offset &&
			     offset < self->buf.offset + self->buf.len) ||
			    (offset >= next.offset &&
			     offset < next.offset + next.len))
		TH_LOG("offset %llx", offset);
	}
}

TEST_F(import, exported_is_the_same)
{
	struct stat before, after;
	struct pd_buf in;
	int dmabuf;

	MUST(share_peer(&self->peer, 1, 0));
	MUST(pd_import(self->fd, self->peer.dmabuf, &in));
	MUST(pd_export(self->fd, in.handle, &dmabuf));
	ASSERT_EQ(0, fstat(self->peer.dmabuf, &before));
	ASSERT_EQ(0, fstat(dmabuf, &after));
	EXPECT_EQ(before.st_ino, after.st_ino);
	EXPECT_EQ(before.st_dev, after.st_dev);
	EXPECT_EQ(FD_CLOEXEC, fcntl(dmabuf, F_GETFD));
	close(dmabuf);
}

TEST_F(import, sync)
{
	const __u32 begin = PINDROP_SYNC_BEGIN | PINDROP_SYNC_READ;
	const __u32 end = PINDROP_SYNC_END | PINDROP_SYNC_WRITE;
	struct pd_buf in, own;
	int dmabuf;

	MUST(pd_alloc(self->fd, self->page, 0, &own));
	MUST(pd_export(self->fd, own.handle, &dmabuf));
	MUST(pd_import(self->fd, dmabuf, &in));
	MUST(pd_sync(self->fd, in.handle, begin, 0, self->page));
	MUST(pd_sync(self->fd, in.handle, end, 1, 1));
	FAILS(ERANGE, pd_sync(self->fd, in.handle, begin, 0, self->page + 1));
	FAILS(ERANGE, pd_sync(self->fd, in.handle, begin, self->page, 1));
	close(dmabuf);
}

/* The last one has no handle, and is not held either. */
TEST_F(import, counts_for_the_context)
{
	const unsigned int most = self->env.info.out_max_handles;
	struct share_peer *p = &self->peer;
	struct pd_buf in;
	unsigned int n;

	MUST(share_peer(&self->peer, 1, PEER_DYNAMIC | PEER_READ_ONLY));
	for (n = 2; n < most; n++)
		MUST(pd_alloc(self->fd, self->page, 0, &in));
	MUST(pd_import(self->fd, self->peer.dmabuf, &in));
	FAILS(EDQUOT, pd_import(self->fd, self->peer.dmabuf, &in));
	EXPECT_TRUE(share_count_becomes(p, PEER_ATTACHED, 1, SOON_MS));
	EXPECT_EQ(1, share_count(&self->peer, PEER_MAPPED));
	EXPECT_EQ(most, pd_grown(&self->env, PD_BUFFERS));
}

/* The memory is somebody else's, and it is held: half of the machine's is all. */
TEST_F_TIMEOUT(import, counts_for_the_user, 110)
{
	const long long pages = sysconf(_SC_PHYS_PAGES) / 2;
	const unsigned int each = 1024;
	struct pd_buf in;
	long long n = 0;
	int err = 0;

	/* Others have no addresses for so much, or a bounce pool. */
	if (strcmp(self->env.info.out_engine, "sim"))
		return;
	MUST(share_peer(&self->peer, each,
			PEER_DYNAMIC | PEER_READ_ONLY | PEER_RANGE));
	while (!err && n <= pages) {
		err = pd_import(self->fd, self->peer.dmabuf, &in);
		n += err ? 0 : each;
	}
	EXPECT_EQ(-EDQUOT, err);
	EXPECT_GE(pages, n);
	EXPECT_LT(pages - 2 * each, n);
	/* A mapping holds the file, and with it all of them. */
	pd_unmap(&self->buf);
	close(self->fd);
	self->fd = -1;
	EXPECT_TRUE(share_count_becomes(&self->peer, PEER_ATTACHED, 0,
					MANY_MS));
}

/* Idle, it is given back at once; what comes then is told. */
TEST_F(import, taken_back)
{
	static const unsigned int flags[] = { 0, PEER_DYNAMIC };
	struct pd_buf in;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(flags); i++) {
		struct share_peer p;

		MUST(share_peer(&p, 1, flags[i]));
		MUST(pd_import(self->fd, p.dmabuf, &in));
		MUST(share_revoke(&p));
		EXPECT_TRUE(share_count_becomes(&p, PEER_ATTACHED, 0, SOON_MS));
		EXPECT_EQ(0, share_count(&p, PEER_MAPPED));
		EXPECT_EQ(0, share_count(&p, PEER_PINNED));
		FAILS(ESTALE,
		      copy(self->fd, &self->buf, 0, &in, 0, self->page));
		FAILS(ESTALE,
		      copy(self->fd, &in, 0, &self->buf, 0, self->page));
		MUST(share_check(&p));
		MUST(pd_free(self->fd, in.handle));
		share_peer_end(&p);
	}
}

/*
 * With a copy on the hardware, and more behind it: the peer puts its pattern
 * there when it has the memory, and nobody writes it after that. The jobs fail,
 * those of others do not.
 */
TEST_F(import, taken_back_under_dma)
{
	const size_t len = 2 * self->page;
	struct pindrop_wait wait;
	struct pd_buf in, src;
	__u64 job, last, begin;
	unsigned int i;

	MUST(share_peer(&self->peer, 2, PEER_DYNAMIC));
	MUST(pd_import(self->fd, self->peer.dmabuf, &in));
	MUST(pd_create(self->fd, len, &src));
	pd_fill(src.map, len, 7);
	for (i = 0, job = 0; i < 4; i++) {
		last = pd_start(self->fd, &src, &in, len);
		job = job ? job : last;
	}
	last = pd_start(self->fd, &src, &self->buf, 64);
	pd_sleep_ms(30);
	begin = pd_now_ns();
	MUST(share_revoke(&self->peer));
	EXPECT_TRUE(share_count_becomes(&self->peer, PEER_MAPPED, 0,
					2 * self->piece_ms + SOON_MS));
	/* The hardware was done before, and nobody had to wait for that. */
	EXPECT_EQ(0, pd_wait(self->fd, job, 0, &wait));
	EXPECT_EQ(1, share_count(&self->peer, PEER_UNMAPPED));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-ESTALE, pd_result(self->fd, job + i));
	EXPECT_GT(2 * self->piece_ms + SLACK_MS, pd_ms_since(begin));
	EXPECT_EQ(0, pd_result(self->fd, last));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, 64, 7));
	pd_sleep_ms(2 * self->piece_ms);
	EXPECT_EQ(0, share_check(&self->peer));
	pd_unmap(&src);
}

/* A job that waits for somebody's fence fails at once, and not when it comes. */
TEST_F(import, taken_back_before_its_turn)
{
	/* More than is on the device at a time. */
	const size_t least = (4 + self->env.info.out_depth) *
			     self->env.info.out_max_piece;
	const size_t len = (least + self->page - 1) / self->page * self->page;
	struct share_peer *p = &self->peer;
	struct pindrop_job_desc job, nop = pd_nop(0);
	struct pindrop_submit slow, waits, behind;
	struct pollfd fence;
	struct pd_buf in, src, dst;
	__u64 first;
	int other;

	if (!pd_has_fences(&self->env))
		SKIP(return, "the kernel has no fences");
	other = pd_open(&self->env);
	ASSERT_LE(0, other);
	MUST(pd_create(other, len, &src));
	MUST(pd_alloc(other, len, 0, &dst));
	MUST(share_peer(&self->peer, 1, PEER_DYNAMIC));
	MUST(pd_import(self->fd, self->peer.dmabuf, &in));
	job = pd_copy(&src, 0, &dst, 0, len);
	slow = (struct pindrop_submit){ .size = sizeof(slow),
					.flags = PINDROP_SUBMIT_OUT_FENCE,
					.jobs = (unsigned long)&job,
					.count = 1 };
	first = pd_start(other, &src, &dst, 3 * self->env.info.out_max_piece);
	ASSERT_NE(0, first);
	MUST(pd_ioctl(other, PINDROP_VERB_SUBMIT, &slow));
	fence = (struct pollfd){ .fd = slow.out_fence, .events = POLLIN };
	job = pd_copy(&self->buf, 0, &in, 0, self->page);
	waits = (struct pindrop_submit){ .size = sizeof(waits),
					 .flags = PINDROP_SUBMIT_IN_FENCE,
					 .in_fence = slow.out_fence,
					 .jobs = (unsigned long)&job,
					 .count = 1 };
	MUST(pd_ioctl(self->fd, PINDROP_VERB_SUBMIT, &waits));
	/* Behind it, and has nothing to do with either. */
	MUST(pd_submit(self->fd, &nop, 1, &behind));
	/* By then it had its turn, and was put aside. */
	EXPECT_EQ(0, pd_result(other, first));
	MUST(share_revoke(&self->peer));
	EXPECT_EQ(-ESTALE, pd_result(self->fd, waits.out_last));
	EXPECT_EQ(0, pd_result(self->fd, behind.out_last));
	EXPECT_EQ(0, poll(&fence, 1, 0));
	EXPECT_TRUE(share_count_becomes(p, PEER_ATTACHED, 0, SOON_MS));
	pd_unmap(&src);
	close(slow.out_fence);
	close(other);
}

/* Somebody has the exporter's lock: who frees it, or dies, is not kept. */
TEST_F(import, given_back_while_the_lock_is_taken)
{
	const long locked_ms = 2000;
	struct pd_buf in[3];
	unsigned int i;
	__u64 begin;
	pid_t pid;

	MUST(share_peer(&self->peer, 1, PEER_DYNAMIC));
	for (i = 0; i < ARRAY_LEN(in); i++)
		MUST(pd_import(self->fd, self->peer.dmabuf, &in[i]));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		share_lock(&self->peer, locked_ms);
		_exit(0);
	}
	pd_sleep_ms(200);
	begin = pd_now_ns();
	for (i = 0; i < ARRAY_LEN(in); i++)
		MUST(pd_free(self->fd, in[i].handle));
	EXPECT_GT(SOON_MS, pd_ms_since(begin));
	/* They are not forgotten: not gone yet, but then. */
	EXPECT_EQ(3, share_count(&self->peer, PEER_MAPPED));
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_TRUE(share_count_becomes(&self->peer, PEER_ATTACHED, 0,
					SOON_MS));
}

FIXTURE(owner)
{
	struct death_watch w;
	struct share_peer peer;
};

FIXTURE_SETUP(owner)
{
	self->peer = SHARE_NO_PEER;
	DEATH_SETUP(&self->w);
}

FIXTURE_TEARDOWN(owner)
{
	if (self->peer.fd >= 0)
		EXPECT_EQ(0, share_count(&self->peer, PEER_ATTACHED));
	share_peer_end(&self->peer);
	DEATH_TEARDOWN(&self->w);
}

/* Copies into the peer's memory, again and again. */
static void write_peer(struct death_watch *w, const struct share_peer *peer)
{
	const size_t len = peer->len;
	int fd = pd_open(&w->env);
	struct pd_buf src, in;
	unsigned int i;

	CHILD(fd >= 0);
	CHILD(!pd_create(fd, len, &src));
	memset(src.map, 0xee, len);
	CHILD(!pd_import(fd, peer->dmabuf, &in));
	for (i = 0; i < 4; i++)
		CHILD(pd_start(fd, &src, &in, len));
	pd_post(&w->shared->flag, 1);
	for (;;)
		pause();
}

/*
 * The importer dies in the middle: when it is waited for, the exporter has its
 * memory back, and what it puts there stays.
 */
TEST_F(owner, dies_in_the_middle)
{
	static const unsigned int flags[] = { 0, PEER_DYNAMIC };
	unsigned int i;
	pid_t pid;

	for (i = 0; i < ARRAY_LEN(flags); i++) {
		share_peer_end(&self->peer);
		MUST(share_peer(&self->peer, 4, flags[i]));
		self->w.shared->flag = 0;
		self->w.ended = pd_jobs_ended(&self->w.env);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			write_peer(&self->w, &self->peer);
		ASSERT_TRUE(death_ready(&self->w));
		EXPECT_EQ(1, share_count(&self->peer, PEER_MAPPED));
		EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
		EXPECT_STREQ("", death_left(&self->w, 4));
		EXPECT_EQ(0, share_count(&self->peer, PEER_MAPPED));
		EXPECT_EQ(0, share_count(&self->peer, PEER_PINNED));
		EXPECT_EQ(0, share_count(&self->peer, PEER_ATTACHED));
		MUST(share_fill(&self->peer));
		pd_sleep_ms(3 * self->w.env.info.out_piece_ms);
		EXPECT_EQ(0, share_check(&self->peer));
	}
}

/* Its lock is somebody's for long: the death is not. */
TEST_F(owner, dies_while_the_lock_is_taken)
{
	pid_t pid, locker;

	MUST(share_peer(&self->peer, 4, PEER_DYNAMIC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		write_peer(&self->w, &self->peer);
	ASSERT_TRUE(death_ready(&self->w));
	locker = fork();
	ASSERT_LE(0, locker);
	if (!locker) {
		share_lock(&self->peer, 3000);
		_exit(0);
	}
	pd_sleep_ms(100);
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	EXPECT_GT(DEATH_BOUND_MS, pd_ms_since(self->w.since_ns));
	pd_matrix("share_import:locked", pd_ms_since(self->w.since_ns), -1, 0);
	EXPECT_EQ(1, share_count(&self->peer, PEER_MAPPED));
	EXPECT_EQ(0, pd_join(locker));
	EXPECT_TRUE(share_count_becomes(&self->peer, PEER_ATTACHED, 0,
					SOON_MS));
	EXPECT_TRUE(pd_count_becomes(&self->w.env, PD_BUFFERS, 0, SOON_MS));
}

/* Each takes its exporter a moment: who dies waits for some, and not for all. */
TEST_F_TIMEOUT(owner, dies_with_many, 110)
{
	/* As often as debugging of DMA follows one page, and some of those. */
	const unsigned int each = 7;
	struct share_peer peers[30];
	unsigned int i, mapped = 0;
	pid_t pid;

	for (i = 0; i < ARRAY_LEN(peers); i++)
		MUST(share_peer(&peers[i], 1, PEER_SLOW));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = pd_open(&self->w.env);
		struct pd_buf in;

		CHILD(fd >= 0);
		for (i = 0; i < each * ARRAY_LEN(peers); i++)
			CHILD(!pd_import(fd, peers[i / each].dmabuf, &in));
		pd_post(&self->w.shared->flag, 1);
		for (;;)
			pause();
	}
	ASSERT_TRUE(death_ready(&self->w));
	for (i = 0; i < ARRAY_LEN(peers); i++)
		mapped += share_count(&peers[i], PEER_MAPPED);
	EXPECT_EQ(each * ARRAY_LEN(peers), mapped);
	EXPECT_EQ(-SIGKILL, death_kill(&self->w, pid));
	EXPECT_GT(death_kernel_is_slow() ? DEATH_BOUND_MS : PATIENT_MS,
		  pd_ms_since(self->w.since_ns));
	pd_matrix("share_import:many", pd_ms_since(self->w.since_ns), -1, 0);
	for (i = 0; i < ARRAY_LEN(peers); i++) {
		EXPECT_TRUE(share_count_becomes(&peers[i], PEER_ATTACHED, 0,
						ALL_BACK_MS));
		share_peer_end(&peers[i]);
	}
	EXPECT_TRUE(pd_count_becomes(&self->w.env, PD_BUFFERS, 0, SOON_MS));
}

/* The exporter's process dies in the middle: that is nothing to the jobs. */
TEST_F(owner, of_the_memory_dies_in_the_middle)
{
	struct death_watch *w = &self->w;
	const size_t len = 4 * w->env.page;
	int sock[2], dmabuf, err;
	struct pd_buf src, in;
	unsigned char *map;
	__u64 job;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = pd_open(&w->env);
		struct pd_buf own;

		CHILD(!pd_create(fd, len, &own));
		CHILD(!pd_export(fd, own.handle, &dmabuf));
		CHILD(!death_send_fds(sock[0], &dmabuf, 1));
		for (;;)
			pause();
	}
	dmabuf = death_receive_fd(sock[1]);
	ASSERT_LE(0, dmabuf);
	MUST(pd_import(w->fd, dmabuf, &in));
	MUST(pd_create(w->fd, len, &src));
	pd_fill(src.map, len, 8);
	map = share_map(dmabuf, len, &err);
	MUST(err);
	close(dmabuf);
	job = pd_start(w->fd, &src, &in, len);
	ASSERT_NE(0, job);
	pd_sleep_ms(w->into_ms);
	EXPECT_EQ(-SIGKILL, death_kill(w, pid));
	pd_matrix("share_import:exporter", pd_ms_since(w->since_ns),
		  pd_ms_since(w->since_ns), 0);
	EXPECT_EQ(0, pd_result(w->fd, job));
	EXPECT_EQ(-1, pd_wrong(map, len, 8));
	munmap(map, len);
	pd_unmap(&src);
	MUST(pd_free(w->fd, src.handle));
	MUST(pd_free(w->fd, in.handle));
	EXPECT_TRUE(pd_count_becomes(&w->env, PD_BUFFERS, 0, SOON_MS));
}

FIXTURE(hung)
{
	struct pd_env env;
	struct share_peer peer;
	int fd;
	struct pd_buf src, in;
	long piece_ms;
};

FIXTURE_SETUP(hung)
{
	self->peer = SHARE_NO_PEER;
	SIM_SETUP(&self->env);
	self->piece_ms = self->env.info.out_piece_ms;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(share_peer(&self->peer, 4, PEER_DYNAMIC));
	MUST(pd_import(self->fd, self->peer.dmabuf, &self->in));
	MUST(pd_create(self->fd, self->in.len, &self->src));
	memset(self->src.map, 0xee, self->src.len);
}

FIXTURE_TEARDOWN(hung)
{
	EXPECT_EQ(0, sim_reset(&self->env, 0));
	pd_unmap(&self->src);
	if (self->fd >= 0)
		close(self->fd);
	EXPECT_TRUE(share_count_becomes(&self->peer, PEER_ATTACHED, 0,
					SLACK_MS));
	share_peer_end(&self->peer);
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_BUFFERS, 0, SLACK_MS));
	SIM_TEARDOWN(&self->env);
}

/*
 * Taken back while the hardware hangs, with other channels that work: the exporter
 * has a promise that its fence ends, so the device is cut off all the same.
 */
TEST_F(hung, is_taken_back_behind_a_cut_beside_others)
{
	struct share_peer *p = &self->peer;
	__u64 job;

	MUST(sim_incurable(&self->env));
	MUST(sim_set(&self->env, 0, "ignore_abort", 1));
	MUST(sim_set(&self->env, 0, "hang", 1));
	job = pd_start(self->fd, &self->src, &self->in, self->in.len);
	ASSERT_NE(0, job);
	pd_sleep_ms(20);
	MUST(share_revoke(p));
	/* The job is lost by now, whatever the reason that it was to end. */
	EXPECT_EQ(-EIO, pd_result(self->fd, job));
	EXPECT_TRUE(share_count_becomes(p, PEER_MAPPED, 0,
					6 * self->piece_ms + SLACK_MS));
	MUST(sim_set(&self->env, 0, "hang", 0));
	pd_sleep_ms(2 * self->piece_ms);
	EXPECT_EQ(0, share_check(p));
}

/* ... with nobody else on the device: the cut permits it, and no proof. */
TEST_F(hung, is_taken_back_behind_the_cut)
{
	struct share_peer *p = &self->peer;
	unsigned int chan;
	__u64 job = 0;

	MUST(sim_incurable(&self->env));
	for (chan = 0; chan < self->env.info.out_channels; chan++) {
		MUST(sim_set(&self->env, chan, "ignore_abort", 1));
		MUST(sim_set(&self->env, chan, "hang", 1));
		job = pd_start_on(self->fd, chan, &self->src, &self->in,
				  self->in.len);
		ASSERT_NE(0, job);
	}
	pd_sleep_ms(20);
	MUST(share_revoke(p));
	EXPECT_TRUE(share_count_becomes(p, PEER_MAPPED, 0,
					6 * self->piece_ms + SLACK_MS));
	EXPECT_EQ(0, share_count(p, PEER_ATTACHED));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED,
				     2 * (long long)self->in.len, SLACK_MS));
	/* What hung goes on, and finds no way. */
	MUST(sim_set_all(&self->env, "hang", 0));
	pd_sleep_ms(2 * self->piece_ms);
	EXPECT_EQ(0, share_check(p));
}

/* Nobody wants it back; its owner dies, and it stays until there is proof. */
TEST_F(hung, stays_in_quarantine)
{
	struct share_peer *p = &self->peer;
	long long bytes = self->in.len;
	int fd = -1;
	pid_t pid;

	MUST(sim_incurable(&self->env));
	MUST(sim_set(&self->env, 0, "ignore_abort", 1));
	MUST(sim_set(&self->env, 0, "hang", 1));
	MUST(pd_free(self->fd, self->in.handle));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct pd_buf in, src;

		fd = pd_open(&self->env);
		CHILD(fd >= 0);
		CHILD(!pd_import(fd, p->dmabuf, &in));
		CHILD(!pd_create(fd, in.len, &src));
		CHILD(pd_start(fd, &src, &in, in.len));
		pd_sleep_ms(20);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 2 * bytes,
				     5 * self->piece_ms + SLACK_MS));
	EXPECT_EQ(1, share_count(p, PEER_ATTACHED));
	EXPECT_LE(1, share_count(p, PEER_PINNED));
	MUST(sim_set(&self->env, 0, "hang", 0));
	EXPECT_TRUE(share_count_becomes(p, PEER_ATTACHED, 0,
					2 * self->piece_ms + SLACK_MS));
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
}

TEST_HARNESS_MAIN
