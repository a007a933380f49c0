// SPDX-License-Identifier: GPL-2.0-only
/* What there is here of pindrop's devices. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Others may take more meanwhile; that is not waited for. */
#define PATIENCE_NS 5000000000u

static long long counter_read(const struct counter *counter)
{
	char text[32];
	ssize_t n = pread(counter->fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return -1;
	text[n] = 0;
	return atoll(text);
}

static int counter_open(struct counter *counter, const char *node,
			const char *name)
{
	const char *base = strrchr(node, '/');
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/pindrop/%s/%s",
		 base ? base + 1 : node, name);
	counter->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (counter->fd < 0)
		return -errno;
	counter->others = counter_read(counter);
	return 0;
}

/* What is let go may be given back behind the program's back. */
void wait_until_ours_is_gone(const struct counter *counter)
{
	const uint64_t begin = now();

	while (counter_read(counter) > counter->others &&
	       now() - begin < PATIENCE_NS)
		sched_yield();
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	n = n < 0 ? -errno : 0;
	close(fd);
	return n;
}

static int device_find(const char *engine, struct device *device,
		       uint32_t *iommu)
{
	struct pindrop_info info = {};
	struct pindrop *dev;
	int err;

	err = pindrop_find(engine, 0, device->node, sizeof(device->node));
	if (!err)
		err = pindrop_open(device->node, &dev);
	if (err) {
		device->node[0] = 0;
		return err == -ENODEV ? 0 : err;
	}
	err = pindrop_get_info(dev, &info, sizeof(info));
	memcpy(device->name, info.out_device, sizeof(device->name));
	*iommu = info.out_iommu;
	pindrop_unref(dev);
	if (!err)
		err = counter_open(&device->bytes, device->node, "bytes");
	if (!err)
		err = counter_open(&device->pinned, device->node, "pinned");
	return err;
}

int machine_find(struct bench *b)
{
	uint32_t iommu = PINDROP_IOMMU_NONE;
	int err;

	err = device_find("sim", &b->sim, &iommu);
	/* Any other does for most of it. */
	if (!err && !b->sim.node[0])
		err = device_find(NULL, &b->sim, &iommu);
	if (!err && !b->sim.node[0])
		err = -ENODEV;
	if (err)
		return err;
	err = device_find("edu", &b->edu, &iommu);
	b->behind_iommu = iommu == PINDROP_IOMMU_STRICT;
	return err;
}

/* Zeroing takes an instruction a byte, where they are counted. */
int rounds_of(const struct bench *b, size_t bytes)
{
	return bytes >= 1024 * MIB ? 1 : b->rounds;
}
