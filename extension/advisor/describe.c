/*
 * describe.c: says in words what the search has found.
 */
#include "postgres.h"

#include "advisor/suggestion.h"

#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "advisor/methods.h"
#include "advisor/settings.h"

/* Partitions up to which an index on a partitioned table is spelled out as one on each. */
#define MAX_SPELLED_PARTITIONS 50
/* Executions from which the observed time means something. */
#define MANY_CALLS 20

PgweirSuggestion *
pgweir_suggestion_make(const char *action, const char *confidence)
{
	PgweirSuggestion *suggestion = palloc0(sizeof(PgweirSuggestion));

	suggestion->action = action;
	suggestion->confidence = confidence;
	suggestion->gain_pct = -1;
	suggestion->cost_before = -1;
	suggestion->cost_after = -1;
	suggestion->load_pct = -1;
	suggestion->size_bytes = -1;
	suggestion->saves_ms = -1;
	suggestion->write_ms = -1;
	return suggestion;
}

static bool
is_observed(const PgweirWork *work)
{
	return work->queryid != 0;
}

/* What a column of the index does for a scan; the order in which it is told. */
typedef enum Role
{
	ROLE_FIXED,
	ROLE_JOIN,
	ROLE_RANGE,
	ROLE_SEARCH,
	ROLE_ORDER,
	ROLE_NONE
} Role;

static bool
same_column(const PgweirIndexColumn *a, const PgweirIndexColumn *b)
{
	return a->attno == b->attno && equal(a->expr, b->expr);
}

static Role
predicate_role(PgweirPredicateKind kind)
{
	switch (kind)
	{
		case PGWEIR_PREDICATE_EQUAL:
		case PGWEIR_PREDICATE_IN: return ROLE_FIXED;
		case PGWEIR_PREDICATE_RANGE: return ROLE_RANGE;
		case PGWEIR_PREDICATE_JOIN: return ROLE_JOIN;
		case PGWEIR_PREDICATE_SEARCH: return ROLE_SEARCH;
	}
	return ROLE_NONE;
}

static Role
column_role(const PgweirScan *scan, const PgweirIndexColumn *column)
{
	Role		role = ROLE_NONE;
	ListCell   *lc;
	int			i;

	foreach (lc, scan->predicates)
	{
		const PgweirPredicate *predicate = lfirst(lc);
		Role		found = predicate_role(predicate->kind);

		if (same_column(&predicate->column, column) && found < role)
			role = found;
	}
	foreach (lc, scan->orders)
	{
		const PgweirOrder *order = lfirst(lc);

		for (i = 0; i < order->ncolumns; i++)
		{
			if (same_column(&order->column[i], column) && role == ROLE_NONE)
				role = ROLE_ORDER;
		}
	}
	return role;
}

/* The index's columns that play the role, as text; NULL: none. */
static char *
columns_in_role(const PgweirIndex *index, const PgweirScan *scan, Role role)
{
	PgweirIndex part = *index;
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	part.nkeys = part.ncolumns = 1;
	for (i = 0; i < index->nkeys; i++)
	{
		if (column_role(scan, &index->column[i]) != role)
			continue;
		part.column = &index->column[i];
		appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", pgweir_index_columns_text(&part));
	}
	return buf.len ? buf.data : NULL;
}

/* The scan of the index's table that it does most for. */
static const PgweirScan *
main_scan(const PgweirIndex *index, const PgweirWork *work)
{
	const PgweirScan *best = NULL;
	Role		best_role = ROLE_NONE;
	ListCell   *lc;

	foreach (lc, work->scans)
	{
		const PgweirScan *scan = lfirst(lc);
		Role		role;

		if (scan->relid != index->relid)
			continue;
		role = column_role(scan, &index->column[0]);
		if (best == NULL || role < best_role)
		{
			best = scan;
			best_role = role;
		}
	}
	return best;
}

