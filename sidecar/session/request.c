/*
 * request.c: what a logged-in client sends: groups of messages, forwarded to its server.
 *
 * One call handles one read: it walks the messages, asks the pool for a server where a group begins without one, renames prepared
 * statements on the way and writes everything to the server at once.  Messages the sidecar need not understand are not copied.
 *
 * A group that has a deadline, or that follows one, is not sent before the running one has ended (`hold`): so a cancel
 * can only ever meet the statement it was meant for.
 */
#include "session/session.h"

#include <stdio.h>

#include "session/expect.h"
#include "session/lease.h"
#include "session/limits.h"
#include "session/peek.h"
#include "session/plain.h"
#include "session/plan.h"
#include "session/replay.h"
#include "session/unnamed.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"
#include "wire/sqlscan.h"

/* Messages up to this size are looked at whole before anything is done with them. */
#define WHOLE_MESSAGE (NET_READ_SIZE - 1024)

/* A longer name is none that a driver makes up. */
#define NAMEDATALEN_MAX 256

static bool
manages_statements(const Client *client)
{
	return client->pool->mode != POOL_MODE_SESSION && client->worker->settings->max_prepared_statements > 0;
}

/* End the session, but only after what was read before has been sent on: the server's queue of answers counts on it. */
static void
doom(Client *client, const char *reason, const char *fatal)
{
	if (client->doom != NULL)
		return;
	client->doom = reason;
	client->doom_fatal = fatal;
}

static void
broken(Client *client, const char *what)
{
	doom(client, what, what);
}

static void
out_of_memory(Client *client)
{
	doom(client, "out of memory", "bouncer resources exhaustion");
}

/* --- answering without a server --- */

static void
send_ready(Client *client, char status)
{
	Buf out = {0};

	if (!wire_write_ready_for_query(&out, status))
		out_of_memory(client);
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
		out_of_memory(client);
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
		doom(client, "client close request", NULL);
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
		send_ready(client, 'I');
	}
	return message->total;
}

/* --- groups --- */

/* The whole request is at the sidecar: from now on its deadline runs. */
static void
group_complete(Client *client)
{
	usec_t now = worker_now(client->worker);

	client->stream_ends_group = false;
	if (client->budget_us > 0)
	{
		client->deadline = client->group_seen_whole
							   ? deadline_after(client->group_since, client->budget_us)
							   : deadline_after(now, client->budget_us > client->waited_us
														 ? client->budget_us - client->waited_us
														 : 1);
		client_stats(client)->deadline_us += (uint64_t) client->budget_us;
		sparse_histogram_add(&client_stats(client)->deadline_hist, client->budget_us);
	}
	client_rearm_timer(client);
}

/* No group has longer than its transaction. */
static void
limit_by_transaction(Client *client)
{
	usec_t whole = client->unhurried ? 0 : deadline_transaction_us(client);
	usec_t left = client->tx_since + whole - client->group_since;

	client->by_transaction = whole > 0 && (client->budget_us == 0 || left < client->budget_us);
	if (client->by_transaction)
		client->budget_us = left > 0 ? left : 1;
}

/* What the group may cost, and for how long its answer is wanted. */
static void
begin_group(Client *client, const GroupInfo *info, usec_t now)
{
	client->group_since = client->held_since > 0 ? client->held_since : now;
	client->held_since = 0;
	client->group_begun = true;
	client->waited_us = 0;
	client->group_seen_whole = info->whole;
	client->group_extended = info->extended;
	client->limit = info->limit;
	client->budget_us = deadline_budget(client, info->tag_us);
	limit_by_transaction(client);
	client->deadline = DEADLINE_NONE;
	client->expired = false;
	client->wait_notified = false;
	client->request_time = now;
	client->fingerprint = info->fingerprint;
}

/* A group begins outside of a transaction. */
static void
note_run(Client *client, const GroupInfo *info, usec_t now)
{
	repeats_note_run(&client->run_length, client_stats(client), client->fingerprint, info->fingerprint, info->sql,
					 now - client->idle_since, now);
}

