/*
 * statements.c: the statement table in shared memory: finding, inserting, adding, evicting.
 *
 * A partition owns a run of slots, a run of hash heads and one lock.  Held shared: chains, keys and texts stand still,
 * counters may be added to.  Held exclusive: everything may change.  A slot is on exactly one chain: that of its hash
 * head when it is used, that of the free ones when it is not.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "access/xact.h"
#include "compat.h"
#include "guc.h"
#include "mb/pg_wchar.h"
#include "stores/statements_slots.h"
#include "utils/timestamp.h"

#define MAX_PARTITIONS 32
#define MIN_SLOTS_PER_PARTITION 64
#define NONE (-1)
#define FEW_EXECUTIONS 100		/* fewer do not tell what is usual */
#define MAX_USE 15				/* the clock halves it as it passes; at 0 the slot goes */
#define ASKED_USE 3				/* of a class that somebody has asked for */
#define LOOKS 8					/* at slots, by a statement that needs one and finds none free */
#define SWEEP_LOOKS 16			/* by the sampler, while it has the lock */
#define SWEEPS 8				/* of a partition, by the sampler at a time */
#define AHEAD_FRACTION 16		/* this part of the slots is kept free */

PgweirTable *pgweir_table = NULL;
LWLockPadded *pgweir_table_locks = NULL;

static int
partition_count(void)
{
	int			n = 1;

	while (n < MAX_PARTITIONS && pgweir_max_statements / (n * 2) >= MIN_SLOTS_PER_PARTITION)
		n *= 2;
	return n;
}

/* So many classes have a place, and some slots are kept free besides. */
static int
slots_per_partition(void)
{
	int			classes = (pgweir_max_statements + partition_count() - 1) / partition_count();

	return classes + Max(classes / AHEAD_FRACTION, 2);
}

static inline int
slots_ahead(void)
{
	return Max(pgweir_table->slots / (AHEAD_FRACTION + 1), 2);
}

static Size
slot_size(void)
{
	return MAXALIGN(offsetof(PgweirSlot, text) + pgweir_query_size);
}

static Size
heads_size(void)
{
	return MAXALIGN(mul_size(partition_count() * slots_per_partition(), sizeof(int32)));
}

static Size
refs_size(void)
{
	return MAXALIGN(mul_size(partition_count() * slots_per_partition(), sizeof(PgweirRef)));
}

Size
pgweir_statements_size(void)
{
	Size		size = MAXALIGN(offsetof(PgweirTable, partition) + partition_count() * sizeof(PgweirPartition));

	size = add_size(size, add_size(heads_size(), refs_size()));
	return add_size(size, mul_size(partition_count() * slots_per_partition(), slot_size()));
}

int
pgweir_statements_locks(void)
{
	return partition_count();
}

static inline LWLock *
lock_of(int partition)
{
	return &pgweir_table_locks[partition].lock;
}

/* Exclusive lock. */
static inline void
change_tenant(PgweirRef *ref)
{
	pg_atomic_write_u32(&ref->tenant, pg_atomic_read_u32(&ref->tenant) + 1);
}

/* All slots of a partition free, its counters of life up to now kept. */
static void
partition_clear(int p)
{
	PgweirPartition *part = &pgweir_table->partition[p];

	for (int i = 0; i < pgweir_table->slots; i++)
	{
		PgweirRef  *ref = pgweir_ref(p, i);

		if (pgweir_slot_used(p, i))
			change_tenant(ref);
		ref->next = i + 1 < pgweir_table->slots ? i + 1 : NONE;
		pgweir_heads(p)[i] = NONE;
	}
	part->free = 0;
	part->entries = 0;
	part->hand = 0;
}

