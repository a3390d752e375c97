/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the guest starts.
 *
 * kvm: the host has set every register; the stack is ready, FS points to the canary.
 *
 * process: called by the forked child with the shared memory already at the guest's addresses.
 * Everything else of the address space (libc, heap, stack, the secrets in them) is unmapped here,
 * then the door is locked: seccomp strict mode. Not one byte of an image has been seen before that.
 *   rdi: end of the mapped arena      rsi: start of the window (end of the gap)
 *   rdx: end of the mapped window     rcx: end of the user address space
 */
#include "guest/abi/hypercall_asm.h"

        .section .header, "a"
        .quad   0x4c4c454352415453
        .quad   guest_rodata_start
        .quad   guest_data_start
        .quad   guest_file_end
        .quad   guest_end
        .quad   start_kvm
        .quad   start_process
        .quad   0

        .text
        .globl  start_kvm, start_process
        .type   start_kvm, @function
start_kvm:
        xor     %ebp, %ebp
        call    guest_main
1:      ud2
        jmp     1b
        .size   start_kvm, . - start_kvm

#define SYS_munmap      11
#define SYS_exit        60
#define SYS_prctl       157
#define SYS_arch_prctl  158
#define ARCH_SET_FS     0x1002
#define PR_SET_TSC      26
#define PR_TSC_SIGSEGV  2
#define PR_SET_SECCOMP  22
#define SECCOMP_STRICT  1

        .type   start_process, @function
start_process:
        mov     %rdi, %r12
        mov     %rsi, %r13
        mov     %rdx, %r14
        mov     %rcx, %r15
        mov     $(CELL_STACK_GVA_ASM + CELL_STACK_SIZE_ASM), %rsp
        xor     %ebp, %ebp

        mov     $SYS_arch_prctl, %eax
        mov     $ARCH_SET_FS, %edi
        mov     $CELL_BOOT_FS_GVA_ASM, %esi
        syscall
        test    %rax, %rax
        jnz     fail

        /* below the image */
        mov     $SYS_munmap, %eax
        xor     %edi, %edi
        mov     $CELL_IMAGE_GVA_ASM, %esi
        syscall
        test    %rax, %rax
        jnz     fail

        /* between arena and window */
        mov     $SYS_munmap, %eax
        mov     %r12, %rdi
        mov     %r13, %rsi
        sub     %r12, %rsi
        jz      1f
        syscall
        test    %rax, %rax
        jnz     fail

        /* above the window: the rest of the world */
1:      mov     $SYS_munmap, %eax
        mov     %r14, %rdi
        mov     %r15, %rsi
        sub     %r14, %rsi
        syscall
        test    %rax, %rax
        jnz     fail

        /* no clock either: best effort */
        mov     $SYS_prctl, %eax
        mov     $PR_SET_TSC, %edi
        mov     $PR_TSC_SIGSEGV, %esi
        syscall

        mov     $SYS_prctl, %eax
        mov     $PR_SET_SECCOMP, %edi
        mov     $SECCOMP_STRICT, %esi
        xor     %edx, %edx
        xor     %r10d, %r10d
        xor     %r8d, %r8d
        syscall
        test    %rax, %rax
        jnz     fail

        /* registers may still hold addresses of the old world */
        xor     %eax, %eax
        xor     %ebx, %ebx
        xor     %ecx, %ecx
        xor     %edx, %edx
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        xor     %r10d, %r10d
        xor     %r11d, %r11d
        xor     %r12d, %r12d
        xor     %r13d, %r13d
        xor     %r14d, %r14d
        xor     %r15d, %r15d
        call    guest_main
        ud2
fail:
        mov     $SYS_exit, %eax
        mov     $111, %edi
        syscall
        ud2
        .size   start_process, . - start_process

        .section .note.GNU-stack, "", @progbits
