/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of formats, and finding the right one by what an image starts with. source: which fields
 * of a head stock looks at was seen by giving qemu-img 7.2 heads with one field changed.
 */
#include "guest/formats/format.h"

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
