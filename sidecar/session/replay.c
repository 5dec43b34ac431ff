/*
 * replay.c: running groups again after their statements were prepared anew.
 */
#include "session/replay.h"

#include <stdio.h>

#include "session/expect.h"
#include "session/request.h"
#include "wire/frontend.h"
#include "wire/msg.h"

/* A buffer that has grown larger is not kept for the next group. */
#define KEPT_MEMORY 8192

/* --- what the client sends --- */

static void
drop_kept(Replay *replay)
{
	replay->groups = 0;
	replay->at = REPLAY_NOWHERE;
	replay->run_len = 0;
	buf_clear(&replay->kept);
	if (replay->kept.cap > KEPT_MEMORY)
		buf_free(&replay->kept);
}

void
replay_break(Server *server)
{
	drop_kept(&server->replay);
	if (replay_is_due(server))
		replay_tell(server);
}

/* False: without memory nothing is kept any more. */
static bool
settle(Server *server)
{
	Replay *replay = &server->replay;
	size_t len = replay->run_len;

	replay->run_len = 0;
	if (buf_append(&replay->kept, replay->run, len))
		return true;
	replay_break(server);
	return false;
}

void
replay_settle_run(Server *server)
{
	(void) settle(server);
}

/* Keep one message; the group stands at `at` then. */
static inline void
keep(Server *server, ReplayAt at, const uint8_t *data, size_t len)
{
	Replay *replay = &server->replay;

	replay->at = at;
	if (len > REPLAY_MAX - buf_len(&replay->kept) - replay->run_len)
	{
		replay_break(server);
		return;
	}
	if (replay->run_len > 0 && replay->run + replay->run_len != data && !settle(server))
		return;
	if (replay->run_len == 0)
		replay->run = data;
	replay->run_len += len;
}

void
replay_use(Server *server, bool begins, uint8_t type, const uint8_t *data, size_t len)
{
	ReplayAt at = server->replay.at;
	bool fits = begins ? server->outstanding > 0 || server->tx_status == 'I' : at == REPLAY_EXECUTE;

	if (server->client->rerun)
		return; /* once must do */
	if (fits || at == REPLAY_FAKED)
		keep(server, type == FE_BIND ? REPLAY_BIND : REPLAY_EXECUTE, data, len);
	else
		replay_break(server);
}

static bool
is_portal(const uint8_t *data, size_t len)
{
	return len > WIRE_HEADER_SIZE && data[WIRE_HEADER_SIZE] == 'P';
}

void
replay_follow(Server *server, uint8_t type, const uint8_t *data, size_t len)
{
	Replay *replay = &server->replay;

	if (replay->at == REPLAY_BIND && type == FE_DESCRIBE && is_portal(data, len))
		keep(server, REPLAY_DESCRIBE, data, len);
	else if (replay->at == REPLAY_DESCRIBE && type == FE_EXECUTE)
		keep(server, REPLAY_EXECUTE, data, len);
	else if (replay->at == REPLAY_EXECUTE && type == FE_SYNC)
	{
		keep(server, REPLAY_NOWHERE, data, len);
		replay->groups++;
		if (replay_is_due(server))
			server->client->hold = true; /* nothing may come between */
	}
	else if (!server->client->rerun)
		replay_break(server);
}

/* --- what the server answers --- */

static bool
is_stale_plan(const WireError *error)
{
	return slice_is(error->code, "0A000") && (slice_is(error->routine, "RevalidateCachedQuery") ||
											  slice_is(error->message, "cached plan must not change result type"));
}

/* Mark the statement that the answer at the head is about.  False: the error says nothing about it. */
static bool
mark(Server *server, const WireError *error)
{
	Expect head = expect_head(server);
	Statement *statement;

	if (head != EXPECT_BIND_NAMED && head != EXPECT_DESCRIBE_NAMED)
		return false;
	statement = expect_subject(server)->statement;
	if (is_stale_plan(error))
		statement->generation++;
	else if (slice_is(error->code, "26000"))
		server_statements_remove(&server->statements, server->worker->statements, statement);
	else
		return false;
	return true;
}

