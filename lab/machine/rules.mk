# SPDX-License-Identifier: GPL-2.0-only
#
# The machines: images that they boot, booting, and what comes of a boot.  An image is
# made of a kernel and a payload, a folder with at least these two:
#   in-machine  what runs there, see lab/machine/in-machine
#   needs       what its machine must have, see lab/machine/image

HOST_PACKAGES += cpio grub-common grub-pc-bin mtools xorriso busybox-static seabios qemu-system-x86 \
	$(if $(filter vmx,$(MACHINE)),bochs bochs-term bochsbios vgabios)

.PHONY: qemu

IMAGES := $(BUILD)/images

# Each machine's last boot of an image, with its logs and what they say: lab/machine/split
BOOTS := $(BUILD)/run

# A payload needs programs=A,B; make takes a comma for the end of an argument.
COMMA := ,

# $(call payload,FOLDER,ROOM,NEEDS,FILES...): of what a room has, and the files
payload = rm -rf $1 && mkdir -p $1 && cp lab/$2/in-machine $1 && echo $3 > $1/needs && cp -R $4 $1

# $(call stripped,FOLDER): of its programs, the symbols; strip refuses scripts
stripped = find $1 -type f -perm -u+x -exec strip -g {} \; 2> /dev/null || true

# The machine svm is booted in a QEMU that is right, which may take a while to get: what
# boots it has this as an order-only prerequisite.
qemu:
	@$(PROGRESS)/qemu.log "trying this host's QEMU" lab/machine/qemu