static void
slot_init_atomics(PgweirSlot *slot)
{
	pg_atomic_init_u64(&slot->last_seen, 0);
	pg_atomic_init_u64(&slot->min_ns, PG_UINT64_MAX);
	pg_atomic_init_u64(&slot->max_ns, 0);
	pg_atomic_init_u64(&slot->step_min_ns, PG_UINT64_MAX);
	pg_atomic_init_u64(&slot->step_max_ns, 0);
	pg_atomic_init_u64(&slot->sum_squares, 0);
	for (int i = 0; i < PGWEIR_NCOUNTERS; i++)
		pg_atomic_init_u64(&slot->counter[i], 0);
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		pg_atomic_init_u64(&slot->hist[i], 0);
	for (int i = 0; i < PGWEIR_RECENTS; i++)
	{
		pg_atomic_init_u64(&slot->recent[i].step, 0);
		pg_atomic_init_u64(&slot->recent[i].calls, 0);
		pg_atomic_init_u64(&slot->recent[i].ns, 0);
	}
	memset(slot->waits, 0, sizeof(slot->waits));
}

void
pgweir_statements_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	pgweir_table = memory;
	pgweir_table_locks = locks;
	if (!fresh)
		return;
	pgweir_table->partitions = partition_count();
	pgweir_table->slots = slots_per_partition();
	pgweir_table->slot_size = slot_size();
	pgweir_table->text_size = pgweir_query_size;
	pgweir_table->heads_offset = MAXALIGN(offsetof(PgweirTable, partition) + partition_count() * sizeof(PgweirPartition));
	pgweir_table->refs_offset = pgweir_table->heads_offset + heads_size();
	pgweir_table->slots_offset = pgweir_table->refs_offset + refs_size();
	pg_atomic_init_u64(&pgweir_table->resets, 0);
	pg_atomic_init_u64(&pgweir_table->full_resets, 0);
	pg_atomic_init_u64(&pgweir_table->since, (uint64) GetCurrentTimestamp());
	for (int p = 0; p < pgweir_table->partitions; p++)
	{
		pg_atomic_init_u64(&pgweir_table->partition[p].evicted, 0);
		for (int i = 0; i < pgweir_table->slots; i++)
		{
			pg_atomic_init_u32(&pgweir_ref(p, i)->tenant, 0);
			pg_atomic_init_u32(&pgweir_ref(p, i)->use, 0);
			slot_init_atomics(pgweir_slot(p, i));
		}
		partition_clear(p);
	}
}

static inline uint32
key_hash(const PgweirKey *key)
{
	return hash_bytes((const unsigned char *) key, sizeof(*key));
}

static inline int
partition_of(uint32 hash)
{
	return (int) (hash & (uint32) (pgweir_table->partitions - 1));
}

static inline int32 *
head_of(int p, uint32 hash)
{
	return &pgweir_heads(p)[(hash >> 5) % (uint32) pgweir_table->slots];
}

/* The index of the class's slot, or NONE.  The partition's lock is held. */
static int32
find(int p, uint32 hash, const PgweirKey *key)
{
	for (int32 i = *head_of(p, hash); i != NONE; i = pgweir_ref(p, i)->next)
	{
		if (pgweir_ref(p, i)->hash == hash && pgweir_key_equal(&pgweir_slot(p, i)->key, key))
			return i;
	}
	return NONE;
}

static void
unlink_slot(int p, int32 index)
{
	const PgweirRef *ref = pgweir_ref(p, index);
	int32	   *link = head_of(p, ref->hash);

	while (*link != index)
		link = &pgweir_ref(p, *link)->next;
	*link = ref->next;
}

/* Exclusive lock. */
static void
free_slot(int p, int32 index)
{
	PgweirPartition *part = &pgweir_table->partition[p];
	PgweirRef  *ref = pgweir_ref(p, index);

	unlink_slot(p, index);
	change_tenant(ref);
	ref->next = part->free;
	part->free = index;
	part->entries--;
}

static void
evict(int p, int32 index)
{
	free_slot(p, index);
	pg_atomic_fetch_add_u64(&pgweir_table->partition[p].evicted, 1);
}

