/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An opened Parallels image, shared by the parallels_*.c files. The BAT is read a piece at a time.
 */
#ifndef INSTAR_GUEST_FORMATS_PARALLELS_H
#define INSTAR_GUEST_FORMATS_PARALLELS_H

#include "guest/abi/error_parallels.h"
#include "guest/formats/format.h"
#include "guest/formats/parallels_layout.h"
#include "guest/formats/table_window.h"
#include "guest/lib/checked.h"

/* The header, with the specification's names. */
struct parallels_header {
    uint32_t version;
    uint32_t tracks;
    uint32_t nb_bat_entries;
    uint64_t nb_sectors;
    uint32_t in_use;
    uint32_t data_off;
    uint64_t ext_off;
};

/* A dirty bitmap of the format extension; validated. */
struct parallels_bitmap {
    uint8_t id[PARALLELS_BITMAP_ID_BYTES];
    uint32_t granularity; /* bytes */
    uint32_t l1_size;     /* entries */
    uint64_t l1_offset;   /* bytes of the file */
};
#define PARALLELS_BITMAPS_MAX       1024u
#define PARALLELS_BITMAP_NAME_BYTES 36u

struct parallels {
    struct source *source;
    struct parallels_header header;
    bool counts_clusters;  /* the newer magic */
    uint64_t entry_unit;   /* bytes that a BAT entry counts in */
    uint64_t cluster_size; /* bytes */
    uint64_t file_bytes;   /* whole sectors */
    uint64_t data_start;   /* bytes; where clusters begin, whatever the header says */
    bool data_off_ok;      /* the header says so as well */
    struct table_window bat;
    struct parallels_bitmap *bitmaps; /* NULL for who writes */
    uint32_t nr_bitmaps;
};

static inline struct parallels *parallels_of(struct node *node)
{
    return node->state;
}

/* Gives a code of ours back as the common type, with its number recorded. */
static inline enum guest_err parallels_error(struct guest_err_detail *detail,
                                             enum parallels_err code, uint64_t n0)
{
    return err_numbers(detail, (enum guest_err)(int)code, n0, 0, 0, 0);
}

/* Where the BAT of `entries` entries must be behind, bytes; whole clusters with the newer magic. */
uint64_t parallels_data_min(const struct parallels *p, uint64_t entries);

/* BAT entries from `index` on, as bytes; see table_window_get. */
enum guest_err parallels_bat(struct parallels *p, uint64_t index, struct span *out,
                             struct guest_err_detail *detail);

/* Whether a cluster may lie at that offset: behind the BAT, inside the file. */
static inline bool parallels_cluster_ok(const struct parallels *p, uint64_t offset)
{
    return offset >= p->data_start && range_inside_u64(offset, p->cluster_size, p->file_bytes);
}

/*
 * Checks the format extension and takes note of its bitmaps, for an image that has one.
 *
 * out:     p->bitmaps, p->nr_bitmaps
 * returns: PARALLELS_ERR_EXT_*, PARALLELS_ERR_BITMAP_*; GUEST_ERR_TOO_MUCH_WORK; GUEST_ERR_IO
 * bound:   one cluster of at most 64 MiB, of memory and of reading
 */
enum guest_err parallels_read_extension(struct parallels *p, struct guest_err_detail *detail);

/*
 * Lets an image that is changed go without its extension: a write to the header and a barrier, or
 * nothing where there is none.
 */
struct op_list;
enum guest_err parallels_drop_extension(const struct parallels *p, struct op_list *list,
                                        struct guest_err_detail *detail);

/*
 * The name of a bitmap.
 *
 * in:      id: PARALLELS_BITMAP_ID_BYTES
 * out:     out: PARALLELS_BITMAP_NAME_BYTES, no NUL
 */
void parallels_bitmap_name(const uint8_t *id, uint8_t *out);

/* parallels_bitmap.c */
enum guest_err parallels_info(struct node *node, Abi__InfoReply *reply,
                              struct guest_err_detail *detail);
enum guest_err parallels_bitmap_read(struct node *node, const Abi__BitmapReadRequest *request,
                                     uint8_t *buf, struct guest_err_detail *detail);

/* parallels_check.c */
enum guest_err parallels_check(struct node *node, const Abi__CheckRequest *request,
                               struct finding_sink *findings, Abi__CheckReply *reply,
                               struct guest_err_detail *detail);

/* parallels_create.c */
enum guest_err parallels_create(const Abi__CreateRequest *request, struct plan **out,
                                struct guest_err_detail *detail);

/* parallels_writer.c */
enum guest_err parallels_writer_open(struct node *node, const struct image_writer_options *options,
                                     struct image_writer **out, struct guest_err_detail *detail);

/* parallels_resize.c */
enum guest_err parallels_resize(struct node *node, const Abi__ResizeRequest *request,
                                struct plan **out, struct guest_err_detail *detail);

#endif
