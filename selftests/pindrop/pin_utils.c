// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "pin_utils.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define POOL "/proc/sys/vm/nr_hugepages"
/* A job that was reported may hold its memory for so long. */
#define TRAILING_MS 2000
#define KPF_THP 22

/* A number behind a name in a file of lines; -1: it is not there. */
static long long number_in(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	const size_t len = strlen(name);
	long long found = -1;
	char line[256];

	if (!f)
		return -1;
	while (found < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len))
			sscanf(line + len, "%lld", &found);
	fclose(f);
	return found;
}

/* In pages, as the kernel charges it to the caller's address space. */
static long long charged(const struct pin_watch *w)
{
	long long kib = number_in("/proc/self/status", "VmPin:");

	return kib < 0 ? -1 : kib * 1024 / (long long)w->env.page;
}

/* What the watch's file says of its pins, in KiB; -1: nothing. */
long long pin_told_kib(const struct pin_watch *w)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", w->fd);
	return number_in(path, "pindrop-pinned-memory:");
}

int pin_watch(struct pin_watch *w)
{
	w->fd = pd_open(&w->env);
	if (w->fd < 0)
		return w->fd;
	w->in_system = pd_vmstat_pins();
	w->of_mine = charged(w);
	if (w->in_system < 0 || w->of_mine < 0)
		return -ENODATA;
	return pd_create(w->fd, 2 * w->env.page, &w->buf);
}

