// SPDX-License-Identifier: GPL-2.0-only
/*
 * An engine without hardware, whose channels can be told to misbehave.
 *
 * The CPU does the copies, piece by piece, in a work item per channel. What
 * issue says of a piece is kept until the copy was made, whatever the core has
 * done meanwhile: a write that comes late goes where it was told to go.
 *
 * mode=iommu has bus addresses of its own, and counts what is not mapped: any
 * mistake of the core shows. mode=direct takes those of the DMA API, and a
 * stray write is a stray write. See sim_bus.c.
 *
 * In debugfs, pindrop_sim/DEVICE/ has
 *   log		the last accesses to memory, a line each
 *   accesses, misses, late_writes	their numbers, since the device is bound
 *   resets	... of resets
 *   fail_reset	1: the device cannot be reset; 2: it can, but what hangs does not
 *		care; 3: not now
 *   unplugged	1: its next removal is one that the bus reports
 *   stall_ms	written, 1 to 1000: no processor takes an interrupt for so long,
 *		and the device does not go on either
 *   chanN/		faults, each a number, 0 is none:
 *     delay_us		time that a piece takes besides the copying
 *     hang		1: the next piece does not end, others pass it; 2: all
 *			do not. They go on when it is 0 again; a channel that
 *			is stopped or reset forgets them, and the fault
 *     error		so many pieces fail, nothing of them is copied
 *     lost_irq		so many interrupts are not raised
 *     all_ones		registers read as if the device were gone
 *     ignore_abort	what was issued runs to its end
 *     ignore_terminate	... also if the channel is stopped
 *     terminate_ms	a stop takes so much longer
 *     lie_terminate	... but is said to have ended at once
 *     late_write_ms	what is said to have ended, by itself or by an abort,
 *			is written so much later
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stop_machine.h>
#include <linux/workqueue.h>

#include "../compat.h"
#include "../engine.h"
#include "../../uapi/pindrop.h"
#include "sim_bus.h"

#define SIM_NAME "pindrop_sim"
#define SIM_MAX 64 /* devices, channels of a device, pieces of a channel */
/* Where each access is checked, a megabyte takes longer than a piece may. */
#define SIM_PIECE (IS_ENABLED(CONFIG_KASAN) ? SZ_128K : SZ_1M)
#define SIM_PIECE_MS 300
#define SIM_MAX_STALL_MS 1000
#define SIM_DEVMEM SZ_64K

static char *mode = "iommu";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "iommu (default) or direct");
static unsigned int devices = 1;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "number of devices (1)");
static unsigned int channels = 4;
module_param(channels, uint, 0444);
MODULE_PARM_DESC(channels, "channels of a device (4)");
static unsigned int depth = 4;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "pieces that a channel takes at a time (4)");
static unsigned int delay_us = 1000;
module_param(delay_us, uint, 0444);
MODULE_PARM_DESC(delay_us, "what delay_us in debugfs is at first (1000)");
static bool no_cut;
module_param(no_cut, bool, 0644);
MODULE_PARM_DESC(no_cut, "devices that are bound from now on cannot be cut off");

static bool sim_translates;
static struct workqueue_struct *sim_wq;
static struct dentry *sim_debugfs;
static struct platform_device *sim_pdevs[SIM_MAX];

enum sim_fault_kind {
	SIM_DELAY_US,
	SIM_HANG,
	SIM_ERROR,
	SIM_LOST_IRQ,
	SIM_ALL_ONES,
	SIM_IGNORE_ABORT,
	SIM_IGNORE_TERMINATE,
	SIM_TERMINATE_MS,
	SIM_LIE_TERMINATE,
	SIM_LATE_WRITE_MS,
	SIM_NR_FAULTS
};

static const char *const sim_fault_names[SIM_NR_FAULTS] = {
	"delay_us", "hang",	    "error",	     "lost_irq",
	"all_ones", "ignore_abort", "ignore_terminate", "terminate_ms",
	"lie_terminate", "late_write_ms",
};

struct sim_chan;

/**
 * struct sim_fault - what one file in debugfs says
 * @chan: of which channel
 * @value: written under sim_chan::lock
 */
struct sim_fault {
	struct sim_chan *chan;
	u32 value;
};

