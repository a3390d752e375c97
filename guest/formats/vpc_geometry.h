/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cylinders, heads and sectors of a VHD.
 */
#ifndef INSTAR_GUEST_FORMATS_VPC_GEOMETRY_H
#define INSTAR_GUEST_FORMATS_VPC_GEOMETRY_H

#include <stdint.h>

struct vpc_geometry {
    uint16_t cylinder;
    uint8_t heads;
    uint8_t sectors; /* per track */
};

/*
 * The geometry of a disk: the largest that is no larger than the disk.
 *
 * units:   sectors of 512 bytes
 * source:  Virtual Hard Disk Image Format Specification 1.0, Appendix: CHS Calculation
 */
struct vpc_geometry vpc_geometry_below(uint64_t sectors);

/* The smallest geometry of that kind that is no smaller than the disk, or the largest there is. */
struct vpc_geometry vpc_geometry_above(uint64_t sectors);

static inline uint64_t vpc_geometry_sectors(const struct vpc_geometry *g)
{
    return (uint64_t)g->cylinder * g->heads * g->sectors;
}

#endif
