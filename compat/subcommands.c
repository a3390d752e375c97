/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands and their options.
 *
 * The order of rows is the order of help, and the order in which an ambiguous abbreviation lists
 * its candidates. Rows without help text are further spellings of the row above them.
 */
#include "compat/option_table.h"

#include <limits.h>

#include "compat/size.h"

#define F(name) .field = offsetof(struct options, name)

#define FLAG(letter_, name_, field_, help_)                                                        \
    {                                                                                              \
        .letter = letter_, .name = name_, .set = set_flag, F(field_), .help = help_                \
    }
#define TEXT(letter_, name_, arg_, field_, help_)                                                  \
    {                                                                                              \
        .letter = letter_, .name = name_, .arg = arg_, .set = set_string, F(field_), .help = help_ \
    }
#define SIZE(letter_, name_, arg_, field_, what_, help_, ...)                                      \
    {                                                                                              \
        .letter = letter_, .name = name_, .arg = arg_, .set = set_size, F(field_), .what = what_,  \
        .max = SIZE_MAX_SIGNED, .help = help_, __VA_ARGS__                                         \
    }
#define HAVE(field_) .have_field = offsetof(struct options, field_)

/* Rows that many verbs share. */
#define FORMAT_ROW TEXT('f', "format", "FMT", format, "format of the image; probed when not given")
#define IMAGE_OPTS_ROW                                                                             \
    FLAG(0, "image-opts", image_opts,                                                              \
         "FILE is not a name but a list of options,\n"                                             \
         "driver=FMT,file.filename=NAME and so on; excludes -f")
#define CACHE_ROW                                                                                  \
    TEXT('t', "cache", "CACHE", cache,                                                             \
         "cache mode: none (or off), writeback, unsafe,\n"                                         \
         "writethrough, directsync; default writeback")
#define FORCE_SHARE_ROW                                                                            \
    FLAG('U', "force-share", force_share, "open the image even where another process writes to it")
#define OUTPUT_ROW                                                                                 \
    {                                                                                              \
        .name = "output", .arg = "human|json", .set = set_output,                                  \
        .help = "layout of the result; default human"                                              \
    }
#define PROGRESS_ROW FLAG('p', "progress", progress, "show how far the operation has come")
#define QUIET_ROW    FLAG('q', "quiet", quiet, "print nothing but errors")
#define OBJECT_ROW                                                                                 \
    {                                                                                              \
        .name = "object", .arg = "OBJDEF", .set = set_object,                                      \
        .help = "define an object, such as secret,id=ID,file=NAME\n"                               \
                "(may be given several times)"                                                     \
    }
#define HELP_ROW                                                                                   \
    {                                                                                              \
        .letter = 'h', .name = "help", .set = set_help, .help = "print this help and exit"         \
    }
#define END_ROW                                                                                    \
    {                                                                                              \
        .set = NULL                                                                                \
    }