/**
 * struct sim_slot - a piece as the hardware has it; under sim_chan::lock
 * @node: in sim_chan::fifo
 * @piece: the core's; NULL once it is reported
 * @kind: this and the next three as issued
 * @src: see @kind
 * @dst: see @kind
 * @len: see @kind
 * @due: when it is copied, or written late
 * @data: was read in time, and is written when due
 * @status: to be reported
 * @started: its time runs
 * @hung: held back
 * @busy: being copied: nobody else touches it
 * @ended: may be reported, with @status
 * @lied: may be reported as cancelled, and will be copied
 * @over: there is nothing more to do for it
 */
struct sim_slot {
	struct list_head node;
	struct pindrop_piece *piece;
	enum pindrop_piece_kind kind;
	u64 src;
	u64 dst;
	u32 len;
	ktime_t due;
	void *data;
	int status;
	bool started;
	bool hung;
	bool busy;
	bool ended;
	bool lied;
	bool over;
};

/**
 * struct sim_chan - a channel
 * @sim: its device
 * @id: its number
 * @lock: guards the next three and the slots; inside the core's channel lock
 * @fifo: sim_slot::node, oldest first
 * @off: nothing is taken up any more
 * @faults: by enum sim_fault_kind
 * @work: copies
 * @timer: starts it when something is due
 * @irq: the interrupt
 * @data: SIM_PIECE bytes for @work
 */
struct sim_chan {
	struct sim *sim;
	unsigned int id;
	spinlock_t lock;
	struct list_head fifo;
	bool off;
	struct sim_fault faults[SIM_NR_FAULTS];
	struct work_struct work;
	struct hrtimer timer;
	struct irq_work irq;
	void *data;
};

/**
 * struct sim - a device
 * @dev: the platform device
 * @pd: the core's; for the interrupt only, which comes after it
 * @bus: its way to memory
 * @devmem: its own memory
 * @fail_reset: a fault of all of it: 1: it cannot be reset; 2: that stops
 *	nothing; 3: it is busy
 * @unplugged: its removal is to be a surprise that the bus reports
 * @ops: with a cut, or without
 * @resets: how often it was reset
 * @dir: in debugfs
 * @chans: so many as the parameter says
 */
struct sim {
	struct device *dev;
	struct pindrop_dev *pd;
	struct sim_bus bus;
	void *devmem;
	u32 fail_reset;
	u32 unplugged;
	const struct pindrop_engine_ops *ops;
	u32 resets;
	struct dentry *dir;
	struct sim_chan chans[];
};

static u32 sim_fault(const struct sim_chan *chan, enum sim_fault_kind kind)
{
	return READ_ONCE(chan->faults[kind].value);
}

/* A fault that comes so many times: does it now? */
static bool sim_strikes_locked(struct sim_chan *chan, enum sim_fault_kind kind)
{
	struct sim_fault *fault = &chan->faults[kind];

	lockdep_assert_held(&chan->lock);
	if (!fault->value)
		return false;
	WRITE_ONCE(fault->value, fault->value - 1);
	return true;
}

static void sim_interrupt(struct irq_work *work)
{
	struct sim_chan *chan = container_of(work, struct sim_chan, irq);
	struct pindrop_dev *pd = READ_ONCE(chan->sim->pd);

	if (pd)
		pindrop_service(pd, chan->id);
}

static void sim_raise_locked(struct sim_chan *chan)
{
	if (!sim_strikes_locked(chan, SIM_LOST_IRQ))
		irq_work_queue(&chan->irq);
}

/* Both the hardware and the core are done with it. */
static void sim_slot_put_locked(struct sim_slot *slot)
{
	if (!slot->over || slot->piece)
		return;
	list_del(&slot->node);
	kfree(slot);
}

static void sim_slot_end_locked(struct sim_chan *chan, struct sim_slot *slot,
				int status)
{
	lockdep_assert_held(&chan->lock);
	slot->over = true;
	if (!slot->ended) {
		slot->ended = true;
		slot->status = status;
		sim_raise_locked(chan);
	}
	sim_slot_put_locked(slot);
}

static bool sim_hangs_locked(struct sim_chan *chan)
{
	struct sim_slot *slot;

	if (sim_fault(chan, SIM_HANG) != 1)
		return sim_fault(chan, SIM_HANG);
	list_for_each_entry(slot, &chan->fifo, node)
		if (slot->hung)
			return false; /* it was that one */
	return true;
}

