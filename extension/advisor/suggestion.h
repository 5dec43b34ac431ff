/*
 * suggestion.h: what the advisor has to say, as rows of index_suggestions.
 */
#ifndef PGWEIR_ADVISOR_SUGGESTION_H
#define PGWEIR_ADVISOR_SUGGESTION_H

#include "nodes/pg_list.h"

#include "advisor/select.h"
#include "advisor/workload.h"

/* A row.  A double that is negative is shown as null. */
typedef struct PgweirSuggestion
{
	const char *action;			/* create, drop, analyze */
	char	   *identity;		/* what the row's id is made of: the same in every run */
	char	   *table_name;
	char	   *ddl;
	char	   *reason;
	int			statements;
	List	   *queryids;		/* of int64 *: those that are known */
	double		gain_pct;
	double		cost_before;
	double		cost_after;
	double		load_pct;
	double		size_bytes;
	char	   *write_cost;		/* NULL: not known */
	const char *confidence;		/* high, medium, low */
	double		saves_ms;		/* an hour */
	double		write_ms;		/* an hour, that writes take longer */
	char	   *gaining;		/* statements, as a JSON array; NULL: none */
	char	   *losing;
	List	   *replaces;		/* of char *: existing indexes that can be dropped afterwards */
} PgweirSuggestion;

/* A suggestion with nothing but what is given. */
extern PgweirSuggestion *pgweir_suggestion_make(const char *action, const char *confidence);

/* The chosen indexes and the tables that need ANALYZE first, as a list of suggestions in the current context. */
extern List *pgweir_suggestions_describe(PgweirWorkload *workload, const PgweirSelection *selection);

/* Why nothing, or what, was suggested for one statement: a text. */
extern char *pgweir_suggestions_explain(PgweirWorkload *workload, PgweirWork *work, const PgweirSelection *selection);

#endif
