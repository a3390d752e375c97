/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each kind of option does with its argument, while the options are scanned.
 */
#include <limits.h>
#include <string.h>

#include "compat/create_opts.h"
#include "compat/exit_status.h"
#include "compat/keyval.h"
#include "compat/option_table.h"
#include "compat/size.h"
#include "compat/wording.h"

#define SPARSE_MAX (16 << 20)

static void *field_of(struct parse *parse, size_t offset)
{
    return (char *)parse->opt + offset;
}

static void note_given(struct parse *parse, const struct option_row *row)
{
    if (row->have_field != 0) {
        *(gboolean *)field_of(parse, row->have_field) = TRUE;
    }
}

gboolean set_flag(struct parse *parse, const struct option_row *row, const char *value)
{
    *(gboolean *)field_of(parse, row->field) = TRUE;
    return TRUE;
}

gboolean set_string(struct parse *parse, const struct option_row *row, const char *value)
{
    *(const char **)field_of(parse, row->field) = value;
    return TRUE;
}

static uint64_t least(const struct option_row *row)
{
    return (row->or_zero & ONLY(profile_get()->id)) != 0 ? 0 : row->min;
}

gboolean set_size(struct parse *parse, const struct option_row *row, const char *value)
{
    const char *what = row->what;
    GError *error = NULL;

    if (!profile_get()->number_ranges && strcmp(what, "step size") == 0) {
        what = "step_size";
    }
    if (!size_parse_named(what, value, least(row), row->max, field_of(parse, row->field), &error)) {
        return gerror_error(parse, error);
    }
    note_given(parse, row);
    return TRUE;
}

gboolean set_integer(struct parse *parse, const struct option_row *row, const char *value)
{
    GError *error = NULL;
    uint64_t number;

    if (!size_parse_integer_named(row->what, value, least(row), row->max, &number, &error)) {
        return gerror_error(parse, error);
    }
    *(int *)field_of(parse, row->field) = (int)number;
    return TRUE;
}

gboolean set_options(struct parse *parse, const struct option_row *row, const char *value)
{
    GError *error = NULL;

    if (!keyval_join(&parse->joined, value, &error)) {
        return gerror_error(parse, error);
    }
    return TRUE;
}

gboolean set_object(struct parse *parse, const struct option_row *row, const char *value)
{
    GError *error = NULL;

    if (secret_print_help(value)) {
        parse->status = 0;
        return FALSE;
    }
    if (!secret_set_add(parse->inv->secrets, value, &error)) {
        gerror_error(parse, error);
        if (parse->inv->verb == VERB_COMPARE && profile_get()->id != PROFILE_11_1) {
            parse->status = EXIT_STATUS_COMPARE_OPEN;
        }
        return FALSE;
    }
    return TRUE;
}

static gboolean parse_output(struct parse *parse, const char *value)
{
    if (strcmp(value, "human") == 0) {
        parse->opt->output = OUTPUT_HUMAN;
    } else if (strcmp(value, "json") == 0) {
        parse->opt->output = OUTPUT_JSON;
    } else {
        return FALSE;
    }
    return TRUE;
}

gboolean set_output(struct parse *parse, const struct option_row *row, const char *value)
{
    if (profile_get()->id == PROFILE_7_2) {
        parse->output_text = value; /* looked at after the operands there, but in one verb */
        return parse->inv->verb != VERB_MEASURE || finish_output(parse);
    }
    if (!parse_output(parse, value)) {
        return usage_error(parse, "--output expects 'human' or 'json'%s not '%s'",
                           profile_get()->id == PROFILE_10_0 ? "" : ",", value);
    }
    return TRUE;
}

gboolean finish_output(struct parse *parse)
{
    if (parse->output_text != NULL && !parse_output(parse, parse->output_text)) {
        return plain_error(parse, "--output must be used with human or json as argument.");
    }
    return TRUE;
}

gboolean set_repair(struct parse *parse, const struct option_row *row, const char *value)
{
    if (strcmp(value, "leaks") == 0) {
        parse->opt->repair = REPAIR_LEAKS;
        return TRUE;
    }
    if (strcmp(value, "all") == 0) {
        parse->opt->repair = REPAIR_ALL;
        return TRUE;
    }
    switch (profile_get()->id) {
    case PROFILE_7_2:
        return usage_error(parse, "Unknown option value for -r (expecting 'leaks' or 'all'): %s",
                           value);
    case PROFILE_10_0:
        return usage_error(parse, "--repair (-r) expects 'leaks' or 'all' not '%s'", value);
    default:
        return usage_error(parse, "--repair (-r) expects 'leaks' or 'all', not '%s'", value);
    }
}

/* A word that starts so is an option string; any other is a snapshot's name or id. */
#define SNAPSHOT_PREFIX "snapshot."

static void warn_short_form(const struct keyval_pair *pair)
{
    if (pair->bare) {
        gboolean on = strcmp(pair->value, "on") == 0;

        report_warning("short-form boolean option '%s%s' deprecated\nPlease use %s=%s instead",
                       on ? "" : "no", pair->key, pair->key, on ? "on" : "off");
    }
}

