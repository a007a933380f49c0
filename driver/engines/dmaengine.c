// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever the kernel's dmaengine drives: channels that copy from memory to
 * memory, of one controller. They are named by a device tree's node
 * ("pindrop,dmaengine"), by the parameters below, or by what is written to
 * /sys/bus/platform/drivers/pindrop_dmaengine/new_device:
 *
 *   CONTROLLER [CHANNELS [ALIGNMENT]]
 *
 * CONTROLLER is the device that the controller's driver is bound to, or "any";
 * delete_device takes the name of what that made. It waits for its controller,
 * and stays with it.
 *
 * What counts as proof that a piece is over:
 *  - its callback, or a status that says so: a copy is finite, and drivers say
 *    it when the hardware has. (Some also do on an error of the bus.)
 *  - that it was never given to the controller.
 *  - a canary: the channel is given back and asked for again, and copies a few
 *    bytes that are looked for in memory. A channel works in order, so what
 *    came before them is over. It has to be the same channel.
 * That a channel was told to stop is none. Some drivers only forget what it
 * does then, with the interrupt that is still to come, and the descriptors that
 * the hardware may still read. So that is done on the way out only, and a
 * canary is an administrator's decision. Without it a late callback still tells;
 * a canary behind a piece that hangs does not: few drivers give the hardware
 * anything before they have heard of the last.
 *
 * There is no way to keep a controller from memory, so there is no cut.
 *
 * The canary is weaker where a driver has more channels to give away than the
 * hardware has, and puts each descriptor on any that is free: then it shows
 * that the driver works, but not that of another hardware channel. No driver
 * says that it is so. Where it is, do not reset what hangs; unbind, and leave
 * the memory in quarantine.
 *
 * Some drivers sleep where they prepare a descriptor. A work item does that.
 *
 * In debugfs, pindrop_dmaengine/ has faults, each a number, 0 is none:
 *   blind	canaries are not looked at
 *   DEVICE/deaf	1: callbacks are not heard; 2: status is not believed either
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/kmemleak.h>
#include <linux/list.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "../compat.h"
#include "../engine.h"
#include "../../uapi/pindrop.h"
#include "dmaengine.h"

#define DMAE_DEPTH 4
#define DMAE_PIECE SZ_64K
#define DMAE_PIECE_MS 500
#define DMAE_MAX_DELAY_US 100000
/* So long an interrupt may be on its way when its bytes have arrived. */
#define DMAE_SETTLE_MS 10

static char *controller = "any";
module_param(controller, charp, 0444);
MODULE_PARM_DESC(controller,
		 "without a device tree: whose channels to take (any)");
static unsigned int channels;
module_param(channels, uint, 0444);
MODULE_PARM_DESC(channels, "without a device tree: how many of them (0)");
static unsigned int delay_us;
module_param(delay_us, uint, 0644);
MODULE_PARM_DESC(delay_us,
		 "hold each piece back for so long, to try things out (0)");

static struct workqueue_struct *dmae_wq;
static struct dentry *dmae_debugfs;
static u32 dmae_blind;

struct dmae_slot;

/**
 * struct dmae_token - what a descriptor knows of us
 * @slot: what it is for, or NULL; taken by xchg(), by who ends it or gives it up
 * @called: the same, for a canary
 *
 * Drivers call back late, and some after all that should have stopped them.
 * A slot is used again, for another piece: so each descriptor has a token of its
 * own, which is freed by its callback and by nothing else. If that never comes
 * the token stays.
 */
struct dmae_token {
	struct dmae_slot *slot;
	struct completion *called;
};

/**
 * struct dmae_slot - a piece; under dmae_chan::lock
 * @node: in dmae_chan::free, ::waiting or ::started
 * @chan: whose
 * @piece: the core's
 * @token: its descriptor's, or NULL
 * @cookie: ... and what its status is asked by, or 0
 * @given: when the controller got it (jiffies)
 * @ended: may be reported
 * @status: ... with this
 */
struct dmae_slot {
	struct list_head node;
	struct dmae_chan *chan;
	struct pindrop_piece *piece;
	struct dmae_token *token;
	dma_cookie_t cookie;
	unsigned long given;
	bool ended;
	int status;
};

