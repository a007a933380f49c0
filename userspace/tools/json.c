// SPDX-License-Identifier: MIT
#include "json.h"

#include <inttypes.h>
#include <math.h>

static bool is_between(unsigned char c, unsigned char low, unsigned char high)
{
	return c >= low && c <= high;
}

/*
 * The length of the UTF-8 sequence of more than one byte at @text, 0 if there
 * is none: too long for what it says, a surrogate, or above U+10FFFF (RFC 3629).
 */
static size_t utf8_length(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	unsigned char low = 0x80, high = 0xbf;
	size_t i, length;

	if (is_between(c[0], 0xc2, 0xdf))
		length = 2;
	else if (is_between(c[0], 0xe0, 0xef))
		length = 3;
	else if (is_between(c[0], 0xf0, 0xf4))
		length = 4;
	else
		return 0;
	/* Only the second byte has narrower limits, after four first ones. */
	if (c[0] == 0xe0)
		low = 0xa0;
	else if (c[0] == 0xed)
		high = 0x9f;
	else if (c[0] == 0xf0)
		low = 0x90;
	else if (c[0] == 0xf4)
		high = 0x8f;
	for (i = 1; i < length; i++) {
		if (!is_between(c[i], low, high))
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return length;
}

/*
 * JSON is UTF-8, paths and names of processes are any bytes: a byte that
 * belongs to no character becomes the replacement character.
 */
static void write_string(struct json *json, const char *text)
{
	size_t length;

	fputc('"', json->out);
	while (*text) {
		unsigned char c = *text;

		length = c < 0x80 ? 1 : utf8_length(text);
		if (!length)
			fputs("\\ufffd", json->out);
		else if (c == '"' || c == '\\')
			fprintf(json->out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(json->out, "\\u%04x", c);
		else
			fwrite(text, 1, length, json->out);
		text += length ? length : 1;
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
	/* JSON has no words for the others. */
	if (isfinite(value))
		fprintf(json->out, "%.1f", value);
	else
		fputs("null", json->out);
}

void json_bool(struct json *json, const char *name, bool value)
{
	start(json, name);
	fputs(value ? "true" : "false", json->out);
}
