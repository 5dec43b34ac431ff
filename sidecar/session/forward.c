/*
 * forward.c: messages on their way to the linked server: prepared statements get the names that the server knows them by, the answers are expected,
 * and what the server has not seen yet is put before.
 *
 * A message that the sidecar need not understand is not copied: the Plan gets the run of the read buffer in which it stands.
 */
#include "session/forward.h"

#include "session/group.h"
#include "session/replay.h"
#include "session/request.h"
#include "session/unnamed.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/sqlscan.h"

/* A longer name is none that a driver makes up. */
#define NAMEDATALEN_MAX 256

static bool
manages_statements(const Client *client)
{
	return client->pool->mode != POOL_MODE_SESSION && client->worker->settings->max_prepared_statements > 0;
}

/* --- as it is, or under another name --- */

/* Only the beginning of the message is there: the rest follows as it comes. */
static size_t
forward_beginning(Client *client, const Message *message, bool ends_group)
{
	client->stream_left = message->total - message->available;
	client->stream_drop = false;
	client->stream_ends_group = ends_group;
	client->server->partial_request = true;
	return message->available;
}

static inline size_t
forward(Client *client, Plan *plan, const Message *message, bool ends_group)
{
	plan_add(plan, message->data, message->available);
	if (!message->whole)
		return forward_beginning(client, message, ends_group);
	if (ends_group && !client->rerun)
		group_complete(client);
	return message->total;
}

size_t
forward_expecting(Client *client, Plan *plan, const Message *message, Expect what)
{
	bool ends = what == EXPECT_QUERY || what == EXPECT_SYNC;

	if (!client->server->skipping || what == EXPECT_SYNC)
	{
		if (!expect_push(client->server, what))
		{
			request_out_of_memory(client);
			return message->available;
		}
		if (what == EXPECT_SYNC)
			client->server->skipping = false;
	}
	return forward(client, plan, message, ends);
}

/* The same message with another statement name: `lead` is what stands before the name (a portal or the kind byte). */
static size_t
forward_renamed(Client *client, Plan *plan, const Message *message, Slice lead, Slice old_name, Slice new_name)
{
	size_t skip = WIRE_HEADER_SIZE + lead.len + old_name.len + 1;
	uint32_t length = (uint32_t) (message->total - 1 - old_name.len + new_name.len);
	uint8_t header[WIRE_HEADER_SIZE] = {message->type, (uint8_t) (length >> 24), (uint8_t) (length >> 16),
										(uint8_t) (length >> 8), (uint8_t) length};
	Message rest = *message;

	plan_insert(plan, header, sizeof(header));
	plan_add(plan, lead.ptr, lead.len);
	plan_insert(plan, new_name.ptr, new_name.len + 1);
	rest.data += skip;
	rest.available -= skip;
	rest.total -= skip;
	return skip + forward(client, plan, &rest, false);
}

/* --- statements on the server --- */

/* Send a Parse of our own and hide its answer. */
static bool
insert_parse(Client *client, Plan *plan, ClientStatement *subject, Expect what)
{
	Server *server = client->server;
	const Statement *statement = subject->statement;
	Slice name = statement_name(statement);
	uint32_t length = (uint32_t) (4 + name.len + 1 + statement->body_len);
	uint8_t header[WIRE_HEADER_SIZE] = {FE_PARSE, (uint8_t) (length >> 24), (uint8_t) (length >> 16),
										(uint8_t) (length >> 8), (uint8_t) length};

	if (!expect_push_about(server, what, subject))
		return false;
	plan_insert(plan, header, sizeof(header));
	plan_insert(plan, name.ptr, name.len + 1);
	plan_insert(plan, statement->body, statement->body_len);
	client_stats(client)->server_parses++;
	return true;
}

/* Close a statement on the server, unseen by the client. */
static bool
insert_close(Client *client, Plan *plan, Statement *statement)
{
	Server *server = client->server;
	Buf close = {0};

	if (!wire_write_close(&close, 'S', statement_name(statement)) ||
		!expect_push_close(server, server_statements_take(&server->statements, statement)))
	{
		buf_free(&close);
		return false;
	}
	plan_insert(plan, buf_ptr(&close), buf_len(&close));
	buf_free(&close);
	return true;
}

/* The server has room for, and will know, this statement. */
static bool
register_on_server(Client *client, Plan *plan, Statement *statement)
{
	Server *server = client->server;

	if (server_statements_outdated(&server->statements, statement) && !insert_close(client, plan, statement))
		return false;
	while (server_statements_count(&server->statements) >= client->worker->settings->max_prepared_statements)
		if (!insert_close(client, plan, server_statements_oldest(&server->statements)))
			return false;
	return server_statements_add(&server->statements, statement);
}

/* See to it that the server has the statement of that name when the next message arrives there. */
static bool
ensure_prepared(Client *client, Plan *plan, ClientStatement *subject)
{
	if (client->server->skipping || server_statements_use(&client->server->statements, subject->statement))
		return true;
	return register_on_server(client, plan, subject->statement) && insert_parse(client, plan, subject, EXPECT_PARSE_HIDDEN);
}