/* The slot that the clock comes to next, with its use; the use is halved. */
static int32
pass_slot(int p, uint32 *use)
{
	PgweirPartition *part = &pgweir_table->partition[p];
	int32		index = part->hand;
	PgweirRef  *ref = pgweir_ref(p, index);

	part->hand = (part->hand + 1) % pgweir_table->slots;
	*use = pg_atomic_read_u32(&ref->use);
	if (*use > 0)
		pg_atomic_write_u32(&ref->use, *use / 2);
	return index;
}

/* Frees one slot: the first of a few that is unused since the clock last came by, or the least used of them.  Exclusive lock; all slots used. */
static void
evict_one(int p)
{
	int32		victim = NONE;
	uint32		least = PG_UINT32_MAX;

	for (int i = 0; i < LOOKS && least > 0; i++)
	{
		uint32		use;
		int32		index = pass_slot(p, &use);

		if (use < least)
		{
			victim = index;
			least = use;
		}
	}
	evict(p, victim);
}

static inline int
free_slots(int p)
{
	return pgweir_table->slots - *(volatile int32 *) &pgweir_table->partition[p].entries;
}

/* A few looks, while nobody else is there. */
static void
sweep(int p)
{
	if (!LWLockConditionalAcquire(lock_of(p), LW_EXCLUSIVE))
		return;
	for (int i = 0; i < SWEEP_LOOKS && free_slots(p) < slots_ahead(); i++)
	{
		uint32		use;
		int32		index = pass_slot(p, &use);

		if (use == 0 && pgweir_slot_used(p, index))
			evict(p, index);
	}
	LWLockRelease(lock_of(p));
}

void
pgweir_statements_keep_free(void)
{
	for (int p = 0; p < pgweir_table->partitions; p++)
	{
		for (int i = 0; i < SWEEPS && free_slots(p) < slots_ahead(); i++)
			sweep(p);
	}
}

/* Inserts a class that find() did not find; its index.  Exclusive lock. */
static int32
insert(int p, uint32 hash, const PgweirKey *key, TimestampTz seen)
{
	PgweirPartition *part = &pgweir_table->partition[p];
	PgweirSlot *slot;
	PgweirRef  *ref;
	int32		index;

	if (part->free == NONE)
		evict_one(p);
	index = part->free;
	slot = pgweir_slot(p, index);
	ref = pgweir_ref(p, index);
	part->free = ref->next;
	slot_init_atomics(slot);
	slot->text_len = 0;
	slot->text_truncated = false;
	slot->n_relations = 0;
	slot->first_seen = seen;
	slot->key = *key;
	pg_atomic_write_u32(&ref->use, 1);
	ref->hash = hash;
	/* Last: should the server crash here, the slot is nobody's or complete. */
	pg_write_barrier();
	change_tenant(ref);
	ref->next = *head_of(p, hash);
	*head_of(p, hash) = index;
	part->entries++;
	return index;
}

/* The lock of a partition is held. */
static void
note_place(int p, int32 index, PgweirPlace *place)
{
	place->partition = p;
	place->index = index;
	place->tenant = pg_atomic_read_u32(&pgweir_ref(p, index)->tenant);
}

/* While others are evicted, it may be long until the counts of this one are merged. */
static inline void
ask_for(PgweirRef *ref)
{
	if (pg_atomic_read_u32(&ref->use) < ASKED_USE)
		pg_atomic_write_u32(&ref->use, ASKED_USE);
}

bool
pgweir_statements_still_at(const PgweirPlace *place)
{
	PgweirRef  *ref = pgweir_ref(place->partition, place->index);

	if (place->tenant == 0 || pg_atomic_read_u32(&ref->tenant) != place->tenant)
		return false;
	/* Should it be evicted in this moment, the credit goes to whoever comes next. */
	ask_for(ref);
	return true;
}

/* Of a class in the table; 0: it has too few executions. */
static uint64
p99_ns_of(PgweirSlot *slot)
{
	uint64		hist[PGWEIR_BUCKETS];

	if (pg_atomic_read_u64(&slot->counter[PGWEIR_CALLS]) < FEW_EXECUTIONS)
		return 0;
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
		hist[i] = pg_atomic_read_u64(&slot->hist[i]);
	return 1000 * (pgweir_histogram_quantile(hist, 0.99) + 1);
}

