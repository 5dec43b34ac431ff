/*
 * statements_table.h: the writer's side of the statement table (statements.h), for the delta store and capture.
 *
 * A class is in the table from the moment its text is put there until it is evicted.  Whoever knew its place there sees without a lock
 * whether it is there still.
 */
#ifndef PGWEIR_STORES_STATEMENTS_TABLE_H
#define PGWEIR_STORES_STATEMENTS_TABLE_H

#include "stores/shared.h"
#include "stores/statements.h"

/* What one execution, or a number of them, adds to a class. */
typedef struct PgweirUsage
{
	bool		rare;			/* whether the counters from PGWEIR_RARE on have been set; undefined otherwise */
	uint64		counter[PGWEIR_NCOUNTERS];
} PgweirUsage;

static inline void
pgweir_usage_clear(PgweirUsage *usage)
{
	usage->rare = false;
	memset(usage->counter, 0, PGWEIR_RARE * sizeof(uint64));
}

/* Before a counter from PGWEIR_RARE on is set. */
static inline void
pgweir_usage_begin_rare(PgweirUsage *usage)
{
	if (usage->rare)
		return;
	usage->rare = true;
	memset(&usage->counter[PGWEIR_RARE], 0, (PGWEIR_NCOUNTERS - PGWEIR_RARE) * sizeof(uint64));
}

static inline void
pgweir_usage_add(PgweirUsage *restrict sum, const PgweirUsage *restrict usage)
{
	for (int i = 0; i < PGWEIR_RARE; i++)
		sum->counter[i] += usage->counter[i];
	if (likely(!usage->rare))
		return;
	pgweir_usage_begin_rare(sum);
	for (int i = PGWEIR_RARE; i < PGWEIR_NCOUNTERS; i++)
		sum->counter[i] += usage->counter[i];
}

/* Executions of one class, added up. */
typedef struct PgweirTally
{
	PgweirUsage usage;			/* rare is always true */
	uint64		min_ns;			/* of no execution: PG_UINT64_MAX */
	uint64		max_ns;
	double		sum_squares;	/* of microseconds */
	TimestampTz last_seen;
	uint32		hist[PGWEIR_BUCKETS];
} PgweirTally;

typedef struct PgweirTableInfo
{
	uint64		capacity;
	uint64		entries;
	uint64		evicted;		/* classes dropped for others, since the reset */
	TimestampTz since;			/* of the last reset */
} PgweirTableInfo;

extern Size pgweir_statements_size(void);
extern int	pgweir_statements_locks(void);
extern void pgweir_statements_attach(void *memory, LWLockPadded *locks, bool fresh);

static inline bool
pgweir_key_equal(const PgweirKey *a, const PgweirKey *b)
{
	return a->queryid == b->queryid && a->dbid == b->dbid && a->userid == b->userid && a->toplevel == b->toplevel &&
		a->caller == b->caller;
}

/* Whether a class is of a user, a database and a queryid; 0 is any. */
static inline bool
pgweir_key_matches(const PgweirKey *key, Oid userid, Oid dbid, int64 queryid)
{
	return (userid == 0 || key->userid == userid) && (dbid == 0 || key->dbid == dbid) &&
		(queryid == 0 || key->queryid == queryid);
}

/* Where a class stands, and the how manieth the place had when it came. */
typedef struct PgweirPlace
{
	int32		partition;
	int32		index;
	uint32		tenant;			/* 0: nowhere */
} PgweirPlace;

/* Whether the class that was given the place has it still.  No lock.  Who asks is about to execute it, so that it keeps the place for a while. */
extern bool pgweir_statements_still_at(const PgweirPlace *place);

/* Whether the class is in the table with its text, and then its place and 99th percentile (0 while it has few executions). */
extern bool pgweir_statements_look_up(const PgweirKey *key, PgweirPlace *place, uint64 *p99_ns);

/* Puts the class in the table if it is not there, and its text if that is missing.  len is cut to what fits. */
extern void pgweir_statements_put_text(const PgweirKey *key, const char *text, int len, PgweirPlace *place);

/* Notes which tables the class's plan uses; false when the class is no longer there. */
extern bool pgweir_statements_put_relations(const PgweirPlace *place, const Oid *relations, int n);

/*
 * Adds a tally to its class, which is inserted (without text) when it was evicted meanwhile.  Without wait, false and nothing done when somebody
 * has the lock.  p99_ns, if not NULL: as above.
 */
extern bool pgweir_statements_merge(const PgweirKey *key, const PgweirTally *tally, bool wait, uint64 *p99_ns);

/* For the sampler, often: evicts a few classes where places run short, so that who needs one finds it free. */
extern void pgweir_statements_keep_free(void);

/* For the sampler: the class was seen at an event.  False when it is not in the table. */
extern bool pgweir_statements_add_wait(const PgweirKey *key, uint32 event, uint64 ns);

/*
 * The sums of all classes, callers and unmerged deltas added up, without texts; needs no database. In the current memory context.
 * min_us and max_us are of what was merged since the sums before, or is in a delta: the history is the only one to ask.
 */
typedef struct PgweirSums PgweirSums;
extern PgweirSums *pgweir_statements_sums(void);
typedef void (*PgweirSumsVisitor) (const PgweirKey *key, const PgweirStatement *sum, void *arg);
extern void pgweir_sums_visit(PgweirSums *sums, PgweirSumsVisitor visit, void *arg);

/* When the table was last reset. */
extern TimestampTz pgweir_statements_since(void);

/*
 * Forgets the classes of a user, database and queryid (0 is any), and increments the count of resets, by which backends see that deltas
 * they hold may be void: those are that a reset since the count then has voided.  The second count is of resets of everything.
 */
extern void pgweir_statements_reset(Oid userid, Oid dbid, int64 queryid);
extern uint64 pgweir_statements_resets(void);
extern bool pgweir_statements_voided(const PgweirKey *key, uint64 since);
extern uint64 pgweir_statements_full_resets(void);

extern void pgweir_statements_info(PgweirTableInfo *info);

#endif
