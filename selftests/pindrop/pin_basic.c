// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * PIN: what it refuses and that nothing is left of that, memory of every kind
 * in both directions, who counts it, and what is dirty of it in the end.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "pin_utils.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define RW (PROT_READ | PROT_WRITE)
#define WRITE PINDROP_PIN_WRITE
#define NOBODY 65534
#define KPF_DIRTY 4
#define CANARY_BYTES (8UL << 20)
#define STORM_ROUNDS 300
#define SCATTERED 1100
#define LINE 128 /* no cache has longer ones */

FIXTURE(pin)
{
	struct pin_watch w;
	size_t page;
	struct pin_mem m; /* eight small pages */
};

FIXTURE_SETUP(pin)
{
	self->m = PIN_NO_MEM;
	PIN_SETUP(&self->w);
	self->page = self->w.env.page;
	MUST(pin_anon(&self->m, 8 * self->page));
}

FIXTURE_TEARDOWN(pin)
{
	pin_drop(&self->m);
	PIN_TEARDOWN(&self->w);
}

#define PIN(mem, len, flags, p) pd_pin(self->w.fd, mem, len, flags, p)

/* Also what no pointer and no length of this program can be. */
static int pin_at(int fd, __u64 address, __u64 len, __u32 flags)
{
	struct pindrop_pin args = {
		.size = sizeof(args),
		.flags = flags,
		.address = address,
		.length = len,
	};

	return pd_ioctl(fd, PINDROP_VERB_PIN, &args);
}

#define PIN_AT(address, len, flags) pin_at(self->w.fd, address, len, flags)

/* Neither for reading nor for writing, and nothing is left of it. */
#define REFUSED_AT(error, address, len)                    \
	do {                                               \
		FAILS(error, PIN_AT(address, len, 0));     \
		FAILS(error, PIN_AT(address, len, WRITE)); \
		EXPECT_PINNED(&self->w, 0);                \
	} while (0)
#define REFUSED(error, mem, len) REFUSED_AT(error, (uintptr_t)(mem), len)

TEST_F(pin, length_zero)
{
	REFUSED(EINVAL, self->m.mem, 0);
	REFUSED(EINVAL, NULL, 0);
}

TEST_F(pin, misaligned)
{
	const size_t align = self->w.env.info.out_pin_align;
	struct pd_buf p;

	if (align > 1) {
		REFUSED(EINVAL, self->m.mem + align / 2, align);
		REFUSED(EINVAL, self->m.mem + 1, align);
		REFUSED(EINVAL, self->m.mem, align + 1);
	}
	MUST(PIN(self->m.mem + align, 3 * align, WRITE, &p));
	EXPECT_PINNED(&self->w, 1);
	MUST(pd_free(self->w.fd, p.handle));
}

TEST_F(pin, over_the_end_of_addresses)
{
	const __u64 page = self->page;

	REFUSED_AT(EINVAL, -page, 2 * page);
	REFUSED_AT(EINVAL, 2 * page, -page);
	REFUSED(EINVAL, self->m.mem, -page);
	/* What ends exactly there is out of reach, whatever it is called. */
	EXPECT_GT(0, PIN_AT(-page, page, 0));
	EXPECT_GT(0, PIN_AT((uintptr_t)-page, page, 0));
	EXPECT_PINNED(&self->w, 0);
}

/* Too much for any table: it is not tried, or fails half way. */
TEST_F(pin, of_more_than_there_can_be)
{
	static const int bits[] = { 31, 32, 36, 43, 44, 46, 52, 62 };
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_LEN(bits); i++) {
		err = PIN_AT((uintptr_t)self->m.mem, 1ULL << bits[i], WRITE);
		EXPECT_TRUE(err == -EFAULT || err == -ENOMEM)
			TH_LOG("2^%d bytes: %d", bits[i], err);
	}
	EXPECT_PINNED(&self->w, 0);
}

TEST_F(pin, of_the_kernels_memory)
{
	const __u64 page = self->page;

	REFUSED_AT(EFAULT, 0xffff888000000000ULL, page);
	REFUSED_AT(EFAULT, 0xffffffff81000000ULL, page);
	REFUSED_AT(EFAULT, 1ULL << 63, page);
	/* What begins in the program's part, and does not end there. */
	REFUSED_AT(EFAULT, (1ULL << 47) - 2 * page, 4 * page);
	REFUSED_AT(EFAULT, (1ULL << 32) - 2 * page, 4 * page);
}

/* Nor is there anything that a narrow type would take for memory. */
TEST_F(pin, of_an_address_too_wide)
{
	unsigned int n = 0;
	__u64 address;

	while ((address = pd_wide(self->m.mem, n++)))
		REFUSED_AT(EFAULT, address, self->page);
	EXPECT_LT(1, n);
}

TEST_F(pin, with_an_unknown_flag)
{
	struct pd_buf p;
	int bit;

	for (bit = 1; bit < 32; bit++) {
		FAILS(EOPNOTSUPP, PIN(self->m.mem, self->page, 1U << bit, &p));
		FAILS(EOPNOTSUPP,
		      PIN(self->m.mem, self->page, 1U << bit | WRITE, &p));
	}
	EXPECT_PINNED(&self->w, 0);
}

TEST_F(pin, of_nothing)
{
	REFUSED(EFAULT, NULL, self->page);
	munmap(self->m.mem, self->m.len);
	REFUSED(EFAULT, self->m.mem, self->page);
	REFUSED(EFAULT, self->m.mem, self->m.len);
	self->m.mem = NULL;
}

