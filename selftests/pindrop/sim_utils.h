/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine sim from the outside: its faults, and what it says that it did to
 * memory. Functions return 0 or -errno, where they say nothing else.
 */
#ifndef SIM_UTILS_H
#define SIM_UTILS_H

#include "pindrop_utils.h"

/* A line of its log. */
struct sim_access {
	unsigned long long seq;
	unsigned long long ns;
	unsigned int chan;
	bool write;
	unsigned long long bus;
	unsigned int bytes;
	bool late;
	char outcome[8];
};

/* A range of bus addresses, and when it was the device's; 0: still is. */
struct sim_range {
	unsigned long long ctx;
	unsigned long long buf;
	unsigned long long bus;
	unsigned long long bytes;
	unsigned long long from_ns;
	unsigned long long to_ns;
};

/* The contents of setup: sim, all faults off, as fast as it goes. */
#define SIM_SETUP(env)                                           \
	do {                                                     \
		const char *sim_missing;                         \
		PD_SETUP(env);                                   \
		sim_missing = sim_find(env);                     \
		if (sim_missing)                                 \
			SKIP(PD_LEAVE_SETUP, "%s", sim_missing); \
		MUST(sim_reset(env, 0));                         \
	} while (0)

/* What a piece takes in the guest's other tests, or on a user's machine. */
#define SIM_TEARDOWN(env)                                        \
	do {                                                     \
		EXPECT_EQ(0, sim_reset(env, sim_delay_us()));    \
		PD_TEARDOWN(env);                                \
	} while (0)

const char *sim_find(const struct pd_env *env);
bool sim_is_direct(void);
long long sim_delay_us(void);
long long sim_devices(void);
int sim_set(const struct pd_env *env, unsigned int chan, const char *fault,
	    long long value);
int sim_set_all(const struct pd_env *env, const char *fault, long long value);
long long sim_get(const struct pd_env *env, unsigned int chan,
		  const char *fault);
int sim_fail_reset(const struct pd_env *env, int how);
int sim_unplug(const struct pd_env *env);
int sim_bind(const struct pd_env *env, bool bind);
int sim_rebind(const struct pd_env *env, bool no_cut);
int sim_stall(const struct pd_env *env, long ms);
int sim_incurable(const struct pd_env *env);
int sim_reset(const struct pd_env *env, long long delay_us);
long long sim_count(const struct pd_env *env, const char *counter);
int sim_log(const struct pd_env *env, unsigned long long after,
	    struct sim_access *list, int max);

int sim_trace_start(void);
int sim_trace_stop(void);
int sim_trace_ranges(struct sim_range *list, int max);
const struct sim_range *sim_range_of(const struct sim_range *list, int n,
				     const struct sim_access *access);

#endif
