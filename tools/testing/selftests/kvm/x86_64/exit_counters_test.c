// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verify KVM's exit counters: that the guest's CPUID leaves show what the host's
 * binary stats show; and that without the capability (or the module parameter) the
 * guest sees no trace of them.  exit_counters_reasons_test verifies the counts.
 */
#include <fcntl.h>
#include <string.h>

#include "exit_counters.h"
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"

#define NR_TRIGGERS		64

#define EXIT_COUNTERS_PARAM	"/sys/module/kvm/parameters/exit_counters"

#define NR_LEAVES		0x100
#define UNDEFINED_EDX		0xffffffffu

#define UNCLAIMED_PORT		0x2000

/* What the guest read: by bucket, and all reasons together. */
static struct exit_record guest_view[NR_EXIT_BUCKETS];
static struct exit_record guest_total;
static uint64_t cpuid_digest;

static uint32_t cpuid_exit_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_CPUID : EXIT_REASON_CPUID;
}

static uint32_t io_exit_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_IOIO : EXIT_REASON_IO_INSTRUCTION;
}

static uint32_t external_interrupt_exit_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_INTR : EXIT_REASON_EXTERNAL_INTERRUPT;
}

/* Run until the guest's next ucall; everything else it does is its own affair. */
static uint64_t run_to_ucall(struct kvm_vcpu *vcpu, struct ucall *uc)
{
	uint64_t cmd;

	for (;;) {
		vcpu_run(vcpu);

		cmd = get_ucall(vcpu, uc);
		switch (cmd) {
		case UCALL_NONE:
			TEST_ASSERT(vcpu->run->exit_reason == KVM_EXIT_IO ||
				    vcpu->run->exit_reason == KVM_EXIT_MMIO,
				    "Unexpected exit to userspace: %u (%s)",
				    vcpu->run->exit_reason,
				    exit_reason_str(vcpu->run->exit_reason));
			break;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(*uc);
			break;
		default:
			return cmd;
		}
	}
}

static void run_to_sync(struct kvm_vcpu *vcpu)
{
	struct ucall uc;
	uint64_t cmd = run_to_ucall(vcpu, &uc);

	TEST_ASSERT(cmd == UCALL_SYNC, "Expected UCALL_SYNC, got ucall %lu", cmd);
}

static void run_to_done(struct kvm_vcpu *vcpu)
{
	struct ucall uc;
	uint64_t cmd = run_to_ucall(vcpu, &uc);

	TEST_ASSERT(cmd == UCALL_DONE, "Expected UCALL_DONE, got ucall %lu", cmd);
}

static void io_in_exit(void)
{
	uint8_t val;

	asm volatile("inb %w1, %0" : "=a"(val) : "d"(UNCLAIMED_PORT));
}

static void rdmsr_exit(void)
{
	rdmsr(MSR_IA32_APICBASE);
}

static void hypercall_exit(void)
{
	kvm_hypercall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
}

FIXTURE(exit_counters) {
	struct kvm_vm *vm;
};

FIXTURE_SETUP(exit_counters)
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));

	self->vm = vm_create(1);
	vm_enable_cap(self->vm, KVM_CAP_X86_EXIT_COUNTERS,
		      KVM_X86_EXIT_COUNTERS_CPUID);
}

FIXTURE_TEARDOWN(exit_counters)
{
	kvm_vm_free(self->vm);
}

/* Read the CPUID reason last but for the total: reading is itself a CPUID exit. */
static void guest_read_all(void)
{
	int bucket, cpuid_bucket = exit_bucket(cpuid_exit_reason());

	for (bucket = 0; bucket < EXIT_BUCKET_OTHER; bucket++) {
		if (bucket != cpuid_bucket)
			guest_view[bucket] = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON,
							       exit_bucket_to_reason(bucket));
	}

	guest_view[cpuid_bucket] = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON,
						     cpuid_exit_reason());
	guest_total = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);
}

