// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all verbs have in common: sizes, tails, fields that must be zero, bad
 * addresses, wrong and dead owners. Made from ioctl_table.h.
 */
#include <sys/ioctl.h>

#include "../kselftest_harness.h"
#include "abi_layout.h"
#include "ioctl_table.h"
#include "pindrop_utils.h"

FIXTURE(verb)
{
	struct pd_env env;
	int fd;
	struct pd_buf buf;
	unsigned char *area; /* two pages, and one that cannot be touched */
	union ioctl_args *args;
};

FIXTURE_VARIANT(verb)
{
	const struct ioctl_verb *verb;
};

#define V(name, NAME)                                                  \
	FIXTURE_VARIANT_ADD(verb, name)                                \
	{                                                              \
		.verb = &ioctl_verbs[PINDROP_VERB_##NAME]              \
	};
IOCTL_BUILT(V)
#undef V

FIXTURE_SETUP(verb)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_alloc(self->fd, self->env.page, 0, &self->buf));
	/* Shared with children; low, for the 32-bit system call. */
	self->area = mmap(NULL, 3 * self->env.page, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS
#ifdef MAP_32BIT
			  | MAP_32BIT
#endif
			  , -1, 0);
	ASSERT_NE(MAP_FAILED, self->area);
	ASSERT_EQ(0, mprotect(self->area + 2 * self->env.page, self->env.page,
			      PROT_NONE));
	self->args = (void *)self->area;
	if (variant->verb->dmabuf)
		MUST(pd_export(self->fd, self->buf.handle, &good_dmabuf));
	if (variant->verb->ring) {
		struct pindrop_ring_setup setup = { .size = sizeof(setup),
						    .entries = 8 };

		MUST(pd_ioctl(self->fd, PINDROP_VERB_RING_SETUP, &setup));
	}
}

FIXTURE_TEARDOWN(verb)
{
	int fd;

	munmap(self->area, 3 * self->env.page);
	if (variant->verb->dmabuf)
		close(good_dmabuf);
	/* What EXPORT gave out was opened after all else. */
	if (variant->verb->nr == PINDROP_VERB_EXPORT)
		for (fd = self->fd + 1; fd < self->fd + 64; fd++)
			close(fd);
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

/* Good arguments in @at, nothing else in its first page. */
static void *fill(const struct ioctl_verb *verb, void *at, __u32 handle)
{
	memset(at, 0, verb->size);
	*(__u32 *)at = verb->size;
	verb->good(at, handle);
	return at;
}

#define FILL() fill(variant->verb, self->args, self->buf.handle)
#define CALL(args) pd_ioctl(self->fd, variant->verb->nr, (args))

TEST_F(verb, good_arguments)
{
	EXPECT_EQ(0, CALL(FILL()));
	EXPECT_EQ(variant->verb->size, self->args->size);
}

TEST_F(verb, size_zero)
{
	FILL();
	self->args->size = 0;
	FAILS(EINVAL, CALL(self->args));
}

TEST_F(verb, size_alone)
{
	FILL();
	self->args->size = 4;
	FAILS(EINVAL, CALL(self->args));
}

TEST_F(verb, size_below_minimum)
{
	FILL();
	self->args->size = variant->verb->min - 1;
	FAILS(EINVAL, CALL(self->args));
}

/* What was not given counts as zero, and is not written. */
TEST_F(verb, size_minimum)
{
	const struct ioctl_verb *verb = variant->verb;
	unsigned char *tail = self->area + verb->min;

	FILL();
	self->args->size = verb->min;
	pd_fill(tail, 64, 1);
	EXPECT_EQ(0, CALL(self->args));
	EXPECT_EQ(-1, pd_wrong(tail, 64, 1));
}

TEST_F(verb, long_with_zero_tail)
{
	const struct ioctl_verb *verb = variant->verb;
	unsigned char *tail = self->area + verb->size;

	FILL();
	self->args->size = verb->size + 64;
	memset(tail, 0, 64);
	pd_fill(tail + 64, 64, 1);
	EXPECT_EQ(0, CALL(self->args));
	EXPECT_EQ(-1, pd_nonzero(tail, 64));
	EXPECT_EQ(-1, pd_wrong(tail + 64, 64, 1));
}

TEST_F(verb, long_with_nonzero_tail)
{
	const struct ioctl_verb *verb = variant->verb;
	static const unsigned int at[] = { 0, 1, 7, 63 };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(at); i++) {
		FILL();
		self->args->size = verb->size + 64;
		memset(self->area + verb->size, 0, 64);
		self->area[verb->size + at[i]] = 1;
		FAILS(E2BIG, CALL(self->args));
	}
}

