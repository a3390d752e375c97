/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recursive-descent parser over the tokens of one value.
 *
 * Until 10.0 stock collects tokens until brackets balance and only then parses them, so a character
 * that is no token wins over any mistake of grammar before it. 11.1 parses as it reads, has other
 * words, and knows where a number at the end of the text stops only behind it.
 */
#include "compat/json_parse.h"

#include <errno.h>
#include <string.h>

#include "compat/json_lex.h"
#include "compat/json_string.h"
#include "compat/profile.h"
#include "compat/wording.h"

#define MAX_DEPTH 1024

struct parser {
    const struct json_token *token; /* the next one; the last is TOKEN_END */
    GError *error;
};

/* ---- nodes ---- */

static void node_free(void *data)
{
    json_node_free(data);
}

static struct json_node *node_new(enum json_kind kind)
{
    struct json_node *node = g_new0(struct json_node, 1);

    node->kind = kind;
    if (kind == JSON_LIST || kind == JSON_OBJECT) {
        node->items = g_ptr_array_new_with_free_func(node_free);
    }
    if (kind == JSON_OBJECT) {
        node->keys = g_ptr_array_new_with_free_func(g_free);
    }
    return node;
}

void json_node_free(struct json_node *node)
{
    if (node == NULL) {
        return;
    }
    g_clear_pointer(&node->items, g_ptr_array_unref);
    g_clear_pointer(&node->keys, g_ptr_array_unref);
    g_free(node->text);
    g_free(node);
}

/* ---- values ---- */

static struct json_node *parse_value(struct parser *parser);

static gboolean at_punctuation(const struct parser *parser, char c)
{
    return parser->token->kind == TOKEN_PUNCTUATION && *parser->token->text == c;
}

static gboolean take_punctuation(struct parser *parser, char c)
{
    if (!at_punctuation(parser, c)) {
        return FALSE;
    }
    parser->token++;
    return TRUE;
}

/* Complains of the next token; the end of the text and what is no token have their own words. */
static void refuse_token(struct parser *parser, const char *what)
{
    const struct json_token *token = parser->token;

    if (token->kind == TOKEN_END) {
        json_set_end_error(&parser->error, token);
    } else if (token->kind == TOKEN_STRAY) {
        json_set_error(&parser->error, token, "stray '%.*s'", (int)token->len, token->text);
    } else {
        json_set_error(&parser->error, token, "%s", what);
    }
}

/* Demands a character between or behind things; `what` is said when another token is there. */
static gboolean expect(struct parser *parser, char c, const char *what)
{
    if (take_punctuation(parser, c)) {
        return TRUE;
    }
    refuse_token(parser, what);
    return FALSE;
}

/* The older sentence or the one of 11.1. */
static const char *words(const char *older, const char *newer)
{
    return profile_get()->json_position ? newer : older;
}

