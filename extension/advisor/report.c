/*
 * report.c: the advisor's SQL functions.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "advisor/index.h"
#include "advisor/statement.h"
#include "advisor/whatif.h"

PG_FUNCTION_INFO_V1(pgweir_whatif_cost);

/* The elements of an array argument that are not null. */
static Datum *
array_elements(FunctionCallInfo fcinfo, int arg, Oid type, int *count)
{
	ArrayType  *array;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			i;

	*count = 0;
	if (PG_ARGISNULL(arg))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(arg);
	if (type == TEXTOID)
		deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	else
		deconstruct_array(array, type, sizeof(Oid), true, TYPALIGN_INT, &values, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		if (!nulls[i])
			values[(*count)++] = values[i];
	}
	return values;
}

/*
 * whatif_cost(query text, ddl text[], hide regclass[]) returns float8: the planner's cost of the statement if the
 * indexes of the CREATE INDEX statements existed and those to hide did not.
 */
Datum
pgweir_whatif_cost(PG_FUNCTION_ARGS)
{
	PgweirWhatif whatif = {0};
	const char *statement;
	const char *reason;
	Datum	   *ddl;
	Datum	   *hide;
	Oid		   *hidden;
	double		cost = 0;
	List	   *queries;
	ListCell   *lc;
	int			i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ddl = array_elements(fcinfo, 1, TEXTOID, &whatif.nindexes);
	hide = array_elements(fcinfo, 2, REGCLASSOID, &whatif.nhidden);
	whatif.index = palloc(sizeof(PgweirIndex *) * Max(whatif.nindexes, 1));
	hidden = palloc(sizeof(Oid) * Max(whatif.nhidden, 1));
	if (whatif.nindexes > PGWEIR_WHATIF_MAX_INDEXES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("at most %d hypothetical indexes can be given", PGWEIR_WHATIF_MAX_INDEXES)));
	for (i = 0; i < whatif.nindexes; i++)
		whatif.index[i] = pgweir_index_from_ddl(TextDatumGetCString(ddl[i]));
	for (i = 0; i < whatif.nhidden; i++)
		hidden[i] = DatumGetObjectId(hide[i]);
	whatif.hidden = hidden;
	queries = pgweir_statement_parse(statement, &reason);
	if (queries == NIL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("statement cannot be planned: %s", reason)));
	foreach (lc, queries)
		cost += pgweir_whatif_plan(lfirst_node(Query, lc), statement, &whatif).cost;
	PG_RETURN_FLOAT8(cost);
}
