// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verify the interfaces of KVM's exit counters: that the guest's CPUID leaves show
 * what the host's stats show, that without the capability (or the module parameter)
 * the guest sees no trace of them, that cycles are those of exits that occurred and
 * no more than the time that passed, and that counts never decrease, whatever other
 * vCPUs and VMs do, and whatever befalls the vCPU.
 *
 * exit_counters_reasons_test verifies that each exit reason is counted.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "apic.h"
#include "exit_counters.h"
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"

#define EXIT_COUNTERS_PARAM	"/sys/module/kvm/parameters/exit_counters"

#define NR_LEAVES		0x100
#define UNDEFINED_EDX		0xffffffffu

#define NR_TRIGGERS		64
#define HLT_WAKE_VECTOR		0x40

/* What the guest spends in userspace, or asleep, at least. */
#define SPIN_CYCLES		1000000u

#define NR_EXITING_VCPUS	8
#define NR_READING_VCPUS	2
#define NR_VCPUS		(NR_EXITING_VCPUS + NR_READING_VCPUS)
#define NR_PARALLEL_EXITS	1000ul

/* Where a SIPI starts a vCPU.  The library puts nothing below 1 MiB by itself. */
#define REAL_MODE_GPA		0x60000ull

/* Lets user mode do I/O. */
#define IOPL_3			(3ul << 12)

/* SMM has an address space of its own, 1. */
#define SMRAM_MEMSLOT		(BIT(16) | 1)
#define SMRAM_GPA		0x1000000ull
#define SMRAM_PAGES		16
#define SMI_HANDLER_OFFSET	0x8000

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

static u32 rdmsr_exit_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_MSR : EXIT_REASON_MSR_READ;
}

static u32 hypercall_exit_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_VMMCALL : EXIT_REASON_VMCALL;
}

/* The parameter as a line without its end, false if this kernel has none. */
static bool read_param(char *val, size_t size)
{
	int fd = open(EXIT_COUNTERS_PARAM, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return false;

	n = read(fd, val, size - 1);
	TEST_ASSERT(n > 0, "read(%s) failed: %s", EXIT_COUNTERS_PARAM, strerror(errno));
	close(fd);

	val[n] = 0;
	val[strcspn(val, "\n")] = 0;
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

static void hlt_wake_handler(struct ex_regs *regs)
{
	x2apic_write_reg(APIC_EOI, 0);
}

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
	.mask = KVM_X86_EXIT_COUNTERS_CPUID | KVM_X86_EXIT_COUNTERS_CYCLES,
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

/* Read the CPUID reason last but for the total: reading is itself a CPUID exit. */
static void guest_read_all(struct guest_view *view)
{
	int bucket, vector, cpuid_bucket = exit_bucket(cpuid_exit_reason());

	for (vector = 0; vector < NR_EXCEPTION_VECTORS; vector++)
		view->vectors[vector] = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_VECTOR, vector);

	for (bucket = 0; bucket < EXIT_BUCKET_OTHER; bucket++) {
		if (bucket != cpuid_bucket)
			view->reasons[bucket] = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON,
								  exit_bucket_to_reason(bucket));
	}

	view->reasons[cpuid_bucket] = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON,
							cpuid_exit_reason());
	view->total = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);
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

	/* The first pass lets everything that it touches be mapped. */
	for (i = 0; i < 2; i++) {
		guest_read_all(&guest_views[0]);
		GUEST_SYNC(i);
	}
	GUEST_DONE();
}

