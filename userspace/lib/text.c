// SPDX-License-Identifier: MIT
/* Words for errors. */
#define _GNU_SOURCE /* strerrordesc_np */
#include "private.h"

#include <errno.h>
#include <string.h>

static const char *system_text(int err)
{
	const char *text;

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
	text = strerrordesc_np(err);
#else
	text = strerror(err);
#endif
	return text ? text : "unknown error";
}

/**
 * pindrop_strerror() - what an error of this library means
 * @err: what a function returned; the sign does not matter
 *
 * Context: any thread; does not block.
 * Return: a string that lives for ever, never NULL.
 */
PINDROP_EXPORT const char *pindrop_strerror(int err)
{
	if (err < 0)
		err = -err;
	switch (err) {
	case ENOENT:
		return "no such device node or buffer";
	case ENODEV:
		return "no such device, or it is gone";
	case ENXIO:
		return "the node has no device behind it";
	case EPERM:
		return "the context belongs to another process";
	case EOWNERDEAD:
		return "the process that owned the context is dead";
	case EOPNOTSUPP:
		return "this device or driver cannot do that";
	case ENOTTY:
		return "not a pindrop device, or a verb the driver lacks";
	case EINVAL:
		return "an argument is wrong, zero or misaligned";
	case E2BIG:
		return "the driver is older than the program";
	case ERANGE:
		return "beyond the end of a buffer or of the device's memory";
	case ENOMEM:
		return "no memory that the device can reach";
	case EDQUOT:
		return "a limit of the context or of the user is reached";
	case EBUSY:
		return "the device's own memory is in use by another context";
	case EIO:
		return "the device failed the job, or hangs";
	case ECANCELED:
		return "cancelled with its context";
	case ESTALE:
		return "the memory was replaced, or taken back";
	case ETIME:
		return "not finished in time";
	case ENODATA:
		return "so long ago that its result is forgotten";
	default:
		return system_text(err);
	}
}

/**
 * pindrop_version() - the version of this library
 *
 * Context: any thread; does not block.
 * Return: a string that lives for ever.
 */
PINDROP_EXPORT const char *pindrop_version(void)
{
	return PINDROP_VERSION;
}
