/*
 * utility.c: the hook of commands that are not planned.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "capture/capture.h"
#include "capture/meter.h"
#include "capture/sample.h"
#include "guc.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"

#define UTILITY_ARGS PlannedStmt *pstmt, const char *text, bool read_only, ProcessUtilityContext context, \
	ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion
#define UTILITY_PASS pstmt, text, read_only, context, params, environment, dest, completion

static ProcessUtility_hook_type previous_utility;

static inline void
process(UTILITY_ARGS)
{
	if (previous_utility)
		previous_utility(UTILITY_PASS);
	else
		standard_ProcessUtility(UTILITY_PASS);
}

/* EXECUTE stands for the statement it executes, which the executor's hooks count; the others do nothing to count. */
static bool
is_about_prepared(const Node *command)
{
	return IsA(command, ExecuteStmt) || IsA(command, PrepareStmt) ||
		(IsA(command, DeallocateStmt) && !PGWEIR_DEALLOCATE_COUNTS);
}

static bool
has_body(const Node *command)
{
	return IsA(command, DoStmt) || IsA(command, CreateFunctionStmt);
}

/* A module whose hook is called before ours may have cleared the statement's queryId; the server still has it. */
static int64
queryid_of(const PlannedStmt *pstmt)
{
	if (pstmt->queryId != 0 || pgweir_level > 0)
		return (int64) pstmt->queryId;
	return (int64) pgstat_get_my_query_id();
}

static uint64
rows_of(const QueryCompletion *completion)
{
	if (completion == NULL)
		return 0;
	switch (completion->commandTag)
	{
		case CMDTAG_COPY:
		case CMDTAG_FETCH:
		case CMDTAG_SELECT:
		case CMDTAG_REFRESH_MATERIALIZED_VIEW:
			return completion->nprocessed;
		default:
			return 0;
	}
}

static void
process_unmeasured(UTILITY_ARGS)
{
	pgweir_level++;
	PG_TRY();
	{
		process(UTILITY_PASS);
	}
	PG_FINALLY();
	{
		pgweir_level--;
	}
	PG_END_TRY();
}

/* The command may end the transaction and free pstmt: nothing of it is used afterwards. */
static void
process_measured(int64 queryid, UTILITY_ARGS)
{
	PgweirSource source = {queryid, text, pstmt->stmt_location, pstmt->stmt_len, has_body(pstmt->utilityStmt)};
	PgweirMeter meter;
	PgweirUsage usage;
	uint64		ns;

	pgweir_usage_clear(&usage);
	pgweir_meter_key(&meter.key, queryid, text);
	pgweir_meter_start(&meter, &source, true);
	pgweir_level++;
	PG_TRY();
	{
		process(UTILITY_PASS);
	}
	PG_CATCH();
	{
		pgweir_level--;
		pgweir_meter_fail(&meter, &usage, params);
		pgweir_meter_end(&meter, 0);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pgweir_level--;
	ns = pgweir_meter_read(&meter, &usage);
	usage.counter[PGWEIR_ROWS] = rows_of(completion);
	pgweir_meter_count(&meter, &usage, ns);
	if (unlikely(pgweir_sample_due(meter.entry, ns)))
		pgweir_sample_take(&meter, NULL, ns);
	pgweir_meter_end(&meter, meter.start_ns + ns);
}

static void
utility_run(UTILITY_ARGS)
{
	int64		queryid;

	if (IsParallelWorker() || is_about_prepared(pstmt->utilityStmt) ||
		(pgweir_level > 0 && pgweir_track != PGWEIR_TRACK_ALL))
	{
		process(UTILITY_PASS);
		return;
	}
	queryid = queryid_of(pstmt);
	if (pgweir_track_utility && pgweir_meter_wanted(queryid))
		process_measured(queryid, UTILITY_PASS);
	else
		process_unmeasured(UTILITY_PASS);
}

void
pgweir_utility_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility_run;
}
