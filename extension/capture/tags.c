/*
 * tags.c: reading the tags of a request's first and last comment.
 */
#include "postgres.h"

#include "capture/tags.h"
#include "guc.h"
#include "stores/callers.h"

#define MAX_VALUE 96

typedef struct Slice
{
	const char *at;
	const char *end;
} Slice;

/* The comment that the text begins with, without its marks. */
static bool
first_comment(const char *text, Slice *comment)
{
	const char *end;

	while (isspace((unsigned char) *text))
		text++;
	if (text[0] != '/' || text[1] != '*')
		return false;
	end = strstr(text + 2, "*/");
	if (end == NULL)
		return false;
	comment->at = text + 2;
	comment->end = end;
	return true;
}

/* The comment that it ends with, perhaps before a semicolon. */
static bool
last_comment(const char *text, Slice *comment)
{
	const char *end = text + strlen(text);
	const char *at;

	while (end > text && (isspace((unsigned char) end[-1]) || end[-1] == ';'))
		end--;
	if (end - text < 4 || end[-1] != '/' || end[-2] != '*')
		return false;
	comment->end = end - 2;
	for (at = comment->end - 2; at >= text; at--)
	{
		if (at[0] == '/' && at[1] == '*')
		{
			comment->at = at + 2;
			return true;
		}
	}
	return false;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a value, an escape undone: %2F, or a backslash before what it escapes. */
static char
decode(const char **at, const char *end)
{
	const char *p = *at;

	if (*p == '%' && end - p > 2 && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0 && hex_digit(p[1]) + hex_digit(p[2]) > 0)
	{
		*at = p + 3;
		return (char) (hex_digit(p[1]) * 16 + hex_digit(p[2]));
	}
	if (*p == '\\' && end - p > 1)
		p++;
	*at = p + 1;
	return *p;
}

/* The next pair of a comment.  False when there is none. */
static bool
next_tag(Slice *rest, Slice *key, char *value, int size, int *len)
{
	const char *p = rest->at;
	bool		quoted;

	while (p < rest->end && (isspace((unsigned char) *p) || *p == ','))
		p++;
	key->at = p;
	while (p < rest->end && *p != '=' && *p != ':' && *p != ',' && !isspace((unsigned char) *p))
		p++;
	key->end = p;
	rest->at = p;
	if (p >= rest->end)
		return false;
	*len = 0;
	if (*p != '=' && *p != ':')
		return true;			/* a word: its value is empty, and so it is no tag */
	p++;
	quoted = p < rest->end && *p == '\'';
	p += quoted ? 1 : 0;
	while (p < rest->end && (quoted ? *p != '\'' : *p != ','))
	{
		char		c = decode(&p, rest->end);

		if (*len < size - 1)
			value[(*len)++] = c;
	}
	rest->at = Min(p + (quoted ? 1 : 0), rest->end);
	while (!quoted && *len > 0 && isspace((unsigned char) value[*len - 1]))
		(*len)--;
	return true;
}

static bool
key_is(const Slice *key, const char *name)
{
	return (size_t) (key->end - key->at) == strlen(name) && memcmp(key->at, name, key->end - key->at) == 0;
}

static int
find_in(Slice comment, const char *name, char *value, int size)
{
	Slice		key;
	int			len;

	while (next_tag(&comment, &key, value, size, &len))
	{
		if (len > 0 && key_is(&key, name))
		{
			value[len] = '\0';
			return len;
		}
	}
	return -1;
}

int
pgweir_tag_value(const char *text, const char *name, char *value, int size)
{
	Slice		comment;
	int			len = -1;

	if (last_comment(text, &comment))
		len = find_in(comment, name, value, size);
	if (len < 0 && first_comment(text, &comment))
		len = find_in(comment, name, value, size);
	return len;
}

/* Appends a string of JSON; false, with nothing appended, when it does not fit. */
static bool
append_json(char *out, int *len, int size, const char *text, int text_len)
{
	int			at = *len;

	if (at + text_len + 2 > size)
		return false;
	out[at++] = '"';
	for (int i = 0; i < text_len; i++)
	{
		char		c = text[i];

		if (at + 3 > size)
			return false;
		if (c == '"' || c == '\\')
			out[at++] = '\\';
		/* Control characters would need six bytes to say nothing. */
		out[at++] = (unsigned char) c < 0x20 ? ' ' : c;
	}
	if (at + 1 > size)
		return false;
	out[at++] = '"';
	*len = at;
	return true;
}

/* {"key": "value", ...} in the order of the setting, so that the order in the comment does not matter. */
static int
describe(const char *text, char *out, int size)
{
	int			len = 0;

	for (int i = 0; i < pgweir_tags->n; i++)
	{
		const char *name = pgweir_tags->name[i];
		char		value[MAX_VALUE];
		int			value_len = pgweir_tag_value(text, name, value, sizeof(value));
		int			before = len;

		if (value_len < 0)
			continue;
		out[len] = len == 0 ? '{' : ',';
		len++;
		if (append_json(out, &len, size - 3, name, strlen(name)))
		{
			out[len++] = ':';
			if (append_json(out, &len, size - 2, value, value_len))
				continue;
		}
		len = before;
		break;
	}
	if (len > 0)
		out[len++] = '}';
	return len;
}

/* Almost no text has one, so this is cheap. */
static inline bool
may_have_comment(const char *text)
{
	const char *end;

	if (*text == '/' || isspace((unsigned char) *text))
		return true;
	end = text + strlen(text);
	while (end > text && (end[-1] == ';' || isspace((unsigned char) end[-1])))
		end--;
	return end > text && end[-1] == '/';
}

int32
pgweir_caller_of(const char *text)
{
	char		caller[PGWEIR_CALLER_LEN];
	Slice		comment;
	int			len;

	if (pgweir_tags == NULL || pgweir_tags->n == 0 || text == NULL || !may_have_comment(text))
		return 0;
	if (!last_comment(text, &comment) && !first_comment(text, &comment))
		return 0;
	len = describe(text, caller, sizeof(caller));
	return len == 0 ? 0 : pgweir_caller_intern(caller, len);
}
