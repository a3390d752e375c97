/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw targets: a file or a device is its own map. An encrypted disk is one that begins later in its
 * file, and has no zeros that need not be written.
 */
#include "src/copy/target_ops.h"

#define SECTOR 512u

struct raw_target {
    struct target base;
    guint64 payload_bytes; /* of the file before the disk */
};

static gboolean raw_room(struct target *target, GArray *places, struct target_fault *fault)
{
    const struct raw_target *raw = (const struct raw_target *)target;

    for (guint i = 0; i < places->len; i++) {
        struct cell_place *place = &g_array_index(places, struct cell_place, i);

        place->offset = raw->payload_bytes + place->start;
    }
    return TRUE;
}

static gboolean raw_zero(struct target *target, const struct cell_place *place,
                         struct target_fault *fault)
{
    return target_errno(fault,
                        endpoint_zero(target->shape.data, place->offset, place->length, TRUE));
}

static void raw_done(struct target *target, const struct cell_place *places, guint nr)
{
}

static gboolean raw_serve(struct target *target, guint64 most_bytes, struct target_fault *fault)
{
    return TRUE;
}

static void raw_abandon(struct target *target)
{
}

static gboolean raw_finish(struct target *target, struct target_fault *fault)
{
    return target_errno(fault, endpoint_flush(target->shape.data));
}

static void raw_free(struct target *target)
{
    endpoint_unref(target->shape.data);
    g_free(target);
}

static const struct target_ops raw_ops = {
    .room = raw_room,
    .zero = raw_zero,
    .done = raw_done,
    .serve = raw_serve,
    .abandon = raw_abandon,
    .finish = raw_finish,
    .free = raw_free,
};

struct target *target_new_raw(struct endpoint *endpoint, guint64 size_bytes, gboolean reads_zero)
{
    struct raw_target *raw = g_new0(struct raw_target, 1);
    struct target *target = &raw->base;

    target->ops = &raw_ops;
    target->shape = (struct target_shape){
        .unit_bytes = MAX(SECTOR, endpoint_alignment(endpoint)),
        .zero_bytes = MAX(SECTOR, endpoint_alignment(endpoint)),
        .size_bytes = size_bytes,
        .reads_zero = reads_zero,
        .stays_sorted = TRUE,
        .data = endpoint_ref(endpoint),
    };
    return target;
}

struct target *target_new_encrypted(struct endpoint *endpoint, guint64 size_bytes,
                                    guint64 payload_bytes)
{
    struct target *target = target_new_raw(endpoint, size_bytes, FALSE);

    ((struct raw_target *)target)->payload_bytes = payload_bytes;
    target->shape.plain_zeros = TRUE;
    return target;
}
