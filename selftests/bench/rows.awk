# SPDX-License-Identifier: GPL-2.0-only
# What "report" and "compare" know of rows. They are held by their number: name[], peer[], param[], value[], unit[]; at[]
# finds that of a name, peer and parameter.

function add(n, p, q, v, u) {
	rows++
	name[rows] = n
	peer[rows] = p
	param[rows] = q
	value[rows] = v + 0
	unit[rows] = u
	at[n, p, q] = rows
}

# A member of an object in JSON, as "report" writes it.
function member(line, key,   found) {
	if (!match(line, "\"" key "\": (\"[^\"]*\"|[^,}]*)"))
		return ""
	found = substr(line, RSTART + length(key) + 4, RLENGTH - length(key) - 4)
	gsub(/"/, "", found)
	return found == "null" ? "-" : found
}

# In bench.json every row has a line.
function add_member(line) {
	add(member(line, "name"), member(line, "peer"), member(line, "param"), member(line, "value"), member(line, "unit"))
	goal[rows] = member(line, "goal")
	ratio[rows] = member(line, "ratio")
}
