/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints of every kind: what is written comes back, holes are seen, names stay beneath.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/io/beneath.h"
#include "compat/throttle.h"
#include "src/io/blkdebug.h"
#include "src/io/endpoint.h"

#define KIB 1024u

static char *dir; /* a fresh directory, current while a test runs */

static struct endpoint *open_ok(const char *path, unsigned flags, const struct cache_mode *cache)
{
    g_autoptr(GError) error = NULL;
    struct endpoint *endpoint = endpoint_open(AT_FDCWD, path, FALSE, flags, cache, &error);

    g_assert_no_error(error);
    g_assert_nonnull(endpoint);
    return endpoint;
}

static void assert_fails(const char *path, unsigned flags, int number, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(endpoint_open(AT_FDCWD, path, FALSE, flags, NULL, &error));
    g_assert_cmpint(endpoint_errno(error), ==, number);
    g_assert_cmpstr(error->message, ==, message);
}

static void test_errors(void)
{
    assert_fails("nosuch", 0, ENOENT, "Could not open 'nosuch': No such file or directory");
    assert_fails("no/such", ENDPOINT_CREATE, ENOENT,
                 "Could not create 'no/such': No such file or directory");
    g_mkdir("d", 0755);
    assert_fails("d", 0, EINVAL, "'file' driver requires 'd' to be a regular file");
    assert_fails("d", ENDPOINT_CREATE, EISDIR, "Could not create 'd': Is a directory");
    assert_fails("/dev/null", ENDPOINT_ONLY_FILE, EINVAL,
                 "'file' driver requires '/dev/null' to be a regular file");
    g_file_set_contents("plain", "x", 1, NULL);
    assert_fails("plain", ENDPOINT_ONLY_DEVICE, EINVAL,
                 "'host_device' driver requires 'plain' to be either a character or block device");
    assert_fails("/dev/null", ENDPOINT_FROM_IMAGE, EACCES,
                 "Could not open '/dev/null': Permission denied");
    g_assert_cmpint(endpoint_errno(NULL), ==, 0);
}

static void fill(uint8_t *buf, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)(i * 7 + i / 256 + seed) | 1;
    }
}

/* Random pieces at odd places, against a plain array. */
static void check_transfers(struct endpoint *endpoint, uint64_t size)
{
    g_autofree uint8_t *model = g_malloc0(size);
    g_autofree uint8_t *back = g_malloc(size);
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);

    for (unsigned i = 0; i < 200; i++) {
        uint32_t offset = (uint32_t)g_rand_int_range(rand, 0, (gint32)size - 1);
        uint32_t len = (uint32_t)g_rand_int_range(rand, 1, (gint32)MIN(size - offset, 40000) + 1);

        switch (g_rand_int_range(rand, 0, 4)) {
        case 0:
            memset(model + offset, 0, len);
            g_assert_cmpint(endpoint_zero(endpoint, offset, len, TRUE), ==, 0);
            break;
        case 1:
            memset(model + offset, 0, len);
            g_assert_cmpint(endpoint_zero(endpoint, offset, len, FALSE), ==, 0);
            break;
        default:
            fill(model + offset, len, i);
            g_assert_cmpint(endpoint_pwrite(endpoint, offset, model + offset, len), ==, 0);
            break;
        }
        offset = (uint32_t)g_rand_int_range(rand, 0, (gint32)size - 1);
        len = (uint32_t)g_rand_int_range(rand, 1, (gint32)(size - offset) + 1);
        g_assert_cmpint(endpoint_pread(endpoint, offset, back, len), ==, 0);
        g_assert_cmpmem(back, len, model + offset, len);
    }
    g_assert_cmpint(endpoint_pread(endpoint, 0, back, size), ==, 0);
    g_assert_cmpmem(back, size, model, size);
}

static void test_file(void)
{
    g_autoptr(Endpoint) endpoint = open_ok("f", ENDPOINT_CREATE, NULL);

    g_assert_cmpstr(endpoint_protocol(endpoint), ==, "file");
    g_assert_cmpint(endpoint_truncate(endpoint, 1000000), ==, 0);
    check_transfers(endpoint, 1000000);
    g_assert_cmpuint(endpoint_size(endpoint), ==, 1000000);
    g_assert_cmpint(endpoint_flush(endpoint), ==, 0);
}

