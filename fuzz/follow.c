/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/follow.h"

#include <string.h>

#include "guest/lib/bytes.h"

#define BATCHES_MAX 4096
#define OPS_MAX     512
#define IMAGE_MAX   (64u << 20) /* a plan that makes the file longer is not followed */

static uint8_t window[PLAN_WINDOW_BYTES];
static struct cell_op ops[OPS_MAX];

struct node *fuzz_open_bytes(const char *format, const uint8_t *bytes, uint64_t len,
                             bool read_write, bool for_check)
{
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    struct source *source = source_new_buffer(0, bytes, len);
    struct guest_err_detail detail;
    struct node *node = NULL;

    request.format = (char *)format;
    request.read_write = read_write;
    request.for_check = for_check;
    if (source && node_open(source, &request, &node, &detail) == GUEST_OK)
        return node;
    source_free(source);
    return NULL;
}

/* What an op leaves in [offset, offset + length), all of it inside the image. */
static void fill(GByteArray *image, const struct cell_op *op)
{
    uint8_t *at = image->data + op->offset;

    switch (op->kind) {
    case CELL_OP_WRITE:
        memcpy(at, window + op->data, op->length);
        break;
    case CELL_OP_COPY:
        memmove(at, image->data + op->data, op->length);
        break;
    case CELL_OP_PATTERN:
        for (uint64_t i = 0; i < op->length; i++)
            at[i] = ((const uint8_t *)op->value)[i % op->unit_len];
        break;
    case CELL_OP_ASCEND:
        for (uint64_t i = 0; i < op->length / op->unit_len; i++)
            store_be64(&at[i * op->unit_len], op->value[0] + i * op->value[1]);
        break;
    default:
        memset(at, 0, op->length);
    }
}

static bool resize(GByteArray *image, uint64_t len)
{
    guint had = image->len;

    if (len > IMAGE_MAX)
        return false;
    g_byte_array_set_size(image, (guint)len);
    if (len > had)
        memset(image->data + had, 0, len - had);
    return true;
}

/* One op onto the image; false: it becomes too long to be followed. */
static bool carry_out(GByteArray *image, const struct cell_op *op, const struct plan_sink *sink)
{
    if (op->kind == CELL_OP_BARRIER || op->kind == CELL_OP_DISCARD || op->blob != 0)
        return true;
    if (op->kind == CELL_OP_TRUNCATE)
        return resize(image, op->offset);
    g_assert(op->offset <= UINT64_MAX - op->length);
    if (op->kind == CELL_OP_WRITE)
        g_assert(op->data <= sink->window_used && op->length <= sink->window_used - op->data);
    if (op->kind == CELL_OP_COPY && op->data > UINT64_MAX - op->length)
        g_assert_not_reached();
    if (op->offset + op->length > image->len && !resize(image, op->offset + op->length))
        return false;
    if (op->kind == CELL_OP_COPY && op->data + op->length > image->len &&
        !resize(image, op->data + op->length))
        return false;
    if (op->kind != CELL_OP_ALLOCATE)
        fill(image, op);
    return true;
}

/* All ops of a batch; false: as fuzz_follow. */
static bool follow_batch(GByteArray *image, const struct plan_sink *sink,
                         const struct fuzz_watch *watch)
{
    bool good = true;

    for (uint32_t i = 0; i < sink->nr_ops && good; i++) {
        const struct cell_op *op = &sink->ops[i];

        if (op->kind == CELL_OP_BARRIER && watch->barrier)
            watch->barrier(watch->user);
        good = (!watch->op || watch->op(watch->user, op)) && carry_out(image, op, sink);
    }
    return good;
}

bool fuzz_follow(GByteArray *image, struct plan *plan, const struct fuzz_watch *watch)
{
    bool done = false, good = true;

    for (unsigned batch = 0; !done && good; batch++) {
        struct plan_sink sink = {
            .ops = ops, .max_ops = OPS_MAX, .window = window, .window_size = sizeof(window)};
        struct guest_err_detail detail;

        g_assert(batch < BATCHES_MAX);
        good = plan->verbs->next(plan, &sink, &done, &detail) == GUEST_OK;
        g_assert(!good || done || sink.nr_ops > 0);
        good = good && follow_batch(image, &sink, watch);
    }
    plan->verbs->free(plan);
    return good;
}
