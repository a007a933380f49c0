/* SPDX-License-Identifier: MIT */
/* Writing JSON, one call per value; names are NULL inside arrays. */
#ifndef PINDROP_TOOL_JSON_H
#define PINDROP_TOOL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * struct json - a document being written
 * @out: where to
 * @depth: objects and arrays that are open
 * @filled: bit n: something has been written at depth n
 */
struct json {
	FILE *out;
	unsigned int depth;
	unsigned int filled;
};

void json_open(struct json *json, const char *name, char bracket);
void json_close(struct json *json, char bracket);
void json_string(struct json *json, const char *name, const char *value);
void json_uint(struct json *json, const char *name, uint64_t value);
void json_int(struct json *json, const char *name, int64_t value);
void json_number(struct json *json, const char *name, double value);
void json_bool(struct json *json, const char *name, bool value);

#endif /* PINDROP_TOOL_JSON_H */
