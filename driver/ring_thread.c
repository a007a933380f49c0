// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread that consumes a ring. It belongs to itself: it holds its context,
 * its ring and this module, ends when it is told to, and nobody waits for
 * that. What it allocates is charged to the memory cgroup that the owner was in
 * when he asked for it.
 */
#include "pindrop.h"

#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

/* Until memory is asked for again. */
#define NOMEM_MS 10

/* What a thread is started with; it frees it. */
struct ring_job {
	struct pindrop_ctx *ctx;
	struct pindrop_ring *ring;
	struct mem_cgroup *memcg; /* the thread's reference; may be NULL */
};

static bool thread_wanted(struct pindrop_ctx *ctx, struct pindrop_ring *ring)
{
	return READ_ONCE(ring->stop) || READ_ONCE(ring->kicked) ||
	       pindrop_ring_ready(ctx, ring);
}

static void thread_set_stalled(struct pindrop_ctx *ctx,
			       struct pindrop_ring *ring, bool stalled)
{
	spin_lock_irq(&ctx->lock);
	ring->stalled = stalled;
	spin_unlock_irq(&ctx->lock);
}

/* @err is why there was nothing to do. */
static void thread_sleep(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
			 int err)
{
	u32 flags = PINDROP_SQ_NEED_WAKEUP;

	if (err == -EAGAIN)
		flags |= PINDROP_SQ_NEED_ENTER;
	WRITE_ONCE(ring->shared->sq_flags, flags);
	/* From here on, who makes room wakes us: it does so under the lock. */
	thread_set_stalled(ctx, ring, true);
	/*
	 * Pairs with the program's full barrier between its store of sq_tail
	 * and its look at sq_flags: we see the entry, or it sees the flag.
	 */
	smp_mb();
	if (err == -ENOMEM)
		wait_event_idle_timeout(ring->wait, READ_ONCE(ring->stop),
					msecs_to_jiffies(NOMEM_MS));
	else
		wait_event_idle(ring->wait, thread_wanted(ctx, ring));
	thread_set_stalled(ctx, ring, false);
	WRITE_ONCE(ring->kicked, false);
	ring->asks = READ_ONCE(ring->nback);
	WRITE_ONCE(ring->shared->sq_flags,
		   ring->asks ? PINDROP_SQ_NEED_ENTER : 0);
}

/* The owner was faster than we to sleep: he need not enter any more. */
static void thread_unask(struct pindrop_ring *ring)
{
	if (!ring->asks || READ_ONCE(ring->nback))
		return;
	ring->asks = false;
	WRITE_ONCE(ring->shared->sq_flags, 0);
}

static void thread_serve(struct pindrop_ctx *ctx, struct pindrop_ring *ring)
{
	u64 begin = ktime_get_ns();
	int n;

	while (!READ_ONCE(ring->stop)) {
		thread_unask(ring);
		n = pindrop_ring_consume(ctx, ring, PINDROP_RING_BATCH);
		cond_resched();
		if (n > 0) {
			begin = ktime_get_ns();
		} else if (n != -EAGAIN &&
			   ktime_get_ns() - begin < ring->idle_ns) {
			cpu_relax();
		} else {
			thread_sleep(ctx, ring, n);
			begin = ktime_get_ns();
		}
	}
}

static int thread_run(void *data)
{
	struct ring_job *job = data;
	struct pindrop_ring *ring = job->ring;
	struct mem_cgroup *memcg = job->memcg;
	struct pindrop_ctx *ctx = job->ctx;

	kfree(job);
	set_active_memcg(memcg);
	/*
	 * Not left unstarted: a program can take its time to be told of its
	 * ring, and such a thread would be reported as hung. Pairs with the
	 * release in pindrop_ring_thread_start().
	 */
	wait_event_idle(ring->wait, smp_load_acquire(&ring->started));
	thread_serve(ctx, ring);
	set_active_memcg(NULL);
	mem_cgroup_put(memcg);
	/* For ever: RING_ENTER will say why. */
	WRITE_ONCE(ring->shared->sq_flags, PINDROP_SQ_NEED_WAKEUP);
	pindrop_user_uncharge(ring->user, PINDROP_QUOTA_THREADS, 1);
	pindrop_ring_put(ring);
	pindrop_ctx_put(ctx);
	module_put_and_kthread_exit(0);
}

/* Not running yet, and not known to anybody. */
static struct task_struct *thread_new(struct pindrop_ctx *ctx,
				      struct pindrop_ring *ring)
{
	struct task_struct *task;
	struct ring_job *job;

	job = kmalloc(sizeof(*job), GFP_KERNEL_ACCOUNT);
	if (!job)
		return ERR_PTR(-ENOMEM);
	job->ctx = ctx;
	job->ring = ring;
	job->memcg = get_mem_cgroup_from_mm(current->mm);
	task = kthread_create(thread_run, job, "pindrop/%d",
			      task_tgid_nr(current));
	if (IS_ERR(task)) {
		mem_cgroup_put(job->memcg);
		kfree(job);
	}
	return task;
}

/**
 * pindrop_ring_thread_create() - make the thread of a ring
 * @ctx: its context
 * @ring: the ring
 * @cpu: where it is to run; -1: anywhere
 *
 * It waits to be started, and has to be, if only to be told to stop: it holds
 * references.
 *
 * Context: a user process; may sleep.
 * Return: 0, or -EDQUOT, -ENOMEM, -EINTR (killed), -EINVAL (@cpu went offline;
 * the thread is there).
 */
int pindrop_ring_thread_create(struct pindrop_ctx *ctx,
			       struct pindrop_ring *ring, int cpu)
{
	struct task_struct *task;
	int err;

	err = pindrop_user_charge(ctx->user, PINDROP_QUOTA_THREADS, 1,
				  PINDROP_USER_THREADS);
	if (err)
		return err;
	task = thread_new(ctx, ring);
	if (IS_ERR(task)) {
		pindrop_user_uncharge(ctx->user, PINDROP_QUOTA_THREADS, 1);
		return PTR_ERR(task);
	}
	/* The thread's, all three; thread_run() drops them. */
	kref_get(&ctx->ref);
	kref_get(&ring->ref);
	__module_get(THIS_MODULE);
	ring->threaded = true;
	/* Not by its mask: newer kernels set that when the thread starts. */
	if (cpu >= 0)
		kthread_bind(task, cpu);
	wake_up_process(task);
	return err;
}

/**
 * pindrop_ring_thread_start() - let the thread serve the ring, if there is one
 * @ring: the ring, referenced; its thread was not started before
 *
 * Context: any.
 */
void pindrop_ring_thread_start(struct pindrop_ring *ring)
{
	/* Pairs with the acquire in thread_run(): it sees stop, too. */
	smp_store_release(&ring->started, true);
	/* From here on it may end at any time. */
	wake_up_all(&ring->wait);
}
