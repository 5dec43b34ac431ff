/*
 * assume.c: guesses parameter values from statistics and observed rows.
 *
 * Two kinds of parameters are looked at: bounds of a range on a column that has a histogram, and values for a column of
 * few values that has a list of the most common ones.  A grid of both is planned; the points that fit the observed rows
 * best become variants.
 */
#include "postgres.h"

#include "advisor/assume.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_statistic.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "advisor/whatif.h"

/* Values of a column that are tried at most, the most common first. */
#define MAX_COMMON 5
/* Columns of more values than this are taken at their average. */
#define MAX_DISTINCT 50
/* Variants kept, and how far from the observed rows they may be. */
#define MAX_VARIANTS 3
#define MAX_FACTOR 3.0

/* Fractions of the table that a range is tried to select. */
static const double fractions[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9};

typedef enum Bound
{
	BOUND_VALUE,				/* column = $n */
	BOUND_LOWER,				/* column > $n */
	BOUND_UPPER					/* column < $n */
} Bound;

/* A parameter compared with a column of a table. */
typedef struct Compared
{
	int			paramid;
	Oid			paramtype;
	Bound		bound;
	Oid			relid;
	AttrNumber	attno;
	bool		paired;			/* the other end of the range is a parameter, too */
} Compared;

typedef struct Gathering
{
	Query	   *query;			/* whose range table variables refer to */
	List	   *compared;		/* of Compared */
} Gathering;

/* Values for parameters by number. */
typedef struct Values
{
	int			n;
	int			paramid[32];
	Const	   *value[32];
} Values;

/* A set of values with what the planner makes of it. */
typedef struct Variant
{
	List	   *queries;
	double		distance;		/* logarithm of how far its rows are from those observed */
	int			common;			/* which of the common values it takes; -1: the average */
} Variant;

static Node *
strip(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* The table's column behind a variable, through joins; false when it comes from elsewhere. */
static bool
resolve_column(Query *query, Node *node, Oid *relid, AttrNumber *attno)
{
	for (;;)
	{
		Var		   *var = (Var *) (node = strip(node));
		RangeTblEntry *rte;

		if (node == NULL || !IsA(node, Var) || var->varlevelsup != 0 || var->varattno <= 0)
			return false;
		rte = rt_fetch(var->varno, query->rtable);
		if (rte->rtekind == RTE_RELATION)
		{
			*relid = rte->relid;
			*attno = var->varattno;
			return true;
		}
		if (rte->rtekind != RTE_JOIN)
			return false;
		node = list_nth(rte->joinaliasvars, var->varattno - 1);
	}
}

static void
gather_comparison(Gathering *gathering, Oid operator, Node *left, Node *right)
{
	Param	   *param = (Param *) strip(right);
	Compared	compared = {0};
	Oid			type;
	Oid			opclass;

	if (param == NULL || !IsA(param, Param) || param->paramkind != PARAM_EXTERN ||
		!resolve_column(gathering->query, left, &compared.relid, &compared.attno))
		return;
	type = get_atttype(compared.relid, compared.attno);
	opclass = GetDefaultOpClass(type, BTREE_AM_OID);
	if (!OidIsValid(opclass) || !IsBinaryCoercible(type, param->paramtype))
		return;
	compared.paramid = param->paramid;
	compared.paramtype = param->paramtype;
	switch (get_op_opfamily_strategy(operator, get_opclass_family(opclass)))
	{
		case BTEqualStrategyNumber: compared.bound = BOUND_VALUE; break;
		case BTGreaterStrategyNumber:
		case BTGreaterEqualStrategyNumber: compared.bound = BOUND_LOWER; break;
		case BTLessStrategyNumber:
		case BTLessEqualStrategyNumber: compared.bound = BOUND_UPPER; break;
		default: return;
	}
	gathering->compared = lappend(gathering->compared, memcpy(palloc(sizeof(compared)), &compared, sizeof(compared)));
}

static bool
gather_walker(Node *node, void *arg)
{
	Gathering  *gathering = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *outer = gathering->query;
		bool		result;

		gathering->query = (Query *) node;
		result = query_tree_walker((Query *) node, gather_walker, arg, 0);
		gathering->query = outer;
		return result;
	}
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) node;

		gather_comparison(gathering, op->opno, linitial(op->args), lsecond(op->args));
		if (OidIsValid(get_commutator(op->opno)))
			gather_comparison(gathering, get_commutator(op->opno), lsecond(op->args), linitial(op->args));
	}
	return expression_tree_walker(node, gather_walker, arg);
}

