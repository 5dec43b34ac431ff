/*
 * ini.h: the grammar of the configuration file, without the meaning.
 *
 *   ; comment, # comment             only as the first character of a line; later they are data
 *   [section]                        may repeat
 *   key = value                      value = rest of the line without trailing blanks, nothing is unquoted
 *   'any name' = value               a quoted key ("any name" too); a doubled quote inside stands for itself
 *   %include FILE                    relative to the working directory, nested at most INI_MAX_DEPTH deep
 *
 * Blanks in front of a line are skipped.  The section goes on through an included file and out of it again.
 *   host=10.0.0.1 password='it''s'   a connection string: the value of an entry of [databases] and [users]
 */
#ifndef PGWEIR_CONFIG_INI_H
#define PGWEIR_CONFIG_INI_H

#include <stdbool.h>
#include "config/problems.h"

#define INI_MAX_DEPTH 10

/* Called in file order.  The strings live for the time of the call.  section is NULL before the first header.
 */
typedef struct IniHandler
{
	void *arg;
	void (*on_section)(void *arg, const FilePlace *place, const char *section);
	void (*on_value)(void *arg, const FilePlace *place, const char *section, const char *key,
					 const char *value);
} IniHandler;

/*
 * Read a file and what it includes.  Syntax errors and unreadable files go to problems; reading goes on
 * behind them, so that all are found.  A text never holds the line itself: it may be a password.
 */
extern void ini_read(const char *path, const IniHandler *handler, ConfigProblems *problems);

/* One key=value of a connection string. */
typedef struct ConnectionParam
{
	const char *key;
	const char *value;
} ConnectionParam;

/*
 * Cut the next key=value from *cursor, in place (the string is overwritten, quotes are resolved).  Returns 1
 * with *out, 0 at the end of the string, -1 on a syntax error with a static description in *error.  An empty
 * value is a syntax error.
 */
extern int connection_string_next(char **cursor, ConnectionParam *out, const char **error);

#endif
