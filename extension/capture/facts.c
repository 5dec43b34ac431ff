/*
 * facts.c: what the plan and the executor tell about a statement beyond its time.
 */
#include "postgres.h"

#include "capture/facts.h"
#include "catalog/pg_class.h"
#include "jit/jit.h"
#include "nodes/parsenodes.h"
#include "tcop/pquery.h"
#include "utils/plancache.h"
#include "utils/portal.h"

static bool
contains(const Oid *oids, int n, Oid oid)
{
	for (int i = 0; i < n; i++)
	{
		if (oids[i] == oid)
			return true;
	}
	return false;
}

/* From the plan, not from queryid: since 18 tables of one name in two schemas share that. */
void
pgweir_note_relations(int entry, const PlannedStmt *planned)
{
	Oid			relations[PGWEIR_CLASS_RELATIONS];
	int			n = 0;
	ListCell   *lc;

	foreach (lc, planned->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW || contains(relations, n, rte->relid))
			continue;
		relations[n++] = rte->relid;
		if (n == PGWEIR_CLASS_RELATIONS)
			break;
	}
	pgweir_delta_put_relations(entry, relations, n);
}

/*
 * Up to 18 the plan does not say of which kind it is.  But a generic plan is held by its prepared statement beside the
 * portal that runs it, and a custom one by the portal alone.  Nested statements have no portal of their own to ask.
 */
void
pgweir_plan_kind(const QueryDesc *desc, PgweirUsage *usage)
{
	const CachedPlan *cached = ActivePortal != NULL ? ActivePortal->cplan : NULL;

	if (cached == NULL || cached->stmt_list == NIL)
		return;
	if (linitial(cached->stmt_list) != desc->plannedstmt && !list_member_ptr(cached->stmt_list, desc->plannedstmt))
		return;
	usage->counter[cached->refcount > 1 ? PGWEIR_GENERIC_CALLS : PGWEIR_CUSTOM_CALLS] = 1;
}

static void
add_jit(PgweirUsage *usage, const JitInstrumentation *jit)
{
	usage->counter[PGWEIR_JIT_FUNCTIONS] += jit->created_functions;
	usage->counter[PGWEIR_JIT_GENERATION_NS] += pgweir_instr_ns(jit->generation_counter);
	usage->counter[PGWEIR_JIT_INLINING_NS] += pgweir_instr_ns(jit->inlining_counter);
	usage->counter[PGWEIR_JIT_OPTIMIZATION_NS] += pgweir_instr_ns(jit->optimization_counter);
	usage->counter[PGWEIR_JIT_EMISSION_NS] += pgweir_instr_ns(jit->emission_counter);
}

void
pgweir_jit_usage(const EState *estate, PgweirUsage *usage)
{
	pgweir_usage_begin_rare(usage);
	add_jit(usage, &estate->es_jit->instr);
	if (estate->es_jit_worker_instr != NULL)
		add_jit(usage, estate->es_jit_worker_instr);
	if (usage->counter[PGWEIR_JIT_FUNCTIONS] > 0)
		usage->counter[PGWEIR_JIT_CALLS] = 1;
}
