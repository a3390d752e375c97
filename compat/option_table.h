/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a subcommand's options are written down: one row an option, from which come parsing, help
 * text and the check of the manual page.
 */
#ifndef COMPAT_OPTION_TABLE_H
#define COMPAT_OPTION_TABLE_H

#include <glib.h>
#include <stddef.h>

#include "compat/argv.h"
#include "compat/profile.h"

struct parse;
struct option_row;

/*
 * Takes one option.
 *
 * in:      value the argument, NULL for a flag
 * returns: FALSE when the process should end; what there was to say has been said then
 */
typedef gboolean option_setter(struct parse *parse, const struct option_row *row,
                               const char *value);

struct option_row {
    char letter;      /* -x; 0: none */
    const char *name; /* --name; NULL: none */
    const char *arg;  /* what help calls the argument; NULL: a flag */
    option_setter *set;
    const char *help;  /* lines separated by newlines; NULL: an alias that help does not show */
    size_t field;      /* offset in struct options */
    size_t have_field; /* offset of its have_<name>; 0: none */
    const char *what;  /* numbers: the name in errors */
    uint64_t min;
    uint64_t max;
    unsigned or_zero;          /* bits of the profiles that take 0 although it is less than min */
    int value;                 /* set_choice: what to store */
    unsigned only;             /* bits of the profiles that know this spelling; 0: all of them */
    gboolean same_as_previous; /* a second spelling of the row above */
};

#define ONLY(profile) (1u << (profile))

struct verb_spec {
    const char *name;
    const char *usage;             /* lines of the synopsis after "qemu-img NAME" */
    const char *about;             /* one sentence */
    const char *operands;          /* help for what is not an option, as option rows print it */
    const struct option_row *rows; /* ends with a row without setter */

    /*
     * Checks and distributes what getopt left, in stock's order.
     *
     * returns: FALSE when the process should end, with everything said and parse->status set
     */
    gboolean (*finish)(struct parse *parse);
};

/* Gives the description of a verb; never NULL. */
const struct verb_spec *verb_spec(enum verb verb);

/* The state of one run of argv_parse. */
struct parse {
    const struct verb_spec *spec;
    struct invocation *inv;
    struct options *opt;     /* of inv */
    int status;              /* of the process, should it end now */
    const char *output_text; /* --output, where the profile checks it late */
    unsigned nr_actions;     /* snapshot's actions given */
    char *joined;            /* the -o strings so far */
};

/* Setters, in argv_set.c. */
option_setter set_flag, set_string, set_choice, set_size, set_integer, set_options, set_object,
    set_output, set_repair, set_snapshot_param, set_sparse_size, set_parallel, set_snapshot_action,
    set_bitmap_action, set_preallocation, set_aio, set_native_aio, set_bench_cache, set_base,
    set_help;

/* Checks --output where the profile does so late. */
gboolean finish_output(struct parse *parse);

/* Finishers, in argv_finish.c. */
gboolean finish_amend(struct parse *parse);
gboolean finish_bench(struct parse *parse);
gboolean finish_bitmap(struct parse *parse);
gboolean finish_check(struct parse *parse);
gboolean finish_commit(struct parse *parse);
gboolean finish_compare(struct parse *parse);
gboolean finish_convert(struct parse *parse);
gboolean finish_create(struct parse *parse);
gboolean finish_dd(struct parse *parse);
gboolean finish_info(struct parse *parse);
gboolean finish_map(struct parse *parse);
gboolean finish_measure(struct parse *parse);
gboolean finish_rebase(struct parse *parse);
gboolean finish_resize(struct parse *parse);
gboolean finish_snapshot(struct parse *parse);

/* Prints a subcommand's help to stdout; in the 7.2 profile the global help. */
void verb_help_print(const struct verb_spec *spec);

/* Says what a plain usage error is, with the "Try" line; gives FALSE. */
gboolean usage_error(struct parse *parse, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The same without the "Try" line. */
gboolean plain_error(struct parse *parse, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Reports *error, frees it and gives FALSE. */
gboolean gerror_error(struct parse *parse, GError *error);

/* Makes *string live as long as the invocation. */
const char *keep_string(struct parse *parse, char *string);

#endif
