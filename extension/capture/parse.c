/*
 * parse.c: the hooks of the analyser and of the planner.
 *
 * The analyser is where a statement's constants are known, so its normalised text is put into the store there, when
 * the class is new.  The planner is where planning time is measured, and where a statement may fail or be cancelled
 * before it runs.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "capture/capture.h"
#include "capture/meter.h"
#include "capture/plan_id.h"
#include "guc.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "utils/timestamp.h"

static post_parse_analyze_hook_type previous_analyze;
static planner_hook_type previous_planner;

/* Since 17 the jumble leaves the name of a prepared statement out of DEALLOCATE, and only here is that known. */
static bool
has_constants(const Query *query)
{
	return query->utilityStmt == NULL || (PGWEIR_DEALLOCATE_COUNTS && IsA(query->utilityStmt, DeallocateStmt));
}

/*
 * Our part comes first: others' hooks may clear queryId.  A utility command is left to its own hook, which sees the
 * command's text where it is executed.
 */
static void
analyze(ParseState *pstate, Query *query, JumbleState *jstate)
{
	int64		queryid = (int64) query->queryId;

	if (has_constants(query) && jstate != NULL && !IsParallelWorker() && pgweir_meter_wanted(queryid))
	{
		PgweirSource source = {queryid, pstate->p_sourcetext, query->stmt_location, query->stmt_len, false};
		PgweirKey	key;
		int			entry;

		pgweir_meter_key(&key, queryid, pstate->p_sourcetext);
		entry = pgweir_delta_open(&key);
		pgweir_meter_note_text(entry, &source, jstate);
	}
	if (previous_analyze)
		previous_analyze(pstate, query, jstate);
}

static PlannedStmt *
plan(Query *query, const char *text, int options, ParamListInfo params)
{
	return previous_planner ? previous_planner(query, text, options, params)
		: standard_planner(query, text, options, params);
}

static PlannedStmt *
plan_unmeasured(Query *query, const char *text, int options, ParamListInfo params)
{
	PlannedStmt *result;

	pgweir_level++;
	PG_TRY();
	{
		result = plan(query, text, options, params);
	}
	PG_FINALLY();
	{
		pgweir_level--;
	}
	PG_END_TRY();
	return result;
}

static PlannedStmt *
plan_measured(Query *query, const char *text, int options, ParamListInfo params)
{
	PgweirSource source = {(int64) query->queryId, text, query->stmt_location, query->stmt_len, false};
	PgweirMeter meter;
	PlannedStmt *result;
	uint64		ns;

	pgweir_meter_key(&meter.key, source.queryid, text);
	pgweir_meter_start(&meter, &source, false);
	pgweir_level++;
	PG_TRY();
	{
		result = plan(query, text, options, params);
	}
	PG_CATCH();
	{
		PgweirUsage usage;

		pgweir_level--;
		pgweir_usage_clear(&usage);
		pgweir_meter_fail(&meter, &usage, params);
		pgweir_meter_end(&meter, 0);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pgweir_level--;

	ns = pgweir_clock_ns() - meter.start_ns;
	if (meter.entry >= 0)
	{
		pgweir_delta_add_plan(meter.entry, ns, GetCurrentStatementStartTimestamp());
		pgweir_delta_set_plan(meter.entry, pgweir_plan_id(result));
	}
	pgweir_meter_end(&meter, meter.start_ns + ns);
	return result;
}

static PlannedStmt *
planner_run(Query *query, const char *text, int options, ParamListInfo params)
{
	if (IsParallelWorker() || (pgweir_level > 0 && pgweir_track != PGWEIR_TRACK_ALL))
		return plan(query, text, options, params);
	if (text == NULL || !pgweir_track_planning || !pgweir_meter_wanted((int64) query->queryId))
		return plan_unmeasured(query, text, options, params);
	return plan_measured(query, text, options, params);
}

void
pgweir_parse_init(void)
{
	previous_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = analyze;
	previous_planner = planner_hook;
	planner_hook = planner_run;
}