/* The tail is read up to the first thing that is wrong with it. */
TEST_F(verb, size_largest)
{
	const struct ioctl_verb *verb = variant->verb;
	unsigned char *end = self->area + 2 * self->env.page;
	__u32 *at = (void *)(end - verb->size);

	fill(verb, at, self->buf.handle);
	*at = self->env.page;
	FAILS(EFAULT, CALL(at));

	FILL();
	self->args->size = self->env.page;
	self->area[self->env.page - 1] = 1;
	FAILS(E2BIG, CALL(self->args));
	/* More than a page is not even looked at. */
	*at = self->env.page + 1;
	FAILS(E2BIG, CALL(at));
	*at = 0xffffffff;
	FAILS(E2BIG, CALL(at));
}

TEST_F(verb, reserved_and_out_fields_are_zero)
{
	const struct ioctl_field *field = variant->verb->zero;
	long long buffers = pd_count(&self->env, PD_BUFFERS);

	for (; field->size; field++) {
		FILL();
		self->area[field->offset] = 1;
		FAILS(EINVAL, CALL(self->args))
			TH_LOG("offset %u", field->offset);
		FILL();
		self->area[field->offset + field->size - 1] = 0x80;
		FAILS(EINVAL, CALL(self->args))
			TH_LOG("end of offset %u", field->offset);
	}
	EXPECT_EQ(buffers, pd_count(&self->env, PD_BUFFERS));
	EXPECT_EQ(0, pd_grown(&self->env, PD_PINNED));
}

TEST_F(verb, unknown_flags)
{
	if (!variant->verb->flags)
		return; /* it has none */
	FILL();
	*(__u32 *)(self->area + variant->verb->flags) |= 1U << 30;
	FAILS(EOPNOTSUPP, CALL(self->args));
	FILL();
	*(__u32 *)(self->area + variant->verb->flags) |= 1U << 31;
	FAILS(EOPNOTSUPP, CALL(self->args));
}

TEST_F(verb, bad_pointers)
{
	unsigned char *guard = self->area + 2 * self->env.page;

	FAILS(EFAULT, CALL(NULL));
	FAILS(EFAULT, CALL((void *)8));
	FAILS(EFAULT, CALL(guard));
	FAILS(EFAULT, CALL((void *)~0UL));
	FAILS(EFAULT, CALL((void *)-4096L));
	FAILS(EFAULT, CALL((void *)(~0UL << (sizeof(long) * 8 - 1))));
}

/* A structure that ends where memory ends is good, one byte on is not. */
TEST_F(verb, structure_over_the_end)
{
	const struct ioctl_verb *verb = variant->verb;
	unsigned char *end = self->area + 2 * self->env.page;
	unsigned char *at = end - verb->size;

	fill(verb, at, self->buf.handle);
	EXPECT_EQ(0, CALL(at));
	FILL();
	memmove(at + 4, self->area, verb->size - 4);
	FAILS(EFAULT, CALL(at + 4));
}

TEST_F(verb, structure_over_two_pages)
{
	const struct ioctl_verb *verb = variant->verb;

	EXPECT_EQ(0, CALL(fill(verb, self->area + self->env.page - 4,
			       self->buf.handle)));
}

/*
 * Nothing can be written back. Verbs that have something to write fail, and
 * have given nothing out; the others do not mind.
 */
TEST_F(verb, structure_is_read_only)
{
	const struct ioctl_verb *verb = variant->verb;
	long long buffers = pd_count(&self->env, PD_BUFFERS);
	bool writes = verb->nr != PINDROP_VERB_FREE &&
		      verb->nr != PINDROP_VERB_SYNC &&
		      verb->nr != PINDROP_VERB_RING_ENTER;
	bool frees = verb->nr == PINDROP_VERB_FREE;

	FILL();
	ASSERT_EQ(0, mprotect(self->area, self->env.page, PROT_READ));
	EXPECT_EQ(writes ? -EFAULT : 0, CALL(self->args));
	EXPECT_EQ(buffers - frees, pd_count(&self->env, PD_BUFFERS));
	EXPECT_EQ(0, pd_grown(&self->env, PD_PINNED));
}

TEST_F(verb, number_with_direction_or_size)
{
	unsigned int nr = variant->verb->nr;

	FILL();
	EXPECT_NE(0, ioctl(self->fd, _IOC(_IOC_READ, PINDROP_IOC_TYPE, nr, 0),
			   self->args));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_NE(0, ioctl(self->fd, _IOC(_IOC_NONE, PINDROP_IOC_TYPE, nr,
					  variant->verb->size), self->args));
	EXPECT_EQ(ENOTTY, errno);
}

