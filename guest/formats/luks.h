/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LUKS version 1, as a format of its own and inside qcow2; version 2 is in luks2.h.
 *
 *   luks_header.c  decoding the header, and its rules
 *   luks_unlock.c  from a passphrase and a key slot to the master key, and back
 *   luks_info.c    what `info` shows
 *   luks.c         the driver
 */
#ifndef INSTAR_GUEST_FORMATS_LUKS_H
#define INSTAR_GUEST_FORMATS_LUKS_H

#include "crypto/sector_cipher.h"
#include "guest/abi/error_luks.h"
#include "guest/formats/format.h"
#include "guest/formats/luks_layout.h"

struct luks_slot {
    uint32_t active;
    uint32_t iterations;
    uint8_t salt[LUKS_SALT_BYTES];
    uint32_t key_material_offset; /* sectors */
    uint32_t stripes;
};

/* The header, with the specification's names, and what its words mean. */
struct luks_header {
    uint8_t bytes[LUKS_HEADER_BYTES]; /* as on disk */
    uint16_t version;
    struct span cipher_name; /* into bytes, up to the NUL */
    struct span cipher_mode;
    struct span hash_spec;
    uint32_t payload_offset; /* sectors */
    uint32_t key_bytes;
    uint8_t mk_digest[LUKS_DIGEST_BYTES];
    uint8_t mk_digest_salt[LUKS_SALT_BYTES];
    uint32_t mk_digest_iter;
    struct span uuid;
    struct luks_slot slots[LUKS_SLOTS];

    struct crypto_spec spec; /* without a key */
    enum crypto_hash hash;
};

static inline enum guest_err luks_error_numbers(struct guest_err_detail *detail, enum luks_err code,
                                                uint64_t n0, uint64_t n1)
{
    return err_numbers(detail, (enum guest_err)(int)code, n0, n1, 0, 0);
}

static inline enum guest_err luks_error(struct guest_err_detail *detail, enum luks_err code)
{
    return luks_error_numbers(detail, code, 0, 0);
}

static inline enum guest_err luks_error_text(struct guest_err_detail *detail, enum luks_err code,
                                             struct span text, uint64_t n0)
{
    return err_text(detail, (enum guest_err)(int)code, text, n0);
}

/* ---- luks_header.c ---- */

/*
 * Reads a header and checks it, rule by rule in stock's order.
 *
 * in:      offset: of the header in the source, bytes; detached: the disk is in another file, and
 *          may start at its start
 * out:     *out; spans point into it, so that it must not be moved
 * returns: LUKS_ERR_*; GUEST_ERR_IO
 */
enum guest_err luks_read_header(struct source *source, uint64_t offset, bool detached,
                                struct luks_header *out, struct guest_err_detail *detail);

/* Where the header of a node of format luks is: in its file, or in one of its own. */
static inline struct source *luks_header_source(const struct node *node)
{
    return node->source->header ? node->source->header : node->source;
}

/* Bytes of one slot's key material, and the whole sectors that it takes. */
uint64_t luks_material_bytes(const struct luks_header *header);
uint64_t luks_material_sectors(const struct luks_header *header);

/* Puts what crypto_judge found into the words of an error. */
enum guest_err luks_spec_error(const struct crypto_spec *spec, enum crypto_verdict verdict,
                               struct guest_err_detail *detail);

/*
 * What the words of a header mean: the family and mode, and of the mode's text what stands behind
 * the dash.
 *
 * out:     *out without a key, for sectors of 512 bytes; *out_ivgen for luks_parse_ivgen
 */
enum guest_err luks_parse_cipher(struct span family, struct span mode, uint32_t key_bytes,
                                 struct crypto_spec *out, struct span *out_ivgen,
                                 struct guest_err_detail *detail);
enum guest_err luks_parse_ivgen(struct span ivgen, struct crypto_spec *spec,
                                struct guest_err_detail *detail);

/* ---- luks_unlock.c ---- */

/*
 * Puts a key together from its LUKS_STRIPES stripes.
 *
 * in:      material: LUKS_STRIPES * key_bytes bytes
 * out:     key: key_bytes bytes
 */
void luks_merge(enum crypto_hash hash, size_t key_bytes, const uint8_t *material, uint8_t *key);

/* Who asks for a key, for the sentence when there is none: "" or "encrypt.". */
enum guest_err luks_need_secret(const Abi__Secret *secret, const char *prefix,
                                struct guest_err_detail *detail);

/*
 * Tries a passphrase on one slot.
 *
 * in:      offset: of the header in the source, bytes; slot: active
 * out:     key: header->key_bytes bytes of master key, when *out_match
 * returns: GUEST_OK; LUKS2_ERR_ITERATIONS for more than DERIVE_ITERATIONS_MAX of the slot or the
 *          key's digest; GUEST_ERR_NO_MEMORY; what reading the material gives
 * bound:   linear in the slot's iterations
 */
enum guest_err luks_try_slot(struct source *source, uint64_t offset,
                             const struct luks_header *header, unsigned slot, struct span password,
                             uint8_t *key, bool *out_match, struct guest_err_detail *detail);

/*
 * Tries a passphrase on every active slot.
 *
 * out:     header->spec has its key; *out_slot which slot it came from, may be NULL
 * returns: LUKS_ERR_PASSWORD when it fits none
 */
enum guest_err luks_unlock(struct source *source, uint64_t offset, struct luks_header *header,
                           struct span password, unsigned *out_slot,
                           struct guest_err_detail *detail);

/*
 * Makes a slot's key material: the master key split, and encrypted with a key from the passphrase.
 *
 * in:      salt, iterations: the slot's; split: random bytes, luks_material_bytes, used up
 * out:     the material, in place of split; its buffer has luks_material_sectors sectors
 */
enum guest_err luks_make_material(const struct luks_header *header, const uint8_t *key,
                                  struct span password, const uint8_t *salt, uint32_t iterations,
                                  uint8_t *split, struct guest_err_detail *detail);

/* ---- luks_info.c ---- */

/* Fills in the words and the UUID, of either version; false when out of memory. */
bool luks_fill_words(const struct crypto_spec *spec, enum crypto_hash hash, struct span uuid,
                     Abi__LuksInfo *out);

/* Adds the header to the reply of INFO. */
enum guest_err luks_fill_info(const struct luks_header *header, bool detached,
                              Abi__InfoReply *reply, struct guest_err_detail *detail);

/* ---- luks.c ---- */

/* The driver's state. */
struct luks {
    struct luks_header header;
    uint64_t payload_bytes; /* of the blob before the disk begins */
    struct luks2 *v2;       /* version 2: instead of header; else NULL */
};

#endif
