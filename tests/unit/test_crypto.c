/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/: known answers, and that what is encrypted comes back.
 */
#include <glib.h>
#include <nettle/xts.h>
#include <string.h>

#include "crypto/sector_cipher.h"

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < len; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    g_assert_cmpstr(text->str, ==, hex);
    g_string_free(text, TRUE);
}

/* source: RFC 6070 (SHA-1), RFC 7914 section 11 (SHA-256) */
static void test_pbkdf2(void)
{
    uint8_t out[64];

    crypto_pbkdf2(CRYPTO_HASH_SHA1, "password", 8, (const uint8_t *)"salt", 4, 4096, out, 20);
    assert_hex(out, 20, "4b007901b765489abead49d926f721d065a429c1");
    crypto_pbkdf2(CRYPTO_HASH_SHA256, "passwd", 6, (const uint8_t *)"salt", 4, 1, out, 64);
    assert_hex(out, 64,
               "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
               "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
}

static void test_hash(void)
{
    uint8_t out[CRYPTO_DIGEST_MAX];

    crypto_hash_two(CRYPTO_HASH_SHA256, "a", 1, "bc", 2, out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (unsigned i = 1; i < CRYPTO_HASH_NR; i++) {
        const char *name = crypto_hash_name((enum crypto_hash)i);

        g_assert_cmpuint(crypto_hash_find(name, strlen(name)), ==, i);
        g_assert_cmpuint(crypto_hash_bytes((enum crypto_hash)i), <=, CRYPTO_DIGEST_MAX);
    }
    g_assert_cmpuint(crypto_hash_find("sha25", 5), ==, CRYPTO_HASH_NONE);
}

static struct crypto_spec spec_of(enum crypto_cipher cipher, enum crypto_mode mode,
                                  enum crypto_ivgen ivgen, enum crypto_hash hash)
{
    struct crypto_spec spec = {
        .cipher = cipher,
        .mode = mode,
        .ivgen = ivgen,
        .ivgen_hash = hash,
        .sector_bytes = 512,
        .key_len = (uint32_t)crypto_key_bytes(cipher, mode),
    };

    for (unsigned i = 0; i < spec.key_len; i++)
        spec.key[i] = (uint8_t)(i * 11 + 3);
    return spec;
}

/* Ours over whole sectors is nettle's own. */
static void test_xts(void)
{
    struct crypto_spec spec =
        spec_of(CRYPTO_CIPHER_AES_256, CRYPTO_MODE_XTS, CRYPTO_IVGEN_PLAIN64, CRYPTO_HASH_NONE);
    struct sector_cipher *cipher = sector_cipher_new(&spec);
    struct xts_aes256_key key;
    uint8_t ours[1024], theirs[1024];

    memset(ours, 0x5a, sizeof(ours));
    xts_aes256_set_encrypt_key(&key, spec.key);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t iv[16] = {(uint8_t)(7 + i)};

        xts_aes256_encrypt_message(&key, iv, 512, theirs + 512 * i, ours);
    }
    sector_cipher_encrypt(cipher, 7 * 512, ours, sizeof(ours));
    g_assert_cmpmem(ours, sizeof(ours), theirs, sizeof(theirs));
    sector_cipher_free(cipher);
}

static void test_round_trips(void)
{
    unsigned tried = 0;

    for (unsigned cipher = 1; cipher < CRYPTO_CIPHER_NR; cipher++)
        for (unsigned mode = 1; mode < CRYPTO_MODE_NR; mode++)
            for (unsigned ivgen = 1; ivgen < CRYPTO_IVGEN_NR; ivgen++) {
                struct crypto_spec spec =
                    spec_of((enum crypto_cipher)cipher, (enum crypto_mode)mode,
                            (enum crypto_ivgen)ivgen, CRYPTO_HASH_MD5);
                struct sector_cipher *c = sector_cipher_new(&spec);
                uint8_t plain[1536], bytes[1536];

                g_assert_true((c != NULL) == (crypto_judge(&spec) == CRYPTO_FINE));
                if (c == NULL)
                    continue;
                for (unsigned i = 0; i < sizeof(plain); i++)
                    plain[i] = (uint8_t)(i % 512 / 3);
                memcpy(bytes, plain, sizeof(plain));
                sector_cipher_encrypt(c, UINT64_C(5) << 41, bytes, sizeof(bytes));
                g_assert_cmpint(memcmp(bytes, plain, 512), !=, 0);
                /* Sectors of the same bytes differ, but where there is no IV. */
                g_assert_true((memcmp(bytes, bytes + 512, 512) == 0) == (mode == CRYPTO_MODE_ECB));
                sector_cipher_decrypt(c, UINT64_C(5) << 41, bytes, sizeof(bytes));
                g_assert_cmpmem(bytes, sizeof(bytes), plain, sizeof(plain));
                sector_cipher_free(c);
                tried++;
            }
    g_assert_cmpuint(tried, ==, 119);
}

/* GB/T 32907-2016, example 1. */
static void test_sm4(void)
{
    static const uint8_t key[] = "\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10";
    static const uint8_t want[] =
        "\x68\x1e\xdf\x34\xd2\x06\x96\x5e\x86\xb3\xe9\x4f\x53\x6e\x42\x46";
    struct crypto_spec spec =
        spec_of(CRYPTO_CIPHER_SM4, CRYPTO_MODE_ECB, CRYPTO_IVGEN_PLAIN64, CRYPTO_HASH_NONE);
    struct sector_cipher *cipher;
    uint8_t bytes[512] = {0};

    memcpy(spec.key, key, 16);
    memcpy(bytes, key, 16);
    cipher = sector_cipher_new(&spec);
    sector_cipher_encrypt(cipher, 0, bytes, sizeof(bytes));
    g_assert_cmpmem(bytes, 16, want, 16);
    sector_cipher_decrypt(cipher, 0, bytes, sizeof(bytes));
    g_assert_cmpmem(bytes, 16, key, 16);
    sector_cipher_free(cipher);
}

static void test_judge(void)
{
    struct crypto_spec spec =
        spec_of(CRYPTO_CIPHER_CAST5_128, CRYPTO_MODE_XTS, CRYPTO_IVGEN_PLAIN64, CRYPTO_HASH_NONE);

    g_assert_cmpint(crypto_judge(&spec), ==, CRYPTO_BAD_MODE);
    spec = spec_of(CRYPTO_CIPHER_AES_256, CRYPTO_MODE_CBC, CRYPTO_IVGEN_ESSIV, CRYPTO_HASH_SHA1);
    g_assert_cmpint(crypto_judge(&spec), ==, CRYPTO_ESSIV_KEY);
    spec.ivgen_hash = CRYPTO_HASH_SHA256;
    g_assert_cmpint(crypto_judge(&spec), ==, CRYPTO_FINE);
    spec.sector_bytes = 768;
    g_assert_cmpint(crypto_judge(&spec), ==, CRYPTO_BAD_VALUE);
    spec.sector_bytes = 512;
    spec.key_len = 16;
    g_assert_cmpint(crypto_judge(&spec), ==, CRYPTO_BAD_VALUE);
    spec.cipher = (enum crypto_cipher)77;
    g_assert_cmpint(crypto_judge(&spec), ==, CRYPTO_BAD_VALUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crypto/pbkdf2", test_pbkdf2);
    g_test_add_func("/crypto/sm4", test_sm4);
    g_test_add_func("/crypto/hash", test_hash);
    g_test_add_func("/crypto/xts", test_xts);
    g_test_add_func("/crypto/round-trips", test_round_trips);
    g_test_add_func("/crypto/judge", test_judge);
    return g_test_run();
}
