/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CREATE and MEASURE with every combination of options. Here the input is what a user may ask for,
 * so nothing in it is hostile: it is refused, or its plan stays inside the file that it announced.
 *
 * Input: u8 format and flags, u64 size, u8 version, u8 cluster bits, u8 refcount bits, u8 flags,
 * u8 preallocation, u64 required data; the rest is the backing file's name.
 */
#include <glib.h>

#include "fuzz/session.h"

#define BATCHES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill_options(struct cursor *c, Abi__Qcow2CreateOptions *o)
{
    o->version = cur_u8(c) % 5;
    o->cluster_size = 1ull << (cur_u8(c) & 31);
    o->refcount_bits = 1u << (cur_u8(c) & 7);
    uint8_t flags = cur_u8(c);
    o->lazy_refcounts = flags & 1;
    o->extended_l2 = flags >> 1 & 1;
    o->compression_type = flags >> 2 & 1;
    o->has_backing = flags >> 3 & 1;
    o->has_data_file = flags >> 4 & 1;
    o->data_file_raw = flags >> 5 & 1;
    o->keep_data_file = flags >> 6 & 1;
    o->preallocation = cur_u8(c) & 3;
    o->data_file = (ProtobufCBinaryData){.data = (uint8_t *)"data", .len = 4};
}

static void create(struct fuzz_session *s, const Abi__CreateRequest *request)
{
    Abi__PlanReply *reply = (Abi__PlanReply *)fuzz_call(s, CELL_METHOD_CREATE, &request->base, 0,
                                                        &abi__plan_reply__descriptor);
    g_assert(reply);
    if (!reply->error)
        fuzz_drain(s, BATCHES_MAX, reply->file_size);
    fuzz_forget(reply);
}

static void measure(struct fuzz_session *s, const Abi__CreateRequest *create, uint64_t required)
{
    Abi__MeasureRequest request = ABI__MEASURE_REQUEST__INIT;
    request.format = create->format;
    request.size = create->size;
    request.required_data = required;
    request.qcow2 = create->qcow2;
    Abi__MeasureReply *reply = (Abi__MeasureReply *)fuzz_call(s, CELL_METHOD_MEASURE, &request.base,
                                                              0, &abi__measure_reply__descriptor);
    if (reply && !reply->error && required <= create->size)
        g_assert(reply->required <= reply->fully_allocated);
    fuzz_forget(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cur_of(span_of(data, size));
    Abi__Qcow2CreateOptions options = ABI__QCOW2_CREATE_OPTIONS__INIT;
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    request.format = cur_u8(&c) & 1 ? "raw" : "qcow2";
    request.size = cur_le64(&c);
    request.blob = FUZZ_IMAGE_BLOB;
    fill_options(&c, &options);
    request.data_blob = options.has_data_file ? FUZZ_DATA_BLOB : CELL_NO_BLOB;
    request.qcow2 = &options;
    uint64_t required = cur_le64(&c);
    struct span name = cur_bytes(&c, cur_left(&c));
    if (!cur_ok(&c))
        return 0;
    options.backing_file = (ProtobufCBinaryData){.data = (uint8_t *)name.data, .len = name.len};

    struct fuzz_session s;
    fuzz_session_start(&s, NULL, 0);
    create(&s, &request);
    measure(&s, &request, required);
    fuzz_session_end(&s);
    return 0;
}
