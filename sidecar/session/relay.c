/*
 * relay.c: what servers send: relayed to the linked client, or quietly consumed between clients.
 *
 * Whole messages are forwarded in runs straight from the read buffer; a large row or CopyData is passed on as it comes.  A partial
 * small message waits for its rest, so that the client's stream is cut only inside large ones.
 */
#include "session/session.h"

#include <stdio.h>
#include <string.h>

#include "session/expect.h"
#include "session/lease.h"
#include "session/plain.h"
#include "session/plan.h"
#include "session/replay.h"
#include "session/request.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"

/* A message larger than this is relayed before it is there whole. */
#define STREAM_THRESHOLD (16 * 1024)
/* So much is kept for a client that does not read, once its deadline has passed: a server hears a cancel only when what it was about to send
 * is taken from it, and that is what the sockets between hold. */
#define EXPIRED_BACKLOG_MAX (16 * 1024 * 1024)

/* --- answers --- */

/* Note the answer; false when the client must not see it. */
static bool
note_answer(Server *server, uint8_t type)
{
	Expect head = expect_head(server);
	bool hidden = head == EXPECT_PARSE_HIDDEN || head == EXPECT_PARSE_UNNAMED || head == EXPECT_CLOSE_HIDDEN ||
				  head == EXPECT_CLOSE_STATEMENT;

	switch (type)
	{
		case BE_PARSE_COMPLETE:
			if (head != EXPECT_PARSE && head != EXPECT_PARSE_PLAIN && head != EXPECT_PARSE_HIDDEN &&
				head != EXPECT_PARSE_UNNAMED && head != EXPECT_PARSE_TWICE)
				return true;
			break;
		case BE_BIND_COMPLETE:
			if (head != EXPECT_BIND && head != EXPECT_BIND_NAMED)
				return true;
			break;
		case BE_CLOSE_COMPLETE:
			if (head != EXPECT_CLOSE && head != EXPECT_CLOSE_HIDDEN && head != EXPECT_CLOSE_STATEMENT)
				return true;
			break;
		case BE_ROW_DESCRIPTION:
		case BE_NO_DATA:
			if (head != EXPECT_DESCRIBE && head != EXPECT_DESCRIBE_NAMED)
				return true;
			break;
		case BE_COMMAND_COMPLETE:
		case BE_EMPTY_QUERY:
		case BE_PORTAL_SUSPENDED:
			if (head != EXPECT_EXECUTE)
				return true;
			break;
		default:
			return true;
	}
	expect_pop(server);
	server->answered |= !hidden;
	return !hidden;
}

/* The answer to DISCARD ALL or DEALLOCATE ALL: the prepared statements are gone. */
static void
note_command(Server *server, Slice payload)
{
	Slice tag;

	server->copy_in = false;
	if (payload.len == 0 || payload.ptr[0] != 'D' || !wire_read_command_tag(payload, &tag))
		return;
	if (!slice_is(tag, "DISCARD ALL") && !slice_is(tag, "DEALLOCATE ALL"))
		return;
	server_statements_clear(&server->statements, server->worker->statements);
	if (server->client != NULL)
		client_statements_clear(server->client->statements, server->worker->statements);
}

static void
note_parameter(Server *server, Slice payload)
{
	ParamRegistry *registry = server->worker->params;
	Client *client = server->client;
	Slice name;
	Slice value;
	int index;

	if (!wire_read_parameter_status(payload, &name, &value) || (index = params_index(registry, name)) < 0)
		return;
	paramset_change(registry, &server->params, index, value);
	if (client == NULL || server->state != SERVER_ACTIVE)
		return;
	paramset_change(registry, &client->params, index, value);
	if (index == registry->deadline_index)
		client->session_deadline_us = value.len == 0 ? -1 : deadline_parse(value);
	else if (index == registry->app_index)
		client_enter_app(client, paramset_get(client->params, index));
}

/* --- errors --- */

