/*
 * worker.c: the threads: what each does at the end of a turn, how they reach each other, and how all but the first are parked.
 *
 * A worker is reached through its bell, an eventfd that ends its sleep.  What there is for it stands elsewhere: actions and arrivals
 * behind Hall.policy, posts (new connections, clients that change workers, cancel requests) behind its post_lock.
 */
#include "session/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "session/hall.h"
#include "session/lease.h"

/* --- calling --- */

void
worker_call(Worker *worker)
{
	uint64_t one = 1;

	/* whoever finds it called already knows that it will look again */
	if (!atomic_exchange(&worker->called, true) && write(worker->bell.fd, &one, sizeof(one)) < 0)
		log_debug(worker->log, "worker %d could not be called", worker->index);
}

static void
on_bell(NetWatch *watch, bool readable, bool writable)
{
	uint64_t count;

	/* that the loop turns is all; the end of the turn does the rest */
	(void) readable;
	(void) writable;
	if (read(watch->fd, &count, sizeof(count)) < 0)
		return;
}

void
worker_post(Worker *to, WorkerPost *item)
{
	pthread_mutex_lock(&to->post_lock);
	list_append(&to->posts, &item->node);
	atomic_store(&to->has_posts, true);
	pthread_mutex_unlock(&to->post_lock);
	worker_call(to);
}

static WorkerPost *
next_post(Worker *worker)
{
	ListNode *node;

	if (!atomic_load(&worker->has_posts))
		return NULL;
	pthread_mutex_lock(&worker->post_lock);
	node = list_pop(&worker->posts);
	if (node == NULL)
		atomic_store(&worker->has_posts, false);
	pthread_mutex_unlock(&worker->post_lock);
	return node != NULL ? CONTAINER_OF(node, WorkerPost, node) : NULL;
}

/* --- new connections --- */

static void
accepted(Worker *worker, int fd, const NetPeer *peer, uint64_t id)
{
	static const char too_many[] = "too many clients are logging in (max_login_clients)";
	Client *client = client_create(worker, fd, peer, id);

	if (client == NULL)
	{
		log_write(worker->log, LOG_LEVEL_WARNING, "out of memory: a client was turned away");
		atomic_fetch_sub(&worker->load, 1);
		close(fd);
	}
	else if (hall_has_too_many_half_open(worker->hall) && !worker_make_room(worker, client, too_many))
		client_close_error(client, "53300", too_many);
	worker_run_actions(worker);
}

void
hall_accept(Hall *hall, int fd, const NetPeer *peer)
{
	Worker *worker = hall_is_shared(hall) ? move_choose_worker(hall) : hall->workers[0];
	WorkerPost *item = worker->index > 0 ? calloc(1, sizeof(WorkerPost)) : NULL;
	uint64_t id = hall_next_id(hall); /* here, so that their order is that of arrival */

	if (item == NULL)
		worker = hall->workers[0]; /* also when memory is short */
	atomic_fetch_add(&worker->load, 1);
	if (item == NULL)
	{
		accepted(worker, fd, peer, id);
		return;
	}
	*item = (WorkerPost){.kind = POST_ACCEPTED, .fd = fd, .peer = *peer, .id = id};
	worker_post(worker, item);
}

/* --- posts of all kinds --- */

void
worker_post_host(Worker *worker, const char *host, const NetAddress *addresses, int count)
{
	WorkerPost *item = calloc(1, sizeof(WorkerPost));
	size_t bytes = (size_t) count * sizeof(NetAddress);

	if (item == NULL || (item->host = strdup(host)) == NULL || (item->addresses = malloc(bytes + 1)) == NULL)
	{
		if (item != NULL)
			free(item->host);
		free(item);
		return; /* its connections stay until they end */
	}
	item->kind = POST_HOST;
	item->count = count;
	memcpy(item->addresses, addresses, bytes);
	worker_post(worker, item);
}

static void
free_post(WorkerPost *item)
{
	free(item->host);
	free(item->addresses);
	free(item);
}