static void
append_roles(StringInfo buf, const PgweirIndex *index, const PgweirScan *scan)
{
	static const char *const verbs[] = {"finds rows by %s", "joins by %s", "narrows the range of %s",
										"searches within %s", "sorts by %s"};
	const char *separator = "";
	int			role;

	for (role = ROLE_FIXED; role < ROLE_NONE; role++)
	{
		char	   *columns = columns_in_role(index, scan, role);

		if (columns == NULL)
			continue;
		appendStringInfoString(buf, separator);
		appendStringInfo(buf, verbs[role], columns);
		separator = ", ";
	}
}

/* Existing indexes that the new one would make superfluous, by name. */
static List *
superseded(const PgweirTable *table, const PgweirIndex *index)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach (lc, table->indexes)
	{
		const PgweirIndex *existing = lfirst(lc);

		if (!existing->unique && pgweir_index_serves(index, existing))
			names = lappend(names, pgweir_table_name(existing->oid));
	}
	return names;
}

static void
append_superseded(StringInfo buf, List *names)
{
	ListCell   *lc;

	foreach (lc, names)
		appendStringInfo(buf, " It begins with the columns of index %s, which can be dropped afterwards.",
						 (char *) lfirst(lc));
}

/* The statements with what the index does to each, as a JSON array; NULL when there is none. */
static char *
effects_json(const PgweirWorkload *workload, List *effects)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach (lc, effects)
	{
		const PgweirEffect *effect = lfirst(lc);

		appendStringInfo(&buf, "%s{\"queryid\": " INT64_FORMAT, buf.len ? ", " : "[", effect->queryid);
		if (effect->work)
		{
			const PgweirWork *work = effect->work;

			appendStringInfo(&buf, ", \"cost_before\": %.2f, \"cost_after\": %.2f", effect->before, effect->after);
			if (is_observed(work) && work->calls > 0 && workload->total_us > 0)
				appendStringInfo(&buf, ", \"calls\": %.0f, \"mean_ms\": %.3f, \"load_pct\": %.2f", work->calls,
								 work->total_us / work->calls / 1000, 100 * work->total_us / workload->total_us);
		}
		else
			appendStringInfo(&buf, ", \"entries_per_hour\": %.0f", effect->entries);
		if (workload->hours > 0)
			appendStringInfo(&buf, ", \"ms_per_hour\": %.1f", effect->us_per_hour / 1000);
		appendStringInfoChar(&buf, '}');
	}
	if (buf.len == 0)
		return NULL;
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

/* What executions of the statement were seen to do without the index. */
static void
append_seen(StringInfo buf, const PgweirScan *scan)
{
	if (scan->removed > 0)
		appendStringInfo(buf, " Executions that were kept read %.0f rows of it for %.0f that they wanted.",
						 scan->removed + scan->kept, scan->kept);
	if (scan->spilled_kb > 0)
		appendStringInfo(buf, " A sort of them took %.0f kB on disk.", scan->spilled_kb);
}

