/*
 * unnamed.h: the unnamed prepared statement of a client that uses it in a later group than the one that made it.
 *
 * PostgreSQL keeps it until the next Parse without a name, or the next simple Query.  In transaction mode the server connection may be another
 * one by then, or may hold that of another client (lib/pq asks for the parameter types in one group and binds in the next).  So each Parse gets a number
 * that client and server remember; where they differ, the statement is made again before it is used, unseen by the client.  The text
 * is only kept when no Bind follows the Parse at once: that of other drivers costs a number.
 */
#ifndef PGWEIR_SESSION_UNNAMED_H
#define PGWEIR_SESSION_UNNAMED_H

#include "session/session.h"

#include "session/plan.h"
#include "wire/frontend.h"

/* A Parse without a name goes to the linked server.  `next`: what has arrived behind it.  False: out of memory. */
extern bool unnamed_parse(Client *client, const WireParse *parse, Slice payload, Slice next) MUST_CHECK;
/* A Bind or Describe of the unnamed statement goes to the linked server: see to it that it finds this client's, or none. */
extern bool unnamed_ensure(Client *client, Plan *plan) MUST_CHECK;
/* The client has none any more. */
extern void unnamed_forget(Client *client);
/* A Parse without a name failed or was skipped; its place in the queue of answers is gone already. */
extern void unnamed_undo(Server *server);

#endif
