/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a passphrase to the volume key of a LUKS2 image.
 *
 * Slots are tried one after the other, those of high priority first. PBKDF2 is done here. Argon2
 * may want more memory than a cell that reads an image has: the host is asked to have that key
 * derived in a cell made for it, and opens the image again with what came out.
 * source: LUKS2 On-Disk Format Specification 1.1.1, sections 2.3, 3.2 and 3.5.
 */
#include "guest/formats/luks2.h"
#include "guest/formats/message.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* What came of a slot. */
enum outcome {
    OUTCOME_MATCH,
    OUTCOME_OTHER,     /* the passphrase is not this slot's */
    OUTCOME_TOO_MUCH,  /* it costs more than is allowed */
    OUTCOME_ELSEWHERE, /* the host must have the key derived */
};

struct attempt {
    struct source *source;
    struct luks2 *luks;
    const Abi__OpenRequest *request;
    struct span password;
    Abi__Derivation **ask;
};

/* ---- the key of a slot's area ---- */

static bool is_argon2(const struct luks2_kdf *kdf, enum argon2_type *out)
{
    *out = luks2_word_is(&kdf->type, "argon2id") ? ARGON2_ID : ARGON2_I;
    return *out == ARGON2_ID || luks2_word_is(&kdf->type, "argon2i");
}

static enum guest_err ask_host(const struct attempt *a, unsigned slot, enum argon2_type type,
                               struct guest_err_detail *detail)
{
    const struct luks2_keyslot *s = &a->luks->keyslots[slot];
    Abi__Derivation *ask = malloc(sizeof(*ask));

    if (!ask)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__derivation__init(ask);
    *a->ask = ask;
    ask->slot = slot;
    ask->type = type;
    ask->passes = (uint32_t)s->kdf.time;
    ask->memory_kib = (uint32_t)s->kdf.memory;
    ask->lanes = (uint32_t)s->kdf.cpus;
    ask->key_len = (uint32_t)s->area_key_size;
    return message_set_bytes(&ask->salt, span_of(s->kdf.salt.data, s->kdf.salt.len))
               ? GUEST_OK
               : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

/* A key that the host brought. */
static bool brought(const struct attempt *a, unsigned slot, struct crypto_spec *area)
{
    for (size_t i = 0; i < a->request->n_derived; i++) {
        const Abi__DerivedKey *key = a->request->derived[i];

        if (key->slot != slot || key->key.len != area->key_len)
            continue;
        memcpy(area->key, key->key.data, area->key_len);
        return true;
    }
    return false;
}

/* The key of the area, from the passphrase. */
static enum guest_err derive(const struct attempt *a, unsigned slot, struct crypto_spec *area,
                             enum outcome *out, struct guest_err_detail *detail)
{
    const struct luks2_kdf *kdf = &a->luks->keyslots[slot].kdf;
    enum argon2_type type;

    *out = OUTCOME_OTHER;
    if (is_argon2(kdf, &type)) {
        if (kdf->time == 0 || kdf->cpus == 0 || kdf->cpus > ARGON2_LANES_MAX ||
            kdf->memory < 8 * kdf->cpus)
            return luks_error_numbers(detail, LUKS2_ERR_SLOT, slot, 0);
        if (!derive_cost_allowed(kdf->memory, kdf->time)) {
            *out = OUTCOME_TOO_MUCH;
            return GUEST_OK;
        }
        if (brought(a, slot, area))
            return GUEST_OK;
        *out = OUTCOME_ELSEWHERE;
        return ask_host(a, slot, type, detail);
    }
    if (!luks2_word_is(&kdf->type, "pbkdf2"))
        return luks_error_text(detail, LUKS2_ERR_KDF, luks2_word_span(&kdf->type), 0);
    if (!kdf->hash || kdf->iterations == 0)
        return luks_error_numbers(detail, LUKS2_ERR_SLOT, slot, 0);
    if (kdf->iterations > DERIVE_ITERATIONS_MAX) {
        *out = OUTCOME_TOO_MUCH;
        return GUEST_OK;
    }
    crypto_pbkdf2(kdf->hash, a->password.data, a->password.len, kdf->salt.data, kdf->salt.len,
                  (uint32_t)kdf->iterations, area->key, area->key_len);
    return GUEST_OK;
}

/* ---- the volume key ---- */

static bool is_volume_key(const struct luks2_digest *digest, const uint8_t *key, size_t len)
{
    uint8_t found[LUKS2_SALT_MAX];

    crypto_pbkdf2(digest->hash, key, len, digest->salt.data, digest->salt.len,
                  (uint32_t)digest->iterations, found, digest->digest.len);
    return crypto_equal(found, digest->digest.data, digest->digest.len);
}

/* Decrypts the area and merges its stripes. */
static enum guest_err open_area(const struct attempt *a, unsigned slot,
                                const struct crypto_spec *area, bool *out_match,
                                struct guest_err_detail *detail)
{
    const struct luks2_keyslot *s = &a->luks->keyslots[slot];
    struct crypto_spec *volume = &a->luks->spec;
    uint64_t len =
        div_round_up_u64(s->key_size * LUKS_STRIPES, LUKS_SECTOR_BYTES) * LUKS_SECTOR_BYTES;
    struct sector_cipher *cipher = sector_cipher_new(area);
    uint8_t *material = arena_bytes(len);
    enum guest_err err = cipher && material
                             ? source_read_padded(a->source, s->area_offset, len, material, detail)
                             : err_plain(detail, GUEST_ERR_NO_MEMORY);

