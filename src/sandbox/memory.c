/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout and mapping of a cell's memory.
 *
 * Nothing is touched but the guest's data and the boot page. What the guest may only read of its
 * image comes from the executable's own file, page by page as it is used; the rest is reserved
 * address space that becomes memory when it is used.
 */
#include "src/sandbox/memory.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "guest/arch/image_header.h"
#include "src/sandbox/sandbox.h"

#define PAGE 4096ull

/* Offsets in the mapping; the large regions are 2 MiB aligned so that large pages can map them. */
#define CONTROL_OFFSET 0x00800000ull
#define ARENA_OFFSET   (MEMORY_TABLES_OFFSET + MEMORY_TABLES_SIZE)

static uint64_t page_up(uint64_t n)
{
    return (n + PAGE - 1) & ~(PAGE - 1);
}

static void lay_out(struct cell_memory *m, const struct guest_image_header *h, uint64_t arena_bytes,
                    uint64_t window_bytes)
{
    const int r = PROT_READ;
    const int rw = PROT_READ | PROT_WRITE;
    /* the image keeps its shape: offset = address - CELL_IMAGE_GVA */
    m->region[REGION_TEXT] =
        (struct region){CELL_IMAGE_GVA, h->rodata_gva - CELL_IMAGE_GVA, 0, PROT_READ | PROT_EXEC};
    m->region[REGION_RODATA] = (struct region){h->rodata_gva, h->data_gva - h->rodata_gva,
                                               h->rodata_gva - CELL_IMAGE_GVA, r};
    m->region[REGION_DATA] = (struct region){h->data_gva, page_up(h->end_gva - h->data_gva),
                                             h->data_gva - CELL_IMAGE_GVA, rw};
    /* so does the control area: offset = address - CELL_BOOT_GVA + CONTROL_OFFSET */
    const struct {
        enum region_id id;
        cell_gva gva;
        uint64_t len;
        int prot;
    } control[] = {
        {REGION_BOOT, CELL_BOOT_GVA, PAGE, r},
        {REGION_DOORBELL, CELL_DOORBELL_GVA, CELL_DOORBELL_SIZE, rw},
        {REGION_STACK, CELL_STACK_GVA, CELL_STACK_SIZE, rw},
        {REGION_REQUEST, CELL_REQUEST_GVA, CELL_REQUEST_SIZE, rw},
        {REGION_RECORDS, CELL_RECORDS_GVA, CELL_RECORDS_SIZE, rw},
        {REGION_RESPONSE, CELL_RESPONSE_GVA, CELL_RESPONSE_SIZE, rw},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(control); i++)
        m->region[control[i].id] =
            (struct region){control[i].gva, control[i].len,
                            control[i].gva - CELL_BOOT_GVA + CONTROL_OFFSET, control[i].prot};
    m->region[REGION_ARENA] = (struct region){CELL_ARENA_GVA, arena_bytes, ARENA_OFFSET, rw};
    m->region[REGION_WINDOW] =
        (struct region){CELL_WINDOW_GVA, window_bytes, ARENA_OFFSET + arena_bytes, rw};
    m->len = ARENA_OFFSET + arena_bytes + window_bytes;
    m->entry_kvm = h->entry_kvm;
    m->entry_process = h->entry_process;
}
G_STATIC_ASSERT(CELL_RESPONSE_GVA + CELL_RESPONSE_SIZE - CELL_BOOT_GVA + CONTROL_OFFSET <=
                MEMORY_TABLES_OFFSET);
G_STATIC_ASSERT(CELL_IMAGE_MAX <= CONTROL_OFFSET);

/* Where in the executable's file the bytes at `at` come from; FALSE when they do not. */
static gboolean find_in_executable(const uint8_t *at, uint64_t len, uint64_t *out_offset)
{
    const Elf64_Phdr *headers = (const Elf64_Phdr *)getauxval(AT_PHDR);
    uint64_t nr = getauxval(AT_PHNUM), bias = 0, address = (uint64_t)(uintptr_t)at;

    for (uint64_t i = 0; headers && i < nr; i++)
        if (headers[i].p_type == PT_PHDR)
            bias = (uint64_t)(uintptr_t)headers - headers[i].p_vaddr;
    for (uint64_t i = 0; headers && i < nr; i++) {
        const Elf64_Phdr *h = &headers[i];
        uint64_t start = bias + h->p_vaddr;
        if (h->p_type == PT_LOAD && address >= start && address - start <= h->p_filesz &&
            len <= h->p_filesz - (address - start)) {
            *out_offset = h->p_offset + (address - start);
            return *out_offset % PAGE == 0;
        }
    }
    return FALSE;
}

