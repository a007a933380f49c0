// SPDX-License-Identifier: MIT
/*
 * Memory shared with a graphics card, both ways. "import": the card's buffer is
 * written by the device, and read as the card's. "export": a buffer of the
 * device is given to the card, which still has it when we have left. "fence":
 * what the device has still to do is waited for as what a card does: by a
 * syncobj, which then hands it on to the device again.
 *
 *	cc share.c $(pkg-config --cflags --libs libpindrop libdrm)
 *
 * DRIVER is what the kernel calls the card's: vgem is one without a card. Exits
 * with 4 where there is none, or where it gives, or takes, no memory, or has no
 * syncobjs.
 */
#include <errno.h>
#include <fcntl.h>
#include <libpindrop.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#define SECOND UINT64_C(1000000000)
#define CANNOT 4
#define MAX_CARDS 16
/* Pixels of four bytes: four pages. */
#define WIDTH 64
#define HEIGHT 64
#define LENGTH (WIDTH * HEIGHT * 4)
/* Jobs that one fence is for. */
#define PARTS 8
#define PART (LENGTH / PARTS)
#define ALIGNED __attribute__((aligned(65536))) /* a page of any machine */

/* What "fence" hands on. */
static unsigned char start[LENGTH] ALIGNED;
static unsigned char between[LENGTH] ALIGNED;
static unsigned char end[LENGTH] ALIGNED;

static int say(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, pindrop_strerror(err));
	return 1;
}

/* What DRM says of a card that shares nothing, in this direction. */
static int cannot(int err)
{
	return err == ENOSYS || err == EOPNOTSUPP || err == EINVAL ||
			       err == ENODEV ?
		       CANNOT :
		       -err;
}

/* The driver's first card, or -1. */
static int open_card(const char *driver)
{
	char path[32];
	drmVersionPtr version;
	bool is_it;
	int i, fd;

	for (i = 0; i < MAX_CARDS; i++) {
		snprintf(path, sizeof(path), DRM_DEV_NAME, DRM_DIR_NAME, i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		version = drmGetVersion(fd);
		is_it = version && !strcmp(version->name, driver);
		drmFreeVersion(version);
		if (is_it)
			return fd;
		close(fd);
	}
	return -1;
}

/* Bytes that nobody else has, or whether they are that. */
static unsigned char byte_at(size_t i)
{
	return (i * 2654435761u >> 13) | 1;
}

static bool is_written(const unsigned char *data)
{
	size_t i;

	for (i = 0; i < LENGTH; i++)
		if (data[i] != byte_at(i))
			return false;
	return true;
}

/* The device writes those bytes into @dst. */
static int write_by_device(struct pindrop *dev, struct pindrop_buf *dst)
{
	struct pindrop_job_desc job;
	struct pindrop_buf *src;
	unsigned char *from;
	void *data;
	size_t i;
	int fence, err;

	err = pindrop_buf_alloc(dev, LENGTH, 0, &src);
	if (err)
		return err;
	err = pindrop_buf_map(src, &data);
	if (err)
		goto out;
	from = data;
	for (i = 0; i < LENGTH; i++)
		from[i] = byte_at(i);
	err = pindrop_buf_sync(src, PINDROP_SYNC_END | PINDROP_SYNC_WRITE, 0,
			       LENGTH);
	if (err)
		goto out;
	pindrop_job_copy(&job, dst, 0, src, 0, LENGTH);
	err = pindrop_submit_fenced(dev, 0, &job, 1, -1, &fence, NULL, NULL,
				    NULL);
	if (err)
		goto out;
	err = pindrop_fence_wait(fence, pindrop_deadline(60 * SECOND));
	close(fence);
out:
	pindrop_buf_unref(src);
	return err;
}

/* What the card has at @offset, or what a dma-buf has, to be read. */
static int look(int fd, uint64_t offset, bool *same)
{
	void *data = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, fd, offset);

	if (data == MAP_FAILED)
		return -errno;
	*same = is_written(data);
	munmap(data, LENGTH);
	return 0;
}

static int import(int card, struct pindrop *dev, bool *same)
{
	struct pindrop_buf *buf = NULL;
	uint64_t size, offset;
	uint32_t handle, pitch;
	int fd, err;

	err = drmModeCreateDumbBuffer(card, WIDTH, HEIGHT, 32, 0, &handle,
				      &pitch, &size);
	if (err)
		return err;
	if (drmPrimeHandleToFD(card, handle, DRM_CLOEXEC | DRM_RDWR, &fd))
		return cannot(errno);
	err = pindrop_buf_import(dev, fd, &buf);
	/* The import holds the memory itself. */
	close(fd);
	/* Some give a dma-buf away that they then map for nobody. */
	if (err == -EOPNOTSUPP)
		err = CANNOT;
	if (!err)
		err = write_by_device(dev, buf);
	if (!err)
		err = drmModeMapDumbBuffer(card, handle, &offset);
	/* Of an import it is the exporter who does what has to be done. */
	if (!err)
		err = pindrop_buf_sync(buf,
				       PINDROP_SYNC_BEGIN | PINDROP_SYNC_READ,
				       0, LENGTH);
	if (!err)
		err = look(card, offset, same);
	if (!err)
		err = pindrop_buf_sync(buf,
				       PINDROP_SYNC_END | PINDROP_SYNC_READ, 0,
				       LENGTH);
	pindrop_buf_unref(buf);
	pindrop_unref(dev);
	drmModeDestroyDumbBuffer(card, handle);
	return err;
}

