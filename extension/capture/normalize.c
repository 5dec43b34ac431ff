/*
 * normalize.c: the text of a statement with its constants replaced by $n.
 *
 * One pass of the server's own scanner over the text, up to the last constant.  A constant ends where its token ends; the scanner leaves a NUL
 * there in its buffer.
 */
#include "postgres.h"

#include "capture/normalize.h"
#include "guc.h"
#include "lib/stringinfo.h"
#include "parser/scanner.h"

/* The codes of the scanner's first tokens, which it promises to keep (see parser/scanner.h). */
enum
{
	TOKEN_FCONST = 260,
	TOKEN_SCONST,
	TOKEN_USCONST,
	TOKEN_BCONST,
	TOKEN_XCONST,
	TOKEN_ICONST = 266,
	TOKEN_PARAM
};

#define MAX_PARAM 65535			/* what the protocol can carry */

typedef struct Normalizer
{
	const char *text;			/* borrowed, ends in NUL */
	int			location;		/* of text in the request; what the jumble recorded counts from there */
	JumbleState *jstate;		/* its locations sorted; NULL: replace every literal */
	bool		keep_bodies;	/* dollar-quoted literals are not replaced */
	int			next;			/* of jstate's locations, the first not yet passed */
	int			params;			/* the last $n given out */
	int			copied;			/* text up to here is in out */
	StringInfoData out;
} Normalizer;

static int
compare_locations(const void *a, const void *b)
{
	return ((const LocationLen *) a)->location - ((const LocationLen *) b)->location;
}

static bool
is_literal(int token)
{
	return token == TOKEN_FCONST || token == TOKEN_SCONST || token == TOKEN_USCONST || token == TOKEN_BCONST ||
		token == TOKEN_XCONST || token == TOKEN_ICONST;
}

static bool
is_list(const LocationLen *constant)
{
#if PG_VERSION_NUM >= 180000
	return constant->squashed;
#else
	return false;
#endif
}

/* 18 records parameters, too, to number them anew where a list was squashed; else they stay as they are. */
static bool
is_kept_param(const JumbleState *jstate, const LocationLen *constant)
{
#if PG_VERSION_NUM >= 180000
	return constant->extern_param && !jstate->has_squashed_lists;
#else
	return false;
#endif
}

/* Whether the jumble recorded a constant at this place of the text; passes those before it. */
static LocationLen *
recorded_at(Normalizer *n, int at)
{
	while (n->next < n->jstate->clocations_count)
	{
		LocationLen *constant = &n->jstate->clocations[n->next];
		int			begin = constant->location - n->location;

		if (begin > at)
			return NULL;
		n->next++;
		if (is_kept_param(n->jstate, constant))
			continue;
		/* A list is recorded from behind its parenthesis, which may be a blank. */
		if (begin == at || (is_list(constant) && at < begin + constant->length))
			return constant;
	}
	return NULL;
}

static void
replace(Normalizer *n, int begin, int end, bool list)
{
	if (begin < n->copied)
		return;
	appendBinaryStringInfo(&n->out, n->text + n->copied, begin - n->copied);
	appendStringInfo(&n->out, list ? "$%d /*, ... */" : "$%d", ++n->params);
	n->copied = end;
}

/* Behind the last recorded constant, and where the store cuts texts off, there is nothing more to replace. */
static inline bool
is_done(const Normalizer *n)
{
	return (n->jstate != NULL && n->next >= n->jstate->clocations_count) || n->out.len >= pgweir_query_size;
}

/* Scans the text; recorded constants (or all literals) are replaced on the way. */
static void
scan(Normalizer *n)
{
	core_yy_extra_type extra;
	core_YYSTYPE value;
	YYLTYPE		at;
	int			token;
	core_yyscan_t scanner = scanner_init(n->text, &extra, &ScanKeywords, ScanKeywordTokens);

	extra.escape_string_warning = false;
	while (!is_done(n) && (token = core_yylex(&value, &at, scanner)) != 0)
	{
		LocationLen *constant = NULL;
		int			begin = at;

		if (n->jstate != NULL)
		{
			constant = recorded_at(n, at);
			if (constant == NULL)
				continue;
			if (is_list(constant))
			{
				begin = constant->location - n->location;
				replace(n, begin, begin + constant->length, true);
				continue;
			}
			/* A negative number is recorded at its sign. */
			if (token == '-' && core_yylex(&value, &at, scanner) == 0)
				break;
		}
		else if (token == TOKEN_PARAM)
		{
			n->params = Max(n->params, value.ival);
			continue;
		}
		else if (!is_literal(token) || (n->keep_bodies && n->text[at] == '$'))
			continue;
		replace(n, begin, at + (int) strlen(extra.scanbuf + at), false);
	}
	scanner_finish(scanner);
}

/* The highest $n in the text, so that ours do not clash with it. */
static int
highest_param(const char *text)
{
	int			highest = 0;

	for (const char *p = strchr(text, '$'); p != NULL; p = strchr(p + 1, '$'))
	{
		long		number = strtol(p + 1, NULL, 10);

		if (number > highest && number <= MAX_PARAM)
			highest = (int) number;
	}
	return highest;
}

static bool
scan_safely(Normalizer *n)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool scanned = true;

	PG_TRY();
	{
		scan(n);
	}
	PG_CATCH();
	{
		/* Only the scanner ran, which holds nothing but memory. */
		MemoryContextSwitchTo(context);
		FlushErrorState();
		scanned = false;
	}
	PG_END_TRY();
	return scanned;
}

char *
pgweir_normalize(const char *text, int location, int *len, JumbleState *jstate, bool keep_bodies)
{
	Normalizer	n = {.location = location, .jstate = jstate, .keep_bodies = keep_bodies};
	char	   *copy = pnstrdup(text, *len);

	n.text = copy;
	initStringInfo(&n.out);
	if (jstate == NULL)
		n.params = highest_param(copy);
	else
	{
#if PG_VERSION_NUM >= 180000
		n.params = jstate->has_squashed_lists ? 0 : jstate->highest_extern_param_id;
#else
		n.params = jstate->highest_extern_param_id;
#endif
		if (jstate->clocations_count > 1)
			qsort(jstate->clocations, jstate->clocations_count, sizeof(LocationLen), compare_locations);
	}
	if ((jstate == NULL || jstate->clocations_count > 0) && !scan_safely(&n))
	{
		pfree(n.out.data);
		pfree(copy);
		return NULL;
	}
	appendStringInfoString(&n.out, copy + n.copied);
	pfree(copy);
	*len = n.out.len;
	return n.out.data;
}
