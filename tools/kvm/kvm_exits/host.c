// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the counters of VMs on their host, in debugfs: a folder PID-FD per VM, with a
 * file exit_counters, and a folder vcpuN per vCPU.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

#define COUNTERS		"exit_counters"
#define MAX_FILE		65536
#define CALIBRATION_NS		20000000

/* In /proc/PID/stat after the name of the program */
#define STAT_START_TIME		20

static DIR *kvm_dir;
static int kvm_fd, proc_fd;
static u64 tsc_khz;

/* All of a file as a string, or -1.  What does not fit is an error. */
static ssize_t read_file(int dir, const char *path, char *buf, size_t size)
{
	ssize_t len = 0, nr = 0;
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;

	while (len < (ssize_t)size && (nr = read(fd, buf + len, size - len)) > 0)
		len += nr;
	close(fd);

	if (nr < 0 || len == (ssize_t)size)
		return -1;

	buf[len] = '\0';
	return len;
}

static void calibrate(void)
{
	struct timespec ts = { .tv_nsec = CALIBRATION_NS };
	u64 ns = get_ns(CLOCK_MONOTONIC_RAW), tsc = __builtin_ia32_rdtsc();

	nanosleep(&ts, NULL);
	ns = get_ns(CLOCK_MONOTONIC_RAW) - ns;
	tsc_khz = (double)(__builtin_ia32_rdtsc() - tsc) / ns * NSEC_PER_SEC / 1000;
}

static int open_dir(const char *root, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Return false with errno set if there are no VMs to read, or not for this user. */
bool open_host(const char *root)
{
	kvm_fd = open_dir(root, DEBUGFS);
	kvm_dir = kvm_fd < 0 ? NULL : fdopendir(kvm_fd);
	proc_fd = open_dir(root, "/proc");
	if (!kvm_dir || proc_fd < 0)
		return false;

	calibrate();
	return true;
}

static bool is_code(const char *s, bool is_svm)
{
	size_t len = is_svm && !strncmp(s, "0x", 2) ? 2 : 0;

	if (is_svm == !len)
		return false;

	return s[len] && !s[len + strspn(s + len, is_svm ? "0123456789abcdef" : "0123456789")];
}

/* A reason that this program does not know is one of the others. */
static bool parse_line(struct table *t, char *line)
{
	char *fields[4], *next = line;
	u64 exits, cycles;
	size_t i;
	int row;

	for (i = 0; i < ARRAY_SIZE(fields) && next; i++)
		fields[i] = strsep(&next, "\t");
	if (i < ARRAY_SIZE(fields) || next || !parse_u64(fields[2], &exits) ||
	    !parse_u64(fields[3], &cycles))
		return false;

	row = code_to_row(t, fields[0]);
	if (row > ROW_OTHER) {
		if (!is_code(fields[0], t->is_svm))
			return false;
		row = ROW_OTHER;
	} else if (row != ROW_OTHER && t->rows[row].defined) {
		return false;
	}

	t->rows[row].defined = true;
	if (cycles)
		t->mask = MASK_CYCLES;

	return !__builtin_add_overflow(t->rows[row].exits, exits, &t->rows[row].exits) &&
	       !__builtin_add_overflow(t->rows[row].cycles, cycles, &t->rows[row].cycles);
}

/*
 * Return false if the text is not what the kernel writes, e.g. ends in the middle of a
 * line.  A VM without exits has no lines.
 */
bool parse_counters(char *text, struct table *t)
{
	char *line, *end;
	int i;

	*t = (struct table) { .own_row = ROW_OTHER, .revision = REVISION };
	t->is_svm = !strncmp(text, "0x", 2);

	for (line = text; *line; line = end + 1) {
		end = strchr(line, '\n');
		if (!end)
			return false;
		*end = '\0';
		if (!parse_line(t, line))
			return false;
	}

	for (i = 0; i < NR_VECTORS && t->is_svm; i++)
		t->rows[ROW_VECTORS + i] = t->rows[SVM_EXCEPTIONS + i];

	t->rows[ROW_OTHER].defined = true;
	if (!sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]))
		return false;

	t->rows[ROW_TOTAL].defined = true;
	t->leaf_total = t->rows[ROW_TOTAL].exits;
	return true;
}

/* Names come from whoever starts a VM, and are shown to who may be root. */
static void set_name(struct vm *vm, const char *name, bool is_option)
{
	char *to = vm->name, *end = vm->name + sizeof(vm->name) - sizeof("\\x00");

	for (; *name && to < end; name++) {
		/* QEMU: two commas are one, and one ends the name. */
		if (is_option && *name == ',' && *++name != ',')
			break;
		if (*name >= ' ' && *name <= '~' && *name != '\\')
			*to++ = *name;
		else
			to += sprintf(to, "\\x%02x", (unsigned char)*name);
	}
	*to = '\0';
}

/* In what follows -name: NAME as the first of the options, or guest=NAME */
static const char *find_guest_option(const char *s)
{
	bool is_first = true;

	for (;; is_first = false) {
		if (!strncmp(s, "guest=", 6))
			return s + 6;
		if (is_first && s[strcspn(s, "=,")] != '=')
			return s;

		while (*s && (s[0] != ',' || s[1] == ','))
			s += s[0] == ',' ? 2 : 1;
		if (!*s++)
			return NULL;
	}
}

