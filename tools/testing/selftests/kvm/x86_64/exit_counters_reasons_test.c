// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trigger nearly every exit reason that VMX and SVM have, and verify that KVM's
 * exit counters count each exactly once.
 *
 * A row of triggers[] is a case.  It triggers its reason a known number of times between
 * two ucalls, and the host compares the counters at the two.  Exits that L1 cannot cause
 * by itself come from L2: L1 sets the VMX controls or SVM intercepts, and L2 executes
 * what they intercept.  Compare all counters of every case with an independent oracle,
 * the kvm_exit tracepoint as sampled by perf, with the guest's own view, and with the
 * stat "exits".
 *
 * For programs, print a line with tabs per case: "trigger", isa, exit code or exc<vector>,
 * case, and "triggered" or the reason why not.
 */
#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "apic.h"
#include "exit_counters.h"
#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"
#include "vmx.h"

#define NR_TRIGGERS		8
/* VMLAUNCH differs from VMRESUME, and so on. */
#define NR_WARM_UPS		2
/* How often to try until the host adds nothing to what the guest does. */
#define MAX_STAGES		20
#define CASE_SECONDS		60

#define MMIO_GPA		0xd0000000ull
#define IOAPIC_GPA		0xfec00000ull
#define IOAPIC_WINDOW		0x10
#define IOAPIC_FIRST_ENTRY	0x10
#define IOAPIC_LEVEL		BIT(15)
#define PAGES_GVA		0xc0000000ull
#define PAGES_GPA		0x80000000ull
#define PAGES_MEMSLOT		10
/* One more than page-modification logging has room for. */
#define NR_PAGES		513
/* Nothing maps this, and nothing can. */
#define UNMAPPED_GVA		0xbad000000ull
#define NONCANONICAL_GVA	0xaaaaaaaaaaaaaaaaull

#define IRQ_VECTOR		0x40
#define EOI_VECTOR		0x41
#define SWINT_VECTOR		0x50
#define FAR_FUTURE_TSC		BIT_ULL(62)
#define TIMER_CYCLES		20000
#define MAX_TIMER_CYCLES	20000000ul
#define POLL_CYCLES		200000
#define MAX_ATTEMPTS		1000
/* Long enough for slow machines to get to the guest between two. */
#define HOST_TIMER_USECS	10000
#define L2_STACK_TOP		(&l2_stack[ARRAY_SIZE(l2_stack) - 1])

#define EFLAGS_TF		BIT(8)
#define EFLAGS_IF		BIT(9)
#define EFLAGS_OF		BIT(11)
#define EFLAGS_AC		BIT(18)
#define DR6_INIT		0xffff0ff0ul
#define DR7_INIT		0x400ul

/* A gate for 64-bit code, were it present. */
#define NOT_PRESENT_GATE	(0x0eull << 40)
#define GATE_IST1		BIT_ULL(32)
/* Writable data, were it present. */
#define NOT_PRESENT_DATA	(0x12ull << 40)

enum stage {
	STAGE_READY,
	STAGE_TRIGGERED,
	/* The host is to clean its log of dirty pages. */
	STAGE_CLEAN,
	/* L2 exited for something else. */
	STAGE_NOT_INTERCEPTED,
	STAGE_TOTAL,
};

/*
 * What triggers an exit reason: a function that the guest calls, L1 unless there
 * is anything for L1 to intercept, and what it needs.
 */
struct trigger {
	const char *name;
	bool on_vmx, on_svm;
	u32 vmx, svm;
	/* What it may be instead, depending on the processor; 0 if nothing. */
	u32 vmx_or, svm_or;
	/* Count by this vector instead; VMX has one exit reason for all. */
	bool is_exception;
	u8 vector;

	void (*exit)(void);
	/* Run by L1 once, first of all, and by the host once, before the guest. */
	void (*setup)(void);
	void (*host_setup)(struct kvm_vcpu *vcpu);

	/* Needed: nested VMX or SVM; Intel's and AMD's parameters; what the CPU has. */
	bool nested;
	const char *on[2], *off[2];
	bool (*available)(void);
	const char *what;

	/* Exits per call, 1 if not set. */
	u8 times;
	/* The guest is of no use after it. */
	bool once;
	/* Hardware or the host decides how many exits there are. */
	bool at_least;
	/* The host may unmap at any time what the guest touches. */
	bool host_may_add;
	/* KVM may find on its own what the processor would exit for. */
	bool kvm_may_check;

	/* Run by L2, maybe as 32-bit code of this CPL, and what L1 intercepts. */
	bool l2;
	const char *code32;
	size_t code32_size;
	u8 cpl;
	u64 l2_rflags;
	/* Run by L1 each time before it enters L2. */
	void (*l2_prepare)(void);
	/* VMX controls, and SVM's virtual interrupts. */
	u32 pin, cpu, cpu2;
	u32 int_ctl;
};

static u32 trigger_reason(const struct trigger *t)
{
	return host_cpu_is_amd ? t->svm : t->vmx;
}

static u32 other_reason(const struct trigger *t)
{
	return host_cpu_is_amd ? t->svm_or : t->vmx_or;
}

/*
 * The guest's side.
 */
static struct vmx_pages *vmx;
static struct svm_test_data *svm;
static void (*l2_exit)(void);

static u64 guest_exits(u32 reason)
{
	return guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON, reason).exits;
}

/* What runs now, and how many exits it has triggered, or the host has added. */
static const struct trigger *running;

static u64 guest_triggered(void)
{
	return guest_exits(trigger_reason(running)) +
	       (other_reason(running) ? guest_exits(other_reason(running)) : 0);
}

/*
 * Tell the host how many exits there were, counted last.  Not inlined, so that the
 * first call maps all code and data, and no later one exits for that.
 */
static noinline void guest_sync_total(void)
{
	u64 others = guest_unasked_exits();

	GUEST_SYNC_ARGS(STAGE_TOTAL, others,
			guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0).exits, 0, 0);
}

#define DEFINE_FN(name, ...)						\
static void name(void) { __VA_ARGS__; }

#define DEFINE_HANDLER(name, ...)					\
static void name(struct ex_regs *regs) { __VA_ARGS__; }

#define DEFINE_INSN(name, insn, ...)					\
static void name(void) { asm volatile(insn : __VA_ARGS__); }

/* What may raise #UD after the exit, where KVM or the processor does not offer it. */
#define DEFINE_SAFE_INSN(name, insn, ...)				\
static void name(void) { kvm_asm_safe(insn, __VA_ARGS__); }

