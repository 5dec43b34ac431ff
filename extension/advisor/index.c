/*
 * index.c: what an index is, where it comes from, how it is written and when one makes another superfluous.
 *
 * The size of an index that does not exist is modelled in index_size.c.
 */
#include "postgres.h"

#include "advisor/index.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/reloptions.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_opclass.h"
#include "catalog/indexing.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_utilcmd.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "advisor/compat_advisor.h"

PgweirIndex *
pgweir_index_make(Oid relid, Oid am, int ncolumns)
{
	PgweirIndex *index = palloc0(sizeof(PgweirIndex));

	index->relid = relid;
	index->am = am;
	index->partitioned = get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE;
	index->nkeys = ncolumns;
	index->ncolumns = ncolumns;
	index->column = palloc0(sizeof(PgweirIndexColumn) * Max(ncolumns, 1));
	index->fraction = 1.0;
	return index;
}

/* The type of the column or expression. */
static Oid
column_type(Oid relid, AttrNumber attno, Node *expr)
{
	return expr ? exprType(expr) : get_atttype(relid, attno);
}

/* The operator class for LIKE prefixes of a text type. */
static Oid
pattern_opclass(Oid type)
{
	switch (getBaseType(type))
	{
		case TEXTOID: return TEXT_BTREE_PATTERN_OPS_OID;
		case VARCHAROID: return VARCHAR_BTREE_PATTERN_OPS_OID;
		case BPCHAROID: return BPCHAR_BTREE_PATTERN_OPS_OID;
		default: return InvalidOid;
	}
}

static void
set_opclass(PgweirIndexColumn *column, Oid opclass)
{
	column->opclass = opclass;
	column->opfamily = get_opclass_family(opclass);
	column->opcintype = get_opclass_input_type(opclass);
}

bool
pgweir_index_column_init(PgweirIndexColumn *column, Oid relid, AttrNumber attno, Node *expr, Oid am, Oid collation,
						 bool pattern)
{
	Oid			type = column_type(relid, attno, expr);
	Oid			opclass;

	memset(column, 0, sizeof(*column));
	if (!OidIsValid(type))
		return false;
	opclass = pattern ? pattern_opclass(type) : GetDefaultOpClass(type, am);
	if (!OidIsValid(opclass))
		return false;
	column->attno = attno;
	column->expr = expr;
	column->collation = collation;
	set_opclass(column, opclass);
	return true;
}

/* The trigram class of pg_trgm, in whichever schema it is installed; InvalidOid when it is not. */
static Oid
trigram_opclass(void)
{
	Relation	classes = table_open(OperatorClassRelationId, AccessShareLock);
	NameData	name;
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			opclass = InvalidOid;

	namestrcpy(&name, "gin_trgm_ops");
	ScanKeyInit(&key[0], Anum_pg_opclass_opcmethod, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(GIN_AM_OID));
	ScanKeyInit(&key[1], Anum_pg_opclass_opcname, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&name));
	scan = systable_beginscan(classes, OpclassAmNameNspIndexId, true, NULL, 2, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		opclass = ((Form_pg_opclass) GETSTRUCT(tuple))->oid;
	systable_endscan(scan);
	table_close(classes, AccessShareLock);
	return opclass;
}

bool
pgweir_index_column_init_search(PgweirIndexColumn *column, Oid relid, AttrNumber attno, Node *expr, Oid operator,
								Oid collation)
{
	Oid			type = column_type(relid, attno, expr);
	Oid			opclass = GetDefaultOpClass(type, GIN_AM_OID);

	memset(column, 0, sizeof(*column));
	if (!OidIsValid(opclass) && OidIsValid(pattern_opclass(type)))
		opclass = trigram_opclass();
	if (!OidIsValid(opclass) || !op_in_opfamily(operator, get_opclass_family(opclass)))
		return false;
	column->attno = attno;
	column->expr = expr;
	column->collation = collation;
	set_opclass(column, opclass);
	return true;
}

bool
pgweir_index_column_init_scalar(PgweirIndexColumn *column, Oid relid, const PgweirIndexColumn *btree)
{
	Oid			equality;

	if (!pgweir_index_column_init(column, relid, btree->attno, btree->expr, GIN_AM_OID, btree->collation, false))
		return false;
	/* The strategies are those of a B-tree; the classes of arrays and documents number theirs otherwise. */
	equality = get_opfamily_member(column->opfamily, column->opcintype, column->opcintype, BTEqualStrategyNumber);
	return OidIsValid(equality) && get_op_opfamily_strategy(equality, btree->opfamily) == BTEqualStrategyNumber;
}

