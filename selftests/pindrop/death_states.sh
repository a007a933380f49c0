#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The KUnit tests of the driver's state machines, where the kernel has KUnit and the module with them is at hand.

modules=/lib/modules
results=/sys/kernel/debug/kunit/pindrop_state/results
[ -e $modules/pindrop_kunit.ko ] || { echo "1..0 # SKIP the kernel has no KUnit"; exit 4; }
for module in "$modules"/kunit/*.ko "$modules"/pindrop_kunit.ko; do
	insmod "$module" || { echo "# cannot load $module"; exit 1; }
done
sed -nE 's/^ +(ok|not ok) ([0-9]+) +(- )?/\1 \2 states./p; s/^ +(1\.\.[0-9]+)$/\1/p; s/^ +# /# /p' $results > /tmp/states
rmmod pindrop_kunit
cat /tmp/states
grep -q '^ok' /tmp/states && ! grep -q '^not ok' /tmp/states
