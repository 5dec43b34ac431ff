/*
 * backends.c: one look at what every backend waits for.
 *
 * PGPROC.wait_event_info is one word that its owner writes without a lock; reading it tells what the process waits for at
 * that moment.  Which statement it executes stands in our own slot of that backend.  The two are not read in one
 * moment: a sample on the border of two statements may go to the wrong one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "compat.h"
#include "sampler/sampler.h"
#include "stores/backends.h"
#include "stores/statements_table.h"
#include "stores/waits.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

/* The bits of wait_event_info that tell the class of an event. */
#define WAIT_CLASS(event) ((event) & 0xFF000000U)

/* Of the looks at a statement that waits for a lock, those at which its blocker is asked for: the third, and each hundredth after it. */
#define BLOCKER_FIRST 3
#define BLOCKER_EVERY 100

/*
 * Whether a process that executes no statement we know of is at work all the same: it commits, or is still parsing; and not idle, or
 * some process that waits for work.
 */
static bool
is_at_work(uint32 event)
{
	switch (WAIT_CLASS(event))
	{
		case PG_WAIT_ACTIVITY:
		case PG_WAIT_CLIENT:
		case PG_WAIT_EXTENSION:
		case PG_WAIT_TIMEOUT:
			return false;
	}
	return true;
}

/* What a process between two statements waits for is its last one's commit, if it is of a kind that a commit waits for. */
static bool
is_of_commit(uint32 event)
{
	switch (WAIT_CLASS(event))
	{
		case PG_WAIT_IO:
		case PG_WAIT_IPC:
		case PG_WAIT_LWLOCK:
			return true;
	}
	return false;
}

/*
 * Who holds the lock that a process waits for.  That takes the locks of the lock manager for a moment, so it is asked when the statement has
 * waited for some looks, and then now and again.
 */
static void
note_blocker(int index, int pid, uint64 serial)
{
	PgweirWait	waits[PGWEIR_BACKEND_WAITS];
	PgweirBlocker blocker = {0};
	PgweirActivity activity;
	Datum	   *pids;
	int			n;
	uint32		samples = 0;

	pgweir_backend_read_waits(index, serial, waits);
	for (int i = 0; i < PGWEIR_BACKEND_WAITS; i++)
		samples += WAIT_CLASS(waits[i].event) == PG_WAIT_LOCK ? waits[i].samples : 0;
	if (samples % BLOCKER_EVERY != BLOCKER_FIRST)
		return;
	deconstruct_array(DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid))),
					  INT4OID, sizeof(int32), true, TYPALIGN_INT, &pids, NULL, &n);
	if (n == 0)
		return;
	blocker.pid = DatumGetInt32(pids[0]);
	for (int i = 0; i < pgweir_max_backends(); i++)
	{
		if (!pgweir_backend_read(i, &activity) || activity.pid != blocker.pid)
			continue;
		blocker.idle = activity.key.queryid == 0;
		blocker.key = blocker.idle ? activity.last : activity.key;
		break;
	}
	pgweir_backend_set_blocker(index, serial, &blocker);
}

static void
sample(PGPROC *proc, uint64 ns)
{
	/* A parallel worker works on its leader's statement. */
	PGPROC	   *leader = proc->lockGroupLeader != NULL ? proc->lockGroupLeader : proc;
	uint32		event = *(volatile uint32 *) &proc->wait_event_info;
	int			index = PGWEIR_PROC_BACKEND_INDEX(leader);
	PgweirActivity activity = {0};

	if (index < 0 || index >= pgweir_max_backends())
		return;
	(void) pgweir_backend_read(index, &activity);
	if (activity.pid != leader->pid)
		activity.key.queryid = activity.last.queryid = 0;
	if (activity.key.queryid != 0)
	{
		pgweir_backend_add_wait(index, activity.serial, event, ns);
		if (WAIT_CLASS(event) == PG_WAIT_LOCK)
			note_blocker(index, leader->pid, activity.serial);
		if (pgweir_statements_add_wait(&activity.key, event, ns))
			return;
	}
	else if (!is_at_work(event))
		return;
	else if (activity.last.queryid != 0 && is_of_commit(event) && pgweir_statements_add_wait(&activity.last, event, ns))
		return;
	pgweir_server_waits_add(event, ns);
}

void
pgweir_sample_backends(uint64 ns)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		PGPROC	   *proc = &ProcGlobal->allProcs[i];

		/* Those without a database (walsenders, launchers) execute no statements. */
		if (proc->pid != 0 && proc != MyProc && OidIsValid(proc->databaseId))
			sample(proc, ns);
	}
}
