/*
 * command.h: the grammar of the admin console: text to command.  Pure functions; nothing is allocated.
 *
 *     name [argument] [;]                      PAUSE shop;
 *     SET key = value [;]   SET key TO value   SET query_timeout = '10'
 *
 * One command a packet.  Words are letters of any case, digits and _, or anything in double quotes ("" inside stands for one);
 * values may also stand in single quotes.  Only blanks, tabs and line ends separate.  There are no comments.
 */
#ifndef PGWEIR_ADMIN_COMMAND_H
#define PGWEIR_ADMIN_COMMAND_H

#include "base/slice.h"

#define COMMAND_NAME_MAX 15
#define COMMAND_ARGUMENT_MAX 63
#define COMMAND_VALUE_MAX 255

typedef enum CommandKind
{
	COMMAND_PLAIN,	  /* name and argument (empty when not given) */
	COMMAND_SET,	  /* argument is the key, value its value */
	COMMAND_INVALID,  /* not of this grammar */
	COMMAND_TOO_LONG, /* of this grammar, but a part is longer than the maximum above */
} CommandKind;

typedef struct Command
{
	char name[COMMAND_NAME_MAX + 1];
	char argument[COMMAND_ARGUMENT_MAX + 1];
	char value[COMMAND_VALUE_MAX + 1];
} Command;

/* Fills *out for PLAIN and SET; else it means nothing. */
extern CommandKind command_parse(Slice text, Command *out);

#endif