/**
 * struct dmae_chan - a channel
 * @dmae: its device
 * @id: its number
 * @name: in dma-names; NULL: it is taken by capability
 * @dma: the controller's; NULL: it was lost in a reset. Written while nothing
 *	is issued
 * @same: what it was at first: no other will do. The controller stays bound as
 *	long as we do
 * @lock: guards the lists; inside the core's channel lock
 * @free: slots without a piece
 * @waiting: pieces that the controller does not know of
 * @started: those that it was given, oldest first
 * @work: gives it the next ones, and asks for the oldest
 * @slots: all of them
 */
struct dmae_chan {
	struct dmae *dmae;
	unsigned int id;
	const char *name;
	struct dma_chan *dma;
	struct dma_chan *same;
	spinlock_t lock;
	struct list_head free;
	struct list_head waiting;
	struct list_head started;
	struct work_struct work;
	struct dmae_slot slots[DMAE_DEPTH];
};

/**
 * struct dmae - a device
 * @dev: what it is bound to
 * @where: of one that no device tree knows of, or NULL
 * @dma_dev: the controller
 * @pd: the core's; for callbacks only, which come after it
 * @dir: in debugfs
 * @deaf: see the top of this file
 * @going: channels are to be stopped as well as can be
 * @nchans: so many
 * @chans: its channels
 */
struct dmae {
	struct device *dev;
	const struct dmae_where *where;
	struct device *dma_dev;
	struct pindrop_dev *pd;
	struct dentry *dir;
	u32 deaf;
	bool going;
	unsigned int nchans;
	struct dmae_chan chans[];
};

/* The interrupt, as it were. Before there is a device the watchdog serves. */
static void dmae_service_soon(struct dmae_chan *chan)
{
	/* Pairs with the release in dmae_register(). */
	struct pindrop_dev *pd = smp_load_acquire(&chan->dmae->pd);

	if (pd)
		pindrop_service(pd, chan->id);
}

/* It is over, and its descriptor has nothing to say any more. */
static void dmae_end_locked(struct dmae_slot *slot, int status)
{
	lockdep_assert_held(&slot->chan->lock);
	slot->token = NULL;
	slot->cookie = 0;
	slot->ended = true;
	slot->status = status;
}

static void dmae_end(struct dmae_slot *slot, int status)
{
	struct dmae_chan *chan = slot->chan;
	unsigned long flags;

	spin_lock_irqsave(&chan->lock, flags);
	dmae_end_locked(slot, status);
	spin_unlock_irqrestore(&chan->lock, flags);
	dmae_service_soon(chan);
}

/*
 * From here on the callback does nothing. False if it is at the door and does
 * what it does. The token is there: the callback frees it when it has had the
 * lock.
 */
static bool dmae_give_up_locked(struct dmae_slot *slot)
{
	struct dmae_token *token = slot->token;

	lockdep_assert_held(&slot->chan->lock);
	slot->cookie = 0;
	if (!token)
		return true;
	/* Pairs with the xchg() in dmae_callback(): one of the two has it. */
	if (!xchg(&token->slot, NULL))
		return false;
	kmemleak_ignore(token);
	slot->token = NULL;
	return true;
}

static int dmae_result(const struct dmaengine_result *result)
{
	if (!result ||
	    (result->result == DMA_TRANS_NOERROR && !result->residue))
		return 0;
	return result->result == DMA_TRANS_ABORTED ? -ECANCELED : -EIO;
}

static void dmae_heard(struct dmae_slot *slot, int status)
{
	struct dmae_chan *chan = slot->chan;
	unsigned long flags;

	if (!READ_ONCE(chan->dmae->deaf)) {
		dmae_end(slot, status);
		return;
	}
	spin_lock_irqsave(&chan->lock, flags);
	slot->token = NULL;
	spin_unlock_irqrestore(&chan->lock, flags);
}

static void dmae_callback(void *data, const struct dmaengine_result *result)
{
	struct dmae_token *token = data;
	struct completion *called;
	struct dmae_slot *slot;

	/* Who has taken both away waits for this before they go. */
	rcu_read_lock();
	slot = xchg(&token->slot, NULL);
	if (slot)
		dmae_heard(slot, dmae_result(result));
	called = xchg(&token->called, NULL);
	if (called)
		complete(called);
	rcu_read_unlock();
	kfree(token);
}