TEST_F(exit_counters, guest_view_equals_host_view)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_view_code);
	u64 guest, host, host_total = 0, events = 0, exceptions = 0;
	const struct guest_view *view = &guest_views[0];
	struct exit_counters counters;
	int bucket, vector;

	run_to_sync(vcpu);
	run_to_sync(vcpu);
	sync_global_from_guest(self->vm, guest_views);
	vcpu_get_exit_counters(vcpu, &counters);
	run_to_done(vcpu);

	for (bucket = 0; bucket < NR_EXIT_BUCKETS; bucket++) {
		u32 reason = exit_bucket_to_reason(bucket);

		host = counters.exits[bucket];
		host_total += host;
		if (bucket == EXIT_BUCKET_OTHER)
			continue;

		/* Undefined reasons have no record; their counts must be zero. */
		guest = is_undefined(&view->reasons[bucket]) ? 0 : view->reasons[bucket].exits;

		/* Account for the ucall and for reading the total. */
		if (reason == io_exit_reason() || reason == cpuid_exit_reason())
			guest++;

		/* Among VMX' exceptions are some of the host's, see their vectors. */
		TEST_ASSERT(guest == host ||
			    (guest < host && (is_host_exit(reason) ||
					      (!host_cpu_is_amd &&
					       reason == EXIT_REASON_EXCEPTION_NMI))),
			    "Exit reason 0x%x (%s): %lu in the guest's view, %lu in the host's",
			    reason, exit_reason_name(reason), guest, host);
		events += host - guest;
	}

	for (vector = 0; vector < NR_EXCEPTION_VECTORS; vector++) {
		guest = view->vectors[vector].exits;
		host = counters.exceptions[vector];
		exceptions += host;
		TEST_ASSERT(guest == host || (is_host_exception(vector) && guest < host),
			    "Exception %d: %lu in the guest's view, %lu in the host's",
			    vector, guest, host);
	}

	TEST_ASSERT(host_cpu_is_amd ||
		    exceptions == counters.exits[EXIT_REASON_EXCEPTION_NMI],
		    "%lu exceptions by vector, %lu by exit reason", exceptions,
		    counters.exits[EXIT_REASON_EXCEPTION_NMI]);

	TEST_ASSERT(view->total.exits + 1 <= host_total &&
		    view->total.exits + 1 + events >= host_total,
		    "All reasons: %lu and 1 ucall in the guest's view, %lu in the host's, %lu events of the host between the two",
		    view->total.exits, host_total, events);
	TEST_ASSERT(timed || !counters.cycles, "%lu cycles without being timed",
		    counters.cycles);
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
			       "Exit reason 0x%x: %lu exits, %lu cycles, %s timed",
			       exit_bucket_to_reason(i), view->reasons[i].exits,
			       view->reasons[i].cycles, timed ? "" : "not");
		cycles += view->reasons[i].cycles;
	}

	/* Reading CPUID's cycles and reading the total are an exit each. */
	__GUEST_ASSERT(cycles <= view->total.cycles && !view->total.cycles == !timed,
		       "%lu cycles by reason, %lu in all", cycles, view->total.cycles);
}

static void guest_cycles_code(void)
{
	struct guest_view *before = &guest_views[0], *after = &guest_views[1];
	u64 start, end, delta;
	int i, bucket;

	/* The first two passes let everything that they touch be mapped. */
	guest_read_all(before);
	guest_read_all(after);
	hypercall_exit();

	start = rdtsc();
	guest_read_all(before);
	for (i = 0; i < NR_TRIGGERS; i++)
		hypercall_exit();
	guest_read_all(after);
	end = rdtsc();

	guest_check_view(before);
	guest_check_view(after);

	for (bucket = 0; bucket < EXIT_BUCKET_OTHER; bucket++) {
		u64 exits = after->reasons[bucket].exits - before->reasons[bucket].exits;

		delta = after->reasons[bucket].cycles - before->reasons[bucket].cycles;
		__GUEST_ASSERT(!delta == !(timed && exits),
			       "Exit reason 0x%x: %lu more exits, %lu more cycles",
			       exit_bucket_to_reason(bucket), exits, delta);
	}

	delta = after->total.cycles - before->total.cycles;
	__GUEST_ASSERT(delta <= end - start, "%lu more cycles in %lu cycles of time",
		       delta, end - start);
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
	before = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES, io_exit_reason());
	GUEST_SYNC(0);
	after = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES, io_exit_reason());

	__GUEST_ASSERT(after.exits == before.exits + 1, "I/O exits went from %lu to %lu",
		       before.exits, after.exits);
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

