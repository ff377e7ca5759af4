// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program as people write it for the second of three known layouts of exit counters
 * in CPUID: 0x4fffffff is the number of all exits, 0x4ffffffe are their cycles,
 * 0x4ffffffd is the number of exits of the exit reason in ECX, 0x4ffffffc are their
 * cycles.  Prints lines of reason, number, and cycles.
 */
#include <cpuid.h>
#include <stdio.h>

int main(void)
{
	unsigned long long exits, cycles;
	unsigned int eax, ebx, ecx, edx, reason;

	for (reason = 0; reason < 70; reason++) {
		__cpuid_count(0x4ffffffd, reason, eax, ebx, ecx, edx);
		if (!eax && !ebx && !ecx && edx == 0xffffffff)
			continue;
		exits = (unsigned long long)edx << 32 | eax;
		__cpuid_count(0x4ffffffc, reason, eax, ebx, ecx, edx);
		cycles = (unsigned long long)ebx << 32 | ecx;
		printf("%u %llu %llu\n", reason, exits, cycles);
	}

	__cpuid(0x4fffffff, eax, ebx, ecx, edx);
	exits = (unsigned long long)edx << 32 | eax;
	__cpuid_count(0x4ffffffe, 0, eax, ebx, ecx, edx);
	cycles = (unsigned long long)ebx << 32 | ecx;
	printf("total %llu %llu\n", exits, cycles);
	return 0;
}