/* O_DIRECT: unaligned pieces are bounced and the size does not grow to a whole block. */
static void test_direct(void)
{
    struct cache_mode direct = {.direct = TRUE};
    g_autoptr(GError) error = NULL;
    g_autoptr(Endpoint) endpoint =
        endpoint_open(AT_FDCWD, "direct", FALSE, ENDPOINT_CREATE, &direct, &error);

    if (endpoint == NULL) {
        g_test_skip(error->message);
        return;
    }
    g_assert_cmpuint(endpoint_alignment(endpoint), >=, 512);
    g_assert_cmpint(endpoint_truncate(endpoint, 100001), ==, 0);
    check_transfers(endpoint, 100001);
    g_assert_cmpuint(endpoint_size(endpoint), ==, 100001);
}

/* What is forgotten, clean or dirty, reads as before; who has no cache is asked in vain. */
static void test_forget(void)
{
    const uint64_t size = 256 * KIB;
    g_autoptr(Endpoint) endpoint = open_ok("forgotten", ENDPOINT_CREATE, NULL);
    g_autoptr(Endpoint) null = endpoint_new_null(size, 0);
    g_autofree uint8_t *bytes = g_malloc(size);
    g_autofree uint8_t *back = g_malloc0(size);

    fill(bytes, size, 3);
    g_assert_cmpint(endpoint_pwrite(endpoint, 0, bytes, size), ==, 0);
    endpoint_forget(endpoint, 0, size / 2);
    g_assert_cmpint(endpoint_flush(endpoint), ==, 0);
    endpoint_forget(endpoint, 1, 4 * size);
    endpoint_forget(endpoint, UINT64_MAX - 1, 4);
    endpoint_forget(endpoint, 0, 0);
    endpoint_forget(null, 0, size);
    g_assert_cmpint(endpoint_pread(endpoint, 0, back, size), ==, 0);
    g_assert_cmpmem(back, size, bytes, size);
    g_assert_cmpuint(endpoint_size(endpoint), ==, size);
}

static void test_buffer(void)
{
    g_autoptr(Endpoint) endpoint = endpoint_new_buffer(NULL, 70000);
    uint8_t byte;

    check_transfers(endpoint, 70000);
    g_assert_cmpuint(endpoint_buffer_counts(endpoint).writes, >, 0);
    g_assert_cmpuint(endpoint_buffer_counts(endpoint).zeroes, >, 0);
    endpoint_buffer_fail(endpoint, FALSE, 5000, EIO);
    g_assert_cmpint(endpoint_pread(endpoint, 5000, &byte, 1), ==, EIO);
    g_assert_cmpint(endpoint_pread(endpoint, 5001, &byte, 1), ==, 0);
}

static void test_slice(void)
{
    g_autoptr(Endpoint) base = endpoint_new_buffer(NULL, 100000);
    g_autoptr(Endpoint) slice = endpoint_new_slice(base, 512, 70000);
    uint64_t offset = 10;
    uint8_t byte = 1;

    check_transfers(slice, 70000);
    g_assert_true(endpoint_unslice(slice, &offset) == base);
    g_assert_cmpuint(offset, ==, 522);
    g_assert_cmpint(endpoint_pwrite(slice, 70000, &byte, 1), ==, ENOSPC);
    g_assert_cmpint(endpoint_pread(slice, 70000, &byte, 1), ==, 0);
    g_assert_cmpuint(byte, ==, 0);
}

static void test_null(void)
{
    g_autoptr(Endpoint) endpoint = endpoint_new_null(1 << 20, 0);
    uint8_t buf[16] = {1};

    g_assert_cmpint(endpoint_pwrite(endpoint, 0, buf, sizeof(buf)), ==, 0);
    g_assert_cmpint(endpoint_pread(endpoint, 0, buf, sizeof(buf)), ==, 0);
    g_assert_cmpuint(buf[0], ==, 0);
}

