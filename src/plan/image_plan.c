/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/image_plan.h"

#include "src/plan/apply.h"
#include "src/wire/decode.h"

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

void image_plan_files_init(struct image_plan_files *files, struct image *image, uint64_t room_bytes)
{
    uint64_t room = MIN(room_bytes, G_MAXINT64 / 2);

    files->targets = g_array_new(FALSE, TRUE, sizeof(struct apply_target));
    for (uint32_t blob = 0; blob < CELL_BLOBS_MAX; blob++) {
        struct endpoint *endpoint = image_blob(image, blob);
        struct apply_target target = {.blob = blob, .endpoint = endpoint};

        if (endpoint == NULL)
            break;
        if (!endpoint_writable(endpoint))
            continue; /* of a backing file */
        target.limit_bytes = MIN(endpoint_size(endpoint), G_MAXINT64 / 2) + room;
        g_array_append_val(files->targets, target);
    }
}

gboolean image_plan_carry_out(struct image *image, const struct image_plan_files *files,
                              GError **error)
{
    return apply_plan_flushed(image_cell(image), (const struct apply_target *)files->targets->data,
                              files->targets->len, error);
}

gboolean image_plan_apply(struct image *image, uint64_t room_bytes, GError **error)
{
    struct image_plan_files files;
    gboolean ok;

    image_plan_files_init(&files, image, room_bytes);
    ok = image_plan_carry_out(image, &files, error);
    g_array_unref(files.targets);
    return ok;
}

gboolean image_plan_run(struct image *image, enum cell_method method,
                        const ProtobufCMessage *request, uint64_t room_bytes, GError **error)
{
    return image_plan_start(image, method, request, error) &&
           image_plan_apply(image, room_bytes, error);
}
