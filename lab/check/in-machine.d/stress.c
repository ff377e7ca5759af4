// SPDX-License-Identifier: GPL-2.0-only
/*
 * Use all interfaces of exit counters at once and in any order, from threads that share their
 * VMs, vCPUs and files, and close any of them at any time.  Why an operation may be refused is
 * known; all else is a failure, and so is an operation that never succeeded.  The seed chooses
 * what each thread does, but not how threads interleave.
 *
 * usage: stress OPERATIONS SEED
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARAMETER	"/sys/module/kvm/parameters/exit_counters"
#define FIRST_LEAF	0x4fffff00
#define NR_MASKS	(KVM_X86_EXIT_COUNTERS_CPUID + KVM_X86_EXIT_COUNTERS_CYCLES + 1)
#define RESET_VECTOR	0xfffffff0
#define PORT_WRONG	2
#define PAGE		4096
#define NR_THREADS	4
#define NR_CPUID	256

/* Instead of an error number: there is nothing to use, and what must not be */
#define ABSENT		-1
#define WRONG		-2

enum kind { VM, VCPU, STATS, DEBUGFS, NR_KINDS, NOTHING };

struct thread {
	pthread_t id;
	unsigned long random, todo;
};

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[NR_CPUID + 1];
};

/*
 * The guest, in real mode: read the leaf that the host says.  Where there is a signature
 * (KVME...), the number of all exits must have increased; otherwise, say so for ever.
 */
asm(".pushsection .rodata; .code16; guest:\n"
	"inl $1, %eax; movl %eax, %ecx; shrl $16, %ecx\n"
	"movzbl %al, %eax; orl $0x4fffff00, %eax; cpuid\n"
	"movl $0x4fffff00, %eax; cpuid; cmpl $0x454d564b, %ebx; jne guest\n"
	"movl $0x4fffffff, %eax; cpuid; cmpl %esi, %eax; movl %eax, %esi; ja guest\n"
	"1: outb %al, $2; jmp 1b\n"
	"guest_end: .code64; .popsection\n");
extern const char guest[], guest_end[];

/* Few, so that threads meet */
static const int nr_slots[NR_KINDS] = { 2, 6, 6, 3 };
static int fds[NR_KINDS][6];
/* The thread that created the VM with this descriptor */
static int creators[64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cpuid supported;
static char *guest_page;
static int kvm, parameter, run_size;
static unsigned long total, finished;
static bool unexpected;

static unsigned int choose(struct thread *t, unsigned int n)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (t->random >> 32) % n;
}

/* A descriptor of one's own, which nobody else closes */
static int use(struct thread *t, enum kind kind)
{
	int *slot = &fds[kind][choose(t, nr_slots[kind])], fd;

	pthread_mutex_lock(&lock);
	fd = *slot < 0 ? -1 : dup(*slot);
	pthread_mutex_unlock(&lock);
	return fd;
}

/* Put a new descriptor, or -1, in the place of another one, and close that. */
static int keep(struct thread *t, enum kind kind, int fd)
{
	int *slot = &fds[kind][choose(t, nr_slots[kind])], old;

	pthread_mutex_lock(&lock);
	old = *slot;
	*slot = fd;
	pthread_mutex_unlock(&lock);
	if (old < 0)
		return ABSENT;
	return close(old) ? errno : 0;
}

static int create_vm(struct thread *t, int unused)
{
	struct kvm_userspace_memory_region low = {
		.memory_size = PAGE,
		.userspace_addr = (unsigned long)guest_page,
	}, high = low;
	int fd = ioctl(kvm, KVM_CREATE_VM, 0);

	high.slot = 1;
	high.guest_phys_addr = RESET_VECTOR & -PAGE;
	/* VMX needs a TSS if it cannot run real mode. */
	if (fd < 0 || ioctl(fd, KVM_SET_TSS_ADDR, 0xfffbd000) ||
	    ioctl(fd, KVM_SET_USER_MEMORY_REGION, &low) ||
	    ioctl(fd, KVM_SET_USER_MEMORY_REGION, &high))
		return errno;
	creators[fd % 64] = gettid();
	keep(t, VM, fd);
	return 0;
}