static void guest_view_code(void)
{
	int i;

	for (i = 0; i < NR_TRIGGERS; i++) {
		rdmsr_exit();
		io_in_exit();
		hypercall_exit();
	}

	/* The first pass lets everything that it touches be mapped. */
	for (i = 0; i < 2; i++) {
		guest_read_all();
		GUEST_SYNC(i);
	}
	GUEST_DONE();
}

TEST_F(exit_counters, guest_view_equals_host_view)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_view_code);
	uint64_t guest, host, host_total = 0, interrupts;
	struct exit_counters counters;
	int bucket;

	run_to_sync(vcpu);
	run_to_sync(vcpu);
	sync_global_from_guest(self->vm, guest_view);
	sync_global_from_guest(self->vm, guest_total);
	vcpu_get_exit_counters(vcpu, &counters);
	run_to_done(vcpu);

	/* The host's interrupts may hit the guest at any time. */
	bucket = exit_bucket(external_interrupt_exit_reason());
	interrupts = counters.exits[bucket] - guest_view[bucket].exits;
	TEST_ASSERT(counters.exits[bucket] >= guest_view[bucket].exits,
		    "External interrupts: %lu in the guest's view, then %lu in the host's",
		    guest_view[bucket].exits, counters.exits[bucket]);

	for (bucket = 0; bucket < NR_EXIT_BUCKETS; bucket++) {
		uint32_t reason = exit_bucket_to_reason(bucket);

		host = counters.exits[bucket];
		guest = guest_view[bucket].exits;
		host_total += host;

		if (reason == external_interrupt_exit_reason() ||
		    bucket == EXIT_BUCKET_OTHER)
			continue;

		/* Undefined reasons have no record; their counts must be zero. */
		if (guest == (uint64_t)UNDEFINED_EDX << 32)
			guest = 0;

		/* Account for the ucall and for reading the total. */
		if (reason == io_exit_reason() || reason == cpuid_exit_reason())
			guest++;

		TEST_ASSERT(guest == host,
			    "Exit reason 0x%x (%s): %lu in the guest's view, %lu in the host's",
			    reason, exit_reason_name(reason), guest, host);
		TEST_ASSERT(!guest_view[bucket].cycles,
			    "Exit reason 0x%x (%s): %lu cycles without being timed",
			    reason, exit_reason_name(reason), guest_view[bucket].cycles);
	}

	TEST_ASSERT(guest_total.exits + 1 <= host_total &&
		    guest_total.exits + 1 + interrupts >= host_total,
		    "All reasons: %lu and 1 ucall in the guest's view, %lu in the host's, %lu external interrupts between the two",
		    guest_total.exits, host_total, interrupts);
}

static void guest_monotonic_code(void)
{
	struct exit_record record, last_total = {}, last_cpuid = {};
	int i;

	for (i = 0; i < 1000; i++) {
		record = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON,
					   cpuid_exit_reason());
		__GUEST_ASSERT(!i || record.exits == last_cpuid.exits + 2,
			       "CPUID exits went from %lu to %lu in two reads",
			       last_cpuid.exits, record.exits);
		last_cpuid = record;

		record = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);
		__GUEST_ASSERT(!i || record.exits >= last_total.exits + 2,
			       "All exits went from %lu to %lu in two reads",
			       last_total.exits, record.exits);
		last_total = record;
	}

	GUEST_DONE();
}

TEST_F(exit_counters, counts_never_decrease)
{
	run_to_done(vm_vcpu_add(self->vm, 0, guest_monotonic_code));
}

static void guest_assert_leaf(uint32_t leaf, uint32_t index, uint32_t want_eax,
			      uint32_t want_ebx, uint32_t want_ecx, uint32_t want_edx)
{
	uint32_t eax, ebx, ecx, edx;

	__cpuid(leaf, index, &eax, &ebx, &ecx, &edx);
	__GUEST_ASSERT(eax == want_eax && ebx == want_ebx &&
		       ecx == want_ecx && edx == want_edx,
		       "CPUID.0x%x.0x%x: got %x %x %x %x, wanted %x %x %x %x",
		       leaf, index, eax, ebx, ecx, edx,
		       want_eax, want_ebx, want_ecx, want_edx);
}

