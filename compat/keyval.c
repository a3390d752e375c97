/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting option strings, and checking pairs against a table.
 */
#include "compat/keyval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat/size.h"
#include "compat/wording.h"

/* ---- text to pairs ---- */

static void pair_free(void *data)
{
    struct keyval_pair *pair = data;

    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

/*
 * Reads a value up to a single comma, undoing `,,`.
 *
 * out: *at stands behind the comma, or at the end
 */
static char *read_value(const char **at)
{
    GString *value = g_string_new(NULL);

    while (**at != '\0') {
        if (**at == ',') {
            (*at)++;
            if (**at != ',') {
                break;
            }
        }
        g_string_append_c(value, *(*at)++);
    }
    return g_string_free(value, FALSE);
}

/* A word without `=`: the implied key's value, `nokey`, or `key`. */
static struct keyval_pair *bare_pair(char *word, const char *implied_key)
{
    struct keyval_pair *pair = g_new0(struct keyval_pair, 1);

    if (implied_key != NULL) {
        pair->key = g_strdup(implied_key);
        pair->value = word;
        return pair;
    }
    pair->bare = TRUE;
    if (g_str_has_prefix(word, "no")) {
        pair->key = g_strdup(word + 2);
        pair->value = g_strdup("off");
    } else {
        pair->key = g_strdup(word);
        pair->value = g_strdup("on");
    }
    g_free(word);
    return pair;
}

struct keyval *keyval_parse(const char *text, const char *implied_key)
{
    struct keyval *kv = g_new0(struct keyval, 1);
    const char *at = text;

    kv->pairs = g_ptr_array_new_with_free_func(pair_free);
    while (*at != '\0') {
        size_t len = strcspn(at, "=,");
        struct keyval_pair *pair;

        if (at[len] == '=') {
            pair = g_new0(struct keyval_pair, 1);
            pair->key = g_strndup(at, len);
            at += len + 1;
            pair->value = read_value(&at);
        } else if (implied_key != NULL) {
            pair = bare_pair(read_value(&at), implied_key);
        } else {
            pair = bare_pair(g_strndup(at, len), NULL);
            at += len + (at[len] == ',');
        }
        g_ptr_array_add(kv->pairs, pair);
        implied_key = NULL;
    }
    return kv;
}

void keyval_free(struct keyval *kv)
{
    if (kv != NULL) {
        g_ptr_array_unref(kv->pairs);
        g_free(kv);
    }
}

void keyval_add(struct keyval *kv, const char *key, const char *value)
{
    struct keyval_pair *pair = g_new0(struct keyval_pair, 1);

    pair->key = g_strdup(key);
    pair->value = g_strdup(value);
    g_ptr_array_add(kv->pairs, pair);
}

const char *keyval_get(const struct keyval *kv, const char *key)
{
    for (guint i = kv->pairs->len; i-- > 0;) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        if (strcmp(pair->key, key) == 0) {
            return pair->value;
        }
    }
    return NULL;
}

gboolean keyval_join(char **joined, const char *piece, GError **error)
{
    size_t len = strlen(piece), commas = 0;
    char *longer;

    while (commas < len && piece[len - 1 - commas] == ',') {
        commas++;
    }
    if (len == 0 || piece[0] == ',' || commas % 2 != 0) {
        return wording_fail(error, "Invalid option list: %s", piece);
    }
    longer = *joined == NULL ? g_strdup(piece) : g_strconcat(*joined, ",", piece, NULL);
    g_free(*joined);
    *joined = longer;
    return TRUE;
}

gboolean keyval_has_help(const char *text)
{
    struct keyval *kv = keyval_parse(text, NULL);
    gboolean found = FALSE;

    for (guint i = 0; i < kv->pairs->len && !found; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        found = pair->bare && strcmp(pair->value, "on") == 0 &&
                (strcmp(pair->key, "help") == 0 || strcmp(pair->key, "?") == 0);
    }
    keyval_free(kv);
    return found;
}

char *keyval_escape(const char *value)
{
    GString *out = g_string_new(NULL);

    for (; *value != '\0'; value++) {
        if (*value == ',') {
            g_string_append_c(out, ',');
        }
        g_string_append_c(out, *value);
    }
    return g_string_free(out, FALSE);
}

/* ---- values ---- */

