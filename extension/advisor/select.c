/*
 * select.c: the search for a set of indexes.
 *
 * Values are microseconds of the observed time.  What a set saves is, for each statement, its time multiplied by the
 * fraction of its planner cost that goes away; making index entries for writes is subtracted.
 */
#include "postgres.h"

#include "advisor/select.h"

#include <math.h>

#include "catalog/pg_am.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "advisor/settings.h"
#include "stores/progress.h"

/* A change must save this fraction of the observed time of statements that read tables. */
#define MIN_SHARE 0.0005
/* Without a budget set, indexes may take this fraction of the database's size, and never less than the floor. */
#define BUDGET_SHARE 0.25
#define BUDGET_FLOOR (64.0 * 1024 * 1024)
/* Planner cost per execution below which a difference is not worth an index: a few pages. */
#define MIN_COST_SAVED 10.0
/* And the fraction of what the statement costs now. */
#define MIN_SHARE_SAVED 0.01
/* An index that holds so much of its table is a copy of it. */
#define MAX_TABLE_SHARE 0.5
/* BRIN serves what reads such a fraction of its table, and must leave such a fraction of the cost. */
#define MIN_BRIN_ROWS 0.03
#define MAX_BRIN_COST 0.9
/* Exchanges in a round, and steps of annealing. */
#define MAX_SWAPS 20
#define ANNEALING_STEPS 3000
/* Rounds of greedy search and tidying up. */
#define MAX_ROUNDS 3

typedef struct Search
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
} Search;

/* The difference between two sets of indexes. */
typedef struct Change
{
	double		saved_us;		/* net of writes */
	double		bytes;
	double		best;			/* largest fraction of its cost that a statement gains */
	double		worst;			/* or loses, as a positive fraction */
	double		best_cost;		/* largest gain in planner cost */
	double		best_of_all;	/* largest gain as a fraction of what it costs without any of them */
} Change;

static double
min_gain(void)
{
	return pgweir_advisor_min_gain / 100;
}

static const PgweirIndex *
candidate_index(const Search *search, int id)
{
	return search->candidates->item[id].index;
}

/* The microseconds that so many entries of the index take to make. */
static double
entries_us(const Search *search, int id, double entries)
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