static void guest_leaves_code(void)
{
	/* The highest numbers that each leaf of reasons must take for undefined. */
	static const uint32_t undefined[] = {
		0x404, 0x8000, 0x10000, 0x1000a, 0x80000000, 0xf0000000, 0xffffffff,
	};
	static const uint32_t leaves[] = {
		KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES,
		KVM_CPUID_EXIT_COUNTERS_REASON,
		KVM_CPUID_EXIT_COUNTERS_REASON_TOTAL,
	};
	const uint32_t *signature = (const uint32_t *)KVM_EXIT_COUNTERS_SIGNATURE;
	uint32_t leaf;
	int i, j;

	guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS, 0, KVM_CPUID_EXIT_COUNTERS_TOTAL,
			  signature[0], signature[1], signature[2]);
	guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS_INFO, 0, 1,
			  KVM_X86_EXIT_COUNTERS_CPUID, host_cpu_is_amd ? 2 : 1, 0);

	for (leaf = KVM_CPUID_EXIT_COUNTERS_INFO + 1;
	     leaf < KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES; leaf++)
		guest_assert_leaf(leaf, 0, 0, 0, 0, 0);

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		for (j = 0; j < ARRAY_SIZE(undefined); j++)
			guest_assert_leaf(leaves[i], undefined[j], 0, 0, 0, UNDEFINED_EDX);

		/* Defined, yet nothing in this guest causes it. */
		guest_assert_leaf(leaves[i], host_cpu_is_amd ? SVM_EXIT_TASK_SWITCH :
							       EXIT_REASON_TASK_SWITCH,
				  0, 0, 0, 0);
	}

	GUEST_DONE();
}

TEST_F(exit_counters, leaves)
{
	run_to_done(vm_vcpu_add(self->vm, 0, guest_leaves_code));
}

/*
 * Without an entry, KVM returns the highest basic leaf to Intel-model guests, and
 * zeros to AMD-model guests.
 */
static void guest_no_leaves_code(void)
{
	static const uint32_t indices[] = { 0, 1, 2, 10, 48, 0x400, 0xffffffff };
	uint32_t max_basic, ebx, ecx, edx;
	int i, j;

	__cpuid(0, 0, &max_basic, &ebx, &ecx, &edx);

	for (i = 0; i < NR_LEAVES; i++) {
		for (j = 0; j < ARRAY_SIZE(indices); j++) {
			uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;

			if (!host_cpu_is_amd)
				__cpuid(max_basic, indices[j], &eax, &ebx, &ecx, &edx);

			guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS + i, indices[j],
					  eax, ebx, ecx, edx);
		}
	}

	GUEST_DONE();
}

TEST(leaves_absent_by_default)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = vm_create_with_one_vcpu(&vcpu, guest_no_leaves_code);
	run_to_done(vcpu);
	kvm_vm_free(vm);
}

TEST(leaves_absent_without_mask_bit)
{
	struct kvm_vm *vm;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));

	vm = vm_create(1);
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, 0);
	run_to_done(vm_vcpu_add(vm, 0, guest_no_leaves_code));
	kvm_vm_free(vm);
}

/* A digest of all that CPUID returns, to compare kernels with and without counters. */
static void guest_cpuid_digest_code(void)
{
	static const struct {
		uint32_t first;
		uint32_t last;
	} ranges[] = {
		{ 0x00000000, 0x00000040 },
		{ 0x40000000, 0x400001ff },
		{ KVM_CPUID_EXIT_COUNTERS, KVM_CPUID_EXIT_COUNTERS_TOTAL },
		{ 0x80000000, 0x80000040 },
		{ 0xc0000000, 0xc000000f },
	};
	uint32_t leaf, index, regs[4];
	uint64_t digest = 0xcbf29ce484222325ull;
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

	cpuid_digest = digest;
	GUEST_DONE();
}