gboolean keyval_parse_bool(const char *text, gboolean *out)
{
    static const char *const words[2][5] = {
        {"off", "no", "false", "n", NULL},
        {"on", "yes", "true", "y", NULL},
    };

    for (int truth = 0; truth < 2; truth++) {
        if (g_strv_contains(words[truth], text)) {
            *out = truth;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean keyval_parse_bool_keyed(const char *key, const char *text, gboolean *out, GError **error)
{
    if (!keyval_parse_bool(text, out)) {
        return wording_fail(error, "Parameter '%s' expects 'on' or 'off'", key);
    }
    return TRUE;
}

static gboolean parse_number_keyed(const char *key, const char *text, uint64_t *out, GError **error)
{
    switch (size_parse_integer(text, out)) {
    case SIZE_OK:
        return TRUE;
    case SIZE_OUT_OF_RANGE:
        return wording_fail(error, "Value '%s' is too large for parameter '%s'", text, key);
    case SIZE_MALFORMED:
        break;
    }
    return wording_fail(error, "Parameter '%s' expects a number", key);
}

static gboolean parse_value(const struct keyval_def *def, const char *text, uint64_t *number,
                            GError **error)
{
    gboolean truth = FALSE;

    switch (def->type) {
    case KEYVAL_STRING:
        return TRUE;
    case KEYVAL_SIZE:
        return size_parse_keyed(def->name, text, number, error);
    case KEYVAL_NUMBER:
        return parse_number_keyed(def->name, text, number, error);
    case KEYVAL_BOOL:
        if (!keyval_parse_bool_keyed(def->name, text, &truth, error)) {
            return FALSE;
        }
        *number = (uint64_t)truth;
        return TRUE;
    }
    return FALSE;
}

/* ---- slots ---- */

void keyval_slots_init(struct keyval_slot *slots, const struct keyval_def *const *defs, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        slots[i] = (struct keyval_slot){.def = defs[i], .text = defs[i]->default_text};
        if (slots[i].text != NULL) {
            gboolean good = parse_value(defs[i], slots[i].text, &slots[i].number, NULL);

            g_assert(good);
        }
    }
}

struct keyval_slot *keyval_slot(struct keyval_slot *slots, size_t nr, const char *key)
{
    for (size_t i = 0; i < nr; i++) {
        if (strcmp(slots[i].def->name, key) == 0) {
            return &slots[i];
        }
    }
    return NULL;
}

gboolean keyval_set(struct keyval_slot *slots, size_t nr, const char *key, const char *value,
                    GError **error)
{
    struct keyval_slot *slot = keyval_slot(slots, nr, key);
    uint64_t number = 0;

    if (slot == NULL) {
        return wording_fail(error, "Invalid parameter '%s'", key);
    }
    if (!parse_value(slot->def, value, &number, error)) {
        return FALSE;
    }
    slot->given = TRUE;
    slot->text = value;
    slot->number = number;
    return TRUE;
}

gboolean keyval_apply(struct keyval_slot *slots, size_t nr, const struct keyval *kv, GError **error)
{
    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        if (strcmp(pair->key, "id") == 0) {
            continue; /* every option list may be named; nobody asks for the name */
        }
        if (!keyval_set(slots, nr, pair->key, pair->value, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- help ---- */

static const char *type_text(enum keyval_type type)
{
    static const char *const texts[] = {
        [KEYVAL_STRING] = "str",
        [KEYVAL_SIZE] = "size",
        [KEYVAL_NUMBER] = "num",
        [KEYVAL_BOOL] = "bool (on/off)",
    };

    return texts[type];
}

static int compare_names(const void *a, const void *b)
{
    const struct keyval_def *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

void keyval_print_help(const struct keyval_def *const *defs, size_t nr)
{
    g_autofree const struct keyval_def **sorted = g_new(const struct keyval_def *, nr);

    for (size_t i = 0; i < nr; i++) {
        sorted[i] = defs[i];
    }
    qsort(sorted, nr, sizeof(sorted[0]), compare_names);
    for (size_t i = 0; i < nr; i++) {
        g_autofree char *left =
            g_strdup_printf("%s=<%s>", sorted[i]->name, type_text(sorted[i]->type));

        printf("  %-22s - %s\n", left, sorted[i]->help);
    }
}
