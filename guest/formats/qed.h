/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An opened QED image, shared by the qed_*.c files.
 *
 * Only the header stays in memory; tables are read a piece at a time. All fields are decoded and
 * validated: shifts, divisors and table sizes are safe to use.
 */
#ifndef INSTAR_GUEST_FORMATS_QED_H
#define INSTAR_GUEST_FORMATS_QED_H

#include "guest/abi/error_qed.h"
#include "guest/formats/format.h"
#include "guest/formats/qed_layout.h"
#include "guest/formats/table_window.h"
#include "guest/lib/checked.h"

/* The header, with the specification's names. */
struct qed_header {
    uint32_t magic;
    uint32_t cluster_size;
    uint32_t table_size;
    uint32_t header_size;
    uint64_t features;
    uint64_t compat_features;
    uint64_t autoclear_features;
    uint64_t l1_table_offset;
    uint64_t image_size;
    uint32_t backing_filename_offset;
    uint32_t backing_filename_size;
};

struct qed {
    struct source *source;
    struct qed_header header;
    uint64_t file_bytes;    /* of the file, whole clusters: a cut one does not count */
    uint64_t table_entries; /* of any table */
    uint64_t table_bytes;
    uint32_t cluster_bits;
    uint32_t l1_shift; /* bits of a disk offset that one L1 entry covers */
    struct table_window l1;
    struct table_window l2;
};

static inline struct qed *qed_of(struct node *node)
{
    return node->state;
}

/* Gives a code of ours back as the common type, with its number recorded. */
static inline enum guest_err qed_error(struct guest_err_detail *detail, enum qed_err code,
                                       uint64_t n0)
{
    return err_numbers(detail, (enum guest_err)(int)code, n0, 0, 0, 0);
}

/* Whether a cluster may lie there: behind the header, inside the file, on a boundary. */
bool qed_cluster_ok(const struct qed *q, uint64_t offset);

/*
 * The same for a table. A table of a single cluster is never right: stock takes no such image, and
 * so no such image is in use.
 */
bool qed_table_ok(const struct qed *q, uint64_t offset);

/*
 * The largest disk that tables of that geometry cover, in bytes; as stock counts it, which is 0
 * when 2^64 is reached.
 */
uint64_t qed_max_image_size(uint64_t cluster_size, uint64_t table_size);

/* Whether sizes are ones that the format knows. */
bool qed_cluster_size_ok(uint64_t cluster_size);
bool qed_table_size_ok(uint64_t table_size);

/* Entries of a table from `index` on, as bytes; see table_window_get. */
enum guest_err qed_entries(struct qed *q, struct table_window *window, uint64_t table_offset,
                           uint64_t index, struct span *out, struct guest_err_detail *detail);

/* qed_map.c */
enum guest_err qed_map(struct node *node, uint64_t start, uint64_t length, struct layer_extent *out,
                       struct guest_err_detail *detail);

/* qed_check.c */
enum guest_err qed_check(struct node *node, const Abi__CheckRequest *request,
                         struct finding_sink *findings, Abi__CheckReply *reply,
                         struct guest_err_detail *detail);

/* qed_create.c */
enum guest_err qed_create(const Abi__CreateRequest *request, struct plan **out,
                          struct guest_err_detail *detail);

/* The header's fields as they are in the file: QED_HEADER_BYTES. */
void qed_encode_header(const struct qed_header *h, uint8_t *at);

/* qed_backing.c */
enum guest_err qed_change_backing(struct node *node, const Abi__BackingRequest *request,
                                  struct plan **out, struct guest_err_detail *detail);

/* qed_writer.c */
enum guest_err qed_writer_open(struct node *node, const struct image_writer_options *options,
                               struct image_writer **out, struct guest_err_detail *detail);

/*
 * Whether an image may be changed: one that was not closed must have sound tables.
 *
 * returns: GUEST_ERR_PLAN_DIRTY; what reading the tables gives
 */
enum guest_err qed_check_writable(struct qed *q, struct guest_err_detail *detail);

/* qed_resize.c */
enum guest_err qed_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                          struct guest_err_detail *detail);

#endif