#define DEFINE_REG(reg, val)						\
static void write_##reg(void)						\
{ asm volatile("mov %0, %%" #reg :: "r"((u64)(val)) : "memory"); }	\
static void read_##reg(void)						\
{ asm volatile("mov %%" #reg ", %0" : "=r"(scratch)); }

DEFINE_FN(l1_vmxon, GUEST_ASSERT(prepare_for_vmx_operation(vmx)))
DEFINE_FN(l2_code, l2_exit(); kvm_hypercall(0, 0, 0, 0, 0))

/*
 * L2 as 32-bit code in a page of its own, with PAE paging that maps the first GiB to
 * itself for all CPLs.
 */
#define CODE_32BIT_AR		0xc09b
#define DATA_32BIT_AR		0xc093
#define AR_DPL_SHIFT		5
#define FLAT_CODE_32BIT		0x00cf9b000000ffffull
#define FLAT_DATA		0x00cf93000000ffffull
#define AVAILABLE_TSS		0x0000890000000067ull
#define PDE_LARGE_USER		0x87ull
#define PDPTE_PRESENT		0x1ull

static struct {
	u64 page_directory[PAGE_SIZE / sizeof(u64)];
	u64 pdptes[4];
	u64 gdt[4];
	char code[32];
} l2_32bit __aligned(PAGE_SIZE) = {
	.gdt = { 0, FLAT_CODE_32BIT, FLAT_DATA, AVAILABLE_TSS },
};

/* Of the page directory, and of the page with all else. */
static u64 l2_32bit_gpas[2];

static u64 l2_32bit_gpa(const void *p)
{
	return l2_32bit_gpas[1] + (unsigned long)p % PAGE_SIZE;
}

static void l1_init_l2_32bit(const struct trigger *t)
{
	const char *end = host_cpu_is_amd ? "\x0f\x01\xd9" : "\x0f\x01\xc1";
	u32 code = CODE_32BIT_AR | t->cpl << AR_DPL_SHIFT;
	u32 data = DATA_32BIT_AR | t->cpl << AR_DPL_SHIFT;
	u64 i;

	for (i = 0; i < ARRAY_SIZE(l2_32bit.page_directory); i++)
		l2_32bit.page_directory[i] = (i << 21) | PDE_LARGE_USER;
	memcpy(l2_32bit.code, t->code32, t->code32_size);
	memcpy(l2_32bit.code + t->code32_size, end, strlen(end));

	if (host_cpu_is_amd) {
		struct vmcb_save_area *save = &svm->vmcb->save;

		save->efer &= ~(EFER_LME | EFER_LMA);
		save->cr0 |= X86_CR0_AM;
		save->cr3 = l2_32bit_gpa(l2_32bit.pdptes);
		save->gdtr.base = l2_32bit_gpa(l2_32bit.gdt);
		save->gdtr.limit = sizeof(l2_32bit.gdt) - 1;
		/* SVM's format has no gap between P and AVL. */
		save->cs.attrib = (code & 0xff) | (code >> 4 & 0xf00);
		save->ss.attrib = (data & 0xff) | (data >> 4 & 0xf00);
		save->cpl = t->cpl;
		return;
	}

	vmwrite(VM_ENTRY_CONTROLS, vmreadz(VM_ENTRY_CONTROLS) & ~VM_ENTRY_IA32E_MODE);
	vmwrite(GUEST_CR0, vmreadz(GUEST_CR0) | X86_CR0_AM);
	vmwrite(GUEST_CR3, l2_32bit_gpa(l2_32bit.pdptes));
	vmwrite(GUEST_GDTR_BASE, l2_32bit_gpa(l2_32bit.gdt));
	vmwrite(GUEST_GDTR_LIMIT, sizeof(l2_32bit.gdt) - 1);
	vmwrite(GUEST_CS_SELECTOR, get_cs() | t->cpl);
	vmwrite(GUEST_CS_AR_BYTES, code);
	vmwrite(GUEST_SS_SELECTOR, get_ss() | t->cpl);
	vmwrite(GUEST_SS_AR_BYTES, data);
}

static unsigned long l2_stack[512];
static bool l2_launched;

static void svm_intercept(u32 code)
{
	/* Intercepts and exit codes have the same numbers. */
	if (code < SVM_EXIT_NPF)
		((u32 *)&svm->vmcb->control)[code / 32] |= BIT(code % 32);
}

static void l1_init_l2(const struct trigger *t)
{
	l2_exit = t->exit;

	if (host_cpu_is_amd) {
		generic_svm_setup(svm, l2_code);
		svm_intercept(t->svm);
		svm_intercept(t->svm_or ?: t->svm);
		/* What is not intercepted may end so. */
		svm_intercept(SVM_EXIT_SHUTDOWN);
	} else {
		l1_vmxon();
		GUEST_ASSERT(load_vmcs(vmx));
		prepare_vmcs(vmx, l2_code);
		vmwrite(PIN_BASED_VM_EXEC_CONTROL, vmreadz(PIN_BASED_VM_EXEC_CONTROL) | t->pin);
		vmwrite(CPU_BASED_VM_EXEC_CONTROL, vmreadz(CPU_BASED_VM_EXEC_CONTROL) | t->cpu |
			CPU_BASED_USE_MSR_BITMAPS);
		vmwrite(SECONDARY_VM_EXEC_CONTROL, t->cpu2);
		if (t->is_exception)
			vmwrite(EXCEPTION_BITMAP, BIT(t->vector));
		/* Let the exception bitmap alone decide about page faults. */
		vmwrite(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	}

	if (t->code32)
		l1_init_l2_32bit(t);
}

/*
 * Enter L2 anew, always at its first instruction, so that there is no need to know
 * how long the instruction is that exited.  Return what L2 exited for.
 */
static u32 l1_run_l2(const struct trigger *t)
{
	u64 rip = t->code32 ? l2_32bit_gpa(l2_32bit.code) : (unsigned long)l2_code;
	u64 rflags = X86_EFLAGS_FIXED | t->l2_rflags;
	u32 reason;

	if (host_cpu_is_amd) {
		svm->vmcb->save.rip = rip;
		svm->vmcb->save.rsp = (u64)L2_STACK_TOP;
		svm->vmcb->save.rflags = rflags;
		svm->vmcb->control.int_state = 0;
		/* The processor writes it, too. */
		svm->vmcb->control.int_ctl |= t->int_ctl;
	} else {
		vmwrite(GUEST_RIP, rip);
		vmwrite(GUEST_RSP, (u64)L2_STACK_TOP);
		vmwrite(GUEST_RFLAGS, rflags);
		vmwrite(GUEST_INTERRUPTIBILITY_INFO, 0);
		vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	}

	/* Emulated processors may set a bit in it that real ones reserve. */
	l2_32bit.pdptes[0] = l2_32bit_gpas[0] | PDPTE_PRESENT;
	if (t->l2_prepare)
		t->l2_prepare();

	if (host_cpu_is_amd) {
		run_guest(svm->vmcb, svm->vmcb_gpa);
		return svm->vmcb->control.exit_code;
	}

	GUEST_ASSERT(!(l2_launched ? vmresume() : vmlaunch()));
	reason = vmreadz(VM_EXIT_REASON);
	l2_launched |= !(reason & EXIT_REASON_FAILED_VMENTRY);

	return reason & 0xffff;
}

/* Written by the host, and not a constant that lets a compiler unroll loops. */
static int nr_triggers = NR_WARM_UPS;
static bool done;

static void guest_code(const struct trigger *t, void *nested)
{
	int i, stage;
	u32 reason;

	running = t;
	vmx = nested;
	svm = nested;

	if (t->setup)
		t->setup();
	if (t->l2)
		l1_init_l2(t);
	guest_sync_total();

	/* Let all code and data that a trigger and a ucall touch be mapped first. */
	for (stage = STAGE_READY; !READ_ONCE(done); stage = STAGE_TRIGGERED) {
		for (i = 0; i < READ_ONCE(nr_triggers); i++) {
			reason = trigger_reason(t);
			if (t->l2)
				reason = l1_run_l2(t);
			else
				t->exit();
			if (reason != trigger_reason(t) &&
			    (!other_reason(t) || reason != other_reason(t)))
				GUEST_SYNC_ARGS(STAGE_NOT_INTERCEPTED, reason, 0, 0, 0);
		}
		GUEST_SYNC(stage);
	}

	guest_sync_total();
}

/*
 * Triggers that L1 can pull by itself.
 */
static u64 zeros[2], apicbase, cr3, scratch;
static u32 watched;
static struct desc_ptr table;
static u16 selector;

DEFINE_INSN(cpuid_exit, "cpuid", : "a"(0), "c"(0) : "ebx", "edx")
DEFINE_INSN(invd, "invd", : : "memory")
DEFINE_INSN(wbinvd_exit, "wbinvd", : : "memory")
DEFINE_INSN(invlpg_exit, "invlpg (%0)", : "r"(PAGES_GVA) : "memory")
DEFINE_INSN(invpcid, "invpcid %0, %1", : "m"(zeros), "r"(2ul) : "memory")
DEFINE_INSN(monitor, "monitor", : "a"(PAGES_GVA), "c"(0), "d"(0))
DEFINE_INSN(mwait, "mwait", : "a"(0), "c"(0))
DEFINE_INSN(int3, "int3")
DEFINE_INSN(sgdt, "sgdt %0", "=m"(table))
DEFINE_INSN(sldt, "sldt %0", "=m"(selector))
DEFINE_SAFE_INSN(rdpmc_exit, "rdpmc", "c"(0))
DEFINE_SAFE_INSN(ud2_exit, "ud2")
DEFINE_SAFE_INSN(rsm, "rsm")
DEFINE_SAFE_INSN(skinit, "skinit %%eax", "a"(0))
/* Host interrupts exit whatever RFLAGS.IF is, but Bochs lets them wait for it. */
DEFINE_INSN(enable_interrupts, "sti")
DEFINE_INSN(open_window, "sti; nop; cli")
/* Single-step the NOP. */
DEFINE_INSN(single_step, "pushf; orl %0, (%%rsp); popf; nop",
	    : "i"(EFLAGS_TF) : "cc", "memory")

DEFINE_FN(wrmsr_setup, apicbase = rdmsr(MSR_IA32_APICBASE))
DEFINE_FN(wrmsr_exit, wrmsr(MSR_IA32_APICBASE, apicbase))
DEFINE_FN(tsc_deadline_setup, x2apic_enable();
	  x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | APIC_LVT_MASKED))
/* KVM handles this without leaving its inner run loop where it can. */
DEFINE_FN(tsc_deadline_exit, wrmsr(MSR_IA32_TSC_DEADLINE, FAR_FUTURE_TSC))

static int irqs, nmis, nr_touched;

DEFINE_HANDLER(irq_handler, WRITE_ONCE(irqs, irqs + 1); x2apic_write_reg(APIC_EOI, 0))
/* Make KVM wait for the guest to enable interrupts. */
DEFINE_FN(interrupt_window_exit,
	  x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | IRQ_VECTOR); open_window())

DEFINE_FN(send_nmi, x2apic_write_reg(APIC_ICR, APIC_INT_ASSERT | APIC_DM_NMI))

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

DEFINE_FN(mmio_exit, READ_ONCE(*(u32 *)MMIO_GPA))
DEFINE_FN(touch_page, WRITE_ONCE(*(u32 *)(PAGES_GVA + nr_touched++ * PAGE_SIZE), 1))
DEFINE_FN(xsetbv_setup, set_cr4(get_cr4() | X86_CR4_OSXSAVE))
DEFINE_FN(xsetbv_exit, xsetbv(0, xgetbv(0)))
/* KVM lets the guest own neither bit. */
DEFINE_INSN(cr0_write_exit, "mov %0, %%cr0", : "r"(get_cr0() ^ X86_CR0_AM) : "memory")
DEFINE_FN(cr4_write_exit, set_cr4(get_cr4() ^ X86_CR4_VME))
DEFINE_HANDLER(resume_handler, regs->rflags &= ~EFLAGS_TF)

static void guest_debug(struct kvm_vcpu *vcpu)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP |
			   KVM_GUESTDBG_USE_HW_BP,
		.arch.debugreg[0] = (unsigned long)&watched,
		/* Global, exact, writes, four bytes. */
		.arch.debugreg[7] = 0x000d0602,
	};

	vcpu_guest_debug_set(vcpu, &debug);
}

DEFINE_FN(watchpoint_exit, WRITE_ONCE(watched, 1))

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

	signal(SIGPROF, ignore_signal);
	TEST_ASSERT(!setitimer(ITIMER_PROF, &timer, NULL), "setitimer() failed: %s",
		    strerror(errno));
}

