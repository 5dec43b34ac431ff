/*
 * history.c: steps of what statement classes did.
 *
 * The sums of the step before are in the memory of the sampler alone.  When it is started anew they begin with what it
 * finds, so that the step under way is lost; after a reset of the table they begin at zero, as the table does.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "stores/history.h"
#include "stores/ring.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

typedef struct Shared
{
	pg_atomic_uint64 asked;		/* the step that somebody waits for */
	pg_atomic_uint64 taken;
	uint64		resets;			/* of the table, that the steps are from */
	TimestampTz until;			/* the end of the latest step */
	PgweirRing	ring;
} Shared;

/*
 * A record: this, then for each counter and bucket that is not zero its index and value, and for each event waited for its number, samples and
 * microseconds, all as numbers of variable length.
 */
typedef struct Record
{
	PgweirKey	key;
	TimestampTz from;
	TimestampTz until;			/* 0: a reset has voided it */
	TimestampTz last_seen;
	double		sum_squares;
	uint64		min_us;
	uint64		max_us;
	unsigned char packed[FLEXIBLE_ARRAY_MEMBER];
} Record;

/* An index and a value take up to 2 + 10 bytes, a wait 5 + 5 + 10; three ends. */
#define MAX_PACKED ((PGWEIR_NCOUNTERS + PGWEIR_BUCKETS) * 12 + PGWEIR_CLASS_WAITS * 20 + 3)

/* What a class had when the last step was taken. */
typedef struct Baseline
{
	PgweirKey	key;			/* the hash key */
	double		sum_squares;
	uint64		counter[PGWEIR_NCOUNTERS];
	uint64		hist[PGWEIR_BUCKETS];
	PgweirWait	waits[PGWEIR_CLASS_WAITS];
} Baseline;

static Shared *shared = NULL;
static LWLock *lock = NULL;

static struct
{
	MemoryContext context;
	HTAB	   *classes;
	uint64		resets;			/* of everything */
	uint64		all_resets;		/* those of a part, too */
	bool		started;
}			baseline;

Size
pgweir_history_size(void)
{
	return add_size(offsetof(Shared, ring), mul_size(pgweir_history_memory_kb, 1024));
}

int
pgweir_history_locks(void)
{
	return 1;
}

void
pgweir_history_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	shared = memory;
	lock = &locks->lock;
	if (!fresh)
		return;
	pg_atomic_init_u64(&shared->asked, 0);
	pg_atomic_init_u64(&shared->taken, 0);
	shared->resets = 0;
	shared->until = 0;
	pgweir_ring_init(&shared->ring, (Size) pgweir_history_memory_kb * 1024);
}

/* --- numbers of variable length: seven bits a byte, the lowest first --- */

static unsigned char *
pack(unsigned char *p, uint64 value)
{
	while (value >= 0x80)
	{
		*p++ = (unsigned char) (value | 0x80);
		value >>= 7;
	}
	*p++ = (unsigned char) value;
	return p;
}

static const unsigned char *
unpack(const unsigned char *p, uint64 *value)
{
	int			shift = 0;

	*value = 0;
	do
	{
		*value |= (uint64) (*p & 0x7F) << shift;
		shift += 7;
	} while (*p++ & 0x80);
	return p;
}

/* Pairs of index + 1 and value; a zero ends them. */
static unsigned char *
pack_array(unsigned char *p, const uint64 *values, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (values[i] > 0)
			p = pack(pack(p, (uint64) i + 1), values[i]);
	}
	return pack(p, 0);
}

static const unsigned char *
unpack_array(const unsigned char *p, uint64 *values, int n)
{
	uint64		index;

	memset(values, 0, n * sizeof(uint64));
	while (p = unpack(p, &index), index != 0)
		p = unpack(p, &values[Min(index - 1, (uint64) n - 1)]);
	return p;
}

/* Their samples, event and time; no samples end them. */
static unsigned char *
pack_waits(unsigned char *p, const PgweirWait *waits)
{
	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
	{
		if (waits[i].samples > 0)
			p = pack(pack(pack(p, waits[i].samples), waits[i].event), waits[i].ns / 1000);
	}
	return pack(p, 0);
}

static void
unpack_waits(const unsigned char *p, PgweirWait *waits)
{
	uint64		samples;

	memset(waits, 0, PGWEIR_CLASS_WAITS * sizeof(PgweirWait));
	for (int i = 0; i < PGWEIR_CLASS_WAITS && (p = unpack(p, &samples), samples > 0); i++)
	{
		uint64		event;
		uint64		us;

		p = unpack(unpack(p, &event), &us);
		waits[i] = (PgweirWait) {.event = (uint32) event, .samples = (uint32) samples, .ns = us * 1000};
	}
}

/* --- taking steps --- */

