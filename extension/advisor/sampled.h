/*
 * sampled.h: real values for the parameters of statements, from executions that were kept.
 *
 * A statement's text in the store has $n where constants stood.  Executions that were slow are kept with the request as it was
 * sent and its parameters: planned with those, a statement costs what it costs with a custom plan.
 */
#ifndef PGWEIR_ADVISOR_SAMPLED_H
#define PGWEIR_ADVISOR_SAMPLED_H

#include "nodes/pg_list.h"

typedef struct PgweirSampled PgweirSampled;

/* The latest few executions of each statement of this database, in the current memory context; empty without preloading. */
extern PgweirSampled *pgweir_sampled_load(void);

/*
 * The statement with the values of each execution kept: a list of lists of Query, as many queries in each as given.
 * What does not parse any more, or was cut off, is left out.  Must be called as the statement's user.
 */
extern List *pgweir_sampled_queries(const PgweirSampled *sampled, int64 queryid, int nqueries);

/*
 * Notes in the scans (of PgweirScan) of a statement what its executions did (see executed.h).  What it notes is in the
 * current memory context.
 */
extern void pgweir_sampled_note(const PgweirSampled *sampled, int64 queryid, List *scans);

/*
 * The queries of a class with the literals in place that are the same in all executions kept (see constants.h), and how
 * many those are; as they are given, and none, when there are too few or any two texts differ in more than literals.
 */
extern List *pgweir_sampled_fix(const PgweirSampled *sampled, int64 queryid, const char *text, List *queries, int *alike);

#endif
