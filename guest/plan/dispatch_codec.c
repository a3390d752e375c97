/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DECODE: a batch of units, both ends in the data window.
 *
 * A cell that only decodes (a codec worker of src/copy) opens no image and answers nothing else.
 */
#include "guest/abi/cell.pb-c.h"
#include "guest/abi/codec.pb-c.h"
#include "guest/codec/decode.h"
#include "guest/lib/checked.h"
#include "guest/plan/dispatch.h"

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
    {0, NULL, NULL, NULL},
};
