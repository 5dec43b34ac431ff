/*
 * replay.h: what a client cannot know of, and need not hear of: a prepared statement that must be prepared anew.
 *
 * After DDL a prepared statement may give other columns than when it was prepared; PostgreSQL refuses it then ("cached plan must not
 * change result type").  And a server may have lost a statement behind our back (DEALLOCATE ALL in a function).  Each use of a managed
 * statement leaves its name with the answers that are due (expect.h), so it is known which one was refused: it is prepared anew before
 * its next use; after DDL on every server.
 *
 * The client does not even hear of it when nothing is lost by running its group again: it stands outside a transaction block, has answered
 * nothing yet, and asks for the columns of whatever it executes: Bind, Describe of the portal, Execute, perhaps several times, then
 * Sync; or Describe of a statement, whose parameters are told once its columns are known.  Such groups are kept, as the client sent
 * them, while they run.
 *
 * In a pipeline the groups behind it are under way already.  Those that fail in the same way have done nothing either, and are run again
 * with it, in order.  One that does anything else has run before it by then: the order cannot be had any more, so the client hears of the
 * error after all, as it would from PostgreSQL.
 */
#ifndef PGWEIR_SESSION_REPLAY_H
#define PGWEIR_SESSION_REPLAY_H

#include "session/plan.h"
#include "session/session.h"
#include "wire/backend.h"

/* No more is kept: the clients of larger groups, or longer pipelines, get the error. */
#define REPLAY_MAX (64 * 1024)

/* --- what the client sends --- */
extern void replay_settle_run(Server *server); /* what replay_settle() does when there is any */
/* A Bind of a managed statement, or a Describe of one; whether it begins its group. */
extern void replay_use(Server *server, bool begins, uint8_t type, const uint8_t *data, size_t len);
/* Another message of an extended group. */
extern void replay_follow(Server *server, uint8_t type, const uint8_t *data, size_t len);
/* Something that cannot be run again: nor can what came before it. */
extern void replay_break(Server *server);

/* The messages that were walked are about to be gone where they were read. */
static inline void
replay_settle(Server *server)
{
	if (server->replay.run_len > 0)
		replay_settle_run(server);
}

/* --- what the server answers --- */
/*
 * Is this an error of that kind (payload: its message's)?  Then the statement is marked; true: the client must not see it now.
 */
extern bool replay_error(Server *server, const WireError *error, Slice payload);
/* Is anything withheld from the client? */
static inline bool
replay_is_due(const Server *server)
{
	return server->replay.failed || server->replay.withheld_groups > 0;
}
/*
 * A ParameterDescription came, which is told before PostgreSQL looks whether the columns are still the same.  True: the client sees it with
 * what follows (replay_types), unless the group is run again.
 */
extern bool replay_keep_types(Server *server, const uint8_t *data, size_t len);
/* Those kept; the caller adds and clears them. */
static inline Buf *
replay_types(Server *server)
{
	return &server->replay.types;
}
/* The client hears what was withheld: something else was answered. */
extern void replay_tell(Server *server);
/* A group has ended with this message (len bytes at data).  True: the client must not see it. */
extern bool replay_group_ended(Server *server, const uint8_t *data, size_t len);
/* Client and server part. */
extern void replay_forget(Server *server);

#endif
