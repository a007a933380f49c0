// SPDX-License-Identifier: GPL-2.0-only
/*
 * What user space maps: the status window at offset 0, buffers at the offsets
 * that ALLOC gave, and rings, which ring.c has. Of buffers, page table entries
 * are put in by the fault handlers only, behind the gate: what mmap() itself
 * puts in can survive a zap that runs at the same time. open and close count,
 * and do nothing else.
 */
#include "pindrop.h"

#include <linux/compat.h>
#include <linux/dma-map-ops.h>
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>

#include "trace.h"

static void window_open(struct vm_area_struct *vma)
{
	struct pindrop_status *status = vma->vm_private_data;

	kref_get(&status->ref); /* this VMA's; window_close() drops it */
}

static void window_close(struct vm_area_struct *vma)
{
	pindrop_status_put(vma->vm_private_data);
}

/* No gate: it is memory of ours, and stays readable without a device. */
static vm_fault_t window_fault(struct vm_fault *vmf)
{
	struct pindrop_status *status = vmf->vma->vm_private_data;

	if (vmf->pgoff >= PINDROP_WINDOW_PAGES)
		return VM_FAULT_SIGBUS;
	return vmf_insert_pfn(vmf->vma, vmf->address,
			      PHYS_PFN(virt_to_phys(status->page)) +
				      vmf->pgoff);
}

static const struct vm_operations_struct window_vm_ops = {
	.open = window_open,
	.close = window_close,
	.fault = window_fault,
};

static int window_mmap(struct pindrop_ctx *ctx, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff + vma_pages(vma) > PINDROP_WINDOW_PAGES)
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
	vm_flags_clear(vma, VM_MAYWRITE | VM_MAYEXEC);
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = ctx->status;
	vma->vm_ops = &window_vm_ops;
	window_open(vma);
	return 0;
}

static void buf_vm_open(struct vm_area_struct *vma)
{
	struct pindrop_buf *buf = vma->vm_private_data;

	kref_get(&buf->ref); /* this VMA's; buf_vm_close() drops it */
	trace_pindrop_vm_open(buf, atomic_inc_return(&buf->vmas));
}

static void buf_vm_close(struct vm_area_struct *vma)
{
	struct pindrop_buf *buf = vma->vm_private_data;

	trace_pindrop_vm_close(buf, atomic_dec_return(&buf->vmas));
	pindrop_buf_put(buf);
}

static vm_fault_t buf_fault_pfn(struct vm_area_struct *vma, unsigned long addr,
				struct page **pages, unsigned long n)
{
	vm_fault_t ret = VM_FAULT_NOPAGE;

	for (; n && ret == VM_FAULT_NOPAGE; n--, pages++, addr += PAGE_SIZE)
		ret = vmf_insert_pfn(vma, addr, page_to_pfn(*pages));
	return ret;
}

/* Entries that are there already end the batch: somebody was faster. */
static vm_fault_t buf_fault_pages(struct vm_area_struct *vma,
				  unsigned long addr, struct page **pages,
				  unsigned long n)
{
	int err = vm_insert_pages(vma, addr, pages, &n);

	if (!err || err == -EBUSY)
		return VM_FAULT_NOPAGE;
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

static vm_fault_t buf_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct pindrop_buf *buf = vma->vm_private_data;
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long index = vmf->pgoff - buf->pgoff;
	unsigned long end, n;
	vm_fault_t ret;
	int idx;

	if (index >= buf->npages)
		return VM_FAULT_SIGBUS;
	/* All of a page table; the next 2 MiB may have an entry of that size. */
	end = pmd_addr_end(addr, vma->vm_end);
	n = min(buf->npages - index, (end - addr) >> PAGE_SHIFT);
	if (!pindrop_enter(buf->dev, &idx))
		return VM_FAULT_SIGBUS;
	if (vma->vm_flags & VM_PFNMAP)
		ret = buf_fault_pfn(vma, addr, buf->pages + index, n);
	else
		ret = buf_fault_pages(vma, addr, buf->pages + index, n);
	pindrop_exit(buf->dev, idx);
	return ret;
}

#if PINDROP_HUGE
/* 2 MiB at once, where buffer and area both allow; else page by page. */
static vm_fault_t buf_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct pindrop_buf *buf = vma->vm_private_data;
	unsigned long addr = vmf->address & PMD_MASK;
	unsigned long index;
	vm_fault_t ret;
	int idx;

	if (!(buf->flags & PINDROP_ALLOC_HUGE) || order != PMD_ORDER ||
	    addr < vma->vm_start || addr + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	index = linear_page_index(vma, addr) - buf->pgoff;
	if (!IS_ALIGNED(index, HPAGE_PMD_NR) ||
	    index + HPAGE_PMD_NR > buf->npages)
		return VM_FAULT_FALLBACK;
	if (!pindrop_enter(buf->dev, &idx))
		return VM_FAULT_SIGBUS;
	ret = pindrop_insert_pmd(vmf, page_to_pfn(buf->pages[index]),
				 vma->vm_flags & VM_WRITE);
	pindrop_exit(buf->dev, idx);
	return ret;
}
#endif

static const struct vm_operations_struct buf_vm_ops = {
	.open = buf_vm_open,
	.close = buf_vm_close,
	.fault = buf_fault,
#if PINDROP_HUGE
	.huge_fault = buf_huge_fault,
#endif
};

