/*
 * command.c: a hand-written scanner for the console's two sentences.
 */
#include "admin/command.h"

#include <strings.h>

typedef struct Scanner
{
	Slice rest;
	bool too_long; /* a word was well-formed but did not fit */
} Scanner;

static int
peek(const Scanner *s)
{
	return s->rest.len > 0 ? s->rest.ptr[0] : -1;
}

static void
skip(Scanner *s, size_t n)
{
	s->rest.ptr += n;
	s->rest.len -= n;
}

/* Skip blanks; true when there were any. */
static bool
skip_blanks(Scanner *s)
{
	size_t before = s->rest.len;

	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
		skip(s, 1);
	return s->rest.len < before;
}

static bool
is_word_char(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Nothing but blanks and one semicolon may follow. */
static bool
at_end(Scanner *s)
{
	skip_blanks(s);
	if (peek(s) == ';')
	{
		skip(s, 1);
		skip_blanks(s);
	}
	return s->rest.len == 0;
}

static void
put(Scanner *s, char *out, size_t max, size_t *len, char c)
{
	if (*len < max)
		out[(*len)++] = c;
	else
		s->too_long = true;
}

/* What stands between two quotes, which double inside. */
static bool
take_quoted(Scanner *s, int quote, char *out, size_t max)
{
	size_t len = 0;

	skip(s, 1);
	for (;; skip(s, 1))
	{
		int c = peek(s);

		if (c < 0)
			return false;
		if (c == quote)
		{
			skip(s, 1);
			if (peek(s) != quote)
				break;
		}
		put(s, out, max, &len, (char) c);
	}
	out[len] = '\0';
	return true;
}

/* A word into out, which holds max characters and a NUL. */
static bool
take_word(Scanner *s, char *out, size_t max)
{
	size_t len = 0;

	if (peek(s) == '"')
		return take_quoted(s, '"', out, max);
	for (; is_word_char(peek(s)); skip(s, 1))
		put(s, out, max, &len, (char) peek(s));
	out[len] = '\0';
	return len > 0;
}

static bool
take_value(Scanner *s, char *out, size_t max)
{
	return peek(s) == '\'' ? take_quoted(s, '\'', out, max) : take_word(s, out, max);
}

/* "=", or the word TO. */
static bool
take_equals(Scanner *s)
{
	skip_blanks(s);
	if (peek(s) == '=')
		skip(s, 1);
	else if (s->rest.len > 2 && strncasecmp((const char *) s->rest.ptr, "to", 2) == 0 && !is_word_char(s->rest.ptr[2]))
		skip(s, 2);
	else
		return false;
	skip_blanks(s);
	return true;
}

static bool
parse_plain(Scanner s, Command *out, bool *too_long)
{
	bool ok;

	out->argument[0] = out->value[0] = '\0';
	skip_blanks(&s);
	ok = take_word(&s, out->name, COMMAND_NAME_MAX);
	if (ok && skip_blanks(&s) && (is_word_char(peek(&s)) || peek(&s) == '"'))
		ok = take_word(&s, out->argument, COMMAND_ARGUMENT_MAX);
	*too_long = s.too_long;
	return ok && at_end(&s);
}

static bool
parse_set(Scanner s, Command *out, bool *too_long)
{
	skip_blanks(&s);
	if (is_word_char(peek(&s)) && take_word(&s, out->name, COMMAND_NAME_MAX) && strcasecmp(out->name, "set") == 0 &&
		skip_blanks(&s) && take_word(&s, out->argument, COMMAND_ARGUMENT_MAX) && take_equals(&s) &&
		take_value(&s, out->value, COMMAND_VALUE_MAX) && at_end(&s))
	{
		*too_long = s.too_long;
		return true;
	}
	return false;
}

CommandKind
command_parse(Slice text, Command *out)
{
	Scanner s = {.rest = text};
	bool too_long = false;

	if (memchr(text.ptr != NULL ? (const void *) text.ptr : "", '\0', text.len) != NULL)
		return COMMAND_INVALID;
	if (parse_plain(s, out, &too_long))
		return too_long ? COMMAND_TOO_LONG : COMMAND_PLAIN;
	if (parse_set(s, out, &too_long))
		return too_long ? COMMAND_TOO_LONG : COMMAND_SET;
	return COMMAND_INVALID;
}
