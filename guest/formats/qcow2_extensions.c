/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header extensions of qcow2: backing format, data file name, bitmaps, crypto header, feature
 * names. Unknown ones are skipped.
 */
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define FEATURE_ENTRY_BYTES  48u
#define FEATURE_NAME_BYTES   46u
#define FEATURE_INCOMPATIBLE 0u
#define CRYPTO_EXT_BYTES     16u
#define BITMAPS_EXT_BYTES    24u

/* One extension: its type, and where its data lies. */
struct extension {
    uint32_t type;
    uint32_t length;
    uint64_t offset;
};

/* Where the list of extensions ends at the latest. */
static uint64_t extensions_end(const struct qcow2_header *h)
{
    return h->backing_file_offset ? h->backing_file_offset : 1ull << h->cluster_bits;
}

/*
 * Reads the extension at *at and moves *at to the next one.
 *
 * returns: *out_more false at the end of the list
 */
static enum guest_err next_extension(struct qcow2 *q, uint64_t *at, struct extension *out,
                                     bool *out_more, struct guest_err_detail *detail)
{
    uint64_t end = extensions_end(&q->header);
    uint8_t head[8];
    enum guest_err err;

    *out_more = false;
    if (*at >= end)
        return GUEST_OK;
    err = source_read_padded(q->source, *at, sizeof(head), head, detail);
    if (err)
        return err;
    out->type = load_be32(head);
    out->length = load_be32(head + 4);
    out->offset = *at + sizeof(head);
    if (out->offset > end || out->length > end - out->offset)
        return qcow2_error(detail, QCOW2_ERR_EXT_LARGE);
    *at = out->offset + ((out->length + 7ull) & ~7ull);
    *out_more = out->type != QCOW2_EXT_END;
    return GUEST_OK;
}

/* A copy of the extension's data; with `text`, cut at the first NUL. */
static enum guest_err read_data(struct qcow2 *q, const struct extension *e, bool text,
                                struct span *out, struct guest_err_detail *detail)
{
    uint8_t *data = arena_bytes(e->length);
    size_t len = e->length;
    enum guest_err err;

    if (!data)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = source_read_padded(q->source, e->offset, e->length, data, detail);
    if (err) {
        free(data);
        return err;
    }
    if (text)
        len = strnlen((const char *)data, len);
    *out = span_of(data, len);
    return GUEST_OK;
}

static enum guest_err read_backing_format(struct qcow2 *q, const struct extension *e,
                                          struct guest_err_detail *detail)
{
    if (e->length >= QCOW2_BACKING_FORMAT_MAX)
        return qcow2_error_numbers(detail, QCOW2_ERR_EXT_BACKING_FORMAT, e->length, 0, 0);
    q->ext.has_backing_format = true;
    return read_data(q, e, true, &q->ext.backing_format, detail);
}

static enum guest_err read_crypto(struct qcow2 *q, const struct extension *e,
                                  struct guest_err_detail *detail)
{
    uint8_t data[CRYPTO_EXT_BYTES];
    enum guest_err err;

    if (q->header.crypt_method != QCOW2_CRYPT_LUKS)
        return qcow2_error(detail, QCOW2_ERR_EXT_CRYPTO_UNEXPECTED);
    if (e->length != sizeof(data))
        return qcow2_error_numbers(detail, QCOW2_ERR_EXT_CRYPTO_SIZE, e->length, 0, 0);
    err = source_read_padded(q->source, e->offset, sizeof(data), data, detail);
    if (err)
        return err;
    q->ext.crypto_offset = load_be64(data);
    q->ext.crypto_length = load_be64(data + 8);
    if (q->ext.crypto_offset % q->cluster_size != 0)
        return qcow2_error_numbers(detail, QCOW2_ERR_EXT_CRYPTO_ALIGN, q->ext.crypto_offset,
                                   q->cluster_size, 0);
    q->ext.has_crypto = true;
    return GUEST_OK;
}

static enum guest_err read_bitmaps(struct qcow2 *q, const struct extension *e,
                                   struct guest_err_detail *detail)
{
    struct qcow2_extensions *x = &q->ext;
    uint8_t data[BITMAPS_EXT_BYTES];
    enum guest_err err;

