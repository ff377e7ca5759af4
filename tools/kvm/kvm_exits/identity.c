// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VM, and when.
 */
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "kvm_exits.h"

#define FNV_OFFSET		0xcbf29ce484222325ULL
#define FNV_PRIME		0x100000001b3ULL

/* The clocks of two boots may have been set meanwhile. */
#define CLOCK_SLACK_NS		(10 * NSEC_PER_SEC)

/* 0 of the empty string */
u64 hash_string(const char *s)
{
	u64 hash = FNV_OFFSET;

	if (!*s)
		return 0;

	for (; *s; s++)
		hash = (hash ^ (unsigned char)*s) * FNV_PRIME;

	return hash;
}

/*
 * machine-id(5) is not to be shown to others, hence a hash.  It is no secret of 64
 * bits that is hashed but one of 128.
 */
void identify(struct table *t)
{
	char id[BOOT_ID_SIZE];

	read_first_line(AT_FDCWD, "/proc/sys/kernel/random/boot_id", t->boot_id,
			sizeof(t->boot_id));
	if (t->boot_id[strspn(t->boot_id, BOOT_ID_CHARACTERS)])
		t->boot_id[0] = '\0';

	read_first_line(AT_FDCWD, "/etc/machine-id", id, sizeof(id));
	t->machine = hash_string(id);
	t->uptime_ns = get_ns(CLOCK_BOOTTIME);
	t->time_ns = get_ns(CLOCK_REALTIME);
}

bool was_taken_later(const struct table *a, const struct table *b)
{
	if (!strcmp(a->boot_id, b->boot_id))
		return a->uptime_ns > b->uptime_ns;

	return a->time_ns > b->time_ns;
}

/* A was taken before B.  A restart keeps the machine, and ends what ran before. */
enum relation relate(const struct table *a, const struct table *b)
{
	if (!a->boot_id[0] || !b->boot_id[0])
		return RELATION_UNKNOWN;
	if (!strcmp(a->boot_id, b->boot_id))
		return counts_grew(a, b) ? SAME_VM : VM_STARTED_OVER;

	if (a->machine && b->machine && a->machine != b->machine)
		return OTHER_VM;
	if (b->time_ns + CLOCK_SLACK_NS < a->time_ns + b->uptime_ns)
		return OTHER_VM;

	return a->machine && b->machine ? RESTARTED_VM : RESTARTED_OR_OTHER_VM;
}
