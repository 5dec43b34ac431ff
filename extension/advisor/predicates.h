/*
 * predicates.h: what each scan of a statement could use an index for.
 *
 * The planner is asked, not the syntax tree: when it is about to build the paths of a table it has pulled up subqueries
 * and views, turned EXISTS and IN into joins, inlined CTEs, folded constants, dropped redundant sort columns and derived
 * the equalities that follow from others.  pgweir_predicates_visit() reads all that at that moment, in every query level.
 */
#ifndef PGWEIR_ADVISOR_PREDICATES_H
#define PGWEIR_ADVISOR_PREDICATES_H

#include "nodes/bitmapset.h"
#include "nodes/pathnodes.h"

#include "advisor/index.h"

typedef enum PgweirPredicateKind
{
	PGWEIR_PREDICATE_EQUAL,		/* fixes the column to one value: = value, IS NULL, a boolean column */
	PGWEIR_PREDICATE_IN,		/* to some values: = ANY, so what follows it in an index is not in order */
	PGWEIR_PREDICATE_RANGE,		/* <, >, BETWEEN, LIKE 'prefix%', IS NOT NULL */
	PGWEIR_PREDICATE_JOIN,		/* = a column of another table, so for each of its rows to one value */
	PGWEIR_PREDICATE_SEARCH		/* within a value: LIKE '%x%', @>, @@; the column has a GIN class */
} PgweirPredicateKind;

typedef struct PgweirPredicate
{
	PgweirPredicateKind kind;
	PgweirIndexColumn column;	/* ascending; a pattern class for LIKE */
	double		selectivity;	/* fraction of the table's rows that satisfy it */
	int			arm;			/* of an OR it stands in, numbered within the scan from 1; 0: it always holds */
	Bitmapset  *partner;		/* JOIN: relations on the other side, in the planner's numbers */
	Node	   *constant;		/* the condition if it holds in every execution: IS NULL, a boolean column, = a constant that stays */
} PgweirPredicate;

/* An order that the statement could use, or the columns of a row comparison. */
typedef struct PgweirOrder
{
	int			ncolumns;
	PgweirIndexColumn *column;	/* turned so that the first is ascending */
} PgweirOrder;

typedef struct PgweirScan
{
	Oid			relid;
	double		tuples;			/* in the table */
	double		rows;			/* that the scan delivers */
	double		visible;		/* fraction of pages all visible */
	double		limit;			/* rows after which the query level stops; -1: none */
	List	   *predicates;		/* of PgweirPredicate */
	List	   *orders;			/* of PgweirOrder */
	int			narms;			/* OR arms */
	Bitmapset  *needed;			/* columns the statement reads; NULL when an index alone can never do */
	double		removed;		/* rows that filters read in vain, in the executions that were kept with their rows; 0: or none were */
	double		kept;			/* and those that were wanted */
	double		spilled_kb;		/* largest sort above it that went to disk in one of those; 0: none did */
	List	   *through;		/* of char *: indexes that those rows were read through */
	bool		unstable;		/* a condition on it was left out since its expression may change by itself */
	bool		hidden_pattern; /* a LIKE whose pattern is not known */
	bool		wants_trigrams; /* a LIKE or regular expression that only trigrams could serve, without pg_trgm */
} PgweirScan;

typedef struct PgweirScans
{
	List	   *scans;			/* of PgweirScan */
	MemoryContext context;		/* they are made in */
	bool		own;			/* what is planned is the statement itself, not with the values of one execution */
} PgweirScans;

/* A PgweirScanVisitor; arg is a PgweirScans. */
extern void pgweir_predicates_visit(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte, void *arg);

#endif
