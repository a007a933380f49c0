// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verbs: one table, and one place that copies structures in and out.
 * Handlers see kernel memory only.
 */
#include "pindrop.h"

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/* Bytes whose caches are maintained before SYNC leaves the gate. */
#define SYNC_STEP SZ_1M

/* What EXPORT is to put behind the descriptor that it tells of. */
struct export_args {
	struct pindrop_export uapi;
	struct dma_buf *dmabuf;
};

union pindrop_args {
	u32 size;
	struct pindrop_info info;
	struct pindrop_alloc alloc;
	struct pindrop_pin pin;
	struct pindrop_import import;
	struct export_args export;
	struct pindrop_free free;
	struct pindrop_sync sync;
	struct pindrop_submit_call submit;
	struct pindrop_wait wait;
	struct pindrop_ring_setup ring_setup;
	struct pindrop_ring_enter ring_enter;
};

/**
 * struct pindrop_verb_ops - one verb
 * @size: sizeof its structure
 * @min: up to the end of its last mandatory field
 * @out: it has something to write back
 * @out_on_error: also on errors
 * @run: does it
 * @undo: takes it back when the structure cannot be written back
 * @commit: what must not happen before it is
 */
struct pindrop_verb_ops {
	u32 size;
	u32 min;
	bool out;
	bool out_on_error;
	int (*run)(struct pindrop_ctx *ctx, union pindrop_args *args);
	void (*undo)(struct pindrop_ctx *ctx, union pindrop_args *args);
	void (*commit)(struct pindrop_ctx *ctx, union pindrop_args *args);
};

static const struct pindrop_verb_ops verbs[PINDROP_VERB_NR]; /* below */

static u64 verb_mask(void)
{
	u64 mask = 0;
	unsigned int i;

	for (i = 0; i < PINDROP_VERB_NR; i++)
		if (verbs[i].run)
			mask |= BIT_ULL(i);
	return mask;
}

static int verb_info(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	struct pindrop_info *info = &args->info;
	struct pindrop_dev *dev = ctx->dev;

	if (info->flags)
		return -EOPNOTSUPP;
	if (memchr_inv(&info->out_verbs, 0,
		       sizeof(*info) - offsetof(typeof(*info), out_verbs)))
		return -EINVAL;
	info->out_verbs = verb_mask();
	info->out_caps = dev->limits.caps | dev->caps;
	info->out_iommu = dev->iommu;
	info->out_channels = dev->limits.channels;
	info->out_align = dev->limits.align;
	info->out_depth = dev->limits.depth;
	info->out_max_piece = dev->limits.max_piece;
	info->out_piece_ms = dev->limits.piece_ms;
	info->out_dma_bits = dev->limits.dma_bits;
	info->out_devmem = dev->limits.devmem;
	info->out_max_alloc = PINDROP_MAX_ALLOC;
	info->out_max_jobs = PINDROP_MAX_JOBS;
	info->out_max_queued = PINDROP_MAX_QUEUED;
	info->out_max_handles = PINDROP_MAX_HANDLES;
	info->out_pin_align = pindrop_pin_align(dev);
	info->out_max_ring = PINDROP_MAX_RING;
	info->out_max_cq = PINDROP_MAX_CQ;
	strscpy_pad(info->out_engine, dev->limits.name,
		    sizeof(info->out_engine));
	strscpy_pad(info->out_device, dev->parent_name,
		    sizeof(info->out_device));
	return 0;
}

static int alloc_check_flags(u32 flags)
{
	const u32 huge = PINDROP_HUGE ? PINDROP_ALLOC_HUGE : 0;

	if (flags & ~(PINDROP_ALLOC_CONTIG | PINDROP_ALLOC_COHERENT | huge))
		return -EOPNOTSUPP;
	/* Coherent memory comes as it comes. */
	if ((flags & PINDROP_ALLOC_COHERENT) && (flags & PINDROP_ALLOC_HUGE))
		return -EOPNOTSUPP;
	return 0;
}

