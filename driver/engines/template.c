// SPDX-License-Identifier: GPL-2.0-only
/*
 * An engine to start from: no hardware has it, it is only compiled. README's
 * "Bring your own device" says in which order to go through it, engine.h what
 * each function has to guarantee. What begins with FILL IN is yours.
 *
 * It is written for a DMA block beside the processor that copies memory: two
 * registers for the addresses, a length, a start bit, an interrupt and a
 * status with an idle bit. One copy at a time, no way to stop it but its reset
 * line, if it has one.
 *
 * FILL IN: what yours is, what it cannot do, and which of its manuals says so.
 *
 * On PCI it is the same with these differences; edu.c has all of them, what a
 * bus error asks for, too:
 *
 *	probe	pci_set_drvdata(); pcim_enable_device(); pcim_iomap() of its BAR;
 *		pci_alloc_irq_vectors(), pci_irq_vector(); pci_clear_master()
 *		before idle is read for the first time, pci_set_master() after;
 *		IRQF_SHARED, for where there is no MSI
 *	cut	pci_clear_master(), pci_wait_for_pending_transaction()
 *	uncut	pci_set_master()
 *	reset	as edu_reset(), if the card has a function reset
 *	stop	pci_clear_master() right after pindrop_unregister()
 *	table	pci_device_id, MODULE_DEVICE_TABLE(pci, ...), module_pci_driver()
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/pm.h>
#include <linux/reset.h>
#include <linux/sizes.h>

#include "../compat.h"
#include "../engine.h"
#include "../../uapi/pindrop.h"

/*
 * FILL IN: the name of the driver, here and in the last lines, and what the
 * block's node in the device tree is compatible with.
 */
#define TMPL_NAME "pindrop_template"
#define TMPL_COMPATIBLE "pindrop,template"

/* FILL IN: the registers and their bits. */
#define TMPL_ID 0x00
#define TMPL_ID_VALUE 0x444d4131
#define TMPL_SRC_LOW 0x10
#define TMPL_SRC_HIGH 0x14
#define TMPL_DST_LOW 0x18
#define TMPL_DST_HIGH 0x1c
#define TMPL_LEN 0x20
#define TMPL_CTRL 0x24
#define TMPL_CTRL_START BIT(0)
#define TMPL_CTRL_IRQ BIT(1)
#define TMPL_STATUS 0x28
#define TMPL_STATUS_IDLE BIT(0)
#define TMPL_STATUS_ERROR BIT(1)
#define TMPL_IRQ_STATUS 0x2c /* 1 is pending, and acknowledged by 1 */

/*
 * FILL IN: bytes that one start may copy, and the time (ms) within which the
 * slowest of them is done on a busy bus. A dying process waits so long, twice
 * at most: pieces that are done in 100 ms are large enough.
 */
#define TMPL_MAX_PIECE SZ_1M
#define TMPL_PIECE_MS 200

/*
 * FILL IN: address bits that the block really drives, which may be less than
 * its registers have room for. More than that, and it writes elsewhere.
 */
#define TMPL_DMA_BITS 32

/**
 * struct tmpl - one block
 * @dev: its device
 * @regs: its registers
 * @reset: its reset line, or NULL
 * @irq: its interrupt
 * @pd: the core's
 * @piece: on the hardware, or NULL; under the channel's lock
 */
struct tmpl {
	struct device *dev;
	void __iomem *regs;
	struct reset_control *reset;
	int irq;
	struct pindrop_dev *pd;
	struct pindrop_piece *piece;
};

/*
 * The proof, and the one thing to be sure of. 1 may be said only if every write
 * of what was started has arrived in memory, and nothing more will be read.
 *
 * FILL IN: how your block says that. An idle bit that falls some cycles after
 * the start, or that rises when the last write was sent and not when it was
 * answered, does not: look at another bit as well (done, outstanding writes).
 */
static int tmpl_idle(struct tmpl *tmpl, u32 *status)
{
	*status = readl(tmpl->regs + TMPL_STATUS);
	/* Who does not answer reads as all-ones, or as zeroes: ask for the id. */
	if (*status == ~0U || readl(tmpl->regs + TMPL_ID) != TMPL_ID_VALUE)
		return -ENODEV;
	return !!(*status & TMPL_STATUS_IDLE);
}

