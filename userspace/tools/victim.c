// SPDX-License-Identifier: MIT
/*
 * The process does its work in steps, each when it is told to: buffers, then
 * a copy between them. In the middle of that it is to be killed.
 */
#include "victim.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Beyond any time that the driver promises. */
#define PATIENCE_MS 10000

static int make_buffer(struct pindrop *dev, struct pindrop_buf **buf)
{
	uint64_t bytes = VICTIM_PAGES * (uint64_t)sysconf(_SC_PAGESIZE);
	void *data;
	int err;

	err = pindrop_buf_alloc(dev, bytes, 0, buf);
	if (!err)
		err = pindrop_buf_map(*buf, &data);
	if (!err)
		memset(data, 0xa5, bytes);
	return err;
}

static int start_copy(struct pindrop *dev, struct pindrop_buf *dst,
		      struct pindrop_buf *src, uint64_t *ticket)
{
	struct pindrop_job_desc job;

	pindrop_job_copy(&job, dst, 0, src, 0, pindrop_buf_length(src));
	return pindrop_submit_jobs(dev, 0, &job, 1, ticket, NULL, NULL);
}

/* Waits until it is told to go on, after it has said how the last step went. */
static void report(int talk, int err)
{
	char go;

	if (send(talk, &err, sizeof(err), MSG_NOSIGNAL) < 0 || err ||
	    recv(talk, &go, 1, 0) != 1)
		_exit(EXIT_FAILURE);
}

static void live(int talk, const char *node)
{
	struct pindrop_buf *src = NULL, *dst = NULL;
	struct pindrop *dev;
	uint64_t ticket;
	int err;

	report(talk, 0);
	err = pindrop_open(node, &dev);
	if (!err)
		err = make_buffer(dev, &src);
	if (!err)
		err = make_buffer(dev, &dst);
	report(talk, err);
	err = start_copy(dev, dst, src, &ticket);
	report(talk, err);
}

static int wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, PATIENCE_MS);

	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* What the process says of the step that it was in. */
static int listen_to(struct victim *victim)
{
	int err = wait_for(victim->talk);
	int said;

	if (err)
		return err;
	if (recv(victim->talk, &said, sizeof(said), 0) != sizeof(said))
		return -ECHILD;
	return said;
}

/* Returns -errno; then there is nothing to destroy. */
int victim_create(struct victim *victim, const char *node)
{
	pid_t parent = getpid();
	int ends[2], err;

	*victim = (struct victim){ .pidfd = -1, .talk = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	victim->talk = ends[0];
	victim->pid = fork();
	if (!victim->pid) {
		close(ends[0]);
		/* It ends with us, also if we ended before this line. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			live(ends[1], node);
		_exit(EXIT_FAILURE);
	}
	err = victim->pid < 0 ? -errno : 0;
	close(ends[1]);
	if (!err) {
		victim->pidfd = syscall(SYS_pidfd_open, victim->pid, 0);
		err = victim->pidfd < 0 ? -errno : listen_to(victim);
	} else {
		victim->pid = 0;
	}
	if (err)
		victim_destroy(victim);
	return err;
}

/* Lets it do its next step, and returns how that went: 0 or -errno. */
int victim_next(struct victim *victim)
{
	if (send(victim->talk, "", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	return listen_to(victim);
}

static int64_t now(void)
{
	return pindrop_deadline(0);
}

/*
 * Kills it and waits for its end; both times in ns of CLOCK_MONOTONIC. If it
 * does not end, -ETIMEDOUT at @gone.
 */
int victim_kill(struct victim *victim, int64_t *killed, int64_t *gone)
{
	int err;

	*killed = now();
	if (kill(victim->pid, SIGKILL) < 0)
		return -errno;
	err = wait_for(victim->pidfd);
	if (!err && waitpid(victim->pid, NULL, 0) < 0)
		err = -errno;
	*gone = now();
	if (!err)
		victim->pid = 0;
	return err;
}

void victim_destroy(struct victim *victim)
{
	if (victim->pid) {
		kill(victim->pid, SIGKILL);
		/* One that cannot die is left to init. */
		if (victim->pidfd < 0 || !wait_for(victim->pidfd))
			waitpid(victim->pid, NULL, 0);
		victim->pid = 0;
	}
	if (victim->pidfd >= 0)
		close(victim->pidfd);
	if (victim->talk >= 0)
		close(victim->talk);
	victim->pidfd = -1;
	victim->talk = -1;
}
