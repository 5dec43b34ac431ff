/*
 * deltas.c: per-backend counts that await merging.
 *
 * Three counters guard a backend's set.  "change" is odd while somebody writes into the entries; a reader that sees it
 * move copies the entry again.  "flushes" is odd while the owner has counts on their way to the table, "taken" while the sampler has, and so they
 * tell a reader who has looked at both whether something was moved between the two looks.
 *
 * Writers are the owner and, now and then, the sampler; who writes has the set ("held").  The sampler has it for a copy only and takes no lock
 * meanwhile, so that an owner who finds it held waits for a moment and for nobody's lock.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "stores/backends.h"
#include "stores/deltas.h"
#include "stores/plans.h"
#include "stores/timeline.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define ENTRIES 48
#define YOUNG 8					/* the latest classes, of which one makes room for the next as long as none was executed again */
#define VICTIMS 4				/* one of them has to make room for a new class */
#define READ_TRIES 1000
#define HOLD_SPINS 1000
#define HOLD_NAP_US 100

typedef struct Entry
{
	PgweirKey	key;
	int64		plan_id;		/* by which the class is executed; 0: not known */
	uint64		plan_calls;		/* of the tally, that have been put down to a plan */
	uint64		plan_ns;
	PgweirTally tally;
} Entry;

typedef struct Set
{
	pg_atomic_uint32 held;		/* 1 while somebody writes */
	pg_atomic_uint32 change;	/* odd while somebody writes into entries */
	pg_atomic_uint32 flushes;	/* odd while the owner merges; only the owner writes it */
	pg_atomic_uint32 taken;		/* odd while the sampler merges; only the sampler writes it */
	pg_atomic_uint64 resets;	/* of the table, when the entries were started; if it moved on, they are void */
	int32		used;
	int32		unmerged;		/* entries with something in them */
	int32		merging;		/* the entry that is on its way, + 1: after a crash nobody knows how far it got */
	uint64		flushed_ns;		/* when the owner last merged all of them */
	uint64		interval_ns;	/* the owner's pgweir.flush_interval */
	Entry		entry[ENTRIES];
} Set;

typedef struct Shared
{
	pg_atomic_uint64 dropped;
	Set			set[FLEXIBLE_ARRAY_MEMBER];
} Shared;

static Shared *shared = NULL;
static Set *own = NULL;

/* What only the owner needs to know of its entries. */
static struct
{
	int64		queryid[ENTRIES];	/* compact, for the search */
	PgweirPlace place[ENTRIES]; /* in the table, where the class was seen with its text */
	bool		relations_known[ENTRIES];
	bool		executed[ENTRIES];
	bool		referenced[ENTRIES];	/* executed again since the clock came by */
	int8		young[YOUNG];	/* entries, as they were claimed */
	int			youngest;
	bool		instrument[ENTRIES];
	bool		plan_shown[ENTRIES];
	bool		plan_put_off[ENTRIES];
	uint64		usual_ns[ENTRIES];
	int16		pins[ENTRIES];
	int			instruments;	/* entries with instrument */
	int			latest;
	int			hand;
}			local;

Size
pgweir_deltas_size(void)
{
	return add_size(offsetof(Shared, set), mul_size(pgweir_max_backends(), sizeof(Set)));
}

void
pgweir_deltas_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	shared = memory;
	if (!fresh)
		return;
	pg_atomic_init_u64(&shared->dropped, 0);
	for (int i = 0; i < pgweir_max_backends(); i++)
	{
		Set		   *set = &shared->set[i];

		pg_atomic_init_u32(&set->held, 0);
		pg_atomic_init_u32(&set->change, 0);
		pg_atomic_init_u32(&set->flushes, 0);
		pg_atomic_init_u32(&set->taken, 0);
		pg_atomic_init_u64(&set->resets, 0);
		set->used = 0;
		set->unmerged = 0;
		set->merging = 0;
	}
}

static inline void
bump(pg_atomic_uint32 *counter)
{
	pg_atomic_write_u32(counter, pg_atomic_read_u32(counter) + 1);
}

static inline bool
try_hold(Set *set)
{
	uint32		expected = 0;

	return pg_atomic_compare_exchange_u32(&set->held, &expected, 1);
}

/* The owner's; not from within. */
static inline void
hold(void)
{
	for (int i = 0; unlikely(!try_hold(own)); i++)
	{
		/* The sampler was stopped in the middle of a copy. */
		if (i > HOLD_SPINS)
			pg_usleep(HOLD_NAP_US);
	}
}