/* Once it is prepared a descriptor has to be submitted: there is no way back. */
static dma_cookie_t dmae_submit(struct dma_chan *dma, dma_addr_t dst,
				dma_addr_t src, size_t len,
				struct dmae_token *token)
{
	struct dma_async_tx_descriptor *tx;
	dma_cookie_t cookie;

	tx = dmaengine_prep_dma_memcpy(dma, dst, src, len,
				       DMA_PREP_INTERRUPT | DMA_CTRL_ACK);
	if (!tx)
		return -ENOMEM;
	tx->callback_result = dmae_callback;
	tx->callback_param = token;
	cookie = dmaengine_submit(tx);
	return dma_submit_error(cookie) ? -EIO : cookie;
}

/* The next piece for the controller, or NULL. */
static struct dmae_slot *dmae_next(struct dmae_chan *chan)
{
	struct dmae_slot *slot;

	spin_lock_irq(&chan->lock);
	slot = list_first_entry_or_null(&chan->waiting, struct dmae_slot, node);
	if (slot)
		list_move_tail(&slot->node, &chan->started);
	spin_unlock_irq(&chan->lock);
	return slot;
}

static int dmae_give(struct dmae_chan *chan, struct dmae_slot *slot)
{
	const struct pindrop_piece *piece = slot->piece;
	struct dmae_token *token;
	dma_cookie_t cookie;

	if (!chan->dma)
		return -EIO;
	token = kzalloc(sizeof(*token), GFP_KERNEL);
	if (!token)
		return -ENOMEM;
	token->slot = slot;
	spin_lock_irq(&chan->lock);
	slot->token = token;
	slot->given = jiffies;
	spin_unlock_irq(&chan->lock);
	cookie = dmae_submit(chan->dma, piece->dst, piece->src, piece->len,
			     token);
	spin_lock_irq(&chan->lock);
	/* Some drivers start, and call back, before they are told to. */
	if (slot->token == token)
		slot->cookie = max(cookie, 0);
	if (cookie < 0)
		slot->token = NULL;
	spin_unlock_irq(&chan->lock);
	if (cookie < 0) {
		kfree(token); /* no descriptor has it */
		return cookie;
	}
	dma_async_issue_pending(chan->dma);
	return 0;
}

/* The oldest, if it has been long: its callback may have been lost. */
static struct dmae_slot *dmae_oldest_locked(struct dmae_chan *chan)
{
	unsigned long patience = msecs_to_jiffies(DMAE_PIECE_MS / 4);
	struct dmae_slot *slot;

	list_for_each_entry(slot, &chan->started, node)
		if (!slot->ended && slot->cookie)
			return time_after(jiffies, slot->given + patience) ?
				       slot :
				       NULL;
	return NULL;
}

/* Not under a lock: some drivers call back from in here. */
static void dmae_ask(struct dmae_chan *chan)
{
	struct dmae_slot *slot;
	enum dma_status status;
	dma_cookie_t cookie = 0;
	bool over;

	spin_lock_irq(&chan->lock);
	slot = dmae_oldest_locked(chan);
	if (slot)
		cookie = slot->cookie;
	spin_unlock_irq(&chan->lock);
	if (!slot || READ_ONCE(chan->dmae->deaf) > 1)
		return;
	status = dma_async_is_tx_complete(chan->dma, cookie, NULL, NULL);
	if (status != DMA_COMPLETE && status != DMA_ERROR)
		return;
	spin_lock_irq(&chan->lock);
	/* Nobody but this work, which runs once, gives it to the controller. */
	over = !slot->ended && slot->cookie == cookie &&
	       dmae_give_up_locked(slot);
	if (over)
		dmae_end_locked(slot, status == DMA_ERROR ? -EIO : 0);
	spin_unlock_irq(&chan->lock);
	if (over)
		dmae_service_soon(chan);
}

/*
 * Fences wait for the pieces, and reclaim may wait for the fences, so nothing in
 * here may reclaim: not the controller's driver either, which may prepare a
 * descriptor with GFP_KERNEL (bcm2835).
 */
