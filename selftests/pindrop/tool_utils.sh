# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the tests of the command: an empty directory to work in, and TAP.
# shellcheck shell=sh disable=SC2034

command -v pindrop > /dev/null || { echo "1..0 # SKIP no pindrop command"; exit 4; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0
bad=0

# check NAME COMMAND...: skipped if the command ends with 4.
check() {
	name=$1
	shift
	number=$((number + 1))
	"$@"
	case $? in
	0) echo "ok $number $name" ;;
	4) echo "ok $number $name # SKIP not there, see above" ;;
	*) echo "not ok $number $name"; bad=1 ;;
	esac
}
