/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling in the detail of an error, in one expression with the return.
 */
#ifndef INSTAR_GUEST_LIB_ERR_H
#define INSTAR_GUEST_LIB_ERR_H

#include "guest/abi/error.h"
#include "guest/lib/bytes.h"

/*
 * Records the numbers that go with a code, and gives the code back.
 *
 * in:      d may be NULL: the caller wants no detail
 * returns: code
 */
static inline enum guest_err err_numbers(struct guest_err_detail *d, enum guest_err code,
                                         uint64_t a, uint64_t b, uint64_t c, uint64_t e)
{
    if (d) {
        d->number[0] = a;
        d->number[1] = b;
        d->number[2] = c;
        d->number[3] = e;
        d->text_len = 0;
    }
    return code;
}

static inline enum guest_err err_plain(struct guest_err_detail *d, enum guest_err code)
{
    return err_numbers(d, code, 0, 0, 0, 0);
}

/* As err_numbers, with bytes to show; cut at GUEST_ERR_TEXT_MAX. */
static inline enum guest_err err_text(struct guest_err_detail *d, enum guest_err code,
                                      struct span text, uint64_t a)
{
    err_numbers(d, code, a, 0, 0, 0);
    if (d) {
        d->text_len = (uint32_t)(text.len < GUEST_ERR_TEXT_MAX ? text.len : GUEST_ERR_TEXT_MAX);
        if (d->text_len)
            memcpy(d->text, text.data, d->text_len);
    }
    return code;
}

#endif
