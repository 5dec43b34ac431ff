/*
 * report.c: the advisor's SQL functions.
 *
 * Each runs in a subtransaction that is rolled back, so that locks on the tables looked at do not outlive the call.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "compat.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "advisor/foreign_keys.h"
#include "advisor/index.h"
#include "advisor/isolate.h"
#include "advisor/merges.h"
#include "advisor/redundant.h"
#include "advisor/schedule.h"
#include "advisor/select.h"
#include "advisor/statement.h"
#include "advisor/suggestion.h"
#include "advisor/whatif.h"
#include "advisor/workload.h"
#include "stores/progress.h"

PG_FUNCTION_INFO_V1(pgweir_whatif_cost);
PG_FUNCTION_INFO_V1(pgweir_whatif_size);
PG_FUNCTION_INFO_V1(pgweir_suggest_indexes);
PG_FUNCTION_INFO_V1(pgweir_advise_statement);
PG_FUNCTION_INFO_V1(pgweir_explain_advice);
PG_FUNCTION_INFO_V1(pgweir_matching_index);

#define SUGGESTION_COLUMNS 19

/* The elements of an array argument that are not null. */
static Datum *
array_elements(FunctionCallInfo fcinfo, int arg, Oid type, int *count)
{
	ArrayType  *array;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			i;

	*count = 0;
	if (PG_ARGISNULL(arg))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(arg);
	if (type == TEXTOID)
		deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	else
		deconstruct_array(array, type, sizeof(Oid), true, TYPALIGN_INT, &values, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		if (!nulls[i])
			values[(*count)++] = values[i];
	}
	return values;
}

typedef struct WhatifCall
{
	const char *statement;
	Datum	   *ddl;
	PgweirWhatif whatif;
	double		cost;
} WhatifCall;

static void
whatif_action(void *arg)
{
	WhatifCall *call = arg;
	const char *reason;
	List	   *queries;
	ListCell   *lc;
	int			i;

	for (i = 0; i < call->whatif.nindexes; i++)
	{
		call->whatif.index[i] = pgweir_index_from_ddl(TextDatumGetCString(call->ddl[i]));
		pgweir_whatif_measure_predicate(call->whatif.index[i]);
	}
	queries = pgweir_statement_parse(call->statement, &reason);
	if (queries == NIL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("statement cannot be planned: %s", reason)));
	foreach (lc, queries)
		call->cost += pgweir_whatif_plan(lfirst_node(Query, lc), call->statement, &call->whatif).cost;
}

/*
 * whatif_cost(query text, ddl text[], hide regclass[]) returns float8: the planner's cost of the statement if the
 * indexes of the CREATE INDEX statements existed and those to hide did not.
 */
Datum
pgweir_whatif_cost(PG_FUNCTION_ARGS)
{
	WhatifCall	call = {0};
	Datum	   *hide;
	Oid		   *hidden;
	int			i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	call.statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	call.ddl = array_elements(fcinfo, 1, TEXTOID, &call.whatif.nindexes);
	hide = array_elements(fcinfo, 2, REGCLASSOID, &call.whatif.nhidden);
	if (call.whatif.nindexes > PGWEIR_WHATIF_MAX_INDEXES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("at most %d hypothetical indexes can be given", PGWEIR_WHATIF_MAX_INDEXES)));
	call.whatif.index = palloc(sizeof(PgweirIndex *) * Max(call.whatif.nindexes, 1));
	hidden = palloc(sizeof(Oid) * Max(call.whatif.nhidden, 1));
	for (i = 0; i < call.whatif.nhidden; i++)
		hidden[i] = DatumGetObjectId(hide[i]);
	call.whatif.hidden = hidden;
	pgweir_rolled_back(whatif_action, &call);
	PG_RETURN_FLOAT8(call.cost);
}

typedef struct SizeCall
{
	const char *ddl;
	int64		bytes;
} SizeCall;

static void
size_action(void *arg)
{
	SizeCall   *call = arg;
	PgweirIndex *index = pgweir_index_from_ddl(call->ddl);

	pgweir_whatif_measure_predicate(index);
	call->bytes = pgweir_index_bytes(index);
}

/* whatif_size(ddl text) returns int8: bytes the index of a CREATE INDEX statement would take. */
Datum
pgweir_whatif_size(PG_FUNCTION_ARGS)
{
	SizeCall	call = {text_to_cstring(PG_GETARG_TEXT_PP(0)), 0};

	pgweir_rolled_back(size_action, &call);
	PG_RETURN_INT64(call.bytes);
}

