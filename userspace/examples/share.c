// SPDX-License-Identifier: MIT
/*
 * Memory shared with a graphics card, both ways. "import": the card's buffer is
 * written by the device, and read as the card's. "export": a buffer of the
 * device is given to the card, which still has it when we have left.
 *
 *	cc share.c $(pkg-config --cflags --libs libpindrop libdrm)
 *
 * DRIVER is what the kernel calls the card's: vgem is one without a card. Exits
 * with 4 where there is none, or where it gives, or takes, no memory.
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
	/* It may be memory of the card's own, which others do not reach. */
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

int main(int argc, char **argv)
{
	struct pindrop *dev;
	bool same = false;
	int card, err;

	if (argc != 3 ||
	    (strcmp(argv[1], "import") && strcmp(argv[1], "export"))) {
		fprintf(stderr, "usage: %s import|export DRIVER\n", argv[0]);
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
	err = *argv[1] == 'i' ? import(card, dev, &same) :
				export(card, dev, &same);
	close(card);
	if (err == CANNOT)
		fprintf(stderr, "%s shares nothing in this direction\n",
			argv[2]);
	if (err)
		return err > 0 ? err : say(argv[1], err);
	printf("%s, %s: %d bytes, %s\n", argv[1], argv[2], LENGTH,
	       same ? "as the device wrote them" : "but not the device's");
	return same ? 0 : 1;
}
