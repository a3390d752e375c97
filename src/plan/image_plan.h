/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an opened image and a request to a plan carried out: started in the image's cell, applied to
 * its file and flushed.
 */
#ifndef INSTAR_SRC_PLAN_IMAGE_PLAN_H
#define INSTAR_SRC_PLAN_IMAGE_PLAN_H

#include "guest/abi/plan.pb-c.h"
#include "src/graph/graph.h"

/*
 * Starts a plan in the image's cell; nothing is changed yet.
 *
 * in:      request: of `method`, whose reply is a PlanReply
 * returns: FALSE with what the cell refused (wire_error_code)
 */
gboolean image_plan_start(struct image *image, enum cell_method method,
                          const ProtobufCMessage *request, GError **error);

/*
 * Carries out the plan that the image's cell has started, or explains it; then flushes.
 *
 * in:      room_bytes: how far behind the ends of the image's files it may write
 */
gboolean image_plan_apply(struct image *image, uint64_t room_bytes, GError **error);

/*
 * Starts a plan and carries it out, or explains it.
 *
 * in:      room_bytes: how far behind the ends of the image's files it may write
 */
gboolean image_plan_run(struct image *image, enum cell_method method,
                        const ProtobufCMessage *request, uint64_t room_bytes, GError **error);

/* The files that a plan may write to. */
struct image_plan_files {
    GArray *targets; /* of struct apply_target; owned by who has called init */
};

/* Those of the image itself, in the order of their blobs. */
void image_plan_files_init(struct image_plan_files *files, struct image *image,
                           uint64_t room_bytes);

/* Carries out the plan that was started, and flushes; or explains it. */
gboolean image_plan_carry_out(struct image *image, const struct image_plan_files *files,
                              GError **error);

#endif