static void
start_baseline(uint64 resets)
{
	HASHCTL		ctl;

	if (baseline.context != NULL)
		MemoryContextDelete(baseline.context);
	baseline.context = AllocSetContextCreate(TopMemoryContext, "pgweir history", ALLOCSET_DEFAULT_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(PgweirKey);
	ctl.entrysize = sizeof(Baseline);
	ctl.hcxt = baseline.context;
	baseline.classes = hash_create("pgweir history", 1024, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	baseline.resets = resets;
}

static void
subtract(uint64 *values, uint64 *before, int n)
{
	for (int i = 0; i < n; i++)
	{
		uint64		now = values[i];

		values[i] = now >= before[i] ? now - before[i] : 0;
		before[i] = now;
	}
}

/* Events stand at no fixed places: a class's callers may come in another order. */
static void
subtract_waits(PgweirWait *waits, PgweirWait *before)
{
	PgweirWait	now[PGWEIR_CLASS_WAITS];

	memcpy(now, waits, sizeof(now));
	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
	{
		for (int j = 0; j < PGWEIR_CLASS_WAITS; j++)
		{
			if (before[j].samples == 0 || before[j].event != waits[i].event || before[j].samples > waits[i].samples)
				continue;
			waits[i].samples -= before[j].samples;
			waits[i].ns -= Min(before[j].ns, waits[i].ns);
			break;
		}
	}
	memcpy(before, now, sizeof(now));
}

/* Turns the sums of a class into what has come since the last step. */
static void
subtract_baseline(PgweirHistoryEntry *entry)
{
	bool		found;
	Baseline   *before = hash_search(baseline.classes, &entry->key, HASH_ENTER, &found);
	double		sum_squares = entry->sum_squares;

	/* A class that was evicted and came back began anew. */
	if (!found || before->counter[PGWEIR_CALLS] > entry->counter[PGWEIR_CALLS] ||
		before->counter[PGWEIR_PLANS] > entry->counter[PGWEIR_PLANS])
	{
		PgweirKey	key = entry->key;

		memset(before, 0, sizeof(*before));
		before->key = key;
	}
	subtract(entry->counter, before->counter, PGWEIR_NCOUNTERS);
	subtract(entry->hist, before->hist, PGWEIR_BUCKETS);
	subtract_waits(entry->waits, before->waits);
	entry->sum_squares = Max(sum_squares - before->sum_squares, 0);
	before->sum_squares = sum_squares;
}

static void
append(const PgweirHistoryEntry *entry)
{
	unsigned char packed[MAX_PACKED];
	unsigned char *end = pack_array(packed, entry->counter, PGWEIR_NCOUNTERS);
	Size		len;
	Record	   *record;

	end = pack_waits(pack_array(end, entry->hist, PGWEIR_BUCKETS), entry->waits);
	len = end - packed;
	record = pgweir_ring_append(&shared->ring, offsetof(Record, packed) + len);
	if (record == NULL)
		return;
	record->key = entry->key;
	record->from = entry->from;
	record->until = entry->until;
	record->last_seen = entry->last_seen;
	record->sum_squares = entry->sum_squares;
	record->min_us = entry->min_us;
	record->max_us = entry->max_us;
	memcpy(record->packed, packed, len);
}

/*
 * The extremes are of what was merged in the step, and of deltas: these may have begun before it.  So each is held against the histogram,
 * which is exact: what cannot be is replaced by the edge of the outermost bucket.
 */
static void
check_extremes(PgweirHistoryEntry *entry)
{
	int			low = 0;
	int			high = PGWEIR_BUCKETS - 1;

	while (low < high && entry->hist[low] == 0)
		low++;
	while (high > low && entry->hist[high] == 0)
		high--;
	if (entry->min_us < pgweir_histogram_lower(low) || entry->min_us > pgweir_histogram_upper(low))
		entry->min_us = pgweir_histogram_lower(low);
	if (high < PGWEIR_BUCKETS - 1 && (entry->max_us < pgweir_histogram_lower(high) || entry->max_us > pgweir_histogram_upper(high)))
		entry->max_us = pgweir_histogram_upper(high);
}

static uint64
waited(const PgweirWait *waits)
{
	uint64		samples = 0;

	for (int i = 0; i < PGWEIR_CLASS_WAITS; i++)
		samples += waits[i].samples;
	return samples;
}

typedef struct Step
{
	TimestampTz from;
	TimestampTz until;
	bool		quiet;			/* nothing is appended: there is no step before */
} Step;

static void
add_class(const PgweirKey *key, const PgweirStatement *sum, void *arg)
{
	const Step *step = arg;
	PgweirHistoryEntry entry;

	entry.key = *key;
	entry.from = step->from;
	entry.until = step->until;
	entry.last_seen = sum->last_seen;
	entry.sum_squares = sum->sum_squares;
	memcpy(entry.counter, sum->counter, sizeof(entry.counter));
	memcpy(entry.hist, sum->hist, sizeof(entry.hist));
	memcpy(entry.waits, sum->waits, sizeof(entry.waits));
	entry.min_us = sum->min_us;
	entry.max_us = sum->max_us;
	subtract_baseline(&entry);
	check_extremes(&entry);
	/* One that takes longer than a step waits without an end in it. */
	if (!step->quiet && entry.counter[PGWEIR_CALLS] + entry.counter[PGWEIR_PLANS] + waited(entry.waits) > 0)
		append(&entry);
}

/* A baseline of classes that were evicted would grow for ever: begin anew when it has become much larger than the table. */
static bool
is_overgrown(void)
{
	return hash_get_num_entries(baseline.classes) > 2L * pgweir_max_statements + 1000;
}

/* What a reset of a part has voided begins at zero again. */
static void
heed_resets(void)
{
	uint64		resets = pgweir_statements_resets();
	HASH_SEQ_STATUS seq;
	Baseline   *before;

	if (baseline.all_resets == resets)
		return;
	hash_seq_init(&seq, baseline.classes);
	while ((before = hash_seq_search(&seq)) != NULL)
	{
		if (pgweir_statements_voided(&before->key, baseline.all_resets))
			(void) hash_search(baseline.classes, &before->key, HASH_REMOVE, NULL);
	}
	baseline.all_resets = resets;
}

static void
take_step(TimestampTz now)
{
	uint64		resets = pgweir_statements_full_resets();
	Step		step = {.from = shared->until, .until = now};
	PgweirSums *sums;

	if (!baseline.started || baseline.resets != resets || is_overgrown())
	{
		step.quiet = !baseline.started || baseline.resets == resets;
		start_baseline(resets);
		baseline.started = true;
		baseline.all_resets = pgweir_statements_resets();
	}
	heed_resets();
	sums = pgweir_statements_sums();
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (shared->resets != resets)
	{
		pgweir_ring_clear(&shared->ring);
		shared->resets = resets;
		step.from = Max(step.from, pgweir_statements_since());
	}
	if (step.from == 0)
		step.from = now;
	pgweir_sums_visit(sums, add_class, &step);
	shared->until = now;
	LWLockRelease(lock);
}

void
pgweir_history_each_second(TimestampTz now)
{
	uint64		asked = pg_atomic_read_u64(&shared->asked);

	if (baseline.started && asked <= pg_atomic_read_u64(&shared->taken) &&
		now - shared->until < PGWEIR_HISTORY_STEP_S * USECS_PER_SEC - USECS_PER_SEC / 2)
		return;
	take_step(now);
	pg_atomic_write_u64(&shared->taken, asked);
}

/* --- for others --- */

uint64
pgweir_history_ask(void)
{
	return pg_atomic_add_fetch_u64(&shared->asked, 1);
}

bool
pgweir_history_taken(uint64 step)
{
	return pg_atomic_read_u64(&shared->taken) >= step;
}

void
pgweir_history_visit(TimestampTz since, TimestampTz until, PgweirHistoryVisitor visit, void *arg)
{
	const Record *record;
	uint64		at = 0;
	Size		len;

	LWLockAcquire(lock, LW_SHARED);
	while (shared->resets == pgweir_statements_full_resets() && (record = pgweir_ring_next(&shared->ring, &at, &len)) != NULL)
	{
		TimestampTz middle = record->from + (record->until - record->from) / 2;
		PgweirHistoryEntry entry;

		if (record->until == 0 || middle < since || middle >= until)
			continue;
		entry.key = record->key;
		entry.from = record->from;
		entry.until = record->until;
		entry.last_seen = record->last_seen;
		entry.sum_squares = record->sum_squares;
		entry.min_us = record->min_us;
		entry.max_us = record->max_us;
		unpack_waits(unpack_array(unpack_array(record->packed, entry.counter, PGWEIR_NCOUNTERS), entry.hist, PGWEIR_BUCKETS), entry.waits);
		visit(&entry, arg);
	}
	LWLockRelease(lock);
}

void
pgweir_history_reset(Oid userid, Oid dbid, int64 queryid)
{
	const Record *record;
	uint64		at = 0;
	Size		len;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	while ((record = pgweir_ring_next(&shared->ring, &at, &len)) != NULL)
	{
		if (pgweir_key_matches(&record->key, userid, dbid, queryid))
			unconstify(Record *, record)->until = 0;
	}
	LWLockRelease(lock);
}

TimestampTz
pgweir_history_begin(void)
{
	const Record *record;
	TimestampTz begin;
	uint64		at = 0;
	Size		len;

	LWLockAcquire(lock, LW_SHARED);
	record = pgweir_ring_next(&shared->ring, &at, &len);
	begin = record == NULL || shared->resets != pgweir_statements_full_resets() ? 0 : record->from;
	LWLockRelease(lock);
	return begin;
}
