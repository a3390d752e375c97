/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to images of formats that say by tables where each block of the disk is, and that find
 * room at the end of the file: QED, qcow and Parallels. A format describes its tables; all else is
 * done here.
 *
 * There is one table of blocks, or a table of equal tables of blocks. Nothing counts what is in
 * use, so room is only ever taken, never given back.
 *
 * A fresh image leases room ahead of use. Any other places run by run: a block that is there is
 * written where it is.
 *
 * Tables change in memory. When they take too much of it, and at the end, they leave as a plan:
 *
 *   1 what the format must say before anything changes, barrier
 *   2 file size, zeroed blocks, new tables as zeros, barrier    data is durable now
 *   3 entries of blocks, barrier
 *   4 entries of new tables, barrier
 *   5 what the format has to say at the end
 *
 * An entry is not written before the data it refers to was reported.
 */
#ifndef INSTAR_GUEST_FORMATS_TABLE_WRITER_H
#define INSTAR_GUEST_FORMATS_TABLE_WRITER_H

#include "guest/formats/format.h"

enum table_entry_kind {
    TABLE_ENTRY_ABSENT,
    TABLE_ENTRY_ZERO,
    TABLE_ENTRY_DATA,
    TABLE_ENTRY_COMPRESSED,
    TABLE_ENTRY_BAD,
};

/* What a format says. Entries are as in the file, but in the machine's byte order. */
struct table_format {
    uint32_t entry_bytes; /* of a block's entry, 4 or 8; of a table's, 8 */
    bool big_endian;
    bool has_zero_entry;
    uint64_t zero_entry;

    /* What an entry says, and where its data is if it has any. */
    enum table_entry_kind (*look)(const void *image, uint64_t entry, uint64_t *out_offset);
    /* The entry of a block at that offset. */
    uint64_t (*data_entry)(const void *image, uint64_t offset);
    /* The entry of `len` compressed bytes; NULL: there are none in this format. */
    uint64_t (*compressed_entry)(const void *image, uint64_t offset, uint32_t len);
    /*
     * Ops before the first change and after the last, at most TABLE_FORMAT_OPS of them with 512
     * bytes in all; may be NULL.
     *
     * in:      end: of the file in bytes when the plan is done; last: no other plan follows
     */
    void (*before)(void *image, struct plan_sink *sink);
    void (*after)(void *image, struct plan_sink *sink, uint64_t end, bool last);
};
#define TABLE_FORMAT_OPS   4u
#define TABLE_FORMAT_BYTES 512u

/* One image. */
struct table_image {
    const struct table_format *format;
    void *image; /* for the format's verbs */
    struct source *source;
    bool has_backing;
    bool encrypted; /* blocks of zeros are written as others are */
    uint64_t disk_bytes;
    uint64_t block_bytes; /* of the disk, for each entry */
    uint64_t block_align; /* of a block in the file, bytes, a power of two or block_bytes */
    uint64_t block_base;  /* where counting in block_align starts */
    uint64_t table_entries;
    uint64_t table_align; /* of a new table, bytes, a power of two */
    uint64_t nr_tables;
    uint64_t *tables;   /* where each is, 0: not yet; from malloc, the writer's from then on */
    uint64_t l1_offset; /* of the table of tables, bytes; 0: there is none */
    uint64_t end;       /* first byte of the file that is free, all behind it is as well */
};

/*
 * Makes a writer.
 *
 * in:      image: sound, as far as it was checked when it was opened; copied
 * out:     *out; on failure image->tables is still the caller's
 * returns: GUEST_ERR_NO_MEMORY; GUEST_ERR_NOT_SUPPORTED where blocks are too large to be written
 *          whole and a backing file would be hidden by the rest
 */
enum guest_err table_writer_new(const struct table_image *image,
                                const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail);

#endif
