/*
 * payload_net.h: inside of payload.c: the health of client and server sockets, added up per address of the other end.
 *
 * A sample asks the kernel about some sockets only; the next sample goes on with the others.
 */
#ifndef PGWEIR_ADMIN_PAYLOAD_NET_H
#define PGWEIR_ADMIN_PAYLOAD_NET_H

#include <jansson.h>

#include "session/session.h"

#define NET_SEEN 1024

/* How much a connection had sent when it was looked at last. */
typedef struct NetSeen
{
	uint64_t id;
	uint32_t retransmits;
	uint32_t segments;
} NetSeen;

typedef struct NetSampler
{
	Worker *worker;				 /* borrowed */
	HallWalk clients, servers; /* the next to be looked at */
	NetSeen seen[NET_SEEN];		 /* by id modulo; a newer connection takes the place */
} NetSampler;

extern void net_sampler_init(NetSampler *sampler, Worker *worker);
extern void net_sampler_end(NetSampler *sampler);
/*
 * {"clients": [...], "servers": [...]} with addr, n (sockets looked at), rtt_us and rttvar_us (their means), rtt_max_us, retrans and
 * segments (since each was looked at before), lost and unacked (now).
 */
extern json_t *net_sampler_json(NetSampler *sampler, bool *ok);

#endif
