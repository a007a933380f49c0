// SPDX-License-Identifier: GPL-2.0-only
/* Uses a DMA mapping that may have failed: for DMA_API_DEBUG. */
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

static int __init plant_init(void)
{
	struct platform_device *pdev;
	dma_addr_t dma;
	void *p;

	p = kmalloc(64, GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	pdev = platform_device_register_simple("planted", -1, NULL, 0);
	if (IS_ERR(pdev)) {
		kfree(p);
		return PTR_ERR(pdev);
	}
	if (!dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64))) {
		dma = dma_map_single(&pdev->dev, p, 64, DMA_TO_DEVICE);
		dma_unmap_single(&pdev->dev, dma, 64, DMA_TO_DEVICE);
	}
	platform_device_unregister(pdev);
	kfree(p);
	return 0;
}

static void __exit plant_exit(void)
{
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("pindrop: a planted fault");
MODULE_LICENSE("GPL");
