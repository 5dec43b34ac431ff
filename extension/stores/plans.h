/*
 * plans.h: the plans that classes were executed by, so that a change of plan can be seen.
 *
 * A plan is told by a number made of its nodes, tables and indexes, not of costs or constants.  Backends add what they executed by
 * it when they merge their deltas, so this is up to pgweir.flush_interval late.  Places are in groups, a class and plan belong
 * to one; in a full group the plan that was not seen for longest goes.  Some locks guard the groups, each its share: they are taken at merges and
 * when a backend meets a plan it does not know, never once an execution.
 */
#ifndef PGWEIR_STORES_PLANS_H
#define PGWEIR_STORES_PLANS_H

#include "stores/statements_table.h"

typedef struct PgweirPlan
{
	PgweirKey	key;			/* caller is 0 */
	int64		plan_id;
	TimestampTz first_seen;
	TimestampTz last_seen;
	uint64		calls;
	uint64		total_ns;
	int32		encoding;
	int32		len;			/* of the text; 0: it was never seen at its end */
} PgweirPlan;

extern Size pgweir_plans_size(void);
extern int	pgweir_plans_locks(void);
extern void pgweir_plans_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Whether any plans are kept. */
extern bool pgweir_plans_wanted(void);

/*
 * Whether the text of a class's plan is there; and puts it there.  *restless: the plan is not there, and the place that it would get has changed
 * hands a moment ago, as when each statement runs but once.
 */
extern bool pgweir_plan_has_text(const PgweirKey *key, int64 plan_id, TimestampTz seen, bool *restless);
extern void pgweir_plan_put_text(const PgweirKey *key, int64 plan_id, TimestampTz seen, const char *text, int len);

/* Adds executions by a plan.  Without wait, false and nothing done when somebody has the lock. */
extern bool pgweir_plan_add(const PgweirKey *key, int64 plan_id, uint64 calls, uint64 ns, TimestampTz seen, bool wait);

/* Calls visit with a copy of each plan and its text, ending in NUL; no lock is held meanwhile. */
typedef void (*PgweirPlanVisitor) (const PgweirPlan *plan, const char *text, void *arg);
extern void pgweir_plans_visit(PgweirPlanVisitor visit, void *arg);

/* Forgets those of a user, database and queryid; 0 is any. */
extern void pgweir_plans_reset(Oid userid, Oid dbid, int64 queryid);

/* Takes a plan in as it was saved; in the postmaster, without a lock. */
extern void pgweir_plan_restore(const PgweirPlan *plan, const char *text);

#endif
