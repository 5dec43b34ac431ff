/*
 * workload.c: collects statements, prepares them and keeps their costs.
 */
#include "postgres.h"

#include "advisor/workload.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_db_role_setting.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "advisor/assume.h"
#include "advisor/compat_advisor.h"
#include "advisor/constants.h"
#include "advisor/isolate.h"
#include "advisor/schedule.h"
#include "advisor/settings.h"
#include "advisor/statement.h"
#include "advisor/whatif.h"
#include "stores/progress.h"
#include "stores/statements.h"

/* A statement whose planning takes such a part of the time limit is not tried with many indexes. */
#define MAX_PLANNING_SHARE 0.2
/* Candidates shown to the planner for one statement at most. */
#define MAX_RELEVANT 300

StaticAssertDecl(MAX_RELEVANT <= PGWEIR_WHATIF_MAX_INDEXES, "more candidates than the planner can be shown");

PgweirWorkload *
pgweir_workload_create(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgweir advisor", ALLOCSET_DEFAULT_SIZES);
	PgweirWorkload *workload = MemoryContextAllocZero(context, sizeof(PgweirWorkload));

	workload->context = context;
	workload->scratch = AllocSetContextCreate(context, "pgweir advisor planning", ALLOCSET_DEFAULT_SIZES);
	workload->tables.context = context;
	pgweir_candidates_init(&workload->candidates, &workload->tables, context);
	if (pgweir_advisor_time_limit_ms > 0)
		workload->deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pgweir_advisor_time_limit_ms);
	else
		workload->deadline = DT_NOEND;
	return workload;
}

bool
pgweir_workload_timed_out(const PgweirWorkload *workload)
{
	if (MemoryContextMemAllocated(workload->context, true) > pgweir_advisor_max_memory_kb * (Size) 1024)
		return true;
	return workload->deadline != DT_NOEND && GetCurrentTimestamp() >= workload->deadline;
}

/* Ends the run when somebody wants it to, or when it is not wanted to be in the way. */
static void
check_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
	pgweir_schedule_give_way();
}

/* Room for one more, zeroed. */
static PgweirWork *
add_work(PgweirWorkload *workload)
{
	PgweirWork *work;

	if (workload->count == workload->room)
	{
		MemoryContext old = MemoryContextSwitchTo(workload->context);

		workload->room = Max(16, workload->room * 2);
		workload->item = workload->item ? repalloc_huge(workload->item, sizeof(PgweirWork) * workload->room)
			: palloc(sizeof(PgweirWork) * workload->room);
		MemoryContextSwitchTo(old);
	}
	work = &workload->item[workload->count++];
	memset(work, 0, sizeof(*work));
	return work;
}

void
pgweir_workload_add_text(PgweirWorkload *workload, const char *statement)
{
	PgweirWork *work = add_work(workload);

	work->userid = GetUserId();
	work->text = MemoryContextStrdup(workload->context, statement);
	work->calls = 1;
	work->total_us = 1;
	workload->total_us = 1;
}

typedef struct Loading
{
	PgweirWorkload *workload;
	TimestampTz first_seen;
} Loading;

/* Two users' classes of one statement are one to us. */
static PgweirWork *
find_work(PgweirWorkload *workload, const PgweirStatement *statement)
{
	int			i;

	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];

		if (work->queryid == statement->queryid && strcmp(work->text, statement->text) == 0)
			return work;
	}
	return NULL;
}

static void
load_statement(const PgweirStatement *statement, void *arg)
{
	Loading    *loading = arg;
	PgweirWorkload *workload = loading->workload;
	PgweirWork *work;

	workload->total_us += statement->total_us;
	if (statement->first_seen < loading->first_seen)
		loading->first_seen = statement->first_seen;
	work = find_work(workload, statement);
	if (work == NULL)
	{
		work = add_work(workload);
		work->queryid = statement->queryid;
		work->userid = statement->userid;
		work->text = MemoryContextStrdup(workload->context, statement->text);
		if (statement->text_len == 0)
			work->skipped = "its text is not known";
		else if (statement->text_truncated)
			work->skipped = "its text was cut off (pgweir.query_size)";
	}
	work->calls += statement->calls;
	work->rows += statement->rows;
	work->total_us += statement->total_us;
}

static int
compare_time(const void *a, const void *b)
{
	double		x = ((const PgweirWork *) a)->total_us;
	double		y = ((const PgweirWork *) b)->total_us;

	return x > y ? -1 : x < y ? 1 : 0;
}

