/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image and its data file in memory, as steps leave them.
 */
#include "tests/crash/disk.h"

#include <string.h>

static void disk_resize(GByteArray *file, uint64_t len)
{
    guint old = file->len;
    g_byte_array_set_size(file, (guint)len);
    if (file->len > old)
        memset(file->data + old, 0, file->len - old);
}

void disk_step(struct disk *disk, const struct step *step, uint64_t from, uint64_t to)
{
    if (step->kind == STEP_BARRIER)
        return;
    GByteArray *file = disk->file[step->blob];
    if (step->kind == STEP_TRUNCATE) {
        disk_resize(file, step->offset);
        return;
    }
    if (step->offset + to > file->len)
        disk_resize(file, step->offset + to);
    if (step->kind == STEP_COPY) {
        g_assert_cmpint(step->source + to, <=, file->len);
        memmove(file->data + step->offset + from, file->data + step->source + from, to - from);
    } else if (step->kind == STEP_ZERO)
        memset(file->data + step->offset + from, 0, to - from);
    else
        memcpy(file->data + step->offset + from, step->bytes + from, to - from);
}

void disk_copy(struct disk *to, const struct disk *from)
{
    for (unsigned i = 0; i < 2; i++) {
        g_byte_array_set_size(to->file[i], 0);
        g_byte_array_append(to->file[i], from->file[i]->data, from->file[i]->len);
    }
}

void disk_new(struct disk *disk)
{
    disk->file[0] = g_byte_array_new();
    disk->file[1] = g_byte_array_new();
}

void disk_free(struct disk *disk)
{
    g_byte_array_unref(disk->file[0]);
    g_byte_array_unref(disk->file[1]);
}

void disk_load(struct disk *disk, const struct bench *b)
{
    const char *const paths[2] = {b->image, b->data};
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *bytes = NULL;
        gsize len = 0;
        g_assert_true(g_file_get_contents(paths[i], &bytes, &len, NULL));
        g_byte_array_append(disk->file[i], (guint8 *)bytes, (guint)len);
    }
}
