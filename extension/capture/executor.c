/*
 * executor.c: the hooks of the executor.
 *
 * Time is taken with one pair of clock readings.  A query is over when its Run returns, unless it may yet fire
 * triggers in Finish, which follows at once: then the clock goes on until then ("pending", one a nesting level).  A
 * cursor comes back for more: its parts are added up ("partial") and counted when the executor ends, so that the time
 * a client spends between two fetches is not the statement's.
 *
 * ExecutorStart is watched for errors only: that is where rights are checked.
 *
 * ExecutorEnd is not called after an error.  What failed was counted in the catch block; a cursor that was left behind
 * is counted when its memory goes.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "capture/capture.h"
#include "capture/facts.h"
#include "capture/meter.h"
#include "capture/plan_id.h"
#include "capture/sample.h"
#include "guc.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

#define MAX_PENDING 32			/* deeper levels leave out the time of Finish */

/* The query that ExecutorStart saw last, which as a rule is run next: its class need not be found twice. */
static struct
{
	const QueryDesc *desc;		/* NULL: none that is measured */
	int			level;
	PgweirKey	key;
}			started;

typedef struct Pending
{
	QueryDesc  *desc;			/* NULL: none */
	PgweirMeter meter;
	PgweirUsage usage;
} Pending;

/* A query of which some rows have been fetched; lives in the query's own memory. */
typedef struct Partial
{
	dlist_node	node;
	QueryDesc  *desc;
	bool		counted;
	PgweirKey	key;
	PgweirUsage usage;
	uint64		ns;
	MemoryContextCallback callback;
} Partial;

static Pending pending[MAX_PENDING];
static dlist_head partials = DLIST_STATIC_INIT(partials);

static ExecutorStart_hook_type previous_start;
static ExecutorRun_hook_type previous_run;
static ExecutorFinish_hook_type previous_finish;
static ExecutorEnd_hook_type previous_end;

static inline void
start(QueryDesc *desc, int flags)
{
	if (previous_start)
		previous_start(desc, flags);
	else
		standard_ExecutorStart(desc, flags);
}

static inline void
run(PGWEIR_RUN_ARGS)
{
	if (previous_run)
		previous_run(PGWEIR_RUN_PASS);
	else
		standard_ExecutorRun(PGWEIR_RUN_PASS);
}

static inline void
finish(QueryDesc *desc)
{
	if (previous_finish)
		previous_finish(desc);
	else
		standard_ExecutorFinish(desc);
}

/* Below the top nothing is measured unless everything is tracked; then the level need not be kept either. */
static inline bool
is_passed_over(void)
{
	return IsParallelWorker() || (pgweir_level > 0 && pgweir_track != PGWEIR_TRACK_ALL);
}

static void
executor_start(QueryDesc *desc, int flags)
{
	PgweirKey	key;

	started.desc = NULL;
	if (is_passed_over() || (flags & EXEC_FLAG_EXPLAIN_ONLY) ||
		!pgweir_meter_wanted((int64) desc->plannedstmt->queryId))
	{
		start(desc, flags);
		return;
	}
	pgweir_meter_key(&key, (int64) desc->plannedstmt->queryId, desc->sourceText);
	if (unlikely(pgweir_sample_instrument(&key)))
		desc->instrument_options |= INSTRUMENT_ROWS;
	PG_TRY();
	{
		start(desc, flags);
	}
	PG_CATCH();
	{
		pgweir_meter_fail_early(&key, desc->sourceText);
		PG_RE_THROW();
	}
	PG_END_TRY();
	started.desc = desc;
	started.level = pgweir_level;
	started.key = key;
}

static inline bool
is_started(const QueryDesc *desc)
{
	return started.desc == desc && started.level == pgweir_level && started.key.queryid == (int64) desc->plannedstmt->queryId;
}

static Partial *
partial_find(const QueryDesc *desc)
{
	dlist_iter	iter;

	dlist_foreach(iter, &partials)
	{
		Partial    *partial = dlist_container(Partial, node, iter.cur);

		if (partial->desc == desc)
			return partial;
	}
	return NULL;
}

