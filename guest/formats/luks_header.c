/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LUKS1 header. The order of the rules was seen by giving stock qemu-img 7.2, 10.0 and 11.1
 * headers with one field changed, and cut short.
 */
#include "guest/formats/luks.h"

#include "guest/lib/checked.h"

static struct span take_text(struct cursor *c, size_t len)
{
    struct span field = cur_bytes(c, len);

    return span_of(field.data, strnlen((const char *)field.data, field.len));
}

static void decode_slot(struct cursor *c, struct luks_slot *slot)
{
    slot->active = cur_be32(c);
    slot->iterations = cur_be32(c);
    memcpy(slot->salt, cur_bytes(c, LUKS_SALT_BYTES).data, LUKS_SALT_BYTES);
    slot->key_material_offset = cur_be32(c);
    slot->stripes = cur_be32(c);
}

/* The bytes are all there: no cursor runs out. */
static void decode(struct luks_header *h)
{
    struct cursor c = cur_of(span_of(h->bytes, sizeof(h->bytes)));

    cur_skip(&c, LUKS_MAGIC_BYTES);
    h->version = cur_be16(&c);
    h->cipher_name = take_text(&c, LUKS_NAME_BYTES);
    h->cipher_mode = take_text(&c, LUKS_NAME_BYTES);
    h->hash_spec = take_text(&c, LUKS_NAME_BYTES);
    h->payload_offset = cur_be32(&c);
    h->key_bytes = cur_be32(&c);
    memcpy(h->mk_digest, cur_bytes(&c, LUKS_DIGEST_BYTES).data, LUKS_DIGEST_BYTES);
    memcpy(h->mk_digest_salt, cur_bytes(&c, LUKS_SALT_BYTES).data, LUKS_SALT_BYTES);
    h->mk_digest_iter = cur_be32(&c);
    h->uuid = take_text(&c, LUKS_UUID_BYTES);
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        decode_slot(&c, &h->slots[i]);
}

uint64_t luks_material_bytes(const struct luks_header *header)
{
    return (uint64_t)header->key_bytes * LUKS_STRIPES;
}

uint64_t luks_material_sectors(const struct luks_header *header)
{
    return div_round_up_u64(luks_material_bytes(header), LUKS_SECTOR_BYTES);
}

/* Sectors are counted in 32 bits and wrap, as in stock. */
static uint32_t slot_end(const struct luks_header *h, unsigned slot)
{
    return (uint32_t)(h->slots[slot].key_material_offset + luks_material_sectors(h));
}

static enum guest_err validate_slot(const struct luks_header *h, unsigned i,
                                    struct guest_err_detail *detail)
{
    const struct luks_slot *slot = &h->slots[i];
    uint32_t start = slot->key_material_offset;

    if (slot->stripes != LUKS_STRIPES)
        return luks_error_numbers(detail, LUKS_ERR_SLOT_STRIPES, i, slot->stripes);
    if (start < div_round_up_u64(LUKS_HEADER_BYTES, LUKS_SECTOR_BYTES))
        return luks_error_numbers(detail, LUKS_ERR_SLOT_HEADER, i, 0);
    if (slot->active != LUKS_SLOT_ACTIVE && slot->active != LUKS_SLOT_DISABLED)
        return luks_error_numbers(detail, LUKS_ERR_SLOT_STATE, i, 0);
    if (slot->active == LUKS_SLOT_ACTIVE && slot->iterations == 0)
        return luks_error_numbers(detail, LUKS_ERR_SLOT_ITERATIONS, i, 0);
    if (h->payload_offset != 0 && slot_end(h, i) > h->payload_offset)
        return luks_error_numbers(detail, LUKS_ERR_SLOT_PAYLOAD, i, 0);
    for (unsigned j = i + 1; j < LUKS_SLOTS; j++)
        if (start < slot_end(h, j) && h->slots[j].key_material_offset < slot_end(h, i))
            return luks_error_numbers(detail, LUKS_ERR_SLOT_OVERLAP, i, j);
    return GUEST_OK;
}

static enum guest_err validate(const struct luks_header *h, bool detached,
                               struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    if (memcmp(h->bytes, LUKS_MAGIC, LUKS_MAGIC_BYTES) != 0)
        return luks_error(detail, LUKS_ERR_NOT_LUKS);
    if (h->version != 1)
        return luks_error_numbers(detail, LUKS_ERR_VERSION, h->version, 0);
    if (h->cipher_name.len == LUKS_NAME_BYTES)
        return luks_error(detail, LUKS_ERR_CIPHER_NAME);
    if (h->cipher_mode.len == LUKS_NAME_BYTES)
        return luks_error(detail, LUKS_ERR_CIPHER_MODE);
    if (h->hash_spec.len == LUKS_NAME_BYTES)
        return luks_error(detail, LUKS_ERR_HASH_SPEC);
    if (!detached && h->payload_offset < LUKS_ALIGN_BYTES / LUKS_SECTOR_BYTES)
        return luks_error(detail, LUKS_ERR_PAYLOAD_HEADER);
    if (h->mk_digest_iter == 0)
        return luks_error(detail, LUKS_ERR_ITERATIONS);
    for (unsigned i = 0; i < LUKS_SLOTS && !err; i++)
        err = validate_slot(h, i, detail);
    return err;
}

