// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
/*
 * Others pin what the driver maps: through the kernel's own test of that
 * (CONFIG_GUP_TEST). A buffer is memory, for short and for long; the window is
 * not.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

#define NODE "/sys/kernel/debug/gup_test"
#define PAGES 4
#define HUGE_SIZE (2UL << 20)

/* What the node takes; it answers with how much of @size was had. */
struct gup_range {
	__u64 out_get_us, out_put_us;
	__u64 address, size;
	__u32 pages_at_once, flags, test_flags;
	__u32 unused[8];
};

/* For long; the answer is an errno, and the pages are kept. */
struct gup_long {
	__u64 address, size;
	__u32 flags;
};

enum gup_range_call {
	GUP_GET_FAST = 1,
	GUP_PIN_FAST = 2,
	GUP_PIN_LONG = 3,
	GUP_GET = 4,
	GUP_PIN = 5,
};

#define GUP_RANGE(nr) _IOWR('g', nr, struct gup_range)
#define GUP_LONG_START _IOW('g', 7, struct gup_long)
#define GUP_LONG_STOP _IO('g', 8)
#define GUP_LONG_READ _IOW('g', 9, __u64)
/* Of the kernel's: to be written. */
#define GUP_WRITE 1
#define GUP_LONG_WRITE 1
#define GUP_LONG_FAST 2

FIXTURE(gup)
{
	struct pd_env env;
	size_t page, len;
	int fd, node;
	struct pd_buf buf;
	const volatile struct pindrop_window *window;
	unsigned char *copy;
	long long pins;
};

FIXTURE_SETUP(gup)
{
	self->node = open(NODE, O_RDWR | O_CLOEXEC);
	if (self->node < 0)
		SKIP(PD_LEAVE_SETUP, "the kernel has no " NODE);
	PD_SETUP(&self->env);
	self->pins = pd_vmstat_pins();
	self->page = self->env.page;
	self->len = PAGES * self->page;
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, self->len, &self->buf));
	pd_fill(self->buf.map, self->len, 1);
	self->window = pd_window(self->fd);
	ASSERT_NE(NULL, self->window);
	self->copy = mmap(NULL, self->len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->copy);
}

FIXTURE_TEARDOWN(gup)
{
	munmap(self->copy, self->len);
	if (self->window)
		munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	pd_unmap(&self->buf);
	close(self->fd);
	close(self->node);
	EXPECT_EQ(self->pins, pd_vmstat_pins());
	PD_TEARDOWN(&self->env);
}

static const enum gup_range_call calls[] = {
	GUP_GET_FAST, GUP_PIN_FAST, GUP_PIN_LONG, GUP_GET, GUP_PIN,
};

/* Bytes that could be had, or -errno. */
static long long range(int node, enum gup_range_call nr,
		       const volatile void *mem, size_t len, unsigned int flags)
{
	struct gup_range args = {
		.address = (unsigned long)mem,
		.size = len,
		.pages_at_once = 1,
		.flags = flags,
	};

	return ioctl(node, GUP_RANGE(nr), &args) ? -errno :
						   (long long)args.size;
}

static int pin_long(int node, const volatile void *mem, size_t len,
		    unsigned int flags)
{
	struct gup_long args = {
		.address = (unsigned long)mem,
		.size = len,
		.flags = flags,
	};

	return ioctl(node, GUP_LONG_START, &args) ? -errno : 0;
}

TEST_F(gup, has_a_buffer)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(calls); i++) {
		EXPECT_EQ(self->len, range(self->node, calls[i], self->buf.map,
					   self->len, 0))
			TH_LOG("call %d, read", calls[i]);
		EXPECT_EQ(self->len, range(self->node, calls[i], self->buf.map,
					   self->len, GUP_WRITE))
			TH_LOG("call %d, write", calls[i]);
	}
	EXPECT_EQ(-1, pd_wrong(self->buf.map, self->len, 1));
}