/* Reads past the end give zeros, writes past it make the file longer. */
static void test_end(void)
{
    g_autoptr(Endpoint) endpoint = open_ok("end", ENDPOINT_CREATE, NULL);
    uint8_t buf[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t tail[8] = {8};

    g_assert_cmpint(endpoint_pwrite(endpoint, 100, buf, 8), ==, 0);
    g_assert_cmpuint(endpoint_size(endpoint), ==, 108);
    g_assert_cmpint(endpoint_pread(endpoint, 107, buf, 8), ==, 0);
    g_assert_cmpmem(buf, 8, tail, 8);
    g_assert_cmpint(endpoint_zero(endpoint, 104, 1000, TRUE), ==, 0);
    g_assert_cmpuint(endpoint_size(endpoint), ==, 1104);
    g_assert_cmpint(endpoint_allocate(endpoint, 0, 8192), ==, 0);
    g_assert_cmpuint(endpoint_size(endpoint), ==, 8192);
    g_assert_cmpint(endpoint_pread(endpoint, 104, buf, 8), ==, 0);
    g_assert_cmpuint(buf[0], ==, 0);
    g_assert_cmpint(endpoint_pread(endpoint, (uint64_t)INT64_MAX, buf, 8), ==, EINVAL);
}

static void test_read_only(void)
{
    g_autoptr(Endpoint) endpoint = NULL;
    uint8_t byte = 0;

    g_file_set_contents("ro", "abc", 3, NULL);
    endpoint = open_ok("ro", 0, NULL);
    g_assert_false(endpoint_writable(endpoint));
    g_assert_cmpint(endpoint_pwrite(endpoint, 0, &byte, 1), ==, EBADF);
    g_assert_cmpint(endpoint_zero(endpoint, 0, 1, TRUE), ==, EBADF);
    g_assert_cmpint(endpoint_truncate(endpoint, 0), ==, EBADF);
}

static void test_status(void)
{
    g_autoptr(Endpoint) endpoint = open_ok("holes", ENDPOINT_CREATE, NULL);
    uint8_t block[4096];
    gboolean hole;
    uint64_t run;

    fill(block, sizeof(block), 1);
    g_assert_cmpint(endpoint_truncate(endpoint, 1 << 20), ==, 0);
    g_assert_cmpint(endpoint_pwrite(endpoint, 64 * KIB, block, sizeof(block)), ==, 0);
    g_assert_cmpint(endpoint_status(endpoint, 0, 1 << 20, &run, &hole), ==, 0);
    if (!hole) {
        g_test_skip("this file system does not tell holes");
        return;
    }
    g_assert_cmpuint(run, ==, 64 * KIB);
    g_assert_cmpint(endpoint_status(endpoint, 1000, 100, &run, &hole), ==, 0); /* cached */
    g_assert_true(hole && run == 100);
    g_assert_cmpint(endpoint_status(endpoint, 64 * KIB, 1 << 20, &run, &hole), ==, 0);
    g_assert_true(!hole && run == 4096);
    g_assert_cmpint(endpoint_pwrite(endpoint, 0, block, sizeof(block)), ==, 0); /* forgets */
    g_assert_cmpint(endpoint_status(endpoint, 0, 1 << 20, &run, &hole), ==, 0);
    g_assert_true(!hole && run == 4096);
    g_assert_cmpint(endpoint_status(endpoint, 2 << 20, 5, &run, &hole), ==, 0);
    g_assert_true(hole && run == 5);
    g_assert_cmpint(endpoint_zero(endpoint, 0, 64 * KIB, TRUE), ==, 0);
    g_assert_cmpint(endpoint_status(endpoint, 0, 1 << 20, &run, &hole), ==, 0);
    g_assert_true(hole && run == 64 * KIB);
}

static void assert_zero(struct endpoint *endpoint, uint64_t offset, gboolean zero)
{
    uint8_t byte;

    g_assert_cmpint(endpoint_pread(endpoint, offset, &byte, 1), ==, 0);
    g_assert_true((byte == 0) == zero);
}

/* What was never written need not be zeroed; whatever was written is, whoever wrote it. */
static void test_untouched(void)
{
    g_autoptr(Endpoint) from = open_ok("zeroes-from", ENDPOINT_CREATE, NULL);
    g_autoptr(Endpoint) endpoint = open_ok("zeroes", ENDPOINT_CREATE, NULL);
    uint8_t block[4096];

    memset(block, 1, sizeof(block));
    g_assert_cmpint(endpoint_pwrite(from, 0, block, sizeof(block)), ==, 0);
    g_assert_cmpint(endpoint_truncate(endpoint, 1 << 20), ==, 0);
    for (uint64_t at = 0; at < 512 * KIB; at += 128 * KIB) {
        g_assert_cmpint(endpoint_pwrite(endpoint, at, block, sizeof(block)), ==, 0);
        g_assert_cmpint(endpoint_zero(endpoint, at + 4 * KIB, 64 * KIB, TRUE), ==, 0);
        assert_zero(endpoint, at, FALSE);
        g_assert_cmpint(endpoint_zero(endpoint, at, 64 * KIB, TRUE), ==, 0);
        assert_zero(endpoint, at, TRUE);
    }
    g_assert_cmpint(pwrite(endpoint_fd(endpoint), block, sizeof(block), 640 * KIB), ==, 4096);
    endpoint_note_write(endpoint, 640 * KIB, sizeof(block));
    g_assert_cmpint(endpoint_zero(endpoint, 640 * KIB, 64 * KIB, TRUE), ==, 0);
    assert_zero(endpoint, 640 * KIB, TRUE);
    if (endpoint_copy_range(from, 0, endpoint, 768 * KIB, sizeof(block)) == 0) {
        assert_zero(endpoint, 768 * KIB, FALSE);
        g_assert_cmpint(endpoint_zero(endpoint, 768 * KIB, 4 * KIB, TRUE), ==, 0);
        assert_zero(endpoint, 768 * KIB, TRUE);
    }
    g_clear_pointer(&endpoint, endpoint_unref); /* what was there at opening counts as written */
    endpoint = open_ok("zeroes", ENDPOINT_WRITE, NULL);
    g_assert_cmpint(pwrite(endpoint_fd(endpoint), block, sizeof(block), 1020 * KIB), ==, 4096);
    g_assert_cmpint(endpoint_zero(endpoint, 1000 * KIB, 24 * KIB, TRUE), ==, 0);
    assert_zero(endpoint, 1020 * KIB, TRUE);
}

static void test_copy_range(void)
{
    g_autoptr(Endpoint) from = open_ok("from", ENDPOINT_CREATE, NULL);
    g_autoptr(Endpoint) to = open_ok("to", ENDPOINT_CREATE, NULL);
    uint8_t block[4096];
    uint8_t back[4096];
    int err;

    fill(block, sizeof(block), 3);
    g_assert_cmpint(endpoint_pwrite(from, 0, block, sizeof(block)), ==, 0);
    err = endpoint_copy_range(from, 0, to, 8192, sizeof(block));
    if (err == EOPNOTSUPP) {
        g_test_skip("no copy_file_range here");
        return;
    }
    g_assert_cmpint(err, ==, 0);
    g_assert_cmpuint(endpoint_size(to), ==, 12288);
    g_assert_cmpint(endpoint_pread(to, 8192, back, sizeof(back)), ==, 0);
    g_assert_cmpmem(back, sizeof(back), block, sizeof(block));
}

struct grower {
    struct endpoint *endpoint;
    unsigned lane;
};

/* Each thread owns every fourth block; growing must not cut off what another has written. */
static gpointer grow_thread(gpointer data)
{
    struct grower *grower = data;
    uint8_t block[512];

    memset(block, (int)grower->lane + 1, sizeof(block));
    for (unsigned i = 0; i < 200; i++) {
        uint64_t offset = (i * 4ull + grower->lane) * sizeof(block);

        if (i % 3 == 0) {
            g_assert_cmpint(endpoint_zero(grower->endpoint, offset, sizeof(block), TRUE), ==, 0);
        } else {
            g_assert_cmpint(endpoint_pwrite(grower->endpoint, offset, block, sizeof(block)), ==, 0);
        }
    }
    return NULL;
}

static void test_threads(void)
{
    g_autoptr(Endpoint) endpoint = open_ok("threads", ENDPOINT_CREATE, NULL);
    struct grower growers[4];
    GThread *threads[4];

    for (unsigned t = 0; t < 4; t++) {
        growers[t] = (struct grower){endpoint, t};
        threads[t] = g_thread_new("grow", grow_thread, &growers[t]);
    }
    for (unsigned t = 0; t < 4; t++) {
        g_thread_join(threads[t]);
    }
    for (unsigned i = 0; i < 800; i++) {
        uint8_t block[512];

        g_assert_cmpint(endpoint_pread(endpoint, i * 512ull, block, sizeof(block)), ==, 0);
        g_assert_cmpuint(block[100], ==, i / 4 % 3 == 0 ? 0 : i % 4 + 1);
    }
}

static void test_beneath(void)
{
    static const struct {
        const char *path;
        int error_number; /* 0: opens */
    } cases[] = {
        {"in/file", 0},         {"in/./file", 0},
        {"in/link", 0},         {"in/nosuch", ENOENT},
        {"in/up", EXDEV},       {"in/absolute", EXDEV},
        {"in/dangling", EXDEV}, {"../outside", EXDEV},
        {"/etc/passwd", EXDEV}, {"in/../../outside", EXDEV},
    };
    int fd;

    g_mkdir("jail", 0755);
    g_mkdir("jail/in", 0755);
    g_file_set_contents("outside", "x", 1, NULL);
    g_file_set_contents("jail/in/file", "x", 1, NULL);
    g_assert_cmpint(symlink("file", "jail/in/link"), ==, 0);
    g_assert_cmpint(symlink("../../outside", "jail/in/up"), ==, 0);
    g_assert_cmpint(symlink("/etc/passwd", "jail/in/absolute"), ==, 0);
    g_assert_cmpint(symlink("../../nosuch", "jail/in/dangling"), ==, 0);
    fd = open("jail", O_PATH | O_DIRECTORY);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int got = open_beneath(fd, cases[i].path, O_RDONLY);

        g_assert_cmpint(got < 0 ? errno : 0, ==, cases[i].error_number);
        if (got >= 0) {
            close(got);
        }
    }
    close(fd);
}

