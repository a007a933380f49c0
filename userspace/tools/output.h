/* SPDX-License-Identifier: MIT */
/* A file that appears whole or not at all. */
#ifndef PINDROP_TOOL_OUTPUT_H
#define PINDROP_TOOL_OUTPUT_H

/**
 * struct output - a file being written
 * @fd: where to write
 * @path: what it will be called; NULL for what cannot be replaced (a pipe, a
 *	terminal, a device), which is written directly
 * @temp: what it is called until then
 */
struct output {
	int fd;
	char *path;
	char *temp;
};

int output_open(struct output *out, const char *path);
int output_commit(struct output *out);
void output_abort(struct output *out);

#endif /* PINDROP_TOOL_OUTPUT_H */
