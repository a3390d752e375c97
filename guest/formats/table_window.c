/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The piece of a table that is in memory, and when to read which next.
 */
#include "guest/formats/table_window.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define FIRST_BYTES 4096u
#define GROWTH      4u
#define ENTRY_MAX   8u

static enum guest_err load(struct table_window *w, struct source *source, uint64_t offset,
                           uint64_t len, struct guest_err_detail *detail)
{
    enum guest_err err;

    if (w->capacity < len) {
        free(w->bytes);
        *w = (struct table_window){.bytes = arena_bytes(len)};
        if (!w->bytes)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        w->capacity = len;
    }
    w->len = 0;
    err = source_read_padded(source, offset, len, w->bytes, detail);
    if (err)
        return err;
    w->offset = offset;
    w->len = len;
    return GUEST_OK;
}

enum guest_err table_window_get(struct table_window *w, struct source *source, uint64_t offset,
                                uint64_t most, struct span *out, struct guest_err_detail *detail)
{
    uint64_t end, want, at;

    if (!add_u64(offset, most, &end))
        return err_numbers(detail, GUEST_ERR_RANGE, offset, most, 0, 0);
    at = offset - w->offset;
    if (offset < w->offset || at >= w->len || w->len - at < min_u64(ENTRY_MAX, most)) {
        bool in_order = w->len && offset >= w->offset && at <= w->len;
        enum guest_err err;

        want = in_order ? min_u64(w->len * GROWTH, TABLE_WINDOW_BYTES_MAX) : FIRST_BYTES;
        err = load(w, source, offset, min_u64(max_u64(want, FIRST_BYTES), most), detail);
        if (err)
            return err;
        at = 0;
    }
    *out = span_of(&w->bytes[at], (size_t)min_u64(w->len - at, most));
    return GUEST_OK;
}

void table_window_clear(struct table_window *w)
{
    free(w->bytes);
    *w = (struct table_window){0};
}
