/*
 * whatif.c: shows the planner indexes that do not exist.
 *
 * While pgweir_whatif_plan() runs, `active` points at its job on the stack.  The planner can come back to us from
 * planning something else: a function that it evaluates may run statements of its own.  Our own call is known by its
 * parameter list, an empty one made for the job, which the planner hands down to every level of the one statement.
 */
#include "postgres.h"

#include "advisor/whatif.h"

#include "access/amapi.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "optimizer/appendinfo.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "advisor/compat_advisor.h"
#include "advisor/settings.h"

/* Indexes shown get OIDs downwards from here: below those of user objects, above those initdb hands out. */
#define FIRST_SHOWN_OID ((Oid) (FirstNormalObjectId - 1))

typedef struct WhatifJob
{
	const PgweirWhatif *whatif;
	ParamListInfo params;		/* known by its address */
} WhatifJob;

static WhatifJob *active = NULL;
static get_relation_info_hook_type prev_get_relation_info = NULL;
static get_index_stats_hook_type prev_get_index_stats = NULL;
static set_rel_pathlist_hook_type prev_set_rel_pathlist = NULL;

/* The steps from a partition up to the table that the index is on; false when it is no descendant of it. */
static bool
partition_steps(PlannerInfo *root, Index child, Oid ancestor, List **steps)
{
	*steps = NIL;
	while (root->append_rel_array && root->append_rel_array[child])
	{
		AppendRelInfo *step = root->append_rel_array[child];

		*steps = lcons(step, *steps);
		if (step->parent_reloid == ancestor)
			return true;
		child = step->parent_relid;
	}
	return false;
}

/* The column's number in the partition. */
static AttrNumber
partition_attno(List *steps, AttrNumber attno)
{
	ListCell   *lc;

	foreach (lc, steps)
	{
		Var		   *var = list_nth(lfirst_node(AppendRelInfo, lc)->translated_vars, attno - 1);

		if (var == NULL || !IsA(var, Var))
			return InvalidAttrNumber;
		attno = var->varattno;
	}
	return attno;
}

/* A copy of an expression over variable number 1 for the relation in the planner's numbering. */
static Node *
expression_for(PlannerInfo *root, const void *expr, Index relid, List *steps)
{
	Node	   *node = copyObject((Node *) expr);
	ListCell   *lc;

	ChangeVarNodes(node, 1, steps ? linitial_node(AppendRelInfo, steps)->parent_relid : relid, 0);
	foreach (lc, steps)
	{
		AppendRelInfo *step = lfirst_node(AppendRelInfo, lc);

		node = adjust_appendrel_attrs(root, node, 1, &step);
	}
	return node;
}

/* The target list the planner compares columns of an index with. */
static List *
index_tlist(const IndexOptInfo *info, Index relid, Oid table)
{
	List	   *tlist = NIL;
	ListCell   *lc = list_head(info->indexprs);
	int			i;

	for (i = 0; i < info->ncolumns; i++)
	{
		Expr	   *expr;

		if (info->indexkeys[i] != 0)
		{
			Oid			type;
			int32		typmod;
			Oid			collation;

			get_atttypetypmodcoll(table, info->indexkeys[i], &type, &typmod, &collation);
			expr = (Expr *) makeVar(relid, info->indexkeys[i], type, typmod, collation, 0);
		}
		else
		{
			expr = lfirst(lc);
			lc = lnext(info->indexprs, lc);
		}
		tlist = lappend(tlist, makeTargetEntry(expr, i + 1, NULL, false));
	}
	return tlist;
}

