/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of clusters, for checks that ask whether one is used twice, or not at all.
 *
 * Memory follows what is put in, not the size of the file: bits come in pages, and a page that was
 * never touched is not there.
 */
#ifndef INSTAR_GUEST_FORMATS_CLUSTER_SET_H
#define INSTAR_GUEST_FORMATS_CLUSTER_SET_H

#include <stdbool.h>
#include <stdint.h>

struct cluster_set {
    uint64_t **pages;
    uint64_t nr;    /* clusters */
    uint64_t nr_in; /* of them, those that are in the set */
};

/*
 * Makes an empty set of clusters out of [0, nr).
 *
 * returns: false when out of memory
 */
bool cluster_set_init(struct cluster_set *set, uint64_t nr);
void cluster_set_clear(struct cluster_set *set);

/*
 * Puts a cluster in.
 *
 * in:      cluster < nr
 * out:     *out_new: it was not in before
 * returns: false when out of memory
 */
bool cluster_set_add(struct cluster_set *set, uint64_t cluster, bool *out_new);

/* Whether any of a run is in; what lies at nr and behind is not. */
bool cluster_set_has_any(const struct cluster_set *set, uint64_t first, uint64_t nr);

/* cluster < nr */
bool cluster_set_has(const struct cluster_set *set, uint64_t cluster);

#endif
