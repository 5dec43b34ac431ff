/*
 * expression_stats.c: samples what values an expression has.
 *
 * Two queries over the same sample of pages: one counts, one orders.  The number of distinct values in the whole table
 * is estimated as ANALYZE does it, after Haas and Stokes.
 */
#include "postgres.h"

#include "advisor/expression_stats.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_statistic.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "advisor/isolate.h"

/* Pages and rows looked at. */
#define SAMPLE_PAGES 300
#define SAMPLE_ROWS 20000
/* Common values and histogram bounds kept. */
#define COMMON_VALUES 20
#define BOUNDS 50

typedef struct Sampling
{
	Oid			relid;
	Node	   *expr;
	double		rows;			/* of the table */
	double		pages;
	MemoryContext result;
	HeapTuple	tuple;
	/* What the sample says. */
	double		sampled;
	double		nulls;
	double		width;
	double		distinct;
	double		once;			/* values that occur once */
	int			ncommon;
	Datum		common[COMMON_VALUES];
	float4		frequency[COMMON_VALUES];
	int			nbounds;
	Datum		bound[BOUNDS + 2];
} Sampling;

/* The sample as a query with one column, e. */
static char *
sample_query(const Sampling *sampling)
{
	char	   *expr = deparse_expression(sampling->expr,
										  deparse_context_for(get_rel_name(sampling->relid), sampling->relid), false, false);
	double		percent = Min(100.0, Max(0.0001, 100.0 * SAMPLE_PAGES / Max(sampling->pages, 1)));

	return psprintf("SELECT (%s) AS e FROM %s TABLESAMPLE SYSTEM (%.4f) REPEATABLE (1) LIMIT %d", expr,
					pgweir_table_name(sampling->relid), percent, SAMPLE_ROWS);
}

static double
float_column(int row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : DatumGetFloat8(value);
}

/* Copies a value of the expression's type into the result's context; false when it is null. */
static bool
value_column(const Sampling *sampling, int row, int column, Datum *value)
{
	bool		isnull;
	int16		len;
	bool		byval;
	MemoryContext old;

	if (SPI_gettypeid(SPI_tuptable->tupdesc, column) != exprType(sampling->expr))
		return false;
	*value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	if (isnull)
		return false;
	get_typlenbyval(exprType(sampling->expr), &len, &byval);
	old = MemoryContextSwitchTo(sampling->result);
	*value = datumCopy(*value, byval, len);
	MemoryContextSwitchTo(old);
	return true;
}

static void
count_values(Sampling *sampling, const char *sample)
{
	char	   *query = psprintf("WITH s AS MATERIALIZED (%s), g AS MATERIALIZED (SELECT e, count(*) AS c FROM s WHERE e IS NOT NULL GROUP BY e) "
								 "SELECT a.n::float8, a.nulls::float8, a.width::float8, b.distinct_values::float8, b.once::float8, m.c::float8, m.e "
								 "FROM (SELECT count(*) AS n, count(*) FILTER (WHERE e IS NULL) AS nulls, avg(pg_column_size(e)) AS width FROM s) AS a, "
								 "(SELECT count(*) AS distinct_values, count(*) FILTER (WHERE c = 1) AS once FROM g) AS b "
								 "LEFT JOIN (SELECT e, c FROM g WHERE c > 1 ORDER BY c DESC LIMIT %d) AS m ON true",
								 sample, COMMON_VALUES);
	uint64		i;

	if (SPI_execute(query, true, 0) != SPI_OK_SELECT || SPI_processed == 0)
		return;
	sampling->sampled = float_column(0, 1);
	sampling->nulls = float_column(0, 2);
	sampling->width = float_column(0, 3);
	sampling->distinct = float_column(0, 4);
	sampling->once = float_column(0, 5);
	for (i = 0; i < SPI_processed && sampling->ncommon < COMMON_VALUES; i++)
	{
		double		count = float_column(i, 6);

		/* As common as the average is not common. */
		if (count <= 1.25 * (sampling->sampled - sampling->nulls) / Max(sampling->distinct, 1) &&
			sampling->distinct > COMMON_VALUES)
			break;
		if (!value_column(sampling, i, 7, &sampling->common[sampling->ncommon]))
			break;
		sampling->frequency[sampling->ncommon++] = (float4) (count / sampling->sampled);
	}
}

static void
order_values(Sampling *sampling, const char *sample)
{
	char	   *query = psprintf("SELECT x.e FROM (SELECT s.e, row_number() OVER (ORDER BY s.e) - 1 AS r, count(*) OVER () AS n "
								 "FROM (%s) AS s WHERE s.e IS NOT NULL) AS x "
								 "WHERE x.r %% greatest(x.n / %d, 1) = 0 OR x.r = x.n - 1 ORDER BY x.r", sample, BOUNDS);
	uint64		i;

	if (sampling->distinct < 2 || SPI_execute(query, true, 0) != SPI_OK_SELECT)
		return;
	for (i = 0; i < SPI_processed && sampling->nbounds < (int) lengthof(sampling->bound); i++)
	{
		if (value_column(sampling, i, 1, &sampling->bound[sampling->nbounds]))
			sampling->nbounds++;
	}
}

