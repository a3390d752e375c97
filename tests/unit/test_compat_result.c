/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as human text and JSON, byte for byte as stock prints them.
 *
 * source: the captures in the reference's output page
 */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "compat/human.h"
#include "compat/json.h"
#include "compat/profile.h"
#include "compat/progress.h"
#include "compat/result.h"
#include "tests/unit/compat_capture.h"

static char *end_stdout(void)
{
    char *out = NULL, *err = NULL;

    capture_end(&out, &err);
    g_assert_cmpstr(err, ==, "");
    g_free(err);
    return out;
}

#define EXPECT_OUTPUT(call, want)                                                                  \
    do {                                                                                           \
        char *got_text;                                                                            \
        capture_begin();                                                                           \
        call;                                                                                      \
        got_text = end_stdout();                                                                   \
        g_assert_cmpstr(got_text, ==, want);                                                       \
        g_free(got_text);                                                                          \
    } while (0)

static void use_profile(const char *name)
{
    g_assert_true(profile_select(name, NULL));
}

/* ---- info ---- */

static struct image_info *file_node(const char *name, uint64_t size, uint64_t disk)
{
    struct image_info *file = image_info_new();

    file->filename = g_strdup(name);
    file->format = g_strdup("file");
    file->virtual_size_bytes = size;
    file->have_actual_size = TRUE;
    file->actual_size_bytes = disk;
    file->have_dirty_flag = TRUE;
    file->specific.kind = SPECIFIC_FILE;
    return file;
}

static struct image_info *qcow2_image(void)
{
    struct image_info *info = image_info_new();
    struct qcow2_info *qcow2 = qcow2_info_new();

    info->filename = g_strdup("a.qcow2");
    info->format = g_strdup("qcow2");
    info->virtual_size_bytes = 10737418240;
    info->have_actual_size = TRUE;
    info->actual_size_bytes = 200704;
    info->cluster_size_bytes = 65536;
    info->have_dirty_flag = TRUE;
    info->specific.kind = SPECIFIC_QCOW2;
    info->specific.qcow2 = qcow2;
    qcow2->version = 3;
    qcow2->compression_type = "zlib";
    qcow2->refcount_bits = 16;
    image_info_add_child(info, "file", file_node("a.qcow2", 197120, 200704));
    return info;
}

#define QCOW2_HEAD                                                                                 \
    "image: a.qcow2\n"                                                                             \
    "file format: qcow2\n"                                                                         \
    "virtual size: 10 GiB (10737418240 bytes)\n"                                                   \
    "disk size: 196 KiB\n"                                                                         \
    "cluster_size: 65536\n"
#define QCOW2_SPECIFIC                                                                             \
    "Format specific information:\n"                                                               \
    "    compat: 1.1\n"                                                                            \
    "    compression type: zlib\n"                                                                 \
    "    lazy refcounts: false\n"                                                                  \
    "    refcount bits: 16\n"                                                                      \
    "    corrupt: false\n"                                                                         \
    "    extended l2: false\n"
#define QCOW2_CHILD                                                                                \
    "Child node '/file':\n"                                                                        \
    "    filename: a.qcow2\n"                                                                      \
    "    protocol type: file\n"                                                                    \
    "    file length: 192 KiB (197120 bytes)\n"                                                    \
    "    disk size: 196 KiB\n"

static void test_info_human(void)
{
    struct image_info *info = qcow2_image();

    EXPECT_OUTPUT(human_info(stdout, &info, 1), QCOW2_HEAD QCOW2_SPECIFIC QCOW2_CHILD);
    use_profile("7.2");
    EXPECT_OUTPUT(human_info(stdout, &info, 1), QCOW2_HEAD QCOW2_SPECIFIC);
    use_profile(NULL);
    image_info_free(info);
}

#define JSON_SPECIFIC                                                                              \
    "    \"virtual-size\": 10737418240,\n"                                                         \
    "    \"filename\": \"a.qcow2\",\n"                                                             \
    "    \"cluster-size\": 65536,\n"                                                               \
    "    \"format\": \"qcow2\",\n"                                                                 \
    "    \"actual-size\": 200704,\n"                                                               \
    "    \"format-specific\": {\n"                                                                 \
    "        \"type\": \"qcow2\",\n"                                                               \
    "        \"data\": {\n"                                                                        \
    "            \"compat\": \"1.1\",\n"                                                           \
    "            \"compression-type\": \"zlib\",\n"                                                \
    "            \"lazy-refcounts\": false,\n"                                                     \
    "            \"refcount-bits\": 16,\n"                                                         \
    "            \"corrupt\": false,\n"                                                            \
    "            \"extended-l2\": false\n"                                                         \
    "        }\n"                                                                                  \
    "    },\n"                                                                                     \
    "    \"dirty-flag\": false\n"

