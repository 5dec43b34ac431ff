/*
 * replication.c: replication connections: a server connection of its own for each client, never pooled.
 *
 * Such a client gets a SessionPool of its own with room for one server, which is in no table but Hall.dedicated.  So waiting,
 * login failures and the limits of database and user (with eviction of idle servers) work as everywhere.  What the client said at
 * startup goes to the server as it is, since a physical walsender knows no SET.  The pool ends with its client.
 */
#include "session/session.h"

#include <stdlib.h>

#include "wire/startup.h"

bool
replication_parse(Slice value, ReplicationKind *kind)
{
	static const struct
	{
		const char *text;
		ReplicationKind kind;
	} words[] = {
		{"true", REPLICATION_PHYSICAL}, {"on", REPLICATION_PHYSICAL},	{"yes", REPLICATION_PHYSICAL},
		{"1", REPLICATION_PHYSICAL},	{"false", REPLICATION_NONE},	{"off", REPLICATION_NONE},
		{"no", REPLICATION_NONE},		{"0", REPLICATION_NONE},		{"database", REPLICATION_LOGICAL},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_is(value, words[i].text))
		{
			*kind = words[i].kind;
			return true;
		}
	return false;
}

const char *
replication_name(const SessionPool *pool)
{
	if (pool == NULL || pool->dedicated == NULL)
		return "none";
	return pool->dedicated->kind == REPLICATION_LOGICAL ? "logical" : "physical";
}

void
dedicated_free(Worker *worker, Dedicated *dedicated)
{
	if (dedicated == NULL)
		return;
	if (dedicated->wanted != NULL)
		paramset_unref(worker->params, dedicated->wanted);
	free(dedicated->options);
	free(dedicated);
}

Dedicated *
dedicated_create(SessionPool *shared, ReplicationKind kind, const char *options, const ParamSet *wanted)
{
	Dedicated *dedicated = calloc(1, sizeof(Dedicated));

	if (dedicated == NULL)
		return NULL;
	dedicated->shared = shared;
	dedicated->kind = kind;
	dedicated->wanted = paramset_ref(wanted);
	if (options != NULL && (dedicated->options = strdup(options)) == NULL)
	{
		dedicated_free(shared->hall->workers[0], dedicated);
		return NULL;
	}
	return dedicated;
}

int
dedicated_startup(const SessionPool *pool, WireParam *params, int n, int max)
{
	const Dedicated *dedicated = pool->dedicated;
	const ParamRegistry *registry = &pool->hall->params;

	for (int i = 0; i < registry->count && n < max - 2; i++)
	{
		const char *value = i != registry->deadline_index ? paramset_get(dedicated->wanted, i) : NULL;

		if (value != NULL)
			params[n++] = (WireParam){slice_str(registry->names[i]), slice_str(value)};
	}
	if (dedicated->options != NULL)
		params[n++] = (WireParam){slice_str("options"), slice_str(dedicated->options)};
	params[n++] = (WireParam){slice_str("replication"),
							  slice_str(dedicated->kind == REPLICATION_LOGICAL ? "database" : "true")};
	return n;
}

void
dedicated_granted(Client *client, Server *server)
{
	usec_t now = worker_now(client->worker);

	client_login_finish(client);
	if (client->state == CLIENT_CLOSED)
		return;
	client->tx_since = client->request_time = now;
	server->query_since = now;
	server_set_state(server, SERVER_ACTIVE);
	client_set_state(client, CLIENT_ACTIVE);
	client_rearm_timer(client);
	client_update_flow(client);
}

void
dedicated_client_left(Worker *worker, SessionPool *pool)
{
	policy_enter(worker);
	pool->dedicated->over = true;
	pool->policy.retiring = true;
	policy_leave(worker, NULL);
	/* at most one: a pool of this kind has all its servers here */
	list_each(node, &worker->servers)
	{
		Server *server = CONTAINER_OF(node, Server, node);

		if (server->pool == pool)
		{
			server_close(server, "replication client disconnected");
			break;
		}
	}
	session_pool_rearm(worker, pool);
}
