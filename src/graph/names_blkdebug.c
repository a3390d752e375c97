/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a blkdebug node: from a configuration file, and from options "inject-error.N.*" and
 * "set-state.N.*".
 *
 * A configuration file has sections, `[inject-error]` or `[set-state]` (a name in quotes may
 * follow), and lines `key = "value"`.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "compat/keyval.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "src/graph/names_private.h"
#include "src/io/blkdebug.h"

#define SECTOR 512u

/* ---- one rule ---- */

static gboolean take_io(struct blockopts *opts, unsigned *out, GError **error)
{
    g_autofree char *word = blockopts_take(opts, "iotype");

    *out = BLKDEBUG_IO_ANY;
    return word == NULL || blkdebug_io_find(word, out) ||
           wording_fail(error, "invalid parameter value: %s", word);
}

static gboolean take_error(struct blkdebug_rule *rule, struct blockopts *opts, GError **error)
{
    gint64 error_number, sector;
    gboolean immediately;

    if (!name_take_number(opts, "errno", EIO, &error_number, error) ||
        !name_take_number(opts, "sector", -1, &sector, error) ||
        !blockopts_take_bool(opts, "once", FALSE, &rule->once, error) ||
        !blockopts_take_bool(opts, "immediately", FALSE, &immediately, error) ||
        !take_io(opts, &rule->io, error)) {
        return FALSE;
    }
    rule->error_number = error_number < 0 || error_number > INT_MAX ? EIO : (int)error_number;
    rule->has_offset = sector >= 0 && sector <= INT64_MAX / SECTOR;
    rule->offset = rule->has_offset ? (uint64_t)sector * SECTOR : 0;
    return TRUE;
}

/* Takes the options of one rule; unknown ones are left. */
static gboolean take_rule(GArray *rules, gboolean set_state, struct blockopts *opts, GError **error)
{
    struct blkdebug_rule rule = {.set_state = set_state};
    g_autofree char *event = blockopts_take(opts, "event");
    gint64 state, new_state;

    if (!name_take_number(opts, "state", 0, &state, error)) {
        return FALSE;
    }
    if (set_state ? !name_take_number(opts, "new_state", 0, &new_state, error)
                  : !take_error(&rule, opts, error)) {
        return FALSE;
    }
    rule.state = (uint64_t)state;
    rule.new_state = set_state ? (uint64_t)new_state : 0;
    if (event == NULL) {
        return wording_fail(error, "Missing event name for rule");
    }
    if (!blkdebug_event_find(event, &rule.event)) {
        return wording_fail(error, "invalid parameter value: %s", event);
    }
    rule.untold = rule.event == BLKDEBUG_NEVER ? g_intern_string(event) : NULL;
    g_array_append_val(rules, rule);
    return TRUE;
}

gboolean name_check_events(const struct name *name, const char *format, GError **error)
{
    if (strcmp(format, "raw") == 0) {
        return TRUE; /* it has no tables */
    }
    for (guint i = 0; i < name->nodes->len; i++) {
        const struct name_node *node = g_ptr_array_index(name->nodes, i);

        for (guint j = 0; node->rules != NULL && j < node->rules->len; j++) {
            const char *untold = g_array_index(node->rules, struct blkdebug_rule, j).untold;

            if (untold != NULL) {
                return wording_fail(error, "The blkdebug event '%s' is not built yet in instar",
                                    untold);
            }
        }
    }
    return TRUE;
}

/* ---- options ---- */

static gboolean finish_group(const struct blockopts *opts, const char *group, GError **error)
{
    return blockopts_count(opts) == 0 ||
           wording_fail(error, "[%s] section doesn't support the option '%s'", group,
                        blockopts_key(opts, 0));
}

static gboolean take_one(GArray *rules, const char *group, struct blockopts *opts, GError **error)
{
    return take_rule(rules, strcmp(group, "set-state") == 0, opts, error) &&
           finish_group(opts, group, error);
}

/* The rules of a list; without numbers it is one rule. */
static gboolean take_group(GArray *rules, const char *group, struct blockopts *opts, GError **error)
{
    struct blockopts *all = blockopts_take_prefix(opts, group);
    gboolean ok = TRUE;

    for (unsigned i = 0; ok; i++) {
        g_autofree char *index = g_strdup_printf("%u", i);
        struct blockopts *one = blockopts_take_prefix(all, index);
        gboolean none = blockopts_count(one) == 0;

        ok = none || take_one(rules, group, one, error);
        blockopts_free(one);
        if (none) {
            break;
        }
    }
    ok = ok && (blockopts_count(all) == 0 || take_one(rules, group, all, error));
    blockopts_free(all);
    return ok;
}

/* ---- the configuration file ---- */

struct config {
    GArray *rules;
    struct blockopts *section; /* NULL: before the first */
    gboolean set_state;
};

