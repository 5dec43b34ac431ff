/*
 * select.h: which of the candidates to suggest.
 *
 * Greedy in the manner of Extend: each step adds the index, or widens a chosen one, that saves the most time for its
 * bytes, until nothing pays, the budget is used up, the number is reached or the time is over.  Then indexes that turn
 * out not to be needed are dropped, too wide ones narrowed, and pairs replaced by one that does for both.
 */
#ifndef PGWEIR_ADVISOR_SELECT_H
#define PGWEIR_ADVISOR_SELECT_H

#include "advisor/workload.h"

/* What a choice is to one statement. */
typedef struct PgweirEffect
{
	const PgweirWork *work;		/* NULL: a write, of which only its id is known */
	int64		queryid;
	double		before;			/* planner cost */
	double		after;
	double		us_per_hour;	/* saved, or for a loser spent */
	double		entries;		/* made an hour, for a write */
} PgweirEffect;

/* An index that is suggested. */
typedef struct PgweirChoice
{
	int			candidate;
	double		bytes;
	List	   *gaining;		/* of PgweirEffect: statements that use it and gain enough, the most first */
	List	   *losing;			/* of PgweirEffect: those that get dearer, and those that write */
	double		cost_before;	/* of those, per execution on average */
	double		cost_after;
	double		saved;			/* fraction of their observed time */
	double		observed_us;	/* that time */
	double		entries;		/* to be made an hour for writes; 0 also when not known */
	double		write_share;	/* of what it saves, taken by those */
	double		saved_us;		/* an hour; 0 when the span of the statements is not known */
	double		written_us;		/* an hour, by those entries */
} PgweirChoice;

typedef struct PgweirSelection
{
	List	   *choices;		/* of PgweirChoice, most time saved first */
	Bitmapset  *chosen;			/* their candidates */
	bool		timed_out;		/* the search was cut short */
	double		saved;			/* fraction of the time of statements that read tables, writes taken off */
} PgweirSelection;

extern PgweirSelection *pgweir_select(PgweirWorkload *workload);

#endif
