// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: which transitions a device and a queue have, that all others are refused,
 * and what comes with a transition. A module of its own, which is built where
 * the kernel has KUnit, and never installed.
 */
#include <kunit/test.h>
#include <linux/jiffies.h>
#include <linux/module.h>

#include "pindrop.h"

#define PIECE_MS 200
#define DEVICES 5
#define CHANS 4

/* Written down a second time: the tables in states.h are compared with these. */
static const char *const dev_table[DEVICES] = {
	/*                              RUNNING RESETTING CUT FROZEN GONE */
	[PINDROP_DEV_RUNNING] =   ".R..G",
	[PINDROP_DEV_RESETTING] = "R.C.G",
	[PINDROP_DEV_CUT] =       "RR.FG",
	[PINDROP_DEV_FROZEN] =    "..C..",
	[PINDROP_DEV_GONE] =      ".....",
};

static const char *const chan_table[CHANS] = {
	/*                               RUNNING STOPPING WEDGED GONE */
	[PINDROP_CHAN_RUNNING] =  ".SWG",
	[PINDROP_CHAN_STOPPING] = "R.WG",
	[PINDROP_CHAN_WEDGED] =   "R..G",
	[PINDROP_CHAN_GONE] =     "....",
};

static void no_timer(struct timer_list *timer)
{
}

static int state_test_init(struct kunit *test)
{
	struct pindrop_dev *dev = kunit_kzalloc(test, sizeof(*dev), GFP_KERNEL);
	struct pindrop_chan *chan = kunit_kzalloc(test, 2 * sizeof(*chan),
						  GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, dev);
	KUNIT_ASSERT_NOT_NULL(test, chan);
	mutex_init(&dev->chain);
	dev->limits.channels = 2;
	dev->limits.piece_ms = PIECE_MS;
	dev->chans = chan;
	for (i = 0; i < 2; i++) {
		chan[i].dev = dev;
		chan[i].id = i;
		spin_lock_init(&chan[i].lock);
		timer_setup(&chan[i].watch, no_timer, 0);
	}
	test->priv = dev;
	return 0;
}

static void state_test_exit(struct kunit *test)
{
	struct pindrop_dev *dev = test->priv;
	unsigned int i;

	for (i = 0; dev && i < 2; i++)
		timer_delete_sync(&dev->chans[i].watch);
}

static void dev_refuses_transitions_that_do_not_exist(struct kunit *test)
{
	struct pindrop_dev *dev = test->priv;
	unsigned int from, to;
	bool done;

	mutex_lock(&dev->chain);
	for (from = 0; from < DEVICES; from++) {
		for (to = 0; to < DEVICES; to++) {
			dev->state = from;
			done = pindrop_dev_try_state(dev, to);
			KUNIT_EXPECT_EQ_MSG(test, done,
					    dev_table[from][to] != '.',
					    "from %u to %u", from, to);
			KUNIT_EXPECT_EQ_MSG(test, dev->state, done ? to : from,
					    "from %u to %u", from, to);
		}
	}
	mutex_unlock(&dev->chain);
}

static bool try_chan(struct pindrop_chan *chan, enum pindrop_chan_state to)
{
	bool done;

	spin_lock_irq(&chan->lock);
	done = pindrop_chan_try_state_locked(chan, to);
	spin_unlock_irq(&chan->lock);
	return done;
}

static void queue_refuses_transitions_that_do_not_exist(struct kunit *test)
{
	struct pindrop_dev *dev = test->priv;
	struct pindrop_chan *chan = dev->chans;
	unsigned int from, to;
	bool done;

	for (from = 0; from < CHANS; from++) {
		for (to = 0; to < CHANS; to++) {
			chan->state = from;
			done = try_chan(chan, to);
			KUNIT_EXPECT_EQ_MSG(test, done,
					    chan_table[from][to] != '.',
					    "from %u to %u", from, to);
			KUNIT_EXPECT_EQ_MSG(test, chan->state, done ? to : from,
					    "from %u to %u", from, to);
		}
	}
}

static void pauses_nest(struct kunit *test)
{
	struct pindrop_dev *dev = test->priv;

	mutex_lock(&dev->chain);
	dev->state = PINDROP_DEV_CUT;
	pindrop_dev_freeze(dev);
	pindrop_dev_freeze(dev);
	KUNIT_EXPECT_EQ(test, dev->state, PINDROP_DEV_FROZEN);
	KUNIT_EXPECT_FALSE(test, pindrop_dev_thaw(dev));
	KUNIT_EXPECT_EQ(test, dev->state, PINDROP_DEV_FROZEN);
	KUNIT_EXPECT_TRUE(test, pindrop_dev_thaw(dev));
	KUNIT_EXPECT_EQ(test, dev->state, PINDROP_DEV_CUT);
	mutex_unlock(&dev->chain);
}

/* A minute is what the watchdog of a queue that hangs is set to. */
static void queue_that_runs_again_is_watched_at_once(struct kunit *test)
{
	struct pindrop_dev *dev = test->priv;
	struct pindrop_chan *chan = dev->chans;

	chan->state = PINDROP_CHAN_WEDGED;
	chan->watch_set = true;
	chan->watch_due = jiffies + msecs_to_jiffies(PINDROP_RETRY_MS);
	KUNIT_EXPECT_TRUE(test, try_chan(chan, PINDROP_CHAN_RUNNING));
	KUNIT_EXPECT_TRUE(test, timer_pending(&chan->watch));
	KUNIT_EXPECT_TRUE(test,
			  time_before(chan->watch_due,
				      jiffies + msecs_to_jiffies(PIECE_MS)));
}

static void queue_of_a_closed_device_is_not_watched(struct kunit *test)
{
	struct pindrop_dev *dev = test->priv;
	struct pindrop_chan *chan = dev->chans;

	dev->closed = true;
	KUNIT_EXPECT_TRUE(test, try_chan(chan, PINDROP_CHAN_WEDGED));
	KUNIT_EXPECT_FALSE(test, timer_pending(&chan->watch));
}

static struct kunit_case state_tests[] = {
	KUNIT_CASE(dev_refuses_transitions_that_do_not_exist),
	KUNIT_CASE(queue_refuses_transitions_that_do_not_exist),
	KUNIT_CASE(pauses_nest),
	KUNIT_CASE(queue_that_runs_again_is_watched_at_once),
	KUNIT_CASE(queue_of_a_closed_device_is_not_watched),
	{}
};

static struct kunit_suite state_suite = {
	.name = "pindrop_state",
	.init = state_test_init,
	.exit = state_test_exit,
	.test_cases = state_tests,
};

kunit_test_suite(state_suite);

PINDROP_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit tests of pindrop's states");
MODULE_LICENSE("GPL");
