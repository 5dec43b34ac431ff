/*
 * predicates.c: reads conditions, join columns and wanted orders of a scan out of the planner's state.
 */
#include "postgres.h"

#include "advisor/predicates.h"

#include "access/sysattr.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/selfuncs.h"

#include "advisor/compat_advisor.h"
#include "advisor/constants.h"

/* Values a column may have at most for one of them to stand in the definition of an index. */
#define MAX_CONSTANT_VALUES 100

typedef struct ScanContext
{
	PlannerInfo *root;
	RelOptInfo *rel;
	PgweirScan *scan;
	int			arm;			/* that clauses are being read for; 0: none */
	bool		own;			/* conditions are the statement's own: what has no value holds in every execution */
	bool		barred;			/* the clause at hand protects rows, from some users */
} ScanContext;

/* Whether the expression has columns of this relation and of no other. */
static bool
is_own(ScanContext *context, Node *node)
{
	return bms_equal(pull_varnos(context->root, node), context->rel->relids);
}

static Node *
strip_relabel(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/*
 * Makes casts that a statement has implicitly explicit ones: where the expression is written down alone, nothing else
 * would ask for them.  The planner holds both for equal.
 */
static bool
spell_casts(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST)
		((FuncExpr *) node)->funcformat = COERCE_EXPLICIT_CAST;
	else if (IsA(node, RelabelType) && ((RelabelType *) node)->relabelformat == COERCE_IMPLICIT_CAST)
		((RelabelType *) node)->relabelformat = COERCE_EXPLICIT_CAST;
	else if (IsA(node, CoerceViaIO) && ((CoerceViaIO *) node)->coerceformat == COERCE_IMPLICIT_CAST)
		((CoerceViaIO *) node)->coerceformat = COERCE_EXPLICIT_CAST;
	return expression_tree_walker(node, spell_casts, context);
}

/* A copy of the expression over variable number 1, free of what the statement's joins add to it. */
static Node *
own_expression(ScanContext *context, Node *node)
{
	node = copyObject(node);
#if PG_VERSION_NUM >= 160000
	node = remove_nulling_relids(node, context->root->outer_join_rels, NULL);
#endif
	ChangeVarNodes(node, context->rel->relid, 1, 0);
	(void) spell_casts(node, NULL);
	return node;
}

/* Whether the expression has parts that a definition of an index cannot have. */
static bool
has_foreign_part(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
			return ((Var *) node)->varattno <= 0 || ((Var *) node)->varlevelsup != 0;
		case T_Param:
		case T_PlaceHolderVar:
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_Aggref:
		case T_WindowFunc:
		case T_GroupingFunc:
		case T_CurrentOfExpr:
		case T_SetToDefault:
		case T_NextValueExpr:
			return true;
		default:
			return expression_tree_walker(node, has_foreign_part, context);
	}
}

/*
 * Makes the index column that the operand stands for.  False when it can be none: a system column, an expression that
 * is not immutable or does not only read this table.
 */
static bool
match_operand(ScanContext *context, Node *operand, Oid collation, bool pattern, PgweirIndexColumn *column)
{
	Node	   *node = strip_relabel(operand);
	Oid			relid = context->scan->relid;

	if (node == NULL)
		return false;
	if (!type_is_collatable(exprType(node)))
		collation = InvalidOid;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno != (int) context->rel->relid || var->varlevelsup != 0 || var->varattno <= 0)
			return false;
		return pgweir_index_column_init(column, relid, var->varattno, NULL, BTREE_AM_OID, collation, pattern);
	}
	if (!is_own(context, node) || has_foreign_part(node, NULL) || expression_returns_set(node))
		return false;
	if (contain_mutable_functions(node))
	{
		context->scan->unstable = true;
		return false;
	}
	return pgweir_index_column_init(column, relid, 0, own_expression(context, node), BTREE_AM_OID, collation,
									pattern);
}

static PgweirPredicate *
add_predicate(ScanContext *context, PgweirPredicateKind kind, const PgweirIndexColumn *column, double selectivity,
			  Relids partner)
{
	PgweirPredicate *predicate = palloc0(sizeof(PgweirPredicate));

	predicate->kind = kind;
	predicate->column = *column;
	predicate->selectivity = selectivity;
	predicate->arm = context->arm;
	predicate->partner = bms_copy(partner);
	context->scan->predicates = lappend(context->scan->predicates, predicate);
	return predicate;
}

/* Notes that the predicate's clause holds in every execution. */
static void
note_constant(ScanContext *context, PgweirPredicate *predicate, Node *clause)
{
	if (context->own && !context->barred)
		predicate->constant = own_expression(context, clause);
}

