/*
 * group.h: inside of request.h: the beginning of a group, its deadline, and the server it gets.
 *
 * `data` and `len` are what is there of the client's input from the group's first message on: it is looked through for deadlines in comments and for
 * the class of its first statement, since the pool is asked on the ground of both.
 */
#ifndef PGWEIR_SESSION_GROUP_H
#define PGWEIR_SESSION_GROUP_H

#include "session/peek.h"
#include "session/session.h"

/* A group begins and no server is linked.  True when one is now; else the group waits, was rejected, or the client is gone. */
extern bool group_acquire_server(Client *client, uint8_t *data, size_t len) MUST_CHECK;
/* A group begins on a server that is linked already.  False: it must wait for the one that runs. */
extern bool group_begin_linked(Client *client, uint8_t *data, size_t len) MUST_CHECK;
/* The group waits for the one that runs; its time counts from now.  Returns false. */
extern bool group_hold(Client *client, usec_t now);
/* A further message of a group that has a deadline and was not seen whole: its comment may ask for a tighter one. */
extern void group_follow(Client *client, const Message *message);
extern void group_start_clock(Client *client); /* what group_complete() does when there is a deadline */
/* The whole request is at the sidecar: from now on its deadline runs. */
static inline void
group_complete(Client *client)
{
	client->stream_ends_group = false;
	if (client->budget_us > 0)
		group_start_clock(client);
	client_rearm_timer(client);
}

#endif
