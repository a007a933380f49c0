// SPDX-License-Identifier: GPL-2.0-only
/*
 * The software engine's way to memory. It either has bus addresses of its own,
 * through dma_map_ops: none of them is an address of the machine's, each is
 * given out once, and what is not mapped is counted and goes nowhere. Or it
 * takes those of the DMA API, and gets wherever they lead.
 */
#include "sim_bus.h"

#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "../compat.h"

static const char *const op_names[] = { "read", "write" };

#define SIM_LOG 8192
/* Copied in one go with interrupts off. */
#define SIM_CHUNK SZ_16K
/* No machine has memory there, and no two devices the same. */
#define SIM_FIRST(id) (BIT_ULL(60) + ((u64)(id) << 50))

/**
 * struct sim_map - bus addresses without a gap that are memory without a gap
 * @node: in sim_bus::maps
 * @at: the first
 * @len: bytes
 * @phys: where they are
 */
struct sim_map {
	struct rb_node node;
	u64 at;
	u64 len;
	phys_addr_t phys;
};

enum sim_outcome {
	SIM_HIT,
	SIM_MISS,
	SIM_CUT
};

static const char *const sim_outcomes[] = { "hit", "miss", "cut" };

/**
 * struct sim_access - a line of the log
 * @seq: its number, from 1
 * @ns: CLOCK_MONOTONIC
 * @at: first bus address
 * @len: bytes
 * @chan: channel
 * @write: else a read
 * @late: after its piece was said to have ended
 * @outcome: what became of it
 */
struct sim_access {
	u64 seq;
	u64 ns;
	u64 at;
	u32 len;
	unsigned int chan;
	bool write;
	bool late;
	enum sim_outcome outcome;
};

static bool sim_map_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct sim_map, node)->at <
	       rb_entry(b, struct sim_map, node)->at;
}

static int sim_map_cmp(const void *key, const struct rb_node *node)
{
	const struct sim_map *map = rb_entry(node, struct sim_map, node);
	u64 at = *(const u64 *)key;

	if (at < map->at)
		return -1;
	return at - map->at >= map->len;
}

static struct sim_map *sim_map_find(struct sim_bus *bus, u64 at)
{
	struct rb_node *node = rb_find(&at, &bus->maps, sim_map_cmp);

	return node ? rb_entry(node, struct sim_map, node) : NULL;
}

/* Never the same twice, and never side by side: what is stale is found out. */
static dma_addr_t sim_map(struct device *dev, phys_addr_t phys, size_t size,
			  gfp_t gfp)
{
	struct sim_bus *bus = dev_get_drvdata(dev);
	struct sim_map *map = kmalloc(sizeof(*map), gfp);
	unsigned long flags;

	if (!map)
		return DMA_MAPPING_ERROR;
	map->phys = phys;
	map->len = size;
	write_lock_irqsave(&bus->lock, flags);
	map->at = bus->next + offset_in_page(phys);
	bus->next = PAGE_ALIGN(map->at + size) + PAGE_SIZE;
	rb_add(&map->node, &bus->maps, sim_map_less);
	write_unlock_irqrestore(&bus->lock, flags);
	return map->at;
}

static void sim_unmap(struct device *dev, dma_addr_t at)
{
	struct sim_bus *bus = dev_get_drvdata(dev);
	struct sim_map *map;
	unsigned long flags;

	write_lock_irqsave(&bus->lock, flags);
	map = sim_map_find(bus, at);
	if (map)
		rb_erase(&map->node, &bus->maps);
	write_unlock_irqrestore(&bus->lock, flags);
	WARN_ON(!map || map->at != at);
	kfree(map);
}

static dma_addr_t sim_map_phys(struct device *dev, phys_addr_t phys,
			       size_t size, enum dma_data_direction dir,
			       unsigned long attrs)
{
	return sim_map(dev, phys, size, GFP_ATOMIC);
}

PINDROP_MAP_BY_PAGE(sim_map_phys)

static void sim_unmap_phys(struct device *dev, dma_addr_t at, size_t size,
			   enum dma_data_direction dir, unsigned long attrs)
{
	sim_unmap(dev, at);
}

static void sim_unmap_sg(struct device *dev, struct scatterlist *sgl, int nents,
			 enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, nents, i) sim_unmap(dev, sg_dma_address(sg));
}

/* May sleep, other than in the API: there is the core only, and much to map. */
static int sim_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
		      enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	dma_addr_t at;
	int i;

	for_each_sg(sgl, sg, nents, i)
	{
		at = sim_map(dev, sg_phys(sg), sg->length, GFP_KERNEL);
		if (at == DMA_MAPPING_ERROR) {
			sim_unmap_sg(dev, sgl, i, dir, attrs);
			return -ENOMEM;
		}
		sg_dma_address(sg) = at;
		sg_dma_len(sg) = sg->length;
	}
	return nents;
}