bool
pgweir_statements_look_up(const PgweirKey *key, PgweirPlace *place, uint64 *p99_ns)
{
	uint32		hash = key_hash(key);
	int			p = partition_of(hash);
	int32		index;
	bool		result;

	LWLockAcquire(lock_of(p), LW_SHARED);
	index = find(p, hash, key);
	result = index != NONE && pgweir_slot(p, index)->text_len > 0;
	if (result)
	{
		ask_for(pgweir_ref(p, index));
		note_place(p, index, place);
		*p99_ns = p99_ns_of(pgweir_slot(p, index));
	}
	LWLockRelease(lock_of(p));
	return result;
}

void
pgweir_statements_put_text(const PgweirKey *key, const char *text, int len, PgweirPlace *place)
{
	uint32		hash = key_hash(key);
	int			p = partition_of(hash);
	int			kept = len < pgweir_table->text_size ? len : pg_mbcliplen(text, len, pgweir_table->text_size - 1);
	PgweirSlot *slot;
	int32		index;

	LWLockAcquire(lock_of(p), LW_EXCLUSIVE);
	index = find(p, hash, key);
	if (index == NONE)
		index = insert(p, hash, key, GetCurrentStatementStartTimestamp());
	slot = pgweir_slot(p, index);
	if (slot->text_len == 0)
	{
		memcpy(slot->text, text, kept);
		slot->text[kept] = '\0';
		slot->text_len = kept;
		slot->text_truncated = kept < len;
		slot->encoding = GetDatabaseEncoding();
	}
	note_place(p, index, place);
	LWLockRelease(lock_of(p));
}

/* Shared suffices: who else writes or reads these meanwhile has one class in mind, whose plans use as a rule the same tables. */
bool
pgweir_statements_put_relations(const PgweirPlace *place, const Oid *relations, int n)
{
	PgweirSlot *slot = pgweir_slot(place->partition, place->index);
	bool		there;

	LWLockAcquire(lock_of(place->partition), LW_SHARED);
	there = place->tenant != 0 && pg_atomic_read_u32(&pgweir_ref(place->partition, place->index)->tenant) == place->tenant;
	if (there)
	{
		memcpy(slot->relation, relations, Min(n, PGWEIR_CLASS_RELATIONS) * sizeof(Oid));
		slot->n_relations = Min(n, PGWEIR_CLASS_RELATIONS);
	}
	LWLockRelease(lock_of(place->partition));
	return there;
}

static void
lower_to(pg_atomic_uint64 *value, uint64 candidate)
{
	uint64		seen = pg_atomic_read_u64(value);

	while (candidate < seen && !pg_atomic_compare_exchange_u64(value, &seen, candidate))
		;
}

static void
raise_to(pg_atomic_uint64 *value, uint64 candidate)
{
	uint64		seen = pg_atomic_read_u64(value);

	while (candidate > seen && !pg_atomic_compare_exchange_u64(value, &seen, candidate))
		;
}

/* value holds the bits of a double. */
static void
add_double(pg_atomic_uint64 *value, double amount)
{
	uint64		seen = pg_atomic_read_u64(value);
	uint64		next;
	double		sum;

	do
	{
		memcpy(&sum, &seen, sizeof(sum));
		sum += amount;
		memcpy(&next, &sum, sizeof(next));
	} while (!pg_atomic_compare_exchange_u64(value, &seen, next));
}

/*
 * The last minute of a class.  Who first enters a step clears it; another who adds in that very moment may lose his
 * share of this figure, of this one only.
 */
