/*
 * index_size.c: how many pages and levels an index would have.
 *
 * B-tree leaves are modelled tuple by tuple: header, null bitmap where nulls occur, aligned columns by their average
 * width, line pointer, fill factor; where duplicates are many and the operator classes allow it, one key and six bytes
 * for each further row, as deduplication stores them.  Inner pages are filled to 70 %.  Other access methods have simple
 * models by the same widths.  With pgweir.advisor_hypopg_compatible the formula of HypoPG 1.3.1 is used, in order to
 * compare.
 */
#include "postgres.h"

#include "advisor/index.h"

#include <math.h>

#include "access/brin.h"
#include "access/hash.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/plancat.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "advisor/settings.h"

/* Bytes of a B-tree page that hold tuples. */
#define PAGE_BYTES ((double) (BLCKSZ - SizeOfPageHeaderData - MAXALIGN(sizeof(BTPageOpaqueData))))
/* A posting list takes at most a tenth of a page, six bytes a row. */
#define POSTING_ROWS ((double) (BLCKSZ / 10) / sizeof(ItemPointerData))
#define EXPRESSION_WIDTH 50
/* Pages that BRIN summarises together by default. */
#define BRIN_RANGE_PAGES 128

/* What statistics say of one column. */
typedef struct ColumnFacts
{
	double		width;			/* of values that are not null */
	double		nulls;			/* fraction */
	double		distinct;		/* number of values; 0: unknown */
	int			align;			/* in bytes */
} ColumnFacts;

static int
type_align(Oid type)
{
	int16		len;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	if (len == -1)
		return 1;				/* short values are stored with a one-byte header, unaligned */
	switch (align)
	{
		case TYPALIGN_CHAR: return 1;
		case TYPALIGN_SHORT: return 2;
		case TYPALIGN_INT: return 4;
		default: return MAXIMUM_ALIGNOF;
	}
}

/* The plain column whose values an expression's are about as wide as; 0: none. */
static AttrNumber
expression_source(const Node *expr)
{
	const FuncExpr *func = (const FuncExpr *) expr;
	const Node *arg;

	if (!IsA(expr, FuncExpr) || list_length(func->args) != 1)
		return 0;
	if (func->funcid != F_LOWER_TEXT && func->funcid != F_UPPER_TEXT && func->funcid != F_BTRIM_TEXT)
		return 0;
	arg = strip_implicit_coercions(linitial(func->args));
	if (IsA(arg, RelabelType))
		arg = (const Node *) ((const RelabelType *) arg)->arg;
	return IsA(arg, Var) ? ((const Var *) arg)->varattno : 0;
}

static ColumnFacts
facts_from(Form_pg_statistic stats, ColumnFacts facts, double rows)
{
	facts.width = stats->stawidth;
	facts.nulls = stats->stanullfrac;
	facts.distinct = stats->stadistinct >= 0 ? stats->stadistinct : -stats->stadistinct * rows;
	return facts;
}

static ColumnFacts
column_facts(const PgweirIndexColumn *column, Oid relid, AttrNumber attno, double rows)
{
	ColumnFacts facts = {EXPRESSION_WIDTH, 0, 0, 1};
	HeapTuple	tuple;
	Oid			type;
	int32		typmod;

	if (column->expr)
	{
		int16		len = get_typlen(exprType(column->expr));

		facts.align = type_align(exprType(column->expr));
		attno = expression_source(column->expr);
		if (len > 0)
			facts.width = len;
		if (HeapTupleIsValid(column->stats))
			return facts_from((Form_pg_statistic) GETSTRUCT(column->stats), facts, rows);
		if (attno == 0)
			return facts;
	}
	get_atttypetypmodcoll(relid, attno, &type, &typmod, &(Oid){0});
	if (!column->expr)
		facts.align = type_align(type);
	facts.width = get_attavgwidth(relid, attno);
	if (facts.width <= 0)
		facts.width = get_typavgwidth(type, typmod);
	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid), Int16GetDatum(attno), BoolGetDatum(false));
	if (HeapTupleIsValid(tuple))
	{
		double		width = facts.width;

		facts = facts_from((Form_pg_statistic) GETSTRUCT(tuple), facts, rows);
		facts.width = width;
		ReleaseSysCache(tuple);
	}
	return facts;
}

