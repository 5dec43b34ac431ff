/*
 * request.c: the walk over what a client has sent, and what becomes of each message.
 */
#include "session/request.h"

#include "session/expect.h"
#include "session/forward.h"
#include "session/group.h"
#include "session/plain.h"
#include "session/plan.h"
#include "session/replay.h"
#include "session/unnamed.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"

/* Messages up to this size are looked at whole before anything is done with them. */
#define WHOLE_MESSAGE (NET_READ_SIZE - 1024)

/* --- ending, and answering without a server --- */

void
request_doom(Client *client, const char *reason, const char *fatal)
{
	if (client->doom != NULL)
		return;
	client->doom = reason;
	client->doom_fatal = fatal;
}

void
request_broken(Client *client, const char *what)
{
	request_doom(client, what, what);
}

void
request_out_of_memory(Client *client)
{
	request_doom(client, "out of memory", "bouncer resources exhaustion");
}

void
request_send_ready(Client *client, char status)
{
	Buf out = {0};

	if (!wire_write_ready_for_query(&out, status))
		request_out_of_memory(client);
	client_send_buf(client, &out);
}

void
request_reject(Client *client, const RequestError *error)
{
	Buf out = {0};
	WireError message = {
		.severity = slice_str("ERROR"),
		.severity_v = slice_str("ERROR"),
		.code = slice_str(error->sqlstate),
		.message = slice_str(error->message),
		.detail = error->detail != NULL ? slice_str(error->detail) : (Slice){NULL, 0},
		.hint = error->hint != NULL ? slice_str(error->hint) : (Slice){NULL, 0},
	};

	if (!wire_write_error(&out, &message))
		request_out_of_memory(client);
	client_send_buf(client, &out);
	if (client->worker->settings->log_pooler_errors)
		client_log(client, LOG_LEVEL_WARNING, "pooler error: %s", error->message);
	client->group_begun = false;
	client->reject = client->group_extended ? REJECT_TO_SYNC : REJECT_MESSAGE;
	client->deadline = DEADLINE_NONE;
	client->app->errors++;
	stats_count_error(client_stats(client), error->sqlstate);
}

/* Drop one message of a rejected group. */
static size_t
reject_message(Client *client, const Message *message)
{
	bool ends = client->reject == REJECT_MESSAGE || message->type == FE_SYNC;

	if (message->type == FE_TERMINATE)
	{
		request_doom(client, "client close request", NULL);
		return message->available;
	}
	if (!message->whole)
	{
		client->stream_left = message->total - message->available;
		client->stream_drop = true;
		client->stream_ends_group = ends;
		return message->available;
	}
	if (ends)
	{
		client->reject = REJECT_NONE;
		request_send_ready(client, 'I');
	}
	return message->total;
}

/* --- one message --- */

static bool
needs_whole(const Message *message)
{
	switch (message->type)
	{
		case FE_PARSE:
		case FE_DESCRIBE:
		case FE_EXECUTE:
		case FE_CLOSE:
		case FE_SYNC:
		case FE_FLUSH:
		case FE_TERMINATE:
			return true;
		case FE_COPY_DATA:
		case FE_COPY_DONE:
		case FE_COPY_FAIL:
			return false;
		default:
			return message->total <= WHOLE_MESSAGE;
	}
}

/* Query or FunctionCall. */
static size_t
query_message(Client *client, Plan *plan, const Message *message)
{
	Slice sql;

	replay_break(client->server);
	if (message->type == FE_QUERY)
		unnamed_forget(client);
	if (message->type == FE_QUERY && message->whole && client_statements_count(client->statements) > 0 &&
		wire_read_query(message->payload, &sql))
		client->hold |= forward_forgets_names(client, sql);
	return forward_expecting(client, plan, message, EXPECT_QUERY);
}

/* Parse, Bind, Describe, Close, Execute. */
static size_t
extended_message(Client *client, Plan *plan, const Message *message, size_t len)
{
	bool begins = !client->in_group;

	client->in_group = true;
	switch (message->type)
	{
		case FE_PARSE: return forward_parse(client, plan, message, begins, len);
		case FE_BIND: return forward_bind(client, plan, message, begins);
		case FE_DESCRIBE: return forward_describe(client, plan, message, begins);
		case FE_CLOSE: return forward_close(client, plan, message);
		default:
			replay_follow(client->server, FE_EXECUTE, message->data, message->total);
			return forward_expecting(client, plan, message, EXPECT_EXECUTE);
	}
}

/* A message that wants a server. */
static size_t
run_message(Client *client, Plan *plan, const Message *message, size_t len)
{
	bool begins = !client->in_group && !client->group_begun;

	if (client->reject == REJECT_COPY)
		client->reject = REJECT_NONE; /* the client has given up its copy without ending it */
	if (message->type == FE_QUERY && client->worker->settings->disable_pqexec)
	{
		request_broken(client, "PQexec disallowed");
		return 0;
	}
	if (message->type == FE_QUERY && !client->group_begun && client_statements_count(client->statements) > 0)
	{
		size_t used = forward_deallocate(client, message);

		if (used > 0)
			return used;
	}
	if (client_is_linked(client) && forward_is_undecided(client, message))
	{
		if (client->in_group || client->rerun)
			client->hold = true; /* its time counts already */
		else
			(void) group_hold(client, worker_now(client->worker));
		return 0;
	}
	if (!client_is_linked(client))
	{
		if (!group_acquire_server(client, message->data, len))
			return client->state == CLIENT_IDLE && client->reject != REJECT_NONE ? reject_message(client, message) : 0;
		plan->to = &client->server->conn;
	}
	else if (begins && !client->rerun && !group_begin_linked(client, message->data, len))
		return 0;
	client->group_begun = false;
	if (client->budget_us > 0 && !client->group_seen_whole && client->in_group)
		group_follow(client, message);
	if (message->type == FE_QUERY || message->type == FE_FUNCTION_CALL)
		return query_message(client, plan, message);
	return extended_message(client, plan, message, len);
}

