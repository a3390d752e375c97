/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/image_plan.h"

#include "src/plan/apply.h"
#include "src/wire/decode.h"

#define BLOBS_MAX 16u

gboolean image_plan_start(struct image *image, enum cell_method method,
                          const ProtobufCMessage *request, GError **error)
{
    ProtobufCMessage *reply = NULL;

    if (!cell_call(image_cell(image), method, request, NULL, 0, 0, &abi__plan_reply__descriptor,
                   &reply, error))
        return FALSE;
    gboolean ok = wire_check_error(((Abi__PlanReply *)reply)->error, image_filename(image), error);
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}

/* The endpoints of the image itself: those of its backing files are not writable. */
static unsigned find_targets(struct image *image, uint64_t room_bytes, struct apply_target *out)
{
    unsigned nr = 0;

    for (uint32_t blob = 0; nr < BLOBS_MAX; blob++) {
        struct endpoint *endpoint = image_blob(image, blob);

        if (endpoint == NULL)
            break;
        if (endpoint_writable(endpoint))
            out[nr++] = (struct apply_target){
                .blob = blob,
                .endpoint = endpoint,
                .limit_bytes = MIN(endpoint_size(endpoint), G_MAXINT64 / 2) + room_bytes,
            };
    }
    return nr;
}

gboolean image_plan_apply(struct image *image, uint64_t room_bytes, GError **error)
{
    struct apply_target targets[BLOBS_MAX];
    unsigned nr_targets = find_targets(image, MIN(room_bytes, G_MAXINT64 / 2), targets);

    return apply_plan_flushed(image_cell(image), targets, nr_targets, error);
}

gboolean image_plan_run(struct image *image, enum cell_method method,
                        const ProtobufCMessage *request, uint64_t room_bytes, GError **error)
{
    return image_plan_start(image, method, request, error) &&
           image_plan_apply(image, room_bytes, error);
}
