/*
 * improve.c: changes a set of indexes that was found greedily: drops, narrows, merges, exchanges.
 */
#include "postgres.h"

#include "advisor/search.h"

#include <math.h>

#include "catalog/pg_am.h"
#include "utils/timestamp.h"

/* BRIN serves what reads such a fraction of its table, and must leave such a fraction of the cost. */
#define MIN_BRIN_ROWS 0.03
#define MAX_BRIN_COST 0.9
/* Conditions that more rows than these satisfy are met soon wherever one begins. */
#define MAX_LUCKY_SHARE 0.5
/* An index that does not depend on luck may be so much larger. */
#define MAX_STEADY_GROWTH 2.0

/* Whether going to the set costs no statement anything worth mentioning, and saves space or writes. */
static bool
is_tidier(PgweirSearch *search, const Bitmapset *set)
{
	PgweirChange change = pgweir_search_change(search, search->chosen, set);

	if (change.saved_us > 0 && change.worst < pgweir_search_min_gain() && change.bytes < 0)
		return true;
	return change.worst < pgweir_search_min_gain() / 2 && change.bytes < 0 &&
		change.saved_us > -PGWEIR_MIN_SHARE * 10 * search->reading_us;
}

/* Drops what is not needed beside the others. */
static bool
drop_pass(PgweirSearch *search)
{
	bool		changed = false;
	int			id = -1;

	while ((id = bms_next_member(search->chosen, id)) >= 0)
	{
		Bitmapset  *set = bms_del_member(bms_copy(search->chosen), id);

		if (is_tidier(search, set))
		{
			search->chosen = set;
			changed = true;
		}
	}
	return changed;
}

/* Whether all that the index holds is in the other, which has more or is larger for another reason. */
static bool
is_part(const PgweirIndex *index, const PgweirIndex *other)
{
	int			i;
	int			j;

	if (index->relid != other->relid || index->am != other->am || index->ncolumns >= other->ncolumns ||
		!equal(index->predicate, other->predicate))
		return false;
	for (i = 0; i < index->ncolumns; i++)
	{
		for (j = 0; j < other->ncolumns; j++)
		{
			if (index->column[i].attno == other->column[j].attno && equal(index->column[i].expr, other->column[j].expr))
				break;
		}
		if (j == other->ncolumns)
			return false;
	}
	return true;
}

/* Replaces a chosen index by the smallest that does as well: some of its columns, or without what it includes. */
static bool
narrow_one(PgweirSearch *search, int id)
{
	Bitmapset  *best = NULL;
	double		best_bytes = pgweir_candidate_bytes(search->candidates, id);
	int			other;

	for (other = 0; other < search->candidates->count && !pgweir_search_out_of_time(search); other++)
	{
		Bitmapset  *set;

		if (other == id || !is_part(pgweir_search_index(search, other), pgweir_search_index(search, id)) ||
			pgweir_candidate_bytes(search->candidates, other) >= best_bytes)
			continue;
		set = bms_add_member(bms_del_member(bms_copy(search->chosen), id), other);
		if (!is_tidier(search, set))
			continue;
		best = set;
		best_bytes = pgweir_candidate_bytes(search->candidates, other);
	}
	if (best)
		search->chosen = best;
	return best != NULL;
}

static bool
narrow_pass(PgweirSearch *search)
{
	Bitmapset  *before = bms_copy(search->chosen);
	bool		changed = false;
	int			id = -1;

	while ((id = bms_next_member(before, id)) >= 0)
		changed |= bms_is_member(id, search->chosen) && narrow_one(search, id);
	return changed;
}

/* Whether one index does for two: it may take more space than both, since each write maintains one less. */
static bool
does_for_two(PgweirSearch *search, const Bitmapset *set, double pair_bytes)
{
	PgweirChange change = pgweir_search_change(search, search->chosen, set);

	return change.worst < pgweir_search_min_gain() / 2 && change.bytes < pair_bytes &&
		pgweir_search_bytes(search, set) <= search->budget && pgweir_search_includes_pay(search, set);
}

/* One candidate in place of two chosen indexes of a table. */
static bool
merge_pair(PgweirSearch *search, int a, int b)
{
	double		bytes = pgweir_candidate_bytes(search->candidates, a) + pgweir_candidate_bytes(search->candidates, b);
	int			other;

	for (other = 0; other < search->candidates->count && !pgweir_search_out_of_time(search); other++)
	{
		Bitmapset  *set;

		if (pgweir_search_index(search, other)->relid != pgweir_search_index(search, a)->relid ||
			bms_is_member(other, search->chosen))
			continue;
		set = bms_del_member(bms_del_member(bms_copy(search->chosen), a), b);
		set = bms_add_member(set, other);
		if (does_for_two(search, set, bytes))
		{
			search->chosen = set;
			return true;
		}
		bms_free(set);
	}
	return false;
}

