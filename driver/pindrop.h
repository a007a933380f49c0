/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The objects of the core and the rules they live by.
 *
 * dev    one device instance. Held by its registration, every ctx and buf, and
 *        by the quarantine if it went without proof.
 * owner  one per mm, the only thing that is told when a process's memory
 *        ends. Held by its contexts and its farewell file, through
 *        mmu_notifier_get().
 * ctx    one per open(). Held by the file and by every job.
 * user   one per uid and creator of its user namespace. Held by contexts, buffers,
 *        rings, left blocks, and by the users in namespaces that it created.
 * client one per user of a device: its turns. Held by the user's contexts.
 * buf    memory that jobs name: driver memory, a pin or an import. Held by its handle,
 *        every VMA, every job and every dma-buf that was made of it.
 * imp    what makes a buf of somebody else's dma-buf, and holds that. Part of
 *        its buf.
 * pin    what makes a buf of the owner's own memory: pages that stay where
 *        they are, charged to the mm. Part of its buf, which may be that of
 *        a single job.
 * job    one transfer. Held by its channel until it is retired, and by its ring
 *        while its completion has no room. It holds its ctx and its buffers
 *        until it is retired.
 * chan   one hardware queue, part of dev.
 * batch  jobs of one SUBMIT with fences. Held by each of them until it is
 *        retired, and by who makes them. See fence.c.
 * ring   a context's shared queues. Held by its context, every VMA and its
 *        thread, which also holds the context.
 *
 * A job's memory goes back only when the job is retired, and only proof
 * retires a job: see chain.c.
 *
 * Lock order, outermost first:
 *   the parent's device lock > dev::chain;
 *   mmap_lock > dev::lock > ctx::reaping > owner::lock > dma_resv, of dma-bufs
 *   > chan::lock (irq) > ctx::lock (irq) > our fences' locks > wait queues;
 *   dev::bufs_lock, dev::lease_lock, dev::clients_lock, an import's and a pin's
 *   lock, those of the users, the left blocks, the mmap offsets (a mutex) and the
 *   quarantine's list, and the handle table's own lock are leaves. Foreign fences
 *   are asked, and their callbacks removed, with no spinlock of ours held. The
 *   chain signals fences under dev::chain: no dma_resv and no allocation under it.
 * vm_ops take leaves only. No lock is held over a wait, a user copy or
 * anything that may fault. The gate (dev::gate) is SRCU because it is entered
 * under mmap_lock; a wait, a user copy or a long allocation inside of it
 * would let a program hold remove for ever.
 */
#ifndef PINDROP_H
#define PINDROP_H

#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/interval_tree.h>
#include <linux/irq_work.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/ww_mutex.h>
#include <linux/xarray.h>

#include "compat.h"
#include "engine.h"
#include "../uapi/pindrop.h"

struct dma_buf;
struct dma_resv;
struct pindrop_exported;
struct pindrop_imported;
struct pindrop_offsets;
struct pindrop_order;

/* Builds that lack one protection, to see that a test notices. See BREAKS. */
#define PINDROP_BROKEN(name) __is_defined(PINDROP_BREAK_##name)
#define PINDROP_NO_JOBREF (PINDROP_BROKEN(I1) || PINDROP_BROKEN(jobref))

#define PINDROP_MAX_JOBS 1024 /* of one SUBMIT */
#define PINDROP_MAX_QUEUED 4096 /* unfinished jobs of a context, a power of two */
#define PINDROP_MAX_HANDLES 4096 /* of a context */
#define PINDROP_USER_CONTEXTS 4096 /* of a user */
#define PINDROP_USER_JOBS 65536 /* unfinished jobs of a user */
#define PINDROP_USER_THREADS 64 /* threads that serve a user's rings */
#define PINDROP_USER_COHERENT SZ_64M /* bytes that no cgroup is charged for */
#define PINDROP_MAX_RING 32768 /* entries of a submission ring */
#define PINDROP_MAX_CQ 65536 /* entries of a completion ring */
#define PINDROP_RING_BATCH 32 /* entries taken from a ring in one go */
#define PINDROP_COPY_MAX 2048 /* bytes copied for a job, and not pinned */
#define PINDROP_END_BATCH 10 /* steps of one section with interrupts off */
#define PINDROP_WAKE_SECTIONS 4 /* of which one notifies, in a loop */
#define PINDROP_MAX_ALLOC SZ_1G
#define PINDROP_WINDOW_PAGES 2
/* Buffers are mapped from here on; below is the window. In pages. */
#define PINDROP_FIRST_PGOFF (SZ_1M >> PAGE_SHIFT)
#define PINDROP_LAST_PGOFF ((1ULL << (43 - PAGE_SHIFT)) - 1)
/* Each context's ring, which stays mapped when the buffers are zapped. */
#define PINDROP_RING_PGOFF (PINDROP_LAST_PGOFF + 1)

/* All waits of one death, and of one close, end by then. */
#define PINDROP_DEADLINE_MS 1000
/* A hung channel is asked for proof again every so often. */
#define PINDROP_RETRY_MS 60000U
/* A reset that was busy is tried again so soon. */
#define PINDROP_RESET_RETRY_MS 1000U
/* So long the bus may have a device before its jobs fail. */
#define PINDROP_PAUSE_MS 60000

/**
 * struct pindrop_stats - what sysfs shows; only ever added to and taken from
 * @contexts: contexts that exist
 * @buffers: buffers that exist
 * @bytes: their bytes
 * @inflight: jobs that are not retired
 * @pinned: pages of user memory held
 * @quarantined: bytes kept because the hardware was not proved quiet
 * @jobs_done: jobs that succeeded
 * @jobs_failed: jobs that failed
 * @jobs_cancelled: jobs cancelled with their context
 */
struct pindrop_stats {
	atomic64_t contexts;
	atomic64_t buffers;
	atomic64_t bytes;
	atomic64_t inflight;
	atomic64_t pinned;
	atomic64_t quarantined;
	atomic64_t jobs_done;
	atomic64_t jobs_failed;
	atomic64_t jobs_cancelled;
};

/**
 * enum pindrop_dev_state - the state of a device; see state.c
 * @PINDROP_DEV_RUNNING: requests are issued
 * @PINDROP_DEV_RESETTING: it is being quieted, reset or cut off. Nothing is
 *	issued, interrupts are ignored; only the chain reads the hardware
 * @PINDROP_DEV_CUT: it is cut off from memory, or was reset, and is not proved
 *	idle: a request that ends has not done its work
 * @PINDROP_DEV_FROZEN: the bus has it (reset, AER, suspend): the chain waits
 * @PINDROP_DEV_GONE: the engine is not called any more
 */
enum pindrop_dev_state {
	PINDROP_DEV_RUNNING,
	PINDROP_DEV_RESETTING,
	PINDROP_DEV_CUT,
	PINDROP_DEV_FROZEN,
	PINDROP_DEV_GONE,
};

/**
 * enum pindrop_chan_state - the state of a channel; see state.c
 * @PINDROP_CHAN_RUNNING: takes pieces; idle if none is issued
 * @PINDROP_CHAN_STOPPING: takes none while it is made to stop
 * @PINDROP_CHAN_WEDGED: a piece hangs; takes nothing until it is proved over
 * @PINDROP_CHAN_GONE: the engine is not called any more
 */
