/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of drivers.
 */
#include "compat/driver.h"

#include <string.h>

#include "compat/driver_options.h"
#include "compat/wording.h"

/* In the order of --help. */
static const struct driver drivers[] = {
    {.name = "blkdebug", .is_protocol = TRUE},
    {.name = "blklogwrites"},
    {.name = "blkverify", .is_protocol = TRUE},
    {.name = "bochs"},
    {.name = "cloop"},
    {.name = "compress", .is_filter = TRUE},
    {.name = "copy-before-write"},
    {.name = "copy-on-read", .is_filter = TRUE},
    {.name = "dmg"},
    {.name = "file", .create = file_create_options, .is_protocol = TRUE, .built = TRUE},
    {.name = "ftp", .is_protocol = TRUE},
    {.name = "ftps", .is_protocol = TRUE},
    {.name = "host_cdrom", .create = existing_create_options, .is_protocol = TRUE},
    {.name = "host_device", .create = existing_create_options, .is_protocol = TRUE, .built = TRUE},
    {.name = "http", .is_protocol = TRUE},
    {.name = "https", .is_protocol = TRUE},
    {.name = "iscsi", .create = existing_create_options, .is_protocol = TRUE},
    {.name = "iser", .create = existing_create_options, .is_protocol = TRUE},
    {.name = "luks", .create = luks_create_options, .amend = luks_amend_options, .built = TRUE},
    {.name = "nbd", .create = existing_create_options, .is_protocol = TRUE, .built = TRUE},
    {.name = "nfs", .create = size_create_options, .is_protocol = TRUE},
    {.name = "null-aio", .is_protocol = TRUE},
    {.name = "null-co", .is_protocol = TRUE},
    {.name = "nvme", .create = existing_create_options, .is_protocol = TRUE},
    {.name = "parallels", .create = parallels_create_options, .can_back = TRUE, .built = TRUE},
    {.name = "preallocate", .is_filter = TRUE},
    {.name = "qcow",
     .create = qcow_create_options,
     .can_compress = TRUE,
     .can_back = TRUE,
     .built = TRUE},
    {.name = "qcow2",
     .create = qcow2_create_options,
     .amend = qcow2_amend_options,
     .can_compress = TRUE,
     .can_back = TRUE,
     .built = TRUE},
    {.name = "qed", .create = qed_create_options, .can_back = TRUE, .built = TRUE},
    {.name = "quorum"},
    {.name = "raw", .create = size_create_options, .built = TRUE},
    {.name = "rbd", .create = size_create_options, .is_protocol = TRUE},
    {.name = "replication"},
    {.name = "snapshot-access"},
    {.name = "ssh", .create = size_create_options, .is_protocol = TRUE},
    {.name = "throttle", .is_filter = TRUE},
    {.name = "vdi", .create = vdi_create_options, .built = TRUE},
    {.name = "vhdx", .create = vhdx_create_options, .built = TRUE},
    {.name = "vmdk",
     .create = vmdk_create_options,
     .can_compress = TRUE,
     .can_back = TRUE,
     .built = TRUE},
    {.name = "vpc", .create = vpc_create_options, .built = TRUE},
    {.name = "vvfat", .is_protocol = TRUE},
};

/* Names of protocols that differ from their driver's, or that a driver answers besides its own. */
static const struct {
    const char *prefix;
    const char *driver;
} prefixes[] = {
    {"fat", "vvfat"},
    {"nbd+tcp", "nbd"},
    {"nbd+unix", "nbd"},
};

const struct driver *driver_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++) {
        if (strcmp(drivers[i].name, name) == 0) {
            return &drivers[i];
        }
    }
    return NULL;
}

const struct driver *driver_at(size_t i)
{
    return i < G_N_ELEMENTS(drivers) ? &drivers[i] : NULL;
}

const struct driver *driver_of_name(const char *filename, GError **error)
{
    size_t len = strcspn(filename, ":/");
    g_autofree char *prefix = NULL;
    const struct driver *driver;

    if (filename[len] != ':') {
        return driver_find("file");
    }
    prefix = g_strndup(filename, len);
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (strcmp(prefixes[i].prefix, prefix) == 0) {
            return driver_find(prefixes[i].driver);
        }
    }
    driver = driver_find(prefix);
    if (driver == NULL || !driver->is_protocol || strcmp(prefix, "vvfat") == 0) {
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Unknown protocol '%s'", prefix);
        return NULL;
    }
    return driver;
}

gboolean driver_require_built(const struct driver *driver, GError **error)
{
    if (!driver->built) {
        return wording_fail(error, "The '%s' driver is not built yet in instar", driver->name);
    }
    return TRUE;
}
