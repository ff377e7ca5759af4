// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verify, with KVM's exit counters, which VM-Exits paging causes: under nested
 * paging (kvm-intel ept=1, kvm-amd npt=1) one exit per page that the guest touches
 * first, and none for its own page tables; under shadow paging (ept=0, npt=0) page
 * faults, INVLPG and CR3 exits instead.
 *
 * The host may unmap the guest's memory at any time, e.g. to compact or to reclaim it,
 * which makes the guest exit more often.  Let the guest do each stage of its work anew,
 * with memory of its own each time, until the host left it alone for one that long.
 * Never accept fewer exits than the guest caused, nor a number that differs from that
 * of the kvm_exit tracepoint.
 *
 * Expect what the loaded module's setting implies.  exit_counters_paging_test.sh
 * runs this under both settings and compares the counts, which are printed as
 * tab-separated lines: "split", isa, paging, exit code, name, exits, cycles.
 */
#include "exit_counters.h"
#include "kvm_util.h"
#include "processor.h"

/*
 * Each time, the guest has an area of its own: pages, and as the last one a device, all
 * mapped by one page table, which the guest can write.  The first time lets whatever
 * else it touches be mapped.
 */
#define NR_AREAS		64
#define AREA_SIZE		0x200000ull
#define AREA_GVA(area)		(0xc0000000ull + (area) * AREA_SIZE)
#define AREA_GPA(area)		(0x80000000ull + (area) * AREA_SIZE)
#define AREAS_MEMSLOT		10
#define PAGE_TABLE_GVA(area)	(0xd0000000ull + (area) * PAGE_SIZE)
#define MMIO_GVA(area)		(AREA_GVA(area) + AREA_SIZE - PAGE_SIZE)
#define MMIO_GPA(area)		(0xd0000000ull + (area) * PAGE_SIZE)

/* Page 0 is touched early, so that the page table itself gets mapped. */
#define NR_PAGES		256
/* The longest stage: in parts, each of which the host may leave alone. */
#define NR_TOUCH_PARTS		16
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

/* What is between two ucalls: a stage, or a part of STAGE_TOUCH. */
#define NR_STEPS		(NR_STAGES + NR_TOUCH_PARTS - 1)

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

	for (i = 1; i <= NR_PAGES; i++) {
		WRITE_ONCE(*guest_page(area, i), i);
		if (i % (NR_PAGES / NR_TOUCH_PARTS) == 0)
			GUEST_SYNC(STAGE_TOUCH);
	}

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

/* The exits that one stage of the guest's work causes, and what else there may be. */
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
		want[STAGE_TOUCH].violations = NR_PAGES / NR_TOUCH_PARTS;
		want[STAGE_MMIO].violations = NR_MMIO_READS;
		if (!host_cpu_is_amd && get_kvm_param_bool("mmio_caching")) {
			/* The first read installs the PTE that misconfigures the others. */
			want[STAGE_MMIO].violations = 1;
			want[STAGE_MMIO].misconfigs = NR_MMIO_READS - 1;
		}
		return;
	}

	want[STAGE_TOUCH].page_faults = NR_PAGES / NR_TOUCH_PARTS;
	/* The page table is write-protected until the first write. */
	want[STAGE_REWRITE].page_faults = 1;
	want[STAGE_INVLPG].invlpgs = NR_PAGES;
	want[STAGE_REREAD].more_page_faults = true;
	want[STAGE_CR3].cr3_loads = NR_CR3_LOADS;
	want[STAGE_MMIO].page_faults = NR_MMIO_READS;
}

static u64 exits(const struct exit_counters *counters, u32 vmx_reason, u32 svm_code)
{
	return counters->exits[exit_bucket(host_cpu_is_amd ? svm_code : vmx_reason)];
}