/* Its first faults are those of the kernel's. */
TEST_F(gup, has_a_buffer_that_was_never_touched)
{
	struct pd_buf fresh;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(calls); i++) {
		MUST(pd_create(self->fd, self->len, &fresh));
		EXPECT_EQ(self->len, range(self->node, calls[i], fresh.map,
					   self->len, GUP_WRITE))
			TH_LOG("call %d", calls[i]);
		EXPECT_EQ(-1, pd_nonzero(fresh.map, self->len));
		MUST(pd_unmap(&fresh));
	}
}

TEST_F(gup, has_not_the_window)
{
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(calls); i++) {
		EXPECT_EQ(0, range(self->node, calls[i], self->window,
				   PINDROP_WINDOW_SIZE, 0))
			TH_LOG("call %d, read", calls[i]);
		EXPECT_EQ(0, range(self->node, calls[i], self->window,
				   PINDROP_WINDOW_SIZE, GUP_WRITE))
			TH_LOG("call %d, write", calls[i]);
	}
	FAILS(EFAULT, pin_long(self->node, self->window, self->page, 0));
	FAILS(EFAULT,
	      pin_long(self->node, self->window, self->page, GUP_LONG_FAST));
	FAILS(EFAULT, pin_long(self->node, self->window, self->page,
			       GUP_LONG_WRITE | GUP_LONG_FAST));
	EXPECT_EQ(PINDROP_STATE_OPEN, self->window->state);
}

static void long_term(struct __test_metadata *_metadata,
		      FIXTURE_DATA(gup) * self, unsigned int flags)
{
	__u64 to = (unsigned long)self->copy;

	MUST(pin_long(self->node, self->buf.map, self->len, flags));
	EXPECT_EQ(self->pins + PAGES, pd_vmstat_pins());
	/* The same memory as the program's and the device's. */
	pd_fill(self->buf.map, self->len, 2);
	EXPECT_EQ(0, ioctl(self->node, GUP_LONG_READ, &to));
	EXPECT_EQ(-1, pd_wrong(self->copy, self->len, 2));
	/* Nobody has it but who pinned it; it is not given to anybody. */
	MUST(pd_free(self->fd, self->buf.handle));
	MUST(pd_unmap(&self->buf));
	MUST(pd_create(self->fd, self->len, &self->buf));
	memset(self->buf.map, 0x5c, self->len);
	EXPECT_EQ(0, ioctl(self->node, GUP_LONG_READ, &to));
	EXPECT_EQ(-1, pd_wrong(self->copy, self->len, 2));
	EXPECT_EQ(0, ioctl(self->node, GUP_LONG_STOP));
}

TEST_F(gup, keeps_a_buffer_for_long)
{
	long_term(_metadata, self, 0);
	long_term(_metadata, self, GUP_LONG_WRITE);
	long_term(_metadata, self, GUP_LONG_FAST);
	long_term(_metadata, self, GUP_LONG_WRITE | GUP_LONG_FAST);
}

TEST_F(gup, has_no_coherent_or_huge_buffer)
{
	static const __u32 flags[] = {
		PINDROP_ALLOC_COHERENT,
		PINDROP_ALLOC_HUGE,
	};
	struct pd_buf buf;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(flags); i++) {
		if (pd_alloc(self->fd, HUGE_SIZE, flags[i], &buf))
			continue;
		MUST(pd_map(self->fd, &buf));
		buf.map[0] = 1;
		EXPECT_EQ(0, range(self->node, GUP_GET_FAST, buf.map,
				   self->page, 0));
		EXPECT_EQ(0, range(self->node, GUP_PIN, buf.map, self->page,
				   GUP_WRITE));
		FAILS(EFAULT, pin_long(self->node, buf.map, self->page, 0));
		MUST(pd_unmap(&buf));
		MUST(pd_free(self->fd, buf.handle));
	}
}

TEST_HARNESS_MAIN