/* What was kept back goes out in its place, before what is in the plan by now. */
static void
tell_withheld(Server *server, Plan *plan)
{
	plan_flush(plan);
	replay_tell(server);
}

/* A statement's parameters, which were kept until its columns are told. */
static void
add_types(Server *server, Plan *plan)
{
	Buf *types = replay_types(server);

	if (buf_len(types) == 0)
		return;
	plan_insert(plan, buf_ptr(types), buf_len(types));
	buf_clear(types);
	server->answered = true;
}

static bool
add_rewritten(Server *server, Plan *plan, const WireError *error)
{
	Buf out = {0};
	bool ok = wire_write_error(&out, error);

	if (ok)
		plan_insert(plan, buf_ptr(&out), buf_len(&out));
	buf_free(&out);
	(void) server;
	return ok;
}

/* The server's 57014 to a cancel (or CopyFail) of ours becomes the deadline's error. */
static bool
rewrite_deadline(Server *server, Plan *plan, WireError *error)
{
	char detail[160];
	usec_t now = worker_now(server->worker);

	server->rewrite_cancel = false;
	server_stats(server)->expired_running++;
	error->message = slice_str(deadline_message(server->client));
	error->detail = slice_str(deadline_detail(server->client, now, detail, sizeof(detail)));
	error->hint = (Slice){NULL, 0};
	return add_rewritten(server, plan, error);
}

/* The name is told as the client knows it: nobody should read PGWEIR_7 in an error. */
static bool
rewrite_name(Server *server, Plan *plan, WireError *error, const ClientStatement *subject)
{
	char ours[STATEMENT_NAME_MAX + 2];
	size_t len = (size_t) snprintf(ours, sizeof(ours), "\"%s\"", subject->statement->name);
	const uint8_t *at = memmem(error->message.ptr, error->message.len, ours, len);
	size_t before = at != NULL ? (size_t) (at - error->message.ptr) : 0;
	Buf message = {0};
	bool ok;

	if (at == NULL)
		return false;
	ok = buf_append(&message, error->message.ptr, before + 1) && buf_append(&message, subject->name, subject->name_len) &&
		 buf_append(&message, at + len - 1, error->message.len - before - len + 1);
	error->message = buf_slice(&message);
	ok = ok && add_rewritten(server, plan, error);
	buf_free(&message);
	return ok;
}

/* The name of an inserted or a client's Parse is taken on the server, by somebody who made it up. */
static Statement *
taken_by_others(const Server *server, const WireError *error)
{
	Expect head = expect_head(server);

	return (head == EXPECT_PARSE || head == EXPECT_PARSE_HIDDEN) && slice_is(error->code, "42P05")
			   ? expect_subject(server)->statement
			   : NULL;
}

/* Forward an ErrorResponse, changed where needed.  True when it was written in another form, or is not to be told. */
static bool
relay_error(Server *server, Plan *plan, Slice payload)
{
	WireError error;
	const ClientStatement *subject = expect_subject(server);
	Statement *taken;
	bool rewritten = false;

	server->copy_in = false;
	if (!wire_read_error(payload, &error))
		return false;
	taken = taken_by_others(server, &error);
	if (taken != NULL)
		statement_ref(taken);
	if (replay_error(server, &error, payload))
		rewritten = true;
	else
	{
		if (replay_is_due(server))
			tell_withheld(server, plan);
		add_types(server, plan);
		server_count_error(server, error.code);
		if (server->client != NULL && server->rewrite_cancel && slice_is(error.code, "57014"))
			rewritten = rewrite_deadline(server, plan, &error);
		else if (subject != NULL)
			rewritten = rewrite_name(server, plan, &error, subject);
	}
	expect_skip_to_sync(server);
	if (taken != NULL)
	{
		server_statements_outdate(&server->statements, taken);
		statement_unref(server->worker->statements, taken);
	}
	return rewritten;
}

