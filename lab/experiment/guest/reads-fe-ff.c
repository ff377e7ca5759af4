// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program as people write it for the first of three known layouts of exit counters
 * in CPUID: 0x4fffffff is the number of all exits, 0x4ffffffe that of the exit reason
 * in ECX.  The latter is also what the third one has there; the rest of that is answered
 * otherwise, see Documentation/virt/kvm/x86/exit-counters.rst.  Prints lines of reason
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

	__cpuid(0x4fffffff, eax, ebx, ecx, edx);
	printf("total %llu\n", (unsigned long long)edx << 32 | eax);
	return 0;
}
