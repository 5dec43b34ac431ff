/*
 * authfile.c: line by line; a line is either right as a whole or an error.
 */
#include "config/authfile.h"

#include <string.h>
#include <sys/stat.h>
#include "config/file.h"
#include "config/loader.h"

typedef struct AuthReader
{
	Settings *settings;
	Arena *arena;
	ConfigProblems *problems;
	bool has_secret; /* some user has a secret that is not empty */
} AuthReader;

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* *cursor stands on a double quote: resolve the text in place, move behind the closing quote.  NULL if there
 * is none. */
static char *
cut_quoted(char **cursor)
{
	char *start = *cursor + 1;
	char *to = start;

	for (char *from = start; *from != '\0'; from++)
	{
		if (*from == '"' && from[1] != '"')
		{
			*cursor = from + 1;
			*to = '\0';
			return start;
		}
		from += *from == '"';
		*to++ = *from;
	}
	return NULL;
}

/* Is this the text of a SCRAM verifier, as far as its shape goes: iterations:salt$stored:server? */
static bool
looks_like_scram(const char *rest)
{
	size_t digits = strspn(rest, "0123456789");
	const char *salt = rest + digits + 1;
	const char *stored;

	if (digits == 0 || rest[digits] != ':' || (stored = strchr(salt, '$')) == NULL || stored == salt)
		return false;
	return strchr(stored, ':') != NULL;
}

static void
check_secret(AuthReader *reader, const FilePlace *place, const char *secret)
{
	static const char scram[] = "SCRAM-SHA-256$";

	if (*secret != '\0')
		reader->has_secret = true;
	if (strncmp(secret, scram, sizeof(scram) - 1) == 0 && !looks_like_scram(secret + sizeof(scram) - 1))
		problems_add(
			reader->problems, PROBLEM_WARNING, place,
			"the secret begins like a SCRAM verifier but is none, and will be taken for a plain password");
}

static void
set_secret(AuthReader *reader, const FilePlace *place, const char *name, const char *secret)
{
	/* the map hands out const entries; those in it are ours to fill until the settings are published */
	UserSpec *user = (UserSpec *) settings_find_user(reader->settings, name);
	char *copy = arena_strdup(reader->arena, secret);

	if (user != NULL && user->secret != NULL)
		problems_add(reader->problems, PROBLEM_WARNING, place, "user \"%s\" appears again; this line counts",
					 name);
	if (user == NULL)
		user = config_new_user(reader->settings, reader->arena, name);
	if (user == NULL || copy == NULL)
	{
		problems_add(reader->problems, PROBLEM_ERROR, place, "out of memory");
		return;
	}
	user->secret = copy;
}

static void
read_line(AuthReader *reader, const FilePlace *place, char *line)
{
	char *name;
	char *secret;

	while (is_blank(*line))
		line++;
	if (*line == '\0' || *line == ';')
		return;
	name = *line == '"' ? cut_quoted(&line) : NULL;
	while (name != NULL && is_blank(*line))
		line++;
	secret = name != NULL && *line == '"' ? cut_quoted(&line) : NULL;
	if (secret == NULL)
		problems_add(reader->problems, PROBLEM_ERROR, place,
					 "broken auth file: expected \"user\" \"secret\"");
	else if (*name == '\0')
		problems_add(reader->problems, PROBLEM_ERROR, place, "broken auth file: the user name is empty");
	else
	{
		check_secret(reader, place, secret);
		set_secret(reader, place, name, secret);
	}
}

void
authfile_read(const char *path, Settings *settings, Arena *arena, ConfigProblems *problems)
{
	AuthReader reader = {settings, arena, problems, false};
	FilePlace place = {path, 0};
	FileText file;
	const char *why;
	char *line;

	if (!file_text_read(path, &file, &why))
	{
		problems_add(problems, PROBLEM_ERROR, &place, "could not read the auth file: %s", why);
		return;
	}
	line = file.text;
	while (line != NULL)
	{
		char *newline = strchr(line, '\n');

		if (newline != NULL)
			*newline++ = '\0';
		place.line++;
		read_line(&reader, &place, line);
		line = newline;
	}
	place.line = 0;
	if (reader.has_secret && (file.mode & S_IRWXO) != 0)
		problems_add(problems, PROBLEM_WARNING, &place,
					 "every user of this machine can read the secrets in the auth file (mode %04o); chmod "
					 "0640 would do",
					 (unsigned int) file.mode);
	file_text_free(&file);
}
