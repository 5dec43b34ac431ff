/*
 * select.c: the search for a set of indexes.
 */
#include "postgres.h"

#include "advisor/select.h"

#include <math.h>

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "advisor/search.h"
#include "stores/progress.h"

/* Without a budget set, indexes may take this fraction of the database's size, and never less than the floor. */
#define BUDGET_SHARE 0.25
#define BUDGET_FLOOR (64.0 * 1024 * 1024)
/* Exchanges in a round, and steps of annealing. */
#define MAX_SWAPS 20
#define ANNEALING_STEPS 3000
/* Rounds of greedy search and tidying up. */
#define MAX_ROUNDS 3

/* What a unit of planner cost takes on this machine, by the statements observed. */
static double
calibrate(const PgweirWorkload *workload)
{
	double		us = 0;
	double		cost = 0;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		const PgweirWork *work = &workload->item[i];

		if (work->queries && work->queryid != 0)
		{
			us += work->total_us;
			cost += work->calls * work->cost;
		}
	}
	return cost > 0 ? Min(Max(us / cost, 0.5), 100.0) : 5.0;
}

/* Utility statements and calls of functions, such as the advisor's own, do not make the rest look small. */
static double
reading_time(const PgweirWorkload *workload)
{
	double		us = 0;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		if (workload->item[i].scans)
			us += workload->item[i].total_us;
	}
	return us;
}

static double
budget_bytes(void)
{
	double		size;

	if (pgweir_advisor_budget_mb >= 0)
		return pgweir_advisor_budget_mb * 1024.0 * 1024.0;
	size = (double) DatumGetInt64(DirectFunctionCall1(pg_database_size_oid, ObjectIdGetDatum(MyDatabaseId)));
	return Max(BUDGET_FLOOR, size * BUDGET_SHARE);
}

static PgweirEffect *
make_effect(const PgweirSearch *search, const PgweirWork *work, double after)
{
	PgweirEffect *effect = palloc0(sizeof(PgweirEffect));

	effect->work = work;
	effect->queryid = work->queryid;
	effect->before = work->cost;
	effect->after = after;
	if (search->workload->hours > 0 && work->queryid != 0)
		effect->us_per_hour = work->total_us * fabs(1 - after / work->cost) / search->workload->hours;
	return effect;
}

/* The statements at hand whose writes the index makes dearer. */
static List *
add_writers(const PgweirSearch *search, int id, List *losing)
{
	PgweirCandidate *candidate = &search->candidates->item[id];
	ListCell   *lc;

	foreach (lc, candidate->table->writes)
	{
		const PgweirWrite *write = lfirst(lc);
		PgweirEffect *effect;
		double		entries = pgweir_write_entries(candidate->table, write, candidate->index);

		if (entries <= 0)
			continue;
		effect = palloc0(sizeof(PgweirEffect));
		effect->queryid = write->queryid;
		effect->entries = entries;
		effect->us_per_hour = pgweir_search_entries_us(search, id, entries);
		losing = lappend(losing, effect);
	}
	return losing;
}

static int
compare_effects(const ListCell *a, const ListCell *b)
{
	const PgweirEffect *x = lfirst(a);
	const PgweirEffect *y = lfirst(b);

	if (x->us_per_hour != y->us_per_hour)
		return x->us_per_hour > y->us_per_hour ? -1 : 1;
	return x->queryid < y->queryid ? -1 : x->queryid > y->queryid ? 1 : 0;
}

