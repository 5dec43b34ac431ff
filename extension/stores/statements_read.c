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
#define READ_SLOTS 32			/* under one hold of a lock */

/* A class that is being put together. */
typedef struct Row
{
	PgweirKey	key;			/* the hash key */
	double		sum_squares;
	uint64		min_ns;
	uint64		max_ns;
	uint64		step_min_ns;	/* the same since the last pgweir_statements_sums() */
	uint64		step_max_ns;
	uint64		recent_calls;
	uint64		recent_ns;
	uint64		latest_calls;
	uint64		latest_ns;
	TimestampTz first_seen;
	TimestampTz last_seen;
	const char *text;
	TimestampTz text_since;		/* first_seen of the slot that the text is from */
	int			text_len;
	int			encoding;
	bool		text_truncated;
	int			n_relations;
	Oid			relation[PGWEIR_CLASS_RELATIONS];
	int			bucket;			/* the first one kept; those outside are empty */
	int			buckets;
	uint64	   *hist;
	PgweirWait	waits[PGWEIR_CLASS_WAITS];
	uint64		counter[PGWEIR_NCOUNTERS];
} Row;

typedef struct Reading
{
	Oid			dbid;
	bool		by_caller;		/* a row for each caller of a class */
	bool		without_text;
	TimestampTz since;			/* 0: all that was counted; else what the history has between these */
	TimestampTz until;
	MemoryContext context;		/* of what follows */
	HTAB	   *rows;
	Row		  **order;			/* all of them */
	int			n;
	int			room;
	uint64		step;			/* the first of the last minute */
	uint64		latest;			/* the first of the last seconds */
} Reading;

#define LATEST_S 3				/* less is too few to judge by */

TimestampTz
pgweir_latest_since(TimestampTz now)
{
	return (TimestampTz) pgweir_recent_step(now - LATEST_S * USECS_PER_SEC) * PGWEIR_RECENT_STEP_S * USECS_PER_SEC;
}

static Row *
enter_row(Reading *reading, const PgweirKey *key)
{
	PgweirKey	wanted = *key;
	bool		found;
	Row		   *row;

	if (!reading->by_caller)
		wanted.caller = 0;
	row = hash_search(reading->rows, &wanted, HASH_ENTER, &found);
	if (found)
		return row;
	memset((char *) row + sizeof(row->key), 0, sizeof(*row) - sizeof(row->key));
	row->min_ns = PG_UINT64_MAX;
	row->step_min_ns = PG_UINT64_MAX;
	row->text = "";
	row->encoding = GetDatabaseEncoding();
	if (reading->n == reading->room)
	{
		reading->room *= 2;
		reading->order = repalloc(reading->order, reading->room * sizeof(Row *));
	}
	reading->order[reading->n++] = row;
	return row;
}

/* Makes room for the buckets from low to high.  Few classes have more than some dozen of them. */
static uint64 *
cover_buckets(Reading *reading, Row *row, int low, int high)
{
	int			end = row->bucket + row->buckets;
	uint64	   *hist;

	if (row->buckets > 0 && low >= row->bucket && high < end)
		return row->hist;
	if (row->buckets > 0)
	{
		low = Min(low, row->bucket);
		high = Max(high, end - 1);
	}
	hist = MemoryContextAllocZero(reading->context, (high - low + 1) * sizeof(uint64));
	if (row->buckets > 0)
		memcpy(hist + (row->bucket - low), row->hist, row->buckets * sizeof(uint64));
	row->bucket = low;
	row->buckets = high - low + 1;
	return row->hist = hist;
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
		row->counter[i] += tally->usage.counter[i];
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
	{
		if (tally->hist[i] > 0)
			cover_buckets(reading, row, i, i)[i - row->bucket] += tally->hist[i];
	}
	row->sum_squares += tally->sum_squares;
	row->min_ns = Min(row->min_ns, tally->min_ns);
	row->max_ns = Max(row->max_ns, tally->max_ns);
	row->step_min_ns = Min(row->step_min_ns, tally->min_ns);
	row->step_max_ns = Max(row->step_max_ns, tally->max_ns);
	row->last_seen = Max(row->last_seen, tally->last_seen);
	if (row->first_seen == 0 || tally->last_seen < row->first_seen)
		row->first_seen = tally->last_seen;
	if (pgweir_recent_step(tally->last_seen) >= reading->step)
	{
		row->recent_calls += tally->usage.counter[PGWEIR_CALLS];
		row->recent_ns += tally->usage.counter[PGWEIR_TOTAL_NS];
	}
	if (pgweir_recent_step(tally->last_seen) >= reading->latest)
	{
		row->latest_calls += tally->usage.counter[PGWEIR_CALLS];
		row->latest_ns += tally->usage.counter[PGWEIR_TOTAL_NS];
	}
}

