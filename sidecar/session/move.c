/*
 * move.c: clients that change workers.
 *
 * Two kinds do.  One that logs in to the console goes to the first worker, which alone serves that.  And one that has ended a transaction may go
 * to another worker so that the work is spread as it should be (pool/spread.h): each worker measures how much of a processor it uses, at the end of a turn it
 * has anyway, and hears how many of those that come to rest are to go, and where to.
 * Clients of pools in session mode never come to rest, so they are spread evenly as they log in.
 *
 * A client that is to go is `leaving`: it stands first in its list and nothing is read from it until, at the end of the same turn,
 * it is sent.  By then it has no server, is in no queue and owes nothing, so all there is of it is its socket with what was read already, its session
 * parameters and statements, which are counted in common, and its entry among the applications.  On its way it is a post of the
 * other worker and nowhere else.  Posts are taken in before anything is done while all others are parked, so whoever walks over the workers finds each
 * client once.  Its worker is changed with the tables locked, and its post added in the same section: a cancel request that finds
 * the new worker comes after it.
 */
#include "session/session.h"

#include <stdlib.h>

#include "session/hall.h"

/* --- who goes --- */

/* It rests, and nothing forbids that it goes now. */
static bool
may_go(const Client *client)
{
	const Hall *hall = client->worker->hall;

	return client->state == CLIENT_IDLE && client->server == NULL && client->pool->dedicated == NULL && client->reject == REJECT_NONE &&
		   client->stream_left == 0 && client->doom == NULL && !client->in_group && !client->group_begun && !client->hold &&
		   !client->tx_failed && !client->suspended && hall->phase != WORKER_STOPPED && !hall->ending &&
		   worker_now(client->worker) >= atomic_load_explicit(&hall->clients_held_until, memory_order_relaxed);
}

/* To where send_leavers() looks. */
static void
put_first(List *list, Client *client)
{
	worker_walk_skip(client->worker, &client->node);
	list_remove(list, &client->node);
	list_prepend(list, &client->node);
	client->leaving = true;
	client->worker->has_leavers = true;
}

bool
client_goes_first(Client *client)
{
	if (client->worker->index == 0)
		return true;
	put_first(&client->worker->logins, client);
	atomic_store_explicit(&client->login_busy, true, memory_order_relaxed);
	net_pause(&client->conn);
	return false;
}

void
client_goes_on(Client *client)
{
	Worker *worker = client->worker;

	if (client->leaving || !may_go(client))
		return;
	if (worker->leave != SPREAD_ALL)
		worker->leave--;
	client->leave_to = (uint8_t) worker->leave_to;
	put_first(&worker->clients, client);
}

/* In session mode it has a server from its first request to its end, so it could not leave a worker that gets busy. */
void
client_settles(Client *client)
{
	Worker *worker = client->worker;
	Hall *hall = worker->hall;

	if (!hall_is_shared(hall) || worker->settings->worker_spread != SPREAD_AUTO || client->pool->mode != POOL_MODE_SESSION || !may_go(client))
		return;
	client->leave_to = (uint8_t) (atomic_fetch_add_explicit(&hall->session_turn, 1, memory_order_relaxed) % (unsigned) hall->worker_count);
	if (client->leave_to == worker->index)
		return;
	put_first(&worker->clients, client);
	client_update_flow(client);
}

static void
stays(Client *client)
{
	client->leaving = false;
	client_update_flow(client);
}

/* --- going --- */

static void
detach(Client *client, List *list, Worker *to)
{
	Worker *from = client->worker;

	worker_walk_skip(from, &client->node);
	list_remove(list, &client->node);
	timer_disarm(net_timers(from->loop), &client->timer);
	net_detach(&client->conn);
	atomic_fetch_sub(&from->load, 1);
	atomic_fetch_add(&to->load, 1);
}

static void
send_login(Client *client)
{
	Worker *from = client->worker;
	Worker *to = from->hall->workers[0];
	WorkerPost *item = calloc(1, sizeof(WorkerPost));
	const char *sent_away = client_leave_half_open(client);

	if (sent_away != NULL)
	{
		client_close_error(client, "53300", sent_away);
		free(item);
		return;
	}
	if (item == NULL)
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	detach(client, &from->logins, to);
	*item = (WorkerPost){.kind = POST_LOGIN, .client = client};
	worker_post(to, item);
}

