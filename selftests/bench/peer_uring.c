// SPDX-License-Identifier: GPL-2.0-only
/* io_uring: registered buffers, which are pinned, and requests that do nothing. */
#include "bench.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES 1024
#define POLLED_MS 100

static int uring_open(const struct device *device, struct pins *pins)
{
	int err;

	(void)device;
	pins->ring = malloc(sizeof(*pins->ring));
	if (!pins->ring)
		return -ENOMEM;
	err = io_uring_queue_init(8, pins->ring, 0);
	if (!err)
		return 0;
	free(pins->ring);
	/* A machine may have it, and not let anybody have one. */
	if (err == -ENOSYS || err == -EPERM)
		return absent("io_uring", strerror(-err));
	return err;
}

static int uring_pin(struct pins *pins, const struct memory *memory)
{
	struct iovec range = { memory->at, memory->bytes };

	return io_uring_register_buffers(pins->ring, &range, 1);
}

static int uring_unpin(struct pins *pins)
{
	return io_uring_unregister_buffers(pins->ring);
}

static void uring_close(struct pins *pins)
{
	io_uring_queue_exit(pins->ring);
	free(pins->ring);
}

const struct pinner pinner_uring = {
	.peer = "io_uring",
	.open = uring_open,
	.pin = uring_pin,
	.unpin = uring_unpin,
	.close = uring_close,
};

static int go_round(struct io_uring *ring, unsigned int batch)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	unsigned int i;
	int n;

	for (i = 0; i < batch; i++) {
		sqe = io_uring_get_sqe(ring);
		if (!sqe)
			return -EBUSY;
		io_uring_prep_nop(sqe);
	}
	n = io_uring_submit_and_wait(ring, batch);
	if (n < 0)
		return n;
	for (i = 0; i < batch; i++) {
		n = io_uring_wait_cqe(ring, &cqe);
		if (n)
			return n;
		n = cqe->res;
		io_uring_cqe_seen(ring, cqe);
		if (n)
			return n;
	}
	return 0;
}

int uring_nops(bool polled, unsigned int batch, unsigned int count,
	       uint64_t *ns)
{
	struct io_uring_params params = {
		.flags = polled ? IORING_SETUP_SQPOLL : 0,
		.sq_thread_idle = polled ? POLLED_MS : 0,
	};
	struct io_uring ring;
	uint64_t begin;
	unsigned int n;
	int err;

	err = io_uring_queue_init_params(ENTRIES, &ring, &params);
	if (err == -ENOSYS || err == -EPERM)
		return absent("io_uring", strerror(-err));
	if (err)
		return err;
	/* The first is not counted. */
	err = go_round(&ring, batch);
	begin = now();
	for (n = 0; n < count && !err; n += batch)
		err = go_round(&ring, batch);
	*ns = now() - begin;
	io_uring_queue_exit(&ring);
	return err;
}