/* It is this slot's turn, unless it hangs. */
static bool sim_slot_start_locked(struct sim_chan *chan, struct sim_slot *slot)
{
	if (slot->started)
		return true;
	if (sim_hangs_locked(chan)) {
		slot->hung = true;
		return false;
	}
	slot->started = true;
	slot->due = ktime_add_us(ktime_get(), sim_fault(chan, SIM_DELAY_US));
	return true;
}

/* What is due; or else NULL, and the timer is set for what will be. */
static struct sim_slot *sim_next(struct sim_chan *chan)
{
	ktime_t now = ktime_get(), soonest = KTIME_MAX;
	struct sim_slot *slot, *found = NULL;
	bool taken = false;

	/* Who cannot get at memory is through with it at once. */
	if (READ_ONCE(chan->sim->bus.cut))
		now = KTIME_MAX;
	spin_lock_irq(&chan->lock);
	list_for_each_entry(slot, &chan->fifo, node) {
		if (chan->off || slot->over || slot->hung)
			continue;
		/* One at a time, besides those whose time was said to be up. */
		if (!slot->data && !slot->lied) {
			if (taken || !sim_slot_start_locked(chan, slot))
				continue;
			taken = true;
		}
		if (slot->due <= now) {
			slot->busy = true;
			found = slot;
			break;
		}
		soonest = min(soonest, slot->due);
	}
	if (!found && soonest != KTIME_MAX)
		hrtimer_start(&chan->timer, soonest, HRTIMER_MODE_ABS);
	spin_unlock_irq(&chan->lock);
	return found;
}

static void sim_read(struct sim_chan *chan, struct sim_slot *slot)
{
	struct sim *sim = chan->sim;

	if (slot->kind == PINDROP_PIECE_DEV_TO_MEM)
		memcpy(chan->data, sim->devmem + slot->src, slot->len);
	else
		pindrop_sim_bus_read(&sim->bus, chan->id, slot->src, chan->data,
				     slot->len, slot->lied);
}

static void sim_write(struct sim_chan *chan, struct sim_slot *slot, void *data,
		      bool late)
{
	struct sim *sim = chan->sim;

	if (slot->kind == PINDROP_PIECE_MEM_TO_DEV)
		memcpy(sim->devmem + slot->dst, data, slot->len);
	else
		pindrop_sim_bus_write(&sim->bus, chan->id, slot->dst, data,
				      slot->len, late);
}

/* What was read is to be written later, but said to be written now. */
static bool sim_defer(struct sim_chan *chan, struct sim_slot *slot, u32 ms)
{
	void *data = kvmalloc(slot->len, GFP_KERNEL);

	if (!data)
		return false;
	memcpy(data, chan->data, slot->len);
	spin_lock_irq(&chan->lock);
	slot->data = data;
	slot->due = ktime_add_ms(ktime_get(), ms);
	slot->busy = false;
	slot->ended = true;
	sim_raise_locked(chan);
	spin_unlock_irq(&chan->lock);
	return true;
}

static void sim_run(struct sim_chan *chan, struct sim_slot *slot)
{
	u32 late = sim_fault(chan, SIM_LATE_WRITE_MS);
	void *data = slot->data;
	bool fails;

	spin_lock_irq(&chan->lock);
	fails = !data && sim_strikes_locked(chan, SIM_ERROR);
	spin_unlock_irq(&chan->lock);
	if (data) {
		sim_write(chan, slot, data, true);
	} else if (!fails) {
		sim_read(chan, slot);
		if (late && !slot->lied && sim_defer(chan, slot, late))
			return;
		sim_write(chan, slot, chan->data, slot->lied);
	}
	spin_lock_irq(&chan->lock);
	sim_slot_end_locked(chan, slot, fails ? -EIO : 0);
	spin_unlock_irq(&chan->lock);
	kvfree(data);
}

/* Is queued as one, so never runs twice at a time. */
static void sim_work(struct work_struct *work)
{
	struct sim_chan *chan = container_of(work, struct sim_chan, work);
	/* Fences wait for this, and reclaim may wait for the fences. */
	unsigned int reclaim = memalloc_noreclaim_save();
	struct sim_slot *slot;

	while ((slot = sim_next(chan)))
		sim_run(chan, slot);
	memalloc_noreclaim_restore(reclaim);
}

