/*
 * compat.h: one spelling for what differs between PostgreSQL 14 and 18.
 *
 * Offers today's names and maps older servers onto them.  Elsewhere a version #if is a rarity with a reason.
 */
#ifndef PGWEIR_COMPAT_H
#define PGWEIR_COMPAT_H

#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "executor/executor.h"
#include "executor/instrument.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "nodes/queryjumble.h"
#else
#include "utils/queryjumble.h"
#endif
#if PG_VERSION_NUM < 150000
#include "postmaster/autovacuum.h"
#include "replication/walsender.h"
#include "utils/tuplestore.h"
#endif

#if PG_VERSION_NUM < 140000 || PG_VERSION_NUM >= 190000
#error "pgweir supports PostgreSQL 14 to 18"
#endif

/* ExecutorRun: execute_once went away in 18. */
#if PG_VERSION_NUM >= 180000
#define PGWEIR_RUN_ARGS QueryDesc *desc, ScanDirection direction, uint64 count
#define PGWEIR_RUN_PASS desc, direction, count
#else
#define PGWEIR_RUN_ARGS QueryDesc *desc, ScanDirection direction, uint64 count, bool execute_once
#define PGWEIR_RUN_PASS desc, direction, count, execute_once
#endif

/* This process's place among MaxBackends; negative in processes that have none. */
#if PG_VERSION_NUM >= 170000
#define PGWEIR_BACKEND_INDEX() ((int) MyProcNumber)
#else
#define PGWEIR_BACKEND_INDEX() ((int) MyBackendId - 1)
#endif

/* The same of another process, by its PGPROC. */
#if PG_VERSION_NUM >= 170000
#define PGWEIR_PROC_BACKEND_INDEX(proc) ((int) ((proc) - ProcGlobal->allProcs))
#else
#define PGWEIR_PROC_BACKEND_INDEX(proc) ((int) (proc)->backendId - 1)
#endif

/* 14 takes the request for shared memory in _PG_init, when MaxBackends is not yet computed. */
static inline int
pgweir_max_backends(void)
{
#if PG_VERSION_NUM >= 150000
	return MaxBackends;
#else
	return MaxConnections + autovacuum_max_workers + 1 + max_worker_processes + max_wal_senders;
#endif
}

/* Identifies this backend's transaction. */
#if PG_VERSION_NUM >= 170000
#define PGWEIR_LXID() (MyProc->vxid.lxid)
#else
#define PGWEIR_LXID() (MyProc->lxid)
#endif

/* An entry of the local copy of all backends' status, by its number from 1. */
static inline LocalPgBackendStatus *
pgweir_local_beentry(int number)
{
#if PG_VERSION_NUM >= 160000
	return pgstat_get_local_beentry_by_index(number);
#else
	return pgstat_fetch_stat_local_beentry(number);
#endif
}

/* Connections that the server has for ordinary users. */
static inline int
pgweir_server_slots(void)
{
#if PG_VERSION_NUM >= 160000
	return MaxConnections - SuperuserReservedConnections - ReservedConnections;
#else
	return MaxConnections - ReservedBackends;
#endif
}

#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* What a check hook hands to its assign hook is allocated with malloc up to 15, since then with guc_malloc. */
#if PG_VERSION_NUM < 160000
#define guc_malloc(level, size) malloc(size)
#endif

/* A clock reading or difference in nanoseconds: instr_time was a struct timespec before 16. */
static inline uint64
pgweir_instr_ns(instr_time t)
{
#if PG_VERSION_NUM >= 160000
	return (uint64) INSTR_TIME_GET_NANOSEC(t);
#else
	return (uint64) t.tv_sec * UINT64CONST(1000000000) + (uint64) t.tv_nsec;
#endif
}

static inline uint64
pgweir_clock_ns(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return pgweir_instr_ns(now);
}

/* Time spent in block I/O of relations; that of local blocks is in it before 17. */
static inline uint64
pgweir_block_read_ns(const BufferUsage *usage)
{
#if PG_VERSION_NUM >= 170000
	return pgweir_instr_ns(usage->shared_blk_read_time);
#else
	return pgweir_instr_ns(usage->blk_read_time);
#endif
}

static inline uint64
pgweir_block_write_ns(const BufferUsage *usage)
{
#if PG_VERSION_NUM >= 170000
	return pgweir_instr_ns(usage->shared_blk_write_time);
#else
	return pgweir_instr_ns(usage->blk_write_time);
#endif
}

/* Local blocks by themselves since 17, temporary files since 15; 0 where the server does not tell. */
#if PG_VERSION_NUM >= 170000
#define pgweir_local_read_ns(usage) pgweir_instr_ns((usage)->local_blk_read_time)
#define pgweir_local_write_ns(usage) pgweir_instr_ns((usage)->local_blk_write_time)
#else
#define pgweir_local_read_ns(usage) UINT64CONST(0)
#define pgweir_local_write_ns(usage) UINT64CONST(0)
#endif
#if PG_VERSION_NUM >= 150000
#define pgweir_temp_read_ns(usage) pgweir_instr_ns((usage)->temp_blk_read_time)
#define pgweir_temp_write_ns(usage) pgweir_instr_ns((usage)->temp_blk_write_time)
#else
#define pgweir_temp_read_ns(usage) UINT64CONST(0)
#define pgweir_temp_write_ns(usage) UINT64CONST(0)
#endif

/* Whether pg_stat_statements counts DEALLOCATE: it has a normalised text, and so a class of its own, since 17. */
#define PGWEIR_DEALLOCATE_COUNTS (PG_VERSION_NUM >= 170000)

/* 14 has no helper that sets a function up to return its rows in a tuplestore. */
#if PG_VERSION_NUM < 150000
static inline void
InitMaterializedSRF(FunctionCallInfo fcinfo, int flags)
{
	ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	TupleDesc	desc;

	if (info == NULL || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	info->returnMode = SFRM_Materialize;
	info->setResult = tuplestore_begin_heap((info->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
	info->setDesc = desc;
	MemoryContextSwitchTo(old);
}
#endif

#endif