void
pgweir_workload_add_observed(PgweirWorkload *workload)
{
	Loading		loading = {workload, DT_NOEND};
	MemoryContext old;

	pgweir_statements_visit(MyDatabaseId, load_statement, &loading);
	old = MemoryContextSwitchTo(workload->context);
	workload->sampled = pgweir_sampled_load();
	MemoryContextSwitchTo(old);
	if (loading.first_seen != DT_NOEND)
		workload->hours = Max(1.0, (double) (GetCurrentTimestamp() - loading.first_seen) / USECS_PER_SEC) / 3600;
	if (workload->count > 1)
		qsort(workload->item, workload->count, sizeof(PgweirWork), compare_time);
	if (workload->count > pgweir_advisor_max_statements)
	{
		workload->others = workload->count - pgweir_advisor_max_statements;
		workload->count = pgweir_advisor_max_statements;
	}
}

/* The search_path that ALTER ROLE or ALTER DATABASE ... SET gives; NULL: none. */
static char *
role_search_path(Relation settings, Oid database, Oid role)
{
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *path = NULL;

	ScanKeyInit(&key[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(database));
	ScanKeyInit(&key[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(settings, DbRoleSettingDatidRolidIndexId, true, NULL, 2, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		config = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig, RelationGetDescr(settings),
										  &isnull);
		Datum	   *items;
		int			n = 0;
		int			i;

		if (!isnull)
			deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT, &items, NULL, &n);
		for (i = 0; i < n; i++)
		{
			char	   *item = TextDatumGetCString(items[i]);

			if (pg_strncasecmp(item, "search_path=", 12) == 0)
				path = pstrdup(item + 12);
		}
	}
	systable_endscan(scan);
	return path;
}

/*
 * How names are resolved when no setting of the author's says it: as a new session would, unless the reader calls us
 * himself and has set a path.
 */
static char *
usual_search_path(void)
{
	const char *path = GetConfigOptionResetString("search_path");
	Oid			userid;
	int			context;

	GetUserIdAndSecContext(&userid, &context);
	return context & SECURITY_LOCAL_USERID_CHANGE ? pstrdup(path) : NULL;
}

/* How the author's names are resolved, as far as the catalogs tell. */
static char *
author_search_path(Oid userid)
{
	Relation	settings = table_open(DbRoleSettingRelationId, AccessShareLock);
	char	   *path = role_search_path(settings, MyDatabaseId, userid);

	if (path == NULL)
		path = role_search_path(settings, InvalidOid, userid);
	if (path == NULL)
		path = role_search_path(settings, MyDatabaseId, InvalidOid);
	if (path == NULL)
		path = usual_search_path();
	table_close(settings, AccessShareLock);
	return path;
}

typedef struct Preparation
{
	PgweirWorkload *workload;
	PgweirWork *work;
	PgweirScans scans;
} Preparation;

/* The statement with what is known of its constants and parameters, as queries and with values that stand for executions. */
static List *
make_variants(PgweirWorkload *workload, PgweirWork *work, List **queries)
{
	bool		observed = work->queryid != 0;
	double		rows = observed && work->calls > 0 ? work->rows / work->calls : -1;
	List	   *variants;
	List	   *sampled = NIL;

	/* Whoever writes parameters into a text means the constants beside them to stay. */
	pgweir_constants_mark(*queries, observed || pgweir_statement_has_params(*queries));
	if (workload->sampled && observed)
		*queries = pgweir_sampled_fix(workload->sampled, work->queryid, work->text, *queries, &work->alike);
	if (rows >= 0)
		pgweir_statement_assume_limit(*queries, rows);
	variants = pgweir_assume_values(*queries, work->text, rows);
	if (workload->sampled && observed)
		sampled = pgweir_sampled_queries(workload->sampled, work->queryid, list_length(*queries));
	work->sampled = list_length(sampled);
	return list_concat(variants, sampled);
}

/* Plans the queries as they are, noting the scans; their cost together. */
static double
plan_queries(PgweirWorkload *workload, PgweirWork *work, List *queries, PgweirScans *scans, bool own)
{
	PgweirWhatif whatif = {.visit = pgweir_predicates_visit, .visit_arg = scans};
	double		cost = 0;
	ListCell   *lc;

	scans->own = own;
	foreach (lc, queries)
		cost += pgweir_whatif_plan(lfirst_node(Query, lc), work->text, &whatif).cost;
	workload->plans += list_length(queries);
	return cost;
}

/* Parses the statement and plans it as it is, noting its scans.  Runs as its author. */
static void
prepare_action(void *arg)
{
	Preparation *preparation = arg;
	PgweirWorkload *workload = preparation->workload;
	PgweirWork *work = preparation->work;
	MemoryContext old = MemoryContextSwitchTo(workload->scratch);
	List	   *queries;
	List	   *variants = NIL;
	ListCell   *lc;
	const char *reason;
	double		cost = 0;
	TimestampTz start;
	double		planned_ms;

	queries = pgweir_statement_parse(work->text, &reason);
	if (pgweir_statement_is_foreign(queries))
	{
		queries = NIL;
		reason = "it reads a foreign table";
	}
	foreach (lc, queries)
		PGWEIR_CHECK_PERMISSIONS(lfirst_node(Query, lc));
	if (queries)
		variants = make_variants(workload, work, &queries);
	start = GetCurrentTimestamp();
	if (!list_member_ptr(variants, queries))
		(void) plan_queries(workload, work, queries, &preparation->scans, true);
	foreach (lc, variants)
		cost += plan_queries(workload, work, lfirst(lc), &preparation->scans, lfirst(lc) == queries);
	planned_ms = (double) (GetCurrentTimestamp() - start) / 1000;
	MemoryContextSwitchTo(workload->context);
	if (workload->count > 1 && pgweir_advisor_time_limit_ms > 0 && planned_ms > pgweir_advisor_time_limit_ms * MAX_PLANNING_SHARE)
	{
		queries = variants = NIL;
		reason = psprintf("planning it takes %.0f ms, too long to try indexes within pgweir.advisor_time_limit", planned_ms);
	}
	work->queries = copyObject(queries);
	foreach (lc, variants)
		work->variants = lappend(work->variants, copyObject((List *) lfirst(lc)));
	work->skipped = reason;
	work->cost = cost / Max(list_length(variants), 1);
	work->has_params = pgweir_statement_has_params(queries);
	MemoryContextSwitchTo(old);
}

/* Counts what a statement that writes does to its table. */
static void
note_writes(PgweirWorkload *workload, const PgweirWork *work, const Query *query)
{
	MemoryContext old;
	PgweirWrite *write;
	PgweirTable *table;
	double		rows;
	ListCell   *lc;

	if (query->commandType == CMD_SELECT || query->resultRelation == 0 || workload->hours <= 0)
		return;
	table = pgweir_tables_get(&workload->tables, rt_fetch(query->resultRelation, query->rtable)->relid);
	rows = work->rows / workload->hours;
	if (query->commandType != CMD_INSERT && query->commandType != CMD_UPDATE)
		return;
	old = MemoryContextSwitchTo(workload->context);
	write = palloc0(sizeof(PgweirWrite));
	write->queryid = work->queryid;
	if (query->commandType == CMD_INSERT)
		write->inserts = rows;
	else
	{
		write->updates = rows;
		foreach (lc, query->targetList)
		{
			TargetEntry *target = lfirst_node(TargetEntry, lc);

			if (!target->resjunk)
				write->updated = bms_add_member(write->updated, target->resno);
		}
	}
	table->writes = lappend(table->writes, write);
	MemoryContextSwitchTo(old);
}

/* False when it is skipped. */
static bool
prepare_work(PgweirWorkload *workload, PgweirWork *work)
{
	Preparation preparation = {workload, work, {NIL, workload->context, false}};
	MemoryContext old;
	ListCell   *lc;

	check_interrupts();
	if (work->skipped)
		return false;
	old = MemoryContextSwitchTo(workload->context);
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(work->userid)))
		work->skipped = "its user was dropped";
	else
	{
		if (work->queryid != 0)
			work->search_path = author_search_path(work->userid);
		work->error = pgweir_isolated(work->userid, work->search_path, prepare_action, &preparation);
		if (work->error)
			work->skipped = psprintf("it cannot be planned: %s",
									 work->error->message ? work->error->message : "unknown error");
		work->scans = preparation.scans.scans;
		if (workload->sampled && work->error == NULL)
			pgweir_sampled_note(workload->sampled, work->queryid, work->scans);
	}
	MemoryContextReset(workload->scratch);
	if (work->skipped)
	{
		work->queries = NIL;
		work->scans = NIL;
	}
	foreach (lc, work->queries)
		note_writes(workload, work, lfirst_node(Query, lc));
	MemoryContextSwitchTo(old);
	return work->skipped == NULL;
}