/* Marks the two ends of a range. */
static void
mark_pairs(List *list)
{
	ListCell   *a;
	ListCell   *b;

	foreach (a, list)
	{
		Compared   *lower = lfirst(a);

		foreach (b, list)
		{
			Compared   *upper = lfirst(b);

			if (lower->bound == BOUND_LOWER && upper->bound == BOUND_UPPER && lower->relid == upper->relid &&
				lower->attno == upper->attno)
				lower->paired = upper->paired = true;
		}
	}
}

/* The statistics slot of a column; false when there is none. */
static bool
get_slot(const Compared *compared, int kind, AttStatsSlot *slot, double *distinct)
{
	HeapTuple	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(compared->relid), Int16GetDatum(compared->attno),
										BoolGetDatum(false));
	bool		found;

	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(compared->relid), Int16GetDatum(compared->attno),
								BoolGetDatum(true));
	if (!HeapTupleIsValid(tuple))
		return false;
	found = get_attstatsslot(slot, tuple, kind, InvalidOid, ATTSTATSSLOT_VALUES);
	*distinct = ((Form_pg_statistic) GETSTRUCT(tuple))->stadistinct;
	ReleaseSysCache(tuple);
	return found && slot->nvalues > 0;
}

static Const *
make_value(const Compared *compared, const AttStatsSlot *slot, int i)
{
	int16		len;
	bool		byval;
	Oid			type = compared->paramtype;

	get_typlenbyval(type, &len, &byval);
	return makeConst(type, -1, get_typcollation(type), len, datumCopy(slot->values[i], byval, len), false, byval);
}

static void
add_value(Values *values, int paramid, Const *value)
{
	if (value == NULL || values->n == (int) lengthof(values->paramid))
		return;
	values->paramid[values->n] = paramid;
	values->value[values->n++] = value;
}

/* The bound that lets the range select the fraction; NULL when the column has no histogram. */
static Const *
bound_for(const Compared *compared, double fraction)
{
	AttStatsSlot slot;
	double		distinct;
	double		at;
	Const	   *value;

	if (!get_slot(compared, STATISTIC_KIND_HISTOGRAM, &slot, &distinct))
		return NULL;
	if (compared->paired)
		at = compared->bound == BOUND_LOWER ? 0.5 - fraction / 2 : 0.5 + fraction / 2;
	else
		at = compared->bound == BOUND_LOWER ? 1 - fraction : fraction;
	value = make_value(compared, &slot, (int) rint(at * (slot.nvalues - 1)));
	free_attstatsslot(&slot);
	return value;
}

/* The i-th most common value; NULL when there are not so many or the column has too many values for that to matter. */
static Const *
common_value(const Compared *compared, int i)
{
	AttStatsSlot slot;
	double		distinct;
	Const	   *value = NULL;

	if (!get_slot(compared, STATISTIC_KIND_MCV, &slot, &distinct))
		return NULL;
	if (distinct > 0 && distinct <= MAX_DISTINCT && i < slot.nvalues)
		value = make_value(compared, &slot, i);
	free_attstatsslot(&slot);
	return value;
}

static Node *
replace_mutator(Node *node, void *arg)
{
	const Values *values = arg;
	int			i;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		for (i = 0; i < values->n; i++)
		{
			if (values->paramid[i] == ((Param *) node)->paramid)
				return copyObject((Node *) values->value[i]);
		}
		return copyObject(node);
	}
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, replace_mutator, arg, 0);
	return expression_tree_mutator(node, replace_mutator, arg);
}

static List *
with_values(List *queries, Values *values)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach (lc, queries)
		result = lappend(result, replace_mutator((Node *) lfirst(lc), values));
	return result;
}