static void
take_posts(Worker *worker)
{
	WorkerPost *item;

	while ((item = next_post(worker)) != NULL)
	{
		switch (item->kind)
		{
			case POST_ACCEPTED: accepted(worker, item->fd, &item->peer, item->id); break;
			case POST_LOGIN: move_take_login(worker, item->client); break;
			case POST_CLIENT:
				if (!move_take_client(worker, item))
					continue;
				break;
			case POST_CANCEL: cancel_take(worker, item); continue;
			case POST_CANCELED: cancel_taken(worker, item); break;
			case POST_HOST: hosts_take_change(worker, item->host, item->addresses, item->count); break;
		}
		free_post(item);
	}
}

/* --- servers that move; in Hall.policy --- */

void
worker_take_arrivals(Worker *worker)
{
	ListNode *node;

	while ((node = list_pop(&worker->arrivals)) != NULL)
	{
		Server *server = CONTAINER_OF(node, Server, node);

		list_append(&worker->servers, &server->node);
		net_attach(worker->loop, &server->conn);
	}
}

static void
move_servers(Worker *worker)
{
	PoolActions *actions = &worker->hall->actions;
	PoolSlot *slot;
	int to;

	policy_enter(worker);
	while ((slot = pool_actions_next_move(actions, &to)) != NULL && pool_actions_move(actions))
	{
		Server *server = CONTAINER_OF(slot, Server, slot);

		worker_walk_skip(worker, &server->node);
		list_remove(&worker->servers, &server->node);
		net_detach(&server->conn);
		server->worker = worker->hall->workers[to];
		list_append(&server->worker->arrivals, &server->node);
	}
	policy_leave(worker, NULL);
	worker->has_moves = slot != NULL;
	if (slot != NULL)
		worker_call(worker); /* memory is short: again */
}

/* --- what the policy decided --- */

static void
run_action(Worker *worker, const PoolAction *action)
{
	SessionPool *pool = CONTAINER_OF(action->pool, SessionPool, policy);
	Server *server = action->slot != NULL ? CONTAINER_OF(action->slot, Server, slot) : NULL;
	Client *client = action->waiter != NULL ? CONTAINER_OF(action->waiter, Client, waiter) : NULL;

	switch (action->kind)
	{
		case POOL_GRANT: /* who decided it has armed the pool's timer */
			link_grant(client, server, action->waited_us);
			client_rearm_timer(client);
			client_update_flow(client);
			return;
		case POOL_OPEN: server_open(worker, pool); break;
		case POOL_CLOSE:
		case POOL_EVICT: server_close(server, action->reason); break;
		case POOL_CHECK: server_start_check(server); break;
		case POOL_LOOK: break;
		case POOL_FAIL: link_fail(client, action); break;
	}
	session_pool_rearm(worker, pool);
}

static bool
next_action(Worker *worker, PoolAction *action)
{
	PoolActions *actions = &worker->hall->actions;
	bool any;

	policy_enter(worker);
	any = pool_actions_next(actions, action);
	worker->has_actions = pool_actions_wait(actions);
	policy_leave(worker, NULL);
	return any;
}

void
worker_carry_out(Worker *worker)
{
	PoolAction action;

	worker->running_actions = true;
	while (worker->has_actions && next_action(worker, &action))
		run_action(worker, &action);
	worker->running_actions = false;
}

void
worker_carry_out_from(Worker *worker, const PoolAction *first)
{
	worker->running_actions = true;
	run_action(worker, first);
	worker_carry_out(worker);
}

/* --- parking --- */

static void
park(Worker *worker)
{
	Hall *hall = worker->hall;
	uint64_t parking;

	pthread_mutex_lock(&hall->park_lock);
	parking = hall->parkings;
	if (atomic_load(&hall->parking) && ++hall->parked == hall->worker_count - 1)
		pthread_cond_signal(&hall->all_parked);
	while (atomic_load(&hall->parking) && hall->parkings == parking)
		pthread_cond_wait(&hall->go_on, &hall->park_lock);
	pthread_mutex_unlock(&hall->park_lock);
	if (hall->ending)
		net_loop_stop(worker->loop);
}

/* All other threads wait, and what was sent to them or from them has arrived. */
static void
park_others(Hall *hall)
{
	pthread_mutex_lock(&hall->park_lock);
	hall->parked = 0;
	hall->parkings++;
	atomic_store(&hall->parking, true);
	for (int i = 1; i < hall->worker_count; i++)
		worker_call(hall->workers[i]);
	while (hall->parked < hall->worker_count - 1)
		pthread_cond_wait(&hall->all_parked, &hall->park_lock);
	pthread_mutex_unlock(&hall->park_lock);
	for (int i = 1; i < hall->worker_count; i++)
		net_loop_look_at_clock(hall->workers[i]->loop);
	for (int i = 0; i < hall->worker_count; i++)
	{
		Worker *worker = hall->workers[i];

		take_posts(worker);
		worker_send_away(worker);
		policy_enter(worker); /* takes arrivals in */
		policy_leave(worker, NULL);
		lease_end_all(worker);
	}
}

