/*
 * methods.h: when another access method than a B-tree is worth asking the planner about.
 */
#ifndef PGWEIR_ADVISOR_METHODS_H
#define PGWEIR_ADVISOR_METHODS_H

#include "advisor/predicates.h"
#include "advisor/tables.h"

/* A hash index for an equality: where its values are so wide that a B-tree would be much larger.  Else NULL. */
extern PgweirIndex *pgweir_hash_index(const PgweirScan *scan, const PgweirPredicate *predicate, const PgweirTable *table);

/* A BRIN index: on a large table whose rows lie in the order of the column.  Else NULL. */
extern PgweirIndex *pgweir_brin_index(const PgweirScan *scan, const PgweirPredicate *predicate, const PgweirTable *table);

/* How well the rows lie in the column's order, from -1 to 1; 0: not known. */
extern double pgweir_column_correlation(Oid relid, AttrNumber attno);

#endif
