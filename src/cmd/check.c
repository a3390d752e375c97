/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `check`: whether an image's metadata is sound.
 *
 * Findings go to stderr while they are made, the totals to stdout at the end. Repairing is not
 * built yet: with -r an image that needs none is reported as stock reports it, any other is left
 * alone with an error.
 */
#include "compat/exit_status.h"
#include "compat/human.h"
#include "compat/json.h"
#include "compat/wording.h"
#include "guest/abi/error.h"
#include "src/cmd/cmd.h"
#include "src/graph/graph.h"
#include "src/wire/decode.h"
#include "src/wire/decode_check.h"

static gboolean call_check(struct image *image, const struct options *opt,
                           struct check_result *result, GError **error)
{
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    struct wire_findings *findings = wire_findings_new();
    ProtobufCMessage *reply;
    gboolean ok;

    request.node = image_node(image);
    request.fix_leaks = opt->repair != REPAIR_NONE;
    request.fix_errors = opt->repair == REPAIR_ALL;
    cell_set_emit(image_cell(image), wire_findings_take, findings);
    ok = cell_call(image_cell(image), CELL_METHOD_CHECK, &request.base, NULL, 0, 0,
                   &abi__check_reply__descriptor, &reply, error);
    cell_set_emit(image_cell(image), NULL, NULL);
    wire_findings_free(findings);
    if (!ok) {
        return FALSE;
    }
    wire_decode_check((const Abi__CheckReply *)reply, result);
    ok = wire_check_error(((const Abi__CheckReply *)reply)->error, image_filename(image), error);
    protobuf_c_message_free_unpacked(reply, NULL);
    return ok;
}

/* Reports why there is no result; returns the exit code. */
static int report_failure(const GError *error)
{
    switch (wire_error_code(error)) {
    case GUEST_ERR_CHECKS_NOT_SUPPORTED:
        wording_report_check_unsupported();
        return EXIT_STATUS_CHECK_UNSUPPORTED;
    case GUEST_ERR_NOT_SUPPORTED:
        report_error("Repairing an image ('check -r') is not built yet in instar");
        return EXIT_STATUS_ERROR;
    case GUEST_ERR_TOO_MUCH_WORK:
        report_gerror(error);
        break;
    default:
        break;
    }
    report_error("Check failed: %s", g_strerror(image_report_damage(error)));
    return EXIT_STATUS_ERROR;
}

static int check_image(struct image *image, const struct options *opt)
{
    struct check_result result = {.filename = image_filename(image), .format = image_format(image)};
    g_autoptr(GError) error = NULL;

    if (image_cell(image) == NULL) {
        wording_report_check_unsupported(); /* raw */
        return EXIT_STATUS_CHECK_UNSUPPORTED;
    }
    if (!call_check(image, opt, &result, &error)) {
        return report_failure(error);
    }
    if (!opt->quiet && opt->output == OUTPUT_JSON) {
        json_check(stdout, &result);
    } else if (!opt->quiet) {
        human_check(stdout, &result);
    }
    if (result.check_errors > 0) {
        report_error("Check failed");
    }
    return exit_status_check(&result);
}

int cmd_check(const struct invocation *inv)
{
    const struct options *opt = &inv->opt;
    struct image_open_options options = {
        .filename = g_ptr_array_index(inv->operands, 0),
        .image_opts = opt->image_opts,
        .format = opt->format,
        .read_write = opt->repair != REPAIR_NONE,
        .force_share = opt->force_share,
        .for_check = TRUE,
        .cache = opt->src_cache_mode,
    };
    GError *error = NULL;
    g_autoptr(Image) image = image_open(&options, &error);

    if (image == NULL) {
        wording_prefix_open(&error, options.filename);
        report_gerror(error);
        g_error_free(error);
        return EXIT_STATUS_ERROR;
    }
    return check_image(image, opt);
}