/* A group begins in a transaction, after a pause. */
static void
count_think(Client *client, usec_t now)
{
	SessionStats *stats = client_stats(client);
	usec_t think_us = now - client->idle_since;

	stats->think_us += (uint64_t) think_us;
	stats->think_count++;
	sparse_histogram_add(&stats->think_hist, think_us);
	client->app->think_us += (uint64_t) think_us;
}

/* A group begins and no server is linked.  True when one is now; else the group waits, was rejected, or the client is gone. */
static bool
acquire_server(Client *client, uint8_t *data, size_t len)
{
	Worker *worker = client->worker;
	usec_t now = worker_now(worker);
	PoolSlot *slot;
	GroupInfo info;
	Server *spare;

	if (worker->hall->phase == WORKER_DRAIN_SERVERS)
	{
		broken(client, "server shutting down");
		return false;
	}
	peek_group(client, data, len, &info);
	client->tx_since = now;
	note_run(client, &info, now);
	begin_group(client, &info, now);
	client->waiter.deadline = client->budget_us > 0 ? deadline_after(now, client->budget_us) : DEADLINE_NONE;
	client->waiter.fingerprint = client->fingerprint;
	client->waiter.cap = info.limit != NULL ? &info.limit->cap : NULL;
	client->waiter.home = worker->index;
	if ((spare = lease_take(client, now)) != NULL)
	{
		link_grant(client, spare, 0);
		return client->state == CLIENT_ACTIVE;
	}
	policy_enter(worker);
	lease_enter(worker, client->pool);
	slot = pool_take(&client->pool->policy, &client->waiter, now);
	if (slot == NULL)
		pool_request(&client->pool->policy, &client->waiter, now, &worker->hall->actions);
	policy_leave_busy(worker, client->pool);
	if (slot != NULL)
		link_grant(client, CONTAINER_OF(slot, Server, slot), 0);
	else
		client_set_state(client, CLIENT_WAITING);
	worker_run_actions(worker);
	if (client->state == CLIENT_WAITING)
		client_rearm_timer(client); /* query_timeout and the notice count in the queue too */
	return client->state == CLIENT_ACTIVE;
}

/* The group waits for the one that runs; its time counts from now. */
static bool
hold_group(Client *client, usec_t now)
{
	client->hold = true;
	if (client->held_since == 0)
		client->held_since = now;
	return false;
}

/* A group begins on a server that is linked already.  False: it must wait for the one that runs. */
static bool
begin_linked(Client *client, uint8_t *data, size_t len)
{
	Server *server = client->server;
	usec_t now = worker_now(client->worker);
	GroupInfo info;

	if (server->cancels > 0)
		return hold_group(client, now);
	if (server->outstanding == 0)
	{
		if (client->idle_since > 0 && server->tx_status != 'I')
			count_think(client, now);
		if (server->tx_status == 'I')
			client->tx_since = now;
	}
	peek_group(client, data, len, &info);
	client->limit = info.limit;
	if (server->outstanding > 0 && (client->budget_us > 0 || deadline_budget(client, info.tag_us) > 0 ||
									deadline_transaction_us(client) > 0))
		return hold_group(client, now);
	if (server->tx_status != 'I')
		repeats_note(&server->repeats, client_stats(client), info.fingerprint, info.sql, now);
	else if (server->outstanding == 0)
		note_run(client, &info, now);
	begin_group(client, &info, now);
	client->granted_at = now;
	if (server->outstanding == 0)
		server->query_since = now;
	if (!lease_starts(server, client->fingerprint, now) && !pool_has_started(&server->slot, client->fingerprint, now))
	{
		policy_enter(client->worker);
		pool_starts(&server->slot, client->fingerprint, now);
		policy_leave(client->worker, NULL);
	}
	return true;
}

/* --- forwarding --- */

static size_t
forward(Client *client, Plan *plan, const Message *message, bool ends_group)
{
	Server *server = client->server;

	plan_add(plan, message->data, message->available);
	if (message->whole)
	{
		if (ends_group && !client->rerun)
			group_complete(client);
		return message->total;
	}
	client->stream_left = message->total - message->available;
	client->stream_drop = false;
	client->stream_ends_group = ends_group;
	server->partial_request = true;
	return message->available;
}

