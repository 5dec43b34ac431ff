/*
 * passfile.h: passwords for servers in libpq's password file: host:port:database:user:password.
 *
 * `*` stands for everything, a backslash makes the next character an ordinary one.  The first line that fits counts.
 */
#ifndef PGWEIR_CONFIG_PASSFILE_H
#define PGWEIR_CONFIG_PASSFILE_H

#include "config/arena.h"
#include "config/problems.h"
#include "session/options.h"

/* Read the file into settings->passwords.  As with libpq, it must be its owner's alone. */
extern void passfile_read(const char *path, Settings *settings, Arena *arena, ConfigProblems *problems);

#endif
