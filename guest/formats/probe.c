/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of formats, and finding the right one by what an image starts with.
 *
 * Formats that are not built yet are rows without `open`: they are recognised, so that they are
 * refused by name and never taken for raw. source: magic numbers from each format's specification;
 * which fields qemu looks at was seen by giving stock qemu-img 7.2 heads with one field changed.
 */
#include "guest/formats/format.h"

#define SURE 100

static bool has_text(struct span head, uint64_t offset, const char *text)
{
    struct span at;
    return span_sub(head, offset, head.len > offset ? head.len - offset : 0, &at) &&
           span_starts_with(at, text);
}

static uint32_t le32_at(struct span head, uint64_t offset)
{
    struct span at;
    return span_sub(head, offset, 4, &at) ? load_le32(at.data) : 0;
}

static int probe_parallels(struct span head)
{
    bool magic = has_text(head, 0, "WithoutFreeSpace") || has_text(head, 0, "WithouFreSpacExt");
    return magic && le32_at(head, 16) == 2 ? SURE : 0;
}

static const struct format_driver format_parallels = {.name = "parallels",
                                                      .probe = probe_parallels};

const struct format_driver *const format_drivers[] = {
    &format_qcow2, &format_raw,   &format_vmdk, &format_vdi, &format_vpc,
    &format_vhdx,  &format_luks,  &format_qcow, &format_qed, &format_parallels,
    &format_bochs, &format_cloop, &format_dmg,
};
const unsigned nr_format_drivers = sizeof(format_drivers) / sizeof(format_drivers[0]);

const struct format_driver *format_by_name(struct span name)
{
    for (unsigned i = 0; i < nr_format_drivers; i++)
        if (span_equal_text(name, format_drivers[i]->name))
            return format_drivers[i];
    return NULL;
}

const struct format_driver *format_probe(struct span head)
{
    const struct format_driver *best = &format_raw;
    int best_score = 0;

    for (unsigned i = 0; i < nr_format_drivers; i++) {
        int score = format_drivers[i]->probe(head);
        if (score > best_score) {
            best_score = score;
            best = format_drivers[i];
        }
    }
    return best;
}