static void *sim_alloc(struct device *dev, size_t size, dma_addr_t *at,
		       gfp_t gfp, unsigned long attrs)
{
	void *cpu = alloc_pages_exact(size, gfp | __GFP_ZERO);

	if (!cpu)
		return NULL;
	*at = sim_map(dev, virt_to_phys(cpu), PAGE_ALIGN(size), gfp);
	if (*at != DMA_MAPPING_ERROR)
		return cpu;
	free_pages_exact(cpu, size);
	return NULL;
}

static void sim_free(struct device *dev, size_t size, void *cpu, dma_addr_t at,
		     unsigned long attrs)
{
	sim_unmap(dev, at);
	free_pages_exact(cpu, size);
}

static int sim_get_sgtable(struct device *dev, struct sg_table *sgt, void *cpu,
			   dma_addr_t at, size_t size, unsigned long attrs)
{
	int err = sg_alloc_table(sgt, 1, GFP_KERNEL);

	if (!err)
		sg_set_page(sgt->sgl, virt_to_page(cpu), PAGE_ALIGN(size), 0);
	return err;
}

static const struct dma_map_ops sim_dma_ops = {
	.alloc = sim_alloc,
	.free = sim_free,
	.get_sgtable = sim_get_sgtable,
	.map_sg = sim_map_sg,
	.unmap_sg = sim_unmap_sg,
	PINDROP_MAP_OPS(sim_map_phys, sim_unmap_phys),
};

/**
 * pindrop_sim_bus_init() - put a device on its bus
 * @bus: zeroed
 * @dev: the device; its driver data is ours
 * @id: its number
 * @translates: with bus addresses of its own
 *
 * Context: may sleep, before anything is mapped.
 * Return: 0 or -ENOMEM; pindrop_sim_bus_fini() is due in either case.
 */
int pindrop_sim_bus_init(struct sim_bus *bus, struct device *dev,
			 unsigned int id, bool translates)
{
	bus->dev = dev;
	bus->translates = translates;
	bus->next = SIM_FIRST(id);
	bus->maps = RB_ROOT;
	rwlock_init(&bus->lock);
	spin_lock_init(&bus->log_lock);
	dev_set_drvdata(dev, bus);
	if (translates)
		set_dma_ops(dev, &sim_dma_ops);
	bus->log = kvcalloc(SIM_LOG, sizeof(*bus->log), GFP_KERNEL);
	return bus->log ? 0 : -ENOMEM;
}

/**
 * pindrop_sim_bus_fini() - take it off again
 * @bus: the bus; what is still mapped are coherent buffers that the core could
 *	not prove the device to be done with
 *
 * Context: may sleep.
 */
void pindrop_sim_bus_fini(struct sim_bus *bus)
{
	struct sim_map *map, *next;

	rbtree_postorder_for_each_entry_safe(map, next, &bus->maps, node)
		kfree(map);
	set_dma_ops(bus->dev, NULL);
	kvfree(bus->log);
}

/**
 * pindrop_sim_bus_set_cut() - let nothing reach memory any more, or again
 * @bus: the bus
 * @cut: nothing
 *
 * Context: any with interrupts on; waits for an access under way.
 */
void pindrop_sim_bus_set_cut(struct sim_bus *bus, bool cut)
{
	write_lock_irq(&bus->lock);
	WRITE_ONCE(bus->cut, cut);
	write_unlock_irq(&bus->lock);
}

static void bus_log(struct sim_bus *bus, struct sim_access *access)
{
	/* Told to lie, it may; else there is a mistake in the core. */
	if (access->outcome == SIM_MISS && !access->late)
		dev_err_ratelimited(
			bus->dev,
			"channel %u: %s of %u bytes at %#llx, which is not mapped\n",
			access->chan, op_names[access->write],
			access->len, access->at);
	access->ns = ktime_get_ns();
	spin_lock(&bus->log_lock);
	access->seq = bus->accesses + 1;
	bus->log[bus->accesses % SIM_LOG] = *access;
	WRITE_ONCE(bus->accesses, access->seq);
	bus->misses += access->outcome == SIM_MISS;
	bus->late_writes += access->write && access->late;
	spin_unlock(&bus->log_lock);
}

/* The memory at a bus address, or NULL; *len is cut to what follows there. */
static void *bus_translate(struct sim_bus *bus, u64 at, u32 *len)
{
	u32 page = PAGE_SIZE - offset_in_page(at);
	struct sim_map *map;
	phys_addr_t phys;

	if (bus->translates) {
		map = sim_map_find(bus, at);
		*len = min_t(u64, *len, map ? map->at + map->len - at : page);
		return map ? phys_to_virt(map->phys + (at - map->at)) : NULL;
	}
	phys = dma_to_phys(bus->dev, at);
	*len = min(*len, page);
	return pfn_valid(PHYS_PFN(phys)) ? phys_to_virt(phys) : NULL;
}

