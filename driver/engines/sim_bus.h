/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory as the software engine sees it: through bus addresses, and watched. */
#ifndef PINDROP_SIM_BUS_H
#define PINDROP_SIM_BUS_H

#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct dentry;
struct device;
struct sim_access;

/**
 * struct sim_bus - what lies between a device and memory
 * @dev: the device; this is its driver data
 * @translates: bus addresses are ours, else the DMA API's
 * @lock: guards the next three; read-held during an access, so that none is
 *	under way when an unmapping or a cut returns
 * @maps: what is mapped, if @translates
 * @next: the next address to give out
 * @cut: memory cannot be reached
 * @log_lock: guards all below
 * @log: the last accesses, a ring
 * @accesses: their number in all
 * @misses: of those, to what is not mapped
 * @late_writes: of those, after their piece was said to have ended
 */
struct sim_bus {
	struct device *dev;
	bool translates;
	rwlock_t lock;
	struct rb_root maps;
	u64 next;
	bool cut;
	spinlock_t log_lock;
	struct sim_access *log;
	u64 accesses;
	u64 misses;
	u64 late_writes;
};

int pindrop_sim_bus_init(struct sim_bus *bus, struct device *dev,
			 unsigned int id, bool translates);
void pindrop_sim_bus_fini(struct sim_bus *bus);
void pindrop_sim_bus_debugfs(struct sim_bus *bus, struct dentry *dir);
void pindrop_sim_bus_set_cut(struct sim_bus *bus, bool cut);
void pindrop_sim_bus_read(struct sim_bus *bus, unsigned int chan, u64 at,
			  void *data, u32 len, bool late);
void pindrop_sim_bus_write(struct sim_bus *bus, unsigned int chan, u64 at,
			   void *data, u32 len, bool late);

#endif /* PINDROP_SIM_BUS_H */
