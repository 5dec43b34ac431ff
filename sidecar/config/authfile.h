/*
 * authfile.h: the list of users and their secrets.
 *
 *   "user" "secret" anything
 *   ; comment
 *
 * A doubled quote inside the quotes stands for itself.  A secret is plain text, md5 + 32 hexadecimal digits,
 * SCRAM-SHA-256$..., or empty.  The last line of a user wins.
 */
#ifndef PGWEIR_CONFIG_AUTHFILE_H
#define PGWEIR_CONFIG_AUTHFILE_H

#include "config/arena.h"
#include "config/problems.h"
#include "session/options.h"

/*
 * Read the file and set the secret of each user named in it: users that settings already has get theirs,
 * others are added (allocated in the arena).  Mistakes go to problems with file and line, never with a part
 * of the line.
 */
extern void authfile_read(const char *path, Settings *settings, Arena *arena, ConfigProblems *problems);

#endif
