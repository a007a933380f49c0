// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ring's memory and what belongs to it: RING_SETUP, mmap, and the end of both.
 * What is done with its entries is ring.c's.
 */
#include "pindrop.h"

#include <linux/capability.h>
#include <linux/cpumask.h>
#include <linux/eventfd.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define RING_MAX_IDLE_US USEC_PER_SEC
#define RING_DEFAULT_IDLE_US 1000

static void ring_free(struct kref *ref)
{
	struct pindrop_ring *ring = container_of(ref, struct pindrop_ring, ref);
	struct pindrop_job *job, *next;
	unsigned long i;

	list_for_each_entry_safe(job, next, &ring->kept, kept) {
		pindrop_user_uncharge(ring->user, PINDROP_QUOTA_JOBS, 1);
		pindrop_job_put(job);
	}
	list_for_each_entry_safe(job, next, &ring->spare, node)
		pindrop_job_put(job);
	if (ring->eventfd)
		eventfd_ctx_put(ring->eventfd);
	vunmap(ring->shared);
	for (i = 0; ring->pages && i < ring->npages && ring->pages[i]; i++)
		__free_page(ring->pages[i]);
	kvfree(ring->pages);
	pindrop_user_uncharge(ring->user, PINDROP_QUOTA_BYTES,
			      ring->npages << PAGE_SHIFT);
	pindrop_user_put(ring->user);
	kfree(ring);
}

/**
 * pindrop_ring_put() - drop a reference
 * @ring: the ring
 *
 * Context: process context, under mmap_lock too; may sleep.
 */
void pindrop_ring_put(struct pindrop_ring *ring)
{
	kref_put(&ring->ref, ring_free);
}

static int ring_alloc_pages(struct pindrop_ring *ring)
{
	unsigned long i;

	ring->pages = kvcalloc(ring->npages, sizeof(*ring->pages),
			       GFP_KERNEL_ACCOUNT);
	if (!ring->pages)
		return -ENOMEM;
	for (i = 0; i < ring->npages; i++) {
		ring->pages[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!ring->pages[i])
			return -ENOMEM;
	}
	ring->shared = vmap(ring->pages, ring->npages, VM_MAP, PAGE_KERNEL);
	return ring->shared ? 0 : -ENOMEM;
}

static u32 ring_sqes_at(void)
{
	return sizeof(struct pindrop_ring_header);
}

static u32 ring_cqes_at(const struct pindrop_ring *ring)
{
	return ring_sqes_at() + ring->entries * sizeof(*ring->sqes);
}

static struct pindrop_ring *ring_create(struct pindrop_ctx *ctx, u32 entries,
					u32 cq_entries)
{
	struct pindrop_user *user = ctx->user;
	struct pindrop_ring *ring;
	int err;

	ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	kref_init(&ring->ref); /* the context's */
	ring->entries = entries;
	ring->cq_entries = cq_entries;
	ring->npages =
		PFN_UP(ring_cqes_at(ring) + cq_entries * sizeof(*ring->cqes));
	init_waitqueue_head(&ring->wait);
	INIT_LIST_HEAD(&ring->kept);
	INIT_LIST_HEAD(&ring->spare);
	err = pindrop_user_charge(user, PINDROP_QUOTA_BYTES,
				  ring->npages << PAGE_SHIFT,
				  pindrop_user_max_bytes());
	if (err) {
		kfree(ring);
		return ERR_PTR(err);
	}
	ring->user = user;
	kref_get(&user->ref); /* the ring's: a VMA may outlive the context */
	err = ring_alloc_pages(ring);
	if (err) {
		pindrop_ring_put(ring);
		return ERR_PTR(err);
	}
	ring->sqes = (void *)ring->shared + ring_sqes_at();
	ring->cqes = (void *)ring->shared + ring_cqes_at(ring);
	return ring;
}

static bool ring_size_ok(u32 entries, u32 max)
{
	return is_power_of_2(entries) && entries <= max;
}

