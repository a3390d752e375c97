/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of a LUKS2 header: taken apart into paths and values, put into a struct, checked.
 *
 * Objects are numbered, their members known by name; members that are not known (tokens, labels of
 * other tools) are passed over. source: LUKS2 On-Disk Format Specification 1.1.1, section 3.
 */
#include "guest/formats/json.h"
#include "guest/formats/luks2.h"
#include "guest/lib/checked.h"

#define OPTIONS_MAX 4096u /* 32 key slots have some 20 members each */

/* ---- values ---- */

static bool take_word(struct luks2_word *out, struct span value)
{
    if (value.len > sizeof(out->text))
        return false;
    memcpy(out->text, value.data, value.len);
    out->len = value.len;
    return true;
}

/* Digits, and nothing else. */
static bool take_number(uint64_t *out, struct span value)
{
    uint64_t number = 0;

    if (value.len == 0 || value.len > 20)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];

        if (c < '0' || c > '9' || !mul_u64(number, 10, &number) ||
            !add_u64(number, c - '0', &number))
            return false;
    }
    *out = number;
    return true;
}

static bool take_hash(enum crypto_hash *out, struct span value)
{
    *out = crypto_hash_find((const char *)value.data, value.len);
    return value.len <= LUKS2_WORD_MAX;
}