static char *
choice_reason(PgweirWorkload *workload, const PgweirChoice *choice)
{
	const PgweirCandidate *candidate = &workload->candidates.item[choice->candidate];
	const PgweirWork *work = ((PgweirEffect *) linitial(choice->gaining))->work;
	const PgweirScan *scan = main_scan(candidate->index, work);
	int			n = list_length(choice->gaining);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%d statement%s", n, n == 1 ? "" : "s");
	if (is_observed(work) && workload->total_us > 0)
		appendStringInfo(&buf, " with %.1f %% of the observed time", 100 * choice->observed_us / workload->total_us);
	appendStringInfo(&buf, " read%s %s: the index ", n == 1 ? "s" : "", candidate->table->name);
	if (scan)
		append_roles(&buf, candidate->index, scan);
	else
		appendStringInfoString(&buf, "serves them");
	if (candidate->index->ncolumns > candidate->index->nkeys)
		appendStringInfoString(&buf, ", and holds all columns that are read, so that the table is left alone");
	appendStringInfo(&buf, ". Planner cost %.1f before, %.1f after.", choice->cost_before, choice->cost_after);
	if (is_observed(work) && work->calls > 0)
		appendStringInfo(&buf, " The statement that gains most took %.3f ms on average.",
						 work->total_us / work->calls / 1000);
	if (scan)
		append_seen(&buf, scan);
	if (candidate->index->predicate)
		appendStringInfo(&buf, " It holds only the %.1f %% of the rows that the statement%s always asks for.",
						 100 * candidate->index->fraction, n == 1 ? "" : "s");
	if (candidate->index->predicate && work->alike > 0)
		appendStringInfo(&buf, " That it always does is taken from %d executions that were kept, which all had the same value.",
						 work->alike);
	append_superseded(&buf, superseded(candidate->table, candidate->index));
	if (candidate->index->am == BRIN_AM_OID)
		appendStringInfo(&buf, " The rows lie in that order (correlation %.2f), so that a summary of each range of pages does: it "
						 "is of use as long as new rows are added in that order.",
						 pgweir_column_correlation(candidate->index->relid, candidate->index->column[0].attno));
	if (candidate->index->am == HASH_AM_OID)
		appendStringInfoString(&buf, " The values are wide and only compared for equality: a hash index is much smaller than "
									 "a B-tree.");
	if (candidate->index->partitioned)
		appendStringInfoString(&buf, " The table is partitioned: the index is made on the parent, partition by "
									 "partition.");
	return buf.data;
}

/* Whether the planner's guesses stand on firm ground. */
static const char *
choice_confidence(PgweirWorkload *workload, const PgweirChoice *choice)
{
	const PgweirIndex *index = workload->candidates.item[choice->candidate].index;
	Oid			relid = index->relid;
	double		changed = DatumGetInt64(DirectFunctionCall1(pg_stat_get_mod_since_analyze, ObjectIdGetDatum(relid)));
	double		rows = workload->candidates.item[choice->candidate].table->rows;
	double		calls = 0;
	bool		observed = false;
	bool		assumed = false;
	ListCell   *lc;
	int			i;

	foreach (lc, choice->gaining)
	{
		const PgweirWork *work = ((PgweirEffect *) lfirst(lc))->work;

		calls += work->calls;
		observed |= is_observed(work);
		assumed |= list_length(work->variants) > 1 && work->sampled == 0;
		assumed |= index->predicate != NIL && work->alike > 0;
	}
	for (i = 0; i < index->nkeys; i++)
	{
		/* The table has no statistics of an expression's values; a sample is little. */
		if (index->column[i].expr)
			return choice->saved >= 0.5 ? "medium" : "low";
	}
	if (choice->saved < 0.25 || changed > rows / 2)
		return "low";
	if (choice->saved < 0.5 || changed > rows / 5 || assumed || (observed && calls < MANY_CALLS))
		return "medium";
	return "high";
}

/* The statements that make the index on a partitioned table without stopping writes to it for long. */
static char *
partitioned_ddl(const PgweirIndex *index, const char *name, List **names)
{
	List	   *children = find_inheritance_children(index->relid, NoLock);
	char	   *whole = pgweir_index_ddl(index, name);
	char	   *on = strstr(whole, " ON ");
	StringInfoData buf;
	ListCell   *lc;

	if (list_length(children) > MAX_SPELLED_PARTITIONS || children == NIL || on == NULL)
		return whole;
	foreach (lc, children)
	{
		/* Partitions of partitions would need the same again. */
		if (get_rel_relkind(lfirst_oid(lc)) != RELKIND_RELATION)
			return whole;
	}
	initStringInfo(&buf);
	appendStringInfo(&buf, "%.*s ON ONLY %s;", (int) (on - whole), whole, on + 4);
	foreach (lc, children)
	{
		PgweirIndex child = *index;
		char	   *child_name;
		int			i;

		child.relid = lfirst_oid(lc);
		child.partitioned = false;
		child.column = palloc(sizeof(PgweirIndexColumn) * index->ncolumns);
		for (i = 0; i < index->ncolumns; i++)
		{
			child.column[i] = index->column[i];
			if (child.column[i].expr)
				return whole;
			child.column[i].attno = get_attnum(child.relid, get_attname(index->relid, index->column[i].attno, false));
		}
		child_name = pgweir_index_choose_name(&child, *names);
		*names = lappend(*names, child_name);
		appendStringInfo(&buf, "\n%s;\nALTER INDEX %s ATTACH PARTITION %s;", pgweir_index_ddl(&child, child_name),
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(index->relid)), name),
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(child.relid)), child_name));
	}
	return buf.data;
}

