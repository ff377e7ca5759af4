/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both views of KVM's exit counters, the host's binary stats and the guest's CPUID
 * leaves, and what the tests of them share.
 */
#ifndef SELFTEST_KVM_EXIT_COUNTERS_H
#define SELFTEST_KVM_EXIT_COUNTERS_H

#include <asm/kvm_para.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"

/*
 * The layout of the stat exits_by_reason: VMX basic exit reasons index directly,
 * SVM exit codes from SVM_EXIT_NPF on follow the lower ones, the last bucket takes
 * all that have no bucket of their own.
 */
#define EXIT_BUCKETS_SVM_LOW	0xc0
#define EXIT_BUCKET_OTHER	(EXIT_BUCKETS_SVM_LOW + 4)
#define NR_EXIT_BUCKETS		(EXIT_BUCKET_OTHER + 1)
#define NR_EXCEPTION_VECTORS	32

/* Not every kernel that this is built for names them. */
#ifndef SVM_EXIT_BUS_LOCK
#define SVM_EXIT_BUS_LOCK	0x0a5
#define SVM_EXIT_IDLE_HLT	0x0a6
#endif

/* No device has this port, so that using it exits to userspace. */
#define UNCLAIMED_PORT		0x2000

struct exit_counters {
	u64 exits[NR_EXIT_BUCKETS];
	u64 exceptions[NR_EXCEPTION_VECTORS];
	u64 cycles;
	/* The stat "exits", which does not come from exit counters. */
	u64 total;
};

static inline int exit_bucket(u32 reason)
{
	if (host_cpu_is_amd && reason >= SVM_EXIT_NPF)
		reason += EXIT_BUCKETS_SVM_LOW - SVM_EXIT_NPF;
	else if (host_cpu_is_amd && reason >= EXIT_BUCKETS_SVM_LOW)
		reason = EXIT_BUCKET_OTHER;

	return min_t(u32, reason, EXIT_BUCKET_OTHER);
}

static inline u32 exit_bucket_to_reason(int bucket)
{
	if (host_cpu_is_amd && bucket >= EXIT_BUCKETS_SVM_LOW)
		return bucket - EXIT_BUCKETS_SVM_LOW + SVM_EXIT_NPF;

	return bucket;
}

static inline u32 cpuid_exit_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_CPUID : EXIT_REASON_CPUID;
}

static inline u32 io_exit_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_IOIO : EXIT_REASON_IO_INSTRUCTION;
}

/* "unnamed" and NULL, respectively, if there is no name. */
const char *exit_reason_name(u32 reason);
const char *exception_name(int vector);

/*
 * The host may exit from the guest at any time for reasons of its own, and each such
 * exit adds to what the guest's instructions caused.
 */
bool is_host_exit(u32 reason);
bool is_host_exception(int vector);

/* How many exits are the host's, and the same as the guest sees it. */
u64 host_exits(const struct exit_counters *counters);
u64 guest_host_exits(void);

/*
 * The same, and faults of the guest, which it cannot know of where the host unmaps memory.
 */
u64 unasked_exits(const struct exit_counters *counters);
u64 guest_unasked_exits(void);

void read_exit_counters(int stats_fd, struct exit_counters *counters);
void vcpu_get_exit_counters(struct kvm_vcpu *vcpu, struct exit_counters *counters);
/* What happened between two times. */
struct exit_counters exits_between(const struct exit_counters *before,
				   const struct exit_counters *after);
u64 sum_exits(const struct exit_counters *counters);

/*
 * An oracle: the kvm_exit tracepoint, as perf samples it for this thread.  To be
 * started before a vCPU runs, and compared with the counters of the only vCPU that
 * this thread ran since.  Not available without root and tracefs.  The kernel removes
 * all of it when the process ends, in whatever way.
 */
bool exit_trace_start(void);
void exit_trace_stop(void);
/* Passes without looking if the trace was not available. */
void assert_exit_trace_agrees(const struct exit_counters *counters);
/* The same, and that the stat "exits" does, i.e. no entry failed or was emulated. */
void assert_counters_agree(const struct exit_counters *counters);

/*
 * A parameter of kvm_intel or kvm_amd, boolean or a number depending on the kernel.  One
 * that this kernel does not have is off.
 */
bool kvm_vendor_param_is_on(const char *name);

/* A VM with KVM_CAP_X86_EXIT_COUNTERS, to which no vCPU has been added yet. */
static inline struct kvm_vm *vm_create_with_exit_counters(u32 nr_vcpus, u64 mask)
{
	struct kvm_vm *vm = vm_create(nr_vcpus);

	vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, mask);
	return vm;
}

/*
 * Run until the guest's next ucall, whatever I/O it does before that.  Return
 * UCALL_NONE for any other exit to userspace, which may be the caller's doing.
 */
u64 run_to_ucall(struct kvm_vcpu *vcpu, struct ucall *uc);
/* Expect this very ucall, and return the argument of GUEST_SYNC(). */
u64 run_to_sync(struct kvm_vcpu *vcpu);
void run_to_done(struct kvm_vcpu *vcpu);

/* The guest's view of its VM: a record as the CPUID leaves return it. */
struct exit_record {
	u64 exits;
	u64 cycles;
};

static inline struct exit_record guest_exit_record(u32 leaf, u32 reason)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(leaf, reason, &eax, &ebx, &ecx, &edx);

	return (struct exit_record) {
		.exits = (u64)edx << 32 | eax,
		.cycles = (u64)ebx << 32 | ecx,
	};
}

/* What a guest does to exit once. */
static inline void io_in_exit(void)
{
	u8 val;

	asm volatile("inb %w1, %0" : "=a"(val) : "d"(UNCLAIMED_PORT));
}

static inline void io_out_exit(void)
{
	asm volatile("outb %0, %w1" :: "a"((u8)0), "d"(UNCLAIMED_PORT));
}

static inline void rdmsr_exit(void)
{
	rdmsr(MSR_IA32_APICBASE);
}

static inline void hypercall_exit(void)
{
	kvm_hypercall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
}

#endif /* SELFTEST_KVM_EXIT_COUNTERS_H */