/* --- the end of a group --- */

static GroupRun
count_group(Server *server, Client *client, usec_t now)
{
	SessionStats *stats = server_stats(server);
	usec_t ran = now - (client->granted_at > server->query_since ? client->granted_at : server->query_since);

	stats->queries++;
	stats->query_us += (uint64_t) ran;
	sparse_histogram_add(&stats->run_hist, ran);
	server->xact_groups++;
	client->app->queries++;
	client->app->query_us += (uint64_t) ran;
	if (server->tx_status == 'I')
	{
		stats->xacts++;
		client->app->xacts++;
		sparse_histogram_add(&stats->requests_hist, server->xact_groups);
		server->xact_groups = 0;
		repeats_end(&server->repeats, stats, now);
		stats->xact_us += (uint64_t) (now - (client->tx_since > client->granted_at ? client->tx_since : client->granted_at));
	}
	return (GroupRun){.us = ran, .completed = !client->expired};
}

/* The policy learns how long it ran; a release tells by itself. */
static void
tell_run(Server *server, const GroupRun *run, usec_t now)
{
	if (lease_ran(server, run, now))
		return;
	policy_enter(server->worker);
	lease_end(server);
	pool_ran(&server->slot, run->us, run->completed, now);
	lease_adopt(server, server->client->fingerprint, now);
	policy_leave(server->worker, NULL);
}

static void
ready_for_query(Server *server, Slice payload)
{
	Expect head;

	while ((head = expect_head(server)) != 0)
	{
		if (head == EXPECT_QUERY || head == EXPECT_SYNC)
		{
			expect_pop_end(server);
			break;
		}
		expect_pop(server);
	}
	server->tx_status = payload.len == 1 ? (char) payload.ptr[0] : 'I';
	server->copy_in = false;
	server->skipping = false;
	server->rewrite_cancel = false;
	server->answered = false;
	server->group_serial++;
}

/* The client has seen the end of a group.  True when the server was released (or lost): nothing more is its business here. */
static bool
group_done(Server *server)
{
	Client *client = server->client;
	usec_t now = worker_now(server->worker);
	bool again = buf_len(&server->replay.again) > 0;
	bool between = server->outstanding == 0 && !client->in_group && client->stream_left == 0 && !again;
	GroupRun run = count_group(server, client, now);

	client->deadline = DEADLINE_NONE;
	client->grace_until = DEADLINE_NONE;
	client->expired = false;
	client->budget_us = 0;
	client->idle_since = now;
	server->query_since = now;
	if (between && server->tx_status == 'I' && server->pool->mode != POOL_MODE_SESSION)
	{
		link_release(client, &run);
		return true;
	}
	tell_run(server, &run, now);
	if (server_close_if_outdated(server))
		return true;
	if (again && server->outstanding == 0)
	{
		request_again(client);
		return client->state != CLIENT_ACTIVE;
	}
	if (client->hold && server->outstanding == 0 && server->cancels == 0)
		client->hold = false;
	client_rearm_timer(client);
	client_update_flow(client);
	return false;
}

/* --- quiet: no client is looking --- */

static void
quiet_error(Server *server, Slice payload)
{
	WireError error;

	if (wire_read_error(payload, &error))
	{
		server->fatal_error = slice_is(error.severity_v, "FATAL") || slice_is(error.severity, "FATAL");
		if (server->client == NULL && !slice_is(error.code, "57014"))
			server_log(server, LOG_LEVEL_WARNING, "server error: %.*s", (int) error.message.len,
					   (const char *) error.message.ptr);
		if (server->own_query)
			server->own_query_failed = true;
	}
	expect_skip_to_sync(server);
}

/* A statement of a client that left began to read CopyData: end it. */
static void
quiet_copy_in(Server *server)
{
	Buf out = {0};
	bool ok;

	expect_copy_in(server);
	ok = wire_write_copy_fail(&out, "client disconnected");
	if (ok && server->outstanding == 0)
		ok = wire_write_sync(&out) && expect_push(server, EXPECT_SYNC);
	if (ok)
		net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
	buf_free(&out);
}

