/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repairs of a hostile image of qcow2, QED, Parallels or VMDK. What is planned must be well-formed,
 * come to its end, and keep to its promise: an image of which all is said to be repaired is found
 * clean, and the start of the disk reads as before, unless what was written lies over it. Input:
 *
 *   u8            even: leaks alone; odd: everything; bits 1 and 2: format
 *   the rest      the image
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/follow.h"
#include "fuzz/guarded.h"
#include "guest/abi/error_parallels.h"
#include "guest/abi/error_qcow2.h"
#include "guest/abi/error_vmdk.h"
#include "guest/formats/format.h"
#include "guest/lib/bytes.h"
#include "guest/plan/chain_read.h"
#include "guest/plan/plan.h"

#define LOOK_BYTES  (1u << 20) /* of the disk */
#define STEP_BYTES  4096u
#define EXTENTS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the first bytes of the disk are in the file. */
struct places {
    uint64_t from[EXTENTS_MAX], to[EXTENTS_MAX];
    unsigned nr;
};

/*
 * What was said to be past the end may be inside once new refcount structures have made the file
 * longer: then a repair says that it is not done, as stock's does. *sink->user: whether it did.
 */
struct told {
    bool broken;
    bool lost; /* an entry that leads outside is gone, and what it showed with it */
};

static void take(struct finding_sink *sink, const struct cell_finding *finding)
{
    struct told *told = sink->user;

    /* A file that ends before its data begins stays wrong, as in stock. */
    told->broken |=
        finding->code == QCOW2_FOUND_REBUILT_BROKEN || finding->code == PARALLELS_FIXED_DATA_OFF;
    told->lost |= finding->code == PARALLELS_FIXED_OUTSIDE ||
                  finding->code == (uint32_t)VMDK_FOUND_PAST_END ||
                  finding->code == (uint32_t)VMDK_FOUND_DIRECTORY;
}

/* Bytes of the disk, and of which of them it is known; nothing of an image with other files. */
static uint64_t read_disk(const char *format, const GByteArray *image, uint8_t *out,
                          bool *out_known, struct places *places)
{
    struct node *node = fuzz_open_bytes(format, image->data, image->len, false, false);
    uint64_t len = node && !node->nr_refs ? MIN(node->virtual_size, LOOK_BYTES) : 0;
    struct guest_err_detail detail;

    for (uint64_t at = 0; at < len; at += STEP_BYTES)
        out_known[at / STEP_BYTES] =
            chain_read(node, at, MIN(STEP_BYTES, len - at), &out[at], &detail) == GUEST_OK;
    for (uint64_t at = 0; places && at < len && places->nr < EXTENTS_MAX;) {
        struct layer_extent e = {0};
        if (node->driver->map(node, at, len - at, &e, &detail) != GUEST_OK || e.length == 0)
            break;
        if (e.flags & CELL_EXTENT_HAS_OFFSET) {
            uint64_t bytes = e.kind == CELL_EXTENT_COMPRESSED ? e.comp_len : e.length;
            places->from[places->nr] = e.offset;
            places->to[places->nr++] = e.offset + bytes;
        }
        at += e.length;
    }
    node_free(node);
    return len;
}

static bool meets(const struct places *places, uint64_t offset, uint64_t len)
{
    for (unsigned i = 0; i < places->nr; i++) {
        if (offset < places->to[i] && places->from[i] < offset + len)
            return true;
    }
    return false;
}

/* What is written lies over something of the disk: then it may change. */
static bool spares_disk(void *user, const struct cell_op *op)
{
    bool writes = op->kind != CELL_OP_BARRIER && op->kind != CELL_OP_TRUNCATE;

    return !writes || !meets(user, op->offset, op->length);
}

static void judge_clean(const char *format, const GByteArray *image)
{
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    struct told told = {0};
    struct finding_sink sink = {.add = take, .user = &told};
    struct node *node = fuzz_open_bytes(format, image->data, image->len, true, true);
    struct guest_err_detail detail;

    g_assert(node);
    g_assert(node->driver->check(node, &request, &sink, &reply, &detail) == GUEST_OK);
    g_assert(reply.corruptions == 0 && reply.check_errors == 0 && reply.leaks == 0);
    node_free(node);
}

static void repair(const char *format, GByteArray *image, struct node *node, bool all)
{
    static uint8_t before[LOOK_BYTES], after[LOOK_BYTES];
    static bool knew[LOOK_BYTES / STEP_BYTES], know[LOOK_BYTES / STEP_BYTES];
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    struct told told = {0};
    struct finding_sink sink = {.add = take, .user = &told};
    struct guest_err_detail detail;
    struct places places = {.nr = 0};
    uint64_t len = read_disk(format, image, before, knew, &places);
    struct fuzz_watch watch = {.op = spares_disk, .user = &places};
    bool good = places.nr < EXTENTS_MAX;
    enum guest_err err;

    request.fix_leaks = true;
    request.fix_errors = all;
    err = node->driver->check(node, &request, &sink, &reply, &detail);
    if (node->repair) {
        struct plan *plan = node->repair;
        node->repair = NULL;
        good = fuzz_follow(image, plan, &watch) && good;
    }
    if (err || !good)
        return;
    if (!told.broken && !reply.corruptions && !reply.check_errors && !reply.leaks)
        judge_clean(format, image);
    if (told.lost || read_disk(format, image, after, know, NULL) != len)
        return; /* what made it unreadable is gone */
    for (uint64_t at = 0; at < len; at += STEP_BYTES) {
        if (knew[at / STEP_BYTES]) {
            g_assert(know[at / STEP_BYTES]);
            g_assert(memcmp(&before[at], &after[at], MIN(STEP_BYTES, len - at)) == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"qcow2", "qed", "parallels", "vmdk"};
    const char *format;
    struct guarded guarded;
    GByteArray *image;
    struct node *node;

    if (size < 1)
        return 0;
    guarded = guarded_copy(data + 1, size - 1, GUARDED_END);
    image = g_byte_array_new();
    g_byte_array_append(image, data + 1, (guint)size - 1);
    format = formats[data[0] >> 1 & 3];
    node = fuzz_open_bytes(format, guarded.data, guarded.len, true, true);
    if (node)
        repair(format, image, node, data[0] & 1);
    node_free(node);
    g_byte_array_unref(image);
    guarded_clear(&guarded);
    return 0;
}