static int verb_alloc(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	struct pindrop_alloc *a = &args->alloc;
	struct pindrop_buf *buf;
	int err;

	err = alloc_check_flags(a->flags);
	if (err)
		return err;
	if (a->out_offset || a->out_handle || a->reserved || !a->length ||
	    !IS_ALIGNED(a->length, a->flags & PINDROP_ALLOC_HUGE ? PMD_SIZE :
								   PAGE_SIZE))
		return -EINVAL;
	if (a->length > PINDROP_MAX_ALLOC)
		return -ENOMEM;
	err = pindrop_ctx_bind(ctx);
	if (err)
		return err;
	buf = pindrop_buf_alloc(ctx, a->length, a->flags);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	err = pindrop_offset_alloc(buf);
	if (err) {
		pindrop_buf_put(buf);
		return err;
	}
	a->out_offset = (u64)buf->pgoff << PAGE_SHIFT;
	return pindrop_buf_publish(ctx, buf, &a->out_handle);
}

static void undo_alloc(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	pindrop_buf_drop_handle(ctx, args->alloc.out_handle);
}

static int verb_pin(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	unsigned int align = pindrop_pin_align(ctx->dev);
	struct pindrop_pin *p = &args->pin;
	struct pindrop_buf *buf;
	u64 end;
	int err;

	if (p->flags & ~PINDROP_PIN_WRITE)
		return -EOPNOTSUPP;
	if (p->out_handle || p->reserved || !p->length ||
	    !IS_ALIGNED(p->address | p->length, align) ||
	    check_add_overflow(p->address, p->length, &end))
		return -EINVAL;
	err = pindrop_ctx_bind(ctx);
	if (err)
		return err;
	buf = pindrop_pin_create(ctx, p->address, p->length,
				 p->flags & PINDROP_PIN_WRITE);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	return pindrop_buf_publish(ctx, buf, &p->out_handle);
}

static void undo_pin(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	pindrop_buf_drop_handle(ctx, args->pin.out_handle);
}

static int verb_import(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	struct pindrop_import *i = &args->import;
	struct pindrop_buf *buf;
	int err;

	if (i->flags)
		return -EOPNOTSUPP;
	if (i->out_handle || i->out_length)
		return -EINVAL;
	err = pindrop_ctx_bind(ctx);
	if (err)
		return err;
	buf = pindrop_import(ctx, i->fd);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	i->out_length = buf->bytes;
	return pindrop_buf_publish(ctx, buf, &i->out_handle);
}

static void undo_import(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	pindrop_buf_drop_handle(ctx, args->import.out_handle);
}

static int verb_export(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	struct pindrop_export *e = &args->export.uapi;
	struct pindrop_buf *buf;
	struct dma_buf *dmabuf;
	int err;

	if (e->flags)
		return -EOPNOTSUPP;
	if (e->out_fd)
		return -EINVAL;
	err = pindrop_ctx_check_owner(ctx);
	if (err)
		return err;
	buf = pindrop_buf_get_handle(ctx, e->handle);
	if (!buf) /* dying contexts have none */
		return pindrop_ctx_dead_errno(ctx) ?: -ENOENT;
	dmabuf = pindrop_export(buf);
	pindrop_buf_put(buf);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	e->out_fd = get_unused_fd_flags(O_CLOEXEC);
	if (e->out_fd < 0) {
		dma_buf_put(dmabuf);
		return e->out_fd;
	}
	args->export.dmabuf = dmabuf;
	return 0;
}

static void undo_export(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	put_unused_fd(args->export.uapi.out_fd);
	dma_buf_put(args->export.dmabuf);
}

/* From here on it is the program's, and anybody's who guesses its number. */
static void commit_export(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	fd_install(args->export.uapi.out_fd, args->export.dmabuf->file);
}

static int verb_free(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	int err = pindrop_ctx_check_owner(ctx);

	return err ?: pindrop_buf_drop_handle(ctx, args->free.handle);
}

