/*
 * pattern.h: regular expressions in files that an administrator writes.
 *
 * Perl's dialect, which is closest to the one of PostgreSQL's own files (\d, \w, non-greedy quantifiers, look-ahead); as there, `$`
 * fits at the very end only and `.` fits every character.  Work is bounded: a pattern that could take more than some milliseconds or
 * some hundred kilobytes is either refused when it is compiled, or does not match.
 */
#ifndef PGWEIR_BASE_PATTERN_H
#define PGWEIR_BASE_PATTERN_H

#include <stdbool.h>
#include "base/buf.h"

typedef struct Pattern Pattern;

/* NULL: out of memory, or the text is no pattern; `why` says what is wrong with it. */
extern Pattern *pattern_compile(const char *text, char *why, size_t why_size) MUST_CHECK;
/* Accepts NULL. */
extern void pattern_free(Pattern *pattern);
/* Does it match somewhere in the text?  *group: what its first pair of parentheses matched, or an empty slice with a NULL pointer. */
extern bool pattern_matches(const Pattern *pattern, const char *text, Slice *group);

#endif
