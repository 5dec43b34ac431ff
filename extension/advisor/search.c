/*
 * search.c: what sets of indexes are worth, and a greedy search among them.
 */
#include "postgres.h"

#include "advisor/search.h"

#include <math.h>

#include "catalog/pg_am.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"

#include "stores/progress.h"

/* The fraction of what a statement costs now below which a difference in its cost does not count. */
#define MIN_SHARE_SAVED 0.01
/* An index that holds so much of its table is a copy of it. */
#define MAX_TABLE_SHARE 0.5

double
pgweir_search_entries_us(const PgweirSearch *search, int id, double entries)
{
	PgweirCandidate *candidate = &search->candidates->item[id];
	double		pages;
	double		per_entry;

	if (entries <= 0)
		return 0;
	pages = pgweir_candidate_bytes(search->candidates, id) / BLCKSZ;
	per_entry = 3 * 50 * cpu_operator_cost + 2 * cpu_index_tuple_cost;
	/* A row has many entries there. */
	if (candidate->index->am == GIN_AM_OID)
		per_entry *= 10;
	if (pages > effective_cache_size / 4.0)
		per_entry += random_page_cost / 2;
	return entries * per_entry * search->us_per_cost;
}

double
pgweir_search_write_us(const PgweirSearch *search, int id)
{
	PgweirCandidate *candidate = &search->candidates->item[id];

	return pgweir_search_entries_us(search, id,
					  pgweir_table_entries(candidate->table, candidate->index) * search->workload->hours);
}

/* Whether the statement's cost can differ between the sets. */
static bool
concerns(const PgweirWork *work, const Bitmapset *a, const Bitmapset *b)
{
	Bitmapset  *x;
	Bitmapset  *y;
	bool		same;

	if (work->queries == NIL || work->relevant == NULL)
		return false;
	x = bms_intersect(a, work->relevant);
	y = bms_intersect(b, work->relevant);
	same = bms_equal(x, y);
	bms_free(x);
	bms_free(y);
	return !same;
}

/* What a unit of the statement's planner cost takes in one of its executions. */
static double
us_per_cost_of(const PgweirSearch *search, const PgweirWork *work)
{
	return work->queryid != 0 && work->calls > 0 && work->cost > 0 ? work->total_us / work->calls / work->cost
		: search->us_per_cost;
}

PgweirChange
pgweir_search_change(PgweirSearch *search, const Bitmapset *from, const Bitmapset *to)
{
	PgweirWorkload *workload = search->workload;
	PgweirChange change = {0};
	int			id;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];
		double		before;
		double		after;
		double		floor_cost;

		if (!concerns(work, from, to))
			continue;
		before = pgweir_work_cost(workload, work, from, NULL);
		after = pgweir_work_cost(workload, work, to, NULL);
		floor_cost = Max(PGWEIR_MIN_COST_SAVED, work->cost * MIN_SHARE_SAVED);
		if (work->cost > 0)
			change.saved_us += work->total_us * (before - after) / work->cost;
		change.felt_us = Max(change.felt_us, (before - after) * us_per_cost_of(search, work));
		if (before - after >= floor_cost)
		{
			change.best = Max(change.best, (before - after) / before);
			change.best_cost = Max(change.best_cost, before - after);
			change.best_of_all = Max(change.best_of_all, (before - after) / work->cost);
		}
		if (after - before >= floor_cost)
			change.worst = Max(change.worst, (after - before) / after);
	}
	for (id = -1; (id = bms_next_member(to, id)) >= 0;)
	{
		if (bms_is_member(id, from))
			continue;
		change.bytes += pgweir_candidate_net_bytes(search->candidates, id);
		change.saved_us -= pgweir_search_write_us(search, id);
	}
	for (id = -1; (id = bms_next_member(from, id)) >= 0;)
	{
		if (bms_is_member(id, to))
			continue;
		change.bytes -= pgweir_candidate_net_bytes(search->candidates, id);
		change.saved_us += pgweir_search_write_us(search, id);
	}
	return change;
}

