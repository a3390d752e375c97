/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that take more memory to derive than a cell that reads an image has.
 */
#ifndef INSTAR_SRC_GRAPH_DERIVE_H
#define INSTAR_SRC_GRAPH_DERIVE_H

#include <glib.h>

#include "guest/abi/open.pb-c.h"

/* Keys that the cell asked for while one image was opened; there are as many slots at most. */
#define DERIVED_MAX 32u

struct derived_keys {
    Abi__DerivedKey key[DERIVED_MAX];
    Abi__DerivedKey *list[DERIVED_MAX];
    size_t nr;
};

/*
 * Derives one more key, in a cell that is made for it and ended again.
 *
 * in:      wanted: as the cell that reads the image put it, not trusted: held to guest/abi/derive.h
 *          and to one key a slot
 * out:     keys->list, to be sent with the next OPEN
 * returns: FALSE when it costs more than is allowed, or than there is memory for
 * bound:   memory as wanted; five times the time limit of a cell
 */
gboolean derive_key(const Abi__Derivation *wanted, const ProtobufCBinaryData *password,
                    struct derived_keys *keys, GError **error);

/* Wipes them. */
void derived_keys_clear(struct derived_keys *keys);

#endif
