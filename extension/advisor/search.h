/*
 * search.h: the state of the search for a set of indexes, and its steps.
 *
 * search.c values sets and builds one up greedily; improve.c exchanges, drops and narrows what is chosen.  select.c says in
 * which order.  Values are microseconds of the observed time: what a set saves is, for each statement, its time multiplied
 * by the fraction of its planner cost that goes away; making index entries for writes is subtracted.
 */
#ifndef PGWEIR_ADVISOR_SEARCH_H
#define PGWEIR_ADVISOR_SEARCH_H

#include "advisor/settings.h"
#include "advisor/workload.h"

/* A change must save this fraction of the observed time of statements that read tables. */
#define PGWEIR_MIN_SHARE 0.0005
/* Planner cost per execution below which a difference is not worth an index: a few pages. */
#define PGWEIR_MIN_COST_SAVED 10.0

typedef struct PgweirSearch
{
	PgweirWorkload *workload;
	PgweirCandidates *candidates;
	Bitmapset  *chosen;
	List	   *moves;			/* of Bitmapset *: candidates added together */
	double		budget;
	double		us_per_cost;	/* what a unit of planner cost takes here */
	double		reading_us;		/* observed time of statements that read tables: what advice can be measured by */
	bool		by_value;		/* greedy takes what saves most, not what saves most for its bytes */
	bool		timed_out;
} PgweirSearch;

/* The difference between two sets of indexes. */
typedef struct PgweirChange
{
	double		saved_us;		/* net of writes */
	double		bytes;
	double		best;			/* largest fraction of its cost that a statement gains */
	double		worst;			/* or loses, as a positive fraction */
	double		best_cost;		/* largest gain in planner cost */
	double		best_of_all;	/* largest gain as a fraction of what it costs without any of them */
	double		felt_us;		/* most that an execution of some statement gets shorter by */
} PgweirChange;

static inline const PgweirIndex *
pgweir_search_index(const PgweirSearch *search, int id)
{
	return search->candidates->item[id].index;
}

static inline double
pgweir_search_min_gain(void)
{
	return pgweir_advisor_min_gain / 100;
}

/* --- search.c --- */

/* The microseconds that so many entries of the index take to make; those that it takes in the observed time. */
extern double pgweir_search_entries_us(const PgweirSearch *search, int id, double entries);
extern double pgweir_search_write_us(const PgweirSearch *search, int id);

extern PgweirChange pgweir_search_change(PgweirSearch *search, const Bitmapset *from, const Bitmapset *to);

/*
 * Whether anybody would notice the change: some statement gets shorter by pgweir.advisor_min_saving, or together they save
 * pgweir.advisor_min_saved_per_hour.
 */
extern bool pgweir_search_is_felt(const PgweirSearch *search, const PgweirChange *change);

/* The microseconds a set saves, its writes taken off. */
extern double pgweir_search_value(PgweirSearch *search, const Bitmapset *set);

extern double pgweir_search_bytes(const PgweirSearch *search, const Bitmapset *set);

/* Whether the set is within the budget and the number. */
extern bool pgweir_search_allows(const PgweirSearch *search, const Bitmapset *set);

/* The set with the move made: what the new ones serve goes. */
extern Bitmapset *pgweir_search_with_move(const PgweirSearch *search, const Bitmapset *set, const Bitmapset *move);

/*
 * Whether included columns in the set are worth their space: they must save a good part of what a statement costs
 * now, not just of the little that is left once rows are found by the key; or take little.
 */
extern bool pgweir_search_includes_pay(PgweirSearch *search, const Bitmapset *set);

extern bool pgweir_search_out_of_time(PgweirSearch *search);

/*
 * Asks for each statement what all its candidates and each alone do for it.  Those that help become moves, and so does
 * the set that its best plan uses together.
 */
extern void pgweir_search_find_moves(PgweirSearch *search);

/* Makes the best move; false when none is worth it. */
extern bool pgweir_search_greedy_step(PgweirSearch *search);

/* Whether the budget or the number keeps something from being chosen that would be worth it. */
extern bool pgweir_search_is_tight(const PgweirSearch *search);

/* --- improve.c --- */

/* Drops what is not needed beside the others, narrows what is too wide, and puts one in the place of two. */
extern bool pgweir_improve_tidy(PgweirSearch *search);

/* Exchanges a chosen index for a move where that saves more; false when it does nowhere. */
extern bool pgweir_improve_swap(PgweirSearch *search);

/*
 * Simulated annealing from what is chosen.  So many steps give the same outcome each time; by time it is a check on the
 * rules, and for those who have the time.
 */
extern void pgweir_improve_anneal_steps(PgweirSearch *search, int steps);
extern void pgweir_improve_anneal_time(PgweirSearch *search, double ms);

/* Takes BRIN for B-trees on large tables where it does: it is smaller by orders of magnitude. */
extern void pgweir_improve_brin(PgweirSearch *search);

/* Takes indexes that begin with what is fixed for those that find a statement's first rows by their order alone. */
extern void pgweir_improve_steady(PgweirSearch *search);

/* Takes back what nobody would notice if it were missing, the least first. */
extern void pgweir_improve_prune(PgweirSearch *search);

/* Takes back indexes that make some statement dearer than it is now. */
extern void pgweir_improve_check_regressions(PgweirSearch *search);

#endif