static inline void
release(Set *set)
{
	pg_write_barrier();
	pg_atomic_write_u32(&set->held, 0);
}

/* The set is held. */
static inline void
begin_change(Set *set)
{
	bump(&set->change);
	pg_write_barrier();
}

static inline void
end_change(Set *set)
{
	pg_write_barrier();
	bump(&set->change);
}

static void
tally_clear(PgweirTally *tally)
{
	memset(tally, 0, sizeof(*tally));
	tally->usage.rare = true;
	tally->min_ns = PG_UINT64_MAX;
}

static inline bool
tally_empty(const PgweirTally *tally)
{
	return tally->last_seen == 0;
}

/* The set is held, and change is odd. */
static void
entry_clear(Set *set, Entry *entry)
{
	if (!tally_empty(&entry->tally))
		set->unmerged--;
	tally_clear(&entry->tally);
	entry->plan_calls = 0;
	entry->plan_ns = 0;
}

static inline uint64
flush_interval_ns(void)
{
	return (uint64) pgweir_flush_interval_ms * 1000000;
}

/* Runs after the transaction was aborted and its locks released, but while this process may still take locks. */
static void
leave(int code, Datum arg)
{
	pgweir_deltas_flush();
	pgweir_backend_leave();
	own = NULL;
}

bool
pgweir_deltas_own(void)
{
	int			index;

	if (likely(own != NULL))
		return true;
	index = PGWEIR_BACKEND_INDEX();
	if (shared == NULL || index < 0 || index >= pgweir_max_backends() || proc_exit_inprogress)
		return false;
	own = &shared->set[index];
	hold();
	begin_change(own);
	own->used = 0;
	own->unmerged = 0;
	own->merging = 0;
	own->flushed_ns = pgweir_clock_ns();
	own->interval_ns = flush_interval_ns();
	pg_atomic_write_u64(&own->resets, pgweir_statements_resets());
	end_change(own);
	release(own);
	on_shmem_exit(leave, (Datum) 0);
	return true;
}

/*
 * Puts what was executed since the last time down to the entry's plan.  Whoever calls has the set, or a copy of the entry.  Without wait,
 * false and nothing done when somebody has the lock.
 */
static bool
settle_plan(Entry *entry, bool wait)
{
	const PgweirTally *tally = &entry->tally;
	uint64		calls = tally->usage.counter[PGWEIR_CALLS];
	uint64		ns = tally->usage.counter[PGWEIR_TOTAL_NS];

	if (entry->plan_id != 0 && calls > entry->plan_calls && pgweir_plans_wanted() &&
		!pgweir_plan_add(&entry->key, entry->plan_id, calls - entry->plan_calls, ns - entry->plan_ns, tally->last_seen, wait))
		return false;
	entry->plan_calls = calls;
	entry->plan_ns = ns;
	return true;
}

/* Adds an entry's counts to all that is kept of them.  Without wait, false when somebody has a lock: then they are to be kept. */
static bool
distribute(Entry *entry, bool wait, uint64 *p99_ns)
{
	if (!settle_plan(entry, wait) || !pgweir_statements_merge(&entry->key, &entry->tally, wait, p99_ns))
		return false;
	if (entry->key.toplevel)
		pgweir_timeline_add_tally(&entry->tally);
	return true;
}

/* Moves an entry's counts to the table; false when that would take a wait which is not allowed.  The set is held. */
static bool
merge_entry(int i, bool wait)
{
	Entry	   *entry = &own->entry[i];
	bool		merged;

	if (tally_empty(&entry->tally))
		return true;
	own->merging = i + 1;
	pg_write_barrier();
	merged = distribute(entry, wait, &local.usual_ns[i]);
	if (merged)
	{
		begin_change(own);
		entry_clear(own, entry);
		end_change(own);
	}
	own->merging = 0;
	return merged;
}

static void
clear_void(void)
{
	uint64		before = pg_atomic_read_u64(&own->resets);
	uint64		resets = pgweir_statements_resets();

	hold();
	begin_change(own);
	for (int i = 0; i < own->used; i++)
	{
		if (!pgweir_statements_voided(&own->entry[i].key, before))
			continue;
		entry_clear(own, &own->entry[i]);
		local.plan_shown[i] = false;
		local.usual_ns[i] = 0;
	}
	pg_atomic_write_u64(&own->resets, resets);
	end_change(own);
	release(own);
}

