/*
 * payload_net.c: sampling sockets.
 */
#include "admin/payload_net.h"

#include <stdio.h>

#include "admin/payload.h"
#include "admin/payload_json.h"

/* A connection younger than this had all its retransmissions just now. */
#define YOUNG_US (5 * USEC_PER_SEC)

typedef struct AddressSum
{
	char address[80];
	uint64_t n, rtt_us, rttvar_us, rtt_max_us, retransmits, segments, lost, unacked;
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

/* Add what was sent, and sent again, since the last look. */
static void
add_sent(NetSampler *sampler, AddressSum *sum, uint64_t id, usec_t connect_time, const NetHealth *health)
{
	NetSeen *seen = &sampler->seen[id % NET_SEEN];
	NetSeen before = {.retransmits = health->retransmits, .segments = health->segments};

	if (seen->id == id)
		before = *seen;
	else if (worker_now(sampler->worker) - connect_time < YOUNG_US)
		before = (NetSeen){.id = id};
	/* They get fewer when one turns out to have been needless: what was told of it is made up for by the next. */
	uint32_t retransmits = health->retransmits > before.retransmits ? health->retransmits : before.retransmits;
	*seen = (NetSeen){.id = id, .retransmits = retransmits, .segments = health->segments};
	sum->retransmits += retransmits - before.retransmits;
	sum->segments += health->segments - before.segments;
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
	if (health.rtt_us > sum->rtt_max_us)
		sum->rtt_max_us = health.rtt_us;
	add_sent(sampler, sum, id, connect_time, &health);
	sum->lost += health.lost;
	sum->unacked += health.unacked;
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

	if (server->address.len > 0 && server->state != SERVER_CONNECTING)
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

static json_t *
sum_json(const AddressSum *sum, bool *ok)
{
	json_t *object = json_object();

	payload_set(object, "addr", json_string(sum->address), ok);
	payload_number(object, "n", sum->n, ok);
	payload_number(object, "rtt_us", sum->rtt_us / sum->n, ok);
	payload_number(object, "rttvar_us", sum->rttvar_us / sum->n, ok);
	payload_number(object, "rtt_max_us", sum->rtt_max_us, ok);
	payload_number(object, "retrans", sum->retransmits, ok);
	payload_number(object, "segments", sum->segments, ok);
	payload_number(object, "lost", sum->lost, ok);
	payload_number(object, "unacked", sum->unacked, ok);
	return object;
}

static json_t *
sums_json(const AddressSums *sums, bool *ok)
{
	json_t *array = json_array();

	for (int i = 0; i < sums->count; i++)
		payload_append(array, sum_json(&sums->items[i], ok), ok);
	return array;
}

json_t *
net_sampler_json(NetSampler *sampler, bool *ok)
{
	AddressSums clients = {.count = 0};
	AddressSums servers = {.count = 0};
	json_t *object = json_object();

	sample(sampler, &sampler->clients, WALK_CLIENTS, &clients, look_at_client);
	sample(sampler, &sampler->servers, WALK_SERVERS, &servers, look_at_server);
	payload_set(object, "clients", sums_json(&clients, ok), ok);
	payload_set(object, "servers", sums_json(&servers, ok), ok);
	return object;
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
