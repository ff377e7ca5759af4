// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verify what a guest sees of KVM's exit counters: that its CPUID leaves show what the
 * host's stats show, that without the capability (or the module parameter) there is no
 * trace of them, that cycles are those of exits that occurred and no more than the time
 * that passed, and that counts never decrease while vCPUs exit.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "apic.h"
#include "exit_counters.h"
#include "kvm_test_harness.h"

#define EXIT_COUNTERS_PARAM	"/sys/module/kvm/parameters/exit_counters"
#define ALL_BITS		(KVM_X86_EXIT_COUNTERS_CPUID | KVM_X86_EXIT_COUNTERS_CYCLES)

#define NR_LEAVES		0x100
#define UNDEFINED_EDX		0xffffffffu

#define NR_TRIGGERS		64
#define NR_ATTEMPTS		64
#define HLT_WAKE_VECTOR		0x40

/* What the guest spends in userspace, or asleep, at least. */
#define SPIN_CYCLES		1000000u
/* Far more than it takes a guest to fall asleep. */
#define MAX_WAIT_SECONDS	20

#define NR_EXITING_VCPUS	8
#define NR_READING_VCPUS	2
#define NR_VCPUS		(NR_EXITING_VCPUS + NR_READING_VCPUS)
#define NR_PARALLEL_EXITS	1000ul

/* The library puts nothing below 1 MiB by itself. */
#define PROTECTED_MODE_GPA	0x60000ull
/* Lets user mode do I/O. */
#define IOPL_3			(3ul << 12)

#define USER_EAX		0x12345678

/* What the guest read: by bucket, by vector, and all reasons together. */
struct guest_view {
	struct exit_record reasons[NR_EXIT_BUCKETS];
	struct exit_record vectors[NR_EXCEPTION_VECTORS];
	struct exit_record total;
};

/* Shared with the guest. */
static struct guest_view guest_views[2 * NR_READING_VCPUS];
static u64 cpuid_digest;
static u32 nr_finished;
static bool timed;

/* A VM whose guest may read its counters, and one that times its exits, too. */
FIXTURE(exit_counters) {
	struct kvm_vm *vm;
};

FIXTURE_VARIANT(exit_counters) {
	u64 mask;
};

FIXTURE_VARIANT_ADD(exit_counters, counted) {
	.mask = KVM_X86_EXIT_COUNTERS_CPUID,
};

FIXTURE_VARIANT_ADD(exit_counters, timed) {
	.mask = ALL_BITS,
};

FIXTURE_SETUP(exit_counters)
{
	self->vm = vm_create_with_exit_counters(NR_VCPUS, variant->mask);
	timed = variant->mask & KVM_X86_EXIT_COUNTERS_CYCLES;
	sync_global_to_guest(self->vm, timed);
}

FIXTURE_TEARDOWN(exit_counters)
{
	kvm_vm_free(self->vm);
}

static struct exit_record reason_record(u32 reason)
{
	return guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON, reason);
}

static struct exit_record total_record(void)
{
	return guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);
}

/* Read the CPUID reason last but for the total: reading is itself a CPUID exit. */
static void guest_read_all(struct guest_view *view)
{
	int i, cpuid_bucket = exit_bucket(cpuid_exit_reason());

	for (i = 0; i < NR_EXCEPTION_VECTORS; i++)
		view->vectors[i] = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_VECTOR, i);

	for (i = 0; i < EXIT_BUCKET_OTHER; i++) {
		if (i != cpuid_bucket)
			view->reasons[i] = reason_record(exit_bucket_to_reason(i));
	}

	view->reasons[cpuid_bucket] = reason_record(cpuid_exit_reason());
	view->total = total_record();
}

static bool is_undefined(const struct exit_record *record)
{
	return record->exits == (u64)UNDEFINED_EDX << 32;
}

static void guest_view_code(void)
{
	int i;

	for (i = 0; i < NR_TRIGGERS; i++) {
		rdmsr_exit();
		io_in_exit();
		hypercall_exit();
	}

	for (;;) {
		guest_read_all(&guest_views[0]);
		GUEST_SYNC(0);
	}
}