/* What came before the hole, or lies behind it, is let go again. */
TEST_F(pin, with_a_hole)
{
	const size_t align = self->w.env.info.out_pin_align;
	unsigned char *mem = self->m.mem;

	memset(mem, 1, self->m.len);
	munmap(mem + 4 * self->page, self->page);
	REFUSED(EFAULT, mem, 8 * self->page);
	REFUSED(EFAULT, mem, 4 * self->page + align);
	REFUSED(EFAULT, mem + 4 * self->page, self->page);
	REFUSED(EFAULT, mem + 5 * self->page - align, self->page);
	/* Nothing is charged for what failed: mmap() fills it, and it works. */
	ASSERT_EQ(mem + 4 * self->page,
		  mmap(mem + 4 * self->page, self->page, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	{
		struct pd_buf p;

		MUST(PIN(mem, 8 * self->page, WRITE, &p));
		EXPECT_PINNED(&self->w, 8);
	}
}

/* In the middle of it, behind a huge page: much is pinned by then. */
TEST_F(pin, with_a_hole_behind_huge_pages)
{
	struct pin_mem huge = PIN_NO_MEM;
	int err = pin_thp(&huge, 2 * PIN_HUGE);

	if (err)
		SKIP(return, "no huge pages");
	munmap(huge.mem + 2 * PIN_HUGE - self->page, self->page);
	REFUSED(EFAULT, huge.mem, 2 * PIN_HUGE);
	pin_drop(&huge);
	EXPECT_PINNED(&self->w, 0);
}

TEST_F(pin, of_what_may_not_be_written)
{
	struct pd_buf p;

	memset(self->m.mem, 1, self->m.len);
	ASSERT_EQ(0, mprotect(self->m.mem, self->page, PROT_READ));
	FAILS(EFAULT, PIN(self->m.mem, self->page, WRITE, &p));
	FAILS(EFAULT, PIN(self->m.mem, 2 * self->page, WRITE, &p));
	EXPECT_PINNED(&self->w, 0);
	MUST(PIN(self->m.mem, 2 * self->page, 0, &p));
	EXPECT_PINNED(&self->w, 2);
	EXPECT_EQ(0, pin_out(&self->w, &p, 7 * self->w.env.info.out_align,
			     PIN_COPY));
}

TEST_F(pin, of_what_may_not_be_touched)
{
	memset(self->m.mem, 1, self->m.len);
	ASSERT_EQ(0, mprotect(self->m.mem + self->page, self->page, PROT_NONE));
	REFUSED(EFAULT, self->m.mem + self->page, self->page);
	REFUSED(EFAULT, self->m.mem, 3 * self->page);
}

/* A driver's own pages, which have no count of who uses them. */
TEST_F(pin, of_the_window)
{
	const void *window = (const void *)pd_window(self->w.fd);

	ASSERT_NE(NULL, window);
	REFUSED(EFAULT, window, self->page);
	REFUSED(EFAULT, window, PINDROP_WINDOW_SIZE);
	EXPECT_EQ(PINDROP_STATE_OPEN,
		  ((const volatile struct pindrop_window *)window)->state);
	munmap((void *)window, PINDROP_WINDOW_SIZE);
}

TEST_F(pin, of_coherent_and_huge_buffers)
{
	const __u64 caps = self->w.env.info.out_caps;
	struct pd_buf buf;

	if (caps & PINDROP_CAP_ALLOC_COHERENT) {
		MUST(pd_alloc(self->w.fd, self->page, PINDROP_ALLOC_COHERENT,
			      &buf));
		MUST(pd_map(self->w.fd, &buf));
		REFUSED(EFAULT, buf.map, self->page);
		MUST(pd_unmap(&buf));
	}
	if (caps & PINDROP_CAP_ALLOC_HUGE) {
		MUST(pd_alloc(self->w.fd, PIN_HUGE, PINDROP_ALLOC_HUGE, &buf));
		MUST(pd_map(self->w.fd, &buf));
		REFUSED(EFAULT, buf.map, self->page);
		REFUSED(EFAULT, buf.map, PIN_HUGE);
		MUST(pd_unmap(&buf));
	}
}

/* Memory that even the kernel does not see. */
TEST_F(pin, of_secret_memory)
{
	int file = syscall(SYS_memfd_secret, O_CLOEXEC);
	unsigned char *mem;

	if (file < 0)
		SKIP(return, "the kernel has no secret memory");
	ASSERT_EQ(0, ftruncate(file, 2 * self->page));
	mem = mmap(NULL, 2 * self->page, RW, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, mem);
	memset(mem, 1, self->page);
	REFUSED(EFAULT, mem, self->page);
	REFUSED(EFAULT, mem, 2 * self->page);
	munmap(mem, 2 * self->page);
	close(file);
}

/* Memory of one kind, and the device on it. */
FIXTURE(kind)
{
	struct pin_watch w;
	size_t page;
	struct pin_mem m;
	unsigned char *want;
};

FIXTURE_VARIANT(kind)
{
	int (*make)(struct pin_mem *m, size_t len);
	size_t len; /* 0: four pages */
};

#define KIND(name, ...)                 \
	FIXTURE_VARIANT_ADD(kind, name) \
	{                               \
		__VA_ARGS__             \
	}

KIND(anonymous, .make = pin_anon);
KIND(thp, .make = pin_thp, .len = 2 * PIN_HUGE);
KIND(hugetlb, .make = pin_hugetlb, .len = 2 * PIN_HUGE);
KIND(memfd, .make = pin_memfd);
KIND(shmem, .make = pin_shmem);
KIND(private_file, .make = pin_file);

FIXTURE_SETUP(kind)
{
	int err;

	self->m = PIN_NO_MEM;
	PIN_SETUP(&self->w);
	self->page = self->w.env.page;
	err = variant->make(&self->m, variant->len ?: 4 * self->page);
	if (err == -ENODATA) {
		pin_drop(&self->m);
		pin_unwatch(&self->w);
		SKIP(PD_LEAVE_SETUP, "the kernel has no such memory");
	}
	MUST(err);
	self->want = malloc(self->m.len);
	ASSERT_NE(NULL, self->want);
}

FIXTURE_TEARDOWN(kind)
{
	free(self->want);
	pin_drop(&self->m);
	PIN_TEARDOWN(&self->w);
}

/* Where one small page, or one huge page, follows the other. */
#define EDGE (self->m.len / 2 - PIN_COPY / 2)
#define LAST (self->m.len - PIN_COPY)

TEST_F(kind, is_read)
{
	const long long pages = self->m.len / self->page;
	struct pd_buf p;

	pd_fill(self->m.mem, self->m.len, 1);
	MUST(PIN(self->m.mem, self->m.len, 0, &p));
	EXPECT_PINNED(&self->w, pages);
	EXPECT_EQ(0, pin_out(&self->w, &p, 0, PIN_COPY));
	EXPECT_EQ(0, pin_out(&self->w, &p, EDGE, PIN_COPY));
	EXPECT_EQ(0, pin_out(&self->w, &p, LAST, PIN_COPY));
	EXPECT_EQ(-1, pd_wrong(self->m.mem, self->m.len, 1));
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_PINNED(&self->w, 0);
}

/* There, and nowhere else. */
TEST_F(kind, is_written)
{
	const long long pages = self->m.len / self->page;
	struct pd_buf p;

	memset(self->m.mem, 0x77, self->m.len);
	MUST(PIN(self->m.mem, self->m.len, WRITE, &p));
	EXPECT_PINNED(&self->w, pages);
	EXPECT_EQ(0, pin_in(&self->w, &p, EDGE, PIN_COPY, 2));
	EXPECT_EQ(0, pin_in(&self->w, &p, LAST, PIN_COPY, 3));
	memset(self->want, 0x77, self->m.len);
	pd_fill(self->want + EDGE, PIN_COPY, 2);
	pd_fill(self->want + LAST, PIN_COPY, 3);
	EXPECT_EQ(0, memcmp(self->want, self->m.mem, self->m.len));
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_PINNED(&self->w, 0);
	EXPECT_EQ(0, memcmp(self->want, self->m.mem, self->m.len));
}

/* The first to touch it is the kernel: read as zero, and written. */
TEST_F(kind, was_never_touched)
{
	struct pin_mem m = PIN_NO_MEM;
	struct pd_buf p, q;
	bool zero;

	MUST(variant->make(&m, self->m.len));
	/* What the file has in it, and THP was touched to be one. */
	zero = variant->make != pin_file && variant->make != pin_thp;
	MUST(PIN(m.mem, m.len, 0, &p));
	EXPECT_EQ(0, pin_out(&self->w, &p, EDGE, PIN_COPY));
	if (zero) {
		EXPECT_EQ(-1, pd_nonzero(self->w.buf.map, PIN_COPY));
	}
	MUST(PIN(m.mem, m.len, WRITE, &q));
	EXPECT_EQ(0, pin_in(&self->w, &q, EDGE, PIN_COPY, 4));
	pin_drop(&m);
}

/* The program goes on with it, and the device sees what it does. */
TEST_F(kind, is_written_by_the_program_later)
{
	struct pd_buf p;

	memset(self->m.mem, 1, self->m.len);
	MUST(PIN(self->m.mem, self->m.len, 0, &p));
	EXPECT_EQ(0, pin_out(&self->w, &p, EDGE, PIN_COPY));
	pd_fill(self->m.mem, self->m.len, 5);
	EXPECT_EQ(0, pin_out(&self->w, &p, EDGE, PIN_COPY));
	EXPECT_EQ(-1, pd_wrong(self->m.mem, self->m.len, 5));
}

/* From the middle of one page to the middle of another. */
TEST_F(kind, is_pinned_in_part)
{
	const size_t align = self->w.env.info.out_pin_align;
	const size_t step = self->w.env.info.out_align;
	const size_t odd = align == 1 ? 17 : align;
	const size_t len = self->m.len / 2;
	const long long first = (EDGE + odd) / self->page;
	struct pin_mem *m = &self->m;
	struct pd_buf p, tail;

	memset(m->mem, 0x77, m->len);
	MUST(PIN(m->mem + EDGE + odd, len, WRITE, &p));
	EXPECT_PINNED(&self->w,
		      (long long)((EDGE + odd + len - 1) / self->page) - first +
			      1);
	EXPECT_EQ(0, pin_in(&self->w, &p, 0, PIN_COPY, 6));
	EXPECT_EQ(0, pin_in(&self->w, &p, len - PIN_COPY, PIN_COPY, 7));
	memset(self->want, 0x77, m->len);
	pd_fill(self->want + EDGE + odd, PIN_COPY, 6);
	pd_fill(self->want + EDGE + odd + len - PIN_COPY, PIN_COPY, 7);
	EXPECT_EQ(0, memcmp(self->want, m->mem, m->len));
	/* Its end is its own, not that of its last page. */
	FAILS(ERANGE, pin_out(&self->w, &p, len - PIN_COPY + step, PIN_COPY));
	FAILS(ERANGE, pin_out(&self->w, &p, len, step));
	MUST(PIN(m->mem + m->len - align, align, WRITE, &tail));
	EXPECT_EQ(0, pin_in(&self->w, &tail, 0, align, 8));
	FAILS(ERANGE, pin_in(&self->w, &tail, 0, align + step, 8));
}

/* Who may only read it may have it read, as the kernel calls it. */
TEST_F(kind, is_read_only)
{
	struct pd_buf p;

	pd_fill(self->m.mem, self->m.len, 9);
	ASSERT_EQ(0, mprotect(self->m.mem, self->m.len, PROT_READ));
	FAILS(EFAULT, PIN(self->m.mem, self->m.len, WRITE, &p));
	EXPECT_PINNED(&self->w, 0);
	MUST(PIN(self->m.mem, self->m.len, 0, &p));
	EXPECT_EQ(0, pin_out(&self->w, &p, EDGE, PIN_COPY));
	EXPECT_EQ(-1, pd_wrong(self->m.mem, self->m.len, 9));
}

/* It goes from under the device, which is not told, and does not mind. */
TEST_F(kind, is_unmapped_under_a_job)
{
	const long long pages = self->m.len / self->page;
	struct pindrop_job_desc job;
	struct pindrop_submit sub;
	unsigned char *canary;
	struct pd_buf p;

	memset(self->m.mem, 0x77, self->m.len);
	pd_fill(self->w.buf.map, self->w.buf.len, 1);
	MUST(PIN(self->m.mem, self->m.len, WRITE, &p));
	job = pd_copy(&self->w.buf, 0, &p, self->m.len / 2 - self->page,
		      2 * self->page);
	MUST(pd_submit(self->w.fd, &job, 1, &sub));
	munmap(self->m.mem, self->m.len);
	self->m.mem = NULL;
	EXPECT_PINNED(&self->w, pages);
	canary = mmap(NULL, CANARY_BYTES, RW,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, canary);
	memset(canary, 0x5c, CANARY_BYTES);
	EXPECT_EQ(0, pd_result(self->w.fd, sub.out_last));
	EXPECT_EQ(0x5c, canary[0]);
	EXPECT_EQ(0, memcmp(canary, canary + 1, CANARY_BYTES - 1));
	munmap(canary, CANARY_BYTES);
	EXPECT_PINNED(&self->w, pages);
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_PINNED(&self->w, 0);
}

/*
 * Pages that lie anywhere, which nobody can merge, as many as fit in a page of
 * whatever lists them, and some more or less. Touched from the last one on:
 * then they do not follow each other in memory.
 */
TEST_F(pin, of_scattered_pages)
{
	static const size_t counts[] = { 1,   2,   127, 128, 129, 254, 255,
					 256, 257, 511, 512, 513, SCATTERED };
	const size_t align = self->w.env.info.out_pin_align;
	const size_t step = self->w.env.info.out_align;
	const size_t page = self->page;
	struct pin_mem m = PIN_NO_MEM;
	struct pd_buf p;
	unsigned int i;
	size_t at, n;

	MUST(pin_anon(&m, SCATTERED * page));
	for (at = SCATTERED; at--;)
		m.mem[at * page] = 1;
	pd_fill(m.mem, m.len, 1);
	for (i = 0; i < ARRAY_LEN(counts); i++) {
		n = counts[i];
		MUST(PIN(m.mem + align, n * page - align, WRITE, &p));
		EXPECT_PINNED(&self->w, n);
		/* Over the beginning of the last page; of one, its end. */
		at = n > 2 ? (n - 1) * page - align - PIN_COPY / 2 :
			     p.len - PIN_COPY;
		EXPECT_EQ(0, pin_out(&self->w, &p, at, PIN_COPY))
			TH_LOG("%zu pages", n);
		FAILS(ERANGE, pin_out(&self->w, &p, p.len - step, 2 * step));
		MUST(pd_free(self->w.fd, p.handle));
		EXPECT_PINNED(&self->w, 0);
	}
	/* Where in the largest one list follows the other. */
	MUST(PIN(m.mem, m.len, WRITE, &p));
	for (at = 127; at <= 513; at += at % 128 == 1 ? 126 : 1)
		EXPECT_EQ(0, pin_in(&self->w, &p, at * page, 64, at))
			TH_LOG("page %zu", at);
	for (at = 127; at <= 513; at += at % 128 == 1 ? 126 : 1)
		EXPECT_EQ(-1, pd_wrong(m.mem + at * page, 64, at));
	pin_drop(&m);
}

/* Two that follow each other in memory say nothing of those behind them. */
TEST_F(pin, of_pairs_of_pages)
{
	const size_t count = 64, page = self->page;
	struct pin_mem m = PIN_NO_MEM;
	size_t at, first;
	struct pd_buf p;

	MUST(pin_anon(&m, count * page));
	/* As they are touched, so they are taken. */
	for (first = 0; first < 4; first += 2) {
		for (at = first; at < count; at += 4) {
			m.mem[at * page] = 1;
			m.mem[(at + 1) * page] = 1;
		}
	}
	pd_fill(m.mem, m.len, 1);
	MUST(PIN(m.mem, m.len, WRITE, &p));
	for (at = 1; at < 16; at += 2)
		EXPECT_EQ(0, pin_out(&self->w, &p, at * page - PIN_COPY / 2,
				     PIN_COPY))
	TH_LOG("page %zu", at);
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_PINNED(&self->w, 0);
	pin_drop(&m);
}

/* A mapping of the driver's own memory is memory like any other. */
TEST_F(pin, of_a_buffer)
{
	struct pd_buf mine, p;

	MUST(pd_create(self->w.fd, 4 * self->page, &mine));
	memset(mine.map, 0x77, mine.len);
	MUST(PIN(mine.map + self->page, 2 * self->page, WRITE, &p));
	EXPECT_PINNED(&self->w, 2);
	EXPECT_EQ(0, pin_in(&self->w, &p, self->page - 128, PIN_COPY, 1));
	EXPECT_EQ(0, pin_out(&self->w, &p, self->page - 128, PIN_COPY));
	EXPECT_EQ(0x77, mine.map[2 * self->page - 129]);
	EXPECT_EQ(0x77, mine.map[2 * self->page + 128]);
	/* Its handle and its mapping go, the pages are held by the pin. */
	MUST(pd_free(self->w.fd, mine.handle));
	EXPECT_EQ(0, pin_out(&self->w, &p, 0, PIN_COPY));
	MUST(pd_unmap(&mine));
	EXPECT_PINNED(&self->w, 2);
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_PINNED(&self->w, 0);
}

/* From one pin to another, and within one. */
TEST_F(pin, to_pin)
{
	struct pindrop_job_desc job;
	struct pd_buf a, b;

	pd_fill(self->m.mem, 2 * self->page, 1);
	MUST(PIN(self->m.mem, 2 * self->page, 0, &a));
	MUST(PIN(self->m.mem + 4 * self->page, 4 * self->page, WRITE, &b));
	job = pd_copy(&a, self->page - 128, &b, self->page - 64, PIN_COPY);
	EXPECT_EQ(0, pd_run(self->w.fd, &job, 1));
	EXPECT_EQ(0, memcmp(a.map + self->page - 128, b.map + self->page - 64,
			    PIN_COPY));
	job = pd_copy(&b, self->page - 64, &b, 3 * self->page - 64, PIN_COPY);
	EXPECT_EQ(0, pd_run(self->w.fd, &job, 1));
	EXPECT_EQ(0, memcmp(a.map + self->page - 128,
			    b.map + 3 * self->page - 64, PIN_COPY));
	job = pd_copy(&b, 0, &b, PIN_COPY - self->w.env.info.out_align,
		      PIN_COPY);
	FAILS(EINVAL, pd_submit(self->w.fd, &job, 1, NULL));
}

TEST_F(pin, to_the_devices_memory_and_back)
{
	const struct pindrop_info *i = &self->w.env.info;
	struct pindrop_job_desc jobs[2];
	struct pd_buf from, to;

	if (i->out_devmem < PIN_COPY)
		SKIP(return, "the device has no memory");
	pd_fill(self->m.mem, 2 * self->page, 1);
	MUST(PIN(self->m.mem, 2 * self->page, 0, &from));
	MUST(PIN(self->m.mem + 2 * self->page, 2 * self->page, WRITE, &to));
	jobs[0] = pd_copy(&from, self->page - 9, NULL, 0, PIN_COPY);
	jobs[1] = pd_copy(NULL, 0, &to, self->page - 5, PIN_COPY);
	EXPECT_EQ(0, pd_run(self->w.fd, jobs, 2));
	EXPECT_EQ(0, memcmp(from.map + self->page - 9, to.map + self->page - 5,
			    PIN_COPY));
}

/* The second job is refused, and with it the first. */
TEST_F(pin, for_reading_is_not_written)
{
	const long long done = pd_count(&self->w.env, PD_JOBS_DONE);
	struct pindrop_job_desc jobs[2];
	struct pindrop_submit sub;
	struct pd_buf p;

	memset(self->m.mem, 0x77, self->m.len);
	MUST(PIN(self->m.mem, self->m.len, 0, &p));
	jobs[0] = pd_copy(&p, 0, &self->w.buf, 0, PIN_COPY);
	jobs[1] = pd_copy(&self->w.buf, 0, &p, 0, PIN_COPY);
	FAILS(EACCES, pd_submit(self->w.fd, jobs, 2, &sub));
	EXPECT_EQ(1, sub.out_error_index);
	jobs[1] = pd_copy(&p, 0, &p, self->page, PIN_COPY);
	FAILS(EACCES, pd_submit(self->w.fd, jobs, 2, &sub));
	EXPECT_EQ(1, sub.out_error_index);
	if (self->w.env.info.out_devmem) {
		jobs[0] = pd_copy(NULL, 0, &p, 0, PIN_COPY);
		FAILS(EACCES, pd_submit(self->w.fd, jobs, 1, &sub));
		EXPECT_EQ(0, sub.out_error_index);
	}
	EXPECT_EQ(done, pd_count(&self->w.env, PD_JOBS_DONE));
	EXPECT_EQ(0, pd_count(&self->w.env, PD_INFLIGHT));
	EXPECT_EQ(0x77, self->m.mem[0]);
	EXPECT_EQ(0, memcmp(self->m.mem, self->m.mem + 1, self->m.len - 1));
}

TEST_F(pin, is_a_handle_like_others)
{
	const __u32 begin = PINDROP_SYNC_BEGIN, end = PINDROP_SYNC_END;
	const __u32 both = PINDROP_SYNC_READ | PINDROP_SYNC_WRITE;
	struct pd_buf p;
	int fd = self->w.fd;

	memset(self->m.mem, 1, self->m.len);
	MUST(PIN(self->m.mem, 2 * self->page, WRITE, &p));
	EXPECT_NE(0, p.handle);
	EXPECT_NE(self->w.buf.handle, p.handle);
	EXPECT_EQ(0, pd_sync(fd, p.handle, begin | both, 0, 2 * self->page));
	EXPECT_EQ(0, pd_sync(fd, p.handle, end | both, 1, self->page));
	FAILS(ERANGE, pd_sync(fd, p.handle, begin | both, 1, 2 * self->page));
	/* It has nothing to be mapped. */
	MUST(pd_free(fd, p.handle));
	FAILS(ENOENT, pd_free(fd, p.handle));
	FAILS(ENOENT, pd_sync(fd, p.handle, begin | both, 0, self->page));
	FAILS(ENOENT, pin_out(&self->w, &p, 0, PIN_COPY));
	EXPECT_PINNED(&self->w, 0);
	EXPECT_EQ(1, pd_grown(&self->w.env, PD_BUFFERS));
}

/* Each is counted, and goes by itself. */
TEST_F(pin, over_pin)
{
	unsigned char *mem = self->m.mem;
	struct pd_buf a, b, c, d;

	pd_fill(mem, self->m.len, 1);
	MUST(PIN(mem, 4 * self->page, WRITE, &a));
	MUST(PIN(mem + 2 * self->page, 4 * self->page, WRITE, &b));
	MUST(PIN(mem, 4 * self->page, WRITE, &c));
	MUST(PIN(mem, 8 * self->page, 0, &d));
	EXPECT_PINNED(&self->w, 4 + 4 + 4 + 8);
	EXPECT_EQ(0, pin_in(&self->w, &a, 2 * self->page, PIN_COPY, 2));
	EXPECT_EQ(0, pin_out(&self->w, &b, 0, PIN_COPY));
	EXPECT_EQ(-1, pd_wrong(self->w.buf.map, PIN_COPY, 2));
	MUST(pd_free(self->w.fd, a.handle));
	EXPECT_PINNED(&self->w, 16);
	EXPECT_EQ(0, pin_in(&self->w, &c, 2 * self->page, PIN_COPY, 3));
	MUST(pd_free(self->w.fd, c.handle));
	EXPECT_PINNED(&self->w, 12);
	EXPECT_EQ(0, pin_out(&self->w, &d, 2 * self->page, PIN_COPY));
	EXPECT_EQ(-1, pd_wrong(self->w.buf.map, PIN_COPY, 3));
	MUST(pd_free(self->w.fd, d.handle));
	EXPECT_EQ(0, pin_out(&self->w, &b, 0, PIN_COPY));
	MUST(pd_free(self->w.fd, b.handle));
	EXPECT_PINNED(&self->w, 0);
}

/* One mapping beside the other, and beside memory of another kind. */
TEST_F(pin, over_several_mappings)
{
	unsigned char *mem = self->m.mem;
	int file = memfd_create("pd_memfd", MFD_CLOEXEC);
	struct pd_buf p;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, 2 * self->page));
	ASSERT_EQ(mem + 2 * self->page,
		  mmap(mem + 2 * self->page, 2 * self->page, RW,
		       MAP_SHARED | MAP_FIXED, file, 0));
	pd_fill(mem, self->m.len, 1);
	ASSERT_EQ(0, mprotect(mem + 6 * self->page, self->page, PROT_READ));
	MUST(PIN(mem, 8 * self->page, 0, &p));
	EXPECT_PINNED(&self->w, 8);
	EXPECT_EQ(0, pin_out(&self->w, &p, 2 * self->page - 100, PIN_COPY));
	EXPECT_EQ(0, pin_out(&self->w, &p, 4 * self->page - 100, PIN_COPY));
	EXPECT_EQ(0, pin_out(&self->w, &p, 6 * self->page - 100, PIN_COPY));
	MUST(pd_free(self->w.fd, p.handle));
	MUST(PIN(mem + self->page, 4 * self->page, WRITE, &p));
	EXPECT_EQ(0, pin_in(&self->w, &p, self->page - 100, PIN_COPY, 2));
	close(file);
}

