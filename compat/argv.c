/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From argv to an invocation.
 *
 * getopt_long does the scanning, as it does for stock: permutation, clusters, abbreviations, `--`
 * and POSIXLY_CORRECT come from there, and in the newer profiles its messages too. Tables are
 * turned into its arrays on the fly.
 */
#include "compat/argv.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "compat/option_table.h"
#include "compat/trace.h"
#include "compat/version.h"
#include "compat/wording.h"

/* Values of long options without a letter; letters lie below. */
#define LONG_BASE 256

/* What getopt gives for an operand when it is told to keep the order of the words. */
#define IN_ORDER_OPERAND 1

/* ---- errors ---- */

static void report_message(const struct parse *parse, const char *format, va_list args,
                           gboolean try_help)
{
    g_autofree char *message = g_strdup_vprintf(format, args);

    report_error("%s", message);
    if (try_help) {
        report_try_help(parse->spec->name);
    }
}

gboolean usage_error(struct parse *parse, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report_message(parse, format, args, TRUE);
    va_end(args);
    parse->status = 1;
    return FALSE;
}

gboolean plain_error(struct parse *parse, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report_message(parse, format, args, FALSE);
    va_end(args);
    parse->status = 1;
    return FALSE;
}

gboolean gerror_error(struct parse *parse, GError *error)
{
    report_gerror(error);
    g_error_free(error);
    parse->status = 1;
    return FALSE;
}

const char *keep_string(struct parse *parse, char *string)
{
    g_ptr_array_add(parse->inv->strings, string);
    return string;
}

/* ---- getopt's arrays ---- */

struct scanner {
    GString *letters;
    GArray *longs; /* of struct option, ended by zeros */
};

static gboolean in_profile(const struct option_row *row)
{
    return row->only == 0 || (row->only & ONLY(profile_get()->id)) != 0;
}

/*
 * The value that getopt gives for a row: its letter, or its place. Spellings of one option share
 * that of the first, so that an abbreviation common to them is not ambiguous.
 */
static int row_value(const struct option_row *rows, size_t i)
{
    while (i > 0 && rows[i].same_as_previous && rows[i].letter == 0) {
        i--;
    }
    return rows[i].letter != 0 ? rows[i].letter : LONG_BASE + (int)i;
}

static void scanner_init(struct scanner *scanner, const char *prefix, const struct option_row *rows)
{
    static const struct option end;

    scanner->letters = g_string_new(prefix);
    scanner->longs = g_array_new(FALSE, FALSE, sizeof(struct option));
    for (size_t i = 0; rows[i].set != NULL; i++) {
        struct option option = {
            .name = rows[i].name,
            .has_arg = rows[i].arg != NULL ? required_argument : no_argument,
            .val = row_value(rows, i),
        };

        if (!in_profile(&rows[i])) {
            continue;
        }
        if (rows[i].letter != 0) {
            g_string_append_c(scanner->letters, rows[i].letter);
            g_string_append(scanner->letters, rows[i].arg != NULL ? ":" : "");
        }
        if (rows[i].name != NULL) {
            g_array_append_val(scanner->longs, option);
        }
    }
    g_array_append_val(scanner->longs, end);
}

static void scanner_clear(struct scanner *scanner)
{
    g_string_free(scanner->letters, TRUE);
    g_array_unref(scanner->longs);
}

static const struct option_row *find_row(const struct option_row *rows, int value)
{
    for (size_t i = 0; rows[i].set != NULL; i++) {
        if (in_profile(&rows[i]) && row_value(rows, i) == value) {
            return &rows[i];
        }
    }
    return NULL;
}

/*
 * Says what getopt did not like, unless getopt has said it itself, as it does in newer profiles.
 */
static void report_getopt(char **argv, int value, const char *verb)
{
    if (!profile_get()->getopt_style) {
        /* Within a cluster optind is still at the word before: stock names that one too. */
        report_error(value == ':' ? "missing argument for option '%s'" : "unrecognized option '%s'",
                     argv[optind - 1]);
    }
    report_try_help(verb);
}

/* In the newer profiles getopt reports by itself; ':' in front keeps it from it in 7.2. */
static char *getopt_prefix(const char *order, gboolean reports)
{
    return g_strconcat(order, reports ? "" : ":", NULL);
}

/* In 7.2 one verb lets getopt report, and then prints the help as if it had been asked for. */
static gboolean helps_instead(enum verb verb)
{
    return verb == VERB_MEASURE && profile_get()->id == PROFILE_7_2;
}

/* ---- the subcommand ---- */

/* resize takes "-5M" for its size where it follows the file name at once. */
static void take_negative_size(struct parse *parse, int argc, char **argv)
{
    const char *next = optind < argc ? argv[optind] : NULL;

    if (next != NULL && next[0] == '-' && isdigit((unsigned char)next[1]) &&
        parse->inv->operands->len == 1) {
        g_ptr_array_add(parse->inv->operands, argv[optind]);
        optind++;
    }
}