/* A row in the making; columns are appended in order. */
typedef struct Row
{
	int			n;
	Datum		value[SUGGESTION_COLUMNS];
	bool		null[SUGGESTION_COLUMNS];
} Row;

static void
put(Row *row, Datum value, bool null)
{
	row->value[row->n] = value;
	row->null[row->n++] = null;
}

static void
put_text(Row *row, const char *value)
{
	put(row, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

static void
put_float8(Row *row, double value)
{
	put(row, Float8GetDatum(value), value < 0);
}

static void
put_queryids(Row *row, List *queryids)
{
	Datum	   *items = palloc(sizeof(Datum) * Max(list_length(queryids), 1));
	int			n = 0;
	ListCell   *lc;

	foreach (lc, queryids)
		items[n++] = Int64GetDatum(*(int64 *) lfirst(lc));
	put(row, PointerGetDatum(construct_array(items, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
		false);
}

static void
put_json(Row *row, const char *value)
{
	put(row, value ? DirectFunctionCall1(jsonb_in, CStringGetDatum(value)) : (Datum) 0, value == NULL);
}

static void
put_names(Row *row, List *names)
{
	Datum	   *items = palloc(sizeof(Datum) * Max(list_length(names), 1));
	int			n = 0;
	ListCell   *lc;

	foreach (lc, names)
		items[n++] = CStringGetTextDatum((char *) lfirst(lc));
	put(row, PointerGetDatum(construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT)), false);
}

/* The same for the same advice in every run, whatever the index would be called. */
static char *
suggestion_id(const PgweirSuggestion *suggestion)
{
	const char *identity = suggestion->identity;

	return psprintf("%016llx",
					(unsigned long long) hash_bytes_extended((const unsigned char *) identity, (int) strlen(identity), 0));
}

static void
return_suggestion(ReturnSetInfo *info, const PgweirSuggestion *suggestion)
{
	Row			row = {0};

	put_text(&row, suggestion_id(suggestion));
	put_text(&row, suggestion->action);
	put_text(&row, suggestion->table_name);
	put_text(&row, suggestion->ddl);
	put_text(&row, suggestion->reason);
	put(&row, Int32GetDatum(suggestion->statements), false);
	put_queryids(&row, suggestion->queryids);
	put_float8(&row, suggestion->gain_pct);
	put_float8(&row, suggestion->cost_before);
	put_float8(&row, suggestion->cost_after);
	put_float8(&row, suggestion->load_pct);
	put(&row, Int64GetDatum((int64) suggestion->size_bytes), suggestion->size_bytes < 0);
	put_text(&row, suggestion->write_cost);
	put_text(&row, suggestion->confidence);
	put_float8(&row, suggestion->saves_ms);
	put_float8(&row, suggestion->write_ms);
	put_json(&row, suggestion->gaining);
	put_json(&row, suggestion->losing);
	put_names(&row, suggestion->replaces);
	tuplestore_putvalues(info->setResult, info->setDesc, row.value, row.null);
}

static void
return_suggestions(FunctionCallInfo fcinfo, List *suggestions)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach (lc, suggestions)
		return_suggestion(info, lfirst(lc));
}

typedef struct Match
{
	const char *ddl;
	Oid			index;
} Match;

/* Finds an index that exists and does what the DDL's would do. */
static void
match_action(void *arg)
{
	Match	   *match = arg;
	PgweirIndex *wanted = pgweir_index_from_ddl(match->ddl);
	Relation	table = table_open(wanted->relid, AccessShareLock);
	List	   *oids = RelationGetIndexList(table);
	ListCell   *lc;

	foreach (lc, oids)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (!OidIsValid(match->index) && index->rd_index->indisvalid &&
			pgweir_index_serves(pgweir_index_from_relation(index), wanted))
			match->index = lfirst_oid(lc);
		index_close(index, AccessShareLock);
	}
	table_close(table, AccessShareLock);
}

/*
 * matching_index(ddl text) returns oid: the valid index that serves whatever the CREATE INDEX statement's would; null when
 * there is none, or no such table any more.
 */
Datum
pgweir_matching_index(PG_FUNCTION_ARGS)
{
	Match		match = {text_to_cstring(PG_GETARG_TEXT_PP(0)), InvalidOid};
	Oid			table = pgweir_index_ddl_table(match.ddl);
	Oid			owner = OidIsValid(table) ? pgweir_table_owner(table) : InvalidOid;

	if (!OidIsValid(owner) || pgweir_isolated(owner, "pg_catalog", match_action, &match) != NULL ||
		!OidIsValid(match.index))
		PG_RETURN_NULL();
	PG_RETURN_OID(match.index);
}

/* A run of the advisor. */
typedef struct Run
{
	const char *statement;		/* NULL: those observed */
	int64		queryid;		/* to be explained; 0: none */
	List	   *suggestions;
	StringInfoData explanation;
} Run;

/* Advice on what was observed, what could be dropped included. */
static void
observed_action(void *arg)
{
	Run		   *run = arg;
	PgweirWorkload *workload = pgweir_workload_create();
	PgweirSelection *selection;
	List	   *chosen = NIL;
	ListCell   *lc;

	pgweir_workload_add_observed(workload);
	pgweir_workload_prepare(workload);
	selection = pgweir_select(workload);
	run->suggestions = pgweir_suggestions_describe(workload, selection);
	foreach (lc, selection->choices)
		chosen = lappend(chosen, workload->candidates.item[((PgweirChoice *) lfirst(lc))->candidate].index);
	run->suggestions = list_concat(run->suggestions, pgweir_unsupported_foreign_keys(chosen));
	run->suggestions = list_concat(run->suggestions, pgweir_merged_indexes(workload, selection));
	run->suggestions = list_concat(run->suggestions, pgweir_redundant_indexes());
	elog(DEBUG1, "advisor: %d statements, %d candidates, %llu plans, %d indexes that save %.4f of the time",
		 workload->count, workload->candidates.count, (unsigned long long) workload->plans,
		 list_length(selection->choices), selection->saved);
}

static void
statement_action(void *arg)
{
	Run		   *run = arg;
	PgweirWorkload *workload = pgweir_workload_create();

	pgweir_workload_add_text(workload, run->statement);
	pgweir_workload_prepare(workload);
	if (workload->item[0].error)
		ReThrowError(workload->item[0].error);
	if (workload->item[0].skipped)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("no advice for this statement: %s", workload->item[0].skipped)));
	run->suggestions = pgweir_suggestions_describe(workload, pgweir_select(workload));
}