static void dmae_work(struct work_struct *work)
{
	struct dmae_chan *chan = container_of(work, struct dmae_chan, work);
	unsigned int reclaim = memalloc_noreclaim_save();
	struct dmae_slot *slot;
	unsigned int delay;
	int err;

	while ((slot = dmae_next(chan))) {
		delay = READ_ONCE(delay_us);
		/* As if it was there already: it will be written. */
		if (delay)
			fsleep(min_t(unsigned int, delay, DMAE_MAX_DELAY_US));
		err = dmae_give(chan, slot);
		if (err)
			dmae_end(slot, err);
	}
	dmae_ask(chan);
	memalloc_noreclaim_restore(reclaim);
}

static int dmae_issue(void *engine, struct pindrop_piece *piece)
{
	struct dmae *dmae = engine;
	struct dmae_chan *chan = &dmae->chans[piece->chan];
	struct dmae_slot *slot;

	spin_lock(&chan->lock);
	/* There are as many as the core has pieces. */
	slot = list_first_entry(&chan->free, struct dmae_slot, node);
	slot->piece = piece;
	slot->ended = false;
	list_move_tail(&slot->node, &chan->waiting);
	spin_unlock(&chan->lock);
	queue_work(dmae_wq, &chan->work);
	return 0;
}

/* Takes one that is over; its piece, or NULL. */
static struct pindrop_piece *dmae_ended(struct dmae_chan *chan, int *status)
{
	struct dmae_slot *slot;

	list_for_each_entry(slot, &chan->started, node) {
		if (!slot->ended)
			continue;
		*status = slot->status;
		list_move(&slot->node, &chan->free);
		return slot->piece;
	}
	return NULL;
}

/* Its turn comes with the end of the one before. */
static struct pindrop_piece *dmae_first(struct dmae_chan *chan)
{
	struct dmae_slot *slot;

	slot = list_first_entry_or_null(&chan->started, struct dmae_slot, node);
	if (!slot)
		slot = list_first_entry_or_null(&chan->waiting,
						struct dmae_slot, node);
	return slot ? slot->piece : NULL;
}

static int dmae_service(void *engine, unsigned int id)
{
	struct dmae *dmae = engine;
	struct dmae_chan *chan = &dmae->chans[id];
	struct pindrop_piece *piece;
	bool moved = false;
	int status, idle;

	spin_lock(&chan->lock);
	while ((piece = dmae_ended(chan, &status))) {
		/* Calls nothing of the engine. */
		pindrop_piece_done(piece, status);
		moved = true;
	}
	piece = dmae_first(chan);
	if (moved && piece)
		pindrop_piece_progress(piece);
	idle = !piece && chan->dma;
	/* It asks the controller's driver, which is not to be asked here. */
	if (dmae_oldest_locked(chan))
		queue_work(dmae_wq, &chan->work);
	spin_unlock(&chan->lock);
	return idle;
}

/* What the controller does not know of, and never will. */
static void dmae_withdraw_locked(struct dmae_chan *chan,
				 const struct pindrop_piece *piece)
{
	struct dmae_slot *slot, *next;

	list_for_each_entry_safe(slot, next, &chan->waiting, node) {
		if (piece && slot->piece != piece)
			continue;
		dmae_end_locked(slot, -ECANCELED);
		list_move_tail(&slot->node, &chan->started);
	}
}

static void dmae_abort(void *engine, struct pindrop_piece *piece)
{
	struct dmae *dmae = engine;
	struct dmae_chan *chan = &dmae->chans[piece->chan];

	spin_lock(&chan->lock);
	dmae_withdraw_locked(chan, piece);
	spin_unlock(&chan->lock);
}

/*
 * As well as its driver can, if there is anything to stop. It proves nothing,
 * and what the driver says of these pieces from here on does not either.
 */
static void dmae_stop(struct dmae_chan *chan)
{
	struct dmae_slot *slot;
	bool busy = false;

	spin_lock_irq(&chan->lock);
	dmae_withdraw_locked(chan, NULL);
	spin_unlock_irq(&chan->lock);
	/* It may be in the middle of one, and has no more than that. */
	cancel_work_sync(&chan->work);
	spin_lock_irq(&chan->lock);
	list_for_each_entry(slot, &chan->started, node)
		busy |= !slot->ended && dmae_give_up_locked(slot);
	spin_unlock_irq(&chan->lock);
	if (busy && chan->dma)
		dmaengine_terminate_sync(chan->dma);
}

