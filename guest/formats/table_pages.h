/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of a writer's tables in memory: what has been changed, what may be written.
 */
#ifndef INSTAR_GUEST_FORMATS_TABLE_PAGES_H
#define INSTAR_GUEST_FORMATS_TABLE_PAGES_H

#include "guest/formats/table_writer.h"

#define TABLE_PAGE_BYTES (32u << 10)

/*
 * A part of one table. `bytes` may be written; `placed`, if it is there, is the same but for
 * entries whose data was not reported yet.
 */
struct table_page {
    uint8_t *bytes;
    uint8_t *placed;
    uint32_t len;  /* bytes */
    uint32_t from; /* [from, to): bytes that differ from the file; from == to: none */
    uint32_t to;
};

struct table_pages {
    struct table_image image;
    struct table_page **pages; /* nr_tables * pages_per_table; NULL: not in memory */
    uint64_t pages_per_table;
    uint64_t page_entries; /* of a page that is not the last of its table */
    uint64_t used_bytes;
};

bool table_pages_init(struct table_pages *p, const struct table_image *image);
void table_pages_clear(struct table_pages *p);

static inline uint64_t table_pages_count(const struct table_pages *p)
{
    return p->image.nr_tables * p->pages_per_table;
}

/* Where a page is in the file; 0: its table has no place yet. */
uint64_t table_page_offset(const struct table_pages *p, uint64_t page);

/* The entry of a block as placed. */
enum guest_err table_pages_get(struct table_pages *p, uint64_t block, uint64_t *out_entry,
                               struct guest_err_detail *detail);

/* Sets an entry whose data is there: it may be written. */
enum guest_err table_pages_set(struct table_pages *p, uint64_t block, uint64_t entry,
                               struct guest_err_detail *detail);

/* Sets an entry whose data will come. */
enum guest_err table_pages_place(struct table_pages *p, uint64_t block, uint64_t entry,
                                 struct guest_err_detail *detail);

/* The data of a placed block is there. */
enum guest_err table_pages_confirm(struct table_pages *p, uint64_t block,
                                   struct guest_err_detail *detail);

/* Confirms all that is placed. */
void table_pages_confirm_all(struct table_pages *p);

/* Takes every page as written, and forgets those that hold nothing else. */
void table_pages_written(struct table_pages *p);

#endif
