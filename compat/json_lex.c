/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting JSON text into tokens.
 *
 * A token that breaks off is reported with the character that broke it, as stock does.
 */
#include "compat/json_lex.h"

#include <string.h>

void json_lexer_init(struct json_lexer *lexer, const char *text)
{
    *lexer = (struct json_lexer){.at = text, .line = 1, .column = 1};
}

static void skip_blanks(struct json_lexer *lexer)
{
    for (; *lexer->at != '\0' && strchr(" \t\r\n", *lexer->at) != NULL; lexer->at++) {
        lexer->column++;
        if (*lexer->at == '\n') {
            lexer->line++;
            lexer->column = 1;
        }
    }
}

/* The length of the text up to and including the character that does not fit. */
static size_t up_to(const char *text, size_t len)
{
    return text[len] != '\0' ? len + 1 : len;
}

static size_t lex_string(const char *text, gboolean *stray)
{
    size_t len = 1;

    while (text[len] != text[0]) {
        unsigned char c;

        len += text[len] == '\\';
        c = (unsigned char)text[len];
        if (c < 0x20 || c >= 0xfe) {
            *stray = TRUE;
            return up_to(text, len);
        }
        len++;
    }
    return len + 1;
}

/* Advances over digits; FALSE when there is none. */
static gboolean lex_digits(const char *text, size_t *len)
{
    size_t start = *len;

    while (g_ascii_isdigit(text[*len])) {
        (*len)++;
    }
    return *len > start;
}

static size_t lex_number(const char *text, gboolean *stray)
{
    size_t len = text[0] == '-';

    *stray = TRUE; /* until proven otherwise */
    if (text[len] == '0') {
        len++;
        if (g_ascii_isdigit(text[len])) {
            return up_to(text, len);
        }
    } else if (!lex_digits(text, &len)) {
        return up_to(text, len);
    }
    if (text[len] == '.') {
        len++;
        if (!lex_digits(text, &len)) {
            return up_to(text, len);
        }
    }
    if (text[len] == 'e' || text[len] == 'E') {
        len++;
        len += text[len] == '+' || text[len] == '-';
        if (!lex_digits(text, &len)) {
            return up_to(text, len);
        }
    }
    *stray = FALSE;
    return len;
}

static size_t lex_keyword(const char *text)
{
    size_t len = 0;

    while (g_ascii_islower(text[len])) {
        len++;
    }
    return len;
}

struct json_token json_lexer_next(struct json_lexer *lexer)
{
    struct json_token token = {.kind = TOKEN_STRAY, .len = 1};
    gboolean stray = FALSE;

    skip_blanks(lexer);
    token.text = lexer->at;
    token.line = lexer->line;
    token.column = lexer->column;
    if (*token.text == '\0') {
        token.kind = TOKEN_END;
        token.len = 0;
    } else if (strchr("[]{}:,", *token.text) != NULL) {
        token.kind = TOKEN_PUNCTUATION;
    } else if (*token.text == '"' || *token.text == '\'') {
        token.kind = TOKEN_STRING;
        token.len = lex_string(token.text, &stray);
    } else if (*token.text == '-' || g_ascii_isdigit(*token.text)) {
        token.kind = TOKEN_NUMBER;
        token.len = lex_number(token.text, &stray);
    } else if (g_ascii_islower(*token.text)) {
        token.kind = TOKEN_KEYWORD;
        token.len = lex_keyword(token.text);
    }
    if (stray) {
        token.kind = TOKEN_STRAY;
    }
    lexer->at += token.len;
    lexer->column += (unsigned)token.len;
    return token;
}
