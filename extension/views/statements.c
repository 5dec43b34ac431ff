/*
 * statements.c: pgweir.statements(), the raw material of slow_queries and running_queries.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "stores/shared.h"
#include "stores/statements.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "views/rows.h"

#define TOP_WAITS 3

PG_FUNCTION_INFO_V1(pgweir_statements_1_0);

typedef struct Output
{
	ReturnSetInfo *result;
	bool		with_text;
} Output;

static double
ms(uint64 us)
{
	return (double) us / 1000.0;
}

static void
put_identity(PgweirRow *row, const PgweirStatement *s, bool with_text)
{
	bool		readable = pgweir_may_read(s->userid);

	pgweir_row_put(row, ObjectIdGetDatum(s->userid));
	pgweir_row_put(row, ObjectIdGetDatum(s->dbid));
	if (readable)
		pgweir_row_int8(row, (uint64) s->queryid);
	else
		pgweir_row_null(row);
	pgweir_row_put(row, BoolGetDatum(s->toplevel));
	if (!with_text || (readable && s->text_len == 0))
		pgweir_row_null(row);
	else
		pgweir_row_text(row, readable ? s->text : "<insufficient privilege>");
}

/* Of all executions, those that failed included. */
static void
put_times(PgweirRow *row, const PgweirStatement *s)
{
	double		n = Max((double) s->calls, 1);
	double		mean = (double) s->total_us / n;
	double		variance = Max(s->sum_squares / n - mean * mean, 0);
	static const double quantiles[] = {0.50, 0.95, 0.99};

	pgweir_row_int8(row, s->calls);
	pgweir_row_float8(row, (double) s->counter[PGWEIR_TOTAL_NS] / 1e6);
	pgweir_row_float8(row, mean / 1000.0);
	pgweir_row_float8(row, ms(s->min_us));
	pgweir_row_float8(row, ms(s->max_us));
	pgweir_row_float8(row, sqrt(variance) / 1000.0);
	for (int i = 0; i < (int) lengthof(quantiles); i++)
		pgweir_row_float8(row, ms(Min(pgweir_histogram_quantile(s->hist, quantiles[i]), s->max_us)));
	pgweir_row_int8(row, s->counter[PGWEIR_PLANS]);
	pgweir_row_float8(row, (double) s->counter[PGWEIR_PLAN_NS] / 1e6);
	pgweir_row_int8(row, s->counter[PGWEIR_GENERIC_CALLS]);
	pgweir_row_int8(row, s->counter[PGWEIR_CUSTOM_CALLS]);
}

static void
put_usage(PgweirRow *row, const PgweirStatement *s)
{
	for (int i = PGWEIR_SHARED_HIT; i <= PGWEIR_TEMP_WRITTEN; i++)
		pgweir_row_int8(row, s->counter[i]);
	for (int i = PGWEIR_BLK_READ_NS; i <= PGWEIR_TEMP_WRITE_NS; i++)
		pgweir_row_float8(row, (double) s->counter[i] / 1e6);
	for (int i = PGWEIR_WAL_RECORDS; i <= PGWEIR_WAL_BYTES; i++)
		pgweir_row_int8(row, s->counter[i]);
	pgweir_row_int8(row, s->counter[PGWEIR_JIT_CALLS]);
	pgweir_row_int8(row, s->counter[PGWEIR_JIT_FUNCTIONS]);
	for (int i = PGWEIR_JIT_GENERATION_NS; i <= PGWEIR_JIT_EMISSION_NS; i++)
		pgweir_row_float8(row, (double) s->counter[i] / 1e6);
}

static void
put_failures(PgweirRow *row, const PgweirStatement *s)
{
	pgweir_row_int8(row, s->calls - s->failures);
	pgweir_row_float8(row, (double) (s->counter[PGWEIR_TOTAL_NS] - s->counter[PGWEIR_FAILED_NS]) / 1e6);
	pgweir_row_int8(row, s->failures);
	pgweir_row_float8(row, (double) s->counter[PGWEIR_FAILED_NS] / 1e6);
	for (int i = PGWEIR_CANCELLED; i <= PGWEIR_ERR_OTHER; i++)
	{
		pgweir_row_int8(row, s->counter[i]);
		pgweir_row_float8(row, (double) s->counter[pgweir_kind_ns(i)] / 1e6);
	}
}

/* The name of a table of this database; NULL when it is gone. */
static char *
relation_name(Oid oid)
{
	char	   *name = get_rel_name(oid);
	char	   *schema = name == NULL ? NULL : get_namespace_name(get_rel_namespace(oid));

	return schema == NULL ? NULL : quote_qualified_identifier(RelationIsVisible(oid) ? NULL : schema, name);
}

