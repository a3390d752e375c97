/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/made_file.h"

#include <unistd.h>

#include "src/io/locks.h"

void made_file_clear(MadeFile *file)
{
    if (file->endpoint != NULL)
        endpoint_unref(file->endpoint);
    if (file->made)
        (void)unlink(file->path);
}

gboolean made_file_open(MadeFile *file, const char *name, const char *protocol,
                        const struct create_file *options, gboolean no_flush, GError **error)
{
    file->path = create_file_path(name);
    file->endpoint = create_file_open(name, protocol, options, no_flush, &file->made, error);
    return file->endpoint != NULL;
}

gboolean made_file_lock(MadeFile *file, GError **error)
{
    return locks_take(file->endpoint,
                      PERMISSION_CONSISTENT_READ | PERMISSION_WRITE | PERMISSION_RESIZE,
                      PERMISSION_WRITE | PERMISSION_RESIZE, error);
}