static void dmae_terminate(void *engine, unsigned int id)
{
	struct dmae *dmae = engine;

	if (dmae->going)
		dmae_stop(&dmae->chans[id]);
}

static bool dmae_is(struct dma_chan *dma, void *param)
{
	return dma == param;
}

static bool dmae_fits(struct dma_chan *dma, void *param)
{
	struct dmae *dmae = param;
	const char *name = dmae->where->controller;

	/* All of one controller. */
	if (dmae->dma_dev && dmaengine_get_dma_device(dma) != dmae->dma_dev)
		return false;
	return !strcmp(name, "any") ||
	       !strcmp(name, dev_name(dma->device->dev));
}

/* It may be any channel the first time; then it has to be that one. */
static struct dma_chan *dmae_request(struct dmae_chan *chan)
{
	struct dma_chan *dma;
	dma_cap_mask_t mask;

	if (chan->name && !chan->same)
		return dma_request_chan(chan->dmae->dev, chan->name);
	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	if (chan->same)
		dma = dma_request_channel(mask, dmae_is, chan->same);
	else
		dma = dma_request_channel(mask, dmae_fits, chan->dmae);
	/* There may be one when another driver has been bound. */
	return dma ?: ERR_PTR(-EPROBE_DEFER);
}

/* Its driver may still go by a canary that it has not heard of. */
static void dmae_give_back(struct dma_chan *dma)
{
	dmaengine_terminate_sync(dma);
	dma_release_channel(dma);
}

static int dmae_request_again(struct dmae_chan *chan)
{
	struct dma_chan *dma;

	if (chan->dma)
		dmae_give_back(chan->dma);
	dma = dmae_request(chan);
	if (IS_ERR(dma))
		dev_err(chan->dmae->dev, "channel %u is not to be had again\n",
			chan->id);
	spin_lock_irq(&chan->lock);
	chan->dma = IS_ERR(dma) ? NULL : dma;
	spin_unlock_irq(&chan->lock);
	return IS_ERR(dma) ? -EIO : 0;
}

/* Bounded; the interrupt may be what does not work, so memory is looked at. */
static bool dmae_arrives(const u8 *sent, const u8 *copy)
{
	unsigned long end = jiffies + msecs_to_jiffies(DMAE_PIECE_MS);
	bool late;

	do {
		late = time_after(jiffies, end);
		/* Pairs with the device's write: the last look is a fresh one. */
		dma_rmb();
		if (!READ_ONCE(dmae_blind) && !memcmp(sent, copy, DMAE_CANARY))
			return true;
		usleep_range(100, 1000);
	} while (!late);
	return false;
}

/* True if the driver has called back, or is about to. */
static bool dmae_is_called(struct dmae_token *token, struct completion *called)
{
	if (wait_for_completion_timeout(called,
					msecs_to_jiffies(DMAE_PIECE_MS)))
		return true;
	/* Pairs with the xchg() in dmae_callback(). */
	if (xchg(&token->called, NULL)) {
		kmemleak_ignore(token);
		return false;
	}
	synchronize_rcu(); /* it is in there */
	return true;
}

/*
 * 0: what the channel was given before is over. -EIO: that is not known.
 * What was told to stop may have left an interrupt that ends the canary before
 * its time. The canary's own finds nothing then, and has to have come before
 * there is something else for it to end.
 */
static int dmae_copy_and_look(struct dmae_chan *chan, u8 *cpu, dma_addr_t bus,
			      bool *heard)
{
	DECLARE_COMPLETION_ONSTACK(called);
	struct dmae_token *token;
	bool arrived;

	token = kzalloc(sizeof(*token), GFP_KERNEL);
	if (!token)
		return -ENOMEM;
	token->called = &called;
	get_random_bytes(cpu, DMAE_CANARY);
	memset(cpu + DMAE_CANARY, ~cpu[DMAE_CANARY - 1], DMAE_CANARY);
	if (dmae_submit(chan->dma, bus + DMAE_CANARY, bus, DMAE_CANARY, token) <
	    0) {
		kfree(token);
		return -EIO;
	}
	dma_async_issue_pending(chan->dma);
	arrived = dmae_arrives(cpu, cpu + DMAE_CANARY);
	*heard = dmae_is_called(token, &called);
	msleep(DMAE_SETTLE_MS);
	return arrived ? 0 : -ETIMEDOUT;
}