/*
 * The host may unmap memory at any time, and what the guest touches next faults.  One
 * reason of VMX has all exceptions, also those of the host, see their vectors.
 */
static bool is_fault_exit(u32 reason)
{
	if (host_cpu_is_amd)
		return reason == SVM_EXIT_NPF || reason == SVM_EXIT_EXCP_BASE + PF_VECTOR;

	return reason == EXIT_REASON_EPT_VIOLATION || reason == EXIT_REASON_EXCEPTION_NMI;
}

/*
 * The guest must have seen what the host sees after one ucall, but for the host's own
 * exits.  Return false if the host unmapped memory meanwhile, i.e. more faults count.
 */
static bool view_equals_counters(const struct guest_view *view,
				 const struct exit_counters *counters)
{
	u64 guest, host, host_total = sum_exits(counters), events = 0, exceptions = 0;
	bool quiet = true;
	u32 reason;
	int i;

	for (i = 0; i < EXIT_BUCKET_OTHER; i++) {
		reason = exit_bucket_to_reason(i);

		/* Undefined reasons have no record; their counts must be zero. */
		guest = is_undefined(&view->reasons[i]) ? 0 : view->reasons[i].exits;
		host = counters->exits[i];

		/* Account for the ucall and for reading the total. */
		if (reason == io_exit_reason() || reason == cpuid_exit_reason())
			guest++;

		TEST_ASSERT(guest == host ||
			    (guest < host && (is_host_exit(reason) || is_fault_exit(reason))),
			    "Exit reason 0x%x (%s): %lu in the guest's view, %lu in the host's",
			    reason, exit_reason_name(reason), guest, host);
		events += host - guest;
		quiet &= guest == host || is_host_exit(reason);
	}

	for (i = 0; i < NR_EXCEPTION_VECTORS; i++) {
		guest = view->vectors[i].exits;
		host = counters->exceptions[i];
		exceptions += host;
		TEST_ASSERT(guest == host ||
			    (guest < host && (is_host_exception(i) || i == PF_VECTOR)),
			    "Exception %d: %lu in the guest's view, %lu in the host's",
			    i, guest, host);
	}
	if (!host_cpu_is_amd)
		TEST_ASSERT_EQ(exceptions, counters->exits[EXIT_REASON_EXCEPTION_NMI]);

	TEST_ASSERT(view->total.exits + 1 <= host_total &&
		    view->total.exits + 1 + events >= host_total,
		    "All reasons: %lu and 1 ucall in the guest's view, %lu in the host's, %lu events of the host between the two",
		    view->total.exits, host_total, events);

	return quiet;
}

TEST_F(exit_counters, guest_view_equals_host_view)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_view_code);
	struct exit_counters counters;
	bool quiet = false;
	int i;

	/* Let everything that the guest touches be mapped first. */
	run_to_sync(vcpu);
	for (i = 0; i < NR_ATTEMPTS && !quiet; i++) {
		run_to_sync(vcpu);
		sync_global_from_guest(self->vm, guest_views);
		vcpu_get_exit_counters(vcpu, &counters);
		quiet = view_equals_counters(&guest_views[0], &counters);
	}
	TEST_ASSERT(quiet, "The host added faults in all of %d attempts", NR_ATTEMPTS);
	TEST_ASSERT_EQ(!counters.cycles, !timed);
}

/* Cycles belong to reasons that occurred, and to no others. */
static void guest_check_view(const struct guest_view *view)
{
	u64 cycles = 0;
	int i;

	for (i = 0; i < EXIT_BUCKET_OTHER; i++) {
		if (is_undefined(&view->reasons[i]))
			continue;

		__GUEST_ASSERT(!view->reasons[i].cycles == !(timed && view->reasons[i].exits),
			       "Exit reason 0x%x: %lu exits, %lu cycles",
			       exit_bucket_to_reason(i), view->reasons[i].exits,
			       view->reasons[i].cycles);
		cycles += view->reasons[i].cycles;
	}

	/* Reading CPUID's cycles and reading the total are an exit each. */
	__GUEST_ASSERT(cycles <= view->total.cycles && !view->total.cycles == !timed,
		       "%lu cycles by reason, %lu in all", cycles, view->total.cycles);
}