/* The query's memory goes: by ExecutorEnd, or because its transaction was aborted. */
static void
partial_leave(void *arg)
{
	Partial    *partial = arg;

	dlist_delete(&partial->node);
	if (!partial->counted)
		pgweir_meter_count_late(&partial->key, &partial->usage, partial->ns);
}

static Partial *
partial_create(QueryDesc *desc, const PgweirKey *key)
{
	Partial    *partial = MemoryContextAllocZero(desc->estate->es_query_cxt, sizeof(Partial));

	partial->desc = desc;
	partial->key = *key;
	partial->callback.func = partial_leave;
	partial->callback.arg = partial;
	dlist_push_head(&partials, &partial->node);
	MemoryContextRegisterResetCallback(desc->estate->es_query_cxt, &partial->callback);
	return partial;
}

/* After a Run that need not be the last one. */
static void
partial_add(QueryDesc *desc, const PgweirMeter *meter, const PgweirUsage *usage, uint64 ns)
{
	Partial    *partial = partial_find(desc);

	if (partial == NULL)
		partial = partial_create(desc, &meter->key);
	pgweir_usage_add(&partial->usage, usage);
	partial->ns += ns;
}

/* Brings what earlier Runs of this query used into usage and meter; the query is counted now. */
static void
partial_take(QueryDesc *desc, PgweirMeter *meter, PgweirUsage *usage)
{
	Partial    *partial = dlist_is_empty(&partials) ? NULL : partial_find(desc);

	if (partial == NULL || partial->counted)
		return;
	pgweir_usage_add(usage, &partial->usage);
	meter->earlier_ns = partial->ns;
	partial->counted = true;
}

/* Rows, what was compiled, and the kind of plan. */
static void
note_outcome(QueryDesc *desc, const PgweirMeter *meter, PgweirUsage *usage)
{
	usage->counter[PGWEIR_ROWS] = desc->estate->es_processed;
	/* Rows are of this Run; the rest is of the execution, and was noted with its first one. */
	if (unlikely(!dlist_is_empty(&partials)) && partial_find(desc) != NULL)
		return;
	if (pgweir_level == 0)
		pgweir_plan_kind(desc, usage);
	if (unlikely(desc->estate->es_jit != NULL))
		pgweir_jit_usage(desc->estate, usage);
}

/* The query has been counted; its executor has not ended. */
static void
show(QueryDesc *desc, const PgweirMeter *meter, uint64 ns)
{
	if (unlikely(meter->entry >= 0 && !pgweir_delta_plan_shown(meter->entry)))
		pgweir_sample_plan(meter->entry, desc);
	if (unlikely(pgweir_sample_due(meter->entry, ns)))
		pgweir_sample_take(meter, desc, ns);
}

/* Whether something can be executed in Finish: triggers, and the rest of a WITH that changes rows. */
static inline bool
needs_finish(const QueryDesc *desc)
{
	return desc->operation != CMD_SELECT || desc->plannedstmt->hasModifyingCTE;
}

/* Run has returned: count the query, or keep what is known until its end is seen. */
static void
conclude_run(QueryDesc *desc, uint64 count, PgweirMeter *meter, PgweirUsage *usage)
{
	uint64		ns;

	note_outcome(desc, meter, usage);
	if (needs_finish(desc) && pgweir_level < MAX_PENDING)
	{
		pending[pgweir_level].desc = desc;
		pending[pgweir_level].meter = *meter;
		pending[pgweir_level].usage = *usage;
		pgweir_meter_end(meter, 0);
		return;
	}
	ns = pgweir_meter_read(meter, usage);
	if (count != 0)
		partial_add(desc, meter, usage, ns);
	else
	{
		partial_take(desc, meter, usage);
		pgweir_meter_count(meter, usage, ns + meter->earlier_ns);
		show(desc, meter, ns + meter->earlier_ns);
	}
	pgweir_meter_end(meter, meter->start_ns + ns);
}

static void
run_unmeasured(PGWEIR_RUN_ARGS)
{
	pgweir_level++;
	PG_TRY();
	{
		run(PGWEIR_RUN_PASS);
	}
	PG_FINALLY();
	{
		pgweir_level--;
	}
	PG_END_TRY();
}