TEST(default_cpuid)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = vm_create_with_one_vcpu(&vcpu, guest_cpuid_digest_code);
	run_to_done(vcpu);
	sync_global_from_guest(vm, cpuid_digest);
	kvm_vm_free(vm);

	ksft_print_msg("default CPUID digest 0x%016lx\n", cpuid_digest);
}

static void expect_enable_error(struct kvm_vm *vm, uint32_t flags, int arg, uint64_t val)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_EXIT_COUNTERS,
		.flags = flags,
	};
	int r;

	cap.args[arg] = val;
	r = __vm_ioctl(vm, KVM_ENABLE_CAP, &cap);
	TEST_ASSERT(r == -1 && errno == EINVAL,
		    "KVM_ENABLE_CAP with flags 0x%x, args[%d] = 0x%lx returned %d, errno %d, wanted EINVAL",
		    flags, arg, val, r, errno);
}

TEST(capability_errors)
{
	int i, mask = kvm_check_cap(KVM_CAP_X86_EXIT_COUNTERS);
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	TEST_REQUIRE(mask);
	TEST_ASSERT(mask == KVM_X86_EXIT_COUNTERS_CPUID,
		    "KVM_CHECK_EXTENSION returned 0x%x, wanted 0x%llx; please update this test",
		    mask, KVM_X86_EXIT_COUNTERS_CPUID);

	vm = vm_create_barebones();
	TEST_ASSERT(vm_check_cap(vm, KVM_CAP_X86_EXIT_COUNTERS) == mask,
		    "The VM's mask differs from the system's");

	for (i = 0; i < 64; i++) {
		if (!(BIT_ULL(i) & mask))
			expect_enable_error(vm, 0, 0, BIT_ULL(i) | mask);
	}
	expect_enable_error(vm, 1, 0, mask);
	for (i = 1; i < 4; i++)
		expect_enable_error(vm, 0, i, 1);

	/* No error above may have enabled anything; the last valid mask counts. */
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, mask);
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, 0);
	kvm_vm_free(vm);

	vm = vm_create_with_one_vcpu(&vcpu, guest_no_leaves_code);
	for (i = 0; i <= mask; i++)
		expect_enable_error(vm, 0, 0, i);
	run_to_done(vcpu);
	kvm_vm_free(vm);
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

TEST(module_parameter)
{
	static const char * const invalid[] = { "0x80000000", "0x100000000", "-1", "x", "" };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	char old[32] = {};
	int i, fd, r;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));
	if (access(EXIT_COUNTERS_PARAM, W_OK))
		SKIP(return, "%s is not writable, run as root", EXIT_COUNTERS_PARAM);

	fd = open(EXIT_COUNTERS_PARAM, O_RDONLY);
	ASSERT_GE(fd, 0);
	ASSERT_GT(read(fd, old, sizeof(old) - 1), 0);
	close(fd);

	for (i = 0; i < ARRAY_SIZE(invalid); i++) {
		r = write_param(invalid[i]);
		EXPECT_EQ(*invalid[i] ? EINVAL : 0, r)
			TH_LOG("Writing '%s' to %s", invalid[i], EXIT_COUNTERS_PARAM);
	}

	/* The parameter is what new VMs start with, and a VM's capability replaces it. */
	ASSERT_EQ(0, write_param("1"));
	vm = vm_create(1);
	run_to_done(vm_vcpu_add(vm, 0, guest_leaves_code));
	kvm_vm_free(vm);

	vm = vm_create(1);
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, 0);
	run_to_done(vm_vcpu_add(vm, 0, guest_no_leaves_code));
	kvm_vm_free(vm);

	ASSERT_EQ(0, write_param("0"));
	vm = vm_create_with_one_vcpu(&vcpu, guest_no_leaves_code);
	run_to_done(vcpu);
	kvm_vm_free(vm);

	ASSERT_EQ(0, write_param(old));
}

int main(int argc, char *argv[])
{
	return test_harness_run(argc, argv);
}