/* 0: all that the channel was ever given is over, and it takes more. */
static int dmae_prove(struct dmae_chan *chan)
{
	struct device *dma_dev = chan->dmae->dma_dev;
	struct device *dev = chan->dmae->dev;
	bool heard = false;
	dma_addr_t bus;
	int err;
	u8 *cpu;

	cpu = dma_alloc_coherent(dma_dev, 2 * DMAE_CANARY, &bus, GFP_KERNEL);
	if (!cpu)
		return -ENOMEM;
	err = dmae_copy_and_look(chan, cpu, bus, &heard);
	if (err == -ETIMEDOUT) {
		dev_crit(dev,
			 "channel %u: a canary did not arrive, its %u bytes are kept: they may be written later\n",
			 chan->id, 2 * DMAE_CANARY);
		return -EIO;
	}
	dma_free_coherent(dma_dev, 2 * DMAE_CANARY, cpu, bus);
	if (err || heard)
		return err;
	/* Its driver waits for it, and would give the hardware nothing else. */
	dev_warn(dev,
		 "channel %u copies, but does not say so: no interrupt?\n",
		 chan->id);
	return dmae_request_again(chan);
}

static int dmae_reset_chan(struct dmae_chan *chan)
{
	struct dmae_slot *slot;
	int err;

	dmae_stop(chan);
	err = dmae_request_again(chan) ?: dmae_prove(chan);
	if (err)
		return err;
	spin_lock_irq(&chan->lock);
	list_for_each_entry(slot, &chan->started, node)
		if (!slot->ended && dmae_give_up_locked(slot))
			dmae_end_locked(slot, -ECANCELED);
	spin_unlock_irq(&chan->lock);
	return 0;
}

/* The core has seen to it that nothing is issued. */
static int dmae_reset(void *engine, bool locked)
{
	struct dmae *dmae = engine;
	unsigned int i;
	int err = 0;

	for (i = 0; i < dmae->nchans; i++)
		if (dmae_reset_chan(&dmae->chans[i]))
			err = -EIO;
	return err;
}

static const struct pindrop_engine_ops dmae_ops = {
	.issue = dmae_issue,
	.service = dmae_service,
	.abort = dmae_abort,
	.terminate = dmae_terminate,
	.reset = dmae_reset,
};

static void dmae_chan_init(struct dmae *dmae, unsigned int id, const char *name)
{
	struct dmae_chan *chan = &dmae->chans[id];
	unsigned int i;

	chan->dmae = dmae;
	chan->id = id;
	chan->name = name;
	spin_lock_init(&chan->lock);
	INIT_LIST_HEAD(&chan->free);
	INIT_LIST_HEAD(&chan->waiting);
	INIT_LIST_HEAD(&chan->started);
	INIT_WORK(&chan->work, dmae_work);
	pindrop_work_signals(&chan->work);
	for (i = 0; i < DMAE_DEPTH; i++) {
		chan->slots[i].chan = chan;
		list_add_tail(&chan->slots[i].node, &chan->free);
	}
}

static int dmae_chan_get(struct dmae_chan *chan)
{
	struct dmae *dmae = chan->dmae;
	struct dma_chan *dma = dmae_request(chan);

	if (IS_ERR(dma))
		return dev_err_probe(dmae->dev, PTR_ERR(dma), "no channel %s\n",
				     chan->name ?: dmae->where->controller);
	chan->dma = dma;
	chan->same = dma;
	if (!dma_has_cap(DMA_MEMCPY, dma->device->cap_mask))
		return dev_err_probe(dmae->dev, -EINVAL,
				     "channel %s does not copy memory\n",
				     dma_chan_name(dma));
	/* Memory is mapped once, for whoever does the job. */
	if (dmae->dma_dev && dmae->dma_dev != dmaengine_get_dma_device(dma))
		return dev_err_probe(dmae->dev, -EINVAL,
				     "channel %s is another controller's\n",
				     dma_chan_name(dma));
	dmae->dma_dev = dmaengine_get_dma_device(dma);
	return 0;
}

