/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which transitions a device and a queue have. state.c makes them; state_test.c
 * tests the tables.
 */
#ifndef PINDROP_STATES_H
#define PINDROP_STATES_H

#include "pindrop.h"

/**
 * pindrop_dev_may_become() - is this a transition of a device
 * @from: its state
 * @to: another
 *
 * Context: any.
 * Return: true if the device may go from @from to @to in one step.
 */
static inline bool pindrop_dev_may_become(enum pindrop_dev_state from,
					  enum pindrop_dev_state to)
{
	static const u8 exits[] = {
		/* GONE: removal found no way to keep it from memory. */
		[PINDROP_DEV_RUNNING] = BIT(PINDROP_DEV_RESETTING) |
					BIT(PINDROP_DEV_GONE),
		/* RUNNING: nothing was done. GONE: all was over before that. */
		[PINDROP_DEV_RESETTING] = BIT(PINDROP_DEV_RUNNING) |
					  BIT(PINDROP_DEV_CUT) |
					  BIT(PINDROP_DEV_GONE),
		/* RUNNING: the hardware was read idle behind the cut. */
		[PINDROP_DEV_CUT] = BIT(PINDROP_DEV_RUNNING) |
				    BIT(PINDROP_DEV_RESETTING) |
				    BIT(PINDROP_DEV_FROZEN) |
				    BIT(PINDROP_DEV_GONE),
		/* Nothing that was read meanwhile counts. */
		[PINDROP_DEV_FROZEN] = BIT(PINDROP_DEV_CUT),
		[PINDROP_DEV_GONE] = 0,
	};

	return exits[from] & BIT(to);
}

/**
 * pindrop_chan_may_become() - is this a transition of a queue
 * @from: its state
 * @to: another
 *
 * Context: any.
 * Return: true if the queue may go from @from to @to in one step.
 */
static inline bool pindrop_chan_may_become(enum pindrop_chan_state from,
					   enum pindrop_chan_state to)
{
	static const u8 exits[] = {
		/* WEDGED: all of the device hangs. */
		[PINDROP_CHAN_RUNNING] = BIT(PINDROP_CHAN_STOPPING) |
					 BIT(PINDROP_CHAN_WEDGED) |
					 BIT(PINDROP_CHAN_GONE),
		[PINDROP_CHAN_STOPPING] = BIT(PINDROP_CHAN_RUNNING) |
					  BIT(PINDROP_CHAN_WEDGED) |
					  BIT(PINDROP_CHAN_GONE),
		[PINDROP_CHAN_WEDGED] = BIT(PINDROP_CHAN_RUNNING) |
					BIT(PINDROP_CHAN_GONE),
		[PINDROP_CHAN_GONE] = 0,
	};

	return exits[from] & BIT(to);
}

#endif /* PINDROP_STATES_H */