/* Maps the constant part of the image over the start of the memory, instead of copying it. */
static gboolean map_constants(const struct cell_memory *m, const uint8_t *image, uint64_t len)
{
    uint64_t offset;
    int fd;

    if (len == 0 || len % PAGE != 0 || !find_in_executable(image, len, &offset))
        return FALSE;
    fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FALSE;
    void *at = mmap(m->base, len, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, (off_t)offset);
    (void)close(fd);
    return at != MAP_FAILED;
}

gboolean memory_init(struct cell_memory *m, const uint8_t *image, size_t image_len,
                     uint64_t arena_bytes, uint64_t window_bytes, enum cell_kind_word kind,
                     gboolean shared, GError **error)
{
    struct guest_image_header header;
    memcpy(&header, image, sizeof(header));
    g_assert(header.magic == GUEST_IMAGE_MAGIC);
    g_assert(image_len == header.file_end_gva - CELL_IMAGE_GVA);
    g_assert(header.end_gva - CELL_IMAGE_GVA <= CELL_IMAGE_MAX);

    lay_out(m, &header, arena_bytes, window_bytes);
    m->base = mmap(NULL, m->len, PROT_READ | PROT_WRITE,
                   (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m->base == MAP_FAILED) {
        m->base = NULL;
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP,
                    "Could not reserve %" G_GUINT64_FORMAT " MiB for the sandbox: %s", m->len >> 20,
                    g_strerror(errno));
        return FALSE;
    }
    uint64_t constants = header.data_gva - CELL_IMAGE_GVA;
    m->constants_len = map_constants(m, image, constants) ? constants : 0;
    memcpy(m->base + m->constants_len, image + m->constants_len, image_len - m->constants_len);

    struct cell_boot boot = {.abi_version = CELL_ABI_VERSION,
                             .kind = kind,
                             .arena_bytes = arena_bytes,
                             .window_bytes = window_bytes};
    uint64_t canary;
    if (getrandom(boot.seed, sizeof(boot.seed), 0) != (ssize_t)sizeof(boot.seed) ||
        getrandom(&canary, sizeof(canary), 0) != (ssize_t)sizeof(canary)) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP, "Could not get random numbers: %s",
                    g_strerror(errno));
        memory_clear(m);
        return FALSE;
    }
    canary &= ~0xffull; /* a zero byte first stops string copies */
    memcpy(boot.fs + 0x28, &canary, sizeof(canary));
    memcpy(memory_region(m, REGION_BOOT), &boot, sizeof(boot));
    return TRUE;
}

void memory_clear(struct cell_memory *m)
{
    if (m->base)
        munmap(m->base, m->len);
    m->base = NULL;
}

void *memory_writable(const struct cell_memory *m, cell_gva gva, uint64_t len)
{
    for (unsigned i = 0; i < NR_REGIONS; i++) {
        const struct region *r = &m->region[i];
        if (gva < r->gva || gva - r->gva > r->len)
            continue;
        if (!(r->prot & PROT_WRITE) || len > r->len - (gva - r->gva))
            continue;
        return m->base + r->offset + (gva - r->gva);
    }
    return NULL;
}

void *memory_region(const struct cell_memory *m, enum region_id id)
{
    return m->base + m->region[id].offset;
}

uint64_t memory_touched_pages(const struct cell_memory *m)
{
    uint64_t touched = 0;
    unsigned char seen[4096];
    for (uint64_t at = m->constants_len; at < m->len; at += sizeof(seen) * PAGE) {
        uint64_t len = MIN(m->len - at, sizeof(seen) * PAGE);
        if (mincore(m->base + at, len, seen) != 0)
            return touched;
        for (uint64_t i = 0; i < len / PAGE; i++)
            touched += seen[i] & 1;
    }
    return touched;
}
