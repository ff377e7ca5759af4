// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a command whose memory the kernel is to page out all the time, as one process may ask
 * for another one, and to merge where pages are alike.  Ends as that command does.
 *
 * usage: pageout MILLISECONDS COMMAND [ARGUMENT...]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE	67
#endif
#define MAX_MAPPINGS		1024

static int fail(const char *what)
{
	fprintf(stderr, "pageout: %s: %m\n", what);
	return 1;
}

/* Its anonymous memory, which it may unmap in the meantime */
static int mappings(pid_t pid, struct iovec *iov)
{
	unsigned long start, end, inode;
	char path[64], line[512], mode[8];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "r");
	while (f && n < MAX_MAPPINGS && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &start, &end, mode, &inode) == 4 &&
		    mode[1] == 'w' && !inode) {
			iov[n].iov_base = (void *)start;
			iov[n++].iov_len = end - start;
		}
	}
	if (f)
		fclose(f);
	return n;
}

int main(int argc, char *argv[])
{
	static struct iovec iov[MAX_MAPPINGS];
	int i, n, pidfd, status;
	unsigned long done = 0;
	pid_t pid;

	if (argc < 3 || prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0))
		return fail("usage: pageout MILLISECONDS COMMAND...");
	pid = fork();
	if (!pid) {
		execv(argv[2], argv + 2);
		return fail(argv[2]);
	}
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return fail("pidfd_open");

	while (!waitpid(pid, &status, WNOHANG)) {
		/* One by one, as those that cannot be paged out end all. */
		n = mappings(pid, iov);
		for (i = 0; i < n; i++)
			done += syscall(SYS_process_madvise, pidfd, &iov[i], 1, MADV_PAGEOUT, 0) > 0;
		usleep(atoi(argv[1]) * 1000);
	}
	printf("pageout: %lu mappings\n", done);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
