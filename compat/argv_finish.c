/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each subcommand checks after its options are scanned and before it opens anything, in
 * stock's order.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "compat/create_opts.h"
#include "compat/exit_status.h"
#include "compat/option_table.h"
#include "compat/size.h"
#include "compat/wording.h"

/* ---- pieces ---- */

static const char *operand(const struct parse *parse, guint i)
{
    return g_ptr_array_index(parse->inv->operands, i);
}

static guint nr_operands(const struct parse *parse)
{
    return parse->inv->operands->len;
}

static gboolean expect_one_image(struct parse *parse)
{
    if (nr_operands(parse) != 1) {
        return usage_error(parse, "Expecting one image file name");
    }
    return TRUE;
}

/* Decodes a cache word, if there is one; source chooses the words of the complaint. */
static gboolean decode_cache(struct parse *parse, const char *word, gboolean source,
                             struct cache_mode *out)
{
    if (word != NULL && !cache_mode_parse(word, out)) {
        wording_report_bad_cache(source, word);
        parse->status =
            parse->inv->verb == VERB_COMPARE ? EXIT_STATUS_COMPARE_OPEN : EXIT_STATUS_ERROR;
        return FALSE;
    }
    return TRUE;
}

static gboolean decode_target_cache(struct parse *parse)
{
    return decode_cache(parse, parse->opt->cache, FALSE, &parse->opt->cache_mode);
}

static gboolean decode_source_cache(struct parse *parse)
{
    return decode_cache(parse, parse->opt->src_cache, TRUE, &parse->opt->src_cache_mode);
}

/* Stock finds this when it opens the first image: nothing can come between. */
static gboolean check_image_opts(struct parse *parse)
{
    return !parse->opt->image_opts || parse->opt->format == NULL ||
           plain_error(parse, "--image-opts and --format are mutually exclusive");
}

static void settle_progress(struct parse *parse)
{
    if (parse->opt->quiet) {
        parse->opt->progress = FALSE;
    }
}

static gboolean finish_one_image(struct parse *parse)
{
    settle_progress(parse);
    return expect_one_image(parse) && finish_output(parse) && decode_target_cache(parse) &&
           decode_source_cache(parse) && check_image_opts(parse);
}

static gboolean wants_options_help(const struct parse *parse)
{
    return parse->opt->options != NULL && keyval_has_help(parse->opt->options);
}

/* Prints the help of -o for a target; always ends the process. */
static gboolean end_with_options_help(struct parse *parse, const char *format, const char *target)
{
    GError *error = NULL;

    if (!create_opts_print_help(format, target, &error)) {
        return gerror_error(parse, error);
    }
    parse->status = EXIT_STATUS_OK;
    return FALSE;
}

/* ---- verbs that open one image and have nothing more to check ---- */

gboolean finish_check(struct parse *parse)
{
    return finish_one_image(parse);
}

gboolean finish_commit(struct parse *parse)
{
    return finish_one_image(parse);
}

gboolean finish_info(struct parse *parse)
{
    return finish_one_image(parse);
}

gboolean finish_map(struct parse *parse)
{
    return finish_one_image(parse);
}

gboolean finish_snapshot(struct parse *parse)
{
    return finish_one_image(parse);
}

/* ---- the others ---- */

static gboolean check_amend(struct parse *parse)
{
    if (nr_operands(parse) != 1) {
        return plain_error(parse, "Expecting one image file name");
    }
    return decode_target_cache(parse) && check_image_opts(parse);
}

gboolean finish_amend(struct parse *parse)
{
    GError *error = NULL;

    settle_progress(parse);
    if (parse->opt->options == NULL) {
        return usage_error(parse, "Must specify options (-o)");
    }
    if (parse->opt->format != NULL && wants_options_help(parse)) {
        if (!create_opts_print_amend_help(parse->opt->format, &error)) {
            return gerror_error(parse, error);
        }
        parse->status = EXIT_STATUS_OK;
        return FALSE;
    }
    if (check_amend(parse)) {
        return TRUE;
    }
    if (parse->opt->progress) {
        putchar('\n'); /* the end of a line that has not begun */
    }
    return FALSE;
}