/* The controller's unbinding is ours first. When it is back, so are we. */
static int dmae_link(struct dmae *dmae)
{
	struct device *dev = dmae->chans[0].dma->device->dev;
	struct device_link *link;

	link = device_link_add(dmae->dev, dev, DL_FLAG_AUTOPROBE_CONSUMER);
	if (!link)
		return dev_err_probe(dmae->dev, -EINVAL,
				     "no link to the controller\n");
	/* It was being unbound, and did not see us. */
	if (READ_ONCE(link->status) == DL_STATE_DORMANT ||
	    READ_ONCE(link->status) == DL_STATE_SUPPLIER_UNBIND)
		return dev_err_probe(dmae->dev, -EPROBE_DEFER,
				     "the controller goes\n");
	return 0;
}

/* Nobody issues anything any more. Also of a device that was not made whole. */
static void dmae_release_chans(struct dmae *dmae)
{
	unsigned int i;

	for (i = 0; i < dmae->nchans; i++) {
		struct dmae_chan *chan = &dmae->chans[i];

		dmae_stop(chan);
		if (chan->dma)
			dmae_give_back(chan->dma);
		chan->dma = NULL;
	}
	/* Of drivers that have something on its way even so, and of callbacks. */
	msleep(DMAE_SETTLE_MS);
	synchronize_rcu();
}

static void dmae_destroy(void *data)
{
	struct dmae *dmae = data;

	dmae->going = true;
	if (dmae->pd)
		pindrop_unregister(dmae->pd);
	debugfs_remove_recursive(dmae->dir);
	dmae_release_chans(dmae);
	if (dmae->pd)
		pindrop_put(dmae->pd);
}

/* What the controller needs, whether or not its driver says so. */
static int dmae_align(struct dmae *dmae)
{
	u32 align = 1;
	unsigned int i;

	if (dmae->where)
		align = dmae->where->align;
	else
		device_property_read_u32(dmae->dev, "pindrop,alignment",
					 &align);
	if (!dmae_align_is_valid(align))
		return dev_err_probe(dmae->dev, -EINVAL, "an alignment of %u\n",
				     align);
	for (i = 0; i < dmae->nchans; i++)
		align = max_t(u32, align,
			      1 << dmae->chans[i].dma->device->copy_align);
	return align;
}

/* By what the same channels are known again, by whatever device. */
static const char *dmae_place(struct dmae *dmae)
{
	const char *place = "";
	struct dma_chan *dma;
	unsigned int i;

	for (i = 0; place && i < dmae->nchans; i++) {
		dma = dmae->chans[i].dma;
		place = devm_kasprintf(dmae->dev, GFP_KERNEL, "%s%s/%d ", place,
				       dev_name(dma->device->dev),
				       dma->chan_id);
	}
	return place;
}

/* Under lockdown debugfs refuses all files that can be written. */
static void dmae_debugfs_add(struct dmae *dmae)
{
	dmae->dir = debugfs_create_dir(dev_name(dmae->dev), dmae_debugfs);
	debugfs_create_u32("deaf", 0600, dmae->dir, &dmae->deaf);
}

static int dmae_register(struct dmae *dmae)
{
	struct pindrop_engine_limits limits = {
		.name = "dmaengine",
		.caps = PINDROP_CAP_MEM_TO_MEM,
		.channels = dmae->nchans,
		.depth = DMAE_DEPTH,
		.piece_ms = DMAE_PIECE_MS,
		.dma_bits = fls64(dma_get_mask(dmae->dma_dev)),
		.dma_dev = dmae->dma_dev,
		.place = dmae_place(dmae),
		.reset_by_order = true,
	};
	struct pindrop_dev *pd;
	unsigned int i;
	int err;

	if (!limits.place)
		return -ENOMEM;
	err = dmae_align(dmae);
	if (err < 0)
		return err;
	limits.align = err;
	limits.max_piece = rounddown(min_t(u32, DMAE_PIECE,
					   dma_get_max_seg_size(dmae->dma_dev)),
				     limits.align);
	for (i = 0; i < dmae->nchans; i++) {
		err = dmae_prove(&dmae->chans[i]);
		if (err)
			return dev_err_probe(dmae->dev, err,
					     "channel %u does not copy\n", i);
	}
	pd = pindrop_register(dmae->dev, &dmae_ops, &limits, dmae);
	if (IS_ERR(pd))
		return PTR_ERR(pd);
	/* Pairs with the acquire in dmae_service_soon(). */
	smp_store_release(&dmae->pd, pd);
	dmae_debugfs_add(dmae);
	return 0;
}