/* The tables' ids, and their names, which are known in their own database only. */
static void
put_relations(PgweirRow *row, const PgweirStatement *s)
{
	Datum		oids[PGWEIR_CLASS_RELATIONS];
	Datum		names[PGWEIR_CLASS_RELATIONS];
	int			n_names = 0;

	if (s->n_relations == 0)
	{
		pgweir_row_null(row);
		pgweir_row_null(row);
		return;
	}
	for (int i = 0; i < s->n_relations; i++)
	{
		char	   *name = s->dbid == MyDatabaseId ? relation_name(s->relation[i]) : NULL;

		oids[i] = ObjectIdGetDatum(s->relation[i]);
		if (name != NULL)
			names[n_names++] = CStringGetTextDatum(name);
	}
	pgweir_row_put(row, PointerGetDatum(construct_array(oids, s->n_relations, OIDOID, sizeof(Oid), true, TYPALIGN_INT)));
	if (n_names == 0)
		pgweir_row_null(row);
	else
		pgweir_row_put(row, PointerGetDatum(construct_array(names, n_names, TEXTOID, -1, false, TYPALIGN_INT)));
}

static int
compare_waits(const void *a, const void *b)
{
	const PgweirWait *left = a;
	const PgweirWait *right = b;

	return left->ns < right->ns ? 1 : left->ns > right->ns ? -1 : 0;
}

/* The events of most time, as "IO: DataFileRead 63%". */
static void
put_waits(PgweirRow *row, const PgweirStatement *s)
{
	PgweirWait	waits[PGWEIR_CLASS_WAITS];
	Datum		texts[TOP_WAITS];
	uint64		total = 0;
	int			n = 0;

	memcpy(waits, s->waits, sizeof(waits));
	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
		total += waits[i].ns;
	qsort(waits, PGWEIR_CLASS_WAITS, sizeof(waits[0]), compare_waits);
	for (; n < TOP_WAITS && waits[n].ns > 0; n++)
		texts[n] = CStringGetTextDatum(psprintf("%s: %s %.0f%%", pgweir_wait_type_name(waits[n].event),
												pgweir_wait_event_name(waits[n].event),
												100.0 * (double) waits[n].ns / (double) total));
	if (n == 0)
	{
		pgweir_row_null(row);
		pgweir_row_null(row);
		return;
	}
	pgweir_row_text(row, psprintf("%s: %s", pgweir_wait_type_name(waits[0].event), pgweir_wait_event_name(waits[0].event)));
	pgweir_row_put(row, PointerGetDatum(construct_array(texts, n, TEXTOID, -1, false, TYPALIGN_INT)));
}

static void
put_statement(const PgweirStatement *s, void *arg)
{
	Output	   *output = arg;
	PgweirRow	row;

	row.n = 0;
	put_identity(&row, s, output->with_text);
	put_times(&row, s);
	pgweir_row_int8(&row, s->rows);
	put_usage(&row, s);
	put_failures(&row, s);
	pgweir_row_int8(&row, s->recent_calls);
	pgweir_row_float8(&row, ms(s->recent_us));
	pgweir_row_time(&row, s->first_seen);
	pgweir_row_time(&row, s->last_seen);
	pgweir_row_put(&row, BoolGetDatum(s->text_truncated));
	put_waits(&row, s);
	put_relations(&row, s);
	pgweir_row_emit(&row, output->result);
}

/* pgweir.statements(with_text, since, until): see the script for the columns.  Null for an instant is the beginning or the end. */
Datum
pgweir_statements_1_0(PG_FUNCTION_ARGS)
{
	Output		output;

	pgweir_require_preload();
	if (compute_query_id == COMPUTE_QUERY_ID_OFF)
		ereport(WARNING,
				(errmsg("statements are not counted while compute_query_id is off"),
				 errhint("Set compute_query_id = auto.")));
	InitMaterializedSRF(fcinfo, 0);
	output.result = (ReturnSetInfo *) fcinfo->resultinfo;
	output.with_text = !PG_ARGISNULL(0) && PG_GETARG_BOOL(0);
	if (PG_ARGISNULL(1) && PG_ARGISNULL(2))
		pgweir_statements_visit(InvalidOid, put_statement, &output);
	else
		pgweir_statements_visit_between(InvalidOid, PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1),
										PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2), put_statement, &output);
	return (Datum) 0;
}
