/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that print text share.
 */
#ifndef COMPAT_HUMAN_PRIVATE_H
#define COMPAT_HUMAN_PRIVATE_H

/*
 * Gives a name as people get to see it.
 *
 * Names come from images. One with a newline or an escape sequence in it could forge lines or play
 * with the terminal, so those are shown as \xNN; stock prints them raw.
 *
 * returns: newly allocated text
 */
char *human_name(const char *name);

#endif
