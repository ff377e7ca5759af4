// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure what a VM-Exit costs the guest, in TSC cycles from before to after the
 * instruction that exits: the least of many, i.e. without interrupts in between.
 * Exit counters are on that path; run this with and without them, on the same
 * machine, to see what they add.
 *
 * Print tab-separated lines: "perf", exit, cycles.
 */
#include <getopt.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"

#define NR_RUNS			2000

#define FAR_FUTURE_TSC		BIT_ULL(62)

static u64 cpuid_cycles, wrmsr_cycles;

static u64 time_cpuid(void)
{
	u32 eax, ebx, ecx, edx;
	u64 start = rdtsc();

	__cpuid(0, 0, &eax, &ebx, &ecx, &edx);
	return rdtsc() - start;
}

static u64 time_wrmsr(void)
{
	u64 start = rdtsc();

	wrmsr(MSR_IA32_TSC_DEADLINE, FAR_FUTURE_TSC);
	return rdtsc() - start;
}

static u64 least(u64 (*time_exit)(void))
{
	u64 cycles = UINT64_MAX;
	int i;

	for (i = 0; i < NR_RUNS; i++)
		cycles = min(cycles, time_exit());

	return cycles;
}

static void guest_code(void)
{
	x2apic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | APIC_LVT_MASKED);

	cpuid_cycles = least(time_cpuid);
	wrmsr_cycles = least(time_wrmsr);
	GUEST_DONE();
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-m mask]\n", name);
	printf("-m: Enable KVM_CAP_X86_EXIT_COUNTERS with this mask.\n");
}

int main(int argc, char *argv[])
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct ucall uc;
	long mask = -1;
	int opt;

	while ((opt = getopt(argc, argv, "hm:")) != -1) {
		switch (opt) {
		case 'm':
			mask = atoi_non_negative("Mask", optarg);
			break;
		case 'h':
		default:
			help(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}

	vm = vm_create(1);
	if (mask >= 0)
		vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, mask);

	vcpu = vm_vcpu_add(vm, 0, guest_code);
	vcpu_set_cpuid_feature(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);

	vcpu_run(vcpu);
	switch (get_ucall(vcpu, &uc)) {
	case UCALL_DONE:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("Unexpected exit to userspace: %u (%s)",
			  vcpu->run->exit_reason,
			  exit_reason_str(vcpu->run->exit_reason));
	}

	sync_global_from_guest(vm, cpuid_cycles);
	sync_global_from_guest(vm, wrmsr_cycles);
	printf("perf\tcpuid\t%lu\n", cpuid_cycles);
	printf("perf\twrmsr_fastpath\t%lu\n", wrmsr_cycles);

	kvm_vm_free(vm);
	return 0;
}
