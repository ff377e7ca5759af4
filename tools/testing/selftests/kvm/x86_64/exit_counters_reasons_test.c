// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trigger nearly every exit reason that VMX and SVM have, and verify that KVM's
 * exit counters count each exactly once.
 *
 * A case triggers its reason a known number of times between two ucalls, and the
 * host compares the counters at the two.  Exits that L1 cannot cause by itself
 * come from L2: L1 sets the VMX controls or SVM intercepts, and L2 executes what
 * they intercept.
 *
 * Compare all counters of every case with an independent oracle, the kvm_exit
 * tracepoint as sampled by perf, with the guest's own view, and with
 * the stat "exits".
 *
 * The last case names each exit reason that the kernel knows, and whether it was
 * triggered, in tab-separated lines: "coverage", isa, exit code, name, and
 * "triggered" or the reason why not.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "apic.h"
#include "exit_counters.h"
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "vmx.h"

#define NR_TRIGGERS		8
/* VMLAUNCH differs from VMRESUME, and so on. */
#define NR_WARM_UPS		2

#define MMIO_GPA		0xd0000000ull
#define MMIO_GVA		MMIO_GPA
#define PAGES_GVA		0xc0000000ull
#define PAGES_GPA		0x80000000ull
#define PAGES_MEMSLOT		10
#define NR_PAGES		(NR_WARM_UPS + NR_TRIGGERS)
/* Nothing maps this, and nothing can. */
#define UNMAPPED_GVA		0xbad000000ull
#define NONCANONICAL_GVA	0xaaaaaaaaaaaaaaaaull

#define IRQ_VECTOR		0x40
#define SWINT_VECTOR		0x50
#define FAR_FUTURE_TSC		BIT_ULL(62)
#define TIMER_CYCLES		20000
#define TIMER_ATTEMPTS		1000
/* Long enough for slow machines to get to the guest between two. */
#define HOST_TIMER_USECS	10000

#define L2_STACK_SIZE		512

#define EFLAGS_TF		BIT(8)
#define EFLAGS_IF		BIT(9)
#define DR6_INIT		0xffff0ff0ul
#define DR7_INIT		0x400ul
#define MXCSR_INIT		0x1f80
#define MXCSR_ZM		BIT(9)
#define FCW_INIT		0x37f
#define FCW_ZM			BIT(2)

/* A gate for 64-bit code, were it present. */
#define NOT_PRESENT_GATE	(0x0eull << 40)
/* Writable data, were it present. */
#define NOT_PRESENT_DATA	(0x12ull << 40)

enum stage {
	STAGE_READY,
	STAGE_TRIGGERED,
	/* The processor did not intercept what L1 told it to. */
	STAGE_NOT_INTERCEPTED,
	STAGE_TOTAL,
};

#define VMX			BIT(0)
#define SVM			BIT(1)

enum paging {
	ANY_PAGING,
	NEEDS_TDP,
	NEEDS_SHADOW,
};

FIXTURE(trigger) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

/*
 * What triggers an exit reason: a function that the guest calls, L1 unless there
 * is anything for L1 to intercept, and what it needs.
 */
FIXTURE_VARIANT(trigger) {
	unsigned int isa;
	u32 vmx_reason;
	u32 svm_code;
	/* Count by this vector instead; VMX has one exit reason for all. */
	bool is_exception;
	u8 vector;

	void (*exit_once)(void);
	/* Run by L1 once, first of all. */
	void (*setup)(void);
	/* Run by the host once, before the guest. */
	void (*host_setup)(struct kvm_vcpu *vcpu);

	/* Why this is not available, NULL if it is. */
	const char *(*unavailable)(void);
	enum paging paging;

	/* Exits per call, 1 if not set. */
	u8 times;
	/* Hardware or the host decides how many exits there are. */
	bool at_least;
	/* KVM may find on its own what the processor would exit for. */
	bool kvm_may_check;

	/* Run by L2, and what L1 intercepts. */
	bool l2;
	u64 l2_rflags;
	/* Run by L1 each time before it enters L2. */
	void (*l2_prepare)(void);

	/* VMX controls. */
	u32 pin;
	u32 cpu;
	u32 cpu2;

	/* SVM virtual interrupts. */
	u32 int_ctl;
};

/* What all cases, each a process of its own, report to the last one. */
struct known_exit {
	u64 code;
	const char *name;
};

static const struct known_exit vmx_exits[] = { VMX_EXIT_REASONS };
static const struct known_exit svm_exits[] = { SVM_EXIT_REASONS };

#define MAX_KNOWN_EXITS							\
	(ARRAY_SIZE(vmx_exits) > ARRAY_SIZE(svm_exits) ?			\
	 ARRAY_SIZE(vmx_exits) : ARRAY_SIZE(svm_exits))

struct result {
	bool triggered;
	char why_not[96];
};

static struct {
	struct result exits[MAX_KNOWN_EXITS];
	struct result vectors[NR_EXCEPTION_VECTORS];
} *shared;

static const struct known_exit *known_exits(int *nr)
{
	*nr = host_cpu_is_amd ? ARRAY_SIZE(svm_exits) : ARRAY_SIZE(vmx_exits);
	return host_cpu_is_amd ? svm_exits : vmx_exits;
}

static u32 trigger_reason(FIXTURE_VARIANT(trigger) const *trigger)
{
	if (!host_cpu_is_amd)
		return trigger->is_exception ? EXIT_REASON_EXCEPTION_NMI :
					       trigger->vmx_reason;

	return trigger->is_exception ? SVM_EXIT_EXCP_BASE + trigger->vector :
				       trigger->svm_code;
}

static bool trigger_is_for_host(FIXTURE_VARIANT(trigger) const *trigger)
{
	return trigger->isa & (host_cpu_is_amd ? SVM : VMX);
}

static void set_result(struct result *result, const char *why_not)
{
	if (!why_not)
		result->triggered = true;
	else
		snprintf(result->why_not, sizeof(result->why_not), "%s", why_not);
}

static void report(FIXTURE_VARIANT(trigger) const *trigger, const char *why_not)
{
	const struct known_exit *known;
	int i, nr;

	known = known_exits(&nr);
	for (i = 0; i < nr; i++) {
		if ((u32)known[i].code == trigger_reason(trigger))
			set_result(&shared->exits[i], why_not);
	}

	if (trigger->is_exception)
		set_result(&shared->vectors[trigger->vector], why_not);
}

/*
 * The guest's side.
 */
static struct vmx_pages *vmx;
static struct svm_test_data *svm;

static u32 interrupt_exit_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_INTR : EXIT_REASON_EXTERNAL_INTERRUPT;
}

static u64 guest_exits(u32 reason)
{
	return guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON, reason).exits;
}

/*
 * Tell the host how many exits there were.  Not inlined, so that the first call
 * maps all code and data, and no later one exits for that.
 */
static noinline void guest_sync_total(void)
{
	u64 total, interrupts;

	do {
		interrupts = guest_exits(interrupt_exit_reason());
		total = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0).exits;
	} while (guest_exits(interrupt_exit_reason()) != interrupts);

	GUEST_SYNC_ARGS(STAGE_TOTAL, total, interrupts, 0, 0);
}

static void write_cr0(u64 val)
{
	asm volatile("mov %0, %%cr0" :: "r"(val) : "memory");
}

static void l1_vmxon(void)
{
	GUEST_ASSERT(prepare_for_vmx_operation(vmx));
}

static void (*l2_exit_once)(void);

static void l2_code(void)
{
	l2_exit_once();

	if (host_cpu_is_amd)
		vmmcall();
	else
		vmcall();
}

static unsigned long l2_stack[L2_STACK_SIZE];
static bool l2_launched;

static void l1_init_l2(FIXTURE_VARIANT(trigger) const *trigger)
{
	l2_exit_once = trigger->exit_once;

	if (host_cpu_is_amd) {
		struct vmcb_control_area *ctrl = &svm->vmcb->control;
		u32 code = trigger_reason(trigger);

		generic_svm_setup(svm, l2_code);
		/* Intercepts and exit codes have the same numbers. */
		if (code < SVM_EXIT_NPF)
			((u32 *)ctrl)[code / 32] |= BIT(code % 32);
		ctrl->int_ctl |= trigger->int_ctl;
	} else {
		l1_vmxon();
		GUEST_ASSERT(load_vmcs(vmx));
		prepare_vmcs(vmx, l2_code);
		vmwrite(PIN_BASED_VM_EXEC_CONTROL,
			vmreadz(PIN_BASED_VM_EXEC_CONTROL) | trigger->pin);
		vmwrite(CPU_BASED_VM_EXEC_CONTROL,
			vmreadz(CPU_BASED_VM_EXEC_CONTROL) | trigger->cpu |
			CPU_BASED_USE_MSR_BITMAPS);
		vmwrite(SECONDARY_VM_EXEC_CONTROL, trigger->cpu2);
		if (trigger->is_exception)
			vmwrite(EXCEPTION_BITMAP, BIT(trigger->vector));
		/* Let the exception bitmap alone decide about page faults. */
		vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	}
}

/*
 * Enter L2 anew, always at its first instruction, so that there is no need to know
 * how long the instruction is that exited.  Return whether L2 exited for @reason.
 */