static size_t
forward_expecting(Client *client, Plan *plan, const Message *message, Expect what)
{
	bool ends = what == EXPECT_QUERY || what == EXPECT_SYNC;

	if (!client->server->skipping || what == EXPECT_SYNC)
	{
		if (!expect_push(client->server, what))
		{
			out_of_memory(client);
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

/* What a message does with a statement depends on whether an earlier group, which is not answered yet, fails. */
static bool
is_undecided(const Client *client, const Message *message)
{
	const Server *server = client->server;
	const Statement *existing;
	Slice body = {NULL, 0};
	Slice name;

	if (server->unproved == 0 || server->outstanding == 0 || server->skipping || client->statements == NULL)
		return false;
	name = peek_name(message, &body);
	if (name.len == 0)
		return false;
	existing = client_statements_find(client->statements, name);
	return expect_in_doubt(server, name, existing != NULL ? statement_body(existing) : body);
}

/*
 * A statement after which all names are free.  They are forgotten when its answer comes, so what is behind it waits for that: it may
 * make names anew.
 */
static bool
forgets_names(const Client *client, Slice sql)
{
	SqlVerb verb;

	if (client_statements_count(client->statements) == 0)
		return false;
	verb = sql_verb(sql);
	return verb == SQL_DEALLOCATE_ALL || verb == SQL_DISCARD_ALL;
}

static size_t
forward_parse_unnamed(Client *client, Plan *plan, const Message *message, const WireParse *parse, size_t len)
{
	size_t used = message->total;

	if (!unnamed_parse(client, parse, message->payload, slice_make(message->data + used, len - used)))
		out_of_memory(client);
	client->hold_behind |= forgets_names(client, parse->query);
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
		doom(client, too_many_statements, too_many_statements);
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
		out_of_memory(client);
	return used;
}

static size_t
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
			out_of_memory(client);
		used = message->total;
	}
	if (faked && (begins || at == REPLAY_FAKED))
		server->replay.at = REPLAY_FAKED;
	else
		replay_break(server);
	return used;
}

static size_t
forward_bind(Client *client, Plan *plan, const Message *message, bool begins)
{
	Server *server = client->server;
	WireBind bind;
	ClientStatement *subject = NULL;

	client_stats(client)->binds += !client->rerun;
	if (manages_statements(client) && peek_bind(client, message->payload, &bind))
	{
		if (bind.statement.len == 0 && !unnamed_ensure(client, plan))
			out_of_memory(client);
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
		out_of_memory(client);
		return message->available;
	}
	return forward_renamed(client, plan, message, slice_make(message->payload.ptr, bind.portal.len + 1),
						   bind.statement, statement_name(subject->statement));
}

static size_t
forward_describe(Client *client, Plan *plan, const Message *message, bool begins)
{
	Server *server = client->server;
	WireTarget describe;
	ClientStatement *subject = NULL;

	if (manages_statements(client) && wire_read_describe(message->payload, &describe) && describe.kind == 'S')
	{
		if (describe.name.len == 0 && !unnamed_ensure(client, plan))
			out_of_memory(client);
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
		out_of_memory(client);
		return message->available;
	}
	return forward_renamed(client, plan, message, slice_make(message->payload.ptr, 1), describe.name,
						   statement_name(subject->statement));
}

static size_t
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
		out_of_memory(client);
	client_statements_unlist(client->statements, client->worker->statements, subject);
	return message->total;
}

/* CopyData, CopyDone and CopyFail: to the server while it reads them, else dropped, as PostgreSQL drops stray ones. */
static size_t
copy_message(Client *client, Plan *plan, const Message *message)
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