static void
set_columns(IndexOptInfo *info, const PgweirIndex *index, IndexAmRoutine *am, const AttrNumber *attnos)
{
	int			n = index->ncolumns;
	int			i;

	info->ncolumns = n;
	info->nkeycolumns = index->nkeys;
	info->indexkeys = palloc(sizeof(int) * n);
	info->canreturn = palloc(sizeof(bool) * n);
	info->indexcollations = palloc(sizeof(Oid) * index->nkeys);
	info->opfamily = palloc(sizeof(Oid) * index->nkeys);
	info->opcintype = palloc(sizeof(Oid) * index->nkeys);
	info->opclassoptions = palloc0(sizeof(bytea *) * n);
	for (i = 0; i < n; i++)
	{
		info->indexkeys[i] = attnos[i];
		info->canreturn[i] = index->am == BTREE_AM_OID;
	}
	for (i = 0; i < index->nkeys; i++)
	{
		info->indexcollations[i] = index->column[i].collation;
		info->opfamily[i] = index->column[i].opfamily;
		info->opcintype[i] = index->column[i].opcintype;
	}
	if (!am->amcanorder)
		return;
	info->sortopfamily = info->opfamily;
	info->reverse_sort = palloc(sizeof(bool) * index->nkeys);
	info->nulls_first = palloc(sizeof(bool) * index->nkeys);
	for (i = 0; i < index->nkeys; i++)
	{
		info->reverse_sort[i] = index->column[i].descending;
		info->nulls_first[i] = index->column[i].nulls_first;
	}
}

static void
set_access_method(IndexOptInfo *info, IndexAmRoutine *am)
{
	info->amcanorderbyop = am->amcanorderbyop;
	info->amoptionalkey = am->amoptionalkey;
	info->amsearcharray = am->amsearcharray;
	info->amsearchnulls = am->amsearchnulls;
	info->amcanparallel = am->amcanparallel;
	info->amhasgettuple = am->amgettuple != NULL;
	info->amhasgetbitmap = am->amgetbitmap != NULL;
	/* HypoPG leaves this out, which costs merge joins a materialisation. */
	info->amcanmarkpos = !pgweir_advisor_hypopg_compatible && am->ammarkpos != NULL && am->amrestrpos != NULL;
	info->amcostestimate = am->amcostestimate;
}

/* The index as the planner describes one on this relation; NULL when a column is missing there. */
static IndexOptInfo *
make_index_info(PlannerInfo *root, RelOptInfo *rel, Oid table, const PgweirIndex *index, Oid oid, List *steps)
{
	IndexOptInfo *info = makeNode(IndexOptInfo);
	IndexAmRoutine *am = GetIndexAmRoutineByAmId(index->am, false);
	AttrNumber *attnos = palloc(sizeof(AttrNumber) * Max(index->ncolumns, 1));
	PgweirIndexSize size;
	int			i;

	for (i = 0; i < index->ncolumns; i++)
	{
		attnos[i] = index->column[i].attno;
		if (index->column[i].expr)
			info->indexprs = lappend(info->indexprs,
									 expression_for(root, index->column[i].expr, rel->relid, steps));
		else if ((attnos[i] = partition_attno(steps, attnos[i])) == InvalidAttrNumber)
			return NULL;
	}
	info->indexoid = oid;
	info->reltablespace = rel->reltablespace;
	info->rel = rel;
	info->relam = index->am;
	set_columns(info, index, am, attnos);
	set_access_method(info, am);
	info->indextlist = index_tlist(info, rel->relid, table);
	if (index->predicate)
		info->indpred = (List *) expression_for(root, index->predicate, rel->relid, steps);
	info->unique = index->unique;
#if PG_VERSION_NUM >= 180000
	info->nullsnotdistinct = index->nulls_not_distinct;
#endif
	info->immediate = true;
	info->hypothetical = true;
	size = pgweir_index_size(index, table, attnos, rel->tuples, rel->pages);
	info->pages = (BlockNumber) Min(size.pages, (double) MaxBlockNumber);
	info->tuples = size.tuples;
	info->tree_height = size.height;
	return info;
}

static bool
is_hidden(const PgweirWhatif *whatif, Oid oid)
{
	int			i;

	for (i = 0; i < whatif->nhidden; i++)
	{
		if (whatif->hidden[i] == oid)
			return true;
	}
	return false;
}