/* The values for a point of the grid: a fraction for ranges (negative: leave them), a common value for the first column of few. */
static Values
values_at(List *compared, double fraction, int common)
{
	Values		values = {0};
	bool		taken = false;
	ListCell   *lc;

	foreach (lc, compared)
	{
		const Compared *one = lfirst(lc);

		if (one->bound != BOUND_VALUE && fraction >= 0)
			add_value(&values, one->paramid, bound_for(one, fraction));
		else if (one->bound == BOUND_VALUE && common >= 0 && !taken)
		{
			Const	   *value = common_value(one, common);

			add_value(&values, one->paramid, value);
			taken = value != NULL;
		}
	}
	/* A point without the common value it is meant for is one that was there already. */
	if (common >= 0 && !taken)
		values.n = 0;
	return values;
}

/* Whether the number of rows an execution returns says how many its conditions select. */
static bool
rows_tell(List *queries)
{
	const Query *query = linitial(queries);

	if (list_length(queries) != 1)
		return false;
	if (query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE)
		return true;
	return query->commandType == CMD_SELECT && !query->hasAggs && query->groupClause == NIL &&
		query->groupingSets == NIL && query->distinctClause == NIL && query->setOperations == NULL &&
		query->limitCount == NULL && query->limitOffset == NULL && !query->hasTargetSRFs;
}

static double
distance_of(List *queries, const char *text, double rows)
{
	PgweirWhatif whatif = {0};
	double		expected = pgweir_whatif_plan(linitial_node(Query, queries), text, &whatif).rows;

	return fabs(log(Max(expected, 1.0) / Max(rows, 1.0)));
}

static int
compare_distance(const ListCell *a, const ListCell *b)
{
	double		x = ((const Variant *) lfirst(a))->distance;
	double		y = ((const Variant *) lfirst(b))->distance;

	return x < y ? -1 : x > y ? 1 : 0;
}

static List *
add_variant(List *variants, List *queries, double distance, int common)
{
	Variant    *variant = palloc(sizeof(Variant));

	variant->queries = queries;
	variant->distance = distance;
	variant->common = common;
	return lappend(variants, variant);
}

/* The points that fit best, at most one for each common value. */
static List *
best_variants(List *variants)
{
	List	   *result = NIL;
	Bitmapset  *seen = NULL;
	ListCell   *lc;

	list_sort(variants, compare_distance);
	foreach (lc, variants)
	{
		const Variant *variant = lfirst(lc);

		if (list_length(result) == MAX_VARIANTS || (result != NIL && variant->distance > log(MAX_FACTOR)))
			break;
		if (bms_is_member(variant->common + 1, seen))
			continue;
		seen = bms_add_member(seen, variant->common + 1);
		result = lappend(result, variant->queries);
	}
	return result;
}

static bool
has_open_range(List *compared)
{
	ListCell   *lc;

	foreach (lc, compared)
	{
		const Compared *one = lfirst(lc);

		if (one->bound != BOUND_VALUE && !one->paired)
			return true;
	}
	return false;
}

/* Rows are not known: a range that is open to one side selects a third, as the planner thinks, or a hundredth. */
static List *
blind_variants(List *queries, List *compared)
{
	Values		values;

	if (!has_open_range(compared))
		return list_make1(queries);
	values = values_at(compared, fractions[0], -1);
	return values.n == 0 ? list_make1(queries) : list_make2(queries, with_values(queries, &values));
}

List *
pgweir_assume_values(List *queries, const char *text, double rows)
{
	Gathering	gathering = {NULL, NIL};
	List	   *variants = NIL;
	ListCell   *lc;
	int			common;
	int			i;

	foreach (lc, queries)
		(void) gather_walker((Node *) lfirst(lc), &gathering);
	if (gathering.compared == NIL)
		return list_make1(queries);
	mark_pairs(gathering.compared);
	if (rows < 0 || !rows_tell(queries))
		return blind_variants(queries, gathering.compared);
	variants = add_variant(variants, queries, distance_of(queries, text, rows), -1);
	for (common = -1; common < MAX_COMMON; common++)
	{
		for (i = -1; i < (int) lengthof(fractions); i++)
		{
			Values		values = values_at(gathering.compared, i < 0 ? -1 : fractions[i], common);
			List	   *variant;

			if (values.n == 0)
				continue;
			variant = with_values(queries, &values);
			variants = add_variant(variants, variant, distance_of(variant, text, rows), common);
		}
	}
	return best_variants(variants);
}
