// SPDX-License-Identifier: MIT
/*
 * Following jobs without asking the kernel: the status window is memory that
 * the driver writes. The ticket in it says up to where all jobs are finished,
 * and what they wrote is visible to whoever has read it there.
 *
 *	cc window.c $(pkg-config --cflags --libs libpindrop)
 */
#include <errno.h>
#include <libpindrop.h>
#include <poll.h>
#include <stdio.h>

#define JOBS 5

static int say(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, pindrop_strerror(err));
	return 1;
}

/* Sleeps until something has finished; poll() counts what no wait reported. */
static int next_ticket(struct pindrop *dev,
		       const struct pindrop_window *window, uint64_t seen)
{
	struct pollfd p = { .fd = pindrop_fd(dev), .events = POLLIN };

	while (pindrop_window_ticket(window) == seen) {
		if (poll(&p, 1, 10000) <= 0)
			return -1;
		/* Tells poll() that these are known now. */
		pindrop_wait_jobs(dev, 0, pindrop_window_ticket(window),
				  PINDROP_NOW, NULL);
	}
	return 0;
}

int main(void)
{
	const struct pindrop_window *window;
	struct pindrop_job_desc jobs[JOBS];
	struct pindrop_buf *buf;
	struct pindrop *dev;
	uint64_t first, last, seen;
	int err, i;

	err = pindrop_open_default(&dev);
	if (err)
		return say("open", err);
	err = pindrop_get_window(dev, &window);
	if (err)
		return say("window", err);
	err = pindrop_buf_alloc(dev, 2 * 4096, 0, &buf);
	if (err)
		return say("buffer", err);

	/* Both sides of a copy may be in one buffer, if they do not overlap. */
	for (i = 0; i < JOBS; i++)
		pindrop_job_copy(&jobs[i], buf, 4096, buf, 0, 1024);
	err = pindrop_submit_jobs(dev, 0, jobs, JOBS, &first, &last, NULL);
	if (err)
		return say("submit", err);

	for (seen = first - 1; seen < last;) {
		if (next_ticket(dev, window, seen))
			return say("poll", -ETIME);
		seen = pindrop_window_ticket(window);
		printf("finished up to ticket %llu of %llu\n",
		       (unsigned long long)seen, (unsigned long long)last);
	}
	/* The window says when; whether they succeeded is asked for. */
	err = pindrop_wait_jobs(dev, first, last, PINDROP_NOW, NULL);
	pindrop_buf_unref(buf);
	pindrop_unref(dev);
	return err ? say("copy", err) : 0;
}
