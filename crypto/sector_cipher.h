/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk encryption: a block cipher in a mode, with an IV that comes from the number of the sector.
 *
 * Pure computing: compiled into the cell, which decrypts what images hold, and into the host, which
 * encrypts what it writes. A spec is numbers that can be sent; a cipher is made from it once and
 * may then be used by any number of threads.
 */
#ifndef INSTAR_CRYPTO_SECTOR_CIPHER_H
#define INSTAR_CRYPTO_SECTOR_CIPHER_H

#include "crypto/hash.h"

enum crypto_cipher {
    CRYPTO_CIPHER_NONE = 0,
    CRYPTO_CIPHER_AES_128 = 1,
    CRYPTO_CIPHER_AES_192 = 2,
    CRYPTO_CIPHER_AES_256 = 3,
    CRYPTO_CIPHER_CAST5_128 = 4,
    CRYPTO_CIPHER_SERPENT_128 = 5,
    CRYPTO_CIPHER_SERPENT_192 = 6,
    CRYPTO_CIPHER_SERPENT_256 = 7,
    CRYPTO_CIPHER_TWOFISH_128 = 8,
    CRYPTO_CIPHER_TWOFISH_192 = 9,
    CRYPTO_CIPHER_TWOFISH_256 = 10,
    CRYPTO_CIPHER_SM4 = 11,
    CRYPTO_CIPHER_NR,
};

enum crypto_mode {
    CRYPTO_MODE_NONE = 0,
    CRYPTO_MODE_ECB = 1,
    CRYPTO_MODE_CBC = 2,
    CRYPTO_MODE_XTS = 3,
    CRYPTO_MODE_CTR = 4,
    CRYPTO_MODE_NR,
};

enum crypto_ivgen {
    CRYPTO_IVGEN_NONE = 0,
    CRYPTO_IVGEN_PLAIN = 1,   /* the sector's number, 32 bits */
    CRYPTO_IVGEN_PLAIN64 = 2, /* 64 bits */
    CRYPTO_IVGEN_ESSIV = 3,   /* the number, encrypted with a hash of the key */
    CRYPTO_IVGEN_NR,
};

#define CRYPTO_KEY_MAX          64u   /* bytes: two keys of 32 for XTS */
#define CRYPTO_IV_SECTOR        512u  /* bytes that a sector's number counts */
#define CRYPTO_SECTOR_BYTES_MAX 4096u /* the most that is encrypted as one */

struct crypto_spec {
    enum crypto_cipher cipher;
    enum crypto_mode mode;
    enum crypto_ivgen ivgen;
    enum crypto_hash ivgen_hash; /* ESSIV */
    uint32_t sector_bytes;       /* encrypted as one: a power of two, 512 to 4096 */
    uint32_t key_len;
    uint8_t key[CRYPTO_KEY_MAX];
};

/* Names as options and info spell them ("aes-256", "xts", "plain64"); NULL for no such thing. */
const char *crypto_cipher_name(enum crypto_cipher cipher);
const char *crypto_mode_name(enum crypto_mode mode);
const char *crypto_ivgen_name(enum crypto_ivgen ivgen);

/* And back, from len bytes without a NUL; 0 when there is none. */
enum crypto_cipher crypto_cipher_find(const char *name, size_t len);
enum crypto_mode crypto_mode_find(const char *name, size_t len);
enum crypto_ivgen crypto_ivgen_find(const char *name, size_t len);

/* The family as LUKS headers name it ("aes"), the bytes of its key and of a block; NULL, 0. */
const char *crypto_cipher_family(enum crypto_cipher cipher);
size_t crypto_cipher_key_bytes(enum crypto_cipher cipher);
size_t crypto_cipher_block_bytes(enum crypto_cipher cipher);

/* The member of a cipher's family that takes a key of so many bytes; 0 when there is none. */
enum crypto_cipher crypto_cipher_sibling(enum crypto_cipher cipher, size_t key_bytes);

/* Bytes of key that a cipher takes in a mode: twice its own for XTS. */
size_t crypto_key_bytes(enum crypto_cipher cipher, enum crypto_mode mode);

/* What can be wrong with a combination. */
enum crypto_verdict {
    CRYPTO_FINE,
    CRYPTO_BAD_VALUE,      /* no such cipher, mode, IV generator, hash, sector or key length */
    CRYPTO_BAD_MODE,       /* XTS with a block that is not 16 bytes; SM4 in any but ECB */
    CRYPTO_ESSIV_KEY,      /* no sibling of the cipher takes the hash as its key */
    CRYPTO_ESSIV_UNSUITED, /* the cipher has no siblings to look among */
};

enum crypto_verdict crypto_judge(const struct crypto_spec *spec);

struct sector_cipher;

/*
 * Makes a cipher.
 *
 * returns: NULL when crypto_judge finds fault, or out of memory
 */
struct sector_cipher *sector_cipher_new(const struct crypto_spec *spec);
void sector_cipher_free(struct sector_cipher *cipher);

/* Bytes that are encrypted as one. */
uint32_t sector_cipher_unit(const struct sector_cipher *cipher);

/*
 * Encrypts or decrypts whole sectors in place.
 *
 * in:      iv_offset, len: bytes, multiples of the sector's; iv_offset gives the first one's number
 */
void sector_cipher_encrypt(const struct sector_cipher *cipher, uint64_t iv_offset, uint8_t *bytes,
                           size_t len);
void sector_cipher_decrypt(const struct sector_cipher *cipher, uint64_t iv_offset, uint8_t *bytes,
                           size_t len);

#endif