static bool l1_run_l2(FIXTURE_VARIANT(trigger) const *trigger, u32 reason)
{
	unsigned long stack = (unsigned long)&l2_stack[L2_STACK_SIZE - 1];
	u64 exit_reason;

	if (host_cpu_is_amd) {
		struct vmcb *vmcb = svm->vmcb;

		vmcb->save.rip = (unsigned long)l2_code;
		vmcb->save.rsp = stack;
		vmcb->save.rflags = X86_EFLAGS_FIXED | trigger->l2_rflags;
		vmcb->control.int_state = 0;
		if (trigger->l2_prepare)
			trigger->l2_prepare();
		run_guest(vmcb, svm->vmcb_gpa);

		exit_reason = (u32)vmcb->control.exit_code;
		if (exit_reason != reason && exit_reason == SVM_EXIT_VMMCALL)
			return false;
	} else {
		vmwrite(GUEST_RIP, (unsigned long)l2_code);
		vmwrite(GUEST_RSP, stack);
		vmwrite(GUEST_RFLAGS, X86_EFLAGS_FIXED | trigger->l2_rflags);
		vmwrite(GUEST_INTERRUPTIBILITY_INFO, 0);
		vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
		if (trigger->l2_prepare)
			trigger->l2_prepare();
		GUEST_ASSERT(!(l2_launched ? vmresume() : vmlaunch()));

		exit_reason = vmreadz(VM_EXIT_REASON);
		if (!(exit_reason & EXIT_REASON_FAILED_VMENTRY))
			l2_launched = true;
		exit_reason &= 0xffff;
		if (exit_reason != reason && exit_reason == EXIT_REASON_VMCALL)
			return false;
	}

	__GUEST_ASSERT(exit_reason == reason, "L2 exited for 0x%lx, wanted 0x%x",
		       exit_reason, reason);
	return true;
}

/* Not a constant, so that no compiler unrolls what must be the same code. */
static int last_stage = STAGE_TRIGGERED;

static void guest_code(FIXTURE_VARIANT(trigger) const *trigger, void *nested,
		       u32 reason)
{
	int i, nr, stage;

	vmx = nested;
	svm = nested;

	if (trigger->setup)
		trigger->setup();
	if (trigger->l2)
		l1_init_l2(trigger);
	guest_sync_total();

	/* Let all code and data that a trigger and a ucall touch be mapped first. */
	for (stage = STAGE_READY; stage <= READ_ONCE(last_stage); stage++) {
		nr = stage == STAGE_READY ? NR_WARM_UPS : NR_TRIGGERS;
		for (i = 0; i < nr; i++) {
			if (!trigger->l2)
				trigger->exit_once();
			else if (!l1_run_l2(trigger, reason))
				GUEST_SYNC(STAGE_NOT_INTERCEPTED);
		}
		GUEST_SYNC(stage);
	}

	guest_sync_total();
}

/*
 * The host's side.
 */
struct snapshot {
	struct exit_counters counters;
	/* The stat that was there before. */
	u64 exits;
};

static void take_snapshot(struct kvm_vcpu *vcpu, struct snapshot *snapshot)
{
	vcpu_get_exit_counters(vcpu, &snapshot->counters);
	snapshot->exits = snapshot->counters.total;
}

static u64 sum_of_reasons(const struct snapshot *snapshot)
{
	return sum_exits(&snapshot->counters);
}

static void handle_debug_exit(struct kvm_vcpu *vcpu)
{
	struct kvm_regs regs;

	/* A watchpoint traps after the instruction, a breakpoint is one. */
	if (vcpu->run->debug.arch.exception != BP_VECTOR)
		return;

	vcpu_regs_get(vcpu, &regs);
	regs.rip = vcpu->run->debug.arch.pc + 1;
	vcpu_regs_set(vcpu, &regs);
}

static enum stage run_to_stage(struct kvm_vcpu *vcpu, struct ucall *uc)
{
	while (run_to_ucall(vcpu, uc) != UCALL_SYNC) {
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_DEBUG);
		handle_debug_exit(vcpu);
	}

	return uc->args[1];
}

static void assert_oracle_agrees(const struct snapshot *snapshot)
{
	assert_exit_trace_agrees(&snapshot->counters);
}

TEST(oracle_is_available)
{
	if (!exit_trace_start())
		SKIP(return, "needs root, and tracefs");
}

/*
 * Triggers that L1 can pull by itself.
 */
static void cpuid_exit(void)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(0, 0, &eax, &ebx, &ecx, &edx);
}

static u64 apicbase;

static void wrmsr_setup(void)
{
	apicbase = rdmsr(MSR_IA32_APICBASE);
}

static void wrmsr_exit(void)
{
	wrmsr(MSR_IA32_APICBASE, apicbase);
}

static void tsc_deadline_setup(void)
{
	x2apic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | APIC_LVT_MASKED);
}

/* KVM handles this without leaving its inner run loop where it can. */
static void tsc_deadline_exit(void)
{
	wrmsr(MSR_IA32_TSC_DEADLINE, FAR_FUTURE_TSC);
}

static int irqs;

static void irq_handler(struct ex_regs *regs)
{
	WRITE_ONCE(irqs, irqs + 1);
	x2apic_write_reg(APIC_EOI, 0);
}

static void send_irq(void)
{
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | IRQ_VECTOR);
}

/*
 * Halt with an interrupt pending: the instruction after STI executes before the
 * interrupt is delivered, and the interrupt ends the halt.
 */
static void hlt_exit(void)
{
	send_irq();
	asm volatile("sti; hlt; cli");
}

/* Make KVM wait for the guest to enable interrupts. */
static void interrupt_window_exit(void)
{
	send_irq();
	asm volatile("sti; nop; cli");
}

static int nmis;

static void send_nmi(void)
{
	x2apic_write_reg(APIC_ICR, APIC_INT_ASSERT | APIC_DM_NMI);
}

/*
 * On SVM, KVM intercepts the IRET of every NMI.  On VMX, only an NMI that arrives
 * while NMIs are blocked makes KVM wait for their end.
 */
static void nmi_handler(struct ex_regs *regs)
{
	int nr = nmis;

	WRITE_ONCE(nmis, nr + 1);
	if (nr % 2 == 0 && !host_cpu_is_amd)
		send_nmi();
}

static void nmi_exit(void)
{
	int last = READ_ONCE(nmis);

	send_nmi();
	GUEST_ASSERT_EQ(READ_ONCE(nmis), last + (host_cpu_is_amd ? 1 : 2));
}

static void mmio_exit(void)
{
	READ_ONCE(*(u32 *)MMIO_GVA);
}

static int nr_touched;

static void touch_page(void)
{
	WRITE_ONCE(*(u32 *)(PAGES_GVA + nr_touched++ * PAGE_SIZE), 1);
}

static void invlpg_exit(void)
{
	asm volatile("invlpg (%0)" :: "r"(PAGES_GVA) : "memory");
}

static void invpcid_exit(void)
{
	struct {
		u64 pcid;
		u64 address;
	} desc = {};

	asm volatile("invpcid %0, %1" :: "m"(desc), "r"(2ul) : "memory");
}

static void invd_exit(void)
{
	asm volatile("invd" ::: "memory");
}

static void wbinvd_exit(void)
{
	asm volatile("wbinvd" ::: "memory");
}

static void monitor_exit(void)
{
	asm volatile("monitor" :: "a"(PAGES_GVA), "c"(0), "d"(0));
}

static void mwait_exit(void)
{
	asm volatile("mwait" :: "a"(0), "c"(0));
}

static void xsetbv_setup(void)
{
	set_cr4(get_cr4() | X86_CR4_OSXSAVE);
}

static void xsetbv_exit(void)
{
	xsetbv(0, xgetbv(0));
}

static void rdpmc_exit(void)
{
	kvm_asm_safe("rdpmc", "c"(0));
}

/* KVM lets the guest own neither bit. */
static void cr0_write_exit(void)
{
	write_cr0(get_cr0() ^ X86_CR0_AM);
}

static void cr4_write_exit(void)
{
	set_cr4(get_cr4() ^ X86_CR4_VME);
}

static void rsm_exit(void)
{
	GUEST_ASSERT_EQ(kvm_asm_safe("rsm"), UD_VECTOR);
}

static void skinit_exit(void)
{
	GUEST_ASSERT_EQ(kvm_asm_safe("skinit %%eax", "a"(0)), UD_VECTOR);
}

static void ud2_exit(void)
{
	GUEST_ASSERT_EQ(kvm_asm_safe("ud2"), UD_VECTOR);
}

/* Single-step the NOP. */
static void single_step_exit(void)
{
	asm volatile("pushf\n\t"
		     "orl %0, (%%rsp)\n\t"
		     "popf\n\t"
		     "nop" :: "i"(EFLAGS_TF) : "cc", "memory");
}

static void db_handler(struct ex_regs *regs)
{
	regs->rflags &= ~EFLAGS_TF;
}

static void do_nothing(struct ex_regs *regs)
{
}

static void guest_debug_breakpoints(struct kvm_vcpu *vcpu)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP,
	};

	vcpu_guest_debug_set(vcpu, &debug);
}

static u32 watched;

static void guest_debug_watchpoint(struct kvm_vcpu *vcpu)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
		.arch.debugreg[0] = (unsigned long)&watched,
		/* Global, exact, writes, four bytes. */
		.arch.debugreg[7] = 0x000d0602,
	};

	vcpu_guest_debug_set(vcpu, &debug);
}

static void int3_exit(void)
{
	asm volatile("int3");
}

static void watchpoint_exit(void)
{
	WRITE_ONCE(watched, 1);
}

static void write_dr0(void)
{
	asm volatile("mov %0, %%dr0" :: "r"(0ul));
}

static void ignore_signal(int signal)
{
}

/* Have a host timer interrupt the guest, however quiet the host is. */
static void start_host_timer(struct kvm_vcpu *vcpu)
{
	struct itimerval timer = {
		.it_interval.tv_usec = HOST_TIMER_USECS,
		.it_value.tv_usec = HOST_TIMER_USECS,
	};

	signal(SIGALRM, ignore_signal);
	TEST_ASSERT(!setitimer(ITIMER_REAL, &timer, NULL), "setitimer() failed: %s",
		    strerror(errno));
}

