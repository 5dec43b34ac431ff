/*
 * timeline.h: the server's last hour in steps of ten seconds.
 *
 * A ring of sums over all top-level statements and sessions, so that a rate can be set against the time before and a
 * trouble be given a beginning.  Backends add to it when they merge their deltas, thus up to pgweir.flush_interval
 * late; readers add what is unmerged.  Atomics only; the one who first enters a step clears it.
 */
#ifndef PGWEIR_STORES_TIMELINE_H
#define PGWEIR_STORES_TIMELINE_H

#include "stores/statements_table.h"

#define PGWEIR_STEP_S 10
#define PGWEIR_STEPS 360

typedef enum PgweirSeries
{
	PGWEIR_TL_STATEMENTS,
	PGWEIR_TL_BUSY_NS,			/* time in statements */
	PGWEIR_TL_FAILED,
	PGWEIR_TL_CANCELLED,
	PGWEIR_TL_STATEMENT_TIMEOUT,
	PGWEIR_TL_LOCK_TIMEOUT,
	PGWEIR_TL_DEADLINE_MISSED,
	PGWEIR_TL_DEADLOCK,
	PGWEIR_TL_TERMINATED,
	PGWEIR_TL_ERRORS,			/* sent to clients, seen by a statement class or not; class 57 (cancel, shutdown) left out */
	PGWEIR_TL_UNDEFINED,		/* of these class 42: what does not exist, is not allowed or is no SQL */
	PGWEIR_TL_THINK_NS,			/* time between two statements of one transaction */
	PGWEIR_TL_THINKS,
	PGWEIR_TL_CONNECTS,			/* sessions that ran their first statement */
	PGWEIR_TL_N
} PgweirSeries;

typedef struct PgweirStep
{
	int64		epoch;			/* seconds since the PostgreSQL epoch / PGWEIR_STEP_S */
	uint64		value[PGWEIR_TL_N];
} PgweirStep;

extern Size pgweir_timeline_size(void);
extern void pgweir_timeline_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Adds executions of a top-level class to the step they were last seen in. */
extern void pgweir_timeline_add_tally(const PgweirTally *tally);

/* Counts in this backend, without a lock; flush_session adds them to the present step. */
extern void pgweir_timeline_note_think(uint64 ns);
extern void pgweir_timeline_note_connect(void);
extern void pgweir_timeline_flush_session(void);

/* Counts an error sent to the client in the present step, at once; takes no lock, so an error may be under way. */
extern void pgweir_timeline_note_error(int sqlstate);

extern void pgweir_timeline_reset(void);

/* Copies the steps of the last hour, unmerged deltas added, oldest first; returns how many.  steps: PGWEIR_STEPS. */
extern int	pgweir_timeline_read(PgweirStep *steps);

#endif
