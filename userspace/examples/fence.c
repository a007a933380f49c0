// SPDX-License-Identifier: MIT
/*
 * Work that is handed on before it is done: one context's device writes memory
 * that another's reads, and nobody waits in between. Both may be of one
 * device, as here, or of two; a fence of a graphics driver would do as well.
 *
 *	cc fence.c $(pkg-config --cflags --libs libpindrop)
 */
#include <libpindrop.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)
#define PAGE 65536 /* of any machine */
#define ALIGNED __attribute__((aligned(PAGE)))

static char start[PAGE] ALIGNED = "handed on by a fence";
static char between[PAGE] ALIGNED;
static char end[PAGE] ALIGNED;

/* A copy in a context of its own, after @in; @out is signalled when it is over. */
static int copy(char *to, char *from, int in, int *out, struct pindrop **dev)
{
	struct pindrop_buf *src = NULL, *dst = NULL;
	struct pindrop_job_desc job;
	int err;

	err = pindrop_open_default(dev);
	if (err)
		return err;
	err = pindrop_buf_pin(*dev, from, PAGE, 0, &src);
	if (!err)
		err = pindrop_buf_pin(*dev, to, PAGE, PINDROP_PIN_WRITE, &dst);
	if (!err) {
		pindrop_job_copy(&job, dst, 0, src, 0, 2048);
		err = pindrop_submit_fenced(*dev, 0, &job, 1, in, out, NULL,
					    NULL, NULL);
	}
	/* The job holds what it needs. */
	if (dst)
		pindrop_buf_unref(dst);
	if (src)
		pindrop_buf_unref(src);
	return err;
}

int main(void)
{
	struct pindrop *first = NULL, *second = NULL;
	int written = -1, read = -1, both = -1, err;

	err = copy(between, start, -1, &written, &first);
	if (!err)
		err = copy(end, between, written, &read, &second);
	if (!err)
		err = pindrop_fence_merge(written, read, &both);
	if (!err)
		err = pindrop_fence_wait(both, pindrop_deadline(10 * SECOND));
	if (err)
		fprintf(stderr, "%s\n", pindrop_strerror(err));
	else
		puts(end);
	close(both);
	close(read);
	close(written);
	/* Exit would do the same: the driver cleans up after a dead process. */
	if (second)
		pindrop_unref(second);
	if (first)
		pindrop_unref(first);
	return err || strcmp(start, end);
}