/* Nobody touches it here from now on. */
static void
hand_over(Client *client, Worker *to, WorkerPost *item)
{
	Hall *hall = to->hall;

	hall_lock_tables(hall);
	client->worker = to;
	worker_post(to, item);
	hall_unlock_tables(hall);
}

static void
send_client(Client *client)
{
	Worker *from = client->worker;
	Worker *to = from->hall->workers[client->leave_to];
	WorkerPost *item = to != from && may_go(client) ? calloc(1, sizeof(WorkerPost)) : NULL;

	if (item == NULL)
	{
		stays(client);
		return;
	}
	*item = (WorkerPost){.kind = POST_CLIENT, .client = client, .from = from, .app = *client->app};
	/* what it repeats is counted where it began to */
	repeats_end_run(&client->run_length, client_stats(client), client->fingerprint, worker_now(from));
	apps_leave(&client->app, worker_now(from));
	detach(client, &from->clients, to);
	from->moved_out++;
	hand_over(client, to, item);
}

/* They stand before the others. */
void
move_send_leavers(Worker *worker)
{
	worker->has_leavers = false;
	list_each(node, &worker->logins)
	{
		if (!CONTAINER_OF(node, Client, node)->leaving)
			break;
		send_login(CONTAINER_OF(node, Client, node));
	}
	list_each(node, &worker->clients)
	{
		if (!CONTAINER_OF(node, Client, node)->leaving)
			break;
		send_client(CONTAINER_OF(node, Client, node));
	}
}

/* --- arriving --- */

static void
attach(Worker *worker, Client *client)
{
	client->leaving = false;
	client->suspended = worker->hall->suspended;
	net_attach(worker->loop, &client->conn);
	client_rearm_timer(client);
	client_update_flow(client);
}

void
move_take_login(Worker *worker, Client *client)
{
	client->worker = worker;
	list_append(&worker->logins, &client->node);
	client_enter_half_open(client);
	attach(worker, client);
}

bool
move_take_client(Worker *worker, WorkerPost *item)
{
	Client *client = item->client;

	if (session_pool_part(client->pool, worker) == NULL)
	{
		/* memory is short: back to where there is one */
		atomic_fetch_sub(&worker->load, 1);
		atomic_fetch_add(&item->from->load, 1);
		hand_over(client, item->from, item);
		return false;
	}
	list_append(&worker->clients, &client->node);
	apps_enter_again(&worker->apps, &client->app, &item->app, worker_now(worker));
	client->rested_in = 0;
	worker->moved_in++;
	attach(worker, client);
	return true;
}

/* --- measuring --- */

void
move_look(Worker *worker)
{
	Hall *hall = worker->hall;
	usec_t now = clock_now();
	usec_t used = clock_thread_used();
	usec_t passed = now - worker->measured_at;
	int busy = passed > 0 ? (int) ((used - worker->used_before) * 1000 / passed) : 0;
	SpreadAdvice advice;
	int active;
	int now_active;

	pthread_mutex_lock(&hall->spread_lock);
	active = hall->spread.active;
	advice = spread_tell(&hall->spread, worker->index, busy > 1000 ? 1000 : busy, worker->rested, now);
	now_active = hall->spread.active;
	pthread_mutex_unlock(&hall->spread_lock);
	if (now_active != active)
		log_debug(hall->log, "worker %d has been busy for %d%% of a core: %d of %d workers serve clients now", worker->index, busy / 10, now_active,
				  hall->worker_count);
	worker->measured_at = now;
	worker->used_before = used;
	worker->rested = 0;
	worker->window++;
	worker->leave = advice.leave;
	worker->leave_to = advice.to;
}

Worker *
move_choose_worker(Hall *hall)
{
	int load[POOL_HOMES];
	int chosen;

	for (int i = 0; i < hall->worker_count; i++)
		load[i] = atomic_load(&hall->workers[i]->load);
	pthread_mutex_lock(&hall->spread_lock);
	chosen = spread_choose(&hall->spread, load, hall->next_worker, worker_now(hall->workers[0]));
	pthread_mutex_unlock(&hall->spread_lock);
	hall->next_worker = chosen + 1;
	return hall->workers[chosen];
}

void
hall_hold_clients(Hall *hall, usec_t until)
{
	atomic_store_explicit(&hall->clients_held_until, until, memory_order_relaxed);
}
