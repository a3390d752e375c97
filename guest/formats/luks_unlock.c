/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a passphrase to the master key of a LUKS1 header, and the other way round.
 *
 * A slot holds the master key in 4000 stripes that only together give it back, encrypted with a key
 * derived from the passphrase. Whether the key is right is known from its digest in the header.
 * source: LUKS1 On-Disk Format Specification 1.2.3, sections 2.4 (anti-forensic splitter) and 4.
 */
#include "guest/abi/derive.h"
#include "guest/formats/luks.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static void mix(uint8_t *block, const uint8_t *with, size_t len)
{
    for (size_t i = 0; i < len; i++)
        block[i] ^= with[i];
}

/* Each digest's worth of the block becomes the hash of its number and itself. */
static void diffuse(enum crypto_hash hash, uint8_t *block, size_t len)
{
    size_t digest_len = crypto_hash_bytes(hash);
    uint8_t digest[CRYPTO_DIGEST_MAX], number[4];

    for (size_t at = 0; at < len; at += digest_len) {
        size_t part = min_u64(digest_len, len - at);

        store_be32(number, (uint32_t)(at / digest_len));
        crypto_hash_two(hash, number, sizeof(number), block + at, part, digest);
        memcpy(block + at, digest, part);
    }
}

/* The last block of the splitter before the stripe that makes up for it. */
static void gather(enum crypto_hash hash, size_t key_bytes, const uint8_t *stripes, uint8_t *block)
{
    memset(block, 0, key_bytes);
    for (unsigned i = 0; i + 1 < LUKS_STRIPES; i++) {
        mix(block, stripes + (size_t)i * key_bytes, key_bytes);
        diffuse(hash, block, key_bytes);
    }
}

void luks_merge(enum crypto_hash hash, size_t key_bytes, const uint8_t *material, uint8_t *key)
{
    gather(hash, key_bytes, material, key);
    mix(key, material + (size_t)(LUKS_STRIPES - 1) * key_bytes, key_bytes);
}

/* The cipher of a slot's key material. */
static struct sector_cipher *slot_cipher(const struct luks_header *header, struct span password,
                                         const uint8_t *salt, uint32_t iterations)
{
    struct crypto_spec spec = header->spec;
    struct sector_cipher *cipher;

    crypto_pbkdf2(header->hash, password.data, password.len, salt, LUKS_SALT_BYTES, iterations,
                  spec.key, header->key_bytes);
    cipher = sector_cipher_new(&spec);
    crypto_wipe(&spec, sizeof(spec));
    return cipher;
}

static bool is_master_key(const struct luks_header *header, const uint8_t *key)
{
    uint8_t digest[LUKS_DIGEST_BYTES];

    crypto_pbkdf2(header->hash, key, header->key_bytes, header->mk_digest_salt, LUKS_SALT_BYTES,
                  header->mk_digest_iter, digest, sizeof(digest));
    return crypto_equal(digest, header->mk_digest, sizeof(digest));
}

/* Whether finding out if a passphrase opens the slot costs less than a cell's time. */
static bool is_affordable(const struct luks_header *header, unsigned slot)
{
    return header->slots[slot].iterations <= DERIVE_ITERATIONS_MAX &&
           header->mk_digest_iter <= DERIVE_ITERATIONS_MAX;
}

enum guest_err luks_try_slot(struct source *source, uint64_t offset,
                             const struct luks_header *header, unsigned slot, struct span password,
                             uint8_t *key, bool *out_match, struct guest_err_detail *detail)
{
    const struct luks_slot *s = &header->slots[slot];
    uint64_t len = luks_material_sectors(header) * LUKS_SECTOR_BYTES;
    uint64_t at = offset + (uint64_t)s->key_material_offset * LUKS_SECTOR_BYTES;
    struct sector_cipher *cipher;
    uint8_t *material;
    enum guest_err err;

    *out_match = false;
    if (!is_affordable(header, slot))
        return luks_error_numbers(detail, LUKS2_ERR_ITERATIONS, slot,
                                  max_u64(s->iterations, header->mk_digest_iter));
    material = arena_bytes(len);
    if (!material)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = source_read_padded(source, at, len, material, detail);
    if (err) {
        free(material);
        return err;
    }
    cipher = slot_cipher(header, password, s->salt, s->iterations);
    if (cipher) {
        sector_cipher_decrypt(cipher, 0, material, len);
        luks_merge(header->hash, header->key_bytes, material, key);
        *out_match = is_master_key(header, key);
    }
    sector_cipher_free(cipher);
    crypto_wipe(material, len);
    free(material);
    return cipher ? GUEST_OK : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

enum guest_err luks_unlock(struct source *source, uint64_t offset, struct luks_header *header,
                           struct span password, unsigned *out_slot,
                           struct guest_err_detail *detail)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        enum guest_err err;
        bool match;

        if (header->slots[i].active != LUKS_SLOT_ACTIVE)
            continue;
        err = luks_try_slot(source, offset, header, i, password, header->spec.key, &match, detail);
        if (err)
            return err;
        if (match) {
            if (out_slot)
                *out_slot = i;
            return GUEST_OK;
        }
    }
    crypto_wipe(header->spec.key, sizeof(header->spec.key));
    return luks_error(detail, LUKS_ERR_PASSWORD);
}

enum guest_err luks_make_material(const struct luks_header *header, const uint8_t *key,
                                  struct span password, const uint8_t *salt, uint32_t iterations,
                                  uint8_t *split, struct guest_err_detail *detail)
{
    uint64_t bytes = luks_material_bytes(header);
    uint64_t len = luks_material_sectors(header) * LUKS_SECTOR_BYTES;
    uint8_t *last = split + (size_t)(LUKS_STRIPES - 1) * header->key_bytes;
    struct sector_cipher *cipher = slot_cipher(header, password, salt, iterations);

    if (!cipher)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    gather(header->hash, header->key_bytes, split, last);
    mix(last, key, header->key_bytes);
    memset(split + bytes, 0, len - bytes);
    sector_cipher_encrypt(cipher, 0, split, len);
    sector_cipher_free(cipher);
    return GUEST_OK;
}

enum guest_err luks_need_secret(const Abi__Secret *secret, const char *prefix,
                                struct guest_err_detail *detail)
{
    struct span id;

    if (!secret)
        return luks_error_text(detail, LUKS_ERR_NO_KEY, span_of(prefix, strlen(prefix)), 0);
    id = span_of(secret->id, strlen(secret->id));
    if (!secret->known)
        return luks_error_text(detail, LUKS_ERR_NO_SECRET, id, 0);
    return secret->text ? GUEST_OK : luks_error_text(detail, LUKS_ERR_SECRET_TEXT, id, 0);
}
