/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's decoder of what a cell answers: whatever the bytes, it refuses or gives values that
 * keep its promises, and what it gives can be printed. Input:
 *
 *   u8         which answer: OPEN, INFO, MAP, extents, status
 *   the rest   the packed message; of extents: 8 bytes of `next`, then the records
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "compat/human.h"
#include "compat/json.h"
#include "compat/wording_qcow2.h"
#include "fuzz/guarded.h"
#include "src/wire/decode.h"

#define NR_LAYERS  3u
#define NR_BLOBS   4u
#define MAP_START  (1ull << 20)
#define MAP_LENGTH (1ull << 40)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum answer {
    ANSWER_OPEN,
    ANSWER_INFO,
    ANSWER_MAP,
    ANSWER_EXTENTS,
    ANSWER_STATUS,
    ANSWER_NR,
};

static FILE *sink(void)
{
    static FILE *null;

    if (null == NULL) {
        null = fopen("/dev/null", "w");
        g_assert(null);
        wording_register_qcow2();
    }
    return null;
}

/* An error is set exactly when the decoder says so, and its text is UTF-8 without control bytes. */
static void judge_error(gboolean ok, GError *error)
{
    g_assert(ok == (error == NULL));
    if (error != NULL) {
        g_assert(g_utf8_validate(error->message, -1, NULL));
        for (const char *p = error->message; *p != '\0'; p++) {
            g_assert(!g_ascii_iscntrl(*p) || *p == '\n');
        }
        (void)wire_error_errno(error);
        g_error_free(error);
    }
}

static void judge_open(const ProtobufCMessage *message)
{
    struct wire_open open = {0};
    GError *error = NULL;
    gboolean ok = wire_decode_open((const Abi__OpenReply *)message, "a", &open, &error);

    judge_error(ok, error);
    if (!ok) {
        g_assert(open.format == NULL && open.refs == NULL);
        return;
    }
    g_assert(wire_is_word(open.format));
    g_assert(open.virtual_size <= INT64_MAX && open.cluster_size <= WIRE_CLUSTER_MAX);
    for (size_t i = 0; i < open.nr_refs; i++) {
        const struct wire_ref *ref = &open.refs[i];

        g_assert(ref->role != ABI__ROLE__ROLE_NONE);
        g_assert(strlen(ref->text) <= WIRE_NAME_MAX);
        g_assert(ref->path == NULL || (*ref->path != '\0' && strlen(ref->path) <= WIRE_NAME_MAX));
        g_assert(!ref->has_slice || ref->slice_size <= INT64_MAX - ref->slice_offset);
    }
    wire_open_clear(&open);
}

static void judge_info(const ProtobufCMessage *message)
{
    struct image_info *info = image_info_new();
    GError *error = NULL;
    gboolean ok;

    info->filename = g_strdup("a");
    info->format = g_strdup("qcow2");
    ok = wire_decode_info((const Abi__InfoReply *)message, info, &error);
    judge_error(ok, error);
    if (ok) {
        human_info(sink(), &info, 1);
        json_info(sink(), &info, 1, TRUE);
    }
    image_info_free(info);
}

static void judge_map(const ProtobufCMessage *message)
{
    GError *failed = NULL;
    GError *error = NULL;
    uint64_t next = 0;
    uint32_t nr = 0;
    gboolean ok = wire_decode_map((const Abi__MapReply *)message, "a", MAP_START, MAP_LENGTH, &nr,
                                  &next, &failed, &error);

    judge_error(ok, error);
    if (ok) {
        judge_error(failed == NULL, failed);
        g_assert(nr <= CELL_EXTENTS_MAX);
        g_assert(next >= MAP_START && next - MAP_START <= MAP_LENGTH);
        g_assert(failed != NULL || next > MAP_START);
    }
}

static gboolean has_blob(void *user, uint32_t blob)
{
    return blob < NR_BLOBS;
}

static void judge_extents(const uint8_t *data, size_t size)
{
    g_autofree struct cell_extent *records = NULL;
    GError *error = NULL;
    uint64_t at = MAP_START;
    uint64_t next;
    uint32_t nr;
    gboolean ok;

    if (size < sizeof(next)) {
        return;
    }
    memcpy(&next, data, sizeof(next));
    nr = (uint32_t)((size - sizeof(next)) / sizeof(*records));
    records = g_new(struct cell_extent, nr);
    if (nr > 0) {
        memcpy(records, data + sizeof(next), nr * sizeof(*records));
    }
    /* wire_decode_map promises this much about `next` */
    next = MAP_START + next % (MAP_LENGTH + 1);
    ok = wire_check_extents(records, nr, MAP_START, next, NR_LAYERS, has_blob, NULL, &error);
    judge_error(ok, error);
    for (uint32_t i = 0; ok && i < nr; i++) {
        const struct cell_extent *e = &records[i];

        g_assert(e->start == at && e->length > 0 && e->length <= next - at);
        g_assert(e->depth < NR_LAYERS && e->kind <= CELL_EXTENT_ENCRYPTED);
        g_assert(e->kind != CELL_EXTENT_DATA || (e->blob < NR_BLOBS && e->offset <= INT64_MAX &&
                                                 e->length <= INT64_MAX - e->offset));
        g_assert(e->kind != CELL_EXTENT_COMPRESSED || e->skip + e->length <= e->unit_len);
        at += e->length;
    }
    g_assert(!ok || at == next);
}

static void judge_status(const ProtobufCMessage *message)
{
    GError *error = NULL;

    gboolean ok = wire_check_error(((const Abi__StatusReply *)message)->error, "a", &error);

    judge_error(ok, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        const ProtobufCMessageDescriptor *type;
        void (*judge)(const ProtobufCMessage *message);
    } answers[] = {
        [ANSWER_OPEN] = {&abi__open_reply__descriptor, judge_open},
        [ANSWER_INFO] = {&abi__info_reply__descriptor, judge_info},
        [ANSWER_MAP] = {&abi__map_reply__descriptor, judge_map},
        [ANSWER_STATUS] = {&abi__status_reply__descriptor, judge_status},
    };
    struct guarded bytes;
    enum answer answer;
    ProtobufCMessage *message;

    if (size == 0) {
        return 0;
    }
    (void)sink();
    answer = data[0] % ANSWER_NR;
    bytes = guarded_copy(data + 1, size - 1, GUARDED_END);
    if (answer == ANSWER_EXTENTS) {
        judge_extents(bytes.data, bytes.len);
    } else {
        message = protobuf_c_message_unpack(answers[answer].type, NULL, bytes.len, bytes.data);
        if (message != NULL) {
            answers[answer].judge(message);
            protobuf_c_message_free_unpacked(message, NULL);
        }
    }
    guarded_clear(&bytes);
    return 0;
}
