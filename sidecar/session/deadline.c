/*
 * deadline.c: whose deadline applies, and what happens when it passes.
 *
 * Sources, the tightest wins: a comment in the statement; the session's pgweir.deadline (startup parameter, SET, ALTER ROLE); then the
 * settings of the rule of [limits], the user, the database and [pgbouncer], the first that is set.  max_query_deadline caps all of them.
 *
 * A transaction's deadline (transaction_deadline, settings only) shortens the deadline of each of its groups to what is left of it.
 * When it passes between two groups, or in a group whose Sync has not come, the server connection rolls back, and the client finds itself in
 * a failed transaction (local.c): its next statement, unless that is ROLLBACK, gets the error.  In session mode the server connection stays
 * linked.
 */
#include "session/session.h"

#include <stdio.h>

#include "session/expect.h"
#include "session/limits.h"
#include "session/request.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/sqlscan.h"

usec_t
deadline_parse(Slice value)
{
	int64_t us;

	return wire_parse_duration(value, USEC_PER_SEC, &us) ? us : -1;
}

static void
notice_bad_deadline(Client *client, Slice value)
{
	Buf out = {0};
	char message[160];
	WireError notice;

	if (client->bad_deadline_told)
		return;
	client->bad_deadline_told = true;
	snprintf(message, sizeof(message), "invalid pgweir_deadline \"%.*s\" ignored", value.len > 40 ? 40 : (int) value.len,
			 (const char *) value.ptr);
	notice = (WireError){.severity = slice_str("NOTICE"), .severity_v = slice_str("NOTICE"), .code = slice_str("22023"),
						 .message = slice_str(message),
						 .hint = slice_str("A deadline is a number with us, ms, s or min, such as '250ms'.")};
	if (wire_write_notice(&out, &notice))
		client_send_buf(client, &out);
	buf_free(&out);
}

usec_t
deadline_from_comment(Client *client, Slice sql)
{
	Slice value;
	char text[64];
	size_t len;
	usec_t us = -1;

	if (!sql_find_tag(sql, "pgweir_deadline", &value))
		return -1;
	if (sql_decode_tag(value, text, sizeof(text), &len))
		us = deadline_parse(slice_make(text, len));
	if (us < 0)
		notice_bad_deadline(client, value);
	return us;
}

static usec_t
first_set(usec_t a, usec_t b, usec_t c)
{
	return a >= 0 ? a : b >= 0 ? b : c;
}

/* The tighter of two limits where 0 means none. */
static usec_t
tighter_limit(usec_t a, usec_t b)
{
	return a <= 0 ? b : b <= 0 ? a : a < b ? a : b;
}

void
deadline_look_at_settings(Client *client)
{
	const Settings *settings = client->worker->settings;
	const UserSpec *user = client->role->spec;
	const DatabaseSpec *database = client->database->spec;
	usec_t general = settings->query_timeout_us | settings->idle_transaction_timeout_us | settings->transaction_timeout_us |
					 settings->client_idle_timeout_us | settings->query_deadline_us | settings->max_query_deadline_us |
					 settings->transaction_deadline_us;
	bool of_user = user != NULL && (user->query_timeout_us > 0 || user->idle_transaction_timeout_us > 0 || user->transaction_timeout_us > 0 ||
									user->client_idle_timeout_us > 0 || user->query_deadline_us > 0 || user->max_query_deadline_us > 0 ||
									user->transaction_deadline_us > 0);
	bool of_database = database != NULL && (database->query_deadline_us > 0 || database->max_query_deadline_us > 0 ||
											database->transaction_deadline_us > 0);

	/* a limit that a user or a database lifts counts too: what is asked for each group finds that out */
	client->unhurried = general == 0 && !of_user && !of_database;
}

