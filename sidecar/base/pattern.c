/*
 * pattern.c: PCRE2 with limits.
 */
#include "base/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_MAX 1000
#define NESTING_MAX 32
/* Steps of a match, which take well under a microsecond each, and kilobytes for what can be gone back to. */
#define STEPS_MAX 20000
#define HEAP_MAX_KB 256

/* A Pattern is PCRE2's code, under a name that others may know. */

Pattern *
pattern_compile(const char *text, char *why, size_t why_size)
{
	pcre2_compile_context *limits;
	pcre2_code *code;
	int error;
	size_t at;

	/* PCRE2 has a limit for this too, and words that say less */
	if (strlen(text) > LENGTH_MAX)
	{
		snprintf(why, why_size, "longer than %d characters", LENGTH_MAX);
		return NULL;
	}
	if ((limits = pcre2_compile_context_create(NULL)) == NULL)
	{
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	pcre2_set_parens_nest_limit(limits, NESTING_MAX);
	code = pcre2_compile((PCRE2_SPTR) text, PCRE2_ZERO_TERMINATED,
						 PCRE2_DOLLAR_ENDONLY | PCRE2_DOTALL | PCRE2_NEVER_BACKSLASH_C, &error, &at, limits);
	pcre2_compile_context_free(limits);
	if (code == NULL)
	{
		char message[120] = "";

		pcre2_get_error_message(error, (PCRE2_UCHAR *) message, sizeof(message));
		snprintf(why, why_size, "%s (behind character %zu)", message, at);
	}
	return (Pattern *) code;
}

void
pattern_free(Pattern *pattern)
{
	pcre2_code_free((pcre2_code *) pattern);
}

bool
pattern_matches(const Pattern *pattern, const char *text, Slice *group)
{
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	pcre2_match_data *found = pcre2_match_data_create(2, NULL);
	int groups = -1;

	*group = (Slice){NULL, 0};
	if (limits != NULL && found != NULL)
	{
		pcre2_set_match_limit(limits, STEPS_MAX);
		pcre2_set_heap_limit(limits, HEAP_MAX_KB);
		groups = pcre2_match((const pcre2_code *) pattern, (PCRE2_SPTR) text, PCRE2_ZERO_TERMINATED, 0, 0,
							 found, limits);
	}
	/* 0: there are more groups than were asked for */
	if (groups >= 2 || groups == 0)
	{
		const size_t *at = pcre2_get_ovector_pointer(found);

		if (at[2] != PCRE2_UNSET)
			*group = slice_make(text + at[2], at[3] - at[2]);
	}
	pcre2_match_data_free(found);
	pcre2_match_context_free(limits);
	return groups >= 0;
}