static void test_info_json(void)
{
    struct image_info *info = qcow2_image();

    EXPECT_OUTPUT(json_info(stdout, &info, 1, FALSE), "{\n"
                                                      "    \"children\": [\n"
                                                      "        {\n"
                                                      "            \"name\": \"file\",\n"
                                                      "            \"info\": {\n"
                                                      "                \"children\": [\n"
                                                      "                ],\n"
                                                      "                \"virtual-size\": 197120,\n"
                                                      "                \"filename\": \"a.qcow2\",\n"
                                                      "                \"format\": \"file\",\n"
                                                      "                \"actual-size\": 200704,\n"
                                                      "                \"format-specific\": {\n"
                                                      "                    \"type\": \"file\",\n"
                                                      "                    \"data\": {\n"
                                                      "                    }\n"
                                                      "                },\n"
                                                      "                \"dirty-flag\": false\n"
                                                      "            }\n"
                                                      "        }\n"
                                                      "    ],\n" JSON_SPECIFIC "}\n");
    use_profile("7.2");
    EXPECT_OUTPUT(json_info(stdout, &info, 1, FALSE), "{\n" JSON_SPECIFIC "}\n");
    use_profile(NULL);
    image_info_free(info);
}

static void test_info_old_compat(void)
{
    struct image_info *info = qcow2_image();

    use_profile("7.2");
    info->specific.qcow2->version = 2;
    EXPECT_OUTPUT(human_info(stdout, &info, 1), QCOW2_HEAD "Format specific information:\n"
                                                           "    compat: 0.10\n"
                                                           "    compression type: zlib\n"
                                                           "    refcount bits: 16\n");
    use_profile(NULL);
    image_info_free(info);
}

static void test_info_backing(void)
{
    struct image_info *info = qcow2_image();

    use_profile("7.2");
    info->dirty = TRUE;
    info->backing_filename = g_strdup("b.qcow2");
    info->full_backing_filename = g_strdup("d/b.qcow2");
    info->backing_filename_format = g_strdup("qcow2");
    EXPECT_OUTPUT(human_info(stdout, &info, 1),
                  QCOW2_HEAD "cleanly shut down: no\n"
                             "backing file: b.qcow2 (actual path: d/b.qcow2)\n"
                             "backing file format: qcow2\n" QCOW2_SPECIFIC);
    g_free(info->full_backing_filename);
    info->full_backing_filename = NULL;
    EXPECT_OUTPUT(human_info(stdout, &info, 1),
                  QCOW2_HEAD "cleanly shut down: no\n"
                             "backing file: b.qcow2 (cannot determine actual path)\n"
                             "backing file format: qcow2\n" QCOW2_SPECIFIC);
    use_profile(NULL);
    image_info_free(info);
}

/* A backing file name that would forge a line and clear the screen. */
static void test_info_forged_lines(void)
{
    struct image_info *info = image_info_new();

    info->filename = g_strdup("a\nfile format: raw");
    info->format = g_strdup("qcow2");
    info->virtual_size_bytes = 512;
    info->backing_filename = g_strdup("b\nfile format: raw\x1b[2J");
    EXPECT_OUTPUT(human_info(stdout, &info, 1),
                  "image: a\\x0afile format: raw\n"
                  "file format: qcow2\n"
                  "virtual size: 512 B (512 bytes)\n"
                  "disk size: unavailable\n"
                  "backing file: b\\x0afile format: raw\\x1b[2J (cannot determine actual path)\n");
    image_info_free(info);
}

static void test_info_chain(void)
{
    struct image_info *chain[2] = {image_info_new(), image_info_new()};

    use_profile("7.2");
    for (int i = 0; i < 2; i++) {
        chain[i]->filename = g_strdup(i == 0 ? "a" : "b");
        chain[i]->format = g_strdup("raw");
        chain[i]->virtual_size_bytes = 512;
    }
    EXPECT_OUTPUT(human_info(stdout, chain, 2), "image: a\n"
                                                "file format: raw\n"
                                                "virtual size: 512 B (512 bytes)\n"
                                                "disk size: unavailable\n"
                                                "\n"
                                                "image: b\n"
                                                "file format: raw\n"
                                                "virtual size: 512 B (512 bytes)\n"
                                                "disk size: unavailable\n");
    EXPECT_OUTPUT(json_info(stdout, chain, 2, TRUE), "[\n"
                                                     "    {\n"
                                                     "        \"virtual-size\": 512,\n"
                                                     "        \"filename\": \"a\",\n"
                                                     "        \"format\": \"raw\"\n"
                                                     "    },\n"
                                                     "    {\n"
                                                     "        \"virtual-size\": 512,\n"
                                                     "        \"filename\": \"b\",\n"
                                                     "        \"format\": \"raw\"\n"
                                                     "    }\n"
                                                     "]\n");
    use_profile(NULL);
    image_info_free(chain[0]);
    image_info_free(chain[1]);
}

