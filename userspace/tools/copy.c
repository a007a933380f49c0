// SPDX-License-Identifier: MIT
/*
 * pindrop copy: a file's bytes through the device. They are read into one
 * buffer, copied into another by the device, and written from there.
 */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "progress.h"
#include "stop.h"

#define CHUNK (UINT64_C(64) << 10)
#define TICK_NS UINT64_C(100000000)

/**
 * struct copy - a copy under way
 * @dev: the device
 * @window: what of it has finished
 * @src: what the device reads
 * @dst: what the device writes
 * @from: @src in memory
 * @to: @dst in memory
 * @chunk: bytes that one round copies at most
 * @piece: bytes of one job, so that there is progress to see
 * @align: what the bytes of a job are a multiple of
 * @jobs: room for the jobs of a round
 * @done: bytes of the rounds before
 * @progress: what the user sees
 */
struct copy {
	struct pindrop *dev;
	const struct pindrop_window *window;
	struct pindrop_buf *src;
	struct pindrop_buf *dst;
	char *from;
	char *to;
	uint64_t chunk;
	uint64_t piece;
	uint64_t align;
	struct pindrop_job_desc *jobs;
	uint64_t done;
	struct progress progress;
};

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* As many jobs as the hardware makes pieces, within the limits. */
static void copy_plan(struct copy *c, const struct pindrop_info *info)
{
	uint64_t most = smaller(info->out_max_jobs, info->out_max_queued);

	c->align = info->out_align ? info->out_align : 1;
	c->chunk = round_up(smaller(CHUNK, info->out_max_alloc), c->align);
	c->piece = info->out_max_piece ? info->out_max_piece : c->chunk;
	if (most && c->chunk / most > c->piece)
		c->piece = c->chunk / most + 1;
	c->piece = smaller(round_up(c->piece, c->align), c->chunk);
}

static int copy_buffer(struct copy *c, struct pindrop_buf **buf, char **at)
{
	void *data;
	int err;

	err = pindrop_buf_alloc(c->dev, c->chunk, 0, buf);
	if (!err)
		err = pindrop_buf_map(*buf, &data);
	if (!err)
		*at = data;
	return err;
}

static int copy_begin(struct copy *c)
{
	struct pindrop_info info;
	int err;

	err = pindrop_get_info(c->dev, &info, sizeof(info));
	if (err)
		return err;
	if (!(info.out_caps & PINDROP_CAP_MEM_TO_MEM))
		return -EOPNOTSUPP;
	copy_plan(c, &info);
	c->jobs = calloc(c->chunk / c->piece + 1, sizeof(*c->jobs));
	if (!c->jobs)
		return -ENOMEM;
	err = pindrop_get_window(c->dev, &c->window);
	if (!err)
		err = copy_buffer(c, &c->src, &c->from);
	if (!err)
		err = copy_buffer(c, &c->dst, &c->to);
	return err;
}

static void copy_end(struct copy *c)
{
	pindrop_buf_unref(c->src);
	pindrop_buf_unref(c->dst);
	pindrop_unref(c->dev);
	free(c->jobs);
}

/* Bytes of this round that have arrived, by the tickets that are over. */
static uint64_t copy_arrived(const struct copy *c, uint64_t first,
			     uint64_t bytes)
{
	uint64_t ticket = pindrop_window_ticket(c->window);

	return ticket < first ? 0 :
				smaller((ticket - first + 1) * c->piece, bytes);
}

static int copy_wait(struct copy *c, uint64_t first, uint64_t last,
		     uint64_t bytes)
{
	int err;

	do {
		err = pindrop_wait_jobs(c->dev, first, last,
					pindrop_deadline(TICK_NS), NULL);
		progress_show(&c->progress,
			      c->done + copy_arrived(c, first, bytes));
		if (stop_asked())
			return -EINTR;
	} while (err == -ETIME || err == -EINTR);
	return err;
}

