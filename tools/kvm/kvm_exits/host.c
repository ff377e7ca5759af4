// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the counters of VMs on their host, in debugfs: a folder PID-FD per VM, with a
 * file exit_counters, and a folder vcpuN per vCPU.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kvm_exits.h"

#define CALIBRATION_NS		20000000

/* In /proc/PID/stat after the name of the program */
#define STAT_START_TIME		20

static DIR *kvm_dir;
static int kvm_fd, proc_fd;
static u64 tsc_khz;

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

	if (snprintf(full, sizeof(full), "%s%s", root, path) >= (int)sizeof(full)) {
		errno = ENAMETOOLONG;
		return -1;
	}

	return open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Return false with errno set if there are no VMs to read, or not for this user. */
bool open_host(const char *root)
{
	kvm_fd = open_dir(root, DEBUGFS);
	kvm_dir = kvm_fd < 0 ? NULL : fdopendir(kvm_fd);
	proc_fd = kvm_dir ? open_dir(root, "/proc") : -1;
	if (proc_fd < 0)
		return false;

	calibrate();
	return true;
}

/* Of a reason that this program need not know */
static bool is_code(const char *s, bool is_svm)
{
	if (is_svm && (*s++ != '0' || *s++ != 'x'))
		return false;

	return *s && !s[strspn(s, is_svm ? "0123456789abcdef" : "0123456789")];
}

static bool parse_line(struct table *t, char *line)
{
	struct row row, *sum;
	char *code;
	int nr;

	if (!parse_row(line, &code, &row))
		return false;

	nr = code_to_row(t, code);
	if (nr > ROW_OTHER && !is_code(code, t->is_svm))
		return false;
	if (nr < ROW_OTHER && t->rows[nr].defined)
		return false;

	sum = &t->rows[nr > ROW_OTHER ? ROW_OTHER : nr];
	sum->defined = true;
	if (row.cycles)
		t->mask = MASK_CYCLES;

	return !__builtin_add_overflow(sum->exits, row.exits, &sum->exits) &&
	       !__builtin_add_overflow(sum->cycles, row.cycles, &sum->cycles);
}

/*
 * Return false if the text is not what the kernel writes, e.g. ends in the middle of a
 * line.  A VM without exits has no lines.
 */
bool parse_counters(char *text, struct table *t)
{
	char *line;

	*t = (struct table) { .own_row = ROW_OTHER, .revision = REVISION };
	t->is_svm = !strncmp(text, "0x", 2);

	while (*text) {
		line = take_line(&text);
		if (!line || !parse_line(t, line))
			return false;
	}

	return complete_table(t);
}

/* Valid until the next call */
const char *vm_title(const struct vm *vm)
{
	static char title[VM_TITLE_SIZE];

	snprintf(title, sizeof(title), "%s %s", vm->dir, vm->name);
	return title;
}

/* Of one vCPU, or of all.  Return false if there is no such file, or errno is 0. */
bool read_vm(const struct vm *vm, int vcpu, struct table *t)
{
	char path[64], text[MAX_FILE];

	if (vcpu == ALL_VCPUS)
		snprintf(path, sizeof(path), "%s/exit_counters", vm->dir);
	else
		snprintf(path, sizeof(path), "%s/vcpu%d/exit_counters", vm->dir, vcpu);
	if (!read_text(kvm_fd, path, text, sizeof(text)) || !parse_counters(text, t))
		return false;

	t->read_at = get_ns(CLOCK_MONOTONIC);
	t->tsc_khz = tsc_khz;
	return true;
}

static int compare_ids(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Return how many vCPUs there are, and put the numbers of at most max of them into ids. */
static int find_vcpus(const struct vm *vm, int *ids, int max)
{
	int fd = openat(kvm_fd, vm->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), nr = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	u64 id;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vcpu", 4) || !parse_u64(entry->d_name + 4, &id))
			continue;
		if (nr < max)
			ids[nr] = id;
		nr++;
	}
	if (dir)
		closedir(dir);
	if (max)
		qsort(ids, nr < max ? nr : max, sizeof(*ids), compare_ids);

	return nr;
}