bool
pgweir_search_is_felt(const PgweirSearch *search, const PgweirChange *change)
{
	double		hours = search->workload->hours;

	return change->felt_us >= pgweir_advisor_min_saving_ms * 1000 ||
		(hours > 0 && change->saved_us / hours >= pgweir_advisor_min_saved_per_hour_ms * 1000.0);
}

double
pgweir_search_value(PgweirSearch *search, const Bitmapset *set)
{
	return pgweir_search_change(search, NULL, set).saved_us;
}

Bitmapset *
pgweir_search_with_move(const PgweirSearch *search, const Bitmapset *set, const Bitmapset *move)
{
	Bitmapset  *result = bms_union(set, move);
	int			old = -1;
	int			new;

	while ((old = bms_next_member(set, old)) >= 0)
	{
		for (new = -1; (new = bms_next_member(move, new)) >= 0;)
		{
			if (new != old && pgweir_index_serves(pgweir_search_index(search, new), pgweir_search_index(search, old)))
				result = bms_del_member(result, old);
		}
	}
	return result;
}

double
pgweir_search_bytes(const PgweirSearch *search, const Bitmapset *set)
{
	double		bytes = 0;
	int			id = -1;

	while ((id = bms_next_member(set, id)) >= 0)
		bytes += pgweir_candidate_bytes(search->candidates, id);
	return bytes;
}

bool
pgweir_search_allows(const PgweirSearch *search, const Bitmapset *set)
{
	return bms_num_members(set) <= pgweir_advisor_max_indexes && pgweir_search_bytes(search, set) <= search->budget;
}

bool
pgweir_search_out_of_time(PgweirSearch *search)
{
	if (!search->timed_out && pgweir_workload_timed_out(search->workload))
		search->timed_out = true;
	return search->timed_out;
}

static void
add_move(PgweirSearch *search, Bitmapset *move)
{
	ListCell   *lc;

	if (bms_is_empty(move))
		return;
	foreach (lc, search->moves)
	{
		if (bms_equal(lfirst(lc), move))
			return;
	}
	search->moves = lappend(search->moves, move);
}

/* The candidate with the same key and nothing included; -1: there is none, since an existing index serves it. */
static int
bare_candidate(const PgweirSearch *search, int id)
{
	const PgweirIndex *index = pgweir_search_index(search, id);
	int			other;

	for (other = 0; other < search->candidates->count; other++)
	{
		const PgweirIndex *bare = pgweir_search_index(search, other);

		if (bare->nkeys == index->nkeys && bare->ncolumns == bare->nkeys && pgweir_index_key_prefix(bare, index) &&
			equal(bare->predicate, index->predicate))
			return other;
	}
	return -1;
}

/* The set with each candidate that includes columns replaced by the one that does not. */
static Bitmapset *
without_included(const PgweirSearch *search, const Bitmapset *set)
{
	Bitmapset  *result = NULL;
	int			id = -1;

	while ((id = bms_next_member(set, id)) >= 0)
	{
		int			bare = bare_candidate(search, id);

		result = bms_add_member(result, bare >= 0 ? bare : id);
	}
	return result;
}

void
pgweir_search_find_moves(PgweirSearch *search)
{
	PgweirWorkload *workload = search->workload;
	Bitmapset  *useful = NULL;
	int			id;
	int			i;

	for (i = 0; i < workload->count && !pgweir_search_out_of_time(search); i++)
	{
		PgweirWork *work = &workload->item[i];
		Bitmapset  *used;
		Bitmapset  *bare;
		double		limit = Min(work->cost * (1 - pgweir_search_min_gain()), work->cost - PGWEIR_MIN_COST_SAVED);

		pgweir_progress_set(PGWEIR_PROGRESS_DONE, i);
		if (work->queries == NIL || work->relevant == NULL ||
			pgweir_work_cost(workload, work, work->relevant, &used) > limit)
			continue;
		bare = without_included(search, used);
		if (bms_num_members(used) > 1)
		{
			add_move(search, bms_copy(used));
			add_move(search, bms_copy(bare));
		}
		useful = bms_add_members(bms_add_members(useful, used), bare);
		for (id = -1; (id = bms_next_member(work->relevant, id)) >= 0 && !pgweir_search_out_of_time(search);)
		{
			Bitmapset  *one = bms_make_singleton(id);

			if (pgweir_work_cost(workload, work, one, NULL) <= limit)
				useful = bms_add_member(useful, id);
			bms_free(one);
		}
	}
	for (id = -1; (id = bms_next_member(useful, id)) >= 0;)
		add_move(search, bms_make_singleton(id));
}