/* Makes openat2 fail as it does on an old kernel, or under a filter that does not know it. */
static void forbid_openat2(int error_number)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error_number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = G_N_ELEMENTS(code), .filter = code};

    g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), ==, 0);
}

/* Without openat2 no link is followed, not even one that stays inside. */
static void test_beneath_walk(void)
{
    static const struct {
        const char *path;
        int error_number;
    } cases[] = {
        {"file", 0},
        {"in/file", 0},
        {"in/./file", 0},
        {"in/link", ELOOP},
        {"in/nosuch", ENOENT},
        {"in/up", ELOOP},
        {"in/absolute", ELOOP},
        {"../outside", EXDEV},
        {"/etc/passwd", EXDEV},
        {"in/../../outside", EXDEV},
        {"in/../file", EXDEV},
        {"turn/file", ENOTDIR},
    };
    int fd;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    test_beneath();
    g_file_set_contents("jail/file", "x", 1, NULL);
    g_assert_cmpint(symlink("in", "jail/turn"), ==, 0);
    forbid_openat2(ENOSYS);
    fd = open("jail", O_PATH | O_DIRECTORY);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int got = open_beneath(fd, cases[i].path, O_RDONLY);

        g_assert_cmpint(got < 0 ? errno : 0, ==, cases[i].error_number);
        if (got >= 0) {
            close(got);
        }
    }
    close(fd);
}

