/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the VMDK writer: vmdk_writer.c finds room and takes reports, vmdk_writer_plan.c
 * yields plans.
 *
 * In a sparse extent a grain gets its room at the end of the file with the first run in it. Its
 * table says so only after its data was reported: an entry is first `placed`, then in `file`. In a
 * stream everything follows everything: grains, and the table of each 32 MiB behind them.
 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_WRITER_H
#define INSTAR_GUEST_FORMATS_VMDK_WRITER_H

#include "guest/formats/vmdk_make.h"
#include "guest/formats/writer.h"

/* One grain table. */
struct vmdk_table {
    uint32_t *file;   /* what the file says, or shall say with the next plan */
    uint32_t *placed; /* and what has its room */
    uint64_t at[2];   /* bytes in the file: of the directory, of the redundant one (0: none) */
    bool dirty;
};

/* One extent that is written to. */
struct vmdk_target {
    const struct vmdk_extent *extent;
    struct vmdk_table **tables; /* by number; NULL: flat */
    uint64_t end;               /* where the next grain goes, sectors */
};

struct vmdk_zeros {
    uint32_t blob;
    uint64_t offset, length; /* bytes */
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
    VMDK_STAGE_EMIT,
    VMDK_STAGE_DIRECTORY,
    VMDK_STAGE_FOOTER,
    VMDK_STAGE_DONE,
};

struct vmdk_writer {
    struct image_writer base;
    struct vmdk *vmdk;
    bool fresh, stream, has_parent;
    struct vmdk_target *targets;
    unsigned nr_targets;
    unsigned nr_tables, nr_dirty; /* held in memory; of these, changed */
    struct vmdk_zeros *zeros;
    uint32_t nr_zeros, room_zeros;

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

/* The table of a grain, read when it is first needed. */
enum guest_err vmdk_get_table(struct vmdk_writer *w, struct vmdk_target *t, uint64_t number,
                              struct vmdk_table **out, struct guest_err_detail *detail);

/* Gives a stream's table its place behind what is there. */
enum guest_err vmdk_emit_table(struct vmdk_writer *w, uint32_t number,
                               struct guest_err_detail *detail);

enum guest_err vmdk_writer_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                struct guest_err_detail *detail);

#endif
