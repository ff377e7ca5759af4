# SPDX-License-Identifier: GPL-2.0-only
#
# The machines: images that they boot, booting, and what comes of a boot.  An image is
# made of a kernel and a payload, a folder with at least these two:
#   in-machine  what runs there, see lab/machine/in-machine
#   needs       what its machine must have, see lab/machine/image

## make shell           a shell in the machine svm, whose root is this host's file system
#= CMD=                 for make shell, a command instead
#= MODEL=               processor of the machine, as Bochs or QEMU calls it; for make models,
#=                      which ones
#= OPTIONS=             more for the kernel of a machine

# They reach lab/machine/boot.
MODEL   :=
OPTIONS :=
export MODEL OPTIONS

# What shares the host's file system; in Debian 12 it comes with QEMU.
SHELL_PACKAGES = $(shell . /etc/os-release; [ "$$VERSION_ID" = 12 ] || echo virtiofsd; \
	[ "$$(id -u)" = 0 ] || echo uidmap)

BOCHS_PACKAGES := bochs bochs-term bochsbios vgabios
HOST_PACKAGES += cpio grub-common grub-pc-bin mtools xorriso busybox-static seabios qemu-system-x86 \
	$(if $(filter vmx,$(MACHINE)),$(BOCHS_PACKAGES)) \
	$(if $(IN_SHELL),$(SHELL_PACKAGES))

.PHONY: qemu shell shell-image

# What is of another kernel than the laboratory's is beside, by that kernel's name
IMAGES   := $(BUILD)/images$(KERNEL:%=-%)
PAYLOADS := $(BUILD)/payload$(KERNEL:%=-%)

# Each machine's last boot of an image, with its logs and what they say: lab/machine/split
BOOTS := $(BUILD)/run$(KERNEL:%=-%)

# A kernel of Debian's takes longer than the laboratory's, and one that looks for bugs as well.
STOCK_TIMEOUT := $(shell echo $$((2 * $(TIMEOUT))))
DEBUG_TIMEOUT := $(shell echo $$((4 * $(TIMEOUT))))

# A payload needs programs=A,B; make takes a comma for the end of an argument.
COMMA := ,

# $(call payload,FOLDER,ROOM,NEEDS,FILES...): of what a room has, and the files
payload = rm -rf $1 && mkdir -p $1 && cp lab/$2/in-machine $1 && echo $3 > $1/needs && cp -R $4 $1

# $(call stripped,FOLDER): of its programs, the symbols; strip refuses scripts
stripped = find $1 -type f -perm -u+x -exec strip -g {} \; 2> /dev/null || true

# For make shell.  A VM in the machine svm sometimes stands still if that has two processors, see
# svm-interrupts.md; the kernel's own tests want two.  In the machine vmx, that is all there is.
SHELL_NEEDS := memory=3072 cpus=$(if $(filter run_tests,$(MAKECMDGOALS)),2,1)
ifneq ($(filter vmx,$(MACHINE)),)
SHELL_NEEDS := memory=1024 cpus=1 qemu=y
shell-image: tests reader
endif

shell-image: kernel
	@rm -rf $(PAYLOADS)/shell && mkdir -p $(PAYLOADS)/shell
	@cp lab/machine/in-machine.d/shell $(PAYLOADS)/shell/in-machine
	@echo $(SHELL_NEEDS) > $(PAYLOADS)/shell/needs
	@$(if $(filter vmx,$(MACHINE)),cp -R $(TESTS) $(READER) $(PAYLOADS)/shell)
	@$(PROGRESS)/image-shell.log 'making the image of the shell' \
		lab/machine/image $(BOOTED) $(PAYLOADS)/shell $(IMAGES)/shell

# What goes before is not what CMD says.
shell:
	@+$(MAKE) --no-print-directory shell-image $(if $(filter svm,$(MACHINE)),qemu) >&2
	@lab/machine/shell $(MACHINE) $(IMAGES)/shell $(BOOTS)/$(MACHINE)-shell unpatched patched

# The machine svm is booted in a QEMU that is right, which may take a while to get: what
# boots it has this as an order-only prerequisite.
qemu:
	@$(PROGRESS)/qemu.log "trying this host's QEMU" lab/machine/qemu
