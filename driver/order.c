// SPDX-License-Identifier: GPL-2.0-only
/*
 * The order of a context's jobs: a ticket passes when its job and all older ones are
 * over, on every queue, and WAIT reports failures.
 *
 * Each ticket has a slot in a window that moves with the last ticket. Half of the
 * slots are for tickets that have not passed, which limits them; the other half keep
 * the results of tickets that have. Every operation is bounded by the window.
 */
#include "pindrop.h"

#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/slab.h>

#define ORDER_SLOTS (2U * PINDROP_MAX_QUEUED)

/**
 * struct pindrop_order - the window; all of it under ctx::lock
 * @over: the job is over, an older one is not
 * @failed: it failed
 * @plain: it was not a ring's
 * @errors: what it failed with
 */
struct pindrop_order {
	DECLARE_BITMAP(over, ORDER_SLOTS);
	DECLARE_BITMAP(failed, ORDER_SLOTS);
	DECLARE_BITMAP(plain, ORDER_SLOTS);
	u8 errors[ORDER_SLOTS];
};

static unsigned int order_slot(u64 ticket)
{
	return ticket & (ORDER_SLOTS - 1);
}

/**
 * pindrop_order_create() - have a context give out tickets
 * @ctx: the context
 *
 * Context: process context; may sleep.
 * Return: 0 or -ENOMEM.
 */
int pindrop_order_create(struct pindrop_ctx *ctx)
{
	struct pindrop_order *order;

	BUILD_BUG_ON(ORDER_SLOTS & (ORDER_SLOTS - 1));
	/* Pairs with the cmpxchg() of another thread. */
	if (smp_load_acquire(&ctx->order))
		return 0;
	order = kvzalloc(sizeof(*order), GFP_KERNEL_ACCOUNT);
	if (!order)
		return -ENOMEM;
	if (cmpxchg(&ctx->order, NULL, order))
		kvfree(order);
	return 0;
}

/* The last set bit of @count from @from on, without a wrap; or @from - 1. */
static long order_last_bit(const unsigned long *map, unsigned int from,
			   unsigned int count)
{
	long at = from + count;

	while (at > from) {
		unsigned int word = (at - 1) / BITS_PER_LONG;
		unsigned long bits = map[word];

		if (at % BITS_PER_LONG)
			bits &= BITMAP_LAST_WORD_MASK(at % BITS_PER_LONG);
		if (bits) {
			at = word * BITS_PER_LONG + __fls(bits);
			return at >= from ? at : (long)from - 1;
		}
		at = word * BITS_PER_LONG;
	}
	return (long)from - 1;
}

/* The newest of @count tickets from @first on whose bit is set, or 0. */
static u64 order_newest(const unsigned long *map, u64 first, unsigned int count)
{
	unsigned int slot = order_slot(first);
	unsigned int ahead = min_t(unsigned int, count, ORDER_SLOTS - slot);
	long at;

	if (count > ahead) {
		at = order_last_bit(map, 0, count - ahead);
		if (at >= 0)
			return first + ahead + at;
	}
	at = order_last_bit(map, slot, ahead);
	return at >= slot ? first + (at - slot) : 0;
}

static void order_fill(unsigned long *map, u64 first, unsigned int count,
		       bool value)
{
	unsigned int slot = order_slot(first);
	unsigned int ahead = min_t(unsigned int, count, ORDER_SLOTS - slot);

	if (value) {
		bitmap_set(map, slot, ahead);
		bitmap_set(map, 0, count - ahead);
	} else {
		bitmap_clear(map, slot, ahead);
		bitmap_clear(map, 0, count - ahead);
	}
}

/* The common case of one ticket sets single bits instead of ranges. */
static void order_begin_one(struct pindrop_ctx *ctx, u64 ticket, bool plain)
{
	struct pindrop_order *order = ctx->order;
	unsigned int slot = order_slot(ticket);

	if (__test_and_clear_bit(slot, order->failed))
		ctx->forgotten = ticket - ORDER_SLOTS;
	if (plain)
		__set_bit(slot, order->plain);
	else
		__clear_bit(slot, order->plain);
}

/**
 * pindrop_order_begin_locked() - give out tickets
 * @ctx: the context
 * @count: how many, at most PINDROP_MAX_JOBS
 * @plain: not for a ring's jobs
 *
 * The results in the slots that are reused are forgotten.
 *
 * Context: ctx::lock held; pindrop_order_create() has succeeded, and
 * pindrop_order_open() has returned at least @count.
 * Return: the first.
 */