static void guest_cycles_of_hlt_code(void)
{
	u32 reason = host_cpu_is_amd ? SVM_EXIT_HLT : EXIT_REASON_HLT;
	struct exit_record record;

	x2apic_enable();
	GUEST_SYNC(0);
	asm volatile("sti; hlt; cli");

	record = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES, reason);
	__GUEST_ASSERT(record.exits == 1, "%lu HLT exits, wanted 1", record.exits);
	__GUEST_ASSERT(timed ? record.cycles >= SPIN_CYCLES : !record.cycles,
		       "%lu cycles of HLT, slept through at least %u",
		       record.cycles, SPIN_CYCLES);
	GUEST_DONE();
}

static void *run_to_done_thread(void *vcpu)
{
	run_to_done(vcpu);
	return NULL;
}

static void start_thread(pthread_t *thread, struct kvm_vcpu *vcpu)
{
	int r = pthread_create(thread, NULL, run_to_done_thread, vcpu);

	TEST_ASSERT(!r, "pthread_create() failed: %s", strerror(r));
}

/* Wake the guest up no sooner than SPIN_CYCLES after its HLT was counted. */
TEST_F(exit_counters, cycles_include_sleep)
{
	int hlt_bucket = exit_bucket(host_cpu_is_amd ? SVM_EXIT_HLT : EXIT_REASON_HLT);
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_cycles_of_hlt_code);
	struct kvm_msi msi = {
		.address_lo = APIC_DEFAULT_GPA,
		.data = HLT_WAKE_VECTOR,
	};
	int stats_fd = vcpu_get_stats_fd(vcpu);
	struct exit_counters counters;
	pthread_t thread;

	vm_install_exception_handler(self->vm, HLT_WAKE_VECTOR, hlt_wake_handler);

	run_to_sync(vcpu);
	start_thread(&thread, vcpu);
	do {
		sched_yield();
		read_exit_counters(stats_fd, &counters);
	} while (!counters.exits[hlt_bucket]);
	close(stats_fd);

	/* The time is taken after the exit is counted, allow for that. */
	spin_for(2 * SPIN_CYCLES);
	TEST_ASSERT(__vm_ioctl(self->vm, KVM_SIGNAL_MSI, &msi) == 1,
		    "The MSI was not delivered");
	pthread_join(thread, NULL);
}

/* The sums of the host's file are those of the binary stats. */
TEST_F(exit_counters, debugfs_equals_stats)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_view_code);
	u64 exits, cycles, total = 0, total_cycles = 0, host_total = 0;
	struct exit_counters counters;
	static const char * const stats[] = {
		"exits_by_reason", "exceptions_by_vector", "exit_cycles",
	};
	char path[128], code[16], name[64];
	FILE *file;
	int i, n;

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/exit_counters",
		 getpid(), self->vm->fd);

	run_to_sync(vcpu);
	vcpu_get_exit_counters(vcpu, &counters);

	file = fopen(path, "r");
	if (!file)
		SKIP(return, "Cannot read %s: %s", path, strerror(errno));

	while ((n = fscanf(file, "%15[^\t]\t%63[^\t]\t%lu\t%lu\n",
			   code, name, &exits, &cycles)) == 4) {
		u32 reason = strtoul(code, NULL, 0);
		bool other = !strcmp(code, "other");

		i = other ? EXIT_BUCKET_OTHER : exit_bucket(reason);
		TEST_ASSERT(exits && exits == counters.exits[i],
			    "%s %s: %lu exits, %lu in the stats", code, name, exits,
			    counters.exits[i]);
		TEST_ASSERT(other || !strcmp(name, exit_reason_name(reason)),
			    "%s is named %s, wanted %s", code, name, exit_reason_name(reason));
		total += exits;
		total_cycles += cycles;
	}
	TEST_ASSERT(n == EOF, "Not a line of four fields in %s", path);
	fclose(file);

	/* No file of a single stat, which would show, and clear, a part of it. */
	for (i = 0; i < ARRAY_SIZE(stats); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/%s",
			 getpid(), self->vm->fd, stats[i]);
		TEST_ASSERT(access(path, F_OK), "%s exists", path);
	}

	for (i = 0; i < NR_EXIT_BUCKETS; i++)
		host_total += counters.exits[i];
	TEST_ASSERT(total == host_total, "%lu exits in all, %lu in the stats", total, host_total);
	TEST_ASSERT(total_cycles == counters.cycles && !timed == !total_cycles,
		    "%lu cycles in all, %lu in the stats", total_cycles, counters.cycles);
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
		__GUEST_ASSERT(!i || timed == (record.cycles > last_cpuid.cycles),
			       "Cycles of CPUID exits went from %lu to %lu in two reads",
			       last_cpuid.cycles, record.cycles);
		last_cpuid = record;

		record = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);
		__GUEST_ASSERT(!i || record.exits >= last_total.exits + 2,
			       "All exits went from %lu to %lu in two reads",
			       last_total.exits, record.exits);
		__GUEST_ASSERT(!i || timed == (record.cycles > last_total.cycles),
			       "All cycles went from %lu to %lu in two reads",
			       last_total.cycles, record.cycles);
		last_total = record;
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
			__GUEST_ASSERT(view->reasons[i].exits >= last->reasons[i].exits &&
				       view->reasons[i].cycles >= last->reasons[i].cycles,
				       "Exit reason 0x%x: from %lu exits, %lu cycles to %lu, %lu",
				       exit_bucket_to_reason(i),
				       last->reasons[i].exits, last->reasons[i].cycles,
				       view->reasons[i].exits, view->reasons[i].cycles);
		__GUEST_ASSERT(view->total.exits > last->total.exits &&
			       view->total.cycles >= last->total.cycles,
			       "All reasons: from %lu exits, %lu cycles to %lu, %lu",
			       last->total.exits, last->total.cycles,
			       view->total.exits, view->total.cycles);
		*last = *view;
	} while (!finished);

	GUEST_DONE();
}

