/*
 * payload_net.c: sampling sockets.
 */
#include "admin/payload_net.h"

#include <stdio.h>

#include "admin/payload.h"

/* A connection younger than this had all its retransmissions just now. */
#define YOUNG_US (5 * USEC_PER_SEC)

typedef struct AddressSum
{
	char address[80];
	uint64_t n, rtt_us, rttvar_us, retransmits, lost;
} AddressSum;

typedef struct AddressSums
{
	AddressSum items[PAYLOAD_ADDRESSES];
	int count;
} AddressSums;

/* NULL when there are too many addresses. */
static AddressSum *
sum_of(AddressSums *sums, const char *address)
{
	for (int i = 0; i < sums->count; i++)
		if (strcmp(sums->items[i].address, address) == 0)
			return &sums->items[i];
	if (sums->count == PAYLOAD_ADDRESSES)
		return NULL;
	sums->items[sums->count] = (AddressSum){0};
	snprintf(sums->items[sums->count].address, sizeof(sums->items[0].address), "%s", address);
	return &sums->items[sums->count++];
}

/* Retransmissions since the last look. */
static uint32_t
new_retransmits(NetSampler *sampler, uint64_t id, usec_t connect_time, uint32_t retransmits)
{
	NetSeen *seen = &sampler->seen[id % NET_SEEN];
	uint32_t before = worker_now(sampler->worker) - connect_time < YOUNG_US ? 0 : retransmits;

	if (seen->id == id)
		before = seen->retransmits;
	*seen = (NetSeen){id, retransmits};
	return retransmits > before ? retransmits - before : 0;
}

static void
look_at(NetSampler *sampler, AddressSums *sums, const NetConn *conn, uint64_t id, usec_t connect_time, const char *address)
{
	NetHealth health;
	AddressSum *sum;

	if (!net_is_open(conn) || !net_health(conn, &health) || (sum = sum_of(sums, address)) == NULL)
		return;
	sum->n++;
	sum->rtt_us += health.rtt_us;
	sum->rttvar_us += health.rttvar_us;
	sum->retransmits += new_retransmits(sampler, id, connect_time, health.retransmits);
	sum->lost += health.lost;
}

static void
look_at_client(NetSampler *sampler, AddressSums *sums, const ListNode *node)
{
	const Client *client = CONTAINER_OF(node, const Client, node);
	char ip[64];

	look_at(sampler, sums, &client->conn, client->id, client->connect_time, net_peer_ip(&client->peer, ip, sizeof(ip)));
}

static void
look_at_server(NetSampler *sampler, AddressSums *sums, const ListNode *node)
{
	const Server *server = CONTAINER_OF(node, const Server, node);
	char name[128];

	if (server->address.len > 0)
		look_at(sampler, sums, &server->conn, server->id, server->connect_time,
				net_address_name(&server->address, name, sizeof(name)));
}

/* Look at the next of the list, each at most once. */
static void
sample(NetSampler *sampler, HallWalk *walk, WalkOver over, AddressSums *sums,
	   void (*look)(NetSampler *, AddressSums *, const ListNode *))
{
	int count = hall_count(sampler->worker->hall, over);
	int left = count < PAYLOAD_SAMPLES / 2 ? count : PAYLOAD_SAMPLES / 2;

	while (left > 0)
	{
		const ListNode *node = list_linked(&walk->node) ? hall_walk_next(walk) : NULL;

		if (node == NULL)
		{
			hall_walk_end(walk);
			hall_walk_begin(sampler->worker->hall, walk, over);
			continue;
		}
		look(sampler, sums, node);
		left--;
	}
}

/* The sums as an array; NULL when out of memory. */
static json_t *
sums_json(const AddressSums *sums)
{
	json_t *array = json_array();

	for (int i = 0; array != NULL && i < sums->count; i++)
	{
		const AddressSum *s = &sums->items[i];

		if (json_array_append_new(array, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "addr", s->address, "n",
												   (json_int_t) s->n, "rtt_us", (json_int_t) (s->rtt_us / s->n), "rttvar_us",
												   (json_int_t) (s->rttvar_us / s->n), "retrans", (json_int_t) s->retransmits,
												   "lost", (json_int_t) s->lost)) != 0)
		{
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

json_t *
net_sampler_json(NetSampler *sampler)
{
	AddressSums clients = {.count = 0};
	AddressSums servers = {.count = 0};

	sample(sampler, &sampler->clients, WALK_CLIENTS, &clients, look_at_client);
	sample(sampler, &sampler->servers, WALK_SERVERS, &servers, look_at_server);
	return json_pack("{s:o, s:o}", "clients", sums_json(&clients), "servers", sums_json(&servers));
}

void
net_sampler_init(NetSampler *sampler, Worker *worker)
{
	sampler->worker = worker;
}

void
net_sampler_end(NetSampler *sampler)
{
	hall_walk_end(&sampler->clients);
	hall_walk_end(&sampler->servers);
}
