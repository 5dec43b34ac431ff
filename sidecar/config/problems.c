/*
 * problems.c: the growing list of problems.  When memory runs out a text is lost, but never the count of
 * errors.
 */
#include "config/problems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
make_room(ConfigProblems *problems)
{
	int capacity = problems->_capacity > 0 ? problems->_capacity * 2 : 8;
	Problem *items;

	if (problems->count < problems->_capacity)
		return true;
	if (problems->count >= CONFIG_PROBLEMS_MAX)
		return false;
	items = realloc(problems->items, (size_t) capacity * sizeof(*items));
	if (items == NULL)
		return false;
	problems->items = items;
	problems->_capacity = capacity;
	return true;
}

/* "file:line: ", "file: " or "". */
static void
format_place(const FilePlace *place, char *buf, size_t size)
{
	buf[0] = '\0';
	if (place == NULL || place->file == NULL)
		return;
	if (place->line > 0)
		snprintf(buf, size, "%s:%d: ", place->file, place->line);
	else
		snprintf(buf, size, "%s: ", place->file);
}

void
problems_add(ConfigProblems *problems, ProblemLevel level, const FilePlace *place, const char *format, ...)
{
	char where[1024];
	char what[2048];
	size_t size;
	char *text;
	va_list args;

	if (level == PROBLEM_ERROR)
		problems->errors++;
	if (!make_room(problems))
		return;
	format_place(place, where, sizeof(where));
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);

	size = strlen(where) + strlen(what) + 1;
	text = malloc(size);
	if (text == NULL)
		return;
	snprintf(text, size, "%s%s", where, what);
	problems->items[problems->count++] = (Problem){level, text};
}

const char *
problems_first_error(const ConfigProblems *problems)
{
	for (int i = 0; i < problems->count; i++)
		if (problems->items[i].level == PROBLEM_ERROR)
			return problems->items[i].text;
	return problems->errors > 0 ? "out of memory" : "";
}

void
problems_free(ConfigProblems *problems)
{
	for (int i = 0; i < problems->count; i++)
		free(problems->items[i].text);
	free(problems->items);
	*problems = (ConfigProblems){0};
}
