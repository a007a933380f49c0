// SPDX-License-Identifier: MIT
#include "stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t stop_signal;

static const int stop_signals[] = { SIGHUP, SIGINT, SIGTERM };

static void note(int sig)
{
	stop_signal = sig;
}

/* System calls are not restarted, so that a wait ends. */
void stop_catch(void)
{
	struct sigaction sa = { .sa_handler = note };
	struct sigaction old;
	size_t i;

	for (i = 0; i < sizeof(stop_signals) / sizeof(stop_signals[0]); i++) {
		/* What nohup has switched off stays off. */
		if (!sigaction(stop_signals[i], NULL, &old) &&
		    old.sa_handler != SIG_IGN)
			sigaction(stop_signals[i], &sa, NULL);
	}
}

/* The signal that came, or 0. */
int stop_asked(void)
{
	return stop_signal;
}

/* Ends as the signal would have ended us; the shell sees which it was. */
void stop_obey(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };

	if (!stop_signal)
		return;
	sigaction(stop_signal, &sa, NULL);
	raise(stop_signal);
}
