// SPDX-License-Identifier: GPL-2.0-only
/* ALLOC, and mapping what it gave. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define PAGES 4
#define PAGE 4096UL
#define HUGE_SIZE (2UL << 20)
#define RW (PROT_READ | PROT_WRITE)

/* One buffer, as large as PAGES, mapped. */
FIXTURE(map)
{
	struct pd_env env;
	int fd;
	struct pd_buf buf;
};

FIXTURE_VARIANT(map)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(map, plain)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(map, contig)
{
	.flags = PINDROP_ALLOC_CONTIG,
};

FIXTURE_VARIANT_ADD(map, coherent)
{
	.flags = PINDROP_ALLOC_COHERENT,
};

FIXTURE_SETUP(map)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_alloc(self->fd, PAGES * self->env.page, variant->flags,
		      &self->buf));
	MUST(pd_map(self->fd, &self->buf));
}

FIXTURE_TEARDOWN(map)
{
	pd_unmap(&self->buf);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define MAPS(error, fd, offset, len)                                      \
	do {                                                              \
		int maps_err;                                             \
		EXPECT_EQ(NULL, pd_mmap(fd, offset, len, RW, &maps_err)); \
		EXPECT_EQ(-(error), maps_err);                            \
	} while (0)

/* Round by round, so that what comes back has been used. */
TEST_F(map, memory_is_zeroed)
{
	int round;

	for (round = 0; round < 16; round++) {
		ASSERT_EQ(-1, pd_nonzero(self->buf.map, self->buf.len))
			TH_LOG("round %d", round);
		pd_fill(self->buf.map, self->buf.len, round);
		MUST(pd_unmap(&self->buf));
		MUST(pd_free(self->fd, self->buf.handle));
		MUST(pd_alloc(self->fd, PAGES * self->env.page, variant->flags,
			      &self->buf));
		MUST(pd_map(self->fd, &self->buf));
	}
}

TEST_F(map, two_mappings_show_the_same)
{
	unsigned char *other = pd_mmap(self->fd, self->buf.offset,
				       self->buf.len, RW, NULL);

	ASSERT_NE(NULL, other);
	pd_fill(self->buf.map, self->buf.len, 1);
	EXPECT_EQ(-1, pd_wrong(other, self->buf.len, 1));
	pd_fill(other, self->buf.len, 2);
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 2));
	munmap(other, self->buf.len);
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 2));
}

TEST_F(map, data_outlives_the_mapping)
{
	pd_fill(self->buf.map, self->buf.len, 1);
	MUST(pd_unmap(&self->buf));
	MUST(pd_map(self->fd, &self->buf));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 1));
}

TEST_F(map, part_begins_at_its_page)
{
	const size_t page = self->env.page;
	unsigned char *part = pd_mmap(self->fd, self->buf.offset + page,
				      2 * page, RW, NULL);

	ASSERT_NE(NULL, part);
	pd_fill(self->buf.map + page, 2 * page, 1);
	EXPECT_EQ(-1, pd_wrong(part, 2 * page, 1));
	pd_fill(part, 2 * page, 2);
	EXPECT_EQ(-1, pd_wrong(self->buf.map + page, 2 * page, 2));
	EXPECT_EQ(-1, pd_nonzero(self->buf.map, page));
	EXPECT_EQ(-1, pd_nonzero(self->buf.map + 3 * page, page));
	munmap(part, 2 * page);
}

TEST_F(map, mapping_survives_free)
{
	pd_fill(self->buf.map, self->buf.len, 1);
	MUST(pd_free(self->fd, self->buf.handle));
	EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(self->buf.len, pd_grown(&self->env, PD_BYTES));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 1));
	MUST(pd_unmap(&self->buf));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BYTES));
}

TEST_F(map, mapping_survives_close)
{
	pd_fill(self->buf.map, self->buf.len, 1);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 1));
	pd_fill(self->buf.map, self->buf.len, 2);
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 2));
	MUST(pd_unmap(&self->buf));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BYTES));
}