static PgweirSuggestion *
describe_choice(PgweirWorkload *workload, const PgweirSelection *selection, const PgweirChoice *choice, List **names)
{
	const PgweirCandidate *candidate = &workload->candidates.item[choice->candidate];
	PgweirSuggestion *suggestion = pgweir_suggestion_make("create", choice_confidence(workload, choice));
	char	   *name = pgweir_index_choose_name(candidate->index, *names);
	ListCell   *lc;

	*names = lappend(*names, name);
	suggestion->identity = pgweir_index_ddl(candidate->index, NULL);
	suggestion->table_name = candidate->table->name;
	suggestion->ddl = candidate->index->partitioned ? partitioned_ddl(candidate->index, name, names)
		: psprintf("%s;", pgweir_index_ddl(candidate->index, name));
	suggestion->reason = choice_reason(workload, choice);
	if (selection->timed_out)
		suggestion->reason = psprintf("%s The search ended at pgweir.advisor_time_limit: there may be better ones.",
									  suggestion->reason);
	suggestion->statements = list_length(choice->gaining);
	foreach (lc, choice->gaining)
	{
		PgweirEffect *effect = lfirst(lc);

		if (is_observed(effect->work))
			suggestion->queryids = lappend(suggestion->queryids, &effect->queryid);
	}
	suggestion->gaining = effects_json(workload, choice->gaining);
	suggestion->losing = effects_json(workload, choice->losing);
	suggestion->replaces = superseded(candidate->table, candidate->index);
	if (workload->hours > 0)
	{
		suggestion->saves_ms = choice->saved_us / 1000;
		suggestion->write_ms = choice->written_us / 1000;
	}
	suggestion->gain_pct = 100 * choice->saved;
	suggestion->cost_before = choice->cost_before;
	suggestion->cost_after = choice->cost_after;
	if (suggestion->queryids && workload->total_us > 0)
		suggestion->load_pct = 100 * choice->observed_us / workload->total_us;
	suggestion->size_bytes = choice->bytes;
	if (workload->hours > 0)
		suggestion->write_cost = psprintf("about %.0f entries to make an hour, %.1f %% of what is saved",
										  choice->entries, 100 * choice->write_share);
	return suggestion;
}

/* A table whose statements cannot be judged. */
static PgweirSuggestion *
describe_unanalyzed(PgweirWorkload *workload, const PgweirTable *table)
{
	PgweirSuggestion *suggestion = pgweir_suggestion_make("analyze", "high");
	double		us = 0;
	ListCell   *lc;
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];

		foreach (lc, work->scans)
		{
			if (((PgweirScan *) lfirst(lc))->relid != table->relid)
				continue;
			suggestion->statements++;
			us += work->total_us;
			if (is_observed(work))
				suggestion->queryids = lappend(suggestion->queryids, &work->queryid);
			break;
		}
	}
	if (suggestion->statements == 0)
		return NULL;
	suggestion->identity = psprintf("ANALYZE %s", table->name);
	suggestion->table_name = table->name;
	suggestion->ddl = psprintf("ANALYZE %s;", table->name);
	suggestion->reason = psprintf("%s has no statistics, so nothing can be said of indexes for the %d statement%s that "
								  "read%s it. ANALYZE it first; if this comes back, see why autovacuum does not.",
								  table->name, suggestion->statements, suggestion->statements == 1 ? "" : "s",
								  suggestion->statements == 1 ? "s" : "");
	if (suggestion->queryids && workload->total_us > 0)
		suggestion->load_pct = 100 * us / workload->total_us;
	return suggestion;
}

