/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CREATE and MEASURE with every combination of options. Here the input is what a user may ask for,
 * so nothing in it is hostile: it is refused, or its plan stays inside the file that it announced.
 *
 * Input: u8 format, u64 size, u8 version, u8 cluster bits, u8 refcount bits, u8 flags, u8
 * preallocation, u64 required data; the rest is the backing file's name. Of VMDK and LUKS the small
 * numbers are choices of other words, and that name is what a user types.
 */
#include <glib.h>
#include <string.h>

#include "fuzz/session.h"

#define BATCHES_MAX  16
#define EXTENTS_MAX  64
#define RANDOM_BYTES (1u << 19)
#define EXTENT_BYTES 0x80000000ull
#define VMDK_OPTIONS 7

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

/* ---- VMDK and LUKS ---- */

struct words {
    Abi__CreateOption option[VMDK_OPTIONS];
    Abi__CreateOption *list[VMDK_OPTIONS];
    ProtobufCBinaryData extent[EXTENTS_MAX];
    Abi__LuksCreate luks;
};

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

static void fill_vmdk(struct words *w, const Abi__Qcow2CreateOptions *o, uint64_t choices,
                      ProtobufCBinaryData typed, Abi__CreateRequest *request)
{
    static const char *const subformats[] = {"monolithicSparse",     "monolithicFlat",
                                             "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
                                             "streamOptimized",      "bogus"};
    static const char *const adapters[] = {"ide", "buslogic", "lsilogic", "legacyESX", "bogus"};
    static char *const keys[VMDK_OPTIONS] = {"adapter_type", "subformat",    "hwversion",
                                             "compat6",      "toolsversion", "backing_file",
                                             "zeroed_grain"};
    const ProtobufCBinaryData text[VMDK_OPTIONS] = {
        bytes_of(adapters[choices % 5]),
        bytes_of(subformats[choices / 5 % 6]),
        typed,
        {0},
        typed,
        typed,
        {0},
    };

    for (unsigned i = 0; i < VMDK_OPTIONS; i++) {
        abi__create_option__init(&w->option[i]);
        w->option[i].key = keys[i];
        w->option[i].text = text[i];
        w->option[i].given = w->option[i].has_text =
            text[i].len != 0 && (i < 2 || choices >> (8 + i) & 1);
        w->option[i].number = i == 3 ? o->lazy_refcounts : o->extended_l2;
        w->list[i] = &w->option[i];
    }
    request->option = w->list;
    request->n_option = VMDK_OPTIONS;
    request->has_parent_id = true;
    request->file_name = bytes_of("a.vmdk");
    request->size %= EXTENTS_MAX * EXTENT_BYTES;
    request->first_extent_blob = FUZZ_EXTENT_BLOB;
    request->n_extent_name =
        choices / 5 % 6 == 1 ? 1 : (request->size + EXTENT_BYTES - 1) / EXTENT_BYTES;
    if (choices / 5 % 6 == 0 || choices / 5 % 6 >= 4)
        request->n_extent_name = 0;
    for (size_t i = 0; i < request->n_extent_name; i++)
        w->extent[i] = bytes_of("a-s000.vmdk");
    request->extent_name = w->extent;
}

static void fill_luks(struct words *w, const Abi__Qcow2CreateOptions *o, uint64_t choices,
                      ProtobufCBinaryData typed, Abi__CreateRequest *request)
{
    static uint8_t random[RANDOM_BYTES];

    abi__luks_create__init(&w->luks);
    w->luks.cipher = choices & 15;
    w->luks.mode = choices >> 4 & 7;
    w->luks.ivgen = choices >> 7 & 3;
    w->luks.ivgen_hash = choices >> 9 & 7;
    w->luks.hash = choices >> 12 & 7;
    w->luks.slot_iters = 1 + (choices >> 15 & 3);
    w->luks.digest_iters = 1 + (choices >> 17 & 3);
    w->luks.detached = o->extended_l2;
    w->luks.password = typed;
    w->luks.random = (ProtobufCBinaryData){.data = random,
                                           .len = choices >> 19 & 1 ? typed.len : sizeof(random)};
    request->luks = &w->luks;
}

static void create(struct fuzz_session *s, const Abi__CreateRequest *request)
{
    Abi__PlanReply *reply = (Abi__PlanReply *)fuzz_call(s, CELL_METHOD_CREATE, &request->base, 0,
                                                        &abi__plan_reply__descriptor);
    g_assert(reply);
    /* That of VMDK announces nothing: at most the disk, its tables and descriptor. */
    if (!reply->error)
        fuzz_drain(s, BATCHES_MAX,
                   request->n_option ? request->size + request->size / 8 + (1u << 20)
                                     : reply->file_size);
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
    static char *const formats[] = {"qcow2", "raw", "vmdk", "luks"};
    static uint8_t random[64];
    struct cursor c = cur_of(span_of(data, size));
    Abi__Qcow2CreateOptions options = ABI__QCOW2_CREATE_OPTIONS__INIT;
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    struct words words;
    uint8_t format = cur_u8(&c);
    request.format = formats[format & 3];
    request.size = cur_le64(&c);
    request.blob = FUZZ_IMAGE_BLOB;
    fill_options(&c, &options);
    request.data_blob = options.has_data_file ? FUZZ_DATA_BLOB : CELL_NO_BLOB;
    request.random = (ProtobufCBinaryData){.data = random, .len = sizeof(random)};
    if ((format & 3) < 2)
        request.qcow2 = &options;
    uint64_t required = cur_le64(&c);
    struct span name = cur_bytes(&c, cur_left(&c));
    if (!cur_ok(&c))
        return 0;
    options.backing_file = (ProtobufCBinaryData){.data = (uint8_t *)name.data, .len = name.len};

    if ((format & 3) == 2)
        fill_vmdk(&words, &options, required, options.backing_file, &request);
    if ((format & 3) == 3)
        fill_luks(&words, &options, required, options.backing_file, &request);

    struct fuzz_session s;
    fuzz_session_start(&s, NULL, 0);
    create(&s, &request);
    if (request.qcow2)
        measure(&s, &request, required);
    fuzz_session_end(&s);
    return 0;
}