static int setup_check(struct pindrop_ctx *ctx,
		       const struct pindrop_ring_setup *a)
{
	if (a->flags &
	    ~(PINDROP_RING_THREAD | PINDROP_RING_CPU | PINDROP_RING_EVENTFD))
		return -EOPNOTSUPP;
	if (a->out_offset || a->out_length || a->out_cq_entries ||
	    a->out_sqes || a->out_cqes || a->reserved)
		return -EINVAL;
	if (!ring_size_ok(a->entries, PINDROP_MAX_RING) ||
	    (a->cq_entries && !ring_size_ok(a->cq_entries, PINDROP_MAX_CQ)) ||
	    a->channel >= ctx->dev->limits.channels)
		return -EINVAL;
	if (!(a->flags & PINDROP_RING_THREAD) &&
	    (a->idle_us || (a->flags & PINDROP_RING_CPU)))
		return -EINVAL;
	if (a->idle_us > RING_MAX_IDLE_US ||
	    (a->eventfd && !(a->flags & PINDROP_RING_EVENTFD)))
		return -EINVAL;
	if (!(a->flags & PINDROP_RING_CPU) && a->cpu)
		return -EINVAL;
	/* The thread's processor time is not charged to the owner's cgroup. */
	if ((a->flags & PINDROP_RING_THREAD) && !READ_ONCE(ctx->dev->threads) &&
	    !capable(CAP_SYS_NICE))
		return -EPERM;
	if (!(a->flags & PINDROP_RING_CPU))
		return 0;
	if (a->cpu >= nr_cpu_ids || !cpu_online(a->cpu))
		return -EINVAL;
	/* Nobody gets a processor this way that they may not run on. */
	return cpumask_test_cpu(a->cpu, current->cpus_ptr) ? 0 : -EINVAL;
}

static int ring_equip(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
		      const struct pindrop_ring_setup *args)
{
	bool bound = args->flags & PINDROP_RING_CPU;
	struct eventfd_ctx *eventfd;

	ring->pin_limit = ULONG_MAX;
	if (!capable(CAP_IPC_LOCK))
		ring->pin_limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	ring->chan = &ctx->dev->chans[args->channel];
	ring->idle_ns = (args->idle_us ?: RING_DEFAULT_IDLE_US) * 1000ULL;
	if (args->flags & PINDROP_RING_EVENTFD) {
		eventfd = eventfd_ctx_fdget(args->eventfd);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
		ring->eventfd = eventfd;
	}
	if (!(args->flags & PINDROP_RING_THREAD))
		return 0;
	return pindrop_ring_thread_create(ctx, ring,
					  bound ? (int)args->cpu : -1);
}

/**
 * pindrop_ring_setup() - RING_SETUP
 * @ctx: the context
 * @args: see the uapi header
 *
 * Nobody finds the ring before pindrop_ring_commit().
 *
 * Context: a user process; binds, so no lock may be held.
 * Return: 0 or an errno of the uapi header.
 */
int pindrop_ring_setup(struct pindrop_ctx *ctx, struct pindrop_ring_setup *args)
{
	struct pindrop_ring *ring;
	int err;

	err = setup_check(ctx, args);
	if (!err)
		err = pindrop_ctx_bind(ctx);
	if (!err)
		err = pindrop_order_create(ctx);
	if (err)
		return err;
	if (atomic_cmpxchg(&ctx->ring_taken, 0, 1))
		return -EBUSY;
	ring = ring_create(ctx, args->entries,
			   args->cq_entries ?: 2 * args->entries);
	if (IS_ERR(ring)) {
		atomic_set(&ctx->ring_taken, 0);
		return PTR_ERR(ring);
	}
	/* Ours alone until it is given up or committed. */
	ctx->ring_new = ring;
	err = ring_equip(ctx, ring, args);
	if (err) {
		pindrop_ring_undo(ctx);
		return err;
	}
	args->out_offset = (u64)PINDROP_RING_PGOFF << PAGE_SHIFT;
	args->out_length = (u64)ring->npages << PAGE_SHIFT;
	args->out_cq_entries = ring->cq_entries;
	args->out_sqes = ring_sqes_at();
	args->out_cqes = ring_cqes_at(ring);
	return 0;
}