static bool
merge_pass(PgweirSearch *search)
{
	int			a = -1;
	int			b;

	while ((a = bms_next_member(search->chosen, a)) >= 0)
	{
		for (b = a; (b = bms_next_member(search->chosen, b)) >= 0;)
		{
			if (pgweir_search_index(search, a)->relid == pgweir_search_index(search, b)->relid && merge_pair(search, a, b))
				return true;
		}
	}
	return false;
}

bool
pgweir_improve_tidy(PgweirSearch *search)
{
	bool		changed = drop_pass(search);

	changed |= narrow_pass(search);
	changed |= merge_pass(search);
	changed |= drop_pass(search);
	return changed;
}

/* Whether the statement reads of the table only ranges that BRIN is made for. */
static bool
reads_ranges(const PgweirWork *work, Oid relid)
{
	ListCell   *lc;

	foreach (lc, work->scans)
	{
		const PgweirScan *scan = lfirst(lc);

		if (scan->relid == relid && (scan->rows < scan->tuples * MIN_BRIN_ROWS || scan->limit >= 0))
			return false;
	}
	return true;
}

/*
 * Whether BRIN in place of a B-tree still helps all that the B-tree helps, and they read ranges that it is made for.  set
 * has it; when the BRIN index exists the statements' costs are with it already.
 */
static bool
brin_does(PgweirSearch *search, int btree, const Bitmapset *set, bool exists)
{
	PgweirWorkload *workload = search->workload;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];
		Bitmapset  *used;

		pgweir_work_cost(workload, work, search->chosen, &used);
		if (!bms_is_member(btree, used))
			continue;
		/* The planner thinks it dearer than it is: it does not see that the pages lie together. */
		if (!exists && pgweir_work_cost(workload, work, set, NULL) > work->cost * MAX_BRIN_COST)
			return false;
		if (!reads_ranges(work, pgweir_search_index(search, btree)->relid))
			return false;
	}
	return true;
}

static bool
is_brin_on(const PgweirIndex *brin, const PgweirIndex *btree)
{
	return brin->am == BRIN_AM_OID && brin->relid == btree->relid && brin->column[0].attno == btree->column[0].attno;
}

/* Whether the table has such a BRIN index already. */
static bool
brin_exists(PgweirSearch *search, int btree)
{
	ListCell   *lc;

	foreach (lc, search->candidates->item[btree].table->indexes)
	{
		if (is_brin_on(lfirst(lc), pgweir_search_index(search, btree)))
			return true;
	}
	return false;
}

/* Takes BRIN for one B-tree. */
static void
brin_for(PgweirSearch *search, int btree)
{
	Bitmapset  *without = bms_del_member(bms_copy(search->chosen), btree);
	int			other;

	if (brin_exists(search, btree))
	{
		if (brin_does(search, btree, without, true))
			search->chosen = without;
		return;
	}
	for (other = 0; other < search->candidates->count && !pgweir_search_out_of_time(search); other++)
	{
		Bitmapset  *set;

		if (!is_brin_on(pgweir_search_index(search, other), pgweir_search_index(search, btree)))
			continue;
		set = bms_add_member(bms_copy(without), other);
		if (brin_does(search, btree, set, false))
			search->chosen = set;
		return;
	}
}

void
pgweir_improve_brin(PgweirSearch *search)
{
	Bitmapset  *before = search->chosen;
	int			id = -1;

	while ((id = bms_next_member(before, id)) >= 0)
	{
		const PgweirIndex *index = pgweir_search_index(search, id);

		if (index->am == BTREE_AM_OID && index->ncolumns == 1 && index->predicate == NIL && index->column[0].attno != 0)
			brin_for(search, id);
	}
}

/* Whether the scan has a condition that fixes the column to one value. */
static const PgweirPredicate *
fixing(const PgweirScan *scan, const PgweirIndexColumn *column)
{
	ListCell   *lc;

	foreach (lc, scan->predicates)
	{
		const PgweirPredicate *predicate = lfirst(lc);

		if (predicate->kind == PGWEIR_PREDICATE_EQUAL && predicate->arm == 0 && predicate->column.attno == column->attno &&
			equal(predicate->column.expr, column->expr))
			return predicate;
	}
	return NULL;
}

