/*
 * expression_stats.h: statistics of an expression's values, which the server gathers only once an index on it is there.
 */
#ifndef PGWEIR_ADVISOR_EXPRESSION_STATS_H
#define PGWEIR_ADVISOR_EXPRESSION_STATS_H

#include "access/htup.h"
#include "nodes/pg_list.h"

#include "advisor/index.h"

/*
 * A row as in pg_statistic for the expression over variable number 1, from a sample of the table's rows: nulls, width,
 * number of values, the most common ones, a histogram.  Evaluates the expression as the table's owner, who would build the
 * index.  NULL when that fails or the table is empty.  Made in the current memory context.
 */
extern HeapTuple pgweir_expression_stats(Oid relid, Node *expr, double rows, double pages);

#endif