/**
 * pindrop_ring_commit() - the program knows of its ring: it may be used
 * @ctx: the context, by whose pindrop_ring_setup() it was made
 *
 * Context: process context.
 */
void pindrop_ring_commit(struct pindrop_ctx *ctx)
{
	struct pindrop_ring *ring = ctx->ring_new;

	ctx->ring_new = NULL;
	spin_lock_irq(&ctx->lock);
	/* The end of the context finds the ring, or we the end. */
	WRITE_ONCE(ring->stop, ctx->state != PINDROP_STATE_OPEN);
	/* Pairs with the acquires of those who look for it without the lock. */
	smp_store_release(&ctx->ring, ring);
	spin_unlock_irq(&ctx->lock);
	pindrop_ring_thread_start(ring);
}

/**
 * pindrop_ring_undo() - the program cannot be told of its ring
 * @ctx: the context, by whose pindrop_ring_setup() it was made
 *
 * Context: process context; does not wait for the thread, which ends at once.
 */
void pindrop_ring_undo(struct pindrop_ctx *ctx)
{
	struct pindrop_ring *ring = ctx->ring_new;

	ctx->ring_new = NULL;
	WRITE_ONCE(ring->stop, true);
	pindrop_ring_thread_start(ring);
	pindrop_ring_put(ring);
	/* Whoever takes it next finds ring_new clear. */
	atomic_set_release(&ctx->ring_taken, 0);
}

static void ring_vm_open(struct vm_area_struct *vma)
{
	struct pindrop_ring *ring = vma->vm_private_data;

	kref_get(&ring->ref); /* this VMA's; ring_vm_close() drops it */
}

static void ring_vm_close(struct vm_area_struct *vma)
{
	pindrop_ring_put(vma->vm_private_data);
}

/* Only what the program has given up in between. No gate: it is ours. */
static vm_fault_t ring_vm_fault(struct vm_fault *vmf)
{
	struct pindrop_ring *ring = vmf->vma->vm_private_data;
	unsigned long index = vmf->pgoff - PINDROP_RING_PGOFF;

	if (index >= ring->npages)
		return VM_FAULT_SIGBUS;
	vmf->page = ring->pages[index];
	get_page(vmf->page); /* the page table's */
	return 0;
}

static const struct vm_operations_struct ring_vm_ops = {
	.open = ring_vm_open,
	.close = ring_vm_close,
	.fault = ring_vm_fault,
};

/* The owner; of a dead context, who only reads. */
static int ring_mmap_check(struct pindrop_ctx *ctx, struct vm_area_struct *vma)
{
	int err = pindrop_ctx_check_owner(ctx);

	if (!err || err == -EPERM)
		return err;
	if (vma->vm_flags & VM_WRITE)
		return err;
	vm_flags_clear(vma, VM_MAYWRITE);
	return 0;
}

/**
 * pindrop_ring_mmap() - map a context's ring
 * @ctx: the context
 * @vma: the new area, at PINDROP_RING_PGOFF or behind; shared, not executable
 *
 * All of it is put in at once: nothing ever takes it out.
 *
 * Context: mmap_lock held for write.
 * Return: 0 or -EINVAL, -EPERM, -EOWNERDEAD, -ENODEV, -ENOMEM.
 */
int pindrop_ring_mmap(struct pindrop_ctx *ctx, struct vm_area_struct *vma)
{
	/* Pairs with the release in pindrop_ring_commit(). */
	struct pindrop_ring *ring = smp_load_acquire(&ctx->ring);
	unsigned long index = vma->vm_pgoff - PINDROP_RING_PGOFF;
	unsigned long n = vma_pages(vma);
	int err;

	err = ring_mmap_check(ctx, vma);
	if (err)
		return err;
	if (!ring || index >= ring->npages || n > ring->npages - index)
		return -EINVAL;
	vm_flags_clear(vma, VM_MAYEXEC);
	vm_flags_set(vma,
		     VM_MIXEDMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	err = vm_insert_pages(vma, vma->vm_start, ring->pages + index, &n);
	if (err)
		return err;
	vma->vm_private_data = ring;
	vma->vm_ops = &ring_vm_ops;
	ring_vm_open(vma);
	return 0;
}
