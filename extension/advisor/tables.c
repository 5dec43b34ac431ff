/*
 * tables.c: gathers what is known of a table.
 */
#include "postgres.h"

#include "advisor/tables.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "advisor/expression_stats.h"
#include "advisor/settings.h"

/* A table that was just filled is not written to at that rate: counts tell a rate after a day. */
#define MIN_COUNTED_HOURS 24

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

/* Hours since the server counts what is written; 0 when that is not known or not long enough to be a rate. */
static double
counted_hours(void)
{
	PgStat_StatDBEntry *entry = pgstat_fetch_stat_dbentry(MyDatabaseId);
	double		hours;

	if (entry == NULL || entry->stat_reset_timestamp == 0)
		return 0;
	hours = (double) (GetCurrentTimestamp() - entry->stat_reset_timestamp) / USECS_PER_HOUR;
	return hours >= MIN_COUNTED_HOURS ? hours : 0;
}

/* Adds what the server has counted for a relation: a table's partitions count for it. */
static void
count_writes(PgweirTable *table, Oid relid)
{
	Datum		arg = ObjectIdGetDatum(relid);
	double		updates = (double) DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_updated, arg));
	double		hot = (double) DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_hot_updated, arg));
	double		inserts = (double) DatumGetInt64(DirectFunctionCall1(pg_stat_get_tuples_inserted, arg));
	double		hours = counted_hours();

	if (updates > 0)
		table->hot_fraction = Max(table->hot_fraction, Min(1.0, hot / updates));
	if (hours > 0)
	{
		table->other_inserts += inserts / hours;
		table->other_updates += updates / hours;
	}
}

static PgweirTable *
make_table(Oid relid)
{
	PgweirTable *table = palloc0(sizeof(PgweirTable));
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
	foreach (lc, members)
		count_writes(table, lfirst_oid(lc));
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

HeapTuple
pgweir_table_expression_stats(PgweirTables *tables, PgweirTable *table, Node *expr)
{
	PgweirExpression *expression;
	MemoryContext old;
	ListCell   *lc;

	foreach (lc, table->expressions)
	{
		expression = lfirst(lc);
		if (equal(expression->expr, expr))
			return expression->stats;
	}
	old = MemoryContextSwitchTo(tables->context);
	expression = palloc0(sizeof(PgweirExpression));
	expression->expr = copyObject(expr);
	expression->stats = pgweir_expression_stats(table->relid, expr, table->rows, table->pages);
	table->expressions = lappend(table->expressions, expression);
	MemoryContextSwitchTo(old);
	return expression->stats;
}

/* Whether the updates change a column of the index or its predicate; of an expression it is not known. */
static bool
touches(const Bitmapset *updated, const PgweirIndex *index)
{
	Bitmapset  *attrs = NULL;
	int			attr = -1;
	int			i;

	pull_varattnos((Node *) index->predicate, 1, &attrs);
	while ((attr = bms_next_member(attrs, attr)) >= 0)
	{
		if (bms_is_member(attr + FirstLowInvalidHeapAttributeNumber, updated))
			return true;
	}
	for (i = 0; i < index->ncolumns; i++)
	{
		if (index->column[i].attno == 0 || bms_is_member(index->column[i].attno, updated))
			return true;
	}
	return false;
}

double
pgweir_write_entries(const PgweirTable *table, const PgweirWrite *write, const PgweirIndex *index)
{
	/* An update that stays on its page and changes no indexed column makes no entry. */
	double		per_update = (1 - table->hot_fraction) * index->fraction;

	/* If it changes one it makes entries in the other indexes, too, whether or not this one has the row. */
	if (touches(write->updated, index))
		per_update = index->fraction + table->hot_fraction * list_length(table->indexes);
	return write->inserts * index->fraction + write->updates * per_update;
}

double
pgweir_table_entries(const PgweirTable *table, const PgweirIndex *index)
{
	PgweirWrite others = {0, table->other_inserts, table->other_updates, NULL};
	double		entries = 0;
	ListCell   *lc;

	foreach (lc, table->writes)
	{
		const PgweirWrite *write = lfirst(lc);

		entries += pgweir_write_entries(table, write, index);
		others.inserts -= write->inserts;
		others.updates -= write->updates;
	}
	/* What was counted beyond the statements at hand: COPY, statements that were forgotten or stand in functions. */
	others.inserts = Max(others.inserts, 0);
	others.updates = Max(others.updates, 0);
	return entries + pgweir_write_entries(table, &others, index);
}