/* The number of values of an expression; 0: not known. */
static double
distinct_values(ScanContext *context, Node *expr)
{
	VariableStatData vardata;
	bool		isdefault;
	double		distinct;

	examine_variable(context->root, expr, 0, &vardata);
	distinct = get_variable_numdistinct(&vardata, &isdefault);
	ReleaseVariableStats(vardata);
	return isdefault ? 0 : distinct;
}

/*
 * Notes a comparison with a constant that stays the same.  Only of columns of few values, such as a state or a kind: that
 * the same of many was asked for says less about the next time.
 */
static void
note_literal(ScanContext *context, PgweirPredicate *predicate, OpExpr *clause, Node *operand, Node *other)
{
	double		distinct;

	if (!IsA(other, Const) || ((Const *) other)->constisnull || !pgweir_constant_is_marked((Const *) other) ||
		contain_mutable_functions((Node *) clause))
		return;
	distinct = distinct_values(context, operand);
	if (distinct > 0 && distinct <= MAX_CONSTANT_VALUES)
		note_constant(context, predicate, (Node *) clause);
}

/* Whether a LIKE or regular expression begins with characters that are meant literally. */
static bool
has_fixed_prefix(Oid operator, Const *pattern)
{
	char	   *string;

	if (pattern->constisnull || pattern->consttype == BYTEAOID)
		return false;
	string = TextDatumGetCString(pattern->constvalue);
	switch (operator)
	{
		case OID_TEXT_LIKE_OP:
		case OID_BPCHAR_LIKE_OP:
		case OID_NAME_LIKE_OP:
			return *string && *string != '%' && *string != '_';
		case OID_TEXT_REGEXEQ_OP:
		case OID_BPCHAR_REGEXEQ_OP:
			return *string == '^' && string[1] && strchr(".[(*?+$|\\{", string[1]) == NULL &&
				strchr("*?{", string[2]) == NULL && strchr(string, '|') == NULL;
		default:
			return *string != '\0';
	}
}

/* Patterns that a B-tree never serves. */
static bool
is_loose_pattern_operator(Oid operator)
{
	switch (operator)
	{
		case OID_TEXT_ICLIKE_OP:
		case OID_BPCHAR_ICLIKE_OP:
		case OID_TEXT_ICREGEXEQ_OP:
		case OID_BPCHAR_ICREGEXEQ_OP:
			return true;
		default:
			return false;
	}
}

static bool
is_pattern_operator(Oid operator)
{
	switch (operator)
	{
		case OID_TEXT_LIKE_OP:
		case OID_BPCHAR_LIKE_OP:
		case OID_TEXT_REGEXEQ_OP:
		case OID_BPCHAR_REGEXEQ_OP:
		case 3877:				/* ^@, which has no name in the headers */
			return true;
		default:
			return false;
	}
}

/* A condition on what is inside of a value. */
static void
match_search(ScanContext *context, Node *operand, Oid operator, Oid collation, double selectivity)
{
	PgweirIndexColumn column;
	Node	   *node = strip_relabel(operand);
	bool		is_var = node && IsA(node, Var);

	if (node == NULL || !is_own(context, node) || has_foreign_part(node, NULL) || contain_mutable_functions(node))
		return;
	if (!type_is_collatable(exprType(node)))
		collation = InvalidOid;
	if (pgweir_index_column_init_search(&column, context->scan->relid, is_var ? ((Var *) node)->varattno : 0,
										is_var ? NULL : own_expression(context, node), operator, collation))
		add_predicate(context, PGWEIR_PREDICATE_SEARCH, &column, selectivity, NULL);
	else if (is_pattern_operator(operator) || is_loose_pattern_operator(operator))
		context->scan->wants_trigrams = true;
}

/* column LIKE 'prefix%': a range in byte order, which needs another operator class unless the collation has it. */
static void
match_pattern(ScanContext *context, Node *operand, Oid operator, Node *pattern, Oid collation, double selectivity)
{
	PgweirIndexColumn column;

	if (!is_pattern_operator(operator) || !IsA(pattern, Const) || !has_fixed_prefix(operator, (Const *) pattern))
	{
		if (is_pattern_operator(operator) && !IsA(pattern, Const))
			context->scan->hidden_pattern = true;
		match_search(context, operand, operator, collation, selectivity);
		return;
	}
	if (match_operand(context, operand, collation, !pgweir_collation_is_c(collation), &column))
		add_predicate(context, PGWEIR_PREDICATE_RANGE, &column, selectivity, NULL);
}

