/*
 * ini.c: a cursor over each file's text, which is cut up in place.
 */
#include "config/ini.h"

#include <stdlib.h>
#include <string.h>
#include "config/file.h"

/* Of one ini_read, across its files. */
typedef struct IniReader
{
	const IniHandler *handler;
	ConfigProblems *problems;
	char *section; /* owned; NULL before the first header */
	int depth;     /* files open around the current one, itself included */
} IniReader;

static void read_one(IniReader *reader, const char *path, const FilePlace *included_at);

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool
is_key_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		   (c != '\0' && strchr("_.*-", c) != NULL);
}

static char *
skip_blanks(char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

/* Cut off the blanks at the end of a string. */
static char *
trim_end(char *s)
{
	size_t len = strlen(s);

	while (len > 0 && is_blank(s[len - 1]))
		len--;
	s[len] = '\0';
	return s;
}

/*
 * *cursor stands on a quote: resolve the quoted text in place (a doubled quote is one) and move behind the
 * closing quote. NULL if there is none.
 */
static char *
cut_quoted(char **cursor)
{
	const char quote = **cursor;
	char *start = *cursor + 1;
	char *to = start;

	for (char *from = start; *from != '\0'; from++)
	{
		if (*from == quote)
		{
			if (from[1] != quote)
			{
				/* to <= from: the NUL goes over a byte already read */
				*to = '\0';
				*cursor = from + 1;
				return start;
			}
			from++;
		}
		*to++ = *from;
	}
	return NULL;
}

static void
set_section(IniReader *reader, const FilePlace *place, const char *name)
{
	char *copy = strdup(name);

	if (copy == NULL)
	{
		problems_add(reader->problems, PROBLEM_ERROR, place, "out of memory");
		return;
	}
	free(reader->section);
	reader->section = copy;
	reader->handler->on_section(reader->handler->arg, place, copy);
}

/* key = value; the line is without leading and trailing blanks and not empty. */
static void
read_pair(IniReader *reader, const FilePlace *place, char *line)
{
	const bool quoted = *line == '\'' || *line == '"';
	char *key = line;
	char *key_end = line;
	char *p;

	if (quoted)
	{
		key = cut_quoted(&key_end);
		if (key == NULL)
		{
			problems_add(reader->problems, PROBLEM_ERROR, place,
						 "syntax error: the quoted key has no closing quote");
			return;
		}
	}
	else
	{
		while (is_key_char(*key_end))
			key_end++;
	}
	p = skip_blanks(key_end);
	if (*p != '=' || key_end == line)
	{
		problems_add(reader->problems, PROBLEM_ERROR, place,
					 "syntax error: expected key = value, [section], %%include FILE or a comment");
		return;
	}
	if (!quoted)
		*key_end = '\0';
	reader->handler->on_value(reader->handler->arg, place, reader->section, key, skip_blanks(p + 1));
}

static void
read_include(IniReader *reader, const FilePlace *place, char *line)
{
	char *p = line + strlen("%include");
	char *path = skip_blanks(p);

	if (strncmp(line, "%include", strlen("%include")) != 0 || path == p || *path == '\0')
		problems_add(reader->problems, PROBLEM_ERROR, place, "syntax error: expected %%include FILE");
	else if (reader->depth >= INI_MAX_DEPTH)
		problems_add(reader->problems, PROBLEM_ERROR, place, "%%include is nested more than %d files deep",
					 INI_MAX_DEPTH);
	else
		read_one(reader, path, place);
}

/* One line, without its newline. */
static void
read_line(IniReader *reader, const FilePlace *place, char *line)
{
	trim_end(line);
	for (;;)
	{
		char *close;

		line = skip_blanks(line);
		if (*line == '\0' || *line == ';' || *line == '#')
			return;
		if (*line != '[')
			break;

		/* what follows the header on its line is read as a line of its own */
		close = strchr(line, ']');
		if (close == NULL)
		{
			problems_add(reader->problems, PROBLEM_ERROR, place,
						 "syntax error: the section header has no closing bracket");
			return;
		}
		*close = '\0';
		set_section(reader, place, line + 1);
		line = close + 1;
	}
	if (*line == '%')
		read_include(reader, place, line);
	else
		read_pair(reader, place, line);
}

static void
read_one(IniReader *reader, const char *path, const FilePlace *included_at)
{
	const FilePlace whole = {path, 0};
	FilePlace place = {path, 1};
	FileText file;
	const char *why;
	char *line;

	if (!file_text_read(path, &file, &why))
	{
		if (included_at != NULL)
			problems_add(reader->problems, PROBLEM_ERROR, included_at,
						 "could not read included file \"%s\": %s", path, why);
		else
			problems_add(reader->problems, PROBLEM_ERROR, &whole, "could not read the file: %s", why);
		return;
	}

	reader->depth++;
	line = file.text;
	while (line != NULL)
	{
		char *newline = strchr(line, '\n');

		if (newline != NULL)
			*newline++ = '\0';
		read_line(reader, &place, line);
		line = newline;
		place.line++;
	}
	reader->depth--;
	file_text_free(&file);
}

void
ini_read(const char *path, const IniHandler *handler, ConfigProblems *problems)
{
	IniReader reader = {.handler = handler, .problems = problems};

	read_one(&reader, path, NULL);
	free(reader.section);
}

int
connection_string_next(char **cursor, ConnectionParam *out, const char **error)
{
	char *p = skip_blanks(*cursor);
	char *key = p;
	char *key_end;
	char *after_equals;
	char *value;
	bool quoted;

	if (*p == '\0')
		return 0;
	while (*p != '\0' && *p != '=' && !is_blank(*p))
		p++;
	key_end = p;
	p = skip_blanks(p);
	if (*p != '=' || key_end == key)
	{
		*error = "expected key=value";
		return -1;
	}
	after_equals = p + 1;
	p = skip_blanks(after_equals);
	*key_end = '\0';

	quoted = *p == '\'';
	if (quoted)
	{
		value = cut_quoted(&p);
		if (value == NULL)
		{
			*error = "a quoted value has no closing quote";
			return -1;
		}
		if (*p != '\0' && !is_blank(*p))
		{
			*error = "a blank is missing behind a quoted value";
			return -1;
		}
	}
	else
	{
		value = p;
		while (*p != '\0' && !is_blank(*p))
			p++;
		if (*p != '\0')
			*p++ = '\0';
	}
	/* "host= port=5432" is a forgotten host, not one called port=5432 */
	if (*value == '\0' || (value > after_equals && !quoted && strchr(value, '=') != NULL))
	{
		*error = "a value is empty";
		return -1;
	}
	*out = (ConnectionParam){key, value};
	*cursor = p;
	return 1;
}
