// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a command of the shell, and print what it took in ticks of the TSC, as a line like
 * those of exit_counters_perf_test.
 *
 * usage: ticks WHAT COMMAND
 */
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

int main(int argc, char *argv[])
{
	unsigned long long start = __rdtsc();

	if (argc != 3 || system(argv[2])) {
		fprintf(stderr, "ticks: %s failed\n", argv[argc - 1]);
		return 1;
	}
	printf("perf\t%s\t%llu\n", argv[1], __rdtsc() - start);
	return 0;
}
