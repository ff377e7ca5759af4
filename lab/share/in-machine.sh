# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sourced by what runs in a machine, and may run on a host as well: loads KVM with one
# setting or the other.  In a machine it is all ours; on a host, borrow refuses where it is
# not, and at the end restores what it found.
#
#   me           set before: the name of who sources this, for messages
#   module, param, isa   the vendor's module, its parameter that switches nested
#                        paging, and what tables call that vendor
#   lab TEXT     a line for who reads the results, which file descriptor 3 is

sysfs=/sys/module
# shellcheck disable=SC2034 # for who sources this
tracing=/sys/kernel/tracing debugfs=/sys/kernel/debug

# shellcheck disable=SC2154 # set by who sources this
die()
{
	echo "$me: $*" >&2
	exit 1
}

lab() { echo "lab: $*" >&3; echo "lab: $*"; }

if [ -n "${LAB_MACHINE-}" ]; then
	if grep -qw vmx /proc/cpuinfo; then
		modprobe kvm_intel
	else
		modprobe kvm_amd
	fi || die "the machine's KVM does not load"
fi
[ -e $sysfs/kvm ] ||
	die "KVM is not loaded; load kvm_intel or kvm_amd"
[ -n "${LAB_MACHINE-}" ] || [ -e $sysfs/kvm/parameters/exit_counters ] ||
	die "this kernel has no exit counters; boot one that has (make tree writes its source, README.md has the steps)"
# shellcheck disable=SC2034 # for who sources this
if [ -d $sysfs/kvm_intel ]; then
	module=kvm_intel param=ept isa=vmx
elif [ -d $sysfs/kvm_amd ]; then
	module=kvm_amd param=npt isa=svm
else
	die "neither kvm_intel nor kvm_amd is loaded; load one, if this machine has VMX or SVM"
fi

# load NAME=VALUE...: the vendor's module, with these parameters
load()
{
	[ ! -d $sysfs/$module ] || rmmod $module || return
	modprobe $module "$@"
}

unload() { rmmod $module && rmmod kvm; }

# reads_back VALUE: has the module been loaded with nested paging on (1) or off (0)?
reads_back()
{
	case $1$(cat $sysfs/$module/parameters/$param) in
	1Y | 0N) ;;
	*) return 1 ;;
	esac
}

params() { (cd "$sysfs/$module/parameters" && grep '' -- *); }

# Who has VMs, or just /dev/kvm open
holders()
{
	# shellcheck disable=SC2012 # the target of a link, also with busybox
	ls -l /proc/[0-9]*/fd 2>/dev/null | awk '
	/^\/proc\// { split($0, path, "/"); pid = path[3] }
	/ -> anon_inode:kvm-vm$/ { what[pid] = "has a VM" }
	/ -> \/dev\/kvm$/ && !(pid in what) { what[pid] = "has /dev/kvm open" }
	END { for (pid in what) print pid, what[pid] }' | while read -r pid what; do
		printf '%s (process %s) %s, ' "$(cat "/proc/$pid/comm" 2>/dev/null)" "$pid" "$what"
	done
}

# What the module's parameters are to be again, of those that are not
differing()
{
	params >"$tmp/params" 2>/dev/null
	echo "$saved" | grep -vxFf "$tmp/params" | sed 's/:/=/'
}

# The module as the system loads it; if that differs from what was found, with the
# paging parameter, and only then with what still differs: parameters that follow from
# it need not accept what they show.
restore()
{
	trap '' HUP INT QUIT PIPE TERM
	undo
	echo "$saved_mask" >$sysfs/kvm/parameters/exit_counters
	set --
	for more in "$(echo "$saved" | sed -n "s/^$param:/$param=/p")" rest none; do
		load "$@" 2>"$tmp/modprobe" || :
		differ=$(differing)
		[ -n "$differ" ] || break
		[ "$more" != rest ] || more=$differ
		# shellcheck disable=SC2086 # words
		set -- "$@" $more
	done
	[ -z "$differ" ] || {
		if [ -d $sysfs/$module ]; then
			echo "$me: $module is loaded again, but these parameters were otherwise:"
			echo "$differ"
		else
			echo "$me: $module is NOT loaded:"
			cat "$tmp/modprobe"
		fi
	} >&2
	rm -rf "$tmp"
	[ -z "$differ" ] || exit 1
}

# can_borrow ARGUMENT...: refuse where modules cannot be reloaded, or as another user do
# all again as root, with these arguments
can_borrow()
{
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "only root may reload $module; run this as root"
		exec sudo "$0" "$@"
	fi
	[ -e $sysfs/$module/initstate ] ||
		die "$module is built into this kernel; $param can only be changed where it is a module"
	[ "$(cat /proc/sys/kernel/modules_disabled 2>/dev/null)" != 1 ] ||
		die "this system does not allow modules to be loaded (kernel.modules_disabled=1)"
	# Some only look, as a monitor does, and let go at once.
	tries=0
	while [ "$(cat $sysfs/$module/refcnt)" != 0 ]; do
		[ $((tries += 1)) -le 20 ] || {
			who=$(holders)
			die "$module is in use: ${who:-by whom does not show here, maybe in a container (lsmod tells of modules); }end that first"
		}
		sleep 0.1
	done
	modprobe -D $module >/dev/null 2>&1 ||
		die "modprobe does not find $module, which could not be loaded again"
	[ -d $debugfs/kvm ] ||
		die "no $debugfs/kvm; mount debugfs (mount -t debugfs debugfs $debugfs)"
	[ -d $tracing/events/kvm/kvm_cr ] ||
		die "no $tracing/events/kvm/kvm_cr; mount tracefs (mount -t tracefs tracefs $tracing)"
	[ -e $tracing/events/kvm/kvm_cr/hist ] ||
		die "no $tracing/events/kvm/kvm_cr/hist; this kernel needs CONFIG_HIST_TRIGGERS"
}

# From here on, until the end; undo is a function to end what is still running then, and
# tmp a folder that goes away
borrow()
{
	saved=$(params)
	saved_mask=$(cat $sysfs/kvm/parameters/exit_counters)
	tmp=$(mktemp -d) || exit
	# A shell that a signal kills does not run its EXIT trap.
	trap restore EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 131' QUIT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
}
