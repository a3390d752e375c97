/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repairs of a hostile qcow2 image. What is planned must be well-formed, come to its end, and keep
 * to its promise: an image of which all is said to be repaired is found clean, and the start of the
 * disk reads as before, unless what was written lies over it. Input:
 *
 *   u8            even: leaks alone; odd: everything
 *   the rest      the image
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/guarded.h"
#include "guest/abi/error_qcow2.h"
#include "guest/formats/format.h"
#include "guest/lib/bytes.h"
#include "guest/plan/chain_read.h"
#include "guest/plan/plan.h"

#define BATCHES_MAX 4096
#define OPS_MAX     512
#define IMAGE_MAX   (64u << 20) /* a repair that makes the file longer is not followed */
#define LOOK_BYTES  (1u << 20)  /* of the disk */
#define STEP_BYTES  4096u
#define EXTENTS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t window[PLAN_WINDOW_BYTES];
static struct cell_op ops[OPS_MAX];

/* Where the first bytes of the disk are in the file. */
struct places {
    uint64_t from[EXTENTS_MAX], to[EXTENTS_MAX];
    unsigned nr;
};

/*
 * What was said to be past the end may be inside once new refcount structures have made the file
 * longer: then a repair says that it is not done, as stock's does. *sink->user: whether it did.
 */
static void take(struct finding_sink *sink, const struct cell_finding *finding)
{
    if (finding->code == QCOW2_FOUND_REBUILT_BROKEN)
        *(bool *)sink->user = true;
}

static struct node *open_image(const uint8_t *bytes, uint64_t len, bool for_check)
{
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    struct source *source = source_new_buffer(0, bytes, len);
    struct guest_err_detail detail;
    struct node *node = NULL;

    request.format = (char *)"qcow2";
    request.read_write = for_check;
    request.for_check = for_check;
    if (source && node_open(source, &request, &node, &detail) == GUEST_OK)
        return node;
    source_free(source);
    return NULL;
}

/* Bytes of the disk, and of which of them it is known; nothing of an image with other files. */
static uint64_t read_disk(const GByteArray *image, uint8_t *out, bool *out_known,
                          struct places *places)
{
    struct node *node = open_image(image->data, image->len, false);
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

/* One op onto the image; false: it becomes too long to be followed. */
static bool carry_out(GByteArray *image, const struct cell_op *op, const struct plan_sink *sink)
{
    uint64_t end = op->kind == CELL_OP_TRUNCATE ? op->offset : op->offset + op->length;

    if (op->kind == CELL_OP_BARRIER || op->kind == CELL_OP_DISCARD)
        return true;
    g_assert(end >= op->offset && (op->kind == CELL_OP_TRUNCATE || op->kind == CELL_OP_WRITE));
    if (end > IMAGE_MAX)
        return false;
    if (end > image->len) {
        guint had = image->len;
        g_byte_array_set_size(image, (guint)end);
        memset(image->data + had, 0, image->len - had);
    }
    if (op->kind == CELL_OP_TRUNCATE)
        return true;
    g_assert(op->data <= sink->window_used && op->length <= sink->window_used - op->data);
    memcpy(image->data + op->offset, window + op->data, op->length);
    return true;
}

/* The whole plan; false: it could not be followed, or something of the disk was written over. */
static bool follow(GByteArray *image, struct plan *plan, const struct places *places)
{
    bool done = false, good = true;

    for (unsigned batch = 0; !done; batch++) {
        struct plan_sink sink = {
            .ops = ops, .max_ops = OPS_MAX, .window = window, .window_size = sizeof(window)};
        struct guest_err_detail detail;

        g_assert(batch < BATCHES_MAX);
        if (plan->verbs->next(plan, &sink, &done, &detail) != GUEST_OK) {
            good = false;
            break;
        }
        g_assert(done || sink.nr_ops > 0);
        for (uint32_t i = 0; i < sink.nr_ops; i++) {
            if (ops[i].kind == CELL_OP_WRITE && meets(places, ops[i].offset, ops[i].length))
                good = false;
            if (!carry_out(image, &ops[i], &sink))
                good = false;
        }
    }
    plan->verbs->free(plan);
    return good;
}

static void judge_clean(const GByteArray *image)
{
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    bool broken = false;
    struct finding_sink sink = {.add = take, .user = &broken};
    struct node *node = open_image(image->data, image->len, true);
    struct guest_err_detail detail;

    g_assert(node);
    g_assert(node->driver->check(node, &request, &sink, &reply, &detail) == GUEST_OK);
    g_assert(reply.corruptions == 0 && reply.check_errors == 0 && reply.leaks == 0);
    node_free(node);
}

static void repair(GByteArray *image, struct node *node, bool all)
{
    static uint8_t before[LOOK_BYTES], after[LOOK_BYTES];
    static bool knew[LOOK_BYTES / STEP_BYTES], know[LOOK_BYTES / STEP_BYTES];
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    Abi__CheckReply reply = ABI__CHECK_REPLY__INIT;
    bool broken = false;
    struct finding_sink sink = {.add = take, .user = &broken};
    struct guest_err_detail detail;
    struct places places = {.nr = 0};
    uint64_t len = read_disk(image, before, knew, &places);
    bool good = places.nr < EXTENTS_MAX;
    enum guest_err err;

    request.fix_leaks = true;
    request.fix_errors = all;
    err = node->driver->check(node, &request, &sink, &reply, &detail);
    if (node->repair) {
        struct plan *plan = node->repair;
        node->repair = NULL;
        good = follow(image, plan, &places) && good;
    }
    if (err || !good)
        return;
    if (!broken && !reply.corruptions && !reply.check_errors && !reply.leaks)
        judge_clean(image);
    if (read_disk(image, after, know, NULL) != len)
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
    struct guarded guarded;
    GByteArray *image;
    struct node *node;

    if (size < 1)
        return 0;
    guarded = guarded_copy(data + 1, size - 1, GUARDED_END);
    image = g_byte_array_new();
    g_byte_array_append(image, data + 1, (guint)size - 1);
    node = open_image(guarded.data, guarded.len, true);
    if (node)
        repair(image, node, data[0] & 1);
    node_free(node);
    g_byte_array_unref(image);
    guarded_clear(&guarded);
    return 0;
}
