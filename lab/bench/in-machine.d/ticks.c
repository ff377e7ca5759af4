// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a command, its output discarded, and print what it took in ticks of the TSC,
 * as a line like those of exit_counters_perf_test.
 *
 * usage: ticks WHAT COMMAND [ARGUMENT...]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

int main(int argc, char *argv[])
{
	unsigned long long start, ticks;
	int status, null;
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "usage: ticks WHAT COMMAND [ARGUMENT...]\n");
		return 2;
	}

	start = __rdtsc();
	child = fork();
	if (!child) {
		null = open("/dev/null", O_RDWR);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("ticks");
		return 1;
	}
	ticks = __rdtsc() - start;

	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "ticks: %s failed with wait status %#x\n", argv[2], status);
		return 1;
	}

	printf("perf\t%s\t%llu\n", argv[1], ticks);
	return 0;
}
