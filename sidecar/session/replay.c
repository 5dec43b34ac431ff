/*
 * replay.c: running a group again after its statement was prepared anew.
 */
#include "session/replay.h"

#include "session/expect.h"
#include "wire/frontend.h"
#include "wire/msg.h"

void
replay_keep(Server *server, Statement *statement, const uint8_t *data, size_t len, size_t portal_len, Slice old_name)
{
	Buf *kept = &server->replay;
	Slice name = statement_name(statement);
	size_t tail = WIRE_HEADER_SIZE + portal_len + 1 + old_name.len + 1;
	uint8_t header[WIRE_HEADER_SIZE] = {FE_BIND};

	buf_consume(kept, buf_len(kept));
	server->replay_statement = NULL;
	if (server->tx_status != 'I' || server->outstanding > 0 || len > REPLAY_MAX)
		return;
	wire_store_u32(header + 1, (uint32_t) (len - 1 - old_name.len + name.len));
	if (buf_append(kept, header, sizeof(header)) && buf_append(kept, data + WIRE_HEADER_SIZE, portal_len + 1) &&
		buf_append(kept, name.ptr, name.len + 1) && buf_append(kept, data + tail, len - tail))
	{
		server->replay_statement = statement;
		server->replay_next = FE_DESCRIBE;
	}
}

static void
tell_withheld(Server *server)
{
	Buf error = server->replay_withheld;

	server->replay_withheld = (Buf){0};
	server->replaying = false;
	client_send_buf(server->client, &error);
}

void
replay_follow(Server *server, uint8_t type, const uint8_t *data, size_t len)
{
	bool fits;

	if (server->replay_statement == NULL || server->replay_next == 0)
		return;
	fits = type == server->replay_next && len <= REPLAY_MAX &&
		   (type != FE_DESCRIBE || (len > WIRE_HEADER_SIZE && data[WIRE_HEADER_SIZE] == 'P'));
	if (!fits || !buf_append(&server->replay, data, len))
	{
		server->replay_statement = NULL;
		if (server->replaying)
			tell_withheld(server);
		return;
	}
	server->replay_next = type == FE_DESCRIBE ? FE_EXECUTE : type == FE_EXECUTE ? FE_SYNC : 0;
	if (server->replaying && server->replay_next == 0)
		server->client->hold = true; /* nothing may come between */
}

void
replay_forget(Server *server)
{
	server->replaying = false;
	server->replay_statement = NULL;
	buf_free(&server->replay_withheld);
}

static bool
is_stale_plan(const WireError *error)
{
	return slice_is(error->code, "0A000") && (slice_is(error->routine, "RevalidateCachedQuery") ||
											  slice_is(error->message, "cached plan must not change result type"));
}

/* The error as it came, for the case that it must be told after all. */
static bool
withhold(Server *server, Slice payload)
{
	uint8_t header[WIRE_HEADER_SIZE] = {BE_ERROR_RESPONSE};

	wire_store_u32(header + 1, (uint32_t) payload.len + 4);
	buf_free(&server->replay_withheld);
	return buf_append(&server->replay_withheld, header, sizeof(header)) &&
		   buf_append(&server->replay_withheld, payload.ptr, payload.len);
}

bool
replay_error(Server *server, const WireError *error, Slice payload)
{
	Statement *statement = expect_statement(server);
	Client *client = server->client;
	bool whole = server->replay_next == 0;

	if (statement == NULL || !is_stale_plan(error))
		return false;
	statement->generation++;
	if (server->replay_statement != statement || expect_head(server) != EXPECT_BIND_NAMED || client == NULL ||
		server->outstanding != whole || client->in_group == whole || server->cancels > 0 || client->expired)
		return false;
	if (!whole && !withhold(server, payload))
		return false;
	server->replaying = true;
	client->hold = whole; /* nothing may come between */
	return true;
}

/* Behind the text and its NUL: how many, two bytes, and the types. */
static Slice
parameter_types(const Statement *statement)
{
	size_t skip = (size_t) statement->query_len + 3;

	return slice_make(statement->body + skip, statement->body_len - skip);
}

static bool
write_group(Server *server, Statement *statement, Buf *out)
{
	Slice name = statement_name(statement);

	return wire_write_close(out, 'S', name) && expect_push(server, EXPECT_CLOSE_HIDDEN) &&
		   wire_write_parse(out, name, statement_query(statement), parameter_types(statement)) &&
		   expect_push_statement(server, EXPECT_PARSE_HIDDEN, statement) &&
		   buf_append(out, buf_ptr(&server->replay), buf_len(&server->replay)) &&
		   expect_push_statement(server, EXPECT_BIND_NAMED, statement) && expect_push(server, EXPECT_DESCRIBE) &&
		   expect_push(server, EXPECT_EXECUTE) && expect_push(server, EXPECT_SYNC);
}

bool
replay_run(Server *server)
{
	Statement *statement = server->replay_statement;
	StatementRegistry *registry = server->worker->statements;
	Buf out = {0};
	bool ok;

	replay_forget(server);
	server->group_serial--; /* it is still the same group for a cancel that is on its way */
	statement_ref(statement);
	server_statements_remove(&server->statements, registry, statement);
	ok = server_statements_add(&server->statements, statement) && write_group(server, statement, &out);
	statement_unref(registry, statement);
	if (ok)
	{
		net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
		server_stats(server)->server_parses++;
	}
	buf_free(&out);
	return ok;
}
