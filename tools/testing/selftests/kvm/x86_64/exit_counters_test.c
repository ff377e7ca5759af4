// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verify the host's interfaces of KVM's exit counters: that stats and debugfs count what
 * a guest does, that cycles are counted if asked for and not otherwise, and that counts
 * never decrease, whatever other VMs do, and whatever befalls the vCPU.
 *
 * exit_counters_cpuid_test is about what the guest sees, exit_counters_reasons_test
 * verifies that each exit reason is counted.
 */
#include <string.h>

#include "apic.h"
#include "exit_counters.h"
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"

#define NR_TRIGGERS		64

/* Where a SIPI starts a vCPU.  The library puts nothing below 1 MiB by itself. */
#define REAL_MODE_GPA		0x60000ull

/* SMM has an address space of its own, 1. */
#define SMRAM_MEMSLOT		(BIT(16) | 1)
#define SMRAM_GPA		0x1000000ull
#define SMRAM_PAGES		16
#define SMI_HANDLER_OFFSET	0x8000

/* A VM whose exits are counted, and one whose exits are timed, too. */
FIXTURE(exit_counters) {
	struct kvm_vm *vm;
};

FIXTURE_VARIANT(exit_counters) {
	u64 mask;
};

FIXTURE_VARIANT_ADD(exit_counters, counted) {
	.mask = 0,
};

FIXTURE_VARIANT_ADD(exit_counters, timed) {
	.mask = KVM_X86_EXIT_COUNTERS_CYCLES,
};

FIXTURE_SETUP(exit_counters)
{
	self->vm = vm_create_with_exit_counters(2, variant->mask);
}

FIXTURE_TEARDOWN(exit_counters)
{
	kvm_vm_free(self->vm);
}

static void guest_code(void)
{
	int i;

	for (;;) {
		for (i = 0; i < NR_TRIGGERS; i++) {
			rdmsr_exit();
			io_in_exit();
			hypercall_exit();
		}
		GUEST_SYNC(0);
	}
}

/* A file in debugfs of this VM. */
static const char *debugfs_path(struct kvm_vm *vm, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/%s", getpid(), vm->fd, name);
	return path;
}

/* Check each line of a file exit_counters, and its sums.  Return false if it cannot be read. */
static bool assert_debugfs_equals(const char *path, const struct exit_counters *counters)
{
	u64 exits, cycles, total = 0, total_cycles = 0;
	char code[16], name[64];
	FILE *file;
	int n;

	file = fopen(path, "r");
	if (!file)
		return false;

	while ((n = fscanf(file, "%15[^\t]\t%63[^\t]\t%lu\t%lu\n",
			   code, name, &exits, &cycles)) == 4) {
		u32 reason = strtoul(code, NULL, 0);
		bool other = !strcmp(code, "other");
		int i = other ? EXIT_BUCKET_OTHER : exit_bucket(reason);

		TEST_ASSERT(exits && exits == counters->exits[i],
			    "%s: %s %s: %lu exits, wanted %lu", path, code, name, exits,
			    counters->exits[i]);
		TEST_ASSERT(other || !strcmp(name, exit_reason_name(reason)),
			    "%s: %s is named %s, wanted %s", path, code, name,
			    exit_reason_name(reason));
		total += exits;
		total_cycles += cycles;
	}
	TEST_ASSERT(n == EOF, "%s: not a line of four fields", path);
	fclose(file);

	TEST_ASSERT(total == sum_exits(counters), "%s: %lu exits in all, wanted %lu", path,
		    total, sum_exits(counters));
	TEST_ASSERT(total_cycles == counters->cycles, "%s: %lu cycles in all, wanted %lu", path,
		    total_cycles, counters->cycles);
	return true;
}