static void guest_cycles_code(void)
{
	struct guest_view *before = &guest_views[0], *after = &guest_views[1];
	u64 start, exits, cycles;
	int i;

	/* The first two passes let everything that they touch be mapped. */
	guest_read_all(before);
	guest_read_all(after);
	hypercall_exit();

	start = rdtsc();
	guest_read_all(before);
	for (i = 0; i < NR_TRIGGERS; i++)
		hypercall_exit();
	guest_read_all(after);
	cycles = after->total.cycles - before->total.cycles;
	GUEST_ASSERT(cycles <= rdtsc() - start);

	guest_check_view(before);
	guest_check_view(after);

	for (i = 0; i < EXIT_BUCKET_OTHER; i++) {
		exits = after->reasons[i].exits - before->reasons[i].exits;
		cycles = after->reasons[i].cycles - before->reasons[i].cycles;
		__GUEST_ASSERT(!cycles == !(timed && exits),
			       "Exit reason 0x%x: %lu more exits, %lu more cycles",
			       exit_bucket_to_reason(i), exits, cycles);
	}
	GUEST_DONE();
}

TEST_F(exit_counters, cycles_grow_with_exits_and_within_time)
{
	run_to_done(vm_vcpu_add(self->vm, 0, guest_cycles_code));
}

static void spin_for(u64 cycles)
{
	u64 start = rdtsc();

	while (rdtsc() - start < cycles)
		cpu_relax();
}

static void guest_cycles_of_io_code(void)
{
	struct exit_record before, after;

	io_out_exit();
	before = reason_record(io_exit_reason());
	GUEST_SYNC(0);
	after = reason_record(io_exit_reason());

	GUEST_ASSERT_EQ(after.exits, before.exits + 1);
	__GUEST_ASSERT(timed ? after.cycles >= before.cycles + SPIN_CYCLES : !after.cycles,
		       "Cycles of I/O exits went from %lu to %lu, with %u in userspace",
		       before.cycles, after.cycles, SPIN_CYCLES);
	GUEST_DONE();
}

TEST_F(exit_counters, cycles_include_userspace)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_cycles_of_io_code);

	run_to_sync(vcpu);
	spin_for(SPIN_CYCLES);
	run_to_done(vcpu);
}

/* Some processors have an exit code of its own for HLT without a pending interrupt. */
static bool is_hlt_exit(u32 reason)
{
	if (host_cpu_is_amd)
		return reason == SVM_EXIT_HLT || reason == SVM_EXIT_IDLE_HLT;

	return reason == EXIT_REASON_HLT;
}

static void hlt_wake_handler(struct ex_regs *regs)
{
	x2apic_write_reg(APIC_EOI, 0);
}

static void guest_cycles_of_hlt_code(void)
{
	struct guest_view *view = &guest_views[0];
	u64 exits = 0, cycles = 0;
	int i;

	x2apic_enable();
	GUEST_SYNC(0);
	asm volatile("sti; hlt; cli");

	guest_read_all(view);
	for (i = 0; i < EXIT_BUCKET_OTHER; i++) {
		if (is_hlt_exit(exit_bucket_to_reason(i))) {
			exits += view->reasons[i].exits;
			cycles += view->reasons[i].cycles;
		}
	}
	GUEST_ASSERT_EQ(exits, 1);
	__GUEST_ASSERT(timed ? cycles >= SPIN_CYCLES : !cycles,
		       "%lu cycles of HLT, slept through at least %u", cycles, SPIN_CYCLES);
	GUEST_DONE();
}

static void *run_to_done_thread(void *vcpu)
{
	run_to_done(vcpu);
	return NULL;
}

static void start_thread(pthread_t *thread, struct kvm_vcpu *vcpu)
{
	TEST_ASSERT_EQ(pthread_create(thread, NULL, run_to_done_thread, vcpu), 0);
}

