// SPDX-License-Identifier: MIT
/* Errors go to stderr, with what to do about them where we know. */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(const char *format, va_list args)
{
	fputs("pindrop: ", stderr);
	vfprintf(stderr, format, args);
}

void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* A file, or anything else of the system's; gives back the exit status. */
int file_error(int err, const char *path)
{
	complain("%s: %s", path, strerror(-err));
	return EXIT_FAILED;
}

static bool is_no_device(int err)
{
	return err == -ENOENT || err == -ENODEV || err == -ENXIO;
}

/* A device, NULL for none in particular; gives back the exit status. */
int device_error(int err, const char *node)
{
	complain("%s: %s", node ? node : "no device", pindrop_strerror(err));
	if (is_no_device(err))
		fputs("Is the module loaded that drives the hardware? pindrop(4) has one for each kind;\n"
		      "'modprobe pindrop_sim' makes a device without any, to try it out.\n"
		      "'ls /sys/class/pindrop' shows which devices there are, 'dmesg' why one is missing.\n",
		      stderr);
	else if (err == -EACCES)
		fputs("Be root or in the group of the node: 'pindrop' where its udev rule is installed, which\n"
		      "'usermod --append --groups pindrop USER' joins from the next login on (pindrop(4)).\n",
		      stderr);
	return is_no_device(err) ? EXIT_NO_DEVICE : EXIT_FAILED;
}
