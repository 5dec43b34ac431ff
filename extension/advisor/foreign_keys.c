/*
 * foreign_keys.c: looks for foreign keys without an index.
 */
#include "postgres.h"

#include "advisor/foreign_keys.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "advisor/index.h"
#include "advisor/isolate.h"
#include "advisor/statement.h"
#include "advisor/suggestion.h"
#include "advisor/tables.h"
#include "advisor/whatif.h"

/* A foreign key, copied from the catalog. */
typedef struct ForeignKey
{
	char	   *name;
	Oid			table;
	Oid			referred;
	int			n;
	int16		attnos[INDEX_MAX_KEYS];
} ForeignKey;

typedef struct Examination
{
	List	   *chosen;
	PgweirTables tables;
	const ForeignKey *key;		/* at hand */
	List	   *names;			/* of indexes suggested */
	List	   *suggestions;
	MemoryContext result;
} Examination;

static ForeignKey *
copy_key(HeapTuple tuple, TupleDesc desc)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	ForeignKey *key = palloc0(sizeof(ForeignKey));
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_pg_constraint_conkey, desc, &isnull);
	Datum	   *columns;
	int			i;

	if (isnull)
		return NULL;
	deconstruct_array(DatumGetArrayTypeP(value), INT2OID, sizeof(int16), true, TYPALIGN_SHORT, &columns, NULL, &key->n);
	if (key->n > INDEX_MAX_KEYS)
		return NULL;
	for (i = 0; i < key->n; i++)
		key->attnos[i] = DatumGetInt16(columns[i]);
	key->name = pstrdup(NameStr(form->conname));
	key->table = form->conrelid;
	key->referred = form->confrelid;
	return key;
}

/* Foreign keys to tables that rows have been deleted from; those of partitions stand with their parent. */
static List *
deleting_keys(void)
{
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(constraints, InvalidOid, false, NULL, 0, NULL);
	List	   *keys = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		ForeignKey *key;

		if (form->contype != CONSTRAINT_FOREIGN || OidIsValid(form->conparentid))
			continue;
		if (DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_deleted, ObjectIdGetDatum(form->confrelid))) == 0)
			continue;
		key = copy_key(tuple, RelationGetDescr(constraints));
		if (key)
			keys = lappend(keys, key);
	}
	systable_endscan(scan);
	table_close(constraints, AccessShareLock);
	return keys;
}

/* Whether the index finds rows by the key's columns. */
static bool
supports(const PgweirIndex *index, const ForeignKey *key)
{
	int			i;
	int			j;

	if (index->relid != key->table || index->predicate || index->nkeys < key->n || index->am != BTREE_AM_OID)
		return false;
	for (i = 0; i < key->n; i++)
	{
		for (j = 0; j < key->n && index->column[i].attno != key->attnos[j]; j++)
			;
		if (j == key->n)
			return false;
	}
	return true;
}

static bool
is_supported(List *indexes, const ForeignKey *key)
{
	ListCell   *lc;

	foreach (lc, indexes)
	{
		if (supports(lfirst(lc), key))
			return true;
	}
	return false;
}

/* An index on the key's columns; NULL when one of them has no B-tree class. */
static PgweirIndex *
index_for(const ForeignKey *key)
{
	PgweirIndex *index = pgweir_index_make(key->table, BTREE_AM_OID, key->n);
	int			i;

	for (i = 0; i < key->n; i++)
	{
		Oid			type;
		Oid			collation;

		get_atttypetypmodcoll(key->table, key->attnos[i], &type, &(int32){0}, &collation);
		if (!pgweir_index_column_init(&index->column[i], key->table, key->attnos[i], NULL, BTREE_AM_OID, collation, false))
			return NULL;
	}
	return index;
}

/* The planner's cost of looking for rows that refer to one that is deleted. */
static double
check_cost(const ForeignKey *key, PgweirIndex *index)
{
	PgweirWhatif whatif = {0};
	StringInfoData text;
	const char *reason;
	List	   *queries;
	int			i;

	initStringInfo(&text);
	appendStringInfo(&text, "SELECT 1 FROM %s WHERE ", pgweir_table_name(key->table));
	for (i = 0; i < key->n; i++)
		appendStringInfo(&text, "%s%s = $%d", i > 0 ? " AND " : "",
						 quote_identifier(get_attname(key->table, key->attnos[i], false)), i + 1);
	whatif.index = &index;
	whatif.nindexes = index ? 1 : 0;
	queries = pgweir_statement_parse(text.data, &reason);
	return queries ? pgweir_whatif_plan(linitial_node(Query, queries), text.data, &whatif).cost : 0;
}

static void
suggest(Examination *examination, PgweirIndex *index, double before, double after)
{
	const ForeignKey *key = examination->key;
	MemoryContext old = MemoryContextSwitchTo(examination->result);
	PgweirSuggestion *suggestion = pgweir_suggestion_make("create", "medium");
	char	   *name = pgweir_index_choose_name(index, examination->names);
	int64		deletes = DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_deleted, ObjectIdGetDatum(key->referred)));

	examination->names = lappend(examination->names, name);
	suggestion->identity = pgweir_index_ddl(index, NULL);
	suggestion->table_name = pgweir_table_name(key->table);
	suggestion->ddl = psprintf("%s;", pgweir_index_ddl(index, name));
	suggestion->reason = psprintf("Foreign key %s has no index: each delete from %s reads all of %s to see that no row refers "
								  "to it. " INT64_FORMAT " rows were deleted since statistics were reset. Planner cost of "
								  "that check %.1f before, %.1f after.",
								  quote_identifier(key->name), pgweir_table_name(key->referred), suggestion->table_name,
								  deletes, before, after);
	suggestion->gain_pct = before > 0 ? 100 * (1 - after / before) : 0;
	suggestion->cost_before = before;
	suggestion->cost_after = after;
	suggestion->size_bytes = (double) pgweir_index_bytes(index);
	examination->suggestions = lappend(examination->suggestions, suggestion);
	MemoryContextSwitchTo(old);
}

static void
examine_key(void *arg)
{
	Examination *examination = arg;
	const ForeignKey *key = examination->key;
	PgweirTable *table;
	PgweirIndex *index;
	double		before;
	double		after;

	LockRelationOid(key->table, AccessShareLock);
	table = pgweir_tables_get(&examination->tables, key->table);
	if (table->excluded || !table->analyzed || is_supported(table->indexes, key) ||
		is_supported(examination->chosen, key) || (index = index_for(key)) == NULL)
		return;
	before = check_cost(key, NULL);
	after = check_cost(key, index);
	if (after < before / 2)
		suggest(examination, index, before, after);
}

List *
pgweir_unsupported_foreign_keys(List *chosen)
{
	Examination examination = {chosen, {NIL, CurrentMemoryContext}, NULL, NIL, NIL, CurrentMemoryContext};
	ListCell   *lc;
	Oid			owner;

	foreach (lc, deleting_keys())
	{
		CHECK_FOR_INTERRUPTS();
		examination.key = lfirst(lc);
		owner = pgweir_table_owner(examination.key->table);
		if (OidIsValid(owner))
			(void) pgweir_isolated(owner, "pg_catalog", examine_key, &examination);
	}
	return examination.suggestions;
}
