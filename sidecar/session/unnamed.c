/*
 * unnamed.c: the unnamed prepared statement on whichever server connection the client is given.
 */
#include "session/unnamed.h"

#include "session/expect.h"
#include "wire/msg.h"

void
unnamed_forget(Client *client)
{
	if (client->unnamed != NULL)
	{
		statement_unref(client->worker->statements, client->unnamed);
		client->unnamed = NULL;
	}
	client->unnamed_number = 0;
}

/* Does a Bind of the unnamed statement begin there? */
static bool
is_bind(Slice next)
{
	const uint8_t *portal = next.ptr + WIRE_HEADER_SIZE;
	const uint8_t *end;

	if (next.len < WIRE_HEADER_SIZE + 2 || next.ptr[0] != FE_BIND)
		return false;
	end = memchr(portal, '\0', next.len - WIRE_HEADER_SIZE - 1);
	return end != NULL && end[1] == '\0';
}

/* Unique among all workers, since servers move between them; never 0. */
static uint64_t
next_number(Worker *worker)
{
	return (uint64_t) (worker->index + 1) << 48 | ++worker->unnamed_parses;
}

bool
unnamed_parse(Client *client, const WireParse *parse, Slice payload, Slice next)
{
	Slice body = slice_make(payload.ptr + 1, payload.len - 1);

	unnamed_forget(client);
	client->unnamed_number = client->server->unnamed_number = next_number(client->worker);
	if (is_bind(next))
		return true;
	client->unnamed = statement_get(client->worker->statements, &client->worker->statement_cache, body, (uint32_t) parse->query.len);
	if (client->unnamed != NULL && client->unnamed->deadline_us == STATEMENT_DEADLINE_UNKNOWN)
		client->unnamed->deadline_us = deadline_from_comment(client, parse->query);
	return client->unnamed != NULL;
}

static void
insert(Plan *plan, uint8_t type, Slice body)
{
	uint32_t length = (uint32_t) (4 + 1 + body.len);
	uint8_t header[WIRE_HEADER_SIZE + 1] = {type, (uint8_t) (length >> 24), (uint8_t) (length >> 16), (uint8_t) (length >> 8),
											(uint8_t) length, type == FE_CLOSE ? 'S' : '\0'};

	plan_insert(plan, header, sizeof(header));
	plan_insert(plan, body.ptr, body.len);
}

bool
unnamed_ensure(Client *client, Plan *plan)
{
	Server *server = client->server;

	if (server->skipping || (client->unnamed_number != 0 && client->unnamed_number == server->unnamed_number))
		return true;
	if (client->unnamed == NULL)
	{
		/* It may be somebody else's: the client hears that there is none. */
		insert(plan, FE_CLOSE, slice_make((const uint8_t *) "", 1));
		server->unnamed_number = 0;
		return expect_push(server, EXPECT_CLOSE_HIDDEN);
	}
	insert(plan, FE_PARSE, slice_make(client->unnamed->body, client->unnamed->body_len));
	server->unnamed_number = client->unnamed_number;
	client_stats(client)->server_parses++;
	return expect_push(server, EXPECT_PARSE_UNNAMED);
}

void
unnamed_undo(Server *server)
{
	const uint8_t *queue = buf_ptr(&server->expected);
	size_t len = buf_len(&server->expected);

	if (len > 0 && memchr(queue, EXPECT_PARSE_PLAIN, len) != NULL)
		return; /* a later one is under way, and it is its number that is remembered */
	server->unnamed_number = 0;
	if (server->client != NULL)
		unnamed_forget(server->client);
}
