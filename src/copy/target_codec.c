/* SPDX-License-Identifier: Apache-2.0 */
#include "src/copy/target_codec.h"

#include <string.h>

#include "compat/result.h"
#include "src/graph/ask.h"

static enum cell_codec codec_of(const struct image_info *info)
{
    if (info->specific.vmdk != NULL) {
        return strcmp(info->specific.vmdk->create_type, "streamOptimized") == 0
                   ? CELL_CODEC_VMDK_GRAIN
                   : CELL_CODEC_NONE;
    }
    if (info->specific.qcow2 != NULL &&
        strcmp(info->specific.qcow2->compression_type, "zstd") == 0) {
        return CELL_CODEC_ZSTD;
    }
    return CELL_CODEC_DEFLATE;
}

gboolean target_find_codec(struct image *image, enum cell_codec *out, GError **error)
{
    struct image_info *info = image_info_new();
    gboolean ok = image_describe(image, info, error);

    if (ok) {
        *out = codec_of(info);
    }
    image_info_free(info);
    return ok;
}

gboolean target_is_stream(struct image *image, gboolean *out, GError **error)
{
    enum cell_codec codec = CELL_CODEC_NONE;

    *out = FALSE;
    if (image_cell(image) == NULL || strcmp(image_format(image), "vmdk") != 0) {
        return TRUE;
    }
    if (!target_find_codec(image, &codec, error)) {
        return FALSE;
    }
    *out = codec == CELL_CODEC_VMDK_GRAIN;
    return TRUE;
}
