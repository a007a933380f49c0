# SPDX-License-Identifier: GPL-2.0-only
# The cost of one, by the number of the others. "data" is written by growth.awk.
set terminal svg size 900,500 dynamic background '#ffffff' font 'sans,11'
set title 'What one more costs where there are many'
set logscale xy
set xlabel 'how many there are'
set grid
set key outside right
stats data using 1:2 nooutput
plot for [i = 0:STATS_blocks - 1] data index i using 1:2 with linespoints title columnheader(1)
