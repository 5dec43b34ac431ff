/*
 * forward.h: inside of request.h: a message on its way to the server.
 *
 * Each function takes a message that begins in the read buffer, adds what is to be sent to the plan, notes the answers that are due (expect.h), and
 * returns how many bytes it has used: all that is there of the message.  A client is linked, where nothing else is said.
 *
 * Prepared statements.  A client's names are its own, a server knows a statement by a name made from its text (prepared.h).  So Parse,
 * Bind, Describe and Close are renamed, and a server that does not know the statement gets a Parse before, unseen by the client.
 */
#ifndef PGWEIR_SESSION_FORWARD_H
#define PGWEIR_SESSION_FORWARD_H

#include "session/expect.h"
#include "session/peek.h"
#include "session/plan.h"
#include "session/session.h"

/* As it is. */
extern size_t forward_expecting(Client *client, Plan *plan, const Message *message, Expect what);
/* Whether it begins its group; `len` bytes are there from the message on. */
extern size_t forward_parse(Client *client, Plan *plan, const Message *message, bool begins, size_t len);
extern size_t forward_bind(Client *client, Plan *plan, const Message *message, bool begins);
extern size_t forward_describe(Client *client, Plan *plan, const Message *message, bool begins);
extern size_t forward_close(Client *client, Plan *plan, const Message *message);
/* Linked or not: without a server a Sync is answered here, and a Flush means nothing. */
extern size_t forward_sync(Client *client, Plan *plan, const Message *message);
extern size_t forward_flush(Client *client, Plan *plan, const Message *message);
/* CopyData, CopyDone and CopyFail, linked or not: to the server while it reads them, else dropped, as PostgreSQL drops stray ones. */
extern size_t forward_copy(Client *client, Plan *plan, const Message *message);
/*
 * A simple Query, of a client that has statements, that is nothing but DEALLOCATE of one of them (drivers such as DBD::Pg do that): the server knows
 * it by another name, or not at all, so it is answered here, linked or not.  0: it is something else, or now is not the time.
 */
extern size_t forward_deallocate(Client *client, const Message *message);
/*
 * A statement after which all names are free.  They are forgotten when its answer comes, so what is behind it waits for that: it may
 * make names anew.
 */
extern bool forward_forgets_names(const Client *client, Slice sql) MUST_CHECK;
extern bool forward_look_for_doubt(const Client *client, const Message *message) MUST_CHECK;
/* What a message does with a statement depends on whether an earlier group, which is not answered yet, fails: it must wait. */
static inline bool
forward_is_undecided(const Client *client, const Message *message)
{
	return client->server->unproved > 0 && forward_look_for_doubt(client, message);
}

#endif
