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

#include <linux/kconfig.h>

#if !IS_ENABLED(CONFIG_MMU_NOTIFIER) || !IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)
#error "pindrop needs CONFIG_MMU_NOTIFIER and CONFIG_DMA_SHARED_BUFFER"
#endif

/*
 * Whether a fence can be a file descriptor. Kernels for virtual machines are built
 * without graphics, and so without this. Kbuild leaves sync_file.c out there.
 */
#define PINDROP_SYNC_FILE IS_ENABLED(CONFIG_SYNC_FILE)

#include <linux/dma-fence.h>
#include <linux/dma-map-ops.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/hugetlb_inline.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/timer.h>

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

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync(timer) del_timer_sync(timer)
#endif

/* For tests in modules of their own, where the kernel has KUnit. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define EXPORT_SYMBOL_FOR_KUNIT(symbol)
#else
#include <kunit/visibility.h>
#define EXPORT_SYMBOL_FOR_KUNIT(symbol) EXPORT_SYMBOL_IF_KUNIT(symbol)
#endif

/* An exporter that wants its memory back calls this of its importers. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define PINDROP_REVOKED(revoked) .move_notify = revoked
#define pindrop_take_back(dmabuf) dma_buf_move_notify(dmabuf)
#else
#define PINDROP_REVOKED(revoked) .invalidate_mappings = revoked
#define pindrop_take_back(dmabuf) dma_buf_invalidate_mappings(dmabuf)
#endif

/* Whether a dma-buf's lock is held where it is mapped for the CPU. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define pindrop_vmap(dmabuf, map) dma_buf_vmap(dmabuf, map)
#define pindrop_vunmap(dmabuf, map) dma_buf_vunmap(dmabuf, map)
#else
#define pindrop_vmap(dmabuf, map) dma_buf_vmap_unlocked(dmabuf, map)
#define pindrop_vunmap(dmabuf, map) dma_buf_vunmap_unlocked(dmabuf, map)
#endif

/* The name of a namespace became a string. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define PINDROP_IMPORT_NS(name) MODULE_IMPORT_NS(name)
#else
#define PINDROP_IMPORT_NS(name) MODULE_IMPORT_NS(#name)
#endif

/* What makes it somebody's; of no use but to compare. */
static inline const struct dma_fence_ops *
pindrop_fence_ops(struct dma_fence *fence)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
	return fence->ops;
#else
	return rcu_access_pointer(fence->ops);
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define eventfd_signal(ctx) eventfd_signal(ctx, 1)
#endif

/* Whether dirty is a flag of the page, and no business of a file system's. */
static inline bool pindrop_may_dirty(struct page *page)
{
	struct folio *folio = page_folio(page);

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	if (PageHuge(page))
		return true;
#endif
	return folio_test_anon(folio) || folio_test_swapbacked(folio) ||
	       folio_test_hugetlb(folio) || !folio->mapping;
}

/*
 * Pins pages of the caller for long. Newer kernels refuse pages of a file
 * system that keeps track of what is dirty for writing: it would not be told.
 * Before 6.2 what is pinned for reading only was left to others by the
 * program's next write to it, unless it was pinned as if for writing; where
 * that is not allowed it is shared memory, and is not.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
static inline int pindrop_pin_pages(unsigned long address, int n, bool write,
				    struct page **pages)
{
	int got, i;

	if (!write) {
		/* Forced, it would not see that it may not be read. */
		got = pin_user_pages_fast(address, n, FOLL_LONGTERM, pages);
		if (got <= 0)
			return got;
		unpin_user_pages(pages, got);
		n = got;
	}
	got = pin_user_pages_fast(address, n,
				  FOLL_LONGTERM | FOLL_WRITE |
					  (write ? 0 : FOLL_FORCE),
				  pages);
	if (!write && got == -EFAULT)
		return pin_user_pages_fast(address, n, FOLL_LONGTERM, pages);
	for (i = 0; write && i < got; i++) {
		if (pindrop_may_dirty(pages[i]))
			continue;
		unpin_user_pages(pages, got);
		return -EFAULT;
	}
	return got;
}
#else
static inline int pindrop_pin_pages(unsigned long address, int n, bool write,
				    struct page **pages)
{
	return pin_user_pages_fast(address, n,
				   FOLL_LONGTERM | (write ? FOLL_WRITE : 0),
				   pages);
}
#endif