/*
 * FILL IN: how a copy is started. A block that moves between memory and what it
 * has of its own says so in limits (caps, devmem), and looks at piece->kind
 * here: one of the two addresses is then an offset, as in edu.c.
 */
static int tmpl_issue(void *engine, struct pindrop_piece *piece)
{
	struct tmpl *tmpl = engine;

	tmpl->piece = piece;
	writel(lower_32_bits(piece->src), tmpl->regs + TMPL_SRC_LOW);
	writel(upper_32_bits(piece->src), tmpl->regs + TMPL_SRC_HIGH);
	writel(lower_32_bits(piece->dst), tmpl->regs + TMPL_DST_LOW);
	writel(upper_32_bits(piece->dst), tmpl->regs + TMPL_DST_HIGH);
	writel(piece->len, tmpl->regs + TMPL_LEN);
	/* Memory is written before the device is told: writel() orders. */
	writel(TMPL_CTRL_START | TMPL_CTRL_IRQ, tmpl->regs + TMPL_CTRL);
	return 0;
}

/*
 * Called by the interrupt, by the core's watchdog, and when a process dies:
 * never does it wait, and never does it believe anything but the register.
 */
static int tmpl_service(void *engine, unsigned int chan)
{
	struct tmpl *tmpl = engine;
	struct pindrop_piece *piece = tmpl->piece;
	u32 status;
	int idle = tmpl_idle(tmpl, &status);

	if (idle <= 0 || !piece)
		return idle;
	tmpl->piece = NULL;
	/*
	 * FILL IN: what your block says of a copy that went wrong. Not what the
	 * interrupt may have cleared before, by reading or by acknowledging it.
	 */
	pindrop_piece_done(piece, status & TMPL_STATUS_ERROR ? -EIO : 0);
	return 1;
}

/*
 * Out of its reset the block has nothing to do, and is told of nothing until
 * the core has read it idle: that is as good as taking the bus from it.
 *
 * FILL IN: without a reset line, what comes nearest to a stop. It is not
 * believed: what idle does not follow stays in quarantine, which costs memory
 * and harms nobody. Not a reset that leaves the bus in the middle of a burst.
 */
static void tmpl_cut(void *engine)
{
	struct tmpl *tmpl = engine;

	writel(0, tmpl->regs + TMPL_CTRL);
	reset_control_assert(tmpl->reset);
	usleep_range(10, 20);
	reset_control_deassert(tmpl->reset);
}

/* FILL IN: what a reset has undone, and issue does not write each time. */
static void tmpl_uncut(void *engine)
{
}

static int tmpl_reset(void *engine, bool locked)
{
	struct tmpl *tmpl = engine;

	if (!tmpl->reset)
		return -EOPNOTSUPP;
	tmpl_cut(tmpl);
	return 0;
}

static const struct pindrop_engine_ops tmpl_ops = {
	.issue = tmpl_issue,
	.service = tmpl_service,
	.reset = tmpl_reset,
	.cut = tmpl_cut,
	.uncut = tmpl_uncut,
};

/* FILL IN: how your block says that it was it, and how it is told to be quiet. */
static irqreturn_t tmpl_interrupt(int irq, void *data)
{
	struct tmpl *tmpl = data;
	u32 pending = readl(tmpl->regs + TMPL_IRQ_STATUS);

	if (!pending || pending == ~0U)
		return IRQ_NONE;
	writel(pending, tmpl->regs + TMPL_IRQ_STATUS);
	/* After that: what ends from here on raises it again. */
	pindrop_service(tmpl->pd, 0);
	return IRQ_HANDLED;
}

static int tmpl_wait_idle(struct tmpl *tmpl)
{
	u32 status;
	int idle, err;

	err = read_poll_timeout(tmpl_idle, idle, idle, 1000,
				TMPL_PIECE_MS * 1000, false, tmpl, &status);
	return err ?: min(idle, 0);
}

/* What an earlier driver has left behind may not go on under this one. */
static int tmpl_make_idle(struct tmpl *tmpl)
{
	int err = tmpl_wait_idle(tmpl);

	if (err && tmpl->reset) {
		tmpl_cut(tmpl);
		err = tmpl_wait_idle(tmpl);
	}
	return err;
}

/*
 * When the driver is unbound, in this order: the interrupt is of use until the
 * last copy is over, and knows the core's device until it is off. Not by devm:
 * the bus takes the block's power domain away before that, and who is off is
 * not read idle.
 */