TEST_F(map, mapping_survives_free_and_close)
{
	pd_fill(self->buf.map, self->buf.len, 1);
	MUST(pd_free(self->fd, self->buf.handle));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(self->buf.len, pd_grown(&self->env, PD_BYTES));
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, 1));
	MUST(pd_unmap(&self->buf));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
}

/* The handle keeps the memory when nothing is mapped, and FREE ends it. */
TEST_F(map, handle_holds_what_is_not_mapped)
{
	MUST(pd_unmap(&self->buf));
	EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(self->buf.len, pd_grown(&self->env, PD_BYTES));
	MUST(pd_free(self->fd, self->buf.handle));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BYTES));
}

TEST_F(map, freed_buffer_cannot_be_mapped_again)
{
	MUST(pd_free(self->fd, self->buf.handle));
	MAPS(EINVAL, self->fd, self->buf.offset, self->buf.len);
	MUST(pd_unmap(&self->buf));
	MAPS(EINVAL, self->fd, self->buf.offset, self->buf.len);
}

TEST_F(map, private_is_refused)
{
	errno = 0;
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->buf.len, RW, MAP_PRIVATE,
				   self->fd, self->buf.offset));
	EXPECT_EQ(EINVAL, errno);
	errno = 0;
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->buf.len, PROT_READ, MAP_PRIVATE,
				   self->fd, self->buf.offset));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(map, exec_is_refused)
{
	struct statvfs fs;
	int err;

	/* A mount without exec answers before the driver is asked. */
	ASSERT_EQ(0, statvfs(self->env.path, &fs));
	EXPECT_EQ(NULL, pd_mmap(self->fd, self->buf.offset, self->buf.len,
				PROT_READ | PROT_EXEC, &err));
	EXPECT_EQ(fs.f_flag & ST_NOEXEC ? -EPERM : -EACCES, err);
}