/* I1: it is the job's as well, until that is over. */
TEST_F(pin, is_freed_under_its_job)
{
	struct pindrop_job_desc job;
	struct pindrop_submit sub;
	struct pd_buf p;

	pd_fill(self->w.buf.map, self->w.buf.len, 1);
	MUST(PIN(self->m.mem, 4 * self->page, WRITE, &p));
	job = pd_copy(&self->w.buf, 0, &p, 0, 2 * self->page);
	MUST(pd_submit(self->w.fd, &job, 1, &sub));
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_EQ(1, pd_count(&self->w.env, PD_INFLIGHT));
	EXPECT_EQ(4, pd_grown(&self->w.env, PD_PINNED));
	EXPECT_EQ(4, pd_vmstat_pins() - self->w.in_system);
	EXPECT_EQ(0, pd_result(self->w.fd, sub.out_last));
	EXPECT_EQ(-1, pd_wrong(self->m.mem, 2 * self->page, 1));
	EXPECT_PINNED(&self->w, 0);
	FAILS(ENOENT, pin_out(&self->w, &p, 0, PIN_COPY));
}

/* In KiB, of what its handles name. */
TEST_F(pin, is_told_by_its_file)
{
	struct pd_buf p, q;

	EXPECT_EQ(0, pin_told_kib(&self->w));
	MUST(PIN(self->m.mem, 4 * self->page, WRITE, &p));
	MUST(PIN(self->m.mem + self->page, 7 * self->page, 0, &q));
	EXPECT_EQ(11 * self->page / 1024, pin_told_kib(&self->w));
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_EQ(7 * self->page / 1024, pin_told_kib(&self->w));
	MUST(pd_free(self->w.fd, q.handle));
	EXPECT_EQ(0, pin_told_kib(&self->w));
}

