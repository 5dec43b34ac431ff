/*
 * progress.c: the places where runs of the advisor say how far they are.
 */
#include "postgres.h"

#include "stores/progress.h"

#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"

typedef struct Place
{
	pg_atomic_uint32 pid;		/* 0: free; the place of a backend that has gone is free, too */
	Oid			dbid;
	TimestampTz started;
	pg_atomic_uint64 value[PGWEIR_PROGRESS_NVALUES];
} Place;

static Place *places = NULL;
static Place *mine = NULL;
static int	depth = 0;			/* runs within a run are part of it */

Size
pgweir_progress_size(void)
{
	return mul_size(PGWEIR_PROGRESS_PLACES, sizeof(Place));
}

void
pgweir_progress_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	places = memory;
	if (!fresh)
		return;
	for (int i = 0; i < PGWEIR_PROGRESS_PLACES; i++)
	{
		pg_atomic_init_u32(&places[i].pid, 0);
		for (int v = 0; v < PGWEIR_PROGRESS_NVALUES; v++)
			pg_atomic_init_u64(&places[i].value[v], 0);
	}
}

static bool
is_alive(uint32 pid)
{
	return pid != 0 && BackendPidGetProc((int) pid) != NULL;
}

void
pgweir_progress_begin(void)
{
	if (depth++ > 0 || !pgweir_shared_ready())
		return;
	for (int i = 0; i < PGWEIR_PROGRESS_PLACES && mine == NULL; i++)
	{
		uint32		pid = pg_atomic_read_u32(&places[i].pid);

		if (pid != (uint32) MyProcPid && is_alive(pid))
			continue;
		if (pg_atomic_compare_exchange_u32(&places[i].pid, &pid, (uint32) MyProcPid))
			mine = &places[i];
	}
	if (mine == NULL)
		return;
	mine->dbid = MyDatabaseId;
	mine->started = GetCurrentTimestamp();
	for (int v = 0; v < PGWEIR_PROGRESS_NVALUES; v++)
		pg_atomic_write_u64(&mine->value[v], 0);
}

void
pgweir_progress_end(void)
{
	if (--depth > 0)
		return;
	depth = 0;
	if (mine)
		pg_atomic_write_u32(&mine->pid, 0);
	mine = NULL;
}

void
pgweir_progress_set(PgweirProgressValue which, uint64 value)
{
	if (mine)
		pg_atomic_write_u64(&mine->value[which], value);
}

bool
pgweir_progress_read(int index, PgweirProgress *progress)
{
	Place	   *place = &places[index];
	uint32		pid = pg_atomic_read_u32(&place->pid);

	if (!is_alive(pid))
		return false;
	progress->pid = (int) pid;
	progress->dbid = place->dbid;
	progress->started = place->started;
	for (int v = 0; v < PGWEIR_PROGRESS_NVALUES; v++)
		progress->value[v] = pg_atomic_read_u64(&place->value[v]);
	return true;
}
