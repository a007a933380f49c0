#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Memory shared with graphics cards, by libdrm, and fences: what the example share of
# userspace/ does, with each driver that may be there, and what is left then.

# Functions are called by check.
# shellcheck disable=SC2317 source=tool_utils.sh
. "$(dirname "$0")/tool_utils.sh"
command -v share > /dev/null || { echo "1..0 # SKIP no share command"; exit 4; }
sysfs=/sys/class/pindrop/$(basename "${PINDROP_DEV:-$(echo /dev/pindrop* | cut -d' ' -f1)}")
cards="vgem virtio_gpu bochs-drm vkms"

# What a guest has them in; on a machine they are loaded.
for module in /lib/modules/drm/*.ko; do
	# A console on such a screen is still painting when the guest is shut down, which 6.1 warns of.
	option=
	case $module in *-drm_kms_helper.ko) option=fbdev_emulation=0 ;; esac
	[ ! -e "$module" ] || insmod "$module" $option || echo "# cannot load $module"
done

share_with() {
	timeout 60 share "$@" > said 2>&1
	status=$?
	sed 's/^/# /' said
	return "$status"
}
quiet() {
	for counter in buffers bytes inflight quarantined; do
		tries=20
		while value=$(cat "$sysfs/$counter") && [ "$value" != 0 ] && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
		[ "$value" = 0 ] || { echo "# $counter is $value"; return 1; }
	done
}

echo "TAP version 13"
echo 1..10
for card in $cards; do
	check "import_from_${card%-drm}" share_with import "$card"
	check "export_into_${card%-drm}" share_with export "$card"
done
check fences_through_virtio_gpu share_with fence virtio_gpu
check leaves_nothing quiet
exit "$bad"
