/*
 * tables.h: what the advisor knows of the tables it may give indexes to.
 *
 * Looked up once for a run and kept in the run's memory.  The caller holds a lock on the table.
 */
#ifndef PGWEIR_ADVISOR_TABLES_H
#define PGWEIR_ADVISOR_TABLES_H

#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

#include "advisor/index.h"

/* Statistics of an expression over the table's columns. */
typedef struct PgweirExpression
{
	Node	   *expr;
	HeapTuple	stats;			/* NULL: none */
} PgweirExpression;

/* What a statement at hand writes to a table. */
typedef struct PgweirWrite
{
	int64		queryid;
	double		inserts;		/* rows an hour */
	double		updates;
	Bitmapset  *updated;		/* columns that the updates set */
} PgweirWrite;

typedef struct PgweirTable
{
	Oid			relid;
	char	   *name;			/* schema.table, quoted */
	const char *excluded;		/* why it gets no index; NULL: it may */
	bool		analyzed;		/* has statistics of its columns */
	double		pages;			/* of all partitions */
	double		rows;
	List	   *indexes;		/* of PgweirIndex: those that exist and are valid */
	List	   *expressions;	/* of PgweirExpression: those asked for */
	List	   *writes;			/* of PgweirWrite: the statements at hand that do; none when their span is not known */
	double		other_inserts;	/* rows an hour that the server has counted for long, to set against those */
	double		other_updates;
	double		hot_fraction;	/* of updates that change no index, as the server counted; 0 when none were */
} PgweirTable;

typedef struct PgweirTables
{
	List	   *tables;			/* of PgweirTable */
	MemoryContext context;
} PgweirTables;

extern PgweirTable *pgweir_tables_get(PgweirTables *tables, Oid relid);

/* Statistics of the expression's values, sampled when first asked for; NULL: there are none. */
extern HeapTuple pgweir_table_expression_stats(PgweirTables *tables, PgweirTable *table, Node *expr);

/*
 * Entries an hour that writing makes in the index, and because of it in others: an update that changed no index so far
 * and now changes this one makes entries in all of them.
 */
extern double pgweir_table_entries(const PgweirTable *table, const PgweirIndex *index);

/* The same for one of the table's writes. */
extern double pgweir_write_entries(const PgweirTable *table, const PgweirWrite *write, const PgweirIndex *index);

#endif
