/*
 * local.c: a transaction whose server was taken away (a deadline whose cancel the server ignored, or a transaction's deadline).
 *
 * The client is in a failed transaction, as after any error: everything but its end is refused with 25P02, and ROLLBACK (or COMMIT, which
 * rolls back) is answered here.  No server is involved.  When the transaction ended behind the client's back (tx_untold), the first
 * answer tells why, and a COMMIT fails, so that nobody believes to have committed.  The same holds for a group that was still open, with or
 * without a transaction block: its Sync gets the error if nothing before did.
 */
#include "session/session.h"

#include "session/request.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"
#include "wire/sqlscan.h"

static const RequestError aborted = {
	"25P02", "current transaction is aborted, commands ignored until end of transaction block", NULL, NULL};

static bool
ends_transaction(Slice sql)
{
	SqlVerb verb = sql_verb(sql);

	return (verb == SQL_ROLLBACK || verb == SQL_COMMIT) && sql_is_single(sql);
}

static bool
write_aborted(Client *client, Buf *out)
{
	WireError error = {.severity = slice_str("ERROR"), .severity_v = slice_str("ERROR"),
					   .code = slice_str(aborted.sqlstate), .message = slice_str(aborted.message)};
	char detail[160];

	if (client->tx_untold)
	{
		client->by_transaction = true;
		error.code = slice_str("57014");
		error.message = slice_str("transaction was rolled back due to transaction deadline");
		error.detail = slice_str(deadline_detail(client, worker_now(client->worker), detail, sizeof(detail)));
	}
	client->tx_untold = false;
	return wire_write_error(out, &error);
}

/* Would this statement be answered as if it had done what it says? */
static bool
pretends_commit(const Client *client, Slice sql)
{
	return client->tx_untold && sql_verb(sql) == SQL_COMMIT;
}

static bool
answer_query(Client *client, Slice payload, Buf *out)
{
	Slice sql;
	bool ok;

	client->local_open = false;
	if (client->local_implicit)
	{
		ok = write_aborted(client, out);
		client->tx_failed = client->local_implicit = client->local_skip = false;
	}
	else if (wire_read_query(payload, &sql) && ends_transaction(sql))
	{
		ok = pretends_commit(client, sql) ? write_aborted(client, out) : wire_write_command_complete(out, "ROLLBACK");
		client->tx_failed = client->tx_untold = false;
	}
	else
		ok = write_aborted(client, out);
	return ok && wire_write_ready_for_query(out, client->tx_failed ? 'E' : 'I');
}

/* An extended message is refused: the rest up to Sync is dropped. */
static bool
refuse(Client *client, Buf *out)
{
	client->local_skip = true;
	return write_aborted(client, out);
}

/* A statement that ends the transaction may be a prepared one.  False: it is refused, and so is what follows. */
static bool
bind_named(Client *client, Slice name)
{
	Statement *statement = client->statements != NULL ? client_statements_find(client->statements, name) : NULL;
	Slice sql;

	client->local_ends_tx = false;
	if (statement == NULL)
		return false;
	sql = statement_query(statement);
	client->local_ends_tx = ends_transaction(sql);
	client->local_ran = client->local_ends_tx && pretends_commit(client, sql);
	return client->local_ends_tx && !client->local_ran;
}

static bool
answer_extended(Client *client, uint8_t type, Slice payload, Buf *out)
{
	WireParse parse;
	WireBind bind;
	WireTarget describe;

	if (type == FE_SYNC)
	{
		bool over = (client->local_ends_tx && client->local_ran) || client->local_implicit;

		/* what the group had done before is lost, which its Sync would confirm */
		if (client->local_open && client->tx_untold && !write_aborted(client, out))
			return false;
		client->local_skip = client->local_ran = client->local_open = client->local_implicit = false;
		if (over)
			client->tx_failed = client->tx_untold = client->local_ends_tx = false;
		return wire_write_ready_for_query(out, client->tx_failed ? 'E' : 'I');
	}
	if (client->local_skip)
		return true;
	switch (type)
	{
		case FE_PARSE:
			client->local_ends_tx = wire_read_parse(payload, &parse) && ends_transaction(parse.query);
			if (client->local_ends_tx && pretends_commit(client, parse.query))
			{
				client->local_ran = true; /* it fails, and so ends the transaction */
				return refuse(client, out);
			}
			return client->local_ends_tx ? wire_write_parse_complete(out) : refuse(client, out);
		case FE_BIND:
			if (wire_read_bind(payload, &bind) && bind.statement.len > 0 && !bind_named(client, bind.statement))
				return refuse(client, out);
			return client->local_ends_tx ? wire_write_bind_complete(out) : refuse(client, out);
		case FE_DESCRIBE:
			if (!client->local_ends_tx || !wire_read_describe(payload, &describe))
				return refuse(client, out);
			return (describe.kind == 'P' || wire_write_no_parameters(out)) && wire_write_no_data(out);
		case FE_EXECUTE:
			if (!client->local_ends_tx)
				return refuse(client, out);
			client->local_ran = true;
			return wire_write_command_complete(out, "ROLLBACK");
		case FE_CLOSE:
			return wire_write_close_complete(out);
		default:
			return true; /* Flush, stray copy messages */
	}
}

size_t
local_message(Client *client, uint8_t *data, size_t len)
{
	uint8_t type = data[0];
	Slice payload = slice_make(data + WIRE_HEADER_SIZE, len - WIRE_HEADER_SIZE);
	Buf out = {0};
	bool ok;

	if (type == FE_TERMINATE)
	{
		client->doom = "client close request";
		return len;
	}
	ok = type == FE_QUERY || type == FE_FUNCTION_CALL ? answer_query(client, payload, &out)
													  : answer_extended(client, type, payload, &out);
	if (!ok)
	{
		client->doom = "out of memory";
		client->doom_fatal = "bouncer resources exhaustion";
	}
	client_send_buf(client, &out);
	client->idle_since = worker_now(client->worker);
	return len;
}
