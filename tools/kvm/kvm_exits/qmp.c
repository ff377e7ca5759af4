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

#include "kvm_exits.h"

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

/* What a reply may mean, as it says neither. */
struct meaning {
	bool is_svm;
	bool reversed;
};

/* How well a reply has that meaning */
enum fit { IMPOSSIBLE, UNNAMED_REASONS, POSSIBLE };

static const json_t *find_stat(const json_t *vcpu, const char *name)
{
	const json_t *list = json_object_get(vcpu, "stats"), *stat;
	const char *s;
	size_t i;

	json_array_foreach(list, i, stat) {
		s = json_string_value(json_object_get(stat, "name"));
		if (s && !strcmp(s, name))
			return json_object_get(stat, "value");
	}

	return NULL;
}

/* 0 of what a kernel need not have */
static u64 get_counter(const json_t *vcpu, const char *name)
{
	return json_integer_value(find_stat(vcpu, name));
}

static bool is_counter(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool is_histogram(const json_t *list)
{
	const json_t *value;
	size_t i;

	json_array_foreach(list, i, value) {
		if (!is_counter(value))
			return false;
	}

	return json_is_array(list);
}

/* Return what is wrong with a vCPU, whatever it means, or NULL. */
static const char *check_vcpu(const json_t *vcpu)
{
	static const char * const counters[] = { "exit_cycles", "irq_exits", "irq_window_exits" };
	const json_t *reasons = find_stat(vcpu, "exits_by_reason");
	const json_t *vectors = find_stat(vcpu, "exceptions_by_vector");
	bool ok;
	size_t i;

	if (!reasons)
		return not_counted;

	ok = is_histogram(reasons) &&
	     json_array_size(reasons) >= NR_SVM_LOW_REASONS + NR_LAST_BUCKETS &&
	     (!vectors || (is_histogram(vectors) && json_array_size(vectors) == NR_VECTORS));
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		ok &= !find_stat(vcpu, counters[i]) || is_counter(find_stat(vcpu, counters[i]));

	return ok ? NULL : malformed;
}

static u64 get_bucket(const json_t *list, size_t bucket, struct meaning m)
{
	size_t last = json_array_size(list) - 1;

	return json_integer_value(json_array_get(list, m.reversed ? last - bucket : bucket));
}

/* ROW_OTHER for a bucket of reasons that this program does not know */
static int bucket_to_row(const struct table *t, size_t bucket, size_t nr)
{
	if (t->is_svm && bucket >= nr - NR_LAST_BUCKETS && bucket < nr - 1)
		return NR_SVM_LOW_REASONS + bucket - (nr - NR_LAST_BUCKETS);
	if (bucket >= (t->is_svm ? NR_SVM_LOW_REASONS : NR_VMX_REASONS))
		return ROW_OTHER;

	return has_name(t, bucket) ? (int)bucket : ROW_OTHER;
}

/*
 * The counters of interrupts are at most the exits of one reason, whose handler alone
 * counts them, and which is counted before and read later.  On SVM, no vectors are
 * counted, and on VMX they are after the exit's reason.
 */
static enum fit parse_vcpu(const json_t *vcpu, struct meaning m, struct table *t)
{
	const json_t *reasons = find_stat(vcpu, "exits_by_reason");
	const json_t *vectors = find_stat(vcpu, "exceptions_by_vector");
	size_t i, nr = json_array_size(reasons);
	enum fit fit = POSSIBLE;
	struct row sum;
	u64 exits;
	int row;

	*t = (struct table) { .is_svm = m.is_svm, .own_row = ROW_OTHER, .revision = REVISION };

	for (i = 0; i < nr; i++) {
		row = bucket_to_row(t, i, nr);
		exits = get_bucket(reasons, i, m);
		t->rows[row].defined = true;
		if (__builtin_add_overflow(t->rows[row].exits, exits, &t->rows[row].exits))
			return IMPOSSIBLE;
		if (row == ROW_OTHER && i < nr - 1 && exits)
			fit = UNNAMED_REASONS;
	}

	for (i = 0; i < NR_VECTORS; i++) {
		t->rows[ROW_VECTORS + i].exits = get_bucket(vectors, i, m);
		t->rows[ROW_VECTORS + i].defined = true;
	}

	if (!sum_rows(t, ROW_VECTORS, ROW_TOTAL, &sum) ||
	    (sum.exits && (m.is_svm || !t->rows[VMX_EXCEPTION_NMI].exits)))
		return IMPOSSIBLE;
	if (get_counter(vcpu, "irq_exits") >
	    t->rows[m.is_svm ? SVM_INTR : VMX_EXTERNAL_INTERRUPT].exits ||
	    get_counter(vcpu, "irq_window_exits") >
	    t->rows[m.is_svm ? SVM_VINTR : VMX_INTERRUPT_WINDOW].exits)
		return IMPOSSIBLE;

	t->all_cycles = get_counter(vcpu, "exit_cycles");
	return complete_table(t) ? fit : IMPOSSIBLE;
}

static enum fit parse_vcpus(const json_t *vcpus, struct meaning m, struct table *tables)
{
	enum fit fit, least = POSSIBLE;
	const json_t *vcpu;
	size_t i;

	json_array_foreach(vcpus, i, vcpu) {
		fit = parse_vcpu(vcpu, m, &tables[i]);
		if (fit < least)
			least = fit;
	}

	return least;
}

/*
 * QEMU up to at least 10.0 has the last bucket first.  Of the meanings that are possible,
 * one in which all reasons have names is better than those of kernels that are not known
 * here.  Return NULL if there is only one, or else why not.
 */
static const char *parse_reply(const json_t *vcpus, struct table *tables)
{
	enum fit fit, best = UNNAMED_REASONS;
	struct meaning m, found = {};
	const char *problem;
	const json_t *vcpu;
	size_t i;
	int nr = 0;

	if (!json_array_size(vcpus))
		return "there is no vCPU of KVM";
	json_array_foreach(vcpus, i, vcpu) {
		problem = check_vcpu(vcpu);
		if (problem)
			return problem;
	}

	for (i = 0; i < 4; i++) {
		m = (struct meaning) { .is_svm = i & 1, .reversed = i & 2 };
		fit = parse_vcpus(vcpus, m, tables);
		if (fit > best) {
			best = fit;
			nr = 0;
		}
		if (fit == best) {
			found = m;
			nr++;
		}
	}
	if (!nr)
		return "the counts contradict each other in whatever order the buckets are";
	if (nr > 1 && best == UNNAMED_REASONS)
		return "some exits are of no reason that this program knows, in whatever order";
	if (nr > 1)
		return "too few reasons have exits to tell the order of buckets";

	parse_vcpus(vcpus, found, tables);
	return NULL;
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

	memcpy(addr.sun_path, path, strlen(path) + 1);
	/* A monitor that somebody else uses lets one wait. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    send(fd, QUERY, strlen(QUERY), MSG_NOSIGNAL) != (ssize_t)strlen(QUERY))
		return NULL;

	return fdopen(fd, "r");
}

struct vcpus read_qmp(const char *path)
{
	FILE *file = strcmp(path, "-") ? open_monitor(path) : stdin;
	struct vcpus vcpus;
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

	vcpus.nr = json_array_size(reply);
	vcpus.ids = xrealloc(NULL, vcpus.nr, sizeof(*vcpus.ids));
	vcpus.tables = xrealloc(NULL, vcpus.nr, sizeof(*vcpus.tables));
	problem = parse_reply(reply, vcpus.tables);
	json_decref(reply);
	if (problem)
		errx(problem == not_counted ? STATUS_NO_LEAVES : EXIT_FAILURE, "%s: %s", path,
		     problem);

	if (file != stdin)
		fclose(file);

	for (i = 0; i < vcpus.nr; i++) {
		vcpus.ids[i] = i;
		vcpus.tables[i].read_at = get_ns(CLOCK_MONOTONIC);
		vcpus.tables[i].time_ns = get_ns(CLOCK_REALTIME);
	}

	return vcpus;
}

#else

struct vcpus read_qmp(const char *path)
{
	errx(EXIT_FAILURE, "--qmp %s: this kvm_exits was built without jansson", path);
}

#endif