u64 pindrop_order_begin_locked(struct pindrop_ctx *ctx, unsigned int count,
			       bool plain)
{
	struct pindrop_order *order = ctx->order;
	u64 first = ctx->last_ticket + 1;
	u64 failed;

	lockdep_assert_held(&ctx->lock);
	if (count == 1) {
		order_begin_one(ctx, first, plain);
		ctx->last_ticket = first;
		return first;
	}
	failed = order_newest(order->failed, first, count);
	if (failed) {
		ctx->forgotten = failed - ORDER_SLOTS;
		order_fill(order->failed, first, count, false);
	}
	order_fill(order->plain, first, count, plain);
	ctx->last_ticket += count;
	return first;
}

/**
 * pindrop_order_open() - tickets that may be given out
 * @ctx: the context
 *
 * Context: ctx::lock held, or a look without it that is repeated.
 * Return: their number.
 */
unsigned int pindrop_order_open(const struct pindrop_ctx *ctx)
{
	u64 waiting = READ_ONCE(ctx->last_ticket) - READ_ONCE(ctx->ticket);

	return waiting < PINDROP_MAX_QUEUED ? PINDROP_MAX_QUEUED - waiting : 0;
}

/* Tickets from the next one on that are over. */
static unsigned int order_run(const unsigned long *over, unsigned int slot)
{
	unsigned int end = find_next_zero_bit(over, ORDER_SLOTS, slot);

	/* Half of the window is always free. */
	if (end < ORDER_SLOTS)
		return end - slot;
	return end - slot + find_first_zero_bit(over, ORDER_SLOTS);
}

/**
 * pindrop_order_end_locked() - a job is over
 * @ctx: its context
 * @ticket: its ticket
 * @result: 0 or -errno
 *
 * The ticket passes unless an older job is not over, and with it the tickets of
 * newer jobs that are.
 *
 * Context: ctx::lock held.
 */
void pindrop_order_end_locked(struct pindrop_ctx *ctx, u64 ticket, int result)
{
	struct pindrop_order *order = ctx->order;
	unsigned int slot = order_slot(ticket), n;
	u64 plain;

	lockdep_assert_held(&ctx->lock);
	if (result) {
		__set_bit(slot, order->failed);
		/* A foreign fence may fail with any errno. */
		order->errors[slot] = result < -U8_MAX ? EIO : -result;
	}
	if (ticket == ctx->ticket + 1 &&
	    !test_bit(order_slot(ticket + 1), order->over)) {
		if (test_bit(slot, order->plain))
			WRITE_ONCE(ctx->plain, ticket);
		WRITE_ONCE(ctx->ticket, ticket);
		return;
	}
	__set_bit(slot, order->over);
	if (ticket != ctx->ticket + 1)
		return;
	n = order_run(order->over, slot);
	order_fill(order->over, ticket, n, false);
	plain = order_newest(order->plain, ticket, n);
	if (plain)
		WRITE_ONCE(ctx->plain, plain);
	WRITE_ONCE(ctx->ticket, ticket + n - 1);
}

/**
 * pindrop_order_pass_locked() - give out tickets that pass at once
 * @ctx: the context; all its other tickets have passed
 * @count: how many, at most PINDROP_MAX_JOBS; a ring's
 *
 * Context: ctx::lock held.
 */
void pindrop_order_pass_locked(struct pindrop_ctx *ctx, unsigned int count)
{
	pindrop_order_begin_locked(ctx, count, false);
	WRITE_ONCE(ctx->ticket, ctx->last_ticket);
}

/**
 * pindrop_order_find_locked() - the first of some jobs that failed
 * @ctx: the context
 * @first: ticket of the first of them
 * @last: ticket of the last; it has passed
 * @failed: ticket of the one that failed
 *
 * Context: ctx::lock held.
 * Return: what it failed with; 0, and @failed as it was, if none did; -ENODATA,
 * and the first ticket, if that is forgotten.
 */
int pindrop_order_find_locked(struct pindrop_ctx *ctx, u64 first, u64 last,
			      u64 *failed)
{
	struct pindrop_order *order = ctx->order;
	unsigned int slot, count, at;
	u64 oldest;

	lockdep_assert_held(&ctx->lock);
	if (!order || !last)
		return 0;
	if (first && first <= ctx->forgotten) {
		*failed = first;
		return -ENODATA;
	}
	oldest = ctx->last_ticket < ORDER_SLOTS ?
			 1 :
			 ctx->last_ticket - ORDER_SLOTS + 1;
	first = max(first, oldest);
	if (first > last)
		return 0;
	count = last - first + 1;
	slot = order_slot(first);
	at = find_next_bit(order->failed, min(slot + count, ORDER_SLOTS), slot);
	if (at >= slot + count)
		return 0;
	if (at == ORDER_SLOTS) {
		at = find_first_bit(order->failed, slot + count - ORDER_SLOTS);
		if (at >= slot + count - ORDER_SLOTS)
			return 0;
		at += ORDER_SLOTS;
	}
	*failed = first + (at - slot);
	return -(int)order->errors[order_slot(*failed)];
}
