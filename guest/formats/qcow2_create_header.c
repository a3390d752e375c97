/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header cluster of a new qcow2 image, as stock lays it out: header, extensions (backing
 * format, data file name, feature names), end, backing file name.
 */
#include "guest/formats/qcow2_create.h"

#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_layout.h"

#define CRYPTO_EXT_BYTES 16u
#define NEW_HEADER_BYTES 112u /* version 3, with the compression type, padded to 8 */

#define FEATURE_NAME_BYTES 46u

enum { FEATURE_INCOMPATIBLE, FEATURE_COMPATIBLE, FEATURE_AUTOCLEAR };

static const struct {
    uint8_t type;
    uint8_t bit;
    const char *name;
} feature_names[] = {
    {FEATURE_INCOMPATIBLE, 0, "dirty bit"},
    {FEATURE_INCOMPATIBLE, 1, "corrupt bit"},
    {FEATURE_INCOMPATIBLE, 2, "external data file"},
    {FEATURE_INCOMPATIBLE, 3, "compression type"},
    {FEATURE_INCOMPATIBLE, 4, "extended L2 entries"},
    {FEATURE_COMPATIBLE, 0, "lazy refcounts"},
    {FEATURE_AUTOCLEAR, 0, "bitmaps"},
    {FEATURE_AUTOCLEAR, 1, "raw external data"},
};
#define NR_FEATURE_NAMES (sizeof(feature_names) / sizeof(feature_names[0]))
_Static_assert(NR_FEATURE_NAMES *(FEATURE_NAME_BYTES + 2) == QCOW2_FEATURE_NAMES_BYTES, "names");

/* Where the next field goes; failed stays set once something did not fit. */
struct out {
    uint8_t *buf;
    uint64_t pos;
    uint64_t size;
    bool failed;
};

static uint8_t *take(struct out *out, uint64_t len)
{
    static uint8_t nowhere[FEATURE_NAME_BYTES + 2];
    if (out->failed || len > out->size - out->pos) {
        out->failed = true;
        return len <= sizeof(nowhere) ? nowhere : NULL;
    }
    uint8_t *at = out->buf + out->pos;
    out->pos += len;
    return at;
}

static void put_u8(struct out *out, uint8_t v)
{
    *take(out, 1) = v;
}

static void put_u32(struct out *out, uint32_t v)
{
    store_be32(take(out, 4), v);
}

static void put_u64(struct out *out, uint64_t v)
{
    store_be64(take(out, 8), v);
}

static void put_bytes(struct out *out, struct span bytes)
{
    uint8_t *at = take(out, bytes.len);
    if (!out->failed && bytes.len)
        memcpy(at, bytes.data, bytes.len);
}

static void put_extension(struct out *out, uint32_t type, struct span data)
{
    put_u32(out, type);
    put_u32(out, (uint32_t)data.len);
    put_bytes(out, data);
    while (!out->failed && out->pos % 8 != 0)
        put_u8(out, 0);
}

void qcow2_feature_names(uint8_t *buf)
{
    memset(buf, 0, QCOW2_FEATURE_NAMES_BYTES);
    for (unsigned i = 0; i < NR_FEATURE_NAMES; i++) {
        uint8_t *entry = &buf[i * (FEATURE_NAME_BYTES + 2)];
        entry[0] = feature_names[i].type;
        entry[1] = feature_names[i].bit;
        memcpy(&entry[2], feature_names[i].name, strlen(feature_names[i].name));
    }
}

static void put_feature_names(struct out *out)
{
    uint8_t names[QCOW2_FEATURE_NAMES_BYTES];
    qcow2_feature_names(names);
    put_extension(out, QCOW2_EXT_FEATURE_NAMES, span_of(names, sizeof(names)));
}

static struct span span_of_field(ProtobufCBinaryData field)
{
    return span_of(field.data, field.len);
}

