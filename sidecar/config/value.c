/*
 * value.c: parsing, printing and comparing by type.  Each type has one parser; the row says where the result
 * goes.
 */
#include "config/value.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/clock.h"
#include "session/options.h"

/* enum fields are read and written as int */
static_assert(sizeof(PoolMode) == sizeof(int) && sizeof(AuthType) == sizeof(int),
			  "enums must have the size of int");

/* A value out of its struct; which member counts follows from the row's type. */
typedef struct Value
{
	const char *string;
	int64_t number; /* also bool, enum and microseconds */
} Value;

typedef enum ValueKind
{
	KIND_STRING,
	KIND_INT,
	KIND_UINT32,
	KIND_BOOL,
	KIND_USEC
} ValueKind;

static ValueKind
value_kind(ConfigType type)
{
	switch (type)
	{
		case CONFIG_STRING:
		case CONFIG_LIST:
		case CONFIG_FILE:
		case CONFIG_NAME: return KIND_STRING;
		case CONFIG_INT:
		case CONFIG_PORT:
		case CONFIG_PERCENT:
		case CONFIG_ENUM: return KIND_INT;
		case CONFIG_UINT: return KIND_UINT32;
		case CONFIG_BOOL: return KIND_BOOL;
		case CONFIG_SECONDS:
		case CONFIG_WHOLE:
		case CONFIG_DURATION: return KIND_USEC;
	}
	abort();
}

static Value
value_load(const ConfigRow *row, const void *home)
{
	const char *field = (const char *) home + row->offset;

	switch (value_kind(row->type))
	{
		case KIND_STRING: return (Value){.string = *(const char *const *) field};
		case KIND_INT: return (Value){.number = *(const int *) field};
		case KIND_UINT32: return (Value){.number = *(const uint32_t *) field};
		case KIND_BOOL: return (Value){.number = *(const bool *) field};
		case KIND_USEC: return (Value){.number = *(const usec_t *) field};
	}
	abort();
}

static void
value_store(const ConfigRow *row, void *home, Value value)
{
	char *field = (char *) home + row->offset;

	switch (value_kind(row->type))
	{
		case KIND_STRING: *(const char **) field = value.string; return;
		case KIND_INT: *(int *) field = (int) value.number; return;
		case KIND_UINT32: *(uint32_t *) field = (uint32_t) value.number; return;
		case KIND_BOOL: *(bool *) field = value.number != 0; return;
		case KIND_USEC: *(usec_t *) field = value.number; return;
	}
}

/* --- parsing --- */

/* The number of a C integer constant without anything around it. */
static bool
parse_integer(const char *text, int64_t *out)
{
	char *end;
	long long n;

	/* strtoll skips blanks by itself; the value has none in front */
	errno = 0;
	n = strtoll(text, &end, 0);
	if (end == text || *end != '\0' || errno != 0)
		return false;
	*out = n;
	return true;
}

static bool
in_limits(int64_t n, int64_t min, int64_t max, char *why, size_t why_size)
{
	if (n >= min && n <= max)
		return true;
	if (max == INT_MAX || max == UINT32_MAX)
		snprintf(why, why_size, n < min ? "must be at least %lld" : "is too large", (long long) min);
	else
		snprintf(why, why_size, "must be between %lld and %lld", (long long) min, (long long) max);
	return false;
}

static bool
parse_limited(const ConfigRow *row, const char *text, int64_t min, int64_t max, int64_t *out, char *why,
			  size_t why_size)
{
	if (row->min != 0 || row->max != 0)
	{
		min = row->min;
		max = row->max;
	}
	if (!parse_integer(text, out))
	{
		snprintf(why, why_size, "not a whole number");
		return false;
	}
	return in_limits(*out, min, max, why, why_size);
}

