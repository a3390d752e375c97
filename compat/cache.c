/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The six cache words.
 */
#include "compat/cache.h"

#include <string.h>

static const struct {
    const char *word;
    struct cache_mode mode;
} words[] = {
    {"none", {.direct = TRUE}},
    {"off", {.direct = TRUE}},
    {"directsync", {.direct = TRUE, .writethrough = TRUE}},
    {"writeback", {0}},
    {"unsafe", {.no_flush = TRUE}},
    {"writethrough", {.writethrough = TRUE}},
};

gboolean cache_mode_parse(const char *word, struct cache_mode *out)
{
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(word, words[i].word) == 0) {
            *out = words[i].mode;
            return TRUE;
        }
    }
    return FALSE;
}
