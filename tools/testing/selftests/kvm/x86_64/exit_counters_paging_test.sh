#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run exit_counters_paging_test once with nested paging and once with shadow
# paging, and compare the exits.  Reloads the vendor module to change the setting,
# and once more at the end so that all its parameters are what they were.

KSFT_SKIP=4

TEST=$(dirname "$0")/exit_counters_paging_test
SYSFS=/sys/module

skip()
{
	echo "SKIP: $*"
	exit $KSFT_SKIP
}

fail()
{
	echo "FAIL: $*"
	exit 1
}

# If already root, the host might not have sudo.
if [ "$(id -u)" = 0 ]; then
	as_root() { "$@"; }
else
	as_root() { sudo -n "$@"; }
fi

# name=value for each of the module's parameters.
params()
{
	(cd "$SYSFS/$MODULE/parameters" && as_root grep '' -- *) | sed 's/:/=/'
}

# What the module's parameters are to be again, of those that are not.
differing()
{
	now=$(params)
	echo "$saved" | while read -r param; do
		echo "$now" | grep -qxF -- "$param" || echo "$param"
	done
}

# Load the module as the system is configured to.  If that differs from what was
# found, set the paging parameter, and only then what still differs: parameters
# that follow from it need not accept what they show.
restore()
{
	trap '' INT TERM HUP
	rm -rf "$OUT"
	[ -n "$reloaded" ] || return 0

	args=
	for more in "$(echo "$saved" | grep "^$PARAM=")" rest none; do
		[ ! -d "$SYSFS/$MODULE" ] || as_root rmmod "$MODULE"
		# shellcheck disable=SC2086
		as_root modprobe "$MODULE" $args
		differ=$(differing)
		[ -n "$differ" ] || return 0
		[ "$more" != rest ] || more=$differ
		args="$args $more"
	done

	fail "could not restore these parameters of $MODULE:" "$differ"
}

# PID/NAME of whoever has a VM, or just /dev/kvm open.
holders()
{
	as_root ls -l /proc/[0-9]*/fd 2>/dev/null |
	awk -F / '/^\/proc\// { pid = $3 } / -> (\/dev\/kvm|anon_inode:kvm-vm)$/ { print pid }' |
	sort -u | while read -r pid; do
		printf ' %s/%s' "$pid" "$(cat "/proc/$pid/comm" 2>/dev/null)"
	done
}

if [ -d $SYSFS/kvm_intel ]; then
	MODULE=kvm_intel PARAM=ept
elif [ -d $SYSFS/kvm_amd ]; then
	MODULE=kvm_amd PARAM=npt
else
	skip "neither kvm_intel nor kvm_amd is loaded"
fi

[ -e $SYSFS/$MODULE/initstate ] ||
	skip "$MODULE is built in; boot with $MODULE.$PARAM=1 and =0 and run $TEST under each"
[ -e $SYSFS/kvm/parameters/exit_counters ] ||
	skip "this kernel has no exit counters"
[ "$(cat /proc/sys/kernel/modules_disabled 2>/dev/null)" != 1 ] ||
	skip "this system does not allow modules to be loaded (kernel.modules_disabled=1)"
as_root true 2>/dev/null ||
	skip "only root, or sudo without a password, may reload $MODULE"
[ "$(cat $SYSFS/$MODULE/refcnt)" = 0 ] ||
	skip "$MODULE is in use; end first what has VMs or /dev/kvm open:$(holders)"
as_root modprobe -D $MODULE > /dev/null 2>&1 ||
	skip "modprobe does not find $MODULE, which could not be loaded again"

saved=$(params)
reloaded=
OUT=$(mktemp -d) || exit 1

trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

for setting in 1 0; do
	reloaded=y
	as_root rmmod $MODULE || fail "could not unload $MODULE"
	as_root modprobe $MODULE $PARAM=$setting ||
		fail "could not load $MODULE with $PARAM=$setting"

	loaded=$(cat $SYSFS/$MODULE/parameters/$PARAM)
	case $setting$loaded in
	1Y | 0N)
		;;
	1N)
		skip "this CPU has no nested paging: $MODULE $PARAM=1 reads back as N"
		;;
	*)
		fail "$MODULE loaded with $PARAM=$setting has $PARAM=$loaded"
		;;
	esac

	echo "$MODULE $PARAM=$setting"
	"$TEST" > "$OUT/$setting"
	status=$?
	cat "$OUT/$setting"
	[ $status = 0 ] || exit $status
done

# Side by side.  What paging causes occurs under one setting only; what the guest
# asks for otherwise, it asks for equally often under both.
awk -F '\t' '
$1 != "split"	{ next }
		{ name[$4] = $5; n[$4, $3] = $6; rows[$3]++ }
END {
	if (!rows["tdp"] || !rows["shadow"]) {
		print "FAIL: no counts under both settings"
		exit 1
	}
	printf "%6s %-24s %10s %10s\n", "code", "name", "nested", "shadow"
	for (code in name) {
		tdp = n[code, "tdp"] + 0
		shadow = n[code, "shadow"] + 0
		printf "%6s %-24s %10d %10d\n", code, name[code], tdp, shadow
		if (name[code] ~ /^(EPT_VIOLATION|EPT_MISCONFIG|npf)$/)
			bad = !tdp || shadow
		else if (name[code] ~ /^(#PF|INVLPG|invlpg|CR_ACCESS|write_cr3)$/)
			bad = tdp || !shadow
		else if (name[code] ~ /^(IO_INSTRUCTION|io)$/)
			bad = tdp != shadow
		else
			bad = 0
		if (bad) {
			print "FAIL: " name[code] ": " tdp " nested, " shadow " shadow"
			failed = 1
		}
	}
	exit failed
}' "$OUT/1" "$OUT/0"