static void add_bitmap(GPtrArray *list, const char *name, uint64_t granularity, gboolean auto_load)
{
    struct bitmap_entry *entry = g_new0(struct bitmap_entry, 1);

    entry->name = g_strdup(name);
    entry->granularity_bytes = granularity;
    entry->auto_load = auto_load;
    g_ptr_array_add(list, entry);
}

static void test_info_bitmaps(void)
{
    struct image_info *info = qcow2_image();
    struct qcow2_info *qcow2 = info->specific.qcow2;

    use_profile("7.2");
    qcow2->bitmaps = bitmap_list_new();
    qcow2->data_file = g_strdup("d.raw");
    qcow2->have_data_file_raw = TRUE;
    add_bitmap(qcow2->bitmaps, "b0", 65536, TRUE);
    add_bitmap(qcow2->bitmaps, "b1", 4096, FALSE);
    EXPECT_OUTPUT(human_info(stdout, &info, 1), QCOW2_HEAD "Format specific information:\n"
                                                           "    compat: 1.1\n"
                                                           "    compression type: zlib\n"
                                                           "    lazy refcounts: false\n"
                                                           "    bitmaps:\n"
                                                           "        [0]:\n"
                                                           "            flags:\n"
                                                           "                [0]: auto\n"
                                                           "            name: b0\n"
                                                           "            granularity: 65536\n"
                                                           "        [1]:\n"
                                                           "            flags:\n"
                                                           "            name: b1\n"
                                                           "            granularity: 4096\n"
                                                           "    refcount bits: 16\n"
                                                           "    data file: d.raw\n"
                                                           "    data file raw: false\n"
                                                           "    corrupt: false\n"
                                                           "    extended l2: false\n");
    use_profile(NULL);
    image_info_free(info);
}

static void test_info_limits(void)
{
    struct image_info *info = image_info_new(), *file = file_node("a.raw", 4096, 0);

    info->filename = g_strdup("a.raw");
    info->format = g_strdup("raw");
    info->virtual_size_bytes = 4096;
    info->have_actual_size = TRUE;
    info->limits = g_new0(struct limits_info, 1);
    info->limits->request_alignment = 1;
    info->limits->min_mem_alignment = 1;
    info->limits->opt_mem_alignment = 4096;
    info->limits->max_iov = 1024;
    info->limits->write_zeroes_alignment = 65536;
    image_info_add_child(info, "file", file);
    EXPECT_OUTPUT(human_info(stdout, &info, 1), "image: a.raw\n"
                                                "file format: raw\n"
                                                "virtual size: 4 KiB (4096 bytes)\n"
                                                "disk size: 0 B\n"
                                                "Block limits:\n"
                                                "    write zeroes alignment: 65536\n"
                                                "    request alignment: 1\n"
                                                "    min mem alignment: 1\n"
                                                "    opt mem alignment: 4096\n"
                                                "    max iov: 1024\n"
                                                "Child node '/file':\n"
                                                "    filename: a.raw\n"
                                                "    protocol type: file\n"
                                                "    file length: 4 KiB (4096 bytes)\n"
                                                "    disk size: 0 B\n");
    image_info_free(info);
}

/* ---- snapshots ---- */

static GPtrArray *two_snapshots(void)
{
    GPtrArray *list = snapshot_list_new();

    for (int i = 0; i < 2; i++) {
        struct snapshot_entry *entry = g_new0(struct snapshot_entry, 1);

        entry->id = g_strdup_printf("%d", i + 1);
        entry->name = g_strdup(i == 0 ? "s1" : "second snapshot with long name");
        entry->date_sec = 86400;
        entry->vm_clock_nsec = i == 0 ? 0 : UINT64_C(3723004000000);
        entry->have_icount = i == 0;
        g_ptr_array_add(list, entry);
    }
    return list;
}

