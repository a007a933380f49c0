/* SPDX-License-Identifier: MIT */
/* A trace instance of our own; what it needs is removed with it. */
#ifndef PINDROP_TOOL_TRACEFS_H
#define PINDROP_TOOL_TRACEFS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct tracefs - the instance
 * @root: where tracefs is mounted, or NULL
 * @dir: the instance's directory; empty until it is made
 * @group: group of our kprobe events, which belong to all instances
 * @probes: how many of them are made
 */
struct tracefs {
	const char *root;
	char dir[96];
	char group[40];
	unsigned int probes;
};

int tracefs_create(struct tracefs *tfs);
void tracefs_destroy(struct tracefs *tfs);

int tracefs_event(struct tracefs *tfs, const char *event, const char *filter);
int tracefs_probe(struct tracefs *tfs, const char *function,
		  const char *filter);
int tracefs_stop(struct tracefs *tfs);
int tracefs_read(struct tracefs *tfs, char **text);
int tracefs_overrun(struct tracefs *tfs, uint64_t *events);

#endif /* PINDROP_TOOL_TRACEFS_H */
