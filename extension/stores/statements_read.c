/*
 * statements_read.c: reading the statement table together with the deltas that are not merged into it.
 *
 * A count is either in a backend's delta or in the table, and moves from one to the other while we look.  So the deltas
 * are copied first, then the table; if a backend has moved counts in between, both are copied again.  After a
 * few vain tries (backends that see ever new statements move some all the time) the copy is taken as it is: a count
 * that moved is then there twice or not at all in this one reading.
 */
#include "postgres.h"

#include "compat.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "stores/deltas.h"
#include "stores/history.h"
#include "stores/statements_slots.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define TRIES 4

/* A class that is being put together. */
typedef struct Row
{
	PgweirKey	key;			/* the hash key */
	PgweirStatement sum;
	uint64		min_ns;
	uint64		max_ns;
	uint64		recent_ns;
	int			encoding;
	TimestampTz text_since;		/* first_seen of the slot that the text is from */
} Row;

typedef struct Reading
{
	Oid			dbid;
	bool		by_caller;		/* a row for each caller of a class */
	bool		without_text;
	TimestampTz since;			/* 0: all that was counted; else what the history has between these */
	TimestampTz until;
	HTAB	   *rows;
	uint64		step;			/* the first of the last minute */
} Reading;

static Row *
enter_row(Reading *reading, const PgweirKey *key)
{
	PgweirKey	wanted = *key;
	bool		found;
	Row		   *row;

	if (!reading->by_caller)
		wanted.caller = 0;
	row = hash_search(reading->rows, &wanted, HASH_ENTER, &found);

	if (!found)
	{
		memset(&row->sum, 0, sizeof(row->sum));
		row->min_ns = PG_UINT64_MAX;
		row->max_ns = 0;
		row->recent_ns = 0;
		row->sum.text = "";
		row->encoding = GetDatabaseEncoding();
	}
	return row;
}

static void
add_delta(const PgweirKey *key, const PgweirTally *tally, void *arg)
{
	Reading    *reading = arg;
	Row		   *row;

	if (OidIsValid(reading->dbid) && key->dbid != reading->dbid)
		return;
	row = enter_row(reading, key);
	for (int i = 0; i < PGWEIR_NCOUNTERS; i++)
		row->sum.counter[i] += tally->usage.counter[i];
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		row->sum.hist[i] += tally->hist[i];
	row->sum.sum_squares += tally->sum_squares;
	row->min_ns = Min(row->min_ns, tally->min_ns);
	row->max_ns = Max(row->max_ns, tally->max_ns);
	row->sum.last_seen = Max(row->sum.last_seen, tally->last_seen);
	if (row->sum.first_seen == 0 || tally->last_seen < row->sum.first_seen)
		row->sum.first_seen = tally->last_seen;
	if (pgweir_recent_step(tally->last_seen) >= reading->step)
	{
		row->sum.recent_calls += tally->usage.counter[PGWEIR_CALLS];
		row->recent_ns += tally->usage.counter[PGWEIR_TOTAL_NS];
	}
}

static void
add_slot(Reading *reading, PgweirSlot *slot)
{
	Row		   *row = enter_row(reading, &slot->key);
	uint64		bits = pg_atomic_read_u64(&slot->sum_squares);
	double		sum_squares;

	memcpy(&sum_squares, &bits, sizeof(sum_squares));
	for (int i = 0; i < PGWEIR_NCOUNTERS; i++)
		row->sum.counter[i] += pg_atomic_read_u64(&slot->counter[i]);
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		row->sum.hist[i] += pg_atomic_read_u64(&slot->hist[i]);
	for (int i = 0; i < PGWEIR_RECENTS; i++)
	{
		if (pg_atomic_read_u64(&slot->recent[i].step) < reading->step)
			continue;
		row->sum.recent_calls += pg_atomic_read_u64(&slot->recent[i].calls);
		row->recent_ns += pg_atomic_read_u64(&slot->recent[i].ns);
	}
	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
		pgweir_waits_merge(row->sum.waits, PGWEIR_CLASS_WAITS, &slot->waits[i]);
	row->sum.sum_squares += sum_squares;
	row->min_ns = Min(row->min_ns, pg_atomic_read_u64(&slot->min_ns));
	row->max_ns = Max(row->max_ns, pg_atomic_read_u64(&slot->max_ns));
	row->sum.last_seen = Max(row->sum.last_seen, (TimestampTz) pg_atomic_read_u64(&slot->last_seen));
	if (row->sum.first_seen == 0 || slot->first_seen < row->sum.first_seen)
		row->sum.first_seen = slot->first_seen;
	if (slot->n_relations > 0)
	{
		row->sum.n_relations = slot->n_relations;
		memcpy(row->sum.relation, slot->relation, sizeof(slot->relation));
	}
	/* Its texts differ by caller only: that of the first. */
	if (reading->without_text || slot->text_len == 0 || (row->sum.text_len > 0 && row->text_since <= slot->first_seen))
		return;
	row->text_since = slot->first_seen;
	row->sum.text = pnstrdup(slot->text, slot->text_len);
	row->sum.text_len = slot->text_len;
	row->sum.text_truncated = slot->text_truncated;
	row->encoding = slot->encoding;
}

