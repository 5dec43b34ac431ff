/*
 * expect.c: the queue of answers a server owes.
 */
#include "session/expect.h"

#include "session/replay.h"
#include "session/unnamed.h"
#include "wire/backend.h"
#include "wire/msg.h"

static bool
has_statement(Expect what)
{
	return what == EXPECT_PARSE || what == EXPECT_PARSE_HIDDEN || what == EXPECT_PARSE_TWICE ||
		   what == EXPECT_PARSE_FAKE || what == EXPECT_BIND_NAMED || what == EXPECT_DESCRIBE_NAMED;
}

/* ... and it may turn out that there is no such statement. */
static bool
is_parse(Expect what)
{
	return what == EXPECT_PARSE || what == EXPECT_PARSE_HIDDEN || what == EXPECT_PARSE_FAKE;
}

bool
expect_push(Server *server, Expect what)
{
	uint8_t byte = (uint8_t) what;

	if (!buf_append(&server->expected, &byte, 1))
		return false;
	if (what == EXPECT_QUERY || what == EXPECT_SYNC)
		server->outstanding++;
	if (what == EXPECT_QUERY)
		server->unnamed_number = 0; /* a simple Query ends it */
	return true;
}

bool
expect_push_statement(Server *server, Expect what, Statement *statement)
{
	if (!buf_append(&server->parses, &statement, sizeof(statement)))
		return false;
	if (!expect_push(server, what))
	{
		server->parses.end -= sizeof(statement);
		return false;
	}
	statement_ref(statement);
	server->unproved += is_parse(what);
	return true;
}

Statement *
expect_statement(const Server *server)
{
	Statement *statement;

	if (!has_statement(expect_head(server)))
		return NULL;
	memcpy(&statement, buf_ptr(&server->parses), sizeof(statement));
	return statement;
}

bool
expect_in_doubt(const Server *server, const Statement *statement)
{
	const uint8_t *next = buf_ptr(&server->parses);
	bool found = false;

	if (server->unproved == 0 || server->outstanding == 0)
		return false;
	for (size_t i = 0; i < buf_len(&server->expected); i++)
	{
		Expect what = (Expect) buf_ptr(&server->expected)[i];
		Statement *one;

		if (found && (what == EXPECT_SYNC || what == EXPECT_QUERY))
			return true;
		if (!has_statement(what))
			continue;
		memcpy(&one, next, sizeof(one));
		next += sizeof(one);
		found |= one == statement && is_parse(what);
	}
	return false;
}

static Statement *
take_statement(Server *server)
{
	Statement *statement;

	memcpy(&statement, buf_ptr(&server->parses), sizeof(statement));
	buf_consume(&server->parses, sizeof(statement));
	return statement;
}

/* Remove the head; `undo`: its answer will not come, so the server does not have that statement. */
static void
pop(Server *server, bool undo)
{
	Expect what = expect_head(server);

	buf_consume(&server->expected, 1);
	if (what == EXPECT_QUERY || what == EXPECT_SYNC)
		server->outstanding--;
	if (undo && what == EXPECT_PARSE_PLAIN)
		unnamed_undo(server);
	else if (undo && what == EXPECT_PARSE_UNNAMED)
		server->unnamed_number = 0;
	if (has_statement(what))
	{
		StatementRegistry *registry = server->worker->statements;
		Statement *statement = take_statement(server);

		server->unproved -= is_parse(what);
		if (undo && (what == EXPECT_PARSE || what == EXPECT_PARSE_HIDDEN))
			server_statements_remove(&server->statements, registry, statement);
		if (undo && (what == EXPECT_PARSE || what == EXPECT_PARSE_FAKE) && server->client != NULL)
			client_statements_remove_statement(server->client->statements, registry, statement);
		statement_unref(registry, statement);
	}
}

void
expect_pop(Server *server)
{
	pop(server, false);
}

void
expect_skip_to_sync(Server *server)
{
	if (expect_head(server) == EXPECT_QUERY)
		return;
	while (expect_head(server) != 0 && expect_head(server) != EXPECT_SYNC)
		pop(server, true);
	server->skipping = expect_head(server) == 0;
}

void
expect_copy_in(Server *server)
{
	Buf *queue = &server->expected;
	size_t kept = queue->start + 1;

	server->copy_in = true;
	server->copy_in_ending = false;
	if (expect_head(server) != EXPECT_EXECUTE)
		return;
	for (size_t i = queue->start + 1; i < queue->end; i++)
	{
		if (queue->data[i] == EXPECT_SYNC)
		{
			server->outstanding--;
			if (server->client != NULL)
				server->client->in_group = true; /* its real Sync is still to come */
		}
		else
			queue->data[kept++] = queue->data[i];
	}
	queue->end = kept;
}

void
expect_clear(Server *server)
{
	while (expect_head(server) != 0)
		pop(server, true);
	buf_free(&server->expected);
	buf_free(&server->parses);
	buf_free(&server->replay);
	replay_forget(server);
}

bool
expect_answer_fakes(Server *server, Buf *out)
{
	for (;;)
	{
		switch (expect_head(server))
		{
			case EXPECT_PARSE_FAKE:
				if (!wire_write_parse_complete(out))
					return false;
				break;
			case EXPECT_CLOSE_FAKE:
				if (!wire_write_close_complete(out))
					return false;
				break;
			default:
				return true;
		}
		expect_pop(server);
	}
}