static int base64_digit(uint8_t c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? memchr(digits, c, sizeof(digits) - 1) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* source: RFC 4648, section 4 */
static bool take_base64(struct luks2_bytes *out, struct span value)
{
    uint32_t bits = 0;
    unsigned nr_bits = 0;

    out->len = 0;
    while (value.len > 0 && value.data[value.len - 1] == '=')
        value.len--;
    for (size_t i = 0; i < value.len; i++) {
        int digit = base64_digit(value.data[i]);

        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        nr_bits += 6;
        if (nr_bits < 8)
            continue;
        nr_bits -= 8;
        if (out->len == sizeof(out->data))
            return false;
        out->data[out->len++] = (uint8_t)(bits >> nr_bits);
    }
    return true;
}

/* ---- paths ---- */

/* Cuts the first member off a path: "keyslots.0.kdf" gives "keyslots" and leaves "0.kdf". */
static struct span next_member(struct span *path)
{
    const uint8_t *dot = path->len ? memchr(path->data, '.', path->len) : NULL;
    size_t len = dot ? (size_t)(dot - path->data) : path->len;
    struct span member = span_of(path->data, len);

    *path = dot ? span_of(dot + 1, path->len - len - 1) : span_of(path->data, 0);
    return member;
}

/* The number of an object; false when it is none, or too large. */
static bool next_number(struct span *path, unsigned limit, unsigned *out)
{
    uint64_t number;

    if (!take_number(&number, next_member(path)) || number >= limit)
        return false;
    *out = (unsigned)number;
    return true;
}

/* ---- objects; each returns false for a value that cannot be ---- */

static bool take_kdf(struct luks2_kdf *kdf, struct span path, struct span value)
{
    if (span_equal_text(path, "type"))
        return take_word(&kdf->type, value);
    if (span_equal_text(path, "hash"))
        return take_hash(&kdf->hash, value);
    if (span_equal_text(path, "iterations"))
        return take_number(&kdf->iterations, value);
    if (span_equal_text(path, "time"))
        return take_number(&kdf->time, value);
    if (span_equal_text(path, "memory"))
        return take_number(&kdf->memory, value);
    if (span_equal_text(path, "cpus"))
        return take_number(&kdf->cpus, value);
    return span_equal_text(path, "salt") ? take_base64(&kdf->salt, value) : true;
}

static bool take_keyslot(struct luks2_keyslot *slot, struct span path, struct span value)
{
    struct span rest = path;

    if (!slot->present) {
        slot->present = true;
        slot->priority = 1;
    }
    if (span_equal_text(next_member(&rest), "kdf"))
        return take_kdf(&slot->kdf, rest, value);
    if (span_equal_text(path, "type"))
        return take_word(&slot->type, value);
    if (span_equal_text(path, "priority"))
        return take_number(&slot->priority, value);
    if (span_equal_text(path, "key_size"))
        return take_number(&slot->key_size, value);
    if (span_equal_text(path, "af.type"))
        return take_word(&slot->af_type, value);
    if (span_equal_text(path, "af.stripes"))
        return take_number(&slot->stripes, value);
    if (span_equal_text(path, "af.hash"))
        return take_hash(&slot->af_hash, value);
    if (span_equal_text(path, "area.type"))
        return take_word(&slot->area_type, value);
    if (span_equal_text(path, "area.offset"))
        return take_number(&slot->area_offset, value);
    if (span_equal_text(path, "area.size"))
        return take_number(&slot->area_size, value);
    if (span_equal_text(path, "area.encryption"))
        return take_word(&slot->area_encryption, value);
    return span_equal_text(path, "area.key_size") ? take_number(&slot->area_key_size, value) : true;
}

/* An element of a list of numbers. */
static bool take_member(uint32_t *set, struct span value, unsigned limit)
{
    uint64_t number;

    if (!take_number(&number, value) || number >= limit)
        return false;
    *set |= UINT32_C(1) << number;
    return true;
}

static bool take_digest(struct luks2_digest *digest, struct span path, struct span value)
{
    struct span rest = path, member = next_member(&rest);

    digest->present = true;
    if (span_equal_text(member, "keyslots"))
        return take_member(&digest->keyslots, value, LUKS2_KEYSLOTS_MAX);
    if (span_equal_text(member, "segments"))
        return take_member(&digest->segments, value, LUKS2_SEGMENTS_MAX);
    if (span_equal_text(path, "type"))
        return take_word(&digest->type, value);
    if (span_equal_text(path, "hash"))
        return take_hash(&digest->hash, value);
    if (span_equal_text(path, "iterations"))
        return take_number(&digest->iterations, value);
    if (span_equal_text(path, "salt"))
        return take_base64(&digest->salt, value);
    return span_equal_text(path, "digest") ? take_base64(&digest->digest, value) : true;
}

static bool take_segment(struct luks2_segment *segment, struct span path, struct span value)
{
    struct span rest = path, member = next_member(&rest);

    segment->present = true;
    if (span_equal_text(member, "integrity"))
        segment->integrity = true;
    if (span_equal_text(member, "flags") && span_starts_with(value, "backup-"))
        segment->backup = true;
    if (span_equal_text(path, "type"))
        return take_word(&segment->type, value);
    if (span_equal_text(path, "offset"))
        return take_number(&segment->offset, value);
    if (span_equal_text(path, "size")) {
        segment->dynamic = span_equal_text(value, "dynamic");
        return segment->dynamic || take_number(&segment->size, value);
    }
    if (span_equal_text(path, "iv_tweak"))
        return take_number(&segment->iv_tweak, value);
    if (span_equal_text(path, "encryption"))
        return take_word(&segment->encryption, value);
    return span_equal_text(path, "sector_size") ? take_number(&segment->sector_size, value) : true;
}

static bool take_config(struct luks2 *luks, struct span path, struct span value)
{
    struct span rest = path;

    if (span_equal_text(next_member(&rest), "requirements") &&
        span_equal_text(next_member(&rest), "mandatory"))
        return take_word(&luks->requirement, value);
    return true;
}

static bool take_option(void *user, struct span key, struct span value)
{
    struct luks2 *luks = user;
    struct span path = key, object = next_member(&path);
    unsigned i;

    if (span_equal_text(object, "config"))
        return take_config(luks, path, value);
    if (span_equal_text(object, "keyslots"))
        return next_number(&path, LUKS2_KEYSLOTS_MAX, &i) &&
               take_keyslot(&luks->keyslots[i], path, value);
    if (span_equal_text(object, "digests"))
        return next_number(&path, LUKS2_DIGESTS_MAX, &i) &&
               take_digest(&luks->digests[i], path, value);
    if (span_equal_text(object, "segments"))
        return next_number(&path, LUKS2_SEGMENTS_MAX, &i) &&
               take_segment(&luks->segments[i], path, value);
    return true;
}

/* ---- rules ---- */

/* The segment that is the disk. */
static enum guest_err find_segment(struct luks2 *luks, struct guest_err_detail *detail)
{
    unsigned found = 0;

    for (unsigned i = 0; i < LUKS2_SEGMENTS_MAX; i++) {
        const struct luks2_segment *segment = &luks->segments[i];

        if (!segment->present || segment->backup)
            continue;
        if (!luks2_word_is(&segment->type, "crypt"))
            return luks_error_text(detail, LUKS2_ERR_SEGMENT_TYPE, luks2_word_span(&segment->type),
                                   i);
        luks->segment = segment;
        found++;
    }
    if (found != 1)
        return luks_error_numbers(detail, LUKS2_ERR_SEGMENTS, found, 0);
    for (unsigned i = 0; i < LUKS2_DIGESTS_MAX; i++) {
        const struct luks2_digest *digest = &luks->digests[i];

        if (digest->present && digest->segments >> (luks->segment - luks->segments) & 1)
            luks->digest = digest;
    }
    return luks->digest ? GUEST_OK : luks_error(detail, LUKS2_ERR_NO_DIGEST);
}

static enum guest_err validate_segment(const struct luks2_segment *segment,
                                       struct guest_err_detail *detail)
{
    uint64_t unit = segment->sector_size;

    if (segment->integrity)
        return luks_error(detail, LUKS2_ERR_INTEGRITY);
    if (unit < CRYPTO_IV_SECTOR || unit > CRYPTO_SECTOR_BYTES_MAX || (unit & (unit - 1)) != 0)
        return luks_error_numbers(detail, LUKS2_ERR_SECTOR, unit, 0);
    if (segment->offset % CRYPTO_IV_SECTOR != 0 || segment->offset > INT64_MAX ||
        segment->iv_tweak > INT64_MAX / CRYPTO_IV_SECTOR ||
        segment->iv_tweak * CRYPTO_IV_SECTOR % unit != 0 ||
        (!segment->dynamic && (segment->size % unit != 0 || segment->size > INT64_MAX)))
        return luks_error(detail, LUKS2_ERR_METADATA);
    return GUEST_OK;
}

static enum guest_err validate_digest(const struct luks2_digest *digest,
                                      struct guest_err_detail *detail)
{
    if (!luks2_word_is(&digest->type, "pbkdf2"))
        return luks_error_text(detail, LUKS2_ERR_KDF, luks2_word_span(&digest->type), 0);
    if (!digest->hash || digest->iterations == 0 || digest->iterations > DERIVE_ITERATIONS_MAX ||
        digest->salt.len == 0 || digest->digest.len == 0)
        return luks_error(detail, LUKS2_ERR_METADATA);
    return GUEST_OK;
}

/* The cipher of the segment; the length of the key is that of the slots that hold it. */
static enum guest_err settle_cipher(struct luks2 *luks, struct guest_err_detail *detail)
{
    uint64_t key_size = 0;

    for (unsigned i = 0; i < LUKS2_KEYSLOTS_MAX; i++)
        if (luks->keyslots[i].present && luks->digest->keyslots >> i & 1)
            key_size = luks->keyslots[i].key_size;
    if (key_size == 0)
        return luks_error(detail, LUKS_ERR_PASSWORD); /* no slot is left */
    if (key_size > CRYPTO_KEY_MAX)
        return luks_error(detail, LUKS2_ERR_METADATA);
    return luks2_parse_encryption(&luks->segment->encryption, (uint32_t)key_size,
                                  (uint32_t)luks->segment->sector_size, &luks->spec, detail);
}

enum guest_err luks2_parse_encryption(const struct luks2_word *word, uint32_t key_bytes,
                                      uint32_t sector_bytes, struct crypto_spec *out,
                                      struct guest_err_detail *detail)
{
    struct span mode = luks2_word_span(word), family, ivgen;
    const uint8_t *dash = mode.len ? memchr(mode.data, '-', mode.len) : NULL;
    enum guest_err err;

    if (!dash)
        return luks_error_text(detail, LUKS_ERR_MODE_FORM, mode, 0);
    family = span_of(mode.data, (size_t)(dash - mode.data));
    mode = span_of(dash + 1, mode.len - family.len - 1);
    err = luks_parse_cipher(family, mode, key_bytes, out, &ivgen, detail);
    if (!err)
        err = luks_parse_ivgen(ivgen, out, detail);
    if (err)
        return err;
    out->sector_bytes = sector_bytes;
    return luks_spec_error(out, crypto_judge(out), detail);
}

enum guest_err luks2_decode(struct span json, struct luks2 *out, struct guest_err_detail *detail)
{
    const struct json_limits limits = {.text = LUKS2_SIZE_MAX, .options = OPTIONS_MAX};
    enum guest_err err;

    if (!json_flatten_within(json, &limits, take_option, out))
        return luks_error(detail, LUKS2_ERR_METADATA);
    if (out->requirement.len)
        return luks_error_text(detail, LUKS2_ERR_REQUIREMENT, luks2_word_span(&out->requirement),
                               0);
    err = find_segment(out, detail);
    if (!err)
        err = validate_segment(out->segment, detail);
    if (!err)
        err = validate_digest(out->digest, detail);
    return err ? err : settle_cipher(out, detail);
}