TEST_F(map, exec_later_is_refused)
{
	EXPECT_EQ(-1, mprotect(self->buf.map, self->buf.len,
			       PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(map, length_beyond_the_end_is_refused)
{
	const size_t page = self->env.page;
	struct pd_buf neighbours[8];
	size_t i;

	/* Offsets may follow one another: what is next is not the buffer. */
	for (i = 0; i < ARRAY_LEN(neighbours); i++)
		MUST(pd_alloc(self->fd, self->buf.len, variant->flags,
			      &neighbours[i]));
	for (i = 0; i < ARRAY_LEN(neighbours); i++) {
		__u64 offset = neighbours[i].offset;

		MAPS(EINVAL, self->fd, offset, (PAGES + 1) * page);
		MAPS(EINVAL, self->fd, offset, 1024 * page);
		MAPS(EINVAL, self->fd, offset + (PAGES - 1) * page, 2 * page);
	}
}

TEST_F(map, hole_is_refused)
{
	const size_t page = self->env.page;

	MAPS(EINVAL, self->fd, self->buf.offset - page, page);
	MAPS(EINVAL, self->fd, self->buf.offset - page, 2 * page);
	MAPS(EINVAL, self->fd, self->buf.offset + PAGES * page, page);
	MAPS(EINVAL, self->fd, PINDROP_WINDOW_SIZE, page);
}

TEST_F(map, absurd_offset_is_refused)
{
	const __u64 page = self->env.page, offset = self->buf.offset;
	/* Some are right in the bits that a narrow type would keep. */
	const __u64 offsets[] = {
		1ULL << 43, (1ULL << 43) + page, (1ULL << 44) - page,
		1ULL << 44, (1ULL << 63) - page, 1ULL << 63, -2 * page,
		offset + (1ULL << 32), offset + (1ULL << 43),
		offset + (1ULL << 44), offset + (1ULL << 63),
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(offsets); i++) {
		int err;

		EXPECT_EQ(NULL, pd_mmap(self->fd, offsets[i], page, RW, &err));
		EXPECT_EQ(-EINVAL, err)
			TH_LOG("offset 0x%llx", offsets[i]);
	}
}

TEST_F(map, other_context_has_its_own_buffers)
{
	int other = pd_open(&self->env);
	struct pd_buf buf;

	ASSERT_LE(0, other);
	/* Before it is bound, and after. */
	MAPS(EINVAL, other, self->buf.offset, self->buf.len);
	MUST(pd_alloc(other, self->buf.len, variant->flags, &buf));
	MAPS(EINVAL, other, self->buf.offset, self->buf.len);
	MAPS(EINVAL, self->fd, buf.offset, buf.len);
	close(other);
}

TEST_F(map, foreign_process_is_refused)
{
	pid_t pid = fork();

	if (!pid) {
		int err;

		CHILD(!pd_mmap(self->fd, self->buf.offset, self->buf.len, RW,
			       &err));
		CHILD(err == -EPERM);
		CHILD(!pd_mmap(self->fd, self->buf.offset, self->buf.len,
			       PROT_READ, &err));
		CHILD(err == -EPERM);
		_exit(0);
	}
	EXPECT_EQ(0, pd_join(pid));
}

TEST_F(map, dead_owner_is_said)
{
	struct pd_buf *buf = pd_shared_page();
	int fd = pd_open(&self->env);
	pid_t pid;

	ASSERT_NE(NULL, buf);
	ASSERT_LE(0, fd);
	pid = fork();
	if (!pid) {
		CHILD(!pd_alloc(fd, self->env.page, variant->flags, buf));
		CHILD(!pd_map(fd, buf));
		buf->map[0] = 1;
		_exit(0);
	}
	ASSERT_EQ(0, pd_join(pid));
	MAPS(EOWNERDEAD, fd, buf->offset, buf->len);
	/* Its memory went with it: it was only mapped there. */
	EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
	close(fd);
}

/* The descriptor's access mode holds for the mapping, too. */
TEST_F(map, read_only_file_is_not_written)
{
	int fd = open(self->env.path, O_RDONLY | O_CLOEXEC), err;
	struct pd_buf buf;
	void *mem;

	ASSERT_LE(0, fd);
	MUST(pd_alloc(fd, self->env.page, variant->flags, &buf));
	MAPS(EACCES, fd, buf.offset, buf.len);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, buf.len, PROT_READ, MAP_PRIVATE, fd,
				   buf.offset));
	EXPECT_EQ(EINVAL, errno);
	mem = pd_mmap(fd, buf.offset, buf.len, PROT_READ, &err);
	ASSERT_NE(NULL, mem);
	EXPECT_EQ(-1, pd_nonzero(mem, buf.len));
	EXPECT_EQ(-1, mprotect(mem, buf.len, RW));
	EXPECT_EQ(EACCES, errno);
	munmap(mem, buf.len);
	close(fd);
}

TEST_F(map, area_is_marked)
{
	const void *map = self->buf.map;
	bool coherent = variant->flags & PINDROP_ALLOC_COHERENT;

	EXPECT_EQ(1, pd_vmflags(map, "sh"));
	EXPECT_EQ(1, pd_vmflags(map, "de"));
	EXPECT_EQ(1, pd_vmflags(map, "dd"));
	EXPECT_EQ(0, pd_vmflags(map, "dc"));
	EXPECT_EQ(0, pd_vmflags(map, "me"));
	EXPECT_EQ(coherent, pd_vmflags(map, "pf"));
	EXPECT_EQ(!coherent, pd_vmflags(map, "mm"));
	if (!coherent) {
		EXPECT_EQ(0, pd_vmflags(map, "io"));
	}
}

/* What ALLOC takes, and the names it gives. */
FIXTURE(alloc)
{
	struct pd_env env;
	int fd;
	struct pd_buf buf;
};

FIXTURE_SETUP(alloc)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(alloc)
{
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

#define ALLOC(len, flags) pd_alloc(self->fd, (len), (flags), &self->buf)

TEST_F(alloc, length_is_checked)
{
	const __u64 page = self->env.page, max = self->env.info.out_max_alloc;

	FAILS(EINVAL, ALLOC(0, 0));
	FAILS(EINVAL, ALLOC(1, 0));
	FAILS(EINVAL, ALLOC(page - 1, 0));
	FAILS(EINVAL, ALLOC(page + 1, 0));
	FAILS(EINVAL, ALLOC(page / 2, 0));
	FAILS(EINVAL, ALLOC(~0ULL, 0));
	FAILS(ENOMEM, ALLOC(-page, 0));
	FAILS(ENOMEM, ALLOC(1ULL << 63, 0));
	FAILS(ENOMEM, ALLOC((1ULL << 32) + max, 0));
	FAILS(ENOMEM, ALLOC(max + page, 0));
	FAILS(ENOMEM, ALLOC(max + page, PINDROP_ALLOC_CONTIG));
	FAILS(ENOMEM, ALLOC(max + page, PINDROP_ALLOC_COHERENT));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BYTES));
}