/* vCPUs that exit, while others read everything all the time. */
TEST_F(exit_counters, many_vcpus)
{
	int i, rdmsr_bucket = exit_bucket(rdmsr_exit_reason());
	const u64 wanted = NR_EXITING_VCPUS * NR_PARALLEL_EXITS;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct exit_counters counters;
	pthread_t threads[NR_VCPUS];
	u64 total;

	for (i = 0; i < NR_VCPUS; i++) {
		if (i < NR_EXITING_VCPUS) {
			vcpus[i] = vm_vcpu_add(self->vm, i, guest_exiting_code);
		} else {
			vcpus[i] = vm_vcpu_add(self->vm, i, guest_reading_code);
			vcpu_args_set(vcpus[i], 1, i - NR_EXITING_VCPUS);
		}
	}

	for (i = 0; i < NR_VCPUS; i++)
		start_thread(&threads[i], vcpus[i]);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(threads[i], NULL);

	for (i = 0; i < NR_EXITING_VCPUS; i++) {
		vcpu_get_exit_counters(vcpus[i], &counters);
		TEST_ASSERT(counters.exits[rdmsr_bucket] == NR_PARALLEL_EXITS,
			    "%lu %s exits in the stats of vCPU %d, wanted %lu",
			    counters.exits[rdmsr_bucket], exit_reason_name(rdmsr_exit_reason()),
			    i, NR_PARALLEL_EXITS);
	}

	sync_global_from_guest(self->vm, guest_views);
	for (i = 0; i < NR_READING_VCPUS; i++) {
		total = guest_views[2 * i].reasons[rdmsr_bucket].exits;
		TEST_ASSERT(total == wanted, "%lu %s exits as reader %d saw them, wanted %lu",
			    total, exit_reason_name(rdmsr_exit_reason()), i, wanted);
	}
}

static void guest_busy_code(void)
{
	int i;

	for (i = 0; i < NR_TRIGGERS; i++) {
		rdmsr_exit();
		io_in_exit();
		hypercall_exit();
	}
	GUEST_DONE();
}

/* One VM's exits are none of another's business. */
TEST_F(exit_counters, vms_are_isolated)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_view_code), *busy;
	struct exit_counters before, after;
	struct kvm_vm *vm;

	run_to_sync(vcpu);
	vcpu_get_exit_counters(vcpu, &before);

	vm = vm_create_with_one_vcpu(&busy, guest_busy_code);
	run_to_done(busy);
	kvm_vm_free(vm);

	vcpu_get_exit_counters(vcpu, &after);
	TEST_ASSERT(!memcmp(&before, &after, sizeof(before)),
		    "The counters of an idle VM changed while another one ran");
}

