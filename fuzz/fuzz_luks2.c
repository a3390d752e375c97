/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LUKS2 headers: read, described, tried with a passphrase. An input that starts with '{' is the
 * metadata alone; any other is the start of an image with headers of 16 KiB, whose checksums are
 * put right first. Iterations are cut to a few, and keys that Argon2 would derive are zeros.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/guarded.h"
#include "guest/formats/luks2.h"

#define ITERATIONS_MAX 3u
#define IMAGE_BYTES    (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cut(uint64_t *iterations)
{
    if (*iterations > ITERATIONS_MAX)
        *iterations = ITERATIONS_MAX;
}

static void describe(const struct luks2 *luks)
{
    Abi__InfoReply *reply = calloc(1, sizeof(*reply));

    abi__info_reply__init(reply);
    if (luks2_fill_info(luks, false, reply, NULL) == GUEST_OK)
        (void)abi__info_reply__get_packed_size(reply);
    abi__info_reply__free_unpacked(reply, NULL);
}

/* As the host does: what is asked for is brought with the next try. */
static void unlock(struct source *source, struct luks2 *luks)
{
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    Abi__Secret secret = ABI__SECRET__INIT;
    Abi__DerivedKey keys[LUKS2_KEYSLOTS_MAX], *list[LUKS2_KEYSLOTS_MAX];
    uint8_t zeros[CRYPTO_KEY_MAX] = {0};
    struct guest_err_detail detail;

    secret.data = (ProtobufCBinaryData){.len = 1, .data = (uint8_t *)"x"};
    request.secret = &secret;
    request.derived = list;
    for (;;) {
        Abi__Derivation *ask = NULL;
        enum guest_err err = luks2_unlock(source, luks, &request, &ask, &detail);
        Abi__DerivedKey *key = &keys[request.n_derived];

        if (!err && !ask && luks->spec.key_len > CRYPTO_KEY_MAX)
            abort();
        if (err || !ask) {
            if (ask)
                abi__derivation__free_unpacked(ask, NULL);
            return;
        }
        if (request.n_derived == LUKS2_KEYSLOTS_MAX || ask->key_len > sizeof(zeros) ||
            !derive_cost_allowed(ask->memory_kib, ask->passes))
            abort(); /* asked twice for a slot, or for too much */
        abi__derived_key__init(key);
        key->slot = ask->slot;
        key->key = (ProtobufCBinaryData){.len = ask->key_len, .data = zeros};
        list[request.n_derived++] = key;
        abi__derivation__free_unpacked(ask, NULL);
    }
}

static void use(struct source *source, struct luks2 *luks)
{
    uint64_t unit = luks->segment->sector_size;

    if (unit < 512 || unit > CRYPTO_SECTOR_BYTES_MAX || !luks->digest)
        abort();
    describe(luks);
    for (unsigned i = 0; i < LUKS2_KEYSLOTS_MAX; i++)
        cut(&luks->keyslots[i].kdf.iterations);
    for (unsigned i = 0; i < LUKS2_DIGESTS_MAX; i++)
        cut(&luks->digests[i].iterations);
    unlock(source, luks);
}

static void put_sum(uint8_t *copy)
{
    uint8_t digest[CRYPTO_DIGEST_MAX];

    memset(copy + LUKS2_CSUM_AT, 0, LUKS2_CSUM_BYTES);
    crypto_hash_two(CRYPTO_HASH_SHA256, copy, LUKS2_SIZE_MIN, "", 0, digest);
    memcpy(copy + LUKS2_CSUM_AT, digest, 32);
}

static void try_image(const uint8_t *data, size_t size, struct luks2 *luks)
{
    uint8_t *image = calloc(1, IMAGE_BYTES);
    struct guest_err_detail detail;
    struct guarded copy;
    struct source *source;

    memcpy(image, data, size < IMAGE_BYTES ? size : IMAGE_BYTES);
    put_sum(image);
    put_sum(image + LUKS2_SIZE_MIN);
    copy = guarded_copy(image, IMAGE_BYTES, GUARDED_END);
    source = source_new_buffer(0, copy.data, IMAGE_BYTES);
    if (luks2_read(source, luks, &detail) == GUEST_OK)
        use(source, luks);
    source_free(source);
    guarded_clear(&copy);
    free(image);
}

static void try_metadata(const uint8_t *data, size_t size, struct luks2 *luks)
{
    struct guarded copy = guarded_copy(data, size, GUARDED_END);
    struct source *source = source_new_buffer(0, copy.data, size);
    struct guest_err_detail detail;

    if (luks2_decode(span_of(copy.data, size), luks, &detail) == GUEST_OK)
        use(source, luks);
    source_free(source);
    guarded_clear(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct luks2 *luks = calloc(1, sizeof(*luks));

    if (size > 0 && data[0] == '{')
        try_metadata(data, size, luks);
    else
        try_image(data, size, luks);
    free(luks);
    return 0;
}
