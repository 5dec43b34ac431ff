/*
 * merges.c: looks for pairs of existing indexes to be replaced by one.
 *
 * Pairs that begin with the same column are tried, each joined in both orders.  Whether the one does for the two is asked of
 * the planner: they are hidden from it and the one is shown, together with what else is suggested.
 */
#include "postgres.h"

#include "advisor/merges.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "advisor/isolate.h"
#include "advisor/redundant.h"
#include "advisor/suggestion.h"
#include "advisor/whatif.h"

/* A statement may get so much dearer. */
#define MAX_LOSS 0.05
/* Columns in a key at most, and pairs looked at in a table. */
#define MAX_KEYS 6
#define MAX_PAIRS 20

typedef struct Merge
{
	PgweirWorkload *workload;
	const PgweirSelection *selection;
	PgweirTable *table;
	const PgweirIndex *a;
	const PgweirIndex *b;
	PgweirIndex *joined;
	/* Of the statements that use a or b. */
	List	   *users;			/* of PgweirWork */
	double		before;			/* planner cost times calls */
	double		after;
	double		calls;
	bool		uses_a;
	bool		uses_b;
	/* The statement being asked about. */
	PgweirWork *work;
	bool		shown;			/* the joined index instead of the two */
	double		cost;
	List	   *used;			/* existing indexes in the plan */
} Merge;

/* Plans the statement with the suggested indexes, and with the joined one or the two. */
static void
cost_action(void *arg)
{
	Merge	   *merge = arg;
	PgweirWorkload *workload = merge->workload;
	MemoryContext old = MemoryContextSwitchTo(workload->scratch);
	Oid			hidden[2] = {merge->a->oid, merge->b->oid};
	Bitmapset  *config = bms_intersect(merge->selection->chosen, merge->work->relevant);
	PgweirWhatif whatif = {0};
	ListCell   *lc;
	ListCell   *query;
	int			id = -1;

	whatif.index = palloc(sizeof(PgweirIndex *) * (bms_num_members(config) + 1));
	while ((id = bms_next_member(config, id)) >= 0)
		whatif.index[whatif.nindexes++] = workload->candidates.item[id].index;
	if (merge->shown)
	{
		whatif.index[whatif.nindexes++] = merge->joined;
		whatif.hidden = hidden;
		whatif.nhidden = 2;
	}
	merge->cost = 0;
	merge->used = NIL;
	foreach (lc, merge->work->variants)
	{
		foreach (query, (List *) lfirst(lc))
		{
			PgweirPlanned planned = pgweir_whatif_plan(lfirst_node(Query, query), merge->work->text, &whatif);

			workload->plans++;
			merge->cost += planned.cost / list_length(merge->work->variants);
			MemoryContextSwitchTo(workload->context);
			merge->used = list_concat_unique_oid(merge->used, planned.used_oids);
			MemoryContextSwitchTo(workload->scratch);
		}
	}
	MemoryContextSwitchTo(old);
}

/* False when it cannot be planned so. */
static bool
cost_of(Merge *merge, PgweirWork *work, bool shown)
{
	bool		ok;

	merge->work = work;
	merge->shown = shown;
	ok = pgweir_isolated(work->userid, work->search_path, cost_action, merge) == NULL;
	MemoryContextReset(merge->workload->scratch);
	return ok;
}

static bool
reads_table(const PgweirWork *work, Oid relid)
{
	ListCell   *lc;

	foreach (lc, work->scans)
	{
		if (((const PgweirScan *) lfirst(lc))->relid == relid)
			return true;
	}
	return false;
}

/* Whether every statement is served about as well, and each of the two is used by one. */
static bool
does_for_both(Merge *merge)
{
	PgweirWorkload *workload = merge->workload;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];
		double		before;
		bool		uses;

		if (!reads_table(work, merge->table->relid))
			continue;
		if (pgweir_workload_timed_out(workload) || !cost_of(merge, work, false))
			return false;
		before = merge->cost;
		uses = list_member_oid(merge->used, merge->a->oid) || list_member_oid(merge->used, merge->b->oid);
		merge->uses_a |= list_member_oid(merge->used, merge->a->oid);
		merge->uses_b |= list_member_oid(merge->used, merge->b->oid);
		if (!cost_of(merge, work, true) || merge->cost > before * (1 + MAX_LOSS))
			return false;
		if (!uses)
			continue;
		merge->users = lappend(merge->users, work);
		merge->before += before * work->calls;
		merge->after += merge->cost * work->calls;
		merge->calls += work->calls;
	}
	return merge->uses_a && merge->uses_b;
}

static bool
has_column(const PgweirIndex *index, int n, const PgweirIndexColumn *column)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		if (index->column[i].attno == column->attno && equal(index->column[i].expr, column->expr))
			return true;
	}
	return false;
}

/* The key of a, then what b's key has besides, then what either includes besides; NULL when that is too wide. */
static PgweirIndex *
join_indexes(const PgweirIndex *a, const PgweirIndex *b)
{
	PgweirIndex *joined = pgweir_index_make(a->relid, BTREE_AM_OID, a->ncolumns + b->ncolumns);
	const PgweirIndex *from[2] = {a, b};
	int			n = 0;
	int			which;
	int			i;

	for (which = 0; which < 2; which++)
	{
		for (i = 0; i < from[which]->nkeys; i++)
		{
			if (!has_column(joined, n, &from[which]->column[i]))
				joined->column[n++] = from[which]->column[i];
		}
	}
	joined->nkeys = n;
	for (which = 0; which < 2; which++)
	{
		for (i = from[which]->nkeys; i < from[which]->ncolumns; i++)
		{
			if (!has_column(joined, n, &from[which]->column[i]))
				joined->column[n++] = from[which]->column[i];
		}
	}
	joined->ncolumns = n;
	for (i = 0; i < joined->nkeys; i++)
	{
		/* What exists is known by its family; a definition names the class. */
		PgweirIndexColumn *column = &joined->column[i];
		PgweirIndexColumn usual;

		if (!pgweir_index_column_init(&usual, a->relid, column->attno, column->expr, BTREE_AM_OID, column->collation, false) ||
			usual.opfamily != column->opfamily)
			return NULL;
		column->opclass = usual.opclass;
	}
	return joined->nkeys <= MAX_KEYS ? joined : NULL;
}

