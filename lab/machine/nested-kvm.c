// SPDX-License-Identifier: GPL-2.0-only
/*
 * Say whether /dev/kvm offers VMX or SVM to guests, i.e. whether KVM can run in a
 * VM of this host.  That /dev/kvm opens does not mean that: nested virtualization
 * may be off, or the host's KVM may be one that has none.
 *
 * Print "vmx" or "svm" and exit with 0, or say on stderr what is missing and exit
 * with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define KVM_DEV		"/dev/kvm"
#define MAX_ENTRIES	256

#define CPUID_FEATURES		0x00000001
#define CPUID_FEATURES_VMX	(1u << 5)
#define CPUID_EXT_FEATURES	0x80000001
#define CPUID_EXT_FEATURES_SVM	(1u << 2)

static int no(const char *what)
{
	fprintf(stderr, "nested-kvm: %s: %s: %s; %suse the machines vmx or svm, which need no /dev/kvm\n",
		KVM_DEV, what, strerror(errno),
		errno == EACCES ? "be in the group that owns it, or " : "");
	return 1;
}

int main(void)
{
	struct kvm_cpuid2 *cpuid;
	unsigned int i;
	int kvm;

	kvm = open(KVM_DEV, O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return no("cannot open");

	cpuid = calloc(1, sizeof(*cpuid) + MAX_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return no("no memory");

	if (ioctl(kvm, KVM_CREATE_VM, 0) < 0)
		return no("cannot create a VM");

	cpuid->nent = MAX_ENTRIES;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid))
		return no("cannot get the CPUID that it supports");

	for (i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == CPUID_FEATURES && entry->ecx & CPUID_FEATURES_VMX) {
			puts("vmx");
			return 0;
		}
		if (entry->function == CPUID_EXT_FEATURES && entry->ecx & CPUID_EXT_FEATURES_SVM) {
			puts("svm");
			return 0;
		}
	}

	fprintf(stderr, "nested-kvm: %s opens, but offers neither VMX nor SVM to guests; load the host's kvm_intel or kvm_amd with nested=1, or use the machines vmx or svm, which need no /dev/kvm\n",
		KVM_DEV);
	return 1;
}
