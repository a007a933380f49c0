// SPDX-License-Identifier: MIT
#include "json.h"

#include <inttypes.h>

static void write_string(struct json *json, const char *text)
{
	fputc('"', json->out);
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '"' || c == '\\')
			fprintf(json->out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(json->out, "\\u%04x", c);
		else
			fputc(c, json->out);
	}
	fputc('"', json->out);
}

/* Comma, line, indentation and name: what comes before any value. */
static void start(struct json *json, const char *name)
{
	unsigned int bit = 1u << json->depth;

	if (json->filled & bit)
		fputc(',', json->out);
	json->filled |= bit;
	if (json->depth)
		fprintf(json->out, "\n%*s", 2 * (int)json->depth, "");
	if (name) {
		write_string(json, name);
		fputs(": ", json->out);
	}
}

void json_open(struct json *json, const char *name, char bracket)
{
	start(json, name);
	fputc(bracket, json->out);
	json->depth++;
	json->filled &= ~(1u << json->depth);
}

void json_close(struct json *json, char bracket)
{
	bool filled = json->filled & 1u << json->depth;

	json->depth--;
	if (filled)
		fprintf(json->out, "\n%*s", 2 * (int)json->depth, "");
	fputc(bracket, json->out);
	if (!json->depth)
		fputc('\n', json->out);
}

void json_string(struct json *json, const char *name, const char *value)
{
	start(json, name);
	write_string(json, value);
}

void json_uint(struct json *json, const char *name, uint64_t value)
{
	start(json, name);
	fprintf(json->out, "%" PRIu64, value);
}

void json_int(struct json *json, const char *name, int64_t value)
{
	start(json, name);
	fprintf(json->out, "%" PRId64, value);
}

void json_number(struct json *json, const char *name, double value)
{
	start(json, name);
	fprintf(json->out, "%.1f", value);
}

void json_bool(struct json *json, const char *name, bool value)
{
	start(json, name);
	fputs(value ? "true" : "false", json->out);
}
