/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cell as a virtual machine with one virtual CPU, no devices in reach and no kernel.
 *
 * The CPU enters in 64-bit user mode (CPL 3) and never leaves it: there is no IDT, so that any
 * fault is a triple fault; EFER.SCE is off, so that `syscall` is a fault; the I/O permission bitmap
 * opens the doorbell's port and no other. Page tables are made here and lie in physical pages that
 * no virtual address maps. Segments, TR and control registers satisfy the entry checks of VMX and
 * of SVM both (SDM vol. 3C 26.3.1; APM vol. 2 15.5.1).
 */
#include "src/sandbox/cell_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/platform/x86.h>
#include <unistd.h>

#include "src/sandbox/watchdog.h"

struct kvm_cell {
    int vm_fd;
    int vcpu_fd;
    struct kvm_run *run;
    size_t run_len;
    struct watchdog watchdog;
};

#define PTE_P  (1ull << 0)
#define PTE_W  (1ull << 1)
#define PTE_U  (1ull << 2)
#define PTE_AD (3ull << 5) /* accessed and dirty: the processor need not set them */
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)

#define PAGE_4K 4096ull
#define PAGE_2M (2ull << 20)

/* Hands out zeroed pages of the table region, in order. */
struct tables {
    uint8_t *base; /* host pointer to guest-physical 0 */
    uint64_t next; /* guest-physical */
};

static uint64_t new_table(struct tables *t)
{
    uint64_t gpa = t->next;
    t->next += PAGE_4K;
    g_assert(t->next <= MEMORY_TABLES_OFFSET + MEMORY_TABLES_SIZE);
    return gpa;
}

/* The entry for `gva` in the table at level (3 = PML4 ... 0 = page table), made if need be. */
static uint64_t *walk(struct tables *t, uint64_t root, cell_gva gva, int leaf_level)
{
    uint64_t table = root;
    for (int level = 3;; level--) {
        uint64_t *entry = (uint64_t *)(t->base + table) + (gva >> (12 + 9 * level) & 511);
        if (level == leaf_level)
            return entry;
        if (!*entry)
            *entry = new_table(t) | PTE_P | PTE_W | PTE_U | PTE_AD;
        table = *entry & 0x000ffffffffff000ull;
    }
}

static void map_region(struct tables *t, uint64_t root, const struct region *r)
{
    uint64_t flags = PTE_P | PTE_U | PTE_AD;
    if (r->prot & PROT_WRITE)
        flags |= PTE_W;
    if (!(r->prot & PROT_EXEC))
        flags |= PTE_NX;
    gboolean large = !((r->gva | r->offset | r->len) & (PAGE_2M - 1));
    uint64_t step = large ? PAGE_2M : PAGE_4K;
    for (uint64_t at = 0; at < r->len; at += step)
        *walk(t, root, r->gva + at, large ? 1 : 0) =
            (r->offset + at) | flags | (large ? PTE_PS : 0);
}

/* Pages of tables that the usual memory needs. */
#define TABLES_USUAL 6

static uint64_t build_page_tables(const struct cell_memory *m)
{
    struct tables t = {.base = m->base, .next = MEMORY_TABLES_OFFSET};
#ifdef MADV_POPULATE_WRITE
    (void)!madvise(m->base + MEMORY_TABLES_OFFSET, TABLES_USUAL * PAGE_4K, MADV_POPULATE_WRITE);
#endif
    uint64_t root = new_table(&t);
    for (unsigned i = 0; i < NR_REGIONS; i++)
        map_region(&t, root, &m->region[i]);
    return root;
}

/*
 * The task state segment lies in the boot page. All that matters in it is the I/O permission
 * bitmap: one port is open, the doorbell; any other is a fault.
 */
#define TSS_OFFSET       0x800
#define TSS_BITMAP_FIELD 102
#define TSS_BITMAP       104
#define TSS_LIMIT        (TSS_BITMAP + CELL_DOORBELL_PORT / 8 + 1)

static void build_tss(const struct cell_memory *m)
{
    uint8_t *tss = (uint8_t *)memory_region(m, REGION_BOOT) + TSS_OFFSET;
    memset(tss + TSS_BITMAP, 0xff, TSS_LIMIT + 1 - TSS_BITMAP);
    tss[TSS_BITMAP_FIELD] = TSS_BITMAP;
    tss[TSS_BITMAP + CELL_DOORBELL_PORT / 8] &= (uint8_t) ~(1u << CELL_DOORBELL_PORT % 8);
}

