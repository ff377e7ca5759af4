# SPDX-License-Identifier: GPL-2.0-only
#
# Draws two panels of horizontal bars, e.g. exits by reason, and what they cost.  Set with -e:
#   rows    file of position, name, and what both panels show, nested, then shadow paging
#   nr      how many rows
#   left, right, left_low, right_low   what the panels show, and where their axes begin
#   heading, and file.svg and file.png to write
do for [kind in "svg png"] {
	if (kind eq "svg") {
		set terminal svg size 1000,(nr * 34 + 140) font 'sans,13' background 'white'
	} else {
		set terminal pngcairo size 1000,(nr * 34 + 140) font 'sans,11'
	}
	set output file.'.'.kind
	set multiplot title heading noenhanced
	set datafile separator "\t"
	set border 3
	set tics nomirror out
	set logscale x
	set format x "10^{%L}"
	set yrange [-0.6:nr - 0.4]
	set grid x
	set key at screen 0.98, screen 0.985 right top horizontal
	set tmargin at screen 1 - 60.0 / (nr * 34 + 140)
	set bmargin at screen 75.0 / (nr * 34 + 140)
	bar(x) = x > low ? x : NaN
	count(x) = x >= 10 ? sprintf(" %.0f", x) : x > 0 ? sprintf(" %.2g", x) : " 0"

	# What is below the axis has its label where that begins
	do for [panel = 0:1] {
		set lmargin at screen 0.21 + 0.38 * panel
		set rmargin at screen 0.55 + 0.38 * panel
		low = panel ? right_low : left_low
		set xrange [low:]
		set autoscale xmax
		set offsets graph 0, graph 0.25, 0, 0
		set xlabel panel ? right : left
		unset ytics
		plot rows using (low):1:(low):(bar(column(3 + panel))):($1):($1 + 0.4) \
				with boxxyerror fill solid 0.75 border lc "black" lc "black" \
				title panel ? "" : "nested paging", \
			'' using (low):1:(low):(bar(column(5 + panel))):($1 - 0.4):($1) \
				with boxxyerror fill pattern 6 border lc "black" lc "black" \
				title panel ? "" : "shadow paging", \
			'' using (low):1:(panel ? "" : strcol(2)) \
				with labels right offset -1, 0 noenhanced notitle, \
			'' using (column(3 + panel) > low ? column(3 + panel) : low):($1 + 0.2):(count(column(3 + panel))) \
				with labels left font ",9" notitle, \
			'' using (column(5 + panel) > low ? column(5 + panel) : low):($1 - 0.2):(count(column(5 + panel))) \
				with labels left font ",9" notitle
		unset key
	}
	unset multiplot
	unset output
	reset
}
