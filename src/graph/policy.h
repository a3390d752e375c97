/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image may name.
 *
 *   strict   nothing
 *   default  backing files that are local files; data files and extents beneath the directory of
 *            the image that names them; nothing on a network
 *   qemu     whatever qemu-img would follow
 *
 * What the user names is always followed and never comes here. Decisions are made from names alone,
 * before anything is opened, so a refusal does not tell whether the file exists.
 */
#ifndef INSTAR_SRC_GRAPH_POLICY_H
#define INSTAR_SRC_GRAPH_POLICY_H

#include "src/wire/decode.h"

enum policy {
    POLICY_STRICT,
    POLICY_DEFAULT,
    POLICY_QEMU,
};

/*
 * Reads INSTAR_POLICY.
 *
 * returns: FALSE with an error for a word that means nothing
 */
gboolean policy_from_environment(enum policy *out, GError **error);

/* How an allowed reference is to be opened. */
struct policy_way {
    char *path;      /* from the current directory, or from `directory` when that is set */
    char *directory; /* NULL, or the directory below which the path must resolve */
    char *display;   /* the name for messages and for `map` */
};

/*
 * Decides about one reference.
 *
 * in:      image_path: path of the file that names it
 * out:     *out, to be cleared with policy_way_clear
 * returns: FALSE with an error that names the reference, the rule and the switch
 */
gboolean policy_decide(enum policy policy, const struct wire_ref *ref, const char *image_path,
                       struct policy_way *out, GError **error);
void policy_way_clear(struct policy_way *way);

/*
 * Sets the error for a data file or extent that turned out, by a symbolic link, to lead out of the
 * image's directory.
 */
void policy_refuse_escape(const struct wire_ref *ref, GError **error);

#endif