static void set_segments(struct kvm_sregs *s)
{
    struct kvm_segment data = {.selector = 0x2b,
                               .limit = 0xffffffff,
                               .type = 3, /* read-write, accessed */
                               .present = 1,
                               .dpl = 3,
                               .db = 1,
                               .s = 1,
                               .g = 1};
    struct kvm_segment code = data;
    code.selector = 0x33;
    code.type = 11; /* execute-read, accessed */
    code.db = 0;
    code.l = 1;
    s->cs = code;
    s->ss = s->ds = s->es = s->gs = s->fs = data;
    s->fs.base = CELL_BOOT_FS_GVA;
    s->tr = (struct kvm_segment){.selector = 0x40,
                                 .base = CELL_BOOT_GVA + TSS_OFFSET,
                                 .limit = TSS_LIMIT,
                                 .type = 11, /* busy 64-bit TSS */
                                 .present = 1};
    s->ldt = (struct kvm_segment){.unusable = 1};
    s->idt = (struct kvm_dtable){.limit = 0};
    s->gdt = (struct kvm_dtable){.limit = 0};
}

#define CR0_PE         (1u << 0)
#define CR0_MP         (1u << 1)
#define CR0_ET         (1u << 4)
#define CR0_NE         (1u << 5)
#define CR0_WP         (1u << 16)
#define CR0_PG         (1u << 31)
#define CR4_TSD        (1u << 2) /* no rdtsc: no clock in the cell */
#define CR4_PAE        (1u << 5)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define EFER_LME       (1u << 8)
#define EFER_LMA       (1u << 10)
#define EFER_NXE       (1u << 11)
#define RFLAGS_FIXED   (1u << 1)

/*
 * The processor that a decoding guest sees: x86-64 with those user-mode extensions of general
 * registers and SSE that the host has and the codecs ask for. No AVX, so that there is no extended
 * state to enable. Not KVM_GET_SUPPORTED_CPUID: that takes longer than making the machine, and
 * lists far more.
 */
static gboolean set_cpuid(int vcpu_fd)
{
    enum {
        LEAF1_EDX = 1 << 0 | 1 << 8 | 1 << 15 | 1 << 23 | 1 << 24 | 1 << 25 | 1 << 26,
        /* x87, cmpxchg8b, cmov, mmx, fxsr, sse, sse2 */
        ECX_SSE3 = 1 << 0,
        ECX_SSSE3 = 1 << 9,
        ECX_SSE41 = 1 << 19,
        ECX_SSE42 = 1 << 20,
        ECX_POPCNT = 1 << 23,
        ECX_AES = 1 << 25,
        LEAF7_BMI1 = 1 << 3,
        LEAF7_BMI2 = 1 << 8,
        LEAF7_SHA = 1 << 29,
        EXT1_EDX_NX = 1 << 20,
        EXT1_EDX_LONG_MODE = 1 << 29,
    };
    /* as the dynamic linker found them: __builtin_cpu_supports costs every start eight CPUIDs */
    uint32_t ecx =
        (CPU_FEATURE_ACTIVE(SSE3) ? ECX_SSE3 : 0) | (CPU_FEATURE_ACTIVE(SSSE3) ? ECX_SSSE3 : 0) |
        (CPU_FEATURE_ACTIVE(SSE4_1) ? ECX_SSE41 : 0) |
        (CPU_FEATURE_ACTIVE(SSE4_2) ? ECX_SSE42 : 0) |
        (CPU_FEATURE_ACTIVE(POPCNT) ? ECX_POPCNT : 0) | (CPU_FEATURE_ACTIVE(AES) ? ECX_AES : 0);
    uint32_t leaf7 = (CPU_FEATURE_ACTIVE(BMI1) ? LEAF7_BMI1 : 0) |
                     (CPU_FEATURE_ACTIVE(BMI2) ? LEAF7_BMI2 : 0) |
                     (CPU_FEATURE_ACTIVE(SHA) ? LEAF7_SHA : 0);
    const struct kvm_cpuid_entry2 entries[] = {
        {.function = 0, .eax = 7},
        {.function = 1, .ecx = ecx, .edx = LEAF1_EDX},
        {.function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = leaf7},
        {.function = 0x80000000, .eax = 0x80000008},
        {.function = 0x80000001, .edx = EXT1_EDX_NX | EXT1_EDX_LONG_MODE},
        {.function = 0x80000008, .eax = 40 | 48 << 8}, /* address bits */
    };
    g_autofree struct kvm_cpuid2 *cpuid = g_malloc0(sizeof(*cpuid) + sizeof(entries));
    cpuid->nent = G_N_ELEMENTS(entries);
    memcpy(cpuid->entries, entries, sizeof(entries));
    return ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) == 0;
}

static gboolean set_registers(int vcpu_fd, const struct cell_memory *m, uint64_t page_tables)
{
    struct kvm_sregs sregs;
    if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) != 0)
        return FALSE;
    set_segments(&sregs);
    sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    sregs.cr3 = page_tables;
    sregs.cr4 = CR4_TSD | CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    sregs.efer = EFER_LME | EFER_LMA | EFER_NXE;
    struct kvm_regs regs = {
        .rip = m->entry_kvm, .rsp = CELL_STACK_GVA + CELL_STACK_SIZE, .rflags = RFLAGS_FIXED};
    struct kvm_fpu fpu = {.fcw = 0x37f, .mxcsr = 0x1f80};
    if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) != 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) != 0 ||
        ioctl(vcpu_fd, KVM_SET_FPU, &fpu) != 0)
        return FALSE;
    return TRUE;
}