/* The buffer of this context that lies at an offset, with a reference. */
static struct pindrop_buf *buf_find(struct pindrop_ctx *ctx,
				    unsigned long pgoff)
{
	struct interval_tree_node *place;
	struct pindrop_buf *buf = NULL;

	spin_lock_irq(&ctx->lock);
	place = interval_tree_iter_first(&ctx->places, pgoff, pgoff);
	if (place) {
		buf = container_of(place, struct pindrop_buf, place);
		kref_get(&buf->ref); /* the caller's; the handle has one */
	}
	spin_unlock_irq(&ctx->lock);
	return buf;
}

/* The area takes over the reference. */
static void buf_vm_set(struct pindrop_buf *buf, struct vm_area_struct *vma)
{
	if (buf->flags & (PINDROP_ALLOC_COHERENT | PINDROP_ALLOC_HUGE)) {
		vm_flags_set(vma, VM_PFNMAP);
		if (buf->cpu && !dev_is_dma_coherent(buf->dev->dma_dev))
			vma->vm_page_prot =
				pgprot_dmacoherent(vma->vm_page_prot);
	} else {
		vm_flags_set(vma, VM_MIXEDMAP);
	}
	vm_flags_clear(vma, VM_MAYEXEC);
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = buf; /* the reference goes along */
	vma->vm_ops = &buf_vm_ops;
	atomic_inc(&buf->vmas);
	trace_pindrop_buf_map(buf, vma_pages(vma));
}

static int buf_mmap(struct pindrop_ctx *ctx, struct vm_area_struct *vma)
{
	struct pindrop_buf *buf;
	int err;

	err = pindrop_ctx_check_owner(ctx);
	if (err)
		return err;
	buf = buf_find(ctx, vma->vm_pgoff);
	if (!buf)
		return -EINVAL;
	if (vma->vm_pgoff - buf->pgoff + vma_pages(vma) >
	    buf->npages) {
		pindrop_buf_put(buf);
		return -EINVAL;
	}
	buf_vm_set(buf, vma);
	return 0;
}

/**
 * pindrop_mmap_shared() - mmap of a dma-buf of ours
 * @buf: the buffer
 * @vma: the new area, within the buffer
 *
 * For whoever has the dma-buf: that is what it is for.
 *
 * Context: mmap_lock held for write.
 * Return: 0 or -EINVAL, -EACCES, -ENODEV, as of the file.
 */
int pindrop_mmap_shared(struct pindrop_buf *buf, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (READ_ONCE(buf->dev->closed))
		return -ENODEV;
	/* The fault handlers know it by where it is in our own file. */
	vma->vm_pgoff += buf->pgoff;
	kref_get(&buf->ref); /* this VMA's; buf_vm_close() drops it */
	buf_vm_set(buf, vma);
	return 0;
}

/**
 * pindrop_mmap() - the file's mmap
 * @file: an open node
 * @vma: the new area
 *
 * Context: mmap_lock held for write.
 * Return: 0 or -EINVAL, -EACCES, -EPERM, -EOWNERDEAD, -ENODEV; see the uapi
 * header.
 */
int pindrop_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct pindrop_ctx *ctx = file->private_data;

	/* VM_SHARED is not set in a shared mapping of a read-only file. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (vma->vm_pgoff < PINDROP_FIRST_PGOFF)
		return window_mmap(ctx, vma);
	if (vma->vm_pgoff >= PINDROP_RING_PGOFF)
		return pindrop_ring_mmap(ctx, vma);
	return buf_mmap(ctx, vma);
}

#if PINDROP_HUGE
/**
 * pindrop_get_unmapped_area() - the file's get_unmapped_area: for huge entries
 * @file: an open node
 * @addr: what the program asks for
 * @len: bytes
 * @pgoff: where in the file
 * @flags: of mmap()
 *
 * The kernel aligns nothing for programs of 32 bits, whose addresses are few.
 * Here one is looked for that has room enough to align in; where there is none,
 * small entries have to do.
 *
 * Context: mmap_lock held for write.
 * Return: where there is room, or an error.
 */
unsigned long pindrop_get_unmapped_area(struct file *file, unsigned long addr,
					unsigned long len, unsigned long pgoff,
					unsigned long flags)
{
	unsigned long at = thp_get_unmapped_area(file, addr, len, pgoff, flags);
	unsigned long off = pgoff << PAGE_SHIFT, room;

	if (!in_compat_syscall() || addr || (flags & MAP_FIXED) ||
	    IS_ERR_VALUE(at) || len < PMD_SIZE ||
	    IS_ALIGNED(at - off, PMD_SIZE))
		return at;
	room = thp_get_unmapped_area(file, 0, len + PMD_SIZE - PAGE_SIZE, pgoff,
				     flags);
	if (IS_ERR_VALUE(room))
		return at;
	return room + ((off - room) & (PMD_SIZE - 1));
}
#endif

/**
 * pindrop_zap() - take all buffers out of user space's page tables
 * @ctx: a context whose node's inode the caller keeps; the gate is shut, so that
 *	no fault puts them back
 *
 * Context: may sleep; no lock held.
 */
void pindrop_zap(struct pindrop_ctx *ctx)
{
	unmap_mapping_range(ctx->mapping,
			    (loff_t)PINDROP_FIRST_PGOFF << PAGE_SHIFT,
			    (loff_t)(PINDROP_RING_PGOFF - PINDROP_FIRST_PGOFF)
				    << PAGE_SHIFT,
			    1);
}