static void
explain_action(void *arg)
{
	Run		   *run = arg;
	PgweirWorkload *workload = pgweir_workload_create();
	PgweirSelection *selection;
	int			i;

	pgweir_workload_add_observed(workload);
	pgweir_workload_prepare(workload);
	selection = pgweir_select(workload);
	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];

		if (work->queryid != run->queryid)
			continue;
		if (run->explanation.len > 0)
			appendStringInfoChar(&run->explanation, '\n');
		appendStringInfoString(&run->explanation, pgweir_suggestions_explain(workload, work, selection));
	}
	if (run->explanation.len > 0)
		return;
	appendStringInfoString(&run->explanation, "No such statement was observed in this database");
	if (workload->others > 0)
		appendStringInfo(&run->explanation, ", or it is among the %d with the least time, which "
						 "pgweir.advisor_max_statements leaves out", workload->others);
	appendStringInfoChar(&run->explanation, '.');
}

/* Runs the action, its progress to be seen. */
static void
run_shown(PgweirAction action, Run *run)
{
	pgweir_progress_begin();
	pgweir_progress_set(PGWEIR_PROGRESS_BACKGROUND, pgweir_schedule_is_background());
	PG_TRY();
	{
		pgweir_rolled_back(action, run);
	}
	PG_FINALLY();
	{
		pgweir_progress_end();
	}
	PG_END_TRY();
}

/* suggest_indexes(): what index_suggestions is made of. */
Datum
pgweir_suggest_indexes(PG_FUNCTION_ARGS)
{
	Run			run = {0};

	run_shown(observed_action, &run);
	return_suggestions(fcinfo, run.suggestions);
	return (Datum) 0;
}

/* advise_statement(query text): the same for one statement, as the caller would run it. */
Datum
pgweir_advise_statement(PG_FUNCTION_ARGS)
{
	Run			run = {0};

	run.statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	run_shown(statement_action, &run);
	return_suggestions(fcinfo, run.suggestions);
	return (Datum) 0;
}

/* explain_advice(queryid int8) returns text: what is suggested for a statement observed, or why nothing is. */
Datum
pgweir_explain_advice(PG_FUNCTION_ARGS)
{
	Run			run = {0};

	run.queryid = PG_GETARG_INT64(0);
	initStringInfo(&run.explanation);
	run_shown(explain_action, &run);
	PG_RETURN_TEXT_P(cstring_to_text(run.explanation.data));
}
