# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# Sourced by the checks, each of which is about one concern and can be run by itself,
# "make check-NAME".  A test is a line of output, with what it printed if it failed.
# Sets, besides the functions below:
#   tmp      a folder to use, empty at first
#   builds   the build folders of the bases that are checked, BUILD alone unless all checks run
# and takes from lab/check/rules.mk: BASE BUILD SOURCE TREE READER DEBUG TIMEOUT STOCK_TIMEOUT
# DEBUG_TIMEOUT MACHINE HEADERS BOOTS IMAGES REPORT STOCK_KERNEL, and for one of them OTHER_DEBIAN OTHER_BASES PACKAGES
# OPERATIONS SEED STRESSED

: "${BASE:?}" "${BUILD:?}" "${SOURCE:?}" "${TREE:?}" "${HEADERS:?}" "${READER:?}" "${BOOTS:?}" "${IMAGES:?}" \
	"${REPORT:?}" "${DEBUG:?}" "${TIMEOUT:?}" "${MACHINE:?}"
concern=$(basename "$0")
tmp=$BUILD/check/$concern
# shellcheck disable=SC2034 # for who sources this
builds="$BUILD ${CHECK_ALL:+$(cat "$BUILD/check/others" 2> /dev/null)}"
passed=0 failed=0 skipped=0 names=
rm -rf "$tmp"
mkdir -p "$tmp"

pass()
{
	passed=$((passed + 1))
	echo "ok - $*"
}

# fail NAME [WHY]: WHY is for the list at the end, which may be all that somebody sees.
fail()
{
	failed=$((failed + 1))
	names="$names
not ok - $1${2:+: $2}"
	echo "not ok - $1"
	sed 's/^/    /' "$tmp/log" 2> /dev/null | tail -n 40
}

skip()
{
	skipped=$((skipped + 1))
	echo "skip - $*"
}

# What the last command printed first
first() { head -n 1 "$tmp/log" | cut -c 1-200; }

# silent NAME COMMAND...: the command must exit with 0 and print nothing.
silent()
{
	name=$1
	shift
	if "$@" > "$tmp/log" 2>&1 < /dev/null && [ ! -s "$tmp/log" ]; then
		pass "$name"
	else
		fail "$name" "$(first)"
	fi
}

# refuses NAME PATTERN COMMAND...: the command must exit with non-zero and say why.
refuses()
{
	name=$1 pattern=$2
	shift 2
	if ! "$@" > "$tmp/log" 2>&1 < /dev/null && grep -qE "$pattern" "$tmp/log"; then
		pass "$name"
	else
		echo "expected to fail, with a message like: $pattern" >> "$tmp/log"
		fail "$name" "$(first)"
	fi
}

# says NAME PATTERN: so did the output of the test before.
says()
{
	if grep -qE "$2" "$tmp/log"; then
		pass "$1"
	else
		fail "$1" "nothing like $2"
	fi
}

# stub NAME TEXT...: programs that stand in for the host's ones, and no others
stub()
{
	mkdir -p "$tmp/bin"
	rm -f "$tmp/bin"/*
	while [ $# -gt 0 ]; do
		printf '#!/bin/sh\n%s\n' "$2" > "$tmp/bin/$1"
		chmod +x "$tmp/bin/$1"
		shift 2
	done
}

with_stubs() { env PATH="$tmp/bin:$PATH" "$@"; }

# edited FOLDER PATCHES: gets those of the kernel's files that patches in a folder edit
edited()
{
	mkdir "$1"
	sed -n 's|^--- a/||p' "$2"/*.patch | sort -u | while read -r f; do
		# An earlier step may have added it.
		[ ! -e "$SOURCE/$f" ] || (cd "$SOURCE" && cp --parents "$f" "$1")
	done
}

# checkpatch OPTION... FILE: leaves its cache in $tmp
checkpatch()
{
	(cd "$tmp" && "$SOURCE/scripts/checkpatch.pl" --strict -q --root="$SOURCE" "$@")
}

# adopt BUILD: tests of that folder that another program has run, by its lines in
# $tmp/adopted, but for its list of failures at the end
adopt()
{
	prefix=
	[ "$1" = "$BUILD" ] || prefix="${1##*/}: "
	cp "$tmp/adopted" "$tmp/log"
	while read -r line; do
		case $line in
		"ok - "*) pass "$prefix${line#ok - }" ;;
		"not ok - "*) fail "$prefix${line#not ok - }" ;;
		failed:) break ;;
		esac
	done < "$tmp/adopted"
}

# count RUN [HOST]: what a machine has come to, by its verdict, and on which host
count()
{
	name=${2:+$2: }$(echo "$1" | sed 's|.*/\([^/]*\)/run\(-[^/]*\)*/|\1\2 |')
	IFS='	' read -r result p f s _ wrong _ < "$1/verdict" 2> /dev/null || { fail "$name has run"; return; }
	wrong=${wrong#-}
	[ "$result" = passed ] || names="$names
not ok - $name: ${wrong:+$wrong; }$(awk -F '\t' -v ORS="; " '
		$4 !~ /^(pass|skip)$/ && ++n <= 5 { print $1, $2, $3 ": " $4 ", " substr($5, 1, 200) }' "$1/cases.tsv")see $1/summary"
	echo "# $name: $p passed, $f failed, $s skipped"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# what_costs MACHINE BUILD [-KERNEL]: is what counting and timing cost there within its
# limits?  Both emulators' TSC counts instructions.
what_costs()
{
	awk -F '\t' -v isa="$1${3-}" -f lab/check/costs.awk \
		-v gcc="$(sed -n 's/^CONFIG_GCC_VERSION=\(.*\)[0-9]\{4\}$/\1/p' "$2/linux/obj/.config")" \
		lab/bench/limits.tsv "$2/run${3-}/$1/costs.tsv"
}

# The last line, and the same for lab/check/all: counts as fields, and what failed
summary()
{
	[ -z "$names" ] || printf 'failed:%s\n' "$names"
	echo "$passed passed, $failed failed, $skipped skipped"
	printf '%s\t%s\t%s%s\n' $passed $failed $skipped "$names" > "$BUILD/check/$concern.sum"
	[ $failed = 0 ]
}
