// SPDX-License-Identifier: MIT
/* Memory that the device can reach. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_SIZE (UINT64_C(2) << 20)

/* 0 if it does not fit. */
static uint64_t round_length(uint64_t length, uint32_t flags)
{
	uint64_t unit = flags & PINDROP_ALLOC_HUGE ?
				HUGE_SIZE :
				(uint64_t)sysconf(_SC_PAGESIZE);

	if (length > UINT64_MAX - (unit - 1))
		return 0;
	return (length + unit - 1) / unit * unit;
}

static struct pindrop_buf *buf_create(struct pindrop *dev, uint64_t length)
{
	struct pindrop_buf *buf = calloc(1, sizeof(*buf));

	if (!buf)
		return NULL;
	atomic_init(&buf->refs, 1);
	pthread_mutex_init(&buf->lock, NULL);
	buf->dev = pindrop_ref(dev);
	buf->length = length;
	buf->dmabuf = -1;
	return buf;
}

/* What is imported is mapped where it is from. */
static int map_dmabuf(struct pindrop_buf *buf)
{
	void *data;

	if (buf->length > SIZE_MAX)
		return -ENOMEM;
	data = mmap(NULL, buf->length, PROT_READ | PROT_WRITE, MAP_SHARED,
		    buf->dmabuf, 0);
	if (data == MAP_FAILED)
		return -errno;
	buf->data = data;
	return 0;
}

static void buf_destroy(struct pindrop_buf *buf)
{
	if (buf->dmabuf >= 0)
		close(buf->dmabuf);
	pindrop_unref(buf->dev);
	pthread_mutex_destroy(&buf->lock);
	free(buf);
}

/**
 * pindrop_buf_alloc() - allocate zeroed memory that the device can reach
 * @dev: the device
 * @length: bytes, not 0; rounded up to whole pages, with PINDROP_ALLOC_HUGE to
 *	2 MiB
 * @flags: enum pindrop_alloc_flags
 * @buf: the buffer
 *
 * Makes the caller's address space the owner of @dev if it has none. The
 * memory lives until the last reference is dropped, no mapping of it is left
 * and no job uses it any more.
 *
 * Context: any thread; may block until there is memory.
 * Return: 0, with a reference in @buf that the caller drops with
 * pindrop_buf_unref(); or
 * -EINVAL (@length is 0), -EOPNOTSUPP (@flags), -ENOMEM (none, or none that
 * the device can reach, or more than it ever gives), -EDQUOT (a limit of the
 * context or the user), -EPERM (@dev has another owner), -EOWNERDEAD, -ENODEV
 * (the device is gone), -EINTR (call again).
 */
PINDROP_EXPORT int pindrop_buf_alloc(struct pindrop *dev, uint64_t length,
				     uint32_t flags, struct pindrop_buf **buf)
{
	struct pindrop_alloc args = { .size = sizeof(args), .flags = flags };
	struct pindrop_buf *new;
	int err;

	if (!length)
		return -EINVAL;
	args.length = round_length(length, flags);
	if (!args.length)
		return -ENOMEM;
	new = buf_create(dev, args.length);
	if (!new)
		return -ENOMEM;
	err = pindrop_ioctl(dev, PINDROP_IOC_ALLOC, &args);
	if (err) {
		buf_destroy(new);
		return err;
	}
	new->offset = args.out_offset;
	new->handle = args.out_handle;
	*buf = new;
	return 0;
}

/**
 * pindrop_buf_pin() - let the device reach memory of the program's own
 * @dev: the device
 * @data: where it begins
 * @length: bytes, not 0; both are multiples of INFO's out_pin_align
 * @flags: enum pindrop_pin_flags
 * @buf: the buffer
 *
 * Makes the caller's address space the owner of @dev if it has none. The pages
 * stay in memory, and count against RLIMIT_MEMLOCK, until the last reference
 * is dropped and no job uses them any more. Where the program maps other
 * memory in their place, jobs with @buf are refused with -ESTALE from then on.
 *
 * Context: any thread; takes time with @length.
 * Return: 0, with a reference in @buf that the caller drops with
 * pindrop_buf_unref(); or
 * -EINVAL (@length is 0, alignment, beyond 2^64), -EOPNOTSUPP (@flags, or the
 * device does not reach the memory), -EFAULT (not mapped, not with that
 * access, or nothing that may be pinned), -ENOMEM (none, or more than
 * RLIMIT_MEMLOCK), -EDQUOT (handles), -EPERM (@dev has another owner),
 * -EOWNERDEAD, -ENODEV (the device is gone), -EINTR (call again).
 */
