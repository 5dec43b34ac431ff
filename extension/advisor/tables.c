/*
 * tables.c: gathers what is known of a table.
 */
#include "postgres.h"

#include "advisor/tables.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "advisor/settings.h"

/* Adds a relation's pages and rows, and whether any of its columns has statistics. */
static void
measure(PgweirTable *table, Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	BlockNumber pages = 0;
	double		rows = 0;
	double		visible;
	AttrNumber	attno;

	if (RELKIND_HAS_STORAGE(rel->rd_rel->relkind))
		estimate_rel_size(rel, NULL, &pages, &rows, &visible);
	table->pages += pages;
	table->rows += rows;
	for (attno = 1; attno <= rel->rd_att->natts && !table->analyzed; attno++)
		table->analyzed = SearchSysCacheExists3(STATRELATTINH, ObjectIdGetDatum(relid), Int16GetDatum(attno),
												BoolGetDatum(false));
	table_close(rel, AccessShareLock);
}

/* The indexes on the table that can be scanned. */
static List *
existing_indexes(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *oids = RelationGetIndexList(rel);
	List	   *indexes = NIL;
	ListCell   *lc;

	foreach (lc, oids)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisvalid)
			indexes = lappend(indexes, pgweir_index_from_relation(index));
		index_close(index, AccessShareLock);
	}
	table_close(rel, AccessShareLock);
	return indexes;
}

/* Why the relation is not given indexes, as far as its kind tells. */
static const char *
exclusion(Oid relid)
{
	Oid			namespace = get_rel_namespace(relid);

	if (relid < FirstNormalObjectId || IsCatalogNamespace(namespace) || IsToastNamespace(namespace))
		return "it is a system catalog";
	if (isAnyTempNamespace(namespace))
		return "it is a temporary table";
	if (namespace == get_namespace_oid("pgweir", true))
		return "it belongs to pgweir";
	return NULL;
}

static PgweirTable *
make_table(Oid relid)
{
	PgweirTable *table = palloc0(sizeof(PgweirTable));
	double		updates;
	List	   *members;
	ListCell   *lc;

	table->relid = relid;
	table->name = pgweir_table_name(relid);
	table->excluded = exclusion(relid);
	if (table->excluded)
		return table;
	members = get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ? find_all_inheritors(relid, AccessShareLock, NULL)
		: list_make1_oid(relid);
	foreach (lc, members)
	{
		CHECK_FOR_INTERRUPTS();
		measure(table, lfirst_oid(lc));
	}
	if (table->pages < pgweir_advisor_min_table_pages)
		table->excluded = psprintf("it has only %.0f pages (pgweir.advisor_min_table_pages is %d)", table->pages,
								   pgweir_advisor_min_table_pages);
	table->indexes = existing_indexes(relid);
	updates = DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_updated, ObjectIdGetDatum(relid)));
	if (updates > 0)
		table->hot_fraction =
			DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_hot_updated, ObjectIdGetDatum(relid))) / updates;
	return table;
}

PgweirTable *
pgweir_tables_get(PgweirTables *tables, Oid relid)
{
	MemoryContext old;
	PgweirTable *table;
	ListCell   *lc;

	foreach (lc, tables->tables)
	{
		table = lfirst(lc);
		if (table->relid == relid)
			return table;
	}
	old = MemoryContextSwitchTo(tables->context);
	table = make_table(relid);
	tables->tables = lappend(tables->tables, table);
	MemoryContextSwitchTo(old);
	return table;
}

/* Whether an update of the table is known to change a column of the index. */
static bool
touches_updated(const PgweirTable *table, const PgweirIndex *index)
{
	int			i;

	for (i = 0; i < index->ncolumns; i++)
	{
		if (index->column[i].attno == 0 || bms_is_member(index->column[i].attno, table->updated))
			return true;
	}
	return false;
}

double
pgweir_table_entries(const PgweirTable *table, const PgweirIndex *index)
{
	/* An update that stays on the page and changes no indexed column makes no entry; one that changes ours now would. */
	double		entries_per_update = touches_updated(table, index) ? 1 : 1 - table->hot_fraction;

	return (table->inserts + table->updates * entries_per_update) * index->fraction;
}
