/*
 * index.h: an index as the advisor thinks of it, whether it exists, might exist, or is being asked about.
 *
 * A PgweirIndex is plain data: catalog identities and expressions, nothing that points into a planner's run, so that
 * it lives as long as the memory context it was made in.  Expressions and predicates refer to the table as variable
 * number 1.  Nothing here takes locks on the table unless it says so.
 */
#ifndef PGWEIR_ADVISOR_INDEX_H
#define PGWEIR_ADVISOR_INDEX_H

#include "access/htup.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "utils/relcache.h"

typedef struct PgweirIndexColumn
{
	AttrNumber	attno;			/* of the table; 0 for an expression */
	Node	   *expr;			/* NULL for a plain column */
	Oid			opclass;		/* what follows is InvalidOid in a column that is not part of the key */
	Oid			opfamily;
	Oid			opcintype;
	Oid			collation;
	bool		descending;
	bool		nulls_first;
	HeapTuple	stats;			/* of the expression's values, as in pg_statistic; NULL: none */
} PgweirIndexColumn;

typedef struct PgweirIndex
{
	Oid			relid;
	Oid			am;
	bool		partitioned;	/* the table is; the index stands for one on each partition */
	bool		unique;
	bool		nulls_not_distinct;
	int			fillfactor;		/* 0: the access method's default */
	int			nkeys;			/* columns that order the index; the rest is included */
	int			ncolumns;
	PgweirIndexColumn *column;
	List	   *predicate;		/* implicitly ANDed; NIL: every row */
	double		fraction;		/* of the table's rows that satisfy the predicate (whatif.h measures it); 1 without */
	Oid			oid;			/* of the index when it exists */
} PgweirIndex;

/* How large an index on so many rows is. */
typedef struct PgweirIndexSize
{
	double		tuples;
	double		pages;
	int			height;			/* of the tree above its leaves; -1: unknown */
} PgweirIndexSize;

extern PgweirIndex *pgweir_index_make(Oid relid, Oid am, int ncolumns);

/*
 * Makes the column a key for the default (or, with pattern, the pattern) operator class of its type, in ascending
 * order.  expr is NULL for a plain column.  False when the type has no such class.
 */
extern bool pgweir_index_column_init(PgweirIndexColumn *column, Oid relid, AttrNumber attno, Node *expr, Oid am,
									 Oid collation, bool pattern);

/*
 * Makes the column a key for the GIN class of its type that the operator belongs to: the default one, or for patterns the
 * one of pg_trgm.  False when there is none.
 */
extern bool pgweir_index_column_init_search(PgweirIndexColumn *column, Oid relid, AttrNumber attno, Node *expr,
											Oid operator, Oid collation);

/*
 * Makes the column a key of a GIN index for comparing the values of a B-tree's with =: what btree_gin adds.  False where it is
 * not installed or has no class for the type.
 */
extern bool pgweir_index_column_init_scalar(PgweirIndexColumn *column, Oid relid, const PgweirIndexColumn *btree);

/* The index a CREATE INDEX statement would make; errors as that statement would.  Leaves the table locked shared. */
extern PgweirIndex *pgweir_index_from_ddl(const char *ddl);

/* The table that the statement names; InvalidOid: there is none.  Looks nothing else up. */
extern Oid	pgweir_index_ddl_table(const char *ddl);

/* The index that exists. */
extern PgweirIndex *pgweir_index_from_relation(Relation index);

extern bool pgweir_index_column_same(const PgweirIndexColumn *a, const PgweirIndexColumn *b);
extern bool pgweir_index_same(const PgweirIndex *a, const PgweirIndex *b);

/* Whether a's key begins b's key, in the same order; included columns and predicates do not count. */
extern bool pgweir_index_key_prefix(const PgweirIndex *a, const PgweirIndex *b);

/*
 * Whether whatever needed can be scanned for, other can be scanned for too: same access method and predicate, needed's
 * key begins other's key in the same or the reverse order (in GIN: is part of it), and other holds every column that needed
 * holds.
 */
extern bool pgweir_index_serves(const PgweirIndex *other, const PgweirIndex *needed);

/*
 * The size of the index on a table (or one partition of it) with so many rows and pages.  The columns' statistics are read for
 * relid, whose column numbers attnos gives in the order of the index's columns; NULL when they are the index's own.
 */
extern PgweirIndexSize pgweir_index_size(const PgweirIndex *index, Oid relid, const AttrNumber *attnos,
										 double rows, double heap_pages);

/* The same in bytes for the table as it is, all partitions together. */
extern int64 pgweir_index_bytes(const PgweirIndex *index);

/*
 * CREATE INDEX CONCURRENTLY ..., quoted and ready to run.  name is the index's; NULL leaves it out, which gives the text
 * that identifies the index.
 */
extern char *pgweir_index_ddl(const PgweirIndex *index, const char *name);

/* Columns as one says them: "customer_id, created_at DESC". */
extern char *pgweir_index_columns_text(const PgweirIndex *index);

/* A name for the index that no relation of its schema has and that is not among taken (a list of char *). */
extern char *pgweir_index_choose_name(const PgweirIndex *index, List *taken);

/* schema.table, quoted. */
extern char *pgweir_table_name(Oid relid);

/* As whom to look at it, since that may evaluate expressions of its indexes; InvalidOid: it is gone. */
extern Oid	pgweir_table_owner(Oid relid);

#endif
