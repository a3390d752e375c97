/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An opened qcow2 image, shared by the qcow2_*.c files.
 *
 * Only the header and the active L1 table stay in memory; everything else is read when asked for.
 * All fields are decoded and validated: shifts, divisors and table sizes are safe to use.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_H
#define INSTAR_GUEST_FORMATS_QCOW2_H

#include "guest/abi/error_qcow2.h"
#include "guest/formats/format.h"
#include "guest/formats/qcow2_layout.h"

/* The header, with the specification's names; version 2 has version 3's defaults. */
struct qcow2_header {
    uint32_t magic;
    uint32_t version;
    uint64_t backing_file_offset;
    uint32_t backing_file_size;
    uint32_t cluster_bits;
    uint64_t size;
    uint32_t crypt_method;
    uint32_t l1_size;
    uint64_t l1_table_offset;
    uint64_t refcount_table_offset;
    uint32_t refcount_table_clusters;
    uint32_t nb_snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible_features;
    uint64_t compatible_features;
    uint64_t autoclear_features;
    uint32_t refcount_order;
    uint32_t header_length;
    uint8_t compression_type;
};

/* What the header extensions say. Spans are copies, owned by the image. */
struct qcow2_extensions {
    bool has_backing_format;
    struct span backing_format;
    bool has_data_file;
    struct span data_file;
    bool has_crypto;
    uint64_t crypto_offset;
    uint64_t crypto_length;
    bool has_bitmaps;
    uint32_t nb_bitmaps;
    uint64_t bitmap_directory_offset;
    uint64_t bitmap_directory_size;
    /* The bitmaps extension is there, but the autoclear bit is not: all bitmaps are stale. */
    bool bitmaps_stale;
};

/* One internal snapshot. Names are copies, owned by the table. */
struct qcow2_snapshot {
    uint64_t l1_table_offset;
    uint32_t l1_size;
    struct span id_str;
    struct span name;
    uint32_t date_sec;
    uint32_t date_nsec;
    uint64_t vm_clock_nsec;
    uint64_t vm_state_size;
    uint64_t disk_size;
    bool has_icount;
    uint64_t icount;
    uint32_t extra_data_size;
};

/* One bitmap of the directory. */
struct qcow2_bitmap {
    uint64_t table_offset;
    uint32_t table_size; /* entries */
    uint32_t flags;
    uint8_t granularity_bits;
    struct span name;
};

/*
 * A walk over the L2 tables of one L1 table. Tables that follow each other in it are read together,
 * the more the longer the walk goes in order.
 */
#define QCOW2_WINDOW_BYTES_MAX  (1ull << 20)
#define QCOW2_WINDOW_TABLES_MAX 64u

struct qcow2_l2_window {
    const uint64_t *l1;                      /* decoded; borrowed */
    uint64_t l1_size;                        /* entries */
    uint8_t *bytes;                          /* nr_tables tables, in L1 order */
    uint64_t capacity;                       /* bytes */
    uint64_t index[QCOW2_WINDOW_TABLES_MAX]; /* the L1 index of each, ascending */
    uint32_t nr_tables;                      /* 0: nothing is loaded */
    uint32_t last_used;                      /* the table that was asked for last */
    uint64_t walked;                         /* tables loaded since access goes on in order */
};

struct luks_header;

struct qcow2 {
    struct source *source;
    struct qcow2_header header;
    struct qcow2_extensions ext;

    uint64_t cluster_size; /* bytes */
    bool extended_l2;
    bool has_data_file;       /* the feature bit; the node may not be linked yet */
    uint32_t l2_entry_bytes;  /* 8 or 16 */
    uint32_t l2_entries;      /* of one L2 table, which fills a cluster */
    uint32_t l1_shift;        /* bits of a guest offset that one L1 entry covers */
    uint32_t subclusters;     /* of a cluster: 1 or 32 */
    uint32_t subcluster_bits; /* log2 of a subcluster's bytes */
    uint32_t compressed_x;    /* bits of the offset in a compressed L2 entry */
    uint32_t refcount_bits;
    uint32_t refblock_entries_bits; /* log2 of the refcounts in one block */

    uint64_t *l1;     /* the L1 table in force, decoded */
    uint64_t l1_size; /* entries */

    struct luks_header *luks; /* crypt_method LUKS */
    struct crypto_spec aes;   /* crypt_method AES, with a key */

    struct qcow2_snapshot *snapshots;
    uint32_t nr_snapshots;
    uint64_t snapshots_bytes; /* length of the snapshot table */

    struct qcow2_bitmap *bitmaps;
    uint32_t nr_bitmaps;

    struct qcow2_l2_window window;
    bool event_announced;     /* the first corruption event was */
    bool preallocation_known; /* whether the next is valid */
    bool preallocated; /* metadata seems preallocated: data extents may be holes of the file */
};

/* The driver's state of a node that is known to be qcow2. */
static inline struct qcow2 *qcow2_of(struct node *node)
{
    return node->state;
}

/* The size of the disk: whole sectors. */
static inline uint64_t qcow2_virtual_size(const struct qcow2 *q)
{
    return q->header.size & ~(uint64_t)(QCOW2_SECTOR_BYTES - 1);
}

