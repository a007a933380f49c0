// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the bus does to a device that is at work: reset it, report errors of
 * it, suspend it, stop answering, lose it.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "pindrop_utils.h"

/* A reset of a bus takes a second or two, a guest may be slow. */
#define BOUND_MS 10000
#define PIECES 6
#define QUARANTINE "/sys/class/pindrop/quarantine"

FIXTURE(bus)
{
	struct pd_env env;
	char device[64];
	int fd, other;
	size_t len;
	struct pd_buf src, dst, from, to;
	unsigned int *flag;
};

static bool file_says(const char *path, const char *text)
{
	char line[256] = "";
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		found |= !!strstr(line, text);
	if (f)
		fclose(f);
	return found;
}

/* The bit of the command register that lets the device answer (2), ... */
static int pci_answers(const char *device, bool on)
{
	unsigned short command;
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/config", device);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pread(fd, &command, 2, 4) != 2)
		err = -EIO;
	command = on ? command | 2 : command & ~2;
	if (!err && pwrite(fd, &command, 2, 4) != 2)
		err = -EIO;
	close(fd);
	return err;
}

/* One line to the machine that the guest runs on. */
static int monitor(const char *line)
{
	const char *path = getenv("PINDROP_MONITOR");
	int fd, err = 0;

	if (!path)
		return -ENOENT;
	fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	/* What the port echoed before it was told not to ends there. */
	if (dprintf(fd, "\n%s", line) < 0)
		err = -EIO;
	close(fd);
	return err;
}

static bool becomes(const char *path, bool there)
{
	__u64 begin = pd_now_ns();

	while (!access(path, F_OK) != there && pd_ms_since(begin) < BOUND_MS)
		pd_sleep_ms(5);
	return !access(path, F_OK) == there;
}

FIXTURE_SETUP(bus)
{
	PD_SETUP(&self->env);
	if (strcmp(self->env.info.out_engine, "edu"))
		SKIP(PD_LEAVE_SETUP, "the device is not on a bus");
	snprintf(self->device, sizeof(self->device), "/sys/bus/pci/devices/%s",
		 self->env.info.out_device);
	self->flag = pd_shared_page();
	ASSERT_NE(NULL, self->flag);
	self->fd = pd_open(&self->env);
	self->other = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->other);
	self->len = PIECES * self->env.info.out_max_piece;
	MUST(pd_create(self->fd, 4 * self->env.page, &self->src));
	MUST(pd_create(self->fd, 4 * self->env.page, &self->dst));
	MUST(pd_create(self->other, 4 * self->env.page, &self->from));
	MUST(pd_create(self->other, 4 * self->env.page, &self->to));
	pd_fill(self->src.map, self->src.len, 1);
	pd_fill(self->from.map, self->from.len, 2);
}

FIXTURE_TEARDOWN(bus)
{
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	pd_unmap(&self->from);
	pd_unmap(&self->to);
	if (self->fd >= 0)
		close(self->fd);
	if (self->other >= 0)
		close(self->other);
	pd_count_becomes(&self->env, PD_BYTES, 0, 1000);
	PD_TEARDOWN(&self->env);
}

#define START() pd_start(self->fd, &self->src, &self->dst, self->len)
#define OTHER() pd_start(self->other, &self->from, &self->to, self->len)

/* P4: both are done, from the beginning to the end, as if nothing had been. */
#define EXPECT_UNHURT(mine, theirs)                                   \
	do {                                                          \
		EXPECT_EQ(0, pd_result(self->fd, mine));              \
		EXPECT_EQ(0, pd_result(self->other, theirs));         \
		EXPECT_EQ(-1, pd_wrong(self->dst.map, self->len, 1)); \
		EXPECT_EQ(-1, pd_wrong(self->to.map, self->len, 2));  \
		EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));   \
		EXPECT_EQ(0, pd_grown(&self->env, PD_JOBS_FAILED));   \
	} while (0)

TEST_F(bus, resets_it)
{
	__u64 mine = START(), theirs = OTHER();

	pd_sleep_ms(30);
	MUST(pd_write_in(self->device, "reset", "1"));
	EXPECT_UNHURT(mine, theirs);
}

/* By way of our own reset, which finds nobody to blame. */
TEST_F(bus, is_asked_to_reset_it)
{
	__u64 mine = START(), theirs = OTHER();

	pd_sleep_ms(30);
	MUST(pd_write_in(self->env.sysfs, "reset", "1"));
	EXPECT_UNHURT(mine, theirs);
}