static enum hrtimer_restart sim_timer(struct hrtimer *timer)
{
	struct sim_chan *chan = container_of(timer, struct sim_chan, timer);

	queue_work(sim_wq, &chan->work);
	return HRTIMER_NORESTART;
}

static int sim_issue(void *engine, struct pindrop_piece *piece)
{
	struct sim *sim = engine;
	struct sim_chan *chan = &sim->chans[piece->chan];
	struct sim_slot *slot;

	slot = kzalloc(sizeof(*slot), GFP_ATOMIC | __GFP_NOWARN);
	if (!slot)
		return -EIO;
	slot->piece = piece;
	slot->kind = piece->kind;
	slot->src = piece->src;
	slot->dst = piece->dst;
	slot->len = piece->len;
	piece->engine_data = (unsigned long)slot;
	spin_lock(&chan->lock);
	list_add_tail(&slot->node, &chan->fifo);
	spin_unlock(&chan->lock);
	queue_work(sim_wq, &chan->work);
	return 0;
}

static int sim_service(void *engine, unsigned int id)
{
	struct sim *sim = engine;
	struct sim_chan *chan = &sim->chans[id];
	struct pindrop_piece *waits = NULL, *piece;
	struct sim_slot *slot, *next;
	bool busy = false, moved = false;

	if (sim_fault(chan, SIM_ALL_ONES))
		return -ENODEV;
	spin_lock(&chan->lock);
	list_for_each_entry_safe(slot, next, &chan->fifo, node) {
		piece = slot->piece;
		if (!piece)
			continue;
		if (!slot->ended && !slot->lied) {
			busy = true;
			if (!slot->hung && !waits)
				waits = piece;
			continue;
		}
		moved = true;
		slot->piece = NULL;
		pindrop_piece_done(piece,
				   slot->ended ? slot->status : -ECANCELED);
		sim_slot_put_locked(slot);
	}
	/* Its turn comes with the end of the one before. */
	if (moved && waits)
		pindrop_piece_progress(waits);
	spin_unlock(&chan->lock);
	return !busy;
}

/* It is said to have ended, and will be copied all the same. */
static void sim_lie_locked(struct sim_chan *chan, struct sim_slot *slot)
{
	u64 us = sim_fault(chan, SIM_LATE_WRITE_MS) * 1000ULL;

	slot->lied = true;
	if (us)
		slot->hung = false;
	if (us || !slot->started)
		slot->due = ktime_add_us(ktime_get(),
					 us ?: sim_fault(chan, SIM_DELAY_US));
	sim_raise_locked(chan);
}

static void sim_abort(void *engine, struct pindrop_piece *piece)
{
	struct sim_slot *slot = (struct sim_slot *)piece->engine_data;
	struct sim *sim = engine;
	struct sim_chan *chan = &sim->chans[piece->chan];

	spin_lock(&chan->lock);
	if (slot->ended || slot->busy || sim_fault(chan, SIM_IGNORE_ABORT))
		goto out;
	if (sim_fault(chan, SIM_LIE_TERMINATE) ||
	    sim_fault(chan, SIM_LATE_WRITE_MS))
		sim_lie_locked(chan, slot);
	else if (!slot->hung)
		sim_slot_end_locked(chan, slot, -ECANCELED);
out:
	spin_unlock(&chan->lock);
	queue_work(sim_wq, &chan->work);
}

static void sim_cut(void *engine)
{
	struct sim *sim = engine;
	unsigned int i;

	pindrop_sim_bus_set_cut(&sim->bus, true);
	for (i = 0; i < channels; i++)
		queue_work(sim_wq, &sim->chans[i].work);
}

static void sim_uncut(void *engine)
{
	struct sim *sim = engine;

	pindrop_sim_bus_set_cut(&sim->bus, false);
}

