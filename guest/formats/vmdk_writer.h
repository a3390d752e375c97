/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the VMDK writer: vmdk_writer.c finds room and takes reports, vmdk_writer_tables.c
 * keeps the tables, vmdk_writer_plan.c and vmdk_stream.c yield plans.
 *
 * In a sparse extent a grain gets its room at the end of the file with the first run in it. Its
 * table says so only after its data was reported: an entry is first `placed`, then in `file`. In a
 * stream that is made everything follows everything: grains, and the table of each 32 MiB behind
 * them. A stream that exists is appended to, and its tables are changed like those of a sparse
 * extent; see vmdk_stream.c for its ends.
 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_WRITER_H
#define INSTAR_GUEST_FORMATS_VMDK_WRITER_H

#include "guest/formats/vmdk_make.h"
#include "guest/formats/writer.h"
#include "guest/formats/zero_list.h"

/* One grain table. */
struct vmdk_table {
    uint32_t *file;   /* what the file says, or shall say with the next plan */
    uint32_t *placed; /* and what has its room */
    uint64_t at[2];   /* bytes in the file: of the directory, of the redundant one (0: none) */
    bool dirty;
    bool unlisted; /* new: the directories do not name it yet */
};

/* One extent that is written to. */
struct vmdk_target {
    const struct vmdk_extent *extent;
    struct vmdk_table **tables; /* by number; NULL: flat */
    uint64_t end;               /* where the next grain goes, sectors */
};

/* A table of a stream that has its place. */
struct vmdk_emission {
    uint32_t table;
    uint64_t sector; /* of its marker */
};

enum vmdk_stage {
    VMDK_STAGE_START,
    VMDK_STAGE_ZEROS,
    VMDK_STAGE_TABLES,
    VMDK_STAGE_LIST, /* new tables in their directories */
    VMDK_STAGE_EMIT,
    VMDK_STAGE_DIRECTORY,
    VMDK_STAGE_FOOTER,
    VMDK_STAGE_DONE,
};

/* What a stream that is appended to began and ended with, and ends with again. */
struct vmdk_ends {
    bool has_footer;
    uint8_t header[VMDK_SECTOR_BYTES], footer[VMDK_SECTOR_BYTES];
};

struct vmdk_writer {
    struct image_writer base;
    struct vmdk *vmdk;
    const struct node *node;
    bool fresh, has_parent;
    bool stream;           /* fresh, front to back */
    bool append;           /* into a stream that exists */
    bool touched, renewed; /* something is going to be written; the image says so */
    struct vmdk_cid cid;
    struct vmdk_ends ends;
    struct vmdk_target *targets;
    unsigned nr_targets;
    unsigned nr_tables, nr_dirty; /* held in memory; of these, changed */
    struct zero_list zeros;

    /* stream */
    uint32_t last_table; /* the one that grains go to, UINT32_MAX: none yet */
    struct vmdk_emission *emissions;
    uint32_t nr_emissions, room_emissions;
    bool zero_entries; /* some grain is marked as zeros */

    /* of the plan being drained */
    enum vmdk_stage stage;
    bool finishing;
    unsigned target;
    uint64_t at;
    uint64_t directory; /* sector of its marker */
};

static inline uint64_t vmdk_table_sectors(const struct vmdk_extent *e)
{
    return ((uint64_t)e->gtes_per_gt * 4 + VMDK_SECTOR_BYTES - 1) / VMDK_SECTOR_BYTES;
}

/* ---- vmdk_writer_tables.c ---- */

/* The table of a grain, read when it is first needed. */
enum guest_err vmdk_get_table(struct vmdk_writer *w, struct vmdk_target *t, uint64_t number,
                              struct vmdk_table **out, struct guest_err_detail *detail);

/* Gives a stream's table its place behind what is there. */
enum guest_err vmdk_emit_table(struct vmdk_writer *w, uint32_t number,
                               struct guest_err_detail *detail);

/* The place of a table that the directory does not have. */
enum guest_err vmdk_place_table(struct vmdk_target *t, struct vmdk_table *table,
                                struct guest_err_detail *detail);
enum guest_err vmdk_take_room(struct vmdk_target *t, uint64_t sectors, uint32_t *out,
                              struct guest_err_detail *detail);
void vmdk_set_entry(struct vmdk_writer *w, struct vmdk_table *table, uint64_t i, uint32_t entry);
void vmdk_free_table(struct vmdk_writer *w, struct vmdk_table **slot);
void vmdk_drop_tables(struct vmdk_writer *w);

/* An entry of a directory, bytes. */
enum guest_err vmdk_directory_entry(const struct vmdk_extent *e, uint64_t directory,
                                    uint64_t number, uint64_t *out,
                                    struct guest_err_detail *detail);

/* ---- vmdk_stream.c ---- */

/* Reads the ends of a stream that is going to be appended to, and finds where that begins. */
enum guest_err vmdk_stream_open(struct vmdk_writer *w, struct vmdk_extent *e,
                                struct guest_err_detail *detail);
void vmdk_stream_begin(struct vmdk_writer *w, struct plan_sink *sink);
enum guest_err vmdk_yield_emission(struct vmdk_writer *w, struct plan_sink *sink,
                                   struct guest_err_detail *detail);
enum guest_err vmdk_yield_directory(struct vmdk_writer *w, struct plan_sink *sink,
                                    struct guest_err_detail *detail);
void vmdk_yield_footer(struct vmdk_writer *w, struct plan_sink *sink);

/* ---- vmdk_writer_plan.c ---- */

/* Writes a table's entries; the bytes behind them up to the sector's end are zeros. */
void vmdk_store_table(const struct vmdk_table *table, uint64_t nr, uint8_t *out);
enum guest_err vmdk_writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail);

#endif
