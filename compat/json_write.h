/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees as JSON text.
 */
#ifndef COMPAT_JSON_WRITE_H
#define COMPAT_JSON_WRITE_H

#include <glib.h>

#include "compat/value.h"

enum json_layout {
    JSON_PRETTY,   /* four blanks a level, empty containers on two lines */
    JSON_ONE_LINE, /* ", " and ": " */
};

/* Appends a value; no newline at the end. */
void json_write(GString *out, const struct value *value, enum json_layout layout);

/*
 * Appends text as a JSON string with its quotes: everything outside printable ASCII as \uXXXX, each
 * sequence that is no UTF-8 as \uFFFD.
 */
void json_write_string(GString *out, const char *text);

#endif
