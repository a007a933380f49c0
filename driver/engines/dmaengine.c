// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever the kernel's dmaengine drives: channels that copy from memory to
 * memory.
 *
 * What counts as proof here is that a descriptor's callback ran: a copy is
 * finite, and drivers call it when the hardware says that it is through. That
 * a channel was told to stop is none: some drivers only forget what it does.
 * So a channel that hangs is proved idle by a reset alone: it is given back,
 * asked for again, and has to copy a few bytes that are looked at in memory.
 * A channel works in order, so what came before them is over. If it is another
 * channel then, nothing is proved.
 *
 * There is no way to keep a controller from memory. A cut stops the channels as
 * well as their driver does, and proves nothing, too.
 *
 * Some drivers sleep where they prepare a descriptor. A work item does that.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "../compat.h"
#include "../engine.h"
#include "../../uapi/pindrop.h"

#define DMAE_NAME "pindrop_dmaengine"
#define DMAE_MAX_CHANS 16
#define DMAE_DEPTH 4
#define DMAE_PIECE SZ_64K
#define DMAE_PIECE_MS 500
#define DMAE_CANARY 64

static unsigned int channels;
module_param(channels, uint, 0444);
MODULE_PARM_DESC(
	channels,
	"channels to take from any controller, on machines without a device tree (0)");

static struct workqueue_struct *dmae_wq;
static struct platform_device *dmae_pdev;

struct dmae_chan;

/**
 * struct dmae_slot - a piece; under dmae_chan::lock
 * @node: in dmae_chan::free, ::waiting or ::started
 * @chan: whose
 * @piece: the core's
 * @ended: may be reported
 * @status: ... with this
 */
struct dmae_slot {
	struct list_head node;
	struct dmae_chan *chan;
	struct pindrop_piece *piece;
	bool ended;
	int status;
};

/**
 * struct dmae_chan - a channel
 * @dmae: its device
 * @id: its number
 * @name: in dma-names; NULL: any
 * @dma: the controller's; NULL: it was lost in a reset
 * @lock: guards the lists; inside the core's channel lock
 * @free: slots without a piece
 * @waiting: pieces that the controller does not know of
 * @started: those that it was given, oldest first
 * @work: gives it the next ones
 * @slots: all of them
 */