/* Wake the guest up no sooner than SPIN_CYCLES after its HLT was counted. */
TEST_F(exit_counters, cycles_include_sleep)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_cycles_of_hlt_code);
	struct kvm_msi msi = {
		.address_lo = APIC_DEFAULT_GPA,
		.data = HLT_WAKE_VECTOR,
	};
	time_t end = time(NULL) + MAX_WAIT_SECONDS;
	/* Open it now: a vCPU that runs, or sleeps, has no ear for that. */
	int stats_fd = vcpu_get_stats_fd(vcpu);
	struct exit_counters counters;
	pthread_t thread;
	u64 halts = 0;
	int i;

	vm_install_exception_handler(self->vm, HLT_WAKE_VECTOR, hlt_wake_handler);

	run_to_sync(vcpu);
	start_thread(&thread, vcpu);
	do {
		TEST_ASSERT(time(NULL) < end, "HLT did not exit");
		sched_yield();
		read_exit_counters(stats_fd, &counters);
		for (i = 0; i < EXIT_BUCKET_OTHER; i++)
			halts += is_hlt_exit(exit_bucket_to_reason(i)) ? counters.exits[i] : 0;
	} while (!halts);
	close(stats_fd);

	/* The time is taken after the exit is counted, allow for that. */
	spin_for(2 * SPIN_CYCLES);
	TEST_ASSERT_EQ(__vm_ioctl(self->vm, KVM_SIGNAL_MSI, &msi), 1);
	pthread_join(thread, NULL);
}

static void guest_monotonic_code(void)
{
	struct exit_record cpuid = reason_record(cpuid_exit_reason());
	struct exit_record total = total_record(), last_cpuid, last_total;
	int i;

	for (i = 0; i < 1000; i++) {
		last_cpuid = cpuid;
		last_total = total;
		cpuid = reason_record(cpuid_exit_reason());
		total = total_record();

		GUEST_ASSERT_EQ(cpuid.exits, last_cpuid.exits + 2);
		GUEST_ASSERT(total.exits >= last_total.exits + 2);
		GUEST_ASSERT_EQ(cpuid.cycles > last_cpuid.cycles, timed);
		GUEST_ASSERT_EQ(total.cycles > last_total.cycles, timed);
		GUEST_ASSERT(timed || !(cpuid.cycles || total.cycles));
	}
	GUEST_DONE();
}

TEST_F(exit_counters, counts_never_decrease)
{
	run_to_done(vm_vcpu_add(self->vm, 0, guest_monotonic_code));
}

static void guest_exiting_code(void)
{
	int i;

	for (i = 0; i < NR_PARALLEL_EXITS; i++)
		rdmsr_exit();

	__atomic_fetch_add(&nr_finished, 1, __ATOMIC_SEQ_CST);
	GUEST_DONE();
}

static void guest_assert_grown(const char *what, u32 reason, const struct exit_record *last,
			       const struct exit_record *record)
{
	__GUEST_ASSERT(record->exits >= last->exits && record->cycles >= last->cycles,
		       "%s 0x%x: from %lu exits, %lu cycles to %lu, %lu", what, reason,
		       last->exits, last->cycles, record->exits, record->cycles);
}

static void guest_reading_code(int reader)
{
	struct guest_view *last = &guest_views[2 * reader];
	struct guest_view *view = &guest_views[2 * reader + 1];
	bool finished;
	int i;

	guest_read_all(last);
	do {
		finished = READ_ONCE(nr_finished) == NR_EXITING_VCPUS;

		guest_read_all(view);
		for (i = 0; i < EXIT_BUCKET_OTHER; i++)
			guest_assert_grown("Exit reason", exit_bucket_to_reason(i),
					   &last->reasons[i], &view->reasons[i]);
		guest_assert_grown("All reasons", 0, &last->total, &view->total);
		GUEST_ASSERT(view->total.exits > last->total.exits);
		*last = *view;
	} while (!finished);

	GUEST_DONE();
}

