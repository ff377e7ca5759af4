// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbers, memory, and time.
 */
#include <err.h>
#include <stdlib.h>
#include <time.h>

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

void *xrealloc(void *p, size_t nr, size_t size)
{
	p = reallocarray(p, nr + 1, size);
	if (!p)
		err(EXIT_FAILURE, "memory");

	return p;
}
