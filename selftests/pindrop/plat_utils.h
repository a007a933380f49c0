/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs about the engine dmaengine share: its controller, and its
 * faults.
 */
#ifndef PLAT_UTILS_H
#define PLAT_UTILS_H

#include <limits.h>

#include "pindrop_utils.h"

/* What happens within the engine's and the chain's bounds, in a slow guest. */
#define PLAT_BOUND_MS 4000

/* A driver's directory in sysfs, and the name of a device that it is bound to. */
struct plat_bound {
	char driver[PATH_MAX];
	char device[128];
};

/* The contents of a fixture's setup. */
#define PLAT_SETUP(env)                                           \
	do {                                                      \
		const char *plat_missing;                         \
		PD_SETUP(env);                                    \
		plat_missing = plat_find(env);                    \
		if (plat_missing)                                 \
			SKIP(PD_LEAVE_SETUP, "%s", plat_missing); \
	} while (0)

const char *plat_find(const struct pd_env *env);
int plat_self(const struct pd_env *env, struct plat_bound *self);
int plat_controller(const struct pd_env *env, struct plat_bound *controller);
bool plat_can_unbind(const struct plat_bound *controller);
int plat_idle_controller(struct plat_bound *idle);
int plat_unbind(const struct plat_bound *what);
int plat_bind(const struct plat_bound *what);
bool plat_appears(const char *path);
int plat_delete_made(const struct plat_bound *self);
int plat_set_deaf(const struct pd_env *env, int how);
int plat_set_blind(int how);
bool plat_in_quarantine(const char *device);
bool plat_leaves_quarantine(const char *device);
const char *plat_works(const struct pd_env *env);

#endif
