/*
 * methods.c: hash and BRIN indexes.
 */
#include "postgres.h"

#include "advisor/methods.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_statistic.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "advisor/settings.h"

/* A hash index must be so much smaller than the B-tree: it does less. */
#define MAX_HASH_SHARE 0.6
/* How well the rows must lie in order for BRIN. */
#define MIN_BRIN_CORRELATION 0.95

/* An index of the method on the predicate's column; NULL when the type has no class for it. */
static PgweirIndex *
index_on(const PgweirScan *scan, const PgweirPredicate *predicate, Oid am)
{
	PgweirIndex *index = pgweir_index_make(scan->relid, am, 1);
	const PgweirIndexColumn *column = &predicate->column;

	return pgweir_index_column_init(&index->column[0], scan->relid, column->attno, column->expr, am, column->collation,
									false) ? index : NULL;
}

PgweirIndex *
pgweir_hash_index(const PgweirScan *scan, const PgweirPredicate *predicate, const PgweirTable *table)
{
	PgweirIndex *hash;
	PgweirIndex *btree;

	if ((predicate->kind != PGWEIR_PREDICATE_EQUAL && predicate->kind != PGWEIR_PREDICATE_JOIN) ||
		predicate->arm != 0 || predicate->constant != NULL || predicate->column.attno == 0)
		return NULL;
	hash = index_on(scan, predicate, HASH_AM_OID);
	btree = index_on(scan, predicate, BTREE_AM_OID);
	if (hash == NULL || btree == NULL)
		return NULL;
	return pgweir_index_size(hash, scan->relid, NULL, table->rows, table->pages).pages <=
		pgweir_index_size(btree, scan->relid, NULL, table->rows, table->pages).pages * MAX_HASH_SHARE ? hash : NULL;
}

double
pgweir_column_correlation(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid), Int16GetDatum(attno),
										BoolGetDatum(false));
	AttStatsSlot slot;
	double		correlation = 0;

	if (!HeapTupleIsValid(tuple))
		return 0;
	if (get_attstatsslot(&slot, tuple, STATISTIC_KIND_CORRELATION, InvalidOid, ATTSTATSSLOT_NUMBERS))
	{
		correlation = slot.nnumbers > 0 ? slot.numbers[0] : 0;
		free_attstatsslot(&slot);
	}
	ReleaseSysCache(tuple);
	return correlation;
}

PgweirIndex *
pgweir_brin_index(const PgweirScan *scan, const PgweirPredicate *predicate, const PgweirTable *table)
{
	if ((predicate->kind != PGWEIR_PREDICATE_RANGE && predicate->kind != PGWEIR_PREDICATE_EQUAL) ||
		predicate->arm != 0 || predicate->constant != NULL || predicate->column.attno == 0 ||
		table->pages < pgweir_advisor_min_brin_pages ||
		fabs(pgweir_column_correlation(scan->relid, predicate->column.attno)) < MIN_BRIN_CORRELATION)
		return NULL;
	return index_on(scan, predicate, BRIN_AM_OID);
}
