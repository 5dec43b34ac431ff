/*
 * statements.c: pgweir.statements(), the raw material of slow_queries and running_queries, and slow_queries_between().
 *
 * The rows are those of the view, names included, and come in its order, so that the view has nothing to join, compute or sort: with thousands
 * of classes that takes longer than reading them.  Names are looked up once for each thing that has one.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "stores/shared.h"
#include "stores/statements_table.h"
#include "utils/array.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "views/rows.h"

#define TOP_WAITS 3

/* Of a result, up to this much is kept in memory; and what a row takes at most, if texts are not long. */
#define MAX_RESULT_KB 65536
#define ROW_KB 2

PG_FUNCTION_INFO_V1(pgweir_statements_1_0);
PG_FUNCTION_INFO_V1(pgweir_slow_queries_between_1_0);

typedef enum ThingKind
{
	USER_NAME,
	DATABASE_NAME,
	RELATION_NAME
} ThingKind;

typedef struct ThingName
{
	struct Thing
	{
		Oid			oid;
		ThingKind	kind;
	}			of;				/* the hash key */
	Datum		value;			/* a name, or a text for a relation */
	bool		null;			/* it is gone */
} ThingName;

typedef struct Output
{
	ReturnSetInfo *result;
	PgweirForm *form;
	bool		with_text;
	bool		only_called;	/* not what was planned only */
	HTAB	   *names;
	MemoryContext context;		/* lives as long as the call */
	MemoryContext row_context;	/* emptied after each row */
} Output;

static double
ms(uint64 us)
{
	return (double) us / 1000.0;
}

/* As pg_get_userbyid() says it. */
static Datum
user_name(Oid oid)
{
	char	   *name = GetUserNameFromId(oid, true);
	NameData   *result = palloc(sizeof(NameData));

	namestrcpy(result, name != NULL ? name : psprintf("unknown (OID=%u)", oid));
	return NameGetDatum(result);
}

static Datum
database_name(Oid oid, bool *null)
{
	char	   *name = get_database_name(oid);
	NameData   *result = palloc0(sizeof(NameData));

	*null = name == NULL;
	if (name != NULL)
		namestrcpy(result, name);
	return NameGetDatum(result);
}

/* Of a table of this database. */
static Datum
relation_name(Oid oid, bool *null)
{
	char	   *name = get_rel_name(oid);
	char	   *schema = name == NULL ? NULL : get_namespace_name(get_rel_namespace(oid));

	*null = schema == NULL;
	return *null ? (Datum) 0 : CStringGetTextDatum(quote_qualified_identifier(RelationIsVisible(oid) ? NULL : schema, name));
}

static const ThingName *
name_of(Output *output, ThingKind kind, Oid oid)
{
	struct Thing of = {oid, kind};
	bool		found;
	ThingName  *name = hash_search(output->names, &of, HASH_ENTER, &found);
	MemoryContext caller;

	if (found)
		return name;
	name->null = true;
	caller = MemoryContextSwitchTo(output->context);
	switch (kind)
	{
		case USER_NAME:
			name->value = user_name(oid);
			name->null = false;
			break;
		case DATABASE_NAME:
			name->value = database_name(oid, &name->null);
			break;
		case RELATION_NAME:
			name->value = relation_name(oid, &name->null);
	}
	MemoryContextSwitchTo(caller);
	return name;
}

static void
put_name(PgweirRow *row, const ThingName *name)
{
	if (name->null)
		pgweir_row_null(row);
	else
		pgweir_row_put(row, name->value);
}

static void
put_identity(PgweirRow *row, const PgweirStatement *s, Output *output)
{
	bool		readable = pgweir_may_read(s->userid);

	pgweir_row_put(row, ObjectIdGetDatum(s->userid));
	put_name(row, name_of(output, USER_NAME, s->userid));
	put_name(row, name_of(output, DATABASE_NAME, s->dbid));
	if (readable)
		pgweir_row_int8(row, (uint64) s->queryid);
	else
		pgweir_row_null(row);
	pgweir_row_put(row, BoolGetDatum(s->toplevel));
	if (!output->with_text || (readable && s->text_len == 0))
		pgweir_row_null(row);
	else if (readable)
		pgweir_row_put(row, PointerGetDatum(cstring_to_text_with_len(s->text, s->text_len)));
	else
		pgweir_row_text(row, "<insufficient privilege>");
}