TEST_F(exit_counters, new_vcpus_start_at_zero)
{
	static const struct exit_counters zero;
	struct exit_counters counters;

	vcpu_get_exit_counters(vm_vcpu_add(self->vm, 0, guest_view_code), &counters);
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
	struct kvm_vcpu *ap = vm_vcpu_add(self->vm, 1, guest_busy_code);
	struct exit_counters before;

	memcpy(addr_gpa2hva(self->vm, REAL_MODE_GPA), real_mode_code, sizeof(real_mode_code));

	run_to_done(ap);
	vcpu_get_exit_counters(ap, &before);
	TEST_ASSERT(sum_exits(&before) > NR_TRIGGERS, "The AP did not exit");

	run_to_done(bsp);
	run_real_mode_code(ap, &before);
}

TEST_F(exit_counters, counts_survive_smm)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_view_code);
	struct exit_counters before;

	if (!kvm_has_cap(KVM_CAP_X86_SMM))
		SKIP(return, "KVM does not support SMM");

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
	run_to_done(vcpu);
}

TEST_F(exit_counters, counts_survive_set_cpuid)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_view_code);
	struct exit_counters before, after;

	run_to_sync(vcpu);
	vcpu_get_exit_counters(vcpu, &before);
	vcpu_set_cpuid(vcpu);
	vcpu_get_exit_counters(vcpu, &after);
	TEST_ASSERT(!memcmp(&before, &after, sizeof(before)),
		    "KVM_SET_CPUID2 changed the counters");
	run_to_sync(vcpu);
	run_to_done(vcpu);
}

static void guest_assert_leaf(u32 leaf, u32 index, u32 want_eax,
			      u32 want_ebx, u32 want_ecx, u32 want_edx)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(leaf, index, &eax, &ebx, &ecx, &edx);
	__GUEST_ASSERT(eax == want_eax && ebx == want_ebx &&
		       ecx == want_ecx && edx == want_edx,
		       "CPUID.0x%x.0x%x: got %x %x %x %x, wanted %x %x %x %x",
		       leaf, index, eax, ebx, ecx, edx,
		       want_eax, want_ebx, want_ecx, want_edx);
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
	const u32 *signature = (const u32 *)KVM_EXIT_COUNTERS_SIGNATURE;
	int nr_undefined = ARRAY_SIZE(vmx_undefined);
	int nr_unused = ARRAY_SIZE(vmx_unused);
	u32 isa = KVM_EXIT_COUNTERS_ISA_VMX;
	const u32 *undefined = vmx_undefined;
	const u32 *unused = vmx_unused;
	u32 leaf, eax, ebx, ecx, edx;
	struct exit_record record;
	int i, j;

	if (host_cpu_is_amd) {
		isa = KVM_EXIT_COUNTERS_ISA_SVM;
		nr_undefined = ARRAY_SIZE(svm_undefined);
		nr_unused = ARRAY_SIZE(svm_unused);
		undefined = svm_undefined;
		unused = svm_unused;
	}

	guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS, 0, KVM_CPUID_EXIT_COUNTERS_TOTAL,
			  signature[0], signature[1], signature[2]);
	__cpuid(KVM_CPUID_EXIT_COUNTERS_INFO, 0, &eax, &ebx, &ecx, &edx);
	__GUEST_ASSERT(eax == KVM_EXIT_COUNTERS_REVISION && ebx == mask && ecx == isa,
		       "The description reads %x %x %x, wanted %x %lx %x", eax, ebx, ecx,
		       KVM_EXIT_COUNTERS_REVISION, mask, isa);
	/* The kernel refines its TSC's frequency once, by at most 1%, after it booted. */
	__GUEST_ASSERT(tsc_khz - tsc_khz / 100 <= edx && edx <= tsc_khz + tsc_khz / 100,
		       "The TSC's frequency is %u kHz, wanted %lu", edx, tsc_khz);

	for (leaf = KVM_CPUID_EXIT_COUNTERS_INFO + 1;
	     leaf < KVM_CPUID_EXIT_COUNTERS_VECTOR; leaf++)
		guest_assert_leaf(leaf, 0, 0, 0, 0, 0);

	for (i = 0; i < 64; i++) {
		leaf = i < 32 ? i + NR_EXCEPTION_VECTORS : BIT(i - 32) | NR_EXCEPTION_VECTORS;
		guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS_VECTOR, leaf, 0, 0, 0, UNDEFINED_EDX);
	}

	hypercall_exit();
	for (i = 0; i < ARRAY_SIZE(reason_leaves); i++) {
		for (j = 0; j < nr_undefined; j++)
			guest_assert_leaf(reason_leaves[i], undefined[j],
					  0, 0, 0, UNDEFINED_EDX);

		for (j = 0; j < nr_unused; j++) {
			record = guest_exit_record(reason_leaves[i], unused[j]);
			__GUEST_ASSERT(!record.exits, "Exit reason 0x%x: %lu exits, wanted 0",
				       unused[j], record.exits);
		}

		record = guest_exit_record(reason_leaves[i], hypercall_exit_reason());
		__GUEST_ASSERT(record.exits == 1, "Leaf 0x%x: %lu hypercalls, wanted 1",
			       reason_leaves[i], record.exits);
	}

	/* The mixed leaf's cycles are those of all reasons, the others' of that reason. */
	record = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);
	__GUEST_ASSERT(timed == (guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_TOTAL,
						   hypercall_exit_reason()).cycles > record.cycles),
		       "The cycles of all reasons did not grow");
	__GUEST_ASSERT(guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON,
					 hypercall_exit_reason()).cycles ==
		       guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES,
					 hypercall_exit_reason()).cycles,
		       "Two leaves differ in the cycles of hypercalls");

	GUEST_DONE();
}

