// SPDX-License-Identifier: GPL-2.0-only
/*
 * QEMU's educational PCI device, 1234:11e8 (docs/specs/edu.rst).
 *
 * One DMA at a time between memory and 4 KiB of its own at 0x40000, done at
 * once 100 ms after it was asked for. It cannot be stopped: with bus master
 * off the transfer is dropped when its time comes. What it cannot address it
 * clamps silently, so the DMA mask is what keeps memory safe.
 *
 * The last byte of its memory is never touched: some versions end the machine
 * on a transfer that does.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "../compat.h"
#include "../engine.h"
#include "../../uapi/pindrop.h"

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

#define EDU_ID 0x00
#define EDU_ID_MASK 0xff
#define EDU_ID_VALUE 0xed
#define EDU_IRQ_STATUS 0x24
#define EDU_IRQ_ACK 0x64
#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_LEN 0x90
#define EDU_DMA_CMD 0x98
#define EDU_CMD_RUN BIT(0)
#define EDU_CMD_TO_MEM BIT(1)
#define EDU_CMD_IRQ BIT(2)

/* Device memory: ours for both phases of a copy, then the users'. */
#define EDU_SCRATCH 0x40000
#define EDU_SCRATCH_LEN 2048
#define EDU_USER 0x40800
#define EDU_USER_LEN 2047

/* 100 ms a DMA; the rest is for a busy host. */
#define EDU_PIECE_MS 300
#define EDU_SAFE_BITS 28

static unsigned int dma_bits = EDU_SAFE_BITS;
module_param(dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits,
		 "address bits that the device claims to drive (28 to 64); tried out, 28 where it is not so");

/**
 * struct edu - one card
 * @pdev: its PCI device
 * @regs: BAR 0
 * @pd: the core's; for the interrupt only, which comes after it
 * @config: what its configuration was before it was let at memory
 * @piece: on the hardware, or NULL; like @phase2 under the channel's lock
 * @phase2: the piece's second DMA is still to be started
 * @stop: ... but must not be
 * @in_error: the bus is recovering from one
 */
struct edu {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct pindrop_dev *pd;
	struct pci_saved_state *config;
	struct pindrop_piece *piece;
	bool phase2;
	bool stop;
	bool in_error;
};

static void edu_start(struct edu *edu, u64 src, u64 dst, u32 len, u32 cmd)
{
	writeq(src, edu->regs + EDU_DMA_SRC);
	writeq(dst, edu->regs + EDU_DMA_DST);
	writeq(len, edu->regs + EDU_DMA_LEN);
	/* Memory is written before the device is told: writeq() orders. */
	writeq(cmd | EDU_CMD_RUN, edu->regs + EDU_DMA_CMD);
}

static bool edu_answers(struct edu *edu)
{
	u32 id = readl(edu->regs + EDU_ID);

	return id != ~0U && (id & EDU_ID_MASK) == EDU_ID_VALUE;
}

/*
 * Where nothing answers real buses read as all-ones, emulated ones as zeroes,
 * which look idle: it has to be the card that says so.
 */
static int edu_idle(struct edu *edu)
{
	u64 cmd = readq(edu->regs + EDU_DMA_CMD);

	if (!edu_answers(edu))
		return -ENODEV;
	return !(cmd & EDU_CMD_RUN);
}

static int edu_issue(void *engine, struct pindrop_piece *piece)
{
	struct edu *edu = engine;

	edu->piece = piece;
	edu->phase2 = piece->kind == PINDROP_PIECE_MEM_TO_MEM;
	edu->stop = false;
	switch (piece->kind) {
	case PINDROP_PIECE_MEM_TO_MEM:
		edu_start(edu, piece->src, EDU_SCRATCH, piece->len,
			  EDU_CMD_IRQ);
		break;
	case PINDROP_PIECE_MEM_TO_DEV:
		edu_start(edu, piece->src, EDU_USER + piece->dst, piece->len,
			  EDU_CMD_IRQ);
		break;
	case PINDROP_PIECE_DEV_TO_MEM:
		edu_start(edu, EDU_USER + piece->src, piece->dst, piece->len,
			  EDU_CMD_IRQ | EDU_CMD_TO_MEM);
		break;
	}
	return 0;
}

static int edu_service(void *engine, unsigned int chan)
{
	struct edu *edu = engine;
	struct pindrop_piece *piece = edu->piece;
	int idle = edu_idle(edu);

	if (idle <= 0 || !piece)
		return idle;
	if (edu->phase2 && !edu->stop) {
		edu->phase2 = false;
		pindrop_piece_progress(piece);
		edu_start(edu, EDU_SCRATCH, piece->dst, piece->len,
			  EDU_CMD_IRQ | EDU_CMD_TO_MEM);
		return 0;
	}
	edu->piece = NULL;
	pindrop_piece_done(piece, edu->phase2 ? -ECANCELED : 0);
	return 1;
}

