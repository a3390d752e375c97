/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--object throttle-group,...`: how much may be read and written in a second.
 */
#ifndef COMPAT_THROTTLE_H
#define COMPAT_THROTTLE_H

#include <glib.h>

#include "compat/keyval.h"

enum throttle_kind {
    THROTTLE_BPS_TOTAL,
    THROTTLE_BPS_READ,
    THROTTLE_BPS_WRITE,
    THROTTLE_IOPS_TOTAL,
    THROTTLE_IOPS_READ,
    THROTTLE_IOPS_WRITE,
    THROTTLE_NR,
};

/* One limit; rates are per second, 0: none. */
struct throttle_limit {
    guint64 rate;
    guint64 burst_rate;    /* allowed for burst_seconds */
    guint64 burst_seconds; /* never 0 */
};

struct throttle_group {
    char *id;
    struct throttle_limit limits[THROTTLE_NR];
    guint64 iops_size; /* bytes that count as one request; 0: any number */
};

/*
 * Reads the properties of a group, "x-bps-total" or "limits.bps-total" and so on.
 *
 * in:      kv: with "qom-type" and "id"; json: only pairs that are bare are numbers
 * returns: NULL with *error in stock's words
 */
struct throttle_group *throttle_group_new(const struct keyval *kv, const char *id, gboolean json,
                                          GError **error);
void throttle_group_free(struct throttle_group *group);

/* Prints what `--object throttle-group,help` prints. */
void throttle_print_help(void);

/* Whether anything is limited. */
gboolean throttle_group_limits(const struct throttle_group *group);

#endif