static enum sim_outcome bus_touch(struct sim_bus *bus, u64 at, void *data,
				  u32 *len, bool write)
{
	enum sim_outcome outcome = SIM_HIT;
	unsigned long flags;
	void *mem;

	*len = min_t(u32, *len, SIM_CHUNK);
	read_lock_irqsave(&bus->lock, flags);
	mem = bus_translate(bus, at, len);
	if (bus->cut || !mem) {
		outcome = bus->cut ? SIM_CUT : SIM_MISS;
		if (!write)
			memset(data, 0xff, *len);
	} else if (write) {
		memcpy(mem, data, *len);
	} else {
		memcpy(data, mem, *len);
	}
	read_unlock_irqrestore(&bus->lock, flags);
	return outcome;
}

/* One line in the log, or one for each stretch with an outcome of its own. */
static void bus_access(struct sim_bus *bus, struct sim_access *run, void *data,
		       u32 len)
{
	enum sim_outcome outcome;
	u64 at = run->at;
	u32 n;

	for (; len; len -= n) {
		n = len;
		outcome = bus_touch(bus, at, data, &n, run->write);
		if (run->len && outcome != run->outcome) {
			bus_log(bus, run);
			run->at = at;
			run->len = 0;
		}
		run->outcome = outcome;
		run->len += n;
		at += n;
		data += n;
	}
	bus_log(bus, run);
}

/**
 * pindrop_sim_bus_read() - the device reads memory
 * @bus: its bus
 * @chan: the channel that does
 * @at: first bus address
 * @data: where the bytes go; 0xff for what is not there
 * @len: their number, not 0
 * @late: it has said that it would not
 *
 * Context: process context; no lock held.
 */
void pindrop_sim_bus_read(struct sim_bus *bus, unsigned int chan, u64 at,
			  void *data, u32 len, bool late)
{
	struct sim_access run = { .chan = chan, .at = at, .late = late };

	bus_access(bus, &run, data, len);
}

/**
 * pindrop_sim_bus_write() - the device writes memory
 * @bus: its bus
 * @chan: the channel that does
 * @at: first bus address
 * @data: the bytes
 * @len: their number, not 0
 * @late: it has said that it would not
 *
 * Context: process context; no lock held.
 */
void pindrop_sim_bus_write(struct sim_bus *bus, unsigned int chan, u64 at,
			   void *data, u32 len, bool late)
{
	struct sim_access run = {
		.chan = chan,
		.at = at,
		.write = true,
		.late = late,
	};

	bus_access(bus, &run, data, len);
}

static void *sim_log_start(struct seq_file *m, loff_t *pos)
{
	struct sim_bus *bus = m->private;
	loff_t end = READ_ONCE(bus->accesses);

	*pos = max_t(loff_t, *pos, end - SIM_LOG);
	return *pos < end ? pos : NULL;
}

static void *sim_log_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return sim_log_start(m, pos);
}

static void sim_log_stop(struct seq_file *m, void *v)
{
}

static int sim_log_show(struct seq_file *m, void *v)
{
	struct sim_bus *bus = m->private;
	u64 n = *(loff_t *)v;
	struct sim_access a;

	spin_lock(&bus->log_lock);
	a = bus->log[n % SIM_LOG];
	spin_unlock(&bus->log_lock);
	if (a.seq != n + 1)
		return SEQ_SKIP; /* overwritten since */
	seq_printf(
		m,
		"seq=%llu ns=%llu chan=%u op=%s bus=%#llx bytes=%u late=%d outcome=%s\n",
		a.seq, a.ns, a.chan, op_names[a.write], a.at, a.len,
		a.late, sim_outcomes[a.outcome]);
	return 0;
}

static const struct seq_operations sim_log_sops = {
	.start = sim_log_start,
	.next = sim_log_next,
	.stop = sim_log_stop,
	.show = sim_log_show,
};
DEFINE_SEQ_ATTRIBUTE(sim_log);

/**
 * pindrop_sim_bus_debugfs() - let root see what the device has accessed
 * @bus: the bus
 * @dir: the device's directory, which goes before the bus
 *
 * Context: may sleep.
 */
void pindrop_sim_bus_debugfs(struct sim_bus *bus, struct dentry *dir)
{
	debugfs_create_file("log", 0400, dir, bus, &sim_log_fops);
	debugfs_create_u64("accesses", 0400, dir, &bus->accesses);
	debugfs_create_u64("misses", 0400, dir, &bus->misses);
	debugfs_create_u64("late_writes", 0400, dir, &bus->late_writes);
}
