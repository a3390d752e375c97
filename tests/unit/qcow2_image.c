/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building qcow2 images in memory; see qcow2_image.h.
 */
#include "tests/unit/qcow2_image.h"

#include <string.h>

#include "guest/lib/bytes.h"

#define L2_CLUSTER 4

static uint8_t *at(struct image *image, uint64_t offset, uint64_t len)
{
    g_assert(offset <= image->size && len <= image->size - offset);
    return image->bytes + offset;
}

void image_put8(struct image *image, uint64_t offset, uint8_t value)
{
    *at(image, offset, 1) = value;
}

void image_put16(struct image *image, uint64_t offset, uint16_t value)
{
    store_be16(at(image, offset, 2), value);
}

void image_put32(struct image *image, uint64_t offset, uint32_t value)
{
    store_be32(at(image, offset, 4), value);
}

void image_put64(struct image *image, uint64_t offset, uint64_t value)
{
    store_be64(at(image, offset, 8), value);
}

void image_put_text(struct image *image, uint64_t offset, const char *text)
{
    memcpy(at(image, offset, strlen(text)), text, strlen(text));
}

uint64_t image_cluster(const struct image *image, unsigned index)
{
    return index * image->cluster_size;
}

uint64_t image_l1_entry(const struct image *image, unsigned index)
{
    return image_cluster(image, 3) + index * 8;
}

uint64_t image_l2_entry(const struct image *image, unsigned index)
{
    return image_cluster(image, L2_CLUSTER) + index * 8;
}

void image_put_refcount(struct image *image, unsigned cluster, uint16_t value)
{
    image_put16(image, image_cluster(image, 2) + cluster * 2, value);
}

struct image *image_new(unsigned cluster_bits, uint64_t virtual_size)
{
    struct image *image = g_new0(struct image, 1);
    unsigned l1_shift = 2 * cluster_bits - 3;

    image->cluster_size = UINT64_C(1) << cluster_bits;
    image->size = IMAGE_CLUSTERS * image->cluster_size;
    image->bytes = g_malloc0(image->size);
    image_put32(image, AT_MAGIC, 0x514649fb);
    image_put32(image, AT_VERSION, 3);
    image_put32(image, AT_CLUSTER_BITS, cluster_bits);
    image_put64(image, AT_SIZE, virtual_size);
    image_put32(image, AT_L1_SIZE,
                (uint32_t)((virtual_size + (UINT64_C(1) << l1_shift) - 1) >> l1_shift));
    image_put64(image, AT_L1_TABLE_OFFSET, image_cluster(image, 3));
    image_put64(image, AT_REFCOUNT_TABLE_OFFSET, image_cluster(image, 1));
    image_put32(image, AT_REFCOUNT_TABLE_CLUSTERS, 1);
    image_put32(image, AT_REFCOUNT_ORDER, 4);
    image_put32(image, AT_HEADER_LENGTH, 112);
    image_put64(image, image_cluster(image, 1), image_cluster(image, 2));
    image_put64(image, image_l1_entry(image, 0), image_cluster(image, L2_CLUSTER) | OFLAG_COPIED);
    for (unsigned i = 0; i <= L2_CLUSTER; i++) {
        image_put_refcount(image, i, 1);
    }
    return image;
}

void image_free(struct image *image)
{
    g_free(image->bytes);
    g_free(image);
}

uint64_t image_put_extension(struct image *image, uint64_t offset, uint32_t type, const void *data,
                             uint32_t length)
{
    image_put32(image, offset, type);
    image_put32(image, offset + 4, length);
    memcpy(at(image, offset + 8, length), data, length);
    return offset + 8 + (length + 7) / 8 * 8;
}

enum guest_err image_open(struct image *image, gboolean for_check, struct node **out)
{
    struct source *source = source_new_buffer(0, image->bytes, image->size);
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    enum guest_err err;

    source->allocated_bytes = image->size;
    request.format = (char *)"qcow2";
    request.for_check = for_check;
    *out = NULL;
    err = node_open(source, &request, out, &image->detail);
    if (err) {
        source_free(source);
    }
    return err;
}

int image_refusal(struct image *image)
{
    struct node *node;
    enum guest_err err = image_open(image, FALSE, &node);

    node_free(node);
    return (int)err;
}

enum guest_err image_map(struct image *image, struct node *node, uint64_t start, uint64_t length,
                         struct layer_extent *out)
{
    return node->driver->map(node, start, length, out, &image->detail);
}
