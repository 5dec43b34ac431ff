/*
 * plain.h: the messages of which most requests and answers consist, and which are passed on as they are.
 */
#ifndef PGWEIR_SESSION_PLAIN_H
#define PGWEIR_SESSION_PLAIN_H

#include "session/session.h"

/*
 * How many bytes from data on are whole messages that answer what is expected next, which is taken off, and are only passed on to the client; it
 * ends where the sidecar owes an answer of its own.  Of an ACTIVE server that is not in the middle of a message.
 */
extern size_t plain_answers(Server *server, const uint8_t *data, size_t len);
/* May what the client sends next be such a message? */
static inline bool
plain_may_follow(const Client *client)
{
	const Server *server = client->server;

	return client->in_group && server != NULL && client->state == CLIENT_ACTIVE && !client->tx_failed && client->reject == REJECT_NONE &&
		   !server->skipping && !server->copy_in && !client->hold_behind;
}
/*
 * How many bytes from data on are whole Describe (of a portal) and Execute messages of the group that is being read, and the Sync that ends it, whose
 * answers are expected from now on: they concern no statement by its name.  Without memory it stops, and the general way finds that out.
 */
extern size_t plain_messages(Client *client, const uint8_t *data, size_t len);

#endif