/* Before 6.7 a huge page that is not there is faulted in whatever the flags. */
static inline bool pindrop_may_fault(struct mm_struct *mm,
				     unsigned long address, int n)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	unsigned long end = address + ((unsigned long)n << PAGE_SHIFT);
	struct vm_area_struct *vma;

	while ((vma = find_vma(mm, address)) && vma->vm_start < end) {
		if (is_vm_hugetlb_page(vma))
			return true;
		address = vma->vm_end;
	}
#endif
	return false;
}

/* Pins pages of a borrowed address space, if that needs no fault. */
static inline long pindrop_pin_borrowed(struct mm_struct *mm,
					unsigned long address, int n,
					bool write, struct page **pages)
{
	unsigned int flags = FOLL_NOFAULT | (write ? FOLL_WRITE : 0);

	if (pindrop_may_fault(mm, address, n))
		return -EFAULT;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return pin_user_pages_remote(mm, address, n, flags, pages, NULL, NULL);
#else
	return pin_user_pages_remote(mm, address, n, flags, pages, NULL);
#endif
}

/*
 * Huge entries: 6.12 is the first kernel here that asks the handler of an area
 * which is not a file system's. Where it does not, ALLOC_HUGE is refused.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0) && \
	IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && \
	IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP)
#define PINDROP_HUGE 1
#else
#define PINDROP_HUGE 0
#endif

#if PINDROP_HUGE
#include <linux/huge_mm.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#define pindrop_insert_pmd(vmf, pfn, write) \
	vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV), write)
#else
#define pindrop_insert_pmd(vmf, pfn, write) vmf_insert_pfn_pmd(vmf, pfn, write)
#endif
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

/*
 * A platform driver's remove returned something. PINDROP_PLATFORM_REMOVE() makes
 * what PINDROP_REMOVE() names.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define PINDROP_PLATFORM_REMOVE(remove)                       \
	static int remove##_int(struct platform_device *pdev) \
	{                                                     \
		remove(pdev);                                 \
		return 0;                                     \
	}
#define PINDROP_REMOVE(remove) remove##_int
#else
#define PINDROP_PLATFORM_REMOVE(remove)
#define PINDROP_REMOVE(remove) remove
#endif

/* The function behind an attribute of the class; its arguments became const. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define PINDROP_CLASS_SHOW(name)                                  \
	static ssize_t name##_show(struct class *class,           \
				   struct class_attribute *attr, char *buf)
#else
#define PINDROP_CLASS_SHOW(name)                                  \
	static ssize_t name##_show(const struct class *class,     \
				   const struct class_attribute *attr, \
				   char *buf)
#endif

/* Whether a device can have dma_map_ops of its own; the symbol was renamed. */
#define PINDROP_DMA_OPS \
	(IS_ENABLED(CONFIG_ARCH_HAS_DMA_OPS) || IS_ENABLED(CONFIG_DMA_OPS))

/*
 * dma_map_ops that map by physical address. Before, it was by page:
 * PINDROP_MAP_BY_PAGE() makes one function of the other.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define PINDROP_MAP_BY_PAGE(map)                                              \
	static dma_addr_t map##_page(struct device *dev, struct page *page,   \
				     unsigned long offset, size_t size,       \
				     enum dma_data_direction dir,             \
				     unsigned long attrs)                     \
	{                                                                     \
		return map(dev, page_to_phys(page) + offset, size, dir,       \
			   attrs);                                            \
	}
#define PINDROP_MAP_OPS(map, unmap) \
	.map_page = map##_page, .unmap_page = unmap
#else
#define PINDROP_MAP_BY_PAGE(map)
#define PINDROP_MAP_OPS(map, unmap) .map_phys = map, .unmap_phys = unmap
#endif

#endif /* PINDROP_COMPAT_H */
