/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/bitmap.h"

#include "compat/wording.h"
#include "src/plan/image_plan.h"
#include "src/wire/decode.h"

/* Bitmaps of all sorts, beyond what the file has: far beyond what they should be. */
#define ROOM_BYTES ((uint64_t)1 << 40)

gboolean bitmap_plan(struct image *image, Abi__BitmapRequest *request, struct bitmap_outcome *out,
                     GError **error)
{
    ProtobufCMessage *message = NULL;
    gboolean ok;

    *out = (struct bitmap_outcome){0};
    request->node = image_node(image);
    if (!cell_call(image_cell(image), CELL_METHOD_BITMAP, &request->base, NULL, 0, 0,
                   &abi__bitmap_reply__descriptor, &message, error))
        return FALSE;
    const Abi__BitmapReply *reply = (const Abi__BitmapReply *)message;
    ok = wire_check_error(reply->error, image_filename(image), error);
    if (ok && reply->nr_done + (reply->failure != NULL) > request->n_action)
        ok = wire_refuse(error, "number of actions");
    if (ok) {
        out->nr_done = reply->nr_done;
        out->lost = reply->lost != 0;
        (void)wire_check_error(reply->failure, image_filename(image), &out->failure);
        out->failure_code = reply->failure != NULL ? reply->failure->code : 0;
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return ok;
}

gboolean bitmap_apply(struct image *image, GError **error)
{
    return image_plan_apply(image, ROOM_BYTES, error);
}
