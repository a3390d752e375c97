/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main for a harness without libFuzzer: gives it the empty input, then every file of its corpus,
 * and reports each as a TAP case. A crash or a hang ends the program, and the last line with a #
 * names the input; the missing rest of the plan makes the test fail.
 *
 *   fuzz_NAME               replays $srcdir/fuzz/corpus/NAME
 *   fuzz_NAME PATH...       replays these files and folders
 *
 * It does not mutate anything: `./dev fuzz` does, with libFuzzer.
 */
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define SECONDS_PER_INPUT 60

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends the file, or the files in the folder. */
static void collect(GPtrArray *paths, const char *path)
{
    if (!g_file_test(path, G_FILE_TEST_IS_DIR)) {
        g_ptr_array_add(paths, g_strdup(path));
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
    if (!dir)
        g_error("%s", error->message);
    for (const char *name; (name = g_dir_read_name(dir));)
        g_ptr_array_add(paths, g_build_filename(path, name, NULL));
}

/* The corpus that belongs to the program's name, which libtool-less builds leave as it is. */
static void collect_own(GPtrArray *paths, const char *program)
{
    g_autofree char *name = g_path_get_basename(program);
    const char *target = g_str_has_prefix(name, "fuzz_") ? name + strlen("fuzz_") : name;
    const char *srcdir = g_getenv("srcdir");
    g_autofree char *dir = g_build_filename(srcdir ? srcdir : ".", "fuzz/corpus", target, NULL);
    if (g_file_test(dir, G_FILE_TEST_IS_DIR))
        collect(paths, dir);
}

static void replay(guint number, const char *title, const void *data, gsize len)
{
    g_print("# %s: %" G_GSIZE_FORMAT " bytes\n", title, len);
    alarm(SECONDS_PER_INPUT);
    LLVMFuzzerTestOneInput(data, len);
    alarm(0);
    g_print("ok %u - %s\n", number, title);
}

int main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    if (argc < 2)
        collect_own(paths, argv[0]);
    for (int i = 1; i < argc; i++)
        collect(paths, argv[i]);
    g_ptr_array_sort(paths, by_name);

    g_print("1..%u\n", paths->len + 1);
    replay(1, "empty input", "", 0);
    for (guint i = 0; i < paths->len; i++) {
        const char *path = g_ptr_array_index(paths, i);
        g_autofree char *data = NULL;
        gsize len = 0;
        g_autoptr(GError) error = NULL;
        if (!g_file_get_contents(path, &data, &len, &error))
            g_error("%s", error->message);
        g_autofree char *title = g_path_get_basename(path);
        replay(i + 2, title, data, len);
    }
    return 0;
}