/* vCPUs that exit, while others read everything all the time. */
TEST_F(exit_counters, many_vcpus)
{
	int i, rdmsr_bucket = host_cpu_is_amd ? SVM_EXIT_MSR : EXIT_REASON_MSR_READ;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct exit_counters counters;
	pthread_t threads[NR_VCPUS];

	for (i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = vm_vcpu_add(self->vm, i, i < NR_EXITING_VCPUS ?
				       (void *)guest_exiting_code : (void *)guest_reading_code);
		vcpu_args_set(vcpus[i], 1, i - NR_EXITING_VCPUS);
	}

	for (i = 0; i < NR_VCPUS; i++)
		start_thread(&threads[i], vcpus[i]);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(threads[i], NULL);

	for (i = 0; i < NR_EXITING_VCPUS; i++) {
		vcpu_get_exit_counters(vcpus[i], &counters);
		TEST_ASSERT_EQ(counters.exits[rdmsr_bucket], NR_PARALLEL_EXITS);
	}

	sync_global_from_guest(self->vm, guest_views);
	for (i = 0; i < NR_READING_VCPUS; i++)
		TEST_ASSERT_EQ(guest_views[2 * i].reasons[rdmsr_bucket].exits,
			       NR_EXITING_VCPUS * NR_PARALLEL_EXITS);
}

static void guest_assert_leaf(u32 leaf, u32 index, u32 want_eax, u32 want_ebx,
			      u32 want_ecx, u32 want_edx)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(leaf, index, &eax, &ebx, &ecx, &edx);
	__GUEST_ASSERT(eax == want_eax && ebx == want_ebx && ecx == want_ecx && edx == want_edx,
		       "CPUID.0x%x.0x%x: got %x %x %x %x, wanted %x %x %x %x", leaf, index,
		       eax, ebx, ecx, edx, want_eax, want_ebx, want_ecx, want_edx);
}

static const u32 reason_leaves[] = {
	KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES,
	KVM_CPUID_EXIT_COUNTERS_REASON,
	KVM_CPUID_EXIT_COUNTERS_REASON_TOTAL,
};

/* Undefined numbers next to defined ones, and such as exceed what an index holds. */
static const u32 vmx_undefined[] = {
	35, 38, 42, 71, 82, 83, 86, 195, 196, 197, 0xffff,
	BIT(16), BIT(16) | EXIT_REASON_CPUID, BIT(31), BIT(31) | EXIT_REASON_CPUID, ~0u,
};

static const u32 svm_undefined[] = {
	0xa7, 0xbf, 0xc0, 0xc3, 0xc4, 0xc5, 0x3ff, 0x404, 0xffff,
	BIT(16) | SVM_EXIT_CPUID, BIT(31), BIT(31) | SVM_EXIT_CPUID, 0xf0000000, ~0u,
};

/* Defined, yet nothing in this guest causes them. */
static const u32 vmx_unused[] = { 5, 6, 9, 11, 17, 34, 36, 65, 70, 72, 81, 84, 85 };
static const u32 svm_unused[] = { 0x01, 0x1f, 0x2f, 0x5f, 0x7d, 0xa3, 0xa6, 0x401, 0x403 };

static void guest_leaves_code(u64 mask, u64 tsc_khz)
{
	u32 hypercall = host_cpu_is_amd ? SVM_EXIT_VMMCALL : EXIT_REASON_VMCALL;
	const u32 *undefined = host_cpu_is_amd ? svm_undefined : vmx_undefined;
	const u32 *unused = host_cpu_is_amd ? svm_unused : vmx_unused;
	const u32 *signature = (const u32 *)KVM_EXIT_COUNTERS_SIGNATURE;
	struct exit_record record;
	u32 leaf, a, b, c, d;
	int i, j, nr;

	guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS, 0, KVM_CPUID_EXIT_COUNTERS_TOTAL,
			  signature[0], signature[1], signature[2]);
	__cpuid(KVM_CPUID_EXIT_COUNTERS_INFO, 0, &a, &b, &c, &d);
	GUEST_ASSERT_EQ(a, KVM_EXIT_COUNTERS_REVISION);
	GUEST_ASSERT_EQ(b, mask);
	GUEST_ASSERT_EQ(c, host_cpu_is_amd ? KVM_EXIT_COUNTERS_ISA_SVM :
					     KVM_EXIT_COUNTERS_ISA_VMX);
	/* The kernel refines its TSC's frequency once, by at most 1%, after it booted. */
	__GUEST_ASSERT(tsc_khz - tsc_khz / 100 <= d && d <= tsc_khz + tsc_khz / 100,
		       "The TSC's frequency is %u kHz, wanted %lu", d, tsc_khz);

	for (leaf = KVM_CPUID_EXIT_COUNTERS_INFO + 1;
	     leaf < KVM_CPUID_EXIT_COUNTERS_VECTOR; leaf++)
		guest_assert_leaf(leaf, 0, 0, 0, 0, 0);

	for (i = 0; i < 64; i++)
		guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS_VECTOR,
				  NR_EXCEPTION_VECTORS | (i < 32 ? i : BIT(i - 32)),
				  0, 0, 0, UNDEFINED_EDX);

	hypercall_exit();
	for (i = 0; i < ARRAY_SIZE(reason_leaves); i++) {
		nr = host_cpu_is_amd ? ARRAY_SIZE(svm_undefined) :
				       ARRAY_SIZE(vmx_undefined);
		for (j = 0; j < nr; j++)
			guest_assert_leaf(reason_leaves[i], undefined[j], 0, 0, 0, UNDEFINED_EDX);

		nr = host_cpu_is_amd ? ARRAY_SIZE(svm_unused) : ARRAY_SIZE(vmx_unused);
		for (j = 0; j < nr; j++) {
			record = guest_exit_record(reason_leaves[i], unused[j]);
			__GUEST_ASSERT(!record.exits, "Exit reason 0x%x: %lu exits, wanted 0",
				       unused[j], record.exits);
		}

		GUEST_ASSERT_EQ(guest_exit_record(reason_leaves[i], hypercall).exits, 1);
	}

	/* The mixed leaf's cycles are those of all reasons, the others' of that reason. */
	record = total_record();
	GUEST_ASSERT_EQ(guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_TOTAL,
					  hypercall).cycles > record.cycles, timed);
	GUEST_ASSERT_EQ(guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES,
					  hypercall).cycles, reason_record(hypercall).cycles);
	GUEST_DONE();
}