/* P2, P3: an owner dies while it happens. */
TEST_F(bus, resets_it_as_its_owner_dies)
{
	struct pd_buf src, dst;
	__u64 begin, theirs;
	pid_t pid, admin;
	int fd = pd_open(&self->env);

	ASSERT_LE(0, fd);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		CHILD(!pd_create(fd, 4 * self->env.page, &src));
		CHILD(!pd_create(fd, 4 * self->env.page, &dst));
		CHILD(pd_start(fd, &src, &dst, self->len) == 1);
		pd_post(self->flag, 1);
		for (;;)
			pause();
	}
	close(fd);
	ASSERT_TRUE(pd_await(self->flag, 1));
	theirs = OTHER();
	admin = fork();
	ASSERT_LE(0, admin);
	if (!admin)
		_exit(-pd_write_in(self->device, "reset", "1"));
	pd_sleep_ms(20);
	begin = pd_now_ns();
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, pd_join(pid));
	EXPECT_GT(1500, pd_ms_since(begin));
	EXPECT_EQ(0, pd_join(admin));
	EXPECT_EQ(0, pd_result(self->other, theirs));
	EXPECT_EQ(-1, pd_wrong(self->to.map, self->len, 2));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_INFLIGHT, 0, 1000));
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
}

/* How many errors of this kind the port above it has seen. */
static long errors_of(const char *device, const char *counter)
{
	char path[PATH_MAX];
	long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/../%s", device, counter);
	f = fopen(path, "re");
	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static int config_set(int fd, off_t at, __u16 bits)
{
	__u16 value;

	if (pread(fd, &value, 2, at) != 2)
		return -EIO;
	value |= bits;
	return pwrite(fd, &value, 2, at) == 2 ? 0 : -EIO;
}

/* Where no firmware was there before, a port keeps errors to itself. */
static int port_tells_errors(const char *device)
{
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/../config", device);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = config_set(fd, PCI_COMMAND, PCI_COMMAND_SERR) ?:
		      config_set(fd, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_SERR);
	close(fd);
	return err;
}

static bool error_happens(const char *device, const char *counter,
			  const char *error)
{
	long before = errors_of(device, counter);
	__u64 begin = pd_now_ns();
	char line[128];

	snprintf(line, sizeof(line), "pcie_aer_inject_error port1 %s\n", error);
	if (before < 0 || port_tells_errors(device) || monitor(line))
		return false;
	while (errors_of(device, counter) == before &&
	       pd_ms_since(begin) < BOUND_MS)
		pd_sleep_ms(5);
	return errors_of(device, counter) == before + 1;
}

/* The bus resets all that is below. */
TEST_F(bus, reports_a_fatal_error)
{
	__u64 mine = START(), theirs = OTHER();

	pd_sleep_ms(30);
	EXPECT_TRUE(error_happens(self->device, "aer_rootport_total_err_fatal",
				  "DLP"));
	EXPECT_UNHURT(mine, theirs);
}

TEST_F(bus, reports_an_error_that_is_not_fatal)
{
	__u64 mine = START(), theirs = OTHER();

	pd_sleep_ms(30);
	EXPECT_TRUE(error_happens(self->device,
				  "aer_rootport_total_err_nonfatal",
				  "COMP_TIME"));
	EXPECT_UNHURT(mine, theirs);
}

/* ... and somebody else resets it before it has recovered from that. */
TEST_F(bus, resets_it_in_a_recovery)
{
	__u64 mine, theirs;
	pid_t pid;
	int i;

	for (i = 0; i < 3; i++) {
		memset(self->dst.map, 0, self->len);
		memset(self->to.map, 0, self->len);
		mine = START();
		theirs = OTHER();
		pd_sleep_ms(30);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(!error_happens(self->device,
					     "aer_rootport_total_err_fatal",
					     "DLP"));
		pd_sleep_ms(10 + 15 * i);
		/* It may have the device's lock, or not. */
		pd_write_in(self->device, "reset", "1");
		EXPECT_EQ(0, pd_join(pid));
		EXPECT_UNHURT(mine, theirs);
	}
}

/* It goes to sleep with all of it, and wakes with its jobs. */
TEST_F(bus, suspends_it)
{
	__u64 mine, theirs;

	if (access("/sys/power/pm_test", F_OK))
		SKIP(return, "the kernel cannot be woken by itself");
	mine = START();
	theirs = OTHER();
	MUST(pd_write_in("/sys/module/suspend/parameters", "pm_test_delay",
			 "0"));
	MUST(pd_write_in("/sys/power", "pm_test", "devices"));
	EXPECT_EQ(0, pd_write_in("/sys/power", "state", "freeze"));
	MUST(pd_write_in("/sys/power", "pm_test", "none"));
	EXPECT_UNHURT(mine, theirs);
}

/* All of the machine does, until a key is let go that was pressed before. */
TEST_F(bus, sleeps_with_the_machine)
{
	__u64 mine, theirs, begin;

	if (access("/sys/devices/platform/i8042/serio0", F_OK))
		SKIP(return, "it has no keys to be woken by");
	MUST(pd_write_in("/sys/devices/platform/i8042/serio0", "power/wakeup",
			 "enabled"));
	/* Once more, should the first come before it sleeps. */
	MUST(monitor("sendkey shift 2000\nsendkey shift 2000\n"));
	mine = START();
	theirs = OTHER();
	begin = pd_now_ns();
	EXPECT_EQ(0, pd_write_in("/sys/power", "state", "freeze"));
	EXPECT_LT(1000, pd_ms_since(begin));
	EXPECT_UNHURT(mine, theirs);
}

/* All-ones prove nothing; a reset makes it answer. One of them pays. */
TEST_F(bus, loses_its_answers)
{
	__u64 mine = START(), theirs = OTHER();
	int first, second;

	pd_sleep_ms(30);
	MUST(pci_answers(self->device, false));
	first = pd_result(self->fd, mine);
	second = pd_result(self->other, theirs);
	EXPECT_EQ(-EIO, first + second);
	EXPECT_EQ(1, pd_grown(&self->env, PD_JOBS_FAILED));
	EXPECT_EQ(0, pd_count(&self->env, PD_QUARANTINED));
	if (!first)
		EXPECT_EQ(-1, pd_wrong(self->dst.map, self->len, 1));
	if (!second)
		EXPECT_EQ(-1, pd_wrong(self->to.map, self->len, 2));
}

/* It does not answer, and nothing can be done about it. */
#define BREAK_FOR_GOOD()                                                       \
	do {                                                                   \
		MUST(pd_write_in(self->device, "reset_method", "\n"));         \
		mine = START();                                                \
		theirs = OTHER();                                              \
		pd_sleep_ms(30);                                               \
		MUST(pci_answers(self->device, false));                        \
		EXPECT_EQ(-EIO, pd_result(self->fd, mine));                    \
		EXPECT_EQ(-EIO, pd_result(self->other, theirs));               \
		EXPECT_EQ(2, pd_grown(&self->env, PD_JOBS_FAILED));            \
		/* Of the one that was at work: both its buffers. */           \
		EXPECT_EQ(2 * (long long)self->src.len,                        \
			  pd_count(&self->env, PD_QUARANTINED));               \
		EXPECT_TRUE(file_says(QUARANTINE, self->env.info.out_device)); \
		EXPECT_EQ(-EIO, pd_open(&self->env));                          \
	} while (0)

/* Lost memory stays mapped: after the proof its owners go on as before. */
TEST_F(bus, loses_its_answers_for_good)
{
	int first, second;
	__u64 mine, theirs;

	BREAK_FOR_GOOD();
	MUST(pci_answers(self->device, true));
	MUST(pd_write_in(self->device, "reset_method", "default\n"));
	MUST(pd_write_in(self->env.sysfs, "reset", "1"));
	EXPECT_TRUE(pd_count_becomes(&self->env, PD_QUARANTINED, 0, 1000));
	EXPECT_FALSE(file_says(QUARANTINE, self->env.info.out_device));
	first = pd_result(self->fd, START());
	second = pd_result(self->other, OTHER());
	EXPECT_EQ(0, first + second);
}

#define LET_GO()                            \
	do {                                \
		pd_unmap(&self->src);       \
		pd_unmap(&self->dst);       \
		pd_unmap(&self->from);      \
		pd_unmap(&self->to);        \
		close(self->fd);            \
		close(self->other);         \
		self->fd = -1;              \
		self->other = -1;           \
		pd_sleep_ms(50);            \
	} while (0)

/* P1: the memory stays, though device and files are gone, until it is back. */
TEST_F(bus, leaves_it_to_the_next_driver)
{
	__u64 mine, theirs, begin;

	BREAK_FOR_GOOD();
	begin = pd_now_ns();
	MUST(pd_write_in(self->device, "driver/unbind",
			 self->env.info.out_device));
	EXPECT_GT(BOUND_MS, pd_ms_since(begin));
	LET_GO();
	EXPECT_TRUE(file_says(QUARANTINE, self->env.info.out_device));
	MUST(pd_write_in(self->device, "reset_method", "default\n"));
	MUST(pd_write_in("/sys/bus/pci/drivers/pindrop_edu", "bind",
			 self->env.info.out_device));
	EXPECT_FALSE(file_says(QUARANTINE, self->env.info.out_device));
	/* The quarantine had the node's number: once more, to have the first. */
	pd_sleep_ms(100);
	MUST(pd_write_in(self->device, "driver/unbind",
			 self->env.info.out_device));
	pd_sleep_ms(50);
	MUST(pd_write_in("/sys/bus/pci/drivers/pindrop_edu", "bind",
			 self->env.info.out_device));
	EXPECT_TRUE(becomes(self->env.path, true));
}

TEST_F(bus, removes_it)
{
	__u64 mine = START(), theirs = OTHER(), begin = pd_now_ns();
	struct pollfd p = { .fd = self->fd };

	pd_sleep_ms(30);
	MUST(pd_write_in(self->device, "remove", "1"));
	EXPECT_GT(BOUND_MS, pd_ms_since(begin));
	EXPECT_EQ(-ENODEV, pd_result(self->fd, mine));
	EXPECT_EQ(-ENODEV, pd_result(self->other, theirs));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLERR | POLLHUP, p.revents & (POLLERR | POLLHUP));
	EXPECT_TRUE(becomes(self->env.path, false));
	LET_GO();
	EXPECT_FALSE(file_says(QUARANTINE, self->env.info.out_device));
	MUST(pd_write_in("/sys/bus/pci", "rescan", "1"));
	EXPECT_TRUE(becomes(self->env.path, true));
}

