/*
 * sampled.c: statements with the values of executions that were kept.
 */
#include "postgres.h"

#include "advisor/sampled.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

#include "advisor/constants.h"
#include "advisor/executed.h"
#include "advisor/isolate.h"
#include "advisor/statement.h"
#include "guc.h"
#include "stores/samples.h"
#include "stores/shared.h"

/* Executions taken of a statement: the latest. */
#define MAX_EACH 3

/* A parameter as it was kept. */
typedef struct Value
{
	Oid			type;
	char	   *text;			/* NULL: null, or not told */
	bool		told;
} Value;

typedef struct Execution
{
	int64		queryid;
	char	   *text;
	List	   *values;			/* of Value, $1 first */
	char	   *plan;			/* in JSON; NULL: not kept, or without the rows of its nodes */
} Execution;

struct PgweirSampled
{
	List	   *executions;		/* of Execution, latest first */
};

static void
add_execution(const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS], void *arg)
{
	PgweirSampled *sampled = arg;
	int			len = sample->len[PGWEIR_SAMPLE_TEXT];
	const char *at = part[PGWEIR_SAMPLE_PARAMS];
	Execution  *execution;
	Oid			type;
	const char *value;
	int			value_len;

	/* As long as can be kept is cut off. */
	if (sample->key.dbid != MyDatabaseId || sample->encoding != GetDatabaseEncoding() || len <= 0 ||
		len >= pgweir_query_size - MAX_MULTIBYTE_CHAR_LEN)
		return;
	execution = palloc0(sizeof(Execution));
	execution->queryid = sample->key.queryid;
	execution->text = pnstrdup(part[PGWEIR_SAMPLE_TEXT], len);
	if (sample->worst_node[0] && sample->len[PGWEIR_SAMPLE_PLAN_JSON] > 0)
		execution->plan = pnstrdup(part[PGWEIR_SAMPLE_PLAN_JSON], sample->len[PGWEIR_SAMPLE_PLAN_JSON]);
	while (pgweir_sample_next_param(sample, part, &at, &type, &value, &value_len))
	{
		Value	   *one = palloc0(sizeof(Value));

		one->type = type;
		one->told = value_len >= 0 || value_len == PGWEIR_PARAM_NULL;
		one->text = value && value_len >= 0 ? pnstrdup(value, value_len) : NULL;
		execution->values = lappend(execution->values, one);
	}
	sampled->executions = lcons(execution, sampled->executions);
}

PgweirSampled *
pgweir_sampled_load(void)
{
	PgweirSampled *sampled = palloc0(sizeof(PgweirSampled));

	if (pgweir_shared_ready())
		pgweir_samples_visit(add_execution, sampled);
	return sampled;
}

/* Puts values in the place of parameters; what was not told stays. */
static Node *
value_mutator(Node *node, void *arg)
{
	const Execution *execution = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		const Param *param = (Param *) node;
		const Value *value;
		Oid			input;
		Oid			ioparam;
		int16		typlen;
		bool		byval;

		if (param->paramid < 1 || param->paramid > list_length(execution->values))
			return copyObject(node);
		value = list_nth(execution->values, param->paramid - 1);
		if (!value->told)
			return copyObject(node);
		getTypeInputInfo(param->paramtype, &input, &ioparam);
		get_typlenbyval(param->paramtype, &typlen, &byval);
		return (Node *) makeConst(param->paramtype, param->paramtypmod, param->paramcollid, typlen,
								  OidInputFunctionCall(input, value->text, ioparam, param->paramtypmod),
								  value->text == NULL, byval);
	}
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, value_mutator, arg, 0);
	return expression_tree_mutator(node, value_mutator, arg);
}

typedef struct Parsing
{
	const Execution *execution;
	MemoryContext context;
	List	   *queries;
} Parsing;

