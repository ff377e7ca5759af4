// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers, memory, time, and text.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvm_exits.h"

bool parse_u64(const char *s, u64 *value)
{
	u64 v = 0;

	if (!*s || (s[0] == '0' && s[1]))
		return false;

	for (; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *s - '0', &v))
			return false;
	}

	*value = v;
	return true;
}

u64 get_ns(int clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void sleep_until(u64 ns)
{
	struct timespec ts = { .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Never of no bytes, which could be NULL. */
void *xrealloc(void *p, size_t nr, size_t size)
{
	p = reallocarray(p, nr + 1, size);
	if (!p)
		err(EXIT_FAILURE, "memory");

	return p;
}

/* Return the length of what fits with a NUL behind it, or -1. */
ssize_t read_file(int dir, const char *path, char *buf, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC), error;
	ssize_t len = 0, nr = 0;

	if (fd < 0)
		return -1;

	while (len < (ssize_t)size - 1 && (nr = read(fd, buf + len, size - 1 - len)) > 0)
		len += nr;

	error = errno;
	close(fd);
	errno = error;
	buf[len] = '\0';
	return nr < 0 ? -1 : len;
}

/* All of a file.  Return false, with errno 0 if it is no text, or too long. */
bool read_text(int dir, const char *path, char *buf, size_t size)
{
	ssize_t len = read_file(dir, path, buf, size);

	if (len < 0)
		return false;

	errno = 0;
	return len < (ssize_t)size - 1 && strlen(buf) == (size_t)len;
}

/* Empty if there is none. */
void read_first_line(int dir, const char *path, char *buf, size_t size)
{
	if (read_file(dir, path, buf, size) < 0)
		buf[0] = '\0';

	buf[strcspn(buf, "\n")] = '\0';
}

/* The next line of a text, or NULL if there is no whole one. */
char *take_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;

	*end = '\0';
	*text = end + 1;
	return line;
}
