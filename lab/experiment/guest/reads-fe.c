// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program as people write it for the third of three known layouts of exit counters in
 * CPUID, as far as KVM answers that: 0x4ffffffe is the number of exits of the exit reason
 * in ECX.  What it wants of 0x4ffffffc, 0x4ffffffd and 0x4fffffff (exits of all reasons,
 * cycles of all reasons, cycles of one reason) is what the first two layouts have there
 * differently, see Documentation/virt/kvm/x86/exit-counters.rst.  Prints lines of reason
 * and number.
 */
#include <cpuid.h>
#include <stdio.h>

int main(void)
{
	unsigned int eax, ebx, ecx, edx, reason;

	for (reason = 0; reason < 70; reason++) {
		__cpuid_count(0x4ffffffe, reason, eax, ebx, ecx, edx);
		if (!eax && !ebx && !ecx && edx == 0xffffffff)
			continue;
		printf("%u %llu\n", reason, (unsigned long long)edx << 32 | eax);
	}

	return 0;
}