TEST_F(alloc, what_is_too_large_is_given_back)
{
	const __u64 len = self->env.info.out_max_alloc;
	int err, n;

	/* Sooner or later it is too much, whatever the machine has. */
	for (n = 0; n < 64; n++) {
		err = ALLOC(len, PINDROP_ALLOC_COHERENT);
		if (err)
			break;
	}
	EXPECT_TRUE(err == -ENOMEM || err == -EDQUOT);
	EXPECT_EQ(n, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(n * len, pd_grown(&self->env, PD_BYTES));
}

TEST_F(alloc, flags_are_checked)
{
	const __u32 known = PINDROP_ALLOC_CONTIG | PINDROP_ALLOC_COHERENT |
			    PINDROP_ALLOC_HUGE;
	const __u32 both = PINDROP_ALLOC_COHERENT | PINDROP_ALLOC_HUGE;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		if (known & 1U << bit)
			continue;
		EXPECT_EQ(-EOPNOTSUPP, ALLOC(self->env.page, 1U << bit))
			TH_LOG("bit %d", bit);
	}
	FAILS(EOPNOTSUPP, ALLOC(self->env.page, ~0U));
	FAILS(EOPNOTSUPP, ALLOC(HUGE_SIZE, both));
	FAILS(EOPNOTSUPP, ALLOC(HUGE_SIZE, both | PINDROP_ALLOC_CONTIG));
	EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
}

TEST_F(alloc, flags_agree_with_caps)
{
	const struct {
		__u64 cap;
		__u32 flag;
		size_t len;
	} known[] = {
		{ PINDROP_CAP_ALLOC_CONTIG, PINDROP_ALLOC_CONTIG, PAGE },
		{ PINDROP_CAP_ALLOC_COHERENT, PINDROP_ALLOC_COHERENT, PAGE },
		{ PINDROP_CAP_ALLOC_HUGE, PINDROP_ALLOC_HUGE, HUGE_SIZE },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(known); i++) {
		bool cap = self->env.info.out_caps & known[i].cap;

		EXPECT_EQ(cap ? 0 : -EOPNOTSUPP,
			  ALLOC(known[i].len, known[i].flag))
			TH_LOG("flag %u", known[i].flag);
	}
}

TEST_F(alloc, handles_come_in_turn)
{
	__u32 last = 0;
	int i;

	/* What was freed is not given out at once: a stale one is noticed. */
	for (i = 0; i < 200; i++) {
		MUST(ALLOC(self->env.page, 0));
		ASSERT_LT(last, self->buf.handle);
		ASSERT_NE(PINDROP_DEVMEM, self->buf.handle);
		last = self->buf.handle;
		MUST(pd_free(self->fd, last));
		FAILS(ENOENT, pd_free(self->fd, last));
	}
}

TEST_F(alloc, handles_are_of_one_context)
{
	int other = pd_open(&self->env);

	ASSERT_LE(0, other);
	MUST(ALLOC(self->env.page, 0));
	FAILS(ENOENT, pd_free(other, self->buf.handle));
	EXPECT_EQ(0, pd_free(self->fd, self->buf.handle));
	close(other);
}

