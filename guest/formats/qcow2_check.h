/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a check of one image, shared by the qcow2_check*.c files.
 *
 * Two passes: qcow2_check_count.c walks everything that refers to clusters and counts how often;
 * qcow2_check_compare.c compares the counts with the refcounts on disk, and then looks at the
 * COPIED flags, which say that a refcount is 1. Counters hold what is counted until the comparison
 * that settles them: afterwards they are the refcounts as they are, or will be.
 *
 * A check that repairs decides everything in memory: refcounts become the counters, new refcount
 * structures are given places (qcow2_check_rebuild.c), the snapshot table is made anew. What has
 * to be written is the plan that it leaves behind (qcow2_repair.h).
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_CHECK_H
#define INSTAR_GUEST_FORMATS_QCOW2_CHECK_H

#include "guest/formats/qcow2.h"
#include "guest/formats/qcow2_counts.h"

struct qcow2_repair;

/* Differences between refcounts and counts that a comparison repairs. */
enum qcow2_mend {
    QCOW2_MEND_LEAKS = 1,
    QCOW2_MEND_ERRORS = 2,
};

struct qcow2_check {
    struct qcow2 *q;
    struct finding_sink *findings;
    Abi__CheckReply *reply;
    struct guest_err_detail *detail;

    struct qcow2_counts counts; /* references; once settled, refcounts */
    struct qcow2_counts disk;   /* pages: what rebuilt refcount blocks say; else they are read */
    uint64_t file_bytes;        /* the file's length in whole sectors */
    uint64_t nr_clusters;       /* of the file; one more when a table reaches past its end */
    uint64_t refcount_max;      /* what a refcount of this width can say */
    uint64_t *reftable;         /* decoded, not masked */
    uint64_t reftable_entries;
    uint8_t *bad_blocks;    /* one byte for each refcount block that cannot be read; NULL: none */
    uint64_t nr_bad_blocks; /* length of the array */
    bool event_reported;    /* the first unaligned refcount block was */
    bool shared;            /* something is referred to more than once */
    uint8_t *unflagged;     /* a bit for each L1 entry: its table lacks a COPIED flag */
    bool past_end;          /* something lies past the end, hence is not counted */
    struct qcow2_counts mended; /* not 0: a shared L2 table that has its flags already */
    uint64_t work_left;         /* L2 entries that may still be looked at */

    struct qcow2_repair *repair; /* NULL: the check only looks */
    unsigned fix;                /* enum qcow2_mend: what may be repaired at all */
    unsigned mend;               /* enum qcow2_mend: what this comparison repairs */
    bool counting_fixes;         /* entries that make no sense are repaired while counting */
    bool zeros_fixed;            /* they were, in an earlier count */
    bool settling;               /* this comparison settles the counters */
    bool all_once;               /* and nothing is amiss: flags that are set are right */
    bool rebuild;                /* the refcount structures are beyond repair */
};

/* Reports a finding. */
void qcow2_check_found(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                       uint64_t n2);

/* Reports a finding that is a corruption. */
void qcow2_check_corrupt(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                         uint64_t n2);

/* Reports a corruption that is being repaired. */
void qcow2_check_mended(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                        uint64_t n2);

/* Reports a finding whose line starts with the program's name. */
void qcow2_check_prefixed(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0);

/*
 * Counts all references.
 *
 * returns: GUEST_ERR_NO_MEMORY, GUEST_ERR_TOO_MUCH_WORK, GUEST_ERR_INVALID, GUEST_ERR_IO: the check
 *          cannot go on
 * bound:   all tables once for each L1 table that reaches them, at most work_left L2 entries
 */
enum guest_err qcow2_check_count(struct qcow2_check *c);

/* Counts a reference to each cluster of [offset, offset + size). */
enum guest_err qcow2_check_count_range(struct qcow2_check *c, uint64_t offset, uint64_t size);

/*
 * Compares counts with refcounts; with c->settling the latter, as far as they are not repaired,
 * replace the former.
 *
 * out:     *out_highest: the last cluster that has either
 */
enum guest_err qcow2_check_compare(struct qcow2_check *c, uint64_t *out_highest);

/* Announces a refcount block in an impossible place, the first time. */
void qcow2_check_event(struct qcow2_check *c, uint64_t offset, uint64_t index);

/*
 * Looks at the COPIED flags of the active L1 table and its L2 tables, and sets them right where
 * that may be done.
 *
 * returns: GUEST_ERR_IO also when a table that is to be written lies over other metadata
 */
enum guest_err qcow2_check_copied(struct qcow2_check *c);

/* An L2 entry whose COPIED flag tells the truth, once the counters are settled. */
struct qcow2_l2_entry qcow2_check_copied_entry(struct qcow2_check *c, struct qcow2_l2_entry e);

/* What a cluster without data that lies askew is repaired to: zeros, without a cluster. */
bool qcow2_check_is_askew_zero(const struct qcow2_check *c, struct qcow2_l2_entry e);
struct qcow2_l2_entry qcow2_check_plain_zero(const struct qcow2_check *c);

/*
 * Gives the image new refcount structures, then counts and settles again.
 *
 * returns: GUEST_ERR_IO when there is no place for them that is surely free
 */
enum guest_err qcow2_check_rebuild(struct qcow2_check *c, uint64_t *out_highest);

/*
 * Finds room for new refcount blocks and a table that count everything counted, and counts them.
 *
 * out:     c->reftable, of the image as it will be
 */
enum guest_err qcow2_check_place_refcounts(struct qcow2_check *c);

/*
 * Whether [offset, offset + size) is free of metadata as far as the header and the tables say,
 * counted or not. If not, the finding is reported and the image will be marked corrupt.
 *
 * in:      own: the structure that is written, which may lie there: QCOW2_FOUND_OVERLAP_L1 or _L2;
 *          0: none
 */
bool qcow2_check_may_write(struct qcow2_check *c, uint64_t offset, uint64_t size,
                           enum qcow2_finding own);

/*
 * Reads the snapshot table and looks at its entries; what a repair leaves out is left out of
 * q->snapshots.
 *
 * returns: GUEST_ERR_FILE_TOO_LARGE, GUEST_ERR_INVALID: no check without the table
 */
enum guest_err qcow2_check_snapshots(struct qcow2_check *c);

/* Makes the repaired snapshot table and gives it a place; nothing when it needs no repair. */
enum guest_err qcow2_check_mend_snapshots(struct qcow2_check *c);

#endif
