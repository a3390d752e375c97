/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small recursive-descent parser with a bound on everything.
 */
#include "guest/formats/json.h"

struct parser {
    struct cursor in;
    unsigned depth;
    unsigned nr_options, max_options;
    size_t path_len;
    size_t value_len;
    uint8_t path[JSON_PATH_MAX];
    uint8_t value[JSON_TEXT_MAX];
    json_option_fn option;
    void *user;
};

static bool parse_value(struct parser *p);

static int peek(const struct parser *p)
{
    return cur_left(&p->in) ? p->in.bytes.data[p->in.pos] : -1;
}

static void skip_blanks(struct parser *p)
{
    int c = peek(p);

    while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        cur_skip(&p->in, 1);
        c = peek(p);
    }
}

static bool take(struct parser *p, int want)
{
    skip_blanks(p);
    if (peek(p) != want)
        return false;
    cur_skip(&p->in, 1);
    return true;
}

static bool put(struct parser *p, uint32_t byte)
{
    if (p->value_len == sizeof(p->value))
        return false;
    p->value[p->value_len++] = (uint8_t)byte;
    return true;
}

static bool put_utf8(struct parser *p, uint32_t c)
{
    if (c == 0)
        return false; /* a name cannot hold it */
    if (c < 0x80)
        return put(p, c);
    if (c < 0x800)
        return put(p, 0xc0 | c >> 6) && put(p, 0x80 | (c & 0x3f));
    if (c < 0x10000)
        return put(p, 0xe0 | c >> 12) && put(p, 0x80 | (c >> 6 & 0x3f)) &&
               put(p, 0x80 | (c & 0x3f));
    return put(p, 0xf0 | c >> 18) && put(p, 0x80 | (c >> 12 & 0x3f)) &&
           put(p, 0x80 | (c >> 6 & 0x3f)) && put(p, 0x80 | (c & 0x3f));
}

static bool parse_hex4(struct parser *p, uint32_t *out)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        uint8_t c = cur_u8(&p->in);
        uint32_t digit;

        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
            digit = c - 'A' + 10;
        else
            return false;
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

/* The four digits after \u, and the second half of a surrogate pair. */
static bool parse_unicode(struct parser *p)
{
    uint32_t c, low;

    if (!parse_hex4(p, &c))
        return false;
    if (c >= 0xdc00 && c <= 0xdfff)
        return false;
    if (c >= 0xd800 && c <= 0xdbff) {
        if (!span_equal_text(cur_bytes(&p->in, 2), "\\u") || !parse_hex4(p, &low) || low < 0xdc00 ||
            low > 0xdfff)
            return false;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    return put_utf8(p, c);
}

static bool parse_escape(struct parser *p)
{
    static const char from[] = "\"'\\/bfnrt";
    static const char to[] = "\"'\\/\b\f\n\r\t";
    uint8_t c = cur_u8(&p->in);

    if (c == 'u')
        return parse_unicode(p);
    for (size_t i = 0; from[i]; i++)
        if (c == (uint8_t)from[i])
            return put(p, (uint8_t)to[i]);
    return false;
}

/* A string into p->value. */
static bool parse_string(struct parser *p)
{
    uint8_t quote = cur_u8(&p->in);

    p->value_len = 0;
    if (quote != '"' && quote != '\'')
        return false;
    for (;;) {
        uint8_t c = cur_u8(&p->in);

        if (!cur_ok(&p->in) || c < 0x20)
            return false;
        if (c == quote)
            return true;
        if (!(c == '\\' ? parse_escape(p) : put(p, c)))
            return false;
    }
}

/* A number, or one of true, false, null, into p->value as it stands. */
static bool parse_word(struct parser *p)
{
    struct span word;

    p->value_len = 0;
    for (int c = peek(p); (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' ||
                          c == '+' || c == '.' || c == 'E';
         c = peek(p)) {
        if (!put(p, (uint32_t)c))
            return false;
        cur_skip(&p->in, 1);
    }
    word = span_of(p->value, p->value_len);
    if (word.len == 0)
        return false;
    if (word.data[0] == '-' || (word.data[0] >= '0' && word.data[0] <= '9'))
        return true;
    return span_equal_text(word, "true") || span_equal_text(word, "false") ||
           span_equal_text(word, "null");
}

/* Appends ".key" to the path; the caller restores path_len. */
static bool enter(struct parser *p, struct span key)
{
    size_t dot = p->path_len ? 1 : 0;

    if (key.len == 0 || key.len + dot > sizeof(p->path) - p->path_len)
        return false;
    if (dot)
        p->path[p->path_len++] = '.';
    memcpy(&p->path[p->path_len], key.data, key.len);
    p->path_len += key.len;
    return true;
}

static bool parse_object(struct parser *p)
{
    if (take(p, '}'))
        return true;
    do {
        size_t saved = p->path_len;

        skip_blanks(p);
        if (!parse_string(p) || !enter(p, span_of(p->value, p->value_len)) || !take(p, ':') ||
            !parse_value(p))
            return false;
        p->path_len = saved;
    } while (take(p, ','));
    return take(p, '}');
}

static bool parse_array(struct parser *p)
{
    unsigned index = 0;

    if (take(p, ']'))
        return true;
    do {
        size_t saved = p->path_len;
        uint8_t digits[2] = {(uint8_t)('0' + index / 10), (uint8_t)('0' + index % 10)};
        size_t nr = index >= 10 ? 2 : 1;

        if (index == JSON_OPTIONS_MAX || !enter(p, span_of(&digits[2 - nr], nr)) || !parse_value(p))
            return false;
        p->path_len = saved;
        index++;
    } while (take(p, ','));
    return take(p, ']');
}

static bool parse_value(struct parser *p)
{
    bool ok;

    skip_blanks(p);
    if (peek(p) == '{' || peek(p) == '[') {
        bool object = cur_u8(&p->in) == '{';

        if (p->depth == JSON_DEPTH_MAX)
            return false;
        p->depth++;
        ok = object ? parse_object(p) : parse_array(p);
        p->depth--;
        return ok;
    }
    ok = peek(p) == '"' || peek(p) == '\'' ? parse_string(p) : parse_word(p);
    if (!ok || p->nr_options == p->max_options)
        return false;
    p->nr_options++;
    return p->option(p->user, span_of(p->path, p->path_len), span_of(p->value, p->value_len));
}

bool json_flatten(struct span text, json_option_fn option, void *user)
{
    const struct json_limits limits = {.text = JSON_TEXT_MAX, .options = JSON_OPTIONS_MAX};

    return json_flatten_within(text, &limits, option, user);
}

bool json_flatten_within(struct span text, const struct json_limits *limits, json_option_fn option,
                         void *user)
{
    struct parser p;

    if (text.len > limits->text)
        return false;
    p.max_options = limits->options;
    p.in = cur_of(text);
    p.depth = 0;
    p.nr_options = 0;
    p.path_len = 0;
    p.value_len = 0;
    p.option = option;
    p.user = user;
    skip_blanks(&p);
    if (peek(&p) != '{' || !parse_value(&p))
        return false;
    skip_blanks(&p);
    return cur_left(&p.in) == 0;
}
