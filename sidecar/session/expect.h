/*
 * expect.h: the answers a server still owes, in order, one byte each (Server.expected).
 *
 * Every extended-protocol message has exactly one final answer; knowing their order is what lets the sidecar insert a
 * Parse the client did not send (and swallow its answer), answer one itself in the right place, and tell which answers an error skips.
 *
 * What a message does to names and to the server's statements is noted when it is sent; when an error makes the server skip it, that is
 * undone.  So an answer that is about a statement has its subject in Server.subjects, in the same order: the client's name for
 * it (ClientStatement), or what was known of a statement that is being closed (ServerStatement).
 */
#ifndef PGWEIR_SESSION_EXPECT_H
#define PGWEIR_SESSION_EXPECT_H

#include "session/session.h"

typedef enum Expect
{
	EXPECT_QUERY = 1,	 /* everything up to ReadyForQuery */
	EXPECT_SYNC,		 /* ReadyForQuery */
	EXPECT_PARSE,		 /* ParseComplete; subject: the name */
	EXPECT_PARSE_PLAIN,	 /* ParseComplete of an unnamed (or unmanaged) statement */
	EXPECT_PARSE_UNNAMED, /* ParseComplete of an inserted unnamed statement: swallowed */
	EXPECT_PARSE_HIDDEN, /* ParseComplete of an inserted Parse: swallowed; subject: the name it is inserted for */
	EXPECT_PARSE_FAKE,	 /* the sidecar answers ParseComplete itself; subject: the name */
	EXPECT_PARSE_TWICE,	 /* the name is taken: the server's 42P05; subject: the name */
	EXPECT_BIND,
	EXPECT_BIND_NAMED,	 /* ... of a managed statement; subject: its name */
	EXPECT_DESCRIBE,	 /* RowDescription or NoData */
	EXPECT_DESCRIBE_NAMED, /* ... of a managed statement; subject: its name */
	EXPECT_EXECUTE,		 /* CommandComplete, EmptyQueryResponse or PortalSuspended */
	EXPECT_CLOSE,
	EXPECT_CLOSE_HIDDEN, /* CloseComplete of an inserted Close: swallowed */
	EXPECT_CLOSE_STATEMENT, /* ... of a managed statement; subject: the server's */
	EXPECT_CLOSE_FAKE,	 /* the sidecar answers CloseComplete itself; subject: the name that was given up */
} Expect;

static inline bool expect_push(Server *server, Expect what) MUST_CHECK;
/* An answer about a client's name for a statement. */
extern bool expect_push_about(Server *server, Expect what, ClientStatement *subject) MUST_CHECK;
/* EXPECT_CLOSE_STATEMENT; takes the subject over. */
extern bool expect_push_close(Server *server, ServerStatement *subject) MUST_CHECK;
/*
 * Does it depend on a group that is not answered yet, and may fail, whether the client has that name, or the server a statement of that
 * body?  Within one group there is no such doubt, since what follows an error is skipped too.
 */
extern bool expect_in_doubt(const Server *server, Slice name, Slice body);
/* The client's name that the answer at the head is about, NULL when it is about none. */
extern ClientStatement *expect_subject(const Server *server);
static inline Expect
expect_head(const Server *server)
{
	const Buf *queue = &server->expected;

	return queue->start < queue->end ? (Expect) queue->data[queue->start] : (Expect) 0;
}
extern void expect_pop(Server *server);
/* The same of a head that is about nothing, and no end of a group. */
static inline void
expect_pop_plain(Server *server)
{
	buf_consume(&server->expected, 1);
}
/* The same of EXPECT_BIND_NAMED at the head. */
static inline void
expect_pop_bind(Server *server)
{
	ClientStatement *subject;

	memcpy(&subject, server->subjects.data + server->subjects.start, sizeof(subject));
	buf_consume(&server->subjects, sizeof(subject));
	buf_consume(&server->expected, 1);
	if (subject->refs > 1)
		subject->refs--;
	else
		client_statement_unref(server->worker->statements, subject);
}
/* ... of the end of a group. */
static inline void
expect_pop_end(Server *server)
{
	buf_consume(&server->expected, 1);
	server->outstanding--;
}
/* Are answers of the sidecar's own due? */
static inline bool
expect_owes_fake(const Server *server)
{
	Expect head = expect_head(server);

	return head == EXPECT_PARSE_FAKE || head == EXPECT_CLOSE_FAKE;
}
/* An ErrorResponse arrived: forget what the server skips, up to and without the next Sync, and undo what will not happen. */
extern void expect_skip_to_sync(Server *server);
/* A COPY FROM STDIN began: Syncs sent before its data ended are ignored by the server. */
extern void expect_copy_in(Server *server);
extern void expect_clear(Server *server);
/* Append the answers that the sidecar owes itself at the head of the queue. */
extern bool expect_answer_fakes(Server *server, Buf *out);

static inline bool
expect_push(Server *server, Expect what)
{
	Buf *queue = &server->expected;

	if (queue->end == queue->cap && !buf_reserve(queue, 1))
		return false;
	queue->data[queue->end++] = (uint8_t) what;
	if (what == EXPECT_QUERY || what == EXPECT_SYNC)
		server->outstanding++;
	if (what == EXPECT_QUERY)
		server->unnamed_number = 0; /* a simple Query ends it */
	return true;
}

#endif
