/*
 * loader.h: inside of config/: from files to a filled Config.  Users of a configuration need config.h only.
 */
#ifndef PGWEIR_CONFIG_LOADER_H
#define PGWEIR_CONFIG_LOADER_H

#include "config/config.h"

/* An empty Config with every key at its default, or NULL when out of memory. */
extern Config *config_new(void);
/* A row's struct within the config: Settings, ProcessOptions, or NULL for a key without effect. */
extern void *config_home(const Config *config, const ConfigRow *row);
/* Read the file, all it includes, and the auth file into a new config.  Mistakes go to problems. */
extern void config_read(Config *config, const char *path, ConfigProblems *problems);
/* Add a user without any values of its own; NULL when out of memory.  The name is not there yet. */
extern UserSpec *config_new_user(Settings *settings, Arena *arena, const char *name);
/* Set what follows from other values (reporter_name). */
extern void config_derive(Config *config, ConfigProblems *problems);
/* A key was changed: what was made from it and from files, config_derive() is to make anew. */
extern void config_forget_files(Config *config, const char *key);
/*
 * Look for what fits no single key: values that contradict each other or cannot work.  path is the file they
 * are from, or NULL when they are not from a file.
 */
extern void config_validate(const Config *config, const char *path, ConfigProblems *problems);

#endif
