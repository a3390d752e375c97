/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vpc_geometry.h"

#include "guest/formats/vpc_layout.h"
#include "guest/lib/checked.h"

#define CYLINDERS_MAX 65535ull
#define HEADS_MAX     16ull

struct vpc_geometry vpc_geometry_below(uint64_t sectors)
{
    uint64_t per_track = 17, heads, tracks;

    sectors = min_u64(sectors, VPC_GEOMETRY_MAX_SECTORS);
    tracks = sectors / per_track;
    heads = max_u64((tracks + 1023) / 1024, 4);
    if (sectors >= CYLINDERS_MAX * HEADS_MAX * 63) {
        per_track = 255;
        heads = HEADS_MAX;
    } else if (tracks >= heads * 1024 || heads > HEADS_MAX) {
        per_track = 31;
        heads = HEADS_MAX;
        if (sectors / per_track >= heads * 1024)
            per_track = 63;
    }
    return (struct vpc_geometry){
        .cylinder = (uint16_t)(sectors / per_track / heads),
        .heads = (uint8_t)heads,
        .sectors = (uint8_t)per_track,
    };
}

struct vpc_geometry vpc_geometry_above(uint64_t sectors)
{
    struct vpc_geometry g = {0};

    sectors = min_u64(sectors, VPC_GEOMETRY_MAX_SECTORS);
    for (uint64_t more = 0; vpc_geometry_sectors(&g) < sectors; more++)
        g = vpc_geometry_below(sectors + more);
    return g;
}