static bool
withhold(Replay *replay, uint8_t type, Slice payload)
{
	uint8_t header[WIRE_HEADER_SIZE] = {type};
	size_t before = buf_len(&replay->withheld);

	wire_store_u32(header + 1, (uint32_t) payload.len + 4);
	if (buf_append(&replay->withheld, header, sizeof(header)) && buf_append(&replay->withheld, payload.ptr, payload.len))
		return true;
	replay->withheld.end -= buf_len(&replay->withheld) - before;
	return false;
}

/* All that is under way is kept. */
static bool
keeps_all(const Server *server)
{
	const Replay *replay = &server->replay;
	int kept = replay->groups - replay->withheld_groups + (replay->at != REPLAY_NOWHERE && replay->at != REPLAY_FAKED);

	return kept == server->outstanding + server->client->in_group;
}

bool
replay_keep_types(Server *server, const uint8_t *data, size_t len)
{
	Replay *replay = &server->replay;

	return expect_head(server) == EXPECT_DESCRIBE_NAMED && !server->answered && replay->withheld_groups == 0 &&
		   keeps_all(server) && server->cancels == 0 && buf_append(&replay->types, data, len);
}

bool
replay_error(Server *server, const WireError *error, Slice payload)
{
	Replay *replay = &server->replay;
	Client *client = server->client;

	if (!mark(server, error) || client == NULL || server->answered || !keeps_all(server) || server->cancels > 0 || client->expired || !withhold(replay, BE_ERROR_RESPONSE, payload))
		return false;
	snprintf(replay->code, sizeof(replay->code), "%.5s", (const char *) error->code.ptr);
	replay->failed = true;
	buf_clear(&replay->types);
	client->hold |= !client->in_group; /* nothing may come between */
	return true;
}

/* The first of the kept groups is over. */
static void
drop_first(Replay *replay)
{
	WireHeader header;

	if (replay->groups == 0)
		return; /* none is kept */
	replay->groups--;
	if (replay->groups == 0 && replay->at == REPLAY_NOWHERE)
	{
		drop_kept(replay);
		return;
	}
	do
	{
		if (wire_read_header(buf_ptr(&replay->kept), buf_len(&replay->kept), &header) != WIRE_OK)
			return; /* cannot be: whole messages are kept */
		buf_consume(&replay->kept, WIRE_HEADER_SIZE + header.payload_len);
	} while (header.type != FE_SYNC);
}

void
replay_tell(Server *server)
{
	Replay *replay = &server->replay;
	SessionStats *stats = server_stats(server);
	int groups = replay->withheld_groups;
	Buf withheld = replay->withheld;

	for (int i = groups + replay->failed; i > 0; i--)
		server_count_error(server, slice_str(replay->code));
	for (int i = groups; i > 0; i--)
		drop_first(replay);
	stats->queries += (uint64_t) groups;
	stats->xacts += (uint64_t) groups;
	replay->withheld = (Buf){0};
	replay->withheld_groups = 0;
	replay->failed = false;
	client_send_buf(server->client, &withheld);
}

void
replay_forget(Server *server)
{
	Replay *replay = &server->replay;

	drop_kept(replay);
	replay->failed = false;
	replay->withheld_groups = 0;
	buf_free(&replay->withheld);
	buf_free(&replay->types);
	buf_free(&replay->again);
}

static void
run_again(Server *server)
{
	Replay *replay = &server->replay;
	Buf kept = replay->kept;
	int groups = replay->withheld_groups + 1;

	replay->kept = (Buf){0};
	replay_forget(server);
	replay->again = kept;
	server->group_serial -= (uint64_t) groups; /* they are still the same for a cancel that is on its way */
	request_again(server->client);
}

bool
replay_group_ended(Server *server, const uint8_t *data, size_t len)
{
	Replay *replay = &server->replay;
	bool more = server->outstanding > 0 || server->client->in_group;

	if (!replay->failed)
	{
		if (replay->groups > server->outstanding)
			drop_first(replay);
		if (replay->withheld_groups > 0)
			replay_tell(server);
		return false;
	}
	if (server->tx_status != 'I' ||
		(more && !withhold(replay, BE_READY_FOR_QUERY, slice_make(data + WIRE_HEADER_SIZE, len - WIRE_HEADER_SIZE))))
	{
		drop_kept(replay);
		replay_tell(server);
		return false;
	}
	replay->failed = false;
	if (more)
		replay->withheld_groups++;
	else
		run_again(server);
	return true;
}
