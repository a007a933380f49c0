# SPDX-License-Identifier: GPL-2.0-only
# bench.json, with rows.awk before this, to what charts draws: how many there are, and what one more costs.

/"name"/ { add_member($0) }

END {
	for (i = 1; i <= rows; i++) {
		if (name[i] !~ /^grow_/ || peer[i] != "-")
			continue
		if (name[i] != last) {
			if (last)
				print "\n"
			printf "\"%s\"\n", substr(name[i], 6)
		}
		last = name[i]
		print param[i], value[i]
	}
}
