/* SPDX-License-Identifier: Apache-2.0 */
#include "src/graph/ask.h"

Abi__InfoReply *image_ask_info(struct image *image, GError **error)
{
    Abi__InfoRequest request = ABI__INFO_REQUEST__INIT;
    ProtobufCMessage *message = NULL;

    request.node = image_node(image);
    if (!cell_call(image_cell(image), CELL_METHOD_INFO, &request.base, NULL, 0, 0,
                   &abi__info_reply__descriptor, &message, error))
        return NULL;
    if (!wire_check_error(((Abi__InfoReply *)message)->error, image_filename(image), error)) {
        protobuf_c_message_free_unpacked(message, NULL);
        message = NULL;
    }
    return (Abi__InfoReply *)message;
}

gboolean image_describe(struct image *image, struct image_info *info, GError **error)
{
    Abi__InfoReply *reply = image_ask_info(image, error);
    gboolean ok = reply != NULL && wire_decode_info(reply, info, error);

    if (reply != NULL)
        abi__info_reply__free_unpacked(reply, NULL);
    return ok;
}