/* The host or hardware decides whether there is an exit.  Try until there is one. */
static void until_exit(void (*attempt)(void))
{
	u64 last = guest_triggered();
	int i;

	for (i = 0; i < MAX_ATTEMPTS && guest_triggered() == last; i++)
		attempt();

	__GUEST_ASSERT(guest_triggered() != last, "None in %d attempts", MAX_ATTEMPTS);
}

DEFINE_INSN(wait_for_host, "mov %0, %%eax; 1: dec %%eax; jnz 1b", : "i"(POLL_CYCLES) : "eax", "cc")
DEFINE_FN(external_interrupt_exit, until_exit(wait_for_host))

DEFINE_FN(timer_setup, x2apic_enable();
	  x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | IRQ_VECTOR))

static u64 timer_cycles = TIMER_CYCLES;
DEFINE_FN(set_timer, wrmsr(MSR_IA32_TSC_DEADLINE, rdtsc() + timer_cycles))

/* It may expire outside of the guest, if that exits for something else before. */
static void expire_timer(void)
{
	int seen = READ_ONCE(irqs);

	set_timer();
	enable_interrupts();
	while (READ_ONCE(irqs) == seen)
		barrier();
	asm volatile("cli");
	/* To set it may have taken longer than that, above all in a nested guest. */
	timer_cycles = min(2 * timer_cycles, MAX_TIMER_CYCLES);
}

/* If it has expired before, the idle-HLT intercept does not exit, but nothing halts. */
DEFINE_FN(halt, set_timer(); asm volatile("sti; hlt; cli"))
DEFINE_FN(halt_exit, until_exit(halt))
DEFINE_FN(preemption_timer_exit, until_exit(expire_timer))

static void log_dirty_pages(struct kvm_vcpu *vcpu)
{
	vm_mem_region_set_flags(vcpu->vm, PAGES_MEMSLOT, KVM_MEM_LOG_DIRTY_PAGES);
}

/* Every exit empties the log, also one that the host causes before the log is full. */
static void dirty_pages(void)
{
	int i;

	GUEST_SYNC(STAGE_CLEAN);
	for (i = 0; i < NR_PAGES; i++)
		WRITE_ONCE(*(u32 *)(PAGES_GVA + i * PAGE_SIZE), 1);
}

DEFINE_FN(pml_full_exit, until_exit(dirty_pages))

DEFINE_FN(apic_write_exit, xapic_write_reg(APIC_LVTT, APIC_LVT_MASKED))
DEFINE_HANDLER(eoi_handler, xapic_write_reg(APIC_EOI, 0))

/* KVM wants to know the EOI of any vector that an I/O APIC has for a level. */
static void eoi_setup(void)
{
	xapic_enable();
	WRITE_ONCE(*(u32 *)(IOAPIC_GPA), IOAPIC_FIRST_ENTRY);
	WRITE_ONCE(*(u32 *)(IOAPIC_GPA + IOAPIC_WINDOW), IOAPIC_LEVEL | EOI_VECTOR);
}

DEFINE_FN(eoi_exit,
	  xapic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | EOI_VECTOR); open_window())

DEFINE_FN(umip_setup, set_cr4(get_cr4() | X86_CR4_UMIP))
/* VMX instructions.  VMLAUNCH and VMRESUME fail, as no VMCS is current. */
DEFINE_INSN(vmlaunch_exit, "vmlaunch", : : "cc", "memory")
DEFINE_INSN(vmresume_exit, "vmresume", : : "cc", "memory")
DEFINE_SAFE_INSN(invept_exit, "invept %[desc], %[type]", [desc]"m"(zeros), [type]"r"(2ul))
DEFINE_SAFE_INSN(invvpid_exit, "invvpid %[desc], %[type]", [desc]"m"(zeros), [type]"r"(2ul))

DEFINE_FN(vmclear_exit, vmclear(vmx->shadow_vmcs_gpa))
DEFINE_FN(vmptrld_setup, l1_vmxon(); GUEST_ASSERT(load_vmcs(vmx)))
DEFINE_FN(vmptrld_exit, GUEST_ASSERT(!vmptrld(vmx->vmcs_gpa)))
DEFINE_FN(vmptrst_exit, GUEST_ASSERT_EQ(vmptrstz(), vmx->vmcs_gpa))
/* KVM does not let L1 access this field of a shadow VMCS without an exit. */
DEFINE_FN(vmread_exit, vmreadz(HOST_CR3))
DEFINE_FN(vmwrite_exit, GUEST_ASSERT(!vmwrite(HOST_CR3, 0)))
DEFINE_FN(vmxoff_vmxon_exit, vmxoff(); GUEST_ASSERT(!vmxon(vmx->vmxon_gpa)))
/* SVM instructions, with a VMCB as the address of whatever they load and save. */
DEFINE_INSN(vmload, "vmload %%rax", : "a"(svm->vmcb_gpa) : "memory")
DEFINE_INSN(vmsave, "vmsave %%rax", : "a"(svm->vmcb_gpa) : "memory")

