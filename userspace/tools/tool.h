/* SPDX-License-Identifier: MIT */
/* What the commands of the pindrop tool share. */
#ifndef PINDROP_TOOL_H
#define PINDROP_TOOL_H

#include <getopt.h>
#include <stdbool.h>

#include <libpindrop.h>

/* Exit statuses; in pindrop(1), too. */
enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DEVICE = 3,
	EXIT_VERDICT_NO = 4,
};

/**
 * struct command - a command of the tool
 * @name: what the user types
 * @args: what follows the options, for the usage line
 * @summary: one line
 * @options: help text of its own options, or ""
 * @run: gets its own argv, "pindrop " and the name first; returns an exit status
 */
struct command {
	const char *name;
	const char *args;
	const char *summary;
	const char *options;
	int (*run)(const struct command *self, int argc, char **argv);
};

extern const struct command cmd_bench;
extern const struct command cmd_copy;
extern const struct command cmd_demo;
extern const struct command cmd_info;
extern const struct command cmd_status;

/**
 * struct device_options - the device that the user asked for
 * @node: path, or NULL
 * @engine: name, or NULL
 */
struct device_options {
	const char *node;
	const char *engine;
};

/* Options that several commands have; parse_option() does these. */
#define DEVICE_SHORT "d:e:"
#define DEVICE_LONG                                                       \
	{ "device", required_argument, NULL, 'd' },                       \
	{ "engine", required_argument, NULL, 'e' }
#define DEVICE_HELP                                                       \
	"  -d, --device NODE   this device, such as /dev/pindrop0\n"     \
	"  -e, --engine NAME   the first device of this engine\n"

/* options.c */
bool device_option(struct device_options *want, int option, const char *arg);
int find_device(const struct device_options *want, char *node, size_t size);
int open_device(const struct device_options *want, struct pindrop **dev);
int show_help(const struct command *cmd);
int bad_usage(const struct command *cmd);
int bad_arguments(const struct command *cmd, int count, char **args);

/* message.c */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
int file_error(int err, const char *path);
int device_error(int err, const char *node);

#endif /* PINDROP_TOOL_H */
