/* SPDX-License-Identifier: Apache-2.0 */
/* The guest image, embedded. */
        .section .rodata
        .balign 4096
        .globl  guest_image_start, guest_image_end
guest_image_start:
        .incbin GUEST_IMAGE_FILE
guest_image_end:
        .section .note.GNU-stack, "", @progbits