struct dmae_chan {
	struct dmae *dmae;
	unsigned int id;
	const char *name;
	struct dma_chan *dma;
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
 * @dma_dev: the controller
 * @pd: the core's; for callbacks only, which come after it
 * @nchans: so many
 * @chans: its channels
 */
struct dmae {
	struct device *dev;
	struct device *dma_dev;
	struct pindrop_dev *pd;
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

static void dmae_end(struct dmae_slot *slot, int status)
{
	struct dmae_chan *chan = slot->chan;
	unsigned long flags;

	spin_lock_irqsave(&chan->lock, flags);
	slot->ended = true;
	slot->status = status;
	spin_unlock_irqrestore(&chan->lock, flags);
	dmae_service_soon(chan);
}

static void dmae_callback(void *data, const struct dmaengine_result *result)
{
	int status = 0;

	if (result && result->result == DMA_TRANS_ABORTED)
		status = -ECANCELED;
	else if (result &&
		 (result->result != DMA_TRANS_NOERROR || result->residue))
		status = -EIO;
	dmae_end(data, status);
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

/* Once it is prepared a descriptor has to be submitted: there is no way back. */
static int dmae_give(struct dmae_chan *chan, struct dmae_slot *slot)
{
	const struct pindrop_piece *piece = slot->piece;
	struct dma_async_tx_descriptor *tx;

	if (!chan->dma)
		return -EIO;
	tx = dmaengine_prep_dma_memcpy(chan->dma, piece->dst, piece->src,
				       piece->len,
				       DMA_PREP_INTERRUPT | DMA_CTRL_ACK);
	if (!tx)
		return -ENOMEM;
	tx->callback_result = dmae_callback;
	tx->callback_param = slot;
	if (dma_submit_error(dmaengine_submit(tx)))
		return -EIO;
	dma_async_issue_pending(chan->dma);
	return 0;
}

static void dmae_work(struct work_struct *work)
{
	struct dmae_chan *chan = container_of(work, struct dmae_chan, work);
	struct dmae_slot *slot;
	int err;

	while ((slot = dmae_next(chan))) {
		err = dmae_give(chan, slot);
		if (err)
			dmae_end(slot, err);
	}
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

static int dmae_service(void *engine, unsigned int id)
{
	struct dmae *dmae = engine;
	struct dmae_chan *chan = &dmae->chans[id];
	struct pindrop_piece *piece;
	int status, idle;

	do {
		spin_lock(&chan->lock);
		piece = dmae_ended(chan, &status);
		idle = list_empty(&chan->started) && list_empty(&chan->waiting);
		spin_unlock(&chan->lock);
		if (piece)
			pindrop_piece_done(piece, status);
	} while (piece);
	return idle;
}

/* What the controller does not know of yet. */
static void dmae_abort(void *engine, struct pindrop_piece *piece)
{
	struct dmae *dmae = engine;
	struct dmae_chan *chan = &dmae->chans[piece->chan];
	struct dmae_slot *slot;

	spin_lock(&chan->lock);
	list_for_each_entry(slot, &chan->waiting, node) {
		if (slot->piece != piece)
			continue;
		slot->ended = true;
		slot->status = -ECANCELED;
		list_move_tail(&slot->node, &chan->started);
		break;
	}
	spin_unlock(&chan->lock);
}

/* As well as its driver can; proves nothing. */
static void dmae_stop(struct dmae_chan *chan)
{
	cancel_work_sync(&chan->work);
	if (chan->dma)
		dmaengine_terminate_sync(chan->dma);
}

static void dmae_terminate(void *engine, unsigned int id)
{
	struct dmae *dmae = engine;

	dmae_stop(&dmae->chans[id]);
}

static void dmae_cut(void *engine)
{
	struct dmae *dmae = engine;
	unsigned int i;

	for (i = 0; i < dmae->nchans; i++)
		dmae_stop(&dmae->chans[i]);
}

static void dmae_uncut(void *engine)
{
}

static struct dma_chan *dmae_request(struct dmae_chan *chan)
{
	dma_cap_mask_t mask;

	if (chan->name)
		return dma_request_chan(chan->dmae->dev, chan->name);
	dma_cap_zero(mask);
	dma_cap_set(DMA_MEMCPY, mask);
	return dma_request_chan_by_mask(&mask);
}

/* Its interrupt may be what does not work: the bytes themselves are asked. */
static int dmae_copy_and_look(struct dma_chan *dma, u8 *cpu, dma_addr_t bus)
{
	unsigned long end = jiffies + msecs_to_jiffies(DMAE_PIECE_MS);
	struct dma_async_tx_descriptor *tx;

	get_random_bytes(cpu, DMAE_CANARY);
	memset(cpu + DMAE_CANARY, ~cpu[DMAE_CANARY - 1], DMAE_CANARY);
	tx = dmaengine_prep_dma_memcpy(dma, bus + DMAE_CANARY, bus, DMAE_CANARY,
				       DMA_CTRL_ACK);
	if (!tx || dma_submit_error(dmaengine_submit(tx)))
		return -EIO;
	dma_async_issue_pending(dma);
	for (;;) {
		bool late = time_after(jiffies, end);

		/* Written by the device. */
		dma_rmb();
		if (!memcmp(cpu, cpu + DMAE_CANARY, DMAE_CANARY))
			return 0;
		if (late)
			return -EIO;
		usleep_range(100, 1000);
	}
}

/* 0: all that was given to the channel before is over. */
static int dmae_prove(struct dma_chan *dma)
{
	struct device *dev = dma->device->dev;
	dma_addr_t bus;
	int err;
	u8 *cpu;

	cpu = dma_alloc_coherent(dev, 2 * DMAE_CANARY, &bus, GFP_KERNEL);
	if (!cpu)
		return -ENOMEM;
	err = dmae_copy_and_look(dma, cpu, bus);
	dmaengine_terminate_sync(dma);
	/* Without proof it may be written later: then it stays. */
	if (!err)
		dma_free_coherent(dev, 2 * DMAE_CANARY, cpu, bus);
	return err;
}

/* Proof came for all of them. */
static void dmae_forget(struct dmae_chan *chan)
{
	struct dmae_slot *slot;

	spin_lock_irq(&chan->lock);
	list_splice_tail_init(&chan->waiting, &chan->started);
	list_for_each_entry(slot, &chan->started, node) {
		if (!slot->ended)
			slot->status = -ECANCELED;
		slot->ended = true;
	}
	spin_unlock_irq(&chan->lock);
}

static int dmae_reset_chan(struct dmae_chan *chan)
{
	struct dma_chan *old = chan->dma;
	int err;

	dmae_stop(chan);
	if (old)
		dma_release_channel(old);
	chan->dma = dmae_request(chan);
	if (IS_ERR(chan->dma)) {
		dev_err(chan->dmae->dev,
			"channel %u is not to be had again: %pe\n", chan->id,
			chan->dma);
		chan->dma = NULL;
		return -EIO;
	}
	err = dmae_prove(chan->dma);
	/* Another one knows nothing of what this one did. */
	if (!err && chan->dma != old)
		err = -EIO;
	if (!err)
		dmae_forget(chan);
	return err;
}

static int dmae_reset(void *engine, bool locked)
{
	struct dmae *dmae = engine;
	int err = 0, one;
	unsigned int i;

	if (!locked && !device_trylock(dmae->dev))
		return -EAGAIN;
	for (i = 0; i < dmae->nchans; i++) {
		one = dmae_reset_chan(&dmae->chans[i]);
		err = err ?: one;
	}
	if (!locked)
		device_unlock(dmae->dev);
	return err ? -EIO : 0;
}

static const struct pindrop_engine_ops dmae_ops = {
	.issue = dmae_issue,
	.service = dmae_service,
	.abort = dmae_abort,
	.terminate = dmae_terminate,
	.reset = dmae_reset,
	.cut = dmae_cut,
	.uncut = dmae_uncut,
};

static int dmae_chan_init(struct dmae *dmae, unsigned int id, const char *name)
{
	struct dmae_chan *chan = &dmae->chans[id];
	struct dma_chan *dma;
	unsigned int i;

	chan->dmae = dmae;
	chan->id = id;
	chan->name = name;
	spin_lock_init(&chan->lock);
	INIT_LIST_HEAD(&chan->free);
	INIT_LIST_HEAD(&chan->waiting);
	INIT_LIST_HEAD(&chan->started);
	INIT_WORK(&chan->work, dmae_work);
	for (i = 0; i < DMAE_DEPTH; i++) {
		chan->slots[i].chan = chan;
		list_add_tail(&chan->slots[i].node, &chan->free);
	}
	dma = dmae_request(chan);
	if (IS_ERR(dma))
		return dev_err_probe(dmae->dev, PTR_ERR(dma), "no channel %s\n",
				     name ?: "for memcpy");
	chan->dma = dma;
	if (!dma_has_cap(DMA_MEMCPY, dma->device->cap_mask))
		return dev_err_probe(dmae->dev, -EINVAL,
				     "channel %u does not copy memory\n", id);
	/* Memory is mapped once, for whoever does the job. */
	if (dmae->dma_dev && dmae->dma_dev != dmaengine_get_dma_device(dma))
		return dev_err_probe(dmae->dev, -EINVAL,
				     "channel %u is another controller's\n",
				     id);
	dmae->dma_dev = dmaengine_get_dma_device(dma);
	return 0;
}

/* Also of a device that was not made whole. */
static void dmae_destroy(void *data)
{
	struct dmae *dmae = data;
	unsigned int i;

	if (dmae->pd)
		pindrop_unregister(dmae->pd);
	for (i = 0; i < dmae->nchans; i++) {
		if (!dmae->chans[i].dma)
			continue;
		dmae_stop(&dmae->chans[i]);
		dma_release_channel(dmae->chans[i].dma);
	}
	if (dmae->pd)
		pindrop_put(dmae->pd);
}

static unsigned int dmae_align(struct dmae *dmae)
{
	u32 align = 1;
	unsigned int i;

	/* What the controller needs and its driver does not say. */
	device_property_read_u32(dmae->dev, "pindrop,alignment", &align);
	if (!is_power_of_2(align) || align > PAGE_SIZE)
		align = 1;
	for (i = 0; i < dmae->nchans; i++)
		align = max_t(u32, align,
			      1 << dmae->chans[i].dma->device->copy_align);
	return align;
}

static int dmae_register(struct dmae *dmae)
{
	unsigned int segment = dma_get_max_seg_size(dmae->dma_dev);
	u64 mask = dma_get_mask(dmae->dma_dev);
	struct pindrop_engine_limits limits = {
		.name = "dmaengine",
		.caps = PINDROP_CAP_MEM_TO_MEM,
		.channels = dmae->nchans,
		.depth = DMAE_DEPTH,
		.align = dmae_align(dmae),
		.piece_ms = DMAE_PIECE_MS,
		.dma_bits = fls64(mask),
		.dma_dev = dmae->dma_dev,
	};
	struct pindrop_dev *pd;
	unsigned int i;
	int err;

	limits.max_piece = rounddown(min_t(u32, segment, DMAE_PIECE),
				     limits.align);
	for (i = 0; i < dmae->nchans; i++) {
		err = dmae_prove(dmae->chans[i].dma);
		if (err)
			return dev_err_probe(dmae->dev, err,
					     "channel %u does not copy\n", i);
	}
	pd = pindrop_register(dmae->dev, &dmae_ops, &limits, dmae);
	if (IS_ERR(pd))
		return PTR_ERR(pd);
	/* Pairs with the acquire in dmae_service_soon(). */
	smp_store_release(&dmae->pd, pd);
	return 0;
}

static int dmae_count(struct device *dev)
{
	int n = channels;

	if (dev_fwnode(dev))
		n = device_property_string_array_count(dev, "dma-names");
	return n > 0 && n <= DMAE_MAX_CHANS ? n : -EINVAL;
}

static int dmae_probe(struct platform_device *pdev)
{
	const char *names[DMAE_MAX_CHANS] = {};
	struct device *dev = &pdev->dev;
	struct dmae *dmae;
	int err, n, i;

	n = dmae_count(dev);
	if (n < 0)
		return dev_err_probe(dev, n, "no dma-names, or too many\n");
	if (dev_fwnode(dev)) {
		err = device_property_read_string_array(dev, "dma-names", names,
							n);
		if (err < 0)
			return err;
	}
	dmae = devm_kzalloc(dev, struct_size(dmae, chans, n), GFP_KERNEL);
	if (!dmae)
		return -ENOMEM;
	dmae->dev = dev;
	platform_set_drvdata(pdev, dmae);
	/* From here on all that there is of it is destroyed on unbinding. */
	err = devm_add_action_or_reset(dev, dmae_destroy, dmae);
	for (i = 0; i < n && !err; i++) {
		dmae->nchans++;
		err = dmae_chan_init(dmae, i, names[i]);
	}
	if (err)
		return err;
	/* Its unbinding is ours first. */
	if (!device_link_add(dev, dmae->chans[0].dma->device->dev,
			     DL_FLAG_AUTOREMOVE_CONSUMER))
		return dev_err_probe(dev, -EINVAL,
				     "no link to the controller\n");
	return dmae_register(dmae);
}

static void dmae_shutdown(struct platform_device *pdev)
{
	struct dmae *dmae = platform_get_drvdata(pdev);

	pindrop_shutdown(dmae->pd);
}

static int dmae_suspend(struct device *dev)
{
	struct dmae *dmae = dev_get_drvdata(dev);

	return pindrop_suspend(dmae->pd);
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
	.driver.of_match_table = dmae_of_match,
	.driver.pm = pm_sleep_ptr(&dmae_pm),
	.probe = dmae_probe,
	.shutdown = dmae_shutdown,
};

static int __init dmae_init(void)
{
	int err;

	dmae_wq = alloc_workqueue(DMAE_NAME,
				  WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	if (!dmae_wq)
		return -ENOMEM;
	err = platform_driver_register(&dmae_driver);
	if (err)
		goto err_wq;
	if (channels) {
		dmae_pdev = platform_device_register_simple(DMAE_NAME, 0, NULL,
							    0);
		err = PTR_ERR_OR_ZERO(dmae_pdev);
	}
	if (err)
		goto err_driver;
	return 0;

err_driver:
	platform_driver_unregister(&dmae_driver);
err_wq:
	destroy_workqueue(dmae_wq);
	return err;
}

static void __exit dmae_exit(void)
{
	if (dmae_pdev)
		platform_device_unregister(dmae_pdev);
	platform_driver_unregister(&dmae_driver);
	destroy_workqueue(dmae_wq);
}

module_init(dmae_init);
module_exit(dmae_exit);
MODULE_DESCRIPTION("pindrop engine: channels of the kernel's dmaengine");
MODULE_LICENSE("GPL");
MODULE_ALIAS("platform:" DMAE_NAME);