enum pindrop_chan_state {
	PINDROP_CHAN_RUNNING,
	PINDROP_CHAN_STOPPING,
	PINDROP_CHAN_WEDGED,
	PINDROP_CHAN_GONE,
};

/**
 * struct pindrop_chan - one hardware queue
 * @dev: its device
 * @id: its number
 * @lock: guards all below, every queue of a ctx on this channel, the
 *	progress of the jobs in them, and the engine's view of the channel
 * @state: its state; written by pindrop_chan_set_state_locked()
 * @budget: steps of the pump, K1 or K8, a job's end each at most, that are left until
 *	@lock is released, which renews it
 * @again: the release of @lock queues @chain
 * @silent: releases of @lock since the last that notified
 * @runq: pindrop_turn::node, users with contexts that have pieces to issue, in
 *	turn
 * @waitq: pindrop_queue::node, contexts whose next job waits for a fence
 * @notify: pindrop_queue::notify, contexts with finished jobs
 * @fences: pindrop_fence::node, fences to signal; the release of @lock sends both
 * @issued: pindrop_piece::node, on the hardware, oldest first
 * @replay: pindrop_piece::node, thrown away, to be issued again, oldest first
 * @free_pieces: pindrop_piece::node
 * @pieces: as many as the hardware is deep
 * @chain: the kill chain's K2 to K8, on dev::wq
 * @watch: queues @chain when nothing else does
 * @watch_set: @watch is armed
 * @watch_due: time for which it is armed (jiffies)
 * @watch_delay: delay with which it was armed (jiffies)
 */
struct pindrop_chan {
	struct pindrop_dev *dev;
	unsigned int id;
	spinlock_t lock;
	enum pindrop_chan_state state;
	unsigned int budget;
	bool again;
	unsigned int silent;
	struct list_head runq;
	struct list_head waitq;
	struct list_head notify;
	struct list_head fences;
	struct list_head issued;
	struct list_head replay;
	struct list_head free_pieces;
	struct pindrop_piece *pieces;
	struct work_struct chain;
	struct timer_list watch;
	bool watch_set;
	unsigned long watch_due;
	unsigned long watch_delay;
};

/**
 * struct pindrop_stall - what a poll of the hardware knows of a standstill
 * @last: when it looked last (jiffies)
 * @count: how often the machine stood still
 */
struct pindrop_stall {
	unsigned long last;
	unsigned int count;
};

/**
 * struct pindrop_failure - a job that fails with -EIO, for the kernel log
 * @reason: in words
 * @ctx: id of its context
 * @ticket: its ticket
 * @chan: number of its channel
 */
struct pindrop_failure {
	const char *reason;
	u64 ctx;
	u64 ticket;
	unsigned int chan;
};

/* As many as are kept until the log has them; others are counted. */
#define PINDROP_FAILURES 8

/**
 * struct pindrop_dev - one device instance
 * @dev: the class device; its reference count is ours
 * @cdev: the node
 * @parent: what the engine is bound to; referenced, bound until unregistration
 *	ends
 * @dma_dev: what does the DMA, mostly the same; as @parent
 * @parent_name: the parent's name, which outlives it
 * @bus: where the names mean something
 * @place: what the hardware is known by there; ours
 * @ops: the engine; not called after unregistration
 * @limits: the engine's figures
 * @engine_name: limits.name, which must outlive the engine's module
 * @engine: the engine's own
 * @has_cut: the engine can cut it off
 * @caps: what the core adds to limits.caps
 * @iommu: enum pindrop_iommu, asked once: it does not change while bound
 * @gate: read-held around register access and queueing
 * @closed: the gate is shut: no entry any more. Written once, before
 *	synchronize_srcu()
 * @chain: held by who runs the kill chain from K2 on, and guards what follows,
 *	up to @lock; some of it is read under the channels' locks. Of the device's own lock only
 *	a try is allowed inside
 * @state: its state; written by pindrop_dev_set_state()
 * @frozen: how often the bus has the device: pauses overlap
 * @pause_end: when its jobs have waited long enough (jiffies)
 * @pause_work: looks at that
 * @isolating: @chain is dropped while the bus resets the device: wait for that
 * @stopping: channels whose K4 is under way, with @chain dropped
 * @unplugged: the bus reports that the hardware has left it
 * @devmem_lost: a reset took what was in the device's memory
 * @reset_pending_ms: a reset is due, as the last one was busy (-EAGAIN), after
 *	this pause; 0: none is
 * @reset_due: when (jiffies)
 * @told: user space was told that it hangs, or will be
 * @news_wedged: how often it has yet to be told
 * @news_running: ... that it works again
 * @tell: does it, and what else the chain may not wait for
 * @failures_lock: guards the next three; innermost
 * @failures: jobs that the log is to have
 * @nfailures: their number
 * @more_failures: how many there were besides
 * @clients: pindrop_client::node, users that have contexts
 * @clients_lock: guards it; a leaf
 * @lock: guards @ctxs and @shares
 * @ctxs: pindrop_ctx::dev_node, contexts whose file is open
 * @shares: pindrop_share::node, dma-bufs of its buffers
 * @lease_lock: guards the next two
 * @lease: id of the context that may use the device's memory, 0: none
 * @lease_chan: on this channel only, whose order the clearing relies on
 * @lease_clean: the memory was zeroed since the lease began; this and the next
 *	under the lock of channel @lease_chan
 * @lease_clearing: the job that does it is not over
 * @lease_broken: a reset took what the tenant had stored, and nobody told him
 * @bufs_lock: guards @bufs
 * @bufs: pindrop_buf::node, buffers mapped for the device
 * @nmapped: their number, waited for by unregistration on @quiet
 * @quiet: woken when @nmapped falls to 0, and when @isolating or @stopping does
 * @offsets: mmap offsets in use; referenced
 * @threads: RING_THREAD does not take CAP_SYS_NICE
 * @zero: zeroed memory the device reads to clear its own, so many pages, and
 *	its bus address
 * @zero_order: see @zero
 * @zero_dma: see @zero
 * @wq: the kill chain
 * @ids: last context or buffer id given out
 * @stats: the counters in sysfs
 * @bounced: bytes that it has in the bounce pool
 * @kept: in the list of devices that went without proof; see quarantine.c
 * @chans: limits->channels of them
 */