/* The least and the greatest time say between which buckets there is something. */
static void
add_times(Reading *reading, Row *row, PgweirSlot *slot)
{
	uint64		min_ns = pg_atomic_read_u64(&slot->min_ns);
	uint64		max_ns = pg_atomic_read_u64(&slot->max_ns);
	int			low;
	int			high;
	uint64	   *hist;

	if (min_ns > max_ns)
		return;
	low = pgweir_histogram_bucket(min_ns / 1000);
	high = pgweir_histogram_bucket(max_ns / 1000);
	hist = cover_buckets(reading, row, low, high) - row->bucket;
	for (int i = low; i <= high; i++)
		hist[i] += pg_atomic_read_u64(&slot->hist[i]);
	row->min_ns = Min(row->min_ns, min_ns);
	row->max_ns = Max(row->max_ns, max_ns);
}

static void
add_text(Reading *reading, Row *row, const PgweirSlot *slot)
{
	/* Its texts differ by caller only: that of the first. */
	if (reading->without_text || slot->text_len == 0 || (row->text_len > 0 && row->text_since <= slot->first_seen))
		return;
	row->text_since = slot->first_seen;
	row->text = pnstrdup(slot->text, slot->text_len);
	row->text_len = slot->text_len;
	row->text_truncated = slot->text_truncated;
	row->encoding = slot->encoding;
}

static void
add_slot(Reading *reading, PgweirSlot *slot)
{
	Row		   *row = enter_row(reading, &slot->key);
	uint64		bits = pg_atomic_read_u64(&slot->sum_squares);
	double		sum_squares;

	memcpy(&sum_squares, &bits, sizeof(sum_squares));
	for (int i = 0; i < PGWEIR_NCOUNTERS; i++)
		row->counter[i] += pg_atomic_read_u64(&slot->counter[i]);
	for (int i = 0; i < PGWEIR_RECENTS; i++)
	{
		uint64		step = pg_atomic_read_u64(&slot->recent[i].step);
		uint64		calls = pg_atomic_read_u64(&slot->recent[i].calls);
		uint64		ns = pg_atomic_read_u64(&slot->recent[i].ns);

		if (step < reading->step)
			continue;
		row->recent_calls += calls;
		row->recent_ns += ns;
		if (step < reading->latest)
			continue;
		row->latest_calls += calls;
		row->latest_ns += ns;
	}
	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
		pgweir_waits_merge(row->waits, PGWEIR_CLASS_WAITS, &slot->waits[i]);
	row->sum_squares += sum_squares;
	add_times(reading, row, slot);
	row->last_seen = Max(row->last_seen, (TimestampTz) pg_atomic_read_u64(&slot->last_seen));
	if (row->first_seen == 0 || slot->first_seen < row->first_seen)
		row->first_seen = slot->first_seen;
	if (slot->n_relations > 0)
	{
		row->n_relations = slot->n_relations;
		memcpy(row->relation, slot->relation, sizeof(slot->relation));
	}
	add_text(reading, row, slot);
}

/* Whoever has a new class waits for a reader; not for one who reads a whole partition. */
static inline void
breathe(LWLock *lock, int slots_read)
{
	if (slots_read % READ_SLOTS != 0)
		return;
	LWLockRelease(lock);
	LWLockAcquire(lock, LW_SHARED);
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

			breathe(lock, i + 1);
			if (pgweir_slot_used(p, i) && (!OidIsValid(reading->dbid) || slot->key.dbid == reading->dbid))
				add_slot(reading, slot);
		}
		LWLockRelease(lock);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