/* One element of a CREATE INDEX statement that transformIndexStmt() has been over. */
static void
column_from_element(PgweirIndexColumn *column, const PgweirIndex *index, IndexElem *elem, bool key)
{
	Oid			type;
	Oid			collation;

	if (elem->name)
	{
		column->attno = get_attnum(index->relid, elem->name);
		if (column->attno == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" does not exist", elem->name)));
		if (column->attno < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index creation on system columns is not supported")));
		get_atttypetypmodcoll(index->relid, column->attno, &type, &(int32){0}, &collation);
	}
	else
	{
		column->expr = elem->expr;
		if (IsA(column->expr, CollateExpr))
			column->expr = (Node *) ((CollateExpr *) column->expr)->arg;
		if (IsA(column->expr, Var) && ((Var *) column->expr)->varattno > 0)
		{
			column->attno = ((Var *) column->expr)->varattno;
			column->expr = NULL;
		}
		else if (contain_mutable_functions(column->expr))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("functions in index expression must be marked IMMUTABLE")));
		type = exprType(elem->expr);
		collation = exprCollation(elem->expr);
	}
	if (!key)
		return;
	column->collation = elem->collation ? get_collation_oid(elem->collation, false) : collation;
	set_opclass(column, ResolveOpClass(elem->opclass, type, get_am_name(index->am), index->am));
	column->descending = elem->ordering == SORTBY_DESC;
	if (elem->nulls_ordering == SORTBY_NULLS_DEFAULT)
		column->nulls_first = column->descending;
	else
		column->nulls_first = elem->nulls_ordering == SORTBY_NULLS_FIRST;
}

static IndexStmt *
parse_index_stmt(const char *ddl)
{
	List	   *parsed = raw_parser(ddl, RAW_PARSE_DEFAULT);
	Node	   *stmt = list_length(parsed) == 1 ? linitial_node(RawStmt, parsed)->stmt : NULL;

	if (stmt == NULL || !IsA(stmt, IndexStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("not a single CREATE INDEX statement: \"%s\"", ddl)));
	return (IndexStmt *) stmt;
}

Oid
pgweir_index_ddl_table(const char *ddl)
{
	return RangeVarGetRelid(parse_index_stmt(ddl)->relation, NoLock, true);
}

PgweirIndex *
pgweir_index_from_ddl(const char *ddl)
{
	IndexStmt  *stmt = parse_index_stmt(ddl);
	Oid			relid = RangeVarGetRelid(stmt->relation, AccessShareLock, false);
	char		relkind = get_rel_relkind(relid);
	Oid			am;
	PgweirIndex *index;
	ListCell   *lc;
	int			i = 0;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_MATVIEW && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot create index on relation \"%s\"", stmt->relation->relname)));
	am = get_index_am_oid(stmt->accessMethod, false);
	stmt = transformIndexStmt(relid, stmt, ddl);
	index = pgweir_index_make(relid, am,
							  list_length(stmt->indexParams) + list_length(stmt->indexIncludingParams));
	index->nkeys = list_length(stmt->indexParams);
	index->unique = stmt->unique;
	index->nulls_not_distinct = PGWEIR_STMT_NULLS_NOT_DISTINCT(stmt);
	foreach (lc, stmt->indexParams)
		column_from_element(&index->column[i++], index, lfirst_node(IndexElem, lc), true);
	foreach (lc, stmt->indexIncludingParams)
		column_from_element(&index->column[i++], index, lfirst_node(IndexElem, lc), false);
	foreach (lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "fillfactor") == 0)
			index->fillfactor = (int) defGetInt64(option);
	}
	if (stmt->whereClause)
	{
		Node	   *where = eval_const_expressions(NULL, stmt->whereClause);

		index->predicate = make_ands_implicit((Expr *) canonicalize_qual((Expr *) where, false));
	}
	return index;
}