struct pindrop_dev {
	struct device dev;
	struct cdev cdev;
	struct device *parent;
	struct device *dma_dev;
	char parent_name[32];
	const struct bus_type *bus;
	char *place;
	const struct pindrop_engine_ops *ops;
	struct pindrop_engine_limits limits;
	char engine_name[16];
	void *engine;
	bool has_cut;
	u64 caps;
	u32 iommu;
	struct srcu_struct gate;
	bool closed;
	struct mutex chain;
	enum pindrop_dev_state state;
	unsigned int frozen;
	unsigned long pause_end;
	struct delayed_work pause_work;
	bool isolating;
	unsigned int stopping;
	bool unplugged;
	bool devmem_lost;
	unsigned int reset_pending_ms;
	unsigned long reset_due;
	bool told;
	atomic_t news_wedged;
	atomic_t news_running;
	spinlock_t failures_lock;
	struct pindrop_failure failures[PINDROP_FAILURES];
	unsigned int nfailures;
	unsigned int more_failures;
	struct work_struct tell;
	struct list_head clients;
	spinlock_t clients_lock;
	struct mutex lock;
	struct list_head ctxs;
	struct list_head shares;
	spinlock_t lease_lock;
	u64 lease;
	unsigned int lease_chan;
	bool lease_clean;
	bool lease_clearing;
	bool lease_broken;
	spinlock_t bufs_lock;
	struct list_head bufs;
	atomic_t nmapped;
	wait_queue_head_t quiet;
	struct pindrop_offsets *offsets;
	bool threads;
	struct page *zero;
	unsigned int zero_order;
	dma_addr_t zero_dma;
	struct workqueue_struct *wq;
	atomic64_t ids;
	struct pindrop_stats stats;
	atomic64_t bounced;
	struct list_head kept;
	struct pindrop_chan *chans;
};

/**
 * struct pindrop_owner - an address space that has bound contexts
 * @mn: the notifier; its count is ours, its mm stays a valid pointer
 * @lock: guards what follows, up to @given
 * @ctxs: pindrop_ctx::owner_node
 * @farewell: the file whose release waits for their end, or NULL if there are
 *	none; a reference of it, which holds the owner. See farewell.c
 * @deadline: end of all waits since the first context of this owner was
 *	stopped (jiffies); means something while one is dying
 * @over: the address space has ended: @deadline stays as it is
 * @given: the farewell file that the hook has given away
 * @begin: when the hook began
 * @killable: the address space was ended by somebody who lives on
 * @backstop: drops the handles if the farewell does not come in time
 * @dying: contexts that are
 * @late_node: in the list of owners to put
 * @late_puts: references to put
 */
struct pindrop_owner {
	struct mmu_notifier mn;
	struct mutex lock;
	struct list_head ctxs;
	struct file *farewell;
	unsigned long deadline;
	bool over;
	struct file *given;
	ktime_t begin;
	bool killable;
	struct delayed_work backstop;
	atomic_t dying;
	struct list_head late_node;
	unsigned int late_puts;
};

/**
 * enum pindrop_quota - resources that each user has a limit of
 * @PINDROP_QUOTA_CONTEXTS: open files
 * @PINDROP_QUOTA_JOBS: jobs that are not retired, and overflowed completions
 * @PINDROP_QUOTA_BYTES: driver memory, imports, rings, and blocks with foreign
 *	references after their buffer was freed
 * @PINDROP_QUOTA_COHERENT: COHERENT memory, which no memory cgroup is charged for
 * @PINDROP_QUOTA_BOUNCED: bytes of the bounce pool
 * @PINDROP_QUOTA_THREADS: threads that serve rings
 * @PINDROP_NR_QUOTAS: their number
 */
enum pindrop_quota {
	PINDROP_QUOTA_CONTEXTS,
	PINDROP_QUOTA_JOBS,
	PINDROP_QUOTA_BYTES,
	PINDROP_QUOTA_COHERENT,
	PINDROP_QUOTA_BOUNCED,
	PINDROP_QUOTA_THREADS,
	PINDROP_NR_QUOTAS,
};

/**
 * struct pindrop_user - charges of a user on all devices together
 * @ref: contexts, buffers, rings, left blocks, and users with this parent
 * @node: in the list of users
 * @uid: its id
 * @parent: the creator of the user namespace, which is charged, too; referenced.
 *	NULL in the initial namespace
 * @held: by enum pindrop_quota
 */
struct pindrop_user {
	struct kref ref;
	struct list_head node;
	kuid_t uid;
	struct pindrop_user *parent;
	atomic64_t held[PINDROP_NR_QUOTAS];
};

/**
 * struct pindrop_status - the status window's memory
 * @ref: held by the ctx and by every VMA
 * @page: the pages, as user space sees them
 */
struct pindrop_status {
	struct kref ref;
	struct pindrop_window *page;
};

/**
 * struct pindrop_turn - a user's contexts on one channel; under chan::lock
 * @node: in chan::runq while @queues is not empty
 * @queues: pindrop_queue::node, contexts with pieces to issue, in turn
 */
struct pindrop_turn {
	struct list_head node;
	struct list_head queues;
};

/**
 * struct pindrop_client - a user of one device
 * @ref: its contexts there
 * @node: in dev::clients
 * @user: the user; the same contexts hold it
 * @turns: one a channel
 */
struct pindrop_client {
	struct kref ref;
	struct list_head node;
	struct pindrop_user *user;
	struct pindrop_turn turns[];
};

/**
 * struct pindrop_queue - a context's jobs on one channel; under chan::lock
 * @ctx: the context that it is part of
 * @chan: the channel
 * @turn: its user's turn on the channel
 * @node: in turn::queues or chan::waitq while @jobs is not empty, unless they are
 *	being cancelled
 * @jobs: pindrop_job::node, jobs with pieces to issue
 * @pieces: on the hardware
 * @notify: in chan::notify, or on the stack of the thread that sends it; this and
 *	the next two under ctx::lock
 * @event: the ring's eventfd needs a signal
 * @lost: a job was LOST, which ctx::quiet does not suppress
 */
struct pindrop_queue {
	struct pindrop_ctx *ctx;
	struct pindrop_chan *chan;
	struct pindrop_turn *turn;
	struct list_head node;
	struct list_head jobs;
	unsigned int pieces;
	struct list_head notify;
	bool event;
	bool lost;
};

/**
 * struct pindrop_ring - a context's submission and completion rings
 * @ref: ctx, VMAs, thread
 * @user: who is charged; referenced
 * @pages: the shared memory, each page with a reference of ours
 * @npages: how many
 * @shared: the same, mapped in one piece; written, and read as what anybody
 *	may have written there at any time
 * @sqes: part of it
 * @cqes: part of it
 * @entries: of @sqes, a power of two
 * @cq_entries: of @cqes, a power of two
 * @chan: of all its jobs
 * @eventfd: to be signalled, or NULL; referenced
 * @threaded: it has, or had, a thread, which ends by itself
 * @started: the thread may look at the ring
 * @pin_limit: pages that the owner may have pinned, by what held at setup
 * @idle_ns: so long the thread looks for entries before it sleeps
 * @wait: where it sleeps
 * @stop: it is to end
 * @kicked: somebody wants it awake
 * @busy: bit 0 is set by who consumes, and has the next two to himself: nobody
 *	waits for him
 * @batch: entries, copied: what they are now is not looked at again
 * @jobs: one for each
 * @consumed: entries, in all; this and what follows under ctx::lock
 * @sq_head: next entry to consume
 * @sq_bad: sq_tail was out of range the last time
 * @dropped: how often it became so
 * @stalled: the thread sleeps, maybe with entries that there was no room for
 * @back: first of @batch that the thread has given back to the owner, who alone
 *	can make a job of it
 * @nback: their number: nothing else is consumed until he has
 * @asks: sq_flags may say NEED_ENTER; the thread's own
 * @cq_tail: next completion to post
 * @cq_head: where the program was when it was last asked
 * @overflow: completions that had no room
 * @left: entries of a dead context that had no room either
 * @kept: pindrop_job::kept, those that have none yet, with a reference
 * @spare: pindrop_job::node, jobs that are retired, to be used again; each with
 *	its last reference
 * @nspare: length of @spare
 */
