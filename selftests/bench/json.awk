# SPDX-License-Identifier: GPL-2.0-only
# Rows of pindrop-bench, with rows.awk before this, to JSON. "goals" is the file of goals, or empty. A peer's ratio is
# ours to its; ours is to the goal.

$1 == "row" {
	add($2, $3, $4, $5, $6)
	last[$2] = $5
}

function read_goals(   line, word) {
	while (goals && (getline line < goals) > 0)
		if (line !~ /^#/ && split(line, word, " ") > 2)
			wanted[word[1], word[3] (word[4] ? " " word[4] : "")] = word[2]
}

function goal_of(i,   text, part) {
	if (peer[i] != "-" || !((name[i], param[i]) in wanted))
		return ""
	text = wanted[name[i], param[i]]
	if (split(text, part, "+") == 2)
		return part[1] in last ? last[part[1]] + part[2] : ""
	if (split(text, part, "*") == 2)
		return (name[i], part[2], param[i]) in at ? part[1] * value[at[name[i], part[2], param[i]]] : ""
	return text
}

function ratio_of(i, aim) {
	if (aim + 0)
		return value[i] / aim
	if (peer[i] == "-" || !value[i] || !((name[i], "-", param[i]) in at))
		return ""
	return value[at[name[i], "-", param[i]]] / value[i]
}

function quoted(text) { return text == "-" ? "null" : "\"" text "\"" }

function figure(text) { return text == "" ? "null" : sprintf("%.6g", text) }

END {
	read_goals()
	print "["
	for (i = 1; i <= rows; i++) {
		aim = goal_of(i)
		printf "  {\"name\": %s, \"peer\": %s, \"param\": %s, \"value\": %s, ",
			quoted(name[i]), quoted(peer[i]), quoted(param[i]), figure(value[i])
		printf "\"unit\": %s, \"goal\": %s, \"ratio\": %s}%s\n",
			quoted(unit[i]), figure(aim), figure(ratio_of(i, aim)), i < rows ? "," : ""
	}
	print "]"
}