static bool
is_ours(PlannerInfo *root)
{
	return active != NULL && root->glob->boundParams == active->params;
}

static void
whatif_get_relation_info(PlannerInfo *root, Oid table, bool inhparent, RelOptInfo *rel)
{
	const PgweirWhatif *whatif;
	List	   *kept = NIL;
	ListCell   *lc;
	int			i;

	if (prev_get_relation_info)
		prev_get_relation_info(root, table, inhparent, rel);
	if (likely(active == NULL) || !is_ours(root) || inhparent)
		return;
	whatif = active->whatif;
	foreach (lc, rel->indexlist)
	{
		if (!is_hidden(whatif, lfirst_node(IndexOptInfo, lc)->indexoid))
			kept = lappend(kept, lfirst(lc));
	}
	rel->indexlist = kept;
	for (i = 0; i < whatif->nindexes; i++)
	{
		const PgweirIndex *index = whatif->index[i];
		List	   *steps = NIL;
		IndexOptInfo *info;

		if (index->relid != table &&
			(!index->partitioned || !partition_steps(root, rel->relid, index->relid, &steps)))
			continue;
		info = make_index_info(root, rel, table, index, FIRST_SHOWN_OID - i, steps);
		if (info)
			rel->indexlist = lcons(info, rel->indexlist);
	}
}

static void
whatif_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	if (prev_set_rel_pathlist)
		prev_set_rel_pathlist(root, rel, rti, rte);
	if (likely(active == NULL) || active->whatif->visit == NULL || !is_ours(root))
		return;
	active->whatif->visit(root, rel, rte, active->whatif->visit_arg);
}

static void
keep_stats(HeapTuple tuple)
{
	/* The index's owner keeps them. */
}

/* Statistics of expressions that the server has none of, as long as no index on them is there. */
static bool
whatif_get_index_stats(PlannerInfo *root, Oid oid, AttrNumber attnum, VariableStatData *vardata)
{
	if (unlikely(active != NULL) && is_ours(root) && oid <= FIRST_SHOWN_OID &&
		oid > FIRST_SHOWN_OID - (Oid) active->whatif->nindexes)
	{
		const PgweirIndex *index = active->whatif->index[FIRST_SHOWN_OID - oid];

		if (attnum < 1 || attnum > index->ncolumns || !HeapTupleIsValid(index->column[attnum - 1].stats))
			return false;
		vardata->statsTuple = index->column[attnum - 1].stats;
		vardata->freefunc = keep_stats;
		vardata->acl_ok = true;
		return true;
	}
	return prev_get_index_stats && prev_get_index_stats(root, oid, attnum, vardata);
}

static void
note_index(PgweirPlanned *planned, const PgweirWhatif *whatif, Oid oid)
{
	if (oid <= FIRST_SHOWN_OID && oid > FIRST_SHOWN_OID - (Oid) whatif->nindexes)
		planned->used = bms_add_member(planned->used, (int) (FIRST_SHOWN_OID - oid));
	else
		planned->used_oids = list_append_unique_oid(planned->used_oids, oid);
}

static void note_indexes(PgweirPlanned *planned, const PgweirWhatif *whatif, Plan *plan);

static void
note_indexes_of_all(PgweirPlanned *planned, const PgweirWhatif *whatif, List *plans)
{
	ListCell   *lc;

	foreach (lc, plans)
		note_indexes(planned, whatif, (Plan *) lfirst(lc));
}

