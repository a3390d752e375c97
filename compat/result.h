/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command found, before anybody prints it.
 *
 * A verb fills one of these once; human.c and json.c render it, so the two cannot disagree. All
 * memory is owned by the struct and freed with it (info, snapshots); the small ones own nothing.
 * Strings may hold any bytes but NUL: the renderers escape them as stock does.
 */
#ifndef COMPAT_RESULT_H
#define COMPAT_RESULT_H

#include <glib.h>
#include <stdint.h>

/* ---- snapshots ---- */

struct snapshot_entry {
    char *id;
    char *name;
    uint64_t vm_state_size_bytes;
    uint32_t date_sec; /* since 1970, shown in local time */
    uint32_t date_nsec;
    uint64_t vm_clock_nsec; /* since boot */
    gboolean have_icount;
    uint64_t icount;
};

/* ---- info: what a format alone knows ---- */

enum specific_kind {
    SPECIFIC_NONE,
    SPECIFIC_FILE, /* the protocol level: an empty object but for extent-size-hint */
    SPECIFIC_QCOW2,
    SPECIFIC_LUKS,
    SPECIFIC_VMDK,
    SPECIFIC_RBD,
};

struct luks_slot {
    gboolean active;
    uint64_t iters;   /* active slots */
    uint64_t stripes; /* active slots */
    uint64_t key_offset_bytes;
    char *kdf;           /* this and the next two: version 2, active slots */
    uint64_t memory_kib; /* Argon2, else 0 */
    unsigned lanes;
};

#define LUKS_INFO_SLOTS     8u
#define LUKS_INFO_SLOTS_MAX 32u

/* A LUKS header, of format luks or inside qcow2. Words as stock spells them ("aes-256"). */
struct luks_info {
    char *cipher_alg;
    char *cipher_mode;
    char *ivgen_alg;
    char *ivgen_hash_alg; /* NULL: none */
    char *hash_alg;
    gboolean detached_header;
    uint64_t payload_offset_bytes;
    uint64_t master_key_iters;
    char *uuid;
    unsigned version;     /* 2, or 0: version 1 */
    unsigned sector_size; /* version 2, bytes */
    unsigned nr_slots;    /* 8; of version 2 up to 32 */
    struct luks_slot slots[LUKS_INFO_SLOTS_MAX];
};

enum encrypt_kind {
    ENCRYPT_NONE,
    ENCRYPT_AES,
    ENCRYPT_LUKS,
};

struct bitmap_entry {
    char *name;
    uint64_t granularity_bytes;
    gboolean in_use;
    gboolean auto_load;
};

struct qcow2_info {
    unsigned version;             /* 2: compat 0.10, 3: compat 1.1 */
    const char *compression_type; /* "zlib" or "zstd" */
    unsigned refcount_bits;
    gboolean lazy_refcounts; /* version 3 only, as the next two */
    gboolean corrupt;
    gboolean extended_l2;
    char *data_file; /* NULL: none */
    gboolean have_data_file_raw;
    gboolean data_file_raw;
    GPtrArray *bitmaps; /* of struct bitmap_entry *; NULL: the key is absent */
    enum encrypt_kind encrypt;
    struct luks_info *luks; /* ENCRYPT_LUKS */
};

struct vmdk_extent {
    char *filename;
    char *format; /* "SPARSE", "FLAT", "" */
    uint64_t virtual_size_bytes;
    uint64_t cluster_size_bytes; /* 0: none */
    gboolean compressed;
    uint32_t blob; /* which file, until the name is known */
};

struct vmdk_info {
    char *create_type;
    uint64_t cid;
    uint64_t parent_cid;
    GPtrArray *extents; /* of struct vmdk_extent * */
};

struct specific {
    enum specific_kind kind;
    gboolean have_extent_size_hint; /* SPECIFIC_FILE */
    uint64_t extent_size_hint_bytes;
    struct qcow2_info *qcow2;
    struct luks_info *luks;
    struct vmdk_info *vmdk;
};

