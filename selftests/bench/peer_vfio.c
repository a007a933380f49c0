// SPDX-License-Identifier: GPL-2.0-only
/* vfio type1: memory that is pinned and mapped in an IOMMU for a program's device. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Of the first device that is vfio's. */
#define GROUPS "/sys/bus/pci/drivers/vfio-pci/*:*/iommu_group"
#define CONTAINER "/dev/vfio/vfio"
#define AT (16 * MIB)

static int group_path(char *path, size_t size)
{
	char link[128];
	glob_t found;
	ssize_t n = -1;

	if (!glob(GROUPS, 0, NULL, &found)) {
		n = readlink(found.gl_pathv[0], link, sizeof(link) - 1);
		globfree(&found);
	}
	if (n <= 0)
		return absent("vfio", "no device is vfio-pci's");
	link[n] = 0;
	snprintf(path, size, "/dev/vfio%s", strrchr(link, '/'));
	return 0;
}

static int vfio_open(const struct device *device, struct pins *pins)
{
	char path[64];
	int err;

	(void)device;
	err = group_path(path, sizeof(path));
	if (err)
		return err;
	pins->fd = open(CONTAINER, O_RDWR | O_CLOEXEC);
	if (pins->fd < 0)
		return absent("vfio", "there is no " CONTAINER);
	pins->group = open(path, O_RDWR | O_CLOEXEC);
	if (pins->group < 0 ||
	    ioctl(pins->group, VFIO_GROUP_SET_CONTAINER, &pins->fd) ||
	    ioctl(pins->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		err = -errno;
		close(pins->fd);
		close(pins->group);
	}
	return err;
}

static int vfio_pin(struct pins *pins, const struct memory *memory)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory->at,
		.iova = AT,
		.size = memory->bytes,
	};

	pins->bytes = memory->bytes;
	return ioctl(pins->fd, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

static int vfio_unpin(struct pins *pins)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = AT,
		.size = pins->bytes,
	};

	return ioctl(pins->fd, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;
}

static void vfio_close(struct pins *pins)
{
	close(pins->group);
	close(pins->fd);
}

const struct pinner pinner_vfio = {
	.peer = "vfio",
	.open = vfio_open,
	.pin = vfio_pin,
	.unpin = vfio_unpin,
	.close = vfio_close,
};