start_reading(Reading *reading, MemoryContext context)
{
	TimestampTz now = GetCurrentTimestamp();
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(PgweirKey);
	ctl.entrysize = sizeof(Row);
	ctl.hcxt = context;
	reading->context = context;
	reading->rows = hash_create("pgweir statements", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	reading->n = 0;
	reading->room = 1024;
	reading->order = palloc(reading->room * sizeof(Row *));
	reading->step = pgweir_recent_step(now) - PGWEIR_RECENTS + 1;
	reading->latest = pgweir_recent_step(pgweir_latest_since(now));
}

/*
 * The text of another database in the encoding of this one, as far as it can be expressed in it: a view must not fail
 * over one statement's one character.
 */
static void
convert_text(Row *row)
{
	Oid			conversion = FindDefaultConversionProc(row->encoding, GetDatabaseEncoding());
	int			size = row->text_len * MAX_CONVERSION_GROWTH + 1;
	unsigned char *converted = palloc0(size);
	int			done = 0;

	if (OidIsValid(conversion))
		done = pg_do_encoding_conversion_buf(conversion, row->encoding, GetDatabaseEncoding(),
											 (unsigned char *) unconstify(char *, row->text), row->text_len,
											 converted, size, true);
	row->text = (char *) converted;
	row->text_truncated = row->text_truncated || done < row->text_len;
	row->text_len = strlen(row->text);
}

/* Bytes of no declared encoding: kept as far as they are text here. */
static void
cut_invalid_text(Row *row)
{
	int			valid = pg_encoding_verifymbstr(GetDatabaseEncoding(), row->text, row->text_len);

	if (valid < row->text_len)
	{
		row->text = pnstrdup(row->text, valid);
		row->text_len = valid;
		row->text_truncated = true;
	}
}

static bool
needs_conversion(const Row *row)
{
	return row->encoding != GetDatabaseEncoding() && row->encoding != PG_SQL_ASCII &&
		GetDatabaseEncoding() != PG_SQL_ASCII && row->text_len > 0;
}

/* Fills all but the histogram, of which the row has a part: see put_histogram(). */
static void
fill(PgweirStatement *sum, const Row *row)
{
	sum->userid = row->key.userid;
	sum->dbid = row->key.dbid;
	sum->queryid = row->key.queryid;
	sum->toplevel = row->key.toplevel != 0;
	sum->caller = row->key.caller;
	sum->calls = row->counter[PGWEIR_CALLS];
	sum->failures = row->counter[PGWEIR_FAILED];
	sum->rows = row->counter[PGWEIR_ROWS];
	sum->total_us = row->counter[PGWEIR_TOTAL_NS] / 1000;
	sum->min_us = sum->calls > 0 ? row->min_ns / 1000 : 0;
	sum->max_us = row->max_ns / 1000;
	sum->sum_squares = row->sum_squares;
	sum->recent_calls = row->recent_calls;
	sum->recent_us = row->recent_ns / 1000;
	sum->latest_calls = row->latest_calls;
	sum->latest_us = row->latest_ns / 1000;
	sum->first_seen = row->first_seen;
	sum->last_seen = row->last_seen;
	memcpy(sum->counter, row->counter, sizeof(sum->counter));
	memcpy(sum->waits, row->waits, sizeof(sum->waits));
	sum->n_relations = row->n_relations;
	memcpy(sum->relation, row->relation, sizeof(sum->relation));
	sum->text = row->text;
	sum->text_len = row->text_len;
	sum->text_truncated = row->text_truncated;
}

static inline void
put_histogram(PgweirStatement *sum, const Row *row)
{
	if (row->buckets > 0)
		memcpy(sum->hist + row->bucket, row->hist, row->buckets * sizeof(uint64));
}

/* What was outside of a row's part of the histogram has been 0 all the time. */
static inline void
clear_histogram(PgweirStatement *sum, const Row *row)
{
	if (row->buckets > 0)
		memset(sum->hist + row->bucket, 0, row->buckets * sizeof(uint64));
}

/* sum is zeroed before the first row. */
static void
visit_row(Row *row, PgweirStatement *sum, PgweirStatementVisitor visit, void *arg)
{
	if (needs_conversion(row))
		convert_text(row);
	else if (row->encoding != GetDatabaseEncoding())
		cut_invalid_text(row);
	fill(sum, row);
	put_histogram(sum, row);
	visit(sum, arg);
	clear_histogram(sum, row);
}

/* The classes' sums, in a memory context of their own below the current one. */
static MemoryContext
collect(Reading *reading)
{
	PgweirDeltaStamp *stamps;
	MemoryContext context;
	MemoryContext caller;

	pgweir_require_preload();
	pgweir_deltas_flush();
	stamps = palloc(pgweir_max_backends() * sizeof(PgweirDeltaStamp));
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
		row->counter[i] += entry->counter[i];
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
	{
		if (entry->hist[i] > 0)
			cover_buckets(reading, row, i, i)[i - row->bucket] += entry->hist[i];
	}
	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
		pgweir_waits_merge(row->waits, PGWEIR_CLASS_WAITS, &entry->waits[i]);
	if (entry->counter[PGWEIR_CALLS] > 0)
	{
		row->min_ns = Min(row->min_ns, entry->min_us * 1000);
		row->max_ns = Max(row->max_ns, entry->max_us * 1000);
	}
	row->sum_squares += entry->sum_squares;
	if (row->first_seen == 0 || entry->from < row->first_seen)
		row->first_seen = entry->from;
	row->last_seen = Max(row->last_seen, entry->last_seen);
}

/* Replaces the sums of all time by those between two instants; what else is known of a class stays. */
static void
replace_by_history(Reading *reading)
{
	for (int i = 0; i < reading->n; i++)
	{
		Row		   *row = reading->order[i];

		memset(row->counter, 0, sizeof(row->counter));
		memset(row->waits, 0, sizeof(row->waits));
		row->buckets = 0;
		row->sum_squares = 0;
		row->first_seen = 0;
		row->last_seen = 0;
		row->min_ns = PG_UINT64_MAX;
		row->max_ns = 0;
	}
	pgweir_history_visit(reading->since, reading->until, add_history, reading);
}

/* The rows are large and lie apart: sorting looks at this only. */
typedef struct Ranked
{
	uint64		ns;
	Row		   *row;
} Ranked;

static int
compare_ranked(const void *a, const void *b)
{
	uint64		left = ((const Ranked *) a)->ns;
	uint64		right = ((const Ranked *) b)->ns;

	return left < right ? 1 : left > right ? -1 : 0;
}

/* The rows by the time they took, the most first. */
static Ranked *
rank_rows(const Reading *reading)
{
	Ranked	   *ranked = palloc(Max(reading->n, 1) * sizeof(Ranked));

	for (int i = 0; i < reading->n; i++)
		ranked[i] = (Ranked) {reading->order[i]->counter[PGWEIR_TOTAL_NS], reading->order[i]};
	qsort(ranked, reading->n, sizeof(Ranked), compare_ranked);
	return ranked;
}

static void
visit_all(Reading reading, PgweirStatementVisitor visit, void *arg)
{
	MemoryContext context = collect(&reading);
	PgweirStatement *sum = palloc0(sizeof(PgweirStatement));
	Ranked	   *ranked;

	if (reading.until != 0)
		replace_by_history(&reading);
	ranked = rank_rows(&reading);
	for (int i = 0; i < reading.n; i++)
	{
		Row		   *row = ranked[i].row;

		/* A class that was parsed but never planned nor run is none yet. */
		if (row->counter[PGWEIR_CALLS] + row->counter[PGWEIR_PLANS] > 0)
			visit_row(row, sum, visit, arg);
	}
	pfree(ranked);
	pfree(sum);
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

/* --- sums for the history --- */

struct PgweirSums
{
	Reading		reading;
};

/* The least and greatest times that were merged since the last step, and begins the next. */
static void
take_extremes(Reading *reading)
{
	for (int p = 0; p < pgweir_table->partitions; p++)
	{
		LWLock	   *lock = &pgweir_table_locks[p].lock;

		LWLockAcquire(lock, LW_SHARED);
		for (int i = 0; i < pgweir_table->slots; i++)
		{
			PgweirSlot *slot = pgweir_slot(p, i);
			uint64		min_ns;
			uint64		max_ns;
			Row		   *row;

			breathe(lock, i + 1);
			if (!pgweir_slot_used(p, i) || pg_atomic_read_u64(&slot->step_max_ns) == 0)
				continue;
			row = enter_row(reading, &slot->key);
			min_ns = pg_atomic_exchange_u64(&slot->step_min_ns, PG_UINT64_MAX);
			max_ns = pg_atomic_exchange_u64(&slot->step_max_ns, 0);
			row->step_min_ns = Min(row->step_min_ns, min_ns);
			row->step_max_ns = Max(row->step_max_ns, max_ns);
		}
		LWLockRelease(lock);
	}
}

PgweirSums *
pgweir_statements_sums(void)
{
	PgweirSums *sums = palloc0(sizeof(PgweirSums));
	MemoryContext caller;

	sums->reading.without_text = true;
	caller = MemoryContextSwitchTo(collect(&sums->reading));
	take_extremes(&sums->reading);
	MemoryContextSwitchTo(caller);
	return sums;
}

void
pgweir_sums_visit(PgweirSums *sums, PgweirSumsVisitor visit, void *arg)
{
	PgweirStatement *sum = palloc0(sizeof(PgweirStatement));

	for (int i = 0; i < sums->reading.n; i++)
	{
		Row		   *row = sums->reading.order[i];

		fill(sum, row);
		put_histogram(sum, row);
		sum->min_us = row->step_min_ns / 1000;
		sum->max_us = row->step_max_ns / 1000;
		visit(&row->key, sum, arg);
		clear_histogram(sum, row);
	}
	pfree(sum);
}
