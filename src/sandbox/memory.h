/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that a cell shares with the host: one mapping on the host, cut into regions that the
 * guest sees at the addresses of guest/abi/hypercall.h.
 *
 * Here stands the only function that turns a guest address into a host pointer.
 */
#ifndef INSTAR_SRC_SANDBOX_MEMORY_H
#define INSTAR_SRC_SANDBOX_MEMORY_H

#include <glib.h>

#include "guest/abi/hypercall.h"

enum region_id {
    REGION_TEXT,
    REGION_RODATA,
    REGION_DATA,
    REGION_BOOT,
    REGION_DOORBELL,
    REGION_STACK,
    REGION_REQUEST,
    REGION_RECORDS,
    REGION_RESPONSE,
    REGION_ARENA,
    REGION_WINDOW,
    NR_REGIONS,
};

struct region {
    cell_gva gva;
    uint64_t len;    /* bytes, whole pages */
    uint64_t offset; /* in the host mapping; also the guest-physical address in a kvm cell */
    int prot;        /* PROT_READ | PROT_WRITE | PROT_EXEC, as the guest gets it */
};

/* Where page tables go in a kvm cell: physical pages that no virtual address maps. */
#define MEMORY_TABLES_OFFSET 0x02000000ull
#define MEMORY_TABLES_SIZE   0x00200000ull

struct cell_memory {
    uint8_t *base;
    uint64_t len;           /* bytes of the whole mapping */
    uint64_t constants_len; /* bytes at its start that are a file's, shared by all cells */
    struct region region[NR_REGIONS];
    cell_gva entry_kvm;
    cell_gva entry_process;
};

/*
 * Maps the memory, lays the guest image out and fills the boot page with a fresh canary.
 *
 * in:      image: the flat guest image; shared: for a child process (else private)
 * returns: FALSE with CELL_ERROR_SETUP
 */
gboolean memory_init(struct cell_memory *memory, const uint8_t *image, size_t image_len,
                     uint64_t arena_bytes, uint64_t window_bytes, enum cell_kind_word kind,
                     gboolean shared, GError **error);
void memory_clear(struct cell_memory *memory);

/*
 * The host's pointer to [gva, gva + len), if the guest may write all of it.
 *
 * returns: NULL unless the range lies inside one writable region
 */
void *memory_writable(const struct cell_memory *memory, cell_gva gva, uint64_t len);

/* The host's pointer to a whole region. */
void *memory_region(const struct cell_memory *memory, enum region_id id);

/* Pages of its own that have been touched so far, for INSTAR_TRACE. */
uint64_t memory_touched_pages(const struct cell_memory *memory);

#endif
