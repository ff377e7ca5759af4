# SPDX-License-Identifier: GPL-2.0-only
#
# Draws clusters of exits, a bar per configuration that adds anything.  Set with -e:
#   rows    file of title, and what each configuration adds
#   unit, and picture, the SVG to write
set terminal svg size 1200,520 font "sans,12" background "white"
set output picture
set title "What counting VM-Exits adds to each, in ".unit."; below, what the exit takes without"
set datafile separator "\t"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 border lc "black"
set border 3
set tics nomirror out
set xtics font ",9"
set bmargin 5
set rmargin 2
set logscale y
set yrange [0.8:20000]
set ylabel unit." added per exit"
set grid y
set key top left horizontal maxrows 2 width 1
added(x) = x > 0 ? x : 0.8
plot rows using (added($2)):xtic(1) title "counted (patches, default)" lc rgb "#1b7837", \
	'' using (added($3)) title "timed (patches)" lc rgb "#7fbf7b", \
	'' using (added($4)) title "BPF on kvm\\_exit" lc rgb "#fee08b", \
	'' using (added($5)) title "hist trigger" lc rgb "#fdae61", \
	'' using (added($6)) title "tracepoints" lc rgb "#f46d43", \
	'' using (added($7)) title "perf kvm stat" lc rgb "#a50026", \
	for [n=2:7] '' using ($0 - 0.5 + (n - 1) / 7.0):(added(column(n))):(sprintf("%.0f", column(n))) \
		with labels offset 0, 0.5 font ",7" notitle