void
hall_park(Hall *hall)
{
	if (hall->park_depth++ > 0)
		return;
	if (hall_is_shared(hall))
		park_others(hall);
	else
		lease_end_all(hall->workers[0]);
}

void
hall_unpark(Hall *hall)
{
	if (--hall->park_depth > 0)
		return;
	hall_run_actions(hall); /* whoever wakes up finds nothing left to do */
	if (!hall_is_shared(hall))
		return;
	pthread_mutex_lock(&hall->park_lock);
	atomic_store(&hall->parking, false);
	pthread_cond_broadcast(&hall->go_on);
	pthread_mutex_unlock(&hall->park_lock);
}

/* --- turns --- */

/* What there is to do for others, and to tell them. */
static void
shared_turn(Worker *worker)
{
	do
	{
		if (atomic_load(&worker->called))
		{
			atomic_store(&worker->called, false);
			take_posts(worker);
			worker_send_away(worker);
			worker->has_actions = true; /* perhaps */
		}
		worker_run_actions(worker);
		if (worker->has_leavers)
			move_send_leavers(worker);
		if (worker->has_moves)
			move_servers(worker);
		if (worker->index == 0)
			idle_look(worker->hall);
		if (atomic_load(&worker->hall->parking) && worker->index > 0)
			park(worker);
	} while (worker->has_actions || worker->has_leavers);
}

void
worker_turn(Worker *worker)
{
	if (hall_is_shared(worker->hall))
		shared_turn(worker);
	else
		idle_look(worker->hall);
	if (worker_now(worker) - worker->measured_at >= SPREAD_WINDOW_US)
		move_look(worker);
	trim_look(worker);
}

static void
on_turn(void *arg, usec_t now)
{
	(void) now;
	worker_turn(arg);
}

/* --- life --- */

ResolverOptions
worker_resolver_options(Worker *worker, const Settings *settings)
{
	return (ResolverOptions){.max_ttl_us = settings->dns_max_ttl_us,
							 .nxdomain_ttl_us = settings->dns_nxdomain_ttl_us,
							 .zone_check_us = settings->dns_zone_check_period_us,
							 .resolv_conf = settings->resolv_conf,
							 .changed = hosts_changed,
							 .arg = worker};
}

Worker *
worker_create(Hall *hall, int index, NetLoop *loop)
{
	Worker *worker = calloc(1, sizeof(Worker));
	ResolverOptions resolver;

	if (worker == NULL)
		return NULL;
	resolver = worker_resolver_options(worker, hall->settings);
	worker->hall = hall;
	worker->index = index;
	worker->loop = loop;
	worker->log = hall->log;
	worker->settings = hall->settings;
	worker->version = hall->version;
	worker->hash_seed = hall->hash_seed;
	worker->params = &hall->params;
	worker->statements = &hall->statements;
	list_init(&worker->clients);
	list_init(&worker->logins);
	list_init(&worker->sent_away);
	list_init(&worker->derivations);
	list_init(&worker->servers);
	list_init(&worker->cancels);
	list_init(&worker->cancels_elsewhere);
	list_init(&worker->peer_cancels);
	list_init(&worker->walks);
	list_init(&worker->arrivals);
	lease_init(worker);
	list_init(&worker->posts);
	pthread_mutex_init(&worker->post_lock, NULL);
	worker->bell.on_ready = on_bell;
	worker->bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (worker->bell.fd >= 0 && (worker->resolver = resolver_create(loop, &resolver)) != NULL &&
		(worker->jobs = net_job_port_create(hall->jobs, loop)) != NULL &&
		net_watch(loop, &worker->bell, worker->bell.fd, true, false))
		return worker;
	worker_free(worker);
	return NULL;
}

