/*
 * executed.h: what executions of a statement did that its text does not tell.
 *
 * Executions that were kept have their plan, some with the rows that each node counted: how many rows a filter read in
 * vain, through which index, and sorts that did not fit their memory.
 */
#ifndef PGWEIR_ADVISOR_EXECUTED_H
#define PGWEIR_ADVISOR_EXECUTED_H

#include "nodes/pg_list.h"

/* Adds to the scans (of PgweirScan) what the plan, a text in JSON, says of their tables.  Errors on what is no JSON. */
extern void pgweir_executed_note(const char *plan, List *scans);

#endif