/* The width HypoPG takes for a column: the average, 50 for an unknown expression. */
static double
hypopg_column_width(const PgweirIndexColumn *column, Oid relid, AttrNumber attno)
{
	if (!column->expr)
		return get_attavgwidth(relid, attno);
	attno = expression_source(column->expr);
	return attno > 0 ? get_attavgwidth(relid, attno) : EXPRESSION_WIDTH;
}

static PgweirIndexSize
hypopg_btree_size(const PgweirIndex *index, Oid relid, const AttrNumber *attnos, double rows)
{
	PgweirIndexSize size = {rows, 0, -1};
	double		width = 0;
	double		bloat = (200.0 - (index->fillfactor ? index->fillfactor : BTREE_DEFAULT_FILLFACTOR) + 20) / 100;
	int			i;

	for (i = 0; i < index->ncolumns; i++)
		width += hypopg_column_width(&index->column[i], relid, attnos ? attnos[i] : index->column[i].attno);
	width += sizeof(IndexTupleData) * index->ncolumns + MAXALIGN(sizeof(ItemIdData) * index->ncolumns);
	size.pages = floor(rows * width * bloat / (BLCKSZ - SizeOfPageHeaderData - sizeof(BTPageOpaqueData)));
	if (size.pages < 1)
		size.pages = 1;
	return size;
}

/* Whether equal keys are stored once: every class must promise that equal means identical. */
static bool
deduplicates(const PgweirIndex *index)
{
	int			i;

	if (index->unique || index->ncolumns > index->nkeys)
		return false;
	for (i = 0; i < index->nkeys; i++)
	{
		const PgweirIndexColumn *column = &index->column[i];
		Oid			proc = get_opfamily_proc(column->opfamily, column->opcintype, column->opcintype,
											 BTEQUALIMAGE_PROC);

		if (!OidIsValid(proc) ||
			!DatumGetBool(OidFunctionCall1Coll(proc, column->collation, ObjectIdGetDatum(column->opcintype))))
			return false;
	}
	return true;
}

/* Adds inner levels and the meta page to a number of leaves. */
static void
add_inner_levels(PgweirIndexSize *size, double key_bytes)
{
	double		fanout = Max(2.0, floor(PAGE_BYTES * BTREE_NONLEAF_FILLFACTOR / 100 / key_bytes));
	double		level = size->pages;

	size->height = 0;
	while (level > 1)
	{
		level = ceil(level / fanout);
		size->pages += level;
		size->height++;
	}
	size->pages += 1;
}

static PgweirIndexSize
btree_size(const PgweirIndex *index, Oid relid, const AttrNumber *attnos, double rows)
{
	PgweirIndexSize size = {rows, 0, 0};
	double		data = 0;
	double		no_nulls = 1;
	double		distinct = 1;
	double		tuple_bytes;
	double		leaf_bytes;
	double		fill = (index->fillfactor ? index->fillfactor : BTREE_DEFAULT_FILLFACTOR) / 100.0;
	int			i;

	for (i = 0; i < index->ncolumns; i++)
	{
		ColumnFacts facts = column_facts(&index->column[i], relid, attnos ? attnos[i] : index->column[i].attno,
										 rows);

		data = TYPEALIGN(facts.align, (Size) ceil(data)) + facts.width * (1 - facts.nulls);
		no_nulls *= 1 - facts.nulls;
		/* A column without statistics is taken for distinct, so that the size is rather too high. */
		distinct *= facts.distinct > 0 ? facts.distinct + (facts.nulls > 0 ? 1 : 0) : rows;
	}
	tuple_bytes = MAXALIGN(sizeof(IndexTupleData) + (Size) ceil(data)) + sizeof(ItemIdData);
	tuple_bytes += (1 - no_nulls) * MAXIMUM_ALIGNOF;
	distinct = Max(1.0, Min(distinct, rows));
	leaf_bytes = rows * tuple_bytes;
	if (rows > 2 * distinct && deduplicates(index))
	{
		double		lists = Max(distinct, rows / POSTING_ROWS);

		leaf_bytes = lists * tuple_bytes + rows * sizeof(ItemPointerData);
	}
	size.pages = Max(1.0, ceil(leaf_bytes / (PAGE_BYTES * fill)));
	add_inner_levels(&size, tuple_bytes);
	return size;
}

