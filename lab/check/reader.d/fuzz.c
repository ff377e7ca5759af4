// SPDX-License-Identifier: GPL-2.0-only
/*
 * For libFuzzer: the three texts that kvm_exits reads.  The first byte says which.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"

static jmp_buf refused;

#define errx(status, ...)	longjmp(refused, 1)
#define err(status, ...)	abort()
#include "snapshot.c"
#define HAVE_JANSSON
#include "qmp.c"
#undef errx
#undef err

struct options opt;

/* What was taken adds up, and is shown. */
static void check(struct table *t)
{
	FILE *null = fopen("/dev/null", "w");
	struct row sum;

	if (!sum_rows(t, 0, ROW_VECTORS, &sum) || sum.exits != t->rows[ROW_TOTAL].exits ||
	    t->leaf_total != sum.exits)
		abort();

	write_snapshot(t, null);
	fclose(null);
}

static void read_snapshot(const uint8_t *data, size_t size)
{
	int fd = memfd_create("snapshot", 0);
	struct table t;
	char path[32];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	if (!setjmp(refused)) {
		load_snapshot(path, &t);
		check(&t);
	} else {
		fclose(snapshot.file);
	}
	close(fd);
}

static void read_debugfs(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct table t;

	memcpy(text, data, size);
	text[size] = '\0';
	if (parse_counters(text, &t)) {
		/* All of it was read, unless it has a NUL. */
		if (size && !memchr(data, '\0', size) && data[size - 1] != '\n')
			abort();
		check(&t);
	}
	free(text);
}

/* Whatever the order of the buckets is, no exit is lost. */
static void read_qmp_reply(const uint8_t *data, size_t size)
{
	FILE *file = fmemopen((void *)data, size, "r");
	json_t *reply = file ? read_reply(file) : NULL;
	size_t i, nr = json_array_size(reply), bucket;
	struct table *tables = xrealloc(NULL, nr, sizeof(*tables));
	const json_t *vcpu, *value;
	u64 sum;

	if (reply && !parse_reply(reply, tables)) {
		json_array_foreach(reply, i, vcpu) {
			sum = 0;
			json_array_foreach(find_stat(vcpu, "exits_by_reason"), bucket, value)
				sum += json_integer_value(value);
			if (sum != tables[i].leaf_total)
				abort();
			check(&tables[i]);
		}
	}

	free(tables);
	json_decref(reply);
	if (file)
		fclose(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (*data == '2')
		read_qmp_reply(data + 1, size - 1);
	else if (*data & 1)
		read_snapshot(data + 1, size - 1);
	else
		read_debugfs(data + 1, size - 1);

	return 0;
}
