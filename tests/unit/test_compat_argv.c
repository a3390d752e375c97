/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines that are right: what ends up in the invocation. (Those that are wrong are in
 * test_compat_recorded.c.)
 */
#include <glib.h>
#include <string.h>

#include "compat/argv.h"
#include "compat/option_table.h"
#include "compat/profile.h"
#include "tests/unit/compat_capture.h"

/* Parses a shell-quoted command line; the words live until the invocation is cleared. */
static char **words;

static int try_parse(const char *line, struct invocation *inv)
{
    g_autofree char *full = g_strconcat("qemu-img ", line, NULL);
    int argc, status = -1;

    g_clear_pointer(&words, g_strfreev);
    g_assert_true(g_shell_parse_argv(full, &argc, &words, NULL));
    return argv_parse(argc, words, inv, &status) ? -1 : status;
}

static void parse(const char *line, struct invocation *inv)
{
    int status = try_parse(line, inv);

    if (status != -1) {
        g_error("'%s' ended with status %d", line, status);
    }
}

static void expect_refused(const char *line, const char *message)
{
    struct invocation inv;
    char *out, *err;
    int status;

    capture_begin();
    status = try_parse(line, &inv);
    capture_end(&out, &err);
    g_assert_cmpint(status, ==, 1);
    g_assert_cmpstr(err, ==, message);
    g_free(out);
    g_free(err);
}

static const char *operand(const struct invocation *inv, guint i)
{
    return g_ptr_array_index(inv->operands, i);
}

static void test_permutation(void)
{
    struct invocation inv;

    parse("info a.raw --force-share --output=json -f qcow2", &inv);
    g_assert_cmpint(inv.verb, ==, VERB_INFO);
    g_assert_true(inv.opt.force_share);
    g_assert_cmpint(inv.opt.output, ==, OUTPUT_JSON);
    g_assert_cmpstr(inv.opt.format, ==, "qcow2");
    g_assert_cmpstr(operand(&inv, 0), ==, "a.raw");
    invocation_clear(&inv);

    parse("create -f raw P 1k -o preallocation=falloc", &inv);
    g_assert_cmpstr(inv.opt.options, ==, "preallocation=falloc");
    g_assert_cmpuint(inv.opt.size_bytes, ==, 1024);
    g_assert_cmpuint(inv.operands->len, ==, 2);
    invocation_clear(&inv);
}

static void test_clusters_and_glue(void)
{
    struct invocation inv;

    parse("convert -pnf raw -Oqcow2 a b", &inv);
    g_assert_true(inv.opt.progress);
    g_assert_true(inv.opt.no_create);
    g_assert_cmpstr(inv.opt.format, ==, "raw");
    g_assert_cmpstr(inv.opt.out_format, ==, "qcow2");
    invocation_clear(&inv);

    parse("info -f=raw -f vdi -- -x", &inv);
    g_assert_cmpstr(inv.opt.format, ==, "vdi"); /* the last one wins */
    g_assert_cmpstr(operand(&inv, 0), ==, "-x");
    invocation_clear(&inv);

    parse("info -f=raw x", &inv);
    g_assert_cmpstr(inv.opt.format, ==, "=raw");
    invocation_clear(&inv);
}

static void test_abbreviations(void)
{
    static const char *const lines[] = {
        "commit --rate 1k x",
        "convert --rate 1k a b",
        "convert --progres a b",
        "info --force x",
        "info --backing x",
        "dd --output raw if=a of=b",
        "convert --copy-range a b",
        "convert --skip --bitmaps a b",
        "info --forma raw x",
        "info --out json x",
        "measure --target-format raw x",
        "measure --source-f raw x",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        struct invocation inv;

        parse(lines[i], &inv);
        invocation_clear(&inv);
    }
}

static void test_ambiguous(void)
{
    expect_refused("info --f raw x",
                   "qemu-img info: option '--f' is ambiguous; possibilities: '--format' "
                   "'--force-share'\n"
                   "Try 'qemu-img info --help' for more information\n");
}

static void test_posixly_correct(void)
{
    struct invocation inv;

    g_setenv("POSIXLY_CORRECT", "1", TRUE);
    expect_refused("info a.raw --output=json", "qemu-img: Expecting one image file name\n"
                                               "Try 'qemu-img info --help' for more information\n");
    parse("info --output=json a.raw", &inv);
    invocation_clear(&inv);
    g_unsetenv("POSIXLY_CORRECT");
}

