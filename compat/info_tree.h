/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as trees: what JSON prints whole, and human text in parts.
 */
#ifndef COMPAT_INFO_TREE_H
#define COMPAT_INFO_TREE_H

#include "compat/result.h"
#include "compat/value.h"

/* An image with everything below it. Free with value_free, as all of these. */
struct value *info_tree_image(const struct image_info *info);

/* The `data` of format-specific; NULL for SPECIFIC_NONE. */
struct value *info_tree_specific(const struct specific *specific);

struct value *info_tree_limits(const struct limits_info *limits);
struct value *info_tree_check(const struct check_result *result);
struct value *info_tree_measure(const struct measure_result *result);

#endif