/* Host interrupts exit whatever RFLAGS.IF is, but Bochs lets them wait for it. */
static void enable_interrupts(void)
{
	asm volatile("sti");
}

static void external_interrupt_exit(void)
{
	u64 last = guest_exits(interrupt_exit_reason());
	int i;

	while (guest_exits(interrupt_exit_reason()) == last) {
		for (i = 0; i < TIMER_CYCLES; i++)
			barrier();
	}
}

static void preemption_timer_setup(void)
{
	x2apic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | IRQ_VECTOR);
}

/* An exit for something else may let the timer expire outside of the guest. */
static void preemption_timer_exit(void)
{
	u64 last = guest_exits(EXIT_REASON_PREEMPTION_TIMER);
	int i, seen;

	for (i = 0; i < TIMER_ATTEMPTS; i++) {
		seen = READ_ONCE(irqs);
		wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + TIMER_CYCLES);
		asm volatile("sti");
		while (READ_ONCE(irqs) == seen)
			barrier();
		asm volatile("cli");
		if (guest_exits(EXIT_REASON_PREEMPTION_TIMER) != last)
			return;
	}
	__GUEST_ASSERT(0, "None of %d timers expired in the guest", TIMER_ATTEMPTS);
}

static void umip_setup(void)
{
	set_cr4(get_cr4() | X86_CR4_UMIP);
}

static void sgdt_exit(void)
{
	struct desc_ptr desc;

	asm volatile("sgdt %0" : "=m"(desc));
}

static void sldt_exit(void)
{
	u16 sel;

	asm volatile("sldt %0" : "=rm"(sel));
}

/* VMX instructions.  VMLAUNCH and VMRESUME fail, as no VMCS is current. */
static void vmclear_exit(void)
{
	vmclear(vmx->shadow_vmcs_gpa);
}

static void vmptrld_setup(void)
{
	l1_vmxon();
	GUEST_ASSERT(load_vmcs(vmx));
}

static void vmptrld_exit(void)
{
	GUEST_ASSERT(!vmptrld(vmx->vmcs_gpa));
}

static void vmptrst_exit(void)
{
	GUEST_ASSERT_EQ(vmptrstz(), vmx->vmcs_gpa);
}

/* KVM does not let L1 access this field of a shadow VMCS without an exit. */
static void vmread_exit(void)
{
	u64 val;

	GUEST_ASSERT(!vmread(HOST_CR3, &val));
}

static void vmwrite_exit(void)
{
	GUEST_ASSERT(!vmwrite(HOST_CR3, 0));
}

static void vmlaunch_exit(void)
{
	asm volatile("vmlaunch" ::: "cc", "memory");
}

static void vmresume_exit(void)
{
	asm volatile("vmresume" ::: "cc", "memory");
}

static void vmxoff_vmxon_exit(void)
{
	vmxoff();
	GUEST_ASSERT(!vmxon(vmx->vmxon_gpa));
}

/* Without nested EPT or VPID, KVM injects #UD after the exit. */
static void invept_exit(void)
{
	struct {
		u64 eptp;
		u64 reserved;
	} desc = {};

	kvm_asm_safe("invept %[desc], %[type]", [desc]"m"(desc), [type]"r"(2ul));
}

static void invvpid_exit(void)
{
	struct {
		u64 vpid;
		u64 address;
	} desc = {};

	kvm_asm_safe("invvpid %[desc], %[type]", [desc]"m"(desc), [type]"r"(2ul));
}

/* SVM instructions, with a VMCB as the address of whatever they load and save. */
static void l1_enable_svm(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
}

static void vmload_setup(void)
{
	l1_enable_svm();
	asm volatile("vmsave %%rax" :: "a"(svm->vmcb_gpa) : "memory");
}

static void vmload_exit(void)
{
	asm volatile("vmload %%rax" :: "a"(svm->vmcb_gpa) : "memory");
}

static void vmsave_exit(void)
{
	asm volatile("vmsave %%rax" :: "a"(svm->vmcb_gpa) : "memory");
}

static const char *no_vmx(void)
{
	return kvm_cpu_has(X86_FEATURE_VMX) ? NULL : "needs nested VMX";
}

/* Boolean or a number, that depends on the parameter and the kernel. */
static bool kvm_param_is_on(const char *name)
{
	char path[128], value = 'N';
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s",
		 host_cpu_is_amd ? "kvm_amd" : "kvm_intel", name);
	fd = open_path_or_exit(path, O_RDONLY);
	TEST_ASSERT(read(fd, &value, 1) == 1, "Reading %s failed", path);
	close(fd);

	return value != 'N' && value != '0';
}

static const char *vls_in_use(void)
{
	if (!kvm_cpu_has(X86_FEATURE_SVM))
		return "needs nested SVM";

	return kvm_param_is_on("vls") ?
	       "needs KVM without virtual VMLOAD and VMSAVE" : NULL;
}

static const char *no_xsave(void)
{
	return kvm_cpu_has(X86_FEATURE_XSAVE) ? NULL : "needs XSAVE";
}

static const char *no_invpcid(void)
{
	return kvm_cpu_has(X86_FEATURE_INVPCID) ? NULL : "needs INVPCID";
}

static const char *apicv_in_use(void)
{
	const char *param = host_cpu_is_amd ? "avic" : "enable_apicv";

	return kvm_param_is_on(param) ? "needs KVM without APICv or AVIC" : NULL;
}

static const char *vnmi_in_use(void)
{
	if (host_cpu_is_amd)
		return kvm_param_is_on("vnmi") ? "needs KVM without vNMI" : NULL;

	return kvm_param_is_on("vnmi") ? NULL : "needs virtual NMIs";
}

static const char *no_preemption_timer(void)
{
	if (!kvm_param_is_on("preemption_timer") ||
	    !kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER))
		return "needs the VMX preemption timer and TSC deadlines";

	return NULL;
}

static const char *umip_not_emulated(void)
{
	if (!kvm_cpu_has(X86_FEATURE_UMIP) || this_cpu_has(X86_FEATURE_UMIP))
		return "needs KVM to emulate UMIP";

	return NULL;
}

/*
 * What L2 executes, and L1 intercepts.  An instruction that exits never completes,
 * but must be able to, as processors that software emulates may not intercept it.
 */
#define L2_INSN(name, insn, ...)					\
static void l2_##name(void)						\
{									\
	asm volatile(insn : __VA_ARGS__);				\
}

#define L2_READ_REG(reg)						\
static void l2_read_##reg(void)						\
{									\
	unsigned long val;						\
									\
	asm volatile("mov %%" #reg ", %0" : "=r"(val));			\
}

#define L2_WRITE_REG(reg, val)						\
static void l2_write_##reg(void)					\
{									\
	asm volatile("mov %0, %%" #reg :: "r"(val) : "memory");		\
}

static unsigned long cr3;

static void save_cr3(void)
{
	cr3 = get_cr3();
}

L2_READ_REG(cr0)
L2_READ_REG(cr2)
L2_READ_REG(cr3)
L2_READ_REG(cr4)
L2_READ_REG(cr8)
L2_READ_REG(dr0)
L2_READ_REG(dr1)
L2_READ_REG(dr2)
L2_READ_REG(dr3)
L2_READ_REG(dr6)
L2_READ_REG(dr7)
L2_WRITE_REG(cr0, get_cr0())
L2_WRITE_REG(cr2, 0ul)
L2_WRITE_REG(cr3, cr3)
L2_WRITE_REG(cr4, get_cr4())
L2_WRITE_REG(cr8, 0ul)
L2_WRITE_REG(dr0, 0ul)
L2_WRITE_REG(dr1, 0ul)
L2_WRITE_REG(dr2, 0ul)
L2_WRITE_REG(dr3, 0ul)
L2_WRITE_REG(dr6, DR6_INIT)
L2_WRITE_REG(dr7, DR7_INIT)

static struct desc_ptr table;
static u16 selector;

L2_INSN(nop, "nop")
L2_INSN(sidt, "sidt %0", "=m"(table))
L2_INSN(sgdt, "sgdt %0", "=m"(table))
L2_INSN(sldt, "sldt %0", "=m"(selector))
L2_INSN(str, "str %0", "=m"(selector))
L2_INSN(lidt, "sidt %0; lidt %0", "+m"(table))
L2_INSN(lgdt, "sgdt %0; lgdt %0", "+m"(table))
L2_INSN(lldt, "lldt %w0", : "r"(0))
L2_INSN(ltr, "str %0; ltr %0", "+m"(selector))
L2_INSN(rdtsc, "rdtsc", : : "eax", "edx")
L2_INSN(rdtscp, "rdtscp", : : "eax", "ecx", "edx")
L2_INSN(rdpmc, "rdpmc", : "c"(0) : "eax", "edx")
L2_INSN(rdrand, "rdrand %%rax", : : "rax", "cc")
L2_INSN(rdseed, "rdseed %%rax", : : "rax", "cc")
L2_INSN(pushf, "pushf; pop %%rax", : : "rax", "memory")
L2_INSN(popf, "push $2; popf", : : "cc", "memory")
L2_INSN(swint, "int %0", : "i"(SWINT_VECTOR) : "memory")
L2_INSN(pause, "pause")
L2_INSN(hlt, "hlt")
L2_INSN(invlpga, "invlpga %%rax, %%ecx", : "a"(PAGES_GVA), "c"(1) : "memory")
L2_INSN(vmrun, "vmrun %%rax", : "a"(svm->vmcb_gpa) : "memory")
L2_INSN(stgi, "stgi")
L2_INSN(clgi, "clgi; stgi")
L2_INSN(vmfunc, "vmfunc", : "a"(0), "c"(0))
L2_INSN(apic_access, "movl (%0), %%eax", : "r"(vmx->apic_access) : "eax")

L2_INSN(divide, "div %1", "=a"(selector) : "rm"(0), "a"(1), "d"(0) : "cc")
L2_INSN(int3, "int3")
L2_INSN(ud2, "ud2")
L2_INSN(write_noncanonical, "movl $0, (%0)", : "r"(NONCANONICAL_GVA) : "memory")
L2_INSN(write_unmapped, "movl $0, (%0)", : "r"(UNMAPPED_GVA) : "memory")

static void l2_iret(void)
{
	asm volatile("mov %%rsp, %%rax\n\t"
		     "push %0\n\t"
		     "push %%rax\n\t"
		     "push $2\n\t"
		     "push %1\n\t"
		     "lea 1f(%%rip), %%rax\n\t"
		     "push %%rax\n\t"
		     "iretq\n\t"
		     "1:"
		     :: "r"((u64)get_ss()), "r"((u64)get_cs())
		     : "rax", "cc", "memory");
}

/* Processors that software emulates may not know it. */
static void l2_icebp(void)
{
	kvm_asm_safe(".byte 0xf1");
}

static void l2_use_fpu(void)
{
	write_cr0(get_cr0() | X86_CR0_TS);
	asm volatile("fnop");
}

static void l2_divide_x87(void)
{
	u16 fcw = FCW_INIT & ~FCW_ZM;

	asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait" :: "m"(fcw));
}

static void set_osxmmexcpt(void)
{
	set_cr4(get_cr4() | X86_CR4_OSXMMEXCPT);
}

static void l2_divide_sse(void)
{
	u32 mxcsr = MXCSR_INIT & ~MXCSR_ZM, one = 0x3f800000, zero = 0;

	asm volatile("ldmxcsr %0; movss %1, %%xmm0; divss %2, %%xmm0"
		     :: "m"(mxcsr), "m"(one), "m"(zero) : "xmm0");
}

static u64 descs[] = { 0, NOT_PRESENT_DATA };

static void l2_load_ss_not_present(void)
{
	struct desc_ptr gdt = {
		.size = sizeof(descs) - 1,
		.address = (unsigned long)descs,
	};

	asm volatile("lgdt %0; mov %1, %%ss" :: "m"(gdt), "r"(8));
}

/*
 * Deliver nothing.  Use gates that are not present instead of a limit, because KVM
 * may intercept #GP, and inject what follows from it, but does not intercept #NP.
 */
static struct gate {
	u64 low;
	u64 high;
} gates[SWINT_VECTOR + 1];

static void init_gates(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gates); i++)
		gates[i].low = NOT_PRESENT_GATE;
}