/* operand operator other, where other does not read this table. */
static void
match_comparison(ScanContext *context, OpExpr *clause, Node *operand, Oid operator, Node *other, double selectivity)
{
	Relids		partner = pull_varnos(context->root, other);
	Oid			collation = clause->inputcollid;
	PgweirIndexColumn column;
	PgweirPredicate *predicate;

	if (!OidIsValid(operator) || bms_is_member(context->rel->relid, partner) || contain_volatile_functions(other))
		return;
	if (!match_operand(context, operand, collation, false, &column))
	{
		match_search(context, operand, operator, collation, selectivity);
		return;
	}
	switch (get_op_opfamily_strategy(operator, column.opfamily))
	{
		case BTEqualStrategyNumber:
			predicate = add_predicate(context, bms_is_empty(partner) ? PGWEIR_PREDICATE_EQUAL : PGWEIR_PREDICATE_JOIN,
									  &column, selectivity, partner);
			note_literal(context, predicate, clause, operand, other);
			break;
		case BTLessStrategyNumber:
		case BTLessEqualStrategyNumber:
		case BTGreaterEqualStrategyNumber:
		case BTGreaterStrategyNumber:
			add_predicate(context, PGWEIR_PREDICATE_RANGE, &column, selectivity, partner);
			break;
		default:
			match_pattern(context, operand, operator, other, collation, selectivity);
			break;
	}
}

static void
match_operator(ScanContext *context, OpExpr *op, double selectivity)
{
	Node	   *left;
	Node	   *right;

	if (list_length(op->args) != 2)
		return;
	left = linitial(op->args);
	right = lsecond(op->args);
	if (is_own(context, left))
		match_comparison(context, op, left, op->opno, right, selectivity);
	else if (is_own(context, right))
		match_comparison(context, op, right, get_commutator(op->opno), left, selectivity);
}

/* column = ANY (array) */
static void
match_array(ScanContext *context, ScalarArrayOpExpr *op, double selectivity)
{
	Node	   *operand = linitial(op->args);
	Node	   *array = lsecond(op->args);
	PgweirIndexColumn column;

	if (!op->useOr || !is_own(context, operand) || contain_volatile_functions(array))
		return;
	if (bms_is_member(context->rel->relid, pull_varnos(context->root, array)))
		return;
	if (!match_operand(context, operand, op->inputcollid, false, &column))
		return;
	if (get_op_opfamily_strategy(op->opno, column.opfamily) == BTEqualStrategyNumber)
		add_predicate(context, PGWEIR_PREDICATE_IN, &column, selectivity, NULL);
}

/* The collation an operand would be compared with by default. */
static Oid
natural_collation(Node *operand)
{
	return exprCollation(strip_relabel(operand));
}

static void
match_null_test(ScanContext *context, NullTest *test, double selectivity)
{
	Node	   *operand = (Node *) test->arg;
	PgweirIndexColumn column;
	PgweirPredicate *predicate;

	if (test->argisrow || !is_own(context, operand) ||
		!match_operand(context, operand, natural_collation(operand), false, &column))
		return;
	predicate = add_predicate(context, test->nulltesttype == IS_NULL ? PGWEIR_PREDICATE_EQUAL : PGWEIR_PREDICATE_RANGE,
							  &column, selectivity, NULL);
	note_constant(context, predicate, (Node *) test);
}

/* column, NOT column, column IS TRUE, column IS FALSE */
static void
match_boolean(ScanContext *context, Node *clause, Node *operand, double selectivity)
{
	PgweirIndexColumn column;
	PgweirPredicate *predicate;

	if (exprType(operand) != BOOLOID || !IsA(operand, Var) ||
		!match_operand(context, operand, InvalidOid, false, &column))
		return;
	predicate = add_predicate(context, PGWEIR_PREDICATE_EQUAL, &column, selectivity, NULL);
	note_constant(context, predicate, clause);
}

static void
add_order(PgweirScan *scan, List *columns)
{
	PgweirOrder *order = palloc0(sizeof(PgweirOrder));
	bool		flip;
	ListCell   *lc;

	order->column = palloc(sizeof(PgweirIndexColumn) * list_length(columns));
	flip = ((PgweirIndexColumn *) linitial(columns))->descending;
	foreach (lc, columns)
	{
		PgweirIndexColumn *column = &order->column[order->ncolumns++];

		*column = *(PgweirIndexColumn *) lfirst(lc);
		/* An index is read backwards as well as forwards. */
		if (flip)
		{
			column->descending = !column->descending;
			column->nulls_first = !column->nulls_first;
		}
	}
	scan->orders = lappend(scan->orders, order);
}