static void
run_measured(PGWEIR_RUN_ARGS)
{
	PlannedStmt *planned = desc->plannedstmt;
	PgweirSource source = {(int64) planned->queryId, desc->sourceText, planned->stmt_location, planned->stmt_len, false};
	PgweirMeter meter;
	PgweirUsage usage;

	pgweir_usage_clear(&usage);
	if (is_started(desc))
		meter.key = started.key;
	else
		pgweir_meter_key(&meter.key, source.queryid, source.text);
	started.desc = NULL;
	pgweir_meter_start(&meter, &source, true);
	if (unlikely(meter.entry >= 0 && !pgweir_delta_relations_known(meter.entry)))
		pgweir_note_relations(meter.entry, planned);
	if (unlikely(meter.entry >= 0 && pgweir_delta_plan(meter.entry) == 0))
		pgweir_delta_set_plan(meter.entry, pgweir_plan_id(planned));
	pgweir_level++;
	PG_TRY();
	{
		run(PGWEIR_RUN_PASS);
	}
	PG_CATCH();
	{
		pgweir_level--;
		partial_take(desc, &meter, &usage);
		pgweir_meter_fail(&meter, &usage, desc->params);
		pgweir_meter_end(&meter, 0);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pgweir_level--;
	conclude_run(desc, count, &meter, &usage);
}

static void
executor_run(PGWEIR_RUN_ARGS)
{
	if (is_passed_over())
		run(PGWEIR_RUN_PASS);
	else if (is_started(desc) || pgweir_meter_wanted((int64) desc->plannedstmt->queryId))
		run_measured(PGWEIR_RUN_PASS);
	else
		run_unmeasured(PGWEIR_RUN_PASS);
}

/* The pending Run of this query, which is then no longer pending. */
static bool
pending_take(QueryDesc *desc, PgweirMeter *meter, PgweirUsage *usage)
{
	Pending    *kept;

	if (pgweir_level >= MAX_PENDING)
		return false;
	kept = &pending[pgweir_level];
	if (kept->desc != desc)
		return false;
	*meter = kept->meter;
	*usage = kept->usage;
	kept->desc = NULL;
	return pgweir_deltas_own();
}

static void
finish_measured(QueryDesc *desc, PgweirMeter *meter, PgweirUsage *usage)
{
	uint64		ns;

	pgweir_meter_resume(meter);
	pgweir_level++;
	PG_TRY();
	{
		finish(desc);
	}
	PG_CATCH();
	{
		pgweir_level--;
		pgweir_meter_fail(meter, usage, desc->params);
		pgweir_meter_end(meter, 0);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pgweir_level--;
	ns = pgweir_meter_read(meter, usage);
	pgweir_meter_count(meter, usage, ns);
	show(desc, meter, ns);
	pgweir_meter_end(meter, meter->start_ns + ns);
}

static void
executor_finish(QueryDesc *desc)
{
	PgweirMeter meter;
	PgweirUsage usage;

	if (is_passed_over() || !needs_finish(desc))
		finish(desc);
	else if (pending_take(desc, &meter, &usage))
		finish_measured(desc, &meter, &usage);
	else
	{
		pgweir_level++;
		PG_TRY();
		{
			finish(desc);
		}
		PG_FINALLY();
		{
			pgweir_level--;
		}
		PG_END_TRY();
	}
}

/* A cursor is at its end, or a query whose Finish was never called. */
static void
count_ended(QueryDesc *desc)
{
	Partial    *partial = dlist_is_empty(&partials) ? NULL : partial_find(desc);
	PgweirMeter meter;
	PgweirUsage usage;

	if (partial != NULL && !partial->counted && pgweir_delta_open(&partial->key) >= 0)
	{
		pgweir_meter_count_late(&partial->key, &partial->usage, partial->ns);
		partial->counted = true;
	}
	if (pending_take(desc, &meter, &usage))
		pgweir_meter_count_late(&meter.key, &usage, pgweir_meter_read(&meter, &usage));
}

static void
executor_end(QueryDesc *desc)
{
	if ((!dlist_is_empty(&partials) || needs_finish(desc)) && !is_passed_over())
		count_ended(desc);
	if (previous_end)
		previous_end(desc);
	else
		standard_ExecutorEnd(desc);
}

void
pgweir_executor_init(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = executor_run;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish;
	previous_end = ExecutorEnd_hook;
	ExecutorEnd_hook = executor_end;
}