DEFINE_FN(l1_enable_svm, wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME); vmsave())

/*
 * What L2 executes, and L1 intercepts.  An instruction that exits never completes,
 * but must be able to, as processors that software emulates may not intercept it.
 */
DEFINE_FN(save_cr3, cr3 = get_cr3())
DEFINE_REG(cr0, get_cr0())
DEFINE_REG(cr2, 0)
DEFINE_REG(cr3, cr3)
DEFINE_REG(cr4, get_cr4())
DEFINE_REG(cr8, 0)
DEFINE_REG(dr0, 0)
DEFINE_REG(dr1, 0)
DEFINE_REG(dr2, 0)
DEFINE_REG(dr3, 0)
DEFINE_REG(dr4, DR6_INIT)
DEFINE_REG(dr5, DR7_INIT)
DEFINE_REG(dr6, DR6_INIT)
DEFINE_REG(dr7, DR7_INIT)

DEFINE_INSN(nop, "nop")
DEFINE_INSN(sidt, "sidt %0", "=m"(table))
DEFINE_INSN(str, "str %0", "=m"(selector))
DEFINE_INSN(lidt, "sidt %0; lidt %0", "+m"(table))
DEFINE_INSN(lgdt, "sgdt %0; lgdt %0", "+m"(table))
DEFINE_INSN(lldt, "lldt %w0", : "r"(0))
DEFINE_INSN(ltr, "str %0; ltr %0", "+m"(selector))
DEFINE_INSN(rdtsc_exit, "rdtsc", : : "eax", "edx")
DEFINE_INSN(rdtscp_exit, "rdtscp", : : "eax", "ecx", "edx")
DEFINE_INSN(rdrand, "rdrand %%rax", : : "rax", "cc")
DEFINE_INSN(rdseed, "rdseed %%rax", : : "rax", "cc")
DEFINE_INSN(pushf, "pushf; pop %%rax", : : "rax", "memory")
DEFINE_INSN(popf, "push $2; popf", : : "cc", "memory")
DEFINE_INSN(swint, "int %0", : "i"(SWINT_VECTOR) : "memory")
DEFINE_INSN(pause_exit, "pause")
DEFINE_INSN(hlt_exit, "hlt")
DEFINE_INSN(invlpga, "invlpga %%rax, %%ecx", : "a"(PAGES_GVA), "c"(1) : "memory")
DEFINE_INSN(vmrun, "vmrun %%rax", : "a"(svm->vmcb_gpa) : "memory")
DEFINE_INSN(stgi_exit, "stgi")
DEFINE_INSN(clgi_exit, "clgi; stgi")
DEFINE_INSN(vmfunc, "vmfunc", : "a"(0), "c"(0))
DEFINE_INSN(apic_access, "movl (%0), %%eax", : "r"(vmx->apic_access) : "eax")
DEFINE_INSN(divide, "div %1", "=a"(selector) : "rm"(0), "a"(1), "d"(0) : "cc")
DEFINE_INSN(write_noncanonical, "movl $0, (%0)", : "r"(NONCANONICAL_GVA) : "memory")
DEFINE_INSN(write_unmapped, "movl $0, (%0)", : "r"(UNMAPPED_GVA) : "memory")
DEFINE_SAFE_INSN(icebp, ".byte 0xf1")

DEFINE_INSN(iret, "mov %%rsp, %%rax; push %0; push %%rax; push $2; push %1; lea 1f(%%rip), %%rax;"
	    "push %%rax; iretq; 1:",
	    : "r"((u64)get_ss()), "r"((u64)get_cs()) : "rax", "cc", "memory")

DEFINE_INSN(use_fpu, "mov %0, %%cr0; fnop", : "r"(get_cr0() | X86_CR0_TS) : "memory")

/* As after reset, but division by zero is not masked. */
static u16 fcw = 0x37b;
static u32 mxcsr = 0x1d80, float_one = 0x3f800000, float_zero;

DEFINE_INSN(divide_x87, "fninit; fldcw %0; fld1; fldz; fdivrp; fwait", : "m"(fcw))
DEFINE_INSN(divide_sse, "ldmxcsr %0; movss %1, %%xmm0; divss %2, %%xmm0",
	    : "m"(mxcsr), "m"(float_one), "m"(float_zero) : "xmm0")
DEFINE_FN(set_osxmmexcpt, set_cr4(get_cr4() | X86_CR4_OSXMMEXCPT))

static u64 descs[] = { 0, NOT_PRESENT_DATA };
static struct desc_ptr descs_ptr = { sizeof(descs) - 1, (unsigned long)descs };
DEFINE_INSN(load_ss_not_present, "lgdt %0; mov %1, %%ss", : "m"(descs_ptr), "r"(8))

/*
 * Deliver nothing.  Use gates that are not present instead of a limit, because KVM
 * may intercept #GP, and inject what follows from it, but does not intercept #NP.
 */
static struct gate {
	u64 low;
	u64 high;
} gates[SWINT_VECTOR + 1];
static struct desc_ptr gates_ptr = { sizeof(gates) - 1, (unsigned long)gates };

static void init_gates(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gates); i++)
		gates[i].low = NOT_PRESENT_GATE;
}

DEFINE_INSN(load_gates, "lidt %0", : "m"(gates_ptr))
DEFINE_FN(swint_not_present, load_gates(); swint())
DEFINE_FN(double_fault, load_gates(); divide())
DEFINE_FN(triple_fault, load_gates(); int3())
/* Deliver to a stack that the TSS has no room for. */
static void init_gates_ts(void)
{
	init_gates();
	gates[SWINT_VECTOR] = ((struct gate *)get_idt().address)[SWINT_VECTOR];
	gates[SWINT_VECTOR].low |= GATE_IST1;
}

static void prepare_empty_tss(void)
{
	if (host_cpu_is_amd)
		svm->vmcb->save.tr.limit = 0;
	else
		vmwrite(GUEST_TR_LIMIT, 0);
}

/* NMI is no exception, STI and MOV SS cannot block both; let the processor notice. */
static void prepare_invalid_state(void)
{
	if (host_cpu_is_amd)
		svm->vmcb->control.event_inj = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT |
					       NMI_VECTOR;
	else
		vmwrite(GUEST_INTERRUPTIBILITY_INFO, 3);
}

DEFINE_FN(prepare_apic_access, vmwrite(APIC_ACCESS_ADDR, vmx->apic_access_gpa))
/* Any page does, e.g. this one, which is of no use without a shadow VMCS. */
DEFINE_FN(prepare_tpr_shadow, ((u32 *)vmx->vmread)[APIC_TASKPRI / sizeof(u32)] = 0xf0;
	  vmwrite(VIRTUAL_APIC_PAGE_ADDR, vmx->vmread_gpa); vmwrite(TPR_THRESHOLD, 1))

#define DEFINE_HAS(name, condition)					\
static bool has_##name(void) { return condition; }
DEFINE_HAS(xsave, kvm_cpu_has(X86_FEATURE_XSAVE))
DEFINE_HAS(invpcid, kvm_cpu_has(X86_FEATURE_INVPCID))
DEFINE_HAS(umip_emulation, kvm_cpu_has(X86_FEATURE_UMIP) && !this_cpu_has(X86_FEATURE_UMIP))

#define VMX(reason)	.on_vmx = true, .vmx = EXIT_REASON_##reason
#define SVM(code)	.on_svm = true, .svm = (u32)SVM_EXIT_##code
#define EXCEPTION(v)	.on_vmx = true, .vmx = EXIT_REASON_EXCEPTION_NMI, \
			.on_svm = true, .svm = SVM_EXIT_EXCP_BASE + v##_VECTOR, \
			.is_exception = true, .vector = v##_VECTOR
