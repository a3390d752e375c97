/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building qcow2 images in memory, field by field, for the tests of the guest library.
 *
 * The image that image_new makes is sound and empty, with this layout in clusters:
 *   0 header   1 refcount table   2 refcount block   3 L1 table   4 L2 table of L1 entry 0
 * and has a version 3 header of 112 bytes. Tests break what they want to see refused.
 */
#ifndef INSTAR_TESTS_UNIT_QCOW2_IMAGE_H
#define INSTAR_TESTS_UNIT_QCOW2_IMAGE_H

#include <glib.h>

#include "guest/abi/error_qcow2.h"
#include "guest/formats/format.h"

/* Offsets of header fields, with the specification's names. */
enum header_field {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_BACKING_FILE_OFFSET = 8,
    AT_BACKING_FILE_SIZE = 16,
    AT_CLUSTER_BITS = 20,
    AT_SIZE = 24,
    AT_CRYPT_METHOD = 32,
    AT_L1_SIZE = 36,
    AT_L1_TABLE_OFFSET = 40,
    AT_REFCOUNT_TABLE_OFFSET = 48,
    AT_REFCOUNT_TABLE_CLUSTERS = 56,
    AT_NB_SNAPSHOTS = 60,
    AT_SNAPSHOTS_OFFSET = 64,
    AT_INCOMPATIBLE_FEATURES = 72,
    AT_COMPATIBLE_FEATURES = 80,
    AT_AUTOCLEAR_FEATURES = 88,
    AT_REFCOUNT_ORDER = 96,
    AT_HEADER_LENGTH = 100,
    AT_COMPRESSION_TYPE = 104,
    AT_EXTENSIONS = 112,
};

#define OFLAG_COPIED     (UINT64_C(1) << 63)
#define OFLAG_COMPRESSED (UINT64_C(1) << 62)
#define OFLAG_ZERO       UINT64_C(1)

struct image {
    uint8_t *bytes;
    uint64_t size;         /* of the file, bytes */
    uint64_t cluster_size; /* bytes */
    struct guest_err_detail detail;
};

#define IMAGE_CLUSTERS 16 /* of the file that image_new makes */

struct image *image_new(unsigned cluster_bits, uint64_t virtual_size);
void image_free(struct image *image);

void image_put8(struct image *image, uint64_t at, uint8_t value);
void image_put16(struct image *image, uint64_t at, uint16_t value);
void image_put32(struct image *image, uint64_t at, uint32_t value);
void image_put64(struct image *image, uint64_t at, uint64_t value);
void image_put_text(struct image *image, uint64_t at, const char *text);

/* Offsets of clusters and entries. */
uint64_t image_cluster(const struct image *image, unsigned index);
uint64_t image_l1_entry(const struct image *image, unsigned index);
uint64_t image_l2_entry(const struct image *image, unsigned index); /* 8-byte entries */

/* Sets the refcount (16 bits) of a cluster. */
void image_put_refcount(struct image *image, unsigned cluster, uint16_t value);

/* Adds a header extension at `at`; returns where the next one starts. */
uint64_t image_put_extension(struct image *image, uint64_t at, uint32_t type, const void *data,
                             uint32_t length);

/*
 * Opens the image as qcow2; details of an error are in image->detail.
 *
 * out:     *out is NULL on an error; freed with node_free before the image
 */
enum guest_err image_open(struct image *image, gboolean for_check, struct node **out);

/* What opening gives, with the node closed again. */
int image_refusal(struct image *image);

/* One call of the driver's map. */
enum guest_err image_map(struct image *image, struct node *node, uint64_t start, uint64_t length,
                         struct layer_extent *out);

#endif
