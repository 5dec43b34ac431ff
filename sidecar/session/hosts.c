/*
 * hosts.c: a host name means other addresses than before.  Connections to an address that is no longer its own are replaced: the idle
 * ones now, the others when their clients are done with them.
 */
#include "session/session.h"

static bool
is_among(const NetAddress *address, const NetAddress *addresses, int count)
{
	for (int i = 0; i < count; i++)
		if (net_address_same_host(address, &addresses[i]))
			return true;
	return false;
}

void
hosts_take_change(Worker *worker, const char *host, const NetAddress *addresses, int count)
{
	list_each(node, &worker->servers)
	{
		Server *server = CONTAINER_OF(node, Server, node);

		if (server->state == SERVER_RESOLVING || strcmp(server->host, host) != 0 || is_among(&server->address, addresses, count))
			continue;
		if (server->state == SERVER_IDLE)
			server_close(server, "server's address has changed");
		else
		{
			policy_enter(worker); /* of slots that are being cleaned the policy looks at it, whoever asks */
			server->slot.close_needed = true;
			policy_leave(worker, NULL);
		}
	}
	worker_run_actions(worker);
}

/* Each worker asks DNS for itself, but servers move. */
void
hosts_changed(void *arg, const char *host, const NetAddress *addresses, int count)
{
	Worker *worker = arg;

	for (int i = 0; i < worker->hall->worker_count; i++)
		if (worker->hall->workers[i] != worker)
			worker_post_host(worker->hall->workers[i], host, addresses, count);
	hosts_take_change(worker, host, addresses, count);
}
