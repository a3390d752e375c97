/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a resize of an image of several files leaves behind when it is killed.
 *
 * A file that is to become an extent is there before the descriptor names it, and one that was an
 * extent is there after; a kill between the two leaves it where the next resize wants to make one.
 * So whoever resizes first writes a record beside the descriptor, NAME.resizing, with the device
 * and inode of each such file. The next resize removes a file that has such a name if the record
 * lists it, or if it is empty (a kill between its making and its listing) while there is a record,
 * and if nothing is known to refer to it: it is no extent of the image, has no other name, and
 * nobody has locked it. Anything else that is in the way stays, and the resize is refused as ever.
 */
#ifndef INSTAR_SRC_PLAN_RESIZE_LEFTOVERS_H
#define INSTAR_SRC_PLAN_RESIZE_LEFTOVERS_H

#include <glib.h>

/*
 * Adds the files that there are to the record of an image, which is made if it is not there.
 *
 * in:      path: of the descriptor; files: paths, of char *; those that do not exist are left out
 */
gboolean leftovers_note(const char *path, const GPtrArray *files, GError **error);

/* Whether an earlier resize has left a record. */
gboolean leftovers_recorded(const char *path);

/*
 * Removes what an earlier resize has left under these names.
 *
 * in:      names: paths; extents: paths of what the image consists of now
 */
void leftovers_remove(const char *path, const GPtrArray *names, const GPtrArray *extents);

/* The resize has come to its end: nothing is left behind. */
void leftovers_done(const char *path);

#endif
