/* SPDX-License-Identifier: Apache-2.0 */
#include "src/plan/qcow2_options.h"

#include <string.h>

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = text != NULL ? strlen(text) : 0, .data = (uint8_t *)text};
}

void qcow2_options_fill(const struct create_qcow2 *from, Abi__Qcow2CreateOptions *to)
{
    abi__qcow2_create_options__init(to);
    to->version = from->version;
    to->cluster_size = from->cluster_size_bytes;
    to->refcount_bits = (uint32_t)MIN(from->refcount_bits, G_MAXUINT32);
    to->lazy_refcounts = from->lazy_refcounts;
    to->extended_l2 = from->extended_l2;
    to->compression_type = from->compression == QCOW2_ZSTD;
    to->preallocation = (Abi__Preallocation)from->preallocation;
    to->has_backing = from->backing_file != NULL;
    to->backing_file = bytes_of(from->backing_file);
    to->backing_format = bytes_of(from->backing_fmt);
    to->has_data_file = from->data_file != NULL;
    to->data_file = bytes_of(from->data_file);
    to->data_file_raw = from->data_file_raw;
    to->keep_data_file = from->keep_data_file;
}
