// SPDX-License-Identifier: MIT
/* An open device: opening, references, what it is. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int pindrop_ioctl(const struct pindrop *dev, unsigned int verb, void *args)
{
	return ioctl(dev->fd, verb, args) < 0 ? -errno : 0;
}

/* Of a verb that returns a number. */
int pindrop_ioctl_count(const struct pindrop *dev, unsigned int verb,
			void *args)
{
	int n = ioctl(dev->fd, verb, args);

	return n < 0 ? -errno : n;
}

int pindrop_mmap(const struct pindrop *dev, uint64_t length, int prot,
		 uint64_t offset, void **data)
{
	void *at;

	if (length > SIZE_MAX)
		return -ENOMEM;
	at = mmap(NULL, length, prot, MAP_SHARED, dev->fd, offset);
	if (at == MAP_FAILED)
		return -errno;
	*data = at;
	return 0;
}

/* INFO is the one question that every driver of this interface answers. */
static int check_node(struct pindrop *dev)
{
	struct pindrop_info info;
	struct stat st;
	int err;

	if (fstat(dev->fd, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode))
		return -ENOTTY;
	err = pindrop_get_info(dev, &info, sizeof(info));
	return err;
}

/**
 * pindrop_open() - open a device by its node
 * @node: path, such as /dev/pindrop0
 * @dev: the device
 *
 * The file is closed on exec. It has no owner yet: that is the first address
 * space that allocates or submits.
 *
 * Context: any thread; may block like open(2).
 * Return: 0, with a reference in @dev that the caller drops with
 * pindrop_unref(); or
 * -ENOENT (no such node), -ENXIO (a node without a device), -EACCES (no
 * permission), -ENODEV (the device is going), -EDQUOT (the user has too many
 * files of this driver open), -ENOTTY (not a node of this driver), -EINVAL
 * (the driver is older than this library), -ENOMEM, -EMFILE, -ENFILE, -EINTR.
 */
PINDROP_EXPORT int pindrop_open(const char *node, struct pindrop **dev)
{
	struct pindrop *new;
	int err;

	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	atomic_init(&new->refs, 1);
	pthread_mutex_init(&new->lock, NULL);
	new->fd = -1;
	new->node = strdup(node);
	if (!new->node) {
		err = -ENOMEM;
		goto err_unref;
	}
	new->fd = open(node, O_RDWR | O_CLOEXEC);
	if (new->fd < 0) {
		err = -errno;
		goto err_unref;
	}
	err = check_node(new);
	if (err)
		goto err_unref;
	*dev = new;
	return 0;

err_unref:
	pindrop_unref(new);
	return err;
}

/**
 * pindrop_open_engine() - open the first device of an engine
 * @engine: name of the engine, such as "edu"
 * @dev: the device
 *
 * Context: any thread; may block like open(2).
 * Return: as pindrop_open(), and as pindrop_find().
 */
PINDROP_EXPORT int pindrop_open_engine(const char *engine,
				       struct pindrop **dev)
{
	char node[PINDROP_NODE_MAX];
	int err = pindrop_find(engine, 0, node, sizeof(node));

	return err ? err : pindrop_open(node, dev);
}

/**
 * pindrop_open_default() - open the device that the environment asks for
 * @dev: the device
 *
 * The choice is pindrop_find_default()'s.
 *
 * Context: any thread that does not change the environment meanwhile; may block like
 * open(2).
 * Return: as pindrop_open(), and as pindrop_find_default().
 */
PINDROP_EXPORT int pindrop_open_default(struct pindrop **dev)
{
	char node[PINDROP_NODE_MAX];
	int err = pindrop_find_default(node, sizeof(node));

	return err ? err : pindrop_open(node, dev);
}

/**
 * pindrop_ref() - take a reference
 * @dev: the device
 *
 * Context: any thread that holds a reference; does not block.
 * Return: @dev.
 */
PINDROP_EXPORT struct pindrop *pindrop_ref(struct pindrop *dev)
{
	atomic_fetch_add_explicit(&dev->refs, 1, memory_order_relaxed);
	return dev;
}

/**
 * pindrop_unref() - drop a reference
 * @dev: the device, or NULL
 *
 * With the last reference, those of its buffers included, the file is closed,
 * which waits until the hardware is quiet; the window is unmapped before.
 *
 * Context: any thread, each reference once; the last one may block for the time of
 * a few pieces (INFO's out_piece_ms).
 * Return: NULL, to be assigned to the variable that held the reference.
 */
PINDROP_EXPORT struct pindrop *pindrop_unref(struct pindrop *dev)
{
	if (!dev || atomic_fetch_sub_explicit(&dev->refs, 1,
					      memory_order_acq_rel) != 1)
		return NULL;
	if (dev->window)
		munmap(dev->window, PINDROP_WINDOW_SIZE);
	if (dev->fd >= 0)
		close(dev->fd);
	pthread_mutex_destroy(&dev->lock);
	free(dev->node);
	free(dev);
	return NULL;
}

/**
 * pindrop_fd() - the file behind a device
 * @dev: the device
 *
 * For poll() and epoll: readable when jobs have finished that no wait has
 * reported yet; hung up when the owner is dead or the device gone.
 *
 * Context: any thread; does not block.
 * Return: the file descriptor; it stays the library's.
 */
PINDROP_EXPORT int pindrop_fd(const struct pindrop *dev)
{
	return dev->fd;
}

/**
 * pindrop_node() - the path a device was opened by
 * @dev: the device
 *
 * Context: any thread; does not block.
 * Return: a string that lives as long as @dev.
 */
PINDROP_EXPORT const char *pindrop_node(const struct pindrop *dev)
{
	return dev->node;
}

/**
 * pindrop_get_info() - ask what a device is and can do
 * @dev: the device
 * @info: filled in
 * @size: sizeof(*@info), at least 8
 *
 * What the driver does not know of @info is 0. Works on a device that is gone.
 *
 * Context: any thread; does not block.
 * Return: 0, or -EINVAL (@size), -EFAULT.
 */
PINDROP_EXPORT int pindrop_get_info(struct pindrop *dev,
				    struct pindrop_info *info, size_t size)
{
	if (size < offsetof(struct pindrop_info, out_verbs))
		return -EINVAL;
	memset(info, 0, size);
	info->size = size;
	return pindrop_ioctl(dev, PINDROP_IOC_INFO, info);
}