/* The name, a NUL and the format: wording needs both. */
static enum guest_err name_too_long(const Abi__Qcow2CreateOptions *o,
                                    struct guest_err_detail *detail)
{
    return err_text(detail, GUEST_ERR_PLAN_BACKING_NAME_LONG, span_of_field(o->backing_file), 0);
}

enum guest_err qcow2_encode_header(const Abi__Qcow2CreateOptions *options,
                                   const struct qcow2_params *params,
                                   const struct qcow2_new_header *header, uint8_t *buf,
                                   uint64_t *out_used, struct guest_err_detail *detail)
{
    const Abi__Qcow2CreateOptions *o = options;
    struct out out = {.buf = buf, .size = 1ull << params->cluster_bits};
    uint64_t incompatible = 0, compatible = 0, autoclear = 0;

    if (o->has_backing && o->backing_file.len > QCOW2_BACKING_NAME_MAX)
        return name_too_long(o, detail);
    if (o->has_data_file)
        incompatible |= QCOW2_INCOMPAT_DATA_FILE;
    if (o->compression_type != QCOW2_COMPRESSION_ZLIB)
        incompatible |= QCOW2_INCOMPAT_COMPRESSION;
    if (o->extended_l2)
        incompatible |= QCOW2_INCOMPAT_EXTL2;
    if (o->lazy_refcounts)
        compatible |= QCOW2_COMPAT_LAZY_REFCOUNTS;
    if (o->data_file_raw)
        autoclear |= QCOW2_AUTOCLEAR_DATA_FILE_RAW;

    put_u32(&out, QCOW2_MAGIC);
    put_u32(&out, o->version);
    put_u64(&out, 0); /* backing_file_offset, known below */
    put_u32(&out, o->has_backing ? (uint32_t)o->backing_file.len : 0);
    put_u32(&out, params->cluster_bits);
    put_u64(&out, header->size);
    put_u32(&out, o->luks ? QCOW2_CRYPT_LUKS : o->aes ? QCOW2_CRYPT_AES : QCOW2_CRYPT_NONE);
    put_u32(&out, header->l1_size);
    put_u64(&out, header->l1_table_offset);
    put_u64(&out, header->refcount_table_offset);
    put_u32(&out, header->refcount_table_clusters);
    put_u32(&out, 0); /* nb_snapshots */
    put_u64(&out, 0); /* snapshots_offset */
    if (o->version >= 3) {
        put_u64(&out, incompatible);
        put_u64(&out, compatible);
        put_u64(&out, autoclear);
        put_u32(&out, params->refcount_order);
        put_u32(&out, NEW_HEADER_BYTES);
        put_u8(&out, (uint8_t)o->compression_type);
        take(&out, 7);
    }
    if (o->has_backing && o->backing_format.len)
        put_extension(&out, QCOW2_EXT_BACKING_FORMAT, span_of_field(o->backing_format));
    if (o->has_data_file)
        put_extension(&out, QCOW2_EXT_DATA_FILE, span_of_field(o->data_file));
    if (o->luks) {
        put_u32(&out, QCOW2_EXT_CRYPTO_HEADER);
        put_u32(&out, CRYPTO_EXT_BYTES);
        put_u64(&out, header->crypto_offset);
        put_u64(&out, params->crypto_bytes);
    }
    if (o->version >= 3 && out.size > QCOW2_FEATURE_NAMES_ABOVE_BYTES)
        put_feature_names(&out);
    if (out.failed)
        return err_plain(detail, GUEST_ERR_PLAN_HEADER_FULL);
    put_u32(&out, QCOW2_EXT_END);
    put_u32(&out, 0);
    if (o->has_backing) {
        store_be64(buf + 8, out.pos);
        put_bytes(&out, span_of_field(o->backing_file));
        if (out.failed)
            return name_too_long(o, detail);
    }
    if (out.failed)
        return err_plain(detail, GUEST_ERR_PLAN_HEADER_FULL);
    *out_used = out.pos;
    return GUEST_OK;
}
