// SPDX-License-Identifier: GPL-2.0-only
/* INFO, the node and its counters. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

FIXTURE(info)
{
	struct pd_env env;
	int fd;
};

FIXTURE_SETUP(info)
{
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(info)
{
	close(self->fd);
	PD_TEARDOWN(&self->env);
}

TEST_F(info, has_the_first_verbs)
{
	const __u64 first = 1 << PINDROP_VERB_INFO | 1 << PINDROP_VERB_ALLOC |
			    1 << PINDROP_VERB_PIN | 1 << PINDROP_VERB_FREE |
			    1 << PINDROP_VERB_SYNC | 1 << PINDROP_VERB_SUBMIT |
			    1 << PINDROP_VERB_WAIT |
			    1 << PINDROP_VERB_RING_SETUP |
			    1 << PINDROP_VERB_RING_ENTER;
	__u64 verbs = self->env.info.out_verbs;

	EXPECT_EQ(first, verbs & first);
	EXPECT_EQ(0, verbs >> PINDROP_VERB_NR);
}

TEST_F(info, verbs_agree_with_enotty)
{
	unsigned int nr;

	for (nr = 0; nr < PINDROP_VERB_NR; nr++) {
		int err = pd_ioctl(self->fd, nr, NULL);

		if (err != -ENOTTY) {
			EXPECT_EQ(-EFAULT, err);
		}
		EXPECT_EQ(self->env.info.out_verbs >> nr & 1, err != -ENOTTY)
			TH_LOG("verb %u", nr);
	}
}

TEST_F(info, limits_are_usable)
{
	const struct pindrop_info *i = &self->env.info;

	EXPECT_LT(0, i->out_channels);
	EXPECT_LT(0, i->out_depth);
	EXPECT_LT(0, i->out_align);
	EXPECT_EQ(0, i->out_align & (i->out_align - 1));
	EXPECT_LE(i->out_align, i->out_max_piece);
	EXPECT_LT(0, i->out_piece_ms);
	EXPECT_LE(24, i->out_dma_bits);
	EXPECT_GE(64, i->out_dma_bits);
	EXPECT_LE(self->env.page, i->out_max_alloc);
	EXPECT_LT(0, i->out_max_jobs);
	EXPECT_LE(i->out_max_jobs, i->out_max_queued);
	EXPECT_LT(0, i->out_max_handles);
	EXPECT_LT(0, i->out_pin_align);
	EXPECT_EQ(0, i->out_pin_align & (i->out_pin_align - 1));
	EXPECT_GE(self->env.page, i->out_pin_align);
	EXPECT_LE(i->out_max_queued, i->out_max_ring);
	EXPECT_LE(i->out_max_ring, i->out_max_cq);
}

TEST_F(info, caps_and_iommu_are_known)
{
	const struct pindrop_info *i = &self->env.info;
	const __u64 copies = PINDROP_CAP_MEM_TO_MEM | PINDROP_CAP_MEM_TO_DEV |
			     PINDROP_CAP_DEV_TO_MEM;
	const __u64 known = copies | PINDROP_CAP_CACHE_COHERENT |
			    PINDROP_CAP_ALLOC_CONTIG |
			    PINDROP_CAP_ALLOC_COHERENT |
			    PINDROP_CAP_ALLOC_HUGE | PINDROP_CAP_SUBMIT_FENCE;

	EXPECT_NE(0, i->out_caps & copies);
	EXPECT_EQ(0, i->out_caps & ~known);
	EXPECT_GE((__u32)PINDROP_IOMMU_IDENTITY, i->out_iommu);
	EXPECT_EQ(!!(i->out_caps &
		     (PINDROP_CAP_MEM_TO_DEV | PINDROP_CAP_DEV_TO_MEM)),
		  i->out_devmem > 0);
}

/* The kernel's own symbol tells; its address may be hidden, its name is not. */
TEST_F(info, fences_are_there_if_the_kernel_has_sync_files)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	bool there = false, any = false;
	char line[256], name[128];

	if (!f)
		SKIP(return, "the kernel does not name its functions");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*c %127s", name) != 1)
			continue;
		any = true;
		there |= !strcmp(name, "sync_file_create");
	}
	fclose(f);
	EXPECT_TRUE(any);
	EXPECT_EQ(there, pd_has_fences(&self->env));
}