static Statement *
new_statement(Client *client, const WireParse *parse, const Message *message)
{
	Statement *statement;

	if (client->statements == NULL)
		client->statements = client_statements_create(client->worker->hash_seed);
	if (client->statements == NULL)
		return NULL;
	statement = statement_get(client->worker->statements, &client->worker->statement_cache, peek_parse_body(parse, message->payload), (uint32_t) parse->query.len);
	if (statement != NULL && statement->deadline_us == STATEMENT_DEADLINE_UNKNOWN)
		statement->deadline_us = deadline_from_comment(client, parse->query);
	return statement;
}

bool
forward_look_for_doubt(const Client *client, const Message *message)
{
	const Server *server = client->server;
	const Statement *existing;
	Slice body = {NULL, 0};
	Slice name;

	if (server->outstanding == 0 || server->skipping || client->statements == NULL)
		return false;
	name = peek_name(message, &body);
	if (name.len == 0)
		return false;
	existing = client_statements_find(client->statements, name);
	return expect_in_doubt(server, name, existing != NULL ? statement_body(existing) : body);
}

bool
forward_forgets_names(const Client *client, Slice sql)
{
	SqlVerb verb;

	if (client_statements_count(client->statements) == 0)
		return false;
	verb = sql_verb(sql);
	return verb == SQL_DEALLOCATE_ALL || verb == SQL_DISCARD_ALL;
}

/* --- Parse, Bind, Describe, Close, Execute --- */

static size_t
forward_parse_unnamed(Client *client, Plan *plan, const Message *message, const WireParse *parse, size_t len)
{
	size_t used = message->total;

	if (!unnamed_parse(client, parse, message->payload, slice_make(message->data + used, len - used)))
		request_out_of_memory(client);
	client->hold_behind |= forward_forgets_names(client, parse->query);
	return forward_expecting(client, plan, message, EXPECT_PARSE_PLAIN);
}

static const char too_many_statements[] = "too many or too large prepared statements (max_client_statement_bytes)";

/* A new name: *faked tells that the server has the statement, so that the Parse is not sent on. */
static size_t
forward_parse_named(Client *client, Plan *plan, const Message *message, const WireParse *parse, bool *faked)
{
	Server *server = client->server;
	Statement *statement;
	ClientStatement *subject;
	size_t used = message->total;
	bool ok;

	*faked = false;
	if (client_statements_too_large(client->statements, parse->name, peek_parse_body(parse, message->payload),
									client->worker->settings->max_client_statement_bytes))
	{
		request_doom(client, too_many_statements, too_many_statements);
		return used;
	}
	statement = new_statement(client, parse, message);
	subject = statement != NULL ? client_statements_add(client->statements, parse->name, statement) : NULL;
	ok = subject != NULL;
	*faked = ok && server_statements_use(&server->statements, statement);
	if (*faked)
		ok = expect_push_about(server, EXPECT_PARSE_FAKE, subject);
	else if (ok)
	{
		ok = register_on_server(client, plan, statement) && expect_push_about(server, EXPECT_PARSE, subject);
		if (ok)
			used = forward_renamed(client, plan, message, slice_make(NULL, 0), parse->name, statement_name(statement));
		client_stats(client)->server_parses++;
	}
	statement_unref(client->worker->statements, statement);
	if (!ok)
		request_out_of_memory(client);
	return used;
}

size_t
forward_parse(Client *client, Plan *plan, const Message *message, bool begins, size_t len)
{
	Server *server = client->server;
	ReplayAt at = server->replay.at;
	ClientStatement *existing;
	WireParse parse;
	bool faked = false;
	size_t used;

	client_stats(client)->client_parses++;
	if (!manages_statements(client) || server->skipping || !wire_read_parse(message->payload, &parse))
		used = forward_expecting(client, plan, message, EXPECT_PARSE_PLAIN);
	else if (parse.name.len == 0)
		used = forward_parse_unnamed(client, plan, message, &parse, len);
	else if ((existing = client_statements_entry(client->statements, parse.name)) == NULL)
		used = forward_parse_named(client, plan, message, &parse, &faked);
	else
	{
		/* The server answers as PostgreSQL would: the statement exists already. */
		if (!ensure_prepared(client, plan, existing) || !insert_parse(client, plan, existing, EXPECT_PARSE_TWICE))
			request_out_of_memory(client);
		used = message->total;
	}
	if (faked && (begins || at == REPLAY_FAKED))
		server->replay.at = REPLAY_FAKED;
	else
		replay_break(server);
	return used;
}

