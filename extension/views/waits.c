/*
 * waits.c: pgweir.waits(), what statements spent their time on, and pgweir.sampler(), how that is known.
 */
#include "postgres.h"

#include "stores/statements.h"
#include "stores/waits.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_waits_1_0);
PG_FUNCTION_INFO_V1(pgweir_sampler_1_0);

static void
put_wait(PgweirRow *row, const PgweirWait *wait, ReturnSetInfo *result)
{
	pgweir_row_text(row, pgweir_wait_type_name(wait->event));
	pgweir_row_text(row, pgweir_wait_event_name(wait->event));
	pgweir_row_int8(row, wait->samples);
	pgweir_row_float8(row, (double) wait->ns / 1e6);
	pgweir_row_emit(row, result);
}

static void
put_class(const PgweirStatement *s, void *arg)
{
	PgweirRow	row = {0};

	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
	{
		if (s->waits[i].samples == 0)
			continue;
		pgweir_row_put(&row, ObjectIdGetDatum(s->userid));
		pgweir_row_put(&row, ObjectIdGetDatum(s->dbid));
		if (pgweir_may_read(s->userid))
			pgweir_row_int8(&row, (uint64) s->queryid);
		else
			pgweir_row_null(&row);
		pgweir_row_put(&row, BoolGetDatum(s->toplevel));
		put_wait(&row, &s->waits[i], arg);
	}
}

/* pgweir.waits(): a row for each class and event; those of no class have null for the class. */
Datum
pgweir_waits_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirWait	server[PGWEIR_SERVER_WAITS];
	PgweirRow	row = {0};

	pgweir_statements_visit(InvalidOid, put_class, result);
	pgweir_server_waits_read(server);
	for (int i = 0; i < PGWEIR_SERVER_WAITS; i++)
	{
		if (server[i].samples == 0)
			continue;
		for (int j = 0; j < 4; j++)
			pgweir_row_null(&row);
		put_wait(&row, &server[i], result);
	}
	return (Datum) 0;
}

/* pgweir.sampler(): one row on the sampler. */
Datum
pgweir_sampler_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirSamplerState *state = pgweir_sampler_state();
	PgweirRow	row = {0};

	if (state->pid == 0)
		pgweir_row_null(&row);
	else
		pgweir_row_put(&row, Int32GetDatum(state->pid));
	pgweir_row_int8(&row, (uint64) state->interval_ms);
	pgweir_row_int8(&row, state->samples);
	pgweir_row_float8(&row, (double) state->cpu_us / 1000.0);
	pgweir_row_time(&row, state->started);
	pgweir_row_emit(&row, result);
	return (Datum) 0;
}