PINDROP_EXPORT int pindrop_buf_pin(struct pindrop *dev, void *data,
				   uint64_t length, uint32_t flags,
				   struct pindrop_buf **buf)
{
	struct pindrop_pin args = {
		.size = sizeof(args),
		.flags = flags,
		.address = (uintptr_t)data,
		.length = length,
	};
	struct pindrop_buf *new;
	int err;

	new = buf_create(dev, length);
	if (!new)
		return -ENOMEM;
	err = pindrop_ioctl(dev, PINDROP_IOC_PIN, &args);
	if (err) {
		buf_destroy(new);
		return err;
	}
	new->handle = args.out_handle;
	new->data = data;
	new->pinned = true;
	*buf = new;
	return 0;
}

/**
 * pindrop_buf_import() - let the device reach what another driver gives away
 * @dev: the device
 * @fd: descriptor of a dma-buf; stays the caller's, and may be closed
 * @buf: the buffer
 *
 * Makes the caller's address space the owner of @dev if it has none. The
 * dma-buf is held until the last reference is dropped and no job uses it any
 * more. Jobs may write it if @fd was opened for writing. Where its exporter
 * takes it back, jobs with @buf fail with -ESTALE from then on.
 *
 * Context: any thread; may block for the exporter.
 * Return: 0, with a reference in @buf that the caller drops with
 * pindrop_buf_unref(); or
 * -EBADF, -EINVAL (no dma-buf), -EOPNOTSUPP (not for this device), -ESTALE,
 * -ENOMEM, -EMFILE, -EDQUOT (a limit of the context or the user), -EPERM (@dev
 * has another owner), -EOWNERDEAD, -ENODEV (the device is gone), -EINTR (call
 * again).
 */
PINDROP_EXPORT int pindrop_buf_import(struct pindrop *dev, int fd,
				      struct pindrop_buf **buf)
{
	struct pindrop_import args = { .size = sizeof(args), .fd = fd };
	struct pindrop_buf *new;
	int err = 0;

	new = buf_create(dev, 0);
	if (!new)
		return -ENOMEM;
	/* For who maps it: that is done there. */
	new->dmabuf = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (new->dmabuf < 0)
		err = -errno;
	if (!err)
		err = pindrop_ioctl(dev, PINDROP_IOC_IMPORT, &args);
	if (err) {
		buf_destroy(new);
		return err;
	}
	new->length = args.out_length;
	new->handle = args.out_handle;
	*buf = new;
	return 0;
}

/**
 * pindrop_buf_export() - give a buffer away, as a dma-buf
 * @buf: the buffer; not pinned, and not PINDROP_ALLOC_COHERENT
 * @fd: a descriptor that the caller closes; not inherited by exec
 *
 * Whoever has it holds the memory: other drivers and other processes, also when
 * this one is gone, or the device is. Of an import it is the same dma-buf.
 *
 * Context: any thread.
 * Return: 0, or -EOPNOTSUPP (pinned or coherent), -ENOMEM, -EMFILE, -ENFILE,
 * -EPERM (not the owner), -EOWNERDEAD, -ENODEV (the device is gone).
 */
PINDROP_EXPORT int pindrop_buf_export(struct pindrop_buf *buf, int *fd)
{
	struct pindrop_export args = {
		.size = sizeof(args),
		.handle = buf->handle,
	};
	int err = pindrop_ioctl(buf->dev, PINDROP_IOC_EXPORT, &args);

	if (!err)
		*fd = args.out_fd;
	return err;
}

/**
 * pindrop_buf_ref() - take a reference
 * @buf: the buffer
 *
 * Context: any thread that holds a reference; does not block.
 * Return: @buf.
 */
PINDROP_EXPORT struct pindrop_buf *pindrop_buf_ref(struct pindrop_buf *buf)
{
	atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
	return buf;
}