/* A DMA that was started runs to its end; the second one need not start. */
static void edu_abort(void *engine, struct pindrop_piece *piece)
{
	struct edu *edu = engine;

	edu->stop = true;
}

static void edu_cut(void *engine)
{
	struct edu *edu = engine;

	pci_clear_master(edu->pdev);
	pci_wait_for_pending_transaction(edu->pdev);
}

static void edu_uncut(void *engine)
{
	struct edu *edu = engine;

	pci_set_master(edu->pdev);
}

/* As probe found it, the bus master off. */
static void edu_restore(struct edu *edu)
{
	pci_load_saved_state(edu->pdev, edu->config);
	pci_restore_state(edu->pdev);
}

/*
 * A DMA that is under way is not stopped by that: it comes to nothing behind
 * the cut, when its time is up. What was seen of the hardware stays as it is.
 */
static int edu_reset(void *engine, bool locked)
{
	struct edu *edu = engine;
	int err;

	if (!locked && !pci_dev_trylock(edu->pdev))
		return -EAGAIN;
	edu_cut(edu);
	/* Who is not there any more would be waited for, for a minute. */
	err = pci_channel_offline(edu->pdev) ?
		      -ENODEV : __pci_reset_function_locked(edu->pdev);
	if (!err)
		edu_restore(edu);
	if (!locked)
		pci_dev_unlock(edu->pdev);
	/* There is no such way, but it is cut off. */
	return err ? -EIO : 0;
}

static const struct pindrop_engine_ops edu_ops = {
	.issue = edu_issue,
	.service = edu_service,
	.abort = edu_abort,
	.reset = edu_reset,
	.cut = edu_cut,
	.uncut = edu_uncut,
};

static irqreturn_t edu_interrupt(int irq, void *data)
{
	struct edu *edu = data;
	u32 status = readl(edu->regs + EDU_IRQ_STATUS);

	if (!status || status == ~0U)
		return IRQ_NONE;
	writel(status, edu->regs + EDU_IRQ_ACK);
	pindrop_service(edu->pd, 0);
	return IRQ_HANDLED;
}

static int edu_wait_idle(struct edu *edu)
{
	int idle, err;

	err = read_poll_timeout(edu_idle, idle, idle, 1000,
				EDU_PIECE_MS * 1000, false, edu);
	return err ?: min(idle, 0);
}

/* One DMA without interrupt, before the core has the device. */
static int edu_copy_now(struct edu *edu, u64 src, u64 dst, u32 len, u32 cmd)
{
	edu_start(edu, src, dst, len, cmd);
	return edu_wait_idle(edu);
}

/* What the device reads at the address that it is given. */
static int edu_read_back(struct edu *edu, dma_addr_t high, dma_addr_t low,
			 u32 len)
{
	return edu_copy_now(edu, high, EDU_SCRATCH, len, 0) ?:
	       edu_copy_now(edu, EDU_SCRATCH, low, len, EDU_CMD_TO_MEM);
}

/* It hangs: nothing of it may arrive later. True if it is quiet then. */
static bool edu_stop(struct edu *edu)
{
	edu_cut(edu);
	return !edu_wait_idle(edu);
}

#define EDU_PROBE_LEN 64
#define EDU_CHUNK_ORDER 9

/*
 * Memory that the device sees above 256 MiB, mapped for it to read. Where bus
 * addresses are physical ones, what lies below is held until it is found.
 */
static struct page *edu_high_page(struct device *dev, gfp_t zone,
				  dma_addr_t *dma)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN | zone;
	unsigned long tries = SZ_256M >> (PAGE_SHIFT + EDU_CHUNK_ORDER);
	struct page *page, *next;
	LIST_HEAD(low);

	do {
		page = alloc_pages(gfp, EDU_CHUNK_ORDER);
		if (!page)
			break;
		*dma = dma_map_page(dev, page, 0, EDU_PROBE_LEN, DMA_TO_DEVICE);
		if (!dma_mapping_error(dev, *dma)) {
			if (*dma >= SZ_256M)
				break;
			dma_unmap_page(dev, *dma, EDU_PROBE_LEN, DMA_TO_DEVICE);
		}
		list_add(&page->lru, &low);
		page = NULL;
	} while (tries--);
	while (!list_empty(&low)) {
		next = list_first_entry(&low, struct page, lru);
		list_del(&next->lru);
		__free_pages(next, EDU_CHUNK_ORDER);
	}
	return page;
}

