/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/zero_list.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

enum guest_err zero_list_add(struct zero_list *list, uint32_t blob, uint64_t offset,
                             uint64_t length, struct guest_err_detail *detail)
{
    struct zero_range *last = list->nr ? &list->range[list->nr - 1] : NULL;

    if (last && last->blob == blob && last->offset + last->length == offset) {
        last->length += length;
        return GUEST_OK;
    }
    if (!arena_grow((void **)&list->range, &list->room, list->nr + 1, sizeof(*list->range)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    list->range[list->nr++] = (struct zero_range){.blob = blob, .offset = offset, .length = length};
    return GUEST_OK;
}

void zero_list_yield(const struct zero_list *list, uint64_t index, struct plan_sink *sink)
{
    const struct zero_range *range = &list->range[index];

    plan_simple(sink, CELL_OP_ZERO, range->blob, range->offset, range->length, CELL_NOTE_DATA);
}

void zero_list_clear(struct zero_list *list)
{
    free(list->range);
    *list = (struct zero_list){0};
}