/* After a reset of the table, what was counted before is void. */
static inline void
heed_reset(void)
{
	if (unlikely(pg_atomic_read_u64(&own->resets) != pgweir_statements_resets()))
		clear_void();
}

int
pgweir_delta_find(const PgweirKey *key)
{
	if (local.latest < own->used && local.queryid[local.latest] == key->queryid &&
		pgweir_key_equal(&own->entry[local.latest].key, key))
		return local.latest;
	for (int i = 0; i < own->used; i++)
	{
		if (local.queryid[i] == key->queryid && pgweir_key_equal(&own->entry[i].key, key))
			return i;
	}
	return -1;
}

/* The first entry that the clock finds, which is not pinned and was not executed again since it came by last; -1 if all are pinned. */
static int
pass_clock(void)
{
	for (int i = 0; i < 2 * ENTRIES; i++)
	{
		int			candidate = local.hand;

		local.hand = (local.hand + 1) % ENTRIES;
		if (local.pins[candidate] > 0)
			continue;
		if (!local.referenced[candidate])
			return candidate;
		local.referenced[candidate] = false;
	}
	return -1;
}

/*
 * The oldest of the young entries, if it has not been executed again: so statements that run but once drive one another out, and their counts go to
 * the table while it still has them in the caches.  Else the clock's choice.
 */
static int
choose_victim(void)
{
	int			oldest = local.young[(local.youngest + 1) % YOUNG];

	if (local.pins[oldest] == 0 && !local.referenced[oldest])
		return oldest;
	return pass_clock();
}

/* An entry that is not pinned, its counts merged; -1 without one.  Rather another one than wait for a lock.  The set is held. */
static int
vacate_entry(void)
{
	int			i = -1;
	bool		merged = false;

	bump(&own->flushes);
	pg_memory_barrier();
	for (int try = 1; try <= VICTIMS && !merged; try++)
	{
		i = try == 1 ? choose_victim() : pass_clock();
		if (i < 0)
			break;
		merged = merge_entry(i, try == VICTIMS);
	}
	pg_memory_barrier();
	bump(&own->flushes);
	return i;
}

static int
claim_entry(const PgweirKey *key)
{
	int			i;

	hold();
	i = own->used < ENTRIES ? own->used : vacate_entry();
	if (i < 0)
	{
		release(own);
		return -1;
	}
	local.youngest = (local.youngest + 1) % YOUNG;
	local.young[local.youngest] = i;
	local.executed[i] = false;
	local.referenced[i] = false;
	local.queryid[i] = key->queryid;
	local.place[i].tenant = 0;
	local.relations_known[i] = false;
	(void) pgweir_delta_take_instrument(i);
	local.plan_shown[i] = false;
	local.plan_put_off[i] = false;
	local.usual_ns[i] = 0;
	local.pins[i] = 0;
	begin_change(own);
	own->entry[i].key = *key;
	own->entry[i].plan_id = 0;
	own->entry[i].plan_calls = 0;
	own->entry[i].plan_ns = 0;
	tally_clear(&own->entry[i].tally);
	if (i == own->used)
		own->used++;
	end_change(own);
	release(own);
	return i;
}

int
pgweir_delta_open(const PgweirKey *key)
{
	int			i;

	heed_reset();
	i = pgweir_delta_find(key);
	if (i < 0)
		i = claim_entry(key);
	if (i >= 0)
	{
		local.referenced[i] |= local.executed[i];
		local.latest = i;
	}
	return i;
}

bool
pgweir_delta_text_known(int entry)
{
	return pgweir_statements_still_at(&local.place[entry]);
}

bool
pgweir_delta_look_up(int entry)
{
	local.relations_known[entry] = false;
	return pgweir_statements_look_up(&own->entry[entry].key, &local.place[entry], &local.usual_ns[entry]);
}

void
pgweir_delta_put_text(int entry, const char *text, int len)
{
	pgweir_statements_put_text(&own->entry[entry].key, text, len, &local.place[entry]);
}

bool
pgweir_delta_relations_known(int entry)
{
	return local.relations_known[entry] && pgweir_delta_text_known(entry);
}

void
pgweir_delta_put_relations(int entry, const Oid *relations, int n)
{
	local.relations_known[entry] = n == 0 || pgweir_statements_put_relations(&local.place[entry], relations, n);
}

