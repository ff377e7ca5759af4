# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sourced by what runs an image somewhere: what its machine is.
#
#   machine, image   set before: vmx, svm, or kvm; a folder made by lab/machine/image
#   memory, cpus, icount   of its needs, see lab/machine/image
#   arguments   of QEMU, what the processor is
#   words       the kernel's command line
#   MODEL, OPTIONS   in the environment, see lab/machine/boot

# shellcheck disable=SC2013,SC2034,SC2154 # words; for who sources this; set by who sources this
for word in $(cat "$image/needs"); do
	case $word in
	memory=*) memory=${word#*=} ;;
	cpus=*) cpus=${word#*=} ;;
	icount=*) icount=${word#*=} ;;
	esac
done
words="$(cat "$image/cmdline") ${OPTIONS-}"
# shellcheck disable=SC2034,SC2154 # for who sources this; set by who sources this
case $machine in
svm)
	# One thread: with one per processor, QEMU 7.2 sometimes runs stale
	# code after the kernel has patched it ("Oops: int3")
	arguments="-accel tcg,thread=single -cpu ${MODEL:-EPYC},+svm,+npt${icount:+ -icount shift=0} -smp $cpus"
	# Its kernel passes a variable that it does not know on to the first process.
	words="LAB_EMULATOR=tcg $words"
	# For an alarm that wakes it, see svm-interrupts.md.  With icount, the thread of the processor
	# runs the timers as well.
	[ -n "$icount" ] || words="hpet=disable $words"
	;;
kvm)
	arguments="-accel kvm -cpu host -smp $cpus"
	;;
esac