usec_t
deadline_tightest(const Client *client, usec_t tag_us)
{
	const Settings *settings = client->worker->settings;
	const UserSpec *user = client->role->spec;
	const DatabaseSpec *database = client->database->spec;
	usec_t user_us = user != NULL ? user->query_deadline_us : OPTION_INHERIT;
	usec_t user_max = user != NULL ? user->max_query_deadline_us : OPTION_INHERIT;
	usec_t database_us = database != NULL ? database->query_deadline_us : OPTION_INHERIT;
	usec_t database_max = database != NULL ? database->max_query_deadline_us : OPTION_INHERIT;
	usec_t rule_us = client->limit != NULL && client->limit->spec != NULL ? client->limit->spec->query_deadline_us : OPTION_INHERIT;
	usec_t cap = first_set(user_max, database_max, settings->max_query_deadline_us);
	usec_t asked;

	if (client->pool->dedicated != NULL)
		return 0; /* a stream lasts */
	if (tag_us >= 0 && client->session_deadline_us > 0)
		asked = tighter_limit(tag_us, client->session_deadline_us);
	else if (tag_us >= 0)
		asked = tag_us;
	else if (client->session_deadline_us >= 0)
		asked = client->session_deadline_us;
	else
		asked = first_set(rule_us, user_us, first_set(database_us, settings->query_deadline_us, 0));
	return tighter_limit(asked, cap);
}

usec_t
deadline_transaction_us(const Client *client)
{
	const UserSpec *user = client->role->spec;
	const DatabaseSpec *database = client->database->spec;

	return first_set(user != NULL ? user->transaction_deadline_us : OPTION_INHERIT,
					 database != NULL ? database->transaction_deadline_us : OPTION_INHERIT,
					 client->worker->settings->transaction_deadline_us);
}

const char *
deadline_message(const Client *client)
{
	return client->by_transaction ? "canceling statement due to transaction deadline"
								  : "canceling statement due to query deadline";
}

const char *
deadline_detail(const Client *client, usec_t now, char *buf, size_t size)
{
	usec_t ran = client->server != NULL ? now - client->granted_at : 0;

	if (client->by_transaction)
		snprintf(buf, size, "Transaction deadline %.0f ms: the transaction began %.0f ms ago.",
				 (double) deadline_transaction_us(client) / 1000.0, (double) (now - client->tx_since) / 1000.0);
	else
		snprintf(buf, size, "Deadline %.0f ms: waited %.0f ms for a server connection, ran %.0f ms.",
			 (double) client->budget_us / 1000.0, (double) client->waited_us / 1000.0, (double) ran / 1000.0);
	return buf;
}

/* COPY FROM STDIN waits for the client and hears no cancel: fail the copy instead. */
static void
fail_copy(Client *client)
{
	Server *server = client->server;
	Buf out = {0};

	if (client->stream_left > 0)
		return; /* inside a CopyData message: the cancel must do, or the grace */
	if (!wire_write_copy_fail(&out, "query deadline"))
		return;
	server->copy_in_ending = true;
	client->reject = REJECT_COPY;
	net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
	buf_free(&out);
	client_update_flow(client);
}

/* While the session's parameters are being set: give the server back, answer the client. */
static void
expire_syncing(Client *client, usec_t now)
{
	char detail[160];

	deadline_detail(client, now, detail, sizeof(detail));
	link_take_away(client);
	client_set_state(client, CLIENT_IDLE);
	request_reject(client, &(RequestError){"57014", deadline_message(client), detail, NULL});
	client->idle_since = now;
	client_rearm_timer(client);
	client_update_flow(client);
	worker_run_actions(client->worker);
}

void
deadline_expired(Client *client, usec_t now)
{
	Server *server = client->server;

	if (client->state == CLIENT_SYNCING)
	{
		expire_syncing(client, now);
		return;
	}
	client->expired = true;
	client->deadline = DEADLINE_NONE;
	client->grace_until = now + client->worker->settings->deadline_grace_us;
	server->rewrite_cancel = true;
	if (server->copy_in && !server->copy_in_ending)
		fail_copy(client);
	cancel_server(server, CANCEL_DEADLINE);
	net_resume(&server->conn); /* a server that the client kept waiting hears the cancel only behind what it was sending */
	client_rearm_timer(client);
}

