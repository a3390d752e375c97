/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ringing, in both kinds of cell: one `out`, or a byte written to one pipe and read from another.
 * read, write and exit are all that seccomp strict mode leaves a process cell.
 */
#include "guest/arch/doorbell.h"

#include "guest/abi/hypercall_asm.h"

_Static_assert(CELL_IMAGE_GVA == CELL_IMAGE_GVA_ASM, "start_x86_64.S");
_Static_assert(CELL_BOOT_FS_GVA == CELL_BOOT_FS_GVA_ASM, "start_x86_64.S");
_Static_assert(CELL_STACK_GVA == CELL_STACK_GVA_ASM, "start_x86_64.S");
_Static_assert(CELL_STACK_SIZE == CELL_STACK_SIZE_ASM, "start_x86_64.S");

#define SYS_READ  0
#define SYS_WRITE 1
#define SYS_EXIT  60

static long system_call(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

static void ring_pipe(void)
{
    char byte = 1;
    if (system_call(SYS_WRITE, CELL_PIPE_OUT, (long)&byte, 1) == 1 &&
        system_call(SYS_READ, CELL_PIPE_IN, (long)&byte, 1) == 1)
        return;
    for (;;)
        system_call(SYS_EXIT, 0, 0, 0);
}

void doorbell_ring(enum cell_ring why)
{
    doorbell_page()->ring = why;
    if (doorbell_boot()->kind == CELL_KIND_PROCESS)
        ring_pipe();
    else
        __asm__ volatile("outb %b0, %1" : : "a"(1), "N"(CELL_DOORBELL_PORT) : "memory");
}