static int set_capability(struct thread *t, int fd)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_EXIT_COUNTERS };
	int r;

	/* Quick compared to all else, so very often, to meet another thread in there */
	do {
		cap.args[0] = choose(t, NR_MASKS + 1);
		r = ioctl(fd, KVM_ENABLE_CAP, &cap) ? errno : 0;
		if (cap.args[0] == NR_MASKS ? !r : r)
			return r ? r : WRONG;
	} while (r || choose(t, 256));
	return 0;
}

static int set_parameter(struct thread *t, int unused)
{
	char mask = choose(t, NR_MASKS + 1), digit = '0' + mask;
	int r = pwrite(parameter, &digit, 1, 0) == 1 ? 0 : errno;

	return !r == (mask == NR_MASKS) ? WRONG : r;
}

static int create_vcpu(struct thread *t, int fd)
{
	int vcpu = ioctl(fd, KVM_CREATE_VCPU, choose(t, 8));

	if (vcpu < 0)
		return errno;
	keep(t, VCPU, vcpu);
	/* From here on, the VM's mask is what it is. */
	return set_capability(t, fd) == EINVAL ? 0 : WRONG;
}

/* Others may run the same vCPU at the same time, its page is about who did so last. */
static int run_vcpu(struct thread *t, int fd)
{
	struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int i, leaf, r = run == MAP_FAILED ? errno : 0;

	for (i = choose(t, 16); !r && i >= 0; i--) {
		if (ioctl(fd, KVM_RUN, 0)) {
			r = errno;
		} else if (run->exit_reason == KVM_EXIT_IO && run->io.port != PORT_WRONG) {
			/* Every other time a leaf that has a meaning, and any reason */
			leaf = choose(t, 256) | (choose(t, 2) ? 0xf8 : 0);
			*(int *)((char *)run + PAGE) = leaf | choose(t, 0x500) << 16;
		} else if (run->exit_reason != KVM_EXIT_UNKNOWN) {
			printf("# exit to user space for %u\n", run->exit_reason);
			r = WRONG;
		}
	}
	if (run != MAP_FAILED)
		munmap(run, run_size);
	return r;
}

/* What KVM supports or nothing, and maybe one of the exit counters' leaves but the last */
static int set_cpuid(struct thread *t, int fd)
{
	struct cpuid cpuid = supported;

	if (choose(t, 2))
		cpuid.head.nent = 0;
	if (choose(t, 2))
		cpuid.entries[cpuid.head.nent++] = (struct kvm_cpuid_entry2) {
			.function = FIRST_LEAF + choose(t, 255),
		};
	return ioctl(fd, KVM_SET_CPUID2, &cpuid) ? errno : 0;
}

static int open_stats(struct thread *t, int fd)
{
	int stats = ioctl(fd, KVM_GET_STATS_FD, NULL);

	if (stats < 0)
		return errno;
	keep(t, STATS, stats);
	return 0;
}

/*
 * The VM's folder is called by the thread and the descriptor that it was created with.
 * Of the files in it, take the VM's, or that of a vCPU, which exists or not.
 */
static int open_debugfs(struct thread *t, int unused)
{
	int vm = fds[VM][choose(t, nr_slots[VM])], fd;
	char path[128];

	if (vm < 0)
		return ABSENT;
	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/%s/exit_counters",
		 creators[vm % 64], vm, choose(t, 2) ? "vcpu0" : ".");
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return errno;
	keep(t, DEBUGFS, fd);
	return 0;
}

static int read_file(struct thread *t, int fd)
{
	char text[4 * PAGE];

	return pread(fd, text, sizeof(text), 0) < 0 ? errno : 0;
}

static int close_any(struct thread *t, int unused)
{
	return keep(t, choose(t, NR_KINDS), -1);
}