/* Return whether the host left the guest alone, i.e. the counts are the guest's own. */
static bool check_stage(enum stage stage, const struct expectation *want,
			const struct exit_counters *counters)
{
	struct expectation got = {
		.violations = exits(counters, EXIT_REASON_EPT_VIOLATION, SVM_EXIT_NPF),
		.page_faults = counters->exceptions[PF_VECTOR],
		.invlpgs = exits(counters, EXIT_REASON_INVLPG, SVM_EXIT_INVLPG),
		.cr3_loads = exits(counters, EXIT_REASON_CR_ACCESS, SVM_EXIT_WRITE_CR3),
	};
	u64 others;

	if (!host_cpu_is_amd)
		got.misconfigs = counters->exits[EXIT_REASON_EPT_MISCONFIG];
	others = sum_exits(counters) - host_exits(counters) - got.violations -
		 got.misconfigs - got.page_faults - got.invlpgs - got.cr3_loads;

	pr_info("%s: %lu violations, %lu misconfigurations, %lu page faults, %lu INVLPG, %lu CR3, %lu others\n",
		stage_names[stage], got.violations, got.misconfigs, got.page_faults,
		got.invlpgs, got.cr3_loads, others);

	/*
	 * The other one is the ucall.  What was unmapped is mapped again, by a violation
	 * instead of a misconfiguration.
	 */
	TEST_ASSERT(got.violations >= want->violations &&
		    got.violations + got.misconfigs >= want->violations + want->misconfigs &&
		    got.page_faults >= want->page_faults &&
		    got.invlpgs == want->invlpgs &&
		    got.cr3_loads == want->cr3_loads &&
		    others == 1,
		    "%s: wanted at least %lu violations, %lu misconfigurations, %lu page faults, and exactly %lu INVLPG, %lu CR3, 1 other",
		    stage_names[stage], want->violations, want->misconfigs,
		    want->page_faults, want->invlpgs, want->cr3_loads);

	return got.violations == want->violations && got.misconfigs == want->misconfigs &&
	       (got.page_faults == want->page_faults || want->more_page_faults);
}

static void print_split_line(const char *code, const char *name, u64 exits)
{
	if (exits)
		printf("split\t%s\t%s\t%s\t%s\t%lu\t0\n",
		       host_cpu_is_amd ? "svm" : "vmx",
		       kvm_is_tdp_enabled() ? "tdp" : "shadow", code, name, exits);
}

static void print_split(const struct exit_counters *steps)
{
	struct exit_counters sum = {};
	char code[16];
	int i, j;

	for (j = 0; j < NR_STEPS; j++) {
		for (i = 0; i < NR_EXIT_BUCKETS; i++)
			sum.exits[i] += steps[j].exits[i];
		for (i = 0; i < NR_EXCEPTION_VECTORS; i++)
			sum.exceptions[i] += steps[j].exceptions[i];
	}

	for (i = 0; i < NR_EXIT_BUCKETS; i++) {
		u32 reason = exit_bucket_to_reason(i);

		snprintf(code, sizeof(code), host_cpu_is_amd ? "0x%03x" : "%u", reason);
		print_split_line(code, exit_reason_name(reason), sum.exits[i]);
	}

	for (i = 0; i < NR_EXCEPTION_VECTORS; i++) {
		snprintf(code, sizeof(code), "exc%d", i);
		print_split_line(code, exception_name(i) ?: "unnamed", sum.exceptions[i]);
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

static void map_area(struct kvm_vm *vm, struct kvm_vcpu *vcpu, int area)
{
	virt_map(vm, AREA_GVA(area), AREA_GPA(area), NR_PAGES + 1);
	virt_pg_map(vm, MMIO_GVA(area), MMIO_GPA(area));
	virt_pg_map(vm, PAGE_TABLE_GVA(area), page_table_gpa(vm, vcpu, AREA_GVA(area)));
}

int main(int argc, char *argv[])
{
	struct exit_counters last = {}, now, steps[NR_STEPS] = {};
	struct expectation want[NR_STAGES] = {};
	/* Nothing is expected of the warm-up. */
	bool seen[NR_STEPS] = { true };
	int area, i, nr_seen = 1;
	struct kvm_vcpu *vcpu;
	enum stage stage;
	struct kvm_vm *vm;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));

	/* More memory for the areas' page tables. */
	vm = __vm_create_with_one_vcpu(&vcpu, 2 * NR_AREAS, guest_code);
	/* Anonymous memory is not backed by huge pages: one exit maps one page. */
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, AREA_GPA(0), AREAS_MEMSLOT,
				    NR_AREAS * AREA_SIZE / PAGE_SIZE, 0);

	get_expectations(want);
	exit_trace_start();
	for (area = 0; area < NR_AREAS && nr_seen < NR_STEPS; area++) {
		map_area(vm, vcpu, area);
		for (i = 0; i < NR_STEPS; i++) {
			stage = run_to_sync(vcpu);
			vcpu_get_exit_counters(vcpu, &now);
			assert_exit_trace_agrees(&now);

			if (area && !seen[i]) {
				steps[i] = exits_between(&last, &now);
				seen[i] = check_stage(stage, &want[stage], &steps[i]);
				nr_seen += seen[i];
			}
			last = now;
		}
	}
	TEST_ASSERT(nr_seen == NR_STEPS,
		    "The host added exits in all of %d attempts at %d steps, see above",
		    NR_AREAS - 1, NR_STEPS - nr_seen);
	print_split(steps);

	kvm_vm_free(vm);
	return 0;
}