const PgweirKey *
pgweir_delta_key(int entry)
{
	return &own->entry[entry].key;
}

int64
pgweir_delta_plan(int entry)
{
	return own->entry[entry].plan_id;
}

void
pgweir_delta_set_plan(int entry, int64 plan_id)
{
	if (own->entry[entry].plan_id == plan_id)
		return;
	hold();
	(void) settle_plan(&own->entry[entry], true);
	own->entry[entry].plan_id = plan_id;
	release(own);
	local.plan_shown[entry] = false;
	local.plan_put_off[entry] = false;
}

bool
pgweir_delta_plan_shown(int entry)
{
	return local.plan_shown[entry];
}

void
pgweir_delta_set_plan_shown(int entry)
{
	local.plan_shown[entry] = true;
}

bool
pgweir_delta_put_off_plan(int entry)
{
	bool		before = local.plan_put_off[entry];

	local.plan_put_off[entry] = true;
	return before;
}

uint64
pgweir_delta_usual_ns(int entry)
{
	return local.usual_ns[entry];
}

void
pgweir_delta_set_instrument(int entry)
{
	local.instruments += !local.instrument[entry];
	local.instrument[entry] = true;
}

bool
pgweir_deltas_any_instrument(void)
{
	return local.instruments > 0;
}

bool
pgweir_delta_take_instrument(int entry)
{
	bool		asked = local.instrument[entry];

	local.instruments -= asked;
	local.instrument[entry] = false;
	return asked;
}

void
pgweir_delta_pin(int entry)
{
	local.pins[entry]++;
}

void
pgweir_delta_unpin(int entry)
{
	local.pins[entry]--;
}

static inline void
note_seen(PgweirTally *tally, TimestampTz seen)
{
	own->unmerged += tally_empty(tally);
	tally->last_seen = Max(seen, 1);
}

void
pgweir_delta_add(int entry, const PgweirUsage *usage, uint64 ns, TimestampTz seen)
{
	PgweirTally *tally = &own->entry[entry].tally;
	uint64		us = ns / 1000;

	hold();
	begin_change(own);
	pgweir_usage_add(&tally->usage, usage);
	note_seen(tally, seen);
	tally->min_ns = Min(tally->min_ns, ns);
	tally->max_ns = Max(tally->max_ns, ns);
	tally->sum_squares += ((double) ns / 1000.0) * ((double) ns / 1000.0);
	tally->hist[pgweir_histogram_bucket(us)]++;
	local.executed[entry] = true;
	end_change(own);
	release(own);
}

void
pgweir_delta_add_plan(int entry, uint64 ns, TimestampTz seen)
{
	PgweirTally *tally = &own->entry[entry].tally;

	hold();
	begin_change(own);
	tally->usage.counter[PGWEIR_PLANS]++;
	tally->usage.counter[PGWEIR_PLAN_NS] += ns;
	note_seen(tally, seen);
	end_change(own);
	release(own);
}

void
pgweir_delta_drop(void)
{
	pg_atomic_fetch_add_u64(&shared->dropped, 1);
}

uint64
pgweir_deltas_dropped(void)
{
	return pg_atomic_read_u64(&shared->dropped);
}

uint64
pgweir_deltas_unmerged(void)
{
	uint64		sum = 0;

	for (int b = 0; b < pgweir_max_backends(); b++)
		sum += (uint64) Max(*(volatile int32 *) &shared->set[b].unmerged, 0);
	return sum;
}

/* Whether all are merged. */
static bool
flush(bool wait)
{
	bool		all = true;

	heed_reset();
	hold();
	bump(&own->flushes);
	pg_memory_barrier();
	for (int i = 0; i < own->used; i++)
		all = merge_entry(i, wait) && all;
	pgweir_timeline_flush_session();
	pg_memory_barrier();
	bump(&own->flushes);
	release(own);
	return all;
}

int
pgweir_deltas_flush(void)
{
	int			before;

	if (own == NULL)
		return 0;
	heed_reset();
	before = own->unmerged;
	(void) flush(true);
	return before;
}

/*
 * A busy backend merges a little early, so that the sampler need not.  This is on the way of a statement, which waits for nobody: what cannot be
 * merged at once is left for after the next one.
 */
void
pgweir_deltas_flush_if_due(uint64 now_ns)
{
	uint64		interval = flush_interval_ns();

	own->interval_ns = interval;
	if (now_ns - own->flushed_ns < interval - interval / 8)
		return;
	if (flush(false))
		own->flushed_ns = now_ns;
}