/* The second card: the machine takes it out, and puts another one in. */
FIXTURE(card)
{
	struct pd_env env;
	int fd;
	struct pd_buf src, dst;
	const volatile struct pindrop_window *window;
};

#define SPARE "/dev/pindrop1"

/*
 * pciehp and AER's slot reset take the kernel's locks in opposite orders. lockdep reports
 * that, and then checks no other lock. Ports without pciehp have ACPI hotplug.
 */
static bool lockdep_would_stop(void)
{
	glob_t slots;
	bool has_pciehp;

	has_pciehp = !glob("/sys/bus/pci_express/drivers/pciehp/*:pcie*", 0,
			   NULL, &slots);
	globfree(&slots);
	return has_pciehp && !access("/proc/lockdep", F_OK);
}

FIXTURE_SETUP(card)
{
	PD_SETUP(&self->env);
	if (strcmp(self->env.info.out_engine, "edu"))
		SKIP(PD_LEAVE_SETUP, "the device is not on a bus");
	if (lockdep_would_stop())
		SKIP(PD_LEAVE_SETUP,
		     "lockdep would report pciehp and AER, and stop");
	setenv("PINDROP_DEV", SPARE, 1);
	PD_SETUP(&self->env);
	self->fd = pd_open(&self->env);
	ASSERT_LE(0, self->fd);
	MUST(pd_create(self->fd, 4 * self->env.page, &self->src));
	MUST(pd_create(self->fd, 4 * self->env.page, &self->dst));
	self->window = pd_window(self->fd);
	ASSERT_NE(NULL, self->window);
}

