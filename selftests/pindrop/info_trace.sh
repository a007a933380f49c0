#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The formats of our tracepoints, as trace-cmd and perf read them: a name that only the kernel's source knows is a name
# that they print as a number.

# Functions are called by check.
# shellcheck disable=SC2317
number=0
bad=0
tracing=/sys/kernel/tracing
[ -d "$tracing/events" ] || tracing=/sys/kernel/debug/tracing
events=$tracing/events/pindrop
[ -r "$events/enable" ] || { echo "1..0 # SKIP no events of ours in tracefs, or no right to read them"; exit 4; }

# check NAME COMMAND...
check() {
	name=$1
	shift
	number=$((number + 1))
	if "$@"; then echo "ok $number $name"; else echo "not ok $number $name"; bad=1; fi
}

# What the expressions of a format hold besides texts, fields and numbers: names, one a line.
names() {
	sed -nE 's/^print fmt: //p' "$1" |
		sed -E 's/"([^"\\]|\\.)*"//g; s/REC->[A-Za-z0-9_]+//g; s/\b0[xX][0-9a-fA-F]+|\b[0-9]+[uUlL]*\b//g' |
		grep -oE '[A-Za-z_][A-Za-z0-9_]*' |
		grep -vE '^(__(print|get)_[a-z_]+|unsigned|signed|long|int|short|char|void|[us](8|16|32|64))$'
}

texts_only() {
	found=0 unresolved=0
	for format in "$events"/*/format; do
		found=$((found + 1))
		for word in $(names "$format"); do
			echo "# ${format#"$events"/}: $word is no number"
			unresolved=$((unresolved + 1))
		done
	done
	# Nothing was looked at where there are no events.
	[ "$found" -ge 20 ] && [ "$unresolved" = 0 ]
}

# shows EVENT NUMBER TEXT: a tool that reads this number prints this text.
shows() {
	grep -qE "^print fmt: .*\{ *$2, *\"$3\" *\}" "$events/$1/format" && return
	echo "# $1: $2 is not $3: $(grep '^print fmt' "$events/$1/format")"
	return 1
}

echo "TAP version 13"
echo 1..4
check formats_hold_numbers_and_texts_only texts_only
check reason_of_a_dead_owner_has_its_text shows pindrop_ctx_kill 2 OWNER
check result_of_a_proof_has_its_text shows pindrop_kill_step 1 proof
check kind_of_a_piece_has_its_text shows pindrop_piece_issue 2 dev_to_mem
exit "$bad"
