/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of JSON text of the command line.
 */
#ifndef COMPAT_JSON_LEX_H
#define COMPAT_JSON_LEX_H

#include <glib.h>
#include <stddef.h>

enum json_token_kind {
    TOKEN_END,
    TOKEN_PUNCTUATION, /* one of []{}:, */
    TOKEN_KEYWORD,
    TOKEN_NUMBER,
    TOKEN_STRING,
    TOKEN_STRAY, /* not a token: the text that could not become one */
};

struct json_token {
    enum json_token_kind kind;
    const char *text; /* within the input */
    size_t len;
    unsigned line, column; /* from 1 */
};

struct json_lexer {
    const char *at;
    unsigned line, column; /* of at */
};

void json_lexer_init(struct json_lexer *lexer, const char *text);

/* Reads the next token; TOKEN_END again and again at the end. */
struct json_token json_lexer_next(struct json_lexer *lexer);

#endif