/* The number of distinct values as pg_statistic has it: negative is a fraction of the rows. */
static double
estimate_distinct(const Sampling *sampling)
{
	double		n = sampling->sampled - sampling->nulls;
	double		rows = Max(sampling->rows, n) * (n / Max(sampling->sampled, 1));
	double		estimate;

	if (n <= 0)
		return 0;
	if (sampling->distinct >= n)
		return -1;
	if (sampling->once == 0)
		return sampling->distinct;
	estimate = n * sampling->distinct / (n - sampling->once + sampling->once * n / Max(rows, n));
	estimate = Max(sampling->distinct, Min(rows, estimate));
	return estimate > 0.1 * rows ? -estimate / rows : floor(estimate + 0.5);
}

static Datum
array_of(const Sampling *sampling, Datum *values, int n)
{
	Oid			type = exprType(sampling->expr);
	int16		len;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(construct_array(values, n, type, len, byval, align));
}

static HeapTuple
form_tuple(Sampling *sampling)
{
	Relation	statistics = table_open(StatisticRelationId, AccessShareLock);
	TypeCacheEntry *type = lookup_type_cache(exprType(sampling->expr), TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);
	Oid			collation = exprCollation(sampling->expr);
	Datum		values[Natts_pg_statistic] = {0};
	bool		nulls[Natts_pg_statistic] = {0};
	Datum		frequencies[COMMON_VALUES];
	HeapTuple	tuple;
	int			slot = 0;
	int			i;

	for (i = 0; i < STATISTIC_NUM_SLOTS; i++)
	{
		nulls[Anum_pg_statistic_stanumbers1 - 1 + i] = true;
		nulls[Anum_pg_statistic_stavalues1 - 1 + i] = true;
	}
	values[Anum_pg_statistic_starelid - 1] = ObjectIdGetDatum(sampling->relid);
	values[Anum_pg_statistic_stanullfrac - 1] = Float4GetDatum((float4) (sampling->nulls / sampling->sampled));
	values[Anum_pg_statistic_stawidth - 1] = Int32GetDatum((int32) ceil(Max(sampling->width, 1)));
	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum((float4) estimate_distinct(sampling));
	if (sampling->ncommon > 0 && OidIsValid(type->eq_opr))
	{
		for (i = 0; i < sampling->ncommon; i++)
			frequencies[i] = Float4GetDatum(sampling->frequency[i]);
		values[Anum_pg_statistic_stakind1 - 1] = Int16GetDatum(STATISTIC_KIND_MCV);
		values[Anum_pg_statistic_staop1 - 1] = ObjectIdGetDatum(type->eq_opr);
		values[Anum_pg_statistic_stacoll1 - 1] = ObjectIdGetDatum(collation);
		values[Anum_pg_statistic_stanumbers1 - 1] =
			PointerGetDatum(construct_array(frequencies, sampling->ncommon, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
		values[Anum_pg_statistic_stavalues1 - 1] = array_of(sampling, sampling->common, sampling->ncommon);
		nulls[Anum_pg_statistic_stanumbers1 - 1] = false;
		nulls[Anum_pg_statistic_stavalues1 - 1] = false;
		slot++;
	}
	if (sampling->nbounds > 1 && OidIsValid(type->lt_opr))
	{
		values[Anum_pg_statistic_stakind1 - 1 + slot] = Int16GetDatum(STATISTIC_KIND_HISTOGRAM);
		values[Anum_pg_statistic_staop1 - 1 + slot] = ObjectIdGetDatum(type->lt_opr);
		values[Anum_pg_statistic_stacoll1 - 1 + slot] = ObjectIdGetDatum(collation);
		values[Anum_pg_statistic_stavalues1 - 1 + slot] = array_of(sampling, sampling->bound, sampling->nbounds);
		nulls[Anum_pg_statistic_stavalues1 - 1 + slot] = false;
	}
	tuple = heap_form_tuple(RelationGetDescr(statistics), values, nulls);
	table_close(statistics, AccessShareLock);
	return tuple;
}

static void
sample_action(void *arg)
{
	Sampling   *sampling = arg;
	char	   *sample = sample_query(sampling);
	MemoryContext old;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	count_values(sampling, sample);
	if (sampling->sampled > 0)
		order_values(sampling, sample);
	SPI_finish();
	if (sampling->sampled == 0)
		return;
	old = MemoryContextSwitchTo(sampling->result);
	sampling->tuple = form_tuple(sampling);
	MemoryContextSwitchTo(old);
}

HeapTuple
pgweir_expression_stats(Oid relid, Node *expr, double rows, double pages)
{
	Sampling   *sampling = palloc0(sizeof(Sampling));
	Oid			owner = pgweir_table_owner(relid);

	sampling->relid = relid;
	sampling->expr = expr;
	sampling->rows = rows;
	sampling->pages = pages;
	sampling->result = CurrentMemoryContext;
	if (!OidIsValid(owner) || pgweir_isolated(owner, "pg_catalog", sample_action, sampling) != NULL)
		return NULL;
	return sampling->tuple;
}