/* The same of each vCPU */
bool read_vm_vcpus(const struct vm *vm, struct vcpus *vcpus)
{
	int i;

	vcpus->nr = vm->nr_vcpus;
	vcpus->ids = xrealloc(NULL, vcpus->nr, sizeof(*vcpus->ids));
	vcpus->tables = xrealloc(NULL, vcpus->nr, sizeof(*vcpus->tables));

	errno = ENOENT;
	if (!vcpus->nr || find_vcpus(vm, vcpus->ids, vcpus->nr) < vcpus->nr)
		return false;

	for (i = 0; i < vcpus->nr; i++) {
		if (!read_vm(vm, vcpus->ids[i], &vcpus->tables[i]))
			return false;
	}

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
static void find_name(struct vm *vm)
{
	const char *arg, *next, *name = NULL;
	char path[32], buf[MAX_FILE];
	ssize_t len;

	snprintf(path, sizeof(path), "%d/cmdline", vm->pid);
	len = read_file(proc_fd, path, buf, sizeof(buf));
	for (arg = buf; len > 0 && arg < buf + len && !name; arg = next) {
		next = arg + strlen(arg) + 1;
		if ((!strcmp(arg, "-name") || !strcmp(arg, "--name")) && next < buf + len)
			name = find_guest_option(next);
	}

	vm->name[0] = '\0';
	if (name)
		set_name(vm, name, true);
	vm->has_name = vm->name[0];
	if (vm->has_name)
		return;

	snprintf(path, sizeof(path), "%d/comm", vm->pid);
	read_first_line(proc_fd, path, buf, sizeof(buf));
	set_name(vm, buf[0] ? buf : "?", false);
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

	snprintf(path, sizeof(path), "%d/stat", vm->pid);
	field = read_file(proc_fd, path, buf, sizeof(buf)) < 0 ? NULL : strrchr(buf, ')');
	for (i = 0; field && i < STAT_START_TIME; i++)
		field = strchr(field + 1, ' ');
	if (field)
		start = strtoull(field + 1, NULL, 10);

	identify(t);
	len = strlen(t->boot_id);
	snprintf(t->boot_id + len, sizeof(t->boot_id) - len, ":%s:%llu", vm->dir, start);
	t->uptime_ns -= start * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK));
	t->machine = vm->has_name ? t->machine ^ hash_string(vm->name) : 0;
}

static int compare_vms(const void *a, const void *b)
{
	return strcmp((*(struct vm * const *)a)->dir, (*(struct vm * const *)b)->dir);
}

/* Return the length of PID-FD, what KVM calls the folder of a VM, or 0. */
static int parse_folder(const char *name, int *pid)
{
	int end = 0;

	return sscanf(name, "%d-%*d%n", pid, &end) == 1 ? end : 0;
}

bool starts_with_folder(const char *name)
{
	int pid;

	return parse_folder(name, &pid);
}

static void find_vms(struct vm_list *list)
{
	struct dirent *entry;
	int pid, len;
	struct vm *vm;

	rewinddir(kvm_dir);
	while ((entry = readdir(kvm_dir))) {
		len = parse_folder(entry->d_name, &pid);
		if (!len || entry->d_name[len] || len >= VM_DIR_SIZE)
			continue;

		vm = xrealloc(NULL, 1, sizeof(*vm));
		memcpy(vm->dir, entry->d_name, len + 1);
		vm->inode = entry->d_ino;
		vm->pid = pid;
		vm->has_counts = false;
		vm->nr_links = 0;
		vm->nr_vcpus = 0;
		list->vms = xrealloc(list->vms, list->nr + 1, sizeof(vm));
		list->vms[list->nr++] = vm;
	}

	if (list->nr)
		qsort(list->vms, list->nr, sizeof(vm), compare_vms);
}

/* A new vCPU is a new folder, which the folder of the VM has a link for. */
static void count_vcpus(struct vm *vm)
{
	struct stat st;

	if (fstatat(kvm_fd, vm->dir, &st, 0) || st.st_nlink == vm->nr_links)
		return;

	vm->nr_links = st.st_nlink;
	vm->nr_vcpus = find_vcpus(vm, NULL, 0);
}

/*
 * Leave in the list, in the order of folders, the VMs there are, old ones as they were.
 * A process may end a VM and start another one, whose folder is another one.
 */
void update_vms(struct vm_list *list)
{
	struct vm_list old = *list;
	struct vm *vm, **known;
	size_t i;

	*list = (struct vm_list) {};
	find_vms(list);

	for (i = 0; i < list->nr; i++) {
		vm = list->vms[i];
		known = old.nr ? bsearch(&vm, old.vms, old.nr, sizeof(vm), compare_vms) : NULL;
		if (known && (*known)->inode == vm->inode) {
			list->vms[i] = *known;
			*known = vm;
		} else {
			find_name(vm);
		}
		count_vcpus(list->vms[i]);
	}

	for (i = 0; i < old.nr; i++)
		free(old.vms[i]);
	free(old.vms);
}