/* Ends the file, and with it all pins of it. */
void pin_unwatch(struct pin_watch *w)
{
	pd_unmap(&w->buf);
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* Who does not say that so many pages are pinned; "" if all of them do. */
const char *pin_count(const struct pin_watch *w, long long pages)
{
	const __u64 begin = pd_now_ns();
	long long counter, system, mine;
	static char text[256];

	for (;;) {
		counter = pd_grown(&w->env, PD_PINNED);
		mine = charged(w) - w->of_mine;
		system = pd_vmstat_pins() - w->in_system;
		if (counter == pages && mine == pages && system == pages)
			return "";
		if (pd_ms_since(begin) > TRAILING_MS)
			break;
		pd_sleep_ms(2);
	}
	snprintf(text, sizeof(text),
		 "%lld pages: pinned says %lld, VmPin %lld, vmstat %lld",
		 pages, counter, mine, system);
	return text;
}

static int map(struct pin_mem *m, size_t len, int flags, int file)
{
	void *mem = mmap(NULL, len, RW, flags, file, 0);

	m->len = len;
	m->file = file;
	m->pool = -1;
	m->mem = mem == MAP_FAILED ? NULL : mem;
	return m->mem ? 0 : -errno;
}

/* Small pages, whatever the system does by itself; not there yet. */
int pin_anon(struct pin_mem *m, size_t len)
{
	int err = map(m, len, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	/* A kernel without huge pages does not know the advice. */
	if (!err)
		madvise(m->mem, len, MADV_NOHUGEPAGE);
	return err;
}

/*
 * Memory that others have left in pieces, or that is still on its way back from
 * them, may have none of that size at first.
 */
static bool touch_thp(unsigned char *at)
{
	int tries = 20;

	do {
		at[0] = 1;
		if (pin_is_thp(at))
			return true;
		madvise(at, PIN_HUGE, MADV_DONTNEED);
		pd_write_file("/proc/sys/vm/compact_memory", "1");
		pd_sleep_ms(50);
	} while (--tries);
	return false;
}

/* -ENODATA: the kernel gives none. */
int pin_thp(struct pin_mem *m, size_t len)
{
	const size_t room = len + PIN_HUGE;
	unsigned char *at;
	size_t i;
	int err;

	err = map(m, room, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (err)
		return err;
	at = (void *)(((uintptr_t)m->mem + PIN_HUGE - 1) & -PIN_HUGE);
	if (at > m->mem)
		munmap(m->mem, at - m->mem);
	if (at + len < m->mem + room)
		munmap(at + len, m->mem + room - at - len);
	m->mem = at;
	m->len = len;
	if (madvise(at, len, MADV_HUGEPAGE))
		return -ENODATA;
	for (i = 0; i < len; i += PIN_HUGE)
		if (!touch_thp(at + i))
			return -ENODATA;
	return 0;
}

/* -ENODATA: there is no pool, or it cannot grow. */
int pin_hugetlb(struct pin_mem *m, size_t len)
{
	long pool = number_in(POOL, "");
	char text[32];
	int err;

	m->mem = NULL;
	m->file = -1;
	m->pool = pool;
	if (pool < 0)
		return -ENODATA;
	/* Twice as many: a child of the owner has pages of its own. */
	snprintf(text, sizeof(text), "%lu", pool + 2 * len / PIN_HUGE);
	if (pd_write_file(POOL, text))
		return -ENODATA;
	/* What is not there is taken from who needs it less. */
	if (number_in(POOL, "") < (long)(pool + 2 * len / PIN_HUGE)) {
		pd_write_file("/proc/sys/vm/compact_memory", "1");
		pd_write_file(POOL, text);
	}
	err = map(m, len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	m->pool = pool;
	return err == -ENOMEM ? -ENODATA : err;
}

int pin_memfd(struct pin_mem *m, size_t len)
{
	int file = memfd_create("pd_memfd", MFD_CLOEXEC);

	if (file < 0 || ftruncate(file, len))
		return -errno;
	return map(m, len, MAP_SHARED, file);
}

int pin_shmem(struct pin_mem *m, size_t len)
{
	return map(m, len, MAP_SHARED | MAP_ANONYMOUS, -1);
}

/* A private mapping of a file: pages of its own once they are written. */
int pin_file(struct pin_mem *m, size_t len)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	return file < 0 ? -errno : map(m, len, MAP_PRIVATE, file);
}

/* Of a filesystem that writes its pages back: a block device's own. */
int pin_device(struct pin_mem *m, size_t len)
{
	const char *path = getenv("PINDROP_DIRECT_FILE");
	int file;

	if (!path || !*path)
		return -ENODATA;
	file = open(path, O_RDWR | O_CLOEXEC);
	return file < 0 ? -errno : map(m, len, MAP_SHARED, file);
}

void pin_drop(struct pin_mem *m)
{
	char text[32];

	if (m->mem)
		munmap(m->mem, m->len);
	if (m->file >= 0)
		close(m->file);
	if (m->pool >= 0) {
		snprintf(text, sizeof(text), "%ld", m->pool);
		pd_write_file(POOL, text);
	}
	*m = PIN_NO_MEM;
}

static int read_at(const char *path, __u64 index, __u64 *value)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (pread(fd, value, sizeof(*value), index * sizeof(*value)) !=
	    sizeof(*value))
		err = -EIO;
	close(fd);
	return err;
}

/* What the kernel says of the page there; -1: it has none, or says nothing. */
long long pin_kpageflags(const void *mem)
{
	__u64 entry, flags;

	if (read_at("/proc/self/pagemap",
		    (uintptr_t)mem / sysconf(_SC_PAGESIZE), &entry))
		return -1;
	entry = entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
	if (!entry || read_at("/proc/kpageflags", entry, &flags))
		return -1;
	return flags;
}

bool pin_is_thp(const void *mem)
{
	long long flags = pin_kpageflags(mem);

	return flags >= 0 && flags >> KPF_THP & 1;
}

/* The device reads what is in the pin. 1: something else. */
int pin_out(const struct pin_watch *w, const struct pd_buf *pin, size_t at,
	    size_t len)
{
	struct pindrop_job_desc job = pd_copy(pin, at, &w->buf, 0, len);
	int err;

	memset(w->buf.map, 0x11, w->buf.len);
	err = pd_run(w->fd, &job, 1);
	if (err)
		return err;
	return memcmp(w->buf.map, pin->map + at, len) ? 1 : 0;
}

/* What the device writes is in the memory, as pd_fill() has it. 1: it is not. */
int pin_in(const struct pin_watch *w, const struct pd_buf *pin, size_t at,
	   size_t len, unsigned int seed)
{
	struct pindrop_job_desc job = pd_copy(&w->buf, 0, pin, at, len);
	int err;

	pd_fill(w->buf.map, len, seed);
	err = pd_run(w->fd, &job, 1);
	if (err)
		return err;
	return pd_wrong(pin->map + at, len, seed) == -1 ? 0 : 1;
}
