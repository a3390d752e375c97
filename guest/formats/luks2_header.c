/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two copies of a LUKS2 header. The second lies right behind the first; when the first is
 * damaged, its size is not known, and the second is looked for behind every size there is.
 */
#include "guest/formats/luks2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* A copy whose checksum is right. */
struct copy {
    uint8_t *bytes; /* hdr_size of them; NULL: there is none */
    uint64_t hdr_size, seqid;
};

static bool is_size(uint64_t bytes)
{
    return bytes >= LUKS2_SIZE_MIN && bytes <= LUKS2_SIZE_MAX && (bytes & (bytes - 1)) == 0;
}

/* Whether the checksum over the copy is right; it is wiped from it on the way. */
static enum guest_err check_sum(uint8_t *bytes, uint64_t len, bool *out_right,
                                struct guest_err_detail *detail)
{
    struct span name = span_of(bytes + 72, strnlen((const char *)bytes + 72, LUKS2_ALG_BYTES));
    enum crypto_hash hash = crypto_hash_find((const char *)name.data, name.len);
    uint8_t stored[LUKS2_CSUM_BYTES], digest[CRYPTO_DIGEST_MAX];

    if (!hash)
        return luks_error_text(detail, LUKS2_ERR_CHECKSUM_ALG, name, 0);
    memcpy(stored, bytes + LUKS2_CSUM_AT, sizeof(stored));
    memset(bytes + LUKS2_CSUM_AT, 0, sizeof(stored));
    crypto_hash_two(hash, bytes, LUKS2_BINARY_BYTES, bytes + LUKS2_BINARY_BYTES,
                    len - LUKS2_BINARY_BYTES, digest);
    *out_right = memcmp(stored, digest, crypto_hash_bytes(hash)) == 0;
    return GUEST_OK;
}

/*
 * Reads the copy at `offset`, if there is one and it holds.
 *
 * out:     *out; *out_size: what the copy says its size is, whether or not it holds
 */
static enum guest_err read_copy(struct source *source, uint64_t offset, const char *magic,
                                struct copy *out, uint64_t *out_size,
                                struct guest_err_detail *detail)
{
    uint8_t fields[LUKS2_FIELDS_BYTES];
    bool right = false;
    enum guest_err err = source_read_padded(source, offset, sizeof(fields), fields, detail);
    uint64_t size = load_be64(fields + 8);

    *out = (struct copy){0};
    *out_size = 0;
    if (err)
        return err;
    if (memcmp(fields, magic, LUKS_MAGIC_BYTES) != 0 || load_be16(fields + 6) != 2 ||
        !is_size(size))
        return GUEST_OK;
    *out_size = size;
    if (load_be64(fields + 256) != offset)
        return GUEST_OK;
    out->bytes = arena_bytes(size);
    if (!out->bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = source_read_padded(source, offset, size, out->bytes, detail);
    if (!err)
        err = check_sum(out->bytes, size, &right, detail);
    if (err || !right) {
        free(out->bytes);
        *out = (struct copy){0};
        return err;
    }
    out->hdr_size = size;
    out->seqid = load_be64(fields + 16);
    return GUEST_OK;
}

/* Looks for the second copy behind every size that the first could have. */
static enum guest_err find_second(struct source *source, struct copy *out,
                                  struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    uint64_t said;

    for (unsigned i = 0; i < LUKS2_SIZES_NR && !err && !out->bytes; i++)
        err = read_copy(source, (uint64_t)LUKS2_SIZE_MIN << i, LUKS2_SECOND_MAGIC, out, &said,
                        detail);
    return err;
}

/* The copy to believe, or none. */
static enum guest_err choose_copy(struct source *source, struct copy *out, bool *out_named,
                                  struct guest_err_detail *detail)
{
    struct copy second = {0};
    uint64_t size, said;
    enum guest_err err = read_copy(source, 0, LUKS_MAGIC, out, &size, detail);

    *out_named = size != 0;
    if (err)
        return err;
    err = out->bytes ? read_copy(source, size, LUKS2_SECOND_MAGIC, &second, &said, NULL)
                     : find_second(source, &second, detail);
    if (err && !out->bytes)
        return err;
    if (second.bytes && (!out->bytes || second.seqid > out->seqid)) {
        free(out->bytes);
        *out = second;
    } else {
        free(second.bytes);
    }
    return GUEST_OK;
}

static enum guest_err decode_copy(const struct copy *copy, struct luks2 *out,
                                  struct guest_err_detail *detail)
{
    const uint8_t *json = copy->bytes + LUKS2_BINARY_BYTES;
    size_t room = copy->hdr_size - LUKS2_BINARY_BYTES;

    memset(out, 0, sizeof(*out));
    out->hdr_size = copy->hdr_size;
    out->seqid = copy->seqid;
    memcpy(out->uuid, copy->bytes + 168, sizeof(out->uuid));
    return luks2_decode(span_of(json, strnlen((const char *)json, room)), out, detail);
}

enum guest_err luks2_read(struct source *source, struct luks2 *out, struct guest_err_detail *detail)
{
    struct copy copy;
    bool named; /* there is at least the start of a first copy */
    enum guest_err err = choose_copy(source, &copy, &named, detail);

    if (err)
        return err;
    if (!copy.bytes)
        return luks_error(detail, named ? LUKS2_ERR_DAMAGED : LUKS_ERR_NOT_LUKS);
    err = decode_copy(&copy, out, detail);
    free(copy.bytes);
    return err;
}
