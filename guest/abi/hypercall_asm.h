/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses that assembly needs; guest/arch/doorbell_x86_64.c holds them against hypercall.h.
 */
#define CELL_IMAGE_GVA_ASM   0x00400000
#define CELL_BOOT_FS_GVA_ASM 0x02000020
#define CELL_STACK_GVA_ASM   0x02020000
#define CELL_STACK_SIZE_ASM  0x00100000