/* A summary of every range of pages, with a map to find it. */
static PgweirIndexSize
brin_size(const PgweirIndex *index, double heap_pages)
{
	PgweirIndexSize size = {0, 0, -1};
	double		ranges = ceil(heap_pages / BRIN_RANGE_PAGES);
	double		bytes = 0;
	int			i;

	for (i = 0; i < index->nkeys; i++)
		bytes += 2 * 8 + 2;
	size.tuples = ranges;
	size.pages = 2 + ceil(ranges * sizeof(ItemPointerData) / BLCKSZ) + ceil(ranges * (bytes + 12) / BLCKSZ);
	return size;
}

static PgweirIndexSize
hash_size(double rows)
{
	PgweirIndexSize size = {rows, 0, -1};
	double		tuple_bytes = MAXALIGN(sizeof(IndexTupleData) + sizeof(uint32)) + sizeof(ItemIdData);

	/* Buckets are filled to three quarters, and their number is rounded up within a power of two's quarter. */
	size.pages = 4 + ceil(rows * tuple_bytes / (PAGE_BYTES * 0.75));
	return size;
}

/* Of a value that is alone in such an index. */
#define GIN_SCALAR_BYTES 24

/*
 * A GIN index by the width of what it searches in: a trigram for each character, an entry for each element; the lists of
 * rows are compressed.
 */
static PgweirIndexSize
gin_size(const PgweirIndex *index, Oid relid, const AttrNumber *attnos, double rows)
{
	PgweirIndexSize size = {rows, 0, -1};
	double		bytes = 0;
	int			i;

	for (i = 0; i < index->nkeys; i++)
	{
		const PgweirIndexColumn *column = &index->column[i];
		ColumnFacts facts = column_facts(column, relid, attnos ? attnos[i] : column->attno, rows);

		/* btree_gin: a row stands once, in the list of its value. */
		if (get_typlen(column->opcintype) > 0)
			bytes += Min(GIN_SCALAR_BYTES, 7 + 50 * (facts.distinct > 0 ? facts.distinct / Max(rows, 1) : 1));
		else
			bytes += facts.width * (1 - facts.nulls) * (column->opcintype == TEXTOID ? 1.5 : 0.8);
	}
	size.pages = 3 + ceil(rows * Max(bytes, 2.0) / PAGE_BYTES);
	return size;
}

PgweirIndexSize
pgweir_index_size(const PgweirIndex *index, Oid relid, const AttrNumber *attnos, double rows, double heap_pages)
{
	rows = Max(0.0, rows * index->fraction);
	if (index->am == HASH_AM_OID)
		return hash_size(rows);
	if (index->am == BRIN_AM_OID)
		return brin_size(index, heap_pages);
	if (index->am == GIN_AM_OID)
		return gin_size(index, relid, attnos, rows);
	if (pgweir_advisor_hypopg_compatible)
		return hypopg_btree_size(index, relid, attnos, rows);
	return btree_size(index, relid, attnos, rows);
}

static double
relation_bytes(const PgweirIndex *index, Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	AttrNumber *attnos = palloc0(sizeof(AttrNumber) * Max(index->ncolumns, 1));
	BlockNumber pages = 0;
	double		rows = 0;
	double		visible;
	PgweirIndexSize size;
	int			i;

	for (i = 0; i < index->ncolumns; i++)
	{
		attnos[i] = index->column[i].attno;
		if (relid != index->relid && attnos[i] != 0)
			attnos[i] = get_attnum(relid, get_attname(index->relid, attnos[i], false));
	}
	if (RELKIND_HAS_STORAGE(rel->rd_rel->relkind))
		estimate_rel_size(rel, NULL, &pages, &rows, &visible);
	table_close(rel, AccessShareLock);
	size = pgweir_index_size(index, relid, attnos, rows, pages);
	pfree(attnos);
	return size.pages * BLCKSZ;
}

int64
pgweir_index_bytes(const PgweirIndex *index)
{
	double		bytes = 0;
	List	   *children;
	ListCell   *lc;

	if (!index->partitioned)
		return (int64) relation_bytes(index, index->relid);
	children = find_all_inheritors(index->relid, AccessShareLock, NULL);
	foreach (lc, children)
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION)
			bytes += relation_bytes(index, lfirst_oid(lc));
	}
	return (int64) bytes;
}