static struct operation {
	const char *name;
	int (*function)(struct thread *t, int fd);
	enum kind uses;
	unsigned int weight;
	/* Why it may be refused, 0 is never */
	int refusal;
	unsigned long done, refused, absent;
} operations[] = {
	{ "create a VM", create_vm, NOTHING, 2, 0 },
	{ "set the capability", set_capability, VM, 3, EINVAL },
	{ "set the parameter", set_parameter, NOTHING, 1, EINVAL },
	/* The VM has that vCPU. */
	{ "create a vCPU", create_vcpu, VM, 4, EEXIST },
	{ "run a vCPU", run_vcpu, VCPU, 8, 0 },
	/* It has run with another CPUID. */
	{ "set CPUID", set_cpuid, VCPU, 2, EINVAL },
	{ "open stats", open_stats, VCPU, 2, 0 },
	{ "read stats", read_file, STATS, 4, 0 },
	/* The VM is gone, or had a name that an older one still had. */
	{ "open debugfs", open_debugfs, NOTHING, 2, ENOENT },
	{ "read debugfs", read_file, DEBUGFS, 4, EIO },
	{ "close", close_any, NOTHING, 4, 0 },
}, *const end = operations + sizeof(operations) / sizeof(*operations);

static void *work(void *arg)
{
	unsigned int weights = 0, chosen;
	struct thread *t = arg;
	struct operation *o;
	unsigned long n;
	int fd, r;

	for (o = operations; o < end; o++)
		weights += o->weight;

	while (t->todo-- && !__atomic_load_n(&unexpected, __ATOMIC_RELAXED)) {
		chosen = choose(t, weights);
		for (o = operations; chosen >= o->weight; o++)
			chosen -= o->weight;

		fd = o->uses == NOTHING ? -1 : use(t, o->uses);
		r = fd < 0 && o->uses != NOTHING ? ABSENT : o->function(t, fd);
		if (fd >= 0)
			close(fd);
		if (r && r != ABSENT && r != o->refusal) {
			printf("# unexpected: %s: %s\n", o->name,
			       r == WRONG ? "what must not be" : strerror(r));
			__atomic_store_n(&unexpected, true, __ATOMIC_RELAXED);
		}
		__atomic_add_fetch(!r ? &o->done : r == ABSENT ? &o->absent : &o->refused,
				   1, __ATOMIC_RELAXED);
		n = __atomic_add_fetch(&finished, 1, __ATOMIC_RELAXED);
		if (n * 10 / total > (n - 1) * 10 / total)
			printf("# %lu operations\n", n);
	}
	return NULL;
}

int main(int argc, char *argv[])
{
	unsigned long seed = argc == 3 ? strtoul(argv[2], NULL, 0) : 0;
	struct thread threads[NR_THREADS];
	int i, length;
	struct operation *o;
	char found[16];

	setvbuf(stdout, NULL, _IOLBF, 0);
	total = argc == 3 ? strtoul(argv[1], NULL, 0) / NR_THREADS * NR_THREADS : 0;
	kvm = open("/dev/kvm", O_RDWR);
	parameter = open(PARAMETER, O_RDWR);
	length = pread(parameter, found, sizeof(found), 0);
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	guest_page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	supported.head.nent = NR_CPUID;
	if (!total || length < 1 || run_size < 2 * PAGE || guest_page == MAP_FAILED ||
	    ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &supported)) {
		fprintf(stderr, "usage: stress OPERATIONS SEED, with KVM that counts exits\n");
		return 1;
	}
	memcpy(guest_page, guest, guest_end - guest);
	/* ljmp $0, $0 */
	guest_page[RESET_VECTOR % PAGE] = 0xea;
	memset(fds, -1, sizeof(fds));

	printf("# %lu operations, seed %lu\n", total, seed);
	for (i = 0; i < NR_THREADS; i++) {
		/* Never 0, and neighbours differ in all bits */
		threads[i].random = (seed * NR_THREADS + i + 1) * 0x9e3779b97f4a7c15;
		threads[i].todo = total / NR_THREADS;
		if (pthread_create(&threads[i].id, NULL, work, &threads[i]))
			return 1;
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i].id, NULL);

	if (pwrite(parameter, found, length, 0) != length)
		unexpected = true;
	printf("# %-20s %8s %8s %8s\n", "", "done", "refused", "absent");
	for (o = operations; o < end; o++) {
		printf("# %-20s %8lu %8lu %8lu\n", o->name, o->done, o->refused, o->absent);
		if (!o->done)
			unexpected = true;
	}
	/* The kernel closes what is still open. */
	return unexpected;
}