PgweirIndex *
pgweir_index_from_relation(Relation rel)
{
	Form_pg_index form = rel->rd_index;
	PgweirIndex *index = pgweir_index_make(form->indrelid, rel->rd_rel->relam, form->indnatts);
	ListCell   *expr = list_head(RelationGetIndexExpressions(rel));
	List	   *exprs = RelationGetIndexExpressions(rel);
	int			i;

	expr = list_head(exprs);
	index->oid = RelationGetRelid(rel);
	index->nkeys = form->indnkeyatts;
	index->unique = form->indisunique;
	index->nulls_not_distinct = PGWEIR_INDEX_NULLS_NOT_DISTINCT(form);
	for (i = 0; i < index->ncolumns; i++)
	{
		PgweirIndexColumn *column = &index->column[i];

		column->attno = form->indkey.values[i];
		if (column->attno == 0)
		{
			column->expr = copyObject(lfirst(expr));
			expr = lnext(exprs, expr);
		}
		if (i >= index->nkeys)
			continue;
		column->opfamily = rel->rd_opfamily[i];
		column->opcintype = rel->rd_opcintype[i];
		column->collation = rel->rd_indcollation[i];
		column->descending = (rel->rd_indoption[i] & INDOPTION_DESC) != 0;
		column->nulls_first = (rel->rd_indoption[i] & INDOPTION_NULLS_FIRST) != 0;
	}
	index->predicate = copyObject(RelationGetIndexPredicate(rel));
	return index;
}

/* Whether both stand for the same values, whatever their order. */
static bool
column_same_values(const PgweirIndexColumn *a, const PgweirIndexColumn *b)
{
	return a->attno == b->attno && equal(a->expr, b->expr);
}

bool
pgweir_index_column_same(const PgweirIndexColumn *a, const PgweirIndexColumn *b)
{
	return column_same_values(a, b) && a->opfamily == b->opfamily && a->opcintype == b->opcintype &&
		a->collation == b->collation && a->descending == b->descending && a->nulls_first == b->nulls_first;
}

bool
pgweir_index_same(const PgweirIndex *a, const PgweirIndex *b)
{
	int			i;

	if (a->relid != b->relid || a->am != b->am || a->nkeys != b->nkeys || a->ncolumns != b->ncolumns ||
		a->unique != b->unique || !equal(a->predicate, b->predicate))
		return false;
	for (i = 0; i < a->ncolumns; i++)
	{
		if (!pgweir_index_column_same(&a->column[i], &b->column[i]))
			return false;
	}
	return true;
}

bool
pgweir_index_key_prefix(const PgweirIndex *a, const PgweirIndex *b)
{
	int			i;

	if (a->relid != b->relid || a->am != b->am || a->nkeys > b->nkeys)
		return false;
	for (i = 0; i < a->nkeys; i++)
	{
		if (!pgweir_index_column_same(&a->column[i], &b->column[i]))
			return false;
	}
	return true;
}

/* The same as above for an index that is read backwards. */
static bool
key_prefix_reversed(const PgweirIndex *a, const PgweirIndex *b)
{
	int			i;

	if (a->relid != b->relid || a->am != b->am || a->nkeys > b->nkeys)
		return false;
	for (i = 0; i < a->nkeys; i++)
	{
		PgweirIndexColumn reversed = a->column[i];

		reversed.descending = !reversed.descending;
		reversed.nulls_first = !reversed.nulls_first;
		if (!pgweir_index_column_same(&reversed, &b->column[i]))
			return false;
	}
	return true;
}

static bool
holds_column(const PgweirIndex *index, const PgweirIndexColumn *column)
{
	int			i;

	for (i = 0; i < index->ncolumns; i++)
	{
		if (column_same_values(&index->column[i], column))
			return true;
	}
	return false;
}

/* Whether all key columns of a, in whichever order, are among those of b: where no order is kept, that is enough. */
static bool
key_is_part(const PgweirIndex *a, const PgweirIndex *b)
{
	int			i;
	int			j;

	if (a->relid != b->relid || a->am != GIN_AM_OID || b->am != GIN_AM_OID)
		return false;
	for (i = 0; i < a->nkeys; i++)
	{
		for (j = 0; j < b->nkeys && !pgweir_index_column_same(&a->column[i], &b->column[j]); j++)
			;
		if (j == b->nkeys)
			return false;
	}
	return true;
}

bool
pgweir_index_serves(const PgweirIndex *other, const PgweirIndex *needed)
{
	int			i;

	if (!equal(other->predicate, needed->predicate))
		return false;
	if (!pgweir_index_key_prefix(needed, other) && !key_prefix_reversed(needed, other) && !key_is_part(needed, other))
		return false;
	for (i = needed->nkeys; i < needed->ncolumns; i++)
	{
		if (!holds_column(other, &needed->column[i]))
			return false;
	}
	return true;
}

char *
pgweir_table_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return psprintf("%u", relid);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