/* The file of a vCPU shows its binary stats, which are right, and the VM's file their sums. */
TEST_F(exit_counters, debugfs_equals_stats)
{
	static const char * const stats[] = {
		"exits_by_reason", "exceptions_by_vector", "exit_cycles",
	};
	struct exit_counters sums, counters[2];
	struct kvm_vcpu *vcpu;
	bool is_readable;
	char name[32];
	int i;

	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		vcpu = vm_vcpu_add(self->vm, i, guest_code);
		exit_trace_start();
		run_to_sync(vcpu);
		vcpu_get_exit_counters(vcpu, &counters[i]);
		assert_counters_agree(&counters[i]);
		TEST_ASSERT(!variant->mask == !counters[i].cycles, "%lu cycles with mask 0x%lx",
			    counters[i].cycles, variant->mask);
	}

	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		snprintf(name, sizeof(name), "vcpu%d/exit_counters", i);
		if (!assert_debugfs_equals(debugfs_path(self->vm, name), &counters[i]))
			SKIP(return, "Cannot read %s: %s", debugfs_path(self->vm, name),
			     strerror(errno));
	}

	for (i = 0; i < NR_EXIT_BUCKETS; i++)
		sums.exits[i] = counters[0].exits[i] + counters[1].exits[i];
	sums.cycles = counters[0].cycles + counters[1].cycles;
	is_readable = assert_debugfs_equals(debugfs_path(self->vm, "exit_counters"), &sums);
	TEST_ASSERT(is_readable, "Cannot read the VM's exit_counters: %s", strerror(errno));

	/* No file of a single stat, which would show, and clear, a part of it. */
	for (i = 0; i < ARRAY_SIZE(stats); i++)
		TEST_ASSERT(access(debugfs_path(self->vm, stats[i]), F_OK), "%s exists",
			    debugfs_path(self->vm, stats[i]));
}

/* One VM's exits are none of another's business. */
TEST_F(exit_counters, vms_are_isolated)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_code), *busy;
	struct exit_counters before, after;
	struct kvm_vm *vm;

	run_to_sync(vcpu);
	vcpu_get_exit_counters(vcpu, &before);

	vm = vm_create_with_one_vcpu(&busy, guest_code);
	run_to_sync(busy);
	kvm_vm_free(vm);

	vcpu_get_exit_counters(vcpu, &after);
	TEST_ASSERT(!memcmp(&before, &after, sizeof(before)),
		    "The counters of an idle VM changed while another one ran");
}

TEST_F(exit_counters, new_vcpus_start_at_zero)
{
	static const struct exit_counters zero;
	struct exit_counters counters;

	vcpu_get_exit_counters(vm_vcpu_add(self->vm, 0, guest_code), &counters);
	TEST_ASSERT(!memcmp(&counters, &zero, sizeof(zero)),
		    "A vCPU that never ran has exits");
}

/* CPUID and an exit to userspace, in any mode, then what the test asks for. */
static const u8 real_mode_code[] = {
	0x31, 0xc0,			/* xor %ax,%ax */
	0x0f, 0xa2,			/* cpuid */
	0xba, UNCLAIMED_PORT & 0xff, UNCLAIMED_PORT >> 8, /* mov $port,%dx */
	0xee,				/* out %al,(%dx) */
	0x0f, 0xaa,			/* rsm */
};

/* Run a vCPU to the I/O of real_mode_code, and check that it only added to before. */
static void run_real_mode_code(struct kvm_vcpu *vcpu, const struct exit_counters *before)
{
	int i, cpuid_bucket = exit_bucket(cpuid_exit_reason());
	struct exit_counters after;

	vcpu_run(vcpu);
	TEST_ASSERT(vcpu->run->exit_reason == KVM_EXIT_IO &&
		    vcpu->run->io.port == UNCLAIMED_PORT,
		    "Unexpected exit to userspace: %u (%s)", vcpu->run->exit_reason,
		    exit_reason_str(vcpu->run->exit_reason));

	vcpu_get_exit_counters(vcpu, &after);
	for (i = 0; i < NR_EXIT_BUCKETS; i++)
		TEST_ASSERT(after.exits[i] >= before->exits[i],
			    "Exit reason 0x%x went from %lu to %lu",
			    exit_bucket_to_reason(i), before->exits[i], after.exits[i]);
	TEST_ASSERT(after.cycles >= before->cycles, "Cycles went from %lu to %lu",
		    before->cycles, after.cycles);

	/* Without unrestricted guest, KVM may emulate real mode, without any exit. */
	TEST_ASSERT(after.exits[cpuid_bucket] - before->exits[cpuid_bucket] <= 1,
		    "CPUID exits went from %lu to %lu with one CPUID",
		    before->exits[cpuid_bucket], after.exits[cpuid_bucket]);
}

