# SPDX-License-Identifier: GPL-2.0-only
# bench.json, with rows.awk before this, as a table: a line for each name and parameter.

/"name"/ { add_member($0) }

function figure(v) { return sprintf(v >= 1e6 ? "%.4g" : v >= 1000 ? "%.0f" : "%.1f", v) }

function peers(i,   j, text) {
	for (j = 1; j <= rows; j++)
		if (name[j] == name[i] && param[j] == param[i] && peer[j] != "-")
			text = text "  " peer[j] " " figure(value[j]) (ratio[j] == "-" ? "" : sprintf(" (%.2f)", ratio[j]))
	return text
}

END {
	printf "%-26s %-14s %9s %-10s %9s %5s  %s\n", "", "", "pindrop", "unit", "goal", "ratio", "peers: theirs (ours to that)"
	for (i = 1; i <= rows; i++) {
		if (done[name[i], param[i]]++)
			continue
		ours = at[name[i], "-", param[i]]
		aim = ours && goal[ours] != "-" ? sprintf("%9s %5.2f", figure(goal[ours] + 0), ratio[ours]) : sprintf("%15s", "")
		printf "%-26s %-14s %9s %-10s %s%s\n", name[i], param[i], ours ? figure(value[ours]) : "", unit[i], aim, peers(i)
	}
}
