/*
 * failure.h: of what kind the failure of a statement is.
 */
#ifndef PGWEIR_CAPTURE_FAILURE_H
#define PGWEIR_CAPTURE_FAILURE_H

#include "stores/statements.h"

/*
 * The counter for a failure with this SQLSTATE of a request with this text.  For catch blocks: allocates nothing.
 *
 * A statement timeout and a cancel request have the same SQLSTATE and messages that are translated; it was
 * the timeout if its timer's end has passed.  A cancel while a deadline was in force (pgweir.deadline or the comment) is
 * taken for the pooler's, even if the statement ran for less than its deadline: the wait before it counts, too.
 */
extern PgweirCounter pgweir_failure_kind(int sqlstate, const char *text);

#endif
