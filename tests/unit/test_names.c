/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as the user types them, paths, and what policy does with names that images hold.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "src/config.h"
#include "src/graph/names.h"
#include "src/graph/paths.h"
#include "src/graph/policy.h"
#include "src/io/endpoint.h"

static struct name *parse(const char *text, gboolean image_opts, GError **error)
{
    struct name_request request = {.text = text, .image_opts = image_opts};

    return name_parse(&request, error);
}

/* ---- paths ---- */

static void test_paths(void)
{
    static const struct {
        const char *base, *name, *combined;
    } cases[] = {
        {"a.img", "b.img", "b.img"},
        {"d/a.img", "b.img", "d/b.img"},
        {"/x/y/a.img", "b", "/x/y/b"},
        {"/x/y/a.img", "/b", "/b"},
        {"d/a.img", "../b", "d/../b"},
        {"d/a.img", "nbd:x", "nbd:x"},
        {"d/a.img", "./a:b", "d/./a:b"},
        {"./x:y", "b", "./b"},
        {"/a", "b", "/b"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *got = path_combine(cases[i].base, cases[i].name);

        g_assert_cmpstr(got, ==, cases[i].combined);
    }
    g_assert_true(path_has_protocol("nbd:x"));
    g_assert_true(path_has_protocol(":"));
    g_assert_false(path_has_protocol("./a:b"));
    g_assert_false(path_has_protocol("a"));
    g_assert_false(path_has_protocol(""));
}

static void test_below(void)
{
    static const struct {
        const char *path, *below;
    } cases[] = {
        {"d.raw", "d.raw"},       {"sub/d.raw", "sub/d.raw"}, {"../d.raw", NULL},
        {"sub/../../x", NULL},    {"sub/..", NULL},           {"/etc/passwd", NULL},
        {"/tmp/imagesx/d", NULL}, {"/tmp/images/d", "d"},     {"/tmp/images//s/d", "s/d"},
        {"/tmp/images", NULL},    {"/tmp/images/", NULL},     {"..d", "..d"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *got = path_below("/tmp/images", cases[i].path);

        g_assert_cmpstr(got, ==, cases[i].below);
    }
}

/* ---- names ---- */

static void test_plain(void)
{
    static const struct {
        const char *text, *path, *display;
        unsigned flags;
    } cases[] = {
        {"a.img", "a.img", "a.img", 0},
        {"./a:b", "./a:b", "./a:b", 0},
        {"/x/a:b", "/x/a:b", "/x/a:b", 0},
        {"file:a.img", "a.img", "a.img", ENDPOINT_ONLY_FILE},
        {"file:a:b", "a:b", "./a:b", ENDPOINT_ONLY_FILE},
        {"file://x", "//x", "//x", ENDPOINT_ONLY_FILE},
        {"host_device:/dev/x", "/dev/x", "/dev/x", ENDPOINT_ONLY_DEVICE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Name) name = parse(cases[i].text, FALSE, NULL);

        g_assert_nonnull(name);
        g_assert_cmpstr(name->path, ==, cases[i].path);
        g_assert_cmpstr(name->display, ==, cases[i].display);
        g_assert_cmpuint(name->endpoint_flags, ==, cases[i].flags);
        g_assert_null(name->driver);
    }
}

static void test_options(void)
{
    static const struct {
        const char *text, *display;
        gboolean image_opts;
    } cases[] = {
        {"driver=qcow2,file.filename=a", "a", TRUE},
        {"driver=qcow2,file.filename=a,lazy-refcounts=on,node-name=x", "a", TRUE},
        {"driver=raw,file.filename=a,offset=512",
         "json:{\"offset\": \"512\", \"driver\": \"raw\", \"file\": {\"driver\": \"file\", "
         "\"filename\": \"a\"}}",
         TRUE},
        {"json:{\"driver\":\"raw\",\"size\":512,\"file\":{\"filename\":\"a\"}}",
         "json:{\"driver\": \"raw\", \"size\": 512, \"file\": {\"driver\": \"file\", "
         "\"filename\": \"a\"}}",
         FALSE},
        {"driver=raw,file.driver=null-co", "null-co://", TRUE},
        {"driver=null-co,size=1M", "json:{\"driver\": \"null-co\", \"size\": \"1M\"}", TRUE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Name) name = parse(cases[i].text, cases[i].image_opts, NULL);

        g_assert_nonnull(name);
        g_assert_cmpstr(name->display, ==, cases[i].display);
    }
}

static void test_backing_options(void)
{
    g_autoptr(Name) none = parse("json:{\"driver\":\"qcow2\",\"backing\":null,"
                                 "\"file.filename\":\"a\"}",
                                 FALSE, NULL);
    g_autoptr(Name) driver = parse("file.filename=a,backing.driver=raw", TRUE, NULL);
    g_autoptr(Name) file = parse("file.filename=a,backing.file.filename=b", TRUE, NULL);

    g_assert_true(none->no_backing);
    g_assert_cmpstr(driver->backing->driver, ==, "raw");
    g_assert_cmpint(driver->backing->leaf, ==, LEAF_NONE);
    g_assert_cmpstr(file->backing->path, ==, "b");
}

static void test_refused(void)
{
    static const struct {
        const char *text, *message;
        gboolean image_opts;
    } cases[] = {
        {"x:y", "Unknown protocol 'x'", FALSE},
        {"", "The 'file' block driver requires a file name", FALSE},
        {"driver=x,file.filename=a", "Unknown driver 'x'", TRUE},
        {"", "Must specify either driver or file", TRUE},
        {"a.raw", "Cannot find device='a.raw' nor node-name='a.raw'", TRUE},
        {"driver=qcow2", "A block device must be specified for \"file\"", TRUE},
        {"driver=qcow2,file=x,file.filename=y",
         "Cannot reference an existing block device with additional options or a new filename",
         TRUE},
        {"driver=raw,file.node-name=x", "Must specify either driver or file", TRUE},
        {"json:{'driver':'raw','file':{'driver':'file','filename':1}}",
         "The 'file' block driver requires a file name", FALSE},
        {"file.driver=file,file.node-name=1x,file.filename=a", "Invalid node-name: '1x'", TRUE},
        {"driver=file,discard=x,filename=a", "Invalid discard option", TRUE},
        {"json:[]", "Invalid JSON object given", FALSE},
        {"null-co://x", "The only allowed filename for this driver is 'null-co://'", FALSE},
        {"ssh://localhost/x", "The 'ssh' protocol is not built yet in instar", FALSE},
        {"nbd:", "NBD server address missing", FALSE},
        {"nbd:unix:s:exportname=", "NBD server address missing", FALSE},
        {"nbd:host", "error parsing address 'host'", FALSE},
        {"nbd:host:", "error parsing address 'host:'", FALSE},
        {"nbd:[::1:2", "error parsing address '[::1:2'", FALSE},
        {"nbd:exportname=x", "File name string for NBD must start with 'nbd:'", FALSE},
        {"nbd+tcp:host:1", "File name string for NBD must start with 'nbd:'", FALSE},
        {"nbd://", "No valid URL specified", FALSE},
        {"nbd:///x", "No valid URL specified", FALSE},
        {"nbd://host:99999/x", "No valid URL specified", FALSE},
        {"nbd://host/x?y", "No valid URL specified", FALSE},
        {"nbd+unix:///x", "No valid URL specified", FALSE},
        {"nbd+unix://host/x?socket=s", "No valid URL specified", FALSE},
        {"nbd+unix:///x?socket=s&y=z", "No valid URL specified", FALSE},
        {"driver=nbd,export=x", "NBD server address missing", TRUE},
        {"driver=nbd,server.path=s", "Parameter 'type' is missing", TRUE},
        {"driver=nbd,server.type=unix", "Parameter 'path' is missing", TRUE},
        {"driver=nbd,server.type=inet,server.host=h", "Parameter 'port' is missing", TRUE},
        {"driver=nbd,server.type=x", "Parameter 'type' does not accept value 'x'", TRUE},
        {"driver=nbd,path=s,host=h", "path and host may not be used at the same time", TRUE},
        {"driver=nbd,port=1", "NBD server address missing", TRUE},
        {"driver=nbd,path=s,port=1", "port may not be used without host", TRUE},
        {"driver=nbd,path=s,server.type=unix",
         "Cannot use 'server' and path/host/port at the same time", TRUE},
        {"driver=nbd,server.type=unix,server.path=s,server.x=y", "Parameter 'x' is unexpected",
         TRUE},
        {"driver=nbd,path=s,reconnect-delay=x", "Parameter 'reconnect-delay' expects a number",
         TRUE},
        {"driver=nbd,path=s,tls-creds=t", "No TLS credentials with id 't'", TRUE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(parse(cases[i].text, cases[i].image_opts, &error));
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
}

/* How network block devices are reported. */
static void test_nbd(void)
{
    static const struct {
        const char *text, *display;
        gboolean image_opts;
    } cases[] = {
        {"nbd:host:10", "nbd://host:10", FALSE},
        {"nbd:[::1]:10:exportname=e", "nbd://::1:10/e", FALSE},
        {"nbd://user@host/a%20b", "nbd://host:10809/a b", FALSE},
        {"nbd:unix:/s:exportname=e/f", "nbd+unix:///e/f?socket=/s", FALSE},
        {"nbd+unix:///?socket=/a%2fb", "nbd+unix://?socket=/a/b", FALSE},
        {"driver=nbd,path=/s", "nbd+unix://?socket=/s", TRUE},
        {"driver=raw,file.driver=nbd,file.host=h,file.export=", "nbd://h:10809/", TRUE},
        {"driver=raw,size=1k,file.driver=nbd,file.path=s",
         "json:{\"driver\": \"raw\", \"size\": \"1k\", \"file\": {\"driver\": \"nbd\", "
         "\"path\": \"s\"}}",
         TRUE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Name) name = parse(cases[i].text, cases[i].image_opts, NULL);

        g_assert_nonnull(name);
        g_assert_cmpstr(name->display, ==, cases[i].display);
    }
}

/* What comes only once the file is open. */
static void test_late(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"file.filename=a", NULL},
        {"file.filename=a,node-name=1x", "Invalid node-name: '1x'"},
        {"file.filename=a,detect-zeroes=unmap", "setting detect-zeroes to unmap is not allowed "
                                                "without setting discard operation to unmap"},
        {"driver=raw,file.filename=a,offset=x",
         "Parameter 'offset' expects a non-negative number below 2^64\n"
         "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
         "and exabytes, respectively."},
    };
    g_autoptr(Name) name = parse("file.driver=file,file.filename=a,file.x=1", TRUE, NULL);
    g_autoptr(Name) below =
        parse("file.driver=raw,file.file.filename=a,file.backing=x", TRUE, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Name) late = parse(cases[i].text, TRUE, NULL);

        g_assert_cmpstr(late->late != NULL ? late->late->message : NULL, ==, cases[i].message);
    }
    g_assert_cmpstr(((struct name_node *)name->nodes->pdata[0])->late->message, ==,
                    "Block protocol 'file' doesn't support the option 'x'");
    g_assert_cmpstr(((struct name_node *)below->nodes->pdata[0])->late->message, ==,
                    "Driver doesn't support backing files");
}

static void test_own(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"file.filename=a,lazy-refcounts=on,l2-cache-size=1M,cache-clean-interval=5", NULL},
        {"file.filename=a,lazy-refcounts=x", "Parameter 'lazy-refcounts' expects 'on' or 'off'"},
        {"file.filename=a,overlap-check=x", "Unsupported value 'x' for qcow2 option "
                                            "'overlap-check'. Allowed are any of the following: "
                                            "none, constant, cached, all"},
        {"file.filename=a,cache-size=1k,l2-cache-size=2k",
         "l2-cache-size may not exceed cache-size"},
        {"file.filename=a,cache-clean-interval=-1", "Cache clean interval too big"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Name) name = parse(cases[i].text, TRUE, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(name_take_own(name, "qcow2", &error), ==, cases[i].message == NULL);
        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, cases[i].message);
    }
}