    if (e->length != sizeof(data))
        return qcow2_error(detail, QCOW2_ERR_EXT_BITMAPS_LENGTH);
    if (!(q->header.autoclear_features & QCOW2_AUTOCLEAR_BITMAPS)) {
        x->bitmaps_stale = true;
        return GUEST_OK;
    }
    err = source_read_padded(q->source, e->offset, sizeof(data), data, detail);
    if (err)
        return err;
    x->nb_bitmaps = load_be32(data);
    x->bitmap_directory_size = load_be64(data + 8);
    x->bitmap_directory_offset = load_be64(data + 16);
    if (load_be32(data + 4) != 0)
        return qcow2_error(detail, QCOW2_ERR_EXT_BITMAPS_RESERVED);
    if (x->nb_bitmaps > QCOW2_BITMAPS_MAX)
        return qcow2_error_numbers(detail, QCOW2_ERR_EXT_BITMAPS_MANY, x->nb_bitmaps, 0, 0);
    if (x->nb_bitmaps == 0)
        return qcow2_error(detail, QCOW2_ERR_EXT_BITMAPS_NONE);
    if (x->bitmap_directory_offset % q->cluster_size != 0)
        return qcow2_error(detail, QCOW2_ERR_EXT_BITMAPS_OFFSET);
    if (x->bitmap_directory_size > QCOW2_BITMAP_DIRECTORY_MAX)
        return qcow2_error_numbers(detail, QCOW2_ERR_EXT_BITMAPS_SIZE, x->bitmap_directory_size, 0,
                                   0);
    x->has_bitmaps = true;
    return GUEST_OK;
}

static enum guest_err read_extension(struct qcow2 *q, const struct extension *e,
                                     struct guest_err_detail *detail)
{
    switch (e->type) {
    case QCOW2_EXT_BACKING_FORMAT:
        return read_backing_format(q, e, detail);
    case QCOW2_EXT_CRYPTO_HEADER:
        return read_crypto(q, e, detail);
    case QCOW2_EXT_BITMAPS:
        return read_bitmaps(q, e, detail);
    case QCOW2_EXT_DATA_FILE:
        q->ext.has_data_file = true;
        return read_data(q, e, true, &q->ext.data_file, detail);
    default:
        return GUEST_OK;
    }
}

enum guest_err qcow2_read_extensions(struct qcow2 *q, struct guest_err_detail *detail)
{
    uint64_t at = q->header.header_length;
    struct extension e;
    bool more;

    for (;;) {
        enum guest_err err = next_extension(q, &at, &e, &more, detail);
        if (!err && more)
            err = read_extension(q, &e, detail);
        if (err || !more)
            return err;
    }
}

/* Appends ", " and the name to the detail's text. */
static void append_name(struct guest_err_detail *detail, struct span name)
{
    struct span comma = span_of(", ", detail->text_len ? 2 : 0);

    if (detail->text_len + comma.len + name.len > sizeof(detail->text))
        return;
    memcpy(detail->text + detail->text_len, comma.data, comma.len);
    memcpy(detail->text + detail->text_len + comma.len, name.data, name.len);
    detail->text_len += (uint32_t)(comma.len + name.len);
}

/*
 * Takes the bits that the table names out of *unknown. The table ends with an entry without a name;
 * one that is cut short is an entry still.
 */
static void name_from_table(struct span table, uint64_t *unknown, struct guest_err_detail *detail)
{
    struct cursor c = cur_of(table);

    while (cur_left(&c)) {
        uint8_t entry[FEATURE_ENTRY_BYTES] = {0};
        struct span here = cur_bytes(&c, min_u64(sizeof(entry), cur_left(&c)));
        uint8_t type, bit;
        struct span name;

        memcpy(entry, here.data, here.len);
        type = entry[0];
        bit = entry[1];
        name = span_of(&entry[2], strnlen((const char *)&entry[2], FEATURE_NAME_BYTES));
        if (name.len == 0)
            return;
        if (type != FEATURE_INCOMPATIBLE || bit > 63 || !(*unknown & 1ull << bit))
            continue;
        append_name(detail, name);
        *unknown &= ~(1ull << bit);
    }
}

enum guest_err qcow2_name_features(struct qcow2 *q, uint64_t unknown,
                                   struct guest_err_detail *detail)
{
    struct guest_err_detail scratch;
    uint64_t at = q->header.header_length;
    struct extension e;
    bool more;

    if (!detail)
        detail = &scratch;
    err_plain(detail, GUEST_OK);
    for (;;) {
        enum guest_err err = next_extension(q, &at, &e, &more, NULL);
        struct span table;

        if (err || !more)
            break; /* extensions that are broken name nothing */
        if (e.type != QCOW2_EXT_FEATURE_NAMES)
            continue;
        if (read_data(q, &e, false, &table, NULL))
            break;
        name_from_table(table, &unknown, detail);
        free((void *)table.data);
    }
    detail->number[0] = unknown;
    if (detail->text_len == 0)
        return (enum guest_err)QCOW2_ERR_FEATURES_UNNAMED;
    return (enum guest_err)(unknown ? QCOW2_ERR_FEATURES_BOTH : QCOW2_ERR_FEATURES_NAMED);
}