static void guest_init_sipi_code(void)
{
	x2apic_enable();
	x2apic_write_reg(APIC_ICR, (u64)1 << 32 | APIC_DM_INIT | APIC_INT_ASSERT);
	x2apic_write_reg(APIC_ICR, (u64)1 << 32 | APIC_DM_STARTUP | APIC_INT_ASSERT |
			 REAL_MODE_GPA >> 12);
	GUEST_DONE();
}

TEST_F(exit_counters, counts_survive_init)
{
	struct kvm_vcpu *bsp = vm_vcpu_add(self->vm, 0, guest_init_sipi_code);
	struct kvm_vcpu *ap = vm_vcpu_add(self->vm, 1, guest_code);
	struct exit_counters before;

	memcpy(addr_gpa2hva(self->vm, REAL_MODE_GPA), real_mode_code, sizeof(real_mode_code));

	run_to_sync(ap);
	vcpu_get_exit_counters(ap, &before);
	TEST_ASSERT(sum_exits(&before) > NR_TRIGGERS, "The AP did not exit");

	run_to_done(bsp);
	run_real_mode_code(ap, &before);
}

TEST_F(exit_counters, counts_survive_smm)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	struct exit_counters before;

	if (!kvm_has_cap(KVM_CAP_X86_SMM))
		SKIP(return,
		     "No SMM; on VMX it needs unrestricted_guest or emulate_invalid_guest_state");

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, SMRAM_GPA, SMRAM_MEMSLOT,
				    SMRAM_PAGES, 0);
	TEST_ASSERT(vm_phy_pages_alloc(self->vm, SMRAM_PAGES, SMRAM_GPA, SMRAM_MEMSLOT) ==
		    SMRAM_GPA, "Could not allocate SMRAM");
	memcpy(addr_gpa2hva(self->vm, SMRAM_GPA) + SMI_HANDLER_OFFSET, real_mode_code,
	       sizeof(real_mode_code));
	vcpu_set_msr(vcpu, MSR_IA32_SMBASE, SMRAM_GPA);

	run_to_sync(vcpu);
	vcpu_get_exit_counters(vcpu, &before);

	vcpu_ioctl(vcpu, KVM_SMI, NULL);
	run_real_mode_code(vcpu, &before);
	run_to_sync(vcpu);
}

TEST_F(exit_counters, counts_survive_set_cpuid)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_code);
	struct exit_counters before, after;

	run_to_sync(vcpu);
	vcpu_get_exit_counters(vcpu, &before);
	vcpu_set_cpuid(vcpu);
	vcpu_get_exit_counters(vcpu, &after);
	TEST_ASSERT(!memcmp(&before, &after, sizeof(before)),
		    "KVM_SET_CPUID2 changed the counters");
	run_to_sync(vcpu);
}

static void expect_enable_error(struct kvm_vm *vm, u32 flags, int arg, u64 val)
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

TEST(capability)
{
	const u64 known = KVM_X86_EXIT_COUNTERS_CPUID | KVM_X86_EXIT_COUNTERS_CYCLES;
	u64 mask = kvm_check_cap(KVM_CAP_X86_EXIT_COUNTERS);
	struct kvm_vm *vm;
	int i;

	TEST_ASSERT(mask == known,
		    "KVM_CHECK_EXTENSION returned 0x%lx, wanted 0x%lx; please update this test",
		    mask, known);

	vm = vm_create(1);
	TEST_ASSERT(vm_check_cap(vm, KVM_CAP_X86_EXIT_COUNTERS) == mask,
		    "The VM's mask differs from the system's");

	for (i = 0; i < 64; i++) {
		if (!(BIT_ULL(i) & mask))
			expect_enable_error(vm, 0, 0, BIT_ULL(i) | mask);
	}
	for (i = 0; i < 32; i++)
		expect_enable_error(vm, BIT(i), 0, mask);
	for (i = 1; i < 4; i++)
		expect_enable_error(vm, 0, i, 1);

	/* Nothing changes once there are vCPUs. */
	for (i = 0; i <= mask; i++)
		vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, i);
	__vm_vcpu_add(vm, 1);
	for (i = 0; i <= mask; i++)
		expect_enable_error(vm, 0, 0, i);
	kvm_vm_free(vm);
}

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));

	return test_harness_run(argc, argv);
}
