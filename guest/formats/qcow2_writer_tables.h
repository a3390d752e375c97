/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a writer: L2 tables at hand and what is still to be reported. Only
 * qcow2_writer*.c include this.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_WRITER_TABLES_H
#define INSTAR_GUEST_FORMATS_QCOW2_WRITER_TABLES_H

#include "guest/formats/qcow2_writer.h"

/* One L2 table at hand. */
struct wtable {
    uint8_t *bytes; /* one cluster, as on disk */
    bool is_new;    /* has no cluster of its own yet: made now, or shared with a snapshot */
    bool zeroed;    /* is_new: what is outside the dirty range is zeros */
    uint32_t dirty_from, dirty_to; /* entries; empty when equal */
};

/* An L2 entry, with the bitmap of extended L2 (0 otherwise). */
struct wentry {
    uint64_t entry;
    uint64_t bitmap;
};

/* Clusters that have a place, and whose data was not reported yet. */
struct wpending {
    uint64_t cluster; /* virtual */
    uint64_t nr;
    struct wentry old; /* what they all had before: what is written until then */
    bool in_place;     /* the old host cluster stays in use */
};

/* A range of a blob that is to read as zeros. */
struct wzero {
    uint32_t blob;
    uint64_t offset, len;
};

struct qcow2_writer {
    struct image_writer base;
    struct node *node;
    struct qcow2 *q;
    struct qcow2_alloc alloc;
    uint32_t blob; /* of the image file */
    bool fresh;
    bool keep_zeros;
    bool has_backing; /* what is not recorded may show something else */

    struct wtable **tables; /* by L1 index, NULL: not at hand */
    uint64_t nr_tables;
    uint64_t table_budget; /* bytes of L2 tables before they are written */
    uint64_t block_budget; /* bytes of refcount blocks */
    uint64_t l1_dirty_from, l1_dirty_to;

    struct wpending *pending;
    uint64_t nr_pending, max_pending;
    struct wzero *zeros;
    uint64_t nr_zeros, max_zeros;

    struct cell_place *queue; /* reported runs that were not looked at yet */
    uint64_t nr_queue, max_queue, at_queue;

    /* compressed runs: bytes after comp_pos of the last cluster are free */
    uint64_t comp_pos;     /* bytes, 0: no such cluster */
    uint64_t comp_sharers; /* compressed runs that touch it */

    uint64_t kept_autoclear; /* bits that stay */
    bool fix_autoclear; /* unknown autoclear bits are set: they must go before the first change */
    bool finishing;
    unsigned phase;
    uint64_t index;
};

static inline struct qcow2_writer *qcow2_writer_of(struct image_writer *writer)
{
    return (struct qcow2_writer *)writer;
}

static inline unsigned wbits(const struct qcow2_writer *w)
{
    return w->q->header.cluster_bits;
}

/*
 * The table that covers a virtual cluster, and its index there.
 *
 * returns: GUEST_ERR_PLAN_CORRUPT for an L1 entry that cannot be; GUEST_ERR_IO, _NO_MEMORY
 */
enum guest_err wtable_get(struct qcow2_writer *w, uint64_t cluster, struct wtable **out,
                          uint32_t *out_index, struct guest_err_detail *detail);

struct wentry wtable_entry(const struct qcow2_writer *w, const struct wtable *table,
                           uint32_t index);

/* Changes an entry; a table that is shared is copied when it is written. */
enum guest_err wtable_set(struct qcow2_writer *w, uint64_t cluster, struct wtable *table,
                          uint32_t index, struct wentry value, struct guest_err_detail *detail);

/* ---- entries, qcow2_writer_entries.c ---- */

/* Gives back what an entry referred to. With a data file the clusters are not counted. */
enum guest_err wentry_release(struct qcow2_writer *w, struct wentry old,
                              struct guest_err_detail *detail);

/* An entry for data of [from, to) of a cluster at host offset `offset`, over what was there. */
struct wentry wentry_of_data(const struct qcow2_writer *w, struct wentry old, uint64_t offset,
                             uint64_t from, uint64_t to);

/* An entry for `len` compressed bytes at host offset `offset`. */
uint64_t wentry_of_compressed(const struct qcow2_writer *w, uint64_t offset, uint32_t len);

/*
 * Whether an entry's host cluster may be written where it is: only this entry refers to it.
 *
 * returns: GUEST_ERR_PLAN_CORRUPT for one that cannot be data
 */
enum guest_err wentry_is_owned(struct qcow2_writer *w, struct wentry old, bool *out,
                               struct guest_err_detail *detail);

/* Checks a run that the host asks for or reports: GUEST_ERR_BAD_REQUEST. */
enum guest_err wrun_check(const struct qcow2_writer *w, const struct cell_place *run,
                          struct guest_err_detail *detail);

/* A run reads as zeros from now on. */
enum guest_err wrun_zero(struct qcow2_writer *w, const struct cell_place *run,
                         struct guest_err_detail *detail);

/* A run lies where it was reported: in leased room, or in the data file at its own offset. */
enum guest_err wrun_leased(struct qcow2_writer *w, const struct cell_place *run,
                           struct guest_err_detail *detail);

static inline uint64_t wrun_end(const struct cell_place *run)
{
    return run->start + run->length;
}

/* ---- placing, qcow2_writer_place.c ---- */

/* image_writer_verbs.place */
enum guest_err wrun_place(struct image_writer *writer, const struct cell_place *in, uint32_t nr,
                          struct cell_place *out, uint32_t max, uint32_t *out_nr,
                          struct guest_err_detail *detail);

/* The data of virtual clusters [first, end) was written: their entries may be. */
enum guest_err wpending_report(struct qcow2_writer *w, uint64_t first, uint64_t end,
                               struct guest_err_detail *detail);

/* The old cluster of what was placed is referred to no more once the new entry is written. */
enum guest_err wpending_settle(struct qcow2_writer *w, const struct wpending *p,
                               struct guest_err_detail *detail);

/* ---- tables and the plan, qcow2_writer_tables.c ---- */

/* Bytes of L2 tables at hand. */
uint64_t wtable_bytes(const struct qcow2_writer *w);

/* Looks at reported runs until tables should be written or none is left. */
enum guest_err wqueue_run(struct qcow2_writer *w, struct guest_err_detail *detail);

extern const struct plan_verbs wplan_verbs;

#endif