void
deadline_grace_passed(Client *client, usec_t now)
{
	Server *server = client->server;
	char detail[160];
	bool in_tx = server->tx_status != 'I';
	bool cut = server->stream_left > 0;
	bool open = client->in_group; /* its Sync is still to come, and gets the ReadyForQuery */
	Buf out = {0};
	WireError error = {.severity = slice_str("ERROR"), .severity_v = slice_str("ERROR"), .code = slice_str("57014"),
					   .message = slice_str(deadline_message(client))};

	error.detail = slice_str(deadline_detail(client, now, detail, sizeof(detail)));
	client->expired = false;
	client->grace_until = DEADLINE_NONE;
	server_stats(server)->expired_running++;
	server_stats(server)->expired_grace++;
	stats_count_error(server_stats(server), "57014");
	if (cut)
	{
		client_close(client, "query deadline: the server did not stop inside a row", NULL);
		return;
	}
	client_unblocked(client);
	client->server = NULL;
	client->hold = false;
	server->client = NULL;
	server_close(server, "did not answer a cancel within deadline_grace");
	client->tx_failed = in_tx || open;
	client->local_open = client->local_skip = open;
	client->local_implicit = open && !in_tx;
	if (client->reject == REJECT_COPY)
		client->reject = REJECT_NONE; /* what is left of the copy is dropped as stray */
	client->idle_since = now;
	client_set_state(client, CLIENT_IDLE);
	client->in_group = false;
	if (wire_write_error(&out, &error) && (open || wire_write_ready_for_query(&out, in_tx ? 'E' : 'I')))
		client_send_buf(client, &out);
	buf_free(&out);
	client_rearm_timer(client);
	client_update_flow(client);
	worker_run_actions(client->worker);
}

/* The server connection rolls back and stays the client's. */
static bool
roll_back_linked(Server *server)
{
	Buf out = {0};
	bool ok = !server->skipping || (wire_write_sync(&out) && expect_push(server, EXPECT_SYNC));

	server->skipping = false;
	ok = ok && wire_write_query(&out, slice_str("ROLLBACK")) && expect_push(server, EXPECT_QUERY);

	if (ok)
	{
		server->client->fingerprint = 0;
		server->own_query = true;
		server->own_query_failed = false;
		server_set_state(server, SERVER_SYNCING);
		client_set_state(server->client, CLIENT_SYNCING);
		net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
	}
	buf_free(&out);
	return ok;
}

/* Look again soon: a cancel is still on its way, or its effect. */
static void
look_again(Client *client, usec_t now)
{
	timer_arm(net_timers(client->worker->loop), &client->timer, now + USEC_PER_MSEC);
}

/* The client goes on in a failed transaction, without its server or (session mode) with one that is rolled back. */
static void
end_transaction(Client *client, bool told, usec_t now)
{
	Server *server = client->server;

	client->tx_failed = true;
	client->tx_untold = !told;
	client->local_open = client->in_group;
	client->local_implicit = client->in_group && server->tx_status == 'I';
	client->local_skip = client->in_group && told;
	client->stream_drop = client->stream_left > 0;
	client->stream_ends_group = false;
	if (!told)
	{
		server_stats(server)->expired_running++;
		stats_count_error(server_stats(server), "57014");
	}
	client->deadline = DEADLINE_NONE;
	client->grace_until = DEADLINE_NONE;
	client->expired = false;
	client->idle_since = now;
	if (client->pool->mode != POOL_MODE_SESSION || server->partial_request)
	{
		link_take_away(client);
		client_set_state(client, CLIENT_IDLE);
	}
	else if (!roll_back_linked(server))
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	client->in_group = false;
	client_rearm_timer(client);
	client_update_flow(client);
	worker_run_actions(client->worker);
}

void
deadline_transaction_expired(Client *client, usec_t now)
{
	Server *server = client->server;
	bool answers = client->in_group && expect_head(server) != 0;

	if (server->cancels > 0)
		look_again(client, now);
	else if (answers && !client->expired)
	{
		client->by_transaction = true;
		deadline_expired(client, now);
		look_again(client, now);
	}
	else if (answers)
		look_again(client, now);
	else
		end_transaction(client, client->in_group ? server->skipping : server->tx_status != 'T', now);
}
