/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the kernels we build for, and nothing else. The
 * sources are written for the newest; this file makes the older ones look
 * like it.
 */
#ifndef PINDROP_COMPAT_H
#define PINDROP_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "pindrop needs Linux 6.1 or later"
#endif

#include <linux/mm.h>
#include <linux/pci.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

#endif /* PINDROP_COMPAT_H */
