// SPDX-License-Identifier: GPL-2.0-only
/* A program's own memory: pinned and let go, with and without an IOMMU. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What a card of 28 address bits can have mapped. */
#define IOMMU_BYTES (64 * MIB)
#define SET_ASIDE "/proc/sys/vm/nr_hugepages"

static int pindrop_pins_open(const struct device *device, struct pins *pins)
{
	pins->device = device;
	return pindrop_open(device->node, &pins->dev);
}

static int pindrop_pin(struct pins *pins, const struct memory *memory)
{
	return pindrop_buf_pin(pins->dev, memory->at, memory->bytes,
			       PINDROP_PIN_WRITE, &pins->buf);
}

static int pindrop_unpin(struct pins *pins)
{
	pindrop_buf_unref(pins->buf);
	wait_until_ours_is_gone(&pins->device->pinned);
	return 0;
}

static void pindrop_pins_close(struct pins *pins)
{
	pindrop_unref(pins->dev);
}

const struct pinner pinner_pindrop = {
	.open = pindrop_pins_open,
	.pin = pindrop_pin,
	.unpin = pindrop_unpin,
	.close = pindrop_pins_close,
};

static int go_rounds(const struct bench *b, const struct pinner *pinner,
		     struct pins *pins, const struct memory *memory,
		     double *pin, double *unpin)
{
	uint64_t begin, middle;
	int i, err = 0;

	/* The first is not counted. */
	for (i = 0; i <= b->rounds && !err; i++) {
		begin = now();
		err = pinner->pin(pins, memory);
		middle = now();
		if (err)
			break;
		err = pinner->unpin(pins);
		if (!i)
			continue;
		keep_best(unpin, now() - middle, memory->bytes / PAGE);
		keep_best(pin, middle - begin, memory->bytes / PAGE);
	}
	return err;
}

static int measure_pinner(const struct bench *b, const struct pinner *pinner,
			  const struct device *device,
			  const struct memory *memory,
			  const char *const names[2])
{
	double pin = 0, unpin = 0;
	struct pins pins = {};
	int err;

	err = pinner->open(device, &pins);
	if (err)
		return err;
	err = go_rounds(b, pinner, &pins, memory, &pin, &unpin);
	pinner->close(&pins);
	if (err)
		return err;
	row(b, names[0], pinner->peer, size_name(memory->bytes), pin, "page");
	row(b, names[1], pinner->peer, size_name(memory->bytes), unpin, "page");
	return 0;
}

static int measure_pages(const struct bench *b, const struct device *device,
			 const struct pinner *peer, size_t bytes,
			 enum pages pages, const char *const names[2])
{
	struct memory memory;
	int err, status;

	err = memory_get(&memory, bytes, pages);
	if (err)
		return err;
	status = measure_pinner(b, &pinner_pindrop, device, &memory, names);
	if (status >= 0) {
		err = measure_pinner(b, peer, device, &memory, names);
		status = err ? err : status;
	}
	memory_put(&memory);
	return status;
}

/* They need not be there, and are given back. */
static int set_aside(const struct bench *b, size_t bytes)
{
	static const char *const names[] = { "pin_hugetlb", "unpin_hugetlb" };
	char count[16];
	int err;

	snprintf(count, sizeof(count), "%zu", bytes / HUGE_PAGE);
	err = write_file(SET_ASIDE, count);
	if (!err)
		err = measure_pages(b, &b->sim, &pinner_uring, bytes,
				    PAGES_HUGETLB, names);
	write_file(SET_ASIDE, "0");
	if (err == -ENOMEM || err == -ENOENT || err == -EACCES)
		return absent("pin_hugetlb", strerror(-err));
	return err;
}

static const struct {
	enum pages pages;
	const char *names[2];
	bool slow;
} pinned[] = {
	{ PAGES_4K, { "pin_4k", "unpin_4k" }, false },
	{ PAGES_HUGE, { "pin_thp", "unpin_thp" }, false },
	{ PAGES_SCATTERED, { "pin_scattered", "unpin_scattered" }, true },
};

static const struct {
	enum pages pages;
	const char *names[2];
} mapped[] = {
	{ PAGES_4K, { "iommu_map_4k", "iommu_unmap_4k" } },
	{ PAGES_HUGE, { "iommu_map_thp", "iommu_unmap_thp" } },
	{ PAGES_SCATTERED, { "iommu_map_scattered", "iommu_unmap_scattered" } },
};

int measure_pin(const struct bench *b)
{
	const size_t bytes = 256 * MIB;
	int err, status = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pinned) && status >= 0; i++) {
		if (b->quick && pinned[i].slow)
			continue;
		err = measure_pages(b, &b->sim, &pinner_uring, bytes,
				    pinned[i].pages, pinned[i].names);
		status = err ? err : status;
	}
	if (status < 0 || b->quick)
		return status;
	err = set_aside(b, bytes);
	return err ? err : status;
}

/* With what it takes to pin, which vfio does, too. */
int measure_iommu(const struct bench *b)
{
	int err, status = 0;
	size_t i;

	if (!b->edu.node[0] || !b->behind_iommu)
		return absent("iommu_map",
			      "no device is behind a strict IOMMU");
	for (i = 0; i < ARRAY_SIZE(mapped) && status >= 0; i++) {
		err = measure_pages(b, &b->edu, &pinner_vfio, IOMMU_BYTES,
				    mapped[i].pages, mapped[i].names);
		status = err ? err : status;
	}
	return status;
}