TEST_F(exit_counters, leaves)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_leaves_code);

	/* The guest's TSC runs at the host's frequency unless userspace says otherwise. */
	vcpu_args_set(vcpu, 2, variant->mask,
		      timed ? (u64)__vcpu_ioctl(vcpu, KVM_GET_TSC_KHZ, NULL) : 0ul);
	run_to_done(vcpu);
}

static void guest_user_leaf_code(void)
{
	guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS_REASON, 0, USER_EAX, 0, 0, 0);

	/* A neighbour is still KVM's. */
	GUEST_ASSERT_EQ(guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES,
					  cpuid_exit_reason()).exits, 2);
	GUEST_DONE();
}

TEST_F(exit_counters, userspace_leaf_wins)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_user_leaf_code);
	int nent = vcpu->cpuid->nent;

	vcpu->cpuid = realloc(vcpu->cpuid, kvm_cpuid2_size(nent + 1));
	TEST_ASSERT(vcpu->cpuid, "No memory for CPUID entries");
	vcpu->cpuid->entries[nent] = (struct kvm_cpuid_entry2) {
		.function = KVM_CPUID_EXIT_COUNTERS_REASON,
		.eax = USER_EAX,
	};
	vcpu->cpuid->nent = nent + 1;
	vcpu_set_cpuid(vcpu);

	run_to_done(vcpu);
}

/*
 * Who may not read the TSC gets no cycles, either.  That takes user mode, which the
 * library's page tables do not have: run without paging, at IOPL 3 for the OUT.
 */
static void set_protected_mode(struct kvm_vcpu *vcpu, int cpl, bool tsd)
{
	struct kvm_segment code = {
		.limit = ~0u,
		.selector = 8 | cpl,
		.type = 11,
		.present = 1,
		.dpl = cpl,
		.db = 1,
		.s = 1,
		.g = 1,
	};
	struct kvm_segment data = code;
	struct kvm_regs regs = {
		.rax = KVM_CPUID_EXIT_COUNTERS_TOTAL,
		.rdx = UNCLAIMED_PORT,
		.rip = PROTECTED_MODE_GPA,
		.rflags = X86_EFLAGS_FIXED | IOPL_3,
	};
	struct kvm_sregs sregs;

	data.selector = 16 | cpl;
	data.type = 3;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cs = code;
	sregs.ss = data;
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET;
	sregs.cr4 = tsd ? X86_CR4_TSD : 0;
	sregs.efer = 0;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
}

