/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first bytes of the guest image, by which the host finds its parts. Trusted: our own build.
 * Also included by assembly and the linker script's checks.
 */
#ifndef INSTAR_GUEST_ARCH_IMAGE_HEADER_H
#define INSTAR_GUEST_ARCH_IMAGE_HEADER_H

#include <stdint.h>

#define GUEST_IMAGE_MAGIC 0x4c4c454352415453ull /* "STARCELL" */

/* Addresses are guest virtual; parts start on page boundaries. */
struct guest_image_header {
    uint64_t magic;
    uint64_t rodata_gva;    /* end of text */
    uint64_t data_gva;      /* end of rodata */
    uint64_t file_end_gva;  /* end of what is in the file */
    uint64_t end_gva;       /* end of bss */
    uint64_t entry_kvm;     /* rip of a kvm cell */
    uint64_t entry_process; /* called by the child of a process cell, see start_x86_64.S */
    uint64_t reserved;
};
_Static_assert(sizeof(struct guest_image_header) == 64, "guest_image_header");

#endif
