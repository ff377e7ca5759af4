// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people count VM-Exits with today who have BPF: the kvm_exit tracepoint, by
 * exit reason, in a per-CPU array.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Up to VMGEXIT, 0x403 */
#define NR_REASONS 0x404

/* As far as needed, from events/kvm/kvm_exit/format of tracefs */
struct kvm_exit {
	__u64 common;
	__u32 exit_reason;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} exits SEC(".maps");

SEC("tracepoint/kvm/kvm_exit")
int count_exit(struct kvm_exit *event)
{
	__u32 reason = event->exit_reason;
	__u64 *count;

	count = bpf_map_lookup_elem(&exits, &reason);
	if (count)
		(*count)++;

	return 0;
}

char _license[] SEC("license") = "GPL";