struct pindrop_ring {
	struct kref ref;
	struct pindrop_user *user;
	struct page **pages;
	unsigned long npages;
	struct pindrop_ring_header *shared;
	struct pindrop_sqe *sqes;
	struct pindrop_cqe *cqes;
	u32 entries;
	u32 cq_entries;
	struct pindrop_chan *chan;
	struct eventfd_ctx *eventfd;
	bool threaded;
	bool started;
	unsigned long pin_limit;
	u64 idle_ns;
	wait_queue_head_t wait;
	bool stop;
	bool kicked;
	unsigned long busy;
	struct pindrop_sqe batch[PINDROP_RING_BATCH];
	struct pindrop_job *jobs[PINDROP_RING_BATCH];
	u64 consumed;
	u32 sq_head;
	bool sq_bad;
	u32 dropped;
	bool stalled;
	u32 back;
	u32 nback;
	bool asks;
	u32 cq_tail;
	u32 cq_head;
	u32 overflow;
	u32 left;
	struct list_head kept;
	struct list_head spare;
	unsigned int nspare;
};

/**
 * struct pindrop_ctx - one open file
 * @ref: file, jobs, and the reap work while it is queued
 * @dev: its device; referenced
 * @id: never reused
 * @user: who opened it and is charged; referenced
 * @client: the same on this device; referenced
 * @rcu: frees it after notify.c's last access
 * @owner: set once, by binding; holds a notifier reference
 * @owner_pid: whom fdinfo names; referenced
 * @mapping: the file's, to zap user mappings; valid while on dev::ctxs
 * @dev_node: in dev::ctxs
 * @owner_node: in owner::ctxs
 * @handles: pindrop_buf by handle; its own lock
 * @next_handle: cursor for cyclic allocation; under @handles's lock
 * @status: the window; written under @lock
 * @state: enum pindrop_state; written under @lock, read without. Submission
 *	reads it under chan::lock
 * @dying: counted in owner::dying; under @lock
 * @reason: enum pindrop_reason; written before OPEN is left, under @lock
 * @wait: woken at completions and changes of state
 * @reap: retires finished jobs, on pindrop_reap_wq
 * @reaping: held by who retires some, so that others know when it is done
 * @ring: its ring, or NULL; set once, under @lock, and referenced
 * @ring_new: a ring that RING_SETUP has not told of yet
 * @ring_taken: 1 while there is either
 * @lock: guards all below
 * @order: results and order of tickets; NULL before the first job. See order.c
 * @forgotten: the highest failed ticket that a newer one has replaced in its slot
 * @done: pindrop_job::node, finished and proved over, to be retired
 * @nhandles: handles in use
 * @places: pindrop_buf::place, those that have one
 * @last_ticket: last given out
 * @ticket: all up to here are finished
 * @reported: highest ticket that a WAIT has reported
 * @plain: highest of @ticket's that was not a ring's
 * @claims: consumers that have taken entries from the ring and not made jobs
 *	of all of them yet
 * @quiet: the number of threads that queue or cancel jobs; each reaps finished jobs
 *	afterwards, which wakes, so no notification is needed meanwhile
 * @untold: notifications that are not sent; keeps the context from settling
 * @live: jobs that are not retired
 * @lost: those of them that are LOST
 * @stopped: K0 and K1 have been done, by whoever was first to end that
 * @parted: its owner's farewell has come to it
 * @ended: ... a second time, when it had waited
 * @droppers: who are dropping the handles
 * @dropped: handles are dropped
 * @handed_over: the reaper is to drop them
 * @queues: one a channel
 */
struct pindrop_ctx {
	struct kref ref;
	struct pindrop_dev *dev;
	u64 id;
	struct pindrop_user *user;
	struct pindrop_client *client;
	struct rcu_head rcu;
	struct pindrop_owner *owner;
	struct pid *owner_pid;
	struct address_space *mapping;
	struct list_head dev_node;
	struct list_head owner_node;
	struct xarray handles;
	u32 next_handle;
	struct pindrop_status *status;
	unsigned int state;
	bool dying;
	unsigned int reason;
	wait_queue_head_t wait;
	struct work_struct reap;
	struct mutex reaping;
	struct pindrop_ring *ring;
	struct pindrop_ring *ring_new;
	atomic_t ring_taken;
	spinlock_t lock;
	struct pindrop_order *order;
	u64 forgotten;
	struct list_head done;
	unsigned int nhandles;
	struct rb_root_cached places;
	u64 last_ticket;
	u64 ticket;
	u64 reported;
	u64 plain;
	unsigned int claims;
	unsigned int quiet;
	unsigned int untold;
	unsigned int live;
	unsigned int lost;
	bool stopped;
	bool parted;
	bool ended;
	unsigned int droppers;
	bool dropped;
	bool handed_over;
	struct pindrop_queue queues[];
};

/**
 * struct pindrop_share - a dma-buf of ours, as removal sees it
 * @node: in dev::shares
 * @inode: what user space maps; referenced
 */
struct pindrop_share {
	struct list_head node;
	struct inode *inode;
};

/**
 * struct pindrop_mark - a segment of a long scatter list
 * @sg: the segment
 * @offset: where it begins, in bytes
 */
struct pindrop_mark {
	struct scatterlist *sg;
	u64 offset;
};

/**
 * struct pindrop_buf - memory that jobs name
 * @ref: handle, VMAs, jobs, dma-bufs
 * @rcu: readers of the handle table may still look at @ref
 * @dev: its device; referenced
 * @user: who is charged; referenced
 * @id: never reused; for tracing
 * @ctx_id: the context that allocated it
 * @handle: its name there
 * @flags: enum pindrop_alloc_flags
 * @bytes: its size
 * @npages: the same in pages
 * @pages: each with a reference of ours; of a COHERENT one only their addresses.
 *	Of a pin and an import NULL: see @sgt
 * @pin: of a pin, else NULL; see pin.c
 * @of: the pin that a job's own mapping shows a part of, referenced, or NULL
 * @of_offset: first byte of that part
 * @first: bytes into the page where it begins
 * @dir: what the device may do with it
 * @attrs: how it is mapped
 * @import: of an import, else NULL; see import.c
 * @revoked: the exporter wants an import back: nothing is issued with it
 * @exported: since the first EXPORT, else NULL; see export.c
 * @exports: dma-bufs of it, for tracing
 * @resv: whose fences others wait for, and theirs: that of its dma-bufs; NULL
 *	while there are none. See pindrop_buf_resv()
 * @sgt: bus addresses; of a COHERENT one a single entry
 * @marks: for a seek in @sgt, or NULL
 * @nmarks: their number
 * @cpu: dma_alloc_coherent()'s address, or NULL
 * @offsets: the tree that its range of mmap offsets is in, referenced; or NULL
 * @pgoff: the first of them, in pages
 * @gone: in the tree's list of freed buffers
 * @place: these pages, in ctx::places while there is a handle
 * @node: in dev::bufs
 * @leaving: removal unmaps it; under dev::bufs_lock
 * @mapped: 1 while it is mapped for the device; whoever clears it unmaps
 * @kept: coherent, unmapped by name only: see buf_free_kept()
 * @charged: bytes that are counted against its user
 * @coherent: ... in the quota for coherent memory, too
 * @bounced: bytes that are counted as in the bounce pool
 * @need_sync: the device does not see the CPU's caches, or it bounces
 * @vmas: mappings, for tracing
 * @lost: LOST jobs that use it; this and the next four: see quarantine.c
 * @lost_node: in the list of what is in quarantine
 * @lost_since: seconds since boot
 * @lost_pid: whose it was; referenced while it is in the list
 * @lost_uid: see @lost_pid
 */