static void
parse_action(void *arg)
{
	Parsing    *parsing = arg;
	MemoryContext old = MemoryContextSwitchTo(parsing->context);
	const char *reason;
	List	   *queries = pgweir_statement_parse(parsing->execution->text, &reason);
	ListCell   *lc;

	foreach (lc, queries)
		parsing->queries = lappend(parsing->queries, value_mutator(lfirst(lc), unconstify(Execution *, parsing->execution)));
	MemoryContextSwitchTo(old);
}

List *
pgweir_sampled_queries(const PgweirSampled *sampled, int64 queryid, int nqueries)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach (lc, sampled->executions)
	{
		Parsing		parsing = {lfirst(lc), CurrentMemoryContext, NIL};

		if (parsing.execution->queryid != queryid)
			continue;
		if (pgweir_isolated(GetUserId(), NULL, parse_action, &parsing) == NULL &&
			list_length(parsing.queries) == nqueries)
			result = lappend(result, parsing.queries);
		if (list_length(result) == MAX_EACH)
			break;
	}
	return result;
}

/* Leaves in a list of literals those that the other has alike. */
static void
keep_same(List *literals, const List *others)
{
	ListCell   *lc;
	int			i = 0;

	foreach (lc, literals)
	{
		const char *other = i < list_length(others) ? list_nth(others, i) : NULL;

		i++;
		if (lfirst(lc) && (other == NULL || strcmp(lfirst(lc), other) != 0))
			lfirst(lc) = NULL;
	}
}

/* The literals that all executions share; *count is how many executions. */
static List *
shared_literals(const PgweirSampled *sampled, int64 queryid, const char *text, int *count)
{
	List	   *shared = NIL;
	ListCell   *lc;

	*count = 0;
	foreach (lc, sampled->executions)
	{
		const Execution *execution = lfirst(lc);
		List	   *literals;

		if (execution->queryid != queryid)
			continue;
		if (!pgweir_constants_align(text, execution->text, &literals))
			return NIL;
		if ((*count)++ == 0)
			shared = literals;
		else
			keep_same(shared, literals);
	}
	return *count >= PGWEIR_MIN_SAME ? shared : NIL;
}

typedef struct Fixing
{
	const PgweirSampled *sampled;
	int64		queryid;
	const char *text;
	MemoryContext context;
	List	   *queries;
	int			count;
} Fixing;

static void
fix_action(void *arg)
{
	Fixing	   *fixing = arg;
	MemoryContext old = MemoryContextSwitchTo(fixing->context);
	List	   *literals = shared_literals(fixing->sampled, fixing->queryid, fixing->text, &fixing->count);

	if (literals)
		fixing->queries = pgweir_constants_fix(fixing->queries, literals);
	else
		fixing->count = 0;
	MemoryContextSwitchTo(old);
}

List *
pgweir_sampled_fix(const PgweirSampled *sampled, int64 queryid, const char *text, List *queries, int *alike)
{
	Fixing		fixing = {sampled, queryid, text, CurrentMemoryContext, queries, 0};

	*alike = 0;
	if (pgweir_isolated(GetUserId(), NULL, fix_action, &fixing) != NULL)
		return queries;
	*alike = fixing.count;
	return fixing.queries;
}

typedef struct Noting
{
	const char *plan;
	List	   *scans;
	MemoryContext context;
} Noting;

static void
note_action(void *arg)
{
	Noting	   *noting = arg;
	MemoryContext old = MemoryContextSwitchTo(noting->context);

	pgweir_executed_note(noting->plan, noting->scans);
	MemoryContextSwitchTo(old);
}

void
pgweir_sampled_note(const PgweirSampled *sampled, int64 queryid, List *scans)
{
	ListCell   *lc;

	foreach (lc, sampled->executions)
	{
		const Execution *execution = lfirst(lc);
		Noting		noting = {execution->plan, scans, CurrentMemoryContext};

		/* A plan that cannot be read says nothing. */
		if (execution->queryid == queryid && execution->plan)
			(void) pgweir_isolated(GetUserId(), NULL, note_action, &noting);
	}
}