static gboolean take_snapshot_pair(struct parse *parse, const struct keyval_pair *pair,
                                   const char *value)
{
    warn_short_form(pair);
    if (strcmp(pair->key, "snapshot.id") == 0) {
        parse->opt->snapshot_id = keep_string(parse, g_strdup(pair->value));
    } else if (strcmp(pair->key, "snapshot.name") == 0) {
        parse->opt->snapshot_name = keep_string(parse, g_strdup(pair->value));
    } else if (strcmp(pair->key, "id") != 0) {
        report_error("Invalid parameter '%s'", pair->key);
        return plain_error(parse, "Failed in parsing snapshot param '%s'", value);
    }
    return TRUE;
}

gboolean set_snapshot_param(struct parse *parse, const struct option_row *row, const char *value)
{
    struct keyval *kv;
    gboolean good = TRUE;

    parse->opt->snapshot = value;
    parse->opt->snapshot_id = NULL;
    parse->opt->snapshot_name = NULL;
    if (!g_str_has_prefix(value, SNAPSHOT_PREFIX)) {
        return TRUE;
    }
    kv = keyval_parse(value, NULL);
    for (guint i = 0; i < kv->pairs->len && good; i++) {
        good = take_snapshot_pair(parse, g_ptr_array_index(kv->pairs, i), value);
    }
    keyval_free(kv);
    return good;
}

gboolean set_sparse_size(struct parse *parse, const struct option_row *row, const char *value)
{
    GError *error = NULL;
    uint64_t bytes;

    if (!size_parse_named("buffer size for sparse output", value, 0, SIZE_MAX_SIGNED, &bytes,
                          &error)) {
        return gerror_error(parse, error);
    }
    if (bytes % 512 != 0 || bytes > SPARSE_MAX) {
        return plain_error(parse,
                           "Invalid buffer size for sparse output specified. Valid sizes are "
                           "multiples of 512 up to %d. Select 0 to disable sparse detection "
                           "(fully allocates output).",
                           SPARSE_MAX);
    }
    parse->opt->sparse_size_bytes = bytes;
    parse->opt->have_sparse_size = TRUE;
    return TRUE;
}

gboolean set_parallel(struct parse *parse, const struct option_row *row, const char *value)
{
    GError *error = NULL;
    uint64_t number;

    if (!size_parse_integer_named("number of coroutines", value, 1, 16, &number, &error)) {
        if (!profile_get()->number_ranges) {
            g_error_free(error);
            return plain_error(parse, "Invalid number of coroutines. Allowed number of coroutines "
                                      "is between 1 and 16");
        }
        return gerror_error(parse, error);
    }
    parse->opt->parallel = (unsigned)number;
    return TRUE;
}

gboolean set_snapshot_action(struct parse *parse, const struct option_row *row, const char *value)
{
    if (parse->nr_actions > 0) {
        return usage_error(parse, "Cannot mix '-l', '-a', '-c', '-d'");
    }
    parse->nr_actions++;
    parse->opt->have_action = TRUE;
    parse->opt->action = (enum snapshot_action)row->value;
    parse->opt->action_snapshot = value;
    return TRUE;
}

gboolean set_bitmap_action(struct parse *parse, const struct option_row *row, const char *value)
{
    struct bitmap_action action = {.verb = (enum bitmap_verb)row->value, .source = value};

    g_array_append_val(parse->opt->bitmap_actions, action);
    return TRUE;
}

gboolean set_preallocation(struct parse *parse, const struct option_row *row, const char *value)
{
    if (!prealloc_parse(value, &parse->opt->preallocation)) {
        return plain_error(parse, "Invalid preallocation mode '%s'", value);
    }
    return TRUE;
}

gboolean set_aio(struct parse *parse, const struct option_row *row, const char *value)
{
    static const char *const words[] = {"threads", "native", "io_uring", NULL};

    if (!g_strv_contains(words, value)) {
        return plain_error(parse, "Invalid aio option: %s", value);
    }
    /* As stock adds them up: native wins over io_uring, and threads undoes neither. */
    if (parse->opt->bench_aio == NULL ||
        (strcmp(value, "threads") != 0 && strcmp(parse->opt->bench_aio, "native") != 0)) {
        parse->opt->bench_aio = value;
    }
    return TRUE;
}

gboolean set_native_aio(struct parse *parse, const struct option_row *row, const char *value)
{
    parse->opt->bench_aio = "native";
    return TRUE;
}

gboolean set_bench_cache(struct parse *parse, const struct option_row *row, const char *value)
{
    if (!cache_mode_parse(value, &parse->opt->cache_mode)) {
        return plain_error(parse, "Invalid cache mode");
    }
    parse->opt->cache = value;
    return TRUE;
}

gboolean set_base(struct parse *parse, const struct option_row *row, const char *value)
{
    parse->opt->base = value;
    parse->opt->drop = TRUE;
    return TRUE;
}

gboolean set_help(struct parse *parse, const struct option_row *row, const char *value)
{
    verb_help_print(parse->spec);
    parse->status = 0;
    return FALSE;
}