/* On the whole device, since the offset is what a removal zaps by. */
TEST_F(alloc, offsets_are_unique)
{
	int fds[4], i, j;
	struct pd_buf bufs[64];

	for (i = 0; i < (int)ARRAY_LEN(fds); i++) {
		fds[i] = pd_open(&self->env);
		ASSERT_LE(0, fds[i]);
	}
	for (i = 0; i < (int)ARRAY_LEN(bufs); i++) {
		struct pd_buf *b = &bufs[i];

		MUST(pd_alloc(fds[i % 4], (1 + i % 5) * self->env.page, 0, b));
		EXPECT_LE(PINDROP_WINDOW_SIZE, b->offset);
		EXPECT_EQ(0, b->offset % self->env.page);
		for (j = 0; j < i; j++) {
			EXPECT_TRUE(b->offset + b->len <= bufs[j].offset ||
				    bufs[j].offset + bufs[j].len <= b->offset);
		}
	}
	for (i = 0; i < (int)ARRAY_LEN(fds); i++)
		close(fds[i]);
}

TEST_F(alloc, handles_are_limited)
{
	unsigned int max = self->env.info.out_max_handles, i;

	for (i = 0; i < max; i++)
		MUST(ALLOC(self->env.page, 0));
	FAILS(EDQUOT, ALLOC(self->env.page, 0));
	FAILS(EDQUOT, ALLOC(self->env.page, 0));
	EXPECT_EQ(max, pd_grown(&self->env, PD_BUFFERS));
	EXPECT_EQ(max * self->env.page, pd_grown(&self->env, PD_BYTES));
}

/* A refusal takes nothing from the limit. */
TEST_F(alloc, freed_handle_makes_room)
{
	unsigned int max = self->env.info.out_max_handles, i;
	__u32 one;

	MUST(ALLOC(self->env.page, 0));
	one = self->buf.handle;
	for (i = 1; i < max; i++)
		MUST(ALLOC(self->env.page, 0));
	for (i = 0; i < 3; i++)
		FAILS(EDQUOT, ALLOC(self->env.page, 0));
	MUST(pd_free(self->fd, one));
	EXPECT_EQ(0, ALLOC(self->env.page, 0));
	FAILS(EDQUOT, ALLOC(self->env.page, 0));
}

struct race {
	struct pd_env *env;
	int fd;
	bool over;
};

static void *alloc_and_free(void *arg)
{
	struct race *race = arg;
	struct pd_buf buf;

	while (!__atomic_load_n(&race->over, __ATOMIC_RELAXED))
		if (pd_alloc(race->fd, race->env->page, 0, &buf) ||
		    pd_free(race->fd, buf.handle))
			return race;
	return NULL;
}

/* One looks for a buffer while others come and go beside it. */
TEST_F(alloc, free_against_mmap)
{
	struct race race = { &self->env, self->fd, false };
	__u64 begin = pd_now_ns();
	pthread_t thread[2];
	struct pd_buf buf;
	size_t i;
	void *failed;

	MUST(pd_alloc(self->fd, self->env.page, 0, &buf));
	for (i = 0; i < ARRAY_LEN(thread); i++) {
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, alloc_and_free,
					    &race));
	}
	while (pd_ms_since(begin) < 1000) {
		EXPECT_EQ(0, pd_map(self->fd, &buf));
		EXPECT_EQ(-1, pd_nonzero(buf.map, 64));
		EXPECT_EQ(0, pd_unmap(&buf));
	}
	__atomic_store_n(&race.over, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_LEN(thread); i++) {
		EXPECT_EQ(0, pthread_join(thread[i], &failed));
		EXPECT_EQ(NULL, failed);
	}
}

/* The frame behind an address, by the kernel's own account; 0: not told. */
static __u64 frame(const void *addr)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	__u64 entry = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry),
		  (unsigned long)addr / page * sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry & ((1ULL << 55) - 1);
}

