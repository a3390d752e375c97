/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catches what a piece of code prints, by putting files in memory under descriptors 1 and 2.
 */
#include "tests/unit/compat_capture.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static int saved[3];
static int caught[3];

static void divert(FILE *stream, int fd)
{
    fflush(stream);
    saved[fd] = dup(fd);
    caught[fd] = memfd_create("capture", MFD_CLOEXEC);
    g_assert_cmpint(caught[fd], >=, 0);
    dup2(caught[fd], fd);
}

static char *restore(FILE *stream, int fd)
{
    GString *text = g_string_new(NULL);
    char buf[4096];
    ssize_t got;

    fflush(stream);
    dup2(saved[fd], fd);
    close(saved[fd]);
    lseek(caught[fd], 0, SEEK_SET);
    while ((got = read(caught[fd], buf, sizeof(buf))) > 0) {
        g_string_append_len(text, buf, got);
    }
    close(caught[fd]);
    return g_string_free(text, FALSE);
}

void capture_begin(void)
{
    divert(stdout, 1);
    divert(stderr, 2);
}

void capture_end(char **out_stdout, char **out_stderr)
{
    *out_stdout = restore(stdout, 1);
    *out_stderr = restore(stderr, 2);
}
