/*
 * whatif.h: what would a statement cost if the indexes were others?
 *
 * The planner is called in this process with indexes that do not exist shown to it, and existing ones kept from it.
 * Both hold for that one call only: whatever else is planned meanwhile, such as the body of a function that the planner
 * evaluates, sees the indexes as they are, and an error leaves nothing behind.  Ordinary planning pays one pointer
 * test for each table.
 */
#ifndef PGWEIR_ADVISOR_WHATIF_H
#define PGWEIR_ADVISOR_WHATIF_H

#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"

#include "advisor/index.h"

/* Called for each table the planner is about to scan, when all that it knows of the statement is in place. */
typedef void (*PgweirScanVisitor) (PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte, void *arg);

/* As many indexes can be shown in one call. */
#define PGWEIR_WHATIF_MAX_INDEXES 400

typedef struct PgweirWhatif
{
	PgweirIndex **index;		/* shown */
	int			nindexes;
	const Oid  *hidden;			/* real indexes that are kept from the planner */
	int			nhidden;
	PgweirScanVisitor visit;	/* NULL: none */
	void	   *visit_arg;
} PgweirWhatif;

typedef struct PgweirPlanned
{
	double		cost;
	double		rows;			/* that the planner expects it to return or to change */
	Bitmapset  *used;			/* of the indexes shown: those in the plan */
	List	   *used_oids;		/* of the real indexes: those in the plan */
} PgweirPlanned;

/*
 * Plans one analysed and rewritten statement, which is not changed.  Parameters have no values, so the plan is the
 * generic one.  Memory is taken from the current context: the caller resets it.
 */
extern PgweirPlanned pgweir_whatif_plan(const Query *query, const char *text, const PgweirWhatif *whatif);

/* Sets the index's fraction: the planner's estimate of the rows that satisfy its predicate. */
extern void pgweir_whatif_measure_predicate(PgweirIndex *index);

/* Installs the hooks. */
extern void pgweir_whatif_init(void);

#endif