/* Gives a code of ours back as the common type, with its numbers recorded. */
static inline enum guest_err qcow2_error_numbers(struct guest_err_detail *detail,
                                                 enum qcow2_err code, uint64_t n0, uint64_t n1,
                                                 uint64_t n2)
{
    return err_numbers(detail, (enum guest_err)(int)code, n0, n1, n2, 0);
}

static inline enum guest_err qcow2_error(struct guest_err_detail *detail, enum qcow2_err code)
{
    return qcow2_error_numbers(detail, code, 0, 0, 0);
}

/*
 * Gives a corruption event back. An image announces its first event only; after that reading fails
 * with EIO alone.
 */
static inline enum guest_err qcow2_event(struct qcow2 *q, struct guest_err_detail *detail,
                                         enum qcow2_err code, uint64_t n0, uint64_t n1, uint64_t n2)
{
    if (q->event_announced)
        return err_numbers(detail, GUEST_ERR_IO, QCOW2_EIO, 0, 0, 0);
    q->event_announced = true;
    return qcow2_error_numbers(detail, code, n0, n1, n2);
}

/* qcow2_header.c */

/*
 * Reads the header and checks it, rule by rule in stock's order, up to the tables.
 *
 * out:     *out; header and the geometry derived from it
 * returns: QCOW2_ERR_*; GUEST_ERR_IO
 */
enum guest_err qcow2_read_header(struct source *source, const Abi__OpenRequest *request,
                                 struct qcow2 *out, struct guest_err_detail *detail);

/*
 * Whether a table lies where it may: at most `max_bytes` long, on a cluster boundary, its end
 * below 2^63.
 *
 * in:      large, misplaced: the codes for the two ways to be wrong
 */
enum guest_err qcow2_check_table(const struct qcow2 *q, uint64_t offset, uint64_t entries,
                                 uint64_t entry_bytes, uint64_t max_bytes, enum qcow2_err large,
                                 enum qcow2_err misplaced, struct guest_err_detail *detail);

/*
 * Reads a table of the image; past the end of the file it reads as zeros.
 *
 * returns: GUEST_ERR_IO also for a place that no file of qemu's reaches
 */
enum guest_err qcow2_read(const struct qcow2 *q, uint64_t offset, uint64_t len, void *buf,
                          struct guest_err_detail *detail);

/*
 * Reads an L1 table into memory of its own, decoded. Past the end of the file it reads as zeros.
 */
enum guest_err qcow2_read_l1(const struct qcow2 *q, uint64_t offset, uint64_t entries,
                             uint64_t **out, struct guest_err_detail *detail);

/* qcow2_extensions.c */

/*
 * Reads the header extensions.
 *
 * bound:   one cluster of extensions
 */
enum guest_err qcow2_read_extensions(struct qcow2 *q, struct guest_err_detail *detail);

/*
 * Names the unknown incompatible features, from the image's feature name table if it has one.
 *
 * returns: QCOW2_ERR_FEATURES_*
 */
enum guest_err qcow2_name_features(struct qcow2 *q, uint64_t unknown,
                                   struct guest_err_detail *detail);

/* qcow2_crypt.c */

/* Compares the encryption with what the user says it is. */
enum guest_err qcow2_check_encrypt_format(const struct qcow2 *q, const Abi__OpenRequest *request,
                                          struct guest_err_detail *detail);

/*
 * Reads the LUKS header of an image that has one, and unlocks it unless no data will be looked at.
 */
enum guest_err qcow2_open_luks(struct node *node, const Abi__OpenRequest *request,
                               struct guest_err_detail *detail);

/* Takes the key of an image with the old encryption. */
enum guest_err qcow2_open_aes(struct node *node, const Abi__OpenRequest *request,
                              struct guest_err_detail *detail);
void qcow2_close_crypt(struct qcow2 *q);

/* qcow2_l2.c */

enum guest_err qcow2_map(struct node *node, uint64_t start, uint64_t length,
                         struct layer_extent *out, struct guest_err_detail *detail);

/*
 * Gives the bytes of the L2 table that an L1 entry names. Bytes past the end of the file are zero.
 * A table that is not on a cluster boundary is read from where it is said to be.
 *
 * in:      l1_index whose entry names a table (offset not 0)
 * out:     *out, one cluster, valid until the next call
 * returns: GUEST_ERR_IO; GUEST_ERR_NO_MEMORY
 * bound:   QCOW2_WINDOW_BYTES_MAX of memory, or one cluster
 */
enum guest_err qcow2_l2_table(struct qcow2 *q, struct qcow2_l2_window *window, uint64_t l1_index,
                              struct span *out, struct guest_err_detail *detail);

/* Starts a walk over another L1 table, or the same one after the file has changed. */
void qcow2_l2_window_reset(struct qcow2_l2_window *window, const uint64_t *l1, uint64_t l1_size);
void qcow2_l2_window_clear(struct qcow2_l2_window *window);

