# SPDX-License-Identifier: GPL-2.0-only
# What has a goal. "data" is written by cost.awk.
set terminal svg size 900,500 dynamic background '#ffffff' font 'sans,11'
set title 'Instructions for each 4 KiB page or job: less is better'
set logscale y
set yrange [0.1:*]
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border -1
set datafile missing '-'
set grid ytics
set xtics rotate by -40 noenhanced
set key outside top horizontal
set rmargin 8
plot data using 2:xtic(1) title 'pindrop' lc rgb '#2060a0', \
	'' using 3 title 'best peer' lc rgb '#c0c0c0', \
	'' using 4 title 'goal' lc rgb '#50a050'
