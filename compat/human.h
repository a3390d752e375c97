/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as text for people. Everything goes to the stream given, which is stdout but for tests.
 * Control characters in names are shown as \xNN, so that an image cannot forge lines.
 */
#ifndef COMPAT_HUMAN_H
#define COMPAT_HUMAN_H

#include <glib.h>
#include <stdint.h>
#include <stdio.h>

#include "compat/result.h"

/* Prints the images of a chain, separated by empty lines; nr is 1 without --backing-chain. */
void human_info(FILE *out, struct image_info *const *images, size_t nr);

/* Prints `snapshot -l`: nothing at all for an empty list. */
void human_snapshots(FILE *out, const GPtrArray *snapshots);

/*
 * Prints the statistics of `check`.
 *
 * The lines that announce a repair ("The following inconsistencies were found and repaired") are
 * human_check_repaired's, printed before the second pass.
 */
void human_check(FILE *out, const struct check_result *result);
void human_check_repaired(FILE *out, uint64_t leaks_fixed, uint64_t corruptions_fixed);

/* `map`: a heading, then data extents; the caller skips nothing, these do. */
void human_map_begin(FILE *out);

/*
 * Prints one extent if it holds data.
 *
 * returns: FALSE with *error "File contains external, encrypted or compressed clusters." for
 *          data without an offset
 */
gboolean human_map_entry(FILE *out, const struct map_entry *entry, GError **error);

void human_measure(FILE *out, const struct measure_result *result);

/*
 * Prints compare's verdict (with the warning about sizes before it).
 */
void human_compare(FILE *out, const struct compare_result *result);

#endif