struct pindrop_buf {
	struct kref ref;
	struct rcu_head rcu;
	struct pindrop_dev *dev;
	struct pindrop_user *user;
	u64 id;
	u64 ctx_id;
	u32 handle;
	u32 flags;
	u64 bytes;
	unsigned long npages;
	struct page **pages;
	struct pindrop_pinned *pin;
	struct pindrop_buf *of;
	u64 of_offset;
	struct pindrop_imported *import;
	bool revoked;
	struct pindrop_exported *exported;
	atomic_t exports;
	struct dma_resv *resv;
	unsigned int first;
	enum dma_data_direction dir;
	unsigned long attrs;
	struct sg_table sgt;
	struct pindrop_mark *marks;
	unsigned int nmarks;
	void *cpu;
	struct pindrop_offsets *offsets;
	unsigned long pgoff;
	struct llist_node gone;
	struct interval_tree_node place;
	struct list_head node;
	bool leaving;
	atomic_t mapped;
	bool kept;
	u64 charged;
	bool coherent;
	u64 bounced;
	bool need_sync;
	atomic_t vmas;
	unsigned int lost;
	struct list_head lost_node;
	time64_t lost_since;
	struct pid *lost_pid;
	kuid_t lost_uid;
};

/**
 * struct pindrop_cursor - a place in a buffer or in the device's memory
 * @buf: the buffer; NULL: device memory. Referenced by the job
 * @sg: segment that holds the place
 * @at: bytes into the segment, or into the device's memory
 * @offset: bytes into the buffer
 */
struct pindrop_cursor {
	struct pindrop_buf *buf;
	struct scatterlist *sg;
	u64 at;
	u64 offset;
};

struct pindrop_fence;

/**
 * struct pindrop_batch - jobs of one SUBMIT that wait for fences, or have one
 * @ref: jobs until they are retired, and who makes them
 * @chan: their channel
 * @ctx: whose they are; held by the jobs, and by who makes them
 * @pending: fences not signalled yet, and 1 more until all have been asked
 * @error: of the first of those that failed; written before @pending falls
 * @work: goes on with the channel when @pending is 0
 * @deps: those fences; the maker's, then nobody changes it
 * @uses: memory that is shared with others; the maker's, gone when its locks are
 * @out: is signalled when all jobs are over, or NULL; referenced
 * @guard: ... when none of them touches memory any more, for @uses; referenced
 * @acquire: for the locks of @uses; this and the next two are the maker's
 * @published: others may see @guard
 * @signalling: dma_fence_begin_signalling()'s
 * @left: jobs that are not over; this and what follows under ctx::lock
 * @unproved: jobs that may touch memory
 * @result: the first failure
 */
struct pindrop_batch {
	struct kref ref;
	struct pindrop_chan *chan;
	struct pindrop_ctx *ctx;
	atomic_t pending;
	int error;
	struct irq_work work;
	struct list_head deps;
	struct list_head uses;
	struct pindrop_fence *out;
	struct pindrop_fence *guard;
	struct ww_acquire_ctx acquire;
	bool published;
	bool signalling;
	unsigned int left;
	unsigned int unproved;
	int result;
};

/**
 * struct pindrop_submit_call - a SUBMIT on its way
 * @args: what the program gave, and is told
 * @fence: what @args.out_fence is to be, or NULL; referenced
 */
struct pindrop_submit_call {
	struct pindrop_submit args;
	struct file *fence;
};

/**
 * enum pindrop_job_state - how far a job is
 * @PINDROP_JOB_WAITING: its turn has not come, or fences have not signalled
 * @PINDROP_JOB_QUEUED: has pieces to issue, or pieces on the hardware
 * @PINDROP_JOB_LOST: reported as failed, but a piece may still be running
 * @PINDROP_JOB_FINISHED: DONE, ERROR or CANCELED: see pindrop_job::result
 */
enum pindrop_job_state {
	PINDROP_JOB_WAITING,
	PINDROP_JOB_QUEUED,
	PINDROP_JOB_LOST,
	PINDROP_JOB_FINISHED,
};

/**
 * struct pindrop_import_use - a job names an import
 * @node: in the import's list; under its lock
 * @job: the job, while it is
 */
struct pindrop_import_use {
	struct list_head node;
	struct pindrop_job *job;
};

/**
 * struct pindrop_job - one transfer
 * @ref: see the top of this file
 * @ctx: its context; referenced until retired
 * @chan: its channel
 * @batch: what it has in common with the rest of its SUBMIT, or NULL; referenced
 *	until retired
 * @state: under chan::lock once it has a ticket
 * @op: enum pindrop_op
 * @zero: clears the device's memory; made by us, has no ticket
 * @ring: came from the ring, and is reported there
 * @uses_devmem: names the device's memory
 * @guard_signalled: LOST, and its reservation fence has been signalled; under
 *	chan::lock
 * @kind: direction
 * @src: where to read next
 * @dst: where to write next
 * @length: bytes in all
 * @left: bytes not yet issued; under chan::lock
 * @pieces: pieces on the hardware; under chan::lock
 * @error: first failure; under chan::lock
 * @ticket: its place in the context's order
 * @user_data: the program's own
 * @node: in pindrop_queue::jobs (chan::lock), then ctx::done (ctx::lock)
 * @kept: in ring::kept; under ctx::lock
 * @uses: in the lists of imports that it names
 * @result: 0 or -errno; valid when it was reported
 */
struct pindrop_job {
	struct kref ref;
	enum pindrop_job_state state;
	struct pindrop_ctx *ctx;
	struct pindrop_chan *chan;
	struct pindrop_batch *batch;
	u32 op;
	bool zero;
	bool ring;
	bool uses_devmem;
	bool guard_signalled;
	enum pindrop_piece_kind kind;
	unsigned int pieces;
	struct pindrop_cursor src;
	struct pindrop_cursor dst;
	u64 length;
	u64 left;
	int error;
	int result;
	u64 ticket;
	u64 user_data;
	struct list_head node;
	struct list_head kept;
	struct pindrop_import_use uses[2];
};

/* device.c: a device's life, the gate, sysfs */
bool pindrop_enter(struct pindrop_dev *dev, int *idx);
void pindrop_exit(struct pindrop_dev *dev, int idx);

