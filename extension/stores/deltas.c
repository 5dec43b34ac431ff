/*
 * deltas.c: per-backend counts that await merging.
 *
 * Two counters guard a backend's set.  "change" is odd while the owner writes into the entries; a reader that sees it
 * move copies the entry again.  "flushes" is odd while counts are on their way to the table, and so tells a
 * reader who has looked at both whether something was moved between the two looks.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "stores/backends.h"
#include "stores/deltas.h"
#include "stores/plans.h"
#include "stores/timeline.h"
#include "utils/timestamp.h"

#define ENTRIES 48
#define READ_TRIES 1000

typedef struct Entry
{
	PgweirKey	key;
	PgweirTally tally;
} Entry;

typedef struct Set
{
	pg_atomic_uint32 change;	/* odd while the owner writes */
	pg_atomic_uint32 flushes;	/* odd while entries are being merged */
	pg_atomic_uint64 resets;	/* of the table, when the entries were started; if it moved on, they are void */
	int32		used;
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
	int			partition[ENTRIES]; /* of the table, that the class belongs to */
	uint64		generation[ENTRIES];	/* of that partition when the text was seen there */
	bool		text_known[ENTRIES];
	bool		relations_known[ENTRIES];
	bool		referenced[ENTRIES];
	bool		instrument[ENTRIES];
	bool		plan_shown[ENTRIES];
	int64		plan_id[ENTRIES];
	uint64		plan_calls[ENTRIES];	/* of the tally, when the plan was set */
	uint64		plan_ns[ENTRIES];
	uint64		usual_ns[ENTRIES];
	int16		pins[ENTRIES];
	int			latest;
	int			hand;
	uint64		flushed_ns;
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
		pg_atomic_init_u32(&shared->set[i].change, 0);
		pg_atomic_init_u32(&shared->set[i].flushes, 0);
		pg_atomic_init_u64(&shared->set[i].resets, 0);
		shared->set[i].used = 0;
	}
}

static inline void
bump(pg_atomic_uint32 *counter)
{
	pg_atomic_write_u32(counter, pg_atomic_read_u32(counter) + 1);
}

static inline void
begin_change(void)
{
	bump(&own->change);
	pg_write_barrier();
}

static inline void
end_change(void)
{
	pg_write_barrier();
	bump(&own->change);
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
	begin_change();
	own->used = 0;
	pg_atomic_write_u64(&own->resets, pgweir_statements_resets());
	end_change();
	on_shmem_exit(leave, (Datum) 0);
	return true;
}

/* Puts what was executed since the last time down to the entry's plan. */
static void
settle_plan(int i)
{
	const PgweirTally *tally = &own->entry[i].tally;
	uint64		calls = tally->usage.counter[PGWEIR_CALLS];
	uint64		ns = tally->usage.counter[PGWEIR_TOTAL_NS];

	if (local.plan_id[i] != 0 && calls > local.plan_calls[i] && pgweir_plans_wanted())
		pgweir_plan_add(&own->entry[i].key, local.plan_id[i], calls - local.plan_calls[i], ns - local.plan_ns[i], tally->last_seen);
	local.plan_calls[i] = calls;
	local.plan_ns[i] = ns;
}

/* Moves an entry's counts to the table. */
static void
merge_entry(int i)
{
	Entry	   *entry = &own->entry[i];

	if (tally_empty(&entry->tally))
		return;
	settle_plan(i);
	if (entry->key.toplevel)
		pgweir_timeline_add_tally(&entry->tally);
	pgweir_statements_merge(&entry->key, &entry->tally);
	begin_change();
	tally_clear(&entry->tally);
	end_change();
	local.plan_calls[i] = 0;
	local.plan_ns[i] = 0;
	local.usual_ns[i] = pgweir_statements_p99_ns(&entry->key);
}

/* After a reset of the table, what was counted before is void. */
static void
heed_reset(void)
{
	uint64		resets = pgweir_statements_resets();

	if (likely(pg_atomic_read_u64(&own->resets) == resets))
		return;
	begin_change();
	for (int i = 0; i < own->used; i++)
	{
		if (!pgweir_statements_voided(&own->entry[i].key, pg_atomic_read_u64(&own->resets)))
			continue;
		tally_clear(&own->entry[i].tally);
		local.plan_calls[i] = 0;
		local.plan_ns[i] = 0;
		local.plan_shown[i] = false;
		local.usual_ns[i] = 0;
	}
	pg_atomic_write_u64(&own->resets, resets);
	end_change();
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

static int
choose_victim(void)
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

static int
claim_entry(const PgweirKey *key)
{
	int			i;

	if (own->used < ENTRIES)
		i = own->used;
	else
	{
		i = choose_victim();
		if (i < 0)
			return -1;
		bump(&own->flushes);
		pg_memory_barrier();
		merge_entry(i);
		pg_memory_barrier();
		bump(&own->flushes);
	}
	local.queryid[i] = key->queryid;
	local.partition[i] = pgweir_statements_partition(key);
	local.text_known[i] = false;
	local.relations_known[i] = false;
	local.instrument[i] = false;
	local.plan_shown[i] = false;
	local.plan_id[i] = 0;
	local.plan_calls[i] = 0;
	local.plan_ns[i] = 0;
	local.usual_ns[i] = pgweir_statements_p99_ns(key);
	local.pins[i] = 0;
	begin_change();
	own->entry[i].key = *key;
	tally_clear(&own->entry[i].tally);
	if (i == own->used)
		own->used++;
	end_change();
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
		local.referenced[i] = true;
		local.latest = i;
	}
	return i;
}

