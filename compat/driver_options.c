/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option tables of the drivers.
 *
 * Names, defaults and descriptions are interface: callers read `-o help`. A default is given here
 * only where the Formatting line prints it unasked.
 */
#include "compat/driver_options.h"

#include <stddef.h>

const struct keyval_def size_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = NULL},
};

const struct keyval_def file_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "nocow", .type = KEYVAL_BOOL, .help = "Turn off copy-on-write (valid only on btrfs)"},
    {.name = "preallocation",
     .type = KEYVAL_STRING,
     .help = "Preallocation mode (allowed values: off, falloc, full)"},
    {.name = "extent_size_hint",
     .type = KEYVAL_SIZE,
     .help = "Extent size hint for the image file, 0 to disable"},
    {.name = NULL},
};

const struct keyval_def existing_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "preallocation",
     .type = KEYVAL_STRING,
     .help = "Preallocation mode (allowed values: off)"},
    {.name = NULL},
};

const struct keyval_def luks_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "key-secret",
     .type = KEYVAL_STRING,
     .help = "ID of the secret that provides the keyslot passphrase"},
    {.name = "cipher-alg", .type = KEYVAL_STRING, .help = "Name of encryption cipher algorithm"},
    {.name = "cipher-mode", .type = KEYVAL_STRING, .help = "Name of encryption cipher mode"},
    {.name = "ivgen-alg", .type = KEYVAL_STRING, .help = "Name of IV generator algorithm"},
    {.name = "ivgen-hash-alg",
     .type = KEYVAL_STRING,
     .help = "Name of IV generator hash algorithm"},
    {.name = "hash-alg", .type = KEYVAL_STRING, .help = "Name of encryption hash algorithm"},
    {.name = "iter-time", .type = KEYVAL_NUMBER, .help = "Time to spend in PBKDF in milliseconds"},
    {.name = "detached-header",
     .type = KEYVAL_BOOL,
     .help = "Create a detached LUKS header",
     .since = PROFILE_10_0},
    {.name = NULL},
};

const struct keyval_def parallels_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "cluster_size",
     .type = KEYVAL_SIZE,
     .default_text = "1048576",
     .help = "Parallels image cluster size"},
    {.name = NULL},
};

const struct keyval_def qcow_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "backing_file", .type = KEYVAL_STRING, .help = "File name of a base image"},
    {.name = "backing_fmt", .type = KEYVAL_STRING, .help = "Format of the backing image"},
    {.name = "encryption",
     .type = KEYVAL_BOOL,
     .help = "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)"},
    {.name = "encrypt.format",
     .type = KEYVAL_STRING,
     .help = "Encrypt the image, format choices: 'aes'"},
    {.name = "encrypt.key-secret",
     .type = KEYVAL_STRING,
     .help = "ID of the secret that provides the AES encryption key"},
    {.name = NULL},
};

const struct keyval_def qcow2_create_options[] = {
    {.name = "encryption",
     .type = KEYVAL_BOOL,
     .help = "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)"},
    {.name = "encrypt.format",
     .type = KEYVAL_STRING,
     .help = "Encrypt the image, format choices: 'aes', 'luks'"},
    {.name = "encrypt.key-secret",
     .type = KEYVAL_STRING,
     .help = "ID of secret providing qcow AES key or LUKS passphrase"},
    {.name = "encrypt.cipher-alg",
     .type = KEYVAL_STRING,
     .help = "Name of encryption cipher algorithm"},
    {.name = "encrypt.cipher-mode",
     .type = KEYVAL_STRING,
     .help = "Name of encryption cipher mode"},
    {.name = "encrypt.ivgen-alg", .type = KEYVAL_STRING, .help = "Name of IV generator algorithm"},
    {.name = "encrypt.ivgen-hash-alg",
     .type = KEYVAL_STRING,
     .help = "Name of IV generator hash algorithm"},
    {.name = "encrypt.hash-alg",
     .type = KEYVAL_STRING,
     .help = "Name of encryption hash algorithm"},
    {.name = "encrypt.iter-time",
     .type = KEYVAL_NUMBER,
     .help = "Time to spend in PBKDF in milliseconds"},
    {.name = "cluster_size",
     .type = KEYVAL_SIZE,
     .default_text = "65536",
     .help = "qcow2 cluster size"},
    {.name = "extended_l2",
     .type = KEYVAL_BOOL,
     .default_text = "off",
     .help = "Extended L2 tables"},
    {.name = "preallocation",
     .type = KEYVAL_STRING,
     .help = "Preallocation mode (allowed values: off, metadata, falloc, full)"},
    {.name = "compression_type",
     .type = KEYVAL_STRING,
     .default_text = "zlib",
     .help = "Compression method used for image cluster compression"},
    {.name = "keep_data_file",
     .type = KEYVAL_BOOL,
     .help = "Assume the external data file already exists and do not overwrite it",
     .since = PROFILE_11_1},
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "compat",
     .type = KEYVAL_STRING,
     .help = "Compatibility level (v2 [0.10] or v3 [1.1])"},
    {.name = "backing_file", .type = KEYVAL_STRING, .help = "File name of a base image"},
    {.name = "backing_fmt", .type = KEYVAL_STRING, .help = "Image format of the base image"},
    {.name = "data_file", .type = KEYVAL_STRING, .help = "File name of an external data file"},
    {.name = "data_file_raw",
     .type = KEYVAL_BOOL,
     .help = "The external data file must stay valid as a raw image"},
    {.name = "lazy_refcounts",
     .type = KEYVAL_BOOL,
     .default_text = "off",
     .help = "Postpone refcount updates"},
    {.name = "refcount_bits",
     .type = KEYVAL_NUMBER,
     .default_text = "16",
     .help = "Width of a reference count entry in bits"},
    {.name = NULL},
};

