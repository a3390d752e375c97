/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of a check of one image, shared by the qcow2_check*.c files.
 *
 * Two passes: qcow2_check_count.c walks everything that refers to clusters and counts how often;
 * qcow2_check_compare.c compares the counts with the refcounts on disk, which replace the counts,
 * and then looks at the COPIED flags, which say that a refcount is 1.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_CHECK_H
#define INSTAR_GUEST_FORMATS_QCOW2_CHECK_H

#include "guest/formats/qcow2.h"
#include "guest/formats/qcow2_counts.h"

struct qcow2_check {
    struct qcow2 *q;
    struct finding_sink *findings;
    Abi__CheckReply *reply;
    struct guest_err_detail *detail;

    struct qcow2_counts counts; /* references; after the comparison, refcounts on disk */
    uint64_t file_bytes;        /* the file's length in whole sectors */
    uint64_t nr_clusters;       /* of the file; one more when a table reaches past its end */
    uint64_t refcount_max;      /* what a refcount of this width can say */
    uint64_t *reftable;         /* decoded, not masked */
    uint64_t reftable_entries;
    uint8_t *bad_blocks;    /* one byte for each refcount block that cannot be read; NULL: none */
    uint64_t nr_bad_blocks; /* length of the array */
    bool event_reported;    /* the first unaligned refcount block was */
    uint64_t work_left;     /* L2 entries that may still be looked at */
};

/* Reports a finding. */
void qcow2_check_found(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                       uint64_t n2);

/* Reports a finding that is a corruption. */
void qcow2_check_corrupt(struct qcow2_check *c, enum qcow2_finding code, uint64_t n0, uint64_t n1,
                         uint64_t n2);

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
 * Compares counts with refcounts and leaves the latter in c->counts.
 *
 * out:     *out_highest: the last cluster that has either
 */
enum guest_err qcow2_check_compare(struct qcow2_check *c, uint64_t *out_highest);

/* Looks at the COPIED flags of the active L1 table and its L2 tables. */
enum guest_err qcow2_check_copied(struct qcow2_check *c);

#endif
