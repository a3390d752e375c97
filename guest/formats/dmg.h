/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dmg image in memory, shared by the dmg*.c files.
 */
#ifndef INSTAR_GUEST_FORMATS_DMG_H
#define INSTAR_GUEST_FORMATS_DMG_H

#include "guest/abi/error_dmg.h"
#include "guest/formats/dmg_layout.h"
#include "guest/formats/format.h"

struct dmg_chunk {
    uint64_t sector, sector_count; /* of the disk */
    uint64_t offset, length;       /* bytes of the file */
    uint32_t type;
};

struct dmg {
    struct source *source;
    uint64_t data_fork_offset;
    struct dmg_chunk *chunks; /* as they come, which is the order of the disk in sound images */
    uint32_t nr_chunks, max_chunks;
    uint32_t unknown_type; /* of the first chunk that nobody knows */
    bool has_unknown;
};

/* Damage that stock has no words for. */
static inline enum guest_err dmg_invalid(struct guest_err_detail *detail)
{
    return err_numbers(detail, (enum guest_err)DMG_ERR_INVALID, 0, 0, 0, 0);
}

/* A block table that comes byte by byte. */
struct dmg_table {
    struct dmg *dmg;
    uint8_t bytes[DMG_TABLE_BYTES]; /* of the head, then of a chunk */
    uint32_t nr_bytes;
    bool in_chunks; /* the head is complete */
    bool ignored;   /* it is no block table */
    uint64_t first_sector, data_offset;
};

static inline void dmg_table_start(struct dmg_table *table, struct dmg *dmg)
{
    *table = (struct dmg_table){.dmg = dmg};
}

/*
 * Takes the next bytes of a block table; its chunks are added to those of the image.
 *
 * returns: DMG_ERR_SECTORS, DMG_ERR_LENGTH, GUEST_ERR_NO_MEMORY
 */
enum guest_err dmg_table_add(struct dmg_table *table, struct span bytes,
                             struct guest_err_detail *detail);

/*
 * Reads every block table of the property list at [offset, offset + length).
 *
 * returns: DMG_ERR_INVALID when the list is too long or a table has no end; as dmg_table_add
 * bound:   DMG_XML_LENGTH_MAX bytes of memory and work
 */
enum guest_err dmg_read_list(struct dmg *dmg, uint64_t offset, uint64_t length,
                             struct guest_err_detail *detail);

/* Reads every block table of the resource fork there; as dmg_read_list, bound by its length. */
enum guest_err dmg_read_resources(struct dmg *dmg, uint64_t offset, uint64_t length,
                                  struct guest_err_detail *detail);

#endif
