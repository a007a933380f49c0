#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The modules can be unloaded as soon as waitpid() has told of the death of the last process that used the device.

# Functions are called by check.
# shellcheck disable=SC2317 source=tool_utils.sh
. "$(dirname "$0")/tool_utils.sh"
rounds=${PINDROP_UNLOADS:-20}
# shellcheck source=/dev/null
. /etc/guest.conf 2> /dev/null
module=pindrop_${engine:-none}
if [ ! -e "/lib/modules/$module.ko" ] || [ ! -e "${PINDROP_DEV:-}" ]; then
	echo "1..0 # SKIP not in a guest that has the modules"
	exit 4
fi
# An engine that others need, or that the machine cannot be without, is not unloaded here.
[ "$engine" != dmaengine ] || { echo "1..0 # SKIP the engine is dmaengine"; exit 4; }

load() {
	insmod /lib/modules/pindrop.ko || return
	# shellcheck disable=SC2086
	insmod "/lib/modules/$module.ko" ${engine_args:-} || return
	tries=100
	while [ ! -e "$PINDROP_DEV" ] && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
	[ -e "$PINDROP_DEV" ]
}

# A process that copies is killed; both modules go at once.
die_and_unload() {
	dd if=/dev/zero of=long bs=1M count=64 2> /dev/null
	left=$rounds
	while [ "$left" -gt 0 ]; do
		pindrop copy long half 2> /dev/null &
		tries=500
		while [ "$(cat "/sys/class/pindrop/${PINDROP_DEV#/dev/}/inflight")" = 0 ] && [ $((tries -= 1)) -gt 0 ]; do
			sleep 0.01
		done
		kill -KILL $!
		wait $! 2> /dev/null
		rmmod "$module" || break
		rmmod pindrop || break
		load || return
		left=$((left - 1))
	done
	[ "$left" = 0 ] && return
	echo "# round $((rounds - left + 1)) of $rounds: $(grep pindrop /proc/modules | tr '\n' ';')"
	grep -q '^pindrop ' /proc/modules || load
	return 1
}

echo "1..1"
check modules_unload_right_after_a_death die_and_unload
exit $bad
