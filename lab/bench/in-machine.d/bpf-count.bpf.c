// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people count VM-Exits with today who have BPF: the kvm_exit tracepoint, by
 * exit reason, in a per-CPU array.  The raw tracepoint has only struct kvm_vcpu, and
 * to find the exit reason from there takes more: what counts all exits there is the
 * least that such a program adds.
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

/* Both have 0 as their reason, and a context that they do not read. */
static int count_any(void)
{
	__u32 any = 0;
	__u64 *count;

	count = bpf_map_lookup_elem(&exits, &any);
	if (count)
		(*count)++;

	return 0;
}

SEC("raw_tp/kvm_exit")
int count_raw(void *args)
{
	return count_any();
}

SEC("tp_btf/kvm_exit")
int count_btf(void *args)
{
	return count_any();
}

char _license[] SEC("license") = "GPL";
