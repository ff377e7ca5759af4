// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the rows of a table are: codes and names, these as the kvm_exit tracepoint
 * prints them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_exits.h"

static const char * const vmx_names[NR_VMX_REASONS] = {
	[0] = "EXCEPTION_NMI", "EXTERNAL_INTERRUPT", "TRIPLE_FAULT", "INIT_SIGNAL",
	"SIPI_SIGNAL",
	[7] = "INTERRUPT_WINDOW", "NMI_WINDOW", "TASK_SWITCH", "CPUID",
	[12] = "HLT", "INVD", "INVLPG", "RDPMC", "RDTSC",
	[18] = "VMCALL", "VMCLEAR", "VMLAUNCH", "VMPTRLD", "VMPTRST", "VMREAD", "VMRESUME",
	"VMWRITE", "VMOFF", "VMON", "CR_ACCESS", "DR_ACCESS", "IO_INSTRUCTION", "MSR_READ",
	"MSR_WRITE", "INVALID_STATE", "MSR_LOAD_FAIL",
	[36] = "MWAIT_INSTRUCTION", "MONITOR_TRAP_FLAG",
	[39] = "MONITOR_INSTRUCTION", "PAUSE_INSTRUCTION", "MCE_DURING_VMENTRY",
	[43] = "TPR_BELOW_THRESHOLD", "APIC_ACCESS", "EOI_INDUCED", "GDTR_IDTR", "LDTR_TR",
	"EPT_VIOLATION", "EPT_MISCONFIG", "INVEPT", "RDTSCP", "PREEMPTION_TIMER", "INVVPID",
	"WBINVD", "XSETBV", "APIC_WRITE", "RDRAND", "INVPCID", "VMFUNC", "ENCLS", "RDSEED",
	"PML_FULL", "XSAVES", "XRSTORS",
	[67] = "UMWAIT", "TPAUSE",
	[74] = "BUS_LOCK", "NOTIFY",
	[77] = "TDCALL",
	[84] = "MSR_READ_IMM", "MSR_WRITE_IMM",
};

static const char * const svm_names[NR_SVM_REASONS] = {
	[0x00] = "read_cr0", [0x02] = "read_cr2", "read_cr3", "read_cr4", [0x08] = "read_cr8",
	[0x10] = "write_cr0", [0x12] = "write_cr2", "write_cr3", "write_cr4",
	[0x18] = "write_cr8",
	[0x20] = "read_dr0", "read_dr1", "read_dr2", "read_dr3", "read_dr4", "read_dr5",
	"read_dr6", "read_dr7",
	[0x30] = "write_dr0", "write_dr1", "write_dr2", "write_dr3", "write_dr4", "write_dr5",
	"write_dr6", "write_dr7",
	[0x40] = "DE excp", "DB excp",
	[0x43] = "BP excp", "OF excp", "BR excp", "UD excp", "NM excp", "DF excp",
	[0x4a] = "TS excp", "NP excp", "SS excp", "GP excp", "PF excp",
	[0x50] = "MF excp", "AC excp", "MC excp", "XF excp",
	[0x60] = "interrupt", "nmi", "smi", "init", "vintr", "cr0_sel_write", "read_idtr",
	"read_gdtr", "read_ldtr", "read_rt", "write_idtr", "write_gdtr", "write_ldtr",
	"write_rt", "rdtsc", "rdpmc", "pushf", "popf", "cpuid", "rsm", "iret", "swint", "invd",
	"pause", "hlt", "invlpg", "invlpga", "io", "msr", "task_switch", "ferr_freeze",
	"shutdown", "vmrun", "hypercall", "vmload", "vmsave", "stgi", "clgi", "skinit",
	"rdtscp", "icebp", "wbinvd", "monitor", "mwait",
	[0x8d] = "xsetbv",
	[0x8f] = "write_efer_trap", "write_cr0_trap",
	[0x94] = "write_cr4_trap",
	[0x98] = "write_cr8_trap",
	[0xa2] = "invpcid",
	[0xa5] = "buslock", "idle-halt",
	[NR_SVM_LOW_REASONS] = "npf", "avic_incomplete_ipi", "avic_unaccelerated_access",
	"vmgexit",
};

static const char * const vector_names[NR_VECTORS] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "coproc", "#TS",
	"#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	[28] = "#HV", "#VC", "#SX",
};

int nr_reasons(const struct table *t)
{
	return t->is_svm ? NR_SVM_REASONS : NR_VMX_REASONS;
}

u32 row_to_reason(const struct table *t, int row)
{
	if (t->is_svm && row >= NR_SVM_LOW_REASONS)
		return row - NR_SVM_LOW_REASONS + SVM_NPF;

	return row;
}

/* Valid until the next call. */
const char *row_code(const struct table *t, int row)
{
	static char code[16];

	if (row == ROW_TOTAL)
		return "total";
	if (row == ROW_OTHER)
		return "other";
	if (row == ROW_OWN)
		return "own";

	if (row >= ROW_VECTORS)
		snprintf(code, sizeof(code), "exc%d", row - ROW_VECTORS);
	else
		snprintf(code, sizeof(code), t->is_svm ? "0x%03x" : "%u",
			 row_to_reason(t, row));
	return code;
}

static int number_to_row(const struct table *t, const char *code)
{
	unsigned long nr;

	if (!strncmp(code, "exc", 3)) {
		nr = strtoul(code + 3, NULL, 10);
		return nr < NR_VECTORS ? ROW_VECTORS + nr : NR_ROWS;
	}

	nr = strtoul(code, NULL, t->is_svm ? 16 : 10);
	if (t->is_svm && nr >= SVM_NPF && nr <= SVM_VMGEXIT)
		return nr - SVM_NPF + NR_SVM_LOW_REASONS;

	return nr < (t->is_svm ? NR_SVM_LOW_REASONS : NR_VMX_REASONS) ? nr : NR_ROWS;
}

/* NR_ROWS if there is none. */
int code_to_row(const struct table *t, const char *code)
{
	int row;

	if (!strcmp(code, "total"))
		return ROW_TOTAL;
	if (!strcmp(code, "other"))
		return ROW_OTHER;

	row = number_to_row(t, code);
	return row < NR_ROWS && !strcmp(code, row_code(t, row)) ? row : NR_ROWS;
}

/* Valid until the next call. */
const char *row_name(const struct table *t, int row)
{
	const char * const *names = t->is_svm ? svm_names : vmx_names;
	static char name[ROW_NAME_SIZE];

	if (row == ROW_TOTAL)
		return "total";
	if (row == ROW_OTHER)
		return "other, or while reading";
	if (row == ROW_OWN)
		return "kvm_exits itself";

	if (row >= ROW_VECTORS) {
		if (vector_names[row - ROW_VECTORS])
			return vector_names[row - ROW_VECTORS];
		snprintf(name, sizeof(name), "vector %d", row - ROW_VECTORS);
		return name;
	}

	return row < nr_reasons(t) && names[row] ? names[row] : "unnamed";
}

bool has_name(const struct table *t, int row)
{
	return strcmp(row_name(t, row), "unnamed");
}

const char *vendor_name(const struct table *t)
{
	return t->is_svm ? "AMD SVM" : "Intel VMX";
}

const char *isa_name(const struct table *t)
{
	return t->is_svm ? "svm" : "vmx";
}
