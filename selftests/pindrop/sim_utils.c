// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "sim_utils.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEBUGFS "/sys/kernel/debug/pindrop_sim"
#define PARAMETERS "/sys/module/pindrop_sim/parameters"
#define DRIVER "/sys/bus/platform/drivers/pindrop_sim"
#define TRACING "/sys/kernel/tracing"
#define TRACE TRACING "/instances/pindrop_test"

static const char *const faults[] = {
	"hang",		"error",	 "lost_irq",	  "all_ones",
	"ignore_abort", "lie_terminate", "late_write_ms", "ignore_terminate",
	"terminate_ms",
};

static long long read_number(const char *path)
{
	char text[64];

	return pd_read_file(path, text, sizeof(text)) ? -1 : atoll(text);
}

/* Returns NULL, or why there is nothing to test. */
const char *sim_find(const struct pd_env *env)
{
	char path[256];

	if (strcmp(env->info.out_engine, "sim"))
		return "the engine is not sim";
	snprintf(path, sizeof(path), DEBUGFS "/%s/log", env->info.out_device);
	return access(path, R_OK) ? "no debugfs, or locked down" : NULL;
}

bool sim_is_direct(void)
{
	char text[16] = "";

	pd_read_file(PARAMETERS "/mode", text, sizeof(text));
	return !strcmp(text, "direct\n");
}

long long sim_delay_us(void)
{
	return read_number(PARAMETERS "/delay_us");
}

long long sim_devices(void)
{
	return read_number(PARAMETERS "/devices");
}

static void fault_path(char *path, size_t size, const struct pd_env *env,
		       unsigned int chan, const char *fault)
{
	snprintf(path, size, DEBUGFS "/%s/chan%u/%s", env->info.out_device,
		 chan, fault);
}

int sim_set(const struct pd_env *env, unsigned int chan, const char *fault,
	    long long value)
{
	char path[256], text[32];

	fault_path(path, sizeof(path), env, chan, fault);
	snprintf(text, sizeof(text), "%lld", value);
	return pd_write_file(path, text);
}

long long sim_get(const struct pd_env *env, unsigned int chan,
		  const char *fault)
{
	char path[256];

	fault_path(path, sizeof(path), env, chan, fault);
	return read_number(path);
}

int sim_set_all(const struct pd_env *env, const char *fault, long long value)
{
	unsigned int chan;
	int err = 0;

	for (chan = 0; !err && chan < env->info.out_channels; chan++)
		err = sim_set(env, chan, fault, value);
	return err;
}

/* Of the whole device, not of a channel. */
static int device_set(const struct pd_env *env, const char *name,
		      long long value)
{
	char path[256], text[32];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", env->info.out_device,
		 name);
	snprintf(text, sizeof(text), "%lld", value);
	return pd_write_file(path, text);
}

/* 0: none, 1: it cannot be reset, 2: that does not help, 3: it is busy. */
int sim_fail_reset(const struct pd_env *env, int how)
{
	return device_set(env, "fail_reset", how);
}

/* Its next removal is one that the bus reports. */
int sim_unplug(const struct pd_env *env)
{
	return device_set(env, "unplugged", 1);
}

/* Bind it to its driver, and wait for its node; or unbind it. */
int sim_bind(const struct pd_env *env, bool bind)
{
	__u64 since;
	int err;

	err = pd_write_file(bind ? DRIVER "/bind" : DRIVER "/unbind",
			    env->info.out_device);
	since = pd_now_ns();
	while (bind && !err && access(env->path, F_OK)) {
		if (pd_ms_since(since) > 2000)
			return -ENODEV;
		pd_sleep_ms(5);
	}
	return err;
}

/* Have it come back as one that can be cut off from memory, or cannot. */
int sim_rebind(const struct pd_env *env, bool no_cut)
{
	int err = sim_bind(env, false);

	if (!err)
		err = pd_write_file(PARAMETERS "/no_cut", no_cut ? "1" : "0");
	if (!err) {
		pd_sleep_ms(50); /* the node's number is free by then */
		err = sim_bind(env, true);
	}
	return err;
}

/* The machine stands still, and the device with it. */
int sim_stall(const struct pd_env *env, long ms)
{
	return device_set(env, "stall_ms", ms);
}

/* What hangs does so until it is let go: the driver has no remedy. */
int sim_incurable(const struct pd_env *env)
{
	int err = sim_fail_reset(env, 1);

	return err ? err : sim_set_all(env, "ignore_terminate", 1);
}

