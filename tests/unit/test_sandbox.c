/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cell from the host's side: both kinds start, answer, and read blobs; configuration words.
 */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "guest/abi/cell.pb-c.h"
#include "guest/abi/open.pb-c.h"
#include "src/sandbox/sandbox.h"

static int read_zeros(void *user, uint64_t offset, void *buf, size_t len)
{
    ++*(unsigned *)user;
    memset(buf, 0, len);
    return 0;
}

static struct cell *new_cell(enum cell_kind kind)
{
    struct cell_config config;
    g_assert_true(cell_config_from_environment(&config, NULL));
    config.kind = kind;
    g_autoptr(GError) error = NULL;
    struct cell *cell = cell_new(&config, &error);
    g_assert_no_error(error);
    g_assert_cmpint(cell_kind_of(cell), ==, kind);
    return cell;
}

/* A blob of zeros is a raw image; every later call is answered by the same guest. */
static void check_kind(enum cell_kind kind)
{
    g_autoptr(Cell) cell = new_cell(kind);
    unsigned reads = 0;
    uint32_t blob = cell_add_blob(cell, 65536, read_zeros, &reads);
    for (unsigned i = 0; i < 100; i++) {
        Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
        Abi__BlobInfo info = ABI__BLOB_INFO__INIT;
        info.id = blob;
        info.size = 65536;
        request.blob = &info;
        request.format = "";
        ProtobufCMessage *reply = NULL;
        g_autoptr(GError) error = NULL;
        cell_call(cell, CELL_METHOD_OPEN, &request.base, NULL, 0, 0, &abi__open_reply__descriptor,
                  &reply, &error);
        g_assert_no_error(error);
        const Abi__OpenReply *opened = (const Abi__OpenReply *)reply;
        g_assert_null(opened->error);
        g_assert_cmpstr(opened->format, ==, "raw");
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    g_assert_cmpuint(reads, >, 0);
}

static void test_kvm(void)
{
    if (access("/dev/kvm", R_OK | W_OK) != 0) {
        g_test_skip("/dev/kvm is missing");
        return;
    }
    check_kind(CELL_KVM);
}

static void test_process(void)
{
    check_kind(CELL_PROCESS);
}

static void test_config(void)
{
    struct cell_config config;
    g_autoptr(GError) error = NULL;
    g_setenv("INSTAR_SANDBOX", "bogus", TRUE);
    g_assert_false(cell_config_from_environment(&config, &error));
    g_assert_error(error, CELL_ERROR, CELL_ERROR_SETUP);
    g_unsetenv("INSTAR_SANDBOX");
    static const char *const bad[] = {"", "0", "x", "-1", "1T", "15", "1793", "64Mx"};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_setenv("INSTAR_CELL_MEMORY", bad[i], TRUE);
        g_assert_false(cell_config_from_environment(&config, NULL));
    }
    g_setenv("INSTAR_CELL_MEMORY", "64M", TRUE);
    g_assert_true(cell_config_from_environment(&config, NULL));
    g_assert_cmpuint(config.memory_bytes, ==, 64u << 20);
    g_unsetenv("INSTAR_CELL_MEMORY");
    g_setenv("INSTAR_CELL_TIMEOUT", "0", TRUE);
    g_assert_false(cell_config_from_environment(&config, NULL));
    g_unsetenv("INSTAR_CELL_TIMEOUT");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/config", test_config);
    g_test_add_func("/sandbox/kvm", test_kvm);
    g_test_add_func("/sandbox/process", test_process);
    return g_test_run();
}
