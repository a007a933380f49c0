// SPDX-License-Identifier: MIT
/*
 * A picture on a screen, painted by the device: the buffer that the screen
 * shows is DRM's, is imported, and is never mapped here. The only memory that
 * this program writes is what the device copies from.
 *
 *	cc picture.c $(pkg-config --cflags --libs libpindrop libdrm)
 *
 * FILE is a PPM of a size that the screen has a mode for; COMMAND is run while
 * the picture stands, without one Enter ends it. Nobody else may have the
 * screen: run it on a text console.
 */
#include <errno.h>
#include <fcntl.h>
#include <libpindrop.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#define SECOND UINT64_C(1000000000)
#define MAX_CARDS 16
/* Rows that one fence is for: they are on the screen when it is signalled. */
#define ROWS 8

/**
 * struct screen - a card that shows one of its buffers
 * @fd: the card
 * @connector: where a screen is connected
 * @crtc: what feeds it
 * @mode: of the picture's size
 * @before: what was shown before, if anything
 * @handle: the buffer, by DRM's name
 * @pitch: bytes from one row to the next
 * @size: bytes of the buffer
 * @fb: the buffer as something that can be shown
 */
struct screen {
	int fd;
	uint32_t connector;
	uint32_t crtc;
	drmModeModeInfo mode;
	drmModeCrtc *before;
	uint32_t handle;
	uint32_t pitch;
	uint64_t size;
	uint32_t fb;
};

/**
 * struct picture - a PPM file, its header read
 * @file: at the first pixel
 * @width: pixels of a row
 * @height: rows
 */
struct picture {
	FILE *file;
	unsigned int width;
	unsigned int height;
};

/**
 * struct painter - what the device is given
 * @dev: the device
 * @src: the picture, laid out as the screen's buffer
 * @dst: the screen's buffer
 */
struct painter {
	struct pindrop *dev;
	struct pindrop_buf *src;
	struct pindrop_buf *dst;
};

static int say(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, pindrop_strerror(err));
	return 1;
}

static int picture_open(struct picture *p, const char *path)
{
	unsigned int max;

	p->file = fopen(path, "r");
	if (!p->file)
		return -errno;
	if (fscanf(p->file, "P6 %u %u %u", &p->width, &p->height, &max) != 3 ||
	    max != 255 || fgetc(p->file) == EOF)
		return -EINVAL;
	return 0;
}

/* The first mode that is as large as the picture. */
static bool find_mode(struct screen *s, const drmModeConnector *connector,
		      const struct picture *p)
{
	int i;

	for (i = 0; i < connector->count_modes; i++) {
		s->mode = connector->modes[i];
		if (s->mode.hdisplay == p->width &&
		    s->mode.vdisplay == p->height)
			return true;
	}
	return false;
}

/* What can feed the connector: one of the CRTCs that its encoders take. */
static bool find_crtc(struct screen *s, const drmModeRes *res,
		      const drmModeConnector *connector)
{
	drmModeEncoder *encoder;
	uint32_t possible = 0;
	int i;

	for (i = 0; i < connector->count_encoders; i++) {
		encoder = drmModeGetEncoder(s->fd, connector->encoders[i]);
		if (encoder)
			possible |= encoder->possible_crtcs;
		drmModeFreeEncoder(encoder);
	}
	for (i = 0; i < res->count_crtcs && i < 32; i++) {
		s->crtc = res->crtcs[i];
		if (possible & (UINT32_C(1) << i))
			return true;
	}
	return false;
}

static bool find_screen(struct screen *s, const struct picture *p)
{
	drmModeRes *res = drmModeGetResources(s->fd);
	drmModeConnector *connector;
	bool found = false;
	int i;

	for (i = 0; res && i < res->count_connectors && !found; i++) {
		connector = drmModeGetConnector(s->fd, res->connectors[i]);
		if (!connector)
			continue;
		s->connector = connector->connector_id;
		found = connector->connection == DRM_MODE_CONNECTED &&
			find_mode(s, connector, p) &&
			find_crtc(s, res, connector);
		drmModeFreeConnector(connector);
	}
	drmModeFreeResources(res);
	return found;
}

/* A card with such a screen, of those that there are. */
static int screen_open(struct screen *s, const struct picture *p)
{
	char path[32];
	int i;

	for (i = 0; i < MAX_CARDS; i++) {
		snprintf(path, sizeof(path), DRM_DEV_NAME, DRM_DIR_NAME, i);
		s->fd = open(path, O_RDWR | O_CLOEXEC);
		if (s->fd < 0)
			continue;
		if (find_screen(s, p))
			return 0;
		close(s->fd);
	}
	return -ENODEV;
}

/* A buffer of zeroes is shown: what appears now has been painted. */
static int screen_show(struct screen *s)
{
	const drmModeModeInfo *mode = &s->mode;
	int err;

	err = drmModeCreateDumbBuffer(s->fd, mode->hdisplay, mode->vdisplay, 32,
				      0, &s->handle, &s->pitch, &s->size);
	if (!err)
		err = drmModeAddFB(s->fd, mode->hdisplay, mode->vdisplay, 24,
				   32, s->pitch, s->handle, &s->fb);
	s->before = drmModeGetCrtc(s->fd, s->crtc);
	if (!err)
		err = drmModeSetCrtc(s->fd, s->crtc, s->fb, 0, 0, &s->connector,
				     1, &s->mode);
	return err;
}

