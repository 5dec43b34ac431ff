/*
 * progress.h: how far runs of the advisor are, for others to see.
 *
 * A few places in shared memory, each written by the backend that took it and read by anybody without a lock; figures
 * that belong together may be read from different moments.  A run that finds no place goes on unseen.
 */
#ifndef PGWEIR_STORES_PROGRESS_H
#define PGWEIR_STORES_PROGRESS_H

#include "datatype/timestamp.h"
#include "stores/shared.h"

#define PGWEIR_PROGRESS_PLACES 16

typedef enum PgweirPhase
{
	PGWEIR_PHASE_READING,		/* parsing and planning the statements as they are */
	PGWEIR_PHASE_ASKING,		/* what each candidate does for each statement */
	PGWEIR_PHASE_CHOOSING,		/* the set */
	PGWEIR_PHASE_CATALOG,		/* what could be dropped, foreign keys */
	PGWEIR_NPHASES
} PgweirPhase;

typedef enum PgweirProgressValue
{
	PGWEIR_PROGRESS_PHASE,
	PGWEIR_PROGRESS_TOTAL,		/* statements, or tables in the last phase */
	PGWEIR_PROGRESS_DONE,
	PGWEIR_PROGRESS_CANDIDATES,
	PGWEIR_PROGRESS_PLANS,		/* calls of the planner */
	PGWEIR_PROGRESS_CHOSEN,		/* indexes so far */
	PGWEIR_PROGRESS_BACKGROUND, /* 1: run by the scheduled worker */
	PGWEIR_PROGRESS_NVALUES
} PgweirProgressValue;

typedef struct PgweirProgress
{
	int			pid;
	Oid			dbid;
	TimestampTz started;
	uint64		value[PGWEIR_PROGRESS_NVALUES];
} PgweirProgress;

extern Size pgweir_progress_size(void);
extern void pgweir_progress_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Takes a place for this backend and gives it back.  Without shared memory, or when all are taken, they do nothing. */
extern void pgweir_progress_begin(void);
extern void pgweir_progress_end(void);

/* Sets a figure of this backend's run. */
extern void pgweir_progress_set(PgweirProgressValue which, uint64 value);

/* Copies place index (0 .. PGWEIR_PROGRESS_PLACES - 1).  False when nobody is there. */
extern bool pgweir_progress_read(int index, PgweirProgress *progress);

#endif
