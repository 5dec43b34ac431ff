/*
 * request.h: what a logged-in client sends: groups of messages, forwarded to its server.
 *
 *   request.c  the walk over the messages of a read, and what becomes of each; refusing a group
 *   group.c    the beginning of a group, its deadline, and the server it gets
 *   forward.c  a message on its way to the server: names of statements, answers to expect
 *
 * One call handles one read: it walks the messages, asks the pool for a server where a group begins without one, renames prepared
 * statements on the way and writes everything to the server at once.  Messages the sidecar need not understand are not copied.
 *
 * A group that has a deadline, or that follows one, is not sent before the running one has ended (`hold`): so a cancel
 * can only ever meet the statement it was meant for.
 */
#ifndef PGWEIR_SESSION_REQUEST_H
#define PGWEIR_SESSION_REQUEST_H

#include "session/session.h"

/* Bytes came from the client; returns how many were used, as NetHandler.on_input. */
extern size_t request_input(Client *client, uint8_t *data, size_t len);
/* Send what replay.again holds, or as much of it as does not depend on an answer to come. */
extern void request_again(Client *client);

typedef struct RequestError
{
	const char *sqlstate, *message, *detail, *hint; /* detail and hint may be NULL */
} RequestError;
/* The group (queued or just begun) is not run: ERROR to the client, the rest of the group is dropped, the session goes on. */
extern void request_reject(Client *client, const RequestError *error);

/* --- for the three files --- */

/* End the session, but only after what was read before has been sent on: the server's queue of answers counts on it. */
extern void request_doom(Client *client, const char *reason, const char *fatal);
/* ... since the client breaks the protocol, or a rule. */
extern void request_broken(Client *client, const char *what);
extern void request_out_of_memory(Client *client);
/* ReadyForQuery of our own. */
extern void request_send_ready(Client *client, char status);

#endif