/* Block limits; an optional one is 0 when absent. */
struct limits_info {
    uint64_t request_alignment;
    uint64_t max_discard;
    uint64_t discard_alignment;
    uint64_t max_write_zeroes;
    uint64_t write_zeroes_alignment;
    uint64_t opt_transfer;
    uint64_t max_transfer;
    uint64_t max_hw_transfer;
    uint64_t max_iov;
    uint64_t max_hw_iov;
    uint64_t min_mem_alignment;
    uint64_t opt_mem_alignment;
};

struct image_info;

struct image_child {
    char *name; /* "file", "extents.0" */
    struct image_info *info;
};

/* One image of `info`. */
struct image_info {
    char *filename;
    char *format; /* "qcow2"; of a protocol node "file" */
    uint64_t virtual_size_bytes;
    gboolean have_actual_size;
    uint64_t actual_size_bytes;
    uint64_t cluster_size_bytes; /* 0: the format has none */
    gboolean encrypted;
    gboolean have_dirty_flag;
    gboolean dirty;
    char *backing_filename;        /* NULL: none; as stored in the image */
    char *full_backing_filename;   /* NULL: cannot be determined */
    char *backing_filename_format; /* NULL: none */
    GPtrArray *snapshots;          /* of struct snapshot_entry *; NULL or empty: none */
    struct limits_info *limits;    /* NULL: not asked for */
    struct specific specific;
    GPtrArray *children; /* of struct image_child *, most recently attached first; NULL: none */
};

struct image_info *image_info_new(void);
void image_info_free(struct image_info *info);

/* Adds a child and takes over its info; returns it. Call in printing order. */
struct image_child *image_info_add_child(struct image_info *info, const char *name,
                                         struct image_info *child);

void snapshot_entry_free(struct snapshot_entry *entry);
GPtrArray *snapshot_list_new(void); /* of struct snapshot_entry *, freed with it */

struct qcow2_info *qcow2_info_new(void);
struct vmdk_info *vmdk_info_new(void);
struct luks_info *luks_info_new(void);
GPtrArray *bitmap_list_new(void); /* of struct bitmap_entry *, freed with it */

/* ---- check ---- */

struct check_result {
    const char *filename; /* as given */
    const char *format;
    uint64_t check_errors;
    uint64_t corruptions;
    uint64_t corruptions_fixed;
    uint64_t leaks;
    uint64_t leaks_fixed;
    gboolean have_image_end_offset;
    uint64_t image_end_offset_bytes;
    uint64_t total_clusters; /* 0: unknown, as the next three */
    uint64_t allocated_clusters;
    uint64_t fragmented_clusters;
    uint64_t compressed_clusters;
};

/* ---- map ---- */

/* One extent; a stream of these is merged by the renderer's caller, not here. */
struct map_entry {
    uint64_t start_bytes;
    uint64_t length_bytes;
    uint64_t depth;
    gboolean present;
    gboolean zero;
    gboolean data;
    gboolean compressed;
    gboolean have_offset;
    uint64_t offset_bytes;
    const char *filename; /* the file that holds the data; NULL: unmappable */
};

/* ---- measure ---- */

struct measure_result {
    uint64_t required_bytes;
    uint64_t fully_allocated_bytes;
    gboolean have_bitmaps;
    uint64_t bitmaps_bytes;
};

/* ---- compare ---- */

enum compare_verdict {
    COMPARE_IDENTICAL,
    COMPARE_CONTENT_MISMATCH, /* offset_bytes: start of the first differing sector */
    COMPARE_STRICT_SIZE,
    COMPARE_STRICT_STATUS, /* offset_bytes */
};

struct compare_result {
    enum compare_verdict verdict;
    gboolean sizes_differ; /* without -s: a warning line before the verdict */
    uint64_t offset_bytes;
};

#endif
