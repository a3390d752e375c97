/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that a command makes: removed again, if it did not exist before, unless it is kept.
 */
#ifndef INSTAR_SRC_PLAN_MADE_FILE_H
#define INSTAR_SRC_PLAN_MADE_FILE_H

#include "src/plan/create_file.h"

/* For g_auto: starts zeroed. */
typedef struct {
    struct endpoint *endpoint;
    const char *path;
    gboolean made; /* and not kept yet: set to FALSE to keep it */
} MadeFile;

void made_file_clear(MadeFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MadeFile, made_file_clear)

/*
 * Makes or empties the file.
 *
 * in:      name: as typed, outlives the file; protocol: as of create_file_open
 * returns: FALSE with stock's sentence
 */
gboolean made_file_open(MadeFile *file, const char *name, const char *protocol,
                        const struct create_file *options, gboolean no_flush, GError **error);

/* Locks it against any other user while tables are written. FALSE with stock's sentence. */
gboolean made_file_lock(MadeFile *file, GError **error);

#endif
