# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sourced by what runs in a machine, and may run on a host as well: loads KVM with one
# setting or the other.  In a machine it is all ours; on a host, borrow refuses where it is
# not, and at the end restores what it found.
#
#   me           set before: the name of who sources this, for messages
#   modules      set before on a host: the folder of KVM's modules with exit counters, see
#                lab/kernel/modules, or "-" if the system's own have them
#   GIVEN, SIGN_KEY, SIGN_CERT   in the environment: what make was given, as a command repeats
#                        it; and what to sign the modules with, if anything
#   module, param, isa   the vendor's module, its parameter that switches nested
#                        paging, and what tables call that vendor
#   patched, unpatched   for take: KVM's modules with exit counters, and without ("none" if
#                        there are none)
#   lab TEXT     a line for who reads the results, which file descriptor 3 is

# Of kmod, which an ordinary user has not in his path
PATH=$PATH:/usr/sbin:/sbin
sysfs=/sys/module signed=
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
	modules=-
	if grep -qw vmx /proc/cpuinfo; then
		modprobe kvm_intel
	else
		modprobe kvm_amd
	fi || die "the machine's KVM does not load"
fi
[ -e $sysfs/kvm ] ||
	die "KVM is not loaded; load kvm_intel or kvm_amd"
# shellcheck disable=SC2034 # for who sources this
if [ -d $sysfs/kvm_intel ]; then
	module=kvm_intel param=ept isa=vmx
elif [ -d $sysfs/kvm_amd ]; then
	module=kvm_amd param=npt isa=svm
else
	die "neither kvm_intel nor kvm_amd is loaded; load one, if this machine has VMX or SVM"
fi

# Where the modules are that are loaded: a folder, or "system"
# shellcheck disable=SC2034,SC2154 # for who sources this; set by who sources this
case $modules in
-)
	patched=system unpatched=none from=system
	[ ! -d /lab/unpatched ] || unpatched=/lab/unpatched
	;;
*)
	patched=$modules unpatched=system from=system
	[ ! -e $sysfs/kvm/parameters/exit_counters ] || from=$modules
	;;
esac

# ko MODULE: the name of its file
ko() { echo "$1.ko" | tr _ -; }

# What the system wants to be given to a module of ours, too.  Busybox' modprobe does not say
# that, and takes it from the kernel's command line alone.
options()
{
	{
		modprobe -c 2>/dev/null || tr ' ' '\n' </proc/cmdline | sed 's/\./ /; s/^/options /'
	} | sed -n "s/^options $1 //p"
}

# load NAME=VALUE...: the vendor's module, with these parameters
load()
{
	[ ! -d $sysfs/$module ] || rmmod $module || return
	if [ "$from" = system ]; then
		modprobe $module "$@"
		return
	fi
	# What had to be signed is a copy.
	whence=$from
	[ -z "$signed" ] || [ "$from" != "$modules" ] || whence=$signed
	if [ ! -d $sysfs/kvm ]; then
		# shellcheck disable=SC2046 # words
		insmod "$whence/kvm.ko" $(options kvm) || return
	fi
	# shellcheck disable=SC2046 # words
	insmod "$whence/$(ko $module)" $(options $module) "$@"
}

unload()
{
	{ [ ! -d $sysfs/$module ] || rmmod $module; } &&
		{ [ ! -d $sysfs/kvm ] || rmmod kvm; }
}

# take FROM: from now on load takes KVM's modules from there, a folder or "system"
take()
{
	[ "$from" = "$1" ] || { unload && from=$1; }
}

# not_intercepted FILE: for exit_counters_reasons_test, what this emulator is known not to
# intercept
not_intercepted()
{
	awk -F '\t' -v emulator="${LAB_EMULATOR-}" '
	emulator != "" && $1 == emulator { list = list "," $2 }
	END { if (list != "") print "-n", substr(list, 2) }' "$1"
}

# reads_back VALUE: has the module been loaded with nested paging on (1) or off (0)?
reads_back()
{
	case $1$(cat $sysfs/$module/parameters/$param) in
	1Y | 0N) ;;
	*) return 1 ;;
	esac
}

