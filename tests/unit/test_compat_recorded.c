/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines against recorded answers: what stock qemu-img 7.2 said (compat_7_2.txt, made by
 * compat_record.py) and what 10.0 and 11.1 say (from the catalogue of their messages).
 *
 * A case goes as far as stock goes without a file: through argv_parse, and for create through the
 * creation options and the Formatting line. Status "open" means that it would go on from there.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat/argv.h"
#include "compat/create_opts.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "tests/unit/compat_capture.h"

#define STATUS_OPEN (-1)

struct recorded {
    char *line;
    int status;
    GString *out, *err;
};

static void recorded_free(void *data)
{
    struct recorded *recorded = data;

    g_free(recorded->line);
    g_string_free(recorded->out, TRUE);
    g_string_free(recorded->err, TRUE);
    g_free(recorded);
}

static struct recorded *recorded_new(const char *line)
{
    struct recorded *recorded = g_new0(struct recorded, 1);

    recorded->line = g_strdup(line);
    recorded->out = g_string_new(NULL);
    recorded->err = g_string_new(NULL);
    return recorded;
}

static GPtrArray *load(const char *name)
{
    const char *srcdir = g_getenv("srcdir");
    g_autofree char *path =
        g_build_filename(srcdir != NULL ? srcdir : ".", "tests", "unit", name, NULL);
    GPtrArray *all = g_ptr_array_new_with_free_func(recorded_free);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    struct recorded *current = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        const char *line = lines[i];

        if (g_str_has_prefix(line, "$ ")) {
            current = recorded_new(line + 2);
            g_ptr_array_add(all, current);
        } else if (current == NULL) {
            continue; /* what the file says about itself */
        } else if (g_str_has_prefix(line, "? ")) {
            current->status = strcmp(line + 2, "open") == 0
                                  ? STATUS_OPEN
                                  : (int)g_ascii_strtoll(line + 2, NULL, 10);
        } else if (g_str_has_prefix(line, "1|") || g_str_has_prefix(line, "2|")) {
            g_string_append_printf(line[0] == '1' ? current->out : current->err, "%s\n", line + 2);
        }
    }
    return all;
}

/* ---- what a command does before it opens anything ---- */

static int fail_create(const char *filename, GError *error)
{
    report_gerror_prefixed(error, "%s: ", filename);
    g_error_free(error);
    return 1;
}

static int decode_create(const struct create_opts *opts, const char *filename)
{
    const char *format = create_opts_format(opts)->name;
    struct create_qcow2 qcow2;
    struct create_file file;
    GError *error = NULL;
    gboolean good = TRUE;

    if (g_str_has_prefix(filename, "no/")) {
        return STATUS_OPEN; /* stock could not create the file, and did not look at the words */
    }
    if (strcmp(format, "qcow2") == 0) {
        good = create_opts_qcow2(opts, &qcow2, &error);
    } else if (strcmp(format, "raw") == 0 || strcmp(format, "file") == 0) {
        good = create_opts_file(opts, &file, &error);
    }
    return good ? STATUS_OPEN : fail_create(filename, error);
}

static int go_on_create(const struct invocation *inv, struct create_opts *opts,
                        const char *filename)
{
    GError *error = NULL;
    uint64_t bytes;

    if (create_opts_backing_file(opts) != NULL && !inv->opt.unsafe) {
        return STATUS_OPEN;
    }
    if (create_opts_backing_file(opts) != NULL && create_opts_backing_fmt(opts) == NULL) {
        wording_set_backing_format_missing(&error, NULL);
        return fail_create(filename, error);
    }
    if (!create_opts_size(opts, &bytes)) {
        wording_set_size_missing(&error);
        return fail_create(filename, error);
    }
    if (!inv->opt.quiet) {
        g_autofree char *line = create_opts_formatting_line(opts);

        puts(line);
    }
    return decode_create(opts, filename);
}

static int run_create(const struct invocation *inv)
{
    const char *filename = g_ptr_array_index(inv->operands, 0);
    struct create_request request = {
        .format = inv->opt.format,
        .filename = filename,
        .options = inv->opt.options,
        .backing_file = inv->opt.backing_file,
        .backing_fmt = inv->opt.backing_fmt,
        .have_size = inv->opt.have_size,
        .size_bytes = inv->opt.size_bytes,
    };
    GError *error = NULL;
    struct create_opts *opts = create_opts_new(&request, &error);
    int status;

    if (opts == NULL) {
        return fail_create(filename, error);
    }
    status = go_on_create(inv, opts, filename);
    create_opts_free(opts);
    return status;
}

static int run_measure(const struct invocation *inv)
{
    struct create_request request = {
        .format = inv->opt.out_format,
        .options = inv->opt.options,
    };
    struct create_qcow2 qcow2;
    GError *error = NULL;
    struct create_opts *opts;
    int status = STATUS_OPEN;

    if (!inv->opt.have_size) {
        return STATUS_OPEN;
    }
    opts = create_opts_new_measure(&request, &error);
    if (opts == NULL || (strcmp(create_opts_format(opts)->name, "qcow2") == 0 &&
                         !create_opts_qcow2(opts, &qcow2, &error))) {
        report_gerror(error);
        g_error_free(error);
        status = 1;
    }
    create_opts_free(opts);
    return status;
}

static int run(int argc, char **argv)
{
    struct invocation inv;
    int status;

    if (!argv_parse(argc, argv, &inv, &status)) {
        return status;
    }
    status = STATUS_OPEN;
    if (inv.verb == VERB_CREATE) {
        status = run_create(&inv);
    } else if (inv.verb == VERB_MEASURE) {
        status = run_measure(&inv);
    }
    invocation_clear(&inv);
    return status;
}

/* ---- comparing ---- */

static void run_recorded(const struct recorded *recorded, gboolean with_stdout)
{
    g_autofree char *full = g_strconcat("qemu-img ", recorded->line, NULL);
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    g_auto(GStrv) argv = NULL;
    int argc, status;

    g_assert_true(g_shell_parse_argv(full, &argc, &argv, NULL));
    capture_begin();
    status = run(argc, argv);
    capture_end(&out, &err);
    if (status != recorded->status || strcmp(err, recorded->err->str) != 0 ||
        (with_stdout && strcmp(out, recorded->out->str) != 0)) {
        g_test_message("%s\nexpected %d, got %d\nexpected:\n%s%sgot:\n%s%s", full, recorded->status,
                       status, recorded->out->str, recorded->err->str, out, err);
        g_test_fail();
    }
}

static void run_file(const char *profile, const char *name, gboolean with_stdout, guint at_least)
{
    g_autoptr(GPtrArray) all = load(name);

    g_assert_true(profile_select(profile, NULL));
    g_assert_cmpuint(all->len, >=, at_least);
    for (guint i = 0; i < all->len; i++) {
        run_recorded(g_ptr_array_index(all, i), with_stdout);
    }
    g_assert_true(profile_select(NULL, NULL));
}

static void test_7_2(void)
{
    run_file("7.2", "compat_7_2.txt", TRUE, 600);
}

static void test_10_0(void)
{
    run_file("10.0", "compat_10_0.txt", FALSE, 250);
}

static void test_11_1(void)
{
    run_file("11.1", "compat_11_1.txt", FALSE, 250);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compat/recorded/7.2", test_7_2);
    g_test_add_func("/compat/recorded/10.0", test_10_0);
    g_test_add_func("/compat/recorded/11.1", test_11_1);
    return g_test_run();
}