/* --- the sampler's part --- */

/* Takes the entries with something in them out of a set that is held.  What a reset has voided is gone. */
static int
take_entries(Set *set, Entry *taken)
{
	uint64		resets = pg_atomic_read_u64(&set->resets);
	int			n = 0;

	begin_change(set);
	for (int i = 0; i < set->used; i++)
	{
		Entry	   *entry = &set->entry[i];

		if (tally_empty(&entry->tally))
			continue;
		if (!pgweir_statements_voided(&entry->key, resets))
			taken[n++] = *entry;
		entry_clear(set, entry);
	}
	end_change(set);
	return n;
}

static void
merge_for(Set *set, Entry *taken)
{
	int			n;

	/* Its owner is at work: it may merge by itself. */
	if (!try_hold(set))
		return;
	bump(&set->taken);
	pg_memory_barrier();
	n = take_entries(set, taken);
	release(set);
	for (int i = 0; i < n; i++)
		(void) distribute(&taken[i], true, NULL);
	pg_memory_barrier();
	bump(&set->taken);
}

/* Figures of the owner are read without holding the set: a stale one leads to a look too early or too late. */
static bool
is_overdue(const volatile Set *set, uint64 now_ns)
{
	return set->unmerged > 0 && now_ns + PGWEIR_OVERDUE_LOOK_NS >= set->flushed_ns + set->interval_ns;
}

void
pgweir_deltas_merge_overdue(uint64 now_ns)
{
	static Entry *taken = NULL;

	if (taken == NULL)
		taken = MemoryContextAlloc(TopMemoryContext, ENTRIES * sizeof(Entry));
	for (int b = 0; b < pgweir_max_backends(); b++)
	{
		if (is_overdue(&shared->set[b], now_ns))
			merge_for(&shared->set[b], taken);
	}
}

/* An entry that was being written to has at most the one execution in part. */
void
pgweir_deltas_merge_left(void)
{
	for (int b = 0; b < pgweir_max_backends(); b++)
	{
		Set		   *set = &shared->set[b];
		uint64		resets = pg_atomic_read_u64(&set->resets);

		for (int i = 0; i < Min(set->used, ENTRIES); i++)
		{
			Entry	   *entry = &set->entry[i];

			if (!tally_empty(&entry->tally) && set->merging != i + 1 && !pgweir_statements_voided(&entry->key, resets))
				(void) distribute(entry, true, NULL);
		}
	}
}

/* --- reading --- */

/* A consistent copy of one entry; false if somebody would not stop writing, or the entry is unused. */
static bool
read_entry(Set *set, int i, Entry *copy)
{
	for (int try = 0; try < READ_TRIES; try++)
	{
		uint32		before = pg_atomic_read_u32(&set->change);
		bool		used;

		pg_read_barrier();
		used = i < set->used;
		if (used)
			memcpy(copy, &set->entry[i], sizeof(*copy));
		pg_read_barrier();
		if ((before & 1) == 0 && before == pg_atomic_read_u32(&set->change))
			return used && !tally_empty(&copy->tally);
	}
	return false;
}

void
pgweir_deltas_visit(PgweirDeltaVisitor visit, void *arg, PgweirDeltaStamp *stamps)
{
	Entry		copy;

	for (int b = 0; b < pgweir_max_backends(); b++)
	{
		Set		   *set = &shared->set[b];
		int			used = Min(set->used, ENTRIES);
		uint64		resets = pg_atomic_read_u64(&set->resets);

		stamps[b].flushes = pg_atomic_read_u32(&set->flushes);
		stamps[b].taken = pg_atomic_read_u32(&set->taken);
		pg_read_barrier();
		for (int i = 0; i < used; i++)
		{
			if (read_entry(set, i, &copy) && !pgweir_statements_voided(&copy.key, resets))
				visit(&copy.key, &copy.tally, arg);
		}
	}
}

bool
pgweir_deltas_unmoved(const PgweirDeltaStamp *stamps)
{
	pg_read_barrier();
	for (int b = 0; b < pgweir_max_backends(); b++)
	{
		Set		   *set = &shared->set[b];

		if ((stamps[b].flushes & 1) || stamps[b].flushes != pg_atomic_read_u32(&set->flushes) ||
			(stamps[b].taken & 1) || stamps[b].taken != pg_atomic_read_u32(&set->taken))
			return false;
	}
	return true;
}