    *out_match = false;
    if (!err) {
        sector_cipher_decrypt(cipher, 0, material, len);
        luks_merge(s->af_hash, volume->key_len, material, volume->key);
        *out_match = is_volume_key(a->luks->digest, volume->key, volume->key_len);
        crypto_wipe(material, len);
    }
    sector_cipher_free(cipher);
    free(material);
    return err;
}

static enum guest_err validate_slot(const struct luks2 *luks, unsigned slot,
                                    struct guest_err_detail *detail)
{
    const struct luks2_keyslot *s = &luks->keyslots[slot];

    if (!luks2_word_is(&s->type, "luks2") || !luks2_word_is(&s->af_type, "luks1") ||
        !luks2_word_is(&s->area_type, "raw") || s->stripes != LUKS_STRIPES || !s->af_hash ||
        s->key_size != luks->spec.key_len || s->area_key_size == 0 ||
        s->area_key_size > CRYPTO_KEY_MAX || s->area_offset < 2 * luks->hdr_size ||
        s->area_offset > INT64_MAX || s->area_size < s->key_size * LUKS_STRIPES)
        return luks_error_numbers(detail, LUKS2_ERR_SLOT, slot, 0);
    return GUEST_OK;
}

static enum guest_err try_slot(const struct attempt *a, unsigned slot, enum outcome *out,
                               struct guest_err_detail *detail)
{
    const struct luks2_keyslot *s = &a->luks->keyslots[slot];
    struct crypto_spec area;
    bool match = false;
    enum guest_err err = validate_slot(a->luks, slot, detail);

    if (!err)
        err = luks2_parse_encryption(&s->area_encryption, (uint32_t)s->area_key_size,
                                     LUKS_SECTOR_BYTES, &area, detail);
    if (!err)
        err = derive(a, slot, &area, out, detail);
    if (!err && *out == OUTCOME_OTHER) {
        err = open_area(a, slot, &area, &match, detail);
        *out = match ? OUTCOME_MATCH : OUTCOME_OTHER;
    }
    crypto_wipe(&area, sizeof(area));
    return err;
}

/* Whether a slot is to be tried in this round. */
static bool is_due(const struct luks2 *luks, unsigned slot, bool high)
{
    const struct luks2_keyslot *s = &luks->keyslots[slot];

    return s->present && (luks->digest->keyslots >> slot & 1) &&
           s->priority != LUKS2_PRIORITY_NONE && (s->priority == LUKS2_PRIORITY_HIGH) == high;
}

static enum guest_err too_much(const struct luks2 *luks, unsigned slot,
                               struct guest_err_detail *detail)
{
    const struct luks2_kdf *kdf = &luks->keyslots[slot].kdf;
    enum argon2_type type;

    if (is_argon2(kdf, &type))
        return err_numbers(detail, (enum guest_err)LUKS2_ERR_COST, slot, kdf->memory, kdf->time, 0);
    return luks_error_numbers(detail, LUKS2_ERR_ITERATIONS, slot, kdf->iterations);
}

enum guest_err luks2_unlock(struct source *source, struct luks2 *luks,
                            const Abi__OpenRequest *request, Abi__Derivation **ask,
                            struct guest_err_detail *detail)
{
    const struct attempt a = {
        .source = source,
        .luks = luks,
        .request = request,
        .password = span_of(request->secret->data.data, request->secret->data.len),
        .ask = ask,
    };
    unsigned refused = LUKS2_KEYSLOTS_MAX;

    for (unsigned i = 0; i < 2 * LUKS2_KEYSLOTS_MAX; i++) {
        unsigned slot = i % LUKS2_KEYSLOTS_MAX;
        enum outcome outcome;
        enum guest_err err;

        if (!is_due(luks, slot, i < LUKS2_KEYSLOTS_MAX))
            continue;
        err = try_slot(&a, slot, &outcome, detail);
        if (err || outcome == OUTCOME_MATCH)
            return err;
        if (outcome == OUTCOME_ELSEWHERE)
            return GUEST_OK;
        if (outcome == OUTCOME_TOO_MUCH)
            refused = slot;
    }
    crypto_wipe(luks->spec.key, sizeof(luks->spec.key));
    return refused < LUKS2_KEYSLOTS_MAX ? too_much(luks, refused, detail)
                                        : luks_error(detail, LUKS_ERR_PASSWORD);
}