/* Of what is being copied the end is waited for. It cures what hangs. */
static void sim_stop_locked(struct sim_chan *chan, bool lies)
{
	struct sim_slot *slot, *next;

	WRITE_ONCE(chan->faults[SIM_HANG].value, 0);
	list_for_each_entry_safe(slot, next, &chan->fifo, node) {
		if (slot->over || slot->busy)
			continue;
		if (lies && !slot->lied && !slot->ended)
			sim_lie_locked(chan, slot);
		if (lies)
			continue;
		kvfree(slot->data);
		slot->data = NULL;
		sim_slot_end_locked(chan, slot, -ECANCELED);
	}
}

static void sim_terminate(void *engine, unsigned int id)
{
	struct sim *sim = engine;
	struct sim_chan *chan = &sim->chans[id];
	bool lies = sim_fault(chan, SIM_LIE_TERMINATE) ||
		    sim_fault(chan, SIM_LATE_WRITE_MS);

	if (sim_fault(chan, SIM_TERMINATE_MS))
		msleep(sim_fault(chan, SIM_TERMINATE_MS));
	if (sim_fault(chan, SIM_IGNORE_TERMINATE))
		return;
	spin_lock_irq(&chan->lock);
	sim_stop_locked(chan, lies);
	spin_unlock_irq(&chan->lock);
	queue_work(sim_wq, &chan->work);
	flush_work(&chan->work);
}

static int sim_reset(void *engine, bool locked)
{
	struct sim *sim = engine;
	struct sim_chan *chan;
	unsigned int i;

	if (READ_ONCE(sim->fail_reset) == 1)
		return -EOPNOTSUPP;
	if (READ_ONCE(sim->fail_reset) == 3)
		return -EAGAIN;
	if (sim->ops->cut)
		sim_cut(sim);
	sim->resets++;
	for (i = 0; i < channels && !READ_ONCE(sim->fail_reset); i++) {
		chan = &sim->chans[i];
		spin_lock_irq(&chan->lock);
		sim_stop_locked(chan, false);
		spin_unlock_irq(&chan->lock);
		flush_work(&chan->work);
	}
	return READ_ONCE(sim->fail_reset) ? -EIO : 0;
}

static const struct pindrop_engine_ops sim_ops = {
	.issue = sim_issue,
	.service = sim_service,
	.abort = sim_abort,
	.terminate = sim_terminate,
	.reset = sim_reset,
	.cut = sim_cut,
	.uncut = sim_uncut,
};

static const struct pindrop_engine_ops sim_ops_without_cut = {
	.issue = sim_issue,
	.service = sim_service,
	.abort = sim_abort,
	.terminate = sim_terminate,
	.reset = sim_reset,
};

static int sim_fault_get(void *data, u64 *value)
{
	struct sim_fault *fault = data;

	*value = READ_ONCE(fault->value);
	return 0;
}