/* (a, b) > (x, y): what an index on (a, b) finds in one go. */
static void
match_row_compare(ScanContext *context, RowCompareExpr *row)
{
	List	   *columns = NIL;
	ListCell   *lc;
	int			i = 0;

	if (bms_is_member(context->rel->relid, pull_varnos(context->root, (Node *) row->rargs)))
		return;
	foreach (lc, row->largs)
	{
		PgweirIndexColumn *column = palloc(sizeof(PgweirIndexColumn));

		if (!match_operand(context, lfirst(lc), list_nth_oid(row->inputcollids, i++), false, column))
			break;
		columns = lappend(columns, column);
	}
	if (columns)
		add_order(context->scan, columns);
}

static void match_restriction(ScanContext *context, RestrictInfo *rinfo);

static void
match_clause(ScanContext *context, Node *clause, double selectivity)
{
	switch (nodeTag(clause))
	{
		case T_OpExpr: match_operator(context, (OpExpr *) clause, selectivity); break;
		case T_ScalarArrayOpExpr: match_array(context, (ScalarArrayOpExpr *) clause, selectivity); break;
		case T_NullTest: match_null_test(context, (NullTest *) clause, selectivity); break;
		case T_RowCompareExpr: match_row_compare(context, (RowCompareExpr *) clause); break;
		case T_Var: match_boolean(context, clause, clause, selectivity); break;
		case T_BooleanTest:
			if (((BooleanTest *) clause)->booltesttype == IS_TRUE || ((BooleanTest *) clause)->booltesttype == IS_FALSE)
				match_boolean(context, clause, (Node *) ((BooleanTest *) clause)->arg, selectivity);
			break;
		case T_BoolExpr:
			if (is_notclause(clause))
				match_boolean(context, clause, (Node *) get_notclausearg((Expr *) clause), selectivity);
			break;
		default: break;
	}
}

/* One arm of an OR: a condition or several that hold together. */
static void
match_arm(ScanContext *context, Node *arm)
{
	ListCell   *lc;

	if (IsA(arm, RestrictInfo))
		match_restriction(context, (RestrictInfo *) arm);
	else if (is_andclause(arm))
	{
		foreach (lc, ((BoolExpr *) arm)->args)
			match_arm(context, lfirst(lc));
	}
}

/* An OR helps only when each of its arms has something to search by. */
static void
match_or(ScanContext *context, RestrictInfo *rinfo)
{
	PgweirScan *scan = context->scan;
	int			before = list_length(scan->predicates);
	int			narms = scan->narms;
	ListCell   *lc;

	foreach (lc, ((BoolExpr *) rinfo->orclause)->args)
	{
		int			n = list_length(scan->predicates);

		context->arm = ++scan->narms;
		match_arm(context, lfirst(lc));
		context->arm = 0;
		if (list_length(scan->predicates) > n)
			continue;
		scan->predicates = list_truncate(scan->predicates, before);
		scan->narms = narms;
		return;
	}
}

static void
match_restriction(ScanContext *context, RestrictInfo *rinfo)
{
	if (rinfo->pseudoconstant || PGWEIR_RINFO_IS_DELAYED(rinfo))
		return;
	if (rinfo->orclause)
	{
		if (context->arm == 0)
			match_or(context, rinfo);
		return;
	}
	context->barred = rinfo->security_level < context->root->qual_security_level;
	match_clause(context, (Node *) rinfo->clause,
				 clause_selectivity(context->root, (Node *) rinfo, context->rel->relid, JOIN_INNER, NULL));
}

/* The fraction of the table that one value of the expression stands for. */
static double
fraction_per_value(ScanContext *context, Node *expr)
{
	double		distinct = distinct_values(context, expr);

	return distinct > 0 ? 1 / distinct : 1.0 / DEFAULT_NUM_DISTINCT;
}

/* Columns of this relation that some equality makes equal to another relation's. */
static void
match_join_class(ScanContext *context, EquivalenceClass *class)
{
	Relids		own = context->rel->relids;
	Relids		others;
	ListCell   *lc;

	if (class->ec_has_const || class->ec_has_volatile || !bms_overlap(own, class->ec_relids))
		return;
	others = bms_difference(class->ec_relids, own);
	if (bms_is_empty(others))
		return;
	foreach (lc, class->ec_members)
	{
		EquivalenceMember *member = lfirst_node(EquivalenceMember, lc);
		PgweirIndexColumn column;

		if (PGWEIR_EC_MEMBER_SKIP(member) || !bms_equal(member->em_relids, own))
			continue;
		if (!match_operand(context, (Node *) member->em_expr, class->ec_collation, false, &column))
			continue;
		if (list_member_oid(class->ec_opfamilies, column.opfamily))
			add_predicate(context, PGWEIR_PREDICATE_JOIN, &column,
						  fraction_per_value(context, (Node *) member->em_expr), others);
	}
}

