/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/bitmaps.h"

#include <glib.h>
#include <string.h>

#include "guest/formats/qcow2_bits.h"
#include "guest/plan/bitmap.h"

char *bitmaps_describe(struct node *node)
{
    struct qcow2 *q = qcow2_of(node);
    GString *text = g_string_new(NULL);
    for (uint32_t i = 0; i < q->nr_bitmaps; i++) {
        const struct qcow2_bitmap *b = &q->bitmaps[i];
        Abi__BitmapReadRequest request = ABI__BITMAP_READ_REQUEST__INIT;
        struct guest_err_detail detail;
        request.name = (ProtobufCBinaryData){b->name.len, (uint8_t *)b->name.data};
        request.length = (qcow2_bits_of(node->virtual_size, b->granularity_bits) + 7) / 8;
        g_autofree uint8_t *bytes = g_malloc0(request.length);
        if (plan_bitmap_read(node, &request, bytes, &detail) != GUEST_OK)
            memset(bytes, 0xee, request.length);
        g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA1, bytes, request.length);
        g_string_append_printf(text, "%.*s %u %u %s\n", (int)b->name.len,
                               (const char *)b->name.data, b->flags, b->granularity_bits, sum);
    }
    return g_string_free(text, FALSE);
}
