#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The command of userspace/, where it is installed: a file's bytes through the
# device, and what is left when it is killed half way.

# Functions are called by check.
# shellcheck disable=SC2317 source=tool_utils.sh
. "$(dirname "$0")/tool_utils.sh"
sysfs=/sys/class/pindrop/$(basename "${PINDROP_DEV:-$(echo /dev/pindrop* | cut -d' ' -f1)}")

piece=$(pindrop info --json | sed -n 's/.*"max_piece": *\([0-9]*\).*/\1/p')

same() { timeout 60 pindrop copy in out < /dev/null 2> err && cmp in out; }
quiet() {
	for counter in inflight pinned quarantined bytes; do
		value=$(cat "$sysfs/$counter")
		[ "$value" = 0 ] || { echo "# $counter is $value"; return 1; }
	done
}
# The first piece is on the device when a job is in flight.
killed() {
	# Twenty pieces take longer than it lives.
	dd if=/dev/zero of=long bs="$piece" count=20 2> /dev/null
	pindrop copy long half 2> /dev/null &
	pid=$!
	i=0
	while [ "$(cat "$sysfs/inflight")" = 0 ] && [ "$i" -lt 500 ]; do i=$((i + 1)); sleep 0.01; done
	sleep 0.5
	kill -KILL "$pid"
	wait "$pid" 2> /dev/null
	[ $? = 137 ] && quiet
}
# JSON is UTF-8: a name in UTF-8 stays as it is.
as_json() {
	link=$(printf 'ger\303\244t')
	ln -s "${PINDROP_DEV:-/dev/pindrop0}" "$link"
	pindrop info --json -d "$link" > out && grep -qF "\"node\": \"$link\"" out && return
	sed 's/^/# /' out
	return 1
}
refused() { ! pindrop copy no-such-file out 2> err && [ -s err ]; }

echo "TAP version 13"
echo 1..6
dd if=/dev/urandom of=in bs=40000 count=1 2> /dev/null
check copy_has_the_same_bytes same
check copy_leaves_nothing quiet
check copy_killed_half_way_leaves_nothing killed
check copy_of_nothing_says_so refused
check info_as_json sh -c 'pindrop info --json | grep -q "\"engine\""'
check info_as_json_has_names_in_utf8 as_json
exit "$bad"