/* Who gains by the index, and how much; and who loses. */
static PgweirChoice *
make_choice(PgweirSearch *search, int id)
{
	PgweirWorkload *workload = search->workload;
	PgweirChoice *choice = palloc0(sizeof(PgweirChoice));
	double		calls = 0;
	double		saved_us = 0;
	int			i;

	choice->candidate = id;
	choice->bytes = pgweir_candidate_bytes(search->candidates, id);
	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];
		Bitmapset  *used;
		double		after = pgweir_work_cost(workload, work, search->chosen, &used);

		if (!bms_is_member(id, used))
			continue;
		if (after > work->cost * 1.0001)
			choice->losing = lappend(choice->losing, make_effect(search, work, after));
		if (after > work->cost * (1 - pgweir_search_min_gain()))
			continue;
		choice->gaining = lappend(choice->gaining, make_effect(search, work, after));
		choice->cost_before += work->calls * work->cost;
		choice->cost_after += work->calls * after;
		choice->observed_us += work->total_us;
		saved_us += work->total_us * (1 - after / work->cost);
		calls += work->calls;
	}
	if (calls > 0)
	{
		choice->cost_before /= calls;
		choice->cost_after /= calls;
	}
	if (choice->observed_us > 0)
		choice->saved = saved_us / choice->observed_us;
	choice->entries = pgweir_table_entries(search->candidates->item[id].table, pgweir_search_index(search, id));
	if (saved_us > 0)
		choice->write_share = pgweir_search_write_us(search, id) / saved_us;
	if (workload->hours > 0)
	{
		choice->saved_us = saved_us / workload->hours;
		choice->written_us = pgweir_search_write_us(search, id) / workload->hours;
	}
	choice->losing = add_writers(search, id, choice->losing);
	list_sort(choice->gaining, compare_effects);
	list_sort(choice->losing, compare_effects);
	return choice;
}

static int
compare_choices(const ListCell *a, const ListCell *b)
{
	const PgweirChoice *x = lfirst(a);
	const PgweirChoice *y = lfirst(b);
	double		saved_x = x->saved * x->observed_us;
	double		saved_y = y->saved * y->observed_us;

	if (saved_x != saved_y)
		return saved_x > saved_y ? -1 : 1;
	return x->candidate - y->candidate;
}

/* Greedy steps, then tidying up, for as long as that changes anything. */
static void
search_from_here(PgweirSearch *search)
{
	int			round;

	for (round = 0; round < MAX_ROUNDS; round++)
	{
		bool		changed = false;
		int			swaps = 0;

		while (!pgweir_search_out_of_time(search) && pgweir_search_greedy_step(search))
			changed = true;
		changed |= pgweir_improve_tidy(search);
		while (pgweir_search_is_tight(search) && swaps++ < MAX_SWAPS && pgweir_improve_swap(search))
			changed = true;
		if (!changed || pgweir_search_out_of_time(search))
			break;
	}
}

static void
search_set(PgweirSearch *search)
{
	Bitmapset  *by_bytes;

	pgweir_progress_set(PGWEIR_PROGRESS_PHASE, PGWEIR_PHASE_ASKING);
	pgweir_search_find_moves(search);
	pgweir_progress_set(PGWEIR_PROGRESS_PHASE, PGWEIR_PHASE_CHOOSING);
	search_from_here(search);
	if (pgweir_search_is_tight(search))
	{
		/* What is best for its bytes can leave a budget unused that something larger would fill. */
		by_bytes = search->chosen;
		search->chosen = NULL;
		search->by_value = true;
		search_from_here(search);
		if (pgweir_search_value(search, search->chosen) < pgweir_search_value(search, by_bytes) + PGWEIR_MIN_SHARE * search->reading_us)
			search->chosen = by_bytes;
	}
	if (pgweir_search_is_tight(search))
	{
		pgweir_improve_anneal_steps(search, ANNEALING_STEPS);
		search_from_here(search);
	}
	if (pgweir_advisor_extra_search_ms > 0)
		pgweir_improve_anneal_time(search, pgweir_advisor_extra_search_ms);
	pgweir_improve_steady(search);
	pgweir_improve_prune(search);
	pgweir_improve_brin(search);
	pgweir_improve_check_regressions(search);
}

PgweirSelection *
pgweir_select(PgweirWorkload *workload)
{
	MemoryContext old = MemoryContextSwitchTo(workload->context);
	PgweirSelection *selection = palloc0(sizeof(PgweirSelection));
	PgweirSearch search = {.workload = workload, .candidates = &workload->candidates, .budget = budget_bytes(),
						  .us_per_cost = calibrate(workload), .reading_us = reading_time(workload)};
	int			id = -1;

	search_set(&search);
	while ((id = bms_next_member(search.chosen, id)) >= 0)
	{
		PgweirChoice *choice = make_choice(&search, id);

		if (choice->gaining)
			selection->choices = lappend(selection->choices, choice);
	}
	list_sort(selection->choices, compare_choices);
	selection->chosen = search.chosen;
	selection->timed_out = search.timed_out;
	if (search.reading_us > 0)
		selection->saved = pgweir_search_value(&search, search.chosen) / search.reading_us;
	MemoryContextSwitchTo(old);
	return selection;
}
