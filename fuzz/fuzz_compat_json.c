/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON of the command line: any text is parsed, or refused with a message; what was parsed is
 * flattened and written, and what was written reads as the same again.
 */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "compat/blockopts.h"
#include "compat/json_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text of an input: up to its first NUL, as a word of argv would be. */
static char *text_of(const uint8_t *data, size_t size)
{
    return g_strndup((const char *)data, size);
}

static struct blockopts *written_and_read(const struct blockopts *opts)
{
    g_autofree char *json = blockopts_to_json(opts);
    g_autoptr(GError) error = NULL;
    struct blockopts *again = blockopts_parse_json(json, &error);

    g_assert_no_error(error);
    return again;
}

/*
 * Once through JSON settles what could not be: of "a" and "a.b" the later one stays. From then on
 * nothing changes but the order of keys that share a bucket.
 */
static void check_round_trip(const struct blockopts *opts)
{
    struct blockopts *once = written_and_read(opts), *twice = written_and_read(once);

    g_assert_cmpuint(blockopts_count(once), ==, blockopts_count(twice));
    for (size_t i = 0; i < blockopts_count(once); i++) {
        g_assert_cmpstr(blockopts_value(once, i), ==, blockopts_get(twice, blockopts_key(once, i)));
    }
    blockopts_free(once);
    blockopts_free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = text_of(data, size);
    g_autofree char *name = g_strconcat("json:", text, NULL);
    g_autoptr(GError) error = NULL;
    struct json_node *node = json_parse(text, &error);
    struct blockopts *opts;

    g_assert_true((node != NULL) == (error == NULL));
    json_node_free(node);
    opts = blockopts_parse_json(name, NULL);
    if (opts != NULL) {
        check_round_trip(opts);
        blockopts_free(opts);
    }
    return 0;
}
