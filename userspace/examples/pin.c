// SPDX-License-Identifier: MIT
/*
 * The program's own memory: what malloc() gave is pinned, and the device
 * copies from one half of it to the other.
 *
 *	cc pin.c $(pkg-config --cflags --libs libpindrop)
 */
#include <errno.h>
#include <libpindrop.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define HALF 4096

static const char text[] = "moved where it was";

static int say(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, pindrop_strerror(err));
	return 1;
}

int main(void)
{
	struct pindrop_job_desc job;
	struct pindrop_buf *buf;
	struct pindrop *dev;
	uint64_t ticket;
	bool same;
	char *mine;
	int err;

	/* A page is aligned enough for any device: see INFO's out_pin_align. */
	mine = aligned_alloc(HALF, 2 * HALF);
	if (!mine)
		return say("memory", -ENOMEM);
	memset(mine, 0, 2 * HALF);
	memcpy(mine, text, sizeof(text));

	err = pindrop_open_default(&dev);
	if (err)
		return say("open", err);
	err = pindrop_buf_pin(dev, mine, 2 * HALF, PINDROP_PIN_WRITE, &buf);
	if (err)
		return say("pin", err);

	pindrop_job_copy(&job, buf, HALF, buf, 0, HALF);
	err = pindrop_submit_jobs(dev, 0, &job, 1, &ticket, NULL, NULL);
	if (err)
		return say("submit", err);
	err = pindrop_wait_jobs(dev, ticket, ticket,
				pindrop_deadline(10 * SECOND), NULL);
	if (err)
		return say("copy", err);

	printf("%s\n", mine + HALF);
	same = !memcmp(text, mine + HALF, sizeof(text));
	/* Unpinned: the memory is malloc()'s again. */
	pindrop_buf_unref(buf);
	pindrop_unref(dev);
	free(mine);
	return same ? 0 : 1;
}
