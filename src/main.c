/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From argv to a verb. Nothing is set up here that a verb may not need: cells, threads and
 * libraries come with their first use.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compat/argv.h"
#include "compat/exit_status.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "compat/wording_common.h"
#include "compat/wording_luks.h"
#include "compat/wording_parallels.h"
#include "compat/wording_plan.h"
#include "compat/wording_qcow2.h"
#include "compat/wording_readonly.h"
#include "compat/wording_vdi.h"
#include "compat/wording_vhdx.h"
#include "compat/wording_vpc.h"
#include "compat/wording_qcow.h"
#include "compat/wording_qed.h"
#include "compat/wording_vmdk.h"
#include "src/cmd/cmd.h"
#include "src/config.h"
#include "src/graph/keys.h"
#include "src/sandbox/sandbox.h"

typedef int (*verb_fn)(const struct invocation *inv);

static verb_fn find_verb(enum verb verb)
{
    switch (verb) {
    case VERB_AMEND:
        return cmd_amend;
    case VERB_BENCH:
        return cmd_bench;
    case VERB_BITMAP:
        return cmd_bitmap;
    case VERB_CHECK:
        return cmd_check;
    case VERB_COMMIT:
        return cmd_commit;
    case VERB_COMPARE:
        return cmd_compare;
    case VERB_CONVERT:
        return cmd_convert;
    case VERB_CREATE:
        return cmd_create;
    case VERB_DD:
        return cmd_dd;
    case VERB_INFO:
        return cmd_info;
    case VERB_MAP:
        return cmd_map;
    case VERB_MEASURE:
        return cmd_measure;
    case VERB_REBASE:
        return cmd_rebase;
    case VERB_RESIZE:
        return cmd_resize;
    case VERB_SNAPSHOT:
        return cmd_snapshot;
    default:
        return NULL;
    }
}

/* An image must never become descriptor 0, 1 or 2, where a message could be written into it. */
static gboolean occupy_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0) {
        return FALSE;
    }
    close(fd);
    return TRUE;
}

static gboolean set_up(GError **error)
{
    const char *trace;

    wording_register_common();
    wording_register_luks();
    wording_register_plan();
    wording_register_qcow2();
    wording_register_vdi();
    wording_register_readonly();
    wording_register_vhdx();
    wording_register_vpc();
    wording_register_qcow();
    wording_register_parallels();
    wording_register_qed();
    wording_register_vmdk();
    if (!config_load(error)) {
        return FALSE;
    }
    if (!profile_select(g_getenv("INSTAR_QEMU_PROFILE"), error)) {
        return FALSE;
    }
    trace = g_getenv("INSTAR_TRACE");
    cell_trace_at_exit(trace != NULL && strcmp(trace, "cell") == 0);
    return TRUE;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    struct invocation inv = {0};
    int status = EXIT_STATUS_ERROR;
    verb_fn run;

    report_set_program(argc > 0 ? argv[0] : NULL);
    signal(SIGPIPE, SIG_IGN);
    if (!occupy_standard_descriptors()) {
        return EXIT_STATUS_ERROR;
    }
    if (!set_up(&error)) {
        report_gerror(error);
        return EXIT_STATUS_ERROR;
    }
    if (!argv_parse(argc, argv, &inv, &status)) {
        return status;
    }
    keys_use(inv.secrets);
    run = find_verb(inv.verb);
    if (run == NULL) {
        report_error("The '%s' command is not built yet in instar", verb_name(inv.verb));
        status = EXIT_STATUS_ERROR;
    } else {
        status = run(&inv);
    }
    invocation_clear(&inv);
    return status;
}
