/*
 * plan_id.c: a number for the shape of a plan.
 *
 * 18 has a place for such a number in the plan, but leaves it to modules to fill it.
 */
#include "postgres.h"

#include "capture/plan_id.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "parser/parsetree.h"

typedef struct Walk
{
	const List *rtable;
	uint64		hash;
} Walk;

static void
mix(Walk *walk, uint32 value)
{
	walk->hash = hash_combine64(walk->hash, murmurhash32(value));
}

static void walk_plan(Walk *walk, const Plan *plan);

static void
walk_list(Walk *walk, const List *plans)
{
	ListCell   *lc;

	mix(walk, list_length(plans));
	foreach (lc, plans)
		walk_plan(walk, lfirst(lc));
}

static void
mix_relation(Walk *walk, Index rti)
{
	if (rti > 0 && rti <= (Index) list_length(walk->rtable))
		mix(walk, rt_fetch(rti, (List *) walk->rtable)->relid);
}

/* What tells two nodes of one kind apart. */
static void
mix_node(Walk *walk, const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_BitmapHeapScan:
		case T_ForeignScan:
			mix_relation(walk, ((const Scan *) plan)->scanrelid);
			break;
		case T_IndexScan:
			mix(walk, ((const IndexScan *) plan)->indexid);
			mix(walk, ((const IndexScan *) plan)->indexorderdir);
			break;
		case T_IndexOnlyScan:
			mix(walk, ((const IndexOnlyScan *) plan)->indexid);
			mix(walk, ((const IndexOnlyScan *) plan)->indexorderdir);
			break;
		case T_BitmapIndexScan:
			mix(walk, ((const BitmapIndexScan *) plan)->indexid);
			break;
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
			mix(walk, ((const Join *) plan)->jointype);
			break;
		case T_Agg:
			mix(walk, ((const Agg *) plan)->aggstrategy);
			mix(walk, ((const Agg *) plan)->aggsplit);
			break;
		case T_ModifyTable:
			mix(walk, ((const ModifyTable *) plan)->operation);
			mix_relation(walk, ((const ModifyTable *) plan)->nominalRelation);
			break;
		default:
			break;
	}
}

static void
walk_plan(Walk *walk, const Plan *plan)
{
	if (plan == NULL)
	{
		mix(walk, 0);
		return;
	}
	check_stack_depth();
	mix(walk, nodeTag(plan));
	mix_node(walk, plan);
	walk_plan(walk, plan->lefttree);
	walk_plan(walk, plan->righttree);
	switch (nodeTag(plan))
	{
		case T_Append:
			walk_list(walk, ((const Append *) plan)->appendplans);
			break;
		case T_MergeAppend:
			walk_list(walk, ((const MergeAppend *) plan)->mergeplans);
			break;
		case T_BitmapAnd:
			walk_list(walk, ((const BitmapAnd *) plan)->bitmapplans);
			break;
		case T_BitmapOr:
			walk_list(walk, ((const BitmapOr *) plan)->bitmapplans);
			break;
		case T_SubqueryScan:
			walk_plan(walk, ((const SubqueryScan *) plan)->subplan);
			break;
		case T_CustomScan:
			walk_list(walk, ((const CustomScan *) plan)->custom_plans);
			break;
		default:
			break;
	}
}

int64
pgweir_plan_id(const PlannedStmt *planned)
{
	Walk		walk = {planned->rtable, 0};

	walk_plan(&walk, planned->planTree);
	walk_list(&walk, planned->subplans);
	return walk.hash == 0 ? 1 : (int64) walk.hash;
}
