/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: argv in, one struct out.
 *
 * All 15 subcommands are parsed completely, whether or not they are built yet. Each option is one
 * row of the tables in subcommands.c. What stock qemu-img checks before it opens anything is
 * checked here, in stock's order and words; what it checks later is left to the verb, which finds
 * the text as typed in the options (`cache` of convert, for one).
 */
#ifndef COMPAT_ARGV_H
#define COMPAT_ARGV_H

#include <glib.h>
#include <stdint.h>

#include "compat/cache.h"
#include "compat/secret.h"

enum verb {
    VERB_AMEND,
    VERB_BENCH,
    VERB_BITMAP,
    VERB_CHECK,
    VERB_COMMIT,
    VERB_COMPARE,
    VERB_CONVERT,
    VERB_CREATE,
    VERB_DD,
    VERB_INFO,
    VERB_MAP,
    VERB_MEASURE,
    VERB_REBASE,
    VERB_RESIZE,
    VERB_SNAPSHOT,
    VERB_NR,
};

enum output_style {
    OUTPUT_HUMAN,
    OUTPUT_JSON,
};

enum repair_mode {
    REPAIR_NONE,
    REPAIR_LEAKS,
    REPAIR_ALL,
};

enum prealloc_mode {
    PREALLOC_OFF,
    PREALLOC_METADATA,
    PREALLOC_FALLOC,
    PREALLOC_FULL,
};

enum resize_sign {
    RESIZE_ABSOLUTE,
    RESIZE_GROW,
    RESIZE_SHRINK,
};

enum snapshot_action {
    SNAPSHOT_LIST,
    SNAPSHOT_CREATE,
    SNAPSHOT_APPLY,
    SNAPSHOT_DELETE,
};

enum bitmap_verb {
    BITMAP_ADD,
    BITMAP_REMOVE,
    BITMAP_REMOVE_ALL,
    BITMAP_CLEAR,
    BITMAP_ENABLE,
    BITMAP_DISABLE,
    BITMAP_MERGE,
};

/* One action of `bitmap`; they run left to right. */
struct bitmap_action {
    enum bitmap_verb verb;
    const char *source; /* BITMAP_MERGE: the bitmap to merge from; else NULL */
};

/*
 * Every option any verb has; those a verb lacks keep their default. Strings live as long as the
 * invocation.
 * A number comes with have_<name> where "not given" differs from every value.
 */
struct options {
    /* the image(s) */
    const char *format;         /* -f: NULL means probe */
    const char *out_format;     /* -O; NULL means raw */
    const char *format_b;       /* compare -F: format of FILE2 */
    gboolean image_opts;        /* --image-opts: operands are option strings */
    gboolean target_image_opts; /* --target-image-opts */
    gboolean force_share;       /* -U */
    const char *snapshot;       /* convert, measure -l: as typed, see snapshot_id, snapshot_name */
    const char *snapshot_id;    /* from -l snapshot.id=...; NULL when not so given */
    const char *snapshot_name;  /* from -l snapshot.name=...; NULL when not so given */
    const char *options;        /* -o, all pieces joined; NULL when none was given */

    /* caching: the words as typed (NULL: not given) and, where checked already, their meaning */
    const char *cache;     /* -t */
    const char *src_cache; /* -T */
    struct cache_mode cache_mode;
    struct cache_mode src_cache_mode;

    /* how to report */
    gboolean quiet;
    gboolean progress; /* already FALSE where -q cancels -p */
    enum output_style output;
    gboolean backing_chain;
    gboolean limits;

    /* create, convert, rebase */
    const char *backing_file; /* -b; "" is meaningful to rebase */
    const char *backing_fmt;  /* -F, -B */
    gboolean unsafe;          /* -u */
    gboolean have_size;
    uint64_t size_bytes; /* create SIZE, measure --size, the absolute value of resize's */

    /* convert */
    gboolean compress; /* -c; rebase too */
    gboolean have_sparse_size;
    uint64_t sparse_size_bytes; /* -S; 4096 when not given, 0 writes everything */
    unsigned parallel;          /* -m; 8 when not given */
    gboolean oob_writes;
    gboolean copy_range;
    gboolean salvage;
    gboolean no_create;
    gboolean target_is_zero;
    gboolean have_rate_limit;
    uint64_t rate_limit_bytes; /* -r; commit too */
    gboolean bitmaps;
    gboolean skip_broken_bitmaps;

    /* map */
    uint64_t start_offset_bytes;
    gboolean have_max_length;
    uint64_t max_length_bytes;

    /* check, compare, commit, amend */
    enum repair_mode repair;
    gboolean strict;
    const char *base; /* commit -b */
    gboolean drop;    /* commit -d, also set by -b */
    gboolean force;   /* amend --force */

    /* resize */
    enum resize_sign sign;
    enum prealloc_mode preallocation;
    gboolean shrink;

    /* snapshot */
    enum snapshot_action action;
    const char *action_snapshot; /* -c, -a, -d */
    gboolean have_action;        /* -l or one of these was given */

    /* bitmap */
    GArray *bitmap_actions; /* of struct bitmap_action */
    gboolean have_granularity;
    uint64_t granularity_bytes;
    const char *source_file;   /* -b */
    const char *source_format; /* -F */
    const char *bitmap;        /* the BITMAP operand; NULL for --remove-all alone */

    /* bench */
    int bench_count;
    int bench_depth;
    uint64_t bench_offset_bytes;
    uint64_t bench_buffer_bytes;
    uint64_t bench_step_bytes; /* never 0: the buffer size when not given */
    gboolean bench_write;
    int bench_pattern;
    int bench_flush_interval; /* 0: none */
    gboolean bench_no_drain;
    const char *bench_aio; /* NULL, "threads", "native" or "io_uring" */

    /* dd */
    const char *dd_if;
    const char *dd_of;
    uint64_t dd_bs_bytes; /* 512 when not given */
    gboolean have_dd_count;
    uint64_t dd_count;
    uint64_t dd_skip;
};

struct invocation {
    enum verb verb;
    struct options opt;
    GPtrArray *operands;        /* of const char *, what is left after the options, in order */
    GPtrArray *strings;         /* of char *: owned text that options point to */
    struct secret_set *secrets; /* from --object; never NULL */
    const char *trace;          /* the last -T/--trace SPEC before the subcommand, or NULL */
};

/*
 * Parses a command line.
 *
 * in:      argv as main has it; its strings outlive *out
 * out:     *out is filled on TRUE; release it with invocation_clear
 *          *exit_status is set on FALSE
 * returns: FALSE when the process should end now: help or version was printed (status 0), or a
 *          usage error was reported in stock's words
 * bound:   linear in argv, but for `--object secret,file=`, which is read here as stock does
 */
gboolean argv_parse(int argc, char **argv, struct invocation *out, int *exit_status);

/*
 * Frees what *inv owns.
 */
void invocation_clear(struct invocation *inv);

/*
 * Gives the word that selects a verb ("create").
 */
const char *verb_name(enum verb verb);

#endif