static void test_finish(void)
{
    g_autoptr(Name) name = parse("driver=raw,file.filename=a,bogus=1", TRUE, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_false(name_finish(name, "raw", &error));
    g_assert_cmpstr(error->message, ==, "Block format 'raw' does not support the option 'bogus'");
}

/* ---- policy ---- */

#define BACKING ABI__ROLE__ROLE_BACKING
#define DATA    ABI__ROLE__ROLE_DATA_FILE

static void test_policy(void)
{
    static const struct {
        enum policy policy;
        Abi__Role role;
        const char *protocol, *text;
        gboolean json;
        const char *path, *directory; /* NULL: refused */
    } cases[] = {
        {POLICY_STRICT, BACKING, "file", "b", FALSE, NULL, NULL},
        {POLICY_STRICT, DATA, "file", "b", FALSE, NULL, NULL},
        {POLICY_DEFAULT, BACKING, "file", "b", FALSE, "d/b", NULL},
        {POLICY_DEFAULT, BACKING, "file", "/etc/b", FALSE, "/etc/b", NULL},
        {POLICY_DEFAULT, BACKING, "file", "json:", TRUE, "json:", NULL},
        {POLICY_DEFAULT, BACKING, "host_device", "/dev/b", FALSE, "/dev/b", NULL},
        {POLICY_DEFAULT, BACKING, "nbd", "nbd:x", FALSE, NULL, NULL},
        {POLICY_DEFAULT, BACKING, NULL, "?", FALSE, NULL, NULL},
        {POLICY_DEFAULT, DATA, "file", "b", FALSE, "b", "d"},
        {POLICY_DEFAULT, DATA, "file", "sub/b", FALSE, "sub/b", "d"},
        {POLICY_DEFAULT, DATA, "file", "../b", FALSE, NULL, NULL},
        {POLICY_DEFAULT, DATA, "file", "/etc/passwd", FALSE, NULL, NULL},
        {POLICY_DEFAULT, DATA, "file", "json:", TRUE, NULL, NULL},
        {POLICY_DEFAULT, DATA, "file", "file:b", FALSE, NULL, NULL},
        {POLICY_DEFAULT, DATA, "host_device", "/dev/sda", FALSE, NULL, NULL},
        {POLICY_DEFAULT, ABI__ROLE__ROLE_EXTENT, "file", "b-flat", FALSE, "b-flat", "d"},
        {POLICY_DEFAULT, ABI__ROLE__ROLE_EXTENT, "file", "../b-flat", FALSE, NULL, NULL},
        {POLICY_QEMU, DATA, "file", "/etc/passwd", FALSE, "/etc/passwd", NULL},
        {POLICY_QEMU, DATA, "file", "../b", FALSE, "d/../b", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct wire_ref ref = {
            .role = cases[i].role,
            .text = (char *)cases[i].text,
            .protocol = (char *)cases[i].protocol,
            .path = (char *)cases[i].text,
            .json = cases[i].json,
        };
        struct policy_way way;
        g_autoptr(GError) error = NULL;
        gboolean ok = policy_decide(cases[i].policy, &ref, "d/a.img", &way, &error);

        g_test_message("case %zu", i);
        g_assert_cmpint(ok, ==, cases[i].path != NULL);
        g_assert_cmpstr(way.path, ==, cases[i].path);
        g_assert_cmpstr(way.directory, ==, cases[i].directory);
        policy_way_clear(&way);
    }
}

/* A refusal says what, why and how to allow it, and not whether the file is there. */
static void test_refusal(void)
{
    struct wire_ref ref = {.role = DATA, .protocol = (char *)"file"};
    static const char *const paths[] = {"/etc/passwd", "/etc/no-such-file"};
    struct policy_way way;

    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *expected = g_strdup_printf(
            "The image names the data file '%s', which is not followed: data files and extents "
            "must lie in the image's directory or below it\n"
            "Use INSTAR_POLICY=qemu to follow what qemu-img would follow.",
            paths[i]);

        ref.path = ref.text = (char *)paths[i];
        g_assert_false(policy_decide(POLICY_DEFAULT, &ref, "d/a.img", &way, &error));
        g_assert_cmpstr(error->message, ==, expected);
    }
}

static void test_policy_words(void)
{
    enum policy policy;

    g_setenv("INSTAR_POLICY", "qemu", TRUE);
    g_assert_true(policy_from_environment(&policy, NULL));
    g_assert_cmpint(policy, ==, POLICY_QEMU);
    g_setenv("INSTAR_POLICY", "lax", TRUE);
    g_assert_false(policy_from_environment(&policy, NULL));
    g_unsetenv("INSTAR_POLICY");
    g_assert_true(policy_from_environment(&policy, NULL));
    g_assert_cmpint(policy, ==, POLICY_DEFAULT);
}

/* ---- the configuration file ---- */

static void check_config(const char *text, const char *expected_error)
{
    g_autofree char *path = NULL;
    g_autofree char *expected = NULL;
    g_autoptr(GError) error = NULL;
    int fd = g_file_open_tmp("instar-conf-XXXXXX", &path, NULL);

    close(fd);
    g_file_set_contents(path, text, -1, NULL);
    if (expected_error == NULL) {
        g_assert_true(config_load_file(path, &error));
    } else {
        g_assert_false(config_load_file(path, &error));
        expected = g_strconcat(path, expected_error, NULL);
        g_assert_cmpstr(error->message, ==, expected);
    }
    g_unlink(path);
}

static void test_config(void)
{
    g_unsetenv("INSTAR_POLICY");
    g_setenv("INSTAR_SANDBOX", "process", TRUE);
    check_config("# comment\n\n policy = strict # end\nsandbox=kvm\n", NULL);
    g_assert_cmpstr(g_getenv("INSTAR_POLICY"), ==, "strict");
    g_assert_cmpstr(g_getenv("INSTAR_SANDBOX"), ==, "process"); /* the environment wins */
    g_unsetenv("INSTAR_POLICY");
    g_unsetenv("INSTAR_SANDBOX");
    check_config("policy\n", ":1: expected 'key = value'");
    check_config("\npolice = strict\n", ":2: unknown key 'police'");
    g_assert_true(config_load_file("/nonexistent/instar.conf", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/paths/combine", test_paths);
    g_test_add_func("/paths/below", test_below);
    g_test_add_func("/names/plain", test_plain);
    g_test_add_func("/names/options", test_options);
    g_test_add_func("/names/backing", test_backing_options);
    g_test_add_func("/names/refused", test_refused);
    g_test_add_func("/names/finish", test_finish);
    g_test_add_func("/names/nbd", test_nbd);
    g_test_add_func("/names/late", test_late);
    g_test_add_func("/names/own", test_own);
    g_test_add_func("/policy/decide", test_policy);
    g_test_add_func("/policy/refusal", test_refusal);
    g_test_add_func("/policy/words", test_policy_words);
    g_test_add_func("/config/file", test_config);
    return g_test_run();
}
