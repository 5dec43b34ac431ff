/*
 * half_open.c: clients that have not proved who they are: how many there may be, and who goes when there are too many.
 *
 * They stand in one list over all workers, in order of arrival.  Only its own worker closes a client, so one of another worker is marked as
 * sent away, with the tables locked, which ends its claim to a place at once: its worker finds it in a list of its own and closes it, and
 * should it have proved who it is meanwhile, it is not let in.
 */
#include "session/session.h"

#include "session/hall.h"

/* Threads take in at different times what has arrived in order. */
static void
insert(List *list, Client *client)
{
	ListNode *before = &list->head;

	while (before->prev != &list->head && CONTAINER_OF(before->prev, Client, half_node)->id > client->id)
		before = before->prev;
	list_insert_before(list, before, &client->half_node);
}

void
client_enter_half_open(Client *client)
{
	Hall *hall = client->worker->hall;

	client->conn.background = true; /* clients that have work to do come first */
	client->half_open = true;
	atomic_store_explicit(&client->login_busy, false, memory_order_relaxed);
	hall_lock_tables(hall);
	insert(&hall->half_open, client);
	hall_unlock_tables(hall);
}

const char *
client_leave_half_open(Client *client)
{
	Worker *worker = client->worker;
	const char *sent_away;

	if (!client->half_open)
		return NULL;
	hall_lock_tables(worker->hall);
	sent_away = client->sent_away;
	list_remove(sent_away != NULL ? &worker->sent_away : &worker->hall->half_open, &client->half_node);
	hall_unlock_tables(worker->hall);
	client->half_open = false;
	client->conn.background = false;
	client->cancel_node = (MapNode){0};
	return sent_away;
}

/* The first for which nothing is being done; tables locked. */
static Client *
longest_silent(const Hall *hall, const Client *asker)
{
	/* those for which something is being done will be over soon; that they are many in front is unlikely */
	int looks = 100;

	list_each(node, &hall->half_open)
	{
		Client *client = CONTAINER_OF(node, Client, half_node);

		if (client != asker && !atomic_load_explicit(&client->login_busy, memory_order_relaxed))
			return client;
		if (--looks == 0)
			return NULL;
	}
	return NULL;
}

bool
worker_make_room(Worker *worker, const Client *asker, const char *why)
{
	Hall *hall = worker->hall;
	Worker *owner = NULL;
	Client *client;

	hall_lock_tables(hall);
	client = longest_silent(hall, asker);
	if (client != NULL && (owner = client->worker) != worker)
	{
		list_remove(&hall->half_open, &client->half_node);
		list_append(&owner->sent_away, &client->half_node);
		client->sent_away = why;
		atomic_store(&owner->has_sent_away, true);
		atomic_fetch_sub(&hall->client_count, 1);
	}
	hall_unlock_tables(hall);
	if (client == NULL)
		return false;
	if (owner == worker)
		client_close_error(client, "53300", why);
	else
		worker_call(owner);
	return true;
}

void
worker_send_away(Worker *worker)
{
	while (atomic_load(&worker->has_sent_away))
	{
		ListNode *node;
		Client *client;

		hall_lock_tables(worker->hall);
		node = list_first(&worker->sent_away);
		if (node == NULL)
			atomic_store(&worker->has_sent_away, false);
		hall_unlock_tables(worker->hall);
		if (node == NULL)
			return;
		client = CONTAINER_OF(node, Client, half_node);
		client_close_error(client, "53300", client->sent_away);
	}
}

bool
hall_has_too_many_half_open(Hall *hall)
{
	int limit = hall->settings->max_login_clients;
	bool too_many;

	hall_lock_tables(hall);
	too_many = limit > 0 && hall->half_open.count > limit;
	hall_unlock_tables(hall);
	return too_many;
}
