/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to CHECK, and the findings that come while it runs.
 *
 * Counts are only shown, so any value will do. Texts that go with findings are bounded.
 */
#include "src/wire/decode_check.h"

#include "compat/wording.h"
#include "src/wire/decode.h"

/* Two names of a snapshot and what stands around them. */
#define TEXT_MAX (2u * 65536u + 8u)

struct wire_findings {
    GByteArray *text; /* for the next finding */
};

struct wire_findings *wire_findings_new(void)
{
    struct wire_findings *findings = g_new0(struct wire_findings, 1);

    findings->text = g_byte_array_new();
    return findings;
}

void wire_findings_free(struct wire_findings *findings)
{
    g_byte_array_unref(findings->text);
    g_free(findings);
}

static void print_finding(struct wire_findings *findings, const struct cell_finding *finding)
{
    struct wording_detail detail = {.span = findings->text->data, .span_len = findings->text->len};
    g_autofree char *line = NULL;

    memcpy(detail.number, finding->number, sizeof(detail.number));
    line = wording_cell_sentence(finding->code, &detail, NULL);
    if (finding->flags & CELL_FINDING_REPAIRED) {
        const char *rest = strchr(line, ' '); /* behind "ERROR" or "Leaked" */

        report_line("Repairing%s", rest != NULL ? rest : "");
    } else if (finding->flags & CELL_FINDING_PREFIXED) {
        report_error("%s", line);
    } else {
        report_line("%s", line);
    }
    g_byte_array_set_size(findings->text, 0);
}

void wire_findings_take(void *user, uint32_t type, const void *records, uint32_t count,
                        size_t record_size)
{
    struct wire_findings *findings = user;
    const struct cell_finding *finding = records;

    if (type != CELL_EMIT_FINDINGS || record_size != sizeof(*finding)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++, finding++) {
        if (!(finding->flags & CELL_FINDING_TEXT)) {
            print_finding(findings, finding);
        } else if (finding->code <= sizeof(finding->number) && findings->text->len < TEXT_MAX) {
            g_byte_array_append(findings->text, (const guint8 *)finding->number, finding->code);
        }
    }
}

void wire_decode_check(const Abi__CheckReply *reply, struct check_result *out)
{
    out->check_errors = reply->check_errors;
    out->corruptions = reply->corruptions;
    out->corruptions_fixed = reply->corruptions_fixed;
    out->leaks = reply->leaks;
    out->leaks_fixed = reply->leaks_fixed;
    out->have_image_end_offset = reply->has_image_end_offset != 0;
    out->image_end_offset_bytes = reply->image_end_offset;
    out->total_clusters = reply->total_clusters;
    out->allocated_clusters = reply->allocated_clusters;
    out->fragmented_clusters = reply->fragmented_clusters;
    out->compressed_clusters = reply->compressed_clusters;
}