void
worker_free(Worker *worker)
{
	WorkerPost *item;

	if (worker == NULL)
		return;
	if (worker->bell.loop != NULL)
		net_unwatch(&worker->bell);
	if (worker->bell.fd >= 0)
		close(worker->bell.fd);
	while ((item = next_post(worker)) != NULL)
		free_post(item); /* what has become of a cancel request, when all have gone */
	class_texts_free(&worker->class_texts);
	statement_cache_clear(worker->statements, &worker->statement_cache);
	net_job_port_free(worker->jobs);
	resolver_free(worker->resolver);
	pthread_mutex_destroy(&worker->post_lock);
	if (worker->index > 0)
		net_loop_free(worker->loop);
	free(worker);
}

/* How a thread tells who made it that it is ready. */
typedef struct Birth
{
	Hall *hall;
	int index;
	Worker *worker; /* NULL: it came to nothing */
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool is_over;
} Birth;

static Worker *
be_born(Birth *birth)
{
	NetLoopOptions options = {.log = birth->hall->log, .backend = birth->hall->backend};
	NetLoop *loop = net_loop_create(&options);
	Worker *worker = loop != NULL ? worker_create(birth->hall, birth->index, loop) : NULL;

	if (worker == NULL)
		net_loop_free(loop);
	else
		net_loop_on_turn(loop, on_turn, worker);
	pthread_mutex_lock(&birth->lock);
	birth->worker = worker;
	birth->is_over = true;
	pthread_cond_signal(&birth->over);
	pthread_mutex_unlock(&birth->lock);
	return worker;
}

/* Until all are there, and it is known how many. */
static void
wait_for_start(Hall *hall)
{
	pthread_mutex_lock(&hall->park_lock);
	while (!hall->started)
		pthread_cond_wait(&hall->go_on, &hall->park_lock);
	pthread_mutex_unlock(&hall->park_lock);
}

static void *
run(void *arg)
{
	Worker *worker = be_born(arg);

	if (worker == NULL)
		return NULL;
	wait_for_start(worker->hall);
	if (!net_loop_run(worker->loop) && !worker->hall->ending)
	{
		log_write(worker->log, LOG_LEVEL_FATAL, "the event loop of worker %d failed: %s", worker->index, strerror(errno));
		_exit(1); /* its clients would hang for ever */
	}
	net_loop_on_turn(worker->loop, NULL, NULL);
	net_loop_flush(worker->loop, worker->hall->last_words_us);
	return NULL;
}

static bool
start_worker(Hall *hall, int index)
{
	Birth birth = {.hall = hall, .index = index};
	char name[32]; /* for top -H and its like; longer than 15 bytes is not allowed, and not needed */
	pthread_t thread;

	pthread_mutex_init(&birth.lock, NULL);
	pthread_cond_init(&birth.over, NULL);
	if (pthread_create(&thread, NULL, run, &birth) == 0)
	{
		pthread_mutex_lock(&birth.lock);
		while (!birth.is_over)
			pthread_cond_wait(&birth.over, &birth.lock);
		pthread_mutex_unlock(&birth.lock);
		if (birth.worker == NULL)
			pthread_join(thread, NULL);
	}
	pthread_mutex_destroy(&birth.lock);
	pthread_cond_destroy(&birth.over);
	if (birth.worker == NULL)
		return false;
	birth.worker->thread = thread;
	snprintf(name, sizeof(name), "pgweir:worker%d", index);
	(void) pthread_setname_np(thread, name);
	hall->workers[index] = birth.worker;
	return true;
}

bool
hall_start(Hall *hall)
{
	bool ok = true;
	int count = 1;

	while (count < hall->wanted_workers && (ok = start_worker(hall, count)))
		count++;
	pthread_mutex_lock(&hall->park_lock);
	hall->worker_count = hall->actions.homes = count;
	spread_init(&hall->spread, (SpreadMode) hall->settings->worker_spread, count);
	hall->started = true;
	pthread_cond_broadcast(&hall->go_on);
	pthread_mutex_unlock(&hall->park_lock);
	return ok;
}

void
hall_stop(Hall *hall, usec_t limit_us)
{
	hall_park(hall);
	hall->ending = true;
	hall->last_words_us = limit_us;
	hall_unpark(hall);
	net_loop_flush(hall->workers[0]->loop, limit_us);
	for (int i = 1; i < hall->worker_count; i++)
		pthread_join(hall->workers[i]->thread, NULL);
}
