/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Argon2 and the hash under it: the published vectors, and which numbers are refused.
 */
#include <glib.h>
#include <string.h>

#include "crypto/argon2.h"
#include "crypto/blake2b.h"

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t i = 0; i < len; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    g_assert_cmpstr(text->str, ==, hex);
}

/* source: RFC 7693, appendix A; the empty input: the reference's test vectors */
static void test_blake2b(void)
{
    struct blake2b state;
    uint8_t out[BLAKE2B_DIGEST_MAX];

    blake2b_start(&state, 64);
    blake2b_add(&state, "a", 1);
    blake2b_add(&state, "bc", 2);
    blake2b_finish(&state, out);
    assert_hex(out, 64,
               "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
               "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
    blake2b_start(&state, 64);
    blake2b_finish(&state, out);
    assert_hex(out, 64,
               "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
               "d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce");
}

/* What is added in pieces is what is added at once, about the ends of blocks. */
static void test_pieces(void)
{
    uint8_t bytes[300], whole[64], pieces[64];
    struct blake2b state;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 120; len < sizeof(bytes); len++) {
        blake2b_start(&state, 64);
        blake2b_add(&state, bytes, len);
        blake2b_finish(&state, whole);
        blake2b_start(&state, 64);
        for (size_t at = 0; at < len; at += 8)
            blake2b_add(&state, bytes + at, MIN(8, len - at));
        blake2b_finish(&state, pieces);
        g_assert_cmpmem(whole, 64, pieces, 64);
    }
}

static void derive(struct argon2_input *input, uint8_t *out, size_t out_len)
{
    g_autofree void *memory = g_malloc(argon2_memory_bytes(input));

    argon2_derive(input, memory, out, out_len);
}

/* source: RFC 9106, section 5 */
static void test_vectors(void)
{
    static const char *const tags[] = {
        [ARGON2_D] = "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb",
        [ARGON2_I] = "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
        [ARGON2_ID] = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
    };
    uint8_t password[32], salt[16], secret[8], data[12], out[32];

    memset(password, 1, sizeof(password));
    memset(salt, 2, sizeof(salt));
    memset(secret, 3, sizeof(secret));
    memset(data, 4, sizeof(data));
    for (unsigned type = 0; type < G_N_ELEMENTS(tags); type++) {
        struct argon2_input input = {
            .type = (enum argon2_type)type,
            .passes = 3,
            .memory_kib = 32,
            .lanes = 4,
            .password = password,
            .password_len = sizeof(password),
            .salt = salt,
            .salt_len = sizeof(salt),
            .secret = secret,
            .secret_len = sizeof(secret),
            .data = data,
            .data_len = sizeof(data),
        };

        derive(&input, out, sizeof(out));
        assert_hex(out, sizeof(out), tags[type]);
    }
}

/*
 * A memory that is no multiple, several segments of addresses, outputs of several lengths.
 * source: libargon2 of Debian 12 (20171227)
 */
static void test_other_shapes(void)
{
    struct argon2_input input = {.type = ARGON2_ID,
                                 .passes = 2,
                                 .memory_kib = 3001,
                                 .lanes = 3,
                                 .password = "password",
                                 .password_len = 8,
                                 .salt = "saltsaltsalt",
                                 .salt_len = 12};
    uint8_t out[100];

    g_assert_cmpuint(argon2_memory_bytes(&input), ==, 3000 * 1024);
    derive(&input, out, 64);
    assert_hex(out, 64,
               "8873e6cdb0f05d7102f44ba9696aa471c647e627e29b9a538a32097ab7448bec"
               "00794a69cdf7639b4ef4af4c1c2bc365d226b34f951ca04a7530c340d0fcd0f3");
    derive(&input, out, 100);
    assert_hex(out, 100,
               "4abcace5bf5d63532ee8c11ed4ac405497366dd237a9581b31a442f6ececb34c"
               "bbe4a512b2dfe57d9056da3cc5821951226e03a22950a8f0f964f550a7c47224"
               "3621386286334113489c3d26960a35f3d353b36277ac2f4dafed6645722f2a19"
               "c1577f02");
    input.type = ARGON2_I;
    derive(&input, out, 4);
    assert_hex(out, 4, "0ba82b2c");
}

static void test_bounds(void)
{
    static const struct argon2_input fine = {
        .type = ARGON2_ID, .passes = 1, .memory_kib = 8, .lanes = 1};
    struct argon2_input input = fine;

    g_assert_cmpuint(argon2_memory_bytes(&input), ==, 8192);
    input.memory_kib = 7;
    g_assert_cmpuint(argon2_memory_bytes(&input), ==, 0);
    input = fine;
    input.lanes = 0;
    g_assert_cmpuint(argon2_memory_bytes(&input), ==, 0);
    input.lanes = ARGON2_LANES_MAX + 1;
    input.memory_kib = UINT32_MAX;
    g_assert_cmpuint(argon2_memory_bytes(&input), ==, 0);
    input = fine;
    input.passes = 0;
    g_assert_cmpuint(argon2_memory_bytes(&input), ==, 0);
    input = fine;
    input.type = (enum argon2_type)3;
    g_assert_cmpuint(argon2_memory_bytes(&input), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/argon2/blake2b", test_blake2b);
    g_test_add_func("/argon2/blake2b-pieces", test_pieces);
    g_test_add_func("/argon2/vectors", test_vectors);
    g_test_add_func("/argon2/other-shapes", test_other_shapes);
    g_test_add_func("/argon2/bounds", test_bounds);
    return g_test_run();
}
