/*
 * control.c: pgweir.reset(), flush() and info(), and the small functions the views are built with.
 */
#include "postgres.h"

#include "guc.h"
#include "stores/callers.h"
#include "stores/deltas.h"
#include "stores/history.h"
#include "stores/moments.h"
#include "stores/plans.h"
#include "stores/reports.h"
#include "stores/samples.h"
#include "stores/timeline.h"
#include "stores/waits.h"
#include "views/rows.h"

#define SNAPSHOT_NAP_US 20000
#define SNAPSHOT_TRIES 500		/* ten seconds: the sampler is stopped, or the machine stands still */

PG_FUNCTION_INFO_V1(pgweir_reset_1_0);
PG_FUNCTION_INFO_V1(pgweir_reset_classes_1_0);
PG_FUNCTION_INFO_V1(pgweir_flush_1_0);
PG_FUNCTION_INFO_V1(pgweir_snapshot_1_0);
PG_FUNCTION_INFO_V1(pgweir_info_1_0);
PG_FUNCTION_INFO_V1(pgweir_check_preload_1_0);
PG_FUNCTION_INFO_V1(pgweir_comment_deadline_1_0);

/* pgweir.reset(): forgets all that was counted and reported. */
Datum
pgweir_reset_1_0(PG_FUNCTION_ARGS)
{
	pgweir_require_preload();
	pgweir_statements_reset(0, 0, 0);
	pgweir_server_waits_reset();
	pgweir_samples_reset(0, 0, 0);
	pgweir_plans_reset(0, 0, 0);
	pgweir_timeline_reset();
	pgweir_reports_reset();
	pgweir_moments_reset();
	PG_RETURN_VOID();
}

/* pgweir.reset(userid, dbid, queryid): forgets the classes of these, with plans, samples and history; null and 0 are any. */
Datum
pgweir_reset_classes_1_0(PG_FUNCTION_ARGS)
{
	Oid			userid = PG_ARGISNULL(0) ? 0 : PG_GETARG_OID(0);
	Oid			dbid = PG_ARGISNULL(1) ? 0 : PG_GETARG_OID(1);
	int64		queryid = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);

	pgweir_require_preload();
	if (userid == 0 && dbid == 0 && queryid == 0)
		return pgweir_reset_1_0(fcinfo);
	pgweir_statements_reset(userid, dbid, queryid);
	pgweir_plans_reset(userid, dbid, queryid);
	pgweir_samples_reset(userid, dbid, queryid);
	pgweir_history_reset(userid, dbid, queryid);
	PG_RETURN_VOID();
}

/* pgweir.flush(): merges this backend's own counts; returns of how many classes. */
Datum
pgweir_flush_1_0(PG_FUNCTION_ARGS)
{
	pgweir_require_preload();
	PG_RETURN_INT32(pgweir_deltas_flush());
}

/* pgweir.snapshot(): has the sampler take a step of the history now, and waits until it did. */
Datum
pgweir_snapshot_1_0(PG_FUNCTION_ARGS)
{
	uint64		step;

	pgweir_require_preload();
	pgweir_deltas_flush();
	step = pgweir_history_ask();
	for (int i = 0; i < SNAPSHOT_TRIES; i++)
	{
		if (pgweir_history_taken(step))
			PG_RETURN_BOOL(true);
		CHECK_FOR_INTERRUPTS();
		pg_usleep(SNAPSHOT_NAP_US);
	}
	PG_RETURN_BOOL(false);
}

/* pgweir.info(): one row on the state of the store. */
Datum
pgweir_info_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirTableInfo info;
	PgweirRow	row = {0};

	/* Its own planning has just been counted. */
	pgweir_deltas_flush();
	pgweir_statements_info(&info);
	pgweir_row_int8(&row, info.capacity);
	pgweir_row_int8(&row, info.entries);
	pgweir_row_int8(&row, info.evicted);
	pgweir_row_int8(&row, pgweir_deltas_dropped());
	pgweir_row_time(&row, info.since);
	pgweir_row_int8(&row, (uint64) pgweir_callers_count());
	pgweir_row_time(&row, pgweir_history_begin());
	pgweir_row_int8(&row, pgweir_deltas_unmerged());
	pgweir_row_emit(&row, result);
	return (Datum) 0;
}

/* pgweir.check_preload(): true, or the error that tells how to preload. */
Datum
pgweir_check_preload_1_0(PG_FUNCTION_ARGS)
{
	pgweir_require_preload();
	PG_RETURN_BOOL(true);
}

/* pgweir.comment_deadline(text): the deadline in milliseconds that a comment of a statement asks for, or null. */
Datum
pgweir_comment_deadline_1_0(PG_FUNCTION_ARGS)
{
	text	   *statement = PG_GETARG_TEXT_PP(0);
	int64		us;

	if (!pgweir_comment_deadline(VARDATA_ANY(statement), VARSIZE_ANY_EXHDR(statement), &us) || us == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8((double) us / 1000.0);
}
