/*
 * classes.c: the statement classes of the last minute that a diagnosis looks at, of thousands those that matter, and whether a statement is
 * housekeeping.
 *
 * pgweir.statements() would do, but a row of each class, its text taken apart by regular expressions, takes longer than all the rest.
 */
#include "postgres.h"

#include "stores/statements.h"
#include "views/rows.h"

PG_FUNCTION_INFO_V1(pgweir_is_housekeeping_1_0);
PG_FUNCTION_INFO_V1(pgweir_recent_classes_1_0);

/* Statements that begin so: maintenance, definitions, transaction control, settings, cursors. */
static const char *const housekeeping[] = {
	"abort", "alter", "analyze", "begin", "checkpoint", "close", "cluster", "commit", "copy", "create", "discard", "drop", "end",
	"explain", "fetch", "listen", "notify", "prepare transaction", "refresh", "reindex", "release", "reset", "rollback",
	"savepoint", "set", "show", "start", "vacuum"
};

static bool
is_word_byte(char c)
{
	return isalnum((unsigned char) c) || c == '_' || IS_HIGHBIT_SET(c);
}

/* Past blanks and comments. */
static const char *
skip_space(const char *text)
{
	while (*text != '\0')
	{
		const char *end;

		if (isspace((unsigned char) *text))
			text++;
		else if (strncmp(text, "/*", 2) == 0 && (end = strstr(text + 2, "*/")) != NULL)
			text = end + 2;
		else if (strncmp(text, "--", 2) == 0 && (end = strchr(text, '\n')) != NULL)
			text = end + 1;
		else
			break;
	}
	return text;
}

/* Whether it names something of the schema pgweir. */
static bool
is_our_own(const char *text)
{
	static const char schema[] = "pgweir.";

	for (const char *at = strstr(text, schema); at != NULL; at = strstr(at + 1, schema))
	{
		if (at == text || !is_word_byte(at[-1]))
			return true;
	}
	return false;
}

static bool
is_housekeeping(const char *text)
{
	const char *start = skip_space(text);

	for (int i = 0; i < (int) lengthof(housekeeping); i++)
	{
		size_t		len = strlen(housekeeping[i]);

		if (pg_strncasecmp(start, housekeeping[i], len) == 0 && !is_word_byte(start[len]))
			return true;
	}
	return is_our_own(text);
}

/* pgweir.is_housekeeping(query text) */
Datum
pgweir_is_housekeeping_1_0(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_housekeeping(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

typedef struct Output
{
	ReturnSetInfo *result;
	double		slow_us;
	double		seconds;		/* that the latest are of */
	uint64		total_us;		/* of all classes in those */
	List	   *kept;			/* PgweirStatement copies */
} Output;

static uint64
given_up(const PgweirStatement *s)
{
	return s->counter[PGWEIR_CANCELLED] + s->counter[PGWEIR_DEADLINE_MISSED] + s->counter[PGWEIR_STATEMENT_TIMEOUT];
}

static void
note_class(const PgweirStatement *s, void *arg)
{
	Output	   *output = arg;
	PgweirStatement *copy;

	if (!s->toplevel || s->recent_calls == 0 || is_housekeeping(s->text))
		return;
	output->total_us += s->latest_us;
	if (given_up(s) == 0 && (double) s->latest_us < output->slow_us * (double) Max(s->latest_calls, 1))
		return;
	copy = palloc(sizeof(PgweirStatement));
	*copy = *s;
	copy->text = pstrdup(s->text);
	output->kept = lappend(output->kept, copy);
}

static double
mean_ms(uint64 us, uint64 calls)
{
	return (double) us / 1000.0 / (double) calls;
}

static void
put_class(const PgweirStatement *s, const Output *output)
{
	PgweirRow	row;
	bool		readable = pgweir_may_read(s->userid);
	/* Before the last minute; what is younger than that is compared with its first seconds. */
	bool		is_old = s->calls > s->recent_calls;
	uint64		calls_before = s->calls - Min(s->calls, is_old ? s->recent_calls : s->latest_calls);
	uint64		us_before = s->total_us - Min(s->total_us, is_old ? s->recent_us : s->latest_us);
	uint64		calls = Max(s->calls, 1);

	row.n = 0;
	pgweir_row_put(&row, ObjectIdGetDatum(s->dbid));
	if (readable)
		pgweir_row_int8(&row, (uint64) s->queryid);
	else
		pgweir_row_null(&row);
	pgweir_row_text(&row, readable ? s->text : "<insufficient privilege>");
	pgweir_row_float8(&row, (double) s->recent_us / 1000.0);
	pgweir_row_float8(&row, output->seconds);
	pgweir_row_int8(&row, s->latest_calls);
	pgweir_row_float8(&row, (double) s->latest_us / 1000.0);
	pgweir_row_float8(&row, mean_ms(s->latest_us, Max(s->latest_calls, 1)));
	pgweir_row_float8(&row, (double) s->latest_us / (double) Max(output->total_us, 1));
	pgweir_row_int8(&row, calls_before);
	if (calls_before > 0)
		pgweir_row_float8(&row, mean_ms(us_before, calls_before));
	else
		pgweir_row_null(&row);
	pgweir_row_float8(&row, (double) Min(pgweir_histogram_quantile(s->hist, 0.50), s->max_us) / 1000.0);
	pgweir_row_float8(&row, (double) Min(pgweir_histogram_quantile(s->hist, 0.95), s->max_us) / 1000.0);
	pgweir_row_int8(&row, (s->counter[PGWEIR_SHARED_HIT] + s->counter[PGWEIR_SHARED_READ]) / calls);
	pgweir_row_int8(&row, s->rows / calls);
	pgweir_row_int8(&row, given_up(s));
	pgweir_row_float8(&row, (double) (s->counter[pgweir_kind_ns(PGWEIR_CANCELLED)] + s->counter[pgweir_kind_ns(PGWEIR_DEADLINE_MISSED)] +
									  s->counter[pgweir_kind_ns(PGWEIR_STATEMENT_TIMEOUT)]) / 1e6);
	pgweir_row_emit(&row, output->result);
}

/* pgweir.recent_classes(slow_ms float8): see the script for the columns. */
Datum
pgweir_recent_classes_1_0(PG_FUNCTION_ARGS)
{
	Output		output = {.slow_us = PG_GETARG_FLOAT8(0) * 1000.0, .result = pgweir_rows_start(fcinfo)};
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	output.seconds = (double) (now - pgweir_latest_since(now)) / 1e6;
	pgweir_statements_visit(InvalidOid, note_class, &output);
	foreach(cell, output.kept)
		put_class(lfirst(cell), &output);
	return (Datum) 0;
}