/* The guest's TSC runs at the host's frequency unless userspace says otherwise. */
static u64 vcpu_tsc_khz(struct kvm_vcpu *vcpu)
{
	return __vcpu_ioctl(vcpu, KVM_GET_TSC_KHZ, NULL);
}

TEST_F(exit_counters, leaves)
{
	struct kvm_vcpu *vcpu = vm_vcpu_add(self->vm, 0, guest_leaves_code);

	vcpu_args_set(vcpu, 2, variant->mask, timed ? vcpu_tsc_khz(vcpu) : 0);
	run_to_done(vcpu);
}

#define USER_EAX	0x12345678

static void guest_user_leaf_code(void)
{
	struct exit_record record;

	guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS_REASON, 0, USER_EAX, 0, 0, 0);

	/* A neighbour is still KVM's. */
	record = guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES, cpuid_exit_reason());
	__GUEST_ASSERT(record.exits == 2, "%lu CPUID exits, wanted 2", record.exits);
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
		.rip = REAL_MODE_GPA,
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
	bool hidden;
	int i;

	memcpy(addr_gpa2hva(self->vm, REAL_MODE_GPA), protected_mode_code,
	       sizeof(protected_mode_code));

	run_to_sync(vcpu);
	for (i = 0; i < 8; i++) {
		hidden = (i & 4) && (i & 3);
		set_protected_mode(vcpu, i & 3, i & 4);
		vcpu_run(vcpu);
		TEST_ASSERT(vcpu->run->exit_reason == KVM_EXIT_IO,
			    "CPL %d, TSD %d: unexpected exit to userspace: %u (%s)",
			    i & 3, !!(i & 4), vcpu->run->exit_reason,
			    exit_reason_str(vcpu->run->exit_reason));

		vcpu_regs_get(vcpu, &regs);
		TEST_ASSERT((u32)regs.rax > NR_TRIGGERS, "CPL %d, TSD %d: only %u exits",
			    i & 3, !!(i & 4), (u32)regs.rax);
		TEST_ASSERT((regs.rbx || regs.rcx) == (timed && !hidden),
			    "CPL %d, TSD %d: cycles 0x%08llx%08llx", i & 3, !!(i & 4),
			    regs.rbx, regs.rcx);
	}
}