static void test_10_0_spellings(void)
{
    struct invocation inv;

    g_assert_true(profile_select("10.0", NULL));
    parse("info -b x", &inv);
    g_assert_true(inv.opt.backing_chain);
    invocation_clear(&inv);
    parse("compare --left-format raw --right-format qcow2 a b", &inv);
    g_assert_cmpstr(inv.opt.format, ==, "raw");
    g_assert_cmpstr(inv.opt.format_b, ==, "qcow2");
    invocation_clear(&inv);
    parse("convert --output-format raw --output-cache none --options a=b a b", &inv);
    g_assert_cmpstr(inv.opt.out_format, ==, "raw");
    g_assert_cmpstr(inv.opt.cache, ==, "none");
    g_assert_cmpstr(inv.opt.options, ==, "a=b");
    invocation_clear(&inv);
    g_assert_true(profile_select(NULL, NULL));
    expect_refused("info -b x", "qemu-img info: invalid option -- 'b'\n"
                                "Try 'qemu-img info --help' for more information\n");
}

static void test_defaults(void)
{
    struct invocation inv;

    parse("convert a b c", &inv);
    g_assert_null(inv.opt.format);
    g_assert_null(inv.opt.options);
    g_assert_null(inv.opt.cache);
    g_assert_false(inv.opt.have_sparse_size);
    g_assert_cmpuint(inv.opt.sparse_size_bytes, ==, 4096);
    g_assert_cmpuint(inv.opt.parallel, ==, 8);
    g_assert_cmpuint(inv.operands->len, ==, 3);
    g_assert_null(inv.trace);
    invocation_clear(&inv);

    parse("bench x", &inv);
    g_assert_cmpint(inv.opt.bench_count, ==, 75000);
    g_assert_cmpint(inv.opt.bench_depth, ==, 64);
    g_assert_cmpuint(inv.opt.bench_buffer_bytes, ==, 4096);
    g_assert_cmpuint(inv.opt.bench_step_bytes, ==, 4096);
    invocation_clear(&inv);
}

static void test_convert_options(void)
{
    struct invocation inv;

    parse("convert -T none -t directsync -c -o a=b -o c=d,,e -S 64k -m 0x10 -W -r 1M -U --salvage "
          "-B base -F raw --bitmaps --skip-broken-bitmaps -l snapshot.id=1,snapshot.name=n s t",
          &inv);
    g_assert_true(inv.opt.src_cache_mode.direct);
    g_assert_cmpstr(inv.opt.cache, ==, "directsync");
    g_assert_true(inv.opt.compress);
    g_assert_cmpstr(inv.opt.options, ==, "a=b,c=d,,e");
    g_assert_true(inv.opt.have_sparse_size);
    g_assert_cmpuint(inv.opt.sparse_size_bytes, ==, 65536);
    g_assert_cmpuint(inv.opt.parallel, ==, 16);
    g_assert_true(inv.opt.oob_writes);
    g_assert_true(inv.opt.have_rate_limit);
    g_assert_cmpuint(inv.opt.rate_limit_bytes, ==, 1 << 20);
    g_assert_true(inv.opt.force_share);
    g_assert_true(inv.opt.salvage);
    g_assert_cmpstr(inv.opt.backing_file, ==, "base");
    g_assert_cmpstr(inv.opt.backing_fmt, ==, "raw");
    g_assert_true(inv.opt.bitmaps);
    g_assert_true(inv.opt.skip_broken_bitmaps);
    g_assert_cmpstr(inv.opt.snapshot, ==, "snapshot.id=1,snapshot.name=n");
    g_assert_cmpstr(inv.opt.snapshot_id, ==, "1");
    g_assert_cmpstr(inv.opt.snapshot_name, ==, "n");
    invocation_clear(&inv);
}

static void test_quiet_cancels_progress(void)
{
    struct invocation inv;

    parse("convert -p -q a b", &inv);
    g_assert_false(inv.opt.progress);
    g_assert_true(inv.opt.quiet);
    invocation_clear(&inv);
}

static void expect_resize(const char *line, enum resize_sign sign, uint64_t bytes)
{
    struct invocation inv;

    parse(line, &inv);
    g_assert_cmpint(inv.opt.sign, ==, sign);
    g_assert_cmpuint(inv.opt.size_bytes, ==, bytes);
    g_assert_cmpstr(operand(&inv, 0), ==, "x");
    invocation_clear(&inv);
}

static void test_resize(void)
{
    expect_resize("resize x 1k", RESIZE_ABSOLUTE, 1024);
    expect_resize("resize x +1k", RESIZE_GROW, 1024);
    expect_resize("resize x -1k", RESIZE_SHRINK, 1024);
    expect_resize("resize x -1k --shrink", RESIZE_SHRINK, 1024);
    expect_resize("resize -f raw x -1k -q", RESIZE_SHRINK, 1024);
    expect_resize("resize --shrink -- x -1k", RESIZE_SHRINK, 1024);
    expect_resize("resize x ++1k", RESIZE_GROW, 1024);
    expect_resize("resize --preallocation=full x 5", RESIZE_ABSOLUTE, 5);
    expect_refused("resize -5 x", "qemu-img resize: invalid option -- '5'\n"
                                  "Try 'qemu-img resize --help' for more information\n");
}