/* Survive the #DF on processors that software emulates and do not intercept it. */
static void init_gates_but_df(void)
{
	init_gates();
	gates[DF_VECTOR] = ((struct gate *)get_idt().address)[DF_VECTOR];
}

static void l2_give_up(void)
{
	vmmcall();
}

static void df_handler(struct ex_regs *regs)
{
	regs->rip = (unsigned long)l2_give_up;
}

static void load_gates(void)
{
	struct desc_ptr idt = {
		.size = sizeof(gates) - 1,
		.address = (unsigned long)gates,
	};

	asm volatile("lidt %0" :: "m"(idt));
}

static void l2_not_present(void)
{
	load_gates();
	l2_swint();
}

static void l2_double_fault(void)
{
	load_gates();
	l2_divide();
}

static void l2_triple_fault(void)
{
	load_gates();
	l2_int3();
}

/* NMI is no exception; leave it to the processor to notice. */
static void svm_prepare_invalid_state(void)
{
	svm->vmcb->control.event_inj = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT |
				       NMI_VECTOR;
}

/* STI and MOV SS cannot block both; leave it to the processor to notice. */
static void vmx_prepare_invalid_state(void)
{
	vmwrite(GUEST_INTERRUPTIBILITY_INFO, 3);
}

/*
 * Only 32-bit code can switch tasks.  Run a far jump to a TSS, with PAE paging that
 * maps the first GiB to itself.  The exit precedes the switch: the TSS is not read.
 */
#define TSS_SELECTOR		0x18
#define TSS_LIMIT		0x67
#define CS_32BIT_AR		0xc09b
#define FLAT_CODE_32BIT		0x00cf9b000000ffffull
#define FLAT_DATA		0x00cf93000000ffffull
#define AVAILABLE_TSS		(0x89ull << 40 | TSS_LIMIT)
#define PDE_LARGE		0x83ull
#define PDPTE_PRESENT		0x1ull

#define L2_PAGE_ENTRIES		(PAGE_SIZE / sizeof(u64))

static u64 l2_page_directory[L2_PAGE_ENTRIES] __aligned(PAGE_SIZE);
static u64 l2_32bit_page[L2_PAGE_ENTRIES] __aligned(PAGE_SIZE);
static u64 l2_page_directory_gpa, l2_32bit_page_gpa;

static struct {
	u64 pdptes[4];
	u64 gdt[4];
	u8 code[7];
} l2_32bit = {
	.gdt = { 0, FLAT_CODE_32BIT, FLAT_DATA, AVAILABLE_TSS },
	/* ljmp $TSS_SELECTOR, $0 */
	.code = { 0xea, 0, 0, 0, 0, TSS_SELECTOR, 0 },
};

static void init_l2_32bit(void)
{
	int i;

	for (i = 0; i < L2_PAGE_ENTRIES; i++)
		l2_page_directory[i] = ((u64)i << 21) | PDE_LARGE;

	l2_32bit.pdptes[0] = l2_page_directory_gpa | PDPTE_PRESENT;
	memcpy(l2_32bit_page, &l2_32bit, sizeof(l2_32bit));
}

static void vmx_prepare_32bit(void)
{
	u64 gpa = l2_32bit_page_gpa;

	vmwrite(VM_ENTRY_CONTROLS, vmreadz(VM_ENTRY_CONTROLS) & ~VM_ENTRY_IA32E_MODE);
	vmwrite(GUEST_CR3, gpa + offsetof(typeof(l2_32bit), pdptes));
	vmwrite(GUEST_GDTR_BASE, gpa + offsetof(typeof(l2_32bit), gdt));
	vmwrite(GUEST_GDTR_LIMIT, sizeof(l2_32bit.gdt) - 1);
	vmwrite(GUEST_CS_AR_BYTES, CS_32BIT_AR);
	vmwrite(GUEST_RIP, gpa + offsetof(typeof(l2_32bit), code));
}

static void vmx_prepare_apic_access(void)
{
	vmwrite(APIC_ACCESS_ADDR, vmx->apic_access_gpa);
}

/* Any page does, e.g. this one, which is of no use without a shadow VMCS. */
static void vmx_prepare_tpr_shadow(void)
{
	((u32 *)vmx->vmread)[APIC_TASKPRI / sizeof(u32)] = 0xf0;
	vmwrite(VIRTUAL_APIC_PAGE_ADDR, vmx->vmread_gpa);
	vmwrite(TPR_THRESHOLD, 1);
}

FIXTURE_VARIANT_ADD(trigger, cpuid) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_CPUID,
	.svm_code = SVM_EXIT_CPUID,
	.exit_once = cpuid_exit,
};

FIXTURE_VARIANT_ADD(trigger, io_in) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_IO_INSTRUCTION,
	.svm_code = SVM_EXIT_IOIO,
	.exit_once = io_in_exit,
};

FIXTURE_VARIANT_ADD(trigger, io_out) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_IO_INSTRUCTION,
	.svm_code = SVM_EXIT_IOIO,
	.exit_once = io_out_exit,
};

FIXTURE_VARIANT_ADD(trigger, rdmsr) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_MSR_READ,
	.svm_code = SVM_EXIT_MSR,
	.exit_once = rdmsr_exit,
};

FIXTURE_VARIANT_ADD(trigger, wrmsr) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_MSR_WRITE,
	.svm_code = SVM_EXIT_MSR,
	.setup = wrmsr_setup,
	.exit_once = wrmsr_exit,
};

FIXTURE_VARIANT_ADD(trigger, wrmsr_fastpath) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_MSR_WRITE,
	.svm_code = SVM_EXIT_MSR,
	.setup = tsc_deadline_setup,
	.exit_once = tsc_deadline_exit,
};

FIXTURE_VARIANT_ADD(trigger, hypercall) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_VMCALL,
	.svm_code = SVM_EXIT_VMMCALL,
	.exit_once = hypercall_exit,
};

FIXTURE_VARIANT_ADD(trigger, hlt) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_HLT,
	.svm_code = SVM_EXIT_HLT,
	.setup = x2apic_enable,
	.exit_once = hlt_exit,
};

FIXTURE_VARIANT_ADD(trigger, interrupt_window) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_INTERRUPT_WINDOW,
	.svm_code = SVM_EXIT_VINTR,
	.unavailable = apicv_in_use,
	.setup = x2apic_enable,
	.exit_once = interrupt_window_exit,
};

FIXTURE_VARIANT_ADD(trigger, nmi_window) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_NMI_WINDOW,
	.svm_code = SVM_EXIT_IRET,
	.unavailable = vnmi_in_use,
	.setup = x2apic_enable,
	.exit_once = nmi_exit,
};

