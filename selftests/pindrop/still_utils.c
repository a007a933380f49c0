// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "still_utils.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pindrop_utils.h"

#define BEAT_MS 5
#define MAX_CPUS 8
#define NOTES 512

/* A sleep that ended at @at_ns, and @late_ns too late. */
struct note {
	__u64 at_ns;
	__u64 late_ns;
};

struct still {
	unsigned int cpus;
	pid_t child[MAX_CPUS];
	unsigned int noted[MAX_CPUS];
	struct note notes[MAX_CPUS][NOTES];
};

/* Closes inherited descriptors: an open device would keep its context. */
static void beat(struct still *s, unsigned int cpu)
{
	const struct sched_param high = { .sched_priority = 1 };
	const __u64 beat_ns = BEAT_MS * 1000000ULL;
	struct note *note;
	cpu_set_t set;
	__u64 begin, took;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	syscall(SYS_close_range, 3, ~0U, 0);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	sched_setscheduler(0, SCHED_FIFO, &high);
	for (;;) {
		begin = pd_now_ns();
		pd_sleep_ms(BEAT_MS);
		took = pd_now_ns() - begin;
		if (took < 2 * beat_ns)
			continue;
		note = &s->notes[cpu][s->noted[cpu] % NOTES];
		note->at_ns = begin + took;
		note->late_ns = took - beat_ns;
		__atomic_store_n(&s->noted[cpu], s->noted[cpu] + 1,
				 __ATOMIC_RELEASE);
	}
}

/* NULL if there is no memory; still_ms() of that is 0. */
struct still *still_watch(void)
{
	struct still *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int cpu;

	if (s == MAP_FAILED)
		return NULL;
	s->cpus = cpus < MAX_CPUS ? cpus : MAX_CPUS;
	for (cpu = 0; cpu < s->cpus; cpu++) {
		s->child[cpu] = fork();
		if (!s->child[cpu])
			beat(s, cpu);
	}
	return s;
}

void still_end(struct still *s)
{
	unsigned int cpu;

	if (!s)
		return;
	for (cpu = 0; cpu < s->cpus; cpu++) {
		if (s->child[cpu] <= 0)
			continue;
		kill(s->child[cpu], SIGKILL);
		waitpid(s->child[cpu], NULL, 0);
	}
	munmap(s, sizeof(*s));
}

static __u64 late_ns(const struct still *s, unsigned int cpu, __u64 since_ns)
{
	unsigned int noted = __atomic_load_n(&s->noted[cpu], __ATOMIC_ACQUIRE);
	unsigned int i, n = noted < NOTES ? noted : NOTES;
	const struct note *note;
	__u64 sum = 0, part;

	for (i = 0; i < n; i++) {
		note = &s->notes[cpu][i];
		if (note->at_ns <= since_ns)
			continue;
		part = note->at_ns - since_ns;
		sum += part < note->late_ns ? part : note->late_ns;
	}
	return sum;
}

/* Milliseconds since @since_ns that the processor delayed most was delayed. */
long still_ms(const struct still *s, __u64 since_ns)
{
	unsigned int cpu;
	__u64 ns, most = 0;

	if (!s)
		return 0;
	/* A sleep that is late at this moment ends, and is recorded. */
	pd_sleep_ms(2 * BEAT_MS);
	for (cpu = 0; cpu < s->cpus; cpu++) {
		ns = late_ns(s, cpu, since_ns);
		if (ns > most)
			most = ns;
	}
	return most / 1000000;
}
