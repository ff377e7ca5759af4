// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VM, and when.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kvm_exits.h"

#define FNV_OFFSET		0xcbf29ce484222325ULL
#define FNV_PRIME		0x100000001b3ULL

/* The clocks of two boots may have been set meanwhile. */
#define CLOCK_SLACK_NS		(10 * NSEC_PER_SEC)

/* The first line of a file, without the newline, empty if there is none. */
static void read_first_line(const char *path, char *buf, size_t size)
{
	FILE *file = fopen(path, "r");

	if (!file || !fgets(buf, size, file))
		buf[0] = '\0';
	if (file)
		fclose(file);

	buf[strcspn(buf, "\n")] = '\0';
}

u64 hash_string(u64 hash, const char *s)
{
	for (; *s; s++)
		hash = (hash ^ (unsigned char)*s) * FNV_PRIME;

	return hash;
}

/*
 * machine-id(5) is not to be shown to others, hence a hash.  It is no secret of 64
 * bits that is hashed but one of 128.
 */
static u64 hash_machine_id(void)
{
	char id[BOOT_ID_SIZE];

	read_first_line("/etc/machine-id", id, sizeof(id));
	return id[0] ? hash_string(FNV_OFFSET, id) : 0;
}

void identify(struct table *t)
{
	read_first_line("/proc/sys/kernel/random/boot_id", t->boot_id, sizeof(t->boot_id));
	if (t->boot_id[strspn(t->boot_id, BOOT_ID_CHARACTERS)])
		t->boot_id[0] = '\0';
	t->machine = hash_machine_id();
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
		return counts_grew(a, b) ? SAME_VM : SAME_VM_STARTED_OVER;

	if (a->machine && b->machine && a->machine != b->machine)
		return OTHER_VM;
	if (b->time_ns + CLOCK_SLACK_NS < a->time_ns + b->uptime_ns)
		return OTHER_VM;

	return a->machine && b->machine ? RESTARTED_VM : RESTARTED_OR_OTHER_VM;
}
