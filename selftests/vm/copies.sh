# SPDX-License-Identifier: GPL-2.0-only
# Sourced after common.sh and machines.sh by what runs many lanes at a time.
# shellcheck shell=bash disable=SC2034,SC2154

# A tree runs one thing at a time, and a lane has times with one busy processor.
workers=2

# take_turns N DIR COUNT FUNCTION: call FUNCTION I for each I below COUNT that nobody has taken yet,
# with "copy", a copy of the tree of its own.
take_turns() {
	local dir=$2 count=$3 function=$4 i built
	copy=$dir/tree$1
	mkdir -p "$copy"
	find "$copy" -mindepth 1 -maxdepth 1 ! -name build -exec rm -r {} +
	# With its times: what is built of it need not be built again.
	find "$top" -mindepth 1 -maxdepth 1 ! -name build ! -name .git -exec cp -a -t "$copy" {} +
	mkdir -p "$copy/build"
	rm -rf "$copy"/build/{ksft,user,pfnmap}*
	# pfnmap is built only for lanes that run it.
	for built in "$build"/{ksft,user,pfnmap}*; do
		[ ! -e "$built" ] || cp -a "$built" "$copy/build/"
	done
	for ((i = 0; i < count; i++)); do
		# Whoever makes it has it.
		! mkdir "$dir/$i" 2> /dev/null || "$function" "$i"
	done
}

# share_out DIR COUNT FUNCTION: call FUNCTION I for all I below COUNT, a few at a time; what it says of I goes to DIR/I/.
# Called with the tree's lock held, and all packages there.
share_out() {
	local n
	rm -rf "$1"/[0-9]*
	mkdir -p "$1"
	# What all of them have in common.
	"$vm/ksft" "$1/tests" > /dev/null
	build_user
	trap 'kill $(jobs -p) 2> /dev/null; exit 130' INT TERM
	for ((n = 0; n < workers; n++)); do take_turns $n "$@" & done
	wait
}