/* Collects the indexes a plan scans. */
static void
note_indexes(PgweirPlanned *planned, const PgweirWhatif *whatif, Plan *plan)
{
	if (plan == NULL)
		return;
	check_stack_depth();
	switch (nodeTag(plan))
	{
		case T_IndexScan: note_index(planned, whatif, ((IndexScan *) plan)->indexid); break;
		case T_IndexOnlyScan: note_index(planned, whatif, ((IndexOnlyScan *) plan)->indexid); break;
		case T_BitmapIndexScan: note_index(planned, whatif, ((BitmapIndexScan *) plan)->indexid); break;
		case T_BitmapAnd: note_indexes_of_all(planned, whatif, ((BitmapAnd *) plan)->bitmapplans); break;
		case T_BitmapOr: note_indexes_of_all(planned, whatif, ((BitmapOr *) plan)->bitmapplans); break;
		case T_Append: note_indexes_of_all(planned, whatif, ((Append *) plan)->appendplans); break;
		case T_MergeAppend: note_indexes_of_all(planned, whatif, ((MergeAppend *) plan)->mergeplans); break;
		case T_SubqueryScan: note_indexes(planned, whatif, ((SubqueryScan *) plan)->subplan); break;
		case T_CustomScan: note_indexes_of_all(planned, whatif, ((CustomScan *) plan)->custom_plans); break;
		default: break;
	}
	note_indexes(planned, whatif, plan->lefttree);
	note_indexes(planned, whatif, plan->righttree);
}

PgweirPlanned
pgweir_whatif_plan(const Query *query, const char *text, const PgweirWhatif *whatif)
{
	PgweirPlanned planned = {0};
	WhatifJob	job = {whatif, makeParamList(0)};
	WhatifJob  *outer = active;
	PlannedStmt *volatile stmt = NULL;

	if (whatif->nindexes > PGWEIR_WHATIF_MAX_INDEXES)
		elog(ERROR, "too many hypothetical indexes: %d", whatif->nindexes);
	active = &job;
	PG_TRY();
	{
		/* Not planner(): what we plan is nobody's statement, so other modules' planner hooks shall not count it. */
		stmt = standard_planner((Query *) copyObjectImpl(query), text, CURSOR_OPT_PARALLEL_OK, job.params);
	}
	PG_FINALLY();
	{
		active = outer;
	}
	PG_END_TRY();
	planned.cost = stmt->planTree->total_cost;
	planned.rows = (IsA(stmt->planTree, ModifyTable) && outerPlan(stmt->planTree) ? outerPlan(stmt->planTree)
					: stmt->planTree)->plan_rows;
	note_indexes(&planned, whatif, stmt->planTree);
	note_indexes_of_all(&planned, whatif, stmt->subplans);
	return planned;
}

/* Notes the selectivity of the conditions of the scan that measures a predicate. */
static void
measure_scan(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte, void *arg)
{
	PgweirIndex *index = arg;

	if (rte->rtekind == RTE_RELATION && rte->relid == index->relid)
		index->fraction = clauselist_selectivity(root, rel->baserestrictinfo, 0, JOIN_INNER, NULL);
}

void
pgweir_whatif_measure_predicate(PgweirIndex *index)
{
	PgweirWhatif whatif = {0};
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *query = makeNode(Query);

	index->fraction = 1;
	if (index->predicate == NIL)
		return;
	rte->rtekind = RTE_RELATION;
	rte->relid = index->relid;
	rte->relkind = get_rel_relkind(index->relid);
	rte->rellockmode = AccessShareLock;
	rte->inh = index->partitioned;
	rte->inFromCl = true;
	rte->eref = makeAlias("measured", NIL);
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
#if PG_VERSION_NUM >= 160000
	(void) addRTEPermissionInfo(&query->rteperminfos, rte);
#endif
	query->jointree = makeFromExpr(list_make1(ref), (Node *) make_ands_explicit(copyObject(index->predicate)));
	whatif.visit = measure_scan;
	whatif.visit_arg = index;
	(void) pgweir_whatif_plan(query, "", &whatif);
}

void
pgweir_whatif_init(void)
{
	prev_get_relation_info = get_relation_info_hook;
	get_relation_info_hook = whatif_get_relation_info;
	prev_get_index_stats = get_index_stats_hook;
	get_index_stats_hook = whatif_get_index_stats;
	prev_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = whatif_set_rel_pathlist;
}
