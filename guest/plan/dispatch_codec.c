/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DECODE: a batch of units, both ends in the data window, and the ciphers for those that are
 * encrypted.
 *
 * A cell that only decodes (a codec worker of src/copy) opens no image and answers nothing else.
 */
#include "guest/abi/cell.pb-c.h"
#include "guest/abi/codec.pb-c.h"
#include "crypto/sector_cipher.h"
#include "guest/codec/decode.h"
#include "guest/lib/checked.h"
#include "guest/plan/dispatch.h"

/* Ciphers by the number that the host gave them. */
static struct sector_cipher *ciphers[CELL_CIPHERS_MAX];

static enum guest_err run_cipher_load(struct session *session, const ProtobufCMessage *request,
                                      ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    const Abi__CipherLoadRequest *load = (const Abi__CipherLoadRequest *)request;
    const Abi__Cipher *cipher = load->cipher;
    struct crypto_spec spec;
    (void)session;
    (void)reply;

    if (!cipher || load->number >= CELL_CIPHERS_MAX || cipher->key.len > sizeof(spec.key))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    spec = (struct crypto_spec){
        .cipher = (enum crypto_cipher)cipher->cipher,
        .mode = (enum crypto_mode)cipher->mode,
        .ivgen = (enum crypto_ivgen)cipher->ivgen,
        .ivgen_hash = (enum crypto_hash)cipher->ivgen_hash,
        .sector_bytes = cipher->sector_bytes,
        .key_len = (uint32_t)cipher->key.len,
    };
    if (cipher->key.len)
        memcpy(spec.key, cipher->key.data, cipher->key.len);
    sector_cipher_free(ciphers[load->number]);
    ciphers[load->number] = sector_cipher_new(&spec);
    crypto_wipe(&spec, sizeof(spec));
    return ciphers[load->number] ? GUEST_OK : err_plain(detail, GUEST_ERR_BAD_REQUEST);
}

/* Decrypts sectors where they are. */
static enum guest_err decrypt(const struct session *session, const struct cell_decode *record)
{
    const struct sector_cipher *cipher =
        record->cipher < CELL_CIPHERS_MAX ? ciphers[record->cipher] : NULL;

    if (!cipher || record->src != record->dst || record->src_len != record->dst_len ||
        record->dst_len % sector_cipher_unit(cipher) != 0 ||
        record->iv_offset % sector_cipher_unit(cipher) != 0)
        return GUEST_ERR_BAD_REQUEST;
    sector_cipher_decrypt(cipher, record->iv_offset, &session->window[record->dst],
                          record->dst_len);
    return GUEST_OK;
}

static bool record_valid(const struct session *session, const struct cell_decode *record)
{
    return range_inside_u64(record->src, record->src_len, session->window_bytes) &&
           range_inside_u64(record->dst, record->dst_len, session->window_bytes) &&
           record->dst_len > 0 && record->dst_len <= DECODE_UNIT_MAX;
}

static enum guest_err run_decode(struct session *session, const ProtobufCMessage *request,
                                 ProtobufCMessage *reply, struct guest_err_detail *detail)
{
    static struct decoder *decoder;
    const Abi__DecodeRequest *decode = (const Abi__DecodeRequest *)request;
    (void)reply;

    uint64_t bytes = (uint64_t)decode->nr_records * sizeof(struct cell_decode);
    if (decode->nr_records > session->nr_records || bytes > session->records_bytes)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (!decoder && !(decoder = decoder_new()))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);

    for (uint32_t i = 0; i < decode->nr_records; i++) {
        struct cell_decode record;
        uint8_t *at = &session->records[i * sizeof(record)];
        memcpy(&record, at, sizeof(record));
        if (!record_valid(session, &record))
            return err_numbers(detail, GUEST_ERR_BAD_REQUEST, i, 0, 0, 0);
        if (record.codec == CELL_CODEC_CIPHER)
            record.error = decrypt(session, &record);
        else
            record.error = decode_unit(decoder, (enum cell_codec)record.codec,
                                       span_of(&session->window[record.src], record.src_len),
                                       &session->window[record.dst], record.dst_len);
        memcpy(at, &record, sizeof(record));
    }
    return GUEST_OK;
}

const struct method methods_codec[] = {
    {CELL_METHOD_DECODE, &abi__decode_request__descriptor, &abi__status_reply__descriptor,
     run_decode},
    {CELL_METHOD_CIPHER_LOAD, &abi__cipher_load_request__descriptor, &abi__status_reply__descriptor,
     run_cipher_load},
    {0, NULL, NULL, NULL},
};
