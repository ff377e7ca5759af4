// SPDX-License-Identifier: GPL-2.0-only
/*
 * The instruction.  Tests have a model of a VM instead of this file.
 */
#include <cpuid.h>

#include "kvm_exits.h"

void cpuid(u32 leaf, u32 index, u32 *regs)
{
	__cpuid_count(leaf, index, regs[0], regs[1], regs[2], regs[3]);
}