/* QEMU's -name, which libvirt uses as well, else the name of the program */
void find_name(struct vm *vm)
{
	const char *arg, *name = NULL;
	char path[32], buf[MAX_FILE];
	ssize_t len;

	snprintf(path, sizeof(path), "%d/cmdline", vm->pid);
	len = read_file(proc_fd, path, buf, sizeof(buf));
	for (arg = buf; len > 0 && arg < buf + len && !name; arg += strlen(arg) + 1) {
		if (!strcmp(arg, "-name") || !strcmp(arg, "--name"))
			name = find_guest_option(arg + strlen(arg) + 1);
	}

	if (name)
		set_name(vm, name, true);
	vm->has_name = name && vm->name[0];
	if (vm->has_name)
		return;

	snprintf(path, sizeof(path), "%d/comm", vm->pid);
	if (read_file(proc_fd, path, buf, sizeof(buf)) < 0)
		strcpy(buf, "?");
	buf[strcspn(buf, "\n")] = '\0';
	set_name(vm, buf, false);
}

static int compare_ids(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Return how many vCPUs there are, and put the numbers of at most max of them into ids. */
int find_vcpus(const struct vm *vm, int *ids, int max)
{
	int fd = openat(kvm_fd, vm->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), nr = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vcpu", 4) || !isdigit(entry->d_name[4]))
			continue;
		if (nr < max)
			ids[nr] = atoi(entry->d_name + 4);
		nr++;
	}
	if (dir)
		closedir(dir);
	if (max)
		qsort(ids, nr < max ? nr : max, sizeof(*ids), compare_ids);

	return nr;
}

/*
 * For relate(): the process is what boots, and the name is what it boots again, if it
 * has one.
 */
void identify_vm(const struct vm *vm, struct table *t)
{
	char path[32], buf[MAX_FILE], *field;
	u64 start = 0;
	size_t len;
	int i;

	identify(t);
	snprintf(path, sizeof(path), "%d/stat", vm->pid);
	field = read_file(proc_fd, path, buf, sizeof(buf)) < 0 ? NULL : strrchr(buf, ')');
	for (i = 0; field && i < STAT_START_TIME; i++)
		field = strchr(field + 1, ' ');
	if (field)
		start = strtoull(field + 1, NULL, 10);

	len = strlen(t->boot_id);
	snprintf(t->boot_id + len, sizeof(t->boot_id) - len, ":%s:%llu", vm->dir, start);
	t->uptime_ns -= start * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK));
	t->machine = vm->has_name ? hash_string(t->machine, vm->name) : 0;
}

/* Of one vCPU, or of all.  Return false if the VM has ended, or errno is 0. */
bool read_vm(const struct vm *vm, int vcpu, struct table *t)
{
	char path[64], buf[MAX_FILE];
	ssize_t len;
	u64 read_at;

	if (vcpu == ALL_VCPUS)
		snprintf(path, sizeof(path), "%s/" COUNTERS, vm->dir);
	else
		snprintf(path, sizeof(path), "%s/vcpu%d/" COUNTERS, vm->dir, vcpu);
	len = read_file(kvm_fd, path, buf, sizeof(buf));
	if (len < 0)
		return false;

	read_at = get_ns(CLOCK_MONOTONIC);
	if (strlen(buf) < (size_t)len || !parse_counters(buf, t)) {
		errno = 0;
		return false;
	}

	t->read_at = read_at;
	t->tsc_khz = tsc_khz;
	return true;
}

static int compare_vms(const void *a, const void *b)
{
	return strcmp((*(struct vm * const *)a)->dir, (*(struct vm * const *)b)->dir);
}

/* Leave in the list, in the order of folders, the VMs there are, old ones as they were. */
void update_vms(struct vm_list *list)
{
	struct vm_list new = {};
	struct dirent *entry;
	size_t i = 0, j;
	struct vm *vm;
	int end, order;

	rewinddir(kvm_dir);
	while ((entry = readdir(kvm_dir))) {
		end = 0;
		vm = xrealloc(NULL, 1, sizeof(*vm));
		memset(vm, 0, sizeof(*vm));
		if (!(new.nr & (new.nr - 1)))
			new.vms = xrealloc(new.vms, 2 * new.nr, sizeof(vm));
		if (sscanf(entry->d_name, "%d-%*d%n", &vm->pid, &end) != 1 ||
		    entry->d_name[end] || strlen(entry->d_name) >= sizeof(vm->dir)) {
			free(vm);
			continue;
		}
		strcpy(vm->dir, entry->d_name);
		new.vms[new.nr++] = vm;
	}
	if (new.nr)
		qsort(new.vms, new.nr, sizeof(vm), compare_vms);

	for (j = 0; j < new.nr; j++) {
		order = -1;
		while (i < list->nr && (order = compare_vms(&list->vms[i], &new.vms[j])) < 0)
			free(list->vms[i++]);
		if (i < list->nr && !order) {
			free(new.vms[j]);
			new.vms[j] = list->vms[i++];
		} else {
			find_name(new.vms[j]);
		}
		new.vms[j]->nr_vcpus = find_vcpus(new.vms[j], NULL, 0);
	}
	while (i < list->nr)
		free(list->vms[i++]);
	free(list->vms);
	*list = new;
}
