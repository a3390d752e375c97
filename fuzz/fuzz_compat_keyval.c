/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option strings and numbers: any text is split; escaping a value and splitting it again gives the
 * value; qcow2's table takes or refuses it; a size that is read lies where its status says.
 */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "compat/create_opts.h"
#include "compat/keyval.h"
#include "compat/secret.h"
#include "compat/size.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_pairs(const char *text)
{
    struct keyval *kv = keyval_parse(text, NULL);

    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);
        g_autofree char *escaped = keyval_escape(pair->value);
        g_autofree char *again = g_strconcat("k=", escaped, NULL);
        struct keyval *one = keyval_parse(again, NULL);

        g_assert_cmpuint(one->pairs->len, ==, 1);
        g_assert_cmpstr(keyval_get(one, "k"), ==, pair->value);
        keyval_free(one);
    }
    keyval_free(kv);
}

static void check_create(const char *text)
{
    struct create_request request = {.format = "qcow2", .filename = "x", .options = text};
    g_autoptr(GError) error = NULL;
    struct create_opts *opts = create_opts_new(&request, &error);
    struct create_qcow2 qcow2;
    struct create_file file;

    g_assert_true((opts != NULL) == (error == NULL));
    if (opts != NULL) {
        g_autofree char *line = create_opts_formatting_line(opts);

        g_assert_true(g_str_has_prefix(line, "Formatting 'x', fmt=qcow2 "));
        create_opts_qcow2(opts, &qcow2, NULL);
        create_opts_file(opts, &file, NULL);
    }
    create_opts_free(opts);
}

/* A named secret would be read from a file: keep to those in the text. */
static void check_secret(const char *text)
{
    struct secret_set *set = secret_set_new();
    g_autoptr(GError) error = NULL;

    if (strstr(text, "file") == NULL && strchr(text, '\\') == NULL) {
        g_assert_true(secret_set_add(set, text, &error) == (error == NULL));
    }
    secret_set_free(set);
}

static void check_size(const char *text)
{
    uint64_t value = 0;
    g_autoptr(GError) error = NULL;

    if (size_parse(text, &value) == SIZE_OK) {
        g_autofree char *human = size_human(value);
        g_autofree char *plain = g_strdup_printf("%" G_GUINT64_FORMAT, value);
        uint64_t again = 0;

        g_assert_true(g_str_has_suffix(human, "B"));
        g_assert_cmpint(size_parse(plain, &again), ==, SIZE_OK);
        g_assert_cmpuint(again, ==, value);
    }
    size_parse_integer(text, &value);
    g_assert_true(size_parse_named("image size", text, 1, 16, &value, &error) == (error == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    /* 7.2 would warn of each hexadecimal number with a suffix; its grammar differs in little else.
     */
    check_size(text);
    check_pairs(text);
    check_create(text);
    check_secret(text);
    return 0;
}
