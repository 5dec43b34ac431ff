/*
 * merges.h: two existing indexes that one would do for.
 */
#ifndef PGWEIR_ADVISOR_MERGES_H
#define PGWEIR_ADVISOR_MERGES_H

#include "nodes/pg_list.h"

#include "advisor/select.h"
#include "advisor/workload.h"

/*
 * Suggestions of the kind "replace A and B by C", where both are used by statements at hand and C, with the columns of
 * both, serves all of these about as well, is smaller than the two, and saves the writes of one.
 */
extern List *pgweir_merged_indexes(PgweirWorkload *workload, const PgweirSelection *selection);

#endif
