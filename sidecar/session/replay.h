/*
 * replay.h: "cached plan must not change result type", cured.
 *
 * After DDL a prepared statement may give other columns than when it was prepared; PostgreSQL refuses it then.  Each use of a managed
 * statement leaves its name with the answers that are due (expect.h), so it is known which one was refused: it is prepared anew
 * before its next use, on this server and on every other.
 *
 * The client need not even hear of it when nothing is lost by running its group again: the group is Bind, Describe of the
 * portal, Execute, Sync (so the client learns the new columns), it stands outside a transaction block, and nothing runs behind it.
 * Such a group is kept with the server while it runs.  In every other case the client gets the error, once.
 */
#ifndef PGWEIR_SESSION_REPLAY_H
#define PGWEIR_SESSION_REPLAY_H

#include "session/session.h"
#include "wire/backend.h"

/* Larger groups are not kept: their client gets the error. */
#define REPLAY_MAX 8192

/*
 * A group begins with this Bind (len bytes at data), which runs the statement; old_name is the client's name inside
 * it.  Keep it, and what follows, if it can be run again.
 */
extern void replay_keep(Server *server, Statement *statement, const uint8_t *data, size_t len, size_t portal_len,
						Slice old_name);
/* The next message of the client's: it completes what is kept, or shows that the group is of another kind. */
extern void replay_follow(Server *server, uint8_t type, const uint8_t *data, size_t len);
/*
 * Is this the error (payload: its message's)?  Then the statement is marked; true: the client must not see it now.  replay_run() follows
 * at ReadyForQuery; where the rest of the group has not arrived and turns out to be of another kind, the client is told then.
 */
extern bool replay_error(Server *server, const WireError *error, Slice payload);
/* Client and server part. */
extern void replay_forget(Server *server);
static inline bool
replay_is_due(const Server *server)
{
	return server->replaying;
}
/* The failed group has ended: prepare the statement anew and run the group again.  False: out of memory. */
extern bool replay_run(Server *server) MUST_CHECK;

#endif