static void kvm_stop(void *state)
{
    struct kvm_cell *c = state;
    watchdog_clear(&c->watchdog);
    if (c->run)
        munmap(c->run, c->run_len);
    if (c->vcpu_fd >= 0)
        close(c->vcpu_fd);
    if (c->vm_fd >= 0)
        close(c->vm_fd);
    g_free(c);
}

/*
 * Gives the machine a local APIC, which the guest cannot reach: its page is mapped nowhere, and its
 * registers ask for privilege. A processor without one is so rare that KVM patches its own code
 * when the first comes and when the last goes: twice 130 us of a 1.9 ms start.
 */
static void spare_patching(int vm_fd)
{
    struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP};
    (void)!ioctl(vm_fd, KVM_ENABLE_CAP, &split); /* it works without */
}

static gboolean make_machine(struct kvm_cell *c, int kvm_fd, const struct cell_memory *m,
                             gboolean codec)
{
    c->vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
    if (c->vm_fd < 0)
        return FALSE;
    spare_patching(c->vm_fd);
    struct kvm_userspace_memory_region slot = {.memory_size = m->len,
                                               .userspace_addr = (uint64_t)(uintptr_t)m->base};
    if (ioctl(c->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) != 0)
        return FALSE;
    c->vcpu_fd = ioctl(c->vm_fd, KVM_CREATE_VCPU, 0);
    if (c->vcpu_fd < 0)
        return FALSE;
    int run_len = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_len < (int)sizeof(struct kvm_run))
        return FALSE;
    void *run = mmap(NULL, (size_t)run_len, PROT_READ | PROT_WRITE, MAP_SHARED, c->vcpu_fd, 0);
    if (run == MAP_FAILED)
        return FALSE;
    c->run = run;
    c->run_len = (size_t)run_len;
    build_tss(m);
    return (!codec || set_cpuid(c->vcpu_fd)) && set_registers(c->vcpu_fd, m, build_page_tables(m));
}

static gboolean kvm_start(struct cell_memory *m, gboolean codec, void **out_state, GError **error)
{
    int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm_fd < 0) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP, "Could not open /dev/kvm: %s",
                    g_strerror(errno));
        return FALSE;
    }
    struct kvm_cell *c = g_new0(struct kvm_cell, 1);
    c->vm_fd = c->vcpu_fd = -1;
    gboolean ok = make_machine(c, kvm_fd, m, codec);
    int saved = errno;
    close(kvm_fd);
    if (!ok) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP, "Could not make a virtual machine: %s",
                    g_strerror(saved));
        kvm_stop(c);
        return FALSE;
    }
    *out_state = c;
    return TRUE;
}

static gboolean crashed(GError **error, const char *how)
{
    g_set_error(error, CELL_ERROR, CELL_ERROR_CRASHED,
                "The image crashed the sandboxed parser (%s)", how);
    return FALSE;
}

/* What an exit other than an interruption means. */
static gboolean judge_exit(const struct kvm_run *run, GError **error)
{
    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == CELL_DOORBELL_PORT &&
            run->io.size == 1 && run->io.count == 1)
            return TRUE;
        return crashed(error, "forbidden port");
    case KVM_EXIT_SHUTDOWN:
        return crashed(error, "processor fault");
    case KVM_EXIT_MMIO:
        return crashed(error, "access outside its memory");
    case KVM_EXIT_HLT:
        return crashed(error, "halt");
    default: {
        g_autofree char *how = g_strdup_printf("exit %u", run->exit_reason);
        return crashed(error, how);
    }
    }
}

static gboolean kvm_run(void *state, unsigned timeout_seconds, GError **error)
{
    struct kvm_cell *c = state;
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_seconds * G_USEC_PER_SEC;
    if (!watchdog_ensure(&c->watchdog, 1)) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP, "Could not start a timer: %s",
                    g_strerror(errno));
        return FALSE;
    }
    for (;;) {
        watchdog_watch(&c->run->immediate_exit);
        int result = ioctl(c->vcpu_fd, KVM_RUN, 0);
        int saved = errno;
        watchdog_watch(NULL);
        c->run->immediate_exit = 0;
        if (result == 0)
            return judge_exit(c->run, error);
        if (saved != EINTR && saved != EAGAIN) {
            g_autofree char *how = g_strdup_printf("KVM_RUN: %s", g_strerror(saved));
            return crashed(error, how);
        }
        if (g_get_monotonic_time() >= deadline) {
            g_set_error(error, CELL_ERROR, CELL_ERROR_TIMEOUT,
                        "The image kept the sandboxed parser busy for %u seconds without progress",
                        timeout_seconds);
            return FALSE;
        }
    }
}

const struct cell_verbs cell_kvm = {
    .name = "kvm",
    .kind = CELL_KVM,
    .word = CELL_KIND_KVM,
    .shared_memory = FALSE,
    .start = kvm_start,
    .run = kvm_run,
    .stop = kvm_stop,
};
