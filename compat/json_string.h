/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String tokens of JSON, and the words of the parser's errors.
 */
#ifndef COMPAT_JSON_STRING_H
#define COMPAT_JSON_STRING_H

#include <glib.h>

#include "compat/json_lex.h"

/*
 * Decodes a string token: escapes undone, NUL as C0 80.
 *
 * returns: newly allocated text, or NULL with *error
 */
char *json_decode_string(const struct json_token *token, GError **error);

/* Sets *error to "JSON parse error, <what>", with the token's position where the profile has it. */
void json_set_error(GError **error, const struct json_token *token, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The error for text that ends too early. */
void json_set_end_error(GError **error, const struct json_token *token);

#endif
