/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte-range locks: which combinations exclude each other, with whose words.
 */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "src/io/locks.h"

static char *path;

static struct endpoint *open_image(void)
{
    g_autoptr(GError) error = NULL;
    struct endpoint *endpoint =
        endpoint_open_named(AT_FDCWD, path, "a.img", FALSE, ENDPOINT_WRITE, NULL, &error);

    g_assert_no_error(error);
    return endpoint;
}

#define READ  PERMISSION_CONSISTENT_READ
#define WRITE (PERMISSION_WRITE | PERMISSION_RESIZE)
#define EVERY (READ | WRITE)

static void test_pairs(void)
{
    static const struct {
        unsigned first_used, first_unshared, second_used, second_unshared;
        const char *message; /* NULL: both may */
    } cases[] = {
        {READ, WRITE, READ, WRITE, NULL}, /* two readers of qcow2 */
        {EVERY, 0, EVERY, 0, NULL},       /* two writers of raw */
        {READ, 0, EVERY, 0, NULL},        /* raw */
        {EVERY, WRITE, READ, WRITE, "Failed to get shared \"write\" lock"}, /* writer, reader */
        {READ, WRITE, EVERY, WRITE, "Failed to get \"write\" lock"},        /* reader, writer */
        {EVERY, WRITE, EVERY, WRITE, "Failed to get \"write\" lock"},       /* two writers */
        {EVERY, WRITE, 0, WRITE, "Failed to get shared \"write\" lock"},    /* info */
        {EVERY, 0, READ, WRITE, "Failed to get shared \"write\" lock"}, /* raw writer, convert */
        {READ, PERMISSION_RESIZE, WRITE, 0, "Failed to get \"resize\" lock"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Endpoint) first = open_image();
        g_autoptr(Endpoint) second = open_image();
        g_autoptr(GError) error = NULL;
        g_autofree char *expected = NULL;
        gboolean ok;

        g_assert_true(locks_take(first, cases[i].first_used, cases[i].first_unshared, &error));
        ok = locks_take(second, cases[i].second_used, cases[i].second_unshared, &error);
        g_assert_cmpint(ok, ==, cases[i].message == NULL);
        if (!ok) {
            expected = g_strdup_printf("%s\nIs another process using the image [a.img]?",
                                       cases[i].message);
            g_assert_cmpstr(error->message, ==, expected);
            /* A refused attempt leaves nothing behind. */
            locks_drop_fd(endpoint_fd(first));
            g_assert_true(locks_take(first, EVERY, WRITE, NULL));
        }
    }
}

/* Creating does not destroy what somebody uses. */
static void test_create(void)
{
    g_autoptr(Endpoint) holder = open_image();
    g_autoptr(Endpoint) created = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(endpoint_pwrite(holder, 0, "abc", 3), ==, 0);
    g_assert_true(locks_take(holder, READ, WRITE, NULL));
    created = endpoint_open_named(AT_FDCWD, path, "a.img", FALSE, ENDPOINT_CREATE, NULL, &error);
    g_assert_null(created);
    g_assert_cmpstr(error->message, ==,
                    "Failed to get \"write\" lock\nIs another process using the image [a.img]?");
    {
        g_autoptr(Endpoint) again = open_image();

        g_assert_cmpuint(endpoint_size(again), ==, 3);
    }
    locks_drop_fd(endpoint_fd(holder));
    created = endpoint_open_named(AT_FDCWD, path, "a.img", FALSE, ENDPOINT_CREATE, NULL, NULL);
    g_assert_nonnull(created);
    g_assert_cmpuint(endpoint_size(created), ==, 0);
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    int status;
    int fd;

    g_test_init(&argc, &argv, NULL);
    fd = g_file_open_tmp("instar-locks-XXXXXX", &path, &error);
    g_assert_no_error(error);
    close(fd);
    g_test_add_func("/locks/pairs", test_pairs);
    g_test_add_func("/locks/create", test_create);
    status = g_test_run();
    g_unlink(path);
    return status;
}
