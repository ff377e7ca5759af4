// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM for kvm_exits to read: what stands in for its cpuid.c in tests.  It is in the
 * file VM, and lives on from one program to the next.  The environment says more:
 *   ISA      svm, or VMX
 *   OWN      the reason that reads are counted for, or 0xffff for one without a leaf
 *   STARTUP  how many CPUIDs a program has executed before main()
 *   TSC_KHZ  frequency of its host's TSC
 *   BUSY     how many exits for HLT come with each read
 *   AT       at the ATth read in a program happens
 *   EVENT    move: the VM is on another host, where counts start at zero, gone: that
 *            one does not show them, and answers what Intel's processors do, or what
 *            AMD's do (zeros), mask: and does not time them
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm_exits.h"

#define NR_CODES	0x410
#define CODE_OTHER	0xffff
#define CYCLES_PER_EXIT	1000
#define CYCLES_PER_HLT	5000

struct model {
	u64 exits[NR_CODES];
	u64 other;
	u64 vectors[32];
	u32 mask;
	bool gone;
};

static struct model *vm;
static bool is_svm;
static u32 own;
static u64 reads;

static u64 number(const char *name, u64 otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : otherwise;
}

static void count(u32 code, u64 exits)
{
	if (code == CODE_OTHER)
		vm->other += exits;
	else
		vm->exits[code] += exits;
}

__attribute__((constructor)) static void start(void)
{
	const char *file = getenv("VM");
	bool is_new = access(file, F_OK);
	int fd = open(file, O_RDWR | O_CREAT, 0600);

	is_svm = getenv("ISA") && !strcmp(getenv("ISA"), "svm");
	own = number("OWN", is_svm ? SVM_CPUID : VMX_CPUID);
	if (fd < 0 || ftruncate(fd, sizeof(*vm)))
		err(1, "%s", file);

	vm = mmap(NULL, sizeof(*vm), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (vm == MAP_FAILED)
		err(1, "mmap");

	if (is_new) {
		vm->mask = number("MASK", 3);
		if (is_svm) {
			count(SVM_HLT, 7000);
			count(SVM_EXCEPTIONS + 14, 5000);
			count(SVM_NPF, 30000);
		} else {
			count(VMX_HLT, 7000);
			count(VMX_EXCEPTION_NMI, 5000);
			vm->vectors[14] = 5000;
			count(48, 30000);
		}
	}
	count(own, number("STARTUP", 0));
}

static void happen(const char *event)
{
	u32 mask = vm->mask;

	memset(vm, 0, sizeof(*vm));
	vm->mask = strcmp(event, "mask") ? mask : 1;
	vm->gone = !strcmp(event, "gone");
}

static u64 total(void)
{
	u64 sum = vm->other;
	int i;

	for (i = 0; i < NR_CODES; i++)
		sum += vm->exits[i];

	return sum;
}

static u64 cycles_of(u32 code, u64 exits)
{
	return exits * (code == (is_svm ? SVM_HLT : VMX_HLT) ? CYCLES_PER_HLT : CYCLES_PER_EXIT);
}

static bool is_defined(u32 leaf, u32 index)
{
	if (leaf == LEAF_VECTOR)
		return index < 32;
	if (is_svm)
		return index <= 0xa6 || (index >= SVM_NPF && index <= SVM_VMGEXIT);

	return index <= 85 && index != 35 && index != 38 && index != 42 && index != 71;
}

void cpuid(u32 leaf, u32 index, u32 *regs)
{
	u64 exits, cycles, before, idle;

	if (++reads == number("AT", 0))
		happen(getenv("EVENT"));

	/* A read's own exit has no cycles yet. */
	before = total();
	idle = vm->exits[is_svm ? SVM_HLT : VMX_HLT];
	count(own, 1);
	count(is_svm ? SVM_HLT : VMX_HLT, number("BUSY", 0));

	memset(regs, 0, 4 * sizeof(*regs));
	if (leaf == 1) {
		regs[2] = 0x80000000;
		return;
	}
	if (vm->gone) {
		if (!is_svm)
			memcpy(regs, (u32[]){ 0x2e7, 0xa88, 0xa88, 0 }, 4 * sizeof(*regs));
		return;
	}

	switch (leaf) {
	case LEAF_SIGNATURE:
		regs[0] = LEAF_TOTAL;
		memcpy(&regs[1], SIGNATURE, 12);
		return;
	case LEAF_INFO:
		memcpy(regs, (u32[]){ REVISION, vm->mask, is_svm ? ISA_SVM : ISA_VMX,
				      number("TSC_KHZ", 0) }, 4 * sizeof(*regs));
		return;
	case LEAF_TOTAL:
		exits = total();
		cycles = (before - idle) * CYCLES_PER_EXIT + idle * CYCLES_PER_HLT;
		break;
	default:
		if (!is_defined(leaf, index)) {
			regs[3] = -1;
			return;
		}
		exits = leaf == LEAF_REASON ? vm->exits[index] :
			is_svm ? vm->exits[SVM_EXCEPTIONS + index] : vm->vectors[index];
		cycles = cycles_of(leaf == LEAF_REASON ? index : 0,
				   exits - (leaf == LEAF_REASON && index == own));
		break;
	}

	if (!(vm->mask & MASK_CYCLES))
		cycles = 0;
	memcpy(regs, (u32[]){ exits, cycles >> 32, cycles, exits >> 32 }, 4 * sizeof(*regs));
}
