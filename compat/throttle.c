/* SPDX-License-Identifier: Apache-2.0 */
#include "compat/throttle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compat/wording.h"

#define VALUE_MAX UINT64_C(1000000000000000)

/* source: `--object throttle-group,help`, in the order of enum throttle_kind */
static const char *const kinds[THROTTLE_NR] = {"bps-total",  "bps-read",  "bps-write",
                                               "iops-total", "iops-read", "iops-write"};

/* What a property sets; NULL: there is no such property. */
static guint64 *find_field(struct throttle_group *group, const char *name)
{
    if (strcmp(name, "iops-size") == 0) {
        return &group->iops_size;
    }
    for (size_t i = 0; i < THROTTLE_NR; i++) {
        struct throttle_limit *limit = &group->limits[i];
        size_t len = strlen(kinds[i]);

        if (strncmp(name, kinds[i], len) != 0) {
            continue;
        }
        if (name[len] == '\0') {
            return &limit->rate;
        }
        if (strcmp(name + len, "-max") == 0) {
            return &limit->burst_rate;
        }
        if (strcmp(name + len, "-max-length") == 0) {
            return &limit->burst_seconds;
        }
    }
    return NULL;
}

/* The name of a limit without what says where it was given; NULL: it is none. */
static const char *limit_name(const char *key)
{
    if (g_str_has_prefix(key, "x-")) {
        return key + strlen("x-");
    }
    return g_str_has_prefix(key, "limits.") ? key + strlen("limits.") : NULL;
}

static gboolean set_field(struct throttle_group *group, const struct keyval_pair *pair,
                          guint64 *field, GError **error)
{
    gint64 value = 0;
    char *end = NULL;

    errno = 0;
    if (pair->value != NULL) {
        value = g_ascii_strtoll(pair->value, &end, 0);
    }
    if (end == NULL || end == pair->value || *end != '\0' || errno != 0) {
        return wording_fail(error, "Parameter '%s' expects integer", pair->key);
    }
    if (value < 0) {
        return wording_fail(error, "Property values cannot be negative");
    }
    if (value == 0 && g_str_has_suffix(pair->key, "-length")) {
        return wording_fail(error, "the burst length cannot be 0");
    }
    *field = (guint64)value;
    return TRUE;
}

static gboolean read_pair(struct throttle_group *group, const struct keyval_pair *pair,
                          gboolean json, GError **error)
{
    const char *name;
    guint64 *field;

    if (strcmp(pair->key, "qom-type") == 0 || strcmp(pair->key, "id") == 0) {
        return TRUE;
    }
    name = limit_name(pair->key);
    field = name != NULL ? find_field(group, name) : NULL;
    if (strcmp(pair->key, "limits") == 0) {
        return wording_fail(error, "Invalid parameter type for 'limits', expected: object");
    }
    if (field == NULL) {
        return wording_fail(error, "Parameter '%s' is unexpected", pair->key);
    }
    if (json && !pair->bare) {
        return wording_fail(error, "Invalid parameter type for '%s', expected: integer", pair->key);
    }
    return set_field(group, pair, field, error);
}

static gboolean totals_collide(const struct throttle_limit *limits)
{
    return (limits[0].rate != 0 && (limits[1].rate != 0 || limits[2].rate != 0)) ||
           (limits[0].burst_rate != 0 && (limits[1].burst_rate != 0 || limits[2].burst_rate != 0));
}

static gboolean check_limit(const struct throttle_limit *limit, GError **error)
{
    if (limit->rate > VALUE_MAX || limit->burst_rate > VALUE_MAX) {
        return wording_fail(error, "bps/iops/max values must be within [0, %" G_GUINT64_FORMAT "]",
                            VALUE_MAX);
    }
    if (limit->burst_seconds > 1 && limit->burst_rate == 0) {
        return wording_fail(error, "burst length set without burst rate");
    }
    if (limit->burst_rate != 0 && limit->rate == 0) {
        return wording_fail(error, "bps_max/iops_max require corresponding bps/iops values");
    }
    if (limit->burst_rate != 0 && limit->burst_rate < limit->rate) {
        return wording_fail(error, "bps_max/iops_max cannot be lower than bps/iops");
    }
    return TRUE;
}

static gboolean check(const struct throttle_group *group, GError **error)
{
    const struct throttle_limit *iops = &group->limits[THROTTLE_IOPS_TOTAL];

    if (totals_collide(group->limits) || totals_collide(iops)) {
        return wording_fail(error, "bps/iops/max total values and read/write values cannot be "
                                   "used at the same time");
    }
    if (group->iops_size != 0 && iops[0].rate == 0 && iops[1].rate == 0 && iops[2].rate == 0) {
        return wording_fail(error, "iops size requires an iops value to be set");
    }
    for (size_t i = 0; i < THROTTLE_NR; i++) {
        if (!check_limit(&group->limits[i], error)) {
            return FALSE;
        }
    }
    return TRUE;
}

struct throttle_group *throttle_group_new(const struct keyval *kv, const char *id, gboolean json,
                                          GError **error)
{
    struct throttle_group *group = g_new0(struct throttle_group, 1);
    gboolean ok = TRUE;

    group->id = g_strdup(id);
    for (size_t i = 0; i < THROTTLE_NR; i++) {
        group->limits[i].burst_seconds = 1;
    }
    for (guint i = 0; i < kv->pairs->len && ok; i++) {
        ok = read_pair(group, g_ptr_array_index(kv->pairs, i), json, error);
    }
    if (!ok || !check(group, error)) {
        throttle_group_free(group);
        return NULL;
    }
    return group;
}

void throttle_group_free(struct throttle_group *group)
{
    if (group != NULL) {
        g_free(group->id);
        g_free(group);
    }
}

void throttle_print_help(void)
{
    static const char *const sorted[] = {"bps-read",  "bps-total",  "bps-write", "iops-read",
                                         "iops-size", "iops-total", "iops-write"};

    printf("throttle-group options:\n  limits=<ThrottleLimits>\n");
    for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++) {
        if (strcmp(sorted[i], "iops-size") != 0) {
            printf("  x-%s-max-length=<int>\n  x-%s-max=<int>\n", sorted[i], sorted[i]);
        }
        printf("  x-%s=<int>\n", sorted[i]);
    }
}

gboolean throttle_group_limits(const struct throttle_group *group)
{
    for (size_t i = 0; i < THROTTLE_NR; i++) {
        if (group->limits[i].rate != 0) {
            return TRUE;
        }
    }
    return FALSE;
}
