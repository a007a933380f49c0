#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The command's demonstration, where it is installed: a killed process, told by the kernel's own trace.

# Functions are called by check.
# shellcheck disable=SC2317 source=tool_utils.sh
. "$(dirname "$0")/tool_utils.sh"

shows() { grep -qE "$1" out || { echo "# no line like: $1"; return 1; }; }
in_order() {
	at=0
	for row; do
		next=$(grep -nE "$row" out | cut -d: -f1 | awk -v at="$at" '$1 > at { print; exit }')
		[ "$next" ] || { echo "# not after line $at: $row"; return 1; }
		at=$next
	done
}

echo "TAP version 13"
echo 1..5
pindrop demo > out 2> err
status=$?
# All of it is worth reading when a check fails.
sed 's/^/# /' out err
check demo_succeeds [ "$status" = 0 ]
check demo_says_quiet_before_free shows '^verdict: quiet before free: yes$'
check demo_shows_counters_of_zero shows 'inflight 0.*pinned 0.*quarantined 0'
check demo_tells_it_in_order in_order \
	'SIGKILL is sent' 'signal 9 is delivered' 'do_exit' 'exit_mmap' 'release begins' 'K1: jobs cancelled' \
	'is read idle' 'lets its memory go' 'goes back to the allocator' 'farewell ends .*all settled' \
	'waitpid\(\) has returned'
# The address space does not wait for the hardware.
check demo_unmaps_meanwhile in_order \
	'release begins' 'unmap_vmas' 'free_pgtables' 'farewell ends' 'waitpid\(\) has returned'
exit "$bad"
