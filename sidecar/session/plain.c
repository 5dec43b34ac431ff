/*
 * plain.c: what needs no look inside: walked from header to header, so that a run of it costs little more than its headers.
 *
 * What these functions leave goes the general way (request.c, relay.c), which would come to the same for what they take.
 */
#include "session/plain.h"

#include "session/expect.h"
#include "session/replay.h"
#include "wire/msg.h"

/* --- what servers send --- */

/* Does this message, which is only passed on, answer what is expected next?  Then that is taken off; false: look at it more closely. */
static inline bool
is_plain_answer(Server *server, uint8_t type, const uint8_t *payload)
{
	Expect head = expect_head(server);

	switch (type)
	{
		case BE_ROW_DESCRIPTION:
			if (head == EXPECT_QUERY)
				return true;
			if (head != EXPECT_DESCRIBE)
				return false;
			break;
		case BE_PARSE_COMPLETE:
			if (head != EXPECT_PARSE_PLAIN)
				return false;
			break;
		case BE_BIND_COMPLETE:
			if (head == EXPECT_BIND_NAMED)
			{
				expect_pop_bind(server);
				server->answered = true;
				return true;
			}
			if (head != EXPECT_BIND)
				return false;
			break;
		case BE_COMMAND_COMPLETE:
			if ((head != EXPECT_QUERY && head != EXPECT_EXECUTE) || payload[0] == 'D')
				return false;
			server->copy_in = false;
			if (head == EXPECT_QUERY)
				return true;
			break;
		default: return false;
	}
	expect_pop_plain(server);
	server->answered = true;
	return true;
}

size_t
plain_answers(Server *server, const uint8_t *data, size_t len)
{
	size_t pos = 0;

	if (replay_is_due(server))
		return 0;
	while (len - pos > WIRE_HEADER_SIZE)
	{
		size_t total = (size_t) wire_load_u32(data + pos + 1) + 1;
		bool is_row = data[pos] == BE_DATA_ROW;

		if (total < WIRE_HEADER_SIZE || total > len - pos ||
			(!is_row && !is_plain_answer(server, data[pos], data + pos + WIRE_HEADER_SIZE)))
			break;
		pos += total;
		if (!is_row && expect_owes_fake(server))
			break;
	}
	return pos;
}

/* --- what clients send --- */

/* What the server will answer, 0 when it takes a closer look to tell. */
static inline Expect
expected_of(const uint8_t *message, size_t total)
{
	switch (message[0])
	{
		case FE_DESCRIBE: return total > WIRE_HEADER_SIZE && message[WIRE_HEADER_SIZE] == 'P' ? EXPECT_DESCRIBE : 0;
		case FE_EXECUTE: return total > WIRE_HEADER_SIZE ? EXPECT_EXECUTE : 0;
		case FE_SYNC: return total == WIRE_HEADER_SIZE ? EXPECT_SYNC : 0;
		default: return 0;
	}
}

size_t
plain_messages(Client *client, const uint8_t *data, size_t len)
{
	Server *server = client->server;
	size_t longest = client->worker->settings->max_packet_size;
	size_t pos = 0;

	while (client->in_group && len - pos >= WIRE_HEADER_SIZE)
	{
		const uint8_t *message = data + pos;
		size_t total = (size_t) wire_load_u32(message + 1) + 1;
		Expect what;

		if (total < WIRE_HEADER_SIZE || total > len - pos || total > longest || (what = expected_of(message, total)) == 0 ||
			!expect_push(server, what))
			break;
		client->in_group = what != EXPECT_SYNC;
		replay_follow(server, message[0], message, total);
		pos += total;
	}
	return pos;
}