static void test_same_file(void)
{
    g_autoptr(Endpoint) a = open_ok("same", ENDPOINT_CREATE, NULL);
    g_autoptr(Endpoint) b = NULL;
    g_autoptr(Endpoint) c = open_ok("other", ENDPOINT_CREATE, NULL);

    g_assert_cmpint(link("same", "hard"), ==, 0);
    b = open_ok("hard", 0, NULL);
    g_assert_true(endpoint_same_file(a, b));
    g_assert_false(endpoint_same_file(a, c));
}

/* ---- kinds that stand over others ---- */

static void add_rule(GArray *rules, struct blkdebug_rule rule)
{
    g_array_append_val(rules, rule);
}

static void test_blkdebug(void)
{
    g_autoptr(GArray) rules = g_array_new(FALSE, FALSE, sizeof(struct blkdebug_rule));
    g_autoptr(Endpoint) base = endpoint_new_buffer(NULL, 8192);
    g_autoptr(Endpoint) endpoint = NULL;
    uint8_t buf[512];

    add_rule(rules, (struct blkdebug_rule){.event = BLKDEBUG_READ_AIO,
                                           .error_number = ENOSPC,
                                           .once = TRUE,
                                           .has_offset = TRUE,
                                           .offset = 1024,
                                           .io = BLKDEBUG_IO_READ});
    add_rule(rules, (struct blkdebug_rule){
                        .event = BLKDEBUG_FLUSH_TO_OS, .set_state = TRUE, .new_state = 2});
    add_rule(rules, (struct blkdebug_rule){.event = BLKDEBUG_WRITE_AIO,
                                           .state = 2,
                                           .error_number = EIO,
                                           .io = BLKDEBUG_IO_WRITE});
    endpoint = endpoint_new_blkdebug(base, rules, 0);
    g_assert_cmpint(endpoint_pread(endpoint, 0, buf, sizeof(buf)), ==, 0);
    blkdebug_say_tables(TRUE);
    g_assert_cmpint(endpoint_pread(endpoint, 512, buf, sizeof(buf)), ==, 0);
    blkdebug_say_tables(FALSE);
    g_assert_cmpint(endpoint_pread(endpoint, 1024, buf, sizeof(buf)), ==, ENOSPC);
    g_assert_cmpint(endpoint_pwrite(endpoint, 0, buf, sizeof(buf)), ==, 0);
    g_assert_cmpint(endpoint_flush(endpoint), ==, 0);
    g_assert_cmpint(endpoint_pwrite(endpoint, 0, buf, sizeof(buf)), ==, EIO);
    g_assert_true(endpoint_below(endpoint) == base);
}

