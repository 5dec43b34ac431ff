/*
 * redundant.h: indexes that could go.
 */
#ifndef PGWEIR_ADVISOR_REDUNDANT_H
#define PGWEIR_ADVISOR_REDUNDANT_H

#include "nodes/pg_list.h"
#include "utils/relcache.h"

/*
 * Suggestions to drop: duplicates, indexes whose columns begin another's, indexes never used since statistics were
 * reset, and invalid ones.  Never one that enforces something (primary key, unique, exclusion, target of a foreign
 * key), is the replica identity or clustered by, belongs to a partitioned index or extension, or alone supports a
 * foreign key.
 */
extern List *pgweir_redundant_indexes(void);

/* Whether the index is one of those that are never suggested to be dropped, for what it enforces or carries. */
extern bool pgweir_index_must_be_kept(Relation index);

#endif