/* Somebody's last descriptor, with pins and a job. */
TEST_F(pin, ends_with_its_file)
{
	struct pindrop_job_desc job;
	struct pd_buf p, buf;
	int fd = pd_open(&self->w.env);

	ASSERT_LE(0, fd);
	memset(self->m.mem, 0x77, self->m.len);
	MUST(pd_alloc(fd, 2 * self->page, 0, &buf));
	MUST(pd_pin(fd, self->m.mem, 4 * self->page, WRITE, &p));
	MUST(pd_pin(fd, self->m.mem, 2 * self->page, 0, &p));
	MUST(pd_pin(fd, self->m.mem, 4 * self->page, WRITE, &p));
	job = pd_copy(&buf, 0, &p, 0, 2 * self->page);
	MUST(pd_submit(fd, &job, 1, NULL));
	EXPECT_EQ(10, pd_grown(&self->w.env, PD_PINNED));
	close(fd);
	/* At once, and for everybody who counts. */
	EXPECT_EQ(0, pd_grown(&self->w.env, PD_PINNED));
	EXPECT_EQ(0, pd_vmstat_pins() - self->w.in_system);
	EXPECT_PINNED(&self->w, 0);
}

TEST_F(pin, of_another_context_is_no_handle)
{
	int fd = pd_open(&self->w.env);
	struct pindrop_job_desc job;
	struct pd_buf p;

	ASSERT_LE(0, fd);
	MUST(pd_pin(fd, self->m.mem, self->page, WRITE, &p));
	p.handle += 1000;
	job = pd_copy(&p, 0, &self->w.buf, 0, PIN_COPY);
	FAILS(ENOENT, pd_submit(self->w.fd, &job, 1, NULL));
	close(fd);
}

