# SPDX-License-Identifier: GPL-2.0-only
# bench.json, with rows.awk before this, to what charts draws: what has a goal; ours, the best peer's, the goal.

/"name"/ { add_member($0) }

function best_peer(i,   j, best) {
	best = "-"
	for (j = 1; j <= rows; j++)
		if (peer[j] != "-" && name[j] == name[i] && param[j] == param[i] && (best == "-" || value[j] < best))
			best = value[j]
	return best
}

function label(i,   text) {
	text = name[i] (name[i] ~ /_(4k|thp)|^nop/ ? "" : " " param[i])
	sub(/256M /, "", text)
	return text
}

END {
	for (i = 1; i <= rows; i++) {
		# The chart is of costs a page or a job.
		if (goal[i] == "-" || unit[i] !~ /\// && name[i] !~ /^death_/)
			continue
		best = best_peer(i)
		# A death is of so many pages.
		pages = unit[i] ~ /\// ? 1 : 131072
		printf "\"%s\"\t%g\t%s\t%g\n", label(i), value[i] / pages, best == "-" ? "-" : best / pages, goal[i] / pages
	}
}