TEST_F(exit_counters, cycles_obey_tsd)
{
	static const u8 protected_mode_code[] = {
		0x0f, 0xa2,			/* cpuid */
		0x66, 0xba, UNCLAIMED_PORT & 0xff, UNCLAIMED_PORT >> 8, /* mov $port,%dx */
		0xee,				/* out %al,(%dx) */
	};
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_view_code);
	struct kvm_regs regs;
	int cpl, tsd;

	memcpy(addr_gpa2hva(self->vm, PROTECTED_MODE_GPA), protected_mode_code,
	       sizeof(protected_mode_code));

	run_to_sync(vcpu);
	for (cpl = 0; cpl < 4; cpl++) {
		for (tsd = 0; tsd < 2; tsd++) {
			set_protected_mode(vcpu, cpl, tsd);
			vcpu_run(vcpu);
			TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);

			vcpu_regs_get(vcpu, &regs);
			TEST_ASSERT((u32)regs.rax > NR_TRIGGERS, "CPL %d, TSD %d: only %u exits",
				    cpl, tsd, (u32)regs.rax);
			TEST_ASSERT((regs.rbx || regs.rcx) == (timed && !(cpl && tsd)),
				    "CPL %d, TSD %d: cycles 0x%08llx%08llx", cpl, tsd,
				    regs.rbx, regs.rcx);
		}
	}
}

static void guest_emulated_code(void)
{
	u32 eax = KVM_CPUID_EXIT_COUNTERS, ebx, ecx = 0, edx;

	asm volatile(KVM_FEP "cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	GUEST_ASSERT_EQ(eax, KVM_CPUID_EXIT_COUNTERS_TOTAL);
	GUEST_DONE();
}

TEST_F(exit_counters, emulator_shows_leaves)
{
	if (!is_forced_emulation_enabled)
		SKIP(return, "kvm.force_emulation_prefix is off");

	run_to_done(vm_vcpu_add(self->vm, 0, guest_emulated_code));
}

/* A digest of all that CPUID returns, to compare kernels with and without counters. */
static u64 guest_cpuid_digest(void)
{
	static const struct {
		u32 first;
		u32 last;
	} ranges[] = {
		{ 0x00000000, 0x00000040 },
		{ 0x40000000, 0x400001ff },
		{ KVM_CPUID_EXIT_COUNTERS, KVM_CPUID_EXIT_COUNTERS_TOTAL },
		{ 0x80000000, 0x80000040 },
		{ 0xc0000000, 0xc000000f },
	};
	u32 leaf, index, regs[4];
	u64 digest = 0xcbf29ce484222325ull;
	int i, j;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (leaf = ranges[i].first; leaf <= ranges[i].last; leaf++) {
			for (index = 0; index < 16; index++) {
				__cpuid(leaf, index, &regs[0], &regs[1], &regs[2], &regs[3]);
				/* FNV-1a, a word at a time. */
				for (j = 0; j < ARRAY_SIZE(regs); j++)
					digest = (digest ^ regs[j]) * 0x100000001b3ull;
			}
		}
	}

	return digest;
}

/*
 * Without an entry, KVM returns the highest basic leaf to Intel-model guests, and
 * zeros to AMD-model guests.
 */
static void guest_no_leaves_code(void)
{
	static const u32 indices[] = { 0, 1, 2, 10, 48, 0x400, 0xffffffff };
	u32 max_basic, want[4] = {}, unused;
	int i, j;

	__cpuid(0, 0, &max_basic, &unused, &unused, &unused);

	for (i = 0; i < NR_LEAVES; i++) {
		for (j = 0; j < ARRAY_SIZE(indices); j++) {
			if (!host_cpu_is_amd)
				__cpuid(max_basic, indices[j], &want[0], &want[1], &want[2],
					&want[3]);
			guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS + i, indices[j], want[0],
					  want[1], want[2], want[3]);
		}
	}

	cpuid_digest = guest_cpuid_digest();
	GUEST_DONE();
}

static void check_no_leaves(struct kvm_vm *vm)
{
	run_to_done(vm_vcpu_add(vm, 0, guest_no_leaves_code));
	sync_global_from_guest(vm, cpuid_digest);
	kvm_vm_free(vm);
}

