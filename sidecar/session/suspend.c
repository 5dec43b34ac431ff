/*
 * suspend.c: SUSPEND: everything that was read is sent on, and nothing more is read.
 *
 * Console clients go on.  Clients that connect meanwhile are accepted and not read from.  Deadlines and timeouts go on too.
 */
#include "session/session.h"

static void
suspend_clients(List *clients, bool suspended)
{
	list_each(node, clients)
	{
		Client *client = CONTAINER_OF(node, Client, node);

		if (client->state == CLIENT_CONSOLE)
			continue;
		client->suspended = suspended;
		client_update_flow(client);
	}
}

void
hall_suspend(Hall *hall)
{
	hall->suspended = true;
	for (int i = 0; i < hall->worker_count; i++)
	{
		Worker *worker = hall->workers[i];

		suspend_clients(&worker->clients, true);
		suspend_clients(&worker->logins, true);
		list_each(node, &worker->servers)
		{
			Server *server = CONTAINER_OF(node, Server, node);

			if (net_is_open(&server->conn))
				net_pause(&server->conn);
		}
	}
}

void
hall_unsuspend(Hall *hall)
{
	if (!hall->suspended)
		return;
	hall->suspended = false;
	for (int i = 0; i < hall->worker_count; i++)
	{
		Worker *worker = hall->workers[i];

		suspend_clients(&worker->clients, false);
		suspend_clients(&worker->logins, false);
		list_each(node, &worker->servers)
		{
			Server *server = CONTAINER_OF(node, Server, node);

			/* a server whose client has not read all stays paused: the client's on_drained goes on */
			if (net_is_open(&server->conn) && (server->client == NULL || net_backlog(&server->client->conn) == 0))
				net_resume(&server->conn);
		}
	}
}

bool
hall_is_quiet(const Hall *hall)
{
	for (int i = 0; i < hall->worker_count; i++)
	{
		const Worker *worker = hall->workers[i];

		list_each(node, &worker->clients)
		{
			const Client *client = CONTAINER_OF(node, const Client, node);

			if (client->state != CLIENT_CONSOLE && net_backlog(&client->conn) > 0)
				return false;
		}
		list_each(node, &worker->servers)
		{
			if (net_backlog(&CONTAINER_OF(node, const Server, node)->conn) > 0)
				return false;
		}
	}
	return true;
}