static void
quiet_message(Server *server, uint8_t type, Slice payload)
{
	while (expect_owes_fake(server))
		expect_pop(server);
	switch (type)
	{
		case BE_READY_FOR_QUERY: ready_for_query(server, payload); break;
		case BE_PARAMETER_STATUS: note_parameter(server, payload); break;
		case BE_ERROR_RESPONSE: quiet_error(server, payload); break;
		case BE_COPY_IN: quiet_copy_in(server); break;
		case BE_COMMAND_COMPLETE:
			note_command(server, payload);
			(void) note_answer(server, type);
			break;
		default: (void) note_answer(server, type); break;
	}
}

/* --- reading --- */

typedef enum RelayStep
{
	RELAY_ON,	/* go on with the next message */
	RELAY_STOP, /* the server changed hands: the rest is read by the next call */
} RelayStep;

/* Statement mode: the client has begun a transaction, which it may not. */
static RelayStep
refuse_transaction(Server *server, Plan *plan)
{
	static const char why[] = "transaction blocks not allowed in statement pooling mode";

	plan_flush(plan);
	client_close(server->client, why, why);
	return RELAY_STOP;
}

/* Does this message show that the group it belongs to does something?  Errors are looked at by themselves. */
static bool
ends_silence(uint8_t type)
{
	return type != BE_ERROR_RESPONSE && type != BE_READY_FOR_QUERY && type != BE_NOTICE_RESPONSE && type != BE_PARAMETER_STATUS &&
		   type != BE_NOTIFICATION;
}

static void
insert_fakes(Server *server, Plan *plan)
{
	Buf out = {0};

	if (expect_answer_fakes(server, &out))
		plan_insert(plan, buf_ptr(&out), buf_len(&out));
	buf_free(&out);
}

/* Answers that the sidecar owes itself come in their place. */
static inline void
add_fakes(Server *server, Plan *plan)
{
	if (expect_owes_fake(server))
		insert_fakes(server, plan);
}

static RelayStep
relay_message(Server *server, Plan *plan, uint8_t *data, size_t total, uint8_t type)
{
	Slice payload = slice_make(data + WIRE_HEADER_SIZE, total - WIRE_HEADER_SIZE);
	Client *client = server->client;
	bool show = true;

	if (server->replay.withheld_groups > 0 && !server->replay.failed && ends_silence(type))
		tell_withheld(server, plan);
	switch (type)
	{
		case BE_DATA_ROW:
		case BE_COPY_DATA:
			plan_add(plan, data, total);
			return RELAY_ON;
		case BE_READY_FOR_QUERY:
			ready_for_query(server, payload);
			if (replay_is_due(server))
				plan_flush(plan);
			if (replay_group_ended(server, data, total))
			{
				/* an answer of our own is next, which cannot be had again */
				if (client->state == CLIENT_ACTIVE && expect_owes_fake(server) && replay_is_due(server))
				{
					tell_withheld(server, plan);
					add_fakes(server, plan);
				}
				return client->state == CLIENT_ACTIVE ? RELAY_ON : RELAY_STOP;
			}
			if (server->pool->mode == POOL_MODE_STATEMENT && server->tx_status != 'I')
				return refuse_transaction(server, plan);
			plan_add(plan, data, total);
			add_fakes(server, plan);
			/* in a pipeline the client stays: what comes next goes with it, in one write */
			if (server->outstanding == 0)
				plan_flush(plan);
			return group_done(server) ? RELAY_STOP : RELAY_ON;
		case BE_ERROR_RESPONSE:
			show = !relay_error(server, plan, payload);
			break;
		case BE_PARAMETER_DESCRIPTION:
			show = !replay_keep_types(server, data, total);
			server->answered |= show;
			break;
		case BE_PARAMETER_STATUS:
			note_parameter(server, payload);
			break;
		case BE_COMMAND_COMPLETE:
			note_command(server, payload);
			show = note_answer(server, type);
			break;
		case BE_COPY_IN:
		case BE_COPY_BOTH:
			expect_copy_in(server);
			break;
		default:
			show = note_answer(server, type);
			break;
	}
	if (type == BE_ROW_DESCRIPTION || type == BE_NO_DATA)
		add_types(server, plan);
	if (show)
		plan_add(plan, data, total);
	add_fakes(server, plan);
	return RELAY_ON;
}

