/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/resize_leftovers.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/wording.h"

#define FIRST_LINE "instar resize\n"
#define RECORD_MAX 65536u /* bytes that are looked at */

/* QEMU's locks are on these bytes of a file. */
#define LOCKS_START 100
#define LOCKS_BYTES 200

static char *record_path(const char *path)
{
    return g_strdup_printf("%s.resizing", path);
}

static char *line_of(const struct stat *st)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "\n", (guint64)st->st_dev,
                           (guint64)st->st_ino);
}

gboolean leftovers_note(const char *path, const GPtrArray *files, GError **error)
{
    g_autofree char *name = record_path(path);
    g_autoptr(GString) text = g_string_new(NULL);
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;
    gboolean ok;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 0)
        g_string_append(text, FIRST_LINE);
    for (guint i = 0; i < files->len; i++) {
        if (lstat(g_ptr_array_index(files, i), &st) == 0) {
            g_autofree char *line = line_of(&st);

            g_string_append(text, line);
        }
    }
    ok = fd >= 0 && write(fd, text->str, text->len) == (ssize_t)text->len && fsync(fd) == 0;
    if (!ok)
        wording_fail(error, "Could not write '%s': %s", name, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The record as text, or NULL: there is none, or it is none of ours. */
static char *read_record(const char *path)
{
    g_autofree char *name = record_path(path);
    g_autofree char *text = g_malloc0(RECORD_MAX + 1);
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    gboolean ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                  read(fd, text, RECORD_MAX) > 0 && g_str_has_prefix(text, FIRST_LINE);

    if (fd >= 0)
        close(fd);
    return ok ? g_steal_pointer(&text) : NULL;
}

static gboolean is_listed(const char *record, const struct stat *st)
{
    g_autofree char *line = line_of(st);
    g_autofree char *whole = g_strconcat("\n", line, NULL);

    return strstr(record, whole) != NULL;
}

static gboolean is_extent(const GPtrArray *extents, const struct stat *st)
{
    struct stat other;

    for (guint i = 0; i < extents->len; i++)
        if (stat(g_ptr_array_index(extents, i), &other) == 0 && other.st_dev == st->st_dev &&
            other.st_ino == st->st_ino)
            return TRUE;
    return FALSE;
}

static gboolean is_locked(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS_START, .l_len = LOCKS_BYTES};

    return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

static gboolean is_left(const char *record, const char *file, const GPtrArray *extents)
{
    int fd = open(file, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    gboolean left = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
                    (st.st_size == 0 || is_listed(record, &st)) && !is_extent(extents, &st) &&
                    !is_locked(fd);

    if (fd >= 0)
        close(fd);
    return left;
}

gboolean leftovers_recorded(const char *path)
{
    g_autofree char *record = read_record(path);

    return record != NULL;
}

void leftovers_remove(const char *path, const GPtrArray *names, const GPtrArray *extents)
{
    g_autofree char *record = read_record(path);

    for (guint i = 0; record != NULL && i < names->len; i++) {
        const char *file = g_ptr_array_index(names, i);

        if (is_left(record, file, extents))
            (void)unlink(file);
    }
}

void leftovers_done(const char *path)
{
    g_autofree char *name = record_path(path);

    (void)unlink(name);
}