/* Cuts *text at the first `mark`; what is behind it, or false when there is none. */
static bool split(struct span *text, char mark, struct span *out_rest)
{
    const uint8_t *at = text->len ? memchr(text->data, mark, text->len) : NULL;
    size_t before;

    if (!at)
        return false;
    before = (size_t)(at - text->data);
    if (!span_sub(*text, before + 1, text->len - before - 1, out_rest))
        return false;
    text->len = before;
    return true;
}

/* The cipher of a family by the bytes of the key in the header. */
static enum crypto_cipher find_cipher(struct span family, size_t key_bytes)
{
    for (unsigned i = 1; i < CRYPTO_CIPHER_NR; i++)
        if (span_equal_text(family, crypto_cipher_family((enum crypto_cipher)i)))
            return crypto_cipher_sibling((enum crypto_cipher)i, key_bytes);
    return CRYPTO_CIPHER_NONE;
}

static enum luks_err essiv_error(enum crypto_cipher cipher)
{
    const char *family = crypto_cipher_family(cipher);

    if (strcmp(family, "serpent") == 0)
        return LUKS_ERR_ESSIV_SERPENT;
    return strcmp(family, "twofish") == 0 ? LUKS_ERR_ESSIV_TWOFISH : LUKS_ERR_ESSIV_AES;
}

enum guest_err luks_spec_error(const struct crypto_spec *spec, enum crypto_verdict verdict,
                               struct guest_err_detail *detail)
{
    const char *name = crypto_cipher_name(spec->cipher), *mode = crypto_mode_name(spec->mode);

    switch (verdict) {
    case CRYPTO_FINE:
        return GUEST_OK;
    case CRYPTO_BAD_MODE:
        return luks_error_text(detail, LUKS_ERR_MODE_UNSUITED, span_of(mode, strlen(mode)), 0);
    case CRYPTO_ESSIV_KEY:
        return luks_error_numbers(detail, essiv_error(spec->cipher),
                                  crypto_hash_bytes(spec->ivgen_hash), 0);
    case CRYPTO_ESSIV_UNSUITED:
        return luks_error_text(detail, LUKS_ERR_ESSIV_UNSUITED, span_of(name, strlen(name)), 0);
    default:
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    }
}

enum guest_err luks_parse_cipher(struct span family, struct span mode, uint32_t key_bytes,
                                 struct crypto_spec *out, struct span *out_ivgen,
                                 struct guest_err_detail *detail)
{
    struct span hash;
    size_t cipher_bytes;

    memset(out, 0, sizeof(*out));
    out->sector_bytes = LUKS_SECTOR_BYTES;
    if (!split(&mode, '-', out_ivgen))
        return luks_error_text(detail, LUKS_ERR_MODE_FORM, mode, 0);
    if (split(out_ivgen, ':', &hash)) {
        out->ivgen_hash = crypto_hash_find((const char *)hash.data, hash.len);
        if (!out->ivgen_hash)
            return luks_error_text(detail, LUKS_ERR_HASH, hash, 0);
    }
    out->mode = crypto_mode_find((const char *)mode.data, mode.len);
    if (!out->mode)
        return luks_error_text(detail, LUKS_ERR_MODE, mode, 0);
    cipher_bytes = out->mode == CRYPTO_MODE_XTS ? key_bytes / 2 : key_bytes;
    out->cipher = find_cipher(family, cipher_bytes);
    if (!out->cipher)
        return luks_error_text(detail, LUKS_ERR_CIPHER, family, cipher_bytes);
    out->key_len = key_bytes & ~(out->mode == CRYPTO_MODE_XTS ? 1u : 0u);
    return GUEST_OK;
}

enum guest_err luks_parse_ivgen(struct span ivgen, struct crypto_spec *spec,
                                struct guest_err_detail *detail)
{
    spec->ivgen = crypto_ivgen_find((const char *)ivgen.data, ivgen.len);
    if (!spec->ivgen)
        return luks_error_text(detail, LUKS_ERR_IVGEN, ivgen, 0);
    if (spec->ivgen == CRYPTO_IVGEN_ESSIV && !spec->ivgen_hash)
        return luks_error(detail, LUKS_ERR_IVGEN_HASH);
    return GUEST_OK;
}

/* What the words of the header mean. */
static enum guest_err interpret(struct luks_header *h, struct guest_err_detail *detail)
{
    struct span ivgen;
    enum guest_err err =
        luks_parse_cipher(h->cipher_name, h->cipher_mode, h->key_bytes, &h->spec, &ivgen, detail);

    if (err)
        return err;
    h->hash = crypto_hash_find((const char *)h->hash_spec.data, h->hash_spec.len);
    if (!h->hash)
        return luks_error_text(detail, LUKS_ERR_HASH, h->hash_spec, 0);
    err = luks_parse_ivgen(ivgen, &h->spec, detail);
    if (err)
        return err;
    h->key_bytes = h->spec.key_len;
    return luks_spec_error(&h->spec, crypto_judge(&h->spec), detail);
}

enum guest_err luks_read_header(struct source *source, uint64_t offset, bool detached,
                                struct luks_header *out, struct guest_err_detail *detail)
{
    enum guest_err err = source_read_padded(source, offset, sizeof(out->bytes), out->bytes, detail);

    if (err)
        return err;
    decode(out);
    err = validate(out, detached, detail);
    return err ? err : interpret(out, detail);
}