static void tmpl_stop(struct tmpl *tmpl)
{
	pindrop_unregister(tmpl->pd);
	if (tmpl->irq)
		free_irq(tmpl->irq, tmpl);
	pindrop_put(tmpl->pd);
}

static int tmpl_register(struct tmpl *tmpl, int irq)
{
	/* FILL IN: engine.h says what each of them means. */
	static const struct pindrop_engine_limits limits = {
		.name = "template",
		.caps = PINDROP_CAP_MEM_TO_MEM,
		.channels = 1,
		.depth = 1,
		.align = 4,
		.max_piece = TMPL_MAX_PIECE,
		.piece_ms = TMPL_PIECE_MS,
		.dma_bits = TMPL_DMA_BITS,
	};
	struct device *dev = tmpl->dev;
	int err;

	tmpl->pd = pindrop_register(dev, &tmpl_ops, &limits, tmpl);
	if (IS_ERR(tmpl->pd))
		return PTR_ERR(tmpl->pd);
	/* Last: the handler needs all the rest. Until then the watchdog serves. */
	err = request_irq(irq, tmpl_interrupt, 0, TMPL_NAME, tmpl);
	if (err)
		tmpl_stop(tmpl);
	else
		tmpl->irq = irq;
	return err;
}

static int tmpl_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct tmpl *tmpl;
	int irq, err;

	tmpl = devm_kzalloc(dev, sizeof(*tmpl), GFP_KERNEL);
	if (!tmpl)
		return -ENOMEM;
	tmpl->dev = dev;
	platform_set_drvdata(pdev, tmpl);
	tmpl->regs = devm_platform_ioremap_resource(pdev, 0);
	if (IS_ERR(tmpl->regs))
		return PTR_ERR(tmpl->regs);
	irq = platform_get_irq(pdev, 0);
	if (irq < 0)
		return irq;
	/* FILL IN: its clocks and power: before the first register is read. */
	tmpl->reset = devm_reset_control_get_optional_exclusive(dev, NULL);
	if (IS_ERR(tmpl->reset))
		return dev_err_probe(dev, PTR_ERR(tmpl->reset), "no reset\n");
	/* In any case: a block held in reset does not answer. */
	err = reset_control_deassert(tmpl->reset);
	if (err)
		return err;
	err = tmpl_make_idle(tmpl);
	if (err)
		return dev_err_probe(dev, err, "not idle\n");
	err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(TMPL_DMA_BITS));
	if (err)
		return dev_err_probe(dev, err, "DMA does not work\n");
	/* A piece is what max_piece says, not what a segment is by default. */
	dma_set_max_seg_size(dev, UINT_MAX);
	writel(~0U, tmpl->regs + TMPL_IRQ_STATUS);
	return tmpl_register(tmpl, irq);
}

static void tmpl_remove(struct platform_device *pdev)
{
	tmpl_stop(platform_get_drvdata(pdev));
}

PINDROP_PLATFORM_REMOVE(tmpl_remove)

static void tmpl_shutdown(struct platform_device *pdev)
{
	struct tmpl *tmpl = platform_get_drvdata(pdev);

	pindrop_shutdown(tmpl->pd);
}

static int tmpl_suspend(struct device *dev)
{
	struct tmpl *tmpl = dev_get_drvdata(dev);

	pindrop_pause(tmpl->pd);
	return 0;
}

/* FILL IN: what was lost with the power, before idle is read. */
static int tmpl_resume(struct device *dev)
{
	struct tmpl *tmpl = dev_get_drvdata(dev);

	pindrop_unpause(tmpl->pd, !tmpl_make_idle(tmpl));
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(tmpl_pm, tmpl_suspend, tmpl_resume);

static const struct of_device_id tmpl_of_match[] = {
	{ .compatible = TMPL_COMPATIBLE }, {}
};
MODULE_DEVICE_TABLE(of, tmpl_of_match);

static struct platform_driver tmpl_driver = {
	.probe = tmpl_probe,
	.remove = PINDROP_REMOVE(tmpl_remove),
	.shutdown = tmpl_shutdown,
	.driver.name = TMPL_NAME,
	.driver.of_match_table = tmpl_of_match,
	.driver.pm = pm_sleep_ptr(&tmpl_pm),
};
module_platform_driver(tmpl_driver);

MODULE_DESCRIPTION("pindrop engine: template");
MODULE_LICENSE("GPL");