/**
 * pindrop_buf_resv() - what others wait for before they use a buffer
 * @buf: the buffer
 *
 * Context: any.
 * Return: the reservation object of its dma-bufs, which lives as long as it
 * does; NULL if it is nobody's but ours.
 */
static inline struct dma_resv *pindrop_buf_resv(const struct pindrop_buf *buf)
{
	/* Pairs with the release where it gets one. */
	return smp_load_acquire(&buf->resv);
}

/* context.c: an open file */
extern const struct file_operations pindrop_fops;
int pindrop_ctx_bind(struct pindrop_ctx *ctx);
int pindrop_ctx_check_owner(struct pindrop_ctx *ctx);
int pindrop_ctx_dead_errno(struct pindrop_ctx *ctx);
int pindrop_ctx_cancel_errno(struct pindrop_ctx *ctx);
unsigned long pindrop_ctx_stop(struct pindrop_ctx *ctx, unsigned int reason);
void pindrop_ctx_end_work(struct pindrop_ctx *ctx);
void pindrop_ctx_drop(struct pindrop_ctx *ctx);
void pindrop_ctx_hand_over(struct pindrop_ctx *ctx);
void pindrop_ctx_settle_locked(struct pindrop_ctx *ctx);
bool pindrop_ctx_settled(struct pindrop_ctx *ctx);
void pindrop_ctx_wait(struct pindrop_ctx *ctx, unsigned long deadline,
		      bool killable);
void pindrop_ctx_put(struct pindrop_ctx *ctx);
void pindrop_ctx_set_gone(struct pindrop_ctx *ctx);
void pindrop_status_put(struct pindrop_status *status);

/* owner.c: the address space that owns contexts */
struct pindrop_owner *pindrop_owner_get(void);
void pindrop_owner_put(struct pindrop_owner *owner);
void pindrop_owner_flush(void);
int pindrop_owner_add(struct pindrop_owner *owner, struct pindrop_ctx *ctx);
void pindrop_owner_del(struct pindrop_ctx *ctx);
struct pindrop_ctx *pindrop_owner_find(struct pindrop_owner *owner,
				       bool (*wanted)(struct pindrop_ctx *ctx));
unsigned long pindrop_owner_deadline(struct pindrop_owner *owner);

/* farewell.c: the wait of a death */
struct file *pindrop_farewell_create(void);
void pindrop_farewell_give(struct pindrop_owner *owner);
void pindrop_farewell_put(struct file *file);
void pindrop_farewell_backstop(struct work_struct *work);

/* quarantine.c: memory that the hardware may still touch */
extern const struct attribute_group *pindrop_quarantine_groups[];
void pindrop_quarantine_add(struct pindrop_buf *buf,
			    const struct pindrop_ctx *ctx);
void pindrop_quarantine_del(struct pindrop_buf *buf);
bool pindrop_quarantine_has(struct pindrop_buf *buf);
void pindrop_quarantine_keep(struct pindrop_dev *dev);
void pindrop_quarantine_prove(const struct bus_type *bus, const char *place);

/* user.c: limits per user */
struct pindrop_user *pindrop_user_get(void);
void pindrop_user_put(struct pindrop_user *user);
u64 pindrop_user_max_bytes(void);
int pindrop_user_charge(struct pindrop_user *user, enum pindrop_quota what,
			u64 amount, u64 limit);
void pindrop_user_add(struct pindrop_user *user, enum pindrop_quota what,
		      u64 amount);
void pindrop_user_uncharge(struct pindrop_user *user, enum pindrop_quota what,
			   u64 amount);

/* bounce.c: quotas of the bounce pool */
int pindrop_bounce_charge(struct pindrop_buf *buf, u64 bytes);
void pindrop_bounce_uncharge(struct pindrop_buf *buf);

/* pages.c: what makes up driver memory */
bool pindrop_buf_reachable(struct pindrop_dev *dev, phys_addr_t phys,
			   u64 bytes);
unsigned int pindrop_buf_max_segment(struct pindrop_dev *dev);
struct page *pindrop_pages_chunk(struct pindrop_dev *dev, unsigned int order,
				 gfp_t how);
int pindrop_pages_alloc(struct pindrop_buf *buf);
int pindrop_pages_map(struct pindrop_buf *buf);
void pindrop_pages_free(struct pindrop_buf *buf);

/* left.c: charges for blocks that outlive their buffer */
bool pindrop_left_keep(struct pindrop_buf *buf, struct page *page,
		       unsigned long npages);
void pindrop_left_flush(void);

/* buffer.c: memory that jobs name, driver memory */
bool pindrop_buf_translated(struct pindrop_dev *dev);
struct pindrop_buf *pindrop_buf_create(struct pindrop_ctx *ctx, u64 bytes);
int pindrop_buf_charge_bytes(struct pindrop_buf *buf);
void pindrop_buf_abort(struct pindrop_buf *buf);
int pindrop_buf_map(struct pindrop_buf *buf,
		    int (*map)(struct pindrop_buf *buf));
int pindrop_buf_map_sgt(struct pindrop_buf *buf);
void pindrop_buf_set_list(struct pindrop_buf *buf, const struct sg_table *sgt);
struct pindrop_buf *pindrop_buf_alloc(struct pindrop_ctx *ctx, u64 bytes,
				      u32 flags);
struct pindrop_buf *pindrop_buf_get_handle(struct pindrop_ctx *ctx, u32 handle);
int pindrop_buf_publish(struct pindrop_ctx *ctx, struct pindrop_buf *buf,
			u32 *handle);
int pindrop_buf_drop_handle(struct pindrop_ctx *ctx, u32 handle);
void pindrop_buf_drop_all(struct pindrop_ctx *ctx);
void pindrop_buf_put(struct pindrop_buf *buf);
void pindrop_buf_unmap(struct pindrop_buf *buf);
void pindrop_buf_unmap_all(struct pindrop_dev *dev);
int pindrop_zero_alloc(struct pindrop_dev *dev);
void pindrop_zero_unmap(struct pindrop_dev *dev);
void pindrop_buf_seek(struct pindrop_cursor *cur, struct pindrop_buf *buf,
		      u64 offset);
u64 pindrop_buf_bus(const struct pindrop_cursor *cur, u64 *contiguous);
void pindrop_buf_advance(struct pindrop_cursor *cur, u64 bytes);
void pindrop_buf_sync(struct pindrop_buf *buf, u64 offset, u64 length,
		      bool for_cpu, enum dma_data_direction dir);

/* offset.c: mmap offsets */
struct pindrop_offsets *pindrop_offsets_create(void);
void pindrop_offsets_put(struct pindrop_offsets *offsets);
int pindrop_offset_alloc(struct pindrop_buf *buf);
void pindrop_offset_free(struct pindrop_buf *buf);

/* pin.c: the owner's own memory */
extern struct workqueue_struct *pindrop_forget_wq;
extern struct workqueue_struct *pindrop_import_wq;
unsigned int pindrop_pin_align(struct pindrop_dev *dev);
struct pindrop_buf *pindrop_pin_create(struct pindrop_ctx *ctx, u64 address,
				       u64 length, bool write);