static size_t
sync_message(Client *client, Plan *plan, const Message *message)
{
	Server *server = client->server;

	if (!client_is_linked(client))
	{
		send_ready(client, 'I');
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

/*
 * A simple Query that is nothing but DEALLOCATE of a statement this client has prepared by protocol (drivers such as DBD::Pg do that):
 * the server knows it by another name, or not at all, so it is answered here.  0: it is something else, or now is not the time.
 */
static size_t
deallocate_message(Client *client, const Message *message)
{
	Server *server = client->server;
	char name[NAMEDATALEN_MAX];
	ClientStatement *subject;
	Slice sql;
	Buf out = {0};
	bool ok;

	if (client_statements_count(client->statements) == 0 || !manages_statements(client) || client->in_group || !message->whole ||
		(server != NULL && (server->outstanding > 0 || server->tx_status == 'E')) ||
		!wire_read_query(message->payload, &sql) || !sql_is_deallocate(sql, name, sizeof(name)) ||
		(subject = client_statements_entry(client->statements, slice_str(name))) == NULL)
		return 0;
	client_statements_unlist(client->statements, client->worker->statements, subject);
	ok = wire_write_command_complete(&out, "DEALLOCATE") &&
		 wire_write_ready_for_query(&out, server != NULL ? server->tx_status : 'I');
	if (!ok)
		out_of_memory(client);
	client_send_buf(client, &out);
	return message->total;
}

static size_t
run_extended(Client *client, Plan *plan, const Message *message, size_t len)
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
		broken(client, "PQexec disallowed");
		return 0;
	}
	if (message->type == FE_QUERY && !client->group_begun)
	{
		size_t used = deallocate_message(client, message);

		if (used > 0)
			return used;
	}
	if (client_is_linked(client) && is_undecided(client, message))
	{
		if (client->in_group || client->rerun)
			client->hold = true; /* its time counts already */
		else
			(void) hold_group(client, worker_now(client->worker));
		return 0;
	}
	if (!client_is_linked(client))
	{
		if (!acquire_server(client, message->data, len))
			return client->state == CLIENT_IDLE && client->reject != REJECT_NONE ? reject_message(client, message) : 0;
		plan->to = &client->server->conn;
	}
	else if (begins && !client->rerun && !begin_linked(client, message->data, len))
		return 0;
	client->group_begun = false;
	if (client->budget_us > 0 && !client->group_seen_whole && client->in_group)
	{
		GroupInfo info = {.tag_us = -1};
		usec_t before = client->budget_us;

		peek_message(client, message, &info);
		client->budget_us = deadline_budget(client, peek_tighter(info.tag_us, before));
		client->by_transaction &= client->budget_us >= before;
	}
	if (message->type == FE_QUERY || message->type == FE_FUNCTION_CALL)
	{
		Slice sql;

		replay_break(client->server);
		if (message->type == FE_QUERY)
			unnamed_forget(client);
		if (message->type == FE_QUERY && message->whole && client_statements_count(client->statements) > 0 &&
			wire_read_query(message->payload, &sql))
			client->hold |= forgets_names(client, sql);
		return forward_expecting(client, plan, message, EXPECT_QUERY);
	}
	return run_extended(client, plan, message, len);
}

/* Handle the message at data; returns the bytes used, 0 when it must wait or the client is gone. */
static size_t
one_message(Client *client, Plan *plan, uint8_t *data, size_t len)
{
	Message message;

	switch (read_message(data, len, &message))
	{
		case WIRE_NEED_MORE: return 0;
		case WIRE_BAD: broken(client, "bad packet header"); return 0;
		case WIRE_OK: break;
	}
	if (message.total > client->worker->settings->max_packet_size)
	{
		broken(client, "packet too large (max_packet_size)");
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
			return sync_message(client, plan, &message);
		case FE_FLUSH:
			if (client_is_linked(client))
				replay_follow(client->server, FE_FLUSH, message.data, message.total);
			return client_is_linked(client) ? forward(client, plan, &message, false) : message.total;
		case FE_COPY_DATA:
		case FE_COPY_DONE:
		case FE_COPY_FAIL:
			return copy_message(client, plan, &message);
		case FE_TERMINATE:
			doom(client, "client close request", NULL);
			return 0;
		default:
			client_log(client, LOG_LEVEL_WARNING, "unknown message type %d", message.type);
			broken(client, "unknown message type");
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
		send_ready(client, 'I');
	}
	else if (client->stream_ends_group)
		group_complete(client);
	return n;
}

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
				out_of_memory(client);
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