/**
 * pindrop_buf_unref() - drop a reference
 * @buf: the buffer, or NULL
 *
 * With the last one the buffer is unmapped and its handle dropped. Jobs that
 * were submitted on it go on: they hold the memory themselves.
 *
 * Context: any thread, each reference once; may block like pindrop_unref().
 * Return: NULL, to be assigned to the variable that held the reference.
 */
PINDROP_EXPORT struct pindrop_buf *pindrop_buf_unref(struct pindrop_buf *buf)
{
	struct pindrop_free args = { .size = sizeof(args) };

	if (!buf || atomic_fetch_sub_explicit(&buf->refs, 1,
					      memory_order_acq_rel) != 1)
		return NULL;
	if (buf->data && !buf->pinned)
		munmap(buf->data, buf->length);
	args.handle = buf->handle;
	/* Refused to a forked child and on a dead device: then it is right. */
	pindrop_ioctl(buf->dev, PINDROP_IOC_FREE, &args);
	buf_destroy(buf);
	return NULL;
}

/**
 * pindrop_buf_map() - where a buffer is in the caller's memory
 * @buf: the buffer
 * @data: the first byte; read and write
 *
 * Mapped when first asked for, unmapped with the last reference. When the
 * device goes, touching the memory raises SIGBUS. Of a pin it is where the
 * program has it; an import is mapped as its exporter does it, if it can
 * be.
 *
 * Context: any thread; does not block.
 * Return: 0, or -ENOMEM, -EPERM (not the owner), -EOWNERDEAD, -ENODEV; of an
 * import, what its exporter says: often -EINVAL, -ENODEV or -EACCES.
 */
PINDROP_EXPORT int pindrop_buf_map(struct pindrop_buf *buf, void **data)
{
	int err = 0;

	pthread_mutex_lock(&buf->lock);
	if (!buf->data && buf->dmabuf >= 0)
		err = map_dmabuf(buf);
	else if (!buf->data)
		err = pindrop_mmap(buf->dev, buf->length,
				   PROT_READ | PROT_WRITE, buf->offset,
				   &buf->data);
	if (!err)
		*data = buf->data;
	pthread_mutex_unlock(&buf->lock);
	return err;
}

/**
 * pindrop_buf_length() - a buffer's size
 * @buf: the buffer
 *
 * Context: any thread; does not block.
 * Return: bytes; what was asked for, rounded up.
 */
PINDROP_EXPORT uint64_t pindrop_buf_length(const struct pindrop_buf *buf)
{
	return buf->length;
}

/**
 * pindrop_buf_offset() - where mmap() of the file finds a buffer
 * @buf: the buffer
 *
 * For those who map it themselves: a part of it, or at a place of their own.
 *
 * Context: any thread; does not block.
 * Return: the offset; of a pin or an import 0.
 */
PINDROP_EXPORT uint64_t pindrop_buf_offset(const struct pindrop_buf *buf)
{
	return buf->offset;
}

/**
 * pindrop_buf_handle() - a buffer's name in a job
 * @buf: the buffer
 *
 * Context: any thread; does not block.
 * Return: the handle, never 0.
 */
PINDROP_EXPORT uint32_t pindrop_buf_handle(const struct pindrop_buf *buf)
{
	return buf->handle;
}

/**
 * pindrop_buf_sync() - begin or end access by the CPU
 * @buf: the buffer
 * @flags: PINDROP_SYNC_BEGIN or PINDROP_SYNC_END, and PINDROP_SYNC_READ,
 *	PINDROP_SYNC_WRITE or both
 * @offset: first byte
 * @length: bytes, not 0
 *
 * Needed where the device does not see the CPU's caches, cheap elsewhere.
 *
 * Context: any thread; of an import the beginning may block for others' jobs.
 * Return: 0, or -EINVAL (@flags, @length, beyond 2^64), -EOPNOTSUPP (unknown
 * flag), -ERANGE (beyond the end), -EPERM (not the owner), -EOWNERDEAD,
 * -ENODEV.
 */
PINDROP_EXPORT int pindrop_buf_sync(struct pindrop_buf *buf, uint32_t flags,
				    uint64_t offset, uint64_t length)
{
	struct pindrop_sync args = {
		.size = sizeof(args),
		.flags = flags,
		.handle = buf->handle,
		.offset = offset,
		.length = length,
	};

	return pindrop_ioctl(buf->dev, PINDROP_IOC_SYNC, &args);
}