/* Takes the device, and leaves nothing open but the card's handle. */
static int give(int card, struct pindrop *dev, uint32_t *handle)
{
	struct pindrop_buf *buf = NULL;
	int fd, err;

	err = pindrop_buf_alloc(dev, LENGTH, 0, &buf);
	if (!err)
		err = pindrop_buf_export(buf, &fd);
	if (!err) {
		err = drmPrimeFDToHandle(card, fd, handle) ? cannot(errno) : 0;
		close(fd);
	}
	if (!err)
		err = write_by_device(dev, buf);
	pindrop_buf_unref(buf);
	pindrop_unref(dev);
	return err;
}

static int export(int card, struct pindrop *dev, bool *same)
{
	uint32_t handle;
	int fd, err;

	err = give(card, dev, &handle);
	if (err)
		return err;
	/* Our context is gone, and the memory is as it was. */
	if (drmPrimeHandleToFD(card, handle, DRM_CLOEXEC | DRM_RDWR, &fd))
		return -errno;
	err = look(fd, 0, same);
	close(fd);
	drmCloseBufferHandle(card, handle);
	return err;
}

/*
 * A copy, part by part, of the program's own memory after @in, which is -1 or
 * closed. Its fence is in the syncobj before the copy is over.
 */
static int copy_fenced(struct pindrop *dev, unsigned char *to,
		       unsigned char *from, int in, int card, uint32_t syncobj)
{
	struct pindrop_buf *src = NULL, *dst = NULL;
	struct pindrop_job_desc jobs[PARTS];
	struct pindrop_info info;
	uint32_t channel = 0;
	int fence, err;
	uint64_t i, at;

	err = pindrop_get_info(dev, &info, sizeof(info));
	if (!err)
		err = pindrop_buf_pin(dev, from, LENGTH, 0, &src);
	if (!err)
		err = pindrop_buf_pin(dev, to, LENGTH, PINDROP_PIN_WRITE, &dst);
	for (i = 0; i < PARTS && !err; i++) {
		/* Who did not wait would begin with what is written last. */
		at = (in < 0 ? i : PARTS - 1 - i) * PART;
		pindrop_job_copy(&jobs[i], dst, at, src, at, PART);
	}
	/* ... and elsewhere, if there is more than one channel. */
	if (!err && in >= 0)
		channel = info.out_channels - 1;
	if (!err)
		err = pindrop_submit_fenced(dev, channel, jobs, PARTS, in,
					    &fence, NULL, NULL, NULL);
	if (in >= 0)
		close(in);
	if (!err) {
		if (drmSyncobjImportSyncFile(card, syncobj, fence))
			err = -errno;
		close(fence);
	}
	/* The jobs hold what they need. */
	pindrop_buf_unref(src);
	pindrop_buf_unref(dst);
	return err;
}

/* One context writes what the other reads, and only the card knows of both. */
static int hand_on(int card, struct pindrop *dev, uint32_t syncobjs[2])
{
	struct pindrop *second;
	int in, err;

	err = pindrop_open_default(&second);
	if (err)
		return err;
	err = copy_fenced(dev, between, start, -1, card, syncobjs[0]);
	if (!err && drmSyncobjExportSyncFile(card, syncobjs[0], &in))
		err = -errno;
	if (!err)
		err = copy_fenced(second, end, between, in, card, syncobjs[1]);
	if (!err)
		err = drmSyncobjWait(card, syncobjs, 2,
				     pindrop_deadline(60 * SECOND),
				     DRM_SYNCOBJ_WAIT_FLAGS_WAIT_ALL, NULL);
	pindrop_unref(second);
	return err;
}

static int fence(int card, struct pindrop *dev, bool *same)
{
	uint32_t syncobjs[2] = {};
	uint64_t has = 0;
	int err = 0;
	size_t i;

	if (drmGetCap(card, DRM_CAP_SYNCOBJ, &has) || !has)
		err = CANNOT;
	for (i = 0; i < 2 && !err; i++)
		if (drmSyncobjCreate(card, 0, &syncobjs[i]))
			err = -errno;
	for (i = 0; i < LENGTH; i++)
		start[i] = byte_at(i);
	if (!err)
		err = hand_on(card, dev, syncobjs);
	*same = is_written(end);
	for (i = 0; i < 2; i++)
		if (syncobjs[i])
			drmSyncobjDestroy(card, syncobjs[i]);
	pindrop_unref(dev);
	return err;
}

/* What is shared with a card, and how; each takes the device. */
static const struct way {
	const char *name;
	int (*go)(int card, struct pindrop *dev, bool *same);
} ways[] = {
	{ "import", import },
	{ "export", export },
	{ "fence", fence },
};

static const struct way *find_way(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i].name, name))
			return &ways[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct way *way = argc == 3 ? find_way(argv[1]) : NULL;
	struct pindrop *dev;
	bool same = false;
	int card, err;

	if (!way) {
		fprintf(stderr, "usage: %s import|export|fence DRIVER\n",
			argv[0]);
		return 2;
	}
	card = open_card(argv[2]);
	if (card < 0) {
		fprintf(stderr, "no card of %s\n", argv[2]);
		return CANNOT;
	}
	err = pindrop_open_default(&dev);
	if (err)
		return say("open", err);
	err = way->go(card, dev, &same);
	close(card);
	if (err == CANNOT)
		fprintf(stderr, "%s cannot be shared with like this\n",
			argv[2]);
	if (err)
		return err > 0 ? err : say(argv[1], err);
	printf("%s, %s: %d bytes, %s\n", argv[1], argv[2], LENGTH,
	       same ? "as the device wrote them" : "but not the device's");
	return same ? 0 : 1;
}