Oid
pgweir_table_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/* What an expression reads as in a definition: functions bare, anything else in parentheses. */
static char *
expression_text(Oid relid, Node *expr)
{
	char	   *text = deparse_expression(expr, deparse_context_for(get_rel_name(relid), relid), false, false);

	return IsA(expr, FuncExpr) && ((FuncExpr *) expr)->funcformat == COERCE_EXPLICIT_CALL ? text
		: psprintf("(%s)", text);
}

static void
append_column(StringInfo buf, const PgweirIndex *index, const PgweirIndexColumn *column, bool key)
{
	Oid			type = column_type(index->relid, column->attno, column->expr);
	Oid			natural;

	if (column->expr)
	{
		appendStringInfoString(buf, expression_text(index->relid, column->expr));
		natural = exprCollation(column->expr);
	}
	else
	{
		appendStringInfoString(buf, quote_identifier(get_attname(index->relid, column->attno, false)));
		get_atttypetypmodcoll(index->relid, column->attno, &type, &(int32){0}, &natural);
	}
	if (!key)
		return;
	if (OidIsValid(column->collation) && column->collation != natural)
		appendStringInfo(buf, " COLLATE %s", generate_collation_name(column->collation));
	if (OidIsValid(column->opclass) && column->opclass != GetDefaultOpClass(type, index->am))
		appendStringInfo(buf, " %s", generate_opclass_name(column->opclass));
	if (column->descending)
		appendStringInfoString(buf, " DESC");
	if (column->nulls_first != column->descending)
		appendStringInfoString(buf, column->nulls_first ? " NULLS FIRST" : " NULLS LAST");
}

static void
append_columns(StringInfo buf, const PgweirIndex *index, int from, int to)
{
	int			i;

	for (i = from; i < to; i++)
	{
		if (i > from)
			appendStringInfoString(buf, ", ");
		append_column(buf, index, &index->column[i], i < index->nkeys);
	}
}

char *
pgweir_index_columns_text(const PgweirIndex *index)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_columns(&buf, index, 0, index->nkeys);
	return buf.data;
}

char *
pgweir_index_ddl(const PgweirIndex *index, const char *name)
{
	StringInfoData buf;

	initStringInfo(&buf);
	/* An index on a partitioned table cannot be built concurrently. */
	appendStringInfo(&buf, "CREATE %sINDEX ", index->unique ? "UNIQUE " : "");
	if (!index->partitioned)
		appendStringInfoString(&buf, "CONCURRENTLY ");
	if (name)
		appendStringInfo(&buf, "%s ", quote_identifier(name));
	appendStringInfo(&buf, "ON %s ", pgweir_table_name(index->relid));
	if (index->am != BTREE_AM_OID)
		appendStringInfo(&buf, "USING %s ", quote_identifier(get_am_name(index->am)));
	appendStringInfoChar(&buf, '(');
	append_columns(&buf, index, 0, index->nkeys);
	appendStringInfoChar(&buf, ')');
	if (index->ncolumns > index->nkeys)
	{
		appendStringInfoString(&buf, " INCLUDE (");
		append_columns(&buf, index, index->nkeys, index->ncolumns);
		appendStringInfoChar(&buf, ')');
	}
	if (index->predicate)
		appendStringInfo(&buf, " WHERE %s",
						 deparse_expression((Node *) make_ands_explicit(index->predicate),
											deparse_context_for(get_rel_name(index->relid), index->relid), false,
											false));
	return buf.data;
}

static bool
name_taken(const char *name, List *taken)
{
	ListCell   *lc;

	foreach (lc, taken)
	{
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

char *
pgweir_index_choose_name(const PgweirIndex *index, List *taken)
{
	StringInfoData columns;
	Oid			namespace = get_rel_namespace(index->relid);
	char	   *label = "idx";
	int			pass = 0;
	int			i;

	initStringInfo(&columns);
	for (i = 0; i < index->nkeys && columns.len < NAMEDATALEN; i++)
	{
		if (i > 0)
			appendStringInfoChar(&columns, '_');
		appendStringInfoString(&columns, index->column[i].expr
									? "expr"
									: get_attname(index->relid, index->column[i].attno, false));
	}
	for (;;)
	{
		char	   *name = ChooseRelationName(get_rel_name(index->relid), columns.data, label, namespace, false);

		if (!name_taken(name, taken))
			return name;
		label = psprintf("idx%d", ++pass);
	}
}