#define L1(fn)		.exit = fn
#define SETUP(fn)	.setup = fn
#define HOST(fn)	.host_setup = fn
#define PREPARE(fn)	.l2_prepare = fn
#define ON(...)		.on = { __VA_ARGS__ }
#define OFF(...)	.off = { __VA_ARGS__ }
#define TDP		ON("ept", "npt")
#define SHADOW		OFF("ept", "npt")
#define NO_APICV	OFF("enable_apicv", "avic")
#define HAS(feature)	.available = has_##feature, .what = #feature
#define AT_LEAST	.at_least = true
#define HOST_MAY_ADD	.host_may_add = true
#define CPU(control)	.cpu = CPU_BASED_##control
#define CPU2(control)	.cpu2 = SECONDARY_EXEC_##control
#define VMX_ON(fn)	.setup = fn, .nested = true
#define SVM_ON		.setup = l1_enable_svm, .nested = true, OFF(NULL, "vls")
#define UMIP		.setup = umip_setup, HAS(umip_emulation)
#define L2(fn)		.exit = fn, .l2 = true, .nested = true
#define L2_32BIT(insns)	.code32 = insns, .code32_size = sizeof(insns) - 1, L2(NULL)

static const struct trigger triggers[] = {
	{ "cpuid", VMX(CPUID), SVM(CPUID), L1(cpuid_exit) },
	{ "io_in", VMX(IO_INSTRUCTION), SVM(IOIO), L1(io_in_exit) },
	{ "io_out", VMX(IO_INSTRUCTION), SVM(IOIO), L1(io_out_exit) },
	{ "rdmsr", VMX(MSR_READ), SVM(MSR), L1(rdmsr_exit) },
	{ "wrmsr", VMX(MSR_WRITE), SVM(MSR), L1(wrmsr_exit), SETUP(wrmsr_setup) },
	{ "wrmsr_fastpath", VMX(MSR_WRITE), SVM(MSR), L1(tsc_deadline_exit),
	  SETUP(tsc_deadline_setup) },
	{ "hypercall", VMX(VMCALL), SVM(VMMCALL), L1(hypercall_exit) },
	{ "hlt", VMX(HLT), SVM(HLT), .svm_or = SVM_EXIT_IDLE_HLT, L1(halt_exit),
	  SETUP(timer_setup) },
	{ "interrupt_window", VMX(INTERRUPT_WINDOW), SVM(VINTR), L1(interrupt_window_exit),
	  SETUP(x2apic_enable), NO_APICV },
	{ "nmi_window", VMX(NMI_WINDOW), SVM(IRET), L1(send_nmi), SETUP(x2apic_enable),
	  ON("vnmi"), OFF(NULL, "vnmi") },
	{ "external_interrupt", VMX(EXTERNAL_INTERRUPT), SVM(INTR), L1(external_interrupt_exit),
	  SETUP(enable_interrupts), HOST(start_host_timer), AT_LEAST },
	{ "preemption_timer", VMX(PREEMPTION_TIMER), L1(preemption_timer_exit),
	  SETUP(timer_setup), ON("preemption_timer"), AT_LEAST },
	{ "pml_full", VMX(PML_FULL), L1(pml_full_exit), HOST(log_dirty_pages), ON("pml"),
	  AT_LEAST },
	{ "apic_write", VMX(APIC_WRITE), L1(apic_write_exit), SETUP(xapic_enable),
	  ON("enable_apicv") },
	{ "eoi_induced", VMX(EOI_INDUCED), L1(eoi_exit), SETUP(eoi_setup), ON("enable_apicv") },

	/* EPT violations without mmio_caching */
	{ "mmio", VMX(EPT_MISCONFIG), SVM(NPF), .vmx_or = EXIT_REASON_EPT_VIOLATION,
	  L1(mmio_exit), TDP, HOST_MAY_ADD },
	{ "first_touch", VMX(EPT_VIOLATION), SVM(NPF), L1(touch_page), TDP, HOST_MAY_ADD },
	{ "first_touch_shadow", EXCEPTION(PF), L1(touch_page), SHADOW, HOST_MAY_ADD },
	{ "invlpg", VMX(INVLPG), SVM(INVLPG), L1(invlpg_exit), SHADOW },
	{ "invpcid", VMX(INVPCID), SVM(INVPCID), L1(invpcid), SHADOW, HAS(invpcid) },

	{ "invd", VMX(INVD), SVM(INVD), L1(invd) },
	{ "wbinvd", VMX(WBINVD), SVM(WBINVD), L1(wbinvd_exit) },
	{ "monitor", VMX(MONITOR_INSTRUCTION), SVM(MONITOR), L1(monitor) },
	{ "mwait", VMX(MWAIT_INSTRUCTION), SVM(MWAIT), L1(mwait) },
	{ "xsetbv", VMX(XSETBV), SVM(XSETBV), L1(xsetbv_exit), SETUP(xsetbv_setup),
	  HAS(xsave) },
	{ "rdpmc", VMX(RDPMC), SVM(RDPMC), L1(rdpmc_exit),
	  OFF("enable_mediated_pmu", "enable_mediated_pmu") },
	{ "umip_sgdt", VMX(GDTR_IDTR), L1(sgdt), UMIP },
	{ "umip_sldt", VMX(LDTR_TR), L1(sldt), UMIP },
	{ "rsm", SVM(RSM), L1(rsm) },
	{ "skinit", SVM(SKINIT), L1(skinit) },
	{ "vmload", SVM(VMLOAD), L1(vmload), SVM_ON },
	{ "vmsave", SVM(VMSAVE), L1(vmsave), SVM_ON },
	/* With shadow paging, KVM intercepts all writes; they have precedence. */
	{ "cr0_sel_write", SVM(CR0_SEL_WRITE), L1(cr0_write_exit), TDP },
	{ "cr0_write", VMX(CR_ACCESS), L1(cr0_write_exit) },
	{ "cr4_write", VMX(CR_ACCESS), SVM(WRITE_CR4), L1(cr4_write_exit) },

	{ "ud2", EXCEPTION(UD), L1(ud2_exit) },
	{ "single_step", EXCEPTION(DB), L1(single_step) },
	{ "guest_debug_int3", EXCEPTION(BP), L1(int3), HOST(guest_debug) },
	{ "guest_debug_watchpoint", EXCEPTION(DB), L1(watchpoint_exit), HOST(guest_debug) },
	/* Without debugging, KVM lets go of the debug registers until the next exit. */
	{ "guest_debug_dr_write", VMX(DR_ACCESS), SVM(WRITE_DR0), L1(write_dr0),
	  HOST(guest_debug) },

	{ "vmclear", VMX(VMCLEAR), L1(vmclear_exit), VMX_ON(l1_vmxon) },
	{ "vmptrld", VMX(VMPTRLD), L1(vmptrld_exit), VMX_ON(vmptrld_setup) },
	{ "vmptrst", VMX(VMPTRST), L1(vmptrst_exit), VMX_ON(vmptrld_setup) },
	{ "vmread", VMX(VMREAD), L1(vmread_exit), VMX_ON(vmptrld_setup) },
	{ "vmwrite", VMX(VMWRITE), L1(vmwrite_exit), VMX_ON(vmptrld_setup) },
	{ "vmlaunch", VMX(VMLAUNCH), L1(vmlaunch_exit), VMX_ON(l1_vmxon) },
	{ "vmresume", VMX(VMRESUME), L1(vmresume_exit), VMX_ON(l1_vmxon) },
	{ "vmxoff", VMX(VMOFF), L1(vmxoff_vmxon_exit), VMX_ON(l1_vmxon) },
	{ "vmxon", VMX(VMON), L1(vmxoff_vmxon_exit), VMX_ON(l1_vmxon) },
	{ "invept", VMX(INVEPT), L1(invept_exit), VMX_ON(l1_vmxon) },
	{ "invvpid", VMX(INVVPID), L1(invvpid_exit), VMX_ON(l1_vmxon) },

	{ "l2_read_cr0", SVM(READ_CR0), L2(read_cr0) },
	{ "l2_write_cr0", SVM(WRITE_CR0), L2(write_cr0) },
	{ "l2_read_cr2", SVM(READ_CR2), L2(read_cr2) },
	{ "l2_write_cr2", SVM(WRITE_CR2), L2(write_cr2) },
	{ "l2_read_cr3", VMX(CR_ACCESS), SVM(READ_CR3), L2(read_cr3), CPU(CR3_STORE_EXITING) },
	{ "l2_write_cr3", VMX(CR_ACCESS), SVM(WRITE_CR3), L2(write_cr3), SETUP(save_cr3),
	  CPU(CR3_LOAD_EXITING) },
	{ "l2_read_cr4", SVM(READ_CR4), L2(read_cr4) },
	{ "l2_write_cr4", SVM(WRITE_CR4), L2(write_cr4) },
	{ "l2_read_cr8", VMX(CR_ACCESS), SVM(READ_CR8), L2(read_cr8), CPU(CR8_STORE_EXITING) },
	{ "l2_write_cr8", VMX(CR_ACCESS), SVM(WRITE_CR8), L2(write_cr8), CPU(CR8_LOAD_EXITING) },
	{ "l2_read_dr0", VMX(DR_ACCESS), SVM(READ_DR0), L2(read_dr0), CPU(MOV_DR_EXITING) },
	{ "l2_write_dr0", SVM(WRITE_DR0), L2(write_dr0) },
	{ "l2_read_dr1", SVM(READ_DR1), L2(read_dr1) },
	{ "l2_write_dr1", SVM(WRITE_DR1), L2(write_dr1) },
	{ "l2_read_dr2", SVM(READ_DR2), L2(read_dr2) },
	{ "l2_write_dr2", SVM(WRITE_DR2), L2(write_dr2) },
	{ "l2_read_dr3", SVM(READ_DR3), L2(read_dr3) },
	{ "l2_write_dr3", SVM(WRITE_DR3), L2(write_dr3) },
	/* These two are aliases, which may report what they stand for. */
	{ "l2_read_dr4", SVM(READ_DR4), .svm_or = SVM_EXIT_READ_DR6, L2(read_dr4) },
	{ "l2_write_dr4", SVM(WRITE_DR4), .svm_or = SVM_EXIT_WRITE_DR6, L2(write_dr4) },
	{ "l2_read_dr5", SVM(READ_DR5), .svm_or = SVM_EXIT_READ_DR7, L2(read_dr5) },
	{ "l2_write_dr5", SVM(WRITE_DR5), .svm_or = SVM_EXIT_WRITE_DR7, L2(write_dr5) },
	{ "l2_read_dr6", SVM(READ_DR6), L2(read_dr6) },
	{ "l2_write_dr6", SVM(WRITE_DR6), L2(write_dr6) },
	{ "l2_read_dr7", SVM(READ_DR7), L2(read_dr7) },
	{ "l2_write_dr7", VMX(DR_ACCESS), SVM(WRITE_DR7), L2(write_dr7), CPU(MOV_DR_EXITING) },

	{ "l2_sidt", SVM(IDTR_READ), L2(sidt) },
	{ "l2_sgdt", VMX(GDTR_IDTR), SVM(GDTR_READ), L2(sgdt), CPU2(DESC) },
	{ "l2_sldt", VMX(LDTR_TR), SVM(LDTR_READ), L2(sldt), CPU2(DESC) },
	{ "l2_str", VMX(LDTR_TR), SVM(TR_READ), L2(str), CPU2(DESC) },
	{ "l2_lidt", VMX(GDTR_IDTR), SVM(IDTR_WRITE), L2(lidt), CPU2(DESC) },
	{ "l2_lgdt", SVM(GDTR_WRITE), L2(lgdt) },
	{ "l2_lldt", SVM(LDTR_WRITE), L2(lldt) },
	{ "l2_ltr", SVM(TR_WRITE), L2(ltr) },

	{ "l2_rdtsc", VMX(RDTSC), SVM(RDTSC), L2(rdtsc_exit), CPU(RDTSC_EXITING) },
	{ "l2_rdtscp", VMX(RDTSCP), SVM(RDTSCP), L2(rdtscp_exit), CPU(RDTSC_EXITING),
	  CPU2(ENABLE_RDTSCP) },
	{ "l2_rdpmc", VMX(RDPMC), SVM(RDPMC), L2(rdpmc_exit), CPU(RDPMC_EXITING) },
	{ "l2_rdrand", VMX(RDRAND), L2(rdrand), CPU2(RDRAND_EXITING) },
	{ "l2_rdseed", VMX(RDSEED), L2(rdseed), CPU2(RDSEED_EXITING) },
	{ "l2_hlt", VMX(HLT), L2(hlt_exit), CPU(HLT_EXITING) },
	{ "l2_pause", VMX(PAUSE_INSTRUCTION), SVM(PAUSE), L2(pause_exit), CPU(PAUSE_EXITING) },
	{ "l2_monitor", VMX(MONITOR_INSTRUCTION), SVM(MONITOR), L2(monitor), CPU(MONITOR_EXITING) },
	{ "l2_mwait", VMX(MWAIT_INSTRUCTION), SVM(MWAIT), L2(mwait), CPU(MWAIT_EXITING) },
	{ "l2_wbinvd", VMX(WBINVD), SVM(WBINVD), L2(wbinvd_exit), CPU2(WBINVD_EXITING) },
	{ "l2_invlpg", VMX(INVLPG), SVM(INVLPG), L2(invlpg_exit), CPU(INVLPG_EXITING) },
	{ "l2_invpcid", VMX(INVPCID), SVM(INVPCID), L2(invpcid), CPU(INVLPG_EXITING),
	  CPU2(ENABLE_INVPCID), HAS(invpcid) },
	{ "l2_invlpga", SVM(INVLPGA), L2(invlpga) },
	{ "l2_pushf", SVM(PUSHF), L2(pushf) },
	{ "l2_popf", SVM(POPF), L2(popf) },
	{ "l2_iret", SVM(IRET), L2(iret) },
	{ "l2_swint", SVM(SWINT), L2(swint) },
	{ "l2_icebp", SVM(ICEBP), L2(icebp) },
	{ "l2_stgi", SVM(STGI), L2(stgi_exit) },
	{ "l2_clgi", SVM(CLGI), L2(clgi_exit) },
	/* L1 executes it, too, to enter L2. */
	{ "l2_vmrun", SVM(VMRUN), L2(vmrun), .times = 2 },
	{ "l2_vmfunc", VMX(VMFUNC), L2(vmfunc), CPU2(ENABLE_VMFUNC) },
	{ "l2_tpr_below_threshold", VMX(TPR_BELOW_THRESHOLD), L2(write_cr8),
	  PREPARE(prepare_tpr_shadow), CPU(TPR_SHADOW) },
	{ "l2_apic_access", VMX(APIC_ACCESS), L2(apic_access), PREPARE(prepare_apic_access),
	  CPU2(VIRTUALIZE_APIC_ACCESSES), ON("flexpriority") },

	{ "l2_interrupt_window", VMX(INTERRUPT_WINDOW), SVM(VINTR), L2(nop),
	  .l2_rflags = EFLAGS_IF, CPU(INTR_WINDOW_EXITING),
	  .int_ctl = V_IRQ_MASK | V_INTR_PRIO_MASK },
	{ "l2_nmi_window", VMX(NMI_WINDOW), L2(nop),
	  .pin = PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS, CPU(NMI_WINDOW_EXITING) },
	{ "l2_monitor_trap_flag", VMX(MONITOR_TRAP_FLAG), L2(nop), CPU(MONITOR_TRAP) },
	{ "l2_task_switch", VMX(TASK_SWITCH), L2_32BIT("\xea\0\0\0\0\x18\0") },	/* ljmp $0x18, $0 */
	/* After a shutdown, all of SVM's state is undefined. */
	{ "l2_triple_fault", VMX(TRIPLE_FAULT), SVM(SHUTDOWN), L2(triple_fault),
	  SETUP(init_gates), .once = true },
	{ "l2_invalid_state", VMX(INVALID_STATE), SVM(ERR), L2(nop),
	  PREPARE(prepare_invalid_state), .kvm_may_check = true },

	{ "l2_de", EXCEPTION(DE), L2(divide) },
	{ "l2_db", EXCEPTION(DB), L2(single_step) },
	{ "l2_bp", EXCEPTION(BP), L2(int3) },
	{ "l2_of", EXCEPTION(OF), L2_32BIT("\xce"), .l2_rflags = EFLAGS_OF },	/* into */
	{ "l2_br", EXCEPTION(BR),					/* bound %esp, 0 */
	  L2_32BIT("\x62\x25\0\0\0\0") },
	{ "l2_ud", EXCEPTION(UD), L2(ud2_exit) },
	{ "l2_nm", EXCEPTION(NM), L2(use_fpu) },
	{ "l2_df", EXCEPTION(DF), L2(double_fault), SETUP(init_gates) },
	{ "l2_ts", EXCEPTION(TS), L2(swint_not_present), SETUP(init_gates_ts),
	  PREPARE(prepare_empty_tss) },
	{ "l2_np", EXCEPTION(NP), L2(swint_not_present), SETUP(init_gates) },
	{ "l2_ss", EXCEPTION(SS), L2(load_ss_not_present) },
	{ "l2_gp", EXCEPTION(GP), L2(write_noncanonical) },
	/* With shadow paging, KVM needs page faults, too. */
	{ "l2_pf", EXCEPTION(PF), L2(write_unmapped), HOST_MAY_ADD },
	{ "l2_mf", EXCEPTION(MF), L2(divide_x87) },
	{ "l2_ac", EXCEPTION(AC), L2_32BIT("\xa1\1\0\0\0"),		/* mov 1, %eax */
	  .cpl = 3, .l2_rflags = EFLAGS_AC },
	{ "l2_xm", EXCEPTION(XM), L2(divide_sse), SETUP(set_osxmmexcpt) },
};