/* A child has the file, but is another address space. */
TEST_F(verb, wrong_owner)
{
	pid_t pid;

	FILL();
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-CALL(self->args));
	EXPECT_EQ(variant->verb->owner ? EPERM : 0, pd_join(pid));
}

TEST_F(verb, dead_owner)
{
	const struct ioctl_verb *verb = variant->verb;
	int fd = pd_open(&self->env);
	struct pd_buf buf;
	pid_t pid;

	ASSERT_LE(0, fd);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(!pd_alloc(fd, self->env.page, 0, &buf));
		fill(verb, self->args, buf.handle);
		_exit(0);
	}
	ASSERT_EQ(0, pd_join(pid));
	EXPECT_EQ(verb->owner ? -EOWNERDEAD : 0,
		  pd_ioctl(fd, verb->nr, self->args));
	close(fd);
}

/* Whoever calls a verb that binds keeps all others out. */
TEST_F(verb, binds_or_not)
{
	const struct ioctl_verb *verb = variant->verb;
	int fd = pd_open(&self->env);
	struct pd_buf buf;
	pid_t pid;
	int err;

	ASSERT_LE(0, fd);
	err = pd_ioctl(fd, verb->nr, FILL());
	/* What needs a handle finds none yet. */
	EXPECT_EQ(verb->owner && !verb->binds ? -ENOENT : 0, err);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-pd_alloc(fd, self->env.page, 0, &buf));
	EXPECT_EQ(verb->binds ? EPERM : 0, pd_join(pid));
	close(fd);
}

#ifdef __x86_64__
/* The entry for 32-bit programs, which 64-bit ones can use as well. */
static int call32(unsigned int nr, unsigned long a, unsigned long b, void *c)
{
	int ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

#define NR32_GETPID 20
#define NR32_IOCTL 54

TEST_F(verb, from_32_bits)
{
	const struct ioctl_verb *verb = variant->verb;
	union ioctl_args native = {};
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(call32(NR32_GETPID, 0, 0, NULL) != getpid());
	if (pd_join(pid))
		SKIP(return, "the kernel has no 32-bit system calls");

	EXPECT_EQ(0, call32(NR32_IOCTL, self->fd,
			    _IO(PINDROP_IOC_TYPE, verb->nr), FILL()));
	if (verb->nr != PINDROP_VERB_INFO)
		return;
	fill(verb, &native, 0);
	MUST(CALL(&native));
	EXPECT_EQ(0, memcmp(&native, self->args, verb->size));
}
#endif

FIXTURE(numbers)
{
	struct pd_env env;
	int fd;
};

FIXTURE_SETUP(numbers)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(numbers)
{
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

TEST_F(numbers, beyond_the_last_verb)
{
	union ioctl_args args = { .size = sizeof(args) };
	unsigned int nr;

	for (nr = PINDROP_VERB_NR; nr < 256; nr++) {
		FAILS(ENOTTY, pd_ioctl(self->fd, nr, &args))
			TH_LOG("verb %u", nr);
	}
}

TEST_F(numbers, of_another_type)
{
	struct pindrop_info info = { .size = sizeof(info) };
	unsigned int type;

	for (type = 0; type < 256; type++) {
		/* 'f' and 'T' hold a few that the kernel knows for any file. */
		if (type == PINDROP_IOC_TYPE || type == 'f' || type == 'T' ||
		    type == 'X' || type == 0 || type == 0x15)
			continue;
		EXPECT_NE(0, ioctl(self->fd, _IO(type, 0), &info))
			TH_LOG("type %#x", type);
		EXPECT_EQ(ENOTTY, errno);
	}
}

TEST(structures_have_no_padding)
{
	static const struct {
		const char *name;
		size_t size, offset, end;
	} list[] = {
#define S(type, size) { #type, size, 0, 0 },
#define F(type, field, offset, len) \
	{ #field, 0, offsetof(struct type, field), (offset) + (len) },
		ABI_LAYOUT(S, F)
#undef F
#undef S
	};
	size_t i, size = 0, end = 0;

	for (i = 0; i < ARRAY_LEN(list); i++) {
		if (list[i].size) {
			EXPECT_EQ(size, end);
			EXPECT_EQ(0, list[i].size % 8);
			size = list[i].size;
			end = 0;
			continue;
		}
		EXPECT_EQ(end, list[i].offset)
			TH_LOG("before %s", list[i].name);
		end = list[i].end;
	}
	EXPECT_EQ(size, end);
}

TEST_HARNESS_MAIN
