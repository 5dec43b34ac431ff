/*
 * problems.h: what is wrong, or worth saying, about a configuration.
 *
 * Loading does not stop at the first mistake: it collects all of them, so that `pgweir --check` can list them
 * and a person can repair a file in one go.  A text names file, line and key, and never holds a secret.
 */
#ifndef PGWEIR_CONFIG_PROBLEMS_H
#define PGWEIR_CONFIG_PROBLEMS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum ProblemLevel
{
	PROBLEM_ERROR,   /* the configuration cannot be used */
	PROBLEM_WARNING, /* usable, and probably not what was meant */
	PROBLEM_NOTE     /* a fact for the log: what changed, what waits for a restart */
} ProblemLevel;

/* Where in a file; file == NULL means no place in particular, line == 0 the file as a whole. */
typedef struct FilePlace
{
	const char *file; /* borrowed: for the time of the call */
	int line;
} FilePlace;

typedef struct Problem
{
	ProblemLevel level;
	char *text; /* owned: "pgweir.ini:12: listen_prt: unknown key; did you mean listen_port?" */
} Problem;

/* A zeroed ConfigProblems is valid and empty. */
typedef struct ConfigProblems
{
	Problem *items; /* owned; in the order of the files */
	int count;
	int errors; /* problems of level PROBLEM_ERROR, those not kept included */
	int _capacity;
} ConfigProblems;

/* More than this many are counted but not kept. */
#define CONFIG_PROBLEMS_MAX 200

extern void problems_add(ConfigProblems *problems, ProblemLevel level, const FilePlace *place,
						 const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The text of the first error; "" when there is none. */
extern const char *problems_first_error(const ConfigProblems *problems);
/* Release the texts; empty and usable again. */
extern void problems_free(ConfigProblems *problems);

#endif