FIXTURE_TEARDOWN(card)
{
	PD_TEARDOWN(&self->env);
}

static sigjmp_buf after_fault;

static void on_fault(int sig)
{
	siglongjmp(after_fault, sig);
}

static int reading(const volatile unsigned char *byte)
{
	int sig;

	signal(SIGBUS, on_fault);
	sig = sigsetjmp(after_fault, 1);
	if (!sig)
		(void)*byte;
	signal(SIGBUS, SIG_DFL);
	return sig;
}

TEST_F(card, is_pulled_out)
{
	const char *card = getenv("PINDROP_CARD");
	struct pollfd p = { .fd = self->fd };
	char device[128], line[256];
	__u64 mine, begin;

	ASSERT_NE(NULL, card);
	snprintf(device, sizeof(device), "/sys/bus/pci/devices/%s",
		 self->env.info.out_device);
	mine = pd_start(self->fd, &self->src, &self->dst, self->src.len);
	ASSERT_EQ(1, mine);
	MUST(monitor("device_del card2\n"));
	EXPECT_TRUE(becomes(device, false));
	EXPECT_EQ(PINDROP_STATE_GONE, self->window->state);
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLERR | POLLHUP, p.revents & (POLLERR | POLLHUP));
	/* It takes a while until a card goes: the job may have been faster. */
	EXPECT_EQ(1, self->window->jobs_done + self->window->jobs_cancelled);
	EXPECT_EQ(SIGBUS, reading(self->dst.map));
	FAILS(ENODEV, pd_run(self->fd, &(struct pindrop_job_desc){}, 1));
	pd_unmap(&self->src);
	pd_unmap(&self->dst);
	munmap((void *)self->window, PINDROP_WINDOW_SIZE);
	close(self->fd);
	EXPECT_FALSE(file_says(QUARANTINE, self->env.info.out_device));
	snprintf(line, sizeof(line), "device_add %s,bus=port2,id=card2\n",
		 card);
	/* The slot is free a while after the kernel has let go of it. */
	begin = pd_now_ns();
	do {
		MUST(monitor(line));
		pd_sleep_ms(500);
	} while (access(SPARE, F_OK) && pd_ms_since(begin) < 2 * BOUND_MS);
	EXPECT_TRUE(becomes(SPARE, true));
}

TEST_HARNESS_MAIN
