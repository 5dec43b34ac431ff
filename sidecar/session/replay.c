/*
 * replay.c: running a group again after its statement was prepared anew.
 */
#include "session/replay.h"

#include "session/expect.h"
#include "wire/frontend.h"
#include "wire/msg.h"

/* After the Bind: Describe of a portal, Execute, Sync, all there.  Returns the length of the three, 0 when it is something else. */
static size_t
rest_of_group(const uint8_t *data, size_t len)
{
	static const uint8_t types[] = {FE_DESCRIBE, FE_EXECUTE, FE_SYNC};
	size_t pos = 0;

	for (size_t i = 0; i < sizeof(types); i++)
	{
		WireHeader header;

		if (wire_read_header(data + pos, len - pos, &header) != WIRE_OK || header.type != types[i] ||
			header.payload_len > len - pos - WIRE_HEADER_SIZE ||
			(i == 0 && (header.payload_len == 0 || data[pos + WIRE_HEADER_SIZE] != 'P')))
			return 0;
		pos += WIRE_HEADER_SIZE + header.payload_len;
	}
	return pos;
}

void
replay_keep(Server *server, Statement *statement, const uint8_t *data, size_t len, size_t portal_len, Slice old_name,
			const char *name)
{
	Buf *kept = &server->replay;
	size_t bind_len = 1 + (size_t) wire_load_u32(data + 1);
	size_t name_len = strlen(name);
	size_t rest;
	uint8_t header[WIRE_HEADER_SIZE] = {FE_BIND};
	const uint8_t *payload = data + WIRE_HEADER_SIZE;
	size_t tail = WIRE_HEADER_SIZE + portal_len + 1 + old_name.len + 1;

	buf_consume(kept, buf_len(kept));
	server->replay_statement = NULL;
	if (server->tx_status != 'I' || server->outstanding > 0 || bind_len > len || bind_len > REPLAY_MAX ||
		(rest = rest_of_group(data + bind_len, len - bind_len)) == 0 || bind_len + rest > REPLAY_MAX)
		return;
	wire_store_u32(header + 1, (uint32_t) (bind_len - 1 - old_name.len + name_len));
	if (buf_append(kept, header, sizeof(header)) && buf_append(kept, payload, portal_len + 1) &&
		buf_append(kept, name, name_len + 1) && buf_append(kept, data + tail, bind_len - tail) &&
		buf_append(kept, data + bind_len, rest))
		server->replay_statement = statement;
	else
		buf_consume(kept, buf_len(kept));
}

static bool
is_stale_plan(const WireError *error)
{
	return slice_is(error->code, "0A000") && (slice_is(error->routine, "RevalidateCachedQuery") ||
											  slice_is(error->message, "cached plan must not change result type"));
}

bool
replay_error(Server *server, const WireError *error)
{
	Statement *statement = expect_statement(server);

	if (statement == NULL || !is_stale_plan(error))
		return false;
	statement->generation++;
	if (server->replay_statement != statement || expect_head(server) != EXPECT_BIND_NAMED || server->client == NULL ||
		server->outstanding != 1 || server->cancels > 0 || server->client->expired || server->client->in_group)
		return false;
	server->replaying = true;
	server->client->hold = true; /* nothing may come between */
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
	char name[STATEMENT_NAME_MAX];

	statement_name(statement, name);
	return wire_write_close(out, 'S', slice_str(name)) && expect_push(server, EXPECT_CLOSE_HIDDEN) &&
		   wire_write_parse(out, slice_str(name), statement_query(statement), parameter_types(statement)) &&
		   expect_push_statement(server, EXPECT_PARSE_HIDDEN, statement) &&
		   buf_append(out, buf_ptr(&server->replay), buf_len(&server->replay)) &&
		   expect_push_statement(server, EXPECT_BIND_NAMED, statement) && expect_push(server, EXPECT_DESCRIBE) &&
		   expect_push(server, EXPECT_EXECUTE) && expect_push(server, EXPECT_SYNC);
}

bool
replay_run(Server *server)
{
	Statement *statement = server->replay_statement;
	StatementRegistry *registry = &server->worker->statements;
	Buf out = {0};
	bool ok;

	server->replaying = false;
	server->replay_statement = NULL;
	server->group_serial--; /* it is still the same group for a cancel that is on its way */
	statement_ref(statement);
	server_statements_remove(&server->statements, registry, statement);
	ok = server_statements_add(&server->statements, statement) && write_group(server, statement, &out);
	statement_unref(registry, statement);
	if (ok)
	{
		net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
		server->pool->stats.server_parses++;
	}
	buf_free(&out);
	return ok;
}
