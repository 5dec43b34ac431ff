/*
 * statement.h: from the text of a statement to what the planner can be asked about.
 *
 * The text is parsed and analysed here without the hook that follows analysis, so that nobody's statistics count the
 * statement as run.  Names are resolved with the search_path in force, permissions and row security are those of
 * the current user; whoever works on statements of others switches both first (workload.h).
 */
#ifndef PGWEIR_ADVISOR_STATEMENT_H
#define PGWEIR_ADVISOR_STATEMENT_H

#include "nodes/parsenodes.h"

/*
 * The plannable queries a statement comes to after rules and views: usually one.  Parameters ($n) get the types that
 * their surroundings give them.  EXPLAIN, DECLARE CURSOR, CREATE TABLE AS, PREPARE and COPY (query) stand for the query
 * inside.  NIL when there is nothing to plan, with the reason; errors as the statement itself would on bad input.
 * Locks the tables as the statement would.
 */
extern List *pgweir_statement_parse(const char *text, const char **reason);

/* Lets a LIMIT whose value is a parameter be for so many rows: what executions returned on average. */
extern void pgweir_statement_assume_limit(List *queries, double rows);

/* Whether the statement reads a foreign table, which may have to be asked over the network when planning. */
extern bool pgweir_statement_is_foreign(List *queries);

/* Whether some value is a parameter, so that the planner has to guess what it selects. */
extern bool pgweir_statement_has_params(List *queries);

#endif