/* What an L2 entry, or one subcluster of it, says. */
enum qcow2_l2_kind {
    QCOW2_L2_UNALLOCATED,       /* ask the backing file */
    QCOW2_L2_UNALLOCATED_ALLOC, /* the same, but the cluster around it is allocated */
    QCOW2_L2_ZERO_PLAIN,
    QCOW2_L2_ZERO_ALLOC, /* zeros, but keeps its cluster */
    QCOW2_L2_NORMAL,
    QCOW2_L2_COMPRESSED,
    QCOW2_L2_INVALID,
};

/* A decoded L2 entry. */
struct qcow2_l2_entry {
    uint64_t raw;
    uint64_t offset; /* of the cluster, 0: none */
    uint32_t alloc;  /* subcluster bitmaps; 0 without subclusters */
    uint32_t zero;
};

struct qcow2_l2_entry qcow2_l2_entry_at(const struct qcow2 *q, struct span table, uint32_t index);

/* The kind of the cluster as a whole; with subclusters, of the part that the bitmaps refine. */
enum qcow2_l2_kind qcow2_l2_cluster_kind(const struct qcow2 *q, struct qcow2_l2_entry entry);

/* Where the bytes of a compressed L2 entry are: `*out_bytes` at `*out_offset` at most. */
void qcow2_compressed_range(const struct qcow2 *q, uint64_t entry, uint64_t *out_offset,
                            uint64_t *out_bytes);

/* qcow2_refcount.c */

/*
 * Reads the refcount table.
 *
 * out:     *out, decoded but not masked, *out_entries of them; the caller frees it
 */
enum guest_err qcow2_read_reftable(struct qcow2 *q, uint64_t **out, uint64_t *out_entries,
                                   struct guest_err_detail *detail);

/* The refcount at an index of a refcount block of 1 << order bits; index inside the block. */
uint64_t qcow2_refcount_get(struct span block, uint64_t index, uint32_t order);

/*
 * Whether far more clusters have a refcount than the file has on disk, as after
 * preallocation=metadata: then data extents are worth a look for holes. Found once, then
 * remembered.
 */
bool qcow2_seems_preallocated(struct node *node);

/* qcow2_snapshot.c */

/*
 * Reads the snapshot table.
 *
 * bound:   QCOW2_SNAPSHOT_TABLE_MAX bytes, QCOW2_SNAPSHOTS_MAX snapshots
 */
enum guest_err qcow2_read_snapshots(struct qcow2 *q, struct guest_err_detail *detail);

/*
 * The same for a repair: extra data that is too long is passed over, and a table that is too long
 * ends before the entry that makes it so; `take` is told.
 *
 * in:      flaws->take: QCOW2_ERR_SNAPSHOT_EXTRA with index and bytes, or
 *          QCOW2_ERR_SNAPSHOT_TABLE_BIG with the number of entries left out
 */
struct qcow2_snapshot_flaws {
    void (*take)(void *user, enum qcow2_err flaw, uint64_t n0, uint64_t n1);
    void *user;
};
enum guest_err qcow2_read_snapshots_mending(struct qcow2 *q,
                                            const struct qcow2_snapshot_flaws *flaws,
                                            struct guest_err_detail *detail);
void qcow2_free_snapshots(struct qcow2 *q);
enum guest_err qcow2_load_snapshot(struct node *node, const Abi__SnapshotLoadRequest *request,
                                   struct guest_err_detail *detail);

/* qcow2_bitmap.c */

/*
 * Reads the bitmap directory, and looks at the tables of the bitmaps that are not in use.
 *
 * bound:   QCOW2_BITMAP_DIRECTORY_MAX bytes of directory, one bitmap's table at a time
 */
enum guest_err qcow2_read_bitmaps(struct qcow2 *q, struct guest_err_detail *detail);
void qcow2_free_bitmaps(struct qcow2 *q);

/*
 * Reads a bitmap's table.
 *
 * out:     *out, decoded, table_size entries; the caller frees it
 */
enum guest_err qcow2_read_bitmap_table(const struct qcow2 *q, const struct qcow2_bitmap *bitmap,
                                       uint64_t **out, struct guest_err_detail *detail);

/* Bytes of an entry of the directory without extra data. */
static inline uint64_t qcow2_bitmap_entry_bytes(uint64_t name_len)
{
    return (QCOW2_BITMAP_HEADER_BYTES + name_len + 7) & ~7ull;
}

/*
 * Writes an entry of the directory, padded with zeros; returns the place of the next.
 *
 * out:     at: qcow2_bitmap_entry_bytes(b->name.len) bytes
 */
uint8_t *qcow2_store_bitmap_entry(uint8_t *at, const struct qcow2_bitmap *b);

/* Whether an entry of a bitmap's table is one that the format knows. */
bool qcow2_bitmap_entry_ok(const struct qcow2 *q, uint64_t entry);

/* qcow2_info.c */
enum guest_err qcow2_info(struct node *node, Abi__InfoReply *reply,
                          struct guest_err_detail *detail);

/* qcow2_check.c */
enum guest_err qcow2_check(struct node *node, const Abi__CheckRequest *request,
                           struct finding_sink *findings, Abi__CheckReply *reply,
                           struct guest_err_detail *detail);

#endif
