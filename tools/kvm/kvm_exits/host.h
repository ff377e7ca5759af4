/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_EXITS_HOST_H
#define KVM_EXITS_HOST_H

#include <sys/types.h>

#include "kvm_exits.h"

#define DEBUGFS			"/sys/kernel/debug/kvm"

#define VM_NAME_SIZE		256
#define ALL_VCPUS		(-1)
#define EACH_VCPU		(-2)

/* A VM as its host sees it.  The name is printable ASCII. */
struct vm {
	char dir[32];
	pid_t pid;
	char name[VM_NAME_SIZE];
	bool has_name;
	int nr_vcpus;
	bool has_counts;
	struct table counts;
};

struct vm_list {
	struct vm **vms;
	size_t nr;
};

/* host.c */
bool open_host(const char *root);
bool parse_counters(char *text, struct table *t);
void identify_vm(const struct vm *vm, struct table *t);
bool read_vm(const struct vm *vm, int vcpu, struct table *t);
int find_vcpus(const struct vm *vm, int *ids, int max);
void find_name(struct vm *vm);
void update_vms(struct vm_list *list);

/* qmp.c */
struct table *read_qmp(const char *path, int *nr);

/* metrics.c */
void write_metrics(const char *path);

/* list.c */
void list_vms(u64 interval_ns, u64 count, bool is_terminal);

#endif