gboolean finish_bench(struct parse *parse)
{
    struct options *opt = parse->opt;

    if (!expect_one_image(parse)) {
        return FALSE;
    }
    if (!opt->bench_write && opt->bench_flush_interval != 0) {
        return plain_error(parse, "--flush-interval is only available in write tests");
    }
    if (opt->bench_flush_interval != 0 && opt->bench_flush_interval < opt->bench_depth) {
        return plain_error(parse, "Flush interval can't be smaller than depth");
    }
    if (opt->bench_step_bytes == 0) {
        opt->bench_step_bytes = opt->bench_buffer_bytes;
    }
    return check_image_opts(parse);
}

struct bitmap_needs {
    gboolean add;
    gboolean merge;
    gboolean name; /* some action is about one bitmap */
};

static struct bitmap_needs bitmap_needs(const GArray *actions)
{
    struct bitmap_needs needs = {0};

    for (guint i = 0; i < actions->len; i++) {
        enum bitmap_verb verb = g_array_index(actions, struct bitmap_action, i).verb;

        needs.add |= verb == BITMAP_ADD;
        needs.merge |= verb == BITMAP_MERGE;
        needs.name |= verb != BITMAP_REMOVE_ALL;
    }
    return needs;
}

gboolean finish_bitmap(struct parse *parse)
{
    struct options *opt = parse->opt;
    struct bitmap_needs needs = bitmap_needs(opt->bitmap_actions);

    if (opt->bitmap_actions->len == 0) {
        return plain_error(parse,
                           "Need at least one of --add, --remove, %s--clear, --enable, --disable, "
                           "or --merge",
                           profile_get()->id >= PROFILE_11_1 ? "--remove-all, " : "");
    }
    if (opt->have_granularity && !needs.add) {
        return plain_error(parse, "granularity only supported with --add");
    }
    if (opt->source_format != NULL && opt->source_file == NULL) {
        return plain_error(parse, "-F only supported with -b");
    }
    if (opt->source_file != NULL && !needs.merge) {
        return plain_error(parse, "Merge bitmap source file only supported with --merge");
    }
    if (nr_operands(parse) != (needs.name ? 2 : 1)) {
        return plain_error(parse, needs.name ? "Expecting filename and bitmap name"
                                             : "Expecting filename");
    }
    opt->bitmap = needs.name ? operand(parse, 1) : NULL;
    return check_image_opts(parse);
}

gboolean finish_compare(struct parse *parse)
{
    settle_progress(parse);
    if (nr_operands(parse) != 2) {
        return usage_error(parse, "Expecting two image file names");
    }
    return decode_source_cache(parse);
}

/* The pairs of convert's options that exclude or need each other. */
static const char *convert_conflict(const struct options *opt)
{
    if (opt->skip_broken_bitmaps && !opt->bitmaps) {
        return "Use of --skip-broken-bitmaps requires --bitmaps";
    }
    if (opt->copy_range && opt->compress) {
        return "Cannot enable copy offloading when -c is used";
    }
    if (opt->copy_range && opt->have_sparse_size) {
        return "Cannot enable copy offloading when -S is used";
    }
    if (opt->copy_range && opt->salvage) {
        return "Cannot use copy offloading in salvaging mode";
    }
    if (opt->target_image_opts && !opt->no_create) {
        return "--target-image-opts requires use of -n flag";
    }
    if (opt->no_create && opt->options != NULL) {
        return "-o has no effect when skipping image creation";
    }
    if (opt->target_is_zero && !opt->no_create) {
        return "--target-is-zero requires use of -n flag";
    }
    return NULL;
}

gboolean finish_convert(struct parse *parse)
{
    const char *conflict = convert_conflict(parse->opt);
    guint nr = nr_operands(parse);

    settle_progress(parse);
    if (conflict != NULL) {
        return plain_error(parse, "%s", conflict);
    }
    if (wants_options_help(parse)) {
        return end_with_options_help(parse, parse->opt->out_format,
                                     nr > 1 ? operand(parse, nr - 1) : NULL);
    }
    if (nr < 2) {
        return plain_error(parse, "Must specify image file name");
    }
    return decode_source_cache(parse) && check_image_opts(parse);
}

gboolean finish_create(struct parse *parse)
{
    struct options *opt = parse->opt;
    guint nr = nr_operands(parse);
    GError *error = NULL;

    if (wants_options_help(parse)) {
        return end_with_options_help(parse, opt->format, nr > 0 ? operand(parse, 0) : NULL);
    }
    if (nr == 0) {
        return usage_error(parse, "Expecting image file name");
    }
    if (nr > 1) {
        if (!size_parse_named("image size", operand(parse, 1), 0, SIZE_MAX_SIGNED, &opt->size_bytes,
                              &error)) {
            return gerror_error(parse, error);
        }
        opt->have_size = TRUE;
    }
    if (nr > 2) {
        return usage_error(parse, "Unexpected argument: %s", operand(parse, 2));
    }
    return TRUE;
}