static void guest_emulated_code(void)
{
	u32 eax = KVM_CPUID_EXIT_COUNTERS, ebx, ecx = 0, edx;

	asm volatile(KVM_FEP "cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	__GUEST_ASSERT(eax == KVM_CPUID_EXIT_COUNTERS_TOTAL,
		       "The emulator's leaf 0x%x has eax 0x%x", KVM_CPUID_EXIT_COUNTERS, eax);
	GUEST_DONE();
}

TEST_F(exit_counters, emulator_shows_leaves)
{
	if (!is_forced_emulation_enabled)
		SKIP(return, "kvm.force_emulation_prefix is off");

	run_to_done(vm_vcpu_add(self->vm, 0, guest_emulated_code));
}

/*
 * Without an entry, KVM returns the highest basic leaf to Intel-model guests, and
 * zeros to AMD-model guests.
 */
static void guest_no_leaves_code(void)
{
	static const u32 indices[] = { 0, 1, 2, 10, 48, 0x400, 0xffffffff };
	u32 max_basic, ebx, ecx, edx;
	int i, j;

	__cpuid(0, 0, &max_basic, &ebx, &ecx, &edx);

	for (i = 0; i < NR_LEAVES; i++) {
		for (j = 0; j < ARRAY_SIZE(indices); j++) {
			u32 eax = 0, ebx = 0, ecx = 0, edx = 0;

			if (!host_cpu_is_amd)
				__cpuid(max_basic, indices[j], &eax, &ebx, &ecx, &edx);

			guest_assert_leaf(KVM_CPUID_EXIT_COUNTERS + i, indices[j],
					  eax, ebx, ecx, edx);
		}
	}
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

static void guest_no_counters_code(void)
{
	guest_no_leaves_code();
	cpuid_digest = guest_cpuid_digest();
	GUEST_DONE();
}

static void check_no_leaves(struct kvm_vm *vm)
{
	run_to_done(vm_vcpu_add(vm, 0, guest_no_counters_code));
	sync_global_from_guest(vm, cpuid_digest);
	kvm_vm_free(vm);
}

/* Runs on a kernel without exit counters, too, whose digest must be the same. */
TEST(no_leaves_by_default)
{
	char param[32];

	if (read_param(param, sizeof(param)) && strtoul(param, NULL, 0))
		SKIP(return, "%s is %s: the default is another here", EXIT_COUNTERS_PARAM, param);

	check_no_leaves(vm_create(1));
	ksft_print_msg("CPUID digest 0x%016lx\n", cpuid_digest);
}

TEST(no_leaves_without_mask_bit)
{
	u64 masks[] = { 0, KVM_X86_EXIT_COUNTERS_CYCLES };
	struct kvm_vm *vm;
	int i;

	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		vm = vm_create(1);
		vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, masks[i]);
		check_no_leaves(vm);
	}
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

	/* The last valid mask counts, and nothing changes once there are vCPUs. */
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, mask);
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, 0);
	__vm_vcpu_add(vm, 1);
	for (i = 0; i <= mask; i++)
		expect_enable_error(vm, 0, 0, i);
	check_no_leaves(vm);
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
	u64 mask = KVM_X86_EXIT_COUNTERS_CPUID;
	struct kvm_vcpu *vcpu;

	timed = false;

	ASSERT_EQ(0, write_param("1"));
	vm = vm_create_with_one_vcpu(&vcpu, guest_leaves_code);
	ASSERT_EQ(0, write_param("0"));
	no_leaves_vm = vm_create(1);
	ASSERT_EQ(0, write_param("3"));
	replaced_vm = vm_create(1);

	/* As soon as possible: VMs of others start with it, too. */
	ASSERT_EQ(0, write_param(self->old));

	vcpu_args_set(vcpu, 2, mask, 0ul);
	sync_global_to_guest(vm, timed);
	run_to_done(vcpu);
	kvm_vm_free(vm);

	check_no_leaves(no_leaves_vm);

	/* A VM's capability replaces it. */
	vm = replaced_vm;
	vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, 0);
	check_no_leaves(vm);
}

int main(int argc, char *argv[])
{
	/* Only the absence of the leaves can be tested without them. */
	if (!kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS) && argc == 1)
		ksft_exit_skip("KVM_CAP_X86_EXIT_COUNTERS is not supported\n");

	return test_harness_run(argc, argv);
}