/* Those that making its entries takes in the observed time. */
static double
write_us(const Search *search, int id)
{
	PgweirCandidate *candidate = &search->candidates->item[id];

	return entries_us(search, id,
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

static Change
change_between(Search *search, const Bitmapset *from, const Bitmapset *to)
{
	PgweirWorkload *workload = search->workload;
	Change		change = {0};
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
		floor_cost = Max(MIN_COST_SAVED, work->cost * MIN_SHARE_SAVED);
		if (work->cost > 0)
			change.saved_us += work->total_us * (before - after) / work->cost;
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
		change.saved_us -= write_us(search, id);
	}
	for (id = -1; (id = bms_next_member(from, id)) >= 0;)
	{
		if (bms_is_member(id, to))
			continue;
		change.bytes -= pgweir_candidate_net_bytes(search->candidates, id);
		change.saved_us += write_us(search, id);
	}
	return change;
}

/* The chosen set with the move made: what the new ones serve goes. */
static Bitmapset *
with_move(const Search *search, const Bitmapset *move)
{
	Bitmapset  *result = bms_union(search->chosen, move);
	int			old = -1;
	int			new;

	while ((old = bms_next_member(search->chosen, old)) >= 0)
	{
		for (new = -1; (new = bms_next_member(move, new)) >= 0;)
		{
			if (new != old && pgweir_index_serves(candidate_index(search, new), candidate_index(search, old)))
				result = bms_del_member(result, old);
		}
	}
	return result;
}

static double
total_bytes(const Search *search, const Bitmapset *set)
{
	double		bytes = 0;
	int			id = -1;

	while ((id = bms_next_member(set, id)) >= 0)
		bytes += pgweir_candidate_bytes(search->candidates, id);
	return bytes;
}

static bool
out_of_time(Search *search)
{
	if (!search->timed_out && pgweir_workload_timed_out(search->workload))
		search->timed_out = true;
	return search->timed_out;
}

static void
add_move(Search *search, Bitmapset *move)
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
bare_candidate(const Search *search, int id)
{
	const PgweirIndex *index = candidate_index(search, id);
	int			other;

	for (other = 0; other < search->candidates->count; other++)
	{
		const PgweirIndex *bare = candidate_index(search, other);

		if (bare->nkeys == index->nkeys && bare->ncolumns == bare->nkeys && pgweir_index_key_prefix(bare, index) &&
			equal(bare->predicate, index->predicate))
			return other;
	}
	return -1;
}

/* The set with each candidate that includes columns replaced by the one that does not. */
static Bitmapset *
without_included(const Search *search, const Bitmapset *set)
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

/*
 * Asks for each statement what all its candidates and each alone do for it.  Those that help become moves, and so does
 * the set that its best plan uses together.
 */
static void
find_moves(Search *search)
{
	PgweirWorkload *workload = search->workload;
	Bitmapset  *useful = NULL;
	int			id;
	int			i;

	for (i = 0; i < workload->count && !out_of_time(search); i++)
	{
		PgweirWork *work = &workload->item[i];
		Bitmapset  *used;
		Bitmapset  *bare;
		double		limit = Min(work->cost * (1 - min_gain()), work->cost - MIN_COST_SAVED);

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
		for (id = -1; (id = bms_next_member(work->relevant, id)) >= 0 && !out_of_time(search);)
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

/*
 * Whether included columns in the set are worth their space: they must save a good part of what a statement costs
 * now, not just of the little that is left once rows are found by the key; or take little.
 */
static bool
includes_pay(Search *search, const Bitmapset *set)
{
	int			id = -1;

	while ((id = bms_next_member(set, id)) >= 0)
	{
		const PgweirIndex *index = candidate_index(search, id);
		Bitmapset  *without;
		Change		change;
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
		change = change_between(search, without, set);
		/* Where an index with that key is there, only a saving worth mentioning justifies another. */
		pays = (change.best_of_all >= min_gain() && (bare >= 0 || change.best_cost >= 10 * MIN_COST_SAVED)) ||
			(bare >= 0 && change.best >= 0.5 && change.bytes <= pgweir_candidate_bytes(search->candidates, bare));
		bms_free(without);
		if (!pays)
			return false;
	}
	return true;
}

/* Whether a change to the chosen set is worth making at all. */
static bool
is_worth(const Search *search, const Change *change, const Bitmapset *set)
{
	return change->best >= min_gain() && change->saved_us >= MIN_SHARE * search->reading_us &&
		total_bytes(search, set) <= search->budget && bms_num_members(set) <= pgweir_advisor_max_indexes;
}

/* Better per byte or altogether; equal ones by size, so that the outcome does not depend on chance. */
static bool
is_better(const Search *search, const Change *a, const Change *b)
{
	double		x = a->saved_us / (search->by_value ? 1 : Max(a->bytes, BLCKSZ));
	double		y = b->saved_us / (search->by_value ? 1 : Max(b->bytes, BLCKSZ));

	if (fabs(x - y) > 1e-9 * Max(fabs(x), fabs(y)))
		return x > y;
	return a->bytes < b->bytes;
}

/* Makes the best move; false when none is worth it. */
static bool
greedy_step(Search *search)
{
	Bitmapset  *best = NULL;
	Change		best_change = {0};
	ListCell   *lc;

	foreach (lc, search->moves)
	{
		Bitmapset  *set;
		Change		change;

		if (out_of_time(search))
			break;
		if (bms_is_subset(lfirst(lc), search->chosen))
			continue;
		set = with_move(search, lfirst(lc));
		change = change_between(search, search->chosen, set);
		if (is_worth(search, &change, set) && (best == NULL || is_better(search, &change, &best_change)) &&
			includes_pay(search, set))
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

/* Whether going to the set costs no statement anything worth mentioning, and saves space or writes. */
static bool
is_tidier(Search *search, const Bitmapset *set)
{
	Change		change = change_between(search, search->chosen, set);

	if (change.saved_us > 0 && change.worst < min_gain() && change.bytes < 0)
		return true;
	return change.worst < min_gain() / 2 && change.bytes < 0 &&
		change.saved_us > -MIN_SHARE * 10 * search->reading_us;
}

/* Drops what is not needed beside the others. */
static bool
drop_pass(Search *search)
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

/* Replaces a chosen index by the smallest that does as well: its beginnings, or without what it includes. */
static bool
narrow_one(Search *search, int id)
{
	Bitmapset  *best = NULL;
	double		best_bytes = pgweir_candidate_bytes(search->candidates, id);
	int			other;

	for (other = 0; other < search->candidates->count && !out_of_time(search); other++)
	{
		Bitmapset  *set;

		if (other == id || !pgweir_index_serves(candidate_index(search, id), candidate_index(search, other)) ||
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
narrow_pass(Search *search)
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
does_for_two(Search *search, const Bitmapset *set, double pair_bytes)
{
	Change		change = change_between(search, search->chosen, set);

	return change.worst < min_gain() / 2 && change.bytes < pair_bytes &&
		total_bytes(search, set) <= search->budget && includes_pay(search, set);
}

/* One candidate in place of two chosen indexes of a table. */
static bool
merge_pair(Search *search, int a, int b)
{
	double		bytes = pgweir_candidate_bytes(search->candidates, a) + pgweir_candidate_bytes(search->candidates, b);
	int			other;

	for (other = 0; other < search->candidates->count && !out_of_time(search); other++)
	{
		Bitmapset  *set;

		if (candidate_index(search, other)->relid != candidate_index(search, a)->relid ||
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
merge_pass(Search *search)
{
	int			a = -1;
	int			b;

	while ((a = bms_next_member(search->chosen, a)) >= 0)
	{
		for (b = a; (b = bms_next_member(search->chosen, b)) >= 0;)
		{
			if (candidate_index(search, a)->relid == candidate_index(search, b)->relid && merge_pair(search, a, b))
				return true;
		}
	}
	return false;
}

/* Whether BRIN in place of a B-tree still helps all that the B-tree helps, and they read ranges that it is made for. */
static bool
brin_does(Search *search, int btree, const Bitmapset *set)
{
	PgweirWorkload *workload = search->workload;
	ListCell   *lc;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];
		Bitmapset  *used;

		pgweir_work_cost(workload, work, search->chosen, &used);
		if (!bms_is_member(btree, used))
			continue;
		/* The planner thinks it dearer than it is: it does not see that the pages lie together. */
		if (pgweir_work_cost(workload, work, set, NULL) > work->cost * MAX_BRIN_COST)
			return false;
		foreach (lc, work->scans)
		{
			const PgweirScan *scan = lfirst(lc);

			if (scan->relid == candidate_index(search, btree)->relid &&
				(scan->rows < scan->tuples * MIN_BRIN_ROWS || scan->limit >= 0))
				return false;
		}
	}
	return true;
}

/* Takes BRIN for B-trees on large tables where it does: it is smaller by orders of magnitude. */
static void
brin_pass(Search *search)
{
	int			id = -1;
	int			other;

	while ((id = bms_next_member(search->chosen, id)) >= 0)
	{
		const PgweirIndex *index = candidate_index(search, id);

		for (other = 0; other < search->candidates->count && !out_of_time(search); other++)
		{
			const PgweirIndex *brin = candidate_index(search, other);
			Bitmapset  *set;

			if (index->am != BTREE_AM_OID || index->ncolumns != 1 || index->predicate || brin->am != BRIN_AM_OID ||
				brin->relid != index->relid || brin->column[0].attno != index->column[0].attno)
				continue;
			set = bms_add_member(bms_del_member(bms_copy(search->chosen), id), other);
			if (!brin_does(search, id, set))
				continue;
			search->chosen = set;
			break;
		}
	}
}

/* Takes back indexes that make some statement dearer than it is now. */
static void
check_regressions(Search *search)
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
make_effect(const Search *search, const PgweirWork *work, double after)
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
add_writers(const Search *search, int id, List *losing)
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
		effect->us_per_hour = entries_us(search, id, entries);
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
make_choice(Search *search, int id)
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
		if (after > work->cost * (1 - min_gain()))
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
	choice->entries = pgweir_table_entries(search->candidates->item[id].table, candidate_index(search, id));
	if (saved_us > 0)
		choice->write_share = write_us(search, id) / saved_us;
	if (workload->hours > 0)
	{
		choice->saved_us = saved_us / workload->hours;
		choice->written_us = write_us(search, id) / workload->hours;
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

/* The microseconds a set saves. */
static double
value_of(Search *search, const Bitmapset *set)
{
	return change_between(search, NULL, set).saved_us;
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
random_neighbour(Search *search, uint64 *state, const Bitmapset *from)
{
	Bitmapset  *saved = search->chosen;
	Bitmapset  *set = bms_copy(from);
	int			steps = 1 + random_below(state, 3);

	while (steps-- > 0)
	{
		if (!bms_is_empty(set) && random_below(state, 2))
			set = bms_del_member(set, random_member(state, set));
		if (search->moves && random_below(state, 3))
		{
			search->chosen = set;
			set = with_move(search, list_nth(search->moves, random_below(state, list_length(search->moves))));
		}
	}
	while (!bms_is_empty(set) && (bms_num_members(set) > pgweir_advisor_max_indexes ||
								  total_bytes(search, set) > search->budget))
		set = bms_del_member(set, random_member(state, set));
	search->chosen = saved;
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

/*
 * Simulated annealing from what the rules have found.  So many steps give the same outcome each time; by time it is a
 * check on the rules, and for those who have the time.
 */
static void
anneal(Search *search, Cooling cooling)
{
	uint64		state = UINT64CONST(88172645463325252);
	Bitmapset  *current = bms_copy(search->chosen);
	double		value = value_of(search, current);
	double		best = value;
	double		at;

	while ((at = cooled(&cooling)) < 1 && !out_of_time(search))
	{
		double		heat = search->reading_us * 0.02 * (1 - at);
		Bitmapset  *set = random_neighbour(search, &state, current);
		double		found = value_of(search, set);

		if (found < value && exp((found - value) / heat) * 1000000 < random_below(&state, 1000000))
		{
			bms_free(set);
			continue;
		}
		bms_free(current);
		current = set;
		value = found;
		if (value > best + MIN_SHARE * search->reading_us && includes_pay(search, current))
		{
			best = value;
			search->chosen = bms_copy(current);
		}
	}
}

/* Whether the budget or the number keeps something from being chosen that would be worth it. */
static bool
is_tight(const Search *search)
{
	double		bytes = total_bytes(search, search->chosen);
	int			count = bms_num_members(search->chosen);
	ListCell   *lc;

	foreach (lc, search->moves)
	{
		const Bitmapset *move = lfirst(lc);

		if (!bms_is_subset(move, search->chosen) &&
			(bytes + total_bytes(search, move) > search->budget || count + bms_num_members(move) > pgweir_advisor_max_indexes))
			return true;
	}
	return false;
}

/* Exchanges a chosen index for a move where that saves more; false when it does nowhere. */
static bool
swap_pass(Search *search)
{
	Bitmapset  *before = search->chosen;
	Bitmapset  *best = NULL;
	double		best_us = MIN_SHARE * search->reading_us;
	int			id = -1;
	ListCell   *lc;

	while ((id = bms_next_member(before, id)) >= 0)
	{
		Bitmapset  *without = bms_del_member(bms_copy(before), id);

		foreach (lc, search->moves)
		{
			Bitmapset  *set;
			Change		change;

			if (out_of_time(search))
				break;
			search->chosen = without;
			set = with_move(search, lfirst(lc));
			search->chosen = before;
			if (total_bytes(search, set) > search->budget || bms_num_members(set) > pgweir_advisor_max_indexes)
				continue;
			change = change_between(search, before, set);
			if (change.saved_us <= best_us || !includes_pay(search, set))
				continue;
			best_us = change.saved_us;
			best = set;
		}
	}
	if (best)
		search->chosen = best;
	return best != NULL;
}

/* Greedy steps, then tidying up, for as long as that changes anything. */
static void
search_from_here(Search *search)
{
	int			round;

	for (round = 0; round < MAX_ROUNDS; round++)
	{
		bool		changed = false;
		int			swaps = 0;

		while (!out_of_time(search) && greedy_step(search))
			changed = true;
		changed |= drop_pass(search);
		changed |= narrow_pass(search);
		changed |= merge_pass(search);
		changed |= drop_pass(search);
		while (is_tight(search) && swaps++ < MAX_SWAPS && swap_pass(search))
			changed = true;
		if (!changed || out_of_time(search))
			break;
	}
}

static void
search_set(Search *search)
{
	Bitmapset  *by_bytes;

	pgweir_progress_set(PGWEIR_PROGRESS_PHASE, PGWEIR_PHASE_ASKING);
	find_moves(search);
	pgweir_progress_set(PGWEIR_PROGRESS_PHASE, PGWEIR_PHASE_CHOOSING);
	search_from_here(search);
	if (is_tight(search))
	{
		/* What is best for its bytes can leave a budget unused that something larger would fill. */
		by_bytes = search->chosen;
		search->chosen = NULL;
		search->by_value = true;
		search_from_here(search);
		if (value_of(search, search->chosen) < value_of(search, by_bytes) + MIN_SHARE * search->reading_us)
			search->chosen = by_bytes;
	}
	if (is_tight(search))
	{
		anneal(search, (Cooling) {.steps = ANNEALING_STEPS});
		search_from_here(search);
	}
	if (pgweir_advisor_extra_search_ms > 0)
		anneal(search, (Cooling) {.start = GetCurrentTimestamp(), .span_us = pgweir_advisor_extra_search_ms * 1000.0});
	brin_pass(search);
	check_regressions(search);
}

PgweirSelection *
pgweir_select(PgweirWorkload *workload)
{
	MemoryContext old = MemoryContextSwitchTo(workload->context);
	PgweirSelection *selection = palloc0(sizeof(PgweirSelection));
	Search		search = {.workload = workload, .candidates = &workload->candidates, .budget = budget_bytes(),
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
		selection->saved = value_of(&search, search.chosen) / search.reading_us;
	MemoryContextSwitchTo(old);
	return selection;
}