/* ---- dd ---- */

static gboolean dd_number(struct parse *parse, const char *what, const char *value, uint64_t min,
                          uint64_t max, uint64_t *out)
{
    gboolean plain = profile_get()->dd_plain && strcmp(what, "bs") != 0;
    GError *error = NULL;

    if (!(plain ? size_parse_integer_named : size_parse_named)(what, value, min, max, out,
                                                               &error)) {
        return gerror_error(parse, error);
    }
    return TRUE;
}

/* Takes one word NAME=VALUE of dd. */
static gboolean dd_operand(struct parse *parse, const char *word)
{
    struct options *opt = parse->opt;
    size_t len = strcspn(word, "=");
    g_autofree char *name = g_strndup(word, len);
    const char *value = word[len] == '=' ? word + len + 1 : NULL;

    if (value != NULL && strcmp(name, "bs") == 0) {
        return dd_number(parse, name, value, 1, INT_MAX, &opt->dd_bs_bytes);
    }
    if (value != NULL && strcmp(name, "count") == 0) {
        opt->have_dd_count = TRUE;
        return dd_number(parse, name, value, 0, SIZE_MAX_SIGNED, &opt->dd_count);
    }
    if (value != NULL && strcmp(name, "skip") == 0) {
        return dd_number(parse, name, value, 0, SIZE_MAX_SIGNED, &opt->dd_skip);
    }
    if (value != NULL && strcmp(name, "if") == 0) {
        opt->dd_if = value;
        return TRUE;
    }
    if (value != NULL && strcmp(name, "of") == 0) {
        opt->dd_of = value;
        return TRUE;
    }
    return plain_error(parse, "unrecognized operand %s", name);
}

gboolean finish_dd(struct parse *parse)
{
    for (guint i = 0; i < nr_operands(parse); i++) {
        if (!dd_operand(parse, operand(parse, i))) {
            return FALSE;
        }
    }
    if (parse->opt->dd_if == NULL || parse->opt->dd_of == NULL) {
        return plain_error(parse, "Must specify both input and output files");
    }
    return check_image_opts(parse);
}

gboolean finish_measure(struct parse *parse)
{
    struct options *opt = parse->opt;
    guint nr = nr_operands(parse);

    if (!finish_output(parse)) {
        return FALSE;
    }
    if (nr > 1) {
        return plain_error(parse, "At most one filename argument is allowed.");
    }
    if (nr == 0 && (opt->image_opts || opt->format != NULL || opt->snapshot != NULL)) {
        return plain_error(parse, "--image-opts, -f, and -l require a filename argument.");
    }
    if (nr == 0 && !opt->have_size) {
        return plain_error(parse, "Either --size N or one filename must be specified.");
    }
    if (nr == 1 && opt->have_size) {
        return plain_error(parse, "--size N cannot be used together with a filename.");
    }
    return check_image_opts(parse);
}

gboolean finish_rebase(struct parse *parse)
{
    settle_progress(parse);
    if (!expect_one_image(parse)) {
        return FALSE;
    }
    if (!parse->opt->unsafe && parse->opt->backing_file == NULL) {
        return usage_error(parse, "Must specify backing file (-b) or use unsafe mode (-u)");
    }
    return decode_target_cache(parse) && decode_source_cache(parse) && check_image_opts(parse);
}

gboolean finish_resize(struct parse *parse)
{
    struct options *opt = parse->opt;
    GError *error = NULL;
    const char *size;

    if (nr_operands(parse) != 2) {
        gboolean surplus = nr_operands(parse) > 2 && profile_get()->id != PROFILE_7_2;

        return usage_error(parse, surplus ? "Extra argument(s) in command line"
                                          : "Expecting image file name and size");
    }
    size = operand(parse, 1);
    if (*size == '+' || *size == '-') {
        opt->sign = *size == '+' ? RESIZE_GROW : RESIZE_SHRINK;
        size++;
    }
    if (!size_parse_keyed("size", size, &opt->size_bytes, &error)) {
        return gerror_error(parse, error);
    }
    opt->have_size = TRUE;
    return check_image_opts(parse);
}