static void test_bitmap(void)
{
    struct invocation inv;
    const struct bitmap_action *actions;

    parse("bitmap --add -g 4k --merge src -b other -F raw --disable img b0", &inv);
    g_assert_cmpuint(inv.opt.bitmap_actions->len, ==, 3);
    actions = (const struct bitmap_action *)(void *)inv.opt.bitmap_actions->data;
    g_assert_cmpint(actions[0].verb, ==, BITMAP_ADD);
    g_assert_cmpint(actions[1].verb, ==, BITMAP_MERGE);
    g_assert_cmpstr(actions[1].source, ==, "src");
    g_assert_cmpint(actions[2].verb, ==, BITMAP_DISABLE);
    g_assert_cmpuint(inv.opt.granularity_bytes, ==, 4096);
    g_assert_cmpstr(inv.opt.bitmap, ==, "b0");
    invocation_clear(&inv);

    parse("bitmap --remove-all --remove-all img", &inv);
    g_assert_null(inv.opt.bitmap);
    invocation_clear(&inv);
}

static void test_dd(void)
{
    struct invocation inv;

    parse("dd count=1k if=a bs=2k skip=3 of=b if=c", &inv);
    g_assert_cmpstr(inv.opt.dd_if, ==, "c");
    g_assert_cmpstr(inv.opt.dd_of, ==, "b");
    g_assert_cmpuint(inv.opt.dd_bs_bytes, ==, 2048);
    g_assert_true(inv.opt.have_dd_count);
    g_assert_cmpuint(inv.opt.dd_count, ==, 1024);
    g_assert_cmpuint(inv.opt.dd_skip, ==, 3);
    invocation_clear(&inv);
}

static void test_others(void)
{
    struct invocation inv;

    parse("snapshot x", &inv);
    g_assert_cmpint(inv.opt.action, ==, SNAPSHOT_LIST);
    invocation_clear(&inv);
    parse("snapshot --create s1 x", &inv);
    g_assert_cmpint(inv.opt.action, ==, SNAPSHOT_CREATE);
    g_assert_cmpstr(inv.opt.action_snapshot, ==, "s1");
    invocation_clear(&inv);
    parse("commit -b base x", &inv);
    g_assert_true(inv.opt.drop);
    invocation_clear(&inv);
    parse("check -r all -T unsafe x", &inv);
    g_assert_cmpint(inv.opt.repair, ==, REPAIR_ALL);
    g_assert_true(inv.opt.src_cache_mode.no_flush);
    invocation_clear(&inv);
    parse("rebase -b '' -u x", &inv);
    g_assert_cmpstr(inv.opt.backing_file, ==, "");
    invocation_clear(&inv);
    parse("create -B raw -b b -u x 1", &inv);
    g_assert_cmpstr(inv.opt.backing_fmt, ==, "raw");
    g_assert_true(inv.opt.unsafe);
    invocation_clear(&inv);
    parse("measure -s 1G --target-format qcow2", &inv);
    g_assert_true(inv.opt.have_size);
    g_assert_cmpuint(inv.opt.size_bytes, ==, 1 << 30);
    invocation_clear(&inv);
}

static void test_objects(void)
{
    struct invocation inv;
    const struct secret *secret;

    parse("info --object secret,id=s,data=a,,b --object secret,id=t,data=eA==,format=base64 x",
          &inv);
    secret = secret_set_find(inv.secrets, "s", NULL);
    g_assert_cmpmem(g_bytes_get_data(secret->data, NULL), g_bytes_get_size(secret->data), "a,b", 3);
    g_assert_cmpuint(g_bytes_get_size(secret_set_find(inv.secrets, "t", NULL)->data), ==, 1);
    invocation_clear(&inv);
}

/* ---- help ---- */

static char *help_of(const char *line)
{
    struct invocation inv;
    char *out, *err;
    int status;

    capture_begin();
    status = try_parse(line, &inv);
    capture_end(&out, &err);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(err, ==, "");
    g_free(err);
    return out;
}

/* What callers look for in the help. */
static void test_help_for_callers(void)
{
    g_autofree char *help = help_of("--help");

    g_assert_true(g_regex_match_simple("\\binfo .*-U\\b", help, 0, 0));
    g_assert_nonnull(strstr(help, "--target-is-zero"));
    g_assert_true(g_regex_match_simple("^Supported formats: .*qcow2", help, G_REGEX_MULTILINE, 0));
    g_assert_true(g_regex_match_simple("^qemu-img version ([0-9.]*)", help, 0, 0));
}