static int dmae_count(struct device *dev)
{
	const struct dmae_where *where = dev_get_platdata(dev);
	int n;

	n = where ? where->channels :
		    device_property_string_array_count(dev, "dma-names");
	if (n > 0 && n <= DMAE_MAX_CHANS)
		return n;
	return dev_err_probe(dev, -EINVAL, "1 to %u channels are possible\n",
			     DMAE_MAX_CHANS);
}

static int dmae_names(struct device *dev, const char **names, int n)
{
	if (dev_get_platdata(dev))
		return 0;
	n = device_property_read_string_array(dev, "dma-names", names, n);
	return min(n, 0);
}

static int dmae_probe(struct platform_device *pdev)
{
	const char *names[DMAE_MAX_CHANS] = {};
	struct device *dev = &pdev->dev;
	int n = dmae_count(dev), err, i;
	struct dmae *dmae;

	if (n < 0)
		return n;
	err = dmae_names(dev, names, n);
	if (err)
		return err;
	dmae = devm_kzalloc(dev, struct_size(dmae, chans, n), GFP_KERNEL);
	if (!dmae)
		return -ENOMEM;
	dmae->dev = dev;
	dmae->where = dev_get_platdata(dev);
	platform_set_drvdata(pdev, dmae);
	for (i = 0; i < n; i++)
		dmae_chan_init(dmae, i, names[i]);
	dmae->nchans = n;
	/* From here on all that there is of it is destroyed on unbinding. */
	err = devm_add_action_or_reset(dev, dmae_destroy, dmae);
	for (i = 0; i < n && !err; i++)
		err = dmae_chan_get(&dmae->chans[i]);
	return err ?: dmae_link(dmae) ?: dmae_register(dmae);
}

/* The controller's driver may have nobody use it any more when its turn comes. */
static void dmae_shutdown(struct platform_device *pdev)
{
	struct dmae *dmae = platform_get_drvdata(pdev);

	dmae->going = true;
	pindrop_shutdown(dmae->pd);
	dmae_release_chans(dmae);
}

static int dmae_suspend(struct device *dev)
{
	struct dmae *dmae = dev_get_drvdata(dev);

	pindrop_pause(dmae->pd);
	return 0;
}

/* What hangs is as idle as it was. */
static int dmae_resume(struct device *dev)
{
	struct dmae *dmae = dev_get_drvdata(dev);

	pindrop_unpause(dmae->pd, true);
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(dmae_pm, dmae_suspend, dmae_resume);

static const struct of_device_id dmae_of_match[] = {
	{ .compatible = "pindrop,dmaengine" }, {}
};
MODULE_DEVICE_TABLE(of, dmae_of_match);

static struct platform_driver dmae_driver = {
	.driver.name = DMAE_NAME,
	.driver.groups = dmae_groups,
	.driver.of_match_table = dmae_of_match,
	.driver.pm = pm_sleep_ptr(&dmae_pm),
	.probe = dmae_probe,
	.shutdown = dmae_shutdown,
};

static void dmae_exit_all(void)
{
	pindrop_dmae_delete_all();
	platform_driver_unregister(&dmae_driver);
	debugfs_remove_recursive(dmae_debugfs);
	destroy_workqueue(dmae_wq);
}

static int __init dmae_init(void)
{
	int err;

	dmae_wq = alloc_workqueue(DMAE_NAME,
				  WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!dmae_wq)
		return -ENOMEM;
	dmae_debugfs = debugfs_create_dir(DMAE_NAME, NULL);
	debugfs_create_u32("blind", 0600, dmae_debugfs, &dmae_blind);
	err = platform_driver_register(&dmae_driver);
	if (err) {
		debugfs_remove_recursive(dmae_debugfs);
		destroy_workqueue(dmae_wq);
		return err;
	}
	if (channels)
		err = pindrop_dmae_make(controller, channels, 1);
	if (err)
		dmae_exit_all();
	return err;
}

module_init(dmae_init);
module_exit(dmae_exit_all);
MODULE_DESCRIPTION("pindrop engine: channels of the kernel's dmaengine");
MODULE_LICENSE("GPL");
MODULE_ALIAS("platform:" DMAE_NAME);