static void test_blkverify(void)
{
    g_autoptr(Endpoint) test = endpoint_new_buffer(NULL, 4096);
    g_autoptr(Endpoint) raw = endpoint_new_buffer(NULL, 4096);
    g_autoptr(Endpoint) endpoint = endpoint_new_blkverify(test, raw);
    uint8_t buf[4096];

    g_assert_cmpint(endpoint_pwrite(endpoint, 100, "x", 1), ==, 0);
    g_assert_cmpint(endpoint_pread(endpoint, 0, buf, sizeof(buf)), ==, 0);
    g_assert_cmpint(buf[100], ==, 'x');
    if (g_test_subprocess()) {
        g_assert_cmpint(endpoint_pwrite(raw, 2000, "y", 1), ==, 0);
        (void)endpoint_pread(endpoint, 1024, buf, 2048);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*blkverify: read offset=1024 bytes=2048 contents mismatch at offset "
                              "2000*");
}

static void test_throttle(void)
{
    struct throttle_group group = {
        .limits[THROTTLE_BPS_READ] = {.rate = 10000, .burst_seconds = 1}};
    g_autoptr(Endpoint) base = endpoint_new_buffer(NULL, 8192);
    g_autoptr(Endpoint) endpoint = endpoint_new_throttle(base, &group);
    gint64 start = g_get_monotonic_time();
    uint8_t buf[2000];

    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(endpoint_pread(endpoint, 0, buf, sizeof(buf)), ==, 0);
    }
    /* 4000 bytes before the last one, of which 1000 are a burst. */
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 290000);
}

int main(int argc, char **argv)
{
    g_autofree char *tmp = g_dir_make_tmp("instar-endpoint-XXXXXX", NULL);
    int status;

    g_test_init(&argc, &argv, NULL);
    dir = tmp;
    g_assert_cmpint(g_chdir(dir), ==, 0);
    g_test_add_func("/endpoint/errors", test_errors);
    g_test_add_func("/endpoint/file", test_file);
    g_test_add_func("/endpoint/direct", test_direct);
    g_test_add_func("/endpoint/forget", test_forget);
    g_test_add_func("/endpoint/buffer", test_buffer);
    g_test_add_func("/endpoint/slice", test_slice);
    g_test_add_func("/endpoint/blkdebug", test_blkdebug);
    g_test_add_func("/endpoint/blkverify", test_blkverify);
    g_test_add_func("/endpoint/throttle", test_throttle);
    g_test_add_func("/endpoint/null", test_null);
    g_test_add_func("/endpoint/end", test_end);
    g_test_add_func("/endpoint/read-only", test_read_only);
    g_test_add_func("/endpoint/status", test_status);
    g_test_add_func("/endpoint/untouched", test_untouched);
    g_test_add_func("/endpoint/copy-range", test_copy_range);
    g_test_add_func("/endpoint/threads", test_threads);
    g_test_add_func("/endpoint/beneath", test_beneath);
    g_test_add_func("/endpoint/beneath-walk", test_beneath_walk);
    g_test_add_func("/endpoint/same-file", test_same_file);
    status = g_test_run();
    (void)g_chdir("/");
    {
        char *rm[] = {"rm", "-rf", "--", dir, NULL};

        g_spawn_sync(NULL, rm, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
    }
    return status;
}