static void
add_recent(PgweirSlot *slot, const PgweirTally *tally)
{
	uint64		step = pgweir_recent_step(tally->last_seen);
	PgweirClassRecent *recent = &slot->recent[step % PGWEIR_RECENTS];
	uint64		seen = pg_atomic_read_u64(&recent->step);

	if (seen < step && pg_atomic_compare_exchange_u64(&recent->step, &seen, step))
	{
		pg_atomic_write_u64(&recent->calls, 0);
		pg_atomic_write_u64(&recent->ns, 0);
	}
	if (seen > step)
		return;
	pg_atomic_fetch_add_u64(&recent->calls, tally->usage.counter[PGWEIR_CALLS]);
	pg_atomic_fetch_add_u64(&recent->ns, tally->usage.counter[PGWEIR_TOTAL_NS]);
}

/* What has been used keeps its place a while; the longer it ran, the longer. */
static void
touch(PgweirRef *ref, const PgweirTally *tally)
{
	uint64		ms = tally->usage.counter[PGWEIR_TOTAL_NS] / 1000000;
	uint32		worth = 1 + (ms > 0 ? (uint32) pg_leftmost_one_pos64(ms) : 0);
	uint32		use = pg_atomic_read_u32(&ref->use);

	pg_atomic_write_u32(&ref->use, Min(Max(use + 1, worth), MAX_USE));
}

static void
add_tally(PgweirSlot *slot, const PgweirTally *tally)
{
	/* The extremes first: readers look for counts in the buckets between them. */
	lower_to(&slot->min_ns, tally->min_ns);
	raise_to(&slot->max_ns, tally->max_ns);
	lower_to(&slot->step_min_ns, tally->min_ns);
	raise_to(&slot->step_max_ns, tally->max_ns);
	for (int i = 0; i < PGWEIR_NCOUNTERS; i++)
	{
		if (tally->usage.counter[i] > 0)
			pg_atomic_fetch_add_u64(&slot->counter[i], tally->usage.counter[i]);
	}
	for (int i = 0; i < PGWEIR_BUCKETS; i++)
	{
		if (tally->hist[i] > 0)
			pg_atomic_fetch_add_u64(&slot->hist[i], tally->hist[i]);
	}
	raise_to(&slot->last_seen, (uint64) tally->last_seen);
	add_double(&slot->sum_squares, tally->sum_squares);
	add_recent(slot, tally);
}

bool
pgweir_statements_merge(const PgweirKey *key, const PgweirTally *tally, bool wait, uint64 *p99_ns)
{
	uint32		hash = key_hash(key);
	int			p = partition_of(hash);
	int32		index;

	if (!pgweir_acquire(lock_of(p), LW_SHARED, wait))
		return false;
	index = find(p, hash, key);
	if (index == NONE)
	{
		LWLockRelease(lock_of(p));
		if (!pgweir_acquire(lock_of(p), LW_EXCLUSIVE, wait))
			return false;
		index = find(p, hash, key);
		if (index == NONE)
			index = insert(p, hash, key, tally->last_seen);
	}
	add_tally(pgweir_slot(p, index), tally);
	touch(pgweir_ref(p, index), tally);
	if (p99_ns != NULL)
		*p99_ns = p99_ns_of(pgweir_slot(p, index));
	LWLockRelease(lock_of(p));
	return true;
}

bool
pgweir_statements_add_wait(const PgweirKey *key, uint32 event, uint64 ns)
{
	uint32		hash = key_hash(key);
	int			p = partition_of(hash);
	int32		index;

	LWLockAcquire(lock_of(p), LW_SHARED);
	index = find(p, hash, key);
	if (index != NONE)
		pgweir_waits_add(pgweir_slot(p, index)->waits, PGWEIR_CLASS_WAITS, event, ns);
	LWLockRelease(lock_of(p));
	return index != NONE;
}

/* Frees the slots of a partition that a reset is for. */
static void
partition_reset(int p, Oid userid, Oid dbid, int64 queryid)
{
	for (int i = 0; i < pgweir_table->slots; i++)
	{
		if (pgweir_slot_used(p, i) && pgweir_key_matches(&pgweir_slot(p, i)->key, userid, dbid, queryid))
			free_slot(p, i);
	}
}

