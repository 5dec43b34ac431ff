/*
 * assume.h: values for parameters of which only the statement's text is known.
 *
 * A generic plan takes a third of the table for "column > $1" and the average value for "column = $1".  Where that says
 * little, values are taken from the table's statistics such that the planner expects as many rows as executions returned.
 * Several sets of values can explain the same number of rows; the statement is then judged by the average of them.
 */
#ifndef PGWEIR_ADVISOR_ASSUME_H
#define PGWEIR_ADVISOR_ASSUME_H

#include "nodes/pg_list.h"

/*
 * Variants of the statement: a list of lists of Query, never empty.  The first may be the statement itself.  rows is what an
 * execution returned or changed on average; negative when that is not known.  Plans the statement some dozens of times
 * when there is something to assume, in the current memory context.
 */
extern List *pgweir_assume_values(List *queries, const char *text, double rows);

#endif
