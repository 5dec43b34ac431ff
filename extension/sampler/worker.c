/*
 * worker.c: the sampler's process: its registration, its loop, its pace.
 */
#include "postgres.h"

#include <time.h>

#include "compat.h"
#include "guc.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "sampler/sampler.h"
#include "stores/deltas.h"
#include "stores/waits.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define SECOND_NS UINT64CONST(1000000000)
#define MAX_INTERVAL_MS 1000
#define RESTART_S 5

/* Of the time passed, the part it may spend: in a thousand. */
#define TOO_MUCH 8
#define LITTLE 3

/* A round that came late, as when the machine was asleep, stands for no more than this many intervals. */
#define MAX_LATE 5

extern PGDLLEXPORT void pgweir_sampler_main(Datum arg);

static uint64
cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64) used.tv_sec * SECOND_NS + (uint64) used.tv_nsec;
}

/* Once a second: look less often if the last one cost too much, more often again if it cost little. */
static void
adapt(PgweirSamplerState *state, uint64 spent_ns, uint64 passed_ns)
{
	uint64		per_thousand = spent_ns * 1000 / Max(passed_ns, 1);

	if (per_thousand >= TOO_MUCH)
		state->interval_ms = Min(state->interval_ms * 2, MAX_INTERVAL_MS);
	else if (per_thousand <= LITTLE)
		state->interval_ms /= 2;
	state->interval_ms = Max(state->interval_ms, pgweir_sample_interval_ms);
}

/* What is due each second, in a memory context of its own; an error costs the rest of that second, not the worker. */
static void
run_second(MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);

	PG_TRY();
	{
		pgweir_each_second(GetCurrentTimestamp());
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		LWLockReleaseAll();
		EmitErrorReport();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextReset(context);
}

static void
start_state(PgweirSamplerState *state)
{
	state->interval_ms = pgweir_sample_interval_ms;
	state->samples = 0;
	state->cpu_us = 0;
	state->started = GetCurrentTimestamp();
	state->pid = MyProcPid;
}

static void
leave(int code, Datum arg)
{
	pgweir_sampler_state()->pid = 0;
}

static void
heed_signals(PgweirSamplerState *state)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		state->interval_ms = pgweir_sample_interval_ms;
	}
	/* Told to go while the server goes on, it is to be started again: only status 1 does that. */
	if (ShutdownRequestPending)
		proc_exit(1);
}

static void
nap(PgweirSamplerState *state)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, state->interval_ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	heed_signals(state);
}

void
pgweir_sampler_main(Datum arg)
{
	PgweirSamplerState *state = pgweir_sampler_state();
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pgweir seconds", ALLOCSET_DEFAULT_SIZES);
	uint64		sampled_ns = pgweir_clock_ns();
	uint64		overdue_ns = sampled_ns;
	uint64		second_ns = sampled_ns;
	uint64		second_cpu_ns = cpu_ns();

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	start_state(state);
	before_shmem_exit(leave, (Datum) 0);
	/* What is known from a start on is told against what was there then. */
	run_second(context);

	for (;;)
	{
		uint64		now_ns;

		nap(state);
		now_ns = pgweir_clock_ns();
		MemoryContextSwitchTo(context);
		pgweir_sample_backends(Min(now_ns - sampled_ns, (uint64) state->interval_ms * 1000000 * MAX_LATE));
		sampled_ns = now_ns;
		state->samples++;
		pgweir_statements_keep_free();
		if (now_ns - overdue_ns >= PGWEIR_OVERDUE_LOOK_NS - PGWEIR_OVERDUE_LOOK_NS / 8)
		{
			pgweir_deltas_merge_overdue(now_ns);
			overdue_ns = now_ns;
		}
		if (now_ns - second_ns >= SECOND_NS)
		{
			uint64		used_ns = cpu_ns();

			run_second(context);
			adapt(state, used_ns - second_cpu_ns, now_ns - second_ns);
			state->cpu_us = used_ns / 1000;
			second_ns = now_ns;
			second_cpu_ns = cpu_ns();
		}
	}
}

void
pgweir_sampler_init(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_PostmasterStart;
	worker.bgw_restart_time = RESTART_S;
	strlcpy(worker.bgw_name, "pgweir sampler", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pgweir sampler", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "pgweir", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pgweir_sampler_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
