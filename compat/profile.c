/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of profiles and the choice among them.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "compat/profile.h"

#include <string.h>

#include "compat/wording.h"

#ifndef DEFAULT_PROFILE
#define DEFAULT_PROFILE "11.1"
#endif

static const struct profile profiles[PROFILE_NR] = {
    [PROFILE_7_2] =
        {
            .id = PROFILE_7_2,
            .name = "7.2",
            .version = "7.2.22",
            .years = "2003-2022",
            .vhd_geometry = TRUE,
        },
    [PROFILE_10_0] =
        {
            .id = PROFILE_10_0,
            .name = "10.0",
            .version = "10.0.13",
            .years = "2003-2025",
            .getopt_style = TRUE,
            .verb_help = TRUE,
            .number_ranges = TRUE,
            .size_strict = TRUE,
            .dd_plain = TRUE,
            .info_children = TRUE,
            .map_compressed = TRUE,
            .snapshot_wide = TRUE,
        },
    [PROFILE_11_1] =
        {
            .id = PROFILE_11_1,
            .name = "11.1",
            .version = "11.1.3",
            .years = "2003-2026",
            .getopt_style = TRUE,
            .verb_help = TRUE,
            .number_ranges = TRUE,
            .size_strict = TRUE,
            .info_children = TRUE,
            .map_compressed = TRUE,
            .snapshot_wide = TRUE,
            .bench_fits = TRUE,
            .json_position = TRUE,
            .close_flush = TRUE,
            .blkdebug_names_config = TRUE,
        },
};

static const struct profile *selected;

/* "7.2" names its series, and so does every version within it. */
static gboolean names_series(const char *name, const char *series)
{
    size_t len = strlen(series);

    return strncmp(name, series, len) == 0 && (name[len] == '\0' || name[len] == '.');
}

static const struct profile *find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(profiles); i++) {
        if (names_series(name, profiles[i].name)) {
            return &profiles[i];
        }
    }
    return NULL;
}

const struct profile *profile_get(void)
{
    if (selected == NULL) {
        selected = find(DEFAULT_PROFILE);
        if (selected == NULL) {
            selected = &profiles[PROFILE_NEWEST];
        }
    }
    return selected;
}

gboolean profile_select(const char *name, GError **error)
{
    const struct profile *found;

    if (name == NULL || *name == '\0') {
        selected = NULL;
        return TRUE;
    }
    found = find(name);
    if (found == NULL) {
        return wording_fail(error, "INSTAR_QEMU_PROFILE expects '7.2', '10.0' or '11.1', not '%s'",
                            name);
    }
    selected = found;
    return TRUE;
}
