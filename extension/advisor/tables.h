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

typedef struct PgweirTable
{
	Oid			relid;
	char	   *name;			/* schema.table, quoted */
	const char *excluded;		/* why it gets no index; NULL: it may */
	bool		analyzed;		/* has statistics of its columns */
	double		pages;			/* of all partitions */
	double		rows;
	List	   *indexes;		/* of PgweirIndex: those that exist and are valid */
	/* Writes seen in the statements at hand, in rows an hour; 0 when their span is not known. */
	double		inserts;
	double		updates;
	Bitmapset  *updated;		/* columns that some of the updates set */
	double		hot_fraction;	/* of updates that change no index, as the server counted; 0 when none were */
} PgweirTable;

typedef struct PgweirTables
{
	List	   *tables;			/* of PgweirTable */
	MemoryContext context;
} PgweirTables;

extern PgweirTable *pgweir_tables_get(PgweirTables *tables, Oid relid);

/* Rows an hour that an index on such columns would have entries made for. */
extern double pgweir_table_entries(const PgweirTable *table, const PgweirIndex *index);

#endif
