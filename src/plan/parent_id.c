/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/parent_id.h"

#include <string.h>

#include "compat/wording.h"
#include "guest/abi/info.pb-c.h"
#include "src/graph/paths.h"
#include "src/wire/decode.h"

gboolean parent_id_wanted(const char *format)
{
    return strcmp(format, "vpc") == 0 || strcmp(format, "vhdx") == 0;
}

/* What the cell says of it, checked. */
static gboolean ask(struct image *parent, struct parent_id *out, GError **error)
{
    Abi__InfoRequest request = ABI__INFO_REQUEST__INIT;
    ProtobufCMessage *reply;
    const Abi__InfoReply *info;
    gboolean ok;

    request.node = image_node(parent);
    if (!cell_call(image_cell(parent), CELL_METHOD_INFO, &request.base, NULL, 0, 0,
                   &abi__info_reply__descriptor, &reply, error))
        return FALSE;
    info = (const Abi__InfoReply *)reply;
    ok = wire_check_error(info->error, image_filename(parent), error);
    if (ok && info->disk_guid.len != sizeof(out->guid))
        ok =
            wording_fail(error, "The parser gave a bad identifier of '%s'", image_filename(parent));
    if (ok) {
        memcpy(out->guid, info->disk_guid.data, sizeof(out->guid));
        out->len = sizeof(out->guid);
        out->time_sec = info->parent_time_sec;
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}

gboolean parent_id_read(const char *format, const char *overlay, const char *name,
                        const char *name_format, struct parent_id *out, GError **error)
{
    g_autofree char *path = path_has_protocol(name) ? g_strdup(name) : path_combine(overlay, name);
    struct image_open_options options = {
        .filename = path,
        .format = format,
        .no_io = TRUE,
        .no_backing = TRUE,
        .cache = CACHE_WRITEBACK,
    };
    g_autoptr(Image) parent = NULL;

    if (name_format != NULL && strcmp(name_format, format) != 0)
        return wording_fail(error, "backing_file must be a %s image", format);
    parent = image_open(&options, error);
    return parent != NULL && ask(parent, out, error);
}
