// SPDX-License-Identifier: MIT
/*
 * Strings in JSON, byte for byte: UTF-8 stays, control characters are escaped,
 * and what is no UTF-8 is replaced, so that any parser takes any of it.
 */
#define _GNU_SOURCE /* open_memstream */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tools/json.h"

#define BAD "\\ufffd"

static const struct {
	const char *name;
	const char *text;
	const char *json;
} strings[] = {
	{ "nothing", "", "" },
	{ "ASCII", "/dev/pindrop0", "/dev/pindrop0" },
	{ "quote and backslash", "a\"b\\c", "a\\\"b\\\\c" },
	{ "control characters", "\x01\t\n\x1f\x7f",
	  "\\u0001\\u0009\\u000a\\u001f\\u007f" },
	{ "two bytes", "Ger\xc3\xa4t", "Ger\xc3\xa4t" },
	{ "three bytes", "\xe2\x82\xac", "\xe2\x82\xac" },
	{ "four bytes", "\xf0\x9f\x93\x8c", "\xf0\x9f\x93\x8c" },
	{ "first and last of each length",
	  "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
	  "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
	{ "around the surrogates", "\xed\x9f\xbf\xee\x80\x80",
	  "\xed\x9f\xbf\xee\x80\x80" },
	{ "Latin-1", "Ger\xe4t", "Ger" BAD "t" },
	{ "continuation alone", "\x80\xbf", BAD BAD },
	{ "too long for '/'", "\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf",
	  BAD BAD BAD BAD BAD BAD BAD BAD BAD },
	{ "surrogate", "\xed\xa0\x80", BAD BAD BAD },
	{ "above U+10FFFF", "\xf4\x90\x80\x80\xf5", BAD BAD BAD BAD BAD },
	{ "never in UTF-8", "\xfe\xff", BAD BAD },
	{ "cut off at the end", "a\xf0\x9f\x93", "a" BAD BAD BAD },
	{ "cut off by a character", "\xe2\x82x\xc3\xa4", BAD BAD "x\xc3\xa4" },
	{ "cut off by a quote", "\xc3\"", BAD "\\\"" },
};

static bool same(const char *name, const char *wanted, const char *got)
{
	if (!strcmp(wanted, got))
		return true;
	printf("not ok: json: %s\n  wanted %s\n  got    %s\n", name, wanted,
	       got);
	return false;
}

/* As a name and as a value. */
static bool check_string(const char *name, const char *text, const char *wanted)
{
	char *got = NULL, *all = NULL;
	struct json json = {};
	size_t size;
	bool ok;

	json.out = open_memstream(&got, &size);
	if (!json.out || asprintf(&all, "{\n  \"%s\": \"%s\"\n}\n", wanted,
				  wanted) < 0)
		abort();
	json_open(&json, NULL, '{');
	json_string(&json, text, text);
	json_close(&json, '}');
	fclose(json.out);
	ok = same(name, all, got);
	free(got);
	free(all);
	return ok;
}

static bool check_number(const char *name, double value, const char *wanted)
{
	struct json json = {};
	char *got = NULL;
	size_t size;
	bool ok;

	json.out = open_memstream(&got, &size);
	if (!json.out)
		abort();
	json_number(&json, NULL, value);
	fclose(json.out);
	ok = same(name, wanted, got);
	free(got);
	return ok;
}

int main(void)
{
	bool ok = true;
	size_t i, n = sizeof(strings) / sizeof(strings[0]);

	for (i = 0; i < n; i++)
		ok &= check_string(strings[i].name, strings[i].text,
				   strings[i].json);
	ok &= check_number("a number", 1.25, "1.2");
	ok &= check_number("no number", NAN, "null");
	ok &= check_number("infinity", INFINITY, "null");
	if (ok)
		printf("ok: json: %zu strings\n", n);
	return !ok;
}