/* As many as a context may have, and not one more. */
TEST_F(pin, limit_of_handles)
{
	const unsigned int most = self->w.env.info.out_max_handles;
	struct pd_buf p;
	unsigned int n;
	int err = 0;

	/* The watch has one. */
	for (n = 1; !err && n < most; n++)
		err = PIN(self->m.mem, self->w.env.info.out_pin_align, 0, &p);
	EXPECT_EQ(0, err);
	FAILS(EDQUOT, PIN(self->m.mem, self->page, 0, &p));
	EXPECT_PINNED(&self->w, most - 1);
}

static void ignore(int sig)
{
	(void)sig;
}

/* Nobody but its death may keep a program from pinning, once it has begun. */
TEST_F(pin, in_a_storm_of_signals)
{
	const struct sigaction sa = { .sa_handler = ignore };
	const struct itimerval often = { { 0, 300 }, { 0, 300 } };
	const struct itimerval never = {};
	struct pin_mem m = PIN_NO_MEM;
	int i, err = 0;
	struct pd_buf p;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
	for (i = 0; !err && i < STORM_ROUNDS; i++) {
		do
			err = pin_anon(&m, 64 * self->page);
		while (err == -EINTR);
		/* The first of them may be told to come again. */
		while (!err) {
			err = PIN(m.mem, m.len, i % 2 ? WRITE : 0, &p);
			if (err != -EINTR)
				break;
			err = 0;
		}
		err = err ?: pd_free(self->w.fd, p.handle);
		pin_drop(&m);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_EQ(0, err);
	EXPECT_PINNED(&self->w, 0);
}

/* A page of a file that has to be written back. Newer kernels refuse it. */
TEST_F(pin, of_a_file_that_is_written_back)
{
	struct pin_mem m = PIN_NO_MEM;
	struct pd_buf p, q;
	int err;

	err = pin_device(&m, 4 * self->page);
	if (err == -ENODATA)
		SKIP(return, "there is no block device");
	MUST(err);
	memset(m.mem, 0x77, m.len);
	MUST(PIN(m.mem, m.len, 0, &p));
	EXPECT_EQ(0, pin_out(&self->w, &p, self->page - 100, PIN_COPY));
	EXPECT_PINNED(&self->w, 4);
	err = PIN(m.mem, m.len, WRITE, &q);
	if (err) {
		EXPECT_EQ(-EFAULT, err);
		EXPECT_PINNED(&self->w, 4);
	} else {
		EXPECT_EQ(0, pin_in(&self->w, &q, self->page - 9, PIN_COPY, 1));
		EXPECT_PINNED(&self->w, 8);
		MUST(pd_free(self->w.fd, q.handle));
	}
	fprintf(stderr, "# a file's pages, for writing: %d\n", err);
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_PINNED(&self->w, 0);
	pin_drop(&m);
}

static bool dirty(const void *mem)
{
	return pin_kpageflags(mem) >> KPF_DIRTY & 1;
}

/*
 * What the program calls worthless is clean, and the kernel may drop it: but
 * not what the device has written since. So there it can be seen who is told
 * to be dirty when a pin goes.
 */
TEST_F(pin, leaves_dirty_what_the_device_wrote)
{
	unsigned char *mem = self->m.mem;
	int i, clean = 0;
	struct pd_buf p;

	memset(mem, 0x77, self->m.len);
	MUST(PIN(mem, self->m.len, WRITE, &p));
	if (madvise(mem, self->m.len, MADV_FREE))
		SKIP(return, "the kernel keeps what is worthless");
	if (pin_kpageflags(mem) < 0)
		SKIP(return, "the kernel does not tell what is dirty");
	for (i = 0; i < 8; i++)
		clean += !dirty(mem + i * self->page);
	ASSERT_EQ(8, clean);
	EXPECT_EQ(0, pin_in(&self->w, &p, 2 * self->page, 64, 1));
	EXPECT_EQ(0, pin_in(&self->w, &p, 5 * self->page - 32, 64, 2));
	EXPECT_EQ(0, pin_out(&self->w, &p, 7 * self->page, 64));
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_PINNED(&self->w, 0);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(i == 2 || i == 4 || i == 5,
			  dirty(mem + i * self->page))
			TH_LOG("page %d", i);
	}
}