/*
 * Tries a claim of more than 28 bits out: lets the device read a random
 * pattern from above 256 MiB, which harms nothing if it reads elsewhere, and
 * write it to a place that it surely reaches. 1 if the claim holds, 0 if not,
 * -errno if the device hangs: then its memory is kept unless it was stopped.
 */
static int edu_claim_holds(struct edu *edu, unsigned int bits)
{
	struct device *dev = &edu->pdev->dev;
	dma_addr_t low_dma, high_dma;
	struct page *high = NULL;
	int holds = 0;
	void *low;

	low = dma_alloc_coherent(dev, EDU_PROBE_LEN, &low_dma, GFP_KERNEL);
	if (!low)
		return 0;
	if (!dma_set_mask(dev, DMA_BIT_MASK(bits)))
		high = edu_high_page(dev, bits <= 32 ? GFP_DMA32 : 0, &high_dma);
	if (high) {
		get_random_bytes(page_address(high), EDU_PROBE_LEN);
		dma_sync_single_for_device(dev, high_dma, EDU_PROBE_LEN,
					   DMA_TO_DEVICE);
		holds = edu_read_back(edu, high_dma, low_dma, EDU_PROBE_LEN);
		if (holds && !edu_stop(edu))
			return holds;
		if (!holds)
			holds = !memcmp(low, page_address(high), EDU_PROBE_LEN);
		dma_unmap_page(dev, high_dma, EDU_PROBE_LEN, DMA_TO_DEVICE);
		__free_pages(high, EDU_CHUNK_ORDER);
	}
	dma_free_coherent(dev, EDU_PROBE_LEN, low, low_dma);
	return holds;
}

static int edu_set_mask(struct edu *edu, unsigned int *bits)
{
	struct device *dev = &edu->pdev->dev;
	int err;

	*bits = EDU_SAFE_BITS;
	err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(EDU_SAFE_BITS));
	if (err)
		return err;
	dma_set_max_seg_size(dev, UINT_MAX);
	if (dma_bits <= EDU_SAFE_BITS || dma_bits > 64)
		return 0;
	err = edu_claim_holds(edu, dma_bits);
	if (err < 0)
		return err;
	if (err)
		*bits = dma_bits;
	else
		dev_warn(dev, "not seen to drive %u address bits, using %u\n",
			 dma_bits, EDU_SAFE_BITS);
	return dma_set_mask_and_coherent(dev, DMA_BIT_MASK(*bits));
}

static int edu_start_up(struct edu *edu)
{
	struct pindrop_engine_limits limits = {
		.name = "edu",
		.caps = PINDROP_CAP_MEM_TO_MEM | PINDROP_CAP_MEM_TO_DEV |
			PINDROP_CAP_DEV_TO_MEM,
		.channels = 1,
		.depth = 1,
		.align = 1,
		.max_piece = EDU_SCRATCH_LEN,
		.piece_ms = EDU_PIECE_MS,
		.devmem = EDU_USER_LEN,
	};
	struct pci_dev *pdev = edu->pdev;
	int err;

	if (!edu_answers(edu))
		return dev_err_probe(&pdev->dev, -ENODEV, "no edu: id %#x\n",
				     readl(edu->regs + EDU_ID));
	/* What an earlier driver left behind may not see the bus open. */
	pci_clear_master(pdev);
	err = edu_wait_idle(edu);
	if (err)
		return dev_err_probe(&pdev->dev, err, "not idle\n");
	/* Before it may access memory: that is how it comes out of a reset. */
	pci_save_state(pdev);
	edu->config = pci_store_saved_state(pdev);
	if (!edu->config)
		return -ENOMEM;
	pci_set_master(pdev);
	err = edu_set_mask(edu, &limits.dma_bits);
	if (err)
		return dev_err_probe(&pdev->dev, err, "DMA does not work\n");
	writel(~0U, edu->regs + EDU_IRQ_ACK);

	edu->pd = pindrop_register(&pdev->dev, &edu_ops, &limits, edu);
	return PTR_ERR_OR_ZERO(edu->pd);
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu *edu;
	int err;

	edu = kzalloc(sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;
	edu->pdev = pdev;
	pci_set_drvdata(pdev, edu);
	err = pci_enable_device_mem(pdev);
	if (err)
		goto err_free;
	err = pci_request_regions(pdev, "pindrop_edu");
	if (err)
		goto err_disable;
	err = -ENOMEM;
	edu->regs = pci_iomap(pdev, 0, 0);
	if (!edu->regs)
		goto err_regions;
	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES);
	if (err < 0)
		goto err_iomap;
	err = edu_start_up(edu);
	if (err)
		goto err_vectors;
	/* Last: the handler needs all the rest. Until then the watchdog serves. */
	err = request_irq(pci_irq_vector(pdev, 0), edu_interrupt, IRQF_SHARED,
			  "pindrop_edu", edu);
	if (err)
		goto err_unregister;
	return 0;

err_unregister:
	pindrop_unregister(edu->pd);
	pindrop_put(edu->pd);
err_vectors:
	pci_clear_master(pdev);
	pci_free_irq_vectors(pdev);
err_iomap:
	pci_iounmap(pdev, edu->regs);
err_regions:
	pci_release_regions(pdev);
err_disable:
	pci_disable_device(pdev);
err_free:
	kfree(edu->config);
	kfree(edu);
	return err;
}