# What KVM's modules were given, a line each: kvm/parameters/NAME:VALUE
params() { (cd $sysfs && grep '' kvm/parameters/* $module/parameters/* 2>/dev/null); }

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

# differing MODULE: what its parameters are to be again, of those that are not
differing()
{
	params >"$tmp/params"
	echo "$saved" | grep -vxFf "$tmp/params" | sed -n "s|^$1/parameters/\([^:]*\):|\1=|p"
}

# The modules as the system loads them.  Of what differs from what was found, first what
# can be written; then the paging parameter; and only then what still differs: parameters
# that follow from it need not accept what they show.
restore()
{
	trap '' HUP INT QUIT PIPE TERM
	undo
	set --
	kvm_given=
	take "$found" || {
		load 2>/dev/null
		echo "$me: KVM of $from is still loaded, as somebody uses it; end that, then: rmmod $module kvm; modprobe $module" >&2
		rm -rf "$tmp"
		exit 1
	}
	for more in "$(echo "$saved" | sed -n "s|^$module/parameters/$param:|$param=|p")" rest none; do
		if [ -n "$kvm_given" ]; then
			# shellcheck disable=SC2086 # words
			{ unload && modprobe kvm $kvm_given; } 2>"$tmp/modprobe"
		fi
		load "$@" 2>"$tmp/modprobe"
		for written in $(differing kvm); do
			echo "${written#*=}" 2>/dev/null >"$sysfs/kvm/parameters/${written%%=*}"
		done
		differ=$(differing $module)
		kvm_differ=$(differing kvm)
		[ -n "$differ$kvm_differ" ] || break
		if [ "$more" = rest ]; then
			kvm_given=$kvm_differ
			more=$differ
		fi
		# shellcheck disable=SC2086 # words
		set -- "$@" $more
	done
	# Better without parameters than not at all
	[ -d $sysfs/$module ] || {
		unload
		from=system
		load 2>"$tmp/modprobe"
		differ=$(differing $module)
		kvm_differ=$(differing kvm)
		[ -d $sysfs/$module ] || differ=$module
	}
	[ -z "$differ$kvm_differ" ] || {
		if [ -d $sysfs/$module ]; then
			echo "$me: $module is loaded again, but these parameters were otherwise:"
			echo "$kvm_differ" "$differ"
		else
			echo "$me: $module is NOT loaded:"
			cat "$tmp/modprobe"
		fi
	} >&2
	rm -rf "$tmp"
	[ -z "$differ$kvm_differ" ] || exit 1
}

# fit [check]: refuse modules that this kernel does not take; with check, before they are
# built.  Its own ones say how one is to be built, and which versions of its symbols there are.
fit()
{
	if grep -qE '\[(integrity|confidentiality)\]' /sys/kernel/security/lockdown 2>/dev/null ||
	   [ "$(cat /sys/module/module/parameters/sig_enforce 2>/dev/null)" = Y ]; then
		[ -n "${SIGN_KEY-}" ] ||
			die "this system takes signed modules only (Secure Boot, or lockdown); enrol a key of yours (mokutil --import CERT, then reboot), and add SIGN_KEY=<key> SIGN_CERT=<certificate> to the command"
	fi
	[ "${1-}" != check ] || return 0

	again="remove $modules, and not as root: make modules${GIVEN:+ $GIVEN}"
	for name in kvm $module; do
		file=$modules/$(ko "$name")
		[ -e "$file" ] || die "no $file; first, and not as root: make modules${GIVEN:+ $GIVEN}"
		magic=$(modinfo -F vermagic "$file")
		[ "$magic" = "$(modinfo -F vermagic "$name")" ] ||
			die "$file is for '$magic', this kernel wants '$(modinfo -F vermagic "$name")'; $again"
		for needed in $(modinfo -F depends "$file" | tr , ' '); do
			[ "$needed" = kvm ] || modprobe "$needed" ||
				die "$file needs the module $needed, which modprobe does not load"
		done
	done

	# Without CONFIG_KALLSYMS_ALL, the kernel does not say which data it has.
	wrong=$({
		for name in kvm $module; do
			modprobe --dump-modversions "$(modinfo -n "$name")" | sed 's/^/here /'
			modprobe --dump-modversions "$modules/$(ko "$name")" | sed 's/^/ours /'
			readelf -sW "$modules/$(ko "$name")"
		done
	} | awk '
	FILENAME == "/proc/kallsyms" {
		if ($3 in needed)
			has[$3]
		all = all || $2 ~ /^[DdBb]$/
		next
	}
	$1 == "here" { here[$3] = $2; next }
	$1 == "ours" { needed[$3] = $2; next }
	$7 == "UND" && $5 == "GLOBAL" { needed[$8] }
	sub(/^__ksymtab_/, "", $8) { own[$8] }
	END {
		for (name in needed) {
			if (name in own)
				continue
			if (!(name in here) && !(name in has) && all)
				print name ", which this kernel does not have"
			if (name in here && needed[name] && here[name] != needed[name])
				print "another version of " name " than this kernel has"
		}
	}' - /proc/kallsyms | sort | head -n 1)
	[ -z "$wrong" ] || die "the modules in $modules need $wrong; $again"

	[ -n "${SIGN_KEY-}" ] || return 0
	tmp=$(mktemp -d) || exit
	trap 'rm -rf "$tmp"' EXIT
	for file in kvm.ko "$(ko $module)"; do
		"$modules/obj/scripts/sign-file" sha256 "$SIGN_KEY" "${SIGN_CERT-}" "$modules/$file" "$tmp/$file" ||
			die "$modules/$file cannot be signed with SIGN_KEY=$SIGN_KEY and SIGN_CERT=${SIGN_CERT-}"
	done
	signed=$tmp
}

# loaded MODULE: is it the very one that was built?
loaded()
{
	[ "$(readelf -n "$modules/$(ko "$1")" 2>/dev/null | sed -n 's/.*Build ID: //p')" = \
		"$(od -An -v -tx1 -j16 "$sysfs/$1/notes/.note.gnu.build-id" | tr -d ' \n')" ]
}

# idle: nobody uses what is to be unloaded, but for the vendor's module, which uses kvm
idle()
{
	[ "$(cat $sysfs/$module/refcnt)" = 0 ] && { [ "$unpatched" = none ] || [ "$(cat $sysfs/kvm/refcnt)" = 1 ]; }
}

# as_root WHAT ARGUMENT...: as another user, do all again as root, with these arguments
as_root()
{
	[ "$(id -u)" != 0 ] || return 0
	command -v sudo >/dev/null || die "only root may $1; run this as root"
	shift
	exec sudo env GIVEN="${GIVEN-}" SIGN_KEY="${SIGN_KEY-}" SIGN_CERT="${SIGN_CERT-}" "$0" "$@"
}

# can_swap ARGUMENT...: refuse where KVM's modules cannot be reloaded, or are not root's to be
can_swap()
{
	as_root "reload $module" "$@"
	[ "$(cat /proc/sys/kernel/modules_disabled 2>/dev/null)" != 1 ] ||
		die "this system does not allow modules to be loaded (kernel.modules_disabled=1)"
	unloaded=$module
	[ "$unpatched" = none ] || unloaded="kvm $module"
	for name in $unloaded; do
		[ -e "$sysfs/$name/initstate" ] ||
			die "$name is built into this kernel, where $param can only be changed at boot (for the experiment: boot with $module.$param=1, make experiment MACHINE=host STEP=1, boot with $module.$param=0, and STEP=2)"
		for other in "$sysfs/$name/holders"/*; do
			case ${other##*/} in
			'*' | "$module") ;;
			*) die "${other##*/} uses $name; end what needs that module, then: rmmod ${other##*/}" ;;
			esac
		done
	done
	# Some only look, as a monitor does, and let go at once.
	tries=0
	while ! idle; do
		[ $((tries += 1)) -le 20 ] || {
			who=$(holders)
			die "$module is in use: ${who:-by whom does not show here, maybe in a container; }end that first"
		}
		sleep 0.1
	done
	modprobe -D $module >/dev/null 2>&1 ||
		die "modprobe does not find $module, which could not be loaded again"
}

