/*
 * isolate.h: runs what may fail, or belongs to somebody else, without harm to the caller.
 *
 * Planning a statement evaluates functions in it.  It is done as the user whose statement it is, in a
 * security-restricted operation, so that a statement cannot borrow the rights of whoever asks for advice.
 */
#ifndef PGWEIR_ADVISOR_ISOLATE_H
#define PGWEIR_ADVISOR_ISOLATE_H

typedef void (*PgweirAction) (void *arg);

/*
 * Runs the action in a subtransaction as the user, with the search_path (NULL: the one in force) and a short lock
 * timeout.  Locks it takes are kept until the surrounding pgweir_rolled_back() ends.  Returns NULL, or the error in the
 * current memory context.  A cancel, and what else must not be caught, is thrown on.
 */
extern ErrorData *pgweir_isolated(Oid userid, const char *search_path, PgweirAction action, void *arg);

/*
 * Runs the action in a subtransaction that is always rolled back, which releases all locks taken in it.  Errors are
 * thrown on.  What the action allocates in the caller's contexts stays.
 */
extern void pgweir_rolled_back(PgweirAction action, void *arg);

#endif
