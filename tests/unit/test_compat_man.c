/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual page has every command, every spelling of every option, and every variable; and no
 * option that does not exist.
 */
#include <glib.h>
#include <string.h>

#include "compat/argv.h"
#include "compat/option_table.h"
#include "compat/profile.h"

static char *page;

/* The text of a section, from its heading to the next one of either level. */
static char *section(const char *heading)
{
    g_autofree char *mark = g_strconcat("\n", heading, "\n", NULL);
    const char *start = strstr(page, mark), *end, *other;

    if (start == NULL) {
        g_test_message("no section %s", heading);
        g_test_fail();
        return g_strdup("");
    }
    start += strlen(mark);
    end = strstr(start, "\n.SS ");
    other = strstr(start, "\n.SH ");
    if (end == NULL || (other != NULL && other < end)) {
        end = other;
    }
    return end != NULL ? g_strndup(start, (gsize)(end - start)) : g_strdup(start);
}

/* A spelling as the page prints it: bold, with its dashes escaped. */
static char *printed(const char *dashes, const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, "-", -1);
    g_autofree char *escaped = g_strjoinv("\\-", parts);

    return g_strdup_printf("\\fB%s%s\\fR", dashes, escaped);
}

static void expect_in(const char *text, const char *where, const char *what)
{
    if (strstr(text, what) == NULL) {
        g_test_message("%s is not in %s", what, where);
        g_test_fail();
    }
}

static void check_row(const struct option_row *row, const char *text, const char *verb)
{
    if (row->letter != 0) {
        const char letter[] = {row->letter, '\0'};
        g_autofree char *spelling = printed("\\-", letter);

        expect_in(text, verb, spelling);
    }
    if (row->name != NULL) {
        g_autofree char *spelling = printed("\\-\\-", row->name);

        expect_in(text, verb, spelling);
    }
}

static void test_options(void)
{
    for (int verb = 0; verb < VERB_NR; verb++) {
        const struct verb_spec *spec = verb_spec((enum verb)verb);
        g_autofree char *heading = g_strconcat(".SS ", spec->name, NULL);
        g_autofree char *text = section(heading);

        for (const struct option_row *row = spec->rows; row->set != NULL; row++) {
            if (row->only == 0 || (row->only & ONLY(PROFILE_NEWEST)) != 0) {
                check_row(row, text, spec->name);
            }
        }
    }
}

static gboolean knows_name(const struct verb_spec *spec, const char *name)
{
    for (const struct option_row *row = spec->rows; row->set != NULL; row++) {
        if (row->name != NULL && strcmp(row->name, name) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static void test_no_others(void)
{
    g_autoptr(GRegex) regex = g_regex_new("\\\\fB\\\\-\\\\-([a-z\\\\-]+)\\\\fR", 0, 0, NULL);

    for (int verb = 0; verb < VERB_NR; verb++) {
        const struct verb_spec *spec = verb_spec((enum verb)verb);
        g_autofree char *heading = g_strconcat(".SS ", spec->name, NULL);
        g_autofree char *text = section(heading);
        g_autoptr(GMatchInfo) match = NULL;

        for (g_regex_match(regex, text, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
            g_autofree char *escaped = g_match_info_fetch(match, 1);
            g_auto(GStrv) parts = g_strsplit(escaped, "\\", -1);
            g_autofree char *name = g_strjoinv("", parts);

            if (!knows_name(spec, name)) {
                g_test_message("%s has no option --%s", spec->name, name);
                g_test_fail();
            }
        }
    }
}

static void test_environment(void)
{
    static const char *const names[] = {
        "INSTAR_SANDBOX", "INSTAR_CELL_MEMORY", "INSTAR_CELL_TIMEOUT", "INSTAR_TRACE",
        "INSTAR_EXPLAIN", "INSTAR_POLICY",      "INSTAR_QEMU_PROFILE", "POSIXLY_CORRECT",
    };
    g_autofree char *text = section(".SH ENVIRONMENT");

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *entry = g_strconcat(".B ", names[i], "\n", NULL);

        expect_in(text, "ENVIRONMENT", entry);
    }
}

int main(int argc, char **argv)
{
    const char *srcdir = g_getenv("srcdir");
    g_autofree char *path =
        g_build_filename(srcdir != NULL ? srcdir : ".", "man", "qemu-img.1", NULL);

    g_test_init(&argc, &argv, NULL);
    g_assert_true(g_file_get_contents(path, &page, NULL, NULL));
    g_test_add_func("/compat/man/options", test_options);
    g_test_add_func("/compat/man/no-others", test_no_others);
    g_test_add_func("/compat/man/environment", test_environment);
    return g_test_run();
}
