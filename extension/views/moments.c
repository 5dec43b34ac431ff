/*
 * moments.c: the functions behind pgweir.pressure_history: moments, sums over a while, what is usual, since when.
 *
 * Sums and peaks only, nothing of a single session: for everybody.
 */
#include "postgres.h"

#include "stores/moments.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_pressure_moments_1_0);
PG_FUNCTION_INFO_V1(pgweir_pressure_sums_1_0);
PG_FUNCTION_INFO_V1(pgweir_pressure_usual_1_0);
PG_FUNCTION_INFO_V1(pgweir_pressure_since_1_0);

#define CHUNK_S 5				/* what is usual is found over pieces of so many seconds */

/* Of the places that are not a pool's. */
static const char *const scopes[PGWEIR_PLACE_FIRST] = {"server", "pools"};

static void
put_name(PgweirRow *row, bool is_pool, const char *name)
{
	if (!is_pool)
		pgweir_row_null(row);
	else
		pgweir_row_text(row, name);
}

/* pgweir.pressure_moments(minutes boolean, "from" timestamptz, "to" timestamptz) */
Datum
pgweir_pressure_moments_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirMomentCopy *copy = pgweir_moments_read(PG_GETARG_BOOL(0), PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2), 0);
	PgweirRow	row = {0};

	for (int i = 0; i < copy->n; i++)
	{
		const PgweirMoment *moment = &copy->moment[i];
		const PgweirMomentPlace *place = &copy->places[copy->place[i]];
		bool		is_pool = copy->place[i] >= PGWEIR_PLACE_FIRST;

		pgweir_row_time(&row, moment->second * USECS_PER_SEC);
		pgweir_row_text(&row, is_pool ? "pool" : scopes[copy->place[i]]);
		put_name(&row, is_pool, place->reporter);
		put_name(&row, is_pool, place->db);
		put_name(&row, is_pool, place->user);
		pgweir_row_int8(&row, moment->seconds);
		for (int s = 0; s < PGWEIR_HS_N; s++)
			pgweir_row_int8(&row, moment->value[s]);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}

/* The seconds from older_s to newer_s ago, of the server and of all pools together. */
static PgweirMomentCopy *
read_ago(int older_s, int newer_s)
{
	TimestampTz now = GetCurrentTimestamp();

	return pgweir_moments_read(false, now - older_s * USECS_PER_SEC, now - newer_s * USECS_PER_SEC + 1, PGWEIR_PLACE_FIRST);
}

/* pgweir.pressure_sums(older_s integer, newer_s integer): a row of the server and one of all pools together: peaks and sums. */
Datum
pgweir_pressure_sums_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirMomentCopy *copy = read_ago(PG_GETARG_INT32(0), PG_GETARG_INT32(1));
	uint64		sum[PGWEIR_PLACE_FIRST][PGWEIR_HS_N];
	uint64		seconds[PGWEIR_PLACE_FIRST] = {0, 0};
	PgweirRow	row = {0};

	memset(sum, 0, sizeof(sum));
	for (int i = 0; i < copy->n; i++)
	{
		const uint32 *value = copy->moment[i].value;
		uint64	   *of = sum[copy->place[i]];

		seconds[copy->place[i]]++;
		for (int s = 0; s < PGWEIR_HS_N; s++)
			of[s] = s < PGWEIR_HS_FIRST_SUM ? Max(of[s], value[s]) : of[s] + value[s];
	}
	for (int place = 0; place < PGWEIR_PLACE_FIRST; place++)
	{
		pgweir_row_text(&row, scopes[place]);
		pgweir_row_int8(&row, seconds[place]);
		for (int s = 0; s < PGWEIR_HS_N; s++)
			pgweir_row_int8(&row, sum[place][s]);
		pgweir_row_emit(&row, result);
	}
	return (Datum) 0;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* The value that the part q of the values lie below, nearest rank; null of none. */
static void
put_quantile(PgweirRow *row, double *values, int n, double q)
{
	if (n == 0)
	{
		pgweir_row_null(row);
		return;
	}
	qsort(values, n, sizeof(double), compare_doubles);
	pgweir_row_float8(row, values[Min(n - 1, (int) (q * n))]);
}

/* Sums of the server over a piece of CHUNK_S seconds, and what its pools did then. */
typedef struct Chunk
{
	int64		epoch;
	uint64		sum[PGWEIR_HS_N];
	uint32		seconds;
	uint64		pool_statements;
	uint32		pool_moments;
} Chunk;

static int
cut_into_chunks(const PgweirMomentCopy *copy, Chunk *chunks)
{
	int			n = 0;

	for (int i = 0; i < copy->n; i++)
	{
		const PgweirMoment *moment = &copy->moment[i];

		if (copy->place[i] == PGWEIR_PLACE_POOLS)
		{
			if (n > 0 && chunks[n - 1].epoch == moment->second / CHUNK_S)
			{
				chunks[n - 1].pool_statements += moment->value[PGWEIR_HS_STATEMENTS];
				chunks[n - 1].pool_moments++;
			}
			continue;
		}
		if (n == 0 || chunks[n - 1].epoch != moment->second / CHUNK_S)
			chunks[n++] = (Chunk) {.epoch = moment->second / CHUNK_S};
		chunks[n - 1].seconds++;
		for (int s = 0; s < PGWEIR_HS_N; s++)
			chunks[n - 1].sum[s] += moment->value[s];
	}
	return n;
}

