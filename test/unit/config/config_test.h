/*
 * config_test.h: what the tests of config/ share: files in a directory of their own, and problems as one
 * text.
 */
#ifndef CONFIG_TEST_H
#define CONFIG_TEST_H

#include "tap.h"
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char test_dir[] = "/tmp/pgweir-config-test-XXXXXX";
static char test_names[64][64];
static int test_name_count;

/* Remove what was made; also when a test aborts the ordinary way. */
static void
leave_test_dir(void)
{
	if (chdir(test_dir) == 0)
		for (int i = 0; i < test_name_count; i++)
			unlink(test_names[i]);
	if (chdir("/") == 0)
		rmdir(test_dir);
}

/* Make an empty directory and work in it, so that the file names in messages are short. */
static inline void
enter_test_dir(void)
{
	if (mkdtemp(test_dir) == NULL || chdir(test_dir) != 0)
	{
		perror(test_dir);
		exit(1);
	}
	atexit(leave_test_dir);
}

/* Write (or replace) a file, readable for its owner only. */
static inline void
write_file(const char *name, const char *content)
{
	bool known = false;
	FILE *file;

	for (int i = 0; i < test_name_count; i++)
		known = known || strcmp(test_names[i], name) == 0;
	if (!known)
		snprintf(test_names[test_name_count++], sizeof(test_names[0]), "%s", name);
	file = fopen(name, "w");
	if (file == NULL || fputs(content, file) == EOF || fclose(file) != 0 || chmod(name, 0600) != 0)
	{
		perror(name);
		exit(1);
	}
}

/* All problems of these levels up to `least`, one a line; in a buffer that the next call uses again. */
static inline const char *
problems_text(const ConfigProblems *problems, ProblemLevel least)
{
	static char text[65536];

	text[0] = '\0';
	for (int i = 0; i < problems->count; i++)
		if (problems->items[i].level <= least)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[0] != '\0' ? "\n" : "",
					 problems->items[i].text);
	return text;
}

/* Load a file with this content; NULL with the errors in *errors (may be NULL) when it is bad. */
static inline Config *
load_text(const char *content, const char **errors)
{
	ConfigProblems problems = {0};
	Config *config;

	write_file("weir.ini", content);
	config = config_load("weir.ini", NULL, &problems);
	if (errors != NULL)
		*errors = problems_text(&problems, PROBLEM_ERROR);
	if ((config == NULL) != (problems.errors > 0))
	{
		printf("Bail out! a config and errors, or neither\n");
		exit(1);
	}
	problems_free(&problems);
	return config;
}

/* The value of a key as SHOW CONFIG gives it; "(none)" for unset, "(unknown)" for no such row. */
static inline const char *
shown(const Config *config, const char *key)
{
	static ConfigShown row;

	for (int i = 0; config_show(config, i, &row); i++)
		if (strcmp(row.key, key) == 0)
			return row.value != NULL ? row.value : "(none)";
	return "(unknown)";
}

#endif