/*
 * The host's side.  A case is a process, and tells the one that prints results.
 */
static struct {
	u32 reason;
	char why_not[96];
} *result;

static __printf(1, 2) int skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(result->why_not, sizeof(result->why_not), fmt, ap);
	va_end(ap);

	return KSFT_SKIP;
}

/* Return whether this is available, else skip it. */
static bool is_available(const struct trigger *t)
{
	const char *off = t->off[host_cpu_is_amd];
	const char *on = t->on[host_cpu_is_amd];

	if (on && !kvm_vendor_param_is_on(on))
		skip("needs %s=1", on);
	else if (off && kvm_vendor_param_is_on(off))
		skip("needs %s=0", off);
	else if (t->available && !t->available())
		skip("needs %s", t->what);
	else if (t->nested && !kvm_cpu_has(X86_FEATURE_VMX) && !kvm_cpu_has(X86_FEATURE_SVM))
		skip("needs nested=1");
	else if (t->l2 && !host_cpu_is_amd &&
		 (t->pin & ~(kvm_get_feature_msr(MSR_IA32_VMX_TRUE_PINBASED_CTLS) >> 32) ||
		  t->cpu & ~(kvm_get_feature_msr(MSR_IA32_VMX_TRUE_PROCBASED_CTLS) >> 32) ||
		  t->cpu2 & ~(kvm_get_feature_msr(MSR_IA32_VMX_PROCBASED_CTLS2) >> 32)))
		skip("needs a VMX control that KVM does not offer here");
	else
		return true;

	return false;
}

