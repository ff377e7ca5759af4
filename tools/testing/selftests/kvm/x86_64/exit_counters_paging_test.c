// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verify, with KVM's exit counters, which VM-Exits paging causes: under nested
 * paging (kvm-intel ept=1, kvm-amd npt=1) one exit per page that the guest touches
 * first, and none for its own page tables; under shadow paging (ept=0, npt=0) page
 * faults, INVLPG and CR3 exits instead.
 *
 * Expect what the loaded module's setting implies.  exit_counters_paging_test.sh
 * runs this under both settings and compares the counts, which are printed as
 * tab-separated lines: "split", isa, paging, exit code, name, exits, cycles.
 */
#include "exit_counters.h"
#include "kvm_util.h"
#include "processor.h"

/*
 * The guest goes through all stages twice, the first time to let whatever else it
 * touches be mapped.  Each time it has an area of its own: pages, and as the last
 * one a device, all mapped by one page table, which the guest can write.
 */
#define NR_AREAS		2
#define AREA_SIZE		0x200000ull
#define AREA_GVA(area)		(0xc0000000ull + (area) * AREA_SIZE)
#define AREA_GPA(area)		(0x80000000ull + (area) * AREA_SIZE)
#define AREA_MEMSLOT(area)	(10 + (area))
#define PAGE_TABLE_GVA(area)	(0xd0000000ull + (area) * AREA_SIZE)
#define MMIO_GVA(area)		(AREA_GVA(area) + AREA_SIZE - PAGE_SIZE)
#define MMIO_GPA(area)		(0xd0000000ull + (area) * PAGE_SIZE)

/* Page 0 is touched early, so that the page table itself gets mapped. */
#define NR_PAGES		256
#define NR_CR3_LOADS		100
#define NR_MMIO_READS		100

enum stage {
	STAGE_WARM_UP,
	STAGE_TOUCH,
	STAGE_REWRITE,
	STAGE_INVLPG,
	STAGE_REREAD,
	STAGE_CR3,
	STAGE_MMIO,
	NR_STAGES,
};

static const char * const stage_names[] = {
	[STAGE_WARM_UP] = "warm-up",
	[STAGE_TOUCH]	= "first touch of pages",
	[STAGE_REWRITE]	= "rewriting of page tables",
	[STAGE_INVLPG]	= "INVLPG",
	[STAGE_REREAD]	= "second touch of pages",
	[STAGE_CR3]	= "loading of CR3",
	[STAGE_MMIO]	= "MMIO reads",
};

static u64 *guest_page(int area, int i)
{
	return (u64 *)(AREA_GVA(area) + i * PAGE_SIZE);
}

/* Which page's memory the guest's page i shows after the rewriting. */
static int rotated(int i)
{
	return i % NR_PAGES + 1;
}

static void load_cr3(u64 cr3)
{
	asm volatile("mov %0, %%cr3" :: "r"(cr3) : "memory");
}

static void guest_stages(int area)
{
	u64 *ptes = (u64 *)PAGE_TABLE_GVA(area);
	u64 cr3 = get_cr3();
	u64 first;
	int i;

	WRITE_ONCE(*guest_page(area, 0), 1);
	READ_ONCE(ptes[0]);
	GUEST_SYNC(STAGE_WARM_UP);

	for (i = 1; i <= NR_PAGES; i++)
		WRITE_ONCE(*guest_page(area, i), i);
	GUEST_SYNC(STAGE_TOUCH);

	first = READ_ONCE(ptes[1]);
	for (i = 1; i < NR_PAGES; i++)
		WRITE_ONCE(ptes[i], READ_ONCE(ptes[rotated(i)]));
	WRITE_ONCE(ptes[NR_PAGES], first);
	GUEST_SYNC(STAGE_REWRITE);

	for (i = 1; i <= NR_PAGES; i++)
		asm volatile("invlpg (%0)" :: "r"(guest_page(area, i)) : "memory");
	GUEST_SYNC(STAGE_INVLPG);

	for (i = 1; i <= NR_PAGES; i++)
		__GUEST_ASSERT(READ_ONCE(*guest_page(area, i)) == rotated(i),
			       "Page %d shows %lu, its new PTE maps %d",
			       i, READ_ONCE(*guest_page(area, i)), rotated(i));
	GUEST_SYNC(STAGE_REREAD);

	for (i = 0; i < NR_CR3_LOADS; i++)
		load_cr3(cr3);
	GUEST_SYNC(STAGE_CR3);

	for (i = 0; i < NR_MMIO_READS; i++)
		READ_ONCE(*(u32 *)MMIO_GVA(area));
	GUEST_SYNC(STAGE_MMIO);
}

static void guest_code(void)
{
	int area;

	for (area = 0; area < NR_AREAS; area++)
		guest_stages(area);
}

/* What one stage of the guest's work must have caused. */
struct expectation {
	/* EPT violations, or nested page faults. */
	u64 violations;
	u64 misconfigs;
	u64 page_faults;
	u64 invlpgs;
	u64 cr3_loads;
	/* Some page fault exits are up to KVM, e.g. which shadow pages it syncs when. */
	bool more_page_faults;
};

static void get_expectations(struct expectation *want)
{
	if (kvm_is_tdp_enabled()) {
		want[STAGE_TOUCH].violations = NR_PAGES;
		want[STAGE_MMIO].violations = NR_MMIO_READS;
		if (!host_cpu_is_amd && get_kvm_param_bool("mmio_caching")) {
			/* The first read installs the PTE that misconfigures the others. */
			want[STAGE_MMIO].violations = 1;
			want[STAGE_MMIO].misconfigs = NR_MMIO_READS - 1;
		}
		return;
	}

	want[STAGE_TOUCH].page_faults = NR_PAGES;
	/* The page table is write-protected until the first write. */
	want[STAGE_REWRITE].page_faults = 1;
	want[STAGE_INVLPG].invlpgs = NR_PAGES;
	want[STAGE_REREAD].more_page_faults = true;
	want[STAGE_CR3].cr3_loads = NR_CR3_LOADS;
	want[STAGE_MMIO].page_faults = NR_MMIO_READS;
}

