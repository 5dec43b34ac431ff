/*
 * statements.h: what is known of each statement class, shared by all backends.
 *
 * A class is (user, database, queryid, top level or not).  Capture counts into per-backend deltas (deltas.h), which
 * are merged here now and then; readers see table and unmerged deltas added up.
 *
 * The table is split into partitions by the key's hash.  Each has one LWLock: shared suffices to find a class and to
 * add to its counters, which are atomics; exclusive is taken only to insert or evict in that partition.  A full
 * partition evicts by a clock sweep over its own slots.  The text of the statement, constants replaced by $n, stands
 * inline in the slot and goes with it.
 */
#ifndef PGWEIR_STORES_STATEMENTS_H
#define PGWEIR_STORES_STATEMENTS_H

#include "datatype/timestamp.h"
#include "stores/histogram.h"
#include "stores/waits.h"

typedef struct PgweirKey
{
	Oid			userid;
	Oid			dbid;
	int64		queryid;
	int32		toplevel;		/* 0 or 1; an int so that the key has no padding */
	int32		unused;			/* 0 */
} PgweirKey;

/* The sums kept for a class.  Times are nanoseconds. */
typedef enum PgweirCounter
{
	PGWEIR_CALLS,				/* executions, those that failed included */
	PGWEIR_TOTAL_NS,			/* their time, that of the failed ones included */
	PGWEIR_ROWS,
	PGWEIR_PLANS,
	PGWEIR_PLAN_NS,
	PGWEIR_SHARED_HIT,
	PGWEIR_SHARED_READ,
	PGWEIR_SHARED_DIRTIED,
	PGWEIR_SHARED_WRITTEN,
	PGWEIR_LOCAL_HIT,
	PGWEIR_LOCAL_READ,
	PGWEIR_LOCAL_DIRTIED,
	PGWEIR_LOCAL_WRITTEN,
	PGWEIR_TEMP_READ,
	PGWEIR_TEMP_WRITTEN,
	PGWEIR_BLK_READ_NS,
	PGWEIR_BLK_WRITE_NS,
	PGWEIR_WAL_RECORDS,
	PGWEIR_WAL_FPI,
	PGWEIR_WAL_BYTES,
	/* What follows is added to only when an execution failed. */
	PGWEIR_FAILED,				/* executions that failed; each is in exactly one of the kinds below */
	PGWEIR_FAILED_NS,
	PGWEIR_CANCELLED,			/* by a cancel request or pg_cancel_backend() */
	PGWEIR_STATEMENT_TIMEOUT,
	PGWEIR_LOCK_TIMEOUT,
	PGWEIR_DEADLINE_MISSED,		/* cancelled while a query deadline was in force */
	PGWEIR_DEADLOCK,
	PGWEIR_TERMINATED,			/* the backend went away with it */
	PGWEIR_ERR_DATA,			/* SQLSTATE class 22 */
	PGWEIR_ERR_INTEGRITY,		/* 23 */
	PGWEIR_ERR_ROLLBACK,		/* 40, serialization failures */
	PGWEIR_ERR_ACCESS,			/* 42, what does not exist or is not allowed */
	PGWEIR_ERR_RESOURCE,		/* 53, 54, 58 */
	PGWEIR_ERR_OTHER,
	PGWEIR_NCOUNTERS
} PgweirCounter;

/* A class as a reader gets it: a copy that no lock guards.  The pointers live until the visitor returns. */
typedef struct PgweirStatement
{
	Oid			userid;
	Oid			dbid;
	int64		queryid;
	bool		toplevel;
	uint64		calls;			/* = counter[PGWEIR_CALLS] */
	uint64		failures;		/* = counter[PGWEIR_FAILED] */
	uint64		rows;			/* = counter[PGWEIR_ROWS] */
	uint64		total_us;		/* counter[PGWEIR_TOTAL_NS] in microseconds */
	uint64		min_us;
	uint64		max_us;
	double		sum_squares;	/* of the times in microseconds */
	uint64		recent_calls;	/* in the last minute */
	uint64		recent_us;
	TimestampTz first_seen;
	TimestampTz last_seen;
	uint64		counter[PGWEIR_NCOUNTERS];
	uint64		hist[PGWEIR_BUCKETS];
	PgweirWait	waits[PGWEIR_CLASS_WAITS];	/* sampled; in no order */
	const char *text;			/* in the database encoding of the reader; "" when it was lost */
	int			text_len;
	bool		text_truncated;
} PgweirStatement;

typedef void (*PgweirStatementVisitor) (const PgweirStatement *statement, void *arg);

/*
 * Calls visit for every class of a database (InvalidOid: of all), in no order.  No lock is held meanwhile, so visit
 * may allocate, run queries and fail.  Raises the preload error when the library was not preloaded.  The caller
 * decides who may see what: neither texts nor ids are masked here.
 */
extern void pgweir_statements_visit(Oid dbid, PgweirStatementVisitor visit, void *arg);

#endif
