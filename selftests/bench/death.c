// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long a process takes to die of SIGKILL that has memory mapped and as much
 * pinned: until waitpid() returns, and until the last page is not pinned any
 * more.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Others may pin more meanwhile; that is not waited for. */
#define PATIENCE_NS 10000000000u

/**
 * struct life - what the process does before it dies
 * @peer: what it is called, or NULL
 * @source: of what it maps, for each of enum pages
 * @pinner: what pins, or NULL: nothing is pinned
 */
struct life {
	const char *peer;
	const struct source *source[2];
	const struct pinner *pinner;
};

static const struct life lives[] = {
	{ NULL, { &source_pindrop_4k, &source_pindrop_huge }, &pinner_pindrop },
	{ "anonymous", { &source_anon_4k, &source_anon_huge }, NULL },
	{ "io_uring", { &source_anon_4k, &source_anon_huge }, &pinner_uring },
};

static int prepare(const struct bench *b, const struct life *life, size_t bytes,
		   enum pages pages)
{
	const struct source *source = life->source[pages];
	struct held held = {
		.dev = &b->sim, .bytes = bytes, .fd = -1, .memfd = -1
	};
	struct memory memory;
	struct pins pins = {};
	int err = 0;

	if (life->pinner)
		err = life->pinner->open(&b->sim, &pins);
	if (err || !bytes)
		return err;
	err = memory_get(&memory, bytes, pages);
	if (!err && life->pinner)
		err = life->pinner->pin(&pins, &memory);
	if (!err && source->get)
		err = source->get(&held);
	if (!err)
		err = source->map(&held);
	if (!err)
		touch(held.at, bytes);
	return err;
}

/* Returns in the parent, with the process's answer. */
static int live(const struct bench *b, const struct life *life, size_t bytes,
		enum pages pages, pid_t *pid)
{
	int fds[2], err;

	if (pipe(fds))
		return -errno;
	*pid = fork();
	if (*pid < 0)
		return -errno;
	if (!*pid) {
		err = prepare(b, life, bytes, pages);
		if (write(fds[1], &err, sizeof(err)) != sizeof(err))
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	if (read(fds[0], &err, sizeof(err)) != sizeof(err))
		err = -EPIPE;
	close(fds[0]);
	return err;
}

/* Pages that are pinned in the whole machine. */
static long long pinned(void)
{
	long long taken = 0, given = 0;
	char line[128];
	FILE *file;

	/* Else it may be a second old. */
	write_file("/proc/sys/vm/stat_refresh", "1");
	file = fopen("/proc/vmstat", "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "nr_foll_pin_acquired %lld", &taken) != 1)
			sscanf(line, "nr_foll_pin_released %lld", &given);
	fclose(file);
	return taken - given;
}

static int die(const struct bench *b, const struct life *life, size_t bytes,
	       enum pages pages, double *dead, double *settled)
{
	const long long before = pinned();
	uint64_t begin, end;
	pid_t pid = 0;
	int err;

	err = live(b, life, bytes, pages, &pid);
	if (pid <= 0)
		return err;
	begin = now();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	end = now();
	if (err)
		return err;
	keep_best(dead, end - begin, 1);
	if (life->pinner)
		while (pinned() > before && now() - end < PATIENCE_NS)
			usleep(1);
	keep_best(settled, now() - begin, 1);
	/* Memory that is still on its way back would be missed next time. */
	wait_until_ours_is_gone(&b->sim.bytes);
	return 0;
}

static int measure_life(const struct bench *b, const struct life *life,
			size_t bytes, enum pages pages)
{
	double dead = 0, settled = 0;
	char name[32];
	int i, err = 0;

	for (i = 0; i < rounds_of(b, 2 * bytes) && !err; i++)
		err = die(b, life, bytes, pages, &dead, &settled);
	if (err)
		return err;
	snprintf(name, sizeof(name), "death_%s", size_name(bytes));
	name[strlen(name) - 1] |= 0x20;
	row(b, name, life->peer, pages_names[pages], dead, "");
	if (life->pinner) {
		strcat(name, "_unpinned");
		row(b, name, life->peer, pages_names[pages], settled, "");
	}
	return 0;
}

int measure_death(const struct bench *b)
{
	static const size_t sizes[] = { 256 * MIB, 0, 1024 * MIB };
	int err, status = 0;
	size_t i, j;

	for (i = 0; i < (b->quick ? 1 : ARRAY_SIZE(sizes)); i++)
		for (j = 0; j < ARRAY_SIZE(lives) && status >= 0; j++) {
			err = measure_life(b, &lives[j], sizes[i], PAGES_4K);
			if (err >= 0 && sizes[i] == 256 * MIB)
				err = measure_life(b, &lives[j], sizes[i],
						   PAGES_HUGE);
			status = err ? err : status;
		}
	return status;
}