/*
 * The core of PCI has found that the device does not answer, and the port above
 * it, which does, has lost the link: a surprise, and not an orderly eject.
 */
static bool edu_is_unplugged(struct pci_dev *pdev)
{
	struct pci_dev *port = pci_upstream_bridge(pdev);
	u16 link;

	if (pdev->error_state != pci_channel_io_perm_failure || !port ||
	    !pci_is_pcie(port) || !port->link_active_reporting)
		return false;
	if (pcie_capability_read_word(port, PCI_EXP_LNKSTA, &link) ||
	    link == (u16)~0)
		return false;
	return !(link & PCI_EXP_LNKSTA_DLLLA);
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	if (edu_is_unplugged(pdev))
		pindrop_unplugged(edu->pd);
	/* The vector after the last DMA: its message would fault without one. */
	pindrop_unregister(edu->pd);
	pci_clear_master(pdev);
	free_irq(pci_irq_vector(pdev, 0), edu);
	pindrop_put(edu->pd);
	pci_free_irq_vectors(pdev);
	pci_iounmap(pdev, edu->regs);
	pci_release_regions(pdev);
	pci_disable_device(pdev);
	kfree(edu->config);
	kfree(edu);
}

static void edu_shutdown(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	pindrop_shutdown(edu->pd);
}

/* It is back from where it was; interrupts of before mean nothing. */
static bool edu_comes_back(struct edu *edu)
{
	bool idle = !edu_wait_idle(edu);

	if (idle)
		writel(~0U, edu->regs + EDU_IRQ_ACK);
	return idle;
}

static void edu_reset_prepare(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	pindrop_pause(edu->pd);
}

static void edu_reset_done(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	pindrop_unpause(edu->pd, edu_comes_back(edu));
}

static pci_ers_result_t edu_error_detected(struct pci_dev *pdev,
					   pci_channel_state_t state)
{
	struct edu *edu = pci_get_drvdata(pdev);

	if (!edu->in_error)
		pindrop_pause(edu->pd);
	edu->in_error = state != pci_channel_io_perm_failure;
	if (edu->in_error)
		return PCI_ERS_RESULT_NEED_RESET;
	pindrop_unpause(edu->pd, false);
	return PCI_ERS_RESULT_DISCONNECT;
}

static pci_ers_result_t edu_slot_reset(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	/* It may have come when the others were told. */
	if (!edu->in_error)
		return PCI_ERS_RESULT_RECOVERED;
	edu_restore(edu);
	if (edu_comes_back(edu))
		return PCI_ERS_RESULT_RECOVERED;
	edu->in_error = false;
	pindrop_unpause(edu->pd, false);
	return PCI_ERS_RESULT_DISCONNECT;
}

static void edu_resume_errors(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	if (!edu->in_error)
		return;
	edu->in_error = false;
	pindrop_unpause(edu->pd, edu_comes_back(edu));
}

static const struct pci_error_handlers edu_errors = {
	.reset_prepare = edu_reset_prepare,
	.reset_done = edu_reset_done,
	.error_detected = edu_error_detected,
	.slot_reset = edu_slot_reset,
	.resume = edu_resume_errors,
};

static int edu_suspend(struct device *dev)
{
	struct edu *edu = dev_get_drvdata(dev);

	pindrop_pause(edu->pd);
	return 0;
}

static int edu_resume(struct device *dev)
{
	struct edu *edu = dev_get_drvdata(dev);

	pindrop_unpause(edu->pd, edu_comes_back(edu));
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(edu_pm, edu_suspend, edu_resume);

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "pindrop_edu",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
	.shutdown = edu_shutdown,
	.err_handler = &edu_errors,
	.driver.pm = pm_sleep_ptr(&edu_pm),
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("pindrop engine: QEMU's edu device");
MODULE_LICENSE("GPL");
