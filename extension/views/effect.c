/*
 * effect.c: what the script needs to tell whether statements got faster: their times as histograms, and a rank test on two.
 *
 * Times of executions are anything but normal, so means are compared by nobody here: the test asks how often an
 * execution of the one kind takes less than one of the other.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "compat.h"
#include "stores/shared.h"
#include "stores/statements.h"
#include "utils/array.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_statement_times_1_0);
PG_FUNCTION_INFO_V1(pgweir_rank_test_1_0);
PG_FUNCTION_INFO_V1(pgweir_quantile_1_0);

/* A statement's counts, all its users together. */
typedef struct Times
{
	int64		queryid;		/* the hash key */
	bool		own;			/* speaks of schema pgweir: what asks us is no workload */
	uint64		calls;
	uint64		total_us;
	uint64		recent_us;
	uint64		hist[PGWEIR_BUCKETS];
} Times;

static void
add_times(const PgweirStatement *s, void *arg)
{
	bool		found;
	Times	   *times = hash_search((HTAB *) arg, &s->queryid, HASH_ENTER, &found);

	if (!found)
	{
		memset(times, 0, sizeof(*times));
		times->queryid = s->queryid;
	}
	times->own |= strcasestr(s->text, "pgweir.") != NULL;
	times->calls += s->calls;
	times->total_us += s->total_us;
	times->recent_us += s->recent_us;
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		times->hist[i] += s->hist[i];
}

/* The histogram without its empty end. */
static Datum
hist_array(const uint64 *hist)
{
	Datum		items[PGWEIR_BUCKETS];
	int			n = PGWEIR_BUCKETS;

	while (n > 0 && hist[n - 1] == 0)
		n--;
	for (int i = 0; i < n; i++)
		items[i] = Int64GetDatum((int64) hist[i]);
	return PointerGetDatum(construct_array(items, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* pgweir.statement_times(with_hist boolean): a row for each statement of this database. */
Datum
pgweir_statement_times_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	bool		with_hist = PG_GETARG_BOOL(0);
	HASHCTL		ctl;
	HTAB	   *table;
	HASH_SEQ_STATUS seq;
	Times	   *times;
	PgweirRow	row = {0};

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(Times);
	ctl.hcxt = CurrentMemoryContext;
	table = hash_create("pgweir statement times", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	pgweir_statements_visit(MyDatabaseId, add_times, table);
	hash_seq_init(&seq, table);
	while ((times = hash_seq_search(&seq)) != NULL)
	{
		pgweir_row_int8(&row, (uint64) times->queryid);
		pgweir_row_put(&row, BoolGetDatum(times->own));
		pgweir_row_int8(&row, times->calls);
		pgweir_row_float8(&row, (double) times->total_us / 1000.0);
		pgweir_row_float8(&row, (double) times->recent_us / 1000.0);
		if (with_hist)
			pgweir_row_put(&row, hist_array(times->hist));
		else
			pgweir_row_null(&row);
		pgweir_row_emit(&row, result);
	}
	hash_destroy(table);
	return (Datum) 0;
}

/* The counts of an array; what is missing, null or negative counts as nothing. */
static void
read_hist(ArrayType *array, uint64 *hist)
{
	Datum	   *items;
	bool	   *nulls;
	int			n;

	memset(hist, 0, sizeof(uint64) * PGWEIR_BUCKETS);
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items, &nulls, &n);
	for (int i = 0; i < Min(n, PGWEIR_BUCKETS); i++)
		hist[i] = nulls[i] ? 0 : (uint64) Max(DatumGetInt64(items[i]), 0);
}

/*
 * pgweir.rank_test(before int8[], after int8[]): the rank test of Mann, Whitney and Wilcoxon on two histograms, with
 * the normal approximation and the correction for ties.  faster is the chance that an execution after takes less time than
 * one before, equal ones counted half; p the chance to see a difference as large when there is none, from both sides.
 */
Datum
pgweir_rank_test_1_0(PG_FUNCTION_ARGS)
{
	uint64		a[PGWEIR_BUCKETS];
	uint64		b[PGWEIR_BUCKETS];
	double		na = 0;
	double		nb = 0;
	double		u = 0;
	double		ties = 0;
	double		n;
	double		variance;
	PgweirRow	row = {0};

	read_hist(PG_GETARG_ARRAYTYPE_P(0), a);
	read_hist(PG_GETARG_ARRAYTYPE_P(1), b);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
	{
		double		both = (double) a[i] + (double) b[i];

		/* Pairs in which the one before lies in this bucket and the one after below it, or beside it. */
		u += (double) a[i] * (nb + (double) b[i] / 2);
		na += (double) a[i];
		nb += (double) b[i];
		ties += both * both * both - both;
	}
	n = na + nb;
	if (na == 0 || nb == 0)
		return (Datum) 0;
	variance = na * nb / 12 * (n + 1 - ties / (n * (n - 1)));
	pgweir_row_float8(&row, variance > 0 ? erfc(fabs(u - na * nb / 2) / sqrt(variance) / sqrt(2.0)) : 1);
	pgweir_row_float8(&row, u / (na * nb));
	pgweir_row_emit(&row, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

/* pgweir.quantile(hist int8[], p float8): in milliseconds; null of nothing. */
Datum
pgweir_quantile_1_0(PG_FUNCTION_ARGS)
{
	uint64		hist[PGWEIR_BUCKETS];
	uint64		sum = 0;

	read_hist(PG_GETARG_ARRAYTYPE_P(0), hist);
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		sum += hist[i];
	if (sum == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8((double) pgweir_histogram_quantile(hist, PG_GETARG_FLOAT8(1)) / 1000.0);
}