/* Keeps the first members of a set. */
static Bitmapset *
first_members(Bitmapset *set, int max)
{
	int			member = -1;
	int			n = 0;

	while ((member = bms_next_member(set, member)) >= 0)
	{
		if (++n > max)
			set = bms_del_member(set, member);
	}
	return set;
}

void
pgweir_workload_prepare(PgweirWorkload *workload)
{
	MemoryContext old;
	ListCell   *lc;
	int			i;

	pgweir_progress_set(PGWEIR_PROGRESS_PHASE, PGWEIR_PHASE_READING);
	pgweir_progress_set(PGWEIR_PROGRESS_TOTAL, workload->count);
	for (i = 0; i < workload->count; i++)
	{
		pgweir_progress_set(PGWEIR_PROGRESS_DONE, i);
		if (pgweir_workload_timed_out(workload) && workload->item[i].skipped == NULL)
			workload->item[i].skipped = "pgweir.advisor_time_limit was reached before it";
		else
			prepare_work(workload, &workload->item[i]);
	}
	old = MemoryContextSwitchTo(workload->context);
	for (i = 0; i < workload->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		foreach (lc, workload->item[i].scans)
			pgweir_candidates_generate(&workload->candidates, lfirst(lc));
	}
	for (i = 0; i < workload->count; i++)
	{
		PgweirWork *work = &workload->item[i];

		foreach (lc, work->scans)
			work->relevant = bms_add_members(work->relevant,
											 pgweir_candidates_relevant(&workload->candidates, lfirst(lc)));
		work->relevant = first_members(work->relevant, MAX_RELEVANT);
	}
	pgweir_progress_set(PGWEIR_PROGRESS_CANDIDATES, workload->candidates.count);
	MemoryContextSwitchTo(old);
}

