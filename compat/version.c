/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version lines and the global help.
 *
 * Callers grep the help: for `--target-is-zero`, for `info ... -U` on one line, for "Supported
 * formats:". So each subcommand's usage stands on a line of its own here, however long.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "compat/version.h"

#include <stdio.h>
#include <string.h>

#include "compat/driver.h"
#include "compat/option_table.h"
#include "compat/profile.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

void version_print(void)
{
    const struct profile *profile = profile_get();

    printf("qemu-img version %s (instar " PACKAGE_VERSION ")\n", profile->version);
    printf("Copyright (c) %s Fabrice Bellard and the QEMU Project developers\n", profile->years);
}

/* Prints a usage text with its lines joined. */
static void print_usage_line(const struct verb_spec *spec)
{
    printf("  %s ", spec->name);
    for (const char *at = spec->usage; *at != '\0'; at++) {
        if (*at == '\n') {
            putchar(' ');
            at += strspn(at + 1, " ");
        } else {
            putchar(*at);
        }
    }
    putchar('\n');
}

static void print_formats(void)
{
    const struct driver *driver;

    printf("Supported formats:");
    for (size_t i = 0; (driver = driver_at(i)) != NULL; i++) {
        if (driver->built) {
            printf(" %s", driver->name);
        }
    }
    printf("\n");
}

void help_print(void)
{
    version_print();
    printf("QEMU disk image utility.  Usage:\n"
           "\n"
           "  qemu-img [standard options] COMMAND [--help | command options]\n"
           "\n"
           "Standard options:\n"
           "  -h, --help\n"
           "     print this help and exit\n"
           "  -V, --version\n"
           "     print the version and exit\n"
           "  -T, --trace [[enable=]PATTERN][,events=FILE][,file=FILE]\n"
           "     tracing options of QEMU (instar has no events of QEMU's)\n"
           "\n"
           "Commands (qemu-img COMMAND --help tells more):\n");
    for (int verb = 0; verb < VERB_NR; verb++) {
        printf("  %-9s %s\n", verb_name((enum verb)verb), verb_spec((enum verb)verb)->about);
    }
    printf("\nCommand syntax:\n");
    for (int verb = 0; verb < VERB_NR; verb++) {
        print_usage_line(verb_spec((enum verb)verb));
    }
    printf("\n");
    print_formats();
}

/* ---- a subcommand's help ---- */

/* Prints lines, each behind the indent. */
static void print_indented(const char *text, const char *indent)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");

        printf("%s%.*s\n", indent, (int)len, text);
        text += len + (text[len] == '\n');
    }
}

static void print_spelling(const struct option_row *row, gboolean *first)
{
    if (row->letter != 0) {
        printf("%s-%c", *first ? "" : ", ", row->letter);
        *first = FALSE;
    }
    if (row->name != NULL) {
        printf("%s--%s", *first ? "" : ", ", row->name);
        *first = FALSE;
    }
}

/* Prints an option with the further spellings below it that every profile has. */
static void print_row(const struct option_row *row)
{
    gboolean first = TRUE;

    printf("  ");
    print_spelling(row, &first);
    for (const struct option_row *other = row + 1; other->set != NULL && other->same_as_previous;
         other++) {
        if (other->only == 0) {
            print_spelling(other, &first);
        }
    }
    printf("%s%s\n", row->arg != NULL ? " " : "", row->arg != NULL ? row->arg : "");
    print_indented(row->help, "     ");
}

/* Prints operands: their text has a line for the name and one for the explanation. */
static void print_operands(const char *text)
{
    for (gboolean name = TRUE; *text != '\0'; name = !name) {
        size_t len = strcspn(text, "\n");

        printf("%s%.*s\n", name ? "  " : "     ", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

static void print_synopsis(const struct verb_spec *spec)
{
    printf("  qemu-img %s ", spec->name);
    for (const char *at = spec->usage; *at != '\0'; at++) {
        putchar(*at);
        if (*at == '\n') {
            printf("  ");
        }
    }
}

void verb_help_print(const struct verb_spec *spec)
{
    if (!profile_get()->verb_help) {
        help_print();
        return;
    }
    if (profile_get()->id == PROFILE_10_0) {
        printf("Usage:\n%.*s.  Usage:\n\n", (int)strcspn(spec->about, "."), spec->about);
        print_synopsis(spec);
        printf("\n\nArguments:\n");
    } else {
        printf("Usage:\n");
        print_synopsis(spec);
        printf("\n\n%s\n\nArguments:\n", spec->about);
    }
    for (const struct option_row *row = spec->rows; row->set != NULL; row++) {
        if (row->help != NULL) {
            print_row(row);
        }
    }
    print_operands(spec->operands);
    printf("\n");
}