TEST_F(info, names_end)
{
	const struct pindrop_info *i = &self->env.info;
	size_t len = strnlen(i->out_engine, sizeof(i->out_engine));

	ASSERT_LT(len, sizeof(i->out_engine));
	EXPECT_LT(0, len);
	EXPECT_EQ(-1, pd_nonzero(i->out_engine + len,
				 sizeof(i->out_engine) - len));
	len = strnlen(i->out_device, sizeof(i->out_device));
	ASSERT_LT(len, sizeof(i->out_device));
	EXPECT_LT(0, len);
	EXPECT_EQ(-1, pd_nonzero(i->out_device + len,
				 sizeof(i->out_device) - len));
}

TEST_F(info, engine_is_the_one_asked_for)
{
	const char *engine = getenv("PINDROP_ENGINE");

	if (engine && *engine) {
		EXPECT_STREQ(engine, self->env.info.out_engine);
	}
}

TEST_F(info, device_is_the_parent_in_sysfs)
{
	char path[PATH_MAX], target[PATH_MAX];

	snprintf(path, sizeof(path), "%s/device", self->env.sysfs);
	ASSERT_NE(NULL, realpath(path, target));
	EXPECT_STREQ(self->env.info.out_device, strrchr(target, '/') + 1);
}

TEST_F(info, engine_is_in_sysfs)
{
	char path[128], line[32] = "", want[32];
	FILE *f;

	snprintf(path, sizeof(path), "%s/engine", self->env.sysfs);
	snprintf(want, sizeof(want), "%s\n", self->env.info.out_engine);
	f = fopen(path, "re");
	ASSERT_NE(NULL, f);
	EXPECT_NE(NULL, fgets(line, sizeof(line), f));
	EXPECT_STREQ(want, line);
	fclose(f);
}

TEST_F(info, is_the_same_twice)
{
	struct pindrop_info again;

	MUST(pd_info(self->fd, &again));
	EXPECT_EQ(0, memcmp(&again, &self->env.info, sizeof(again)));
}

TEST_F(info, counters_are_one_decimal_each)
{
	int i;

	for (i = 0; i < PD_NR_COUNTERS; i++) {
		EXPECT_LE(0, pd_count(&self->env, i))
			TH_LOG("counter %d", i);
	}
}

TEST_F(info, contexts_counts_open_files)
{
	long long one = pd_count(&self->env, PD_CONTEXTS);
	int fd = pd_open(&self->env);

	ASSERT_LE(0, fd);
	EXPECT_EQ(one + 1, pd_count(&self->env, PD_CONTEXTS));
	close(fd);
}

TEST_F(info, dup_is_the_same_context)
{
	long long one = pd_count(&self->env, PD_CONTEXTS);
	struct pd_buf buf;
	int fd = dup(self->fd);

	ASSERT_LE(0, fd);
	EXPECT_EQ(one, pd_count(&self->env, PD_CONTEXTS));
	MUST(pd_alloc(fd, self->env.page, 0, &buf));
	close(fd);
	/* One descriptor less is not the end of the file. */
	EXPECT_EQ(0, pd_free(self->fd, buf.handle));
}

TEST_F(info, file_has_no_read_write_or_seek)
{
	char byte = 0;

	EXPECT_EQ(-1, read(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(self->fd, 1, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
}

TEST_F(info, new_file_has_no_events)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN | POLLPRI };

	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(0, p.revents);
}

TEST_HARNESS_MAIN