/* Whether all rows of the index satisfy one of the scan's conditions that fix a column. */
static bool
is_partial_for(const PgweirScan *scan, const PgweirIndex *index)
{
	ListCell   *lc;

	foreach (lc, scan->predicates)
	{
		const PgweirPredicate *predicate = lfirst(lc);

		if (predicate->kind == PGWEIR_PREDICATE_EQUAL && predicate->arm == 0 && predicate->constant &&
			list_length(index->predicate) == 1 && equal(linitial(index->predicate), predicate->constant))
			return true;
	}
	return false;
}

/* How many columns of the index are fixed before the one by which the scan is to be ordered; -1: it gives no such order. */
static int
fixed_before_order(const PgweirScan *scan, const PgweirIndex *index)
{
	ListCell   *lc;
	int			n = 0;

	while (n < index->nkeys && fixing(scan, &index->column[n]))
		n++;
	if (n == index->nkeys)
		return -1;
	foreach (lc, scan->orders)
	{
		const PgweirIndexColumn *first = &((PgweirOrder *) lfirst(lc))->column[0];

		if (first->attno == index->column[n].attno && equal(first->expr, index->column[n].expr))
			return n;
	}
	return -1;
}

/*
 * Whether the first few rows in the index's order are looked through for some that satisfy equalities.  The planner takes
 * those for spread evenly; where they are not, all of the index is read.
 */
static bool
leans_on_luck(const PgweirScan *scan, const PgweirIndex *index)
{
	ListCell   *lc;

	if (scan->relid != index->relid || index->am != BTREE_AM_OID || scan->limit < 0 || is_partial_for(scan, index) ||
		fixed_before_order(scan, index) != 0)
		return false;
	foreach (lc, scan->predicates)
	{
		const PgweirPredicate *predicate = lfirst(lc);

		if (predicate->kind == PGWEIR_PREDICATE_EQUAL && predicate->arm == 0 && predicate->selectivity < MAX_LUCKY_SHARE)
			return true;
	}
	return false;
}

static const PgweirScan *
lucky_scan(PgweirSearch *search, int id)
{
	PgweirWorkload *workload = search->workload;
	ListCell   *lc;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];
		Bitmapset  *used;

		pgweir_work_cost(workload, work, search->chosen, &used);
		if (!bms_is_member(id, used))
			continue;
		foreach (lc, work->scans)
		{
			if (leans_on_luck(lfirst(lc), pgweir_search_index(search, id)))
				return lfirst(lc);
		}
	}
	return NULL;
}

/* Puts in the place of the index one that begins with what is fixed, if that is no worse by the planner's figures. */
static void
steady_one(PgweirSearch *search, int id, const PgweirScan *scan)
{
	Bitmapset  *best = NULL;
	double		best_us = -PGWEIR_MIN_SHARE * 10 * search->reading_us;
	double		max_bytes = pgweir_candidate_bytes(search->candidates, id) * MAX_STEADY_GROWTH;
	int			other;

	for (other = 0; other < search->candidates->count && !pgweir_search_out_of_time(search); other++)
	{
		const PgweirIndex *index = pgweir_search_index(search, other);
		int			fixed = index->relid == scan->relid && index->am == BTREE_AM_OID ? fixed_before_order(scan, index) : -1;
		PgweirChange change;
		Bitmapset  *set;

		if (fixed < 0 || (fixed == 0 && !is_partial_for(scan, index)) || index->ncolumns > index->nkeys ||
			pgweir_candidate_bytes(search->candidates, other) > max_bytes)
			continue;
		set = bms_add_member(bms_del_member(bms_copy(search->chosen), id), other);
		change = pgweir_search_change(search, search->chosen, set);
		if (change.worst >= pgweir_search_min_gain() / 2 || change.saved_us <= best_us || !pgweir_search_allows(search, set))
			continue;
		best = set;
		best_us = change.saved_us;
	}
	if (best)
		search->chosen = best;
}

void
pgweir_improve_steady(PgweirSearch *search)
{
	Bitmapset  *before = search->chosen;
	int			id = -1;

	while ((id = bms_next_member(before, id)) >= 0)
	{
		const PgweirScan *scan = lucky_scan(search, id);

		if (scan && bms_is_member(id, search->chosen))
			steady_one(search, id, scan);
	}
}

void
pgweir_improve_prune(PgweirSearch *search)
{
	for (;;)
	{
		Bitmapset  *least = NULL;	/* of one index, what is left: an empty set is NULL from 16 on */
		double		least_us = 0;
		bool		found = false;
		int			id = -1;

		while ((id = bms_next_member(search->chosen, id)) >= 0)
		{
			Bitmapset  *without = bms_del_member(bms_copy(search->chosen), id);
			PgweirChange change = pgweir_search_change(search, without, search->chosen);

			if (pgweir_search_is_felt(search, &change) || (found && change.saved_us >= least_us))
				continue;
			least = without;
			least_us = change.saved_us;
			found = true;
		}
		if (!found)
			return;
		search->chosen = least;
	}
}