typedef struct Costing
{
	PgweirWorkload *workload;
	PgweirWork *work;
	const Bitmapset *config;
	double		cost;
	Bitmapset  *used;			/* in the workload's context */
} Costing;

/* Plans with the candidates of config.  Runs as the statement's author. */
static void
cost_action(void *arg)
{
	Costing    *costing = arg;
	PgweirWorkload *workload = costing->workload;
	MemoryContext old = MemoryContextSwitchTo(workload->scratch);
	PgweirWhatif whatif = {0};
	int			ids[MAX_RELEVANT];
	ListCell   *lc;
	ListCell   *query;
	int			id = -1;

	whatif.index = palloc(sizeof(PgweirIndex *) * MAX_RELEVANT);
	while ((id = bms_next_member(costing->config, id)) >= 0 && whatif.nindexes < MAX_RELEVANT)
	{
		ids[whatif.nindexes] = id;
		whatif.index[whatif.nindexes++] = workload->candidates.item[id].index;
	}
	foreach (lc, costing->work->variants)
	{
		foreach (query, (List *) lfirst(lc))
		{
			PgweirPlanned planned = pgweir_whatif_plan(lfirst_node(Query, query), costing->work->text, &whatif);
			int			shown = -1;

			workload->plans++;
			costing->cost += planned.cost / list_length(costing->work->variants);
			MemoryContextSwitchTo(workload->context);
			while ((shown = bms_next_member(planned.used, shown)) >= 0)
				costing->used = bms_add_member(costing->used, ids[shown]);
			MemoryContextSwitchTo(workload->scratch);
		}
	}
	MemoryContextSwitchTo(old);
}

static PgweirCostEntry *
find_cost(const PgweirWork *work, const Bitmapset *config)
{
	ListCell   *lc;

	foreach (lc, work->costs)
	{
		PgweirCostEntry *entry = lfirst(lc);

		if (bms_equal(entry->config, config))
			return entry;
	}
	return NULL;
}

static PgweirCostEntry *
compute_cost(PgweirWorkload *workload, PgweirWork *work, Bitmapset *config)
{
	Costing		costing = {workload, work, config, 0, NULL};
	MemoryContext old = MemoryContextSwitchTo(workload->context);
	PgweirCostEntry *entry = palloc0(sizeof(PgweirCostEntry));

	entry->config = bms_copy(config);
	if (pgweir_isolated(work->userid, work->search_path, cost_action, &costing) == NULL)
	{
		entry->cost = costing.cost;
		entry->used = costing.used;
	}
	else
		entry->cost = work->cost;
	MemoryContextReset(workload->scratch);
	work->costs = lappend(work->costs, entry);
	pgweir_progress_set(PGWEIR_PROGRESS_PLANS, workload->plans);
	MemoryContextSwitchTo(old);
	return entry;
}

double
pgweir_work_cost(PgweirWorkload *workload, PgweirWork *work, const Bitmapset *config, Bitmapset **used)
{
	Bitmapset  *relevant = bms_intersect(config, work->relevant);
	PgweirCostEntry *entry;

	check_interrupts();
	if (used)
		*used = NULL;
	if (work->queries == NIL || bms_is_empty(relevant))
	{
		bms_free(relevant);
		return work->cost;
	}
	entry = find_cost(work, relevant);
	if (entry == NULL)
		entry = compute_cost(workload, work, relevant);
	bms_free(relevant);
	if (used)
		*used = entry->used;
	return entry->cost;
}
