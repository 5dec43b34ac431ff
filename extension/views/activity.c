/*
 * activity.c: pgweir.activity(), what each backend executes, from the slots.
 */
#include "postgres.h"

#include "stores/backends.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_activity_1_0);

/* pgweir.activity(): a row for each backend that executes a statement and that the caller may look at. */
Datum
pgweir_activity_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirActivity activity;
	PgweirRow	row = {0};

	for (int i = 0; i < pgweir_max_backends(); i++)
	{
		if (!pgweir_backend_read(i, &activity) || activity.key.queryid == 0 || !pgweir_may_read(activity.key.userid))
			continue;
		pgweir_row_put(&row, Int32GetDatum(activity.pid));
		pgweir_row_put(&row, ObjectIdGetDatum(activity.key.userid));
		pgweir_row_put(&row, ObjectIdGetDatum(activity.key.dbid));
		pgweir_row_int8(&row, (uint64) activity.key.queryid);
		pgweir_row_time(&row, activity.started);
		if (activity.deadline_us > 0)
			pgweir_row_float8(&row, (double) activity.deadline_us / 1000.0);
		else
			pgweir_row_null(&row);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}