/* Whether the index may be given up, and is of the kind that can be joined. */
static bool
is_plain(const PgweirIndex *index)
{
	Relation	rel;
	bool		plain;

	if (index->am != BTREE_AM_OID || index->unique || index->predicate || index->partitioned)
		return false;
	rel = try_relation_open(index->oid, AccessShareLock);
	if (rel == NULL)
		return false;
	plain = !pgweir_index_must_be_kept(rel);
	relation_close(rel, AccessShareLock);
	return plain;
}

static PgweirSuggestion *
describe(Merge *merge)
{
	PgweirSuggestion *suggestion = pgweir_suggestion_make("create", "medium");
	char	   *name = pgweir_index_choose_name(merge->joined, NIL);
	char	   *a = pgweir_table_name(merge->a->oid);
	char	   *b = pgweir_table_name(merge->b->oid);
	int64		bytes = pgweir_index_bytes(merge->joined);
	ListCell   *lc;

	suggestion->identity = pgweir_index_ddl(merge->joined, NULL);
	suggestion->table_name = merge->table->name;
	suggestion->ddl = psprintf("%s;\nDROP INDEX CONCURRENTLY %s;\nDROP INDEX CONCURRENTLY %s;",
							   pgweir_index_ddl(merge->joined, name), a, b);
	suggestion->reason = psprintf("It does for %s on (%s) and %s on (%s) together: the %d statements that use them cost "
								  "about the same, and writes maintain one index instead of two.",
								  a, pgweir_index_columns_text(merge->a), b, pgweir_index_columns_text(merge->b),
								  list_length(merge->users));
	suggestion->statements = list_length(merge->users);
	foreach (lc, merge->users)
	{
		PgweirWork *work = lfirst(lc);

		if (work->queryid != 0)
			suggestion->queryids = lappend(suggestion->queryids, &work->queryid);
	}
	suggestion->cost_before = merge->before / Max(merge->calls, 1);
	suggestion->cost_after = merge->after / Max(merge->calls, 1);
	suggestion->gain_pct = Max(0.0, 100 * (1 - merge->after / Max(merge->before, 1)));
	suggestion->size_bytes = (double) bytes;
	suggestion->write_cost = pstrdup("less: one index instead of two");
	suggestion->replaces = list_make2(a, b);
	return suggestion;
}

/* The suggestion for a pair; NULL when neither order does. */
static PgweirSuggestion *
try_pair(Merge merge)
{
	const PgweirIndex *first = merge.a;
	const PgweirIndex *second = merge.b;
	int			order;

	for (order = 0; order < 2; order++)
	{
		Merge		attempt = merge;

		attempt.joined = order == 0 ? join_indexes(first, second) : join_indexes(second, first);
		if (attempt.joined == NULL || pgweir_index_bytes(attempt.joined) >=
			pgweir_index_bytes(first) + pgweir_index_bytes(second))
			continue;
		if (does_for_both(&attempt))
			return describe(&attempt);
	}
	return NULL;
}

static List *
merged_in_table(PgweirWorkload *workload, const PgweirSelection *selection, PgweirTable *table)
{
	List	   *suggestions = NIL;
	List	   *plain = NIL;
	List	   *replaced = NIL;
	int			pairs = 0;
	ListCell   *a;
	ListCell   *b;

	foreach (a, table->indexes)
	{
		if (is_plain(lfirst(a)))
			plain = lappend(plain, lfirst(a));
	}
	foreach (a, plain)
	{
		for_each_cell (b, plain, lnext(plain, a))
		{
			Merge		merge = {.workload = workload, .selection = selection, .table = table, .a = lfirst(a), .b = lfirst(b)};
			PgweirSuggestion *suggestion;

			CHECK_FOR_INTERRUPTS();
			if (!pgweir_index_column_same(&merge.a->column[0], &merge.b->column[0]) ||
				pgweir_index_serves(merge.a, merge.b) || pgweir_index_serves(merge.b, merge.a) ||
				list_member_ptr(replaced, merge.a) || list_member_ptr(replaced, merge.b) || ++pairs > MAX_PAIRS)
				continue;
			suggestion = try_pair(merge);
			if (suggestion == NULL)
				continue;
			suggestions = lappend(suggestions, suggestion);
			replaced = lappend(lappend(replaced, (void *) merge.a), (void *) merge.b);
		}
	}
	return suggestions;
}

List *
pgweir_merged_indexes(PgweirWorkload *workload, const PgweirSelection *selection)
{
	MemoryContext old = MemoryContextSwitchTo(workload->context);
	List	   *suggestions = NIL;
	ListCell   *lc;

	foreach (lc, workload->tables.tables)
	{
		PgweirTable *table = lfirst(lc);

		if (!table->excluded && table->analyzed && list_length(table->indexes) > 1)
			suggestions = list_concat(suggestions, merged_in_table(workload, selection, table));
	}
	MemoryContextSwitchTo(old);
	return suggestions;
}