/* The column of this relation that a path key sorts by; false: none. */
static bool
match_pathkey(ScanContext *context, PathKey *pathkey, PgweirIndexColumn *column)
{
	EquivalenceClass *class = pathkey->pk_eclass;
	ListCell   *lc;

	foreach (lc, class->ec_members)
	{
		EquivalenceMember *member = lfirst_node(EquivalenceMember, lc);

		if (PGWEIR_EC_MEMBER_SKIP(member) || !bms_equal(member->em_relids, context->rel->relids))
			continue;
		if (!match_operand(context, (Node *) member->em_expr, class->ec_collation, false, column) ||
			column->opfamily != pathkey->pk_opfamily)
			continue;
		column->descending = PGWEIR_PATHKEY_DESCENDING(pathkey);
		column->nulls_first = pathkey->pk_nulls_first;
		return true;
	}
	return false;
}

static void
match_pathkeys(ScanContext *context, List *pathkeys)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach (lc, pathkeys)
	{
		PgweirIndexColumn *column = palloc(sizeof(PgweirIndexColumn));

		if (!match_pathkey(context, lfirst_node(PathKey, lc), column))
			break;
		columns = lappend(columns, column);
	}
	if (columns)
		add_order(context->scan, columns);
}

/* The columns an index must hold so that the table need not be read; NULL when it always must. */
static Bitmapset *
needed_columns(RelOptInfo *rel)
{
	Bitmapset  *attrs = NULL;
	Bitmapset  *needed = NULL;
	ListCell   *lc;
	int			member = -1;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	foreach (lc, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, rel->relid, &attrs);
	while ((member = bms_next_member(attrs, member)) >= 0)
	{
		int			attno = member + FirstLowInvalidHeapAttributeNumber;

		if (attno <= 0)
			return NULL;
		needed = bms_add_member(needed, attno);
	}
	return needed;
}

/* Whether a partition is being scanned for its parent: the parent's scan says all. */
static bool
is_partition_scan(PlannerInfo *root, RelOptInfo *rel)
{
	Index		parent;

	if (rel->reloptkind != RELOPT_OTHER_MEMBER_REL || root->append_rel_array[rel->relid] == NULL)
		return false;
	parent = root->append_rel_array[rel->relid]->parent_relid;
	return root->simple_rte_array[parent]->rtekind == RTE_RELATION &&
		root->simple_rte_array[parent]->relkind == RELKIND_PARTITIONED_TABLE;
}

/* Rows after which the query level stops, by a guess where a parameter says so; -1: it does not. */
static double
rows_wanted(const PlannerInfo *root)
{
	if (root->limit_tuples >= 0)
		return root->limit_tuples;
	return root->tuple_fraction > 0 ? Max(root->tuple_fraction, 1) : -1;
}

void
pgweir_predicates_visit(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte, void *arg)
{
	PgweirScans *scans = arg;
	ScanContext context = {.root = root, .rel = rel, .own = scans->own};
	MemoryContext old;
	ListCell   *lc;

	if (rte->rtekind != RTE_RELATION || rte->tablesample != NULL || IS_DUMMY_REL(rel) || is_partition_scan(root, rel))
		return;
	if (rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_MATVIEW &&
		rte->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	old = MemoryContextSwitchTo(scans->context);
	context.scan = palloc0(sizeof(PgweirScan));
	context.scan->relid = rte->relid;
	context.scan->tuples = rel->tuples;
	context.scan->rows = rel->rows;
	context.scan->visible = rel->allvisfrac;
	context.scan->limit = rows_wanted(root);
	context.scan->needed = needed_columns(rel);
	foreach (lc, rel->baserestrictinfo)
		match_restriction(&context, lfirst_node(RestrictInfo, lc));
	foreach (lc, rel->joininfo)
		match_restriction(&context, lfirst_node(RestrictInfo, lc));
	foreach (lc, root->eq_classes)
		match_join_class(&context, lfirst_node(EquivalenceClass, lc));
	match_pathkeys(&context, root->query_pathkeys);
	match_pathkeys(&context, root->sort_pathkeys);
	match_pathkeys(&context, root->group_pathkeys);
	match_pathkeys(&context, root->distinct_pathkeys);
	match_pathkeys(&context, root->window_pathkeys);
	scans->scans = lappend(scans->scans, context.scan);
	MemoryContextSwitchTo(old);
}