/* Makes the reset known before anything is cleared, so that what is counted before it cannot be merged after it. */
static void
announce_reset(Oid userid, Oid dbid, int64 queryid)
{
	uint64		number;
	PgweirReset *reset;

	/* Any one lock serves: resets are rare. */
	LWLockAcquire(lock_of(0), LW_EXCLUSIVE);
	number = pg_atomic_read_u64(&pgweir_table->resets) + 1;
	reset = &pgweir_table->reset[number % PGWEIR_RESETS];
	reset->userid = userid;
	reset->dbid = dbid;
	reset->queryid = queryid;
	pg_write_barrier();
	pg_atomic_write_u64(&pgweir_table->resets, number);
	LWLockRelease(lock_of(0));
}

void
pgweir_statements_reset(Oid userid, Oid dbid, int64 queryid)
{
	bool		all = userid == 0 && dbid == 0 && queryid == 0;

	announce_reset(userid, dbid, queryid);
	for (int p = 0; p < pgweir_table->partitions; p++)
	{
		PgweirPartition *part = &pgweir_table->partition[p];

		LWLockAcquire(lock_of(p), LW_EXCLUSIVE);
		if (all)
		{
			partition_clear(p);
			pg_atomic_write_u64(&part->evicted, 0);
		}
		else
			partition_reset(p, userid, dbid, queryid);
		LWLockRelease(lock_of(p));
	}
	if (!all)
		return;
	pg_atomic_fetch_add_u64(&pgweir_table->full_resets, 1);
	pg_atomic_write_u64(&pgweir_table->since, (uint64) GetCurrentTimestamp());
}

uint64
pgweir_statements_resets(void)
{
	return pg_atomic_read_u64(&pgweir_table->resets);
}

uint64
pgweir_statements_full_resets(void)
{
	return pg_atomic_read_u64(&pgweir_table->full_resets);
}

bool
pgweir_statements_voided(const PgweirKey *key, uint64 since)
{
	uint64		now = pgweir_statements_resets();

	if (now - since >= PGWEIR_RESETS)
		return true;
	pg_read_barrier();
	for (uint64 number = since + 1; number <= now; number++)
	{
		const PgweirReset *reset = &pgweir_table->reset[number % PGWEIR_RESETS];

		if (pgweir_key_matches(key, reset->userid, reset->dbid, reset->queryid))
			return true;
	}
	return false;
}

PgweirSlot *
pgweir_statements_restore(const PgweirKey *key, const char *text, int len, int encoding, bool truncated)
{
	uint32		hash = key_hash(key);
	int			p = partition_of(hash);
	int			kept = len;
	PgweirSlot *slot;

	if (find(p, hash, key) != NONE)
		return NULL;
	if (kept >= pgweir_table->text_size)
		kept = pg_encoding_mbcliplen(encoding, text, len, pgweir_table->text_size - 1);
	slot = pgweir_slot(p, insert(p, hash, key, 0));
	memcpy(slot->text, text, kept);
	slot->text[kept] = '\0';
	slot->text_len = kept;
	slot->text_truncated = truncated || kept < len;
	slot->encoding = encoding;
	return slot;
}

TimestampTz
pgweir_statements_since(void)
{
	return (TimestampTz) pg_atomic_read_u64(&pgweir_table->since);
}

void
pgweir_statements_info(PgweirTableInfo *info)
{
	info->capacity = (uint64) pgweir_table->partitions * pgweir_table->slots;
	info->entries = 0;
	info->evicted = 0;
	info->since = (TimestampTz) pg_atomic_read_u64(&pgweir_table->since);
	for (int p = 0; p < pgweir_table->partitions; p++)
	{
		LWLockAcquire(lock_of(p), LW_SHARED);
		info->entries += pgweir_table->partition[p].entries;
		info->evicted += pg_atomic_read_u64(&pgweir_table->partition[p].evicted);
		LWLockRelease(lock_of(p));
	}
}