static void test_snapshots(void)
{
    g_autoptr(GPtrArray) list = two_snapshots();
    g_autoptr(GPtrArray) none = snapshot_list_new();

    EXPECT_OUTPUT(
        human_snapshots(stdout, list),
        "Snapshot list:\n"
        "ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT\n"
        "1       s1                    0 B 1970-01-02 00:00:00  0000:00:00.000          0\n"
        "2       second snapshot with long name      0 B 1970-01-02 00:00:00  0001:02:03.004"
        "         --\n");
    use_profile("7.2");
    EXPECT_OUTPUT(
        human_snapshots(stdout, list),
        "Snapshot list:\n"
        "ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT\n"
        "1         s1                    0 B 1970-01-02 00:00:00 00:00:00.000          0\n"
        "2         second snapshot with long name      0 B 1970-01-02 00:00:00 01:02:03.004"
        "           \n");
    use_profile(NULL);
    EXPECT_OUTPUT(human_snapshots(stdout, none), "");
}

/* ---- check ---- */

static void test_check(void)
{
    struct check_result check = {
        .filename = "a.qcow2",
        .format = "qcow2",
        .have_image_end_offset = TRUE,
        .image_end_offset_bytes = 524288,
        .total_clusters = 160,
        .allocated_clusters = 3,
        .fragmented_clusters = 2,
    };

    EXPECT_OUTPUT(human_check(stdout, &check),
                  "No errors were found on the image.\n"
                  "3/160 = 1.88% allocated, 66.67% fragmented, 0.00% compressed clusters\n"
                  "Image end offset: 524288\n");
    EXPECT_OUTPUT(json_check(stdout, &check), "{\n"
                                              "    \"image-end-offset\": 524288,\n"
                                              "    \"total-clusters\": 160,\n"
                                              "    \"check-errors\": 0,\n"
                                              "    \"allocated-clusters\": 3,\n"
                                              "    \"filename\": \"a.qcow2\",\n"
                                              "    \"format\": \"qcow2\",\n"
                                              "    \"fragmented-clusters\": 2\n"
                                              "}\n");
    check = (struct check_result){.filename = "a", .format = "qcow2", .corruptions = 1, .leaks = 1};
    EXPECT_OUTPUT(human_check(stdout, &check),
                  "\n1 errors were found on the image.\n"
                  "Data may be corrupted, or further writes to the image may corrupt it.\n"
                  "\n1 leaked clusters were found on the image.\n"
                  "This means waste of disk space, but no harm to data.\n");
    EXPECT_OUTPUT(human_check_repaired(stdout, 0, 1),
                  "The following inconsistencies were found and repaired:\n"
                  "\n"
                  "    0 leaked clusters\n"
                  "    1 corruptions\n"
                  "\n"
                  "Double checking the fixed image now...\n");
}

/* ---- map ---- */

static void test_map_human(void)
{
    struct map_entry data = {.length_bytes = 65536,
                             .present = TRUE,
                             .data = TRUE,
                             .have_offset = TRUE,
                             .offset_bytes = 327680,
                             .filename = "a.qcow2"};
    struct map_entry zero = {.start_bytes = 65536, .length_bytes = 65536, .zero = TRUE};
    struct map_entry compressed = {.data = TRUE, .compressed = TRUE};
    g_autoptr(GError) error = NULL;

    capture_begin();
    human_map_begin(stdout);
    g_assert_true(human_map_entry(stdout, &data, NULL));
    g_assert_true(human_map_entry(stdout, &zero, NULL));
    g_assert_false(human_map_entry(stdout, &compressed, &error));
    {
        g_autofree char *out = end_stdout();

        g_assert_cmpstr(out, ==,
                        "Offset          Length          Mapped to       File\n"
                        "0               0x10000         0x50000         a.qcow2\n");
    }
    g_assert_cmpstr(error->message, ==,
                    "File contains external, encrypted or compressed clusters.");
}

static void print_map(void)
{
    struct map_entry data = {.length_bytes = 65536,
                             .present = TRUE,
                             .data = TRUE,
                             .have_offset = TRUE,
                             .offset_bytes = 327680};
    struct map_entry zero = {.start_bytes = 65536, .length_bytes = 65536, .depth = 1, .zero = TRUE};
    struct json_map state = {0};

    json_map_begin(stdout, &state);
    json_map_entry(stdout, &state, &data);
    json_map_entry(stdout, &state, &zero);
    json_map_end(stdout, &state);
}

static void test_map_json(void)
{
    EXPECT_OUTPUT(
        print_map(),
        "[{ \"start\": 0, \"length\": 65536, \"depth\": 0, \"present\": true, \"zero\": false, "
        "\"data\": true, \"compressed\": false, \"offset\": 327680},\n"
        "{ \"start\": 65536, \"length\": 65536, \"depth\": 1, \"present\": false, \"zero\": true, "
        "\"data\": false, \"compressed\": false}]\n");
    use_profile("7.2");
    EXPECT_OUTPUT(
        print_map(),
        "[{ \"start\": 0, \"length\": 65536, \"depth\": 0, \"present\": true, \"zero\": false, "
        "\"data\": true, \"offset\": 327680},\n"
        "{ \"start\": 65536, \"length\": 65536, \"depth\": 1, \"present\": false, \"zero\": true, "
        "\"data\": false}]\n");
    use_profile(NULL);
}

