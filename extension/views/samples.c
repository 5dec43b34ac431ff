/*
 * samples.c: pgweir.samples(), single executions that were slow, and pgweir.plans(), the plans of classes.
 *
 * Samples hold data: they are shown to members of pg_read_all_stats only.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "stores/deltas.h"
#include "stores/plans.h"
#include "stores/samples.h"
#include "utils/array.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_samples_1_0);
PG_FUNCTION_INFO_V1(pgweir_plans_1_0);

/* A text that may be of another database, whose encoding may be another: what is no text here is shown as question marks. */
static char *
readable(const char *text, int len, int encoding)
{
	char	   *copy = pnstrdup(text, len);

	if (encoding == GetDatabaseEncoding() || pg_verifymbstr(copy, len, true))
		return copy;
	for (char *p = copy; *p != '\0'; p++)
		*p = IS_HIGHBIT_SET(*p) ? '?' : *p;
	return copy;
}

static void
put_text(PgweirRow *row, const char *text, int len, int encoding)
{
	if (len == 0)
		pgweir_row_null(row);
	else
		pgweir_row_text(row, readable(text, len, encoding));
}

static void
put_key(PgweirRow *row, const PgweirKey *key)
{
	pgweir_row_put(row, ObjectIdGetDatum(key->userid));
	pgweir_row_put(row, ObjectIdGetDatum(key->dbid));
	pgweir_row_int8(row, (uint64) key->queryid);
	pgweir_row_put(row, BoolGetDatum(key->toplevel != 0));
}

static const char *
outcome(const PgweirSample *sample)
{
	switch (sample->failure)
	{
		case PGWEIR_CANCELLED:
			return "cancelled";
		case PGWEIR_STATEMENT_TIMEOUT:
			return "statement timeout";
		case PGWEIR_LOCK_TIMEOUT:
			return "lock timeout";
		case PGWEIR_DEADLINE_MISSED:
			return "deadline missed";
		case PGWEIR_DEADLOCK:
			return "deadlock";
		default:
			return "completed";
	}
}

/* text[]: null for a null, '?' for one whose text could not be had. */
static void
put_params(PgweirRow *row, const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS])
{
	const char *at = part[PGWEIR_SAMPLE_PARAMS];
	ArrayBuildState *array = NULL;
	Oid			type;
	const char *value;
	int			len;

	while (pgweir_sample_next_param(sample, part, &at, &type, &value, &len))
	{
		const char *text = len < 0 ? "?" : value == NULL ? NULL : readable(value, len, sample->encoding);

		array = accumArrayResult(array, text == NULL ? (Datum) 0 : CStringGetTextDatum(text), text == NULL, TEXTOID,
								 CurrentMemoryContext);
	}
	if (array == NULL)
		pgweir_row_null(row);
	else
		pgweir_row_put(row, makeArrayResult(array, CurrentMemoryContext));
}

static void
put_waits(PgweirRow *row, const PgweirWait *waits)
{
	ArrayBuildState *array = NULL;

	for (int i = 0; i < PGWEIR_BACKEND_WAITS; i++)
	{
		if (waits[i].samples > 0)
			array = accumArrayResult(array, CStringGetTextDatum(psprintf("%s: %s %.0f ms", pgweir_wait_type_name(waits[i].event),
																		 pgweir_wait_event_name(waits[i].event), (double) waits[i].ns / 1e6)),
									 false, TEXTOID, CurrentMemoryContext);
	}
	if (array == NULL)
		pgweir_row_null(row);
	else
		pgweir_row_put(row, makeArrayResult(array, CurrentMemoryContext));
}

static void
put_blocker(PgweirRow *row, const PgweirBlocker *blocker)
{
	if (blocker->pid == 0)
	{
		for (int i = 0; i < 3; i++)
			pgweir_row_null(row);
		return;
	}
	pgweir_row_put(row, Int32GetDatum(blocker->pid));
	if (blocker->key.queryid == 0)
		pgweir_row_null(row);
	else
		pgweir_row_int8(row, (uint64) blocker->key.queryid);
	pgweir_row_put(row, BoolGetDatum(blocker->idle));
}