/* Handle the message at data; returns the bytes used, 0 when it must wait or the client is gone. */
static size_t
one_message(Client *client, Plan *plan, uint8_t *data, size_t len)
{
	Message message;

	switch (read_message(data, len, &message))
	{
		case WIRE_NEED_MORE: return 0;
		case WIRE_BAD: request_broken(client, "bad packet header"); return 0;
		case WIRE_OK: break;
	}
	if (message.total > client->worker->settings->max_packet_size)
	{
		request_broken(client, "packet too large (max_packet_size)");
		return 0;
	}
	if (client->reject == REJECT_MESSAGE || client->reject == REJECT_TO_SYNC)
		return reject_message(client, &message);
	if (!message.whole && needs_whole(&message))
		return 0;
	if (client->tx_failed)
		return message.whole ? local_message(client, data, message.total) : 0;
	switch (message.type)
	{
		case FE_QUERY:
		case FE_FUNCTION_CALL:
		case FE_PARSE:
		case FE_BIND:
		case FE_DESCRIBE:
		case FE_EXECUTE:
		case FE_CLOSE:
			return run_message(client, plan, &message, len);
		case FE_SYNC:
			return forward_sync(client, plan, &message);
		case FE_FLUSH:
			return forward_flush(client, plan, &message);
		case FE_COPY_DATA:
		case FE_COPY_DONE:
		case FE_COPY_FAIL:
			return forward_copy(client, plan, &message);
		case FE_TERMINATE:
			request_doom(client, "client close request", NULL);
			return 0;
		default:
			client_log(client, LOG_LEVEL_WARNING, "unknown message type %d", message.type);
			request_broken(client, "unknown message type");
			return 0;
	}
}

/* Go on with a message of which only a part had been there. */
static size_t
stream_on(Client *client, Plan *plan, const uint8_t *data, size_t len)
{
	size_t n = len < client->stream_left ? len : client->stream_left;

	if (!client->stream_drop)
		plan_add(plan, data, n);
	client->stream_left -= n;
	if (client->stream_left > 0)
		return n;
	if (!client->stream_drop && client->server != NULL)
		client->server->partial_request = false;
	if (client->stream_ends_group && client->stream_drop)
	{
		client->stream_ends_group = false;
		client->reject = REJECT_NONE;
		request_send_ready(client, 'I');
	}
	else if (client->stream_ends_group)
		group_complete(client);
	return n;
}

/* --- the walk --- */

static bool
may_read(const Client *client)
{
	return (client->state == CLIENT_IDLE || client->state == CLIENT_ACTIVE) && !client->hold && !client->suspended &&
		   client->doom == NULL;
}

/* Answers that the sidecar owes at the head of the queue go out now. */
static void
answer_fakes(Client *client)
{
	Buf out = {0};

	switch (expect_head(client->server))
	{
		case EXPECT_PARSE_FAKE:
		case EXPECT_CLOSE_FAKE:
			if (!expect_answer_fakes(client->server, &out))
				request_out_of_memory(client);
			client_send_buf(client, &out);
			break;
		default:
			break;
	}
}

void
request_again(Client *client)
{
	Server *server = client->server;
	Buf *again = &server->replay.again;
	size_t len = buf_len(again);
	size_t pos = 0;
	Plan plan;

	plan_init(&plan, &server->conn);
	client->rerun = true;
	while (pos < len && client->doom == NULL)
	{
		size_t used = one_message(client, &plan, buf_ptr(again) + pos, len - pos);

		if (used == 0)
			break;
		pos += used;
	}
	client->rerun = false;
	plan_flush(&plan);
	replay_settle(server);
	buf_consume(again, pos);
	if (pos == len)
		buf_free(again);
	if (client->doom != NULL)
		client_close(client, client->doom, client->doom_fatal);
}

size_t
request_input(Client *client, uint8_t *data, size_t len)
{
	PoolPart *part = client->pool->parts[client->worker->index];
	Plan plan;
	size_t pos = 0;

	plan_init(&plan, client->server != NULL ? &client->server->conn : NULL);
	while (pos < len && may_read(client))
	{
		size_t used;

		if (client->stream_left > 0)
			used = stream_on(client, &plan, data + pos, len - pos);
		else if (plain_may_follow(client) && (used = plain_messages(client, data + pos, len - pos)) > 0)
		{
			plan_add(&plan, data + pos, used);
			if (!client->in_group)
				group_complete(client);
		}
		else
			used = one_message(client, &plan, data + pos, len - pos);
		if (used == 0)
			break;
		pos += used;
	}
	if (client->state == CLIENT_CLOSED)
		return len;
	part->stats.received_bytes += pos;
	plan_flush(&plan);
	if (client->server != NULL)
	{
		replay_settle(client->server);
		if (client->doom == NULL)
			answer_fakes(client);
	}
	if (client->doom != NULL)
		client_close(client, client->doom, client->doom_fatal);
	if ((client->in_group || client->stream_left > 0) && client->state == CLIENT_ACTIVE)
		client_rearm_timer(client); /* a group that stays open keeps its transaction open */
	if (client->state != CLIENT_CLOSED)
		client_update_flow(client);
	return client->state == CLIENT_CLOSED ? len : pos;
}