/* False if this kernel has no parameter. */
static bool read_param(char *val, int size)
{
	FILE *f = fopen(EXIT_COUNTERS_PARAM, "r");

	if (!f)
		return false;
	TEST_ASSERT(fgets(val, size, f), "%s cannot be read", EXIT_COUNTERS_PARAM);
	fclose(f);
	return true;
}

static int write_param(const char *val)
{
	int fd, r;

	fd = open(EXIT_COUNTERS_PARAM, O_WRONLY);
	TEST_ASSERT(fd >= 0, "open(%s) failed: %s", EXIT_COUNTERS_PARAM, strerror(errno));
	r = write(fd, val, strlen(val)) < 0 ? errno : 0;
	close(fd);
	return r;
}

/* Runs on a kernel without exit counters, too, whose digest must be the same. */
TEST(no_leaves_by_default)
{
	char param[32];

	if (read_param(param, sizeof(param)) && strtoul(param, NULL, 0))
		SKIP(return, "The default is another here, %s: %s", EXIT_COUNTERS_PARAM, param);

	check_no_leaves(vm_create(1));
	ksft_print_msg("CPUID digest 0x%016lx\n", cpuid_digest);
}

TEST(no_leaves_without_mask_bit)
{
	u64 masks[] = { 0, KVM_X86_EXIT_COUNTERS_CYCLES };
	struct kvm_vm *vm;
	int i;

	/* The last mask counts. */
	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		vm = vm_create_with_exit_counters(1, ALL_BITS);
		vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, masks[i]);
		check_no_leaves(vm);
	}
}

FIXTURE(module_parameter) {
	char old[32];
};

FIXTURE_SETUP(module_parameter)
{
	if (!read_param(self->old, sizeof(self->old)) || access(EXIT_COUNTERS_PARAM, W_OK))
		SKIP(return, "%s cannot be written, run as root", EXIT_COUNTERS_PARAM);
	errno = 0;
}

/* In the parent, lest a case that fails leave the system changed. */
FIXTURE_TEARDOWN_PARENT(module_parameter)
{
	if (self->old[0])
		TEST_ASSERT(!write_param(self->old), "Could not restore %s to %s",
			    EXIT_COUNTERS_PARAM, self->old);
}

TEST_F(module_parameter, rejects_what_is_not_a_mask)
{
	static const char * const invalid[] = {
		"4", "0x80000000", "0x100000000", "0x10000000000000000", "-1", "x", "1 2", "\n",
	};
	char param[32];
	int i;

	for (i = 0; i < ARRAY_SIZE(invalid); i++) {
		EXPECT_NE(0, write_param(invalid[i]))
			TH_LOG("Writing '%s' to %s", invalid[i], EXIT_COUNTERS_PARAM);
		ASSERT_TRUE(read_param(param, sizeof(param)));
		EXPECT_STREQ(self->old, param);
	}
}

TEST_F(module_parameter, is_what_vms_start_with)
{
	struct kvm_vm *vm, *no_leaves_vm, *replaced_vm;
	struct kvm_vcpu *vcpu;

	ASSERT_EQ(0, write_param("1"));
	vm = vm_create_with_one_vcpu(&vcpu, guest_leaves_code);
	ASSERT_EQ(0, write_param("0"));
	no_leaves_vm = vm_create(1);
	ASSERT_EQ(0, write_param("3"));
	replaced_vm = vm_create(1);

	/* As soon as possible: VMs of others start with it, too. */
	ASSERT_EQ(0, write_param(self->old));

	vcpu_args_set(vcpu, 2, (u64)KVM_X86_EXIT_COUNTERS_CPUID, 0ul);
	run_to_done(vcpu);
	kvm_vm_free(vm);

	check_no_leaves(no_leaves_vm);

	/* A VM's capability replaces it. */
	vm_enable_cap(replaced_vm, KVM_CAP_X86_EXIT_COUNTERS, 0);
	check_no_leaves(replaced_vm);
}

int main(int argc, char *argv[])
{
	/* Only the absence of the leaves can be tested without them. */
	if (!kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS) && argc == 1)
		ksft_exit_skip("KVM_CAP_X86_EXIT_COUNTERS is not supported\n");

	return test_harness_run(argc, argv);
}
