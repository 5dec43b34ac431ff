/*
 * passfile.c: line by line.
 */
#include "config/passfile.h"

#include <string.h>
#include <sys/stat.h>
#include "config/file.h"

#define FIELDS 5

/* The text up to the next colon, or of the last field up to the end, resolved in place; NULL when there is none. */
static char *
cut_field(char **cursor, bool last)
{
	char *start = *cursor;
	char *to = start;

	if (start == NULL)
		return NULL;
	for (char *from = start;; from++)
	{
		if (*from == '\0' || (*from == ':' && !last))
		{
			*cursor = *from == '\0' ? NULL : from + 1;
			*to = '\0';
			return start;
		}
		if (*from == '\\' && from[1] != '\0')
			from++;
		*to++ = *from;
	}
}

static void
read_line(const ServerPassword ***next, Arena *arena, char *line, const FilePlace *place, ConfigProblems *problems)
{
	ServerPassword *entry;
	char *fields[FIELDS];
	size_t len = strlen(line);

	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	if (line[0] == '\0' || line[0] == '#')
		return;
	for (int i = 0; i < FIELDS; i++)
		if ((fields[i] = cut_field(&line, i == FIELDS - 1)) == NULL)
		{
			problems_add(problems, PROBLEM_ERROR, place, "expected host:port:database:user:password");
			return;
		}
	entry = arena_alloc(arena, sizeof(*entry));
	if (entry == NULL || (entry->host = arena_strdup(arena, fields[0])) == NULL || (entry->port = arena_strdup(arena, fields[1])) == NULL ||
		(entry->database = arena_strdup(arena, fields[2])) == NULL || (entry->user = arena_strdup(arena, fields[3])) == NULL ||
		(entry->password = arena_strdup(arena, fields[4])) == NULL)
	{
		problems_add(problems, PROBLEM_ERROR, place, "out of memory");
		return;
	}
	entry->next = NULL;
	**next = entry;
	*next = &entry->next;
}

void
passfile_read(const char *path, Settings *settings, Arena *arena, ConfigProblems *problems)
{
	FilePlace place = {path, 0};
	const ServerPassword **next = &settings->passwords;
	FileText file;
	const char *why;
	char *cursor;
	char *line;

	settings->passwords = NULL;
	if (!file_text_read(path, &file, &why))
	{
		problems_add(problems, PROBLEM_ERROR, &place, "could not read the password file: %s", why);
		return;
	}
	if ((file.mode & (S_IRWXG | S_IRWXO)) != 0)
		problems_add(problems, PROBLEM_ERROR, &place, "others can read the password file (mode %04o); chmod 0600 would do", (unsigned int) file.mode);
	else
		for (cursor = file.text; (line = strsep(&cursor, "\n")) != NULL;)
		{
			place.line++;
			read_line(&next, arena, line, &place, problems);
		}
	file_text_free(&file);
}