const struct keyval_def qed_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "backing_file", .type = KEYVAL_STRING, .help = "File name of a base image"},
    {.name = "backing_fmt", .type = KEYVAL_STRING, .help = "Image format of the base image"},
    {.name = "cluster_size",
     .type = KEYVAL_SIZE,
     .default_text = "65536",
     .help = "Cluster size (in bytes)"},
    {.name = "table_size", .type = KEYVAL_SIZE, .help = "L1/L2 table size (in clusters)"},
    {.name = NULL},
};

const struct keyval_def vdi_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "static",
     .type = KEYVAL_BOOL,
     .default_text = "off",
     .help = "VDI static (pre-allocated) image"},
    {.name = NULL},
};

const struct keyval_def vhdx_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size; max of 64TB."},
    {.name = "log_size",
     .type = KEYVAL_SIZE,
     .default_text = "1048576",
     .help = "Log size; min 1MB."},
    {.name = "block_size",
     .type = KEYVAL_SIZE,
     .default_text = "0",
     .help = "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size."},
    {.name = "subformat",
     .type = KEYVAL_STRING,
     .help = "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'."},
    {.name = "block_state_zero",
     .type = KEYVAL_BOOL,
     .help = "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do not set "
             "to 'off' when using 'qemu-img convert' with subformat=dynamic."},
    /* stock has no such options for these two formats: they are not listed */
    {.name = "backing_file", .type = KEYVAL_STRING, .since = PROFILE_NR},
    {.name = "backing_fmt", .type = KEYVAL_STRING, .since = PROFILE_NR},
    {.name = NULL},
};

const struct keyval_def vmdk_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "adapter_type",
     .type = KEYVAL_STRING,
     .help = "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX"},
    {.name = "backing_file", .type = KEYVAL_STRING, .help = "File name of a base image"},
    {.name = "backing_fmt", .type = KEYVAL_STRING, .help = "Must be 'vmdk' if present"},
    {.name = "compat6", .type = KEYVAL_BOOL, .default_text = "off", .help = "VMDK version 6 image"},
    {.name = "hwversion",
     .type = KEYVAL_STRING,
     .default_text = "undefined",
     .help = "VMDK hardware version"},
    {.name = "toolsversion", .type = KEYVAL_STRING, .help = "VMware guest tools version"},
    {.name = "subformat",
     .type = KEYVAL_STRING,
     .help = "VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat "
             "| twoGbMaxExtentSparse | twoGbMaxExtentFlat | streamOptimized} "},
    {.name = "zeroed_grain",
     .type = KEYVAL_BOOL,
     .help = "Enable efficient zero writes using the zeroed-grain GTE feature"},
    {.name = NULL},
};

const struct keyval_def vpc_create_options[] = {
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "subformat",
     .type = KEYVAL_STRING,
     .help =
         "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} "},
    {.name = "force_size",
     .type = KEYVAL_BOOL,
     .help = "Force disk size calculation to use the actual size specified, rather than using the "
             "nearest CHS-based calculation"},
    {.name = "backing_file", .type = KEYVAL_STRING, .since = PROFILE_NR},
    {.name = "backing_fmt", .type = KEYVAL_STRING, .since = PROFILE_NR},
    {.name = NULL},
};

const struct keyval_def luks_amend_options[] = {
    {.name = "state",
     .type = KEYVAL_STRING,
     .help = "Select new state of affected keyslots (active/inactive)"},
    {.name = "new-secret",
     .type = KEYVAL_STRING,
     .help = "New secret to set in the matching keyslots. Empty string to erase"},
    {.name = "old-secret",
     .type = KEYVAL_STRING,
     .help = "Select all keyslots that match this password"},
    {.name = "keyslot",
     .type = KEYVAL_NUMBER,
     .help = "Select a single keyslot to modify explicitly"},
    {.name = "iter-time", .type = KEYVAL_NUMBER, .help = "Time to spend in PBKDF in milliseconds"},
    {.name = NULL},
};

const struct keyval_def qcow2_amend_options[] = {
    {.name = "encrypt.state",
     .type = KEYVAL_STRING,
     .help = "Select new state of affected keyslots (active/inactive)"},
    {.name = "encrypt.new-secret",
     .type = KEYVAL_STRING,
     .help = "New secret to set in the matching keyslots. Empty string to erase"},
    {.name = "encrypt.old-secret",
     .type = KEYVAL_STRING,
     .help = "Select all keyslots that match this password"},
    {.name = "encrypt.keyslot",
     .type = KEYVAL_NUMBER,
     .help = "Select a single keyslot to modify explicitly"},
    {.name = "encrypt.iter-time",
     .type = KEYVAL_NUMBER,
     .help = "Time to spend in PBKDF in milliseconds"},
    {.name = "size", .type = KEYVAL_SIZE, .help = "Virtual disk size"},
    {.name = "compat",
     .type = KEYVAL_STRING,
     .help = "Compatibility level (v2 [0.10] or v3 [1.1])"},
    {.name = "backing_file", .type = KEYVAL_STRING, .help = "File name of a base image"},
    {.name = "backing_fmt", .type = KEYVAL_STRING, .help = "Image format of the base image"},
    {.name = "data_file", .type = KEYVAL_STRING, .help = "File name of an external data file"},
    {.name = "data_file_raw",
     .type = KEYVAL_BOOL,
     .help = "The external data file must stay valid as a raw image"},
    {.name = "lazy_refcounts", .type = KEYVAL_BOOL, .help = "Postpone refcount updates"},
    {.name = "refcount_bits",
     .type = KEYVAL_NUMBER,
     .help = "Width of a reference count entry in bits"},
    {.name = NULL},
};
