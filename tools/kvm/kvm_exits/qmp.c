// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the counters of a VM from its QEMU, whose monitor needs no root.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

#ifdef HAVE_JANSSON
#include <jansson.h>

#define TIMEOUT_SEC		5

/* Reasons 0x400 to 0x403, and the others, are counted from the end of the buckets. */
#define NR_LAST_BUCKETS		5

#define QUERY									\
	"{\"execute\":\"qmp_capabilities\"}\n"					\
	"{\"execute\":\"query-stats\",\"arguments\":{\"target\":\"vcpu\","	\
	"\"providers\":[{\"provider\":\"kvm\",\"names\":[\"exits_by_reason\","	\
	"\"exceptions_by_vector\",\"exit_cycles\",\"irq_exits\","		\
	"\"irq_window_exits\"]}]}}\n"

static const char not_counted[] =
	"there is no exits_by_reason, this host's kernel does not count exits";
static const char malformed[] = "the reply of QEMU is malformed";
static const char unknown[] =
	"some exits are of no reason that this program knows, in neither order of buckets";

/* What a reply may mean, as it says neither. */
struct meaning {
	bool is_svm;
	bool reversed;
};

static const json_t *find_stat(const json_t *vcpu, const char *name)
{
	const json_t *list = json_object_get(vcpu, "stats"), *stat;
	size_t i;

	json_array_foreach(list, i, stat) {
		const char *s = json_string_value(json_object_get(stat, "name"));

		if (s && !strcmp(s, name))
			return json_object_get(stat, "value");
	}

	return NULL;
}

static u64 get_number(const json_t *value, bool *ok)
{
	*ok &= json_is_integer(value) && json_integer_value(value) >= 0;
	return json_integer_value(value);
}

/* A kernel need not have the stat. */
static u64 get_counter(const json_t *vcpu, const char *name, bool *ok)
{
	const json_t *value = find_stat(vcpu, name);

	return value ? get_number(value, ok) : 0;
}

static u64 get_bucket(const json_t *list, size_t bucket, struct meaning m, bool *ok)
{
	size_t last = json_array_size(list) - 1;

	return get_number(json_array_get(list, m.reversed ? last - bucket : bucket), ok);
}

/* NR_ROWS for a bucket of reasons that this program does not know */
static int bucket_to_row(const struct table *t, size_t bucket, size_t nr)
{
	if (bucket == nr - 1)
		return ROW_OTHER;
	if (t->is_svm && bucket >= nr - NR_LAST_BUCKETS)
		return NR_SVM_LOW_REASONS + bucket - (nr - NR_LAST_BUCKETS);
	if (bucket >= (t->is_svm ? NR_SVM_LOW_REASONS : NR_VMX_REASONS))
		return NR_ROWS;

	return has_name(t, bucket) ? (int)bucket : NR_ROWS;
}

/*
 * The counters of interrupts are at most the exits of one reason, whose handler alone
 * counts them, and which is counted before and read later.  On SVM, no vectors are
 * counted.  Return NULL, or what is wrong with that meaning.
 */
static const char *parse_vcpu(const json_t *vcpu, struct meaning m, struct table *t)
{
	const json_t *reasons = find_stat(vcpu, "exits_by_reason");
	const json_t *vectors = find_stat(vcpu, "exceptions_by_vector");
	size_t i, nr = json_array_size(reasons);
	bool ok = true, fits = true;
	u64 exits, interrupts, windows;
	struct row sum;
	int row;

	if (!reasons)
		return not_counted;
	if (nr < NR_SVM_LOW_REASONS + NR_LAST_BUCKETS ||
	    (vectors && json_array_size(vectors) != NR_VECTORS))
		return malformed;

	*t = (struct table) { .is_svm = m.is_svm, .own_row = ROW_OTHER, .revision = REVISION };

	for (i = 0; i < nr; i++) {
		row = bucket_to_row(t, i, nr);
		exits = get_bucket(reasons, i, m, &ok);
		if (row < NR_ROWS)
			t->rows[row] = (struct row) { .exits = exits, .defined = true };
		else
			fits &= !exits;
	}

	for (i = 0; i < NR_VECTORS; i++) {
		exits = vectors ? get_bucket(vectors, i, m, &ok) : 0;
		fits &= !exits || (!m.is_svm && t->rows[VMX_EXCEPTION_NMI].exits);
		t->rows[ROW_VECTORS + i] = (struct row) {
			.exits = m.is_svm ? t->rows[SVM_EXCEPTIONS + i].exits : exits,
			.defined = true,
		};
	}

	ok &= sum_rows(t, ROW_VECTORS, ROW_TOTAL, &sum) &&
	      sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]);
	t->rows[ROW_TOTAL].defined = true;
	t->leaf_total = t->rows[ROW_TOTAL].exits;
	t->all_cycles = get_counter(vcpu, "exit_cycles", &ok);

	interrupts = get_counter(vcpu, "irq_exits", &ok);
	windows = get_counter(vcpu, "irq_window_exits", &ok);
	fits &= interrupts <= t->rows[m.is_svm ? SVM_INTR : VMX_EXTERNAL_INTERRUPT].exits &&
		windows <= t->rows[m.is_svm ? SVM_VINTR : VMX_INTERRUPT_WINDOW].exits;

	return !ok ? malformed : fits ? NULL : unknown;
}

