/*
 * callers.c: pgweir.callers(), statement classes split by the callers that comments name.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "stores/callers.h"
#include "stores/statements.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_callers_1_0);

/* Tags may come from a database with another encoding: what is no text here is shown as question marks. */
static void
put_tags(PgweirRow *row, int32 caller)
{
	char		text[PGWEIR_CALLER_LEN + 1];

	if (!pgweir_caller_read(caller, text))
	{
		pgweir_row_null(row);
		return;
	}
	if (!pg_verifymbstr(text, strlen(text), true))
	{
		for (char *p = text; *p != '\0'; p++)
			*p = IS_HIGHBIT_SET(*p) ? '?' : *p;
	}
	pgweir_row_text(row, text);
}

static void
put_caller(const PgweirStatement *s, void *arg)
{
	PgweirRow	row = {0};
	bool		readable = pgweir_may_read(s->userid);

	pgweir_row_put(&row, ObjectIdGetDatum(s->userid));
	pgweir_row_put(&row, ObjectIdGetDatum(s->dbid));
	if (readable)
		pgweir_row_int8(&row, (uint64) s->queryid);
	else
		pgweir_row_null(&row);
	pgweir_row_put(&row, BoolGetDatum(s->toplevel));
	if (readable)
		put_tags(&row, s->caller);
	else
		pgweir_row_null(&row);
	pgweir_row_int8(&row, s->calls);
	pgweir_row_float8(&row, (double) s->counter[PGWEIR_TOTAL_NS] / 1e6);
	pgweir_row_float8(&row, (double) s->counter[PGWEIR_TOTAL_NS] / 1e6 / Max((double) s->calls, 1));
	pgweir_row_float8(&row, (double) Min(pgweir_histogram_quantile(s->hist, 0.95), s->max_us) / 1000.0);
	pgweir_row_float8(&row, (double) s->max_us / 1000.0);
	pgweir_row_int8(&row, s->rows);
	pgweir_row_int8(&row, s->failures);
	pgweir_row_float8(&row, (double) s->counter[PGWEIR_FAILED_NS] / 1e6);
	pgweir_row_time(&row, s->first_seen);
	pgweir_row_time(&row, s->last_seen);
	pgweir_row_emit(&row, arg);
}

/* pgweir.callers(): a row for each class and caller. */
Datum
pgweir_callers_1_0(PG_FUNCTION_ARGS)
{
	pgweir_statements_visit_callers(InvalidOid, put_caller, pgweir_rows_start(fcinfo));
	return (Datum) 0;
}
