/*
 * statements.h: what is known of each statement class, shared by all backends.
 *
 * A class is (user, database, queryid, top level or not).  It is kept once for each caller that the statements'
 * comments name; readers get these added up, or ask for each.  Capture counts into per-backend deltas (deltas.h), which
 * are merged here now and then; readers see table and unmerged deltas added up.
 *
 * The table is split into partitions by the key's hash.  Each has one LWLock: none is needed to see that a class is still where it was, shared
 * suffices to find it and to add to its counters, which are atomics; exclusive is taken only to insert or evict in that partition.  The sampler keeps some
 * slots of each partition free, by a clock sweep in small steps; a statement that finds none free all the same looks at a few slots and evicts
 * the least used of these.  The text of the statement, constants replaced by $n, stands
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
	int32		caller;			/* whom the statement's comment names (callers.h); 0: it names nobody */
} PgweirKey;

/* The sums kept for a class.  Times are nanoseconds. */
typedef enum PgweirCounter
{
	PGWEIR_CALLS,				/* executions, those that failed included */
	PGWEIR_TOTAL_NS,			/* their time, that of the failed ones included */
	PGWEIR_ROWS,
	PGWEIR_PLANS,
	PGWEIR_PLAN_NS,
	PGWEIR_GENERIC_CALLS,		/* top-level executions of a prepared statement's generic plan */
	PGWEIR_CUSTOM_CALLS,		/* and of plans made for their parameters */
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
	PGWEIR_WAL_RECORDS,
	PGWEIR_WAL_FPI,
	PGWEIR_WAL_BYTES,
	/* What follows is added to only by executions that have some of it (PgweirUsage.rare). */
	PGWEIR_RARE,
	/* Time of block I/O, with track_io_timing. */
	PGWEIR_BLK_READ_NS = PGWEIR_RARE,	/* of shared blocks; before 17 also of local ones */
	PGWEIR_BLK_WRITE_NS,
	PGWEIR_LOCAL_READ_NS,		/* 17 and later */
	PGWEIR_LOCAL_WRITE_NS,
	PGWEIR_TEMP_READ_NS,		/* 15 and later */
	PGWEIR_TEMP_WRITE_NS,
	PGWEIR_JIT_CALLS,			/* executions for which something was compiled */
	PGWEIR_JIT_FUNCTIONS,
	PGWEIR_JIT_GENERATION_NS,
	PGWEIR_JIT_INLINING_NS,
	PGWEIR_JIT_OPTIMIZATION_NS,
	PGWEIR_JIT_EMISSION_NS,
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
	PGWEIR_KIND_NS,				/* the time of each kind, in the same order */
	PGWEIR_NCOUNTERS = PGWEIR_KIND_NS + PGWEIR_ERR_OTHER - PGWEIR_CANCELLED + 1
} PgweirCounter;

/* The counter of the time of a kind of failure. */
static inline PgweirCounter
pgweir_kind_ns(PgweirCounter kind)
{
	return PGWEIR_KIND_NS + (kind - PGWEIR_CANCELLED);
}

#define PGWEIR_CLASS_RELATIONS 8

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
	uint64		latest_calls;	/* since pgweir_latest_since() */
	uint64		latest_us;
	TimestampTz first_seen;
	TimestampTz last_seen;
	uint64		counter[PGWEIR_NCOUNTERS];
	uint64		hist[PGWEIR_BUCKETS];
	PgweirWait	waits[PGWEIR_CLASS_WAITS];	/* sampled; in no order */
	int			n_relations;
	Oid			relation[PGWEIR_CLASS_RELATIONS];	/* tables that its plan reads or writes, as many as have place */
	int32		caller;			/* 0 unless callers are visited */
	const char *text;			/* in the database encoding of the reader; "" when it was lost */
	int			text_len;
	bool		text_truncated;
} PgweirStatement;

/* The beginning of the last seconds that counts are kept of by themselves: 3 to 13 seconds ago. */
extern TimestampTz pgweir_latest_since(TimestampTz now);

typedef void (*PgweirStatementVisitor) (const PgweirStatement *statement, void *arg);

/*
 * Calls visit for every class of a database (InvalidOid: of all), by the time they took, the most first.  No lock is held meanwhile, so visit
 * may allocate, run queries and fail.  Raises the preload error when the library was not preloaded.  The caller
 * decides who may see what: neither texts nor ids are masked here.
 */
extern void pgweir_statements_visit(Oid dbid, PgweirStatementVisitor visit, void *arg);

/*
 * The same with the counters, percentiles, extremes and waits of what was executed between two instants, as far as the history reaches
 * (history.h).
 */
extern void pgweir_statements_visit_between(Oid dbid, TimestampTz since, TimestampTz until,
											PgweirStatementVisitor visit, void *arg);

/* The same for every class and caller. */
extern void pgweir_statements_visit_callers(Oid dbid, PgweirStatementVisitor visit, void *arg);

#endif