static gboolean has_key(const struct json_node *object, const char *key)
{
    for (guint i = 0; i < object->keys->len; i++) {
        if (strcmp(g_ptr_array_index(object->keys, i), key) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Where a key that was there before is noticed: 11.1 has read its value by then. */
static const struct json_token *duplicate_at(const struct parser *parser,
                                             const struct json_token *key,
                                             const struct json_node *value)
{
    gboolean container = value->kind == JSON_OBJECT || value->kind == JSON_LIST;

    return !profile_get()->json_position ? key : container ? parser->token : parser->token - 1;
}

static gboolean parse_pair(struct parser *parser, struct json_node *object)
{
    const struct json_token *start = parser->token;
    struct json_node *key, *value;

    if (profile_get()->json_position && start->kind != TOKEN_STRING) {
        refuse_token(parser, "expecting key");
        return FALSE;
    }
    key = parse_value(parser);
    if (key == NULL) {
        return FALSE;
    }
    if (key->kind != JSON_STRING) {
        json_set_error(&parser->error, start, "key is not a string in object");
    } else if (expect(parser, ':', words("missing : in object pair", "expecting ':'"))) {
        value = parse_value(parser);
        if (value != NULL && has_key(object, key->text)) {
            json_set_error(&parser->error, duplicate_at(parser, start, value), "duplicate key");
            json_node_free(value);
        } else if (value != NULL) {
            g_ptr_array_add(object->keys, g_steal_pointer(&key->text));
            g_ptr_array_add(object->items, value);
        }
    }
    json_node_free(key);
    return parser->error == NULL;
}

static gboolean parse_item(struct parser *parser, struct json_node *list)
{
    struct json_node *item = parse_value(parser);

    if (item == NULL) {
        return FALSE;
    }
    g_ptr_array_add(list->items, item);
    return TRUE;
}

/* Parses the inside of an object or list behind its opening bracket. */
static struct json_node *parse_container(struct parser *parser, enum json_kind kind)
{
    const char close = kind == JSON_OBJECT ? '}' : ']';
    gboolean (*parse_one)(struct parser *, struct json_node *) =
        kind == JSON_OBJECT ? parse_pair : parse_item;
    struct json_node *node = node_new(kind);

    if (take_punctuation(parser, close)) {
        return node;
    }
    while (parse_one(parser, node)) {
        if (take_punctuation(parser, close)) {
            return node;
        }
        if (!expect(parser, ',',
                    kind == JSON_OBJECT
                        ? words("expected separator in dict", "expected ',' or '}'")
                        : words("expected separator in list", "expected ',' or ']'"))) {
            break;
        }
    }
    json_node_free(node);
    return NULL;
}

static gboolean token_is(const struct json_token *token, const char *word)
{
    return token->len == strlen(word) && memcmp(token->text, word, token->len) == 0;
}

static struct json_node *parse_keyword(struct parser *parser)
{
    const struct json_token *token = parser->token++;
    struct json_node *node;

    if (token_is(token, "null")) {
        return node_new(JSON_NULL);
    }
    if (!token_is(token, "true") && !token_is(token, "false")) {
        json_set_error(&parser->error, token, "invalid keyword '%.*s'", (int)token->len,
                       token->text);
        return NULL;
    }
    node = node_new(JSON_BOOL);
    node->truth = token_is(token, "true");
    return node;
}

/* A number as qemu would print it again: an integer where it fits, else a double. */
static char *canonical_number(const char *text)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];
    double value;

    if (strpbrk(text, ".eE") == NULL) {
        errno = 0;
        if (*text == '-') {
            gint64 number = g_ascii_strtoll(text, NULL, 10);

            if (errno == 0) {
                return g_strdup_printf("%" G_GINT64_FORMAT, number);
            }
        } else {
            guint64 number = g_ascii_strtoull(text, NULL, 10);

            if (errno == 0) {
                return g_strdup_printf("%" G_GUINT64_FORMAT, number);
            }
        }
    }
    value = g_ascii_strtod(text, NULL);
    if (value == 0.0) {
        value = 0.0; /* without its sign */
    }
    return g_strdup(g_ascii_formatd(digits, sizeof(digits), "%.17g", value));
}

static struct json_node *parse_number(struct parser *parser)
{
    const struct json_token *token = parser->token++;
    g_autofree char *text = g_strndup(token->text, token->len);
    struct json_node *node = node_new(JSON_NUMBER);

    node->text = canonical_number(text);
    return node;
}

static struct json_node *parse_string(struct parser *parser)
{
    const struct json_token *token = parser->token++;
    char *text = json_decode_string(token, &parser->error);
    struct json_node *node;

    if (text == NULL) {
        return NULL;
    }
    node = node_new(JSON_STRING);
    node->text = text;
    return node;
}

static struct json_node *parse_value(struct parser *parser)
{
    const struct json_token *token = parser->token;

    switch (token->kind) {
    case TOKEN_KEYWORD:
        return parse_keyword(parser);
    case TOKEN_NUMBER:
        return parse_number(parser);
    case TOKEN_STRING:
        return parse_string(parser);
    case TOKEN_PUNCTUATION:
        if (take_punctuation(parser, '{')) {
            return parse_container(parser, JSON_OBJECT);
        }
        if (take_punctuation(parser, '[')) {
            return parse_container(parser, JSON_LIST);
        }
        break;
    case TOKEN_END:
    case TOKEN_STRAY:
        break;
    }
    refuse_token(parser, "expecting value");
    return NULL;
}

/* ---- collecting ---- */

/* Follows the brackets; FALSE when the value is complete. */
static gboolean count_brackets(const struct json_token *token, int *braces, int *brackets)
{
    if (token->kind == TOKEN_PUNCTUATION) {
        *braces += (*token->text == '{') - (*token->text == '}');
        *brackets += (*token->text == '[') - (*token->text == ']');
    }
    return *braces >= 0 && *brackets >= 0 && (*braces > 0 || *brackets > 0);
}

/* Whether the end of the text follows a token that ends with what is no part of it. */
static gboolean cut_off(const struct json_token *last, const struct json_token *end)
{
    return (last->kind == TOKEN_NUMBER || last->kind == TOKEN_KEYWORD) && last->line == end->line &&
           last->column + last->len == end->column;
}

/*
 * Collects the tokens of one value, with TOKEN_END behind them; in 11.1 up to text that is no
 * token, which is the last then.
 *
 * returns: FALSE with *error for text that is no token, or nested too deeply
 */
static gboolean collect(struct json_lexer *lexer, GArray *tokens, GError **error)
{
    gboolean streaming = profile_get()->json_position;
    int braces = 0, brackets = 0;
    struct json_token token;
    gboolean more;

    do {
        token = json_lexer_next(lexer);
        if (token.kind == TOKEN_STRAY && !streaming) {
            json_set_error(error, &token, "stray '%.*s'", (int)token.len, token.text);
            return FALSE;
        }
        if (token.kind == TOKEN_END && streaming && tokens->len > 0) {
            token.column +=
                cut_off(&g_array_index(tokens, struct json_token, tokens->len - 1), &token);
        }
        g_array_append_val(tokens, token);
        if (token.kind == TOKEN_END || token.kind == TOKEN_STRAY) {
            return TRUE;
        }
        more = count_brackets(&token, &braces, &brackets);
        if (braces + brackets > MAX_DEPTH) {
            return wording_fail(error, "JSON nesting depth limit exceeded");
        }
    } while (more);

    token = (struct json_token){
        .kind = TOKEN_END, .text = lexer->at, .line = lexer->line, .column = lexer->column};
    g_array_append_val(tokens, token);
    return TRUE;
}

struct json_node *json_parse(const char *text, GError **error)
{
    g_autoptr(GArray) tokens = g_array_new(FALSE, FALSE, sizeof(struct json_token));
    struct json_node *node;
    struct parser parser;
    struct json_lexer lexer;

    json_lexer_init(&lexer, text);
    if (!collect(&lexer, tokens, error)) {
        return NULL;
    }
    parser = (struct parser){.token = (const struct json_token *)(void *)tokens->data};
    if (parser.token->kind == TOKEN_END) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Expecting a JSON value");
        return NULL;
    }
    node = parse_value(&parser);
    if (node == NULL) {
        g_propagate_error(error, parser.error);
        return NULL;
    }
    if (json_lexer_next(&lexer).kind != TOKEN_END) {
        g_set_error_literal(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                            "Expecting at most one JSON value");
        json_node_free(node);
        return NULL;
    }
    return node;
}