/* What a fault has kept back goes on when it ends, and is looked at. */
static int sim_fault_set(void *data, u64 value)
{
	struct sim_fault *fault = data;
	struct sim_chan *chan = fault->chan;
	struct sim_slot *slot;

	if (value > U32_MAX)
		return -ERANGE;
	spin_lock_irq(&chan->lock);
	WRITE_ONCE(fault->value, value);
	if (!sim_fault(chan, SIM_HANG))
		list_for_each_entry(slot, &chan->fifo, node)
			slot->hung = false;
	spin_unlock_irq(&chan->lock);
	if (!value) {
		queue_work(sim_wq, &chan->work);
		irq_work_queue(&chan->irq);
	}
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(sim_fault_fops, sim_fault_get, sim_fault_set,
			 "%llu\n");

/* With no interrupt taken anywhere, as on a guest that its host leaves alone. */
static int sim_stand_still(void *ms)
{
	mdelay(*(u64 *)ms);
	return 0;
}

static int sim_stall(void *data, u64 ms)
{
	struct sim *sim = data;
	struct sim_slot *slot;
	unsigned int i;

	if (!ms || ms > SIM_MAX_STALL_MS)
		return -EINVAL;
	/* Pieces that have begun take longer by the same time. */
	for (i = 0; i < channels; i++) {
		spin_lock_irq(&sim->chans[i].lock);
		list_for_each_entry(slot, &sim->chans[i].fifo, node)
			slot->due = ktime_add_ms(slot->due, ms);
		spin_unlock_irq(&sim->chans[i].lock);
	}
	return stop_machine(sim_stand_still, &ms, NULL);
}
DEFINE_DEBUGFS_ATTRIBUTE(sim_stall_fops, NULL, sim_stall, "%llu\n");

/* Under lockdown debugfs refuses all files that can be written. */
static void sim_debugfs_add(struct sim *sim)
{
	struct dentry *dir;
	unsigned int i, k;
	char name[16];

	sim->dir = debugfs_create_dir(dev_name(sim->dev), sim_debugfs);
	pindrop_sim_bus_debugfs(&sim->bus, sim->dir);
	debugfs_create_u32("fail_reset", 0600, sim->dir, &sim->fail_reset);
	debugfs_create_u32("unplugged", 0600, sim->dir, &sim->unplugged);
	debugfs_create_u32("resets", 0400, sim->dir, &sim->resets);
	debugfs_create_file("stall_ms", 0200, sim->dir, sim, &sim_stall_fops);
	for (i = 0; i < channels; i++) {
		snprintf(name, sizeof(name), "chan%u", i);
		dir = debugfs_create_dir(name, sim->dir);
		for (k = 0; k < SIM_NR_FAULTS; k++)
			debugfs_create_file_unsafe(sim_fault_names[k], 0600,
						   dir,
						   &sim->chans[i].faults[k],
						   &sim_fault_fops);
	}
}

static int sim_chan_init(struct sim *sim, unsigned int id)
{
	struct sim_chan *chan = &sim->chans[id];
	unsigned int k;

	chan->sim = sim;
	chan->id = id;
	spin_lock_init(&chan->lock);
	INIT_LIST_HEAD(&chan->fifo);
	INIT_WORK(&chan->work, sim_work);
	pindrop_work_signals(&chan->work);
	hrtimer_setup(&chan->timer, sim_timer, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS);
	init_irq_work(&chan->irq, sim_interrupt);
	for (k = 0; k < SIM_NR_FAULTS; k++)
		chan->faults[k].chan = chan;
	chan->faults[SIM_DELAY_US].value = delay_us;
	chan->data = kvmalloc(SIM_PIECE, GFP_KERNEL);
	return chan->data ? 0 : -ENOMEM;
}

static void sim_chan_fini(struct sim_chan *chan)
{
	struct sim_slot *slot, *next;

	spin_lock_irq(&chan->lock);
	chan->off = true;
	spin_unlock_irq(&chan->lock);
	hrtimer_cancel(&chan->timer);
	cancel_work_sync(&chan->work);
	irq_work_sync(&chan->irq);
	list_for_each_entry_safe(slot, next, &chan->fifo, node) {
		kvfree(slot->data);
		kfree(slot);
	}
	kvfree(chan->data);
}

/* Also of a device that was not made whole. Late writes are cut off. */
static void sim_destroy(void *data)
{
	struct sim *sim = data;
	unsigned int i;

	if (sim->pd && READ_ONCE(sim->unplugged))
		pindrop_unplugged(sim->pd);
	if (sim->pd)
		pindrop_unregister(sim->pd);
	debugfs_remove_recursive(sim->dir);
	pindrop_sim_bus_set_cut(&sim->bus, true);
	for (i = 0; i < channels && sim->chans[i].sim; i++)
		sim_chan_fini(&sim->chans[i]);
	if (sim->pd)
		pindrop_put(sim->pd);
	pindrop_sim_bus_fini(&sim->bus);
	kvfree(sim->devmem);
}

static int sim_register(struct sim *sim)
{
	const struct pindrop_engine_limits limits = {
		.name = "sim",
		.caps = PINDROP_CAP_MEM_TO_MEM | PINDROP_CAP_MEM_TO_DEV |
			PINDROP_CAP_DEV_TO_MEM,
		.channels = channels,
		.depth = depth,
		.align = 1,
		.max_piece = SIM_PIECE,
		.piece_ms = SIM_PIECE_MS,
		.dma_bits = 64,
		.devmem = SIM_DEVMEM,
	};
	struct pindrop_dev *pd;

	sim->ops = no_cut ? &sim_ops_without_cut : &sim_ops;
	pd = pindrop_register(sim->dev, sim->ops, &limits, sim);
	if (IS_ERR(pd))
		return PTR_ERR(pd);
	/* Interrupts from here on; until now the watchdog has served. */
	WRITE_ONCE(sim->pd, pd);
	sim_debugfs_add(sim);
	return 0;
}

static int sim_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct sim *sim;
	unsigned int i;
	int err;

	sim = devm_kzalloc(dev, struct_size(sim, chans, channels), GFP_KERNEL);
	if (!sim)
		return -ENOMEM;
	sim->dev = dev;
	err = pindrop_sim_bus_init(&sim->bus, dev, pdev->id, sim_translates);
	/* From here on all that there is of it is destroyed on unbinding. */
	err = devm_add_action_or_reset(dev, sim_destroy, sim) ?: err;
	if (err)
		return err;
	err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (err)
		return err;
	dma_set_max_seg_size(dev, UINT_MAX);
	sim->devmem = kvzalloc(SIM_DEVMEM, GFP_KERNEL);
	if (!sim->devmem)
		return -ENOMEM;
	for (i = 0; i < channels; i++) {
		err = sim_chan_init(sim, i);
		if (err)
			return err;
	}
	return sim_register(sim);
}