static void screen_close(struct screen *s)
{
	drmModeCrtc *was = s->before;

	if (was && was->mode_valid)
		drmModeSetCrtc(s->fd, was->crtc_id, was->buffer_id, was->x,
			       was->y, &s->connector, 1, &was->mode);
	drmModeFreeCrtc(was);
	drmModeRmFB(s->fd, s->fb);
	drmModeDestroyDumbBuffer(s->fd, s->handle);
	close(s->fd);
}

/* Some cards show a copy, which they renew when they are told what to. */
static int screen_dirty(struct screen *s, unsigned int row, unsigned int rows)
{
	drmModeClip clip = {
		.x1 = 0, .y1 = row, .x2 = s->mode.hdisplay, .y2 = row + rows
	};
	int err;

	err = drmModeDirtyFB(s->fd, s->fb, &clip, 1);
	return err == -ENOSYS ? 0 : err;
}

/* From three bytes for a pixel to four, as the screen has them. */
static int load(struct painter *painter, const struct screen *s,
		struct picture *p)
{
	unsigned char rgb[3];
	unsigned int x, y;
	uint32_t *row;
	void *data;
	int err;

	err = pindrop_buf_alloc(painter->dev, s->size, 0, &painter->src);
	if (!err)
		err = pindrop_buf_map(painter->src, &data);
	if (err)
		return err;
	for (y = 0; y < p->height; y++) {
		row = (uint32_t *)((char *)data + (size_t)y * s->pitch);
		for (x = 0; x < p->width; x++) {
			if (fread(rgb, sizeof(rgb), 1, p->file) != 1)
				return -EINVAL;
			row[x] = rgb[0] << 16 | rgb[1] << 8 | rgb[2];
		}
	}
	return pindrop_buf_sync(painter->src,
				PINDROP_SYNC_END | PINDROP_SYNC_WRITE, 0,
				s->size);
}

/* Some rows, and only then the screen is told of them. */
static int paint_rows(struct painter *painter, struct screen *s,
		      unsigned int row, unsigned int rows)
{
	uint64_t offset = (uint64_t)row * s->pitch;
	uint64_t length = (uint64_t)rows * s->pitch;
	struct pindrop_job_desc job;
	int fence, err;

	pindrop_job_copy(&job, painter->dst, offset, painter->src, offset,
			 length);
	err = pindrop_submit_fenced(painter->dev, 0, &job, 1, -1, &fence, NULL,
				    NULL, NULL);
	if (err)
		return err;
	/* Whoever has the fence may wait; as well in another process. */
	err = pindrop_fence_wait(fence, pindrop_deadline(60 * SECOND));
	close(fence);
	return err ? err : screen_dirty(s, row, rows);
}

static int paint(struct painter *painter, struct screen *s)
{
	unsigned int row, rows, height = s->mode.vdisplay;
	int fd, err;

	err = drmPrimeHandleToFD(s->fd, s->handle, DRM_CLOEXEC | DRM_RDWR, &fd);
	if (err)
		return -errno;
	err = pindrop_buf_import(painter->dev, fd, &painter->dst);
	/* The import holds the memory itself. */
	close(fd);
	for (row = 0; row < height && !err; row += rows) {
		rows = height - row < ROWS ? height - row : ROWS;
		err = paint_rows(painter, s, row, rows);
	}
	return err;
}

/* The picture stands until the command, or whoever looks at it, has enough. */
static int stand(const char *command)
{
	int status;

	fflush(stdout);
	if (command) {
		status = system(command);
		return status ? 1 : 0;
	}
	while ((status = getchar()) != EOF && status != '\n')
		;
	return 0;
}

int main(int argc, char **argv)
{
	struct painter painter = {};
	struct picture picture = {};
	struct screen screen = {};
	int err, status = 1;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: %s FILE [COMMAND]\n", argv[0]);
		return 2;
	}
	err = picture_open(&picture, argv[1]);
	if (err)
		return say(argv[1], err);
	err = pindrop_open_default(&painter.dev);
	if (err)
		return say("open", err);
	err = screen_open(&screen, &picture);
	if (err)
		return say("no screen of that size", err);

	err = screen_show(&screen);
	if (err) {
		say("screen", err);
		goto out;
	}
	err = load(&painter, &screen, &picture);
	if (err) {
		say(argv[1], err);
		goto out;
	}
	err = paint(&painter, &screen);
	if (err) {
		say("paint", err);
		goto out;
	}
	status = stand(argc > 2 ? argv[2] : NULL);
out:
	screen_close(&screen);
	pindrop_buf_unref(painter.dst);
	pindrop_buf_unref(painter.src);
	pindrop_unref(painter.dev);
	fclose(picture.file);
	return status;
}
