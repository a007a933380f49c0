# SPDX-License-Identifier: GPL-2.0-only
# Two bench.json, with rows.awk before this: what is not the same in both.

/"name"/ {
	key = member($0, "name") " " member($0, "param")
	if (member($0, "peer") != "-")
		key = key " (" member($0, "peer") ")"
	if (!(key in units))
		keys[++n] = key
	units[key] = member($0, "unit")
	if (FILENAME == ARGV[1])
		before[key] = member($0, "value")
	else
		after[key] = member($0, "value")
}

function show(key, word) {
	printf "%-48s %12s %12s %-10s %s\n", key, before[key], after[key], units[key], word
}

END {
	for (i = 1; i <= n; i++) {
		key = keys[i]
		if (!(key in before))
			show(key, "new")
		else if (!(key in after))
			show(key, "gone")
		else if (before[key] * 1.01 < after[key] || after[key] * 1.01 < before[key])
			show(key, before[key] + 0 ? sprintf("%+.1f %%", (after[key] / before[key] - 1) * 100) : "")
		else
			same++
	}
	print same + 0, "rows are the same to 1 %"
}