size_t
forward_bind(Client *client, Plan *plan, const Message *message, bool begins)
{
	Server *server = client->server;
	WireBind bind;
	ClientStatement *subject = NULL;

	client_stats(client)->binds += !client->rerun;
	if (manages_statements(client) && peek_bind(client, message->payload, &bind))
	{
		if (bind.statement.len == 0 && !unnamed_ensure(client, plan))
			request_out_of_memory(client);
		subject = client_statements_entry(client->statements, bind.statement);
	}
	if (subject == NULL || !message->whole)
		replay_break(server);
	else
		replay_use(server, begins, FE_BIND, message->data, message->total);
	if (subject == NULL)
		return forward_expecting(client, plan, message, EXPECT_BIND); /* an unknown name: the server says so */
	if (!ensure_prepared(client, plan, subject) ||
		(!server->skipping && !expect_push_about(server, EXPECT_BIND_NAMED, subject)))
	{
		request_out_of_memory(client);
		return message->available;
	}
	return forward_renamed(client, plan, message, slice_make(message->payload.ptr, bind.portal.len + 1),
						   bind.statement, statement_name(subject->statement));
}

size_t
forward_describe(Client *client, Plan *plan, const Message *message, bool begins)
{
	Server *server = client->server;
	WireTarget describe;
	ClientStatement *subject = NULL;

	if (manages_statements(client) && wire_read_describe(message->payload, &describe) && describe.kind == 'S')
	{
		if (describe.name.len == 0 && !unnamed_ensure(client, plan))
			request_out_of_memory(client);
		subject = client_statements_entry(client->statements, describe.name);
	}
	if (subject == NULL)
	{
		replay_follow(server, FE_DESCRIBE, message->data, message->total);
		return forward_expecting(client, plan, message, EXPECT_DESCRIBE);
	}
	replay_use(server, begins, FE_DESCRIBE, message->data, message->total);
	if (!ensure_prepared(client, plan, subject) ||
		(!server->skipping && !expect_push_about(server, EXPECT_DESCRIBE_NAMED, subject)))
	{
		request_out_of_memory(client);
		return message->available;
	}
	return forward_renamed(client, plan, message, slice_make(message->payload.ptr, 1), describe.name,
						   statement_name(subject->statement));
}

size_t
forward_close(Client *client, Plan *plan, const Message *message)
{
	Server *server = client->server;
	WireTarget target;
	ClientStatement *subject;

	replay_break(server);
	if (!manages_statements(client) || server->skipping || !wire_read_close(message->payload, &target) || target.kind != 'S')
		return forward_expecting(client, plan, message, EXPECT_CLOSE);
	if (target.name.len == 0)
		unnamed_forget(client);
	subject = client_statements_entry(client->statements, target.name);
	if (subject == NULL)
		return forward_expecting(client, plan, message, EXPECT_CLOSE);
	if (!expect_push_about(server, EXPECT_CLOSE_FAKE, subject))
		request_out_of_memory(client);
	client_statements_unlist(client->statements, client->worker->statements, subject);
	return message->total;
}

/* --- Query, Sync, Flush, copies --- */

size_t
forward_deallocate(Client *client, const Message *message)
{
	Server *server = client->server;
	char name[NAMEDATALEN_MAX];
	ClientStatement *subject;
	Slice sql;
	Buf out = {0};
	bool ok;

	if (!manages_statements(client) || client->in_group || !message->whole ||
		(server != NULL && (server->outstanding > 0 || server->tx_status == 'E')) ||
		!wire_read_query(message->payload, &sql) || !sql_is_deallocate(sql, name, sizeof(name)) ||
		(subject = client_statements_entry(client->statements, slice_str(name))) == NULL)
		return 0;
	client_statements_unlist(client->statements, client->worker->statements, subject);
	ok = wire_write_command_complete(&out, "DEALLOCATE") &&
		 wire_write_ready_for_query(&out, server != NULL ? server->tx_status : 'I');
	if (!ok)
		request_out_of_memory(client);
	client_send_buf(client, &out);
	return message->total;
}

size_t
forward_sync(Client *client, Plan *plan, const Message *message)
{
	Server *server = client->server;

	if (!client_is_linked(client))
	{
		request_send_ready(client, 'I');
		return message->total;
	}
	if (server->copy_in && !server->copy_in_ending)
		return forward(client, plan, message, false); /* ignored by the server while it copies in */
	client->in_group = false;
	replay_follow(server, FE_SYNC, message->data, message->total);
	client->hold |= client->hold_behind;
	client->hold_behind = false;
	return forward_expecting(client, plan, message, EXPECT_SYNC);
}

size_t
forward_flush(Client *client, Plan *plan, const Message *message)
{
	if (!client_is_linked(client))
		return message->total;
	replay_follow(client->server, FE_FLUSH, message->data, message->total);
	return forward(client, plan, message, false);
}

size_t
forward_copy(Client *client, Plan *plan, const Message *message)
{
	bool ends = message->type != FE_COPY_DATA;
	bool drop = !client_is_linked(client) || client->reject == REJECT_COPY;

	if (client->reject == REJECT_COPY && ends)
		client->reject = REJECT_NONE;
	if (drop)
	{
		client->stream_left = message->total - message->available;
		client->stream_drop = true;
		client->stream_ends_group = false;
		return message->available;
	}
	if (ends)
		client->server->copy_in_ending = true;
	return forward(client, plan, message, false);
}