/* Of any number of pages that may be bounced; without an IOMMU that is one range of memory. */
TEST_F(alloc, contig_of_any_size)
{
	static const size_t pages[] = { 1, 2, 3, 5, 7, 13, 32, 61 };
	const size_t page = self->env.page;
	__u64 first;
	size_t i, n;
	int err;

	err = ALLOC(pages[ARRAY_LEN(pages) - 1] * page, PINDROP_ALLOC_CONTIG);
	if (err == -ENOMEM)
		SKIP(return, "no range that long can be bounced");
	MUST(err);
	MUST(pd_free(self->fd, self->buf.handle));
	for (i = 0; i < ARRAY_LEN(pages); i++) {
		MUST(ALLOC(pages[i] * page, PINDROP_ALLOC_CONTIG));
		MUST(pd_map(self->fd, &self->buf));
		EXPECT_EQ(-1, pd_nonzero(self->buf.map, self->buf.len));
		first = frame(self->buf.map);
		EXPECT_NE(0, first);
		for (n = 1; n < pages[i]; n++) {
			if (self->env.info.out_iommu != PINDROP_IOMMU_NONE)
				break;
			EXPECT_EQ(first + n, frame(self->buf.map + n * page));
		}
		MUST(pd_unmap(&self->buf));
		MUST(pd_free(self->fd, self->buf.handle));
	}
	EXPECT_EQ(0, pd_grown(&self->env, PD_BYTES));
}

/* Where there are no huge entries the flag is refused: nothing to look at. */
#define HUGE_OR_REFUSED(len)                                               \
	do {                                                               \
		int huge_err = ALLOC(len, PINDROP_ALLOC_HUGE);             \
		if (!(self->env.info.out_caps & PINDROP_CAP_ALLOC_HUGE)) { \
			EXPECT_EQ(-EOPNOTSUPP, huge_err);                  \
			return;                                            \
		}                                                          \
		ASSERT_EQ(0, huge_err);                                    \
	} while (0)

TEST_F(alloc, huge_is_zeroed_and_kept)
{
	int round;

	for (round = 0; round < 3; round++) {
		HUGE_OR_REFUSED(HUGE_SIZE);
		MUST(pd_map(self->fd, &self->buf));
		EXPECT_EQ(-1, pd_nonzero(self->buf.map, self->buf.len));
		pd_fill(self->buf.map, self->buf.len, round);
		EXPECT_EQ(-1, pd_wrong(self->buf.map, self->buf.len, round));
		MUST(pd_free(self->fd, self->buf.handle));
		EXPECT_EQ(1, pd_grown(&self->env, PD_BUFFERS));
		MUST(pd_unmap(&self->buf));
		EXPECT_EQ(0, pd_grown(&self->env, PD_BUFFERS));
	}
}

TEST_F(alloc, huge_takes_whole_entries)
{
	HUGE_OR_REFUSED(HUGE_SIZE);
	FAILS(EINVAL, ALLOC(0, PINDROP_ALLOC_HUGE));
	FAILS(EINVAL, ALLOC(self->env.page, PINDROP_ALLOC_HUGE));
	FAILS(EINVAL, ALLOC(HUGE_SIZE + self->env.page, PINDROP_ALLOC_HUGE));
	FAILS(EINVAL, ALLOC(HUGE_SIZE / 2, PINDROP_ALLOC_HUGE));
}

/* One fault each; page by page it would be many. */
TEST_F(alloc, huge_is_mapped_in_entries)
{
	const size_t len = 4 * HUGE_SIZE;
	struct rusage before, after;
	size_t i;

	HUGE_OR_REFUSED(len);
	MUST(pd_map(self->fd, &self->buf));
	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < len; i += self->env.page)
		self->buf.map[i] = 1;
	getrusage(RUSAGE_SELF, &after);
	EXPECT_GE(8, after.ru_minflt - before.ru_minflt);
	EXPECT_EQ(1, pd_vmflags(self->buf.map, "pf"));
	EXPECT_EQ(1, pd_vmflags(self->buf.map, "dd"));
	MUST(pd_unmap(&self->buf));
}

TEST_F(alloc, huge_part_is_mapped_by_pages)
{
	const size_t page = self->env.page;
	unsigned char *part;

	HUGE_OR_REFUSED(2 * HUGE_SIZE);
	MUST(pd_map(self->fd, &self->buf));
	pd_fill(self->buf.map + HUGE_SIZE - page, 2 * page, 1);
	part = pd_mmap(self->fd, self->buf.offset + HUGE_SIZE - page, 2 * page,
		       RW, NULL);
	ASSERT_NE(NULL, part);
	EXPECT_EQ(-1, pd_wrong(part, 2 * page, 1));
	munmap(part, 2 * page);
	MUST(pd_unmap(&self->buf));
}

TEST_HARNESS_MAIN
