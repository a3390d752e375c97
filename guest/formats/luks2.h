/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LUKS version 2, for reading.
 *
 *   luks2_header.c    two copies of the header: which one holds
 *   luks2_metadata.c  the JSON in it, and its rules
 *   luks2_unlock.c    from a passphrase to the volume key
 *   luks2_info.c      what `info` shows
 *
 * Left out on purpose: writing, images that are being reencrypted, integrity protection, hardware
 * encryption (OPAL), more than one data segment. Each is refused by name.
 */
#ifndef INSTAR_GUEST_FORMATS_LUKS2_H
#define INSTAR_GUEST_FORMATS_LUKS2_H

#include "crypto/argon2.h"
#include "guest/abi/derive.h"
#include "guest/formats/luks.h"
#include "guest/formats/luks2_layout.h"

/* A word of the metadata: a cipher, a type. */
struct luks2_word {
    uint8_t text[LUKS2_WORD_MAX];
    size_t len;
};

static inline struct span luks2_word_span(const struct luks2_word *word)
{
    return span_of(word->text, word->len);
}

static inline bool luks2_word_is(const struct luks2_word *word, const char *text)
{
    return span_equal_text(luks2_word_span(word), text);
}

struct luks2_bytes {
    uint8_t data[LUKS2_SALT_MAX];
    size_t len;
};

struct luks2_kdf {
    struct luks2_word type;      /* "pbkdf2", "argon2i", "argon2id" */
    enum crypto_hash hash;       /* pbkdf2 */
    uint64_t iterations;         /* pbkdf2 */
    uint64_t time, memory, cpus; /* argon2: passes, KiB, lanes */
    struct luks2_bytes salt;
};

struct luks2_keyslot {
    bool present;
    struct luks2_word type; /* "luks2" */
    uint64_t priority;
    uint64_t key_size; /* of the volume key, bytes */
    struct luks2_word af_type;
    uint64_t stripes;
    enum crypto_hash af_hash;
    struct luks2_word area_type;
    uint64_t area_offset, area_size; /* bytes */
    struct luks2_word area_encryption;
    uint64_t area_key_size; /* bytes */
    struct luks2_kdf kdf;
};

struct luks2_digest {
    bool present;
    struct luks2_word type;      /* "pbkdf2" */
    uint32_t keyslots, segments; /* bit i: the one with that number */
    enum crypto_hash hash;
    uint64_t iterations;
    struct luks2_bytes salt, digest;
};

struct luks2_segment {
    bool present;
    struct luks2_word type; /* "crypt" */
    uint64_t offset;        /* bytes */
    bool dynamic;           /* up to the end of the file */
    uint64_t size;          /* bytes, unless dynamic */
    uint64_t iv_tweak;      /* sectors of 512 that the first one's number starts from */
    struct luks2_word encryption;
    uint64_t sector_size;
    bool integrity;
    bool backup; /* of before a reencryption */
};

struct luks2 {
    uint64_t hdr_size;
    uint64_t seqid;
    uint8_t uuid[LUKS_UUID_BYTES];
    struct luks2_keyslot keyslots[LUKS2_KEYSLOTS_MAX];
    struct luks2_digest digests[LUKS2_DIGESTS_MAX];
    struct luks2_segment segments[LUKS2_SEGMENTS_MAX];
    struct luks2_word requirement; /* one of the mandatory ones */

    const struct luks2_segment *segment; /* the only one that counts */
    const struct luks2_digest *digest;   /* its */
    struct crypto_spec spec;             /* of the segment; with a key once unlocked */
};

/*
 * Reads the header: the copy that holds and is the newer, its metadata, and checks them.
 *
 * out:     *out, which must not be moved
 * returns: LUKS_ERR_NOT_LUKS when there is nothing of the kind; LUKS2_ERR_*; LUKS_ERR_*
 * bound:   two copies of at most LUKS2_SIZE_MAX are read
 */
enum guest_err luks2_read(struct source *source, struct luks2 *out,
                          struct guest_err_detail *detail);

/* ---- luks2_metadata.c ---- */

/* Decodes the JSON and checks it; out is zeros but for what the binary header says. */
enum guest_err luks2_decode(struct span json, struct luks2 *out, struct guest_err_detail *detail);

/* What an "aes-xts-plain64" means for a key of so many bytes. */
enum guest_err luks2_parse_encryption(const struct luks2_word *word, uint32_t key_bytes,
                                      uint32_t sector_bytes, struct crypto_spec *out,
                                      struct guest_err_detail *detail);

/* ---- luks2_unlock.c ---- */

/*
 * Unlocks the volume key with a passphrase.
 *
 * in:      request: the secret, and the keys that the host derived already
 * out:     luks->spec.key; or *ask, when the next key is to be derived where there is more memory
 *          (guest/abi/open.proto), freed by the caller even on failure
 * returns: LUKS_ERR_PASSWORD; LUKS2_ERR_COST, LUKS2_ERR_ITERATIONS when no slot fits and one costs
 *          more than is allowed; LUKS2_ERR_SLOT, LUKS2_ERR_KDF
 */
enum guest_err luks2_unlock(struct source *source, struct luks2 *luks,
                            const Abi__OpenRequest *request, Abi__Derivation **ask,
                            struct guest_err_detail *detail);

/* ---- luks2_info.c ---- */

/* Adds the header to the reply of INFO. */
enum guest_err luks2_fill_info(const struct luks2 *luks, bool detached, Abi__InfoReply *reply,
                               struct guest_err_detail *detail);

#endif