struct pindrop_buf *pindrop_pin_once(struct pindrop_ctx *ctx, u64 address,
				     u64 length, bool write,
				     unsigned long limit);
void pindrop_pin_free(struct pindrop_buf *buf);
struct pindrop_buf *pindrop_pin_use(struct pindrop_ctx *ctx,
				    struct pindrop_buf *buf, u64 offset,
				    u64 length, bool write);
void pindrop_pin_written(struct pindrop_buf *buf, u64 offset, u64 length);

/* export.c: driver memory as a dma-buf */
struct dma_buf *pindrop_export(struct pindrop_buf *buf);
void pindrop_export_free(struct pindrop_buf *buf);
void pindrop_export_zap(struct pindrop_dev *dev);

/* import.c: somebody else's dma-buf */
struct pindrop_buf *pindrop_import(struct pindrop_ctx *ctx, int fd);
struct dma_buf *pindrop_import_dmabuf(struct pindrop_buf *buf);
int pindrop_import_use(struct pindrop_buf *buf, bool write,
		       struct pindrop_job *job, u64 offset);
void pindrop_import_unuse(struct pindrop_buf *buf,
			  struct pindrop_import_use *use);
int pindrop_import_sync(struct pindrop_buf *buf, bool begin,
			enum dma_data_direction dir);
void pindrop_import_unmap(struct pindrop_buf *buf);
void pindrop_import_leave(struct pindrop_buf *buf);
void pindrop_import_drop(struct pindrop_buf *buf);
void pindrop_import_give_back(struct pindrop_buf *buf,
			      void (*destroy)(struct pindrop_buf *buf));

/* mmap.c: what user space maps */
int pindrop_mmap(struct file *file, struct vm_area_struct *vma);
int pindrop_mmap_shared(struct pindrop_buf *buf, struct vm_area_struct *vma);
#if PINDROP_HUGE
unsigned long pindrop_get_unmapped_area(struct file *file, unsigned long addr,
					unsigned long len, unsigned long pgoff,
					unsigned long flags);
#else
#define pindrop_get_unmapped_area thp_get_unmapped_area
#endif
void pindrop_zap(struct pindrop_ctx *ctx);

/* job.c: SUBMIT and WAIT, a job's life */
int pindrop_submit(struct pindrop_ctx *ctx, struct pindrop_submit_call *call);
int pindrop_wait(struct pindrop_ctx *ctx, struct pindrop_wait *args);
void pindrop_job_finish(struct pindrop_job *job, int result);
void pindrop_job_give_up(struct pindrop_job *job, const char *reason);
void pindrop_failures_print(struct pindrop_dev *dev);
void pindrop_job_lose(struct pindrop_job *job);
void pindrop_job_put(struct pindrop_job *job);
void pindrop_job_drop_bufs(struct pindrop_job *job);

u32 pindrop_jobs_alloc(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
		       struct pindrop_job **jobs, u32 count);
void pindrop_job_pass_locked(struct pindrop_ctx *ctx, u32 count);
u32 pindrop_submit_each(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
			struct pindrop_job **jobs,
			const struct pindrop_sqe *sqes, u32 count);

/* order.c: tickets pass in order, failures are kept */
int pindrop_order_create(struct pindrop_ctx *ctx);
unsigned int pindrop_order_open(const struct pindrop_ctx *ctx);
u64 pindrop_order_begin_locked(struct pindrop_ctx *ctx, unsigned int count,
			       bool plain);
void pindrop_order_end_locked(struct pindrop_ctx *ctx, u64 ticket, int result);
void pindrop_order_pass_locked(struct pindrop_ctx *ctx, unsigned int count);
int pindrop_order_find_locked(struct pindrop_ctx *ctx, u64 first, u64 last,
			      u64 *failed);

/* notify.c: wake-ups, eventfds and fences, once a queue's lock is released */
void pindrop_notify_locked(struct pindrop_queue *queue, bool event, bool lost);
void pindrop_notify_hold_locked(struct pindrop_ctx *ctx);
void pindrop_notify_fence(struct pindrop_ctx *ctx);
void pindrop_notify_end(struct pindrop_ctx *ctx);
void pindrop_chan_unlock_irqrestore(struct pindrop_chan *chan,
				    unsigned long flags)
	__releases(&chan->lock);
void pindrop_chan_breathe(struct pindrop_chan *chan)
	__must_hold(&chan->lock);
void pindrop_chan_unlock_irq(struct pindrop_chan *chan)
	__releases(&chan->lock);

/* turn.c: users take turns on a channel, and then their contexts */
struct pindrop_client *pindrop_client_get(struct pindrop_dev *dev,
					  struct pindrop_user *user);
void pindrop_client_put(struct pindrop_dev *dev, struct pindrop_client *client);
void pindrop_turn_add_locked(struct pindrop_queue *queue);
void pindrop_turn_del_locked(struct pindrop_queue *queue);

/* fence.c: what jobs wait for, and what waits for them */
int pindrop_batch_create(struct pindrop_ctx *ctx, struct pindrop_chan *chan,
			 struct pindrop_batch **batch);
int pindrop_batch_share(struct pindrop_batch *batch, struct pindrop_buf *buf,
			bool write);
int pindrop_batch_add_dep(struct pindrop_batch *batch, struct dma_fence *fence);
struct dma_fence *pindrop_batch_make_out(struct pindrop_batch *batch);
int pindrop_batch_begin(struct pindrop_batch *batch);
void pindrop_batch_publish(struct pindrop_batch *batch);
void pindrop_batch_end(struct pindrop_batch *batch, int result);
void pindrop_batch_put(struct pindrop_batch *batch);
bool pindrop_batch_waits(struct pindrop_batch *batch);
void pindrop_fences_signal(struct list_head *fences);
void pindrop_batch_over_locked(struct pindrop_job *job, int result);
void pindrop_batch_proved_locked(struct pindrop_job *job);

/* sync_file.c: fences as file descriptors; without it SUBMIT refuses its flags */
#if PINDROP_SYNC_FILE
#define PINDROP_SUBMIT_FLAGS \
	(PINDROP_SUBMIT_IN_FENCE | PINDROP_SUBMIT_OUT_FENCE)
int pindrop_batch_wait_fd(struct pindrop_batch *batch, int fd);
int pindrop_batch_add_out(struct pindrop_batch *batch,
			  struct pindrop_submit_call *call);
void pindrop_fence_install(struct pindrop_submit_call *call);
void pindrop_fence_undo(struct pindrop_submit_call *call);
#else
#define PINDROP_SUBMIT_FLAGS 0
static inline int pindrop_batch_wait_fd(struct pindrop_batch *batch, int fd)
{
	return -EOPNOTSUPP;
}

static inline int pindrop_batch_add_out(struct pindrop_batch *batch,
					struct pindrop_submit_call *call)
{
	return -EOPNOTSUPP;
}

static inline void pindrop_fence_install(struct pindrop_submit_call *call)
{
}

static inline void pindrop_fence_undo(struct pindrop_submit_call *call)
{
}
#endif

/* ring_setup.c: RING_SETUP and the shared memory */
int pindrop_ring_setup(struct pindrop_ctx *ctx,
		       struct pindrop_ring_setup *args);