FIXTURE_VARIANT_ADD(trigger, external_interrupt) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_EXTERNAL_INTERRUPT,
	.svm_code = SVM_EXIT_INTR,
	.at_least = true,
	.host_setup = start_host_timer,
	.setup = enable_interrupts,
	.exit_once = external_interrupt_exit,
};

FIXTURE_VARIANT_ADD(trigger, preemption_timer) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_PREEMPTION_TIMER,
	.unavailable = no_preemption_timer,
	.at_least = true,
	.setup = preemption_timer_setup,
	.exit_once = preemption_timer_exit,
};

FIXTURE_VARIANT_ADD(trigger, mmio) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_EPT_MISCONFIG,
	.svm_code = SVM_EXIT_NPF,
	.paging = NEEDS_TDP,
	.exit_once = mmio_exit,
};

FIXTURE_VARIANT_ADD(trigger, first_touch) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_EPT_VIOLATION,
	.svm_code = SVM_EXIT_NPF,
	.paging = NEEDS_TDP,
	.exit_once = touch_page,
};

FIXTURE_VARIANT_ADD(trigger, first_touch_shadow) {
	.isa = VMX | SVM,
	.is_exception = true,
	.vector = PF_VECTOR,
	.paging = NEEDS_SHADOW,
	.exit_once = touch_page,
};

FIXTURE_VARIANT_ADD(trigger, invlpg) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_INVLPG,
	.svm_code = SVM_EXIT_INVLPG,
	.paging = NEEDS_SHADOW,
	.exit_once = invlpg_exit,
};

FIXTURE_VARIANT_ADD(trigger, invpcid) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_INVPCID,
	.svm_code = SVM_EXIT_INVPCID,
	.unavailable = no_invpcid,
	.paging = NEEDS_SHADOW,
	.exit_once = invpcid_exit,
};

FIXTURE_VARIANT_ADD(trigger, invd) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_INVD,
	.svm_code = SVM_EXIT_INVD,
	.exit_once = invd_exit,
};

FIXTURE_VARIANT_ADD(trigger, wbinvd) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_WBINVD,
	.svm_code = SVM_EXIT_WBINVD,
	.exit_once = wbinvd_exit,
};

FIXTURE_VARIANT_ADD(trigger, monitor) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_MONITOR_INSTRUCTION,
	.svm_code = SVM_EXIT_MONITOR,
	.exit_once = monitor_exit,
};

FIXTURE_VARIANT_ADD(trigger, mwait) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_MWAIT_INSTRUCTION,
	.svm_code = SVM_EXIT_MWAIT,
	.exit_once = mwait_exit,
};

FIXTURE_VARIANT_ADD(trigger, xsetbv) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_XSETBV,
	.svm_code = SVM_EXIT_XSETBV,
	.unavailable = no_xsave,
	.setup = xsetbv_setup,
	.exit_once = xsetbv_exit,
};

FIXTURE_VARIANT_ADD(trigger, rdpmc) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_RDPMC,
	.svm_code = SVM_EXIT_RDPMC,
	.exit_once = rdpmc_exit,
};

FIXTURE_VARIANT_ADD(trigger, rsm) {
	.isa = SVM,
	.svm_code = SVM_EXIT_RSM,
	.exit_once = rsm_exit,
};

FIXTURE_VARIANT_ADD(trigger, skinit) {
	.isa = SVM,
	.svm_code = SVM_EXIT_SKINIT,
	.exit_once = skinit_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmload) {
	.isa = SVM,
	.svm_code = SVM_EXIT_VMLOAD,
	.unavailable = vls_in_use,
	.setup = vmload_setup,
	.exit_once = vmload_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmsave) {
	.isa = SVM,
	.svm_code = SVM_EXIT_VMSAVE,
	.unavailable = vls_in_use,
	.setup = l1_enable_svm,
	.exit_once = vmsave_exit,
};

/* With shadow paging, KVM intercepts all writes; they have precedence. */
FIXTURE_VARIANT_ADD(trigger, cr0_sel_write) {
	.isa = SVM,
	.svm_code = SVM_EXIT_CR0_SEL_WRITE,
	.paging = NEEDS_TDP,
	.exit_once = cr0_write_exit,
};

FIXTURE_VARIANT_ADD(trigger, cr0_write) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_CR_ACCESS,
	.exit_once = cr0_write_exit,
};

FIXTURE_VARIANT_ADD(trigger, cr4_write) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_CR_ACCESS,
	.svm_code = SVM_EXIT_WRITE_CR4,
	.exit_once = cr4_write_exit,
};

FIXTURE_VARIANT_ADD(trigger, ud2) {
	.isa = VMX | SVM,
	.is_exception = true,
	.vector = UD_VECTOR,
	.exit_once = ud2_exit,
};

FIXTURE_VARIANT_ADD(trigger, single_step) {
	.isa = VMX | SVM,
	.is_exception = true,
	.vector = DB_VECTOR,
	.exit_once = single_step_exit,
};

FIXTURE_VARIANT_ADD(trigger, guest_debug_int3) {
	.isa = VMX | SVM,
	.is_exception = true,
	.vector = BP_VECTOR,
	.host_setup = guest_debug_breakpoints,
	.exit_once = int3_exit,
};

FIXTURE_VARIANT_ADD(trigger, guest_debug_watchpoint) {
	.isa = VMX | SVM,
	.is_exception = true,
	.vector = DB_VECTOR,
	.host_setup = guest_debug_watchpoint,
	.exit_once = watchpoint_exit,
};

/* Without debugging, KVM lets go of the debug registers until the next exit. */
FIXTURE_VARIANT_ADD(trigger, guest_debug_dr_write) {
	.isa = VMX | SVM,
	.vmx_reason = EXIT_REASON_DR_ACCESS,
	.svm_code = SVM_EXIT_WRITE_DR0,
	.host_setup = guest_debug_breakpoints,
	.exit_once = write_dr0,
};

FIXTURE_VARIANT_ADD(trigger, umip_sgdt) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_GDTR_IDTR,
	.unavailable = umip_not_emulated,
	.setup = umip_setup,
	.exit_once = sgdt_exit,
};

FIXTURE_VARIANT_ADD(trigger, umip_sldt) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_LDTR_TR,
	.unavailable = umip_not_emulated,
	.setup = umip_setup,
	.exit_once = sldt_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmclear) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMCLEAR,
	.unavailable = no_vmx,
	.setup = l1_vmxon,
	.exit_once = vmclear_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmptrld) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMPTRLD,
	.unavailable = no_vmx,
	.setup = vmptrld_setup,
	.exit_once = vmptrld_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmptrst) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMPTRST,
	.unavailable = no_vmx,
	.setup = vmptrld_setup,
	.exit_once = vmptrst_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmread) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMREAD,
	.unavailable = no_vmx,
	.setup = vmptrld_setup,
	.exit_once = vmread_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmwrite) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMWRITE,
	.unavailable = no_vmx,
	.setup = vmptrld_setup,
	.exit_once = vmwrite_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmlaunch) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMLAUNCH,
	.unavailable = no_vmx,
	.setup = l1_vmxon,
	.exit_once = vmlaunch_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmresume) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMRESUME,
	.unavailable = no_vmx,
	.setup = l1_vmxon,
	.exit_once = vmresume_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmxoff) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMOFF,
	.unavailable = no_vmx,
	.setup = l1_vmxon,
	.exit_once = vmxoff_vmxon_exit,
};

FIXTURE_VARIANT_ADD(trigger, vmxon) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_VMON,
	.unavailable = no_vmx,
	.setup = l1_vmxon,
	.exit_once = vmxoff_vmxon_exit,
};

FIXTURE_VARIANT_ADD(trigger, invept) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_INVEPT,
	.unavailable = no_vmx,
	.setup = l1_vmxon,
	.exit_once = invept_exit,
};

FIXTURE_VARIANT_ADD(trigger, invvpid) {
	.isa = VMX,
	.vmx_reason = EXIT_REASON_INVVPID,
	.unavailable = no_vmx,
	.setup = l1_vmxon,
	.exit_once = invvpid_exit,
};

#define L2_VMX(reason, fn)						\
	.isa = VMX, .vmx_reason = EXIT_REASON_##reason, .l2 = true, .exit_once = fn

#define L2_SVM(code, fn)						\
	.isa = SVM, .svm_code = (u32)SVM_EXIT_##code, .l2 = true, .exit_once = fn

#define L2_EXCEPTION(vec, fn)						\
	.isa = VMX | SVM, .is_exception = true, .vector = vec, .l2 = true, .exit_once = fn

FIXTURE_VARIANT_ADD(trigger, svm_l2_read_cr0) { L2_SVM(READ_CR0, l2_read_cr0) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_cr0) { L2_SVM(WRITE_CR0, l2_write_cr0) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_cr2) { L2_SVM(READ_CR2, l2_read_cr2) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_cr2) { L2_SVM(WRITE_CR2, l2_write_cr2) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_cr3) { L2_SVM(READ_CR3, l2_read_cr3) };

FIXTURE_VARIANT_ADD(trigger, svm_l2_write_cr3) {
	L2_SVM(WRITE_CR3, l2_write_cr3),
	.setup = save_cr3,
};