static void
add_table(Reading *reading)
{
	for (int p = 0; p < pgweir_table->partitions; p++)
	{
		LWLock	   *lock = &pgweir_table_locks[p].lock;

		LWLockAcquire(lock, LW_SHARED);
		for (int i = 0; i < pgweir_table->slots; i++)
		{
			PgweirSlot *slot = pgweir_slot(p, i);

			if (slot->used && (!OidIsValid(reading->dbid) || slot->key.dbid == reading->dbid))
				add_slot(reading, slot);
		}
		LWLockRelease(lock);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
start_reading(Reading *reading, MemoryContext context)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(PgweirKey);
	ctl.entrysize = sizeof(Row);
	ctl.hcxt = context;
	reading->rows = hash_create("pgweir statements", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	reading->step = pgweir_recent_step(GetCurrentTimestamp()) - PGWEIR_RECENTS + 1;
}

/*
 * The text of another database in the encoding of this one, as far as it can be expressed in it: a view must not fail
 * over one statement's one character.
 */
static void
convert_text(Row *row)
{
	PgweirStatement *sum = &row->sum;
	Oid			conversion = FindDefaultConversionProc(row->encoding, GetDatabaseEncoding());
	int			size = sum->text_len * MAX_CONVERSION_GROWTH + 1;
	unsigned char *converted = palloc0(size);
	int			done = 0;

	if (OidIsValid(conversion))
		done = pg_do_encoding_conversion_buf(conversion, row->encoding, GetDatabaseEncoding(),
											 (unsigned char *) unconstify(char *, sum->text), sum->text_len,
											 converted, size, true);
	sum->text = (char *) converted;
	sum->text_truncated = sum->text_truncated || done < sum->text_len;
	sum->text_len = strlen(sum->text);
}

/* Bytes of no declared encoding: kept as far as they are text here. */
static void
cut_invalid_text(PgweirStatement *sum)
{
	int			valid = pg_encoding_verifymbstr(GetDatabaseEncoding(), sum->text, sum->text_len);

	if (valid < sum->text_len)
	{
		sum->text = pnstrdup(sum->text, valid);
		sum->text_len = valid;
		sum->text_truncated = true;
	}
}

static bool
needs_conversion(const Row *row)
{
	return row->encoding != GetDatabaseEncoding() && row->encoding != PG_SQL_ASCII &&
		GetDatabaseEncoding() != PG_SQL_ASCII && row->sum.text_len > 0;
}

static void
visit_row(Row *row, PgweirStatementVisitor visit, void *arg)
{
	PgweirStatement *sum = &row->sum;

	sum->userid = row->key.userid;
	sum->dbid = row->key.dbid;
	sum->queryid = row->key.queryid;
	sum->toplevel = row->key.toplevel != 0;
	sum->caller = row->key.caller;
	sum->calls = sum->counter[PGWEIR_CALLS];
	sum->failures = sum->counter[PGWEIR_FAILED];
	sum->rows = sum->counter[PGWEIR_ROWS];
	sum->total_us = sum->counter[PGWEIR_TOTAL_NS] / 1000;
	sum->recent_us = row->recent_ns / 1000;
	sum->min_us = sum->calls > 0 ? row->min_ns / 1000 : 0;
	sum->max_us = row->max_ns / 1000;
	if (needs_conversion(row))
		convert_text(row);
	else if (row->encoding != GetDatabaseEncoding())
		cut_invalid_text(sum);
	visit(sum, arg);
}

/* The classes' sums, in a memory context of their own below the current one. */
static MemoryContext
collect(Reading *reading)
{
	uint32	   *stamps;
	MemoryContext context;
	MemoryContext caller;

	pgweir_require_preload();
	pgweir_deltas_flush();
	stamps = palloc(pgweir_max_backends() * sizeof(uint32));
	context = AllocSetContextCreate(CurrentMemoryContext, "pgweir statements", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	for (int i = 0; i < TRIES; i++)
	{
		MemoryContextReset(context);
		start_reading(reading, context);
		pgweir_deltas_visit(add_delta, reading, stamps);
		add_table(reading);
		if (pgweir_deltas_unmoved(stamps))
			break;
	}
	MemoryContextSwitchTo(caller);
	pfree(stamps);
	return context;
}

static void
add_history(const PgweirHistoryEntry *entry, void *arg)
{
	Reading    *reading = arg;
	Row		   *row;

	if (OidIsValid(reading->dbid) && entry->key.dbid != reading->dbid)
		return;
	row = enter_row(reading, &entry->key);
	for (int i = 0; i < PGWEIR_NCOUNTERS; i++)
		row->sum.counter[i] += entry->counter[i];
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
	{
		if (entry->hist[i] == 0)
			continue;
		row->sum.hist[i] += entry->hist[i];
		row->min_ns = Min(row->min_ns, i == 0 ? 0 : 1000 * (pgweir_histogram_upper(i - 1) + 1));
		row->max_ns = Max(row->max_ns, 1000 * (pgweir_histogram_upper(i) + 1));
	}
	row->sum.sum_squares += entry->sum_squares;
	if (row->sum.first_seen == 0 || entry->from < row->sum.first_seen)
		row->sum.first_seen = entry->from;
	row->sum.last_seen = Max(row->sum.last_seen, entry->last_seen);
}

/* Replaces the sums of all time by those between two instants; what else is known of a class stays. */
static void
replace_by_history(Reading *reading)
{
	HASH_SEQ_STATUS seq;
	Row		   *row;

	hash_seq_init(&seq, reading->rows);
	while ((row = hash_seq_search(&seq)) != NULL)
	{
		memset(row->sum.counter, 0, sizeof(row->sum.counter));
		memset(row->sum.hist, 0, sizeof(row->sum.hist));
		memset(row->sum.waits, 0, sizeof(row->sum.waits));
		row->sum.sum_squares = 0;
		row->sum.first_seen = 0;
		row->sum.last_seen = 0;
		row->min_ns = PG_UINT64_MAX;
		row->max_ns = 0;
	}
	pgweir_history_visit(reading->since, reading->until, add_history, reading);
}

static void
visit_all(Reading reading, PgweirStatementVisitor visit, void *arg)
{
	MemoryContext context = collect(&reading);
	HASH_SEQ_STATUS seq;
	Row		   *row;

	if (reading.until != 0)
		replace_by_history(&reading);
	hash_seq_init(&seq, reading.rows);
	while ((row = hash_seq_search(&seq)) != NULL)
	{
		/* A class that was parsed but never planned nor run is none yet. */
		if (row->sum.counter[PGWEIR_CALLS] + row->sum.counter[PGWEIR_PLANS] > 0)
			visit_row(row, visit, arg);
	}
	MemoryContextDelete(context);
}

void
pgweir_statements_visit(Oid dbid, PgweirStatementVisitor visit, void *arg)
{
	visit_all((Reading) {.dbid = dbid}, visit, arg);
}

void
pgweir_statements_visit_between(Oid dbid, TimestampTz since, TimestampTz until, PgweirStatementVisitor visit, void *arg)
{
	visit_all((Reading) {.dbid = dbid, .since = since, .until = until}, visit, arg);
}

void
pgweir_statements_visit_callers(Oid dbid, PgweirStatementVisitor visit, void *arg)
{
	visit_all((Reading) {.dbid = dbid, .by_caller = true}, visit, arg);
}

struct PgweirSums
{
	Reading		reading;
	MemoryContext context;
};

PgweirSums *
pgweir_statements_sums(void)
{
	PgweirSums *sums = palloc0(sizeof(PgweirSums));

	sums->reading.without_text = true;
	sums->context = collect(&sums->reading);
	return sums;
}

void
pgweir_sums_visit(PgweirSums *sums, PgweirSumsVisitor visit, void *arg)
{
	HASH_SEQ_STATUS seq;
	Row		   *row;

	hash_seq_init(&seq, sums->reading.rows);
	while ((row = hash_seq_search(&seq)) != NULL)
		visit(&row->key, &row->sum, arg);
}
