/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers only: the guest has no errno of its own, hosts report theirs. */
#ifndef INSTAR_GUEST_ERRNO_H
#define INSTAR_GUEST_ERRNO_H
#define EPERM      1
#define ENOENT     2
#define EIO        5
#define ENOMEM     12
#define EINVAL     22
#define EFBIG      27
#define ENOSPC     28
#define EOPNOTSUPP 95
#define ENOTSUP    EOPNOTSUPP
#endif