/*
 * pgweir.pressure_usual(skip_s integer): what the last hour was like up to skip_s seconds ago: seconds known, statements a second
 * (tenth part and half of the pieces lie below), ms of thinking between two statements and round trip in ms (a quarter and half),
 * connections busy, errors a statement (half); statements a second by way of pools (a quarter and half).
 */
Datum
pgweir_pressure_usual_1_0(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = pgweir_rows_start(fcinfo);
	PgweirMomentCopy *copy = read_ago(PGWEIR_MOMENT_SECONDS, PG_GETARG_INT32(0));
	Chunk	   *chunks = palloc((PGWEIR_MOMENT_SECONDS / CHUNK_S + 2) * sizeof(Chunk));
	int			n = cut_into_chunks(copy, chunks);
	double	   *value[6];
	int			count[6] = {0, 0, 0, 0, 0, 0};
	uint64		seconds = 0;
	PgweirRow	row = {0};

	for (int i = 0; i < 6; i++)
		value[i] = palloc((n + 1) * sizeof(double));
	for (int i = 0; i < n; i++)
	{
		const uint64 *sum = chunks[i].sum;
		double		s = chunks[i].seconds;

		seconds += chunks[i].seconds;
		value[0][count[0]++] = sum[PGWEIR_HS_STATEMENTS] / s;
		if (sum[PGWEIR_HS_THINKS] > 0)
			value[1][count[1]++] = (double) sum[PGWEIR_HS_THINK_MS] / sum[PGWEIR_HS_THINKS];
		if (sum[PGWEIR_HS_RTT_US] > 0)
			value[2][count[2]++] = sum[PGWEIR_HS_RTT_US] / s / 1000.0;
		value[3][count[3]++] = sum[PGWEIR_HS_BUSY_MS] / s / 1000.0;
		value[4][count[4]++] = (double) sum[PGWEIR_HS_ERRORS] / Max(sum[PGWEIR_HS_STATEMENTS], 1);
		if (chunks[i].pool_moments > 0)
			value[5][count[5]++] = chunks[i].pool_statements / s;
	}
	pgweir_row_int8(&row, seconds);
	put_quantile(&row, value[0], count[0], 0.1);
	put_quantile(&row, value[0], count[0], 0.5);
	put_quantile(&row, value[1], count[1], 0.25);
	put_quantile(&row, value[1], count[1], 0.5);
	put_quantile(&row, value[2], count[2], 0.25);
	put_quantile(&row, value[2], count[2], 0.5);
	put_quantile(&row, value[3], count[3], 0.5);
	put_quantile(&row, value[4], count[4], 0.5);
	put_quantile(&row, value[5], count[5], 0.25);
	put_quantile(&row, value[5], count[5], 0.5);
	pgweir_row_emit(&row, result);
	return (Datum) 0;
}

static const char *const series_names[PGWEIR_HS_N] = {
	"size", "active", "idle", "in_transaction", "waiting", "opening", "maxwait_ms", "holder_ms", "longest_ms", "locked",
	"draining", "rtt_us", "failing_ms", "statements", "busy_ms", "errors", "cancelled", "missed", "refused", "gone",
	"connects", "connect_failures", "think_ms", "thinks", "wait_ms", "drain_ms", "xacts", "repeated", "cpu_short_ms"
};

static int
series_of(const char *name)
{
	for (int s = 0; s < PGWEIR_HS_N; s++)
	{
		if (strcmp(series_names[s], name) == 0)
			return s;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no column of pgweir.pressure_history that is counted", name)));
}

/*
 * pgweir.pressure_since(series text, at_least bigint, gap_s integer): the beginning of the episode that lasts until now: the first second
 * with at least so much, of the server or of any pool, after which no longer gap came without.  Null: there is none.
 */
Datum
pgweir_pressure_since_1_0(PG_FUNCTION_ARGS)
{
	int			series = series_of(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	int64		at_least = PG_GETARG_INT64(1);
	int			gap_s = PG_GETARG_INT32(2);
	PgweirMomentCopy *copy;
	int64		next = GetCurrentTimestamp() / USECS_PER_SEC;
	int64		since = 0;

	pgweir_require_preload();
	copy = read_ago(PGWEIR_MOMENT_SECONDS, 0);
	for (int i = copy->n - 1; i >= 0 && copy->moment[i].second >= next - gap_s; i--)
	{
		if ((int64) copy->moment[i].value[series] >= at_least)
			since = next = copy->moment[i].second;
	}
	if (since == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(since * USECS_PER_SEC);
}