# can_borrow ARGUMENT...: the same for who counts exits
can_borrow()
{
	[ "$modules" != - ] || [ -e $sysfs/kvm/parameters/exit_counters ] ||
		die "the KVM that is loaded has no exit counters, although the system's has; reload it: modprobe -r $module kvm; modprobe $module"
	can_swap "$@"
	if [ "$modules" != - ]; then
		fit "${1-}"
		[ "${1-}" = check ] || [ "$from" != "$modules" ] || { loaded kvm && loaded $module; } ||
			die "the KVM that is loaded has exit counters, but is not that of $modules, and could not be put back; first: sudo make unload"
	fi
	can_trace
}

# can_trace: refuse where the oracles are not there
can_trace()
{
	[ -d $debugfs/kvm ] ||
		die "no $debugfs/kvm; mount debugfs (mount -t debugfs debugfs $debugfs)"
	[ -d $tracing/events/kvm/kvm_cr ] ||
		die "no $tracing/events/kvm/kvm_cr; mount tracefs (mount -t tracefs tracefs $tracing)"
	[ -e $tracing/events/kvm/kvm_cr/hist ] ||
		die "no $tracing/events/kvm/kvm_cr/hist; this kernel needs CONFIG_HIST_TRIGGERS"
}

# can_count ARGUMENT...: the same for who counts exits with KVM as it is loaded
can_count()
{
	as_root "set kvm.exit_counters" "$@"
	[ -e $sysfs/kvm/parameters/exit_counters ] ||
		die "the KVM of this kernel has no exit counters; build a kernel of the patched tree (make tree) with CONFIG_KVM_EXIT_COUNTERS=y, and boot that"
	who=$(holders)
	[ -z "$who" ] || die "$module is in use: ${who}end that first"
	can_trace
}

# From here on, until the end: of KVM as it is loaded, only exit_counters is changed
only_count()
{
	tmp=$(mktemp -d) || exit
	counted=$(cat $sysfs/kvm/parameters/exit_counters)
	trap 'undo; echo "$counted" >$sysfs/kvm/parameters/exit_counters; rm -rf "$tmp"' EXIT
	end_on_signals
}

# From here on, until the end; undo is a function to end what is still running then, and
# tmp a folder that goes away
borrow()
{
	saved=$(params)
	found=$from
	tmp=${signed:-$(mktemp -d)} || exit
	trap restore EXIT
	end_on_signals
}

# A shell that a signal kills does not run its EXIT trap.
end_on_signals()
{
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 131' QUIT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
}