/* What may only be read cannot have become dirty. */
TEST_F(pin, for_reading_leaves_nothing_dirty)
{
	unsigned char *mem = self->m.mem;
	struct pd_buf p;
	int i;

	memset(mem, 0x77, self->m.len);
	MUST(PIN(mem, self->m.len, 0, &p));
	if (madvise(mem, self->m.len, MADV_FREE) || pin_kpageflags(mem) < 0)
		SKIP(return, "the kernel does not tell what is dirty");
	EXPECT_EQ(0, pin_out(&self->w, &p, 0, PIN_COPY));
	MUST(pd_free(self->w.fd, p.handle));
	EXPECT_PINNED(&self->w, 0);
	for (i = 0; i < 8; i++) {
		EXPECT_FALSE(dirty(mem + i * self->page))
			TH_LOG("page %d", i);
	}
}

/* An ordinary user's process, with so many pages to lock. */
FIXTURE(limit)
{
	struct pin_watch w;
	size_t page;
};

FIXTURE_SETUP(limit)
{
	PIN_SETUP(&self->w);
	self->page = self->w.env.page;
}

FIXTURE_TEARDOWN(limit)
{
	PIN_TEARDOWN(&self->w);
}

static void become_nobody(rlim_t bytes)
{
	const struct rlimit limit = { bytes, bytes };

	CHILD(!setrlimit(RLIMIT_MEMLOCK, &limit));
	CHILD(!setresgid(NOBODY, NOBODY, NOBODY));
	CHILD(!setresuid(NOBODY, NOBODY, NOBODY));
}