static void
put_rows(PgweirRow *row, const PgweirSample *sample)
{
	if (sample->estimated_rows < 0)
	{
		pgweir_row_null(row);
		pgweir_row_null(row);
	}
	else
	{
		pgweir_row_float8(row, sample->estimated_rows);
		pgweir_row_float8(row, sample->actual_rows);
	}
	if (sample->worst_node[0] == '\0')
	{
		for (int i = 0; i < 3; i++)
			pgweir_row_null(row);
		return;
	}
	pgweir_row_text(row, sample->worst_node);
	pgweir_row_float8(row, sample->worst_estimated);
	pgweir_row_float8(row, sample->worst_actual);
}

static void
put_sample(const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS], void *arg)
{
	static const char *const reasons[] = {"slow", "unusual", "failed"};
	PgweirRow	row = {0};

	put_key(&row, &sample->key);
	pgweir_row_time(&row, sample->started);
	pgweir_row_float8(&row, (double) sample->duration_ns / 1e6);
	pgweir_row_text(&row, reasons[sample->reason]);
	pgweir_row_text(&row, outcome(sample));
	if (sample->usual_ns == 0)
		pgweir_row_null(&row);
	else
		pgweir_row_float8(&row, (double) sample->usual_ns / 1e6);
	if (sample->deadline_us == 0)
		pgweir_row_null(&row);
	else
		pgweir_row_float8(&row, (double) sample->deadline_us / 1e3);
	pgweir_row_put(&row, Int32GetDatum(sample->pid));
	put_text(&row, sample->application, strlen(sample->application), sample->encoding);
	put_text(&row, sample->client, strlen(sample->client), sample->encoding);
	put_text(&row, sample->traceparent, strlen(sample->traceparent), sample->encoding);
	put_text(&row, part[PGWEIR_SAMPLE_TEXT], sample->len[PGWEIR_SAMPLE_TEXT], sample->encoding);
	put_params(&row, sample, part);
	put_rows(&row, sample);
	put_waits(&row, sample->waits);
	put_blocker(&row, &sample->blocker);
	if (sample->plan_id == 0)
		pgweir_row_null(&row);
	else
		pgweir_row_int8(&row, (uint64) sample->plan_id);
	put_text(&row, part[PGWEIR_SAMPLE_PLAN], sample->len[PGWEIR_SAMPLE_PLAN], sample->encoding);
	put_text(&row, part[PGWEIR_SAMPLE_PLAN_JSON], sample->len[PGWEIR_SAMPLE_PLAN_JSON], sample->encoding);
	pgweir_row_emit(&row, arg);
}

/* pgweir.samples(): see the script for the columns. */
Datum
pgweir_samples_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);

	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
		pgweir_samples_visit(put_sample, result);
	return (Datum) 0;
}

static void
put_plan(const PgweirPlan *plan, const char *text, void *arg)
{
	PgweirRow	row = {0};

	/* A plan shows constants, which are data. */
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
		return;
	put_key(&row, &plan->key);
	pgweir_row_int8(&row, (uint64) plan->plan_id);
	pgweir_row_time(&row, plan->first_seen);
	pgweir_row_time(&row, plan->last_seen);
	pgweir_row_int8(&row, plan->calls);
	pgweir_row_float8(&row, (double) plan->total_ns / 1e6);
	put_text(&row, text, plan->len, plan->encoding);
	pgweir_row_emit(&row, arg);
}

/* pgweir.plans(): a row for each plan of a class. */
Datum
pgweir_plans_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);

	pgweir_deltas_flush();
	pgweir_plans_visit(put_plan, result);
	return (Datum) 0;
}
