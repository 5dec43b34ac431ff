/*
 * value.h: one typed setting: text to value, value to text.
 *
 * A ConfigRow describes a key: its name, type, place in a struct, default, limits and help.  The tables of
 * rows are in settings.c; a key is added by adding a row.  Everything here works on a row and the struct the
 * row belongs to.
 */
#ifndef PGWEIR_CONFIG_VALUE_H
#define PGWEIR_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/arena.h"

typedef enum ConfigType
{
	CONFIG_STRING,   /* const char *; NULL = unset */
	CONFIG_LIST,     /* const char *, comma-separated */
	CONFIG_FILE,     /* const char *, a path */
	CONFIG_INT,      /* int; strtol base 0: 010 is octal, 0x10 hexadecimal */
	CONFIG_UINT,     /* uint32_t; likewise */
	CONFIG_PORT,     /* int, 1..65535 */
	CONFIG_PERCENT,  /* int, 0..100, "50", "50%" or "50 %" */
	CONFIG_BOOL,     /* bool; 0 = off, another int = on; or one of the row's choices if it has any */
	CONFIG_ENUM,     /* int; one of the row's choices, case ignored */
	CONFIG_NAME,     /* const char *; one of the row's choices, case ignored */
	CONFIG_SECONDS,  /* usec_t; decimal seconds >= 0 */
	CONFIG_WHOLE,    /* usec_t; whole seconds as int, as PgBouncer's keys of type int */
	CONFIG_DURATION, /* usec_t; "250ms", "1.5 s", "2min", "100us"; a plain number is seconds */
} ConfigType;

/* Which struct holds the value. */
typedef enum ConfigHome
{
	HOME_NONE,     /* no effect in this version: nothing but the default is accepted */
	HOME_SETTINGS, /* Settings */
	HOME_PROCESS,  /* ProcessOptions */
	HOME_DATABASE, /* DatabaseSpec */
	HOME_USER,     /* UserSpec */
	HOME_PEER,     /* PeerSpec */
	HOME_LIMIT     /* LimitSpec */
} ConfigHome;

/* A choice of an enum; the list ends with name NULL. */
typedef struct ConfigChoice
{
	const char *name;
	int value;
} ConfigChoice;

typedef struct ConfigRow
{
	const char *name;
	ConfigType type;
	ConfigHome home;
	size_t offset;
	const char *initial; /* the default as one would write it; NULL = unset */
	bool reloadable;
	bool ours;          /* not a key of PgBouncer */
	bool alias;         /* second name of another row: neither shown nor listed */
	bool secret;        /* the value never appears in a text */
	bool zero_inherits; /* entries: 0 is the same as absent */
	int64_t min, max;   /* of the number types; 0, 0 = that of the type */
	const ConfigChoice *choices;
	const char *help; /* one sentence, with the unit */
} ConfigRow;

/* No duration is longer (31 years); longer ones become this, so that adding one to an instant cannot
 * overflow. */
#define CONFIG_MAX_DURATION_US INT64_C(1000000000000000)

#define CONFIG_VALUE_TEXT 64 /* bytes that a formatted number needs at most */

/*
 * Parse text into the row's field of *home (strings are copied to the arena).  On failure the field is
 * unchanged and why holds the reason ("not a whole number", "must be between 1 and 65535"), without the
 * value.  Works for HOME_NONE with home NULL: succeeds if text means the default.
 */
extern bool value_parse(const ConfigRow *row, void *home, const char *text, Arena *arena, char *why,
						size_t why_size);
/* Set the default. */
extern bool value_reset(const ConfigRow *row, void *home, Arena *arena);
/* The value as SHOW CONFIG prints it: ints %d, durations %g seconds, enums by name.  Returns buf, a string of
 * the struct, or NULL for unset. */
extern const char *value_format(const ConfigRow *row, const void *home, char *buf, size_t size);
/* Do two structs hold the same value? */
extern bool value_equal(const ConfigRow *row, const void *a, const void *b);
/* Copy the field from one struct to another; strings are copied to the arena. false: out of memory. */
extern bool value_copy(const ConfigRow *row, void *to, const void *from, Arena *arena);
/* The name of a type for people ("string", "seconds", "duration"...). */
extern const char *value_type_name(ConfigType type);

/* The row of that name, or NULL. */
extern const ConfigRow *row_find(const ConfigRow *rows, const char *name);
/* The known name nearest to a misspelled one, or NULL when none is near. */
extern const char *row_nearest(const ConfigRow *rows, const char *name);

#endif
