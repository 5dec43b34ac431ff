/*
 * sample.h: keeping single executions: those that were slow, slower than their class ever is, or ended by a timeout; and their plans.
 */
#ifndef PGWEIR_CAPTURE_SAMPLE_H
#define PGWEIR_CAPTURE_SAMPLE_H

#include "capture/meter.h"
#include "guc.h"
#include "nodes/params.h"

#define PGWEIR_UNUSUAL_MIN_NS UINT64CONST(10000000)	/* what takes less is not kept, however quick its class is */

/* Whether an execution that took ns is to be kept. */
extern bool pgweir_sample_is_due(int entry, uint64 ns);

static inline bool
pgweir_sample_due(int entry, uint64 ns)
{
	/* As almost all do. */
	if (ns < PGWEIR_UNUSUAL_MIN_NS && (pgweir_slow_threshold_ms < 0 || ns < (uint64) pgweir_slow_threshold_ms * 1000000))
		return false;
	return pgweir_sample_is_due(entry, ns);
}

/* Keeps it.  desc is NULL for a command without a plan; else its executor must not have ended.  May take locks and fail. */
extern void pgweir_sample_take(const PgweirMeter *meter, QueryDesc *desc, uint64 ns);

/* For catch blocks: remembers an execution that failed, if by a timeout; it is stored when the transaction is aborted. */
extern void pgweir_sample_note_failure(const PgweirMeter *meter, PgweirCounter kind, const ParamListInfo params, uint64 ns);

/* At ExecutorStart: whether this execution is one of those that count the rows of each node. */
extern bool pgweir_sample_instrument(const PgweirKey *key);

/* After a Run: shows the plan to the plan store, when it is new there. */
extern void pgweir_sample_plan(int entry, QueryDesc *desc);

#endif