bool
pgweir_delta_text_known(int entry)
{
	return local.text_known[entry] &&
		local.generation[entry] == pgweir_statements_generation(local.partition[entry]);
}

bool
pgweir_delta_relations_known(int entry)
{
	return local.relations_known[entry] && pgweir_delta_text_known(entry);
}

void
pgweir_delta_set_relations_known(int entry)
{
	local.relations_known[entry] = true;
}

void
pgweir_delta_set_text_known(int entry)
{
	local.relations_known[entry] = false;
	local.text_known[entry] = true;
	local.generation[entry] = pgweir_statements_generation(local.partition[entry]);
}

const PgweirKey *
pgweir_delta_key(int entry)
{
	return &own->entry[entry].key;
}

int64
pgweir_delta_plan(int entry)
{
	return local.plan_id[entry];
}

void
pgweir_delta_set_plan(int entry, int64 plan_id)
{
	if (local.plan_id[entry] == plan_id)
		return;
	settle_plan(entry);
	local.plan_id[entry] = plan_id;
	local.plan_shown[entry] = false;
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

uint64
pgweir_delta_usual_ns(int entry)
{
	return local.usual_ns[entry];
}

void
pgweir_delta_set_instrument(int entry)
{
	local.instrument[entry] = true;
}

bool
pgweir_delta_take_instrument(int entry)
{
	bool		asked = local.instrument[entry];

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
add_counters(PgweirTally *tally, const PgweirUsage *usage, TimestampTz seen)
{
	pgweir_usage_add(&tally->usage, usage);
	tally->last_seen = Max(seen, 1);
}

void
pgweir_delta_add(int entry, const PgweirUsage *usage, uint64 ns, TimestampTz seen)
{
	PgweirTally *tally = &own->entry[entry].tally;
	uint64		us = ns / 1000;

	begin_change();
	add_counters(tally, usage, seen);
	tally->min_ns = Min(tally->min_ns, ns);
	tally->max_ns = Max(tally->max_ns, ns);
	tally->sum_squares += ((double) ns / 1000.0) * ((double) ns / 1000.0);
	tally->hist[pgweir_histogram_bucket(us)]++;
	end_change();
}

void
pgweir_delta_add_plan(int entry, uint64 ns, TimestampTz seen)
{
	PgweirTally *tally = &own->entry[entry].tally;

	begin_change();
	tally->usage.counter[PGWEIR_PLANS]++;
	tally->usage.counter[PGWEIR_PLAN_NS] += ns;
	tally->last_seen = Max(seen, 1);
	end_change();
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

int
pgweir_deltas_flush(void)
{
	int			merged = 0;

	if (own == NULL)
		return 0;
	heed_reset();
	bump(&own->flushes);
	pg_memory_barrier();
	for (int i = 0; i < own->used; i++)
	{
		merged += tally_empty(&own->entry[i].tally) ? 0 : 1;
		merge_entry(i);
	}
	pgweir_timeline_flush_session();
	pg_memory_barrier();
	bump(&own->flushes);
	return merged;
}

void
pgweir_deltas_flush_if_due(uint64 now_ns)
{
	if (local.flushed_ns == 0)
		local.flushed_ns = now_ns;
	else if (now_ns - local.flushed_ns >= (uint64) pgweir_flush_interval_ms * 1000000)
	{
		pgweir_deltas_flush();
		local.flushed_ns = now_ns;
	}
}

/* A consistent copy of one entry; false if the owner would not stop writing, or the entry is unused. */
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
pgweir_deltas_visit(PgweirDeltaVisitor visit, void *arg, uint32 *stamps)
{
	Entry		copy;

	for (int b = 0; b < pgweir_max_backends(); b++)
	{
		Set		   *set = &shared->set[b];
		int			used = Min(set->used, ENTRIES);
		uint64		resets = pg_atomic_read_u64(&set->resets);

		stamps[b] = pg_atomic_read_u32(&set->flushes);
		pg_read_barrier();
		for (int i = 0; i < used; i++)
		{
			if (read_entry(set, i, &copy) && !pgweir_statements_voided(&copy.key, resets))
				visit(&copy.key, &copy.tally, arg);
		}
	}
}

bool
pgweir_deltas_unmoved(const uint32 *stamps)
{
	pg_read_barrier();
	for (int b = 0; b < pgweir_max_backends(); b++)
	{
		if ((stamps[b] & 1) || stamps[b] != pg_atomic_read_u32(&shared->set[b].flushes))
			return false;
	}
	return true;
}