void
pgweir_improve_check_regressions(PgweirSearch *search)
{
	PgweirWorkload *workload = search->workload;
	Bitmapset  *used;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];

		while (pgweir_work_cost(workload, work, search->chosen, &used) > work->cost * 1.01 && !bms_is_empty(used))
			search->chosen = bms_del_member(bms_copy(search->chosen), bms_next_member(used, -1));
	}
}

static int
random_below(uint64 *state, int n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return n > 0 ? (int) (*state % (uint64) n) : 0;
}

static int
random_member(uint64 *state, const Bitmapset *set)
{
	int			skip = random_below(state, bms_num_members(set));
	int			id = bms_next_member(set, -1);

	while (skip-- > 0)
		id = bms_next_member(set, id);
	return id;
}

/* The set with one to three indexes exchanged, cut back to what is allowed. */
static Bitmapset *
random_neighbour(PgweirSearch *search, uint64 *state, const Bitmapset *from)
{
	Bitmapset  *set = bms_copy(from);
	int			steps = 1 + random_below(state, 3);

	while (steps-- > 0)
	{
		if (!bms_is_empty(set) && random_below(state, 2))
			set = bms_del_member(set, random_member(state, set));
		if (search->moves && random_below(state, 3))
			set = pgweir_search_with_move(search, set,
										  list_nth(search->moves, random_below(state, list_length(search->moves))));
	}
	while (!bms_is_empty(set) && !pgweir_search_allows(search, set))
		set = bms_del_member(set, random_member(state, set));
	return set;
}

/* When annealing is over, and how far it is. */
typedef struct Cooling
{
	int			steps;			/* 0: by time */
	TimestampTz start;
	double		span_us;
	int			done;
} Cooling;

static double
cooled(Cooling *cooling)
{
	if (cooling->steps > 0)
		return (double) cooling->done++ / cooling->steps;
	return (double) (GetCurrentTimestamp() - cooling->start) / Max(cooling->span_us, 1);
}

static void
anneal(PgweirSearch *search, Cooling cooling)
{
	uint64		state = UINT64CONST(88172645463325252);
	Bitmapset  *current = bms_copy(search->chosen);
	double		value = pgweir_search_value(search, current);
	double		best = value;
	double		at;

	while ((at = cooled(&cooling)) < 1 && !pgweir_search_out_of_time(search))
	{
		double		heat = search->reading_us * 0.02 * (1 - at);
		Bitmapset  *set = random_neighbour(search, &state, current);
		double		found = pgweir_search_value(search, set);

		if (found < value && exp((found - value) / heat) * 1000000 < random_below(&state, 1000000))
		{
			bms_free(set);
			continue;
		}
		bms_free(current);
		current = set;
		value = found;
		if (value > best + PGWEIR_MIN_SHARE * search->reading_us && pgweir_search_includes_pay(search, current))
		{
			best = value;
			search->chosen = bms_copy(current);
		}
	}
}

void
pgweir_improve_anneal_steps(PgweirSearch *search, int steps)
{
	anneal(search, (Cooling) {.steps = steps});
}

void
pgweir_improve_anneal_time(PgweirSearch *search, double ms)
{
	anneal(search, (Cooling) {.start = GetCurrentTimestamp(), .span_us = ms * 1000});
}

bool
pgweir_improve_swap(PgweirSearch *search)
{
	Bitmapset  *before = search->chosen;
	Bitmapset  *best = NULL;
	double		best_us = PGWEIR_MIN_SHARE * search->reading_us;
	int			id = -1;
	ListCell   *lc;

	while ((id = bms_next_member(before, id)) >= 0)
	{
		Bitmapset  *without = bms_del_member(bms_copy(before), id);

		foreach (lc, search->moves)
		{
			Bitmapset  *set;
			PgweirChange change;

			if (pgweir_search_out_of_time(search))
				break;
			set = pgweir_search_with_move(search, without, lfirst(lc));
			if (!pgweir_search_allows(search, set))
				continue;
			change = pgweir_search_change(search, before, set);
			if (change.saved_us <= best_us || !pgweir_search_includes_pay(search, set))
				continue;
			best_us = change.saved_us;
			best = set;
		}
	}
	if (best)
		search->chosen = best;
	return best != NULL;
}