/* The unit behind a number, in microseconds; 0 = unknown. */
static double
unit_us(const char *unit)
{
	static const struct
	{
		const char *name;
		double us;
	} units[] = {{"", 1e6}, {"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"min", 6e7}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].us;
	return 0;
}

/* Decimal number >= 0 with a unit where the row's type has them. */
static bool
parse_duration(const char *text, bool with_units, int64_t *out, char *why, size_t why_size)
{
	size_t digits = strspn(text, "0123456789.");
	char *end = NULL;
	double number = digits > 0 ? strtod(text, &end) : -1;
	double us;

	/* strspn keeps out signs, inf and nan, the x hexadecimal; an exponent stays possible, since SHOW CONFIG
	 * prints %g */
	if (end == NULL || end == text || strcspn(text, "xX") < (size_t) (end - text) ||
		(!with_units && *end != '\0'))
	{
		snprintf(why, why_size,
				 with_units ? "not a duration: expected a number >= 0 and us, ms, s (the default) or min"
							: "not a number of seconds >= 0");
		return false;
	}
	while (isspace((unsigned char) *end))
		end++;
	us = unit_us(end);
	if (us <= 0)
	{
		snprintf(why, why_size, "unknown unit: expected us, ms, s (the default) or min");
		return false;
	}
	us *= number;
	if (us >= (double) CONFIG_MAX_DURATION_US)
		*out = CONFIG_MAX_DURATION_US;
	else if (us > 0 && us < 1)
		*out = 1; /* 0 would switch the limit off */
	else
		*out = (int64_t) (us + 0.5);
	return true;
}

static bool
parse_percent(const char *text, int64_t *out, char *why, size_t why_size)
{
	char digits[16];
	size_t len = strlen(text);

	if (len > 0 && text[len - 1] == '%')
		len--;
	while (len > 0 && isspace((unsigned char) text[len - 1]))
		len--;
	if (len < sizeof(digits))
	{
		memcpy(digits, text, len);
		digits[len] = '\0';
		if (parse_integer(digits, out) && *out >= 0 && *out <= 100)
			return true;
	}
	snprintf(why, why_size, "must be a percentage between 0 and 100");
	return false;
}

/* The choices, as "a, b or c". */
static void
list_choices(const ConfigChoice *choices, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (const ConfigChoice *c = choices; c->name != NULL; c++)
	{
		int n = snprintf(buf + used, size - used, "%s%s", c == choices ? "" : c[1].name == NULL ? " or " : ", ", c->name);

		if (n < 0 || (size_t) n >= size - used)
			return;
		used += (size_t) n;
	}
}

static const ConfigChoice *
parse_choice(const ConfigRow *row, const char *text, char *why, size_t why_size)
{
	char names[256];

	for (const ConfigChoice *c = row->choices; c->name != NULL; c++)
		if (strcasecmp(text, c->name) == 0)
			return c;
	list_choices(row->choices, names, sizeof(names));
	snprintf(why, why_size, "must be %s", names);
	return NULL;
}

/* text to *out; strings are borrowed from text. */
static bool
parse_value(const ConfigRow *row, const char *text, Value *out, char *why, size_t why_size)
{
	const ConfigChoice *choice;

	switch (row->type)
	{
		case CONFIG_STRING:
		case CONFIG_LIST:
		case CONFIG_FILE: out->string = text; return true;
		case CONFIG_INT: return parse_limited(row, text, INT_MIN, INT_MAX, &out->number, why, why_size);
		case CONFIG_UINT: return parse_limited(row, text, 0, UINT32_MAX, &out->number, why, why_size);
		case CONFIG_PORT: return parse_limited(row, text, 1, 65535, &out->number, why, why_size);
		case CONFIG_PERCENT: return parse_percent(text, &out->number, why, why_size);
		case CONFIG_SECONDS: return parse_duration(text, false, &out->number, why, why_size);
		case CONFIG_DURATION: return parse_duration(text, true, &out->number, why, why_size);
		case CONFIG_WHOLE:
			if (!parse_limited(row, text, 0, INT_MAX, &out->number, why, why_size))
				return false;
			out->number *= USEC_PER_SEC;
			if (out->number > CONFIG_MAX_DURATION_US)
				out->number = CONFIG_MAX_DURATION_US;
			return true;
		case CONFIG_BOOL:
			if (row->choices == NULL)
				return parse_limited(row, text, INT_MIN, INT_MAX, &out->number, why, why_size);
			/* fall through */
		case CONFIG_ENUM:
		case CONFIG_NAME:
			choice = parse_choice(row, text, why, why_size);
			if (choice == NULL)
				return false;
			*out = (Value){choice->name, choice->value};
			return true;
	}
	abort();
}

static bool
same_value(const ConfigRow *row, Value a, Value b)
{
	if (value_kind(row->type) == KIND_BOOL)
		return (a.number != 0) == (b.number != 0);
	if (value_kind(row->type) != KIND_STRING)
		return a.number == b.number;
	if (a.string == NULL || b.string == NULL)
		return a.string == b.string;
	return strcmp(a.string, b.string) == 0;
}

/* A key without effect: fine as long as it asks for what is anyway so. */
static bool
parse_unsupported(const ConfigRow *row, const char *text, char *why, size_t why_size)
{
	Value asked = {0};
	Value initial = {0};
	char unused[256];

	if (row->initial != NULL && parse_value(row, text, &asked, unused, sizeof(unused)) &&
		parse_value(row, row->initial, &initial, unused, sizeof(unused)) && same_value(row, asked, initial))
		return true;
	if (row->initial == NULL && *text == '\0')
		return true;

	if (row->initial == NULL || strlen(row->initial) > 40)
		snprintf(why, why_size, "not supported by this version; remove the line");
	else
		snprintf(why, why_size,
				 "not supported by this version; remove the line or set it to its default \"%s\"",
				 row->initial);
	return false;
}

/* Does the row belong to an entry of [databases] or [users], where a value can be inherited? */
static bool
is_entry(const ConfigRow *row)
{
	return row->home == HOME_DATABASE || row->home == HOME_USER || row->home == HOME_PEER ||
		   row->home == HOME_LIMIT;
}

bool
value_parse(const ConfigRow *row, void *home, const char *text, Arena *arena, char *why, size_t why_size)
{
	Value value = {0};

	if (row->home == HOME_NONE)
		return parse_unsupported(row, text, why, why_size);
	if (!parse_value(row, text, &value, why, why_size))
		return false;
	if (is_entry(row) && value.string == NULL &&
		(value.number < 0 || (row->zero_inherits && value.number == 0)))
		value.number = OPTION_INHERIT;
	if (value.string != NULL)
	{
		value.string = arena_strdup(arena, value.string);
		if (value.string == NULL)
		{
			snprintf(why, why_size, "out of memory");
			return false;
		}
	}
	value_store(row, home, value);
	return true;
}

bool
value_reset(const ConfigRow *row, void *home, Arena *arena)
{
	char why[256];

	if (row->home == HOME_NONE)
		return true;
	if (row->initial == NULL)
	{
		/* unset: NULL, or in an entry "as the level above"; a number of [pgbouncer] without a default starts
		 * at 0 */
		value_store(row, home, (Value){NULL, is_entry(row) ? OPTION_INHERIT : 0});
		return true;
	}
	return value_parse(row, home, row->initial, arena, why, sizeof(why));
}

const char *
value_format(const ConfigRow *row, const void *home, char *buf, size_t size)
{
	Value value;

	if (row->home == HOME_NONE)
		return row->initial;
	value = value_load(row, home);
	switch (row->type)
	{
		case CONFIG_STRING:
		case CONFIG_LIST:
		case CONFIG_FILE:
		case CONFIG_NAME: return value.string;
		case CONFIG_INT:
		case CONFIG_UINT:
		case CONFIG_PORT:
		case CONFIG_PERCENT: snprintf(buf, size, "%lld", (long long) value.number); return buf;
		case CONFIG_WHOLE: snprintf(buf, size, "%lld", (long long) (value.number / USEC_PER_SEC)); return buf;
		case CONFIG_SECONDS:
		case CONFIG_DURATION:
			snprintf(buf, size, "%g", (double) value.number / (double) USEC_PER_SEC);
			return buf;
		case CONFIG_BOOL:
			if (row->choices == NULL)
			{
				snprintf(buf, size, "%lld", (long long) value.number);
				return buf;
			}
			/* fall through */
		case CONFIG_ENUM:
			for (const ConfigChoice *c = row->choices; c->name != NULL; c++)
				if (c->value == value.number)
					return c->name;
			return NULL;
	}
	abort();
}

bool
value_equal(const ConfigRow *row, const void *a, const void *b)
{
	return row->home == HOME_NONE || same_value(row, value_load(row, a), value_load(row, b));
}

bool
value_copy(const ConfigRow *row, void *to, const void *from, Arena *arena)
{
	Value value;

	if (row->home == HOME_NONE)
		return true;
	value = value_load(row, from);
	if (value.string != NULL)
	{
		value.string = arena_strdup(arena, value.string);
		if (value.string == NULL)
			return false;
	}
	value_store(row, to, value);
	return true;
}

const char *
value_type_name(ConfigType type)
{
	switch (type)
	{
		case CONFIG_STRING: return "string";
		case CONFIG_LIST: return "list";
		case CONFIG_FILE: return "file";
		case CONFIG_INT:
		case CONFIG_UINT: return "integer";
		case CONFIG_PORT: return "port";
		case CONFIG_PERCENT: return "percentage";
		case CONFIG_BOOL: return "0 or 1";
		case CONFIG_ENUM:
		case CONFIG_NAME: return "name";
		case CONFIG_SECONDS: return "seconds";
		case CONFIG_WHOLE: return "whole seconds";
		case CONFIG_DURATION: return "duration";
	}
	abort();
}

/* --- rows by name --- */

const ConfigRow *
row_find(const ConfigRow *rows, const char *name)
{
	for (const ConfigRow *row = rows; row->name != NULL; row++)
		if (strcmp(row->name, name) == 0)
			return row;
	return NULL;
}

#define NAME_MAX_COMPARED 64

/* Letters to insert, delete or exchange to make b out of a; both shorter than NAME_MAX_COMPARED. */
static size_t
edit_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_COMPARED + 1];
	const size_t b_len = strlen(b);

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++)
	{
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b_len; j++)
		{
			size_t best = diagonal + (tolower((unsigned char) a[i]) != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[b_len];
}

const char *
row_nearest(const ConfigRow *rows, const char *name)
{
	const size_t len = strlen(name);
	const char *nearest = NULL;
	/* a third of the letters may be wrong, and at least two */
	size_t least = (len / 3 > 2 ? len / 3 : 2) + 1;

	if (len >= NAME_MAX_COMPARED)
		return NULL;
	for (const ConfigRow *row = rows; row->name != NULL; row++)
	{
		const size_t distance = edit_distance(name, row->name);

		if (!row->alias && distance < least && distance < strlen(row->name))
		{
			least = distance;
			nearest = row->name;
		}
	}
	return nearest;
}
