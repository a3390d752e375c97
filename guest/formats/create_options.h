/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creation options of a request by key. The host has checked the types; what a value means is the
 * format's business.
 */
#ifndef INSTAR_GUEST_FORMATS_CREATE_OPTIONS_H
#define INSTAR_GUEST_FORMATS_CREATE_OPTIONS_H

#include <stdbool.h>
#include <string.h>

#include "guest/abi/plan.pb-c.h"
#include "guest/lib/bytes.h"

/* NULL when the request has no such key. */
static inline const Abi__CreateOption *create_option(const Abi__CreateRequest *request,
                                                     const char *key)
{
    for (size_t i = 0; i < request->n_option; i++) {
        if (strcmp(request->option[i]->key, key) == 0)
            return request->option[i];
    }
    return NULL;
}

/* The number of an option that was given or has a default, else `otherwise`. */
static inline uint64_t create_option_number(const Abi__CreateRequest *request, const char *key,
                                            uint64_t otherwise)
{
    const Abi__CreateOption *option = create_option(request, key);
    return option && option->has_text ? option->number : otherwise;
}

/* The text of an option; false when it has no value. */
static inline bool create_option_text(const Abi__CreateRequest *request, const char *key,
                                      struct span *out)
{
    const Abi__CreateOption *option = create_option(request, key);
    if (!option || !option->has_text)
        return false;
    *out = span_of(option->text.data, option->text.len);
    return true;
}

#endif
