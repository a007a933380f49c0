// SPDX-License-Identifier: MIT
/* What the commands' options have in common. */
#include "tool.h"

#include <stdio.h>

/* Takes one of DEVICE_LONG; false if it is none. */
bool device_option(struct device_options *want, int option, const char *arg)
{
	switch (option) {
	case 'd':
		want->node = arg;
		return true;
	case 'e':
		want->engine = arg;
		return true;
	default:
		return false;
	}
}

/* The node that is meant; without options the environment decides. */
int find_device(const struct device_options *want, char *node, size_t size)
{
	int n, err;

	if (want->node) {
		n = snprintf(node, size, "%s", want->node);
		if ((size_t)n < size)
			return EXIT_OK;
		complain("%s: too long for a device node", want->node);
		return EXIT_USAGE;
	}
	err = want->engine ? pindrop_find(want->engine, 0, node, size) :
			     pindrop_find_default(node, size);
	if (!err)
		return EXIT_OK;
	return device_error(err, want->engine);
}

int open_device(const struct device_options *want, struct pindrop **dev)
{
	char node[PINDROP_NODE_MAX];
	int status = find_device(want, node, sizeof(node));
	int err;

	if (status)
		return status;
	err = pindrop_open(node, dev);
	return err ? device_error(err, node) : EXIT_OK;
}

int show_help(const struct command *cmd)
{
	printf("usage: pindrop %s [OPTION]...%s\n\n%s.\n\n%s"
	       "  -h, --help          this text\n",
	       cmd->name, cmd->args, cmd->summary, cmd->options);
	return EXIT_OK;
}

/* The message that says what is wrong, of getopt or another, came before. */
int bad_usage(const struct command *cmd)
{
	fprintf(stderr, "usage: pindrop %s [OPTION]...%s\n"
		"'pindrop %s --help' says more.\n",
		cmd->name, cmd->args, cmd->name);
	return EXIT_USAGE;
}

/* @args are what is left behind the options, and not what @cmd takes. */
int bad_arguments(const struct command *cmd, int count, char **args)
{
	if (*cmd->args)
		complain("%s takes%s, not %d argument%s", cmd->name, cmd->args,
			 count, count == 1 ? "" : "s");
	else
		complain("%s takes no argument '%s'", cmd->name, args[0]);
	return bad_usage(cmd);
}