/* With a comma before and after each, what the caller knows not to be intercepted. */
static char *not_intercepted = "";

static bool is_listed(const char *name, const char *list)
{
	char entry[64];

	snprintf(entry, sizeof(entry), ",%s,", name);
	return strstr(list, entry);
}

static enum stage run_to_stage(struct kvm_vcpu *vcpu, struct ucall *uc)
{
	unsigned long dirty[BITS_TO_LONGS(NR_PAGES)];
	struct kvm_regs regs;

	for (;;) {
		if (run_to_ucall(vcpu, uc) != UCALL_SYNC) {
			TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_DEBUG);
			/* A watchpoint traps after the instruction, a breakpoint is one. */
			vcpu_regs_get(vcpu, &regs);
			regs.rip += vcpu->run->debug.arch.exception == BP_VECTOR;
			vcpu_regs_set(vcpu, &regs);
		} else if (uc->args[1] == STAGE_CLEAN) {
			kvm_vm_get_dirty_log(vcpu->vm, PAGES_MEMSLOT, dirty);
		} else {
			return uc->args[1];
		}
	}
}

/* How often @exits have what @t triggers. */
static u64 count_triggered(const struct trigger *t, const struct exit_counters *exits)
{
	u64 vectors = 0, n = exits->exits[exit_bucket(trigger_reason(t))];
	int i;

	if (other_reason(t)) {
		result->reason = n ? trigger_reason(t) : other_reason(t);
		n += exits->exits[exit_bucket(other_reason(t))];
	}
	/* The ucall is an I/O exit, too. */
	if (!t->is_exception)
		return n - (trigger_reason(t) == io_exit_reason());

	/* On VMX, the reason covers all vectors. */
	for (i = 0; i < NR_EXCEPTION_VECTORS; i++)
		vectors += exits->exceptions[i];
	TEST_ASSERT(host_cpu_is_amd || n == vectors,
		    "Counted %lu exceptions, %lu vectors", n, vectors);

	return exits->exceptions[t->vector];
}

static struct kvm_vm *create_vm(const struct trigger *t, struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm = vm_create_with_exit_counters(1, KVM_X86_EXIT_COUNTERS_CPUID);
	typeof(vm->handlers) nested = 0;

	*vcpu = vm_vcpu_add(vm, 0, guest_code);
	if (kvm_has_cap(KVM_CAP_TSC_DEADLINE_TIMER))
		vcpu_set_cpuid_feature(*vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);

	vm_install_exception_handler(vm, NMI_VECTOR, nmi_handler);
	vm_install_exception_handler(vm, IRQ_VECTOR, irq_handler);
	vm_install_exception_handler(vm, EOI_VECTOR, eoi_handler);
	vm_install_exception_handler(vm, DB_VECTOR, resume_handler);
	vm_install_exception_handler(vm, BP_VECTOR, resume_handler);
	vm_install_exception_handler(vm, SWINT_VECTOR, resume_handler);

	virt_pg_map(vm, MMIO_GPA, MMIO_GPA);
	virt_pg_map(vm, IOAPIC_GPA, IOAPIC_GPA);
	virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
	/* Anonymous memory is not backed by huge pages: one exit maps one page. */
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, PAGES_GPA, PAGES_MEMSLOT,
				    NR_PAGES, 0);
	virt_map(vm, PAGES_GVA, PAGES_GPA, NR_PAGES);

	if (host_cpu_is_amd && kvm_cpu_has(X86_FEATURE_SVM))
		vcpu_alloc_svm(vm, &nested);
	else if (!host_cpu_is_amd && kvm_cpu_has(X86_FEATURE_VMX))
		prepare_virtualize_apic_accesses(vcpu_alloc_vmx(vm, &nested), vm);

	l2_32bit_gpas[0] = addr_gva2gpa(vm, (u64)&l2_32bit);
	l2_32bit_gpas[1] = addr_gva2gpa(vm, (u64)&l2_32bit.pdptes);
	sync_global_to_guest(vm, l2_32bit_gpas);
	if (t->once) {
		nr_triggers = 0;
		sync_global_to_guest(vm, nr_triggers);
	}

	vcpu_args_set(*vcpu, 2, t, nested);
	if (t->host_setup)
		t->host_setup(*vcpu);

	return vm;
}

