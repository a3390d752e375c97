/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/parent_id.h"

#include <string.h>

#include "compat/wording.h"
#include "src/graph/ask.h"
#include "src/graph/paths.h"

gboolean parent_id_wanted(const char *format)
{
    return strcmp(format, "vpc") == 0 || strcmp(format, "vhdx") == 0;
}

/* What the cell says of it, checked. */
static gboolean ask(struct image *parent, struct parent_id *out, GError **error)
{
    Abi__InfoReply *info = image_ask_info(parent, error);
    gboolean ok;

    if (info == NULL)
        return FALSE;
    ok = info->disk_guid.len == sizeof(out->guid);
    if (ok) {
        memcpy(out->guid, info->disk_guid.data, sizeof(out->guid));
        out->len = sizeof(out->guid);
        out->time_sec = info->parent_time_sec;
    } else {
        wording_fail(error, "The parser gave a bad identifier of '%s'", image_filename(parent));
    }
    abi__info_reply__free_unpacked(info, NULL);
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