FIXTURE_VARIANT_ADD(trigger, svm_l2_read_cr4) { L2_SVM(READ_CR4, l2_read_cr4) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_cr4) { L2_SVM(WRITE_CR4, l2_write_cr4) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_cr8) { L2_SVM(READ_CR8, l2_read_cr8) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_cr8) { L2_SVM(WRITE_CR8, l2_write_cr8) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_dr0) { L2_SVM(READ_DR0, l2_read_dr0) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_dr0) { L2_SVM(WRITE_DR0, l2_write_dr0) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_dr1) { L2_SVM(READ_DR1, l2_read_dr1) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_dr1) { L2_SVM(WRITE_DR1, l2_write_dr1) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_dr2) { L2_SVM(READ_DR2, l2_read_dr2) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_dr2) { L2_SVM(WRITE_DR2, l2_write_dr2) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_dr3) { L2_SVM(READ_DR3, l2_read_dr3) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_dr3) { L2_SVM(WRITE_DR3, l2_write_dr3) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_dr6) { L2_SVM(READ_DR6, l2_read_dr6) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_dr6) { L2_SVM(WRITE_DR6, l2_write_dr6) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_read_dr7) { L2_SVM(READ_DR7, l2_read_dr7) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_write_dr7) { L2_SVM(WRITE_DR7, l2_write_dr7) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_sidt) { L2_SVM(IDTR_READ, l2_sidt) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_sgdt) { L2_SVM(GDTR_READ, l2_sgdt) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_sldt) { L2_SVM(LDTR_READ, l2_sldt) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_str) { L2_SVM(TR_READ, l2_str) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_lidt) { L2_SVM(IDTR_WRITE, l2_lidt) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_lgdt) { L2_SVM(GDTR_WRITE, l2_lgdt) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_lldt) { L2_SVM(LDTR_WRITE, l2_lldt) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_ltr) { L2_SVM(TR_WRITE, l2_ltr) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_rdtsc) { L2_SVM(RDTSC, l2_rdtsc) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_rdtscp) { L2_SVM(RDTSCP, l2_rdtscp) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_pushf) { L2_SVM(PUSHF, l2_pushf) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_popf) { L2_SVM(POPF, l2_popf) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_iret) { L2_SVM(IRET, l2_iret) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_swint) { L2_SVM(SWINT, l2_swint) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_icebp) { L2_SVM(ICEBP, l2_icebp) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_pause) { L2_SVM(PAUSE, l2_pause) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_invlpga) { L2_SVM(INVLPGA, l2_invlpga) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_stgi) { L2_SVM(STGI, l2_stgi) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_clgi) { L2_SVM(CLGI, l2_clgi) };
FIXTURE_VARIANT_ADD(trigger, svm_l2_invlpg) { L2_SVM(INVLPG, invlpg_exit) };

FIXTURE_VARIANT_ADD(trigger, svm_l2_invpcid) {
	L2_SVM(INVPCID, invpcid_exit),
	.unavailable = no_invpcid,
};

FIXTURE_VARIANT_ADD(trigger, svm_l2_shutdown) {
	L2_SVM(SHUTDOWN, l2_triple_fault),
	.setup = init_gates,
};

FIXTURE_VARIANT_ADD(trigger, svm_l2_invalid_state) {
	L2_SVM(ERR, l2_nop),
	.l2_prepare = svm_prepare_invalid_state,
	.kvm_may_check = true,
};

/* L1 executes it, too, to enter L2. */
FIXTURE_VARIANT_ADD(trigger, svm_l2_vmrun) {
	L2_SVM(VMRUN, l2_vmrun),
	.times = 2,
};

FIXTURE_VARIANT_ADD(trigger, svm_l2_vintr) {
	L2_SVM(VINTR, l2_nop),
	.l2_rflags = EFLAGS_IF,
	.int_ctl = V_IRQ_MASK | V_INTR_PRIO_MASK,
};

FIXTURE_VARIANT_ADD(trigger, l2_de) { L2_EXCEPTION(DE_VECTOR, l2_divide) };
FIXTURE_VARIANT_ADD(trigger, l2_db) { L2_EXCEPTION(DB_VECTOR, single_step_exit) };
FIXTURE_VARIANT_ADD(trigger, l2_bp) { L2_EXCEPTION(BP_VECTOR, l2_int3) };
FIXTURE_VARIANT_ADD(trigger, l2_ud) { L2_EXCEPTION(UD_VECTOR, l2_ud2) };
FIXTURE_VARIANT_ADD(trigger, l2_nm) { L2_EXCEPTION(NM_VECTOR, l2_use_fpu) };

FIXTURE_VARIANT_ADD(trigger, l2_df) {
	L2_EXCEPTION(DF_VECTOR, l2_double_fault),
	.setup = init_gates_but_df,
};

FIXTURE_VARIANT_ADD(trigger, l2_np) {
	L2_EXCEPTION(NP_VECTOR, l2_not_present),
	.setup = init_gates,
};

FIXTURE_VARIANT_ADD(trigger, l2_ss) { L2_EXCEPTION(SS_VECTOR, l2_load_ss_not_present) };
FIXTURE_VARIANT_ADD(trigger, l2_gp) { L2_EXCEPTION(GP_VECTOR, l2_write_noncanonical) };
FIXTURE_VARIANT_ADD(trigger, l2_pf) { L2_EXCEPTION(PF_VECTOR, l2_write_unmapped) };
FIXTURE_VARIANT_ADD(trigger, l2_mf) { L2_EXCEPTION(MF_VECTOR, l2_divide_x87) };

FIXTURE_VARIANT_ADD(trigger, l2_xm) {
	L2_EXCEPTION(XM_VECTOR, l2_divide_sse),
	.setup = set_osxmmexcpt,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_interrupt_window) {
	L2_VMX(INTERRUPT_WINDOW, l2_nop),
	.l2_rflags = EFLAGS_IF,
	.cpu = CPU_BASED_INTR_WINDOW_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_nmi_window) {
	L2_VMX(NMI_WINDOW, l2_nop),
	.pin = PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS,
	.cpu = CPU_BASED_NMI_WINDOW_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_triple_fault) {
	L2_VMX(TRIPLE_FAULT, l2_triple_fault),
	.setup = init_gates,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_task_switch) {
	L2_VMX(TASK_SWITCH, NULL),
	.setup = init_l2_32bit,
	.l2_prepare = vmx_prepare_32bit,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_invalid_state) {
	L2_VMX(INVALID_STATE, l2_nop),
	.l2_prepare = vmx_prepare_invalid_state,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_monitor_trap_flag) {
	L2_VMX(MONITOR_TRAP_FLAG, l2_nop),
	.cpu = CPU_BASED_MONITOR_TRAP,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_hlt) {
	L2_VMX(HLT, l2_hlt),
	.cpu = CPU_BASED_HLT_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_invlpg) {
	L2_VMX(INVLPG, invlpg_exit),
	.cpu = CPU_BASED_INVLPG_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_invpcid) {
	L2_VMX(INVPCID, invpcid_exit),
	.unavailable = no_invpcid,
	.cpu = CPU_BASED_INVLPG_EXITING,
	.cpu2 = SECONDARY_EXEC_ENABLE_INVPCID,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_rdpmc) {
	L2_VMX(RDPMC, l2_rdpmc),
	.cpu = CPU_BASED_RDPMC_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_rdtsc) {
	L2_VMX(RDTSC, l2_rdtsc),
	.cpu = CPU_BASED_RDTSC_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_rdtscp) {
	L2_VMX(RDTSCP, l2_rdtscp),
	.cpu = CPU_BASED_RDTSC_EXITING,
	.cpu2 = SECONDARY_EXEC_ENABLE_RDTSCP,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_rdrand) {
	L2_VMX(RDRAND, l2_rdrand),
	.cpu2 = SECONDARY_EXEC_RDRAND_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_rdseed) {
	L2_VMX(RDSEED, l2_rdseed),
	.cpu2 = SECONDARY_EXEC_RDSEED_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_read_cr3) {
	L2_VMX(CR_ACCESS, l2_read_cr3),
	.cpu = CPU_BASED_CR3_STORE_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_write_cr3) {
	L2_VMX(CR_ACCESS, l2_write_cr3),
	.setup = save_cr3,
	.cpu = CPU_BASED_CR3_LOAD_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_read_cr8) {
	L2_VMX(CR_ACCESS, l2_read_cr8),
	.cpu = CPU_BASED_CR8_STORE_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_write_cr8) {
	L2_VMX(CR_ACCESS, l2_write_cr8),
	.cpu = CPU_BASED_CR8_LOAD_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_read_dr0) {
	L2_VMX(DR_ACCESS, l2_read_dr0),
	.cpu = CPU_BASED_MOV_DR_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_write_dr7) {
	L2_VMX(DR_ACCESS, l2_write_dr7),
	.cpu = CPU_BASED_MOV_DR_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_mwait) {
	L2_VMX(MWAIT_INSTRUCTION, mwait_exit),
	.cpu = CPU_BASED_MWAIT_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_monitor) {
	L2_VMX(MONITOR_INSTRUCTION, monitor_exit),
	.cpu = CPU_BASED_MONITOR_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_pause) {
	L2_VMX(PAUSE_INSTRUCTION, l2_pause),
	.cpu = CPU_BASED_PAUSE_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_tpr_below_threshold) {
	L2_VMX(TPR_BELOW_THRESHOLD, l2_write_cr8),
	.l2_prepare = vmx_prepare_tpr_shadow,
	.cpu = CPU_BASED_TPR_SHADOW,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_apic_access) {
	L2_VMX(APIC_ACCESS, l2_apic_access),
	.l2_prepare = vmx_prepare_apic_access,
	.cpu2 = SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_sgdt) {
	L2_VMX(GDTR_IDTR, l2_sgdt),
	.cpu2 = SECONDARY_EXEC_DESC,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_lidt) {
	L2_VMX(GDTR_IDTR, l2_lidt),
	.cpu2 = SECONDARY_EXEC_DESC,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_sldt) {
	L2_VMX(LDTR_TR, l2_sldt),
	.cpu2 = SECONDARY_EXEC_DESC,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_str) {
	L2_VMX(LDTR_TR, l2_str),
	.cpu2 = SECONDARY_EXEC_DESC,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_wbinvd) {
	L2_VMX(WBINVD, wbinvd_exit),
	.cpu2 = SECONDARY_EXEC_WBINVD_EXITING,
};

