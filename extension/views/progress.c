/*
 * progress.c: pgweir.runs(), how far runs of the advisor are.
 */
#include "postgres.h"

#include "stores/progress.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_runs_1_0);

static const char *const phase_names[PGWEIR_NPHASES] = {"reading statements", "asking the planner", "choosing indexes",
														"looking at existing indexes"};

/* pgweir.runs(): a row for each run that is under way in any database. */
Datum
pgweir_runs_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirProgress progress;
	PgweirRow	row = {0};

	for (int i = 0; i < PGWEIR_PROGRESS_PLACES; i++)
	{
		if (!pgweir_progress_read(i, &progress))
			continue;
		pgweir_row_put(&row, Int32GetDatum(progress.pid));
		pgweir_row_put(&row, ObjectIdGetDatum(progress.dbid));
		pgweir_row_time(&row, progress.started);
		pgweir_row_text(&row, phase_names[Min(progress.value[PGWEIR_PROGRESS_PHASE], PGWEIR_NPHASES - 1)]);
		for (int v = PGWEIR_PROGRESS_TOTAL; v <= PGWEIR_PROGRESS_CHOSEN; v++)
			pgweir_row_int8(&row, progress.value[v]);
		pgweir_row_put(&row, BoolGetDatum(progress.value[PGWEIR_PROGRESS_BACKGROUND] != 0));
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}
