/*
 * shared.c: the extension's segment of shared memory.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "stores/backends.h"
#include "stores/callers.h"
#include "stores/deltas.h"
#include "stores/history.h"
#include "stores/moments.h"
#include "stores/progress.h"
#include "stores/plans.h"
#include "stores/reports.h"
#include "stores/samples.h"
#include "stores/save.h"
#include "stores/shared.h"
#include "stores/statements_table.h"
#include "stores/timeline.h"
#include "stores/waits.h"
#include "storage/shmem.h"

static shmem_startup_hook_type previous_startup;
#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type previous_request;
#endif
static bool attached = false;

/* A store's part of the segment.  attach gets its memory, and the locks that follow those of the rows above. */
static const struct
{
	Size		(*size) (void);
	int			(*locks) (void);
	void		(*attach) (void *memory, LWLockPadded *locks, bool fresh);
}			parts[] =
{
	{pgweir_statements_size, pgweir_statements_locks, pgweir_statements_attach},
	{pgweir_reports_size, pgweir_reports_locks, pgweir_reports_attach},
	{pgweir_moments_size, pgweir_moments_locks, pgweir_moments_attach},
	{pgweir_callers_size, pgweir_callers_locks, pgweir_callers_attach},
	{pgweir_history_size, pgweir_history_locks, pgweir_history_attach},
	{pgweir_samples_size, pgweir_samples_locks, pgweir_samples_attach},
	{pgweir_plans_size, pgweir_plans_locks, pgweir_plans_attach},
	{pgweir_backends_size, NULL, pgweir_backends_attach},
	{pgweir_deltas_size, NULL, pgweir_deltas_attach},
	{pgweir_timeline_size, NULL, pgweir_timeline_attach},
	{pgweir_progress_size, NULL, pgweir_progress_attach},
	{pgweir_waits_size, NULL, pgweir_waits_attach},
};

static Size
part_size(int i)
{
	return CACHELINEALIGN(parts[i].size());
}

static Size
total_size(void)
{
	Size		size = PG_CACHE_LINE_SIZE;

	for (int i = 0; i < (int) lengthof(parts); i++)
		size = add_size(size, part_size(i));
	return size;
}

static int
total_locks(void)
{
	int			locks = 0;

	for (int i = 0; i < (int) lengthof(parts); i++)
		locks += parts[i].locks ? parts[i].locks() : 0;
	return locks;
}

static void
request(void)
{
#if PG_VERSION_NUM >= 150000
	if (previous_request)
		previous_request();
#endif
	RequestAddinShmemSpace(total_size());
	RequestNamedLWLockTranche("pgweir", total_locks());
}

/* The postmaster goes, after all backends have; with a status when that is because of a failure. */
static void
leave(int code, Datum arg)
{
	if (code == 0 && pgweir_save_statistics)
		pgweir_save();
}

static void
startup(void)
{
	char	   *memory;
	LWLockPadded *locks;
	bool		found;

	if (previous_startup)
		previous_startup();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	memory = ShmemInitStruct("pgweir", total_size(), &found);
	memory = (char *) CACHELINEALIGN(memory);
	locks = GetNamedLWLockTranche("pgweir");
	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		parts[i].attach(memory, locks, !found);
		memory += part_size(i);
		locks += parts[i].locks ? parts[i].locks() : 0;
	}
	LWLockRelease(AddinShmemInitLock);
	attached = true;
	if (IsUnderPostmaster)
		return;
	if (!found && pgweir_save_statistics)
		pgweir_load();
	on_shmem_exit(leave, (Datum) 0);
}

void
pgweir_shared_init(void)
{
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
#if PG_VERSION_NUM >= 150000
	previous_request = shmem_request_hook;
	shmem_request_hook = request;
#else
	request();
#endif
}

bool
pgweir_shared_ready(void)
{
	return attached;
}

void
pgweir_require_preload(void)
{
	if (attached)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pgweir was not loaded when the server started"),
			 errhint("Set shared_preload_libraries = 'pgweir' in postgresql.conf (keep what already stands there) and restart the server.")));
}