void pindrop_ring_commit(struct pindrop_ctx *ctx);
void pindrop_ring_undo(struct pindrop_ctx *ctx);
void pindrop_ring_put(struct pindrop_ring *ring);
int pindrop_ring_mmap(struct pindrop_ctx *ctx, struct vm_area_struct *vma);

/* ring.c: RING_ENTER, and what is done with entries */
int pindrop_ring_enter(struct pindrop_ctx *ctx,
		       const struct pindrop_ring_enter *args);
int pindrop_ring_consume(struct pindrop_ctx *ctx, struct pindrop_ring *ring,
			 u32 max);
void pindrop_ring_stash_locked(struct pindrop_ctx *ctx, struct list_head *jobs);
u32 pindrop_ring_reuse(struct pindrop_ctx *ctx, struct pindrop_job **jobs,
		       u32 count);
bool pindrop_ring_ready(struct pindrop_ctx *ctx, struct pindrop_ring *ring);
struct pindrop_buf *pindrop_ring_memory(struct pindrop_ctx *ctx, u64 address,
					u64 length, bool write);
void pindrop_ring_wake(struct pindrop_ctx *ctx);
void pindrop_ring_signal(struct pindrop_ring *ring);
void pindrop_ring_post_locked(struct pindrop_ctx *ctx, struct pindrop_job *job);
void pindrop_ring_kill(struct pindrop_ctx *ctx);
bool pindrop_ring_readable(struct pindrop_ctx *ctx);

/* ring_thread.c: who consumes a ring where the program does not */
int pindrop_ring_thread_create(struct pindrop_ctx *ctx,
			       struct pindrop_ring *ring, int cpu);
void pindrop_ring_thread_start(struct pindrop_ring *ring);

/* channel.c: pieces, turns, completion */
int pindrop_chan_init(struct pindrop_dev *dev, unsigned int id);
void pindrop_chan_fini(struct pindrop_chan *chan);
void pindrop_job_take_off(struct pindrop_queue *queue, struct pindrop_job *job);
void pindrop_job_unqueue(struct pindrop_queue *queue, struct pindrop_job *job);
void pindrop_piece_end(struct pindrop_chan *chan, struct pindrop_piece *piece,
		       int status);
int pindrop_chan_submit(struct pindrop_chan *chan, struct pindrop_ctx *ctx,
			struct list_head *jobs, unsigned int count,
			u64 *first, u64 *last);
void pindrop_chan_go_on(struct pindrop_chan *chan, struct pindrop_ctx *ctx);
bool pindrop_chan_passes(struct pindrop_chan *chan, struct pindrop_ctx *ctx);
void pindrop_chan_pump_locked(struct pindrop_chan *chan);
void pindrop_chan_pump(struct pindrop_chan *chan);
int pindrop_chan_service_locked(struct pindrop_chan *chan);

/* lease.c: the device's own memory has one tenant */
int pindrop_lease_take(struct pindrop_chan *chan, struct pindrop_ctx *ctx,
		       bool *clear);
void pindrop_chan_cleared_locked(struct pindrop_chan *chan, bool clean);
void pindrop_chan_lose_devmem_locked(struct pindrop_chan *chan);

/* cancel.c: jobs that the hardware does not finish */
void pindrop_chan_cancel(struct pindrop_chan *chan, struct pindrop_ctx *ctx,
			 int error);
void pindrop_chan_abort_locked(struct pindrop_chan *chan,
			       struct pindrop_piece *piece);
void pindrop_chan_revoke_jobs(struct pindrop_chan *chan,
			      const struct pindrop_buf *buf,
			      struct pindrop_job **jobs, unsigned int count);
bool pindrop_chan_revoke(struct pindrop_chan *chan, struct pindrop_buf *buf);
void pindrop_chan_fail_locked(struct pindrop_chan *chan);
void pindrop_chan_fail_queued(struct pindrop_chan *chan);
bool pindrop_chan_shares_locked(struct pindrop_chan *chan);
void pindrop_chan_signal_lost_locked(struct pindrop_chan *chan);
void pindrop_chan_prove(struct pindrop_chan *chan, int error);

/* state.c: the states of a device and its channels */
bool pindrop_dev_try_state(struct pindrop_dev *dev, enum pindrop_dev_state to);
void pindrop_dev_set_state(struct pindrop_dev *dev, enum pindrop_dev_state to);
void pindrop_dev_freeze(struct pindrop_dev *dev);
bool pindrop_dev_thaw(struct pindrop_dev *dev);
bool pindrop_chan_try_state_locked(struct pindrop_chan *chan,
				   enum pindrop_chan_state to);
void pindrop_chan_set_state_locked(struct pindrop_chan *chan,
				   enum pindrop_chan_state to);

/* chain.c: the kill chain from K2 on */
void pindrop_chain_lock_all(struct pindrop_dev *dev);
bool pindrop_chain_poll(struct pindrop_dev *dev, unsigned int bounds,
			bool only_in_time);
bool pindrop_chain_read_idle(struct pindrop_dev *dev);
bool pindrop_chain_stop(struct pindrop_dev *dev, bool patient);
void pindrop_chain_cut(struct pindrop_dev *dev);
void pindrop_chain_restart(struct pindrop_dev *dev);
void pindrop_chain_wedge_all(struct pindrop_dev *dev);
void pindrop_chain_unproved(struct pindrop_dev *dev);
void pindrop_chain_want_reset(struct pindrop_dev *dev);
void pindrop_chain_work(struct work_struct *work);
void pindrop_chain_kick(struct pindrop_chan *chan);
void pindrop_chain_remove(struct pindrop_dev *dev);
int pindrop_chain_reset(struct pindrop_dev *dev);
bool pindrop_chain_is_cut(struct pindrop_dev *dev);
bool pindrop_chain_wedged(struct pindrop_dev *dev);

/* tell.c: a device that hangs, or works again */
void pindrop_tell_wedged(struct pindrop_dev *dev);
void pindrop_tell_running(struct pindrop_dev *dev);
void pindrop_tell_work(struct work_struct *work);

/* pause.c: the bus takes a device and gives it back */
void pindrop_pause_work(struct work_struct *work);

/* watchdog.c: time that has passed for the hardware */
unsigned long pindrop_watchdog_interval(struct pindrop_dev *dev);
void pindrop_watchdog_arm_locked(struct pindrop_chan *chan,
				 unsigned long delay);
void pindrop_watchdog_init(struct pindrop_chan *chan);
void pindrop_watchdog_fini(struct pindrop_chan *chan);
void pindrop_watchdog_look_locked(struct pindrop_chan *chan);
void pindrop_watchdog_rearm_locked(struct pindrop_chan *chan);
void pindrop_stall_begin(struct pindrop_stall *stall, struct pindrop_dev *dev);
unsigned long pindrop_stall_seen(struct pindrop_stall *stall,
				 struct pindrop_dev *dev);

/* reaper.c: what becomes of jobs that are over */
extern struct workqueue_struct *pindrop_reap_wq;
void pindrop_reap(struct pindrop_ctx *ctx);
void pindrop_reap_work(struct work_struct *work);

/* ioctl.c: the verbs */
long pindrop_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif /* PINDROP_H */
