// SPDX-License-Identifier: MIT
/* The pindrop command: finds the command that is asked for and runs it. */
#include "tool.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&cmd_info, &cmd_copy, &cmd_demo, &cmd_status, &cmd_bench,
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	size_t i;

	fputs("usage: pindrop COMMAND [OPTION]... [ARGUMENT]...\n\n", out);
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name,
			commands[i]->summary);
	fputs("\n"
	      "'pindrop COMMAND --help' says more. Which device: option -d NODE or -e ENGINE,\n"
	      "else the variable PINDROP_DEV or PINDROP_ENGINE, else the first one.\n",
	      out);
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

/* Given to getopt as the program's name, which begins its messages. */
static char *full_name(const struct command *cmd)
{
	static char name[32];

	snprintf(name, sizeof(name), "pindrop %s", cmd->name);
	return name;
}

static int run(int argc, char **argv)
{
	const struct command *cmd;

	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("pindrop %s\n", pindrop_version());
		return EXIT_OK;
	}
	cmd = find_command(argv[1]);
	if (!cmd) {
		complain("there is no %s '%s'",
			 *argv[1] == '-' ? "option" : "command", argv[1]);
		usage(stderr);
		return EXIT_USAGE;
	}
	argv[1] = full_name(cmd);
	return cmd->run(cmd, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status = run(argc, argv);

	/* Output that did not arrive is not a success. */
	if ((fflush(stdout) || ferror(stdout)) && status == EXIT_OK) {
		perror("pindrop: standard output");
		status = EXIT_FAILED;
	}
	return status;
}
