/*
 * statements_slots.h: how the statement table lies in shared memory, for statements.c and statements_read.c.
 */
#ifndef PGWEIR_STORES_STATEMENTS_SLOTS_H
#define PGWEIR_STORES_STATEMENTS_SLOTS_H

#include "stores/statements_table.h"

#define PGWEIR_RECENT_STEP_S 10	/* a class's last minute is kept in steps, the present one included */
#define PGWEIR_RECENTS 6

typedef struct PgweirClassRecent
{
	pg_atomic_uint64 step;		/* seconds since the PostgreSQL epoch / PGWEIR_RECENT_STEP_S */
	pg_atomic_uint64 calls;
	pg_atomic_uint64 ns;
} PgweirClassRecent;

typedef struct PgweirSlot
{
	PgweirKey	key;
	bool		text_truncated;
	int32		text_len;		/* 0: no text, it was lost by an eviction */
	int32		encoding;		/* of the text */
	int32		n_relations;
	Oid			relation[PGWEIR_CLASS_RELATIONS];
	TimestampTz first_seen;
	pg_atomic_uint64 last_seen;
	pg_atomic_uint64 min_ns;
	pg_atomic_uint64 max_ns;
	pg_atomic_uint64 step_min_ns;	/* the same since the last step of the history */
	pg_atomic_uint64 step_max_ns;
	pg_atomic_uint64 sum_squares;	/* the bits of a double */
	pg_atomic_uint64 counter[PGWEIR_NCOUNTERS];
	pg_atomic_uint64 hist[PGWEIR_BUCKETS];
	PgweirClassRecent recent[PGWEIR_RECENTS];
	PgweirWait	waits[PGWEIR_CLASS_WAITS];
	char		text[FLEXIBLE_ARRAY_MEMBER];	/* text_size bytes, ends in NUL */
} PgweirSlot;

/* What is looked at of a slot that one only comes by.  These lie close together: slots are kilobytes apart, in no cache as a rule. */
typedef struct PgweirRef
{
	pg_atomic_uint32 tenant;	/* counts the classes that came and went: odd while there is one */
	pg_atomic_uint32 use;		/* credit against the clock */
	int32		next;			/* on the chain of the hash head, or of free slots */
	uint32		hash;			/* of the key */
} PgweirRef;

typedef struct PgweirPartition
{
	int32		free;			/* first free slot */
	int32		entries;
	int32		hand;			/* of the clock */
	pg_atomic_uint64 evicted;	/* since the last reset */
	char		pad[PG_CACHE_LINE_SIZE - 24];
} PgweirPartition;

#define PGWEIR_RESETS 64		/* remembered; a backend that missed more takes all its deltas for void */

typedef struct PgweirReset
{
	Oid			userid;
	Oid			dbid;
	int64		queryid;
} PgweirReset;

typedef struct PgweirTable
{
	int			partitions;		/* a power of two */
	int			slots;			/* per partition; as many hash heads */
	int			text_size;
	Size		slot_size;
	Size		heads_offset;	/* from the beginning of this struct */
	Size		refs_offset;
	Size		slots_offset;
	pg_atomic_uint64 resets;
	pg_atomic_uint64 full_resets;
	PgweirReset reset[PGWEIR_RESETS];	/* reset n stands at n modulo their number */
	pg_atomic_uint64 since;
	PgweirPartition partition[FLEXIBLE_ARRAY_MEMBER];
} PgweirTable;

extern PgweirTable *pgweir_table;
extern LWLockPadded *pgweir_table_locks;

/* In the postmaster, without a lock: a place with this text for a saved class; NULL when it has one. */
extern PgweirSlot *pgweir_statements_restore(const PgweirKey *key, const char *text, int len, int encoding, bool truncated);

static inline uint64
pgweir_recent_step(TimestampTz t)
{
	return (uint64) (t / USECS_PER_SEC / PGWEIR_RECENT_STEP_S);
}

static inline PgweirSlot *
pgweir_slot(int partition, int index)
{
	Size		nth = (Size) partition * pgweir_table->slots + index;

	return (PgweirSlot *) ((char *) pgweir_table + pgweir_table->slots_offset + nth * pgweir_table->slot_size);
}

static inline PgweirRef *
pgweir_ref(int partition, int index)
{
	return (PgweirRef *) ((char *) pgweir_table + pgweir_table->refs_offset) + (Size) partition * pgweir_table->slots + index;
}

static inline bool
pgweir_slot_used(int partition, int index)
{
	return (pg_atomic_read_u32(&pgweir_ref(partition, index)->tenant) & 1) != 0;
}

static inline int32 *
pgweir_heads(int partition)
{
	return (int32 *) ((char *) pgweir_table + pgweir_table->heads_offset) + (Size) partition * pgweir_table->slots;
}

#endif