static int run_trigger(const struct trigger *t)
{
	struct exit_counters before, after, exits;
	u64 want, n = 0, added, total;
	struct kvm_vcpu *vcpu;
	enum stage stage;
	struct kvm_vm *vm;
	struct ucall uc;
	int i;

	if (!is_available(t))
		return KSFT_SKIP;

	vm = create_vm(t, &vcpu);
	exit_trace_start();

	TEST_ASSERT_EQ(run_to_stage(vcpu, &uc), STAGE_TOTAL);
	stage = run_to_stage(vcpu, &uc);
	nr_triggers = t->once ? 1 : NR_TRIGGERS;
	sync_global_to_guest(vm, nr_triggers);
	want = nr_triggers * (t->times ?: 1);

	for (i = 0; i < MAX_STAGES; i++) {
		vcpu_get_exit_counters(vcpu, &before);
		if (stage == STAGE_NOT_INTERCEPTED)
			break;
		stage = run_to_stage(vcpu, &uc);
		vcpu_get_exit_counters(vcpu, &after);

		exits = exits_between(&before, &after);
		n = count_triggered(t, &exits);
		if (!t->host_may_add || n <= want)
			break;
	}

	if (stage == STAGE_NOT_INTERCEPTED || !n) {
		vcpu_get_exit_counters(vcpu, &after);
		assert_counters_agree(&after);
		if (is_listed(t->name, not_intercepted))
			return skip("the emulated processor does not intercept it");
		TEST_ASSERT(stage != STAGE_NOT_INTERCEPTED, "L2 exited for 0x%lx, wanted 0x%x (%s)",
			    uc.args[2], trigger_reason(t), exit_reason_name(trigger_reason(t)));
		if (t->kvm_may_check)
			return skip("KVM finds it before the processor does");
	}

	TEST_ASSERT(n == want || (n > want && t->at_least), "%s: counted %lu exits, wanted %s%lu",
		    exit_reason_name(trigger_reason(t)), n, t->at_least ? "at least " : "", want);

	done = true;
	sync_global_to_guest(vm, done);
	TEST_ASSERT_EQ(run_to_stage(vcpu, &uc), STAGE_TOTAL);
	vcpu_get_exit_counters(vcpu, &after);

	/* The guest read the total last, and then made a ucall. */
	total = uc.args[3] + 1;
	added = unasked_exits(&after) - uc.args[2];
	TEST_ASSERT(sum_exits(&after) >= total && sum_exits(&after) <= total + added,
		    "All reasons: counted %lu, the guest saw %lu before a ucall, and up to %lu of the host",
		    sum_exits(&after), uc.args[3], added);
	assert_counters_agree(&after);

	kvm_vm_free(vm);
	return KSFT_PASS;
}

/*
 * Without unrestricted guests, KVM does not enter a guest whose state is invalid for VMX,
 * but emulates it.  The stat "exits" counts each attempt, the counters what happened.
 */
static void guest_out_forever(void)
{
	for (;;)
		io_out_exit();
}

static int emulation_is_no_exit(const struct trigger *unused)
{
	struct exit_counters before, after, exits;
	struct kvm_sregs sregs;
	struct kvm_vcpu *vcpu;
	int unusable, i;

	if (host_cpu_is_amd || kvm_vendor_param_is_on("unrestricted_guest") ||
	    !kvm_vendor_param_is_on("emulate_invalid_guest_state"))
		return skip("needs VMX, unrestricted_guest=0, emulate_invalid_guest_state=1");

	vm_create_with_one_vcpu(&vcpu, guest_out_forever);
	exit_trace_start();

	vcpu_run(vcpu);
	vcpu_run_complete_io(vcpu);
	vcpu_sregs_get(vcpu, &sregs);

	/* Once the state is valid again, both count the same. */
	for (unusable = 1; unusable >= 0; unusable--) {
		sregs.tr.unusable = unusable;
		vcpu_sregs_set(vcpu, &sregs);

		vcpu_get_exit_counters(vcpu, &before);
		for (i = 0; i < NR_TRIGGERS; i++) {
			vcpu_run(vcpu);
			TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
		}
		vcpu_run_complete_io(vcpu);
		vcpu_get_exit_counters(vcpu, &after);

		assert_exit_trace_agrees(&after);
		exits = exits_between(&before, &after);
		TEST_ASSERT_EQ(sum_exits(&exits), unusable ? 0 : exits.total);
		TEST_ASSERT(exits.total >= NR_TRIGGERS, "The stat exits counted %lu", exits.total);
	}

	return KSFT_PASS;
}

static int oracle_is_available(const struct trigger *unused)
{
	return exit_trace_start() ? KSFT_PASS : skip("needs root, and tracefs");
}

/* Run a case in a process of its own, which does not outlive this one. */
static const char *run_case(const char *name, int (*run)(const struct trigger *),
			    const struct trigger *t)
{
	int status, code;
	pid_t child;

	fflush(stdout);
	result->why_not[0] = '\0';
	child = fork();
	TEST_ASSERT(child >= 0, "fork() failed: %s", strerror(errno));
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(CASE_SECONDS);
		exit(run(t));
	}

	TEST_ASSERT(waitpid(child, &status, 0) == child, "waitpid() failed: %s", strerror(errno));
	if (WIFSIGNALED(status))
		ksft_print_msg("Killed by %s\n", strsignal(WTERMSIG(status)));

	code = WIFEXITED(status) ? WEXITSTATUS(status) : KSFT_FAIL;
	/* TEST_ASSERT() ends so, too, if errno happens to be EACCES. */
	if (code == KSFT_SKIP && !result->why_not[0])
		code = KSFT_FAIL;
	if (code == KSFT_SKIP)
		ksft_test_result_code(code, name, "%s", result->why_not);
	else
		ksft_test_result(code == KSFT_PASS, "%s\n", name);

	return code == KSFT_PASS ? "triggered" :
	       code == KSFT_SKIP ? result->why_not : "its case did not pass";
}

static void run_trigger_case(const struct trigger *t)
{
	char name[64], code[16];
	const char *what;

	result->reason = trigger_reason(t);
	snprintf(name, sizeof(name), "trigger.%s", t->name);
	what = run_case(name, run_trigger, t);
	if (t->is_exception)
		snprintf(code, sizeof(code), "exc%d", t->vector);
	else
		snprintf(code, sizeof(code), host_cpu_is_amd ? "0x%03x" : "%u",
			 result->reason);
	ksft_print_msg("trigger\t%s\t%s\t%s\t%s\n", host_cpu_is_amd ? "svm" : "vmx",
		       code, t->name, what);
}

int main(int argc, char *argv[])
{
	char **list, *only = NULL;
	bool chosen[ARRAY_SIZE(triggers)];
	int i, opt, plan = 0;

	while ((opt = getopt(argc, argv, "n:t:")) != -1) {
		TEST_ASSERT(opt != '?', "usage: %s [-t run_only,...] [-n not_intercepted,...]",
			    argv[0]);
		list = opt == 'n' ? &not_intercepted : &only;
		TEST_ASSERT(asprintf(list, ",%s,", optarg) > 0, "asprintf() failed");
	}

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));

	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	TEST_ASSERT(result != MAP_FAILED, "mmap() failed: %s", strerror(errno));

	for (i = 0; i < ARRAY_SIZE(triggers); i++) {
		chosen[i] = host_cpu_is_amd ? triggers[i].on_svm : triggers[i].on_vmx;
		chosen[i] &= !only || is_listed(triggers[i].name, only);
		plan += chosen[i];
	}

	TEST_ASSERT(!only || plan, "None of these cases is for this CPU: %s", only);
	ksft_print_header();
	ksft_set_plan(plan + 2);
	run_case("oracle_is_available", oracle_is_available, NULL);
	run_case("emulation_is_no_exit", emulation_is_no_exit, NULL);
	for (i = 0; i < ARRAY_SIZE(triggers); i++) {
		if (chosen[i])
			run_trigger_case(&triggers[i]);
	}

	ksft_finished();
}
