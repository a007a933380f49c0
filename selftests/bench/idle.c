// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of its time edu has nothing to do while jobs wait for it: from the
 * end of a piece, as the kernel hears of it, to the begin of the next. Edu's own
 * clock is too coarse to be asked.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define JOBS 10
#define TRACING "/sys/kernel/tracing/"
#define EVENT(name) TRACING "events/pindrop/pindrop_piece_" name "/enable"

/* Of all begins but the first; in seconds. */
static int sum_gaps(int dev, double *idle, double *all)
{
	FILE *trace = fopen(TRACING "trace", "re");
	double at, first = 0, done = 0;
	char line[512], event[64];
	int of;

	if (!trace)
		return -errno;
	while (fgets(line, sizeof(line), trace)) {
		char *text = strstr(line, ": pindrop_piece_");

		if (!text || sscanf(text, ": pindrop_piece_%63[a-z]: dev=%d",
				    event, &of) != 2 || of != dev)
			continue;
		for (*text = 0; text > line && text[-1] != ' '; text--)
			;
		if (sscanf(text, "%lf", &at) != 1)
			continue;
		if (!first)
			first = at;
		if (!strcmp(event, "done"))
			done = at;
		else if (done)
			*idle += at - done;
	}
	fclose(trace);
	*all = done - first;
	return *all > 0 ? 0 : -ENODATA;
}

static int keep_busy(struct pindrop *dev, struct pindrop_buf *buf, size_t piece)
{
	struct pindrop_job_desc jobs[JOBS];
	uint64_t last;
	int i, err;

	for (i = 0; i < JOBS; i++)
		pindrop_job_copy(&jobs[i], buf, 0, buf, piece, piece);
	err = pindrop_submit_jobs(dev, 0, jobs, JOBS, NULL, &last, NULL);
	if (err)
		return err;
	return pindrop_wait_jobs(dev, last, last, PINDROP_FOREVER, NULL);
}

static int trace_jobs(const struct bench *b, struct pindrop *dev,
		      struct pindrop_buf *buf, size_t piece)
{
	double idle = 0, all = 0;
	int err, minor;

	if (sscanf(b->edu.node, "/dev/pindrop%d", &minor) != 1)
		return absent("idle", "nodes have other names");
	if (write_file(EVENT("issue"), "1") || write_file(EVENT("done"), "1"))
		return absent("idle", "there is no tracing here");
	err = keep_busy(dev, buf, piece);
	write_file(EVENT("issue"), "0");
	write_file(EVENT("done"), "0");
	if (!err)
		err = sum_gaps(minor, &idle, &all);
	if (!err)
		row_of("edu_idle", NULL, "", 1e6 * idle / all, "ppm");
	return err;
}

int measure_idle(const struct bench *b)
{
	struct pindrop_buf *buf = NULL;
	struct pindrop_info info = {};
	struct pindrop *dev;
	int err;

	if (!b->edu.node[0])
		return absent("idle", "there is no device of pindrop_edu");
	err = pindrop_open(b->edu.node, &dev);
	if (err)
		return err;
	err = pindrop_get_info(dev, &info, sizeof(info));
	if (!err)
		err = pindrop_buf_alloc(dev, 2 * info.out_max_piece, 0, &buf);
	if (!err)
		err = trace_jobs(b, dev, buf, info.out_max_piece);
	pindrop_buf_unref(buf);
	pindrop_unref(dev);
	return err;
}
