/* SPDX-License-Identifier: Apache-2.0 */
#include "compat/amend_opts.h"

#include <string.h>

#include "compat/wording.h"

#define MAX_DEFS 64u

static size_t list_defs(const struct keyval_def *table, const struct keyval_def **out)
{
    size_t nr = 0;

    while (table != NULL && nr < MAX_DEFS && table[nr].name != NULL) {
        out[nr] = &table[nr];
        nr++;
    }
    return nr;
}

static gboolean parses(const struct keyval_def *const *defs, size_t nr, const struct keyval *pairs,
                       GError **error)
{
    struct keyval_slot slots[MAX_DEFS];

    keyval_slots_init(slots, defs, nr);
    return keyval_apply(slots, nr, pairs, error);
}

gboolean amend_opts_check(const struct driver *driver, const struct keyval *pairs, GError **error)
{
    const struct keyval_def *defs[2 * MAX_DEFS] = {NULL};
    size_t nr = list_defs(driver->amend, defs);

    if (parses(defs, nr, pairs, error)) {
        return TRUE;
    }
    nr += list_defs(driver->create, defs + nr);
    if (nr <= MAX_DEFS && parses(defs, nr, pairs, NULL)) {
        wording_add_hint(error, "This option is only supported for image creation");
    }
    return FALSE;
}

static gboolean fail(GError **error, const char *sentence)
{
    g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, sentence);
    return FALSE;
}

static gboolean decode_compat(const char *text, struct amend_qcow2 *out, GError **error)
{
    if (strcmp(text, "0.10") == 0 || strcmp(text, "v2") == 0) {
        out->version = 2;
    } else if (strcmp(text, "1.1") == 0 || strcmp(text, "v3") == 0) {
        out->version = 3;
    } else {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Unknown compatibility level %s",
                    text);
        return FALSE;
    }
    return TRUE;
}

/* One option; called in the order of stock's table. */
static gboolean decode_slot(const struct keyval_slot *slot, const struct amend_current *current,
                            struct amend_qcow2 *out, GError **error)
{
    const char *key = slot->def->name;

    if (g_str_has_prefix(key, "encrypt.")) {
        out->encryption = TRUE;
        return current->encrypted ||
               fail(error, "Can't amend encryption options - encryption not present");
    }
    if (strcmp(key, "size") == 0) {
        out->size_bytes = slot->number;
    } else if (strcmp(key, "compat") == 0) {
        return decode_compat(slot->text, out, error);
    } else if (strcmp(key, "backing_file") == 0) {
        out->changes_backing = TRUE;
        out->backing_file = slot->text;
    } else if (strcmp(key, "backing_fmt") == 0) {
        out->changes_backing = TRUE;
        out->backing_fmt = slot->text;
    } else if (strcmp(key, "data_file") == 0) {
        out->data_file = slot->text;
        return current->has_data_file ||
               fail(error, "data-file can only be set for images that use an external data file");
    } else if (strcmp(key, "data_file_raw") == 0) {
        out->clear_raw = slot->number == 0;
        return slot->number == 0 || current->data_file_raw ||
               fail(error, "data-file-raw cannot be set on existing images");
    } else if (strcmp(key, "lazy_refcounts") == 0) {
        out->lazy_refcounts = slot->number != 0;
    } else if (strcmp(key, "refcount_bits") == 0) {
        if (slot->number == 0 || slot->number > 64 || (slot->number & (slot->number - 1)) != 0) {
            return fail(error, "Refcount width must be a power of two and may not exceed 64 bits");
        }
        out->refcount_bits = (unsigned)slot->number;
    }
    return TRUE;
}

gboolean amend_opts_qcow2(const struct driver *driver, const struct keyval *pairs,
                          const struct amend_current *current, struct amend_qcow2 *out,
                          GError **error)
{
    const struct keyval_def *defs[MAX_DEFS] = {NULL};
    struct keyval_slot slots[MAX_DEFS];
    size_t nr = list_defs(driver->amend, defs);

    *out = (struct amend_qcow2){.version = current->version,
                                .refcount_bits = current->refcount_bits,
                                .lazy_refcounts = current->lazy_refcounts};
    keyval_slots_init(slots, defs, nr);
    if (!keyval_apply(slots, nr, pairs, error)) {
        return FALSE;
    }
    for (size_t i = 0; i < nr; i++) {
        if (slots[i].given && !decode_slot(&slots[i], current, out, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- key slots ---- */

static const struct keyval_slot *prefixed(struct keyval_slot *slots, size_t nr, const char *prefix,
                                          const char *key)
{
    g_autofree char *name = g_strconcat(prefix, key, NULL);
    const struct keyval_slot *slot = keyval_slot(slots, nr, name);

    return slot != NULL && slot->given ? slot : NULL;
}

/* What goes with one state does not with the other. */
static gboolean check_keyslots(const struct amend_keyslots *k, GError **error)
{
    if (k->activate && k->new_secret == NULL) {
        return fail(error, "'new-secret' is required to activate a keyslot");
    }
    if (k->activate && k->old_secret != NULL) {
        return fail(error, "'old-secret' must not be given when activating keyslots");
    }
    if (!k->activate && k->new_secret != NULL) {
        return fail(error, "'new-secret' must not be given when erasing keyslots");
    }
    if (!k->activate && k->has_iter_time) {
        return fail(error, "'iter-time' must not be given when erasing keyslots");
    }
    return TRUE;
}

gboolean amend_opts_keyslots(const struct driver *driver, const struct keyval *pairs,
                             const char *prefix, struct amend_keyslots *out, GError **error)
{
    const struct keyval_def *defs[MAX_DEFS] = {NULL};
    struct keyval_slot slots[MAX_DEFS];
    const struct keyval_slot *state, *slot;
    size_t nr = list_defs(driver->amend, defs);

    memset(out, 0, sizeof(*out));
    keyval_slots_init(slots, defs, nr);
    if (!keyval_apply(slots, nr, pairs, error)) {
        return FALSE;
    }
    state = prefixed(slots, nr, prefix, "state");
    if (state == NULL) {
        return fail(error, "Parameter 'state' is missing");
    }
    out->activate = strcmp(state->text, "active") == 0;
    if (!out->activate && strcmp(state->text, "inactive") != 0) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "Parameter 'state' does not accept value '%s'", state->text);
        return FALSE;
    }
    slot = prefixed(slots, nr, prefix, "new-secret");
    out->new_secret = slot != NULL ? slot->text : NULL;
    slot = prefixed(slots, nr, prefix, "old-secret");
    out->old_secret = slot != NULL ? slot->text : NULL;
    slot = prefixed(slots, nr, prefix, "keyslot");
    out->has_slot = slot != NULL;
    out->slot = slot != NULL ? slot->number : 0;
    slot = prefixed(slots, nr, prefix, "iter-time");
    out->has_iter_time = slot != NULL;
    out->iter_time_ms = slot != NULL ? slot->number : 0;
    return check_keyslots(out, error);
}