bool
pgweir_search_includes_pay(PgweirSearch *search, const Bitmapset *set)
{
	int			id = -1;

	while ((id = bms_next_member(set, id)) >= 0)
	{
		const PgweirIndex *index = pgweir_search_index(search, id);
		Bitmapset  *without;
		PgweirChange change;
		int			bare;
		bool		pays;

		if (index->ncolumns == index->nkeys || bms_is_member(id, search->chosen))
			continue;
		if (pgweir_candidate_bytes(search->candidates, id) >
			search->candidates->item[id].table->pages * BLCKSZ * MAX_TABLE_SHARE)
			return false;
		bare = bare_candidate(search, id);
		without = bms_del_member(bms_copy(set), id);
		if (bare >= 0)
			without = bms_add_member(without, bare);
		change = pgweir_search_change(search, without, set);
		/* Where an index with that key is there, only a saving worth mentioning justifies another. */
		pays = (change.best_of_all >= pgweir_search_min_gain() && (bare >= 0 || change.best_cost >= 10 * PGWEIR_MIN_COST_SAVED)) ||
			(bare >= 0 && change.best >= 0.5 && change.bytes <= pgweir_candidate_bytes(search->candidates, bare));
		bms_free(without);
		if (!pays)
			return false;
	}
	return true;
}

/* Whether a change to the chosen set is worth making at all. */
static bool
is_worth(const PgweirSearch *search, const PgweirChange *change, const Bitmapset *set)
{
	return change->best >= pgweir_search_min_gain() && change->saved_us >= PGWEIR_MIN_SHARE * search->reading_us &&
		pgweir_search_allows(search, set);
}

/* Better per byte or altogether; equal ones by size, so that the outcome does not depend on chance. */
static bool
is_better(const PgweirSearch *search, const PgweirChange *a, const PgweirChange *b)
{
	double		x = a->saved_us / (search->by_value ? 1 : Max(a->bytes, BLCKSZ));
	double		y = b->saved_us / (search->by_value ? 1 : Max(b->bytes, BLCKSZ));

	if (fabs(x - y) > 1e-9 * Max(fabs(x), fabs(y)))
		return x > y;
	return a->bytes < b->bytes;
}

bool
pgweir_search_greedy_step(PgweirSearch *search)
{
	Bitmapset  *best = NULL;
	PgweirChange best_change = {0};
	ListCell   *lc;

	foreach (lc, search->moves)
	{
		Bitmapset  *set;
		PgweirChange change;

		if (pgweir_search_out_of_time(search))
			break;
		if (bms_is_subset(lfirst(lc), search->chosen))
			continue;
		set = pgweir_search_with_move(search, search->chosen, lfirst(lc));
		change = pgweir_search_change(search, search->chosen, set);
		if (is_worth(search, &change, set) && (best == NULL || is_better(search, &change, &best_change)) &&
			pgweir_search_includes_pay(search, set))
		{
			bms_free(best);
			best = set;
			best_change = change;
		}
		else
			bms_free(set);
	}
	if (best == NULL)
		return false;
	search->chosen = best;
	pgweir_progress_set(PGWEIR_PROGRESS_CHOSEN, bms_num_members(best));
	return true;
}

bool
pgweir_search_is_tight(const PgweirSearch *search)
{
	double		bytes = pgweir_search_bytes(search, search->chosen);
	int			count = bms_num_members(search->chosen);
	ListCell   *lc;

	foreach (lc, search->moves)
	{
		const Bitmapset *move = lfirst(lc);

		if (!bms_is_subset(move, search->chosen) &&
			(bytes + pgweir_search_bytes(search, move) > search->budget || count + bms_num_members(move) > pgweir_advisor_max_indexes))
			return true;
	}
	return false;
}