static bool
can_stream(uint8_t type)
{
	return type == BE_DATA_ROW || type == BE_COPY_DATA;
}

/* One message, or a part of a large one; 0 = more bytes are needed, or the connection is over. */
static size_t
one_answer(Server *server, Plan *plan, uint8_t *data, size_t len, RelayStep *step)
{
	WireHeader header;
	size_t total;
	bool quiet = server->state != SERVER_ACTIVE;

	if (server->stream_left > 0)
	{
		size_t n = len < server->stream_left ? len : server->stream_left;

		if (!quiet && !server->stream_drop)
			plan_add(plan, data, n);
		server->stream_left -= n;
		return n;
	}
	switch (wire_read_header(data, len, &header))
	{
		case WIRE_NEED_MORE: return 0;
		case WIRE_BAD: server_close(server, "bad packet from server"); return 0;
		case WIRE_OK: break;
	}
	total = (size_t) header.payload_len + WIRE_HEADER_SIZE;
	if (total > len)
	{
		if (!can_stream(header.type) || (!quiet && total <= STREAM_THRESHOLD))
			return 0;
		server->stream_left = total - len;
		server->stream_drop = quiet;
		if (!quiet)
			plan_add(plan, data, len);
		return len;
	}
	if (quiet)
		quiet_message(server, header.type, slice_make(data + WIRE_HEADER_SIZE, header.payload_len));
	else
		*step = relay_message(server, plan, data, total, header.type);
	return total;
}

size_t
relay_input(Server *server, uint8_t *data, size_t len)
{
	PoolPart *part = server->pool->parts[server->worker->index];
	size_t pos = 0;
	bool shown = server->state == SERVER_ACTIVE;

	while (pos < len && server->state != SERVER_CLOSED)
	{
		Plan plan;
		RelayStep step = RELAY_ON;
		Client *client = server->state == SERVER_ACTIVE ? server->client : NULL;

		plan_init(&plan, client != NULL ? &client->conn : NULL);
		while (pos < len && step == RELAY_ON && server->state != SERVER_CLOSED)
		{
			bool plain = server->state == SERVER_ACTIVE && server->stream_left == 0;
			size_t used = plain ? plain_answers(server, data + pos, len - pos) : 0;

			if (used > 0)
			{
				plan_add(&plan, data + pos, used);
				add_fakes(server, &plan);
			}
			else
				used = one_answer(server, &plan, data + pos, len - pos, &step);
			if (used == 0)
				break;
			pos += used;
		}
		if (client != NULL && client->state != CLIENT_CLOSED)
		{
			plan_flush(&plan);
			if (server->client == client && net_backlog(&client->conn) > (client->expired ? EXPIRED_BACKLOG_MAX : 0))
			{
				if (client->write_blocked_since == 0)
					client->write_blocked_since = worker_now(server->worker);
				net_pause(&server->conn);
			}
		}
		if (step == RELAY_ON)
			break;
	}
	part->stats.sent_bytes += shown ? pos : 0;
	if (server->state == SERVER_CLOSED)
		return len;
	switch (server->state)
	{
		case SERVER_SYNCING: link_sync_progress(server); break;
		case SERVER_CLEANING: server_clean_next(server); break;
		default: break;
	}
	return server->state == SERVER_CLOSED ? len : pos;
}
