/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Say whether SVM intercepts a read of CR0, CR2, CR3, and CR4, each by the bit that is its
 * own.  A multiboot kernel, which QEMU loads by itself; svm-cr-reads.md says how, and what
 * it found.
 *
 * A guest reads one of these registers and executes VMMCALL, with intercepts of that read,
 * of VMMCALL, and of VMRUN, which SVM demands.  If VMRUN does not end with the exit code of
 * the read, bit N of what is written to QEMU's isa-debug-exit is set, N being the number of
 * the register.  Bit 5 is always set, as QEMU's exit status is twice that, plus 1, and 1
 * is what it says of its own errors.
 */
#define MULTIBOOT_MAGIC		0x1badb002
#define DEBUG_EXIT_PORT		0x501
#define HAS_RUN			(1 << 5)

#define MSR_EFER		0xc0000080
#define EFER_SVME		(1 << 12)
#define MSR_VM_HSAVE_PA		0xc0010117

/* Offsets in a VMCB */
#define VMCB_INTERCEPT_CR	0x000
#define VMCB_INTERCEPT_SVM	0x010
#define VMCB_ASID		0x058
#define VMCB_EXIT_CODE		0x070
#define VMCB_ES			0x400
#define VMCB_CS			0x410
#define VMCB_SS			0x420
#define VMCB_DS			0x430
#define SEG_ATTRIB		0x2
#define SEG_LIMIT		0x4
#define VMCB_EFER		0x4d0
#define VMCB_CR0		0x558
#define VMCB_RFLAGS		0x570
#define VMCB_RIP		0x578

#define INTERCEPT_VMRUN		(1 << 0)
#define INTERCEPT_VMMCALL	(1 << 1)
#define EXIT_READ_CR0		0x000
#define RFLAGS_FIXED		(1 << 1)
#define CODE_32			0xc9b
#define DATA_32			0xc93

	.text
	.globl	_start
	.balign	4
	.long	MULTIBOOT_MAGIC, 0, -MULTIBOOT_MAGIC

_start:
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_SVME, %eax
	wrmsr
	mov	$MSR_VM_HSAVE_PA, %ecx
	mov	$hsave, %eax
	xor	%edx, %edx
	wrmsr

	/* Protected mode without paging, and flat segments, as here */
	mov	$vmcb, %ebx
	.irp	seg, VMCB_ES, VMCB_SS, VMCB_DS
	movw	$DATA_32, \seg + SEG_ATTRIB(%ebx)
	movl	$-1, \seg + SEG_LIMIT(%ebx)
	.endr
	movw	$CODE_32, VMCB_CS + SEG_ATTRIB(%ebx)
	movl	$-1, VMCB_CS + SEG_LIMIT(%ebx)
	movl	$EFER_SVME, VMCB_EFER(%ebx)
	mov	%cr0, %eax
	mov	%eax, VMCB_CR0(%ebx)
	movl	$RFLAGS_FIXED, VMCB_RFLAGS(%ebx)
	movl	$INTERCEPT_VMRUN | INTERCEPT_VMMCALL, VMCB_INTERCEPT_SVM(%ebx)
	movl	$1, VMCB_ASID(%ebx)

	/* EBP is neither the guest's nor VMRUN's */
	mov	$HAS_RUN, %ebp
	.irp	reg, 0, 2, 3, 4
	movl	$1 << \reg, VMCB_INTERCEPT_CR(%ebx)
	movl	$read_cr\reg, VMCB_RIP(%ebx)
	mov	%ebx, %eax
	vmrun
	cmpl	$EXIT_READ_CR0 + \reg, VMCB_EXIT_CODE(%ebx)
	je	1f
	or	$1 << \reg, %ebp
1:
	.endr

	mov	%ebp, %eax
	mov	$DEBUG_EXIT_PORT, %dx
	out	%al, %dx
	hlt

	.irp	reg, 0, 2, 3, 4
read_cr\reg:
	mov	%cr\reg, %eax
	vmmcall
	.endr

	.bss
	.balign	4096
vmcb:	.skip	4096
hsave:	.skip	4096
