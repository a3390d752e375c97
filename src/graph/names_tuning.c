/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of qcow2 that only tune how a long-running process works: looked at for what is wrong
 * with them, and dropped.
 */
#include <limits.h>
#include <string.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "src/graph/names_private.h"

static gboolean take_booleans(struct blockopts *opts, GError **error)
{
    static const char *const keys[] = {
        "lazy-refcounts",
        "pass-discard-request",
        "pass-discard-snapshot",
        "pass-discard-other",
        "overlap-check.main-header",
        "overlap-check.active-l1",
        "overlap-check.active-l2",
        "overlap-check.refcount-table",
        "overlap-check.refcount-block",
        "overlap-check.snapshot-table",
        "overlap-check.inactive-l1",
        "overlap-check.inactive-l2",
        "overlap-check.bitmap-directory",
    };
    gboolean unused;

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (!blockopts_take_bool(opts, keys[i], FALSE, &unused, error)) {
            return FALSE;
        }
    }
    return profile_get()->id == PROFILE_7_2 ||
           blockopts_take_bool(opts, "discard-no-unref", FALSE, &unused, error);
}

static gboolean take_caches(struct blockopts *opts, GError **error)
{
    gboolean have_all, have_l2, have_refcounts, have_entry;
    uint64_t all, l2, refcounts, entry;

    if (!blockopts_take_size(opts, "cache-size", &have_all, &all, error) ||
        !blockopts_take_size(opts, "l2-cache-size", &have_l2, &l2, error) ||
        !blockopts_take_size(opts, "l2-cache-entry-size", &have_entry, &entry, error) ||
        !blockopts_take_size(opts, "refcount-cache-size", &have_refcounts, &refcounts, error)) {
        return FALSE;
    }
    if (have_all && have_l2 && have_refcounts) {
        return wording_fail(error, "cache-size, l2-cache-size and refcount-cache-size may not be "
                                   "set at the same time");
    }
    if (have_all && have_l2 && l2 > all) {
        return wording_fail(error, "l2-cache-size may not exceed cache-size");
    }
    if (have_all && have_refcounts && refcounts > all) {
        return wording_fail(error, "refcount-cache-size may not exceed cache-size");
    }
    return TRUE;
}

static gboolean take_interval(struct blockopts *opts, GError **error)
{
    gint64 seconds;

    if (!name_take_number(opts, "cache-clean-interval", 0, &seconds, error)) {
        return FALSE;
    }
    return (seconds >= 0 && seconds <= UINT_MAX) ||
           wording_fail(error, "Cache clean interval too big");
}

static gboolean take_overlap_check(struct blockopts *opts, GError **error)
{
    static const char *const words[] = {"none", "constant", "cached", "all", NULL};
    g_autofree char *plain = blockopts_take(opts, "overlap-check");
    g_autofree char *template = blockopts_take(opts, "overlap-check.template");
    const char *word = plain != NULL ? plain : template;

    if (plain != NULL && template != NULL && strcmp(plain, template) != 0) {
        return wording_fail(error,
                            "Conflicting values for qcow2 options 'overlap-check' ('%s') and "
                            "'overlap-check.template' ('%s')",
                            plain, template);
    }
    return word == NULL || g_strv_contains(words, word) ||
           wording_fail(error,
                        "Unsupported value '%s' for qcow2 option 'overlap-check'. Allowed are any "
                        "of the following: none, constant, cached, all",
                        word);
}

gboolean name_take_tuning(struct blockopts *opts, GError **error)
{
    return take_booleans(opts, error) && take_caches(opts, error) && take_interval(opts, error) &&
           take_overlap_check(opts, error);
}