int sim_reset(const struct pd_env *env, long long delay_us)
{
	unsigned int i;
	int err = sim_fail_reset(env, 0);

	if (!err)
		err = sim_set_all(env, "delay_us", delay_us);
	for (i = 0; !err && i < ARRAY_LEN(faults); i++)
		err = sim_set_all(env, faults[i], 0);
	return err;
}

long long sim_count(const struct pd_env *env, const char *counter)
{
	char path[256];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", env->info.out_device,
		 counter);
	return read_number(path);
}

static const char log_line[] =
	"seq=%llu ns=%llu chan=%u op=%7s bus=%llx bytes=%u late=%d outcome=%7s";

/* The accesses after number @after, at most @max; their number. */
int sim_log(const struct pd_env *env, unsigned long long after,
	    struct sim_access *list, int max)
{
	char path[256], line[256], op[8];
	struct sim_access a;
	int n = 0, late;
	FILE *f;

	snprintf(path, sizeof(path), DEBUGFS "/%s/log", env->info.out_device);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (n < max && fgets(line, sizeof(line), f)) {
		if (sscanf(line, log_line, &a.seq, &a.ns, &a.chan, op, &a.bus,
			   &a.bytes, &late, a.outcome) != 8) {
			n = -EBADMSG;
			break;
		}
		a.write = !strcmp(op, "write");
		a.late = late;
		if (a.seq > after)
			list[n++] = a;
	}
	fclose(f);
	return n;
}

/*
 * Of what is mapped and unmapped, in an instance of its own. Without the names
 * of processes: to know them the kernel would patch its scheduler, and QEMU may
 * trip over that.
 */
int sim_trace_start(void)
{
	int err;

	rmdir(TRACE);
	/* An instance has it from the first one, and cannot set it. */
	err = pd_write_file(TRACING "/options/record-cmd", "0");
	if (!err && mkdir(TRACE, 0700))
		err = -errno;
	if (!err)
		err = pd_write_file(TRACE "/trace_clock", "mono");
	if (!err)
		err = pd_write_file(TRACE
				    "/events/pindrop/pindrop_dma_map/enable",
				    "1");
	if (!err)
		err = pd_write_file(TRACE
				    "/events/pindrop/pindrop_dma_unmap/enable",
				    "1");
	return err;
}

int sim_trace_stop(void)
{
	return rmdir(TRACE) ? -errno : 0;
}

static struct sim_range *range_at(struct sim_range *list, int n,
				  unsigned long long bus)
{
	while (n--)
		if (list[n].bus == bus && !list[n].to_ns)
			return &list[n];
	return NULL;
}

/* Times are in whole microseconds there: rounded to what accuses nobody. */
static bool trace_line(const char *line, struct sim_range *r, bool *map)
{
	unsigned long long s, us;
	const char *event = strstr(line, ": pindrop_dma_");
	const char *stamp = event;
	int dev;

	while (stamp && stamp > line && stamp[-1] != ' ')
		stamp--;
	if (!event || sscanf(stamp, "%llu.%llu", &s, &us) != 2)
		return false;
	*map = !strncmp(event + 2, "pindrop_dma_map:", 16);
	event = strstr(event, "dev=");
	if (!event ||
	    sscanf(event, "dev=%d ctx=%llu buf=%llu bus=%llx bytes=%llu", &dev,
		   &r->ctx, &r->buf, &r->bus, &r->bytes) != 5)
		return false;
	r->from_ns = s * 1000000000 + us * 1000;
	r->to_ns = *map ? 0 : r->from_ns + 999;
	return true;
}

/* What the trace says was mapped since it was started; their number. */
int sim_trace_ranges(struct sim_range *list, int max)
{
	FILE *f = fopen(TRACE "/trace", "re");
	struct sim_range r, *old;
	char line[512];
	bool map;
	int n = 0;

	if (!f)
		return -errno;
	while (n < max && fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			continue;
		if (!trace_line(line, &r, &map)) {
			n = -EBADMSG;
			break;
		}
		old = map ? NULL : range_at(list, n, r.bus);
		if (old)
			old->to_ns = r.to_ns;
		else if (map)
			list[n++] = r;
	}
	fclose(f);
	return n;
}

/* The range that an access lies in, at a time when it was the device's. */
const struct sim_range *sim_range_of(const struct sim_range *list, int n,
				     const struct sim_access *access)
{
	const struct sim_range *r;

	for (r = list; r < list + n; r++)
		if (access->bus >= r->bus &&
		    access->bus + access->bytes <= r->bus + r->bytes &&
		    access->ns >= r->from_ns &&
		    (!r->to_ns || access->ns <= r->to_ns))
			return r;
	return NULL;
}
