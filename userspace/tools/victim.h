/* SPDX-License-Identifier: MIT */
/* The process that the demo kills. */
#ifndef PINDROP_TOOL_VICTIM_H
#define PINDROP_TOOL_VICTIM_H

#include <libpindrop.h>
#include <sys/types.h>

#define VICTIM_BUFFERS 2
#define VICTIM_PAGES 2

/**
 * struct victim - the process
 * @pid: it, 0 before it is there and after it is reaped
 * @pidfd: readable when it is dead
 * @talk: our end of the line to it
 */
struct victim {
	pid_t pid;
	int pidfd;
	int talk;
};

int victim_create(struct victim *victim, const char *node);
int victim_next(struct victim *victim);
int victim_kill(struct victim *victim, int64_t *killed, int64_t *gone);
void victim_destroy(struct victim *victim);

#endif /* PINDROP_TOOL_VICTIM_H */
