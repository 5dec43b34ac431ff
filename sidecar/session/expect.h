/*
 * expect.h: the answers a server still owes, in order, one byte each (Server.expected).
 *
 * Every extended-protocol message has exactly one final answer; knowing their order is what lets the sidecar insert a
 * Parse the client did not send (and swallow its answer), answer one itself in the right place, and tell which answers an error skips.
 */
#ifndef PGWEIR_SESSION_EXPECT_H
#define PGWEIR_SESSION_EXPECT_H

#include "session/session.h"

typedef enum Expect
{
	EXPECT_QUERY = 1,	 /* everything up to ReadyForQuery */
	EXPECT_SYNC,		 /* ReadyForQuery */
	EXPECT_PARSE,		 /* ParseComplete; its Statement is next in Server.parses */
	EXPECT_PARSE_PLAIN,	 /* ParseComplete of an unnamed (or unmanaged) statement */
	EXPECT_PARSE_UNNAMED, /* ParseComplete of an inserted unnamed statement: swallowed */
	EXPECT_PARSE_HIDDEN, /* ParseComplete of an inserted Parse: swallowed; Statement in parses */
	EXPECT_PARSE_FAKE,	 /* the sidecar answers ParseComplete itself; Statement in parses */
	EXPECT_PARSE_TWICE,	 /* the name is taken: the server's 42P05, told with the client's name */
	EXPECT_BIND,
	EXPECT_BIND_NAMED,	 /* ... of a managed statement, which is next in parses */
	EXPECT_DESCRIBE,	 /* RowDescription or NoData */
	EXPECT_DESCRIBE_NAMED, /* ... of a managed statement, which is next in parses */
	EXPECT_EXECUTE,		 /* CommandComplete, EmptyQueryResponse or PortalSuspended */
	EXPECT_CLOSE,
	EXPECT_CLOSE_HIDDEN, /* CloseComplete of an inserted Close: swallowed */
	EXPECT_CLOSE_FAKE,	 /* the sidecar answers CloseComplete itself */
} Expect;

extern bool expect_push(Server *server, Expect what) MUST_CHECK;
extern bool expect_push_statement(Server *server, Expect what, Statement *statement) MUST_CHECK;
/*
 * Is a Parse of this statement, sent with an earlier group, not answered yet?  An error in that group would skip it; within one group there
 * is no such doubt, since what follows is skipped too.
 */
extern bool expect_in_doubt(const Server *server, const Statement *statement);
/* The statement of the answer at the head, NULL when it has none. */
extern Statement *expect_statement(const Server *server);
static inline Expect
expect_head(const Server *server)
{
	return buf_len(&server->expected) > 0 ? (Expect) *buf_ptr(&server->expected) : (Expect) 0;
}
extern void expect_pop(Server *server);
/* An ErrorResponse arrived: forget what the server skips, up to and without the next Sync; undo the Parses that will not happen. */
extern void expect_skip_to_sync(Server *server);
/* A COPY FROM STDIN began: Syncs sent before its data ended are ignored by the server. */
extern void expect_copy_in(Server *server);
extern void expect_clear(Server *server);
/* Append the answers that the sidecar owes itself at the head of the queue. */
extern bool expect_answer_fakes(Server *server, Buf *out);

#endif