static u64 delta(const struct exit_counters *before,
		 const struct exit_counters *after, u32 reason)
{
	return after->exits[exit_bucket(reason)] - before->exits[exit_bucket(reason)];
}

static void check_stage(enum stage stage, const struct expectation *want,
			const struct exit_counters *before,
			const struct exit_counters *after)
{
	struct expectation got = {};

	got.page_faults = after->exceptions[PF_VECTOR] - before->exceptions[PF_VECTOR];
	if (host_cpu_is_amd) {
		got.violations = delta(before, after, SVM_EXIT_NPF);
		got.invlpgs = delta(before, after, SVM_EXIT_INVLPG);
		got.cr3_loads = delta(before, after, SVM_EXIT_WRITE_CR3);
	} else {
		got.violations = delta(before, after, EXIT_REASON_EPT_VIOLATION);
		got.misconfigs = delta(before, after, EXIT_REASON_EPT_MISCONFIG);
		got.invlpgs = delta(before, after, EXIT_REASON_INVLPG);
		got.cr3_loads = delta(before, after, EXIT_REASON_CR_ACCESS);
	}

	pr_info("%s: %lu violations, %lu misconfigurations, %lu page faults, %lu INVLPG, %lu CR3\n",
		stage_names[stage], got.violations, got.misconfigs, got.page_faults,
		got.invlpgs, got.cr3_loads);

	TEST_ASSERT(got.violations == want->violations &&
		    got.misconfigs == want->misconfigs &&
		    (got.page_faults == want->page_faults ||
		     (want->more_page_faults && got.page_faults > want->page_faults)) &&
		    got.invlpgs == want->invlpgs &&
		    got.cr3_loads == want->cr3_loads,
		    "%s: wanted %lu violations, %lu misconfigurations, %s%lu page faults, %lu INVLPG, %lu CR3",
		    stage_names[stage], want->violations, want->misconfigs,
		    want->more_page_faults ? "at least " : "", want->page_faults,
		    want->invlpgs, want->cr3_loads);
}

static void print_split_line(const char *code, const char *name, u64 exits)
{
	if (exits)
		printf("split\t%s\t%s\t%s\t%s\t%lu\t0\n",
		       host_cpu_is_amd ? "svm" : "vmx",
		       kvm_is_tdp_enabled() ? "tdp" : "shadow", code, name, exits);
}

static void print_split(const struct exit_counters *before,
			const struct exit_counters *after)
{
	char code[16];
	int i;

	for (i = 0; i < NR_EXIT_BUCKETS; i++) {
		u32 reason = exit_bucket_to_reason(i);

		if (host_cpu_is_amd)
			snprintf(code, sizeof(code), "0x%03x", reason);
		else
			snprintf(code, sizeof(code), "%u", reason);
		print_split_line(code, exit_reason_name(reason),
				 after->exits[i] - before->exits[i]);
	}

	for (i = 0; i < NR_EXCEPTION_VECTORS; i++) {
		snprintf(code, sizeof(code), "exc%d", i);
		print_split_line(code, exception_name(i) ?: "unnamed",
				 after->exceptions[i] - before->exceptions[i]);
	}
}

/* Where the guest has the page table, the lowest of all levels, that maps @gva. */
static u64 page_table_gpa(struct kvm_vm *vm, struct kvm_vcpu *vcpu, u64 gva)
{
	struct kvm_sregs sregs;
	u64 gpa, *table;
	int shift;

	vcpu_sregs_get(vcpu, &sregs);
	gpa = PTE_GET_PA(sregs.cr3);
	for (shift = sregs.cr4 & X86_CR4_LA57 ? 48 : 39; shift > PAGE_SHIFT; shift -= 9) {
		table = addr_gpa2hva(vm, gpa);
		gpa = PTE_GET_PA(table[(gva >> shift) & 511]);
	}

	return gpa;
}

int main(int argc, char *argv[])
{
	struct expectation want[NR_STAGES] = {};
	struct exit_counters counters[NR_STAGES];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int area, i;
	u64 stage;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);

	for (area = 0; area < NR_AREAS; area++) {
		/* Anonymous memory is not backed by huge pages: one exit maps one page. */
		vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, AREA_GPA(area),
					    AREA_MEMSLOT(area), NR_PAGES + 1, 0);
		virt_map(vm, AREA_GVA(area), AREA_GPA(area), NR_PAGES + 1);
		virt_pg_map(vm, MMIO_GVA(area), MMIO_GPA(area));

		virt_pg_map(vm, PAGE_TABLE_GVA(area),
			    page_table_gpa(vm, vcpu, AREA_GVA(area)));
	}

	get_expectations(want);
	for (area = 0; area < NR_AREAS; area++) {
		for (i = 0; i < NR_STAGES; i++) {
			stage = run_to_sync(vcpu);
			TEST_ASSERT(stage == i, "Guest is at stage %lu, wanted %d", stage, i);
			if (area < NR_AREAS - 1)
				continue;

			vcpu_get_exit_counters(vcpu, &counters[i]);
			if (i > STAGE_WARM_UP)
				check_stage(i, &want[i], &counters[i - 1], &counters[i]);
		}
	}
	print_split(&counters[STAGE_WARM_UP], &counters[STAGE_MMIO]);

	kvm_vm_free(vm);
	return 0;
}