static gboolean end_section(struct config *config, GError **error)
{
    gboolean ok = config->section == NULL ||
                  take_rule(config->rules, config->set_state, config->section, error);

    g_clear_pointer(&config->section, blockopts_free);
    return ok;
}

static gboolean begin_section(struct config *config, const char *line, GError **error)
{
    g_autofree char *group = g_strndup(line + 1, strcspn(line + 1, " ]"));

    config->set_state = strcmp(group, "set-state") == 0;
    if (!config->set_state && strcmp(group, "inject-error") != 0) {
        return wording_fail(error, "There is no option group '%s'", group);
    }
    config->section = blockopts_new();
    return TRUE;
}

static gboolean read_setting(struct config *config, const char *line, GError **error)
{
    static const char *const errors[] = {"event", "state",  "errno",       "sector",
                                         "once",  "iotype", "immediately", NULL};
    static const char *const states[] = {"event", "state", "new_state", NULL};
    g_autofree char *key = g_strndup(line, strcspn(line, " \t"));
    const char *open = strchr(line, '"'), *close = open != NULL ? strchr(open + 1, '"') : NULL;
    g_autofree char *value = close != NULL ? g_strndup(open + 1, (gsize)(close - open - 1)) : NULL;

    if (config->section == NULL) {
        return wording_fail(error, "no group defined");
    }
    if (!g_strv_contains(config->set_state ? states : errors, key)) {
        return wording_fail(error, "Invalid parameter '%s'", key);
    }
    blockopts_set(config->section, key, value != NULL ? value : "");
    return TRUE;
}

static gboolean read_line(struct config *config, char *line, GError **error)
{
    g_strstrip(line);
    if (*line == '\0' || *line == '#') {
        return TRUE;
    }
    if (*line == '[') {
        return end_section(config, error) && begin_section(config, line, error);
    }
    return read_setting(config, line, error);
}

static gboolean fail_to_open(const char *path, int saved_errno, GError **error)
{
    if (profile_get()->blkdebug_names_config) {
        return wording_fail(error, "Could not open '%s': %s", path, g_strerror(saved_errno));
    }
    return wording_fail(error, "Could not read blkdebug config file: %s", g_strerror(saved_errno));
}

static gboolean read_config(GArray *rules, const char *path, GError **error)
{
    struct config config = {.rules = rules};
    FILE *file = fopen(path, "re");
    gboolean ok = TRUE;
    char line[1024];

    if (file == NULL) {
        return fail_to_open(path, errno, error);
    }
    while (ok && fgets(line, sizeof(line), file) != NULL) {
        ok = read_line(&config, line, error);
    }
    fclose(file);
    ok = ok && end_section(&config, error);
    g_clear_pointer(&config.section, blockopts_free);
    return ok;
}

/* ---- limits ---- */

/* Requests keep to these by themselves: none is larger or cut more finely than in stock. */
gboolean name_take_blkdebug_limits(struct name_node *node, struct blockopts *opts, GError **error)
{
    static const char *const keys[] = {"max-transfer", "opt-write-zero", "max-write-zero",
                                       "opt-discard", "max-discard"};
    uint64_t align, value[G_N_ELEMENTS(keys)];
    gboolean have;

    if (!blockopts_take_size(opts, "align", &have, &node->alignment, error)) {
        return FALSE;
    }
    if (node->alignment >= INT_MAX || (node->alignment & (node->alignment - 1)) != 0) {
        return wording_fail(error, "Cannot meet constraints with align %" G_GUINT64_FORMAT,
                            node->alignment);
    }
    align = MAX(node->alignment, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        value[i] = 0;
        if (!blockopts_take_size(opts, keys[i], &have, &value[i], error)) {
            return FALSE;
        }
        if (i == 2 || i == 4) {
            align = MAX(MAX(node->alignment, 1), value[i - 1]);
        }
        if (value[i] != 0 && (value[i] >= INT_MAX || value[i] % align != 0)) {
            return wording_fail(error, "Cannot meet constraints with %s %" G_GUINT64_FORMAT,
                                keys[i], value[i]);
        }
        align = MAX(node->alignment, 1);
    }
    return TRUE;
}

gboolean name_take_blkdebug(struct name_node *node, struct blockopts *opts, GError **error)
{
    g_autofree char *config = blockopts_take(opts, "config");

    node->rules = g_array_new(FALSE, FALSE, sizeof(struct blkdebug_rule));
    blockopts_free(blockopts_take_prefix(opts, "take-child-perms"));
    blockopts_free(blockopts_take_prefix(opts, "unshare-child-perms"));
    return (config == NULL || read_config(node->rules, config, error)) &&
           take_group(node->rules, "inject-error", opts, error) &&
           take_group(node->rules, "set-state", opts, error);
}