/* In a child: as nobody's, who has another file. */
static int as_nobody(const struct pin_watch *w, rlim_t bytes,
		     void (*live)(int fd, unsigned char *mem, size_t page))
{
	const int fd = pd_open(&w->env);
	struct pin_mem m;
	pid_t pid;

	pid = fork();
	if (!pid) {
		CHILD(fd >= 0);
		CHILD(!pin_anon(&m, 64 * w->env.page));
		become_nobody(bytes);
		live(fd, m.mem, w->env.page);
		_exit(0);
	}
	close(fd);
	return pd_join(pid);
}

static void pin_eight(int fd, unsigned char *mem, size_t page)
{
	struct pd_buf a, b, c;

	CHILD(pd_pin(fd, mem, 9 * page, WRITE, &a) == -ENOMEM);
	CHILD(pd_pin(fd, mem, 64 * page, 0, &a) == -ENOMEM);
	CHILD(!pd_pin(fd, mem, 5 * page, WRITE, &a));
	CHILD(pd_pin(fd, mem, 4 * page, WRITE, &b) == -ENOMEM);
	/* The same memory again is more. */
	CHILD(pd_pin(fd, mem, 5 * page, 0, &b) == -ENOMEM);
	CHILD(!pd_pin(fd, mem, 2 * page, 0, &b));
	/* One byte in each of two pages is two. */
	CHILD(pd_pin(fd, mem + page - LINE, 2 * LINE, 0, &c) == -ENOMEM);
	CHILD(!pd_pin(fd, mem + page - LINE, LINE, 0, &c));
	CHILD(pd_pin(fd, mem, LINE, 0, &c) == -ENOMEM);
	/* What failed has not cost anything; what is freed is there again. */
	CHILD(!pd_free(fd, a.handle));
	CHILD(pd_pin(fd, mem, 6 * page, WRITE, &a) == -ENOMEM);
	CHILD(!pd_pin(fd, mem, 5 * page, WRITE, &a));
}