static struct sim *sim_of(struct device *dev)
{
	return container_of(dev_get_drvdata(dev), struct sim, bus);
}

static void sim_shutdown(struct platform_device *pdev)
{
	pindrop_shutdown(sim_of(&pdev->dev)->pd);
}

static int sim_suspend(struct device *dev)
{
	pindrop_pause(sim_of(dev)->pd);
	return 0;
}

/* What hangs is as idle as it was. */
static int sim_resume(struct device *dev)
{
	pindrop_unpause(sim_of(dev)->pd, true);
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(sim_pm, sim_suspend, sim_resume);

static struct platform_driver sim_driver = {
	.driver.name = SIM_NAME,
	.driver.pm = pm_sleep_ptr(&sim_pm),
	.probe = sim_probe,
	.shutdown = sim_shutdown,
};

static void sim_remove_devices(unsigned int count)
{
	while (count--)
		platform_device_unregister(sim_pdevs[count]);
}

static int sim_add_devices(void)
{
	struct platform_device_info info = {
		.name = SIM_NAME,
		.dma_mask = DMA_BIT_MASK(64),
	};
	unsigned int i;

	for (i = 0; i < devices; i++) {
		info.id = i;
		sim_pdevs[i] = platform_device_register_full(&info);
		if (!IS_ERR(sim_pdevs[i]))
			continue;
		sim_remove_devices(i);
		return PTR_ERR(sim_pdevs[i]);
	}
	return 0;
}

static int sim_check_parameters(void)
{
	sim_translates = !strcmp(mode, "iommu");
	if (!sim_translates && strcmp(mode, "direct"))
		return -EINVAL;
	if (!devices || devices > SIM_MAX || !channels || channels > SIM_MAX ||
	    !depth || depth > SIM_MAX)
		return -EINVAL;
	if (!sim_translates || PINDROP_DMA_OPS)
		return 0;
	pr_err("%s: mode=iommu needs a kernel with CONFIG_ARCH_HAS_DMA_OPS, mode=direct does not\n",
	       SIM_NAME);
	return -EOPNOTSUPP;
}

static int __init sim_init(void)
{
	int err = sim_check_parameters();

	if (err)
		return err;
	/* Hardware does not wait until the CPU has nothing else to do. */
	sim_wq = alloc_workqueue(SIM_NAME,
				 WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!sim_wq)
		return -ENOMEM;
	sim_debugfs = debugfs_create_dir(SIM_NAME, NULL);
	err = platform_driver_register(&sim_driver);
	if (err)
		goto err_wq;
	err = sim_add_devices();
	if (err)
		goto err_driver;
	return 0;

err_driver:
	platform_driver_unregister(&sim_driver);
err_wq:
	debugfs_remove_recursive(sim_debugfs);
	destroy_workqueue(sim_wq);
	return err;
}

static void __exit sim_exit(void)
{
	sim_remove_devices(devices);
	platform_driver_unregister(&sim_driver);
	debugfs_remove_recursive(sim_debugfs);
	destroy_workqueue(sim_wq);
}

module_init(sim_init);
module_exit(sim_exit);
MODULE_DESCRIPTION("pindrop engine: no hardware, faults to order");
MODULE_LICENSE("GPL");
