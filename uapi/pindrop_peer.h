/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/pindrop_peer, a driver for tests alone: see driver/peer.c. Between the
 * two of them, and for nobody else, so it may change at any time.
 */
#ifndef PINDROP_PEER_H
#define PINDROP_PEER_H

#include <linux/ioctl.h>

/**
 * enum peer_call - what ioctl() knows, as PEER_IO(call)
 * @PEER_CREATE: argument: pages, and enum peer_flags from bit 16 on; a descriptor
 * @PEER_REVOKE: take it back from all who have it
 * @PEER_COUNT: argument: enum peer_count
 * @PEER_LOCK: have the reservation's lock for so many milliseconds
 * @PEER_FILL: the pattern, everywhere
 * @PEER_CHECK: first page without it, from 1; 0: all have it
 * @PEER_BORROW: argument: a descriptor. Map it for a device and for the CPU until
 *	the file is closed
 * @PEER_LOOK: argument: a place; the byte there in what is borrowed
 * @PEER_WRITE: argument: a place, times 256, and a byte that the device writes there
 * @PEER_READ: argument: a place; the byte that the device reads there
 */
enum peer_call {
	PEER_CREATE,
	PEER_REVOKE,
	PEER_COUNT,
	PEER_LOCK,
	PEER_FILL,
	PEER_CHECK,
	PEER_BORROW,
	PEER_LOOK,
	PEER_WRITE,
	PEER_READ,
};

#define PEER_IO(call) _IO(0xBE, (call))

/* What is in each byte after PEER_FILL, and when it was taken back. */
#define PEER_PATTERN 0x5a
#define PEER_SLOW_MS 20

/**
 * enum peer_flags - what it is like
 * @PEER_DYNAMIC: it has to be pinned to stay where it is
 * @PEER_READ_ONLY: is not to be written
 * @PEER_NO_ATTACH: refuses devices
 * @PEER_NO_PIN: ... or to be pinned
 * @PEER_NO_MAP: ... or to be mapped
 * @PEER_SHORT: maps a page less than there is
 * @PEER_ODD: maps it from the second byte on
 * @PEER_RANGE: is one range of memory, and one segment; a power of two of pages
 * @PEER_SLOW: takes PEER_SLOW_MS to have it back
 */
enum peer_flags {
	PEER_DYNAMIC = 1 << 0,
	PEER_READ_ONLY = 1 << 1,
	PEER_NO_ATTACH = 1 << 2,
	PEER_NO_PIN = 1 << 3,
	PEER_NO_MAP = 1 << 4,
	PEER_SHORT = 1 << 5,
	PEER_ODD = 1 << 6,
	PEER_RANGE = 1 << 7,
	PEER_SLOW = 1 << 8,
};

/**
 * enum peer_count - who has it
 * @PEER_ATTACHED: devices
 * @PEER_PINNED: ... and where it is
 * @PEER_MAPPED: ... and by addresses of theirs
 * @PEER_UNMAPPED: how often it was given back so far
 * @PEER_NR_COUNTS: that many
 */
enum peer_count {
	PEER_ATTACHED,
	PEER_PINNED,
	PEER_MAPPED,
	PEER_UNMAPPED,
	PEER_NR_COUNTS,
};

#endif
