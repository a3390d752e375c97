/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot is found and read in the cell; the size of the virtual disk stays what it is, as in
 * stock.
 */
#include "src/graph/snapshot.h"

#include <string.h>

#include "compat/wording.h"
#include "guest/abi/error.h"
#include "guest/abi/open.pb-c.h"
#include "src/wire/decode.h"

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

static void fill_request(Abi__SnapshotLoadRequest *request, const char *either, const char *id,
                         const char *name)
{
    if (either != NULL) {
        request->name = bytes_of(either);
        return;
    }
    request->by_id = id != NULL;
    request->by_name = name != NULL;
    request->id = bytes_of(id != NULL ? id : "");
    request->name = bytes_of(name != NULL ? name : "");
}

/* qemu has one sentence for a snapshot that is not there, whichever way it was asked for. */
static void settle_error(struct image *image, GError **error)
{
    switch (wire_error_code(*error)) {
    case GUEST_ERR_SNAPSHOT_NOT_FOUND:
        g_clear_error(error);
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE, "Can't find snapshot");
        break;
    case GUEST_ERR_NOT_SUPPORTED:
        g_clear_error(error);
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE,
                    "Block format '%s' used by device '' does not support temporarily loading "
                    "internal snapshots",
                    image_format(image));
        break;
    default:
        break;
    }
}

gboolean image_load_snapshot(struct image *image, const char *either, const char *id,
                             const char *name, GError **error)
{
    Abi__SnapshotLoadRequest request = ABI__SNAPSHOT_LOAD_REQUEST__INIT;
    ProtobufCMessage *message;
    GError *refused = NULL;
    gboolean ok;

    if (image_cell(image) == NULL) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE,
                    "Block format '%s' used by device '' does not support temporarily loading "
                    "internal snapshots",
                    image_format(image));
        return FALSE;
    }
    request.node = image_node(image);
    fill_request(&request, either, id, name);
    if (!cell_call(image_cell(image), CELL_METHOD_SNAPSHOT_LOAD, &request.base, NULL, 0, 0,
                   &abi__snapshot_load_reply__descriptor, &message, error)) {
        return FALSE;
    }
    ok = wire_check_error(((Abi__SnapshotLoadReply *)message)->error, image_filename(image),
                          &refused);
    protobuf_c_message_free_unpacked(message, NULL);
    if (!ok) {
        settle_error(image, &refused);
        g_propagate_error(error, refused);
    }
    return ok;
}