FIXTURE_VARIANT_ADD(trigger, vmx_l2_vmfunc) {
	L2_VMX(VMFUNC, l2_vmfunc),
	.cpu2 = SECONDARY_EXEC_ENABLE_VMFUNC,
};

/* The controls that this needs and KVM does not offer L1. */
static bool kvm_lacks_vmx_controls(FIXTURE_VARIANT(trigger) const *trigger)
{
	static const struct {
		u32 msr;
		size_t offset;
	} controls[] = {
		{ MSR_IA32_VMX_TRUE_PINBASED_CTLS, offsetof(FIXTURE_VARIANT(trigger), pin) },
		{ MSR_IA32_VMX_TRUE_PROCBASED_CTLS, offsetof(FIXTURE_VARIANT(trigger), cpu) },
		{ MSR_IA32_VMX_PROCBASED_CTLS2, offsetof(FIXTURE_VARIANT(trigger), cpu2) },
	};
	u32 needed, allowed;
	int i;

	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		needed = *(u32 *)((void *)trigger + controls[i].offset);
		allowed = kvm_get_feature_msr(controls[i].msr) >> 32;
		if (needed & ~allowed)
			return true;
	}

	return false;
}

static const char *why_unavailable(FIXTURE_VARIANT(trigger) const *trigger)
{
	if (!trigger_is_for_host(trigger))
		return NULL;
	if (!kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS))
		return "needs KVM_CAP_X86_EXIT_COUNTERS";
	if (trigger->paging == NEEDS_TDP && !kvm_is_tdp_enabled())
		return "needs nested paging";
	if (trigger->paging == NEEDS_SHADOW && kvm_is_tdp_enabled())
		return "needs shadow paging";
	if (trigger->unavailable && trigger->unavailable())
		return trigger->unavailable();
	if (!trigger->l2)
		return NULL;
	if (host_cpu_is_amd)
		return kvm_cpu_has(X86_FEATURE_SVM) ? NULL : "needs nested SVM";
	if (!kvm_cpu_has(X86_FEATURE_VMX))
		return "needs nested VMX";
	if (kvm_lacks_vmx_controls(trigger))
		return "needs a VMX control that KVM does not offer here";

	return NULL;
}

FIXTURE_SETUP(trigger)
{
	const char *why_not = why_unavailable(variant);
	typeof(self->vm->handlers) nested = 0;

	if (!trigger_is_for_host(variant))
		SKIP(return, "needs %s", host_cpu_is_amd ? "VMX" : "SVM");
	if (why_not) {
		report(variant, why_not);
		SKIP(return, "%s", why_not);
	}

	self->vm = vm_create(1);
	vm_enable_cap(self->vm, KVM_CAP_X86_EXIT_COUNTERS,
		      KVM_X86_EXIT_COUNTERS_CPUID);
	self->vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	if (kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER))
		vcpu_set_cpuid_feature(self->vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);

	vm_install_exception_handler(self->vm, NMI_VECTOR, nmi_handler);
	vm_install_exception_handler(self->vm, IRQ_VECTOR, irq_handler);
	vm_install_exception_handler(self->vm, DB_VECTOR, db_handler);
	vm_install_exception_handler(self->vm, BP_VECTOR, do_nothing);
	vm_install_exception_handler(self->vm, DF_VECTOR, df_handler);
	vm_install_exception_handler(self->vm, SWINT_VECTOR, do_nothing);

	virt_pg_map(self->vm, MMIO_GVA, MMIO_GPA);
	/* Anonymous memory is not backed by huge pages: one exit maps one page. */
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, PAGES_GPA,
				    PAGES_MEMSLOT, NR_PAGES, 0);
	virt_map(self->vm, PAGES_GVA, PAGES_GPA, NR_PAGES);

	if (host_cpu_is_amd && kvm_cpu_has(X86_FEATURE_SVM)) {
		vcpu_alloc_svm(self->vm, &nested);
	} else if (!host_cpu_is_amd && kvm_cpu_has(X86_FEATURE_VMX)) {
		prepare_virtualize_apic_accesses(vcpu_alloc_vmx(self->vm, &nested),
						 self->vm);
		l2_page_directory_gpa = addr_gva2gpa(self->vm, (u64)l2_page_directory);
		l2_32bit_page_gpa = addr_gva2gpa(self->vm, (u64)l2_32bit_page);
		sync_global_to_guest(self->vm, l2_page_directory_gpa);
		sync_global_to_guest(self->vm, l2_32bit_page_gpa);
	}

	vcpu_args_set(self->vcpu, 3, variant, nested, trigger_reason(variant));
	if (variant->host_setup)
		variant->host_setup(self->vcpu);

	exit_trace_start();
}

FIXTURE_TEARDOWN(trigger)
{
	exit_trace_stop();
	kvm_vm_free(self->vm);
}

static void assert_delta(FIXTURE_VARIANT(trigger) const *trigger, const char *what, u64 delta,
			 u64 want)
{
	TEST_ASSERT(delta == want || (trigger->at_least && delta > want),
		    "%s: counted %lu exits, wanted %s%lu", what, delta,
		    trigger->at_least ? "at least " : "", want);
}

static void print_deltas(const struct snapshot *before, const struct snapshot *after)
{
	u64 delta;
	int i;

	for (i = 0; i < NR_EXIT_BUCKETS; i++) {
		u32 reason = exit_bucket_to_reason(i);

		delta = after->counters.exits[i] - before->counters.exits[i];
		if (delta)
			ksft_print_msg("exit reason 0x%x (%s): %lu\n", reason,
				       exit_reason_name(reason), delta);
	}
}

#define NOT_INTERCEPTED		"the emulated processor does not intercept it"
#define KVM_CHECKS		"KVM finds it before the processor does"

/*
 * Real processors intercept all that they must, those that software emulates may
 * not.  Let the oracle and the stat exits prove that there was no exit to count.
 */
static bool processor_lacks_intercept(FIXTURE_VARIANT(trigger) const *trigger,
				      const struct snapshot *snapshot)
{
	int bucket = exit_bucket(trigger_reason(trigger));

	if (!this_cpu_has(X86_FEATURE_HYPERVISOR) || snapshot->counters.exits[bucket])
		return false;

	assert_oracle_agrees(snapshot);
	TEST_ASSERT_EQ(sum_of_reasons(snapshot), snapshot->exits);
	return true;
}

TEST_F(trigger, is_counted_once)
{
	u32 reason = trigger_reason(variant);
	const char *name = exit_reason_name(reason);
	u64 want = NR_TRIGGERS * (variant->times ?: 1);
	u64 total, interrupts, delta, vectors = 0;
	struct snapshot before, after;
	enum stage stage;
	struct ucall uc;
	int i, bucket;

	TEST_ASSERT_EQ(run_to_stage(self->vcpu, &uc), STAGE_TOTAL);

	stage = run_to_stage(self->vcpu, &uc);
	take_snapshot(self->vcpu, &before);
	if (stage == STAGE_NOT_INTERCEPTED) {
		TEST_ASSERT(processor_lacks_intercept(variant, &before),
			    "%s: L2 did not exit", name);
		report(variant, NOT_INTERCEPTED);
		SKIP(return, NOT_INTERCEPTED);
	}
	TEST_ASSERT_EQ(stage, STAGE_READY);

	TEST_ASSERT_EQ(run_to_stage(self->vcpu, &uc), STAGE_TRIGGERED);
	take_snapshot(self->vcpu, &after);

	print_deltas(&before, &after);

	/* The ucall is an I/O exit, too. */
	bucket = exit_bucket(reason);
	delta = after.counters.exits[bucket] - before.counters.exits[bucket];
	if (reason == io_exit_reason())
		delta--;

	if (!delta && variant->kvm_may_check) {
		assert_oracle_agrees(&after);
		TEST_ASSERT_EQ(sum_of_reasons(&after), after.exits);
		report(variant, KVM_CHECKS);
		SKIP(return, KVM_CHECKS);
	}

	if (!delta && processor_lacks_intercept(variant, &after)) {
		report(variant, NOT_INTERCEPTED);
		SKIP(return, NOT_INTERCEPTED);
	}

	for (i = 0; i < NR_EXCEPTION_VECTORS; i++)
		vectors += after.counters.exceptions[i] - before.counters.exceptions[i];

	if (!variant->is_exception) {
		assert_delta(variant, name, delta, want);
	} else {
		/* The reason covers all vectors on VMX, and just this one on SVM. */
		assert_delta(variant, name, delta,
			     host_cpu_is_amd ? want : vectors);
		assert_delta(variant, "This vector",
			     after.counters.exceptions[variant->vector] -
			     before.counters.exceptions[variant->vector], want);
	}

	TEST_ASSERT_EQ(run_to_stage(self->vcpu, &uc), STAGE_TOTAL);
	take_snapshot(self->vcpu, &after);

	/*
	 * The guest read the total last but for one read of external interrupts,
	 * and the ucall.
	 */
	total = uc.args[2];
	interrupts = after.counters.exits[exit_bucket(interrupt_exit_reason())] -
		     uc.args[3];
	TEST_ASSERT(sum_of_reasons(&after) == total + 2 + interrupts,
		    "All reasons: counted %lu, the guest saw %lu before 2 others and %lu interrupts",
		    sum_of_reasons(&after), total, interrupts);

	/* No entry failed, and none was for KVM to emulate invalid guest state. */
	TEST_ASSERT(sum_of_reasons(&after) == after.exits,
		    "All reasons: counted %lu, the stat exits has %lu",
		    sum_of_reasons(&after), after.exits);

	assert_oracle_agrees(&after);
	report(variant, NULL);
}

