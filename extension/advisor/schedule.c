/*
 * schedule.c: the launcher and the workers that make advice in the background.
 *
 * Low priority in two ways: the process is nice, and a run ends when many statements run or connections get scarce; the
 * next one comes an interval later.
 */
#include "postgres.h"

#include "advisor/schedule.h"

#include <sys/resource.h>
#include <unistd.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "compat.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "advisor/settings.h"
#include "stores/backends.h"

#define NICE 10
/* Statements that may run beside a run, for each CPU; connections in use, of those there can be. */
#define MAX_ACTIVE_PER_CPU 2
#define MAX_CONNECTIONS_SHARE 0.9
#define CHECK_MS 200
#define RESTART_S 60

extern PGDLLEXPORT void pgweir_schedule_main(Datum arg);
extern PGDLLEXPORT void pgweir_schedule_run(Datum arg);

static bool background = false;

bool
pgweir_schedule_is_background(void)
{
	return background;
}

/* What was found to be too much. */
typedef struct Pressure
{
	int			active;			/* statements that run */
	int			connected;
	bool		busy;
} Pressure;

static Pressure
look(void)
{
	long		cpus = Max(sysconf(_SC_NPROCESSORS_ONLN), 1);
	Pressure	pressure = {0};
	int			i;

	for (i = 0; i < pgweir_max_backends(); i++)
	{
		PgweirActivity activity;

		if (pgweir_backend_read(i, &activity) && activity.key.queryid != 0)
			pressure.active++;
	}
	/* Also those that have not said anything yet. */
	pressure.connected = CountDBConnections(InvalidOid);
	pressure.busy = pressure.active > cpus * MAX_ACTIVE_PER_CPU ||
		pressure.connected > MaxConnections * MAX_CONNECTIONS_SHARE;
	return pressure;
}

/* Ends the process; what it began is rolled back, and nothing is wrong.  The same comes again at the next time. */
static void
give_way(const char *what, Pressure pressure)
{
	ereport(LOG,
			(errmsg("the advisor's run %s since the server is busy", what),
			 errdetail("Beside it %d statements run, and %d of %d connections are in use.", pressure.active,
					   pressure.connected, MaxConnections),
			 errhint("It is tried again in %d seconds.", pgweir_advisor_interval_s)));
	proc_exit(0);
}

void
pgweir_schedule_give_way(void)
{
	static TimestampTz checked = 0;
	TimestampTz now;
	Pressure	pressure;

	if (!background)
		return;
	now = GetCurrentTimestamp();
	if (now - checked < CHECK_MS * 1000)
		return;
	checked = now;
	pressure = look();
	if (pressure.busy)
		give_way("was ended", pressure);
}

/* Databases somebody may connect to; in the context of the caller. */
static List *
databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *oids = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (form->datistemplate || !form->datallowconn)
			continue;
		old = MemoryContextSwitchTo(context);
		oids = lappend_oid(oids, form->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return oids;
}

/* Runs a worker in the database and waits for its end. */
static void
advise_database(Oid dbid)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_name, "pgweir advisor", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pgweir advisor", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "pgweir", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgweir_schedule_run", BGW_MAXLEN);
	worker.bgw_main_arg = ObjectIdGetDatum(dbid);
	worker.bgw_notify_pid = MyProcPid;
	/* No place for another worker: at the next time then. */
	if (RegisterDynamicBackgroundWorker(&worker, &handle))
		(void) WaitForBackgroundWorkerShutdown(handle);
}

static void
advise_all(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *lc;

	foreach (lc, databases())
	{
		CHECK_FOR_INTERRUPTS();
		advise_database(lfirst_oid(lc));
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(context);
}

/* Waits for the interval to pass; a reload may change it meanwhile, and 0 is for ever. */
static void
wait_interval(TimestampTz since)
{
	for (;;)
	{
		long		left = -1;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (pgweir_advisor_interval_s > 0)
		{
			left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
												   TimestampTzPlusMilliseconds(since, pgweir_advisor_interval_s * INT64CONST(1000)));
			if (left <= 0)
				return;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (left >= 0 ? WL_TIMEOUT : 0), left,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
pgweir_schedule_main(Datum arg)
{
	MemoryContext context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	context = AllocSetContextCreate(TopMemoryContext, "pgweir schedule", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		wait_interval(GetCurrentTimestamp());
		advise_all(context);
	}
}

void
pgweir_schedule_run(Datum arg)
{
	Pressure	pressure;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg), InvalidOid, 0);
	(void) setpriority(PRIO_PROCESS, 0, NICE);
	background = true;
	/* It is no part of the workload. */
	SetConfigOption("pgweir.track", "none", PGC_SUSET, PGC_S_OVERRIDE);
	pressure = look();
	if (pressure.busy)
		give_way("was not begun", pressure);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(get_extension_oid("pgweir", true)))
	{
		pgstat_report_activity(STATE_RUNNING, "SELECT count(*) FROM pgweir.advise()");
		if (SPI_connect() != SPI_OK_CONNECT || SPI_execute("SELECT count(*) FROM pgweir.advise()", false, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not run pgweir.advise()");
		SPI_finish();
		pgstat_report_activity(STATE_IDLE, NULL);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	proc_exit(0);
}

void
pgweir_schedule_init(void)
{
	BackgroundWorker worker;

	if (pgweir_advisor_interval_s <= 0)
		return;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = RESTART_S;
	strlcpy(worker.bgw_name, "pgweir advisor launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pgweir advisor launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "pgweir", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgweir_schedule_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