/* Of all executions, those that failed included. */
static void
put_times(PgweirRow *row, const PgweirStatement *s)
{
	double		n = Max((double) s->calls, 1);
	/* the sum of a span is the difference of two that were cut to whole microseconds, which a mean of few short ones would show */
	double		mean = Min(Max((double) s->total_us / n, (double) s->min_us), (double) s->max_us);
	double		variance = Max(s->sum_squares / n - mean * mean, 0);
	static const double quantiles[] = {0.50, 0.95, 0.99};
	uint64		us[lengthof(quantiles)];

	pgweir_row_int8(row, s->calls);
	pgweir_row_float8(row, (double) s->counter[PGWEIR_TOTAL_NS] / 1e6);
	pgweir_row_float8(row, mean / 1000.0);
	pgweir_row_float8(row, ms(s->min_us));
	pgweir_row_float8(row, ms(s->max_us));
	pgweir_row_float8(row, sqrt(variance) / 1000.0);
	pgweir_histogram_quantiles(s->hist, quantiles, lengthof(quantiles), us);
	for (int i = 0; i < (int) lengthof(quantiles); i++)
		pgweir_row_float8(row, ms(Min(us[i], s->max_us)));
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
put_failure(PgweirRow *row, uint64 n, uint64 ns)
{
	pgweir_row_int8(row, n);
	pgweir_row_float8(row, (double) ns / 1e6);
}

static void
put_failures(PgweirRow *row, const PgweirStatement *s)
{
	uint64		errors = 0;
	uint64		errors_ns = 0;

	put_failure(row, s->calls - s->failures, s->counter[PGWEIR_TOTAL_NS] - s->counter[PGWEIR_FAILED_NS]);
	put_failure(row, s->failures, s->counter[PGWEIR_FAILED_NS]);
	for (int i = PGWEIR_CANCELLED; i < PGWEIR_ERR_DATA; i++)
		put_failure(row, s->counter[i], s->counter[pgweir_kind_ns(i)]);
	for (int i = PGWEIR_ERR_DATA; i <= PGWEIR_ERR_OTHER; i++)
	{
		errors += s->counter[i];
		errors_ns += s->counter[pgweir_kind_ns(i)];
	}
	put_failure(row, errors, errors_ns);
	for (int i = PGWEIR_ERR_DATA; i <= PGWEIR_ERR_OTHER; i++)
		put_failure(row, s->counter[i], s->counter[pgweir_kind_ns(i)]);
}

/* The tables' ids, and their names, which are known in their own database only. */
static void
put_relations(PgweirRow *row, const PgweirStatement *s, Output *output)
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
		const ThingName *name = s->dbid == MyDatabaseId ? name_of(output, RELATION_NAME, s->relation[i]) : NULL;

		oids[i] = ObjectIdGetDatum(s->relation[i]);
		if (name != NULL && !name->null)
			names[n_names++] = name->value;
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

	if (s->waits[0].samples == 0 && s->waits[PGWEIR_CLASS_WAITS - 1].samples == 0)
	{
		pgweir_row_null(row);
		pgweir_row_null(row);
		return;
	}
	memcpy(waits, s->waits, sizeof(waits));
	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
		total += waits[i].ns;
	qsort(waits, PGWEIR_CLASS_WAITS, sizeof(waits[0]), compare_waits);
	for (; n < TOP_WAITS && waits[n].ns > 0; n++)
		texts[n] = CStringGetTextDatum(psprintf("%s: %s %.0f%%", pgweir_wait_type_name(waits[n].event),
												pgweir_wait_event_name(waits[n].event),
												100.0 * (double) waits[n].ns / (double) total));
	pgweir_row_text(row, psprintf("%s: %s", pgweir_wait_type_name(waits[0].event), pgweir_wait_event_name(waits[0].event)));
	pgweir_row_put(row, PointerGetDatum(construct_array(texts, n, TEXTOID, -1, false, TYPALIGN_INT)));
}

static void
put_statement(const PgweirStatement *s, void *arg)
{
	Output	   *output = arg;
	MemoryContext caller;
	PgweirRow	row;

	if (output->only_called && s->calls == 0)
		return;
	caller = MemoryContextSwitchTo(output->row_context);
	row.n = 0;
	put_identity(&row, s, output);
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
	put_relations(&row, s, output);
	pgweir_row_put(&row, ObjectIdGetDatum(s->dbid));
	pgweir_form_emit(output->form, &row, output->result);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(output->row_context);
}

static void
output_begin(Output *output, FunctionCallInfo fcinfo)
{
	PgweirTableInfo info;
	HASHCTL		ctl;

	pgweir_require_preload();
	if (compute_query_id == COMPUTE_QUERY_ID_OFF)
		ereport(WARNING,
				(errmsg("statements are not counted while compute_query_id is off"),
				 errhint("Set compute_query_id = auto.")));
	pgweir_statements_info(&info);
	output->result = pgweir_rows_begin(fcinfo, (int) Min(info.entries * ROW_KB, MAX_RESULT_KB));
	output->form = pgweir_form_create(output->result->setDesc);
	output->context = CurrentMemoryContext;
	output->row_context = AllocSetContextCreate(CurrentMemoryContext, "pgweir row", ALLOCSET_DEFAULT_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(struct Thing);
	ctl.entrysize = sizeof(ThingName);
	ctl.hcxt = CurrentMemoryContext;
	output->names = hash_create("pgweir names", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
put_between(FunctionCallInfo fcinfo, int first_arg, Output *output)
{
	TimestampTz since = PG_ARGISNULL(first_arg) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(first_arg);
	TimestampTz until = PG_ARGISNULL(first_arg + 1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(first_arg + 1);

	pgweir_statements_visit_between(InvalidOid, since, until, put_statement, output);
}

/*
 * pgweir.statements(with_text, since, until): see the script for the columns.  Null for an instant is the beginning or the end; when both are
 * null, all is told that was counted since the reset.
 */
Datum
pgweir_statements_1_0(PG_FUNCTION_ARGS)
{
	Output		output = {.with_text = !PG_ARGISNULL(0) && PG_GETARG_BOOL(0)};

	output_begin(&output, fcinfo);
	if (PG_ARGISNULL(1) && PG_ARGISNULL(2))
		pgweir_statements_visit(InvalidOid, put_statement, &output);
	else
		put_between(fcinfo, 1, &output);
	return (Datum) 0;
}

/* pgweir.slow_queries_between(since, until): all that the history has when both are null. */
Datum
pgweir_slow_queries_between_1_0(PG_FUNCTION_ARGS)
{
	Output		output = {.with_text = true, .only_called = true};

	output_begin(&output, fcinfo);
	put_between(fcinfo, 0, &output);
	return (Datum) 0;
}
