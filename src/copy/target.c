/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of a target, whichever kind it is.
 */
#include "src/copy/target_ops.h"

void target_free(struct target *target)
{
    if (target != NULL) {
        sector_cipher_free(target->cipher);
        target->ops->free(target);
    }
}

void target_set_cipher(struct target *target, struct sector_cipher *cipher, gboolean by_place)
{
    target->cipher = cipher;
    target->shape.cipher = cipher;
    target->shape.cipher_by_place = by_place;
    target->shape.stays_sorted = FALSE; /* nothing can be copied as it is */
}

const struct target_shape *target_shape(const struct target *target)
{
    return &target->shape;
}

void target_attach(struct target *target, struct pool *pool)
{
    target->pool = pool;
}

struct endpoint *target_blob(const struct target *target, const struct cell_place *place)
{
    return target->ops->blob != NULL ? target->ops->blob(target, place->blob) : target->shape.data;
}

gboolean target_room(struct target *target, GArray *places, struct target_fault *fault)
{
    return target->ops->room(target, places, fault);
}

gboolean target_zero(struct target *target, const struct cell_place *place,
                     struct target_fault *fault)
{
    return target->ops->zero(target, place, fault);
}

void target_done(struct target *target, const struct cell_place *places, guint nr)
{
    target->ops->done(target, places, nr);
}

gboolean target_serve(struct target *target, guint64 most_bytes, struct target_fault *fault)
{
    return target->ops->serve(target, most_bytes, fault);
}

void target_abandon(struct target *target)
{
    target->ops->abandon(target);
}

gboolean target_finish(struct target *target, struct target_fault *fault)
{
    return target->ops->finish(target, fault);
}