/* ---- measure, compare, progress ---- */

static void test_measure(void)
{
    struct measure_result result = {.required_bytes = 327680, .fully_allocated_bytes = 10813440};

    EXPECT_OUTPUT(human_measure(stdout, &result), "required size: 327680\n"
                                                  "fully allocated size: 10813440\n");
    result.have_bitmaps = TRUE;
    result.bitmaps_bytes = 196608;
    EXPECT_OUTPUT(human_measure(stdout, &result), "required size: 327680\n"
                                                  "fully allocated size: 10813440\n"
                                                  "bitmaps size: 196608\n");
    EXPECT_OUTPUT(json_measure(stdout, &result), "{\n"
                                                 "    \"bitmaps\": 196608,\n"
                                                 "    \"required\": 327680,\n"
                                                 "    \"fully-allocated\": 10813440\n"
                                                 "}\n");
}

static void test_compare(void)
{
    struct compare_result result = {.verdict = COMPARE_IDENTICAL, .sizes_differ = TRUE};

    EXPECT_OUTPUT(human_compare(stdout, &result), "Warning: Image size mismatch!\n"
                                                  "Images are identical.\n");
    result = (struct compare_result){.verdict = COMPARE_CONTENT_MISMATCH, .offset_bytes = 4096};
    EXPECT_OUTPUT(human_compare(stdout, &result), "Content mismatch at offset 4096!\n");
    result = (struct compare_result){.verdict = COMPARE_STRICT_SIZE, .sizes_differ = TRUE};
    EXPECT_OUTPUT(human_compare(stdout, &result), "Strict mode: Image size mismatch!\n");
    result = (struct compare_result){.verdict = COMPARE_STRICT_STATUS, .offset_bytes = 512};
    EXPECT_OUTPUT(human_compare(stdout, &result),
                  "Strict mode: Offset 512 block status mismatch!\n");
}

static void run_progress(gboolean enabled, double step)
{
    progress_begin(enabled, step);
    progress_start();
    progress_update(5, 1000);
    progress_update(500, 1000);
    progress_update(400, 1000);
    progress_update(501, 1000);
    progress_update(1000, 1000);
    progress_update(1000, 1000);
    progress_complete();
    progress_end();
}

static void test_progress(void)
{
    EXPECT_OUTPUT(run_progress(TRUE, PROGRESS_STEP_CONVERT),
                  "    (0.00/100%)\r    (50.00/100%)\r    (100.00/100%)\r    (100.00/100%)\r\n");
    EXPECT_OUTPUT(run_progress(FALSE, PROGRESS_STEP_CONVERT), "");
}

static void test_progress_signal(void)
{
    char *out = NULL, *err = NULL;

    capture_begin();
    progress_begin(FALSE, 1.0);
    raise(SIGUSR1);
    progress_update(1, 4);
    progress_update(2, 4);
    progress_end();
    capture_end(&out, &err);
    g_assert_cmpstr(err, ==, "    (25.00/100%)\n");
    g_assert_cmpstr(out, ==, "");
    g_free(out);
    g_free(err);
}

int main(int argc, char **argv)
{
    g_setenv("TZ", "UTC", TRUE);
    tzset();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compat/result/info-human", test_info_human);
    g_test_add_func("/compat/result/info-json", test_info_json);
    g_test_add_func("/compat/result/info-old-compat", test_info_old_compat);
    g_test_add_func("/compat/result/info-backing", test_info_backing);
    g_test_add_func("/compat/result/info-forged-lines", test_info_forged_lines);
    g_test_add_func("/compat/result/info-chain", test_info_chain);
    g_test_add_func("/compat/result/info-bitmaps", test_info_bitmaps);
    g_test_add_func("/compat/result/info-limits", test_info_limits);
    g_test_add_func("/compat/result/snapshots", test_snapshots);
    g_test_add_func("/compat/result/check", test_check);
    g_test_add_func("/compat/result/map-human", test_map_human);
    g_test_add_func("/compat/result/map-json", test_map_json);
    g_test_add_func("/compat/result/measure", test_measure);
    g_test_add_func("/compat/result/compare", test_compare);
    g_test_add_func("/compat/progress/line", test_progress);
    g_test_add_func("/compat/progress/signal", test_progress_signal);
    return g_test_run();
}
