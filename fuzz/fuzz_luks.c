/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LUKS headers: read, described, tried with a passphrase, and the bytes behind them decrypted as
 * they say. The input is the start of an image. Iterations are cut to a few, as a header may ask
 * for any number of them: the cell's time limit is what bounds that.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz/guarded.h"
#include "guest/formats/luks.h"

#define ITERATIONS_MAX 3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cut_iterations(struct luks_header *header)
{
    if (header->mk_digest_iter > ITERATIONS_MAX)
        header->mk_digest_iter = ITERATIONS_MAX;
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        if (header->slots[i].iterations > ITERATIONS_MAX)
            header->slots[i].iterations = ITERATIONS_MAX;
}

static void describe(const struct luks_header *header)
{
    Abi__InfoReply *reply = calloc(1, sizeof(*reply));

    abi__info_reply__init(reply);
    if (luks_fill_info(header, false, reply, NULL) == GUEST_OK)
        (void)abi__info_reply__get_packed_size(reply);
    abi__info_reply__free_unpacked(reply, NULL);
}

static void decrypt(const struct luks_header *header, const uint8_t *data, size_t size)
{
    struct sector_cipher *cipher = sector_cipher_new(&header->spec);
    size_t len = (size - LUKS_HEADER_BYTES) / LUKS_SECTOR_BYTES * LUKS_SECTOR_BYTES;
    uint8_t *bytes = malloc(len ? len : 1);

    if (!cipher || !bytes)
        abort(); /* the header said that they go together */
    memcpy(bytes, data + LUKS_HEADER_BYTES, len);
    sector_cipher_decrypt(cipher, (uint64_t)header->payload_offset << 9, bytes, len);
    sector_cipher_encrypt(cipher, (uint64_t)header->payload_offset << 9, bytes, len);
    if (memcmp(bytes, data + LUKS_HEADER_BYTES, len) != 0)
        abort();
    sector_cipher_free(cipher);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_err_detail detail;
    struct luks_header *header = calloc(1, sizeof(*header));
    struct guarded copy = guarded_copy(data, size, GUARDED_END);
    struct source *source = source_new_buffer(0, copy.data, size);

    if (luks_read_header(source, 0, size % 2 != 0, header, &detail) == GUEST_OK) {
        describe(header);
        cut_iterations(header);
        if (header->key_bytes > CRYPTO_KEY_MAX)
            abort();
        if (size >= LUKS_HEADER_BYTES)
            decrypt(header, copy.data, size);
        (void)luks_unlock(source, 0, header, span_of("x", 1), NULL, &detail);
    }
    source_free(source);
    guarded_clear(&copy);
    free(header);
    return 0;
}