TEST_F(limit, of_an_ordinary_user)
{
	EXPECT_EQ(0, as_nobody(&self->w, 8 * self->page, pin_eight));
	EXPECT_PINNED(&self->w, 0);
	EXPECT_EQ(0, as_nobody(&self->w, 9 * self->page - 1, pin_eight));
	EXPECT_PINNED(&self->w, 0);
}

static void pin_nothing(int fd, unsigned char *mem, size_t page)
{
	struct pd_buf p;

	CHILD(pd_pin(fd, mem, page, 0, &p) == -ENOMEM);
	CHILD(pd_pin(fd, mem, page / 8, 0, &p) == -ENOMEM);
	/* It is who they are, and not too little that they ask for. */
	CHILD(!pd_alloc(fd, page, 0, &p));
}

TEST_F(limit, of_nothing)
{
	EXPECT_EQ(0, as_nobody(&self->w, 0, pin_nothing));
	EXPECT_EQ(0, as_nobody(&self->w, self->page - 1, pin_nothing));
	EXPECT_PINNED(&self->w, 0);
}

static void pin_all(int fd, unsigned char *mem, size_t page)
{
	struct pd_buf p;

	CHILD(!pd_pin(fd, mem, 64 * page, WRITE, &p));
	CHILD(!pd_pin(fd, mem, 64 * page, 0, &p));
}

TEST_F(limit, of_none)
{
	EXPECT_EQ(0, as_nobody(&self->w, RLIM_INFINITY, pin_all));
	EXPECT_EQ(0, as_nobody(&self->w, 128 * self->page, pin_all));
	EXPECT_PINNED(&self->w, 0);
}

static int other;

/* Two files of one process are one account. */
static void pin_in_two(int fd, unsigned char *mem, size_t page)
{
	struct pd_buf p;

	CHILD(!pd_pin(fd, mem, 4 * page, WRITE, &p));
	CHILD(!pd_pin(other, mem, 4 * page, WRITE, &p));
	CHILD(pd_pin(other, mem, page, WRITE, &p) == -ENOMEM);
	CHILD(pd_pin(fd, mem, page, WRITE, &p) == -ENOMEM);
}

TEST_F(limit, is_that_of_an_address_space)
{
	other = pd_open(&self->w.env);
	ASSERT_LE(0, other);
	EXPECT_EQ(0, as_nobody(&self->w, 8 * self->page, pin_in_two));
	close(other);
	EXPECT_PINNED(&self->w, 0);
}

/* Who may lock all of memory may pin it. */
TEST_F(limit, is_not_for_the_privileged)
{
	const struct rlimit none = {};
	struct pin_mem m = PIN_NO_MEM;
	struct pd_buf p;

	MUST(pin_anon(&m, 64 * self->page));
	ASSERT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &none));
	EXPECT_EQ(0, PIN(m.mem, m.len, WRITE, &p));
	EXPECT_PINNED(&self->w, 64);
	EXPECT_EQ(0, pin_in(&self->w, &p, 0, PIN_COPY, 1));
	pin_drop(&m);
}

TEST_HARNESS_MAIN