static int sync_check(const struct pindrop_sync *s)
{
	const u32 when = PINDROP_SYNC_BEGIN | PINDROP_SYNC_END;
	const u32 what = PINDROP_SYNC_READ | PINDROP_SYNC_WRITE;
	u64 end;

	if (s->flags & ~(when | what))
		return -EOPNOTSUPP;
	if (s->reserved || hweight32(s->flags & when) != 1 ||
	    !(s->flags & what) || !s->length ||
	    check_add_overflow(s->offset, s->length, &end))
		return -EINVAL;
	return 0;
}

static enum dma_data_direction sync_dir(u32 flags)
{
	switch (flags & (PINDROP_SYNC_READ | PINDROP_SYNC_WRITE)) {
	case PINDROP_SYNC_READ:
		return DMA_FROM_DEVICE;
	case PINDROP_SYNC_WRITE:
		return DMA_TO_DEVICE;
	default:
		return DMA_BIDIRECTIONAL;
	}
}

/*
 * Removal waits for the gate and takes the mappings away behind it, so each
 * step enters it anew, and is short.
 */
static int sync_step(struct pindrop_buf *buf, u64 offset, u64 length,
		     bool begin)
{
	int idx;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (!pindrop_enter(buf->dev, &idx))
		return -ENODEV;
	pindrop_buf_sync(buf, offset, length, begin, DMA_BIDIRECTIONAL);
	pindrop_exit(buf->dev, idx);
	cond_resched();
	return 0;
}

static int verb_sync(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	const struct pindrop_sync *s = &args->sync;
	bool begin = s->flags & PINDROP_SYNC_BEGIN;
	struct pindrop_buf *buf;
	int err;
	u64 at;

	err = sync_check(s);
	if (!err)
		err = pindrop_ctx_check_owner(ctx);
	if (err)
		return err;
	buf = pindrop_buf_get_handle(ctx, s->handle);
	if (!buf) /* dying contexts have none */
		return pindrop_ctx_dead_errno(ctx) ?: -ENOENT;
	if (s->offset + s->length > buf->bytes) {
		err = -ERANGE;
	} else if (buf->import) {
		err = pindrop_import_sync(buf, begin, sync_dir(s->flags));
		pindrop_buf_put(buf);
		return err;
	}
	for (at = 0; !err && at < s->length; at += SYNC_STEP)
		err = sync_step(buf, s->offset + at,
				min_t(u64, s->length - at, SYNC_STEP), begin);
	pindrop_buf_put(buf);
	return err;
}

static int verb_submit(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	return pindrop_submit(ctx, &args->submit);
}

/* The jobs are queued, and stay so. */
static void undo_submit(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	pindrop_fence_undo(&args->submit);
}

static void commit_submit(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	pindrop_fence_install(&args->submit);
}

static int verb_wait(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	return pindrop_wait(ctx, &args->wait);
}

static int verb_ring_setup(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	return pindrop_ring_setup(ctx, &args->ring_setup);
}

static void undo_ring_setup(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	pindrop_ring_undo(ctx);
}

static void commit_ring_setup(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	pindrop_ring_commit(ctx);
}

static int verb_ring_enter(struct pindrop_ctx *ctx, union pindrop_args *args)
{
	return pindrop_ring_enter(ctx, &args->ring_enter);
}

/* Whole words: see args_get(). */
#define VERB(type, last)                                              \
	.size = sizeof(struct type) +                                 \
		BUILD_BUG_ON_ZERO(sizeof(struct type) % sizeof(u64)), \
	.min = offsetofend(struct type, last)

