/*
 * history.h: what statement classes did, step by step, for as long as the memory reaches.
 *
 * Every PGWEIR_HISTORY_STEP_S seconds the sampler adds up table and unmerged deltas and appends, for each class that ran, what has come
 * since the step before.  Only what is not zero is kept, so that a step of a class takes some hundred bytes.  Nothing of
 * this is in the key of the statement table, and no statement ever waits for it: the lock is between the sampler and readers.
 */
#ifndef PGWEIR_STORES_HISTORY_H
#define PGWEIR_STORES_HISTORY_H

#include "stores/statements_table.h"

#define PGWEIR_HISTORY_STEP_S 10

extern Size pgweir_history_size(void);
extern int	pgweir_history_locks(void);
extern void pgweir_history_attach(void *memory, LWLockPadded *locks, bool fresh);

/* For the sampler, each second: takes the step that is due, or that somebody asked for. */
extern void pgweir_history_each_second(TimestampTz now);

/* Asks for a step now; the number of the step to wait for, and whether it has been taken. */
extern uint64 pgweir_history_ask(void);
extern bool pgweir_history_taken(uint64 step);

/* What a class did in a step. */
typedef struct PgweirHistoryEntry
{
	PgweirKey	key;			/* caller is 0: callers are added up */
	TimestampTz from;
	TimestampTz until;
	TimestampTz last_seen;
	double		sum_squares;
	uint64		min_us;			/* without meaning when there are no calls */
	uint64		max_us;
	uint64		counter[PGWEIR_NCOUNTERS];
	uint64		hist[PGWEIR_BUCKETS];
	PgweirWait	waits[PGWEIR_CLASS_WAITS];
} PgweirHistoryEntry;

/* Calls visit, which may not fail, for what lies between two instants, a step by its middle. */
typedef void (*PgweirHistoryVisitor) (const PgweirHistoryEntry *entry, void *arg);
extern void pgweir_history_visit(TimestampTz since, TimestampTz until, PgweirHistoryVisitor visit, void *arg);

/* Forgets the steps of a user, database and queryid; 0 is any.  A reset of the whole table is seen without. */
extern void pgweir_history_reset(Oid userid, Oid dbid, int64 queryid);

/* How far back it reaches; 0 when there is no step yet. */
extern TimestampTz pgweir_history_begin(void);

#endif