static void test_version(void)
{
    g_autofree char *version = help_of("-V -h --bogus");

    g_assert_true(g_str_has_prefix(version, "qemu-img version 11.1.3 (instar "));
    g_assert_nonnull(strstr(version, ")\nCopyright (c) 2003-2026 Fabrice Bellard and the QEMU "
                                     "Project developers\n"));
}

static void test_verb_help(void)
{
    g_autofree char *help = help_of("map -h nosuch --bogus");

    g_assert_cmpstr(help, ==,
                    "Usage:\n"
                    "  qemu-img map [-f FMT | --image-opts]\n"
                    "        [--start-offset OFFSET] [--max-length LENGTH]\n"
                    "        [--output human|json] [-U] [--object OBJDEF] FILE\n"
                    "\n"
                    "Show where the data of an image is.\n"
                    "\n"
                    "Arguments:\n"
                    "  -f, --format FMT\n"
                    "     format of the image; probed when not given\n"
                    "  --image-opts\n"
                    "     FILE is not a name but a list of options,\n"
                    "     driver=FMT,file.filename=NAME and so on; excludes -f\n"
                    "  -s, --start-offset OFFSET\n"
                    "     where to start; default 0\n"
                    "  -l, --max-length LENGTH\n"
                    "     how far to go; default to the end\n"
                    "  --output human|json\n"
                    "     layout of the result; default human\n"
                    "  -U, --force-share\n"
                    "     open the image even where another process writes to it\n"
                    "  --object OBJDEF\n"
                    "     define an object, such as secret,id=ID,file=NAME\n"
                    "     (may be given several times)\n"
                    "  -h, --help\n"
                    "     print this help and exit\n"
                    "  FILE\n"
                    "     the image\n"
                    "\n");
}

/* 10.0 puts the sentence first. */
static void test_verb_help_10_0(void)
{
    g_assert_true(profile_select("10.0", NULL));
    g_autofree char *help = help_of("map --help");

    g_assert_true(g_str_has_prefix(help, "Usage:\n"
                                         "Show where the data of an image is.  Usage:\n"
                                         "\n"
                                         "  qemu-img map [-f FMT | --image-opts]\n"));
    g_assert_nonnull(strstr(help, "FILE\n\nArguments:\n  -f, --format FMT\n"));
    g_assert_true(profile_select(NULL, NULL));
}

/* A slip in a table would show only when that option is used. */
static void test_tables(void)
{
    for (int verb = 0; verb < VERB_NR; verb++) {
        const struct verb_spec *spec = verb_spec((enum verb)verb);
        g_autofree char *line = g_strconcat(spec->name, " --help", NULL);
        g_autofree char *help = help_of(line);

        g_assert_nonnull(spec->finish);
        g_assert_true(g_str_has_prefix(help, "Usage:\n"));
        for (const struct option_row *row = spec->rows; row->set != NULL; row++) {
            g_assert_true(row->letter != 0 || row->name != NULL);
            g_assert_true((row->help != NULL) != row->same_as_previous);
            g_assert_true(row->what == NULL || row->arg != NULL);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compat/argv/permutation", test_permutation);
    g_test_add_func("/compat/argv/clusters-and-glue", test_clusters_and_glue);
    g_test_add_func("/compat/argv/abbreviations", test_abbreviations);
    g_test_add_func("/compat/argv/ambiguous", test_ambiguous);
    g_test_add_func("/compat/argv/posixly-correct", test_posixly_correct);
    g_test_add_func("/compat/argv/10.0-spellings", test_10_0_spellings);
    g_test_add_func("/compat/argv/defaults", test_defaults);
    g_test_add_func("/compat/argv/convert", test_convert_options);
    g_test_add_func("/compat/argv/quiet-cancels-progress", test_quiet_cancels_progress);
    g_test_add_func("/compat/argv/resize", test_resize);
    g_test_add_func("/compat/argv/bitmap", test_bitmap);
    g_test_add_func("/compat/argv/dd", test_dd);
    g_test_add_func("/compat/argv/others", test_others);
    g_test_add_func("/compat/argv/objects", test_objects);
    g_test_add_func("/compat/help/for-callers", test_help_for_callers);
    g_test_add_func("/compat/help/version", test_version);
    g_test_add_func("/compat/help/verb", test_verb_help);
    g_test_add_func("/compat/argv/verb-help-10.0", test_verb_help_10_0);
    g_test_add_func("/compat/help/tables", test_tables);
    return g_test_run();
}