static const struct option_row amend_rows[] = {
    {.letter = 'o',
     .name = "options",
     .arg = "FMT_OPTS",
     .set = set_options,
     .help = "options to change, KEY=VALUE,...; -o help lists them\n"
             "(may be given several times)"},
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    CACHE_ROW,
    FLAG(0, "force", force, "allow changes that can make data inaccessible"),
    PROGRESS_ROW,
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row bench_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    {.letter = 't',
     .name = "cache",
     .arg = "CACHE",
     .set = set_bench_cache,
     .help = "cache mode: none (or off), writeback, unsafe,\n"
             "writethrough, directsync; default writeback"},
    {.letter = 'c',
     .name = "count",
     .arg = "COUNT",
     .set = set_integer,
     F(bench_count),
     .or_zero = ONLY(PROFILE_7_2),
     .what = "request count",
     .min = 1,
     .max = INT_MAX,
     .help = "number of requests; default 75000"},
    {.letter = 'd',
     .name = "depth",
     .arg = "DEPTH",
     .set = set_integer,
     F(bench_depth),
     .what = "queue depth",
     .min = 1,
     .max = INT_MAX,
     .help = "number of requests in flight; default 64, at\n"
             "most 1024 with threads and 4096 otherwise"},
    SIZE('o', "offset", "OFFSET", bench_offset_bytes, "offset", "where to start; default 0"),
    {.letter = 's',
     .name = "buffer-size",
     .arg = "BUFFER_SIZE",
     .set = set_size,
     F(bench_buffer_bytes),
     .or_zero = ONLY(PROFILE_7_2),
     .what = "buffer size",
     .min = 1,
     .max = INT_MAX,
     .help = "size of a request; default 4k"},
    {.letter = 'S',
     .name = "step-size",
     .arg = "STEP_SIZE",
     .set = set_size,
     F(bench_step_bytes),
     .what = "step size",
     .max = INT_MAX,
     .help = "distance of two requests; default the size of one"},
    FLAG('w', "write", bench_write, "write instead of read"),
    {.name = "pattern",
     .arg = "PATTERN",
     .set = set_integer,
     F(bench_pattern),
     .what = "pattern byte",
     .max = 255,
     .help = "byte to write; default 0"},
    {.name = "flush-interval",
     .arg = "INTERVAL",
     .set = set_integer,
     F(bench_flush_interval),
     .what = "flush interval",
     .max = INT_MAX,
     .help = "flush after each INTERVAL requests (with -w)"},
    FLAG(0, "no-drain", bench_no_drain, "keep requests in flight during a flush"),
    {.letter = 'i',
     .name = "aio",
     .arg = "AIO",
     .set = set_aio,
     .help = "backend: threads, native or io_uring"},
    {.letter = 'n', .name = "native", .set = set_native_aio, .help = "same as -i native"},
    FORCE_SHARE_ROW,
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

#define ACTION(name_, arg_, action_, help_)                                                        \
    {                                                                                              \
        .name = name_, .arg = arg_, .set = set_bitmap_action, .value = action_, .help = help_      \
    }

static const struct option_row bitmap_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    ACTION("add", NULL, BITMAP_ADD, "create BITMAP, enabled"),
    SIZE('g', "granularity", "SIZE", granularity_bytes, "granularity",
         "bytes that one bit of a new bitmap stands for", HAVE(have_granularity)),
    ACTION("remove", NULL, BITMAP_REMOVE, "delete BITMAP"),
    ACTION("remove-all", NULL, BITMAP_REMOVE_ALL, "delete all bitmaps"),
    ACTION("clear", NULL, BITMAP_CLEAR, "clear all bits of BITMAP"),
    ACTION("enable", NULL, BITMAP_ENABLE, "let BITMAP record writes"),
    ACTION("disable", NULL, BITMAP_DISABLE, "stop BITMAP from recording"),
    ACTION("merge", "SOURCE", BITMAP_MERGE, "add the bits of bitmap SOURCE to BITMAP"),
    TEXT('b', "source-file", "SRC_FILE", source_file, "image that holds SOURCE (with --merge)"),
    TEXT('F', "source-format", "SRC_FMT", source_format, "format of SRC_FILE"),
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row check_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    TEXT('T', "cache", "CACHE_MODE", src_cache,
         "cache mode: none (or off), writeback, unsafe,\n"
         "writethrough, directsync; default writeback"),
    {.letter = 'r',
     .name = "repair",
     .arg = "leaks|all",
     .set = set_repair,
     .help = "repair what is found: leaked clusters only, or everything"},
    FORCE_SHARE_ROW,
    OUTPUT_ROW,
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

#define RATE_ROW                                                                                   \
    SIZE('r', "rate-limit", "RATE", rate_limit_bytes, "rate limit",                                \
         "most bytes to move in a second", HAVE(have_rate_limit))

static const struct option_row commit_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    CACHE_ROW,
    {.letter = 'b',
     .name = "base",
     .arg = "BASE_IMG",
     .set = set_base,
     .help = "image of the chain to commit into; default the\n"
             "direct backing file; implies -d"},
    FLAG('d', "drop", drop, "leave the contents of FILE as they are afterwards"),
    RATE_ROW,
    PROGRESS_ROW,
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row compare_rows[] = {
    TEXT('f', "a-format", "FMT", format, "format of FILE1; probed when not given"),
    {.name = "left-format",
     .arg = "FMT",
     .set = set_string,
     F(format),
     .only = ONLY(PROFILE_10_0),
     .same_as_previous = TRUE},
    TEXT('F', "b-format", "FMT", format_b, "format of FILE2; probed when not given"),
    {.name = "right-format",
     .arg = "FMT",
     .set = set_string,
     F(format_b),
     .only = ONLY(PROFILE_10_0),
     .same_as_previous = TRUE},
    FLAG(0, "image-opts", image_opts,
         "FILE1 and FILE2 are not names but lists of options;\n"
         "excludes -f and -F"),
    FLAG('s', "strict", strict, "sizes and allocation must be the same too"),
    TEXT('T', "cache", "CACHE", src_cache,
         "cache mode: none (or off), writeback, unsafe,\n"
         "writethrough, directsync; default writeback"),
    FORCE_SHARE_ROW,
    PROGRESS_ROW,
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row convert_rows[] = {
    TEXT('f', "source-format", "SRC_FMT", format, "format of the sources; probed when not given"),
    FLAG(0, "image-opts", image_opts,
         "sources are not names but lists of options;\n"
         "excludes -f"),
    {.name = "source-image-opts",
     .set = set_flag,
     F(image_opts),
     .only = ONLY(PROFILE_10_0),
     .same_as_previous = TRUE},
    TEXT('T', "source-cache", "SRC_CACHE", src_cache,
         "cache mode of the sources: none (or off), writeback,\n"
         "unsafe, writethrough, directsync; default writeback"),
    {.letter = 'l',
     .name = "snapshot",
     .arg = "SNAPSHOT",
     .set = set_snapshot_param,
     .help = "internal snapshot to read: a name or an id, or\n"
             "snapshot.id=ID,snapshot.name=NAME"},
    FLAG(0, "bitmaps", bitmaps, "copy persistent bitmaps too"),
    FLAG(0, "skip-broken-bitmaps", skip_broken_bitmaps,
         "leave out bitmaps that cannot be used (with --bitmaps)"),
    FLAG(0, "salvage", salvage, "read what can be read: zeros stand for the rest"),
    TEXT('O', "target-format", "TGT_FMT", out_format, "format of TGT_FILE; default raw"),
    {.name = "output-format",
     .arg = "TGT_FMT",
     .set = set_string,
     F(out_format),
     .only = ONLY(PROFILE_10_0),
     .same_as_previous = TRUE},
    FLAG(0, "target-image-opts", target_image_opts,
         "TGT_FILE is not a name but a list of options\n"
         "(with -n); excludes -O"),
    {.letter = 'o',
     .name = "target-format-options",
     .arg = "TGT_FMT_OPTS",
     .set = set_options,
     .help = "options of the target, KEY=VALUE,...; -o help lists\n"
             "them (may be given several times)"},
    {.name = "options",
     .arg = "TGT_FMT_OPTS",
     .set = set_options,
     .only = ONLY(PROFILE_10_0),
     .same_as_previous = TRUE},
    TEXT('t', "target-cache", "TGT_CACHE", cache, "cache mode of the target; default unsafe"),
    {.name = "output-cache",
     .arg = "TGT_CACHE",
     .set = set_string,
     F(cache),
     .only = ONLY(PROFILE_10_0),
     .same_as_previous = TRUE},
    TEXT('b', "backing", "BACKING_FILE", backing_file, "backing file of the target (needs -F)"),
    {.letter = 'B',
     .arg = "BACKING_FILE",
     .set = set_string,
     F(backing_file),
     .same_as_previous = TRUE},
    TEXT('F', "backing-format", "BACKING_FMT", backing_fmt, "format of BACKING_FILE"),
    {.letter = 'S',
     .name = "sparse-size",
     .arg = "SPARSE_SIZE",
     .set = set_sparse_size,
     .help = "shortest run of zeros that becomes a hole, default 4k;\n"
             "0 writes everything"},
    FLAG('n', "no-create", no_create, "write into a target that exists"),
    FLAG(0, "target-is-zero", target_is_zero,
         "take for granted that the target reads as zeros\n"
         "(with -n)"),
    FLAG('c', NULL, compress, "compress the target"),
    FORCE_SHARE_ROW,
    RATE_ROW,
    {.letter = 'm',
     .name = "parallel",
     .arg = "NUM_PARALLEL",
     .set = set_parallel,
     .help = "number of requests in flight, 1 to 16; default 8"},
    FLAG('W', "oob-writes", oob_writes, "write as data comes in, not in order"),
    FLAG('C', "copy-range-offloading", copy_range, "let the kernel or storage copy"),
    PROGRESS_ROW,
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row create_rows[] = {
    TEXT('f', "format", "FMT", format, "format of the new image; default raw"),
    {.letter = 'o',
     .name = "options",
     .arg = "FMT_OPTS",
     .set = set_options,
     .help = "options of the format, KEY=VALUE,...; -o help lists\n"
             "them (may be given several times)"},
    TEXT('b', "backing", "BACKING_FILE", backing_file,
         "make an overlay of BACKING_FILE (needs -B)"),
    TEXT('B', "backing-format", "BACKING_FMT", backing_fmt, "format of BACKING_FILE"),
    {.letter = 'F',
     .arg = "BACKING_FMT",
     .set = set_string,
     F(backing_fmt),
     .same_as_previous = TRUE},
    FLAG('u', "backing-unsafe", unsafe, "do not open BACKING_FILE; SIZE is needed then"),
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row dd_rows[] = {
    TEXT('f', "format", "FMT", format, "format of INPUT; probed when not given"),
    FLAG(0, "image-opts", image_opts, "INPUT is not a name but a list of options; excludes -f"),
    TEXT('O', "output-format", "OUTPUT_FMT", out_format, "format of OUTPUT; default raw"),
    FORCE_SHARE_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row info_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    FLAG(0, "backing-chain", backing_chain, "describe the whole backing chain"),
    {.letter = 'b',
     .set = set_flag,
     F(backing_chain),
     .only = ONLY(PROFILE_10_0),
     .same_as_previous = TRUE},
    CACHE_ROW,
    FORCE_SHARE_ROW,
    FLAG(0, "limits", limits, "show the limits of I/O requests"),
    OUTPUT_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row map_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    SIZE('s', "start-offset", "OFFSET", start_offset_bytes, "start offset",
         "where to start; default 0"),
    SIZE('l', "max-length", "LENGTH", max_length_bytes, "max length",
         "how far to go; default to the end", HAVE(have_max_length)),
    OUTPUT_ROW,
    FORCE_SHARE_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row measure_rows[] = {
    FORMAT_ROW,
    {.name = "source-format", .arg = "FMT", .set = set_string, F(format), .same_as_previous = TRUE},
    IMAGE_OPTS_ROW,
    {.name = "source-image-opts", .set = set_flag, F(image_opts), .same_as_previous = TRUE},
    {.letter = 'l',
     .name = "snapshot",
     .arg = "SNAPSHOT",
     .set = set_snapshot_param,
     .help = "internal snapshot to measure: a name or an id, or\n"
             "snapshot.id=ID,snapshot.name=NAME"},
    TEXT('O', "target-format", "TARGET_FMT", out_format, "format to measure for; default raw"),
    {.letter = 'o',
     .name = "options",
     .arg = "TARGET_FMT_OPTS",
     .set = set_options,
     .help = "options of the target, KEY=VALUE,...\n"
             "(may be given several times)"},
    {.name = "target-format-options",
     .arg = "TARGET_FMT_OPTS",
     .set = set_options,
     .same_as_previous = TRUE},
    FORCE_SHARE_ROW,
    OUTPUT_ROW,
    SIZE('s', "size", "SIZE", size_bytes, "image size", "measure an empty image of SIZE instead",
         HAVE(have_size)),
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row rebase_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    CACHE_ROW,
    TEXT('b', "backing", "BACKING_FILE", backing_file,
         "new backing file; \"\" makes FILE stand alone"),
    TEXT('B', "backing-format", "BACKING_FMT", backing_fmt, "format of BACKING_FILE"),
    {.letter = 'F',
     .arg = "BACKING_FMT",
     .set = set_string,
     F(backing_fmt),
     .same_as_previous = TRUE},
    TEXT('T', "backing-cache", "BACKING_CACHE", src_cache,
         "cache mode of the backing files; default writeback"),
    FLAG('u', "backing-unsafe", unsafe,
         "change the name only: old and new backing file are\n"
         "taken to hold the same data"),
    FLAG('c', "compress", compress, "compress the clusters that get written"),
    FORCE_SHARE_ROW,
    PROGRESS_ROW,
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct option_row resize_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    {.name = "preallocation",
     .arg = "PREALLOC",
     .set = set_preallocation,
     .help = "how to allocate what is added: off, metadata, falloc, full"},
    FLAG(0, "shrink", shrink, "allow the image to shrink: data past its new end is lost"),
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

#define SNAPSHOT_ACTION(letter_, name_, arg_, action_, help_)                                      \
    {                                                                                              \
        .letter = letter_, .name = name_, .arg = arg_, .set = set_snapshot_action,                 \
        .value = action_, .help = help_                                                            \
    }

static const struct option_row snapshot_rows[] = {
    FORMAT_ROW,
    IMAGE_OPTS_ROW,
    SNAPSHOT_ACTION('l', "list", NULL, SNAPSHOT_LIST,
                    "list the snapshots (what is done by default)"),
    SNAPSHOT_ACTION('c', "create", "SNAPSHOT", SNAPSHOT_CREATE, "create a snapshot"),
    SNAPSHOT_ACTION('a', "apply", "SNAPSHOT", SNAPSHOT_APPLY, "go back to a snapshot"),
    SNAPSHOT_ACTION('d', "delete", "SNAPSHOT", SNAPSHOT_DELETE, "delete a snapshot"),
    FORCE_SHARE_ROW,
    QUIET_ROW,
    OBJECT_ROW,
    HELP_ROW,
    END_ROW,
};

static const struct verb_spec specs[VERB_NR] = {
    [VERB_AMEND] =
        {
            .name = "amend",
            .usage = "-o FMT_OPTS [-f FMT | --image-opts]\n"
                     "      [-t CACHE] [--force] [-p] [-q] [--object OBJDEF] FILE",
            .about = "Change format options of an existing image.",
            .operands = "FILE\nthe image",
            .rows = amend_rows,
            .finish = finish_amend,
        },
    [VERB_BENCH] =
        {
            .name = "bench",
            .usage = "[-f FMT | --image-opts] [-t CACHE]\n"
                     "      [-c COUNT] [-d DEPTH] [-o OFFSET] [-s BUFFER_SIZE] [-S STEP_SIZE]\n"
                     "      [-w [--pattern PATTERN] [--flush-interval INTERVAL [--no-drain]]]\n"
                     "      [-i AIO] [-n] [-U] [-q] FILE",
            .about = "Measure how fast an image can be read or written.",
            .operands = "FILE\nthe image",
            .rows = bench_rows,
            .finish = finish_bench,
        },
    [VERB_BITMAP] =
        {
            .name = "bitmap",
            .usage = "[-f FMT | --image-opts]\n"
                     "      ( --add [-g SIZE] | --remove | --remove-all | --clear | --enable |\n"
                     "        --disable | --merge SOURCE [-b SRC_FILE [-F SRC_FMT]] )..\n"
                     "      [--object OBJDEF] FILE [BITMAP]",
            .about = "Change the persistent bitmaps of an image.",
            .operands = "FILE\nthe image\nBITMAP\nname of the bitmap; absent with --remove-all",
            .rows = bitmap_rows,
            .finish = finish_bitmap,
        },
    [VERB_CHECK] =
        {
            .name = "check",
            .usage = "[-f FMT | --image-opts] [-T CACHE_MODE] [-r leaks|all]\n"
                     "      [-U] [--output human|json] [-q] [--object OBJDEF] FILE",
            .about = "Check an image for consistency and repair it if asked to.",
            .operands = "FILE\nthe image",
            .rows = check_rows,
            .finish = finish_check,
        },
    [VERB_COMMIT] =
        {
            .name = "commit",
            .usage = "[-f FMT | --image-opts] [-t CACHE_MODE] [-b BASE_IMG]\n"
                     "      [-d] [-r RATE] [-q] [--object OBJDEF] FILE",
            .about = "Write what an overlay holds into its backing file.",
            .operands = "FILE\nthe overlay",
            .rows = commit_rows,
            .finish = finish_commit,
        },
    [VERB_COMPARE] =
        {
            .name = "compare",
            .usage = "[[-f FMT] [-F FMT] | --image-opts] [-s] [-T CACHE]\n"
                     "      [-U] [-p] [-q] [--object OBJDEF] FILE1 FILE2",
            .about = "Tell whether two images hold the same data.",
            .operands = "FILE1, FILE2\nthe images",
            .rows = compare_rows,
            .finish = finish_compare,
        },
    [VERB_CONVERT] =
        {
            .name = "convert",
            .usage =
                "[-f SRC_FMT | --image-opts] [-T SRC_CACHE]\n"
                "      [-l SNAPSHOT] [--bitmaps [--skip-broken-bitmaps]] [--salvage]\n"
                "      [-O TGT_FMT | --target-image-opts] [-o TGT_FMT_OPTS] [-t TGT_CACHE]\n"
                "      [-b BACKING_FILE [-F BACKING_FMT]] [-S SPARSE_SIZE]\n"
                "      [-n] [--target-is-zero] [-c]\n"
                "      [-U] [-r RATE] [-m NUM_PARALLEL] [-W] [-C] [-p] [-q] [--object OBJDEF]\n"
                "      SRC_FILE [SRC_FILE2...] TGT_FILE",
            .about = "Copy one or more images into another, of the same or another format.",
            .operands = "SRC_FILE\nthe sources, which are concatenated\nTGT_FILE\nthe target",
            .rows = convert_rows,
            .finish = finish_convert,
        },
    [VERB_CREATE] =
        {
            .name = "create",
            .usage = "[-f FMT] [-o FMT_OPTS]\n"
                     "      [-b BACKING_FILE [-B BACKING_FMT]] [-u]\n"
                     "      [-q] [--object OBJDEF] FILE [SIZE]",
            .about = "Create an image.",
            .operands = "FILE\nthe image to create; what is there is overwritten\n"
                        "SIZE[bkKMGTPE]\nits size; may be left out where a backing file gives it",
            .rows = create_rows,
            .finish = finish_create,
        },
    [VERB_DD] =
        {
            .name = "dd",
            .usage = "[-f FMT|--image-opts] [-O OUTPUT_FMT] [-U]\n"
                     "      [--object OBJDEF] [bs=BLOCK_SIZE] [count=BLOCKS] if=INPUT of=OUTPUT",
            .about = "Copy blocks of an image into a new one.",
            .operands = "bs=BLOCK_SIZE[bkKMGTPE]\nsize of a block; default 512\n"
                        "count=BLOCKS[bkKMGTPE]\nwhere to stop, in blocks of the input\n"
                        "skip=BLOCKS[bkKMGTPE]\nblocks of the input to leave out at the start\n"
                        "if=INPUT\nthe image to read\nof=OUTPUT\nthe image to create",
            .rows = dd_rows,
            .finish = finish_dd,
        },
    [VERB_INFO] =
        {
            .name = "info",
            .usage = "[-f FMT | --image-opts] [--backing-chain] [-U]\n"
                     "      [--output human|json] [--object OBJDEF] FILE",
            .about = "Describe an image.",
            .operands = "FILE\nthe image",
            .rows = info_rows,
            .finish = finish_info,
        },
    [VERB_MAP] =
        {
            .name = "map",
            .usage = "[-f FMT | --image-opts]\n"
                     "      [--start-offset OFFSET] [--max-length LENGTH]\n"
                     "      [--output human|json] [-U] [--object OBJDEF] FILE",
            .about = "Show where the data of an image is.",
            .operands = "FILE\nthe image",
            .rows = map_rows,
            .finish = finish_map,
        },
    [VERB_MEASURE] =
        {
            .name = "measure",
            .usage = "[-f FMT|--image-opts] [-l SNAPSHOT]\n"
                     "     [-O TARGET_FMT] [-o TARGET_FMT_OPTS] [--output human|json]\n"
                     "     [--object OBJDEF] (--size SIZE | FILE)",
            .about = "Tell how large the file of a new image would be.",
            .operands = "FILE\nthe image to measure a copy of",
            .rows = measure_rows,
            .finish = finish_measure,
        },
    [VERB_REBASE] =
        {
            .name = "rebase",
            .usage = "[-f FMT | --image-opts] [-t CACHE]\n"
                     "      [-b BACKING_FILE [-B BACKING_FMT] [-T BACKING_CACHE]] [-u]\n"
                     "      [-c] [-U] [-p] [-q] [--object OBJDEF] FILE",
            .about = "Change the backing file of an overlay.",
            .operands = "FILE\nthe overlay",
            .rows = rebase_rows,
            .finish = finish_rebase,
        },
    [VERB_RESIZE] =
        {
            .name = "resize",
            .usage = "[-f FMT | --image-opts] [--preallocation PREALLOC] [--shrink]\n"
                     "      [-q] [--object OBJDEF] FILE [+-]SIZE[bkKMGTPE]",
            .about = "Change the size of an image.",
            .operands = "FILE\nthe image\n[+-]SIZE[bkKMGTPE]\n"
                        "its new size, or by how much to grow (+) or shrink (-)",
            .rows = resize_rows,
            .finish = finish_resize,
        },
    [VERB_SNAPSHOT] =
        {
            .name = "snapshot",
            .usage = "[-f FMT | --image-opts] [-l | -a|-c|-d SNAPSHOT]\n"
                     "      [-U] [-q] [--object OBJDEF] FILE",
            .about = "List, create, apply or delete the internal snapshots of an image.",
            .operands = "FILE\nthe image",
            .rows = snapshot_rows,
            .finish = finish_snapshot,
        },
};

const struct verb_spec *verb_spec(enum verb verb)
{
    return &specs[verb];
}

const char *verb_name(enum verb verb)
{
    return specs[verb].name;
}