/* What is in @src, through the device, into @dst. */
static int copy_round(struct copy *c, uint64_t bytes)
{
	uint64_t padded = round_up(bytes, c->align);
	uint64_t at, first, last;
	uint32_t n = 0;
	int err;

	for (at = 0; at < padded; at += c->piece)
		pindrop_job_copy(&c->jobs[n++], c->dst, at, c->src, at,
				 smaller(c->piece, padded - at));
	err = pindrop_buf_sync(c->src, PINDROP_SYNC_END | PINDROP_SYNC_WRITE,
			       0, padded);
	if (!err)
		err = pindrop_submit_jobs(c->dev, 0, c->jobs, n, &first, &last,
					  NULL);
	if (!err)
		err = copy_wait(c, first, last, bytes);
	if (!err)
		err = pindrop_buf_sync(c->dst,
				       PINDROP_SYNC_BEGIN | PINDROP_SYNC_READ,
				       0, padded);
	return err;
}

/* Up to @size bytes, less at the end only; -errno. */
static ssize_t read_full(int fd, char *data, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size) {
		n = read(fd, data + have, size - have);
		if (!n)
			break;
		if (n > 0)
			have += n;
		else if (errno != EINTR || stop_asked())
			return -errno;
	}
	return have;
}

static int write_full(int fd, const char *data, size_t size)
{
	ssize_t n;

	while (size) {
		n = write(fd, data, size);
		if (n >= 0) {
			data += n;
			size -= n;
		} else if (errno != EINTR || stop_asked()) {
			return -errno;
		}
	}
	return 0;
}

/* The bar comes to its end first; nobody has to be told that they said stop. */
static int copy_failed(struct copy *c, int err, const char *path)
{
	progress_end(&c->progress);
	if (stop_asked())
		return EXIT_FAILED;
	return path ? file_error(err, path) :
		      device_error(err, pindrop_node(c->dev));
}

/* The file, round by round. */
static int copy_file(struct copy *c, int in, const char *file, int out,
		     const char *path)
{
	ssize_t n;
	int err;

	for (;;) {
		err = pindrop_buf_sync(c->src,
				       PINDROP_SYNC_BEGIN | PINDROP_SYNC_WRITE,
				       0, c->chunk);
		if (err)
			return copy_failed(c, err, NULL);
		n = read_full(in, c->from, c->chunk);
		if (n < 0)
			return copy_failed(c, n, file);
		if (!n)
			return EXIT_OK;
		err = copy_round(c, n);
		if (err)
			return copy_failed(c, err, NULL);
		err = write_full(out, c->to, n);
		if (err)
			return copy_failed(c, err, path);
		c->done += n;
		progress_show(&c->progress, c->done);
		if (stop_asked())
			return copy_failed(c, -EINTR, NULL);
	}
}

static int copy_to(struct copy *c, int in, const char *file, const char *path)
{
	struct output out;
	int status, err;

	err = output_open(&out, path);
	if (err)
		return file_error(err, path);
	status = copy_file(c, in, file, out.fd, path);
	if (status) {
		output_abort(&out);
		return status;
	}
	progress_end(&c->progress);
	err = output_commit(&out);
	return err ? file_error(err, path) : EXIT_OK;
}

static int copy(const struct device_options *want, bool show, const char *file,
		const char *path)
{
	struct copy c = {};
	int in, status, err;
	struct stat st;

	in = open(file, O_RDONLY | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) < 0) {
		status = file_error(-errno, file);
		goto out_close;
	}
	status = open_device(want, &c.dev);
	if (status)
		goto out_close;
	err = copy_begin(&c);
	if (err) {
		status = device_error(err, pindrop_node(c.dev));
		goto out_end;
	}
	progress_begin(&c.progress, show,
		       S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
	stop_catch();
	status = copy_to(&c, in, file, path);
out_end:
	copy_end(&c);
out_close:
	if (in >= 0)
		close(in);
	stop_obey();
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		DEVICE_LONG,
		{ "progress", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct device_options want = {};
	bool show = false;
	int option;

	while ((option = getopt_long(argc, argv, DEVICE_SHORT "ph", options,
				     NULL)) != -1) {
		if (device_option(&want, option, optarg))
			continue;
		if (option == 'h')
			return show_help(self);
		if (option != 'p')
			return bad_usage(self);
		show = true;
	}
	if (argc - optind != 2)
		return bad_arguments(self, argc - optind, argv + optind);
	return copy(&want, show, argv[optind], argv[optind + 1]);
}

const struct command cmd_copy = {
	.name = "copy",
	.args = " FILE OUT",
	.summary = "Copy a file, every byte through the device",
	.options = DEVICE_HELP
		"  -p, --progress      show progress even if stderr is no terminal\n",
	.run = run,
};