static gboolean scan_verb(struct parse *parse, int argc, char **argv)
{
    const struct option_row *rows = parse->spec->rows;
    gboolean in_order = parse->inv->verb == VERB_RESIZE;
    gboolean helps = helps_instead(parse->inv->verb);
    g_autofree char *prefix =
        getopt_prefix(in_order ? "-" : "", helps || profile_get()->getopt_style);
    struct scanner scanner;
    gboolean good = TRUE;

    scanner_init(&scanner, prefix, rows);
    optind = 0; /* start anew, glibc's way */
    while (good) {
        int value = getopt_long(argc, argv, scanner.letters->str,
                                (const struct option *)(void *)scanner.longs->data, NULL);

        if (value == -1) {
            break;
        }
        if (value == IN_ORDER_OPERAND) {
            g_ptr_array_add(parse->inv->operands, optarg);
            take_negative_size(parse, argc, argv);
            good = parse->inv->operands->len <= 2 || finish_resize(parse);
        } else if (value == '?' && helps) {
            help_print();
            good = FALSE;
        } else if (value == '?' || value == ':') {
            report_getopt(argv, value, parse->spec->name);
            parse->status = 1;
            good = FALSE;
        } else {
            const struct option_row *row = find_row(rows, value);

            good = row->set(parse, row, optarg);
        }
    }
    for (int i = optind; good && i < argc; i++) {
        g_ptr_array_add(parse->inv->operands, argv[i]);
    }
    scanner_clear(&scanner);
    return good;
}

static void options_init(struct options *opt)
{
    memset(opt, 0, sizeof(*opt));
    opt->sparse_size_bytes = 4096;
    opt->parallel = 8;
    opt->bench_count = 75000;
    opt->bench_depth = 64;
    opt->bench_buffer_bytes = 4096;
    opt->dd_bs_bytes = 512;
    opt->bitmap_actions = g_array_new(FALSE, FALSE, sizeof(struct bitmap_action));
}

/* in: argv[0] is the verb's name */
static gboolean parse_verb(struct invocation *inv, enum verb verb, int argc, char **argv,
                           int *exit_status)
{
    struct parse parse = {.spec = verb_spec(verb), .inv = inv, .opt = &inv->opt};
    /* getopt moves operands about and reports under argv[0]'s name. */
    g_autofree char **words = g_memdup2(argv, sizeof(argv[0]) * ((size_t)argc + 1));
    g_autofree char *name = helps_instead(verb)
                                ? g_strdup(parse.spec->name)
                                : g_strdup_printf("%s %s", report_program(), parse.spec->name);
    gboolean good;

    inv->verb = verb;
    words[0] = name;
    if (verb == VERB_RESIZE && argc < 3 && profile_get()->id == PROFILE_7_2) {
        good = usage_error(&parse, "Not enough arguments");
    } else {
        good = scan_verb(&parse, argc, words);
    }
    if (good) {
        inv->opt.options = parse.joined != NULL ? keep_string(&parse, parse.joined) : NULL;
        parse.joined = NULL;
        good = parse.spec->finish(&parse);
    }
    g_free(parse.joined);
    *exit_status = parse.status;
    return good;
}

/* ---- the standard options ---- */

static gboolean find_verb(const char *name, enum verb *out)
{
    for (int verb = 0; verb < VERB_NR; verb++) {
        if (strcmp(verb_name((enum verb)verb), name) == 0) {
            *out = (enum verb)verb;
            return TRUE;
        }
    }
    return FALSE;
}

/*
 * Handles -h, -V and -T.
 *
 * out:     optind stands at the subcommand
 * returns: FALSE when the process should end
 */
static gboolean scan_standard(struct invocation *inv, int argc, char **argv, int *exit_status)
{
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"trace", required_argument, NULL, 'T'},
        {NULL, 0, NULL, 0},
    };
    g_autofree char *prefix = getopt_prefix("+", profile_get()->getopt_style);
    g_autofree char *letters = g_strconcat(prefix, "hVT:", NULL);
    int value;

    optind = 0;
    while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        *exit_status = 0;
        switch (value) {
        case 'h':
            help_print();
            return FALSE;
        case 'V':
            version_print();
            return FALSE;
        case 'T':
            inv->trace = optarg;
            if (!trace_parse(optarg, exit_status)) {
                return FALSE;
            }
            break;
        default:
            report_getopt(argv, value, NULL);
            *exit_status = 1;
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean parse_words(struct invocation *inv, int argc, char **argv, int *exit_status)
{
    g_autofree char **words = g_memdup2(argv, sizeof(argv[0]) * ((size_t)argc + 1));
    g_autofree char *name = g_strdup(report_program());
    enum verb verb;
    int at;

    words[0] = name;
    if (!scan_standard(inv, argc, words, exit_status)) {
        return FALSE;
    }
    at = optind; /* with "+" nothing was moved */
    *exit_status = 1;
    if (at >= argc) {
        report_error("Not enough arguments");
        report_try_help(NULL);
        return FALSE;
    }
    if (!find_verb(argv[at], &verb)) {
        report_error("Command not found: %s", argv[at]);
        report_try_help(NULL);
        return FALSE;
    }
    return parse_verb(inv, verb, argc - at, argv + at, exit_status);
}

gboolean argv_parse(int argc, char **argv, struct invocation *out, int *exit_status)
{
    memset(out, 0, sizeof(*out));
    out->operands = g_ptr_array_new();
    out->strings = g_ptr_array_new_with_free_func(g_free);
    out->secrets = secret_set_new();
    options_init(&out->opt);
    if (!parse_words(out, argc, argv, exit_status)) {
        invocation_clear(out);
        return FALSE;
    }
    return TRUE;
}

void invocation_clear(struct invocation *inv)
{
    g_clear_pointer(&inv->operands, g_ptr_array_unref);
    g_clear_pointer(&inv->strings, g_ptr_array_unref);
    g_clear_pointer(&inv->secrets, secret_set_free);
    g_clear_pointer(&inv->opt.bitmap_actions, g_array_unref);
}