static const char *parse_vcpus(const json_t *vcpus, struct meaning m, struct table *tables)
{
	const char *problem = NULL;
	const json_t *vcpu;
	size_t i;

	json_array_foreach(vcpus, i, vcpu) {
		problem = parse_vcpu(vcpu, m, &tables[i]);
		if (problem)
			break;
	}

	return problem;
}

/*
 * QEMU up to at least 10.0 has the last bucket first.  The meaning is the only one of
 * four that each bucket of each vCPU agrees with.  Return why not, or NULL.
 */
static const char *parse_reply(const json_t *vcpus, struct table *tables)
{
	struct meaning m, found = {};
	const char *problem;
	int i, nr = 0;

	if (!json_array_size(vcpus))
		return "there is no vCPU of KVM";

	for (i = 0; i < 4; i++) {
		m = (struct meaning) { .is_svm = i & 1, .reversed = i & 2 };
		problem = parse_vcpus(vcpus, m, tables);
		if (problem && problem != unknown)
			return problem;
		if (!problem) {
			found = m;
			nr++;
		}
	}
	if (!nr)
		return unknown;
	if (nr > 1)
		return "too few reasons have exits to tell the order of buckets";

	return parse_vcpus(vcpus, found, tables);
}

/* Skips the greeting, events, and what qmp_capabilities returns. */
static json_t *read_reply(FILE *file)
{
	json_t *object, *reply;

	while ((object = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL))) {
		reply = json_object_get(object, "return");
		if (json_is_array(reply) || json_object_get(object, "error")) {
			json_incref(reply);
			json_decref(object);
			return reply;
		}
		json_decref(object);
	}

	return NULL;
}

static FILE *open_monitor(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = TIMEOUT_SEC };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}

	strcpy(addr.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    send(fd, QUERY, strlen(QUERY), MSG_NOSIGNAL) != (ssize_t)strlen(QUERY))
		return NULL;

	return fdopen(fd, "r");
}

struct table *read_qmp(const char *path, int *nr)
{
	bool is_stdin = !strcmp(path, "-");
	FILE *file = is_stdin ? stdin : open_monitor(path);
	struct table *tables;
	const char *problem;
	json_t *reply;
	int i;

	if (!file)
		err(EXIT_FAILURE, "%s", path);

	errno = 0;
	reply = read_reply(file);
	if (!reply && errno == EAGAIN)
		errx(EXIT_FAILURE, "%s: no answer, another program may use this monitor", path);
	if (!reply)
		errx(EXIT_FAILURE, "%s: no reply of query-stats, which QEMU has since 7.1", path);

	*nr = json_array_size(reply);
	tables = xrealloc(NULL, *nr, sizeof(*tables));
	problem = parse_reply(reply, tables);
	json_decref(reply);
	if (problem)
		errx(problem == not_counted ? STATUS_NO_LEAVES : EXIT_FAILURE, "%s: %s", path,
		     problem);

	if (!is_stdin)
		fclose(file);

	for (i = 0; i < *nr; i++) {
		tables[i].read_at = get_ns(CLOCK_MONOTONIC);
		tables[i].time_ns = get_ns(CLOCK_REALTIME);
	}

	return tables;
}

#else

struct table *read_qmp(const char *path, int *nr)
{
	(void)nr;
	errx(EXIT_FAILURE, "--qmp %s: this kvm_exits was built without jansson", path);
}

#endif