List *
pgweir_suggestions_describe(PgweirWorkload *workload, const PgweirSelection *selection)
{
	List	   *suggestions = NIL;
	List	   *names = NIL;
	int			nest_level = NewGUCNestLevel();
	ListCell   *lc;

	/* What is not in pg_catalog is written with its schema. */
	(void) set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	foreach (lc, selection->choices)
		suggestions = lappend(suggestions, describe_choice(workload, selection, lfirst(lc), &names));
	foreach (lc, workload->tables.tables)
	{
		const PgweirTable *table = lfirst(lc);
		PgweirSuggestion *suggestion;

		if (table->excluded || table->analyzed)
			continue;
		suggestion = describe_unanalyzed(workload, table);
		if (suggestion)
			suggestions = lappend(suggestions, suggestion);
	}
	AtEOXact_GUC(false, nest_level);
	return suggestions;
}

/* What can be said of one scan in a statement without advice. */
static void
explain_scan(StringInfo buf, PgweirWorkload *workload, const PgweirScan *scan)
{
	const PgweirTable *table = pgweir_tables_get(&workload->tables, scan->relid);

	appendStringInfo(buf, " %s: ", table->name);
	if (table->excluded)
		appendStringInfo(buf, "left out, since %s.", table->excluded);
	else if (!table->analyzed)
		appendStringInfoString(buf, "has no statistics, ANALYZE it first.");
	else if (scan->wants_trigrams)
		appendStringInfoString(buf, "a pattern is looked for that need not be at the beginning, or has no known one: with the "
									"extension pg_trgm installed an index could serve that.");
	else if (scan->hidden_pattern)
		appendStringInfoString(buf, "the pattern of a LIKE is a parameter, so that its fixed beginning is not known.");
	else if (scan->unstable)
		appendStringInfoString(buf, "a condition is on an expression that is not immutable, so it cannot be indexed; "
									"compare the bare column instead.");
	else if (scan->predicates == NIL && scan->orders == NIL)
		appendStringInfoString(buf, "no condition, join or order on it that a B-tree could serve.");
	else
		appendStringInfoString(buf, "the existing indexes serve its conditions, or a new one would not pay.");
}

char *
pgweir_suggestions_explain(PgweirWorkload *workload, PgweirWork *work, const PgweirSelection *selection)
{
	StringInfoData buf;
	Bitmapset  *used;
	double		alone;
	double		chosen;
	ListCell   *lc;

	initStringInfo(&buf);
	if (work->skipped)
	{
		appendStringInfo(&buf, "Left out: %s.", work->skipped);
		return buf.data;
	}
	chosen = pgweir_work_cost(workload, work, selection->chosen, &used);
	if (!bms_is_empty(used) && chosen <= work->cost * (1 - pgweir_advisor_min_gain / 100))
	{
		appendStringInfo(&buf, "Gains by a suggested index: planner cost %.1f before, %.1f after.", work->cost, chosen);
		return buf.data;
	}
	if (work->scans == NIL)
		return pstrdup("It reads no table.");
	alone = pgweir_work_cost(workload, work, work->relevant, &used);
	if (bms_is_empty(work->relevant))
		appendStringInfoString(&buf, "No index comes into question.");
	else if (alone > work->cost * (1 - pgweir_advisor_min_gain / 100))
		appendStringInfo(&buf, "%d indexes were tried, none saves %.0f %% of its planner cost %.1f.",
						 bms_num_members(work->relevant), pgweir_advisor_min_gain, work->cost);
	else
		appendStringInfo(&buf,
						 "Indexes would bring its planner cost from %.1f to %.1f, but they do not pay for the whole: "
						 "too little of the observed time or too little to be felt, too many writes, or beyond the budget.",
						 work->cost, alone);
	foreach (lc, work->scans)
		explain_scan(&buf, workload, lfirst(lc));
	if (work->sampled > 0)
		appendStringInfo(&buf, " It was planned with the values of %d executions that were kept, and without.", work->sampled);
	else if (work->has_params)
		appendStringInfoString(&buf, " Its parameters have no known values: ranges are guessed.");
	return buf.data;
}