/* A verb that is not here answers -ENOTTY; INFO's out_verbs says the same. */
static const struct pindrop_verb_ops verbs[PINDROP_VERB_NR] = {
	[PINDROP_VERB_INFO] = {
		VERB(pindrop_info, flags),
		.out = true,
		.run = verb_info,
	},
	[PINDROP_VERB_ALLOC] = {
		VERB(pindrop_alloc, reserved),
		.out = true,
		.run = verb_alloc,
		.undo = undo_alloc,
	},
	[PINDROP_VERB_PIN] = {
		VERB(pindrop_pin, reserved),
		.out = true,
		.run = verb_pin,
		.undo = undo_pin,
	},
	[PINDROP_VERB_IMPORT] = {
		VERB(pindrop_import, out_length),
		.out = true,
		.run = verb_import,
		.undo = undo_import,
	},
	[PINDROP_VERB_EXPORT] = {
		VERB(pindrop_export, out_fd),
		.out = true,
		.run = verb_export,
		.undo = undo_export,
		.commit = commit_export,
	},
	[PINDROP_VERB_FREE] = {
		VERB(pindrop_free, handle),
		.run = verb_free,
	},
	[PINDROP_VERB_SYNC] = {
		VERB(pindrop_sync, length),
		.run = verb_sync,
	},
	[PINDROP_VERB_SUBMIT] = {
		VERB(pindrop_submit, out_last),
		.out = true,
		.out_on_error = true,
		.run = verb_submit,
		.undo = undo_submit,
		.commit = commit_submit,
	},
	[PINDROP_VERB_WAIT] = {
		VERB(pindrop_wait, out_failed),
		.out = true,
		.out_on_error = true,
		.run = verb_wait,
	},
	[PINDROP_VERB_RING_SETUP] = {
		VERB(pindrop_ring_setup, reserved),
		.out = true,
		.run = verb_ring_setup,
		.undo = undo_ring_setup,
		.commit = commit_ring_setup,
	},
	[PINDROP_VERB_RING_ENTER] = {
		VERB(pindrop_ring_enter, timeout_ns),
		.run = verb_ring_enter,
	},
};

/*
 * A structure of ours, word by word: a general copy takes more than some verbs
 * do. Of another size it is an older or newer program's.
 */
static int args_get(union pindrop_args *args, u32 want, const void __user *user,
		    u32 size)
{
	const u64 __user *from = user;
	u64 *to = (u64 *)args;
	u32 i;

	if (size != want)
		return copy_struct_from_user(args, want, user, size);
	if (!user_read_access_begin(user, size))
		return -EFAULT;
	for (i = 0; i < size / sizeof(*to); i++)
		unsafe_get_user(to[i], &from[i], fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

/**
 * pindrop_ioctl() - the file's ioctl, native and 32-bit
 * @file: an open node
 * @cmd: PINDROP_IOC_*
 * @arg: address of the verb's structure
 *
 * Context: a user process.
 * Return: 0, of RING_ENTER a count, or an errno of the uapi header.
 */
long pindrop_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct pindrop_ctx *ctx = file->private_data;
	const struct pindrop_verb_ops *verb;
	void __user *user = (void __user *)arg;
	union pindrop_args args; /* of which a verb sees its own size */
	u32 size;
	int err;

	if (_IOC_TYPE(cmd) != PINDROP_IOC_TYPE || _IOC_DIR(cmd) ||
	    _IOC_SIZE(cmd) || _IOC_NR(cmd) >= PINDROP_VERB_NR)
		return -ENOTTY;
	verb = &verbs[_IOC_NR(cmd)];
	if (!verb->run)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < verb->min)
		return -EINVAL;
	/* Looking for what is not 0 in there takes time. */
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = args_get(&args, verb->size, user, size);
	if (err)
		return err;
	args.size = size;
	err = verb->run(ctx, &args);
	/* What is done and has no answer cannot fail for want of a place for it. */
	if (!verb->out || (err && !verb->out_on_error))
		return err;
	if (!copy_to_user(user, &args, min(size, verb->size))) {
		if (!err && verb->commit)
			verb->commit(ctx, &args);
		return err;
	}
	if (!err && verb->undo)
		verb->undo(ctx, &args);
	return err ?: -EFAULT;
}
