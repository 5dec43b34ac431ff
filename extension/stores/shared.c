/*
 * shared.c: the extension's segment of shared memory.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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

#define SAVE_NAP_US 10000
#define SAVE_TRIES 1000			/* ten seconds */

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

/* The server's own words for what does not fit speak of its own settings only. */
static void
check_size(void)
{
	Size		total = total_size();
	Size		machine = (Size) Max(sysconf(_SC_PHYS_PAGES), 0) * (Size) Max(sysconf(_SC_PAGESIZE), 0);

	if (machine == 0 || total <= machine)
		return;
	ereport(FATAL,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("pgweir would need %zu MB of shared memory, and the machine has %zu MB", total >> 20, machine >> 20),
			 errdetail("Statements take %zu MB of it, plans %zu MB, samples %zu MB, the history %zu MB.",
					   pgweir_statements_size() >> 20, pgweir_plans_size() >> 20, pgweir_samples_size() >> 20,
					   pgweir_history_size() >> 20),
			 errhint("Reduce pgweir.max_statements (now %d) or pgweir.query_size (%d bytes), pgweir.max_plans (%d) or pgweir.plan_size "
					 "(%d bytes), pgweir.sample_memory (%d kB), or pgweir.history_memory (%d kB).",
					 pgweir_max_statements, pgweir_query_size, pgweir_max_plans, pgweir_plan_size, pgweir_sample_memory_kb,
					 pgweir_history_memory_kb)));
}

static void
request(void)
{
#if PG_VERSION_NUM >= 150000
	if (previous_request)
		previous_request();
#endif
	check_size();
	RequestAddinShmemSpace(total_size());
	RequestNamedLWLockTranche("pgweir", total_locks());
}

/*
 * What a crash has left, all backends being gone: in a child, since that memory may hold anything, and the postmaster must not stumble over it.
 * Locks may be held by the dead.  The memory is made anew afterwards, so the child is waited for, but not for ever.
 */
static void
save_after_crash(void)
{
	sigset_t	all;
	sigset_t	before;
	pid_t		child;

	/* In the child the postmaster's handlers must not run. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	child = fork();
	if (child == 0)
	{
		LWLockPadded *locks = GetNamedLWLockTranche("pgweir");

		for (int i = total_locks() - 1; i >= 0; i--)
			LWLockInitialize(&locks[i].lock, locks[i].lock.tranche);
		pgweir_deltas_merge_left();
		pgweir_save();
		_exit(0);
	}
	for (int i = 0; child > 0 && waitpid(child, NULL, WNOHANG) == 0; i++)
	{
		if (i == SAVE_TRIES)
			kill(child, SIGKILL);
		pg_usleep(SAVE_NAP_US);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* The postmaster goes, or only its shared memory, because a backend has crashed: then with a status.  All backends have gone before. */
static void
leave(int code, Datum arg)
{
	if (!pgweir_save_statistics)
		return;
	if (code == 0)
		pgweir_save();
	else
		save_after_crash();
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
