// SPDX-License-Identifier: MIT
/* The status window: what has finished, without asking the kernel. */
#include "private.h"

#include <sys/mman.h>

/**
 * pindrop_get_window() - map a device's status window
 * @dev: the device
 * @window: the window, read-only
 *
 * It is mapped once for all callers and stays readable, the device gone or
 * not, as long as @dev lives. The driver writes it while it is read: use the
 * functions below for ticket and state.
 *
 * Context: any thread; does not block.
 * Return: 0, or -ENOMEM.
 */
PINDROP_EXPORT int pindrop_get_window(struct pindrop *dev,
				      const struct pindrop_window **window)
{
	void *data = NULL;
	int err = 0;

	pthread_mutex_lock(&dev->lock);
	if (!dev->window) {
		err = pindrop_mmap(dev, PINDROP_WINDOW_SIZE, PROT_READ, 0,
				   &data);
		if (!err)
			dev->window = data;
	}
	if (!err)
		*window = dev->window;
	pthread_mutex_unlock(&dev->lock);
	return err;
}

#if __SIZEOF_POINTER__ >= 8
static uint64_t load_ticket(const struct pindrop_window *window)
{
	return __atomic_load_n(&window->ticket, __ATOMIC_ACQUIRE);
}
#else
/*
 * A 64-bit load on a 32-bit machine may be done by writing, and the window is
 * read-only. The ticket only grows, so an upper half that was the same before
 * and after belongs to the lower one.
 */
static uint64_t load_ticket(const struct pindrop_window *window)
{
	const uint32_t *half = (const uint32_t *)&window->ticket;
	const int low = __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__;
	uint32_t upper, lower, again;

	do {
		upper = __atomic_load_n(&half[!low], __ATOMIC_ACQUIRE);
		lower = __atomic_load_n(&half[low], __ATOMIC_ACQUIRE);
		again = __atomic_load_n(&half[!low], __ATOMIC_ACQUIRE);
	} while (upper != again);
	return (uint64_t)upper << 32 | lower;
}
#endif

/**
 * pindrop_window_ticket() - the ticket up to which all jobs are finished
 * @window: from pindrop_get_window()
 *
 * An acquire read: what these jobs wrote into memory is visible after it. It
 * does not say whether they succeeded; pindrop_wait_jobs() does.
 *
 * Context: any thread; no system call.
 * Return: the ticket, 0 before the first job has finished.
 */
PINDROP_EXPORT uint64_t
pindrop_window_ticket(const struct pindrop_window *window)
{
	return load_ticket(window);
}

/**
 * pindrop_window_state() - where the context stands
 * @window: from pindrop_get_window()
 *
 * Context: any thread; no system call.
 * Return: enum pindrop_state.
 */
PINDROP_EXPORT unsigned int
pindrop_window_state(const struct pindrop_window *window)
{
	return __atomic_load_n(&window->state, __ATOMIC_ACQUIRE);
}
