#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run exit_counters_paging_test once with nested paging and once with shadow
# paging, and compare the exits.  Reloads the vendor module to change the setting,
# and at the end, however it ends, so that all its parameters are what they were.

KSFT_SKIP=4
TEST=$(dirname "$0")/exit_counters_paging_test
SYSFS=/sys/module

skip() { echo "SKIP: $*"; exit $KSFT_SKIP; }
fail() { echo "FAIL: $*"; exit 1; }

# If already root, the host might not have sudo.
if [ "$(id -u)" = 0 ]; then
	as_root() { "$@"; }
else
	as_root() { sudo -n "$@"; }
fi

# name=value for each of the module's parameters.
params()
{
	(cd "$SYSFS/$MODULE/parameters" 2>/dev/null && as_root grep '' -- *) | sed 's/:/=/'
}

# What the module's parameters are to be again, of those that are not.
differing()
{
	now=$(params)
	echo "$saved" | while read -r param; do
		echo "$now" | grep -qxF -- "$param" || echo "$param"
	done
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

# Give who just looks what KVM can do two seconds to let go, then say who does not.
unload()
{
	[ -d "$SYSFS/$MODULE" ] || return 0
	for pause in 0.1 0.1 0.3 0.5 0.5 0.5 0; do
		why=$(as_root rmmod "$MODULE" 2>&1) && return 0
		sleep $pause
	done
	why="$MODULE does not unload ($why); end first what has VMs or /dev/kvm open:$(holders)"
	return 1
}

# Load the module as the system is configured to.  If that differs from what was
# found, set the paging parameter, and only then what still differs: parameters
# that follow from it need not accept what they show.
restore()
{
	args='' differ=$(differing)
	for more in "$(echo "$saved" | grep "^$PARAM=")" rest none; do
		[ -n "$differ" ] || return 0
		unload || fail "could not restore these parameters of $MODULE:" "$differ" "$why"
		# shellcheck disable=SC2086
		as_root modprobe "$MODULE" $args
		differ=$(differing)
		[ "$more" != rest ] || more=$differ
		args="$args $more"
	done
	[ -n "$differ" ] || return 0

	# Better with other parameters than not at all.
	[ -d "$SYSFS/$MODULE" ] || as_root modprobe "$MODULE"
	fail "could not restore these parameters of $MODULE:" "$(differing)"
}

# However this ends: who kills it need not have killed the test, which uses the module.
clean_up()
{
	trap '' INT TERM HUP
	[ -z "$test" ] || { kill "$test"; wait "$test"; cat "$OUT/$setting"; } 2>/dev/null
	rm -rf "$OUT"
	restore
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
[ "$(cat /proc/sys/kernel/modules_disabled 2>/dev/null)" != 1 ] ||
	skip "this system does not allow modules to be loaded (kernel.modules_disabled=1)"
as_root true 2>/dev/null ||
	skip "only root, or sudo without a password, may reload $MODULE"
as_root modprobe -D $MODULE > /dev/null 2>&1 ||
	skip "modprobe does not find $MODULE, which could not be loaded again"

saved=$(params)
test=''
OUT=$(mktemp -d) || exit 1

trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

for setting in 1 0; do
	unload || {
		# If nobody holds it after a test, that has leaked a reference.
		[ $setting = 1 ] || [ -n "$(holders)" ] || fail "$why"
		skip "$why"
	}
	as_root modprobe $MODULE $PARAM=$setting ||
		fail "could not load $MODULE with $PARAM=$setting"

	case $setting$(cat $SYSFS/$MODULE/parameters/$PARAM) in
	1Y | 0N) ;;
	1N) skip "this CPU has no nested paging: $MODULE $PARAM=1 reads back as N" ;;
	*) fail "$MODULE loaded with $PARAM=$setting reads back as something else" ;;
	esac

	echo "$MODULE $PARAM=$setting"
	# A shell that waits hears signals at once.
	"$TEST" > "$OUT/$setting" &
	test=$!
	wait $test
	status=$?
	test=''
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
		bad = 0
		if (name[code] ~ /^(EPT_VIOLATION|EPT_MISCONFIG|npf)$/)
			bad = !tdp || shadow
		else if (name[code] ~ /^(#PF|INVLPG|invlpg|CR_ACCESS|write_cr3)$/)
			bad = tdp || !shadow
		else if (name[code] ~ /^(IO_INSTRUCTION|io)$/)
			bad = tdp != shadow
		if (bad) {
			print "FAIL: " name[code] ": " tdp " nested, " shadow " shadow"
			failed = 1
		}
	}
	exit failed
}' "$OUT/1" "$OUT/0"
