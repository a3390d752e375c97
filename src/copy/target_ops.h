/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kind of target provides. Only src/copy/target*.c include this; see target.h for each verb.
 */
#ifndef INSTAR_SRC_COPY_TARGET_OPS_H
#define INSTAR_SRC_COPY_TARGET_OPS_H

#include "src/copy/target.h"

struct target_ops {
    gboolean (*room)(struct target *target, GArray *places, struct target_fault *fault);
    gboolean (*zero)(struct target *target, const struct cell_place *place,
                     struct target_fault *fault);
    void (*done)(struct target *target, const struct cell_place *places, guint nr);
    gboolean (*serve)(struct target *target, guint64 most_bytes, struct target_fault *fault);
    void (*abandon)(struct target *target);
    gboolean (*finish)(struct target *target, struct target_fault *fault);
    struct endpoint *(*blob)(const struct target *target, guint32 blob); /* NULL: there is one */
    void (*free)(struct target *target);
};

/* The first member of each kind. */
struct target {
    const struct target_ops *ops;
    struct target_shape shape;
    struct pool *pool;
    struct sector_cipher *cipher; /* the one in the shape, owned */
};

/* Fills a fault with the errno of a write, 0 included: FALSE unless it is 0. */
static inline gboolean target_errno(struct target_fault *fault, int error_number)
{
    *fault = (struct target_fault){.error_number = error_number};
    return error_number == 0;
}

/* Fills a fault with an error, which it takes. */
static inline gboolean target_error(struct target_fault *fault, GError *error)
{
    *fault = (struct target_fault){.error = error};
    return FALSE;
}

#endif