/*
 * Where the counters and the stat "exits" differ: without unrestricted guests, KVM
 * does not enter a guest whose state is invalid for VMX, but emulates it.  The stat
 * counts each attempt, the counters only VM-Exits that happened.
 */
#define NR_EMULATED		8

static void guest_out_forever(void)
{
	for (;;)
		io_out_exit();
}

TEST(emulation_is_no_exit)
{
	struct snapshot before, after;
	struct kvm_sregs sregs;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 emulated;
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));
	if (host_cpu_is_amd)
		SKIP(return, "needs VMX");
	if (get_kvm_intel_param_bool("unrestricted_guest"))
		SKIP(return, "needs KVM without unrestricted guests");

	vm = vm_create_with_one_vcpu(&vcpu, guest_out_forever);
	exit_trace_start();
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	vcpu_run_complete_io(vcpu);

	vcpu_sregs_get(vcpu, &sregs);
	sregs.tr.unusable = 1;
	vcpu_sregs_set(vcpu, &sregs);
	take_snapshot(vcpu, &before);
	for (i = 0; i < NR_EMULATED; i++) {
		vcpu_run(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	}
	take_snapshot(vcpu, &after);

	emulated = after.exits - before.exits;
	TEST_ASSERT(emulated >= NR_EMULATED,
		    "The stat exits counted %lu attempts, wanted at least %d", emulated,
		    NR_EMULATED);
	TEST_ASSERT(sum_of_reasons(&after) == sum_of_reasons(&before),
		    "Counted %lu exits while KVM emulated", sum_of_reasons(&after) -
		    sum_of_reasons(&before));

	/* Once the state is valid again, both count the same. */
	vcpu_run_complete_io(vcpu);
	sregs.tr.unusable = 0;
	vcpu_sregs_set(vcpu, &sregs);
	take_snapshot(vcpu, &before);
	for (i = 0; i < NR_EMULATED; i++) {
		vcpu_run(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	}
	take_snapshot(vcpu, &after);
	TEST_ASSERT(sum_of_reasons(&after) - sum_of_reasons(&before) ==
		    after.exits - before.exits,
		    "Counted %lu exits, the stat exits counted %lu",
		    sum_of_reasons(&after) - sum_of_reasons(&before),
		    after.exits - before.exits);

	assert_oracle_agrees(&after);
	exit_trace_stop();
	kvm_vm_free(vm);
}

/*
 * Coverage.  What no case triggers, by name, because not every kernel that this
 * test is for knows them all.
 */
static const struct not_triggered {
	const char *name;
	const char *why;
} not_triggered[] = {
	/* VMX */
	{ "INIT_SIGNAL",	"needs an INIT signal to the physical CPU" },
	{ "SIPI_SIGNAL",	"needs a physical CPU that waits for a SIPI in the guest" },
	{ "MSR_LOAD_FAIL",	"needs KVM to load an MSR with an invalid value" },
	{ "MCE_DURING_VMENTRY",	"needs a machine check" },
	{ "EOI_INDUCED",	"needs virtual-interrupt delivery" },
	{ "APIC_WRITE",		"needs APIC-register virtualization" },
	{ "ENCLS",		"needs SGX" },
	{ "PML_FULL",		"needs page-modification logging" },
	{ "XSAVES",		"needs KVM to intercept a supervisor state component" },
	{ "XRSTORS",		"needs KVM to intercept a supervisor state component" },
	{ "UMWAIT",		"needs WAITPKG" },
	{ "TPAUSE",		"needs WAITPKG" },
	{ "BUS_LOCK",		"needs bus-lock detection" },
	{ "NOTIFY",		"needs a guest that stalls the CPU" },
	{ "SEAMCALL",		"needs TDX" },
	{ "TDCALL",		"needs TDX" },
	{ "MSR_READ_IMM",	"needs RDMSR with an immediate operand" },
	{ "MSR_WRITE_IMM",	"needs WRMSRNS with an immediate operand" },

	/* SVM */
	{ "read_dr4",		"needs an alias of DR6 that reports itself" },
	{ "read_dr5",		"needs an alias of DR7 that reports itself" },
	{ "write_dr4",		"needs an alias of DR6 that reports itself" },
	{ "write_dr5",		"needs an alias of DR7 that reports itself" },
	{ "OF excp",		"needs a 32-bit guest" },
	{ "BR excp",		"needs a 32-bit guest" },
	{ "TS excp",		"needs a 32-bit guest" },
	{ "AC excp",		"needs a guest at CPL 3" },
	{ "MC excp",		"needs a machine check" },
	{ "nmi",		"needs an NMI of the physical CPU" },
	{ "smi",		"needs an SMI of the physical CPU" },
	{ "init",		"needs an INIT signal to the physical CPU" },
	{ "task_switch",	"needs a 32-bit guest" },
	{ "ferr_freeze",	"needs x87 errors as interrupts, with CR0.NE clear" },
	{ "write_efer_trap",	"needs an SEV-ES guest" },
	{ "write_cr0_trap",	"needs an SEV-ES guest" },
	{ "write_cr4_trap",	"needs an SEV-ES guest" },
	{ "write_cr8_trap",	"needs an SEV-ES guest" },
	{ "buslock",		"needs the bus lock threshold" },
	{ "idle-halt",		"needs the idle HLT intercept" },
	{ "avic_incomplete_ipi", "needs AVIC" },
	{ "avic_unaccelerated_access", "needs AVIC" },
	{ "vmgexit",		"needs an SEV-ES guest" },

	/* What the guest asks for in a VMGEXIT, the processor never reports. */
	{ "vmgexit_mmio_read",	"needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_mmio_write",	"needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_nmi_complete", "needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_ap_hlt_loop", "needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_ap_jump_table", "needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_page_state_change", "needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_guest_request", "needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_ext_guest_request", "needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_ap_creation", "needs an SEV-ES guest, and is no exit code" },
	{ "vmgexit_hypervisor_feature", "needs an SEV-ES guest, and is no exit code" },

	/* Exception vectors */
	{ "NMI",		"needs an NMI of the physical CPU" },
	{ "#OF",		"needs a 32-bit guest" },
	{ "#BR",		"needs a 32-bit guest" },
	{ "#TS",		"needs a 32-bit guest" },
	{ "#AC",		"needs a guest at CPL 3" },
	{ "#MC",		"needs a machine check" },
	{ "#VE",		"needs a control that turns EPT violations into #VE" },
	{ "#CP",		"needs CET" },
	{ "#HV",		"needs SEV-SNP" },
	{ "#VC",		"needs SEV-ES" },
	{ "#SX",		"needs redirection of INIT" },
};

static const char *why_not_triggered(const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(not_triggered); i++) {
		if (!strcmp(not_triggered[i].name, name))
			return not_triggered[i].why;
	}

	return NULL;
}

/* Whether there is a case for @code, or for @vector if that is not negative. */
static bool has_case(u32 code, int vector)
{
	struct __fixture_variant_metadata *variant;

	for (variant = _trigger_fixture_object.variant; variant; variant = variant->next) {
		FIXTURE_VARIANT(trigger) const *trigger = variant->data;

		if (!trigger_is_for_host(trigger))
			continue;
		if (vector < 0 ? trigger_reason(trigger) == code :
				 trigger->is_exception && trigger->vector == vector)
			return true;
	}

	return false;
}

/* Return whether this was triggered. */
static bool print_coverage(const char *code, const char *name, bool has_case,
			   const struct result *result)
{
	const char *why_not = why_not_triggered(name);

	TEST_ASSERT(has_case || why_not,
		    "No case triggers exit reason %s (%s), nor is there a reason why not; please update this test",
		    code, name);
	TEST_ASSERT(!has_case || !why_not,
		    "A case triggers exit reason %s (%s), and it has a reason why not: %s",
		    code, name, why_not);

	if (result->triggered)
		why_not = "triggered";
	else if (has_case)
		why_not = result->why_not[0] ? result->why_not : "its case did not pass";

	printf("coverage\t%s\t%s\t%s\t%s\n", host_cpu_is_amd ? "svm" : "vmx", code, name,
	       why_not);

	return result->triggered;
}

/* Defined last, because it is to run last. */
FIXTURE(coverage) {
};

FIXTURE_SETUP(coverage)
{
}

FIXTURE_TEARDOWN(coverage)
{
}

TEST_F(coverage, is_complete)
{
	int i, nr, nr_exits = 0, nr_vectors = 0;
	const struct known_exit *known;
	char code[16];

	known = known_exits(&nr);
	for (i = 0; i < nr; i++) {
		snprintf(code, sizeof(code), host_cpu_is_amd ? "0x%03x" : "%u",
			 (u32)known[i].code);
		nr_exits += print_coverage(code, known[i].name,
					   has_case(known[i].code, -1),
					   &shared->exits[i]);
	}

	for (i = 0; i < NR_EXCEPTION_VECTORS; i++) {
		if (!exception_name(i))
			continue;
		snprintf(code, sizeof(code), "exc%d", i);
		nr_vectors += print_coverage(code, exception_name(i), has_case(0, i),
					     &shared->vectors[i]);
	}
	fflush(stdout);

	ksft_print_msg("%d of %d exit reasons triggered, and %d exception vectors\n",
		       nr_exits, nr, nr_vectors);
}

int main(int argc, char *argv[])
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(shared != MAP_FAILED, "mmap() failed: %s", strerror(errno));

	return test_harness_run(argc, argv);
}
