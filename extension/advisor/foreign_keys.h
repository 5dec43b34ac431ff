/*
 * foreign_keys.h: foreign keys that make deletes slow.
 */
#ifndef PGWEIR_ADVISOR_FOREIGN_KEYS_H
#define PGWEIR_ADVISOR_FOREIGN_KEYS_H

#include "nodes/pg_list.h"

/*
 * Suggestions for foreign keys whose columns no index begins with, on tables not small, where rows of the table referred to
 * have been deleted: each such delete reads the whole referring table, inside of the server where no statement shows it.
 * chosen is a list of PgweirIndex that are suggested already.
 */
extern List *pgweir_unsupported_foreign_keys(List *chosen);

#endif
