// SPDX-License-Identifier: MIT
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libpindrop.h>

#define NSEC_PER_SEC UINT64_C(1000000000)
#define BAR 24

void progress_begin(struct progress *p, bool wanted, uint64_t total)
{
	p->tty = isatty(STDERR_FILENO);
	p->on = wanted || p->tty;
	p->total = total;
	p->done = 0;
	p->start = pindrop_deadline(0);
	p->next = 0;
}

static void print_bar(uint64_t done, uint64_t total)
{
	char bar[BAR + 1];
	unsigned int full = (double)done / total * BAR;

	memset(bar, '.', BAR);
	memset(bar, '#', full > BAR ? BAR : full);
	bar[BAR] = 0;
	fprintf(stderr, "[%s] %3.0f%%  %" PRIu64 "/%" PRIu64 " bytes", bar,
		100.0 * done / total, done, total);
}

static void print_rate(double rate)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
	unsigned int i;

	for (i = 0; i < 3 && rate >= 1024; i++)
		rate /= 1024;
	fprintf(stderr, "  %.1f %s/s", rate, units[i]);
}

static void print_time(const char *what, double seconds)
{
	unsigned long s = seconds + 0.5;

	fprintf(stderr, "  %s %lu:%02lu", what, s / 60, s % 60);
}

static void print_state(const struct progress *p, uint64_t now, bool over)
{
	uint64_t done = p->done;
	double seconds = (double)(now - p->start) / NSEC_PER_SEC;
	double rate = seconds > 0 ? done / seconds : 0;

	if (p->tty)
		fputs("\r\033[K", stderr);
	if (p->total)
		print_bar(done, p->total);
	else
		fprintf(stderr, "%" PRIu64 " bytes", done);
	print_rate(rate);
	if (over)
		print_time("in", seconds);
	else if (p->total > done && rate > 0)
		print_time("ETA", (p->total - done) / rate);
	if (!p->tty || over)
		fputc('\n', stderr);
	fflush(stderr);
}

void progress_show(struct progress *p, uint64_t done)
{
	uint64_t now = pindrop_deadline(0);

	p->done = done;
	if (!p->on || now < p->next)
		return;
	p->next = now + (p->tty ? NSEC_PER_SEC / 5 : NSEC_PER_SEC);
	print_state(p, now, false);
}

void progress_end(struct progress *p)
{
	if (p->on)
		print_state(p, pindrop_deadline(0), true);
}
