/*
 * backends.h: what each backend is executing now.
 *
 * One slot a backend, written by its owner only.  A change counter, odd while the owner writes, lets readers copy a
 * slot without a lock and without stopping anybody.
 *
 * Beside it stands what the sampler saw the present statement wait for; that part the sampler writes.
 */
#ifndef PGWEIR_STORES_BACKENDS_H
#define PGWEIR_STORES_BACKENDS_H

#include "datatype/timestamp.h"
#include "stores/shared.h"
#include "stores/statements.h"
#include "stores/waits.h"

typedef struct PgweirActivity
{
	int			pid;			/* 0: the slot was never used, or its backend has gone */
	PgweirKey	key;			/* of the top-level statement being executed; queryid 0 when none is */
	PgweirKey	last;			/* of the one before; queryid 0 when there was none */
	uint64		serial;			/* counts this backend's statements */
	TimestampTz started;		/* of that statement */
	int64		deadline_us;	/* pgweir.deadline when it started; 0 = none */
} PgweirActivity;

#define PGWEIR_BACKEND_WAITS 6

/* Who was seen to hold the lock that a statement waited for. */
typedef struct PgweirBlocker
{
	int32		pid;			/* 0: nobody was seen */
	bool		idle;			/* between two statements of a transaction */
	PgweirKey	key;			/* of its statement, or the last one; queryid 0: not known */
} PgweirBlocker;

extern Size pgweir_backends_size(void);
extern void pgweir_backends_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Announces and withdraws this backend's top-level statement.  No lock, no error. */
extern void pgweir_backend_begin(const PgweirKey *key, TimestampTz started, int64 deadline_us);
extern void pgweir_backend_end(void);

/* Withdraws this backend altogether, at its exit. */
extern void pgweir_backend_leave(void);

/* Copies slot index (0 .. pgweir_max_backends() - 1).  False when nobody is there. */
extern bool pgweir_backend_read(int index, PgweirActivity *activity);

/* For the sampler: the statement with this serial was seen at an event. */
extern void pgweir_backend_add_wait(int index, uint64 serial, uint32 event, uint64 ns);

/* And blocked, by somebody. */
extern void pgweir_backend_set_blocker(int index, uint64 serial, const PgweirBlocker *blocker);

/* Of this backend's own statement.  No lock, no error. */
extern void pgweir_backend_own_waits(PgweirWait *waits, PgweirBlocker *blocker);

/* Copies what the statement with this serial was seen at, to waits[PGWEIR_BACKEND_WAITS]; all free if it never was. */
extern void pgweir_backend_read_waits(int index, uint64 serial, PgweirWait *waits);

#endif
